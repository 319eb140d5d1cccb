//! A server in this process, and callers with access keys.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_auth::{
    AccessKeyId, AccessKeySecret, HashKey, LoginThrottle, MasterKey, SigningKeys, Verifier,
    hash_secret,
};
use keyward_iam::{
    Backend, Change, DecisionLog, PolicyInput, SnapshotAction, SnapshotPermit, UnixMillis,
};
use keyward_net::{BackendPermission, BackendRules};
use keyward_server::{
    Api, ApiSettings, ControlPlane, People, PeopleSettings, Server, SnapshotEnded, SnapshotResult,
    SnapshotWork, SnapshotWorker, Snapshots, WorkProgress, now,
};
use keyward_store::Store;
use serde_json::Value;
use tokio::sync::watch;

/// A server with `org/dev`, `kvdb/main`, an administrator and `worker`, which may do nothing.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) control: Arc<ControlPlane>,
    pub(crate) admin: AccessKeySecret,
    pub(crate) worker: AccessKeySecret,
    pub(crate) copier: Arc<Copier>,
    /// Where denials are explained from.
    pub(crate) log: Arc<DecisionLog>,
    _stop: watch::Sender<bool>,
}

/// Says that it copies keys, and does not. Snapshots are ready at once unless they are held; restores
/// run until they are cancelled or let go.
#[derive(Default)]
pub(crate) struct Copier(Mutex<CopierState>);

#[derive(Default)]
struct CopierState {
    /// Whether snapshots wait to be let go, too.
    hold: bool,
    running: Vec<(String, Option<SnapshotEnded>)>,
    files: Vec<String>,
}

struct Copying(Arc<Mutex<bool>>);

impl SnapshotWork for Copying {
    fn progress(&self) -> WorkProgress {
        WorkProgress {
            keys_done: 1,
            keys_total: Some(2),
            bytes: 10,
        }
    }

    fn cancel(&self) {
        *self.0.lock().unwrap() = true;
    }
}

pub(crate) fn copied() -> SnapshotResult {
    SnapshotResult {
        keys: 2,
        bytes: 300,
        sha256: [9; 32],
        server: "embedded".to_owned(),
    }
}

impl SnapshotWorker for Copier {
    fn start(
        &self,
        permit: SnapshotPermit,
        ended: SnapshotEnded,
    ) -> std::io::Result<Arc<dyn SnapshotWork>> {
        let path = permit.snapshot().to_owned();
        let cancelled = Arc::new(Mutex::new(false));
        let mut state = self.0.lock().unwrap();
        let creates = permit.action() == SnapshotAction::Create;
        if creates && !state.hold {
            state.files.push(path);
            drop(state);
            ended.tell(Ok(copied()));
        } else {
            state.running.push((path, Some(ended)));
        }
        Ok(Arc::new(Copying(cancelled)))
    }

    fn has_file(&self, snapshot: &str) -> bool {
        self.0.lock().unwrap().files.iter().any(|f| f == snapshot)
    }

    fn remove(&self, snapshot: &str) -> std::io::Result<()> {
        self.0.lock().unwrap().files.retain(|f| f != snapshot);
        Ok(())
    }
}

impl Copier {
    /// From now on snapshots wait, too.
    pub(crate) fn hold(&self) {
        self.0.lock().unwrap().hold = true;
    }

    /// Lets the work on a snapshot end.
    pub(crate) fn let_go(&self, snapshot: &str, result: Result<SnapshotResult, String>) {
        let mut state = self.0.lock().unwrap();
        let mut running = state.running.iter_mut();
        let (_, ended) = running.find(|(path, _)| path == snapshot).unwrap();
        let ended = ended.take().unwrap();
        state.running.retain(|(_, ended)| ended.is_some());
        if result.is_ok() {
            state.files.push(snapshot.to_owned());
        }
        drop(state);
        ended.tell(result);
    }

    /// Loses a file.
    pub(crate) fn lose(&self, snapshot: &str) {
        self.remove(snapshot).unwrap();
    }
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: Value,
}

pub(crate) const EVERYTHING: &str = r#"[{"Effect":"Allow","Actions":["*"],"Resources":["**"]}]"#;

impl Answer {
    /// A header as text; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }
}

impl World {
    pub(crate) fn start() -> Self {
        Self::with_clock(now)
    }

