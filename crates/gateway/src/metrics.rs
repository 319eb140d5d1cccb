//! What the gateway counts.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of one worker. Only its own thread writes them.
        #[derive(Debug, Default)]
        pub(crate) struct WorkerMetrics {
            $(pub(crate) $name: AtomicU64,)*
        }

        /// What a gateway has counted since it started, over all workers.
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        pub struct GatewayMetrics {
            $($(#[$doc])* pub $name: u64,)*
            /// Connections that are open now.
            pub connections_open: u64,
        }

        impl GatewayMetrics {
            pub(crate) fn add(&mut self, worker: &WorkerMetrics) {
                $(self.$name += worker.$name.load(Ordering::Relaxed);)*
            }
        }
    };
}

counters! {
    /// Connections that were accepted (`keyward_connections_total`).
    connections,
    /// Connections beyond the limit (`keyward_connections_refused_total`).
    connections_refused,
    /// TLS handshakes that failed (`keyward_tls_handshake_failures_total`).
    failed_handshakes,
    /// Successful logins (`keyward_auth_attempts_total{result="success"}`).
    logins,
    /// Failed logins (`keyward_auth_attempts_total{result="failure"}`).
    failed_logins,
    /// Requests that were read (`keyward_commands_total`).
    commands,
    /// Commands that were allowed (`keyward_decisions_total{result="allow"}`).
    allowed,
    /// Commands that a `Deny` refused (`keyward_decisions_total{result="explicit_deny"}`).
    explicitly_denied,
    /// Commands that nothing allowed (`keyward_decisions_total{result="implicit_deny"}`).
    implicitly_denied,
    /// Connections to backends (`keyward_upstream_connections_total`).
    upstream_connections,
    /// Backends that could not be reached or were lost (`keyward_upstream_errors_total`).
    upstream_errors,
}

/// Adds to a counter of this thread.
#[inline]
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    // One writer: no need for a locked instruction.
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(by),
        Ordering::Relaxed,
    );
}
