//! Texts of documents: laid out for reading, compared without regard to layout, and their lines
//! compared.

/// Longest line that is not broken.
const WIDTH: usize = 88;

/// A piece of JSON text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Token<'a> {
    Open(char),
    Close(char),
    Comma,
    Colon,
    /// A string, a number or a word, as it is written.
    Scalar(&'a str),
}

/// The pieces of a JSON text; `None` if it is none.
fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let from = at;
        at += 1;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'{' | b'[' => tokens.push(Token::Open(char::from(*byte))),
            b'}' | b']' => tokens.push(Token::Close(char::from(*byte))),
            b',' => tokens.push(Token::Comma),
            b':' => tokens.push(Token::Colon),
            b'"' => {
                loop {
                    match bytes.get(at)? {
                        b'\\' => at += 2,
                        b'"' => break,
                        _ => at += 1,
                    }
                }
                at += 1;
                tokens.push(Token::Scalar(text.get(from..at)?));
            }
            _ => {
                let is_end = |b: &u8| b" \t\r\n{}[],:\"".contains(b);
                while bytes.get(at).is_some_and(|b| !is_end(b)) {
                    at += 1;
                }
                tokens.push(Token::Scalar(text.get(from..at)?));
            }
        }
    }
    Some(tokens)
}

/// A text that is equal for texts that differ in layout only.
pub(super) fn compact(text: &str) -> String {
    if !text.trim_start().starts_with(['[', '{']) {
        return text.trim_end().to_owned();
    }
    match tokens(text) {
        Some(tokens) => tokens.iter().map(|token| written(*token)).collect(),
        None => text.trim_end().to_owned(),
    }
}

fn written(token: Token<'_>) -> String {
    match token {
        Token::Open(c) | Token::Close(c) => c.to_string(),
        Token::Comma => ",".to_owned(),
        Token::Colon => ":".to_owned(),
        Token::Scalar(text) => text.to_owned(),
    }
}

/// JSON of one line in lines; what has lines already, and what is no JSON, as it is.
pub(super) fn layout(text: &str) -> String {
    if text.trim_end().contains('\n') || !text.trim_start().starts_with(['[', '{']) {
        return text.to_owned();
    }
    match tokens(text) {
        Some(tokens) => lines_of(&tokens),
        None => text.to_owned(),
    }
}

/// Where each opened bracket is closed, and how long what is between is on one line.
fn groups(tokens: &[Token<'_>]) -> Vec<(usize, usize)> {
    let mut groups = vec![(0, 0); tokens.len()];
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut length = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Open(_) => {
                open.push((at, length));
                length += 2;
            }
            Token::Close(_) => {
                length += 2;
                if let Some((from, before)) = open.pop()
                    && let Some(group) = groups.get_mut(from)
                {
                    *group = (at, length - before);
                }
            }
            Token::Comma | Token::Colon => length += 2,
            Token::Scalar(text) => length += text.len(),
        }
    }
    groups
}

fn lines_of(tokens: &[Token<'_>]) -> String {
    let groups = groups(tokens);
    let mut out = String::new();
    let mut column = 0;
    let mut depth = 0_usize;
    // Index of the bracket that ends what is written on one line.
    let mut inline_until: Option<usize> = None;
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
        2 * depth
    };
    for (at, token) in tokens.iter().enumerate() {
        let empty = matches!(tokens.get(at + 1), Some(Token::Close(_)));
        match token {
            Token::Open(c) => {
                out.push(*c);
                column += 1;
                let (end, length) = groups.get(at).copied().unwrap_or_default();
                if inline_until.is_none() && (empty || column + length <= WIDTH) {
                    inline_until = Some(end);
                }
                if inline_until.is_some() {
                    if *c == '{' && !empty {
                        out.push(' ');
                    }
                } else {
                    depth += 1;
                    column = line(&mut out, depth);
                }
            }
            Token::Close(c) => {
                if inline_until.is_none() {
                    depth = depth.saturating_sub(1);
                    column = line(&mut out, depth);
                } else if *c == '}' && !out.ends_with('{') {
                    out.push(' ');
                }
                out.push(*c);
                column += 1;
                if inline_until == Some(at) {
                    inline_until = None;
                }
            }
            Token::Comma => {
                out.push(',');
                if inline_until.is_some() {
                    out.push(' ');
                } else {
                    column = line(&mut out, depth);
                }
            }
            Token::Colon => {
                out.push_str(": ");
                column += 2;
            }
            Token::Scalar(text) => {
                out.push_str(text);
                column += text.len();
            }
        }
    }
    out
}

