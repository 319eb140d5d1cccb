//! Snapshots over the API: their life, who may do what with them, and what the audit keeps. Keys are
//! moved by a worker of the tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keyward_server::SnapshotWorker as _;
use serde_json::{Value, json};
use support::{Answer, World, copied};

const ALL: &str = "/v1/org/dev/kvdb/main/snapshot";
const NIGHTLY: &str = "/v1/org/dev/kvdb/main/snapshot/nightly";
const PATH: &str = "org/dev/kvdb/main/snapshot/nightly";

fn ask(world: &World, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    world.call(&world.admin, method, path, &body)
}

fn as_worker(world: &World, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    world.call(&world.worker, method, path, &body)
}

#[test]
fn a_snapshot_is_made_restored_and_deleted() {
    let world = World::start();
    world.copier.hold();
    let made = ask(
        &world,
        "POST",
        ALL,
        &json!({ "id": "nightly", "description": "before" }),
    );
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.header("location"), format!("/v1/{PATH}"));
    assert_eq!(made.body["state"], "creating");
    assert_eq!(
        made.body["created"]["by"],
        "org/dev/programmatic_identity/admin"
    );
    // How far it is, and not kept by a tag.
    let seen = ask(&world, "GET", NIGHTLY, &Value::Null);
    assert_eq!(seen.body["progress"]["keys_done"], 1);
    assert_eq!(seen.body["progress"]["keys_total"], 2);
    let tag = seen.header("etag").to_owned();
    // One at a time.
    let busy = ask(&world, "POST", ALL, &json!({ "id": "another" }));
    assert_eq!((busy.status, &busy.body["code"]), (409, &json!("busy")));
    let early = ask(&world, "POST", &format!("{NIGHTLY}/restore"), &json!({}));
    assert_eq!(early.status, 409, "{}", early.body);
    let early = ask(
        &world,
        "POST",
        &format!("{NIGHTLY}/restore?dry_run=true"),
        &json!({}),
    );
    let detail = early.body["detail"].as_str().unwrap();
    assert!(detail.contains("not ready yet"), "{detail}");

    world.copier.let_go(PATH, Ok(copied()));
    let ready = ask(&world, "GET", NIGHTLY, &Value::Null);
    assert_eq!(ready.body["state"], "ready");
    assert_eq!(ready.body["keys"], 2);
    assert!(ready.body["finished_at"].is_string());
    assert!(ready.body["progress"].is_null());
    assert_ne!(ready.header("etag"), tag);
    let list = ask(&world, "GET", ALL, &Value::Null);
    assert_eq!(list.body["items"], json!([ready.body]));
    // The condition and the description.
    let headers = [("if-match", "\"another\"")];
    let stale = world.call_with(
        &world.admin,
        &headers,
        "PATCH",
        NIGHTLY,
        r#"{"description":"x"}"#,
    );
    assert_eq!(stale.status, 412, "{}", stale.body);
    let changed = ask(&world, "PATCH", NIGHTLY, &json!({ "description": null }));
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert!(changed.body.get("description").is_none());

    // Into another database.
    ask(&world, "POST", "/v1/org/dev/kvdb", &json!({ "id": "copy" }));
    let restore = json!({ "target": "kvdb/copy", "existing": "replace" });
    let url = format!("{NIGHTLY}/restore");
    let dry = ask(&world, "POST", &format!("{url}?dry_run=true"), &restore);
    assert_eq!((dry.status, &dry.body["dry_run"]), (200, &json!(true)));
    let begun = ask(&world, "POST", &url, &restore);
    assert_eq!(begun.status, 201, "{}", begun.body);
    assert_eq!(begun.body["state"], "running");
    assert_eq!(begun.body["target"], "org/dev/kvdb/copy");
    let job = format!("/v1/{}", begun.body["path"].as_str().unwrap());
    assert_eq!(begun.header("location"), job);
    let running = ask(&world, "GET", &job, &Value::Null);
    assert_eq!(running.body["progress"]["bytes"], 10);
    let conflict = ask(&world, "DELETE", NIGHTLY, &Value::Null);
    assert_eq!(
        conflict.body["code"], "delete_conflict",
        "{}",
        conflict.body
    );
    // Cancelled, which the worker notices when it does.
    let dry = ask(
        &world,
        "DELETE",
        &format!("{job}?dry_run=true"),
        &Value::Null,
    );
    assert_eq!(dry.status, 200, "{}", dry.body);
    assert_eq!(ask(&world, "DELETE", &job, &Value::Null).status, 200);
    world
        .copier
        .let_go(PATH, Err("it was cancelled".to_owned()));
    let ended = ask(&world, "GET", &job, &Value::Null);
    assert_eq!(ended.body["state"], "failed");
    let reason = ended.body["reason"].as_str().unwrap();
    assert!(reason.starts_with("cancelled by org/dev/programmatic_identity/admin"));
    assert_eq!(ask(&world, "DELETE", &job, &Value::Null).status, 409);
    let begun = ask(&world, "POST", &url, &restore);
    assert_eq!(begun.status, 201, "{}", begun.body);
    world.copier.let_go(PATH, Ok(copied()));
    let jobs = ask(&world, "GET", &url, &Value::Null);
    assert_eq!(jobs.body["items"].as_array().unwrap().len(), 2);
    let seen = ask(&world, "GET", NIGHTLY, &Value::Null);
    assert_eq!(seen.body["last_restore"]["state"], "done");
    assert_eq!(seen.body["last_restore"]["keys"], 2);
    assert!(seen.body["last_restore"]["started"]["at"].is_string());

    // A database with snapshots stays.
    let database = "/v1/org/dev/kvdb/main?confirm=main";
    let conflict = ask(&world, "DELETE", database, &Value::Null);
    assert_eq!(conflict.body["dependents"], json!([PATH]));
    world.copier.lose(PATH);
    let lost = ask(&world, "GET", NIGHTLY, &Value::Null);
    assert_eq!(lost.body["reason"], "its file is missing");
    assert_eq!(ask(&world, "POST", &url, &restore).status, 422);
    assert_eq!(ask(&world, "DELETE", NIGHTLY, &Value::Null).status, 200);
    assert_eq!(ask(&world, "GET", NIGHTLY, &Value::Null).status, 404);
    let again = ask(&world, "POST", ALL, &json!({ "id": "nightly" }));
    assert_eq!(again.body["code"], "not_available");
    assert_eq!(ask(&world, "DELETE", database, &Value::Null).status, 200);

    // Who and when, of each step.
    let audit = world.control.audit_since(0, 1000).unwrap();
    let of: Vec<(String, String)> = audit
        .iter()
        .filter(|entry| entry.record.resource == PATH)
        .map(|entry| {
            let change = entry.record.summary["change"].as_str().unwrap().to_owned();
            let by = entry.record.principal.rsplit('/').next().unwrap();
            (change, by.to_owned())
        })
        .collect();
    let expected = [
        ("create_snapshot", "admin"),
        ("end_snapshot", "system"),
        ("update_snapshot", "admin"),
        ("restore_snapshot", "admin"),
        ("end_restore", "system"),
        ("restore_snapshot", "admin"),
        ("end_restore", "system"),
        ("delete_snapshot", "admin"),
    ];
    let expected: Vec<(String, String)> = expected
        .iter()
        .map(|(change, by)| ((*change).to_owned(), (*by).to_owned()))
        .collect();
    assert_eq!(of, expected);
}

