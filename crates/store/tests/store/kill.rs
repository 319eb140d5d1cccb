//! `kill -9` at any moment loses no acknowledged change.

use std::path::Path;
use std::thread;
use std::time::Duration;

use keyward_store::{OpenError, Store};

use crate::child::{Running, Said, command};
use crate::history::Expected;

/// A moment in microseconds, another one for every number.
fn moment(number: u64, below: u64) -> Duration {
    let mixed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Duration::from_micros((mixed >> 32) % below)
}

/// Starts a child on the store, kills it, and returns the last revision that it had acknowledged
/// before. The moment counts from the start of the process, or from its first acknowledgement.
fn kill_one(file: &Path, moment: Duration, from_the_first: bool) -> u64 {
    let mut child = Running::start(command(&["env"], file, u64::MAX));
    let mut last = 0;
    let mut note = |said| match said {
        Said::Opened(revision) | Said::Acknowledged(revision) => last = revision,
        Said::Refused(..) => panic!("{said:?}"),
    };
    if from_the_first {
        while let Some(said) = child.listen() {
            let first = matches!(said, Said::Acknowledged(_));
            note(said);
            if first {
                break;
            }
        }
        // While it runs, nobody else has the store.
        assert!(matches!(Store::open(file), Err(OpenError::InUse)));
    }
    thread::sleep(moment);
    child.process.kill().unwrap(); // SIGKILL
    child.listen_to_the_end().into_iter().for_each(note);
    last
}

#[test]
fn no_acknowledged_change_is_lost_by_kills() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keyward.db");
    let mut expected = Expected::new();
    for round in 0..60 {
        let before = expected.directory.revision();
        let acknowledged = kill_one(&file, moment(round, 80_000), round % 3 != 0);
        let store = Store::open(&file).unwrap();
        let found = store.revision();
        // One more may have been written and not yet acknowledged.
        let whole = acknowledged.max(before)..=acknowledged.max(before) + 1;
        assert!(
            whole.contains(&found),
            "round {round}: {acknowledged} acknowledged, {found} found"
        );
        while expected.directory.revision() < found {
            expected.advance();
        }
        expected.check(&store, before);
    }
    assert!(
        expected.directory.revision() > 300,
        "the kills came too early to tell anything"
    );
    println!(
        "60 kills, {} changes, none lost",
        expected.directory.revision()
    );
}

#[test]
fn a_store_killed_while_it_is_made_is_made_again() {
    for round in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keyward.db");
        let acknowledged = kill_one(&file, moment(round, 12_000), false);
        let store = Store::open(&file).unwrap();
        let mut expected = Expected::new();
        while expected.directory.revision() < store.revision() {
            expected.advance();
        }
        assert!(
            (acknowledged..=acknowledged + 1).contains(&store.revision()),
            "round {round}"
        );
        expected.check(&store, 0);
    }
}
