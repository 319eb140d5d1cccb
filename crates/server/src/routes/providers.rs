//! Identity providers, and the tool that says what a token of one would give.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use keyward_auth::oidc::{UnverifiedToken, VerifiedToken};
use keyward_iam::{
    AssumeRole, AssumeRoleError, Change, ClaimMapping, OidcProvider, Provider, SignInMapping,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::entities::{CASCADE, ID, NAME, delete_identity, describe, list};
use super::{Endpoint, Target, delete, get, patch, post, put};
use crate::api::Call;
use crate::body::Body;
use crate::problem::Problem;

const ALL: &str = "/v1/org/{organisation}/identity_provider";
const ONE: &str = "/v1/org/{organisation}/identity_provider/{id}";

const TYPE: (&str, &str, &str) = (
    "type",
    "string",
    "`oidc`, `sign_in` or `certificate_authority`",
);
const FIELDS: [(&str, &str, &str); 9] = [
    (
        "issuer",
        "string?",
        "oidc: exactly what tokens say in `iss`",
    ),
    (
        "audiences",
        "array?",
        "oidc: what tokens for this organisation say in `aud`; best `<url of this deployment>/org/<organisation>`",
    ),
    (
        "algorithms",
        "array?",
        "oidc: how tokens may be signed; [\"RS256\", \"ES256\"] if it is left out",
    ),
    (
        "jwks",
        "object?",
        "oidc: the issuer's keys (RFC 7517), where they cannot be fetched",
    ),
    (
        "shared",
        "boolean?",
        "oidc: whether many customers share the issuer, so that trusts must fix the subject",
    ),
    (
        "max_token_age_seconds",
        "integer?",
        "oidc: the oldest token that is taken, 60 to 86400",
    ),
    (
        "sign_in",
        "string?",
        "sign_in: id of the provider in the deployment's configuration",
    ),
    ("pem", "string?", "certificate_authority: its certificate"),
    (
        "mappings",
        "array?",
        "oidc, sign_in: {\"claim\", \"values\", \"to\": roles, with sign_in also groups}; certificate_authority: {\"name\": \"uri\" or \"dns\", \"value\", \"identity\"}",
    ),
];
const CREATE: [(&str, &str, &str); 12] = [
    ID, NAME, TYPE, FIELDS[0], FIELDS[1], FIELDS[2], FIELDS[3], FIELDS[4], FIELDS[5], FIELDS[6],
    FIELDS[7], FIELDS[8],
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get(ALL, list)
            .tells(
                "Lists the identity providers of an organisation.",
                "iam:ListIdentityProvider on org/<organisation>",
            )
            .lists(),
        post(ALL, create)
            .tells(
                "Creates an identity provider: an issuer of tokens, a certificate authority, or what the organisation makes of a sign-in of the deployment.",
                "iam:CreateIdentityProvider on org/<organisation>; iam:UpdateIdentityProvider on each role, group and identity that its mappings lead to",
            )
            .takes(&CREATE)
            .creates(),
        get(ONE, describe).tells(
            "Shows an identity provider.",
            "iam:DescribeIdentityProvider on it",
        ),
        patch(ONE, change)
            .tells(
                "Changes an identity provider; what is left out stays, null takes a setting away. Its type and its issuer stay.",
                "iam:UpdateIdentityProvider on it and on each role, group and identity that it feeds",
            )
            .takes(&FIELDS),
        put(ONE, change)
            .tells(
                "Changes an identity provider; what is left out stays, null takes a setting away. Its type and its issuer stay.",
                "iam:UpdateIdentityProvider on it and on each role, group and identity that it feeds",
            )
            .takes(&FIELDS),
        delete(ONE, delete_identity)
            .tells(
                "Deletes an identity provider, with what it manages.",
                "iam:DeleteIdentityProvider on it and iam:UpdateIdentityProvider on each role, group and identity that it feeds; with cascade iam:DeleteTrust on each trustor",
            )
            .asks(&[CASCADE]),
        post(
            "/v1/org/{organisation}/identity_provider/{id}/test_token",
            test_token,
        )
        .tells(
            "Tells what a token of the provider would give, and what is wrong where it gives nothing.",
            "iam:UpdateIdentityProvider on it",
        )
        .takes(&[("token", "string", "a token that the provider issued")]),
    ]
}

