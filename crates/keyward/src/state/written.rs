//! Things as files write them.

use std::collections::BTreeMap;
use std::path::Path;

use keyward_iam::{Slug, full_path};
use keyward_policy::Dialect;
use serde_json::{Map, Value, json};

use super::entity::{
    Entity, PASSWORD_VARIABLE, PasswordFrom, document, document_parts, forget_usual_trust_kind,
    mappings, path_of, policy_path, pruned, short, time,
};
use super::kind::{ACCEPTANCE, Field, Form, KINDS, Kind, Rule};
use super::text;
use crate::yaml::{Content, Entry, Node, Place, YamlError, error};

/// Whether a text is a document, and no reference to one.
fn is_document(text: &str) -> bool {
    text.trim_start().starts_with(['[', '{']) || text.trim().contains(char::is_whitespace)
}

/// A document in a file: as text, in place, or with the dialect that it is in.
fn document_of(node: &Node) -> Result<Value, YamlError> {
    let Content::Map(entries) = &node.content else {
        return plain_document(node, None);
    };
    if !has(entries, "document") {
        return plain_document(node, None);
    }
    let [dialect, document] = members(entries, ["dialect", "document"])?;
    let dialect = dialect.map(dialect_name).transpose()?;
    match document {
        Some(document) => plain_document(document, dialect),
        None => error(node.at, "expected a document"),
    }
}

fn plain_document(node: &Node, dialect: Option<&str>) -> Result<Value, YamlError> {
    match &node.content {
        Content::Scalar { text, .. } if is_document(text) || dialect.is_some() => {
            Ok(document(dialect, text))
        }
        Content::Scalar { .. } => error(node.at, "expected a document"),
        _ => Ok(document(dialect, &node.json().to_string())),
    }
}

/// A dialect that a file names.
fn dialect_name(node: &Node) -> Result<&str, YamlError> {
    let name = node.text("dialect")?;
    match Dialect::by_name(name) {
        Some(_) => Ok(name),
        None => {
            let text = format!("no dialect `{name}`: native, aws, tencent, alibaba or acl");
            error(node.at, text)
        }
    }
}

fn has(entries: &[Entry], name: &str) -> bool {
    entries.iter().any(|(known, ..)| known == name)
}

/// The entries of these names; any other is an error.
fn members<'a, const N: usize>(
    entries: &'a [Entry],
    names: [&str; N],
) -> Result<[Option<&'a Node>; N], YamlError> {
    let mut found = [None; N];
    for (name, at, node) in entries {
        match names.iter().position(|known| known == name) {
            Some(found_at) => {
                if let Some(place) = found.get_mut(found_at) {
                    *place = Some(node);
                }
            }
            None => {
                let known = names.join(", ");
                return error(*at, format!("unknown field `{name}`: expected {known}"));
            }
        }
    }
    Ok(found)
}

/// One policy of a list in a file.
fn attachment(node: &Node, organisation: &str) -> Result<Value, YamlError> {
    match &node.content {
        Content::Scalar { text, .. } if !is_document(text) => {
            Ok(json!({ "policy": policy_path(text.trim(), organisation) }))
        }
        Content::Map(entries) if has(entries, "policy") => {
            let [policy] = members(entries, ["policy"])?;
            let policy = policy.map(|node| node.text("policy")).transpose()?;
            let policy = policy.unwrap_or_default();
            Ok(json!({ "policy": policy_path(policy, organisation) }))
        }
        _ => document_of(node),
    }
}

/// Highest number of a version that files speak of.
const MAX_VERSION: u32 = 10_000;

const BACKEND_FIELDS: [&str; 5] = ["type", "address", "user", "password_env", "password_file"];

