//! Tags, named policies, policies of the system, boundaries and guardrails: at the shell, and on
//! connections that are open while they change.

use keyward_e2e::{AccessKey, Client, Keyward, assert_error, ok};
use serde_json::{Value as Json, json};

/// A deployment with `worker`, which has a key and a trust without policies.
struct World {
    keyward: Keyward,
    worker: AccessKey,
}

impl World {
    fn start() -> Self {
        let keyward = Keyward::dev(&[]);
        keyward.cli(&["identity", "create", "worker"]).success();
        let key = keyward.cli(&["key", "create", "worker", "--output", "json"]);
        let worker = AccessKey::shown(&key.json());
        let world = Self { keyward, worker };
        world.run(&["trust", "create", "worker"]);
        world
    }

    /// A command of the administrator that must succeed.
    #[track_caller]
    fn run(&self, line: &[&str]) -> String {
        self.keyward.cli(line).success()
    }

    /// The documents that a command writes.
    #[track_caller]
    fn documents(&self, line: &[&str]) -> Vec<Json> {
        let text = self.run(&[line, &["--output", "json"]].concat());
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_default();
        text.lines().map(parse).collect()
    }

    #[track_caller]
    fn refused(&self, line: &[&str], code: i32) -> String {
        let output = self.keyward.cli(line);
        assert_eq!(
            output.code, code,
            "{line:?}: {}{}",
            output.stdout, output.stderr
        );
        output.stderr
    }

    fn connect(&self) -> Client {
        Client::connect(&self.keyward.url_for(&self.worker, ".main"))
    }
}

#[test]
fn tags() {
    let world = World::start();
    for thing in [
        "kvdb/main",
        "worker",
        "programmatic_identity/worker",
        "org/dev",
    ] {
        world.run(&["tag", "set", thing, "team=payments", "stage=", "eq=a=b"]);
        world.run(&["tag", "remove", thing, "stage"]);
        let listed = world.documents(&["tag", "list", thing]);
        let expected = [
            json!({ "key": "eq", "value": "a=b" }),
            json!({ "key": "team", "value": "payments" }),
        ];
        assert_eq!(listed, expected, "{thing}");
    }
    let shown = world.run(&["db", "describe", "main"]);
    assert!(shown.contains("eq=a=b, team=payments"), "{shown}");
    world.refused(&["tag", "set", "kvdb/main", "aws:x=y"], 1);
    world.refused(&["tag", "set", "kvdb/main", "no-value"], 2);
    world.refused(&["tag", "set", "kvdb/nothing", "a=b"], 4);
    let denied = world
        .keyward
        .cli_as(&world.worker, &["tag", "set", "worker", "team=admin"]);
    assert_eq!(denied.code, 3, "{}", denied.stderr);
}

/// Create, attach by reference, change, look, roll back: and each step reaches a connection that
/// is open all the time.
#[test]
fn a_policy_and_its_versions() {
    let world = World::start();
    let (reads, all) = (
        r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/main"]}]"#,
        r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/main"]}]"#,
    );
    let file = world.keyward.directory().join("reads.json");
    std::fs::write(&file, reads).expect("the directory is writable");
    let file = file.to_string_lossy();
    world.run(&["policy", "create", "app", &file, "--name", "App"]);
    world.run(&["policy", "attach", "app", "--trust", "worker"]);
    let mut client = world.connect();
    let mut may_write = || client.call(&["SET", "k", "v"]) == ok();
    assert!(!may_write());
    world.run(&["policy", "update", "app", "--policy", all]);
    assert!(may_write());
    world.run(&["policy", "rollback", "app"]);
    assert!(!may_write());
    world.run(&["policy", "set-default", "app", "2"]);
    assert!(may_write());
    world.run(&["policy", "put", "app", &file, "--no-default"]);
    assert!(may_write());
    let versions = world.documents(&["policy", "versions", "app"]);
    let brief: Vec<_> = versions
        .iter()
        .map(|v| (v["version"].clone(), v["default"].clone()))
        .collect();
    let expected = [(1, false), (2, true), (3, false)].map(|(v, d)| (json!(v), json!(d)));
    assert_eq!(brief, expected);
    assert_eq!(
        versions[0]["created"]["by"],
        "org/dev/programmatic_identity/admin"
    );
    let text = world.run(&["policy", "describe", "app", "--version", "1"]);
    assert!(text.contains("kvdb:@read"), "{text}");
    let text = world.run(&["policy", "describe", "app"]);
    assert!(
        text.contains("kvdb:Execute*") && text.contains("App"),
        "{text}"
    );
    let carriers = world.documents(&["policy", "entities", "app"]);
    assert_eq!(carriers[0]["path"], "org/dev/trust/worker");
    world.run(&["policy", "delete-version", "app", "3"]);
    world.refused(&["policy", "delete-version", "app", "2"], 1);
    world.refused(&["policy", "set-default", "app", "3"], 1);
    world.refused(&["policy", "delete", "app"], 5);
    world.run(&["policy", "detach", "app", "--trust", "worker"]);
    assert!(!may_write());
    world.run(&["policy", "delete", "app"]);
    // Ids are for ever.
    world.refused(&["policy", "create", "app", "--policy", reads], 5);
    world.refused(&["policy", "create", "other"], 2);
}

