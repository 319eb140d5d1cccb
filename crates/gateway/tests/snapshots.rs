//! Snapshots of servers and of the embedded engine, and back, whatever happens meanwhile.
//!
//! `KEYWARD_SNAPSHOT_KEYS` sets another number of keys; with `KEYWARD_SNAPSHOT_MEASURE` the tests
//! `measured…` tell speed and memory.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use keyward_gateway::{
    RecordHead, Shared, SnapshotError, SnapshotHeader, SnapshotProgress, SnapshotSummary,
    SnapshotWriter, UpstreamPassword,
};
use keyward_iam::{Backend, Change, Existing, Session, SnapshotPermit, UnixMillis};
use keyward_test_servers::ServerKind;
use support::{Client, RealServer, World, request};

/// Keys of a test unless the environment says otherwise.
const KEYS: u64 = 20_000;
/// Long after the tests, in Unix milliseconds.
const LATER: u64 = 4_000_000_000_000;

const SERVER: [&str; 6] = [
    "--enable-debug-command",
    "yes",
    "--databases",
    "20",
    "--maxclients",
    "50",
];

fn keys() -> u64 {
    let set = std::env::var("KEYWARD_SNAPSHOT_KEYS").ok();
    set.map_or(KEYS, |text| text.parse().unwrap())
}

fn start(valkey: bool, options: &[&str]) -> RealServer {
    let kind = match valkey {
        true => ServerKind::Valkey,
        false => ServerKind::Redis,
    };
    RealServer::start(kind, options)
}

fn direct(server: &RealServer) -> Client {
    Client::connect(server.address.parse().unwrap())
}

