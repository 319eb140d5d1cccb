//! The whole state of organisations as files: everything that there is comes back as it was, and only
//! what a plan saw is changed.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics as the test does"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use keyward_e2e::{AccessKey, Files, Keyward, Output};
use keyward_test_cases::{Random, setting};
use serde_json::{Value as Json, json};

const EVERYTHING: &str = include_str!("state/everything.yaml");
const PARTNER: &str = include_str!("state/partner.yaml");
const OPERATOR: &str = include_str!("state/operator.toml");

const PASSWORD: &str = "correct horse";
const CHANGES: i32 = 2;
const NOT_FOUND: i32 = 4;
const CONFLICT: i32 = 5;

fn dev() -> Keyward {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("operator.toml");
    fs::write(&config, OPERATOR).unwrap();
    Keyward::dev(&["--config", config.to_str().unwrap()])
}

/// A client subcommand with what the files take from the environment.
fn run(keyward: &Keyward, key: &AccessKey, arguments: &[&str]) -> Output {
    let mut command = keyward.client_command(key);
    command.env("KEYWARD_PASSWORD_SERVED", PASSWORD);
    let output = Output::of(command.args(arguments));
    for text in [&output.stdout, &output.stderr] {
        assert!(!text.contains(PASSWORD), "{text}");
    }
    output
}

/// A folder with one file of state.
fn state(text: &str) -> Files {
    let files = Files::new();
    files.write("state.yaml", text);
    files
}

fn apply(keyward: &Keyward, files: &Files, more: &[&str]) -> Output {
    let arguments = [&["apply", "-f", files.path()], more].concat();
    run(keyward, &keyward.admin_key(), &arguments)
}

fn new_key(keyward: &Keyward, organisation: &str, identity: &str) -> AccessKey {
    let line = ["--organisation", organisation, "key", "create", identity];
    let made = keyward.cli(&[&line[..], &["--output", "json"]].concat());
    AccessKey::shown(&made.json())
}

/// Makes two organisations that know each other.
fn make(keyward: &Keyward, everything: &Files, partner: &Files) {
    // Who is named has to be there: the partner's identities, then the organisation, then the
    // partner's trust in an identity of it, then that it is accepted.
    let names_another = run(
        keyward,
        &keyward.admin_key(),
        &[
            "--organisation",
            "partner",
            "apply",
            "--keep-going",
            "-f",
            partner.path(),
        ],
    );
    assert_eq!(names_another.code, NOT_FOUND, "{}", names_another.stderr);
    let made = apply(keyward, everything, &[]);
    assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
    let boss = new_key(keyward, "partner", "boss");
    let line = ["--organisation", "partner", "apply", "-f", partner.path()];
    let made = run(keyward, &boss, &line);
    assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
}

fn export(keyward: &Keyward, organisation: &str, format: &str) -> Files {
    let files = Files::new();
    let line = ["--organisation", organisation, "export", files.path()];
    let output = keyward.cli(&[&line[..], &["--format", format]].concat());
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    files
}

/// What a kind can have, as a mistake in a file tells it.
fn fields_of(keyward: &Keyward, kind: &str) -> Vec<String> {
    let files = state(&format!("kind: {kind}\nid: a\nno-such: 1\n"));
    let refused = apply(keyward, &files, &[]);
    let told = refused
        .stderr
        .lines()
        .find_map(|line| line.split("has no `no-such`: ").nth(1));
    told.unwrap().split(", ").map(str::to_owned).collect()
}

