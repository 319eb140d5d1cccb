//! Transcripts: bytes of the client and of the upstream in, bytes for both out, without sockets.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use keyward_auth::{
    AccessKeyId, AccessKeySecret, HashKey, LoginThrottle, MasterKey, SigningKeys, Verifier,
    hash_secret,
};
use keyward_commands::Touched;
use keyward_iam::{
    Backend as Behind, Change, ChangeContext, DecisionLog, Directory, PolicyInput, UnixMillis,
};
use keyward_net::Transport;
use keyward_resp::{Words, encode_request};
use proptest::prelude::*;

use super::client::{Client, Turn};
use super::handling::Handling;
use crate::backend::Backend;
use crate::metrics::WorkerMetrics;
use crate::settings::GatewaySettings;
use crate::shared::Shared;

/// A client of a database on a server that nobody has started.
struct Desk {
    shared: Shared,
    settings: GatewaySettings,
    metrics: WorkerMetrics,
    touched: Touched,
    words: Words,
    inline: Vec<u8>,
    input: Vec<u8>,
    input_of_server: Vec<u8>,
    client: Client,
}

impl Desk {
    fn new(policy: &str) -> Self {
        let hash_key = HashKey::new([1; 32]);
        let id = AccessKeyId::generate();
        let secret = AccessKeySecret::generate(id);
        let identity = "org/o/programmatic_identity/app".to_owned();
        let changes = [
            Change::CreateUser {
                id: "u".into(),
                name: None,
            },
            Change::CreateOrganisation {
                id: "o".into(),
                name: None,
                owner: "user/u".into(),
                account: "000000000001".into(),
                administrator: None,
            },
            Change::CreateDatabase {
                organisation: "o".into(),
                id: "main".into(),
                name: None,
                description: None,
                backend: Behind::Server {
                    address: "h:1".into(),
                    user: None,
                    password: None,
                    operator: true,
                },
            },
            Change::CreateProgrammaticIdentity {
                organisation: "o".into(),
                id: "app".into(),
                name: None,
            },
            Change::CreateTrust {
                id: "t".into(),
                trustor: "org/o".into(),
                trustee: identity.clone(),
                policies: vec![PolicyInput::Document(policy.into())],
                expires_at: None,
                kind: None,
                conditions: None,
            },
            Change::CreateAccessKey {
                identity,
                key_id: id.to_string(),
                secret_hash: hash_secret(&hash_key, &secret),
                description: None,
                expires_at: None,
                sealed_secret: None,
            },
        ];
        let mut directory = Directory::empty();
        for change in changes {
            let context = ChangeContext::system(UnixMillis(1));
            directory = directory.apply(&change, &context).unwrap().directory;
        }
        let revision = directory.revision();
        let shared = Shared::new(
            Arc::new(ArcSwap::from_pointee(directory)),
            Arc::new(AtomicU64::new(revision)),
            Arc::new(DecisionLog::new()),
            Arc::new(Verifier::new(
                hash_key,
                MasterKey::generate(),
                SigningKeys::generate(UnixMillis(0)),
            )),
            Arc::new(LoginThrottle::new()),
        );
        let settings = GatewaySettings::new("127.0.0.1:1".parse().unwrap());
        let (metrics, mut touched, mut out) = <(WorkerMetrics, Touched, Vec<u8>)>::default();
        let mut turn = Turn {
            shared: &shared,
            settings: &settings,
            metrics: &metrics,
            out: &mut out,
            sent: 0,
            touched: &mut touched,
            now: UnixMillis(1),
            watched: false,
            allowed: 0,
        };
        let address = "127.0.0.1:1".parse().unwrap();
        let client = Client::new(1, address, address, Transport::default(), &mut turn);
        let mut desk = Self {
            shared,
            settings,
            metrics,
            touched,
            words: Words::default(),
            inline: Vec::new(),
            input: Vec::new(),
            input_of_server: Vec::new(),
            client,
        };
        assert_eq!(desk.asks(&[b"AUTH", secret.expose().as_bytes()]), "+OK ");
        desk.connect();
        desk
    }

