//! The HTTP API as the client commands call it.

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_iam::{SYSTEM_POLICIES, SystemPolicy};
use serde_json::Value;
use ureq::tls::{PemItem, RootCerts, TlsConfig};
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};
use crate::profile::{Credential, Profile};

/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// Longest that a call may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One caller and one server.
pub(crate) struct Client {
    profile: Profile,
    agent: ureq::Agent,
    /// Id of the organisation that short names are of.
    organisation: OnceCell<String>,
}

/// What the server answered.
pub(crate) struct Answer {
    pub(crate) body: Value,
    /// Of the entity that was shown or changed, if it is one.
    pub(crate) etag: Option<String>,
}

/// Whom the client trusts: the authorities in a file, else the public ones.
pub(crate) fn tls(ca_file: Option<&Path>) -> Result<TlsConfig, Failure> {
    let config = TlsConfig::builder();
    let Some(path) = ca_file else {
        return Ok(config.build());
    };
    let failed = |reason: &dyn std::fmt::Display| {
        Failure::new(Exit::Usage, format!("`{}`: {reason}", path.display()))
    };
    let text = std::fs::read(path).map_err(|error| failed(&error))?;
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| failed(&error))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(failed(&"no certificate in PEM form"));
    }
    Ok(config
        .root_certs(RootCerts::Specific(Arc::new(certificates)))
        .build())
}

/// What proves who asks, as a header.
fn authorization(credential: &Credential) -> Option<Zeroizing<String>> {
    let text = match credential {
        Credential::Nobody => return None,
        Credential::Key { id, secret } => {
            let login = Zeroizing::new(format!("{id}:{}", &**secret));
            format!("Basic {}", STANDARD.encode(login.as_bytes()))
        }
        Credential::Session { key, .. } => format!("Bearer {}", &**key),
        Credential::Login(token) => format!("Bearer {}", &**token),
    };
    Some(Zeroizing::new(text))
}

impl Client {
    pub(crate) fn new(profile: Profile) -> Result<Self, Failure> {
        let url = &profile.url;
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let text = format!("`{url}` is no address of the API: https://host:port or http://…");
            return Err(Failure::new(Exit::Usage, text));
        }
        let organisation = match &profile.organisation {
            Some(id) => OnceCell::from(id.strip_prefix("org/").unwrap_or(id).to_owned()),
            None => OnceCell::new(),
        };
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .tls_config(tls(profile.ca_file.as_deref())?)
            .timeout_global(Some(PATIENCE))
            .build();
        Ok(Self {
            profile,
            agent: agent.into(),
            organisation,
        })
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send("GET", path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send("POST", path, Some(&body.to_string()))
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send("PUT", path, Some(&body.to_string()))
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send("PATCH", path, Some(&body.to_string()))
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.send("DELETE", path, None)
    }

    /// Any call; `body` is JSON text, sent as it is.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> Result<Value, Failure> {
        let answer = self.send_if(method, path, body, None)?;
        Ok(answer.body)
    }

    /// Any call, made only if what it is made on has this entity tag.
    pub(crate) fn send_if(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
        etag: Option<&str>,
    ) -> Result<Answer, Failure> {
        let base = self.profile.url.trim_end_matches('/');
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{base}{path}"))
            .header("content-type", "application/json");
        if let Some(etag) = etag {
            request = request.header("if-match", etag);
        }
        if let Some(login) = authorization(&self.profile.credential) {
            request = request.header("authorization", &*login);
        }
        let unreachable = |error: &dyn std::fmt::Display| {
            let text = format!("cannot reach {base}: {error} (is `keyward dev` running?)");
            Failure::new(Exit::Unreachable, text)
        };
        let malformed = |error: ureq::http::Error| {
            Failure::new(Exit::Usage, format!("the call cannot be made: {error}"))
        };
        let answer = match body {
            Some(body) => self.agent.run(request.body(body).map_err(malformed)?),
            None => self.agent.run(request.body(()).map_err(malformed)?),
        };
        let mut answer = answer.map_err(|error| unreachable(&error))?;
        let status = answer.status().as_u16();
        let etag = answer.headers().get("etag");
        let etag = etag.and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let text = answer
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_string()
            .map_err(|error| unreachable(&error))?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        if (200..300).contains(&status) {
            Ok(Answer { body: json, etag })
        } else {
            Err(Failure::of_problem(status, json))
        }
    }

    /// Id of the organisation that short names are of: what was said, else the caller's.
    pub(crate) fn organisation(&self) -> Result<&str, Failure> {
        if let Some(known) = self.organisation.get() {
            return Ok(known);
        }
        let me = match &self.profile.credential {
            Credential::Nobody => Value::Null,
            _ => self.get("/v1/whoami")?,
        };
        let path = me.get("organisation").and_then(Value::as_str);
        match path.and_then(|path| path.strip_prefix("org/")) {
            Some(id) => Ok(self.organisation.get_or_init(|| id.to_owned())),
            None => Err(Failure::new(
                Exit::Usage,
                "which organisation? give --organisation or KEYWARD_ORGANISATION, or names in full: org/…",
            )),
        }
    }

    /// The full path of what was named: `main`, `kvdb/main` or `org/dev/kvdb/main`; of policies also
    /// the names of the system's.
    pub(crate) fn path(&self, kind: &str, name: &str) -> Result<String, Failure> {
        let name = name.trim_matches('/');
        if name.is_empty() {
            return Err(Failure::new(Exit::Usage, "an empty name"));
        }
        if name.starts_with("org/") || name.starts_with("user/") || name == "unauthenticated" {
            return Ok(name.to_owned());
        }
        if name.starts_with(SYSTEM_POLICIES) {
            return Ok(name.to_owned());
        }
        if kind == "policy"
            && let Some(policy) = SystemPolicy::named(name)
        {
            return Ok(policy.path());
        }
        if kind == "org" {
            return Ok(format!("org/{name}"));
        }
        let organisation = self.organisation()?;
        if name.contains('/') {
            Ok(format!("org/{organisation}/{name}"))
        } else {
            Ok(format!("org/{organisation}/{kind}/{name}"))
        }
    }

    /// URL path of an entity.
    pub(crate) fn url(&self, kind: &str, name: &str) -> Result<String, Failure> {
        Ok(format!("/v1/{}", self.path(kind, name)?))
    }

    /// URL path of a collection of the organisation.
    pub(crate) fn collection(&self, kind: &str) -> Result<String, Failure> {
        Ok(format!("/v1/org/{}/{kind}", self.organisation()?))
    }

    /// The items of a list.
    pub(crate) fn items(&self, path: &str) -> Result<Vec<Value>, Failure> {
        match self.whole(path)?.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(Failure::new(Exit::Failed, "the server answered no list")),
        }
    }

    /// The answer of a list with the items of all its pages.
    pub(crate) fn whole(&self, path: &str) -> Result<Value, Failure> {
        let join = if path.contains('?') { '&' } else { '?' };
        let first = format!("{path}{join}limit=1000");
        let (mut all, mut url) = (Vec::new(), first.clone());
        loop {
            let mut answer = self.get(&url)?;
            match answer.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => all.extend(items),
                _ => return Err(Failure::new(Exit::Failed, "the server answered no list")),
            }
            let object = answer.as_object_mut();
            match object.and_then(|object| object.remove("next_cursor")) {
                Some(Value::String(cursor)) => url = format!("{first}&cursor={cursor}"),
                _ => {
                    answer["items"] = all.into();
                    return Ok(answer);
                }
            }
        }
    }
}
