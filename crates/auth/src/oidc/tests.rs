//! Tokens, good and hostile.

use keyward_iam::{SignatureAlgorithm, UnixMillis};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};

use super::*;

/// A key that opens nothing: made for these tests.
const RSA: &[u8] = include_bytes!("testdata/rsa.pkcs8.der");
const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://kw.example/org/acme";

pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

struct Signers {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Signers {
    fn new() -> Self {
        let random = SystemRandom::new();
        let p256 = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let p384 = &ECDSA_P384_SHA384_FIXED_SIGNING;
        let made = EcdsaKeyPair::generate_pkcs8(p256, &random).unwrap();
        let p256 = EcdsaKeyPair::from_pkcs8(p256, made.as_ref(), &random).unwrap();
        let made = EcdsaKeyPair::generate_pkcs8(p384, &random).unwrap();
        let p384 = EcdsaKeyPair::from_pkcs8(p384, made.as_ref(), &random).unwrap();
        let made = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        Self {
            rsa: RsaKeyPair::from_pkcs8(RSA).unwrap(),
            p256,
            p384,
            ed: Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap(),
        }
    }

    fn jwks(&self) -> Value {
        let rsa = RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
        let (modulus, exponent) = (&rsa.n[..], &rsa.e[..]);
        let (p256, p384) = (
            self.p256.public_key().as_ref(),
            self.p384.public_key().as_ref(),
        );
        json!({ "keys": [
            { "kty": "RSA", "kid": "rsa", "use": "sig", "n": encode(modulus), "e": encode(exponent) },
            { "kty": "EC", "kid": "p256", "crv": "P-256", "x": encode(&p256[1..33]), "y": encode(&p256[33..]) },
            { "kty": "EC", "kid": "p384", "crv": "P-384", "x": encode(&p384[1..49]), "y": encode(&p384[49..]) },
            { "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": encode(self.ed.public_key().as_ref()) },
            { "kty": "RSA", "kid": "enc", "use": "enc", "n": encode(modulus), "e": encode(exponent) },
            { "kty": "oct", "kid": "secret", "k": encode(b"secret") },
        ]})
    }

    fn keys(&self) -> Jwks {
        Jwks::parse(self.jwks().to_string().as_bytes()).unwrap()
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |padding: &'static dyn ring::signature::RsaEncoding| {
            let mut signature = vec![0; self.rsa.public().modulus_len()];
            self.rsa
                .sign(padding, &random, message, &mut signature)
                .unwrap();
            signature
        };
        match algorithm {
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "RS384" => rsa(&RSA_PKCS1_SHA384),
            "RS512" => rsa(&RSA_PKCS1_SHA512),
            "PS256" => rsa(&RSA_PSS_SHA256),
            "PS384" => rsa(&RSA_PSS_SHA384),
            "PS512" => rsa(&RSA_PSS_SHA512),
            "ES256" => self.p256.sign(&random, message).unwrap().as_ref().to_vec(),
            "ES384" => self.p384.sign(&random, message).unwrap().as_ref().to_vec(),
            _ => self.ed.sign(message).as_ref().to_vec(),
        }
    }

    fn token_of(&self, signed_with: &str, header: &str, claims: &str) -> String {
        let message = format!(
            "{}.{}",
            encode(header.as_bytes()),
            encode(claims.as_bytes())
        );
        let signature = self.sign(signed_with, message.as_bytes());
        format!("{message}.{}", encode(&signature))
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let algorithm = header["alg"].as_str().unwrap();
        self.token_of(algorithm, &header.to_string(), &claims.to_string())
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "repo:acme/app:ref:refs/heads/main", "aud": AUDIENCE,
        "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 300, "jti": "t-1",
        "repository": "acme/app",
    })
}

fn with(more: Value) -> Value {
    let mut all = claims();
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Null => all.as_object_mut().unwrap().remove(name),
            value => all
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    all
}

