//! `corpus/decisions/` by the evaluator and by the decision table.

use std::collections::HashMap;

use keyward_commands::{Touched, resolve};
use keyward_iam::{
    Backend, Change, ChangeContext, ChangeError, Directory, Kind, Outcome, PathParts, PolicyInput,
    Session, UnixMillis,
};
use keyward_policy::{KeyUse, Touch};
use keyward_test_cases::scenario::{Case, Request, Step, references, scenarios};

/// 2026-01-01, so that a date in a command's arguments can be over.
const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

struct World {
    directory: Directory,
    trusts: HashMap<(String, String), String>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            directory: Directory::empty(),
            trusts: HashMap::new(),
        };
        world
            .make(&Change::CreateUser {
                id: "owner".into(),
                name: None,
            })
            .expect("an empty directory takes its first user");
        world
    }

    fn make(&mut self, change: &Change) -> Result<(), ChangeError> {
        self.directory = self
            .directory
            .apply(change, &ChangeContext::system(NOW))?
            .directory;
        Ok(())
    }

    fn change(&mut self, step: &Step) -> Result<(), ChangeError> {
        let listed = |text: &String| match references(text) {
            Some(references) => {
                let named = |path: &&str| PolicyInput::Named((*path).to_owned());
                references.iter().map(named).collect()
            }
            None => vec![PolicyInput::Document(text.clone())],
        };
        let documents =
            |text: &Option<String>| -> Vec<PolicyInput> { text.iter().flat_map(listed).collect() };
        let change = match step {
            Step::Organisation(id) => Change::CreateOrganisation {
                id: id.clone(),
                name: None,
                owner: "user/owner".into(),
                account: format!("{:012}", self.directory.revision()),
                administrator: None,
            },
            Step::Identity(path) => {
                let parts = PathParts::of(path).expect("a path");
                let (organisation, id) = (
                    parts.organisation.expect("in one").to_owned(),
                    parts.id.to_owned(),
                );
                if parts.kind == Kind::Group {
                    Change::CreateGroup {
                        organisation,
                        id,
                        name: None,
                    }
                } else {
                    Change::CreateProgrammaticIdentity {
                        organisation,
                        id,
                        name: None,
                    }
                }
            }
            Step::Database(path) => {
                let parts = PathParts::of(path).expect("a path");
                Change::CreateDatabase {
                    organisation: parts.organisation.expect("in one").into(),
                    id: parts.id.into(),
                    name: None,
                    description: None,
                    backend: Backend::Embedded,
                }
            }
            Step::Snapshot(path) => {
                let (database, id) = path.split_once("/snapshot/").expect("of a database");
                Change::CreateSnapshot {
                    database: database.into(),
                    id: id.into(),
                    description: None,
                }
            }
            Step::Trust {
                trustor,
                trustee,
                document,
            } => {
                let key = (trustor.clone(), trustee.clone());
                if let Some(path) = self.trusts.get(&key) {
                    let policies = Some(documents(document));
                    Change::UpdateTrust {
                        path: path.clone(),
                        policies,
                        expires_at: None,
                        conditions: None,
                    }
                } else {
                    let id = format!("t{}", self.trusts.len());
                    let organisation = PathParts::of(trustor)
                        .and_then(|p| p.organisation)
                        .expect("in one");
                    self.trusts
                        .insert(key, format!("org/{organisation}/trust/{id}"));
                    Change::CreateTrust {
                        id,
                        trustor: trustor.clone(),
                        trustee: trustee.clone(),
                        policies: documents(document),
                        expires_at: None,
                        kind: None,
                        conditions: None,
                    }
                }
            }
            Step::ResourcePolicy { resource, document } => Change::PutResourcePolicy {
                path: resource.clone(),
                document: document.clone().into(),
            },
            Step::Boundary { identity, document } => Change::PutBoundary {
                identity: identity.clone(),
                policies: listed(document),
            },
            Step::Guardrails {
                organisation,
                document,
            } => Change::PutGuardrails {
                organisation: organisation.clone(),
                policies: listed(document),
            },
            Step::Refused(_) | Step::Cases { .. } => unreachable!("no change"),
        };
        self.make(&change)
    }

    fn ask(&self, file: &str, principal: &str, database: &str, case: &Case) {
        let session = match principal {
            "unauthenticated" => Session::unauthenticated(),
            path => Session::of_identity(self.directory.identity_at(path).expect("it was made")),
        };
        let ix = self.directory.database_at(database).expect("it was made");
        let expected = match case.expected.as_str() {
            "allow" => Outcome::Allow,
            "explicit_deny" => Outcome::ExplicitDeny,
            _ => Outcome::ImplicitDeny,
        };
        let at = format!(
            "{file}:{}: {:?} as {principal} on {database}",
            case.line, case.request
        );
        match &case.request {
            Request::Action { action, resource } => {
                let action = keyward_commands::action(action).expect("in the catalogue");
                let decision = self
                    .directory
                    .decide(&session, action, resource, &Touch::None, NOW);
                assert_eq!(decision.outcome, expected, "{at}: {decision:#?}");
            }
            Request::Listing { words, keys, shown } => {
                let command = resolve(words).expect("a command of the catalogue");
                let decision = self.directory.decide_command(
                    &session,
                    ix,
                    words,
                    true,
                    &keyward_iam::Call::at(NOW),
                );
                assert!(decision.is_allow(), "{at}: {decision:#?}");
                let table = self.directory.table(&session, ix, true, NOW);
                let request = keyward_iam::Request {
                    command,
                    words,
                    bytes: b"",
                    call: keyward_iam::Call::at(NOW),
                };
                let permit = table.authorize(&request, &mut Touched::default());
                let permit = permit.expect("it is allowed");
                let of_keys = |shows: &dyn Fn(&String) -> bool| -> Vec<String> {
                    keys.iter().filter(|key| shows(key)).cloned().collect()
                };
                let by_table = of_keys(&|key| {
                    permit
                        .filter()
                        .is_none_or(|filter| filter.shows(key.as_bytes()))
                });
                let by_evaluator = of_keys(&|key| {
                    let key = KeyUse {
                        key: key.as_bytes(),
                        reads: true,
                        writes: false,
                    };
                    let touch = Touch::Named {
                        keys: &[key],
                        channels: &[],
                    };
                    let action = command.action();
                    self.directory
                        .decide(&session, action, database, &touch, NOW)
                        .is_allow()
                });
                assert_eq!(by_evaluator, *shown, "{at}");
                assert_eq!(by_table, *shown, "{at}: the table disagrees");
                assert_eq!(
                    decision.message.contains("it shows only"),
                    permit.filter().is_some(),
                    "{at}: {decision:#?}"
                );
            }
            Request::Command(words) => {
                let decision = self.directory.decide_command(
                    &session,
                    ix,
                    words,
                    true,
                    &keyward_iam::Call::at(NOW),
                );
                assert_eq!(decision.outcome, expected, "{at}: {decision:#?}");
                assert!(
                    !decision.message.is_empty(),
                    "{at}: every decision says why"
                );
                let Ok(command) = resolve(words) else { return };
                if !command.command().arity_fits(words.len()) {
                    return; // answered before the table is asked
                }
                let table = self.directory.table(&session, ix, true, NOW);
                let request = keyward_iam::Request {
                    command,
                    words,
                    bytes: b"",
                    call: keyward_iam::Call::at(NOW),
                };
                let permitted = table.authorize(&request, &mut Touched::default()).is_ok();
                assert_eq!(
                    permitted,
                    expected == Outcome::Allow,
                    "{at}: the table disagrees"
                );
            }
        }
    }
}

#[test]
fn every_scenario_is_decided_as_it_says() {
    let mut asked = 0;
    for (file, steps) in scenarios() {
        let mut world = World::new();
        for (line, step) in steps {
            match &step {
                Step::Refused(step) => {
                    let refused = world.change(step);
                    assert!(refused.is_err(), "{file}:{line}: must be refused");
                }
                Step::Cases {
                    principal,
                    database,
                    cases,
                } => {
                    for case in cases {
                        world.ask(&file, principal, database, case);
                        asked += 1;
                    }
                }
                change => {
                    if let Err(error) = world.change(change) {
                        panic!("{file}:{line}: {error}");
                    }
                }
            }
        }
    }
    assert!(asked > 150, "{asked} cases");
}
