//! What connections see of the gateway, on every backend: order, transactions, protocols, messages,
//! blocking, limits.

use std::time::Duration;

use keyward_e2e::{
    AccessKey, Backend, Client, Keyward, assert_error, bulk, error_text, ok, simple,
};
use keyward_resp::Value;
use serde_json::{Value as Json, json};

const TRUST: &str = "/v1/org/dev/trust/reader";

/// Makes an identity `reader` whose trust carries `policy`, and returns its key.
fn reader(keyward: &Keyward, policy: Json) -> AccessKey {
    let admin = keyward.admin();
    let identities = "/v1/org/dev/programmatic_identity";
    admin.post(identities, &json!({ "id": "reader" })).success();
    let trust = json!({
        "id": "reader",
        "trustor": "org/dev",
        "trustee": "programmatic_identity/reader",
        "policies": [policy],
    });
    admin.post("/v1/org/dev/trust", &trust).success();
    let keys = format!("{identities}/reader/access_key");
    AccessKey::created(admin.post(&keys, &json!({})))
}

fn allow(actions: &[&str]) -> Json {
    json!([{ "Effect": "Allow", "Actions": actions, "Resources": ["kvdb/main"] }])
}

fn allow_keys(actions: &[&str], keys: &[&str]) -> Json {
    json!([{ "Effect": "Allow", "Actions": actions, "Resources": ["kvdb/main"], "Keys": keys }])
}

fn replies_keep_their_order_however_a_pipeline_is_cut(backend: Backend) {
    let keyward = backend.start();
    let key = reader(&keyward, allow_keys(&["kvdb:Execute*"], &["own:*"]));
    let mut client = Client::connect(&keyward.url_for(&key, ""));
    let mut bytes = Vec::new();
    let mut expected = Vec::new();
    for number in 0..200 {
        let value = "x".repeat(number);
        let commands: [(&[&str], Option<Value>); 5] = [
            (&["SET", "own:k", &value], Some(ok())),
            (&["GET", "own:k"], Some(bulk(&value))),
            (&["GET", "other:k"], None),
            (&["NOSUCHCOMMAND", "own:k"], None),
            (&["STRLEN", "own:k"], Some(Value::Integer(number as i64))),
        ];
        for (words, reply) in commands {
            bytes.extend(format!("*{}\r\n", words.len()).bytes());
            for word in words {
                bytes.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
            }
            expected.push(reply);
        }
    }
    for cut in [bytes.len(), 1021, 97, 7] {
        for piece in bytes.chunks(cut) {
            client.send_bytes(piece);
        }
        for (at, expected) in expected.iter().enumerate() {
            let reply = client.reply();
            match expected {
                Some(expected) => assert_eq!(reply, *expected, "reply {at}, pieces of {cut}"),
                None => assert!(matches!(reply, Value::Error(_)), "reply {at}: {reply:?}"),
            }
        }
    }
    assert!(client.is_silent(Duration::from_millis(50)));
}

fn transactions_are_decided_when_queued_and_at_exec(backend: Backend) {
    let keyward = backend.start();
    let key = reader(
        &keyward,
        allow(&["kvdb:ExecuteGet", "kvdb:ExecuteSet", "kvdb:ExecuteIncr"]),
    );
    let url = keyward.url_for(&key, "");
    let mut client = Client::connect(&url);
    let queued = || simple("QUEUED");

    let commands: &[&[&str]] = &[&["MULTI"], &["SET", "a", "1"], &["INCR", "a"], &["EXEC"]];
    let results = Value::Array(vec![ok(), Value::Integer(2)]);
    assert_eq!(
        client.pipeline(commands),
        [ok(), queued(), queued(), results]
    );

    // A refusal while queueing aborts, as the server's own would.
    assert_eq!(client.call(&["MULTI"]), ok());
    assert_eq!(client.call(&["SET", "a", "10"]), queued());
    assert_error(&client.call(&["DEL", "a"]), "NOPERM");
    assert_error(&client.call(&["EXEC"]), "EXECABORT");
    assert_eq!(client.call(&["GET", "a"]), bulk("2"));
    assert_error(&client.call(&["EXEC"]), "ERR EXEC without MULTI");
    assert_eq!(client.call(&["MULTI"]), ok());
    assert_error(&client.call(&["MULTI"]), "ERR");
    assert_eq!(client.call(&["DISCARD"]), ok());

    // What was allowed while queueing and is not any more is not carried out.
    assert_eq!(client.call(&["MULTI"]), ok());
    assert_eq!(client.call(&["SET", "a", "20"]), queued());
    let policies = json!({ "policies": [allow(&["kvdb:ExecuteGet"])] });
    keyward.admin().put(TRUST, &policies).success();
    let text = error_text(&client.call(&["EXEC"]));
    assert!(
        text.starts_with("EXECABORT") || text.starts_with("NOPERM"),
        "{text}"
    );
    assert_eq!(client.call(&["GET", "a"]), bulk("2"));
}