fn verify(
    token: &str,
    algorithms: &[SignatureAlgorithm],
    keys: &Jwks,
) -> Result<VerifiedToken, TokenError> {
    let audiences = [AUDIENCE.to_owned(), "client-7".to_owned()];
    let expected = Expected {
        issuer: ISSUER,
        audiences: &audiences,
        algorithms,
        max_age_seconds: MAX_TOKEN_AGE_SECONDS,
    };
    UnverifiedToken::parse(token.as_bytes())?.verify(&expected, keys, UnixMillis(NOW * 1000))
}

#[test]
fn every_algorithm_and_only_those_of_the_provider() {
    let signers = Signers::new();
    let keys = signers.keys();
    for algorithm in SignatureAlgorithm::ALL {
        let kid = match algorithm.as_str() {
            "ES256" => "p256",
            "ES384" => "p384",
            "EdDSA" => "ed",
            _ => "rsa",
        };
        let token = signers.token(&json!({ "alg": algorithm.as_str(), "kid": kid }), &claims());
        let found = verify(&token, &[algorithm], &keys).unwrap();
        assert_eq!(found.subject, "repo:acme/app:ref:refs/heads/main");
        assert_eq!(found.audiences, [AUDIENCE]);
        assert_eq!(found.token_id, "t-1");
        assert_eq!(found.claims["repository"], ["acme/app"]);
        for other in SignatureAlgorithm::ALL
            .into_iter()
            .filter(|other| *other != algorithm)
        {
            let refused = Err(TokenError::Algorithm(algorithm.as_str().to_owned()));
            assert_eq!(
                verify(&token, &[other], &keys),
                refused,
                "{algorithm} as {other}"
            );
        }
        // The same bytes under another name of the header verify nothing.
        let changed = token.replacen('.', ".A", 1);
        assert!(verify(&changed, &SignatureAlgorithm::ALL, &keys).is_err());
    }
}

