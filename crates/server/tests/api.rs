//! The API over HTTP: a server in this process, callers with access keys.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keyward_auth::AccessKeySecret;
use serde_json::{Value, json};
use support::{EVERYTHING, World, basic};

#[test]
fn who_gets_in() {
    let world = World::start();
    let id = world.admin.key_id().to_string();
    let secret = world.admin.expose();
    let other = AccessKeySecret::generate(world.admin.key_id());
    let cases = [
        (basic(&id, secret), 200),
        (basic("", secret), 200),
        (basic(&id, other.expose()), 401),
        (basic(&format!("{id}.main"), secret), 401),
        (basic("admin", secret), 401),
        ("Bearer x".to_owned(), 401),
        ("Basic ???".to_owned(), 401),
    ];
    for (header, expected) in cases {
        let answer = world.send(&[("authorization", &header)], "GET", "/v1/whoami", "");
        assert_eq!(answer.status, expected, "{}", answer.body);
        assert!(!answer.body.to_string().contains("kws_"));
    }
    assert_eq!(world.send(&[], "GET", "/v1/whoami", "").status, 401);
    let login = basic(&id, secret);
    let from_a_page = [("authorization", &*login), ("sec-fetch-site", "cross-site")];
    assert_eq!(
        world.send(&from_a_page, "GET", "/v1/whoami", "").status,
        403
    );
    let form = [
        ("authorization", &*login),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let from_a_form = [form[0], form[1], ("origin", "http://elsewhere.example")];
    let body = r#"{"id":"x"}"#;
    let post = |headers| world.send(headers, "POST", "/v1/org/dev/kvdb", body).status;
    assert!([403, 415].contains(&post(&from_a_form)));
    // Programs need not say what they send.
    assert_eq!(post(&form), 201);
}

/// Every call of the table, by somebody without permissions: nothing happens, and only what needs
/// nothing but a credential is answered.
#[test]
fn without_permissions_nothing_is_seen_or_done() {
    let world = World::start();
    let revision = world.control.directory().revision();
    let open = [
        "/v1/whoami",
        "/v1/sts/caller_identity",
        "/v1/status",
        "/v1/tail",
        "/v1/org",
        "/v1/policy/system",
        "/v1/policy/system/kvdb-read-only",
    ];
    // Reads the document that it is given, and nothing else; opens a session of the caller itself.
    let asks = ["/v1/policy/check", "/v1/sts/session_token"];
    for endpoint in keyward_server::routes::endpoints() {
        // Their credential is in the body, or a person's: tests/people.rs and the matrix have them.
        let in_body = [
            "/v1/sts/assume_role_with_web_identity",
            "/v1/login",
            "/v1/logout",
            "/v1/invitation",
            "/v1/operator",
            "/v1/user",
            "/ui",
        ];
        if in_body.iter().any(|known| endpoint.path.starts_with(known)) {
            continue;
        }
        let path = endpoint
            .path
            .replace("{organisation}", "dev")
            .replace("{key_id}", world.admin.key_id().as_str())
            .replace("{session}", "KWTKAAAAAAAAAAAAAAAA");
        let id = if path.contains("/kvdb/") {
            "main"
        } else if path.contains("/policy/system/") {
            "kvdb-read-only"
        } else {
            "admin"
        };
        let path = path.replace("{id}", id).replace("{version}", "1");
        let query = match path.rsplit('/').next() {
            Some("access" | "acl_rules") => "?identity=programmatic_identity/admin",
            Some("who_can") => "?command=GET&resource=kvdb/main&key=k",
            _ => "",
        };
        let path = format!("{path}{query}");
        let method = endpoint.method.as_str();
        let body = match endpoint.body {
            [] => String::new(),
            [("", ..)] => "[]".to_owned(),
            fields => {
                let value = |kind: &str| match kind.trim_end_matches('?') {
                    "array" => json!([]),
                    "boolean" => json!(true),
                    "integer" => json!(1),
                    "object" => json!({"command": ["PING"], "database": "kvdb/main"}),
                    "any" => json!([]),
                    _ => json!("fresh"),
                };
                let needed = fields.iter().filter(|(_, kind, _)| !kind.ends_with('?'));
                let mut object: serde_json::Map<String, Value> = needed
                    .map(|(name, kind, _)| ((*name).to_owned(), value(kind)))
                    .collect();
                if object.contains_key("tags") {
                    object.insert("tags".to_owned(), json!({ "team": "x" }));
                }
                for (field, value) in [
                    ("status", "disabled"),
                    ("type", "embedded"),
                    ("principal", "programmatic_identity/admin"),
                ] {
                    if object.contains_key(field) {
                        object.insert(field.to_owned(), value.into());
                    }
                }
                if path.ends_with("/identity_provider") {
                    let authority =
                        json!({ "type": "certificate_authority", "pem": "", "mappings": [] });
                    object.extend(authority.as_object().cloned().unwrap_or_default());
                }
                for (name, ..) in fields
                    .iter()
                    .filter(|(name, ..)| matches!(*name, "name" | "database"))
                {
                    object.insert((*name).to_owned(), Value::Null);
                }
                Value::Object(object).to_string()
            }
        };
        let answer = world.call(&world.worker, method, &path, &body);
        let is_open = open.contains(&&*path) && method == "GET" || asks.contains(&&*path);
        if !path.starts_with("/v1/") || is_open {
            assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
            continue;
        }
        let refused = matches!(answer.status, 403 | 404);
        assert!(
            refused,
            "{method} {path}: {} {}",
            answer.status, answer.body
        );
        assert_eq!(answer.kind, "application/problem+json", "{method} {path}");
        let anonymous = world.send(&[], method, &path, "");
        assert_eq!(anonymous.status, 401, "{method} {path}");
    }
    assert_eq!(world.control.directory().revision(), revision);
    let seen = world.call(&world.worker, "GET", "/v1/org", "");
    assert_eq!(seen.body, json!({ "items": [] }));
}

#[test]
fn another_organisation_does_not_exist() {
    let world = World::start();
    world.admin("POST", "/v1/org", &json!({ "id": "partner" }));
    let made = world.admin(
        "POST",
        "/v1/org/partner/programmatic_identity",
        &json!({ "id": "reader" }),
    );
    assert_eq!(made["path"], "org/partner/programmatic_identity/reader");
    for (method, path) in [
        ("GET", "/v1/org/partner"),
        ("GET", "/v1/org/nothing"),
        ("DELETE", "/v1/org/partner"),
        ("DELETE", "/v1/org/nothing"),
        ("GET", "/v1/org/partner/programmatic_identity"),
        ("GET", "/v1/org/partner/programmatic_identity/reader"),
        ("DELETE", "/v1/org/partner/programmatic_identity/reader"),
        ("DELETE", "/v1/org/partner/programmatic_identity/nobody"),
    ] {
        let answer = world.call(&world.worker, method, path, "");
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.body);
    }
}

