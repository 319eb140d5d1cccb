use proptest::prelude::*;

use super::*;
use crate::Value;

type Outcome = (Vec<(usize, Option<u8>)>, Option<ReplyError>);

/// Frames replies one after the other: where each ends, and its kind. The input becomes visible in
/// the pieces that `cuts` make.
fn frame_all(input: &[u8], cuts: &[usize]) -> Outcome {
    let mut framer = ReplyFramer::new();
    let mut ends = Vec::new();
    let mut start = 0;
    for &cut in cuts.iter().chain([&input.len()]) {
        loop {
            match framer.frame(&input[start..cut.max(start)]) {
                Ok(Framed {
                    consumed,
                    complete: true,
                }) => {
                    start += consumed;
                    assert!(framer.is_between_replies());
                    ends.push((start, framer.kind()));
                }
                Ok(Framed {
                    consumed,
                    complete: false,
                }) => {
                    start += consumed;
                    break;
                }
                Err(error) => return (ends, Some(error)),
            }
        }
    }
    (ends, None)
}

fn byte_by_byte(input: &[u8]) -> Outcome {
    frame_all(input, &(0..input.len()).collect::<Vec<_>>())
}

#[test]
fn replies_end_where_they_should() {
    let cases: [(&str, &[u8]); 24] = [
        ("+OK\r\n", b"+"),
        ("+\r\n", b"+"),
        ("-ERR no\r\n", b"-"),
        (":-12\r\n", b":"),
        ("$-1\r\n", b"$"),
        ("$0\r\n\r\n", b"$"),
        (
            "$64\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n",
            b"$",
        ),
        ("*-1\r\n", b"*"),
        ("*0\r\n", b"*"),
        ("*2\r\n$1\r\na\r\n:1\r\n", b"*"),
        ("*2\r\n*0\r\n*1\r\n*-1\r\n", b"*"),
        ("_\r\n", b"_"),
        (",3.14\r\n", b","),
        ("#t\r\n", b"#"),
        ("!5\r\nERR x\r\n", b"!"),
        ("=7\r\ntxt:abc\r\n", b"="),
        ("(12345678901234567890\r\n", b"("),
        ("%1\r\n+k\r\n%0\r\n", b"%"),
        ("~2\r\n:1\r\n:2\r\n", b"~"),
        (">2\r\n+message\r\n+x\r\n", b">"),
        ("|1\r\n+ttl\r\n:1\r\n$1\r\nv\r\n", b"$"),
        ("|0\r\n|1\r\n+a\r\n|0\r\n*0\r\n-ERR\r\n", b"-"),
        ("*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n", b"*"),
        ("|1\r\n+a\r\n+b\r\n>1\r\n+c\r\n", b">"),
    ];
    let mut all = String::new();
    let mut expected = Vec::new();
    for (input, kinds) in cases {
        let outcome = (vec![(input.len(), kinds.first().copied())], None);
        assert_eq!(frame_all(input.as_bytes(), &[]), outcome, "{input:?}");
        assert_eq!(byte_by_byte(input.as_bytes()), outcome, "{input:?}");
        assert_eq!(complete_reply(input.as_bytes()), Ok(Some(input.len())));
        for end in 0..input.len() {
            assert_eq!(
                complete_reply(&input.as_bytes()[..end]),
                Ok(None),
                "{input:?} {end}"
            );
        }
        all.push_str(input);
        expected.push((all.len(), kinds.first().copied()));
    }
    assert_eq!(frame_all(all.as_bytes(), &[]), (expected, None));
}

#[test]
fn what_is_no_reply_is_refused() {
    let deepest = "*1\r\n".repeat(MAX_NESTING);
    assert_eq!(
        complete_reply(format!("{deepest}+\r\n").as_bytes()),
        Ok(Some(deepest.len() + 3))
    );
    let too_deep = format!("{deepest}*1\r\n");
    let too_many_attributes = "|0\r\n".repeat(MAX_NESTING + 1);
    use ReplyError as E;
    let cases = [
        ("x", E::Type { found: b'x' }),
        ("\r\n", E::Type { found: b'\r' }),
        ("*1\r\n;", E::Type { found: b';' }),
        ("$x\r\n", E::Length),
        ("$\r\n", E::Length),
        ("$-2\r\n", E::Length),
        ("*-2\r\n", E::Length),
        ("!-1\r\n", E::Length),
        ("%-1\r\n", E::Length),
        ("$+1\r\n", E::Length),
        ("*4294967296\r\n", E::Length),
        ("%4294967296\r\n", E::Length),
        ("$9223372036854775808\r\n", E::Length),
        ("$00000000000000000000000000000000", E::Length),
        ("$?\r\n", E::Streamed),
        ("*?\r\n", E::Streamed),
        ("+a\nb\r\n", E::LineEnd),
        ("+a\rb\r\n", E::LineEnd),
        ("$1\rx", E::LineEnd),
        ("$1\r\nabc", E::BulkEnd),
        ("$1\r\na\rc", E::BulkEnd),
        ("$1000\r\n", E::BulkEnd),
        ("*1\r\n>1\r\n+a\r\n", E::InnerPush),
        ("|1\r\n>1\r\n+a\r\n", E::InnerPush),
        (&too_deep, E::Nesting),
        (&too_many_attributes, E::Nesting),
    ];
    for (input, expected) in cases {
        let input = match expected {
            E::BulkEnd => input.replace("1000\r\n", &format!("1000\r\n{}", "x".repeat(1002))),
            _ => input.to_owned(),
        };
        assert_eq!(
            frame_all(input.as_bytes(), &[]).1,
            Some(expected),
            "{input:?}"
        );
        assert_eq!(
            byte_by_byte(input.as_bytes()).1,
            Some(expected),
            "{input:?}"
        );
    }
}

#[test]
fn a_large_reply_passes_piece_by_piece() {
    let mut framer = ReplyFramer::new();
    let header = b"*2\r\n$100000000\r\n";
    assert_eq!(
        framer.frame(header),
        Ok(Framed {
            consumed: header.len(),
            complete: false
        })
    );
    let piece = vec![b'x'; 1 << 16];
    let mut left = 100_000_000;
    while left > 0 {
        let piece = &piece[..piece.len().min(left)];
        assert_eq!(
            framer.frame(piece),
            Ok(Framed {
                consumed: piece.len(),
                complete: false
            })
        );
        left -= piece.len();
    }
    assert_eq!(
        framer.frame(b"\r\n+O"),
        Ok(Framed {
            consumed: 4,
            complete: false
        })
    );
    assert_eq!(
        framer.frame(b"K\r\n+next\r\n"),
        Ok(Framed {
            consumed: 3,
            complete: true
        })
    );
    assert_eq!(framer.kind(), Some(b'*'));
    assert_eq!(
        framer.frame(b"+next\r\n"),
        Ok(Framed {
            consumed: 7,
            complete: true
        })
    );
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        crate::value::tests::value().prop_map(|value| {
            let mut out = Vec::new();
            value.encode(&mut out);
            out
        }),
        "[-+:$*_,#!=(%~>|][-0-9?]{0,3}\r?\n?".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..8),
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
        let whole = frame_all(&input, &[]);
        prop_assert_eq!(&frame_all(&input, &cuts), &whole);
        prop_assert_eq!(&byte_by_byte(&input), &whole);
        let _ = Value::decode(&input);
    }
}
