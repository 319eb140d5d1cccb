//! The state of an organisation as files: `keyward export`, `apply` and `import`.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics as the test does"
)]

use std::fs;

use keyward_e2e::{AccessKey, Files, Keyward, Output};
use serde_json::{Value as Json, json};

/// Exit code of `--plan` when there is something to do.
const CHANGES: i32 = 2;
const USAGE: i32 = 2;
const FAILED: i32 = 1;
const DENIED: i32 = 3;
const CONFLICT: i32 = 5;
const FINDINGS: i32 = 7;

const READS: &str = r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/main"],"Keys":["a:*"],"Conditions":{"StringEquals":{"keyward:PrincipalTag/team":"pay\"ments é"}}}]"#;
const AWS: &str = r#"{
    "Version": "2012-10-17",
    "Statement": [ {"Effect": "Allow", "Action": "elasticache:Connect", "Resource": "*"} ]
}
"#;

/// Makes an organisation with one of everything.
fn furnish(keyward: &Keyward) -> Vec<AccessKey> {
    let run = |line: &[&str]| keyward.cli(line).success();
    run(&[
        "db",
        "create",
        "second",
        "--name",
        "Second: \"one\" # no comment",
    ]);
    run(&["identity", "create", "worker", "--name", "null"]);
    run(&["identity", "default-database", "worker", "second"]);
    run(&["group", "create", "readers"]);
    run(&[
        "tag",
        "set",
        "programmatic_identity/worker",
        "team=pay\"ments é",
        "empty=",
        "n=1",
    ]);
    run(&["tag", "set", "kvdb/second", "stage=production"]);
    run(&["tag", "set", "org/dev", "cost=1"]);
    run(&[
        "policy",
        "create",
        "read-only",
        "--policy",
        READS,
        "--name",
        "ReadOnly",
    ]);
    run(&["policy", "put", "read-only", "--policy", READS]);
    run(&["policy", "create", "aws", "--policy", AWS]);
    run(&["policy", "create", "rules", "--policy", "rules.acl"]);
    run(&[
        "trust",
        "create",
        "group/readers",
        "--policy",
        "policy/read-only",
        "--policy",
        READS,
        "--policy",
        "KvdbReadOnly",
    ]);
    run(&[
        "trust",
        "create",
        "worker",
        "--trustor",
        "group/readers",
        "--id",
        "worker-reads",
        "--expires-at",
        "2099-01-01T00:00:00Z",
    ]);
    run(&["boundary", "put", "worker", "--policy", "KvdbReadWrite"]);
    run(&[
        "guardrail",
        "put",
        "--policy",
        r#"[{"Effect":"Allow","Actions":["*"],"Resources":["**"]}]"#,
    ]);
    run(&[
        "org",
        "alias",
        "set",
        "--aws-account",
        "123456789012",
        "--aws-region",
        "eu-west-1",
    ]);
    run(&[
        "resource-policy",
        "put",
        "kvdb/second",
        "--policy",
        r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Keys":["greet*"],"Identities":["unauthenticated"]}]"#,
    ]);
    let key = |identity: &str| {
        let made = keyward.cli(&[
            "key",
            "create",
            identity,
            "--description",
            "night",
            "--output",
            "json",
        ]);
        AccessKey::shown(&made.json())
    };
    vec![key("worker")]
}

fn dev() -> Keyward {
    let keyward = Keyward::dev(&[]);
    fs::write(keyward.directory().join("rules.acl"), "on ~a:* +@read\n").unwrap();
    keyward
}

fn apply(keyward: &Keyward, state: &Files, more: &[&str]) -> Output {
    keyward.cli(&[&["apply", "-f", state.path()], more].concat())
}

