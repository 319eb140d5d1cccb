//! `keyward test`: unit tests of policies, without a server.

mod file;
mod mutants;
mod suite;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::folders;
use crate::output::{Format, Output, printable};
use suite::{Suite, Verdict};

/// Runs unit tests of policies, written in YAML: who does what, and what is to become of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward test
  keyward test policies/ --coverage
  keyward test app.test.yaml --mutate --strict

A file of tests:
  policies:
    app: app.json
  tests:
    - as: app
      do: GET user:1
      on: kvdb/main
      expect: allow
      because: ReadUsers

The format is described in docs/policy-tests.md. Exit code 7 if a test fails.")]
pub(crate) struct Arguments {
    /// Files of tests, and folders to search for `*.test.yaml`; without any, the current folder.
    #[arg(value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Tell which statements took part in no decision.
    #[arg(long)]
    coverage: bool,
    /// Change each statement in every way, and tell the changes that no test notices.
    #[arg(long)]
    mutate: bool,
    /// Fail also for statements that took no part, and for changes that no test notices, where
    /// these are looked for.
    #[arg(long)]
    strict: bool,
    /// Tell failures only, not what is ok.
    #[arg(long, short)]
    quiet: bool,
}

/// Whether a file in a folder is one of tests.
fn is_test_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let endings = [".test.yaml", ".test.yml", "_test.yaml", "_test.yml"];
    name.is_some_and(|name| endings.iter().any(|ending| name.ends_with(ending)))
}

fn files(arguments: &Arguments) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let here = [PathBuf::from(".")];
    let paths = match &arguments.paths[..] {
        [] => &here[..],
        paths => paths,
    };
    for path in paths {
        if path.is_dir() {
            folders::search(path, is_test_file, &mut found)?;
        } else {
            found.push(path.clone());
        }
    }
    if found.is_empty() {
        let text = "no tests: files of tests are called `<name>.test.yaml`";
        return Err(Failure::new(Exit::NotFound, text));
    }
    Ok(found)
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode, Failure> {
    let mut suite = Suite::default();
    for path in files(arguments)? {
        let path = path.strip_prefix("./").unwrap_or(&path);
        suite
            .add(path)
            .map_err(|text| Failure::new(Exit::Findings, text))?;
    }
    let mut covered: BTreeSet<(usize, usize)> = BTreeSet::new();
    let (mut ok, mut failed) = (0_usize, 0_usize);
    for file in &suite.files {
        for test in &file.tests {
            let verdict = suite.run(file, test);
            covered.extend(&verdict.took_part);
            match verdict.failure {
                None => ok += 1,
                Some(_) => failed += 1,
            }
            if verdict.failure.is_some() || !arguments.quiet {
                let shown = shown(file, test, &verdict);
                output.document(&shown, |_| printable(&line(file, test, &verdict)))?;
            }
        }
    }
    let mut loose = 0;
    if arguments.coverage {
        loose += coverage(&suite, &covered, output)?;
    }
    if arguments.mutate {
        loose += mutation(&suite, output)?;
    }
    let summary = json!({ "type": "summary", "ok": ok, "failed": failed });
    output.document(&summary, |_| format!("{ok} ok, {failed} failed"))?;
    let bad = failed > 0 || (arguments.strict && loose > 0);
    Ok(if bad {
        ExitCode::from(Exit::Findings as u8)
    } else {
        ExitCode::SUCCESS
    })
}

fn line(file: &file::TestFile, test: &file::Test, verdict: &Verdict) -> String {
    let place = format!("{}:{}", file.path.display(), test.line);
    let name = test.name.as_ref().map(|name| format!("{name}: "));
    let what = format!(
        "{}{} {} on {}",
        name.unwrap_or_default(),
        test.identity,
        test.doing,
        test.on
    );
    match &verdict.failure {
        None => format!("ok      {place}  {what}: {}", verdict.message),
        Some(failure) if verdict.decided.is_err() => {
            format!("FAILED  {place}  {what}\n        {failure}")
        }
        Some(failure) => format!(
            "FAILED  {place}  {what}\n        {failure}: {}",
            verdict.message
        ),
    }
}

fn shown(file: &file::TestFile, test: &file::Test, verdict: &Verdict) -> Value {
    let decided = match &verdict.decided {
        Ok(decision) => suite::outcome(decision.outcome),
        Err(_) => "error",
    };
    json!({
        "type": "test",
        "ok": verdict.failure.is_none(),
        "file": file.path.display().to_string(),
        "line": test.line,
        "name": test.name,
        "as": test.identity,
        "do": test.doing,
        "on": test.on,
        "expect": test.expect.as_str(),
        "decision": decided,
        "failure": verdict.failure,
        "message": verdict.message,
        "statements": verdict.statements,
    })
}

fn percent(part: usize, whole: usize) -> usize {
    (part * 100).checked_div(whole).unwrap_or(100)
}

/// Tells which statements took no part, and how many.
fn coverage(
    suite: &Suite,
    covered: &BTreeSet<(usize, usize)>,
    output: &Output,
) -> Result<usize, Failure> {
    let all = suite.statements();
    let unused: Vec<(usize, usize)> = all.difference(covered).copied().collect();
    let names: Vec<String> = unused.iter().map(|s| suite.statement_name(*s)).collect();
    let (part, percent) = (
        all.len() - unused.len(),
        percent(all.len() - unused.len(), all.len()),
    );
    let shown = json!({
        "type": "coverage", "statements": all.len(), "covered": part, "percent": percent,
        "unused": names,
    });
    output.document(&shown, |_| {
        let mut text = format!(
            "\ncoverage: {part} of {} statements took part in a decision ({percent} %)\n",
            all.len()
        );
        for name in &names {
            text.push_str(&format!("  no part: {}\n", printable(name)));
        }
        text
    })?;
    Ok(unused.len())
}

