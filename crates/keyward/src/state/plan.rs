//! What has to be done so that an organisation is as its files say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::entity::{self, Entity};
use super::kind::{ACCEPTANCE, Field, Form, KINDS, Rule};
use super::text::{self, Line};
use crate::output::{cell, printable};

/// What is done to a thing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Create,
    Change,
    Delete,
}

impl Action {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Delete => "delete",
        }
    }

    fn sign(self) -> char {
        match self {
            Self::Create => '+',
            Self::Change => '~',
            Self::Delete => '-',
        }
    }
}

/// What becomes of a field.
#[derive(Debug)]
pub(super) struct FieldChange {
    pub(super) field: &'static Field,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
    /// What is there may not be seen.
    unseen: bool,
}

/// What becomes of a thing.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) action: Action,
    pub(super) entity: Entity,
    pub(super) changes: Vec<FieldChange>,
    /// The server's entity tag of what the plan saw.
    pub(super) seen: Option<String>,
    /// The name that it has on the server.
    pub(super) name_before: Option<String>,
    /// A trust that goes before others can come: with it they would form a circle.
    pub(super) goes_first: bool,
}

/// All that has to be done.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// By kind and path.
    pub(super) steps: Vec<Step>,
    /// Why it cannot be done as the files say.
    pub(super) problems: Vec<String>,
    /// What is there and in no file, and stays.
    pub(super) left: Vec<String>,
    /// What else is worth knowing.
    pub(super) notes: Vec<String>,
}

/// What may be deleted that no file speaks of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prune {
    pub(super) things: bool,
    pub(super) databases: bool,
}

/// What an organisation has.
pub(super) struct Current {
    pub(super) entities: BTreeMap<String, Entity>,
    /// Trusts of other organisations that wait for this one to accept them.
    offers: BTreeMap<String, Entity>,
    /// Kinds of which not everything may be seen.
    pub(super) incomplete: Vec<String>,
}

impl Current {
    /// Of the server's answer; of nothing if there is no such organisation.
    pub(super) fn of(state: Option<&Value>, organisation: &str) -> Self {
        let items = state.and_then(|state| state["items"].as_array());
        let mut entities: BTreeMap<String, Entity> = items
            .into_iter()
            .flatten()
            .filter_map(|item| entity::from_server(item, organisation))
            .map(|entity| (entity.path.clone(), entity))
            .collect();
        let mut offers = BTreeMap::new();
        let incoming = state.and_then(|state| state["incoming"].as_array());
        for trust in incoming.into_iter().flatten() {
            let Some(entity) = entity::acceptance(trust) else {
                continue;
            };
            let is_accepted = trust["accepted"] == Value::Bool(true);
            let side = if is_accepted {
                &mut entities
            } else {
                &mut offers
            };
            side.insert(entity.path.clone(), entity);
        }
        let complete = state.and_then(|state| state["complete"].as_object());
        let incomplete = complete
            .into_iter()
            .flatten()
            .filter(|(_, complete)| **complete != Value::Bool(true))
            .map(|(kind, _)| kind.clone())
            .collect();
        Self {
            entities,
            offers,
            incomplete,
        }
    }
}

/// What has to be done; `me` is the path of whoever does it.
pub(super) fn plan(
    desired: &BTreeMap<String, Entity>,
    current: &Current,
    prune: Prune,
    me: &str,
) -> Plan {
    let mut plan = Plan::default();
    for entity in desired.values() {
        let found = current.entities.get(&entity.path);
        plan.problems.extend(missing(entity, desired, current));
        let action = match found {
            Some(_) => Action::Change,
            None => Action::Create,
        };
        let offer = match entity.kind.word {
            ACCEPTANCE if found.is_none() => match current.offers.get(&entity.path) {
                None => {
                    plan.notes.push(not_offered(entity));
                    continue;
                }
                offer => offer,
            },
            _ => None,
        };
        let changes = changes(entity, found.or(offer), &mut plan.problems);
        if action == Action::Create || !changes.is_empty() {
            plan.steps.push(Step {
                changes,
                ..Step::of(action, entity, found.or(offer))
            });
        }
    }
    for (path, entity) in &current.entities {
        if desired.contains_key(path) || entity.kind.word == "org" {
            continue;
        }
        let wanted = match entity.kind.word {
            "kvdb" => prune.databases,
            _ => prune.things,
        };
        let trustee = entity.fields.get("trustee").and_then(Value::as_str);
        let own = path == me || trustee == Some(me);
        if wanted && own {
            let text = format!("{path} stays: you do this by it; delete it yourself");
            plan.notes.push(text);
        }
        if !wanted || own {
            plan.left.push(path.clone());
            continue;
        }
        plan.steps
            .push(Step::of(Action::Delete, entity, Some(entity)));
    }
    plan.steps.sort_by_key(order);
    plan.problems.extend(clashes(desired, current, &plan.steps));
    let in_the_way = in_the_way(desired, current);
    for step in &mut plan.steps {
        step.goes_first =
            step.action == Action::Delete && in_the_way.contains(step.entity.path.as_str());
    }
    plan
}

