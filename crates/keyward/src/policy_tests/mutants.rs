//! Documents changed in one place, as a mistake would change them.

use serde_json::{Map, Value};

use super::file::Document;

/// Elements of one list that are taken out one by one.
const MAX_ELEMENTS: usize = 64;

/// A changed document.
#[derive(Debug)]
pub(crate) struct Mutant {
    pub(crate) statement: usize,
    pub(crate) change: String,
    pub(crate) text: String,
    /// Whether the whole statement is gone.
    pub(crate) removes: bool,
}

/// Fields that hold lists of which one element can be missing.
const LISTS: [&str; 13] = [
    "Actions",
    "Action",
    "NotAction",
    "Resources",
    "Resource",
    "NotResource",
    "Identities",
    "Principal",
    "NotPrincipal",
    "Keys",
    "ReadKeys",
    "WriteKeys",
    "Channels",
];

/// Fields that limit keys and channels.
const KEYS: [&str; 4] = ["Keys", "ReadKeys", "WriteKeys", "Channels"];

/// The names of fields are the same in every letter case: Tencent's documents use small letters.
fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<(&'a String, &'a Value)> {
    object
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// The statements of a document, and where they stand in it: behind a field, or as the whole.
fn statements(document: &Value) -> Option<(Option<String>, Vec<Value>)> {
    match document {
        Value::Array(items) => Some((None, items.clone())),
        Value::Object(object) => {
            let (name, value) = field(object, "Statement")?;
            let items = match value {
                Value::Array(items) => items.clone(),
                one => vec![one.clone()],
            };
            Some((Some(name.clone()), items))
        }
        _ => None,
    }
}

fn parse(document: &Document) -> Option<Value> {
    serde_json::from_str(&document.text).ok()
}

/// The name of each statement. None at all for a document that has no statements (ACL rules).
pub(crate) fn sids(document: &Document) -> Vec<Option<String>> {
    let Some((_, statements)) = parse(document).as_ref().and_then(self::statements) else {
        return Vec::new();
    };
    let sid = |statement: &Value| {
        let (_, sid) = field(statement.as_object()?, "Sid")?;
        Some(sid.as_str()?.to_owned())
    };
    statements.iter().map(sid).collect()
}

/// Bytes of changed forms of one document that are tried, at most: each is read as a whole.
pub(crate) const MAX_BYTES: usize = 64 << 20;

/// Gives the changed forms of a document, as many as have these bytes, and returns how many are left.
pub(crate) fn each(document: &Document, bytes: usize, mut give: impl FnMut(&Mutant)) -> usize {
    let Some(whole) = parse(document) else {
        return 0;
    };
    let Some((place, statements)) = self::statements(&whole) else {
        return 0;
    };
    let (mut left, mut left_out) = (bytes, 0);
    let with = |statements: Vec<Value>| -> String {
        let mut changed = whole.clone();
        match (&mut changed, &place) {
            (Value::Object(object), Some(name)) => {
                object.insert(name.clone(), Value::Array(statements));
            }
            (changed, _) => *changed = Value::Array(statements),
        }
        changed.to_string()
    };
    for (number, statement) in statements.iter().enumerate() {
        let mut changed = vec![("it is removed".to_owned(), None)];
        let object = statement.as_object();
        let more = object.into_iter().flat_map(changes);
        changed.extend(more.map(|(change, object)| (change, Some(object))));
        for (change, changed) in changed {
            let Some(rest) = left.checked_sub(document.text.len()) else {
                left_out += 1;
                continue;
            };
            left = rest;
            let mut other = statements.clone();
            let removes = changed.is_none();
            match changed {
                Some(object) => other[number] = Value::Object(object),
                None => drop(other.remove(number)),
            }
            give(&Mutant {
                statement: number,
                change,
                text: with(other),
                removes,
            });
        }
    }
    left_out
}

/// One statement, changed in each of the ways.
fn changes(statement: &Map<String, Value>) -> Vec<(String, Map<String, Value>)> {
    let mut all = Vec::new();
    let mut change = |text: String, name: &str, value: Option<Value>| {
        let mut changed = statement.clone();
        match value {
            Some(value) => changed.insert(name.to_owned(), value),
            None => changed.remove(name),
        };
        all.push((text, changed));
    };
    if let Some((name, Value::String(effect))) = field(statement, "Effect") {
        let flipped = match effect.as_str() {
            "Allow" => Some("Deny"),
            "allow" => Some("deny"),
            "Deny" => Some("Allow"),
            "deny" => Some("allow"),
            _ => None,
        };
        if let Some(flipped) = flipped {
            let text = format!("its effect is {flipped}");
            change(text, name, Some(flipped.into()));
        }
    }
    for key in KEYS {
        if let Some((name, value)) = field(statement, key)
            && *value != Value::from(vec!["*"])
        {
            let text = format!("its {name} are `*`");
            change(text, name, Some(vec!["*"].into()));
        }
    }
    for list in LISTS {
        if let Some((name, Value::Array(items))) = field(statement, list)
            && items.len() > 1
        {
            for (n, item) in items.iter().take(MAX_ELEMENTS).enumerate() {
                let mut fewer = items.clone();
                fewer.remove(n);
                let shown = item
                    .as_str()
                    .map_or_else(|| item.to_string(), str::to_owned);
                let text = format!("`{shown}` is missing in its {name}");
                change(text, name, Some(fewer.into()));
            }
        }
    }
    for conditions in ["Conditions", "Condition"] {
        let Some((name, Value::Object(operators))) = field(statement, conditions) else {
            continue;
        };
        let clauses = operators
            .values()
            .filter_map(Value::as_object)
            .map(Map::len)
            .sum::<usize>();
        if clauses < 2 {
            change("its condition is missing".to_owned(), name, None);
            continue;
        }
        for (operator, keys) in operators {
            for key in keys.as_object().into_iter().flat_map(Map::keys) {
                let mut fewer = operators.clone();
                let left = fewer.get_mut(operator).and_then(Value::as_object_mut);
                let empty = left.is_some_and(|left| {
                    left.remove(key);
                    left.is_empty()
                });
                if empty {
                    fewer.remove(operator);
                }
                let text = format!("its condition {operator} on `{key}` is missing");
                change(text, name, Some(Value::Object(fewer)));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_changed() {
        let document = |text: &str| Document {
            label: String::new(),
            dialect: None,
            text: text.to_owned(),
        };
        let changes = |text: &str| -> Vec<String> {
            let mut all = Vec::new();
            let left_out = each(&document(text), MAX_BYTES, |mutant| {
                all.push(format!("{} {}", mutant.statement, mutant.change));
            });
            assert_eq!(left_out, 0);
            all
        };
        assert_eq!(
            changes(
                r#"[{"Effect":"Allow","Actions":["a","b"],"Keys":["k"],
                     "Conditions":{"Bool":{"x":"true"},"StringLike":{"y":"1","z":"2"}}},
                    {"Effect":"Deny","Actions":["a"],"Keys":["*"]}]"#
            ),
            [
                "0 it is removed",
                "0 its effect is Deny",
                "0 its Keys are `*`",
                "0 `a` is missing in its Actions",
                "0 `b` is missing in its Actions",
                "0 its condition Bool on `x` is missing",
                "0 its condition StringLike on `y` is missing",
                "0 its condition StringLike on `z` is missing",
                "1 it is removed",
                "1 its effect is Allow",
            ]
        );
        assert_eq!(
            changes(
                r#"{"version":"2.0","statement":{"effect":"allow","action":"*","condition":{"ip_equal":{"qcs:ip":"10.0.0.0/8"}}}}"#
            ),
            [
                "0 it is removed",
                "0 its effect is deny",
                "0 its condition is missing"
            ]
        );
        assert_eq!(changes("on ~* +@all"), [""; 0]);
        let text = r#"[{"Effect":"Allow","Actions":["a"]}]"#;
        let mut tried = 0;
        let left_out = each(&document(text), text.len(), |_| tried += 1);
        assert_eq!((tried, left_out), (1, 1), "what is left is counted");
        let sids = sids(&document(r#"{"Statement":[{"Sid":"A"},{}]}"#));
        assert_eq!(sids, [Some("A".to_owned()), None]);
    }
}
