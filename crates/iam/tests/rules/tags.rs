//! Tags.

use std::collections::BTreeMap;

use keyward_iam::{Change, ChangeError, Directory};

use crate::{ADMIN, CI, EVERYTHING, MAIN, World, group, trust};

pub(crate) fn tag(path: &str, set: &[(&str, &str)], remove: &[&str]) -> Change {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Change::SetTags {
        path: path.into(),
        set: set.iter().map(owned).collect(),
        remove: remove.iter().map(|key| (*key).to_owned()).collect(),
    }
}

fn tags(directory: &Directory, path: &str) -> BTreeMap<String, String> {
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let tags = directory.tags_of(path).expect("it has tags");
    tags.iter().map(owned).collect()
}

#[test]
fn what_has_tags() {
    let mut world = World::new();
    world.ok(&group("dev"));
    for path in [CI, MAIN, "org/acme", "org/acme/group/dev", "user/owner"] {
        world.ok(&tag(path, &[("Team", "payments"), ("stage", "")], &[]));
        world.ok(&tag(path, &[("team", "*")], &["stage", "never there"]));
        let expected = BTreeMap::from([("team".to_owned(), "*".to_owned())]);
        assert_eq!(tags(&world.0, path), expected, "{path}");
        assert_eq!(tags(&world.reloaded().0, path), expected, "{path}");
        let shown = world.0.describe(path).expect("it exists");
        assert_eq!(shown["tags"]["team"], "*");
    }
    assert!(matches!(
        world.refused(&tag("org/acme/trust/admin", &[("a", "b")], &[])),
        ChangeError::Invalid { .. }
    ));
    assert!(matches!(
        world.refused(&tag(MAIN, &[("aws:a", "b")], &[])),
        ChangeError::Tag(_)
    ));
    assert!(matches!(
        world.refused(&tag("org/acme/kvdb/none", &[("a", "b")], &[])),
        ChangeError::NotFound { .. }
    ));
}

#[test]
fn rows_from_before_tags_are_read() {
    let world = World::new();
    let rows: Vec<_> = world.0.rows().collect();
    let is_tagged = |row: &keyward_iam::Row| {
        let body = row.body.as_ref();
        body.is_some_and(|body| body.get("tags").is_some())
    };
    assert!(!rows.iter().any(is_tagged));
    assert!(Directory::load(rows, 1).is_ok());
}

#[test]
fn who_tags() {
    let mut world = World::new();
    world.ok(&group("dev"));
    for path in [CI, MAIN, "org/acme", "org/acme/group/dev"] {
        let change = tag(path, &[("team", "payments")], &[]);
        assert!(world.may(ADMIN, &change), "{path}");
        assert!(!world.may(CI, &change), "{path}");
    }
    // Another action, or the same on another thing, is not enough.
    let document = r#"[{"Effect":"Allow","Actions":["kvdb:*","iam:Update*"],"Resources":["**"]},
        {"Effect":"Allow","Actions":["iam:TagDatabase"],"Resources":["kvdb/main"]}]"#;
    world.ok(&trust("ci", "org/acme", CI, document));
    for (path, allowed) in [(MAIN, true), (CI, false), ("org/acme", false)] {
        assert_eq!(
            world.may(CI, &tag(path, &[("a", "b")], &[])),
            allowed,
            "{path}"
        );
    }
}

/// A person owns itself, and its tags would count in every organisation.
#[test]
fn nobody_but_the_operator_tags_people() {
    let mut world = World::new();
    let change = tag("user/owner", &[("team", "admin")], &[]);
    assert!(!world.may("user/owner", &change));
    world.ok(&trust("ci", "org/acme", CI, EVERYTHING));
    assert!(!world.may(CI, &change));
    world.ok(&change);
}

/// Attack 9: `PrincipalTag/team = admin` on oneself.
#[test]
fn ones_own_tags_never_grant_tagging_oneself() {
    let mut world = World::new();
    let by_tag = |condition: &str| {
        format!(
            r#"[{{"Effect":"Allow","Actions":["iam:TagProgrammaticIdentity"],"Resources":["**"],
                "Conditions":{{{condition}}}}}]"#
        )
    };
    let of_principal = r#""StringEquals":{"keyward:PrincipalTag/team":"admin"}"#;
    let of_resource = r#""StringEquals":{"keyward:ResourceTag/team":"admin"}"#;
    let not_of_principal = r#""StringNotEquals":{"keyward:PrincipalTag/team":"intern"}"#;
    let (own, others) = (
        tag(CI, &[("team", "root")], &[]),
        tag(ADMIN, &[("team", "root")], &[]),
    );
    world.ok(&trust("ci", "org/acme", CI, &by_tag(of_principal)));
    assert!(!world.may(CI, &own) && !world.may(CI, &others));
    world.ok(&tag(CI, &[("team", "admin")], &[]));
    assert!(world.may(CI, &others), "the condition holds");
    assert!(!world.may(CI, &own), "but gives nothing on itself");
    let with = |document: &str| Change::UpdateTrust {
        path: "org/acme/trust/ci".into(),
        policies: Some(vec![keyward_iam::PolicyInput::Document(document.into())]),
        expires_at: None,
        conditions: None,
    };
    world.ok(&with(&by_tag(of_resource)));
    assert!(!world.may(CI, &own));
    // A condition that its tags fail counts, too.
    world.ok(&with(&by_tag(not_of_principal)));
    assert!(world.may(CI, &own));
    world.ok(&tag(CI, &[("team", "intern")], &[]));
    assert!(!world.may(CI, &own));
}
