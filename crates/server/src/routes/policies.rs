//! Named policies with their versions, the system's policies, and what carries them.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use keyward_iam::{Change, IdentityIx, PolicyCarrier, PolicyText, SystemPolicy};
use keyward_policy::PolicyKind;
use keyward_policy::check::Options;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::entities::{ID, NAME, NEW_NAME, describe, list, rename};
use super::{Endpoint, Target, delete, get, patch, post, put};
use crate::api::Call;
use crate::body::Body;
use crate::checking;
use crate::policies::{self, document_text};
use crate::problem::Problem;
use crate::query::Query;
use crate::show;

const DOCUMENT: (&str, &str, &str) = (
    "document",
    "any",
    "a policy document, or a string that holds its text",
);
const DIALECT: (&str, &str, &str) = (
    "dialect",
    "string?",
    "native, aws, tencent, alibaba or acl; the document's form tells it if it is left out",
);
const MAKE_DEFAULT: (&str, &str, &str) = (
    "default",
    "boolean?",
    "whether the version becomes the default: true unless said otherwise",
);
const POLICY: (&str, &str, &str) = (
    "policy",
    "string",
    "a named policy of the organisation or of the system: path, id or name",
);

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut all = named();
    all.push(asking());
    all.extend(system());
    all.extend(attaching());
    all
}

fn named() -> Vec<Endpoint> {
    const ALL: &str = "/v1/org/{organisation}/policy";
    const ONE: &str = "/v1/org/{organisation}/policy/{id}";
    const VERSIONS: &str = "/v1/org/{organisation}/policy/{id}/versions";
    const VERSION: &str = "/v1/org/{organisation}/policy/{id}/versions/{version}";
    const VERSION_CHECK: &str = "/v1/org/{organisation}/policy/{id}/versions/{version}/check";
    vec![
        get(ALL, list).tells(
            "Lists the named policies of an organisation.",
            "iam:ListPolicy on org/<organisation>",
        ).lists(),
        post(ALL, create)
            .tells(
                "Creates a named policy.",
                "iam:CreatePolicy on org/<organisation>",
            )
            .takes(&[ID, NAME, DOCUMENT, DIALECT])
            .creates(),
        get(ONE, describe).tells(
            "Shows a named policy with its versions.",
            "iam:DescribePolicy on it",
        ),
        put(ONE, update)
            .tells(
                "Adds a version and makes it the default.",
                "iam:UpdatePolicy on it; for a new default iam:SetDefaultPolicyVersion on it, and what changes what carries it",
            )
            .takes(&[DOCUMENT, DIALECT, MAKE_DEFAULT]),
        patch(ONE, rename)
            .tells("Renames a named policy.", "iam:UpdatePolicy on it")
            .takes(&[NEW_NAME]),
        delete(ONE, remove).tells(
            "Deletes a named policy that nothing carries.",
            "iam:DeletePolicy on it",
        ),
        get(VERSIONS, versions).tells(
            "Lists the versions of a named policy: who made each, and when.",
            "iam:DescribePolicy on it",
        ).lists(),
        get(VERSION, version).tells(
            "Shows one version of a named policy.",
            "iam:DescribePolicy on it",
        ),
        get(VERSION_CHECK, check_version).tells(
            "Tells what is wrong with a version as it is stored, what is probably not meant, and which action sets and wildcards have grown since it was written.",
            "iam:DescribePolicy on it",
        ),
        delete(VERSION, remove_version).tells(
            "Deletes a version that is not the default.",
            "iam:UpdatePolicy on it",
        ),
        post("/v1/org/{organisation}/policy/{id}/default_version", set_default)
            .tells(
                "Makes an existing version the default: rolls back or forward.",
                "iam:SetDefaultPolicyVersion on it, and what changes what carries it",
            )
            .takes(&[("version", "integer", "which version, from 1")]),
        get("/v1/org/{organisation}/policy/{id}/entities", entities).tells(
            "Lists the trusts, boundaries and guardrails that carry a policy.",
            "iam:DescribePolicy on it",
        ).lists(),
    ]
}

fn asking() -> Endpoint {
    post("/v1/policy/check", check)
        .tells(
            "Tells what is wrong with a document, and what is legal and probably not meant.",
            "nothing, but a credential",
        )
        .takes(&[
            DOCUMENT,
            DIALECT,
            ("kind", "string?", "identity (unless said otherwise) or resource"),
            (
                "since_catalogue",
                "integer?",
                "tells what action sets and wildcards have grown since that version of the catalogue",
            ),
        ])
}

fn system() -> Vec<Endpoint> {
    vec![
        get("/v1/policy/system", list_system)
            .tells(
                "Lists the policies of the system, which every organisation can attach.",
                "nothing, but a credential",
            )
            .lists(),
        get("/v1/policy/system/{id}", describe_system)
            .tells("Shows a policy of the system.", "nothing, but a credential"),
        get("/v1/policy/system/{id}/entities", entities_of_system)
            .tells(
                "Lists what carries a policy of the system in an organisation.",
                "iam:ListPolicy on org/<organisation>",
            )
            .lists()
            .asks(&[(
                "organisation",
                "string",
                "id of the organisation; the caller's if left out",
            )]),
    ]
}

