//! Figures, for docs: `cargo test --release -p keyward-store -- --ignored figures --nocapture`.

use std::time::Instant;

use keyward_store::Store;

use crate::history::Expected;

#[test]
#[ignore = "measures"]
fn figures() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keyward.db");

    let mut store = Store::open(&file).unwrap();
    let mut expected = Expected::new();
    let changes = 3000;
    let start = Instant::now();
    for _ in 0..changes {
        expected.commit(&mut store);
    }
    let each = start.elapsed() / changes;
    println!(
        "commit, synchronised: {each:?} each, {:.0} a second",
        1.0 / each.as_secs_f64()
    );

    // The same without a disk: what is left is Keyward and SQLite.
    let mut memory = Store::open_in_memory().unwrap();
    let mut expected = Expected::new();
    let start = Instant::now();
    for _ in 0..changes {
        expected.commit(&mut memory);
    }
    println!("commit, in memory: {:?} each", start.elapsed() / changes);

    drop(store);
    for entities in [10_000, 100_000] {
        let file = folder.path().join(format!("{entities}.db"));
        fill(&file, entities);
        let start = Instant::now();
        let store = Store::open(&file).unwrap();
        let opened = start.elapsed();
        let start = Instant::now();
        let directory = store.load().unwrap();
        let loaded = start.elapsed();
        let size = std::fs::metadata(&file).unwrap().len();
        println!(
            "{entities} entities ({:.1} MB): opened in {opened:?}, loaded in {loaded:?}",
            size as f64 / 1e6
        );
        assert_eq!(directory.rows().count(), entities);
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
