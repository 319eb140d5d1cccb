//! What an organisation has, in the one form in which files and the server's answer are compared:
//! paths in full, times and documents in one spelling, nothing where nothing is set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use keyward_iam::{Slug, SystemPolicy, full_path};
use keyward_policy::{Dialect, PolicyKind};
use serde_json::{Map, Value, json};

use super::text;
use crate::yaml::{Content, Entry, Node, Place, YamlError, error};

/// A kind of thing: a row of [`KINDS`].
#[derive(Debug)]
pub(super) struct Kind {
    /// As in paths, and the folder of its files.
    pub(super) word: &'static str,
    /// Other words that files may use.
    aliases: &'static [&'static str],
    /// What it can have, in the order in which it is written.
    pub(super) fields: &'static [Field],
}

/// What a thing can have.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) rule: Rule,
}

/// What is set when a file says nothing, and whether it can change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rule {
    /// Nothing is set then.
    Free,
    /// It stays as it is then.
    Stays,
    /// Said once, when the thing is made.
    Fixed,
    /// Counts when the thing is made; nothing is done about it afterwards.
    Once,
    /// For readers only: nothing is done about it.
    Shown,
}

/// How a value is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Text,
    Flag,
    Number,
    Time,
    /// A path; short ones are of this kind, or with a `/` of the organisation.
    Path(&'static str),
    Tags,
    Policies,
    Document(PolicyKind),
    /// Documents by number.
    Versions,
    /// Where a database's data is. A password is told of, and never there.
    Backend,
    /// Any object; entries of nothing count as left out.
    Object,
    /// Any list.
    List,
    /// What claims and certificates map to: a list of objects with paths in them.
    Mappings,
}

const fn field(name: &'static str, form: Form) -> Field {
    Field {
        name,
        form,
        rule: Rule::Free,
    }
}

const fn ruled(name: &'static str, form: Form, rule: Rule) -> Field {
    Field { name, form, rule }
}

const NAME: Field = field("name", Form::Text);
const TAGS: Field = field("tags", Form::Tags);
const BOUNDARY: Field = field("boundary", Form::Policies);
const RESOURCE_POLICY: Field = field("resource_policy", Form::Document(PolicyKind::Resource));
const ACCESS_KEYS: Field = ruled("access_keys", Form::Object, Rule::Shown);

/// The kind of what is no thing of its own: its path is that of the trust.
pub(super) const ACCEPTANCE: &str = "acceptance";

/// Every kind, in the order in which things are made.
pub(super) static KINDS: [Kind; 10] = [
    Kind {
        word: "org",
        aliases: &["organisation"],
        fields: &[
            NAME,
            TAGS,
            field("aliases", Form::Object),
            field("max_key_lifetime_seconds", Form::Number),
            field("max_active_keys", Form::Number),
            BOUNDARY,
            field("guardrails", Form::Policies),
            RESOURCE_POLICY,
        ],
    },
    Kind {
        word: "kvdb",
        aliases: &["database", "db"],
        fields: &[
            NAME,
            field("description", Form::Text),
            TAGS,
            ruled("backend", Form::Backend, Rule::Stays),
            field("administration", Form::Flag),
            RESOURCE_POLICY,
        ],
    },
    Kind {
        word: "programmatic_identity",
        aliases: &["identity"],
        fields: &[
            NAME,
            TAGS,
            field("default_database", Form::Path("kvdb")),
            BOUNDARY,
            RESOURCE_POLICY,
            ACCESS_KEYS,
        ],
    },
    Kind {
        word: "identity_provider",
        aliases: &["provider"],
        fields: &[
            NAME,
            ruled("type", Form::Text, Rule::Fixed),
            ruled("issuer", Form::Text, Rule::Fixed),
            field("audiences", Form::List),
            ruled("algorithms", Form::List, Rule::Stays),
            field("jwks", Form::Object),
            field("shared", Form::Flag),
            field("max_token_age_seconds", Form::Number),
            ruled("sign_in", Form::Text, Rule::Fixed),
            field("pem", Form::Text),
            field("mappings", Form::Mappings),
            TAGS,
            RESOURCE_POLICY,
        ],
    },
    Kind {
        word: "org_user",
        aliases: &[],
        fields: &[NAME, TAGS, BOUNDARY, RESOURCE_POLICY],
    },
    Kind {
        word: "role",
        aliases: &[],
        fields: &[
            NAME,
            field("description", Form::Text),
            ruled("max_session_seconds", Form::Number, Rule::Stays),
            TAGS,
            BOUNDARY,
            RESOURCE_POLICY,
        ],
    },
    Kind {
        word: "group",
        aliases: &[],
        fields: &[NAME, TAGS, BOUNDARY, RESOURCE_POLICY],
    },
    Kind {
        word: "policy",
        aliases: &[],
        fields: &[
            NAME,
            field("document", Form::Document(PolicyKind::Identity)),
            ruled("default_version", Form::Number, Rule::Once),
            ruled("versions", Form::Versions, Rule::Once),
        ],
    },
    Kind {
        word: "trust",
        aliases: &[],
        fields: &[
            ruled("trustor", Form::Path("group"), Rule::Fixed),
            ruled("trustee", Form::Path("programmatic_identity"), Rule::Fixed),
            ruled("trust_kind", Form::Text, Rule::Fixed),
            field("expires_at", Form::Time),
            field("conditions", Form::Object),
            field("policies", Form::Policies),
        ],
    },
    // That an identity of the organisation accepts the trust of another organisation.
    Kind {
        word: ACCEPTANCE,
        aliases: &[],
        fields: &[
            ruled("trustor", Form::Path("org"), Rule::Fixed),
            ruled("trustee", Form::Path("programmatic_identity"), Rule::Fixed),
        ],
    },
];

impl Kind {
    pub(super) fn named(word: &str) -> Option<&'static Self> {
        KINDS
            .iter()
            .find(|kind| kind.word == word || kind.aliases.contains(&word))
    }

    pub(super) fn field(&self, name: &str) -> Option<&'static Field>
    where
        Self: 'static,
    {
        let fields = self.fields;
        fields.iter().find(|field| field.name == name)
    }
}

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
    fn of_server(kind: &'static Kind) -> Self {
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
fn pruned(value: &Value) -> Option<Value> {
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
fn time(text: &str) -> Option<Value> {
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
fn mappings(value: &Value, path: &impl Fn(&str) -> String) -> Value {
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
        ..Entity::of_server(kind)
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
        ..Entity::of_server(kind)
    })
}

/// Takes away the kind of a trust that its trustor tells.
fn forget_usual_trust_kind(fields: &mut BTreeMap<&'static str, Value>) {
    let trustor = fields.get("trustor").and_then(Value::as_str);
    let of_role = trustor.and_then(|path| path.split('/').nth(2)) == Some("role");
    let kind = fields.get("trust_kind").and_then(Value::as_str);
    if of_role == (kind == Some("assumable")) {
        fields.remove("trust_kind");
    }
}

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
        ..Entity::of_server(kind)
    })
}

/// A document as files write it.
fn written_document(document: &Value, as_text: bool) -> Value {
    let (dialect, text) = document_parts(document);
    let json = || serde_json::from_str::<Value>(text).ok();
    let body: Value = match as_text {
        true => text::layout(text).into(),
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
