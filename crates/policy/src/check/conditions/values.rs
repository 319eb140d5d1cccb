//! What is wrong with single values, and with their type.

use std::collections::HashMap;

use super::term::Beside;
use super::term::{Term, operator_name};
use crate::check::Document;
use crate::check::cover::covered_globs;
use crate::check::draft::{Draft, Item, token_end};
use crate::check::native::looks_like_regex;
use crate::check::report::Reporter;
use crate::check::rules::Kind;
use crate::condition::{Fact, FactKind, Operator};
use crate::finding::quoted;
use crate::number::Number;
use crate::{Dialect, Effect, time};

/// Conditions of an Allow that exclude nothing.
pub(super) fn restricts_nothing(effect: Effect, term: &Term<'_, '_>, out: &mut Reporter<'_>) {
    use Operator as O;
    if effect != Effect::Allow || term.operator.is_negated() {
        return;
    }
    if term.is(&[O::Bool, O::Null]) {
        let is = |truth: &'static str| {
            let mut values = term.wanted.values.iter();
            values.any(move |value| value.text.eq_ignore_ascii_case(truth))
        };
        if is("true") && is("false") {
            let name = term.name();
            let message = match term.operator {
                O::Null => format!("`true` and `false`: it passes whether there is {name} or not"),
                _ => format!("`true` and `false`: every value of {name} passes"),
            };
            out.add(Kind::PassesCondition, term.wanted.at, &*term.path, message);
        }
        return;
    }
    let pattern = term.is(&[O::StringLike, O::GlobLike, O::ArnLike, O::ArnEquals]);
    let Some(value) = term.wanted.values.iter().find(|value| value.text == "*") else {
        let smallest = term
            .wanted
            .values
            .iter()
            .filter_map(|value| Some((Number::parse(&value.text)?, value)))
            .min_by_key(|(number, _)| *number);
        let never_negative = matches!(
            term.key.fact(),
            Fact::ValueBytes | Fact::KeyCount | Fact::Count | Fact::DatabaseIndex
        );
        if let Some((number, value)) = smallest
            && never_negative
            && term.set.is_none()
            && (term.operator == O::NumericGreaterThanEquals && number <= Number::from_i64(0)
                || term.operator == O::NumericGreaterThan && number < Number::from_i64(0))
        {
            let message = format!("{} is never negative: every value passes", term.name());
            out.add(Kind::PassesCondition, value.at, &*term.path, message);
        }
        return;
    };
    if pattern {
        let message = format!("`*` matches every value of {}", term.name());
        out.add(Kind::PassesCondition, value.at, &*term.path, message);
    }
}

/// What is wrong with single values.
pub(super) fn values(
    document: &Document<'_>,
    draft: &Draft<'_>,
    beside: &Beside<'_>,
    term: &Term<'_, '_>,
    out: &mut Reporter<'_>,
) {
    use Operator as O;
    let items: Vec<Item<'_>> = term
        .wanted
        .values
        .iter()
        .enumerate()
        .map(|(index, value)| Item {
            index,
            at: value.at,
            text: &value.text,
        })
        .collect();
    let starts: Vec<usize> = items.iter().map(|item| item.at).collect();
    let exact = term.is(&[
        O::StringEquals,
        O::StringNotEquals,
        O::StringEqualsIgnoreCase,
        O::StringNotEqualsIgnoreCase,
    ]);
    let like = term.is(&[O::StringLike, O::StringNotLike, O::GlobLike, O::GlobNotLike]);
    let is_tag = |fact: &Fact| matches!(fact, Fact::ResourceTagPairs | Fact::RequestTagPairs);
    for item in &items {
        if out.is_full(Kind::WildcardWithoutLike) {
            break;
        }
        let path = || term.value_path(draft, item.index);
        let bare = item.text.replace("${*}", "").replace("${?}", "");
        if exact && bare.contains(['*', '?']) && !is_tag(term.key.fact()) {
            let like = match term.operator {
                O::StringEquals | O::StringEqualsIgnoreCase => O::StringLike,
                _ => O::StringNotLike,
            };
            let name = operator_name(document.dialect, like);
            let message = format!(
                "`{}` compares {} literally: use `{name}` for a pattern",
                operator_name(document.dialect, term.operator),
                quoted(item.text)
            );
            let plain = operator_name(document.dialect, term.operator);
            let renamed = term.wanted.operator.replace(plain, name);
            let simple = term.is(&[O::StringEquals, O::StringNotEquals]);
            let added = out.add(Kind::WildcardWithoutLike, item.at, path(), message);
            if simple && beside.is_alone(term, &renamed) {
                let at = term.wanted.operator_at;
                let end = token_end(document.text, at);
                added.fix("compare as a pattern", at, end, format!("\"{renamed}\""));
            }
        }
        if like && let Some(what) = looks_like_regex(item.text) {
            let message = format!(
                "{} has {what}, which means nothing special in a pattern",
                quoted(item.text)
            );
            out.add(Kind::LooksLikeRegex, item.at, path(), message);
        }
        if (exact || like) && item.text.trim() != item.text {
            let message = format!("{} begins or ends with white space", quoted(item.text));
            out.add(Kind::OuterSpace, item.at, path(), message);
        }
    }
    let ordered = match term.operator {
        O::NumericLessThan
        | O::NumericLessThanEquals
        | O::NumericGreaterThan
        | O::NumericGreaterThanEquals
        | O::DateLessThan
        | O::DateLessThanEquals
        | O::DateGreaterThan
        | O::DateGreaterThanEquals => items.len() > 1,
        _ => false,
    };
    let covered = if ordered {
        let message = "several values under an operator that compares with the largest or the \
                       smallest: one counts";
        let path = term.path.clone();
        out.add(Kind::DuplicateValue, term.wanted.at, path, message);
        Vec::new()
    } else if like && term.operator != O::GlobNotLike {
        covered_globs(&items)
    } else {
        repeated(&items)
    };
    for (index, other) in covered {
        if out.is_full(Kind::DuplicateValue) {
            break;
        }
        let (item, wider) = (&items[index], &items[other]);
        let message = if item.text == wider.text {
            format!("{} stands twice in the list", quoted(item.text))
        } else {
            format!(
                "{} is covered by {} of the same list",
                quoted(item.text),
                quoted(wider.text)
            )
        };
        out.add(
            Kind::DuplicateValue,
            item.at,
            term.value_path(draft, index),
            message,
        )
        .fix_by_removing(document.text, "remove it", &starts, index);
    }
}

