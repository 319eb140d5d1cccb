//! People in organisations, roles, and what access keys are limited to.

use keyward_iam::{
    Change, ChangeContext, ChangeError, Invitation, KeyStatus, TrustKind, UnixMillis,
};

use super::{ADMIN, CI, EVERYTHING, NOW, World, group, key, trust};

const BOB: &str = "user/bob";
const MEMBER: &str = "org/acme/org_user/bob";
const TOKEN: [u8; 32] = [9; 32];

fn user(id: &str) -> Change {
    Change::CreateUser {
        id: id.into(),
        name: None,
    }
}

fn invitation(expires_at: u64) -> Invitation {
    Invitation {
        token_hash: TOKEN,
        expires_at: UnixMillis(expires_at),
        email: None,
    }
}

fn member(user: Option<&str>, invited: Option<Invitation>) -> Change {
    Change::CreateOrganisationUser {
        organisation: "acme".into(),
        id: "bob".into(),
        name: None,
        user: user.map(str::to_owned),
        invitation: invited,
    }
}

fn accept(user: &str, token_hash: [u8; 32]) -> Change {
    Change::AcceptInvitation {
        path: MEMBER.into(),
        user: user.into(),
        token_hash,
    }
}

fn role(seconds: Option<u32>) -> Change {
    Change::CreateRole {
        organisation: "acme".into(),
        id: format!("r{}", seconds.unwrap_or_default()),
        name: None,
        description: None,
        max_session_seconds: seconds,
    }
}

#[test]
fn an_invitation_is_accepted_by_whoever_has_the_token_for_itself() {
    let mut world = World::new();
    world.ok(&user("bob"));
    world.ok(&user("eve"));
    world.refused(&member(None, None));
    world.refused(&member(Some(BOB), Some(invitation(2_000))));
    world.refused(&member(None, Some(invitation(NOW.0)))); // over already
    world.ok(&member(None, Some(invitation(2_000))));
    let mut world = world.reloaded();
    assert!(!world.may(BOB, &super::database("acme", "x")));
    assert!(world.may(BOB, &accept(BOB, TOKEN)));
    assert!(
        !world.may("user/eve", &accept(BOB, TOKEN)),
        "for itself alone"
    );
    assert!(!world.may(ADMIN, &accept(BOB, TOKEN)));
    world.refused(&accept(BOB, [8; 32]));
    let late = ChangeContext::system(UnixMillis(2_000));
    assert!(world.0.apply(&accept(BOB, TOKEN), &late).is_err());
    world.ok(&accept(BOB, TOKEN));
    world.refused(&accept("user/eve", TOKEN)); // once
    // A member is nothing by itself, and something by what trusts the membership.
    assert!(!world.may(BOB, &super::database("acme", "x")));
    world.ok(&trust("bob", "org/acme", MEMBER, EVERYTHING));
    assert!(world.reloaded().may(BOB, &super::database("acme", "x")));
    // The person may leave, and be invited again.
    let path = "org/acme/trust/member-bob";
    let leave = Change::DeleteTrust { path: path.into() };
    assert!(world.may(BOB, &leave) && !world.may("user/eve", &leave));
    world.ok(&leave);
    assert!(!world.may(BOB, &super::database("acme", "x")));
    let invite = Change::Invite {
        path: MEMBER.into(),
        invitation: invitation(3_000),
    };
    world.ok(&invite);
    world.ok(&accept(BOB, TOKEN));
    assert!(world.may(BOB, &super::database("acme", "x")));
    world.refused(&invite);
}

#[test]
fn a_known_user_is_made_a_member_only_with_its_consent() {
    let mut world = World::new();
    world.ok(&user("bob"));
    let at = NOW;
    let session = keyward_iam::Session::of_identity(world.0.identity_at(ADMIN).expect("made"));
    let change = member(Some(BOB), None);
    let approval = world.0.authorise_change(&session, &change, at);
    assert!(!approval.expect("the admin may").accepts);
    let context = ChangeContext {
        accepts: false,
        ..ChangeContext::system(at)
    };
    let waiting = world.0.apply(&change, &context).expect("it waits");
    world.0 = waiting.directory;
    world.ok(&trust("bob", "org/acme", MEMBER, EVERYTHING));
    assert!(!world.may(BOB, &super::database("acme", "x")));
    let bob = world.0.identity_at(BOB).expect("made");
    let waits = world.0.trusts().find(|(_, trust)| !trust.accepted);
    let (_, waits) = waits.expect("it waits");
    assert_eq!(waits.trustee, bob);
    let path = waits.path.to_string();
    let accept = Change::AcceptTrust { path };
    assert!(!world.may(ADMIN, &accept) && world.may(BOB, &accept));
    // To whom a refusal says why: who belongs to the organisation.
    let belongs = |world: &World| {
        let of = |organisation: &str| {
            let path = format!("org/{organisation}/kvdb/x");
            let principal = keyward_iam::Principal::Identity(bob);
            world.0.is_own_resource(principal, &path)
        };
        (of("acme"), of("partner"))
    };
    assert_eq!(belongs(&world), (false, false));
    world.ok(&accept);
    assert_eq!(belongs(&world), (true, false));
    assert_eq!(world.0.memberships(bob), [MEMBER]);
    assert!(world.may(BOB, &super::database("acme", "x")));
    // Nobody is a member twice.
    let mut twice = member(Some(BOB), None);
    if let Change::CreateOrganisationUser { id, .. } = &mut twice {
        "bobby".clone_into(id);
    }
    world.refused(&twice);
    // The membership goes with it; what trusts it is named.
    let delete = |cascade| Change::DeleteIdentity {
        path: MEMBER.into(),
        cascade,
    };
    let ChangeError::Conflict { dependents, .. } = world.refused(&delete(false)) else {
        panic!("it is trusted");
    };
    assert_eq!(dependents, ["org/acme/trust/bob"]);
    world.ok(&delete(true));
    assert!(!world.may(BOB, &super::database("acme", "x")));
}