/// A backend in a file.
fn backend_of_file(node: &Node) -> Result<Value, YamlError> {
    let entries = node.map("backend")?;
    let [kind, address, user, variable, file] = members(entries, BACKEND_FIELDS)?;
    let kind = match kind {
        Some(kind) => kind.text("type")?,
        None => return error(node.at, "backend: no `type`: embedded or server"),
    };
    let mut backend = json!({ "type": kind });
    match (kind, address) {
        ("embedded", None) if entries.len() == 1 => return Ok(backend),
        ("embedded", _) => return error(node.at, "backend: an embedded one has only its `type`"),
        ("server", Some(address)) => {
            backend["address"] = address.text("address")?.to_ascii_lowercase().into();
        }
        ("server", None) => return error(node.at, "backend: a server has an `address`: host:port"),
        _ => return error(node.at, "backend: `type` is embedded or server"),
    }
    if let Some(user) = user {
        backend["user"] = user.text("user")?.into();
    }
    if variable.is_some() || file.is_some() {
        backend["password"] = true.into();
    }
    Ok(backend)
}

/// Where a file says that the password of its backend is; `folder` is that of the file.
fn password_of_file(node: &Node, folder: &Path) -> Result<Option<PasswordFrom>, YamlError> {
    let entries = node.map("backend")?;
    if let Some((_, at, _)) = entries.iter().find(|(name, ..)| name == "password") {
        let text = "a password is never in a file: `password_env: KEYWARD_PASSWORD_…` names a \
                    variable that has it, `password_file` a file";
        return error(*at, text);
    }
    let [_, _, _, variable, file] = members(entries, BACKEND_FIELDS)?;
    match (variable, file) {
        (Some(_), Some(second)) => error(second.at, "either `password_env` or `password_file`"),
        (None, None) => Ok(None),
        (Some(node), None) => {
            let name = node.text("password_env")?;
            let fits = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
            let behind = name.strip_prefix(PASSWORD_VARIABLE).unwrap_or_default();
            if behind.is_empty() || !behind.bytes().all(fits) {
                let text = format!("`password_env` names a variable {PASSWORD_VARIABLE}…");
                return error(node.at, text);
            }
            Ok(Some(PasswordFrom::Variable(name.to_owned())))
        }
        (None, Some(node)) => {
            let path = folder.join(node.text("password_file")?);
            Ok(Some(PasswordFrom::File(path)))
        }
    }
}

/// Where the text of a document begins, if it stands in the file as it is.
fn text_place(node: &Node) -> Option<Place> {
    match &node.content {
        Content::Scalar { block, .. } => *block,
        Content::Map(entries) => entries
            .iter()
            .find(|(name, ..)| name == "document")
            .and_then(|(_, _, node)| text_place(node)),
        Content::List(_) => None,
    }
}

/// The value of a field in a file; nothing if it says that nothing is set.
fn of_file(field: &Field, node: &Node, organisation: &str) -> Result<Option<Value>, YamlError> {
    let json = node.json();
    if json.is_null() || field.rule == Rule::Shown {
        return Ok(None);
    }
    let name = field.name;
    let wrong = |expected: &str| error(node.at, format!("{name}: expected {expected}"));
    let value = match field.form {
        Form::Text => Some(node.text(name)?.into()),
        Form::Flag => match json {
            Value::Bool(flag) => flag.then_some(true.into()),
            _ => return wrong("true or false"),
        },
        Form::Number => match json {
            Value::Number(_) => Some(json),
            _ => return wrong("a number"),
        },
        Form::Time => match time(node.text(name)?) {
            None => return wrong("a time such as 2030-01-01T00:00:00Z"),
            time => time,
        },
        Form::Path(kind) => {
            let path = node.text(name)?;
            let path = match path.contains('/') {
                true => full_path(path, organisation),
                false => format!("org/{organisation}/{kind}/{path}"),
            };
            Some(path.into())
        }
        Form::Tags => {
            let mut tags = BTreeMap::new();
            for (key, _, value) in node.map(name)? {
                tags.insert(key.as_str(), value.text(key)?);
            }
            (!tags.is_empty()).then(|| json!(tags))
        }
        Form::Policies => {
            let list = match &node.content {
                Content::List(items) => items
                    .iter()
                    .map(|item| attachment(item, organisation))
                    .collect::<Result<Vec<Value>, _>>()?,
                _ => return wrong("a list of policies"),
            };
            (!list.is_empty()).then(|| list.into())
        }
        Form::Document(_) => Some(document_of(node)?),
        Form::Versions => {
            let mut versions = Map::new();
            for (number, at, document) in node.map(name)? {
                match number.parse::<u32>() {
                    Ok(1..=MAX_VERSION) => {
                        versions.insert(number.clone(), document_of(document)?);
                    }
                    _ => {
                        let text = format!("{name}: a number from 1 to {MAX_VERSION}");
                        return error(*at, text);
                    }
                }
            }
            (!versions.is_empty()).then(|| versions.into())
        }
        Form::Backend => Some(backend_of_file(node)?),
        Form::Object => match &json {
            Value::Object(_) => pruned(&json),
            _ => return wrong("`name: value` entries"),
        },
        Form::List => match json {
            Value::Array(list) => (!list.is_empty()).then(|| list.into()),
            _ => return wrong("a list"),
        },
        Form::Mappings => match &json {
            Value::Array(list) if list.is_empty() => None,
            Value::Array(_) => Some(mappings(&json, &|path| full_path(path, organisation))),
            _ => return wrong("a list of mappings"),
        },
    };
    Ok(value)
}

