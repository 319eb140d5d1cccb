//! What an action in a policy document means: a name, a name with a `*` at its end, or a set.

use crate::actions::{ActionBits, ActionId, action, execute_actions, sorted};
use crate::catalogue::generated::CONTAINERS;
use crate::command::{Categories, category};
use crate::lists;

/// The services that actions belong to.
const SERVICES: [&str; 4] = ["kvdb", "iam", "sts", "org"];

/// Longest text of an action that is worth looking for names near it, in bytes.
const MAX_NEAR: usize = 64;

/// Why the text of an action means nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ActionPatternError {
    /// No action has that name, or none begins so.
    Unknown {
        /// The text.
        found: String,
        /// Up to three names near it, the nearest first.
        nearest: Vec<&'static str>,
    },
    /// A `*` that is not the last byte.
    WildcardNotAtEnd {
        /// Its place in the text, in bytes from 0.
        at: usize,
    },
    /// A command that cannot run without a subcommand.
    Container {
        /// What is probably meant: `kvdb:ExecuteConfig*`.
        suggestion: String,
    },
    /// No set has that name.
    UnknownSet {
        /// The text.
        found: String,
        /// Up to three sets near it, the nearest first.
        nearest: Vec<&'static str>,
    },
    /// What stands before the colon is no service.
    UnknownService {
        /// The text.
        found: String,
        /// The service that is probably meant.
        nearest: Option<&'static str>,
    },
    /// Not `<service>:<name>`.
    Malformed {
        /// The text.
        found: String,
        /// What is probably meant.
        suggestion: Option<String>,
    },
}

impl std::error::Error for ActionPatternError {}

impl std::fmt::Display for ActionPatternError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let suggest = |f: &mut std::fmt::Formatter<'_>, names: &[&str]| match names {
            [] => Ok(()),
            [one] => write!(f, ": did you mean `{one}`?"),
            [rest @ .., last] => {
                write!(f, ": did you mean `{}` or `{last}`?", rest.join("`, `"))
            }
        };
        match self {
            Self::Unknown { found, nearest } => {
                write!(f, "unknown action `{}`", shown(found))?;
                suggest(f, nearest)
            }
            Self::WildcardNotAtEnd { at } => {
                write!(
                    f,
                    "`*` may stand only at the end of an action, not at byte {at}"
                )
            }
            Self::Container { suggestion } => {
                let name = suggestion.trim_end_matches('*');
                write!(
                    f,
                    "`{name}` is no action, its subcommands are: did you mean `{suggestion}`?"
                )
            }
            Self::UnknownSet { found, nearest } => {
                write!(f, "unknown action set `{}`", shown(found))?;
                suggest(f, nearest)
            }
            Self::UnknownService { found, nearest } => {
                let services = SERVICES.join("`, `");
                write!(
                    f,
                    "unknown service in `{}`, services are `{services}`",
                    shown(found)
                )?;
                suggest(f, nearest.as_slice())
            }
            Self::Malformed { found, suggestion } => {
                write!(
                    f,
                    "`{}` is not of the form `<service>:<name>`",
                    shown(found)
                )?;
                suggest(f, suggestion.as_deref().as_slice())
            }
        }
    }
}

/// At most 80 characters of what was found, without control characters.
fn shown(found: &str) -> String {
    let mut text: String = found
        .chars()
        .take(80)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    if found.chars().nth(80).is_some() {
        text.push('…');
    }
    text
}

