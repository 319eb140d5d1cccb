//! Keyed hash of keys, fields and members.

/// Key of the hash function. Whoever does not know it cannot make keys that collide.
#[derive(Clone, Copy)]
pub(crate) struct HashKey {
    first: u64,
    second: u64,
}

impl HashKey {
    pub(crate) fn new(seed: [u64; 2]) -> Self {
        Self {
            first: seed[0],
            second: seed[1],
        }
    }

    /// SipHash-1-3 of `bytes`: the function of the standard library's maps, with a key of our own.
    #[inline]
    pub(crate) fn hash(self, bytes: &[u8]) -> u64 {
        let mut v0 = self.first ^ 0x736f_6d65_7073_6575;
        let mut v1 = self.second ^ 0x646f_7261_6e64_6f6d;
        let mut v2 = self.first ^ 0x6c79_6765_6e65_7261;
        let mut v3 = self.second ^ 0x7465_6462_7974_6573;
        let round = |v0: &mut u64, v1: &mut u64, v2: &mut u64, v3: &mut u64| {
            *v0 = v0.wrapping_add(*v1);
            *v2 = v2.wrapping_add(*v3);
            *v1 = v1.rotate_left(13) ^ *v0;
            *v3 = v3.rotate_left(16) ^ *v2;
            *v0 = v0.rotate_left(32);
            *v2 = v2.wrapping_add(*v1);
            *v0 = v0.wrapping_add(*v3);
            *v1 = v1.rotate_left(17) ^ *v2;
            *v3 = v3.rotate_left(21) ^ *v0;
            *v2 = v2.rotate_left(32);
        };
        let (blocks, rest) = bytes.as_chunks::<8>();
        for block in blocks {
            let word = u64::from_le_bytes(*block);
            v3 ^= word;
            round(&mut v0, &mut v1, &mut v2, &mut v3);
            v0 ^= word;
        }
        let mut last = (bytes.len() as u64) << 56;
        for (at, byte) in rest.iter().enumerate() {
            last |= u64::from(*byte) << (8 * at);
        }
        v3 ^= last;
        round(&mut v0, &mut v1, &mut v2, &mut v3);
        v0 ^= last;
        v2 ^= 0xff;
        for _ in 0..3 {
            round(&mut v0, &mut v1, &mut v2, &mut v3);
        }
        v0 ^ v1 ^ v2 ^ v3
    }
}

#[cfg(test)]
mod tests {
    use super::HashKey;
    use std::hash::Hasher;

    #[test]
    fn agrees_with_the_standard_library_at_the_zero_key() {
        for length in 0..70 {
            let bytes: Vec<u8> = (0..length).map(|at| (at * 7 + 3) as u8).collect();
            // `DefaultHasher::new` is SipHash-1-3 with a key of zeros.
            let mut hasher = std::hash::DefaultHasher::new();
            hasher.write(&bytes);
            assert_eq!(
                HashKey::new([0, 0]).hash(&bytes),
                hasher.finish(),
                "{length}"
            );
        }
    }

    #[test]
    fn depends_on_the_key() {
        assert_ne!(
            HashKey::new([1, 2]).hash(b"key"),
            HashKey::new([1, 3]).hash(b"key")
        );
    }
}
