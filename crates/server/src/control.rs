//! The one place that changes the directory of a running process.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use keyward_auth::HashKey;
use keyward_iam::{
    Change, ChangeContext, ChangeError, Decision, Directory, Requirement, Session, SessionEnded,
    UnixMillis,
};
use keyward_store::{
    AuditEntry, AuditRecord, CommitError, LoadDirectoryError, ReadAuditError, Store, StoreError,
};
use tokio::sync::watch;

use crate::audit;
use crate::etag::{Mismatch, Precondition};
use crate::request_id::RequestId;

/// The directory that decides now, and the store that keeps it. A change takes effect only after
/// the store has acknowledged it.
#[derive(Debug)]
pub struct ControlPlane {
    directory: Arc<ArcSwap<Directory>>,
    revision: Arc<AtomicU64>,
    notify: watch::Sender<u64>,
    /// Held from the decision on a change to its effect, so that each is decided on the last.
    store: Mutex<Store>,
}

/// A change that was made, or that would be made.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The directory after it.
    pub directory: Arc<Directory>,
    /// Whether the caller could also accept for the trustee.
    pub accepts: bool,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The caller may not.
    #[error("{}", .0.public_message)]
    Denied(Box<Decision>),
    /// The change breaks a rule.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// What is to be changed is not as the caller thinks.
    #[error("the condition of the change does not hold")]
    Condition(Box<Mismatch>),
    /// The caller's credential has ended meanwhile.
    #[error(transparent)]
    Session(#[from] SessionEnded),
    /// It could not be stored, and has no effect.
    #[error("the change could not be stored")]
    Store(#[from] CommitError),
}

impl ControlPlane {
    /// Takes over a store and loads what is in it.
    ///
    /// # Errors
    /// The store holds no directory that can be read.
    pub fn open(store: Store) -> Result<Self, LoadDirectoryError> {
        let directory = store.load()?;
        let revision = directory.revision();
        Ok(Self {
            directory: Arc::new(ArcSwap::from_pointee(directory)),
            revision: Arc::new(AtomicU64::new(revision)),
            notify: watch::Sender::new(revision),
            store: Mutex::new(store),
        })
    }

    /// The directory that decides now.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        self.directory.load_full()
    }

    /// Where the directory is swapped.
    #[must_use]
    pub fn shared_directory(&self) -> Arc<ArcSwap<Directory>> {
        Arc::clone(&self.directory)
    }

    /// The revision of the directory: raised after each swap, one load to notice a change.
    #[must_use]
    pub fn shared_revision(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.revision)
    }

    /// Wakes up at each change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.notify.subscribe()
    }

    /// What was changed after a revision, oldest first, at most `limit` entries.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn audit_since(
        &self,
        revision: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, ReadAuditError> {
        self.store().audit_since(revision, limit)
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        // A panic in the middle of a change leaves the directory as it was; the store checks
        // revisions itself.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change for a session that may make it. Blocks while the disk is written.
    ///
    /// # Errors
    /// Why it was not made. Nothing has changed then.
    pub fn change(
        &self,
        session: &Session,
        change: &Change,
        now: UnixMillis,
    ) -> Result<Changed, Refusal> {
        self.change_under(&Circumstances::at(now), session, change)
    }

    /// [`ControlPlane::change`] for a request, under its condition.
    pub(crate) fn change_under(
        &self,
        circumstances: &Circumstances,
        session: &Session,
        change: &Change,
    ) -> Result<Changed, Refusal> {
        let now = circumstances.now;
        let mut store = self.store();
        let directory = self.directory();
        let prepared = prepare(&directory, session, change, now)?;
        circumstances.check(&directory)?;
        let by = directory.principal_path(session.principal);
        let mut record = audit::record(by, session.source, change, &prepared.requirements, now);
        record.request_id = circumstances.request_id.as_ref().map(ToString::to_string);
        self.commit(&mut store, prepared.applied, &record)?;
        Ok(Changed {
            directory: self.directory(),
            accepts: prepared.accepts,
        })
    }

    /// What [`ControlPlane::change`] would do, without doing it.
    ///
    /// # Errors
    /// Why it would not be made.
    pub fn dry_run(
        &self,
        session: &Session,
        change: &Change,
        now: UnixMillis,
    ) -> Result<Changed, Refusal> {
        self.dry_run_under(&Circumstances::at(now), session, change)
    }

    /// [`ControlPlane::dry_run`] for a request, under its condition.
    pub(crate) fn dry_run_under(
        &self,
        circumstances: &Circumstances,
        session: &Session,
        change: &Change,
    ) -> Result<Changed, Refusal> {
        let directory = self.directory();
        let prepared = prepare(&directory, session, change, circumstances.now)?;
        circumstances.check(&directory)?;
        Ok(Changed {
            directory: Arc::new(prepared.applied.directory),
            accepts: prepared.accepts,
        })
    }

    /// Makes a change that the operator asked for on the machine itself.
    ///
    /// # Errors
    /// The rule that it would break, or why it could not be stored.
    pub fn change_as_operator(
        &self,
        change: &Change,
        now: UnixMillis,
    ) -> Result<Arc<Directory>, Refusal> {
        self.change_unasked(change, ChangeContext::system(now))
    }

    /// Makes a change that the operator asked for by name, as of a person of the deployment.
    ///
    /// # Errors
    /// A rule of change is broken, or the change could not be stored.
    pub fn change_by_operator(
        &self,
        change: &Change,
        now: UnixMillis,
    ) -> Result<Arc<Directory>, Refusal> {
        self.change_unasked(change, ChangeContext::operator(now))
    }

    fn change_unasked(
        &self,
        change: &Change,
        context: ChangeContext,
    ) -> Result<Arc<Directory>, Refusal> {
        let mut store = self.store();
        let applied = self.directory().apply(change, &context)?;
        let record = audit::record(&context.by, None, change, &[], context.at);
        self.commit(&mut store, applied, &record)?;
        Ok(self.directory())
    }

    /// Keeps a sealed secret of the deployment itself. Blocks while the disk is written.
    ///
    /// # Errors
    /// It could not be written.
    pub fn put_sealed(&self, name: &str, body: &str) -> Result<(), StoreError> {
        self.store().put_sealed(name, body)
    }

    /// What was stored of the last uses of access keys: the key's id and the note.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn last_used(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.store().last_used()
    }

    /// Stores last uses: the key's id, the moment and the note. Blocks while the disk is written.
    ///
    /// # Errors
    /// They could not be written.
    pub fn put_last_used(&self, rows: &[(String, u64, String)]) -> Result<(), StoreError> {
        self.store().put_last_used(rows)
    }

    /// Makes a change for a person whose credentials were verified a moment ago, or whose invitation
    /// was: she has no session yet that could ask for it.
    ///
    /// # Errors
    /// The rule that it would break, or why it could not be stored.
    pub(crate) fn change_for_person(
        &self,
        person: &str,
        source: Option<IpAddr>,
        change: &Change,
        now: UnixMillis,
    ) -> Result<Arc<Directory>, Refusal> {
        let mut store = self.store();
        let context = ChangeContext {
            at: now,
            by: person.to_owned(),
            accepts: false,
        };
        let applied = self.directory().apply(change, &context)?;
        let record = audit::record(person, source, change, &[], now);
        self.commit(&mut store, applied, &record)?;
        Ok(self.directory())
    }

    fn commit(
        &self,
        store: &mut Store,
        applied: keyward_iam::Applied,
        record: &AuditRecord,
    ) -> Result<(), CommitError> {
        store.commit(&applied, record)?;
        let revision = applied.revision();
        // INVARIANT: the directory is there before its number, so that whoever sees the number
        // loads this directory or a later one.
        self.directory.store(Arc::new(applied.directory));
        self.revision.store(revision, Ordering::Release);
        self.notify.send_replace(revision);
        Ok(())
    }
}

