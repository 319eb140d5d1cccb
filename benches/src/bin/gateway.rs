//! CPU of proxies per request before a real server, every proxy in turn in every round.
//!
//! Method: the server and the load share core 0, the proxy has core 1 to itself. A proxy's cost is
//! what its process ran on a processor during one run of `redis-benchmark`, divided by the requests.
//! Ratios to the copy are taken inside a round, since machines drift between rounds; figures are
//! medians over rounds, with the lowest and highest ratio beside them.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, SystemTime};

use keyward_e2e::{
    Client, Keyward, Process, RedisUrl, Server, ServerKind, Value, free_port, wait_until,
};
use serde_json::json;

const USAGE: &str = "\
usage: benches/gateway [options]
  --rounds N           rounds (default 3, at least 3)
  --seconds S          rough length of one run (default 2)
  --pipelines A,B,…    requests that a client sends at once (default 1,16,64)
  --clients N          connections (default 50)
  --server KIND        redis or valkey (default redis)
  --only A,B,…         proxies beside the copy: direct, nutcracker, keyward (default all)
  --keep               append the raw runs to benches/results/<date>.jsonl
";

/// Name of the proxy that the others are compared with.
const COPY: &str = "copy";
const COMMANDS: [&str; 2] = ["get", "set"];
const VALUE_BYTES: &str = "64";
/// Fewer tell too little about the spread.
const FEWEST_ROUNDS: usize = 3;

struct Options {
    copy: String,
    rounds: usize,
    seconds: f64,
    pipelines: Vec<u32>,
    clients: u32,
    server: ServerKind,
    only: Vec<String>,
    keep: bool,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            copy: String::new(),
            rounds: FEWEST_ROUNDS,
            seconds: 2.0,
            pipelines: vec![1, 16, 64],
            clients: 50,
            server: ServerKind::Redis,
            only: ["direct", "nutcracker", "keyward"]
                .map(String::from)
                .to_vec(),
            keep: false,
        };
        while let Some(option) = arguments.next() {
            if option == "--keep" {
                options.keep = true;
                continue;
            }
            let value = arguments
                .next()
                .ok_or_else(|| format!("`{option}` needs a value"))?;
            match option.as_str() {
                "--copy" => options.copy = value,
                "--rounds" => options.rounds = number::<usize>(&option, &value)?.max(FEWEST_ROUNDS),
                "--seconds" => options.seconds = number(&option, &value)?,
                "--clients" => options.clients = number(&option, &value)?,
                "--pipelines" => {
                    let numbers = value.split(',').map(|text| number(&option, text));
                    options.pipelines = numbers.collect::<Result<_, _>>()?;
                }
                "--server" if value == "redis" => options.server = ServerKind::Redis,
                "--server" if value == "valkey" => options.server = ServerKind::Valkey,
                "--only" => options.only = value.split(',').map(str::to_owned).collect(),
                _ => return Err(format!("unknown option `{option} {value}`")),
            }
        }
        match options.copy.as_str() {
            "" => Err("`--copy` must name the tcp-copy program: run `benches/gateway`".to_owned()),
            _ => Ok(options),
        }
    }

    fn wants(&self, proxy: &str) -> bool {
        self.only.iter().any(|wanted| wanted == proxy)
    }
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no value for `{option}`"))
}

/// Something that stands where a client connects.
struct Proxy {
    name: &'static str,
    address: RedisUrl,
    /// Whose CPU is counted; nobody's for the direct connection.
    process_id: Option<u32>,
    version: String,
    /// Ends the process with the value.
    _running: Running,
}

enum Running {
    Server,
    Process { _process: Process },
    Keyward { _keyward: Box<Keyward> },
}