#[test]
fn tags_are_set_shown_and_removed() {
    let world = World::start();
    for path in [
        "/v1/org/dev",
        "/v1/org/dev/kvdb/main",
        "/v1/org/dev/programmatic_identity/worker",
    ] {
        let url = format!("{path}/tags");
        let made = world.admin(
            "PATCH",
            &url,
            &json!({ "tags": { "team": "payments", "stage": "" } }),
        );
        assert_eq!(made["tags"], json!({ "team": "payments", "stage": "" }));
        world.admin(
            "PATCH",
            &url,
            &json!({ "tags": { "stage": null, "Team": "x" } }),
        );
        let shown = world.admin("GET", &url, &Value::Null);
        assert_eq!(shown["tags"], json!({ "Team": "x" }));
        let shown = world.admin("GET", path, &Value::Null);
        assert_eq!(shown["tags"], json!({ "Team": "x" }));
    }
    let url = "/v1/org/dev/kvdb/main/tags";
    for body in [
        r#"{"tags":{"aws:x":"y"}}"#,
        r#"{"tags":{"":"y"}}"#,
        r#"{"tags":{"a":"1","A":"2"}}"#,
        r#"{"tags":{"a":7}}"#,
        r#"{"set":{}}"#,
    ] {
        let refused = world.call(&world.admin, "PATCH", url, body);
        assert_eq!(refused.status, 422, "{body}: {}", refused.body);
    }
}

#[test]
fn a_key_lives_and_ends() {
    let world = World::start();
    let keys = "/v1/org/dev/programmatic_identity/worker/access_key";
    let made = world.admin("POST", keys, &json!({ "description": "night jobs" }));
    let secret = made["secret_access_key"].as_str().unwrap();
    let secret = AccessKeySecret::parse(secret).unwrap();
    let id = made["access_key_id"].as_str().unwrap().to_owned();
    assert_eq!(world.call(&secret, "GET", "/v1/whoami", "").status, 200);
    let listed = world.admin("GET", keys, &Value::Null).to_string();
    assert!(listed.contains(&id) && !listed.contains("kws_") && !listed.contains("hash"));
    let third = world.call(&world.admin, "POST", keys, "{}");
    assert_eq!((third.status, &third.body["code"]), (409, &json!("limit")));
    let dry = world.call(
        &world.admin,
        "PATCH",
        &format!("{keys}/{id}?dry_run=true"),
        r#"{"status":"disabled"}"#,
    );
    assert_eq!((dry.status, &dry.body["dry_run"]), (200, &json!(true)));
    assert_eq!(world.call(&secret, "GET", "/v1/whoami", "").status, 200);
    world.admin(
        "PATCH",
        &format!("{keys}/{id}"),
        &json!({ "status": "disabled" }),
    );
    assert_eq!(world.call(&secret, "GET", "/v1/whoami", "").status, 401);
    world.admin(
        "PATCH",
        &format!("{keys}/{id}"),
        &json!({ "status": "active" }),
    );
    assert_eq!(world.call(&secret, "GET", "/v1/whoami", "").status, 200);
    let found = world.admin("GET", &format!("/v1/access_key/{id}"), &Value::Null);
    assert_eq!(found["id"], json!(id));
    world.admin("DELETE", &format!("{keys}/{id}"), &Value::Null);
    assert_eq!(world.call(&secret, "GET", "/v1/whoami", "").status, 401);
    let gone = world.call(&world.admin, "GET", &format!("/v1/access_key/{id}"), "");
    assert_eq!(gone.status, 404);
}

