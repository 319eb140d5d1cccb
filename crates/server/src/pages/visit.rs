//! One visit of a browser: who it is, what it sent, and how it is answered.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyward_auth::{PersonSecret, hash_person_secret};
use keyward_iam::{Directory, FRESH_LOGIN, UnixMillis};
use maud::{Markup, html};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{Script, page, see_other};
use crate::api::Api;
use crate::caller::Peer;
use crate::people::sign_in::{Client, NewLogin, random_text};
use crate::people::{LOGIN_LIFETIME, SignedInPerson, person_of_token};
use crate::query::Query;

/// Longest form, in bytes.
const MAX_FORM: usize = 64 * 1024;

/// One visit.
pub(crate) struct Visit {
    pub(crate) api: Arc<Api>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) now: UnixMillis,
    pub(crate) source: IpAddr,
    pub(crate) secure: bool,
    pub(crate) person: Option<SignedInPerson>,
    agent: Option<String>,
    /// Random, the browser's own; forms are bound to it.
    form_cookie: Zeroizing<String>,
    has_form_cookie: bool,
    /// Whether another site's page led here: then our cookies did not come along.
    pub(crate) from_elsewhere: bool,
}

fn refused(status: StatusCode, text: &str) -> Response {
    let body = html! { p { (text) } p { a href="/ui/account" { "Go on" } } };
    page(status, "This cannot be done", Script::None, None, &body)
}

pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).into_iter();
    let mut pairs = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    pairs.find_map(|pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name).then_some(value)
    })
}

impl Visit {
    pub(super) fn cookie_name(api: &Api, name: &str) -> String {
        let prefix = if api.people.is_encrypted() {
            "__Secure-"
        } else {
            ""
        };
        format!("{prefix}keyward_{name}")
    }

