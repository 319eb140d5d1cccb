//! A child process that ends with its value, and what it wrote.

use std::fs::File;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take to be ready, or to end when asked: generous, since the machines that
/// run tests are slow and busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A child process with a directory of its own. Dropping it kills the process.
#[derive(Debug)]
pub struct Process {
    child: Child,
    directory: TempDir,
    log: PathBuf,
}

impl Process {
    /// Starts `command` in a new temporary directory, without input. What it writes to standard
    /// error goes to a file there; standard output does as well, unless `keep_stdout`.
    pub fn start(mut command: Command, keep_stdout: bool) -> Self {
        let directory = TempDir::with_prefix("keyward-e2e-").expect("a temporary directory");
        let log = directory.path().join("log");
        let file = File::create(&log).expect("a file in our own directory");
        let stdout = match keep_stdout {
            true => Stdio::piped(),
            false => file
                .try_clone()
                .expect("a second handle of an open file")
                .into(),
        };
        command
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(file);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!(
                "could not start {}: {error}",
                command.get_program().display()
            )
        });
        Self {
            child,
            directory,
            log,
        }
    }

    /// The directory that the process runs in.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the process wrote so far, without the standard output that was kept.
    pub fn log(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(&self.log) {
            file.read_to_end(&mut text).ok();
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The standard output that was kept, once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// How the process ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child
            .try_wait()
            .expect("the child is ours and not yet forgotten")
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "kill -s {name} {pid} failed"
        );
    }

    /// Waits until the process ends.
    ///
    /// Panics if it does not within `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        wait_until(limit, || self.ended())
            .unwrap_or_else(|| panic!("still running after {limit:?}:\n{}", self.log()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Neither can fail in a way that a test could mend: the process may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Asks `probe` until it answers, for `limit` at most.
pub fn wait_until<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        let answer = probe();
        if answer.is_some() || Instant::now() >= deadline {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A loopback port that nobody uses now: none of those that the system gives to connections and to
/// servers that leave the choice to it, so that only another test can take it meanwhile, and each
/// process begins elsewhere.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = (std::process::id() % 200) as u16 * 50;
    (0..10_000)
        .map(|_| 20_000 + own.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000)
        .find(|port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).is_ok())
        .expect("the loopback interface has a free port")
}
