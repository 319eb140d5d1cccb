//! The first session at a shell: the same steps as through the API, one line each.

use keyward_e2e::{AccessKey, Backend, Keyward, bulk, ok, redis_cli, text};
use serde_json::Value as Json;

/// Exit codes that scripts rely on.
const DENIED: i32 = 3;
const NOT_FOUND: i32 = 4;
const UNREACHABLE: i32 = 8;

fn create_grant_ask_revoke(backend: Backend) {
    let keyward = backend.start();
    let run = |line: &[&str]| keyward.cli(&[line, &["--output", "json"]].concat());
    run(&["db", "create", "second"]).json();
    run(&["identity", "create", "worker"]).json();
    let key = run(&["key", "create", "worker"]).json();
    let key = AccessKey::shown(&key);
    let url = keyward.url_for(&key, ".main");
    let can = |command: &str| {
        keyward
            .cli(&["can", "worker", "main", "--", command, "k"])
            .code
    };

    assert_eq!(can("GET"), DENIED);
    let refused = redis_cli(&url, &["GET", "k"]);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("NOPERM"), "{said}");
    let id = said
        .split("keyward why ")
        .nth(1)
        .and_then(|rest| rest.split(')').next());
    let why = keyward.cli(&["why", id.unwrap_or_default()]).success();
    assert!(why.contains("kvdb:ExecuteGet"), "{why}");
    let tail = keyward.cli(&["why", "nothing"]);
    assert_eq!(tail.code, NOT_FOUND, "{}", tail.stderr);

    let reads = r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/main"]}]"#;
    let trust = run(&["trust", "create", "worker", "--policy", reads]).json();
    assert_eq!((can("GET"), can("DEL")), (0, DENIED));
    assert_eq!(redis_cli(&url, &["GET", "k"]).success(), "");

    let all = r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/*"]}]"#;
    let id = text(&trust, "id");
    run(&["trust", "update", &id, "--policy", all]).json();
    assert_eq!((can("GET"), can("DEL")), (0, 0));
    let mut client = keyward_e2e::Client::connect(&url);
    assert_eq!(client.call(&["SET", "k", "v"]), ok());
    assert_eq!(client.call(&["GET", "k"]), bulk("v"));

    run(&["key", "delete", &key.id]).success();
    keyward_e2e::assert_error(&client.call(&["GET", "k"]), "NOAUTH");
}

fn connect_opens_the_database(backend: Backend) {
    let keyward = backend.start();
    let app = AccessKey {
        id: keyward.access_key_id.clone(),
        secret: keyward.secret_access_key.clone(),
    };
    let connect =
        |words: &[&str]| keyward.cli_as(&app, &[&["connect", "main", "--"], words].concat());
    assert_eq!(connect(&["SET", "k", "v"]).success(), "OK");
    assert_eq!(connect(&["GET", "k"]).success(), "v");
}

keyward_e2e::on_each_backend!(create_grant_ask_revoke, connect_opens_the_database);

#[test]
fn failures_have_their_exit_codes() {
    let keyward = Keyward::dev(&[]);
    let app = AccessKey {
        id: keyward.access_key_id.clone(),
        secret: keyward.secret_access_key.clone(),
    };
    let wrong = AccessKey {
        secret: keyward.admin_secret_access_key.clone(),
        ..app.clone()
    };
    let code = |key: &AccessKey, words: &[&str]| {
        let output = keyward.cli_as(key, words);
        assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
        output.code
    };
    assert_eq!(code(&app, &["whoami"]), 0);
    assert_eq!(code(&app, &["nonsense"]), 2);
    assert_eq!(code(&app, &["db", "create", "own"]), DENIED);
    assert_eq!(code(&wrong, &["whoami"]), 6);
    assert_eq!(keyward.cli(&["db", "describe", "nothing"]).code, NOT_FOUND);
    keyward.cli(&["db", "create", "second"]).success();
    assert_eq!(keyward.cli(&["db", "create", "second"]).code, 5);
    let misspelt =
        r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGte"],"Resources":["kvdb/main"]}]"#;
    keyward.cli(&["identity", "create", "worker"]).success();
    let refused = keyward.cli(&["trust", "create", "worker", "--policy", misspelt]);
    assert_eq!(refused.code, 7, "{}", refused.stderr);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(
        said.contains("kvdb:ExecuteGet"),
        "the nearest name is missing: {said}"
    );

    let mut gone = keyward;
    gone.signal("KILL");
    gone.wait(std::time::Duration::from_secs(10));
    assert_eq!(gone.cli(&["whoami"]).code, UNREACHABLE);
}

#[test]
fn failures_say_what_to_do() {
    let keyward = Backend::Embedded.start();
    let run = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        keyward.cli(&words)
    };
    for made in [
        "identity create worker",
        "key create worker",
        "group create readers",
        "group member add readers worker",
        "role create deployer --max-session-seconds 900",
    ] {
        run(made).success();
    }
    let cases = [
        ("identity create worker", 5, "exists already"),
        ("identity describe nobody", 4, "`keyward identity list`"),
        ("db describe nothing", 4, "`keyward db list`"),
        (
            "snapshot describe main/x",
            4,
            "`keyward snapshot list main`",
        ),
        (
            "trust accept nothing",
            4,
            "`org/dev/trust/nothing` does not",
        ),
        ("identity delete worker", 5, "access_key/KWAK"),
        ("identity delete worker", 5, "--cascade"),
        ("group delete readers", 5, "--cascade"),
        ("group member add readers worker", 5, "change that trust"),
        ("org delete dev", 5, "delete or change these first"),
        ("key describe worker", 2, "`keyward key list <identity>`"),
        ("key create worker --expires-at soon", 2, "2030-01-01"),
        (
            "key rotate worker --finish",
            5,
            "`keyward key rotate worker` makes one",
        ),
        ("tag set worker team", 2, "KEY=VALUE"),
        ("org settings", 2, "--max-key-lifetime-seconds"),
        ("guardrail put --policy []", 5, "to you too"),
        (
            "org-user invite bob@example.com",
            2,
            "bob --email bob@example.com",
        ),
        ("session kill KWTKAAAAAAAAAAAAAAAA", 2, "role/<id>"),
        (
            "--profile nobody db list",
            6,
            "`keyward --profile nobody login`",
        ),
        ("org-user accept kwi_dev_x_y", 1, "`keyward login`"),
        ("org-user show-invitation x", 4, "ask for another one"),
    ];
    for (line, code, expected) in cases {
        let refused = run(line);
        let said = &refused.stderr;
        assert_eq!(
            (refused.code, said.contains(expected)),
            (code, true),
            "{line}: {said}"
        );
    }
    // A command line that makes no sense is told as JSON, too, where that was asked for.
    for line in [
        "identity create --output json",
        "--output=json identity nothing",
    ] {
        let refused = run(line);
        assert_eq!(refused.code, 2, "{line}");
        let told: Json = serde_json::from_str(&refused.stderr).expect("JSON");
        assert!(
            told["error"].is_string() && told["hint"].is_string(),
            "{told}"
        );
    }
    let roles = run("role list").success();
    assert!(roles.contains("900"), "{roles}");
    run("identity delete worker --cascade").success();
}

#[test]
fn answers_for_programs_are_json_line_by_line() {
    let keyward = Keyward::dev(&[]);
    let lines = [
        "org list",
        "org describe dev",
        "org alias show",
        "identity list",
        "identity describe app",
        "org-user list",
        "role list",
        "provider list",
        "session list app",
        "sts get-caller-identity",
        "group list",
        "key list app",
        "db list",
        "db describe main",
        "db health main",
        "trust list",
        "trust pending",
        "policy list",
        "policy describe KvdbReadOnly",
        "policy entities KvdbReadOnly",
        "boundary show app",
        "guardrail show",
        "resource-policy get kvdb/main",
        "tag list kvdb/main",
        "account show",
        "env",
        "whoami",
        "status",
        "who-can FLUSHALL on main",
        "access app",
        "escalation",
        "why nothing",
        "export -",
        "apply -f nothing-there",
        "db describe nothing",
        "db delete main",
        "--profile nothing whoami",
    ];
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let output = keyward.cli(&[&words[..], &["--output", "json"]].concat());
        for line_of in output.stdout.lines().chain(output.stderr.lines()) {
            let read: Result<Json, _> = serde_json::from_str(line_of);
            assert!(read.is_ok(), "keyward {line}: {line_of}");
        }
        let told = format!("{}{}", output.stdout, output.stderr);
        assert!(!told.contains("panicked"), "keyward {line}: {told}");
    }
}

#[test]
fn nobody_who_reads_is_no_panic() {
    /// What shells tell of programs that a closed pipe ended.
    const CLOSED_PIPE: i32 = 141;
    let keyward = Keyward::dev(&[]);
    for line in [
        "identity list",
        "db describe main",
        "export -",
        "completions bash",
    ] {
        let mut started = keyward
            .client_command(&keyward.admin_key())
            .args(line.split(' '))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the program starts");
        drop(started.stdout.take());
        let ended = started.wait_with_output().expect("the program ends");
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(CLOSED_PIPE), "{line}: {told}");
        assert_eq!(told, "", "{line}");
    }
}

#[test]
fn a_policy_goes_from_trusts_where_nobody_gets_more_by_that() {
    const CONFLICT: i32 = 5;
    let keyward = Keyward::dev(&[]);
    let run = |line: &[&str]| keyward.cli(line).success();
    let reads = r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/main"]}]"#;
    let denies = r#"[{"Effect":"Deny","Actions":["kvdb:@dangerous"],"Resources":["kvdb/main"]}]"#;
    run(&["policy", "create", "reads", "--policy", reads]);
    run(&["policy", "create", "denies", "--policy", denies]);
    run(&["group", "create", "readers"]);
    run(&["identity", "create", "worker"]);
    run(&[
        "trust",
        "create",
        "group/readers",
        "--policy",
        "policy/reads",
    ]);
    run(&[
        "trust",
        "create",
        "worker",
        "--trustor",
        "group/readers",
        "--id",
        "member",
        "--policy",
        "policy/reads",
    ]);
    let delete = |id: &str| keyward.cli(&["policy", "delete", id, "--cascade"]);
    let refused = delete("reads");
    assert_eq!(refused.code, CONFLICT, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("org/dev/trust/member"),
        "{}",
        refused.stderr
    );
    assert!(run(&["policy", "entities", "reads"]).contains("readers"));
    run(&[
        "trust",
        "update",
        "member",
        "--policy",
        "policy/reads",
        "--policy",
        "KvdbReadOnly",
    ]);
    delete("reads").success();
    run(&["policy", "attach", "denies", "--trust", "member"]);
    let refused = delete("denies");
    assert_eq!(refused.code, CONFLICT, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("it has a Deny"),
        "{}",
        refused.stderr
    );
}
