use keyward_commands::{ActionId, CONNECT, action};
use proptest::prelude::*;

use super::*;
use crate::{ChannelUse, KeyUse, MAX_FINDINGS, Match, Touch};

fn policy(text: &str) -> Policy {
    read(text, PolicyKind::Identity, "acme").unwrap_or_else(|findings| panic!("{findings}"))
}

fn named(name: &str) -> ActionId {
    action(name).unwrap_or_else(|| panic!("{name}"))
}

/// One statement on `kvdb/x` with these fields beside.
fn statement(effect: &str, actions: &str, fields: &str) -> Statement {
    let text = format!(
        r#"[{{"Effect":"{effect}","Actions":[{actions}],"Resources":["kvdb/x","org/acme"]{fields}}}]"#
    );
    policy(&text).statements()[0].clone()
}

#[test]
fn where_a_statement_stops() {
    let allow = statement("Allow", r#""kvdb:ExecuteGet""#, r#","Keys":["app:*"]"#);
    let get = named("kvdb:ExecuteGet");
    let app = [KeyUse {
        key: b"app:1",
        reads: true,
        writes: false,
    }];
    let other = [KeyUse {
        key: b"other",
        reads: true,
        writes: false,
    }];
    let (app, other) = (
        Touch::Named {
            keys: &app,
            channels: &[],
        },
        Touch::Named {
            keys: &other,
            channels: &[],
        },
    );
    let path = "org/acme/kvdb/x";
    assert_eq!(
        allow.matches(named("kvdb:ExecuteSet"), path, &app, &crate::NoFacts),
        Match::Action
    );
    assert_eq!(
        allow.matches(get, "org/acme/kvdb/y", &app, &crate::NoFacts),
        Match::Resource
    );
    assert_eq!(
        allow.matches(get, "org/partner/kvdb/x", &app, &crate::NoFacts),
        Match::Resource
    );
    assert_eq!(
        allow.matches(get, path, &other, &crate::NoFacts),
        Match::Keys
    );
    assert_eq!(allow.matches(get, path, &app, &crate::NoFacts), Match::Full);
    assert!(Match::Action < Match::Resource && Match::Keys < Match::Full);
}

#[test]
fn a_resource_policy_does_not_look_at_the_resource() {
    let text = r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Identities":["*"]}]"#;
    let policy = read(text, PolicyKind::Resource, "acme").unwrap();
    assert_eq!(policy.kind(), PolicyKind::Resource);
    let found = policy.statements()[0].matches(
        named("kvdb:ExecuteGet"),
        "any",
        &Touch::Keyless,
        &crate::NoFacts,
    );
    assert_eq!(found, Match::Full);
}

/// Commands asked for without a call, and actions that are no commands, beside key fields.
#[test]
fn key_fields_without_a_call() {
    let keys = r#","Keys":["app:*"]"#;
    let all = r#","Keys":["*"]"#;
    let read_all = r#","ReadKeys":["*"]"#;
    let channels = r#","Channels":["news:*"]"#;
    let all_channels = r#","Channels":["*"]"#;
    // (fields, action, on an Allow, on a Deny)
    let cases = [
        (keys, "kvdb:ExecuteGet", false, true),
        (keys, "kvdb:ExecuteSet", false, true),
        (keys, "kvdb:ExecuteTime", true, false),
        (keys, "kvdb:ExecuteScan", true, false),
        (keys, "kvdb:ExecuteFlushall", false, true),
        (all, "kvdb:ExecuteGet", true, true),
        (all, "kvdb:ExecuteFlushall", true, true),
        (all, "kvdb:ExecutePublish", false, false),
        (read_all, "kvdb:ExecuteGet", true, true),
        (read_all, "kvdb:ExecuteScan", true, false),
        (read_all, "kvdb:ExecuteSet", false, false),
        (read_all, "kvdb:ExecuteFlushall", false, false),
        (channels, "kvdb:ExecutePublish", false, true),
        (channels, "kvdb:ExecuteGet", false, false),
        (all_channels, "kvdb:ExecutePublish", true, true),
        (all_channels, "kvdb:ExecuteSubscribe", true, true),
        ("", "kvdb:ExecuteGet", true, true),
        ("", "kvdb:Connect", true, true),
        // No command, no keys.
        (keys, "kvdb:Connect", true, false),
        (keys, "kvdb:Delete", true, false),
    ];
    for (fields, name, allows, denies) in cases {
        for (effect, expected) in [("Allow", allows), ("Deny", denies)] {
            let statement = statement(effect, r#""kvdb:*""#, fields);
            let found = statement.matches(
                named(name),
                "org/acme/kvdb/x",
                &Touch::None,
                &crate::NoFacts,
            );
            let expected = if expected { Match::Full } else { Match::Keys };
            assert_eq!(found, expected, "{effect} {name} {fields}");
        }
    }
    assert!(matches!(Touch::of_action(CONNECT), Touch::None));
}

#[test]
fn key_fields_mean_nothing_to_what_is_no_command() {
    let keys = [KeyUse {
        key: b"secret",
        reads: true,
        writes: true,
    }];
    let channels = [ChannelUse {
        channel: b"x",
        pattern: false,
    }];
    let touch = Touch::Named {
        keys: &keys,
        channels: &channels,
    };
    let fields = r#","Keys":["app:*"]"#;
    let delete = named("kvdb:Delete");
    assert!(statement("Allow", r#""*""#, fields).matches_keys(delete, &touch, &crate::NoFacts));
    assert!(!statement("Deny", r#""*""#, fields).matches_keys(delete, &touch, &crate::NoFacts));
}

#[test]
fn lines_of_statements() {
    let one = r#"{"Effect":"Allow","Actions":["*"],"Resources":["**"]}"#;
    let policy = policy(&format!("[{one}, {one},\n\n{one}\r\n,\r{one}]"));
    let lines: Vec<u32> = policy
        .statements()
        .iter()
        .map(|statement| statement.line)
        .collect();
    assert_eq!(lines, [1, 1, 3, 5]);
}

#[test]
fn too_large_and_too_many() {
    let text = format!("[{}]", " ".repeat(crate::MAX_DOCUMENT_LEN));
    let findings = read(&text, PolicyKind::Identity, "acme").unwrap_err();
    assert_eq!(
        findings.to_string(),
        "1:1: document of 1048578 bytes: at most 1048576 (1 MiB) (E002)"
    );
    let text = format!("[{}0]", "1,".repeat(5000));
    let findings = read(&text, PolicyKind::Identity, "acme").unwrap_err();
    assert_eq!(findings.0.len(), MAX_FINDINGS + 1);
    let last = findings.0.last().unwrap();
    assert_eq!((last.code, last.column), ("E022", 10_004));
}

/// Documents of the greatest size, made to be slow: milliseconds each in a release build. The bound
/// is generous, but anything quadratic would take hours.
#[test]
fn the_largest_documents_are_read_in_time() {
    let list = |one: &str| {
        let count = (crate::MAX_DOCUMENT_LEN - 200) / (one.len() + 1);
        vec![one; count].join(",")
    };
    let with = |field: &str, values: &str| {
        format!(r#"[{{"Effect":"Allow","Actions":["*"],"Resources":["**"],"{field}":[{values}]}}]"#)
    };
    let names: Vec<String> = (0..80_000).map(|i| format!("\"k{i}\":1")).collect();
    let actions: Vec<String> = (0..50_000).map(|i| format!("\"kvdb:Get{i}\"")).collect();
    let documents = [
        ("empty statements", format!("[{}]", list("{}"))),
        ("unknown fields", format!("[{{{}}}]", names.join(","))),
        (
            "unknown actions",
            format!("[{{\"Actions\":[{}]}}]", actions.join(",")),
        ),
        (
            "unknown resources",
            format!("[{{\"Resources\":[{}]}}]", list("\"kvdc/x\"")),
        ),
        ("short keys", with("Keys", &list("\"a\""))),
        ("classes", with("Keys", &list("\"[a-z]*[0-9]\""))),
        (
            "hostile keys",
            with("Keys", &list(&format!("\"{}\"", "*a".repeat(500)))),
        ),
        ("nothing", format!("[{}]", " \n".repeat(500_000))),
        ("escapes", format!("[\"{}\"]", "\\u0041".repeat(170_000))),
        ("arrays", format!("[{}]", list("[]"))),
    ];
    for (name, text) in documents {
        let start = std::time::Instant::now();
        let _ = read(&text, PolicyKind::Identity, "acme");
        let took = start.elapsed();
        assert!(took.as_secs() < 30, "{name}: {took:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Damage to a valid document never panics, and every finding has a place in the text.
    #[test]
    fn damaged_documents(at in 0..250_usize, len in 0..6_usize, put in "[\\[\\]{}\",:\\\\*$a/é]{0,4}") {
        let mut text = String::from(
            r#"{"Version":"keyward-1","Statement":[{"Sid":"a","Effect":"Allow","Actions":["kvdb:@read","kvdb:ExecuteSet"],"Resources":["kvdb/x","org/acme/**"],"Keys":["app:*","[a-z]\\*"],"Channels":["*"]},{"Effect":"Deny","Actions":["*"],"Resources":["**"]}]}"#,
        );
        let from = at.min(text.len());
        let to = (from + len).min(text.len());
        text.replace_range(from..to, &put);
        for kind in [PolicyKind::Identity, PolicyKind::Resource] {
            if let Err(findings) = read(&text, kind, "acme") {
                prop_assert!(!findings.0.is_empty());
                for finding in findings.0 {
                    prop_assert!(finding.line >= 1 && finding.column >= 1);
                    prop_assert!(finding.column as usize <= text.chars().count() + 1);
                }
            }
        }
    }
}
