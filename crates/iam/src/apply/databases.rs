//! Databases.

use super::{ChangeError, Editor, Outcome};
use crate::directory::Entity;
use crate::entities::{Backend, Database, Identity};
use crate::ids::{DatabaseIx, Slug};
use crate::tags::Tags;

impl Editor<'_> {
    pub(super) fn create_database(
        &mut self,
        organisation: &str,
        id: &str,
        name: Option<&str>,
        description: Option<&str>,
        backend: &Backend,
    ) -> Outcome {
        let owner = self.organisation(organisation)?;
        let path = format!("org/{organisation}/kvdb/{}", id.parse::<Slug>()?);
        self.claim(&path)?;
        self.check_backend(&path, backend)?;
        let ix = self.directory.databases.push(Database {
            path: path.as_str().into(),
            name: name.map(Into::into),
            organisation: owner,
            description: description.map(Into::into),
            backend: backend.clone(),
            administration: false,
            resource_policy: None,
            tags: Tags::default(),
            snapshots: Vec::new(),
            created: self.context.stamp(),
        });
        self.place(&path, Entity::Database(DatabaseIx(ix)));
        self.claim_name(&path, None, name)
    }

    /// "A backend belongs to one database."
    pub(super) fn check_backend(&self, path: &str, backend: &Backend) -> Outcome {
        let Backend::Server { address, .. } = backend else {
            return Ok(());
        };
        let other = self.directory.databases().find(|(_, database)| {
            *database.path != *path
                && matches!(&database.backend, Backend::Server { address: taken, .. } if taken == address)
        });
        match other {
            None => Ok(()),
            Some((_, database)) => Err(ChangeError::Conflict {
                path: address.clone(),
                dependents: vec![database.path.to_string()],
            }),
        }
    }

    pub(super) fn set_backend(&mut self, path: &str, backend: &Backend) -> Outcome {
        self.check_backend(path, backend)?;
        let (_, database) = self.database_mut(path)?;
        database.backend = backend.clone();
        self.changed(path);
        Ok(())
    }

    pub(super) fn update_database(
        &mut self,
        path: &str,
        name: Option<Option<&str>>,
        description: Option<Option<&str>>,
    ) -> Outcome {
        if let Some(name) = name {
            self.database_mut(path)?;
            self.rename(path, name)?;
        }
        let (_, database) = self.database_mut(path)?;
        if let Some(description) = description {
            database.description = description.map(Into::into);
        }
        self.changed(path);
        Ok(())
    }

    pub(super) fn delete_database(&mut self, path: &str) -> Outcome {
        let (ix, database) = self.database_mut(path)?;
        let (name, snapshots) = (database.name.clone(), database.snapshots.clone());
        let uses = |(_, identity): (_, &Identity)| {
            (identity.default_database == Some(ix)).then(|| identity.path.to_string())
        };
        // Their connections would go nowhere, or elsewhere.
        let mut dependents: Vec<String> = self.directory.identities().filter_map(uses).collect();
        // Perhaps the last copy of what was in it: deleted by name, never along.
        let snapshots = snapshots
            .iter()
            .filter_map(|ix| self.directory.snapshot(*ix));
        dependents.extend(snapshots.map(|snapshot| snapshot.path.to_string()));
        if !dependents.is_empty() {
            return Err(ChangeError::Conflict {
                path: path.to_owned(),
                dependents,
            });
        }
        if name.is_some() {
            self.claim_name(path, name.as_deref(), None)?;
        }
        if let Some(slot) = self.directory.databases.slot(ix.0) {
            *slot = None;
        }
        self.bury(path);
        Ok(())
    }
}
