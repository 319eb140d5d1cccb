//! Tags of identities and databases.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use keyward_iam::Change;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Endpoint, Target, get, patch};
use crate::api::Call;
use crate::body::Body;
use crate::problem::Problem;

pub(super) fn endpoints() -> Vec<Endpoint> {
    [
        ("/v1/org/{organisation}/tags", "org:Tag on it"),
        (
            "/v1/org/{organisation}/programmatic_identity/{id}/tags",
            "iam:TagProgrammaticIdentity on it; never granted on oneself by one's own tags",
        ),
        (
            "/v1/org/{organisation}/group/{id}/tags",
            "iam:TagGroup on it",
        ),
        ("/v1/org/{organisation}/role/{id}/tags", "iam:TagRole on it"),
        (
            "/v1/org/{organisation}/org_user/{id}/tags",
            "iam:TagOrgUser on it",
        ),
        (
            "/v1/org/{organisation}/identity_provider/{id}/tags",
            "iam:TagIdentityProvider on it",
        ),
        ("/v1/user/{id}/tags", "iam:TagUser on it"),
        (
            "/v1/org/{organisation}/kvdb/{id}/tags",
            "iam:TagDatabase on it",
        ),
    ]
    .into_iter()
    .flat_map(|(path, decided)| {
        [
            get(path, list).tells("Shows the tags of a thing.", "what shows the thing"),
            patch(path, change)
                .tells("Sets and removes tags; the others stay.", decided)
                .takes(&[(
                    "tags",
                    "object",
                    "keys with their new values; a value of null removes the tag",
                )]),
        ]
    })
    .collect()
}

async fn list(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.of("tags");
    let Some(tags) = call.directory.tags_of(path).filter(|_| call.sees(path)) else {
        return Err(Problem::not_found(path));
    };
    let tags: Map<String, Value> = tags
        .iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    Ok(axum::Json(json!({ "path": path, "tags": tags })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tags {
    tags: BTreeMap<String, Option<String>>,
}

async fn change(call: Call, target: Target, Body(body): Body<Tags>) -> Result<Response, Problem> {
    let path = target.of("tags").to_owned();
    let (mut set, mut remove) = (BTreeMap::new(), Vec::new());
    for (key, value) in body.tags {
        match value {
            Some(value) => {
                set.insert(key, value);
            }
            None => remove.push(key),
        }
    }
    let change = Change::SetTags {
        path: path.clone(),
        set,
        remove,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}
