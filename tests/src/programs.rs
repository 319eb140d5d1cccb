//! Programs that the tests run: where they are, and how to install those that are missing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::client::RedisUrl;

const INSTALL: &str = "`./test` installs it";

/// Root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package is a folder of the project")
}

/// The program that a variable names, else the first of `places` that exists.
///
/// Panics with `hint` if there is none.
fn find(variable: &str, places: &[PathBuf], hint: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        assert!(
            path.is_file(),
            "{variable} is {}, which does not exist; {hint}",
            path.display()
        );
        return path;
    }
    places
        .iter()
        .find(|path| path.is_file())
        .cloned()
        .unwrap_or_else(|| {
            panic!("none of {places:?} exists, and {variable} is not set; {hint}");
        })
}

/// Where a program of this name may be on `PATH`.
fn on_path(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .collect()
}

/// The program under test.
pub(crate) fn keyward() -> PathBuf {
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => root().join("target"),
    };
    find(
        "KEYWARD_BIN",
        &[target.join("release/keyward")],
        "build it with `cargo build --release --package keyward`",
    )
}

/// What a program wrote and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit code; -1 after a signal.
    pub code: i32,
    /// Standard output, without white space at its end.
    pub stdout: String,
    /// Standard error, without white space at its end.
    pub stderr: String,
}

impl Output {
    /// Standard output of a program that must have succeeded.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!(
            self.code, 0,
            "stdout: {}\nstderr: {}",
            self.stdout, self.stderr
        );
        self.stdout
    }

    /// The JSON document that a program answered that must have succeeded.
    #[track_caller]
    pub fn json(self) -> Json {
        let text = self.success();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Runs a command to its end, without input.
    pub fn of(command: &mut Command) -> Self {
        let output = command
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| {
                panic!("could not run {}: {error}", command.get_program().display())
            });
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

/// Runs `redis-cli -u <url> <arguments…>`. The password travels in the environment, where `ps` does
/// not show it, as a careful person would do it.
pub fn redis_cli<A: AsRef<OsStr>>(url: &str, arguments: &[A]) -> Output {
    let program = find("KEYWARD_REDIS_CLI", &on_path("redis-cli"), REDIS_TOOLS);
    let url = RedisUrl::parse(url);
    let mut command = Command::new(program);
    command.args([
        "-h",
        &url.host,
        "-p",
        &url.port.to_string(),
        "-n",
        &url.database.to_string(),
    ]);
    command.env_remove("REDISCLI_AUTH");
    if let Some(password) = &url.password {
        command.env("REDISCLI_AUTH", password);
        if !url.user.is_empty() {
            command.args(["--user", &url.user]);
        }
    }
    Output::of(command.args(arguments))
}

const REDIS_TOOLS: &str = "install it with `apt-get install redis-tools`";

/// Runs `redis-benchmark` against the server that `url` names.
pub fn redis_benchmark(url: &str, arguments: &[&str]) -> Output {
    let program = find(
        "KEYWARD_REDIS_BENCHMARK",
        &on_path("redis-benchmark"),
        REDIS_TOOLS,
    );
    let url = RedisUrl::parse(url);
    let mut command = Command::new(program);
    command.args(["-h", &url.host, "-p", &url.port.to_string()]);
    if let Some(password) = &url.password {
        command.args(["--user", &url.user, "-a", password]);
    }
    Output::of(command.args(arguments))
}

/// Runs a Python program that may import `redis` and `valkey`. `variables` are added to its
/// environment.
pub fn python(script: &str, variables: &[(&str, &str)]) -> Output {
    let program = find(
        "KEYWARD_TEST_PYTHON",
        &[root().join(".tools/venv/bin/python")],
        INSTALL,
    );
    let mut command = Command::new(program);
    Output::of(command.args(["-c", script]).envs(variables.iter().copied()))
}

/// Runs a JavaScript program that may require `ioredis`. `variables` are added to its environment.
pub fn node(script: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = node_command("ioredis");
    Output::of(command.args(["-e", script]).envs(variables.iter().copied()))
}

/// Runs a JavaScript program of this package: `node tests/<path> <arguments…>`, which may require
/// `package` and finds the program under test in `KEYWARD_BIN`.
pub fn node_program(path: &str, package: &str, arguments: &[&str]) -> Output {
    let mut command = node_command(package);
    command.env("KEYWARD_BIN", keyward());
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    Output::of(command.args(arguments))
}

/// A browser: Chromium of Debian's packages, or what `KEYWARD_TEST_CHROMIUM` names.
pub fn chromium() -> PathBuf {
    let mut places = on_path("chromium");
    places.extend(on_path("chromium-browser"));
    places.extend(on_path("google-chrome"));
    find(
        "KEYWARD_TEST_CHROMIUM",
        &places,
        "install it with `apt-get install chromium`",
    )
}

/// Runs a JavaScript program of this package that needs nothing but Node.js itself.
pub fn plain_node_program(path: &str, arguments: &[&str]) -> Output {
    let mut places = on_path("node");
    places.push(root().join(".tools/venv/bin/node"));
    let mut command = Command::new(find("KEYWARD_TEST_NODE", &places, INSTALL));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    Output::of(command.args(arguments))
}

/// As [`node_program`], for one that goes on running; arguments are to be added.
pub(crate) fn node_server(path: &str, package: &str) -> Command {
    let mut command = node_command(package);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    command
}

fn node_command(package: &str) -> Command {
    let mut places = on_path("node");
    places.push(root().join(".tools/venv/bin/node"));
    let program = find("KEYWARD_TEST_NODE", &places, INSTALL);
    let modules = match std::env::var_os("KEYWARD_TEST_NODE_MODULES") {
        Some(folder) => PathBuf::from(folder),
        None => root().join(".tools/node/node_modules"),
    };
    assert!(
        modules.join(package).is_dir(),
        "{} has no {package}; {INSTALL}",
        modules.display()
    );
    let mut command = Command::new(program);
    command.env("NODE_PATH", &modules);
    command.env("KEYWARD_TEST_NODE_MODULES", &modules);
    command
}

/// `keyward simulate --batch` on these cases, one JSON document a line each way.
pub fn simulate(cases: &[serde_json::Value]) -> Vec<serde_json::Value> {
    let lines: Vec<String> = cases.iter().map(ToString::to_string).collect();
    let mut input = tempfile::tempfile().expect("a temporary file");
    std::io::Write::write_all(&mut input, lines.join("\n").as_bytes()).expect("room for it");
    std::io::Seek::rewind(&mut input).expect("a file can be rewound");
    let output = Command::new(keyward())
        .args(["simulate", "--batch"])
        .stdin(input)
        .output()
        .expect("the program under test runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let answers: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("one JSON document a line"))
        .collect();
    assert_eq!(answers.len(), cases.len(), "one answer a case");
    answers
}