/// The organisation that a document of a file is: its id.
pub(super) fn organisation_of(node: &Node) -> Option<&str> {
    let Content::Map(entries) = &node.content else {
        return None;
    };
    let text = |wanted: &str| {
        let entry = entries.iter().find(|(name, ..)| name == wanted);
        entry.and_then(|(_, _, node)| node.text(wanted).ok())
    };
    let kind = Kind::named(text("kind")?)?;
    text("id").filter(|_| kind.word == "org")
}

/// A thing in a file.
pub(super) fn from_file(
    node: &Node,
    file: &str,
    organisation: &str,
) -> Result<Entity, Vec<YamlError>> {
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let one = |found| vec![found];
    let Content::Map(entries) = &node.content else {
        let text = "expected a thing: `kind`, `id` and what it has";
        return error(node.at, text).map_err(one);
    };
    let text = |wanted: &str| {
        let entry = entries.iter().find(|(name, ..)| name == wanted);
        match entry {
            Some((_, _, node)) => node.text(wanted),
            None => error(node.at, format!("no `{wanted}`")),
        }
    };
    let word = text("kind").map_err(one)?;
    let Some(kind) = Kind::named(word) else {
        let words: Vec<&str> = KINDS.iter().map(|kind| kind.word).collect();
        let text = format!("no kind `{word}`: {}", words.join(", "));
        return error(node.at, text).map_err(one);
    };
    let id = text("id").map_err(one)?.to_owned();
    let mut problems = Vec::new();
    let mut fields = BTreeMap::new();
    let (mut field_at, mut text_at) = (BTreeMap::new(), BTreeMap::new());
    let mut password = None;
    for (name, at, value) in entries {
        if name == "kind" || name == "id" {
            continue;
        }
        let Some(field) = kind.field(name) else {
            let known: Vec<&str> = kind.fields.iter().map(|field| field.name).collect();
            let known = known.join(", ");
            let text = format!("a {} has no `{name}`: {known}", kind.word);
            problems.push(YamlError { at: *at, text });
            continue;
        };
        field_at.insert(field.name, *at);
        let texts: &[Node] = match (&value.content, field.form) {
            (Content::List(items), Form::Policies) => items,
            _ => std::slice::from_ref(value),
        };
        for (number, text) in texts.iter().enumerate() {
            if let Some(at) = text_place(text) {
                text_at.insert((field.name, number), at);
            }
        }
        if matches!(field.form, Form::Backend) {
            match password_of_file(value, folder) {
                Ok(found) => password = found,
                Err(found) => problems.push(found),
            }
            if !problems.is_empty() {
                continue;
            }
        }
        match of_file(field, value, organisation) {
            Ok(Some(value)) => {
                fields.insert(field.name, value);
            }
            Ok(None) => {}
            Err(found) => problems.push(found),
        }
    }
    if kind.word == "trust" {
        fields
            .entry("trustor")
            .or_insert_with(|| format!("org/{organisation}").into());
    }
    forget_usual_trust_kind(&mut fields);
    let is_slug = id.parse::<Slug>();
    if let (Err(found), true) = (is_slug, kind.word != ACCEPTANCE) {
        let at = entries.iter().find(|(name, ..)| name == "id");
        let at = at.map_or(node.at, |(_, _, id)| id.at);
        problems.push(YamlError {
            at,
            text: found.to_string(),
        });
    }
    for name in ["document", "trustee", "type"] {
        let needed = kind.field(name).is_some() && kind.word != ACCEPTANCE;
        if needed && !fields.contains_key(name) {
            let text = format!("a {} needs `{name}`", kind.word);
            problems.push(YamlError { at: node.at, text });
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Entity {
        path: path_of(kind, &id, organisation),
        id,
        fields,
        file: file.to_owned(),
        at: Some(node.at),
        field_at,
        text_at,
        password,
        ..Entity::empty(kind)
    })
}

/// A document as files write it.
fn written_document(document: &Value, as_text: bool) -> Value {
    let (dialect, text) = document_parts(document);
    let json = || serde_json::from_str::<Value>(text).ok();
    let body: Value = match as_text {
        // As it was written, if no reader would take it laid out.
        true => Some(text::layout(text))
            .filter(|text| text.len() <= keyward_policy::MAX_DOCUMENT_LEN)
            .unwrap_or_else(|| text.to_owned())
            .into(),
        // Only if nothing is lost: a number too long, a name twice.
        false => json()
            .filter(|json| text::compact(&json.to_string()) == text::compact(text))
            .unwrap_or_else(|| text.into()),
    };
    if keyward_policy::detect(text).is_ok_and(|told| told.name() == dialect) {
        body
    } else {
        json!({ "dialect": dialect, "document": body })
    }
}

/// The value of a field as files write it.
fn written(field: &Field, value: &Value, organisation: &str, as_text: bool) -> Value {
    match (field.form, value) {
        (Form::Path(_), Value::String(path)) => short(path, organisation).into(),
        (Form::Document(_), document) => written_document(document, as_text),
        (Form::Mappings, value) => mappings(value, &|path| short(path, organisation).to_owned()),
        (Form::Versions, Value::Object(versions)) => Value::Object(
            versions
                .iter()
                .map(|(number, document)| (number.clone(), written_document(document, as_text)))
                .collect(),
        ),
        (Form::Policies, Value::Array(list)) => {
            let one = |policy: &Value| match policy.get("policy").and_then(Value::as_str) {
                Some(path) => json!({ "policy": short(path, organisation) }),
                None => {
                    let document = written_document(policy, as_text);
                    match document.get("dialect") {
                        Some(_) => document,
                        None => json!({ "document": document }),
                    }
                }
            };
            list.iter().map(one).collect()
        }
        (_, value) => value.clone(),
    }
}

/// A thing as a document of a file; `as_text`: policies as the text that they are, for YAML.
pub(super) fn to_file(entity: &Entity, organisation: &str, as_text: bool) -> Value {
    let mut document = Map::new();
    document.insert("kind".to_owned(), entity.kind.word.into());
    document.insert("id".to_owned(), entity.id.as_str().into());
    for field in entity.kind.fields {
        let Some(value) = entity.fields.get(field.name) else {
            continue;
        };
        // It goes without saying, also where the files become another organisation.
        if field.name == "trustor" && *value == format!("org/{organisation}") {
            continue;
        }
        let mut value = written(field, value, organisation, as_text);
        if let (Form::Backend, Some(backend)) = (field.form, value.as_object_mut())
            && backend.remove("password").is_some()
        {
            let id = entity.id.to_ascii_uppercase().replace('-', "_");
            let variable = format!("{PASSWORD_VARIABLE}{id}");
            backend.insert("password_env".to_owned(), variable.into());
        }
        document.insert(field.name.to_owned(), value);
    }
    Value::Object(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is exported can be applied again, whatever its length.
    #[test]
    fn a_document_is_not_laid_out_beyond_what_a_reader_takes() {
        let one = r#"{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/a"]}"#;
        let text = |count: usize| format!("[{}]", vec![one; count].join(","));
        for (count, is_laid_out) in [(10, true), (13_000, false)] {
            let text = text(count);
            let written = written_document(&json!({ "dialect": "native", "text": text }), true);
            let written = written.as_str().unwrap();
            assert!(written.len() <= keyward_policy::MAX_DOCUMENT_LEN);
            assert_eq!(written.contains('\n'), is_laid_out);
        }
    }
}
