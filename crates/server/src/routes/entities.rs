//! Identities, groups and databases: what an organisation has by id and name.

use axum::http::StatusCode;
use axum::response::Response;
use keyward_iam::{Change, Directory, IdentityIx, Kind, PathParts, full_path};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Endpoint, Target, delete, get, patch, post, put};
use crate::api::Call;
use crate::body::Body;
use crate::problem::Problem;
use crate::query::Query;
use crate::show;

pub(super) const ID: (&str, &str, &str) = (
    "id",
    "string",
    "its id, unique in the organisation for ever",
);
pub(super) const NAME: (&str, &str, &str) = ("name", "string?", "what people call it");
pub(super) const NEW_NAME: (&str, &str, &str) =
    ("name", "string?", "its new name; null takes it away");
pub(super) const CASCADE: (&str, &str, &str) =
    ("cascade", "boolean", "whether its trusts are deleted, too");
pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut all =
        vec![get("/v1/user/{id}", describe).tells("Shows a user.", "iam:DescribeUser on it")];
    all.extend(identities());
    all.extend(groups());
    all
}

fn identities() -> Vec<Endpoint> {
    const ALL: &str = "/v1/org/{organisation}/programmatic_identity";
    const ONE: &str = "/v1/org/{organisation}/programmatic_identity/{id}";
    const DEFAULT: &str = "/v1/org/{organisation}/programmatic_identity/{id}/default_database";
    vec![
        get(ALL, list).tells(
            "Lists the programmatic identities of an organisation.",
            "iam:ListProgrammaticIdentity on org/<organisation>",
        ).lists(),
        post(ALL, create_identity)
            .tells(
                "Creates a programmatic identity, without permissions.",
                "iam:CreateProgrammaticIdentity on org/<organisation>",
            )
            .takes(&[ID, NAME])
            .creates(),
        get(ONE, describe).tells(
            "Shows a programmatic identity.",
            "iam:DescribeProgrammaticIdentity on it",
        ),
        patch(ONE, rename)
            .tells(
                "Renames a programmatic identity.",
                "iam:UpdateProgrammaticIdentity and iam:TagProgrammaticIdentity on it",
            )
            .takes(&[NEW_NAME]),
        put(ONE, rename)
            .tells(
                "Renames a programmatic identity.",
                "iam:UpdateProgrammaticIdentity and iam:TagProgrammaticIdentity on it",
            )
            .takes(&[NEW_NAME]),
        delete(ONE, delete_identity)
            .tells(
                "Deletes a programmatic identity and its access keys.",
                "iam:DeleteProgrammaticIdentity on it; with cascade iam:DeleteTrust on each trustor",
            )
            .asks(&[CASCADE]),
        put(DEFAULT, set_default_database)
            .tells(
                "Sets where connections go that name no database.",
                "iam:UpdateProgrammaticIdentity on it",
            )
            .takes(&[("database", "string?", "path of a database of the organisation; null takes it away")]),
        delete(DEFAULT, clear_default_database).tells(
            "Takes the default database away.",
            "iam:UpdateProgrammaticIdentity on it",
        ),
    ]
}

fn groups() -> Vec<Endpoint> {
    const ALL: &str = "/v1/org/{organisation}/group";
    const ONE: &str = "/v1/org/{organisation}/group/{id}";
    vec![
        get(ALL, list)
            .tells(
                "Lists the groups of an organisation.",
                "iam:ListGroup on org/<organisation>",
            )
            .lists(),
        post(ALL, create_group)
            .tells(
                "Creates a group: an identity that trusts its members.",
                "iam:CreateGroup on org/<organisation>",
            )
            .takes(&[ID, NAME])
            .creates(),
        get(ONE, describe).tells("Shows a group.", "iam:DescribeGroup on it"),
        patch(ONE, rename)
            .tells("Renames a group.", "iam:UpdateGroup on it")
            .takes(&[NEW_NAME]),
        put(ONE, rename)
            .tells("Renames a group.", "iam:UpdateGroup on it")
            .takes(&[NEW_NAME]),
        delete(ONE, delete_identity)
            .tells(
                "Deletes a group.",
                "iam:DeleteGroup on it; with cascade iam:DeleteTrust on each trustor",
            )
            .asks(&[CASCADE]),
    ]
}

