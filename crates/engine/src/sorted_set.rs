//! Sorted set: a table for scores by member, a skip list for members by score with ranks.
//!
//! The skip list's nodes lie in one vector and name members by their number in the table, so that
//! each member is stored once. All ranges (by index, score or text) become ranges of ranks: a
//! search counts the elements before a bound in O(log n).
//!
//! A node's height comes from the keyed hash of its member: random to whoever does not know the
//! key, and no source of randomness is needed.

use crate::hash::HashKey;
use crate::table::Table;

/// No node.
const NONE: u32 = u32::MAX;
/// The node before the first.
const HEAD: u32 = 0;
/// Heights fall by a quarter a level: enough for 4^16 members.
const MAX_HEIGHT: usize = 16;

#[derive(Clone)]
struct Placed {
    score: f64,
    node: u32,
}

#[derive(Clone)]
struct Node {
    score: f64,
    /// Number of the member in the table.
    entry: u32,
    previous: u32,
    next: u32,
    /// Links above the lowest level; most nodes have none.
    upper: Box<[Link]>,
}

#[derive(Clone, Copy)]
struct Link {
    /// Score of `next`, so that a search touches only nodes that it passes.
    score: f64,
    next: u32,
    /// How many places further `next` is; to the end of the list where there is none.
    span: u32,
}

/// What an insertion did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Inserted {
    New,
    Moved,
    Same,
}

/// Up to so many members, each up to so many bytes, the server keeps a sorted set in a compact form
/// that shows in a few replies. Source: `zset-max-listpack-entries` and `zset-max-listpack-value`.
const MAX_COMPACT: (usize, usize) = (128, 64);

/// Members with scores, ordered by score and then by bytes. Scores are never NaN.
#[derive(Clone)]
pub(crate) struct SortedSet {
    /// Would the server keep it in its compact form? Once left, that form does not come back.
    compact: bool,
    members: Table<Placed>,
    nodes: Vec<Node>,
    /// Nodes that are not in use.
    free: Vec<u32>,
    last: u32,
}

impl SortedSet {
    pub(crate) fn new(hash_key: HashKey) -> Self {
        let head = Node {
            score: 0.0,
            entry: NONE,
            previous: NONE,
            next: NONE,
            upper: Box::new([]),
        };
        Self {
            compact: true,
            members: Table::new(hash_key),
            nodes: vec![head],
            free: Vec::new(),
            last: NONE,
        }
    }

    /// A set that the server would not keep in its compact form.
    pub(crate) fn new_large(hash_key: HashKey) -> Self {
        Self {
            compact: false,
            ..Self::new(hash_key)
        }
    }

    /// The set in the server's compact form, if it fits.
    pub(crate) fn into_compact(self) -> Self {
        let fits = |member: &[u8]| member.len() <= MAX_COMPACT.1;
        if self.len() > MAX_COMPACT.0 || !self.iter().all(|(member, _)| fits(member)) {
            return self;
        }
        let mut compact = Self::new(self.members.hash_key());
        for (member, score) in self.ascending(0) {
            compact.insert(member, score);
        }
        compact
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn score(&self, member: &[u8]) -> Option<f64> {
        self.members.get(member).map(|placed| placed.score)
    }

    /// Any member by number, in no order that means something.
    pub(crate) fn any_at(&self, at: usize) -> (&[u8], f64) {
        (self.members.key_at(at), self.members.value_at(at).score)
    }

    pub(crate) fn scan<'t>(&'t self, cursor: u64, mut visit: impl FnMut(&'t [u8], f64)) -> u64 {
        self.members
            .scan(cursor, |member, placed| visit(member, placed.score))
    }

    /// Members in no order.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], f64)> {
        self.members
            .iter()
            .map(|(member, placed)| (member, placed.score))
    }

    /// Bytes of the structure itself, without what members own.
    pub(crate) fn own_bytes(&self) -> usize {
        self.members.own_bytes() + self.nodes.capacity() * (size_of::<Node>() + size_of::<Link>())
    }

    /// Would the server keep the set in its compact form?
    pub(crate) fn is_compact(&self) -> bool {
        self.compact
    }

