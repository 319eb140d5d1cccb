//! When one pattern covers another: sound, and blind where it would be long to find out.

use std::collections::HashSet;

use crate::check::draft::Item;
use crate::{Glob, ResourcePattern};

/// Does every key that `inner` matches also match `outer`? `false` also where that is not seen.
pub(crate) fn glob_covers(outer: &str, inner: &str) -> bool {
    if outer == inner || outer == "*" {
        return true;
    }
    // The common case, without compiling anything. A variable may become anything that is literal,
    // and may be missing: what stands before it is all that is known.
    if let Some(prefix) = outer.strip_suffix('*')
        && is_plain(prefix)
    {
        return before_variable(inner).starts_with(prefix);
    }
    if is_plain(outer) || outer.contains("${") || inner.contains("${") {
        return false;
    }
    // `a*b` covers only single keys here, and what has a star is none: nothing to compile.
    let escapes = |text: &str| text.contains(['\\', '[']);
    let before_stars = outer.trim_end_matches('*');
    if !escapes(outer)
        && !escapes(inner)
        && before_stars.contains(['*', '?'])
        && inner.contains(['*', '?'])
    {
        return false;
    }
    let outer = Glob::new(outer.as_bytes());
    if outer.is_everything() {
        return true;
    }
    let inner = Glob::new(inner.as_bytes());
    if let Some(exact) = inner.as_exact() {
        return outer.matches(exact);
    }
    outer
        .as_prefix()
        .is_some_and(|prefix| inner.literal_prefix().starts_with(prefix))
}

/// About what [`glob_covers`] costs, in nanoseconds.
pub(crate) fn cost_of_glob_covers(outer: &str, inner: &str) -> usize {
    let compiles = |text: &str| text.contains(['\\', '[']);
    let bytes = outer.len() + inner.len();
    if compiles(outer) || compiles(inner) || is_plain(inner) {
        50 + 40 * bytes
    } else {
        20 + bytes
    }
}

/// No character that means something in a glob, and no variable.
fn is_plain(text: &str) -> bool {
    !text.contains(['*', '?', '[', '\\']) && !text.contains("${")
}

/// The text before the first variable or wildcard.
fn before_variable(text: &str) -> &str {
    let end = text.find(['*', '?', '[', '\\', '$']).unwrap_or(text.len());
    &text[..end]
}

/// Items of a list of globs that an earlier one repeats or another one covers: (index, covering).
pub(crate) fn covered_globs(items: &[Item<'_>]) -> Vec<(usize, usize)> {
    let mut first: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    let mut prefixes: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    let mut lengths: HashSet<usize> = HashSet::new();
    let mut everything = None;
    for (at, item) in items.iter().enumerate() {
        first.entry(item.text).or_insert(at);
        if item.text == "*" {
            everything = everything.or(Some(at));
        } else if let Some(prefix) = item.text.strip_suffix('*').filter(|rest| is_plain(rest)) {
            prefixes.entry(prefix).or_insert(at);
            lengths.insert(prefix.len());
        }
    }
    let mut lengths: Vec<usize> = lengths.into_iter().collect();
    lengths.sort_unstable();
    let mut found = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let by = |other: usize| (other != at).then_some(other);
        let repeated = first.get(item.text).copied().and_then(by);
        let covering = || {
            let literal = before_variable(item.text);
            let fitting = lengths
                .iter()
                .take_while(|length| **length <= literal.len());
            let prefix = fitting
                .filter_map(|length| literal.get(..*length))
                .find_map(|prefix| prefixes.get(prefix).copied().and_then(by));
            // `a*` does not cover a second `a*`: that is a repetition.
            prefix.filter(|other| items[*other].text != item.text)
        };
        let all = everything.filter(|other| items[*other].text != item.text);
        if let Some(other) = repeated.or(all).or_else(covering) {
            found.push((at, other));
        }
    }
    found
}

