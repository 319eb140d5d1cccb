//! Conditions and their keys between the dialects.

use super::Report;
use super::rule::{Condition, Rule, operator_name};
use crate::condition::{ConditionKey, Fact, Operator, SetOperator};
use crate::native::misfit;
use crate::vendor::tencent_operator;
use crate::{Dialect, Effect, Statement};

/// A clause as a vendor writes it.
pub(super) type Clause = (String, String, Vec<String>);

/// One key: native, AWS, Tencent, Alibaba.
type KeyRow = (
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    Option<&'static str>,
);

/// Names of what means the same.
const KEYS: &[KeyRow] = &[
    (
        "keyward:SourceIp",
        Some("aws:SourceIp"),
        Some("qcs:ip"),
        Some("acs:SourceIp"),
    ),
    (
        "keyward:SecureTransport",
        Some("aws:SecureTransport"),
        None,
        Some("acs:SecureTransport"),
    ),
    (
        "keyward:CurrentTime",
        Some("aws:CurrentTime"),
        Some("qcs:current_time"),
        Some("acs:CurrentTime"),
    ),
    ("keyward:EpochTime", Some("aws:EpochTime"), None, None),
    (
        "keyward:TokenIssueTime",
        Some("aws:TokenIssueTime"),
        None,
        None,
    ),
    ("keyward:TagKeys", Some("aws:TagKeys"), None, None),
    (
        SECOND_FACTOR,
        Some("aws:MultiFactorAuthPresent"),
        None,
        Some("acs:MFAPresent"),
    ),
];

/// Tags of resources: native, AWS, Alibaba. Tencent has them as pairs.
const RESOURCE_TAGS: [&str; 3] = [
    "keyward:ResourceTag/",
    "aws:ResourceTag/",
    "acs:ResourceTag/",
];

/// Whether a session began with a second factor. Who comes with a permanent key has none of the
/// vendors' keys, and natively a `false`.
const SECOND_FACTOR: &str = "keyward:MultiFactorAuthPresent";

/// Whether a clause on the second factor means the same whether a missing key is missing or `false`.
fn says_of_missing_factor_as_of_false(
    operator: Operator,
    set: Option<SetOperator>,
    if_exists: bool,
    values: &[String],
) -> bool {
    let wanted = if if_exists { "false" } else { "true" };
    let mut values = values.iter();
    operator == Operator::Bool
        && set.is_none()
        && values.all(|value| value.eq_ignore_ascii_case(wanted))
}

fn column(row: &KeyRow, dialect: Dialect) -> Option<&'static str> {
    match dialect {
        Dialect::Tencent => row.2,
        Dialect::Alibaba => row.3,
        Dialect::Aws => row.1,
        _ => Some(row.0),
    }
}

/// A tag whose name means the same however its letters are compared.
fn is_plain_tag(name: &str) -> bool {
    !name.is_empty() && !name.contains('&') && name.chars().all(|c| !c.is_uppercase())
}

/// A native key in a vendor's terms.
fn key_of(dialect: Dialect, native: &str) -> Option<String> {
    if native.starts_with("kvdb:") {
        return Some(native.to_owned());
    }
    if let Some(tag) = native.strip_prefix(RESOURCE_TAGS[0]) {
        let prefix = match dialect {
            Dialect::Aws => RESOURCE_TAGS[1],
            Dialect::Alibaba => RESOURCE_TAGS[2],
            _ => return None,
        };
        return is_plain_tag(tag).then(|| format!("{prefix}{tag}"));
    }
    let row = KEYS.iter().find(|row| row.0 == native)?;
    column(row, dialect).map(str::to_owned)
}

