//! The readers' part for conditions.

use std::collections::HashSet;

use super::Reader;
use crate::Dialect;
use crate::condition::{Clause, ConditionKey, Conditions, Fact, Operator, SetOperator};
use crate::finding::{Code, path_name, quoted};
use crate::json::{Member, Node, Value};
use crate::nearest::suggestion;
use crate::template::Template;

/// Tencent's operators. `string_like` stands in older material only, and means what it says.
const TENCENT_OPERATORS: &[(&str, Operator)] = &[
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
    // Tencent compares the text, letter case included.
    ("binary_equal", Operator::StringEquals),
    ("ip_equal", Operator::IpAddress),
    ("ip_not_equal", Operator::NotIpAddress),
    ("null_equal", Operator::Null),
];

/// The name of an operator in Tencent's documents; `None` for what it does not have.
pub(crate) fn tencent_operator(operator: Operator) -> Option<&'static str> {
    TENCENT_OPERATORS
        .iter()
        .find(|(_, own)| *own == operator)
        .map(|(name, _)| *name)
}

/// An operator with what stands around it.
type Parts = (Option<SetOperator>, Operator, bool);

impl<'d> Reader<'d, '_> {
    /// Operator, then key, then value or list of values. `None` if something is wrong.
    pub(super) fn conditions(
        &mut self,
        member: &'d Member<'d>,
        path: &str,
    ) -> Option<Option<Conditions>> {
        let path = format!("{path}.{}", member.name);
        let example = match self.dialect {
            Dialect::Tencent => r#"{"ip_equal": {"qcs:ip": "10.0.0.0/8"}}"#,
            Dialect::Alibaba => r#"{"IpAddress": {"acs:SourceIp": "10.0.0.0/8"}}"#,
            _ => r#"{"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#,
        };
        // Nothing is asked by an empty block.
        let operators = match &member.node.value {
            Value::Object(operators) => operators,
            other => {
                let message = format!(
                    "expected an object of operators as in `{example}`, found {}",
                    other.describe()
                );
                self.add(member.node.at, Code::WrongType, path, message);
                return None;
            }
        };
        let mut clauses = Vec::new();
        let mut right = true;
        for operator in operators {
            let path = format!("{path}.{}", path_name(&operator.name));
            let parts = match parse_operator(self.dialect, &operator.name) {
                Ok(parts) => Some(parts),
                Err(message) => {
                    self.add(operator.name_at, Code::Operator, path.clone(), message);
                    None
                }
            };
            let Value::Object(keys) = &operator.node.value else {
                let message = format!(
                    "expected an object of condition keys as in `{example}`, found {}",
                    operator.node.value.describe()
                );
                self.add(operator.node.at, Code::WrongType, path, message);
                right = false;
                continue;
            };
            let mut seen: HashSet<String> = HashSet::new();
            for key in keys {
                if self.findings.is_full() {
                    return None;
                }
                let path = format!("{path}.{}", path_name(&key.name));
                let name = ConditionKey::new(self.dialect, &key.name);
                if !seen.insert(name.folded().to_owned()) {
                    let message = format!(
                        "{} stands twice under this operator: letter case does not count",
                        quoted(&key.name)
                    );
                    self.add(key.name_at, Code::DuplicateName, path.clone(), message);
                    right = false;
                }
                let known = self.check_key(key, &name, &path);
                let values = self.condition_values(&key.node, &path);
                let (Some(parts), true, Some(values)) = (parts, known, values) else {
                    right = false;
                    continue;
                };
                match self.clause(parts, name, key, &values, &path) {
                    Some(clause) => clauses.push(clause),
                    None => right = false,
                }
            }
        }
        if !right {
            return None;
        }
        Some((!clauses.is_empty()).then(|| Conditions::new(clauses)))
    }

    /// Whether the key has the form of one. Vendors' keys need not be known; Keyward's own must.
    fn check_key(&mut self, key: &Member<'_>, name: &ConditionKey, path: &str) -> bool {
        let text = &*key.name;
        let prefixed = text
            .split_once(':')
            .is_some_and(|(prefix, rest)| !prefix.is_empty() && !rest.is_empty());
        let own = text
            .get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case("kvdb:"));
        let message = if text.starts_with("keyward:") {
            format!(
                "{} is a key of the native dialect: write this dialect's own, such as `{}`",
                quoted(text),
                match self.dialect {
                    Dialect::Tencent => "qcs:ip",
                    Dialect::Alibaba => "acs:SourceIp",
                    _ => "aws:SourceIp",
                }
            )
        } else if own && *name.fact() == Fact::Other {
            let names: Vec<&'static str> = ConditionKey::native_names()
                .filter(|name| name.starts_with("kvdb:"))
                .collect();
            let near = suggestion(text, &names);
            format!("unknown condition key {}{near}", quoted(text))
        } else if !prefixed && self.dialect != Dialect::Tencent || text.is_empty() {
            format!(
                "{} is no condition key: write `<prefix>:<name>`",
                quoted(text)
            )
        } else if text.contains(['*', '?', '$']) || text.contains(char::is_control) {
            format!("{} is no condition key: it is written out", quoted(text))
        } else {
            return true;
        };
        self.add(key.name_at, Code::ConditionKey, path, message);
        false
    }

    fn condition_values(&mut self, node: &'d Node<'d>, path: &str) -> Option<Vec<(usize, String)>> {
        let strings_only = self.dialect == Dialect::Alibaba;
        let scalar = |node: &Node<'_>| match &node.value {
            Value::String(text) => Ok(text.clone().into_owned()),
            Value::Number(text) if !strings_only => Ok((*text).to_owned()),
            Value::Boolean(truth) if !strings_only => Ok(truth.to_string()),
            other => Err(other.describe()),
        };
        let (nodes, several) = match &node.value {
            Value::Array(nodes) if nodes.is_empty() => {
                let message = "the array is empty: name a value";
                self.add(node.at, Code::EmptyArray, path, message);
                return None;
            }
            Value::Array(nodes) => (nodes.as_slice(), true),
            _ => (std::slice::from_ref(node), false),
        };
        let mut values = Vec::with_capacity(nodes.len());
        for (i, value) in nodes.iter().enumerate() {
            match scalar(value) {
                Ok(text) => values.push((value.at, text)),
                Err(found) => {
                    let path = if several {
                        format!("{path}[{i}]")
                    } else {
                        path.to_owned()
                    };
                    let message = match strings_only {
                        true => format!(
                            "expected a string, found {found}: Alibaba quotes every value, as in \
                             `\"true\"`"
                        ),
                        false => format!("expected a string, a number or a boolean, found {found}"),
                    };
                    self.add(value.at, Code::WrongType, path, message);
                }
            }
        }
        (values.len() == nodes.len()).then_some(values)
    }

    fn clause(
        &mut self,
        (set, operator, if_exists): Parts,
        name: ConditionKey,
        key: &Member<'_>,
        values: &[(usize, String)],
        path: &str,
    ) -> Option<Clause> {
        let several = matches!(key.node.value, Value::Array(_));
        let place = |i: usize| {
            if several {
                format!("{path}[{i}]")
            } else {
                path.to_owned()
            }
        };
        if let Some(message) = self.tag_rule((set, operator, if_exists), &name, values) {
            self.add(key.name_at, Code::Operator, path, message);
            return None;
        }
        if self.dialect == Dialect::Alibaba && operator == Operator::Bool && values.len() > 1 {
            let message = "several values under `Bool`: Alibaba takes one";
            self.add(key.node.at, Code::ConditionValue, path, message);
            return None;
        }
        let mut templates = Vec::with_capacity(values.len());
        for (i, (at, text)) in values.iter().enumerate() {
            let template = match self.variables {
                true => Template::parse(self.dialect, text),
                false => Ok(Template::literal(&written(self.dialect, operator, text))),
            };
            match template {
                Ok(template) if self.dialect == Dialect::Tencent && template.is_fixed() => {
                    templates.push(Template::literal(&written(self.dialect, operator, text)));
                }
                Ok(template) => templates.push(template),
                Err(error) => {
                    self.add(*at, Code::Variable, place(i), error.to_string());
                    return None;
                }
            }
        }
        match Clause::new(self.dialect, operator, set, if_exists, name, templates) {
            Ok(clause) => Some(clause),
            Err(error) => {
                let (at, path) = match error.value {
                    Some(i) => (values.get(i).map_or(key.name_at, |(at, _)| *at), place(i)),
                    None => (key.node.at, path.to_owned()),
                };
                self.add(at, Code::ConditionValue, path, error.message);
                None
            }
        }
    }

    /// Tencent checks tags by one operator only, as `key&value` in one text.
    fn tag_rule(
        &self,
        parts: Parts,
        name: &ConditionKey,
        values: &[(usize, String)],
    ) -> Option<String> {
        let pairs = matches!(name.fact(), Fact::ResourceTagPairs | Fact::RequestTagPairs);
        if self.dialect != Dialect::Tencent || !pairs {
            return None;
        }
        let key = name.name();
        if parts
            != (
                Some(SetOperator::ForAnyValue),
                Operator::StringEquals,
                false,
            )
        {
            return Some(format!(
                "`{key}` is compared with `for_any_value:string_equal` only"
            ));
        }
        let whole = |(_, text): &(usize, String)| text.split('&').count() == 2;
        let wrong = values.iter().find(|value| !whole(value))?;
        Some(format!(
            "{} is no tag: write `<key>&<value>`, with one `&`",
            quoted(&wrong.1)
        ))
    }
}

