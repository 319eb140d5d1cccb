//! One direction of a comparison: what the one document allows and the other does not, grain by
//! grain.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use keyward_commands::{ActionBits, ActionId, CONNECT};

use super::actions::{enumerations, likeness, never_told, rank, snapshot_actions};
use super::places::{Where, covers, overlap};
use super::{Change, Difference, MAX_DIFFERENCES, PolicyDiff, Undecided, UndecidedReason};
use crate::analysis::call::Call;
use crate::analysis::grain::{Grain, Grains, NONE, Names};
use crate::analysis::place::{Ids, Neighbours, kinds};
use crate::analysis::product::{Exhausted, Work};
use crate::analysis::request::{Assignment, Request, allowed_by, allows};
use crate::{Effect, Statement};

/// Work for one grain and one group of actions.
const WORK_OF_ONE: u64 = 10_000_000;

/// From so many on, only one group of actions is told of each statement.
const MANY_DIFFERENCES: usize = 100;

/// What `to` allows and `from` does not.
pub(super) struct Direction<'d, 'a> {
    pub(super) from: &'d Grains<'a>,
    pub(super) to: &'d Grains<'a>,
    pub(super) change: Change,
    pub(super) names: &'d Names<'a>,
    pub(super) ids: &'d Ids,
    pub(super) neighbours: &'d Neighbours,
    pub(super) work: &'d mut Work,
    pub(super) report: &'d mut PolicyDiff,
}

/// A grain that may make a difference, and the grains that have a say in it.
pub(super) struct Focus<'d, 'a> {
    /// An Allow of `to` that `from` does not have, or a Deny of `from` that `to` does not have.
    pub(super) grain: &'d Grain<'a>,
    /// If the grain is a Deny: Allows of `to`.
    pub(super) allows: Vec<&'d Grain<'a>>,
    /// Denies of `to`.
    pub(super) denies: Vec<&'d Grain<'a>>,
    /// If the grain is an Allow: Allows of `from`.
    pub(super) others: Vec<&'d Grain<'a>>,
    /// What implies the action, if it can be implied: of `from`, if the grain is an Allow, else of
    /// `to`.
    pub(super) implying: Vec<&'d Grain<'a>>,
}

/// What was found for one grain.
#[derive(Default)]
pub(super) struct Results {
    /// By the pattern that was to be hit: the likeliest request, and all actions.
    pub(super) found: BTreeMap<usize, (usize, Request, BTreeSet<ActionId>)>,
    pub(super) undecided: BTreeMap<UndecidedReason, BTreeSet<ActionId>>,
}

/// What happened to one group of actions of one grain.
#[derive(Default)]
pub(super) struct Attempt {
    /// Patterns for which a request was found.
    pub(super) hit: BTreeSet<usize>,
    /// Something was found that did not hold when it was tried.
    pub(super) in_vain: usize,
    /// Patterns of the statement for which no request was looked for any more.
    pub(super) patterns_left: usize,
    pub(super) unsure: bool,
    /// Condition keys of which not every value was tried, and that may matter.
    pub(super) open: BTreeSet<String>,
}

impl<'d, 'a> Direction<'d, 'a> {
    pub(super) fn run(&mut self) -> Result<(), Exhausted> {
        let (from, to) = (self.from, self.to);
        let allows = to.all.iter().filter(|grain| grain.effect == Effect::Allow);
        let denies = from.all.iter().filter(|grain| grain.effect == Effect::Deny);
        let mut left = allows.clone().count() + denies.clone().count();
        let both = allows
            .map(|grain| (grain, from))
            .chain(denies.map(|grain| (grain, to)));
        let mut changed: Vec<&'d Grain<'a>> = Vec::new();
        let mut full = false;
        for (grain, other) in both {
            left -= 1;
            self.work.spend(200)?;
            let mut actions = grain.actions.clone();
            if let Some(same) = other.same(grain) {
                actions = actions.subtract(same);
            }
            if actions.contains(CONNECT)
                || actions.intersects(keyward_commands::execute_actions())
                || actions.intersects(snapshot_actions())
            {
                changed.push(grain);
            }
            let actions = actions.subtract(never_told());
            if actions.is_empty() {
                continue;
            }
            if full {
                self.report.more[self.change as usize] += 1;
                continue;
            }
            if let Err(exhausted) = self.grain(grain, actions) {
                self.report.more[self.change as usize] += 1 + left;
                return Err(exhausted);
            }
            let own = |difference: &&Difference| difference.change == self.change;
            full = self.report.differences.len() >= MAX_DIFFERENCES
                && self.report.differences.iter().filter(own).count() >= MAX_DIFFERENCES;
        }
        if full {
            return Ok(());
        }
        self.at_once(&changed)
    }

