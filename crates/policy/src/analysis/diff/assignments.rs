//! The values of condition keys that are tried.

use std::collections::HashMap;

use keyward_commands::ActionId;

use super::actions::{can_have, names_nothing};
use super::direction::{Direction, Focus};
use crate::analysis::product::Exhausted;
use crate::analysis::request::{Assignment, FactValue, RequestFacts, Variable};
use crate::analysis::values::{Domain, Templated, Use};
use crate::condition::Fact;
use crate::{ConditionKey, Touch};

/// Most combinations of values of condition keys that are tried for one group of requests.
const MAX_ASSIGNMENTS: usize = 4_096;

/// Most condition keys that the statements with a say in one group of requests may speak of.
const MAX_DOMAINS: usize = 256;

impl<'d, 'a> Direction<'d, 'a> {
    /// What the condition keys in these grains can be.
    pub(super) fn domains(
        &mut self,
        here: &Focus<'d, 'a>,
        action: ActionId,
        own_holds: bool,
    ) -> Result<Vec<Domain>, Exhausted> {
        let mut keys: Vec<(Variable, &'a ConditionKey, Vec<Use<'a>>, Templated)> = Vec::new();
        let mut places: HashMap<Variable, usize> = HashMap::new();
        // No text with a variable is `*`: where no key is named, patterns are there or not.
        let of_fields = match names_nothing(action) {
            true => Templated::Counted,
            false => Templated::Read,
        };
        for grain in here.all() {
            if keys.len() > MAX_DOMAINS {
                return Err(Exhausted);
            }
            let statement = grain.statement;
            let conditions = statement.conditions.as_ref();
            let clauses = conditions.map_or(&[][..], |conditions| conditions.clauses());
            let mut add = |key: &'a ConditionKey, used: Option<Use<'a>>, templated: Templated| {
                if key.fact().is_of_touch() || *key.fact() == Fact::KeyCount {
                    return;
                }
                let variable = Variable::of(key);
                match places.get(&variable) {
                    Some(place) => {
                        let known = &mut keys[*place].3;
                        *known = templated.max(*known);
                        keys[*place].2.extend(used);
                    }
                    None => {
                        places.insert(variable.clone(), keys.len());
                        keys.push((variable, key, used.into_iter().collect(), templated));
                    }
                }
            };
            self.work.spend(50 + 200 * clauses.len())?;
            for clause in clauses {
                add(&clause.key, Some((clause, grain.effect)), Templated::No);
                for variable in clause.values().iter().flat_map(|value| value.variables()) {
                    add(variable, None, Templated::Read);
                }
            }
            if let Some(templates) = &statement.templates {
                let resources = templates.resources.iter();
                for variable in resources.flat_map(|template| template.variables()) {
                    add(variable, None, Templated::Read);
                }
                let fields = templates.fields();
                for variable in fields.flat_map(|template| template.variables()) {
                    add(variable, None, of_fields);
                }
            }
        }
        if keys.len() > MAX_DOMAINS {
            return Err(Exhausted);
        }
        let mut domains = Vec::new();
        for (_, key, uses, templated) in &keys {
            self.work.spend(100 * uses.len())?;
            let there = can_have(action, key.fact());
            let mut domain = Domain::new(key, uses, *templated, there, self.work)?;
            // Of the grain itself every clause must hold.
            let own = here
                .grain
                .statement
                .conditions
                .as_ref()
                .filter(|_| own_holds);
            let own = own.map_or(&[][..], |conditions| conditions.clauses());
            for clause in own {
                let fixed = clause.values().iter().all(|value| value.is_fixed());
                if Variable::of(&clause.key) == domain.variable && fixed {
                    let holds = |value: &FactValue| {
                        let entry = (domain.variable.clone(), (*key).clone(), value.clone());
                        let assignment = Assignment(vec![entry]);
                        clause.holds(here.grain.effect, &assigned(&assignment)) == Some(true)
                    };
                    let kept: Vec<FactValue> = domain
                        .values
                        .iter()
                        .filter(|value| holds(value))
                        .cloned()
                        .collect();
                    domain.values = kept;
                }
            }
            domains.push(domain);
        }
        Ok(domains)
    }
}

/// Values for each domain, in all combinations.
pub(super) struct Assignments<'d> {
    domains: &'d [Domain],
    next: Option<Vec<usize>>,
}

impl<'d> Assignments<'d> {
    pub(super) fn new(domains: &'d [Domain]) -> Result<Self, Exhausted> {
        let mut count = 1_usize;
        for domain in domains {
            count = count.saturating_mul(domain.values.len());
        }
        if count > MAX_ASSIGNMENTS {
            return Err(Exhausted);
        }
        Ok(Self {
            domains,
            next: (count > 0).then(|| vec![0; domains.len()]),
        })
    }

    pub(super) fn next(&mut self) -> Option<Assignment> {
        let chosen = self.next.as_mut()?;
        let values = self.domains.iter().zip(chosen.iter());
        let assignment = values.map(|(domain, choice)| {
            let value = domain.values[*choice].clone();
            (domain.variable.clone(), domain.key.clone(), value)
        });
        let assignment = Assignment(assignment.collect());
        let mut at = 0;
        loop {
            let Some(choice) = chosen.get_mut(at) else {
                self.next = None;
                break;
            };
            *choice += 1;
            if *choice < self.domains[at].values.len() {
                break;
            }
            *choice = 0;
            at += 1;
        }
        Some(assignment)
    }
}

/// The facts of an assignment, without keys and channels.
pub(super) fn assigned(assignment: &Assignment) -> RequestFacts<'_> {
    RequestFacts::new(assignment, &Touch::None)
}
