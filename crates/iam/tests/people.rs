//! Rules of how people sign in: who may change what, and what no change can do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use keyward_iam::{
    Change, ChangeContext, ChangeError, Directory, FRESH_LOGIN, Hash, Invitation, LinkedLogin,
    LoginSession, MAX_LOGINS, Passkey, PersonChange, Session, SessionEnded, SetupLink, UnixMillis,
    UsedFactor,
};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const HOUR: u64 = 3_600_000;

fn make(directory: &mut Directory, change: Change, at: UnixMillis) -> Result<(), ChangeError> {
    let applied = directory.apply(&change, &ChangeContext::system(at))?;
    // What was stored and loaded again is the same.
    let again = Directory::load(applied.directory.rows(), applied.directory.revision()).unwrap();
    let rows = |directory: &Directory| directory.rows().collect::<Vec<_>>();
    assert_eq!(rows(&again), rows(&applied.directory));
    *directory = again;
    Ok(())
}

fn person(directory: &mut Directory, change: PersonChange) -> Result<(), ChangeError> {
    let user = "user/alice".to_owned();
    make(directory, Change::Person { user, change }, NOW)
}

fn world() -> Directory {
    let mut directory = Directory::empty();
    for (id, name) in [("alice", "Alice@example.com"), ("bob", "bob")] {
        let change = Change::RegisterUser {
            id: id.to_owned(),
            name: Some("Somebody".to_owned()),
            sign_in_name: name.to_owned(),
            password: Some("$argon2id$stored".to_owned()),
        };
        make(&mut directory, change, NOW).unwrap();
    }
    directory
}

/// With an organisation that is bob's.
fn world_with_acme() -> Directory {
    let mut directory = world();
    let change = Change::CreateOrganisation {
        id: "acme".to_owned(),
        name: None,
        owner: "user/bob".to_owned(),
        account: "123456789012".to_owned(),
        administrator: None,
    };
    make(&mut directory, change, NOW).unwrap();
    directory
}

fn login(id: &str) -> LoginSession {
    LoginSession {
        id: id.into(),
        token_hash: Hash([7; 32]),
        mfa: None,
        provider: None,
        client: "test".into(),
        source: None,
        created: NOW,
        authenticated: Some(NOW),
        expires_at: UnixMillis(NOW.0 + HOUR),
    }
}

fn begin(directory: &mut Directory, id: &str, factor: UsedFactor) -> Result<(), ChangeError> {
    let session = login(id);
    person(directory, PersonChange::BeginLogin { session, factor })
}

fn passkey(id: &str, credential: &[u8]) -> Passkey {
    Passkey {
        id: id.into(),
        name: "key".into(),
        credential: credential.to_vec(),
        key: serde_json::json!({ "algorithm": "es256" }),
        count: 5,
        added: NOW,
        used: None,
    }
}

fn session(directory: &Directory, user: &str, login: &str) -> Session {
    Session {
        login: Some(login.into()),
        ..Session::of_identity(directory.identity_at(user).unwrap())
    }
}

#[test]
fn sign_in_names_are_unique_ignoring_case() {
    let mut directory = world();
    let alice = directory.identity_at("user/alice");
    assert_eq!(directory.user_by_sign_in_name("ALICE@EXAMPLE.COM"), alice);
    let rename = |name: &str| PersonChange::SetSignInName(name.to_owned());
    let taken = person(&mut directory, rename("BOB"));
    assert!(matches!(taken, Err(ChangeError::NameTaken { .. })));
    for bad in ["", "a b", "a/b", "ünï", &"a".repeat(255)] {
        assert!(person(&mut directory, rename(bad)).is_err(), "{bad}");
    }
    person(&mut directory, rename("ally")).unwrap();
    assert_eq!(directory.user_by_sign_in_name("alice@example.com"), None);
    assert_eq!(directory.user_by_sign_in_name("Ally"), alice);
}