    /// Whether the grain that makes a difference is of the new document: an Allow of the one that
    /// allows more, or a Deny of the other.
    pub(super) fn is_in_new(&self, grain: &Grain<'a>) -> bool {
        (self.change == Change::NowAllowed) == (grain.effect == Effect::Allow)
    }

    /// Grains of a document with that effect that overlap a grain in some of the actions.
    pub(super) fn overlapping(
        &mut self,
        grains: &'d Grains<'a>,
        effect: Effect,
        grain: &Grain<'a>,
        actions: &ActionBits,
    ) -> Result<Vec<&'d Grain<'a>>, Exhausted> {
        let own = &self.names.places[grain.place];
        let mut found = Vec::new();
        for place in self.neighbours.of(own) {
            self.work.spend(20)?;
            if !overlap(own, &self.names.places[place]) {
                continue;
            }
            let numbers = grains.near(effect, place, grain, self.work)?;
            self.work.spend(50 + 20 * numbers.len())?;
            let all = numbers.iter().map(|number| &grains.all[*number]);
            found.extend(all.filter(|other| other.actions.intersects(actions)));
        }
        Ok(found)
    }

    pub(super) fn grain(
        &mut self,
        grain: &'d Grain<'a>,
        mut actions: ActionBits,
    ) -> Result<(), Exhausted> {
        let mut focus = Focus {
            grain,
            allows: Vec::new(),
            denies: Vec::new(),
            others: Vec::new(),
            implying: Vec::new(),
        };
        match grain.effect {
            Effect::Allow => {
                focus.others = self.overlapping(self.from, Effect::Allow, grain, &actions)?;
                // What one other allows as widely needs no search.
                for other in &focus.others {
                    if other.fields != grain.fields {
                        self.work.spend(other.comparing() + grain.comparing())?;
                    }
                    let wide = (other.guard == NONE || other.guard == grain.guard)
                        && (other.fields == grain.fields || other.has_all_patterns_of(grain));
                    let places = &self.names.places;
                    if wide && covers(&places[other.place], &places[grain.place]) {
                        actions = actions.subtract(&other.actions);
                    }
                }
            }
            Effect::Deny => {
                focus.allows = self.overlapping(self.to, Effect::Allow, grain, &actions)?;
            }
        }
        if actions.is_empty() {
            return Ok(());
        }
        focus.denies = self.overlapping(self.to, Effect::Deny, grain, &actions)?;
        for deny in &focus.denies {
            let wide = deny.fields == NONE && (deny.guard == NONE || deny.guard == grain.guard);
            let same = deny.fields == grain.fields && deny.guard == grain.guard;
            let wide = wide || (same && grain.effect == Effect::Deny);
            let places = &self.names.places;
            if wide && covers(&places[deny.place], &places[grain.place]) {
                let mut denied = deny.actions.clone();
                if grain.effect == Effect::Allow && deny.guard != NONE {
                    // A condition on keys takes from an enumeration what it shows, not the call.
                    denied = denied.subtract(enumerations());
                }
                actions = actions.subtract(&denied);
            }
        }
        let mut results = Results::default();
        let mut patterns_left = 0;
        for group in self.groups(&focus, &actions)? {
            if self.report.differences.len() >= MANY_DIFFERENCES && !results.found.is_empty() {
                self.report.more[self.change as usize] += 1;
                continue;
            }
            let left = *self.work;
            let mut own = left.at_most(WORK_OF_ONE);
            let full = own;
            std::mem::swap(self.work, &mut own);
            let attempt = self.group(&focus, &group, &mut results);
            std::mem::swap(self.work, &mut own);
            self.work.spend(full.used(&own))?;
            let mut undecided = |reason: UndecidedReason| {
                results.undecided.entry(reason).or_default().extend(&group);
            };
            if let Ok(attempt) = &attempt
                && !attempt.hit.is_empty()
            {
                patterns_left = patterns_left.max(attempt.patterns_left);
            }
            match attempt {
                Err(Exhausted) => undecided(UndecidedReason::TooLarge),
                Ok(attempt) if !attempt.hit.is_empty() => {}
                Ok(attempt) if !attempt.open.is_empty() => {
                    let names: Vec<String> = attempt
                        .open
                        .iter()
                        .map(|name| format!("`{name}`"))
                        .collect();
                    undecided(UndecidedReason::Conditions(names.join(", ")));
                }
                Ok(attempt) if attempt.unsure || attempt.in_vain > 0 => {
                    undecided(UndecidedReason::TooLarge);
                }
                Ok(_) => {}
            }
        }
        self.report.more[self.change as usize] += patterns_left;
        let change = self.change;
        let in_new = self.is_in_new(grain);
        let mut told: Vec<(Request, BTreeSet<ActionId>)> = Vec::new();
        for (_, (_, witness, actions)) in results.found {
            match told.iter_mut().find(|(known, _)| known.is_same(&witness)) {
                Some((_, known)) => known.extend(actions),
                None => told.push((witness, actions)),
            }
        }
        for (witness, actions) in told {
            if !self.differ(&witness)? {
                let entry = results
                    .undecided
                    .entry(UndecidedReason::TooLarge)
                    .or_default();
                entry.extend(actions);
                continue;
            }
            let also = actions
                .into_iter()
                .filter(|action| *action != witness.action);
            self.report.differences.push(Difference {
                change,
                also: also.collect(),
                in_new,
                line: grain.line_of(witness.action),
                witness,
            });
        }
        for (reason, actions) in results.undecided {
            let line = actions.first().map(|action| grain.line_of(*action));
            self.report.undecided.push(Undecided {
                change,
                actions: actions.into_iter().collect(),
                in_new,
                line: line.unwrap_or(grain.statement.line),
                reason,
            });
        }
        Ok(())
    }