/// A vendor's key in native terms.
fn native_key(key: &ConditionKey) -> Option<String> {
    let dialect = key.dialect();
    if let Some((prefix, _)) = key.name().split_once(':')
        && prefix.eq_ignore_ascii_case("kvdb")
    {
        return ConditionKey::native_names()
            .find(|name| *ConditionKey::new(Dialect::Native, name).fact() == *key.fact())
            .map(str::to_owned);
    }
    if let Fact::ResourceTag(tag) = key.fact() {
        let known = dialect != Dialect::Tencent && is_plain_tag(tag);
        return known.then(|| format!("{}{tag}", RESOURCE_TAGS[0]));
    }
    let same = |name: &str| *ConditionKey::new(dialect, name).fact() == *key.fact();
    let known = *key.fact() != Fact::Other;
    let row = KEYS
        .iter()
        .find(|row| known && column(row, dialect).is_some_and(same))?;
    Some(row.0.to_owned())
}

/// Why a condition matters, for messages: dropped, an Allow would grant more and a Deny forbid more.
fn cannot(what: &str) -> String {
    format!("{what}; a statement without the condition would mean something else")
}

/// Why a tag under `ForAllValues` is not translated from and to AWS's dialect.
fn empty_is_none(key: &str) -> String {
    format!("under `ForAllValues` an empty `{key}` counts as none in the `aws` dialect only")
}

/// The conditions of a vendor's statement in native terms; `None` if one cannot be said.
pub(super) fn import(
    statement: &Statement,
    dialect: Dialect,
    at: &str,
    report: &mut Report,
) -> Option<Vec<Condition>> {
    let mut conditions: Vec<Condition> = Vec::new();
    let mut right = true;
    for clause in statement.conditions.iter().flat_map(|all| all.clauses()) {
        let name = clause.key.name();
        let mut wrong = |what: String| {
            report.refuse(at, cannot(&what));
            right = false;
        };
        let variable = clause.values().iter().any(|value| !value.is_fixed());
        let dollar = clause
            .values()
            .iter()
            .any(|value| value.is_literal() && value.text().contains("${"));
        if variable || dollar {
            wrong(format!(
                "variables in the values of `{name}` have no counterpart"
            ));
            continue;
        }
        let values: Vec<String> = clause
            .values()
            .iter()
            .map(|v| v.text().to_owned())
            .collect();
        // A tag as one text.
        if *clause.key.fact() == Fact::ResourceTagPairs {
            match one_tag(&values) {
                Some((tag, values)) => conditions.push(Condition {
                    operator: Operator::StringEquals,
                    set: None,
                    if_exists: false,
                    key: format!("{}{tag}", RESOURCE_TAGS[0]),
                    values,
                }),
                None => wrong(format!(
                    "`{name}` asks for tags of several keys, or of a key with capitals"
                )),
            }
            continue;
        }
        let Some(key) = native_key(&clause.key) else {
            wrong(format!("`{name}` has no counterpart in the native dialect"));
            continue;
        };
        let (operator, set, if_exists) = (clause.operator, clause.set, clause.if_exists);
        if key == SECOND_FACTOR
            && !says_of_missing_factor_as_of_false(operator, set, if_exists, &values)
        {
            wrong(format!(
                "`{name}` is missing for permanent keys, and is `false` natively: only `Bool` with `true` and \
                 `BoolIfExists` with `false` mean the same"
            ));
            continue;
        }
        if key == "keyward:TagKeys" && clause.set.is_none() && clause.operator != Operator::Null {
            wrong(format!(
                "`{name}` without a set operator means something else there"
            ));
            continue;
        }
        if let Some(what) = misfit(clause.operator, &ConditionKey::new(Dialect::Native, &key)) {
            wrong(format!("in the native dialect {what}"));
            continue;
        }
        let tag = key.starts_with(RESOURCE_TAGS[0]);
        if dialect == Dialect::Aws && tag && clause.set == Some(SetOperator::ForAllValues) {
            wrong(empty_is_none(name));
            continue;
        }
        if clause.operator == Operator::Null && dialect == Dialect::Tencent && tag {
            wrong(format!(
                "`null_equal` on `{name}` also means an empty value"
            ));
            continue;
        }
        conditions.push(Condition {
            operator: clause.operator,
            set: clause.set,
            if_exists: clause.if_exists,
            key: key.clone(),
            values,
        });
        // These vendors allow nothing by a missing key; the native dialect would.
        let guarded = dialect != Dialect::Aws
            && statement.effect == Effect::Allow
            && clause.operator.is_negated()
            && clause.set.is_none()
            && !clause.if_exists;
        if guarded {
            conditions.push(Condition {
                operator: Operator::Null,
                set: None,
                if_exists: false,
                key,
                values: vec!["false".into()],
            });
        }
    }
    right.then_some(conditions)
}

