//! An operator on a condition key, understood.

use std::collections::{HashMap, HashSet};

use crate::Dialect;
use crate::check::draft::{Draft, Wanted};
use crate::condition::{ConditionKey, Operator, SetOperator};
use crate::finding::quoted;

/// Tencent's names of operators.
const TENCENT: &[(&str, Operator)] = &[
    ("string_equal", Operator::StringEquals),
    ("string_not_equal", Operator::StringNotEquals),
    ("string_equal_ignore_case", Operator::StringEqualsIgnoreCase),
    (
        "string_not_equal_ignore_case",
        Operator::StringNotEqualsIgnoreCase,
    ),
    ("string_like", Operator::StringLike),
    ("string_not_like", Operator::StringNotLike),
    ("numeric_equal", Operator::NumericEquals),
    ("numeric_not_equal", Operator::NumericNotEquals),
    ("numeric_less_than", Operator::NumericLessThan),
    ("numeric_less_than_equal", Operator::NumericLessThanEquals),
    ("numeric_greater_than", Operator::NumericGreaterThan),
    (
        "numeric_greater_than_equal",
        Operator::NumericGreaterThanEquals,
    ),
    ("date_equal", Operator::DateEquals),
    ("date_not_equal", Operator::DateNotEquals),
    ("date_less_than", Operator::DateLessThan),
    ("date_less_than_equal", Operator::DateLessThanEquals),
    ("date_greater_than", Operator::DateGreaterThan),
    ("date_greater_than_equal", Operator::DateGreaterThanEquals),
    ("bool_equal", Operator::Bool),
    ("binary_equal", Operator::StringEquals),
    ("ip_equal", Operator::IpAddress),
    ("ip_not_equal", Operator::NotIpAddress),
    ("null_equal", Operator::Null),
];

/// One operator on one key, understood.
pub(super) struct Term<'w, 'd> {
    pub(super) wanted: &'w Wanted<'d>,
    pub(super) set: Option<SetOperator>,
    pub(super) operator: Operator,
    pub(super) if_exists: bool,
    pub(super) key: ConditionKey,
    pub(super) path: String,
}

/// `ForAllValues:StringLikeIfExists`, or `for_all_value:string_like_if_exist`.
pub(super) fn parse_operator(
    dialect: Dialect,
    name: &str,
) -> Option<(Option<SetOperator>, Operator, bool)> {
    let (set, rest) = match name.split_once(':') {
        Some(("ForAllValues" | "for_all_value", rest)) => (Some(SetOperator::ForAllValues), rest),
        Some(("ForAnyValue" | "for_any_value", rest)) => (Some(SetOperator::ForAnyValue), rest),
        Some(_) => return None,
        None => (None, name),
    };
    let (by_name, suffix): (fn(&str) -> Option<Operator>, &str) = match dialect {
        Dialect::Tencent => (
            |name| {
                let found = TENCENT.iter().find(|(known, _)| *known == name)?;
                Some(found.1)
            },
            "_if_exist",
        ),
        _ => (Operator::by_name, "IfExists"),
    };
    if let Some(operator) = by_name(rest) {
        return Some((set, operator, false));
    }
    let operator = by_name(rest.strip_suffix(suffix)?)?;
    Some((set, operator, true))
}

/// An operator's name in a dialect.
pub(super) fn operator_name(dialect: Dialect, operator: Operator) -> &'static str {
    if dialect == Dialect::Tencent {
        let found = TENCENT.iter().find(|(_, known)| *known == operator);
        return found.map_or("string_like", |(name, _)| name);
    }
    operator.name()
}

impl<'w, 'd> Term<'w, 'd> {
    pub(super) fn of(dialect: Dialect, draft: &Draft<'d>, wanted: &'w Wanted<'d>) -> Option<Self> {
        let (set, operator, if_exists) = parse_operator(dialect, wanted.operator)?;
        Some(Self {
            set,
            operator,
            if_exists,
            key: ConditionKey::new(dialect, wanted.key),
            path: wanted.path(&draft.path, draft.condition_name()),
            wanted,
        })
    }

    /// Its values, if none holds a variable.
    pub(super) fn fixed(&self) -> Option<Vec<&str>> {
        let values = self.wanted.values.iter();
        values
            .map(|value| (!value.text.contains("${")).then_some(&*value.text))
            .collect()
    }

    pub(super) fn value_path(&self, draft: &Draft<'_>, index: usize) -> String {
        self.wanted
            .value_path(&draft.path, draft.condition_name(), index)
    }

    pub(super) fn is(&self, operators: &[Operator]) -> bool {
        operators.contains(&self.operator)
    }

    pub(super) fn name(&self) -> String {
        quoted(self.wanted.key)
    }

    /// Needs the request to have the key.
    pub(super) fn needs_presence(&self) -> bool {
        match self.operator {
            Operator::Null => self.wanted.values.iter().all(|value| value.text == "false"),
            _ if self.if_exists => false,
            operator => match self.set {
                Some(SetOperator::ForAllValues) => false,
                Some(SetOperator::ForAnyValue) => true,
                None => !operator.is_negated(),
            },
        }
    }
}

/// Whether a term compares text, for vendors' checks.
pub(crate) fn takes_variables(dialect: Dialect, operator: &str) -> bool {
    parse_operator(dialect, operator).is_some_and(|(_, operator, _)| operator.takes_variables())
}

/// What else a statement's conditions name, so that no term has to look through them all.
pub(super) struct Beside<'d> {
    /// How many keys there are under the operator at each place.
    under: HashMap<usize, usize>,
    operators: HashSet<&'d str>,
    /// Keys that `Null` asks to be there.
    guarded: HashSet<Box<str>>,
}

impl<'d> Beside<'d> {
    pub(super) fn new(draft: &Draft<'d>, terms: &[Term<'_, 'd>]) -> Self {
        let mut under = HashMap::new();
        for wanted in &draft.wanted {
            *under.entry(wanted.operator_at).or_insert(0) += 1;
        }
        let is_guard = |term: &&Term<'_, '_>| {
            let values = &term.wanted.values;
            term.operator == Operator::Null && values.iter().all(|value| value.text == "false")
        };
        let guarded = terms.iter().filter(is_guard);
        Self {
            under,
            operators: draft.wanted.iter().map(|wanted| wanted.operator).collect(),
            guarded: guarded.map(|term| term.key.folded().into()).collect(),
        }
    }

    /// Is there one key under the operator, and no other entry with the name it would get?
    pub(super) fn is_alone(&self, term: &Term<'_, '_>, name: &str) -> bool {
        self.under.get(&term.wanted.operator_at) == Some(&1) && !self.operators.contains(name)
    }

    /// Does `Null` ask for the key to be there?
    pub(super) fn is_guarded(&self, term: &Term<'_, '_>) -> bool {
        self.guarded.contains(term.key.folded())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators() {
        use Dialect::{Aws, Tencent};
        let cases = [
            (Aws, "StringLike", Some((None, Operator::StringLike, false))),
            (
                Aws,
                "ForAllValues:StringLikeIfExists",
                Some((Some(SetOperator::ForAllValues), Operator::StringLike, true)),
            ),
            (
                Tencent,
                "for_any_value:string_equal_if_exist",
                Some((Some(SetOperator::ForAnyValue), Operator::StringEquals, true)),
            ),
            (Tencent, "StringLike", None),
            (Aws, "ForSome:StringLike", None),
        ];
        for (dialect, name, expected) in cases {
            assert_eq!(parse_operator(dialect, name), expected, "{name}");
        }
    }
}
