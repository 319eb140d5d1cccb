//! What entities look like to whoever may see them.

use keyward_policy::Dialect;
use serde_json::Value;

use crate::directory::Directory;
use crate::ids::{Kind, PathParts};
use crate::system::SystemPolicy;

impl Directory {
    /// What an entity looks like to whoever may describe it: its row without hashes, its policies
    /// as JSON where they are JSON.
    #[must_use]
    pub fn describe(&self, path: &str) -> Option<Value> {
        let parts = PathParts::of(path)?;
        if let Some(policy) = SystemPolicy::at(path) {
            return Some(describe_system_policy(policy));
        }
        let mut body = self.body(path)?;
        let object = body.as_object_mut()?;
        object.remove("secret_hash");
        let sealed = object.remove("sealed_secret");
        if parts.kind == Kind::AccessKey {
            object.insert("signs_requests".to_owned(), sealed.is_some().into());
        }
        object.remove("conditions_revision");
        object.remove("enabled_revision");
        if let Some(Value::Object(invitation)) = object.get_mut("invitation") {
            invitation.remove("token_hash");
        }
        object.remove("person"); // shown to the person alone, and never whole
        let mut shown = serde_json::Map::new();
        shown.insert("id".to_owned(), parts.id.into());
        shown.insert("path".to_owned(), path.into());
        shown.insert("kind".to_owned(), parts.kind.as_str().into());
        for (field, value) in std::mem::take(object) {
            match (field.as_str(), value) {
                ("backend", Value::Object(mut backend)) => {
                    let password = backend.remove("password");
                    if backend.contains_key("address") {
                        let by_operator = backend.remove("operator").is_none();
                        backend.insert("has_password".to_owned(), password.is_some().into());
                        backend.insert("operator".to_owned(), by_operator.into());
                    }
                    shown.insert(field, Value::Object(backend));
                }
                ("state", Value::Object(state)) => shown.extend(state),
                ("last_restore", Value::Object(mut restore)) => {
                    if let Some(Value::Object(state)) = restore.remove("state") {
                        restore.extend(state);
                    }
                    shown.insert(field, Value::Object(restore));
                }
                ("resource_policy", _) => {} // has a URL and an action of its own
                ("last_version", _) => {}    // what the next version will be is nobody's concern
                ("policies" | "boundary", Value::Array(list)) => {
                    let list = list.into_iter().map(show_attachment).collect();
                    shown.insert(field, list);
                }
                ("versions", Value::Array(list)) => {
                    let list = list.into_iter().map(show_version).collect();
                    shown.insert(field, list);
                }
                ("conditions", Value::String(text)) => {
                    let json = serde_json::from_str(&text);
                    shown.insert(field, json.unwrap_or(Value::String(text)));
                }
                ("role", Value::Object(role)) => shown.extend(role),
                ("provider", Value::Object(provider)) => shown.extend(provider),
                ("organisation", Value::Object(mut organisation)) => {
                    organisation.remove("guardrails"); // likewise
                    shown.extend(organisation);
                }
                ("kind", kind) => {
                    shown.insert("trust_kind".to_owned(), kind);
                }
                (_, value) => {
                    shown.insert(field, value);
                }
            }
        }
        Some(Value::Object(shown))
    }
}

fn describe_system_policy(policy: SystemPolicy) -> Value {
    let (dialect, document) = show_document(policy.text().into());
    serde_json::json!({
        "id": policy.id(), "path": policy.path(), "kind": Kind::Policy.as_str(),
        "name": policy.name(), "description": policy.description(), "system": true,
        "grants": policy.grants(), "default_version": 1,
        "versions": [
            { "version": 1, "dialect": dialect, "document": document },
        ],
    })
}

/// `{"dialect": …, "document": …}` or `{"policy": path}`.
fn show_attachment(mut attachment: Value) -> Value {
    match attachment.get_mut("document").map(Value::take) {
        Some(document) => {
            let (dialect, document) = show_document(document);
            serde_json::json!({ "dialect": dialect, "document": document })
        }
        None => attachment,
    }
}

/// A version with its document as JSON.
fn show_version(mut version: Value) -> Value {
    if let Some(object) = version.as_object_mut() {
        let document = object.remove("document").unwrap_or_default();
        let (dialect, document) = show_document(document);
        object.insert("dialect".to_owned(), dialect);
        object.insert("document".to_owned(), document);
    }
    version
}

/// The dialect of a stored document, and the document: as JSON where it is JSON.
fn show_document(mut stored: Value) -> (Value, Value) {
    let (dialect, text) = match &mut stored {
        Value::Object(other) => (
            other.remove("dialect").unwrap_or_default(),
            other.remove("text").unwrap_or_default(),
        ),
        text => (Dialect::Native.name().into(), text.take()),
    };
    let json = text
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok());
    (dialect, json.unwrap_or(text))
}