#[test]
fn hostile_tokens() {
    let signers = Signers::new();
    let keys = signers.keys();
    let stranger = Signers::new();
    let all = SignatureAlgorithm::ALL;
    let es = json!({ "alg": "ES256", "kid": "p256" });
    let good = signers.token(&es, &claims());
    assert!(verify(&good, &all, &keys).is_ok());
    let body = claims().to_string();
    let hmac = |secret: &[u8]| {
        let header = encode(br#"{"alg":"HS256","kid":"rsa"}"#);
        let message = format!("{header}.{}", encode(body.as_bytes()));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        let tag = ring::hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", encode(tag.as_ref()))
    };
    let modulus = RsaPublicKeyComponents::<Vec<u8>>::from(signers.rsa.public()).n;
    let unsigned = |alg: &str| {
        let header = encode(format!(r#"{{"alg":"{alg}"}}"#).as_bytes());
        format!("{header}.{}.", encode(body.as_bytes()))
    };
    let own_key = {
        let point = stranger.p256.public_key().as_ref();
        let jwk = json!({ "kty": "EC", "crv": "P-256", "kid": "p256", "x": encode(&point[1..33]), "y": encode(&point[33..]) });
        let header = json!({ "alg": "ES256", "kid": "p256", "jwk": jwk, "jku": "https://evil.example/jwks", "x5u": "https://evil.example/x" });
        stranger.token(&header, &claims())
    };
    let header = |more: Value| {
        let mut all = es.clone();
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        signers.token(&all, &claims())
    };
    let claimed = |more: Value| signers.token(&es, &with(more));
    let twice =
        |text: &str| signers.token_of("ES256", &es.to_string(), &body.replacen('{', text, 1));
    let cases = [
        ("none", unsigned("none"), "Algorithm"),
        ("None", unsigned("None"), "Algorithm"),
        ("no signature", unsigned("ES256"), "Signature"),
        ("hmac with the modulus", hmac(&modulus), "Algorithm"),
        (
            "hmac with the set of keys",
            hmac(signers.jwks().to_string().as_bytes()),
            "Algorithm",
        ),
        ("lower case", header(json!({ "alg": "es256" })), "Algorithm"),
        (
            "a stranger's signature",
            stranger.token(&es, &claims()),
            "Signature",
        ),
        ("a stranger's key in the header", own_key, "Signature"),
        (
            "unknown kid",
            header(json!({ "kid": "other" })),
            "UnknownKey",
        ),
        (
            "kid of a secret",
            header(json!({ "kid": "secret" })),
            "UnknownKey",
        ),
        (
            "kid of another kind",
            header(json!({ "kid": "rsa" })),
            "UnknownKey",
        ),
        (
            "key for encryption",
            signers.token(&json!({ "alg": "RS256", "kid": "enc" }), &claims()),
            "UnknownKey",
        ),
        (
            "kid that is a path",
            header(json!({ "kid": "../../etc/passwd" })),
            "UnknownKey",
        ),
        ("kid that is a number", header(json!({ "kid": 7 })), "Form"),
        (
            "crit",
            header(json!({ "crit": ["b64"], "b64": false })),
            "Header",
        ),
        ("compressed", header(json!({ "zip": "DEF" })), "Header"),
        ("nested", header(json!({ "cty": "JWT" })), "Header"),
        (
            "a logout token",
            header(json!({ "typ": "logout+jwt" })),
            "Type",
        ),
        (
            "a proof of possession",
            header(json!({ "typ": "dpop+jwt" })),
            "Type",
        ),
        (
            "another issuer",
            claimed(json!({ "iss": "https://evil.example" })),
            "Issuer",
        ),
        (
            "issuer with a slash",
            claimed(json!({ "iss": format!("{ISSUER}/") })),
            "Issuer",
        ),
        ("no issuer", claimed(json!({ "iss": null })), "Missing"),
        (
            "another audience",
            claimed(json!({ "aud": "https://other.example" })),
            "Audience",
        ),
        (
            "part of the audience",
            claimed(json!({ "aud": "https://kw.example/org/acm" })),
            "Audience",
        ),
        (
            "audience of another form",
            claimed(json!({ "aud": { "x": AUDIENCE } })),
            "Audience",
        ),
        ("no audience", claimed(json!({ "aud": null })), "Audience"),
        ("no subject", claimed(json!({ "sub": null })), "Missing"),
        ("empty subject", claimed(json!({ "sub": "" })), "Missing"),
        (
            "subject that is a number",
            claimed(json!({ "sub": 7 })),
            "Missing",
        ),
        ("expired", claimed(json!({ "exp": NOW - 61 })), "Expired"),
        ("no end", claimed(json!({ "exp": null })), "Missing"),
        (
            "end that is a text",
            claimed(json!({ "exp": "9999999999" })),
            "Missing",
        ),
        ("negative end", claimed(json!({ "exp": -1 })), "Missing"),
        ("not begun", claimed(json!({ "nbf": NOW + 61 })), "NotYet"),
        (
            "issued later",
            claimed(json!({ "iat": NOW + 61 })),
            "NotYet",
        ),
        (
            "old",
            claimed(json!({ "iat": NOW - 90_000, "nbf": null })),
            "Age",
        ),
        (
            "for ever",
            claimed(json!({ "iat": null, "nbf": null, "exp": NOW + 1_000_000 })),
            "Age",
        ),
        (
            "a claim twice",
            twice(r#"{"sub":"repo:evil/app:x","#),
            "Form",
        ),
        (
            "claims that are no object",
            signers.token_of("ES256", &es.to_string(), "[]"),
            "Form",
        ),
        (
            "no json",
            signers.token_of("ES256", &es.to_string(), "x"),
            "Form",
        ),
        ("two parts", "eyJhbGciOiJub25lIn0.e30".to_owned(), "Form"),
        ("four parts", format!("{good}.x"), "Form"),
        ("padding", good.clone() + "==", "Form"),
        (
            "huge",
            format!("{good}{}", "A".repeat(MAX_TOKEN_LEN)),
            "TooLong",
        ),
        (
            "ambiguous claims",
            claimed(json!({ "a.b": "x", "a": { "b": "y" } })),
            "Claims",
        ),
        ("empty", String::new(), "Form"),
        ("dots", "..".to_owned(), "Form"),
    ];
    for (name, token, expected) in cases {
        let found = verify(&token, &all, &keys);
        let told = format!("{found:?}");
        let expected = format!("Err({expected}");
        assert!(told.starts_with(&expected), "{name}: {told}");
    }
    for (name, token) in [
        ("a minute late", claimed(json!({ "exp": NOW - 59 }))),
        (
            "a minute early",
            claimed(json!({ "nbf": NOW + 59, "iat": NOW + 59 })),
        ),
        (
            "several audiences",
            claimed(json!({ "aud": ["x", "client-7"] })),
        ),
        (
            "fractions",
            claimed(json!({ "exp": (NOW + 10) as f64 + 0.5 })),
        ),
        ("type", header(json!({ "typ": "at+JWT" }))),
    ] {
        assert!(verify(&token, &all, &keys).is_ok(), "{name}");
    }
}

#[test]
fn without_a_name_only_the_only_key_that_fits() {
    let signers = Signers::new();
    let token = signers.token(&json!({ "alg": "ES256" }), &claims());
    assert!(verify(&token, &SignatureAlgorithm::ALL, &signers.keys()).is_ok());
    let mut set = signers.jwks();
    let mut second = set["keys"][1].clone();
    second["kid"] = "other".into();
    set["keys"].as_array_mut().unwrap().push(second);
    let keys = Jwks::parse(set.to_string().as_bytes()).unwrap();
    let found = verify(&token, &SignatureAlgorithm::ALL, &keys);
    assert_eq!(found, Err(TokenError::UnknownKey(None)));
}

#[test]
fn sets_of_keys() {
    let signers = Signers::new();
    let rsa = signers.jwks()["keys"][0].clone();
    let n = rsa["n"].as_str().unwrap();
    let short = json!({ "kty": "RSA", "n": encode(&[0xff; 128]), "e": "AQAB" });
    let cases = [
        ("{}".to_owned(), false),
        (r#"{"keys":[]}"#.to_owned(), false),
        (r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#.to_owned(), false),
        (json!({ "keys": [short] }).to_string(), false),
        (
            json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }] }).to_string(),
            false,
        ),
        (
            json!({ "keys": [{ "kty": "EC", "crv": "secp256k1", "x": n, "y": n }] }).to_string(),
            false,
        ),
        (json!({ "keys": [7, rsa] }).to_string(), true),
        (format!(r#"{{"keys":[{rsa}],"keys":[{rsa}]}}"#), false),
        ("x".repeat(MAX_JWKS_LEN + 1), false),
        ("<html>".to_owned(), false),
    ];
    for (text, accepted) in cases {
        let found = Jwks::parse(text.as_bytes());
        assert_eq!(found.is_ok(), accepted, "{:.80}: {found:?}", text);
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, header: String, claims: String) {
        let _ = UnverifiedToken::parse(&bytes);
        let token = format!("{}.{}.AAAA", encode(header.as_bytes()), encode(claims.as_bytes()));
        let _ = UnverifiedToken::parse(token.as_bytes());
    }
}

#[test]
fn sign_ins_take_the_token_that_was_made_for_them() {
    let signers = Signers::new();
    let keys = signers.keys();
    let client = SignInClient {
        issuer: ISSUER.to_owned(),
        client_id: "kw-1".to_owned(),
        client_secret: None,
        scopes: Vec::new(),
        algorithms: SignatureAlgorithm::DEFAULT.to_vec(),
    };
    let good = json!({ "aud": "kw-1", "nonce": "n-1", "azp": null });
    let cases: [(&str, Value, bool); 14] = [
        ("as it must be", json!({}), true),
        ("named as the party", json!({ "azp": "kw-1" }), true),
        (
            "for several, to us",
            json!({ "aud": ["kw-1", "b"], "azp": "kw-1" }),
            true,
        ),
        (
            "for several, to nobody",
            json!({ "aud": ["kw-1", "b"] }),
            false,
        ),
        ("to another", json!({ "azp": "kw-2" }), false),
        ("to several", json!({ "azp": ["kw-1", "kw-2"] }), false),
        ("without nonce", json!({ "nonce": null }), false),
        ("another nonce", json!({ "nonce": "n-2" }), false),
        ("several nonces", json!({ "nonce": ["n-1", "n-2"] }), false),
        ("for another", json!({ "aud": "kw-2" }), false),
        ("for whom begins alike", json!({ "aud": "kw-10" }), false),
        ("for nobody", json!({ "aud": null }), false),
        (
            "of another issuer",
            json!({ "iss": "https://issuer.example/" }),
            false,
        ),
        ("old", json!({ "iat": NOW - 700, "nbf": NOW - 700 }), false),
    ];
    for (name, more, taken) in cases {
        let mut claims = with(good.clone());
        for (claim, value) in more.as_object().unwrap() {
            match value {
                Value::Null => claims.as_object_mut().unwrap().remove(claim),
                value => claims
                    .as_object_mut()
                    .unwrap()
                    .insert(claim.clone(), value.clone()),
            };
        }
        let token = signers.token(&json!({ "alg": "RS256", "kid": "rsa" }), &claims);
        let found = client.verify(&token, &keys, Some("n-1"), UnixMillis(NOW * 1000));
        assert_eq!(found.is_ok(), taken, "{name}: {found:?}");
    }
}

/// A provider that answers with the keys of now, and a token of now.
struct Changing {
    answers: std::sync::Arc<std::sync::Mutex<(Value, String)>>,
}

impl Fetch for Changing {
    fn permits(&self, _: &str) -> Result<(), FetchError> {
        Ok(())
    }

    fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let told = match url.ends_with("/jwks") {
            true => self.answers.lock().unwrap().0.clone(),
            false => json!({ "issuer": ISSUER, "jwks_uri": format!("{ISSUER}/jwks"),
                             "authorization_endpoint": format!("{ISSUER}/auth"),
                             "token_endpoint": format!("{ISSUER}/token") }),
        };
        Ok(told.to_string().into_bytes())
    }

    fn post_form(
        &self,
        _: &str,
        _: &[(&str, &str)],
        _: Option<&str>,
    ) -> Result<Vec<u8>, FetchError> {
        let token = &self.answers.lock().unwrap().1;
        Ok(json!({ "id_token": token }).to_string().into_bytes())
    }
}

#[test]
fn a_sign_in_survives_a_change_of_keys() {
    let (before, after) = (Signers::new(), Signers::new());
    let answers = std::sync::Arc::new(std::sync::Mutex::new((before.jwks(), String::new())));
    let fetch = Changing {
        answers: std::sync::Arc::clone(&answers),
    };
    let keys = IssuerKeys::new(Box::new(fetch));
    let now = UnixMillis(NOW * 1000);
    let long = std::time::Duration::from_secs(10);
    let known = keys.wait(ISSUER, &Asker::Deployment, false, now, long);
    let (discovery, known) = (known.discovery.unwrap(), known.keys.unwrap());
    let client = SignInClient {
        issuer: ISSUER.to_owned(),
        client_id: "kw-1".to_owned(),
        client_secret: None,
        scopes: Vec::new(),
        algorithms: SignatureAlgorithm::ALL.to_vec(),
    };
    let (_, step) = client
        .begin(&discovery, "https://kw.example/callback", false)
        .unwrap();
    let claims = with(json!({ "aud": "kw-1", "nonce": step.nonce }));
    let mut jwks = after.jwks();
    jwks["keys"][3]["kid"] = "ed-2".into();
    *answers.lock().unwrap() = (
        jwks,
        after.token(&json!({ "alg": "EdDSA", "kid": "ed-2" }), &claims),
    );
    let finish = || client.finish(&keys, (&discovery, &known), &step, "code", now);
    assert!(finish().is_ok(), "{:?}", finish());
    // A key that nobody has is none, still.
    answers.lock().unwrap().1 = after.token(&json!({ "alg": "EdDSA", "kid": "x" }), &claims);
    assert!(finish().is_err());
}
