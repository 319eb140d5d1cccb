//! Who calls: HTTP Basic with an access key, a session key as bearer token, or a signature.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_auth::{
    ClientCertificate, LOGIN_TOKEN_PREFIX, LoginError, SECRET_PREFIX, SESSION_KEY_PREFIX,
    SignedRequest, body_hash, certificate_login,
};
use keyward_iam::{Directory, Session, UnixMillis};
use keyward_net::{Transport, is_loopback};

use crate::api::Api;
use crate::body;
use crate::people::person_of_token;
use crate::problem::Problem;

/// The direct peer; the listener puts it into every request.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// What TLS tells of it.
    pub(crate) transport: Transport,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, transport: Transport) -> Self {
        Self { address, transport }
    }

    /// Whether nobody on the way can read or change what is sent.
    pub(crate) fn is_secure(&self) -> bool {
        self.transport.encrypted || is_loopback(self.address.ip())
    }
}

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) session: Session,
    /// Path of the principal.
    pub(crate) path: String,
}

impl Caller {
    /// Whose idempotency keys are whose. Sessions of one role are not one caller: what one was
    /// shown is not for the other.
    pub(crate) fn idempotency_name(&self) -> String {
        match &self.session.temporary {
            Some(session) => format!("{} {}", self.path, session.id),
            None => match &self.session.login {
                Some(login) => format!("{} {login}", self.path),
                None => self.path.clone(),
            },
        }
    }
}

/// Hash of the body of a request that is signed: the signature speaks of it.
#[derive(Clone, Debug)]
struct BodyHash(String);

/// Reads the body of a request that is signed, before anybody asks who calls.
pub(crate) async fn hash_of_signed_body(request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    if !given.is_some_and(|given| scheme_is(given.as_bytes(), SIGNED)) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    match body::read(body).await {
        Ok(bytes) => {
            parts.extensions.insert(BodyHash(body_hash(&bytes)));
            next.run(Request::from_parts(parts, bytes.into())).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// The scheme of signed requests.
const SIGNED: &str = "AWS4-HMAC-SHA256";

/// Whether an `Authorization` header is of a scheme, in any letter case.
fn scheme_is(header: &[u8], scheme: &str) -> bool {
    let given = header.split(|byte| *byte == b' ').next();
    given.is_some_and(|given| given.eq_ignore_ascii_case(scheme.as_bytes()))
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        // Who calls was found out before, and the login is not counted twice.
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        refuse_other_sites(parts)?;
        let Some(peer) = parts.extensions.get::<Peer>() else {
            return Err(Problem::unauthenticated("the peer is not known"));
        };
        let (secure, peer) = (peer.is_secure(), peer.address.ip());
        if !secure && !api.allow_remote {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "insecure",
                "credentials are taken only on encrypted or local connections",
            ));
        }
        let mut all = parts.headers.get_all(header::AUTHORIZATION).iter();
        let Some(given) = all.next() else {
            if let Some(caller) = of_certificate(parts, api) {
                return Ok(caller);
            }
            return Err(Problem::unauthenticated(
                "log in with an access key (HTTP Basic, key id and secret), a session key (Bearer) or \
                 an AWS signature, version 4",
            ));
        };
        let directory = api.control.directory();
        let given = match all.next() {
            None => given.as_bytes(),
            Some(_) => b"", // which of them would be the right one?
        };
        let now = (api.clock)();
        match log_in(api, &directory, given, parts, peer, secure, now) {
            Ok(session) => {
                let session = Session { secure, ..session };
                api.verifier.usage.note_call(&session, &directory, now);
                Ok(Self {
                    path: directory.principal_path(session.principal).to_owned(),
                    session,
                })
            }
            Err(error @ LoginError::NotYetKnown) => Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "behind",
                error.to_string(),
            )),
            Err(_) => {
                let wait = api.throttle.failed(peer, now);
                tokio::time::sleep(wait).await;
                Err(Problem::unauthenticated(
                    "the credential is unknown, disabled, deleted or expired, or its secret or \
                     signature is another one",
                ))
            }
        }
    }
}

/// Whose client certificate it is, where several organisations know it and the path names none.
const ORGANISATION_HEADER: &str = "keyward-organisation";

