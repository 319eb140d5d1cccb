//! Policies on the command line: in a file, on standard input, or in place.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use keyward_iam::SystemPolicy;
use serde_json::Value;

use crate::failure::{Exit, Failure};

/// Longest document that is read, in bytes: more than the server takes.
const MAX_LEN: u64 = 16 * 1024 * 1024;

/// Text of a document: a file, `-` for standard input, the JSON itself, or a policy of the system by
/// its name or path.
pub(crate) fn document(argument: &str) -> Result<String, Failure> {
    if argument.trim_start().starts_with(['[', '{']) {
        return Ok(argument.to_owned());
    }
    if argument != "-" && !Path::new(argument).exists() {
        let system = SystemPolicy::at(argument).or_else(|| SystemPolicy::named(argument));
        return match system {
            Some(policy) => Ok(policy.text().to_owned()),
            None => text(argument).map_err(|failure| {
                failure.with_hint(
                    "a policy is a file, `-`, JSON that begins with `[` or `{`, the name of a \
                     system policy such as KvdbReadOnly, or, where it is attached, policy/ID",
                )
            }),
        };
    }
    text(argument)
}

/// Text of a file, or of standard input for `-`.
pub(crate) fn text(argument: &str) -> Result<String, Failure> {
    let failed =
        |error: std::io::Error| Failure::new(Exit::Failed, format!("`{argument}`: {error}"));
    let mut text = String::new();
    let read = if argument == "-" {
        std::io::stdin()
            .lock()
            .take(MAX_LEN)
            .read_to_string(&mut text)
    } else {
        let file = File::open(argument).map_err(failed)?;
        file.take(MAX_LEN).read_to_string(&mut text)
    };
    let read = read.map_err(failed)?;
    if read as u64 == MAX_LEN {
        let text = format!("`{argument}` is longer than {MAX_LEN} bytes");
        return Err(Failure::new(Exit::Failed, text));
    }
    Ok(text)
}

/// Whether an argument refers to a named policy: by its path, or by an id or name that is no file.
fn is_reference(argument: &str) -> bool {
    if argument.starts_with("policy/") || argument.starts_with("org/") {
        return true;
    }
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    argument != "-" && argument.bytes().all(is_word) && !Path::new(argument).exists()
}

/// Elements of `policies` in a call: documents as text, so that positions hold; `policy/<id>`,
/// `org/…/policy/<id>` and names of policies are references.
pub(crate) fn list(arguments: &[String]) -> Result<Value, Failure> {
    let one = |argument: &String| {
        if is_reference(argument) {
            return Ok(serde_json::json!({ "policy": argument }));
        }
        let text = document(argument)?;
        Ok(serde_json::json!({ "document": text }))
    };
    arguments.iter().map(one).collect()
}
