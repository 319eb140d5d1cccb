//! `keyward bench`.

use std::hint::black_box;
use std::time::Instant;

use keyward_commands::{Touched, resolve};
use keyward_iam::{
    Backend, Change, ChangeContext, DatabaseIx, Directory, PolicyInput, Request, Session,
    UnixMillis,
};
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Rounds of each measurement; the median counts.
const ROUNDS: usize = 31;

/// Key patterns where many concern the action.
const MANY_KEYS: usize = 10_000;

/// Most statements: the longest document that is read has room for more.
const MAX_STATEMENTS: usize = 100_000;

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  keyward bench decide --statements 1000")]
pub(crate) enum Command {
    /// Measure decisions: nanoseconds each, the median of many rounds.
    #[command(after_help = "Example:\n  keyward bench decide --statements 10000 --output json")]
    Decide {
        /// Statements in the identity's policies, of which a few concern the action.
        #[arg(long, default_value_t = 1000)]
        statements: usize,
    },
}

pub(crate) fn run(command: &Command, output: &Output) -> Result<(), Failure> {
    let Command::Decide { statements } = command;
    let count = *statements;
    if !(1..=MAX_STATEMENTS).contains(&count) {
        let text = format!("--statements: 1 to {MAX_STATEMENTS}");
        return Err(Failure::new(Exit::Usage, text));
    }
    let plain = World::new(&policies(count, ""))?;
    let keyed = World::new(&policies(count, r#","Keys":["tenant17:*"]"#))?;
    let many = World::new(&many_keys())?;
    let measured = json!({
        "statements": count,
        "table_ns": plain.table_ns()?,
        "table_key_ns": keyed.table_ns()?,
        "table_many_keys_ns": many.table_ns()?,
        "evaluate_ns": keyed.evaluate_ns()?,
        "bytes_per_statement": keyed.bytes / count,
    });
    Ok(output.entity(&measured)?)
}

/// Documents of `count` statements: all but one (at most three, if there are ten or more) speak
/// of other actions.
fn policies(count: usize, keys: &str) -> Vec<String> {
    let concerned = if count >= 10 { 3 } else { 1 };
    let step = (count / concerned).max(1);
    let statement = |number: usize| {
        if number.is_multiple_of(step) && number / step < concerned {
            format!(
                r#"{{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/d"]{keys}}}"#
            )
        } else {
            format!(
                r#"{{"Effect":"Allow","Actions":["kvdb:ExecuteHset"],"Resources":["kvdb/d"],"Keys":["other{number}:*"]}}"#
            )
        }
    };
    documents((0..count).map(statement).collect())
}

/// Documents in which every key pattern concerns the action.
fn many_keys() -> Vec<String> {
    let statement = |number| {
        format!(
            r#"{{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/d"],"Keys":["tenant{number}:*"]}}"#
        )
    };
    documents((0..MANY_KEYS).map(statement).collect())
}

/// As many documents as one trust may carry, so that none is too long.
fn documents(statements: Vec<String>) -> Vec<String> {
    let each = statements.len().div_ceil(keyward_iam::MAX_POLICIES).max(1);
    let document = |part: &[String]| format!("[{}]", part.join(","));
    statements.chunks(each).map(document).collect()
}

/// One identity with these policies, and one database.
struct World {
    directory: Directory,
    session: Session,
    database: DatabaseIx,
    /// Memory of its policies and its table.
    bytes: usize,
}

impl World {
    fn new(documents: &[String]) -> Result<Self, Failure> {
        let context = ChangeContext::system(UnixMillis(0));
        let mut directory = Directory::empty();
        let changes = [
            Change::CreateUser {
                id: "u".to_owned(),
                name: None,
            },
            Change::CreateOrganisation {
                id: "o".to_owned(),
                name: None,
                owner: "user/u".to_owned(),
                account: "000000000001".to_owned(),
                administrator: None,
            },
            Change::CreateProgrammaticIdentity {
                organisation: "o".to_owned(),
                id: "p".to_owned(),
                name: None,
            },
            Change::CreateDatabase {
                organisation: "o".to_owned(),
                id: "d".to_owned(),
                name: None,
                description: None,
                backend: Backend::Embedded,
            },
            Change::CreateTrust {
                id: "t".to_owned(),
                trustor: "org/o".to_owned(),
                trustee: "org/o/programmatic_identity/p".to_owned(),
                policies: documents
                    .iter()
                    .cloned()
                    .map(PolicyInput::Document)
                    .collect(),
                expires_at: None,
                kind: None,
                conditions: None,
            },
        ];
        for change in &changes {
            let applied = directory.apply(change, &context);
            directory = applied.map_err(|error| Failure::of(&error))?.directory;
        }
        let missing = || Failure::new(Exit::Failed, "the bench's own directory is incomplete");
        let identity = directory.identity_at("org/o/programmatic_identity/p");
        let session = Session::of_identity(identity.ok_or_else(missing)?);
        let database = directory.database_at("org/o/kvdb/d").ok_or_else(missing)?;
        let mut bytes = 0;
        for document in documents {
            let policy = keyward_policy::read(document, keyward_policy::PolicyKind::Identity, "o");
            bytes += policy.map_err(|error| Failure::of(&error))?.heap_bytes();
        }
        Ok(Self {
            directory,
            session,
            database,
            bytes,
        })
    }

    /// One decision from the table: what the gateway does for each command.
    fn table_ns(&self) -> Result<f64, Failure> {
        let words: [&[u8]; 2] = [b"GET", b"tenant17:session:1"];
        let failed = || Failure::new(Exit::Failed, "the bench's own command was refused");
        let command = resolve(&words[..]).map_err(|_| failed())?;
        let table = self
            .directory
            .table(&self.session, self.database, false, UnixMillis(0));
        let request = Request {
            command,
            words: &words[..],
            bytes: b"",
            call: keyward_iam::Call::default(),
        };
        let mut touched = Touched::default();
        if table.authorize(&request, &mut touched).is_err() {
            return Err(failed());
        }
        Ok(median(20_000, || {
            let permit = table.authorize(black_box(&request), &mut touched);
            black_box(permit.is_ok());
        }))
    }

    /// One decision by the evaluator, with its explanation.
    fn evaluate_ns(&self) -> Result<f64, Failure> {
        let words: [&[u8]; 2] = [b"GET", b"tenant17:session:1"];
        let decide = || {
            self.directory.decide_command(
                &self.session,
                self.database,
                black_box(&words[..]),
                false,
                &keyward_iam::Call::default(),
            )
        };
        if !decide().is_allow() {
            return Err(Failure::new(
                Exit::Failed,
                "the bench's own command was refused",
            ));
        }
        let start = Instant::now();
        black_box(decide());
        // About two milliseconds a round.
        let times = 2_000_000 / start.elapsed().as_nanos().max(1);
        let times = u32::try_from(times.clamp(1, 20_000)).unwrap_or(1);
        Ok(median(times, || {
            black_box(decide());
        }))
    }
}

/// Nanoseconds of one call: the median of rounds of `times` calls.
fn median(times: u32, mut call: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..times {
                call();
            }
            start.elapsed().as_nanos() as f64 / f64::from(times)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    (rounds[ROUNDS / 2] * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_counted_and_few_concern_the_action() {
        for (count, concerned) in [(1, 1), (9, 1), (10, 3), (11, 3), (1000, 3)] {
            let documents = policies(count, "");
            let all = documents.concat();
            assert_eq!(all.matches("Effect").count(), count);
            assert_eq!(all.matches("ExecuteGet").count(), concerned, "{count}");
            assert!(documents.len() <= keyward_iam::MAX_POLICIES);
        }
    }
}
