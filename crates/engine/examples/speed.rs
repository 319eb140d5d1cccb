//! Nanoseconds of the engine alone for the commands that redis-benchmark sends by default.
//!
//! `cargo run --release -p keyward-engine --example speed [keys]`

use keyward_engine::{Engine, EngineSession, Settings, UnixMillis};
use keyward_test_cases::Random;
use std::time::Instant;

const ROUNDS: usize = 1_000_000;

fn main() {
    let keys: usize = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(100_000);
    let forms = [
        "PING",
        "SET key:# xxx",
        "GET key:#",
        "INCR counter:#",
        "LPUSH mylist xxx",
        "RPUSH mylist xxx",
        "LPOP mylist",
        "RPOP mylist",
        "SADD myset element:#",
        "HSET myhash element:# xxx",
        "SPOP myset",
        "ZADD myzset # element:#",
        "ZRANK myzset element:#",
        "ZPOPMIN myzset",
        "LPUSH mylist xxx",
        "LRANGE mylist 0 99",
        "LRANGE mylist 0 599",
        "MSET key:# xxx key:# xxx key:# xxx key:# xxx key:# xxx",
    ];
    let settings = Settings {
        hash_seed: [1, 2],
        started_at: UnixMillis(0),
    };
    let mut engine = Engine::new(settings);
    let mut session = EngineSession::new();
    let mut random = Random::new(1);
    let mut out = Vec::new();
    for form in forms {
        // Words are made beforehand, so that only the engine is measured.
        let requests: Vec<Vec<Vec<u8>>> = (0..ROUNDS.min(20_000))
            .map(|_| {
                let word = |word: &str| {
                    let number = format!("{:012}", random.below(keys));
                    word.replace('#', &number).into_bytes()
                };
                form.split(' ').map(word).collect()
            })
            .collect();
        let Ok(command) = keyward_commands::resolve(&requests[0]) else {
            continue;
        };
        let rounds = if form.starts_with("LRANGE") {
            ROUNDS / 20
        } else {
            ROUNDS
        };
        let start = Instant::now();
        for round in 0..rounds {
            out.clear();
            let words = &requests[round % requests.len()];
            let now = UnixMillis(round as i64);
            let mut draw = || random.draw();
            let _ = engine.apply(&mut session, command, words, now, &mut draw, &mut out);
        }
        let nanoseconds = start.elapsed().as_nanos() as f64 / rounds as f64;
        println!("{nanoseconds:8.1} ns  {form}");
    }
    println!(
        "{} keys, {} bytes by estimate",
        engine.key_count(),
        engine.memory_estimate()
    );
}
