//! The search for a request that tells two documents apart, for one group of actions of one grain.

use std::borrow::Cow;
use std::collections::BTreeSet;

use keyward_commands::{ActionId, CONNECT, CommandScope};

use super::actions::{connecting_actions, is_implied, ordinary_keyed, rank};
use super::assignments::{Assignments, assigned};
use super::direction::{Attempt, Direction, Focus, Results};
use super::places::Where;
use super::sides::{AllLater, Sides, part};
use crate::analysis::call::Call;
use crate::analysis::formula::Languages;
use crate::analysis::grain::{Grain, Place};
use crate::analysis::product::Exhausted;
use crate::analysis::request::{Assignment, FactValue, Request, allows};
use crate::analysis::solve::{Part, Query, Solver};
use crate::analysis::values::Domain;
use crate::condition::Fact;
use crate::{Effect, Glob, Touch};

/// Most requests that are tried in vain before a question is undecided.
const MAX_TRIES: usize = 64;

/// Most patterns of one statement for each of which a request is looked for.
const MAX_PATTERNS: usize = 64;

impl<'d, 'a> Direction<'d, 'a> {
    pub(super) fn group(
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
        for at in self.places(focus.grain, action)? {
            let mut maybe = |list: &[&'d Grain<'a>]| -> Result<Vec<&'d Grain<'a>>, Exhausted> {
                let asking: usize = list.iter().map(|grain| self.asking(grain)).sum();
                self.work.spend(20 * asking + 20)?;
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
    pub(super) fn place(
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
        let asking: usize = here.all().map(|grain| self.asking(grain)).sum();
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
            self.work.spend(80 * here.all().count() + 20 * asking)?;
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
    pub(super) fn may_differ(
        &mut self,
        here: &Focus<'d, 'a>,
        action: ActionId,
        at: &Where,
        domains: &[Domain],
    ) -> Result<bool, Exhausted> {
        let mut assignments = Assignments::new(domains)?;
        let asking: usize = here.all().map(|grain| self.asking(grain)).sum();
        while let Some(assignment) = assignments.next() {
            self.work.spend(80 * here.all().count() + 20 * asking)?;
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
            let mut sides = Sides {
                grain,
                allows: list(&here.allows, true),
                denies: list(&here.denies, false),
                others: list(&here.others, false),
            };
            if is_implied(action) {
                match self.implied(&sides, here, action, at, &assignment, Some(domains)) {
                    Some(with) => sides = with,
                    None => continue,
                }
            }
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
    pub(super) fn assigned(
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
            match self.implied(&sides, here, action, at, assignment, None) {
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
        attempt.patterns_left = patterns.saturating_sub(MAX_PATTERNS);
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
    pub(super) fn candidates(
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
        let beside = meet.iter().chain(&denies).chain(&others);
        let weight = 100 + beside.map(|part| part.weight()).sum::<usize>();
        self.work.spend(weight / 8)?; // what the sum costs
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
            self.work.spend(weight + allow.weight())?;
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
    pub(super) fn try_out(
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
            let asking = |grain: &Grain<'a>| grain.statements().count() + self.asking(grain);
            let statements: usize = here.all().map(asking).sum();
            self.work.spend(50 * statements + 500)?;
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
    pub(super) fn with_fewer_facts(&self, mut request: Request, here: &Focus<'d, 'a>) -> Request {
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

    /// With what `kvdb:Connect` implies: of `from`, where the grain is an Allow, else of `to`. `None`
    /// if there can be no difference then.
    pub(super) fn implied(
        &mut self,
        sides: &Sides<'a>,
        here: &Focus<'d, 'a>,
        action: ActionId,
        at: &Where,
        assignment: &Assignment,
        open: Option<&[Domain]>,
    ) -> Option<Sides<'a>> {
        // As wide as it can be where it allows, as narrow where it takes away.
        let wide = sides.grain.effect == Effect::Deny;
        let open = open.map(|domains| (domains, wide));
        let of = match sides.grain.effect {
            Effect::Allow => self.from,
            Effect::Deny => self.to,
        };
        let request = self.request(CONNECT, None, at, assignment);
        if !allows(of.policy, &request) {
            return Some(sides.clone());
        }
        // Some of its calls do.
        let touches_keys = action.command().is_some_and(|id| {
            id.command().scope == CommandScope::Keyed || id.command().name == "client|tracking"
        });
        if !touches_keys && sides.grain.effect == Effect::Allow {
            return None;
        }
        let mut with = sides.clone();
        // Whatever it is that lets one connect: it lets run what touches no key.
        let connected = Part {
            effect: Effect::Allow,
            fields: touches_keys.then(Cow::default),
            clauses: Vec::new(),
        };
        if !touches_keys {
            with.allows.push(connected);
            return Some(with);
        }
        let there = here.implying.iter().filter(|grain| {
            grain.effect == Effect::Allow
                && grain.actions.intersects(ordinary_keyed())
                && self.is_at(grain, at, &assigned(assignment)) == Some(true)
        });
        let parts = there.filter_map(|grain| part(grain, assignment, open));
        let parts = parts.chain([connected]);
        match sides.grain.effect {
            Effect::Allow => with.others.extend(parts),
            Effect::Deny => with.allows.extend(parts),
        }
        Some(with)
    }
}
