//! `SCAN`, `KEYS` and `RANDOMKEY` under a key restriction, by clients as people use them, on every
//! backend.

use keyward_e2e::{AccessKey, Backend, Client, Keyward, bulk, ok, python, redis_cli, simple};
use keyward_resp::Value;
use serde_json::{Value as Json, json};

/// Makes an identity whose trust carries `policy`, and returns its key.
fn identity(keyward: &Keyward, id: &str, policy: &Json) -> AccessKey {
    let admin = keyward.admin();
    let identities = "/v1/org/dev/programmatic_identity";
    admin.post(identities, &json!({ "id": id })).success();
    let trust = json!({
        "id": id,
        "trustor": "org/dev",
        "trustee": format!("programmatic_identity/{id}"),
        "policies": [policy],
    });
    admin.post("/v1/org/dev/trust", &trust).success();
    let keys = format!("{identities}/{id}/access_key");
    AccessKey::created(admin.post(&keys, &json!({})))
}

fn restricted() -> Json {
    json!([
        { "Effect": "Allow", "Actions": ["kvdb:Execute*"], "Resources": ["kvdb/main"],
          "Keys": ["app:*"] },
        { "Effect": "Deny", "Actions": ["kvdb:@keyspace", "kvdb:@read"], "Resources": ["kvdb/main"],
          "Keys": ["app:secret:*"] },
    ])
}

/// 300 keys that may be read, 300 that may not, and 50 that a Deny hides.
fn fill(keyward: &Keyward) {
    let mut client = keyward.client();
    for n in 0..300 {
        client.call(&["SET", &format!("app:{n}"), "v"]);
        client.call(&["SET", &format!("other:{n}"), "v"]);
    }
    for n in 0..50 {
        client.call(&["SET", &format!("app:secret:{n}"), "v"]);
    }
}

fn redis_py_sees_its_own_keys(backend: Backend) {
    let keyward = backend.start();
    fill(&keyward);
    let url = keyward.url_for(&identity(&keyward, "reader", &restricted()), "");
    let script = r#"
import os, redis
for protocol in (2, 3):
    r = redis.Redis.from_url(os.environ["URL"], decode_responses=True, protocol=protocol)
    mine = {f"app:{n}" for n in range(300)}
    assert set(r.scan_iter()) == mine
    assert set(r.scan_iter(match="app:1*", count=7)) == {k for k in mine if k.startswith("app:1")}
    assert set(r.scan_iter(match="other:*")) == set()
    assert set(r.scan_iter(_type="list")) == set()
    assert set(r.keys()) == mine
    assert r.keys("app:secret:*") == []
    # What may be shown is about half of the keys: 32 draws find one.
    drawn = [r.randomkey() for _ in range(100)]
    assert set(drawn) <= mine and len(set(drawn)) > 20, drawn
    for transaction in (True, False):
        p = r.pipeline(transaction=transaction)
        p.set("app:0", "1").keys("*:1").randomkey().scan(0, count=5000).get("app:0").randomkey()
        done = p.execute()
        assert done[0] is True and done[1] == ["app:1"] and done[4] == "1", done
        assert done[2] in mine and done[5] in mine, done
        assert done[3][0] == 0 and set(done[3][1]) == mine, done
    r.close()
print("done")
"#;
    assert_eq!(python(script, &[("URL", &url)]).success(), "done");
}

fn redis_cli_sees_its_own_keys(backend: Backend) {
    let keyward = backend.start();
    fill(&keyward);
    let url = keyward.url_for(&identity(&keyward, "reader", &restricted()), "");
    let scanned = redis_cli(&url, &["--scan", "--pattern", "a*"]).success();
    let mut names: Vec<_> = scanned.lines().collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 300);
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("app:") && !name.contains("secret"))
    );
    assert_eq!(redis_cli(&url, &["KEYS", "*:299"]).success(), "app:299");
}

