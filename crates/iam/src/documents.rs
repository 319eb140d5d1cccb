//! Policy documents as they are handed in, and as the store keeps them.

use std::sync::Arc;

use keyward_policy::{Dialect, Findings, Policy, PolicyKind};
use serde::{Deserialize, Serialize};

/// The text of a document, and the dialect that it is said to be in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyText {
    /// As it was written.
    pub text: String,
    /// `None`: the form of the document tells it.
    pub dialect: Option<Dialect>,
}

impl From<String> for PolicyText {
    fn from(text: String) -> Self {
        Self {
            text,
            dialect: None,
        }
    }
}

impl From<&str> for PolicyText {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// Reads a document in the scope of an organisation: the one place where the directory does.
pub(crate) fn read(
    dialect: Option<Dialect>,
    text: &str,
    kind: PolicyKind,
    organisation: &str,
) -> Result<Arc<Policy>, Findings> {
    keyward_policy::read_as(dialect, text, kind, organisation).map(Arc::new)
}

/// Reads a version of a named policy, or a policy of the system.
pub(crate) fn read_at(
    path: &str,
    dialect: Option<Dialect>,
    text: &str,
    organisation: &str,
) -> Result<Arc<Policy>, Findings> {
    let read = keyward_policy::read_as(dialect, text, PolicyKind::Identity, organisation)?;
    Ok(Arc::new(read.at_path(path)))
}

/// A document in a row: its text alone if it is native.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum StoredDocument {
    Native(String),
    Other(OtherDocument),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OtherDocument {
    dialect: String,
    text: String,
}

impl StoredDocument {
    pub(crate) fn of(policy: &Policy) -> Self {
        let text = policy.text().to_owned();
        match policy.dialect() {
            Dialect::Native => Self::Native(text),
            other => Self::Other(OtherDocument {
                dialect: other.name().to_owned(),
                text,
            }),
        }
    }

    /// The text and the dialect; none if a later version of the program wrote one that this one
    /// does not know.
    pub(crate) fn parts(&self) -> Option<(&str, Dialect)> {
        match self {
            Self::Native(text) => Some((text, Dialect::Native)),
            Self::Other(other) => Some((&other.text, Dialect::by_name(&other.dialect)?)),
        }
    }
}
