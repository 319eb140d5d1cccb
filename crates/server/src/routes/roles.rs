//! Roles: identities that are assumed for a limited time.

use axum::http::StatusCode;
use axum::response::Response;
use keyward_iam::Change;
use serde::{Deserialize, Deserializer};

use super::entities::{CASCADE, ID, NAME, NEW_NAME, delete_identity, describe, list};
use super::{Endpoint, Target, delete, get, patch, post, put};
use crate::api::Call;
use crate::body::Body;
use crate::problem::Problem;

const ALL: &str = "/v1/org/{organisation}/role";
const ONE: &str = "/v1/org/{organisation}/role/{id}";
const DESCRIPTION: (&str, &str, &str) = (
    "description",
    "string?",
    "what it is for; null takes it away",
);
const LONGEST: (&str, &str, &str) = (
    "max_session_seconds",
    "integer?",
    "how long a session of it lasts at most: 900 to 43200, 3600 unless said otherwise",
);

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get(ALL, list)
            .tells(
                "Lists the roles of an organisation.",
                "iam:ListRole on org/<organisation>",
            )
            .lists(),
        post(ALL, create)
            .tells(
                "Creates a role. Assumable trusts say who may assume it, other trusts what it may do.",
                "iam:CreateRole on org/<organisation>",
            )
            .takes(&[ID, NAME, DESCRIPTION, LONGEST])
            .creates(),
        get(ONE, describe).tells("Shows a role.", "iam:DescribeRole on it"),
        patch(ONE, update)
            .tells(
                "Renames a role, or changes what it is for and how long its sessions last.",
                "iam:UpdateRole on it; for a new name also iam:TagRole",
            )
            .takes(&[NEW_NAME, DESCRIPTION, LONGEST]),
        put(ONE, update)
            .tells(
                "Renames a role, or changes what it is for and how long its sessions last.",
                "iam:UpdateRole on it; for a new name also iam:TagRole",
            )
            .takes(&[NEW_NAME, DESCRIPTION, LONGEST]),
        delete(ONE, delete_identity)
            .tells(
                "Deletes a role; its sessions end.",
                "iam:DeleteRole on it; with cascade iam:DeleteTrust on each trustor",
            )
            .asks(&[CASCADE]),
    ]
}

/// A field that may be left out, be null, or have a value.
pub(super) fn given<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// What people write about a thing: short, and on one line.
pub(super) fn check_description(text: Option<&str>) -> Result<(), Problem> {
    match text {
        Some(text) if text.len() > 256 || text.chars().any(char::is_control) => Err(
            Problem::invalid("a description has at most 256 bytes and no control characters"),
        ),
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    id: String,
    name: Option<String>,
    description: Option<String>,
    max_session_seconds: Option<u32>,
}

async fn create(call: Call, target: Target, Body(body): Body<Create>) -> Result<Response, Problem> {
    check_description(body.description.as_deref())?;
    let path = format!("{}/{}", target.0, body.id);
    let change = Change::CreateRole {
        organisation: target.organisation().to_owned(),
        id: body.id,
        name: body.name,
        description: body.description,
        max_session_seconds: body.max_session_seconds,
    };
    call.change_and_show(change, &path, StatusCode::CREATED)
        .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    #[serde(default, deserialize_with = "given")]
    name: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    description: Option<Option<String>>,
    max_session_seconds: Option<u32>,
}

async fn update(call: Call, target: Target, Body(body): Body<Update>) -> Result<Response, Problem> {
    if body.name.is_none() && body.description.is_none() && body.max_session_seconds.is_none() {
        let text = "what is to change? give `name`, `description` or `max_session_seconds`";
        return Err(Problem::invalid(text));
    }
    check_description(body.description.as_ref().and_then(|text| text.as_deref()))?;
    let path = target.0;
    let change = Change::UpdateRole {
        path: path.clone(),
        name: body.name,
        description: body.description,
        max_session_seconds: body.max_session_seconds,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}
