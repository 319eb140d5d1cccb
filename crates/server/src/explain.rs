//! The smallest change that would allow what was denied.

use keyward_commands::CommandClass;
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
            // No single statement is the whole database.
            let whole = action
                .command()
                .is_some_and(|id| id.command().class == CommandClass::WholeDatabase);
            if administrative || whole {
                return None;
            }
            let nearest = decision
                .statements
                .first()
                .map(|statement| &statement.source);
            let (place, on_resource) = match nearest {
                Some(source) => (
                    source.describe(),
                    matches!(source, PolicySource::ResourcePolicy(_)),
                ),
                None => place(record),
            };
            let mut statement = json!({ "Effect": "Allow", "Actions": [decision.action] });
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
            Some(json!({
                "text": format!("add this statement to {place}"),
                "statement": statement,
            }))
        }
    }
}

/// Where a statement would help when none came near, and whether that is a resource policy.
fn place(record: &DecisionRecord) -> (String, bool) {
    let organisation =
        |path: &str| PathParts::of(path).and_then(|parts| parts.organisation.map(str::to_owned));
    let resource = &record.decision.resource;
    match organisation(resource) {
        Some(owner) if organisation(&record.principal).as_ref() == Some(&owner) => (
            format!("a trust from org/{owner} to {}", record.principal),
            false,
        ),
        _ => (format!("the resource policy of {resource}"), true),
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
