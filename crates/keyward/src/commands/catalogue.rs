//! `keyward commands`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_commands::{Touched, touched};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::batch::{self, Line, TOO_LONG};
use crate::failure::{Exit, Failure};
use crate::output::Output;

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  echo '[\"GET\",\"k\"]' | keyward commands keys --batch")]
pub(crate) enum Command {
    /// Tell which keys and channels a command touches.
    #[command(after_help = "Examples:
  keyward commands keys -- SET k v
  echo '[\"GET\",\"k\"]' | keyward commands keys --batch")]
    Keys {
        /// Read one JSON array of arguments a line from standard input.
        #[arg(long)]
        batch: bool,
        /// The command, after `--`.
        #[arg(last = true)]
        command: Vec<std::ffi::OsString>,
    },
}

/// A word: text, or bytes as `{"base64": …}`.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Word {
    Text(String),
    Base64 { base64: String },
}

impl Word {
    pub(crate) fn bytes(self) -> Result<Vec<u8>, String> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::Base64 { base64 } => STANDARD
                .decode(base64)
                .map_err(|error| format!("base64: {error}")),
        }
    }
}

/// Bytes as JSON: text where they are UTF-8.
fn json_of(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// What one command touches.
fn keys(words: &[Vec<u8>], scratch: &mut Touched) -> Result<Value, String> {
    let shown = |n: usize| {
        let word = words.get(n).map_or(&b""[..], Vec::as_slice);
        String::from_utf8_lossy(word)
            .chars()
            .take(128)
            .collect::<String>()
    };
    let id = keyward_commands::resolve(words).map_err(|error| match error {
        keyward_commands::ResolveError::UnknownCommand => format!("unknown command `{}`", shown(0)),
        keyward_commands::ResolveError::UnknownSubcommand { container } => {
            format!("unknown subcommand `{}` of `{container}`", shown(1))
        }
        other => other.to_string(),
    })?;
    let command = id.command();
    if !command.arity_fits(words.len()) {
        let name = command.name;
        return Err(format!("wrong number of arguments for '{name}' command"));
    }
    touched(id, words, scratch).map_err(|error| error.to_string())?;
    let keys: Vec<Value> = scratch
        .keys
        .iter()
        .map(|key| {
            let flags: Vec<&str> = key.flags.names().collect();
            json!({ "key": json_of(&words[key.word as usize]), "flags": flags })
        })
        .collect();
    let channels = scratch.channels.iter();
    let channels: Vec<Value> = channels
        .map(|channel| json_of(&words[channel.word as usize]))
        .collect();
    Ok(json!({
        "command": command.name, "action": command.action, "keys": keys, "channels": channels,
    }))
}

fn answer(words: Result<Vec<Vec<u8>>, String>, scratch: &mut Touched) -> Value {
    match words.and_then(|words| keys(&words, scratch)) {
        Ok(found) => found,
        Err(error) => json!({ "error": error }),
    }
}

fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let words: Vec<Word> = serde_json::from_slice(line)
        .map_err(|error| format!("expected a JSON array of strings: {error}"))?;
    words.into_iter().map(Word::bytes).collect()
}

pub(crate) fn run(command: &Command, output: &Output) -> Result<(), Failure> {
    let Command::Keys { batch, command } = command;
    let mut scratch = Touched::default();
    if *batch {
        let answered = |_: usize, line: Line<'_>, out: &mut Vec<u8>| {
            let found = match line {
                Line::Text(text) => answer(words(text), &mut scratch),
                Line::TooLong => json!({ "error": TOO_LONG }),
            };
            append(out, &found);
        };
        return Ok(batch::run(
            std::io::stdin().lock(),
            std::io::stdout().lock(),
            answered,
        )?);
    }
    if command.is_empty() {
        let text = "give a command after `--`, or --batch";
        return Err(Failure::new(Exit::Usage, text));
    }
    use std::os::unix::ffi::OsStrExt as _;
    let given = command
        .iter()
        .map(|word| word.as_bytes().to_vec())
        .collect();
    let found = answer(Ok(given), &mut scratch);
    output.line(&found.to_string())?;
    match found.get("error").and_then(Value::as_str) {
        Some(error) => Err(Failure::new(Exit::Failed, error)),
        None => Ok(()),
    }
}

/// Appends a document without line breaks.
pub(crate) fn append(out: &mut Vec<u8>, document: &Value) {
    // Writing into memory cannot fail.
    let _ = serde_json::to_writer(out, document);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let cases = [
            (
                r#"["get","k"]"#,
                r#"{"command":"get","action":"kvdb:ExecuteGet","keys":[{"key":"k","flags":["RO","access"]}],"channels":[]}"#,
            ),
            (
                r#"["CONFIG","GET","x"]"#,
                r#"{"command":"config|get","action":"kvdb:ExecuteConfigGet","keys":[],"channels":[]}"#,
            ),
            (
                r#"["GET",{"base64":"/w=="}]"#,
                r#"{"command":"get","action":"kvdb:ExecuteGet","keys":[{"key":{"base64":"/w=="},"flags":["RO","access"]}],"channels":[]}"#,
            ),
            (
                r#"["PUBLISH","c","m"]"#,
                r#"{"command":"publish","action":"kvdb:ExecutePublish","keys":[],"channels":["c"]}"#,
            ),
            (
                r#"["GET"]"#,
                r#"{"error":"wrong number of arguments for 'get' command"}"#,
            ),
            (r#"["NOPE"]"#, r#"{"error":"unknown command `NOPE`"}"#),
            ("[]", r#"{"error":"empty request"}"#),
        ];
        let mut scratch = Touched::default();
        for (line, expected) in cases {
            let found = answer(words(line.as_bytes()), &mut scratch);
            assert_eq!(found.to_string(), expected, "{line}");
        }
        for line in ["{}", "7", "[1]", "[\"GET\"", r#"["GET",{"base64":"?"}]"#] {
            let found = answer(words(line.as_bytes()), &mut scratch);
            assert!(found.get("error").is_some(), "{line}: {found}");
        }
    }
}
