//! Snapshots of databases, there and back, as an operator makes them: on every backend, while
//! somebody writes, across a restart, and with files that somebody has touched.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use keyward_e2e::{AccessKey, Backend, Client, Keyward, Server, assert_error, bulk, ok};
use keyward_resp::Value;
use serde_json::{Value as Json, json};

/// Stands in every value and no other text.
const MARK: &str = "plain-text-of-a-value";

/// As the administrator, on a database.
fn client_of(keyward: &Keyward, database: &str) -> Client {
    let key = AccessKey {
        id: keyward.admin_access_key_id.clone(),
        secret: keyward.admin_secret_access_key.clone(),
    };
    Client::connect(&keyward.url_for(&key, &format!(".{database}")))
}

/// Keys of every type, some with an expiry.
fn fill(client: &mut Client) {
    for n in 0..500 {
        let (key, value) = (format!("app:{n}"), format!("{MARK}-{n}"));
        client.call(&["SET", &key, &value]);
    }
    client.call(&["SET", "expiring", MARK, "PX", "3600000"]);
    client.call(&["HSET", "hash", "f", MARK, "g", "2"]);
    client.call(&["RPUSH", "list", "a", "b", MARK]);
    client.call(&["SADD", "set", "a", "b", "c"]);
    client.call(&["ZADD", "sorted", "1.5", "a", "-2", "b"]);
    client.call(&["SET", "secret:1", MARK]);
}

fn assert_filled(client: &mut Client) {
    for n in [0, 250, 499] {
        let found = client.call(&["GET", &format!("app:{n}")]);
        assert_eq!(found, bulk(format!("{MARK}-{n}")));
    }
    assert_eq!(client.call(&["HGET", "hash", "f"]), bulk(MARK));
    let list = client.call(&["LRANGE", "list", "0", "-1"]);
    assert_eq!(list, Value::Array(vec![bulk("a"), bulk("b"), bulk(MARK)]));
    assert_eq!(client.call(&["SCARD", "set"]), Value::Integer(3));
    assert_eq!(client.call(&["ZSCORE", "sorted", "a"]), bulk("1.5"));
    match client.call(&["PTTL", "expiring"]) {
        Value::Integer(left) => assert!((3_000_000..=3_600_000).contains(&left), "{left}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(client.call(&["PTTL", "app:1"]), Value::Integer(-1));
}

/// Another database of the same kind, and the server that it is on.
fn second_database(keyward: &Keyward, backend: Backend, id: &str) -> Option<Server> {
    let server = backend.server_kind().map(|kind| Server::start(kind, &[]));
    let mut arguments = vec!["db", "create", id];
    let url = server.as_ref().map(Server::url);
    if let Some(url) = &url {
        arguments.extend(["--backend", url]);
    }
    keyward.cli(&arguments).success();
    server
}

fn json_of(output: &str) -> Json {
    serde_json::from_str(output).unwrap_or_else(|error| panic!("{output}: {error}"))
}

/// The files of snapshots in a data directory.
fn files(data_dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![data_dir.join("snapshots")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("the folder can be listed").path();
            match path.is_dir() {
                true => open.push(path),
                false => found.push(path),
            }
        }
    }
    found.sort();
    found
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|found| found == text.as_bytes())
}

