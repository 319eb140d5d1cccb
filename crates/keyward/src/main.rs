//! `keyward`: everything in one program. `dev` serves, the other subcommands are its client.

mod batch;
mod client;
mod commands;
mod config;
mod confirm;
mod dev;
mod failure;
mod folders;
mod output;
mod policy_argument;
mod policy_tests;
mod profile;
mod secret_input;
mod state;
mod yaml;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Command;
use crate::failure::Failure;
use crate::output::{Format, Output};

/// Identity and access management for Redis-compatible databases.
#[derive(Debug, Parser)]
#[command(name = "keyward", version, max_term_width = 100)]
#[command(after_help = "Start with:\n  keyward dev")]
pub(crate) struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every subcommand takes.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// How to answer: tables for people, or one JSON document a line. Tables on a terminal and
    /// elsewhere, unless this says otherwise.
    #[arg(
        long,
        global = true,
        value_enum,
        env = "KEYWARD_OUTPUT",
        default_value = "text"
    )]
    output: Format,
    #[command(flatten)]
    profile: profile::ProfileArguments,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misuse(&error),
    };
    let output = Output::new(arguments.global.output);
    match commands::run(arguments.command, &arguments.global, &output) {
        Ok(code) => code,
        Err(failure) => {
            report(&failure, &output);
            failure.exit_code()
        }
    }
}

/// Answers a command line that makes no sense, or asks for help: as JSON where JSON was asked for.
fn misuse(error: &clap::Error) -> ExitCode {
    let asks_help = error.exit_code() == 0;
    if asks_help || !wants_json(std::env::args_os().skip(1)) {
        // Where nobody reads it, nobody is to be told.
        let _ = error.print();
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let (what, usage) = text.split_once("\n\nUsage: ").unwrap_or((text, ""));
    let what: Vec<&str> = what.split_whitespace().collect();
    let failure = Failure::new(failure::Exit::Usage, what.join(" "));
    let failure = match usage.lines().next() {
        Some(usage) if !usage.is_empty() => failure.with_hint(format!("usage: {usage}")),
        _ => failure.with_hint("`keyward --help` shows what there is"),
    };
    output::note(&failure.json().to_string());
    failure.exit_code()
}

/// Whether arguments that could not be read, or the environment, ask for JSON.
fn wants_json(arguments: impl Iterator<Item = std::ffi::OsString>) -> bool {
    let mut said = std::env::var("KEYWARD_OUTPUT").ok();
    let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--output") {
            _ if argument == "--" => break,
            Some("") => said = arguments.next(),
            Some(value) => said = value.strip_prefix('=').map(str::to_owned),
            None => {}
        }
    }
    said.as_deref() == Some("json")
}

/// Tells the failure on standard error; as JSON where JSON was asked for.
fn report(failure: &Failure, output: &Output) {
    if failure.is_closed_pipe() {
        return;
    }
    match output.format() {
        Format::Json => output::note(&failure.json().to_string()),
        Format::Text | Format::Sarif => output::note(&format!("keyward: {failure}")),
    }
}
