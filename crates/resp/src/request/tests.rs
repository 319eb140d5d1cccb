use proptest::prelude::*;

use super::*;
use crate::encode::encode_request;

/// Decodes requests one after the other until the input ends or is refused. The input becomes
/// visible in the pieces that `cuts` make.
fn decode_all(
    input: &[u8],
    cuts: &[usize],
    limits: &RequestLimits,
) -> (Vec<Vec<Vec<u8>>>, Option<RequestError>) {
    let mut decoder = RequestDecoder::new();
    let mut requests = Vec::new();
    let mut start = 0;
    for &cut in cuts.iter().chain([&input.len()]) {
        let mut words = Words::default(); // Another one each time: none of it may matter.
        loop {
            let seen = &input[start..cut.max(start)];
            match decoder.decode(seen, limits, &mut words) {
                Ok(Decoded::Complete { len, .. }) => {
                    requests.push(words.of(seen).iter().map(<[u8]>::to_vec).collect());
                    start += len;
                }
                Ok(Decoded::Incomplete { missing }) => {
                    assert!(missing >= 1);
                    break;
                }
                Err(error) => return (requests, Some(error)),
            }
        }
    }
    (requests, None)
}

fn at_once(input: &[u8], limits: &RequestLimits) -> (Vec<Vec<Vec<u8>>>, Option<RequestError>) {
    decode_all(input, &[], limits)
}

fn byte_by_byte(input: &[u8], limits: &RequestLimits) -> (Vec<Vec<Vec<u8>>>, Option<RequestError>) {
    decode_all(input, &(0..input.len()).collect::<Vec<_>>(), limits)
}

const SMALL: RequestLimits = RequestLimits {
    max_args: 4,
    max_bulk: 20,
    max_request: 60,
    max_inline: 30,
    logged_in: true,
};

