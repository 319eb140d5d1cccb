//! When issuers are asked, and what is known of them meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const JWKS: &str = r#"{"keys":[{"kty":"OKP","kid":"a","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
const LONG: Duration = Duration::from_secs(10);

/// An issuer that counts.
#[derive(Default)]
struct Counted {
    asked: Arc<AtomicUsize>,
    away: Arc<std::sync::atomic::AtomicBool>,
    says: Option<&'static str>,
}

impl Fetch for Counted {
    fn permits(&self, issuer: &str) -> Result<(), FetchError> {
        match issuer {
            "https://no.example" => Err(FetchError::Issuer(issuer.to_owned())),
            _ => Ok(()),
        }
    }

    fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        if url == "https://jwks.example" {
            return Ok(JWKS.into());
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            return Err(FetchError::Status {
                url: url.to_owned(),
                status: 503,
                code: None,
            });
        }
        let issuer = url
            .strip_suffix("/.well-known/openid-configuration")
            .unwrap_or(url);
        let says = self.says.unwrap_or(issuer);
        Ok(format!(r#"{{"issuer":"{says}","jwks_uri":"https://jwks.example"}}"#).into())
    }
}

fn of(organisation: &str) -> Asker {
    Asker::Organisation(organisation.into())
}

fn at(seconds: u64) -> UnixMillis {
    UnixMillis(1_800_000_000_000 + seconds * 1000)
}

#[test]
fn when_an_issuer_is_asked() {
    let fetch = Counted::default();
    let (asked, away) = (Arc::clone(&fetch.asked), Arc::clone(&fetch.away));
    let keys = IssuerKeys::new(Box::new(fetch));
    let step = |second: u64, unknown: bool, expected: usize, name: &str| {
        let known = keys.wait("https://a.example", &of("acme"), unknown, at(second), LONG);
        assert_eq!(asked.load(Ordering::SeqCst), expected, "{name}");
        known
    };
    assert!(step(0, false, 1, "first").keys.is_some());
    assert!(step(1, false, 1, "known").keys.is_some());
    step(
        2,
        true,
        2,
        "an unknown key, soon after: the issuer may have changed them",
    );
    step(3, true, 2, "and not again at once");
    step(31, true, 2, "nor within half a minute");
    step(33, true, 3, "later");
    step(34, true, 3, "and not again at once");
    step(700, false, 4, "old");
    away.store(true, Ordering::SeqCst);
    let known = step(1400, false, 5, "old, and the issuer is away");
    assert!(known.keys.is_some() && known.failure.is_some());
    assert!(step(1401, false, 5, "backs off").keys.is_some());
    step(1403, false, 6, "tries again");
    step(1405, false, 6, "backs off longer");
    let known = step(700 + 24 * 3600, false, 7, "too old");
    assert!(known.keys.is_none() && known.failure.is_some());
    away.store(false, Ordering::SeqCst);
    assert!(step(200_000, false, 8, "back").keys.is_some());
}

#[test]
fn an_issuer_is_what_it_says_that_it_is() {
    let fetch = Counted {
        says: Some("https://b.example"),
        ..Counted::default()
    };
    let keys = IssuerKeys::new(Box::new(fetch));
    let known = keys.wait("https://a.example", &of("acme"), false, at(0), LONG);
    assert!(
        matches!(known.failure, Some(KeysError::Issuer { .. })),
        "{known:?}"
    );
    let known = keys.wait("https://no.example", &of("acme"), false, at(0), LONG);
    assert!(matches!(
        known.failure,
        Some(KeysError::Fetch(FetchError::Issuer(_)))
    ));
}

#[test]
fn many_issuers_at_once() {
    let keys = IssuerKeys::new(Box::new(Counted::default()));
    let names = (0..100)
        .map(|n| (format!("https://{n}.example"), of(&format!("o{}", n % 10))))
        .collect::<Vec<_>>();
    for (name, asker) in &names {
        let _ = keys.look(name, asker, false, at(0));
    }
    for (name, asker) in &names {
        let known = keys.wait(name, asker, false, at(0), LONG);
        assert!(known.keys.is_some(), "{name}: {known:?}");
    }
}

/// Issuers with `hang` in their names do not answer until they are let go.
#[derive(Default)]
struct Hanging {
    counted: Counted,
    under_way: Arc<AtomicUsize>,
    let_go: Arc<std::sync::atomic::AtomicBool>,
}

impl Fetch for Hanging {
    fn permits(&self, issuer: &str) -> Result<(), FetchError> {
        self.counted.permits(issuer)
    }

    fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        if url.contains("hang") {
            self.under_way.fetch_add(1, Ordering::SeqCst);
            while !self.let_go.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
        }
        self.counted.get(url)
    }
}

#[test]
fn issuers_that_hang_delay_nobody_elses() {
    let fetch = Hanging::default();
    let (under_way, let_go) = (Arc::clone(&fetch.under_way), Arc::clone(&fetch.let_go));
    let keys = IssuerKeys::new(Box::new(fetch));
    let proved = "https://proved.example";
    let known = keys.wait(proved, &of("acme"), false, at(0), LONG);
    assert!(known.keys.is_some());
    let hang = |organisation: &str, count: usize| {
        for n in 0..count {
            let issuer = format!("https://hang.{organisation}.{n}.example");
            let _ = keys.look(&issuer, &of(organisation), false, at(0));
        }
    };
    hang("evil", 500);
    // An issuer that both name: it is asked in whichever turn comes first.
    let _ = keys.look("https://both.example", &of("evil"), false, at(0));
    for issuer in ["https://new.example", "https://both.example"] {
        let known = keys.wait(issuer, &of("acme"), false, at(0), LONG);
        assert!(known.keys.is_some(), "{issuer}: {known:?}");
    }
    // As many organisations as it takes: what answered before, and the deployment's own, go on.
    for organisation in 0..100 {
        hang(&format!("evil{organisation}"), 40);
    }
    let known = keys.wait(proved, &of("acme"), true, at(60), LONG);
    assert!(known.keys.is_some() && !known.pending, "{known:?}");
    let sign_in = "https://sign-in.example";
    let known = keys.wait(sign_in, &Asker::Deployment, false, at(60), LONG);
    assert!(known.keys.is_some(), "{known:?}");
    assert_eq!(under_way.load(Ordering::SeqCst), MAX_UNPROVED_FETCHES);
    let state = keys.inner.lock();
    assert!(state.queue.len() <= MAX_QUEUE && state.threads <= MAX_FETCHES);
    drop(state);
    // When they answer at last, those that waited have their turn, and nothing is left behind.
    let_go.store(true, Ordering::SeqCst);
    let known = keys.wait(
        "https://hang.evil.9.example",
        &of("evil"),
        false,
        at(60),
        LONG,
    );
    assert!(known.keys.is_some(), "{known:?}");
    for _ in 0..1000 {
        if keys.inner.lock().threads == 0 {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let state = keys.inner.lock();
    assert!(state.queue.is_empty() && state.running.is_empty());
    assert_eq!((state.threads, state.unproved), (0, 0));
}
