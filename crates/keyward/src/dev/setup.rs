//! What `keyward dev` makes when it starts for the first time, and changes when it is told to.

use keyward_iam::{Backend, Change, Directory, Entity, PolicyInput};
use keyward_server::{ControlPlane, now};

use crate::failure::Failure;

/// Id of the organisation.
pub(crate) const ORGANISATION: &str = "dev";
/// Path of the database.
pub(crate) const DATABASE: &str = "org/dev/kvdb/main";
/// Path of the application's identity.
pub(crate) const APP: &str = "org/dev/programmatic_identity/app";
/// Path of the administrator's identity.
pub(crate) const ADMIN: &str = "org/dev/programmatic_identity/admin";

const APP_POLICY: &str = r#"[{"Sid":"FullAccess","Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/main"]}]"#;
const ADMIN_POLICY: &str =
    r#"[{"Sid":"Everything","Effect":"Allow","Actions":["*"],"Resources":["**"]}]"#;

/// What was found or made.
#[derive(Debug)]
pub(crate) struct SetUp {
    /// Where the data of the database is; `None` if the database was deleted.
    pub(crate) backend: Option<Backend>,
    /// What people should be told.
    pub(crate) notes: Vec<String>,
}

/// Makes what is missing since the beginning. What was deleted stays deleted: its id is never
/// given again.
pub(crate) fn run(
    control: &ControlPlane,
    allow_admin: bool,
    upstream: Option<&Backend>,
) -> Result<SetUp, Failure> {
    for change in missing(&control.directory(), upstream) {
        make(control, &change)?;
    }
    let mut notes = Vec::new();
    for path in [DATABASE, APP, ADMIN] {
        if matches!(control.directory().entity(path), Some(Entity::Tombstone)) {
            notes.push(format!(
                "{path} was deleted, and its id is never given again: start with another --data-dir to have one"
            ));
        }
    }
    let found = |directory: &Directory| {
        let database = directory.database(directory.database_at(DATABASE)?)?;
        Some((database.backend.clone(), database.administration))
    };
    let mut backend = found(&control.directory()).map(|(backend, _)| backend);
    if let (Some(before), Some(wanted)) = (&backend, upstream)
        && before != wanted
    {
        make(
            control,
            &Change::SetBackend {
                path: DATABASE.to_owned(),
                backend: wanted.clone(),
            },
        )?;
        notes.push(format!(
            "kvdb/main is now on {}; before it was on {}",
            describe(wanted),
            describe(before)
        ));
        backend = Some(wanted.clone());
    }
    if allow_admin && found(&control.directory()).is_some_and(|(_, on)| !on) {
        make(
            control,
            &Change::SetAdministration {
                path: DATABASE.to_owned(),
                on: true,
            },
        )?;
        notes.push("administrative commands are turned on for kvdb/main".to_owned());
    }
    Ok(SetUp { backend, notes })
}

/// A backend for people.
pub(crate) fn describe(backend: &Backend) -> String {
    match backend {
        Backend::Embedded => "the embedded engine".to_owned(),
        Backend::Server {
            address,
            user: None,
            ..
        } => format!("redis://{address}"),
        Backend::Server {
            address,
            user: Some(user),
            ..
        } => format!("redis://{user}@{address}"),
    }
}

fn make(control: &ControlPlane, change: &Change) -> Result<(), Failure> {
    control
        .change_as_operator(change, now())
        .map(drop)
        .map_err(|error| Failure::of(&error))
}

fn missing(directory: &Directory, upstream: Option<&Backend>) -> Vec<Change> {
    let mut changes = Vec::new();
    if directory.entity("org/dev").is_none() {
        let owner = keyward_auth::random_slug();
        changes.push(Change::CreateUser {
            id: owner.clone(),
            name: Some("Owner".to_owned()),
        });
        changes.push(Change::CreateOrganisation {
            id: ORGANISATION.to_owned(),
            name: None,
            owner: format!("user/{owner}"),
            account: keyward_auth::account_number(),
            administrator: None,
        });
    }
    if directory.entity(DATABASE).is_none() {
        changes.push(Change::CreateDatabase {
            organisation: ORGANISATION.to_owned(),
            id: "main".to_owned(),
            name: None,
            description: None,
            backend: upstream.cloned().unwrap_or(Backend::Embedded),
        });
    }
    for (path, policy) in [(APP, APP_POLICY), (ADMIN, ADMIN_POLICY)] {
        let id = path.rsplit('/').next().unwrap_or(path).to_owned();
        if directory.entity(path).is_none() {
            changes.push(Change::CreateProgrammaticIdentity {
                organisation: ORGANISATION.to_owned(),
                id: id.clone(),
                name: None,
            });
        }
        // Whoever ended the trust meant it.
        let trust = format!("org/{ORGANISATION}/trust/{id}");
        let gone = matches!(directory.entity(path), Some(Entity::Tombstone));
        if directory.entity(&trust).is_none() && !gone {
            changes.push(Change::CreateTrust {
                id,
                trustor: format!("org/{ORGANISATION}"),
                trustee: path.to_owned(),
                policies: vec![PolicyInput::Document(policy.to_owned())],
                expires_at: None,
                kind: None,
                conditions: None,
            });
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use keyward_store::Store;

    use super::*;

    #[test]
    fn found_again_and_never_made_twice() {
        let control = ControlPlane::open(Store::open_in_memory().unwrap()).unwrap();
        run(&control, false, None).unwrap();
        let revision = control.directory().revision();
        let again = run(&control, false, None).unwrap();
        assert_eq!(control.directory().revision(), revision);
        assert_eq!(again.backend, Some(Backend::Embedded));
        assert!(again.notes.is_empty());
    }

    #[test]
    fn what_was_deleted_stays_deleted() {
        let control = ControlPlane::open(Store::open_in_memory().unwrap()).unwrap();
        run(&control, false, None).unwrap();
        make(
            &control,
            &Change::DeleteIdentity {
                path: APP.to_owned(),
                cascade: true,
            },
        )
        .unwrap();
        let path = DATABASE.to_owned();
        make(&control, &Change::DeleteDatabase { path }).unwrap();
        let again = run(&control, true, None).unwrap();
        assert_eq!((again.backend, again.notes.len()), (None, 2));
    }

    #[test]
    fn another_backend_replaces_the_recorded_one() {
        let server = |port: u16| Backend::of_operator(format!("127.0.0.1:{port}"), None);
        let control = ControlPlane::open(Store::open_in_memory().unwrap()).unwrap();
        let first = server(1);
        for (wanted, expected, notes) in [
            (Some(server(1)), &first, 0),
            (None, &first, 0),
            (Some(server(2)), &server(2), 1),
            (Some(Backend::Embedded), &Backend::Embedded, 1),
        ] {
            let found = run(&control, false, wanted.as_ref()).unwrap();
            assert_eq!(found.backend.as_ref(), Some(expected));
            assert_eq!(found.notes.len(), notes, "{:?}", found.notes);
        }
    }

    #[test]
    fn administration_is_turned_on_once() {
        let control = ControlPlane::open(Store::open_in_memory().unwrap()).unwrap();
        assert_eq!(run(&control, true, None).unwrap().notes.len(), 1);
        assert!(run(&control, true, None).unwrap().notes.is_empty());
    }
}
