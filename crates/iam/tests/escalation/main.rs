//! Who can become more than it is: every path that is told is walked, and who is not told of walks
//! at random and gets nowhere.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../support/acme.rs"]
mod acme;
mod conditions;
mod means;
mod random;

use std::sync::Arc;

use acme::{build, database, identity, organisation};
use keyward_iam::{
    Change, ChangeContext, Circumstances, Directory, Escalation, PolicyInput, Principal, Session,
    SnapshotState, UnixMillis,
};
use keyward_policy::Touch;

const NOW: UnixMillis = UnixMillis(10);
const ACME: &str = "org/acme";

fn full(path: &str) -> String {
    match path {
        "" => ACME.to_owned(),
        path if path.starts_with("user/") => path.to_owned(),
        path => format!("{ACME}/{path}"),
    }
}

fn group(id: &str) -> Change {
    Change::CreateGroup {
        organisation: "acme".into(),
        id: id.into(),
        name: None,
    }
}

fn trust(id: &str, trustor: &str, trustee: &str, document: &str) -> Change {
    let document = match document {
        "" => Vec::new(),
        document => vec![PolicyInput::Document(document.into())],
    };
    Change::CreateTrust {
        id: id.into(),
        trustor: full(trustor),
        trustee: full(trustee),
        policies: document,
        expires_at: None,
        kind: None,
        conditions: None,
    }
}

fn allow(actions: &str, resource: &str) -> String {
    statement("Allow", actions, resource)
}

fn statement(effect: &str, actions: &str, resource: &str) -> String {
    let actions: Vec<String> = actions.split(' ').map(|a| format!("\"{a}\"")).collect();
    format!(
        r#"{{"Effect":"{effect}","Actions":[{}],"Resources":["{resource}"]}}"#,
        actions.join(",")
    )
}

fn only_if(actions: &str, resource: &str, conditions: &str) -> String {
    let plain = allow(actions, resource);
    let plain = plain.strip_suffix('}').unwrap();
    format!(r#"{plain},"Conditions":{{{conditions}}}}}"#)
}

fn document(statements: &[String]) -> String {
    format!("[{}]", statements.join(","))
}

fn tag(path: &str, key: &str, value: &str) -> Change {
    Change::SetTags {
        path: full(path),
        set: [(key.to_owned(), value.to_owned())].into(),
        remove: Vec::new(),
    }
}

/// `acme` with its owner, a strong identity `admin`, and `x`, which has nothing but `statements`.
fn world(statements: &[String], more: Vec<Change>) -> Directory {
    let mut changes = organisation("acme");
    changes.extend([
        database("main"),
        identity("admin"),
        identity("x"),
        group("ops"),
        trust(
            "admin",
            "",
            "programmatic_identity/admin",
            &document(&[allow("*", "**")]),
        ),
    ]);
    if !statements.is_empty() {
        changes.push(trust(
            "x",
            "",
            "programmatic_identity/x",
            &document(statements),
        ));
    }
    changes.extend(more);
    build(changes)
}

/// A snapshot of `main`, and a database to restore it into.
fn snapshot_and_own() -> Vec<Change> {
    let main = full("kvdb/main");
    vec![
        database("own"),
        Change::CreateSnapshot {
            database: main.clone(),
            id: "nightly".into(),
            description: None,
        },
        Change::EndSnapshot {
            path: format!("{main}/snapshot/nightly"),
            state: SnapshotState::Ready {
                keys: 1,
                bytes: 1,
                sha256: [0; 32],
                server: "embedded".into(),
            },
        },
    ]
}

fn of<'a>(found: &'a [Escalation], id: &str) -> Vec<&'a Escalation> {
    let path = full(&format!("programmatic_identity/{id}"));
    found.iter().filter(|e| *e.identity == *path).collect()
}

