//! `keyward test` at the command line.

use std::path::PathBuf;
use std::process::Command;

use keyward_e2e::Keyward;
use serde_json::Value as Json;

const FAILED: i32 = 7;

/// Exit code and standard output of `keyward test` in the folder of the manual's example.
fn run(line: &[&str]) -> (i32, String) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/policy-tests");
    let mut command: Command = Keyward::command();
    let output = command.arg("test").args(line).current_dir(folder).output();
    let output = match output {
        Ok(output) => output,
        Err(error) => panic!("{error}"),
    };
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn the_example_of_the_manual() {
    let (code, text) = run(&["--coverage", "--mutate", "--strict"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("\nok ") || text.starts_with("ok "), "{text}");
    assert!(
        text.contains("(100 %)") && text.contains(" 0 failed"),
        "{text}"
    );
    let (code, text) = run(&["app.test.yaml", "--mutate", "--output", "json"]);
    assert_eq!(code, 0, "{text}");
    let types: Vec<String> = text
        .lines()
        .map(|line| {
            let line: Json = serde_json::from_str(line).unwrap_or(Json::Null);
            line["type"].as_str().unwrap_or_default().to_owned()
        })
        .collect();
    assert_eq!(types[0], "test");
    assert_eq!(types[types.len() - 2..], ["mutation", "summary"]);
}

#[test]
fn exit_codes() {
    let file = tempfile();
    let write = |text: &str| match std::fs::write(&file, text) {
        Ok(()) => run(&[&file.display().to_string()]),
        Err(error) => panic!("{error}"),
    };
    let (code, text) = write(
        "policies: { app: [] }\ntests:\n- { as: app, do: GET a, on: kvdb/x, expect: allow }\n",
    );
    assert_eq!(code, FAILED);
    assert!(text.contains("FAILED") && text.contains(":3 "), "{text}");
    assert_eq!(write("tests: 7").0, FAILED);
    assert_eq!(run(&["/nowhere/at-all.test.yaml"]).0, FAILED);
    let _ = std::fs::remove_file(&file);
}

fn tempfile() -> PathBuf {
    std::env::temp_dir().join(format!("keyward-{}.test.yaml", std::process::id()))
}