/// Databases, snapshots of them, and a folder for their files.
struct Bench {
    world: World,
    shared: Arc<Shared>,
    folder: PathBuf,
    number: AtomicU64,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Bench {
    fn new() -> Self {
        let world = World::new();
        let shared = Arc::new(world.shared());
        let name = format!("keyward-snapshots-{}", keyward_auth::decision_id());
        Self {
            world,
            shared,
            folder: std::env::temp_dir().join(name),
            number: AtomicU64::new(0),
        }
    }

    fn database(&self, id: &str, backend: Backend) -> String {
        self.world.database("acme", id, backend);
        format!("org/acme/kvdb/{id}")
    }

    fn server(&self, id: &str, server: &RealServer) -> String {
        self.database(id, server.backend())
    }

    fn permit(&self, change: &Change) -> SnapshotPermit {
        let directory = self.world.directory.load();
        let owner = directory.identity_at("user/owner").unwrap();
        let session = Session::of_identity(owner);
        let permit = directory.permit_snapshot(&session, change, UnixMillis(1));
        permit.unwrap_or_else(|decision| panic!("{decision:?}"))
    }

    fn file(&self, snapshot: &str) -> PathBuf {
        self.folder.join(format!("{snapshot}.kws"))
    }

    /// Makes the next snapshot of a database; its path.
    fn create(
        &self,
        database: &str,
        progress: &SnapshotProgress,
    ) -> (String, Result<SnapshotSummary, SnapshotError>) {
        let id = format!("s{}", self.number.fetch_add(1, Ordering::Relaxed));
        let change = Change::CreateSnapshot {
            database: database.into(),
            id: id.clone(),
            description: None,
        };
        let permit = self.permit(&change);
        self.world.change(change);
        let snapshot = format!("{database}/snapshot/{id}");
        let file = self.file(&snapshot);
        let made = self.shared.create_snapshot(&permit, &file, progress);
        assert_eq!(file.exists(), made.is_ok());
        assert!(!Path::new(&format!("{}.part", file.display())).exists());
        (snapshot, made)
    }

    fn created(&self, database: &str) -> (String, SnapshotSummary) {
        let (snapshot, made) = self.create(database, &SnapshotProgress::default());
        let made = made.unwrap_or_else(|error| panic!("{}", error.chain()));
        (snapshot, made)
    }

    fn restore(
        &self,
        snapshot: &str,
        target: &str,
        existing: Existing,
    ) -> Result<SnapshotSummary, SnapshotError> {
        let progress = SnapshotProgress::default();
        let permit = self.permit(&Change::RestoreSnapshot {
            path: snapshot.into(),
            target: target.into(),
            existing,
        });
        self.shared
            .restore_snapshot(&permit, &self.file(snapshot), &progress)
    }

    fn restored(&self, snapshot: &str, target: &str, existing: Existing) -> SnapshotSummary {
        let restored = self.restore(snapshot, target, existing);
        restored.unwrap_or_else(|error| panic!("{}", error.chain()))
    }

    fn refused(&self, snapshot: &str, target: &str, existing: Existing) -> String {
        match self.restore(snapshot, target, existing) {
            Ok(_) => panic!("it was restored"),
            Err(error) => error.chain(),
        }
    }

    /// A file that nobody but a faulty Keyward would write.
    fn forged(&self, snapshot: &str, records: &[(RecordHead, Vec<u8>)]) {
        let file = self.file(snapshot);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let header = SnapshotHeader {
            path: snapshot.into(),
            created: 1,
            server: "redis 7.0.0".into(),
        };
        let file = std::fs::File::create(file).unwrap();
        let key = &self.shared.verifier.master_key;
        let mut writer = SnapshotWriter::new(file, key, &header).unwrap();
        for (head, payload) in records {
            writer.record(head).unwrap();
            writer.payload(payload).unwrap();
        }
        writer.finish().unwrap();
    }
}

/// Sends many commands at once and takes care that none fails.
fn all(client: &mut Client, commands: impl IntoIterator<Item = Vec<String>>) {
    let mut commands = commands.into_iter().peekable();
    while commands.peek().is_some() {
        let some: Vec<_> = commands.by_ref().take(500).collect();
        client.send(
            some.iter()
                .flat_map(|words| request(words))
                .collect::<Vec<u8>>(),
        );
        for words in &some {
            let reply = client.reply();
            assert!(!reply.starts_with('-'), "{words:?}: {reply}");
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// Keys of every type that both sides have, small and large, with and without expiry.
fn fill(client: &mut Client, count: u64, streams: bool) {
    let key = |number: u64| match number % 10 {
        0 | 1 => format!("SET key:{number} value-{number} PXAT {}", LATER + number),
        2 => format!("SET key:{number} {number}"),
        3 => format!("RPUSH key:{number} a {number} c"),
        4 => format!("SADD key:{number} {number} 2 3"),
        5 => format!("SADD key:{number} a{number} b"),
        6 => format!("HSET key:{number} field value other {number}"),
        7 => format!("ZADD key:{number} 1.5 a {number} b -inf c"),
        8 => format!("SET key:{number} {}", "long".repeat(60)),
        _ if streams => format!("XADD key:{number} 1-1 field {number}"),
        _ => format!("SET key:{number} x"),
    };
    all(client, (0..count).map(|number| words(&key(number))));
    let expire = |number: u64| format!("PEXPIREAT key:{number} {}", LATER - number);
    all(
        client,
        (0..count).filter(|n| n % 7 == 0).map(|n| words(&expire(n))),
    );
    // Large ones of each type, in a keyspace of their own.
    let mut large = vec![words("SELECT 3")];
    for part in 0..20 {
        let elements = |form: &dyn Fn(u64) -> String| {
            let from = part * 100;
            (from..from + 100).map(form).collect::<Vec<_>>().join(" ")
        };
        large.push(words(&format!(
            "RPUSH large:l {}",
            elements(&|n| n.to_string())
        )));
        large.push(words(&format!(
            "SADD large:s {}",
            elements(&|n| format!("m{n}"))
        )));
        large.push(words(&format!(
            "SADD large:i {}",
            elements(&|n| n.to_string())
        )));
        large.push(words(&format!(
            "HSET large:h {}",
            elements(&|n| format!("f{n} {n}"))
        )));
        large.push(words(&format!(
            "ZADD large:z {}",
            elements(&|n| format!("{n}.25 m{n}"))
        )));
    }
    large.push(words(&format!("RPUSH large:p {} b", "x".repeat(50_000))));
    large.push(words("PEXPIREAT large:h 4000000000123"));
    large.push(words("SELECT 0"));
    all(client, large);
}

/// Checksums of values and expiries of all keys, by keyspace.
fn digest(client: &mut Client) -> String {
    let sum = client.call(&["DEBUG", "DIGEST"]);
    assert!(!sum.starts_with('-'), "{sum}");
    sum
}

fn expiry(client: &mut Client, key: &str) -> String {
    client.call(&["PEXPIRETIME", key])
}

#[test]
fn all_keys_of_a_server_come_back() {
    for valkey in [false, true] {
        let [from, to] = [start(valkey, &SERVER), start(valkey, &SERVER)];
        let bench = Bench::new();
        let (source, target) = (bench.server("from", &from), bench.server("to", &to));
        let (mut old, mut new) = (direct(&from), direct(&to));
        fill(&mut old, keys(), true);
        all(
            &mut old,
            [words("SELECT 19"), words("SET last v"), words("SELECT 0")],
        );
        let (snapshot, made) = bench.created(&source);
        assert_eq!(made.keys, keys() + 7);
        let name = if valkey { "valkey 9" } else { "redis 7" };
        assert!(made.server.starts_with(name), "{}", made.server);
        let put = bench.restored(&snapshot, &target, Existing::Refuse);
        assert_eq!(
            (put.keys, put.bytes, put.sha256),
            (made.keys, made.bytes, made.sha256)
        );
        assert_eq!(digest(&mut old), digest(&mut new));
        for number in [0, 1, 7, 14, 2] {
            let key = format!("key:{number}");
            assert_eq!(expiry(&mut old, &key), expiry(&mut new, &key), "{key}");
        }
        assert_eq!(new.call(&["EXISTS", "keyward:probe"]), ":0");
        // Not a second time, unless that is wanted.
        let again = bench.refused(&snapshot, &target, Existing::Refuse);
        let expected = format!("the target is not empty: it has {} keys", made.keys);
        assert!(again.starts_with(&expected), "{again}");
        all(
            &mut new,
            [
                words("SET key:1 changed"),
                words("SET more v"),
                words("DEL key:2"),
            ],
        );
        bench.restored(&snapshot, &target, Existing::Replace);
        assert_eq!(new.call(&["GET", "more"]), "$1 v");
        all(&mut new, [words("DEL more")]);
        assert_eq!(digest(&mut old), digest(&mut new));
        all(
            &mut new,
            [words("SELECT 5"), words("SET more v"), words("SELECT 0")],
        );
        bench.restored(&snapshot, &target, Existing::Flush);
        assert_eq!(digest(&mut old), digest(&mut new));
    }
}

/// A writer that sets value and expiry of a key together, and makes and removes others.
fn write_pairs(server: &RealServer, count: u64, stop: &Arc<AtomicBool>) -> thread::JoinHandle<u64> {
    let (mut client, stop) = (direct(server), Arc::clone(stop));
    thread::spawn(move || {
        let mut round = 0;
        while !stop.load(Ordering::Relaxed) {
            let mut commands = Vec::new();
            for _ in 0..20 {
                round += 1;
                let pair = round * 7919 % count;
                commands.push(words("MULTI"));
                commands.push(words(&format!(
                    "SET pair:{pair} {round} PXAT {}",
                    LATER + round
                )));
                commands.push(words(&format!("HSET pairs:{pair} n {round}")));
                commands.push(words(&format!("PEXPIREAT pairs:{pair} {}", LATER + round)));
                commands.push(words("EXEC"));
                commands.push(words(&format!("SET brief:{round} v")));
                commands.push(words(&format!("DEL brief:{}", round.saturating_sub(300))));
            }
            all(&mut client, commands);
        }
        round
    })
}

#[test]
fn each_record_is_of_one_moment_while_a_writer_changes_keys() {
    for valkey in [false, true] {
        let [from, to] = [start(valkey, &SERVER), start(valkey, &SERVER)];
        let bench = Bench::new();
        let (source, target) = (bench.server("from", &from), bench.server("to", &to));
        let (mut old, mut new) = (direct(&from), direct(&to));
        let count = keys() / 10;
        fill(&mut old, keys(), true);
        let pair = |n: u64| {
            [
                words(&format!("SET pair:{n} 0 PXAT {LATER}")),
                words(&format!("HSET pairs:{n} n 0")),
                words(&format!("PEXPIREAT pairs:{n} {LATER}")),
            ]
        };
        all(&mut old, (0..count).flat_map(pair));
        let stop = Arc::new(AtomicBool::new(false));
        let writer = write_pairs(&from, count, &stop);
        let (snapshot, made) = bench.created(&source);
        stop.store(true, Ordering::Relaxed);
        let rounds = writer.join().unwrap();
        assert!(rounds > 0 && made.keys >= keys() + 2 * count);
        bench.restored(&snapshot, &target, Existing::Refuse);
        // What stayed is there as it was.
        for from in (0..keys()).step_by(500) {
            let names = (from..from + 500).map(|number| format!("key:{number}"));
            let question: Vec<_> = words("DEBUG DIGEST-VALUE")
                .into_iter()
                .chain(names)
                .collect();
            assert_eq!(old.call(&question), new.call(&question));
        }
        // What changed has value and expiry of one moment.
        let mut changed = 0;
        for number in 0..count {
            for (get, key) in [
                (format!("GET pair:{number}"), format!("pair:{number}")),
                (format!("HGET pairs:{number} n"), format!("pairs:{number}")),
            ] {
                let value = new.call(&words(&get));
                let value: u64 = value.split(' ').nth(1).unwrap().parse().unwrap();
                assert_eq!(
                    expiry(&mut new, &key),
                    format!(":{}", LATER + value),
                    "{key}"
                );
                changed += u64::from(value > 0);
            }
        }
        println!("{rounds} rounds of the writer, {changed} changed pairs in the snapshot");
    }
}

#[test]
fn from_server_to_engine_and_back() {
    for valkey in [false, true] {
        let [from, to] = [start(valkey, &[]), start(valkey, &SERVER)];
        // Forms of every kind: as the server has them, and without its compact ones.
        for round in 0..2 {
            let bench = Bench::new();
            let source = bench.server("from", &from);
            let middle = bench.database("middle", Backend::Embedded);
            let target = bench.server("to", &to);
            let (mut old, mut new) = (direct(&from), direct(&to));
            all(&mut old, [words("FLUSHALL")]);
            if round == 1 {
                for setting in [
                    "list-max-listpack-size 3",
                    "hash-max-listpack-entries 0",
                    "zset-max-listpack-entries 0",
                    "set-max-intset-entries 0",
                ] {
                    all(&mut old, [words(&format!("CONFIG SET {setting}"))]);
                }
            }
            fill(&mut old, keys() / 10, false);
            let (snapshot, made) = bench.created(&source);
            let put = bench.restored(&snapshot, &middle, Existing::Refuse);
            assert_eq!((put.keys, &*put.server), (made.keys, "embedded"));
            let (snapshot, made) = bench.created(&middle);
            assert_eq!((made.keys, &*made.server), (put.keys, "embedded"));
            bench.restored(&snapshot, &target, Existing::Flush);
            all(&mut old, [words("CONFIG SET list-max-listpack-size -2")]);
            let mut source_sum = Client::connect(from.address.parse().unwrap());
            // The other server may not have DEBUG: values are compared by name.
            assert_eq!(source_sum.call(&["DBSIZE"]), new.call(&["DBSIZE"]));
            for number in 0..keys() / 10 {
                let key = format!("key:{number}");
                for question in [
                    format!("GET {key}"),
                    format!("LRANGE {key} 0 -1"),
                    format!("SORT {key} ALPHA"),
                    format!("HMGET {key} field other"),
                    format!("ZRANGE {key} 0 -1 WITHSCORES"),
                    format!("PEXPIRETIME {key}"),
                ] {
                    let question = words(&question);
                    assert_eq!(old.call(&question), new.call(&question), "{question:?}");
                }
            }
            for client in [&mut old, &mut new] {
                all(client, [words("SELECT 3")]);
            }
            for question in [
                "LRANGE large:l 0 -1",
                "SORT large:s ALPHA",
                "SORT large:i",
                "SORT large:h BY nosort",
                "HGET large:h f1234",
                "HLEN large:h",
                "ZRANGE large:z 0 -1 WITHSCORES",
                "LRANGE large:p 0 -1",
                "PEXPIRETIME large:h",
            ] {
                let question = words(question);
                assert_eq!(old.call(&question), new.call(&question), "{question:?}");
            }
        }
    }
}

#[test]
fn what_a_target_cannot_read_is_told_before_anything_is_changed() {
    let redis = RealServer::redis();
    let valkey = RealServer::start(ServerKind::Valkey, &[]);
    let bench = Bench::new();
    let (old, new) = (
        bench.server("redis", &redis),
        bench.server("valkey", &valkey),
    );
    let engine = bench.database("engine", Backend::Embedded);
    let mut direct_old = direct(&redis);
    all(
        &mut direct(&valkey),
        [words("SET k v"), words("XADD s 1-1 f v")],
    );
    all(&mut direct_old, [words("SET mine v")]);
    let (snapshot, _) = bench.created(&new);
    let error = bench.refused(&snapshot, &old, Existing::Flush);
    assert!(
        error.starts_with("the target (redis 7.")
            && error.contains("cannot read the snapshot (of valkey 9.")
            && error
                .contains("version 80 of the format, and it reads older versions only; nothing"),
        "{error}"
    );
    assert_eq!(direct_old.call(&["GET", "mine"]), "$1 v");
    let error = bench.refused(&snapshot, &engine, Existing::Flush);
    assert!(
        error.contains("the embedded engine has no streams"),
        "{error}"
    );
    // A value of a module, under a right checksum (which a server would make).
    let snapshot = format!("{new}/snapshot/forged");
    bench.world.change(Change::CreateSnapshot {
        database: new.clone(),
        id: "forged".into(),
        description: None,
    });
    let module = b"\x07\x81\x01\x02\x03\x04\x05\x06\x07\x08\x00\x0a\x00".to_vec();
    let head = |payload: &[u8], database| RecordHead {
        database,
        key: b"k".to_vec(),
        expires_at: 0,
        payload: payload.len() as u32,
    };
    let module = with_checksum(module);
    bench.forged(&snapshot, &[(head(&module, 0), module.clone())]);
    let error = bench.refused(&snapshot, &old, Existing::Flush);
    assert!(
        error.contains("it has no type of that module; nothing was changed"),
        "{error}"
    );
    let error = bench.refused(&snapshot, &engine, Existing::Flush);
    assert!(
        error.contains("the embedded engine has no types of modules"),
        "{error}"
    );
    let plain = with_checksum(b"\x00\x01v\x0a\x00".to_vec());
    bench.forged(&snapshot, &[(head(&plain, 16), plain.clone())]);
    for target in [&old, &engine] {
        let error = bench.refused(&snapshot, target, Existing::Flush);
        assert!(error.contains("it has no keyspace 16"), "{error}");
    }
    // A large value is not tried before: it says then how far it came.
    let mut large = vec![7];
    large.resize(100_000, 0);
    large.extend_from_slice(b"\x0a\x00");
    let large = with_checksum(large);
    bench.forged(
        &snapshot,
        &[(head(&plain, 0), plain), (head(&large, 0), large)],
    );
    for target in [&old, &engine] {
        let error = bench.refused(&snapshot, target, Existing::Flush);
        let expected = "the target is restored in part: 1 of 2 keys are known to be in it: ";
        assert!(error.starts_with(expected), "{error}");
    }
}

/// CRC-64 of the servers, bit by bit.
fn with_checksum(mut payload: Vec<u8>) -> Vec<u8> {
    let mut crc = 0_u64;
    for byte in &payload {
        crc ^= u64::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x95ac_9329_ac4b_c9b5 & (crc & 1).wrapping_neg());
        }
    }
    payload.extend_from_slice(&crc.to_le_bytes());
    payload
}

#[test]
fn a_file_that_was_changed_changes_nothing() {
    let server = RealServer::redis();
    let bench = Bench::new();
    let database = bench.server("db", &server);
    let engine = bench.database("engine", Backend::Embedded);
    let mut client = direct(&server);
    fill(&mut client, 3000, true);
    let (snapshot, _) = bench.created(&database);
    let (other, _) = bench.created(&database);
    let file = bench.file(&snapshot);
    let whole = std::fs::read(&file).unwrap();
    let mut changed = whole.clone();
    let last = changed.len() - 100;
    changed[last] ^= 1;
    let cases = [
        (changed, "was changed, or belongs elsewhere"),
        (whole[..whole.len() - 30_000].to_vec(), "belongs elsewhere"),
        (
            std::fs::read(bench.file(&other)).unwrap(),
            "sealed text is for another purpose",
        ),
        (b"REDIS0011".to_vec(), "this is no sealed file"),
    ];
    for (content, expected) in cases {
        std::fs::write(&file, content).unwrap();
        for target in [&database, &engine] {
            let error = bench.refused(&snapshot, target, Existing::Flush);
            assert!(
                error.starts_with("the file of the snapshot cannot be used: "),
                "{error}"
            );
            assert!(error.ends_with(expected), "{error}");
        }
    }
    std::fs::remove_file(&file).unwrap();
    let error = bench.refused(&snapshot, &database, Existing::Flush);
    assert_eq!(error, "the file of the snapshot is missing");
    assert_eq!(client.call(&["GET", "key:2"]), "$1 2");
}

#[test]
fn what_servers_refuse_is_told() {
    let server = RealServer::start(ServerKind::Redis, &["--requirepass", "secret"]);
    let bench = Bench::new();
    let database = bench.server("db", &server);
    let mut client = direct(&server);
    all(&mut client, [words("AUTH secret")]);
    fill(&mut client, 100, true);
    let error_of = |bench: &Bench, database: &str| {
        let (_, made) = bench.create(database, &SnapshotProgress::default());
        made.err().map(|error| error.chain()).unwrap_or_default()
    };
    let error = |database: &str| error_of(&bench, database);
    assert_eq!(
        error(&database),
        "the server refuses HELLO with NOAUTH: the user and password of the backend are not right"
    );
    let password = |text: &str| Some(UpstreamPassword::new(text.into()));
    bench
        .shared
        .set_upstream_password(&database, password("wrong"));
    assert!(error(&database).starts_with("the server refuses AUTH with WRONGPASS: "));
    bench
        .shared
        .set_upstream_password(&database, password("secret"));
    assert_eq!(error(&database), "");
    let known = bench.created(&database).0;
    // A user who may not do what is needed.
    for (rule, command) in [
        ("-dump", "DUMP"),
        ("-scan", "SCAN"),
        ("-info", "INFO"),
        ("-pexpiretime", "PEXPIRETIME"),
        ("-multi", "MULTI"),
    ] {
        all(
            &mut client,
            [words(&format!(
                "ACL SETUSER snap on >pass reset on >pass ~* +@all {rule}"
            ))],
        );
        let id = format!("user{}", command.to_lowercase());
        let backend = Backend::of_operator(server.address.clone(), Some("snap".into()));
        let bench = Bench::new();
        let database = bench.database(&id, backend);
        bench
            .shared
            .set_upstream_password(&database, password("pass"));
        let expected = format!(
            "the server refuses {command} with NOPERM: the user that keyward logs in as may not run it"
        );
        assert_eq!(error_of(&bench, &database), expected);
    }
    // A target that is full: noticed before anything is changed, and on the way.
    let used = "FLUSHALL";
    all(
        &mut client,
        [
            words(used),
            words("SET mine v"),
            words("CONFIG SET maxmemory 100kb"),
        ],
    );
    let full = bench.refused(&known, &database, Existing::Flush);
    assert_eq!(
        full,
        "the server refuses RESTORE with OOM: its memory is full (maxmemory)"
    );
    assert_eq!(client.call(&["GET", "mine"]), "$1 v");
    // A replica takes no keys.
    all(
        &mut client,
        [
            words("CONFIG SET maxmemory 0"),
            words("REPLICAOF 127.0.0.1 1"),
        ],
    );
    let refused = bench.refused(&known, &database, Existing::Replace);
    assert_eq!(
        refused,
        "the server refuses RESTORE with READONLY: it is a replica"
    );
}

#[test]
fn a_target_that_becomes_full_says_how_far_it_came() {
    let [from, to] = [RealServer::redis(), RealServer::redis()];
    let bench = Bench::new();
    let (source, target) = (bench.server("from", &from), bench.server("to", &to));
    let mut client = direct(&from);
    let value = "v".repeat(20_000);
    all(
        &mut client,
        (0..500).map(|n| words(&format!("SET k{n} {value}{n}"))),
    );
    all(&mut client, [words("CONFIG SET rdbcompression no")]);
    let (snapshot, _) = bench.created(&source);
    let mut client = direct(&to);
    all(&mut client, [words("CONFIG SET maxmemory 6mb")]);
    let error = bench.refused(&snapshot, &target, Existing::Refuse);
    assert!(
        error.starts_with("the target is restored in part: ")
            && error.ends_with("OOM: its memory is full (maxmemory)"),
        "{error}"
    );
    let said: u64 = error.split(' ').nth(6).unwrap().parse().unwrap();
    let found = client.call(&["DBSIZE"]);
    let found: u64 = found[1..].parse().unwrap();
    assert!(said > 0 && found >= said && found < 500, "{said} {found}");
}

#[test]
fn a_server_of_a_cluster_is_refused() {
    let name = keyward_auth::decision_id();
    let nodes = std::env::temp_dir().join(format!("keyward-nodes-{name}.conf"));
    let nodes_text = nodes.display().to_string();
    let server = RealServer::start(
        ServerKind::Redis,
        &[
            "--cluster-enabled",
            "yes",
            "--cluster-config-file",
            &nodes_text,
        ],
    );
    let bench = Bench::new();
    let database = bench.server("db", &server);
    let (_, made) = bench.create(&database, &SnapshotProgress::default());
    assert_eq!(
        made.unwrap_err().to_string(),
        "the server is one of a cluster: snapshots are made of single servers and of the embedded engine"
    );
    drop(server);
    let _ = std::fs::remove_file(nodes);
}

/// A server that answers the beginning as it should, and `SCAN` and what follows with `rest`.
fn odd_server(rest: &'static [u8], close: bool) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut say = |bytes: &[u8]| {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            read > 0 && stream.write_all(bytes).is_ok()
        };
        let begun = say(b"*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n")
            && say(b"$30\r\n# Keyspace\r\ndb0:keys=3,exp=0\r\n\r\n")
            && say(b"+OK\r\n")
            && say(rest);
        if begun && !close {
            while say(rest) {}
        }
    };
    (address, thread::spawn(serve))
}

