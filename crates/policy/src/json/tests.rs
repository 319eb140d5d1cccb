use proptest::prelude::*;

use super::*;
use crate::Findings;

fn read(text: &str) -> Result<String, Findings> {
    let mut findings = Collector::default();
    let node = parse(text, &mut findings);
    match node {
        Some(node) if findings.is_empty() => Ok(print(&node)),
        _ => Err(findings.finish(text)),
    }
}

/// Compact JSON of a node; numbers as written.
fn print(node: &Node<'_>) -> String {
    match &node.value {
        Value::Null => "null".into(),
        Value::Boolean(_) => "bool".into(),
        Value::Number(text) => (*text).into(),
        Value::String(text) => format!("{text:?}"),
        Value::Array(nodes) => {
            format!(
                "[{}]",
                nodes.iter().map(print).collect::<Vec<_>>().join(",")
            )
        }
        Value::Object(members) => {
            let one = |member: &Member<'_>| format!("{:?}:{}", member.name, print(&member.node));
            format!(
                "{{{}}}",
                members.iter().map(one).collect::<Vec<_>>().join(",")
            )
        }
    }
}

#[test]
fn accepted() {
    let cases = [
        (" [] ", "[]"),
        ("{}", "{}"),
        (
            "\t{\"a\" : [ 1 , -2.50e+3 , null,true,false ] }\r\n",
            r#"{"a":[1,-2.50e+3,null,bool,bool]}"#,
        ),
        (r#""\u0041\ud83d\ude00\n\/\"\\""#, "\"A😀\\n/\\\"\\\\\""),
        (r#""\u0000\u00ff""#, "\"\\0ÿ\""),
        ("\"é\"", "\"é\""),
        ("0", "0"),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn refused() {
    let deep = "[".repeat(33);
    let too_deep = format!(
        "1:33: {}: nested more than 32 levels deep (E003)",
        "[0]".repeat(32)
    );
    let cases = [
        ("", "1:1: the document is empty (E001)"),
        (
            "\u{feff}[]",
            "1:1: begins with a byte order mark: save the text as UTF-8 without one (E001)",
        ),
        ("[1,]", "1:3: `,` before `]`: remove it (E001)"),
        ("{\"a\":1,}", "1:7: `,` before `}`: remove it (E001)"),
        ("[1 2]", "1:4: expected `,` or `]`, found `2` (E001)"),
        (
            "[",
            "1:2: [0]: expected a value, found the end of the document (E001)",
        ),
        (
            "[] []",
            "1:4: expected the end of the document, found `[` (E001)",
        ),
        ("{a:1}", "1:2: expected a name in `\"`, found `a` (E001)"),
        (
            "{'a':1}",
            "1:2: expected a name in `\"`, found `'`: JSON quotes with `\"` (E001)",
        ),
        (
            "{\"a\" 1}",
            "1:6: expected `:` after the name, found `1` (E001)",
        ),
        (
            "[\n // x\n]",
            "2:2: [0]: expected a value, found a comment, which JSON does not have (E001)",
        ),
        (
            "\"a\nb\"",
            "1:3: `\\u{a}` in a string: write it as an escape (E001)",
        ),
        (
            "[\"ab",
            "1:2: [0]: string without an end: its closing `\"` is missing (E001)",
        ),
        (
            "\"\\x\"",
            "1:2: unknown escape: one of `\\\"`, `\\\\`, `\\/`, `\\b`, `\\f`, `\\n`, `\\r`, `\\t`, `\\u` and four hex digits (E001)",
        ),
        ("\"\\u12\"", "1:2: `\\u` without four hex digits (E001)"),
        ("\"\\u12é4\"", "1:2: `\\u` without four hex digits (E001)"),
        (
            "\"\\ud800x\"",
            "1:2: half of a surrogate pair stands alone (E001)",
        ),
        (
            "\"\\udc00\"",
            "1:2: half of a surrogate pair stands alone (E001)",
        ),
        (
            "\"\\ud800\\u0041\"",
            "1:2: half of a surrogate pair stands alone (E001)",
        ),
        (
            "\"\\",
            "1:2: unknown escape: one of `\\\"`, `\\\\`, `\\/`, `\\b`, `\\f`, `\\n`, `\\r`, `\\t`, `\\u` and four hex digits (E001)",
        ),
        ("01", "1:1: malformed number `01` (E001)"),
        ("-", "1:1: malformed number `-` (E001)"),
        ("1.", "1:1: malformed number `1.` (E001)"),
        ("1e+", "1:1: malformed number `1e+` (E001)"),
        ("nul", "1:1: expected a value, found `n` (E001)"),
        (
            "{\"a\":1,\"\\u0061\":2}",
            "1:8: a: `a` stands twice in this object (E004)",
        ),
        (&deep, &too_deep),
    ];
    for (text, expected) in cases {
        assert_eq!(
            read(text).map_err(|e| e.to_string()),
            Err(expected.into()),
            "{text}"
        );
    }
    assert!(read(&("[".repeat(32) + &"]".repeat(32))).is_ok());
    let large = format!("[{}]", " ".repeat(MAX_DOCUMENT_LEN));
    assert!(
        read(&large)
            .unwrap_err()
            .to_string()
            .contains("at most 1048576 (1 MiB) (E002)")
    );
}

#[test]
fn many_names_are_linear() {
    let names: Vec<_> = (0..50_000).map(|i| format!("\"k{i}\":{i}")).collect();
    let text = format!("{{{},\"k7\":0}}", names.join(","));
    let findings = read(&text).unwrap_err();
    assert_eq!(findings.0.len(), 1);
    assert!(findings.to_string().contains("`k7` stands twice"));
}

proptest! {
    #[test]
    fn never_panics(text in "[\\[\\]{}\",:\\\\u0-9a-fé \\-.e]{0,40}") {
        let _ = read(&text);
    }
}