#[test]
fn policies_of_the_system() {
    let world = World::start();
    let listed = world.documents(&["policy", "list"]);
    let names: Vec<&str> = listed
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    for name in [
        "IamReadOnly",
        "KvdbFullAccess",
        "KvdbMonitoring",
        "KvdbNoDangerous",
        "KvdbQueueWorker",
        "KvdbReadOnly",
        "KvdbReadWrite",
        "OrgAdministrator",
        "OwnOrganisationOnly",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
        let text = world.run(&["policy", "describe", name]);
        assert!(text.contains("\"Effect\""), "{text}");
    }
    assert!(world.documents(&["policy", "list", "--own"]).is_empty());
    let mut client = world.connect();
    let mut told = |words: &[&str]| keyward_e2e::error_text(&client.call(words));
    for (reference, writes, flushes) in [
        ("KvdbReadOnly", false, false),
        ("policy/system/kvdb-read-write", true, false),
        ("KvdbNoDangerous", true, false),
        ("KvdbFullAccess", true, true),
    ] {
        world.run(&["trust", "put", "worker", "--policy", reference]);
        assert!(!told(&["GET", "k"]).starts_with("NOPERM"), "{reference}");
        assert_eq!(
            !told(&["SET", "k", "v"]).starts_with("NOPERM"),
            writes,
            "{reference}"
        );
        assert_eq!(
            !told(&["FLUSHALL"]).starts_with("NOPERM"),
            flushes,
            "{reference}"
        );
    }
    let carriers = world.documents(&["policy", "entities", "KvdbFullAccess"]);
    assert_eq!(carriers.len(), 1);
    world.refused(&["policy", "delete", "KvdbReadOnly"], 1);
    world.refused(
        &["trust", "put", "worker", "--policy", "OwnOrganisationOnly"],
        1,
    );
    world.refused(
        &["trust", "put", "worker", "--policy", "policy/system/none"],
        4,
    );
}

#[test]
fn boundaries_and_guardrails_reach_open_connections() {
    let world = World::start();
    world.run(&["trust", "put", "worker", "--policy", "OrgAdministrator"]);
    let mut worker = world.connect();
    let mut admin = world.keyward.client();
    assert_eq!(worker.call(&["SET", "k", "v"]), ok());

    world.run(&["boundary", "put", "worker", "--policy", "KvdbReadOnly"]);
    assert_error(&worker.call(&["SET", "k", "v"]), "NOPERM");
    let shown = world.run(&["boundary", "show", "worker"]);
    assert!(shown.contains("policy/system/kvdb-read-only"), "{shown}");
    // Not even an administrator sets or takes away its own.
    let own = world
        .keyward
        .cli_as(&world.worker, &["boundary", "delete", "worker"]);
    assert_eq!(own.code, 3, "{}", own.stderr);
    world.refused(&["boundary", "put", "admin", "--policy", "KvdbReadOnly"], 3);
    world.refused(&["boundary", "put", "worker"], 2);
    world.run(&["boundary", "delete", "worker"]);
    assert_eq!(worker.call(&["SET", "k", "v"]), ok());

    let guardrails = r#"[{"Effect":"Allow","Actions":["*"],"Resources":["**"]},
        {"Effect":"Deny","Actions":["kvdb:@flush"],"Resources":["**"]}]"#;
    assert_eq!(admin.call(&["FLUSHALL"]), ok());
    world.run(&["guardrail", "put", guardrails]);
    for client in [&mut admin, &mut worker] {
        assert_error(&client.call(&["FLUSHALL"]), "NOPERM");
        assert_eq!(client.call(&["SET", "k", "v"]), ok());
    }
    let shown = world.run(&["guardrail", "show"]);
    assert!(shown.contains("kvdb:@flush"), "{shown}");
    world.run(&["guardrail", "delete"]);
    assert_eq!(worker.call(&["FLUSHALL"]), ok());
}

