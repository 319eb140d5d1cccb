//! Nanoseconds per look-up and per extraction of keys: `cargo run --release -p keyward-commands
//! --example speed`.

use keyward_commands::{Touched, resolve, touched};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 50_000;

/// The shortest of several runs, in nanoseconds per call: the rest is the machine's.
fn nanoseconds(calls: &[Vec<&[u8]>], mut run: impl FnMut(&[&[u8]])) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..60 {
        let started = Instant::now();
        for at in 0..ROUNDS {
            run(black_box(&calls[at % calls.len()]));
        }
        best = best.min(started.elapsed().as_nanos() as f64 / ROUNDS as f64);
    }
    best
}

fn main() {
    let mixes = [
        ("GET", vec!["GET k"]),
        ("SET", vec!["SET k v"]),
        ("ping", vec!["ping"]),
        ("CONFIG GET", vec!["CONFIG GET maxmemory"]),
        ("zremrangebyscore", vec!["zremrangebyscore k 0 1"]),
        (
            "georadiusbymember_ro",
            vec!["georadiusbymember_ro k m 1 km"],
        ),
        ("MGET of 10", vec!["MGET a b c d e f g h i j"]),
        ("ZUNIONSTORE of 2", vec!["ZUNIONSTORE d 2 a b WEIGHTS 1 2"]),
        ("SET with options", vec!["SET k v EX 60 NX GET"]),
        ("SORT", vec!["SORT k LIMIT 0 10 STORE d"]),
        (
            "XREADGROUP",
            vec!["XREADGROUP GROUP g c COUNT 10 STREAMS a b > >"],
        ),
        (
            "mix of 16",
            vec![
                "GET k",
                "SET k v EX 5",
                "HGETALL k",
                "hset k f v",
                "INCR k",
                "EXPIRE k 5",
                "LPUSH k v",
                "lrange k 0 -1",
                "ZADD k 1 m",
                "zrange k 0 -1",
                "DEL a b",
                "EXISTS a",
                "SADD k m",
                "PING",
                "CLIENT SETINFO lib-name x",
                "XADD k * f v",
            ],
        ),
        ("unknown", vec!["FROBNICATE k"]),
    ];
    println!("{:24} {:>10} {:>10}", "", "resolve ns", "touched ns");
    for (name, lines) in mixes {
        let calls: Vec<Vec<&[u8]>> = lines
            .iter()
            .map(|line| line.split(' ').map(str::as_bytes).collect())
            .collect();
        let empty = nanoseconds(&calls, |call| {
            black_box(call);
        });
        let look_up = nanoseconds(&calls, |call| {
            black_box(resolve(call).ok());
        });
        let mut out = Touched::default();
        let both = nanoseconds(&calls, |call| {
            if let Ok(id) = resolve(call) {
                black_box(touched(id, call, &mut out).is_ok());
                black_box(&out);
            }
        });
        println!("{name:24} {:10.1} {:10.1}", look_up - empty, both - look_up);
    }
}
