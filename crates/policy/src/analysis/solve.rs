//! Is there a call of this command that one statement allows, that none of some denies, and that
//! none of some others allows? Over keys and channels; everything else about the request is fixed.

use std::borrow::Cow;
use std::ops::ControlFlow;

use keyward_commands::{ActionId, CommandId};

use super::call::{Call, Family, FormScope, Slot, families};
use super::formula::{Formula, Languages};
use super::language::Language;
use super::product::{Exhausted, Work};
use super::request::{Assignment, RequestFacts};
use super::values::ignoring_case;
use crate::condition::{Fact, Wanted};
use crate::facts::{Facts, Found};
use crate::{ChannelUse, Clause, ConditionKey, Effect, Glob, KeyPatterns, Number, Touch, Value};

/// What a statement says about keys and channels, everything else being fixed.
#[derive(Clone, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) effect: Effect,
    /// `None`: all keys and channels, whatever there is.
    pub(crate) fields: Option<Cow<'a, KeyPatterns>>,
    /// Clauses about keys, channels and their number.
    pub(crate) clauses: Vec<Cow<'a, Clause>>,
}

impl Part<'_> {
    /// Work to make languages of its patterns.
    pub(crate) fn weight(&self) -> usize {
        let of_globs = |globs: &[Glob]| -> usize {
            globs.iter().map(|glob| 100 + 4 * glob.text().len()).sum()
        };
        let fields = self.fields.as_deref().map_or(0, |fields| {
            let lists = [
                &fields.keys,
                &fields.read_keys,
                &fields.write_keys,
                &fields.channels,
            ];
            lists.into_iter().map(|list| of_globs(list)).sum::<usize>()
        });
        let values = self.clauses.iter().map(|clause| clause.values().len());
        20 + fields + 150 * values.sum::<usize>()
    }
}

/// What is looked for.
pub(crate) struct Query<'q, 'a> {
    pub(crate) action: ActionId,
    pub(crate) assignment: &'q Assignment,
    /// This allows it.
    pub(crate) allow: &'q Part<'a>,
    /// This denies it.
    pub(crate) meet: Option<&'q Part<'a>>,
    /// These do not deny it.
    pub(crate) denies: &'q [&'q Part<'a>],
    /// These do not allow it.
    pub(crate) others: &'q [&'q Part<'a>],
    /// A pattern that one of its keys or channels should match, of the kind that is told.
    pub(crate) hot: Option<(&'q Glob, bool)>,
}

/// Most keys of a call of which the number is bounded by a condition.
const MAX_COUNTED_KEYS: usize = 32;
/// Most ways in which several denies can each miss one part.
const MAX_CHOICES: usize = 64;
/// Most combinations of keys that are tried for one call.
const MAX_COMBINATIONS: usize = 4096;
/// Most ways in which a key can miss statements that are looked at.
const MAX_PROFILES: usize = 64;

pub(crate) struct Solver<'w> {
    pub(crate) languages: Languages,
    pub(crate) work: &'w mut Work,
    /// Not all was looked at: finding nothing is not sure.
    pub(crate) unsure: bool,
}

/// A value for a place, and which of the other statements it breaks.
type Way = (Vec<u8>, Broken);

/// A part of a Deny that must be met by some slot.
enum Component {
    Always,
    Never,
    Slots(Vec<(Slot, Formula)>),
}

