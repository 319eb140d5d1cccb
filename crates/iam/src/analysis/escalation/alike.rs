//! Programs that no document tells from each other: whatever is allowed on one of them is allowed on all,
//! so that powers are compared on one.

use std::collections::HashSet;
use std::sync::Arc;

use keyward_policy::{Dialect, Policy};

use crate::directory::Directory;
use crate::entities::Identity;
use crate::ids::Kind;

/// The programs of an organisation that are like each other as things that something is done to: those that
/// have no tags, no policy and no boundary of their own, whom nobody acts as, and whose ids and names
/// stand in no document.
pub(super) fn identities(
    directory: &Directory,
    documents: &[Arc<Policy>],
    organisation: &str,
) -> HashSet<Arc<str>> {
    let templated = |policy: &Arc<Policy>| match policy.dialect() {
        Dialect::Native => policy.statements().iter().any(|statement| {
            let templates = statement.templates.as_ref();
            templates.is_some_and(|templates| !templates.resources.is_empty())
        }),
        // A wildcard before a part of a name is not looked into.
        _ => {
            let text = policy.text();
            let mut wild = text.match_indices(['*', '?']);
            let part = |at: usize| {
                let next = text[at + 1..].chars().next();
                next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-')
            };
            text.contains("${") || wild.any(|(at, _)| part(at))
        }
    };
    if documents.iter().any(templated) {
        return HashSet::new();
    }
    let mut words: HashSet<&str> = HashSet::new();
    let mut seen: HashSet<*const Policy> = HashSet::new();
    for policy in documents {
        if seen.insert(Arc::as_ptr(policy)) {
            let text = policy.text();
            words.extend(text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-'));
        }
    }
    // Part of a name may stand before a wildcard.
    let prefixes: Vec<&str> = documents
        .iter()
        .filter(|policy| policy.dialect() != Dialect::Native)
        .flat_map(|policy| partial_names(policy.text()))
        .collect();
    let is_named =
        |word: &str| words.contains(word) || prefixes.iter().any(|prefix| word.starts_with(prefix));
    let is_plain = |identity: &Identity| {
        let id = identity.id();
        identity.kind == Kind::ProgrammaticIdentity
            && identity.path.starts_with(&format!("{organisation}/"))
            && identity.tags.is_empty()
            && identity.resource_policy.is_none()
            && identity.boundary.is_empty()
            && identity.trustees == 0
            && !is_named(id)
            // What a name stands for in a vendor's terms is not looked for.
            && identity.name.is_none()
    };
    let all = directory.identities();
    let plain = all.filter(|(_, identity)| is_plain(identity));
    plain
        .map(|(_, identity)| Arc::clone(&identity.path))
        .collect()
}

/// What somebody who becomes an identity is given by it: equal for those that are like each other also then.
pub(super) fn given(directory: &Directory, identity: &Identity) -> String {
    let trusts = identity
        .trusted_by
        .iter()
        .filter_map(|ix| directory.trust(*ix));
    let mut all: Vec<String> = trusts
        .map(|trust| {
            let documents = directory.documents(&trust.policies);
            let texts: Vec<&str> = documents.iter().map(|policy| policy.text()).collect();
            let conditions = trust.conditions.as_ref().map(|policy| policy.text());
            format!(
                "{:?} {:?} {} {:?} {texts:?} {conditions:?}",
                trust.trustor, trust.kind, trust.accepted, trust.expires_at
            )
        })
        .collect();
    all.sort_unstable();
    all.join("\n")
}

/// What stands directly before a wildcard, if it may be the beginning of a name.
fn partial_names(text: &str) -> impl Iterator<Item = &str> {
    let ends = text.match_indices(['*', '?']).map(|(at, _)| &text[..at]);
    ends.filter_map(|before| {
        let start = before
            .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .map_or(0, |at| at + 1);
        let part = &before[start..];
        (!part.is_empty()).then_some(part)
    })
}