#[test]
fn policies_keep_their_text() {
    let world = World::start();
    let trust = |policies: &str| {
        format!(
            r#"{{"id":"worker","trustee":"programmatic_identity/worker","policies":{policies}}}"#
        )
    };
    let read = r#"{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/main"]}"#;
    // What JSON parsers forgive must not be forgiven: the second Effect would win.
    let refused = [
        (
            r#"[[{"Effect":"Deny","Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/main"]}]]"#,
            1,
            19,
        ),
        (
            "[[\n{\"Effect\":\"Allow\",\"Actions\":[\"kvdb:@reed\"],\"Resources\":[\"kvdb/x\"]}]]",
            2,
            30,
        ),
        (
            r#"[{"dialect":"native","document":"[\n{\"Effect\":\"Alow\",\"Actions\":[\"*\"],\"Resources\":[\"**\"]}]"}]"#,
            2,
            11,
        ),
    ];
    for (policies, line, column) in refused {
        let answer = world.call(&world.admin, "POST", "/v1/org/dev/trust", &trust(policies));
        assert_eq!(answer.status, 422, "{policies}: {}", answer.body);
        let finding = &answer.body["findings"][0];
        assert_eq!(
            (&finding["line"], &finding["column"]),
            (&json!(line), &json!(column)),
            "{finding}"
        );
        assert_eq!(finding["policy"], json!(0));
    }
    let broken = world.call(&world.admin, "POST", "/v1/org/dev/trust", "{");
    assert_eq!(broken.status, 400);
    let unknown = world.call(
        &world.admin,
        "POST",
        "/v1/org/dev/trust",
        r#"{"trustee":"x","polices":[]}"#,
    );
    assert_eq!(unknown.status, 422);
    let made = world.call(
        &world.admin,
        "POST",
        "/v1/org/dev/trust",
        &trust(&format!("[[{read}]]")),
    );
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(
        made.body["policies"][0]["document"][0]["Actions"][0],
        "kvdb:@read"
    );
    let again = world.call(&world.admin, "POST", "/v1/org/dev/trust", &trust("[]"));
    assert_eq!(again.status, 409);

    // Named policies: what carries one follows its default version, and keeps it from deletion.
    let document = format!("[{read}]");
    world.admin(
        "POST",
        "/v1/org/dev/policy",
        &json!({ "id": "reads", "document": document }),
    );
    world.admin(
        "PUT",
        "/v1/org/dev/trust/worker",
        &json!({ "policies": ["policy/reads"] }),
    );
    let kept = world.call(&world.admin, "DELETE", "/v1/org/dev/policy/reads", "");
    assert_eq!(
        (kept.status, &kept.body["code"]),
        (409, &json!("delete_conflict"))
    );
    assert_eq!(kept.body["dependents"], json!(["org/dev/trust/worker"]));
    let can = |command: &str| {
        let body = format!(
            r#"{{"principal":"programmatic_identity/worker","request":{{"command":["{command}","k"],"database":"kvdb/main"}}}}"#
        );
        world.call(&world.admin, "POST", "/v1/decide", &body).body["decision"].clone()
    };
    assert_eq!(
        (can("GET"), can("INCR")),
        (json!("allow"), json!("implicit_deny"))
    );
    world.admin(
        "PUT",
        "/v1/org/dev/policy/reads",
        &json!({ "document": [] }),
    );
    assert_eq!(can("GET"), "implicit_deny");
    world.admin(
        "POST",
        "/v1/org/dev/policy/reads/default_version",
        &json!({ "version": 1 }),
    );
    assert_eq!(can("GET"), "allow");
}

