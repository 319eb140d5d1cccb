//! A gateway before a server, for measurements: `passthrough <host:port> [key prefix]`. Prints the
//! port and the password of an identity that may do everything, or everything on keys with that
//! prefix. Runs until it is killed.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use keyward_auth::{
    AccessKeyId, AccessKeySecret, HashKey, LoginThrottle, MasterKey, SigningKeys, Verifier,
    hash_secret,
};
use keyward_gateway::{Gateway, GatewaySettings, Shared};
use keyward_iam::{
    Backend, Change, ChangeContext, DecisionLog, Directory, PolicyInput, UnixMillis,
};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let upstream = arguments
        .next()
        .expect("usage: passthrough <host:port> [key prefix]");
    let prefix = arguments.next().unwrap_or_default();
    let hash_key = HashKey::new(keyward_auth::random_bytes());
    let id = AccessKeyId::generate();
    let secret = AccessKeySecret::generate(id);
    let identity = "org/bench/programmatic_identity/app".to_owned();
    let backend = match upstream.as_str() {
        "embedded" => Backend::Embedded,
        _ => Backend::of_operator(upstream, None),
    };
    let policy = format!(
        r#"[{{"Effect":"Allow","Actions":["kvdb:*"],"Resources":["kvdb/main"],"Keys":["{prefix}*"]}}]"#
    );
    let changes = [
        Change::CreateUser {
            id: "owner".into(),
            name: None,
        },
        Change::CreateOrganisation {
            id: "bench".into(),
            name: None,
            owner: "user/owner".into(),
            account: "000000000001".into(),
            administrator: None,
        },
        Change::CreateDatabase {
            organisation: "bench".into(),
            id: "main".into(),
            name: None,
            description: None,
            backend,
        },
        Change::CreateProgrammaticIdentity {
            organisation: "bench".into(),
            id: "app".into(),
            name: None,
        },
        Change::CreateTrust {
            id: "app".into(),
            trustor: "org/bench".into(),
            trustee: identity.clone(),
            policies: vec![PolicyInput::Document(policy)],
            expires_at: None,
            kind: None,
            conditions: None,
        },
        Change::CreateAccessKey {
            identity,
            key_id: id.to_string(),
            secret_hash: hash_secret(&hash_key, &secret),
            description: None,
            expires_at: None,
            sealed_secret: None,
        },
    ];
    let mut directory = Directory::empty();
    for change in changes {
        let context = ChangeContext::system(UnixMillis(1));
        directory = directory
            .apply(&change, &context)
            .expect("a legal change")
            .directory;
    }
    let revision = directory.revision();
    let shared = Shared::new(
        Arc::new(ArcSwap::from_pointee(directory)),
        Arc::new(AtomicU64::new(revision)),
        Arc::new(DecisionLog::new()),
        Arc::new(Verifier::new(
            hash_key,
            MasterKey::generate(),
            SigningKeys::generate(UnixMillis(0)),
        )),
        Arc::new(LoginThrottle::new()),
    );
    let mut settings = GatewaySettings::new(([127, 0, 0, 1], 0).into());
    settings.workers = 1;
    let (_notify, changes) = tokio::sync::watch::channel(revision);
    let gateway = Gateway::start(Arc::new(shared), settings, changes).expect("a free port");
    println!("{} {}", gateway.local_addr().port(), secret.expose());
    loop {
        std::thread::park();
    }
}
