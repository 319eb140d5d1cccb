//! Where two documents differ: what one allows and the other does not, with a request for each
//! difference on which it was tried.
//!
//! Documents are compared in grains (see [`super::grain`]). A request that the one allows and the
//! other does not is allowed by a grain of the one that the other does not have, or denied by a
//! grain of the other that the one does not have; so only these are looked at. For each the
//! statements that overlap it are gathered, and a request is looked for that tells the documents
//! apart: over the actions (those that no statement tells apart at once), the resources that
//! patterns tell apart, the values of condition keys that clauses tell apart, and keys and channels
//! as sets of strings. What is found is tried with the statements as they are read; what cannot be
//! decided so is said to be undecided.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use keyward_commands::{
    ActionBits, ActionId, Argument, CONNECT, CommandClass, CommandId, CommandScope,
};

use super::call::Call;
use super::formula::Languages;
use super::grain::{Grain, Grains, NONE, Names, Place};
use super::place::{Ids, Neighbours, kinds};
use super::product::{Exhausted, Work};
use super::request::{
    Assignment, FactValue, Request, RequestFacts, Variable, allowed_by, allows,
    names as names_identity,
};
use super::solve::{Part, Query, Solver, known_families};
use super::values::{Domain, Use};
use crate::condition::Fact;
use crate::facts::{Facts, Found};
use crate::{
    ConditionKey, Dialect, Effect, Glob, KeyFields, KeyPatterns, Policy, ResourcePattern,
    Statement, Template, Touch, check_pattern,
};

/// Work for one comparison: below a second.
const WORK: u64 = 100_000_000;
/// Work for one grain and one group of actions.
const WORK_OF_ONE: u64 = 10_000_000;
/// Most differences that are told.
pub const MAX_DIFFERENCES: usize = 1_000;
/// From so many on, only one group of actions is told of each statement.
const MANY_DIFFERENCES: usize = 100;
/// Most combinations of values of condition keys that are tried for one group of requests.
const MAX_ASSIGNMENTS: usize = 4_096;
/// Most requests that are tried in vain before a question is undecided.
const MAX_TRIES: usize = 64;

/// Which way two documents differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Only the new one allows it.
    NowAllowed,
    /// Only the old one allows it.
    NoLongerAllowed,
}

/// A difference.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Which way.
    pub change: Change,
    /// A request that one document allows and the other does not: tried.
    pub witness: Request,
    /// Other actions of which the same is so for the same statement, in the order of the catalogue.
    pub also: Vec<ActionId>,
    /// Whether the statement that makes the difference stands in the new document.
    pub in_new: bool,
    /// Where it begins.
    pub line: u32,
}

/// A question without an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Undecided {
    /// Which way the documents may differ.
    pub change: Change,
    /// For these actions.
    pub actions: Vec<ActionId>,
    /// Whether the statement that may make the difference stands in the new document.
    pub in_new: bool,
    /// Where it begins.
    pub line: u32,
    /// Why.
    pub reason: UndecidedReason,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum UndecidedReason {
    /// More would have to be compared than is allowed.
    #[error("too large to compare")]
    TooLarge,
    /// Conditions of which not every value can be tried.
    #[error("it depends on {0} in more ways than can be told")]
    Conditions(String),
    /// The documents are of kinds or dialects that are not compared.
    #[error("{0}")]
    Dialect(String),
}

/// All that two documents differ in.
#[derive(Clone, Debug, Default)]
pub struct PolicyDiff {
    /// What was found, in the order of the documents' lines, new access first.
    pub differences: Vec<Difference>,
    /// What could not be decided.
    pub undecided: Vec<Undecided>,
    /// There are more than [`MAX_DIFFERENCES`].
    pub more: bool,
}

impl PolicyDiff {
    /// Whether the documents are known to mean the same.
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty() && self.undecided.is_empty()
    }

    /// Whether it is known that the new document allows nothing that the old one does not.
    pub fn has_no_new_access(&self) -> bool {
        let new = Change::NowAllowed;
        !self.more
            && !self
                .differences
                .iter()
                .any(|difference| difference.change == new)
            && !self
                .undecided
                .iter()
                .any(|undecided| undecided.change == new)
    }
}

/// Compares two documents of one kind.
pub fn diff(old: &Policy, new: &Policy) -> PolicyDiff {
    let mut report = PolicyDiff::default();
    let native = [old, new]
        .iter()
        .all(|policy| policy.dialect() == Dialect::Native);
    if old.kind() != new.kind() || !native {
        let text = match native {
            true => "one is a resource policy, the other is not".to_owned(),
            false => format!(
                "documents of the dialects `{}` and `{}` are not compared: only native ones are",
                old.dialect(),
                new.dialect()
            ),
        };
        for change in [Change::NowAllowed, Change::NoLongerAllowed] {
            report.undecided.push(Undecided {
                change,
                actions: Vec::new(),
                in_new: true,
                line: 1,
                reason: UndecidedReason::Dialect(text.clone()),
            });
        }
        return report;
    }
    let mut work = Work::new(WORK);
    if compare(old, new, &mut work, &mut report).is_err() {
        for change in [Change::NowAllowed, Change::NoLongerAllowed] {
            report.undecided.push(Undecided {
                change,
                actions: Vec::new(),
                in_new: true,
                line: 1,
                reason: UndecidedReason::TooLarge,
            });
        }
    }
    report
        .differences
        .sort_by_key(|difference| (difference.change, difference.line));
    report.undecided.sort();
    report.undecided.dedup();
    report
}

