//! What must hold of one string: patterns joined by and, or and not; and a search for a string.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::language::{Language, Step};
use super::product::{Exhausted, Next, Product, Seen, Work};
use crate::{Effect, Glob, KeyPatterns};

/// A condition on one string.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Formula {
    /// Some of these languages accepts it; none: it never holds.
    Any(Box<[usize]>),
    /// All hold; none: it always holds.
    All(Box<[Formula]>),
    /// Some holds.
    Some(Box<[Formula]>),
    /// It does not hold.
    Not(Box<Formula>),
}

impl Formula {
    pub(crate) fn always() -> Self {
        Self::All(Box::default())
    }

    pub(crate) fn never() -> Self {
        Self::Any(Box::default())
    }

    pub(crate) fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// Whether it holds, given which languages accept.
    pub(crate) fn holds(&self, accepts: &dyn Fn(usize) -> bool) -> bool {
        match self {
            Self::Any(languages) => languages.iter().any(|language| accepts(*language)),
            Self::All(parts) => parts.iter().all(|part| part.holds(accepts)),
            Self::Some(parts) => parts.iter().any(|part| part.holds(accepts)),
            Self::Not(inner) => !inner.holds(accepts),
        }
    }

    /// Whether it may come to be `wanted` for a longer string. Never wrongly `false`.
    pub(crate) fn may_be(&self, wanted: bool, seen: &Seen<'_>) -> bool {
        match (self, wanted) {
            (Self::Any(languages), true) => languages.iter().any(|l| seen.is_alive(*l)),
            (Self::Any(languages), false) => !languages.iter().any(|l| seen.is_settled(*l)),
            (Self::All(parts), true) | (Self::Some(parts), false) => {
                parts.iter().all(|part| part.may_be(wanted, seen))
            }
            (Self::All(parts), false) | (Self::Some(parts), true) => {
                parts.iter().any(|part| part.may_be(wanted, seen))
            }
            (Self::Not(inner), wanted) => inner.may_be(!wanted, seen),
        }
    }

    /// The languages in it, each once.
    pub(crate) fn languages(&self, into: &mut Vec<usize>) {
        match self {
            Self::Any(languages) => into.extend(languages.iter()),
            Self::All(parts) | Self::Some(parts) => {
                parts.iter().for_each(|part| part.languages(into));
            }
            Self::Not(inner) => inner.languages(into),
        }
    }

    fn renamed(&self, new: &HashMap<usize, usize>) -> Self {
        let all = |parts: &[Self]| parts.iter().map(|part| part.renamed(new)).collect();
        match self {
            Self::Any(languages) => Self::Any(languages.iter().map(|old| new[old]).collect()),
            Self::All(parts) => Self::All(all(parts)),
            Self::Some(parts) => Self::Some(all(parts)),
            Self::Not(inner) => Self::Not(Box::new(inner.renamed(new))),
        }
    }
}

/// All languages of one analysis, equal ones once.
#[derive(Debug, Default)]
pub(crate) struct Languages {
    all: Vec<Language>,
    globs: HashMap<Box<[u8]>, usize>,
}

impl Languages {
    pub(crate) fn glob(&mut self, glob: &Glob) -> usize {
        if let Some(known) = self.globs.get(glob.text()) {
            return *known;
        }
        let number = self.add(Language::from(glob));
        self.globs.insert(glob.text().into(), number);
        number
    }

    pub(crate) fn add(&mut self, language: Language) -> usize {
        self.all.push(language);
        self.all.len() - 1
    }

