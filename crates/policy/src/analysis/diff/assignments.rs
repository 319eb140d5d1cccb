//! The values of condition keys that are tried.

use std::collections::{HashMap, HashSet};

use keyward_commands::ActionId;

use super::actions::{can_have, names_nothing};
use super::direction::{Direction, Focus};
use crate::analysis::product::Exhausted;
use crate::analysis::request::{Assignment, FactValue, RequestFacts, Variable};
use crate::analysis::values::{Domain, Templated, Use, compared_with, filling};
use crate::condition::Fact;
use crate::{ConditionKey, Touch};

/// Most combinations of values of condition keys that are tried for one group of requests.
const MAX_ASSIGNMENTS: usize = 4_096;

/// Most variables in patterns for which more than one text is tried.
const MAX_FILLED: usize = 2;

/// Most texts that are tried for one of them.
const MAX_FILLINGS: usize = 8;

/// Most patterns that are looked at for that.
const MAX_PATTERNS: usize = 64;

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
        // Variables that conditions compare.
        let mut pairs: HashSet<(Variable, Variable)> = HashSet::new();
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
                let how = match compared_with(clause) {
                    Some(other) => {
                        pairs.insert((Variable::of(&clause.key), Variable::of(other)));
                        Templated::Compared
                    }
                    None => Templated::Read,
                };
                for variable in clause.values().iter().flat_map(|value| value.variables()) {
                    add(variable, None, how);
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
        let likely = match keys
            .iter()
            .filter(|(.., how)| *how == Templated::Read)
            .count()
        {
            1..=MAX_FILLED => self.likely(here)?,
            _ => HashMap::new(),
        };
        let mut domains = Vec::new();
        for (variable, key, uses, templated) in &keys {
            self.work.spend(100 * uses.len())?;
            let there = can_have(action, key.fact());
            let likely = likely.get(variable).map_or(&[][..], Vec::as_slice);
            let mut domain = Domain::new(key, uses, *templated, likely, there, self.work)?;
            // Of three that are compared all could be different.
            let own = pairs.iter().filter(|(a, b)| [a, b].contains(&variable));
            domain.complete &= own.count() < 2;
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
        for (a, b) in &pairs {
            let place = |variable: &Variable| {
                domains
                    .iter()
                    .position(|domain| domain.variable == *variable && domain.values.len() > 1)
            };
            if let (Some(a), Some(b)) = (place(a), place(b)) {
                let of_a = domains[a].values.clone();
                domains[b].share(&of_a);
                let of_b = domains[b].values.clone();
                domains[a].share(&of_b);
            }
        }
        Ok(domains)
    }

    /// Texts for variables in patterns of keys and channels, with which they meet other patterns.
    fn likely(
        &mut self,
        here: &Focus<'d, 'a>,
    ) -> Result<HashMap<Variable, Vec<Vec<u8>>>, Exhausted> {
        let mut likely: HashMap<Variable, Vec<Vec<u8>>> = HashMap::new();
        let templates = here
            .all()
            .filter_map(|grain| grain.statement.templates.as_deref());
        let templates = templates.flat_map(|templates| templates.fields());
        for template in templates.take(MAX_PATTERNS) {
            for glob in here
                .all()
                .flat_map(|grain| grain.globs())
                .take(MAX_PATTERNS)
            {
                self.work.spend(50)?;
                let Some((key, text)) = filling(template, glob) else {
                    continue;
                };
                let texts = likely.entry(Variable::of(key)).or_default();
                if texts.len() < MAX_FILLINGS && !texts.contains(&text) {
                    texts.push(text);
                }
            }
        }
        Ok(likely)
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
