//! `keyward policy diff`: what one document allows and another does not, without a server.

use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_policy::{
    Change, Dialect, Difference, Policy, PolicyDiff, PolicyKind, Request, TranslationNames,
    Undecided, diff_of_any_dialect,
};
use serde_json::{Map, Value, json};

use super::policy_check::DialectName;
use crate::Global;
use crate::failure::{Exit, Failure};
use crate::output::{Format, Output, printable};
use crate::policy_argument;

mod tried;

/// What a changed document allows that the old one did not, and no longer. Runs without a server.
///
/// Documents are compared as sets of requests, over actions, resources, keys, channels and
/// conditions, whatever words they use. Each difference comes with a request that was tried on
/// both. What cannot be decided is said to be undecided. The documents may be of any dialects, also
/// of two: those of other dialects are compared by their native forms, where they have one that
/// says the same.
///
/// Exit code 0 if both mean the same, 1 if they differ or it is undecided whether they do. With
/// --no-new-access: 0 if the new one allows nothing that the old one does not, 7 if it does, or if
/// that is undecided.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward policy diff old.json new.json
  keyward policy diff --no-new-access old.json new.json
  git show HEAD:policy.json | keyward policy diff - policy.json")]
pub(crate) struct Arguments {
    /// A file, `-`, or JSON.
    old: String,
    /// A file, `-`, or JSON.
    new: String,
    /// They are resource policies: with `Identities` in place of `Resources`.
    #[arg(long)]
    resource: bool,
    /// The dialect of both, where the documents do not tell.
    #[arg(long, value_enum)]
    dialect: Option<DialectName>,
    /// Number of the organisation's account at the vendor.
    #[arg(long, value_name = "NUMBER", default_value = "123456789012")]
    account: String,
    /// Region of the databases at the vendor.
    #[arg(long)]
    region: Option<String>,
    /// Id of the database that ACL rules are of.
    #[arg(long, value_name = "ID", default_value = "main")]
    database: String,
    /// Look only for what is newly allowed; exit code 7 if there is any, or if that is undecided.
    #[arg(long)]
    no_new_access: bool,
}

pub(crate) fn run(
    arguments: &Arguments,
    global: &Global,
    output: &Output,
) -> Result<ExitCode, Failure> {
    if arguments.old == "-" && arguments.new == "-" {
        let text = "only one of the documents can come from standard input";
        return Err(Failure::new(Exit::Usage, text));
    }
    let kind = match arguments.resource {
        true => PolicyKind::Resource,
        false => PolicyKind::Identity,
    };
    if arguments.account.is_empty() || !arguments.account.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Failure::new(Exit::Usage, "--account is a number"));
    }
    let names = [&arguments.old, &arguments.new].map(|argument| name(argument));
    let texts = [
        policy_argument::document(&arguments.old)?,
        policy_argument::document(&arguments.new)?,
    ];
    let dialect = |text: &str, name: &str| match arguments.dialect {
        Some(dialect) => Ok(dialect.dialect()),
        None => keyward_policy::detect(text)
            .map_err(|error| Failure::new(Exit::Findings, printable(&format!("{name}: {error}")))),
    };
    let dialects = [
        dialect(&texts[0], &names[0])?,
        dialect(&texts[1], &names[1])?,
    ];
    let is_native = dialects == [Dialect::Native; 2];
    // Requests are tried as `keyward simulate` tries them, in its organisation.
    let organisation = match &global.profile.organisation {
        Some(organisation) if is_native => organisation,
        _ => keyward_iam::TEST_ORGANISATION,
    };
    let read = |which: usize| -> Result<Policy, Failure> {
        let (text, name) = (&texts[which], &names[which]);
        let read = keyward_policy::read_as(Some(dialects[which]), text, kind, organisation);
        read.map_err(|findings| {
            let found: Vec<String> = findings.0.iter().map(|f| format!("{name}:{f}")).collect();
            Failure::new(Exit::Findings, printable(&found.join("\n")))
        })
    };
    let (old, new) = (read(0)?, read(1)?);
    let translation = TranslationNames {
        organisation: organisation.to_owned(),
        account: arguments.account.clone(),
        region: arguments.region.clone(),
        database: Some(arguments.database.clone()),
    };
    let mut found = diff_of_any_dialect(&old, &new, &translation);
    if !is_native {
        found = tried::on_documents(found, old, new, &translation);
    }
    if arguments.no_new_access {
        found.more[Change::NoLongerAllowed as usize] = 0;
        let is_new = |change: Change| change == Change::NowAllowed;
        found
            .differences
            .retain(|difference| is_new(difference.change));
        found.undecided.retain(|undecided| is_new(undecided.change));
    }
    match output.format() {
        Format::Json => {
            let resource = format!("org/{organisation}/kvdb/{}", arguments.database);
            output.line(&in_json(&found, organisation, &resource).to_string())?;
        }
        _ => output.line(in_words(&found, organisation, &names, arguments).trim_end())?,
    }
    Ok(match (found.is_empty(), arguments.no_new_access) {
        (true, _) => ExitCode::SUCCESS,
        (false, true) => ExitCode::from(Exit::Findings as u8),
        (false, false) => ExitCode::from(Exit::Failed as u8),
    })
}

