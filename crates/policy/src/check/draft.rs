//! A document as it is written, whatever is wrong with it: what can be said about a part is said
//! although another part is broken.

use std::borrow::Cow;

use crate::finding::path_name;
use crate::json::{Member, Node, Value};
use crate::{Dialect, Effect};

/// A list of texts in a statement, or one text that stands for a list of one.
#[derive(Debug, Default)]
pub(crate) struct List<'d> {
    /// The field as it is written: `Actions`, `NotAction`, `resource`.
    pub(crate) name: &'d str,
    /// Where the field's name begins.
    pub(crate) name_at: usize,
    /// Where its value begins.
    pub(crate) at: usize,
    /// The texts of it; what is no text is left out.
    pub(crate) items: Vec<Item<'d>>,
    /// It is one text and no array.
    pub(crate) is_scalar: bool,
    /// It is an array without elements.
    pub(crate) is_empty_array: bool,
}

/// One text of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'d> {
    /// Its place in the list, from 0.
    pub(crate) index: usize,
    /// Where it begins.
    pub(crate) at: usize,
    /// The text.
    pub(crate) text: &'d str,
}

impl List<'_> {
    /// Is the field there?
    pub(crate) fn is_present(&self) -> bool {
        !self.name.is_empty()
    }

    /// The path of an item below the path of its statement.
    pub(crate) fn path(&self, statement: &str, item: &Item<'_>) -> String {
        let dot = if statement.is_empty() { "" } else { "." };
        if self.is_scalar {
            format!("{statement}{dot}{}", self.name)
        } else {
            format!("{statement}{dot}{}[{}]", self.name, item.index)
        }
    }
}

/// One operator on one key.
#[derive(Debug)]
pub(crate) struct Wanted<'d> {
    /// The operator as it is written, prefix and suffix included.
    pub(crate) operator: &'d str,
    pub(crate) operator_at: usize,
    /// The condition key as it is written.
    pub(crate) key: &'d str,
    pub(crate) key_at: usize,
    /// Where the value, or the list of values, begins.
    pub(crate) at: usize,
    pub(crate) values: Vec<WantedValue<'d>>,
    pub(crate) is_scalar: bool,
}

/// One value of a condition.
#[derive(Clone, Debug)]
pub(crate) struct WantedValue<'d> {
    pub(crate) at: usize,
    /// As text, whatever it is written as.
    pub(crate) text: Cow<'d, str>,
    /// How it is written.
    pub(crate) written: Written,
}

/// How a value is written in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    String,
    Number,
    Boolean,
    Other,
}

impl Wanted<'_> {
    /// The path of a value below the path of its statement.
    pub(crate) fn path(&self, statement: &str, field: &str) -> String {
        let dot = if statement.is_empty() { "" } else { "." };
        let (operator, key) = (path_name(self.operator), path_name(self.key));
        format!("{statement}{dot}{field}.{operator}.{key}")
    }

    pub(crate) fn value_path(&self, statement: &str, field: &str, index: usize) -> String {
        let path = self.path(statement, field);
        if self.is_scalar {
            path
        } else {
            format!("{path}[{index}]")
        }
    }
}

/// Whom a vendor's statement names: one text below a kind (`AWS`, `RAM`, `qcs`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Principal<'d> {
    /// `AWS`, `Federated`, …; empty for a bare `"*"`.
    pub(crate) kind: &'d str,
    pub(crate) kind_at: usize,
    pub(crate) at: usize,
    pub(crate) text: &'d str,
}

/// A statement as it is written.
#[derive(Debug)]
pub(crate) struct Draft<'d> {
    /// Where it begins.
    pub(crate) at: usize,
    /// `[0]` or `Statement[0]`; `Statement` for one without an array around it.
    pub(crate) path: String,
    pub(crate) sid: Option<Item<'d>>,
    pub(crate) effect: Option<Effect>,
    pub(crate) actions: List<'d>,
    /// The actions are exceptions (`NotAction`).
    pub(crate) not_actions: bool,
    pub(crate) resources: List<'d>,
    /// The resources are exceptions (`NotResource`).
    pub(crate) not_resources: bool,
    pub(crate) identities: List<'d>,
    /// `Keys`, `ReadKeys`, `WriteKeys`, `Channels`, those that are there.
    pub(crate) keys: Vec<List<'d>>,
    pub(crate) principals: Vec<Principal<'d>>,
    /// The `Principal` or `NotPrincipal` element.
    pub(crate) principal: Option<&'d Member<'d>>,
    pub(crate) not_principals: bool,
    /// The element that holds the conditions.
    pub(crate) condition: Option<&'d Member<'d>>,
    pub(crate) wanted: Vec<Wanted<'d>>,
}

