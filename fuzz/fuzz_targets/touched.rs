//! Key extraction: no panic on any words, every key a word of the call, letter case of no account, and
//! an error says that every key is touched.
#![no_main]

use keyward_commands::{COMMAND_COUNT, CommandId, Scope, Touched, resolve, touched};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some(([low, high], rest)) = input.split_first_chunk() else {
        return;
    };
    // The first two bytes choose the command, so that no run is spent on guessing names.
    let at = usize::from(u16::from_le_bytes([*low, *high])) % COMMAND_COUNT;
    let id = CommandId::all().nth(at).expect("below the number of commands");
    let mut words: Vec<Vec<u8>> =
        id.command().name.split('|').map(|word| word.as_bytes().to_vec()).collect();
    words.extend(rest.split(|byte| *byte == 0).take(64).map(<[u8]>::to_vec));
    let resolved = resolve(&words);

    let mut out = Touched::default();
    let result = touched(id, &words, &mut out);
    for word in out.keys.iter().map(|key| key.word).chain(out.channels.iter().map(|c| c.word)) {
        assert!((1..words.len()).contains(&(word as usize)));
    }
    match result {
        Ok(()) => {
            if out.scope == Scope::Named {
                assert!(!out.keys.is_empty() || !out.channels.is_empty());
            }
        }
        Err(_) => assert_eq!(out.scope, Scope::default()),
    }

    let upper: Vec<Vec<u8>> = words.iter().map(|word| word.to_ascii_uppercase()).collect();
    let mut again = Touched::default();
    assert_eq!(resolve(&upper), resolved);
    assert_eq!(touched(id, &upper, &mut again), result);
    assert_eq!(again.keys, out.keys);
    assert_eq!(again.channels, out.channels);
    assert_eq!(again.scope, out.scope);
    assert_eq!(again.whole_database, out.whole_database);
});
