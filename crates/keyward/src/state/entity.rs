//! What an organisation has, in the one form in which files and the server's answer are compared:
//! paths in full, times and documents in one spelling, nothing where nothing is set.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use keyward_iam::{SystemPolicy, full_path};
use keyward_policy::Dialect;
use serde_json::{Map, Value, json};

use super::kind::{ACCEPTANCE, Field, Form, Kind};
use super::text;
use crate::yaml::Place;

/// One thing.
#[derive(Clone, Debug)]
pub(super) struct Entity {
    pub(super) kind: &'static Kind,
    pub(super) id: String,
    /// In full.
    pub(super) path: String,
    /// What is set, by the field's name.
    pub(super) fields: BTreeMap<&'static str, Value>,
    /// Fields of the server's thing that may not be seen.
    pub(super) unseen: Vec<&'static str>,
    /// The server's entity tag of it.
    pub(super) etag: Option<String>,
    /// What file it is in; empty if it is the server's.
    pub(super) file: String,
    /// Where in the file.
    pub(super) at: Option<Place>,
    /// Where its fields stand in the file.
    pub(super) field_at: BTreeMap<&'static str, Place>,
    /// Where the texts of documents begin that stand in the file as they are, by field and number.
    pub(super) text_at: BTreeMap<(&'static str, usize), Place>,
    /// Where the password of a backend is.
    pub(super) password: Option<PasswordFrom>,
}

/// Where a file says that a password is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum PasswordFrom {
    /// In a variable of the environment.
    Variable(String),
    /// In a file: its first line.
    File(PathBuf),
}

/// What the names of variables begin with that files may name: not every secret of whoever applies
/// them is theirs.
pub(super) const PASSWORD_VARIABLE: &str = "KEYWARD_PASSWORD_";

impl Entity {
    /// File and place, of what comes from files.
    pub(super) fn place(&self) -> String {
        match self.at {
            Some(at) => format!("{}:{at}", self.file),
            None => self.path.clone(),
        }
    }

    /// File and place of a field.
    pub(super) fn place_of(&self, field: &str) -> String {
        match self.field_at.get(field) {
            Some(at) => format!("{}:{at}", self.file),
            None => self.place(),
        }
    }

    /// What it is called in plans.
    pub(super) fn title(&self, organisation: &str) -> String {
        let path = short(&self.path, organisation);
        match self.kind.word {
            ACCEPTANCE => format!("acceptance of {path}"),
            _ => path.to_owned(),
        }
    }

    /// Nothing yet.
    pub(super) fn empty(kind: &'static Kind) -> Self {
        Self {
            kind,
            id: String::new(),
            path: String::new(),
            fields: BTreeMap::new(),
            unseen: Vec::new(),
            etag: None,
            file: String::new(),
            at: None,
            field_at: BTreeMap::new(),
            text_at: BTreeMap::new(),
            password: None,
        }
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    /// The two sides of a trust: trustor and trustee.
    pub(super) fn sides(&self) -> Option<(&str, &str)> {
        let sides = (self.text("trustor")?, self.text("trustee")?);
        (self.kind.word == "trust").then_some(sides)
    }

    /// The two sides of a trust that holds always, if it is one.
    pub(super) fn standing_trust(&self) -> Option<(&str, &str)> {
        let (trustor, trustee) = self.sides()?;
        let of_role = trustor.split('/').nth(2) == Some("role");
        let assumable = match self.text("trust_kind") {
            Some(kind) => kind == "assumable",
            None => of_role,
        };
        (!assumable).then_some((trustor, trustee))
    }
}

/// The full path of a thing.
pub(super) fn path_of(kind: &Kind, id: &str, organisation: &str) -> String {
    match kind.word {
        "org" => format!("org/{id}"),
        ACCEPTANCE => match id.split_once('.') {
            Some((of, trust)) => format!("org/{of}/trust/{trust}"),
            None => full_path(id, organisation),
        },
        word => format!("org/{organisation}/{word}/{id}"),
    }
}

/// A path without what goes without saying in its organisation.
pub(super) fn short<'a>(path: &'a str, organisation: &str) -> &'a str {
    let below = path
        .strip_prefix("org/")
        .and_then(|path| path.strip_prefix(organisation))
        .and_then(|path| path.strip_prefix('/'));
    below.unwrap_or(path)
}

