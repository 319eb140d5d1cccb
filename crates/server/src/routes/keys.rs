//! Access keys.

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use keyward_auth::{AccessKeyId, AccessKeySecret, hash_secret};
use keyward_iam::{Change, KeyStatus};
use serde::Deserialize;

use super::{Endpoint, Target, delete, get, patch, post, put};
use crate::api::Call;
use crate::body::Body;
use crate::problem::Problem;
use crate::show;

const ALL: &str = "/v1/org/{organisation}/programmatic_identity/{id}/access_key";
const ONE: &str = "/v1/org/{organisation}/programmatic_identity/{id}/access_key/{key_id}";
const STATUS: (&str, &str, &str) = ("status", "string", "`active` or `disabled`");

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get(ALL, list)
            .tells(
                "Lists the access keys of an identity.",
                "iam:ListAccessKey on the identity",
            )
            .lists(),
        post(ALL, create)
            .tells(
                "Creates an access key and shows its secret, once.",
                "iam:CreateAccessKey on the identity",
            )
            .takes(&[("description", "string?", "what it is for")])
            .creates(),
        get(ONE, super::entities::describe)
            .tells("Shows an access key.", "iam:DescribeAccessKey on it"),
        get("/v1/access_key/{key_id}", find).tells(
            "Finds an access key by its id alone.",
            "iam:DescribeAccessKey on it",
        ),
        patch(ONE, update)
            .tells(
                "Disables or enables an access key.",
                "iam:UpdateAccessKey on the identity",
            )
            .takes(&[STATUS]),
        put(ONE, update)
            .tells(
                "Disables or enables an access key.",
                "iam:UpdateAccessKey on the identity",
            )
            .takes(&[STATUS]),
        delete(ONE, remove).tells("Deletes an access key.", "iam:DeleteAccessKey on it"),
    ]
}

async fn list(call: Call, target: Target) -> Result<Response, Problem> {
    let identity = target.of("access_key");
    match call.decide("iam:ListAccessKey", identity) {
        Some(decision) if !decision.is_allow() => return Err(call.denied(&decision)),
        _ => {}
    }
    let directory = &call.directory;
    let identity = directory
        .identity_at(identity)
        .and_then(|ix| directory.identity(ix))
        .ok_or_else(|| Problem::not_found(identity))?;
    let keys = identity.access_keys.iter();
    let paths = keys.filter_map(|ix| {
        let key = directory.access_key_by_ix(*ix)?;
        Some(directory.access_key_path(key))
    });
    Ok(call.list_of_paths(paths.collect(), |path| super::entities::item(&call, path)))
}

async fn find(call: Call, Path(key_id): Path<String>) -> Result<Response, Problem> {
    use axum::response::IntoResponse;
    let found = call.directory.access_key(&key_id);
    let path = found.map(|(_, key)| call.directory.access_key_path(key));
    let shown: String = key_id.chars().take(64).collect();
    let path = path.ok_or_else(|| Problem::not_found(&shown))?;
    let entity = call
        .describe(&path)
        .map_err(|_| Problem::not_found(&shown))?;
    Ok(axum::Json(entity).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    description: Option<String>,
}

async fn create(call: Call, target: Target, Body(body): Body<Create>) -> Result<Response, Problem> {
    use axum::response::IntoResponse;
    if let Some(description) = &body.description
        && (description.len() > 256 || description.chars().any(char::is_control))
    {
        let text = "a description has at most 256 bytes and no control characters";
        return Err(Problem::invalid(text));
    }
    let identity = target.of("access_key");
    let key_id = AccessKeyId::generate();
    let secret = AccessKeySecret::generate(key_id);
    let changed = call
        .change(Change::CreateAccessKey {
            identity: identity.to_owned(),
            key_id: key_id.to_string(),
            secret_hash: hash_secret(&call.api.hash_key, &secret),
            description: body.description,
            expires_at: None,
            sealed_secret: None,
        })
        .await?;
    let path = format!("{identity}/access_key/{key_id}");
    let mut shown =
        show::entity(&changed.directory, &path).ok_or_else(|| Problem::not_found(&path))?;
    let mut status = StatusCode::OK;
    if call.dry_run {
        // The next key will have another id.
        for field in ["id", "path"] {
            show::insert(&mut shown, field, serde_json::Value::Null);
        }
        show::insert(&mut shown, "dry_run", true);
    } else {
        show::insert(&mut shown, "access_key_id", key_id.as_str());
        show::insert(&mut shown, "secret_access_key", secret.expose());
        status = StatusCode::CREATED;
    }
    let mut response = (status, axum::Json(shown)).into_response();
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    status: KeyStatus,
}

async fn update(call: Call, target: Target, Body(body): Body<Update>) -> Result<Response, Problem> {
    let path = target.0;
    let change = Change::UpdateAccessKey {
        path: path.clone(),
        status: Some(body.status),
        description: None,
        expires_at: None,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

async fn remove(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.0;
    let change = Change::DeleteAccessKey { path: path.clone() };
    call.change_and_show(change, &path, StatusCode::OK).await
}