fn watch_sees_the_changes_of_others(backend: Backend) {
    let keyward = backend.start();
    let (mut watcher, mut other) = (keyward.client(), keyward.client());
    for (change, expected) in [
        (None, Value::Array(vec![ok()])),
        (Some("2"), Value::NullArray),
    ] {
        assert_eq!(watcher.call(&["WATCH", "watched"]), ok());
        if let Some(value) = change {
            assert_eq!(other.call(&["SET", "watched", value]), ok());
        }
        assert_eq!(watcher.call(&["MULTI"]), ok());
        assert_eq!(watcher.call(&["SET", "watched", "mine"]), simple("QUEUED"));
        assert_eq!(watcher.call(&["EXEC"]), expected, "{change:?}");
    }
    // Its keys are reads.
    let key = reader(&keyward, allow_keys(&["kvdb:Execute*"], &["own:*"]));
    let mut client = Client::connect(&keyward.url_for(&key, ""));
    assert_eq!(client.call(&["WATCH", "own:k"]), ok());
    assert_error(&client.call(&["WATCH", "watched"]), "NOPERM");
}

fn database_numbers_are_apart(backend: Backend) {
    let keyward = backend.start();
    let mut client = keyward.client();
    assert_eq!(client.call(&["SET", "k", "zero"]), ok());
    assert_eq!(client.call(&["SELECT", "3"]), ok());
    assert_eq!(client.call(&["GET", "k"]), Value::Null);
    assert_eq!(client.call(&["SET", "k", "three"]), ok());
    assert_error(
        &client.call(&["SELECT", "1000"]),
        "ERR DB index is out of range",
    );
    assert_eq!(client.call(&["GET", "k"]), bulk("three"));
    assert_eq!(keyward.client().call(&["GET", "k"]), bulk("zero"));
    assert_eq!(simple("RESET"), client.call(&["RESET"]));
    assert_error(&client.call(&["GET", "k"]), "NOAUTH");
}

fn both_protocols(backend: Backend) {
    let keyward = backend.start();
    let mut client = keyward.client();
    client.call(&["HSET", "h", "f", "v"]);
    assert_eq!(
        client.call(&["HGETALL", "h"]),
        Value::Array(vec![bulk("f"), bulk("v")])
    );
    assert_error(&client.call(&["HELLO", "4"]), "NOPROTO");
    let Value::Map(hello) = client.call(&["HELLO", "3"]) else {
        panic!("HELLO 3 is no map")
    };
    assert!(
        hello.contains(&(bulk("proto"), Value::Integer(3))),
        "{hello:?}"
    );
    assert_eq!(
        client.call(&["HGETALL", "h"]),
        Value::Map(vec![(bulk("f"), bulk("v"))])
    );
    assert_eq!(client.call(&["GET", "nothing"]), Value::Null);
    assert!(matches!(client.call(&["HELLO", "2"]), Value::Array(_)));
    assert_eq!(
        client.call(&["HGETALL", "h"]),
        Value::Array(vec![bulk("f"), bulk("v")])
    );
}

fn connection_commands_tell_who_one_is(backend: Backend) {
    let keyward = backend.start();
    let mut client = keyward.client();
    let whoami = format!("{:?}", client.call(&["ACL", "WHOAMI"]));
    let Value::Bulk(name) = client.call(&["ACL", "WHOAMI"]) else {
        panic!("{whoami}")
    };
    assert_eq!(
        String::from_utf8_lossy(&name),
        "org/dev/programmatic_identity/app"
    );
    assert_eq!(client.call(&["CLIENT", "SETNAME", "mine"]), ok());
    assert_eq!(client.call(&["CLIENT", "GETNAME"]), bulk("mine"));
    let Value::Integer(id) = client.call(&["CLIENT", "ID"]) else {
        panic!("CLIENT ID")
    };
    let Value::Integer(other) = keyward.client().call(&["CLIENT", "ID"]) else {
        panic!("ID")
    };
    assert_ne!(id, other);
    assert_eq!(
        client.call(&["CLIENT", "SETINFO", "LIB-NAME", "test"]),
        ok()
    );
    assert_eq!(client.call(&["ECHO", "hello"]), bulk("hello"));
    assert_eq!(client.call(&["QUIT"]), ok());
    assert!(client.is_closed(Duration::from_secs(20)));
}