/// The full path of a policy that is named by path, id or name.
pub(super) fn policy_path(reference: &str, organisation: &str) -> String {
    match SystemPolicy::named(reference) {
        Some(policy) => policy.path(),
        None if reference.contains('/') => full_path(reference, organisation),
        None => format!("org/{organisation}/policy/{reference}"),
    }
}

/// A document in the one form.
pub(super) fn document(dialect: Option<&str>, text: &str) -> Value {
    let detected = || keyward_policy::detect(text).map_or("native", Dialect::name);
    json!({ "dialect": dialect.unwrap_or_else(detected), "text": text })
}

/// Dialect and text of a document in the one form.
pub(super) fn document_parts(document: &Value) -> (&str, &str) {
    let of = |name: &str| {
        document
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    (of("dialect"), of("text"))
}

/// Whether two values of a field mean the same: documents whatever their layout.
pub(super) fn same(before: Option<&Value>, after: Option<&Value>) -> bool {
    fn normal(value: &Value) -> Value {
        match value {
            Value::Object(entries) if entries.contains_key("text") => {
                let (dialect, text) = document_parts(value);
                json!([dialect, text::compact(text)])
            }
            Value::Array(items) => items.iter().map(normal).collect(),
            other => other.clone(),
        }
    }
    before.map(normal) == after.map(normal)
}

/// Whether a backend is the one that a file names. A password that the file does not speak of stays.
pub(super) fn same_backend(before: Option<&Value>, after: Option<&Value>) -> bool {
    let without_password = |backend: &Value| {
        let mut backend = backend.clone();
        if let Some(backend) = backend.as_object_mut() {
            backend.remove("password");
        }
        backend
    };
    match (before, after) {
        (Some(before), Some(after)) if after.get("password").is_none() => {
            without_password(before) == *after
        }
        (before, after) => before == after,
    }
}

/// Without entries of nothing, names in order; nothing if nothing is left.
pub(super) fn pruned(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(entries) => {
            let kept: BTreeMap<&String, Value> = entries
                .iter()
                .filter_map(|(name, value)| Some((name, pruned(value)?)))
                .collect();
            (!kept.is_empty()).then(|| json!(kept))
        }
        other => Some(other.clone()),
    }
}

/// A time in the one spelling.
pub(super) fn time(text: &str) -> Option<Value> {
    let time: Timestamp = text.parse().ok()?;
    let time = Timestamp::from_millisecond(time.as_millisecond()).ok()?;
    Some(time.to_string().into())
}

/// The value of a field as the server shows it; nothing if it is not set.
fn of_server(field: &Field, value: &Value, organisation: &str) -> Option<Value> {
    match (field.form, value) {
        (_, Value::Null) | (Form::Flag, Value::Bool(false)) => None,
        (Form::Path(_), Value::String(path)) => Some(full_path(path, organisation).into()),
        (Form::Policies | Form::List | Form::Mappings, Value::Array(list)) if list.is_empty() => {
            None
        }
        (Form::Versions, Value::Object(versions)) if versions.is_empty() => None,
        (Form::Tags | Form::Object, value) => pruned(value),
        (Form::Time, Value::String(text)) => time(text),
        (Form::Backend, value) => backend_of_server(value),
        (Form::Mappings, value) => Some(mappings(value, &|path| full_path(path, organisation))),
        (_, value) => Some(value.clone()),
    }
}

