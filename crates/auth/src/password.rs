//! People's passwords: how they are hashed, and which are too weak.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq as _;

use crate::random::random_bytes;

/// Memory of one hash, in KiB; with [`PASSES`] what OWASP's Password Storage Cheat Sheet asks of argon2id.
const MEMORY: u32 = 19 * 1024;

/// Passes over the memory.
const PASSES: u32 = 2;

/// Most memory that a stored hash may ask for, in KiB: what was written by a later version with
/// other parameters still verifies, what was damaged cannot exhaust the machine.
const MOST_MEMORY: u32 = 256 * 1024;

/// Most passes that a stored hash may ask for.
const MOST_PASSES: u32 = 16;

const SALT_LEN: usize = 16;
const HASH_LEN: usize = 32;

/// Fewest characters of a password (NIST SP 800-63B asks for 8 at least, 15 where it stands alone).
pub const MIN_PASSWORD_CHARS: usize = 12;

/// Most bytes of a password.
pub const MAX_PASSWORD_LEN: usize = 1024;

/// Hashes a password with a fresh salt, as a PHC string. Takes 19 MiB and tens of milliseconds: not
/// for a thread that has other things to do.
#[must_use]
pub fn hash_password(password: &str) -> String {
    let salt: [u8; SALT_LEN] = random_bytes();
    let hash = argon2id(password, &salt, MEMORY, PASSES, 1).expect("the parameters are argon2's");
    format!(
        "$argon2id$v=19$m={MEMORY},t={PASSES},p=1${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(hash)
    )
}

/// Whether a password is the one that was hashed. `None`, for somebody who does not exist or has
/// no password, takes the same work and is never right.
#[must_use]
pub fn verify_password(stored: Option<&str>, password: &str) -> bool {
    let nobody = Stored {
        memory: MEMORY,
        passes: PASSES,
        lanes: 1,
        salt: vec![0; SALT_LEN],
        hash: vec![0; HASH_LEN],
    };
    let found = stored.and_then(Stored::parse);
    let exists = found.is_some();
    let stored = found.unwrap_or(nobody);
    let hash = argon2id(
        password,
        &stored.salt,
        stored.memory,
        stored.passes,
        stored.lanes,
    );
    hash.is_some_and(|hash| bool::from(hash.ct_eq(&stored.hash))) && exists
}

fn argon2id(
    password: &str,
    salt: &[u8],
    memory: u32,
    passes: u32,
    lanes: u32,
) -> Option<[u8; HASH_LEN]> {
    let params = Params::new(memory, passes, lanes, Some(HASH_LEN)).ok()?;
    let mut hash = [0; HASH_LEN];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut hash)
        .ok()?;
    Some(hash)
}

/// A PHC string, read.
struct Stored {
    memory: u32,
    passes: u32,
    lanes: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Stored {
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("$argon2id$v=19$")?;
        let mut parts = rest.split('$');
        let (parameters, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        let mut parameters = parameters.split(',');
        let mut number = |name: &str| -> Option<u32> {
            let value = parameters.next()?.strip_prefix(name)?;
            value.strip_prefix('=')?.parse().ok()
        };
        let stored = Self {
            memory: number("m")?,
            passes: number("t")?,
            lanes: number("p")?,
            salt: STANDARD_NO_PAD.decode(salt).ok()?,
            hash: STANDARD_NO_PAD.decode(hash).ok()?,
        };
        let fits = stored.memory <= MOST_MEMORY
            && stored.passes <= MOST_PASSES
            && stored.lanes <= 4
            && stored.salt.len() >= 8
            && stored.hash.len() == HASH_LEN
            && parts.next().is_none();
        fits.then_some(stored)
    }
}

/// Why a password is refused, and what would be better.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WeakPassword {
    /// Fewer than [`MIN_PASSWORD_CHARS`] characters.
    #[error(
        "the password has {found} characters: {MIN_PASSWORD_CHARS} at least, several unrelated words are best"
    )]
    Short {
        /// Number of characters.
        found: usize,
    },
    /// More than [`MAX_PASSWORD_LEN`] bytes.
    #[error("the password has more than {MAX_PASSWORD_LEN} bytes")]
    Long,
    /// Little is left without names, common words, rows of keys and repetition.
    #[error(
        "the password can be guessed: it is mostly {mostly}; add words that have nothing to do with it"
    )]
    Guessable {
        /// What it consists of.
        mostly: &'static str,
    },
}

/// Characters that must be left when everything that guessers try first counts as one.
const MIN_EFFECTIVE: usize = 8;

/// Words that passwords are made of; leaked lists begin with them, alone or with digits behind.
const COMMON: [&str; 78] = [
    "password",
    "passwort",
    "passwd",
    "welcome",
    "willkommen",
    "letmein",
    "qwerty",
    "qwertz",
    "azerty",
    "admin",
    "administrator",
    "root",
    "login",
    "master",
    "dragon",
    "monkey",
    "shadow",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "iloveyou",
    "superman",
    "batman",
    "trustno1",
    "starwars",
    "whatever",
    "freedom",
    "hello",
    "secret",
    "summer",
    "winter",
    "spring",
    "autumn",
    "january",
    "february",
    "march",
    "april",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "test",
    "guest",
    "user",
    "default",
    "changeme",
    "redis",
    "valkey",
    "keyward",
    "server",
    "database",
    "company",
    "office",
    "internet",
    "computer",
    "samsung",
    "google",
    "apple",
    "microsoft",
    "michael",
    "jordan",
    "charlie",
    "jennifer",
    "liverpool",
    "chelsea",
    "arsenal",
    "correcthorsebatterystaple",
];