    fn of(parts: &Parts, api: &Arc<Api>) -> Result<Self, Response> {
        let Some(peer) = parts.extensions.get::<Peer>() else {
            return Err(refused(StatusCode::UNAUTHORIZED, "The peer is not known."));
        };
        let (secure, source) = (peer.is_secure(), peer.address.ip());
        if !secure && !api.allow_remote {
            let text = "Credentials are taken only on encrypted or local connections.";
            return Err(refused(StatusCode::FORBIDDEN, text));
        }
        let directory = api.control.directory();
        let now = (api.clock)();
        let headers = &parts.headers;
        let token = cookie(headers, &Self::cookie_name(api, "login"));
        let person = token
            .and_then(|token| person_of_token(api, &directory, token, Some(source), secure, now));
        let known = cookie(headers, &Self::cookie_name(api, "form"));
        let known = known.filter(|value| value.len() == 32);
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        Ok(Self {
            person,
            source,
            secure,
            agent: text("user-agent").map(str::to_owned),
            has_form_cookie: known.is_some(),
            form_cookie: match known {
                Some(known) => Zeroizing::new(known.to_owned()),
                None => random_text(),
            },
            from_elsewhere: text("sec-fetch-site") == Some("cross-site"),
            api: Arc::clone(api),
            directory,
            now,
        })
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.source, self.agent.as_deref())
    }

    /// What a form has to send along: only a page that this browser got from us knows it.
    fn form_token(&self) -> String {
        let login = self.person.as_ref().map_or("", |person| &*person.login.id);
        let secret = self.form_cookie.as_bytes();
        let hash = hash_person_secret(&self.api.hash_key, PersonSecret::Form, login, secret);
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The hidden field of every form.
    pub(crate) fn hidden(&self) -> Markup {
        html! { input type="hidden" name="form" value=(self.form_token()); }
    }

    /// Whether the person gave her credentials here a short time ago.
    pub(crate) fn is_fresh(&self) -> bool {
        let then = self
            .person
            .as_ref()
            .and_then(|person| person.login.authenticated);
        then.is_some_and(|then| self.now.0.saturating_sub(then.0) <= FRESH_LOGIN)
    }

    fn set_cookie(&self, response: &mut Response, name: &str, value: &str, seconds: u64) {
        let secure = if self.api.people.is_encrypted() {
            "; Secure"
        } else {
            ""
        };
        let name = Self::cookie_name(&self.api, name);
        let text = format!(
            "{name}={value}; Path=/ui; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}"
        );
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }

    /// A cookie that comes along when another site's page leads here, as a provider's answer does.
    pub(super) fn set_lax_cookie(
        &self,
        response: &mut Response,
        name: &str,
        value: &str,
        seconds: u64,
    ) {
        let secure = if self.api.people.is_encrypted() {
            "; Secure"
        } else {
            ""
        };
        let name = Self::cookie_name(&self.api, name);
        let text = format!(
            "{name}={value}; Path=/ui/sso; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}"
        );
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }

    /// Signed in by another site's answer: a page of ours goes on, since our cookies would not come
    /// along with a redirect.
    pub(super) fn signed_in_from_elsewhere(&self, login: &NewLogin, next: &str) -> Response {
        let body = html! { p { a href=(next) { "Go on" } } };
        let mut response = self.onward("Signed in", next, &body);
        let seconds = login.expires_at.0.saturating_sub(self.now.0) / 1000;
        self.set_cookie(&mut response, "login", &login.token, seconds);
        response
    }

    fn with_form_cookie(&self, mut response: Response) -> Response {
        if !self.has_form_cookie {
            let seconds = LOGIN_LIFETIME.as_secs();
            self.set_cookie(&mut response, "form", &self.form_cookie, seconds);
        }
        response
    }

    /// A page of this visit.
    pub(crate) fn page(
        &self,
        status: StatusCode,
        title: &str,
        passkeys: bool,
        body: &Markup,
    ) -> Response {
        let script = if passkeys {
            Script::Passkeys
        } else {
            Script::None
        };
        self.with_form_cookie(page(status, title, script, None, body))
    }

    /// A page that goes on by itself.
    pub(crate) fn onward(&self, title: &str, url: &str, body: &Markup) -> Response {
        let onward = page(StatusCode::OK, title, Script::None, Some(url), body);
        self.with_form_cookie(onward)
    }

    pub(crate) fn redirect(&self, to: &str) -> Response {
        self.with_form_cookie(see_other(to))
    }

    /// Goes on, signed in.
    pub(crate) fn signed_in(&self, login: &NewLogin, next: &str) -> Response {
        let mut response = self.redirect(next);
        let seconds = login.expires_at.0.saturating_sub(self.now.0) / 1000;
        self.set_cookie(&mut response, "login", &login.token, seconds);
        response
    }

    /// Goes on, signed out.
    pub(crate) fn signed_out(&self, next: &str) -> Response {
        let mut response = self.redirect(next);
        self.set_cookie(&mut response, "login", "", 0);
        response
    }

    /// The person who is signed in; to anybody else the page to sign in first.
    pub(crate) fn person(&self, here: &str) -> Result<&SignedInPerson, Response> {
        match &self.person {
            Some(person) => Ok(person),
            // The browser kept our cookie to itself; a page of ours gets it.
            None if self.from_elsewhere => {
                let body = html! { p { a href=(here) { "Go on" } } };
                Err(self.onward("One moment", here, &body))
            }
            None => Err(self.redirect(&format!("/ui/sign-in?next={}", percent(here)))),
        }
    }
}

/// A text as a value in a URL.
pub(crate) fn percent(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}"); // writing into a string cannot fail
        }
        out
    })
}

/// Where to go on: a page of ours, and nowhere else.
pub(crate) fn next_page(asked: Option<&str>) -> &str {
    let fits = |path: &&str| {
        path.starts_with("/ui/")
            && path.len() <= 2048
            && !path.starts_with("/ui/sign-in")
            && path
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~/?=&%+".contains(&b))
    };
    asked.filter(fits).unwrap_or("/ui/account")
}