#[test]
fn one_that_is_made_is_given_up_when_it_is_deleted() {
    let world = World::start();
    world.copier.hold();
    ask(&world, "POST", ALL, &json!({ "id": "nightly" }));
    assert_eq!(ask(&world, "DELETE", NIGHTLY, &Value::Null).status, 200);
    // It became ready in the very moment: its file goes, too.
    world.copier.let_go(PATH, Ok(copied()));
    assert!(!world.copier.has_file(PATH));
    // And its place is free.
    let next = ask(&world, "POST", ALL, &json!({}));
    assert_eq!(next.status, 201, "{}", next.body);
    let id = next.body["id"].as_str().unwrap();
    assert_eq!(id.len(), "20260101-000000-000".len(), "{id}");
    world
        .copier
        .let_go(&format!("org/dev/kvdb/main/snapshot/{id}"), {
            Err("the server cannot be reached".to_owned())
        });
    let failed = ask(&world, "GET", &format!("{ALL}/{id}"), &Value::Null);
    assert_eq!(failed.body["state"], "failed");
    assert_eq!(failed.body["reason"], "the server cannot be reached");
    let url = format!("{ALL}/{id}/restore");
    assert_eq!(ask(&world, "POST", &url, &json!({})).status, 422);
}

#[test]
fn the_same_request_makes_one_snapshot() {
    let world = World::start();
    let headers = [("idempotency-key", "k1")];
    let ask = || world.call_with(&world.admin, &headers, "POST", ALL, "{}");
    let (first, second) = (ask(), ask());
    assert_eq!((first.status, second.status), (201, 201));
    assert_eq!(first.body["id"], second.body["id"]);
    let bad = [
        json!({ "id": "Nightly" }),
        json!({ "id": "../x" }),
        json!({ "nope": 1 }),
        json!({ "description": "a\nb" }),
    ];
    for body in bad {
        let answer = world.call(&world.admin, "POST", ALL, &body.to_string());
        assert!(
            (400..500).contains(&answer.status),
            "{body}: {}",
            answer.body
        );
    }
    let url = format!("{NIGHTLY}/restore");
    world.call(&world.admin, "POST", ALL, r#"{"id":"nightly"}"#);
    for body in [
        json!({ "existing": "drop" }),
        json!({ "target": "kvdb/none" }),
        json!({ "target": "" }),
        json!({ "target": "org/dev" }),
    ] {
        let answer = world.call(&world.admin, "POST", &url, &body.to_string());
        assert!(
            (400..500).contains(&answer.status),
            "{body}: {}",
            answer.body
        );
    }
}

/// A reader of a part of the keys neither copies them all nor puts a copy where it may read.
#[test]
fn a_reader_of_a_part_is_refused() {
    let world = World::start();
    ask(&world, "POST", ALL, &json!({ "id": "nightly" }));
    ask(&world, "POST", "/v1/org/dev/kvdb", &json!({ "id": "own" }));
    let statements = json!([
        { "Effect": "Allow", "Actions": ["kvdb:*"], "Resources": ["kvdb/own"] },
        { "Effect": "Allow", "Actions": ["kvdb:*"], "Resources": ["kvdb/main"], "Keys": ["app:*"] },
    ]);
    let trust = json!({ "id": "worker", "trustee": "programmatic_identity/worker",
                        "policies": [statements] });
    assert_eq!(ask(&world, "POST", "/v1/org/dev/trust", &trust).status, 201);
    let restore = format!("{NIGHTLY}/restore");
    for (url, body) in [
        (ALL, json!({ "id": "mine" })),
        (&restore, json!({ "target": "kvdb/own" })),
        (&restore, json!({})),
        (
            &restore,
            json!({ "target": "kvdb/own", "existing": "flush" }),
        ),
    ] {
        let refused = as_worker(&world, "POST", url, &body);
        assert_eq!(refused.status, 403, "{body}: {}", refused.body);
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(detail.contains("every key"), "{detail}");
        let dry = as_worker(&world, "POST", &format!("{url}?dry_run=true"), &body);
        assert_eq!(dry.status, 403, "{}", dry.body);
    }
    // It knows of it, and makes snapshots of what is its own.
    assert_eq!(as_worker(&world, "GET", NIGHTLY, &Value::Null).status, 200);
    let own = "/v1/org/dev/kvdb/own/snapshot";
    assert_eq!(as_worker(&world, "POST", own, &json!({})).status, 201);
}
