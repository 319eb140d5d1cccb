use std::fmt::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::facts::NoFacts;
use crate::{Dialect, MAX_DOCUMENT_LEN, Match, PolicyKind, read_as};

const VENDORS: [Dialect; 3] = [Dialect::Aws, Dialect::Tencent, Dialect::Alibaba];
const KINDS: [PolicyKind; 2] = [PolicyKind::Identity, PolicyKind::Resource];

/// Every text is read or refused, with findings that lie inside it; what was read is read the same
/// again, and answers.
fn check(text: &str) {
    for dialect in VENDORS {
        for kind in KINDS {
            match read_as(Some(dialect), text, kind, "acme") {
                Ok(policy) => {
                    assert_eq!(policy.text(), text);
                    let again = read_as(Some(dialect), policy.text(), kind, "acme");
                    assert_eq!(again.as_ref(), Ok(&policy));
                    let request = VendorRequest {
                        action: "kvdb:ExecuteGet".into(),
                        resource: "arn:aws:elasticache:::::a".into(),
                    };
                    for statement in policy.statements() {
                        let _ = statement.matches_vendor(&request, "1", &NoFacts);
                        assert!(statement.vendor.is_some() && statement.heap_bytes() > 0);
                    }
                }
                Err(findings) => {
                    let lines = text.split(['\n', '\r']).count();
                    assert!(!findings.0.is_empty());
                    for finding in findings.0 {
                        assert!((1..=lines).contains(&(finding.line as usize)), "{finding}");
                    }
                }
            }
        }
    }
}

/// Documents of the corpus, to be damaged.
fn seeds() -> Vec<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/policy");
    let mut seeds = Vec::new();
    for vendor in ["aws", "tencent", "alibaba"] {
        for folder in ["accepted/identity", "accepted/resource", "refused/identity"] {
            for entry in std::fs::read_dir(root.join(vendor).join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path
                    .extension()
                    .is_some_and(|extension| extension == "json")
                {
                    seeds.push(std::fs::read_to_string(path).unwrap());
                }
            }
        }
    }
    seeds.sort();
    assert!(seeds.len() > 60);
    seeds
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn damaged_documents_never_panic(
        seed in prop::sample::select(seeds()),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), "[a-z*?${}:,\"\\[\\]\\\\]{0,4}"), 1..6),
    ) {
        let mut text = seed;
        for (at, kind, with) in cuts {
            let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let from = starts[at.index(starts.len())];
            let len = starts.iter().find(|start| **start >= from + usize::from(kind % 12)).copied();
            let to = len.unwrap_or(text.len());
            text.replace_range(from..to.max(from), &with);
        }
        check(&text);
    }

    /// What a pattern matches, a naive matcher matches, too.
    #[test]
    fn wildcards_match_as_a_naive_reading_does(
        pattern in "[ab*?]{1,8}",
        text in "[ab]{0,8}",
    ) {
        fn naive(pattern: &[u8], text: &[u8]) -> bool {
            match (pattern.split_first(), text.split_first()) {
                (None, None) => true,
                (Some((b'*', rest)), _) => {
                    naive(rest, text) || text.split_first().is_some_and(|(_, left)| naive(pattern, left))
                }
                (Some((b'?', rest)), Some((_, left))) => naive(rest, left),
                (Some((own, rest)), Some((byte, left))) => own == byte && naive(rest, left),
                _ => false,
            }
        }
        let resource = resource::VendorResource::parse(Dialect::Aws, &format!("arn:aws:s3:::{pattern}"), true).unwrap();
        let found = resource.matches(Dialect::Aws, &format!("arn:aws:s3:::{text}"), "", &NoFacts);
        prop_assert_eq!(found, Some(naive(pattern.as_bytes(), text.as_bytes())));
    }
}

fn timed<R>(what: &str, limit: Duration, run: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let found = run();
    let took = start.elapsed();
    // Unoptimised builds are some twenty times slower.
    let limit = if cfg!(debug_assertions) {
        20 * limit
    } else {
        limit
    };
    assert!(took < limit, "{what}: {took:?}");
    found
}

#[test]
fn ten_thousand_statements() {
    let mut text = String::from(r#"{"Version":"2012-10-17","Statement":["#);
    for i in 0..10_000 {
        let comma = if i == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}{{"Effect":"Deny","NotAction":["a{i}:*"],"Resource":"arn:aws:s3:::b*{i}"}}"#
        );
    }
    text += "]}";
    let policy = timed("read", Duration::from_secs(1), || {
        read_as(Some(Dialect::Aws), &text, PolicyKind::Identity, "acme").unwrap()
    });
    assert_eq!(policy.statements().len(), 10_000);
    assert!(policy.heap_bytes() < 50 << 20, "{}", policy.heap_bytes());
    let request = VendorRequest {
        action: "s3:GetObject".into(),
        resource: "arn:aws:s3:::b12".into(),
    };
    timed("match", Duration::from_millis(100), || {
        let full = policy
            .statements()
            .iter()
            .filter(|s| s.matches_vendor(&request, "", &NoFacts) == Match::Full);
        assert_eq!(full.count(), 2);
    });
}

#[test]
fn a_megabyte_of_anything() {
    let action = r#""s3:*a*a*a*a*a*b","#;
    let mut text = String::from(
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Resource":"*","Action":["#,
    );
    while text.len() + action.len() + 16 < MAX_DOCUMENT_LEN {
        text += action;
    }
    text += r#""s3:Get"]}}"#;
    let read = |text: &str, dialect| {
        timed("read", Duration::from_secs(1), || {
            read_as(Some(dialect), text, PolicyKind::Identity, "acme")
        })
    };
    let policy = read(&text, Dialect::Aws).unwrap();
    assert!(policy.heap_bytes() < 100 << 20, "{}", policy.heap_bytes());
    let request = VendorRequest {
        action: format!("s3:{}", "a".repeat(400)),
        resource: "*".into(),
    };
    timed("match", Duration::from_secs(1), || {
        assert_eq!(
            policy.statements()[0].matches_vendor(&request, "", &NoFacts),
            Match::Action
        );
    });
    for text in [
        "[".repeat(MAX_DOCUMENT_LEN),
        "{\"Statement\":".repeat(50_000),
    ] {
        for dialect in VENDORS {
            assert!(read(&text, dialect).is_err());
        }
    }
}

#[test]
fn hostile_wildcards_take_linear_time() {
    let pattern = format!("arn:aws:s3:::{}b", "a*".repeat(900));
    let text = format!("arn:aws:s3:::{}", "a".repeat(100_000));
    let resource = resource::VendorResource::parse(Dialect::Aws, &pattern, true).unwrap();
    timed("match", Duration::from_millis(100), || {
        assert_eq!(
            resource.matches(Dialect::Aws, &text, "", &NoFacts),
            Some(false)
        );
    });
    let pattern = format!("arn:aws:s3:::*{}b*", "a?".repeat(900));
    let resource = resource::VendorResource::parse(Dialect::Aws, &pattern, true).unwrap();
    timed("match", Duration::from_millis(100), || {
        assert_eq!(
            resource.matches(Dialect::Aws, &text, "", &NoFacts),
            Some(false)
        );
    });
}
