//! Snapshots that are being made or restored: who works, how far it is, and what becomes of it.
//!
//! The directory knows what there is, a [`SnapshotWorker`] moves the keys; between them stands this
//! list of what runs now. It is bounded: one piece of work a database, a few together.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use keyward_iam::{
    Change, ChangeError, Directory, Existing, RestoreState, Session, SnapshotPermit, SnapshotState,
    UnixMillis,
};
use serde_json::{Value, json};

use crate::control::{ControlPlane, Refusal};
use crate::problem::Problem;
use crate::show;

/// Pieces of work that run at the same time.
pub const MAX_RUNNING_SNAPSHOTS: usize = 4;

/// Restores that are remembered after they ended.
const KEPT_RESTORES: usize = 100;

/// Moves keys between databases and the files of snapshots.
pub trait SnapshotWorker: Send + Sync {
    /// Begins what the permit permits, on a thread of its own, and tells when it has ended.
    ///
    /// # Errors
    /// It could not begin; then `ended` tells nothing more.
    fn start(
        &self,
        permit: SnapshotPermit,
        ended: SnapshotEnded,
    ) -> std::io::Result<Arc<dyn SnapshotWork>>;

    /// Whether there is a file of a snapshot.
    fn has_file(&self, snapshot: &str) -> bool;

    /// Removes the file of a snapshot; nothing if there is none.
    ///
    /// # Errors
    /// It is still there.
    fn remove(&self, snapshot: &str) -> std::io::Result<()>;
}

/// A piece of work that runs.
pub trait SnapshotWork: Send + Sync {
    /// How far it is.
    fn progress(&self) -> WorkProgress;
    /// Asks it to stop soon.
    fn cancel(&self);
}

/// How far a piece of work is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct WorkProgress {
    /// Keys that are copied.
    pub keys_done: u64,
    /// Keys that there are, about; none while that is not known.
    pub keys_total: Option<u64>,
    /// Bytes that are copied.
    pub bytes: u64,
}

impl WorkProgress {
    fn show(self) -> Value {
        json!({ "keys_done": self.keys_done, "keys_total": self.keys_total, "bytes": self.bytes })
    }
}

/// What a piece of work has brought.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SnapshotResult {
    /// How many keys.
    pub keys: u64,
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// What was read, or written to.
    pub server: String,
}

type Tell = Box<dyn FnOnce(Result<SnapshotResult, String>) + Send>;

/// Tells once that a piece of work has ended; also if it is dropped before, as by a panic.
pub struct SnapshotEnded(Option<Tell>);

impl SnapshotEnded {
    /// Calls this when the work has ended.
    #[must_use]
    pub fn new(tell: impl FnOnce(Result<SnapshotResult, String>) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    /// The work has ended, with what it brought, or why not. The text is for who asked for it.
    pub fn tell(mut self, result: Result<SnapshotResult, String>) {
        if let Some(tell) = self.0.take() {
            tell(result);
        }
    }
}

impl Drop for SnapshotEnded {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(Err("the work stopped inside Keyward".to_owned()));
        }
    }
}

impl fmt::Debug for SnapshotEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotEnded").finish_non_exhaustive()
    }
}

/// What runs now, and the restores that have ended lately.
pub struct Snapshots {
    worker: Option<Arc<dyn SnapshotWorker>>,
    jobs: Mutex<Jobs>,
}

#[derive(Default)]
struct Jobs {
    running: Vec<Job>,
    ended: VecDeque<EndedRestore>,
}

/// A piece of work from before its change is made to after its end is stored.
struct Job {
    what: What,
    /// Revision of the directory that began it; none before that.
    revision: Option<u64>,
    work: Option<Arc<dyn SnapshotWork>>,
    cancelled_by: Option<String>,
}

/// What a piece of work does.
#[derive(Clone, Debug)]
pub(crate) struct What {
    /// Path of the snapshot.
    pub(crate) snapshot: String,
    /// Path of the database that is read or written.
    pub(crate) database: String,
    /// What happens to the keys in the target of a restore; none where a snapshot is made.
    pub(crate) restore: Option<Existing>,
    /// Path of the principal.
    pub(crate) by: String,
    /// When it was asked for.
    pub(crate) at: UnixMillis,
}

struct EndedRestore {
    what: What,
    revision: u64,
    at: UnixMillis,
    result: Result<u64, String>,
}

/// A place among what runs. It is given back where the change is not made.
pub(crate) struct Place {
    snapshots: Arc<Snapshots>,
    what: What,
    taken: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.taken {
            self.snapshots.forget(&self.what);
        }
    }
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").finish_non_exhaustive()
    }
}

/// Id of a restore: the change that began it.
fn job_id(revision: u64) -> String {
    format!("r{revision}")
}

