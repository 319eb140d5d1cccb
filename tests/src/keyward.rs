//! The program under test: `keyward dev` on free ports.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value as Json;

use crate::client::{Client, RedisUrl};
use crate::process::{PATIENCE, Process};
use crate::programs::{self, Output};
use crate::secrets;
use crate::server::{Server, ServerKind};
use crate::{Api, Response, text};

/// What holds the data of the database under test.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backend {
    /// The engine inside the program.
    Embedded,
    /// A real Redis 7.
    Redis,
    /// A real Valkey 9.
    Valkey,
}

impl Backend {
    /// All of them: what a test of the gateway runs on.
    pub fn all() -> [Self; 3] {
        [Self::Embedded, Self::Redis, Self::Valkey]
    }

    /// The real server that this backend is, if it is one.
    pub fn server_kind(self) -> Option<ServerKind> {
        match self {
            Self::Embedded => None,
            Self::Redis => Some(ServerKind::Redis),
            Self::Valkey => Some(ServerKind::Valkey),
        }
    }

    /// Starts `keyward dev --ephemeral` on this backend, and the server that it needs.
    pub fn start(self) -> Keyward {
        self.start_with(&[])
    }

    /// As [`Backend::start`], with more arguments.
    pub fn start_with(self, arguments: &[&str]) -> Keyward {
        let Some(kind) = self.server_kind() else {
            return Keyward::dev(arguments);
        };
        let server = Server::start(kind, &[]);
        let url = server.url();
        let mut keyward = Keyward::dev(&[&["--upstream", &url], arguments].concat());
        keyward.upstream = Some(server);
        keyward
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Redis => "redis",
            Self::Valkey => "valkey",
        })
    }
}