/// The query of a page's URL; what is wrong with one is a page, too.
pub(crate) struct PageQuery<T>(pub(crate) T);

impl<T: serde::de::DeserializeOwned> FromRequestParts<Arc<Api>> for PageQuery<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Response> {
        match Query::from_request_parts(parts, api).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(_) => Err(refused(
                StatusCode::BAD_REQUEST,
                "The address is malformed.",
            )),
        }
    }
}

impl FromRequestParts<Arc<Api>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Response> {
        Self::of(parts, api)
    }
}

/// A form that a page of ours sent.
pub(crate) struct Submitted {
    pub(crate) visit: Visit,
    fields: HashMap<String, Zeroizing<String>>,
}

impl Submitted {
    /// A field; empty if there is none.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |value| value)
    }

    /// A field that is a secret.
    pub(crate) fn secret(&self, name: &str) -> Zeroizing<String> {
        self.fields.get(name).cloned().unwrap_or_default()
    }
}

/// Only a page of the same origin may have sent a form: browsers say where a request comes from.
fn is_own_page(headers: &HeaderMap, api: &Api) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true; // no browser of these years; the form's token decides
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let origin = origin.to_str().unwrap_or_default();
    origin == api.people.origin()
        || host.is_some_and(|host| {
            origin == format!("http://{host}") || origin == format!("https://{host}")
        })
}

impl FromRequest<Arc<Api>> for Submitted {
    type Rejection = Response;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let visit = Visit::of(&parts, api)?;
        if !is_own_page(&parts.headers, api) {
            let text = "Another site's page sent this: it has no effect.";
            return Err(refused(StatusCode::FORBIDDEN, text));
        }
        let unreadable = || refused(StatusCode::BAD_REQUEST, "The form cannot be read.");
        let bytes = axum::body::to_bytes(body, MAX_FORM).await;
        let bytes = bytes.map_err(|_| unreadable())?;
        let fields: Vec<(String, Zeroizing<String>)> =
            serde_urlencoded::from_bytes(&bytes).map_err(|_| unreadable())?;
        let form = Self {
            fields: fields.into_iter().collect(),
            visit,
        };
        let token = form.visit.form_token();
        let right = form.visit.has_form_cookie
            && bool::from(token.as_bytes().ct_eq(form.field("form").as_bytes()));
        if !right {
            let text = "The form is too old, or cookies are switched off: go back, load the page again and repeat it.";
            return Err(refused(StatusCode::FORBIDDEN, text));
        }
        Ok(form)
    }
}

impl IntoResponse for Visit {
    fn into_response(self) -> Response {
        self.redirect("/ui/account")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_go_on() {
        let cases = [
            (None, "/ui/account"),
            (
                Some("/ui/device?code=ABCD-EFGH"),
                "/ui/device?code=ABCD-EFGH",
            ),
            (
                Some("/ui/invitation/kwi_acme_bob_x"),
                "/ui/invitation/kwi_acme_bob_x",
            ),
            (Some("https://evil.example/"), "/ui/account"),
            (Some("//evil.example/"), "/ui/account"),
            (Some("/ui/\\evil.example"), "/ui/account"),
            (Some("/ui/a\r\nSet-Cookie: x"), "/ui/account"),
            (Some("/v1/whoami"), "/ui/account"),
            (Some("/ui/sign-in"), "/ui/account"),
        ];
        for (asked, expected) in cases {
            assert_eq!(next_page(asked), expected, "{asked:?}");
        }
    }

    #[test]
    fn cookies() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; b=2"));
        headers.append(header::COOKIE, HeaderValue::from_static("c=3=4"));
        let cases = [
            ("a", Some("1")),
            ("b", Some("2")),
            ("c", Some("3=4")),
            ("d", None),
        ];
        for (name, expected) in cases {
            assert_eq!(cookie(&headers, name), expected, "{name}");
        }
    }
}