fn compare(
    old: &Policy,
    new: &Policy,
    work: &mut Work,
    report: &mut PolicyDiff,
) -> Result<(), Exhausted> {
    let mut names = Names::default();
    let old = Grains::new(old, &mut names, work)?;
    let new = Grains::new(new, &mut names, work)?;
    let patterns = names.places.iter().filter_map(|place| match place {
        Place::Resource(pattern) => Some(*pattern),
        _ => None,
    });
    let ids = Ids::new(patterns, new.policy.organisation());
    let neighbours = Neighbours::new(&names.places);
    for (from, to, change) in [
        (&old, &new, Change::NowAllowed),
        (&new, &old, Change::NoLongerAllowed),
    ] {
        let mut direction = Direction {
            from,
            to,
            change,
            names: &names,
            ids: &ids,
            neighbours: &neighbours,
            work,
            report,
        };
        // Half of what is left for each.
        let mut own = direction.work.at_most(WORK / 2);
        let full = own;
        std::mem::swap(direction.work, &mut own);
        let done = direction.run();
        std::mem::swap(direction.work, &mut own);
        _ = direction.work.spend(full.used(&own));
        if done.is_err() {
            report.undecided.push(Undecided {
                change,
                actions: Vec::new(),
                in_new: true,
                line: 1,
                reason: UndecidedReason::TooLarge,
            });
        }
    }
    Ok(())
}

/// What `to` allows and `from` does not.
struct Direction<'d, 'a> {
    from: &'d Grains<'a>,
    to: &'d Grains<'a>,
    change: Change,
    names: &'d Names<'a>,
    ids: &'d Ids,
    neighbours: &'d Neighbours,
    work: &'d mut Work,
    report: &'d mut PolicyDiff,
}

/// A grain that may make a difference, and the grains that have a say in it.
struct Focus<'d, 'a> {
    /// An Allow of `to` that `from` does not have, or a Deny of `from` that `to` does not have.
    grain: &'d Grain<'a>,
    /// If the grain is a Deny: Allows of `to`.
    allows: Vec<&'d Grain<'a>>,
    /// Denies of `to`.
    denies: Vec<&'d Grain<'a>>,
    /// If the grain is an Allow: Allows of `from`.
    others: Vec<&'d Grain<'a>>,
    /// What implies the action, if it can be implied: of `from`, if the grain is an Allow, else of
    /// `to`.
    implying: Vec<&'d Grain<'a>>,
}

/// What was found for one grain.
#[derive(Default)]
struct Results {
    /// By the pattern that was to be hit: the likeliest request, and all actions.
    found: BTreeMap<usize, (usize, Request, BTreeSet<ActionId>)>,
    undecided: BTreeMap<UndecidedReason, BTreeSet<ActionId>>,
}

/// What happened to one group of actions of one grain.
#[derive(Default)]
struct Attempt {
    /// Patterns for which a request was found.
    hit: BTreeSet<usize>,
    /// Something was found that did not hold when it was tried.
    in_vain: usize,
    unsure: bool,
    /// Condition keys of which not every value was tried, and that may matter.
    open: BTreeSet<String>,
}

/// Where a request is made: a path, or, of resource policies, who asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Where {
    Path(String),
    Who(String),
}

impl<'d, 'a> Direction<'d, 'a> {
    fn run(&mut self) -> Result<(), Exhausted> {
        let (from, to) = (self.from, self.to);
        let allows = to.all.iter().filter(|grain| grain.effect == Effect::Allow);
        let denies = from.all.iter().filter(|grain| grain.effect == Effect::Deny);
        let both = allows
            .map(|grain| (grain, from))
            .chain(denies.map(|grain| (grain, to)));
        let mut changed: Vec<&'d Grain<'a>> = Vec::new();
        for (grain, other) in both {
            self.work.spend(200)?;
            let mut actions = grain.actions.clone();
            if let Some(same) = other.same(grain) {
                actions = actions.subtract(same);
            }
            if actions.contains(CONNECT) || actions.intersects(keyward_commands::execute_actions())
            {
                changed.push(grain);
            }
            let actions = actions.subtract(never_told());
            if actions.is_empty() {
                continue;
            }
            self.grain(grain, actions)?;
            let own = |difference: &&Difference| difference.change == self.change;
            if self.report.differences.iter().filter(own).count() >= MAX_DIFFERENCES {
                self.report.more = true;
                return Ok(());
            }
        }
        self.at_once(&changed)
    }

    /// Whether the grain that makes a difference is of the new document: an Allow of the one that
    /// allows more, or a Deny of the other.
    fn is_in_new(&self, grain: &Grain<'a>) -> bool {
        (self.change == Change::NowAllowed) == (grain.effect == Effect::Allow)
    }

