//! What a call says of expiries and sizes, held against what servers make of it.

use crate::calls::{Calls, Mode, as_text};
use crate::rounds;
use crate::server::{Reply, Server, ServerKind};
use keyward_commands::{Argument, Limit, by_name, resolve, ttl, value_bytes};

fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_millis() as i64
}

/// Times left in a key and in the fields of a hash: those that are limited.
fn times_left(server: &mut Server, key: &[u8]) -> Vec<i64> {
    let Reply::Integer(whole) = server.call(&[b"pttl", key]) else {
        panic!("PTTL")
    };
    let mut times = vec![whole];
    if let Reply::Array(fields) = server.call(&[b"hkeys", key]) {
        for field in fields {
            let words = [&b"hpttl"[..], key, b"fields", b"1", field.bytes()];
            if let Reply::Array(left) = server.call(&words)
                && let Some(Reply::Integer(left)) = left.first()
            {
                times.push(*left);
            }
        }
    }
    times.retain(|time| *time >= 0);
    times
}

/// Nothing lives for another time than the one that is told, and nothing told to live for ever gets
/// an expiry.
#[test]
fn expiries_are_those_that_servers_set() {
    for kind in ServerKind::ALL {
        let mut server = Server::start(kind);
        let mut calls = Calls::new(kind);
        let (mut limited, mut unlimited) = (0, 0);
        for command in calls.commands() {
            let id = by_name(&command).expect("a command of the catalogue");
            if !id.can_have(Argument::Ttl) || command.starts_with("restore") {
                continue; // RESTORE needs a value that it accepts: a test of its own
            }
            for round in 0..rounds() {
                let mode = Mode::ALL[round % Mode::ALL.len()];
                let call = calls.call(&command, mode);
                let prepare = calls.prepare(&command);
                let before = server.prepare(&prepare);
                let words: Vec<&[u8]> = call.iter().map(Vec::as_slice).collect();
                let told = ttl(id, &call, now());
                if matches!(server.call(&words), Reply::Error(_)) {
                    continue;
                }
                for key in call.iter().chain(before.keys()) {
                    for left in times_left(&mut server, key) {
                        let Limit::At(told) = told else {
                            panic!("{kind}: {}: {left} ms left", as_text(&call))
                        };
                        let near = (told - 5_000..=told).contains(&left);
                        assert!(near, "{kind}: {}: {left} of {told}", as_text(&call));
                        limited += 1;
                    }
                }
                unlimited += usize::from(told == Limit::Infinite);
            }
        }
        println!(
            "{kind}: seed {}: {limited} limited, {unlimited} not",
            calls.seed()
        );
        assert!(limited > rounds() / 4 && unlimited > rounds() / 4);
    }
}

#[test]
fn a_restored_value_lives_as_long_as_told() {
    let times: [&[&str]; 7] = [
        &["0"],
        &["0", "ABSTTL"],
        &["5000"],
        &["5000", "REPLACE", "IDLETIME", "1"],
        &["9999999999999", "ABSTTL"],
        &["9999999999999", "absttl", "freq", "3", "replace"],
        &["-1"],
    ];
    for kind in ServerKind::ALL {
        let mut server = Server::start(kind);
        server.call(&[b"set", b"from", b"value"]);
        let Reply::Bulk(dump) = server.call(&[b"dump", b"from"]) else {
            panic!("DUMP")
        };
        for options in times {
            server.call(&[b"del", b"to"]);
            let mut call: Vec<&[u8]> = vec![b"restore", b"to", options[0].as_bytes(), &dump];
            call.extend(options[1..].iter().map(|option| option.as_bytes()));
            let told = ttl(resolve(&call).unwrap(), &call, now());
            server.call(&call);
            let left = times_left(&mut server, b"to");
            let same = match (told, &left[..]) {
                (Limit::At(told), [left]) => (told - 5_000..=told).contains(left),
                (Limit::Infinite, []) => true,
                _ => false,
            };
            assert!(same, "{kind}: {options:?}: {told:?}, {left:?}");
        }
    }
}

/// Where data is stored at an offset, the value grows to the size that is told.
#[test]
fn values_grow_to_what_is_told() {
    let calls = [
        "setrange k 0 x",
        "setrange k 1000 xyz",
        "setbit k 0 1",
        "setbit k 7 1",
        "setbit k 8 0",
        "setbit k 12345 1",
        "bitfield k set u8 0 1",
        "bitfield k set u5 3 1",
        "bitfield k set u5 4 1",
        "bitfield k set u63 #7 1 get u8 100000",
        "bitfield k incrby i64 #1 1 set u1 500 1",
        "bitfield k get u8 0",
        "append k abc",
        "set k abcdef",
    ];
    for kind in ServerKind::ALL {
        let mut server = Server::start(kind);
        for call in calls {
            let words: Vec<&[u8]> = call.split(' ').map(str::as_bytes).collect();
            server.call(&[b"del", b"k"]);
            server.call(&words);
            let Reply::Integer(length) = server.call(&[b"strlen", b"k"]) else {
                panic!("STRLEN")
            };
            let told = match value_bytes(resolve(&words).unwrap(), &words) {
                Limit::Absent => 0,
                Limit::Infinite => panic!("{call}"),
                Limit::At(told) => told,
            };
            assert_eq!(told, length, "{kind}: {call}");
        }
    }
}