fn name(argument: &str) -> String {
    match argument {
        "-" => "stdin".to_owned(),
        text if text.trim_start().starts_with(['[', '{']) => "policy".to_owned(),
        file => file.to_owned(),
    }
}

fn in_words(
    found: &PolicyDiff,
    organisation: &str,
    names: &[String; 2],
    arguments: &Arguments,
) -> String {
    let mut out = String::new();
    for difference in &found.differences {
        out += &format!(
            "{}: {}\n",
            verb(difference.change),
            printable(&difference.witness.describe(organisation))
        );
        let line = difference.witness.line();
        if let Some(words) = line.as_deref().or_else(|| difference.witness.words()) {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            out += &format!("    as in: {}\n", printable(&words.join(" ")));
        }
        if !difference.also.is_empty() {
            let also = difference.also.iter().map(|action| action.name());
            out += &format!("    also: {}\n", shortened(also, 8));
        }
        out += &format!("    by: {}\n", place(difference, names));
    }
    for undecided in &found.undecided {
        let actions = undecided.actions.iter().map(|action| action.name());
        let actions = match undecided.actions.is_empty() {
            true => String::new(),
            false => format!(" for {}", shortened(actions, 4)),
        };
        let what = match undecided.change {
            Change::NowAllowed => "whether more is allowed",
            Change::NoLongerAllowed => "whether less is allowed",
        };
        let (line, reason) = (undecided.line, printable(&undecided.reason.to_string()));
        let name = of(undecided, names);
        out += &format!("undecided: {what}{actions}: {reason} ({name}:{line})\n");
    }
    for change in [Change::NowAllowed, Change::NoLongerAllowed] {
        let more = found.more[change as usize];
        if more > 0 {
            out += &format!(
                "{}: and up to {more} more resources of statements, patterns or groups of actions, \
                 which were not tried\n",
                verb(change)
            );
        }
    }
    if found.is_empty() {
        out += match arguments.no_new_access {
            true => "no new access\n",
            false => "no difference\n",
        };
    }
    out
}

fn verb(change: Change) -> &'static str {
    match change {
        Change::NowAllowed => "now allowed",
        Change::NoLongerAllowed => "no longer allowed",
    }
}

/// The statement that makes the difference.
fn place(difference: &Difference, names: &[String; 2]) -> String {
    let name = &names[usize::from(difference.in_new)];
    format!("{}:{}", printable(name), difference.line)
}

fn of(undecided: &Undecided, names: &[String; 2]) -> String {
    printable(&names[usize::from(undecided.in_new)])
}

/// The first of some names, and how many more there are.
fn shortened<'a>(names: impl ExactSizeIterator<Item = &'a str>, most: usize) -> String {
    let count = names.len();
    let first: Vec<&str> = names.take(most).collect();
    match count.checked_sub(most) {
        None | Some(0) => first.join(", "),
        Some(more) => format!("{} and {more} more", first.join(", ")),
    }
}

