use proptest::prelude::*;

use super::*;
use crate::{KeyUse, Touch};

const WORK: u64 = 5_000_000;

fn globs(texts: &[&str]) -> Vec<Glob> {
    texts
        .iter()
        .map(|text| Glob::new(text.as_bytes()))
        .collect()
}

/// A string that matches `glob` and none of `others`.
fn outside(glob: &Glob, others: &[Glob]) -> Option<Vec<u8>> {
    let mut languages = Languages::default();
    let inside = languages.globs([glob]);
    let outside = languages.globs(others).negated();
    let both = Formula::All([inside, outside].into());
    languages.find(&both, &mut Work::new(WORK)).unwrap()
}

/// A string that matches both.
fn common(a: &Glob, b: &Glob) -> Option<Vec<u8>> {
    let mut languages = Languages::default();
    let both = Formula::All([languages.globs([a]), languages.globs([b])].into());
    languages.find(&both, &mut Work::new(WORK)).unwrap()
}

#[test]
fn inclusion() {
    // (pattern, others, what lies outside)
    let cases: &[(&str, &[&str], Option<&str>)] = &[
        ("session:*", &["session:*"], None),
        ("session:*", &["*"], None),
        ("session:*", &["session:?*", "session:"], None),
        ("session:*", &["session:?*"], Some("session:")),
        ("session:*", &["session:1*"], Some("session:")),
        ("*", &["?*"], Some("")),
        ("*", &["?*", ""], None),
        ("*", &["a*"], Some("key")),
        ("a?c", &["a[a-z]c", "a[^a-z]c"], None),
        ("a?c", &["a[a-z]c"], Some("a1c")),
        ("*a*b*", &["*a*", "x"], None),
        ("*a*", &["*a*b*"], Some("1a1")),
        ("*a*", &["*a*b*", "1a*"], Some("a")),
        ("[ab]c", &["ac", "bc"], None),
        ("[ab]c", &["ac"], Some("bc")),
        ("**", &["*?"], None),
        ("[]x", &[], None),
        ("x", &[], Some("x")),
        ("", &["*"], None),
        ("", &["**"], Some("")),
        ("a\\*", &["a*"], None),
        ("a*", &["a\\*"], Some("a1")),
        ("*ab", &["*b"], None),
        ("*b", &["*ab", "*[^a]b"], Some("b")),
        ("*b", &["*ab", "*[^a]b", "b"], None),
    ];
    for (glob, others, expected) in cases {
        let found = outside(&Glob::new(glob.as_bytes()), &globs(others));
        let expected = expected.map(|key| key.as_bytes().to_vec());
        assert_eq!(found, expected, "{glob} in {others:?}");
    }
}

#[test]
fn overlap() {
    let cases = [
        ("a*", "*b", Some("ab")),
        ("a*", "b*", None),
        ("a?", "?b", Some("ab")),
        ("*a*", "[^a][^a]", None),
        ("*", "", Some("")),
        ("", "**", None),
        ("user:*:cart", "user:7:*", Some("user:7:cart")),
    ];
    for (a, b, expected) in cases {
        let found = common(&Glob::new(a.as_bytes()), &Glob::new(b.as_bytes()));
        let expected = expected.map(|key: &str| key.as_bytes().to_vec());
        assert_eq!(found, expected, "{a} and {b}");
    }
}

#[test]
fn patterns_made_to_hurt_have_an_answer() {
    let stars = "*a".repeat(400) + "*";
    let places = format!("*a{}", "?".repeat(500));
    let classes = format!("*[ab]{}b", "[a-y]".repeat(100));
    for (glob, others) in [
        (stars.as_str(), vec!["*a*", "*b*"]),
        (&stars, vec![&places, &classes]),
        (&places, vec![&stars, &classes]),
        (&classes, vec![&places, &stars]),
        (&classes, vec![&classes]),
        ("*", vec![&places, &stars, &classes]),
    ] {
        let mut languages = Languages::default();
        let (glob, others) = (Glob::new(glob.as_bytes()), globs(&others));
        let inside = languages.globs([&glob]);
        let without = languages.globs(&others).negated();
        let both = Formula::All([inside, without].into());
        let start = std::time::Instant::now();
        let found = languages.find(&both, &mut Work::new(WORK));
        if let Ok(Some(key)) = &found {
            assert!(glob.matches(key));
            assert!(!others.iter().any(|other| other.matches(key)));
        }
        assert!(
            start.elapsed().as_secs() < 5,
            "{glob:?} {others:?} {found:?}"
        );
    }
}

fn pattern() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "b", "*", "?", "[ab]", "[^a]", "\\*", "*", "a", "b", ":",
    ]);
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn fields() -> impl Strategy<Value = KeyPatterns> {
    let list = || prop::collection::vec(pattern(), 0..3);
    (list(), list(), list(), list()).prop_map(|(keys, read_keys, write_keys, channels)| {
        let globs = |texts: Vec<String>| {
            texts
                .iter()
                .map(|text| Glob::new(text.as_bytes()))
                .collect()
        };
        KeyPatterns {
            keys: globs(keys),
            read_keys: globs(read_keys),
            write_keys: globs(write_keys),
            channels: globs(channels),
        }
    })
}

/// Every string of up to five of these bytes: longer ones tell such patterns no further apart.
fn strings() -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    let mut from = 0;
    for _ in 0..5 {
        let to = all.len();
        for at in from..to {
            for byte in *b"ab:*z" {
                all.push([&all[at][..], &[byte]].concat());
            }
        }
        from = to;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn inclusion_is_what_strings_show(
        glob in pattern(), others in prop::collection::vec(pattern(), 0..4),
    ) {
        let glob = Glob::new(glob.as_bytes());
        let others: Vec<Glob> = others.iter().map(|text| Glob::new(text.as_bytes())).collect();
        let is_outside = |key: &[u8]| glob.matches(key) && !others.iter().any(|o| o.matches(key));
        match outside(&glob, &others) {
            None => prop_assert_eq!(strings().into_iter().find(|key| is_outside(key)), None),
            Some(key) => prop_assert!(is_outside(&key)),
        }
    }

    #[test]
    fn overlap_agrees_with_the_quick_answer(a in pattern(), b in pattern()) {
        let (a, b) = (Glob::new(a.as_bytes()), Glob::new(b.as_bytes()));
        match common(&a, &b) {
            None => {
                // The quick answer knows nothing of the empty key, nor of empty classes.
                let quick = a.may_overlap(&b);
                prop_assert!(!quick || a.matches(b"") || b.matches(b""), "{a:?} {b:?}");
            }
            Some(key) => prop_assert!(a.matches(&key) && b.matches(&key)),
        }
    }

    #[test]
    fn key_fields_mean_what_the_matcher_says(fields in fields(), reads: bool, writes: bool, deny: bool) {
        let writes = writes || !reads;
        let effect = if deny { Effect::Deny } else { Effect::Allow };
        let mut languages = Languages::default();
        let formula = languages.key(&fields, effect, reads, writes);
        for key in strings() {
            let touch = Touch::Named {
                keys: &[KeyUse { key: &key, reads, writes }],
                channels: &[],
            };
            let matches = if deny { fields.denies(&touch) } else { fields.allows(&touch) };
            prop_assert_eq!(languages.holds(&formula, &key), matches, "{:?}", key);
        }
    }
}