    /// Grains of a document with that effect that overlap a grain in some of the actions.
    fn overlapping(
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
            let numbers = grains.near(effect, place, grain);
            self.work.spend(50 + 20 * numbers.len())?;
            let all = numbers.iter().map(|number| &grains.all[*number]);
            found.extend(all.filter(|other| other.actions.intersects(actions)));
        }
        Ok(found)
    }

    fn grain(&mut self, grain: &'d Grain<'a>, mut actions: ActionBits) -> Result<(), Exhausted> {
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
                actions = actions.subtract(&deny.actions);
            }
        }
        let mut results = Results::default();
        for group in self.groups(&focus, &actions)? {
            if self.report.differences.len() >= MANY_DIFFERENCES && !results.found.is_empty() {
                break; // other actions are not listed any more
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
        let (change, line) = (self.change, grain.statement.line);
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
                witness,
                in_new,
                line,
            });
        }
        for (reason, actions) in results.undecided {
            self.report.undecided.push(Undecided {
                change,
                actions: actions.into_iter().collect(),
                in_new,
                line,
                reason,
            });
        }
        Ok(())
    }

    /// The actions in groups that nothing tells apart but their names; likely ones first.
    fn groups(
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

    /// Where a grain speaks, as far as patterns tell places apart.
    fn places(&self, grain: &Grain<'a>, action: ActionId) -> Vec<Where> {
        let organisation = self.to.policy.organisation();
        match &self.names.places[grain.place] {
            Place::Resource(pattern) => {
                let paths = self.ids.paths(kinds(action), Some(pattern));
                paths.into_iter().map(Where::Path).collect()
            }
            Place::Template(statement) => {
                let templates = statement.templates.iter().flat_map(|t| &t.resources);
                let samples = templates.filter_map(|template| {
                    ResourcePattern::parse(&template.sample(SAMPLE), organisation).ok()
                });
                let of_samples = samples
                    .flat_map(|pattern| self.ids.paths(kinds(action), Some(&pattern)))
                    .collect::<Vec<_>>();
                let all = self.ids.paths(kinds(action), None);
                of_samples.into_iter().chain(all).map(Where::Path).collect()
            }
            Place::Identity(pattern) => {
                let named = || {
                    self.names.places.iter().filter_map(|place| match place {
                        Place::Identity(crate::IdentityPattern::Path(path)) => {
                            Some(path.to_string())
                        }
                        _ => None,
                    })
                };
                let fresh = format!(
                    "org/{organisation}/programmatic_identity/{}",
                    self.ids.fresh()
                );
                let nobody = || "unauthenticated".to_owned();
                let who: Vec<String> = match pattern {
                    crate::IdentityPattern::Path(path) => vec![path.to_string()],
                    crate::IdentityPattern::Unauthenticated => vec![nobody()],
                    crate::IdentityPattern::Everyone if grain.effect == Effect::Deny => {
                        let all = std::iter::once(fresh).chain(named());
                        all.chain([nobody()]).collect()
                    }
                    crate::IdentityPattern::Everyone => {
                        std::iter::once(fresh).chain(named()).collect()
                    }
                };
                who.into_iter().map(Where::Who).collect()
            }
        }
    }

    /// Whether a grain speaks there; of a resource with variables `None` without their values.
    fn is_at(&self, grain: &Grain<'a>, at: &Where, facts: &dyn Facts) -> Option<bool> {
        match (&self.names.places[grain.place], at) {
            (Place::Resource(pattern), Where::Path(path)) => Some(pattern.matches(path)),
            (Place::Template(statement), Where::Path(path)) => statement.concerns(path, facts),
            (Place::Identity(pattern), Where::Who(who)) => {
                Some(names_identity(pattern, grain.effect, who))
            }
            _ => Some(false),
        }
    }

    fn group(
        &mut self,
        focus: &Focus<'d, 'a>,
        group: &[ActionId],
        results: &mut Results,
    ) -> Result<Attempt, Exhausted> {
        let action = group[0];
        let mut attempt = Attempt::default();
        let mut patterns = 1;
        let mut implying = Vec::new();
        if is_implied(action) {
            let of = match focus.grain.effect {
                Effect::Allow => self.from,
                Effect::Deny => self.to,
            };
            for effect in [Effect::Allow, Effect::Deny] {
                implying.extend(self.overlapping(of, effect, focus.grain, connecting_actions())?);
            }
        }
        for at in self.places(focus.grain, action) {
            let mut maybe = |list: &[&'d Grain<'a>]| -> Result<Vec<&'d Grain<'a>>, Exhausted> {
                self.work.spend(20 * list.len() + 20)?;
                let there = list
                    .iter()
                    .filter(|grain| self.is_at(grain, &at, &AllLater) != Some(false));
                Ok(there.copied().collect())
            };
            let of_action = |list: Vec<&'d Grain<'a>>| -> Vec<&'d Grain<'a>> {
                let own = list
                    .into_iter()
                    .filter(|grain| grain.actions.contains(action));
                own.collect()
            };
            let here = Focus {
                grain: focus.grain,
                allows: of_action(maybe(&focus.allows)?),
                denies: of_action(maybe(&focus.denies)?),
                others: of_action(maybe(&focus.others)?),
                implying: maybe(&implying)?,
            };
            patterns = self.place(&here, group, &at, results, &mut attempt)?;
            if attempt.hit.len() >= patterns {
                break;
            }
        }
        _ = patterns;
        Ok(attempt)
    }

    /// Tries all values of condition keys at one place. Tells how many patterns there are to hit.
    fn place(
        &mut self,
        here: &Focus<'d, 'a>,
        group: &[ActionId],
        at: &Where,
        results: &mut Results,
        attempt: &mut Attempt,
    ) -> Result<usize, Exhausted> {
        let action = group[0];
        let domains = self.domains(here, action, true)?;
        let mut assignments = Assignments::new(&domains)?;
        let has_templates = here.all().any(|grain| grain.statement.templates.is_some());
        let mut seen: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut patterns = 1;
        while let Some(assignment) = assignments.next() {
            self.work.spend(100)?;
            let mut signature = Vec::new();
            let mut part = |grain: &'d Grain<'a>| -> Option<Part<'a>> {
                let there = self.is_at(grain, at, &assigned(&assignment)) == Some(true);
                let part = there.then(|| part(grain, &assignment, None)).flatten();
                signature.push(u8::from(part.is_some()));
                part
            };
            let grain = part(here.grain);
            let mut parts = |list: &[&'d Grain<'a>]| -> Vec<Part<'a>> {
                list.iter().filter_map(|grain| part(grain)).collect()
            };
            let allows = parts(&here.allows);
            let denies = parts(&here.denies);
            let others = parts(&here.others);
            parts(&here.implying);
            self.work.spend(100 * here.all().count())?;
            let Some(grain) = grain else { continue };
            if !has_templates && !seen.insert(signature) {
                continue;
            }
            let sides = Sides {
                grain,
                allows,
                denies,
                others,
            };
            patterns = self.assigned(&sides, here, group, at, &assignment, results, attempt)?;
            if attempt.hit.len() >= patterns {
                return Ok(patterns);
            }
        }
        let open: Vec<&Domain> = domains.iter().filter(|domain| !domain.complete).collect();
        if !open.is_empty()
            && attempt.hit.is_empty()
            && self.may_differ(here, action, at, &domains)?
        {
            attempt
                .open
                .extend(open.iter().map(|domain| domain.key.name().to_owned()));
        }
        Ok(patterns)
    }

    /// Whether the documents could differ if every clause about an open condition key, and every
    /// variable, were as it would have to be.
    fn may_differ(
        &mut self,
        here: &Focus<'d, 'a>,
        action: ActionId,
        at: &Where,
        domains: &[Domain],
    ) -> Result<bool, Exhausted> {
        let mut assignments = Assignments::new(domains)?;
        while let Some(assignment) = assignments.next() {
            self.work.spend(100 * here.all().count())?;
            let open = |wide: bool| Some((domains, wide));
            let Some(grain) = part(here.grain, &assignment, open(true)) else {
                continue;
            };
            let list = |list: &[&'d Grain<'a>], wide: bool| -> Vec<Part<'a>> {
                let there = list.iter().filter(|grain| {
                    let is_at = self.is_at(grain, at, &assigned(&assignment));
                    let varies = matches!(self.names.places[grain.place], Place::Template(_));
                    if varies { wide } else { is_at == Some(true) }
                });
                there
                    .filter_map(|grain| part(grain, &assignment, open(wide)))
                    .collect()
            };
            let sides = Sides {
                grain,
                allows: list(&here.allows, true),
                denies: list(&here.denies, false),
                others: list(&here.others, false),
            };
            let (calls, _) = self.candidates(&sides, action, &assignment, None)?;
            if !calls.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks for requests with these values of condition keys.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of what a request is made of"
    )]
    fn assigned(
        &mut self,
        sides: &Sides<'a>,
        here: &Focus<'d, 'a>,
        group: &[ActionId],
        at: &Where,
        assignment: &Assignment,
        results: &mut Results,
        attempt: &mut Attempt,
    ) -> Result<usize, Exhausted> {
        let action = group[0];
        let mut sides = Cow::Borrowed(sides);
        if is_implied(action) {
            match self.implied(&sides, here, action, at, assignment) {
                Some(with) => sides = Cow::Owned(with),
                None => return Ok(1),
            }
        }
        let hot = sides.patterns();
        let patterns = hot.len().max(1);
        // Whether there is anything at all, before every pattern is asked for.
        let (first, unsure) = self.candidates(&sides, action, assignment, None)?;
        attempt.unsure |= unsure;
        if first.is_empty() {
            return Ok(patterns);
        }
        let mut hit_none = true;
        if hot.len() > 1 {
            for (number, glob) in hot.iter().enumerate().take(MAX_PATTERNS) {
                if attempt.hit.contains(&number) {
                    continue;
                }
                let (calls, _) = self.candidates(&sides, action, assignment, Some(*glob))?;
                for call in calls {
                    if self.try_out(call, here, group, at, assignment, number, results, attempt)? {
                        hit_none = false;
                        break;
                    }
                }
            }
        }
        if hit_none && !attempt.hit.contains(&0) {
            for call in first {
                if self.try_out(call, here, group, at, assignment, 0, results, attempt)? {
                    break;
                }
            }
        }
        Ok(patterns.min(MAX_PATTERNS))
    }

    /// Calls that should tell the documents apart, and whether there may be more.
    fn candidates(
        &mut self,
        sides: &Sides<'a>,
        action: ActionId,
        assignment: &Assignment,
        hot: Option<(&Glob, bool)>,
    ) -> Result<(Vec<Option<Call>>, bool), Exhausted> {
        let meet = (sides.grain.effect == Effect::Deny).then_some(&sides.grain);
        let own = [&sides.grain];
        let allows: Vec<&Part<'a>> = match meet {
            None => own.to_vec(),
            Some(_) => sides.allows.iter().collect(),
        };
        let denies: Vec<&Part<'a>> = sides.denies.iter().collect();
        let others: Vec<&Part<'a>> = sides.others.iter().collect();
        let mut found = Vec::new();
        let mut unsure = false;
        for allow in allows {
            let query = Query {
                action,
                assignment,
                allow,
                meet,
                denies: &denies,
                others: &others,
                hot,
            };
            self.work.spend(100 + 10 * (denies.len() + others.len()))?;
            let Some(command) = action.command() else {
                let says = |part: &Part<'_>| part.matches(action, assignment, &Touch::None);
                let right = says(allow)
                    && meet.is_none_or(says)
                    && !denies.iter().any(|part| says(part))
                    && !others.iter().any(|part| says(part));
                if right {
                    found.push(None);
                }
                continue;
            };
            let mut solver = Solver {
                languages: Languages::default(),
                work: &mut *self.work,
                unsure: false,
            };
            found.extend(solver.call(command, &query)?.into_iter().map(Some));
            unsure |= solver.unsure;
            if found.len() >= MAX_TRIES {
                break;
            }
        }
        Ok((found, unsure))
    }

    /// Tries a request on both documents, and keeps it if they differ.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of what a request is made of"
    )]
    fn try_out(
        &mut self,
        call: Option<Call>,
        here: &Focus<'d, 'a>,
        group: &[ActionId],
        at: &Where,
        assignment: &Assignment,
        pattern: usize,
        results: &mut Results,
        attempt: &mut Attempt,
    ) -> Result<bool, Exhausted> {
        let action = group[0];
        let request = self.request(action, call, at, assignment);
        let differs = if is_implied(action) {
            self.differ(&request)?
        } else {
            self.work.spend(50 * here.all().count() + 500)?;
            here.differ(&request)
        };
        if !differs {
            attempt.in_vain += 1;
            if attempt.in_vain > MAX_TRIES {
                return Err(Exhausted);
            }
            return Ok(false);
        }
        let request = self.with_fewer_facts(request, here);
        attempt.hit.insert(pattern);
        let rank = rank(action);
        let entry = results
            .found
            .entry(pattern)
            .or_insert_with(|| (rank, request.clone(), BTreeSet::new()));
        if rank < entry.0 {
            (entry.0, entry.1) = (rank, request);
        }
        entry.2.extend(group);
        Ok(true)
    }

    /// Without what a request need not have to make a difference. Every connection has an address
    /// and a moment.
    fn with_fewer_facts(&self, mut request: Request, here: &Focus<'d, 'a>) -> Request {
        if is_implied(request.action) {
            return request;
        }
        for at in 0..request.facts.0.len() {
            let (_, key, value) = &mut request.facts.0[at];
            let always = matches!(
                key.fact(),
                Fact::SourceIp | Fact::CurrentTime | Fact::EpochTime | Fact::SecureTransport
            );
            if always || *value == FactValue::Absent {
                continue;
            }
            let before = std::mem::replace(value, FactValue::Absent);
            if !here.differ(&request) {
                request.facts.0[at].2 = before;
            }
        }
        request
    }

    /// Whether `to` allows a request and `from` does not, all their statements asked.
    fn differ(&mut self, request: &Request) -> Result<bool, Exhausted> {
        let statements = self.from.policy.statements().len() + self.to.policy.statements().len();
        self.work.spend(50 * statements + 500)?;
        Ok(allows(self.to.policy, request) && !allows(self.from.policy, request))
    }

    fn request(
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

    /// With what `kvdb:Connect` implies: of `from`, where the grain is an Allow, else of `to`. `None`
    /// if there can be no difference then.
    fn implied(
        &mut self,
        sides: &Sides<'a>,
        here: &Focus<'d, 'a>,
        action: ActionId,
        at: &Where,
        assignment: &Assignment,
    ) -> Option<Sides<'a>> {
        let of = match sides.grain.effect {
            Effect::Allow => self.from,
            Effect::Deny => self.to,
        };
        let request = self.request(CONNECT, None, at, assignment);
        if !allows(of.policy, &request) {
            return Some(sides.clone());
        }
        let touches_keys = action.command().is_some_and(|id| {
            id.command().scope == CommandScope::Keyed || id.command().name == "client|tracking"
        });
        if !touches_keys && sides.grain.effect == Effect::Allow {
            return None;
        }
        let mut with = sides.clone();
        let there = here.implying.iter().filter(|grain| {
            let ordinary = grain.actions.intersects(ordinary_keyed());
            grain.effect == Effect::Allow
                && (ordinary || !touches_keys)
                && self.is_at(grain, at, &assigned(assignment)) == Some(true)
        });
        let parts = there.filter_map(|grain| part(grain, assignment, None));
        let parts = parts.map(|part| Part {
            fields: if touches_keys { part.fields } else { None },
            ..part
        });
        match sides.grain.effect {
            Effect::Allow => with.others.extend(parts),
            Effect::Deny => with.allows.extend(parts),
        }
        Some(with)
    }

    /// What the condition keys in these grains can be.
    fn domains(
        &mut self,
        here: &Focus<'d, 'a>,
        action: ActionId,
        own_holds: bool,
    ) -> Result<Vec<Domain>, Exhausted> {
        let mut keys: Vec<(Variable, &'a ConditionKey, Vec<Use<'a>>, bool)> = Vec::new();
        for grain in here.all() {
            let statement = grain.statement;
            let conditions = statement.conditions.as_ref();
            let clauses = conditions.map_or(&[][..], |conditions| conditions.clauses());
            let mut add = |key: &'a ConditionKey, used: Option<Use<'a>>| {
                if key.fact().is_of_touch() || *key.fact() == Fact::KeyCount {
                    return;
                }
                let variable = Variable::of(key);
                let known = keys.iter_mut().find(|(own, ..)| *own == variable);
                match known {
                    Some((_, _, uses, templated)) => {
                        *templated |= used.is_none();
                        uses.extend(used);
                    }
                    None => {
                        let templated = used.is_none();
                        keys.push((variable, key, used.into_iter().collect(), templated));
                    }
                }
            };
            for clause in clauses {
                add(&clause.key, Some((clause, grain.effect)));
                for variable in clause.values().iter().flat_map(|value| value.variables()) {
                    add(variable, None);
                }
            }
            if let Some(templates) = &statement.templates {
                for variable in templates.all().flat_map(|template| template.variables()) {
                    add(variable, None);
                }
            }
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

    /// What is decided on all statements at once: what needs the whole database, and connecting
    /// where some command is possible. It can change only where a grain did.
    fn at_once(&mut self, changed: &[&'d Grain<'a>]) -> Result<(), Exhausted> {
        let mut seen = BTreeSet::new();
        for grain in changed {
            for at in self.places(grain, CONNECT) {
                self.work.spend(200)?;
                if !seen.insert(at.clone()) {
                    continue;
                }
                let mut here = Focus {
                    grain,
                    allows: Vec::new(),
                    denies: Vec::new(),
                    others: Vec::new(),
                    implying: Vec::new(),
                };
                for (grains, of_to) in [(self.to, true), (self.from, false)] {
                    for effect in [Effect::Allow, Effect::Deny] {
                        let all = keyward_commands::execute_actions();
                        for other in self.overlapping(grains, effect, grain, all)? {
                            if self.is_at(other, &at, &AllLater) == Some(false) {
                                continue;
                            }
                            match (effect, of_to) {
                                (Effect::Allow, true) => here.allows.push(other),
                                (Effect::Allow, false) => here.others.push(other),
                                _ => here.denies.push(other),
                            }
                        }
                    }
                }
                self.scripts(&here, &at)?;
                self.connecting(&here, &at)?;
            }
        }
        Ok(())
    }

    fn scripts(&mut self, here: &Focus<'d, 'a>, at: &Where) -> Result<(), Exhausted> {
        let scripts = script_actions();
        let mut held = ActionBits::EMPTY;
        for grain in &here.allows {
            held = held.union(&grain.actions);
        }
        if !whole_database_actions().is_subset_of(&held) {
            return Ok(());
        }
        let call = |command: CommandId| {
            let family = known_families(command).first()?;
            let slots = family.slots();
            let form = family.form(command, &slots)?;
            let keys = vec![b"key".to_vec(); form.keys.len()];
            form.fill(&keys, &[])
        };
        let of_call = |action: ActionId| action.command().map(|id| (action, call(id)));
        let mut actions: Vec<(ActionId, Option<Call>)> =
            scripts.iter().filter_map(of_call).collect();
        actions.sort_by_key(|(action, _)| action.name() != "kvdb:ExecuteEval");
        self.told_at_once(here, at, &actions)
    }

    fn connecting(&mut self, here: &Focus<'d, 'a>, at: &Where) -> Result<(), Exhausted> {
        let simple = |grain: &&&Grain<'a>| grain.guard == NONE && grain.fields == NONE;
        let denied = !here.denies.is_empty();
        let ordinary = |grain: &&Grain<'a>| grain.actions.intersects(ordinary_keyed());
        if !denied && here.others.iter().filter(simple).any(ordinary) {
            return Ok(()); // it connected before
        }
        let path = match at {
            Where::Path(path) => path.as_str(),
            Where::Who(who) => who.as_str(),
        };
        let known = self.report.differences.iter().any(|difference| {
            let witness = &difference.witness;
            let place = witness.identity.as_deref().unwrap_or(&witness.resource);
            difference.change == self.change && place == path
        });
        if known {
            return Ok(()); // whoever may run a command may connect: not told again
        }
        let call = |action: ActionId| {
            let family = known_families(action.command()?).first()?;
            let slots = family.slots();
            (slots.is_empty()).then(|| family.form(action.command()?, &slots)?.fill(&[], &[]))?
        };
        let mut actions = vec![(CONNECT, None)];
        for action in keyward_commands::connect_only_actions().iter() {
            actions.extend(call(action).map(|call| (action, Some(call))));
        }
        self.told_at_once(here, at, &actions)
    }

    /// Tells a difference in the first of these actions, and which others are the same.
    fn told_at_once(
        &mut self,
        here: &Focus<'d, 'a>,
        at: &Where,
        actions: &[(ActionId, Option<Call>)],
    ) -> Result<(), Exhausted> {
        let statements = self.from.policy.statements().len() + self.to.policy.statements().len();
        let Some((first, _)) = actions.first() else {
            return Ok(());
        };
        let domains = self.domains(here, *first, false)?;
        let Ok(mut assignments) = Assignments::new(&domains) else {
            self.report.undecided.push(Undecided {
                change: self.change,
                actions: actions.iter().map(|(action, _)| *action).collect(),
                in_new: self.is_in_new(here.grain),
                line: here.grain.statement.line,
                reason: UndecidedReason::TooLarge,
            });
            return Ok(());
        };
        while let Some(assignment) = assignments.next() {
            self.work.spend(100 * statements + 1000)?;
            let differs = |action: ActionId, call: &Option<Call>| {
                let request = self.request(action, call.clone(), at, &assignment);
                let differs =
                    allows(self.to.policy, &request) && !allows(self.from.policy, &request);
                differs.then_some(request)
            };
            let Some(witness) = differs(actions[0].0, &actions[0].1) else {
                continue;
            };
            let also = actions[1..]
                .iter()
                .filter(|(action, call)| differs(*action, call).is_some());
            let also = also.map(|(action, _)| *action).collect();
            self.report.differences.push(Difference {
                change: self.change,
                witness,
                also,
                in_new: self.is_in_new(here.grain),
                line: here.grain.statement.line,
            });
            return Ok(());
        }
        Ok(())
    }
}

/// Most patterns of one statement for each of which a request is looked for.
const MAX_PATTERNS: usize = 64;

/// What stands for the value of a variable.
const SAMPLE: &str = "alice";

impl<'d, 'a> Focus<'d, 'a> {
    /// Whether a request differs by the statements that have a say in it. (All of both documents
    /// are asked when it is told.)
    fn differ(&self, request: &Request) -> bool {
        let statements = |lists: [&[&Grain<'a>]; 2], with: Effect| -> Vec<&'a Statement> {
            let own = (self.grain.effect == with).then_some(self.grain.statement);
            let lists = lists.into_iter().flatten().map(|grain| grain.statement);
            own.into_iter().chain(lists).collect()
        };
        let to = statements([&self.allows, &self.denies], Effect::Allow);
        let from = statements([&self.others, &[]], Effect::Deny);
        allowed_by(&to, request) && !allowed_by(&from, request)
    }

    fn all(&self) -> impl Iterator<Item = &'d Grain<'a>> {
        let lists = self.allows.iter().chain(&self.denies).chain(&self.others);
        let lists = lists.chain(&self.implying);
        std::iter::once(self.grain).chain(lists.copied())
    }
}

/// The parts of a focus, with all values of condition keys put in.
#[derive(Clone)]
struct Sides<'a> {
    grain: Part<'a>,
    allows: Vec<Part<'a>>,
    denies: Vec<Part<'a>>,
    others: Vec<Part<'a>>,
}

impl<'a> Sides<'a> {
    /// The patterns of the grain, each with whether it is of channels.
    fn patterns(&self) -> Vec<(&Glob, bool)> {
        let Some(fields) = &self.grain.fields else {
            return Vec::new();
        };
        let keys = fields
            .keys
            .iter()
            .chain(&fields.read_keys)
            .chain(&fields.write_keys);
        let channels = fields.channels.iter().map(|glob| (glob, true));
        keys.map(|glob| (glob, false)).chain(channels).collect()
    }
}

/// Values for each domain, in all combinations.
struct Assignments<'d> {
    domains: &'d [Domain],
    next: Option<Vec<usize>>,
}

impl<'d> Assignments<'d> {
    fn new(domains: &'d [Domain]) -> Result<Self, Exhausted> {
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

    fn next(&mut self) -> Option<Assignment> {
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
fn assigned(assignment: &Assignment) -> RequestFacts<'_> {
    RequestFacts::new(assignment, &Touch::None)
}

/// Nothing is known.
struct AllLater;

impl Facts for AllLater {
    fn find(&self, _: &ConditionKey) -> Found<'_> {
        Found::Later
    }
}

/// What a grain says with these values; `None` if its conditions do not hold, whatever the keys
/// are. With `open` domains what depends on them is as wide as it can be, or as narrow.
fn part<'a>(
    grain: &Grain<'a>,
    assignment: &Assignment,
    open: Option<(&[Domain], bool)>,
) -> Option<Part<'a>> {
    let statement = grain.statement;
    let facts = assigned(assignment);
    let is_open = |key: &ConditionKey| {
        open.is_some_and(|(domains, _)| {
            let variable = Variable::of(key);
            domains
                .iter()
                .any(|domain| domain.variable == variable && !domain.complete)
        })
    };
    let wide = open.is_some_and(|(_, wide)| wide);
    let mut clauses = Vec::new();
    for clause in statement
        .conditions
        .iter()
        .flat_map(|conditions| conditions.clauses())
    {
        let mut variables = clause.values().iter().flat_map(|value| value.variables());
        if is_open(&clause.key) || variables.any(is_open) {
            if wide {
                continue;
            }
            return None;
        }
        if clause.key.fact().is_of_touch() || *clause.key.fact() == Fact::KeyCount {
            let fixed = clause.values().iter().all(|value| value.is_fixed());
            clauses.push(match fixed {
                true => Cow::Borrowed(clause),
                false => Cow::Owned(clause.resolved(&facts)?),
            });
        } else if clause.holds(grain.effect, &facts) != Some(true) {
            return None;
        }
    }
    let fields = match &grain.part {
        Some(part) => Some(Cow::Owned(part.clone())),
        None if grain.fields == NONE => None,
        None => {
            let templates = statement.templates.as_deref();
            let variables = templates.into_iter().flat_map(|templates| templates.all());
            if variables
                .flat_map(|template| template.variables())
                .any(is_open)
            {
                bounds(statement, wide)
            } else {
                match statement.key_fields(&facts) {
                    KeyFields::Unrestricted => None,
                    KeyFields::Patterns(fields) => Some(fields),
                    KeyFields::Later => return None,
                }
            }
        }
    };
    Some(Part {
        effect: grain.effect,
        fields,
        clauses,
    })
}

