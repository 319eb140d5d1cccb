//! The embedded engine: Redis-compatible commands over keys in memory.
//!
//! Pure: no I/O, no clock, no randomness of its own, no async. The gateway resolves a request to a
//! [`CommandId`](keyward_commands::CommandId), decides whether it is allowed, and hands it to
//! [`Engine::apply`] with the time and a source of random numbers; the reply is appended to a
//! buffer in the session's protocol. Replies and error texts equal those of Valkey 9.
//!
//! What concerns the connection (`AUTH`, `HELLO`, `CLIENT`, `MULTI` and `EXEC`, …) is the gateway's;
//! it queues transactions and hands them over whole to [`Engine::transaction`]. What the engine
//! cannot do yet answers a clear error; [`supports`] tells which commands it can do.
//!
//! The same commands with the same times and the same random numbers, from the same start, give the
//! same keys: a log of these three can restore an engine.

mod call;
mod dispatch;
mod dump;
mod engine;
mod expiry;
mod extended;
mod failure;
mod glob;
mod hash;
mod hashes;
mod keys;
mod keyspace;
mod lists;
mod number;
mod rdb;
mod reply;
mod scan;
mod server;
mod sets;
mod snapshot;
mod sorted_set;
mod sorted_set_combine;
mod sorted_set_ranges;
mod sorted_sets;
mod space;
mod strings;
mod table;
mod value;

pub use dispatch::{supported, supports};
pub use engine::{DATABASES, Effects, Engine, EngineSession, Settings, UnixMillis};
pub use rdb::PayloadError;
pub use snapshot::{PayloadReader, PutError, Removed, RestoredValue, SnapshotRecord};
