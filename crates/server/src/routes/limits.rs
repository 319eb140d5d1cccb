//! Resource policies, boundaries and guardrails.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use keyward_iam::{Change, Entity, Kind, PathParts, PolicyText};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{Endpoint, Target, delete, get, put};
use crate::api::Call;
use crate::body::{Body, Text};
use crate::policies::{self, policy_inputs};
use crate::problem::Problem;
use crate::query::Query;
use crate::show;

const POLICIES: (&str, &str, &str) = (
    "policies",
    "array",
    "documents or {\"policy\": \"policy/<id>\"}: one must allow, none may deny",
);

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut all = Vec::new();
    for path in [
        "/v1/org/{organisation}/resource_policy",
        "/v1/org/{organisation}/kvdb/{id}/resource_policy",
        "/v1/org/{organisation}/programmatic_identity/{id}/resource_policy",
        "/v1/org/{organisation}/group/{id}/resource_policy",
        "/v1/org/{organisation}/role/{id}/resource_policy",
        "/v1/org/{organisation}/org_user/{id}/resource_policy",
        "/v1/org/{organisation}/identity_provider/{id}/resource_policy",
    ] {
        all.extend([
            get(path, get_resource_policy).tells(
                "Shows which identities a resource accepts besides its owner.",
                "iam:GetResourcePolicy on the resource",
            ),
            put(path, put_resource_policy)
                .tells(
                    "Sets which identities a resource accepts. The body is the document itself.",
                    "iam:PutResourcePolicy on the resource",
                )
                .takes(&[("", "any", "the document")])
                .asks(&[(
                    "dialect",
                    "string",
                    "native, aws, tencent or alibaba; the document's form tells it if it is left out",
                )]),
            delete(path, delete_resource_policy).tells(
                "Takes a resource policy away: the owner alone is accepted.",
                "iam:DeleteResourcePolicy on the resource",
            ),
        ]);
    }
    for path in [
        "/v1/org/{organisation}/boundary",
        "/v1/org/{organisation}/programmatic_identity/{id}/boundary",
        "/v1/org/{organisation}/group/{id}/boundary",
        "/v1/org/{organisation}/role/{id}/boundary",
        "/v1/org/{organisation}/org_user/{id}/boundary",
    ] {
        all.extend([
            get(path, get_boundary)
                .tells("Shows what limits an identity.", "what shows the identity"),
            put(path, put_boundary)
                .tells(
                    "Limits what is done by or as an identity.",
                    "iam:PutPermissionBoundary on the identity, never by itself",
                )
                .takes(&[POLICIES]),
            delete(path, delete_boundary).tells(
                "Takes a boundary away.",
                "iam:PutPermissionBoundary on the identity, never by itself",
            ),
        ]);
    }
    const GUARDRAILS: &str = "/v1/org/{organisation}/guardrails";
    all.extend([
        get(GUARDRAILS, get_guardrails).tells(
            "Shows the guardrails of an organisation.",
            "org:DescribeGuardrail on it",
        ),
        put(GUARDRAILS, put_guardrails)
            .tells(
                "Sets policies that bind every request by an organisation's identities and on its resources.",
                "org:PutGuardrail on it",
            )
            .takes(&[POLICIES]),
        delete(GUARDRAILS, delete_guardrails).tells(
            "Takes the guardrails away.",
            "org:PutGuardrail on it",
        ),
    ]);
    all
}

async fn get_resource_policy(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.of("resource_policy");
    call.read("iam:GetResourcePolicy", path)?;
    let directory = &call.directory;
    let policy = match directory.entity(path) {
        Some(Entity::Identity(ix)) => directory
            .identity(ix)
            .and_then(|i| i.resource_policy.as_ref()),
        Some(Entity::Database(ix)) => directory
            .database(ix)
            .and_then(|d| d.resource_policy.as_ref()),
        _ => None,
    };
    match policy {
        Some(policy) => Ok(axum::Json(show::document(policy)).into_response()),
        None => {
            let detail = format!("`{path}` has no resource policy: it accepts its owner alone");
            Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail))
        }
    }
}

