//! What every call of the API has: entity tags, conditions, keys against doing a thing twice, pages,
//! request ids, methods.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keyward_auth::AccessKeySecret;
use serde_json::{Value, json};
use support::World;

const MAIN: &str = "/v1/org/dev/kvdb/main";

#[test]
fn a_lost_update_is_refused_and_says_what_changed() {
    let world = World::start();
    let shown = world.call(&world.admin, "GET", MAIN, "");
    let tag = shown.header("etag").to_owned();
    assert!(tag.starts_with('"'), "{tag}");
    let with = |name: &str, value: &str, method: &str, path: &str, body: &str| {
        world.call_with(&world.admin, &[(name, value)], method, path, body)
    };
    // Known already.
    let known = with("if-none-match", &tag, "GET", MAIN, "");
    assert_eq!((known.status, &known.body), (304, &json!("")));
    assert_eq!(known.header("etag"), tag);
    let head = with("if-none-match", &tag, "HEAD", MAIN, "");
    assert_eq!(head.status, 304);

    let rename = |condition: &str, name: &str| {
        let body = json!({ "name": name }).to_string();
        with("if-match", condition, "PATCH", MAIN, &body)
    };
    let first = rename(&tag, "One");
    assert_eq!(first.status, 200, "{}", first.body);
    let second_tag = first.header("etag").to_owned();
    assert_ne!(second_tag, tag);
    assert_eq!(
        world.call(&world.admin, "GET", MAIN, "").header("etag"),
        second_tag
    );
    let late = rename(&tag, "Two");
    assert_eq!(late.status, 412, "{}", late.body);
    assert_eq!(late.body["code"], "precondition_failed");
    assert_eq!(late.body["changed"], json!(["name"]));
    assert_eq!(late.body["current_etag"], json!(second_tag));
    assert_eq!(late.header("etag"), second_tag);
    // A weak tag names nothing strongly; `*` is whatever is there.
    assert_eq!(rename(&format!("W/{second_tag}"), "Two").status, 412);
    assert_eq!(rename(&format!("\"x\", {second_tag}"), "Two").status, 200);
    assert_eq!(rename("*", "Three").status, 200);
    assert_eq!(rename("x", "Four").status, 400);

    // What stands at URLs of its own is part of it.
    let before = world
        .call(&world.admin, "GET", MAIN, "")
        .header("etag")
        .to_owned();
    let policy = json!([{ "Effect": "Allow", "Identities": ["programmatic_identity/worker"],
                          "Actions": ["kvdb:@read"] }]);
    let url = format!("{MAIN}/resource_policy");
    let put = with("if-match", &before, "PUT", &url, &policy.to_string());
    assert_eq!(put.status, 200, "{}", put.body);
    let late = with("if-match", &before, "DELETE", &url, "");
    assert_eq!(
        (late.status, &late.body["changed"]),
        (412, &json!(["resource_policy"]))
    );
    let shown = world.call(&world.admin, "GET", &url, "");
    assert_eq!(
        shown.header("etag"),
        world.call(&world.admin, "GET", MAIN, "").header("etag")
    );
    let only_if_none = with("if-none-match", "*", "PUT", &url, &policy.to_string());
    assert_eq!(only_if_none.status, 412);

    // A dry run is under the same condition, and so is a deletion.
    let dry = with(
        "if-match",
        &before,
        "DELETE",
        &format!("{MAIN}?confirm=main&dry_run=true"),
        "",
    );
    assert_eq!(dry.status, 412);
    // Whoever may not do it is not told what has changed.
    let blind = world.call_with(
        &world.worker,
        &[("if-match", &before)],
        "DELETE",
        &format!("{MAIN}?confirm=main"),
        "",
    );
    assert_eq!(blind.status, 403);
    assert!(blind.body.get("changed").is_none() && blind.header("etag").is_empty());
}

