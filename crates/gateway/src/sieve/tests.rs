use super::*;
use keyward_resp::Value;
use proptest::prelude::*;

/// Shows keys that begin with `a`.
fn shows() -> Shows {
    Box::new(|key| key.starts_with(b"a"))
}

/// The sieve over replies of the upstream, in pieces of `size` bytes as a framer cuts them.
fn sifted(mut sieve: Sieve, input: &[u8], size: usize) -> Result<Vec<u8>, QueueError> {
    let mut out = Vec::new();
    let mut framer = ReplyFramer::new();
    let (mut at, mut end) = (0, 0);
    while at < input.len() {
        end = (end + size).min(input.len());
        let framed = framer.frame(&input[at..end]).unwrap();
        sieve.push(&input[at..at + framed.consumed], &mut out)?;
        at += framed.consumed;
    }
    Ok(out)
}

fn keys() -> Item {
    Item::new(Listing::Keys, 1, shows())
}

fn page() -> Item {
    Item::new(Listing::Page, 1, shows())
}

fn draws(replies: u32) -> Item {
    Item::new(Listing::One, replies, shows())
}

#[test]
fn replies_are_filtered_wherever_they_are_cut() {
    type Make = fn() -> Sieve;
    const SMALL: usize = 40;
    let cases: [(Make, &str, &str); 22] = [
        (|| one(keys()), "*0|", "*0|"),
        (|| one(keys()), "*2|$2|ab|$1|b|", "*1|$2|ab|"),
        (|| one(keys()), "*2|$1|b|$1|c|", "*0|"),
        (|| one(keys()), "-ERR no|", "-ERR no|"),
        (|| one(keys()), "_|", "_|"),
        (|| one(keys()), "*-1|", "*-1|"),
        (
            || one(keys()),
            "*1|*1|$1|a|",
            "-ERR keyward: the server's list of keys is not understood|",
        ),
        (
            || one(keys()),
            "$1|a|",
            "-ERR keyward: the server's list of keys is not understood|",
        ),
        (
            || one(keys()),
            "~1|$1|a|",
            "-ERR keyward: the server's list of keys is not understood|",
        ),
        (
            || one(keys()),
            "*1|$60|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|",
            "-ERR keyward: too many keys for one reply, use SCAN|",
        ),
        (
            || one(keys()),
            "*5|$6|aaaaaa|$6|aaaaaa|$6|aaaaaa|$6|aaaaaa|$6|aaaaaa|",
            "-ERR keyward: too many keys for one reply, use SCAN|",
        ),
        (
            || one(page()),
            "*2|$2|17|*2|$1|b|$1|a|",
            "*2|$2|17|*1|$1|a|",
        ),
        (|| one(page()), "*2|$2|17|*1|$1|b|", "*2|$2|17|*0|"),
        (|| one(page()), "*2|$1|0|*0|", "*2|$1|0|*0|"),
        (
            || one(page()),
            "-ERR invalid cursor|",
            "-ERR invalid cursor|",
        ),
        (
            || one(page()),
            "*3|$1|0|*1|$1|a|$1|a|",
            "-ERR keyward: the server's list of keys is not understood|",
        ),
        (
            || one(page()),
            "*2|$1|0|$1|a|",
            "-ERR keyward: the server's list of keys is not understood|",
        ),
        (|| one(draws(3)), "$1|b|$2|ab|$1|c|", "$2|ab|"),
        (|| one(draws(2)), "$1|b|$1|c|", "$-1|"),
        (|| one(draws(2)), "$-1|$-1|", "$-1|"),
        (|| one(draws(2)), "-LOADING|-LOADING|", "-LOADING|"),
        (|| one(draws(1)), "*1|$1|a|", "$-1|"),
    ];
    fn one(item: Item) -> Sieve {
        Sieve::of_command(item, Protocol::Resp2, SMALL)
    }
    for (make, input, expected) in cases {
        let input = input.replace('|', "\r\n").into_bytes();
        for size in 1..=input.len() {
            let found = sifted(make(), &input, size).unwrap();
            let found = String::from_utf8(found).unwrap().replace("\r\n", "|");
            assert_eq!(found, expected, "{} by {size}", input.escape_ascii());
        }
    }
}

#[test]
fn transactions_are_filtered_command_by_command() {
    let items = || vec![Item::Plain, keys(), draws(2), page(), Item::Plain];
    let cases = [
        (
            "*6|+OK|*2|$1|a|$1|b|$1|b|$1|c|*2|$1|5|*2|$2|aa|$1|c|*1|*1|:3|",
            Ok("*5|+OK|*1|$1|a|$-1|*2|$1|5|*1|$2|aa|*1|*1|:3|"),
        ),
        (
            "*6|-ERR a|-ERR b|-ERR c|-ERR c|-ERR d|:1|",
            Ok("*5|-ERR a|-ERR b|-ERR c|-ERR d|:1|"),
        ),
        ("*-1|", Ok("*-1|")),
        ("_|", Ok("_|")),
        ("-EXECABORT x|", Ok("-EXECABORT x|")),
        ("*5|+OK|*0|$-1|$-1|:1|", Err(QueueError::Unexpected)),
        (":5|", Err(QueueError::Unexpected)),
    ];
    for (input, expected) in cases {
        let input = input.replace('|', "\r\n").into_bytes();
        for size in 1..=input.len() {
            let sieve = Sieve::of_transaction(items(), Protocol::Resp2, 1000);
            let found = sifted(sieve, &input, size)
                .map(|found| String::from_utf8(found).unwrap().replace("\r\n", "|"));
            assert_eq!(
                found.as_deref(),
                expected.as_ref().map(|text| *text),
                "{}",
                input.escape_ascii()
            );
        }
    }
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just(b"$-1\r\n".to_vec()),
        Just(b"_\r\n".to_vec()),
        Just(b"*-1\r\n".to_vec()),
        Just(b"-ERR x\r\n".to_vec()),
        Just(b":1\r\n".to_vec()),
        Just(b"+ab\r\n".to_vec()),
        "[abc\r\n]{0,3}".prop_map(|text| format!("${}\r\n{text}\r\n", text.len()).into_bytes()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(|values| {
            let mut reply = format!("*{}\r\n", values.len()).into_bytes();
            reply.extend(values.concat());
            reply
        })
    })
}

proptest! {
    /// Whatever a server sends, what comes out is whole replies that do not depend on where the
    /// bytes were cut, and no string in them that may not be shown.
    #[test]
    fn nothing_hidden_passes(
        replies in prop::collection::vec(value(), 1),
        which in 0..3_usize,
        size in 1..50_usize,
    ) {
        let item = || [keys, page, || draws(1)][which]();
        let input = replies.concat();
        let make = || Sieve::of_command(item(), Protocol::Resp3, 1000);
        let whole = sifted(make(), &input, input.len()).unwrap();
        prop_assert_eq!(&sifted(make(), &input, size).unwrap(), &whole);
        let (shown, len) = Value::decode(&whole).unwrap().unwrap();
        prop_assert_eq!(len, whole.len());
        let listed = match shown {
            Value::Array(values) if which == 1 => match &values[..] {
                [_, Value::Array(keys)] => keys.clone(),
                other => panic!("{other:?}"),
            },
            Value::Array(keys) => keys,
            Value::Error(_) | Value::Null | Value::NullArray => Vec::new(),
            one => vec![one],
        };
        for key in listed {
            let hidden = match &key {
                Value::Bulk(key) | Value::Simple(key) => !key.starts_with(b"a"),
                other => panic!("{other:?}"),
            };
            prop_assert!(!hidden, "{key:?}");
        }
    }
}