/// A value as it is compared: Tencent also writes dates with a blank.
fn written(dialect: Dialect, operator: Operator, text: &str) -> String {
    let date = operator.name().starts_with("Date");
    let blank = date && text.len() == 19 && text.as_bytes().get(10) == Some(&b' ');
    match dialect == Dialect::Tencent && blank {
        true => format!("{}Z", text.replacen(' ', "T", 1)),
        false => text.to_owned(),
    }
}

/// Reads the name of an operator; the error is what is wrong with it.
fn parse_operator(dialect: Dialect, name: &str) -> Result<Parts, String> {
    let shown = quoted(name);
    match dialect {
        Dialect::Tencent => {
            let (set, rest) = match name.split_once(':') {
                Some(("for_all_value", rest)) => (Some(SetOperator::ForAllValues), rest),
                Some(("for_any_value", rest)) => (Some(SetOperator::ForAnyValue), rest),
                Some(_) => {
                    return Err(format!(
                        "unknown set operator in {shown}: `for_any_value:` or `for_all_value:`"
                    ));
                }
                None => (None, name),
            };
            let find = |name: &str| {
                let found = TENCENT_OPERATORS.iter().find(|(own, _)| *own == name);
                found.map(|(_, operator)| *operator)
            };
            if let Some(operator) = find(rest) {
                return Ok((set, operator, false));
            }
            match rest.strip_suffix("_if_exist").map(find) {
                Some(Some(Operator::Null)) => Err("`null_equal` stands without `_if_exist`".into()),
                Some(Some(operator)) => Ok((set, operator, true)),
                _ => {
                    let names: Vec<&'static str> =
                        TENCENT_OPERATORS.iter().map(|(name, _)| *name).collect();
                    let plain = rest.strip_suffix("_if_exists");
                    let near = match plain {
                        Some(plain) => format!(": did you mean `{plain}_if_exist`?"),
                        None => suggestion(rest, &names),
                    };
                    Err(format!("unknown condition operator {shown}{near}"))
                }
            }
        }
        Dialect::Alibaba => {
            use Operator as O;
            let (base, extra) = match name.split_once(':') {
                Some((_, base)) => (base, true),
                None => (name, name.ends_with("IfExists")),
            };
            if extra && O::by_name(base.strip_suffix("IfExists").unwrap_or(base)).is_some() {
                return Err(format!(
                    "{shown}: Alibaba has neither `IfExists` nor set operators"
                ));
            }
            let lacks = [
                O::BinaryEquals,
                O::ArnEquals,
                O::ArnNotEquals,
                O::ArnLike,
                O::ArnNotLike,
                O::Null,
                O::GlobLike,
                O::GlobNotLike,
            ];
            match O::by_name(name) {
                Some(operator) if lacks.contains(&operator) => {
                    Err(format!("{shown} is no operator of Alibaba's"))
                }
                Some(operator) => Ok((None, operator, false)),
                None => Err(unknown(name, name, &lacks)),
            }
        }
        _ => {
            let (set, rest) = match name.split_once(':') {
                Some(("ForAllValues", rest)) => (Some(SetOperator::ForAllValues), rest),
                Some(("ForAnyValue", rest)) => (Some(SetOperator::ForAnyValue), rest),
                Some(_) => {
                    return Err(format!(
                        "unknown set operator in {shown}: `ForAnyValue:` or `ForAllValues:`"
                    ));
                }
                None => (None, name),
            };
            let own = [Operator::GlobLike, Operator::GlobNotLike];
            let (plain, if_exists) = match Operator::by_name(rest) {
                Some(_) => (rest, false),
                None => (rest.strip_suffix("IfExists").unwrap_or(rest), true),
            };
            match Operator::by_name(plain) {
                Some(operator) if own.contains(&operator) => Err(format!(
                    "{shown} is an operator of the native dialect: write `StringLike`"
                )),
                Some(operator) => Ok((set, operator, if_exists)),
                None => Err(unknown(name, plain, &own)),
            }
        }
    }
}

fn unknown(name: &str, plain: &str, lacks: &[Operator]) -> String {
    let names: Vec<&'static str> = Operator::ALL
        .iter()
        .filter(|operator| !lacks.contains(operator))
        .map(|operator| operator.name())
        .collect();
    let near = suggestion(plain, &names);
    format!("unknown condition operator {}{near}", quoted(name))
}
