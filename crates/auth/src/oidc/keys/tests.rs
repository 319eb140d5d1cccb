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

    fn post_form(
        &self,
        url: &str,
        _: &[(&str, &str)],
        _: Option<&str>,
    ) -> Result<Vec<u8>, FetchError> {
        self.get(url)
    }
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
        let known = keys.wait("https://a.example", unknown, at(second), LONG);
        assert_eq!(asked.load(Ordering::SeqCst), expected, "{name}");
        known
    };
    assert!(step(0, false, 1, "first").keys.is_some());
    assert!(step(1, false, 1, "known").keys.is_some());
    step(2, true, 1, "an unknown key, too soon after");
    step(31, true, 2, "an unknown key, later");
    step(32, true, 2, "and not again at once");
    step(700, false, 3, "old");
    away.store(true, Ordering::SeqCst);
    let known = step(1400, false, 4, "old, and the issuer is away");
    assert!(known.keys.is_some() && known.failure.is_some());
    assert!(step(1401, false, 4, "backs off").keys.is_some());
    step(1403, false, 5, "tries again");
    step(1405, false, 5, "backs off longer");
    let known = step(700 + 24 * 3600, false, 6, "too old");
    assert!(known.keys.is_none() && known.failure.is_some());
    away.store(false, Ordering::SeqCst);
    assert!(step(200_000, false, 7, "back").keys.is_some());
}

#[test]
fn an_issuer_is_what_it_says_that_it_is() {
    let fetch = Counted {
        says: Some("https://b.example"),
        ..Counted::default()
    };
    let keys = IssuerKeys::new(Box::new(fetch));
    let known = keys.wait("https://a.example", false, at(0), LONG);
    assert!(
        matches!(known.failure, Some(KeysError::Issuer { .. })),
        "{known:?}"
    );
    let known = keys.wait("https://no.example", false, at(0), LONG);
    assert!(matches!(
        known.failure,
        Some(KeysError::Fetch(FetchError::Issuer(_)))
    ));
}

#[test]
fn many_issuers_at_once() {
    let keys = IssuerKeys::new(Box::new(Counted::default()));
    let names = (0..100)
        .map(|n| format!("https://{n}.example"))
        .collect::<Vec<_>>();
    for name in &names {
        let _ = keys.look(name, false, at(0));
    }
    for name in &names {
        let known = keys.wait(name, false, at(0), LONG);
        assert!(known.keys.is_some(), "{name}: {known:?}");
    }
}
