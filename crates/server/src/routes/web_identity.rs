//! Sessions of roles for whoever presents a token of an identity provider.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use keyward_auth::SessionId;
use keyward_auth::oidc::{UnverifiedToken, VerifyError, providers_for};
use keyward_iam::{
    AssumeRole, AssumeRoleError, Directory, IdentityIx, Kind, PathParts, Provider, Session,
    TemporarySession, TokenFacts,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::sts::{SESSION_POLICIES, credentials, hide_credentials, made, session_policies};
use super::{Endpoint, post};
use crate::api::Api;
use crate::body::Body;
use crate::caller::Peer;
use crate::opened;
use crate::people::sign_in::slow_down;
use crate::problem::Problem;
use crate::query::Query;
use crate::show::{self, no_store};

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
                SESSION_POLICIES,
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

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    dry_run: bool,
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

async fn assume(
    State(api): State<Arc<Api>>,
    Stranger(peer): Stranger,
    Query(asked): Query<Asked>,
    Body(ask): Body<Ask>,
) -> Result<Response, Problem> {
    let source = peer.address.ip().to_canonical();
    match open(&api, &peer, ask, asked.dry_run).await {
        Ok(response) => Ok(response),
        Err(Refused::Problem(problem)) if problem.status == StatusCode::UNAUTHORIZED => {
            slow_down(&api, source).await;
            Err(*problem)
        }
        Err(Refused::Problem(problem)) => Err(*problem),
        Err(Refused::NotAccepted) => {
            slow_down(&api, source).await;
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

async fn open(api: &Api, peer: &Peer, mut ask: Ask, dry_run: bool) -> Result<Response, Refused> {
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
    let policies = session_policies(&ask.policies, &ask.role)?;
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
        let organisation = identity.organisation.and_then(|ix| directory.identity(ix));
        let Some(organisation) = organisation.map(|organisation| organisation.id()) else {
            continue;
        };
        let verified = api.federation.verify(oidc, organisation, &token, api.clock);
        let verified = match verified.await {
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
        Some((provider, facts, session)) => {
            let source = peer.address.ip().to_canonical();
            answer(api, &provider, &facts, session, source, dry_run).await
        }
        None if slow => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "issuer_unavailable",
            "the keys of the token's issuer could not be fetched: try again later",
        )
        .into()),
        None => Err(Refused::NotAccepted),
    }
}

async fn answer(
    api: &Api,
    provider: &str,
    facts: &TokenFacts,
    session: TemporarySession,
    source: IpAddr,
    dry_run: bool,
) -> Result<Response, Refused> {
    let made = made(api, &session)?;
    let mut shown = credentials(&session, &made);
    show::insert(&mut shown, "provider", provider);
    show::insert(&mut shown, "issuer", facts.issuer.as_str());
    show::insert(&mut shown, "subject", facts.subject.as_str());
    show::insert(&mut shown, "audiences", facts.audiences.clone());
    if dry_run {
        hide_credentials(&mut shown);
    } else {
        opened::keep(api, &Arc::new(session), source).await?;
    }
    Ok(no_store(StatusCode::OK, shown))
}
