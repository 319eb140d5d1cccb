//! Why a snapshot could not be made or restored.

use std::fmt;
use std::io;
use std::time::Duration;

use super::file::SnapshotFileError;

/// Why a snapshot could not be made or restored. Each is a text for the one who asked for it: neither
/// a key nor what a server said stands in it, but the code of an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The permit is for another action.
    #[error("this was permitted for something else")]
    Permit,
    /// The database was deleted, or its backend changed.
    #[error("the database is not there any more, or its backend was changed")]
    Gone,
    /// There is such a file.
    #[error("a file of this snapshot is there already")]
    Exists,
    /// The file of the snapshot is not there.
    #[error("the file of the snapshot is missing")]
    Missing,
    /// The file could not be written or read.
    #[error("the file of the snapshot could not be written or read")]
    File(#[source] io::Error),
    /// The file is larger than the operator permits.
    #[error("the snapshot is larger than {most} bytes, which is the most that is permitted")]
    TooLarge {
        /// The limit.
        most: u64,
    },
    /// The file is not what was written.
    #[error("the file of the snapshot cannot be used")]
    Damaged(#[source] SnapshotFileError),
    /// Another one is made of the same engine.
    #[error("another snapshot of the database is being made")]
    Busy,
    /// Somebody asked to stop.
    #[error("it was cancelled")]
    Cancelled,
    /// The address is not permitted.
    #[error("the operator does not permit the address of the database's server")]
    NotPermitted,
    /// Its password cannot be opened.
    #[error("the password of the database's server cannot be opened")]
    Password,
    /// It cannot be reached.
    #[error("the server of the database cannot be reached")]
    Connection(#[source] io::Error),
    /// It went away.
    #[error("the connection to the server was lost")]
    Lost,
    /// It does not answer.
    #[error("the server has sent or taken nothing for {} seconds", after.as_secs())]
    Silent {
        /// How long it was waited for.
        after: Duration,
    },
    /// It answers what no server answers.
    #[error("what answers {command} is no Valkey or Redis server")]
    NoServer {
        /// The command.
        command: &'static str,
    },
    /// It has only some of the keys, or none.
    #[error(
        "the server is one of a {mode}: snapshots are made of single servers and of the embedded \
         engine"
    )]
    Mode {
        /// Which kind it is.
        mode: String,
    },
    /// It refuses a command.
    #[error("{}", refusal(command, answer))]
    Refused {
        /// The command.
        command: &'static str,
        /// What it answered.
        answer: Answer,
    },
    /// A key is longer than what snapshots hold.
    #[error("a key is longer than {most} bytes, which is the most that snapshots hold")]
    LongKey {
        /// The limit.
        most: usize,
    },
    /// A value is longer than what snapshots hold.
    #[error("a value is longer than 4 GiB, which is the most that snapshots hold")]
    LongValue,
    /// It lists keys without end.
    #[error("the server has listed {listed} keys, far more than it has: the snapshot was given up")]
    Endless {
        /// How many it has listed.
        listed: u64,
    },
    /// The target has keys.
    #[error(
        "the target is not empty: it has {keys} keys; choose whether the snapshot's keys replace \
         those of the same name, or everything is removed first"
    )]
    NotEmpty {
        /// How many.
        keys: u64,
    },
    /// The target cannot read values of the snapshot. Nothing was changed.
    #[error(
        "the target ({target}) cannot read the snapshot (of {origin}): {why}; nothing was changed"
    )]
    Incompatible {
        /// The server that was to read it.
        target: String,
        /// The server that has written it.
        origin: String,
        /// What it cannot read.
        why: String,
    },
    /// A value of the snapshot could not be restored.
    #[error("a key of the snapshot could not be restored: {why}")]
    Key {
        /// Why.
        why: String,
    },
    /// It failed when the target had been changed.
    #[error("the target is restored in part: {keys} of {all} keys are known to be in it")]
    Partly {
        /// Keys that are in.
        keys: u64,
        /// Keys of the snapshot.
        all: u64,
        /// What happened.
        source: Box<Self>,
    },
}

impl SnapshotError {
    /// The whole chain of causes on one line, for whoever asked for it.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }
}

impl From<SnapshotFileError> for SnapshotError {
    fn from(error: SnapshotFileError) -> Self {
        Self::Damaged(error)
    }
}

fn refusal(command: &str, answer: &Answer) -> String {
    match answer.meaning() {
        Some(meaning) => format!("the server refuses {command} with {answer}: {meaning}"),
        None => format!("the server refuses {command} with {answer}"),
    }
}

/// The code of a server's error. The rest of its text could be anything.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer(Box<str>);

impl Answer {
    /// Of the text of an error, without its `-`.
    pub(crate) fn of(text: &[u8]) -> Self {
        let code = text.split(|byte| !byte.is_ascii_uppercase()).next();
        let code = code.unwrap_or_default();
        let code = match std::str::from_utf8(code) {
            // Texts of no code of their own, that mean something here.
            Ok("ERR") if text.starts_with(b"ERR DUMP payload version or checksum") => "VERSION",
            Ok("ERR") if text.starts_with(b"ERR Bad data format") => "FORMAT",
            Ok("ERR") if text.starts_with(b"ERR unknown command") => "UNKNOWN",
            Ok(
                code @ ("ERR" | "BUSYKEY" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "MISCONF"),
            )
            | Ok(code @ ("MOVED" | "NOAUTH" | "NOPERM" | "OOM" | "READONLY" | "WRONGPASS"))
            | Ok(code @ ("BUSY" | "DENIED" | "EXECABORT" | "NOREPLICAS")) => code,
            _ => "an error",
        };
        Self(code.into())
    }

    pub(crate) fn is(&self, code: &str) -> bool {
        *self.0 == *code
    }

    fn meaning(&self) -> Option<&'static str> {
        Some(match &*self.0 {
            "NOPERM" => "the user that keyward logs in as may not run it",
            "NOAUTH" | "WRONGPASS" => "the user and password of the backend are not right",
            "OOM" => "its memory is full (maxmemory)",
            "READONLY" => "it is a replica",
            "LOADING" => "it is loading its data, try again later",
            "MISCONF" => "it cannot save its own data",
            "MOVED" | "CLUSTERDOWN" => "it is one of a cluster",
            "BUSYKEY" => "the key is there already",
            "UNKNOWN" => "it does not know the command: it is older than Redis 7 and Valkey 7.2",
            "VERSION" => "it reads older versions of the format only",
            "FORMAT" => "it does not know the type of the value, such as that of a module",
            _ => return None,
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*self.0 {
            "VERSION" | "FORMAT" | "UNKNOWN" => "ERR",
            code => code,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_what_a_server_says_is_shown_but_the_code() {
        let cases = [
            ("NOPERM this user has no permissions", "NOPERM"),
            ("ERR DUMP payload version or checksum are wrong", "ERR"),
            ("OOM command not allowed", "OOM"),
            ("SECRET root:x:0:0", "an error"),
            ("", "an error"),
            ("root:x:0:0", "an error"),
        ];
        for (text, expected) in cases {
            let answer = Answer::of(text.as_bytes());
            assert_eq!(answer.to_string(), expected, "{text}");
        }
        let error = SnapshotError::Partly {
            keys: 3,
            all: 9,
            source: Box::new(SnapshotError::Refused {
                command: "RESTORE",
                answer: Answer::of(b"OOM command not allowed when used memory > 'maxmemory'."),
            }),
        };
        assert_eq!(
            error.chain(),
            "the target is restored in part: 3 of 9 keys are known to be in it: the server refuses RESTORE with \
             OOM: its memory is full (maxmemory)"
        );
    }
}
