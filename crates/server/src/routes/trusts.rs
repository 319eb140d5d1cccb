//! Trusts.

use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use keyward_iam::{Change, PathParts, TrustKind, UnixMillis, full_path};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Endpoint, Target, delete, get, patch, post, put};
use crate::api::Call;
use crate::body::Body;
use crate::policies::policy_inputs;
use crate::problem::Problem;
use crate::query::Query;
use crate::show;

const KIND: (&str, &str, &str) = (
    "kind",
    "string?",
    "`standing` or `assumable`; left out: of a role assumable, of a group a membership, else standing",
);
const CONDITIONS: (&str, &str, &str) = (
    "conditions",
    "any?",
    "a `Conditions` object of the native dialect that must hold for the trust to count; null: none",
);
const ALL: &str = "/v1/org/{organisation}/trust";
const ONE: &str = "/v1/org/{organisation}/trust/{id}";
const POLICIES: (&str, &str, &str) = (
    "policies",
    "array?",
    "documents or {\"policy\": \"policy/<id>\"}, read as one list of statements",
);
pub(super) const EXPIRES_AT: (&str, &str, &str) = (
    "expires_at",
    "string?",
    "when it ends: RFC 3339, or milliseconds since 1970; null: never",
);

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get(ALL, list)
            .tells(
                "Lists the trusts whose trustor is of an organisation.",
                "iam:ListTrust on org/<organisation>",
            )
            .lists()
            .asks(&[
                (
                    "incoming",
                    "boolean",
                    "those instead whose trustee is of the organisation",
                ),
                ("pending", "boolean", "only those that wait for their trustee"),
            ]),
        get("/v1/user/{id}/trust", of_user)
            .tells(
                "Lists the trusts in a user: memberships, ownership, and what waits for acceptance.",
                "iam:DescribeUser on it",
            )
            .lists(),
        post(ALL, create)
            .tells(
                "Creates a trust. It waits until the trustee's side accepts, unless the caller may.",
                "iam:CreateTrust on the trustor; accepted at once with iam:AcceptTrust on the trustee",
            )
            .takes(&[
                ("id", "string?", "its id; generated if it is left out"),
                ("trustor", "string?", "whose power it gives away; the organisation if it is left out"),
                ("trustee", "string", "who may act as the trustor"),
                POLICIES,
                EXPIRES_AT,
                KIND,
                CONDITIONS,
            ])
            .creates(),
        get(ONE, super::entities::describe).tells(
            "Shows a trust.",
            "iam:DescribeTrust on its trustor or its trustee",
        ),
        put(ONE, update)
            .tells(
                "Replaces the policies, the conditions or the expiry of a trust; what is left out stays.",
                "iam:UpdateTrust on its trustor",
            )
            .takes(&[POLICIES, EXPIRES_AT, CONDITIONS]),
        patch(ONE, update)
            .tells(
                "Replaces the policies, the conditions or the expiry of a trust; what is left out stays.",
                "iam:UpdateTrust on its trustor",
            )
            .takes(&[POLICIES, EXPIRES_AT, CONDITIONS]),
        delete(ONE, remove).tells(
            "Ends a trust.",
            "iam:DeleteTrust on its trustor; a trustee may leave an organisation or a role",
        ),
        post("/v1/org/{organisation}/trust/{id}/decline", decline).tells(
            "Declines a trust that waits, for its trustee; or leaves a role or an organisation.",
            "of a trust that waits, or of a role, iam:AcceptTrust or iam:DeleteTrust on its trustee; of an organisation iam:DeleteTrust on it; a trustee may by itself; or iam:DeleteTrust on the trustor",
        ),
        post("/v1/org/{organisation}/trust/{id}/accept", accept).tells(
            "Accepts a trust for its trustee.",
            "iam:AcceptTrust on its trustee",
        ),
    ]
}

#[derive(Deserialize)]
struct Incoming {
    #[serde(default)]
    incoming: bool,
    #[serde(default)]
    pending: bool,
}

async fn list(
    call: Call,
    target: Target,
    Query(query): Query<Incoming>,
) -> Result<Response, Problem> {
    let organisation = target.of("trust");
    call.list("iam:ListTrust", organisation)?;
    let directory = &call.directory;
    let own = directory.identity_at(organisation);
    let of_organisation = |ix| {
        directory
            .identity(ix)
            .and_then(|identity| identity.organisation)
    };
    let paths: Vec<String> = directory
        .trusts()
        .filter(|(_, trust)| {
            let side = if query.incoming {
                trust.trustee
            } else {
                trust.trustor
            };
            own.is_some() && of_organisation(side) == own && !(query.pending && trust.accepted)
        })
        .map(|(_, trust)| trust.path.to_string())
        .collect();
    Ok(call.list_of_paths(paths, |path| super::entities::item(&call, path)))
}