impl Solver<'_> {
    /// Calls that satisfy the query, at most one for each way to call the command.
    pub(crate) fn call(
        &mut self,
        command: CommandId,
        query: &Query<'_, '_>,
    ) -> Result<Vec<Call>, Exhausted> {
        let mut found = Vec::new();
        for family in self.variants(command, query) {
            self.work.spend(500)?;
            if family.least.whole_database {
                continue; // decided elsewhere
            }
            let call = match family.least.scope {
                FormScope::Named => self.named(command, &family, query)?,
                _ => self.unnamed(command, &family, query),
            };
            found.extend(call);
        }
        Ok(found)
    }

    /// Ways to call the command, of fixed numbers of keys where conditions speak of it.
    fn variants(&mut self, command: CommandId, query: &Query<'_, '_>) -> Vec<Family> {
        let parts = std::iter::once(query.allow)
            .chain(query.meet)
            .chain(query.denies.iter().copied())
            .chain(query.others.iter().copied());
        let counts = parts.flat_map(|part| &part.clauses);
        let counts: Vec<&Cow<'_, Clause>> = counts
            .filter(|clause| *clause.key.fact() == Fact::KeyCount)
            .collect();
        let all = known_families(command);
        if counts.is_empty() {
            return all.to_vec();
        }
        let mut wanted = std::collections::BTreeSet::new();
        for clause in counts {
            for value in clause.wanted() {
                match value {
                    Some(Wanted::Number(number)) => match number.to_milli() {
                        Some(milli) if milli / 1000 < MAX_COUNTED_KEYS as i64 => {
                            let number = (milli / 1000).max(0) as usize;
                            wanted.extend([number, number + 1, number.saturating_sub(1)]);
                        }
                        _ => self.unsure = true,
                    },
                    _ => self.unsure = true,
                }
            }
        }
        let mut variants = Vec::new();
        for family in all {
            variants.push(Family {
                more: None,
                ..family.clone()
            });
            if let Some(Slot::Key(access)) = family.more {
                for count in wanted
                    .iter()
                    .filter(|count| **count > family.least.keys.len())
                {
                    let mut fixed = family.clone();
                    fixed.more = None;
                    fixed.least.keys.resize(*count, access);
                    fixed.least.keys.sort_unstable();
                    variants.push(fixed);
                }
            }
        }
        variants
    }

    /// A call that names nothing: nothing to look for, only to ask.
    fn unnamed(
        &mut self,
        command: CommandId,
        family: &Family,
        query: &Query<'_, '_>,
    ) -> Option<Call> {
        let form = family.form(command, &[])?;
        let call = form.fill(&[], &[])?;
        let every_channel = call.is_about_every_channel();
        let says = |part: &Part<'_>| {
            call.ask(|touch| {
                let facts = RequestFacts {
                    every_channel,
                    ..RequestFacts::new(query.assignment, touch)
                };
                part.matches_facts(query.action, &facts)
            })
        };
        let right = says(query.allow)
            && query.meet.is_none_or(says)
            && !query.denies.iter().any(|part| says(part))
            && !query.others.iter().any(|part| says(part));
        right.then_some(call)
    }

    fn named(
        &mut self,
        command: CommandId,
        family: &Family,
        query: &Query<'_, '_>,
    ) -> Result<Option<Call>, Exhausted> {
        let single = family.slots().len() == 1 && family.more.is_none();
        let several = query
            .denies
            .iter()
            .map(|part| part.clauses.len() + usize::from(part.fields.is_some()));
        let choices: Vec<usize> = several.filter(|count| *count > 1).collect();
        let combinations = choices.iter().product::<usize>();
        if single || choices.is_empty() {
            return self.named_with(command, family, query, None);
        }
        if combinations > MAX_CHOICES {
            return Err(Exhausted);
        }
        // Several keys could meet the parts of a Deny one each: one part is met by none of them.
        for mut number in 0..combinations {
            let mut chosen = Vec::new();
            for count in &choices {
                chosen.push(number % count);
                number /= count;
            }
            if let Some(call) = self.named_with(command, family, query, Some(&chosen))? {
                return Ok(Some(call));
            }
        }
        Ok(None)
    }

    /// `chosen`: of each Deny with several parts the one that no key may meet.
    fn named_with(
        &mut self,
        command: CommandId,
        family: &Family,
        query: &Query<'_, '_>,
        chosen: Option<&[usize]>,
    ) -> Result<Option<Call>, Exhausted> {
        let mut slots = family.slots();
        let mut kinds = slots.clone();
        kinds.extend(family.more);
        kinds.sort_unstable();
        kinds.dedup();
        // What every key or channel must be, by kind.
        let mut inside: Vec<(Slot, Formula)> = Vec::new();
        let mut deny_parts: Vec<Vec<Component>> = Vec::new();
        for part in query.denies {
            deny_parts.push(self.components(part, family, &kinds, false));
        }
        let single = slots.len() == 1 && family.more.is_none();
        for kind in &kinds {
            let Some(allowed) = self.allowed(query.allow, *kind, family, true) else {
                return Ok(None);
            };
            let mut all = vec![allowed];
            let mut chosen = chosen.unwrap_or_default().iter();
            for components in &deny_parts {
                let missed = match components.len() {
                    0 | 1 => None,
                    _ => chosen.next(),
                };
                if components.iter().any(|c| matches!(c, Component::Never)) {
                    continue;
                }
                if let Some(missed) = missed {
                    let Some(Component::Slots(slots)) = components.get(*missed) else {
                        return Ok(None); // it is always met
                    };
                    let own = slots.iter().find(|(slot, _)| slot == kind);
                    all.extend(own.map(|(_, formula)| formula.clone().negated()));
                    continue;
                }
                let of_kind: Vec<Formula> = components
                    .iter()
                    .filter_map(|component| match component {
                        Component::Slots(slots) => Some(
                            slots
                                .iter()
                                .find(|(slot, _)| slot == kind)
                                .map_or_else(Formula::never, |(_, formula)| formula.clone()),
                        ),
                        _ => None,
                    })
                    .collect();
                match &of_kind[..] {
                    [] => return Ok(None), // it always denies
                    [only] => all.push(only.clone().negated()),
                    _ => all.push(Formula::All(of_kind.into()).negated()),
                }
            }
            inside.push((*kind, Formula::All(all.into())));
        }
        // What makes one key or channel break each of the others.
        let mut others: Vec<Vec<(Slot, Formula)>> = Vec::new();
        for part in query.others {
            let mut by_kind = Vec::new();
            let mut never = false;
            for kind in &kinds {
                match self.allowed(part, *kind, family, false) {
                    Some(formula) => by_kind.push((*kind, formula)),
                    None => never = true,
                }
            }
            if !never {
                others.push(by_kind);
            }
        }
        // What some slot must meet.
        let mut met: Vec<(Slot, Formula)> = kinds.iter().map(|k| (*k, Formula::always())).collect();
        let mut parts_to_meet: Vec<Vec<(Slot, Formula)>> = Vec::new();
        if let Some(part) = query.meet {
            let components = self.components(part, family, &kinds, true);
            for component in components {
                match component {
                    Component::Always => {}
                    Component::Never => return Ok(None),
                    Component::Slots(slots) => {
                        if slots
                            .iter()
                            .all(|(_, formula)| *formula == Formula::never())
                        {
                            return Ok(None);
                        }
                        parts_to_meet.push(slots.clone());
                        for (kind, formula) in &mut met {
                            let own = slots.iter().find(|(slot, _)| slot == kind);
                            let own = own.map_or_else(Formula::never, |(_, f)| f.clone());
                            let before = std::mem::replace(formula, Formula::always());
                            *formula = Formula::All([before, own].into());
                        }
                    }
                }
            }
        }
        if let Some((glob, of_channel)) = query.hot {
            let own = self.languages.globs([glob]);
            for (kind, formula) in &mut met {
                let fits = matches!(kind, Slot::Channel { .. }) == of_channel;
                let before = std::mem::replace(formula, Formula::never());
                if fits {
                    *formula = Formula::All([own.clone(), before].into());
                }
            }
        }

        // Every place must have a value.
        let mut base: Vec<(Slot, Vec<u8>)> = Vec::new();
        for (kind, formula) in &inside {
            let value = match kind {
                Slot::Channel { pattern: true } => {
                    let may_be_given = |pattern: &Vec<u8>| {
                        let says = |part: &Part<'_>| part.says_of_pattern(pattern, query);
                        says(query.allow) && !query.denies.iter().any(|part| says(part))
                    };
                    self.patterns(query)?.into_iter().find(may_be_given)
                }
                kind => self.value(*kind, formula, query)?,
            };
            match value {
                Some(value) => base.push((*kind, value)),
                None if slots.contains(kind) => return Ok(None),
                None => {}
            }
        }
        let value_of = |kind: &Slot| -> Vec<u8> {
            let found = base.iter().find(|(own, _)| own == kind);
            found.map_or_else(Vec::new, |(_, value)| value.clone())
        };
        // One key that does all of it, if there is one.
        for (at, slot) in slots.iter().enumerate() {
            if slots[..at].contains(slot) {
                continue;
            }
            let of = |list: &[(Slot, Formula)]| {
                list.iter()
                    .find(|(kind, _)| kind == slot)
                    .map(|(_, f)| f.clone())
            };
            let mut all: Vec<Formula> = Vec::new();
            all.extend(of(&met));
            all.extend(of(&inside));
            for other in &others {
                all.extend(of(other).map(Formula::negated));
            }
            let all = Formula::All(all.into());
            if let Some(value) = self.value(*slot, &all, query)? {
                let mut values: Vec<Vec<u8>> = slots.iter().map(value_of).collect();
                values[at] = value;
                return Ok(filled(command, family, &slots, values));
            }
        }
        if single {
            return Ok(None);
        }
        if parts_to_meet.len() > 1 && others.is_empty() {
            return self.meeting(command, family, query, &inside, &parts_to_meet, &base);
        }
        // Several keys are looked for once, not for each pattern.
        if others.is_empty() || query.hot.is_some() {
            return Ok(None);
        }
        // Several keys, each of which breaks some of the others.
        let mut ways: Vec<(Slot, Vec<Way>)> = Vec::new();
        for (kind, formula) in &inside {
            let ways_of_kind = match kind {
                Slot::Channel { pattern: true } => self.pattern_ways(query, others.len())?,
                kind => self.ways(*kind, formula, &others)?,
            };
            ways.push((*kind, ways_of_kind));
        }
        let none: &[Way] = &[];
        let of = |slot: &Slot| {
            ways.iter()
                .find(|(kind, _)| kind == slot)
                .map_or(none, |(_, w)| &**w)
        };
        let more = family.more.as_ref().map_or(none, of);
        let mut by_more = Broken::new(others.len());
        more.iter().for_each(|(_, broken)| by_more.add(broken));
        // The places that must be there, in all combinations.
        let mut chosen = vec![0_usize; slots.len()];
        let mut tried = 0;
        loop {
            let mut broken = Broken::new(others.len());
            for (slot, choice) in slots.iter().zip(&chosen) {
                if let Some((_, own)) = of(slot).get(*choice) {
                    broken.add(own);
                }
            }
            let mut all = broken.clone();
            all.add(&by_more);
            self.work.spend(64 * slots.len() + others.len())?;
            if all.is_full() {
                let values = slots.iter().zip(&chosen);
                let mut values: Vec<Vec<u8>> = values
                    .map(|(slot, choice)| of(slot)[*choice].0.clone())
                    .collect();
                // As few more as will do.
                while let Some(slot) = family.more
                    && !broken.is_full()
                {
                    let best = more.iter().max_by_key(|(_, own)| broken.gain(own));
                    let Some((value, own)) = best else { break };
                    broken.add(own);
                    values.push(value.clone());
                    slots.push(slot);
                }
                return Ok(filled(command, family, &slots, values));
            }
            tried += 1;
            if tried > MAX_COMBINATIONS {
                return Err(Exhausted);
            }
            // The next combination.
            let mut at = 0;
            loop {
                let Some(choice) = chosen.get_mut(at) else {
                    return Ok(None);
                };
                *choice += 1;
                if *choice < of(&slots[at]).len() {
                    break;
                }
                *choice = 0;
                at += 1;
            }
        }
    }

    /// A call that meets the parts of a Deny by several keys.
    fn meeting(
        &mut self,
        command: CommandId,
        family: &Family,
        query: &Query<'_, '_>,
        inside: &[(Slot, Formula)],
        parts: &[Vec<(Slot, Formula)>],
        base: &[(Slot, Vec<u8>)],
    ) -> Result<Option<Call>, Exhausted> {
        fn of<T: Clone>(list: &[(Slot, T)], slot: &Slot) -> Option<T> {
            let found = list.iter().find(|(kind, _)| kind == slot);
            found.map(|(_, value)| value.clone())
        }
        let mut slots = family.slots();
        slots.extend(family.more.iter().cycle().take(if family.more.is_some() {
            parts.len()
        } else {
            0
        }));
        let combinations = slots.len().saturating_pow(parts.len() as u32);
        if combinations > MAX_COMBINATIONS {
            return Err(Exhausted);
        }
        for mut number in 0..combinations {
            let mut asked: Vec<Vec<Formula>> = vec![Vec::new(); slots.len()];
            for part in parts {
                let at = number % slots.len();
                number /= slots.len();
                asked[at].push(of(part, &slots[at]).unwrap_or_else(Formula::never));
            }
            let mut values = Vec::new();
            let mut used = Vec::new();
            for (at, (slot, mut asked)) in slots.iter().zip(asked).enumerate() {
                let value = match asked.is_empty() {
                    true if at >= family.slots().len() => continue,
                    true => of(base, slot),
                    false => {
                        asked.extend(of(inside, slot));
                        self.value(*slot, &Formula::All(asked.into()), query)?
                    }
                };
                let Some(value) = value else { break };
                values.push(value);
                used.push(*slot);
            }
            let all = used.len() >= family.slots().len();
            let call = all
                .then(|| filled(command, family, &used, values))
                .flatten();
            let holds = |call: &Call| {
                let meets = |part: &Part<'_>| {
                    call.ask(|touch| part.matches(query.action, query.assignment, touch))
                };
                query.meet.is_none_or(meets)
            };
            if let Some(call) = call.filter(holds) {
                return Ok(Some(call));
            }
        }
        Ok(None)
    }

    /// Values for a place, with the others that each breaks; those that break more than another.
    fn ways(
        &mut self,
        kind: Slot,
        inside: &Formula,
        others: &[Vec<(Slot, Formula)>],
    ) -> Result<Vec<Way>, Exhausted> {
        let own: Vec<Option<&Formula>> = others
            .iter()
            .map(|other| other.iter().find(|(slot, _)| *slot == kind).map(|(_, f)| f))
            .collect();
        // All their languages are to be told apart, whatever is allowed.
        let mut told: Vec<usize> = Vec::new();
        own.iter()
            .flatten()
            .for_each(|formula| formula.languages(&mut told));
        let apart = Formula::Some([Formula::always(), Formula::Any(told.into())].into());
        let formula = Formula::All([inside.clone(), apart].into());
        let mut ways: Vec<Way> = Vec::new();
        let mut too_many = false;
        self.languages
            .strings(&formula, self.work, |string, accepts| {
                let mut broken = Broken::new(others.len());
                for (at, formula) in own.iter().enumerate() {
                    if formula.is_some_and(|formula| !formula.holds(&accepts)) {
                        broken.set(at);
                    }
                }
                if ways.iter().any(|(_, known)| known.contains(&broken)) {
                    return ControlFlow::Continue(());
                }
                ways.retain(|(_, known)| !broken.contains(known));
                ways.push((string.to_vec(), broken));
                too_many = ways.len() > MAX_PROFILES;
                match too_many {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })?;
        if too_many {
            return Err(Exhausted);
        }
        for (string, broken) in &mut ways {
            let mut all = vec![inside.clone()];
            for (_, formula) in own.iter().enumerate().filter(|(at, _)| broken.has(*at)) {
                all.extend(formula.map(|formula| formula.clone().negated()));
            }
            let all = Formula::All(all.into());
            *string = self.languages.more_readable(&all, std::mem::take(string));
        }
        Ok(ways)
    }

    /// A value for a place.
    fn value(
        &mut self,
        kind: Slot,
        formula: &Formula,
        query: &Query<'_, '_>,
    ) -> Result<Option<Vec<u8>>, Exhausted> {
        if kind != (Slot::Channel { pattern: true }) {
            return self.languages.find(formula, self.work);
        }
        let found = self.patterns(query)?.into_iter().find(|candidate| {
            let says = |part: &Part<'_>| part.says_of_pattern(candidate, query);
            says(query.allow)
                && query.meet.is_none_or(says)
                && !query.denies.iter().any(|part| says(part))
                && !query.others.iter().any(|part| says(part))
                && query
                    .hot
                    .is_none_or(|(glob, _)| glob.text() == candidate || glob.is_everything())
        });
        Ok(found)
    }

    /// Patterns as arguments that are worth a try. A pattern is allowed by one with its text and by
    /// `*`: so these texts; and, if all are allowed, `*` and what matches one channel only, in two
    /// spellings.
    fn patterns(&mut self, query: &Query<'_, '_>) -> Result<Vec<Vec<u8>>, Exhausted> {
        let mut candidates: Vec<Vec<u8>> = Vec::new();
        candidates.extend(query.hot.map(|(glob, _)| glob.text().to_vec()));
        let parts = std::iter::once(query.allow).chain(query.meet);
        let fields = parts.filter_map(|part| part.fields.as_deref());
        candidates.extend(
            fields
                .flat_map(|f| &f.channels)
                .map(|glob| glob.text().to_vec()),
        );
        let all_allowed =
            |fields: &Cow<'_, KeyPatterns>| fields.channels.iter().any(Glob::is_everything);
        if query.allow.fields.as_ref().is_none_or(all_allowed) {
            candidates.push(b"*".to_vec());
            let mut globs = Vec::new();
            let parts = query.denies.iter().chain(query.others);
            for part in parts {
                globs.extend(part.fields.iter().flat_map(|f| &f.channels));
            }
            let outside = self.languages.globs(globs).negated();
            let denied = query
                .denies
                .iter()
                .filter_map(|part| part.fields.as_deref());
            let allowed = self
                .languages
                .globs(denied.flat_map(|f| &f.channels))
                .negated();
            for formula in [outside, allowed] {
                if let Some(literal) = self.languages.find(&formula, self.work)? {
                    let escaped = literal.iter().flat_map(|byte| [b'\\', *byte]);
                    candidates.push(escaped.collect());
                    candidates.push(literal);
                }
            }
        }
        self.work.spend(2000 * candidates.len())?;
        Ok(candidates)
    }

    /// Patterns that may be given, with the others that do not allow them.
    fn pattern_ways(
        &mut self,
        query: &Query<'_, '_>,
        others: usize,
    ) -> Result<Vec<Way>, Exhausted> {
        // Others of which nothing could be told were left out: the numbers differ.
        if others != query.others.len() {
            self.unsure = true;
            return Ok(Vec::new());
        }
        let mut ways = Vec::new();
        for candidate in self.patterns(query)? {
            let says = |part: &Part<'_>| part.says_of_pattern(&candidate, query);
            if !says(query.allow) || query.denies.iter().any(|part| says(part)) {
                continue;
            }
            let mut broken = Broken::new(others);
            for (at, part) in query.others.iter().enumerate() {
                if !says(part) {
                    broken.set(at);
                }
            }
            ways.push((candidate, broken));
        }
        Ok(ways)
    }

    /// What a key or channel must be for a part of an Allow; `None` if no call of the family is
    /// allowed by it. Where that cannot be told: more than it allows if `wide`, else nothing.
    fn allowed(
        &mut self,
        part: &Part<'_>,
        kind: Slot,
        family: &Family,
        wide: bool,
    ) -> Option<Formula> {
        let mut all = Vec::new();
        if let Some(fields) = &part.fields {
            all.push(match kind {
                Slot::Key((reads, writes)) => {
                    self.languages.key(fields, Effect::Allow, reads, writes)
                }
                Slot::Channel { .. } => self.languages.globs(&fields.channels),
            });
        }
        for clause in &part.clauses {
            match self.clause(clause, part.effect, kind, family) {
                Some(Component::Never) => return None,
                Some(Component::Always) => {}
                Some(Component::Slots(slots)) => {
                    all.extend(slots.into_iter().map(|(_, formula)| formula));
                }
                None if wide => {}
                None => return None,
            }
        }
        Some(Formula::All(all.into()))
    }

    /// The parts of a Deny of which each must be met by some slot. Where that cannot be told: met
    /// if `wide`, else not.
    fn components(
        &mut self,
        part: &Part<'_>,
        family: &Family,
        kinds: &[Slot],
        wide: bool,
    ) -> Vec<Component> {
        let mut all = Vec::new();
        if let Some(fields) = &part.fields {
            let mut slots = Vec::new();
            for kind in kinds {
                let formula = match kind {
                    Slot::Key((reads, writes)) => {
                        self.languages.key(fields, Effect::Deny, *reads, *writes)
                    }
                    Slot::Channel { .. } => self.languages.globs(&fields.channels),
                };
                slots.push((*kind, formula));
            }
            all.push(Component::Slots(slots));
        }
        for clause in &part.clauses {
            let mut slots = Vec::new();
            let mut constant = None;
            for kind in kinds {
                match self.clause(clause, Effect::Deny, *kind, family) {
                    Some(Component::Slots(own)) => slots.extend(own),
                    Some(fixed) => constant = Some(fixed),
                    None if wide => slots.push((*kind, Formula::always())),
                    None => slots.push((*kind, Formula::never())),
                }
            }
            match constant {
                Some(fixed) if slots.is_empty() => all.push(fixed),
                _ => all.push(Component::Slots(slots)),
            }
        }
        if all.is_empty() {
            all.push(Component::Always);
        }
        all
    }

    /// What a clause about keys or channels asks of one of them; `None` if it cannot be told so.
    fn clause(
        &mut self,
        clause: &Clause,
        effect: Effect,
        kind: Slot,
        family: &Family,
    ) -> Option<Component> {
        let included = |slot: &Slot| match (clause.key.fact(), slot) {
            (Fact::Key, Slot::Key(_)) => true,
            (Fact::ReadKey, Slot::Key((reads, writes))) => *reads || !*writes,
            (Fact::WriteKey, Slot::Key((reads, writes))) => *writes || !*reads,
            (Fact::Channel, Slot::Channel { .. }) => true,
            _ => false,
        };
        let slots = family.slots();
        if *clause.key.fact() == Fact::KeyCount || !slots.iter().any(included) {
            // The same for every call of the family.
            let facts = CountOnly(family.least.keys.len());
            let holds = clause.holds(effect, &facts) == Some(true);
            return Some(if holds {
                Component::Always
            } else {
                Component::Never
            });
        }
        if !included(&kind) {
            return Some(match effect {
                // Not asked of this one.
                Effect::Allow => Component::Always,
                Effect::Deny => Component::Slots(Vec::new()),
            });
        }
        let each = match (clause.set, effect) {
            (None, _)
            | (Some(crate::SetOperator::ForAllValues), Effect::Allow)
            | (Some(crate::SetOperator::ForAnyValue), Effect::Deny) => true,
            _ => slots.len() == 1 && family.more.is_none(),
        };
        if !each || kind == (Slot::Channel { pattern: true }) {
            return None;
        }
        let formula = match clause.operator {
            crate::Operator::Null => {
                let there = clause.wanted().any(|w| w == Some(Wanted::Boolean(false)));
                return Some(if there {
                    Component::Always
                } else {
                    Component::Never
                });
            }
            _ => {
                let wanted: Option<Vec<Language>> = clause.wanted().map(language).collect();
                let wanted = wanted?.into_iter().map(|own| self.languages.add(own));
                Formula::Any(wanted.collect())
            }
        };
        let formula = match clause.operator.is_negated() {
            true => formula.negated(),
            false => formula,
        };
        Some(Component::Slots(vec![(kind, formula)]))
    }
}