    /// A server that looks at another clock.
    pub(crate) fn with_clock(clock: fn() -> UnixMillis) -> Self {
        let control = Arc::new(ControlPlane::open(Store::open_in_memory().unwrap()).unwrap());
        let verifier = Arc::new(Verifier::new(
            HashKey::generate(),
            MasterKey::generate(),
            SigningKeys::generate(now()),
        ));
        let hash_key = Arc::clone(&verifier.hash_key);
        let make = |change: Change| control.change_as_operator(&change, now()).unwrap();
        make(Change::CreateUser {
            id: "owner".into(),
            name: None,
        });
        make(Change::CreateUser {
            id: "heir".into(),
            name: None,
        });
        make(Change::CreateOrganisation {
            id: "dev".into(),
            name: None,
            owner: "user/owner".into(),
            account: "123456789012".into(),
            administrator: None,
        });
        make(Change::CreateDatabase {
            organisation: "dev".into(),
            id: "main".into(),
            name: None,
            description: None,
            backend: Backend::Embedded,
        });
        let identity = |id: &str| {
            make(Change::CreateProgrammaticIdentity {
                organisation: "dev".into(),
                id: id.into(),
                name: None,
            });
            let secret = AccessKeySecret::generate(AccessKeyId::generate());
            make(Change::CreateAccessKey {
                identity: format!("org/dev/programmatic_identity/{id}"),
                key_id: secret.key_id().to_string(),
                secret_hash: hash_secret(&hash_key, &secret),
                description: None,
                expires_at: None,
                sealed_secret: None,
            });
            secret
        };
        let (admin, worker) = (identity("admin"), identity("worker"));
        make(Change::CreateTrust {
            id: "admin".into(),
            trustor: "org/dev".into(),
            trustee: "org/dev/programmatic_identity/admin".into(),
            policies: vec![PolicyInput::Document(EVERYTHING.into())],
            expires_at: None,
            kind: None,
            conditions: None,
        });
        let copier = Arc::new(Copier::default());
        let log = Arc::new(DecisionLog::new());
        let api = Arc::new(Api {
            control: Arc::clone(&control),
            hash_key: Arc::clone(&verifier.hash_key),
            master_key: Arc::clone(&verifier.master_key),
            verifier,
            throttle: Arc::new(LoginThrottle::new()),
            log: Arc::clone(&log),
            allow_administration: false,
            allow_remote: false,
            clock,
            backends: BackendRules {
                permitted: vec![BackendPermission {
                    networks: vec!["127.0.0.0/8".parse().unwrap()],
                    ..BackendPermission::default()
                }],
                ..BackendRules::default()
            },
            health: None,
            redis_address: None,
            redis_tls: false,
            public_url: "http://127.0.0.1".to_owned(),
            people: Arc::new(People::new(
                PeopleSettings {
                    operator_token: Some("kwo_test".to_owned()),
                    ..PeopleSettings::default()
                },
                "http://127.0.0.1",
                now(),
            )),
            federation: keyward_server::Federation::without_network(),
            snapshots: Arc::new(Snapshots::new(Some(Arc::clone(&copier) as _))),
            metrics: None,
        });
        let server = Server::bind(ApiSettings::new("127.0.0.1:0".parse().unwrap())).unwrap();
        let address = server.address().unwrap();
        let (stop, stopping) = watch::channel(false);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(server.serve(api, stopping)).unwrap();
        });
        Self {
            address,
            control,
            admin,
            worker,
            copier,
            log,
            _stop: stop,
        }
    }

    pub(crate) fn send(
        &self,
        headers: &[(&str, &str)],
        method: &str,
        path: &str,
        body: &str,
    ) -> Answer {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = if body.is_empty() {
            agent.run(request.body(()).unwrap()).unwrap()
        } else {
            agent.run(request.body(body.to_owned()).unwrap()).unwrap()
        };
        let kind = answer.headers().get("content-type");
        let kind = kind.map_or("", |kind| kind.to_str().unwrap()).to_owned();
        let text = answer.body_mut().read_to_string().unwrap();
        Answer {
            status: answer.status().as_u16(),
            kind,
            headers: answer.headers().clone(),
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        }
    }

    pub(crate) fn call(
        &self,
        key: &AccessKeySecret,
        method: &str,
        path: &str,
        body: &str,
    ) -> Answer {
        let login = basic(key.key_id().as_str(), key.expose());
        let headers = [
            ("authorization", &*login),
            ("content-type", "application/json"),
        ];
        self.send(&headers, method, path, body)
    }

    /// A call with further headers.
    pub(crate) fn call_with(
        &self,
        key: &AccessKeySecret,
        headers: &[(&str, &str)],
        method: &str,
        path: &str,
        body: &str,
    ) -> Answer {
        let login = basic(key.key_id().as_str(), key.expose());
        let mut all = vec![
            ("authorization", &*login),
            ("content-type", "application/json"),
        ];
        all.extend(headers);
        self.send(&all, method, path, body)
    }

    #[track_caller]
    pub(crate) fn admin(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = self.call(&self.admin, method, path, &body);
        assert!(answer.status < 300, "{method} {path}: {}", answer.body);
        answer.body
    }
}

pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
