//! The RESP gateway: before every database stands this crate, and every command is decided here.
//!
//! A client's bytes are decoded where they were read, decided by the session's decision table, and
//! forwarded as they came, or answered here in the right place of the pipeline. `frontend` knows
//! the client and its commands, `backend` the server or the engine behind the database,
//! `reply_queue` the order of replies; none of them does I/O. `io` moves bytes: one task and one
//! poll function per client. Nothing reaches a backend without a `Permit`.

mod backend;
mod frontend;
mod gateway;
mod head;
mod health;
mod io;
mod metrics;
mod reply_queue;
mod settings;
mod shared;
mod sieve;
mod snapshot;
mod worker;

pub use gateway::{Gateway, GatewayHandle, StartError};
pub use health::{BackendBoard, BackendHealth, BackendState};
pub use metrics::GatewayMetrics;
pub use settings::{GatewaySettings, Limits};
pub use shared::{Shared, UpstreamPassword};
pub use snapshot::{
    Answer, MAX_KEY_LEN, RecordHead, ResealedSnapshots, SnapshotError, SnapshotFileError,
    SnapshotHeader, SnapshotProgress, SnapshotReader, SnapshotSummary, SnapshotWriter,
    add_snapshot_keys, settle_snapshot_keys, snapshot_purpose,
};
