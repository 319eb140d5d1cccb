use proptest::prelude::*;

use super::*;

/// Any value that is written and read back as itself: no NaN, lines without CR and LF.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let line = "[^\r\n]{0,8}";
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let leaf = prop_oneof![
        line.prop_map(|text| Value::Simple(text.into_bytes())),
        bytes().prop_map(Value::Error),
        any::<i64>().prop_map(Value::Integer),
        bytes().prop_map(Value::Bulk),
        Just(Value::Null),
        Just(Value::NullArray),
        any::<f64>()
            .prop_filter("not NaN", |value| !value.is_nan())
            .prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
        (any::<[u8; 3]>(), bytes()).prop_map(|(format, text)| Value::Verbatim { format, text }),
        "-?[0-9]{1,30}".prop_map(|digits| Value::BigNumber(digits.into_bytes())),
    ];
    let tree = leaf.prop_recursive(4, 32, 5, |inner| {
        let pairs = prop::collection::vec((inner.clone(), inner.clone()), 0..3);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Set),
            pairs.clone().prop_map(Value::Map),
            (pairs, inner).prop_map(|(attributes, value)| Value::Attributed {
                attributes,
                value: Box::new(value)
            }),
        ]
    });
    prop_oneof![
        4 => tree.clone(),
        1 => prop::collection::vec(tree, 0..5).prop_map(Value::Push),
    ]
}

#[test]
fn a_value_must_fit_its_type() {
    let cases = [
        (":\r\n", b':'),
        (":1a\r\n", b':'),
        (":9223372036854775808\r\n", b':'),
        ("_x\r\n", b'_'),
        ("#x\r\n", b'#'),
        ("#\r\n", b'#'),
        (",\r\n", b','),
        (",infinity\r\n", b','),
        ("(\r\n", b'('),
        ("(-\r\n", b'('),
        ("=3\r\ntxt\r\n", b'='),
        ("=4\r\ntxt;\r\n", b'='),
        ("*1\r\n:x\r\n", b':'),
    ];
    for (input, kind) in cases {
        assert_eq!(
            Value::decode(input.as_bytes()),
            Err(ReplyError::Value { kind }),
            "{input:?}"
        );
    }
}

#[test]
fn a_claim_of_many_values_allocates_nothing() {
    assert_eq!(Value::decode(b"*4294967295\r\n"), Ok(None));
    assert_eq!(Value::decode(b"$9223372036854775807\r\n"), Ok(None));
}

proptest! {
    #[test]
    fn encode_then_decode_is_the_identity(value in value()) {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        let len = bytes.len();
        bytes.extend_from_slice(b"+next\r\n");
        prop_assert_eq!(Value::decode(&bytes), Ok(Some((value, len))));
    }
}
