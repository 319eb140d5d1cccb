//! The files of an organisation's state.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use keyward_policy::{Dialect, Finding, PolicyKind};
use serde_json::{Value, json};

use super::entity::{self, Entity};
use super::kind::Form;
use super::written;
use crate::failure::{Exit, Failure};
use crate::output::printable;
use crate::yaml::{self, Node, Place};

/// Longest file that is read, in bytes.
const MAX_FILE_LEN: u64 = 64 * 1024 * 1024;

/// Most files that are read.
const MAX_FILES: usize = 200_000;

/// Deepest folder.
const MAX_DEPTH: usize = 16;

/// Endings of files that are read out of folders.
pub(super) const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// What files say.
pub(super) struct Desired {
    /// Id of the organisation that they are of, if they say so.
    pub(super) organisation: Option<String>,
    /// Documents, with the file that each is in.
    documents: Vec<(String, Node)>,
}

fn failed(place: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, printable(&format!("`{place}`: {error}")))
}

/// Files and those in folders, in order. Names that begin with a dot are passed over.
fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let told = path.display().to_string();
    if !fs::metadata(path)
        .map_err(|error| failed(&told, &error))?
        .is_dir()
    {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth > MAX_DEPTH {
        return Err(failed(&told, &"folders are nested too deep"));
    }
    let entries = fs::read_dir(path).map_err(|error| failed(&told, &error))?;
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in entries {
        found.push(entry.map_err(|error| failed(&told, &error))?.path());
    }
    found.sort_unstable();
    for path in found {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        if path.is_dir() || ENDINGS.contains(&&*ending) {
            collect(&path, depth + 1, files)?;
        }
        if files.len() > MAX_FILES {
            return Err(failed(&told, &format!("more than {MAX_FILES} files")));
        }
    }
    Ok(())
}

fn text_of(path: &Path) -> Result<String, Failure> {
    let told = path.display().to_string();
    let mut text = String::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin()
            .lock()
            .take(MAX_FILE_LEN)
            .read_to_string(&mut text),
        false => {
            File::open(path).and_then(|file| file.take(MAX_FILE_LEN).read_to_string(&mut text))
        }
    };
    let read = read.map_err(|error| failed(&told, &error))?;
    if read as u64 == MAX_FILE_LEN {
        return Err(failed(&told, &"the file is too long"));
    }
    Ok(text)
}

/// Mistakes that are told before the rest is not looked at.
const MAX_PROBLEMS: usize = 250;

impl Desired {
    /// Reads files, folders and `-`.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut files = Vec::new();
        for path in paths {
            if path == Path::new("-") {
                files.push(path.clone());
            } else {
                collect(path, 0, &mut files)?;
            }
        }
        let mut documents = Vec::new();
        let mut problems = Vec::new();
        for path in files {
            let name = path.display().to_string();
            let text = text_of(&path)?;
            let is_json = path.extension().is_some_and(|ending| ending == "json");
            let read = match is_json {
                true => yaml::read_json(&text),
                false => yaml::read_all(&text),
            };
            match read {
                Err(error) => problems.push(format!("{name}:{error}")),
                Ok(nodes) => {
                    for node in nodes {
                        // A list of things is as good as one after the other.
                        match node.content {
                            yaml::Content::List(items) => {
                                documents
                                    .extend(items.into_iter().map(|item| (name.clone(), item)));
                            }
                            _ => documents.push((name.clone(), node)),
                        }
                    }
                }
            }
        }
        let mut organisation: Option<(String, &str)> = None;
        for (file, node) in &documents {
            let Some(id) = written::organisation_of(node) else {
                continue;
            };
            match &organisation {
                Some((known, first)) if known != id => problems.push(format!(
                    "{file}:{}: org/{id}, and {first} is of org/{known}: one organisation at a time",
                    node.at
                )),
                Some(_) => {}
                None => organisation = Some((id.to_owned(), file)),
            }
        }
        refuse(problems, Exit::Failed)?;
        if documents.is_empty() {
            // With --prune it would be everything that goes.
            let paths: Vec<String> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let text = format!("nothing is in {}", paths.join(", "));
            return Err(Failure::new(Exit::Usage, printable(&text)));
        }
        Ok(Self {
            organisation: organisation.map(|(id, _)| id),
            documents,
        })
    }

    /// The things, by path, as those of an organisation.
    pub(super) fn entities(&self, organisation: &str) -> Result<BTreeMap<String, Entity>, Failure> {
        let mut entities: BTreeMap<String, Entity> = BTreeMap::new();
        let (mut problems, mut findings) = (Vec::new(), Vec::new());
        for (file, node) in &self.documents {
            match written::from_file(node, file, organisation) {
                Err(_) if problems.len() >= MAX_PROBLEMS => {
                    problems.push("and more".to_owned());
                    break;
                }
                Err(found) => {
                    problems.extend(found.iter().map(|error| format!("{file}:{error}")));
                }
                Ok(mut entity) => {
                    if entity.kind.word == "org" {
                        // Of whatever organisation they are made.
                        entity.id = organisation.to_owned();
                        entity.path = format!("org/{organisation}");
                    }
                    findings.extend(check(&entity, organisation));
                    let (place, path) = (entity.place(), entity.path.clone());
                    if let Some(first) = entities.insert(path.clone(), entity) {
                        let text = format!("{place}: {path} is in {}, too", first.place());
                        problems.push(text);
                    }
                }
            }
        }
        refuse(problems, Exit::Failed)?;
        refuse(findings, Exit::Findings)?;
        Ok(entities)
    }

    /// Whether any text names something of an organisation in full.
    pub(super) fn names(&self, organisation: &str) -> Vec<&str> {
        let full = format!("org/{organisation}/");
        let files = self.documents.iter();
        let mut files: Vec<&str> = files
            .filter(|(_, node)| node.json().to_string().contains(&full))
            .map(|(file, _)| file.as_str())
            .collect();
        files.dedup();
        files
    }
}

