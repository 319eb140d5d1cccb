//! Sessions of roles: who gets one, what it may do, and when it ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_iam::{
    AssumeRole, AssumeRoleError, AssumedRole, Call, Change, KeyStatus, Outcome, PolicyText,
    Session, SessionEnded, SessionPolicy, TemporarySession, TokenFacts, TrustKind, UnixMillis,
};

use super::providers::{AUDIENCE, create, oidc, update};
use super::{ADMIN, CI, EVERYTHING, MAIN, NOW, World, group, identity, key, trust};

const DEPLOYER: &str = "org/acme/role/deployer";
const PARTNER: &str = "org/partner/programmatic_identity/bot";
const SESSION_ID: &str = "KWTKAAAAAAAAAAAAAAAA";
const CI_KEY: &str = "KWAKCICICICICICICICI";
const READ: &str = r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/main"]}]"#;

fn role(id: &str) -> Change {
    Change::CreateRole {
        organisation: "acme".into(),
        id: id.into(),
        name: None,
        description: None,
        max_session_seconds: Some(7200),
    }
}

/// A trust by which somebody may assume a role.
fn assumable(id: &str, role: &str, trustee: &str, conditions: Option<&str>) -> Change {
    Change::CreateTrust {
        id: id.into(),
        trustor: role.into(),
        trustee: trustee.into(),
        policies: Vec::new(),
        expires_at: None,
        kind: Some(TrustKind::Assumable),
        conditions: conditions.map(str::to_owned),
    }
}

fn ask() -> AssumeRole {
    AssumeRole {
        role: DEPLOYER.into(),
        session_name: "build-17".into(),
        ..AssumeRole::default()
    }
}

impl World {
    /// A role that may do everything in acme, a key of `ci`, and a bot of the partner.
    fn with_role() -> Self {
        let mut world = Self::new();
        world.ok(&role("deployer"));
        world.ok(&trust("deployer", "org/acme", DEPLOYER, EVERYTHING));
        world.ok(&key(CI, CI_KEY));
        world.ok(&identity("partner", "bot"));
        world
    }

    fn ci(&self) -> Session {
        let (ix, key) = self.0.access_key(CI_KEY).expect("it was made");
        Session::of_key(ix, key.identity)
    }

    fn of(&self, path: &str) -> Session {
        Session::of_identity(self.0.identity_at(path).expect("it exists"))
    }

    fn assume(&self, caller: &Session, ask: &AssumeRole) -> Result<AssumedRole, AssumeRoleError> {
        self.0.assume_role(caller, ask, SESSION_ID, NOW)
    }

    fn assumed(&self, caller: &Session, ask: &AssumeRole) -> Arc<TemporarySession> {
        let assumed = self.assume(caller, ask);
        Arc::new(assumed.unwrap_or_else(|error| panic!("{error}")).session)
    }

    /// Whether a session may run a command on `kvdb/main`: the evaluator and the table.
    fn runs(&self, session: &Session, words: &[&str]) -> bool {
        let database = self.0.database_at(MAIN).expect("it exists");
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let call = Call::at(NOW);
        let decision = self
            .0
            .decide_command(session, database, &words[..], false, &call);
        let table = self.0.table(session, database, false, NOW);
        let command = keyward_commands::resolve(&words[..]).expect("a known command");
        let request = keyward_iam::Request {
            command,
            words: &words[..],
            bytes: b"",
            call,
        };
        let permitted = table.authorize(&request, &mut Default::default()).is_ok();
        assert_eq!(permitted, decision.is_allow(), "{words:?}: {decision:?}");
        permitted
    }

    fn session(&self, temporary: &Arc<TemporarySession>) -> Session {
        let session = self.0.session_of(temporary, NOW);
        session.unwrap_or_else(|ended| panic!("{ended}"))
    }

    fn ended(&self, temporary: &Arc<TemporarySession>, at: UnixMillis) -> Option<SessionEnded> {
        self.0.session_of(temporary, at).err()
    }
}

