//! Whether a native statement and a vendor's speak of the same: action by action, on things that
//! they name and on one that they do not.

use keyward_commands::{ActionBits, ActionId, execute_actions};

use super::{PATTERNS_OF_ONE, TranslationNames};
use crate::facts::NoFacts;
use crate::path::types_beside_databases;
use crate::vendor::{is_of_organisation, render};
use crate::{Dialect, Effect, Statement, VendorStatement};

/// Most ids of a document that are looked at.
const MAX_IDS: usize = 64;

/// Commands that stand for all where both sides have all.
const MAX_COMMANDS: usize = 4;

/// A request that one side speaks of, and the other does not.
#[derive(Debug, Default)]
pub(super) struct Differences {
    pub(super) only_native: Option<String>,
    pub(super) only_vendor: Option<String>,
    /// How many requests were asked, as [`super::MAX_ASKED`] counts.
    pub(super) asked: usize,
}

/// What asking statements of a vendor for one request costs.
fn weight(vendor: &[Statement]) -> usize {
    let patterns = vendor.iter().filter_map(|s| s.vendor.as_ref());
    1 + patterns.map(|own| own.weight()).sum::<usize>() / PATTERNS_OF_ONE
}

/// Compares statements of one effect, whatever their keys and conditions. `imported`: the native
/// ones were made of the vendor's. When `left` requests have been asked the comparison is not whole.
#[expect(
    clippy::too_many_arguments,
    reason = "two sides, and what both speak of"
)]
pub(super) fn compare(
    imported: bool,
    effect: Effect,
    native: &[Statement],
    vendor: &[Statement],
    dialect: Dialect,
    names: &TranslationNames,
    ids: &[String],
    left: usize,
) -> Differences {
    let mut differences = Differences::default();
    let bits = |statements: &[Statement]| {
        let all = statements.iter().map(|statement| &statement.actions);
        all.fold(ActionBits::EMPTY, |all, bits| all.union(bits))
    };
    let (of_native, of_vendor) = (bits(native), bits(vendor));
    let (both, either) = (of_native.intersect(&of_vendor), of_native.union(&of_vendor));
    let few = both.intersect(execute_actions());
    let few = few.iter().take(MAX_COMMANDS);
    let actions = either
        .iter()
        .filter(|action| !action.is_execute() || !both.contains(*action))
        .chain(few);
    let paths = paths(names, ids);
    let resources = native.iter().map(|statement| statement.resources.len());
    let one = weight(vendor) + resources.sum::<usize>() / PATTERNS_OF_ONE;
    for action in actions {
        for (path, own) in &paths {
            if !is_asked(action, path) {
                continue;
            }
            differences.asked += one;
            if differences.asked > left {
                return differences;
            }
            let native = native.iter().any(|statement| {
                statement.actions.contains(action)
                    && statement.concerns(path, &NoFacts) == Some(true)
            });
            let vendor = speaks(effect, vendor, action, path, *own, dialect, names);
            let witness = || format!("`{}` on `{path}`", action.name());
            match (native, vendor) {
                (true, false) => differences.only_native.get_or_insert_with(witness),
                // Natively an Allow ends with the organisation, and nobody else's things are meant.
                (false, true) if !own && effect == Effect::Allow && imported => continue,
                (false, true) => differences.only_vendor.get_or_insert_with(witness),
                _ => continue,
            };
        }
    }
    differences
}

/// Of these actions those that an Allow of a vendor's speaks of on something, and how many requests
/// were asked for that; when `left` have been asked no more are.
pub(super) fn spoken_of(
    actions: Vec<ActionId>,
    vendor: &Statement,
    dialect: Dialect,
    names: &TranslationNames,
    ids: &[String],
    left: usize,
) -> (Vec<ActionId>, usize) {
    let paths = paths(names, ids);
    let vendor = std::slice::from_ref(vendor);
    let one = weight(vendor);
    let mut asked = 0;
    let is_spoken = |action: &ActionId| {
        paths.iter().any(|(path, own)| {
            asked <= left && is_asked(*action, path) && {
                asked += one;
                speaks(Effect::Allow, vendor, *action, path, *own, dialect, names)
            }
        })
    };
    (actions.into_iter().filter(is_spoken).collect(), asked)
}