/// A provider as a body has it: everything but id and name.
fn provider(fields: Map<String, Value>) -> Result<Box<Provider>, Problem> {
    serde_json::from_value(Value::Object(fields))
        .map(Box::new)
        .map_err(|error| Problem::invalid(error.to_string()))
}

fn text(fields: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Problem> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Problem::invalid(format!("`{name}` is a string"))),
    }
}

async fn create(
    call: Call,
    target: Target,
    Body(mut fields): Body<Map<String, Value>>,
) -> Result<Response, Problem> {
    let id = text(&mut fields, "id")?;
    let id = id.ok_or_else(|| Problem::invalid("`id` is missing"))?;
    let name = text(&mut fields, "name")?;
    let path = format!("{}/{id}", target.0);
    let change = Change::CreateIdentityProvider {
        organisation: target.organisation().to_owned(),
        id,
        name,
        provider: provider(fields)?,
    };
    call.change_and_show(change, &path, StatusCode::CREATED)
        .await
}

async fn change(
    call: Call,
    target: Target,
    Body(mut fields): Body<Map<String, Value>>,
) -> Result<Response, Problem> {
    let path = target.0;
    let name = match fields.remove("name") {
        None => None,
        Some(Value::Null) => Some(None),
        Some(Value::String(name)) => Some(Some(name)),
        Some(_) => return Err(Problem::invalid("`name` is a string")),
    };
    if let (Some(name), true) = (&name, fields.is_empty()) {
        let change = Change::Rename {
            path: path.clone(),
            name: name.clone(),
        };
        return call.change_and_show(change, &path, StatusCode::OK).await;
    }
    // Whoever may not change it hears nothing of what it is.
    let known = call
        .directory
        .identity_at(&path)
        .and_then(|ix| call.directory.provider(ix))
        .filter(|_| call.sees(&path) || call.allows("iam:UpdateIdentityProvider", &path))
        .ok_or_else(|| Problem::not_found(&path))?;
    let Ok(Value::Object(mut merged)) = serde_json::to_value(known) else {
        return Err(Problem::not_found(&path));
    };
    for (name, value) in fields {
        match value {
            Value::Null => merged.remove(&name),
            value => merged.insert(name, value),
        };
    }
    let change = Change::UpdateIdentityProvider {
        path: path.clone(),
        name,
        provider: provider(merged)?,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestToken {
    token: String,
}

async fn test_token(
    call: Call,
    target: Target,
    Body(body): Body<TestToken>,
) -> Result<Response, Problem> {
    let path = target.of("test_token").to_owned();
    call.read("iam:UpdateIdentityProvider", &path)?;
    let provider = call
        .directory
        .identity_at(&path)
        .and_then(|ix| call.directory.provider(ix))
        .cloned()
        .ok_or_else(|| Problem::not_found(&path))?;
    let token = body.token.trim().to_owned();
    let told = match provider {
        Provider::Oidc(oidc) => test_oidc(&call, &path, oidc, &token).await,
        Provider::SignIn(mapping) => test_sign_in(&call, mapping, &token).await,
        Provider::CertificateAuthority(_) => {
            return Err(Problem::invalid("a certificate authority issues no tokens"));
        }
    };
    Ok(axum::Json(told).into_response())
}

/// What is told of a token itself.
fn about(token: &VerifiedToken, problem: Option<String>) -> Map<String, Value> {
    let mut told = Map::new();
    told.insert("verified".to_owned(), problem.is_none().into());
    told.insert("problem".to_owned(), problem.into());
    told.insert("issuer".to_owned(), token.issuer.clone().into());
    told.insert("subject".to_owned(), token.subject.clone().into());
    told.insert("audiences".to_owned(), token.audiences.clone().into());
    told.insert("token_id".to_owned(), token.token_id.clone().into());
    told.insert("claims".to_owned(), json!(token.claims));
    told
}

fn unreadable(problem: String) -> Value {
    json!({ "verified": false, "problem": problem })
}

fn mappings(mappings: &[ClaimMapping], token: &VerifiedToken) -> Value {
    let one = |mapping: &ClaimMapping| {
        let miss = mapping.matches(&token.claims).err();
        json!({ "claim": mapping.claim, "values": mapping.values, "to": mapping.to,
                "matches": miss.is_none(), "reason": miss.map(|miss| miss.to_string()) })
    };
    mappings.iter().map(one).collect()
}

async fn test_oidc(call: &Call, path: &str, oidc: OidcProvider, token: &str) -> Value {
    let token = match UnverifiedToken::parse(token.as_bytes()) {
        Ok(token) => token,
        Err(error) => return unreadable(error.to_string()),
    };
    let organisation = path.split('/').nth(1).unwrap_or_default();
    let federation = &call.api.federation;
    let verified = federation.verify(&oidc, organisation, &token, call.api.clock);
    let verified = verified.await;
    let (token, problem) = match (verified, token.unverified()) {
        (Ok(verified), _) => (verified, None),
        (Err(problem), Ok(claimed)) => (claimed, Some(problem.to_string())),
        (Err(problem), Err(_)) => return unreadable(problem.to_string()),
    };
    let mut told = about(&token, problem);
    told.insert("mappings".to_owned(), mappings(&oidc.mappings, &token));
    told.insert("roles".to_owned(), roles(call, path, &token));
    Value::Object(told)
}

/// Every trust in the provider that the caller may see: whether it would let the token in.
fn roles(call: &Call, path: &str, token: &VerifiedToken) -> Value {
    let directory = &call.directory;
    let Some(ix) = directory.identity_at(path) else {
        return Value::Null;
    };
    let facts = Arc::new(token.facts());
    let one = |trust: &keyward_iam::Trust| {
        let role = directory.identity(trust.trustor)?.path.to_string();
        if !call.sees(&trust.path) {
            return None;
        }
        let ask = AssumeRole {
            role: role.clone(),
            session_name: token.session_name(),
            trust: Some(trust.path.to_string()),
            ..AssumeRole::default()
        };
        let session = &call.caller.session;
        let id = "KWTKAAAAAAAAAAAAAAAA"; // of no session: nothing is opened
        let asked = directory.assume_role_with_token(path, &facts, &ask, session, id, call.now);
        let reason = match &asked {
            Ok(_) => None,
            Err(AssumeRoleError::Denied(decision)) => Some(decision.message.clone()),
            Err(error) => Some(error.to_string()),
        };
        Some(
            json!({ "role": role, "trust": trust.path, "lets_in": asked.is_ok(),
                     "reason": reason }),
        )
    };
    directory.trusts_in_provider(ix).filter_map(one).collect()
}

async fn test_sign_in(call: &Call, mapping: SignInMapping, token: &str) -> Value {
    let Some(provider) = call.api.federation.sign_in(&mapping.sign_in) else {
        let text = format!(
            "the deployment's configuration has no sign-in `{}`",
            mapping.sign_in
        );
        return unreadable(text);
    };
    let claimed = UnverifiedToken::parse(token.as_bytes()).and_then(|token| token.unverified());
    let claimed = match claimed {
        Ok(claimed) => claimed,
        Err(error) => return unreadable(error.to_string()),
    };
    let known = call
        .api
        .federation
        .known(&provider.client.issuer, call.api.clock)
        .await;
    let problem = match known.keys {
        Some(keys) => {
            let signed_in = provider.client.verify(token, &keys, None, call.now);
            signed_in.err().map(|error| error.to_string())
        }
        None => {
            let failure = known.failure.map(|failure| failure.to_string());
            Some(failure.unwrap_or_else(|| "the provider's keys did not come in time".to_owned()))
        }
    };
    let mut told = about(&claimed, problem);
    told.insert("mappings".to_owned(), mappings(&mapping.mappings, &claimed));
    Value::Object(told)
}