/// The key fields of a statement whose variables are not known, as wide as they can be, or as
/// narrow.
fn bounds(statement: &Statement, wide: bool) -> Option<Cow<'_, KeyPatterns>> {
    let fixed = statement.keys.as_ref()?;
    if !wide {
        return Some(Cow::Borrowed(fixed));
    }
    // In a Deny a variable that is missing matches everything.
    let templates = statement.templates.as_deref()?;
    if statement.effect == Effect::Deny {
        return None;
    }
    // What is put in is not empty, and never the lone `*`.
    let widened = |globs: &[Glob], templates: &[Template]| -> Option<Box<[Glob]>> {
        let texts = templates
            .iter()
            .map(|template| template.sample("?*").into_bytes());
        let own = texts.map(|text| check_pattern(&text).is_ok().then(|| Glob::new(&text)));
        globs.iter().cloned().map(Some).chain(own).collect()
    };
    Some(Cow::Owned(KeyPatterns {
        keys: widened(&fixed.keys, &templates.keys)?,
        read_keys: widened(&fixed.read_keys, &templates.read_keys)?,
        write_keys: widened(&fixed.write_keys, &templates.write_keys)?,
        channels: widened(&fixed.channels, &templates.channels)?,
    }))
}

/// Whether two places may have something in common.
fn overlap(a: &Place<'_>, b: &Place<'_>) -> bool {
    match (a, b) {
        (Place::Resource(a), Place::Resource(b)) => {
            for (a, b) in a.full().split('/').zip(b.full().split('/')) {
                match (a, b) {
                    ("**", _) | (_, "**") => return true,
                    ("*", _) | (_, "*") => {}
                    (a, b) if a != b => return false,
                    _ => {}
                }
            }
            true
        }
        (Place::Identity(crate::IdentityPattern::Path(a)), Place::Identity(b)) => match b {
            crate::IdentityPattern::Path(b) => a == b,
            crate::IdentityPattern::Everyone => true,
            crate::IdentityPattern::Unauthenticated => false,
        },
        _ => true,
    }
}

