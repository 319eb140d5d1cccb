//! Conditions of one statement that exclude each other.

use std::collections::{HashMap, HashSet};

use super::addresses::Network;
use super::presence::has_several;
use super::term::Term;
use crate::check::Document;
use crate::check::draft::Draft;
use crate::check::report::Reporter;
use crate::check::rules::Kind;
use crate::condition::{Fact, Operator, SetOperator};
use crate::number::Number;
use crate::{Dialect, Effect, Glob, time};

/// Work for comparing the values of two conditions: a few hundredths of a second.
const MAX_COMPARED: usize = 20_000_000;

/// What a value of one key must satisfy.
#[derive(Default)]
struct Demands<'t, 'w, 'd> {
    terms: Vec<&'t Term<'w, 'd>>,
}

/// Conditions of one statement that exclude each other.
pub(super) fn unsatisfiable(
    document: &Document<'_>,
    draft: &Draft<'_>,
    terms: &[Term<'_, '_>],
    out: &mut Reporter<'_>,
) {
    let mut by_key: Vec<(&str, Demands<'_, '_, '_>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for term in terms {
        // Of several values a Deny asks for any, and each operator may mean another one.
        let any = term.key.fact().is_of_touch()
            && (draft.is(Effect::Deny) || document.dialect != Dialect::Native);
        let any = any || term.set == Some(SetOperator::ForAnyValue) && has_several(&term.key);
        if any && term.operator != Operator::Null {
            continue;
        }
        let place = *places.entry(term.key.folded()).or_insert_with(|| {
            by_key.push((term.key.folded(), Demands::default()));
            by_key.len() - 1
        });
        by_key[place].1.terms.push(term);
    }
    for (_, demands) in &by_key {
        let keys = draft.is(Effect::Allow).then_some(draft);
        if let Some((term, message)) = contradiction(demands, keys) {
            let values = term.wanted.values.first();
            let at = values.map_or(term.wanted.key_at, |value| value.at);
            out.add(Kind::Unsatisfiable, at, &*term.path, message);
        }
    }
}

/// The term that cannot hold beside the others, and why.
fn contradiction<'t, 'w, 'd>(
    demands: &Demands<'t, 'w, 'd>,
    allow: Option<&Draft<'_>>,
) -> Option<(&'t Term<'w, 'd>, String)> {
    use Operator as O;
    let terms = &demands.terms;
    let null = |wanted: &str| {
        terms.iter().copied().find(|term| {
            let values = &term.wanted.values;
            term.operator == O::Null && values.iter().all(|value| value.text == wanted)
        })
    };
    if let Some(absent) = null("true") {
        let present = terms
            .iter()
            .copied()
            .find(|term| !std::ptr::eq(*term, absent) && term.needs_presence());
        return present.map(|term| {
            let message = format!(
                "`Null` asks that {} is missing, and this that it is there",
                term.name()
            );
            (term, message)
        });
    }
    // Without a term that needs the value, requests that lack it may match.
    if !terms.iter().any(|term| term.needs_presence()) {
        return None;
    }
    let name = terms.first()?.name();
    let mut last = None;

    let mut truths: Option<[bool; 2]> = None;
    for term in terms.iter().filter(|term| term.operator == O::Bool) {
        let mut wanted = [false; 2];
        for value in &term.wanted.values {
            match value.text.to_ascii_lowercase().as_str() {
                "true" | "1" => wanted[1] = true,
                "false" | "0" => wanted[0] = true,
                _ => wanted = [true; 2],
            }
        }
        let before = truths.unwrap_or([true; 2]);
        let both = [before[0] && wanted[0], before[1] && wanted[1]];
        if both == [false; 2] {
            return Some((term, format!("{name} cannot be true and false at once")));
        }
        truths = Some(both);
    }

    if let Some(found) = ranges(terms, &name) {
        return Some(found);
    }

    // Addresses: some wanted network must be left.
    let networks = |term: &Term<'_, '_>| -> Option<Vec<Network>> {
        term.fixed()?.into_iter().map(Network::parse).collect()
    };
    let mut left: Option<Vec<Network>> = None;
    for term in terms.iter().filter(|term| term.operator == O::IpAddress) {
        let wanted = networks(term)?;
        let before = left.as_ref().map_or(0, Vec::len);
        if before.saturating_mul(wanted.len()) > MAX_COMPARED / 4 {
            return None;
        }
        left = Some(match left {
            None => wanted,
            Some(before) => {
                let both = |x: &Network| {
                    let fitting = wanted.iter().filter_map(|y| {
                        if x.covers(*y) {
                            Some(*y)
                        } else {
                            y.covers(*x).then_some(*x)
                        }
                    });
                    fitting.collect::<Vec<_>>()
                };
                before.iter().flat_map(both).collect()
            }
        });
        last = Some(*term);
    }
    for term in terms.iter().filter(|term| term.operator == O::NotIpAddress) {
        let without = networks(term)?;
        if let Some(left) = &mut left {
            if left.len().saturating_mul(without.len()) > MAX_COMPARED / 4 {
                return None;
            }
            left.retain(|network| !without.iter().any(|outer| outer.covers(*network)));
            last = Some(*term);
        }
    }
    if left.is_some_and(|left| left.is_empty()) {
        let message = format!("no address satisfies all conditions on {name}");
        return last.map(|term| (term, message));
    }
    texts(terms, &name, allow)
}

