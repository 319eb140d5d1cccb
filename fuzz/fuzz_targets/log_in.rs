#![no_main]
//! What strangers send as a password or a signature never makes the verifier fail, and never opens
//! anything.

use std::sync::LazyLock;

use keyward_auth::{HashKey, MasterKey, SignedRequest, SigningKeys, Verifier, body_hash};
use keyward_iam::{Directory, UnixMillis};
use libfuzzer_sys::fuzz_target;

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let keys = SigningKeys::generate(UnixMillis(0));
    Verifier::new(HashKey::generate(), MasterKey::generate(), keys)
});

fuzz_target!(|given: (&[u8], &[u8], &str)| {
    let (user, password, header) = given;
    let (directory, now) = (Directory::empty(), UnixMillis(1_795_335_300_000));
    assert!(VERIFIER.login(&directory, user, password, None, now).is_err());
    let request = SignedRequest {
        method: "GET",
        path: header,
        query: header,
        headers: &[
            ("host", b"h"),
            ("x-amz-date", b"20261122T081500Z"),
            ("authorization", password),
            ("x-amz-security-token", user),
        ],
        body_hash: &body_hash(user),
        secure: true,
    };
    assert!(VERIFIER.signed_request(&directory, &request, None, now).is_err());
});