/// Whether one place is sure to cover another.
fn covers(wide: &Place<'_>, narrow: &Place<'_>) -> bool {
    match (wide, narrow) {
        (Place::Resource(wide), Place::Resource(narrow)) => {
            if wide.full() == narrow.full() {
                return true;
            }
            let literal = !narrow.full().contains('*');
            // One thing and what lies below it.
            literal && narrow.full().split('/').count() > 2 && wide.matches(narrow.full())
        }
        (Place::Identity(wide), Place::Identity(narrow)) => wide == narrow,
        _ => false,
    }
}

/// Whether an action can be implied by `kvdb:Connect`.
fn is_implied(action: ActionId) -> bool {
    let class = action.command().map(|id| id.command().class);
    action == CONNECT || class == Some(CommandClass::ConnectOnly)
}

/// Whether a request for an action can have a fact.
fn can_have(action: ActionId, fact: &Fact) -> bool {
    let argument = match fact {
        Fact::TtlSeconds => Argument::Ttl,
        Fact::ValueBytes => Argument::ValueBytes,
        Fact::KeyCount => Argument::KeyCount,
        Fact::Count => Argument::Count,
        Fact::BlockingSeconds => Argument::Blocking,
        Fact::ScriptSha256 => Argument::Script,
        Fact::DatabaseIndex | Fact::Key | Fact::ReadKey | Fact::WriteKey | Fact::Channel => {
            return action.is_execute();
        }
        _ => return true,
    };
    action.command().is_some_and(|id| id.can_have(argument))
}

