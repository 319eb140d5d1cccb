//! The whole state of an organisation as files: written, read, compared and put into force.

mod calls;
mod entity;
mod files;
mod kind;
mod plan;
mod text;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::client::Client;
use crate::confirm::confirm;
use crate::failure::{Exit, Failure};
use crate::output::{Format, Output, note, printable};
use crate::yaml;
use calls::Call;
use entity::Entity;
use files::Desired;
use plan::{Action, Current, Plan, Prune};

/// Exit code of `--plan` when there is something to do.
const CHANGES: u8 = 2;

/// Bring an organisation to the state that files describe.
///
/// What is in the files and not on the server is created, what differs is changed; what is in no
/// file stays, unless --prune is given. A second apply finds nothing to do. Secrets are in no file,
/// and no access keys are made.
///
/// Exit code 0: done, or nothing to do. With --plan nothing is changed, and the exit code is 0 if
/// there is nothing to do, and 2 if there is. If a step fails, what was done and what was not is
/// told, the exit code is that of the failure, and the same command goes on from there. Nothing is
/// overwritten that somebody else changed since the plan: that step fails.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward apply -f state --plan
  keyward apply -f state
  keyward apply -f state --expect 5d1c0e7a9b2f4683
  keyward apply -f state --prune --yes
  keyward --organisation acme apply -f databases.yaml -f trusts.yaml")]
pub(crate) struct Apply {
    /// A file, a folder of .yaml, .yml and .json, or `-`; may be given several times.
    #[arg(short, long = "file", required = true, value_name = "PATH")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
    /// Delete what is in no file, too; never databases.
    #[arg(long)]
    prune: bool,
    /// Delete databases that are in no file, with their data.
    #[arg(long)]
    prune_databases: bool,
    /// Delete without asking.
    #[arg(long, short)]
    yes: bool,
}

/// Make an organisation out of an export: of this or another name, here or on another server.
///
/// Only creates: if something is there already and differs, everything is refused before anything
/// is done. With --organisation it becomes an organisation of that name.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward import state
  keyward --organisation acme-test import state --plan
  keyward export - | keyward --profile other import -")]
pub(crate) struct Import {
    /// Files, folders of .yaml, .yml and .json, or `-`.
    #[arg(required = true, value_name = "PATH")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct How {
    /// Only tell what would be done. Exit code 0 if there is nothing to do, 2 if there is.
    #[arg(long, visible_alias = "dry-run")]
    plan: bool,
    /// Do it only if the plan is this one, which --plan told: nothing has changed since, neither the
    /// files nor what they are about.
    #[arg(long, value_name = "PLAN", conflicts_with = "plan")]
    expect: Option<String>,
    /// When a step fails go on with the things that it is no part of.
    #[arg(long)]
    keep_going: bool,
}

/// Write everything that an organisation has into files, without secrets.
///
/// One file for each thing, `<kind>/<id>.yaml`. Policies stand there as they were written, in their
/// dialect. What the caller may not see is left out, and told. Keys and snapshots are data, and not
/// exported: `keyward snapshot` copies those.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward export state
  keyward export state --format json --prune
  keyward export - > state.yaml")]
pub(crate) struct Export {
    /// The folder, or `-` for standard output.
    #[arg(value_name = "DIR")]
    place: PathBuf,
    /// What the files are: yaml, but json on standard output with --output json.
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// List the access keys of identities (id, status and description), for readers.
    #[arg(long)]
    keys: bool,
    /// Delete files of an earlier export whose things are gone.
    #[arg(long)]
    prune: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum FileFormat {
    Yaml,
    Json,
}

impl FileFormat {
    fn ending(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
        }
    }

    fn text(self, document: &Value) -> String {
        match self {
            Self::Yaml => yaml::write(document),
            Self::Json => format!("{document:#}\n"),
        }
    }
}

