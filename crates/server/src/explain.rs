//! The smallest change that would allow what was denied.

use keyward_iam::{DecisionRecord, Outcome, PathParts, PolicySource};
use serde_json::{Value, json};

/// What would allow the denied request: a statement to add and where, or the one that denies.
/// `None` where no policy could: an unknown or administrative command, wrong arguments.
pub(crate) fn smallest_change(record: &DecisionRecord) -> Option<Value> {
    let decision = &record.decision;
    let action = keyward_commands::action(decision.action)?;
    match decision.outcome {
        Outcome::Allow => None,
        Outcome::ExplicitDeny => {
            let statement = decision.statements.first()?;
            Some(json!({
                "text": format!("remove or narrow {}", statement.describe()),
            }))
        }
        Outcome::ImplicitDeny => {
            let administrative = keyward_commands::administrative_actions().contains(action);
            if administrative || decision.message.contains("whole database") {
                return None;
            }
            let mut statement = json!({ "Effect": "Allow", "Actions": [decision.action] });
            let on_resource = matches!(
                decision.statements.first().map(|s| &s.source),
                Some(PolicySource::ResourcePolicy(_))
            );
            let fields = statement.as_object_mut()?;
            if on_resource {
                fields.insert("Identities".to_owned(), json!([record.principal]));
            } else {
                fields.insert("Resources".to_owned(), json!([decision.resource]));
            }
            if !record.keys.is_empty() {
                let keys = record.keys.iter().map(|key| escape(key));
                fields.insert("Keys".to_owned(), keys.collect());
            }
            let place = match decision.statements.first() {
                Some(nearest) => nearest.source.describe(),
                None => place(record),
            };
            Some(json!({
                "text": format!("add this statement to {place}"),
                "statement": statement,
            }))
        }
    }
}

/// Where a statement would help when none came near.
fn place(record: &DecisionRecord) -> String {
    let organisation =
        |path: &str| PathParts::of(path).and_then(|parts| parts.organisation.map(str::to_owned));
    let owner = organisation(&record.decision.resource);
    match (owner, organisation(&record.principal)) {
        (Some(owner), Some(own)) if owner == own => {
            format!("a trust from org/{owner} to {}", record.principal)
        }
        (Some(_), Some(_)) => format!(
            "the resource policy of {} (naming {} in `Identities`)",
            record.decision.resource, record.principal
        ),
        _ => format!("the resource policy of {}", record.decision.resource),
    }
}

/// A key as a pattern that only it matches.
fn escape(key: &str) -> String {
    let mut pattern = String::with_capacity(key.len());
    for character in key.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_keys_match_themselves_only() {
        for (key, pattern) in [("a", "a"), ("a*[b]?\\", "a\\*\\[b\\]\\?\\\\")] {
            assert_eq!(escape(key), pattern);
            let glob = keyward_policy::Glob::new(pattern.as_bytes());
            assert!(glob.matches(key.as_bytes()), "{key}");
        }
    }
}
