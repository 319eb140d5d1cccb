use proptest::prelude::*;

use super::*;

fn globs(texts: &[&str]) -> Vec<Glob> {
    texts
        .iter()
        .map(|text| Glob::new(text.as_bytes()))
        .collect()
}

fn included(glob: &str, others: &[&str]) -> Inclusion {
    let others = globs(others);
    glob_included(
        &Glob::new(glob.as_bytes()),
        &others.iter().collect::<Vec<_>>(),
    )
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
        let expected = expected.map_or(Inclusion::Included, |key| Inclusion::Outside(key.into()));
        assert_eq!(included(glob, others), expected, "{glob} in {others:?}");
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
        let found = glob_overlap(&Glob::new(a.as_bytes()), &Glob::new(b.as_bytes()));
        let expected = expected.map_or(Overlap::Disjoint, |key| Overlap::Common(key.into()));
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
        let start = std::time::Instant::now();
        let found = included(glob, &others);
        if let Inclusion::Outside(key) = &found {
            assert!(Glob::new(glob.as_bytes()).matches(key));
            assert!(!globs(&others).iter().any(|other| other.matches(key)));
        }
        assert!(start.elapsed().as_secs() < 5, "{glob} {others:?} {found:?}");
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
        let outside = |key: &[u8]| glob.matches(key) && !others.iter().any(|o| o.matches(key));
        match glob_included(&glob, &others.iter().collect::<Vec<_>>()) {
            Inclusion::Included => {
                let missed = strings().into_iter().find(|key| outside(key));
                prop_assert_eq!(missed, None);
            }
            Inclusion::Outside(key) => prop_assert!(outside(&key)),
            Inclusion::Undecided => prop_assert!(false),
        }
    }

    #[test]
    fn overlap_agrees_with_the_quick_answer(a in pattern(), b in pattern()) {
        let (a, b) = (Glob::new(a.as_bytes()), Glob::new(b.as_bytes()));
        match glob_overlap(&a, &b) {
            Overlap::Disjoint => {
                // The quick answer knows nothing of the empty key, nor of empty classes.
                let quick = a.may_overlap(&b);
                prop_assert!(!quick || a.matches(b"") || b.matches(b""), "{a:?} {b:?}");
            }
            Overlap::Common(key) => prop_assert!(a.matches(&key) && b.matches(&key)),
            Overlap::Undecided => prop_assert!(false),
        }
    }

    #[test]
    fn coverage_is_what_single_touches_show(fields in fields(), allow in fields(), deny: bool) {
        let matches = |touch: &Touch<'_>| if deny { fields.denies(touch) } else { fields.allows(touch) };
        let differs = |witness: &KeyWitness| witness.ask(|t| allow.allows(t) && !matches(t));
        let found = if deny { meets_all(&fields, &allow) } else { covers(&fields, &allow) };
        match found {
            Covers::No(witness) => prop_assert!(differs(&witness), "{witness:?}"),
            Covers::Undecided => prop_assert!(false),
            Covers::Yes => {
                for (reads, writes) in [(true, false), (false, true), (true, true)] {
                    let every = KeyWitness::EveryKey { reads, writes };
                    prop_assert!(!differs(&every));
                    for key in strings() {
                        let witness = KeyWitness::Key { key, reads, writes };
                        prop_assert!(!differs(&witness), "{witness:?}");
                    }
                }
                for channel in strings() {
                    for pattern in [false, true] {
                        let witness = KeyWitness::Channel { channel: channel.clone(), pattern };
                        prop_assert!(!differs(&witness), "{witness:?}");
                    }
                }
            }
        }
    }
}
