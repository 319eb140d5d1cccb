//! Where passwords are hashed: slow on purpose, and so in bounded numbers.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Hashes that are made at the same time: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;

/// Requests that wait for their turn; more are told to come again. At some 50 ms a hash the last one
/// waits less than two seconds.
const WAITING: usize = 64;

/// The pool of password hashing. Whoever floods the sign-in page takes this and nothing else.
#[derive(Debug)]
pub(crate) struct PasswordPool {
    places: Semaphore,
    inside: AtomicUsize,
}

/// The pool is full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Busy;

struct Inside<'a>(&'a AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PasswordPool {
    pub(crate) fn new() -> Self {
        Self {
            places: Semaphore::new(AT_ONCE),
            inside: AtomicUsize::new(0),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let before = self.inside.fetch_add(1, Ordering::Relaxed);
        let _inside = Inside(&self.inside);
        if before >= AT_ONCE + WAITING {
            return Err(Busy);
        }
        let _place = self.places.acquire().await.map_err(|_| Busy)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| Busy)
    }

    /// Whether a password is right; without a stored hash the same work is done in vain.
    pub(crate) async fn verify(
        &self,
        stored: Option<String>,
        password: Zeroizing<String>,
    ) -> Result<bool, Busy> {
        self.run(move || keyward_auth::verify_password(stored.as_deref(), &password))
            .await
    }

    /// The hash of a new password.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<String, Busy> {
        self.run(move || keyward_auth::hash_password(&password))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_short_and_empties() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let pool = std::sync::Arc::new(PasswordPool::new());
            let (open, gate) = std::sync::mpsc::channel::<()>();
            let gate = std::sync::Arc::new(std::sync::Mutex::new(gate));
            let mut running = tokio::task::JoinSet::new();
            for _ in 0..AT_ONCE + WAITING + 10 {
                let (pool, gate) = (pool.clone(), gate.clone());
                running.spawn(async move {
                    let wait = move || gate.lock().unwrap().recv().is_ok();
                    pool.run(wait).await
                });
            }
            for _ in 0..10 {
                let first = running.join_next().await.unwrap().unwrap();
                assert!(first.is_err(), "what is too much is told so at once");
            }
            for _ in 0..AT_ONCE + WAITING {
                open.send(()).unwrap();
            }
            while let Some(done) = running.join_next().await {
                assert!(done.unwrap().is_ok());
            }
            assert!(pool.run(|| ()).await.is_ok());
        });
    }
}