fn there_and_back(backend: Backend) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data_text = data.to_string_lossy().into_owned();
    let keyward = backend.start_with(&["--data-dir", &data_text]);
    fill(&mut client_of(&keyward, "main"));

    // While somebody writes.
    let stop = Arc::new(AtomicBool::new(false));
    let (writing, mut writer) = (Arc::clone(&stop), client_of(&keyward, "main"));
    let writes = std::thread::spawn(move || {
        let mut n = 0;
        while !writing.load(Ordering::Relaxed) {
            writer.call(&["SET", &format!("meanwhile:{}", n % 500), "v"]);
            n += 1;
        }
    });
    let create = ["snapshot", "create", "main", "nightly", "--wait"];
    let made = keyward.cli(&[&create[..], &["--output", "json"]].concat());
    stop.store(true, Ordering::Relaxed);
    writes.join().expect("writing went on");
    let made = json_of(&made.success());
    assert_eq!(made["state"], "ready");
    assert!(made["keys"].as_u64().expect("a number") >= 506, "{made}");
    let server = made["server"].as_str().expect("a text");
    assert!(server.starts_with(&backend.to_string()), "{server}");
    let again = keyward.cli(&create);
    assert_ne!(again.code, 0);
    assert!(again.stderr.contains("not available"), "{}", again.stderr);

    // Nothing of a key, a value or a secret is in the file, which nobody else reads.
    let found = files(&data);
    assert_eq!(found, [data.join("snapshots/dev/main/nightly.kws")]);
    let bytes = std::fs::read(&found[0]).expect("the file can be read");
    assert_eq!(made["bytes"].as_u64(), Some(bytes.len() as u64));
    for text in [MARK, "app:1", "meanwhile", "kws_"] {
        assert!(!contains(&bytes, text), "{text} is in the file");
    }
    let mode = std::fs::metadata(&found[0])
        .expect("it is there")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);

    // Into another database, which must be empty unless something else is said.
    let _server = second_database(&keyward, backend, "copy");
    let restore = [
        "snapshot",
        "restore",
        "main/nightly",
        "--to",
        "copy",
        "--wait",
    ];
    keyward.cli(&restore).success();
    let mut copy = client_of(&keyward, "copy");
    assert_filled(&mut copy);
    let refused = keyward.cli(&restore);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("empty"), "{}", refused.stderr);
    assert_eq!(copy.call(&["SET", "app:1", "changed"]), ok());
    assert_eq!(copy.call(&["SET", "stays", "here"]), ok());
    let replace = [&restore[..], &["--existing", "replace"]].concat();
    let asked = keyward.cli(&replace);
    assert!(asked.stderr.contains("--yes"), "{}", asked.stderr);
    keyward.cli(&[&replace[..], &["--yes"]].concat()).success();
    assert_filled(&mut copy);
    assert_eq!(copy.call(&["GET", "app:1"]), bulk(format!("{MARK}-1")));
    assert_eq!(copy.call(&["GET", "stays"]), bulk("here"));
    let flush = [&restore[..], &["--existing", "flush", "--yes"]].concat();
    keyward.cli(&flush).success();
    assert_filled(&mut copy);
    assert_eq!(copy.call(&["GET", "stays"]), Value::Null);
    let restores = keyward.cli(&["snapshot", "restores", "main/nightly"]);
    assert_eq!(restores.success().matches("flush").count(), 1);

    // The database stays while it has one; then both go.
    let delete = ["db", "delete", "main", "--yes"];
    let conflict = keyward.cli(&delete);
    assert_eq!(conflict.code, 5);
    let named = "org/dev/kvdb/main/snapshot/nightly";
    assert!(conflict.stderr.contains(named), "{}", conflict.stderr);
    let remove = ["snapshot", "delete", "main/nightly"];
    assert_eq!(keyward.cli(&remove).code, 2);
    keyward.cli(&[&remove[..], &["--yes"]].concat()).success();
    assert!(files(&data).is_empty());
    let gone = keyward.cli(&["snapshot", "describe", "main/nightly"]);
    assert_eq!(gone.code, 4, "{}", gone.stderr);
}

fn a_reader_of_a_part_makes_none(backend: Backend) {
    let keyward = backend.start();
    fill(&mut client_of(&keyward, "main"));
    let _server = second_database(&keyward, backend, "own");
    keyward
        .cli(&["snapshot", "create", "main", "nightly", "--wait"])
        .success();
    let admin = keyward.admin();
    let identities = "/v1/org/dev/programmatic_identity";
    admin.post(identities, &json!({ "id": "part" })).success();
    let policy = json!([
        { "Effect": "Allow", "Actions": ["kvdb:*"], "Resources": ["kvdb/own"] },
        { "Effect": "Allow", "Actions": ["kvdb:*"], "Resources": ["kvdb/main"], "Keys": ["app:*"] },
    ]);
    let trust = json!({ "id": "part", "trustor": "org/dev",
                        "trustee": "programmatic_identity/part", "policies": [policy] });
    admin.post("/v1/org/dev/trust", &trust).success();
    let keys = format!("{identities}/part/access_key");
    let key = AccessKey::created(admin.post(&keys, &json!({})));
    let mut main = Client::connect(&keyward.url_for(&key, ".main"));
    assert_eq!(main.call(&["GET", "app:1"]), bulk(format!("{MARK}-1")));
    assert_error(&main.call(&["GET", "secret:1"]), "NOPERM");
    for arguments in [
        &["snapshot", "create", "main"][..],
        &["snapshot", "restore", "main/nightly", "--to", "own"],
        &["snapshot", "restore", "main/nightly"],
    ] {
        let refused = keyward.cli_as(&key, arguments);
        assert_eq!(refused.code, 3, "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("every key"), "{}", refused.stderr);
    }
    let mut own = Client::connect(&keyward.url_for(&key, ".own"));
    assert_eq!(own.call(&["GET", "secret:1"]), Value::Null);
}

fn a_touched_file_restores_nothing(backend: Backend) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let keyward = backend.start_with(&["--data-dir", &data]);
    fill(&mut client_of(&keyward, "main"));
    let _server = second_database(&keyward, backend, "copy");
    for id in ["one", "two"] {
        keyward
            .cli(&["snapshot", "create", "main", id, "--wait"])
            .success();
    }
    let file = |id: &str| {
        folder
            .path()
            .join(format!("data/snapshots/dev/main/{id}.kws"))
    };
    let (one, two) = (
        std::fs::read(file("one")).expect("it is there"),
        std::fs::read(file("two")).expect("it is there"),
    );
    let mut flipped = one.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let short = one[..one.len() - 40].to_vec();
    let restore = [
        "snapshot",
        "restore",
        "main/one",
        "--to",
        "copy",
        "--wait",
        "--existing",
        "flush",
        "--yes",
    ];
    let mut copy = client_of(&keyward, "copy");
    assert_eq!(copy.call(&["SET", "mine", "v"]), ok());
    for touched in [flipped, short, two, Vec::new()] {
        std::fs::write(file("one"), touched).expect("it can be written");
        let refused = keyward.cli(&restore);
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        assert!(refused.stderr.contains("file"), "{}", refused.stderr);
        // It is read to its end before anything is changed.
        assert_eq!(copy.call(&["GET", "mine"]), bulk("v"));
        assert_eq!(copy.call(&["EXISTS", "app:1"]), Value::Integer(0));
    }
    std::fs::write(file("one"), one).expect("it can be written");
    keyward.cli(&restore).success();
    assert_filled(&mut copy);
}

