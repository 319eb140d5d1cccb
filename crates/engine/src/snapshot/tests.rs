//! Snapshots beside whatever commands run meanwhile.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{PutError, SnapshotRecord};
use crate::{Engine, EngineSession, Settings, UnixMillis};

/// The moment of the snapshots.
const MOMENT: i64 = 1_000_000;

fn engine() -> Engine {
    Engine::new(Settings {
        hash_seed: [3, 4],
        started_at: UnixMillis(0),
    })
}

/// Runs commands written as words with spaces; the last reply.
fn run(engine: &mut Engine, now: i64, commands: &[&str]) -> String {
    let mut session = EngineSession::new();
    let mut out = Vec::new();
    for command in commands {
        let words: Vec<Vec<u8>> = command.split(' ').map(|word| word.into()).collect();
        let id = keyward_commands::resolve(&words).unwrap();
        out.clear();
        let now = UnixMillis(now);
        let _ = engine.apply(&mut session, id, &words, now, &mut || 7, &mut out);
    }
    engine.close(session);
    String::from_utf8_lossy(&out).into_owned()
}

type Keys = BTreeMap<(usize, Vec<u8>), (u64, Vec<u8>)>;

fn gather(keys: &mut Keys, records: &mut Vec<SnapshotRecord>) {
    for record in records.drain(..) {
        let name = (record.database, record.key.to_vec());
        let found = (record.expires_at, record.into_payload());
        assert_eq!(keys.insert(name, found), None, "a key is given once");
    }
}

fn rest(engine: &mut Engine, keys: &mut Keys) {
    let mut records = Vec::new();
    while engine.continue_snapshot(3, 1000, &mut records) {}
    gather(keys, &mut records);
    drop(engine.end_snapshot());
}

/// All keys at once, by the commands that users have.
fn all(engine: &mut Engine) -> Keys {
    let mut keys = Keys::new();
    engine.begin_snapshot(UnixMillis(MOMENT)).unwrap();
    rest(engine, &mut keys);
    keys
}

/// A command on one of a few keys, in words.
fn command() -> impl Strategy<Value = String> {
    let key = 0..60_u32;
    prop_oneof![
        8 => (key.clone(), any::<u16>()).prop_map(|(k, v)| format!("SET k{k} {v}")),
        2 => (key.clone(), 0..3000_i64)
            .prop_map(|(k, t)| format!("SET k{k} v PXAT {}", MOMENT - 500 + t)),
        4 => (key.clone(), any::<u8>()).prop_map(|(k, f)| format!("HSET h{k} f{f} v")),
        3 => (key.clone(), any::<u8>()).prop_map(|(k, f)| format!("RPUSH l{k} {f} x")),
        3 => (key.clone(), any::<u8>()).prop_map(|(k, f)| format!("SADD s{k} {f} x")),
        3 => (key.clone(), any::<u8>()).prop_map(|(k, f)| format!("ZADD z{k} {f} m{f}")),
        3 => key.clone().prop_map(|k| format!("DEL k{k} h{k} l{k}")),
        2 => (key.clone(), key.clone()).prop_map(|(a, b)| format!("RENAME k{a} k{b}")),
        2 => (key.clone(), key.clone()).prop_map(|(a, b)| format!("COPY h{a} h{b} DB 1 REPLACE")),
        2 => (key.clone(), 0..3000_i64)
            .prop_map(|(k, t)| format!("PEXPIREAT k{k} {}", MOMENT - 500 + t)),
        1 => key.clone().prop_map(|k| format!("PERSIST k{k}")),
        1 => key.clone().prop_map(|k| format!("MOVE s{k} 1")),
        1 => key.prop_map(|k| format!("LPOP l{k}")),
        1 => Just("SWAPDB 0 1".to_owned()),
        1 => Just("FLUSHDB".to_owned()),
        1 => Just("FLUSHALL".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever runs meanwhile, the snapshot has what was there at its moment, once.
    #[test]
    fn a_snapshot_is_of_one_moment(
        before in prop::collection::vec(command(), 0..200),
        meanwhile in prop::collection::vec((0..4_u8, 0..40_i64, command()), 0..150),
    ) {
        let mut engine = engine();
        for command in before.iter().filter(|command| !command.starts_with("FLUSHALL")) {
            run(&mut engine, MOMENT - 1000, &[command]);
        }
        let expected = all(&mut engine);
        let mut keys = Keys::new();
        let mut records = Vec::new();
        prop_assert!(engine.begin_snapshot(UnixMillis(MOMENT)).is_some());
        prop_assert!(engine.begin_snapshot(UnixMillis(MOMENT)).is_none());
        let mut now = MOMENT;
        for (steps, time, command) in &meanwhile {
            now += time;
            run(&mut engine, now, &[command]);
            engine.expire_some(UnixMillis(now), 3);
            for _ in 0..*steps {
                engine.continue_snapshot(1, 10, &mut records);
            }
            gather(&mut keys, &mut records);
        }
        rest(&mut engine, &mut keys);
        prop_assert_eq!(&keys, &expected);
        // What it put aside is given back, and it has changed nothing.
        prop_assert!(!engine.continue_snapshot(1, 1, &mut records));

        // And back into another engine.
        let mut other = self::engine();
        let reader = other.payload_reader();
        for ((database, key), (expires_at, payload)) in &keys {
            let value = reader.read(payload).unwrap();
            let now = UnixMillis(MOMENT - 1000);
            prop_assert_eq!(other.put(*database, key, value, *expires_at, false, now), Ok(()));
        }
        // Members have no order: values are compared by reading them once more.
        let again = all(&mut other);
        prop_assert_eq!(again.len(), expected.len());
        for ((name, (expiry, payload)), (other_name, (other_expiry, other_payload))) in
            expected.iter().zip(&again)
        {
            prop_assert_eq!((name, expiry), (other_name, other_expiry));
            prop_assert_eq!(sorted(payload), sorted(other_payload), "{:?}", name);
        }
    }
}

/// The bytes of a value in order: the same for values that differ in the order of members only.
fn sorted(payload: &[u8]) -> Vec<u8> {
    let mut bytes = payload[..payload.len() - 8].to_vec();
    bytes.sort_unstable();
    bytes
}

#[test]
fn what_is_put() {
    let mut engine = engine();
    run(&mut engine, 0, &["SET k v", "SET gone v PXAT 5"]);
    let reader = engine.payload_reader();
    let mut payload = b"\0\x03new".to_vec();
    crate::rdb::finish(&mut payload);
    let cases = [
        (0, "k", 0, false, Err(PutError::Exists), "$1\r\nv\r\n"),
        (0, "k", 0, true, Ok(()), "$3\r\nnew\r\n"),
        (0, "gone", 0, false, Ok(()), "$3\r\nnew\r\n"),
        (0, "new", 20, false, Ok(()), "$3\r\nnew\r\n"),
        // Its time is over: not stored, and what it replaces goes.
        (0, "k", 9, true, Ok(()), "$-1\r\n"),
        (16, "k", 0, true, Err(PutError::Keyspace), "$-1\r\n"),
    ];
    for (database, key, expires_at, replace, expected, found) in cases {
        let value = reader.read(&payload).unwrap();
        let put = engine.put(
            database,
            key.as_bytes(),
            value,
            expires_at,
            replace,
            UnixMillis(10),
        );
        assert_eq!(put, expected, "{key}");
        assert_eq!(
            run(&mut engine, 10, &[&format!("GET {key}")]),
            found,
            "{key}"
        );
    }
    drop(engine.remove_all());
    assert_eq!(engine.key_count(), 0);
}
