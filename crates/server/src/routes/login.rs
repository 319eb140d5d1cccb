//! Signing in: password and second factor, passkey, device, and the code of a page.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyward_iam::{Change, PersonChange};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Endpoint, post};
use crate::api::{Api, Call};
use crate::body::{Body, Text};
use crate::caller::Peer;
use crate::people::device::{self, TokenError};
use crate::people::factors;
use crate::people::sign_in::{self, Client, NewLogin, NotSignedIn, Progress};
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::show::{self, no_store};

/// Grant of RFC 8628.
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub(super) fn endpoints() -> Vec<Endpoint> {
    const CLIENT: (&str, &str, &str) = ("client", "string?", "what the program calls itself");
    vec![
        post("/v1/login", login)
            .tells(
                "Signs a person in, as far as the password goes: a session, or the step that a second factor completes.",
                "nothing, but the password",
            )
            .takes(&[
                ("sign_in_name", "string", "what the person signs in with"),
                ("password", "string", "the password"),
                CLIENT,
            ]),
        post("/v1/login/mfa", second_factor)
            .tells(
                "Completes signing in with a second factor: one of the three.",
                "nothing, but the step and the factor",
            )
            .takes(&[
                ("step", "string", "what the password gave"),
                ("code", "string?", "of the authenticator app, or a recovery code"),
                ("passkey", "object?", "PublicKeyCredential.toJSON() of the answer"),
                CLIENT,
            ]),
        post("/v1/login/passkey/challenge", challenge)
            .tells(
                "Asks for a passkey: options of navigator.credentials.get in JSON.",
                "nothing",
            )
            .takes(&[("step", "string?", "where it is the second factor: what the password gave")]),
        post("/v1/login/passkey", passkey)
            .tells("Signs a person in with a passkey alone.", "nothing, but the passkey")
            .takes(&[
                ("passkey", "object", "PublicKeyCredential.toJSON() of the answer"),
                CLIENT,
            ]),
        post("/v1/login/device", ask_for_device)
            .tells(
                "Begins to let a device in (RFC 8628): a code for it, and one that its person types at a page.",
                "nothing",
            )
            .takes(&[CLIENT]),
        post("/v1/login/token", token)
            .tells(
                "Exchanges a device code, or the code that a page sent to a port, for a session (RFC 6749).",
                "nothing, but the code",
            )
            .takes(&[
                ("grant_type", "string", "urn:ietf:params:oauth:grant-type:device_code or authorization_code"),
                ("device_code", "string?", "of the device"),
                ("code", "string?", "that came to the port"),
                ("code_verifier", "string?", "of which the page was given the SHA-256 (PKCE, S256)"),
                CLIENT,
            ]),
        post("/v1/logout", logout).tells("Ends the session that asks.", "nothing, but a login session as credential"),
    ]
}

/// Where somebody who has no credential yet comes from. As with credentials, only encrypted or local
/// connections are taken.
pub(crate) struct From {
    pub(crate) source: IpAddr,
    /// Whether nobody on the way can read or change what is sent.
    pub(crate) secure: bool,
    agent: Option<String>,
}

impl From {
    /// The program that asks, as it calls itself.
    pub(crate) fn client(&self, said: Option<&str>) -> Client {
        Client::new(self.source, said.or(self.agent.as_deref()))
    }
}

impl FromRequestParts<Arc<Api>> for From {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        crate::caller::refuse_other_sites(parts)?;
        let peer = parts.extensions.get::<Peer>();
        let peer = peer.ok_or_else(|| Problem::unauthenticated("the peer is not known"))?;
        if !peer.is_secure() && !api.allow_remote {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "insecure",
                "credentials are taken only on encrypted or local connections",
            ));
        }
        let (source, secure) = (peer.address.ip(), peer.is_secure());
        let agent = parts.headers.get(header::USER_AGENT);
        Ok(Self {
            source,
            secure,
            agent: agent
                .and_then(|agent| agent.to_str().ok())
                .map(str::to_owned),
        })
    }
}