#[test]
fn what_kind_a_trust_is() {
    let mut world = World::new();
    world.ok(&role(None));
    world.ok(&group("g"));
    world.ok(&user("bob"));
    world.ok(&member(Some(BOB), None));
    let (role, group) = ("org/acme/role/r0", "org/acme/group/g");
    let cases = [
        (role, None, Some(TrustKind::Assumable)),
        (role, Some(TrustKind::Assumable), Some(TrustKind::Assumable)),
        (role, Some(TrustKind::Standing), None),
        (role, Some(TrustKind::Membership), None),
        (group, None, Some(TrustKind::Membership)),
        (group, Some(TrustKind::Assumable), None),
        ("org/acme", None, Some(TrustKind::Standing)),
        ("org/acme", Some(TrustKind::Assumable), None),
        ("org/acme", Some(TrustKind::Ownership), None),
        (BOB, None, None),
        (MEMBER, None, None),
    ];
    for (trustor, asked, expected) in cases {
        let change = Change::CreateTrust {
            id: "t".into(),
            trustor: trustor.into(),
            trustee: CI.into(),
            policies: Vec::new(),
            expires_at: None,
            kind: asked,
            conditions: None,
        };
        let made = world.0.apply(&change, &ChangeContext::system(NOW)).ok();
        let kind = made.and_then(|applied| {
            let directory = applied.directory;
            let trust = directory.trust_at("org/acme/trust/t")?;
            Some(directory.trust(trust)?.kind)
        });
        assert_eq!(kind, expected, "{trustor} {asked:?}");
    }
    for conditions in [
        "[]",
        "{",
        r#"{"Nope":{"keyward:SourceIp":"1"}}"#,
        r#"{}},{"x":{}"#,
    ] {
        let mut change = trust("t", "org/acme", CI, EVERYTHING);
        if let Change::CreateTrust { conditions: of, .. } = &mut change {
            *of = Some(conditions.to_owned());
        }
        world.refused(&change);
    }
}

#[test]
fn roles_have_lengths_of_sessions_and_no_keys() {
    let mut world = World::new();
    for (seconds, fits) in [(899, false), (900, true), (43_200, true), (43_201, false)] {
        let made = world
            .0
            .apply(&role(Some(seconds)), &ChangeContext::system(NOW));
        assert_eq!(made.is_ok(), fits, "{seconds}");
    }
    world.ok(&role(None));
    world.refused(&key("org/acme/role/r0", "KWAKAAAAAAAAAAAAAAAA"));
    world.ok(&Change::UpdateRole {
        path: "org/acme/role/r0".into(),
        name: Some(Some("Deployer".into())),
        description: Some(Some("deploys".into())),
        max_session_seconds: Some(1800),
    });
    let shown = world
        .reloaded()
        .0
        .describe("org/acme/role/r0")
        .expect("it is there");
    assert_eq!(shown["max_session_seconds"], 1800);
    assert_eq!(shown["description"], "deploys");
    assert_eq!(shown["name"], "Deployer");
}

#[test]
fn the_life_of_access_keys() {
    let mut world = World::new();
    let limits = |seconds, active| Change::SetKeyLimits {
        organisation: "org/acme".into(),
        max_key_lifetime_seconds: seconds,
        max_active_keys: active,
    };
    world.refused(&limits(Some(0), None));
    world.refused(&limits(None, Some(6)));
    let with_end = |n: usize, expires_at: Option<u64>| {
        let mut change = key(CI, &format!("KWAKAAAAAAAAAAAAAAA{n}"));
        if let Change::CreateAccessKey {
            expires_at: end, ..
        } = &mut change
        {
            *end = expires_at.map(UnixMillis);
        }
        change
    };
    world.refused(&with_end(0, Some(NOW.0))); // over already
    world.ok(&with_end(0, None));
    world.ok(&limits(Some(60), Some(3)));
    world.ok(&with_end(1, None));
    world.refused(&with_end(2, Some(NOW.0 + 60_001)));
    world.ok(&with_end(2, Some(NOW.0 + 10_000)));
    world.refused(&with_end(3, None)); // three are active
    for world in [&world, &world.reloaded()] {
        let ends = [60_000, 60_000, 10_000];
        for (n, end) in ends.into_iter().enumerate() {
            let (_, key) = world
                .0
                .access_key(&format!("KWAKAAAAAAAAAAAAAAA{n}"))
                .expect("made");
            assert_eq!(
                world.0.access_key_end(key),
                Some(UnixMillis(NOW.0 + end)),
                "{n}"
            );
        }
    }
    let path = format!("{CI}/access_key/KWAKAAAAAAAAAAAAAAA0");
    world.ok(&Change::UpdateAccessKey {
        path: path.clone(),
        status: Some(KeyStatus::Disabled),
        description: Some(Some("old".into())),
        expires_at: None,
    });
    let shown = world.0.describe(&path).expect("it is there");
    assert_eq!(shown["description"], "old");
    assert_eq!(shown["status"], "disabled");
    assert_eq!(shown.get("secret_hash"), None);
}
