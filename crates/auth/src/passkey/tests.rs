//! An authenticator of our own, beside keys and signatures of ring; vectors of others are in the
//! browser's test.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};

use super::*;

fn party() -> RelyingParty {
    RelyingParty {
        id: "localhost".to_owned(),
        origins: vec!["http://localhost:6381".to_owned()],
    }
}

fn client_data(kind: &str, challenge: &[u8], origin: &str) -> Vec<u8> {
    serde_json::json!({
        "type": kind, "challenge": URL_SAFE_NO_PAD.encode(challenge), "origin": origin,
        "crossOrigin": false, "other_keys_can_be_added_here": "ignored",
    })
    .to_string()
    .into_bytes()
}

enum Signer {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl Signer {
    fn es256() -> Self {
        let random = SystemRandom::new();
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random);
        Self::Es256(pair.unwrap())
    }

    fn ed_dsa() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::EdDsa(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    fn cose(&self) -> Vec<u8> {
        match self {
            Self::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let mut key = vec![0xA5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
                key.extend_from_slice(&point[1..33]);
                key.extend([0x22, 0x58, 0x20]);
                key.extend_from_slice(&point[33..]);
                key
            }
            Self::EdDsa(pair) => {
                let mut key = vec![0xA4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20];
                key.extend_from_slice(pair.public_key().as_ref());
                key
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Es256(pair) => {
                let signed = pair.sign(&SystemRandom::new(), message).unwrap();
                signed.as_ref().to_vec()
            }
            Self::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

fn authenticator_data(party: &str, flags: u8, count: u32, credential: &[u8]) -> Vec<u8> {
    let mut data = digest::digest(&digest::SHA256, party.as_bytes())
        .as_ref()
        .to_vec();
    data.push(flags);
    data.extend(count.to_be_bytes());
    data.extend_from_slice(credential);
    data
}

fn credential(signer: &Signer) -> Vec<u8> {
    let mut credential = vec![0; 16];
    credential.extend([0, 4]);
    credential.extend(*b"cred");
    credential.extend(signer.cose());
    credential
}

fn attestation(data: &[u8]) -> Vec<u8> {
    let mut object = vec![0xA3, 0x63];
    object.extend(*b"fmt");
    object.push(0x64);
    object.extend(*b"none");
    object.push(0x67);
    object.extend(*b"attStmt");
    object.extend([0xA0, 0x68]);
    object.extend(*b"authData");
    object.push(0x59);
    object.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    object.extend_from_slice(data);
    object
}

#[test]
fn registered_then_used() {
    for signer in [Signer::es256(), Signer::ed_dsa()] {
        let challenge = b"made by the server";
        let origin = "http://localhost:6381";
        let made = party()
            .register(
                challenge,
                &client_data("webauthn.create", challenge, origin),
                &attestation(&authenticator_data(
                    "localhost",
                    0x5D,
                    0,
                    &credential(&signer),
                )),
            )
            .unwrap();
        let written = serde_json::to_value(&made.key).unwrap();
        assert_eq!(
            serde_json::from_value::<PasskeyKey>(written).unwrap(),
            made.key
        );
        assert_eq!(
            (&*made.id, made.count, made.backed_up),
            (&b"cred"[..], 0, true)
        );

        let client = client_data("webauthn.get", b"another", origin);
        let data = authenticator_data("localhost", 0x05, 7, &[]);
        let mut signed = data.clone();
        signed.extend_from_slice(digest::digest(&digest::SHA256, &client).as_ref());
        let signature = signer.sign(&signed);
        let found = party().verify(b"another", &made.key, &client, &data, &signature);
        assert_eq!(
            found,
            Ok(Assertion {
                count: 7,
                user_verified: true
            })
        );

        // Every bit of what was signed, and of the signature, counts.
        for at in 0..data.len() {
            let mut other = data.clone();
            other[at] ^= 0x02;
            assert!(
                party()
                    .verify(b"another", &made.key, &client, &other, &signature)
                    .is_err()
            );
        }
        for at in 0..signature.len() {
            let mut other = signature.clone();
            other[at] ^= 1;
            assert!(
                party()
                    .verify(b"another", &made.key, &client, &data, &other)
                    .is_err()
            );
        }
        let stranger =
            PasskeyKey::of_cose(&Cbor::read(&Signer::es256().cose()).unwrap().0).unwrap();
        let found = party().verify(b"another", &stranger, &client, &data, &signature);
        assert_eq!(found, Err(PasskeyError::Signature));
    }
}

#[test]
fn what_is_refused() {
    let signer = Signer::es256();
    let challenge = b"asked";
    let good = |origin: &str| client_data("webauthn.create", challenge, origin);
    let ours = "http://localhost:6381";
    let object = |party: &str, flags| {
        attestation(&authenticator_data(party, flags, 0, &credential(&signer)))
    };
    let cases = [
        (
            client_data("webauthn.get", challenge, ours),
            object("localhost", 0x45),
            PasskeyError::Malformed,
        ),
        (
            client_data("webauthn.create", b"other", ours),
            object("localhost", 0x45),
            PasskeyError::Challenge,
        ),
        (
            good("http://localhost:6382"),
            object("localhost", 0x45),
            PasskeyError::Origin,
        ),
        (
            good("http://localhost:6381.evil.example"),
            object("localhost", 0x45),
            PasskeyError::Origin,
        ),
        (
            good(ours),
            object("evil.example", 0x45),
            PasskeyError::RelyingParty,
        ),
        (
            good(ours),
            object("localhost", 0x44),
            PasskeyError::NotPresent,
        ),
        (
            good(ours),
            object("localhost", 0x05),
            PasskeyError::Malformed,
        ),
        (good(ours), Vec::new(), PasskeyError::Malformed),
        (
            b"{}".to_vec(),
            object("localhost", 0x45),
            PasskeyError::Malformed,
        ),
        (
            b"\xff".to_vec(),
            object("localhost", 0x45),
            PasskeyError::Malformed,
        ),
    ];
    for (number, (client, object, expected)) in cases.into_iter().enumerate() {
        let found = party().register(challenge, &client, &object);
        assert_eq!(found.err(), Some(expected), "case {number}");
    }
    let framed = serde_json::json!({
        "type": "webauthn.create", "challenge": URL_SAFE_NO_PAD.encode(challenge),
        "origin": ours, "crossOrigin": true,
    });
    let found = party().register(
        challenge,
        framed.to_string().as_bytes(),
        &object("localhost", 0x45),
    );
    assert_eq!(
        found.err(),
        Some(PasskeyError::Origin),
        "inside another site's frame"
    );
}

#[test]
fn no_prefix_of_a_registration_is_taken_and_none_panics() {
    let signer = Signer::es256();
    let client = client_data("webauthn.create", b"x", "http://localhost:6381");
    let object = attestation(&authenticator_data(
        "localhost",
        0x45,
        0,
        &credential(&signer),
    ));
    for len in 0..object.len() {
        assert!(
            party().register(b"x", &client, &object[..len]).is_err(),
            "{len}"
        );
    }
    for at in 0..object.len() {
        for bit in 0..8 {
            let mut changed = object.clone();
            changed[at] ^= 1 << bit;
            let _ = party().register(b"x", &client, &changed);
        }
    }
}