    fn turn<T>(
        &mut self,
        act: impl FnOnce(&mut Client, &mut Words, &mut Vec<u8>, &mut Vec<u8>, &mut Turn<'_>) -> T,
    ) -> (T, Vec<u8>) {
        let mut out = Vec::new();
        let mut turn = Turn {
            shared: &self.shared,
            settings: &self.settings,
            metrics: &self.metrics,
            out: &mut out,
            sent: 0,
            touched: &mut self.touched,
            now: UnixMillis(1),
            watched: false,
            allowed: 0,
        };
        let done = act(
            &mut self.client,
            &mut self.words,
            &mut self.inline,
            &mut self.input,
            &mut turn,
        );
        (done, out)
    }

    /// The client sends bytes; what it gets back at once.
    fn client(&mut self, bytes: &[u8]) -> Vec<u8> {
        let ((), out) = self.turn(|client, words, inline, input, turn| {
            input.extend_from_slice(bytes);
            let consumed = client.receive(input, words, inline, turn);
            input.drain(..consumed);
        });
        out
    }

    fn asks(&mut self, words: &[&[u8]]) -> String {
        let mut request = Vec::new();
        encode_request(words.iter().copied(), &mut request);
        readable(&self.client(&request))
    }

    /// The server sends bytes; what the client gets of it. All of them are dealt with.
    fn server(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (consumed, mut out) =
            self.turn(|client, _, _, _, turn| client.deliver(bytes, turn).unwrap());
        assert_eq!(consumed, bytes.len());
        out.extend(self.client(b"")); // what was held back
        out
    }

    fn connect(&mut self) {
        if let Backend::Server(upstream) = &mut self.client.backend {
            upstream.connected();
        }
    }

    /// What went to the server since the last look.
    fn sent(&mut self) -> Vec<u8> {
        let Backend::Server(upstream) = &mut self.client.backend else {
            return Vec::new();
        };
        let sent = upstream.to_send().to_vec();
        upstream.sent(sent.len());
        sent
    }
}

fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace("\r\n", " ")
}

const SOME: &str = r#"[{"Effect":"Allow","Actions":["kvdb:*"],"Resources":["kvdb/main"],
    "Keys":["app:*"],"Channels":["*"]}]"#;
const FULL: &str = r#"[{"Effect":"Allow","Actions":["kvdb:*"],"Resources":["kvdb/main"]}]"#;

#[test]
fn a_denial_waits_for_the_reply_before_it_and_is_not_sent() {
    let mut desk = Desk::new(SOME);
    assert_eq!(desk.asks(&[b"GET", b"app:a"]), "");
    assert_eq!(desk.asks(&[b"GET", b"other"]), "");
    assert_eq!(desk.asks(&[b"get", b"app:b"]), "");
    let sent = readable(&desk.sent());
    assert_eq!(sent, "*2 $3 GET $5 app:a *2 $3 get $5 app:b ");
    let first = readable(&desk.server(b"$1\r\nx\r\n"));
    assert!(
        first.starts_with("$1 x -NOPERM No permissions to access a key: "),
        "{first}"
    );
    assert_eq!(readable(&desk.server(b"$-1\r\n")), "$-1 ");
}

#[test]
fn inline_requests_are_encoded_anew() {
    let mut desk = Desk::new(FULL);
    desk.client(b"SET k \"a b\\x41\"\r\nPING\r\n");
    assert_eq!(readable(&desk.sent()), "*3 $3 SET $1 k $4 a bA *1 $4 PING ");
}

#[test]
fn a_refused_transaction_is_discarded_at_the_server() {
    let mut desk = Desk::new(SOME);
    desk.asks(&[b"MULTI"]);
    desk.asks(&[b"SET", b"app:a", b"1"]);
    desk.asks(&[b"SET", b"other", b"1"]);
    desk.asks(&[b"EXEC"]);
    desk.asks(&[b"GET", b"app:a"]);
    let sent = readable(&desk.sent());
    assert_eq!(
        sent,
        "*1 $5 MULTI *3 $3 SET $5 app:a $1 1 *1 $7 DISCARD *2 $3 GET $5 app:a "
    );
    let out = readable(&desk.server(b"+OK\r\n+QUEUED\r\n+OK\r\n$-1\r\n"));
    let (before, after) = out.split_once("-NOPERM").unwrap();
    assert_eq!(before, "+OK +QUEUED ");
    let aborted = "-EXECABORT Transaction discarded because of previous errors. $-1 ";
    assert!(after.ends_with(aborted), "{after}");
}

#[test]
fn a_protocol_change_waits_for_what_is_outstanding() {
    let mut desk = Desk::new(FULL);
    desk.asks(&[b"GET", b"a"]);
    assert_eq!(desk.asks(&[b"HELLO", b"3"]), "");
    assert_eq!(desk.asks(&[b"GET", b"b"]), "");
    assert_eq!(readable(&desk.sent()), "*2 $3 GET $1 a ");
    let out = readable(&desk.server(b"$-1\r\n"));
    assert!(out.starts_with("$-1 %7 $6 server"), "{out}");
    assert_eq!(readable(&desk.sent()), "*2 $5 HELLO $1 3 *2 $3 GET $1 b ");
    assert_eq!(readable(&desk.server(b"%1\r\n+proto\r\n:3\r\n_\r\n")), "_ ");
}