fn of_class(wanted: &[CommandClass]) -> ActionBits {
    CommandId::all()
        .filter(|id| wanted.contains(&id.command().class))
        .map(CommandId::action)
        .collect()
}

/// Always possible, or decided on all statements at once.
fn never_told() -> &'static ActionBits {
    static BITS: std::sync::LazyLock<ActionBits> =
        std::sync::LazyLock::new(|| of_class(&[CommandClass::Always, CommandClass::WholeDatabase]));
    &BITS
}

fn script_actions() -> &'static ActionBits {
    static BITS: std::sync::LazyLock<ActionBits> =
        std::sync::LazyLock::new(|| of_class(&[CommandClass::WholeDatabase]));
    &BITS
}

/// What whoever holds the whole database may do.
fn whole_database_actions() -> &'static ActionBits {
    static BITS: std::sync::LazyLock<ActionBits> = std::sync::LazyLock::new(|| {
        of_class(&[CommandClass::Ordinary, CommandClass::WholeDatabase])
    });
    &BITS
}

/// What gives a reason to connect, or says so.
fn connecting_actions() -> &'static ActionBits {
    static BITS: std::sync::LazyLock<ActionBits> = std::sync::LazyLock::new(|| {
        let mut bits = whole_database_actions().clone();
        bits.insert(CONNECT);
        bits
    });
    &BITS
}

