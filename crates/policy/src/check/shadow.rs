//! Statements of one document beside each other: what another one covers, and a Deny that leaves
//! another way to the same effect.

use std::cell::Cell;

use keyward_commands::{ActionBits, CommandScope};

use crate::check::cover::{
    cost_of_glob_covers, glob_covers, resource_covers, resources_may_overlap,
};
use crate::check::draft::{Draft, token_end};
use crate::check::effects::effects;
use crate::check::native::names;
use crate::check::report::Reporter;
use crate::check::rules::Kind;
use crate::check::{Document, Meaning};
use crate::finding::quoted;
use crate::{Effect, PolicyKind};

/// Work for comparing statements with each other, in nanoseconds about: what a second allows.
const MAX_WORK: usize = 500_000_000;

/// Work for one pair of statements, beside that for their parts.
const WORK_OF_PAIR: usize = 1_000;

/// All of it.
pub(crate) fn check(document: &Document<'_>, out: &mut Reporter<'_>) {
    let mut search = Search::new(document);
    let count = document.drafts.len();
    for at in 0..count {
        let meaning = &document.meanings[at];
        if !meaning.is_whole {
            continue;
        }
        let done = match document.drafts[at].effect {
            Some(Effect::Allow) => search.shadowed(at, out) || search.redundant(at, out),
            Some(Effect::Deny) => search.redundant(at, out),
            None => true,
        };
        if !done && document.drafts[at].is(Effect::Deny) {
            search.leaves_ways(at, out);
        }
    }
    if search.work.get() == 0 {
        let message = "too many statements to compare every one with every other";
        let end = document.text.len();
        out.add_range(Kind::NotCompared, end, end, "", message);
    }
}

struct Search<'s, 'd> {
    document: &'s Document<'d>,
    /// Statements by each action that they name: a statement can be covered only by one that names
    /// its rarest action too.
    allows: Vec<Vec<u32>>,
    denies: Vec<Vec<u32>>,
    /// All statements that deny, and that allow.
    all_denies: Vec<u32>,
    all_allows: Vec<u32>,
    /// How much work is left.
    work: Cell<usize>,
    /// What all Allows name together.
    allowed: ActionBits,
}

impl<'s, 'd> Search<'s, 'd> {
    fn new(document: &'s Document<'d>) -> Self {
        let empty = || vec![Vec::new(); keyward_commands::ACTION_COUNT];
        let mut search = Self {
            document,
            allows: empty(),
            denies: empty(),
            all_denies: Vec::new(),
            all_allows: Vec::new(),
            work: Cell::new(MAX_WORK),
            allowed: ActionBits::EMPTY,
        };
        for (at, (draft, meaning)) in document.drafts.iter().zip(&document.meanings).enumerate() {
            if !meaning.is_whole {
                continue;
            }
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            let lists = match draft.effect {
                Some(Effect::Allow) => {
                    search.allowed = search.allowed.union(&meaning.actions);
                    search.all_allows.push(at);
                    &mut search.allows
                }
                Some(Effect::Deny) => {
                    search.all_denies.push(at);
                    &mut search.denies
                }
                None => continue,
            };
            for action in meaning.actions.iter() {
                lists[action.index()].push(at);
            }
        }
        search
    }

    fn lists(&self, effect: Effect) -> &[Vec<u32>] {
        match effect {
            Effect::Allow => &self.allows,
            Effect::Deny => &self.denies,
        }
    }

    /// Statements of an effect that name the rarest of these actions.
    fn candidates(&self, effect: Effect, actions: &ActionBits) -> Vec<u32> {
        let lists = self.lists(effect);
        let by_count = |action: &keyward_commands::ActionId| lists[action.index()].len();
        let rarest = actions.iter().min_by_key(by_count);
        rarest.map_or_else(Vec::new, |action| lists[action.index()].clone())
    }

    /// One comparison less.
    fn spend(&self) -> bool {
        spend(&self.work, WORK_OF_PAIR)
    }