#[test]
fn when_the_server_cannot_be_reached_each_request_gets_an_error() {
    let mut desk = Desk::new(SOME);
    desk.turn(|client, _, _, _, turn| client.upstream_lost(turn)); // idle: no harm
    assert!(!desk.client.broken);
    desk.asks(&[b"MULTI"]);
    desk.asks(&[b"GET", b"app:a"]);
    desk.asks(&[b"SUBSCRIBE", b"c"]);
    let ((), out) = desk.turn(|client, _, _, _, turn| client.upstream_lost(turn));
    let error = "-ERR keyward: backend unavailable, try again later ";
    let refused = "-ERR keyward: 'subscribe' is not available inside MULTI ";
    assert_eq!(readable(&out), format!("{error}{error}{refused}"));
    // The transaction is gone with it.
    assert_eq!(desk.asks(&[b"CLIENT", b"GETNAME"]), "$-1 ");
}

#[test]
fn a_server_lost_with_something_outstanding_breaks_the_connection() {
    let cases: [&[&[&[u8]]]; 3] = [
        &[&[b"GET", b"a"]],
        &[&[b"WATCH", b"a"]],
        &[&[b"SUBSCRIBE", b"a"]],
    ];
    for requests in cases {
        let mut desk = Desk::new(FULL);
        for words in requests {
            desk.asks(words);
        }
        desk.sent();
        desk.turn(|client, _, _, _, turn| client.upstream_lost(turn));
        assert!(desk.client.broken);
    }
}

#[test]
fn notifications_of_keys_need_the_keys() {
    let cases: [(&[&[u8]], bool); 8] = [
        (&[b"SUBSCRIBE", b"news"], true),
        (&[b"SUBSCRIBE", b"__keyspace@0__:app:1"], true),
        (&[b"SUBSCRIBE", b"__keyspace@0__:other"], false),
        (&[b"SUBSCRIBE", b"__keyevent@0__:set"], false),
        (&[b"PSUBSCRIBE", b"news*"], true),
        (&[b"PSUBSCRIBE", b"*"], false),
        (&[b"PSUBSCRIBE", b"__key*"], false),
        (&[b"PSUBSCRIBE", b"?_keyevent*"], false),
    ];
    for (words, expected) in cases {
        let mut desk = Desk::new(SOME);
        let reply = desk.asks(words);
        assert_eq!(reply.is_empty(), expected, "{words:?}: {reply}");
        let mut desk = Desk::new(FULL);
        assert_eq!(desk.asks(words), "", "{words:?}");
    }
}

