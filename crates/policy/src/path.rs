//! The grammar of paths: types of entities, their ids, and what may lie below them.

/// Types of entities that belong to an organisation and may be named in shorthand.
pub(crate) const OWNED_TYPES: &[&str] = TYPES.split_at(8).0;

/// The same but for databases, which commands are on.
pub(crate) fn types_beside_databases() -> impl Iterator<Item = &'static str> {
    OWNED_TYPES.iter().copied().filter(|kind| *kind != "kvdb")
}

/// All types, those first that belong to an organisation.
pub(crate) const TYPES: &[&str] = &[
    "kvdb",
    "programmatic_identity",
    "org_user",
    "group",
    "role",
    "policy",
    "identity_provider",
    "trust",
    "user",
    "org",
];

/// What may lie below an entity of a type.
pub(crate) fn subtype(of: &str) -> Option<&'static str> {
    match of {
        "kvdb" => Some("snapshot"),
        "programmatic_identity" => Some("access_key"),
        _ => None,
    }
}

/// 1 to 64 bytes of `[a-z0-9-]`, not beginning or ending with `-`.
pub(crate) fn is_slug(text: &str) -> bool {
    let fits = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    fits && (1..=64).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-')
}

/// `KWAK` or `KWTK` and 16 of `[A-Z2-7]`.
pub(crate) fn is_access_key_id(text: &str) -> bool {
    let rest = text
        .strip_prefix("KWAK")
        .or_else(|| text.strip_prefix("KWTK"));
    rest.is_some_and(|rest| {
        rest.len() == 16 && rest.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let cases = [
            ("a", true),
            ("a-1", true),
            ("", false),
            ("-a", false),
            ("a-", false),
        ];
        for (text, expected) in cases {
            assert_eq!(is_slug(text), expected, "{text:?}");
        }
        assert!(is_slug(&"x".repeat(64)) && !is_slug(&"x".repeat(65)));
        assert!(!is_slug("A") && !is_slug("a_b") && !is_slug("é"));
        assert!(is_access_key_id("KWAKABCDEFGH234567AB"));
        assert!(!is_access_key_id("KWAKABCDEFGH234567A"));
        assert!(!is_access_key_id("KWAKabcdefgh234567ab"));
        assert!(!is_access_key_id("AKIAABCDEFGH234567AB"));
    }
}