/// The tag of pairs that have one key.
fn one_tag(pairs: &[String]) -> Option<(String, Vec<String>)> {
    let mut split = pairs.iter().map(|pair| pair.split_once('&'));
    let (tag, first) = split.next()??;
    let mut values = vec![first.to_owned()];
    for pair in split {
        let (other, value) = pair?;
        if other != tag {
            return None;
        }
        values.push(value.to_owned());
    }
    is_plain_tag(tag).then(|| (tag.to_owned(), values))
}

/// The conditions and key fields of a rule in a vendor's terms: one list for each statement that it
/// becomes. `None` if something cannot be said.
pub(super) fn export(
    rule: &Rule,
    dialect: Dialect,
    report: &mut Report,
) -> Option<Vec<Vec<Clause>>> {
    let mut clauses: Vec<Clause> = Vec::new();
    let mut right = true;
    for condition in &rule.conditions {
        match export_one(condition, rule, dialect, report) {
            Ok(clause) => clauses.push(clause),
            Err(what) => {
                report.refuse(&rule.at, cannot(&what));
                right = false;
            }
        }
    }
    let variants = key_clauses(rule, dialect, report)?;
    let lists: Vec<Vec<Clause>> = variants
        .into_iter()
        .map(|own| clauses.iter().cloned().chain(own).collect())
        .collect();
    for list in &lists {
        for (i, (operator, key, _)) in list.iter().enumerate() {
            let same = |(other, of, _): &Clause| other == operator && of.eq_ignore_ascii_case(key);
            if list[..i].iter().any(same) {
                let what = format!("`{operator}` would stand on `{key}` twice");
                report.refuse(&rule.at, cannot(&what));
                right = false;
            }
        }
    }
    right.then_some(lists)
}