/// A session of what is walked with: of a credential, or of a role, which remembers its caller's
/// factor and tags.
fn coming(when: &Circumstances, world: &Directory, known: &[Session], by: &str) -> Vec<Session> {
    let ix = world.identity_at(by);
    let of = |session: &&Session| Some(session.principal) == ix.map(Principal::Identity);
    let come = |session: &Session| match &session.temporary {
        None => ix.map(|ix| when.session(ix)),
        Some(_) => Some(Session {
            source: when.source,
            secure: !when.plain_text,
            ..session.clone()
        }),
    };
    known.iter().filter(of).filter_map(come).collect()
}

/// Walks a path with everything decided, and looks at what it promises.
#[track_caller]
fn walk(directory: &Directory, told: &Escalation) {
    let start = directory.identity_at(&told.identity).unwrap();
    let mut known = vec![Session::of_identity(start)];
    let mut world = directory.clone();
    let mut now = NOW;
    for step in &told.steps {
        let sessions = coming(&step.when, &world, &known, &step.by);
        let at = step.when.at;
        if let (Some(token), Some(ask)) = (&step.token, &step.ask) {
            let provider = world.identity_at(&step.by).unwrap();
            let found = world.assume_role_with_token(
                &step.by,
                token,
                ask,
                &step.when.session(provider),
                "KWTK",
                at,
            );
            let session = Arc::new(found.unwrap().session);
            known.push(world.session_of(&session, at).unwrap());
            continue;
        }
        assert!(!sessions.is_empty() && at >= now, "{told:?}");
        now = at;
        let Some(change) = &step.change else {
            let Some(ask) = &step.ask else { continue };
            let assumed = sessions.iter().find_map(|session| {
                let found = world.assume_role(session, ask, "KWTK", at).ok()?;
                world.session_of(&Arc::new(found.session), at).ok()
            });
            known.extend(assumed);
            assert!(known.len() > 1, "{told:?}");
            continue;
        };
        if let Change::SyncSignIn { user, .. } = change {
            // Whoever signs in needs no right to it: Keyward makes this change.
            assert_eq!(*user, *step.by, "{told:?}");
            let context = ChangeContext::system(at);
            world = world.apply(change, &context).unwrap().directory;
            continue;
        }
        let approval = sessions
            .iter()
            .find_map(|session| world.authorise_change(session, change, at).ok());
        let context = ChangeContext {
            at,
            by: step.by.to_string(),
            accepts: approval.unwrap_or_else(|| panic!("{told:?}")).accepts,
        };
        world = world.apply(change, &context).unwrap().directory;
        let opened = step.opens.as_ref().and_then(|p| world.identity_at(p));
        known.extend(opened.map(Session::of_identity));
    }
    let Some(gain) = &told.gain else {
        return;
    };
    let action = keyward_commands::action(gain.action).unwrap();
    let allowed = |world: &Directory, sessions: Vec<Session>| {
        let names = keyward_iam::ContextNames {
            keys: gain.key.iter().cloned().collect(),
            ..Default::default()
        };
        sessions.iter().any(|session| {
            let decide = |touch: &Touch<'_>| {
                world.decide(session, action, &gain.resource, touch, gain.when.at)
            };
            if gain.when.client.is_some() || gain.when.database_number != 0 {
                // Only a command has these.
                let database = world.database_at(&gain.resource).unwrap();
                let call = keyward_iam::Call {
                    database_index: gain.when.database_number,
                    client_name: gain.when.client.as_deref().map(str::as_bytes),
                    now: gain.when.at,
                };
                assert_eq!(gain.action, "kvdb:ExecuteGet", "{told:?}");
                let decision = world.decide_command(session, database, &["GET", "k"], false, &call);
                return decision.is_allow();
            }
            names.ask(action, decide).is_allow()
        })
    };
    assert!(
        !allowed(directory, vec![gain.when.session(start)]),
        "{told:?}"
    );
    let end = coming(&gain.when, &world, &known, &gain.by);
    assert!(allowed(&world, end) && gain.when.at >= now, "{told:?}");
}
