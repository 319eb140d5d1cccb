//! `keyward dev`: what it makes, keeps, refuses, and how it ends.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use keyward_e2e::{
    AccessKey, Client, Keyward, RedisUrl, Server, ServerKind, assert_error, bulk, ok, redis_cli,
};
use keyward_resp::Value;
use serde_json::{Value as Json, json};

fn text(path: &Path) -> &str {
    path.to_str()
        .expect("a temporary directory has a plain name")
}

#[test]
fn it_makes_what_a_newcomer_needs() {
    let keyward = Keyward::dev(&[]);
    assert_eq!(keyward.organisation, "dev");
    assert_eq!(keyward.database, "main");
    assert_eq!(keyward.identity, "app");
    let url = RedisUrl::parse(&keyward.redis_url);
    assert_eq!((url.host.as_str(), url.database), ("127.0.0.1", 0));
    assert_eq!(url.user, keyward.access_key_id);
    assert_eq!(
        url.password.as_deref(),
        Some(keyward.secret_access_key.as_str())
    );
    for (id, secret) in [
        (&keyward.access_key_id, &keyward.secret_access_key),
        (
            &keyward.admin_access_key_id,
            &keyward.admin_secret_access_key,
        ),
    ] {
        assert!(id.len() == 20 && id.starts_with("KWAK"), "{id}");
        assert!(
            secret.starts_with(&format!("kws_{id}_")),
            "the secret of {id} has another form"
        );
    }
    let whoami = keyward.app().get("/v1/whoami").success();
    assert!(
        whoami.to_string().contains("programmatic_identity/app"),
        "{whoami}"
    );
    let whoami = keyward.admin().get("/v1/whoami").success();
    assert!(
        whoami.to_string().contains("programmatic_identity/admin"),
        "{whoami}"
    );
    for secret in [&keyward.secret_access_key, &keyward.admin_secret_access_key] {
        let log = keyward.log();
        assert!(
            !log.contains(secret.as_str()),
            "a secret on standard error: {log}"
        );
    }
}

#[test]
fn password_only_and_hello_log_in() {
    let keyward = Keyward::dev(&[]);
    let (id, secret) = (&keyward.access_key_id, &keyward.secret_access_key);
    let logins: &[&[&str]] = &[
        &["AUTH", secret],
        &["AUTH", "default", secret],
        &["AUTH", id, secret],
        &["AUTH", &format!("{id}.main"), secret],
        &["AUTH", &format!("{id}.main.dev"), secret],
    ];
    for login in logins {
        let mut client = keyward.stranger();
        assert_error(&client.call(&["GET", "k"]), "NOAUTH");
        assert_eq!(client.call(login), ok(), "{}", login[1]);
        assert_eq!(client.call(&["SET", "k", "v"]), ok());
    }
    let mut client = keyward.stranger();
    let Value::Map(_) = client.call(&["HELLO", "3", "AUTH", id, secret]) else {
        panic!("HELLO 3 did not answer a map");
    };
    assert_eq!(client.call(&["GET", "k"]), bulk("v"));

    let wrong = format!("kws_{id}_{}", "A".repeat(50));
    let refused: &[&[&str]] = &[
        &["AUTH", "wrong"],
        &["AUTH", id, "wrong"],
        &["AUTH", id, &wrong],
        &["AUTH", &keyward.admin_access_key_id, secret],
        &["AUTH", &format!("{id}.nothing.elsewhere"), secret],
    ];
    let mut client = keyward.stranger();
    for login in refused {
        assert_error(&client.call(login), "WRONGPASS");
        assert_error(&client.call(&["GET", "k"]), "NOAUTH");
    }
}

#[test]
fn the_next_start_finds_everything_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = text(&data);
    let first = Keyward::dev(&["--data-dir", data]);
    let admin = first.admin();
    admin
        .post("/v1/org/dev/kvdb", &json!({ "id": "second" }))
        .success();
    admin
        .post(
            "/v1/org/dev/programmatic_identity",
            &json!({ "id": "worker" }),
        )
        .success();
    let keys = "/v1/org/dev/programmatic_identity/worker/access_key";
    let worker = AccessKey::created(admin.post(keys, &json!({})));
    admin
        .delete("/v1/org/dev/kvdb/second?confirm=second")
        .success();
    let login = (first.access_key_id.clone(), first.secret_access_key.clone());
    let mode = std::fs::metadata(Path::new(data).join("cli.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(first);

    let again = Keyward::dev(&["--data-dir", data]);
    assert_eq!(
        (again.access_key_id.clone(), again.secret_access_key.clone()),
        login
    );
    Client::connect(&again.redis_url);
    Client::connect(&again.url_for(&worker, ".main"));
    // A deleted id is gone for ever.
    again
        .admin()
        .get("/v1/org/dev/kvdb/second")
        .expect_status(404);
    let taken = again
        .admin()
        .post("/v1/org/dev/kvdb", &json!({ "id": "second" }));
    assert_eq!(taken.status, 409, "{}", taken.text);
    assert!(taken.text.contains("not available"), "{}", taken.text);
    drop(again);

    // The store has no secrets: without the file, the keys are replaced.
    std::fs::remove_file(Path::new(data).join("cli.json")).unwrap();
    let replaced = Keyward::dev(&["--data-dir", data]);
    assert_ne!(replaced.access_key_id, login.0);
    let url = RedisUrl::parse(&replaced.redis_url);
    let old = Client::try_connect(&url.with_login(&login.0, &login.1).text());
    assert_error(&old.expect_err("the key was replaced"), "WRONGPASS");
    Client::connect(&replaced.redis_url);
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = text(&data);
    let mut acknowledged = Vec::new();
    for round in 0..8_u64 {
        let keyward = Keyward::dev(&["--data-dir", data]);
        let process_id = keyward.process_id().to_string();
        // Another moment in each round, always while changes are on their way.
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20 + 17 * round));
            std::process::Command::new("kill")
                .args(["-9", &process_id])
                .status()
        });
        for number in 0..10_000 {
            let id = format!("r{round}-{number}");
            let body = json!({ "id": id });
            match keyward
                .admin()
                .try_send("POST", "/v1/org/dev/programmatic_identity", Some(&body))
            {
                Some(answer) => {
                    answer.success();
                    acknowledged.push(id);
                }
                None => break,
            }
        }
        assert!(killer.join().unwrap().is_ok_and(|status| status.success()));
    }
    assert!(
        !acknowledged.is_empty(),
        "no change was made between the kills"
    );
    let keyward = Keyward::dev(&["--data-dir", data]);
    let admin = keyward.admin();
    for id in &acknowledged {
        admin
            .get(&format!("/v1/org/dev/programmatic_identity/{id}"))
            .success();
    }
}