impl What {
    fn is(&self, other: &Self) -> bool {
        self.snapshot == other.snapshot && self.database == other.database
    }

    fn show(&self, revision: u64, state: &str) -> Value {
        let id = job_id(revision);
        json!({
            "id": id,
            "path": format!("{}/restore/{id}", self.snapshot),
            "snapshot": self.snapshot,
            "target": self.database,
            "existing": self.restore,
            "state": state,
            "started": { "at": show::time(self.at), "by": self.by },
        })
    }
}

impl EndedRestore {
    fn show(&self) -> Value {
        let mut shown;
        match &self.result {
            Ok(keys) => {
                shown = self.what.show(self.revision, "done");
                show::insert(&mut shown, "keys", *keys);
            }
            Err(reason) => {
                shown = self.what.show(self.revision, "failed");
                show::insert(&mut shown, "reason", reason.as_str());
            }
        }
        show::insert(&mut shown, "finished_at", show::time(self.at));
        shown
    }
}

impl Job {
    fn show(&self) -> Option<Value> {
        self.what.restore?;
        let mut shown = self.what.show(self.revision?, "running");
        let progress = self.work.as_ref().map(|work| work.progress());
        show::insert(&mut shown, "progress", progress.unwrap_or_default().show());
        Some(shown)
    }
}

impl Snapshots {
    /// With who moves the keys; without, no snapshot is made here.
    #[must_use]
    pub fn new(worker: Option<Arc<dyn SnapshotWorker>>) -> Self {
        Self {
            worker,
            jobs: Mutex::default(),
        }
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, what: &What) {
        self.jobs().running.retain(|job| !job.what.is(what));
    }

