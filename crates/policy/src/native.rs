//! The reader of the native dialect.

use std::collections::{HashMap, HashSet};

use keyward_commands::{ActionBits, action_pattern};

use crate::dialect::{self, Dialect};
use crate::finding::{Code, Collector, Findings, Places, path_name, quoted};
use crate::glob::check_pattern;
use crate::json::{self, Member, Node, Value};
use crate::nearest::suggestion;
use crate::statement::Templates;
use crate::template::Template;
use crate::{
    Effect, Glob, IdentityPattern, KeyPatterns, Policy, PolicyKind, ResourcePattern, Statement,
};

mod conditions;

pub(crate) use conditions::misfit;
pub use conditions::unknown_native_key;

/// Longest `Sid`, in bytes.
pub const MAX_SID_LEN: usize = 256;

const IDENTITY_FIELDS: &[&str] = &[
    "Sid",
    "Effect",
    "Actions",
    "Resources",
    "Keys",
    "ReadKeys",
    "WriteKeys",
    "Channels",
    "Conditions",
];
const RESOURCE_FIELDS: &[&str] = &[
    "Sid",
    "Effect",
    "Actions",
    "Identities",
    "Keys",
    "ReadKeys",
    "WriteKeys",
    "Channels",
    "Conditions",
];
const KEY_FIELDS: [&str; 4] = ["Keys", "ReadKeys", "WriteKeys", "Channels"];

/// Parses and checks a native document. `organisation` is the id that shorthand is scoped to.
///
/// All that is wrong is told at once, with line, column, path and the nearest valid names.
pub fn read(text: &str, kind: PolicyKind, organisation: &str) -> Result<Policy, Findings> {
    let mut findings = Collector::default();
    if dialect::is_acl(text) {
        findings.add(0, Code::Dialect, "", not_native(Dialect::Acl));
        return Err(findings.finish(text));
    }
    let node = json::parse(text, &mut findings);
    let mut reader = Reader {
        kind,
        organisation,
        findings: &mut findings,
        actions: HashMap::new(),
        sids: HashSet::new(),
    };
    let mut statements = node
        .as_ref()
        .map(|node| reader.document(node))
        .unwrap_or_default();
    if !findings.is_empty() {
        return Err(findings.finish(text));
    }
    let mut places = Places::new(text);
    for (at, statement) in &mut statements {
        statement.line = places.advance(*at).0;
    }
    Ok(Policy {
        dialect: Dialect::Native,
        kind,
        organisation: organisation.into(),
        text: text.into(),
        statements: statements
            .into_iter()
            .map(|(_, statement)| statement)
            .collect(),
        path: None,
    })
}

fn not_native(foreign: Dialect) -> String {
    format!("a document of the `{foreign}` dialect, where a native one is expected")
}

struct Reader<'d, 'f> {
    kind: PolicyKind,
    organisation: &'d str,
    findings: &'f mut Collector,
    /// Action patterns that were looked up before: large documents repeat them.
    actions: HashMap<&'d str, Result<ActionBits, String>>,
    sids: HashSet<&'d str>,
}

