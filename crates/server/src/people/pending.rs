//! What waits for somebody to go on: in memory, for minutes, in bounded numbers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use keyward_iam::UnixMillis;
use sha2::{Digest as _, Sha256};

/// Things by secret, each until a moment. Only hashes of the secrets are kept.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    waiting: Mutex<HashMap<[u8; 32], (UnixMillis, T)>>,
    most: usize,
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

impl<T> Pending<T> {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            waiting: Mutex::new(HashMap::new()),
            most,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], (UnixMillis, T)>> {
        // Nothing that is done under the lock can leave an entry half changed and matter.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a thing; `false` if there are too many, after those that are over were dropped.
    pub(crate) fn insert(
        &self,
        secret: &str,
        until: UnixMillis,
        thing: T,
        now: UnixMillis,
    ) -> bool {
        let mut waiting = self.lock();
        if waiting.len() >= self.most {
            waiting.retain(|_, (until, _)| now < *until);
        }
        if waiting.len() >= self.most {
            return false;
        }
        waiting.insert(hash(secret), (until, thing));
        true
    }

    /// Looks at, or changes, a thing that is not over.
    pub(crate) fn with<R>(
        &self,
        secret: &str,
        now: UnixMillis,
        then: impl FnOnce(&mut T) -> R,
    ) -> Option<R> {
        let mut waiting = self.lock();
        let (until, thing) = waiting.get_mut(&hash(secret))?;
        (now < *until).then(|| then(thing))
    }

    /// Takes a thing that is not over: it waits no longer.
    pub(crate) fn take(&self, secret: &str, now: UnixMillis) -> Option<T> {
        let (until, thing) = self.lock().remove(&hash(secret))?;
        (now < until).then_some(thing)
    }

    /// How many that are not over are like this.
    pub(crate) fn count(&self, now: UnixMillis, like: impl Fn(&T) -> bool) -> usize {
        let waiting = self.lock();
        let alive = waiting.values().filter(|(until, _)| now < *until);
        alive.filter(|(_, thing)| like(thing)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_in_number_and_time() {
        let pending = Pending::new(2);
        let at = UnixMillis;
        assert!(pending.insert("a", at(10), 1, at(0)));
        assert!(pending.insert("b", at(20), 2, at(0)));
        assert!(!pending.insert("c", at(20), 3, at(0)), "full");
        assert_eq!(pending.with("a", at(9), |n| *n), Some(1));
        assert_eq!(pending.with("a", at(10), |n| *n), None, "over");
        assert!(pending.insert("c", at(20), 3, at(10)), "room again");
        assert_eq!(pending.count(at(10), |n| *n > 0), 2);
        assert_eq!(pending.take("b", at(10)), Some(2));
        assert_eq!(pending.take("b", at(10)), None, "taken once");
        assert_eq!(pending.take("c", at(20)), None, "over");
    }
}
