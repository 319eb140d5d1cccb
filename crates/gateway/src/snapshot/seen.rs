//! Which keys a restore has written already, in a fixed amount of memory.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

/// Bits of the filter: 8 MiB.
const BITS: u64 = 64 * 1024 * 1024;

/// Bits for each key.
const BITS_A_KEY: u64 = 4;

/// Keys that were seen (a Bloom filter). A server may list a key twice while it is asked for all
/// of them, so a snapshot may hold one twice, and the second record must not be taken for a key
/// that somebody else has written. "Seen" is wrong for one key in a thousand at 5 million keys;
/// "not seen" is never wrong.
pub(crate) struct SeenKeys {
    bits: Vec<u64>,
    hash: RandomState,
}

impl SeenKeys {
    pub(crate) fn new() -> Self {
        Self {
            bits: vec![0; (BITS / 64) as usize],
            hash: RandomState::new(),
        }
    }

    /// Whether a key was seen before; from now on it was.
    pub(crate) fn insert(&mut self, database: u32, key: &[u8]) -> bool {
        let hash = self.hash.hash_one((database, key));
        let step = (hash >> 32) | 1;
        let mut seen = true;
        for round in 0..BITS_A_KEY {
            let bit = hash.wrapping_add(round.wrapping_mul(step)) % BITS;
            let word = &mut self.bits[(bit / 64) as usize];
            let mask = 1 << (bit % 64);
            seen &= *word & mask != 0;
            *word |= mask;
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::SeenKeys;

    #[test]
    fn what_was_seen_is_known_and_little_else() {
        let mut seen = SeenKeys::new();
        let name = |number: u32| format!("key:{number}").into_bytes();
        let new = (0..100_000).filter(|number| !seen.insert(0, &name(*number)));
        assert!(new.count() > 99_990);
        assert!((0..100_000).all(|number| seen.insert(0, &name(number))));
        assert!(!seen.insert(1, &name(0)));
    }
}