#[test]
fn only_the_person_itself_signed_in_recently() {
    let mut directory = world();
    begin(&mut directory, "s1", UsedFactor::None).unwrap();
    let device = LoginSession {
        authenticated: None,
        ..login("s2")
    };
    let change = PersonChange::BeginLogin {
        session: device,
        factor: UsedFactor::None,
    };
    person(&mut directory, change).unwrap();
    let user = "user/alice".to_owned();
    let of = |change| Change::Person {
        user: user.clone(),
        change,
    };
    let password = of(PersonChange::SetPassword {
        hash: Some("x".to_owned()),
    });
    let end = of(PersonChange::EndLogins { except: None });
    let reset = of(PersonChange::ResetFactors);
    let fresh = UnixMillis(NOW.0 + FRESH_LOGIN);
    let stale = UnixMillis(NOW.0 + FRESH_LOGIN + 1);
    let alice = session(&directory, "user/alice", "s1");
    let without_login = Session {
        login: None,
        ..alice.clone()
    };
    let of_device = session(&directory, "user/alice", "s2");
    let bob = session(&directory, "user/bob", "s1");
    let gone = session(&directory, "user/alice", "s9");
    let cases = [
        ("fresh", &alice, &password, fresh, true),
        ("stale", &alice, &password, stale, false),
        ("stale, but only ends sessions", &alice, &end, stale, true),
        ("a device", &of_device, &password, fresh, false),
        ("a device ends sessions", &of_device, &end, fresh, true),
        ("another user", &bob, &password, fresh, false),
        ("a session that is over", &gone, &password, fresh, false),
        ("no login session", &without_login, &password, fresh, false),
        ("the operator's", &alice, &reset, fresh, false),
    ];
    for (name, session, change, at, expected) in cases {
        let found = directory.authorise_change(session, change, at);
        assert_eq!(found.is_ok(), expected, "{name}: {found:?}");
    }
}

#[test]
fn an_owner_of_an_organisation_cannot_touch_its_members() {
    let mut directory = world_with_acme();
    let change = Change::CreateOrganisationUser {
        organisation: "acme".to_owned(),
        id: "alice".to_owned(),
        name: None,
        user: Some("user/alice".to_owned()),
        invitation: None,
    };
    make(&mut directory, change, NOW).unwrap();
    let change = PersonChange::BeginLogin {
        session: login("s1"),
        factor: UsedFactor::None,
    };
    let user = "user/bob".to_owned();
    make(&mut directory, Change::Person { user, change }, NOW).unwrap();
    let bob = session(&directory, "user/bob", "s1");
    for change in [
        PersonChange::ResetFactors,
        PersonChange::EndLogins { except: None },
        PersonChange::SetPassword { hash: None },
    ] {
        let user = "user/alice".to_owned();
        let change = Change::Person { user, change };
        assert!(directory.authorise_change(&bob, &change, NOW).is_err());
    }
    let delete = Change::DeleteUser {
        path: "user/alice".to_owned(),
        cascade: true,
    };
    assert!(directory.authorise_change(&bob, &delete, NOW).is_err());
}

