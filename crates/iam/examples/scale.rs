//! Memory and time of a large directory: `cargo run --release -p keyward-iam --example scale -- N`.

use std::time::Instant;

use keyward_iam::{
    Asked, AskedAbout, Backend, Change, ChangeContext, Directory, PolicyInput, Session, UnixMillis,
};

/// Resident memory of this process, in bytes. Linux only; 0 elsewhere.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = status
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    pages * 4096
}

fn main() {
    let wanted: usize = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(100_000);
    let context = ChangeContext::system(UnixMillis(0));
    let mut directory = Directory::empty();
    let mut make = |change: Change| match directory.apply(&change, &context) {
        Ok(applied) => directory = applied.directory,
        Err(error) => panic!("{error}"),
    };
    make(Change::CreateUser {
        id: "u".into(),
        name: None,
    });
    make(Change::CreateOrganisation {
        id: "o".into(),
        name: None,
        owner: "user/u".into(),
        account: "000000000001".into(),
        administrator: None,
    });
    let (before, start) = (resident(), Instant::now());
    let identity = |n: usize| Change::CreateProgrammaticIdentity {
        organisation: "o".into(),
        id: format!("service-{n}"),
        name: None,
    };
    for n in 0..wanted {
        make(identity(n));
    }
    let (identities, made) = (resident(), start.elapsed());
    println!(
        "{wanted} identities: {} bytes each, {:.1} µs a change",
        (identities - before) / wanted,
        made.as_micros() as f64 / wanted as f64
    );
    let start = Instant::now();
    for n in 0..wanted {
        make(Change::CreateAccessKey {
            identity: format!("org/o/programmatic_identity/service-{n}"),
            key_id: format!("KWAK{n:016}"),
            secret_hash: [0; 32],
            description: None,
            expires_at: None,
            sealed_secret: None,
        });
        make(Change::CreateTrust {
            id: format!("service-{n}"),
            trustor: "org/o".into(),
            trustee: format!("org/o/programmatic_identity/service-{n}"),
            policies: vec![PolicyInput::Document(
                r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/d"]}]"#.into(),
            )],
            expires_at: None,
            kind: None,
            conditions: None,
        });
    }
    println!(
        "with a key and a trust: {} bytes each, {:.1} µs a change",
        (resident() - before) / wanted,
        start.elapsed().as_micros() as f64 / (2.0 * wanted as f64)
    );
    let mut times: Vec<u128> = (wanted..wanted + 1000)
        .map(|n| {
            let start = Instant::now();
            make(identity(n));
            start.elapsed().as_micros()
        })
        .collect();
    times.sort_unstable();
    println!(
        "one more change: median {} µs, 99 % {} µs",
        times[500], times[990]
    );
    make(Change::CreateDatabase {
        organisation: "o".into(),
        id: "d".into(),
        name: None,
        description: None,
        backend: Backend::Embedded,
    });
    if let Some(action) = keyward_commands::action("kvdb:ExecuteGet") {
        let asked = Asked {
            action,
            resource: "org/o/kvdb/d".into(),
            about: AskedAbout::AnyCall,
            administration: false,
            known: Vec::new(),
        };
        let start = Instant::now();
        let holders = directory.who_can(&asked, UnixMillis(0)).holders.len();
        println!("who can GET: {holders} in {:?}", start.elapsed());
    }
    if let Some(session) = Session::of_path(&directory, "user/u") {
        let start = Instant::now();
        let access = directory.access(&session, &[], false, UnixMillis(0));
        let others: usize = access.others.iter().map(|one| one.resources.len()).sum();
        println!(
            "access of the owner to {others} others in {:?}",
            start.elapsed()
        );
    }
    let start = Instant::now();
    let found = directory.escalations("o", false, UnixMillis(0)).found.len();
    println!("{found} escalations in {:?}", start.elapsed());
    let context = ChangeContext::system(UnixMillis(0));
    for (n, (action, resource)) in [
        ("iam:CreateAccessKey", "programmatic_identity/service-1"),
        ("iam:TagDatabase", "kvdb/*"),
        ("iam:CreateTrust", "org/o"),
        ("iam:UpdateTrust", "org/o"),
        ("iam:PutResourcePolicy", "kvdb/*"),
        ("iam:*", "**"),
    ]
    .into_iter()
    .enumerate()
    {
        let conditions = [
            "",
            r#","Conditions":{"IpAddress":{"keyward:SourceIp":"10.0.0.0/8"}}"#,
            r#","Conditions":{"Bool":{"keyward:MultiFactorAuthPresent":"true"}}"#,
        ][n % 3];
        let change = Change::UpdateTrust {
            path: format!("org/o/trust/service-{}", n + 10),
            policies: Some(vec![PolicyInput::Document(format!(
                r#"[{{"Effect":"Allow","Actions":["{action}"],"Resources":["{resource}"]{conditions}}}]"#
            ))]),
            expires_at: None,
            conditions: None,
        };
        match directory.apply(&change, &context) {
            Ok(applied) => directory = applied.directory,
            Err(error) => panic!("{error}"),
        }
    }
    let start = Instant::now();
    let answer = directory.escalations("o", false, UnixMillis(0));
    println!(
        "with six who may change something, under two conditions: {} escalations in {:?}{}",
        answer.found.len(),
        start.elapsed(),
        if answer.truncated { ", not all" } else { "" }
    );
    let start = Instant::now();
    let rows: Vec<_> = directory.rows().collect();
    println!("{} rows written in {:?}", rows.len(), start.elapsed());
    let start = Instant::now();
    match Directory::load(rows, directory.revision()) {
        Ok(again) => println!(
            "loaded in {:?}, revision {}",
            start.elapsed(),
            again.revision()
        ),
        Err(error) => println!("{error}"),
    }
}
