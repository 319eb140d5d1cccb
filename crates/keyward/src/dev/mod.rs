//! `keyward dev`: everything in one process, with nothing to install or configure.

mod announce;
mod credentials;
mod federation;
mod master_key;
pub(crate) mod operator;
mod setup;
mod signing_keys;
mod snapshots;
mod tls;
mod upstream;

use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keyward_auth::{
    HashKey, LoginThrottle, MasterKey, SessionIssuer, SigningKeys, Usage, Verifier,
};
use keyward_gateway::{
    BackendBoard, BackendState, Gateway, GatewayHandle, GatewaySettings, Shared, UpstreamPassword,
};
use keyward_iam::DecisionLog;
use keyward_net::{ListenError, ListenOptions, check_exposure, listen};
use keyward_server::{
    Api, ApiSettings, ControlPlane, Health, HealthSource, People, PeopleSettings, Server, now,
};
use keyward_store::{DataDir, DataDirError, Store};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::Global;
use crate::config::{Backends, Config};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use announce::Announcement;
use credentials::Keeper;
pub(crate) use master_key::{Arguments as MasterKeyArguments, Keeper as MasterKeyKeeper, Rotated};

/// Name of the store's file.
const STORE_FILE: &str = "keyward.db";

/// Name of the file with the key of the hashes of secrets.
const HASH_KEY_FILE: &str = "hash.key";

/// How often the servers behind databases are looked at.
const BACKEND_INTERVAL: Duration = Duration::from_secs(10);

/// How long connections may finish what they do when the process is told to stop.
const DRAIN: Duration = Duration::from_secs(8);

/// How long work that was drained in vain is waited for before the process ends.
const ABANDON: Duration = Duration::from_millis(500);

/// Runs everything in one process: a database, a gateway, the HTTP API.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward dev
  keyward dev --ephemeral --port 7000 --api-port 7001
  KEYWARD_UPSTREAM_PASSWORD=… keyward dev --upstream redis://127.0.0.1:6379")]
pub(crate) struct Arguments {
    /// Port for Redis clients; 0 takes a free one.
    #[arg(long, default_value_t = 6380)]
    port: u16,
    /// Port of the HTTP API; 0 takes a free one.
    #[arg(long, default_value_t = 6381)]
    api_port: u16,
    /// Address to listen on. Addresses that other machines reach need --insecure.
    #[arg(long, alias = "listen", default_value = "127.0.0.1")]
    bind: IpAddr,
    /// Keep nothing: all is forgotten at the end.
    #[arg(long)]
    ephemeral: bool,
    /// Put kvdb/main on this server: `redis://[user@]host:port`. The password comes from
    /// KEYWARD_UPSTREAM_PASSWORD or a file. `embedded` puts it back on the embedded engine.
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// File that holds the password of the upstream server.
    #[arg(long, value_name = "FILE", env = "KEYWARD_UPSTREAM_PASSWORD_FILE")]
    upstream_password_file: Option<PathBuf>,
    /// Permit and turn on commands that administer the server, for whoever a policy allows them.
    #[arg(long)]
    allow_admin: bool,
    /// Listen on addresses that other machines reach, without TLS: everything can be read on the way.
    #[arg(long)]
    insecure: bool,
    /// Settings that have no flag, in TOML: docs/configuration.md.
    #[arg(long, value_name = "FILE", env = "KEYWARD_CONFIG")]
    config: Option<PathBuf>,
    /// Speak TLS with a certificate for this machine, made by an authority of the data directory:
    /// clients trust `tls-ca.pem` there.
    #[arg(long, conflicts_with = "tls_cert")]
    tls: bool,
    /// Certificate of both listeners, in PEM form, followed by those of its issuers. They speak TLS
    /// then, and nothing else.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM form.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Threads for Redis clients; 0 means one a core.
    #[arg(long, default_value_t = 0, value_name = "N")]
    workers: usize,
    #[command(flatten)]
    master_key: MasterKeyArguments,
}

impl Arguments {
    fn redis_address(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.port)
    }

    fn api_address(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.api_port)
    }
}

/// Where clients find the API.
struct ApiAddress {
    url: String,
    /// The authority that vouches for it, if that is not a public one.
    ca_file: Option<PathBuf>,
}