/// When a change is made, for which request and under which condition.
#[derive(Clone, Debug)]
pub(crate) struct Circumstances {
    pub(crate) now: UnixMillis,
    pub(crate) request_id: Option<RequestId>,
    pub(crate) condition: Option<(Arc<HashKey>, Precondition)>,
}

impl Circumstances {
    fn at(now: UnixMillis) -> Self {
        Self {
            now,
            request_id: None,
            condition: None,
        }
    }

    /// Whether the condition holds before the change.
    fn check(&self, before: &Directory) -> Result<(), Refusal> {
        match &self.condition {
            None => Ok(()),
            Some((key, condition)) => condition.check(key, before).map_err(Refusal::Condition),
        }
    }
}

struct Prepared {
    applied: keyward_iam::Applied,
    requirements: Vec<Requirement>,
    accepts: bool,
}

fn prepare(
    directory: &Directory,
    session: &Session,
    change: &Change,
    now: UnixMillis,
) -> Result<Prepared, Refusal> {
    directory.check_session(session, now)?;
    let approval = directory
        .authorise_change(session, change, now)
        .map_err(Refusal::Denied)?;
    let context = ChangeContext {
        at: now,
        by: directory.principal_path(session.principal).to_owned(),
        accepts: approval.accepts,
    };
    let applied = directory.apply(change, &context)?;
    Ok(Prepared {
        applied,
        requirements: approval.requirements,
        accepts: approval.accepts,
    })
}
