//! Keyward: from the decision table, as the gateway decides, and by the evaluator.

use std::hint::black_box;
use std::sync::Arc;

use keyward_commands::{CommandId, Touched, resolve};
use keyward_iam::{
    Backend, Call, Change, ChangeContext, DatabaseIx, DecisionTable, Directory, PolicyInput,
    Request, Session, UnixMillis,
};

use crate::Engine;
use crate::workload::{PolicyOf, Workload, action, database, identity, network, prefix};

const NOW: UnixMillis = UnixMillis(1);

/// A directory with the policies of a workload: one identity, one trust, one document each.
pub fn directory(workload: &Workload) -> Directory {
    let context = ChangeContext::system(NOW);
    let mut directory = Directory::empty();
    let mut make = |change: Change| {
        directory = directory
            .apply(&change, &context)
            .unwrap_or_else(|error| panic!("{change:?}: {error}"))
            .directory;
    };
    make(Change::CreateUser {
        id: "u".to_owned(),
        name: None,
    });
    make(Change::CreateOrganisation {
        id: "o".to_owned(),
        name: None,
        owner: "user/u".to_owned(),
        account: "000000000001".to_owned(),
        administrator: None,
    });
    for number in 0..workload.databases {
        make(Change::CreateDatabase {
            organisation: "o".to_owned(),
            id: database(number),
            name: None,
            description: None,
            backend: Backend::Embedded,
        });
    }
    for policy in &workload.policies {
        make(Change::CreateProgrammaticIdentity {
            organisation: "o".to_owned(),
            id: identity(policy.identity),
            name: None,
        });
        make(Change::CreateTrust {
            id: format!("t-{}", policy.identity),
            trustor: "org/o".to_owned(),
            trustee: path_of(policy.identity),
            policies: vec![PolicyInput::Document(document(policy, workload.conditions))],
            expires_at: None,
            kind: None,
            conditions: None,
        });
    }
    directory
}

fn path_of(number: usize) -> String {
    format!("org/o/programmatic_identity/{}", identity(number))
}

fn document(policy: &PolicyOf, conditions: bool) -> String {
    let actions: Vec<String> = policy.commands.iter().map(|name| action(name)).collect();
    let mut statement = serde_json::json!({
        "Effect": "Allow",
        "Actions": actions,
        "Resources": [format!("kvdb/{}", database(policy.database))],
    });
    if conditions {
        statement["Conditions"] = serde_json::json!({
            "IpAddress": { "keyward:SourceIp": network(policy.network) },
            "GlobLike": { "kvdb:Key": format!("{}*", prefix(policy.identity)) },
        });
    }
    serde_json::Value::Array(vec![statement]).to_string()
}

/// One request, with everything that is known since login.
struct Prepared {
    command: CommandId,
    words: Vec<Vec<u8>>,
    session: Session,
    database: DatabaseIx,
    table: Arc<DecisionTable>,
}

fn prepare(directory: &Directory, workload: &Workload) -> Vec<Prepared> {
    workload
        .asks
        .iter()
        .map(|ask| {
            let identity = directory
                .identity_at(&path_of(ask.identity))
                .expect("every identity was made");
            let database = directory
                .database_at(&format!("org/o/kvdb/{}", database(ask.database)))
                .expect("every database was made");
            let mut session = Session::of_identity(identity);
            session.source = Some(ask.source);
            Prepared {
                command: resolve(&ask.words[..]).expect("commands of the catalogue"),
                words: ask.words.clone(),
                table: directory.table(&session, database, false, NOW),
                session,
                database,
            }
        })
        .collect()
}

/// One look-up in the session's table: what a command costs.
pub struct Table {
    prepared: Vec<Prepared>,
    touched: Touched,
}

impl Table {
    /// The tables of all sessions that ask.
    pub fn new(directory: &Directory, workload: &Workload) -> Self {
        Self {
            prepared: prepare(directory, workload),
            touched: Touched::default(),
        }
    }
}

impl Engine for Table {
    fn decide(&mut self, number: usize) -> bool {
        let asked = &self.prepared[number];
        let request = Request {
            command: asked.command,
            words: &asked.words[..],
            bytes: b"",
            call: Call::at(NOW),
        };
        asked
            .table
            .authorize(black_box(&request), &mut self.touched)
            .is_ok()
    }

    fn decide_all(&mut self, numbers: std::ops::Range<usize>) -> usize {
        numbers.filter(|number| self.decide(*number)).count()
    }
}