fn export_one(
    condition: &Condition,
    rule: &Rule,
    dialect: Dialect,
    report: &mut Report,
) -> Result<Clause, String> {
    let native = &condition.key;
    let vendor = dialect.name();
    let escapes = dialect == Dialect::Aws;
    for value in &condition.values {
        if value.contains("${") && (!escapes || !is_escaped_only(value)) {
            return Err(format!(
                "variables in the values of `{native}` have no counterpart in the `{vendor}` dialect"
            ));
        }
    }
    // Tencent's only way to ask for tags.
    if let Some(tag) = native.strip_prefix(RESOURCE_TAGS[0])
        && dialect == Dialect::Tencent
    {
        let plain = condition.operator == Operator::StringEquals
            && condition.set.is_none()
            && !condition.if_exists
            && condition.values.iter().all(|value| !value.contains('&'));
        if !plain || !is_plain_tag(tag) {
            return Err(format!(
                "`{native}` can only be asked for equal values there"
            ));
        }
        let values = condition
            .values
            .iter()
            .map(|value| format!("{tag}&{value}"));
        return Ok((
            "for_any_value:string_equal".into(),
            "qcs:resource_tag".into(),
            values.collect(),
        ));
    }
    let for_all = condition.set == Some(SetOperator::ForAllValues);
    if for_all && dialect == Dialect::Aws && native.starts_with(RESOURCE_TAGS[0]) {
        return Err(empty_is_none(native));
    }
    let Some(key) = key_of(dialect, native) else {
        return Err(format!(
            "`{native}` has no counterpart in the `{vendor}` dialect"
        ));
    };
    if native == "keyward:TagKeys"
        && condition.set.is_none()
        && condition.operator != Operator::Null
    {
        return Err(format!(
            "`{native}` without a set operator means something else there"
        ));
    }
    let mut if_exists = condition.if_exists;
    if native == SECOND_FACTOR {
        // Natively it is never missing: a Deny of `false` is of permanent keys, too.
        let of_false = condition
            .values
            .iter()
            .all(|value| value.eq_ignore_ascii_case("false"));
        if_exists |= of_false && rule.effect == Effect::Deny;
        let (operator, set) = (condition.operator, condition.set);
        if !says_of_missing_factor_as_of_false(operator, set, if_exists, &condition.values) {
            return Err(format!(
                "`{}` on `{native}` with these values means something else there, where permanent keys have no \
                 `{key}`",
                condition.name()
            ));
        }
    }
    let widened;
    let condition = if if_exists == condition.if_exists {
        condition
    } else {
        widened = Condition {
            if_exists,
            ..condition.clone()
        };
        &widened
    };
    let operator = match condition.operator {
        Operator::GlobLike | Operator::GlobNotLike => {
            if !condition.values.iter().all(|value| is_plain_glob(value)) {
                return Err(format!(
                    "`{}` with `?`, `[…]` or `\\` has no counterpart",
                    condition.name()
                ));
            }
            match condition.operator {
                Operator::GlobLike => Operator::StringLike,
                _ => Operator::StringNotLike,
            }
        }
        operator => operator,
    };
    let name = operator_in(dialect, operator, condition, native, rule, report)?;
    Ok((name, key, condition.values.clone()))
}

/// The operator's name in a vendor's dialect.
fn operator_in(
    dialect: Dialect,
    operator: Operator,
    condition: &Condition,
    native: &str,
    rule: &Rule,
    report: &mut Report,
) -> Result<String, String> {
    let shown = condition.name();
    let missing = || {
        format!(
            "`{shown}` has no counterpart in the `{}` dialect",
            dialect.name()
        )
    };
    // What a missing key means to a negated operator: true natively, false to these vendors in an
    // Allow.
    let differs = condition.operator.is_negated()
        && condition.set.is_none()
        && !condition.if_exists
        && rule.effect == Effect::Allow;
    match dialect {
        Dialect::Aws => Ok(operator_name(operator, condition.set, condition.if_exists)),
        Dialect::Tencent => {
            let name = tencent_operator(operator)
                .filter(|_| operator != Operator::BinaryEquals)
                .ok_or_else(missing)?;
            let set = match condition.set {
                Some(SetOperator::ForAllValues) => "for_all_value:",
                Some(SetOperator::ForAnyValue) => "for_any_value:",
                None => "",
            };
            let suffix = if condition.if_exists || differs {
                "_if_exist"
            } else {
                ""
            };
            Ok(format!("{set}{name}{suffix}"))
        }
        _ => {
            use Operator as O;
            let lacks = matches!(
                operator,
                O::Null
                    | O::BinaryEquals
                    | O::ArnEquals
                    | O::ArnNotEquals
                    | O::ArnLike
                    | O::ArnNotLike
            );
            let several = operator == O::Bool && condition.values.len() > 1;
            if lacks || several || condition.set.is_some() || condition.if_exists {
                return Err(missing());
            }
            if differs {
                report.lose(
                    &rule.at,
                    format!("`{shown}` does not hold there where a request has no `{native}`"),
                );
            }
            Ok(operator.name().to_owned())
        }
    }
}

/// Whether the only `${` are escapes of one character.
fn is_escaped_only(value: &str) -> bool {
    let plain = ["${*}", "${?}", "${$}"]
        .iter()
        .fold(value.to_owned(), |text, escape| text.replace(escape, ""));
    !plain.contains("${")
}