#[test]
fn who_may_assume_a_role() {
    let mut world = World::with_role();
    let denied = |world: &World, who: &str| {
        let found = world.assume(&world.of(who), &ask());
        matches!(found, Err(AssumeRoleError::Denied(_)))
    };
    assert!(denied(&world, CI), "nobody trusts it");
    assert!(
        world.assume(&world.of(ADMIN), &ask()).is_ok(),
        "the owner accepts itself, and trusts it with everything"
    );
    world.ok(&assumable("ci", DEPLOYER, CI, None));
    assert!(world.assume(&world.of(CI), &ask()).is_ok());
    assert!(denied(&world, PARTNER));
    // The partner's organisation as a whole: only along a trust that allows it.
    world.ok(&assumable("partner", DEPLOYER, "org/partner", None));
    assert!(denied(&world, PARTNER));
    let may = r#"[{"Effect":"Allow","Actions":["sts:AssumeRole"],"Resources":["org/acme/role/deployer"]}]"#;
    world.ok(&trust("bot", "org/partner", PARTNER, may));
    assert!(world.assume(&world.of(PARTNER), &ask()).is_ok());
    // A member of a group that is trusted.
    world.ok(&identity("acme", "member"));
    world.ok(&group("dev"));
    let member = "org/acme/programmatic_identity/member";
    world.ok(&assumable("dev", DEPLOYER, "org/acme/group/dev", None));
    assert!(denied(&world, member));
    world.ok(&Change::CreateTrust {
        id: "dev-member".into(),
        trustor: "org/acme/group/dev".into(),
        trustee: member.into(),
        policies: Vec::new(),
        expires_at: None,
        kind: None,
        conditions: None,
    });
    assert!(world.assume(&world.of(member), &ask()).is_ok());
    // A trust to assume gives nothing else on the role.
    let action = keyward_commands::action("iam:UpdateRole").expect("listed");
    let touch = keyward_policy::Touch::None;
    let update = world.0.decide(&world.of(CI), action, DEPLOYER, &touch, NOW);
    assert_eq!(update.outcome, Outcome::ImplicitDeny);
    let reloaded = world.reloaded();
    assert!(reloaded.assume(&reloaded.of(member), &ask()).is_ok());
}

#[test]
fn what_limits_a_session() {
    let mut world = World::with_role();
    let Change::CreateTrust { policies, .. } = trust("x", DEPLOYER, CI, READ) else {
        panic!("a trust")
    };
    let mut narrow = assumable("narrow", DEPLOYER, CI, None);
    if let Change::CreateTrust { policies: of, .. } = &mut narrow {
        *of = policies;
    }
    world.ok(&narrow);
    let (get, set) = (["GET", "k"], ["SET", "k", "v"]);
    let session = world.session(&world.assumed(&world.ci(), &ask()));
    assert!(world.runs(&session, &get) && !world.runs(&session, &set));
    // A session policy only narrows.
    let only = |document: &str| AssumeRole {
        policies: vec![SessionPolicy::Text(PolicyText::from(document))],
        ..ask()
    };
    let wide = world.session(&world.assumed(&world.ci(), &only(EVERYTHING)));
    assert!(world.runs(&wide, &get) && !world.runs(&wide, &set));
    let keys =
        r#"[{"Effect":"Allow","Actions":["kvdb:*"],"Resources":["kvdb/main"],"Keys":["a:*"]}]"#;
    let some = world.session(&world.assumed(&world.ci(), &only(keys)));
    assert!(world.runs(&some, &["GET", "a:1"]) && !world.runs(&some, &get));
    let deny = r#"[{"Effect":"Allow","Actions":["*"],"Resources":["**"]},{"Effect":"Deny","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/main"]}]"#;
    let without = world.session(&world.assumed(&world.ci(), &only(deny)));
    assert!(!world.runs(&without, &get) && world.runs(&without, &["EXISTS", "k"]));
    let database = world.0.database_at(MAIN).expect("it exists");
    let words: [&[u8]; 2] = [b"GET", b"k"];
    let decision = world
        .0
        .decide_command(&without, database, &words[..], false, &Call::at(NOW));
    assert_eq!(decision.outcome, Outcome::ExplicitDeny);
    // The caller's own trusts are left behind, what denies it too.
    world.ok(&trust(
        "ci",
        "org/acme",
        CI,
        r#"[{"Effect":"Deny","Actions":["kvdb:*"],"Resources":["**"]}]"#,
    ));
    assert!(world.runs(&world.session(&world.assumed(&world.ci(), &ask())), &get));
    // Sharing tables does not share limits.
    let cache = keyward_iam::TableCache::default();
    let may_get = |session: &Session| {
        let table = cache.table(&world.0, session, database, false, NOW);
        let request = keyward_iam::Request {
            command: keyward_commands::resolve(&words[..]).expect("known"),
            words: &words[..],
            bytes: b"",
            call: Call::at(NOW),
        };
        table.authorize(&request, &mut Default::default()).is_ok()
    };
    let mut other = (*world.assumed(&world.ci(), &only(deny))).clone();
    other.id = "KWTKBBBBBBBBBBBBBBBB".into();
    let other = world.session(&Arc::new(other));
    let first = world.session(&world.assumed(&world.ci(), &ask()));
    assert!(may_get(&first) && !may_get(&other) && may_get(&first));
    // Boundaries hold for what is done as the role.
    world.ok(&Change::PutBoundary {
        identity: DEPLOYER.into(),
        policies: vec![keyward_iam::PolicyInput::Document(
            r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteExists"],"Resources":["**"]}]"#.into(),
        )],
    });
    let bound = world.session(&world.assumed(&world.ci(), &ask()));
    assert!(!world.runs(&bound, &get) && world.runs(&bound, &["EXISTS", "k"]));
}