/// A request: its words, and whether it reaches the server.
fn request() -> impl Strategy<Value = (Vec<&'static [u8]>, bool)> {
    prop_oneof![
        Just((vec![&b"GET"[..], b"app:a"], true)),
        Just((vec![&b"MGET"[..], b"app:a", b"app:b"], true)),
        Just((vec![&b"MGET"[..], b"app:a", b"b"], false)),
        Just((vec![&b"SET"[..], b"b", b"v"], false)),
        Just((vec![&b"CLIENT"[..], b"ID"], false)),
        Just((vec![&b"NOSUCH"[..]], false)),
        Just((vec![&b"SORT"[..], b"app:a", b"GET", b"x*"], false)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the client's bytes are cut: the server gets exactly the requests that are allowed,
    /// as they came, and every request gets one reply, in order.
    #[test]
    fn the_server_gets_what_is_allowed_and_nothing_else(
        requests in proptest::collection::vec(request(), 1..20),
        cuts in proptest::collection::vec(1usize..50, 1..20),
    ) {
        let mut desk = Desk::new(SOME);
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (words, reaches) in &requests {
            let start = bytes.len();
            encode_request(words.iter().copied(), &mut bytes);
            if *reaches {
                expected.extend_from_slice(&bytes[start..]);
            }
        }
        let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
        let (mut sent, mut out) = (Vec::new(), Vec::new());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            out.extend(desk.client(piece));
            sent.extend(desk.sent());
            rest = after;
        }
        prop_assert_eq!(readable(&sent), readable(&expected));
        for (number, _) in requests.iter().filter(|(_, reaches)| *reaches).enumerate() {
            out.extend(desk.server(format!(":{number}\r\n").as_bytes()));
        }
        let mut replies = readable(&out);
        let mut next = 0;
        for (words, reaches) in &requests {
            let start = match reaches {
                true => {
                    next += 1;
                    format!(":{} ", next - 1)
                }
                false if words[0] == b"CLIENT" => ":1 ".to_owned(),
                false => "-".to_owned(),
            };
            prop_assert!(replies.starts_with(&start), "{start}: {replies}");
            let end = match replies.starts_with('-') {
                // A denial ends with its id, an unknown command's error with the words.
                true => match replies.starts_with("-NOPERM") {
                    true => replies.find("(keyward why ").map(|at| at + 13 + 32 + 2),
                    false => replies.find("with:  ").map(|at| at + 7),
                },
                false => Some(start.len()),
            };
            replies = replies[end.unwrap()..].to_owned();
        }
        prop_assert_eq!(replies, "");
    }
}

#[test]
fn enumerations_show_what_may_be_read() {
    let mut desk = Desk::new(SOME);
    desk.asks(&[b"KEYS", b"*"]);
    desk.asks(&[b"SCAN", b"0"]);
    desk.asks(&[b"GET", b"app:1"]);
    desk.asks(&[b"CLIENT", b"ID"]);
    assert_eq!(
        readable(&desk.sent()),
        "*2 $4 KEYS $1 * *2 $4 SCAN $1 0 *2 $3 GET $5 app:1 "
    );
    let keys = "*3\r\n$5\r\napp:1\r\n$5\r\nother\r\n$5\r\napp:2\r\n";
    let mut out = Vec::new();
    let reply = format!("{keys}*2\r\n$2\r\n17\r\n{keys}$1\r\nx\r\n");
    for byte in reply.bytes() {
        // What is not dealt with comes again with what follows.
        desk.input_of_server.push(byte);
        let input = std::mem::take(&mut desk.input_of_server);
        let (consumed, piece) =
            desk.turn(|client, _, _, _, turn| client.deliver(&input, turn).unwrap());
        desk.input_of_server = input[consumed..].to_vec();
        out.extend(piece);
    }
    let shown = "*2 $5 app:1 $5 app:2 ";
    assert_eq!(readable(&out), format!("{shown}*2 $2 17 {shown}$1 x :1 "));
}

#[test]
fn a_random_key_is_drawn_until_it_may_be_shown() {
    let draws = crate::sieve::DRAWS as usize;
    let mut desk = Desk::new(SOME);
    desk.asks(&[b"RANDOMKEY"]);
    desk.asks(&[b"RANDOMKEY"]);
    let sent = readable(&desk.sent());
    assert_eq!(sent, "*1 $9 RANDOMKEY ".repeat(2 * draws));
    let hidden = "$5\r\nother\r\n";
    let reply = format!("{hidden}$5\r\napp:7\r\n{}", hidden.repeat(draws - 2));
    assert_eq!(readable(&desk.server(reply.as_bytes())), "$5 app:7 ");
    let reply = hidden.repeat(draws);
    assert_eq!(readable(&desk.server(reply.as_bytes())), "$-1 ");
    // Whoever may read all asks once.
    let mut desk = Desk::new(FULL);
    desk.asks(&[b"RANDOMKEY"]);
    assert_eq!(readable(&desk.sent()), "*1 $9 RANDOMKEY ");
    assert_eq!(readable(&desk.server(hidden.as_bytes())), "$5 other ");
}

#[test]
fn enumerations_in_a_transaction_show_what_may_be_read() {
    let draws = crate::sieve::DRAWS as usize;
    let mut desk = Desk::new(SOME);
    let requests: [&[&[u8]]; 6] = [
        &[b"MULTI"],
        &[b"SET", b"app:1", b"v"],
        &[b"RANDOMKEY"],
        &[b"KEYS", b"*"],
        &[b"EXEC"],
        &[b"PING"],
    ];
    for words in requests {
        desk.asks(words);
    }
    let queued = "+QUEUED\r\n".repeat(draws + 2);
    let out = desk.server(format!("+OK\r\n{queued}").as_bytes());
    assert_eq!(readable(&out), "+OK +QUEUED +QUEUED +QUEUED ");
    let other = "$5\r\nother\r\n";
    let reply = format!(
        "*{}\r\n+OK\r\n{}$5\r\napp:1\r\n*2\r\n{other}$5\r\napp:1\r\n+PONG\r\n",
        draws + 2,
        other.repeat(draws - 1)
    );
    let out = desk.server(reply.as_bytes());
    assert_eq!(readable(&out), "*3 +OK $5 app:1 *1 $5 app:1 +PONG ");
}

#[test]
fn every_enumeration_is_filtered() {
    for command in keyward_commands::CommandId::all() {
        let tells = command.command().scope == keyward_commands::CommandScope::Enumeration;
        let filtered = matches!(Handling::of(command), Handling::Enumeration(_));
        assert_eq!(tells, filtered, "{}", command.command().name);
    }
}