/// Items whose text stood there before.
fn repeated(items: &[Item<'_>]) -> Vec<(usize, usize)> {
    let mut first = HashMap::new();
    let mut found = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match first.entry(item.text) {
            std::collections::hash_map::Entry::Occupied(earlier) => {
                found.push((at, *earlier.get()))
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(at);
            }
        }
    }
    found
}

/// The moment of a value, in milliseconds since 1970.
fn moment(term: &Term<'_, '_>, text: &str) -> Option<i64> {
    if term.operator.name().starts_with("Numeric") {
        return Number::parse(text)?.to_milli();
    }
    time::parse(text)
}

pub(super) fn dates(
    document: &Document<'_>,
    draft: &Draft<'_>,
    term: &Term<'_, '_>,
    out: &mut Reporter<'_>,
) {
    use Operator as O;
    let Some(now) = document.now else {
        return;
    };
    if !matches!(term.key.fact(), Fact::CurrentTime | Fact::EpochTime) || term.set.is_some() {
        return;
    }
    let moments: Option<Vec<i64>> = term
        .wanted
        .values
        .iter()
        .map(|value| moment(term, &value.text))
        .collect();
    let Some(moments) = moments.filter(|moments| !moments.is_empty()) else {
        return;
    };
    let all_past = moments.iter().all(|moment| *moment < now);
    let before = term.is(&[
        O::DateLessThan,
        O::DateLessThanEquals,
        O::DateEquals,
        O::NumericLessThan,
        O::NumericLessThanEquals,
        O::NumericEquals,
    ]);
    let after = term.is(&[
        O::DateGreaterThan,
        O::DateGreaterThanEquals,
        O::NumericGreaterThan,
        O::NumericGreaterThanEquals,
    ]);
    let message = if before && all_past {
        "the date is over: the statement never matches again"
    } else if after && draft.is(Effect::Deny) && moments.iter().any(|moment| *moment < now) {
        "the date is over: the Deny holds from now on, whatever the time"
    } else {
        return;
    };
    let value = &term.wanted.values[0];
    out.add(Kind::Expired, value.at, term.value_path(draft, 0), message);
}

/// Operators of another type than the key, where the reader lets that pass.
pub(super) fn types(document: &Document<'_>, term: &Term<'_, '_>, out: &mut Reporter<'_>) {
    let fact = term.key.fact();
    let free = matches!(
        fact,
        Fact::Other
            | Fact::PrincipalTag(_)
            | Fact::ResourceTag(_)
            | Fact::SessionTag(_)
            | Fact::RequestTag(_)
    );
    // Older Tencent documents compare it as a number or as text.
    let second_factor =
        document.dialect == Dialect::Tencent && *fact == Fact::MultiFactorAuthPresent;
    if document.dialect == Dialect::Native
        || free
        || second_factor
        || term.operator == Operator::Null
    {
        return;
    }
    let name = term.operator.name();
    let compared = if name.starts_with("Numeric") {
        FactKind::Number
    } else if name.starts_with("Date") {
        FactKind::Time
    } else if term.operator == Operator::Bool {
        FactKind::Boolean
    } else if term.is(&[Operator::IpAddress, Operator::NotIpAddress]) {
        FactKind::Address
    } else {
        FactKind::Text
    };
    if name.starts_with("Arn") && fact.kind() == FactKind::Text && !fact.is_arn() {
        let message = format!(
            "`{}` compares ARNs, and {} is none",
            term.wanted.operator,
            term.name()
        );
        let at = term.wanted.operator_at;
        out.add(Kind::TypeMismatch, at, &*term.path, message);
        return;
    }
    let fits = compared == fact.kind() || (*fact == Fact::EpochTime && compared == FactKind::Time);
    if !fits {
        let describe = |kind| match kind {
            FactKind::Text => "text",
            FactKind::Number => "a number",
            FactKind::Time => "a date",
            FactKind::Address => "an address",
            FactKind::Boolean => "a truth value",
        };
        let message = format!(
            "`{}` compares {}, and {} is {}",
            term.wanted.operator,
            describe(compared),
            term.name(),
            describe(fact.kind())
        );
        out.add(
            Kind::TypeMismatch,
            term.wanted.operator_at,
            &*term.path,
            message,
        );
    }
}
