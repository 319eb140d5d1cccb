//! The harness itself: what the other tests rely on.

use std::net::TcpStream;
use std::time::Duration;

use keyward_e2e::{
    Client, RedisServer, Server, ServerKind, ValkeyServer, assert_error, bulk, find_secret, node,
    ok, python, redis_cli, simple,
};
use keyward_resp::Value;

const KINDS: [ServerKind; 2] = [ServerKind::Redis, ServerKind::Valkey];

fn info(client: &mut Client, section: &str) -> String {
    match client.call(&["INFO", section]) {
        Value::Bulk(text) => String::from_utf8_lossy(&text).into_owned(),
        other => panic!("INFO answered {other:?}"),
    }
}

#[test]
fn servers_are_what_they_are_called() {
    let redis = info(&mut RedisServer::start().client(), "server");
    assert!(
        redis.contains("redis_version:7.") || redis.contains("redis_version:8."),
        "{redis}"
    );
    let valkey = info(&mut ValkeyServer::start().client(), "server");
    assert!(valkey.contains("valkey_version:9."), "{valkey}");
}

#[test]
fn a_server_ends_with_its_value_also_when_a_test_panics() {
    for kind in KINDS {
        let server = Server::start(kind, &[]);
        let place = format!("127.0.0.1:{}", server.port());
        assert!(TcpStream::connect(&place).is_ok(), "{kind}");
        let thread = std::thread::spawn(move || {
            assert_ne!(server.kind(), kind, "this panic is what the test is about");
        });
        assert!(thread.join().is_err());
        assert!(TcpStream::connect(&place).is_err(), "{kind} still listens");
    }
}

#[test]
fn options_reach_the_server() {
    for kind in KINDS {
        let server = Server::start(
            kind,
            &[
                "--requirepass",
                "general",
                "--user",
                "reader",
                "on",
                ">secret",
                "~*",
                "+@read",
            ],
        );
        assert_error(&server.client().call(&["GET", "k"]), "NOAUTH");
        let login = |user: &str, password: &str| {
            let port = server.port();
            Client::try_connect(&format!("redis://{user}:{password}@127.0.0.1:{port}/2"))
        };
        assert_eq!(login("", "general").unwrap().call(&["SET", "k", "v"]), ok());
        let refused = login("reader", "wrong").expect_err("a wrong password is refused");
        assert_error(&refused, "WRONGPASS");
    }
}

#[test]
fn the_client_sees_replies_pushes_and_silence() {
    for kind in KINDS {
        let server = Server::start(kind, &[]);
        let mut client = server.client();
        let replies = client.pipeline(&[&["SET", "k", "v"], &["GET", "k"], &["LPOP", "k"]]);
        assert_eq!(replies[..2], [ok(), bulk("v")]);
        assert_error(&replies[2], "WRONGTYPE");
        assert_eq!(client.call(&["GET", "nothing"]), Value::Null);

        let mut subscriber = server.client();
        subscriber.call(&["HELLO", "3"]);
        subscriber.send(&["SUBSCRIBE", "news"]);
        let confirmed = Value::Push(vec![bulk("subscribe"), bulk("news"), Value::Integer(1)]);
        assert_eq!(subscriber.push(), confirmed);
        assert!(subscriber.is_silent(Duration::from_millis(20)));
        client.call(&["PUBLISH", "news", "hello"]);
        let message = Value::Push(vec![bulk("message"), bulk("news"), bulk("hello")]);
        assert_eq!(subscriber.call(&["PING"]), simple("PONG"));
        assert_eq!(subscriber.push(), message);

        client.send(&["QUIT"]);
        assert!(client.is_closed(Duration::from_secs(20)));
    }
}

#[test]
fn other_peoples_clients_run() {
    for kind in KINDS {
        let server = Server::start(kind, &["--requirepass", "p@ss word"]);
        let url = format!("redis://:p%40ss%20word@127.0.0.1:{}/0", server.port());
        assert_eq!(
            redis_cli(&url, &["SET", "k", "from redis-cli"]).success(),
            "OK"
        );
        let script = "
import os, redis, valkey
for module in redis, valkey:
    client = module.from_url(os.environ['URL'], decode_responses=True)
    print(client.pipeline(transaction=False).get('k').get('none').execute())
";
        let line = "['from redis-cli', None]";
        assert_eq!(
            python(script, &[("URL", &url)]).success(),
            format!("{line}\n{line}")
        );
        let script = "
const Redis = require('ioredis');
const client = new Redis(process.env.URL);
client.get('k').then(value => { console.log(value); client.disconnect(); });
";
        assert_eq!(node(script, &[("URL", &url)]).success(), "from redis-cli");
    }
}

#[test]
fn a_program_that_fails_shows_why() {
    let output = python("import sys; print('said'); sys.exit('and why')", &[]);
    assert_eq!((output.code, output.stdout.as_str()), (1, "said"));
    assert_eq!(output.stderr, "and why");
}

#[test]
fn secrets_are_found_wherever_they_stand() {
    let long = "A".repeat(70);
    let texts = [
        format!("warn: kws_{long}"),
        format!("kwk_{long}"),
        format!("Bearer kwl_{long}\n"),
        format!("kwt_{long}"),
        format!("token eyJ{long}.eyJ{long}.{long} end"),
        "-----BEGIN PRIVATE KEY-----".to_owned(),
    ];
    for text in &texts {
        assert!(find_secret(text.as_bytes()).is_some(), "{text}");
    }
    let harmless = [
        "key KWAKAAAAAAAAAAAAAAAA is unknown",
        "kws_<key id>_<43 characters>_<6 characters>",
        "eyJ.x.y",
        "a session key begins with kwk_",
    ];
    for text in harmless {
        assert_eq!(find_secret(text.as_bytes()), None, "{text}");
    }
}
