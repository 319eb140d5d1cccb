//! Globs: the compiled form against the rules written down plainly, overlap, and the index.
#![no_main]

use keyward_policy::{Glob, KeyIndex, KeyPatterns, KeyUse, Touch};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<Vec<u8>>, Vec<u8>)| {
    let (texts, key) = input;
    let globs: Vec<Glob> = texts.iter().map(|text| Glob::new(text)).collect();
    let matching: Vec<&Glob> = globs.iter().filter(|glob| glob.matches(&key)).collect();
    for glob in &globs {
        if glob.text().len() < 30 && key.len() < 30 {
            if let Some(expected) = plainly(glob.text(), &key) {
                assert_eq!(glob.matches(&key), expected, "{glob:?}");
            }
        }
    }
    for a in &matching {
        assert!(key.starts_with(a.literal_prefix()) && key.ends_with(a.literal_suffix()));
        assert!(matching.iter().all(|b| a.may_overlap(b)), "{a:?}");
    }
    let statements: Vec<KeyPatterns> = globs
        .chunks(2)
        .map(|globs| KeyPatterns { keys: globs.into(), ..KeyPatterns::default() })
        .collect();
    let statements: Vec<&KeyPatterns> = statements.iter().collect();
    let keys = [KeyUse { key: &key, reads: true, writes: true }];
    let touch = Touch::Named { keys: &keys, channels: &[] };
    let some = !matching.is_empty();
    assert_eq!(KeyIndex::for_allow(&statements).matches(&touch), some);
    assert_eq!(KeyIndex::for_deny(&statements).matches(&touch), some);
});

/// The server's rules without any cleverness; `None` where that would take too long.
fn plainly(pattern: &[u8], key: &[u8]) -> Option<bool> {
    let mut patience = 200_000;
    let found = match (pattern, key) {
        (b"*", _) => true,
        ([], _) | (_, []) => pattern.is_empty() && key.is_empty(),
        _ => from_here(pattern, key, &mut patience),
    };
    (patience > 0).then_some(found)
}

fn from_here(pattern: &[u8], key: &[u8], patience: &mut u32) -> bool {
    *patience = patience.saturating_sub(1);
    match (pattern, key) {
        _ if *patience == 0 => false,
        ([], _) => key.is_empty(),
        ([b'*', b'*', ..], _) => from_here(&pattern[1..], key, patience),
        ([b'*', rest @ ..], _) => (0..=key.len()).any(|at| from_here(rest, &key[at..], patience)),
        (_, []) => false,
        ([b'?', rest @ ..], [_, key @ ..]) => from_here(rest, key, patience),
        ([b'[', rest @ ..], [byte, key @ ..]) => {
            let (taken, rest) = class(rest, *byte);
            taken && from_here(rest, key, patience)
        }
        ([b'\\', literal, rest @ ..] | [literal, rest @ ..], [byte, key @ ..]) => {
            literal == byte && from_here(rest, key, patience)
        }
    }
}

fn class(pattern: &[u8], byte: u8) -> (bool, &[u8]) {
    let inverted = pattern.first() == Some(&b'^');
    let mut rest = &pattern[usize::from(inverted)..];
    let mut found = false;
    loop {
        rest = match rest {
            [] => break,
            [b'\\', literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
            [b']', ..] => {
                rest = &rest[1..];
                break;
            }
            [a, b'-', b, rest @ ..] => {
                let (a, b) = (*a as i8, *b as i8);
                found |= (a.min(b)..=a.max(b)).contains(&(byte as i8));
                rest
            }
            [literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
        };
    }
    (found != inverted, rest)
}
