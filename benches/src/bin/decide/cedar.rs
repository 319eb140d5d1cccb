//! Cedar, asked with all policies, and with those of the principal only, as a host that keeps an
//! index of its own would.

use std::collections::HashMap;
use std::hint::black_box;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, Policy, PolicyId, PolicySet, Request,
    RestrictedExpression,
};

use crate::Engine;
use crate::workload::{PolicyOf, Workload, database, identity, network, prefix};

fn policy(of: &PolicyOf, conditions: bool) -> Policy {
    let actions: Vec<String> = of
        .commands
        .iter()
        .map(|name| format!("Action::{name:?}"))
        .collect();
    let when = if conditions {
        format!(
            "when {{ context.source.isInRange(ip({:?})) && context.key like {:?} }}",
            network(of.network),
            format!("{}*", prefix(of.identity)),
        )
    } else {
        String::new()
    };
    let text = format!(
        "permit (principal == Identity::{:?}, action in [{}], resource == Database::{:?}) {when};",
        identity(of.identity),
        actions.join(", "),
        database(of.database),
    );
    let id = PolicyId::new(identity(of.identity));
    Policy::parse(Some(id), text).expect("a policy in Cedar's language")
}

fn requests(workload: &Workload) -> Vec<Request> {
    let uid = |text: String| -> EntityUid { text.parse().expect("an entity") };
    workload
        .asks
        .iter()
        .map(|ask| {
            let context = if workload.conditions {
                Context::from_pairs([
                    (
                        "source".to_owned(),
                        RestrictedExpression::new_ip(ask.source.to_string()),
                    ),
                    (
                        "key".to_owned(),
                        RestrictedExpression::new_string(ask.key.clone()),
                    ),
                ])
                .expect("a context")
            } else {
                Context::empty()
            };
            Request::new(
                uid(format!("Identity::{:?}", identity(ask.identity))),
                uid(format!("Action::{:?}", ask.command)),
                uid(format!("Database::{:?}", database(ask.database))),
                context,
                None,
            )
            .expect("a request")
        })
        .collect()
}

/// Requests are made beforehand, which is in Cedar's favour.
pub struct Cedar {
    authorizer: Authorizer,
    entities: Entities,
    requests: Vec<Request>,
    policies: Policies,
}

enum Policies {
    Whole(PolicySet),
    ByPrincipal(HashMap<EntityUid, PolicySet>),
}

impl Cedar {
    fn new(workload: &Workload, policies: Policies) -> Self {
        Self {
            authorizer: Authorizer::new(),
            entities: Entities::empty(),
            requests: requests(workload),
            policies,
        }
    }

    /// All policies in one set.
    pub fn whole(workload: &Workload) -> Self {
        let policies = workload
            .policies
            .iter()
            .map(|of| policy(of, workload.conditions));
        let set = PolicySet::from_policies(policies).expect("a set of policies");
        Self::new(workload, Policies::Whole(set))
    }

    /// A set for each principal, found by a hash of its name.
    pub fn by_principal(workload: &Workload) -> Self {
        let sets = workload
            .policies
            .iter()
            .map(|of| {
                let principal = format!("Identity::{:?}", identity(of.identity));
                let set = PolicySet::from_policies([policy(of, workload.conditions)]);
                (
                    principal.parse().expect("an entity"),
                    set.expect("a set of policies"),
                )
            })
            .collect();
        Self::new(workload, Policies::ByPrincipal(sets))
    }
}

impl Engine for Cedar {
    fn decide(&mut self, number: usize) -> bool {
        let request = black_box(&self.requests[number]);
        let policies = match &self.policies {
            Policies::Whole(set) => set,
            Policies::ByPrincipal(sets) => {
                let principal = request.principal().expect("every request has one");
                &sets[principal]
            }
        };
        let response = self
            .authorizer
            .is_authorized(request, policies, &self.entities);
        response.decision() == Decision::Allow
    }

    fn decide_all(&mut self, numbers: std::ops::Range<usize>) -> usize {
        numbers.filter(|number| self.decide(*number)).count()
    }
}