/// A native request that some Allows of a vendor's speak of together and none alone, since it is several
/// of the vendor's; and how many requests were asked, at most `most` and those of one path.
pub(super) fn only_together(
    allows: &[&VendorStatement],
    dialect: Dialect,
    names: &TranslationNames,
    ids: &[String],
    most: usize,
) -> (Option<String>, usize) {
    let (place, paths) = (names.place(dialect), paths(names, ids));
    let mut asked = 0;
    // A command is one call everywhere.
    for action in ActionId::all().filter(|action| !action.is_execute()) {
        for (path, _) in paths
            .iter()
            .filter(|(path, own)| *own && is_asked(action, path))
        {
            let requests = render(dialect, action, path, &place);
            if requests.len() < 2 {
                continue;
            }
            if asked > most {
                return (None, asked);
            }
            let named = |vendor: &&&VendorStatement| {
                requests
                    .iter()
                    .any(|request| vendor.matches_action(&request.action))
            };
            let allows: Vec<&&VendorStatement> = allows.iter().filter(named).collect();
            asked += allows.len();
            let speaks = |vendor: &VendorStatement, request: &crate::VendorRequest| {
                vendor.matches_action(&request.action)
                    && vendor.matches_resource(request, &names.account, &NoFacts) == Some(true)
            };
            let together = |request| allows.iter().any(|vendor| speaks(vendor, request));
            let alone =
                |vendor: &&&VendorStatement| requests.iter().all(|request| speaks(vendor, request));
            if requests.iter().all(together) && !allows.iter().any(alone) {
                return (Some(format!("`{}` on `{path}`", action.name())), asked);
            }
        }
    }
    (None, asked)
}

/// What a vendor's statements say of a native request: an Allow of all of its renderings, a Deny of
/// any.
fn speaks(
    effect: Effect,
    statements: &[Statement],
    action: ActionId,
    path: &str,
    own: bool,
    dialect: Dialect,
    names: &TranslationNames,
) -> bool {
    let mut place = names.place(dialect);
    if !own {
        place.account = "000000000000".into();
    }
    let matched = |request: &crate::VendorRequest| {
        statements
            .iter()
            .filter_map(|s| s.vendor.as_ref())
            .any(|vendor| {
                vendor.matches_action(&request.action)
                    && vendor.matches_resource(request, &names.account, &NoFacts) == Some(true)
            })
    };
    let requests = render(dialect, action, path, &place);
    match effect {
        Effect::Allow => requests.iter().all(matched),
        Effect::Deny => requests.iter().any(matched),
    }
}

/// Full paths, and whether they are the organisation's own.
fn paths(names: &TranslationNames, ids: &[String]) -> Vec<(String, bool)> {
    let organisation = &names.organisation;
    let mut paths = vec![
        (format!("org/{organisation}"), true),
        ("org/zz-other/kvdb/zz-new".to_owned(), false),
    ];
    let new = "zz-new".to_owned();
    for id in ids.iter().take(MAX_IDS).chain([&new]) {
        paths.push((format!("org/{organisation}/kvdb/{id}"), true));
        paths.push((format!("org/zz-other/kvdb/{id}"), false));
        paths.push((
            format!("org/{organisation}/kvdb/{id}/snapshot/zz-new"),
            true,
        ));
        for kind in types_beside_databases() {
            paths.push((format!("org/{organisation}/{kind}/{id}"), true));
        }
    }
    paths
}

/// Whether an action is ever asked on what is at a path.
fn is_asked(action: ActionId, path: &str) -> bool {
    let kind = path.split('/').nth(2);
    let snapshot = path.contains("/snapshot/");
    let name = action.name();
    if is_of_organisation(action) || name.starts_with("org:") {
        return kind.is_none();
    }
    match kind {
        None => name.ends_with("Trust"),
        Some("kvdb") if snapshot => matches!(name, "kvdb:DescribeSnapshot" | "kvdb:DeleteSnapshot"),
        Some("kvdb") => {
            (name.starts_with("kvdb:") && !name.ends_with("eSnapshot")
                || name == "kvdb:CreateSnapshot")
                || name.ends_with("ResourcePolicy")
                || matches!(name, "iam:TagDatabase" | "iam:ExplainDecision")
        }
        Some("role") => !name.starts_with("kvdb:") && name != "iam:TagDatabase",
        Some(_) => name.starts_with("iam:") && name != "iam:TagDatabase",
    }
}