    /// Takes a place for a piece of work that the caller may ask for.
    pub(crate) fn place(self: &Arc<Self>, what: What) -> Result<Place, Problem> {
        let busy = |detail: String| Err(Problem::new(StatusCode::CONFLICT, "busy", detail));
        if self.worker.is_none() {
            let detail = "this process makes and restores no snapshots";
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                detail,
            ));
        }
        let mut jobs = self.jobs();
        if jobs
            .running
            .iter()
            .any(|job| job.what.database == what.database)
        {
            return busy(format!(
                "a snapshot of `{}`, or a restore into it, runs already: wait for its end",
                what.database
            ));
        }
        if jobs.running.len() >= MAX_RUNNING_SNAPSHOTS {
            return busy(format!(
                "{MAX_RUNNING_SNAPSHOTS} snapshots and restores run already, which is the most at a time: wait for one to end"
            ));
        }
        jobs.running.push(Job {
            what: what.clone(),
            revision: None,
            work: None,
            cancelled_by: None,
        });
        drop(jobs);
        Ok(Place {
            snapshots: Arc::clone(self),
            what,
            taken: false,
        })
    }

    /// Begins the work whose change has just been made. Blocks while the disk is written, if it
    /// fails at once.
    pub(crate) fn start(
        mut place: Place,
        control: &Arc<ControlPlane>,
        session: &Session,
        change: &Change,
        directory: &Directory,
        clock: fn() -> UnixMillis,
    ) {
        place.taken = true;
        let snapshots = Arc::clone(&place.snapshots);
        let what = place.what.clone();
        if let Some(mut job) = snapshots.job(&what) {
            job.revision = Some(directory.revision());
        }
        let ended = {
            let (snapshots, control, what) = (
                Arc::clone(&snapshots),
                Arc::clone(control),
                place.what.clone(),
            );
            SnapshotEnded::new(move |result| snapshots.end(&control, &what, result, clock()))
        };
        let permit = match directory.permit_snapshot(session, change, clock()) {
            Ok(permit) => permit,
            Err(decision) => return ended.tell(Err(decision.public_message.clone())),
        };
        let Some(worker) = &snapshots.worker else {
            return;
        };
        match worker.start(permit, ended) {
            Ok(work) => {
                if let Some(mut job) = snapshots.job(&what) {
                    if job.cancelled_by.is_some() {
                        work.cancel();
                    }
                    job.work = Some(work);
                }
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    snapshot = what.snapshot,
                    "the work on a snapshot could not begin"
                );
            }
        }
    }

    fn job(&self, what: &What) -> Option<JobGuard<'_>> {
        let jobs = self.jobs();
        let at = jobs.running.iter().position(|job| job.what.is(what))?;
        Some(JobGuard { jobs, at })
    }

    /// Keeps how a piece of work ended.
    fn end(
        &self,
        control: &ControlPlane,
        what: &What,
        result: Result<SnapshotResult, String>,
        at: UnixMillis,
    ) {
        let found = self
            .job(what)
            .map(|job| (job.revision, job.cancelled_by.clone()));
        let (revision, cancelled_by) = found.unwrap_or_default();
        let result = result.map_err(|reason| match cancelled_by {
            Some(by) => format!("cancelled by {by}: {reason}"),
            None => reason,
        });
        let path = what.snapshot.clone();
        let change = match (&result, what.restore) {
            (Ok(result), None) => Change::EndSnapshot {
                path,
                state: SnapshotState::Ready {
                    keys: result.keys,
                    bytes: result.bytes,
                    sha256: result.sha256,
                    server: result.server.clone(),
                },
            },
            (Err(reason), None) => Change::EndSnapshot {
                path,
                state: SnapshotState::Failed {
                    reason: reason.clone(),
                },
            },
            (Ok(result), Some(_)) => Change::EndRestore {
                path,
                state: RestoreState::Done { keys: result.keys },
            },
            (Err(reason), Some(_)) => Change::EndRestore {
                path,
                state: RestoreState::Failed {
                    reason: reason.clone(),
                },
            },
        };
        match control.change_as_operator(&change, at) {
            Ok(_) => {}
            // It was deleted meanwhile.
            Err(Refusal::Change(ChangeError::NotFound { .. })) if what.restore.is_none() => {
                self.remove_file(&what.snapshot);
            }
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                snapshot = what.snapshot,
                "the end of the work on a snapshot could not be stored"
            ),
        }
        let mut jobs = self.jobs();
        jobs.running.retain(|job| !job.what.is(what));
        if let (Some(revision), Some(_)) = (revision, what.restore) {
            if jobs.ended.len() >= KEPT_RESTORES {
                jobs.ended.pop_front();
            }
            jobs.ended.push_back(EndedRestore {
                what: what.clone(),
                revision,
                at,
                result: result.map(|result| result.keys),
            });
        }
    }

    /// How far the making of a snapshot is, if it runs.
    pub(crate) fn progress(&self, snapshot: &str) -> Option<Value> {
        let jobs = self.jobs();
        let mut running = jobs.running.iter();
        let job =
            running.find(|job| job.what.snapshot == snapshot && job.what.restore.is_none())?;
        let progress = job.work.as_ref().map(|work| work.progress());
        Some(progress.unwrap_or_default().show())
    }

    /// Whether the file of a snapshot that is ready is there.
    pub(crate) fn has_file(&self, snapshot: &str) -> bool {
        let worker = self.worker.as_ref();
        worker.is_none_or(|worker| worker.has_file(snapshot))
    }

    /// Ends the making of a snapshot that was deleted, and removes its file. Blocks.
    pub(crate) fn discard(&self, snapshot: &str) {
        let running = self.jobs();
        let mut of_it = running.running.iter();
        let work = of_it
            .find(|job| job.what.snapshot == snapshot && job.what.restore.is_none())
            .and_then(|job| job.work.clone());
        drop(running);
        if let Some(work) = work {
            work.cancel();
        }
        self.remove_file(snapshot);
    }

    fn remove_file(&self, snapshot: &str) {
        let removed = self.worker.as_ref().map(|worker| worker.remove(snapshot));
        if let Some(Err(error)) = removed {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                snapshot,
                "the file of a deleted snapshot could not be removed; it is tried again at the next start"
            );
        }
    }

    /// The restores of a snapshot that run or have ended lately, by id.
    pub(crate) fn restores(&self, snapshot: &str) -> Vec<(String, Value)> {
        let jobs = self.jobs();
        let running = jobs.running.iter();
        let running = running
            .filter(|job| job.what.snapshot == snapshot)
            .filter_map(|job| Some((job_id(job.revision?), job.show()?)));
        let ended = jobs.ended.iter();
        let ended = ended
            .filter(|ended| ended.what.snapshot == snapshot)
            .map(|ended| (job_id(ended.revision), ended.show()));
        let mut all: Vec<(String, Value)> = running.chain(ended).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// Asks a restore to stop; `None` if no such one runs.
    pub(crate) fn cancel(&self, snapshot: &str, id: &str, by: &str) -> Option<Value> {
        let mut jobs = self.jobs();
        let job = jobs.running.iter_mut().find(|job| {
            job.what.snapshot == snapshot
                && job.what.restore.is_some()
                && job.revision.map(job_id).as_deref() == Some(id)
        })?;
        job.cancelled_by = Some(by.to_owned());
        if let Some(work) = &job.work {
            work.cancel();
        }
        job.show()
    }
}

/// One of the pieces of work, under the lock.
struct JobGuard<'a> {
    jobs: MutexGuard<'a, Jobs>,
    at: usize,
}

impl std::ops::Deref for JobGuard<'_> {
    type Target = Job;

    fn deref(&self) -> &Job {
        &self.jobs.running[self.at]
    }
}

impl std::ops::DerefMut for JobGuard<'_> {
    fn deref_mut(&mut self) -> &mut Job {
        &mut self.jobs.running[self.at]
    }
}
