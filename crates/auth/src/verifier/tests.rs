//! Who gets in with what.

use keyward_iam::{Change, ChangeContext, KeyStatus, Principal};
use serde_json::json;

use super::*;
use crate::issuer::Credentials;
use crate::sigv4::tests_support::presign;

const NOW: UnixMillis = UnixMillis(1_795_335_300_000); // 2026-11-22 08:15:00

struct World {
    directory: Directory,
    verifier: Verifier,
}

impl World {
    fn new() -> Self {
        let verifier = Verifier::new(
            HashKey::generate(),
            MasterKey::generate(),
            SigningKeys::generate(NOW),
        );
        let mut world = Self {
            directory: Directory::empty(),
            verifier,
        };
        world.apply(Change::CreateUser {
            id: "u-1".into(),
            name: None,
        });
        world.apply(Change::CreateOrganisation {
            id: "acme".into(),
            name: None,
            owner: "user/u-1".into(),
            account: "123456789012".into(),
            administrator: None,
        });
        for id in ["app", "ci"] {
            world.apply(Change::CreateProgrammaticIdentity {
                organisation: "acme".into(),
                id: id.into(),
                name: None,
            });
        }
        world
    }

    fn apply(&mut self, change: Change) {
        let context = ChangeContext::system(NOW);
        self.directory = self.directory.apply(&change, &context).unwrap().directory;
    }

    fn key(&mut self, identity: &str) -> AccessKeySecret {
        self.key_that(identity, false)
    }

    /// A key, which may sign or not.
    fn key_that(&mut self, identity: &str, signs: bool) -> AccessKeySecret {
        let secret = AccessKeySecret::generate(AccessKeyId::generate());
        self.apply(Change::CreateAccessKey {
            identity: format!("org/acme/programmatic_identity/{identity}"),
            key_id: secret.key_id().to_string(),
            secret_hash: hash_secret(&self.verifier.hash_key, &secret),
            description: None,
            expires_at: None,
            sealed_secret: signs.then(|| seal_secret(&self.verifier.master_key, &secret)),
        });
        secret
    }

    /// A session of the identity itself, which a key opened.
    fn session(&self, identity: &str, key: &AccessKeySecret, seconds: u64) -> Credentials {
        let principal = format!("org/acme/programmatic_identity/{identity}");
        let session = json!({
            "id": SessionId::generate().as_str(), "principal": principal, "name": "s",
            "issued": NOW.0, "expires": NOW.0 + seconds * 1000,
            "revision": self.directory.revision(),
            "origins": [{ "principal": principal, "access_key": key.key_id().as_str() }],
        });
        let session = serde_json::from_value(session).unwrap();
        self.verifier.issuer.issue(&session).unwrap()
    }

    fn login(&self, user: &str, password: &str) -> Result<Login, LoginError> {
        self.login_at(user, password, NOW)
    }

    fn login_at(&self, user: &str, password: &str, now: UnixMillis) -> Result<Login, LoginError> {
        let source = "192.0.2.7".parse().ok();
        let (user, password) = (user.as_bytes(), password.as_bytes());
        self.verifier
            .login(&self.directory, user, password, source, now)
    }

    fn key_path(&self, secret: &AccessKeySecret) -> String {
        let found = self.directory.access_key(secret.key_id().as_str());
        self.directory.access_key_path(found.unwrap().1)
    }
}

#[test]
fn forms() {
    let cases = [
        ("kws_x", Form::AccessKey),
        ("", Form::AccessKey),
        ("hunter2", Form::AccessKey),
        ("kwt_x", Form::AccessKey),
        ("kwk_x", Form::SessionKey),
        ("eyJh.eyJi.c", Form::ProviderToken),
        ("eyJh.eyJi", Form::AccessKey),
        ("h/?Action=connect&X-Amz-Date=x", Form::ConnectToken),
    ];
    for (password, expected) in cases {
        assert_eq!(Form::of(password.as_bytes()), expected, "{password}");
    }
}