fn attaching() -> Vec<Endpoint> {
    vec![
        post("/v1/org/{organisation}/trust/{id}/attach", attach)
            .tells(
                "Adds a policy to those of a trust, by reference.",
                "iam:UpdateTrust on its trustor",
            )
            .takes(&[POLICY]),
        post("/v1/org/{organisation}/trust/{id}/detach", detach)
            .tells(
                "Takes a policy by reference from those of a trust.",
                "iam:UpdateTrust on its trustor",
            )
            .takes(&[POLICY]),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    id: String,
    name: Option<String>,
    document: Box<RawValue>,
    dialect: Option<String>,
}

/// A document, and in which dialect it is said to be.
fn text(document: &RawValue, dialect: Option<&str>) -> Result<PolicyText, Problem> {
    let invalid = |error| Problem::invalid(format!("the document: {error}"));
    Ok(PolicyText {
        text: document_text(document).map_err(invalid)?,
        dialect: dialect
            .map(policies::dialect)
            .transpose()
            .map_err(invalid)?,
    })
}

async fn create(call: Call, target: Target, Body(body): Body<Create>) -> Result<Response, Problem> {
    let path = format!("{}/{}", target.0, body.id);
    let change = Change::CreatePolicy {
        organisation: target.organisation().to_owned(),
        id: body.id,
        name: body.name,
        document: text(&body.document, body.dialect.as_deref())?,
    };
    call.change_and_show(change, &path, StatusCode::CREATED)
        .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    document: Box<RawValue>,
    dialect: Option<String>,
    kind: Option<String>,
    since_catalogue: Option<u32>,
}

async fn check(call: Call, Body(body): Body<Check>) -> Result<Response, Problem> {
    let kind = match body.kind.as_deref() {
        None | Some("identity") => PolicyKind::Identity,
        Some("resource") => PolicyKind::Resource,
        Some(_) => return Err(Problem::invalid("`kind` is `identity` or `resource`")),
    };
    let document = text(&body.document, body.dialect.as_deref())?;
    let organisation = call.own_organisation().unwrap_or_default();
    let now = checking::milliseconds(call.now);
    let work = move || {
        let options = Options {
            dialect: document.dialect,
            kind,
            organisation: &organisation,
            now,
            catalogue: body.since_catalogue,
        };
        checking::shown(&keyward_policy::check::check(&document.text, &options))
    };
    Ok(axum::Json(checked(work).await?).into_response())
}

async fn checked(work: impl FnOnce() -> Value + Send + 'static) -> Result<Value, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the check failed inside Keyward",
        )
    })
}

async fn check_version(call: Call, target: Target) -> Result<Response, Problem> {
    let (path, number) = version_of(target.of("check"))?;
    call.read("iam:DescribePolicy", path)?;
    let missing = || Problem::not_found(&target.0);
    let found = call
        .directory
        .policy_at(path)
        .and_then(|ix| call.directory.policy(ix));
    let version = found
        .and_then(|policy| policy.version(number))
        .ok_or_else(missing)?;
    let (policy, catalogue) = (Arc::clone(&version.policy), version.catalogue);
    let now = checking::milliseconds(call.now);
    let work = move || {
        let options = Options {
            dialect: Some(policy.dialect()),
            kind: PolicyKind::Identity,
            organisation: policy.organisation(),
            now,
            catalogue: Some(catalogue),
        };
        let mut shown = checking::shown(&keyward_policy::check::check(policy.text(), &options));
        show::insert(&mut shown, "dialect", policy.dialect().name());
        show::insert(&mut shown, "catalogue", catalogue);
        show::insert(&mut shown, "document", policy.text());
        shown
    };
    Ok(axum::Json(checked(work).await?).into_response())
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    document: Box<RawValue>,
    dialect: Option<String>,
    #[serde(default = "yes")]
    default: bool,
}

