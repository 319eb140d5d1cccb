//! Nanoseconds per decision from a table: `cargo run --release -p keyward-iam --example bench`.

use std::hint::black_box;
use std::time::Instant;

use keyward_commands::{Touched, Words, resolve};
use keyward_iam::{
    Backend, Change, ChangeContext, Directory, PolicyInput, Request, Session, UnixMillis,
};

fn world(document: &str) -> Directory {
    let context = ChangeContext::system(UnixMillis(0));
    let mut directory = Directory::empty();
    let changes = [
        Change::CreateUser {
            id: "u".into(),
            name: None,
        },
        Change::CreateOrganisation {
            id: "o".into(),
            name: None,
            owner: "user/u".into(),
            account: "000000000001".into(),
            administrator: None,
        },
        Change::CreateProgrammaticIdentity {
            organisation: "o".into(),
            id: "p".into(),
            name: None,
        },
        Change::CreateDatabase {
            organisation: "o".into(),
            id: "d".into(),
            name: None,
            description: None,
            backend: Backend::Embedded,
        },
        Change::CreateTrust {
            id: "t".into(),
            trustor: "org/o".into(),
            trustee: "org/o/programmatic_identity/p".into(),
            policies: vec![PolicyInput::Document(document.into())],
            expires_at: None,
            kind: None,
            conditions: None,
        },
    ];
    for change in &changes {
        match directory.apply(change, &context) {
            Ok(applied) => directory = applied.directory,
            Err(error) => panic!("{error}"),
        }
    }
    directory
}

fn measure(name: &str, document: &str, words: &[&str]) {
    let directory = world(document);
    let Some(identity) = directory.identity_at("org/o/programmatic_identity/p") else {
        return;
    };
    let Some(database) = directory.database_at("org/o/kvdb/d") else {
        return;
    };
    let session = Session::of_identity(identity);
    let start = Instant::now();
    let table = directory.table(&session, database, false, UnixMillis(0));
    let built = start.elapsed();
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let Ok(command) = resolve(&words) else { return };
    let request = Request {
        command,
        words: &words,
        bytes: b"",
        call: keyward_iam::Call::default(),
    };
    let mut touched = Touched::default();
    let start = Instant::now();
    let allowed = table.authorize(&request, &mut touched).is_ok();
    let first = start.elapsed();
    let mut rounds: Vec<f64> = (0..31)
        .map(|_| {
            const TIMES: u32 = 20_000;
            let start = Instant::now();
            for _ in 0..TIMES {
                let request = black_box(&request);
                let _ = black_box(table.authorize(request, &mut touched).is_ok());
            }
            start.elapsed().as_nanos() as f64 / f64::from(TIMES)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!(
        "{name:28} {:7.1} ns (least {:.1})   table built in {built:?}, first use {first:?}, allowed {allowed}, {} words",
        rounds[rounds.len() / 2],
        rounds[0],
        Words::len(&words),
    );
}

fn statements(n: usize, each: impl Fn(usize) -> String) -> String {
    let all: Vec<String> = (0..n).map(each).collect();
    format!("[{}]", all.join(","))
}

fn main() {
    let get = &["GET", "tenant17:session:1"];
    let unconditional = r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/d"]}]"#;
    measure("unconditional", unconditional, get);
    let one = r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/d"],"Keys":["tenant17:*"]}]"#;
    measure("one key pattern", one, get);
    measure(
        "one key pattern, MGET of 2",
        one,
        &["MGET", "tenant17:a", "tenant17:b"],
    );
    for n in [10, 1_000, 10_000] {
        let unrelated = statements(n, |i| {
            if i == n / 2 {
                r#"{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/d"],"Keys":["tenant17:*"]}"#.to_owned()
            } else {
                format!(
                    r#"{{"Effect":"Allow","Actions":["kvdb:ExecuteHset"],"Resources":["kvdb/d"],"Keys":["x{i}:*"]}}"#
                )
            }
        });
        measure(&format!("few of {n} concern it"), &unrelated, get);
        let many = statements(n, |i| {
            format!(
                r#"{{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/d"],"Keys":["tenant{i}:*"]}}"#
            )
        });
        measure(&format!("all of {n} concern it"), &many, get);
    }
}