/// The texts that a value of a condition takes, if these can be told byte by byte.
fn language(wanted: Option<Wanted<'_>>) -> Option<Language> {
    match wanted? {
        Wanted::Text(text) => Some(Language::literal(text.as_bytes())),
        Wanted::Bytes(bytes) => Some(Language::literal(bytes)),
        Wanted::Like(wanted) => Some(Language::from(wanted.as_glob())),
        Wanted::Glob(glob) => Some(Language::from(glob)),
        Wanted::IgnoringCase(text) if text.is_ascii() => Some(ignoring_case(text)),
        _ => None,
    }
}

/// Facts of a call of which only the number of keys is known.
struct CountOnly(usize);

impl Facts for CountOnly {
    fn find(&self, key: &ConditionKey) -> Found<'_> {
        match key.fact() {
            Fact::KeyCount if self.0 > 0 => Found::One(Value::Number(Number::from(self.0 as u64))),
            _ => Found::Absent,
        }
    }
}

impl Part<'_> {
    /// Whether it matches a call that names one pattern of channels.
    fn says_of_pattern(&self, pattern: &[u8], query: &Query<'_, '_>) -> bool {
        let channel = ChannelUse {
            channel: pattern,
            pattern: true,
        };
        let touch = Touch::Named {
            keys: &[],
            channels: &[channel],
        };
        self.matches(query.action, query.assignment, &touch)
    }

    /// Whether it matches a call.
    pub(crate) fn matches(
        &self,
        action: ActionId,
        assignment: &Assignment,
        touch: &Touch<'_>,
    ) -> bool {
        let touch = match touch {
            Touch::None => &Touch::of_action(action),
            touch => touch,
        };
        self.matches_facts(action, &RequestFacts::new(assignment, touch))
    }

    fn matches_facts(&self, action: ActionId, facts: &RequestFacts<'_>) -> bool {
        let touch = facts.touch;
        let fields = match (&self.fields, self.effect) {
            (None, _) => true,
            (Some(_), effect) if !action.has_keys() => effect == Effect::Allow,
            (Some(fields), Effect::Allow) => fields.allows(touch),
            (Some(fields), Effect::Deny) => fields.denies(touch),
        };
        let unknown = touch.counts_unknown(self.effect);
        fields
            && self
                .clauses
                .iter()
                .all(|clause| clause.holds(self.effect, facts).unwrap_or(unknown))
    }
}

