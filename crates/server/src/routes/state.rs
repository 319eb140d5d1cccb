//! Everything that an organisation has, at one moment: what `keyward export` writes down and
//! `keyward apply` compares with.

use axum::response::{IntoResponse, Response};
use keyward_iam::{Attachment, Directory, Entity, Identity, IdentityIx, Kind, Trust};
use keyward_policy::Policy;
use serde_json::{Map, Value, json};

use super::{Endpoint, Target, get};
use crate::api::Call;
use crate::etag::EntityTag;
use crate::problem::Problem;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![get("/v1/org/{organisation}/state", state).tells(
        "Shows everything that an organisation has, at one moment, as far as the caller may see it.",
        "org:Describe on it; each thing, its resource policy, its guardrails and its keys on what shows them",
    )]
}

/// The kinds of things that an organisation lists, each with the action that lists it.
const LISTS: [(Kind, &str); 8] = [
    (Kind::Database, "kvdb:List"),
    (Kind::ProgrammaticIdentity, "iam:ListProgrammaticIdentity"),
    (Kind::Role, "iam:ListRole"),
    (Kind::OrganisationUser, "iam:ListOrgUser"),
    (Kind::IdentityProvider, "iam:ListIdentityProvider"),
    (Kind::Group, "iam:ListGroup"),
    (Kind::Policy, "iam:ListPolicy"),
    (Kind::Trust, "iam:ListTrust"),
];

async fn state(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.of("state");
    call.read("org:Describe", path)?;
    let work = {
        let path = path.to_owned();
        move || whole(&call, &path)
    };
    // Every thing is decided by itself: of a large organisation that is some work.
    match tokio::task::spawn_blocking(work).await {
        Ok(Some(shown)) => Ok(axum::Json(shown).into_response()),
        Ok(None) => Err(Problem::not_found(path)),
        Err(_) => Err(Problem::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the answer failed inside Keyward",
        )),
    }
}

fn whole(call: &Call, path: &str) -> Option<Value> {
    let directory = &call.directory;
    let organisation = directory.identity_at(path)?;
    let mut complete = Map::new();
    let mut items = vec![item(call, path)?];
    for (kind, action) in LISTS {
        let paths = paths_of(directory, organisation, kind);
        let seen: Vec<Value> = paths.iter().filter_map(|path| item(call, path)).collect();
        let is_complete = call.allows(action, path) && seen.len() == paths.len();
        complete.insert(kind.as_str().to_owned(), is_complete.into());
        items.extend(seen);
    }
    let offered = incoming(directory, organisation);
    let seen: Vec<Value> = offered.iter().filter_map(|path| item(call, path)).collect();
    complete.insert(
        "acceptance".to_owned(),
        (seen.len() == offered.len()).into(),
    );
    Some(json!({
        "path": path, "revision": directory.revision(), "complete": complete, "items": items,
        "incoming": seen,
    }))
}

/// Paths of the trusts of others that are for identities of an organisation, in order.
fn incoming(directory: &Directory, organisation: IdentityIx) -> Vec<String> {
    let of = |ix| {
        let identity = directory.identity(ix);
        identity.and_then(|identity| identity.organisation)
    };
    let is_incoming = |trust: &Trust| {
        of(trust.trustee) == Some(organisation) && of(trust.trustor) != Some(organisation)
    };
    let mut paths: Vec<String> = directory
        .trusts()
        .filter(|(_, trust)| is_incoming(trust))
        .map(|(_, trust)| trust.path.to_string())
        .collect();
    paths.sort_unstable();
    paths
}

/// Paths of everything of one kind in an organisation, in order.
fn paths_of(directory: &Directory, organisation: IdentityIx, kind: Kind) -> Vec<String> {
    if kind != Kind::Trust {
        let mut paths = super::entities::paths_of(directory, organisation, kind);
        paths.sort_unstable();
        return paths;
    }
    let is_own = |ix| {
        let identity = directory.identity(ix);
        identity.and_then(|identity| identity.organisation) == Some(organisation)
    };
    let trusts = directory.trusts();
    let mut paths: Vec<String> = trusts
        .filter(|(_, trust)| is_own(trust.trustor))
        .map(|(_, trust)| trust.path.to_string())
        .collect();
    paths.sort_unstable();
    paths
}

/// A thing as it is described, with its documents as they were written; `None` if the caller may
/// not see it. What belongs to it and may not be seen is not there; what it has not is null.
fn item(call: &Call, path: &str) -> Option<Value> {
    let directory = &call.directory;
    let mut shown = call.describe(path).ok()?;
    let object = shown.as_object_mut()?;
    let etag = EntityTag::of(&call.api.hash_key, directory, path)?;
    object.insert("etag".to_owned(), etag.quoted().into());
    match directory.entity(path)? {
        Entity::Identity(ix) => {
            let identity = directory.identity(ix)?;
            object.insert("boundary".to_owned(), texts(directory, &identity.boundary));
            if call.allows("iam:GetResourcePolicy", path) {
                let policy = identity.resource_policy.as_deref().map(text);
                object.insert("resource_policy".to_owned(), policy.into());
            }
            if let Some(details) = identity.organisation_details()
                && call.allows("org:DescribeGuardrail", path)
            {
                let guardrails = texts(directory, &details.guardrails);
                object.insert("guardrails".to_owned(), guardrails);
            }
            if call.allows("iam:ListAccessKey", path) {
                object.insert("access_keys".to_owned(), keys(call, identity));
            }
        }
        Entity::Database(ix) => {
            let database = directory.database(ix)?;
            if call.allows("iam:GetResourcePolicy", path) {
                let policy = database.resource_policy.as_deref().map(text);
                object.insert("resource_policy".to_owned(), policy.into());
            }
        }
        Entity::Policy(ix) => {
            let policy = directory.policy(ix)?;
            let others = policy.versions.iter();
            let others = others.filter(|version| version.number != policy.default_version);
            let others: Map<String, Value> = others
                .map(|version| (version.number.to_string(), text(&version.policy)))
                .collect();
            object.insert("versions".to_owned(), others.into());
            object.insert("document".to_owned(), text(policy.default()));
        }
        Entity::Trust(ix) => {
            let trust = directory.trust(ix)?;
            object.insert("policies".to_owned(), texts(directory, &trust.policies));
            // Whoever writes the state down writes down what makes it.
            object.insert("managed_by".to_owned(), trust.managed_by().into());
        }
        // Snapshots are data, not state.
        Entity::AccessKey(_) | Entity::Snapshot(_) | Entity::Tombstone => return None,
    }
    Some(shown)
}

/// The access keys of an identity, as far as the caller may see them; never a secret.
fn keys(call: &Call, identity: &Identity) -> Value {
    let directory = &call.directory;
    let keys = identity.access_keys.iter();
    let shown = keys.filter_map(|ix| {
        let path = directory.access_key_path(directory.access_key_by_ix(*ix)?);
        call.describe(&path).ok()
    });
    shown.collect()
}

/// A document as it was written.
fn text(policy: &Policy) -> Value {
    json!({ "dialect": policy.dialect().name(), "text": policy.text() })
}

/// Policies of a list: documents as they were written, and references.
fn texts(directory: &Directory, list: &[Attachment]) -> Value {
    let one = |attachment: &Attachment| match attachment {
        Attachment::Inline(policy) => text(policy),
        Attachment::System(policy, _) => json!({ "policy": policy.path() }),
        Attachment::Named(ix) => {
            json!({ "policy": directory.policy(*ix).map(|policy| policy.path.to_string()) })
        }
    };
    list.iter().map(one).collect()
}
