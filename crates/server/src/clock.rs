//! The time.

use std::time::{SystemTime, UNIX_EPOCH};

use keyward_iam::UnixMillis;

/// The time now, of the system's clock. A clock before 1970 counts as 1970.
#[must_use]
pub fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
