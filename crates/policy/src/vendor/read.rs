//! The readers of the vendors' dialects: one walk over the document, with each dialect's grammar
//! as data.

use std::collections::{HashMap, HashSet};

use keyward_commands::ActionBits;

use super::action::ActionPattern;
use super::principal::{PrincipalName, Principals};
use super::resource::VendorResource;
use super::statement::{Actions, Resources, VendorStatement};
use crate::finding::{Code, Collector, Findings, Places, path_name, quoted};
use crate::json::{self, Member, Node, Value};
use crate::native::MAX_SID_LEN;
use crate::nearest::suggestion;
use crate::{Dialect, Effect, Policy, PolicyKind, Statement};

mod conditions;

pub(crate) use conditions::tencent_operator;

/// Most different actions with wildcards in one document.
const MAX_WILD_ACTIONS: usize = 10_000;

/// What a dialect's documents are made of.
struct Grammar {
    /// Members of the document.
    document: &'static [&'static str],
    /// Members of a statement.
    statement: &'static [&'static str],
    /// The versions, the newest first.
    versions: &'static [&'static str],
    /// Names of members and effects are the same in any letter case.
    ignores_case: bool,
    /// A statement may stand without `[…]`.
    one_statement: bool,
    /// The member of `Principal` for users and roles.
    principal: &'static str,
    /// An action and a resource, for examples.
    example: [&'static str; 2],
}

const AWS: Grammar = Grammar {
    document: &["Version", "Id", "Statement"],
    statement: &[
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ],
    versions: &["2012-10-17", "2008-10-17"],
    ignores_case: false,
    one_statement: true,
    principal: "AWS",
    example: [
        "kvdb:ExecuteGet",
        "arn:aws:elasticache:*:*:replicationgroup:<id>",
    ],
};

const TENCENT: Grammar = Grammar {
    document: &["version", "principal", "statement"],
    statement: &["effect", "principal", "action", "resource", "condition"],
    versions: &["2.0"],
    ignores_case: true,
    one_statement: true,
    principal: "qcs",
    example: ["kvdb:ExecuteGet", "qcs::redis:::instance/<id>"],
};

