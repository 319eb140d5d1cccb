//! The line of a command whose arguments are what a request says they are: `SET k v EX 10`.

use keyward_commands::{CommandId, Limit};

use super::call::Call;
use super::request::{FactValue, Request};
use crate::Number;
use crate::condition::Fact;

/// Longest value that is written out, in bytes.
const MAX_VALUE: i64 = 65_536;

/// Lines that are kept from one argument to the next.
const KEPT: usize = 8;

impl Request {
    /// The command as a client sends it, with the arguments that the request speaks of, found by
    /// trying. `None` if the action is no command's, if it is an enumeration and a key that it shows,
    /// or if no line was found: an argument that no line has, or a digest.
    pub fn line(&self) -> Option<Vec<Vec<u8>>> {
        let (call, id) = (self.call.as_ref()?, self.action.command()?);
        if call.shows {
            return None;
        }
        let mut lines = vec![call.words.clone()];
        for (_, key, value) in &self.facts.0 {
            let fact = key.fact();
            let number = match (fact, value) {
                (Fact::ScriptSha256, FactValue::Texts(_)) => return None,
                (
                    Fact::TtlSeconds | Fact::ValueBytes | Fact::Count | Fact::BlockingSeconds,
                    FactValue::Number(number),
                ) => *number,
                _ => continue,
            };
            let mut found = Vec::new();
            for line in &lines {
                for changed in variants(line, number, fact) {
                    if argument(fact, id, &changed) == Some(number)
                        && is_same_call(call, id, &changed)
                    {
                        found.push(changed);
                        if found.len() == KEPT {
                            break;
                        }
                    }
                }
            }
            found.truncate(KEPT);
            lines = found;
        }
        // An argument that was found may have been lost to the next.
        lines.into_iter().find(|line| {
            self.facts.0.iter().all(|(_, key, value)| match value {
                FactValue::Number(number) => {
                    argument(key.fact(), id, line).is_none_or(|found| found == *number)
                }
                _ => true,
            })
        })
    }
}

/// What an argument of a line is to conditions; `None` for facts that are no arguments, or absent.
pub(super) fn argument(fact: &Fact, id: CommandId, line: &[Vec<u8>]) -> Option<Number> {
    let (limit, thousandths) = match fact {
        Fact::TtlSeconds => (keyward_commands::ttl(id, line, 0), true),
        Fact::ValueBytes => (keyward_commands::value_bytes(id, line), false),
        Fact::Count => (keyward_commands::count(id, line), false),
        Fact::BlockingSeconds => (keyward_commands::blocking(id, line), true),
        _ => return None,
    };
    match limit {
        Limit::Absent => None,
        Limit::Infinite => Some(Number::INFINITE),
        Limit::At(number) if thousandths => Some(Number::milli(number)),
        Limit::At(number) => Some(Number::from_i64(number)),
    }
}

/// Whether a line is a call of the same command that touches the same.
fn is_same_call(call: &Call, id: CommandId, line: &[Vec<u8>]) -> bool {
    keyward_commands::resolve(line) == Ok(id)
        && id.command().arity_fits(line.len())
        && Call::of_words(id, line.to_vec()).is_some_and(|other| {
            Call {
                words: Vec::new(),
                ..other
            } == Call {
                words: Vec::new(),
                ..call.clone()
            }
        })
}

