//! `keyward`: everything in one program. `dev` serves, the other subcommands are its client.

mod batch;
mod client;
mod commands;
mod config;
mod dev;
mod failure;
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
    let arguments = Arguments::parse();
    let output = Output::new(arguments.global.output);
    match commands::run(arguments.command, &arguments.global, &output) {
        Ok(code) => code,
        Err(failure) => {
            report(&failure, &output);
            failure.exit_code()
        }
    }
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
