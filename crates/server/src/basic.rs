//! Who calls: HTTP Basic with an access key.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_iam::{Directory, Session};
use keyward_net::{Transport, is_loopback};

use crate::api::Api;
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
    /// Whose idempotency keys are whose.
    pub(crate) fn idempotency_name(&self) -> &str {
        &self.path
    }
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
        let Some(given) = parts.headers.get(header::AUTHORIZATION) else {
            return Err(Problem::unauthenticated(
                "log in with an access key: HTTP Basic, key id and secret",
            ));
        };
        let directory = api.control.directory();
        match credentials(given.as_bytes())
            .and_then(|(user, password)| log_in(api, &directory, &user, &password, peer, secure))
        {
            Some(session) => Ok(Self {
                path: directory.principal_path(session.principal).to_owned(),
                session,
            }),
            None => {
                let wait = api.throttle.failed(peer, (api.clock)());
                tokio::time::sleep(wait).await;
                Err(Problem::unauthenticated(
                    "the access key is unknown, disabled or deleted, or the secret is another one",
                ))
            }
        }
    }
}

fn log_in(
    api: &Api,
    directory: &Directory,
    user: &[u8],
    password: &[u8],
    peer: IpAddr,
    secure: bool,
) -> Option<Session> {
    let login = keyward_auth::login(
        directory,
        &api.hash_key,
        user,
        password,
        Some(peer),
        (api.clock)(),
    )
    .ok()?;
    // A database behind the key id means nothing here, and so may hide a mistake.
    login.suffix.is_none().then_some(Session {
        secure,
        ..login.session
    })
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
fn refuse_other_sites(parts: &Parts) -> Result<(), Problem> {
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
