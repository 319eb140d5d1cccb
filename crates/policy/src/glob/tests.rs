use proptest::prelude::*;

use super::*;

/// A plain transcription of the rules, exponential on hostile patterns: what `Glob` must equal.
fn naive(pattern: &[u8], key: &[u8]) -> bool {
    fn go(pattern: &[u8], key: &[u8]) -> bool {
        match pattern.split_first() {
            None => key.is_empty(),
            Some((b'*', rest)) => (0..=key.len()).any(|at| go(rest, &key[at..])),
            Some((b'[', rest)) => {
                let (element, rest) = class(rest);
                !key.is_empty() && element.contains(key[0]) && go(rest, &key[1..])
            }
            Some((b'?', rest)) => !key.is_empty() && go(rest, &key[1..]),
            Some((b'\\', [byte, rest @ ..])) => key.first() == Some(byte) && go(rest, &key[1..]),
            Some((byte, rest)) => key.first() == Some(byte) && go(rest, &key[1..]),
        }
    }
    if pattern == b"*" {
        return true;
    }
    if key.is_empty() {
        pattern.is_empty()
    } else {
        go(pattern, key)
    }
}

#[test]
fn the_servers_special_cases() {
    let cases: &[(&str, &str, bool)] = &[
        ("*", "", true),
        ("**", "", false),
        ("**", "a", true),
        ("", "", true),
        ("", "a", false),
        ("a*", "a", true),
        ("a**", "a", true),
        ("h?llo", "hello", true),
        ("h?llo", "hllo", false),
        ("h[ae]llo", "hallo", true),
        ("h[^e]llo", "hello", false),
        ("h[^e]llo", "hbllo", true),
        ("[z-a]", "m", true),
        ("[a-", "a", true),
        ("[a-", "-", true),
        ("[a-", "b", false),
        ("[a-]", "]", true),
        ("[a-]", "b", false),
        ("[a-]x", "^", true),
        ("[ab", "b", true),
        ("[", "[", false),
        ("[]", "]", false),
        ("[]a]", "a]", false),
        ("[^", "x", true),
        ("[^]", "x", true),
        ("[\\]]", "]", true),
        ("[\\", "\\", true),
        ("\\*", "*", true),
        ("\\*", "a", false),
        ("a\\", "a\\", true),
        ("\\a*", "abc", true),
        ("session:*", "session:", true),
        ("session:*", "sessio", false),
        ("*:lock", "a:lock", true),
        ("*:lock", ":lock", true),
        ("a*b*c", "abc", true),
        ("a*b*c", "acb", false),
        ("ab*ba", "aba", false),
        ("A", "a", false),
        ("a/*", "a/b/c", true),
    ];
    for (pattern, key, expected) in cases {
        let glob = Glob::new(pattern.as_bytes());
        assert_eq!(
            glob.matches(key.as_bytes()),
            *expected,
            "{pattern:?} on {key:?}"
        );
        assert_eq!(
            naive(pattern.as_bytes(), key.as_bytes()),
            *expected,
            "{pattern:?} on {key:?}"
        );
    }
    assert!(Glob::new(b"[a-\xff]").matches(b"\xff"));
    assert!(Glob::new(b"[a-\xff]").matches(b"0"));
    assert!(!Glob::new(b"[a-\xff]").matches(b"b"));
}

#[test]
fn shapes() {
    // (text, exact, prefix)
    let cases: &[(&str, Option<&str>, Option<&str>)] = &[
        ("*", None, Some("")),
        ("**", None, None),
        ("a", Some("a"), None),
        ("a\\*", Some("a*"), None),
        ("a*", None, Some("a")),
        ("a***", None, Some("a")),
        ("\\a*", None, Some("a")),
        ("a*b", None, None),
        ("", Some(""), None),
    ];
    for (text, exact, prefix) in cases {
        let glob = Glob::new(text.as_bytes());
        assert_eq!(glob.as_exact(), exact.map(str::as_bytes), "{text}");
        assert_eq!(glob.as_prefix(), prefix.map(str::as_bytes), "{text}");
    }
}

#[test]
fn literal_ends() {
    let cases = [
        ("*", "", ""),
        ("**", "", ""),
        ("a\\*", "a*", ""),
        ("a*", "a", ""),
        ("a*b", "a", "b"),
        ("a?b", "a", "b"),
        ("a?", "a", ""),
        ("*ab", "", "ab"),
        ("a[b]c*d\\*", "a", "d*"),
    ];
    for (text, prefix, suffix) in cases {
        let glob = Glob::new(text.as_bytes());
        assert_eq!(glob.literal_prefix(), prefix.as_bytes(), "{text}");
        assert_eq!(glob.literal_suffix(), suffix.as_bytes(), "{text}");
    }
}