pub(super) fn session(login: &NewLogin) -> Response {
    no_store(
        StatusCode::OK,
        json!({
            "token": *login.token, "user": login.user, "session": login.id,
            "expires_at": login.expires_at, "mfa": login.mfa,
        }),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    sign_in_name: String,
    password: Zeroizing<String>,
    client: Option<String>,
}

async fn login(
    State(api): State<Arc<Api>>,
    from: From,
    Body(body): Body<Login>,
) -> Result<Response, Problem> {
    let client = from.client(body.client.as_deref());
    match sign_in::with_password(&api, &body.sign_in_name, body.password, &client).await? {
        Progress::Done(login) => Ok(session(&login)),
        Progress::SecondFactor { step, methods } => Ok(no_store(
            StatusCode::OK,
            json!({
                "mfa_required": true, "step": *step, "methods": methods,
            }),
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecondFactor {
    step: String,
    code: Option<Zeroizing<String>>,
    passkey: Option<factors::Assertion>,
    client: Option<String>,
}

async fn second_factor(
    State(api): State<Arc<Api>>,
    from: From,
    Body(body): Body<SecondFactor>,
) -> Result<Response, Problem> {
    let client = from.client(body.client.as_deref());
    let login = match (&body.code, &body.passkey) {
        (Some(code), None) => sign_in::with_code(&api, &body.step, code, &client).await?,
        (None, Some(answer)) => factors::sign_in(&api, Some(&body.step), answer, &client).await?,
        _ => return Err(Problem::invalid("give `code` or `passkey`, one of them")),
    };
    Ok(session(&login))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Challenge {
    step: Option<String>,
}

async fn challenge(
    State(api): State<Arc<Api>>,
    _: From,
    Body(body): Body<Challenge>,
) -> Result<Response, Problem> {
    let asked = factors::ask_to_sign_in(&api, body.step.as_deref())?;
    Ok(no_store(StatusCode::OK, asked))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasskeyAlone {
    passkey: factors::Assertion,
    client: Option<String>,
}

async fn passkey(
    State(api): State<Arc<Api>>,
    from: From,
    Body(body): Body<PasskeyAlone>,
) -> Result<Response, Problem> {
    let client = from.client(body.client.as_deref());
    let login = factors::sign_in(&api, None, &body.passkey, &client).await?;
    Ok(session(&login))
}

/// A body in JSON, or as the standards have it, as a form.
struct EitherBody<T>(T);

impl<T: serde::de::DeserializeOwned> FromRequest<Arc<Api>> for EitherBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Problem> {
        let form = "application/x-www-form-urlencoded";
        let kind = request.headers().get(header::CONTENT_TYPE);
        let is_form = kind.is_some_and(|kind| kind.as_bytes().starts_with(form.as_bytes()));
        if !is_form {
            return Body::from_request(request, api)
                .await
                .map(|Body(body)| Self(body));
        }
        let Text(text) = Text::from_request(request, api).await?;
        let read = serde_urlencoded::from_str(&text);
        read.map(Self)
            .map_err(|error| Problem::malformed(format!("the form: {error}")))
    }
}

#[derive(Deserialize)]
struct AskForDevice {
    client: Option<String>,
    client_id: Option<String>,
}

async fn ask_for_device(
    State(api): State<Arc<Api>>,
    from: From,
    EitherBody(body): EitherBody<AskForDevice>,
) -> Result<Response, Problem> {
    let said = body.client.as_deref().or(body.client_id.as_deref());
    let code = api.people.devices.ask(&from.client(said), (api.clock)())?;
    let page = format!("{}/ui/device", api.people.origin());
    Ok(no_store(
        StatusCode::OK,
        json!({
            "device_code": *code.device_code, "user_code": code.user_code,
            "verification_uri": page,
            "verification_uri_complete": format!("{page}?code={}", code.user_code),
            "expires_in": device::DEVICE_TIME.as_secs(), "interval": device::INTERVAL,
        }),
    ))
}

#[derive(Deserialize)]
struct Token {
    grant_type: String,
    device_code: Option<Zeroizing<String>>,
    code: Option<Zeroizing<String>>,
    code_verifier: Option<Zeroizing<String>>,
    client: Option<String>,
}

async fn token(
    State(api): State<Arc<Api>>,
    from: From,
    EitherBody(body): EitherBody<Token>,
) -> Response {
    let client = from.client(body.client.as_deref());
    let given = (
        &*body.grant_type,
        &body.device_code,
        &body.code,
        &body.code_verifier,
    );
    let redeemed = match given {
        (DEVICE_GRANT, Some(code), _, _) => device::redeem_device(&api, code, &client).await,
        ("authorization_code", _, Some(code), Some(verifier)) => {
            device::redeem_code(&api, code, verifier, &client).await
        }
        _ => {
            let text = "give grant_type with device_code, or with code and code_verifier";
            return oauth_error("invalid_request", text);
        }
    };
    match redeemed {
        Ok(login) => {
            let left = login.expires_at.0.saturating_sub((api.clock)().0) / 1000;
            no_store(
                StatusCode::OK,
                json!({
                    "access_token": *login.token, "token_type": "Bearer", "expires_in": left,
                    "user": login.user, "session": login.id, "expires_at": login.expires_at,
                    "mfa": login.mfa,
                }),
            )
        }
        Err(error) => {
            if let TokenError::InvalidGrant | TokenError::ExpiredToken = error {
                sign_in::slow_down(&api, from.source).await;
            }
            let (code, text) = match error {
                TokenError::AuthorizationPending => {
                    ("authorization_pending", "nobody has let the device in yet")
                }
                TokenError::SlowDown => ("slow_down", "ask less often"),
                TokenError::AccessDenied => ("access_denied", "the person refused, or signed out"),
                TokenError::ExpiredToken => ("expired_token", "the code has expired: begin again"),
                TokenError::InvalidGrant => ("invalid_grant", "the code is wrong or was used"),
                TokenError::Failed(error) => return Problem::from(error).into_response(),
            };
            oauth_error(code, text)
        }
    }
}

/// An error as RFC 6749 has it, and as every other of ours.
fn oauth_error(error: &'static str, text: &str) -> Response {
    let mut body = json!({
        "type": format!("urn:keyward:problem:{error}"), "title": "Bad Request", "status": 400,
        "detail": text, "code": error, "error": error, "error_description": text,
    });
    if let Some(id) = RequestId::current() {
        show::insert(&mut body, "request_id", id.as_str());
    }
    let mut response = (StatusCode::BAD_REQUEST, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(crate::problem::PROBLEM_TYPE),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn logout(call: Call) -> Result<Response, Problem> {
    let Some(login) = call.caller.session.login.clone() else {
        return Err(Problem::invalid("this credential is no login session"));
    };
    let change = Change::Person {
        user: call.caller.path.clone(),
        change: PersonChange::EndLogin(login.to_string()),
    };
    call.change(change).await?;
    Ok(no_store(
        StatusCode::OK,
        json!({ "session": login, "ended": true }),
    ))
}

impl std::convert::From<NotSignedIn> for Response {
    fn from(error: NotSignedIn) -> Self {
        Problem::from(error).into_response()
    }
}
