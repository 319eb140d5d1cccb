//! `keyward tail`.

use std::time::Duration;

use serde_json::Value;

use super::Context;
use crate::failure::Failure;
use crate::output::printable;

/// How often the server is asked.
const PAUSE: Duration = Duration::from_millis(300);

/// Shows decisions as they are made, until it is interrupted.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward tail
  keyward tail --denied")]
pub(crate) struct Arguments {
    /// Denials only.
    #[arg(long)]
    denied: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context<'_>) -> Result<(), Failure> {
    let denied = arguments.denied;
    let mut next: Option<u64> = None;
    loop {
        let after = next.map_or_else(String::new, |next| format!("&after={next}"));
        let answer = context
            .client
            .get(&format!("/v1/tail?denied={denied}{after}"))?;
        let items = answer.get("items").and_then(Value::as_array);
        let items: &[Value] = items.map_or(&[], Vec::as_slice);
        for item in items {
            context.output.document(item, line)?;
        }
        next = answer.get("next").and_then(Value::as_u64).or(next);
        // More may wait than fits in one answer.
        if items.is_empty() {
            std::thread::sleep(PAUSE);
        }
    }
}

fn line(item: &Value) -> String {
    let field = |name: &str| {
        let text = item.get(name).and_then(Value::as_str).unwrap_or("");
        printable(text)
    };
    let keys = item.get("keys").and_then(Value::as_array);
    let keys: Vec<&str> = keys
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let outcome = field("decision");
    let mut line = format!(
        "{}  {:<13} {}  {} {}  {}",
        field("at"),
        outcome.replace('_', " "),
        field("principal"),
        field("resource"),
        field("command"),
        printable(&keys.join(" ")),
    );
    line.truncate(line.trim_end().len());
    if outcome != "allow" {
        line.push_str(&format!(
            "  {} (keyward why {})",
            field("message"),
            field("id")
        ));
    }
    line
}
