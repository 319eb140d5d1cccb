//! Access keys.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use keyward_auth::{AccessKeyId, AccessKeySecret, hash_secret, seal_secret};
use keyward_iam::{Change, KeyStatus};
use serde::Deserialize;
use serde_json::Value;

use super::trusts::ExpiresAt;
use super::{Endpoint, Target, delete, get, patch, post, put, sessions};
use crate::api::Call;
use crate::body::Body;
use crate::problem::Problem;
use crate::show;

const ALL: &str = "/v1/org/{organisation}/programmatic_identity/{id}/access_key";
const ONE: &str = "/v1/org/{organisation}/programmatic_identity/{id}/access_key/{key_id}";
const STATUS: (&str, &str, &str) = ("status", "string?", "`active` or `disabled`");
const DESCRIPTION: (&str, &str, &str) = ("description", "string?", "what it is for");
const EXPIRES_AT: (&str, &str, &str) = (
    "expires_at",
    "string?",
    "when it opens nothing any more: RFC 3339, or milliseconds since 1970; null: never",
);

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
            .takes(&[
                DESCRIPTION,
                EXPIRES_AT,
                (
                    "sigv4",
                    "boolean?",
                    "keep the secret, sealed, so that it can sign: AWS signatures, connect tokens",
                ),
            ])
            .creates(),
        get(ONE, describe)
            .tells("Shows an access key.", "iam:DescribeAccessKey on it"),
        get("/v1/access_key/{key_id}", find).tells(
            "Finds an access key by its id alone.",
            "iam:DescribeAccessKey on it",
        ),
        patch(ONE, update)
            .tells(
                "Changes the status, the description or the end of an access key; what is left out stays.",
                "iam:UpdateAccessKey on the identity",
            )
            .takes(&[STATUS, DESCRIPTION, EXPIRES_AT]),
        put(ONE, update)
            .tells(
                "Changes the status, the description or the end of an access key; what is left out stays.",
                "iam:UpdateAccessKey on the identity",
            )
            .takes(&[STATUS, DESCRIPTION, EXPIRES_AT]),
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
    Ok(call.list_of_paths(paths.collect(), |path| {
        Some(with_use(&call, super::entities::item(&call, path)?))
    }))
}

async fn find(call: Call, Path(key_id): Path<String>) -> Result<Response, Problem> {
    let found = call.directory.access_key(&key_id);
    let path = found.map(|(_, key)| call.directory.access_key_path(key));
    let shown: String = key_id.chars().take(64).collect();
    let path = path.ok_or_else(|| Problem::not_found(&shown))?;
    let entity = call
        .describe(&path)
        .map_err(|_| Problem::not_found(&shown))?;
    Ok(axum::Json(with_use(&call, entity)).into_response())
}

/// Adds who used the key last, and who does now: what a rotation waits for.
fn with_use(call: &Call, mut shown: Value) -> Value {
    // Who only sees that there is such a key sees nothing else.
    if let Some(id) = shown.get("id").and_then(Value::as_str)
        && shown.get("status").is_some()
    {
        let (last, connections) = call.api.verifier.usage.of_key(id);
        let last = last.as_ref().map(sessions::last_used);
        show::insert(&mut shown, "last_used", last.unwrap_or(Value::Null));
        show::insert(
            &mut shown,
            "connections",
            sessions::connections(&connections),
        );
    }
    shown
}

async fn describe(call: Call, target: Target) -> Result<Response, Problem> {
    let shown = call.describe(&target.0)?;
    Ok(axum::Json(with_use(&call, shown)).into_response())
}

fn check_description(description: Option<&String>) -> Result<(), Problem> {
    let fits = |text: &String| text.len() <= 256 && !text.chars().any(char::is_control);
    if description.is_none_or(fits) {
        return Ok(());
    }
    let text = "a description has at most 256 bytes and no control characters";
    Err(Problem::invalid(text))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    description: Option<String>,
    #[serde(default)]
    expires_at: ExpiresAt,
    #[serde(default)]
    sigv4: bool,
}

async fn create(call: Call, target: Target, Body(body): Body<Create>) -> Result<Response, Problem> {
    check_description(body.description.as_ref())?;
    let identity = target.of("access_key");
    let key_id = AccessKeyId::generate();
    let secret = AccessKeySecret::generate(key_id);
    let changed = call
        .change(Change::CreateAccessKey {
            identity: identity.to_owned(),
            key_id: key_id.to_string(),
            secret_hash: hash_secret(&call.api.hash_key, &secret),
            description: body.description,
            expires_at: body.expires_at.0.flatten(),
            sealed_secret: body
                .sigv4
                .then(|| seal_secret(&call.api.master_key, &secret)),
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
    Ok(show::no_store(status, shown))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    status: Option<KeyStatus>,
    // An explicit null takes it away.
    #[serde(default, deserialize_with = "given")]
    description: Option<Option<String>>,
    #[serde(default)]
    expires_at: ExpiresAt,
}

/// What is there, also if it is null.
fn given<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

async fn update(call: Call, target: Target, Body(body): Body<Update>) -> Result<Response, Problem> {
    check_description(body.description.as_ref().and_then(Option::as_ref))?;
    let path = target.0;
    let change = Change::UpdateAccessKey {
        path: path.clone(),
        status: body.status,
        description: body.description,
        expires_at: body.expires_at.0,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

async fn remove(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.0;
    let change = Change::DeleteAccessKey { path: path.clone() };
    call.change_and_show(change, &path, StatusCode::OK).await
}
