//! Patterns of `*` and `?` over text, as the cloud vendors have them: in time linear in the
//! pattern and in the text.

use crate::Glob;
use crate::glob::check_pattern;
use crate::template::Piece;

/// Longest text, in bytes, in which `?` takes one character that is longer than a byte; in longer
/// ones it takes one byte.
const MAX_CHARACTERS: usize = 4096;

/// A pattern in which `*` stands for any text and `?` for one character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard {
    /// The same pattern in the server's syntax, over bytes.
    glob: Glob,
    /// Empty without `?`: bytes tell then as well as characters.
    tokens: Box<[Token]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Many,
    One,
    Character(char),
}

impl Wildcard {
    /// Compiles a pattern; every text is one.
    pub fn new(text: &str) -> Self {
        Self::of_tokens(text.chars().map(token))
    }

    /// Compiles pieces, of which literal ones have no wildcards.
    pub(crate) fn of_pieces(pieces: &[Piece<'_>]) -> Self {
        Self::of_tokens(pieces.iter().flat_map(|piece| {
            let as_token = if piece.literal {
                Token::Character
            } else {
                token
            };
            piece.text.chars().map(as_token)
        }))
    }

    fn of_tokens(tokens: impl Iterator<Item = Token>) -> Self {
        let mut kept: Vec<Token> = Vec::new();
        for token in tokens {
            // `**` is `*`.
            if token != Token::Many || kept.last() != Some(&Token::Many) {
                kept.push(token);
            }
        }
        let mut text = Vec::new();
        for token in &kept {
            match token {
                Token::Many => text.push(b'*'),
                Token::One => text.push(b'?'),
                Token::Character(c) => {
                    if "*?[\\".contains(*c) {
                        text.push(b'\\');
                    }
                    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
        if !kept.contains(&Token::One) {
            kept = Vec::new();
        }
        Self {
            glob: Glob::new(&text),
            tokens: kept.into(),
        }
    }

    /// Whether it is more than a server would match: too long, or with too many stars.
    pub(crate) fn check(&self) -> Result<(), crate::GlobError> {
        check_pattern(self.glob.text())
    }

    /// Whether it stands for every text.
    pub fn is_everything(&self) -> bool {
        self.glob.is_everything()
    }

    /// Whether it matches bytes as it matches characters: it has no `?`.
    pub fn is_bytewise(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The same pattern in the server's syntax.
    pub fn as_glob(&self) -> &Glob {
        &self.glob
    }

    /// Does the whole of `text` match?
    pub fn matches(&self, text: &[u8]) -> bool {
        if text.is_empty() {
            return matches!(self.glob.text(), b"" | b"*");
        }
        let characters = || !self.tokens.is_empty() && !text.is_ascii();
        if text.len() <= MAX_CHARACTERS
            && characters()
            && let Ok(text) = std::str::from_utf8(text)
        {
            return self.matches_characters(text);
        }
        self.glob.matches(text)
    }

    /// One pass with a set of states, as wide as the pattern.
    fn matches_characters(&self, text: &str) -> bool {
        let len = self.tokens.len();
        let mut states = vec![false; len + 1];
        states[0] = true;
        let spread = |states: &mut Vec<bool>| {
            for at in 0..len {
                if states[at] && self.tokens[at] == Token::Many {
                    states[at + 1] = true;
                }
            }
        };
        spread(&mut states);
        for c in text.chars() {
            let mut next = vec![false; len + 1];
            for at in (0..len).filter(|at| states[*at]) {
                match self.tokens[at] {
                    Token::Many => next[at] = true,
                    Token::One => next[at + 1] = true,
                    Token::Character(own) => next[at + 1] |= own == c,
                }
            }
            spread(&mut next);
            states = next;
        }
        states[len]
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        self.glob.heap_bytes() + size_of_val(&*self.tokens)
    }
}

fn token(c: char) -> Token {
    match c {
        '*' => Token::Many,
        '?' => Token::One,
        c => Token::Character(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "", true),
            ("*a*", "", false),
            ("a*", "a", true),
            ("a*c", "abc", true),
            ("a*c", "abd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "aéc", true),
            ("a??c", "aéc", false),
            ("*é?*", "xéz", true),
            ("[a]", "[a]", true),
            ("[a]", "a", false),
            ("\\*", "\\x", true),
            ("\\*", "*", false),
            ("***a", "ba", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                Wildcard::new(pattern).matches(text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }
}