/// A bound of a range, and whether the bound itself is inside.
type Bound = Option<(Number, bool)>;

/// Numbers and dates: the range that all leave.
fn ranges<'t, 'w, 'd>(
    terms: &[&'t Term<'w, 'd>],
    name: &str,
) -> Option<(&'t Term<'w, 'd>, String)> {
    use Operator as O;
    let (mut low, mut high): (Bound, Bound) = (None, None);
    let mut equal: Option<Vec<Number>> = None;
    let never_negative = matches!(
        terms.first()?.key.fact(),
        Fact::ValueBytes
            | Fact::KeyCount
            | Fact::Count
            | Fact::DatabaseIndex
            | Fact::BlockingSeconds
            | Fact::MultiFactorAuthAge
            | Fact::TokenAge
    );
    if never_negative {
        low = Some((Number::from_i64(0), true));
    }
    let mut last = None;
    for term in terms {
        let is_date = term.operator.name().starts_with("Date");
        if !is_date && !term.operator.name().starts_with("Numeric") {
            continue;
        }
        let number = |text: &str| {
            if is_date {
                // In seconds, so that dates and numbers on the same key meet.
                time::parse(text).map(Number::milli)
            } else {
                Number::parse(text)
            }
        };
        let values: Option<Vec<Number>> = term.fixed()?.into_iter().map(number).collect();
        let values = values?;
        let (least, most) = (*values.iter().min()?, *values.iter().max()?);
        let upper = |bound: Bound, value, inside| match bound {
            Some((before, was)) if before < value => Some((before, was)),
            Some((before, was)) if before == value => Some((before, was && inside)),
            _ => Some((value, inside)),
        };
        let lower = |bound: Bound, value, inside| match bound {
            Some((before, was)) if before > value => Some((before, was)),
            Some((before, was)) if before == value => Some((before, was && inside)),
            _ => Some((value, inside)),
        };
        match term.operator {
            O::NumericLessThan | O::DateLessThan => high = upper(high, most, false),
            O::NumericLessThanEquals | O::DateLessThanEquals => high = upper(high, most, true),
            O::NumericGreaterThan | O::DateGreaterThan => low = lower(low, least, false),
            O::NumericGreaterThanEquals | O::DateGreaterThanEquals => low = lower(low, least, true),
            O::NumericEquals | O::DateEquals => {
                equal = Some(match equal {
                    None => values,
                    Some(mut before) => {
                        before.retain(|value| values.contains(value));
                        before
                    }
                });
            }
            _ => continue,
        }
        last = Some(*term);
    }
    let inside = |value: &Number| {
        let above = low.is_none_or(|(low, inside)| *value > low || (inside && *value == low));
        let below = high.is_none_or(|(high, inside)| *value < high || (inside && *value == high));
        above && below
    };
    let empty = match (&equal, low, high) {
        (Some(values), _, _) => !values.iter().any(inside),
        (None, Some((low, in_low)), Some((high, in_high))) => {
            low > high || (low == high && !(in_low && in_high))
        }
        _ => false,
    };
    let term = last.filter(|_| empty)?;
    let message = format!("no value of {name} satisfies all of its conditions");
    Some((term, message))
}

