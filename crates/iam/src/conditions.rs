//! Conditions of trusts: a `Conditions` object of the native dialect, compiled as the one statement
//! of a resource policy that accepts the trustee for everything.

use std::sync::Arc;

use keyward_policy::{Dialect, Findings, Policy, PolicyKind};

use crate::documents;
use crate::entities::Trust;

/// What stands before and after the conditions in the compiled document.
fn frame(trustee: &str) -> (String, &'static str) {
    let before =
        format!(r#"[{{"Effect":"Allow","Actions":["*"],"Identities":["{trustee}"],"Conditions":"#);
    (before, "}]")
}

/// Compiles a `Conditions` object.
pub(crate) fn read(text: &str, trustee: &str, organisation: &str) -> Result<Arc<Policy>, Findings> {
    let (before, after) = frame(trustee);
    let document = format!("{before}{text}{after}");
    documents::read(
        Some(Dialect::Native),
        &document,
        PolicyKind::Resource,
        organisation,
    )
}

impl Trust {
    /// The conditions as they were written.
    #[must_use]
    pub fn conditions_text(&self) -> Option<&str> {
        const MARK: &str = r#""Conditions":"#;
        let text = self.conditions.as_deref()?.text();
        let start = text.find(MARK)? + MARK.len();
        text.get(start..text.len().checked_sub(2)?)
    }
}