#[test]
fn everything_comes_back_as_it_was() {
    let first = dev();
    let (everything, partner) = (state(EVERYTHING), state(PARTNER));
    make(&first, &everything, &partner);
    // The trust of the partner waits, and is no part of the state until it is accepted.
    let waits = export(&first, "dev", "yaml");
    assert!(!waits.all().contains_key("acceptance/partner.helps.yaml"));
    first
        .cli(&["trust", "accept", "org/partner/trust/helps"])
        .success();

    let exported = export(&first, "dev", "yaml");
    let of_partner = export(&first, "partner", "yaml");
    let all = exported.all();
    let text: String = all.values().cloned().collect();
    for secret in [PASSWORD, "kws_", "KWAK", "kwi_"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(
        !all.keys().any(|name| name.contains("managed-")),
        "{:?}",
        all.keys()
    );

    // Everything says by whom and when it was made.
    let state = first.admin().get("/v1/org/dev/state").success();
    let key = new_key(&first, "dev", "worker");
    let key = first.admin().get(&format!("/v1/access_key/{}", key.id));
    let versions = first.admin().get("/v1/org/dev/policy/versions/versions");
    let (key, versions) = (key.success(), versions.success());
    let lists = [&state["items"], &state["incoming"], &versions["items"]];
    let lists = lists.map(|list| list.as_array().unwrap().as_slice());
    for shown in lists.concat().iter().chain([&key]) {
        let created = &shown["created"];
        assert!(
            created["by"].is_string() && created["at"].is_string(),
            "{shown}"
        );
    }

    // Nothing that a file can say is missing in what was tried here.
    let as_json = export(&first, "dev", "json");
    let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
    for text in as_json.all().values() {
        let document: Json = serde_json::from_str(text).unwrap();
        let kind = document["kind"].as_str().unwrap();
        let fields = document.as_object().unwrap().keys();
        seen.extend(fields.map(|field| (kind.to_owned(), field.clone())));
    }
    let kinds = "org kvdb programmatic_identity identity_provider org_user role group policy trust acceptance";
    for kind in kinds.split(' ') {
        for field in fields_of(&first, kind) {
            // The trustor tells the kind of a trust.
            let is_for_readers = ["access_keys", "trust_kind"].contains(&field.as_str());
            let found = seen.contains(&(kind.to_owned(), field.clone()));
            assert!(found || is_for_readers, "no {kind} here has `{field}`");
        }
    }

    for (files, organisation) in [
        (&exported, "dev"),
        (&as_json, "dev"),
        (&of_partner, "partner"),
    ] {
        let line = ["--organisation", organisation, "apply", "-f", files.path()];
        let plan = run(
            &first,
            &first.admin_key(),
            &[&line[..], &["--plan"]].concat(),
        );
        assert_eq!(
            (plan.code, plan.stderr.as_str()),
            (0, ""),
            "{}",
            plan.stdout
        );
        let prune = ["--prune", "--prune-databases"];
        let done = run(&first, &first.admin_key(), &[&line[..], &prune].concat()).success();
        assert!(done.contains("No changes"), "{done}");
    }

    let second = dev();
    make(&second, &exported, &of_partner);
    let accepted = apply(&second, &exported, &[]);
    assert!(
        accepted.stdout.contains("1 created, 0 changed, 0 deleted"),
        "{}",
        accepted.stdout
    );
    let again = apply(&second, &exported, &["--plan"]);
    assert_eq!(
        (again.code, again.stderr.as_str()),
        (0, ""),
        "{}",
        again.stdout
    );
    assert_eq!(export(&second, "dev", "yaml").all(), all);
    assert_eq!(export(&second, "partner", "yaml").all(), of_partner.all());

    // Without the variable nothing is begun.
    let third = dev();
    third.cli(&["org", "create", "partner"]).success();
    let unset = third.cli(&["apply", "-f", exported.path()]);
    assert_eq!(unset.code, 2, "{}", unset.stderr);
    assert!(
        unset
            .stderr
            .contains("the variable `KEYWARD_PASSWORD_SERVED` is not set"),
        "{}",
        unset.stderr
    );
    assert!(!third.cli(&["db", "list"]).success().contains("second"));
}

/// Files that are edited.
struct Edited {
    documents: BTreeMap<String, Json>,
    random: Random,
    made: usize,
}

impl Edited {
    /// Names of files of some kinds.
    fn of(&self, kinds: &[&str]) -> Vec<String> {
        let names = self.documents.keys();
        let of_kind = |name: &&String| {
            kinds
                .iter()
                .any(|kind| name.starts_with(&format!("{kind}/")))
        };
        names.filter(of_kind).cloned().collect()
    }

    fn one(&mut self, kinds: &[&str]) -> &mut Json {
        let names = self.of(kinds);
        let name = self.random.one_of(&names).clone();
        self.documents.get_mut(&name).unwrap()
    }

    /// Sets a field, or takes it away.
    fn set(&mut self, kinds: &[&str], field: &str, values: &[Json]) {
        let value = self.random.one_of(values).clone();
        let document = self.one(kinds).as_object_mut().unwrap();
        match value {
            Json::Null => document.remove(field),
            value => document.insert(field.to_owned(), value),
        };
    }

    fn add(&mut self, kind: &str, more: Json) -> String {
        self.made += 1;
        let id = format!("{}-{}", kind.replace('_', "-"), self.made);
        let mut document = json!({ "kind": kind, "id": id });
        document
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.documents.insert(format!("{kind}/{id}.json"), document);
        format!("{kind}/{id}")
    }

    fn edit(&mut self) {
        const IDENTITIES: [&str; 5] = [
            "programmatic_identity",
            "org_user",
            "role",
            "group",
            "identity_provider",
        ];
        let reads =
            json!([{ "Effect": "Allow", "Actions": ["kvdb:@read"], "Resources": ["kvdb/main"] }]);
        let aws = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "elasticache:*", "Resource": "*" } ] });
        let greets = json!([{ "Effect": "Allow", "Actions": ["kvdb:ExecuteGet"],
                              "Identities": ["programmatic_identity/worker"] }]);
        let lists = [
            Json::Null,
            json!([{ "policy": "policy/native" }]),
            json!([{ "policy": "KvdbReadOnly" }, { "document": reads }]),
            json!([{ "document": aws }, { "policy": "policy/system/kvdb-read-only" }]),
        ];
        match self.random.below(14) {
            0 => {
                let tags = [
                    Json::Null,
                    json!({ "a": "1" }),
                    json!({ "a": "2", "b": "" }),
                ];
                let kinds = [&IDENTITIES[..], &["kvdb"]].concat();
                self.set(&kinds, "tags", &tags);
            }
            1 => {
                self.made += 1;
                let name = json!(format!("Name {}", self.made));
                let kinds = [&IDENTITIES[..], &["kvdb", "policy"]].concat();
                self.set(&kinds, "name", &[Json::Null, name.clone(), name]);
            }
            2 => {
                // Two things of a kind change names.
                let kind = *self
                    .random
                    .one_of(&["kvdb", "group", "role", "programmatic_identity"]);
                let names = self.of(&[kind]);
                let (a, b) = (
                    self.random.one_of(&names).clone(),
                    self.random.one_of(&names).clone(),
                );
                let of = |name: &str| self.documents[name].get("name").cloned();
                let (of_a, of_b) = (of(&a), of(&b));
                for (file, name) in [(a, of_b), (b, of_a)] {
                    let document = self
                        .documents
                        .get_mut(&file)
                        .unwrap()
                        .as_object_mut()
                        .unwrap();
                    match name {
                        Some(name) => document.insert("name".to_owned(), name),
                        None => document.remove("name"),
                    };
                }
            }
            3 => {
                let texts = [Json::Null, json!("One"), json!("Two: é # \"x\"")];
                self.set(&["kvdb", "role"], "description", &texts);
            }
            4 => {
                let kind = *self
                    .random
                    .one_of(&["programmatic_identity", "group", "role", "kvdb"]);
                self.add(kind, json!({}));
            }
            5 => {
                self.add("policy", json!({ "document": reads }));
            }
            6 => {
                // May be a circle, which is refused.
                let trustee = self.of(&["programmatic_identity", "group"]);
                let trustee = self
                    .random
                    .one_of(&trustee)
                    .trim_end_matches(".json")
                    .to_owned();
                let trustor = self.of(&["group", "role"]);
                let trustor = self
                    .random
                    .one_of(&trustor)
                    .trim_end_matches(".json")
                    .to_owned();
                self.add("trust", json!({ "trustor": trustor, "trustee": trustee }));
            }
            7 => {
                let trustee = self.of(&["programmatic_identity", "group", "role"]);
                let trustee = self
                    .random
                    .one_of(&trustee)
                    .trim_end_matches(".json")
                    .to_owned();
                let policies = self.random.one_of(&lists).clone();
                self.add("trust", json!({ "trustee": trustee, "policies": policies }));
            }
            8 => {
                let trusts = self.of(&["trust"]);
                let trust = self.random.one_of(&trusts).clone();
                if !["trust/admin.json", "trust/app.json"].contains(&trust.as_str()) {
                    self.documents.remove(&trust);
                }
            }
            9 => {
                let made: Vec<String> = self.of(&["trust"]);
                let made: Vec<String> = made
                    .into_iter()
                    .filter(|name| name.contains("trust-"))
                    .collect();
                if let Some(name) = made.first() {
                    let list = self.random.one_of(&lists).clone();
                    let trust = self.documents.get_mut(name).unwrap();
                    trust["policies"] = list;
                    trust["expires_at"] = json!("2098-01-01T00:00:00Z");
                }
            }
            10 => self.set(
                &["policy"],
                "document",
                &[reads, aws.to_string().into(), json!("+get ~x:*")],
            ),
            11 => self.set(&["group", "role", "org_user"], "boundary", &lists),
            12 => self.set(
                &["kvdb", "group", "programmatic_identity"],
                "resource_policy",
                &[Json::Null, greets],
            ),
            _ => {
                let databases = [Json::Null, json!("main"), json!("kvdb/second")];
                self.set(&["programmatic_identity"], "default_database", &databases);
            }
        }
    }

    /// Deletes a thing that an edit made, with the trusts that it is a side of.
    fn delete(&mut self) {
        let made = self.of(&["programmatic_identity", "group", "role", "kvdb", "policy"]);
        let made: Vec<String> = made.into_iter().filter(|name| name.contains('-')).collect();
        let made: Vec<&String> = made
            .iter()
            .filter(|name| name.as_bytes()[name.len() - 6].is_ascii_digit())
            .collect();
        if made.is_empty() {
            return;
        }
        let name = (*self.random.one_of(&made)).clone();
        self.documents.remove(&name);
        let path = name.trim_end_matches(".json").to_owned();
        self.documents.retain(|_, document| {
            let of = |side: &str| document[side].as_str() == Some(&path);
            !of("trustor") && !of("trustee")
        });
    }
}

