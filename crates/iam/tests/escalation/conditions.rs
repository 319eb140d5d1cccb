//! What must be so for a path to be open.

use keyward_iam::Change;

use super::{NOW, allow, document, full, of, only_if, trust, walk, world};
use crate::acme::{identity, role};

/// What must be so for a path is told in words.
#[test]
fn conditions_are_told_in_words() {
    let office = r#""IpAddress":{"keyward:SourceIp":"10.0.0.0/8"}"#;
    let factor = r#""Bool":{"keyward:MultiFactorAuthPresent":"true"}"#;
    let hours = r#""DateGreaterThan":{"keyward:CurrentTime":"2030-01-01T00:00:00Z"},
                   "DateLessThan":{"keyward:CurrentTime":"2030-01-02T00:00:00Z"}"#;
    let not_inner = r#""IpAddress":{"keyward:SourceIp":"10.0.0.0/8"},
                       "NotIpAddress":{"keyward:SourceIp":"10.0.0.0/9"}"#;
    let cases = [
        (String::new(), vec![]),
        (office.to_owned(), vec!["from an address in 10.0.0.0/8"]),
        (
            not_inner.to_owned(),
            vec!["from an address in 10.0.0.0/8 and not in 10.0.0.0/9"],
        ),
        (factor.to_owned(), vec!["with a second factor"]),
        (
            hours.to_owned(),
            vec!["between 2030-01-01T00:00:00Z and 2030-01-02T00:00:00Z"],
        ),
        (
            format!("{office},{factor}"),
            vec!["with a second factor", "from an address in 10.0.0.0/8"],
        ),
        (
            r#""Bool":{"keyward:SecureTransport":"false"}"#.to_owned(),
            vec!["without encryption"],
        ),
        // It tells that, but never two in one.
        (
            r#""IpAddress":{"keyward:SourceIp":["10.0.0.0/8","192.0.2.0/24"]}"#.to_owned(),
            vec!["from an address in 10.0.0.0/8"],
        ),
    ];
    for (conditions, expected) in cases {
        let on = full("programmatic_identity/admin");
        let statement = match &*conditions {
            "" => allow("iam:CreateAccessKey", &on),
            conditions => only_if("iam:CreateAccessKey", &on, conditions),
        };
        let directory = world(&[statement], Vec::new());
        let answer = directory.escalations("acme", false, NOW);
        let told = of(&answer.found, "x");
        let conditions: Vec<Vec<&str>> = told.iter().map(|e| e.conditions()).collect();
        assert_eq!(conditions.first(), Some(&expected), "{told:#?}");
        assert!(!answer.truncated);
        told.iter().for_each(|told| walk(&directory, told));
    }
}

/// A role that lets in whoever has a second factor, and asks for a tag of the session.
#[test]
fn roles_are_assumed_under_conditions() {
    let x = "programmatic_identity/x";
    let mut lets_in = trust("auditor", "role/auditor", x, "");
    if let Change::CreateTrust {
        conditions, kind, ..
    } = &mut lets_in
    {
        *kind = Some(keyward_iam::TrustKind::Assumable);
        *conditions = Some(
            r#"{"Bool":{"keyward:MultiFactorAuthPresent":"true"},
                "StringLike":{"keyward:RequestTag/ticket":"T-*"}}"#
                .into(),
        );
    }
    let power = only_if(
        "iam:CreateAccessKey",
        "programmatic_identity/admin",
        r#""StringLike":{"keyward:SessionTag/ticket":"T-*"}"#,
    );
    let directory = world(
        &[],
        vec![
            role("auditor"),
            lets_in,
            trust("power", "", "role/auditor", &document(&[power])),
        ],
    );
    let answer = directory.escalations("acme", false, NOW);
    let told = of(&answer.found, "x");
    assert!(!told.is_empty(), "{:#?}", answer.found);
    for told in told {
        walk(&directory, told);
        assert_eq!(told.conditions(), ["with a second factor"]);
        assert!(
            told.steps[0].text.contains("session tag ticket=T-x"),
            "{told:#?}"
        );
    }
}

/// What clients choose of their connections is no obstacle to whoever gets there.
#[test]
fn what_clients_choose_is_tried() {
    let batch = "programmatic_identity/batch";
    let cases: [(&str, Option<&str>); 8] = [
        (
            r#""StringEquals":{"keyward:ClientName":"nightly"}"#,
            Some("calling itself `nightly`"),
        ),
        (
            r#""StringLike":{"keyward:ClientName":"job-*"}"#,
            Some("calling itself `job-x`"),
        ),
        (
            r#""Null":{"keyward:ClientName":"false"}"#,
            Some("calling itself `client`"),
        ),
        (
            r#""StringNotEquals":{"keyward:ClientName":"nightly"}"#,
            None,
        ),
        (
            r#""NumericEquals":{"kvdb:DatabaseIndex":3}"#,
            Some("in database 3"),
        ),
        (
            r#""NumericGreaterThan":{"kvdb:DatabaseIndex":3}"#,
            Some("in database 4"),
        ),
        (r#""NumericLessThan":{"kvdb:DatabaseIndex":3}"#, None),
        (r#""NumericEquals":{"kvdb:DatabaseIndex":0}"#, None),
    ];
    for (conditions, expected) in cases {
        let statement = only_if("kvdb:ExecuteGet", "kvdb/main", conditions);
        let directory = world(
            &[allow("iam:CreateAccessKey", batch)],
            vec![
                identity("batch"),
                trust("batch", "", batch, &document(&[statement])),
            ],
        );
        let answer = directory.escalations("acme", false, NOW);
        let told = of(&answer.found, "x");
        assert_eq!(told.len(), 1, "{conditions}: {told:#?}");
        let gain = told[0].gain.as_ref().unwrap();
        let words: Vec<&str> = gain.when.words.iter().map(String::as_str).collect();
        assert_eq!(
            words,
            expected.into_iter().collect::<Vec<_>>(),
            "{conditions}"
        );
        if expected.is_some() {
            walk(&directory, told[0]);
        }
    }
}
