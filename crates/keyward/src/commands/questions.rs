//! `keyward who-can`, `keyward access` and `keyward escalation`.

use std::fmt::Write as _;

use serde_json::Value;

use super::Context;
use crate::failure::{Exit, Failure};
use crate::output::{Output, printable};

/// Lists who can run a command on a database, and by which statements. With a key, who can on that
/// key.
#[derive(Debug, clap::Args)]
#[command(override_usage = "keyward who-can <COMMAND> on <DATABASE> [KEY]...")]
#[command(after_help = "Examples:
  keyward who-can FLUSHALL on production
  keyward who-can GET on kvdb/main user:1
  keyward who-can CONFIG GET on main
  keyward who-can iam:CreateAccessKey on programmatic_identity/ci")]
pub(crate) struct WhoCan {
    /// The command or action, `on`, the database (or what the action is on), and its keys or
    /// channels, if only calls with these are meant.
    #[arg(required = true, num_args = 1.., value_name = "WORDS")]
    words: Vec<String>,
    /// What is known of the request; may be given several times. What is not given is left open.
    #[arg(long = "context", value_name = "KEY=VALUE")]
    context: Vec<String>,
}

/// Shows everything that an identity can do: by database, risk and key pattern.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward access app
  keyward access unauthenticated --output json")]
pub(crate) struct Access {
    /// The identity, or `unauthenticated`.
    identity: String,
    /// What is known of the request; may be given several times. What is not given is left open.
    #[arg(long = "context", value_name = "KEY=VALUE")]
    context: Vec<String>,
}

/// Lists identities that can become more than they are: by making keys, changing trusts or policies,
/// running scripts, administering the server. Every path was tried on a copy of the directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward escalation
  keyward escalation worker --output json")]
pub(crate) struct Escalation {
    /// Only of this identity.
    identity: Option<String>,
}

/// Text as a value in the query of a URL.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// `--context` arguments as parameters.
fn known(arguments: &[String]) -> Result<String, Failure> {
    let mut text = String::new();
    for argument in arguments {
        if !argument.contains('=') {
            let text = format!("--context {argument}: expected KEY=VALUE");
            return Err(Failure::new(Exit::Usage, text));
        }
        text.push_str("&context=");
        text.push_str(&encoded(argument));
    }
    Ok(text)
}

/// The organisation that a full path is in, or the one of short names.
fn organisation_of(path: &str, context: &Context<'_>) -> Result<String, Failure> {
    match path.strip_prefix("org/") {
        Some(rest) => Ok(rest.split('/').next().unwrap_or_default().to_owned()),
        None => Ok(context.client.organisation()?.to_owned()),
    }
}

/// The URL of a question.
fn who_can_url(words: &[String], context: &Context<'_>) -> Result<String, Failure> {
    let usage = |text: &str| Failure::new(Exit::Usage, text);
    let on = words.iter().rposition(|word| word == "on");
    // A key may be called `on`, too: the first one that leaves a command and a database counts.
    let on = words
        .iter()
        .position(|word| word == "on")
        .filter(|at| *at > 0)
        .or(on);
    let (command, rest) = match on {
        Some(at) if at > 0 => (words[..at].join(" "), &words[at + 1..]),
        _ => return Err(usage("expected: keyward who-can COMMAND on DATABASE [KEY]")),
    };
    let [resource, keys @ ..] = rest else {
        return Err(usage(
            "on which database? keyward who-can COMMAND on DATABASE [KEY]",
        ));
    };
    let resource = context.client.path("kvdb", resource)?;
    let organisation = organisation_of(&resource, context)?;
    let what = if command.contains(':') {
        "action"
    } else {
        "command"
    };
    let mut url = format!(
        "/v1/org/{}/who_can?{what}={}&resource={}",
        encoded(&organisation),
        encoded(&command),
        encoded(&resource)
    );
    for key in keys {
        url.push_str("&key=");
        url.push_str(&encoded(key));
    }
    Ok(url)
}

pub(crate) fn who_can(arguments: &WhoCan, context: &Context<'_>) -> Result<(), Failure> {
    let url = who_can_url(&arguments.words, context)? + &known(&arguments.context)?;
    let answer = context.client.whole(&url)?;
    show(context.output, &answer, who_can_text)
}