fn filled(
    command: CommandId,
    family: &Family,
    slots: &[Slot],
    values: Vec<Vec<u8>>,
) -> Option<Call> {
    let form = family.form(command, slots)?;
    // Values go to the places of their kind.
    let mut left: Vec<(Slot, Vec<u8>)> = slots.iter().copied().zip(values).collect();
    let mut take = |kind: Slot| {
        let at = left.iter().position(|(slot, _)| *slot == kind)?;
        Some(left.remove(at).1)
    };
    let keys = form.keys.iter().map(|(_, access)| take(Slot::Key(*access)));
    let keys: Vec<Vec<u8>> = keys.collect::<Option<_>>()?;
    let channels = form.channels.iter();
    let channels = channels.map(|(_, pattern)| take(Slot::Channel { pattern: *pattern }));
    let channels: Vec<Vec<u8>> = channels.collect::<Option<_>>()?;
    form.fill(&keys, &channels)
}

/// Which of the other statements a key breaks.
#[derive(Clone, Debug)]
struct Broken {
    bits: Vec<u64>,
    len: usize,
}

impl Broken {
    fn new(len: usize) -> Self {
        Self {
            bits: vec![0; len.div_ceil(64)],
            len,
        }
    }

    fn set(&mut self, at: usize) {
        self.bits[at / 64] |= 1 << (at % 64);
    }

    fn has(&self, at: usize) -> bool {
        self.bits[at / 64] >> (at % 64) & 1 == 1
    }

    fn add(&mut self, other: &Self) {
        self.bits
            .iter_mut()
            .zip(&other.bits)
            .for_each(|(a, b)| *a |= b);
    }

    fn contains(&self, other: &Self) -> bool {
        self.bits.iter().zip(&other.bits).all(|(a, b)| a & b == *b)
    }

    fn count(&self) -> usize {
        self.bits
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    fn is_full(&self) -> bool {
        self.count() == self.len
    }

    fn gain(&self, other: &Self) -> usize {
        let gained = self
            .bits
            .iter()
            .zip(&other.bits)
            .map(|(a, b)| (b & !a).count_ones());
        gained.sum::<u32>() as usize
    }
}

/// The families of a command, found once.
pub(crate) fn known_families(command: CommandId) -> &'static [Family] {
    static KNOWN: std::sync::LazyLock<Vec<std::sync::OnceLock<Vec<Family>>>> =
        std::sync::LazyLock::new(|| {
            let all = CommandId::all().map(|_| std::sync::OnceLock::new());
            all.collect()
        });
    KNOWN[command.index()].get_or_init(|| families(command))
}