fn not_offered(entity: &Entity) -> String {
    let (place, path) = (entity.place(), &entity.path);
    format!("{place}: {path} does not wait to be accepted: its own organisation makes it first")
}

/// The trusts that hold always, by trustor: each trustee with the trust's path.
type Standing<'a> = BTreeMap<&'a str, Vec<(&'a str, &'a str)>>;

fn standing<'a>(trusts: impl Iterator<Item = &'a Entity>) -> Standing<'a> {
    let mut standing = Standing::new();
    for entity in trusts {
        if let Some((trustor, trustee)) = entity.standing_trust() {
            let of = standing.entry(trustor).or_default();
            of.push((trustee, entity.path.as_str()));
        }
    }
    standing
}

/// The trusts of one circle, if there is one: which trusts lie on a way back to where it begins.
fn circle<'a>(standing: &Standing<'a>) -> Option<Vec<&'a str>> {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in standing.keys() {
        // Each identity on the way, the trust that led there, and how many of its trusts were tried.
        let mut way: Vec<(&str, &str, usize)> = vec![(*start, "", 0)];
        while let Some((identity, _, tried)) = way.last_mut() {
            let next = standing.get(identity).and_then(|all| all.get(*tried));
            *tried += 1;
            let Some((trustee, trust)) = next else {
                done.insert(*identity);
                way.pop();
                continue;
            };
            if let Some(at) = way.iter().position(|(on_way, ..)| on_way == trustee) {
                let on_circle = way.iter().skip(at + 1).map(|(_, trust, _)| *trust);
                return Some(on_circle.chain([*trust]).collect());
            }
            if !done.contains(trustee) {
                way.push((*trustee, *trust, 0));
            }
        }
    }
    None
}

/// Why the trusts cannot all be: two between the same identities, or a circle of them.
fn clashes(desired: &BTreeMap<String, Entity>, current: &Current, steps: &[Step]) -> Vec<String> {
    let gone: BTreeSet<&str> = steps
        .iter()
        .filter(|step| step.action == Action::Delete)
        .map(|step| step.entity.path.as_str())
        .collect();
    let stays = current.entities.values().filter(|entity| {
        !desired.contains_key(&entity.path) && !gone.contains(entity.path.as_str())
    });
    let all: Vec<&Entity> = stays.chain(desired.values()).collect();
    let mut clashes = Vec::new();
    let mut known: BTreeMap<(&str, &str), &Entity> = BTreeMap::new();
    for entity in &all {
        let Some((trustor, trustee)) = entity.sides() else {
            continue;
        };
        if let Some(first) = known.insert((trustor, trustee), entity) {
            let (place, first) = (entity.place(), first.place());
            clashes.push(format!(
                "{place}: {trustor} trusts {trustee} already: {first}"
            ));
        }
    }
    let Some(circle) = circle(&standing(all.into_iter())) else {
        return clashes;
    };
    let told = |path: &&str| match desired.get(*path) {
        Some(entity) => format!("{path} ({})", entity.place_of("trustee")),
        None => format!("{path} (there already)"),
    };
    let told: Vec<String> = circle.iter().map(told).collect();
    let told = told.join(", ");
    clashes.push(format!(
        "these trusts lead back to where they begin, which none may: {told}"
    ));
    clashes
}

/// Trusts that are there, in no file, and between the same identities as one of a file or in a
/// circle with those of files.
fn in_the_way(desired: &BTreeMap<String, Entity>, current: &Current) -> BTreeSet<String> {
    let pairs: BTreeSet<(&str, &str)> = desired.values().filter_map(Entity::sides).collect();
    let same = current.entities.values().filter(|entity| {
        let sides = entity.sides();
        !desired.contains_key(&entity.path) && sides.is_some_and(|pair| pairs.contains(&pair))
    });
    let mut in_the_way: BTreeSet<String> = same.map(|entity| entity.path.clone()).collect();
    loop {
        let old = current.entities.values().filter(|entity| {
            !desired.contains_key(&entity.path) && !in_the_way.contains(&entity.path)
        });
        let found = circle(&standing(desired.values().chain(old)));
        let old = found.and_then(|circle| {
            let mut old = circle.into_iter();
            old.find(|path| !desired.contains_key(*path))
                .map(str::to_owned)
        });
        match old {
            Some(path) => in_the_way.insert(path),
            None => return in_the_way,
        };
    }
}