#[test]
fn odd_servers() {
    let cases: [(&[u8], bool, &str); 12] = [
        (b"", true, "the connection to the server was lost"),
        (b"*2\r\n$1\r\n0\r\n*100\r\n", true, "the connection to the server was lost"),
        (b"*2\r\n$1\r\n0\r\n*1\r\n$999999999999\r\n", false,
            "a key is longer than 16777216 bytes, which is the most that snapshots hold"),
        (b"*2\r\n$3\r\nabc\r\n*0\r\n", false, "what answers SCAN is no Valkey or Redis server"),
        (b"*3\r\n", false, "what answers SCAN is no Valkey or Redis server"),
        (b"HTTP/1.1 200 OK\r\n", false, "what answers SCAN is no Valkey or Redis server"),
        (b"-SECRET root:x:0:0\r\n", false, "the server refuses SCAN with an error"),
        (b"-LOADING x\r\n", false,
            "the server refuses SCAN with LOADING: it is loading its data, try again later"),
        (b"*2\r\n$1\r\n0\r\n*1\r\n$1\r\nk\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:-1\r\n$99999\r\nabc", true,
            "the connection to the server was lost"),
        (b"*2\r\n$1\r\n0\r\n*1\r\n$1\r\nk\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:-2\r\n$1\r\na\r\n", true,
            "what answers PEXPIRETIME is no Valkey or Redis server"),
        (b"*2\r\n$1\r\n0\r\n*1\r\n$1\r\nk\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*-1\r\n", true,
            "what answers EXEC is no Valkey or Redis server"),
        (b"*2\r\n$1\r\n0\r\n*1\r\n$1\r\nk\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:-1\r\n$9999999999\r\n", true,
            "a value is longer than 4 GiB, which is the most that snapshots hold"),
    ];
    for (number, (rest, close, expected)) in cases.into_iter().enumerate() {
        let bench = Bench::new();
        let (address, server) = odd_server(rest, close);
        let database = bench.database("db", Backend::of_operator(address, None));
        let (_, made) = bench.create(&database, &SnapshotProgress::default());
        let error = made.unwrap_err().to_string();
        // What it may have sent already is lost with the connection.
        assert_eq!(error, expected, "{number}");
        server.join().unwrap();
    }
    // Not there, and not permitted.
    let bench = Bench::new();
    // Nobody listens on this port, and no test is given it.
    let database = bench.database("db", Backend::of_operator("127.0.0.1:1".to_owned(), None));
    let (_, made) = bench.create(&database, &SnapshotProgress::default());
    assert_eq!(
        made.unwrap_err().to_string(),
        "the server of the database cannot be reached"
    );
    let backend = Backend::Server {
        address: "localhost:1".to_owned(),
        user: None,
        password: None,
        operator: false,
    };
    let database = bench.database("named", backend);
    let (_, made) = bench.create(&database, &SnapshotProgress::default());
    assert!(matches!(made, Err(SnapshotError::NotPermitted)), "{made:?}");
}