    pub(crate) fn globs<'g>(&mut self, globs: impl IntoIterator<Item = &'g Glob>) -> Formula {
        Formula::Any(globs.into_iter().map(|glob| self.glob(glob)).collect())
    }

    /// What the key fields say of one key with that access.
    pub(crate) fn key(
        &mut self,
        patterns: &KeyPatterns,
        effect: Effect,
        reads: bool,
        writes: bool,
    ) -> Formula {
        let keys = &*patterns.keys;
        let (read, write) = (&*patterns.read_keys, &*patterns.write_keys);
        match (effect, reads, writes) {
            (_, true, false) => self.globs(keys.iter().chain(read)),
            (_, false, true) => self.globs(keys.iter().chain(write)),
            (Effect::Deny, ..) => self.globs(keys.iter().chain(read).chain(write)),
            (Effect::Allow, ..) => {
                let (any, read, write) = (self.globs(keys), self.globs(read), self.globs(write));
                Formula::Some([any, Formula::All([read, write].into())].into())
            }
        }
    }

    /// A string for which the formula holds: a shortest one, or one that reads better.
    pub(crate) fn find(
        &self,
        formula: &Formula,
        work: &mut Work,
    ) -> Result<Option<Vec<u8>>, Exhausted> {
        let found = self.strings(formula, work, |_, _| ControlFlow::Break(()))?;
        let Some(shortest) = found.into_iter().next() else {
            return Ok(None);
        };
        Ok(Some(self.more_readable(formula, shortest)))
    }

    /// Strings for which the formula holds, one for each way in which its languages accept or
    /// refuse together (or more), shortest first; until `enough`.
    pub(crate) fn strings(
        &self,
        formula: &Formula,
        work: &mut Work,
        mut enough: impl FnMut(&[u8], &dyn Fn(usize) -> bool) -> ControlFlow<()>,
    ) -> Result<Vec<Vec<u8>>, Exhausted> {
        let mut used = Vec::new();
        formula.languages(&mut used);
        used.sort_unstable();
        used.dedup();
        let new: HashMap<usize, usize> =
            used.iter().enumerate().map(|(n, old)| (*old, n)).collect();
        let formula = formula.renamed(&new);
        let languages: Vec<&Language> = used.iter().map(|old| &self.all[*old]).collect();
        // Numbering them, and telling apart the bytes of sets.
        let size = languages.iter().map(|language| language.steps.len() + 32);
        let all = languages.iter().flat_map(|language| &language.steps);
        let sets = all.filter(|step| matches!(step, Step::Set(_))).count();
        work.spend(4 * size.sum::<usize>() + 300 * sets + 256)?;
        let mut found = Vec::new();
        Product::new(&languages).strings(work, |string, seen| {
            if formula.holds(&|language| seen.accepts(language)) {
                found.push(string.to_vec());
                let accepts = |old: usize| {
                    new.get(&old)
                        .is_some_and(|language| seen.accepts(*language))
                };
                if enough(string, &accepts).is_break() {
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(if formula.may_be(true, seen) {
                Next::Longer
            } else {
                Next::Enough
            })
        })?;
        Ok(found)
    }

    /// Whether the formula holds for a string.
    fn holds(&self, formula: &Formula, string: &[u8]) -> bool {
        formula.holds(&|language| self.all[language].accepts(string))
    }

    /// A longer string for which it holds, too, made from one of its patterns: `session:1` rather
    /// than `session:`.
    pub(crate) fn more_readable(&self, formula: &Formula, shortest: Vec<u8>) -> Vec<u8> {
        let mut used = Vec::new();
        formula.languages(&mut used);
        used.dedup();
        let example = used
            .iter()
            .take(16)
            .map(|language| self.all[*language].example())
            .chain([b"key".to_vec(), b"key:1".to_vec()])
            .find(|example| self.holds(formula, example));
        match example {
            Some(example) if example.len() <= shortest.len() + 32 => example,
            _ => shortest,
        }
    }
}

impl Language {
    /// Whether it accepts a string.
    pub(crate) fn accepts(&self, string: &[u8]) -> bool {
        if string.is_empty() {
            return self.empty;
        }
        let mut places = vec![false; self.steps.len() + 1];
        let mut next = places.clone();
        let enter = |places: &mut [bool], mut at: usize| {
            loop {
                places[at] = true;
                match self.steps.get(at) {
                    Some(Step::Star) => at += 1,
                    _ => return,
                }
            }
        };
        enter(&mut places, 0);
        for byte in string {
            next.fill(false);
            for (at, step) in self.steps.iter().enumerate() {
                match step {
                    _ if !places[at] => {}
                    Step::Star => enter(&mut next, at),
                    step if step.takes(*byte) => enter(&mut next, at + 1),
                    _ => {}
                }
            }
            std::mem::swap(&mut places, &mut next);
        }
        places[self.steps.len()]
    }

    /// A string that reads as an example of it; not always accepted.
    fn example(&self) -> Vec<u8> {
        if let [Step::Star] = &*self.steps {
            return b"key".to_vec();
        }
        let byte = |step: &Step| match step {
            Step::Byte(byte) => *byte,
            Step::Set(set) if !set.contains(b'1') => (b'a'..=b'z')
                .chain(b'0'..=b'9')
                .chain(0..=u8::MAX)
                .find(|byte| set.contains(*byte))
                .unwrap_or(b'1'),
            _ => b'1',
        };
        self.steps.iter().map(byte).collect()
    }
}

#[cfg(test)]
mod tests;