/// A line, and what it may be with an argument that is a number, the plainest first.
fn variants(line: &[Vec<u8>], number: Number, fact: &Fact) -> Vec<Vec<Vec<u8>>> {
    let mut all = vec![line.to_vec()];
    let text = |text: String| text.into_bytes();
    let mut texts: Vec<Vec<u8>> = vec![b"0".to_vec(), b"-1".to_vec()];
    let mut tails: Vec<Vec<Vec<u8>>> = Vec::new();
    if let Some(milli) = number.to_milli() {
        if *fact == Fact::ValueBytes {
            let len = (milli / 1000).clamp(0, MAX_VALUE);
            texts = vec![vec![b'v'; usize::try_from(len).unwrap_or_default()]];
        } else {
            let whole = text(number.to_string());
            let thousandths = text(milli.to_string());
            let last = text((milli / 1000 - 1).to_string());
            for (word, value) in [("EX", &whole), ("PX", &thousandths), ("COUNT", &whole)] {
                tails.push(vec![word.into(), value.clone()]);
            }
            tails.push(vec!["BLOCK".into(), thousandths.clone()]);
            tails.push(vec!["LIMIT".into(), "0".into(), whole.clone()]);
            texts = vec![whole, thousandths, last];
        }
    }
    for at in 1..line.len() {
        for text in &texts {
            let mut changed = line.to_vec();
            changed[at].clone_from(text);
            // A range from its beginning.
            if at > 1 && *fact == Fact::Count {
                let mut range = changed.clone();
                range[at - 1] = b"0".to_vec();
                all.push(range);
            }
            all.push(changed);
        }
    }
    for at in (1..=line.len()).rev() {
        for tail in &tails {
            let mut changed = line.to_vec();
            changed.splice(at..at, tail.iter().cloned());
            all.push(changed);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConditionKey, Dialect};

    /// A line, what is said of its arguments, and the line that has them.
    type Row<'a> = (&'a str, &'a [(&'a str, Number)], Option<&'a str>);

    #[test]
    fn lines_have_what_is_said_of_them() {
        let infinite = Number::INFINITE;
        let n = |milli: i64| Number::milli(milli);
        let cases: &[Row<'_>] = &[
            (
                "SET k v",
                &[("kvdb:TtlSeconds", n(10_000))],
                Some("SET k v EX 10"),
            ),
            (
                "SET k v",
                &[("kvdb:TtlSeconds", n(10_500))],
                Some("SET k v PX 10500"),
            ),
            ("SET k v", &[("kvdb:TtlSeconds", infinite)], Some("SET k v")),
            (
                "SET k v",
                &[
                    ("kvdb:TtlSeconds", n(10_000)),
                    ("kvdb:ValueBytes", n(3_000)),
                ],
                Some("SET k vvv EX 10"),
            ),
            (
                "SETEX k 5 v",
                &[("kvdb:TtlSeconds", n(10_000))],
                Some("SETEX k 10 v"),
            ),
            (
                "EXPIRE k 5",
                &[("kvdb:TtlSeconds", n(60_000))],
                Some("EXPIRE k 60"),
            ),
            (
                "PEXPIRE k 5",
                &[("kvdb:TtlSeconds", n(60_000))],
                Some("PEXPIRE k 60000"),
            ),
            (
                "GETEX k",
                &[("kvdb:TtlSeconds", n(60_000))],
                Some("GETEX k EX 60"),
            ),
            (
                "SCAN 0",
                &[("kvdb:Count", n(50_000))],
                Some("SCAN 0 COUNT 50"),
            ),
            (
                "LRANGE l 0 0",
                &[("kvdb:Count", n(50_000))],
                Some("LRANGE l 0 49"),
            ),
            (
                "BLPOP l 1",
                &[("kvdb:BlockingSeconds", n(5_000))],
                Some("BLPOP l 5"),
            ),
            (
                "BLPOP l 1",
                &[("kvdb:BlockingSeconds", infinite)],
                Some("BLPOP l 0"),
            ),
            (
                "XREAD STREAMS s 0",
                &[("kvdb:BlockingSeconds", n(5_000))],
                Some("XREAD BLOCK 5000 STREAMS s 0"),
            ),
            ("GET k", &[("kvdb:DatabaseIndex", n(1_000))], Some("GET k")),
            ("GET k", &[("kvdb:TtlSeconds", n(1_000))], None),
        ];
        for (line, facts, expected) in cases {
            let words = |line: &str| line.split(' ').map(Into::into).collect::<Vec<Vec<u8>>>();
            let facts = facts.iter().map(|(name, number)| {
                let key = ConditionKey::new(Dialect::Native, name);
                (key, FactValue::Number(*number))
            });
            let request =
                Request::of_command(words(line), "org/a/kvdb/x", None, facts.collect()).unwrap();
            let found = request.line();
            assert_eq!(found, expected.map(words), "{line}");
        }
    }
}