/// The actions that a text in a policy document means: `kvdb:ExecuteGet`, `kvdb:Execute*`, `kvdb:*`,
/// `*`, `kvdb:@read`. Letter case counts.
///
/// # Errors
///
/// If the text means nothing in this catalogue. The message says what is probably meant.
pub fn action_pattern(text: &str) -> Result<ActionBits, ActionPatternError> {
    if text == "*" {
        return Ok(ActionId::all().collect());
    }
    let Some((service, name)) = text.split_once(':') else {
        return Err(ActionPatternError::Malformed {
            found: text.to_owned(),
            suggestion: with_service(text),
        });
    };
    if !SERVICES.contains(&service) {
        return Err(ActionPatternError::UnknownService {
            found: text.to_owned(),
            nearest: near(service, SERVICES.into_iter(), 1).first().copied(),
        });
    }
    if name.starts_with('@') {
        return match action_sets().find(|(known, _)| *known == text) {
            Some((_, bits)) => Ok(bits),
            None => Err(ActionPatternError::UnknownSet {
                found: text.to_owned(),
                nearest: near(text, action_sets().map(|(known, _)| known), 3),
            }),
        };
    }
    if let Some(at) = text.find('*').filter(|at| at + 1 < text.len()) {
        return Err(ActionPatternError::WildcardNotAtEnd { at });
    }
    let bits: ActionBits = match text.strip_suffix('*') {
        Some(prefix) => {
            let names = sorted();
            let from = names.partition_point(|(known, _)| *known < prefix);
            let begin_so = names[from..]
                .iter()
                .take_while(|(known, _)| known.starts_with(prefix));
            begin_so.map(|(_, id)| *id).collect()
        }
        None => action(text).into_iter().collect(),
    };
    if bits.is_empty() {
        Err(unknown(text))
    } else {
        Ok(bits)
    }
}

/// Why a well-formed text names no action.
fn unknown(text: &str) -> ActionPatternError {
    let container = |name: &&&str| {
        text.strip_prefix("kvdb:")
            .map(|rest| rest.strip_prefix("Execute").unwrap_or(rest))
            .is_some_and(|rest| rest.eq_ignore_ascii_case(name))
    };
    if let Some(name) = CONTAINERS.iter().find(container) {
        let suggestion = format!(
            "kvdb:Execute{}{}*",
            name[..1].to_ascii_uppercase(),
            &name[1..]
        );
        return ActionPatternError::Container { suggestion };
    }
    let service = text.split_inclusive(':').next().unwrap_or_default();
    let sets = action_sets().map(|(known, _)| known);
    let set = |known: &&str| Some(&text[service.len()..]) == known.strip_prefix("kvdb:@");
    let nearest = if text
        .trim_end_matches('*')
        .eq_ignore_ascii_case("kvdb:Execute")
    {
        vec!["kvdb:Execute*"]
    } else if let Some(set) = sets.filter(|_| service == "kvdb:").find(set) {
        vec![set]
    } else {
        let names = sorted().iter().map(|(known, _)| *known);
        let names = names.filter(|known| known.starts_with(service));
        near(text.trim_end_matches('*'), names, 3)
    };
    ActionPatternError::Unknown {
        found: text.to_owned(),
        nearest,
    }
}

/// What a text without a service probably means.
fn with_service(text: &str) -> Option<String> {
    if text.len() > MAX_NEAR {
        return None;
    }
    let bare = text.trim_end_matches('*');
    if SERVICES.contains(&bare) {
        return Some(format!("{bare}:*"));
    }
    let set = text.strip_prefix('@').unwrap_or(text).to_ascii_lowercase();
    let sets = action_sets().map(|(known, _)| known);
    if let Some(known) = sets
        .into_iter()
        .find(|known| known.strip_prefix("kvdb:@") == Some(&set))
    {
        return Some(known.to_owned());
    }
    let same = |known: &&str| {
        let name = known.split_once(':').map_or(*known, |(_, name)| name);
        name.eq_ignore_ascii_case(text)
            || name
                .strip_prefix("Execute")
                .is_some_and(|rest| rest.eq_ignore_ascii_case(text))
    };
    let known = sorted().iter().map(|(known, _)| *known).find(same);
    known
        .or_else(|| {
            near(text, sorted().iter().map(|(known, _)| *known), 1)
                .first()
                .copied()
        })
        .map(str::to_owned)
}