keyward_e2e::on_each_backend!(
    there_and_back,
    a_reader_of_a_part_makes_none,
    a_touched_file_restores_nothing,
);

/// Looks at a snapshot until its state is another one.
fn ended(keyward: &Keyward, snapshot: &str) -> Json {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let arguments = ["snapshot", "describe", snapshot, "--output", "json"];
        let shown = json_of(&keyward.cli(&arguments).success());
        if shown["state"] != "creating" || Instant::now() > until {
            return shown;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_a_restart_interrupts_has_failed() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let keyward = Backend::Redis.start_with(&["--data-dir", &data]);
    fill(&mut client_of(&keyward, "main"));
    keyward
        .cli(&["snapshot", "create", "main", "whole", "--wait"])
        .success();
    let server = keyward.upstream.as_ref().expect("a server");
    let (pid, url) = (server.process_id().to_string(), server.url());
    let send = |signal: &str| {
        let sent = std::process::Command::new("kill")
            .args(["-s", signal, &pid])
            .status();
        assert!(sent.is_ok_and(|status| status.success()));
    };
    // The server says nothing any more, so that the snapshot goes on.
    send("STOP");
    keyward
        .cli(&["snapshot", "create", "main", "half"])
        .success();
    let shown = json_of(
        &keyward
            .cli(&["snapshot", "describe", "main/half", "--output", "json"])
            .success(),
    );
    assert_eq!(shown["state"], "creating", "{shown}");
    keyward.signal("KILL");
    send("CONT");
    let mut keyward = keyward;
    keyward.wait(Duration::from_secs(10));
    let stray = folder.path().join("data/snapshots/dev/main/stray.kws");
    std::fs::write(&stray, "x").expect("it can be written");
    let again = Keyward::dev(&["--data-dir", &data, "--upstream", &url]);
    let half = ended(&again, "main/half");
    assert_eq!(half["state"], "failed", "{half}");
    let reason = half["reason"].as_str().expect("a text");
    assert!(reason.starts_with("interrupted"), "{reason}");
    // What is half is gone; what the store never heard of may be all that is left of something.
    let left = files(&folder.path().join("data"));
    let main = folder.path().join("data/snapshots/dev/main");
    assert_eq!(left, [main.join("stray.kws"), main.join("whole.kws")]);
    again
        .cli(&[
            "snapshot",
            "restore",
            "main/whole",
            "--existing",
            "flush",
            "--yes",
            "--wait",
        ])
        .success();
    assert_filled(&mut client_of(&again, "main"));
}

/// The embedded engine keeps nothing across a restart; a snapshot does.
#[test]
fn an_embedded_database_comes_back_from_a_snapshot() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    {
        let keyward = Keyward::dev(&["--data-dir", &data]);
        fill(&mut client_of(&keyward, "main"));
        keyward
            .cli(&["snapshot", "create", "main", "nightly", "--wait"])
            .success();
    }
    let keyward = Keyward::dev(&["--data-dir", &data]);
    let restore = ["snapshot", "restore", "main/nightly", "--wait"];
    keyward.cli(&restore).success();
    assert_filled(&mut client_of(&keyward, "main"));
}

/// From one kind to another, and back.
#[test]
fn kinds_of_databases_understand_each_other() {
    let keyward = Backend::Valkey.start();
    fill(&mut client_of(&keyward, "main"));
    keyward.cli(&["db", "create", "inside"]).success();
    let _server = second_database(&keyward, Backend::Valkey, "outside");
    for (from, to) in [("main", "inside"), ("inside", "outside")] {
        keyward
            .cli(&["snapshot", "create", from, "moved", "--wait"])
            .success();
        let of = format!("{from}/moved");
        keyward
            .cli(&["snapshot", "restore", &of, "--to", to, "--wait"])
            .success();
        assert_filled(&mut client_of(&keyward, to));
    }
}