    /// Announces insertions: how many, and the length of the longest member.
    pub(crate) fn expect(&mut self, members: usize, longest: usize) {
        if members > MAX_COMPACT.0 || longest > MAX_COMPACT.1 {
            self.compact = false;
        }
    }

    /// Sets a member's score, which is not NaN.
    pub(crate) fn insert(&mut self, member: &[u8], score: f64) -> Inserted {
        // The server's compact form knows no negative zero.
        self.expect(1, member.len());
        let score = if self.compact && score == 0.0 {
            0.0
        } else {
            score
        };
        let hash = self.members.hash(member);
        match self.members.find_hashed(hash, member) {
            Some(at) => {
                let placed = self.members.value_at(at);
                if placed.score == score {
                    return Inserted::Same;
                }
                let node = placed.node;
                self.unlink(node);
                self.members.value_at_mut(at).score = score;
                self.nodes[node as usize].score = score;
                self.link(node);
                Inserted::Moved
            }
            None => {
                self.compact &= self.members.len() < MAX_COMPACT.0;
                let height = height(hash);
                let placed = Placed { score, node: NONE };
                let entry = self.members.insert_new(hash, member.into(), placed);
                let upper = vec![
                    Link {
                        score: 0.0,
                        next: NONE,
                        span: 0
                    };
                    height - 1
                ]
                .into_boxed_slice();
                let node = Node {
                    score,
                    entry: entry as u32,
                    previous: NONE,
                    next: NONE,
                    upper,
                };
                let number = match self.free.pop() {
                    Some(number) => {
                        self.nodes[number as usize] = node;
                        number
                    }
                    None => {
                        self.nodes.push(node);
                        // Not more nodes than entries and a head, and those have 32-bit numbers.
                        (self.nodes.len() - 1) as u32
                    }
                };
                self.members.value_at_mut(entry).node = number;
                self.link(number);
                Inserted::New
            }
        }
    }

    pub(crate) fn remove(&mut self, member: &[u8]) -> bool {
        match self.members.find(member) {
            Some(at) => {
                self.remove_at(at);
                true
            }
            None => false,
        }
    }

    /// Removes up to `count` members beginning with rank `from`.
    pub(crate) fn remove_ranks(&mut self, from: usize, count: usize) {
        for _ in 0..count {
            let node = self.node_at(from);
            if node == NONE {
                return;
            }
            self.remove_at(self.nodes[node as usize].entry as usize);
        }
    }

    /// Place of a member, counted from 0 in ascending order.
    pub(crate) fn rank(&self, member: &[u8]) -> Option<usize> {
        let node = self.members.get(member)?.node;
        Some(self.places_before(node).1[0] as usize)
    }

    /// How many members are at the beginning for whose score `before` holds. It holds for none
    /// after one for which it does not.
    pub(crate) fn count_scores(&self, before: impl Fn(f64) -> bool) -> usize {
        self.count_before(|link| before(link.score))
    }

    /// As `count_scores`, for members that all have the same score.
    pub(crate) fn count_members(&self, before: impl Fn(&[u8]) -> bool) -> usize {
        self.count_before(|link| before(self.member(link.next)))
    }

    fn count_before(&self, before: impl Fn(Link) -> bool) -> usize {
        let mut at = HEAD;
        let mut rank = 0;
        for level in (0..self.height()).rev() {
            loop {
                let link = self.link_of(at, level);
                if link.next == NONE || !before(link) {
                    break;
                }
                rank += link.span as usize;
                at = link.next;
            }
        }
        rank
    }

    /// Members from rank `from` on, in ascending order.
    pub(crate) fn ascending(&self, from: usize) -> impl Iterator<Item = (&[u8], f64)> {
        let mut at = self.node_at(from);
        std::iter::from_fn(move || {
            (at != NONE).then(|| {
                let found = (self.member(at), self.nodes[at as usize].score);
                at = self.nodes[at as usize].next;
                found
            })
        })
    }