fn an_error_names_the_command_and_why(backend: Backend) {
    let keyward = backend.start();
    let key = reader(&keyward, allow_keys(&["kvdb:@read"], &["own:*"]));
    let mut client = Client::connect(&keyward.url_for(&key, ""));
    let whole = "NOPERM User org/dev/programmatic_identity/reader has no permissions to run the ";
    assert_error(
        &client.call(&["SET", "own:k", "v"]),
        &format!("{whole}'set' command: "),
    );
    assert_error(
        &client.call(&["GET", "other"]),
        "NOPERM No permissions to access a key",
    );
    let text = error_text(&client.call(&["FLUSHALL"]));
    let id = text
        .split("keyward why ")
        .nth(1)
        .and_then(|rest| rest.split(')').next());
    let id = id.unwrap_or_else(|| panic!("no decision id in: {text}"));
    assert!(text.contains("kvdb:ExecuteFlushall"), "{text}");
    let decision = keyward.admin().get(&format!("/v1/decision/{id}")).success();
    assert!(
        decision.to_string().contains("kvdb:ExecuteFlushall"),
        "{decision}"
    );
    keyward.admin().get("/v1/decision/none").expect_status(404);
}

fn limits_before_login(backend: Backend) {
    let keyward = backend.start();
    let attacks: &[&[u8]] = &[
        b"*1000000\r\n",
        b"*2\r\n$4\r\nAUTH\r\n$1000000\r\n",
        b"*1\r\n$-5\r\n",
        b"*999999999999999999999\r\n",
        b"*1\r\n:1\r\n",
    ];
    for attack in attacks {
        let mut client = keyward.stranger();
        client.send_bytes(attack);
        assert!(
            client.is_closed(Duration::from_secs(20)),
            "{}",
            attack.escape_ascii()
        );
    }
    let mut client = keyward.stranger();
    client.send_bytes(&[b'x'; 100 * 1024]);
    assert!(client.is_closed(Duration::from_secs(20)), "an endless line");
    // After login a large value is as welcome as with the server itself.
    let large = vec![b'y'; 8 * 1024 * 1024];
    let mut client = keyward.client();
    assert_eq!(client.call(&[b"SET".as_slice(), b"large", &large]), ok());
    assert_eq!(client.call(&["GET", "large"]), Value::Bulk(large));
}

fn inline_commands(backend: Backend) {
    let keyward = backend.start();
    let mut client = keyward.client();
    client.send_bytes(b"\r\nSET inline \"two words\"\r\nget inline\r\n");
    assert_eq!(client.reply(), ok());
    assert_eq!(client.reply(), bulk("two words"));
}

keyward_e2e::on_each_backend!(
    replies_keep_their_order_however_a_pipeline_is_cut,
    transactions_are_decided_when_queued_and_at_exec,
    watch_sees_the_changes_of_others,
    database_numbers_are_apart,
    both_protocols,
    connection_commands_tell_who_one_is,
    an_error_names_the_command_and_why,
    limits_before_login,
    inline_commands,
);

/// The backends that have messages and blocking commands.
const SERVERS: [Backend; 2] = [Backend::Redis, Backend::Valkey];

