//! The crate `redis-protocol` reads what is written here, and the other way round.

use proptest::prelude::*;
use redis_protocol::resp2::types::OwnedFrame as Frame2;
use redis_protocol::resp3::types::{OwnedFrame as Frame3, VerbatimStringFormat};
use redis_protocol::{resp2, resp3};

use super::*;
use crate::{Decoded, Protocol, RequestDecoder, RequestLimits, Words, encode_request};

/// The peer's form of a value; `None` if it has none.
fn frame2(value: &Value) -> Option<Frame2> {
    Some(match value {
        Value::Simple(text) => Frame2::SimpleString(text.clone()),
        Value::Error(text) => Frame2::Error(String::from_utf8(text.clone()).ok()?),
        Value::Integer(value) => Frame2::Integer(*value),
        Value::Bulk(bytes) => Frame2::BulkString(bytes.clone()),
        Value::Null | Value::NullArray => Frame2::Null,
        Value::Array(values) => Frame2::Array(values.iter().map(frame2).collect::<Option<_>>()?),
        _ => return None,
    })
}

fn frame3(value: &Value) -> Option<Frame3> {
    let attributes = None;
    Some(match value {
        Value::Simple(text) => Frame3::SimpleString {
            data: text.clone(),
            attributes,
        },
        Value::Error(text) if text.iter().any(|byte| b"\r\n".contains(byte)) => Frame3::BlobError {
            data: text.clone(),
            attributes,
        },
        Value::Error(text) => Frame3::SimpleError {
            data: String::from_utf8(text.clone()).ok()?,
            attributes,
        },
        Value::Integer(data) => Frame3::Number {
            data: *data,
            attributes,
        },
        Value::Bulk(data) => Frame3::BlobString {
            data: data.clone(),
            attributes,
        },
        Value::Double(data) => Frame3::Double {
            data: *data,
            attributes,
        },
        Value::Boolean(data) => Frame3::Boolean {
            data: *data,
            attributes,
        },
        Value::BigNumber(data) => Frame3::BigNumber {
            data: data.clone(),
            attributes,
        },
        Value::Verbatim { format, text } => {
            let format = match format {
                b"txt" => VerbatimStringFormat::Text,
                b"mkd" => VerbatimStringFormat::Markdown,
                _ => return None,
            };
            Frame3::VerbatimString {
                data: text.clone(),
                format,
                attributes,
            }
        }
        Value::Array(values) => {
            let data = values.iter().map(frame3).collect::<Option<_>>()?;
            Frame3::Array { data, attributes }
        }
        Value::Set(values) => {
            let data = values.iter().map(key3).collect::<Option<_>>()?;
            Frame3::Set { data, attributes }
        }
        Value::Push(values) => {
            let data = values.iter().map(frame3).collect::<Option<_>>()?;
            Frame3::Push { data, attributes }
        }
        Value::Map(pairs) => {
            let pair = |(key, value)| Some((key3(key)?, frame3(value)?));
            let data = pairs
                .iter()
                .map(|(key, value)| pair((key, value)))
                .collect::<Option<_>>()?;
            Frame3::Map { data, attributes }
        }
        // The peer reads `$-1` in RESP2 only; and attributes belong to the frame.
        Value::Null | Value::NullArray | Value::Attributed { .. } => return None,
    })
}

/// The peer panics at aggregates that are keys or members of sets.
fn key3(value: &Value) -> Option<Frame3> {
    match value {
        Value::Array(_) | Value::Map(_) | Value::Set(_) | Value::Push(_) => None,
        value => frame3(value),
    }
}

/// Values that the peer knows, of RESP2.
fn value2() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        "[^\r\n]{0,8}".prop_map(|text| Value::Simple(text.into_bytes())),
        "[^\r\n]{0,8}".prop_map(|text| Value::Error(text.into_bytes())),
        any::<i64>().prop_map(Value::Integer),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bulk),
        Just(Value::Null),
        Just(Value::NullArray),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop::collection::vec(inner, 0..5).prop_map(Value::Array)
    })
}

/// Values that the peer knows, of RESP3.
fn value3() -> impl Strategy<Value = Value> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let leaf = prop_oneof![
        "[^\r\n]{0,8}".prop_map(|text| Value::Simple(text.into_bytes())),
        ".{0,8}".prop_map(|text| Value::Error(text.into_bytes())),
        any::<i64>().prop_map(Value::Integer),
        bytes().prop_map(Value::Bulk),
        any::<f64>()
            .prop_filter("not NaN", |value| !value.is_nan())
            .prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
        bytes().prop_map(|text| Value::Verbatim {
            format: *b"mkd",
            text
        }),
        "-?[0-9]{1,30}".prop_map(|digits| Value::BigNumber(digits.into_bytes())),
    ]
    .boxed();
    let key = leaf.clone();
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec(key.clone(), 0..5).prop_map(Value::Set),
            // The peer keeps one of two equal keys.
            prop::collection::btree_map(any::<Vec<u8>>(), inner, 0..3).prop_map(|map| {
                Value::Map(
                    map.into_iter()
                        .map(|(key, value)| (Value::Bulk(key), value))
                        .collect(),
                )
            }),
        ]
    })
}

