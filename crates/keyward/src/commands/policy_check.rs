//! `keyward policy check`: what is wrong with documents, without a server.

use std::path::Path;
use std::time::SystemTime;

use keyward_commands::CATALOGUE_VERSION;
use keyward_policy::check::{Finding, Options, Region, Report, Rule, Severity, check, rule};
use keyward_policy::{Dialect, PolicyKind, detect};
use serde_json::{Map, Value, json};

use super::{Context, sarif};
use crate::Global;
use crate::failure::{Exit, Failure};
use crate::folders;
use crate::output::{Format, Output, cell, printable};
use crate::policy_argument;

/// Check documents, without a server. Exit code 7 if there are findings at or above --level.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward policy check policy.json
  keyward policy check --resource resource-policy.json
  keyward policy check --level warning policies/
  keyward policy check --output sarif policies/*.json > findings.sarif
  keyward policy check --stored read-only
  keyward policy check --explain W001")]
pub(crate) struct Arguments {
    /// Files, folders with all `.json` and `.acl` files below, `-` for standard input, or JSON.
    #[arg(required_unless_present_any = ["explain", "stored"], value_name = "FILE")]
    documents: Vec<String>,
    /// Instead of files: a named policy as it is stored, and what of it has grown since it was written.
    #[arg(long, value_name = "POLICY", conflicts_with_all = ["documents", "resource", "dialect", "since_catalogue"])]
    stored: Option<String>,
    /// With --stored: which version; the default if left out.
    #[arg(long, value_name = "VERSION", requires = "stored")]
    version: Option<u32>,
    /// They are resource policies: with `Identities` in place of `Resources`.
    #[arg(long)]
    resource: bool,
    /// The dialect they are written in; told by their form if left out.
    #[arg(long, value_enum)]
    dialect: Option<DialectName>,
    /// Findings from this severity on are a failure.
    #[arg(long, value_enum, default_value = "error")]
    level: Level,
    /// Tell which action sets and wildcards have grown since this version of the catalogue.
    #[arg(long, value_name = "VERSION")]
    since_catalogue: Option<u32>,
    /// Say what a code means.
    #[arg(long, value_name = "CODE", conflicts_with = "documents")]
    explain: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Level {
    Error,
    Security,
    Warning,
    Suggestion,
}

/// A dialect by its name.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum DialectName {
    Native,
    Aws,
    Tencent,
    Alibaba,
    Acl,
}

impl Arguments {
    /// The named policy that is meant instead of files.
    pub(super) fn stored(&self) -> Option<&str> {
        self.stored.as_deref()
    }
}

impl Level {
    fn severity(self) -> Severity {
        match self {
            Self::Error => Severity::Error,
            Self::Security => Severity::Security,
            Self::Warning => Severity::Warning,
            Self::Suggestion => Severity::Suggestion,
        }
    }
}

impl DialectName {
    pub(super) fn dialect(self) -> Dialect {
        match self {
            Self::Native => Dialect::Native,
            Self::Aws => Dialect::Aws,
            Self::Tencent => Dialect::Tencent,
            Self::Alibaba => Dialect::Alibaba,
            Self::Acl => Dialect::Acl,
        }
    }
}

/// One document and what was found in it.
pub(super) struct Checked {
    /// How it was named on the command line; `policy` for JSON given there, `stdin` for `-`.
    pub(super) name: String,
    pub(super) text: String,
    /// Its lines hold passwords.
    pub(super) is_acl: bool,
    pub(super) report: Report,
}

pub(crate) fn run(arguments: &Arguments, global: &Global, output: &Output) -> Result<(), Failure> {
    if let Some(code) = &arguments.explain {
        let Some(rule) = rule(code) else {
            let text = format!("no finding has the code `{}`", printable(code));
            return Err(Failure::new(Exit::NotFound, text));
        };
        let explained = json!({
            "code": rule.code, "severity": rule.severity.name(), "title": rule.title,
            "explanation": rule.explanation,
        });
        return Ok(output.document(&explained, |_| explanation(rule))?);
    }
    let options = Options {
        dialect: arguments.dialect.map(DialectName::dialect),
        kind: if arguments.resource {
            PolicyKind::Resource
        } else {
            PolicyKind::Identity
        },
        organisation: global.profile.organisation.as_deref().unwrap_or("dev"),
        now: now(),
        catalogue: arguments.since_catalogue,
    };
    let mut all = Vec::new();
    for document in with_folders(&arguments.documents)? {
        all.push((name(&document), policy_argument::document(&document)?));
    }
    tell(arguments, all, &options, output)
}

/// The documents, with the files of policies in folders and below in their place, in order.
fn with_folders(documents: &[String]) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    for document in documents {
        let folder = Path::new(document);
        if document == "-" || !folder.is_dir() {
            all.push(document.clone());
            continue;
        }
        let mut found = Vec::new();
        folders::search(folder, is_policy_file, &mut found)?;
        all.extend(found.iter().map(|path| path.display().to_string()));
        if found.is_empty() {
            let text = format!("no `.json` or `.acl` file in `{}`", printable(document));
            return Err(Failure::new(Exit::NotFound, text));
        }
    }
    Ok(all)
}

fn is_policy_file(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("json" | "acl"))
}

fn now() -> Option<i64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.ok()?.as_millis()).ok()
}

/// Checks a version of a named policy, with what has grown since it was written.
pub(super) fn run_stored(
    arguments: &Arguments,
    policy: &str,
    global: &Global,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let client = &context.client;
    let url = client.url("policy", policy)?;
    let number = match arguments.version {
        Some(number) => number.to_string(),
        None => cell(&client.get(&url)?["default_version"]),
    };
    let stored = client.get(&format!("{url}/versions/{number}/check"))?;
    let options = Options {
        dialect: stored["dialect"].as_str().and_then(Dialect::by_name),
        kind: PolicyKind::Identity,
        organisation: global.profile.organisation.as_deref().unwrap_or("dev"),
        now: now(),
        catalogue: stored["catalogue"]
            .as_u64()
            .and_then(|number| u32::try_from(number).ok()),
    };
    let text = stored["document"].as_str().unwrap_or_default().to_owned();
    let name = format!("{policy} version {number}");
    tell(arguments, vec![(name, text)], &options, context.output)
}

/// Tells what is found in documents, each with its name.
fn tell(
    arguments: &Arguments,
    documents: Vec<(String, String)>,
    options: &Options<'_>,
    output: &Output,
) -> Result<(), Failure> {
    let mut all = Vec::new();
    for (name, text) in documents {
        let checked = Checked {
            name,
            report: check(&text, options),
            is_acl: options.dialect.map_or_else(
                || detect(&text) == Ok(Dialect::Acl),
                |dialect| dialect == Dialect::Acl,
            ),
            text,
        };
        match output.format() {
            Format::Text => output.line(in_words(&checked).trim_end())?,
            Format::Json => {
                for finding in &checked.report.findings {
                    output.line(&in_json(&checked.name, finding).to_string())?;
                }
                output.line(&summary(&checked).to_string())?;
            }
            Format::Sarif => {}
        }
        all.push(checked);
    }
    if output.format() == Format::Sarif {
        output.line(&format!("{:#}", sarif::log(&all)))?;
    }
    let findings = all.iter().flat_map(|checked| &checked.report.findings);
    let level = arguments.level.severity();
    let count = findings
        .filter(|finding| finding.rule.severity >= level)
        .count();
    if count == 0 {
        return Ok(());
    }
    let findings = if count == 1 { "finding" } else { "findings" };
    let from = match level {
        Severity::Error => String::new(),
        level => format!(" at or above `{level}`"),
    };
    let text = format!("{count} {findings}{from}");
    Err(Failure::new(Exit::Findings, text))
}

fn name(document: &str) -> String {
    match document {
        "-" => "stdin".to_owned(),
        text if text.trim_start().starts_with(['[', '{']) => "policy".to_owned(),
        file => file.to_owned(),
    }
}

fn explanation(rule: &Rule) -> String {
    let head = format!("{} ({}): {}", rule.code, rule.severity, rule.title);
    format!("{head}\n\n{}", wrapped(rule.explanation, 88))
}

fn wrapped(text: &str, width: usize) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

/// For people: each finding with the line it is on and what it points at.
fn in_words(checked: &Checked) -> String {
    let name = printable(&checked.name);
    let mut out = String::new();
    for finding in &checked.report.findings {
        let region = finding.region;
        let (severity, code) = (finding.rule.severity, finding.rule.code);
        let message = printable(&finding.message);
        let (line, column) = (region.line, region.column);
        out += &format!("{name}:{line}:{column}: {severity} {code}: {message}\n");
        out += &shown(&checked.text, region, checked.is_acl);
        let mut notes = Vec::new();
        if !finding.path.is_empty() {
            notes.push(format!("at {}", printable(&finding.path)));
        }
        if let Some(related) = &finding.related {
            let (path, line) = (printable(&related.path), related.region.line);
            notes.push(format!("see {path} in line {line}"));
        }
        if let Some(fix) = &finding.fix {
            let what = printable(&fix.description);
            if fix.replacement.is_empty() {
                notes.push(format!("fix: {what}"));
            } else {
                notes.push(format!("fix: {what}: {}", printable(&fix.replacement)));
            }
        }
        for note in notes {
            out += &format!("      = {note}\n");
        }
        out.push('\n');
    }
    let count = |severity: Severity| {
        let findings = checked.report.findings.iter();
        findings
            .filter(|finding| finding.rule.severity == severity)
            .count()
    };
    let verdict = match checked.report.statements {
        Some(1) => "valid: 1 statement".to_owned(),
        Some(count) => format!("valid: {count} statements"),
        None => "not valid".to_owned(),
    };
    let counts: Vec<String> = Severity::ALL
        .into_iter()
        .map(|severity| (severity, count(severity)))
        .filter(|(_, count)| *count > 0)
        .map(|(severity, count)| {
            let plural = match (severity, count) {
                (_, 1) => severity.name().to_owned(),
                (Severity::Security, _) => "security warnings".to_owned(),
                (severity, _) => format!("{severity}s"),
            };
            format!("{count} {plural}")
        })
        .collect();
    let counts = if counts.is_empty() {
        String::new()
    } else {
        format!("; {}", counts.join(", "))
    };
    out + &format!("{name}: {verdict}{counts}\n")
}

/// The line of a region, with carets under it. Long lines are cut around it.
fn shown(text: &str, region: Region, is_acl: bool) -> String {
    const BEFORE: usize = 60;
    const WIDTH: usize = 100;
    let bytes = text.as_bytes();
    let ends = |byte: &u8| matches!(byte, b'\n' | b'\r');
    // A line may be as long as the document: no more of it is looked at than is shown.
    let earliest = text.floor_char_boundary(region.from.saturating_sub(4 * (BEFORE + 1)));
    let latest = text.ceil_char_boundary(region.from + 4 * (WIDTH + 1));
    let start = bytes[earliest..region.from]
        .iter()
        .rposition(ends)
        .map_or(earliest, |at| earliest + at + 1);
    let end = bytes[region.from..latest]
        .iter()
        .position(ends)
        .map_or(latest, |at| region.from + at);
    let (Some(before), Some(rest)) = (text.get(start..region.from), text.get(region.from..end))
    else {
        return String::new();
    };
    let skipped = before.chars().count().saturating_sub(BEFORE);
    let mut line: String = before.chars().skip(skipped).collect();
    if skipped > 0 {
        line.insert(0, '…');
    }
    let indent = line.chars().count();
    let room = WIDTH.saturating_sub(indent).max(20);
    line.extend(rest.chars().take(room));
    if rest.chars().nth(room).is_some() {
        line.push('…');
    }
    let marked = text.get(region.from..region.to.min(end));
    let carets = marked.map_or(1, |marked| marked.chars().count().clamp(1, room));
    let line = if is_acl {
        without_passwords(&line)
    } else {
        line
    };
    let line: String = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let number = region.line;
    format!(
        "{number:>5} | {}\n      | {}{}\n",
        printable(line.trim_end()),
        " ".repeat(indent),
        "^".repeat(carets)
    )
}

/// Rules about passwords (`>…`, `<…`, `#…`, `!…`) as asterisks, so that the columns stay.
fn without_passwords(line: &str) -> String {
    let mut hidden = line.starts_with('…');
    let mut first = true;
    let mask = |c: char| {
        if c.is_whitespace() {
            (hidden, first) = (false, true);
            return c;
        }
        hidden |= first && matches!(c, '>' | '<' | '#' | '!');
        first = false;
        if hidden { '*' } else { c }
    };
    line.chars().map(mask).collect()
}

fn place(region: Region) -> Map<String, Value> {
    let mut place = Map::new();
    place.insert("line".into(), region.line.into());
    place.insert("column".into(), region.column.into());
    place.insert("end_line".into(), region.end_line.into());
    place.insert("end_column".into(), region.end_column.into());
    place
}

fn in_json(name: &str, finding: &Finding) -> Value {
    let mut shown = Map::new();
    shown.insert("file".into(), name.into());
    shown.insert("code".into(), finding.rule.code.into());
    shown.insert("severity".into(), finding.rule.severity.name().into());
    shown.append(&mut place(finding.region));
    shown.insert("path".into(), finding.path.as_str().into());
    shown.insert("message".into(), finding.message.as_str().into());
    if let Some(related) = &finding.related {
        let mut other = place(related.region);
        other.insert("path".into(), related.path.as_str().into());
        shown.insert("related".into(), other.into());
    }
    if let Some(fix) = &finding.fix {
        let mut change = place(fix.region);
        change.insert("description".into(), fix.description.as_str().into());
        change.insert("replacement".into(), fix.replacement.as_str().into());
        shown.insert("fix".into(), change.into());
    }
    shown.into()
}

fn summary(checked: &Checked) -> Value {
    let count = |severity: Severity| {
        let findings = checked.report.findings.iter();
        let same = findings.filter(|finding| finding.rule.severity == severity);
        (severity.name().to_owned(), Value::from(same.count()))
    };
    let counts: Map<String, Value> = Severity::ALL.into_iter().map(count).collect();
    json!({
        "file": checked.name,
        "valid": checked.report.statements.is_some(),
        "statements": checked.report.statements,
        "catalogue": CATALOGUE_VERSION,
        "findings": counts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Checked {
        let options = Options {
            dialect: None,
            kind: PolicyKind::Identity,
            organisation: "dev",
            now: None,
            catalogue: None,
        };
        Checked {
            name: "p.json".to_owned(),
            text: text.to_owned(),
            is_acl: detect(text) == Ok(Dialect::Acl),
            report: check(text, &options),
        }
    }

    #[test]
    fn folders_stand_for_the_policies_below() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir(at("b")).unwrap();
        for name in ["c.json", "a.acl", "b/d.json", "b/README.md"] {
            std::fs::write(at(name), "").unwrap();
        }
        let given = [
            at(""),
            "-".to_owned(),
            "[]".to_owned(),
            "none.json".to_owned(),
        ];
        let found = with_folders(&given).unwrap();
        let expected = [at("a.acl"), at("b/d.json"), at("c.json")];
        assert_eq!(found[..3], expected);
        assert_eq!(found[3..], given[1..]);
        std::fs::remove_file(at("b/d.json")).unwrap();
        assert!(with_folders(&[at("b")]).is_err());
    }

    #[test]
    fn for_people() {
        let text = "[{\"Effect\": \"Allow\", \"Actions\": [\"kvdb:ExecuteGet\"],\n  \"Resources\": [\"kvdb/*\"]}]";
        let expected = "p.json:2:17: suggestion I002: `kvdb/*` covers every `kvdb`, later ones included: name the ids if a few will do
    2 |   \"Resources\": [\"kvdb/*\"]}]
      |                 ^^^^^^^^
      = at [0].Resources[0]

p.json: valid: 1 statement; 1 suggestion
";
        assert_eq!(in_words(&checked(text)), expected);
        let broken = in_words(&checked("[\u{1b}"));
        assert!(!broken.contains('\u{1b}'), "{broken}");
        assert!(broken.ends_with("p.json: not valid; 1 error\n"), "{broken}");
    }

    #[test]
    fn no_passwords() {
        let shown = in_words(&checked(
            "user a on >secret nopass #0123 ~x* +keys\nuser b off",
        ));
        assert!(shown.contains("on ******* nopass ***** ~x*"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn long_lines_are_cut() {
        let keys = format!("\"{}\"", "é".repeat(900));
        let text = format!(
            "[{{\"Effect\": \"Allow\", \"Actions\": [\"kvdb:ExecuteGet\"], \"Keys\": [{keys}], \"Resources\": [\"kvdb/*\"]}}]"
        );
        let shown = in_words(&checked(&text));
        assert!(
            shown.lines().all(|line| line.chars().count() < 140),
            "{shown}"
        );
        assert!(shown.contains("^^^^^^^^"), "{shown}");
    }

    #[test]
    fn for_programs() {
        let text = "[{\"Effect\": \"Allow\", \"Actions\": [\"kvdb:ExecuteGet\", \"kvdb:ExecuteGet\"], \"Resources\": [\"kvdb/a\"]}]";
        let checked = checked(text);
        let shown: Vec<Value> = checked
            .report
            .findings
            .iter()
            .map(|finding| in_json("p.json", finding))
            .collect();
        let expected = json!([{
            "file": "p.json", "code": "I001", "severity": "suggestion",
            "line": 1, "column": 53, "end_line": 1, "end_column": 70,
            "path": "[0].Actions[1]", "message": "`kvdb:ExecuteGet` stands twice in the list",
            "fix": {
                "line": 1, "column": 51, "end_line": 1, "end_column": 70,
                "description": "remove it", "replacement": "",
            },
        }]);
        assert_eq!(Value::from(shown), expected);
        assert_eq!(summary(&checked)["findings"]["suggestion"], 1);
    }
}