async fn update(call: Call, target: Target, Body(body): Body<Update>) -> Result<Response, Problem> {
    let path = target.0;
    let change = Change::UpdatePolicy {
        path: path.clone(),
        document: text(&body.document, body.dialect.as_deref())?,
        make_default: body.default,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DefaultVersion {
    version: u32,
}

async fn set_default(
    call: Call,
    target: Target,
    Body(body): Body<DefaultVersion>,
) -> Result<Response, Problem> {
    let path = target.of("default_version").to_owned();
    let change = Change::SetDefaultPolicyVersion {
        path: path.clone(),
        version: body.version,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

async fn remove(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.0;
    let change = Change::DeletePolicy { path: path.clone() };
    call.change_and_show(change, &path, StatusCode::OK).await
}

/// The versions of a policy as they are shown, each with whether it is the default.
fn shown_versions(call: &Call, path: &str) -> Result<Vec<Value>, Problem> {
    call.read("iam:DescribePolicy", path)?;
    let mut policy = show::entity(&call.directory, path).unwrap_or_default();
    let default = policy["default_version"].take();
    let Value::Array(mut versions) = policy["versions"].take() else {
        return Err(Problem::not_found(path));
    };
    for version in &mut versions {
        let is_default = version["version"] == default;
        show::insert(version, "default", is_default);
    }
    Ok(versions)
}

async fn versions(call: Call, target: Target) -> Result<Response, Problem> {
    let versions = shown_versions(&call, target.of("versions"))?;
    // Sorted as numbers, from the oldest.
    let entries = versions.into_iter().map(|version| {
        let number = version["version"].as_u64().unwrap_or_default();
        (format!("{number:020}"), version)
    });
    Ok(call.list_of(entries, |_, version| Some(version)))
}

/// The policy and the number of the version that the URL names.
fn version_of(target: &str) -> Result<(&str, u32), Problem> {
    let missing = || Problem::not_found(target);
    let (path, number) = target.rsplit_once("/versions/").ok_or_else(missing)?;
    Ok((path, number.parse().map_err(|_| missing())?))
}

async fn version(call: Call, target: Target) -> Result<Response, Problem> {
    let (path, number) = version_of(&target.0)?;
    let versions = shown_versions(&call, path)?;
    let wanted = versions
        .into_iter()
        .find(|found| found["version"] == number);
    let mut wanted = wanted.ok_or_else(|| Problem::not_found(&target.0))?;
    show::insert(&mut wanted, "path", path);
    Ok(axum::Json(wanted).into_response())
}

async fn remove_version(call: Call, target: Target) -> Result<Response, Problem> {
    let (path, version) = version_of(&target.0)?;
    let path = path.to_owned();
    let change = Change::DeletePolicyVersion {
        path: path.clone(),
        version,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

/// What carries a policy, as far as the caller may see it.
fn carriers(call: &Call, policy: &str, organisation: Option<IdentityIx>) -> Response {
    let mut carriers = call.directory.policy_carriers(policy, organisation);
    carriers.sort();
    let mut entries: Vec<(String, &PolicyCarrier)> = carriers
        .iter()
        .map(|found| {
            let role = match found {
                PolicyCarrier::Trust { .. } => "trust",
                PolicyCarrier::Boundary { .. } => "boundary",
                PolicyCarrier::Guardrails { .. } => "guardrails",
            };
            (format!("{} {role}", found.path()), found)
        })
        .collect();
    entries.sort_by(|one, other| one.0.cmp(&other.0));
    let seen = |found: &PolicyCarrier| call.sees(found.path());
    let shown = |found: &PolicyCarrier| match found {
        PolicyCarrier::Trust { path, trustor } => {
            let trust = call.directory.trust_at(path);
            let trustee = trust
                .and_then(|ix| call.directory.trust(ix))
                .and_then(|trust| call.directory.identity(trust.trustee))
                .map(|identity| &identity.path);
            json!({ "as": "trust", "path": path, "trustor": trustor, "trustee": trustee })
        }
        PolicyCarrier::Boundary { identity } => json!({ "as": "boundary", "path": identity }),
        PolicyCarrier::Guardrails { organisation } => {
            json!({ "as": "guardrails", "path": organisation })
        }
    };
    call.list_of(entries, |_, found| seen(found).then(|| shown(found)))
}

async fn entities(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.of("entities");
    call.read("iam:DescribePolicy", path)?;
    Ok(carriers(&call, path, None))
}

async fn list_system(call: Call) -> Response {
    let paths = SystemPolicy::all().map(|policy| policy.path());
    call.list_of_paths(paths.collect(), |path| show::entity(&call.directory, path))
}

async fn describe_system(call: Call, target: Target) -> Result<Response, Problem> {
    match show::entity(&call.directory, &target.0) {
        Some(policy) => Ok(axum::Json(policy).into_response()),
        None => Err(Problem::not_found(&target.0)),
    }
}

#[derive(Deserialize)]
struct Organisation {
    organisation: Option<String>,
}

async fn entities_of_system(
    call: Call,
    target: Target,
    Query(query): Query<Organisation>,
) -> Result<Response, Problem> {
    let path = target.of("entities");
    if SystemPolicy::at(path).is_none() {
        return Err(Problem::not_found(path));
    }
    let organisation = query.organisation.or_else(|| call.own_organisation());
    let Some(organisation) = organisation else {
        return Err(Problem::invalid("which organisation? give `organisation`"));
    };
    let organisation = crate::api::path(&["org", &organisation])?;
    call.list("iam:ListPolicy", &organisation)?;
    let ix = call.directory.identity_at(&organisation);
    Ok(carriers(&call, path, ix))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attach {
    policy: String,
}

async fn attach(call: Call, target: Target, Body(body): Body<Attach>) -> Result<Response, Problem> {
    let path = target.of("attach").to_owned();
    let change = Change::AttachPolicy {
        trust: path.clone(),
        policy: body.policy,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

async fn detach(call: Call, target: Target, Body(body): Body<Attach>) -> Result<Response, Problem> {
    let path = target.of("detach").to_owned();
    let change = Change::DetachPolicy {
        trust: path.clone(),
        policy: body.policy,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}