pub(crate) fn access(arguments: &Access, context: &Context<'_>) -> Result<(), Failure> {
    let client = &context.client;
    let identity = client.path("programmatic_identity", &arguments.identity)?;
    let organisation = organisation_of(&identity, context)?;
    let url = format!(
        "/v1/org/{}/access?identity={}",
        encoded(&organisation),
        encoded(&identity)
    ) + &known(&arguments.context)?;
    show(context.output, &client.get(&url)?, access_text)
}

pub(crate) fn escalation(arguments: &Escalation, context: &Context<'_>) -> Result<(), Failure> {
    let client = &context.client;
    let organisation = client.organisation()?;
    let url = format!("/v1/org/{}/escalation", encoded(organisation));
    let mut answer = client.whole(&url)?;
    if let Some(identity) = &arguments.identity {
        let path = client.path("programmatic_identity", identity)?;
        if let Some(items) = answer.get_mut("items").and_then(Value::as_array_mut) {
            items.retain(|item| self::text(item, "identity") == path);
        }
    }
    show(context.output, &answer, escalation_text)
}

fn show(output: &Output, answer: &Value, text: fn(&Value) -> String) -> Result<(), Failure> {
    Ok(output.document(answer, |answer| printable(&text(answer)))?)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or("")
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value
        .get(field)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn flag(value: &Value, field: &str) -> bool {
    value.get(field).and_then(Value::as_bool).unwrap_or(false)
}

/// `keys user:*, read of shared:*`.
fn patterns(keys: &Value) -> String {
    let names = [
        ("keys", "keys"),
        ("read_keys", "reads of"),
        ("write_keys", "writes of"),
        ("channels", "channels"),
    ];
    let parts = names.iter().filter_map(|(field, name)| {
        let globs: Vec<&str> = list(keys, field).iter().filter_map(Value::as_str).collect();
        (!globs.is_empty()).then(|| format!("{name} {}", globs.join(" ")))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// `if IpAddress keyward:SourceIp 10.0.0.0/8`
fn conditions(of: &Value) -> String {
    let one = |condition: &Value| {
        let values = list(condition, "values").iter().filter_map(Value::as_str);
        let (operator, key) = (text(condition, "operator"), text(condition, "key"));
        if operator == "ACL rules" {
            let patterns = values.collect::<Vec<_>>().join(" ");
            return match patterns.as_str() {
                "" => "its ACL rules allow the call".to_owned(),
                patterns => format!("its ACL rules allow the call: {patterns}"),
            };
        }
        format!(
            "{operator} {key} {}",
            values.collect::<Vec<_>>().join(" or ")
        )
    };
    let all: Vec<String> = list(of, "conditions").iter().map(one).collect();
    if all.is_empty() {
        String::new()
    } else {
        format!(" if {}", all.join(" and "))
    }
}

/// On what a way allows: its patterns, conditions and exceptions.
fn extent(way: &Value) -> String {
    let mut limits: Vec<String> = list(way, "keys").iter().map(patterns).collect();
    limits.dedup();
    let mut text = if limits.is_empty() {
        "everything".to_owned()
    } else {
        limits.join(" and ")
    };
    text.push_str(&conditions(way));
    for exception in list(way, "exceptions") {
        let keys = match exception.get("keys") {
            Some(keys) if keys.is_object() => patterns(keys),
            _ => "any".to_owned(),
        } + &conditions(exception);
        let by = exception
            .get("statement")
            .map_or("", |s| self::text(s, "text"));
        let _ = write!(text, ", not {keys} ({by})");
    }
    let left_out = way.get("left_out").and_then(Value::as_u64).unwrap_or(0);
    if left_out > 0 {
        let _ = write!(
            text,
            ", and {left_out} more patterns, values and exceptions"
        );
    }
    text
}

/// By which statements, and through whom.
fn evidence(way: &Value) -> String {
    let limiting = [
        "boundary",
        "guardrails",
        "session_policy",
        "conditions",
        "layer",
    ];
    let of = |limits: bool| -> Vec<&str> {
        let statements = list(way, "statements").iter();
        statements
            .filter(|statement| limiting.contains(&text(statement, "list")) == limits)
            .map(|statement| text(statement, "text"))
            .collect()
    };
    let chain: Vec<&str> = list(way, "chain")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let mut by = match of(false) {
        none if none.is_empty() => "as the owner".to_owned(),
        grants => grants.join(", "),
    };
    let limits = of(true);
    if !limits.is_empty() {
        by.push_str(", within ");
        by.push_str(&limits.join(", "));
    }
    match chain.len() {
        0..=2 => by,
        end => format!("{by}, through {}", chain[1..end - 1].join(", ")),
    }
}

/// Widest column: longer cells stand out of it.
const MAX_WIDTH: usize = 100;

/// Rows with columns of equal width; the last one is free.
fn columns(rows: &[Vec<String>], indent: &str) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max();
        widest.unwrap_or(0).min(MAX_WIDTH)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(indent);
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn who_can_text(answer: &Value) -> String {
    let nobody = text(answer, "nobody_because");
    if !nobody.is_empty() {
        return format!("nobody: {nobody}");
    }
    let mut rows = Vec::new();
    for holder in list(answer, "items") {
        for (n, way) in list(holder, "ways").iter().enumerate() {
            let identity = if n == 0 { text(holder, "identity") } else { "" };
            let mut extent = extent(way);
            if let Some(only) = holder.get("only").and_then(Value::as_str) {
                let _ = write!(extent, " (calls that only {only} the key)");
            }
            rows.push(vec![identity.to_owned(), extent, evidence(way)]);
        }
        if flag(holder, "more_ways") {
            rows.push(vec![
                String::new(),
                "…".to_owned(),
                "and in more ways".to_owned(),
            ]);
        }
        for by in list(holder, "assumed_by") {
            let way = list(by, "ways").first().cloned().unwrap_or_default();
            let identity = format!("  assumed by {}", text(by, "identity"));
            let only_if = match (flag(by, "always"), conditions(&way)) {
                (true, _) => "always".to_owned(),
                (false, found) if !found.is_empty() => found.trim_start().to_owned(),
                // The limits are those of the role, told above, or of the trust that lets in.
                (false, _) if flag(holder, "always") => "within what the trust lets".to_owned(),
                (false, _) => "within that".to_owned(),
            };
            rows.push(vec![identity, only_if, evidence(&way)]);
        }
        let is_role = text(holder, "identity").contains("/role/");
        if is_role && list(holder, "assumed_by").is_empty() && !flag(answer, "truncated") {
            rows.push(vec!["  assumed by nobody".to_owned()]);
        }
    }
    let mut text = columns(&rows, "");
    if flag(answer, "everyone") {
        text.push_str("and identities of other organisations: the resource accepts everyone\n");
    }
    if flag(answer, "truncated") {
        text.push_str("not everybody was asked about: the policies are too large\n");
    }
    if text.is_empty() {
        text.push_str("nobody");
    }
    text
}

/// Names of actions without what they have in common, a few of them.
fn actions(group: &Value) -> String {
    let names: Vec<&str> = list(group, "actions")
        .iter()
        .filter_map(Value::as_str)
        .map(|name| name.strip_prefix("kvdb:Execute").unwrap_or(name))
        .collect();
    if names.len() > 4 {
        let all = if flag(group, "complete") { "all " } else { "" };
        return format!("{all}{} actions", names.len());
    }
    names.join(" ")
}

fn access_text(answer: &Value) -> String {
    let mut text = format!("{}\n", self::text(answer, "identity"));
    for (kind, found) in [
        ("databases", list(answer, "databases")),
        ("others", list(answer, "others")),
    ] {
        for access in found {
            let resources: Vec<&str> = list(access, "resources")
                .iter()
                .filter_map(Value::as_str)
                .collect();
            let more = match resources.len() {
                0..=3 => String::new(),
                count => format!(" and {} more", count - 3),
            };
            let named = &resources[..resources.len().min(3)];
            let _ = writeln!(text, "\n{}{more}", named.join(", "));
            if kind == "databases" && !flag(access, "connects") {
                text.push_str("  may not connect\n");
            }
            let rows: Vec<Vec<String>> = list(access, "groups")
                .iter()
                .map(|group| {
                    let way = group.get("way").unwrap_or(&Value::Null);
                    let extent = match (kind, extent(way)) {
                        ("others", extent) if extent == "everything" => String::new(),
                        ("others", extent) => extent.replacen("everything ", "", 1),
                        (_, extent) => extent,
                    };
                    vec![
                        self::text(group, "risk").replace('_', " "),
                        actions(group),
                        extent,
                        evidence(way),
                    ]
                })
                .collect();
            text.push_str(&columns(&rows, "  "));
            if flag(access, "truncated") {
                text.push_str("  … and in more ways\n");
            }
        }
    }
    if list(answer, "databases").is_empty() && list(answer, "others").is_empty() {
        text.push_str("\nnothing\n");
    }
    if flag(answer, "truncated") {
        text.push_str("\nthere is too much to tell: other resources were not looked at\n");
    }
    text
}

fn escalation_text(answer: &Value) -> String {
    let mut text = String::new();
    let mut last = "";
    for item in list(answer, "items") {
        let identity = self::text(item, "identity");
        if identity != last {
            let space = if last.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{space}{identity}");
            last = identity;
        }
        let only_if = |of: &Value| {
            let words: Vec<&str> = list(of, "conditions")
                .iter()
                .filter_map(Value::as_str)
                .collect();
            match words.is_empty() {
                true => String::new(),
                false => format!(", if it comes {}", words.join(" and ")),
            }
        };
        let means = self::text(item, "means").replace('_', " ");
        let _ = writeln!(text, "  {means}{}", only_if(item));
        for (n, step) in list(item, "steps").iter().enumerate() {
            let by = self::text(step, "by");
            let by = if by == identity {
                String::new()
            } else {
                format!("as {by}, ")
            };
            let what = self::text(step, "text");
            let _ = writeln!(text, "    {}. {by}{what}{}", n + 1, only_if(step));
            let needs: Vec<String> = list(step, "needs")
                .iter()
                .map(|need| {
                    let action = self::text(need, "action");
                    format!("{action} on {}", self::text(need, "resource"))
                })
                .collect();
            let statements: Vec<&str> = list(step, "statements")
                .iter()
                .map(|statement| self::text(statement, "text"))
                .collect();
            let by = if statements.is_empty() {
                String::new()
            } else {
                format!(": {}", statements.join(", "))
            };
            if !needs.is_empty() {
                let _ = writeln!(text, "       {}{by}", needs.join(", "));
            }
        }
        if let Some(gain) = item.get("gain").filter(|gain| gain.is_object()) {
            let action = self::text(gain, "action");
            let resource = self::text(gain, "resource");
            let key = gain.get("key").and_then(Value::as_str);
            let key = key.map(|key| format!(", key {key}")).unwrap_or_default();
            let when = only_if(gain);
            let _ = writeln!(text, "    then, for one: {action} on {resource}{key}{when}");
        }
    }
    if flag(answer, "truncated") {
        text.push_str("\nThere is more: the organisation is too large to try everything.\n");
    }
    if text.is_empty() {
        text.push_str("nobody");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_in_urls() {
        let cases = [
            ("user:1", "user:1"),
            ("a b&c=d", "a%20b%26c%3Dd"),
            ("é+%", "%C3%A9%2B%25"),
        ];
        for (text, expected) in cases {
            assert_eq!(encoded(text), expected);
        }
    }

    #[test]
    fn who_can_for_people() {
        let way = json!({
            "chain": ["org/a/programmatic_identity/p", "org/a/group/g", "org/a"],
            "statements": [{"text": "statement 1 (R) of trust org/a/trust/g"}],
            "keys": [{"keys": ["user:*"], "read_keys": [], "write_keys": [], "channels": []}],
            "exceptions": [],
        });
        let answer = json!({
            "items": [{"identity": "org/a/programmatic_identity/p", "always": false,
                       "only": null, "ways": [way], "more_ways": false}],
        });
        assert_eq!(
            who_can_text(&answer),
            "org/a/programmatic_identity/p  keys user:*  statement 1 (R) of trust org/a/trust/g, \
             through org/a/group/g\n"
        );
        assert_eq!(who_can_text(&json!({"items": []})), "nobody");
    }
}
