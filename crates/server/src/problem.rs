//! Errors as the API shows them: RFC 9457.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyward_iam::ChangeError;
use keyward_policy::Findings;
use serde_json::{Value, json};

use crate::control::Refusal;
use crate::etag::Mismatch;
use crate::request_id::RequestId;

/// Content type of every error.
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// An error, ready to be shown. Never holds a secret, nor what the caller may not see.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable, for programs.
    pub code: &'static str,
    /// What happened, for people.
    pub detail: String,
    /// What is wrong with a policy, in the order of the document.
    pub findings: Vec<Value>,
    /// What depends on a thing that cannot be deleted.
    pub dependents: Vec<String>,
    /// For `keyward why`.
    pub decision_id: Option<String>,
    /// What has changed of an entity that was to be changed under a condition.
    pub changed: Vec<String>,
    /// The entity tag that would hold now.
    pub current_etag: Option<String>,
    /// What may be done at the path.
    pub allow: Option<String>,
}

impl Problem {
    /// An error with nothing but its text.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            findings: Vec::new(),
            dependents: Vec::new(),
            decision_id: None,
            changed: Vec::new(),
            current_etag: None,
            allow: None,
        }
    }

    /// There is no such thing, as far as the caller may know.
    #[must_use]
    pub fn not_found(path: &str) -> Self {
        let detail = format!("`{path}` does not exist, or you may not see it");
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// The request cannot be read.
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// The request can be read and makes no sense.
    #[must_use]
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    }

    /// No credential, or one that opens nothing.
    #[must_use]
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// A document that validation refuses. `number`: its position in a list of policies.
    #[must_use]
    pub fn findings(number: Option<usize>, findings: &Findings) -> Self {
        let count = findings.0.len();
        let problems = if count == 1 { "problem" } else { "problems" };
        let which = number.map_or_else(String::new, |n| format!(" {}", n + 1));
        let detail = format!("policy{which} has {count} {problems}:\n{findings}");
        let shown = findings.0.iter().map(|finding| {
            let mut shown = json!({
                "line": finding.line, "column": finding.column, "path": finding.path,
                "message": finding.message, "code": finding.code,
            });
            if let (Some(number), Some(object)) = (number, shown.as_object_mut()) {
                object.insert("policy".to_owned(), number.into());
            }
            shown
        });
        Self {
            findings: shown.collect(),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "policy", detail)
        }
    }

    /// A change that was to be made under a condition that does not hold.
    #[must_use]
    pub(crate) fn mismatch(mismatch: Mismatch) -> Self {
        let what = match (&mismatch.entity, &mismatch.changed[..]) {
            (None, _) => "a list has no entity tag that `If-Match` could name".to_owned(),
            (Some(entity), []) => format!("`{entity}` is not as the condition says"),
            (Some(entity), changed) => {
                format!("`{entity}` has changed meanwhile: {}", changed.join(", "))
            }
        };
        Self {
            changed: mismatch.changed,
            current_etag: mismatch.current,
            ..Self::new(
                StatusCode::PRECONDITION_FAILED,
                "precondition_failed",
                format!("{what}; nothing was done"),
            )
        }
    }

    fn body(&self) -> Value {
        let mut body = json!({
            "type": format!("urn:keyward:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        });
        if let Some(object) = body.as_object_mut() {
            if !self.findings.is_empty() {
                object.insert("findings".to_owned(), self.findings.clone().into());
            }
            if !self.dependents.is_empty() {
                object.insert("dependents".to_owned(), self.dependents.clone().into());
            }
            if let Some(id) = &self.decision_id {
                object.insert("decision_id".to_owned(), id.as_str().into());
            }
            if !self.changed.is_empty() {
                object.insert("changed".to_owned(), self.changed.clone().into());
            }
            if let Some(tag) = &self.current_etag {
                object.insert("current_etag".to_owned(), tag.as_str().into());
            }
            if let Some(id) = RequestId::current() {
                object.insert("request_id".to_owned(), id.as_str().into());
            }
        }
        body
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        let detail = error.to_string();
        match error {
            ChangeError::NotAvailable { .. } | ChangeError::NameTaken { .. } => {
                Self::new(StatusCode::CONFLICT, "not_available", detail)
            }
            ChangeError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "not_found", detail),
            ChangeError::Policy { number, findings } => Self::findings(Some(number), &findings),
            // A backend that another database has is no deletion.
            ChangeError::Conflict { path, dependents } if path.contains(':') => Self {
                dependents,
                ..Self::new(StatusCode::CONFLICT, "in_use", detail)
            },
            ChangeError::Conflict { dependents, .. } => Self {
                dependents,
                ..Self::new(StatusCode::CONFLICT, "delete_conflict", detail)
            },
            ChangeError::Exists { .. } => Self::new(StatusCode::CONFLICT, "exists", detail),
            ChangeError::Limit { .. } => Self::new(StatusCode::CONFLICT, "limit", detail),
            ChangeError::Cycle { .. } | ChangeError::TooLong { .. } => {
                Self::new(StatusCode::CONFLICT, "trust_graph", detail)
            }
            _ => Self::invalid(detail),
        }
    }
}

/// All but denials, which the handler records first.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(decision) => Self::new(
                StatusCode::FORBIDDEN,
                "denied",
                decision.public_message.clone(),
            ),
            Refusal::Change(error) => error.into(),
            Refusal::Condition(mismatch) => Self::mismatch(*mismatch),
            Refusal::Session(error) => Self::unauthenticated(error.to_string()),
            Refusal::Store(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "change not stored"
                );
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "the change could not be stored, and has no effect",
                )
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"keyward\", charset=\"UTF-8\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        let tag = self.current_etag.as_deref().map(HeaderValue::from_str);
        if let Some(Ok(tag)) = tag {
            headers.insert(header::ETAG, tag);
        }
        let allow = self.allow.as_deref().map(HeaderValue::from_str);
        if let Some(Ok(allow)) = allow {
            headers.insert(header::ALLOW, allow);
        }
        response
    }
}