/// A word as a shell and `redis-cli` read it.
fn quoted(word: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b":-_./,@%+=".contains(byte);
    match std::str::from_utf8(word) {
        Ok(text) if !text.is_empty() && word.iter().all(plain) => text.to_owned(),
        _ => format!("\"{}\"", word.escape_ascii()),
    }
}

fn text_of(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

fn in_json(found: &PolicyDiff, organisation: &str, database: &str) -> Value {
    let of = |change: Change| -> Vec<Value> {
        let own = found.differences.iter().filter(|d| d.change == change);
        own.map(|difference| difference_in_json(difference, organisation, database))
            .collect()
    };
    let undecided: Vec<Value> = found
        .undecided
        .iter()
        .map(|undecided| {
            json!({
                "about": verb(undecided.change).replace(' ', "_"),
                "actions": undecided.actions.iter().map(|action| action.name()).collect::<Vec<_>>(),
                "document": document(undecided.in_new),
                "line": undecided.line,
                "reason": undecided.reason.to_string(),
            })
        })
        .collect();
    json!({
        "same": found.is_empty(),
        "no_new_access": found.has_no_new_access(),
        "now_allowed": of(Change::NowAllowed),
        "no_longer_allowed": of(Change::NoLongerAllowed),
        "undecided": undecided,
        "more": {
            "now_allowed": found.more[Change::NowAllowed as usize],
            "no_longer_allowed": found.more[Change::NoLongerAllowed as usize],
        },
    })
}

fn document(in_new: bool) -> &'static str {
    if in_new { "new" } else { "old" }
}

fn difference_in_json(difference: &Difference, organisation: &str, database: &str) -> Value {
    let witness = &difference.witness;
    // A resource policy is told about without saying of which resource.
    let resource = match witness.resource() {
        "" => database,
        resource => resource,
    };
    json!({
        "text": witness.describe(organisation),
        "principal": witness.identity(),
        "action": witness.action().name(),
        "resource": resource,
        "request": request_in_json(witness, resource),
        "also": difference.also.iter().map(|action| action.name()).collect::<Vec<_>>(),
        "document": document(difference.in_new),
        "line": difference.line,
    })
}

/// The request as a case of `keyward simulate` has it: the command, where there is one that shows the
/// difference, else the action.
fn request_in_json(request: &Request, resource: &str) -> Value {
    let mut shown = Map::new();
    let line = request.line();
    match &line {
        Some(words) => {
            let words: Vec<Value> = words.iter().map(|word| text_of(word)).collect();
            shown.insert("command".into(), words.into());
            shown.insert("database".into(), resource.into());
        }
        None => {
            shown.insert("action".into(), request.action().name().into());
            shown.insert("resource".into(), resource.into());
        }
    }
    let mut context = Map::new();
    for (name, value) in request.facts() {
        let values: Vec<Value> = value.texts().iter().map(|text| text_of(text)).collect();
        context.insert(name.into(), values.into());
    }
    let mut names: [(&str, Vec<Value>); 4] = [
        ("kvdb:ReadKey", Vec::new()),
        ("kvdb:WriteKey", Vec::new()),
        ("kvdb:Key", Vec::new()),
        ("kvdb:Channel", Vec::new()),
    ];
    let named = line.is_none();
    for (key, reads, writes) in request.keys().filter(|_| named) {
        let key = text_of(key);
        if reads {
            names[0].1.push(key.clone());
        }
        if writes {
            names[1].1.push(key.clone());
        }
        names[2].1.push(key);
    }
    names[3].1.extend(
        request
            .channels()
            .filter(|_| named)
            .map(|(channel, _)| text_of(channel)),
    );
    for (name, values) in names.into_iter().filter(|(_, values)| !values.is_empty()) {
        context.insert(name.into(), values.into());
    }
    shown.insert("context".into(), context.into());
    shown.into()
}