#[test]
fn a_slip_in_a_parameter_does_nothing() {
    let world = World::start();
    let url = "/v1/org/dev/kvdb/main?confirm=main&dryrun=true";
    let refused = world.call(&world.admin, "DELETE", url, "");
    assert_eq!(refused.status, 400, "{}", refused.body);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(
        detail.contains("`dryrun`") && detail.contains("`dry_run`"),
        "{detail}"
    );
    assert_eq!(world.call(&world.admin, "GET", MAIN, "").status, 200);
    // A stranger hears nothing of it.
    assert_eq!(world.send(&[], "DELETE", url, "").status, 401);
    let open = world.send(&[], "POST", "/v1/login?x=y", r#"{}"#);
    assert_eq!(open.status, 400, "{}", open.body);
}

#[test]
fn bodies_of_other_types_are_refused() {
    let world = World::start();
    let url = "/v1/org/dev/kvdb?dry_run=true";
    for (name, value, status) in [
        ("content-type", "application/json", 200),
        ("content-type", "text/plain", 415),
        ("content-type", "application/xml", 415),
        ("content-encoding", "gzip", 415),
    ] {
        let head = [(name, value)];
        let found = world.call_with(&world.admin, &head, "POST", url, r#"{"id":"x"}"#);
        assert_eq!(found.status, status, "{name}: {value}: {}", found.body);
    }
}

#[test]
fn tags_of_lists_are_weak_and_follow_them() {
    let world = World::start();
    let url = "/v1/org/dev/kvdb";
    let first = world.call(&world.admin, "GET", url, "");
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!(first.header("cache-control"), "private, no-cache");
    let ask = || world.call_with(&world.admin, &[("if-none-match", &tag)], "GET", url, "");
    assert_eq!(ask().status, 304);
    world.admin("POST", url, &json!({ "id": "second" }));
    assert_eq!(ask().status, 200);
    let condition = [("if-match", "*")];
    let body = r#"{"id":"third"}"#;
    let refused = world.call_with(&world.admin, &condition, "POST", url, body);
    assert_eq!(refused.status, 412, "{}", refused.body);
}

#[test]
fn a_post_that_is_sent_again_is_done_once() {
    let world = World::start();
    let keys = "/v1/org/dev/programmatic_identity/worker/access_key";
    let post = |caller: &AccessKeySecret, key: &str, path: &str, body: &str| {
        world.call_with(caller, &[("idempotency-key", key)], "POST", path, body)
    };
    let first = post(&world.admin, "k-1", keys, "{}");
    assert_eq!(first.status, 201, "{}", first.body);
    let again = post(&world.admin, "k-1", keys, "{}");
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.header("cache-control"), "no-store");
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    let list = world.admin("GET", keys, &Value::Null);
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    // Another request under the same key, and the same key of somebody else.
    let other = post(&world.admin, "k-1", keys, r#"{"description":"x"}"#);
    assert_eq!(
        (other.status, &other.body["code"]),
        (422, &json!("idempotency_key_reused"))
    );
    let elsewhere = post(&world.admin, "k-1", "/v1/org/dev/kvdb", "{}");
    assert_eq!(elsewhere.status, 422);
    assert_eq!(post(&world.worker, "k-1", keys, "{}").status, 403);
    // What had no effect may be tried again.
    let body = r#"{"id":"main"}"#;
    assert_eq!(
        post(&world.admin, "k-2", "/v1/org/dev/kvdb", body).status,
        409
    );
    let body = r#"{"id":"fresh"}"#;
    assert_eq!(
        post(&world.admin, "k-2", "/v1/org/dev/kvdb", body).status,
        201
    );
    assert_eq!(
        post(&world.admin, "k-2", "/v1/org/dev/kvdb", body).status,
        201
    );
    // A dry run keeps no key.
    let dry = post(
        &world.admin,
        "k-3",
        "/v1/org/dev/kvdb?dry_run=true",
        r#"{"id":"third"}"#,
    );
    assert_eq!((dry.status, &dry.body["dry_run"]), (200, &json!(true)));
    let real = post(&world.admin, "k-3", "/v1/org/dev/kvdb", r#"{"id":"third"}"#);
    assert_eq!(real.status, 201);
    for bad in ["a b", "", &"x".repeat(256)] {
        assert_eq!(
            post(&world.admin, bad, "/v1/org/dev/kvdb", body).status,
            400,
            "{bad}"
        );
    }
    // Nobody without a credential asks what was answered.
    let anonymous = world.send(&[("idempotency-key", "k-1")], "POST", keys, "{}");
    assert_eq!(anonymous.status, 401);
}

#[test]
fn the_same_key_at_the_same_time_is_done_once() {
    let world = World::start();
    let revision = world.control.directory().revision();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let ask = || {
            let headers = [("idempotency-key", "together")];
            let body = r#"{"id":"together"}"#;
            world
                .call_with(&world.admin, &headers, "POST", "/v1/org/dev/kvdb", body)
                .status
        };
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        asked
            .into_iter()
            .map(|asked| asked.join().unwrap())
            .collect()
    });
    assert!(
        statuses.iter().all(|status| [201, 409].contains(status)),
        "{statuses:?}"
    );
    assert!(statuses.contains(&201));
    assert_eq!(world.control.directory().revision(), revision + 1);
}

#[test]
fn lists_are_answered_a_page_at_a_time() {
    let world = World::start();
    let url = "/v1/org/dev/programmatic_identity";
    for id in ["b", "d", "f", "h"] {
        world.admin("POST", url, &json!({ "id": id }));
    }
    let page = |query: &str| world.call(&world.admin, "GET", &format!("{url}?{query}"), "");
    let ids = |answer: &Value| -> Vec<String> {
        let items = answer["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = page("limit=3").body;
    assert_eq!(ids(&first), ["admin", "b", "d"]);
    let cursor = first["next_cursor"].as_str().unwrap().to_owned();
    // What is made and deleted before the cursor moves nothing; what is behind it is seen.
    world.admin("POST", url, &json!({ "id": "a" }));
    world.admin("POST", url, &json!({ "id": "e" }));
    world.admin("DELETE", &format!("{url}/d"), &Value::Null);
    let second = page(&format!("limit=3&cursor={cursor}")).body;
    assert_eq!(ids(&second), ["e", "f", "h"]);
    let cursor = second["next_cursor"].as_str().unwrap();
    let third = page(&format!("limit=3&cursor={cursor}")).body;
    assert_eq!(ids(&third), ["worker"]);
    assert!(third.get("next_cursor").is_none());
    for bad in ["limit=0", "limit=1001", "limit=x", "cursor=x", "cursor="] {
        assert_eq!(page(bad).status, 400, "{bad}");
    }
    let elsewhere = format!("/v1/org/dev/group?cursor={cursor}");
    assert_eq!(world.call(&world.admin, "GET", &elsewhere, "").status, 400);
    // The last page says nothing of what the caller may not see.
    world.admin("POST", "/v1/org", &json!({ "id": "another" }));
    let seen = world.call(&world.admin, "GET", "/v1/org?limit=1", "").body;
    assert_eq!(ids(&seen), ["another"]);
    let blind = world.call(&world.worker, "GET", "/v1/org?limit=1", "").body;
    assert_eq!(blind, json!({ "items": [] }));
}

#[test]
fn a_request_has_one_id_everywhere() {
    let world = World::start();
    let ask = |headers: &[(&str, &str)], path: &str| {
        world.call_with(&world.admin, headers, "GET", path, "")
    };
    let own = ask(&[("x-request-id", "deploy-17.a")], "/v1/org/nothing");
    assert_eq!(own.header("x-request-id"), "deploy-17.a");
    assert_eq!(own.body["request_id"], "deploy-17.a");
    for path in ["/v1/whoami", "/nothing", "/livez", "/v1/org/nothing"] {
        let made = ask(&[("x-request-id", "not one")], path);
        assert_eq!(made.header("x-request-id").len(), 32, "{path}");
    }
    let anonymous = world.send(&[("x-request-id", "x")], "GET", "/v1/whoami", "");
    assert_eq!(
        (anonymous.status, &anonymous.body["request_id"]),
        (401, &json!("x"))
    );
    let headers = [("x-request-id", "made-by")];
    let body = r#"{"id":"traced"}"#;
    world.call_with(&world.admin, &headers, "POST", "/v1/org/dev/kvdb", body);
    let audit = world.control.audit_since(0, 1_000).unwrap();
    let last = &audit.last().unwrap().record;
    assert_eq!(last.request_id.as_deref(), Some("made-by"));
}

#[test]
fn methods() {
    let world = World::start();
    let options = world.send(&[], "OPTIONS", MAIN, "");
    assert_eq!(options.status, 204);
    let allow = "DELETE, GET, HEAD, OPTIONS, PATCH, PUT";
    assert_eq!(options.header("allow"), allow);
    assert!(options.header("access-control-allow-origin").is_empty());
    let wrong = world.call(&world.admin, "POST", MAIN, "{}");
    assert_eq!((wrong.status, wrong.header("allow")), (405, allow));
    let head = world.call(&world.admin, "HEAD", MAIN, "");
    let get = world.call(&world.admin, "GET", MAIN, "");
    assert_eq!((head.status, &head.body), (200, &json!("")));
    assert_eq!(head.header("etag"), get.header("etag"));
    let page = world.send(&[], "GET", "/ui/api", "");
    assert_eq!(
        (page.status, &*page.kind),
        (200, "text/html; charset=utf-8")
    );
    assert!(
        page.header("content-security-policy")
            .starts_with("default-src 'none'; style-src 'self'")
    );
    assert_eq!(
        world.send(&[], "GET", "/ui/api.css", "").kind,
        "text/css; charset=utf-8"
    );
}
