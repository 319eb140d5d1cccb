//! Where two documents differ: what one allows and the other does not, with a request for each
//! difference on which it was tried.
//!
//! Documents are compared in grains (see [`super::grain`]). A request that the one allows and the
//! other does not is allowed by a grain of the one that the other does not have, or denied by a
//! grain of the other that the one does not have; so only these are looked at. For each the
//! statements that overlap it are gathered, and a request is looked for that tells the documents
//! apart: over the actions (those that no statement tells apart at once), the resources that
//! patterns tell apart, the values of condition keys that clauses tell apart, and keys and channels
//! as sets of strings. What is found is tried with the statements as they are read; what cannot be
//! decided so is said to be undecided.

mod actions;
mod assignments;
mod at_once;
mod direction;
mod foreign;
mod places;
mod search;
mod sides;

use keyward_commands::ActionId;

use super::grain::{Grains, Names, Place};
use super::place::{Ids, Neighbours};
use super::product::{Exhausted, Work};
use super::request::Request;
use crate::{Dialect, Policy};
use direction::Direction;

pub use foreign::diff_of_any_dialect;

/// Work for one comparison: below a second.
const WORK: u64 = 100_000_000;
/// Most differences that are told.
pub const MAX_DIFFERENCES: usize = 1_000;

/// Which way two documents differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Only the new one allows it.
    NowAllowed,
    /// Only the old one allows it.
    NoLongerAllowed,
}

/// A difference.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Which way.
    pub change: Change,
    /// A request that one document allows and the other does not: tried.
    pub witness: Request,
    /// Other actions of which the same is so for the same statement, in the order of the catalogue.
    pub also: Vec<ActionId>,
    /// Whether the statement that makes the difference stands in the new document.
    pub in_new: bool,
    /// Where it begins.
    pub line: u32,
}

/// A question without an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Undecided {
    /// Which way the documents may differ.
    pub change: Change,
    /// For these actions.
    pub actions: Vec<ActionId>,
    /// Whether the statement that may make the difference stands in the new document.
    pub in_new: bool,
    /// Where it begins.
    pub line: u32,
    /// Why.
    pub reason: UndecidedReason,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum UndecidedReason {
    /// More would have to be compared than is allowed.
    #[error("too large to compare")]
    TooLarge,
    /// Conditions of which not every value can be tried.
    #[error("it depends on {0} in more ways than can be told")]
    Conditions(String),
    /// The documents are of kinds or dialects that are not compared.
    #[error("{0}")]
    Dialect(String),
}

/// All that two documents differ in.
#[derive(Clone, Debug, Default)]
pub struct PolicyDiff {
    /// What was found, in the order of the documents' lines, new access first.
    pub differences: Vec<Difference>,
    /// What could not be decided.
    pub undecided: Vec<Undecided>,
    /// What was not tried any more where there are many differences, at most so many more: resources
    /// of statements, patterns of one statement, groups of actions. New access first.
    pub more: [usize; 2],
}

impl PolicyDiff {
    /// Whether the documents are known to mean the same.
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty() && self.undecided.is_empty()
    }

    /// Whether it is known that the new document allows nothing that the old one does not.
    pub fn has_no_new_access(&self) -> bool {
        let new = Change::NowAllowed;
        self.more[new as usize] == 0
            && !self
                .differences
                .iter()
                .any(|difference| difference.change == new)
            && !self
                .undecided
                .iter()
                .any(|undecided| undecided.change == new)
    }
}

/// Compares two documents of one kind.
pub fn diff(old: &Policy, new: &Policy) -> PolicyDiff {
    let mut report = PolicyDiff::default();
    let native = [old, new]
        .iter()
        .all(|policy| policy.dialect() == Dialect::Native);
    if old.kind() != new.kind() || !native {
        let text = match native {
            true => "one is a resource policy, the other is not".to_owned(),
            false => format!(
                "documents of the dialects `{}` and `{}` are not compared: only native ones are",
                old.dialect(),
                new.dialect()
            ),
        };
        for change in [Change::NowAllowed, Change::NoLongerAllowed] {
            report.undecided.push(Undecided {
                change,
                actions: Vec::new(),
                in_new: true,
                line: 1,
                reason: UndecidedReason::Dialect(text.clone()),
            });
        }
        return report;
    }
    let mut work = Work::new(WORK);
    if compare(old, new, &mut work, &mut report).is_err() {
        for change in [Change::NowAllowed, Change::NoLongerAllowed] {
            report.undecided.push(Undecided {
                change,
                actions: Vec::new(),
                in_new: true,
                line: 1,
                reason: UndecidedReason::TooLarge,
            });
        }
    }
    report
        .differences
        .sort_by_key(|difference| (difference.change, difference.line));
    report.undecided.sort();
    report.undecided.dedup();
    report
}

fn compare(
    old: &Policy,
    new: &Policy,
    work: &mut Work,
    report: &mut PolicyDiff,
) -> Result<(), Exhausted> {
    let mut names = Names::default();
    let old = Grains::new(old, &mut names, work)?;
    let new = Grains::new(new, &mut names, work)?;
    let patterns = names.places.iter().filter_map(|place| match place {
        Place::Resource(pattern) => Some(*pattern),
        _ => None,
    });
    let ids = Ids::new(patterns, new.policy.organisation());
    let neighbours = Neighbours::new(&names.places);
    for (from, to, change) in [
        (&old, &new, Change::NowAllowed),
        (&new, &old, Change::NoLongerAllowed),
    ] {
        let mut direction = Direction {
            from,
            to,
            change,
            names: &names,
            ids: &ids,
            neighbours: &neighbours,
            work,
            report,
        };
        // Half of what is left for each.
        let mut own = direction.work.at_most(WORK / 2);
        let full = own;
        std::mem::swap(direction.work, &mut own);
        let done = direction.run();
        std::mem::swap(direction.work, &mut own);
        _ = direction.work.spend(full.used(&own));
        if done.is_err() {
            report.undecided.push(Undecided {
                change,
                actions: Vec::new(),
                in_new: true,
                line: 1,
                reason: UndecidedReason::TooLarge,
            });
        }
    }
    Ok(())
}