pub(super) async fn describe(call: Call, target: Target) -> Result<Response, Problem> {
    use axum::response::IntoResponse;
    Ok(axum::Json(call.describe(&target.0)?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rename {
    // Must be there: only an explicit null takes the name away.
    #[serde(deserialize_with = "Option::deserialize")]
    name: Option<String>,
}

pub(super) async fn rename(
    call: Call,
    target: Target,
    Body(body): Body<Rename>,
) -> Result<Response, Problem> {
    let path = target.0;
    let change = Change::Rename {
        path: path.clone(),
        name: body.name,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

/// Paths of everything of one kind in an organisation.
pub(super) fn paths_of(directory: &Directory, organisation: IdentityIx, kind: Kind) -> Vec<String> {
    match kind {
        Kind::Database => directory
            .databases()
            .filter(|(_, database)| database.organisation == organisation)
            .map(|(_, database)| database.path.to_string())
            .collect(),
        Kind::Policy => {
            let below = directory
                .identity(organisation)
                .map(|identity| format!("{}/", identity.path));
            directory
                .policies()
                .filter(|(_, policy)| below.as_ref().is_some_and(|b| policy.path.starts_with(b)))
                .map(|(_, policy)| policy.path.to_string())
                .collect()
        }
        kind => directory
            .identities()
            .filter(|(_, identity)| {
                identity.kind == kind && identity.organisation == Some(organisation)
            })
            .map(|(_, identity)| identity.path.to_string())
            .collect(),
    }
}

/// An entity in a list: all of it to whom may describe it.
pub(super) fn item(call: &Call, path: &str) -> Option<Value> {
    if call.sees(path) {
        return show::entity(&call.directory, path);
    }
    let parts = PathParts::of(path)?;
    Some(json!({ "id": parts.id, "path": path, "kind": parts.kind.as_str() }))
}

pub(super) async fn list(call: Call, target: Target) -> Result<Response, Problem> {
    let (organisation, segment) = target.0.rsplit_once('/').unwrap_or((&target.0, ""));
    let (kind, action) = match Kind::from_segment(segment) {
        Some(Kind::Database) => (Kind::Database, "kvdb:List"),
        Some(Kind::Policy) => (Kind::Policy, "iam:ListPolicy"),
        Some(Kind::Group) => (Kind::Group, "iam:ListGroup"),
        Some(Kind::Role) => (Kind::Role, "iam:ListRole"),
        Some(Kind::OrganisationUser) => (Kind::OrganisationUser, "iam:ListOrgUser"),
        Some(Kind::IdentityProvider) => (Kind::IdentityProvider, "iam:ListIdentityProvider"),
        _ => (Kind::ProgrammaticIdentity, "iam:ListProgrammaticIdentity"),
    };
    call.list(action, organisation)?;
    let Some(ix) = call.directory.identity_at(organisation) else {
        return Err(Problem::not_found(organisation));
    };
    let paths = paths_of(&call.directory, ix, kind);
    Ok(call.list_of_paths(paths, |path| item(&call, path)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    id: String,
    name: Option<String>,
}

async fn create_identity(
    call: Call,
    target: Target,
    Body(body): Body<Create>,
) -> Result<Response, Problem> {
    let path = format!("{}/{}", target.0, body.id);
    let change = Change::CreateProgrammaticIdentity {
        organisation: target.organisation().to_owned(),
        id: body.id,
        name: body.name,
    };
    call.change_and_show(change, &path, StatusCode::CREATED)
        .await
}

async fn create_group(
    call: Call,
    target: Target,
    Body(body): Body<Create>,
) -> Result<Response, Problem> {
    let path = format!("{}/{}", target.0, body.id);
    let change = Change::CreateGroup {
        organisation: target.organisation().to_owned(),
        id: body.id,
        name: body.name,
    };
    call.change_and_show(change, &path, StatusCode::CREATED)
        .await
}

#[derive(Deserialize)]
pub(super) struct Cascade {
    #[serde(default)]
    cascade: bool,
}

pub(super) async fn delete_identity(
    call: Call,
    target: Target,
    Query(query): Query<Cascade>,
) -> Result<Response, Problem> {
    let path = target.0;
    let change = Change::DeleteIdentity {
        path: path.clone(),
        cascade: query.cascade,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DefaultDatabase {
    #[serde(deserialize_with = "Option::deserialize")]
    database: Option<String>,
}

async fn set_default_database(
    call: Call,
    target: Target,
    Body(body): Body<DefaultDatabase>,
) -> Result<Response, Problem> {
    let path = target.of("default_database").to_owned();
    let organisation = target.organisation();
    let change = Change::SetDefaultDatabase {
        identity: path.clone(),
        database: body
            .database
            .map(|database| full_path(&database, organisation)),
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

async fn clear_default_database(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.of("default_database").to_owned();
    let change = Change::SetDefaultDatabase {
        identity: path.clone(),
        database: None,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}