fn ordinary_keyed() -> &'static ActionBits {
    static BITS: std::sync::LazyLock<ActionBits> = std::sync::LazyLock::new(|| {
        CommandId::all()
            .filter(|id| {
                let command = id.command();
                command.class == CommandClass::Ordinary && command.scope == CommandScope::Keyed
            })
            .map(CommandId::action)
            .collect()
    });
    &BITS
}

/// A number for what a policy can tell of an action beside its name: its class, its forms, what its
/// arguments can say.
fn likeness(action: ActionId) -> usize {
    static NUMBERS: std::sync::LazyLock<Vec<usize>> = std::sync::LazyLock::new(|| {
        let mut known = HashMap::new();
        CommandId::all()
            .map(|id| {
                let arguments: Vec<bool> = Argument::ALL
                    .iter()
                    .map(|argument| id.can_have(*argument))
                    .collect();
                let class = format!("{:?}", id.command().class);
                let next = known.len() + 1;
                *known
                    .entry((class, known_families(id).to_vec(), arguments))
                    .or_insert(next)
            })
            .collect()
    });
    match action.command() {
        Some(id) => NUMBERS[id.index()],
        None if action == CONNECT => usize::MAX,
        None => 0,
    }
}

/// How good an example an action is: less is better.
fn rank(action: ActionId) -> usize {
    const LIKELY: &[&str] = &[
        "del",
        "set",
        "get",
        "flushall",
        "mget",
        "publish",
        "subscribe",
        "psubscribe",
        "config|get",
    ];
    let Some(command) = action.command() else {
        return LIKELY.len() + 1;
    };
    let command = command.command();
    let place = LIKELY.iter().position(|name| *name == command.name);
    let class = match command.class {
        CommandClass::Ordinary => 0,
        CommandClass::Administrative => 2,
        _ => 4,
    };
    place.unwrap_or(LIKELY.len() + class)
}
