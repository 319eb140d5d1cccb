//! Conditions of trusts: a `Conditions` object of the native dialect, compiled as the one statement
//! of a resource policy that accepts the trustee for everything.

use std::sync::Arc;

use keyward_policy::{Conditions, Dialect, Fact, Findings, Policy, PolicyKind};

use crate::documents;
use crate::entities::Trust;

/// What an assumable trust accepts its trustee for.
const ASSUMING: [&str; 2] = ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"];

fn document(actions: &[&str], trustee: &str, conditions: Option<&str>) -> String {
    let actions = actions.join(r#"",""#);
    let conditions = conditions.map_or(String::new(), |text| format!(r#","Conditions":{text}"#));
    format!(
        r#"[{{"Effect":"Allow","Actions":["{actions}"],"Identities":["{trustee}"]{conditions}}}]"#
    )
}

fn compile(document: &str, organisation: &str) -> Result<Arc<Policy>, Findings> {
    let (native, kind) = (Some(Dialect::Native), PolicyKind::Resource);
    documents::read(native, document, kind, organisation)
}

/// Compiles a `Conditions` object.
pub(crate) fn read(text: &str, trustee: &str, organisation: &str) -> Result<Arc<Policy>, Findings> {
    compile(&document(&["*"], trustee, Some(text)), organisation)
}

/// Whether conditions speak of a tag that is given to a session: by its name, or of the names of
/// all. A trust that does not accepts no tags.
fn speaks_of_tag(conditions: &Policy, key: Option<&str>) -> bool {
    let statements = conditions.statements().iter();
    let mut clauses = statements.flat_map(|statement| {
        let conditions = statement.conditions.as_ref();
        conditions.map_or(&[][..], Conditions::clauses)
    });
    clauses.any(|clause| match clause.key.fact() {
        Fact::TagKeys => true,
        Fact::RequestTag(tag) => key.is_none_or(|key| *key == **tag),
        _ => false,
    })
}

/// What an assumable trust says as a statement of the role's resource policy. `tag`: whether it
/// accepts that a session is given this tag; without one, whether it accepts any.
pub(crate) fn acceptance(
    trust: &Trust,
    trustee: &str,
    organisation: &str,
    tag: Option<&str>,
) -> Option<Arc<Policy>> {
    let conditions = trust.conditions.as_deref();
    let mut actions = ASSUMING.to_vec();
    if conditions.is_some_and(|conditions| speaks_of_tag(conditions, tag)) {
        actions.push("sts:TagSession");
    }
    let text = document(&actions, trustee, trust.conditions_text());
    compile(&text, organisation).ok()
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
