//! Snapshots of databases.

use super::{ChangeError, Editor, Outcome};
use crate::directory::Entity;
use crate::ids::{Slug, SnapshotIx};
use crate::snapshots::{
    Existing, MAX_SNAPSHOT_TEXT, MAX_SNAPSHOTS, Restore, RestoreState, Snapshot, SnapshotState,
};

/// A reason that is not longer than what is kept.
fn shortened(reason: &str) -> String {
    let end = reason
        .char_indices()
        .map(|(at, found)| at + found.len_utf8())
        .take_while(|end| *end <= MAX_SNAPSHOT_TEXT)
        .last();
    reason[..end.unwrap_or(0)].to_owned()
}

fn invalid(reason: String) -> ChangeError {
    ChangeError::Invalid { reason }
}

impl Editor<'_> {
    pub(super) fn create_snapshot(
        &mut self,
        database: &str,
        id: &str,
        description: Option<&str>,
    ) -> Outcome {
        check_description(description)?;
        let (of, known) = self.database_mut(database)?;
        if known.snapshots.len() >= MAX_SNAPSHOTS {
            return Err(ChangeError::Limit {
                what: "snapshots of one database (delete one first)",
                max: MAX_SNAPSHOTS,
            });
        }
        let path = format!("{database}/snapshot/{}", id.parse::<Slug>()?);
        self.claim(&path)?;
        let ix = SnapshotIx(self.directory.snapshots.push(Snapshot {
            path: path.as_str().into(),
            database: of,
            description: description.map(Into::into),
            state: SnapshotState::Creating,
            finished_at: None,
            last_restore: None,
            created: self.context.stamp(),
        }));
        self.database_mut(database)?.1.snapshots.push(ix);
        self.place(&path, Entity::Snapshot(ix));
        Ok(())
    }

    /// The process that reads the keys has ended.
    pub(super) fn end_snapshot(&mut self, path: &str, state: &SnapshotState) -> Outcome {
        let at = self.context.at;
        let snapshot = self.snapshot_mut(path)?;
        let ended = match (&snapshot.state, state) {
            (SnapshotState::Creating, SnapshotState::Ready { .. }) => state.clone(),
            // A file that is lost or damaged later makes a snapshot fail, too.
            (
                SnapshotState::Creating | SnapshotState::Ready { .. },
                SnapshotState::Failed { reason },
            ) => SnapshotState::Failed {
                reason: shortened(reason),
            },
            _ => return Err(invalid(format!("`{path}` has ended already"))),
        };
        snapshot.state = ended;
        snapshot.finished_at = Some(at);
        self.changed(path);
        Ok(())
    }

    pub(super) fn update_snapshot(&mut self, path: &str, description: Option<&str>) -> Outcome {
        check_description(description)?;
        self.snapshot_mut(path)?.description = description.map(Into::into);
        self.changed(path);
        Ok(())
    }

    pub(super) fn restore_snapshot(
        &mut self,
        path: &str,
        target: &str,
        existing: Existing,
    ) -> Outcome {
        self.database_mut(target)?;
        let started = self.context.stamp();
        let snapshot = self.snapshot_mut(path)?;
        let reason = match &snapshot.state {
            SnapshotState::Ready { .. } if snapshot.is_being_restored() => {
                "a restore of it has not ended yet"
            }
            SnapshotState::Ready { .. } => "",
            SnapshotState::Creating => "it is not ready yet",
            SnapshotState::Failed { .. } => "it failed",
        };
        if !reason.is_empty() {
            return Err(invalid(format!("`{path}` cannot be restored: {reason}")));
        }
        snapshot.last_restore = Some(Box::new(Restore {
            target: target.to_owned(),
            existing,
            state: RestoreState::Running,
            started,
            finished_at: None,
        }));
        self.changed(path);
        Ok(())
    }

    pub(super) fn end_restore(&mut self, path: &str, state: &RestoreState) -> Outcome {
        let at = self.context.at;
        let snapshot = self.snapshot_mut(path)?;
        let running = snapshot.last_restore.as_deref_mut();
        let running = running.filter(|restore| restore.state == RestoreState::Running);
        let Some(restore) = running else {
            return Err(invalid(format!("no restore of `{path}` is running")));
        };
        restore.state = match state {
            RestoreState::Running => return Err(invalid("a restore ends once".to_owned())),
            RestoreState::Done { keys } => RestoreState::Done { keys: *keys },
            RestoreState::Failed { reason } => RestoreState::Failed {
                reason: shortened(reason),
            },
        };
        restore.finished_at = Some(at);
        self.changed(path);
        Ok(())
    }

    pub(super) fn delete_snapshot(&mut self, path: &str) -> Outcome {
        let ix = self.snapshot_at(path)?;
        let snapshot = self.snapshot_mut(path)?;
        if let Some(restore) = &snapshot.last_restore
            && snapshot.is_being_restored()
        {
            return Err(ChangeError::Conflict {
                path: path.to_owned(),
                dependents: vec![format!("the restore into `{}`", restore.target)],
            });
        }
        let database = snapshot.database;
        if let Some(database) = self.directory.databases.get_mut(database.0) {
            database.snapshots.retain(|known| *known != ix);
        }
        if let Some(slot) = self.directory.snapshots.slot(ix.0) {
            *slot = None;
        }
        self.bury(path);
        Ok(())
    }

    fn snapshot_at(&self, path: &str) -> Result<SnapshotIx, ChangeError> {
        let missing = || ChangeError::NotFound {
            path: path.to_owned(),
        };
        self.directory.snapshot_at(path).ok_or_else(missing)
    }

    fn snapshot_mut(&mut self, path: &str) -> Result<&mut Snapshot, ChangeError> {
        let ix = self.snapshot_at(path)?;
        let snapshot = self.directory.snapshots.get_mut(ix.0);
        Ok(snapshot.expect("the path index holds only what exists"))
    }
}

fn check_description(description: Option<&str>) -> Outcome {
    match description {
        Some(text) if text.len() > MAX_SNAPSHOT_TEXT || text.chars().any(char::is_control) => {
            let reason = format!(
                "a description has {MAX_SNAPSHOT_TEXT} bytes at most and no control characters"
            );
            Err(invalid(reason))
        }
        _ => Ok(()),
    }
}