/// Where a step stands in the plan: what is made first, what goes last.
fn order(step: &Step) -> (bool, usize, String) {
    let at = KINDS
        .iter()
        .position(|kind| std::ptr::eq(kind, step.entity.kind));
    let at = at.unwrap_or(KINDS.len());
    let path = step.entity.path.clone();
    match step.action {
        Action::Delete => (true, KINDS.len() - at.min(KINDS.len()), path),
        Action::Create | Action::Change => (false, at, path),
    }
}

/// The fields in which a thing differs from what is there.
fn changes(
    entity: &Entity,
    found: Option<&Entity>,
    problems: &mut Vec<String>,
) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    for field in entity.kind.fields {
        if field.rule == Rule::Shown || (field.rule == Rule::Once && found.is_some()) {
            continue;
        }
        let after = entity.fields.get(field.name);
        let before = found.and_then(|found| found.fields.get(field.name));
        let unseen = found.is_some_and(|found| found.unseen.contains(&field.name));
        let may_be_left_out = field.rule == Rule::Stays || entity.kind.word == ACCEPTANCE;
        let stays = after.is_none() && (may_be_left_out || unseen);
        let same = match field.form {
            Form::Backend => entity::same_backend(before, after),
            _ => entity::same(before, after),
        };
        if stays || (!unseen && same) {
            continue;
        }
        if field.rule == Rule::Fixed && found.is_some() {
            let told = |value: Option<&Value>| value.map_or_else(|| "none".to_owned(), cell);
            problems.push(format!(
                "{}: `{}` of {} cannot change from {} to {}: give it another id",
                entity.place_of(field.name),
                field.name,
                entity.path,
                told(before),
                told(after)
            ));
            continue;
        }
        changes.push(FieldChange {
            field,
            before: before.cloned(),
            after: after.cloned(),
            unseen,
        });
    }
    changes
}

/// What a thing refers to in its organisation and that will not be there.
fn missing(entity: &Entity, desired: &BTreeMap<String, Entity>, current: &Current) -> Vec<String> {
    if entity.kind.word == ACCEPTANCE {
        return Vec::new(); // what is offered is there
    }
    let organisation = entity.path.split('/').nth(1).unwrap_or_default();
    let own = format!("org/{organisation}/");
    let mut referred = BTreeSet::new();
    for field in entity.kind.fields {
        match (field.form, entity.fields.get(field.name)) {
            (Form::Path(_), Some(Value::String(path))) => {
                referred.insert((path.as_str(), field.name));
            }
            (Form::Policies, Some(Value::Array(list))) => {
                let paths = list.iter().filter_map(|policy| policy["policy"].as_str());
                referred.extend(paths.map(|path| (path, field.name)));
            }
            _ => {}
        }
    }
    let is_missing = |(path, _): &(&str, &str)| {
        let kind = path.split('/').nth(2).unwrap_or_default();
        path.starts_with(&own)
            && !desired.contains_key(*path)
            && !current.entities.contains_key(*path)
            && !current.incomplete.iter().any(|known| known == kind)
    };
    let told = |(path, field): (&str, &str)| {
        let (place, of) = (entity.place_of(field), &entity.path);
        format!("{place}: {of} refers to {path}, which is neither there nor in a file")
    };
    referred.into_iter().filter(is_missing).map(told).collect()
}

impl Plan {
    /// What tells this plan from every other: of other files, or of another state of the server.
    pub(super) fn id(&self) -> String {
        let mut hash = Sha256::new();
        for step in &self.steps {
            hash.update(step.json().to_string());
            hash.update([0]);
            hash.update(step.seen.as_deref().unwrap_or_default());
            hash.update([0]);
        }
        let hash = hash.finalize();
        hash.iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// How many things are created, changed and deleted.
    pub(super) fn counts(&self) -> [usize; 3] {
        [Action::Create, Action::Change, Action::Delete].map(|action| {
            self.steps
                .iter()
                .filter(|step| step.action == action)
                .count()
        })
    }
}

impl Step {
    fn of(action: Action, entity: &Entity, found: Option<&Entity>) -> Self {
        let name = found.and_then(|found| found.fields.get("name"));
        Self {
            action,
            entity: entity.clone(),
            changes: Vec::new(),
            seen: found.and_then(|found| found.etag.clone()),
            name_before: name.and_then(Value::as_str).map(str::to_owned),
            goes_first: false,
        }
    }