const ALIBABA: Grammar = Grammar {
    document: &["Version", "Statement"],
    statement: &[
        "Effect",
        "Principal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ],
    versions: &["1"],
    ignores_case: false,
    one_statement: false,
    principal: "RAM",
    example: ["kvdb:ExecuteGet", "acs:kvstore:*:*:instance/<id>"],
};

impl Grammar {
    fn of(dialect: Dialect) -> &'static Self {
        match dialect {
            Dialect::Tencent => &TENCENT,
            Dialect::Alibaba => &ALIBABA,
            _ => &AWS,
        }
    }

    fn is(&self, found: &str, name: &str) -> bool {
        found == name || (self.ignores_case && found.eq_ignore_ascii_case(name))
    }

    /// A member's name as the dialect writes it.
    fn name(&self, name: &'static str) -> &'static str {
        let all = self.statement.iter().chain(self.document);
        all.copied()
            .find(|own| own.eq_ignore_ascii_case(name))
            .unwrap_or(name)
    }
}

/// Reads a document of a vendor's dialect.
pub(crate) fn read(
    dialect: Dialect,
    text: &str,
    kind: PolicyKind,
    organisation: &str,
) -> Result<Policy, Findings> {
    let mut findings = Collector::default();
    let node = json::parse(text, &mut findings);
    let mut reader = Reader {
        dialect,
        grammar: Grammar::of(dialect),
        kind,
        variables: false,
        findings: &mut findings,
        actions: HashMap::new(),
        wild: 0,
        sids: HashSet::new(),
    };
    let mut statements = node
        .as_ref()
        .map(|node| reader.document(text, node))
        .unwrap_or_default();
    if !findings.is_empty() {
        return Err(findings.finish(text));
    }
    let mut places = Places::new(text);
    for (at, statement) in &mut statements {
        statement.line = places.advance(*at).0;
    }
    Ok(Policy {
        dialect,
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

struct Reader<'d, 'f> {
    dialect: Dialect,
    grammar: &'static Grammar,
    kind: PolicyKind,
    /// `${…}` is a variable: not before AWS's version 2012-10-17, and not in Alibaba's dialect.
    variables: bool,
    findings: &'f mut Collector,
    /// Action patterns that were looked at before, with the catalogue's actions of their renderings:
    /// large documents repeat them.
    actions: HashMap<&'d str, Result<(ActionPattern, ActionBits), String>>,
    /// How many of them have wildcards: each is compared with every name.
    wild: usize,
    sids: HashSet<&'d str>,
}

/// One statement's members by the dialect's names.
struct Fields<'d> {
    grammar: &'static Grammar,
    members: &'d [Member<'d>],
}

impl<'d> Fields<'d> {
    fn get(&self, name: &str) -> Option<&'d Member<'d>> {
        let found = |member: &&Member<'_>| self.grammar.is(&member.name, name);
        self.members.iter().find(found)
    }
}

/// The strings of a string or an array, with their paths and offsets.
type Strings<'d> = Vec<(String, usize, &'d str)>;

impl<'d> Reader<'d, '_> {
    fn document(&mut self, text: &str, node: &'d Node<'d>) -> Vec<(usize, Statement)> {
        if self.dialect == Dialect::Aws {
            self.check_characters(text);
        }
        let Value::Object(members) = &node.value else {
            let found = node.value.describe();
            let message = format!(
                "expected an object with `{}` and `{}`, found {found}",
                self.grammar.name("Version"),
                self.grammar.name("Statement")
            );
            self.add(node.at, Code::WrongType, "", message);
            return Vec::new();
        };
        self.check_names(members, self.grammar.document, "");
        let fields = Fields {
            grammar: self.grammar,
            members,
        };
        let version = self.version(node, fields.get("Version"));
        self.variables = match self.dialect {
            Dialect::Aws => version == Some("2012-10-17"),
            Dialect::Tencent => true,
            _ => false,
        };
        if let Some(id) = fields.get("Id")
            && !matches!(id.node.value, Value::String(_))
        {
            let message = format!("expected a string, found {}", id.node.value.describe());
            self.add(id.node.at, Code::WrongType, "Id", message);
        }
        let principals = match fields.get("Principal") {
            Some(member) => match self.kind {
                PolicyKind::Resource => self.principals(member, "", false),
                PolicyKind::Identity => {
                    self.no_principal_here(member, "");
                    None
                }
            },
            None => None,
        };
        let Some(member) = fields.get("Statement") else {
            let message = format!("`{}` is missing", self.grammar.name("Statement"));
            self.add(node.at, Code::MissingField, "", message);
            return Vec::new();
        };
        let name = &*member.name;
        let nodes: &[Node<'d>] = match &member.node.value {
            Value::Array(nodes) if nodes.is_empty() => {
                let message = "there is no statement: a document without one grants nothing";
                self.add(member.node.at, Code::EmptyArray, name, message);
                return Vec::new();
            }
            Value::Array(nodes) => nodes,
            Value::Object(_) if self.grammar.one_statement => std::slice::from_ref(&member.node),
            other => {
                let found = other.describe();
                let message = format!("expected an array of statements, found {found}");
                self.add(member.node.at, Code::WrongType, name, message);
                return Vec::new();
            }
        };
        let alone = matches!(member.node.value, Value::Object(_));
        let mut statements = Vec::with_capacity(nodes.len());
        for (i, node) in nodes.iter().enumerate() {
            if self.findings.is_full() {
                break;
            }
            let path = if alone {
                name.to_owned()
            } else {
                format!("{name}[{i}]")
            };
            if let Some(statement) = self.statement(node, &path, principals.as_ref()) {
                statements.push((node.at, statement));
            }
        }
        statements
    }

    /// AWS takes what Latin-1 has and no other control characters than those of white space.
    fn check_characters(&mut self, text: &str) {
        let wrong = |c: char| !matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}');
        if let Some((at, c)) = text.char_indices().find(|(_, c)| wrong(*c)) {
            let message = format!(
                "{}: AWS takes no character beyond U+00FF in a policy",
                quoted(c.encode_utf8(&mut [0; 4]))
            );
            self.add(at, Code::Character, "", message);
        }
    }

    fn version(&mut self, node: &Node<'_>, member: Option<&'d Member<'d>>) -> Option<&'d str> {
        let (name, newest) = (self.grammar.name("Version"), self.grammar.versions[0]);
        let Some(member) = member else {
            // AWS reads a document without a version as of the older one.
            if self.dialect != Dialect::Aws {
                let message = format!("`{name}` is missing: write `\"{name}\": \"{newest}\"`");
                self.add(node.at, Code::Version, "", message);
            }
            return None;
        };
        match &member.node.value {
            Value::String(text) if self.grammar.versions.contains(&&**text) => Some(text),
            Value::String(text) => {
                let message = format!(
                    "unknown version {} of the `{}` dialect: write `{newest}`",
                    quoted(text),
                    self.dialect
                );
                self.add(member.node.at, Code::Version, &*member.name, message);
                None
            }
            other => {
                let found = other.describe();
                let message = format!("expected the string `{newest}`, found {found}");
                self.add(member.node.at, Code::Version, &*member.name, message);
                None
            }
        }
    }

    /// Unknown names, and where letter case does not count names that stand twice.
    fn check_names(&mut self, members: &[Member<'_>], known: &'static [&'static str], path: &str) {
        for (i, member) in members.iter().enumerate() {
            if self.findings.is_full() {
                return;
            }
            let path = || match path {
                "" => path_name(&member.name).into_owned(),
                path => format!("{path}.{}", path_name(&member.name)),
            };
            if !known.iter().any(|name| self.grammar.is(&member.name, name)) {
                let message = format!(
                    "unknown field {}{}",
                    quoted(&member.name),
                    self.hint(&member.name, known)
                );
                self.add(member.name_at, Code::UnknownField, path(), message);
            } else if self.grammar.ignores_case
                && members[..i].iter().any(|earlier| {
                    earlier.name != member.name && earlier.name.eq_ignore_ascii_case(&member.name)
                })
            {
                let message = format!(
                    "{} stands twice in this object: letter case does not count here",
                    quoted(&member.name)
                );
                self.add(member.name_at, Code::DuplicateName, path(), message);
            }
        }
    }

    fn hint(&self, name: &str, known: &'static [&'static str]) -> String {
        let hint = match (self.dialect, name.to_ascii_lowercase().as_str()) {
            (Dialect::Tencent, "notaction" | "not_action" | "notresource" | "not_resource") => {
                ": Tencent's language has none; allow more widely and deny the exceptions"
            }
            (Dialect::Tencent | Dialect::Alibaba, "sid") => {
                ": statements of this dialect have no name"
            }
            (Dialect::Tencent | Dialect::Alibaba, "notprincipal") => {
                ": this dialect has none, name whom you mean in `Principal`"
            }
            (_, "keys" | "readkeys" | "writekeys" | "channels") => {
                ": key fields are the native dialect's; write a condition on `kvdb:Key`, \
                 `kvdb:ReadKey`, `kvdb:WriteKey` or `kvdb:Channel`"
            }
            (_, "identities") => ": did you mean `Principal`?",
            _ => return suggestion(name, known),
        };
        hint.into()
    }

    fn statement(
        &mut self,
        node: &'d Node<'d>,
        path: &str,
        of_document: Option<&Principals>,
    ) -> Option<Statement> {
        let Value::Object(members) = &node.value else {
            let message = format!("expected a statement, found {}", node.value.describe());
            self.add(node.at, Code::WrongType, path, message);
            return None;
        };
        self.check_names(members, self.grammar.statement, path);
        let fields = Fields {
            grammar: self.grammar,
            members,
        };
        let sid = fields.get("Sid").and_then(|member| self.sid(member, path));
        let effect = self.effect(node, fields.get("Effect"), path);
        let actions = self.actions(node, &fields, path);
        let resources = self.resources(node, &fields, actions.as_ref().map(|(a, _)| a), path);
        let principals = self.statement_principals(node, &fields, of_document, path);
        if let (Some(Some(principals)), Some(Resources::Itself)) = (&principals, &resources)
            && principals.negated
        {
            let message = "`NotPrincipal` in a role's trust document: AWS does not allow it, name \
                           who may assume the role";
            self.add(node.at, Code::Identity, path, message);
        }
        let conditions = match fields.get("Condition") {
            None => Some(None),
            Some(member) => self.conditions(member, path),
        };
        let (actions, bits) = actions?;
        let effect = effect?;
        self.check_connect(node, effect, &actions, path);
        let vendor = VendorStatement {
            dialect: self.dialect,
            effect,
            actions,
            resources: resources?,
            principals: principals?,
        };
        Some(Statement {
            sid,
            effect,
            actions: bits,
            resources: Box::default(),
            identities: Box::default(),
            keys: None,
            templates: None,
            conditions: conditions?,
            acl: None,
            vendor: Some(Box::new(vendor)),
            line: 0,
        })
    }

    /// In AWS's terms connecting is `elasticache:Connect`: a Deny of another name would deny
    /// nothing.
    fn check_connect(&mut self, node: &Node<'_>, effect: Effect, actions: &Actions, path: &str) {
        let names_connect = || {
            actions
                .patterns
                .iter()
                .any(|pattern| pattern.exact() == Some("kvdb:connect"))
        };
        if self.dialect == Dialect::Aws
            && effect == Effect::Deny
            && !actions.negated
            && names_connect()
        {
            let message = "`kvdb:Connect` in a `Deny`: connecting is `elasticache:Connect` in AWS's \
                           terms";
            self.add(node.at, Code::Action, path, message);
        }
    }

    fn sid(&mut self, member: &'d Member<'d>, path: &str) -> Option<Box<str>> {
        let path = format!("{path}.Sid");
        let at = member.node.at;
        let Value::String(text) = &member.node.value else {
            let message = format!("expected a string, found {}", member.node.value.describe());
            self.add(at, Code::WrongType, path, message);
            return None;
        };
        // AWS's own tools write empty ones.
        if text.is_empty() {
            return None;
        }
        if text.len() > MAX_SID_LEN {
            let message = format!("`Sid` of {} bytes: at most {MAX_SID_LEN}", text.len());
            self.add(at, Code::Sid, path, message);
        } else if self.kind == PolicyKind::Identity
            && !text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            let message = format!(
                "`Sid` {}: only letters and digits in a policy of IAM",
                quoted(text)
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
        let (allow, deny) = match self.dialect {
            Dialect::Tencent => ("allow", "deny"),
            _ => ("Allow", "Deny"),
        };
        let Some(member) = member else {
            let message = format!(
                "`{}` is missing: `{allow}` or `{deny}`",
                self.grammar.name("Effect")
            );
            self.add(statement.at, Code::MissingField, path, message);
            return None;
        };
        if let Value::String(text) = &member.node.value {
            if self.grammar.is(text, allow) {
                return Some(Effect::Allow);
            }
            if self.grammar.is(text, deny) {
                return Some(Effect::Deny);
            }
        }
        let found = member.node.value.describe();
        let near = match &member.node.value {
            Value::String(text) => suggestion(text, &["Allow", "Deny"]),
            _ => String::new(),
        };
        let message = format!("expected `{allow}` or `{deny}`, found {found}{near}");
        let path = format!("{path}.{}", member.name);
        self.add(member.node.at, Code::Effect, path, message);
        None
    }

    /// One of two members that exclude each other, and whether it is the second.
    fn one_of(
        &mut self,
        fields: &Fields<'d>,
        name: &str,
        not: &str,
        path: &str,
    ) -> Option<(&'d Member<'d>, bool)> {
        match (fields.get(name), fields.get(not)) {
            (Some(_), Some(second)) => {
                let message = format!("`{name}` and `{not}` in one statement: write one of them");
                let path = format!("{path}.{}", second.name);
                self.add(second.name_at, Code::UnknownField, path, message);
                None
            }
            (Some(member), None) => Some((member, false)),
            (None, Some(member)) => Some((member, true)),
            (None, None) => None,
        }
    }

    /// The actions, and the catalogue's actions that they may speak of.
    fn actions(
        &mut self,
        node: &Node<'_>,
        fields: &Fields<'d>,
        path: &str,
    ) -> Option<(Actions, ActionBits)> {
        let both = fields.get("Action").is_some() && fields.get("NotAction").is_some();
        let Some((member, negated)) = self.one_of(fields, "Action", "NotAction", path) else {
            if !both {
                let name = self.grammar.name("Action");
                let example = self.grammar.example[0];
                let message =
                    format!("`{name}` is missing: write it as in `\"{name}\": \"{example}\"`");
                self.add(node.at, Code::MissingField, path, message);
            }
            return None;
        };
        let strings = self.strings(member, path)?;
        let (mut patterns, mut bits, mut right) = (Vec::new(), ActionBits::EMPTY, true);
        let mut seen = HashSet::new();
        for (path, at, text) in strings {
            // What stands twice says the same: kept once, since there may be very many.
            if !seen.insert(text) {
                continue;
            }
            if self.findings.is_full() {
                return None;
            }
            let dialect = self.dialect;
            if text.contains(['*', '?']) && !self.actions.contains_key(text) {
                self.wild += 1;
                if self.wild > MAX_WILD_ACTIONS {
                    let message = format!(
                        "more than {MAX_WILD_ACTIONS} different actions with wildcards in this document"
                    );
                    self.add(at, Code::TooLarge, path, message);
                    return None;
                }
            }
            let parsed = self.actions.entry(text).or_insert_with(|| {
                let pattern = ActionPattern::parse(dialect, text)?;
                let alone = Actions {
                    negated: false,
                    patterns: Box::new([pattern.clone()]),
                };
                Ok((pattern, alone.bits(dialect)))
            });
            match parsed {
                Ok((pattern, found)) => {
                    patterns.push(pattern.clone());
                    bits = bits.union(found);
                }
                Err(message) => {
                    let message = message.clone();
                    self.add(at, Code::Action, path, message);
                    right = false;
                }
            }
        }
        let actions = Actions {
            negated,
            patterns: patterns.into(),
        };
        if negated {
            bits = actions.bits(self.dialect);
        }
        right.then_some((actions, bits))
    }

    fn resources(
        &mut self,
        node: &Node<'_>,
        fields: &Fields<'d>,
        actions: Option<&Actions>,
        path: &str,
    ) -> Option<Resources> {
        let both = fields.get("Resource").is_some() && fields.get("NotResource").is_some();
        let Some((member, negated)) = self.one_of(fields, "Resource", "NotResource", path) else {
            if both {
                return None;
            }
            // A role's trust document speaks of the role, and of nothing but assuming it.
            let of_sts = |pattern: &ActionPattern| {
                pattern.exact().is_some_and(|name| name.starts_with("sts:"))
            };
            let trust = self.kind == PolicyKind::Resource
                && actions.is_none_or(|a| !a.negated && a.patterns.iter().all(of_sts));
            if trust {
                return Some(Resources::Itself);
            }
            let name = self.grammar.name("Resource");
            let example = self.grammar.example[1];
            let mut message =
                format!("`{name}` is missing: write it as in `\"{name}\": \"{example}\"`");
            if self.kind == PolicyKind::Resource {
                message +=
                    "; only a role's trust document, whose actions are `sts:…` each, has none";
            }
            self.add(node.at, Code::MissingField, path, message);
            return None;
        };
        let strings = self.strings(member, path)?;
        let mut patterns = Vec::with_capacity(strings.len());
        let mut right = true;
        for (path, at, text) in strings {
            if self.findings.is_full() {
                return None;
            }
            match VendorResource::parse(self.dialect, text, self.variables) {
                Ok(pattern) => patterns.push(pattern),
                Err(message) => {
                    let code = match message.contains("ariable") || message.contains("${") {
                        true if self.variables && text.contains("${") => Code::Variable,
                        _ => Code::Resource,
                    };
                    self.add(at, code, path, message);
                    right = false;
                }
            }
        }
        right.then(|| Resources::Listed {
            negated,
            patterns: patterns.into(),
        })
    }

    /// `Some(None)`: none, and none is needed.
    fn statement_principals(
        &mut self,
        node: &Node<'_>,
        fields: &Fields<'d>,
        of_document: Option<&Principals>,
        path: &str,
    ) -> Option<Option<Principals>> {
        let found = [fields.get("Principal"), fields.get("NotPrincipal")];
        if self.kind == PolicyKind::Identity {
            let mut right = true;
            for member in found.into_iter().flatten() {
                if self.dialect != Dialect::Aws && !self.grammar.is(&member.name, "Principal") {
                    continue; // An unknown field, reported already.
                }
                self.no_principal_here(member, path);
                right = false;
            }
            return right.then_some(None);
        }
        let both = found.iter().all(Option::is_some);
        match self.one_of(fields, "Principal", "NotPrincipal", path) {
            Some((member, _)) if of_document.is_some() => {
                let message = "a principal stands at the document and at this statement: write it \
                               at one of them";
                let path = format!("{path}.{}", member.name);
                self.add(member.name_at, Code::Identity, path, message);
                None
            }
            Some((member, negated)) => self.principals(member, path, negated).map(Some),
            None if both => None,
            None => match of_document {
                Some(principals) => Some(Some(principals.clone())),
                None => {
                    let name = self.grammar.name("Principal");
                    let example = match self.dialect {
                        Dialect::Tencent => r#"{"qcs": ["qcs::cam::uin/<main>:uin/<sub>"]}"#,
                        Dialect::Alibaba => r#"{"RAM": ["acs:ram::<account>:user/<name>"]}"#,
                        _ => r#"{"AWS": "arn:aws:iam::<account>:user/<name>"}"#,
                    };
                    let message = format!(
                        "`{name}` is missing: a policy on a resource says whom it speaks of, as in \
                         `\"{name}\": {example}`"
                    );
                    self.add(node.at, Code::MissingField, path, message);
                    None
                }
            },
        }
    }

    fn no_principal_here(&mut self, member: &Member<'_>, path: &str) {
        let message = format!(
            "`{}` in a policy of an identity: it speaks of whoever it is attached to; only a \
             policy on a resource names principals",
            member.name
        );
        let path = match path {
            "" => member.name.to_string(),
            path => format!("{path}.{}", member.name),
        };
        self.add(member.name_at, Code::UnknownField, path, message);
    }

    fn principals(
        &mut self,
        member: &'d Member<'d>,
        path: &str,
        negated: bool,
    ) -> Option<Principals> {
        let path = match path {
            "" => member.name.to_string(),
            path => format!("{path}.{}", member.name),
        };
        let mut names = Vec::new();
        let mut right = true;
        match &member.node.value {
            Value::Object(kinds) if kinds.is_empty() => {
                let message = "nobody is named: name somebody, or `*`";
                self.add(member.node.at, Code::EmptyArray, path, message);
                return None;
            }
            Value::Object(kinds) => {
                for kind in kinds {
                    let path = format!("{path}.{}", path_name(&kind.name));
                    if !self.knows_principal_kind(kind, &path) {
                        right = false;
                        continue;
                    }
                    let Some(strings) = self.strings_at(&kind.node, &path) else {
                        right = false;
                        continue;
                    };
                    right &= self.add_names(&kind.name, strings, &mut names);
                }
            }
            Value::String(text) if text == "*" => {
                let all = vec![(path, member.node.at, &**text)];
                right &= self.add_names("", all, &mut names);
            }
            // Object storage writes a plain list.
            Value::String(_) | Value::Array(_) if self.dialect == Dialect::Alibaba => {
                let strings = self.strings_at(&member.node, &path)?;
                right &= self.add_names("", strings, &mut names);
            }
            other => {
                let kind = self.grammar.principal;
                let found = other.describe();
                let message = format!(
                    "expected `\"*\"` or an object as `{{\"{kind}\": […]}}`, found {found}"
                );
                self.add(member.node.at, Code::WrongType, path, message);
                return None;
            }
        }
        right.then(|| Principals {
            negated,
            names: names.into(),
        })
    }

    fn knows_principal_kind(&mut self, kind: &Member<'_>, path: &str) -> bool {
        let kinds: &[&'static str] = match self.dialect {
            Dialect::Tencent => &["qcs", "service", "federated"],
            Dialect::Alibaba => &["RAM", "Service", "Federated"],
            _ => &["AWS", "Federated", "Service"],
        };
        if kinds.contains(&&*kind.name) {
            return true;
        }
        let message = match &*kind.name {
            "CanonicalUser" => {
                "`CanonicalUser` is of S3 alone: name the user by its ARN under `AWS`".into()
            }
            name => format!(
                "unknown kind of principal {}{}",
                quoted(name),
                suggestion(name, kinds)
            ),
        };
        self.add(kind.name_at, Code::Identity, path, message);
        false
    }

    fn add_names(
        &mut self,
        kind: &str,
        strings: Strings<'d>,
        names: &mut Vec<PrincipalName>,
    ) -> bool {
        let mut right = true;
        for (path, at, text) in strings {
            match PrincipalName::parse(self.dialect, kind, text) {
                Ok(name) => names.push(name),
                Err(message) => {
                    self.add(at, Code::Identity, path, message);
                    right = false;
                }
            }
        }
        right
    }

    fn strings(&mut self, member: &'d Member<'d>, path: &str) -> Option<Strings<'d>> {
        self.strings_at(&member.node, &format!("{path}.{}", member.name))
    }

    /// A string or a non-empty array of strings.
    fn strings_at(&mut self, node: &'d Node<'d>, path: &str) -> Option<Strings<'d>> {
        let nodes = match &node.value {
            Value::String(text) => return Some(vec![(path.to_owned(), node.at, text)]),
            Value::Array(nodes) => nodes,
            other => {
                let found = other.describe();
                let message = format!("expected a string or an array of strings, found {found}");
                self.add(node.at, Code::WrongType, path, message);
                return None;
            }
        };
        if nodes.is_empty() {
            let message = "the array is empty: name at least one";
            self.add(node.at, Code::EmptyArray, path, message);
            return None;
        }
        let mut strings = Vec::with_capacity(nodes.len());
        let mut right = true;
        for (i, node) in nodes.iter().enumerate() {
            let path = format!("{path}[{i}]");
            match &node.value {
                Value::String(text) => strings.push((path, node.at, &**text)),
                other => {
                    let message = format!("expected a string, found {}", other.describe());
                    self.add(node.at, Code::WrongType, path, message);
                    right = false;
                }
            }
        }
        right.then_some(strings)
    }

    fn add(&mut self, at: usize, code: Code, path: impl Into<String>, message: impl Into<String>) {
        self.findings.add(at, code, path, message);
    }
}
