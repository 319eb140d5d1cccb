//! The HTTP API, as a program with an access key calls it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

/// A field of a document that is a text.
#[track_caller]
pub fn text(document: &Json, field: &str) -> String {
    match document[field].as_str() {
        Some(text) => text.to_owned(),
        None => panic!("no `{field}` in {document}"),
    }
}

/// The API as one caller sees it.
#[derive(Clone, Debug)]
pub struct Api {
    base: String,
    authorization: Option<String>,
    agent: ureq::Agent,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The body if it is JSON, else `Null`.
    pub json: Json,
    /// The body as it came.
    pub text: String,
    /// What was asked, for messages.
    asked: String,
}

impl Api {
    /// The API at `base` (`http://127.0.0.1:<port>`) for the holder of this access key.
    pub fn new(base: &str, access_key_id: &str, secret: &str) -> Self {
        let basic = STANDARD.encode(format!("{access_key_id}:{secret}"));
        Self {
            authorization: Some(format!("Basic {basic}")),
            ..Self::anonymous(base)
        }
    }

    /// The API for the holder of a token.
    pub fn bearer(base: &str, token: &str) -> Self {
        Self {
            authorization: Some(format!("Bearer {token}")),
            ..Self::anonymous(base)
        }
    }

    /// The API for somebody who sends no credentials.
    pub fn anonymous(base: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(std::time::Duration::from_secs(30)))
            .build();
        Self {
            base: base.trim_end_matches('/').to_owned(),
            authorization: None,
            agent: agent.into(),
        }
    }

    /// `GET`.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.send("GET", path, None)
    }

    /// `POST` with a JSON body.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Json) -> Response {
        self.send("POST", path, Some(body))
    }

    /// `PUT` with a JSON body.
    #[track_caller]
    pub fn put(&self, path: &str, body: &Json) -> Response {
        self.send("PUT", path, Some(body))
    }

    /// `DELETE`.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Response {
        self.send("DELETE", path, None)
    }

    /// Any method.
    ///
    /// Panics if there is no answer.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, body: Option<&Json>) -> Response {
        self.ask(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Any method; `None` if the connection broke off.
    pub fn try_send(&self, method: &str, path: &str, body: Option<&Json>) -> Option<Response> {
        self.ask(method, path, body).ok()
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Json>) -> Result<Response, ureq::Error> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("content-type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let body = body.map(Json::to_string);
        let asked = format!("{method} {path} {}", body.as_deref().unwrap_or_default());
        let answer = match body {
            Some(body) => request.body(body).map(|request| self.agent.run(request)),
            None => request.body(()).map(|request| self.agent.run(request)),
        };
        let mut answer = answer.unwrap_or_else(|error| panic!("{asked}: {error}"))?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string()?;
        Ok(Response {
            status,
            json: serde_json::from_str(&text).unwrap_or(Json::Null),
            text,
            asked,
        })
    }
}

impl Response {
    /// The JSON of an answer that must be a success.
    #[track_caller]
    pub fn success(self) -> Json {
        assert!(
            (200..300).contains(&self.status),
            "{}: {} {}",
            self.asked,
            self.status,
            self.text
        );
        self.json
    }

    /// Panics unless the answer has this status.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Json {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text);
        self.json
    }
}