#[test]
fn conditions_of_assumable_trusts() {
    let mut world = World::with_role();
    let conditions = r#"{"StringEquals":{"keyward:ExternalId":"kw-7"},"Bool":{"keyward:MultiFactorAuthPresent":"true"}}"#;
    world.ok(&assumable("bot", DEPLOYER, PARTNER, Some(conditions)));
    let bot = |mfa| Session {
        mfa,
        ..world.of(PARTNER)
    };
    let with = |external_id: Option<&str>| AssumeRole {
        external_id: external_id.map(str::to_owned),
        ..ask()
    };
    let cases = [
        (Some("kw-7"), Some(NOW), true),
        (Some("kw-7"), None, false),
        (Some("kw-8"), Some(NOW), false),
        (None, Some(NOW), false),
    ];
    for (external_id, mfa, may) in cases {
        let found = world.assume(&bot(mfa), &with(external_id));
        assert_eq!(found.is_ok(), may, "{external_id:?} {mfa:?}");
    }
    // What was opened ends when the conditions become others.
    let session = world.assumed(&bot(Some(NOW)), &with(Some("kw-7")));
    assert_eq!(world.ended(&session, NOW), None);
    world.ok(&Change::UpdateTrust {
        path: "org/acme/trust/bot".into(),
        policies: None,
        expires_at: None,
        conditions: Some(Some(
            r#"{"StringEquals":{"keyward:ExternalId":"kw-9"}}"#.into(),
        )),
    });
    assert_eq!(world.ended(&session, NOW), Some(SessionEnded::TrustEnded));
    let reloaded = world.reloaded();
    assert_eq!(
        reloaded.ended(&session, NOW),
        Some(SessionEnded::TrustEnded)
    );
}

