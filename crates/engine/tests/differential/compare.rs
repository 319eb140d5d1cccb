//! How two replies to the same command are compared.

use crate::generator::Words;
use keyward_resp::Value;

/// What of a reply must be equal.
pub(crate) enum Comparison {
    /// Everything.
    Exact,
    /// Everything but the order of the elements.
    AnyOrder,
    /// Everything but the order of the pairs.
    AnyOrderOfPairs,
    /// Numbers may differ by so much: time passes between the two.
    Within(i64),
    /// Only kind and length.
    Shape,
    /// Kind and length; what is chosen is in the listing.
    RandomChoice { listing: Words, distinct: bool },
    /// Kind and length; what is taken is gone.
    RandomRemoval,
    /// An iteration; the cursor is at this word.
    Iteration { cursor: usize, pairs: bool },
}

impl Comparison {
    pub(crate) fn of(words: &Words) -> Self {
        let name = String::from_utf8_lossy(&words[0]).to_uppercase();
        let listing = |text: &str, tail: &[&str]| {
            let mut listing = vec![text.as_bytes().to_vec()];
            listing.extend(words.get(1).cloned());
            listing.extend(tail.iter().map(|word| word.as_bytes().to_vec()));
            listing
        };
        let has = |option: &str| {
            words
                .iter()
                .any(|word| word.eq_ignore_ascii_case(option.as_bytes()))
        };
        let negative = words.get(2).is_some_and(|count| count.starts_with(b"-"));
        let distinct = words.len() == 3 && !negative;
        match name.as_str() {
            "KEYS" | "SMEMBERS" | "SUNION" | "SINTER" | "SDIFF" | "HKEYS" | "HVALS" => {
                Self::AnyOrder
            }
            "HGETALL" => Self::AnyOrderOfPairs,
            "TTL" | "EXPIRETIME" => Self::Within(1),
            "PTTL" | "PEXPIRETIME" => Self::Within(1500),
            // Each side has forms of its own for the same value.
            "TIME" | "DUMP" => Self::Shape,
            "RANDOMKEY" => Self::RandomChoice {
                listing: vec![b"KEYS".to_vec(), b"*".to_vec()],
                distinct: false,
            },
            "SRANDMEMBER" => Self::RandomChoice {
                listing: listing("SMEMBERS", &[]),
                distinct,
            },
            "HRANDFIELD" => Self::RandomChoice {
                listing: listing("HGETALL", &[]),
                distinct,
            },
            "ZRANDMEMBER" => Self::RandomChoice {
                listing: listing("ZRANGE", &["0", "-1", "WITHSCORES"]),
                distinct,
            },
            "SPOP" => Self::RandomRemoval,
            "SCAN" => Self::Iteration {
                cursor: 1,
                pairs: false,
            },
            "SSCAN" => Self::Iteration {
                cursor: 2,
                pairs: false,
            },
            "HSCAN" => Self::Iteration {
                cursor: 2,
                pairs: !has("NOVALUES"),
            },
            "ZSCAN" => Self::Iteration {
                cursor: 2,
                pairs: !has("NOSCORES"),
            },
            _ => Self::Exact,
        }
    }

    /// Place of the cursor, if the command iterates and has that many words.
    pub(crate) fn cursor_word(&self) -> Option<usize> {
        match self {
            Self::Iteration { cursor, .. } => Some(*cursor),
            _ => None,
        }
    }

    pub(crate) fn same(&self, server: &Value, engine: &Value) -> Result<(), &'static str> {
        let same = match self {
            _ if matches!(server, Value::Error(_)) => server == engine,
            Self::Exact => server == engine,
            Self::AnyOrder | Self::Iteration { pairs: false, .. } => {
                sorted(server, 1) == sorted(engine, 1)
            }
            Self::AnyOrderOfPairs | Self::Iteration { pairs: true, .. } => {
                sorted(server, 2) == sorted(engine, 2)
            }
            Self::Within(tolerance) => match (server, engine) {
                (Value::Integer(s), Value::Integer(e)) if *s > 0 => (s - e).abs() <= *tolerance,
                _ => server == engine,
            },
            Self::Shape | Self::RandomChoice { .. } | Self::RandomRemoval => {
                shape(server) == shape(engine)
            }
        };
        same.then_some(()).ok_or("another reply")
    }
}

/// A collection as its kind and its elements, in groups, in order.
fn sorted(value: &Value, group: usize) -> (&'static str, Vec<Vec<String>>) {
    let print = |value: &Value| format!("{value:?}");
    let (kind, mut groups): (_, Vec<Vec<String>>) = match value {
        Value::Array(all) => (
            "array",
            all.chunks(group)
                .map(|g| g.iter().map(print).collect())
                .collect(),
        ),
        Value::Set(all) => (
            "set",
            all.chunks(group)
                .map(|g| g.iter().map(print).collect())
                .collect(),
        ),
        Value::Map(all) => (
            "map",
            all.iter().map(|(k, v)| vec![print(k), print(v)]).collect(),
        ),
        other => ("other", vec![vec![print(other)]]),
    };
    groups.sort();
    (kind, groups)
}

/// Kinds and lengths, without contents.
fn shape(value: &Value) -> String {
    match value {
        Value::Array(all) => format!("array{:?}", all.iter().map(shape).collect::<Vec<_>>()),
        Value::Set(all) => format!("set{:?}", all.iter().map(shape).collect::<Vec<_>>()),
        Value::Bulk(_) => "bulk".to_owned(),
        Value::Double(_) => "double".to_owned(),
        other => format!("{other:?}"),
    }
}

/// All strings and numbers in a reply.
pub(crate) fn leaves(value: &Value) -> Vec<Vec<u8>> {
    match value {
        Value::Array(all) | Value::Set(all) => all.iter().flat_map(leaves).collect(),
        Value::Map(all) => all
            .iter()
            .flat_map(|(k, v)| [leaves(k), leaves(v)].concat())
            .collect(),
        Value::Bulk(bytes) => vec![bytes.clone()],
        Value::Double(number) => vec![number.to_string().into_bytes()],
        _ => Vec::new(),
    }
}
