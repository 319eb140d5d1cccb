//! Values of one variable that make every difference between clauses that a value can make.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::ControlFlow;

use super::formula::{Formula, Languages};
use super::language::{Bytes, Language, Step};
use super::product::{Exhausted, Work};
use super::request::{Assignment, FactValue, RequestFacts, Variable};
use crate::condition::{Fact, FactKind, Wanted};
use crate::template::Part;
use crate::{Clause, ConditionKey, Effect, Glob, Number, Operator, SetOperator, Template, Touch};

/// Most values of one variable.
const MAX_VALUES: usize = 4096;

/// Atoms of text of which all sets are tried as several values.
const MAX_SET_ATOMS: usize = 4;

/// What a variable can be.
#[derive(Debug)]
pub(crate) struct Domain {
    pub(crate) variable: Variable,
    pub(crate) key: ConditionKey,
    /// Likely ones first.
    pub(crate) values: Vec<FactValue>,
    /// No other value could make a difference.
    pub(crate) complete: bool,
}

/// A clause as it is used: in statements of that effect.
pub(crate) type Use<'a> = (&'a Clause, Effect);

/// Whether a variable is put into patterns or values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Templated {
    /// Into none.
    No,
    /// Into patterns of keys, where only their number is asked: all that matters is whether it is
    /// there.
    Counted,
    /// Whole into a value that one other variable must be equal to.
    Compared,
    /// Every text could make a difference.
    Read,
}

