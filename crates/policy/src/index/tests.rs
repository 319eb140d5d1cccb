use proptest::prelude::*;

use super::*;

fn glob() -> impl Strategy<Value = Glob> {
    let texts = [
        "*", "**", "a", "b", "ab", "a*", "ab*", "\\a*", "abc*", "*b", "*c", "a*c", "a*b", "a?",
        "?", "[ab]*", "*a*", "", "b*", "\\*", "a*a", "a*ba", "*ab", "*cc", "*bc", "*ac", "*aa",
        "*aa*", "*b*", "*ab*", "*ba*", "*bb*", "*c*", "?b*", "?a?", "[ab]b?", "a?*", "*ca*",
    ];
    prop::sample::select(texts.to_vec()).prop_map(|text| Glob::new(text.as_bytes()))
}

fn globs(most: usize) -> impl Strategy<Value = Box<[Glob]>> {
    prop::collection::vec(glob(), 0..most).prop_map(Vec::into_boxed_slice)
}

fn patterns() -> impl Strategy<Value = KeyPatterns> {
    (globs(3), globs(3), globs(3), globs(3)).prop_map(|(keys, read_keys, write_keys, channels)| {
        KeyPatterns {
            keys,
            read_keys,
            write_keys,
            channels,
        }
    })
}

fn name() -> impl Strategy<Value = String> {
    "[abc*]{0,4}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn answers_as_each_statement_in_turn(
        statements in prop::collection::vec(patterns(), 0..30),
        keys in prop::collection::vec((name(), any::<bool>(), any::<bool>()), 0..4),
        channels in prop::collection::vec((name(), any::<bool>()), 0..3),
        (reads, writes, enumeration) in any::<(bool, bool, bool)>(),
    ) {
        let keys: Vec<_> = keys
            .iter()
            .map(|(key, reads, writes)| KeyUse { key: key.as_bytes(), reads: *reads, writes: *writes })
            .collect();
        let channels: Vec<_> = channels
            .iter()
            .map(|(name, pattern)| ChannelUse { channel: name.as_bytes(), pattern: *pattern })
            .collect();
        let statements: Vec<&KeyPatterns> = statements.iter().collect();
        let allow = KeyIndex::for_allow(&statements);
        let deny = KeyIndex::for_deny(&statements);
        let mut touches = vec![
            Touch::None,
            Touch::Keyless,
            Touch::EveryKey { reads, writes, enumeration },
            Touch::Named { keys: &keys, channels: &channels },
            Touch::Named { keys: &keys, channels: &[] },
            Touch::Named { keys: &[], channels: &channels },
        ];
        touches.extend(keys.iter().map(|key| {
            Touch::Named { keys: std::slice::from_ref(key), channels: &[] }
        }));
        for touch in &touches {
            let allowed = statements.iter().any(|patterns| patterns.allows(touch));
            prop_assert_eq!(allow.matches(touch), allowed, "{:?}", touch);
            let denied = statements.iter().any(|patterns| patterns.denies(touch));
            prop_assert_eq!(deny.matches(touch), denied, "{:?}", touch);
        }
        for key in &keys {
            let touch = Touch::Named { keys: std::slice::from_ref(key), channels: &[] };
            let (name, reads, writes) = (key.key, key.reads, key.writes);
            prop_assert_eq!(allow.matches_key(name, reads, writes), allow.matches(&touch));
            prop_assert_eq!(deny.matches_key(name, reads, writes), deny.matches(&touch));
        }
    }
}

#[test]
fn many_patterns_of_every_form() {
    let forms: [fn(usize) -> String; 6] = [
        |i| format!("app:{i}:*"),
        |i| format!("exact:{i}"),
        |i| format!("*:lock:{i}"),
        |i| format!("user:*:session:{i}"),
        |i| format!("t{i}:*:x"),
        |i| format!("q:[ab]:{i}"),
    ];
    let statements: Vec<KeyPatterns> = (0..600)
        .map(|i| KeyPatterns {
            keys: [Glob::new(forms[i % forms.len()](i).as_bytes())].into(),
            ..KeyPatterns::default()
        })
        .collect();
    let statements: Vec<&KeyPatterns> = statements.iter().collect();
    let index = KeyIndex::for_allow(&statements);
    let keys = [
        "app:6:x",
        "app:7:x",
        "exact:1",
        "exact:1x",
        "exact:2",
        "a:lock:2",
        "a:lock:20",
        "a:lock:3",
        "user:1:session:9",
        "user::session:9",
        "user:session:9",
        "user:1:session:8",
        "t4:1:x",
        "t4::x",
        "t4:x",
        "t5:1:x",
        "q:a:5",
        "q:c:5",
        "q:b:11",
        "q:b:6",
        "",
        "app:6:",
    ];
    for key in keys {
        let expected = statements
            .iter()
            .any(|patterns| patterns.keys[0].matches(key.as_bytes()));
        assert_eq!(
            index.matches_key(key.as_bytes(), true, true),
            expected,
            "{key}"
        );
    }
    assert!(index.heap_bytes() > 0);
}

#[test]
fn without_statements_nothing_matches() {
    for index in [KeyIndex::for_allow(&[]), KeyIndex::for_deny(&[])] {
        let keys = [KeyUse {
            key: b"a",
            reads: true,
            writes: false,
        }];
        let named = Touch::Named {
            keys: &keys,
            channels: &[],
        };
        let every = Touch::EveryKey {
            reads: true,
            writes: true,
            enumeration: false,
        };
        for touch in [Touch::None, Touch::Keyless, every, named] {
            assert!(!index.matches(&touch), "{touch:?}");
        }
    }
}