#[test]
fn sessions_end() {
    let mut directory = world();
    begin(&mut directory, "s1", UsedFactor::None).unwrap();
    let alice = session(&directory, "user/alice", "s1");
    assert_eq!(directory.check_session(&alice, NOW), Ok(()));
    let later = UnixMillis(NOW.0 + HOUR);
    let over = directory.check_session(&alice, later);
    assert_eq!(over, Err(SessionEnded::LoginEnded), "its time is over");
    let other = session(&directory, "user/bob", "s1");
    assert!(
        directory.check_session(&other, NOW).is_err(),
        "another user's"
    );

    let mut changed = directory.clone();
    let hash = Some("new".to_owned());
    person(&mut changed, PersonChange::SetPassword { hash }).unwrap();
    let ended = changed.check_session(&alice, NOW);
    assert_eq!(ended, Err(SessionEnded::LoginEnded), "a new password");

    let mut changed = directory.clone();
    person(&mut changed, PersonChange::ResetFactors).unwrap();
    assert!(changed.check_session(&alice, NOW).is_err(), "the operator");

    let mut changed = directory.clone();
    person(&mut changed, PersonChange::EndLogin("s1".to_owned())).unwrap();
    assert!(changed.check_session(&alice, NOW).is_err());
    let again = person(&mut changed, PersonChange::EndLogin("s1".to_owned()));
    assert!(matches!(again, Err(ChangeError::NotFound { .. })));

    for number in 0..MAX_LOGINS {
        begin(&mut directory, &format!("n{number}"), UsedFactor::None).unwrap();
    }
    assert!(
        directory.check_session(&alice, NOW).is_err(),
        "the oldest made room"
    );
    let too_long = LoginSession {
        expires_at: UnixMillis(NOW.0 + 13 * HOUR),
        ..login("x")
    };
    let change = PersonChange::BeginLogin {
        session: too_long,
        factor: UsedFactor::None,
    };
    assert!(
        person(&mut directory, change).is_err(),
        "twelve hours at most"
    );
}

#[test]
fn factors_are_used_once() {
    let mut directory = world();
    let codes = vec![Hash([1; 32]), Hash([2; 32])];
    let change = PersonChange::SetTotp {
        sealed: vec![1, 2, 3],
        step: 100,
        recovery_codes: codes,
    };
    person(&mut directory, change).unwrap();
    assert!(
        begin(&mut directory, "a", UsedFactor::None).is_err(),
        "a factor is needed"
    );
    for (step, expected) in [
        (100, false),
        (101, true),
        (101, false),
        (99, false),
        (102, true),
    ] {
        let found = begin(&mut directory, "a", UsedFactor::Totp { step });
        assert_eq!(found.is_ok(), expected, "step {step}");
    }
    for expected in [true, false] {
        let code = UsedFactor::RecoveryCode(Hash([1; 32]));
        assert_eq!(begin(&mut directory, "b", code).is_ok(), expected);
    }
    person(
        &mut directory,
        PersonChange::AddPasskey(passkey("k", b"cred")),
    )
    .unwrap();
    for (count, expected) in [(5, false), (6, true), (6, false), (0, false), (7, true)] {
        let id = "k".to_owned();
        let found = begin(&mut directory, "c", UsedFactor::Passkey { id, count });
        assert_eq!(found.is_ok(), expected, "count {count}");
    }
    person(&mut directory, PersonChange::RemoveTotp).unwrap();
    let left = |directory: &Directory| {
        let user = directory.identity_at("user/alice").unwrap();
        directory.person(user).unwrap().recovery_codes.len()
    };
    assert_eq!(left(&directory), 1, "a passkey is left to stand in for");
    let rename = |id: &str, name: &str| PersonChange::RenamePasskey {
        id: id.to_owned(),
        name: name.to_owned(),
    };
    person(&mut directory, rename("k", "Laptop")).unwrap();
    assert!(person(&mut directory, rename("other", "Laptop")).is_err());
    assert!(person(&mut directory, rename("k", "")).is_err());
    person(&mut directory, PersonChange::RemovePasskey("k".to_owned())).unwrap();
    assert_eq!(left(&directory), 0);
}

#[test]
fn what_belongs_to_one_person_is_nobody_elses() {
    let mut directory = world();
    let linked = LinkedLogin {
        issuer: "https://idp.example".into(),
        subject: "42".into(),
        added: NOW,
    };
    person(&mut directory, PersonChange::Link(linked.clone())).unwrap();
    person(
        &mut directory,
        PersonChange::AddPasskey(passkey("k", b"cred")),
    )
    .unwrap();
    let alice = directory.identity_at("user/alice");
    assert_eq!(
        directory.user_by_linked_login("https://idp.example", "42"),
        alice
    );
    assert_eq!(
        directory.user_by_linked_login("https://idp.example", "43"),
        None
    );
    assert_eq!(directory.user_by_passkey(b"cred"), alice);
    for change in [
        PersonChange::Link(linked),
        PersonChange::AddPasskey(passkey("k", b"cred")),
    ] {
        let user = "user/bob".to_owned();
        assert!(make(&mut directory, Change::Person { user, change }, NOW).is_err());
    }
}

