//! A radix tree over byte strings in three flat arrays: finds all stored strings that a key begins
//! with (or, reversed, ends with), in time linear in the key, without allocation.

/// Which end of the key is walked from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Front,
    /// Stored strings are reversed suffixes.
    Back,
}

/// Maps byte strings to small numbers: their places in ascending order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trie {
    /// Children of a node stand together, in the order of their first bytes.
    nodes: Box<[Node]>,
    /// The first byte of each node's label.
    firsts: Box<[u8]>,
    labels: Box<[u8]>,
}

#[derive(Clone, Debug)]
struct Node {
    /// Where in `labels` the rest of the label stands, without its first byte.
    label: u32,
    label_len: u32,
    children: u32,
    children_len: u32,
    /// The number of the string that ends here, or `NONE`.
    number: u32,
}

const NONE: u32 = u32::MAX;

impl Trie {
    /// Builds from distinct strings in ascending order; each one's number is its position.
    pub(crate) fn new<T: AsRef<[u8]>>(sorted: &[T]) -> Self {
        let text = |i: usize| sorted[i].as_ref();
        let mut nodes = Vec::new();
        let mut firsts = Vec::new();
        let mut labels: Vec<u8> = Vec::new();
        let node = |label: usize, label_len: usize| Node {
            label: label as u32,
            label_len: label_len as u32,
            children: 0,
            children_len: 0,
            number: NONE,
        };
        nodes.push(node(0, 0));
        firsts.push(0);
        // Of each node: the strings that pass through it and how far they are read there.
        let mut open = vec![(0, sorted.len(), 0)];
        let mut next = 0;
        while let Some(&(mut from, to, depth)) = open.get(next) {
            let current = next;
            next += 1;
            if from < to && text(from).len() == depth {
                nodes[current].number = from as u32;
                from += 1;
            }
            nodes[current].children = nodes.len() as u32;
            while from < to {
                let first = text(from)[depth];
                let run = run_end(from, to, |i| text(i)[depth] == first);
                let (a, b) = (text(from), text(run - 1));
                let common = a.iter().zip(b).take_while(|(x, y)| x == y).count();
                nodes.push(node(labels.len(), common - depth - 1));
                nodes[current].children_len += 1;
                firsts.push(first);
                labels.extend_from_slice(&a[depth + 1..common]);
                open.push((from, run, common));
                from = run;
            }
        }
        Self {
            nodes: nodes.into(),
            firsts: firsts.into(),
            labels: labels.into(),
        }
    }

    /// Calls `found` with the number and length of each stored string that `key` begins (ends)
    /// with, shortest first, until it answers `true`; says whether it did.
    #[inline]
    pub(crate) fn walk(
        &self,
        key: &[u8],
        end: End,
        mut found: impl FnMut(u32, usize) -> bool,
    ) -> bool {
        let Some(mut node) = self.nodes.first() else {
            return false;
        };
        let mut at = 0;
        loop {
            if node.number != NONE && found(node.number, at) {
                return true;
            }
            if at == key.len() || node.children_len == 0 {
                return false;
            }
            let byte = match end {
                End::Front => key[at],
                End::Back => key[key.len() - 1 - at],
            };
            let from = node.children as usize;
            let firsts = &self.firsts[from..from + node.children_len as usize];
            let Some(child) = position(firsts, byte) else {
                return false;
            };
            node = &self.nodes[from + child];
            at += 1;
            // Empty labels are common, and comparing them is a call.
            if node.label_len != 0 {
                let label = &self.labels[node.label as usize..][..node.label_len as usize];
                if key.len() - at < label.len() {
                    return false;
                }
                let same = match end {
                    End::Front => key[at..at + label.len()] == *label,
                    End::Back => key[..key.len() - at]
                        .iter()
                        .rev()
                        .zip(label)
                        .all(|(a, b)| a == b),
                };
                if !same {
                    return false;
                }
                at += label.len();
            }
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.nodes) + self.firsts.len() + self.labels.len()
    }
}

/// Position of a byte in an ascending list.
#[inline]
fn position(firsts: &[u8], byte: u8) -> Option<usize> {
    if firsts.len() <= 16 {
        return firsts.iter().position(|first| *first == byte);
    }
    firsts.binary_search(&byte).ok()
}

/// The first position in a range that does not belong to its leading run.
fn run_end(mut from: usize, mut to: usize, belongs: impl Fn(usize) -> bool) -> usize {
    while from < to {
        let middle = from + (to - from) / 2;
        if belongs(middle) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_scan_finds(
            texts in prop::collection::btree_set("[ab\u{0}]{0,6}|x[a-z]", 0..40),
            key in "[ab\u{0}]{0,8}|x[a-z]y",
        ) {
            let texts: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
            let trie = Trie::new(&texts);
            let mut found = Vec::new();
            trie.walk(key.as_bytes(), End::Front, |number, len| {
                found.push((number as usize, len));
                false
            });
            let mut expected: Vec<_> = (0..texts.len())
                .filter(|i| key.as_bytes().starts_with(&texts[*i]))
                .map(|i| (i, texts[i].len()))
                .collect();
            expected.sort_by_key(|(_, len)| *len);
            prop_assert_eq!(found, expected);

            let reversed = |text: &Vec<u8>| text.iter().rev().copied().collect::<Vec<u8>>();
            let backwards: BTreeSet<_> = texts.iter().map(reversed).collect();
            let backwards: Vec<_> = backwards.into_iter().collect();
            let mut found = 0;
            Trie::new(&backwards).walk(key.as_bytes(), End::Back, |number, len| {
                let text = reversed(&backwards[number as usize]);
                assert!(key.as_bytes().ends_with(&text) && text.len() == len);
                found += 1;
                false
            });
            let expected = texts.iter().filter(|text| key.as_bytes().ends_with(text)).count();
            prop_assert_eq!(found, expected);
        }
    }
}
