//! Documents of other dialects: compared by their native forms, where these say all that the
//! documents say.

use super::{Change, PolicyDiff, Undecided, UndecidedReason, diff};
use crate::native;
use crate::{Dialect, Effect, Policy, Statement, TranslationNames, translate};

/// Most reasons that are told of one document.
const MAX_REASONS: usize = 3;

/// Compares two documents of any dialects, each as its own dialect means it.
///
/// Documents that are not native are compared by their native forms; where one has none that says
/// all that it says, it is undecided, unless the statements alone tell: the same ones allow the same.
/// Differences are of the native forms: whoever tells them tries them on the documents themselves. Of
/// what is undecided in a document that is not native, the line is its first.
pub fn diff_of_any_dialect(old: &Policy, new: &Policy, names: &TranslationNames) -> PolicyDiff {
    let is_native = |policy: &Policy| policy.dialect() == Dialect::Native;
    if is_native(old) && is_native(new) || old.kind() != new.kind() {
        return diff(old, new);
    }
    let allows_no_more = [no_more(old, new), no_more(new, old)];
    let mut report = PolicyDiff::default();
    if allows_no_more == [true, true] {
        return report;
    }
    match (
        native_form(old, "old", names),
        native_form(new, "new", names),
    ) {
        (Ok(native_old), Ok(native_new)) => {
            report = diff(&native_old, &native_new);
            for undecided in &mut report.undecided {
                let document = if undecided.in_new { new } else { old };
                if !is_native(document) {
                    undecided.line = 1;
                }
            }
        }
        (one, other) => {
            let (in_new, text) = match (one, other) {
                (Err(text), _) => (false, text),
                (_, Err(text)) => (true, text),
                _ => return report,
            };
            for change in [Change::NowAllowed, Change::NoLongerAllowed] {
                report.undecided.push(Undecided {
                    change,
                    actions: Vec::new(),
                    in_new,
                    line: 1,
                    reason: UndecidedReason::Dialect(text.clone()),
                });
            }
        }
    }
    let open = |change: Change| !allows_no_more[change as usize];
    report.differences.retain(|found| open(found.change));
    report.undecided.retain(|found| open(found.change));
    report
}

/// Whether the statements alone tell that one document allows nothing that another of its dialect
/// does not: each of its Allows stands in the other, and each Deny of the other in it.
fn no_more(other: &Policy, one: &Policy) -> bool {
    let stands_in = |policy: &Policy, statement: &Statement| {
        let mut all = policy.statements().iter();
        all.any(|known| is_same(known, statement))
    };
    let all_stand_in = |policy: &Policy, effect: Effect, other: &Policy| {
        let mut own = policy.statements().iter().filter(|s| s.effect == effect);
        own.all(|statement| stands_in(other, statement))
    };
    // Rules of one user are one statement, which no other takes the place of.
    one.dialect() == other.dialect()
        && one.statements().len().max(other.statements().len()) <= MAX_COMPARED
        && all_stand_in(one, Effect::Allow, other)
        && all_stand_in(other, Effect::Deny, one)
}

/// Most statements that are compared one by one.
const MAX_COMPARED: usize = 1_000;

fn is_same(one: &Statement, other: &Statement) -> bool {
    one.effect == other.effect
        && one.vendor == other.vendor
        && one.conditions == other.conditions
        && one.acl == other.acl
        && one.actions == other.actions
}

/// A document in native words; the error says why it has no such form.
fn native_form(policy: &Policy, which: &str, names: &TranslationNames) -> Result<Policy, String> {
    if policy.dialect() == Dialect::Native {
        return Ok(policy.clone());
    }
    let refuse = |reasons: Vec<String>| {
        let more = reasons.len().saturating_sub(MAX_REASONS);
        let mut told: Vec<String> = reasons.into_iter().take(MAX_REASONS).collect();
        if more > 0 {
            told.push(format!("and {more} more reasons"));
        }
        format!(
            "the {which} document cannot be compared, because it has no native form that says the \
             same: {}",
            told.join("; ")
        )
    };
    let translated = translate(policy, Dialect::Native, names, false)
        .map_err(|refusal| refuse(refusal.reasons))?;
    native::read(&translated.text, policy.kind(), &names.organisation)
        .map_err(|findings| refuse(vec![findings.to_string()]))
}