/// One run of the load.
struct Run {
    round: usize,
    proxy: &'static str,
    command: &'static str,
    pipeline: u32,
    requests: u64,
    /// Microseconds a request.
    cpu: Option<f64>,
    requests_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match Options::read(arguments.into_iter()) {
        Ok(options) => options,
        Err(error) => {
            eprint!("error: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let server = Server::start(options.server, &[]);
    pin(server.process_id(), SERVER_CORE);
    let proxies = start(&options, &server);

    let mut runs = Vec::new();
    for round in 1..=options.rounds {
        for &pipeline in &options.pipelines {
            for command in COMMANDS {
                for proxy in &proxies {
                    if std::io::stderr().is_terminal() {
                        eprint!(
                            "\r{round}: {command} x {pipeline} through {:<12}",
                            proxy.name
                        );
                    }
                    runs.push(run(&options, round, proxy, command, pipeline));
                }
            }
        }
    }
    print!("{}", report(&options, &proxies, &runs));
    if options.keep {
        keep(&options, &proxies, &runs);
    }
    ExitCode::SUCCESS
}

const SERVER_CORE: &str = "0";
const PROXY_CORE: &str = "1";

/// Keeps all threads of a process on one core.
fn pin(process_id: u32, core: &str) {
    let pinned = Command::new("taskset")
        .args([
            "--all-tasks",
            "--cpu-list",
            "--pid",
            core,
            &process_id.to_string(),
        ])
        .stdout(Stdio::null())
        .status();
    assert!(
        pinned.is_ok_and(|status| status.success()),
        "taskset failed: two cores are needed"
    );
}

fn start(options: &Options, server: &Server) -> Vec<Proxy> {
    let upstream = format!("127.0.0.1:{}", server.port());
    let mut proxies = Vec::new();
    if options.wants("direct") {
        proxies.push(Proxy {
            name: "direct",
            address: RedisUrl::parse(&server.url()),
            process_id: None,
            version: version(&mut server.client()),
            _running: Running::Server,
        });
    }

    let port = free_port();
    let mut command = Command::new(&options.copy);
    command.args([&format!("127.0.0.1:{port}"), &upstream]);
    proxies.push(running(
        COPY,
        command,
        port,
        "tokio copy_bidirectional".to_owned(),
    ));

    if options.wants("nutcracker") {
        match Command::new("nutcracker").arg("--version").output() {
            Ok(output) => {
                let said = [output.stdout, output.stderr].concat();
                let said = String::from_utf8_lossy(&said);
                proxies.push(nutcracker(
                    &upstream,
                    said.lines().next().unwrap_or_default(),
                ));
            }
            Err(_) => eprintln!("nutcracker is left out: `apt-get install nutcracker` installs it"),
        }
    }

    if options.wants("keyward") {
        let keyward = Keyward::dev(&["--upstream", &server.url(), "--workers", "1"]);
        pin(keyward.process_id(), PROXY_CORE);
        proxies.push(Proxy {
            name: "keyward",
            address: RedisUrl::parse(&keyward.redis_url),
            process_id: Some(keyward.process_id()),
            version: commit(),
            _running: Running::Keyward {
                _keyward: Box::new(keyward),
            },
        });
    }
    proxies
}

fn nutcracker(upstream: &str, version: &str) -> Proxy {
    let port = free_port();
    let configuration = std::env::temp_dir().join(format!("keyward-nutcracker-{port}.yml"));
    let text = format!(
        "bench:\n  listen: 127.0.0.1:{port}\n  redis: true\n  servers:\n   - {upstream}:1 one\n"
    );
    std::fs::write(&configuration, text).expect("the temporary directory is writable");
    let mut command = Command::new("nutcracker");
    command.arg("--conf-file").arg(&configuration);
    command.args([
        "--stats-addr",
        "127.0.0.1",
        "--stats-port",
        &free_port().to_string(),
    ]);
    let proxy = running("nutcracker", command, port, version.to_owned());
    std::fs::remove_file(configuration).ok();
    proxy
}

/// Starts a proxy without a login and waits until it serves.
fn running(name: &'static str, command: Command, port: u16, version: String) -> Proxy {
    let process = Process::start(command, false);
    let place = format!("127.0.0.1:{port}");
    let served = wait_until(Duration::from_secs(10), || {
        let mut client = Client::open(&place).ok()?;
        client.send(&["GET", "key:__rand_int__"]);
        client.try_read().ok()
    });
    assert!(
        served.is_some(),
        "{name} does not serve:\n{}",
        process.log()
    );
    pin(process.id(), PROXY_CORE);
    Proxy {
        name,
        address: RedisUrl::parse(&format!("redis://{place}")),
        process_id: Some(process.id()),
        version,
        _running: Running::Process { _process: process },
    }
}

/// What the server calls itself.
fn version(client: &mut Client) -> String {
    let Value::Bulk(text) = client.call(&["INFO", "server"]) else {
        return String::new();
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    let names = ["redis_version:", "valkey_version:"];
    let lines = text
        .lines()
        .filter(|line| names.iter().any(|name| line.starts_with(name)));
    lines.collect::<Vec<_>>().join(" ")
}

/// Processor time of a process so far, all threads, in nanoseconds.
///
/// Source: the first number of `/proc/<pid>/task/<tid>/schedstat`, which is what the kernel rounds to
/// hundredths of a second in `/proc/<pid>/stat`.
fn processor_time(process_id: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{process_id}/task"));
    let tasks = tasks.unwrap_or_else(|error| panic!("the proxy ended: {error}"));
    let time = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    tasks.flatten().filter_map(time).sum()
}

/// Requests of a run that takes about as long as was asked: rates seen on a small machine.
fn requests(options: &Options, pipeline: u32) -> u64 {
    let per_second = match pipeline {
        0..=3 => 45_000.0,
        4..=31 => 450_000.0,
        _ => 900_000.0,
    };
    (per_second * options.seconds) as u64
}

fn run(
    options: &Options,
    round: usize,
    proxy: &Proxy,
    command: &'static str,
    pipeline: u32,
) -> Run {
    let requests = requests(options, pipeline);
    let mut load = Command::new("taskset");
    load.args(["--cpu-list", SERVER_CORE, "redis-benchmark"]);
    load.args([
        "-h",
        &proxy.address.host,
        "-p",
        &proxy.address.port.to_string(),
    ]);
    if let Some(password) = &proxy.address.password {
        load.args(["--user", &proxy.address.user, "-a", password]);
    }
    load.args([
        "-c",
        &options.clients.to_string(),
        "-n",
        &requests.to_string(),
    ]);
    load.args([
        "-P",
        &pipeline.to_string(),
        "-d",
        VALUE_BYTES,
        "-t",
        command,
        "--csv",
    ]);
    let before = proxy.process_id.map(processor_time);
    let output = load
        .stdin(Stdio::null())
        .output()
        .expect("taskset and redis-benchmark are there");
    let after = proxy.process_id.map(processor_time);

    // "test","rps","avg_latency_ms","min…","p50…","p95…","p99…","max…"
    let said = String::from_utf8_lossy(&output.stdout);
    let wanted = format!("\"{}\"", command.to_uppercase());
    let figures: Vec<f64> = said
        .lines()
        .find(|line| line.starts_with(&wanted))
        .into_iter()
        .flat_map(|line| line.split(',').skip(1))
        .filter_map(|text| text.trim_matches('"').parse().ok())
        .collect();
    let &[requests_per_second, _, _, p50_ms, _, p99_ms, _] = figures.as_slice() else {
        let error = String::from_utf8_lossy(&output.stderr);
        panic!(
            "redis-benchmark through {} said: {said}\n{error}",
            proxy.name
        );
    };
    Run {
        round,
        proxy: proxy.name,
        command,
        pipeline,
        requests,
        cpu: before
            .zip(after)
            .map(|(before, after)| after.saturating_sub(before) as f64 / 1000.0 / requests as f64),
        requests_per_second,
        p50_ms,
        p99_ms,
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        _ if values.is_empty() => None,
        0 => Some((values[middle - 1] + values[middle]) / 2.0),
        _ => Some(values[middle]),
    }
}

fn report(options: &Options, proxies: &[Proxy], runs: &[Run]) -> String {
    let mut text = format!(
        "{} before {}, {} connections, {VALUE_BYTES} bytes, {} rounds, {}\n\n",
        proxies
            .iter()
            .map(|proxy| proxy.name)
            .collect::<Vec<_>>()
            .join(", "),
        options.server,
        options.clients,
        options.rounds,
        machine(),
    );
    text.push_str(
        "Processor microseconds of the proxy per request, GET / SET; below the ratio to the copy\n",
    );
    text.push_str("(median of the ratios inside each round, lowest to highest).\n\n| proxy |");
    for pipeline in &options.pipelines {
        write!(text, " P={pipeline} | ratio GET | ratio SET |").expect("a string takes any text");
    }
    text.push_str("\n|---|");
    text.push_str(&"--:|--:|--:|".repeat(options.pipelines.len()));
    for proxy in proxies.iter().filter(|proxy| proxy.process_id.is_some()) {
        write!(text, "\n| {} |", proxy.name).expect("a string takes any text");
        for &pipeline in &options.pipelines {
            let cpu = COMMANDS.map(|command| {
                let of = of(runs, proxy.name, command, pipeline);
                median(of.filter_map(|run| run.cpu).collect())
                    .map_or("-".to_owned(), |cpu| format!("{cpu:.2}"))
            });
            write!(text, " {} |", cpu.join(" / ")).expect("a string takes any text");
            for command in COMMANDS {
                let mut ratios: Vec<f64> = of(runs, proxy.name, command, pipeline)
                    .filter_map(|run| {
                        let floor = of(runs, COPY, command, pipeline)
                            .find(|copy| copy.round == run.round)?;
                        Some(run.cpu? / floor.cpu?)
                    })
                    .collect();
                ratios.sort_by(f64::total_cmp);
                let cell = match (median(ratios.clone()), ratios.first(), ratios.last()) {
                    (Some(median), Some(low), Some(high)) => {
                        format!(" **{median:.2}** ({low:.2}-{high:.2}) |")
                    }
                    _ => " - |".to_owned(),
                };
                text.push_str(&cell);
            }
        }
    }
    text.push_str("\n\nThousand requests a second, GET / SET, and milliseconds p50 / p99 of GET, medians.\n\n| proxy |");
    for pipeline in &options.pipelines {
        write!(text, " P={pipeline} | p50 / p99 |").expect("a string takes any text");
    }
    text.push_str("\n|---|");
    text.push_str(&"--:|--:|".repeat(options.pipelines.len()));
    for proxy in proxies {
        write!(text, "\n| {} |", proxy.name).expect("a string takes any text");
        for &pipeline in &options.pipelines {
            let figure = |command, of_run: fn(&Run) -> f64| {
                let values = of(runs, proxy.name, command, pipeline)
                    .map(of_run)
                    .collect();
                median(values).unwrap_or(f64::NAN)
            };
            let thousands: fn(&Run) -> f64 = |run| run.requests_per_second / 1000.0;
            write!(
                text,
                " {:.0} / {:.0} | {:.2} / {:.2} |",
                figure("get", thousands),
                figure("set", thousands),
                figure("get", |run| run.p50_ms),
                figure("get", |run| run.p99_ms),
            )
            .expect("a string takes any text");
        }
    }
    text.push_str("\n\n");
    for proxy in proxies {
        writeln!(text, "- {}: {}", proxy.name, proxy.version).expect("a string takes any text");
    }
    text
}

fn of<'a>(
    runs: &'a [Run],
    proxy: &'a str,
    command: &'a str,
    pipeline: u32,
) -> impl Iterator<Item = &'a Run> {
    runs.iter()
        .filter(move |run| run.proxy == proxy && run.command == command && run.pipeline == pipeline)
}

/// Appends the raw runs to the file of the day.
fn keep(options: &Options, proxies: &[Proxy], runs: &[Run]) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    let date = said("date", &["-u", "+%Y-%m-%d"]);
    let path = folder.join(format!("{date}.jsonl"));
    std::fs::create_dir_all(&folder).expect("the project's folder is writable");
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .expect("a file of ours");
    let at = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    let machine = machine();
    for run in runs {
        let version = proxies
            .iter()
            .find(|proxy| proxy.name == run.proxy)
            .map(|proxy| &proxy.version);
        let line = json!({
            "bench": "gateway", "at": at, "machine": machine, "server": options.server.to_string(),
            "clients": options.clients, "round": run.round, "proxy": run.proxy, "version": version,
            "command": run.command, "pipeline": run.pipeline, "requests": run.requests,
            "cpu_us_per_request": run.cpu, "requests_per_second": run.requests_per_second,
            "p50_ms": run.p50_ms, "p99_ms": run.p99_ms,
        });
        writeln!(file, "{line}").expect("the disk has room");
    }
    eprintln!("kept in {}", path.display());
}

/// What another program says, on one line; empty if it cannot.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .stderr(Stdio::null())
        .output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn commit() -> String {
    let manifest = env!("CARGO_MANIFEST_DIR");
    said("git", &["-C", manifest, "describe", "--always", "--dirty"])
}

fn machine() -> String {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get());
    format!("{model}, {cores} cores, Linux {}", said("uname", &["-r"]))
}
