//! A kill does not tell whether a change was on the disk or only in the system's memory. These
//! tests look at the system calls: they need `strace`, and say so where it is missing. (That
//! SQLite was told to synchronise, and took it, is read back at every opening, and needs nothing.)

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use keyward_store::Store;

use crate::child::{Running, Said, command};
use crate::history::Expected;

struct Traced {
    folder: tempfile::TempDir,
}

impl Traced {
    /// `None`, said aloud, if programs cannot be traced here.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let works = Command::new("strace")
            .args(["-o", "/dev/null", "-e", "trace=fsync", "true"])
            .output();
        let works = match works {
            Ok(output) => output.status.success(),
            Err(error) => panic!("`strace`: {error}; install it: apt-get install strace"),
        };
        if !works {
            eprintln!("SKIPPED: this system permits no tracing");
        }
        works.then_some(Self { folder })
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("keyward.db")
    }

    fn trace(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    /// Runs a child that commits this many changes, with more words for `strace`.
    fn run(&self, changes: u64, options: &[&str]) -> Vec<Said> {
        let trace = self.trace();
        let calls = "trace=write,pwrite64,fsync,fdatasync,ftruncate";
        let mut words = vec![
            "strace",
            "-f",
            "-y",
            "-o",
            trace.to_str().unwrap(),
            "-e",
            calls,
        ];
        words.extend(options);
        Running::start(command(&words, &self.store(), changes)).listen_to_the_end()
    }

    /// The store that is there afterwards, held against the history.
    fn check(&self, acknowledged: u64) {
        let store = Store::open(self.store()).unwrap();
        let mut expected = Expected::new();
        while expected.directory.revision() < store.revision() {
            expected.advance();
        }
        assert!(store.revision() >= acknowledged);
        expected.check(&store, 0);
    }
}

/// What one line of a trace means here.
#[derive(Debug, Eq, PartialEq)]
enum Call {
    /// Something was written to the log of the store.
    Write,
    /// The log was synchronised.
    Sync,
    /// A revision was acknowledged.
    Acknowledge,
}

fn calls(trace: &Path) -> Vec<Call> {
    let is_log = |line: &str| line.contains("keyward.db-wal>");
    let text = fs::read_to_string(trace).unwrap();
    text.lines()
        .filter_map(|line| {
            let call = line.split_whitespace().nth(1)?; // after the thread
            if call.starts_with("pwrite64(") && is_log(line) {
                Some(Call::Write)
            } else if call.starts_with("f") && is_log(line) && line.ends_with("= 0") {
                (!call.starts_with("ftruncate(")).then_some(Call::Sync)
            } else if line.contains("acknowledged ") {
                Some(Call::Acknowledge)
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn the_sync_precedes_the_answer() {
    let Some(traced) = Traced::new() else { return };
    let changes = 400; // over several checkpoints
    let said = traced.run(changes, &[]);
    assert_eq!(said.last(), Some(&Said::Acknowledged(changes)));
    let calls = calls(&traced.trace());
    let acknowledged = |calls: &[Call]| {
        calls
            .iter()
            .filter(|call| **call == Call::Acknowledge)
            .count() as u64
    };
    assert_eq!(acknowledged(&calls), changes);
    for change in calls.split_inclusive(|call| *call == Call::Acknowledge) {
        if acknowledged(change) == 0 {
            continue; // what happens on closing
        }
        let last_write = change.iter().rposition(|call| *call == Call::Write);
        let last_sync = change.iter().rposition(|call| *call == Call::Sync);
        assert!(last_write.is_some() && last_write < last_sync, "{change:?}");
    }
}

#[test]
fn a_sync_that_fails_is_never_acknowledged() {
    // The failing call is counted over the whole life of the process, its opening included.
    for nth in [14, 20, 27, 33] {
        let Some(traced) = Traced::new() else { return };
        let fault = format!("inject=fdatasync,fsync:error=EIO:when={nth}");
        let said = traced.run(40, &["-e", &fault]);
        let refused = said
            .iter()
            .position(|said| matches!(said, Said::Refused(..)));
        let refused = refused.expect("the fault is within the forty changes");
        let Said::Acknowledged(before) = said[refused - 1] else {
            panic!("{said:?}")
        };
        // From then on nothing is acknowledged until the store is opened again.
        for (at, said) in said[refused..].iter().enumerate() {
            let Said::Refused(revision, reason) = said else {
                panic!("{said:?}")
            };
            assert_eq!(
                (*revision, reason.contains("InDoubt")),
                (before + 1, at > 0),
                "{reason}"
            );
        }
        traced.check(before);
    }
}

#[test]
fn a_full_disk_refuses_changes_and_nothing_else() {
    for nth in [45, 60, 75] {
        let Some(traced) = Traced::new() else { return };
        let fault = format!("inject=pwrite64:error=ENOSPC:when={nth}..{}", nth + 3);
        let said = traced.run(40, &["-e", &fault]);
        let acknowledged = said
            .iter()
            .filter(|said| matches!(said, Said::Acknowledged(_)))
            .count();
        let refused = said
            .iter()
            .filter(|said| matches!(said, Said::Refused(..)))
            .count();
        assert!(refused > 0, "{said:?}");
        assert_eq!(acknowledged + refused, 40);
        assert_eq!(
            said.last(),
            Some(&Said::Acknowledged(acknowledged as u64)),
            "{said:?}"
        );
        traced.check(acknowledged as u64);
    }
}
