//! What is looked after while the process runs: keys that sign sessions, and notes of last uses.

use std::sync::Arc;
use std::time::Duration;

use keyward_auth::{LastUse, MasterKey, SigningKeys, Verifier};
use keyward_server::{ControlPlane, now};
use keyward_store::Store;

use crate::failure::Failure;

/// How often last uses are written down, and signing keys are looked after.
const EVERY: Duration = Duration::from_secs(15);

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

/// Looks after both until the process ends.
pub(super) async fn keep(control: Arc<ControlPlane>, verifier: Arc<Verifier>) {
    let restored = control.last_used();
    match restored {
        Ok(stored) => verifier
            .usage
            .restore(stored.into_iter().filter_map(|(key_id, text)| {
                let last: LastUse = serde_json::from_str(&text).ok()?;
                Some((key_id, last))
            })),
        Err(error) => tracing::warn!(%error, "the last uses of access keys could not be read"),
    }
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let (control, verifier) = (Arc::clone(&control), Arc::clone(&verifier));
        // The disk is waited for elsewhere.
        let done = tokio::task::spawn_blocking(move || {
            store_last_used(&control, &verifier);
            rotate_signing_keys(&control, &verifier);
        });
        if let Err(error) = done.await {
            tracing::error!(%error, "looking after signing keys failed");
        }
    }
}

/// Writes down what is new about last uses.
pub(super) fn store_last_used(control: &ControlPlane, verifier: &Verifier) {
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

/// Makes a new signing key when it is time. It signs only after it was stored.
fn rotate_signing_keys(control: &ControlPlane, verifier: &Verifier) {
    let (keys, at) = (verifier.issuer.keys(), now());
    if !keys.is_due(at) {
        return;
    }
    let next = keys.rotated(at);
    match control.put_sealed(SigningKeys::NAME, &next.seal(&verifier.master_key)) {
        Ok(()) => verifier.issuer.install(next),
        Err(error) => tracing::warn!(%error, "a new signing key could not be stored"),
    }
}

#[cfg(test)]
mod tests {
    use keyward_auth::HashKey;
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
        rotate_signing_keys(&control, &verifier);
        assert!(!verifier.issuer.keys().is_due(now()));
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