/// A line of a comparison.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Line<'a> {
    Same(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// Most cells of the table of common lines; longer texts are told whole.
const MAX_CELLS: usize = 4_000_000;

/// What became of the lines of a text.
pub(super) fn compare<'a>(old: &'a str, new: &'a str) -> Vec<Line<'a>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let begin = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (mut old_end, mut new_end) = (old.len(), new.len());
    while old_end > begin && new_end > begin && old.get(old_end - 1) == new.get(new_end - 1) {
        old_end -= 1;
        new_end -= 1;
    }
    let mut out: Vec<Line<'a>> = old
        .iter()
        .take(begin)
        .map(|line| Line::Same(line))
        .collect();
    let between = |lines: &[&'a str], end| lines.get(begin..end).unwrap_or_default().to_vec();
    out.extend(between_lines(
        &between(&old, old_end),
        &between(&new, new_end),
    ));
    out.extend(old.iter().skip(old_end).map(|line| Line::Same(line)));
    out
}

fn between_lines<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let width = new.len() + 1;
    let whole = || {
        let gone = old.iter().map(|line| Line::Gone(line));
        gone.chain(new.iter().map(|line| Line::New(line))).collect()
    };
    if (old.len() + 1).saturating_mul(width) > MAX_CELLS {
        return whole();
    }
    // Length of the longest common part of what follows each place.
    let mut common = vec![0_u32; (old.len() + 1) * width];
    let cell = |common: &[u32], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or(0);
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            let best = if old.get(i) == new.get(j) {
                cell(&common, i + 1, j + 1) + 1
            } else {
                cell(&common, i + 1, j).max(cell(&common, i, j + 1))
            };
            if let Some(place) = common.get_mut(i * width + j) {
                *place = best;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut out = Vec::new();
    loop {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => {
                out.push(Line::Same(a));
                i += 1;
                j += 1;
            }
            (Some(a), b) if b.is_none() || cell(&common, i + 1, j) >= cell(&common, i, j + 1) => {
                out.push(Line::Gone(a));
                i += 1;
            }
            (_, Some(b)) => {
                out.push(Line::New(b));
                j += 1;
            }
            _ => return out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_for_people_and_changes_no_token() {
        let short = r#"[{"Effect":"Allow","Actions":["*"]}]"#;
        assert_eq!(
            layout(short),
            r#"[{ "Effect": "Allow", "Actions": ["*"] }]"#
        );
        let long = r#"[{"Effect":"Allow","Actions":["kvdb:@read","kvdb:ExecuteExpire"],"Resources":["kvdb/sessions"],"Keys":["a\"]b:*"]}]"#;
        let expected = r#"[
  {
    "Effect": "Allow",
    "Actions": ["kvdb:@read", "kvdb:ExecuteExpire"],
    "Resources": ["kvdb/sessions"],
    "Keys": ["a\"]b:*"]
  }
]"#;
        assert_eq!(layout(long), expected);
        for text in [
            short,
            long,
            expected,
            "{}",
            "[]",
            r#"{"a":{},"b":[]}"#,
            "[1.0,-2e3,true]",
        ] {
            assert_eq!(compact(&layout(text)), compact(text));
            assert_eq!(layout(&layout(text)), layout(text));
        }
        // Not JSON: as it is, and nothing panics.
        for text in [
            "user a on ~* +@read",
            "[\"",
            "[\"\\",
            "{]",
            "]",
            "[}",
            "{,:",
            "é",
        ] {
            let _ = (layout(text), compact(text));
        }
        assert_eq!(layout("user a on"), "user a on");
    }

    #[test]
    fn what_differs_in_more_than_layout_differs() {
        let cases = [
            (r#"["a b"]"#, r#"["ab"]"#, false),
            (r#"[ "a" ]"#, "[\n\"a\"\n]\n", true),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#, false),
            ("+get\n", "+get", true),
            ("+get  ~*", "+get ~*", false),
        ];
        for (a, b, same) in cases {
            assert_eq!(compact(a) == compact(b), same, "{a} {b}");
        }
    }

    #[test]
    fn lines_that_came_and_went() {
        use Line::{Gone, New, Same};
        let cases: [(&str, &str, &[Line<'_>]); 5] = [
            (
                "a\nb\nc",
                "a\nx\nc",
                &[Same("a"), Gone("b"), New("x"), Same("c")],
            ),
            ("", "a", &[New("a")]),
            ("a", "", &[Gone("a")]),
            ("a\nb", "a\nb", &[Same("a"), Same("b")]),
            (
                "a\nb\na",
                "b\na\na",
                &[Gone("a"), Same("b"), New("a"), Same("a")],
            ),
        ];
        for (old, new, expected) in cases {
            assert_eq!(compare(old, new), expected, "{old:?} {new:?}");
        }
    }
}