impl<'d> Reader<'d, '_> {
    /// The statements with the offsets where they begin.
    fn document(&mut self, node: &'d Node<'d>) -> Vec<(usize, Statement)> {
        match dialect::of_document(node, self.findings) {
            None => return Vec::new(),
            Some(Dialect::Native) => {}
            Some(foreign) => {
                self.add(node.at, Code::Dialect, "", not_native(foreign));
                return Vec::new();
            }
        }
        let (nodes, path) = match &node.value {
            Value::Array(nodes) => (nodes, ""),
            Value::Object(members) => match self.object_form(node, members) {
                Some(nodes) => (nodes, "Statement"),
                None => return Vec::new(),
            },
            _ => return Vec::new(),
        };
        let mut statements = Vec::with_capacity(nodes.len());
        for (i, node) in nodes.iter().enumerate() {
            if self.findings.is_full() {
                break;
            }
            if let Some(statement) = self.statement(node, format!("{path}[{i}]")) {
                statements.push((node.at, statement));
            }
        }
        statements
    }

    fn object_form(
        &mut self,
        node: &'d Node<'d>,
        members: &'d [Member<'d>],
    ) -> Option<&'d Vec<Node<'d>>> {
        const FIELDS: &[&str] = &["Version", "Statement"];
        for member in members {
            if !FIELDS.contains(&&*member.name) {
                let near = suggestion(&member.name, FIELDS);
                let message = format!("unknown field {}{near}", quoted(&member.name));
                self.add(
                    member.name_at,
                    Code::UnknownField,
                    path_name(&member.name),
                    message,
                );
            }
        }
        let Some(statement) = members.iter().find(|member| member.name == "Statement") else {
            self.add(node.at, Code::MissingField, "", "`Statement` is missing");
            return None;
        };
        match &statement.node.value {
            Value::Array(nodes) => Some(nodes),
            Value::Object(_) => {
                let message = "expected an array of statements, found one: write it in `[…]`";
                self.add(statement.node.at, Code::WrongType, "Statement", message);
                None
            }
            other => {
                let message = format!(
                    "expected an array of statements, found {}",
                    other.describe()
                );
                self.add(statement.node.at, Code::WrongType, "Statement", message);
                None
            }
        }
    }

    fn statement(&mut self, node: &'d Node<'d>, path: String) -> Option<Statement> {
        let Value::Object(members) = &node.value else {
            let message = format!("expected a statement, found {}", node.value.describe());
            self.add(node.at, Code::WrongType, path, message);
            return None;
        };
        let fields = match self.kind {
            PolicyKind::Identity => IDENTITY_FIELDS,
            PolicyKind::Resource => RESOURCE_FIELDS,
        };
        for member in members
            .iter()
            .filter(|member| !fields.contains(&&*member.name))
        {
            if self.findings.is_full() {
                return None;
            }
            let message = format!(
                "unknown field {}{}",
                quoted(&member.name),
                self.hint(member, fields)
            );
            let path = format!("{path}.{}", path_name(&member.name));
            self.add(member.name_at, Code::UnknownField, path, message);
        }
        let field = |name: &str| members.iter().find(|member| member.name == name);

        let conditions = field("Conditions").and_then(|member| self.conditions(member, &path));
        let sid = field("Sid").and_then(|member| self.sid(member, &path));
        let effect = self.effect(node, field("Effect"), &path);
        let actions = self.required(node, field("Actions"), "Actions", &path);
        let mut templates = Templates::new(self.organisation);
        let (resources, identities) = match self.kind {
            PolicyKind::Identity => {
                let list = self.required(node, field("Resources"), "Resources", &path);
                (
                    self.resources(&list, effect, &mut templates, &path),
                    Vec::new(),
                )
            }
            PolicyKind::Resource => {
                let list = self.required(node, field("Identities"), "Identities", &path);
                (Vec::new(), self.identities(&list, &path))
            }
        };
        let public =
            effect == Some(Effect::Allow) && identities.iter().any(IdentityPattern::is_public);
        let actions = self.actions(&actions, public, &path);
        let keys = self.key_patterns(members, &mut templates, &path);
        self.check_that_keys_are_used(members, actions.as_ref(), &path);
        Some(Statement {
            sid,
            effect: effect?,
            actions: actions?,
            resources: resources.into(),
            identities: identities.into(),
            keys,
            templates: (!templates.is_empty()).then(|| Box::new(templates)),
            conditions,
            vendor: None,
            acl: None,
            line: 0,
        })
    }

    fn resources(
        &mut self,
        list: &Strings<'_>,
        effect: Option<Effect>,
        templates: &mut Templates,
        path: &str,
    ) -> Vec<ResourcePattern> {
        let mut resources = Vec::with_capacity(list.found.len());
        for (i, at, text) in list.iter() {
            let path = || format!("{path}.Resources[{i}]");
            if self.findings.is_full() {
                break;
            }
            if text.contains("${") {
                // What is put in is one whole id, so that any id stands for all.
                let sample = |text: &str| {
                    let pattern = ResourcePattern::parse(text, self.organisation);
                    pattern.map(drop).map_err(|error| error.to_string())
                };
                if let Some(template) = self.template(at, text, path, sample) {
                    templates.resources.push(template);
                }
                continue;
            }
            match ResourcePattern::parse(text, self.organisation) {
                Ok(pattern) => {
                    if pattern.spans_organisations() && effect == Some(Effect::Allow) {
                        let text = quoted(text);
                        let message =
                            format!("{text} speaks of every organisation: only a `Deny` may");
                        self.add(at, Code::EveryOrganisation, path(), message);
                    }
                    resources.push(pattern);
                }
                Err(error) => self.add(at, Code::Resource, path(), error.to_string()),
            }
        }
        resources
    }

    fn identities(&mut self, list: &Strings<'_>, path: &str) -> Vec<IdentityPattern> {
        let mut identities = Vec::with_capacity(list.found.len());
        for (i, at, text) in list.iter() {
            let path = || format!("{path}.Identities[{i}]");
            if self.findings.is_full() {
                break;
            }
            if text.contains("${") {
                let message = format!(
                    "an identity is written out: {} has a variable",
                    quoted(text)
                );
                self.add(at, Code::Variable, path(), message);
                continue;
            }
            match IdentityPattern::parse(text, self.organisation) {
                Ok(pattern) => identities.push(pattern),
                Err(error) => self.add(at, Code::Identity, path(), error.to_string()),
            }
        }
        identities
    }

    /// Key fields that no action can use are a misunderstanding.
    fn check_that_keys_are_used(
        &mut self,
        members: &[Member<'_>],
        actions: Option<&ActionBits>,
        path: &str,
    ) {
        let first = members
            .iter()
            .find(|member| KEY_FIELDS.contains(&&*member.name));
        if let (Some(actions), Some(first)) = (actions, first)
            && !actions.iter().any(|action| action.is_execute())
        {
            let name = &first.name;
            let message = format!(
                "`{name}` beside actions that use no keys: only commands (`kvdb:Execute…`) do"
            );
            let path = format!("{path}.{name}");
            self.add(first.name_at, Code::KeysWithoutExecute, path, message);
        }
    }

    /// What to write instead of an unknown field.
    fn hint(&self, member: &Member<'_>, fields: &[&'static str]) -> String {
        let hint = match (&*member.name, self.kind) {
            ("Resources" | "Resource", PolicyKind::Resource) => {
                ": a resource policy speaks of the resource it is attached to, and names `Identities`"
            }
            ("Identities" | "Principal", PolicyKind::Identity) => {
                ": only a resource policy names `Identities`; this one names `Resources`"
            }
            ("Principal", PolicyKind::Resource) => ": did you mean `Identities`?",
            ("NotAction" | "NotActions" | "NotResource" | "NotResources" | "NotPrincipal", _) => {
                ": allow more widely and `Deny` the exceptions in a second statement"
            }
            (name, _) => return suggestion(name, fields),
        };
        hint.into()
    }

    fn sid(&mut self, member: &'d Member<'d>, path: &str) -> Option<Box<str>> {
        let path = format!("{path}.Sid");
        let at = member.node.at;
        let Value::String(text) = &member.node.value else {
            let message = format!("expected a string, found {}", member.node.value.describe());
            self.add(at, Code::WrongType, path, message);
            return None;
        };
        if !(1..=MAX_SID_LEN).contains(&text.len()) {
            let message = format!(
                "`Sid` of {} bytes: 1 to {MAX_SID_LEN}, or leave it out",
                text.len()
            );
            self.add(at, Code::Sid, path, message);
        } else if !self.sids.insert(text) {
            let message = format!("`Sid` {} stands twice in this document", quoted(text));
            self.add(at, Code::DuplicateSid, path, message);
        }
        Some(text.as_ref().into())
    }

    fn effect(
        &mut self,
        statement: &Node<'_>,
        member: Option<&Member<'_>>,
        path: &str,
    ) -> Option<Effect> {
        let Some(member) = member else {
            self.add(
                statement.at,
                Code::MissingField,
                path,
                "`Effect` is missing: `Allow` or `Deny`",
            );
            return None;
        };
        match &member.node.value {
            Value::String(text) if text == "Allow" => return Some(Effect::Allow),
            Value::String(text) if text == "Deny" => return Some(Effect::Deny),
            _ => {}
        }
        let near = match &member.node.value {
            Value::String(text) => suggestion(text, &["Allow", "Deny"]),
            _ => String::new(),
        };
        let found = member.node.value.describe();
        let message = format!("expected `Allow` or `Deny`, found {found}{near}");
        self.add(
            member.node.at,
            Code::Effect,
            format!("{path}.Effect"),
            message,
        );
        None
    }

    /// A list that must be there.
    fn required(
        &mut self,
        statement: &Node<'_>,
        member: Option<&'d Member<'d>>,
        name: &str,
        path: &str,
    ) -> Strings<'d> {
        let Some(member) = member else {
            let example = match name {
                "Actions" => "[\"kvdb:@read\"]",
                "Resources" => "[\"kvdb/<id>\"]",
                _ => "[\"programmatic_identity/<id>\"]",
            };
            let message = format!("`{name}` is missing: write it as in `\"{name}\": {example}`");
            self.add(statement.at, Code::MissingField, path, message);
            return Strings::default();
        };
        self.strings(member, path)
    }

    /// A non-empty array of strings.
    fn strings(&mut self, member: &'d Member<'d>, path: &str) -> Strings<'d> {
        let path = format!("{path}.{}", member.name);
        let nodes = match &member.node.value {
            Value::Array(nodes) => nodes,
            Value::String(text) => {
                let message = format!(
                    "expected an array, found the string {}: write it in `[…]`",
                    quoted(text)
                );
                self.add(member.node.at, Code::WrongType, path, message);
                return Strings::default();
            }
            other => {
                let message = format!("expected an array of strings, found {}", other.describe());
                self.add(member.node.at, Code::WrongType, path, message);
                return Strings::default();
            }
        };
        if nodes.is_empty() {
            let message = if KEY_FIELDS.contains(&&*member.name) {
                "the array is empty: name a pattern, or leave the field out".to_owned()
            } else {
                format!("`{}` is empty: name at least one", member.name)
            };
            self.add(member.node.at, Code::EmptyArray, path, message);
            return Strings::default();
        }
        let mut strings = Strings {
            found: Vec::with_capacity(nodes.len()),
            whole: true,
        };
        for (i, node) in nodes.iter().enumerate() {
            match &node.value {
                Value::String(text) => strings.found.push((i, node.at, text)),
                other => {
                    let message = format!("expected a string, found {}", other.describe());
                    self.add(node.at, Code::WrongType, format!("{path}[{i}]"), message);
                    strings.whole = false;
                }
            }
        }
        strings
    }

    /// All actions of the list, or `None` if one is wrong.
    fn actions(&mut self, list: &Strings<'d>, public: bool, path: &str) -> Option<ActionBits> {
        let mut all = ActionBits::EMPTY;
        let mut right = list.whole;
        for (i, at, text) in list.iter() {
            if self.findings.is_full() {
                return None;
            }
            let path = || format!("{path}.Actions[{i}]");
            let found = self
                .actions
                .entry(text)
                .or_insert_with(|| action_pattern(text).map_err(|error| error.to_string()));
            match found {
                Ok(bits) => {
                    all = all.union(bits);
                    if public && bits.iter().any(|action| !action.is_kvdb()) {
                        let message = format!(
                            "{} reaches beyond `kvdb:` actions: an `Allow` for `*` or \
                             `unauthenticated` may not, write `kvdb:…`",
                            quoted(text)
                        );
                        self.findings.add(at, Code::Everyone, path(), message);
                        right = false;
                    }
                }
                Err(message) => {
                    let message = message.clone();
                    self.findings.add(at, Code::Action, path(), message);
                    right = false;
                }
            }
        }
        right.then_some(all)
    }

    fn key_patterns(
        &mut self,
        members: &'d [Member<'d>],
        templates: &mut Templates,
        path: &str,
    ) -> Option<KeyPatterns> {
        if !members
            .iter()
            .any(|member| KEY_FIELDS.contains(&&*member.name))
        {
            return None;
        }
        let mut list = |name: &str, variable: &mut Vec<Template>| -> Box<[Glob]> {
            let Some(member) = members.iter().find(|member| member.name == name) else {
                return Box::default();
            };
            let strings = self.strings(member, path);
            let mut globs = Vec::with_capacity(strings.found.len());
            for (i, at, text) in strings.iter() {
                let path = || format!("{path}.{name}[{i}]");
                if self.findings.is_full() {
                    break;
                }
                let check =
                    |text: &str| check_pattern(text.as_bytes()).map_err(|error| error.to_string());
                if text.contains("${") {
                    variable.extend(self.template(at, text, path, check));
                    continue;
                }
                match check(text) {
                    Ok(()) => globs.push(Glob::new(text.as_bytes())),
                    Err(error) => self.add(at, Code::Pattern, path(), error),
                }
            }
            globs.into()
        };
        Some(KeyPatterns {
            keys: list("Keys", &mut templates.keys),
            read_keys: list("ReadKeys", &mut templates.read_keys),
            write_keys: list("WriteKeys", &mut templates.write_keys),
            channels: list("Channels", &mut templates.channels),
        })
    }

    /// A text with variables, which `check` accepts with a word in place of each.
    fn template(
        &mut self,
        at: usize,
        text: &str,
        path: impl Fn() -> String,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<Template> {
        let template = match Template::parse(Dialect::Native, text) {
            Ok(template) => template,
            Err(error) => {
                self.add(at, Code::Variable, path(), error.to_string());
                return None;
            }
        };
        if !self.known_variables(at, &template, &path) {
            return None;
        }
        if let Err(error) = check(&template.sample("x")) {
            self.add(at, Code::Pattern, path(), error);
            return None;
        }
        Some(template)
    }

    fn add(&mut self, at: usize, code: Code, path: impl Into<String>, message: impl Into<String>) {
        self.findings.add(at, code, path, message);
    }
}

/// The strings of an array, with their indices and offsets.
#[derive(Default)]
struct Strings<'d> {
    found: Vec<(usize, usize, &'d str)>,
    /// All elements were strings, and there was one.
    whole: bool,
}

impl<'d> Strings<'d> {
    fn iter(&self) -> impl Iterator<Item = (usize, usize, &'d str)> + '_ {
        self.found.iter().copied()
    }
}

#[cfg(test)]
mod tests;