    /// Members from rank `from` (still counted from the smallest) down.
    pub(crate) fn descending(&self, from: usize) -> impl Iterator<Item = (&[u8], f64)> {
        let mut at = self.node_at(from);
        std::iter::from_fn(move || {
            (at != NONE).then(|| {
                let found = (self.member(at), self.nodes[at as usize].score);
                at = self.nodes[at as usize].previous;
                found
            })
        })
    }

    fn member(&self, node: u32) -> &[u8] {
        self.members
            .key_at(self.nodes[node as usize].entry as usize)
    }

    /// Levels in use.
    fn height(&self) -> usize {
        self.nodes[HEAD as usize].upper.len() + 1
    }

    fn link_of(&self, node: u32, level: usize) -> Link {
        let node = &self.nodes[node as usize];
        match level {
            0 => {
                let next = self.nodes.get(node.next as usize);
                Link {
                    score: next.map_or(0.0, |next| next.score),
                    next: node.next,
                    span: 1,
                }
            }
            _ => node.upper[level - 1],
        }
    }

    fn set_link(&mut self, node: u32, level: usize, link: Link) {
        let node = &mut self.nodes[node as usize];
        match level {
            0 => node.next = link.next,
            _ => node.upper[level - 1] = link,
        }
    }

    fn node_at(&self, rank: usize) -> u32 {
        if rank >= self.len() {
            return NONE;
        }
        if rank + 1 == self.len() {
            return self.last;
        }
        let mut left = rank + 1;
        let mut at = HEAD;
        for level in (0..self.height()).rev() {
            loop {
                let link = self.link_of(at, level);
                if link.next == NONE || link.span as usize > left {
                    break;
                }
                left -= link.span as usize;
                at = link.next;
                if left == 0 {
                    return at;
                }
            }
        }
        NONE
    }

    /// The last node before `node`'s place on every level, and how many members are before it.
    fn places_before(&self, node: u32) -> ([u32; MAX_HEIGHT], [u32; MAX_HEIGHT]) {
        let score = self.nodes[node as usize].score;
        let member = self.member(node);
        let mut nodes = [HEAD; MAX_HEIGHT];
        let mut ranks = [0; MAX_HEIGHT];
        let mut at = HEAD;
        let mut rank = 0;
        for level in (0..self.height()).rev() {
            loop {
                let link = self.link_of(at, level);
                let before = link.next != NONE
                    && (link.score < score
                        || link.score == score && self.member(link.next) < member);
                if !before {
                    break;
                }
                rank += link.span;
                at = link.next;
            }
            nodes[level] = at;
            ranks[level] = rank;
        }
        (nodes, ranks)
    }

    /// Puts a node, whose member and score are set, at its place.
    fn link(&mut self, node: u32) {
        let height = self.nodes[node as usize].upper.len() + 1;
        let others = self.len() as u32 - 1;
        if height > self.height() {
            let head = &mut self.nodes[HEAD as usize];
            let mut upper = std::mem::take(&mut head.upper).into_vec();
            upper.resize(
                height - 1,
                Link {
                    score: 0.0,
                    next: NONE,
                    span: others,
                },
            );
            head.upper = upper.into_boxed_slice();
        }
        let score = self.nodes[node as usize].score;
        let (before, ranks) = self.places_before(node);
        for level in 0..self.height() {
            let link = self.link_of(before[level], level);
            let distance = ranks[0] - ranks[level];
            if level < height {
                let rest = if level == 0 { 1 } else { link.span - distance };
                self.set_link(node, level, Link { span: rest, ..link });
                self.set_link(
                    before[level],
                    level,
                    Link {
                        score,
                        next: node,
                        span: distance + 1,
                    },
                );
            } else {
                self.set_link(
                    before[level],
                    level,
                    Link {
                        span: link.span + 1,
                        ..link
                    },
                );
            }
        }
        let next = self.nodes[node as usize].next;
        self.nodes[node as usize].previous = if before[0] == HEAD { NONE } else { before[0] };
        match next {
            NONE => self.last = node,
            next => self.nodes[next as usize].previous = node,
        }
    }