#[test]
fn a_second_dev_on_the_same_data_is_refused_with_the_pid() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = Keyward::dev(&["--data-dir", text(&data)]);
    let refused = Keyward::try_dev(&["--data-dir", text(&data)]).expect_err("the data is in use");
    assert_ne!(refused.code, 0);
    assert!(
        refused.stderr.contains(&first.process_id().to_string()),
        "{}",
        refused.stderr
    );
    assert_eq!(first.client().call(&["PING"]), keyward_e2e::simple("PONG"));
}

#[test]
fn a_busy_port_is_a_clear_error() {
    for flag in ["--port", "--api-port"] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port().to_string();
        let refused = Keyward::try_dev(&[flag, &port]).expect_err("the port is taken");
        assert_ne!(refused.code, 0, "{flag}");
        assert!(refused.stderr.contains(&port), "{flag}: {}", refused.stderr);
        assert!(
            !refused.stderr.contains("panicked"),
            "{flag}: {}",
            refused.stderr
        );
    }
}

#[test]
fn an_upstream_that_is_away_or_has_a_number_is_an_error() {
    let server = Server::start(ServerKind::Redis, &[]);
    let numbered = format!("{}/1", server.url());
    let refused = Keyward::try_dev(&["--upstream", &numbered]).expect_err("a number is refused");
    assert!(
        refused.stderr.contains("database number"),
        "{}",
        refused.stderr
    );
    drop(server);
    // A server that is away is no reason not to start: its clients are told.
    // (Nobody listens on port 1, and no test is given it.)
    let keyward = Keyward::dev(&["--upstream", "redis://127.0.0.1:1"]);
    let mut client = keyward.client();
    assert_error(&client.call(&["GET", "k"]), "");
    keyward.admin().get("/v1/whoami").success();
}

#[test]
fn an_upstream_with_a_password_is_logged_in_to() {
    for kind in [ServerKind::Redis, ServerKind::Valkey] {
        let server = Server::start(kind, &["--requirepass", "upstream-secret"]);
        let with_password = format!("redis://:upstream-secret@127.0.0.1:{}", server.port());
        let keyward = Keyward::dev(&["--upstream", &with_password]);
        assert_eq!(
            redis_cli(&keyward.redis_url, &["SET", "k", "v"]).success(),
            "OK"
        );
        let mut direct = Client::connect(&with_password);
        assert_eq!(direct.call(&["GET", "k"]), bulk("v"));
        assert!(
            keyward.log().to_lowercase().contains("warn"),
            "{}",
            keyward.log()
        );
        assert!(
            !keyward.log().contains("upstream-secret"),
            "{}",
            keyward.log()
        );
    }
}

#[test]
fn signals_end_it_soon_and_answer_what_was_asked() {
    for signal in ["TERM", "INT"] {
        let server = Server::start(ServerKind::Valkey, &[]);
        let mut keyward = Keyward::dev(&["--upstream", &server.url()]);
        let mut idle = keyward.client();
        assert_eq!(idle.call(&["SET", "k", "v"]), ok());
        let mut blocked = keyward.client();
        blocked.send(&["BLPOP", "nothing", "1"]);
        std::thread::sleep(Duration::from_millis(200));
        keyward.signal(signal);
        let status = keyward.wait(Duration::from_secs(12));
        assert!(status.success(), "{signal}: {status}\n{}", keyward.log());
        assert!(idle.is_closed(Duration::from_secs(1)), "{signal}");
    }
}

#[test]
fn lists_and_documents_have_the_agreed_form() {
    let keyward = Keyward::dev(&[]);
    let openapi = keyward.admin().get("/openapi.json").success();
    assert!(
        openapi["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.1"))
    );
    let refused = keyward_e2e::Api::anonymous(&keyward.api_url).get("/v1/org/dev/kvdb");
    let problem = refused.expect_status(401);
    for field in ["type", "title", "status"] {
        assert!(
            problem.get(field).is_some_and(|value| *value != Json::Null),
            "{problem}"
        );
    }
    keyward
        .admin()
        .get("/v1/org/dev/kvdb/nothing")
        .expect_status(404);
    let wrong = json!({ "id": "Not A Slug" });
    let answer = keyward.admin().post("/v1/org/dev/kvdb", &wrong);
    assert!(
        (400..500).contains(&answer.status),
        "{}: {}",
        answer.status,
        answer.text
    );
}