/// Texts: some wanted text must fit all, or the fixed beginnings of all patterns be compatible.
fn texts<'t, 'w, 'd>(
    terms: &[&'t Term<'w, 'd>],
    name: &str,
    allow: Option<&Draft<'_>>,
) -> Option<(&'t Term<'w, 'd>, String)> {
    use Operator as O;
    let message = || format!("no value of {name} satisfies all of its conditions");
    let mut wanted: Option<Vec<String>> = None;
    let mut last = None;
    for term in terms {
        let folds = term.operator == O::StringEqualsIgnoreCase;
        if term.operator != O::StringEquals && !folds {
            continue;
        }
        let values = term.fixed()?;
        let folded = |text: &str| match folds {
            true => text.to_ascii_lowercase(),
            false => text.to_owned(),
        };
        let known: HashSet<String> = values.iter().map(|value| folded(value)).collect();
        let fits = |text: &String| known.contains(&folded(text));
        match &mut wanted {
            None if !folds => {
                wanted = Some(values.iter().map(|value| (*value).to_owned()).collect());
            }
            None => continue,
            Some(before) => before.retain(fits),
        }
        last = Some(*term);
    }
    let patterns = |term: &Term<'_, '_>| -> Option<Vec<Glob>> {
        let glob = |text: &str| match term.operator {
            O::GlobLike | O::GlobNotLike => Glob::new(text.as_bytes()),
            // `[` and `\` are plain text in `StringLike`.
            _ => {
                let text = text.replace('\\', "\\\\").replace('[', "\\[");
                Glob::new(text.as_bytes())
            }
        };
        Some(term.fixed()?.into_iter().map(glob).collect())
    };
    for term in terms {
        let positive = term.is(&[O::StringLike, O::GlobLike]);
        let negative = term.is(&[O::StringNotLike, O::GlobNotLike]);
        let unequal = term.operator == O::StringNotEquals;
        if negative && term.fixed()?.contains(&"*") {
            let message = format!("`*` matches every value of {name}, and none may match");
            return Some((term, message));
        }
        let Some(wanted) = &mut wanted else {
            continue;
        };
        if unequal {
            let values: HashSet<&str> = term.fixed()?.into_iter().collect();
            wanted.retain(|text| !values.contains(text.as_str()));
        } else if positive || negative {
            let bytes = wanted.iter().map(|text| text.len() + 32).sum::<usize>();
            if bytes.saturating_mul(term.wanted.values.len()) > MAX_COMPARED {
                continue;
            }
            let globs = patterns(term)?;
            let matches = |text: &String| globs.iter().any(|glob| glob.matches(text.as_bytes()));
            wanted.retain(|text| matches(text) == positive);
        } else {
            continue;
        }
        last = Some(*term);
    }
    if wanted.as_ref().is_some_and(Vec::is_empty) {
        return last.map(|term| (term, message()));
    }
    // Patterns against patterns, and against the statement's own `Keys`.
    let mut lists: Vec<(Option<&'t Term<'w, 'd>>, Vec<Glob>)> = Vec::new();
    if let (Some(draft), Some(Fact::Key)) = (allow, terms.first().map(|term| term.key.fact()))
        && !draft.keys.is_empty()
    {
        let fields = draft.keys.iter().filter(|list| list.name != "Channels");
        let items = fields.flat_map(|list| &list.items);
        let globs: Option<Vec<Glob>> = items
            .map(|item| (!item.text.contains("${")).then(|| Glob::new(item.text.as_bytes())))
            .collect();
        lists.extend(
            globs
                .filter(|globs| !globs.is_empty())
                .map(|globs| (None, globs)),
        );
    }
    for term in terms {
        if term.is(&[O::StringLike, O::GlobLike]) {
            lists.push((Some(term), patterns(term)?));
        } else if term.operator == O::StringEquals {
            let escape = |text: &str| {
                let mut out = Vec::new();
                for byte in text.bytes() {
                    if matches!(byte, b'*' | b'?' | b'[' | b'\\') {
                        out.push(b'\\');
                    }
                    out.push(byte);
                }
                Glob::new(&out)
            };
            let globs = term.fixed()?.into_iter().map(escape).collect();
            lists.push((Some(term), globs));
        }
    }
    for (i, (_, first)) in lists.iter().enumerate() {
        for (term, second) in &lists[i + 1..] {
            let compatible = |x: &Glob, y: &Glob| {
                let (a, b) = (x.literal_prefix(), y.literal_prefix());
                a.starts_with(b) || b.starts_with(a)
            };
            if first.len() * second.len() > 10_000 {
                continue;
            }
            let some = first
                .iter()
                .any(|x| second.iter().any(|y| compatible(x, y)));
            if let (false, Some(term)) = (some, term) {
                return Some((term, message()));
            }
        }
    }
    None
}
