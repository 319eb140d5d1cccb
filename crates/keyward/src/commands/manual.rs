//! `keyward completions` and `keyward man`: made of the same definitions as the commands.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;

use crate::failure::{Exit, Failure};
use crate::output::{Output, printable};

/// Print what completes commands in a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward completions bash > ~/.local/share/bash-completion/completions/keyward
  keyward completions zsh > ~/.zfunc/_keyward
  keyward completions fish > ~/.config/fish/completions/keyward.fish")]
pub(crate) struct Completions {
    /// Which shell.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Write the manual pages, one for each command.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward man ~/.local/share/man/man1
  man keyward-apply")]
pub(crate) struct Man {
    /// The folder; made if it is not there.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) fn completions(arguments: &Completions) -> Result<(), Failure> {
    let mut text = Vec::new();
    let mut command = crate::Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "keyward", &mut text);
    let mut out = io::stdout().lock();
    out.write_all(&text)?;
    Ok(out.flush()?)
}

pub(crate) fn man(arguments: &Man, output: &Output) -> Result<(), Failure> {
    let folder = &arguments.folder;
    let failed = |error: io::Error| {
        let text = format!("`{}`: {error}", folder.display());
        Failure::new(Exit::Failed, printable(&text))
    };
    pages(folder).map_err(failed)?;
    let text = format!("wrote the manual pages into {}", folder.display());
    let shown = serde_json::json!({ "folder": folder });
    Ok(output.document(&shown, |_| printable(&text))?)
}

/// Writes every page.
fn pages(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(crate::Arguments::command(), folder)?;
    let mut left = vec![("keyward".to_owned(), crate::Arguments::command())];
    while let Some((name, command)) = left.pop() {
        let path = folder.join(format!("{name}.1"));
        let page = std::fs::read_to_string(&path)?;
        std::fs::write(&path, with_examples(&page))?;
        let below = command.get_subcommands().filter(|sub| !sub.is_hide_set());
        left.extend(below.map(|sub| (format!("{name}-{}", sub.get_name()), sub.clone())));
    }
    Ok(())
}

