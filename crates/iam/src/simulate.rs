//! Deciding a made-up case with the evaluator that decides everything else.

use std::sync::Arc;

use keyward_commands::{ActionId, Words};
use keyward_policy::{Policy, Touch};

use crate::decide::{Decision, Question};
use crate::grounds::{Edge, Grant, Grounds, Layer, Node, PolicySource};
use crate::ids::{Kind, PathParts};

/// A principal, the policies that concern it, and nothing else: there is exactly one trust, from
/// the owner of the resource to the principal.
#[derive(Clone, Debug, Default)]
pub struct SimulatedCase {
    /// Carried by the trust; empty, it allows nothing.
    pub policies: Vec<Arc<Policy>>,
    /// On the resource, read as one list of statements.
    pub resource_policies: Vec<Arc<Policy>>,
    /// Bounding layers: of each that has documents one must allow, and none deny.
    pub boundaries: Vec<Vec<Arc<Policy>>>,
    /// Full path of the principal, or `unauthenticated`.
    pub principal: String,
}

/// Path that the trust of a simulated case goes by in explanations.
const TRUST: &str = "(policies)";

impl SimulatedCase {
    /// Decides an action on a resource, given by its full path.
    #[must_use]
    pub fn decide(&self, action: ActionId, resource: &str, touch: &Touch<'_>) -> Decision {
        let touch = match touch {
            Touch::None => Touch::of_action(action),
            stated => *stated,
        };
        self.grounds(resource)
            .decide_action(&Question { action, touch }, false)
    }

    /// Decides a command as a client sends it to a database, given by its full path.
    #[must_use]
    pub fn decide_command<W: Words + ?Sized>(&self, database: &str, words: &W) -> Decision {
        self.grounds(database).decide_words(words, false)
    }

    fn grounds(&self, resource: &str) -> Grounds {
        let authenticated = self.principal != "unauthenticated";
        let mut layers = Vec::new();
        for (number, documents) in self.boundaries.iter().enumerate() {
            if !documents.is_empty() {
                layers.push(Layer {
                    source: PolicySource::Layer(number),
                    documents: documents.clone(),
                    binding: true,
                });
            }
        }
        let owner = owner_of(resource);
        let mut nodes = vec![Node {
            path: self.principal.as_str().into(),
            layers: Vec::new(),
            owner: authenticated && self.principal == owner,
            edges: Vec::new(),
        }];
        if authenticated && self.principal != owner {
            nodes.push(Node {
                path: owner.into(),
                layers: Vec::new(),
                owner: true,
                edges: vec![Edge {
                    from: 0,
                    source: PolicySource::Trust(TRUST.into()),
                    grant: Grant::Documents(self.policies.clone()),
                    in_force: true,
                    binding: true,
                }],
            });
        }
        Grounds {
            resource: resource.into(),
            nodes,
            request_layers: (0..layers.len()).collect(),
            layers,
            resource_policy: self.resource_policies.clone(),
            authenticated,
            valid_until: None,
        }
    }
}

/// Who owns what a path names: its organisation, which accepts itself; a user itself.
fn owner_of(resource: &str) -> String {
    if PathParts::of(resource).is_some_and(|parts| parts.kind == Kind::User) {
        return resource.to_owned();
    }
    let organisation = resource.split('/').nth(1).unwrap_or_default();
    format!("org/{organisation}")
}

#[cfg(test)]
mod tests {
    use keyward_policy::PolicyKind;

    use super::*;
    use crate::decide::Outcome;

    fn policies(kind: PolicyKind, texts: &[&str]) -> Vec<Arc<Policy>> {
        let read = |text: &&str| Arc::new(keyward_policy::read(text, kind, "test").unwrap());
        texts.iter().map(read).collect()
    }

    const GET: &str =
        r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/x"]}]"#;
    const NO_GET: &str =
        r#"[{"Effect":"Deny","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/x"]}]"#;

    #[test]
    fn who_may() {
        let anybody = r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Identities":["unauthenticated","*"]}]"#;
        let app = "org/test/programmatic_identity/app";
        // principal, policies, resource policies, boundaries, outcome
        type Case<'a> = (
            &'a str,
            &'a [&'a str],
            &'a [&'a str],
            &'a [&'a [&'a str]],
            Outcome,
        );
        let cases: [Case<'_>; 11] = [
            (app, &[GET], &[], &[], Outcome::Allow),
            (app, &[], &[], &[], Outcome::ImplicitDeny),
            (app, &[GET, NO_GET], &[], &[], Outcome::ExplicitDeny),
            (app, &[], &[anybody], &[], Outcome::Allow),
            ("unauthenticated", &[GET], &[], &[], Outcome::ImplicitDeny),
            ("unauthenticated", &[], &[anybody], &[], Outcome::Allow),
            ("org/test", &[], &[], &[], Outcome::Allow),
            ("org/test", &[], &[], &[&["[]"]], Outcome::ImplicitDeny),
            (app, &[GET], &[], &[&[]], Outcome::Allow),
            (app, &[GET], &[], &[&[GET], &["[]"]], Outcome::ImplicitDeny),
            (app, &[GET], &[], &[&[GET, NO_GET]], Outcome::ExplicitDeny),
        ];
        for (principal, trust, resource, layers, expected) in cases {
            let case = SimulatedCase {
                policies: policies(PolicyKind::Identity, trust),
                resource_policies: policies(PolicyKind::Resource, resource),
                boundaries: layers
                    .iter()
                    .map(|layer| policies(PolicyKind::Identity, layer))
                    .collect(),
                principal: principal.to_owned(),
            };
            let words: [&[u8]; 2] = [b"get", b"k"];
            let found = case.decide_command("org/test/kvdb/x", &words[..]);
            assert_eq!(
                found.outcome, expected,
                "{principal} {trust:?} {resource:?} {layers:?}"
            );
            let action = keyward_commands::action("kvdb:ExecuteGet").unwrap();
            let by_action = case.decide(action, "org/test/kvdb/x", &Touch::None);
            assert_eq!(by_action.outcome, expected, "{principal} by action");
        }
    }

    #[test]
    fn statements_are_found_again() {
        let case = SimulatedCase {
            policies: policies(PolicyKind::Identity, &["[]", GET]),
            boundaries: vec![vec![], policies(PolicyKind::Identity, &[GET])],
            principal: "org/test/programmatic_identity/app".to_owned(),
            ..SimulatedCase::default()
        };
        let words: [&[u8]; 2] = [b"get", b"k"];
        let found = case.decide_command("org/test/kvdb/x", &words[..]);
        let places: Vec<(bool, usize)> = found
            .statements
            .iter()
            .map(|s| (s.source == PolicySource::Layer(1), s.document))
            .collect();
        assert_eq!(places, [(false, 1), (true, 0)]);
    }
}