#[test]
fn exported_applied_to_a_fresh_deployment_and_exported_again_it_is_the_same() {
    let first = dev();
    let keys = furnish(&first);
    let state = Files::new();
    first.cli(&["export", state.path()]).success();
    let exported = state.all();
    for name in [
        "organisation.yaml",
        "kvdb/second.yaml",
        "trust/worker-reads.yaml",
    ] {
        assert!(exported.contains_key(name), "{exported:?}");
    }
    let all: String = exported.values().cloned().collect();
    assert!(!all.contains("kws_") && !all.contains("KWAK"), "{all}");
    assert!(keys.iter().all(|key| !all.contains(&key.secret)));
    assert!(
        !all.contains("unauthenticated\":") && !all.contains("owner"),
        "{all}"
    );
    // As it was written, and in lines where it was written on one.
    assert!(
        exported["policy/aws.yaml"].contains("      \"Statement\": [ {\"Effect\""),
        "{all}"
    );
    assert!(
        exported["policy/read-only.yaml"].contains("    \"Keys\": [\"a:*\"],\n"),
        "{all}"
    );

    let same = apply(&first, &state, &["--plan"]);
    assert_eq!(
        (same.code, same.stderr.as_str()),
        (0, ""),
        "{}",
        same.stdout
    );
    let nothing = apply(&first, &state, &["--prune", "--prune-databases"]).success();
    assert!(nothing.contains("No changes"), "{nothing}");

    let second = dev();
    let plan = apply(&second, &state, &["--plan"]);
    assert_eq!(plan.code, CHANGES, "{}", plan.stderr);
    for line in [
        "+ kvdb/second",
        "+ trust/worker-reads",
        "~ org/dev",
        "Plan for org/dev: ",
    ] {
        assert!(plan.stdout.contains(line), "{line}: {}", plan.stdout);
    }
    let still = Files::new();
    second.cli(&["export", still.path()]).success();
    assert!(!still.all().contains_key("kvdb/second.yaml"));

    apply(&second, &state, &[]).success();
    let again = apply(&second, &state, &["--plan"]);
    assert_eq!(again.code, 0, "{}", again.stdout);
    let back = Files::new();
    second.cli(&["export", back.path()]).success();
    assert_eq!(back.all(), exported);

    // As JSON it is the same state.
    let as_json = Files::new();
    first
        .cli(&["export", as_json.path(), "--format", "json"])
        .success();
    let same = apply(&first, &as_json, &["--plan"]);
    assert_eq!(same.code, 0, "{}", same.stdout);
    let third = dev();
    apply(&third, &as_json, &[]).success();
    let back = Files::new();
    third
        .cli(&["export", back.path(), "--format", "json"])
        .success();
    assert_eq!(back.all(), as_json.all());
}