#[test]
fn the_last_way_in_stays() {
    let mut directory = world();
    let no_password = PersonChange::SetPassword { hash: None };
    assert!(person(&mut directory, no_password.clone()).is_err());
    person(
        &mut directory,
        PersonChange::AddPasskey(passkey("k", b"cred")),
    )
    .unwrap();
    person(&mut directory, no_password).unwrap();
    let remove = PersonChange::RemovePasskey("k".to_owned());
    assert!(person(&mut directory, remove).is_err());
}

#[test]
fn setup_links_open_once_and_for_a_time() {
    let mut directory = world();
    let link = SetupLink {
        token_hash: Hash([9; 32]),
        expires_at: UnixMillis(NOW.0 + HOUR),
    };
    let set = PersonChange::SetSetupLink(Some(link));
    let take = |byte| PersonChange::UseSetupLink {
        token_hash: Hash([byte; 32]),
        hash: "new".to_owned(),
    };
    assert!(person(&mut directory, take(9)).is_err(), "no link yet");
    person(&mut directory, set.clone()).unwrap();
    assert!(person(&mut directory, take(8)).is_err(), "another token");
    person(&mut directory, take(9)).unwrap();
    assert!(person(&mut directory, take(9)).is_err(), "used");
    person(&mut directory, set).unwrap();
    let late = UnixMillis(NOW.0 + HOUR);
    let (user, change) = ("user/alice".to_owned(), take(9));
    assert!(make(&mut directory, Change::Person { user, change }, late).is_err());
}

#[test]
fn invitations_are_declined_by_their_token() {
    let mut directory = world_with_acme();
    let change = Change::CreateOrganisationUser {
        organisation: "acme".to_owned(),
        id: "alice".to_owned(),
        name: None,
        user: None,
        invitation: Some(Invitation {
            token_hash: [3; 32],
            expires_at: UnixMillis(NOW.0 + HOUR),
            email: None,
        }),
    };
    make(&mut directory, change, NOW).unwrap();
    let decline = |token_hash| Change::DeclineInvitation {
        path: "org/acme/org_user/alice".to_owned(),
        token_hash,
    };
    assert!(make(&mut directory, decline([4; 32]), NOW).is_err());
    make(&mut directory, decline([3; 32]), NOW).unwrap();
    let accept = Change::AcceptInvitation {
        path: "org/acme/org_user/alice".to_owned(),
        user: "user/alice".to_owned(),
        token_hash: [3; 32],
    };
    assert!(make(&mut directory, accept, NOW).is_err());
}

#[test]
fn people_are_deleted_by_the_operator() {
    let mut directory = world_with_acme();
    let delete = |id: &str| Change::DeleteUser {
        path: format!("user/{id}"),
        cascade: true,
    };
    let owner = make(&mut directory, delete("bob"), NOW);
    assert!(
        matches!(owner, Err(ChangeError::Conflict { .. })),
        "{owner:?}"
    );
    begin(&mut directory, "s1", UsedFactor::None).unwrap();
    let alice = session(&directory, "user/alice", "s1");
    make(&mut directory, delete("alice"), NOW).unwrap();
    assert!(directory.check_session(&alice, NOW).is_err());
    assert_eq!(directory.user_by_sign_in_name("alice@example.com"), None);
}

#[test]
fn nothing_of_a_person_is_described() {
    let mut directory = world();
    begin(&mut directory, "s1", UsedFactor::None).unwrap();
    let shown = directory.describe("user/alice").unwrap().to_string();
    for secret in ["argon2", "0707", "example.com", "person"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
