//! A real server behind the gateway: order of replies, transactions, subscriptions, waiting.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use keyward_gateway::UpstreamPassword;
use keyward_iam::{Backend, Change};
use keyward_test_servers::ServerKind;
use proptest::prelude::*;
use support::{Client, FULL, RealServer, World, request};

const SOME: &str = r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/*"],
    "Keys":["app:*"],"Channels":["news:*"]},
    {"Effect":"Deny","Actions":["kvdb:ExecuteFlushall"],"Resources":["kvdb/*"]}]"#;

struct Setup {
    world: World,
    server: RealServer,
    gateway: keyward_gateway::GatewayHandle,
    key: support::Key,
}

fn setup(policy: &str) -> Setup {
    let world = World::new();
    let server = RealServer::redis();
    world.database("acme", "main", server.backend());
    let key = world.identity("acme", "app", Some(policy));
    let gateway = world.gateway(Some("org/acme/kvdb/main"), |_, _| {});
    Setup {
        world,
        server,
        gateway,
        key,
    }
}

impl Setup {
    fn client(&self) -> Client {
        Client::login(self.gateway.local_addr(), &self.key)
    }

    fn direct(&self) -> Client {
        Client::connect(self.server.address.parse().expect("an address"))
    }
}

#[test]
fn denials_stand_where_their_requests_stood() {
    let setup = setup(SOME);
    let mut client = setup.client();
    let mut pipeline = Vec::new();
    for words in [
        &["SET", "app:a", "1"][..],
        &["SET", "other", "1"],
        &["get", "app:a"],
        &["FLUSHALL"],
        &["NOSUCH", "x"],
        &["GET"],
        &["CONFIG", "SET", "dir", "/"],
        &["PUBLISH", "secret", "x"],
        &["CONFIG", "NOSUCH"],
        &["CLIENT", "GETNAME"],
        &["MGET", "app:a", "app:b"],
    ] {
        pipeline.extend(request(words));
    }
    pipeline.extend(b"GET app:a\r\n\r\n*0\r\n");
    client.send(&pipeline);
    let expected = [
        "+OK",
        "-NOPERM No permissions to access a key: kvdb:ExecuteSet on org/acme/kvdb/main: ",
        "$1 1",
        "-NOPERM User org/acme/programmatic_identity/app has no permissions to run the 'flushall' \
         command: kvdb:ExecuteFlushall on org/acme/kvdb/main: ",
        "-ERR unknown command 'NOSUCH', with args beginning with: 'x'",
        "-ERR wrong number of arguments for 'get' command",
        "-NOPERM User org/acme/programmatic_identity/app has no permissions to run the \
         'config|set' command: kvdb:ExecuteConfigSet on org/acme/kvdb/main: ",
        "-NOPERM No permissions to access a channel: kvdb:ExecutePublish on org/acme/kvdb/main: ",
        "-ERR unknown subcommand 'NOSUCH'. Try CONFIG HELP.",
        "$-1",
        "*2 $1 1 $-1",
        "$1 1",
    ];
    for expected in expected {
        let reply = client.reply();
        assert!(reply.starts_with(expected), "{expected}: {reply}");
        if let Some((_, id)) = reply.split_once("(keyward why ") {
            let record = setup
                .world
                .log
                .find(id.trim_end_matches(')'))
                .expect("it is recorded");
            assert!(!record.decision.is_allow());
        }
    }
    assert!(client.is_silent());
}

fn command() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let key = prop_oneof![
        Just("app:a"),
        Just("app:b"),
        Just("denied"),
        Just("app:list")
    ];
    let value = proptest::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        key.clone()
            .prop_map(|key| vec![b"GET".to_vec(), key.into()]),
        (key.clone(), value.clone()).prop_map(|(key, value)| vec![
            b"SET".to_vec(),
            key.into(),
            value
        ]),
        value
            .clone()
            .prop_map(|value| vec![b"RPUSH".to_vec(), b"app:list".to_vec(), value]),
        Just(vec![
            b"LRANGE".to_vec(),
            b"app:list".to_vec(),
            b"0".to_vec(),
            b"-1".to_vec()
        ]),
        Just(vec![b"MULTI".to_vec()]),
        Just(vec![b"EXEC".to_vec()]),
        Just(vec![b"DEL".to_vec(), b"app:list".to_vec()]),
        Just(vec![b"NOSUCH".to_vec()]),
        value.prop_map(|value| vec![b"ECHO".to_vec(), value]),
    ]
}

/// Pipelines of allowed and denied commands, cut at random places: byte for byte what the server
/// says directly, with `NOPERM` where the policy refuses.
#[test]
fn pipelines_give_what_the_server_gives() {
    let setup = setup(SOME);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(60));
    let input = (
        proptest::collection::vec(command(), 1..40),
        proptest::collection::vec(1usize..200, 1..40),
        any::<bool>(),
    );
    runner
        .run(&input, |(commands, cuts, resp3)| {
            let (mut client, mut direct) = (setup.client(), setup.direct());
            direct.call(&["FLUSHALL"]);
            if resp3 {
                client.call(&["HELLO", "3"]);
                direct.call(&["HELLO", "3"]);
            }
            // What the server is asked directly: without what is denied. A denial, an unknown
            // command too, spoils the transaction it stands in.
            let (mut expected, mut spoiled, mut multi, mut queued) = (vec![], false, false, vec![]);
            for words in &commands {
                let denied = words.get(1).is_some_and(|key| key == b"denied");
                let unknown = words[0] == b"NOSUCH";
                match words[0].as_slice() {
                    b"MULTI" if !multi => {
                        (multi, spoiled) = (true, false);
                        expected.push(b"+OK\r\n".to_vec());
                    }
                    b"EXEC" if multi => {
                        multi = false;
                        let abort =
                            "-EXECABORT Transaction discarded because of previous errors.\r\n";
                        let queued = std::mem::take(&mut queued);
                        if spoiled {
                            expected.push(abort.into());
                            continue;
                        }
                        direct.call(&["MULTI"]);
                        queued.iter().for_each(|words: &&Vec<Vec<u8>>| {
                            direct.call(words);
                        });
                        direct.request(&["EXEC"]);
                        expected.push(direct.read().unwrap());
                    }
                    _ if denied || unknown => {
                        spoiled = true;
                        expected.push(if denied {
                            b"-NOPERM".to_vec()
                        } else {
                            b"-ERR unk".to_vec()
                        });
                    }
                    b"MULTI" => expected.push(b"-ERR MULTI calls can not be nested\r\n".to_vec()),
                    _ if multi => {
                        queued.push(words);
                        expected.push(b"+QUEUED\r\n".to_vec());
                    }
                    _ => {
                        direct.request(words);
                        expected.push(direct.read().unwrap());
                    }
                }
            }
            // The direct run has changed the data: start again from nothing.
            setup.direct().call(&["FLUSHALL"]);
            let bytes: Vec<u8> = commands.iter().flat_map(|words| request(words)).collect();
            let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                client.send(piece);
                rest = after;
            }
            for (expected, words) in expected.iter().zip(&commands) {
                let reply = client.read().expect("the connection stays");
                prop_assert!(
                    reply == *expected || (expected.len() < 9 && reply.starts_with(expected)),
                    "{}: {} instead of {}",
                    words[0].escape_ascii(),
                    reply.escape_ascii(),
                    expected.escape_ascii()
                );
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_transaction_is_decided_again_when_it_runs() {
    let setup = setup(SOME);
    let mut client = setup.client();
    assert_eq!(client.call(&["MULTI"]), "+OK");
    assert_eq!(client.call(&["SET", "app:a", "1"]), "+QUEUED");
    setup.world.set_policy(
        "acme",
        "app",
        r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/*"]}]"#,
    );
    let aborted = "-EXECABORT Transaction discarded because of previous errors.";
    assert_eq!(client.call(&["EXEC"]), aborted);
    assert_eq!(client.call(&["GET", "app:a"]), "$-1");
    assert_eq!(client.call(&["EXEC"]), "-ERR EXEC without MULTI");
    assert_eq!(client.call(&["DISCARD"]), "-ERR DISCARD without MULTI");
}

#[test]
fn watch_and_select_and_discard_reach_the_server() {
    let setup = setup(FULL);
    let mut client = setup.client();
    let mut other = setup.direct();
    assert_eq!(client.call(&["WATCH", "k"]), "+OK");
    assert_eq!(other.call(&["SET", "k", "1"]), "+OK");
    assert_eq!(client.call(&["MULTI"]), "+OK");
    assert_eq!(
        client.call(&["WATCH", "k"]),
        "-ERR WATCH inside MULTI is not allowed"
    );
    assert_eq!(client.call(&["GET", "k"]), "+QUEUED");
    assert_eq!(client.call(&["EXEC"]), "*-1");
    assert_eq!(client.call(&["SELECT", "5"]), "+OK");
    assert_eq!(client.call(&["GET", "k"]), "$-1");
    assert!(client.call(&["CLIENT", "INFO"]).contains(" db=5 "));
    assert_eq!(
        client.call(&["SELECT", "99"]),
        "-ERR DB index is out of range"
    );
    assert!(client.call(&["CLIENT", "INFO"]).contains(" db=5 "));
    assert_eq!(client.call(&["MULTI"]), "+OK");
    assert_eq!(client.call(&["SELECT", "0"]), "+QUEUED");
    assert_eq!(client.call(&["GET", "k"]), "+QUEUED");
    assert_eq!(client.call(&["EXEC"]), "*2 +OK $1 1");
    assert!(client.call(&["CLIENT", "INFO"]).contains(" db=0 "));
    assert_eq!(client.call(&["MULTI"]), "+OK");
    assert_eq!(
        client.call(&["CLIENT", "ID"]),
        "-ERR keyward: 'client|id' is not available inside MULTI"
    );
    assert_eq!(client.call(&["DISCARD"]), "+OK");
    assert_eq!(client.call(&["RESET"]), "+RESET");
    assert_eq!(
        client.call(&["GET", "k"]),
        "-NOAUTH Authentication required."
    );
    assert_eq!(client.auth(&setup.key), "+OK");
    assert_eq!(client.call(&["GET", "k"]), "$1 1");
}

#[test]
fn subscriptions_in_both_protocols() {
    let setup = setup(SOME);
    let mut publisher = setup.client();
    for resp3 in [false, true] {
        let sign = if resp3 { '>' } else { '*' };
        let mut client = setup.client();
        if resp3 {
            client.call(&["HELLO", "3"]);
        }
        let refused = client.call(&["SUBSCRIBE", "news:a", "secret"]);
        assert!(
            refused.starts_with("-NOPERM No permissions to access a channel"),
            "{refused}"
        );
        // The pattern is wider than what is granted, although it matches as a text.
        assert!(client.call(&["PSUBSCRIBE", "news*"]).starts_with("-NOPERM"));
        client.send(
            [
                request(&["SUBSCRIBE", "news:a", "news:b"]),
                request(&["GET", "denied"]),
            ]
            .concat(),
        );
        assert_eq!(client.reply(), format!("{sign}3 $9 subscribe $6 news:a :1"));
        assert_eq!(client.reply(), format!("{sign}3 $9 subscribe $6 news:b :2"));
        if resp3 {
            assert!(client.reply().starts_with("-NOPERM"));
        } else {
            assert_eq!(
                client.reply(),
                "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
                 RESET are allowed in this context"
            );
        }
        assert_eq!(
            client.call(&["PING"]),
            if resp3 { "+PONG" } else { "*2 $4 pong $0" }
        );
        assert_eq!(publisher.call(&["PUBLISH", "news:a", "m"]), ":1");
        assert_eq!(client.reply(), format!("{sign}3 $7 message $6 news:a $1 m"));
        assert_eq!(
            client.call(&["PSUBSCRIBE", "news:*"]),
            format!("{sign}3 $10 psubscribe $6 news:* :3")
        );
        client.send(
            [
                request(&["UNSUBSCRIBE"]),
                request(&["PUNSUBSCRIBE"]),
                request(&["GET", "app:x"]),
            ]
            .concat(),
        );
        let ended: BTreeSet<_> = (0..3).map(|_| client.reply()).collect();
        assert!(
            ended.iter().all(|reply| reply.contains("unsubscribe")),
            "{ended:?}"
        );
        assert_eq!(client.reply(), if resp3 { "_" } else { "$-1" });
        assert_eq!(
            client.call(&["UNSUBSCRIBE"]),
            format!(
                "{sign}3 $11 unsubscribe {} :0",
                if resp3 { "_" } else { "$-1" }
            )
        );
    }
}

#[test]
fn what_waits_is_closed_when_it_may_not_wait_any_more() {
    let setup = setup(SOME);
    let mut subscribed = setup.client();
    subscribed.call(&["SUBSCRIBE", "news:a"]);
    let mut waiting = setup.client();
    waiting.request(&["BLPOP", "app:queue", "0"]);
    let mut unrelated = setup.client();
    assert_eq!(unrelated.call(&["SET", "app:a", "1"]), "+OK");
    assert!(waiting.is_silent() && subscribed.is_silent());
    // A change that concerns neither.
    setup.world.identity("acme", "another", None);
    assert!(waiting.is_silent() && subscribed.is_silent());
    setup.world.set_policy(
        "acme",
        "app",
        r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/*"]}]"#,
    );
    assert_eq!(waiting.reply(), "closed");
    assert_eq!(subscribed.reply(), "closed");
    assert_eq!(unrelated.call(&["GET", "app:a"]), "$1 1");
}

#[test]
fn what_waits_is_closed_when_its_key_is_deleted() {
    what_waits_is_closed_by(|setup| Change::DeleteAccessKey {
        path: setup.key.path.clone(),
    });
}

#[test]
fn what_waits_is_closed_when_its_database_is_deleted() {
    what_waits_is_closed_by(|_| Change::DeleteDatabase {
        path: "org/acme/kvdb/main".into(),
    });
}

fn what_waits_is_closed_by(change: impl Fn(&Setup) -> Change) {
    let setup = setup(FULL);
    let mut subscribed = setup.client();
    subscribed.call(&["PSUBSCRIBE", "*"]);
    let mut waiting = setup.client();
    waiting.request(&["BLPOP", "queue", "0"]);
    assert!(waiting.is_silent());
    setup.world.change(change(&setup));
    assert_eq!(waiting.reply(), "closed");
    assert_eq!(subscribed.reply(), "closed");
}

#[test]
fn waiting_holds_up_nobody_else() {
    let setup = setup(FULL);
    let mut waiting = setup.client();
    waiting.send(
        [
            request(&["BLPOP", "q", "0"]),
            request(&["SET", "after", "1"]),
        ]
        .concat(),
    );
    let mut other = setup.client();
    assert_eq!(other.call(&["GET", "after"]), "$-1");
    assert_eq!(other.call(&["RPUSH", "q", "x"]), ":1");
    assert_eq!(waiting.reply(), "*2 $1 q $1 x");
    assert_eq!(waiting.reply(), "+OK");
}

#[test]
fn a_server_that_is_away_is_an_error_and_tried_again() {
    let setup = setup(FULL);
    let port = setup.server.port();
    let Setup {
        server,
        gateway,
        key,
        world: _world,
    } = setup;
    let mut client = Client::login(gateway.local_addr(), &key);
    assert_eq!(client.call(&["SELECT", "2"]), "+OK");
    drop(server);
    // Until the gateway has heard of it.
    std::thread::sleep(Duration::from_millis(500));
    client.send(
        [
            request(&["GET", "a"]),
            request(&["CLIENT", "GETNAME"]),
            request(&["GET", "b"]),
        ]
        .concat(),
    );
    assert!(
        client
            .reply()
            .starts_with("-ERR keyward: backend unavailable")
    );
    assert_eq!(client.reply(), "$-1");
    assert!(
        client
            .reply()
            .starts_with("-ERR keyward: backend unavailable")
    );
    let server = RealServer::redis_on(port);
    let mut direct = Client::connect(server.address.parse().unwrap());
    direct.call(&["SELECT", "2"]);
    direct.call(&["SET", "a", "two"]);
    assert_eq!(
        client.call(&["GET", "a"]),
        "$3 two",
        "the selected number is selected again"
    );
    // With something outstanding nobody knows what was carried out.
    client.request(&["BLPOP", "q", "0"]);
    assert!(client.is_silent());
    drop(server);
    assert_eq!(client.reply(), "closed");
}

#[test]
fn the_server_s_own_password_and_user() {
    for user in [None, Some("gateway".to_owned())] {
        let world = World::new();
        let options: &[&str] = match user {
            None => &["--requirepass", "server secret"],
            Some(_) => &[
                "--user",
                "default",
                "off",
                "--user",
                "gateway",
                "on",
                ">server secret",
                "~*",
                "&*",
                "+@all",
            ],
        };
        let server = RealServer::start(ServerKind::Redis, options);
        let backend = Backend::of_operator(server.address.clone(), user);
        world.database("acme", "main", backend);
        let key = world.identity("acme", "app", Some(FULL));
        let gateway = world.gateway(None, |_, shared| {
            let password = UpstreamPassword::new("server secret".to_owned());
            shared.set_upstream_password("org/acme/kvdb/main", Some(password));
        });
        let mut client = Client::login(gateway.local_addr(), &key);
        client.send([request(&["SET", "k", "v"]), request(&["GET", "k"])].concat());
        assert_eq!(client.reply(), "+OK");
        assert_eq!(client.reply(), "$1 v");
        assert_eq!(client.call(&["CONFIG", "GET", "requirepas*"]), "*0");
        let all = client.call(&["CONFIG", "GET", "*"]);
        assert!(
            all.contains("maxmemory") && !all.contains("secret"),
            "{all}"
        );
        let wrong = world.gateway(None, |_, shared| {
            let password = UpstreamPassword::new("wrong".to_owned());
            shared.set_upstream_password("org/acme/kvdb/main", Some(password));
        });
        // Again and again: the server's refusal may come before or after the client's command.
        for _ in 0..30 {
            let mut client = Client::login(wrong.local_addr(), &key);
            for _ in 0..3 {
                let reply = client.call(&["GET", "k"]);
                assert!(
                    reply.starts_with("-ERR keyward: backend unavailable"),
                    "{reply}"
                );
            }
        }
    }
}

#[test]
fn large_values_and_replies_that_nobody_reads() {
    let setup = setup(FULL);
    let mut client = setup.client();
    let value = vec![b'x'; 5_000_000];
    client.request(&[b"SET".as_slice(), b"big", &value]);
    assert_eq!(client.reply(), "+OK");
    client.request(&["GET", "big"]);
    assert_eq!(
        client.read().unwrap().len(),
        value.len() + "$5000000\r\n\r\n".len()
    );
    // Byte by byte at the seams of a request.
    for byte in request(&["GET", "absent"]) {
        client.send([byte]);
    }
    assert_eq!(client.reply(), "$-1");
    // 500 MB of replies that are not taken: the server's output waits at the server, and others
    // are served.
    let asks: Vec<u8> = (0..100).flat_map(|_| request(&["GET", "big"])).collect();
    client.send(asks);
    let mut other = setup.client();
    assert_eq!(other.call(&["PING"]), "+PONG");
    for _ in 0..100 {
        assert_eq!(client.read().unwrap().len(), 5_000_012);
    }
    assert_eq!(client.call(&["PING"]), "+PONG");
}

#[test]
fn replies_may_be_turned_off() {
    let setup = setup(SOME);
    let mut client = setup.client();
    client.send(
        [
            request(&["CLIENT", "REPLY", "SKIP"]),
            request(&["SET", "app:a", "1"]),
            request(&["GET", "app:a"]),
            request(&["CLIENT", "REPLY", "OFF"]),
            request(&["GET", "app:a"]),
            request(&["GET", "denied"]),
            request(&["CLIENT", "ID"]),
            request(&["SET", "app:a", "2"]),
            request(&["CLIENT", "REPLY", "ON"]),
            request(&["GET", "app:a"]),
        ]
        .concat(),
    );
    assert_eq!(client.reply(), "$1 1");
    assert_eq!(client.reply(), "+OK");
    assert_eq!(client.reply(), "$1 2");
    assert!(client.is_silent());
}

#[test]
fn scripts_need_the_whole_database() {
    let setup = setup(SOME);
    let mut client = setup.client();
    let denied = client.call(&["EVAL", "return 1", "0"]);
    assert!(denied.starts_with("-NOPERM"), "{denied}");
    assert!(
        client
            .call(&["SORT", "app:a", "BY", "x*"])
            .starts_with("-NOPERM")
    );
    assert_eq!(client.call(&["SORT", "app:a"]), "*0");
    setup.world.set_policy("acme", "app", FULL);
    assert_eq!(client.call(&["EVAL", "return 1", "0"]), ":1");
}

#[test]
fn a_stop_finishes_what_was_read() {
    let setup = setup(FULL);
    let mut idle = setup.client();
    let mut busy = setup.client();
    let mut waiting = setup.client();
    waiting.request(&["BLPOP", "q", "0"]);
    busy.request(&["DEBUG", "SLEEP", "0"]); // refused
    assert!(busy.reply().starts_with("-NOPERM"));
    busy.request(&[
        "EVAL",
        "local t = redis.call('TIME')[1] + 2; while redis.call('TIME')[1] + 0 <= t do end return 7",
        "0",
    ]);
    // Until the server is at it: it takes two seconds at least.
    std::thread::sleep(Duration::from_secs(1));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let Setup {
        gateway,
        server: _server,
        ..
    } = setup;
    let address = gateway.local_addr();
    let start = std::time::Instant::now();
    runtime.block_on(gateway.shutdown(Duration::from_secs(10)));
    assert!(start.elapsed() < Duration::from_secs(8));
    assert_eq!(busy.reply(), ":7");
    for client in [&mut idle, &mut busy, &mut waiting] {
        assert_eq!(client.reply(), "closed");
    }
    assert!(std::net::TcpStream::connect(address).is_err());
}
