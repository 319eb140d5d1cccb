//! Nanoseconds per decision, beside Cedar, regorus and casbin, on the same policies and requests.
//!
//! Each of N identities has one policy: six commands on one database and, with conditions, only
//! from one network and on keys of one tenant. 256 requests are asked, about half of them allowed.
//! Every engine must give the same answers before anything is measured.

mod casbin_peer;
mod cedar;
mod keyward;
mod rego;
mod workload;

use std::ops::Range;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use workload::{REQUESTS, Workload};

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];

/// Rounds of each measurement; the median counts.
const ROUNDS: usize = 7;

/// How long one round of one engine lasts, at least.
const ROUND: Duration = Duration::from_millis(60);

/// Something that decides the requests of a workload.
pub trait Engine {
    /// Decides one request.
    fn decide(&mut self, number: usize) -> bool;

    /// Decides several, and tells how many are allowed.
    fn decide_all(&mut self, numbers: Range<usize>) -> usize;
}

/// An engine's name in the tables.
type Maker = fn(&Workload) -> Box<dyn Engine>;

const ENGINES: [(&str, Maker); 8] = [
    ("keyward: decision table (gateway)", |workload| {
        Box::new(keyward::Table::new(&keyward::directory(workload), workload))
    }),
    ("keyward: evaluator, explained", |workload| {
        Box::new(keyward::Evaluator::new(
            keyward::directory(workload),
            workload,
        ))
    }),
    ("cedar: policies of the principal", |workload| {
        Box::new(cedar::Cedar::by_principal(workload))
    }),
    ("cedar: all policies", |workload| {
        Box::new(cedar::Cedar::whole(workload))
    }),
    ("regorus: virtual machine", |workload| {
        Box::new(rego::Machine::new(workload))
    }),
    ("regorus: interpreter", |workload| {
        Box::new(rego::Interpreter::new(workload))
    }),
    ("casbin: from its cache", |workload| {
        Box::new(casbin_peer::Casbin::cached(workload))
    }),
    ("casbin", |workload| {
        Box::new(casbin_peer::Casbin::new(workload))
    }),
];

/// Runs a future to its end.
pub fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => measure(&SIZES),
        ["--sizes", list] => match list
            .split(',')
            .map(str::parse)
            .collect::<Result<Vec<_>, _>>()
        {
            Ok(sizes) => measure(&sizes),
            Err(error) => {
                eprintln!("--sizes: {error}");
                ExitCode::from(2)
            }
        },
        // What `memory` below asks a process of its own for.
        ["--memory", engine, size] => {
            let (engine, size) = (engine.parse().unwrap_or(0), size.parse().unwrap_or(0));
            println!("{}", resident_after(engine, size));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: decide [--sizes 10,100,1000,10000]");
            ExitCode::from(2)
        }
    }
}

fn measure(sizes: &[usize]) -> ExitCode {
    for conditions in [false, true] {
        let title = if conditions {
            "with an address and a key condition"
        } else {
            "without conditions"
        };
        let mut engines: Vec<Vec<Box<dyn Engine>>> = Vec::new();
        for size in sizes {
            let workload = Workload::new(*size, conditions);
            let mut made: Vec<Box<dyn Engine>> =
                ENGINES.iter().map(|(_, make)| make(&workload)).collect();
            if let Err(difference) = answers_are_equal(&workload, &mut made) {
                eprintln!("{size} policies {title}: {difference}");
                return ExitCode::FAILURE;
            }
            eprintln!("{size} policies {title}: {REQUESTS} answers of every engine are equal");
            engines.push(made);
        }
        println!("\nNanoseconds per decision, {title}:\n");
        print_table(sizes, &nanoseconds(&mut engines));
    }
    println!("\nNanoseconds per decision of Keyward's table where the call decides:\n");
    println!("| conditions on | nanoseconds |\n|---|--:|");
    for (name, figure) in keyward::of_the_call() {
        println!("| {name} | {} |", shown(figure));
    }
    println!("\nResident memory per policy, 1,000 to 10,000 policies with conditions, bytes:\n");
    println!("| engine | bytes |\n|---|--:|");
    for (number, (name, _)) in ENGINES.iter().enumerate() {
        match memory(number) {
            Some(bytes) => println!("| {name} | {} |", grouped(bytes as f64)),
            None => println!("| {name} | unknown |"),
        }
    }
    ExitCode::SUCCESS
}