/// Rows of keys and the alphabet: pieces of them, in either direction, are no surprise.
const ROWS: [&str; 6] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "qwertzuiop",
    "asdfghjkl",
    "zxcvbnm",
];

/// Refuses passwords that are short or that guessers try first. `names`: what the person is called
/// (name, sign-in name), which counts for nothing.
///
/// # Errors
/// What is wrong with it.
pub fn check_password(password: &str, names: &[&str]) -> Result<(), WeakPassword> {
    let found = password.chars().count();
    if found < MIN_PASSWORD_CHARS {
        return Err(WeakPassword::Short { found });
    }
    if password.len() > MAX_PASSWORD_LEN {
        return Err(WeakPassword::Long);
    }
    let plain: Vec<char> = password.to_lowercase().chars().map(unleet).collect();
    let own: Vec<Vec<char>> = names
        .iter()
        .flat_map(|name| name.split(|c: char| !c.is_alphanumeric()))
        .map(|word| word.to_lowercase().chars().map(unleet).collect())
        .filter(|word: &Vec<char>| word.len() >= 3)
        .collect();
    let common: Vec<Vec<char>> = COMMON
        .iter()
        .map(|word| word.chars().map(unleet).collect())
        .collect();
    let raw: Vec<char> = password.to_lowercase().chars().collect();

    let longest = |words: &[Vec<char>], rest: &[char]| {
        let matching = words.iter().filter(|word| rest.starts_with(word));
        matching.map(Vec::len).max().unwrap_or(0)
    };
    let (mut at, mut effective) = (0, 0);
    let mut covered = [0_usize; 4]; // names, words, rows, repetition
    while at < raw.len() {
        let spans = [
            longest(&own, plain.get(at..).unwrap_or_default()),
            longest(&common, plain.get(at..).unwrap_or_default()),
            row(&raw[at..]),
            repetition(&raw[at..]),
        ];
        let (kind, span) = spans
            .iter()
            .copied()
            .enumerate()
            .max_by_key(|(kind, span)| (*span, 4 - kind))
            .unwrap_or_default();
        effective += 1;
        if span >= 3 {
            covered[kind] += span;
            at += span;
        } else {
            at += 1;
        }
    }
    if effective >= MIN_EFFECTIVE {
        return Ok(());
    }
    let kinds = [
        "your name",
        "words that many passwords have",
        "a row of keys or digits",
        "repetition",
    ];
    let most = (0..4).max_by_key(|kind| covered[*kind]).unwrap_or(0);
    Err(WeakPassword::Guessable {
        mostly: kinds[most],
    })
}

/// A letter for what is often written in its place.
fn unleet(c: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    }
}

/// Length of the piece of one of [`ROWS`] that a text begins with.
fn row(text: &[char]) -> usize {
    let mut longest = 0;
    for row in ROWS {
        let forward: Vec<char> = row.chars().collect();
        let backward: Vec<char> = row.chars().rev().collect();
        for row in [forward, backward] {
            for from in 0..row.len() {
                let common = row[from..].iter().zip(text).take_while(|(a, b)| a == b);
                longest = longest.max(common.count());
            }
        }
    }
    longest
}

/// Length of what a text begins with that only repeats its first one to four characters.
fn repetition(text: &[char]) -> usize {
    let repeated = |period: usize| {
        let same = text.iter().zip(text.iter().skip(period));
        let more = same.take_while(|(a, b)| a == b).count();
        if more >= period.max(2) {
            more + period
        } else {
            0
        }
    };
    (1..=4).map(repeated).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_verify() {
        let stored = hash_password("open sesame, please");
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        assert!(verify_password(Some(&stored), "open sesame, please"));
        assert!(!verify_password(Some(&stored), "open sesame, pleasE"));
        assert_ne!(stored, hash_password("open sesame, please"), "salted");
        assert!(!verify_password(None, ""));
    }

    #[test]
    fn a_hash_of_the_reference_implementation_verifies() {
        // Made with argon2-cffi, which stands on the reference implementation in C.
        let stored = include_str!("../tests/data/argon2id.txt");
        for line in stored.lines() {
            let (password, hash) = line.split_once('\t').unwrap();
            assert!(verify_password(Some(hash), password), "{line}");
            assert!(!verify_password(Some(hash), "another"), "{line}");
        }
    }

    #[test]
    fn damaged_or_greedy_hashes_are_never_right() {
        for stored in [
            "",
            "$argon2id$",
            "$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$AAAA",
            "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=19456,t=4000000,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA$x",
        ] {
            assert!(!verify_password(Some(stored), "x"), "{stored}");
        }
    }

    #[test]
    fn weak_passwords() {
        let cases = [
            ("short", false),
            ("elevenchars", false),
            ("password1234", false),
            ("P@ssw0rd12345", false),
            ("aaaaaaaaaaaaaaaa", false),
            ("abababababababab", false),
            ("123456789012345", false),
            ("qwertyuiop123", false),
            ("alice.example1", false),
            ("AliceExample2026", false),
            ("welcomewelcome1", false),
            ("correct horse battery staple", true),
            ("Tr0ubador&3xyz", true),
            ("hunter hides behind", true),
            ("kühler Fluß im Wald", true),
            ("x7#kQ9!mVz2w", true),
        ];
        for (password, accepted) in cases {
            let found = check_password(password, &["Alice", "alice@example.com"]);
            assert_eq!(found.is_ok(), accepted, "{password}: {found:?}");
        }
        assert_eq!(
            check_password(&"ab9 ".repeat(400), &[]),
            Err(WeakPassword::Long)
        );
    }
}