/// Makes three tests out of each function `fn(Backend)`: one for each backend, so that they run side
/// by side and a failure names its backend.
///
/// ```
/// use keyward_e2e::Backend;
///
/// fn keys_expire(backend: Backend) {
///     let keyward = backend.start();
///     // …
/// }
///
/// keyward_e2e::on_each_backend!(keys_expire);
/// ```
#[macro_export]
macro_rules! on_each_backend {
    ($($(#[$attribute:meta])* $test:ident),+ $(,)?) => {
        mod embedded {
            $($(#[$attribute])* #[test] fn $test() { super::$test($crate::Backend::Embedded) })+
        }
        mod redis {
            $($(#[$attribute])* #[test] fn $test() { super::$test($crate::Backend::Redis) })+
        }
        mod valkey {
            $($(#[$attribute])* #[test] fn $test() { super::$test($crate::Backend::Valkey) })+
        }
    };
}

/// The data directory that arguments name.
fn data_dir(arguments: &[&str], working_directory: &Path) -> Option<PathBuf> {
    let at = arguments.iter().position(|one| *one == "--data-dir")?;
    Some(working_directory.join(arguments.get(at + 1)?))
}

/// A running `keyward dev`, and what it said about itself. Dropping it kills it.
#[derive(Debug)]
pub struct Keyward {
    process: Process,
    /// Where it keeps its store, if it keeps one.
    data_dir: Option<PathBuf>,
    /// The real server behind it, if [`Backend::start`] made one.
    pub upstream: Option<Server>,
    /// `redis://<key id>:<secret>@127.0.0.1:<port>/0` of the application's identity.
    pub redis_url: String,
    /// `http://127.0.0.1:<port>`.
    pub api_url: String,
    /// Id of the organisation.
    pub organisation: String,
    /// Id of the database.
    pub database: String,
    /// Id of the application's identity.
    pub identity: String,
    /// The application's key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// The administrator's key.
    pub admin_access_key_id: String,
    /// Its secret.
    pub admin_secret_access_key: String,
}

impl Keyward {
    /// Starts `keyward dev` on free ports and waits until it serves. It keeps nothing, unless
    /// `arguments` name a `--data-dir`.
    ///
    /// Panics with what it wrote if it ends or says nothing.
    #[track_caller]
    pub fn dev(arguments: &[&str]) -> Self {
        match Self::try_dev(arguments) {
            Ok(keyward) => keyward,
            Err(output) => panic!("keyward dev ended with {}: {}", output.code, output.stderr),
        }
    }

    /// As [`Keyward::dev`]; an `Err` is what it said when it ended instead of serving.
    #[track_caller]
    pub fn try_dev(arguments: &[&str]) -> Result<Self, Output> {
        let mut command = Self::command();
        command.args(["dev", "--output", "json"]);
        for (flag, value) in [("--port", "0"), ("--api-port", "0")] {
            if !arguments.contains(&flag) {
                command.args([flag, value]);
            }
        }
        if !arguments.contains(&"--data-dir") && !arguments.contains(&"--ephemeral") {
            command.arg("--ephemeral");
        }
        command.args(arguments);

        let mut process = Process::start(command, true);
        let stdout = process.take_stdout().expect("standard output was kept");
        let (sender, receiver) = mpsc::channel();
        // The thread ends with the process; it reads on so that the program never waits for us.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                sender.send(line).ok();
            }
        });
        let line = match receiver.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = process.wait(PATIENCE);
                return Err(Output {
                    code: status.code().unwrap_or(-1),
                    stdout: String::new(),
                    stderr: process.log().trim_end().to_owned(),
                });
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!("keyward dev says nothing:\n{}", process.log())
            }
        };
        let said: Json = serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!("keyward dev wrote `{line}`, which is not JSON: {error}")
        });
        let field = |name: &str| match said.get(name).and_then(Json::as_str) {
            Some(text) => text.to_owned(),
            None => panic!("keyward dev did not tell `{name}`: {line}"),
        };
        Ok(Self {
            upstream: None,
            data_dir: data_dir(arguments, process.directory()),
            redis_url: field("redis_url"),
            api_url: field("api_url"),
            organisation: field("organisation"),
            database: field("database"),
            identity: field("identity"),
            access_key_id: field("access_key_id"),
            secret_access_key: field("secret_access_key"),
            admin_access_key_id: field("admin_access_key_id"),
            admin_secret_access_key: field("admin_secret_access_key"),
            process,
        })
    }

    /// The program, with an environment that has no settings for it.
    pub fn command() -> Command {
        let mut command = Command::new(programs::keyward());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KEYWARD_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// The HTTP API as the administrator sees it.
    pub fn admin(&self) -> Api {
        Api::new(
            &self.api_url,
            &self.admin_access_key_id,
            &self.admin_secret_access_key,
        )
    }

    /// The HTTP API as the application sees it.
    pub fn app(&self) -> Api {
        Api::new(&self.api_url, &self.access_key_id, &self.secret_access_key)
    }

    /// A connection of the application to its database.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(&self.redis_url)
    }

    /// A connection that has not logged in.
    #[track_caller]
    pub fn stranger(&self) -> Client {
        Client::connect(&RedisUrl::parse(&self.redis_url).without_login().text())
    }

    /// Address for the holder of a key; `suffix` chooses the database: `""`, `".<database>"` or
    /// `".<database>.<organisation>"`.
    pub fn url_for(&self, key: &AccessKey, suffix: &str) -> String {
        let user = format!("{}{suffix}", key.id);
        RedisUrl::parse(&self.redis_url)
            .with_login(&user, &key.secret)
            .text()
    }

    /// Runs a client subcommand as the administrator.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.cli_as(&self.admin_key(), arguments)
    }

    /// Runs a client subcommand as the holder of a key.
    pub fn cli_as(&self, key: &AccessKey, arguments: &[&str]) -> Output {
        let output = Output::of(self.client_command(key).args(arguments));
        secrets::assert_none("an error of the client", output.stderr.as_bytes());
        output
    }

    /// The program as the holder of a key would start it for a client subcommand.
    pub fn client_command(&self, key: &AccessKey) -> Command {
        let mut command = Self::command();
        command
            .current_dir(self.process.directory())
            .env("KEYWARD_URL", &self.api_url)
            .env("KEYWARD_ACCESS_KEY_ID", &key.id)
            .env("KEYWARD_SECRET_ACCESS_KEY", &key.secret);
        command
    }

    /// The administrator's key.
    pub fn admin_key(&self) -> AccessKey {
        AccessKey {
            id: self.admin_access_key_id.clone(),
            secret: self.admin_secret_access_key.clone(),
        }
    }

    /// The directory that it runs in, gone with it.
    pub fn directory(&self) -> &Path {
        self.process.directory()
    }

    /// The `log` file of what it wrote to standard error.
    pub fn log_file(&self) -> PathBuf {
        self.process.directory().join("log")
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Id of its process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// How it ended, after at most `limit`.
    ///
    /// Panics if it goes on.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        self.process.wait(limit)
    }
}

impl Drop for Keyward {
    /// Whatever a test does, no secret may be left in what others can read.
    fn drop(&mut self) {
        secrets::assert_none("the log", self.log().as_bytes());
        let arguments = std::fs::read(format!("/proc/{}/cmdline", self.process_id()));
        let arguments = arguments.unwrap_or_default();
        secrets::assert_none("the list of processes", &arguments);
        if let Some(data_dir) = &self.data_dir {
            secrets::assert_none_in_store(data_dir);
        }
    }
}

/// An access key as its holder knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessKey {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

impl AccessKey {
    /// Out of the answer that created it.
    #[track_caller]
    pub fn created(response: Response) -> Self {
        Self::shown(&response.success())
    }

    /// Out of what shows it, which is done once.
    #[track_caller]
    pub fn shown(made: &Json) -> Self {
        Self {
            id: text(made, "access_key_id"),
            secret: text(made, "secret_access_key"),
        }
    }
}