/// A page whose examples stand in a section of that name, line by line as they were written.
fn with_examples(page: &str) -> String {
    let Some((before, examples)) = page.split_once(".SH EXTRA\n") else {
        return page.to_owned();
    };
    let (examples, behind) = match examples.find("\n.SH ") {
        Some(end) => examples.split_at(end + 1),
        None => (examples, ""),
    };
    let lines = examples.lines();
    let lines: Vec<&str> = lines
        .filter(|line| !matches!(line.trim(), "Example:" | "Examples:"))
        .collect();
    let lines = lines.join("\n");
    format!("{before}.SH EXAMPLES\n.nf\n{lines}\n.fi\n{behind}")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::process::Command as Program;

    use super::*;

    /// Every command that does something, by its words behind `keyward`.
    fn commands() -> BTreeMap<String, clap::Command> {
        fn walk(command: &clap::Command, words: &str, found: &mut BTreeMap<String, clap::Command>) {
            for sub in command.get_subcommands() {
                if sub.get_name() == "help" {
                    continue;
                }
                let words = format!("{words} {}", sub.get_name()).trim().to_owned();
                if sub.has_subcommands() {
                    walk(sub, &words, found);
                } else {
                    found.insert(words, sub.clone());
                }
            }
        }
        let mut found = BTreeMap::new();
        walk(&crate::Arguments::command(), "", &mut found);
        found
    }

    /// The words of a line as a shell makes them, up to where another program begins.
    fn shell_words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        let mut word: Option<String> = None;
        let mut quote: Option<char> = None;
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (Some('"'), '\\') => word.get_or_insert_default().extend(chars.next()),
                (Some(_), c) => word.get_or_insert_default().push(c),
                (None, '\'' | '"') => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                (None, '|' | '>' | '<' | '&') => break,
                (None, ' ') => words.extend(word.take()),
                (None, c) => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    /// The lines of examples in a help text that run `keyward`.
    fn examples(command: &clap::Command) -> Vec<String> {
        let help = command.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        let mut lines = help.lines();
        let begins = |line: &str| line.trim() == "Examples:" || line.trim() == "Example:";
        if !lines.any(begins) {
            return Vec::new();
        }
        // Behind variables, or put in by the shell: `eval "$(keyward env)"`.
        let run = |line: &str| {
            let line = line.find("keyward ").and_then(|at| line.get(at..))?;
            Some(line.trim_end_matches(")\"").to_owned())
        };
        lines.filter_map(run).collect()
    }

    #[test]
    fn every_command_shows_an_example_and_every_example_is_one() {
        for (words, command) in commands() {
            let examples = examples(&command);
            assert!(
                !examples.is_empty(),
                "`keyward {words}` shows no example: after_help = \"Example:\\n  keyward {words} …\""
            );
            for line in examples {
                let parsed = crate::Arguments::command().try_get_matches_from(shell_words(&line));
                assert!(parsed.is_ok(), "{line}\n{}", parsed.unwrap_err());
            }
        }
    }

    #[test]
    fn every_command_is_explained() {
        for (words, command) in commands() {
            assert!(command.get_about().is_some(), "keyward {words}");
            for argument in command.get_arguments() {
                let name = argument.get_id();
                assert!(argument.get_help().is_some(), "keyward {words}: {name}");
            }
        }
    }

    /// Every call that the OpenAPI document has: method and path.
    fn documented() -> BTreeSet<(String, String)> {
        let document = include_str!("../../../../openapi/keyward.json");
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        let paths = document["paths"].as_object().unwrap().iter();
        let methods = ["get", "post", "put", "patch", "delete"];
        let calls = paths.flat_map(|(path, item)| {
            let named = item.as_object().unwrap().keys();
            let named = named.filter(|name| methods.contains(&name.as_str()));
            named.map(|method| (method.to_ascii_uppercase(), path.clone()))
        });
        calls.collect()
    }

    /// Calls of the API without a command, each with its reason. May only shrink.
    const MOST_EXCEPTIONS: usize = 12;

    #[test]
    fn every_operation_has_a_command() {
        let list = include_str!("operations.txt");
        let known = commands();
        let there = documented();
        let served: BTreeSet<(String, String)> = keyward_server::routes::endpoints()
            .iter()
            .map(|endpoint| (endpoint.method.to_string(), endpoint.path.to_owned()))
            .collect();
        assert_eq!(there, served, "openapi/keyward.json is not what is served");
        let mut listed: BTreeSet<(String, String)> = BTreeSet::new();
        let mut exceptions = 0;
        for line in list
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
        {
            let (operation, command) = line.split_once(" = ").unwrap_or_else(|| panic!("{line}"));
            let (method, path) = operation
                .split_once(' ')
                .unwrap_or_else(|| panic!("{line}"));
            match command.strip_prefix("none: ") {
                Some(_) => exceptions += 1,
                None => {
                    for command in command.split(", ") {
                        assert!(known.contains_key(command), "{line}: no such command");
                    }
                }
            }
            let operation = (method.to_owned(), path.trim().to_owned());
            assert!(listed.insert(operation), "{line}: listed twice");
        }
        let gone: Vec<_> = listed.difference(&there).collect();
        assert!(gone.is_empty(), "no calls of the API any more: {gone:#?}");
        let without: Vec<_> = there.difference(&listed).collect();
        assert!(
            without.is_empty(),
            "not in commands/operations.txt: {without:#?}"
        );
        assert!(
            exceptions <= MOST_EXCEPTIONS,
            "{exceptions} operations without a command"
        );
    }

    #[test]
    fn completions_and_pages_are_made() {
        use clap::ValueEnum as _;
        for shell in clap_complete::Shell::value_variants() {
            let mut text = Vec::new();
            let mut command = crate::Arguments::command();
            clap_complete::generate(*shell, &mut command, "keyward", &mut text);
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains("escalation"), "{shell}");
        }
        let folder = tempfile::tempdir().unwrap();
        pages(folder.path()).unwrap();
        let page = std::fs::read_to_string(folder.path().join("keyward-db-create.1")).unwrap();
        let examples = page.split_once(".SH EXAMPLES\n.nf\n  keyward db create second\n");
        assert!(examples.is_some(), "{page}");
    }

    fn is_there(program: &str) -> bool {
        let found = Program::new(program).arg("--version").output();
        found.is_ok_and(|output| output.status.success())
    }

    /// What a shell offers for words of which the last is being typed; `None` without the shell.
    fn offered(shell: clap_complete::Shell, words: &[&str]) -> Option<String> {
        let name = shell.to_string();
        if !is_there(&name) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("_keyward");
        let mut text = Vec::new();
        let mut command = crate::Arguments::command();
        clap_complete::generate(shell, &mut command, "keyward", &mut text);
        std::fs::write(&script, text).unwrap();
        let line = match shell {
            clap_complete::Shell::Bash => {
                "source \"$0\"; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                 _keyward keyward \"${@: -1}\" \"${@: -2:1}\"; echo \"${COMPREPLY[@]}\""
            }
            // Says what it would offer, a line each.
            _ => "source $argv[1]; complete -C \"$argv[2..]\"",
        };
        let mut program = Program::new(&name);
        program.args(["-c", line]).arg(&script).args(words);
        let output = program.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.is_empty(), "{name}: {told}");
        Some(
            String::from_utf8_lossy(&output.stdout)
                .trim_end()
                .to_owned(),
        )
    }

    #[test]
    fn shells_complete() {
        let cases: [(&[&str], &str); 6] = [
            (&["keyward", "db", "cr"], "create"),
            (&["keyward", "database", "heal"], "health"),
            (&["keyward", "group", "member", "a"], "add"),
            (&["keyward", "--profile", "ci", "escal"], "escalation"),
            (&["keyward", "identity", "list", "--output", "j"], "json"),
            (
                &["keyward", "apply", "--prune"],
                "--prune --prune-databases",
            ),
        ];
        for (words, expected) in cases {
            if let Some(offered) = offered(clap_complete::Shell::Bash, words) {
                assert_eq!(offered, expected, "{words:?}");
            }
            if let Some(offered) = offered(clap_complete::Shell::Fish, words) {
                let first = expected.split(' ').next().unwrap();
                assert!(offered.contains(first), "{words:?}: {offered}");
            }
        }
        if is_there("zsh") {
            let mut text = Vec::new();
            let mut command = crate::Arguments::command();
            clap_complete::generate(
                clap_complete::Shell::Zsh,
                &mut command,
                "keyward",
                &mut text,
            );
            let folder = tempfile::tempdir().unwrap();
            let script = folder.path().join("_keyward");
            std::fs::write(&script, text).unwrap();
            let read = Program::new("zsh").arg("-n").arg(&script).output().unwrap();
            assert!(read.status.success(), "{read:?}");
        }
    }

    #[test]
    fn pages_are_set_without_complaint() {
        let folder = tempfile::tempdir().unwrap();
        pages(folder.path()).unwrap();
        let (program, arguments): (&str, &[&str]) = match () {
            () if is_there("mandoc") => ("mandoc", &["-T", "lint", "-W", "error"]),
            () if is_there("groff") => (
                "groff",
                &["-man", "-Tutf8", "-z", "-w", "syntax", "-W", "break"],
            ),
            () => return,
        };
        let pages = std::fs::read_dir(folder.path()).unwrap();
        let pages: Vec<PathBuf> = pages.map(|page| page.unwrap().path()).collect();
        assert!(pages.len() > 150);
        let output = Program::new(program).args(arguments).args(pages).output();
        let output = output.unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.is_empty(), "{told}");
    }
}
