//! Generation of checked-in files.
//!
//! `cargo run -p keyward-xtask -- commands` writes the command table; `--check` fails when it is
//! stale instead.

mod commands;

use anyhow::{Context as _, bail};
use std::path::Path;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let check = match words.as_slice() {
        ["commands"] => false,
        ["commands", "--check"] => true,
        _ => bail!("usage: cargo run -p keyward-xtask -- commands [--check]"),
    };
    command_table(check)
}

/// Writes or checks the table of `keyward-commands`.
fn command_table(check: bool) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask has no parent folder")?;
    let text = commands::generate(&root.join("crates/commands/data"))?;
    write_or_check(&root.join("crates/commands/src/generated.rs"), &text, check)
}

/// Writes `text`, or compares it with what is there.
fn write_or_check(path: &Path, text: &str, check: bool) -> anyhow::Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|found| found == text) {
        println!("{} is up to date", path.display());
        return Ok(());
    }
    if check {
        bail!(
            "{} is stale: run `cargo run -p keyward-xtask -- commands`",
            path.display()
        );
    }
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    println!("{} written", path.display());
    Ok(())
}

#[test]
fn generated_files_are_up_to_date() {
    command_table(true).unwrap();
}
