use super::*;

fn globs(texts: &[&str]) -> Box<[Glob]> {
    texts
        .iter()
        .map(|text| Glob::new(text.as_bytes()))
        .collect()
}

fn patterns(keys: &[&str], read: &[&str], write: &[&str], channels: &[&str]) -> KeyPatterns {
    KeyPatterns {
        keys: globs(keys),
        read_keys: globs(read),
        write_keys: globs(write),
        channels: globs(channels),
    }
}

/// `r:key`, `w:key`, `b:key` (both), `c:channel`, `p:pattern`.
fn with_named<T>(uses: &[&str], f: impl FnOnce(&Touch<'_>) -> T) -> T {
    let (mut keys, mut channels) = (Vec::new(), Vec::new());
    for text in uses {
        let (kind, name) = text.split_at(2);
        let name = name.as_bytes();
        match kind {
            "r:" => keys.push(KeyUse {
                key: name,
                reads: true,
                writes: false,
            }),
            "w:" => keys.push(KeyUse {
                key: name,
                reads: false,
                writes: true,
            }),
            "b:" => keys.push(KeyUse {
                key: name,
                reads: true,
                writes: true,
            }),
            "n:" => keys.push(KeyUse {
                key: name,
                reads: false,
                writes: false,
            }),
            "c:" => channels.push(ChannelUse {
                channel: name,
                pattern: false,
            }),
            "p:" => channels.push(ChannelUse {
                channel: name,
                pattern: true,
            }),
            _ => panic!("{text}"),
        }
    }
    f(&Touch::Named {
        keys: &keys,
        channels: &channels,
    })
}

#[test]
fn named_keys_and_channels() {
    let app = patterns(&["app:*"], &[], &[], &[]);
    let split = patterns(&[], &["in:*"], &["out:*", "both"], &[]);
    let mixed = patterns(&["x"], &["both"], &["both"], &["news:?"]);
    let channels = patterns(&[], &[], &[], &["news:?", "a*"]);
    let all_channels = patterns(&[], &[], &[], &["*"]);
    // (patterns, touched, on an Allow, on a Deny)
    let cases: &[(&KeyPatterns, &[&str], bool, bool)] = &[
        (&app, &["r:app:1"], true, true),
        (&app, &["b:app:1", "w:app:2"], true, true),
        (&app, &["r:app:1", "r:other"], false, true),
        (&app, &["r:other"], false, false),
        // Keys and no channels: none is granted, none is denied.
        (&app, &["c:app:1"], false, false),
        (&app, &["r:app:1", "c:x"], false, true),
        (&split, &["r:in:1"], true, true),
        (&split, &["w:in:1"], false, false),
        (&split, &["b:in:1"], false, true),
        (&split, &["r:in:1", "w:out:1"], true, true),
        (&split, &["b:both"], false, true),
        (&mixed, &["b:both"], true, true),
        (&mixed, &["n:both"], true, true),
        (&mixed, &["n:x"], true, true),
        (&split, &["n:in:1"], false, true),
        (&channels, &["c:news:1"], true, true),
        (&channels, &["c:news:10"], false, false),
        (&channels, &["r:news:1"], false, false),
        // The pattern `news:*` matches the text `news:?`, but may not pass for it.
        (&channels, &["p:news:*"], false, true),
        (&channels, &["p:news:?"], true, true),
        (&channels, &["p:a*"], true, true),
        (&channels, &["p:ab*"], false, true),
        (&channels, &["p:z*"], false, false),
        (&channels, &["p:[n]*"], false, true),
        (&all_channels, &["p:anything*"], true, true),
        (&all_channels, &["c:"], true, true),
        // Nothing named counts as everything.
        (&app, &[], false, true),
        (&channels, &[], false, false),
    ];
    for (patterns, uses, allows, denies) in cases {
        with_named(uses, |touch| {
            assert_eq!(
                patterns.allows(touch),
                *allows,
                "allow {uses:?} {patterns:?}"
            );
            assert_eq!(
                patterns.denies(touch),
                *denies,
                "deny {uses:?} {patterns:?}"
            );
        });
    }
}

#[test]
fn keyless_and_every_key() {
    let read = Touch::EveryKey {
        reads: true,
        writes: false,
        enumeration: false,
    };
    let write = Touch::EveryKey {
        reads: false,
        writes: true,
        enumeration: false,
    };
    let both = Touch::EveryKey {
        reads: true,
        writes: true,
        enumeration: false,
    };
    let scan = Touch::EveryKey {
        reads: true,
        writes: false,
        enumeration: true,
    };
    let unsaid = Touch::EveryKey {
        reads: false,
        writes: false,
        enumeration: false,
    };
    let (none, keyless) = (Touch::None, Touch::Keyless);

    let app = patterns(&["app:*"], &[], &[], &[]);
    let star = patterns(&["*"], &[], &[], &[]);
    let stars = patterns(&["a**", "?*"], &[], &[], &[]);
    let read_all = patterns(&[], &["*"], &["w:*"], &[]);
    let write_all = patterns(&[], &["r"], &["*"], &[]);
    let each = patterns(&[], &["*"], &["*"], &[]);
    let channels = patterns(&[], &[], &[], &["*"]);
    let write_only = patterns(&[], &[], &["*"], &[]);
    let reads_only = patterns(&[], &["r"], &[], &[]);
    let cases: &[(&KeyPatterns, &Touch<'_>, bool, bool)] = &[
        (&app, &keyless, true, false),
        (&channels, &keyless, true, false),
        (&app, &none, false, true),
        (&app, &both, false, true),
        (&app, &scan, true, false),
        (&channels, &scan, false, false),
        (&write_only, &scan, false, false),
        (&reads_only, &scan, true, false),
        (&stars, &read, false, true),
        (&star, &both, true, true),
        (&star, &scan, true, false),
        (&star, &unsaid, true, true),
        (&read_all, &read, true, true),
        (&read_all, &scan, true, false),
        (&read_all, &write, false, true),
        (&read_all, &both, false, true),
        (&read_all, &unsaid, false, true),
        (&write_all, &write, true, true),
        (&write_all, &read, false, true),
        (&each, &both, true, true),
        (&channels, &both, false, false),
        (&reads_only, &write, false, false),
        (&reads_only, &read, false, true),
        (&reads_only, &unsaid, false, true),
    ];
    for (patterns, touch, allows, denies) in cases {
        assert_eq!(
            patterns.allows(touch),
            *allows,
            "allow {touch:?} {patterns:?}"
        );
        assert_eq!(
            patterns.denies(touch),
            *denies,
            "deny {touch:?} {patterns:?}"
        );
    }
}

#[test]
fn everything_needs_keys_and_channels() {
    assert!(patterns(&["*"], &[], &[], &["*"]).covers_everything());
    assert!(patterns(&[], &["*"], &["*"], &["*"]).covers_everything());
    assert!(!patterns(&["*"], &[], &[], &[]).covers_everything());
    assert!(!patterns(&["*"], &[], &[], &["a*"]).covers_everything());
    assert!(!patterns(&[], &["*"], &[], &["*"]).covers_everything());
}