#[test]
fn the_peer_knows_what_the_encoder_writes() {
    type Write = fn(&mut Vec<u8>);
    let attributes = None;
    let text = || b"text".to_vec();
    let cases: [(Write, Frame3); 9] = [
        (|out| encode::null(out, Protocol::Resp3), Frame3::Null),
        (|out| encode::null_array(out, Protocol::Resp3), Frame3::Null),
        (
            |out| encode::double(out, Protocol::Resp3, -1.5e300),
            Frame3::Double {
                data: -1.5e300,
                attributes: None,
            },
        ),
        (
            |out| encode::double(out, Protocol::Resp3, f64::NEG_INFINITY),
            Frame3::Double {
                data: f64::NEG_INFINITY,
                attributes: None,
            },
        ),
        (
            |out| encode::boolean(out, Protocol::Resp3, true),
            Frame3::Boolean {
                data: true,
                attributes: None,
            },
        ),
        (
            |out| encode::big_number(out, Protocol::Resp3, "123456789012345678901234567890"),
            Frame3::BigNumber {
                data: b"123456789012345678901234567890".to_vec(),
                attributes: None,
            },
        ),
        (
            |out| encode::verbatim(out, Protocol::Resp3, "txt", b"text"),
            Frame3::VerbatimString {
                data: text(),
                format: VerbatimStringFormat::Text,
                attributes: None,
            },
        ),
        (
            |out| encode::error(out, "ERR a\r\nb"),
            Frame3::SimpleError {
                data: "ERR a  b".to_owned(),
                attributes: None,
            },
        ),
        (
            |out| encode::bulk(out, b"text"),
            Frame3::BlobString {
                data: text(),
                attributes,
            },
        ),
    ];
    for (write, frame) in cases {
        let mut bytes = Vec::new();
        write(&mut bytes);
        let decoded = resp3::decode::complete::decode(&bytes).unwrap();
        assert_eq!(decoded, Some((frame, bytes.len())));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn values_of_resp2(value in value2()) {
        let frame = frame2(&value).unwrap();
        let mut ours = Vec::new();
        value.encode(&mut ours);
        prop_assert_eq!(resp2::decode::decode(&ours).unwrap(), Some((frame.clone(), ours.len())));
        let mut theirs = vec![0; ours.len() + 100];
        let len = resp2::encode::encode(&mut theirs, &frame, false).unwrap();
        let (decoded, decoded_len) = Value::decode(&theirs[..len]).unwrap().unwrap();
        prop_assert_eq!(decoded_len, len);
        prop_assert_eq!(frame2(&decoded), Some(frame));
    }

    #[test]
    fn values_of_resp3(value in value3()) {
        let frame = frame3(&value).unwrap();
        let mut ours = Vec::new();
        value.encode(&mut ours);
        let decoded = resp3::decode::complete::decode(&ours).unwrap();
        prop_assert_eq!(decoded, Some((frame.clone(), ours.len())));
        // Numbers may be longer in the peer's spelling: 1e300 with all its zeros.
        let mut theirs = vec![0; ours.len() * 40 + 400];
        let len = resp3::encode::complete::encode(&mut theirs, &frame, false).unwrap();
        let (decoded, decoded_len) = Value::decode(&theirs[..len]).unwrap().unwrap();
        prop_assert_eq!(decoded_len, len);
        prop_assert_eq!(frame3(&decoded), Some(frame));
    }

    #[test]
    fn requests(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..12)) {
        let mut ours = Vec::new();
        encode_request(words.iter().map(Vec::as_slice), &mut ours);
        let frame = Frame2::Array(words.iter().cloned().map(Frame2::BulkString).collect());
        prop_assert_eq!(resp2::decode::decode(&ours).unwrap(), Some((frame.clone(), ours.len())));
        let mut theirs = vec![0; ours.len()];
        let len = resp2::encode::encode(&mut theirs, &frame, false).unwrap();
        let mut ranges = Words::default();
        let decoded =
            RequestDecoder::new().decode(&theirs[..len], &RequestLimits::BEFORE_LOGIN, &mut ranges);
        prop_assert_eq!(decoded, Ok(Decoded::Complete { len, inline: false }));
        prop_assert!(ranges.of(&theirs).iter().eq(words.iter().map(Vec::as_slice)));
    }

    /// On damaged bytes the two may differ in what they refuse, never in where a reply ends.
    #[test]
    fn damaged_replies_end_at_the_same_byte(
        value in value2(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
    ) {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = b"\r\n0123456789-$*+:x"[usize::from(byte) % 18];
        }
        if let (Ok(Some((_, ours))), Ok(Some((_, theirs)))) =
            (Value::decode(&bytes), resp2::decode::decode(&bytes))
        {
            prop_assert_eq!(ours, theirs, "{}", bytes.escape_ascii());
        }
    }
}