/// Whoever the client certificate of the connection opens. Where several organisations know it, the
/// one that the call is about: the path says so, else [`ORGANISATION_HEADER`]. Anybody may trust
/// anybody's authority, and must not stand in the way by that.
fn of_certificate(parts: &Parts, api: &Api) -> Option<Caller> {
    let peer = parts.extensions.get::<Peer>()?;
    let chain = Arc::clone(peer.transport.certificates.as_ref()?);
    let (directory, now) = (api.control.directory(), (api.clock)());
    // A call is done at once: each has a session of its own.
    let certificate = ClientCertificate::read(chain, now).ok()?;
    let mut segments = parts.uri.path().trim_start_matches("/v1/").split('/');
    let near = match segments.next() {
        Some("org") => segments.next(),
        _ => parts
            .headers
            .get(ORGANISATION_HEADER)
            .and_then(|organisation| organisation.to_str().ok()),
    };
    let session = certificate_login(&directory, &certificate, near, now)?;
    let session = Session {
        source: Some(peer.address.ip().to_canonical()),
        ..session
    };
    api.verifier.usage.note_call(&session, &directory, now);
    Some(Caller {
        path: directory.principal_path(session.principal).to_owned(),
        session,
    })
}

fn log_in(
    api: &Api,
    directory: &Directory,
    given: &[u8],
    parts: &Parts,
    peer: IpAddr,
    secure: bool,
    now: UnixMillis,
) -> Result<Session, LoginError> {
    let verifier = &api.verifier;
    if scheme_is(given, "bearer") {
        let token = given
            .get(b"bearer ".len()..)
            .unwrap_or_default()
            .trim_ascii();
        if token.starts_with(LOGIN_TOKEN_PREFIX.as_bytes()) {
            let token = std::str::from_utf8(token).map_err(|_| LoginError::WrongPass)?;
            let person = person_of_token(api, directory, token, Some(peer), secure, now);
            return person.map(|p| p.session).ok_or(LoginError::WrongPass);
        }
        return verifier.bearer(directory, token, Some(peer), now);
    }
    if scheme_is(given, SIGNED) {
        let body_hash = parts.extensions.get::<BodyHash>();
        let headers: Vec<(&str, &[u8])> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let request = SignedRequest {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &headers,
            body_hash: &body_hash.ok_or(LoginError::WrongPass)?.0,
            secure,
        };
        return verifier.signed_request(directory, &request, Some(peer), now);
    }
    let (user, password) = credentials(given).ok_or(LoginError::WrongPass)?;
    // What is for Redis clients (connect tokens, tokens of identity providers) is not taken here.
    if ![SECRET_PREFIX, SESSION_KEY_PREFIX]
        .iter()
        .any(|prefix| password.starts_with(prefix.as_bytes()))
    {
        let _ = verifier.login(directory, &user, b"", Some(peer), now);
        return Err(LoginError::WrongPass);
    }
    let login = verifier.login(directory, &user, &password, Some(peer), now)?;
    // A database behind the key id means nothing here, and so may hide a mistake.
    match login.suffix {
        None => Ok(login.session),
        Some(_) => Err(LoginError::WrongPass),
    }
}

/// The token of `Bearer <token>`; the scheme in any letter case.
pub(crate) fn bearer(header: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(header).ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim_ascii())
}

/// User and password of `Basic <base64>`; the scheme in any letter case.
fn credentials(header: &[u8]) -> Option<(Vec<u8>, zeroize::Zeroizing<Vec<u8>>)> {
    let at = header.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = header.split_at(at);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = zeroize::Zeroizing::new(STANDARD.decode(rest.trim_ascii()).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let password = zeroize::Zeroizing::new(decoded[colon + 1..].to_vec());
    Some((decoded[..colon].to_vec(), password))
}

/// A browser that remembers a password sends it along with what any page asks it to send.
pub(crate) fn refuse_other_sites(parts: &Parts) -> Result<(), Problem> {
    match parts.headers.get("sec-fetch-site").map(|v| v.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "cross_site",
            "requests of other sites' pages are refused",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let cases: [(&str, Option<(&str, &str)>); 8] = [
            ("Basic YTpi", Some(("a", "b"))),
            ("basic  YTpi ", Some(("a", "b"))),
            ("BASIC YTpiOmM=", Some(("a", "b:c"))),
            ("Basic Og==", Some(("", ""))),
            ("Basic YQ==", None),
            ("Basic ???", None),
            ("Bearer YTpi", None),
            ("Basic", None),
        ];
        for (header, expected) in cases {
            let found = credentials(header.as_bytes());
            let found = found.map(|(user, password)| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (text(&user), text(&password))
            });
            let expected = expected.map(|(user, password)| (user.to_owned(), password.to_owned()));
            assert_eq!(found, expected, "{header}");
        }
    }
}