/// What the process works on: a data directory, or memory.
struct State {
    control: Arc<ControlPlane>,
    hash_key: Arc<HashKey>,
    master_key: Arc<MasterKey>,
    issuer: Arc<SessionIssuer>,
    keeper: Keeper,
}

pub(crate) fn run(arguments: &Arguments, global: &Global, output: &Output) -> Result<(), Failure> {
    start_logging();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve(arguments, global, output));
    // A question that somebody asked may still be worked at: nobody waits for its answer.
    runtime.shutdown_timeout(ABANDON);
    served
}

/// Logs to standard error; `KEYWARD_LOG` chooses what.
fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("KEYWARD_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let built = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    // Only a second call fails, and there is none.
    drop(built);
}

fn open_state(arguments: &Arguments, global: &Global) -> Result<State, Failure> {
    if arguments.ephemeral {
        let store = Store::open_in_memory().map_err(|error| Failure::of(&error))?;
        return Ok(State {
            control: Arc::new(ControlPlane::open(store).map_err(|error| Failure::of(&error))?),
            hash_key: Arc::new(HashKey::generate()),
            master_key: Arc::new(MasterKey::generate()),
            issuer: Arc::new(SessionIssuer::new(SigningKeys::generate(now()))),
            keeper: Keeper::nowhere(),
        });
    }
    let directory = lock_data(global)?;
    let hash_key = directory
        .key(HASH_KEY_FILE, keyward_auth::random_secret_bytes)
        .map_err(|error| Failure::of(&error))?;
    let hash_key = HashKey::new(*hash_key);
    let mut store = Store::open(directory.file(STORE_FILE)).map_err(|error| Failure::of(&error))?;
    store
        .bind_hash_key(&hash_key.fingerprint())
        .map_err(|error| Failure::of(&error))?;
    let master_key = master_key::open(&arguments.master_key, &directory, &mut store)?;
    let keys = signing_keys::open(&mut store, &master_key)?;
    Ok(State {
        control: Arc::new(ControlPlane::open(store).map_err(|error| Failure::of(&error))?),
        hash_key: Arc::new(hash_key),
        master_key: Arc::new(master_key),
        issuer: Arc::new(SessionIssuer::new(keys)),
        keeper: Keeper::in_directory(directory),
    })
}

fn lock_data(global: &Global) -> Result<DataDir, Failure> {
    DataDir::lock(&global.profile.data_dir).map_err(|error| match error {
        DataDirError::InUse { .. } => Failure::new(Exit::Conflict, error.to_string()),
        error => Failure::of(&error),
    })
}

/// Seals every secret of the data directory under another master key.
pub(crate) fn rotate_master_key(
    arguments: &MasterKeyArguments,
    to: MasterKeyKeeper,
    global: &Global,
) -> Result<Rotated, Failure> {
    let directory = lock_data(global)?;
    let mut store = Store::open(directory.file(STORE_FILE)).map_err(|error| Failure::of(&error))?;
    master_key::rotate(arguments, to, &directory, &mut store)
}

/// Makes a new signing key in the data directory; forgets the former ones if sessions are to end.
pub(crate) fn rotate_signing_keys(
    arguments: &MasterKeyArguments,
    end_sessions: bool,
    global: &Global,
) -> Result<(), Failure> {
    let directory = lock_data(global)?;
    let mut store = Store::open(directory.file(STORE_FILE)).map_err(|error| Failure::of(&error))?;
    let master_key = master_key::open(arguments, &directory, &mut store)?;
    signing_keys::rotate(&mut store, &master_key, end_sessions)
}

