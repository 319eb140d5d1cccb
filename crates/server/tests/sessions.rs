//! Sessions that are opened: written down with who, when, from where and which, or not opened; and
//! attempts to open some, which are slowed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::World;

const ROLE: &str = "org/dev/role/deployer";

fn world() -> World {
    let world = World::start();
    let admin = |method: &str, path: &str, body: Value| {
        let answer = world.call(&world.admin, method, path, &body.to_string());
        assert!(answer.status < 300, "{path}: {}", answer.body);
        answer.body
    };
    admin("POST", "/v1/org/dev/role", json!({ "id": "deployer" }));
    let trust = json!({ "id": "admin-deploys", "kind": "assumable", "trustor": "role/deployer",
                        "trustee": "programmatic_identity/admin" });
    admin("POST", "/v1/org/dev/trust", trust);
    world
}

fn assume(world: &World, query: &str) -> Value {
    let body = json!({ "role": "role/deployer", "session_name": "build-7",
                       "tags": { "team": "core" }, "source_identity": "alice" });
    let path = format!("/v1/sts/assume_role{query}");
    let answer = world.call(&world.admin, "POST", &path, &body.to_string());
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

#[test]
fn every_session_is_in_the_audit() {
    let world = world();
    let revision = world.control.directory().revision();
    let role = assume(&world, "");
    let own = world.call(&world.admin, "POST", "/v1/sts/session_token", "{}");
    assert_eq!(own.status, 200, "{}", own.body);
    // What opens nothing is no session: a dry run, and a refusal.
    assume(&world, "?dry_run=true");
    let refused = json!({ "role": "role/deployer", "session_name": "x-1" }).to_string();
    let refused = world.call(&world.worker, "POST", "/v1/sts/assume_role", &refused);
    assert!([403, 404].contains(&refused.status), "{}", refused.body);

    let events = world.control.events_since(0, 10).unwrap();
    assert_eq!(events.len(), 2, "{events:?}");
    let caller = "org/dev/programmatic_identity/admin";
    for (event, answer, action, resource) in [
        (&events[0], &role, "sts:AssumeRole", ROLE),
        (&events[1], &own.body, "sts:GetSessionToken", caller),
    ] {
        let record = &event.record;
        assert_eq!(record.principal, caller);
        assert_eq!(record.resource, resource);
        assert_eq!(record.actions, [format!("{action} on {resource}")]);
        assert_eq!(record.source, "127.0.0.1".parse().ok());
        assert_eq!(record.summary["session"], answer["access_key_id"]);
        assert!(record.request_id.is_some());
        assert!(record.at.0 > 1_700_000_000_000);
        let key = world.admin.key_id().to_string();
        assert_eq!(record.summary["access_key"], json!(key));
        let text = serde_json::to_string(record).unwrap();
        for secret in ["session_key", "session_token", "secret_access_key"] {
            let secret = answer[secret].as_str().unwrap();
            assert!(!text.contains(&secret[25..60]), "{text}");
        }
    }
    assert_eq!(events[0].record.summary["source_identity"], "alice");
    assert_eq!(events[0].record.summary["name"], "build-7");
    let now = world.control.directory().revision();
    assert_eq!(now, revision, "nobody's decisions are made anew for it");

    // Lists know them, with who and from where; another process that opens the store, too.
    let path = format!("/v1/{ROLE}/session");
    let listed = world.call(&world.admin, "GET", &path, "").body;
    let one = &listed["items"][0];
    assert_eq!(one["id"], role["access_key_id"], "{listed}");
    assert_eq!(
        (&one["opened_by"], &one["opened_from"]),
        (&json!(caller), &json!("127.0.0.1"))
    );
    assert_eq!(one["created"]["by"], json!(caller));
    assert_eq!(one["created"]["at"], one["issued_at"]);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let usage = keyward_auth::Usage::new();
    let at = keyward_server::now();
    world.control.restore_sessions(&usage, at).unwrap();
    let found = usage.sessions_of(ROLE, at);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].session.id, role["access_key_id"].as_str().unwrap());
    assert_eq!(found[0].session.tags["team"], "core");
}