#[test]
fn aliases() {
    let world = World::start();
    world.run(&["org", "alias", "set", "--aws-account", "000011112222"]);
    world.run(&["org", "alias", "set", "--tencent-region", "ap-shanghai"]);
    let shown = &world.documents(&["org", "alias", "show"])[0];
    assert_eq!(shown["aws"]["account"], "000011112222");
    assert_eq!(shown["tencent"]["region"], "ap-shanghai");
    world.refused(&["org", "alias", "set", "--aws-account", "12"], 1);
    world.run(&["org", "alias", "reset"]);
    let shown = &world.documents(&["org", "alias", "show"])[0];
    assert_eq!(shown["set"], json!({}));
}

/// A document of each dialect, as its vendor or the server would read it, on an open connection.
#[test]
fn documents_of_every_dialect() {
    let world = World::start();
    world.run(&["org", "alias", "set", "--aws-account", "111122223333"]);
    world.run(&["org", "alias", "set", "--tencent-uin", "100000000001"]);
    world.run(&[
        "org",
        "alias",
        "set",
        "--alibaba-account",
        "1000000000000001",
    ]);
    let mut client = world.connect();
    for (dialect, document) in [
        (
            "aws",
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kvdb:ExecuteGet",
                "Resource":"arn:aws:elasticache:us-east-1:111122223333:replicationgroup:main"}]}"#,
        ),
        (
            "tencent",
            r#"{"version":"2.0","statement":[{"effect":"allow","action":["kvdb:ExecuteGet"],
                "resource":["qcs::redis:ap-guangzhou:uin/100000000001:instance/main"]}]}"#,
        ),
        (
            "alibaba",
            r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"kvdb:ExecuteGet",
                "Resource":"acs:kvstore:cn-hangzhou:1000000000000001:instance/main"}]}"#,
        ),
        ("acl", "on ~* +get"),
    ] {
        let file = world.keyward.directory().join(format!("{dialect}.policy"));
        std::fs::write(&file, document).expect("the directory is writable");
        let file = file.to_string_lossy();
        world.run(&["trust", "put", "worker", "--policy", &file]);
        let shown = &world.documents(&["trust", "describe", "worker"])[0];
        assert_eq!(shown["policies"][0]["dialect"], dialect);
        let told = keyward_e2e::error_text(&client.call(&["GET", "k"]));
        assert!(!told.starts_with("NOPERM"), "{dialect}: {told}");
        assert_error(&client.call(&["SET", "k", "v"]), "NOPERM");
        world.run(&["policy", "create", dialect, &file]);
        let versions = world.documents(&["policy", "versions", dialect]);
        assert_eq!(versions[0]["dialect"], dialect);
    }
}

/// Attack 38: another organisation accepts an identity; its own organisation can stop it.
#[test]
fn own_organisation_only() {
    let world = World::start();
    world.run(&["org", "create", "partner"]);
    world.run(&["-O", "partner", "db", "create", "shared"]);
    world.run(&["trust", "put", "worker", "--policy", "OrgAdministrator"]);
    let accepts = r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],
        "Identities":["org/dev/programmatic_identity/worker"]}]"#;
    let shared = "org/partner/kvdb/shared";
    world.run(&["resource-policy", "put", shared, "--policy", accepts]);
    let mut abroad = Client::connect(&world.keyward.url_for(&world.worker, ".shared.partner"));
    let mut home = world.connect();
    assert_eq!(abroad.call(&["SET", "k", "v"]), ok());
    world.run(&["guardrail", "put", "--policy", "OwnOrganisationOnly"]);
    assert_error(&abroad.call(&["SET", "k", "v"]), "NOPERM");
    assert_eq!(home.call(&["SET", "k", "v"]), ok());
}
