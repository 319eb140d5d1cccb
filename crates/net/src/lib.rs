//! Listeners and limits, below the data plane and the control plane.
//!
//! - [`listen`] opens one listener per worker on the same port; a port that another process
//!   listens on is an error, also when that process would share it.
//! - [`Acceptor`] accepts until the end of time: errors of a single connection are skipped, and a
//!   process without file descriptors waits and goes on.
//! - [`BackendRules`] say which addresses may be backends of databases, and for whom.
//! - [`ConnectionLimit`] counts connections over all workers.
//! - [`Tls`] reads certificate and key, and reads them again while listeners run; [`Stream`] is a
//!   connection with TLS or without, [`Transport`] what that tells of the client.
//! - [`check_exposure`] keeps unencrypted listeners on loopback.

mod accept;
mod backends;
mod exposure;
mod limit;
mod listen;
mod stream;
mod tls;

pub use accept::Acceptor;
pub use backends::{BackendPermission, BackendRules, Network, NetworkError};
pub use exposure::{ExposureError, check_exposure, is_loopback};
pub use limit::{ConnectionLimit, ConnectionSlot};
pub use listen::{ListenError, ListenOptions, connect_options, listen};
pub use stream::{Stream, Transport};
pub use tls::{Tls, TlsError, TlsFiles, accepted};