impl<'d> Draft<'d> {
    pub(crate) fn is(&self, effect: Effect) -> bool {
        self.effect == Some(effect)
    }

    /// The name of the element that holds the conditions.
    pub(crate) fn condition_name(&self) -> &'d str {
        self.condition.map_or("Conditions", |member| &member.name)
    }

    fn read(text: &'d str, dialect: Dialect, node: &'d Node<'d>, path: String) -> Option<Self> {
        let Value::Object(members) = &node.value else {
            return None;
        };
        let mut draft = Self {
            at: node.at,
            path,
            sid: None,
            effect: None,
            actions: List::default(),
            not_actions: false,
            resources: List::default(),
            not_resources: false,
            identities: List::default(),
            keys: Vec::new(),
            principals: Vec::new(),
            principal: None,
            not_principals: false,
            condition: None,
            wanted: Vec::new(),
        };
        for member in members {
            let name = field(dialect, &member.name);
            match name {
                "Sid" => {
                    if let Value::String(text) = &member.node.value {
                        let (index, at) = (0, member.node.at);
                        draft.sid = Some(Item { index, at, text });
                    }
                }
                "Effect" => {
                    draft.effect = match &member.node.value {
                        Value::String(text) if text.eq_ignore_ascii_case("allow") => {
                            Some(Effect::Allow)
                        }
                        Value::String(text) if text.eq_ignore_ascii_case("deny") => {
                            Some(Effect::Deny)
                        }
                        _ => None,
                    };
                }
                "Action" => draft.actions = list(member),
                "NotAction" => (draft.actions, draft.not_actions) = (list(member), true),
                "Resource" => draft.resources = list(member),
                "NotResource" => (draft.resources, draft.not_resources) = (list(member), true),
                "Identities" => draft.identities = list(member),
                "Keys" | "ReadKeys" | "WriteKeys" | "Channels" => draft.keys.push(list(member)),
                "Principal" | "NotPrincipal" => {
                    draft.principals = principals(member);
                    draft.principal = Some(member);
                    draft.not_principals = name == "NotPrincipal";
                }
                "Condition" => {
                    draft.condition = Some(member);
                    draft.wanted = wanted(text, member);
                }
                _ => {}
            }
        }
        Some(draft)
    }
}

/// One word for what the dialects call differently.
fn field(dialect: Dialect, name: &str) -> &str {
    match (dialect, name) {
        (Dialect::Native, "Actions") => "Action",
        (Dialect::Native, "Resources") => "Resource",
        (Dialect::Native, "Conditions") => "Condition",
        (Dialect::Native, "Action" | "Resource" | "Condition") => "",
        (Dialect::Tencent, name) => {
            const NAMES: [&str; 5] = ["Effect", "Action", "Resource", "Principal", "Condition"];
            let known = NAMES
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(name));
            known.unwrap_or("")
        }
        (_, name) => name,
    }
}

/// Most statements that are looked at as they are written: more than a document with all fields in each has
/// room for.
const MAX_STATEMENTS: usize = 20_000;

/// The statements of a document, where they can be made out.
pub(crate) fn statements<'d>(
    text: &'d str,
    dialect: Dialect,
    node: &'d Node<'d>,
) -> Vec<Draft<'d>> {
    let (name, body) = match &node.value {
        Value::Array(_) => ("", node),
        Value::Object(members) => {
            let found = members
                .iter()
                .find(|member| member.name.eq_ignore_ascii_case("statement"));
            match found {
                Some(member) => (&*member.name, &member.node),
                None => return Vec::new(),
            }
        }
        _ => return Vec::new(),
    };
    match &body.value {
        Value::Array(nodes) => {
            let read = |(i, node)| Draft::read(text, dialect, node, format!("{name}[{i}]"));
            let drafts = nodes.iter().enumerate().filter_map(read);
            drafts.take(MAX_STATEMENTS).collect()
        }
        _ => Draft::read(text, dialect, body, name.to_owned())
            .into_iter()
            .collect(),
    }
}

