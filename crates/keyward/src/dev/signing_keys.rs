//! What is looked after while the process runs: keys that sign sessions, and notes of last uses.

use std::sync::Arc;
use std::time::Duration;

use keyward_auth::{LastUse, MasterKey, SigningKeys, Verifier};
use keyward_server::{ControlPlane, now};
use keyward_store::Store;

use crate::failure::Failure;

/// How often sessions that the gateway has opened are written down.
const EVERY: Duration = Duration::from_secs(1);

/// After how many of these last uses are written down, and signing keys are looked after.
const ROUNDS: u32 = 15;

/// The signing keys of a store, made if this is its first start.
pub(super) fn open(store: &mut Store, master_key: &MasterKey) -> Result<SigningKeys, Failure> {
    let stored = store
        .sealed(SigningKeys::NAME)
        .map_err(|error| Failure::of(&error))?;
    if let Some(text) = stored {
        return SigningKeys::unseal(master_key, &text).map_err(|error| Failure::of(&error));
    }
    let keys = SigningKeys::generate(now());
    store
        .put_sealed(SigningKeys::NAME, &keys.seal(master_key))
        .map_err(|error| Failure::of(&error))?;
    Ok(keys)
}

/// Makes a new key at once; without the former ones every session that they signed ends.
pub(super) fn rotate(
    store: &mut Store,
    master_key: &MasterKey,
    end_sessions: bool,
) -> Result<(), Failure> {
    let keys = match end_sessions {
        true => SigningKeys::generate(now()),
        false => open(store, master_key)?.rotated(now()),
    };
    store
        .put_sealed(SigningKeys::NAME, &keys.seal(master_key))
        .map_err(|error| Failure::of(&error))
}

/// Looks after both until the process ends. A signing key signs for `period`.
pub(super) async fn keep(control: Arc<ControlPlane>, verifier: Arc<Verifier>, period: Duration) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut round = 0;
    loop {
        tick.tick().await;
        let (control, verifier) = (Arc::clone(&control), Arc::clone(&verifier));
        let all = round % ROUNDS == 0;
        round = round.wrapping_add(1);
        // The disk is waited for elsewhere.
        let done = tokio::task::spawn_blocking(move || {
            if all {
                store_all(&control, &verifier);
                let kept = control.keep_signing_keys(&verifier, period, now());
                told(kept, "signing keys could not be stored");
            } else {
                store_opened(&control, &verifier);
            }
        });
        if let Err(error) = done.await {
            tracing::error!(%error, "looking after signing keys failed");
        }
    }
}

fn told<E: std::error::Error + 'static>(done: Result<(), E>, text: &str) {
    if let Err(error) = done {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "{text}");
    }
}

/// What was stored before the process started.
pub(super) fn restore(control: &ControlPlane, verifier: &Verifier) {
    match control.last_used() {
        Ok(stored) => verifier
            .usage
            .restore(stored.into_iter().filter_map(|(key_id, text)| {
                let last: LastUse = serde_json::from_str(&text).ok()?;
                Some((key_id, last))
            })),
        Err(error) => tracing::warn!(%error, "the last uses of access keys could not be read"),
    }
    let restored = control.restore_sessions(&verifier.usage, now());
    told(restored, "the sessions that are open could not be read");
}

fn store_opened(control: &ControlPlane, verifier: &Verifier) {
    let kept = control.keep_opened(&verifier.usage);
    told(kept, "sessions that were opened could not be written down");
}

/// Writes down what is new about sessions and last uses.
pub(super) fn store_all(control: &ControlPlane, verifier: &Verifier) {
    store_opened(control, verifier);
    let kept = control.keep_sessions(&verifier.usage, now());
    told(kept, "the last uses of sessions could not be written");
    store_last_used(control, verifier);
}

/// Writes down what is new about last uses.
fn store_last_used(control: &ControlPlane, verifier: &Verifier) {
    let new = verifier.usage.take_new(&control.directory());
    let rows: Vec<(String, u64, String)> = new
        .iter()
        .filter_map(|(key_id, last)| {
            let text = serde_json::to_string(last).ok()?;
            Some((key_id.clone(), last.at.0, text))
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    if let Err(error) = control.put_last_used(&rows) {
        tracing::warn!(%error, "the last uses of access keys could not be written");
    }
}

#[cfg(test)]
mod tests {
    use keyward_auth::{HashKey, SIGNING_PERIOD};
    use keyward_iam::UnixMillis;

    use super::*;

    #[test]
    fn kept_and_rotated() {
        let master_key = MasterKey::generate();
        let mut store = Store::open_in_memory().unwrap();
        let first = open(&mut store, &master_key).unwrap();
        let again = open(&mut store, &master_key).unwrap();
        assert_eq!(format!("{first:?}"), format!("{again:?}"));
        assert!(open(&mut store, &MasterKey::generate()).is_err());

        let control = ControlPlane::open(store).unwrap();
        let old = SigningKeys::generate(UnixMillis(0));
        let verifier = Verifier::new(HashKey::generate(), master_key, old);
        control
            .keep_signing_keys(&verifier, SIGNING_PERIOD, now())
            .unwrap();
        assert!(!verifier.issuer.keys().is_due(SIGNING_PERIOD, now()));
    }

    #[test]
    fn last_uses_survive() {
        let control = ControlPlane::open(Store::open_in_memory().unwrap()).unwrap();
        let rows = [("KWAKA".to_owned(), 7, "{\"at\":7}".to_owned())];
        control.put_last_used(&rows).unwrap();
        let found = control.last_used().unwrap();
        assert_eq!(found, [("KWAKA".to_owned(), "{\"at\":7}".to_owned())]);
    }
}