    /// What Denies deny wherever a statement matches, and the last of them; `None` if it was not
    /// possible to look at all.
    fn denied_beside(&mut self, at: usize) -> Option<(ActionBits, Option<usize>)> {
        let document = self.document;
        let (mut denied, mut last) = (ActionBits::EMPTY, None);
        for place in 0..self.all_denies.len() {
            let other = self.all_denies[place] as usize;
            if other == at {
                continue;
            }
            if !self.spend() {
                return None;
            }
            let actions = &document.meanings[other].actions;
            let news = actions.intersects(&document.meanings[at].actions)
                || document.drafts[at].is(Effect::Deny);
            if news && covers_all_but_actions(document, &self.work, other, at) {
                denied = denied.union(actions);
                last = Some(other);
            }
        }
        Some((denied, last))
    }

    /// A Deny, or several, cover all of an Allow, or all of one of its action patterns.
    fn shadowed(&mut self, at: usize, out: &mut Reporter<'_>) -> bool {
        if out.is_full(Kind::Shadowed) {
            return false;
        }
        let document = self.document;
        let (draft, meaning) = (&document.drafts[at], &document.meanings[at]);
        let Some((denied, last)) = self.denied_beside(at) else {
            return false;
        };
        let Some(other) = last else {
            return false;
        };
        let by = &document.drafts[other];
        let end = |draft: &Draft<'_>| token_end(document.text, draft.at);
        if meaning.actions.is_subset_of(&denied) {
            let message = format!("this Allow grants nothing: {} always denies it", called(by));
            let starts: Vec<usize> = document.drafts.iter().map(|draft| draft.at).collect();
            out.add(Kind::Shadowed, draft.at, &*draft.path, message)
                .related(by.at, end(by), &*by.path)
                .fix_by_removing(document.text, "remove the statement", &starts, at);
            return true;
        }
        let starts: Vec<usize> = draft.actions.items.iter().map(|item| item.at).collect();
        for (index, item) in draft.actions.items.iter().enumerate() {
            let Some(bits) = document.bits(meaning, index) else {
                continue;
            };
            if bits.is_subset_of(&denied) && !out.is_full(Kind::Shadowed) {
                let message = format!(
                    "{} grants nothing: {} always denies it",
                    quoted(item.text),
                    called(by)
                );
                let path = draft.actions.path(&draft.path, item);
                out.add(Kind::Shadowed, item.at, path, message)
                    .related(by.at, end(by), &*by.path)
                    .fix_by_removing(document.text, "remove the action", &starts, index);
            }
        }
        false
    }

    /// Another statement of the same effect covers it.
    fn redundant(&mut self, at: usize, out: &mut Reporter<'_>) -> bool {
        if out.is_full(Kind::Redundant) {
            return false;
        }
        let document = self.document;
        let (draft, meaning) = (&document.drafts[at], &document.meanings[at]);
        let Some(effect) = draft.effect else {
            return false;
        };
        for other in self.candidates(effect, &meaning.actions) {
            let other = other as usize;
            if other == at {
                continue;
            }
            if !self.spend() {
                return false;
            }
            let wider = &document.meanings[other];
            if !meaning.actions.is_subset_of(&wider.actions)
                || !covers_all_but_actions(document, &self.work, other, at)
            {
                continue;
            }
            // Of two that cover each other the later one is told of.
            let equal = wider.actions == meaning.actions
                && other > at
                && covers_all_but_actions(document, &self.work, at, other);
            if equal {
                continue;
            }
            let by = &document.drafts[other];
            let message = format!("{} covers all of this statement", called(by));
            let starts: Vec<usize> = document.drafts.iter().map(|draft| draft.at).collect();
            out.add(Kind::Redundant, draft.at, &*draft.path, message)
                .related(by.at, token_end(document.text, by.at), &*by.path)
                .fix_by_removing(document.text, "remove the statement", &starts, at);
            return true;
        }
        false
    }

