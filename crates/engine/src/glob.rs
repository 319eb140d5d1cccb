//! The server's glob patterns (`KEYS`, `SCAN … MATCH`), in time linear in pattern times text.

/// Does `pattern` match the whole of `text`? As the server: `*`, `?`, `[a-z]`, `[^…]`, `\x`.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut position) = (0, 0);
    // After the last `*`: where the pattern goes on, and how much of the text the star has taken.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if position == text.len() {
            return pattern[at.min(pattern.len())..]
                .iter()
                .all(|byte| *byte == b'*')
                && (!text.is_empty() || pattern.is_empty() || at > 0 || pattern == b"*");
        }
        if pattern.get(at) == Some(&b'*') {
            while pattern.get(at) == Some(&b'*') {
                at += 1;
            }
            if at == pattern.len() {
                return true;
            }
            star = Some((at, position));
            continue;
        }
        match pattern
            .get(at)
            .and_then(|_| match_one(&pattern[at..], text[position]))
        {
            Some(length) => {
                at += length;
                position += 1;
            }
            None => match star {
                // A later star can do whatever an earlier one could: only the last one moves.
                Some((after, taken)) => {
                    at = after;
                    position = taken + 1;
                    star = Some((after, taken + 1));
                }
                None => return false,
            },
        }
    }
}

/// Matches the first element of a non-empty pattern with one byte; the element's length.
fn match_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern[0] {
        b'?' => Some(1),
        b'[' => {
            let mut at = 1;
            let inverted = pattern.get(at) == Some(&b'^');
            at += usize::from(inverted);
            let mut found = false;
            loop {
                match &pattern[at.min(pattern.len())..] {
                    // A class that does not end: the server takes the end of the pattern for it.
                    [] => {
                        at = pattern.len();
                        break;
                    }
                    [b'\\', escaped, ..] => {
                        found |= *escaped == byte;
                        at += 2;
                    }
                    [b']', ..] => {
                        at += 1;
                        break;
                    }
                    [first, b'-', last, ..] => {
                        let (low, high) = (*first.min(last), *first.max(last));
                        found |= (low..=high).contains(&byte);
                        at += 3;
                    }
                    [single, ..] => {
                        found |= *single == byte;
                        at += 1;
                    }
                }
            }
            (found != inverted).then_some(at)
        }
        b'\\' if pattern.len() >= 2 => (pattern[1] == byte).then_some(2),
        literal => (literal == byte).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn matches_as_the_server_does() {
        let cases: &[(&str, &str, bool)] = &[
            ("*", "", true),
            ("*", "abc", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[c-a]x", "bx", true),
            ("[^a]x", "ax", false),
            ("[^a]x", "bx", true),
            ("[a\\]]x", "]x", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[abc", "b", true),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxbxx", false),
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
            ("a**", "a", true),
            ("\\", "\\", true),
        ];
        for (pattern, text, expected) in cases {
            let found = matches(pattern.as_bytes(), text.as_bytes());
            assert_eq!(found, *expected, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn hostile_patterns_take_no_exponential_time() {
        let pattern = "a*".repeat(50) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(2000).as_bytes()));
    }
}