async fn of_user(call: Call, target: Target) -> Result<Response, Problem> {
    let user = target.of("trust");
    call.read("iam:DescribeUser", user)?;
    let directory = &call.directory;
    let ix = directory.identity_at(user);
    let trusts = directory.trusts().map(|(_, trust)| trust);
    let paths: Vec<String> = trusts
        .filter(|trust| Some(trust.trustee) == ix)
        .map(|trust| trust.path.to_string())
        .collect();
    Ok(call.list_of_paths(paths, |path| {
        let shown = || show::entity(directory, path);
        call.sees(path).then(shown).flatten()
    }))
}

/// An end in either of its forms; `Some(None)` is an explicit null.
#[derive(Default)]
pub(super) struct ExpiresAt(pub(super) Option<Option<UnixMillis>>);

impl<'de> Deserialize<'de> for ExpiresAt {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let millis = match Value::deserialize(deserializer)? {
            Value::Null => return Ok(Self(Some(None))),
            Value::Number(number) => number.as_u64(),
            Value::String(text) => {
                let time: Timestamp = text.parse().map_err(D::Error::custom)?;
                u64::try_from(time.as_millisecond()).ok()
            }
            _ => None,
        };
        match millis {
            Some(millis) => Ok(Self(Some(Some(UnixMillis(millis))))),
            None => Err(D::Error::custom(
                "a time is RFC 3339 text, or milliseconds since 1970",
            )),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    id: Option<String>,
    trustor: Option<String>,
    trustee: String,
    #[serde(default)]
    policies: Vec<Box<RawValue>>,
    #[serde(default)]
    expires_at: ExpiresAt,
    kind: Option<Made>,
    conditions: Option<Box<RawValue>>,
}

/// The kinds of trusts that somebody can ask for.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Made {
    Standing,
    Assumable,
}

/// A `Conditions` object: as JSON, or a string that holds its text.
fn conditions(given: &RawValue) -> Result<Option<String>, Problem> {
    let text = given.get();
    if text == "null" {
        return Ok(None);
    }
    if text.starts_with('"') {
        let text = serde_json::from_str(text);
        return text
            .map(Some)
            .map_err(|error| Problem::malformed(error.to_string()));
    }
    Ok(Some(text.to_owned()))
}

fn inputs(policies: &[Box<RawValue>]) -> Result<Vec<keyward_iam::PolicyInput>, Problem> {
    policy_inputs(policies).map_err(|error| Problem::invalid(error.to_string()))
}

async fn create(call: Call, target: Target, Body(body): Body<Create>) -> Result<Response, Problem> {
    let organisation = target.organisation();
    let trustor = body.trustor.map_or_else(
        || format!("org/{organisation}"),
        |trustor| full_path(&trustor, organisation),
    );
    if PathParts::of(&trustor).and_then(|parts| parts.organisation) != Some(organisation) {
        let detail = format!(
            "a trust belongs to the organisation of its trustor, and `{trustor}` is not of org/{organisation}"
        );
        return Err(Problem::invalid(detail));
    }
    let id = body.id.unwrap_or_else(keyward_auth::random_slug);
    let path = format!("{}/{id}", target.0);
    let change = Change::CreateTrust {
        id,
        trustor,
        trustee: full_path(&body.trustee, organisation),
        policies: inputs(&body.policies)?,
        expires_at: body.expires_at.0.flatten(),
        kind: body.kind.map(|kind| match kind {
            Made::Standing => TrustKind::Standing,
            Made::Assumable => TrustKind::Assumable,
        }),
        conditions: match &body.conditions {
            None => None,
            Some(given) => conditions(given)?,
        },
    };
    call.change_and_show(change, &path, StatusCode::CREATED)
        .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    policies: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    expires_at: ExpiresAt,
    #[serde(default, deserialize_with = "written")]
    conditions: Option<Box<RawValue>>,
}

/// A field with its value, null included.
fn written<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

async fn update(call: Call, target: Target, Body(body): Body<Update>) -> Result<Response, Problem> {
    let path = target.0;
    let policies = body.policies.as_deref().map(inputs).transpose()?;
    let change = Change::UpdateTrust {
        path: path.clone(),
        policies,
        expires_at: body.expires_at.0,
        conditions: body.conditions.as_deref().map(conditions).transpose()?,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

async fn accept(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.of("accept").to_owned();
    let change = Change::AcceptTrust { path: path.clone() };
    call.change_and_show(change, &path, StatusCode::OK).await
}

async fn decline(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.of("decline").to_owned();
    let change = Change::DeleteTrust { path: path.clone() };
    call.change_and_show(change, &path, StatusCode::OK).await
}

async fn remove(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.0;
    let change = Change::DeleteTrust { path: path.clone() };
    call.change_and_show(change, &path, StatusCode::OK).await
}
