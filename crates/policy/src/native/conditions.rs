//! The reader's part for `Conditions`.

use super::Reader;
use crate::Dialect;
use crate::condition::{
    Clause, ConditionKey, Conditions, Fact, FactKind, NATIVE_NAMES, Operator, SetOperator,
};
use crate::finding::{Code, path_name, quoted};
use crate::json::{Member, Node, Value};
use crate::nearest::suggestion;
use crate::template::Template;

impl<'d> Reader<'d, '_> {
    /// Operator, then key, then value or list of values.
    pub(super) fn conditions(&mut self, member: &'d Member<'d>, path: &str) -> Option<Conditions> {
        let path = format!("{path}.Conditions");
        let example = "as in `{\"IpAddress\": {\"keyward:SourceIp\": \"10.0.0.0/8\"}}`";
        let operators = self.object(&member.node, &path, "an object of operators", example)?;
        let mut clauses = Vec::new();
        for operator in operators {
            let path = format!("{path}.{}", path_name(&operator.name));
            let found = parse_operator(&operator.name);
            if found.is_none() {
                self.unknown_operator(operator, &path);
            }
            let keys = self.object(
                &operator.node,
                &path,
                "an object of condition keys",
                example,
            );
            for key in keys.unwrap_or_default() {
                if self.findings.is_full() {
                    return None;
                }
                let path = format!("{path}.{}", path_name(&key.name));
                let name = self.condition_key(key, &path);
                let values = self.condition_values(&key.node, &path);
                if let (Some(found), Some(name), Some(values)) = (found, name, values) {
                    clauses.extend(self.clause(found, name, key, values, &path));
                }
            }
        }
        Some(Conditions::new(clauses))
    }

    fn object(
        &mut self,
        node: &'d Node<'d>,
        path: &str,
        expected: &str,
        example: &str,
    ) -> Option<&'d [Member<'d>]> {
        match &node.value {
            Value::Object(members) if members.is_empty() => {
                let message =
                    format!("the object is empty: write {expected} {example}, or leave it out");
                self.add(node.at, Code::EmptyArray, path, message);
                None
            }
            Value::Object(members) => Some(members),
            other => {
                let found = other.describe();
                let message = format!("expected {expected} {example}, found {found}");
                self.add(node.at, Code::WrongType, path, message);
                None
            }
        }
    }

    fn unknown_operator(&mut self, operator: &Member<'_>, path: &str) {
        let plain = operator
            .name
            .rsplit_once(':')
            .map_or(&*operator.name, |(_, name)| name);
        let plain = plain.strip_suffix("IfExists").unwrap_or(plain);
        let names: Vec<&'static str> = Operator::ALL.iter().map(|o| o.name()).collect();
        let near = suggestion(plain, &names);
        let message = format!(
            "unknown condition operator {}{near}",
            quoted(&operator.name)
        );
        self.add(operator.name_at, Code::Operator, path, message);
    }

    fn condition_key(&mut self, key: &Member<'_>, path: &str) -> Option<ConditionKey> {
        let name = ConditionKey::new(Dialect::Native, &key.name);
        if *name.fact() == Fact::Other {
            let message = unknown_key(&key.name);
            self.add(key.name_at, Code::ConditionKey, path, message);
            return None;
        }
        Some(name)
    }

    /// Numbers and booleans count as the text that stands for them.
    fn condition_values(&mut self, node: &'d Node<'d>, path: &str) -> Option<Vec<(usize, String)>> {
        let scalar = |node: &Node<'_>| match &node.value {
            Value::String(text) => Ok(text.clone().into_owned()),
            Value::Number(text) => Ok((*text).to_owned()),
            Value::Boolean(truth) => Ok(truth.to_string()),
            other => Err(other.describe()),
        };
        let nodes = match &node.value {
            Value::Array(nodes) if nodes.is_empty() => {
                let message = "the array is empty: name a value";
                self.add(node.at, Code::EmptyArray, path, message);
                return None;
            }
            Value::Array(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let several = matches!(node.value, Value::Array(_));
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
                    let message =
                        format!("expected a string, a number or a boolean, found {found}");
                    self.add(value.at, Code::WrongType, path, message);
                }
            }
        }
        (values.len() == nodes.len()).then_some(values)
    }

    fn clause(
        &mut self,
        (set, operator, if_exists): (Option<SetOperator>, Operator, bool),
        name: ConditionKey,
        key: &Member<'_>,
        values: Vec<(usize, String)>,
        path: &str,
    ) -> Option<Clause> {
        if let Some(message) = misfit(operator, &name) {
            self.add(key.name_at, Code::Operator, path, message);
            return None;
        }
        let several = matches!(key.node.value, Value::Array(_));
        let place = |i: usize| {
            if several {
                format!("{path}[{i}]")
            } else {
                path.to_owned()
            }
        };
        let mut templates = Vec::with_capacity(values.len());
        for (i, (at, text)) in values.iter().enumerate() {
            match Template::parse(Dialect::Native, text) {
                Ok(template) if self.known_variables(*at, &template, &|| place(i)) => {
                    templates.push(template);
                }
                Ok(_) => return None,
                Err(error) => {
                    self.add(*at, Code::Variable, place(i), error.to_string());
                    return None;
                }
            }
        }
        match Clause::new(Dialect::Native, operator, set, if_exists, name, templates) {
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

    /// Whether all variables are native condition keys that a policy may put in.
    pub(super) fn known_variables(
        &mut self,
        at: usize,
        template: &Template,
        path: &dyn Fn() -> String,
    ) -> bool {
        for key in template.variables() {
            if *key.fact() == Fact::Other {
                let message = unknown_key(key.name());
                self.add(at, Code::Variable, path(), message);
                return false;
            }
            if key.fact().is_of_command() {
                let message = format!(
                    "`{}` is of the command itself: a variable speaks of who asks, from where, and of what",
                    key.name()
                );
                self.add(at, Code::Variable, path(), message);
                return false;
            }
        }
        true
    }
}

fn unknown_key(name: &str) -> String {
    let names: Vec<&'static str> = NATIVE_NAMES.iter().map(|(name, _)| *name).collect();
    let own = |name: &str| {
        name.split_once(':')
            .map(|(_, own)| own.to_ascii_lowercase())
    };
    // `aws:SourceIp` is called like one of ours.
    let alike = || names.iter().find(|known| own(known) == own(name));
    let near = if name.ends_with("Tag/") {
        ": the name of the tag follows the `/`".to_owned()
    } else if let Some(known) = alike().filter(|_| name.contains(':')) {
        format!(": did you mean `{known}`?")
    } else {
        suggestion(name, &names)
    };
    format!("unknown condition key {}{near}", quoted(name))
}

/// What is wrong with the name of a condition key that looks like a native one and is none.
pub fn unknown_native_key(name: &str) -> Option<String> {
    let native = name.starts_with("keyward:") || name.starts_with("kvdb:");
    let key = ConditionKey::new(crate::Dialect::Native, name);
    (native && *key.fact() == Fact::Other).then(|| unknown_key(name))
}

/// `ForAllValues:StringLikeIfExists` in its parts.
fn parse_operator(name: &str) -> Option<(Option<SetOperator>, Operator, bool)> {
    let (set, name) = match name.split_once(':') {
        Some(("ForAllValues", name)) => (Some(SetOperator::ForAllValues), name),
        Some(("ForAnyValue", name)) => (Some(SetOperator::ForAnyValue), name),
        Some(_) => return None,
        None => (None, name),
    };
    if let Some(operator) = Operator::by_name(name) {
        return Some((set, operator, false));
    }
    let operator = Operator::by_name(name.strip_suffix("IfExists")?)?;
    Some((set, operator, true))
}

/// Why an operator cannot compare what the key is, if it cannot.
pub(crate) fn misfit(operator: Operator, key: &ConditionKey) -> Option<String> {
    let (compares, is) = (compares(operator), describe(key.fact().kind()));
    let fits = fits(operator, key.fact());
    (!fits).then(|| {
        format!(
            "`{operator}` compares {compares}, and `{}` is {is}",
            key.name()
        )
    })
}

/// Whether an operator can compare what the key is. Tags may hold anything.
fn fits(operator: Operator, fact: &Fact) -> bool {
    use Operator as O;
    let tag = matches!(
        fact,
        Fact::PrincipalTag(_) | Fact::ResourceTag(_) | Fact::SessionTag(_) | Fact::RequestTag(_)
    );
    let kind = fact.kind();
    tag || match operator {
        O::NumericEquals
        | O::NumericNotEquals
        | O::NumericLessThan
        | O::NumericLessThanEquals
        | O::NumericGreaterThan
        | O::NumericGreaterThanEquals => kind == FactKind::Number,
        O::DateEquals
        | O::DateNotEquals
        | O::DateLessThan
        | O::DateLessThanEquals
        | O::DateGreaterThan
        | O::DateGreaterThanEquals => kind == FactKind::Time || *fact == Fact::EpochTime,
        O::Bool => kind == FactKind::Boolean,
        O::IpAddress | O::NotIpAddress => kind == FactKind::Address,
        O::GlobLike | O::GlobNotLike => kind == FactKind::Text,
        O::Null => true,
        // As text a moment would have to be looked at again and again.
        _ => kind != FactKind::Time && *fact != Fact::EpochTime,
    }
}

fn compares(operator: Operator) -> &'static str {
    match operator.name().as_bytes()[0] {
        b'N' if operator.name().starts_with("Numeric") => "numbers",
        b'D' => "dates",
        b'I' | b'N' => "addresses",
        b'B' => "truth values",
        _ => "text",
    }
}

fn describe(kind: FactKind) -> &'static str {
    match kind {
        FactKind::Text => "text",
        FactKind::Number => "a number",
        FactKind::Time => "a date",
        FactKind::Address => "an address",
        FactKind::Boolean => "a truth value",
    }
}
