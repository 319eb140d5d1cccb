//! `SCAN`, `KEYS` and `RANDOMKEY` show only keys that the caller may read, on the engine and on a
//! server.

mod support;

use std::collections::BTreeSet;

use keyward_iam::Backend;
use keyward_resp::Value;
use support::{Client, FULL, RealServer, World, request};

const SOME: &str = r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/*"],
    "Keys":["app:*","x"]},
    {"Effect":"Deny","Actions":["kvdb:ExecuteScan","kvdb:ExecuteGet"],"Resources":["kvdb/*"],
    "Keys":["app:secret:*"]}]"#;
/// Nothing to be read at all.
const NOTHING: &str = r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/*"],
    "WriteKeys":["app:*"]}]"#;

/// Runs a test on the engine and on a server, with clients of these policies; the first may do
/// everything.
fn on_each_backend(policies: &[&str], test: impl Fn(&str, &mut [Client])) {
    let server = RealServer::redis();
    for backend in [Backend::Embedded, server.backend()] {
        let world = World::new();
        let name = format!("{backend:?}");
        world.database("acme", "main", backend);
        let keys: Vec<_> = [FULL]
            .iter()
            .chain(policies)
            .enumerate()
            .map(|(n, policy)| world.identity("acme", &format!("app{n}"), Some(policy)))
            .collect();
        let gateway = world.gateway(Some("org/acme/kvdb/main"), |_, _| {});
        let mut clients: Vec<_> = keys
            .iter()
            .map(|key| Client::login(gateway.local_addr(), key))
            .collect();
        test(&name, &mut clients);
    }
}

fn value(client: &mut Client) -> Value {
    let reply = client.read().expect("a reply");
    let decoded = Value::decode(&reply).expect("a reply");
    decoded.expect("all of it").0
}

fn names(value: &Value) -> BTreeSet<String> {
    let Value::Array(keys) = value else {
        panic!("{value:?}")
    };
    keys.iter()
        .map(|key| match key {
            Value::Bulk(key) => String::from_utf8_lossy(key).into_owned(),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Every key that a whole round of `SCAN` shows, and the cursors on the way.
fn scan(client: &mut Client, options: &[&str]) -> (BTreeSet<String>, Vec<String>) {
    let (mut cursor, mut shown, mut cursors) = ("0".to_owned(), BTreeSet::new(), Vec::new());
    loop {
        client.request(&[&["SCAN", &cursor][..], options].concat());
        let Value::Array(page) = value(client) else {
            panic!("SCAN")
        };
        let [Value::Bulk(next), keys] = &page[..] else {
            panic!("{page:?}")
        };
        shown.extend(names(keys));
        cursor = String::from_utf8_lossy(next).into_owned();
        cursors.push(cursor.clone());
        if cursor == "0" {
            return (shown, cursors);
        }
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn keys_are_those_that_may_be_read() {
    on_each_backend(&[SOME, NOTHING], |backend, clients| {
        let [full, some, nothing] = clients else {
            panic!()
        };
        let keys = [
            "app:1",
            "app:2",
            "app:secret:1",
            "x",
            "xx",
            "other",
            "a b\r\n",
        ];
        for key in keys {
            full.call(&["SET", key, "v"]);
        }
        full.call(&["LPUSH", "app:list", "v"]);
        let all: BTreeSet<_> = set(&keys).into_iter().chain(set(&["app:list"])).collect();
        let secret = set(&["app:1", "app:2", "app:list", "app:secret:1", "x"]);
        let visible = set(&["app:1", "app:2", "app:list", "x"]);
        for hello in [false, true] {
            for client in [&mut *full, some, nothing] {
                if hello {
                    client.call(&["HELLO", "3"]);
                }
            }
            full.request(&["KEYS", "*"]);
            assert_eq!(names(&value(full)), all, "{backend}");
            some.request(&["KEYS", "*"]);
            assert_eq!(names(&value(some)), secret, "{backend}"); // the Deny is of SCAN
            some.request(&["KEYS", "*1"]);
            assert_eq!(names(&value(some)), set(&["app:1", "app:secret:1"]));
            assert_eq!(scan(full, &[]).0, all, "{backend}");
            assert_eq!(scan(some, &[]).0, visible, "{backend}");
            let typed = ["TYPE", "list", "MATCH", "app:*"];
            assert_eq!(scan(some, &typed).0, set(&["app:list"]), "{backend}");
            assert!(nothing.call(&["KEYS", "*"]).starts_with("-NOPERM"));
            assert!(nothing.call(&["SCAN", "0"]).starts_with("-NOPERM"));
            assert!(nothing.call(&["RANDOMKEY"]).starts_with("-NOPERM"));
            assert!(some.call(&["SCAN", "x"]).starts_with("-ERR"), "{backend}");
            assert!(some.call(&["KEYS"]).starts_with("-ERR wrong number"));
        }
    });
}

#[test]
fn cursors_pass_unchanged_and_pages_may_be_empty() {
    on_each_backend(&[SOME], |backend, clients| {
        let [full, some] = clients else { panic!() };
        let mut fill = Vec::new();
        for n in 0..2000 {
            fill.extend(request(&["SET", &format!("other:{n}"), "v"]));
        }
        fill.extend(request(&["SET", "app:needle", "v"]));
        full.send(fill);
        for _ in 0..2001 {
            assert_eq!(full.reply(), "+OK");
        }
        let (all, cursors) = scan(full, &["COUNT", "50"]);
        assert_eq!(all.len(), 2001, "{backend}");
        let (shown, own) = scan(some, &["COUNT", "50"]);
        assert_eq!(shown, set(&["app:needle"]), "{backend}");
        assert_eq!(own, cursors, "{backend}");
    });
}

#[test]
fn a_random_key_is_one_that_may_be_read() {
    on_each_backend(&[SOME], |backend, clients| {
        let [full, some] = clients else { panic!() };
        assert_eq!(some.call(&["RANDOMKEY"]), "$-1", "{backend}");
        full.call(&["SET", "other", "v"]);
        assert_eq!(some.call(&["RANDOMKEY"]), "$-1", "{backend}");
        assert_eq!(full.call(&["RANDOMKEY"]), "$5 other");
        full.call(&["SET", "app:1", "v"]);
        full.call(&["SET", "app:2", "v"]);
        let mut drawn = BTreeSet::new();
        for _ in 0..200 {
            drawn.insert(some.call(&["RANDOMKEY"]));
        }
        assert_eq!(drawn, set(&["$5 app:1", "$5 app:2"]), "{backend}");
        some.call(&["HELLO", "3"]);
        full.call(&["DEL", "app:1", "app:2"]);
        assert_eq!(some.call(&["RANDOMKEY"]), "_", "{backend}");
    });
}

#[test]
fn pipelines_and_transactions_keep_their_places() {
    on_each_backend(&[SOME], |backend, clients| {
        let [full, some] = clients else { panic!() };
        full.call(&["MSET", "app:1", "1", "other", "2"]);
        for hello in [false, true] {
            if hello {
                some.call(&["HELLO", "3"]);
            }
            let pipeline: [&[&str]; 14] = [
                &["GET", "app:1"],
                &["KEYS", "*"],
                &["GET", "other"],
                &["RANDOMKEY"],
                &["MULTI"],
                &["KEYS", "*"],
                &["RANDOMKEY"],
                &["SCAN", "0"],
                &["GET", "app:1"],
                &["KEYS", "o*"],
                &["EXEC"],
                &["SCAN", "0", "MATCH", "oth*"],
                &["CLIENT", "GETNAME"],
                &["PING"],
            ];
            let sent: Vec<u8> = pipeline.iter().flat_map(|words| request(words)).collect();
            some.send(sent);
            let replies: Vec<_> = pipeline.iter().map(|_| some.reply()).collect();
            let null = if hello { "_" } else { "$-1" };
            let expected = [
                "$1 1",
                "*1 $5 app:1",
                "-NOPERM",
                "$5 app:1",
                "+OK",
                "+QUEUED",
                "+QUEUED",
                "+QUEUED",
                "+QUEUED",
                "+QUEUED",
                "*5 *1 $5 app:1 $5 app:1 *2 $1 0 *1 $5 app:1 $1 1 *0",
                "*2 $1 0 *0",
                null,
                "+PONG",
            ];
            for (reply, expected) in replies.iter().zip(expected) {
                let same =
                    reply == expected || expected == "-NOPERM" && reply.starts_with(expected);
                assert!(same, "{backend}: {reply}: {replies:#?}");
            }
            // Nothing of it is answered.
            let quiet: [&[&str]; 6] = [
                &["CLIENT", "REPLY", "OFF"],
                &["KEYS", "*"],
                &["RANDOMKEY"],
                &["SCAN", "0"],
                &["CLIENT", "REPLY", "ON"],
                &["PING"],
            ];
            some.send(
                quiet
                    .iter()
                    .flat_map(|words| request(words))
                    .collect::<Vec<_>>(),
            );
            assert_eq!([some.reply(), some.reply()], ["+OK", "+PONG"], "{backend}");
        }
    });
}

#[test]
fn a_change_between_queueing_and_running_counts() {
    for server in [None, Some(RealServer::redis())] {
        let world = World::new();
        let backend = server
            .as_ref()
            .map_or(Backend::Embedded, RealServer::backend);
        world.database("acme", "main", backend);
        let full = world.identity("acme", "full", Some(FULL));
        let key = world.identity("acme", "app", Some(FULL));
        let gateway = world.gateway(Some("org/acme/kvdb/main"), |_, _| {});
        let mut full = Client::login(gateway.local_addr(), &full);
        let mut client = Client::login(gateway.local_addr(), &key);
        full.call(&["MSET", "app:1", "1", "other", "2"]);
        for (before, after, drawn) in [
            (FULL, SOME, &["$5 app:1", "$-1"][..]),
            (SOME, FULL, &["$5 app:1", "$5 other"]),
        ] {
            world.set_policy("acme", "app", before);
            for _ in 0..20 {
                assert_eq!(client.call(&["MULTI"]), "+OK");
                assert_eq!(client.call(&["RANDOMKEY"]), "+QUEUED");
                assert_eq!(client.call(&["GET", "app:1"]), "+QUEUED");
                world.set_policy("acme", "app", after);
                let reply = client.call(&["EXEC"]);
                let found = reply
                    .strip_prefix("*2 ")
                    .and_then(|r| r.strip_suffix(" $1 1"));
                assert!(found.is_some_and(|key| drawn.contains(&key)), "{reply}");
                world.set_policy("acme", "app", before);
                client.call(&["PING"]);
            }
        }
    }
}