#[test]
fn random_edits_are_applied_and_then_there_is_nothing_to_do() {
    let keyward = dev();
    let (everything, partner) = (state(EVERYTHING), state(PARTNER));
    make(&keyward, &everything, &partner);
    let files = export(&keyward, "dev", "json");
    let documents = files.all().into_iter();
    let documents = documents.map(|(name, text)| (name, serde_json::from_str(&text).unwrap()));
    let mut edited = Edited {
        documents: documents.collect(),
        random: Random::new(setting("KEYWARD_SEED", 4711)),
        made: 0,
    };
    let (mut applied, mut circles) = (0, 0);
    for round in 0..setting("KEYWARD_ROUNDS", 12) {
        let before = edited.documents.clone();
        for _ in 0..1 + edited.random.below(6) {
            edited.edit();
        }
        if edited.random.below(3) == 0 {
            edited.delete();
        }
        let write = |documents: &BTreeMap<String, Json>| {
            for name in files.all().into_keys() {
                files.remove(&name);
            }
            for (name, document) in documents {
                files.write(name, &document.to_string());
            }
        };
        write(&edited.documents);
        let plan = apply(
            &keyward,
            &files,
            &["--plan", "--prune", "--prune-databases"],
        );
        let told = format!("round {round}: {}{}", plan.stdout, plan.stderr);
        let clashes = ["these trusts lead back to where they begin", " already: "];
        if clashes.iter().any(|text| plan.stderr.contains(text)) {
            assert_eq!(plan.code, CONFLICT, "{told}");
            circles += 1;
            edited.documents = before;
            write(&edited.documents);
            let nothing = apply(&keyward, &files, &["--plan"]);
            assert_eq!(nothing.code, 0, "{told}{}", nothing.stdout);
            continue;
        }
        assert!([0, CHANGES].contains(&plan.code), "{told}");
        let yes = ["--prune", "--prune-databases", "--yes"];
        let done = apply(&keyward, &files, &yes);
        assert_eq!(done.code, 0, "{told}\n{}{}", done.stdout, done.stderr);
        for format in ["json", "yaml"] {
            let back = export(&keyward, "dev", format);
            for files in [&files, &back] {
                let nothing = apply(&keyward, files, &["--plan", "--prune", "--prune-databases"]);
                let told = format!("{told}\n{}{}", nothing.stdout, nothing.stderr);
                assert_eq!((nothing.code, nothing.stderr.as_str()), (0, ""), "{told}");
            }
            if format == "yaml" && round % 4 > 0 {
                break;
            }
        }
        applied += 1;
    }
    assert!(applied > circles, "{applied} {circles}");
}

