//! A decision and why.

use std::sync::Arc;

use crate::grounds::PolicySource;

/// What was decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A chain allows, the resource accepts, nothing denies.
    Allow,
    /// A `Deny` statement matched. Nothing overrides it.
    ExplicitDeny,
    /// Nothing allowed it.
    ImplicitDeny,
}

/// What a denial speaks of: it picks the server's wording.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The command itself.
    Command,
    /// One of its keys.
    Key,
    /// One of its channels.
    Channel,
}

/// Where a statement stands.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct StatementRef {
    /// In which list.
    pub source: PolicySource,
    /// Position of its document in the list, from 0.
    pub document: usize,
    /// Position in its document, from 0.
    pub statement: usize,
    /// Its `Sid`.
    pub sid: Option<Box<str>>,
    /// Path of the named policy that its document is; none of one that is written in place.
    pub policy: Option<Box<str>>,
}

impl StatementRef {
    /// For people: `statement 1 (ReadSessions) of trust org/acme/trust/t`, or of
    /// `policy/system/kvdb-read-only of trust org/acme/trust/t`.
    #[must_use]
    pub fn describe(&self) -> String {
        // These are made of no document that anybody wrote: a number would lead nowhere.
        if let PolicySource::Conditions(_) | PolicySource::Acceptance(_) = self.source {
            return self.source.describe();
        }
        let statement = match &self.sid {
            Some(sid) => format!("statement {} ({sid})", self.statement + 1),
            None => format!("statement {}", self.statement + 1),
        };
        let document = match &self.policy {
            Some(path) => format!(" of {path}"),
            None if self.document == 0 => String::new(),
            None => format!(" of policy {}", self.document + 1),
        };
        format!("{statement}{document} of {}", self.source.describe())
    }
}

impl PolicySource {
    /// For people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Trust(path) => format!("trust {path}"),
            Self::ResourcePolicy(path) => format!("the resource policy of {path}"),
            Self::Boundary(path) => format!("the boundary of {path}"),
            Self::Guardrails(path) => format!("the guardrails of {path}"),
            Self::Conditions(path) => format!("the conditions of trust {path}"),
            Self::Acceptance(path) => format!("assumable trust {path}"),
            Self::SessionPolicy(path) => format!("the session policy of {path}"),
            Self::Layer(layer) => format!("boundary layer {}", layer + 1),
        }
    }

    /// Path of the thing whose policies these are.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Trust(p)
            | Self::ResourcePolicy(p)
            | Self::Boundary(p)
            | Self::Guardrails(p)
            | Self::Conditions(p)
            | Self::Acceptance(p)
            | Self::SessionPolicy(p) => Some(p),
            Self::Layer(_) => None,
        }
    }
}

/// A decision and why.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What was decided.
    pub outcome: Outcome,
    /// What a denial speaks of.
    pub subject: Subject,
    /// Name of the action; empty for an unknown command.
    pub action: &'static str,
    /// Full path of the resource.
    pub resource: Arc<str>,
    /// The identities of the chain that allowed, from the principal on.
    pub chain: Vec<Arc<str>>,
    /// Allow: one statement of each list that had to allow. Explicit deny: the statement that
    /// denied. Implicit deny: the nearest miss, or none.
    pub statements: Vec<StatementRef>,
    /// Why, with everything named.
    pub message: String,
    /// Why, for the principal: statements of other organisations are not named.
    pub public_message: String,
}

impl Decision {
    /// Whether the request may happen.
    #[must_use]
    pub fn is_allow(&self) -> bool {
        self.outcome == Outcome::Allow
    }
}
