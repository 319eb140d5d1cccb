//! Random values, all from the operating system.

use zeroize::Zeroizing;

/// The alphabet of RFC 4648 base 32: 32 letters, so that five random bits choose one evenly.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// `N` random bytes.
///
/// # Panics
/// If the operating system has no randomness to give, which does not happen once it has started:
/// to go on without would be to hand out secrets that can be guessed.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("a running operating system gives random bytes");
    bytes
}

/// `N` random bytes that are wiped when they are dropped: for keys and secrets.
///
/// # Panics
/// As [`random_bytes`].
#[must_use]
pub fn random_secret_bytes<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).expect("a running operating system gives random bytes");
    bytes
}

/// `N` random characters of `[A-Z2-7]`, five bits each.
pub(crate) fn random_base32<const N: usize>() -> [u8; N] {
    random_bytes::<N>().map(|byte| BASE32[usize::from(byte & 31)])
}

/// An id for a thing that nobody names, such as a user: 16 characters of `[a-z2-7]`, 80 bits.
///
/// Such an id never equals a reserved word: those are shorter, or hold letters in another number.
#[must_use]
pub fn random_slug() -> String {
    random_base32::<16>()
        .iter()
        .map(|&byte| char::from(byte.to_ascii_lowercase()))
        .collect()
}

/// An id for a decision: 32 hexadecimal digits, 128 bits, so that to know one is to have been told.
#[must_use]
pub fn decision_id() -> String {
    format!("{:032x}", u128::from_ne_bytes(random_bytes()))
}

/// A number for an organisation: twelve decimal digits, each number equally likely.
#[must_use]
pub fn account_number() -> String {
    const NUMBERS: u64 = 1_000_000_000_000;
    const EVEN: u64 = u64::MAX - u64::MAX % NUMBERS; // above it some numbers would be likelier
    loop {
        let drawn = u64::from_ne_bytes(random_bytes());
        if drawn < EVEN {
            return format!("{:012}", drawn % NUMBERS);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn form_and_variety() {
        type Case = (&'static str, fn() -> String, usize, fn(u8) -> bool);
        let cases: [Case; 3] = [
            (
                "slug",
                random_slug,
                16,
                |b| matches!(b, b'a'..=b'z' | b'2'..=b'7'),
            ),
            (
                "decision id",
                decision_id,
                32,
                |b| matches!(b, b'0'..=b'9' | b'a'..=b'f'),
            ),
            ("account number", account_number, 12, |b| b.is_ascii_digit()),
        ];
        for (name, make, length, allowed) in cases {
            let made: HashSet<String> = (0..1000).map(|_| make()).collect();
            assert_eq!(made.len(), 1000, "{name}: no repetition");
            assert!(
                made.iter()
                    .all(|t| t.len() == length && t.bytes().all(allowed)),
                "{name}"
            );
        }
        assert!(random_slug().parse::<keyward_iam::Slug>().is_ok());
    }

    #[test]
    fn every_character_is_equally_likely() {
        let mut counts = [0_u32; 256];
        for _ in 0..2000 {
            for byte in random_base32::<16>() {
                counts[usize::from(byte)] += 1;
            }
        }
        // 32,000 characters over 32 letters: 1000 each, standard deviation 31.
        assert!(
            BASE32
                .iter()
                .all(|&b| (750..1250).contains(&counts[usize::from(b)]))
        );
        assert_eq!(counts.iter().filter(|&&count| count > 0).count(), 32);
    }
}