#[test]
fn a_plan_shows_what_changes_and_prune_deletes() {
    let keyward = dev();
    furnish(&keyward);
    let state = Files::new();
    keyward.cli(&["export", state.path(), "--keys"]).success();
    let worker = &state.all()["programmatic_identity/worker.yaml"];
    assert!(
        worker.contains("description: night") && !worker.contains("kws_"),
        "{worker}"
    );
    assert_eq!(apply(&keyward, &state, &["--plan"]).code, 0);

    let policy = state.all()["policy/read-only.yaml"].replace("kvdb:@read", "kvdb:ExecuteGet");
    state.write("policy/read-only.yaml", &policy);
    state.write(
        "more.yml",
        "kind: identity\nid: fresh\n---\nkind: trust\nid: fresh\ntrustee: fresh\npolicies:\n- KvdbReadOnly\n- document:\n  - Effect: Allow\n    Actions: [kvdb:ExecuteGet]\n    Resources: [kvdb/main]\n",
    );
    for gone in [
        "kvdb/second.yaml",
        "trust/worker-reads.yaml",
        "group/readers.yaml",
    ] {
        state.remove(gone);
    }
    let trust = state.all()["trust/readers.yaml"].clone();
    state.remove("trust/readers.yaml");
    state.write(
        "programmatic_identity/worker.yaml",
        "kind: programmatic_identity\nid: worker\nname: Night worker\n",
    );

    let plan = apply(&keyward, &state, &["--plan"]);
    assert_eq!(plan.code, CHANGES, "{}", plan.stderr);
    for line in [
        "~ policy/read-only\n",
        "      -     \"Actions\": [\"kvdb:@read\"],\n",
        "      +     \"Actions\": [\"kvdb:ExecuteGet\"],\n",
        "    name: null -> Night worker\n",
        "+ programmatic_identity/fresh\n",
        "Plan for org/dev: 2 to create, 2 to change, 0 to delete.",
        "In no file, and left alone: group/readers, kvdb/second, trust/readers, trust/worker-reads.",
    ] {
        assert!(plan.stdout.contains(line), "{line}: {}", plan.stdout);
    }
    let plan = apply(&keyward, &state, &["--plan", "--prune", "--output", "json"]);
    let lines: Vec<Json> = plan
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let deleted: Vec<&str> = lines
        .iter()
        .filter(|line| line["action"] == "delete")
        .map(|line| line["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        deleted,
        [
            "org/dev/trust/readers",
            "org/dev/trust/worker-reads",
            "org/dev/group/readers"
        ]
    );
    let summary = json!({ "organisation": "org/dev", "create": 2, "change": 2, "delete": 3,
                          "unmanaged": ["org/dev/kvdb/second"] });
    let mut told = lines.last().unwrap()["summary"].clone();
    let id = told.as_object_mut().unwrap().remove("plan").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 16);
    assert_eq!(told, summary);

    let unasked = apply(&keyward, &state, &["--prune"]);
    assert_eq!(unasked.code, USAGE);
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    let done = apply(&keyward, &state, &["--prune", "--yes"]).success();
    assert!(done.contains("2 created, 2 changed, 3 deleted"), "{done}");
    keyward.cli(&["db", "describe", "second"]).success();
    let done = apply(&keyward, &state, &["--prune-databases", "--yes"]).success();
    assert!(done.contains("0 created, 0 changed, 1 deleted"), "{done}");
    assert_eq!(apply(&keyward, &state, &["--plan", "--prune"]).code, 0);

    // An id is gone for ever: this cannot be made again, and is told.
    state.write("trust/readers.yaml", &trust);
    state.write("group/readers.yaml", "kind: group\nid: readers\n");
    let refused = apply(&keyward, &state, &[]);
    assert_eq!(refused.code, CONFLICT, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("group/readers: create:"),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("not tried: trust/readers"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_failure_is_told_exactly_and_the_same_command_goes_on() {
    let keyward = dev();
    keyward.cli(&["identity", "create", "half"]).success();
    let half = keyward.cli(&["key", "create", "half", "--output", "json"]);
    let half = AccessKey::shown(&half.json());
    // May see everything and create databases, but no identities, nor tag.
    let policy = r#"[{"Effect":"Allow","Actions":["org:Describe","kvdb:List","kvdb:Describe","kvdb:Create","iam:List*","iam:Describe*","iam:GetResourcePolicy","org:DescribeGuardrail"],"Resources":["**"]}]"#;
    keyward
        .cli(&["trust", "create", "half", "--policy", policy])
        .success();
    let state = Files::new();
    state.write(
        "state.yaml",
        "kind: kvdb\nid: third\ntags: {stage: test}\n---\nkind: identity\nid: worker\n---\nkind: trust\nid: worker\ntrustee: worker\n---\nkind: kvdb\nid: fourth\n",
    );
    let run =
        |more: &[&str]| keyward.cli_as(&half, &[&["apply", "-f", state.path()], more].concat());
    let failed = run(&[]);
    assert_eq!(failed.code, DENIED, "{}", failed.stderr);
    for line in [
        "programmatic_identity/worker: create: iam:CreateProgrammaticIdentity on org/dev",
        "kvdb/third (partly done): finish: another thing failed first",
        "not tried: trust/worker",
        "the same command plans anew, and goes on from here",
    ] {
        assert!(failed.stderr.contains(line), "{line}: {}", failed.stderr);
    }
    assert!(
        failed.stdout.contains("1 created, 0 changed"),
        "{}",
        failed.stdout
    );
    let on = run(&["--keep-going", "--output", "json"]);
    assert_eq!(on.code, DENIED, "{}", on.stderr);
    let last = on.stdout.lines().last().unwrap();
    let last: Json = serde_json::from_str(last).unwrap();
    assert_eq!(last["summary"]["open"], 3, "{}", on.stdout);

    let done = apply(&keyward, &state, &[]).success();
    assert!(done.contains("2 created, 1 changed, 0 deleted"), "{done}");
    assert_eq!(apply(&keyward, &state, &["--plan"]).code, 0);
}

#[test]
fn files_that_make_no_sense_are_refused_with_their_place_before_anything_is_done() {
    let keyward = dev();
    let cases: [(&str, &str, i32, &str); 17] = [
        (
            "a.yaml",
            "kind: thing\nid: a\n",
            FAILED,
            "a.yaml:1:1: no kind `thing`: org, kvdb, ",
        ),
        (
            "a.yaml",
            "kind: group\n\nid: a\ncolour: red\n",
            FAILED,
            "a.yaml:4:1: a group has no `colour`",
        ),
        (
            "a.yaml",
            "kind: group\nid: a\n---\nkind: group\nid: a\n",
            FAILED,
            "org/dev/group/a is in ",
        ),
        (
            "a.yaml",
            "kind: trust\nid: a\n",
            FAILED,
            "a trust needs `trustee`",
        ),
        (
            "a.json",
            "{\"kind\": \"group\",\n\"kind\": \"group\"}",
            FAILED,
            "a.json:2:1: `kind` stands here twice",
        ),
        ("a.yaml", "kind: group\nid: [", FAILED, "a.yaml:"),
        (
            "a.yaml",
            "kind: policy\nid: a\ndocument: |\n  [{\"Effect\": \"Allow\",\n    \"Actions\": [\"kvdb:ExecuteGte\"], \"Resources\": [\"kvdb/*\"]}]\n",
            FINDINGS,
            "a.yaml:5:17: document: ",
        ),
        (
            "a.yaml",
            "kind: trust\nid: a\ntrustee: nobody\n",
            CONFLICT,
            "refers to org/dev/programmatic_identity/nobody",
        ),
        (
            "a.yaml",
            "kind: trust\nid: admin\ntrustee: app\npolicies: [KvdbReadOnly]\n",
            CONFLICT,
            "`trustee` of org/dev/trust/admin cannot change",
        ),
        (
            "a.json",
            "[{\"kind\": \"group\", \"id\": \"a\"},\n  {\"kind\": \"group\", \"id\": \"b\", \"x\": 1}]",
            FAILED,
            "a.json:2:32: a group has no `x`",
        ),
        (
            "a.json",
            "{\"kind\": \"group\", \"id\": }",
            FAILED,
            "a.json:1:25: no JSON: expected value",
        ),
        (
            "a.yaml",
            "kind: kvdb\nid: a\nbackend: { type: server, address: \"db:1\", password: x }\n",
            FAILED,
            "a.yaml:3:43: a password is never in a file",
        ),
        (
            "a.yaml",
            "kind: kvdb\nid: a\nbackend: { type: server, address: \"db:1\", password_env: HOME }\n",
            FAILED,
            "a.yaml:3:57: `password_env` names a variable KEYWARD_PASSWORD_",
        ),
        (
            "a.yaml",
            "kind: trust\nid: a\ntrustee: app\nconditions: { Boool: { x: y } }\n",
            FINDINGS,
            "a.yaml:4:1: Conditions",
        ),
        (
            "a.yaml",
            "kind: group\nid: a\nboundary:\n- document: 7\n",
            FAILED,
            "a.yaml:4:13: expected a document",
        ),
        (
            "a.yaml",
            "kind: group\nid: a\ntags: [x]\n",
            FAILED,
            "a.yaml:3:7: tags: expected `name: value` entries",
        ),
        (
            "a.yaml",
            "kind: org\nid: a\n---\nkind: org\nid: b\n",
            FAILED,
            "one organisation at a time",
        ),
    ];
    for (name, text, code, said) in cases {
        let state = Files::new();
        state.write(name, text);
        state.write("b.yaml", "kind: group\nid: never-made\n");
        let refused = apply(&keyward, &state, &[]);
        assert_eq!(
            refused.code, code,
            "{text}: {}{}",
            refused.stdout, refused.stderr
        );
        assert!(refused.stderr.contains(said), "{said}: {}", refused.stderr);
    }
    let groups = keyward.cli(&["group", "list"]).success();
    assert!(!groups.contains("never-made"), "{groups}");
}

#[test]
fn another_organisation_is_made_of_an_export() {
    let keyward = dev();
    furnish(&keyward);
    // It binds what dev's identities do elsewhere, too: to this organisation.
    keyward.cli(&["guardrail", "delete"]).success();
    let state = Files::new();
    keyward.cli(&["export", state.path()]).success();
    let refused = keyward.cli(&["--organisation", "copy", "apply", "-f", state.path()]);
    assert_eq!(refused.code, USAGE, "{}", refused.stderr);
    keyward
        .cli(&["--organisation", "copy", "import", state.path()])
        .success();
    let copy = Files::new();
    keyward
        .cli(&["--organisation", "copy", "export", copy.path()])
        .success();
    let mut expected = state.all();
    let organisation = expected.get_mut("organisation.yaml").unwrap();
    *organisation = organisation.replace("id: dev", "id: copy");
    let found = copy.all();
    for (name, text) in &expected {
        if name != "trust/admin.yaml" {
            assert_eq!(found.get(name), Some(text), "{name}");
        }
    }
    // Once more there is nothing to do; where something differs it is no import.
    keyward
        .cli(&["--organisation", "copy", "import", copy.path()])
        .success();
    keyward
        .cli(&[
            "--organisation",
            "copy",
            "tag",
            "set",
            "kvdb/second",
            "stage=test",
        ])
        .success();
    let refused = keyward.cli(&["--organisation", "copy", "import", copy.path()]);
    assert_eq!(refused.code, CONFLICT, "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .contains("org/copy/kvdb/second is there and differs: tags"),
        "{}",
        refused.stderr
    );

    // Through a pipe, and by apply, too.
    let text = keyward.cli(&["export", "-"]).success();
    let piped = Files::new();
    piped.write("all.yaml", &text.replacen("id: dev", "id: piped", 1));
    apply(&keyward, &piped, &[]).success();
    assert_eq!(apply(&keyward, &piped, &["--plan"]).code, 0);
    keyward
        .cli(&["--organisation", "piped", "db", "describe", "second"])
        .success();
}
