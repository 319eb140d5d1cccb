//! How the catalogue grew: what a policy that was written earlier could not know.

use crate::actions::{ActionBits, action};
use crate::patterns::action_pattern;

/// The version of the catalogue. Grows by one with every release that adds an action, or adds one
/// to an action set.
pub const CATALOGUE_VERSION: u32 = 3;

/// What one version added.
struct Growth {
    version: u32,
    /// Actions that were not there before.
    actions: &'static [&'static str],
    /// Actions that were there, by the set that they came into.
    sets: &'static [(&'static str, &'static [&'static str])],
}

/// What each version after the first added, in order.
static HISTORY: &[Growth] = &[
    Growth {
        version: 2,
        actions: &["org:Tag"],
        sets: &[],
    },
    Growth {
        version: 3,
        actions: &[
            "iam:TagOrgUser",
            "iam:TagIdentityProvider",
            "iam:ListSession",
            "iam:RevokeSession",
        ],
        sets: &[],
    },
];

/// What a text in a policy document (see [`action_pattern`]) means today and did not mean in an
/// earlier version of the catalogue. A single action never grows. Empty for a text without meaning.
#[must_use]
pub fn grown(text: &str, since: u32) -> ActionBits {
    let single = !text.ends_with('*') && !text.contains('@');
    let Ok(today) = action_pattern(text) else {
        return ActionBits::EMPTY;
    };
    let mut more = ActionBits::EMPTY;
    if single {
        return more;
    }
    for growth in HISTORY.iter().filter(|growth| growth.version > since) {
        let into_set = growth.sets.iter().filter(|(set, _)| *set == text);
        let names = into_set.flat_map(|(_, names)| names.iter());
        for name in growth.actions.iter().chain(names) {
            if let Some(action) = action(name).filter(|action| today.contains(*action)) {
                more.insert(action);
            }
        }
    }
    more
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patterns::action_sets;

    /// A number that changes with the names of actions and the contents of action sets.
    fn catalogue_fingerprint() -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |text: &str| {
            for byte in text.bytes().chain([0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        let sorted = |bits: &ActionBits| {
            let mut names: Vec<&str> = bits.iter().map(|action| action.name()).collect();
            names.sort_unstable();
            names
        };
        sorted(&crate::ActionId::all().collect())
            .into_iter()
            .for_each(&mut add);
        for (set, bits) in action_sets() {
            add(set);
            sorted(&bits).into_iter().for_each(&mut add);
        }
        hash
    }

    /// A catalogue that changed needs a version: else nobody is told that a policy has grown.
    #[test]
    fn every_change_of_the_catalogue_has_a_version() {
        const FINGERPRINT: u64 = 2_993_881_357_184_545_036;
        assert_eq!(
            catalogue_fingerprint(),
            FINGERPRINT,
            "the catalogue changed: add what is new to `HISTORY` as a further version (or to the last \
             one, if it was not released yet), and write the new fingerprint here"
        );
    }

    #[test]
    fn the_history_is_in_order_and_known() {
        let mut last = 1;
        for growth in HISTORY {
            assert_eq!(growth.version, last + 1);
            last = growth.version;
            for name in growth.actions {
                assert!(action(name).is_some(), "{name}");
            }
            for (set, names) in growth.sets {
                let bits = action_pattern(set).unwrap();
                for name in *names {
                    assert!(bits.contains(action(name).unwrap()), "{set} {name}");
                }
            }
        }
        assert_eq!(last, CATALOGUE_VERSION);
    }

    #[test]
    fn what_has_grown() {
        let grown = |text| {
            let bits = grown(text, 1);
            bits.iter().map(|action| action.name()).collect::<Vec<_>>()
        };
        assert_eq!(grown("org:*"), ["org:Tag"]);
        assert_eq!(grown("*")[0], "org:Tag");
        assert_eq!(grown("*").len(), 5);
        assert_eq!(grown("org:Tag"), [""; 0]);
        assert_eq!(grown("kvdb:*"), [""; 0]);
        assert_eq!(super::grown("*", CATALOGUE_VERSION), ActionBits::EMPTY);
    }
}