    /// The actions in groups that nothing tells apart but their names; likely ones first.
    pub(super) fn groups(
        &mut self,
        focus: &Focus<'d, 'a>,
        actions: &ActionBits,
    ) -> Result<Vec<Vec<ActionId>>, Exhausted> {
        let lists = [&focus.allows, &focus.denies, &focus.others];
        let mut sets: Vec<&ActionBits> = lists
            .into_iter()
            .flatten()
            .map(|grain| &grain.actions)
            .collect();
        self.work.spend(30 * sets.len())?;
        let distinct: std::collections::HashSet<&ActionBits> = sets.drain(..).collect();
        let mut groups: HashMap<(usize, usize, Vec<bool>), Vec<ActionId>> = HashMap::new();
        for action in actions.iter() {
            self.work.spend(4 * distinct.len() + 50)?;
            let members = distinct.iter().map(|set| set.contains(action)).collect();
            let kinds = kinds(action).as_ptr() as usize;
            let group = groups
                .entry((likeness(action), kinds, members))
                .or_default();
            group.push(action);
        }
        let mut groups: Vec<Vec<ActionId>> = groups.into_values().collect();
        for group in &mut groups {
            group.sort_by_key(|action| (rank(*action), *action));
        }
        groups.sort_by_key(|group| (rank(group[0]), group[0]));
        Ok(groups)
    }

    pub(super) fn request(
        &self,
        action: ActionId,
        call: Option<Call>,
        at: &Where,
        assignment: &Assignment,
    ) -> Request {
        let (resource, identity) = match at {
            Where::Path(path) => (path.as_str(), None),
            Where::Who(who) => ("", Some(who.as_str())),
        };
        Request {
            action,
            resource: resource.into(),
            identity: identity.map(Into::into),
            call,
            facts: assignment.clone(),
        }
    }

    /// Whether `to` allows a request and `from` does not, all their statements asked.
    pub(super) fn differ(&mut self, request: &Request) -> Result<bool, Exhausted> {
        self.work.spend(self.from.weight + self.to.weight + 500)?;
        Ok(allows(self.to.policy, request) && !allows(self.from.policy, request))
    }
}

impl<'d, 'a> Focus<'d, 'a> {
    /// Whether a request differs by the statements that have a say in it. (All of both documents
    /// are asked when it is told.)
    pub(super) fn differ(&self, request: &Request) -> bool {
        let statements = |lists: [&[&Grain<'a>]; 2], with: Effect| -> Vec<&'a Statement> {
            let own = (self.grain.effect == with).then_some(self.grain);
            let lists = lists.into_iter().flatten().copied();
            let grains = own.into_iter().chain(lists);
            grains.flat_map(Grain::statements).collect()
        };
        let to = statements([&self.allows, &self.denies], Effect::Allow);
        // Of a Deny the question is whether it meets what the other document allows.
        let from = statements([&self.others, &self.allows], Effect::Deny);
        allowed_by(&to, request) && !allowed_by(&from, request)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &'d Grain<'a>> {
        let lists = self.allows.iter().chain(&self.denies).chain(&self.others);
        let lists = lists.chain(&self.implying);
        std::iter::once(self.grain).chain(lists.copied())
    }
}
