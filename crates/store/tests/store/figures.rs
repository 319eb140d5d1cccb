//! Figures, for docs: `cargo test --release -p keyward-store -- --ignored figures --nocapture`.

use std::time::{Duration, Instant};

use keyward_iam::{Directory, Row};
use keyward_store::Store;

use crate::history::Expected;

/// How long something takes: on the clock, and of this thread's processor time, which other programs
/// on the machine change little.
fn timed<T>(what: &str, run: impl FnOnce() -> T) -> (T, Duration) {
    let (clock, processor) = (Instant::now(), processor_time());
    let made = run();
    let (clock, processor) = (clock.elapsed(), processor_time() - processor);
    println!("{what}: {clock:.1?}, of it {processor:.1?} of processor time");
    (made, clock)
}

/// What the thread has used; 0 where the system does not tell.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let used = text
        .split_whitespace()
        .next()
        .and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(used.unwrap_or(0))
}

#[test]
#[ignore = "measures"]
fn figures() {
    let folder = tempfile::tempdir().unwrap();
    let changes = 2000;
    let commit = |mut store: Store| {
        let mut expected = Expected::new();
        (0..changes).for_each(|_| expected.commit(&mut store));
    };
    let store = Store::open(folder.path().join("keyward.db")).unwrap();
    let ((), clock) = timed("2000 changes, each synchronised", || commit(store));
    println!(
        "  that is {:.0} a second",
        f64::from(changes) / clock.as_secs_f64()
    );
    // The same without a disk: what is left is Keyward and SQLite.
    let store = Store::open_in_memory().unwrap();
    timed("2000 changes in memory", || commit(store));
    let mut expected = Expected::new();
    timed("2000 changes without a store", || {
        (0..changes).for_each(|_| drop(expected.advance()))
    });

    for entities in [10_000, 100_000] {
        let file = folder.path().join(format!("{entities}.db"));
        fill(&file, entities);
        let size = std::fs::metadata(&file).unwrap().len();
        println!("{entities} entities, {:.1} MB:", size as f64 / 1e6);
        let (store, _) = timed("  opened", || Store::open(&file).unwrap());
        let (directory, _) = timed("  loaded", || store.load().unwrap());
        let rows: Vec<Row> = directory.rows().collect();
        assert_eq!(rows.len(), entities);
        timed("  of it, the directory made of rows", || {
            Directory::load(rows, 1).unwrap()
        });
    }
}

/// A store with an organisation and this many entities in all: programmatic identities, each with
/// a key, a trust with a policy, and a database. Written past [`Store::commit`], in one transaction.
fn fill(file: &std::path::Path, entities: usize) {
    let mut expected = Expected::new();
    // What one round of the history makes is the model of all.
    for _ in 0..6 {
        expected.advance();
    }
    let model: Vec<_> = expected.rows.values().cloned().collect();
    drop(Store::open(file).unwrap());
    let mut connection = rusqlite::Connection::open(file).unwrap();
    let transaction = connection.transaction().unwrap();
    transaction
        .execute(
            "INSERT INTO audit VALUES (1, 1, 'system', '[]', 'org/acme', '{}', NULL)",
            [],
        )
        .unwrap();
    let mut count = 0;
    let mut insert = |path: &str, kind: &str, body: &str| {
        let mut statement = transaction
            .prepare_cached("INSERT INTO entity VALUES (?1, ?2, ?3, 1)")
            .unwrap();
        if count < entities {
            statement.execute([path, kind, body]).unwrap();
            count += 1;
        }
    };
    let is_common = |path: &str| !path.contains("0");
    for row in model.iter().filter(|row| is_common(&row.path)) {
        insert(
            &row.path,
            &row.kind,
            &row.body.as_ref().unwrap().to_string(),
        );
    }
    for n in 0..=entities / 4 {
        // Identities before what refers to them, should the last round be cut short.
        for kind in ["programmatic_identity", "kvdb", "access_key", "trust"] {
            for row in model
                .iter()
                .filter(|row| !is_common(&row.path) && row.kind == kind)
            {
                let number = |text: &str| {
                    text.replace("p0", &format!("p{n}"))
                        .replace("d0", &format!("d{n}"))
                        .replace("t0", &format!("t{n}"))
                };
                let key_id = format!("KWAK{}", crate::history::base32(n as u64));
                let path = number(&row.path).replace("KWAKAAAAAAAAAAAAAAAA", &key_id);
                insert(
                    &path,
                    &row.kind,
                    &number(&row.body.as_ref().unwrap().to_string()),
                );
            }
        }
    }
    transaction.commit().unwrap();
}