#[test]
fn overlap() {
    let cases = [
        ("news:*", "news:?", true),
        ("s*", "secret:*", true),
        ("a*", "b*", false),
        ("*a", "*b", false),
        ("*a*", "*b*", true),
        ("a?c", "a[b]c", true),
        ("a?c", "a[]c", false),
        ("abc", "ab", false),
        ("abc", "ab*c", true),
        ("*", "anything", true),
        ("[a-c]", "[d-f]", false),
        ("", "a*", false),
        ("x*", "*y", true),
    ];
    for (a, b, expected) in cases {
        let (a, b) = (Glob::new(a.as_bytes()), Glob::new(b.as_bytes()));
        assert_eq!(a.may_overlap(&b), expected, "{a:?} {b:?}");
        assert_eq!(b.may_overlap(&a), expected, "{b:?} {a:?}");
    }
    let globs = [Glob::new(b"a"), Glob::new(b"b*c")];
    assert!(Glob::any_may_overlap(&globs, b"?x*"));
    assert!(!Glob::any_may_overlap(&globs, b"c*"));
    assert!(Glob::any_may_overlap(
        &globs,
        &[b'z'; MAX_COMPARED_PATTERN + 1]
    ));
    assert!(!Glob::any_may_overlap([], b"*"));
}

#[test]
fn documents_may_not_have() {
    let cases = [
        ("**".to_owned(), Some(GlobError::OnlyStars)),
        ("[a-é]".to_owned(), Some(GlobError::RangeOutsideAscii)),
        ("[^é-z".to_owned(), Some(GlobError::RangeOutsideAscii)),
        ("[é]".to_owned(), None),
        ("\\[a-é]".to_owned(), None),
        ("a".repeat(1024), None),
        ("a".repeat(1025), Some(GlobError::TooLong { found: 1025 })),
        ("*a".repeat(500), None),
        (
            "*a".repeat(501),
            Some(GlobError::TooManyStars { found: 501 }),
        ),
        ("a**".to_owned(), None),
    ];
    for (text, expected) in cases {
        assert_eq!(check_pattern(text.as_bytes()).err(), expected, "{text}");
    }
}

/// Steps are counted by time here, with a bound that backtracking would pass by far: 64 KiB of key
/// against patterns of 1,000 bytes.
#[test]
fn hostile_patterns_are_linear() {
    let key = vec![b'a'; 1 << 16];
    let patterns = [
        "*a".repeat(500) + "b*",
        "*".to_owned() + &"a".repeat(1000) + "b*",
        "*".to_owned() + &"?".repeat(1000) + "b*",
        "*".to_owned() + &"[a-c]".repeat(190) + "[^a]*",
        "*?".repeat(450) + "b" + "*a".repeat(20).as_str() + "*",
        "*aaaaaaaab".repeat(100) + "*",
    ];
    for pattern in patterns {
        let glob = Glob::new(pattern.as_bytes());
        let start = std::time::Instant::now();
        assert!(!glob.matches(&key));
        let took = start.elapsed();
        assert!(took.as_secs() < 5, "{took:?} for {}…", &pattern[..20]);
    }
}

#[test]
fn by_bits_finds_the_same_place() {
    let pattern = "ab?".repeat(50);
    let glob = Glob::new(format!("*{pattern}*").as_bytes());
    let Shape::General(general) = &glob.shape else {
        panic!("{glob:?}")
    };
    let mut key = b"abx".repeat(49);
    key.extend_from_slice(b"zz");
    key.extend(b"aby".repeat(50));
    let segment = general.segment(1);
    assert_eq!(find_by_bits(segment, &key), Some(149));
    assert_eq!(find(segment, &key, &mut usize::MAX.clone()), Some(149));
    assert_eq!(find(segment, &key, &mut 0), Some(149));
}

fn small_pattern() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(b"**??[]^-\\abcd\x80\xff".to_vec());
    prop::collection::vec(byte, 0..10)
}

fn small_key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"aaabbcd-]^\\\x80\xff".to_vec()), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn equals_the_rules(pattern in small_pattern(), key in small_key()) {
        let glob = Glob::new(&pattern);
        prop_assert_eq!(glob.matches(&key), naive(&pattern, &key));
        if glob.matches(&key) {
            prop_assert!(key.starts_with(glob.literal_prefix()));
            prop_assert!(key.ends_with(glob.literal_suffix()));
        }
    }

    #[test]
    fn overlap_is_never_wrongly_denied(a in small_pattern(), b in small_pattern(), key in small_key()) {
        let (a, b) = (Glob::new(&a), Glob::new(&b));
        if a.matches(&key) && b.matches(&key) {
            prop_assert!(a.may_overlap(&b));
        }
        prop_assert_eq!(a.may_overlap(&b), b.may_overlap(&a));
    }
}

/// Documents have a million characters of patterns.
#[test]
fn patterns_take_a_few_bytes_a_character() {
    for (text, most) in [
        ("*a".repeat(500), 8),
        ("*".to_owned() + &"a".repeat(999), 6),
    ] {
        let bytes = Glob::new(text.as_bytes()).heap_bytes();
        assert!(
            bytes < most * text.len() + 256,
            "{bytes} for {}",
            &text[..4]
        );
    }
}