/// A server glob that `StringLike` reads the same.
fn is_plain_glob(text: &str) -> bool {
    !text.contains(['?', '[', ']', '\\']) && !text.contains("${") && text.is_ascii()
}

/// The key fields as conditions on `kvdb:` keys: for an Allow one list, for a Deny one for each
/// field, since it denies by any.
fn key_clauses(rule: &Rule, dialect: Dialect, report: &mut Report) -> Option<Vec<Vec<Clause>>> {
    if !rule.has_key_fields() {
        return Some(vec![Vec::new()]);
    }
    let mut lists: Vec<Vec<String>> = Vec::new();
    for list in &rule.keys {
        let mut kept = Vec::new();
        for pattern in list {
            if is_plain_glob(pattern) {
                kept.push(pattern.clone());
                continue;
            }
            let what = format!("the key pattern `{pattern}` has no counterpart");
            if rule.effect == Effect::Allow {
                report.lose(&rule.at, what);
                continue;
            }
            report.lose(&rule.at, format!("{what}: more keys are denied"));
            let end = pattern.find(['?', '[', ']', '\\', '$']).unwrap_or(0);
            let end = end.min(pattern.find(|c: char| !c.is_ascii()).unwrap_or(end));
            kept.push(format!("{}*", pattern[..end].trim_end_matches('*')));
        }
        lists.push(kept);
    }
    let [keys, read, write, channels] = &lists[..] else {
        return None;
    };
    let (like, null) = match dialect {
        Dialect::Aws => ("StringLikeIfExists", Some("Null")),
        Dialect::Tencent => ("string_like_if_exist", Some("null_equal")),
        _ => ("StringLike", None),
    };
    if rule.effect == Effect::Deny {
        let like = if dialect == Dialect::Tencent {
            "string_like"
        } else {
            "StringLike"
        };
        let of = [
            ("kvdb:Key", keys),
            ("kvdb:ReadKey", read),
            ("kvdb:WriteKey", write),
            ("kvdb:Channel", channels),
        ];
        let variants = of
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(key, list)| vec![(like.to_owned(), key.to_owned(), list.clone())]);
        return Some(variants.collect());
    }
    let absent =
        |key: &str| null.map(|null| (null.to_owned(), key.to_owned(), vec!["true".into()]));
    let some = |key: &str, list: Vec<String>| (like.to_owned(), key.to_owned(), list);
    let mut clauses = Vec::new();
    let mut push = |key: &str, list: Vec<String>| match list.is_empty() {
        true => clauses.extend(absent(key)),
        false => clauses.push(some(key, list)),
    };
    let join = |more: &Vec<String>| [keys.clone(), more.clone()].concat();
    if dialect == Dialect::Alibaba {
        // It cannot say "where there is one": commands without keys are left out, and whatever has
        // keys has no channels.
        let only_keys = read.is_empty() && write.is_empty() && channels.is_empty();
        let only_channels = keys.is_empty() && read.is_empty() && write.is_empty();
        if !only_keys && !only_channels {
            report.refuse(
                &rule.at,
                cannot(
                    "keys by access, or keys and channels, cannot be said in the `alibaba` dialect",
                ),
            );
            return None;
        }
        report.lose(
            &rule.at,
            "commands without keys or channels, and what is no command, are left out: Alibaba has no \
             `IfExists`",
        );
        let (key, list) = match keys.is_empty() {
            false => ("kvdb:Key", keys),
            true => ("kvdb:Channel", channels),
        };
        if list.is_empty() {
            report.lose(&rule.at, "nothing is left of the statement");
            return Some(Vec::new());
        }
        push(key, list.clone());
        return Some(vec![clauses]);
    }
    if read.is_empty() && write.is_empty() {
        push("kvdb:Key", keys.clone());
    } else {
        push("kvdb:ReadKey", join(read));
        push("kvdb:WriteKey", join(write));
    }
    push("kvdb:Channel", channels.clone());
    Some(vec![clauses])
}