    /// A Deny that names one way to an effect.
    fn leaves_ways(&mut self, at: usize, out: &mut Reporter<'_>) {
        let document = self.document;
        let (draft, meaning) = (&document.drafts[at], &document.meanings[at]);
        // Sets and wildcards mean more than one effect: only who names a command means its effect.
        let mut by_name = ActionBits::EMPTY;
        for (index, item) in draft.actions.items.iter().enumerate() {
            if let Some(bits) = document.bits(meaning, index)
                && !item.text.contains(['*', '@'])
            {
                by_name = by_name.union(bits);
            }
        }
        let mut beside: Option<ActionBits> = None;
        for effect in effects() {
            let named = by_name.intersect(&effect.triggers);
            if named.is_empty() || effect.ways.is_subset_of(&meaning.actions) {
                continue;
            }
            let others = match &beside {
                Some(others) => others.clone(),
                None => {
                    let Some((others, _)) = self.denied_beside(at) else {
                        return;
                    };
                    beside = Some(others.clone());
                    others
                }
            };
            let denied = meaning.actions.union(&others);
            let left = effect.ways.subtract(&denied);
            if left.is_empty() {
                continue;
            }
            // The pattern that names it, to point at and to repair.
            let pointed = draft
                .actions
                .items
                .iter()
                .enumerate()
                .find(|(index, item)| {
                    let bits = document.bits(meaning, *index);
                    let is_one = !item.text.contains(['*', '@']);
                    is_one && bits.is_some_and(|bits| bits.intersects(&effect.triggers))
                });
            let Some((_, item)) = pointed else {
                continue;
            };
            let path = draft.actions.path(&draft.path, item);
            let allowed = self.allowed_where(at, &left);
            if allowed.is_empty() && effect.set.is_none() {
                continue;
            }
            let (kind, message) = if allowed.is_empty() {
                let message = format!(
                    "denies {} and not the other ways to {}: {}",
                    names(&named),
                    effect.effect,
                    names(&left)
                );
                (Kind::DenyLeavesUnused, message)
            } else {
                let message = format!(
                    "denies {} but leaves other ways to {} allowed: {}",
                    names(&named),
                    effect.effect,
                    names(&allowed)
                );
                (Kind::LeavesWay, message)
            };
            let (from, to) = (item.at, token_end(document.text, item.at));
            let added = out.add(kind, from, path, message);
            if let Some(set) = effect.set {
                added.fix(
                    format!("deny every way to {}", effect.effect),
                    from,
                    to,
                    format!("\"{set}\""),
                );
            } else {
                let mut all: Vec<String> = vec![format!("\"{}\"", item.text)];
                let more = left.iter().take(40);
                all.extend(more.map(|action| format!("\"{}\"", action.name())));
                let is_plain = !item.text.contains(['"', '\\']);
                if is_plain && !item.text.chars().any(char::is_control) {
                    added.fix(
                        format!("deny every way to {}", effect.effect),
                        from,
                        to,
                        all.join(", "),
                    );
                }
            }
        }
    }

    /// Which of these actions some Allow gives where a Deny speaks.
    fn allowed_where(&mut self, deny: usize, actions: &ActionBits) -> ActionBits {
        let some = actions.intersect(&self.allowed);
        if some.is_empty() {
            return some;
        }
        let document = self.document;
        let denied = &document.meanings[deny];
        let mut found = ActionBits::EMPTY;
        for place in 0..self.all_allows.len() {
            if !self.spend() || some.is_subset_of(&found) {
                break;
            }
            let other = &document.meanings[self.all_allows[place] as usize];
            if other.actions.intersects(&some) && may_meet(document, denied, other) {
                found = found.union(&other.actions.intersect(&some));
            }
        }
        found
    }
}

fn called(draft: &Draft<'_>) -> String {
    match draft.sid {
        Some(sid) if !sid.text.is_empty() => format!("statement {}", quoted(sid.text)),
        _ => format!("statement `{}`", draft.path),
    }
}

fn may_meet(document: &Document<'_>, a: &Meaning, b: &Meaning) -> bool {
    if document.kind == PolicyKind::Resource {
        return true;
    }
    let pairs = a
        .resources
        .iter()
        .flatten()
        .flat_map(|x| b.resources.iter().flatten().map(move |y| (x, y)));
    pairs.take(1000).any(|(x, y)| resources_may_overlap(x, y))
}

/// Takes so much work; `false` if none is left.
fn spend(work: &Cell<usize>, cost: usize) -> bool {
    work.set(work.get().saturating_sub(cost));
    work.get() > 0
}