#[test]
fn requests_are_read_as_the_server_reads_them() {
    let cases: [(&str, &[&[&str]]); 28] = [
        ("", &[]),
        ("*1\r\n$4\r\nPING\r\n", &[&["PING"]]),
        ("*2\r\n$3\r\nGET\r\n$0\r\n\r\n", &[&["GET", ""]]),
        (
            "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n",
            &[&["PING"], &["PING"]],
        ),
        (
            "*2\r\n$10\r\n0123456789\r\n$2\r\n\r\n\r\n",
            &[&["0123456789", "\r\n"]],
        ),
        ("*0\r\n*1\r\n$4\r\nPING\r\n", &[&[], &["PING"]]),
        ("*-1\r\n*-77\r\n", &[&[], &[]]),
        ("PING\r\n", &[&["PING"]]),
        ("PING\n", &[&["PING"]]),
        ("\r\n\n  \r\nPING\r\n", &[&[], &[], &[], &["PING"]]),
        (
            "set k v\r\n*1\r\n$4\r\nPING\r\n",
            &[&["set", "k", "v"], &["PING"]],
        ),
        (" \t set \x0b k\tv \r\n", &[&["set", "k", "v"]]),
        ("a\rb\r\n", &[&["a", "b"]]),
        ("a\x0bb\r\n", &[&["a\x0bb"]]),
        ("echo \"a b\"\r\n", &[&["echo", "a b"]]),
        ("echo 'a b'\r\n", &[&["echo", "a b"]]),
        ("echo \"\" ''\r\n", &[&["echo", "", ""]]),
        ("echo a\"b c\"\r\n", &[&["echo", "ab c"]]),
        ("echo \"a\"\x0b\r\n", &[&["echo", "a"]]),
        (r#"echo "\x41\n\r\t\b\a\q\"\\""#, &[]),
        (
            "echo \"\\x41\\n\\r\\t\\b\\a\\q\\\"\\\\\"\r\n",
            &[&["echo", "A\n\r\t\x08\x07q\"\\"]],
        ),
        ("echo \"\\xg1\\x4\"\r\n", &[&["echo", "xg1x4"]]),
        ("echo 'a\\'\\n'\r\n", &[&["echo", "a'\\n"]]),
        ("echo a\\nb\r\n", &[&["echo", "a\\nb"]]),
        ("echo \"'\" '\"'\r\n", &[&["echo", "'", "\""]]),
        // Nothing behind a NUL ends the line.
        ("echo a\0\r\nPING\r\n", &[]),
        ("*1\r\n$4\r\nPING", &[]),
        ("*1\r\n$4\r\nPING\r", &[]),
    ];
    for (input, expected) in cases {
        let expected: Vec<Vec<Vec<u8>>> = expected
            .iter()
            .map(|words| words.iter().map(|word| word.as_bytes().to_vec()).collect())
            .collect();
        let limits = &RequestLimits::BEFORE_LOGIN;
        assert_eq!(
            at_once(input.as_bytes(), limits),
            (expected.clone(), None),
            "{input:?}"
        );
        assert_eq!(
            byte_by_byte(input.as_bytes(), limits),
            (expected, None),
            "{input:?}"
        );
    }
}

#[test]
fn what_is_no_request_is_refused_in_the_servers_words() {
    // Texts as Valkey 9.1 and, but for the CRLF, Redis 7.0 send them.
    let cases: [(&[u8], &[u8]); 24] = [
        (b"*abc\r\n", b"invalid multibulk length"),
        (b"*\r\n", b"invalid multibulk length"),
        (b"*01\r\n", b"invalid multibulk length"),
        (b"*+1\r\n", b"invalid multibulk length"),
        (b"* 1\r\n", b"invalid multibulk length"),
        (b"*-0\r\n", b"invalid multibulk length"),
        (b"*2147483648\r\n", b"invalid multibulk length"),
        (b"*99999999999999999999\r\n", b"invalid multibulk length"),
        (b"*1\0\r\n", b"invalid multibulk length"),
        (b"*1\r\nfoo\r\n", b"expected '$', got 'f'"),
        (b"*1\r\n\r\n", b"expected '$', got ' '"),
        (b"*1\r\n\0\r\n", b"expected '$', got '\0'"),
        (b"*1\r\n\xff\r\n", b"expected '$', got '\xff'"),
        (b"*1\r\nfoo\rx", b"expected '$', got 'f'"),
        (
            b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n",
            b"expected '$', got 'f'",
        ),
        (b"*1\r\n$-1\r\n", b"invalid bulk length"),
        (b"*1\r\n$\r\n", b"invalid bulk length"),
        (b"*1\r\n$04\r\n", b"invalid bulk length"),
        (b"*1\r\n$2000000000\r\n", b"invalid bulk length"),
        (b"*1\rX", b"invalid CRLF in request"),
        (b"*1\r\n$4\rX", b"invalid CRLF in request"),
        (b"*1\r\n$4\r\nPINGxx", b"invalid CRLF in request"),
        (b"echo \"a\r\n", b"unbalanced quotes in request"),
        (b"echo 'a'b\r\n", b"unbalanced quotes in request"),
    ];
    for (input, expected) in cases {
        let limits = &RequestLimits::AFTER_LOGIN;
        let (_, error) = at_once(input, limits);
        assert_eq!(
            byte_by_byte(input, limits).1,
            error,
            "{}",
            input.escape_ascii()
        );
        let reply = error.map(|error| error.reply()).unwrap_or_default();
        let expected = [b"-ERR Protocol error: ", expected, b"\r\n"].concat();
        assert_eq!(
            reply.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }
}

#[test]
fn limits_are_checked_when_a_length_is_announced() {
    use RequestError as E;
    let before = RequestLimits::BEFORE_LOGIN;
    let after = RequestLimits::AFTER_LOGIN;
    let cases: [(&str, RequestLimits, Option<RequestError>); 20] = [
        ("*1024\r\n", before, None),
        ("*1025\r\n", before, Some(E::UnauthenticatedMultibulkLength)),
        ("*1048576\r\n", after, None),
        ("*1048577\r\n", after, Some(E::MultibulkLength)),
        ("*1048577\r\n", before, Some(E::MultibulkLength)),
        (
            "*1\r\n$65537\r\n",
            before,
            Some(E::UnauthenticatedBulkLength),
        ),
        ("*1\r\n$65536\r\n", before, Some(E::RequestLength)),
        ("*1\r\n$65522\r\n", before, None),
        ("*1\r\n$65523\r\n", before, Some(E::RequestLength)),
        ("*1\r\n$536870912\r\n", after, None),
        ("*1\r\n$536870913\r\n", after, Some(E::BulkLength)),
        ("*1\r\n$536870913\r\n", before, Some(E::BulkLength)),
        ("*4\r\n", SMALL, None),
        ("*5\r\n", SMALL, Some(E::MultibulkLength)),
        ("*1\r\n$20\r\n", SMALL, None),
        ("*1\r\n$21\r\n", SMALL, Some(E::BulkLength)),
        ("*2\r\n$20\r\n01234567890123456789\r\n$20\r\n", SMALL, None),
        (
            "*3\r\n$20\r\n01234567890123456789\r\n$20\r\n01234567890123456789\r\n$0\r\n",
            SMALL,
            Some(E::RequestLength),
        ),
        ("a b c d\r\n", SMALL, None),
        ("a b c d e\r\n", SMALL, Some(E::MultibulkLength)),
    ];
    for (input, limits, expected) in cases {
        assert_eq!(at_once(input.as_bytes(), &limits).1, expected, "{input:?}");
        assert_eq!(
            byte_by_byte(input.as_bytes(), &limits).1,
            expected,
            "{input:?}"
        );
    }
}

#[test]
fn a_line_without_end_is_refused_at_the_limit() {
    let limits = RequestLimits::AFTER_LOGIN;
    // What the server takes and what it refuses, to the byte.
    let cases = [
        ("", "A", 64 * 1024, RequestError::InlineLine),
        ("\0", "\n", 64 * 1024 - 1, RequestError::InlineLine),
        ("*", "1", 64 * 1024 - 1, RequestError::MultibulkLine),
        ("*1\r\n$", "1", 64 * 1024 - 1, RequestError::BulkLine),
        ("*1\r\n", "x", 64 * 1024, RequestError::BulkLine),
    ];
    for (start, filling, longest, expected) in cases {
        let fits = format!("{start}{}", filling.repeat(longest));
        assert_eq!(at_once(fits.as_bytes(), &limits).1, None, "{expected:?}");
        let too_long = format!("{fits}{filling}");
        assert_eq!(at_once(too_long.as_bytes(), &limits).1, Some(expected));
        let ended = format!("{too_long}\r\n");
        assert_eq!(at_once(ended.as_bytes(), &limits).1, Some(expected));
        assert_eq!(byte_by_byte(ended.as_bytes(), &limits).1, Some(expected));
    }
}

#[test]
fn missing_is_told_for_a_word_to_the_byte() {
    let cases = [
        ("", 1),
        ("*", 1),
        ("*2\r\n", 6),
        ("*2\r\n$", 5),
        ("*2\r\n$100\r", 1),
        ("*2\r\n$100\r\n", 102),
        ("*2\r\n$100\r\nabc", 99),
        ("*2\r\n$3\r\nabc", 2),
        ("*2\r\n$3\r\nabc\r", 1),
        ("*2\r\n$3\r\nabc\r\n", 6),
        ("*2\r\n$1000\r\nabc", 999),
        ("get", 1),
    ];
    for (input, missing) in cases {
        let (mut decoder, mut words) = (RequestDecoder::new(), Words::default());
        for _ in 0..2 {
            let decoded =
                decoder.decode(input.as_bytes(), &RequestLimits::BEFORE_LOGIN, &mut words);
            assert_eq!(decoded, Ok(Decoded::Incomplete { missing }), "{input:?}");
        }
    }
}

#[test]
fn an_unfinished_request_is_not_read_again() {
    // 64 MiB in pieces of 64 bytes, as a million words and as one: quadratic work would take hours.
    let many = "$1\r\nx\r\n".repeat(1_000_000);
    let one = "x".repeat(64 << 20);
    for input in [
        format!("*1000000\r\n{many}"),
        format!("*1\r\n${}\r\n{one}\r\n", one.len()),
    ] {
        let (mut decoder, mut words) = (RequestDecoder::new(), Words::default());
        let mut last = None;
        for end in (0..input.len()).step_by(64).chain([input.len()]) {
            let input = &input.as_bytes()[..end];
            last = Some(decoder.decode(input, &RequestLimits::AFTER_LOGIN, &mut words));
            assert!(last.is_some_and(|decoded| decoded.is_ok()));
        }
        assert_eq!(
            last,
            Some(Ok(Decoded::Complete {
                len: input.len(),
                inline: false
            }))
        );
    }
}

#[test]
fn a_warm_decoder_keeps_little() {
    let mut decoder = RequestDecoder::new();
    let mut words = Words::default();
    let limits = RequestLimits::AFTER_LOGIN;
    let large = format!("*100000\r\n{}", "$1\r\nx\r\n".repeat(100_000));
    let (first, _) = large.as_bytes().split_at(large.len() / 2);
    assert!(matches!(
        decoder.decode(first, &limits, &mut words),
        Ok(Decoded::Incomplete { .. })
    ));
    assert!(words.is_empty());
    let decoded = decoder.decode(large.as_bytes(), &limits, &mut words);
    assert_eq!(
        decoded,
        Ok(Decoded::Complete {
            len: large.len(),
            inline: false
        })
    );
    assert_eq!(words.len(), 100_000);
    let ping = b"*1\r\n$4\r\nPING\r\n";
    assert!(decoder.decode(ping, &limits, &mut words).is_ok());
    assert_eq!(words.range(0), 8..12);
}

#[test]
fn debug_shows_no_word() {
    let (mut decoder, mut words) = (RequestDecoder::new(), Words::default());
    for input in [
        &b"AUTH 'hunter2'\r\n"[..],
        b"*2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\n",
    ] {
        assert!(
            decoder
                .decode(input, &RequestLimits::BEFORE_LOGIN, &mut words)
                .is_ok()
        );
        let shown = format!("{decoder:?} {words:?} {:?}", words.of(input));
        assert!(
            !shown.contains("hunter2") && !shown.contains("104"),
            "{shown}"
        );
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..25), 0..6).prop_map(|words| {
            let mut out = Vec::new();
            encode_request(words.iter().map(Vec::as_slice), &mut out);
            out
        }),
        "[ a-c\"'\\\\xn\t]{0,12}\r?\n".prop_map(String::into_bytes),
        "[*$][-+0-9]{0,3}\r?\n?".prop_map(String::into_bytes),
        prop::collection::vec(prop::sample::select(&b"*$\r\n0123-ab\0"[..]), 0..12),
        prop::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Where the input is cut changes nothing, whether it is well formed or not.
    #[test]
    fn cuts_change_nothing(
        pieces in prop::collection::vec(piece(), 0..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let input = pieces.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.sort_unstable();
        for limits in [SMALL, RequestLimits::BEFORE_LOGIN] {
            let whole = at_once(&input, &limits);
            prop_assert_eq!(&decode_all(&input, &cuts, &limits), &whole);
            prop_assert_eq!(&byte_by_byte(&input, &limits), &whole);
        }
    }

    /// What was encoded is decoded, and `missing` never asks for more than the request has.
    #[test]
    fn encode_then_decode_is_the_identity(
        words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1200), 1..20),
    ) {
        let mut input = Vec::new();
        encode_request(words.iter().map(Vec::as_slice), &mut input);
        let (mut decoder, mut ranges) = (RequestDecoder::new(), Words::default());
        for end in 0..input.len() {
            let decoded = decoder.decode(&input[..end], &RequestLimits::AFTER_LOGIN, &mut ranges);
            match decoded {
                Ok(Decoded::Incomplete { missing }) => prop_assert!(missing <= input.len() - end),
                other => prop_assert!(false, "{other:?}"),
            }
        }
        let decoded = decoder.decode(&input, &RequestLimits::AFTER_LOGIN, &mut ranges);
        prop_assert_eq!(decoded, Ok(Decoded::Complete { len: input.len(), inline: false }));
        let slices: Vec<&[u8]> = ranges.of(&input).iter().collect();
        prop_assert_eq!(slices, words);
    }
}
