//! Snapshots: a thread for each piece of work, and the files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use keyward_gateway::{Shared, SnapshotProgress, SnapshotSummary};
use keyward_iam::{
    Change, Kind, PathParts, RestoreState, Slug, SnapshotAction, SnapshotPermit, SnapshotState,
};
use keyward_server::{
    ControlPlane, SnapshotEnded, SnapshotResult, SnapshotWork, SnapshotWorker, Snapshots,
    WorkProgress, now,
};

use crate::failure::Failure;

/// Folder of the files, in the data directory.
const FOLDER: &str = "snapshots";

/// Ending of a file.
const ENDING: &str = "kws";

/// Where the files are: below the data directory, or for one that keeps nothing in a folder that
/// goes with the process.
pub(super) struct Files {
    folder: PathBuf,
    ephemeral: bool,
}

impl Files {
    pub(super) fn in_directory(data_dir: &Path) -> Self {
        Self {
            folder: data_dir.join(FOLDER),
            ephemeral: false,
        }
    }

    pub(super) fn ephemeral() -> Self {
        let random = keyward_auth::random_secret_bytes::<8>();
        let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            folder: std::env::temp_dir().join(format!("keyward-{id}")),
            ephemeral: true,
        }
    }

    /// The file of a snapshot; `None` for a path that is none of a snapshot. Ids are slugs, so that no
    /// file lies elsewhere.
    fn of(&self, snapshot: &str) -> Option<PathBuf> {
        let parts = PathParts::of(snapshot).filter(|parts| parts.kind == Kind::Snapshot)?;
        let mut file = self.folder.clone();
        for id in [parts.organisation?, parts.parent?] {
            file.push(id.parse::<Slug>().ok()?.as_str());
        }
        file.push(format!("{}.{ENDING}", parts.id.parse::<Slug>().ok()?));
        Some(file)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if self.ephemeral {
            // Sealed under a key that is gone with the process.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    files: Arc<Files>,
}

struct Work(Arc<SnapshotProgress>);

impl SnapshotWork for Work {
    fn progress(&self) -> WorkProgress {
        WorkProgress {
            keys_done: self.0.keys_done(),
            keys_total: self.0.keys_total(),
            bytes: self.0.bytes(),
        }
    }

    fn cancel(&self) {
        self.0.cancel();
    }
}

fn result(summary: SnapshotSummary) -> SnapshotResult {
    let SnapshotSummary {
        keys,
        bytes,
        sha256,
        server,
    } = summary;
    SnapshotResult {
        keys,
        bytes,
        sha256,
        server,
    }
}

impl SnapshotWorker for Worker {
    fn start(
        &self,
        permit: SnapshotPermit,
        ended: SnapshotEnded,
    ) -> io::Result<Arc<dyn SnapshotWork>> {
        let file = self.files.of(permit.snapshot());
        let file =
            file.ok_or_else(|| io::Error::other("the path of a snapshot has another form"))?;
        let progress = Arc::new(SnapshotProgress::default());
        let (shared, watched) = (Arc::clone(&self.shared), Arc::clone(&progress));
        let work = move || {
            let done = match permit.action() {
                SnapshotAction::Create => shared.create_snapshot(&permit, &file, &progress),
                SnapshotAction::Restore(_) => shared.restore_snapshot(&permit, &file, &progress),
            };
            ended.tell(done.map(result).map_err(|error| error.chain()));
        };
        std::thread::Builder::new()
            .name("snapshot".to_owned())
            .spawn(work)?;
        Ok(Arc::new(Work(watched)))
    }

    fn has_file(&self, snapshot: &str) -> bool {
        self.files.of(snapshot).is_some_and(|file| file.is_file())
    }

    fn remove(&self, snapshot: &str) -> io::Result<()> {
        let Some(file) = self.files.of(snapshot) else {
            return Ok(());
        };
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Ends what an earlier process began and did not end, and removes files that belong to nothing.
pub(super) fn open(
    control: &ControlPlane,
    shared: &Arc<Shared>,
    files: Files,
) -> Result<(Arc<Snapshots>, Arc<Files>), Failure> {
    interrupt(control)?;
    if !files.ephemeral {
        sweep(control, &files);
    }
    let files = Arc::new(files);
    let worker = Worker {
        shared: Arc::clone(shared),
        files: Arc::clone(&files),
    };
    Ok((Arc::new(Snapshots::new(Some(Arc::new(worker)))), files))
}

/// What was running when the last process stopped has failed.
fn interrupt(control: &ControlPlane) -> Result<(), Failure> {
    let directory = control.directory();
    let mut changes = Vec::new();
    for (_, snapshot) in directory.snapshots() {
        let path = snapshot.path.to_string();
        if snapshot.state == SnapshotState::Creating {
            let reason = "interrupted: Keyward stopped while keys were read".to_owned();
            let state = SnapshotState::Failed { reason };
            changes.push(Change::EndSnapshot {
                path: path.clone(),
                state,
            });
        }
        if snapshot.is_being_restored() {
            let reason = "interrupted: Keyward stopped while keys were written; a part of them may be in the target";
            let state = RestoreState::Failed {
                reason: reason.to_owned(),
            };
            changes.push(Change::EndRestore { path, state });
        }
    }
    for change in changes {
        control
            .change_as_operator(&change, now())
            .map_err(|error| Failure::of(&error))?;
    }
    Ok(())
}

/// Removes files of snapshots that were deleted, or never became ready. What cannot be removed stays
/// for the next start. A whole file that the store never heard of stays, too: an older store may have
/// been put back, and this be all that is left.
fn sweep(control: &ControlPlane, files: &Files) {
    let directory = control.directory();
    let started = SystemTime::now();
    let entries = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(Result::ok).collect::<Vec<_>>()
    };
    for organisation in entries(&files.folder) {
        for database in entries(&organisation.path()) {
            for file in entries(&database.path()) {
                let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
                let own = name(&file);
                let is_part = own.ends_with(".part");
                let id = own.trim_end_matches(".part");
                let Some(id) = id.strip_suffix(&format!(".{ENDING}")) else {
                    continue; // none of ours
                };
                let (organisation, database) = (name(&organisation), name(&database));
                let path = format!("org/{organisation}/kvdb/{database}/snapshot/{id}");
                let known = directory
                    .snapshot_at(&path)
                    .and_then(|ix| directory.snapshot(ix));
                let ready =
                    known.is_some_and(|known| matches!(known.state, SnapshotState::Ready { .. }));
                let modified = file.metadata().and_then(|data| data.modified());
                let is_old = modified.is_ok_and(|at| at <= started);
                if (ready && !is_part) || !is_old {
                    continue;
                }
                if !is_part && directory.entity(&path).is_none() {
                    tracing::warn!(
                        snapshot = path,
                        "kept a file of a snapshot that is not known"
                    );
                    continue;
                }
                match fs::remove_file(file.path()) {
                    Ok(()) => tracing::warn!(snapshot = path, "removed a file of no snapshot"),
                    Err(error) => tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        snapshot = path,
                        "could not remove a file of no snapshot"
                    ),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_below_the_folder() {
        let files = Files::in_directory(Path::new("/data"));
        let cases = [
            (
                "org/dev/kvdb/main/snapshot/nightly",
                Some("/data/snapshots/dev/main/nightly.kws"),
            ),
            ("org/dev/kvdb/main/snapshot/..", None),
            ("org/../kvdb/main/snapshot/nightly", None),
            ("org/dev/kvdb/../snapshot/nightly", None),
            ("org/dev/kvdb/main", None),
            ("org/dev/kvdb/main/snapshot/a/b", None),
        ];
        for (path, expected) in cases {
            let found = files.of(path);
            assert_eq!(found.as_deref(), expected.map(Path::new), "{path}");
        }
    }
}