#[test]
fn tags_of_sessions_are_accepted_key_by_key() {
    let mut world = World::with_role();
    let conditions = r#"{"StringEquals":{"keyward:RequestTag/team":["a","b"]}}"#;
    world.ok(&assumable("ci", DEPLOYER, CI, Some(conditions)));
    let with = |tags: &[(&str, &str)]| AssumeRole {
        tags: tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        transitive_tag_keys: tags.iter().map(|(key, _)| (*key).to_owned()).collect(),
        ..ask()
    };
    let cases: [(&[(&str, &str)], bool); 5] = [
        (&[("team", "a")], true),
        (&[("team", "c")], false),
        (&[("team", "a"), ("admin", "yes")], false),
        (&[("admin", "yes")], false),
        (&[], false), // the condition wants one
    ];
    for (tags, may) in cases {
        let ci = Session { ..world.of(CI) };
        assert_eq!(world.assume(&ci, &with(tags)).is_ok(), may, "{tags:?}");
    }
    // They never take the place of the role's own tags, and are inherited where they are
    // transitive.
    world.ok(&role("second"));
    let second = "org/acme/role/second";
    world.ok(&assumable("second", second, DEPLOYER, None));
    let by_tag = |key: &str| {
        format!(
            r#"[{{"Effect":"Allow","Actions":["kvdb:*"],"Resources":["kvdb/main"],"Conditions":{{"StringEquals":{{"keyward:{key}/team":"a"}}}}}}]"#
        )
    };
    world.ok(&trust(
        "second-o",
        "org/acme",
        second,
        &by_tag("PrincipalTag"),
    ));
    let first = world.session(&world.assumed(&world.ci(), &with(&[("team", "a")])));
    let chain = AssumeRole {
        role: second.into(),
        ..ask()
    };
    let chained = world.session(&world.assumed(&first, &chain));
    assert!(
        !world.runs(&chained, &["GET", "k"]),
        "a session tag is no principal tag"
    );
    world.ok(&Change::UpdateTrust {
        path: "org/acme/trust/second-o".into(),
        policies: Some(vec![keyward_iam::PolicyInput::Document(by_tag(
            "SessionTag",
        ))]),
        expires_at: None,
        conditions: None,
    });
    let chained = world.session(&world.assumed(&first, &chain));
    assert!(world.runs(&chained, &["GET", "k"]));
    let again = AssumeRole {
        tags: BTreeMap::from([("Team".to_owned(), "b".to_owned())]),
        ..chain
    };
    assert!(matches!(
        world.assume(&first, &again),
        Err(AssumeRoleError::Invalid { .. })
    ));
}

#[test]
fn durations_chains_and_names() {
    let mut world = World::with_role();
    world.ok(&assumable("ci", DEPLOYER, CI, None));
    world.ok(&role("second"));
    world.ok(&assumable("second", "org/acme/role/second", DEPLOYER, None));
    let lasts = |seconds| AssumeRole {
        duration_seconds: seconds,
        ..ask()
    };
    let cases = [
        (None, Some(3600)),
        (Some(899), None),
        (Some(900), Some(900)),
        (Some(7200), Some(7200)),
        (Some(7201), None),
    ];
    for (asked, expected) in cases {
        let found = world.assume(&world.ci(), &lasts(asked));
        let found = found.ok().map(|a| (a.session.expires.0 - NOW.0) / 1000);
        assert_eq!(found, expected, "{asked:?}");
    }
    let named = AssumeRole {
        source_identity: Some("alice".into()),
        ..lasts(Some(7200))
    };
    let first = world.session(&world.assumed(&world.ci(), &named));
    let second = |seconds, source: Option<&str>| AssumeRole {
        role: "org/acme/role/second".into(),
        duration_seconds: seconds,
        source_identity: source.map(str::to_owned),
        ..ask()
    };
    assert!(world.assume(&first, &second(Some(3601), None)).is_err());
    let chained = world.assumed(&first, &second(Some(3600), None));
    assert_eq!(chained.source_identity.as_deref(), Some("alice"));
    assert!(world.assume(&first, &second(None, Some("bob"))).is_err());
    let principals: Vec<&str> = chained.origins.iter().map(|o| &*o.principal).collect();
    assert_eq!(principals, [DEPLOYER, CI]);
    for name in ["a", "has space", "", &"x".repeat(65)] {
        let ask = AssumeRole {
            session_name: name.to_owned(),
            ..ask()
        };
        assert!(world.assume(&world.ci(), &ask).is_err(), "{name:?}");
    }
}

