//! The first session at a shell: the same steps as through the API, one line each.

use keyward_e2e::{AccessKey, Backend, Keyward, Output, bulk, ok, redis_cli};
use serde_json::Value as Json;

/// What `--output json` says, one document.
#[track_caller]
fn json(output: Output) -> Json {
    let text = output.success();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[track_caller]
fn text(document: &Json, field: &str) -> String {
    match document[field].as_str() {
        Some(text) => text.to_owned(),
        None => panic!("no `{field}` in {document}"),
    }
}

/// Exit codes that scripts rely on.
const DENIED: i32 = 3;
const NOT_FOUND: i32 = 4;
const UNREACHABLE: i32 = 8;

fn create_grant_ask_revoke(backend: Backend) {
    let keyward = backend.start();
    let run = |line: &[&str]| keyward.cli(&[line, &["--output", "json"]].concat());
    json(run(&["db", "create", "second"]));
    json(run(&["identity", "create", "worker"]));
    let key = json(run(&["key", "create", "worker"]));
    let key = AccessKey {
        id: text(&key, "access_key_id"),
        secret: text(&key, "secret_access_key"),
    };
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
    let trust = json(run(&["trust", "create", "worker", "--policy", reads]));
    assert_eq!((can("GET"), can("DEL")), (0, DENIED));
    assert_eq!(redis_cli(&url, &["GET", "k"]).success(), "");

    let all = r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/*"]}]"#;
    let id = text(&trust, "id");
    json(run(&["trust", "update", &id, "--policy", all]));
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