/// Everything that an organisation has; none if there is no such organisation.
fn state(client: &Client, organisation: &str) -> Result<Option<Value>, Failure> {
    let url = format!("/v1/org/{organisation}/state");
    match client.get(&url) {
        Ok(state) => Ok(Some(state)),
        Err(failure) if failure.exit() == Exit::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The path of the caller.
fn me(client: &Client) -> Result<String, Failure> {
    let me = client.get("/v1/whoami")?;
    let path = me.get("principal").and_then(Value::as_str);
    Ok(path.unwrap_or_default().to_owned())
}

/// Id of an organisation that was named by id or path.
fn id_of(name: &str) -> &str {
    name.strip_prefix("org/").unwrap_or(name)
}

pub(crate) fn apply(
    arguments: &Apply,
    client: &Client,
    said: Option<&str>,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let desired = Desired::read(&arguments.files)?;
    let said = said.map(id_of);
    let organisation = match (&desired.organisation, said) {
        (Some(files), Some(said)) if files != said => {
            let text = format!(
                "the files are of org/{files}, and --organisation says org/{said}: `keyward import` \
                 makes another organisation of them"
            );
            return Err(Failure::new(Exit::Usage, text));
        }
        (Some(files), _) => files.clone(),
        (None, _) => client.organisation()?.to_owned(),
    };
    let prune = Prune {
        things: arguments.prune,
        databases: arguments.prune_databases,
    };
    let entities = desired.entities(&organisation)?;
    let state = state(client, &organisation)?;
    if state.is_none() && desired.organisation.is_none() {
        let text = format!("there is no `org/{organisation}`, and no file makes it (`kind: org`)");
        return Err(Failure::new(Exit::NotFound, text));
    }
    let current = Current::of(state.as_ref(), &organisation);
    let me = me(client)?;
    let plan = plan::plan(&entities, &current, prune, &me);
    let run = Run {
        client,
        output,
        organisation: &organisation,
        plan,
        me: &me,
    };
    if (arguments.prune || arguments.prune_databases) && !current.incomplete.is_empty() {
        let kinds = current.incomplete.join(", ");
        note(&format!(
            "not everything can be seen, and what cannot be seen stays: {kinds}"
        ));
    }
    run.go(&arguments.how, !arguments.yes)
}

pub(crate) fn import(
    arguments: &Import,
    client: &Client,
    said: Option<&str>,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let desired = Desired::read(&arguments.files)?;
    let organisation = match (said.map(id_of), &desired.organisation) {
        (Some(said), _) => said.to_owned(),
        (None, Some(files)) => files.clone(),
        (None, None) => client.organisation()?.to_owned(),
    };
    if let Some(from) = desired.organisation.as_ref()
        && *from != organisation
    {
        for file in desired.names(from) {
            note(&printable(&format!(
                "{file} names things of org/{from} in full: they stay as they are"
            )));
        }
    }
    let entities = desired.entities(&organisation)?;
    let state = state(client, &organisation)?;
    let current = Current::of(state.as_ref(), &organisation);
    let nothing = Prune {
        things: false,
        databases: false,
    };
    let me = me(client)?;
    let mut plan = plan::plan(&entities, &current, nothing, &me);
    let differ: Vec<String> = plan
        .steps
        .iter()
        .filter(|step| step.action == Action::Change && step.entity.kind.word != "org")
        .map(|step| {
            let fields: Vec<&str> = step
                .changes
                .iter()
                .map(|change| change.field.name)
                .collect();
            let (place, path) = (step.entity.place(), &step.entity.path);
            format!(
                "{place}: {path} is there and differs: {}",
                fields.join(", ")
            )
        })
        .collect();
    plan.problems.extend(differ);
    let run = Run {
        client,
        output,
        organisation: &organisation,
        plan,
        me: &me,
    };
    run.go(&arguments.how, false)
}

/// What became of a step.
#[derive(Clone, Debug)]
enum Outcome {
    Waits,
    Done,
    Failed {
        what: String,
        failure: String,
        partly: bool,
    },
}

/// A plan on its way.
struct Run<'a> {
    client: &'a Client,
    output: &'a Output,
    organisation: &'a str,
    plan: Plan,
    me: &'a str,
}

impl Run<'_> {
    fn go(&self, how: &How, ask: bool) -> Result<ExitCode, Failure> {
        let plan = &self.plan;
        for text in &plan.notes {
            note(&printable(text));
        }
        if !plan.problems.is_empty() {
            let text = printable(&plan.problems.join("\n"));
            return Err(Failure::new(Exit::Conflict, text));
        }
        if let Some(expected) = &how.expect
            && *expected != plan.id()
        {
            let text = format!(
                "the plan is no longer {}, but {}: --plan shows it; nothing was done",
                printable(expected),
                plan.id()
            );
            return Err(Failure::new(Exit::Conflict, text));
        }
        let is_json = self.output.format() == Format::Json;
        if how.plan || !is_json {
            self.show(how.plan)?;
        }
        if how.plan {
            let changes = !plan.steps.is_empty();
            return Ok(ExitCode::from(if changes { CHANGES } else { 0 }));
        }
        if plan.steps.is_empty() {
            self.summary(&[])?;
            return Ok(ExitCode::SUCCESS);
        }
        // Before anything is asked or done: a password may be missing.
        let calls = calls::calls(plan, self.me)?;
        if ask {
            self.confirm()?;
        }
        self.perform(&calls, how.keep_going)
    }

    /// The plan.
    fn show(&self, is_all: bool) -> Result<(), Failure> {
        let plan = &self.plan;
        let [create, change, delete] = plan.counts();
        if self.output.format() == Format::Json {
            for step in &plan.steps {
                self.output.line(&step.json().to_string())?;
            }
            let summary = json!({ "summary": {
                "organisation": format!("org/{}", self.organisation),
                "create": create, "change": change, "delete": delete, "unmanaged": plan.left,
                "plan": plan.id(),
            } });
            return Ok(self.output.line(&summary.to_string())?);
        }
        let mut text = String::new();
        for step in &plan.steps {
            text.push_str(&step.text(self.organisation));
        }
        if plan.steps.is_empty() {
            text.push_str(&format!(
                "No changes: org/{} is as the files say.\n",
                self.organisation
            ));
        } else if is_all {
            text.push_str(&format!(
                "Plan for org/{}: {create} to create, {change} to change, {delete} to delete.\n",
                self.organisation
            ));
        }
        if is_all && !plan.steps.is_empty() {
            text.push_str(&format!(
                "This plan, and no other, is done with --expect {}.\n",
                plan.id()
            ));
        }
        if !plan.left.is_empty() {
            let left: Vec<&str> = plan
                .left
                .iter()
                .map(|path| entity::short(path, self.organisation))
                .collect();
            text.push_str(&format!(
                "In no file, and left alone: {}.\n",
                shortened(&left)
            ));
        }
        Ok(self.output.line(text.trim_end())?)
    }

    /// Asks before anything is deleted.
    fn confirm(&self) -> Result<(), Failure> {
        let gone = self.plan.steps.iter();
        let gone: Vec<&str> = gone
            .filter(|step| step.action == Action::Delete)
            .map(|step| entity::short(&step.entity.path, self.organisation))
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        let what = format!(
            "{} of org/{} ({})",
            count(gone.len(), "thing"),
            self.organisation,
            shortened(&gone)
        );
        let question = format!("Delete {what}? Type `{}` to go on:", self.organisation);
        let unasked = format!("would delete {what}: give --yes where nobody can be asked");
        confirm(&question, &[self.organisation], unasked)
    }

    fn perform(&self, calls: &[Call], keep_going: bool) -> Result<ExitCode, Failure> {
        let mut outcomes = vec![Outcome::Waits; self.plan.steps.len()];
        let mut left: Vec<usize> = vec![0; outcomes.len()];
        for call in calls {
            if let Some(left) = left.get_mut(call.step) {
                *left += 1;
            }
        }
        let all = left.clone();
        let mut first: Option<Failure> = None;
        // The entity tag of each thing as the plan saw it, then as the last call left it.
        let steps = self.plan.steps.iter();
        let mut seen: Vec<Option<String>> = steps.map(|step| step.seen.clone()).collect();
        for call in calls {
            let (Some(outcome), Some(left), Some(seen)) = (
                outcomes.get_mut(call.step),
                left.get_mut(call.step),
                seen.get_mut(call.step),
            ) else {
                continue;
            };
            if matches!(outcome, Outcome::Failed { .. }) {
                continue;
            }
            match self.make(call, seen) {
                Ok(()) => {
                    *left -= 1;
                    if *left == 0 {
                        *outcome = Outcome::Done;
                        self.tell(call.step)?;
                    }
                }
                Err(failure) => {
                    let text = match failure.changed_meanwhile() {
                        None => failure.to_string(),
                        Some(fields) if fields.is_empty() => {
                            "changed since the plan, and left as it is now".to_owned()
                        }
                        Some(fields) => format!(
                            "changed since the plan ({}), and left as it is now",
                            fields.join(", ")
                        ),
                    };
                    *outcome = Outcome::Failed {
                        what: call.what.clone(),
                        failure: text,
                        partly: all.get(call.step) != Some(left),
                    };
                    first.get_or_insert(failure);
                    if !keep_going {
                        break;
                    }
                }
            }
        }
        // A thing that some calls were made for, and not all, is half of what the files say.
        for (at, outcome) in outcomes.iter_mut().enumerate() {
            if matches!(outcome, Outcome::Waits) && left.get(at) != all.get(at) {
                *outcome = Outcome::Failed {
                    what: "finish".to_owned(),
                    failure: "another thing failed first".to_owned(),
                    partly: true,
                };
            }
        }
        self.summary(&outcomes)?;
        match first {
            None => Ok(ExitCode::SUCCESS),
            Some(failure) => {
                let text = self.report(&outcomes);
                Err(failure.with_text(text))
            }
        }
    }

    /// Makes a call, if the thing is still as it was `seen`. Who was invited is told at once, since the
    /// link is shown only now.
    fn make(&self, call: &Call, seen: &mut Option<String>) -> Result<(), Failure> {
        let body = call.body.as_ref().map(|body| body.as_str());
        let send = |url: &str| self.client.send_if(call.method, url, body, seen.as_deref());
        let answer = match send(&call.url) {
            // No file has keys: they go with their identity, which the plan says goes.
            Err(failure) if call.method == "DELETE" && failure.is_about_keys_alone() => {
                send(&format!("{}?cascade=true", call.url))?
            }
            answer => answer?,
        };
        *seen = answer.etag;
        let answer = answer.body;
        let link = ["invitation_link", "invitation_url"]
            .iter()
            .find_map(|field| answer.get(*field).and_then(Value::as_str));
        if let Some(link) = link {
            let path = answer["path"].as_str().unwrap_or_default();
            match self.output.format() {
                Format::Json => {
                    let invited = json!({ "invited": path, "invitation_link": link });
                    self.output.line(&invited.to_string())?;
                }
                _ => self
                    .output
                    .line(&printable(&format!("invited {path}: {link}")))?,
            }
        }
        Ok(())
    }

    /// A step that was done.
    fn tell(&self, at: usize) -> Result<(), Failure> {
        let Some(step) = self.plan.steps.get(at) else {
            return Ok(());
        };
        if self.output.format() == Format::Json {
            let mut shown = step.json();
            shown["result"] = "done".into();
            self.output.line(&shown.to_string())?;
        }
        Ok(())
    }

    /// How many steps were done.
    fn summary(&self, outcomes: &[Outcome]) -> Result<(), Failure> {
        let of = |action| {
            let steps = self.plan.steps.iter().zip(outcomes);
            steps
                .filter(|(step, outcome)| step.action == action && matches!(outcome, Outcome::Done))
                .count()
        };
        let [create, change, delete] = [Action::Create, Action::Change, Action::Delete].map(of);
        if self.output.format() == Format::Json {
            for (step, outcome) in self.plan.steps.iter().zip(outcomes) {
                let mut shown = step.json();
                match outcome {
                    Outcome::Done => continue,
                    Outcome::Waits => shown["result"] = "not tried".into(),
                    Outcome::Failed {
                        what,
                        failure,
                        partly,
                    } => {
                        shown["result"] = if *partly { "partly done" } else { "failed" }.into();
                        shown["error"] = format!("{what}: {failure}").into();
                    }
                }
                self.output.line(&shown.to_string())?;
            }
            let open = outcomes
                .iter()
                .filter(|outcome| !matches!(outcome, Outcome::Done))
                .count();
            let summary = json!({ "summary": {
                "organisation": format!("org/{}", self.organisation),
                "created": create, "changed": change, "deleted": delete, "open": open,
                "unmanaged": self.plan.left,
            } });
            return Ok(self.output.line(&summary.to_string())?);
        }
        if outcomes.is_empty() {
            return Ok(());
        }
        let text = format!(
            "Applied to org/{}: {create} created, {change} changed, {delete} deleted.",
            self.organisation
        );
        Ok(self.output.line(&text)?)
    }

    /// What was not done, and why.
    fn report(&self, outcomes: &[Outcome]) -> String {
        let mut text = String::new();
        let mut open: Vec<&str> = Vec::new();
        for (step, outcome) in self.plan.steps.iter().zip(outcomes) {
            let path = entity::short(&step.entity.path, self.organisation);
            match outcome {
                Outcome::Done => {}
                Outcome::Waits => open.push(path),
                Outcome::Failed {
                    what,
                    failure,
                    partly,
                } => {
                    let half = if *partly { " (partly done)" } else { "" };
                    if step.entity.at.is_some() {
                        text.push_str(&format!("{}: ", step.entity.place()));
                    }
                    text.push_str(&format!("{path}{half}: {what}: {failure}\n"));
                }
            }
        }
        if !open.is_empty() {
            text.push_str(&format!("not tried: {}\n", shortened(&open)));
        }
        text.push_str("the same command plans anew, and goes on from here");
        printable(&text)
    }
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

/// The first of a list, and how many more there are.
fn shortened(all: &[&str]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<String> = all.iter().take(SHOWN).map(|text| printable(text)).collect();
    let shown = shown.join(", ");
    match all.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

pub(crate) fn export(arguments: &Export, client: &Client, output: &Output) -> Result<(), Failure> {
    let organisation = client.organisation()?.to_owned();
    let is_stdout = arguments.place == Path::new("-");
    let format = arguments.format.unwrap_or(match output.format() {
        Format::Json if is_stdout => FileFormat::Json,
        _ => FileFormat::Yaml,
    });
    let Some(state) = state(client, &organisation)? else {
        let text = format!("there is no `org/{organisation}` that you may see");
        return Err(Failure::new(Exit::NotFound, text));
    };
    let current = Current::of(Some(&state), &organisation);
    let mut files: BTreeMap<PathBuf, Value> = BTreeMap::new();
    let mut unseen: BTreeSet<String> = current.incomplete.iter().cloned().collect();
    for entity in current.entities.values() {
        for field in &entity.unseen {
            unseen.insert(format!(
                "{field} of {}",
                entity::short(&entity.path, &organisation)
            ));
        }
        let entity = shown(entity, arguments.keys);
        let as_text = format == FileFormat::Yaml;
        let document = written::to_file(&entity, &organisation, as_text);
        files.insert(file_of(&entity, format), document);
    }
    if !unseen.is_empty() {
        let unseen: Vec<&str> = unseen.iter().map(String::as_str).collect();
        note(&format!(
            "not all of it can be seen, and is left out: {}",
            shortened(&unseen)
        ));
    }
    if is_stdout {
        return to_stdout(files.values(), format, output);
    }
    let place = &arguments.place;
    for (path, document) in &files {
        write_file(&place.join(path), &format.text(document))?;
    }
    let stale = stale(place, &files)?;
    for path in &stale {
        let told = printable(&path.display().to_string());
        match arguments.prune {
            true => fs::remove_file(path).map_err(|error| of_file(path, &error))?,
            false => note(&format!(
                "{told} is of an earlier export: --prune deletes it"
            )),
        }
    }
    let number = files.len();
    let shown = json!({ "organisation": format!("org/{organisation}"), "files": number });
    let text = format!("wrote {} into {}", count(number, "file"), place.display());
    Ok(output.document(&shown, |_| printable(&text))?)
}

/// A thing as it is exported: access keys only if asked for, and never more than can be known.
fn shown(entity: &Entity, keys: bool) -> Entity {
    let mut entity = entity.clone();
    let listed = entity.fields.remove("access_keys");
    if let (true, Some(Value::Array(listed))) = (keys, listed)
        && !listed.is_empty()
    {
        let one = |key: &Value| {
            let mut shown = serde_json::Map::new();
            for field in ["id", "status", "description"] {
                if let Some(value) = key.get(field).filter(|value| !value.is_null()) {
                    shown.insert(field.to_owned(), value.clone());
                }
            }
            Value::Object(shown)
        };
        entity
            .fields
            .insert("access_keys", listed.iter().map(one).collect());
    }
    entity
}

fn file_of(entity: &Entity, format: FileFormat) -> PathBuf {
    let ending = format.ending();
    match entity.kind.word {
        "org" => PathBuf::from(format!("organisation.{ending}")),
        word => PathBuf::from(word).join(format!("{}.{ending}", entity.id)),
    }
}

fn to_stdout<'a>(
    documents: impl Iterator<Item = &'a Value>,
    format: FileFormat,
    output: &Output,
) -> Result<(), Failure> {
    for (at, document) in documents.enumerate() {
        match format {
            FileFormat::Json => output.line(&document.to_string())?,
            FileFormat::Yaml => {
                let between = if at > 0 { "---\n" } else { "" };
                let text = yaml::write(document);
                output.line(format!("{between}{text}").trim_end_matches('\n'))?;
            }
        }
    }
    Ok(())
}

fn of_file(path: &Path, error: &io::Error) -> Failure {
    let text = format!("`{}`: {error}", path.display());
    Failure::new(Exit::Failed, printable(&text))
}

/// Writes a file if it has another text.
fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| of_file(folder, &error))?;
    }
    let mut file = fs::File::create(path).map_err(|error| of_file(path, &error))?;
    file.write_all(text.as_bytes())
        .map_err(|error| of_file(path, &error))
}

/// Files where an export writes things, and that this one did not write.
fn stale(place: &Path, written: &BTreeMap<PathBuf, Value>) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let folders = kind::KINDS.iter().filter(|kind| kind.word != "org");
    for folder in folders.map(|kind| kind.word) {
        let entries = match fs::read_dir(place.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(|error| of_file(place, &error))?,
        };
        for entry in entries {
            let path = entry.map_err(|error| of_file(place, &error))?.path();
            let ending = path.extension().unwrap_or_default().to_string_lossy();
            let name = PathBuf::from(folder).join(path.file_name().unwrap_or_default());
            if files::ENDINGS.contains(&&*ending) && !written.contains_key(&name) {
                found.push(path);
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}