#[test]
fn session_keys() {
    let mut world = World::new();
    let (key, other) = (world.key("app"), world.key("ci"));
    let made = world.session("app", &key, 900);
    let another = world.session("ci", &other, 900);
    let id = made.key_id.as_str();
    let cases = [
        (id.to_owned(), &made.session_key, Some(None)),
        (String::new(), &made.session_key, Some(None)),
        (format!("{id}.main"), &made.session_key, Some(Some("main"))),
        (another.key_id.to_string(), &made.session_key, None),
        (key.key_id().to_string(), &made.session_key, None),
        ("app".to_owned(), &made.session_key, None),
        (id.to_owned(), &another.session_key, None),
        (id.to_owned(), &made.session_token, None),
        (String::new(), &made.session_token, None),
        (id.to_owned(), &made.secret_access_key, None),
        (String::new(), &made.secret_access_key, None),
    ];
    for (user, password, expected) in cases {
        let found = world.login(&user, password).map(|login| login.suffix).ok();
        let expected = expected.map(|suffix| suffix.map(str::to_owned));
        assert_eq!(found, expected, "{user} {}", &password[..4]);
    }
    let bearer = |text: &str| {
        let verifier = &world.verifier;
        verifier.bearer(&world.directory, text.as_bytes(), None, NOW)
    };
    assert!(bearer(&made.session_key).is_ok());
    assert!(bearer(&made.session_token).is_err());
}

#[test]
fn a_session_ends() {
    let mut world = World::new();
    let key = world.key("app");
    let made = world.session("app", &key, 900);
    let at = |world: &World, seconds: u64| {
        let now = UnixMillis(NOW.0 + seconds * 1000);
        world.login_at("", &made.session_key, now).is_ok()
    };
    assert!(at(&world, 899));
    assert!(!at(&world, 900), "its time is over");
    world.apply(Change::UpdateAccessKey {
        path: world.key_path(&key),
        status: Some(KeyStatus::Disabled),
        description: None,
        expires_at: None,
    });
    assert!(!at(&world, 0), "with the key that it came from");
}

#[test]
fn a_node_that_is_behind_says_so() {
    let mut world = World::new();
    let key = world.key("app");
    let before = world.directory.clone();
    world.apply(Change::CreateUser {
        id: "u-2".into(),
        name: None,
    });
    let made = world.session("app", &key, 900);
    world.directory = before;
    let found = world.login("", &made.session_key).err();
    assert_eq!(found, Some(LoginError::NotYetKnown));
}

