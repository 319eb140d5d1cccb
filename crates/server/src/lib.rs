//! The control plane over HTTP.
//!
//! Every call is decided by the same functions of the directory as a Redis command. [`ControlPlane`]
//! is the one place that changes the directory of a running process; [`Api`] is what the handlers
//! share, [`Server`] the listener with its limits. All paths, with what each is decided on, stand in
//! one table ([`routes`]) that the router and the OpenAPI document are both made of.

mod api;
mod audit;
mod body;
mod browse;
mod caller;
mod checking;
mod clock;
mod conditional;
mod control;
mod etag;
mod explain;
mod federation;
mod idempotency;
mod openapi;
mod opened;
mod pages;
mod paging;
mod people;
mod policies;
mod problem;
mod query;
mod request_id;
pub mod routes;
mod serve;
mod show;
mod snapshots;

pub use api::{Api, Exposition};
pub use clock::now;
pub use control::{Changed, ControlPlane, Refusal};
pub use etag::Mismatch;
pub use federation::{Federation, SignIn};
pub use openapi::openapi;
pub use opened::RotateError;
pub use people::{People, PeopleSettings, SignInButton};
pub use policies::{InputError, dialect, document_text, policy_inputs};
pub use problem::{PROBLEM_TYPE, Problem};
pub use request_id::{MAX_REQUEST_ID, REQUEST_ID, RequestId};
pub use routes::databases::{Health, HealthSource};
pub use serve::{ApiSettings, Server};
pub use snapshots::{
    MAX_RUNNING_SNAPSHOTS, SnapshotEnded, SnapshotResult, SnapshotWork, SnapshotWorker, Snapshots,
    WorkProgress,
};