#[test]
fn a_session_ends_with_everything_it_came_from() {
    let soon = UnixMillis(NOW.0 + 1000);
    let key_path = format!("{CI}/access_key/{CI_KEY}");
    let cases: Vec<(&str, Change, SessionEnded)> = vec![
        (
            "trust deleted",
            Change::DeleteTrust {
                path: "org/acme/trust/dev".into(),
            },
            SessionEnded::TrustEnded,
        ),
        (
            "trust expires",
            Change::UpdateTrust {
                path: "org/acme/trust/dev".into(),
                policies: None,
                expires_at: Some(Some(soon)),
                conditions: None,
            },
            SessionEnded::TrustEnded,
        ),
        (
            "left the group",
            Change::DeleteTrust {
                path: "org/acme/trust/member".into(),
            },
            SessionEnded::TrustEnded,
        ),
        (
            "key disabled",
            Change::UpdateAccessKey {
                path: key_path.clone(),
                status: Some(KeyStatus::Disabled),
                description: None,
                expires_at: None,
            },
            SessionEnded::AccessKeyDisabled,
        ),
        (
            "key deleted",
            Change::DeleteAccessKey {
                path: key_path.clone(),
            },
            SessionEnded::AccessKeyDeleted,
        ),
        (
            "key expires",
            Change::UpdateAccessKey {
                path: key_path,
                status: None,
                description: None,
                expires_at: Some(Some(soon)),
            },
            SessionEnded::AccessKeyExpired,
        ),
        (
            "keys live shorter",
            Change::SetKeyLimits {
                organisation: "org/acme".into(),
                max_key_lifetime_seconds: Some(1),
                max_active_keys: None,
            },
            SessionEnded::AccessKeyExpired,
        ),
        (
            "identity deleted",
            Change::DeleteIdentity {
                path: CI.into(),
                cascade: true,
            },
            SessionEnded::IdentityDeleted,
        ),
        (
            "role deleted",
            Change::DeleteIdentity {
                path: DEPLOYER.into(),
                cascade: true,
            },
            SessionEnded::IdentityDeleted,
        ),
        (
            "one session ended",
            Change::RevokeSession {
                identity: DEPLOYER.into(),
                id: SESSION_ID.into(),
                expires: UnixMillis(NOW.0 + 3_600_000),
            },
            SessionEnded::Revoked,
        ),
    ];
    for (name, change, expected) in cases {
        let mut world = World::with_role();
        world.ok(&group("dev"));
        world.ok(&assumable("dev", DEPLOYER, "org/acme/group/dev", None));
        world.ok(&trust("member", "org/acme/group/dev", CI, EVERYTHING));
        world.ok(&role("second"));
        world.ok(&assumable("second", "org/acme/role/second", DEPLOYER, None));
        let first = world.assumed(&world.ci(), &ask());
        let chain = AssumeRole {
            role: "org/acme/role/second".into(),
            ..ask()
        };
        let mut chained = (*world.assumed(&world.session(&first), &chain)).clone();
        chained.id = "KWTKCCCCCCCCCCCCCCCC".into();
        let chained = Arc::new(chained);
        for session in [&first, &chained] {
            assert_eq!(world.ended(session, soon), None, "{name}");
        }
        world.ok(&change);
        for world in [&world, &world.reloaded()] {
            for session in [&first, &chained] {
                assert_eq!(world.ended(session, soon), Some(expected), "{name}");
            }
        }
    }
    // By time, and by the moment it was issued.
    let mut world = World::with_role();
    world.ok(&assumable("ci", DEPLOYER, CI, None));
    let session = world.assumed(&world.ci(), &ask());
    let over = UnixMillis(NOW.0 + 3_600_000);
    assert_eq!(world.ended(&session, over), Some(SessionEnded::Expired));
    let database = world.0.database_at(MAIN).expect("it exists");
    let table = world
        .0
        .table(&world.session(&session), database, false, NOW);
    assert_eq!(table.valid_until(), Some(over));
    world.ok(&Change::RevokeSessions {
        identity: DEPLOYER.into(),
        before: NOW,
    });
    assert_eq!(world.ended(&session, NOW), None, "it began at that moment");
    let earlier = Arc::new(TemporarySession {
        issued: UnixMillis(NOW.0 - 1),
        ..(*session).clone()
    });
    assert_eq!(world.ended(&earlier, NOW), Some(SessionEnded::Revoked));
    let later = Arc::new(TemporarySession {
        revision: world.0.revision() + 1,
        ..(*session).clone()
    });
    assert_eq!(world.ended(&later, NOW), Some(SessionEnded::NotYetKnown));
}

#[test]
fn several_trusts_have_to_be_told_apart() {
    let mut world = World::with_role();
    world.ok(&assumable("one", DEPLOYER, CI, None));
    world.ok(&assumable("two", DEPLOYER, CI, None));
    let found = world.assume(&world.ci(), &ask());
    let Err(AssumeRoleError::Ambiguous { trusts }) = found else {
        panic!("{found:?}");
    };
    assert_eq!(trusts, ["org/acme/trust/one", "org/acme/trust/two"]);
    let by = AssumeRole {
        trust: Some("org/acme/trust/two".into()),
        ..ask()
    };
    let session = world.assumed(&world.ci(), &by);
    assert_eq!(session.trust.as_deref(), Some("org/acme/trust/two"));
}

