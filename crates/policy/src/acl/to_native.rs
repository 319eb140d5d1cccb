//! From ACL rules to the native dialect.
//!
//! Every selector becomes statements, one for each way in which commands use keys:
//!
//! - commands without keys and channels stand in a statement without key fields, because the server
//!   asks for no key: it lets `FLUSHALL` and `SCAN` pass whatever the patterns are;
//! - one pattern must carry all that is done to a key, so that `ReadKeys` and `WriteKeys` are never
//!   together where a key is both read and written;
//! - a command that only tells about a key is satisfied by any pattern;
//! - what needs only Connect in the native dialect, and the user may not do, is denied by name.
//!
//! Actions are listed one by one, so that the policy does not grow with the catalogue.

use std::collections::BTreeMap;

use keyward_commands::{
    ActionBits, ActionId, ChannelRule, CommandClass, CommandId, KeyFlags, connect_only_actions,
    execute_actions,
};

use super::AclUser;
use super::commands::{self, Databases};
use super::selector::{KeyPattern, Selector};
use crate::glob::check_pattern;
use crate::json::MAX_DOCUMENT_LEN;

/// A translated document, and what is missing in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The document.
    pub text: String,
    /// What it allows less than the original; never more. Empty: it is faithful.
    pub losses: Vec<String>,
}

/// The ways in which a command uses the keys of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Uses {
    /// Some key needs any pattern only.
    any: bool,
    reads: bool,
    writes: bool,
    both: bool,
}

/// Which patterns a statement is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// No key fields.
    Free,
    /// All patterns in `Keys`.
    Any,
    /// `Keys` and `ReadKeys`.
    Read,
    /// `Keys` and `WriteKeys`.
    Write,
    /// `Keys`, `ReadKeys` and `WriteKeys`: no key is both.
    Apart,
    /// `Channels` only.
    Channels,
}

impl AclUser {
    /// The user's rules as a native document on `resource` (`kvdb/main`).
    ///
    /// It never allows more. It allows less, and says so, where the native dialect has no such
    /// form: first arguments, databases named by commands, and what it keeps from everybody who does
    /// not hold the whole database. A text that is longer than [`MAX_DOCUMENT_LEN`], which no reader
    /// takes, is not whole.
    pub fn to_native(&self, resource: &str) -> Translation {
        let mut losses = Losses::default();
        let mut statements: Vec<String> = Vec::new();
        let (mut known, mut written) = (0, 0);
        for selector in &self.selectors {
            statements_of(selector, resource, &mut statements, &mut losses);
            let added: usize = statements[known..].iter().map(String::len).sum();
            (known, written) = (statements.len(), written + added);
            if written > MAX_DOCUMENT_LEN {
                break; // no reader takes it, and it would get long
            }
        }
        let missing = connect_only_actions().subtract(&self.allowed_connect_only(&mut losses));
        // A user that may do nothing is a document with this one statement.
        if !missing.is_empty() {
            statements.push(statement("Deny", &missing, resource, &[], None));
        }
        self.note_gates(&mut losses);
        Translation {
            text: format!("[{}]\n", statements.join(",\n ")),
            losses: losses.0,
        }
    }

    /// Commands that need only Connect in the native dialect, and that the translation allows.
    fn allowed_connect_only(&self, losses: &mut Losses) -> ActionBits {
        let allowed = |selector: &Selector| {
            let named = selector.databases.is_some();
            let keep = |id: &CommandId| {
                !(named && commands::databases(*id) != Databases::None)
                    && (!commands::has_keys(id.command()) || selector.keys.is_none())
            };
            let bits = selector.commands.intersect(connect_only_actions());
            bits.iter()
                .filter_map(|action| action.command())
                .filter(keep)
                .map(CommandId::action)
                .collect::<ActionBits>()
        };
        let mut all = ActionBits::EMPTY;
        for selector in &self.selectors {
            all = all.union(&allowed(selector));
        }
        // The native dialect lets whoever may read a key watch it.
        let watch = CommandId::all().find(|id| id.command().name == "watch");
        let keyed = |selector: &&Selector| {
            selector.commands.iter().any(|action| {
                action
                    .command()
                    .is_some_and(|id| commands::has_keys(id.command()))
            })
        };
        if let Some(watch) = watch
            && self
                .selectors
                .iter()
                .any(|s| s.commands.contains(watch.action()))
        {
            let everywhere = self
                .selectors
                .iter()
                .filter(keyed)
                .all(|s| s.commands.contains(watch.action()));
            if everywhere {
                all.insert(watch.action());
            } else {
                all.remove(watch.action());
                losses.add("`WATCH`, where some commands may read keys that it may not watch");
            }
        }
        all
    }

