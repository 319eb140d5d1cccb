//! Payloads of servers, of the engine, and of nobody.

use proptest::prelude::*;

use super::{PayloadError, crc64::crc64, read, write};
use crate::hash::HashKey;
use crate::sorted_set::SortedSet;
use crate::table::Table;
use crate::value::Value;

fn key() -> HashKey {
    HashKey::new([1, 2])
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.type_name(), contents(self))
    }
}

/// What a value holds, in an order of its own.
fn contents(value: &Value) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = match value {
        Value::Integer(integer) => return vec![(integer.to_string().into(), Vec::new())],
        Value::Bytes(bytes) => return vec![(bytes.clone(), Vec::new())],
        Value::List(list) => return list.iter().map(|e| (e.to_vec(), Vec::new())).collect(),
        Value::Set(set) => set.iter().map(|(m, ())| (m.to_vec(), Vec::new())).collect(),
        Value::Hash(hash) => hash.iter().map(|(f, v)| (f.to_vec(), v.to_vec())).collect(),
        Value::SortedSet(set) => set
            .iter()
            .map(|(m, score)| (m.to_vec(), score.to_string().into()))
            .collect(),
    };
    pairs.sort();
    pairs
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => prop::collection::vec(any::<u8>(), 0..20),
        20 => any::<i64>().prop_map(|integer| integer.to_string().into()),
        1 => (0..20_000_usize).prop_map(|length| vec![b'x'; length]),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let texts = || prop::collection::vec(text(), 1..30);
    let score = any::<f64>().prop_filter("scores are numbers", |score| !score.is_nan());
    prop_oneof![
        text().prop_map(|text| Value::string(&text)),
        texts().prop_map(|texts| {
            Value::List(Box::new(
                texts.into_iter().map(Vec::into_boxed_slice).collect(),
            ))
        }),
        texts().prop_map(|texts| {
            let mut set = Table::new(key());
            for text in texts {
                set.insert(&text, ());
            }
            Value::Set(Box::new(set))
        }),
        prop::collection::vec((text(), text()), 1..300).prop_map(|pairs| {
            let mut hash = Table::new(key());
            for (field, value) in pairs {
                hash.insert(&field, value.into_boxed_slice());
            }
            Value::Hash(Box::new(hash))
        }),
        prop::collection::vec((text(), score), 1..200).prop_map(|pairs| {
            let mut set = SortedSet::new(key());
            for (member, score) in pairs {
                set.insert(&member, score);
            }
            Value::SortedSet(Box::new(set))
        }),
    ]
}

fn payload(value: &Value) -> Vec<u8> {
    let mut payload = write::body(value);
    write::finish(&mut payload);
    payload
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_written_is_read(value in value()) {
        let payload = payload(&value);
        let again = read(&payload, key()).unwrap();
        prop_assert_eq!(value.type_name(), again.type_name());
        prop_assert_eq!(contents(&value), contents(&again));
    }

    #[test]
    fn every_changed_byte_is_noticed(value in value(), place in any::<prop::sample::Index>()) {
        let mut payload = payload(&value);
        let at = place.index(payload.len());
        payload[at] ^= 1;
        prop_assert_eq!(read(&payload, key()).err(), Some(PayloadError::Version));
        prop_assert!(read(&payload[..at], key()).is_err());
    }

    /// Whoever changes a value can make the checksum fit.
    #[test]
    fn nothing_panics_under_a_right_checksum(
        kind in prop_oneof![0..26_u8, Just(18), Just(16), Just(17), Just(20), Just(11)],
        body in prop::collection::vec(any::<u8>(), 0..200),
        from in value(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut random = [&[kind], &body[..]].concat();
        write::finish(&mut random);
        let _ = read(&random, key());
        let mut changed = write::body(&from);
        let at = place.index(changed.len());
        changed[at] = byte;
        write::finish(&mut changed);
        let _ = read(&changed, key());
    }
}

/// What `DUMP` of Redis 7.0 and Valkey 9.1 has answered, for every form that they have.
#[test]
fn payloads_of_servers() {
    let lines = include_str!("payloads.txt").lines();
    let mut forms = std::collections::BTreeSet::new();
    for line in lines.filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let mut parts = line.split(' ');
        let (Some(name), Some(expected), Some(hex)) = (parts.next(), parts.next(), parts.next())
        else {
            panic!("{line}");
        };
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap())
            .collect();
        forms.insert(bytes[0]);
        let found = match read(&bytes, key()) {
            Ok(value) => {
                let contents = contents(&value);
                let bytes: Vec<u8> = contents
                    .iter()
                    .flat_map(|(a, b)| [&a[..], b].concat())
                    .collect();
                let sum = crc64(0, &bytes);
                format!("{}:{}:{sum:016x}", value.type_name(), contents.len())
            }
            Err(error) => error.to_string().replace(' ', "_"),
        };
        assert_eq!(found, expected, "{name}");
    }
    let expected = [0, 2, 4, 5, 11, 16, 17, 18, 19, 20, 21, 22];
    assert!(
        expected.iter().all(|form| forms.contains(form)),
        "{forms:?}"
    );
}

#[test]
fn hostile_payloads_take_no_memory() {
    let cases: [(&str, &[u8]); 8] = [
        (
            "a list of 2^63 elements",
            b"\x01\x81\x7f\xff\xff\xff\xff\xff\xff\xff",
        ),
        ("a hash of 2^32 fields", b"\x04\x80\xff\xff\xff\xff"),
        (
            "a string of 2^62 bytes",
            b"\0\x81\x3f\xff\xff\xff\xff\xff\xff\xff",
        ),
        (
            "a compressed string of 500 MB",
            b"\0\xc3\x02\x80\x1d\xcd\x65\x00\0a",
        ),
        (
            "an intset of 2^32 numbers",
            b"\x0b\x0a\x02\0\0\0\xff\xff\xff\xff\x01\0",
        ),
        ("no elements", b"\x02\x00"),
        ("a member twice", b"\x02\x02\x01a\x01a"),
        (
            "a score that is no number",
            b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f",
        ),
    ];
    for (name, body) in cases {
        let mut payload = body.to_vec();
        write::finish(&mut payload);
        assert_eq!(
            read(&payload, key()).err(),
            Some(PayloadError::Format),
            "{name}"
        );
    }
    let mut later = b"\0\x01a".to_vec();
    later.extend_from_slice(&81_u16.to_le_bytes());
    let sum = crc64(0, &later);
    later.extend_from_slice(&sum.to_le_bytes());
    assert_eq!(read(&later, key()).err(), Some(PayloadError::Version));
}