#[test]
fn a_session_of_oneself() {
    let world = World::with_role();
    let session = world
        .0
        .session_token(&world.ci(), Some(900), SESSION_ID, NOW);
    let session = Arc::new(session.expect("a key may"));
    assert_eq!(session.principal, CI);
    let again = world
        .0
        .session_token(&world.session(&session), None, SESSION_ID, NOW);
    assert!(
        again.is_err(),
        "temporary credentials give no others of oneself"
    );
    assert!(
        world
            .0
            .session_token(&world.of(CI), None, SESSION_ID, NOW)
            .is_err()
    );
}

#[test]
fn a_document_of_a_vendor_on_a_role() {
    let mut world = World::with_role();
    let document = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000001:user/ci"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"kw-7"}}}]}"#;
    world.ok(&Change::PutResourcePolicy {
        path: DEPLOYER.into(),
        document: PolicyText::from(document),
    });
    let with = |id: Option<&str>| AssumeRole {
        external_id: id.map(str::to_owned),
        ..ask()
    };
    assert!(world.assume(&world.ci(), &with(None)).is_err());
    let session = world.assumed(&world.ci(), &with(Some("kw-7")));
    assert_eq!(session.trust, None);
    assert!(world.runs(&world.session(&session), &["GET", "k"]));
    world.ok(&Change::DeleteResourcePolicy {
        path: DEPLOYER.into(),
    });
    assert_eq!(world.ended(&session, NOW), Some(SessionEnded::TrustEnded));
}

/// Whom a vendor's document on a role does not name may not assume it, whatever its organisation
/// allows; one that names resources, too, opens nothing more.
#[test]
fn a_document_of_a_vendor_on_a_role_tells_everybody_who_may() {
    let robot = "org/acme/programmatic_identity/robot";
    for resource in ["", r#","Resource":"*""#] {
        let mut world = World::with_role();
        world.ok(&identity("acme", "robot"));
        let may =
            r#"[{"Effect":"Allow","Actions":["sts:AssumeRole"],"Resources":["role/deployer"]}]"#;
        world.ok(&trust("robots", "org/acme", robot, may));
        let session = world.assumed(&world.of(robot), &ask());
        let document = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::000000000001:user/ci"}},"Action":"sts:AssumeRole"{resource}}}]}}"#
        );
        world.ok(&Change::PutResourcePolicy {
            path: DEPLOYER.into(),
            document: PolicyText::from(&*document),
        });
        assert!(
            world.assume(&world.of(robot), &ask()).is_err(),
            "{document}"
        );
        let ended = world.ended(&session, NOW);
        assert_eq!(ended, Some(SessionEnded::TrustEnded), "{document}");
    }
}

#[test]
fn vendors_name_a_role_and_its_sessions() {
    let mut world = World::with_role();
    world.ok(&assumable("ci", DEPLOYER, CI, None));
    world.ok(&Change::DeleteTrust {
        path: "org/acme/trust/deployer".into(),
    });
    let cases = [
        ("arn:aws:iam::000000000001:role/deployer", true),
        (
            "arn:aws:sts::000000000001:assumed-role/deployer/build-17",
            true,
        ),
        (
            "arn:aws:sts::000000000001:assumed-role/deployer/other",
            false,
        ),
        ("arn:aws:iam::000000000001:user/ci", false),
    ];
    for (principal, may) in cases {
        world.ok(&Change::PutResourcePolicy {
            path: MAIN.into(),
            document: PolicyText::from(
                format!(
                    r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"kvdb:*","Resource":"*"}}]}}"#
                ),
            ),
        });
        let session = world.session(&world.assumed(&world.ci(), &ask()));
        assert_eq!(world.runs(&session, &["GET", "k"]), may, "{principal}");
    }
}