#[test]
fn messages_reach_subscribers_whose_channels_are_allowed() {
    for backend in SERVERS {
        let keyward = backend.start();
        let policy = json!([{
            "Effect": "Allow",
            "Actions": ["kvdb:@pubsub"],
            "Resources": ["kvdb/main"],
            "Channels": ["news:*"],
        }]);
        let key = reader(&keyward, policy);
        let url = keyward.url_for(&key, "");
        let mut subscriber = Client::connect(&url);
        assert_error(&subscriber.call(&["SUBSCRIBE", "other"]), "NOPERM");
        assert_error(
            &subscriber.call(&["SUBSCRIBE", "news:1", "other"]),
            "NOPERM",
        );
        assert_error(&subscriber.call(&["PSUBSCRIBE", "*"]), "NOPERM");
        let confirmed = |kind: &str, channel: &str, count| {
            Value::Array(vec![bulk(kind), bulk(channel), Value::Integer(count)])
        };
        assert_eq!(
            subscriber.call(&["SUBSCRIBE", "news:1"]),
            confirmed("subscribe", "news:1", 1)
        );
        let pattern = subscriber.call(&["PSUBSCRIBE", "news:*"]);
        assert_eq!(pattern, confirmed("psubscribe", "news:*", 2));

        let mut owner = keyward.client();
        assert_eq!(
            owner.call(&["PUBLISH", "news:1", "hello"]),
            Value::Integer(2)
        );
        let message = Value::Array(vec![bulk("message"), bulk("news:1"), bulk("hello")]);
        assert_eq!(subscriber.read(), message);
        let message = [
            bulk("pmessage"),
            bulk("news:*"),
            bulk("news:1"),
            bulk("hello"),
        ];
        assert_eq!(subscriber.read(), Value::Array(message.to_vec()));

        // Who may not any more hears no more.
        let policies = json!({ "policies": [allow(&["kvdb:ExecuteGet"])] });
        keyward.admin().put(TRUST, &policies).success();
        assert!(subscriber.is_closed(Duration::from_secs(20)), "{backend}");
    }
}

#[test]
fn blocking_commands_wait_and_end_with_the_permission() {
    for backend in SERVERS {
        let keyward = backend.start();
        let mut owner = keyward.client();
        let mut blocked = keyward.client();
        blocked.send(&["BLPOP", "queue", "10"]);
        assert!(blocked.is_silent(Duration::from_millis(100)), "{backend}");
        // Meanwhile everybody else goes on.
        assert_eq!(owner.call(&["SET", "k", "v"]), ok());
        assert_eq!(owner.call(&["RPUSH", "queue", "job"]), Value::Integer(1));
        assert_eq!(
            blocked.read(),
            Value::Array(vec![bulk("queue"), bulk("job")])
        );

        let key = reader(&keyward, allow(&["kvdb:ExecuteBlpop"]));
        let mut blocked = Client::connect(&keyward.url_for(&key, ""));
        blocked.send(&["BLPOP", "queue", "30"]);
        assert!(blocked.is_silent(Duration::from_millis(100)), "{backend}");
        keyward.admin().delete(TRUST).success();
        assert!(blocked.is_closed(Duration::from_secs(20)), "{backend}");
    }
}

#[test]
fn a_key_that_is_deleted_closes_blocked_and_subscribed_connections() {
    for backend in SERVERS {
        let keyward = backend.start();
        let key = reader(&keyward, allow(&["kvdb:Execute*"]));
        let url = keyward.url_for(&key, "");
        let mut blocked = Client::connect(&url);
        blocked.send(&["BLPOP", "nothing", "30"]);
        let mut subscriber = Client::connect(&url);
        subscriber.call(&["SUBSCRIBE", "news"]);
        assert!(blocked.is_silent(Duration::from_millis(100)), "{backend}");
        let path = format!(
            "/v1/org/dev/programmatic_identity/reader/access_key/{}",
            key.id
        );
        keyward.admin().delete(&path).success();
        assert!(
            blocked.is_closed(Duration::from_secs(20)),
            "{backend}: blocked"
        );
        assert!(
            subscriber.is_closed(Duration::from_secs(20)),
            "{backend}: subscribed"
        );
    }
}

#[test]
fn a_server_that_goes_away_is_an_error_and_its_return_is_noticed() {
    let server = keyward_e2e::Server::start(keyward_e2e::ServerKind::Valkey, &[]);
    let port = server.port();
    let keyward = Keyward::dev(&["--upstream", &server.url()]);
    let mut client = keyward.client();
    assert_eq!(client.call(&["SET", "k", "v"]), ok());
    server.kill();
    // Either an error or an end, but soon, and never a wrong answer.
    client.send(&["GET", "k"]);
    match client.try_read() {
        Ok(reply) => assert!(matches!(reply, Value::Error(_)), "{reply:?}"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof),
    }
    let _again = keyward_e2e::Server::start_on(keyward_e2e::ServerKind::Valkey, port);
    assert_eq!(keyward.client().call(&["GET", "k"]), Value::Null);
}
