//! Statements in the native dialect's terms, as text: what every translation passes through.

use std::fmt::Write as _;

use super::Report;
use crate::condition::{Operator, SetOperator};
use crate::finding::Collector;
use crate::json::{self, Member, Value};
use crate::{Effect, Policy, PolicyKind, Statement};

/// The key fields' names, in their order in a [`Rule`].
pub(super) const KEY_FIELDS: [&str; 4] = ["Keys", "ReadKeys", "WriteKeys", "Channels"];

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Where it stood in the source, for messages.
    pub(super) at: String,
    pub(super) sid: Option<String>,
    pub(super) effect: Effect,
    pub(super) actions: Vec<String>,
    pub(super) resources: Vec<String>,
    /// `Keys`, `ReadKeys`, `WriteKeys`, `Channels`; none of them: no field at all.
    pub(super) keys: [Vec<String>; 4],
    pub(super) conditions: Vec<Condition>,
}

/// One clause: native key, values as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) operator: Operator,
    pub(super) set: Option<SetOperator>,
    pub(super) if_exists: bool,
    pub(super) key: String,
    pub(super) values: Vec<String>,
}

impl Condition {
    pub(super) fn name(&self) -> String {
        operator_name(self.operator, self.set, self.if_exists)
    }
}

/// As AWS and the native dialect write it.
pub(super) fn operator_name(
    operator: Operator,
    set: Option<SetOperator>,
    if_exists: bool,
) -> String {
    let set = match set {
        Some(SetOperator::ForAllValues) => "ForAllValues:",
        Some(SetOperator::ForAnyValue) => "ForAnyValue:",
        None => "",
    };
    let if_exists = if if_exists { "IfExists" } else { "" };
    format!("{set}{}{if_exists}", operator.name())
}

impl Rule {
    pub(super) fn has_key_fields(&self) -> bool {
        self.keys.iter().any(|list| !list.is_empty())
    }

    /// The rule without its key fields and conditions, compiled.
    pub(super) fn compiled(&self, organisation: &str) -> Option<Statement> {
        let bare = Self {
            keys: Default::default(),
            conditions: Vec::new(),
            sid: None,
            ..self.clone()
        };
        let text = write(&[bare]);
        let policy = crate::native::read(&text, PolicyKind::Identity, organisation).ok()?;
        policy.statements().first().cloned()
    }
}

/// The rules of a native document, patterns as they were written.
pub(super) fn of_native(policy: &Policy, report: &mut Report) -> Vec<Rule> {
    let mut findings = Collector::default();
    let Some(node) = json::parse(policy.text(), &mut findings) else {
        report.refuse("the document", "it cannot be read again");
        return Vec::new();
    };
    let nodes = match &node.value {
        Value::Array(nodes) => nodes,
        Value::Object(members) => match members.iter().find(|m| m.name == "Statement") {
            Some(Member { node, .. }) => match &node.value {
                Value::Array(nodes) => nodes,
                _ => return Vec::new(),
            },
            None => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    let mut rules = Vec::with_capacity(nodes.len());
    for (node, statement) in nodes.iter().zip(policy.statements()) {
        let Value::Object(members) = &node.value else {
            continue;
        };
        let list = |name: &str| -> Vec<String> {
            let Some(member) = members.iter().find(|member| member.name == name) else {
                return Vec::new();
            };
            let Value::Array(nodes) = &member.node.value else {
                return Vec::new();
            };
            let text = |node: &json::Node<'_>| match &node.value {
                Value::String(text) => Some(text.clone().into_owned()),
                _ => None,
            };
            nodes.iter().filter_map(text).collect()
        };
        rules.push(Rule {
            at: place(statement),
            sid: statement.sid.as_deref().map(str::to_owned),
            effect: statement.effect,
            actions: list("Actions"),
            resources: list("Resources"),
            keys: KEY_FIELDS.map(list),
            conditions: statement
                .conditions
                .iter()
                .flat_map(|conditions| conditions.clauses())
                .map(|clause| Condition {
                    operator: clause.operator,
                    set: clause.set,
                    if_exists: clause.if_exists,
                    key: clause.key.name().to_owned(),
                    values: clause
                        .values()
                        .iter()
                        .map(|v| v.text().to_owned())
                        .collect(),
                })
                .collect(),
        });
    }
    rules
}

/// Where a statement stands.
pub(super) fn place(statement: &Statement) -> String {
    match &statement.sid {
        Some(sid) => format!("statement `{sid}` (line {})", statement.line),
        None => format!("the statement of line {}", statement.line),
    }
}

/// A native document of these rules.
pub(super) fn write(rules: &[Rule]) -> String {
    let mut out = String::from("[");
    for (i, rule) in rules.iter().enumerate() {
        out += if i == 0 { "\n" } else { ",\n" };
        let mut fields = Fields::new("  ");
        if let Some(sid) = &rule.sid {
            fields.text("Sid", sid);
        }
        fields.text(
            "Effect",
            if rule.effect == Effect::Allow {
                "Allow"
            } else {
                "Deny"
            },
        );
        fields.list("Actions", &rule.actions);
        fields.list("Resources", &rule.resources);
        for (name, list) in KEY_FIELDS.iter().zip(&rule.keys) {
            if !list.is_empty() {
                fields.list(name, list);
            }
        }
        if !rule.conditions.is_empty() {
            let clauses = rule
                .conditions
                .iter()
                .map(|c| (c.name(), c.key.clone(), c.values.clone()));
            fields.conditions("Conditions", clauses.collect());
        }
        out += &fields.finish();
    }
    out += if rules.is_empty() { "]\n" } else { "\n]\n" };
    out
}

/// The members of one statement, as JSON.
pub(super) struct Fields {
    indent: &'static str,
    members: Vec<String>,
}

impl Fields {
    pub(super) fn new(indent: &'static str) -> Self {
        Self {
            indent,
            members: Vec::new(),
        }
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.members
            .push(format!("{}: {}", quote(name), quote(value)));
    }

    pub(super) fn list(&mut self, name: &str, values: &[String]) {
        self.members
            .push(format!("{}: {}", quote(name), array(values)));
    }

    /// Operator, key, values; what has the same operator stands under it.
    pub(super) fn conditions(&mut self, name: &str, clauses: Vec<(String, String, Vec<String>)>) {
        let mut operators: Vec<(String, Vec<String>)> = Vec::new();
        for (operator, key, values) in clauses {
            let member = format!("{}: {}", quote(&key), array(&values));
            match operators.iter_mut().find(|(known, _)| *known == operator) {
                Some((_, members)) => members.push(member),
                None => operators.push((operator, vec![member])),
            }
        }
        let operators: Vec<String> = operators
            .into_iter()
            .map(|(operator, members)| format!("{}: {{{}}}", quote(&operator), members.join(", ")))
            .collect();
        self.members
            .push(format!("{}: {{{}}}", quote(name), operators.join(", ")));
    }

    pub(super) fn finish(self) -> String {
        let between = format!(",\n{}  ", self.indent);
        format!("{}{{ {} }}", self.indent, self.members.join(&between))
    }
}

fn array(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| quote(value)).collect();
    format!("[{}]", values.join(", "))
}

pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
