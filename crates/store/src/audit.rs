//! What is kept of every change of the directory.

use std::net::IpAddr;

use keyward_iam::UnixMillis;

/// Who changed what, and from where. Holds no secrets: the summary is what the caller may be shown
/// again, never what was typed as a password or given out as a secret.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AuditRecord {
    /// When.
    pub at: UnixMillis,
    /// Path of the principal, or `system` for what Keyward does by itself.
    pub principal: String,
    /// The actions that the change was decided on.
    pub actions: Vec<String>,
    /// What was changed: its full path.
    pub resource: String,
    /// The change, in the words of the API.
    pub summary: serde_json::Value,
    /// Address of the direct peer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// Id of the request that asked for the change: the caller's own, if it sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// An [`AuditRecord`] as it was stored, with the revision of the directory that the change led to.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AuditEntry {
    /// The revision: one more than that of the entry before.
    pub revision: u64,
    /// Who, what and when.
    #[serde(flatten)]
    pub record: AuditRecord,
}

/// An [`AuditRecord`] of what did not change the directory: a session that was opened.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EventEntry {
    /// One more than that of the event before.
    pub number: u64,
    /// Who, what and when.
    #[serde(flatten)]
    pub record: AuditRecord,
}