/// Every action set with its actions: those of the server's ACL categories, `kvdb:@all`, and our own,
/// [`lists::DELETE`] and [`lists::FLUSH`].
pub fn action_sets() -> impl Iterator<Item = (&'static str, ActionBits)> {
    /// Names as documents have them.
    static SETS: &[(&str, ActionBits)] = &[
        (
            "kvdb:@keyspace",
            ActionBits::in_category(category::C_KEYSPACE),
        ),
        ("kvdb:@read", ActionBits::in_category(category::C_READ)),
        ("kvdb:@write", ActionBits::in_category(category::C_WRITE)),
        ("kvdb:@set", ActionBits::in_category(category::C_SET)),
        (
            "kvdb:@sortedset",
            ActionBits::in_category(category::C_SORTEDSET),
        ),
        ("kvdb:@list", ActionBits::in_category(category::C_LIST)),
        ("kvdb:@hash", ActionBits::in_category(category::C_HASH)),
        ("kvdb:@string", ActionBits::in_category(category::C_STRING)),
        ("kvdb:@bitmap", ActionBits::in_category(category::C_BITMAP)),
        (
            "kvdb:@hyperloglog",
            ActionBits::in_category(category::C_HYPERLOGLOG),
        ),
        ("kvdb:@geo", ActionBits::in_category(category::C_GEO)),
        ("kvdb:@stream", ActionBits::in_category(category::C_STREAM)),
        ("kvdb:@pubsub", ActionBits::in_category(category::C_PUBSUB)),
        ("kvdb:@admin", ActionBits::in_category(category::C_ADMIN)),
        ("kvdb:@fast", ActionBits::in_category(category::C_FAST)),
        ("kvdb:@slow", ActionBits::in_category(category::C_SLOW)),
        (
            "kvdb:@blocking",
            ActionBits::in_category(category::C_BLOCKING),
        ),
        (
            "kvdb:@dangerous",
            ActionBits::in_category(category::C_DANGEROUS),
        ),
        (
            "kvdb:@connection",
            ActionBits::in_category(category::C_CONNECTION),
        ),
        (
            "kvdb:@transaction",
            ActionBits::in_category(category::C_TRANSACTION),
        ),
        (
            "kvdb:@scripting",
            ActionBits::in_category(category::C_SCRIPTING),
        ),
        (
            "kvdb:@delete",
            ActionBits::listed(lists::DELETE).union(&ActionBits::listed(lists::FLUSH)),
        ),
        ("kvdb:@flush", ActionBits::listed(lists::FLUSH)),
    ];
    debug_assert_eq!(SETS.len(), Categories::all().count() + 2);
    let all = std::iter::once(("kvdb:@all", execute_actions().clone()));
    all.chain(SETS.iter().map(|(name, bits)| (*name, bits.clone())))
}

/// Up to `most` of the names that are near a text, the nearest first.
///
/// Letter case, the service and `Execute` count for little: people forget them.
fn near(text: &str, names: impl Iterator<Item = &'static str>, most: usize) -> Vec<&'static str> {
    if text.len() > MAX_NEAR {
        return Vec::new();
    }
    let core = core(text);
    let limit = (core.len() / 3).clamp(1, 3);
    let mut found: Vec<(usize, bool, &str)> = names
        .map(|name| {
            let begins = name.len() > text.len() && name.starts_with(text);
            (self::core(name), !begins, name)
        })
        .filter(|(known, _, _)| known.len().abs_diff(core.len()) <= limit)
        .map(|(known, begins, name)| (distance(&core, &known), begins, name))
        .filter(|(distance, _, _)| *distance <= limit)
        .collect();
    found.sort_unstable();
    found
        .into_iter()
        .take(most)
        .map(|(_, _, name)| name)
        .collect()
}

/// What counts of a name: in lower case, without service and `Execute`.
fn core(name: &str) -> Vec<u8> {
    let name = name
        .split_once(':')
        .map_or(name, |(_, rest)| rest)
        .to_ascii_lowercase();
    let name = name
        .strip_prefix("execute")
        .filter(|rest| !rest.is_empty())
        .unwrap_or(&name);
    name.trim_start_matches('@').as_bytes().to_vec()
}

/// How many bytes must be inserted, deleted, replaced or swapped with the next to make `b` of `a`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let width = b.len() + 1;
    let mut before = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    for (row, &x) in a.iter().enumerate() {
        let mut now = vec![row + 1; width];
        for (column, &y) in b.iter().enumerate() {
            let kept = last[column] + usize::from(x != y);
            now[column + 1] = kept.min(last[column + 1] + 1).min(now[column] + 1);
            if row > 0 && column > 0 && x == b[column - 1] && a[row - 1] == y {
                now[column + 1] = now[column + 1].min(before[column - 1] + 1);
            }
        }
        before = std::mem::replace(&mut last, now);
    }
    last[b.len()]
}