impl Domain {
    /// What a condition key can be, in these clauses and patterns. `likely`: texts that other patterns
    /// make worth a try.
    pub(crate) fn new(
        key: &ConditionKey,
        uses: &[Use<'_>],
        templated: Templated,
        likely: &[Vec<u8>],
        can_be_there: bool,
        work: &mut Work,
    ) -> Result<Self, Exhausted> {
        let mut domain = Self {
            variable: Variable::of(key),
            key: key.clone(),
            values: Vec::new(),
            complete: true,
        };
        if !can_be_there {
            domain.values.push(FactValue::Absent);
            return Ok(domain);
        }
        if templated != Templated::No {
            domain.complete = templated != Templated::Read;
            domain.put_in(b"alice");
        }
        likely.iter().for_each(|text| domain.put_in(text));
        domain.collect(uses, templated, work)?;
        // A connection always has an address, a moment and its encryption; tags may be missing.
        let usual = match key.fact() {
            Fact::SourceIp | Fact::CurrentTime | Fact::EpochTime | Fact::SecureTransport => false,
            fact => fact.kind() == FactKind::Text && templated == Templated::No,
        };
        if usual {
            domain.values.insert(0, FactValue::Absent);
        } else {
            domain.values.push(FactValue::Absent);
        }
        domain.keep_telling_ones(uses, templated, work)?;
        Ok(domain)
    }

    /// A text more.
    fn put_in(&mut self, text: &[u8]) {
        let value = FactValue::Texts(vec![text.to_vec()]);
        if !self.values.contains(&value) {
            self.values.push(value);
        }
    }

    /// The texts of another variable, which this one is compared with.
    pub(crate) fn share(&mut self, other: &[FactValue]) {
        for value in other {
            if let FactValue::Texts(texts) = value
                && let [text] = &texts[..]
            {
                self.put_in(text);
            }
        }
    }

    fn collect(
        &mut self,
        uses: &[Use<'_>],
        templated: Templated,
        work: &mut Work,
    ) -> Result<(), Exhausted> {
        let mut numbers = BTreeSet::new();
        let mut times = BTreeSet::new();
        let mut networks = BTreeSet::new();
        let mut truths = false;
        let mut texts = Languages::default();
        let mut used = Vec::new();
        let mut several = matches!(
            self.key.fact(),
            Fact::TagKeys | Fact::ResourceTagPairs | Fact::RequestTagPairs | Fact::Other
        );
        let mut add = |language: Language| {
            let number = texts.add(language);
            used.push(number);
        };
        let mut compared = templated == Templated::Compared;
        for (clause, _) in uses {
            if compared_with(clause).is_some() {
                compared = true;
                continue;
            }
            several |= clause.set == Some(SetOperator::ForAllValues)
                || clause.set == Some(SetOperator::ForAnyValue);
            for wanted in clause.wanted() {
                work.spend(32)?;
                match wanted {
                    None => self.complete = false,
                    Some(Wanted::Number(number)) => _ = numbers.insert(number),
                    Some(Wanted::Time(time)) => _ = times.insert(time),
                    Some(Wanted::Network(address, bits)) => _ = networks.insert((address, bits)),
                    Some(Wanted::Boolean(_)) if clause.operator == Operator::Null => {}
                    Some(Wanted::Boolean(_)) => truths = true,
                    Some(Wanted::Text(text)) => add(Language::literal(text.as_bytes())),
                    Some(Wanted::Bytes(bytes)) => add(Language::literal(bytes)),
                    Some(Wanted::Like(wanted)) => add(Language::from(wanted.as_glob())),
                    Some(Wanted::Glob(glob)) => add(Language::from(glob)),
                    Some(Wanted::IgnoringCase(text)) => {
                        self.complete &= text.is_ascii();
                        add(ignoring_case(text));
                    }
                    Some(Wanted::Arn(parts)) => {
                        self.complete = false;
                        if let Some(parts) = parts {
                            let texts: Vec<&[u8]> =
                                parts.iter().map(|part| part.as_glob().text()).collect();
                            add(Language::from(&Glob::new(&texts.join(&b':'))));
                        }
                    }
                }
            }
        }
        let kinds = [
            !numbers.is_empty(),
            !times.is_empty(),
            !networks.is_empty(),
            truths,
            !used.is_empty(),
        ];
        if kinds.iter().filter(|has| **has).count() > 1 {
            self.complete = false; // read as text and as something else
        }
        let is_text = self.key.fact().kind() == FactKind::Text;
        if compared {
            // Two texts that nothing else is about: equal ones, and different ones.
            self.put_in(b"alice");
            self.put_in(b"bob");
            self.complete &= is_text && !several && !kinds.contains(&true);
        }
        let limits = [numbers.len(), times.len(), networks.len()];
        if limits.iter().any(|len| 6 * len > MAX_VALUES) {
            return Err(Exhausted);
        }
        self.networks(&networks);
        self.times(&times);
        self.numbers(&numbers);
        if truths {
            self.values.push(FactValue::Boolean(true));
            self.values.push(FactValue::Boolean(false));
        }
        let nothing_else = !kinds.contains(&true);
        if !used.is_empty() || is_text || nothing_else {
            self.texts(&texts, &used, several, work)?;
        }
        Ok(())
    }

    fn networks(&mut self, networks: &BTreeSet<(IpAddr, u8)>) {
        let mut add = |address: Option<IpAddr>| {
            self.values.extend(address.map(FactValue::Address));
        };
        for (address, bits) in networks {
            match address {
                IpAddr::V4(address) => {
                    let host = u32::MAX.checked_shr(u32::from(*bits)).unwrap_or(0);
                    let first = u32::from(*address) & !host;
                    let last = first | host;
                    let v4 = |n: u32| IpAddr::V4(n.into());
                    add(Some(v4(if host >= 7 { first + 7 } else { first })));
                    add(Some(v4(first)));
                    add(Some(v4(last)));
                    add(first.checked_sub(1).map(v4));
                    add(last.checked_add(1).map(v4));
                }
                IpAddr::V6(address) => {
                    let host = u128::MAX.checked_shr(u32::from(*bits)).unwrap_or(0);
                    let first = u128::from(*address) & !host;
                    let last = first | host;
                    // Those of IPv4 are told by that.
                    let v6 = |n: u128| IpAddr::V6(n.into()).to_canonical();
                    add(Some(v6(if host >= 7 { first + 7 } else { first })));
                    add(Some(v6(first)));
                    add(Some(v6(last)));
                    add(first.checked_sub(1).map(v6));
                    add(last.checked_add(1).map(v6));
                }
            }
        }
        if !networks.is_empty() {
            // Far from all of them, of both families.
            for far in ["203.0.113.9", "2001:db8::9", "0.0.0.0", "::"] {
                add(far.parse().ok());
            }
        }
    }

    fn times(&mut self, times: &BTreeSet<i64>) {
        for time in times {
            for step in [0, 1000, -1000, 1, -1] {
                self.values.push(FactValue::Time(time.saturating_add(step)));
            }
        }
    }

    fn numbers(&mut self, numbers: &BTreeSet<Number>) {
        let infinite = matches!(
            self.key.fact(),
            Fact::TtlSeconds | Fact::Count | Fact::BlockingSeconds
        );
        let whole = matches!(
            self.key.fact(),
            Fact::ValueBytes | Fact::Count | Fact::KeyCount | Fact::DatabaseIndex
        );
        let never_negative = self.key.fact().kind() == FactKind::Number;
        let zero = Number::from(0);
        let mut add = |number: Number| {
            if number >= zero || !never_negative {
                self.values.push(FactValue::Number(number));
            }
        };
        let mut before: Option<Number> = None;
        for number in numbers {
            let step = |thousandths: i64| {
                let milli = number.to_milli()?.checked_add(thousandths)?;
                Some(Number::milli(milli))
            };
            let steps: &[i64] = if whole {
                // The whole numbers on either side, where it is none itself.
                match number.to_milli().map(|milli| milli.rem_euclid(1000)) {
                    Some(0) => &[0, 1000, -1000],
                    Some(rest) => {
                        let near = [-rest, 1000 - rest];
                        near.into_iter().filter_map(step).for_each(&mut add);
                        &[]
                    }
                    None => &[],
                }
            } else {
                &[0, 1000, -1000, 1, -1]
            };
            steps.iter().copied().filter_map(step).for_each(&mut add);
            if !whole {
                add(*number);
            }
            // Numbers closer than a thousandth are told apart by nothing that occurs.
            if let Some(before) = before
                && before.to_milli() == number.to_milli()
            {
                self.complete = false;
            }
            before = Some(*number);
        }
        if !numbers.is_empty() {
            if infinite {
                self.values.push(FactValue::Number(Number::INFINITE));
            }
            if !numbers.contains(&zero) {
                self.values.push(FactValue::Number(zero));
            }
        }
    }

    fn texts(
        &mut self,
        languages: &Languages,
        used: &[usize],
        several: bool,
        work: &mut Work,
    ) -> Result<(), Exhausted> {
        let any = Formula::Some([Formula::always(), Formula::Any(used.into())].into());
        let mut seen: BTreeSet<Vec<bool>> = BTreeSet::new();
        let mut atoms: Vec<Vec<u8>> = Vec::new();
        let mut too_many = false;
        languages.strings(&any, work, |string, accepts| {
            let profile: Vec<bool> = used.iter().map(|language| accepts(*language)).collect();
            if seen.insert(profile) || string.is_empty() {
                atoms.push(string.to_vec());
            } else if string.len() == 1 && seen.len() == atoms.len() {
                // Beside the empty text one of its kind with characters.
                atoms.push(string.to_vec());
            }
            if atoms.len() > MAX_VALUES {
                too_many = true;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        if too_many {
            return Err(Exhausted);
        }
        // The empty text is an odd one: last.
        atoms.sort_by_key(|atom| atom.is_empty());
        for atom in &atoms {
            self.values.push(FactValue::Texts(vec![atom.clone()]));
        }
        if several {
            self.complete &= atoms.len() <= MAX_SET_ATOMS;
            let few = &atoms[..atoms.len().min(8)];
            let sets = if atoms.len() <= MAX_SET_ATOMS {
                (0_u32..1 << few.len()).collect::<Vec<_>>()
            } else {
                let pairs = (0..few.len()).flat_map(|a| (0..a).map(move |b| 1 << a | 1 << b));
                pairs.collect()
            };
            for set in sets.into_iter().filter(|set| set.count_ones() > 1) {
                let chosen = few.iter().enumerate().filter(|(n, _)| set >> n & 1 == 1);
                let chosen = chosen.map(|(_, atom)| atom.clone()).collect();
                self.values.push(FactValue::Texts(chosen));
            }
        }
        Ok(())
    }

    /// Drops values that no clause tells from an earlier one.
    fn keep_telling_ones(
        &mut self,
        uses: &[Use<'_>],
        templated: Templated,
        work: &mut Work,
    ) -> Result<(), Exhausted> {
        let mut seen: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut kept = Vec::new();
        for value in std::mem::take(&mut self.values) {
            work.spend(64 * (1 + uses.len()))?;
            let mut assignment = Assignment::default();
            let counts = templated != Templated::No && value != FactValue::Absent;
            let entry = (self.variable.clone(), self.key.clone(), value);
            assignment.0.push(entry);
            let facts = RequestFacts::new(&assignment, &Touch::None);
            let truth =
                |(clause, effect): &Use<'_>| match clause.values().iter().all(|v| v.is_fixed()) {
                    true => u8::from(clause.holds(*effect, &facts) == Some(true)),
                    false => 2,
                };
            let mut truths: Vec<u8> = uses.iter().map(truth).collect();
            let open = truths.contains(&2) || !self.complete || templated == Templated::Compared;
            truths.push(u8::from(counts));
            if (seen.insert(truths) || open)
                && let Some((.., value)) = assignment.0.pop()
            {
                kept.push(value);
            }
        }
        self.values = kept;
        Ok(())
    }
}

/// The variable that the key of a clause must be equal to, or must not, whatever it is.
pub(crate) fn compared_with(clause: &Clause) -> Option<&ConditionKey> {
    use Operator::{StringEquals, StringLike, StringNotEquals, StringNotLike};
    let texts = [StringEquals, StringNotEquals, StringLike, StringNotLike];
    let [value] = clause.values() else {
        return None;
    };
    match value.parts() {
        [Part::Variable { key, default: None }]
            if clause.set.is_none() && texts.contains(&clause.operator) =>
        {
            Some(key)
        }
        _ => None,
    }
}

/// A text for the first variable of a pattern, so that the pattern meets another one.
pub(crate) fn filling<'t>(
    template: &'t Template,
    other: &Glob,
) -> Option<(&'t ConditionKey, Vec<u8>)> {
    let literal = |text: &str| text.find(['*', '?', '[', '\\']).unwrap_or(text.len());
    let (before, parts) = match template.parts() {
        [Part::Text(before), parts @ ..] => (&**before, parts),
        parts => ("", parts),
    };
    let (key, after) = match parts {
        [Part::Variable { key, .. }] => (key, ""),
        [Part::Variable { key, .. }, Part::Text(after), ..] => (key, &**after),
        _ => return None,
    };
    let after = &after.as_bytes()[..literal(after)];
    let prefix = other.literal_prefix();
    let rest = match literal(before) == before.len() {
        true => prefix.strip_prefix(before.as_bytes())?,
        false => return None,
    };
    let found = rest
        .windows(after.len().max(1))
        .position(|own| own == after);
    let text = &rest[..found.unwrap_or(rest.len())];
    (!text.is_empty() && std::str::from_utf8(text).is_ok()).then(|| (key, text.to_vec()))
}

/// ASCII text in any letter case; other characters as they are.
pub(crate) fn ignoring_case(text: &str) -> Language {
    let step = |byte: u8| match byte.is_ascii_alphabetic() {
        true => Step::Set(Box::new(Bytes::of(|own| own.eq_ignore_ascii_case(&byte)))),
        false => Step::Byte(byte),
    };
    Language {
        steps: text.bytes().map(step).collect(),
        empty: text.is_empty(),
    }
}