#[test]
fn tokens_open_roles_by_their_claims() {
    let mut world = World::with_role();
    let issuer = "https://token.actions.githubusercontent.com";
    world.ok(&create("github", oidc(issuer)));
    let provider = "org/acme/identity_provider/github";
    let conditions = format!(
        r#"{{"StringEquals":{{"keyward:Token/aud":"{AUDIENCE}","keyward:Token/sub":"repo:acme/app:ref:refs/heads/main"}}}}"#
    );
    world.ok(&assumable("github", DEPLOYER, provider, Some(&conditions)));
    let token = |subject: &str, audience: &str| {
        Arc::new(TokenFacts {
            issuer: issuer.into(),
            subject: subject.into(),
            audiences: vec![audience.into()],
            // What was verified goes before what is said again.
            claims: BTreeMap::from([(
                "sub".to_owned(),
                vec!["repo:acme/app:ref:refs/heads/main".to_owned()],
            )]),
            token_id: None,
        })
    };
    let assume = |world: &World, token: &Arc<TokenFacts>| {
        let connection = Session::unauthenticated();
        let directory = &world.0;
        directory.assume_role_with_token(provider, token, &ask(), &connection, SESSION_ID, NOW)
    };
    let cases = [
        ("repo:acme/app:ref:refs/heads/main", AUDIENCE, true),
        ("repo:acme/app:ref:refs/heads/other", AUDIENCE, false),
        ("repo:acme/app:ref:refs/heads/main", "other", false),
    ];
    for (subject, audience, may) in cases {
        let found = assume(&world, &token(subject, audience));
        assert_eq!(found.is_ok(), may, "{subject} {audience}");
    }
    let opened = assume(&world, &token(cases[0].0, AUDIENCE)).expect("it may");
    let session = Arc::new(opened.session);
    assert!(world.runs(&world.session(&session), &["GET", "k"]));
    // What vouched for it stays known.
    let by_provider = r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/main"],"Conditions":{"StringEquals":{"keyward:LoginProvider":"org/acme/identity_provider/github"}}}]"#;
    world.ok(&Change::UpdateTrust {
        path: "org/acme/trust/deployer".into(),
        policies: Some(vec![keyward_iam::PolicyInput::Document(by_provider.into())]),
        expires_at: None,
        conditions: None,
    });
    assert!(world.runs(&world.session(&session), &["GET", "k"]));
    assert!(!world.runs(&world.of(DEPLOYER), &["GET", "k"]));
    world.ok(&Change::DeleteIdentity {
        path: provider.into(),
        cascade: true,
    });
    assert_eq!(
        world.ended(&session, NOW),
        Some(SessionEnded::IdentityDeleted)
    );
}

#[test]
fn a_session_ends_with_the_certificate_it_was_opened_with() {
    let mut world = World::with_role();
    let authority = |to: &str| {
        serde_json::json!({ "type": "certificate_authority",
            "pem": "-----BEGIN CERTIFICATE-----",
            "mappings": [{ "name": "uri", "value": "spiffe://acme/ci", "identity": to }] })
    };
    world.ok(&create("ca", authority(CI)));
    world.ok(&assumable("ci", DEPLOYER, CI, None));
    let names = [(
        keyward_iam::CertificateNameKind::Uri,
        "spiffe://acme/ci".to_owned(),
    )];
    let end = UnixMillis(NOW.0 + 1_000_000);
    let claim = world.0.certificate_claims(&names).next().expect("mapped");
    let caller = (world.0).certificate_session(&claim, &"00".into(), UnixMillis(NOW.0 - 1), end);
    let session = world.assumed(&caller, &ask());
    assert_eq!(session.expires, end);
    assert_eq!(world.ended(&session, NOW), None);
    world.ok(&update("ca", authority(ADMIN)));
    assert_eq!(
        world.ended(&session, NOW),
        Some(SessionEnded::CertificateNotTrusted)
    );
    // Ending the sessions of before ends that of a handshake before, and no later one.
    world.ok(&update("ca", authority(CI)));
    world.ok(&Change::RevokeSessions {
        identity: CI.into(),
        before: NOW,
    });
    let claim = world.0.certificate_claims(&names).next().expect("mapped");
    let later = world.0.certificate_session(&claim, &"00".into(), NOW, end);
    let revoked = Err(SessionEnded::Revoked);
    assert_eq!(world.0.check_session(&caller, NOW), revoked);
    assert_eq!(world.0.check_session(&later, NOW), Ok(()));
}
