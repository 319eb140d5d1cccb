//! Sessions of roles for whoever presents a token of an identity provider.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use keyward_auth::oidc::{UnverifiedToken, VerifyError, providers_for};
use keyward_auth::{Credentials, SessionId};
use keyward_iam::{
    AssumeRole, AssumeRoleError, Directory, IdentityIx, Kind, PathParts, PolicyText, Provider,
    Session, SessionPolicy, TemporarySession, TokenFacts,
};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{Endpoint, post};
use crate::api::Api;
use crate::body::Body;
use crate::caller::Peer;
use crate::problem::Problem;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/v1/sts/assume_role_with_web_identity", assume)
            .tells(
                "Opens a session of a role for whoever presents a token of an identity provider. Needs no other credential.",
                "sts:AssumeRoleWithWebIdentity on the role, by the token",
            )
            .takes(&[
                ("role", "string", "path of the role, in full: org/<organisation>/role/<id>"),
                ("token", "string", "the token"),
                (
                    "provider",
                    "string?",
                    "path of the provider that is meant, where several of the organisation take the token",
                ),
                ("session_name", "string?", "what the session is called; from the token's subject if it is left out"),
                ("duration_seconds", "integer?", "how long it lasts: 900 to the role's maximum"),
                ("policies", "array?", "documents or {\"policy\": \"policy/<id>\"} that limit the session"),
                ("trust", "string?", "path of the trust that is meant, where several let the token in"),
                ("external_id", "string?", "what the role's side asks its callers to say"),
                ("source_identity", "string?", "who is behind the session; once set it stays along chains"),
                ("tags", "object?", "tags of the session"),
                ("transitive_tag_keys", "array?", "keys of tags that sessions opened with this one inherit"),
            ]),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    role: String,
    token: String,
    provider: Option<String>,
    session_name: Option<String>,
    duration_seconds: Option<u32>,
    #[serde(default)]
    policies: Vec<Box<RawValue>>,
    trust: Option<String>,
    external_id: Option<String>,
    source_identity: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    transitive_tag_keys: Vec<String>,
}

/// A connection over which somebody may present a token.
struct Stranger(Peer);

impl FromRequestParts<Arc<Api>> for Stranger {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let Some(peer) = parts.extensions.get::<Peer>() else {
            return Err(Problem::unauthenticated("the peer is not known"));
        };
        if !peer.is_secure() && !api.allow_remote {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "insecure",
                "credentials are taken only on encrypted or local connections",
            ));
        }
        Ok(Self(peer.clone()))
    }
}

