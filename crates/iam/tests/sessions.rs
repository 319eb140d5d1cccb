//! `corpus/sessions/` by the evaluator and by the decision table.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use keyward_commands::{Touched, resolve};
use keyward_iam::{
    AskedDatabase, AssumeRole, Backend, Call, Change, ChangeContext, Directory, Invitation,
    KeyStatus, Kind, Outcome, PathParts, PolicyInput, PolicyText, Request, Session, SessionPolicy,
    TemporarySession, UnixMillis,
};
use keyward_policy::Touch;
use keyward_test_cases::{Step, corpus, steps};

const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

struct World {
    directory: Directory,
    trusts: HashMap<(String, String), String>,
    sessions: HashMap<String, Arc<TemporarySession>>,
}

/// The id of a key that a case calls by a name.
fn key_id(name: &str) -> String {
    format!(
        "KWAK{:A<16}",
        name.to_uppercase()
            .replace(|c: char| !c.is_ascii_uppercase(), "B")
    )
}

fn organisation(path: &str) -> String {
    PathParts::of(path)
        .unwrap()
        .organisation
        .unwrap()
        .to_owned()
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            directory: Directory::empty(),
            trusts: HashMap::new(),
            sessions: HashMap::new(),
        };
        let (id, name) = ("owner".into(), None);
        assert!(world.make(&Change::CreateUser { id, name }));
        world
    }

    fn make(&mut self, change: &Change) -> bool {
        match self.directory.apply(change, &ChangeContext::system(NOW)) {
            Ok(applied) => {
                self.directory = applied.directory;
                true
            }
            Err(_) => false,
        }
    }

    /// The change that a line says, if it says one.
    fn change(&self, line: &str, document: Option<String>) -> Option<Change> {
        let policies: Vec<PolicyInput> = document
            .iter()
            .cloned()
            .map(PolicyInput::Document)
            .collect();
        let text = || PolicyText::from(document.clone().expect("a document"));
        let (verb, rest) = line.split_once(' ').unwrap();
        let after = |word: &str| rest.strip_prefix(word).map(str::trim).map(str::to_owned);
        Some(match verb {
            "organisation" => Change::CreateOrganisation {
                id: rest.into(),
                name: None,
                owner: "user/owner".into(),
                account: format!("{:012}", self.directory.revision()),
                administrator: None,
            },
            "user" => Change::CreateUser {
                id: rest.into(),
                name: None,
            },
            "identity" => {
                let parts = PathParts::of(rest).unwrap();
                let (organisation, id, name) = (organisation(rest), parts.id.to_owned(), None);
                match parts.kind {
                    Kind::Role => Change::CreateRole {
                        organisation,
                        id,
                        name,
                        description: None,
                        max_session_seconds: None,
                    },
                    Kind::Group => Change::CreateGroup {
                        organisation,
                        id,
                        name,
                    },
                    _ => Change::CreateProgrammaticIdentity {
                        organisation,
                        id,
                        name,
                    },
                }
            }
            "member" => {
                let (path, user) = rest.split_once(" of ").unwrap();
                Change::CreateOrganisationUser {
                    organisation: organisation(path),
                    id: PathParts::of(path).unwrap().id.to_owned(),
                    name: None,
                    user: Some(user.to_owned()),
                    invitation: None,
                }
            }
            "database" => Change::CreateDatabase {
                organisation: organisation(rest),
                id: PathParts::of(rest).unwrap().id.to_owned(),
                name: None,
                description: None,
                backend: Backend::Embedded,
            },
            "trust" => {
                let (ends, conditions) = match rest.split_once(" if ") {
                    Some((ends, conditions)) => (ends, Some(conditions.to_owned())),
                    None => (rest, None),
                };
                let (trustor, trustee) = ends.split_once(" -> ").unwrap();
                let key = (trustor.to_owned(), trustee.to_owned());
                match self.trusts.get(&key) {
                    Some(path) => Change::UpdateTrust {
                        path: path.clone(),
                        policies: Some(policies),
                        expires_at: None,
                        conditions: Some(conditions),
                    },
                    None => Change::CreateTrust {
                        id: format!("t{}", self.trusts.len()),
                        trustor: key.0,
                        trustee: key.1,
                        policies,
                        expires_at: None,
                        kind: None,
                        conditions,
                    },
                }
            }
            "policy" => Change::PutResourcePolicy {
                path: after("on")?,
                document: text(),
            },
            "boundary" => Change::PutBoundary {
                identity: after("of")?,
                policies,
            },
            "guardrails" => Change::PutGuardrails {
                organisation: after("of")?,
                policies,
            },
            "delete" if rest.contains("/trust/") => Change::DeleteTrust { path: rest.into() },
            "delete" => Change::DeleteIdentity {
                path: rest.into(),
                cascade: true,
            },
            "tag" => {
                let (path, words) = rest.split_once(' ').unwrap();
                let (mut set, mut remove) = (BTreeMap::new(), Vec::new());
                for word in words.split(' ') {
                    match (word.strip_prefix('-'), word.split_once('=')) {
                        (Some(key), _) => remove.push(key.to_owned()),
                        (None, Some((key, value))) => {
                            set.insert(key.to_owned(), value.to_owned());
                        }
                        (None, None) => panic!("{word}: key=value, or -key"),
                    }
                }
                Change::SetTags {
                    path: path.into(),
                    set,
                    remove,
                }
            }
            "default" => {
                let (identity, database) = rest.split_once(' ').unwrap();
                Change::SetDefaultDatabase {
                    identity: identity.into(),
                    database: Some(database.into()),
                }
            }
            "name" => {
                let (path, name) = rest.split_once(' ').unwrap();
                Change::Rename {
                    path: path.into(),
                    name: Some(name.into()),
                }
            }
            "key_lifetime" => {
                let (path, seconds) = rest.split_once(' ').unwrap();
                Change::SetKeyLimits {
                    organisation: path.into(),
                    max_key_lifetime_seconds: seconds.parse().ok(),
                    max_active_keys: None,
                }
            }
            "invite" => Change::Invite {
                path: rest.into(),
                invitation: Invitation {
                    token_hash: [7; 32],
                    expires_at: UnixMillis(NOW.0 + 1000),
                    email: None,
                },
            },
            "provider" => {
                let provider = document.as_deref().expect("a provider");
                Change::CreateIdentityProvider {
                    organisation: organisation(rest),
                    id: PathParts::of(rest).unwrap().id.to_owned(),
                    name: None,
                    provider: Box::new(serde_json::from_str(provider).unwrap()),
                }
            }
            "key" => {
                let (name, identity) = rest.split_once(" of ").unwrap();
                Change::CreateAccessKey {
                    identity: identity.into(),
                    key_id: key_id(name),
                    secret_hash: [0; 32],
                    description: None,
                    expires_at: None,
                    sealed_secret: None,
                }
            }
            "disable" | "enable" => {
                let (_, key) = self.directory.access_key(&key_id(rest)).unwrap();
                Change::UpdateAccessKey {
                    path: self.directory.access_key_path(key),
                    status: Some(match verb {
                        "enable" => KeyStatus::Active,
                        _ => KeyStatus::Disabled,
                    }),
                    description: None,
                    expires_at: None,
                }
            }
            _ => return None,
        })
    }

    /// A session by name, or of an identity by path.
    fn session(&self, name: &str, mfa: bool) -> Session {
        let session = match self.sessions.get(name) {
            Some(temporary) => self.directory.session_of(temporary, NOW).unwrap(),
            None if name == "unauthenticated" => Session::unauthenticated(),
            None => Session::of_identity(self.directory.identity_at(name).unwrap()),
        };
        Session {
            mfa: if mfa { Some(NOW) } else { session.mfa },
            ..session
        }
    }

    fn assume(&self, text: &str, document: Option<String>) -> Option<TemporarySession> {
        let (caller, rest) = text.split_once(" assumes ").unwrap();
        let mut words = rest.split_whitespace();
        let mut ask = AssumeRole {
            role: words.next().unwrap().to_owned(),
            session_name: "session".to_owned(),
            ..AssumeRole::default()
        };
        let (mut mfa, mut key) = (false, None);
        for word in words {
            let (option, value) = word.split_once('=').unwrap_or((word, ""));
            let value = value.to_owned();
            match option {
                "mfa" => mfa = true,
                "key" => key = Some(value),
                "external_id" => ask.external_id = Some(value),
                "name" => ask.session_name = value,
                "source" => ask.source_identity = Some(value),
                tag => {
                    let key = tag.strip_prefix("tag.").expect("a known option");
                    ask.tags.insert(key.to_owned(), value);
                }
            }
        }
        ask.policies = document
            .into_iter()
            .map(|text| SessionPolicy::Text(text.into()))
            .collect();
        let id = format!("KWTK{:016}", self.sessions.len());
        let mut caller = self.session(caller, mfa);
        if let Some(key) = key {
            let (ix, of) = self.directory.access_key(&key_id(&key)).unwrap();
            caller = self.directory.session_of_key(ix, of.identity);
        }
        let assumed = self.directory.assume_role(&caller, &ask, &id, NOW);
        assumed.ok().map(|assumed| assumed.session)
    }

    fn run(&mut self, step: &Step<'_>, place: &str) {
        let line = step.line;
        // Of how credentials are presented: for the run through a gateway.
        if line.starts_with("opens nothing: ") || line.starts_with("failures of ") {
            return;
        }
        if let Some(rest) = line.strip_prefix("goes ") {
            assert_eq!(
                self.chosen(rest),
                rest.split(" to ").nth(1).unwrap(),
                "{place}"
            );
        } else if let Some(rest) = line.strip_prefix("refused ") {
            let change = self.change(rest, step.document()).expect(place);
            assert!(!self.make(&change), "{place}: must be refused");
        } else if let Some(rest) = line.strip_prefix("no session ") {
            let found = self.assume(rest, step.document());
            assert!(found.is_none(), "{place}: must be denied: {found:?}");
        } else if let Some(rest) = line.strip_prefix("session ") {
            let (name, rest) = rest.split_once(" = ").unwrap();
            let found = self.assume(rest, step.document());
            let found = found.unwrap_or_else(|| panic!("{place}: must be allowed"));
            self.sessions.insert(name.to_owned(), Arc::new(found));
        } else if let Some(name) = line.strip_prefix("ended ") {
            let found = self.directory.session_of(&self.sessions[name], NOW);
            assert!(found.is_err(), "{place}: must have ended");
        } else if let Some(rest) = line.strip_prefix("as ") {
            let (who, database) = rest.split_once(" on ").unwrap();
            let (who, mfa) = match who.split_once(' ') {
                Some((who, "mfa")) => (who, true),
                _ => (who, false),
            };
            let session = self.session(who, mfa);
            for case in steps(&step.below) {
                let place = format!("{place}, line {}: {}", case.number, case.line);
                self.decide(&session, database, &case, &place);
            }
        } else {
            let change = self.change(line, step.document()).expect(place);
            assert!(self.make(&change), "{place}: breaks a rule: {change:?}");
            if let Change::CreateTrust {
                id,
                trustor,
                trustee,
                ..
            } = change
            {
                let path = format!("org/{}/trust/{id}", organisation(&trustor));
                self.trusts.insert((trustor, trustee), path);
            }
        }
    }

    /// Where a login goes: `<identity>[.<database>[.<organisation>]] to …`.
    fn chosen(&self, text: &str) -> String {
        let (who, _) = text.split_once(" to ").unwrap();
        let (identity, suffix) = match who.split_once('.') {
            Some((identity, suffix)) => (identity, Some(suffix)),
            None => (who, None),
        };
        let asked = AskedDatabase {
            binding: None,
            server_name: None,
            suffix,
            listener_default: None,
        };
        let session = self.session(identity, false);
        let chosen = self.directory.choose_database(&session, &asked, NOW);
        let path = chosen.ok().and_then(|ix| self.directory.database(ix));
        path.map_or("nowhere".to_owned(), |database| database.path.to_string())
    }

    fn decide(&self, session: &Session, database: &str, case: &Step<'_>, place: &str) {
        let directory = &self.directory;
        if let Some(rest) = case.line.strip_prefix("may ") {
            let (rest, wanted) = match rest.strip_prefix("not ") {
                Some(rest) => (rest, false),
                None => (rest, true),
            };
            let change = self.change(rest, case.document()).expect(place);
            let found = directory.authorise_change(session, &change, NOW);
            assert_eq!(found.is_ok(), wanted, "{place}: {found:?}");
            return;
        }
        let (outcome, rest) = case.line.split_once(' ').unwrap();
        let expected = match outcome {
            "allow" => Outcome::Allow,
            "explicit_deny" => Outcome::ExplicitDeny,
            "implicit_deny" => Outcome::ImplicitDeny,
            _ => panic!("{place}: no such outcome"),
        };
        if let Some((action, resource)) = rest.split_once(" on ") {
            let action = keyward_commands::action(action).expect(place);
            let found = directory.decide(session, action, resource, &Touch::None, NOW);
            assert_eq!(found.outcome, expected, "{place}: {}", found.message);
            return;
        }
        let words: Vec<&[u8]> = rest.split(' ').map(str::as_bytes).collect();
        let ix = directory.database_at(database).expect(place);
        let call = Call::at(NOW);
        let found = directory.decide_command(session, ix, &words[..], false, &call);
        assert_eq!(found.outcome, expected, "{place}: {}", found.message);
        let request = Request {
            command: resolve(&words[..]).unwrap(),
            words: &words[..],
            bytes: b"",
            call,
        };
        let table = directory.table(session, ix, false, NOW);
        let permitted = table.authorize(&request, &mut Touched::default()).is_ok();
        assert_eq!(permitted, expected == Outcome::Allow, "{place}: the table");
    }
}

#[test]
fn every_case_is_decided_as_it_says() {
    let mut cases = 0;
    for file in corpus("sessions") {
        let mut world = World::new();
        for step in steps(&file.lines()) {
            let place = format!("{}, line {}: {}", file.name, step.number, step.line);
            world.run(&step, &place);
            cases += 1;
        }
    }
    assert!(cases > 20, "{cases} lines");
}