fn refuse(problems: Vec<String>, exit: Exit) -> Result<(), Failure> {
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(exit, printable(&problems.join("\n")))),
    }
}

/// What is wrong with the documents of a thing.
fn check(entity: &Entity, organisation: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let (Some(conditions), Some(trustee)) = (
        entity.fields.get("conditions"),
        entity.fields.get("trustee"),
    ) {
        // As the directory reads them: of a statement that accepts the trustee.
        let statement = json!({
            "Effect": "Allow", "Actions": ["*"], "Identities": [trustee], "Conditions": conditions,
        });
        let text = json!([statement]).to_string();
        let native = Some(Dialect::Native);
        let read = keyward_policy::read_as(native, &text, PolicyKind::Resource, organisation);
        let findings = read.err().map(|findings| findings.0).unwrap_or_default();
        let place = entity.place_of("conditions");
        found.extend(findings.iter().map(|finding| {
            let at = finding.path.trim_start_matches("[0].");
            format!("{place}: {at}: {}", finding.message)
        }));
    }
    for field in entity.kind.fields {
        let (kind, documents): (_, Vec<&Value>) = match (field.form, entity.fields.get(field.name))
        {
            (Form::Document(kind), Some(document)) => (kind, vec![document]),
            (Form::Policies, Some(Value::Array(list))) => {
                (PolicyKind::Identity, list.iter().collect())
            }
            (Form::Versions, Some(Value::Object(versions))) => {
                (PolicyKind::Identity, versions.values().collect())
            }
            _ => continue,
        };
        for (number, document) in documents.into_iter().enumerate() {
            if document.get("text").is_none() {
                continue;
            }
            let (dialect, text) = entity::document_parts(document);
            let dialect = Dialect::by_name(dialect);
            let Err(findings) = keyward_policy::read_as(dialect, text, kind, organisation) else {
                continue;
            };
            let begin = entity.text_at.get(&(field.name, number));
            found.extend(findings.0.iter().map(|finding| match begin {
                Some(begin) => {
                    let at = place_in(*begin, finding);
                    format!("{}:{at}: {}: {}", entity.file, field.name, finding.message)
                }
                None => format!("{}: {}:{finding}", entity.place_of(field.name), field.name),
            }));
        }
    }
    found
}

/// Where a finding stands in the file, whose lines the document's are behind an indentation.
fn place_in(begin: Place, finding: &Finding) -> Place {
    let of = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    Place {
        line: begin.line.saturating_add(of(finding.line)) - 1,
        column: begin.column.saturating_add(of(finding.column)) - 1,
    }
}