/// Does statement `outer` match every request that `inner` matches, if it speaks of its action?
/// `false` also where there is no work left to find out.
fn covers_all_but_actions(
    document: &Document<'_>,
    work: &Cell<usize>,
    outer: usize,
    inner: usize,
) -> bool {
    let (a, b) = (&document.meanings[outer], &document.meanings[inner]);
    let may_be = a.conditions.len() <= b.conditions.len();
    if !may_be || !spend(work, 50 * a.conditions.len()) || !a.conditions.is_subset(&b.conditions) {
        return false;
    }
    let (draft_a, draft_b) = (&document.drafts[outer], &document.drafts[inner]);
    covers_keys(work, draft_a, draft_b, b) && covers_where(document, work, outer, inner)
}

fn covers_where(document: &Document<'_>, work: &Cell<usize>, outer: usize, inner: usize) -> bool {
    let (a, b) = (&document.meanings[outer], &document.meanings[inner]);
    match document.kind {
        PolicyKind::Identity => b.resources.iter().flatten().all(|resource| {
            let wider = a.resources.iter().flatten();
            wider.take(1000).any(|wider| {
                spend(work, 20 + wider.full().len()) && resource_covers(wider, resource)
            })
        }),
        PolicyKind::Resource => {
            let (x, y) = (&document.drafts[outer], &document.drafts[inner]);
            let all = x.identities.items.iter().any(|item| item.text == "*");
            let both = x.is(Effect::Deny);
            y.identities.items.iter().all(|item| {
                let named = x
                    .identities
                    .items
                    .iter()
                    .any(|other| other.text == item.text);
                named || all && (both || item.text != "unauthenticated")
            })
        }
    }
}

/// The patterns of some of the key fields.
fn globs<'a>(draft: &'a Draft<'_>, names: &'a [&str]) -> impl Iterator<Item = &'a str> {
    let lists = draft.keys.iter();
    let lists = lists.filter(|list| names.contains(&list.name));
    lists.flat_map(|list| list.items.iter().map(|item| item.text))
}

/// Is each pattern of these fields of `inner` covered by one of those fields of `outer`?
fn fields_cover(
    work: &Cell<usize>,
    (outer, wider): (&Draft<'_>, &[&str]),
    (inner, fields): (&Draft<'_>, &[&str]),
) -> bool {
    const MOST: usize = 64;
    globs(inner, fields).enumerate().all(|(at, text)| {
        at < MOST
            && globs(outer, wider)
                .take(MOST)
                .any(|wide| spend(work, cost_of_glob_covers(wide, text)) && glob_covers(wide, text))
    })
}

/// Do the key fields of `outer` match wherever those of `inner` do?
fn covers_keys(
    work: &Cell<usize>,
    outer: &Draft<'_>,
    inner: &Draft<'_>,
    meaning: &Meaning,
) -> bool {
    if outer.keys.is_empty() {
        return true;
    }
    if inner.keys.is_empty() {
        return false;
    }
    match (outer.effect, inner.effect) {
        // A Deny matches on any key; an Allow only if all of its keys fit: what the Allow touches
        // must be keys, and each of them denied.
        (Some(Effect::Deny), Some(Effect::Allow)) => {
            let keyed = || {
                meaning.actions.iter().all(|action| {
                    let command = action.command().map(|command| command.command());
                    command.is_some_and(|command| {
                        let needs = keyward_commands::Flags::NO_MANDATORY_KEYS;
                        command.scope == CommandScope::Keyed && !command.flags.contains(needs)
                    })
                })
            };
            let fields = ["Keys", "ReadKeys", "WriteKeys"];
            fields_cover(work, (outer, &["Keys"]), (inner, &fields)) && keyed()
        }
        (Some(a), Some(b)) if a == b => {
            let cover =
                |wider: &[&str], field: &str| fields_cover(work, (outer, wider), (inner, &[field]));
            cover(&["Keys"], "Keys")
                && cover(&["Keys", "ReadKeys"], "ReadKeys")
                && cover(&["Keys", "WriteKeys"], "WriteKeys")
                && cover(&["Channels"], "Channels")
        }
        _ => false,
    }
}