fn every_reply_stands_where_its_request_stood(backend: Backend) {
    let keyward = backend.start();
    let mut client = keyward.client();
    client.call(&["MSET", "app:1", "1", "other:1", "2"]);
    let key = identity(&keyward, "reader", &restricted());
    let mut client = Client::connect(&keyward.url_for(&key, ""));
    let mine = || Value::Array(vec![bulk("app:1")]);
    let page = || Value::Array(vec![bulk("0"), mine()]);
    let requests: [&[&str]; 12] = [
        &["KEYS", "*"],
        &["RANDOMKEY"],
        &["MULTI"],
        &["SCAN", "0"],
        &["RANDOMKEY"],
        &["GET", "app:1"],
        &["KEYS", "other*"],
        &["EXEC"],
        &["SCAN", "0", "COUNT", "1000"],
        &["GET", "app:1"],
        &["RANDOMKEY"],
        &["KEYS", "nothing"],
    ];
    let queued = || simple("QUEUED");
    let done = Value::Array(vec![
        page(),
        bulk("app:1"),
        bulk("1"),
        Value::Array(Vec::new()),
    ]);
    let expected = [
        mine(),
        bulk("app:1"),
        ok(),
        queued(),
        queued(),
        queued(),
        queued(),
        done,
        page(),
        bulk("1"),
        bulk("app:1"),
        Value::Array(Vec::new()),
    ];
    for protocol in ["2", "3"] {
        client.call(&["HELLO", protocol]);
        assert_eq!(client.pipeline(&requests), expected, "RESP{protocol}");
    }
    // Nobody learns of keys by their events.
    let heard = client.call(&["SUBSCRIBE", "__keyevent@0__:set"]);
    assert!(matches!(heard, Value::Error(_)), "{heard:?}");
}

/// Replies of many megabytes, of which little may be shown.
fn large_replies_are_filtered(backend: Backend) {
    let keyward = backend.start();
    let mut client = keyward.client();
    for batch in 0..20 {
        let mut words = vec!["MSET".to_owned()];
        for n in 0..2_000 {
            let name = if n % 500 == 0 { "app" } else { "other" };
            words.push(format!("{name}:{batch}:{n}:{}", "x".repeat(100)));
            words.push(String::new());
        }
        assert_eq!(client.call(&words), ok());
    }
    let key = identity(&keyward, "reader", &restricted());
    let mut client = Client::connect(&keyward.url_for(&key, ""));
    let Value::Array(keys) = client.call(&["KEYS", "*"]) else {
        panic!("KEYS")
    };
    assert_eq!(keys.len(), 80);
    client.call(&["MULTI"]);
    client.call(&["KEYS", "*"]);
    let Value::Array(replies) = client.call(&["EXEC"]) else {
        panic!("EXEC")
    };
    assert!(matches!(&replies[..], [Value::Array(keys)] if keys.len() == 80));
}

/// `keyward can` tells that what is allowed is filtered.
#[test]
fn a_decision_tells_that_it_is_filtered() {
    let keyward = Keyward::dev(&[]);
    identity(&keyward, "reader", &restricted());
    let said = keyward
        .cli(&[
            "can",
            "programmatic_identity/reader",
            "main",
            "--",
            "SCAN",
            "0",
        ])
        .success();
    assert!(said.contains("it shows only the keys that"), "{said}");
    let said = keyward
        .cli(&[
            "can",
            "programmatic_identity/app",
            "main",
            "--",
            "SCAN",
            "0",
        ])
        .success();
    assert!(!said.contains("it shows only"), "{said}");
}

macro_rules! on_each_backend {
    ($($test:ident),* $(,)?) => {$(
        mod $test {
            use keyward_e2e::Backend;

            #[test]
            fn embedded() {
                super::$test(Backend::Embedded);
            }

            #[test]
            fn redis() {
                super::$test(Backend::Redis);
            }

            #[test]
            fn valkey() {
                super::$test(Backend::Valkey);
            }
        }
    )*};
}

on_each_backend!(
    redis_py_sees_its_own_keys,
    redis_cli_sees_its_own_keys,
    every_reply_stands_where_its_request_stood,
    large_replies_are_filtered,
);