fn answers_are_equal(workload: &Workload, engines: &mut [Box<dyn Engine>]) -> Result<(), String> {
    for ((name, _), engine) in ENGINES.iter().zip(engines) {
        for (number, ask) in workload.asks.iter().enumerate() {
            let answer = engine.decide(number);
            if answer != ask.allowed {
                return Err(format!("{name} answers {answer} to {ask:?}"));
            }
        }
    }
    Ok(())
}

/// The median of all rounds, by size and engine. Rounds of all sizes and engines alternate, so that
/// a slow moment of the machine meets all.
fn nanoseconds(engines: &mut [Vec<Box<dyn Engine>>]) -> Vec<Vec<f64>> {
    let mut rounds: Vec<Vec<Vec<f64>>> = engines
        .iter()
        .map(|made| vec![Vec::new(); made.len()])
        .collect();
    for _ in 0..ROUNDS {
        for (made, figures) in engines.iter_mut().zip(&mut rounds) {
            for (engine, figures) in made.iter_mut().zip(figures) {
                figures.push(round(&mut **engine));
            }
        }
    }
    rounds
        .into_iter()
        .map(|of_size| of_size.into_iter().map(median).collect())
        .collect()
}

/// The middle one.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Requests that are asked between two looks at the clock.
const BATCH: usize = 16;

/// Whole passes over the requests, unless even one lasts longer than ten rounds may.
fn round(engine: &mut dyn Engine) -> f64 {
    let start = Instant::now();
    let mut decided = 0;
    loop {
        for first in (0..REQUESTS).step_by(BATCH) {
            std::hint::black_box(engine.decide_all(first..first + BATCH));
            decided += BATCH;
            if start.elapsed() > 10 * ROUND {
                return start.elapsed().as_nanos() as f64 / decided as f64;
            }
        }
        if start.elapsed() > ROUND {
            return start.elapsed().as_nanos() as f64 / decided as f64;
        }
    }
}

fn print_table(sizes: &[usize], columns: &[Vec<f64>]) {
    let heads: Vec<String> = sizes.iter().map(|size| grouped(*size as f64)).collect();
    println!("| policies | {} |", heads.join(" | "));
    println!("|---|{}", "--:|".repeat(sizes.len()));
    for (number, (name, _)) in ENGINES.iter().enumerate() {
        let cells: Vec<String> = columns.iter().map(|column| shown(column[number])).collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
}

/// A figure with as many places as mean something.
fn shown(figure: f64) -> String {
    if figure < 100.0 {
        format!("{figure:.1}")
    } else {
        grouped(figure)
    }
}

fn grouped(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes that nine thousand more policies take, each: from processes of their own, so that
/// nothing else is counted.
fn memory(engine: usize) -> Option<u64> {
    let resident = |size: usize| -> Option<u64> {
        let program = std::env::current_exe().ok()?;
        let output = Command::new(program)
            .args(["--memory", &engine.to_string(), &size.to_string()])
            .output()
            .ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse().ok()
    };
    Some(resident(10_000)?.checked_sub(resident(1_000)?)? / 9_000)
}

/// Resident bytes of this process with an engine loaded.
fn resident_after(engine: usize, size: usize) -> u64 {
    let mut workload = Workload::new(size, true);
    // The requests are not what is weighed.
    workload.asks.truncate(1);
    let loaded = ENGINES.get(engine).map(|(_, make)| make(&workload));
    drop(workload);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    drop(loaded);
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|kilobytes| kilobytes.trim().parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}
