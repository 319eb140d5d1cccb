//! `corpus/decisions/` through a real gateway: worlds made by the API, cases sent as commands.

use std::collections::HashMap;

use keyward_e2e::{AccessKey, Api, Client, Keyward};
use keyward_resp::Value;
use keyward_test_cases::scenario::{Case, Request, Step, references, scenarios};
use serde_json::{Value as Json, json};

struct World {
    keyward: Keyward,
    admin: Api,
    keys: HashMap<String, AccessKey>,
    trusts: HashMap<(String, String), String>,
    asked: usize,
}

/// `org/acme/kvdb/main` as (`/v1/org/acme/kvdb`, `main`).
fn collection(path: &str) -> (String, &str) {
    let (collection, id) = path.rsplit_once('/').expect("a path");
    (format!("/v1/{collection}"), id)
}

fn document(text: &str) -> Json {
    serde_json::from_str(text).expect("a JSON document")
}

impl World {
    fn new() -> Self {
        let keyward = Keyward::dev(&[]);
        let admin = keyward.admin();
        Self {
            keyward,
            admin,
            keys: HashMap::new(),
            trusts: HashMap::new(),
            asked: 0,
        }
    }

    /// Makes a change and answers with its HTTP status.
    fn change(&mut self, step: &Step) -> u16 {
        let listed = |text: &str| match references(text) {
            Some(references) => json!(references),
            None => json!([document(text)]),
        };
        let policies = |text: &Option<String>| text.as_deref().map_or_else(|| json!([]), listed);
        let response = match step {
            Step::Organisation(id) => self.admin.post("/v1/org", &json!({ "id": id })),
            Step::Identity(path) | Step::Database(path) | Step::Snapshot(path) => {
                let (collection, id) = collection(path);
                self.admin.post(&collection, &json!({ "id": id }))
            }
            Step::Trust {
                trustor,
                trustee,
                document,
            } => {
                let pair = (trustor.clone(), trustee.clone());
                if let Some(path) = self.trusts.get(&pair) {
                    let body = json!({ "policies": policies(document) });
                    self.admin.put(&format!("/v1/{path}"), &body)
                } else {
                    let organisation = trustor.split('/').nth(1).expect("an organisation");
                    let id = format!("t{}", self.trusts.len());
                    self.trusts
                        .insert(pair, format!("org/{organisation}/trust/{id}"));
                    let body = json!({
                        "id": id, "trustor": trustor, "trustee": trustee,
                        "policies": policies(document),
                    });
                    self.admin
                        .post(&format!("/v1/org/{organisation}/trust"), &body)
                }
            }
            Step::ResourcePolicy {
                resource,
                document: text,
            } => self
                .admin
                .put(&format!("/v1/{resource}/resource_policy"), &document(text)),
            Step::Boundary {
                identity,
                document: text,
            } => {
                let body = json!({ "policies": listed(text) });
                self.admin.put(&format!("/v1/{identity}/boundary"), &body)
            }
            Step::Guardrails {
                organisation,
                document: text,
            } => {
                let body = json!({ "policies": listed(text) });
                self.admin
                    .put(&format!("/v1/{organisation}/guardrails"), &body)
            }
            Step::Refused(_) | Step::Cases { .. } => unreachable!("no change"),
        };
        response.status
    }

    fn key(&mut self, identity: &str) -> AccessKey {
        let admin = &self.admin;
        let make =
            || AccessKey::created(admin.post(&format!("/v1/{identity}/access_key"), &json!({})));
        self.keys
            .entry(identity.to_owned())
            .or_insert_with(make)
            .clone()
    }

    fn command(
        &mut self,
        at: &str,
        principal: &str,
        database: &str,
        case: &Case,
        words: &[String],
    ) {
        let key = self.key(principal);
        let mut parts = database.split('/').skip(1);
        let (organisation, id) = (parts.next().expect("one"), parts.nth(1).expect("one"));
        let url = self.keyward.url_for(&key, &format!(".{id}.{organisation}"));
        let answer = match Client::try_connect(&url) {
            Ok(mut client) => client.call(words),
            Err(refused) => refused,
        };
        let refused = match &answer {
            Value::Error(text) => [
                &b"NOPERM "[..],
                b"WRONGPASS ",
                b"ERR wrong number of arguments",
                b"ERR unknown command",
                b"ERR unknown subcommand",
            ]
            .iter()
            .any(|start| text.starts_with(start)),
            _ => false,
        };
        assert_eq!(refused, case.expected != "allow", "{at}: {answer:?}");
        self.asked += 1;
    }

    fn action(&mut self, at: &str, principal: &str, case: &Case, action: &str, resource: &str) {
        let body = json!({
            "principal": principal,
            "request": { "action": action, "resource": resource },
        });
        let decision = self.admin.post("/v1/decide", &body).success();
        assert_eq!(decision["decision"], case.expected, "{at}: {decision}");
        self.asked += 1;
    }
}

#[test]
fn every_scenario_is_decided_by_the_gateway_as_it_says() {
    let mut asked = 0;
    for (file, steps) in scenarios() {
        let mut world = World::new();
        for (line, step) in steps {
            match &step {
                Step::Refused(step) => {
                    let status = world.change(step);
                    assert!((400..500).contains(&status), "{file}:{line}: {status}");
                }
                // People sign in on pages, and strangers reach the default database only: both
                // have tests of their own.
                Step::Cases { principal, .. } if !principal.starts_with("org/") => {}
                Step::Cases {
                    principal,
                    database,
                    cases,
                } => {
                    for case in cases {
                        let at = format!("{file}:{}: as {principal} on {database}", case.line);
                        match &case.request {
                            // Which keys are shown is told by tests of their own.
                            Request::Command(words) | Request::Listing { words, .. } => {
                                world.command(&at, principal, database, case, words);
                            }
                            Request::Action { action, resource } => {
                                world.action(&at, principal, case, action, resource);
                            }
                        }
                    }
                }
                change => {
                    let status = world.change(change);
                    assert!((200..300).contains(&status), "{file}:{line}: {status}");
                }
            }
        }
        asked += world.asked;
    }
    assert!(asked > 150, "{asked} cases");
}
