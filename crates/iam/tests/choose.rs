//! Which database a connection goes to: attack 8 of the review, and the order of what speaks.

use keyward_iam::{
    AskedDatabase, Backend, Change, ChangeContext, ChooseDatabaseError, Directory, PolicyInput,
    Session, UnixMillis,
};

const NOW: UnixMillis = UnixMillis(1);
const CI: &str = "org/acme/programmatic_identity/ci";

struct World(Directory);

impl World {
    fn new() -> Self {
        let mut world = Self(Directory::empty());
        world.make(Change::CreateUser {
            id: "owner".into(),
            name: None,
        });
        for (id, account) in [("acme", "000000000001"), ("mallory", "000000000002")] {
            world.make(Change::CreateOrganisation {
                id: id.into(),
                name: None,
                owner: "user/owner".into(),
                account: account.into(),
                administrator: None,
            });
        }
        world.make(Change::CreateProgrammaticIdentity {
            organisation: "acme".into(),
            id: "ci".into(),
            name: None,
        });
        for path in [("acme", "one"), ("acme", "two"), ("mallory", "trap")] {
            world.make(Change::CreateDatabase {
                organisation: path.0.into(),
                id: path.1.into(),
                name: None,
                description: None,
                backend: Backend::Embedded,
            });
        }
        world.make(Change::PutResourcePolicy {
            path: "org/mallory/kvdb/trap".into(),
            document: format!(
                r#"[{{"Effect":"Allow","Actions":["kvdb:*"],"Identities":["{CI}"]}}]"#
            )
            .into(),
        });
        world
    }

    fn make(&mut self, change: Change) {
        match self.0.apply(&change, &ChangeContext::system(NOW)) {
            Ok(applied) => self.0 = applied.directory,
            Err(error) => panic!("{change:?}: {error}"),
        }
    }

    fn grant(&mut self, resources: &str) {
        let document =
            format!(r#"[{{"Effect":"Allow","Actions":["kvdb:*"],"Resources":[{resources}]}}]"#);
        self.make(Change::CreateTrust {
            id: "ci".into(),
            trustor: "org/acme".into(),
            trustee: CI.into(),
            policies: vec![PolicyInput::Document(document)],
            expires_at: None,
            kind: None,
            conditions: None,
        });
    }

    /// The chosen path, or the error's text.
    fn choose(&self, suffix: Option<&str>, binding: Option<&str>, default: Option<&str>) -> String {
        self.choose_by(suffix, None, binding, default)
    }

    /// The same, with a name in TLS.
    fn choose_by(
        &self,
        suffix: Option<&str>,
        server_name: Option<&str>,
        binding: Option<&str>,
        default: Option<&str>,
    ) -> String {
        let at = |path: &str| self.0.database_at(path).expect("it exists");
        let session = Session::of_identity(self.0.identity_at(CI).expect("it exists"));
        let asked = AskedDatabase {
            binding: binding.map(at),
            server_name,
            suffix,
            listener_default: default.map(at),
        };
        match self.0.choose_database(&session, &asked, NOW) {
            Ok(ix) => self.0.database(ix).expect("chosen").path.to_string(),
            Err(error) => format!("{error:?}"),
        }
    }
}

#[test]
fn a_stranger_never_takes_part_in_the_choice() {
    let mut world = World::new();
    // Nothing of its own, and a stranger's database that it may use: still nothing.
    assert_eq!(world.choose(None, None, None), "None");
    world.grant(r#""kvdb/one""#);
    assert_eq!(world.choose(None, None, None), "org/acme/kvdb/one");
    // By name it may go there.
    assert_eq!(
        world.choose(Some("trap.mallory"), None, None),
        "org/mallory/kvdb/trap"
    );
}

#[test]
fn several_own_databases_need_a_name() {
    let mut world = World::new();
    world.grant(r#""kvdb/*""#);
    assert!(world.choose(None, None, None).starts_with("Ambiguous"));
    assert_eq!(world.choose(Some("two"), None, None), "org/acme/kvdb/two");
    assert_eq!(
        world.choose(Some("two.acme"), None, None),
        "org/acme/kvdb/two"
    );
    assert_eq!(
        world.choose(None, None, Some("org/acme/kvdb/one")),
        "org/acme/kvdb/one"
    );
    world.make(Change::SetDefaultDatabase {
        identity: CI.into(),
        database: Some("org/acme/kvdb/two".into()),
    });
    // The own organisation's word stands before the listener's.
    assert_eq!(
        world.choose(None, None, Some("org/acme/kvdb/one")),
        "org/acme/kvdb/two"
    );
    assert_eq!(world.choose(Some("one"), None, None), "org/acme/kvdb/one");
}

#[test]
fn what_speaks_must_agree() {
    let mut world = World::new();
    world.grant(r#""kvdb/*""#);
    let one = Some("org/acme/kvdb/one");
    assert_eq!(world.choose(Some("one"), one, None), "org/acme/kvdb/one");
    assert_eq!(world.choose(Some("two"), one, None), "Disagree");
    assert_eq!(
        world.choose(None, one, Some("org/acme/kvdb/two")),
        "org/acme/kvdb/one"
    );
}

#[test]
fn foreign_databases_are_all_the_same_existing_or_not() {
    let mut world = World::new();
    world.grant(r#""kvdb/*""#);
    world.make(Change::DeleteResourcePolicy {
        path: "org/mallory/kvdb/trap".into(),
    });
    for suffix in ["trap.mallory", "nothing.mallory", "trap.nobody"] {
        let expected = format!("{:?}", ChooseDatabaseError::Foreign);
        assert_eq!(world.choose(Some(suffix), None, None), expected, "{suffix}");
    }
    assert!(
        world
            .choose(Some("nothing"), None, None)
            .starts_with("NotFound")
    );
    // Its own it is told of, also where nothing is allowed.
    let world = World::new();
    assert_eq!(world.choose(Some("one"), None, None), "org/acme/kvdb/one");
}

#[test]
fn the_name_in_tls_speaks_like_the_user_name() {
    let mut world = World::new();
    world.grant(r#""kvdb/*""#);
    let cases = [
        (None, Some("two.acme"), None, "org/acme/kvdb/two"),
        (Some("two"), Some("two.acme"), None, "org/acme/kvdb/two"),
        (Some("one"), Some("two.acme"), None, "Disagree"),
        (
            None,
            Some("two.acme"),
            Some("org/acme/kvdb/one"),
            "Disagree",
        ),
        (None, Some("trap.mallory"), None, "org/mallory/kvdb/trap"),
        (None, Some("none.mallory"), None, "Foreign"),
    ];
    for (suffix, server_name, binding, expected) in cases {
        let found = world.choose_by(suffix, server_name, binding, None);
        assert_eq!(found, expected, "{suffix:?} {server_name:?} {binding:?}");
    }
}