#[test]
fn what_is_probably_wrong_is_told() {
    let world = World::start();
    let document = r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/main"]},
{"Effect":"Deny","Actions":["kvdb:@read"],"Resources":["kvdb/*"]}]"#;
    // Whoever has a credential may ask.
    let asked = format!(r#"{{"document":{document}}}"#);
    let answer = world.call(&world.worker, "POST", "/v1/policy/check", &asked);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["valid"], true);
    assert_eq!(answer.body["counts"]["warning"], 1);
    let found = &answer.body["findings"][0];
    assert_eq!(found["code"], "W001");
    assert_eq!(found["path"], "[0]");
    assert_eq!(found["related"]["line"], 2);
    let refused = r#"{"document":"[{]","kind":"resource"}"#;
    let answer = world.call(&world.worker, "POST", "/v1/policy/check", refused);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["valid"], false);
    assert_eq!(answer.body["findings"][0]["code"], "E001");
    let wrong = r#"{"document":[],"kind":"other"}"#;
    let answer = world.call(&world.worker, "POST", "/v1/policy/check", wrong);
    assert_eq!(answer.status, 422, "{}", answer.body);
    let answer = world.send(&[], "POST", "/v1/policy/check", &asked);
    assert_eq!(answer.status, 401);

    // What stores a policy says it, too.
    let body = format!(r#"{{"id":"shadowed","document":{document}}}"#);
    let answer = world.call(&world.admin, "POST", "/v1/org/dev/policy", &body);
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.body["warnings"][0]["code"], "W001");
    assert_eq!(answer.body["warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn versions_of_a_policy() {
    let world = World::start();
    let url = "/v1/org/dev/policy/reads";
    let body = json!({ "id": "reads", "document": [] });
    world.admin("POST", "/v1/org/dev/policy", &body);
    let everything: Value = serde_json::from_str(EVERYTHING).unwrap();
    world.admin("PUT", url, &json!({ "document": EVERYTHING }));
    let body = json!({ "document": [], "default": false });
    let shown = world.admin("PUT", url, &body);
    assert_eq!(shown["default_version"], 2);
    let listed = world.admin("GET", &format!("{url}/versions"), &Value::Null);
    let listed = listed["items"].as_array().unwrap();
    let brief: Vec<_> = listed
        .iter()
        .map(|v| (v["version"].clone(), v["default"].clone()))
        .collect();
    let expected = [(1, false), (2, true), (3, false)].map(|(v, d)| (json!(v), json!(d)));
    assert_eq!(brief, expected);
    let by = "org/dev/programmatic_identity/admin";
    assert_eq!(listed[1]["created"]["by"], by);
    assert!(listed[1]["created"]["at"].as_str().unwrap().ends_with('Z'));
    let second = world.admin("GET", &format!("{url}/versions/2"), &Value::Null);
    assert_eq!(second["document"], everything);
    world.admin("DELETE", &format!("{url}/versions/3"), &Value::Null);
    for (method, version, status) in [
        ("GET", "3", 404),
        ("GET", "x", 404),
        ("GET", "-1", 404),
        ("DELETE", "3", 422),
        ("DELETE", "2", 422),
    ] {
        let answer = world.call(
            &world.admin,
            method,
            &format!("{url}/versions/{version}"),
            "",
        );
        assert_eq!(answer.status, status, "{method} {version}: {}", answer.body);
    }
    let shown = world.admin("PUT", url, &json!({ "document": [] }));
    assert_eq!(shown["default_version"], 4);
}

#[test]
fn policies_of_the_system() {
    let world = World::start();
    let listed = world.call(&world.worker, "GET", "/v1/policy/system", "");
    assert_eq!(listed.status, 200);
    let names: Vec<_> = listed.body["items"].as_array().unwrap().iter().collect();
    assert!(names.iter().any(|one| one["name"] == "KvdbFullAccess"));
    let url = "/v1/policy/system/kvdb-read-only";
    let shown = world.call(&world.worker, "GET", url, "");
    assert_eq!(shown.body["name"], "KvdbReadOnly");
    for method in ["PUT", "PATCH", "DELETE", "POST"] {
        assert_eq!(world.call(&world.admin, method, url, "{}").status, 405);
    }
    let none = world.call(&world.admin, "GET", "/v1/policy/system/none", "");
    assert_eq!(none.status, 404);

    world.admin(
        "POST",
        "/v1/org/dev/trust",
        &json!({ "id": "worker", "trustee": "programmatic_identity/worker" }),
    );
    let can = |command: &str| {
        let body = format!(
            r#"{{"principal":"programmatic_identity/worker","request":{{"command":["{command}","k"],"database":"kvdb/main"}}}}"#
        );
        world.call(&world.admin, "POST", "/v1/decide", &body).body["decision"].clone()
    };
    assert_eq!(can("GET"), "implicit_deny");
    let attach = "/v1/org/dev/trust/worker/attach";
    let made = world.admin(
        "POST",
        attach,
        &json!({ "policy": "policy/system/kvdb-read-only" }),
    );
    let reference = json!([{ "policy": "policy/system/kvdb-read-only" }]);
    assert_eq!(made["policies"], reference);
    // Once is enough, also by another name.
    let made = world.admin("POST", attach, &json!({ "policy": "KvdbReadOnly" }));
    assert_eq!(made["policies"], reference);
    assert_eq!(
        (can("GET"), can("INCR")),
        (json!("allow"), json!("implicit_deny"))
    );
    let carriers = world.admin("GET", &format!("{url}/entities"), &Value::Null);
    assert_eq!(carriers["items"][0]["path"], "org/dev/trust/worker");
    let carriers = world.call(&world.worker, "GET", &format!("{url}/entities"), "");
    assert_eq!(carriers.status, 403);
    let detach = "/v1/org/dev/trust/worker/detach";
    world.admin("POST", detach, &json!({ "policy": "KvdbReadOnly" }));
    assert_eq!(can("GET"), "implicit_deny");
    let again = world.call(&world.admin, "POST", detach, r#"{"policy":"KvdbReadOnly"}"#);
    assert_eq!(again.status, 404);
    // Limits only.
    let refused = world.call(
        &world.admin,
        "POST",
        attach,
        r#"{"policy":"OwnOrganisationOnly"}"#,
    );
    assert_eq!(refused.status, 422, "{}", refused.body);
    let body = json!({ "policies": [{ "policy": "OwnOrganisationOnly" }] });
    world.admin("PUT", "/v1/org/dev/guardrails", &body);
}

#[test]
fn what_vendors_call_an_organisation() {
    let world = World::start();
    let url = "/v1/org/dev/aliases";
    let shown = world.admin("GET", url, &Value::Null);
    let aws =
        json!({ "account": "123456789012", "region": "us-east-1", "kind": "replicationgroup" });
    assert_eq!(shown["aws"], aws);
    let tencent = json!({ "uin": "123456789012", "region": "ap-guangzhou" });
    assert_eq!(shown["tencent"], tencent);
    assert_eq!(shown["set"], json!({}));
    let names = json!({ "aws": { "account": "000011112222", "kind": "serverlesscache" },
                        "alibaba": { "region": "cn-beijing" } });
    let shown = world.admin("PUT", url, &names);
    let aws =
        json!({ "account": "000011112222", "region": "us-east-1", "kind": "serverlesscache" });
    assert_eq!(shown["aws"], aws);
    assert_eq!(shown["set"], names);
    for body in [
        r#"{"aws":{"account":"1"}}"#,
        r#"{"aws":{"kind":"x"}}"#,
        r#"{"azure":{}}"#,
        r#"{"tencent":{"uin":"12345x"}}"#,
        r#"{"tencent":{"region":"*"}}"#,
    ] {
        let refused = world.call(&world.admin, "PUT", url, body);
        assert_eq!(refused.status, 422, "{body}: {}", refused.body);
    }
    assert_eq!(world.admin("PUT", url, &json!({}))["set"], json!({}));
}

#[test]
fn resource_policies_boundaries_and_guardrails() {
    let world = World::start();
    let policy = json!([{ "Effect": "Allow", "Identities": ["programmatic_identity/worker"], "Actions": ["kvdb:@read"] }]);
    let url = "/v1/org/dev/kvdb/main/resource_policy";
    assert_eq!(world.call(&world.admin, "GET", url, "").status, 404);
    world.admin("PUT", url, &policy);
    assert_eq!(world.admin("GET", url, &Value::Null), policy);
    let locks_out = r#"[{"Effect":"Deny","Identities":["org/dev"],"Actions":["kvdb:*"]}]"#;
    assert_eq!(world.call(&world.admin, "PUT", url, locks_out).status, 422);
    world.admin("DELETE", url, &Value::Null);
    assert_eq!(world.call(&world.admin, "GET", url, "").status, 404);

    let policies =
        json!({ "policies": [[{ "Effect": "Allow", "Actions": ["*"], "Resources": ["**"] }]] });
    let boundary = "/v1/org/dev/programmatic_identity/worker/boundary";
    world.admin("PUT", boundary, &policies);
    let shown = world.admin("GET", boundary, &Value::Null);
    assert_eq!(shown["policies"][0]["document"], policies["policies"][0]);
    let own = "/v1/org/dev/programmatic_identity/admin/boundary";
    let refused = world.call(&world.admin, "PUT", own, &policies.to_string());
    assert_eq!(refused.status, 403, "{}", refused.body);

    let guardrails = "/v1/org/dev/guardrails";
    world.admin("PUT", guardrails, &policies);
    assert_eq!(
        world.admin("GET", guardrails, &Value::Null)["policies"][0]["document"],
        policies["policies"][0]
    );
    world.admin("DELETE", guardrails, &Value::Null);
    assert_eq!(
        world.admin("GET", guardrails, &Value::Null)["policies"],
        json!([])
    );
}

#[test]
fn denials_are_explained_to_whom_they_concern() {
    let world = World::start();
    let denied = world.call(&world.worker, "POST", "/v1/org/dev/kvdb", r#"{"id":"own"}"#);
    assert_eq!(
        (denied.status, &denied.body["code"]),
        (403, &json!("denied"))
    );
    let id = denied.body["decision_id"].as_str().unwrap();
    let url = format!("/v1/decision/{id}");
    let whole = world.admin("GET", &url, &Value::Null);
    assert_eq!(whole["action"], "kvdb:Create");
    assert!(whole["smallest_change"]["statement"].is_object(), "{whole}");
    let own = world.call(&world.worker, "GET", &url, "");
    assert_eq!(own.status, 200);
    assert!(own.body.get("smallest_change").is_none());
    world.admin(
        "POST",
        "/v1/org/dev/programmatic_identity",
        &json!({ "id": "other" }),
    );
    let key = world.admin(
        "POST",
        "/v1/org/dev/programmatic_identity/other/access_key",
        &json!({}),
    );
    let other = AccessKeySecret::parse(key["secret_access_key"].as_str().unwrap()).unwrap();
    assert_eq!(world.call(&other, "GET", &url, "").status, 404);
    let tail = world.admin("GET", "/v1/tail?after=0&denied=true", &Value::Null);
    assert_eq!(tail["items"][0]["id"], json!(id));
    assert_eq!(tail["next"], json!(1));
    let blind = world.call(&world.worker, "GET", "/v1/tail?after=0", "");
    assert_eq!(blind.body["items"], json!([]));
}

#[test]
fn a_server_as_backend_is_where_the_operator_permits() {
    let world = World::start();
    let url = "/v1/org/dev/kvdb";
    let server = |address: &str| {
        json!({ "id": "own", "backend": { "type": "server", "address": address,
                "user": "keyward", "password": "correct horse" } })
        .to_string()
    };
    for address in [
        "10.0.0.5:6379",
        "169.254.169.254:80",
        "[::1]:6379",
        "[::ffff:10.0.0.5]:6379",
        "0.0.0.0:6379",
        "no-such-host.invalid:6379",
        "127.0.0.1",
        "redis://127.0.0.1:1",
    ] {
        let refused = world.call(&world.admin, "POST", url, &server(address));
        assert_eq!(refused.status, 422, "{address}: {}", refused.body);
    }
    // Who may not set backends learns nothing of addresses.
    let denied = world.call(&world.worker, "POST", url, &server("10.0.0.5:6379"));
    assert_eq!(denied.status, 403, "{}", denied.body);
    let made = world.call(&world.admin, "POST", url, &server("127.0.0.1:1"));
    assert_eq!(made.status, 201, "{}", made.body);
    let backend = json!({ "type": "server", "address": "127.0.0.1:1", "user": "keyward",
                          "has_password": true, "operator": false });
    assert_eq!(made.body["backend"], backend);
    let taken = server("127.0.0.1:1").replace("own", "second");
    let taken = world.call(&world.admin, "POST", url, &taken);
    assert_eq!((taken.status, &taken.body["code"]), (409, &json!("in_use")));
    let health = world.admin("GET", &format!("{url}/own/health"), &Value::Null);
    assert_eq!(health["state"], "unknown");
    // The password is nowhere but sealed.
    let audit = serde_json::to_string(&world.control.audit_since(0, 1_000).unwrap()).unwrap();
    let row = world
        .control
        .directory()
        .rows()
        .find(|row| row.path.ends_with("/own"));
    let row = row.unwrap().body.unwrap().to_string();
    for text in [&audit, &row, &made.body.to_string()] {
        assert!(!text.contains("correct horse"));
    }
    assert!(
        !audit.contains("4b5753") && row.contains("4b5753"),
        "sealed in its row only"
    );
    world.admin(
        "PUT",
        &format!("{url}/own/backend"),
        &json!({ "type": "embedded" }),
    );
    let up = world.admin("GET", &format!("{url}/own/health"), &Value::Null);
    assert_eq!(up["state"], "up");
}

#[test]
fn a_database_is_changed_and_deleted_when_it_is_meant() {
    let world = World::start();
    let url = "/v1/org/dev/kvdb/main";
    let body = json!({ "name": "Main", "description": "sessions of the shop" });
    let changed = world.admin("PATCH", url, &body);
    assert_eq!(
        (&changed["name"], &changed["description"]),
        (&body["name"], &body["description"])
    );
    let changed = world.admin("PATCH", url, &json!({ "description": null }));
    assert_eq!(
        (&changed["name"], changed["description"].is_null()),
        (&body["name"], true)
    );
    for wrong in ["", "?confirm=", "?confirm=other", "?dry_run=true"] {
        let refused = world.call(&world.admin, "DELETE", &format!("{url}{wrong}"), "");
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (422, &json!("confirmation_needed")),
            "{wrong}"
        );
    }
    assert_eq!(world.call(&world.worker, "DELETE", url, "").status, 403);
    let user = "/v1/org/dev/programmatic_identity/worker/default_database";
    world.admin("PUT", user, &json!({ "database": "kvdb/main" }));
    let kept = world.call(&world.admin, "DELETE", &format!("{url}?confirm=main"), "");
    assert_eq!(
        kept.body["dependents"],
        json!(["org/dev/programmatic_identity/worker"])
    );
    world.admin("DELETE", user, &Value::Null);
    world.admin("DELETE", &format!("{url}?confirm=main"), &Value::Null);
    assert_eq!(
        world
            .call(&world.admin, "DELETE", &format!("{url}?confirm=main"), "")
            .status,
        404
    );
}

#[test]
fn what_is_too_long_or_no_path() {
    let world = World::start();
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(3 * 1024 * 1024));
    let answer = world.call(&world.admin, "POST", "/v1/org/dev/kvdb", &long);
    assert_eq!(answer.status, 413);
    for path in [
        "/v1/org/dev/kvdb/a%2Fb",
        "/v1/org/dev/kvdb/%00",
        "/v1/org/../kvdb",
    ] {
        assert_eq!(
            world.call(&world.admin, "GET", path, "").status,
            404,
            "{path}"
        );
    }
}

#[test]
fn a_trust_of_another_organisation_waits_for_its_trustee() {
    let world = World::start();
    world.admin("POST", "/v1/org", &json!({ "id": "partner" }));
    world.admin(
        "POST",
        "/v1/org/partner/programmatic_identity",
        &json!({ "id": "reader" }),
    );
    let reader = "/v1/org/partner/programmatic_identity/reader/access_key";
    let key = world.admin("POST", reader, &json!({}));
    let reader = AccessKeySecret::parse(key["secret_access_key"].as_str().unwrap()).unwrap();
    // The administrator gives up its rights over the partner, and so cannot accept for it.
    world.admin("DELETE", "/v1/org/partner/trust/creator", &Value::Null);
    let trust = json!({ "id": "partner", "trustee": "org/partner/programmatic_identity/reader",
        "policies": [[{ "Effect": "Allow", "Actions": ["kvdb:@read"], "Resources": ["kvdb/main"] }]] });
    let made = world.admin("POST", "/v1/org/dev/trust", &trust);
    assert_eq!(made["accepted"], json!(false));
    let refused = world.call(&reader, "POST", "/v1/org/dev/trust/partner/accept", "{}");
    assert!(matches!(refused.status, 403 | 404), "{}", refused.body);
    let not_there = json!({ "id": "x", "trustor": "org/partner", "trustee": "org/dev" });
    let refused = world.call(
        &world.admin,
        "POST",
        "/v1/org/dev/trust",
        &not_there.to_string(),
    );
    assert_eq!(refused.status, 422, "{}", refused.body);
}

#[test]
fn a_role_is_made_changed_and_deleted() {
    let world = World::start();
    let url = "/v1/org/dev/role";
    let made = world.admin(
        "POST",
        url,
        &json!({ "id": "deployer", "description": "CI" }),
    );
    assert_eq!(
        (&made["max_session_seconds"], &made["kind"]),
        (&json!(3600), &json!("role"))
    );
    assert!(made["created"]["by"].is_string() && made["created"]["at"].is_string());
    let one = "/v1/org/dev/role/deployer";
    let changed = world.admin("PATCH", one, &json!({ "max_session_seconds": 900 }));
    assert_eq!(
        (&changed["max_session_seconds"], &changed["description"]),
        (&json!(900), &json!("CI"))
    );
    let changed = world.admin("PATCH", one, &json!({ "description": null }));
    assert_eq!(
        changed.get("description").unwrap_or(&Value::Null),
        &Value::Null
    );
    let both = json!({ "name": "Deployer", "max_session_seconds": 1800 });
    let changed = world.admin("PATCH", one, &both);
    assert_eq!(
        (&changed["name"], &changed["max_session_seconds"]),
        (&both["name"], &both["max_session_seconds"])
    );
    for body in [
        r#"{}"#,
        r#"{"max_session_seconds":899}"#,
        r#"{"max_session_seconds":43201}"#,
        r#"{"name":"x","max_session_seconds":899}"#,
        r#"{"seconds":900}"#,
    ] {
        assert_eq!(
            world.call(&world.admin, "PATCH", one, body).status,
            422,
            "{body}"
        );
    }
    assert_eq!(world.admin("GET", one, &Value::Null)["name"], "Deployer");
    let trust = json!({ "id": "assume", "trustor": "role/deployer", "trustee": "programmatic_identity/worker",
        "conditions": { "StringEquals": { "keyward:ExternalId": "42" } } });
    let made = world.admin("POST", "/v1/org/dev/trust", &trust);
    assert_eq!(made["trust_kind"], "assumable", "{made}");
    assert_eq!(made["conditions"], trust["conditions"]);
    let cleared = world.admin(
        "PATCH",
        "/v1/org/dev/trust/assume",
        &json!({ "conditions": null }),
    );
    assert_eq!(
        cleared.get("conditions").unwrap_or(&Value::Null),
        &Value::Null
    );
    let kept = world.call(&world.admin, "DELETE", one, "");
    assert_eq!(
        (kept.status, &kept.body["code"]),
        (409, &json!("delete_conflict"))
    );
    assert_eq!(kept.body["dependents"], json!(["org/dev/trust/assume"]));
    world.admin("DELETE", &format!("{one}?cascade=true"), &Value::Null);
    assert_eq!(world.call(&world.admin, "GET", one, "").status, 404);
}

#[test]
fn members_come_and_go() {
    let world = World::start();
    world.admin("POST", "/v1/org/dev/group", &json!({ "id": "team" }));
    let url = "/v1/org/dev/group/team/member";
    let member = json!({ "member": "programmatic_identity/worker" });
    let made = world.admin("POST", url, &member);
    assert_eq!(
        (&made["trust_kind"], &made["accepted"]),
        (&json!("membership"), &json!(true))
    );
    let list = world.admin("GET", url, &Value::Null);
    assert_eq!(
        list["items"][0]["member"],
        "org/dev/programmatic_identity/worker"
    );
    assert_eq!(list["items"][0]["trust"], made["path"]);
    assert_eq!(world.call(&world.worker, "GET", url, "").status, 404);
    let gone = format!("{url}/programmatic_identity/worker");
    assert!([403, 404].contains(&world.call(&world.worker, "DELETE", &gone, "").status));
    world.admin("DELETE", &gone, &Value::Null);
    assert_eq!(world.call(&world.admin, "DELETE", &gone, "").status, 404);
    assert_eq!(world.admin("GET", url, &Value::Null)["items"], json!([]));
}

#[test]
fn people_are_invited_with_a_token_that_is_shown_once() {
    let world = World::start();
    let url = "/v1/org/dev/org_user";
    let made = world.admin(
        "POST",
        url,
        &json!({ "id": "bob", "email": "bob@example.com" }),
    );
    let token = made["invitation_token"].as_str().unwrap().to_owned();
    assert!(made["invitation_url"].as_str().unwrap().ends_with(&token));
    assert_eq!(made["invitation"]["email"], "bob@example.com");
    assert!(made["invitation"]["expires_at"].is_string(), "{made}");
    let shown = world
        .admin("GET", &format!("{url}/bob"), &Value::Null)
        .to_string();
    assert!(
        !shown.contains(&token) && !shown.contains("token_hash"),
        "{shown}"
    );
    let again = world.admin(
        "POST",
        &format!("{url}/bob/invite"),
        &json!({ "valid_seconds": 60 }),
    );
    assert_ne!(again["invitation_token"], json!(token));
    assert_eq!(again["invitation"]["email"], "bob@example.com");
    assert_eq!(
        (&again["state"], &again["user"]),
        (&json!("invited"), &Value::Null)
    );
    let pending = world.admin("POST", url, &json!({ "id": "eve", "user": "user/heir" }));
    assert!(pending.get("invitation_token").is_none());
    assert_eq!(
        (&pending["state"], &pending["user"]),
        (&json!("offered"), &json!("user/heir"))
    );
    let waiting = world.admin("GET", "/v1/org/dev/trust?pending=true", &Value::Null);
    assert_eq!(waiting["items"][0]["trustee"], "user/heir", "{waiting}");
    for body in [
        r#"{"id":"x","email":"nobody"}"#,
        r#"{"id":"x","valid_seconds":59}"#,
        r#"{"id":"x","valid_seconds":99999999999}"#,
        r#"{"id":"x","user":"user/heir","email":"a@b"}"#,
        r#"{"id":"A/B"}"#,
    ] {
        assert_eq!(
            world.call(&world.admin, "POST", url, body).status,
            422,
            "{body}"
        );
    }
    // What the organisation gave the member is in the way; the member's tie to its person is not.
    let trust = json!({ "id": "eve", "trustor": "org/dev", "trustee": "org_user/eve" });
    world.admin("POST", "/v1/org/dev/trust", &trust);
    let kept = world.call(&world.admin, "DELETE", &format!("{url}/eve"), "");
    assert_eq!(kept.status, 409, "{}", kept.body);
    assert_eq!(kept.body["dependents"], json!(["org/dev/trust/eve"]));
    world.admin("DELETE", &format!("{url}/eve?cascade=true"), &Value::Null);
}