async fn serve(arguments: &Arguments, global: &Global, output: &Output) -> Result<(), Failure> {
    let config = Config::read(arguments.config.as_deref())?;
    let has_tls = arguments.tls || arguments.tls_cert.is_some() || config.tls.is_some();
    for address in [arguments.redis_address(), arguments.api_address()] {
        check_exposure(address, has_tls, arguments.insecure)
            .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    }
    let upstream = upstream::Wanted::of(arguments)?;
    let mut state = open_state(arguments, global)?;
    let tls = tls::open(arguments, &config, state.keeper.directory())?;
    // The ports come first, so that a busy one changes nothing.
    let (server, address) = take_ports(arguments, tls.as_ref())?;
    let api_port = server.address()?.port();
    let tls = tls.map(|tls| tls.tls);
    let mut set_up = setup::run(
        &state.control,
        arguments.allow_admin,
        upstream.as_ref().map(|wanted| &wanted.backend),
    )?;
    set_up
        .notes
        .extend(upstream::unreachable(set_up.backend.as_ref()));
    let keys = state
        .keeper
        .keys(&state.control, &state.hash_key, &address)?;

    let federation = federation::open(&config)?;
    let log = Arc::new(DecisionLog::new());
    let throttle = Arc::new(LoginThrottle::new());
    let verifier = Arc::new(Verifier {
        hash_key: Arc::clone(&state.hash_key),
        master_key: Arc::clone(&state.master_key),
        issuer: Arc::clone(&state.issuer),
        usage: Arc::new(Usage::new()),
        tokens: Some(federation.tokens.clone()),
        domain: config.domain.as_deref().map(Into::into),
    });
    signing_keys::restore(&state.control, &verifier);
    let own_ports = vec![arguments.port, api_port];
    let backends = config.backends.clone();
    let backends = backends.unwrap_or_else(Backends::of_this_machine);
    let backends = backends
        .rules(own_ports)
        .map_err(|error| Failure::new(Exit::Usage, format!("[backends]: {error}")))?;
    let shared = Shared::new(
        state.control.shared_directory(),
        state.control.shared_revision(),
        Arc::clone(&log),
        Arc::clone(&verifier),
        Arc::clone(&throttle),
    );
    let shared = Arc::new(shared.with_backends(backends.clone()));
    let board = Arc::new(BackendBoard::default());
    let password = match upstream {
        Some(wanted) => wanted.password,
        // For the backend that an earlier start recorded.
        None => upstream::password(arguments)?,
    };
    if let Some(password) = password {
        let password = UpstreamPassword::new(password.to_string());
        shared.set_upstream_password(setup::DATABASE, Some(password));
    }
    let settings = GatewaySettings {
        workers: arguments.workers,
        default_database: state.control.directory().database_at(setup::DATABASE),
        allow_administration: arguments.allow_admin,
        tls: tls.clone(),
        domain: config.domain.as_deref().map(Into::into),
        allow_remote: arguments.insecure,
        ..GatewaySettings::new(arguments.redis_address())
    };
    let gateway = start_gateway(&shared, settings, &state.control)?;
    let redis_address = gateway.local_addr();
    let gateway: SharedGateway = Arc::new(Mutex::new(Some(gateway)));
    let counted = Arc::clone(&gateway);
    let looked_at = Arc::clone(&board);
    let files = match arguments.ephemeral {
        true => snapshots::Files::ephemeral(),
        false => snapshots::Files::in_directory(&global.profile.data_dir),
    };
    let (snapshots, _files) = snapshots::open(&state.control, &shared, files)?;
    let changes = state.control.changes();
    tokio::spawn(watch_backends(shared, Arc::clone(&board), changes));
    let public_url = config.public_url.clone();
    let public_url = public_url.unwrap_or_else(|| address.url.clone());
    let people = PeopleSettings {
        operator_token: match state.keeper.directory() {
            Some(directory) => Some(operator::token(directory, &address)?),
            None => None,
        },
        buttons: federation::buttons(&federation),
    };
    let people = Arc::new(People::new(people, &public_url, now()));
    let api = Arc::new(Api {
        control: Arc::clone(&state.control),
        hash_key: Arc::clone(&state.hash_key),
        master_key: Arc::clone(&state.master_key),
        verifier: Arc::clone(&verifier),
        throttle,
        log,
        allow_administration: arguments.allow_admin,
        allow_remote: arguments.insecure,
        clock: now,
        backends,
        health: Some(health(&state.control, &board)),
        redis_address: Some(redis_address),
        redis_tls: tls.is_some(),
        public_url,
        people,
        federation,
        snapshots,
        metrics: Some(Arc::new(move |text| {
            if let Some(gateway) = &*lock(&counted) {
                announce::metrics(gateway, text);
            }
            looked_at.metrics(text);
        })),
    });
    let (stop, stopping) = watch::channel(false);
    // The handlers of signals stand before anybody is told that we run.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let serving = tokio::spawn(server.serve(api, stopping));
    let last_used = Arc::clone(&verifier);
    let upkeep = tokio::spawn(signing_keys::keep(
        Arc::clone(&state.control),
        verifier,
        config.sessions.signing_period(),
    ));
    let following = tls
        .clone()
        .map(|tls| tokio::spawn(tls::follow(tls, Arc::clone(&state.control))));

    let announcement = Announcement {
        redis: redis_address,
        tls: tls.is_some(),
        api: &address,
        keys: &keys,
        set_up: &set_up,
        ephemeral: arguments.ephemeral,
        data_dir: &global.profile.data_dir,
    };
    announcement.write(output)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    crate::output::note("stopping: connections may finish what they do (again to stop at once)");
    stop.send_replace(true);
    upkeep.abort();
    if let Some(following) = following {
        following.abort();
    }
    tokio::select! {
        () = drain(serving, &gateway) => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    signing_keys::store_all(&state.control, &last_used);
    Ok(())
}

/// Takes the port of the API, and sees whether that for Redis clients is free, which the gateway
/// takes later.
fn take_ports(
    arguments: &Arguments,
    tls: Option<&tls::ListenerTls>,
) -> Result<(Server, ApiAddress), Failure> {
    let settings = ApiSettings {
        tls: tls.map(|tls| Arc::clone(&tls.tls)),
        ..ApiSettings::new(arguments.api_address())
    };
    let server = Server::bind(settings).map_err(|error| busy(&error, "--api-port"))?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let address = ApiAddress {
        url: format!("{scheme}://{}", announce::reachable(server.address()?)),
        ca_file: tls.and_then(|tls| tls.ca_file.clone()),
    };
    let probe = ListenOptions {
        address: arguments.redis_address(),
        listeners: 1,
        backlog: 1,
    };
    drop(listen(&probe).map_err(|error| busy(&error, "--port"))?);
    Ok((server, address))
}

fn start_gateway(
    shared: &Arc<Shared>,
    settings: GatewaySettings,
    control: &ControlPlane,
) -> Result<GatewayHandle, Failure> {
    let started = Gateway::start(Arc::clone(shared), settings, control.changes());
    started.map_err(|error| match error {
        keyward_gateway::StartError::Listen(error) => busy(&error, "--port"),
        error => Failure::of(&error),
    })
}

/// Looks at the servers behind databases, again and again, and at a new one at once.
async fn watch_backends(
    shared: Arc<Shared>,
    board: Arc<BackendBoard>,
    mut changes: watch::Receiver<u64>,
) {
    let look = async {
        loop {
            board.look(&shared).await;
            tokio::time::sleep(BACKEND_INTERVAL).await;
        }
    };
    let look_at_new = async {
        while changes.changed().await.is_ok() {
            board.look_at_new(&shared).await;
        }
    };
    tokio::join!(look, look_at_new);
}

/// What is known of the server behind a database, for the API.
fn health(control: &Arc<ControlPlane>, board: &Arc<BackendBoard>) -> HealthSource {
    let (directory, board) = (control.shared_directory(), Arc::clone(board));
    Arc::new(move |path| {
        let health = board.of(directory.load().database_at(path)?)?;
        Some(Health {
            up: health.state == BackendState::Up,
            text: health.state.text(),
            checked_at: health.checked_at,
            since: health.since,
            took: health.took,
        })
    })
}

/// Lets both planes finish what they do, for at most [`DRAIN`].
async fn drain(serving: tokio::task::JoinHandle<std::io::Result<()>>, gateway: &SharedGateway) {
    let gateway = lock(gateway).take();
    let clients = async {
        if let Some(gateway) = gateway {
            gateway.shutdown(DRAIN).await;
        }
    };
    // What has not ended by then ends with the process.
    let _ = tokio::time::timeout(DRAIN + Duration::from_secs(1), async {
        let _ = tokio::join!(serving, clients);
    })
    .await;
}

/// The gateway until it is stopped: the API shows its counters.
type SharedGateway = Arc<Mutex<Option<GatewayHandle>>>;

fn lock(gateway: &SharedGateway) -> MutexGuard<'_, Option<GatewayHandle>> {
    gateway.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names the flag that chooses another port.
fn busy(error: &ListenError, flag: &str) -> Failure {
    match error {
        ListenError::Busy { address } => Failure::new(
            Exit::Conflict,
            format!(
                "port {} is in use by another process: stop it, or choose another port with {flag}",
                address.port()
            ),
        ),
        error => Failure::of(error),
    }
}
