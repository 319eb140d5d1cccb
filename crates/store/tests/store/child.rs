//! A process of its own that commits changes and says which: this very test program, started again.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use keyward_store::Store;

use crate::history::{apply_next, audit};

const FILE: &str = "KEYWARD_TEST_STORE";
const CHANGES: &str = "KEYWARD_TEST_CHANGES";

/// What a child says, one line each.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Said {
    /// It has opened the store at this revision.
    Opened(u64),
    /// The store acknowledged this revision.
    Acknowledged(u64),
    /// The store did not acknowledge this revision, for this reason.
    Refused(u64, String),
}

/// A command that commits this many changes to a store. `wrapper` goes before it.
pub(crate) fn command(wrapper: &[&str], file: &Path, changes: u64) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut words: Vec<_> = wrapper.iter().map(Path::new).collect();
    words.push(&program);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command.args([
        "--exact",
        "child::the_child",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    command.env(FILE, file).env(CHANGES, changes.to_string());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// A running child, and what it has said.
pub(crate) struct Running {
    pub(crate) process: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Self { process, lines }
    }

    /// The next thing that it says; `None` when it has ended.
    pub(crate) fn listen(&mut self) -> Option<Said> {
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).unwrap();
            // A line that the kill cut off was not said.
            let said = line.strip_suffix('\n')?;
            let mut words = said.splitn(3, ' ');
            let (word, number) = (words.next(), words.next().and_then(|n| n.parse().ok()));
            match (word, number) {
                (Some("opened"), Some(revision)) => return Some(Said::Opened(revision)),
                (Some("acknowledged"), Some(revision)) => {
                    return Some(Said::Acknowledged(revision));
                }
                (Some("refused"), Some(revision)) => {
                    return Some(Said::Refused(
                        revision,
                        words.next().unwrap_or("").to_owned(),
                    ));
                }
                _ => {} // what the test program says by itself
            }
        }
    }

    /// Everything that it has still to say, and its end.
    pub(crate) fn listen_to_the_end(mut self) -> Vec<Said> {
        let said = std::iter::from_fn(|| self.listen()).collect();
        self.process.wait().unwrap();
        said
    }
}

#[test]
#[ignore = "started by other tests"]
fn the_child() {
    let (Ok(file), Ok(changes)) = (std::env::var(FILE), std::env::var(CHANGES)) else {
        return;
    };
    // One write a line, so that nothing is said in part; each begins on a line of its own.
    let say = |text: String| {
        io::stdout()
            .write_all(format!("\n{text}\n").as_bytes())
            .unwrap()
    };
    let mut store = Store::open(file).unwrap();
    let mut directory = store.load().unwrap();
    say(format!("opened {}", store.revision()));
    for _ in 0..changes.parse::<u64>().unwrap() {
        let applied = apply_next(&directory);
        let revision = applied.revision();
        match store.commit(&applied, &audit(revision)) {
            Ok(()) => {
                directory = applied.directory;
                say(format!("acknowledged {revision}"));
            }
            Err(error) => say(format!("refused {revision} {error:?}")),
        }
    }
}