    /// Takes a node out of its place; member and score stay as they are.
    fn unlink(&mut self, node: u32) {
        let (before, _) = self.places_before(node);
        for (level, before) in before.into_iter().enumerate().take(self.height()) {
            let link = self.link_of(before, level);
            let new = if link.next == node {
                let after = self.link_of(node, level);
                Link {
                    span: (link.span + after.span).saturating_sub(1),
                    ..after
                }
            } else {
                Link {
                    span: link.span.saturating_sub(1),
                    ..link
                }
            };
            self.set_link(before, level, new);
        }
        let Node { previous, next, .. } = self.nodes[node as usize];
        match next {
            NONE => self.last = previous,
            next => self.nodes[next as usize].previous = previous,
        }
    }

    fn remove_at(&mut self, at: usize) {
        let node = self.members.value_at(at).node;
        self.unlink(node);
        self.nodes[node as usize].upper = Box::new([]);
        self.free.push(node);
        self.members.remove_at(at);
        // The last entry took the number of the removed one.
        if at < self.members.len() {
            let moved = self.members.value_at(at).node;
            self.nodes[moved as usize].entry = at as u32;
        }
        if self.free.len() > 64 && self.free.len() > self.members.len() * 3 {
            self.rebuild();
        }
    }

    /// Gives back the memory of free nodes.
    fn rebuild(&mut self) {
        let mut smaller = Self::new(self.members.hash_key());
        smaller.compact = self.compact;
        for (member, score) in self.ascending(0) {
            smaller.insert(member, score);
        }
        *self = smaller;
    }
}

fn height(hash: u64) -> usize {
    // The table uses the low bits.
    (((hash >> 32) as u32).trailing_zeros() as usize / 2 + 1).min(MAX_HEIGHT)
}

#[cfg(test)]
mod tests {
    use super::{Inserted, SortedSet};
    use crate::hash::HashKey;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn behaves_like_a_sorted_vector(
            steps in prop::collection::vec((0u8..4, 0u16..300, -20i8..20), 0..1500),
        ) {
            let mut set = SortedSet::new(HashKey::new([3, 5]));
            let mut model: Vec<(i8, Vec<u8>)> = Vec::new();
            for (step, member, score) in steps {
                let member = member.to_string().into_bytes();
                let before = model.iter().position(|(_, m)| *m == member);
                let old = before.map(|at| model.remove(at));
                if step == 0 {
                    prop_assert_eq!(set.remove(&member), old.is_some());
                } else {
                    let expected = match &old {
                        None => Inserted::New,
                        Some((s, _)) if *s == score => Inserted::Same,
                        Some(_) => Inserted::Moved,
                    };
                    prop_assert_eq!(set.insert(&member, f64::from(score)), expected);
                    model.push((score, member));
                    model.sort();
                }
                prop_assert_eq!(set.len(), model.len());
            }
            let found: Vec<_> = set.ascending(0).map(|(m, s)| (s as i8, m.to_vec())).collect();
            prop_assert_eq!(&found, &model);
            let last = model.len().wrapping_sub(1);
            let mut found: Vec<_> =
                set.descending(last).map(|(m, s)| (s as i8, m.to_vec())).collect();
            found.reverse();
            prop_assert_eq!(&found, &model);
            for (rank, (score, member)) in model.iter().enumerate() {
                prop_assert_eq!(set.rank(member), Some(rank));
                prop_assert_eq!(set.score(member), Some(f64::from(*score)));
                let at = set.ascending(rank).next().map(|(m, _)| m.to_vec());
                prop_assert_eq!(at.as_ref(), Some(member));
            }
            for score in -20i8..20 {
                let expected = model.iter().filter(|(s, _)| *s < score).count();
                prop_assert_eq!(set.count_scores(|s| s < f64::from(score)), expected);
            }
            let (from, count) = (model.len() / 3, model.len() / 2);
            set.remove_ranks(from, count);
            model.drain(from..(from + count).min(model.len()));
            let found: Vec<_> = set.ascending(0).map(|(m, s)| (s as i8, m.to_vec())).collect();
            prop_assert_eq!(&found, &model);
        }
    }
}