/// Does every resource that `inner` covers lie under `outer`?
pub(crate) fn resource_covers(outer: &ResourcePattern, inner: &ResourcePattern) -> bool {
    let (outer_text, inner_text) = (outer.full(), inner.full());
    if outer_text == inner_text {
        return true;
    }
    if outer_text.contains("${") || inner_text.contains("${") {
        return false;
    }
    if !inner_text.contains('*') {
        return outer.matches(inner_text);
    }
    let mut segments = inner_text.split('/');
    let mut count = 0;
    for pattern in outer_text.split('/') {
        count += 1;
        match (pattern, segments.next()) {
            ("**", _) => return true,
            ("*", Some(id)) if id != "**" => {}
            (_, Some(segment)) if segment == pattern && segment != "**" => {}
            _ => return false,
        }
    }
    // `org/<id>` and `org/*` are organisations themselves and nothing below.
    let is_organisation = count == 2 && outer_text.starts_with("org/");
    !is_organisation || segments.next().is_none()
}

/// Can some resource lie under both? `true` also where that is not seen.
pub(crate) fn resources_may_overlap(a: &ResourcePattern, b: &ResourcePattern) -> bool {
    if a.full().contains("${") || b.full().contains("${") {
        return true;
    }
    let (mut left, mut right) = (a.full().split('/'), b.full().split('/'));
    loop {
        match (left.next(), right.next()) {
            (Some("**"), _) | (_, Some("**")) | (None, _) | (_, None) => return true,
            (Some(x), Some(y)) if x == y || x == "*" || y == "*" => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        let cases = [
            ("*", "a", true),
            ("a*", "ab", true),
            ("a*", "ab*", true),
            ("a*", "a?c", true),
            ("ab*", "a*", false),
            ("a?", "ab", true),
            ("a?", "a*", false),
            ("a", "a", true),
            ("[ab]*", "ax", true),
            ("${x}:*", "${x}:*", true),
            ("${x}:*", "a:*", false),
            ("a:*", "a:${x}:*", true),
            ("a\\*", "a*", false),
            ("**", "x", true),
        ];
        for (outer, inner, expected) in cases {
            assert_eq!(glob_covers(outer, inner), expected, "{outer} {inner}");
        }
    }

    #[test]
    fn lists_of_globs() {
        let covered = |texts: &[&'static str]| {
            let items: Vec<Item<'_>> = texts
                .iter()
                .enumerate()
                .map(|(index, text)| Item { index, at: 0, text })
                .collect();
            covered_globs(&items)
        };
        assert_eq!(covered(&["a", "b", "a"]), [(2, 0)]);
        assert_eq!(covered(&["a:*", "a:b:*", "a:x", "b"]), [(1, 0), (2, 0)]);
        assert_eq!(covered(&["*", "a"]), [(1, 0)]);
        assert_eq!(covered(&["a*", "a*"]), [(1, 0)]);
        assert_eq!(covered(&["a[b]*", "ab*"]), []);
        assert_eq!(covered(&["é*", "éa", "e"]), [(1, 0)]);
    }

    #[test]
    fn resources() {
        let cases = [
            ("**", "kvdb/x", true),
            ("kvdb/*", "kvdb/x", true),
            ("kvdb/*", "kvdb/x/snapshot/*", true),
            ("kvdb/x", "kvdb/x/snapshot/1", true),
            ("kvdb/x", "kvdb/*", false),
            ("org/acme", "org/acme/**", false),
            ("org/acme/**", "org/acme", true),
            ("org/*", "org/acme", true),
            ("org/*/kvdb/*", "org/acme/kvdb/x", true),
            ("kvdb/*", "**", false),
            ("kvdb/**", "kvdb/*", true),
        ];
        for (outer, inner, expected) in cases {
            let pattern = |text| ResourcePattern::parse(text, "acme").unwrap();
            let found = resource_covers(&pattern(outer), &pattern(inner));
            assert_eq!(found, expected, "{outer} {inner}");
            if found {
                assert!(resources_may_overlap(&pattern(outer), &pattern(inner)));
            }
        }
    }
}