/// A command under conditions that wait for the call, with the name of what they are on.
pub fn of_the_call() -> Vec<(&'static str, f64)> {
    let key = r#""GlobLike":{"kvdb:Key":"tenant-1:*"}"#;
    let time = r#""DateLessThan":{"keyward:CurrentTime":"2100-01-01T00:00:00Z"}"#;
    let ttl = r#""NumericLessThanEquals":{"kvdb:TtlSeconds":"3600"}"#;
    let bytes = r#""NumericLessThan":{"kvdb:ValueBytes":"1024"}"#;
    let cases = [
        ("a key", key.to_owned()),
        ("the time", time.to_owned()),
        ("an expiry", ttl.to_owned()),
        ("a key and an expiry", format!("{key},{ttl}")),
        (
            "a key, the time and an expiry",
            format!("{key},{time},{ttl}"),
        ),
        (
            "a key, the time, an expiry and the size of the value",
            format!("{key},{time},{ttl},{bytes}"),
        ),
    ];
    // `SET tenant-1:session:7 v EX 60`
    let words: [&[u8]; 5] = [b"SET", b"tenant-1:session:7", b"v", b"EX", b"60"];
    let request = Request {
        command: resolve(&words[..]).expect("a command of the catalogue"),
        words: &words[..],
        bytes: b"",
        call: Call::at(NOW),
    };
    let mut touched = Touched::default();
    let mut decide =
        |table: &DecisionTable| table.authorize(black_box(&request), &mut touched).is_ok();
    let mut measured: Vec<(&str, Arc<DecisionTable>, Vec<f64>)> = Vec::new();
    for (name, conditions) in cases {
        let table = table_under(&conditions);
        assert!(decide(&table), "{conditions}");
        measured.push((name, table, Vec::new()));
    }
    // In turn, so that a slow moment of the machine meets all.
    for _ in 0..31 {
        for (_, table, rounds) in &mut measured {
            let start = std::time::Instant::now();
            for _ in 0..20_000 {
                black_box(decide(table));
            }
            rounds.push(start.elapsed().as_nanos() as f64 / 20_000.0);
        }
    }
    measured
        .into_iter()
        .map(|(name, _, rounds)| (name, crate::median(rounds)))
        .collect()
}

/// The table of a caller who may `SET` under some conditions.
fn table_under(conditions: &str) -> Arc<DecisionTable> {
    let document = format!(
        r#"[{{"Effect":"Allow","Actions":["kvdb:ExecuteSet"],"Resources":["kvdb/db-0"],"Conditions":{{{conditions}}}}}]"#
    );
    let (mut directory, context) = (
        directory(&Workload::new(2, false)),
        ChangeContext::system(NOW),
    );
    let caller = "org/o/programmatic_identity/caller";
    for change in [
        Change::CreateProgrammaticIdentity {
            organisation: "o".to_owned(),
            id: "caller".to_owned(),
            name: None,
        },
        Change::CreateTrust {
            id: "of-the-call".to_owned(),
            trustor: "org/o".to_owned(),
            trustee: caller.to_owned(),
            policies: vec![PolicyInput::Document(document)],
            expires_at: None,
            kind: None,
            conditions: None,
        },
    ] {
        let applied = directory.apply(&change, &context);
        directory = applied.expect("a change that is right").directory;
    }
    let identity = directory.identity_at(caller).expect("it was made");
    let database = directory
        .database_at("org/o/kvdb/db-0")
        .expect("it was made");
    directory.table(&Session::of_identity(identity), database, false, NOW)
}

/// The evaluator, which folds nothing beforehand and explains what it decides.
pub struct Evaluator {
    directory: Directory,
    prepared: Vec<Prepared>,
}

impl Evaluator {
    /// Asks `directory`.
    pub fn new(directory: Directory, workload: &Workload) -> Self {
        let prepared = prepare(&directory, workload);
        Self {
            directory,
            prepared,
        }
    }
}

impl Engine for Evaluator {
    fn decide(&mut self, number: usize) -> bool {
        let asked = &self.prepared[number];
        self.directory
            .decide_command(
                &asked.session,
                asked.database,
                black_box(&asked.words[..]),
                false,
                &Call::at(NOW),
            )
            .is_allow()
    }

    fn decide_all(&mut self, numbers: std::ops::Range<usize>) -> usize {
        numbers.filter(|number| self.decide(*number)).count()
    }
}
