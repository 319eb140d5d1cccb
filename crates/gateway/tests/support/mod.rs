//! A directory, a gateway before it, servers behind it, and clients.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use keyward_auth::{
    AccessKeyId, AccessKeySecret, HashKey, LoginThrottle, MasterKey, SigningKeys, Verifier,
    hash_secret,
};
use keyward_gateway::{Gateway, GatewayHandle, GatewaySettings, Shared};
use keyward_iam::{
    Backend, Change, ChangeContext, DecisionLog, Directory, PolicyInput, UnixMillis,
};
use keyward_resp::complete_reply;
use keyward_test_servers::{ServerKind, ServerProcess};
use tokio::sync::watch;

/// An access key that was just made.
#[derive(Clone)]
pub struct Key {
    pub id: String,
    pub secret: AccessKeySecret,
    pub path: String,
}

/// A process that holds a directory and can change it.
pub struct World {
    pub directory: Arc<ArcSwap<Directory>>,
    revision: Arc<AtomicU64>,
    notify: watch::Sender<u64>,
    pub verifier: Arc<Verifier>,
    pub log: Arc<DecisionLog>,
}

impl World {
    /// Organisation `acme`, owned by `user/owner`, and nothing in it.
    pub fn new() -> Self {
        let world = Self {
            directory: Arc::new(ArcSwap::from_pointee(Directory::empty())),
            revision: Arc::default(),
            notify: watch::channel(0).0,
            verifier: Arc::new(Verifier::new(
                HashKey::new([7; 32]),
                MasterKey::generate(),
                SigningKeys::generate(UnixMillis(0)),
            )),
            log: Arc::new(DecisionLog::new()),
        };
        world.change(Change::CreateUser {
            id: "owner".into(),
            name: None,
        });
        world.organisation("acme", "000000000001");
        world
    }

    pub fn organisation(&self, id: &str, account: &str) {
        self.change(Change::CreateOrganisation {
            id: id.into(),
            name: None,
            owner: "user/owner".into(),
            account: account.into(),
            administrator: None,
        });
    }

    pub fn change(&self, change: Change) {
        let context = ChangeContext::system(UnixMillis(1));
        let applied = self
            .directory
            .load()
            .apply(&change, &context)
            .expect("the change is legal");
        let revision = applied.revision();
        self.directory.store(Arc::new(applied.directory));
        self.revision.store(revision, Ordering::Release);
        self.notify.send_replace(revision);
    }

    pub fn database(&self, organisation: &str, id: &str, backend: Backend) {
        self.change(Change::CreateDatabase {
            organisation: organisation.into(),
            id: id.into(),
            name: None,
            description: None,
            backend,
        });
    }

    /// A programmatic identity with a key, and a trust with `policy` if there is one.
    pub fn identity(&self, organisation: &str, id: &str, policy: Option<&str>) -> Key {
        self.change(Change::CreateProgrammaticIdentity {
            organisation: organisation.into(),
            id: id.into(),
            name: None,
        });
        if let Some(policy) = policy {
            self.change(Change::CreateTrust {
                id: format!("{id}-trust"),
                trustor: format!("org/{organisation}"),
                trustee: format!("org/{organisation}/programmatic_identity/{id}"),
                policies: vec![PolicyInput::Document(policy.into())],
                expires_at: None,
                kind: None,
                conditions: None,
            });
        }
        self.key(&format!("org/{organisation}/programmatic_identity/{id}"))
    }

    /// Replaces the policy of the trust that [`World::identity`] made.
    pub fn set_policy(&self, organisation: &str, id: &str, policy: &str) {
        self.change(Change::UpdateTrust {
            path: format!("org/{organisation}/trust/{id}-trust"),
            policies: Some(vec![PolicyInput::Document(policy.into())]),
            expires_at: None,
            conditions: None,
        });
    }