#[test]
fn what_is_cancelled_ends_soon() {
    let bench = Bench::new();
    let (address, _server) = odd_server(b"*2\r\n$1\r\n7\r\n*0\r\n", false);
    let database = bench.database("db", Backend::of_operator(address.clone(), None));
    let progress = Arc::new(SnapshotProgress::default());
    let cancelling = Arc::clone(&progress);
    let since = Instant::now();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        cancelling.cancel();
    });
    let (_, made) = bench.create(&database, &progress);
    assert!(matches!(made, Err(SnapshotError::Cancelled)), "{made:?}");
    assert!(since.elapsed() < Duration::from_secs(5));
    assert_eq!((progress.keys_done(), progress.keys_total()), (0, Some(3)));
    // The odd server ends when its client does.
    drop(TcpStream::connect(address));
}

#[test]
fn an_engine_is_copied_as_it_was_at_one_moment() {
    let bench = Bench::new();
    let database = bench.database("db", Backend::Embedded);
    let target = bench.database("target", Backend::Embedded);
    let key = bench.world.identity("acme", "app", Some(support::FULL));
    let gateway = |path: &str| {
        let mut settings = keyward_gateway::GatewaySettings::new("127.0.0.1:0".parse().unwrap());
        settings.workers = 1;
        settings.default_database = bench.world.directory.load().database_at(path);
        let shared = Arc::clone(&bench.shared);
        keyward_gateway::Gateway::start(shared, settings, bench.world.watch()).unwrap()
    };
    let (source, copy) = (gateway(&database), gateway(&target));
    let mut client = Client::login(source.local_addr(), &key);
    let count = keys() / 4;
    all(
        &mut client,
        (0..count).map(|n| words(&format!("SET n:{n} 0"))),
    );
    // Every round sets all keys to its number, in order: a moment has at most two numbers.
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let writer = thread::spawn(move || {
        let mut round = 0;
        while !stopped.load(Ordering::Relaxed) {
            round += 1;
            all(
                &mut client,
                (0..count).map(|n| words(&format!("SET n:{n} {round}"))),
            );
        }
        round
    });
    thread::sleep(Duration::from_millis(200));
    let progress = SnapshotProgress::default();
    let (snapshot, made) = bench.create(&database, &progress);
    stop.store(true, Ordering::Relaxed);
    let rounds: u64 = writer.join().unwrap();
    assert_eq!(made.unwrap().keys, count);
    bench.restored(&snapshot, &target, Existing::Refuse);
    let mut client = Client::login(copy.local_addr(), &key);
    let values: Vec<u64> = (0..count)
        .map(|n| {
            client
                .call(&["GET", &format!("n:{n}")])
                .split(' ')
                .nth(1)
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    let first = values[0];
    let change = values
        .iter()
        .position(|value| *value != first)
        .unwrap_or(values.len());
    assert!(
        values[change..].iter().all(|value| *value + 1 == first),
        "{first} {change}"
    );
    println!("{rounds} rounds, pause {:?}", progress.longest_pause());
}

/// Bytes in memory of this process at most so far.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// Alone in its process: `KEYWARD_SNAPSHOT_MEASURE=1 cargo test … measured -- --nocapture`.
#[test]
fn measured() {
    if std::env::var_os("KEYWARD_SNAPSHOT_MEASURE").is_none() {
        return;
    }
    let [from, to] = [
        RealServer::start(ServerKind::Valkey, &SERVER),
        RealServer::start(ServerKind::Valkey, &SERVER),
    ];
    let bench = Bench::new();
    let (source, target) = (bench.server("from", &from), bench.server("to", &to));
    let engine = bench.database("engine", Backend::Embedded);
    let timed = |what: &str, keys: u64, run: &mut dyn FnMut()| {
        let (before, since) = (peak(), Instant::now());
        run();
        let took = since.elapsed();
        let speed = keys as f64 / took.as_secs_f64();
        let (more, all) = ((peak() - before) / 1024, peak() >> 20);
        println!(
            "{what}: {keys} keys in {took:.2?}, {speed:.0} keys/s, peak grew by {more} KiB to {all} MiB"
        );
    };
    let mut client = direct(&from);
    fill(&mut client, keys(), false);
    let mut snapshot = String::new();
    timed("server to file", keys(), &mut || {
        snapshot = bench.created(&source).0
    });
    timed("file to server", keys(), &mut || {
        bench.restored(&snapshot, &target, Existing::Refuse);
    });
    // One value of 100 MB, not compressed, and never in the memory of this test itself.
    let large = "FLUSHALL|CONFIG SET rdbcompression no|SETRANGE large 104857599 x";
    all(&mut client, large.split('|').map(words));
    let mut large = String::new();
    timed("server to file, 100 MB", 1, &mut || {
        large = bench.created(&source).0
    });
    timed("file to server, 100 MB", 1, &mut || {
        bench.restored(&large, &target, Existing::Flush);
    });
    timed("file to engine, 100 MB", 1, &mut || {
        bench.restored(&large, &engine, Existing::Flush);
    });
    timed("file to engine", keys(), &mut || {
        bench.restored(&snapshot, &engine, Existing::Flush);
    });
    let progress = SnapshotProgress::default();
    timed("engine to file", keys(), &mut || {
        bench.create(&engine, &progress).1.unwrap();
    });
    println!(
        "longest pause of the engine: {:?}",
        progress.longest_pause()
    );
    // The worst: one value of a million fields.
    all(&mut client, [words("FLUSHALL")]);
    let fields = |part: u64| {
        let fields = (part * 1000..part * 1000 + 1000).map(|n| format!("field:{n} value:{n}"));
        words(&format!("HSET h {}", fields.collect::<Vec<_>>().join(" ")))
    };
    all(&mut client, (0..1000).map(fields));
    snapshot = bench.created(&source).0;
    bench.restored(&snapshot, &engine, Existing::Flush);
    let progress = SnapshotProgress::default();
    bench.create(&engine, &progress).1.unwrap();
    let pause = progress.longest_pause();
    println!("with a hash of a million fields: {pause:?}");
}