#[test]
fn what_changed_since_the_plan_stays_as_it_is() {
    let keyward = dev();
    keyward.cli(&["db", "create", "second"]).success();
    let pipe = Files::new();
    let path = Path::new(pipe.path()).join("password");
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let text = format!(
        "kind: kvdb\nid: second\ntags: {{ stage: test }}\n---\nkind: group\nid: last\n---\nkind: trust\nid: last\ntrustee: group/last\n---\nkind: kvdb\nid: served\nbackend: {{ type: server, address: \"127.0.0.1:16399\", user: k, password_file: \"{}\" }}\n",
        path.display()
    );
    let files = state(&text);
    // The password is read when the plan is made and before anything is done: it comes late.
    let started = keyward
        .client_command(&keyward.admin_key())
        .args(["apply", "-f", files.path()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut password = fs::File::options().write(true).open(&path).unwrap();
    keyward
        .cli(&["tag", "set", "kvdb/second", "stage=production"])
        .success();
    writeln!(password, "{PASSWORD}").unwrap();
    drop(password);
    let ended = started.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(CONFLICT), "{told}");
    for part in [
        "kvdb/second: set tags: changed since the plan (tags), and left as it is now",
        "not tried: trust/last",
        "the same command plans anew, and goes on from here",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let tags = keyward.cli(&["tag", "list", "kvdb/second"]).success();
    assert!(tags.contains("production"), "{tags}");
    keyward.cli(&["db", "describe", "served"]).success();

    // A plan that was looked at is done as it was, or not at all.
    let text = "kind: kvdb\nid: second\ntags: { stage: test }\n";
    let files = state(text);
    let plan = apply(&keyward, &files, &["--plan", "--output", "json"]);
    let summary: Json = serde_json::from_str(plan.stdout.lines().last().unwrap()).unwrap();
    let id = summary["summary"]["plan"].as_str().unwrap().to_owned();
    let same = apply(&keyward, &files, &["--plan"]);
    assert!(
        same.stdout.contains(&format!("--expect {id}")),
        "{}",
        same.stdout
    );
    keyward
        .cli(&["tag", "set", "kvdb/second", "more=1"])
        .success();
    let refused = apply(&keyward, &files, &["--expect", &id]);
    assert_eq!(refused.code, CONFLICT, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("nothing was done"),
        "{}",
        refused.stderr
    );
    keyward
        .cli(&["tag", "remove", "kvdb/second", "more"])
        .success();
    apply(&keyward, &files, &["--expect", &id]).success();
    assert_eq!(apply(&keyward, &files, &["--plan"]).code, 0);
}

#[test]
fn circles_and_names_that_change_hands() {
    let keyward = dev();
    let circle = "kind: group\nid: a\n---\nkind: group\nid: b\n---\nkind: trust\nid: a-b\ntrustor: group/a\ntrustee: group/b\n";
    let files = state(circle);
    files.write(
        "back.yaml",
        "kind: trust\nid: b-a\ntrustor: group/b\ntrustee: group/a\n",
    );
    let refused = apply(&keyward, &files, &[]);
    assert_eq!(refused.code, CONFLICT, "{}", refused.stderr);
    for part in [
        "lead back to where they begin",
        "back.yaml:4:1",
        "state.yaml:10:1",
    ] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert!(
        !keyward
            .cli(&["group", "list"])
            .success()
            .contains('a'.to_string().repeat(2).as_str())
    );
    files.remove("back.yaml");
    apply(&keyward, &files, &[]).success();
    // The other way round: what goes has to go first.
    files.write(
        "state.yaml",
        &circle
            .replace("a-b", "b-a")
            .replace(
                "trustor: group/a\ntrustee: group/b",
                "trustor: group/b\ntrustee: group/a",
            )
            .replace("id: a\n", "id: a\nname: First\n")
            .replace("id: b\n", "id: b\nname: Second\n"),
    );
    apply(&keyward, &files, &["--prune", "--yes"]).success();
    let text = files.all()["state.yaml"]
        .replace("First", "x")
        .replace("Second", "First")
        .replace("name: x", "name: Second");
    files.write("state.yaml", &text);
    apply(&keyward, &files, &["--prune", "--yes"]).success();
    let shown = keyward.cli(&["group", "describe", "a"]).success();
    assert!(shown.contains("Second"), "{shown}");
    // A trust in the place of another one between the same; two are refused.
    let twice = text.replace("id: b-a", "id: again");
    files.write("twice.yaml", &twice[twice.find("kind: trust").unwrap()..]);
    let refused = apply(&keyward, &files, &[]);
    assert_eq!(refused.code, CONFLICT, "{}", refused.stderr);
    let said = "org/dev/group/b trusts org/dev/group/a already: ";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
    files.remove("twice.yaml");
    files.write("state.yaml", &twice);
    apply(&keyward, &files, &["--prune", "--yes"]).success();
    // A new thing takes the name of one that goes.
    files.write("state.yaml", "kind: group\nid: c\nname: second\n");
    apply(&keyward, &files, &["--prune", "--yes"]).success();
    assert_eq!(apply(&keyward, &files, &["--plan", "--prune"]).code, 0);
}