#[test]
fn connect_tokens() {
    let mut world = World::new();
    let (key, silent) = (world.key_that("app", true), world.key("app"));
    let made = world.session("app", &key, 3600);
    let token = |host: &str, user: &str, key_id: &str, secret: &str, session: Option<&str>| {
        presign(host, user, key_id, secret, session)
    };
    let id = key.key_id();
    let (id, secret) = (id.as_str(), key.expose());
    let silent_id = silent.key_id();
    let temporary = (made.key_id.as_str(), &*made.secret_access_key);
    let session = Some(&**made.session_token);
    let good = token("main.acme", "app", id, secret, None);
    let path = "org/acme/programmatic_identity/app";
    let cases = [
        ("the key's identity", "app", good.clone(), true),
        ("another name", "ci", good.clone(), false),
        ("no name", "", good.clone(), false),
        ("key id for a name", id, good.clone(), false),
        (
            "by its path",
            path,
            token("main.acme", path, id, secret, None),
            true,
        ),
        (
            "by its short path",
            "programmatic_identity/app",
            token("main.acme", "programmatic_identity/app", id, secret, None),
            true,
        ),
        (
            "another identity",
            "ci",
            token("main.acme", "ci", id, secret, None),
            false,
        ),
        (
            "another secret",
            "app",
            token("main.acme", "app", id, silent.expose(), None),
            false,
        ),
        (
            "a key that does not sign",
            "app",
            token(
                "main.acme",
                "app",
                silent_id.as_str(),
                silent.expose(),
                None,
            ),
            false,
        ),
        (
            "no organisation",
            "app",
            token("main", "app", id, secret, None),
            false,
        ),
        (
            "another domain",
            "app",
            token("main.acme.evil", "app", id, secret, None),
            false,
        ),
        (
            "domain",
            "app",
            token("main.acme.kv.test", "app", id, secret, None),
            true,
        ),
        (
            "temporary",
            "app",
            token("main.acme", "app", temporary.0, temporary.1, session),
            true,
        ),
        (
            "temporary without token",
            "app",
            token("main.acme", "app", temporary.0, temporary.1, None),
            false,
        ),
        (
            "stolen token",
            "app",
            token("main.acme", "app", temporary.0, secret, session),
            false,
        ),
        (
            "token of another key",
            "app",
            token("main.acme", "app", id, secret, session),
            false,
        ),
    ];
    world.verifier.domain = Some("kv.test".into());
    for (name, user, password, passes) in cases {
        let found = world.login(user, &password);
        assert_eq!(found.is_ok(), passes, "{name}");
        if let Ok(login) = found {
            assert_eq!(login.suffix.as_deref(), Some("main.acme"), "{name}");
            let path = world.directory.principal_path(login.session.principal);
            assert!(path.ends_with("/app"), "{name}");
        }
    }
    let minute = 60_000;
    for (minutes, passes) in [(-5, true), (0, true), (20, true), (21, false), (-6, false)] {
        let now = UnixMillis(NOW.0.saturating_add_signed(minutes * minute));
        assert_eq!(
            world.login_at("app", &good, now).is_ok(),
            passes,
            "{minutes}"
        );
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

    /// Bytes of any kind, alone and in the middle of what a credential looks like, are no fault and
    /// open nothing.
    #[test]
    fn no_bytes_get_in(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        form in 0..6_usize,
        at in 0..400_usize,
    ) {
        let world = World::new();
        let token = presign("main.acme", "app", "KWAKAAAAAAAAAAAAAAAA", "kws_x", Some("kwt_x"));
        let forms = ["", "kws_", "kwk_KWTKAAAAAAAAAAAAAAAA_", "h/?X-Amz-Date=", "eyJ..", &token];
        let form = forms[form].as_bytes();
        let (head, tail) = form.split_at(at.min(form.len()));
        let password = [head, &bytes, tail].concat();
        for user in [&bytes[..], b"", b"app"] {
            let found = world.verifier.login(&world.directory, user, &password, None, NOW);
            proptest::prop_assert_eq!(found.err(), Some(LoginError::WrongPass));
        }
        let text = String::from_utf8_lossy(&password);
        let request = SignedRequest {
            method: "GET",
            path: &text,
            query: &text,
            headers: &[
                ("host", b"h"),
                ("x-amz-date", b"20261122T081500Z"),
                ("authorization", &password),
                ("x-amz-security-token", &bytes),
            ],
            body_hash: "",
            secure: true,
        };
        let found = world.verifier.signed_request(&world.directory, &request, None, NOW);
        proptest::prop_assert_eq!(found.err(), Some(LoginError::WrongPass));
    }
}

#[test]
fn nothing_that_is_no_credential_gets_in() {
    let world = World::new();
    let long = "x".repeat(100_000);
    for password in [
        "kwk_",
        "kwk_KWTKAAAAAAAAAAAAAAAA__0000000",
        "eyJ..",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhcHAifQ.",
        "?X-Amz-",
        "h/?X-Amz-Signature=",
        &long,
        &format!("kwk_{long}"),
        &format!("h/?X-Amz-Date={long}"),
    ] {
        for user in ["", "app", "default", "KWTKAAAAAAAAAAAAAAAA"] {
            let found = world.login(user, password);
            assert_eq!(found.err(), Some(LoginError::WrongPass), "{user}");
        }
    }
}

#[test]
fn never_printed() {
    let mut world = World::new();
    let key = world.key_that("app", true);
    let made = world.session("app", &key, 900);
    let login = world.login("", &made.session_key).unwrap();
    let printed = format!("{:?} {login:?} {made:?}", world.verifier);
    for secret in [&*made.session_key, &*made.session_token, key.expose()] {
        assert!(!printed.contains(&secret[30..50]), "{printed}");
    }
}

#[test]
fn who_gets_in() {
    let mut world = World::new();
    let (app, ci) = (world.key("app"), world.key("ci"));
    let id = app.key_id();
    let other = AccessKeySecret::generate(id);
    let unknown = AccessKeySecret::generate(AccessKeyId::generate());
    let cut = &app.expose()[..74];
    let cases: Vec<(String, &str, Option<Option<&str>>)> = vec![
        (id.to_string(), app.expose(), Some(None)),
        (String::new(), app.expose(), Some(None)),
        ("default".into(), app.expose(), Some(None)),
        (
            format!("{id}.sessions"),
            app.expose(),
            Some(Some("sessions")),
        ),
        (
            format!("{id}.sessions.acme"),
            app.expose(),
            Some(Some("sessions.acme")),
        ),
        (format!("{id}."), app.expose(), None),
        ("admin".into(), app.expose(), None),
        (ci.key_id().to_string(), app.expose(), None),
        (unknown.key_id().to_string(), app.expose(), None),
        (id.to_string(), other.expose(), None),
        (String::new(), other.expose(), None),
        (unknown.key_id().to_string(), unknown.expose(), None),
        (String::new(), unknown.expose(), None),
        (id.to_string(), cut, None),
        (id.to_string(), "", None),
        (String::new(), "", None),
        (id.to_string(), "hunter2", None),
    ];
    for (user, password, expected) in cases {
        let found = world.login(&user, password);
        let Some(suffix) = expected else {
            assert_eq!(found, Err(LoginError::WrongPass), "{user:?}");
            continue;
        };
        let login = found.unwrap();
        assert_eq!(login.suffix.as_deref(), suffix, "{user:?}");
        let path = "org/acme/programmatic_identity/app";
        let identity = world.directory.identity_at(path).unwrap();
        assert_eq!(login.session.principal, Principal::Identity(identity));
        assert_eq!(login.session.source, "192.0.2.7".parse().ok());
        assert!(!login.session.secure);
    }
}

#[test]
fn nothing_passes_for_what_is_not_a_secret() {
    // A key whose stored hash is that of the stand-in, or nothing but zeros.
    let mut world = World::new();
    let stand_in = no_secret();
    for (key_id, secret_hash) in [
        (
            stand_in.key_id(),
            hash_secret(&world.verifier.hash_key, &stand_in),
        ),
        (AccessKeyId::generate(), [0; 32]),
    ] {
        world.apply(Change::CreateAccessKey {
            identity: "org/acme/programmatic_identity/app".into(),
            key_id: key_id.to_string(),
            secret_hash,
            description: None,
            expires_at: None,
            sealed_secret: None,
        });
        for user in [String::new(), key_id.to_string()] {
            for password in ["", "x", "kws_"] {
                assert_eq!(world.login(&user, password), Err(LoginError::WrongPass));
            }
        }
    }
}

#[test]
fn until_the_key_or_its_identity_ends() {
    type Step = fn(&World, &AccessKeySecret) -> Change;
    let cases: [(&str, Step, bool); 4] = [
        (
            "disabled",
            |world, key| Change::UpdateAccessKey {
                path: world.key_path(key),
                status: Some(KeyStatus::Disabled),
                description: None,
                expires_at: None,
            },
            false,
        ),
        (
            "enabled again",
            |world, key| Change::UpdateAccessKey {
                path: world.key_path(key),
                status: Some(KeyStatus::Active),
                description: None,
                expires_at: None,
            },
            true,
        ),
        (
            "deleted",
            |world, key| Change::DeleteAccessKey {
                path: world.key_path(key),
            },
            false,
        ),
        (
            "identity deleted",
            |_, _| Change::DeleteIdentity {
                path: "org/acme/programmatic_identity/app".into(),
                cascade: true,
            },
            false,
        ),
    ];
    let mut world = World::new();
    let key = world.key("app");
    for (name, step, passes) in cases {
        let change = step(&world, &key);
        world.apply(change);
        assert_eq!(world.login("", key.expose()).is_ok(), passes, "{name}");
    }
}

#[test]
fn another_hash_key_opens_nothing() {
    let mut world = World::new();
    let key = world.key("app");
    world.verifier.hash_key = Arc::new(HashKey::generate());
    assert_eq!(world.login("", key.expose()), Err(LoginError::WrongPass));
}

/// `cargo test --release -p keyward-auth -- --ignored figures --nocapture`
#[test]
#[ignore = "measures"]
fn figures() {
    let mut world = World::new();
    let (active, disabled) = (world.key("app"), world.key("ci"));
    world.apply(Change::UpdateAccessKey {
        path: world.key_path(&disabled),
        status: Some(KeyStatus::Disabled),
        description: None,
        expires_at: None,
    });
    let wrong = AccessKeySecret::generate(active.key_id());
    let unknown = AccessKeySecret::generate(AccessKeyId::generate());
    let cases = [
        ("right", active.expose()),
        ("wrong", wrong.expose()),
        ("disabled", disabled.expose()),
        ("unknown", unknown.expose()),
        ("malformed", "hunter2"),
    ];
    // In turn, so that what else happens on the machine happens to all; the fastest tenth.
    let mut times = cases.map(|_| Vec::new());
    for _ in 0..20_000 {
        for ((_, password), times) in cases.iter().zip(&mut times) {
            let start = std::time::Instant::now();
            let _ = std::hint::black_box(world.login("", password));
            times.push(start.elapsed());
        }
    }
    for ((name, _), times) in cases.iter().zip(&mut times) {
        times.sort();
        println!(
            "{name}: {:?} (fastest tenth), {:?} (median)",
            times[2000], times[10_000]
        );
    }
}
