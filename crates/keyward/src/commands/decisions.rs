//! `keyward can` and `keyward why`.

use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Context;
use crate::failure::{Exit, Failure};
use crate::output::printable;

/// Asks whether an identity may run a command. Exit code 0 if it may, 3 if not, 4 if there is no
/// such thing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward can worker second -- SET k v
  keyward can unauthenticated main -- GET public:1")]
pub(crate) struct Can {
    /// The identity, or `unauthenticated`.
    identity: String,
    /// The database.
    database: String,
    /// What is known of the request; may be given several times.
    #[arg(long = "context", value_name = "KEY=VALUE")]
    context: Vec<String>,
    /// The command, after `--`.
    #[arg(last = true, required = true)]
    command: Vec<std::ffi::OsString>,
}

/// Shows why a command was denied, and the smallest change that would allow it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keyward why 0123456789abcdef0123456789abcdef")]
pub(crate) struct Why {
    /// The id at the end of the denial.
    id: String,
}

/// A word of a command: text, or bytes.
pub(crate) fn word(word: &std::ffi::OsStr) -> Value {
    use std::os::unix::ffi::OsStrExt as _;
    match word.to_str() {
        Some(text) => text.into(),
        None => json!({ "base64": STANDARD.encode(word.as_bytes()) }),
    }
}

/// `key=value` arguments as an object; a key that stands several times has several values.
pub(crate) fn context(arguments: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut context: Map<String, Value> = Map::new();
    for argument in arguments {
        let Some((key, value)) = argument.split_once('=') else {
            let text = format!("--context {argument}: expected KEY=VALUE");
            return Err(Failure::new(Exit::Usage, text));
        };
        match context.entry(key).or_insert_with(|| json!([])) {
            Value::Array(values) => values.push(value.into()),
            _ => return Err(Failure::new(Exit::Usage, "--context")),
        }
    }
    Ok(context)
}

pub(crate) fn can(arguments: &Can, own: &Context<'_>) -> Result<ExitCode, Failure> {
    let client = &own.client;
    let command: Vec<Value> = arguments.command.iter().map(|w| word(w)).collect();
    let body = json!({
        "principal": client.path("programmatic_identity", &arguments.identity)?,
        "request": {
            "command": command,
            "database": client.path("kvdb", &arguments.database)?,
            "context": context(&arguments.context)?,
        },
    });
    let decision = client.post("/v1/decide", &body)?;
    let field = |name: &str| decision.get(name).and_then(Value::as_str).unwrap_or("");
    let outcome = field("decision").to_owned();
    let mut text = format!(
        "{}: {}",
        outcome.replace('_', " "),
        printable(field("message"))
    );
    if field("message").ends_with("the request does not have it") {
        text.push_str(
            "\nhint: what `--context KEY=VALUE` does not give is absent here: the clock and the \
             address, too",
        );
    }
    own.output.document(&decision, |_| text)?;
    Ok(outcome_code(&outcome))
}

/// 0 for an allow, 3 for a denial.
pub(crate) fn outcome_code(outcome: &str) -> ExitCode {
    if outcome == "allow" {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(Exit::Denied as u8)
    }
}

pub(crate) fn why(arguments: &Why, context: &Context<'_>) -> Result<(), Failure> {
    if arguments.id.is_empty() || !arguments.id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        let text = "the id of a decision has letters and digits only";
        return Err(Failure::new(Exit::Usage, text));
    }
    let decision = context
        .client
        .get(&format!("/v1/decision/{}", arguments.id))?;
    Ok(context.output.document(&decision, explanation)?)
}

fn explanation(decision: &Value) -> String {
    let field = |name: &str| {
        let text = decision.get(name).and_then(Value::as_str).unwrap_or("");
        printable(text)
    };
    let mut text = format!(
        "{}: {}\n\nprincipal  {}\naction     {}\nresource   {}\n",
        field("decision").replace('_', " "),
        field("message"),
        field("principal"),
        field("action"),
        field("resource"),
    );
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("{name:<11}{value}\n"));
        }
    };
    add("command", &field("command"));
    let keys = decision.get("keys").and_then(Value::as_array);
    let keys: Vec<&str> = keys
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    add("keys", &printable(&keys.join(" ")));
    add("at", &field("at"));
    add("source", &field("source"));
    let statements = decision.get("statements").and_then(Value::as_array);
    for statement in statements.into_iter().flatten() {
        let described = statement.get("text").and_then(Value::as_str);
        add("statement", &printable(described.unwrap_or("")));
    }
    if let Some(change) = decision.get("smallest_change") {
        let described = change.get("text").and_then(Value::as_str).unwrap_or("");
        text.push_str(&format!("\nTo allow it, {}\n", printable(described)));
        if let Some(statement) = change.get("statement") {
            text.push_str(&format!("  {statement}\n"));
        }
    }
    text
}