    /// As one JSON document.
    pub(super) fn json(&self) -> Value {
        let changes: Map<String, Value> = self
            .changes
            .iter()
            .map(|change| {
                let shown = match change.unseen {
                    true => json!({ "after": change.after }),
                    false => json!({ "before": change.before, "after": change.after }),
                };
                (change.field.name.to_owned(), shown)
            })
            .collect();
        json!({
            "action": self.action.word(), "path": self.entity.path,
            "kind": self.entity.kind.word, "id": self.entity.id, "changes": changes,
        })
    }

    /// In lines, for people.
    pub(super) fn text(&self, organisation: &str) -> String {
        let sign = self.action.sign();
        let title = self.entity.title(organisation);
        let mut out = format!("{sign} {}\n", printable(&title));
        for change in &self.changes {
            out.push_str(&change.text(organisation));
        }
        out
    }
}

impl FieldChange {
    fn text(&self, organisation: &str) -> String {
        let name = self.field.name;
        let (before, after) = (
            lines(self.field, self.before.as_ref(), organisation),
            lines(self.field, self.after.as_ref(), organisation),
        );
        let is_line = |text: &str| !text.contains('\n');
        if is_line(&before) && is_line(&after) {
            let before = match (self.unseen, before.is_empty()) {
                (true, _) => "(not yours to see) -> ".to_owned(),
                (false, true) => String::new(),
                (false, false) => format!("{before} -> "),
            };
            let after = if after.is_empty() { "none" } else { &after };
            return printable(&format!("    {name}: {before}{after}\n"));
        }
        let mut out = format!("    {name}:\n");
        for line in context(text::compare(&before, &after)) {
            let (sign, text) = match line {
                Some(Line::Same(text)) => (' ', text),
                Some(Line::Gone(text)) => ('-', text),
                Some(Line::New(text)) => ('+', text),
                None => (' ', "…"),
            };
            let line = format!("      {sign} {text}");
            out.push_str(printable(&line).trim_end());
            out.push('\n');
        }
        out
    }
}

/// Lines around changes that are shown.
const CONTEXT: usize = 3;

/// The lines that changed and some around them; nothing in the place of others.
fn context(lines: Vec<Line<'_>>) -> Vec<Option<Line<'_>>> {
    let changed: Vec<usize> = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| !matches!(line, Line::Same(_)))
        .map(|(at, _)| at)
        .collect();
    let mut near = changed.iter().copied().peekable();
    let mut out = Vec::new();
    let mut last = None;
    for (at, line) in lines.into_iter().enumerate() {
        while near.peek().is_some_and(|changed| *changed < at) {
            last = near.next();
        }
        let follows = last.is_some_and(|changed| changed + CONTEXT >= at);
        let precedes = near.peek().is_some_and(|changed| *changed <= at + CONTEXT);
        if follows || precedes {
            out.push(Some(line));
        } else if out.last().is_none_or(Option::is_some) {
            out.push(None);
        }
    }
    out
}

/// A value as people compare it.
fn lines(field: &Field, value: Option<&Value>, organisation: &str) -> String {
    let document = |document: &Value| {
        let (dialect, text) = entity::document_parts(document);
        let text = text::layout(text.trim_end());
        match dialect {
            "native" => text,
            dialect => format!("({dialect})\n{text}"),
        }
    };
    match (field.form, value) {
        (_, None) => String::new(),
        (Form::Path(_), Some(Value::String(path))) => entity::short(path, organisation).to_owned(),
        (Form::Document(_), Some(value)) => document(value),
        (Form::Policies, Some(Value::Array(list))) => {
            let one = |policy: &Value| match policy["policy"].as_str() {
                Some(path) => entity::short(path, organisation).to_owned(),
                None => document(policy),
            };
            let all: Vec<String> = list.iter().map(one).collect();
            all.join("\n")
        }
        (Form::Versions, Some(Value::Object(versions))) => {
            let one = |(number, text): (&String, &Value)| format!("{number}: {}", document(text));
            let all: Vec<String> = versions.iter().map(one).collect();
            all.join("\n")
        }
        (Form::Backend, Some(backend)) => {
            let of = |name: &str| backend.get(name).map(cell);
            let user = of("user")
                .map(|user| format!("{user}@"))
                .unwrap_or_default();
            let password = match of("password") {
                Some(_) => " (with a password)",
                None => "",
            };
            match of("address") {
                Some(address) => format!("redis://{user}{address}{password}"),
                None => of("type").unwrap_or_default(),
            }
        }
        (Form::Tags, Some(Value::Object(tags))) => {
            let one = |(key, value): (&String, &Value)| format!("{key}={}", cell(value));
            let all: Vec<String> = tags.iter().map(one).collect();
            all.join("\n")
        }
        (_, Some(value)) => cell(value),
    }
}