    pub fn key(&self, identity: &str) -> Key {
        let id = AccessKeyId::generate();
        let secret = AccessKeySecret::generate(id);
        self.change(Change::CreateAccessKey {
            identity: identity.into(),
            key_id: id.to_string(),
            secret_hash: hash_secret(&self.verifier.hash_key, &secret),
            description: None,
            expires_at: None,
            sealed_secret: None,
        });
        Key {
            id: id.to_string(),
            secret,
            path: format!("{identity}/access_key/{id}"),
        }
    }

    /// Tells of changes.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.notify.subscribe()
    }

    /// What gateways share.
    pub fn shared(&self) -> Shared {
        Shared::new(
            Arc::clone(&self.directory),
            Arc::clone(&self.revision),
            Arc::clone(&self.log),
            Arc::clone(&self.verifier),
            Arc::new(LoginThrottle::new()),
        )
    }

    /// A gateway before all of it. `default`: path of the listener's default database.
    pub fn gateway(
        &self,
        default: Option<&str>,
        configure: impl FnOnce(&mut GatewaySettings, &Shared),
    ) -> GatewayHandle {
        let shared = self.shared();
        let mut settings = GatewaySettings::new("127.0.0.1:0".parse().unwrap());
        settings.workers = 1;
        settings.default_database =
            default.map(|path| self.directory.load().database_at(path).unwrap());
        configure(&mut settings, &shared);
        Gateway::start(Arc::new(shared), settings, self.notify.subscribe()).unwrap()
    }
}

/// A server on a free port.
pub struct RealServer {
    process: ServerProcess,
    pub address: String,
}

impl RealServer {
    pub fn start(kind: ServerKind, options: &[&str]) -> Self {
        Self::of(ServerProcess::start(kind, options))
    }

    pub fn redis() -> Self {
        Self::start(ServerKind::Redis, &[])
    }

    /// Redis, where another was.
    pub fn redis_on(port: u16) -> Self {
        Self::of(ServerProcess::start_on(ServerKind::Redis, port, &[]).expect("the port is free"))
    }

    fn of(process: ServerProcess) -> Self {
        let address = process.address();
        Self { process, address }
    }

    pub fn port(&self) -> u16 {
        self.process.port()
    }

    pub fn backend(&self) -> Backend {
        Backend::of_operator(self.address.clone(), None)
    }
}

/// A client that sees bytes.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub fn login(address: SocketAddr, key: &Key) -> Self {
        let mut client = Self::connect(address);
        assert_eq!(client.auth(key), "+OK");
        client
    }

    pub fn auth(&mut self, key: &Key) -> String {
        self.call(&["AUTH", &key.id, key.secret.expose()])
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub fn request<W: AsRef<[u8]>>(&mut self, words: &[W]) {
        self.send(request(words));
    }

    /// The next reply; `None` once the connection is closed.
    pub fn read(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(len) = complete_reply(&self.buffer).expect("a reply") {
                return Some(self.buffer.drain(..len).collect());
            }
            let mut piece = [0; 65536];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(read) => self.buffer.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no reply: {error}; so far {}", self.buffer.escape_ascii()),
            }
        }
    }

    /// The next reply on one line.
    pub fn reply(&mut self) -> String {
        match self.read() {
            Some(reply) => {
                let text = String::from_utf8_lossy(&reply).replace("\r\n", " ");
                text.trim_end().to_owned()
            }
            None => "closed".to_owned(),
        }
    }

    pub fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> String {
        self.request(words);
        self.reply()
    }

    /// Reads one reply; false once the connection is closed, even inside a reply.
    pub fn read_or_closed(&mut self) -> bool {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.read().is_some()))
            .unwrap_or(false)
    }

    /// Nothing arrives for a short while.
    pub fn is_silent(&mut self) -> bool {
        self.stream
            .set_read_timeout(Some(Duration::from_millis(150)))
            .unwrap();
        let silent = self.stream.peek(&mut [0]).is_err() && self.buffer.is_empty();
        self.stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        silent
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

pub fn request<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut out = Vec::new();
    keyward_resp::encode_request(words.iter().map(AsRef::as_ref), &mut out);
    out
}

pub const FULL: &str = r#"[{"Effect":"Allow","Actions":["kvdb:*"],"Resources":["kvdb/*"]}]"#;