/// Why nothing was opened.
enum Refused {
    /// The same for everything that the directory would tell a stranger.
    NotAccepted,
    /// What the token itself shows, or what its holder asked for.
    Problem(Box<Problem>),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

/// A session policy as it is handed in.
fn session_policies(
    policies: &[Box<RawValue>],
    organisation: &str,
) -> Result<Vec<SessionPolicy>, Problem> {
    let inputs = crate::policies::policy_inputs(policies);
    let inputs = inputs.map_err(|error| Problem::invalid(error.to_string()))?;
    let one = |input| match input {
        keyward_iam::PolicyInput::Document(text) => SessionPolicy::Text(PolicyText {
            text,
            dialect: None,
        }),
        keyward_iam::PolicyInput::Written(text) => SessionPolicy::Text(text),
        keyward_iam::PolicyInput::Named(path) => {
            SessionPolicy::Named(keyward_iam::full_path(&path, organisation))
        }
    };
    Ok(inputs.into_iter().map(one).collect())
}

async fn assume(
    State(api): State<Arc<Api>>,
    Stranger(peer): Stranger,
    Body(ask): Body<Ask>,
) -> Result<Response, Problem> {
    let source = peer.address.ip().to_canonical();
    match open(&api, &peer, ask).await {
        Ok(response) => Ok(response),
        Err(Refused::Problem(problem)) => Err(*problem),
        Err(Refused::NotAccepted) => {
            let wait = api.throttle.failed(source, (api.clock)());
            tokio::time::sleep(wait).await;
            Err(Problem::new(
                StatusCode::FORBIDDEN,
                "not_accepted",
                "the token opens no session of this role; who may change its provider can ask why: \
                 keyward provider test-token",
            ))
        }
    }
}

/// Providers of the role's organisation that could take the token.
fn providers(directory: &Directory, ask: &Ask, token: &UnverifiedToken) -> Vec<IdentityIx> {
    let of_role = directory
        .identity_at(&ask.role)
        .and_then(|ix| directory.identity(ix))
        .filter(|identity| identity.kind == Kind::Role)
        .and_then(|identity| identity.organisation);
    let wanted = ask.provider.as_deref();
    let fits = |ix: &IdentityIx| {
        directory.identity(*ix).is_some_and(|identity| {
            of_role.is_some()
                && identity.organisation == of_role
                && wanted.is_none_or(|wanted| *identity.path == *wanted)
        })
    };
    let all = providers_for(directory, token);
    all.into_iter().filter(fits).collect()
}

async fn open(api: &Api, peer: &Peer, mut ask: Ask) -> Result<Response, Refused> {
    let organisation = PathParts::of(&ask.role)
        .filter(|parts| parts.kind == Kind::Role)
        .and_then(|parts| parts.organisation)
        .map(str::to_owned);
    let Some(organisation) = organisation else {
        let text = "`role` is the full path of a role: org/<organisation>/role/<id>";
        return Err(Problem::invalid(text).into());
    };
    for path in [&mut ask.provider, &mut ask.trust].into_iter().flatten() {
        *path = keyward_iam::full_path(path, &organisation);
    }
    let policies = session_policies(&ask.policies, &organisation)?;
    let token = UnverifiedToken::parse(ask.token.trim().as_bytes())
        .map_err(|error| Problem::unauthenticated(error.to_string()))?;
    let directory = api.control.directory();
    let connection = Session {
        source: Some(peer.address.ip().to_canonical()),
        secure: peer.is_secure(),
        ..Session::unauthenticated()
    };
    let mut opened = Vec::new();
    let mut slow = false;
    for ix in providers(&directory, &ask, &token) {
        let (Some(identity), Some(Provider::Oidc(oidc))) =
            (directory.identity(ix), directory.provider(ix))
        else {
            continue;
        };
        let verified = match api.federation.verify(oidc, &token, api.clock).await {
            Ok(verified) => verified,
            Err(error) => {
                slow |= matches!(error, VerifyError::Pending | VerifyError::Keys(_));
                continue;
            }
        };
        let name = ask.session_name.clone();
        let asked = AssumeRole {
            role: ask.role.clone(),
            session_name: name.unwrap_or_else(|| verified.session_name()),
            duration_seconds: ask.duration_seconds,
            policies: policies.clone(),
            trust: ask.trust.clone(),
            external_id: ask.external_id.clone(),
            source_identity: ask.source_identity.clone(),
            tags: ask.tags.clone(),
            transitive_tag_keys: ask.transitive_tag_keys.clone(),
        };
        let facts = Arc::new(verified.facts());
        let (path, now) = (&identity.path, (api.clock)());
        let id = SessionId::generate().to_string();
        match directory.assume_role_with_token(path, &facts, &asked, &connection, &id, now) {
            Ok(assumed) => opened.push((path.to_string(), facts, assumed.session)),
            Err(AssumeRoleError::Denied(_) | AssumeRoleError::NoRole { .. }) => {}
            Err(AssumeRoleError::Ended(_)) => {}
            Err(error) => return Err(Problem::invalid(error.to_string()).into()),
        }
    }
    if opened.len() > 1 {
        let paths = opened
            .iter()
            .map(|(path, ..)| path.as_str())
            .collect::<Vec<_>>();
        let text = format!(
            "several providers take the token; say which: {}",
            paths.join(", ")
        );
        return Err(Problem::invalid(text).into());
    }
    match opened.pop() {
        Some((provider, facts, session)) => answer(api, &provider, &facts, &session),
        None if slow => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "issuer_unavailable",
            "the keys of the token's issuer could not be fetched: try again later",
        )
        .into()),
        None => Err(Refused::NotAccepted),
    }
}

fn answer(
    api: &Api,
    provider: &str,
    facts: &TokenFacts,
    session: &TemporarySession,
) -> Result<Response, Refused> {
    let issued = api.verifier.issuer.issue(session);
    let Credentials {
        key_id,
        secret_access_key,
        session_token,
        session_key,
        expires,
        packed_size_percent,
    } = issued.map_err(|error| Problem::invalid(error.to_string()))?;
    let expires_at = i64::try_from(expires.0)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let body = json!({
        "access_key_id": key_id.to_string(),
        "secret_access_key": secret_access_key.as_str(),
        "session_token": session_token.as_str(),
        "session_key": session_key.as_str(),
        "expiration": expires_at.map(|time| time.to_string()),
        "assumed_role": session.principal,
        "packed_size_percent": packed_size_percent,
        "principal": session.principal,
        "session_name": session.name,
        "provider": provider,
        "issuer": facts.issuer,
        "subject": facts.subject,
        "audiences": facts.audiences,
    });
    Ok((
        [(axum::http::header::CACHE_CONTROL, "no-store")],
        axum::Json(body),
    )
        .into_response())
}
