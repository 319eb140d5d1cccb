//! Effects that can be had in several ways: a Deny of one leaves the others.

use std::sync::LazyLock;

use keyward_commands::{ActionBits, action_pattern, administrative_actions};

/// An effect and all ways to it.
pub(crate) struct WaysTo {
    /// For messages: "other ways to …".
    pub(crate) effect: &'static str,
    /// Whoever denies one of these means the effect.
    pub(crate) triggers: ActionBits,
    /// All ways that are not refused anyway.
    pub(crate) ways: ActionBits,
    /// The action set that names them all.
    pub(crate) set: Option<&'static str>,
}

/// (effect, triggers, all ways, the set that names them)
type Row = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    Option<&'static str>,
);

const TABLE: &[Row] = &[
    (
        "empty the database",
        &["kvdb:ExecuteFlushall", "kvdb:ExecuteFlushdb"],
        &["kvdb:@flush"],
        Some("kvdb:@flush"),
    ),
    (
        "make a key or its value vanish",
        &["kvdb:ExecuteDel", "kvdb:ExecuteUnlink"],
        &["kvdb:@delete"],
        Some("kvdb:@delete"),
    ),
    (
        "read a string",
        &["kvdb:ExecuteGet"],
        &[
            "kvdb:ExecuteGet",
            "kvdb:ExecuteMget",
            "kvdb:ExecuteGetrange",
            "kvdb:ExecuteSubstr",
            "kvdb:ExecuteGetex",
            "kvdb:ExecuteGetdel",
            "kvdb:ExecuteGetset",
            "kvdb:ExecuteGetbit",
            "kvdb:ExecuteBitfield",
            "kvdb:ExecuteBitfield_ro",
            "kvdb:ExecuteLcs",
            "kvdb:ExecuteDump",
            "kvdb:ExecuteSet", // with GET
        ],
        None,
    ),
    (
        "read a hash",
        &["kvdb:ExecuteHgetall", "kvdb:ExecuteHget"],
        &[
            "kvdb:ExecuteHget",
            "kvdb:ExecuteHmget",
            "kvdb:ExecuteHgetall",
            "kvdb:ExecuteHvals",
            "kvdb:ExecuteHscan",
            "kvdb:ExecuteHrandfield",
            "kvdb:ExecuteHgetex",
            "kvdb:ExecuteHgetdel",
            "kvdb:ExecuteDump",
        ],
        None,
    ),
    (
        "write a string",
        &["kvdb:ExecuteSet"],
        &[
            "kvdb:ExecuteSet",
            "kvdb:ExecuteSetex",
            "kvdb:ExecutePsetex",
            "kvdb:ExecuteSetnx",
            "kvdb:ExecuteMset",
            "kvdb:ExecuteMsetnx",
            "kvdb:ExecuteMsetex",
            "kvdb:ExecuteGetset",
            "kvdb:ExecuteAppend",
            "kvdb:ExecuteSetrange",
            "kvdb:ExecuteSetbit",
            "kvdb:ExecuteBitfield",
            "kvdb:ExecuteBitop",
            "kvdb:ExecuteIncr",
            "kvdb:ExecuteIncrby",
            "kvdb:ExecuteIncrbyfloat",
            "kvdb:ExecuteDecr",
            "kvdb:ExecuteDecrby",
            "kvdb:ExecuteRestore",
            "kvdb:ExecuteCopy",
            "kvdb:ExecuteRename",
            "kvdb:ExecuteRenamenx",
        ],
        None,
    ),
    (
        "set an expiry",
        &["kvdb:ExecuteExpire"],
        &[
            "kvdb:ExecuteExpire",
            "kvdb:ExecutePexpire",
            "kvdb:ExecuteExpireat",
            "kvdb:ExecutePexpireat",
            "kvdb:ExecuteGetex",
        ],
        None,
    ),
    (
        "run a script",
        &["kvdb:ExecuteEval", "kvdb:ExecuteEvalsha"],
        &[
            "kvdb:ExecuteEval",
            "kvdb:ExecuteEval_ro",
            "kvdb:ExecuteEvalsha",
            "kvdb:ExecuteEvalsha_ro",
            "kvdb:ExecuteFcall",
            "kvdb:ExecuteFcall_ro",
        ],
        Some("kvdb:@scripting"),
    ),
    (
        "list keys",
        &["kvdb:ExecuteScan"], // KEYS alone is denied for its cost
        &[
            "kvdb:ExecuteKeys",
            "kvdb:ExecuteScan",
            "kvdb:ExecuteRandomkey",
            "kvdb:ExecuteClusterscan",
            "kvdb:ExecuteClusterGetkeysinslot",
        ],
        None,
    ),
    (
        "subscribe",
        &["kvdb:ExecuteSubscribe", "kvdb:ExecutePsubscribe"],
        &[
            "kvdb:ExecuteSubscribe",
            "kvdb:ExecutePsubscribe",
            "kvdb:ExecuteSsubscribe",
        ],
        None,
    ),
    (
        "publish",
        &["kvdb:ExecutePublish"],
        &["kvdb:ExecutePublish", "kvdb:ExecuteSpublish"],
        None,
    ),
    (
        "take a key away by another name",
        &["kvdb:ExecuteRename"],
        &["kvdb:ExecuteRename", "kvdb:ExecuteRenamenx"],
        None,
    ),
    (
        "give power away by a trust",
        &["iam:CreateTrust"],
        &[
            "iam:CreateTrust",
            "iam:UpdateTrust",
            "iam:SetDefaultPolicyVersion",
        ],
        None,
    ),
];

/// All effects.
pub(crate) fn effects() -> &'static [WaysTo] {
    static ALL: LazyLock<Box<[WaysTo]>> = LazyLock::new(|| {
        let bits = |names: &[&str]| {
            let known = names.iter().filter_map(|name| action_pattern(name).ok());
            known.fold(ActionBits::EMPTY, |all, bits| all.union(&bits))
        };
        let row = |(effect, triggers, ways, set): &Row| WaysTo {
            effect,
            triggers: bits(triggers),
            ways: bits(ways).subtract(administrative_actions()),
            set: *set,
        };
        TABLE.iter().map(row).collect()
    });
    &ALL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_in_the_catalogue() {
        for (effect, triggers, ways, set) in TABLE {
            for name in triggers.iter().chain(*ways).chain(set) {
                assert!(action_pattern(name).is_ok(), "{name}");
            }
            let known = effects().iter().find(|known| known.effect == *effect);
            assert!(known.is_some_and(|known| known.triggers.is_subset_of(&known.ways)));
        }
    }
}