#[test]
fn signing_in_and_out_is_in_the_audit() {
    let world = world();
    let operator = [
        ("authorization", "Bearer kwo_test"),
        ("content-type", "application/json"),
    ];
    let password = "purple monkeys dance at dawn";
    let person = json!({ "sign_in_name": "alice", "password": password }).to_string();
    let made = world.send(&operator, "POST", "/v1/operator/user", &person);
    assert_eq!(made.status, 201, "{}", made.body);
    let user = made.body["path"].as_str().unwrap().to_owned();
    let json = [("content-type", "application/json")];
    let wrong = json!({ "sign_in_name": "alice", "password": "something else" }).to_string();
    assert_eq!(world.send(&json, "POST", "/v1/login", &wrong).status, 401);
    let before = world.control.directory().revision();
    let session = world.send(&json, "POST", "/v1/login", &person);
    assert_eq!(session.status, 200, "{}", session.body);
    let bearer = format!("Bearer {}", session.body["token"].as_str().unwrap());
    let out = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    assert_eq!(world.send(&out, "POST", "/v1/logout", "{}").status, 200);
    let entries = world.control.audit_since(before, 10).unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|entry| {
            let record = &entry.record;
            assert_eq!((&record.principal, &record.resource), (&user, &user));
            assert_eq!(record.source, "127.0.0.1".parse().ok());
            assert_eq!(record.summary["session"], session.body["session"]);
            record.summary["change"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(told, ["begin_login", "end_login"]);
    let text = serde_json::to_string(&entries).unwrap();
    assert!(!text.contains("kwl_") && !text.contains("purple"), "{text}");
}

const PASSKEY: &str = r#"{"passkey":{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AAAA","signature":"AAAA"}}}"#;
const PASSKEY_STEP: &str = r#"{"step":"guess","passkey":{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AAAA","signature":"AAAA"}}}"#;

/// After ten failures of a source the further ones wait, the longer the more there are; what is
/// right never does, and other calls go on.
#[test]
fn failures_are_slowed() {
    let json = [("content-type", "application/json")];
    let attempts: [(&str, &str, u16); 11] = [
        (
            "/v1/sts/assume_role_with_web_identity",
            r#"{"role":"org/dev/role/deployer","token":"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2kuZXhhbXBsZSJ9.AAAA"}"#,
            403,
        ),
        (
            "/v1/sts/assume_role_with_web_identity",
            r#"{"role":"org/dev/role/deployer","token":"nonsense"}"#,
            401,
        ),
        (
            "/v1/login",
            r#"{"sign_in_name":"nobody","password":"guess"}"#,
            401,
        ),
        ("/v1/login/mfa", r#"{"step":"guess","code":"123456"}"#, 401),
        ("/v1/login/mfa", PASSKEY_STEP, 401),
        ("/v1/login/passkey", PASSKEY, 401),
        (
            "/v1/login/token",
            r#"{"grant_type":"authorization_code","code":"guess","code_verifier":"guess"}"#,
            400,
        ),
        (
            "/v1/login/token",
            r#"{"grant_type":"urn:ietf:params:oauth:grant-type:device_code","device_code":"BCDF-GHJK.guess"}"#,
            400,
        ),
        ("/v1/operator/user", r#"{"sign_in_name":"x"}"#, 401),
        ("/v1/invitation", r#"{"token":"guess"}"#, 404),
        ("/v1/invitation/decline", r#"{"token":"guess"}"#, 404),
    ];
    for (path, body, status) in attempts {
        let world = world();
        let fail = || {
            let since = Instant::now();
            let answer = world.send(&json, "POST", path, body);
            assert!(
                answer.status == status || answer.status == 429,
                "{path}: {} {}",
                answer.status,
                answer.body
            );
            since.elapsed()
        };
        for _ in 0..10 {
            fail();
        }
        let later = fail();
        assert!(
            later > Duration::from_millis(400),
            "{path} {body}: {later:?}"
        );
        let metrics = world.send(&[], "GET", "/metrics", "").body;
        let counted = metrics
            .as_str()
            .unwrap()
            .lines()
            .find_map(|line| line.strip_prefix("keyward_failed_credentials_total "));
        assert_eq!(counted, Some("11"), "{path} {body}");
        // The fastest of some: the machines that run tests are busy.
        let right = (0..5).map(|_| {
            let since = Instant::now();
            let right = world.call(&world.admin, "GET", "/v1/whoami", "");
            assert_eq!(right.status, 200);
            since.elapsed()
        });
        let fastest = right.min().expect("five calls");
        assert!(fastest < Duration::from_millis(200), "{path}: {fastest:?}");
    }
}

/// Tokens that are made for another deployment are taken if a provider says so: whoever says so is
/// told.
#[test]
fn audiences_of_other_deployments_are_told() {
    let world = World::start();
    let cases = [
        ("own", "http://127.0.0.1/org/dev", 0),
        ("own-by-name", "http://localhost/org/dev", 0),
        ("client-id", "0oa1b2c3", 0),
        ("staging", "https://staging.example/org/dev", 1),
        ("begins-alike", "http://127.0.0.1.example/org/dev", 1),
    ];
    for (id, audience, told) in cases {
        let body = json!({ "id": id, "type": "oidc", "issuer": "https://id.example",
                           "audiences": [audience] });
        let path = "/v1/org/dev/identity_provider";
        let made = world.admin("POST", path, &body);
        let warnings = made["warnings"].as_array().map_or(0, Vec::len);
        assert_eq!(warnings, told, "{id}: {made}");
    }
    let none = json!({ "id": "none", "type": "oidc", "issuer": "https://id.example",
                       "audiences": [] });
    let path = "/v1/org/dev/identity_provider";
    let refused = world.call(&world.admin, "POST", path, &none.to_string());
    assert_eq!(refused.status, 422, "{}", refused.body);
}