/// Mappings with each of their paths in another form.
pub(super) fn mappings(value: &Value, path: &impl Fn(&str) -> String) -> Value {
    let form = |value: &Value| match value {
        Value::String(text) if text.contains('/') => path(text).into(),
        other => other.clone(),
    };
    let one = |mapping: &Value| {
        let mut mapping = mapping.clone();
        if let Some(to) = mapping.get_mut("to").and_then(Value::as_array_mut) {
            *to = to.iter().map(form).collect();
        }
        if let Some(identity) = mapping.get_mut("identity") {
            *identity = form(identity);
        }
        mapping
    };
    value.as_array().into_iter().flatten().map(one).collect()
}

/// A backend without what only the server knows; nothing if the operator set it, whose it is.
fn backend_of_server(shown: &Value) -> Option<Value> {
    let is = |name: &str| shown.get(name) == Some(&Value::Bool(true));
    if is("operator") {
        return None;
    }
    let mut backend = Map::new();
    for name in ["type", "address", "user"] {
        if let Some(value) = shown.get(name).filter(|value| !value.is_null()) {
            backend.insert(name.to_owned(), value.clone());
        }
    }
    if is("has_password") {
        backend.insert("password".to_owned(), true.into());
    }
    Some(backend.into())
}

/// A trust of another organisation as the acceptance of it by this one.
pub(super) fn acceptance(shown: &Value) -> Option<Entity> {
    let of = |name: &str| shown.get(name).and_then(Value::as_str);
    let kind = Kind::named(ACCEPTANCE)?;
    let path = of("path")?;
    let mut fields = BTreeMap::new();
    for name in ["trustor", "trustee"] {
        fields.insert(kind.field(name)?.name, of(name)?.into());
    }
    let (organisation, trust) = path.strip_prefix("org/")?.split_once("/trust/")?;
    Some(Entity {
        id: format!("{organisation}.{trust}"),
        path: path.to_owned(),
        fields,
        etag: of("etag").map(str::to_owned),
        ..Entity::empty(kind)
    })
}

/// A thing as the server shows it; none if it is no thing that files speak of.
pub(super) fn from_server(shown: &Value, organisation: &str) -> Option<Entity> {
    let of = |name: &str| shown.get(name).and_then(Value::as_str);
    let kind = Kind::named(of("kind")?)?;
    // Comes and goes with the organisation, with a person who accepts an invitation, or with the
    // mapping of a provider.
    let is_membership = of("trustor").is_some_and(|path| path.contains("/org_user/"))
        && of("trustee").is_some_and(|path| path.starts_with("user/"));
    let is_managed = of("managed_by").is_some();
    if of("trust_kind") == Some("ownership") || is_membership || is_managed {
        return None;
    }
    let mut fields = BTreeMap::new();
    let mut unseen = Vec::new();
    for field in kind.fields {
        match shown.get(field.name) {
            Some(value) => {
                if let Some(value) = of_server(field, value, organisation) {
                    fields.insert(field.name, value);
                }
            }
            None if matches!(field.name, "resource_policy" | "guardrails") => {
                unseen.push(field.name);
            }
            None => {}
        }
    }
    forget_usual_trust_kind(&mut fields);
    if !fields.contains_key("versions") && fields.get("default_version") == Some(&1.into()) {
        fields.remove("default_version");
    }
    Some(Entity {
        id: of("id")?.to_owned(),
        path: of("path")?.to_owned(),
        fields,
        unseen,
        etag: of("etag").map(str::to_owned),
        ..Entity::empty(kind)
    })
}

/// Takes away the kind of a trust that its trustor tells.
pub(super) fn forget_usual_trust_kind(fields: &mut BTreeMap<&'static str, Value>) {
    let trustor = fields.get("trustor").and_then(Value::as_str);
    let of_role = trustor.and_then(|path| path.split('/').nth(2)) == Some("role");
    let kind = fields.get("trust_kind").and_then(Value::as_str);
    if of_role == (kind == Some("assumable")) {
        fields.remove("trust_kind");
    }
}