    /// What is kept from everybody who does not hold the whole database, or is denied always.
    fn note_gates(&self, losses: &mut Losses) {
        let possible = self.possible();
        let of = |class: CommandClass| -> Vec<&'static str> {
            CommandId::all()
                .filter(|id| possible.contains(id.action()) && id.command().class == class)
                .map(|id| id.command().name)
                .collect()
        };
        let administrative = of(CommandClass::Administrative);
        if !administrative.is_empty() {
            losses.add(&format!(
                "administrative commands are denied unless administration is on for the database: {}",
                some_of(&administrative)
            ));
        }
        if self.holds_whole_database() {
            return;
        }
        let scripts = of(CommandClass::WholeDatabase);
        if !scripts.is_empty() {
            losses.add(&format!(
                "scripts and functions need the whole database: {}",
                some_of(&scripts)
            ));
        }
        let expires_alone = |selector: &Selector| {
            let commands = &selector.commands;
            let mut all = commands.iter().filter_map(ActionId::command);
            all.any(|id| {
                id.expiring_deletes_as()
                    .is_some_and(|deletes| !commands.contains(deletes.action()))
            })
        };
        if self.selectors.iter().any(expires_alone) {
            losses.add(
                "`EXPIRE`, `GETEX` and their like with a time that is over delete: that needs `DEL` \
                 or `HDEL`, too",
            );
        }
        let sorts = CommandId::all().filter(|id| {
            matches!(id.command().name, "sort" | "sort_ro") && possible.contains(id.action())
        });
        if sorts.count() > 0 {
            losses.add("`SORT` and `SORT_RO` with a `BY` or `GET` pattern need the whole database");
        }
    }

    /// Whether one selector allows every command that does not administer the server, on
    /// everything.
    fn holds_whole_database(&self) -> bool {
        let needed: ActionBits = CommandId::all()
            .filter(|id| id.command().class != CommandClass::Administrative)
            .map(CommandId::action)
            .collect();
        self.selectors.iter().any(|selector| {
            let always: ActionBits = CommandId::all()
                .filter(|id| selector.always_allows(*id))
                .map(CommandId::action)
                .collect();
            needed.is_subset_of(&always)
        })
    }
}

/// What is lost, each said once.
#[derive(Default)]
pub(super) struct Losses(Vec<String>);

impl Losses {
    pub(super) fn into_inner(self) -> Vec<String> {
        self.0
    }

    pub(super) fn add(&mut self, loss: &str) {
        if !self.0.iter().any(|known| known == loss) {
            self.0.push(loss.to_owned());
        }
    }
}

