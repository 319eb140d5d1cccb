//! `*` and `?` of the vendors: the compiled form against the rules written down plainly.
#![no_main]

use keyward_policy::Wildcard;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (pattern, text) = input;
    let found = Wildcard::new(pattern).matches(text.as_bytes());
    if pattern.len() < 200 && text.len() < 200 {
        let pattern: Vec<char> = pattern.chars().collect();
        let text: Vec<char> = text.chars().collect();
        assert_eq!(found, plainly(&pattern, &text), "{input:?}");
    }
});

/// Which beginnings of the text the pattern so far matches, character by character.
fn plainly(pattern: &[char], text: &[char]) -> bool {
    let mut at: Vec<bool> = (0..=text.len()).map(|len| len == 0).collect();
    for c in pattern {
        let mut next = vec![false; text.len() + 1];
        for len in 0..=text.len() {
            next[len] = match c {
                '*' => at[len] || (len > 0 && next[len - 1]),
                '?' => len > 0 && at[len - 1],
                c => len > 0 && at[len - 1] && text[len - 1] == *c,
            };
        }
        at = next;
    }
    at[text.len()]
}
