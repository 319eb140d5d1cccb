//! Prints nanoseconds per request decoded and per reply framed, one thread, as the 5th percentile
//! of many short runs, which a busy machine disturbs little, and their median: `cargo run --release -p keyward-resp --example bench`.

use std::hint::black_box;
use std::time::Instant;

use keyward_resp::{
    Decoded, Protocol, ReplyFramer, RequestDecoder, RequestLimits, Words, encode, encode_request,
};

const RUNS: usize = 4000;
/// Roughly what one read brings when clients pipeline.
const BATCH: usize = 256;

fn main() {
    let value = [b'x'; 64];
    let eleven: Vec<&[u8]> = [&b"HSET"[..]]
        .into_iter()
        .chain([&value[..8]; 10])
        .collect();
    let long = [b'x'; 5000];
    let requests: [(&str, Vec<&[u8]>); 5] = [
        ("PING", vec![b"PING"]),
        ("GET key", vec![b"GET", b"key:000000000042"]),
        (
            "SET key, 64 bytes",
            vec![b"SET", b"key:000000000042", &value],
        ),
        ("HSET, 11 words of 8 bytes", eleven),
        (
            "SET key, 5000 bytes",
            vec![b"SET", b"key:000000000042", &long],
        ),
    ];
    for (name, words) in requests {
        let mut input = Vec::new();
        for _ in 0..BATCH {
            encode_request(words.iter().copied(), &mut input);
        }
        let (mut decoder, mut ranges) = (RequestDecoder::new(), Words::default());
        report("decode", name, || {
            let mut rest = &input[..];
            while let Ok(Decoded::Complete { len, .. }) =
                decoder.decode(black_box(rest), &RequestLimits::AFTER_LOGIN, &mut ranges)
            {
                black_box(ranges.of(rest).get(0));
                rest = &rest[len..];
            }
            assert!(rest.is_empty());
        });
    }

    let mut array = Vec::new();
    encode::array(&mut array, 10);
    for _ in 0..10 {
        encode::bulk(&mut array, &value[..16]);
    }
    let mut map = Vec::new();
    encode::map(&mut map, Protocol::Resp3, 5);
    for i in 0..5 {
        encode::bulk(&mut map, b"field");
        encode::integer(&mut map, i);
    }
    let replies: [(&str, Vec<u8>); 8] = [
        ("+OK", b"+OK\r\n".to_vec()),
        ("+QUEUED", b"+QUEUED\r\n".to_vec()),
        (":1000", b":1000\r\n".to_vec()),
        ("$-1", b"$-1\r\n".to_vec()),
        ("$64", [b"$64\r\n", &value[..], b"\r\n"].concat()),
        ("$5000", [b"$5000\r\n", &long[..], b"\r\n"].concat()),
        ("array of 10 strings", array),
        ("map of 5 pairs", map),
    ];
    for (name, reply) in replies {
        let input = reply.repeat(BATCH);
        let mut framer = ReplyFramer::new();
        report("frame", name, || {
            let mut rest = &input[..];
            while !rest.is_empty() {
                match framer.frame(black_box(rest)) {
                    Ok(framed) => rest = &rest[framed.consumed..],
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
}

/// Runs `batch`, which handles `BATCH` items, and prints what one item takes.
fn report(what: &str, name: &str, mut batch: impl FnMut()) {
    let mut runs: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            batch();
            batch();
            start.elapsed().as_nanos() as f64 / (2 * BATCH) as f64
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    let (low, median) = (runs[RUNS / 20], runs[RUNS / 2]);
    println!("{what:7}{name:28}{low:7.1} ns  (median {median:.1})");
}