/// At most five names.
fn some_of(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let mut text = String::new();
    for (at, name) in names.iter().take(SHOWN).enumerate() {
        let before = if at == 0 { "" } else { ", " };
        text.push_str(&format!("{before}`{}`", name.to_ascii_uppercase()));
    }
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

fn statements_of(
    selector: &Selector,
    resource: &str,
    statements: &mut Vec<String>,
    losses: &mut Losses,
) {
    if !selector.first_arguments.is_empty() {
        let names: Vec<&str> = selector
            .first_arguments
            .iter()
            .map(|known| known.command.command().name)
            .collect();
        losses.add(&format!(
            "commands that are allowed with one first argument only: {}",
            some_of(&names)
        ));
    }
    let condition = match selector.databases.as_deref() {
        None => None,
        Some([]) => {
            // Only what needs no database is left.
            let rest: ActionBits = commands_without_database(selector);
            add_forms(selector, &rest, resource, None, statements, losses);
            return;
        }
        Some(databases) => Some(databases),
    };
    let mut commands = selector.commands.clone();
    if let Some(databases) = condition {
        let naming: Vec<CommandId> = CommandId::all()
            .filter(|id| commands.contains(id.action()))
            .filter(|id| {
                !matches!(
                    commands::databases(*id),
                    Databases::None | Databases::Current | Databases::All
                )
            })
            .collect();
        if !naming.is_empty() {
            let names: Vec<&str> = naming.iter().map(|id| id.command().name).collect();
            losses.add(&format!(
                "commands that name a database, where only some are allowed: {}",
                some_of(&names)
            ));
        }
        for id in naming {
            commands.remove(id.action());
        }
        let all = CommandId::all().filter(|id| commands::databases(*id) == Databases::All);
        all.for_each(|id| commands.remove(id.action()));
        let free = commands_without_database(selector);
        add_forms(selector, &free, resource, None, statements, losses);
        commands = commands.subtract(&free);
        add_forms(
            selector,
            &commands,
            resource,
            Some(databases),
            statements,
            losses,
        );
        return;
    }
    if selector.future
        && selector.keys.is_none()
        && selector.channels.is_none()
        && commands == *execute_actions()
    {
        // Later commands, too, as the server has it.
        statements.push(format!(
            r#"{{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":[{}]}}"#,
            json(resource)
        ));
        return;
    }
    if selector.future {
        losses.add("commands that a later server brings");
    }
    add_forms(selector, &commands, resource, None, statements, losses);
}

fn commands_without_database(selector: &Selector) -> ActionBits {
    CommandId::all()
        .filter(|id| selector.commands.contains(id.action()))
        .filter(|id| commands::databases(*id) == Databases::None)
        .map(CommandId::action)
        .collect()
}

/// Adds a statement for every form that some of the commands have.
fn add_forms(
    selector: &Selector,
    commands: &ActionBits,
    resource: &str,
    databases: Option<&[u32]>,
    statements: &mut Vec<String>,
    losses: &mut Losses,
) {
    let mut forms: BTreeMap<Form, ActionBits> = BTreeMap::new();
    for id in commands.iter().filter_map(|action| action.command()) {
        let form = form_of(selector, id, losses);
        forms.entry(form).or_default().insert(id.action());
    }
    for (form, actions) in forms {
        let fields = match form {
            Form::Free => Vec::new(),
            Form::Channels => channel_fields(selector, losses),
            _ => key_fields(selector, form, losses),
        };
        if form == Form::Free || !fields.is_empty() {
            statements.push(statement("Allow", &actions, resource, &fields, databases));
        }
    }
}

fn form_of(selector: &Selector, id: CommandId, losses: &mut Losses) -> Form {
    let command = id.command();
    if commands::has_keys(command) {
        if selector.keys.is_none() {
            return Form::Free;
        }
        let uses = uses_of(id);
        return match uses {
            Uses {
                any: true,
                reads: false,
                writes: false,
                both: false,
            } => {
                if command.class == CommandClass::ConnectOnly {
                    losses.add("`WATCH` of keys that may be written only");
                }
                Form::Any
            }
            Uses {
                any,
                both,
                reads,
                writes,
            } => {
                if any || (both && reads && writes) {
                    losses.add(&format!(
                        "`{}` of keys that may be written only",
                        command.name.to_ascii_uppercase()
                    ));
                }
                match (reads || any, writes, both) {
                    (_, false, _) => Form::Read,
                    (false, true, _) => Form::Write,
                    (true, true, false) => Form::Apart,
                    (true, true, true) => Form::Read,
                }
            }
        };
    }
    let channels = command.channels != ChannelRule::None && commands::channels(command).is_some();
    if channels && selector.channels.is_some() {
        Form::Channels
    } else {
        Form::Free
    }
}

/// How a command may use the keys of a call, whatever the arguments.
fn uses_of(id: CommandId) -> Uses {
    let command = id.command();
    let mut uses = Uses::default();
    let mut add = |reads: bool, writes: bool| match (reads, writes) {
        (true, true) => uses.both = true,
        (true, false) => uses.reads = true,
        (false, true) => uses.writes = true,
        (false, false) => uses.any = true,
    };
    match command.name {
        "set" => {
            add(false, true);
            add(true, true);
        }
        "bitfield" => {
            add(true, false);
            add(true, true);
        }
        _ => {
            for spec in command.key_specs {
                if !spec.flags.contains(KeyFlags::NOT_KEY) {
                    add(spec.flags.contains(KeyFlags::ACCESS), spec.flags.writes());
                }
            }
        }
    }
    uses
}

/// A name and its patterns.
type Field = (&'static str, Vec<String>);

fn channel_fields(selector: &Selector, losses: &mut Losses) -> Vec<Field> {
    let globs = selector.channels.iter().flatten();
    let patterns: Vec<String> = globs
        .filter_map(|glob| pattern(glob.text(), losses))
        .collect();
    if patterns.is_empty() {
        Vec::new()
    } else {
        vec![("Channels", patterns)]
    }
}

fn key_fields(selector: &Selector, form: Form, losses: &mut Losses) -> Vec<Field> {
    let patterns = |of: &dyn Fn(&KeyPattern) -> bool, losses: &mut Losses| -> Vec<String> {
        let all = selector.keys.iter().flatten().filter(|pattern| of(pattern));
        all.filter_map(|key| pattern(key.glob.text(), losses))
            .collect()
    };
    let both = |key: &KeyPattern| key.reads && key.writes;
    let mut fields = Vec::new();
    let mut add = |name: &'static str, patterns: Vec<String>| {
        if !patterns.is_empty() {
            fields.push((name, patterns));
        }
    };
    if form == Form::Any {
        add("Keys", patterns(&|_| true, losses));
        return fields;
    }
    add("Keys", patterns(&both, losses));
    if matches!(form, Form::Read | Form::Apart) {
        add("ReadKeys", patterns(&|key| key.reads && !both(key), losses));
    }
    if matches!(form, Form::Write | Form::Apart) {
        add(
            "WriteKeys",
            patterns(&|key| key.writes && !both(key), losses),
        );
    }
    fields
}

/// A pattern in a native document, where the lone `*` means every key, the empty one included.
fn pattern(text: &[u8], losses: &mut Losses) -> Option<String> {
    if !text.is_empty() && text.iter().all(|byte| *byte == b'*') {
        return Some("?*".into());
    }
    match std::str::from_utf8(text) {
        Ok(text) if check_pattern(text.as_bytes()).is_ok() => Some(text.to_owned()),
        _ => {
            losses.add("patterns that are no text, or that a native document may not have");
            None
        }
    }
}

fn statement(
    effect: &str,
    actions: &ActionBits,
    resource: &str,
    fields: &[Field],
    databases: Option<&[u32]>,
) -> String {
    let list = |values: &mut dyn Iterator<Item = &str>| {
        let values: Vec<String> = values.map(json).collect();
        format!("[{}]", values.join(","))
    };
    let actions = list(&mut actions.iter().map(|action| action.name()));
    let mut text = format!(
        r#"{{"Effect":"{effect}","Actions":{actions},"Resources":[{}]"#,
        json(resource)
    );
    for (name, patterns) in fields {
        let patterns = list(&mut patterns.iter().map(String::as_str));
        text.push_str(&format!(r#","{name}":{patterns}"#));
    }
    if let Some(databases) = databases {
        let values: Vec<String> = databases
            .iter()
            .map(|number| format!("\"{number}\""))
            .collect();
        text.push_str(&format!(
            r#","Conditions":{{"NumericEquals":{{"kvdb:DatabaseIndex":[{}]}}}}"#,
            values.join(",")
        ));
    }
    text.push('}');
    text
}

/// A string in JSON.
fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