/// Tells the changes that no test notices, and how many.
fn mutation(suite: &Suite, output: &Output) -> Result<usize, Failure> {
    let mutation = suite.mutate();
    let survivors = &mutation.survivors;
    let noticed = mutation.tried - survivors.len();
    let shown: Vec<Value> = survivors
        .iter()
        .map(|survivor| {
            json!({
                "statement": suite.statement_name((survivor.document, survivor.statement)),
                "change": survivor.change,
                "removed": survivor.removed,
            })
        })
        .collect();
    let percent = percent(noticed, mutation.tried);
    let document = json!({
        "type": "mutation", "mutants": mutation.tried, "noticed": noticed, "percent": percent,
        "unnoticed": shown, "not_tried": mutation.left_out,
    });
    if output.format() == Format::Json {
        output.document(&document, |_| String::new())?;
        return Ok(survivors.len() + mutation.left_out);
    }
    let mut text = format!(
        "\nmutation: {noticed} of {} changes were noticed by a test ({percent} %)\n",
        mutation.tried
    );
    let mut last = None;
    for survivor in survivors {
        let place = (survivor.document, survivor.statement);
        if last != Some(place) {
            let name = printable(&suite.statement_name(place));
            text.push_str(&format!("  {name}: no test notices when\n"));
            last = Some(place);
        }
        text.push_str(&format!("    {}\n", printable(&survivor.change)));
    }
    if mutation.left_out > 0 {
        text.push_str(&format!(
            "  {} changes were not tried: the policies are too large\n",
            mutation.left_out
        ));
    }
    output.line(text.trim_end())?;
    Ok(survivors.len() + mutation.left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/policy-tests/app.test.yaml"
    );
    const MANUAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policy-tests.md");

    /// Verdicts of a file of tests that stands beside the policies of the manual.
    fn suite_of(tests: &str) -> Suite {
        let folder = tempfile::tempdir().unwrap();
        let app = Path::new(EXAMPLE).with_file_name("app.json");
        std::fs::copy(app, folder.path().join("app.json")).unwrap();
        let path = folder.path().join("a.test.yaml");
        std::fs::write(&path, tests).unwrap();
        let mut suite = Suite::default();
        suite.add(&path).unwrap();
        suite
    }

    #[test]
    fn the_example_of_the_manual_passes_and_notices_every_change() {
        let mut suite = Suite::default();
        suite.add(Path::new(EXAMPLE)).unwrap();
        let mut covered = BTreeSet::new();
        for file in &suite.files {
            for test in &file.tests {
                let verdict = suite.run(file, test);
                assert_eq!(verdict.failure, None, "{}: {}", test.line, verdict.message);
                covered.extend(verdict.took_part);
            }
        }
        assert_eq!(covered, suite.statements());
        let mutation = suite.mutate();
        assert!(mutation.tried >= 15, "{}", mutation.tried);
        assert!(mutation.survivors.is_empty(), "{:?}", mutation.survivors);
        let manual = std::fs::read_to_string(MANUAL).unwrap();
        let example = std::fs::read_to_string(EXAMPLE).unwrap();
        assert!(
            manual.contains(&example),
            "docs/policy-tests.md shows another example than docs/policy-tests/app.test.yaml"
        );
    }

    #[test]
    fn failures_and_gaps_are_told() {
        let suite = suite_of(
            "policies: { app: app.json }
defaults: { as: app, on: kvdb/main }
tests:
- { do: GET user:1, expect: deny }
- { do: GET user:1, expect: allow, because: NoSecrets }
- { do: GET user:1, expect: allow, because: 1 }
- { do: GET order:1, expect: explicit_deny }
- { do: NOPE, expect: implicit_deny }
- { do: 'kvdb:ExecuteNope', expect: deny }
",
        );
        let file = &suite.files[0];
        let failures: Vec<Option<String>> = file
            .tests
            .iter()
            .map(|test| suite.run(file, test).failure)
            .collect();
        let starts = [
            Some("expected deny, got allow"),
            Some("allow as expected, but by statement 1 (ReadUsers) of "),
            None,
            Some("expected explicit_deny, got implicit_deny"),
            None,
            Some("no decision: "),
        ];
        for (found, expected) in failures.iter().zip(starts) {
            match (found, expected) {
                (Some(found), Some(expected)) => assert!(found.starts_with(expected), "{found}"),
                (found, expected) => assert_eq!(found.as_deref(), expected),
            }
        }
        let covered: BTreeSet<_> = file
            .tests
            .iter()
            .flat_map(|test| suite.run(file, test).took_part)
            .collect();
        assert_eq!(covered, BTreeSet::from([(0, 0)]));
        let mutation = suite.mutate();
        let removed: Vec<usize> = mutation
            .survivors
            .iter()
            .filter(|survivor| survivor.removed)
            .map(|survivor| survivor.statement)
            .collect();
        assert_eq!(removed, [1, 2]);
    }

    #[test]
    fn files_of_tests_by_name() {
        for (name, expected) in [
            ("a.test.yaml", true),
            ("a_test.yml", true),
            ("a.yaml", false),
            ("test.yaml", false),
            ("a.test.json", false),
        ] {
            assert_eq!(is_test_file(Path::new(name)), expected, "{name}");
        }
    }
}