#[derive(Deserialize)]
struct InDialect {
    dialect: Option<String>,
}

async fn put_resource_policy(
    call: Call,
    target: Target,
    Query(query): Query<InDialect>,
    Text(text): Text,
) -> Result<Response, Problem> {
    let path = target.of("resource_policy").to_owned();
    let dialect = query.dialect.as_deref().map(policies::dialect);
    let dialect = dialect
        .transpose()
        .map_err(|error| Problem::invalid(error.to_string()))?;
    let change = Change::PutResourcePolicy {
        path: path.clone(),
        document: PolicyText { text, dialect },
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

async fn delete_resource_policy(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.of("resource_policy").to_owned();
    let change = Change::DeleteResourcePolicy { path: path.clone() };
    call.change_and_show(change, &path, StatusCode::OK).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policies {
    policies: Vec<Box<RawValue>>,
}

fn inputs(body: &Policies) -> Result<Vec<keyward_iam::PolicyInput>, Problem> {
    policy_inputs(&body.policies).map_err(|error| Problem::invalid(error.to_string()))
}

async fn get_boundary(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.of("boundary");
    let action = match PathParts::of(path).map(|parts| parts.kind) {
        Some(Kind::Organisation) => "org:Describe",
        Some(Kind::Group) => "iam:DescribeGroup",
        Some(Kind::Role) => "iam:DescribeRole",
        Some(Kind::OrganisationUser) => "iam:DescribeOrgUser",
        _ => "iam:DescribeProgrammaticIdentity",
    };
    call.read(action, path)?;
    let directory = &call.directory;
    let identity = directory
        .identity_at(path)
        .and_then(|ix| directory.identity(ix));
    let boundary = identity.map_or(&[][..], |identity| &identity.boundary);
    let policies = show::attachments(directory, boundary);
    Ok(axum::Json(json!({ "policies": policies })).into_response())
}

async fn put_boundary(
    call: Call,
    target: Target,
    Body(body): Body<Policies>,
) -> Result<Response, Problem> {
    let path = target.of("boundary").to_owned();
    let change = Change::PutBoundary {
        identity: path.clone(),
        policies: inputs(&body)?,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

async fn delete_boundary(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.of("boundary").to_owned();
    let change = Change::DeleteBoundary {
        identity: path.clone(),
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

async fn get_guardrails(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.of("guardrails");
    call.read("org:DescribeGuardrail", path)?;
    let directory = &call.directory;
    let organisation = directory
        .identity_at(path)
        .and_then(|ix| directory.identity(ix));
    let details = organisation.and_then(|organisation| organisation.organisation_details());
    let guardrails = details.map_or(&[][..], |details| &details.guardrails);
    let policies = show::attachments(directory, guardrails);
    Ok(axum::Json(json!({ "policies": policies })).into_response())
}

async fn set_guardrails(
    call: Call,
    target: &Target,
    policies: Vec<keyward_iam::PolicyInput>,
) -> Result<Response, Problem> {
    let path = target.of("guardrails").to_owned();
    let change = Change::PutGuardrails {
        organisation: path.clone(),
        policies,
    };
    let changed = call.change(change).await?;
    let directory = &changed.directory;
    let organisation = directory
        .identity_at(&path)
        .and_then(|ix| directory.identity(ix));
    let details = organisation.and_then(|organisation| organisation.organisation_details());
    let guardrails = details.map_or(&[][..], |details| &details.guardrails);
    let mut shown = json!({ "path": path, "policies": show::attachments(directory, guardrails) });
    if call.dry_run {
        show::insert(&mut shown, "dry_run", true);
    }
    let mut response = axum::Json(shown).into_response();
    call.tag(&mut response, directory, &path);
    Ok(response)
}

async fn put_guardrails(
    call: Call,
    target: Target,
    Body(body): Body<Policies>,
) -> Result<Response, Problem> {
    let policies = inputs(&body)?;
    set_guardrails(call, &target, policies).await
}

async fn delete_guardrails(call: Call, target: Target) -> Result<Response, Problem> {
    set_guardrails(call, &target, Vec::new()).await
}