fn list<'d>(member: &'d Member<'d>) -> List<'d> {
    let mut list = List {
        name: &member.name,
        name_at: member.name_at,
        at: member.node.at,
        ..List::default()
    };
    let mut add = |index, node: &'d Node<'d>| {
        if let Value::String(text) = &node.value {
            let at = node.at;
            list.items.push(Item { index, at, text });
        }
    };
    match &member.node.value {
        Value::Array(nodes) => {
            nodes
                .iter()
                .enumerate()
                .for_each(|(index, node)| add(index, node));
            list.is_empty_array = nodes.is_empty();
        }
        _ => {
            add(0, &member.node);
            list.is_scalar = true;
        }
    }
    list
}

fn principals<'d>(member: &'d Member<'d>) -> Vec<Principal<'d>> {
    let mut found = Vec::new();
    let mut add = |kind: &'d str, kind_at, node: &'d Node<'d>| {
        if let Value::String(text) = &node.value {
            found.push(Principal {
                kind,
                kind_at,
                at: node.at,
                text,
            });
        }
    };
    let mut add_all = |kind: &'d str, kind_at, node: &'d Node<'d>| match &node.value {
        Value::Array(nodes) => nodes.iter().for_each(|node| add(kind, kind_at, node)),
        _ => add(kind, kind_at, node),
    };
    match &member.node.value {
        Value::Object(kinds) => {
            for kind in kinds {
                add_all(&kind.name, kind.name_at, &kind.node);
            }
        }
        _ => add_all("", member.name_at, &member.node),
    }
    found
}

fn wanted<'d>(text: &'d str, member: &'d Member<'d>) -> Vec<Wanted<'d>> {
    let Value::Object(operators) = &member.node.value else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for operator in operators {
        let Value::Object(keys) = &operator.node.value else {
            continue;
        };
        for key in keys {
            let (nodes, is_scalar) = match &key.node.value {
                Value::Array(nodes) => (nodes.as_slice(), false),
                _ => (std::slice::from_ref(&key.node), true),
            };
            found.push(Wanted {
                operator: &operator.name,
                operator_at: operator.name_at,
                key: &key.name,
                key_at: key.name_at,
                at: key.node.at,
                values: nodes.iter().map(|node| value(text, node)).collect(),
                is_scalar,
            });
        }
    }
    found
}

fn value<'d>(text: &'d str, node: &'d Node<'d>) -> WantedValue<'d> {
    let token = || Cow::Borrowed(text.get(node.at..token_end(text, node.at)).unwrap_or(""));
    let (text, written) = match &node.value {
        Value::String(text) => (Cow::Borrowed(&**text), Written::String),
        Value::Number(_) => (token(), Written::Number),
        Value::Null | Value::Array(_) | Value::Object(_) => (Cow::Borrowed(""), Written::Other),
        _ => (token(), Written::Boolean),
    };
    WantedValue {
        at: node.at,
        text,
        written,
    }
}

/// Where the JSON value, or the name, that begins at an offset ends; the next character's end where
/// nothing of that kind stands there.
pub(crate) fn token_end(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    match bytes.get(at) {
        None => text.len(),
        Some(b'"') => string_end(bytes, at),
        Some(b'{' | b'[') => {
            let (mut depth, mut next) = (0_usize, at);
            while let Some(byte) = bytes.get(next) {
                match byte {
                    b'"' => {
                        next = string_end(bytes, next);
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                next += 1;
                if depth == 0 {
                    break;
                }
            }
            next
        }
        Some(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+') => {
            let is_part =
                |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
            let rest = bytes[at..].iter().take_while(|byte| is_part(byte));
            at + rest.count()
        }
        Some(_) => {
            let next = (at + 1..=text.len()).find(|end| text.is_char_boundary(*end));
            next.unwrap_or(text.len())
        }
    }
}

fn string_end(bytes: &[u8], open: usize) -> usize {
    let mut next = open + 1;
    while let Some(byte) = bytes.get(next) {
        match byte {
            b'"' => return next + 1,
            b'\\' => next += 2,
            _ => next += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_tokens() {
        let cases = [
            (r#""a\"b" x"#, 6),
            (r#"{"a]": [1, "}"]} x"#, 16),
            ("true, false", 4),
            ("-1.5e+3]", 7),
            ("\"open", 5),
            ("\"open\\", 6),
            ("[1, [2]", 7),
            (",", 1),
            ("é", 2),
            ("", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(token_end(text, 0), expected, "{text}");
        }
        assert_eq!(token_end("x", 9), 1);
    }
}
