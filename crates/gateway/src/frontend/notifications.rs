//! Channels on which a server tells the names of keys (`notify-keyspace-events`): who subscribes
//! to them learns keys, so the channel alone is not enough.

use keyward_commands::{Touched, resolve};
use keyward_iam::{Call, DecisionTable, Request};
use keyward_policy::Glob;

use super::handling::Namespace;

/// Why such a subscription is refused.
pub(crate) const REFUSED: &str = "key notifications tell the names of keys: `__keyspace@…__:<key>` \
    needs a command that may read the key, everything else commands that may read every key";

const PREFIXES: [&[u8]; 2] = [b"__keyspace@", b"__keyevent@"];

/// Whether a session may hear what comes on a channel or pattern, as far as it tells of keys.
pub(crate) fn may_hear(
    namespace: Namespace,
    name: &[u8],
    table: &DecisionTable,
    call: &Call<'_>,
    touched: &mut Touched,
) -> bool {
    let tells_keys = match namespace {
        Namespace::Channels => PREFIXES.iter().any(|prefix| name.starts_with(prefix)),
        Namespace::Patterns => {
            let pattern = Glob::new(name);
            PREFIXES
                .iter()
                .any(|prefix| pattern.may_overlap(&Glob::new(&[prefix, &b"*"[..]].concat())))
        }
        // Servers send notifications on ordinary channels only.
        Namespace::Shards => false,
    };
    if !tells_keys || table.holds_whole_database() {
        return true;
    }
    // What shows only some keys is no right to hear of all.
    let mut may = |words: &[&[u8]]| {
        resolve(words).is_ok_and(|command| {
            table
                .authorize(
                    &Request {
                        command,
                        words,
                        bytes: &[],
                        call: *call,
                    },
                    touched,
                )
                .is_ok_and(|permit| permit.filter().is_none())
        })
    };
    if namespace == Namespace::Channels
        && let Some(rest) = name.strip_prefix(PREFIXES[0])
        && let Some(at) = rest.windows(3).position(|part| part == b"__:")
    {
        return may(&[b"WATCH", &rest[at + 3..]]);
    }
    may(&[b"KEYS", b"*"]) || may(&[b"SCAN", b"0"])
}
