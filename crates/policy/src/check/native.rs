//! What is legal in a native document and probably wrong, one statement at a time.

use std::collections::HashMap;

use keyward_commands::{
    ActionBits, ActionId, ChannelRule, CommandClass, CommandScope, KeyFlags, always_actions,
    connect_only_actions, execute_actions,
};

use crate::check::Document;
use crate::check::cover::covered_globs;
use crate::check::decided::{Types, decided_on, hands_out_power};
use crate::check::draft::{Draft, List};
use crate::check::report::Reporter;
use crate::check::rules::Kind;
use crate::finding::quoted;
use crate::{Effect, PolicyKind};

/// Names of actions in a message.
pub(crate) fn names(bits: &ActionBits) -> String {
    const SHOWN: usize = 6;
    let all: Vec<&str> = bits.iter().map(short_name).collect();
    let shown = all[..all.len().min(SHOWN)].join(", ");
    match all.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `kvdb:ExecuteConfigGet` as `CONFIG GET`, other actions as they are.
fn short_name(action: ActionId) -> &'static str {
    static NAMES: std::sync::LazyLock<Box<[String]>> = std::sync::LazyLock::new(|| {
        let name = |action: ActionId| match action.command() {
            Some(command) => command.command().name.replace('|', " ").to_uppercase(),
            None => action.name().to_owned(),
        };
        ActionId::all().map(name).collect()
    });
    &NAMES[action.index()]
}

/// All of it.
pub(crate) fn check(document: &Document<'_>, out: &mut Reporter<'_>) {
    let mut shapes = HashMap::new();
    for (at, draft) in document.drafts.iter().enumerate() {
        actions(document, at, out);
        resources(document, at, out);
        identities(document, draft, out);
        key_fields(document, at, &mut shapes, out);
        power(document, at, out);
    }
}

fn actions(document: &Document<'_>, at: usize, out: &mut Reporter<'_>) {
    let (draft, meaning) = (&document.drafts[at], &document.meanings[at]);
    let list = &draft.actions;
    let path = |index: usize| list.path(&draft.path, &list.items[index]);
    let starts: Vec<usize> = list.items.iter().map(|item| item.at).collect();
    let allows = draft.is(Effect::Allow);
    for (index, item) in list.items.iter().enumerate() {
        let Some(bits) = document.bits(meaning, index) else {
            continue;
        };
        let covering = || {
            let other = |other: &usize| {
                let Some(wider) = document.bits(meaning, *other) else {
                    return false;
                };
                let same = wider == bits;
                *other != index && bits.is_subset_of(wider) && (!same || *other < index)
            };
            (0..list.items.len().min(MAX_COMPARED)).find(other)
        };
        if !out.is_full(Kind::DuplicateValue)
            && let Some(other) = covering()
        {
            let wider = &list.items[other];
            let message = if wider.text == item.text {
                format!("{} stands twice in the list", quoted(item.text))
            } else {
                let (text, wider) = (quoted(item.text), quoted(wider.text));
                format!("{text} is covered by {wider} of the same list")
            };
            out.add(Kind::DuplicateValue, item.at, path(index), message)
                .fix_by_removing(document.text, "remove it", &starts, index);
            continue;
        }
        if allows {
            allowed_action(document, at, index, bits, out);
        } else if bits.is_subset_of(always_actions()) {
            let message = format!(
                "{} {} always possible: the Deny has no effect",
                names(bits),
                are(bits)
            );
            out.add(Kind::AlwaysPossible, item.at, path(index), message);
        }
    }
}

/// More than this many elements of one list are not compared with each other.
const MAX_COMPARED: usize = 300;

fn are(bits: &ActionBits) -> &'static str {
    if bits.len() == 1 { "is" } else { "are" }
}

fn allowed_action(
    document: &Document<'_>,
    at: usize,
    index: usize,
    bits: &ActionBits,
    out: &mut Reporter<'_>,
) {
    let draft = &document.drafts[at];
    let list = &draft.actions;
    let item = &list.items[index];
    let path = || list.path(&draft.path, item);
    let implied = connect_only_actions().union(always_actions());
    let administrative = keyward_commands::administrative_actions();
    let is_connect = item.text == "kvdb:Connect" && list.items.len() > 1;
    let is_single = !item.text.ends_with('*') && !item.text.contains('@');
    if bits.is_subset_of(administrative) || item.text == "kvdb:@admin" {
        let bits = bits.intersect(administrative);
        let message = format!(
            "{} {} administrative: denied whatever a policy says, unless administration of the \
             database is turned on",
            names(&bits),
            are(&bits)
        );
        out.add(Kind::Administrative, item.at, path(), message);
    } else if is_single && (is_connect || bits.is_subset_of(&implied)) && list.items.len() > 1 {
        let starts: Vec<usize> = list.items.iter().map(|item| item.at).collect();
        let message = format!(
            "{} is implied by any other command that is allowed",
            quoted(item.text)
        );
        out.add(Kind::Implied, item.at, path(), message)
            .fix_by_removing(document.text, "remove it", &starts, index);
    }
    if matches!(item.text, "*" | "kvdb:*") && !document.meanings[at].full {
        let message = format!(
            "{} covers administration as well as data: programs need `kvdb:Execute*` or less",
            quoted(item.text)
        );
        let end = crate::check::draft::token_end(document.text, item.at);
        out.add(Kind::BroadActions, item.at, path(), message).fix(
            "allow commands only",
            item.at,
            end,
            "\"kvdb:Execute*\"",
        );
    }
}

fn resources(document: &Document<'_>, at: usize, out: &mut Reporter<'_>) {
    let (draft, meaning) = (&document.drafts[at], &document.meanings[at]);
    let list = &draft.resources;
    if document.kind != PolicyKind::Identity || meaning.resources.is_empty() {
        return;
    }
    let starts: Vec<usize> = list.items.iter().map(|item| item.at).collect();
    let known = || {
        let all = meaning.resources.iter().enumerate();
        all.filter_map(|(index, pattern)| Some((index, pattern.as_ref()?)))
    };
    for (index, pattern) in known() {
        let item = &list.items[index];
        let path = || list.path(&draft.path, item);
        let covering = || {
            known().take(MAX_COMPARED).find(|(other, wider)| {
                let equal = wider.full() == pattern.full();
                *other != index
                    && crate::check::cover::resource_covers(wider, pattern)
                    && (!equal || *other < index)
            })
        };
        if !out.is_full(Kind::DuplicateValue)
            && let Some((other, _)) = covering()
        {
            let message = format!(
                "{} is covered by {} of the same list",
                quoted(item.text),
                quoted(list.items[other].text)
            );
            out.add(Kind::DuplicateValue, item.at, path(), message)
                .fix_by_removing(document.text, "remove it", &starts, index);
        }
        if !draft.is(Effect::Allow) || meaning.full {
            continue;
        }
        let ids = item.text.strip_suffix("/*");
        if let Some(kind) = ids.filter(|_| !item.text.starts_with("org/*")) {
            let message = format!(
                "{} covers every `{kind}`, later ones included: name the ids if a few will do",
                quoted(item.text)
            );
            out.add(Kind::AllOfType, item.at, path(), message);
        } else if item.text == "**" || item.text.ends_with("/**") {
            all_resources(document, at, index, out);
        }
    }
    if meaning.is_whole {
        wrong_resources(document, at, out);
    }
}

/// `**` beside actions that are decided on one type only.
fn all_resources(document: &Document<'_>, at: usize, index: usize, out: &mut Reporter<'_>) {
    let (draft, meaning) = (&document.drafts[at], &document.meanings[at]);
    let item = &draft.resources.items[index];
    let mut types = Types::NONE;
    for action in meaning.actions.iter() {
        types = types.union(decided_on(action));
        if types == Types::ALL {
            break;
        }
    }
    let narrower = match types.describe().as_str() {
        "`kvdb/<id>`" | "`kvdb/<id>` or `kvdb/<id>/snapshot/<id>`" => Some("kvdb/*"),
        "`programmatic_identity/<id>`" => Some("programmatic_identity/*"),
        _ => None,
    };
    let path = draft.resources.path(&draft.path, item);
    let message = match narrower {
        Some(wanted) => format!(
            "{} covers everything: all actions here are decided on {}, write `{wanted}` or name ids",
            quoted(item.text),
            types.describe()
        ),
        None => format!(
            "{} covers everything of the organisation, later resources included: name what is meant",
            quoted(item.text)
        ),
    };
    let added = out.add(Kind::AllResources, item.at, path, message);
    if let Some(wanted) = narrower.filter(|_| item.text == "**") {
        let end = crate::check::draft::token_end(document.text, item.at);
        added.fix("narrow to the type", item.at, end, format!("\"{wanted}\""));
    }
}

/// Actions that no resource fits, and resources that no action fits.
fn wrong_resources(document: &Document<'_>, at: usize, out: &mut Reporter<'_>) {
    let (draft, meaning) = (&document.drafts[at], &document.meanings[at]);
    let under = |pattern: &crate::ResourcePattern| Types::under(pattern);
    let patterns = || meaning.resources.iter().flatten();
    let types = patterns().fold(Types::NONE, |all, pattern| all.union(under(pattern)));
    if types == Types::ALL {
        return;
    }
    let fitting = document.applicable(types);
    let mut any = false;
    for (index, item) in draft.actions.items.iter().enumerate() {
        let Some(bits) = document.bits(meaning, index) else {
            continue;
        };
        if bits.intersects(&fitting) {
            any = true;
            continue;
        }
        let wanted = bits
            .iter()
            .fold(Types::NONE, |all, action| all.union(decided_on(action)));
        let path = draft.actions.path(&draft.path, item);
        let message = format!(
            "{} is decided on {}: no resource of the statement is one",
            quoted(item.text),
            wanted.describe()
        );
        out.add(Kind::WrongResource, item.at, path, message);
    }
    if !any {
        return;
    }
    for (index, pattern) in meaning.resources.iter().enumerate() {
        let Some(pattern) = pattern else {
            continue;
        };
        if document
            .applicable(under(pattern))
            .intersects(&meaning.actions)
        {
            continue;
        }
        let item = &draft.resources.items[index];
        let path = draft.resources.path(&draft.path, item);
        let message = format!("none of the actions is decided on {}", quoted(item.text));
        out.add(Kind::ResourceWithoutAction, item.at, path, message);
    }
}

fn identities(document: &Document<'_>, draft: &Draft<'_>, out: &mut Reporter<'_>) {
    if document.kind != PolicyKind::Resource {
        return;
    }
    let list = &draft.identities;
    let starts: Vec<usize> = list.items.iter().map(|item| item.at).collect();
    let own = format!("org/{}", document.organisation);
    let mut seen = HashMap::new();
    for (index, item) in list.items.iter().enumerate() {
        let path = || list.path(&draft.path, item);
        if let Some(first) = seen.insert(item.text, index) {
            let message = format!("{} stands twice in the list", quoted(item.text));
            out.add(Kind::DuplicateValue, item.at, path(), message)
                .fix_by_removing(document.text, "remove it", &starts, index);
            seen.insert(item.text, first);
        }
        if !draft.is(Effect::Allow) {
            continue;
        }
        let foreign = item.text.starts_with("org/")
            && item.text != own
            && !item.text.starts_with(&format!("{own}/"));
        match item.text {
            "*" => {
                let message = "`*` accepts every identity of every organisation, by itself";
                out.add(Kind::Everyone, item.at, path(), message);
            }
            "unauthenticated" => {
                let message = "`unauthenticated` lets in whoever reaches the listener";
                out.add(Kind::Unauthenticated, item.at, path(), message);
            }
            text if foreign => {
                let message = format!(
                    "{} is of another organisation: this statement alone lets it in",
                    quoted(text)
                );
                out.add(Kind::ForeignIdentity, item.at, path(), message);
            }
            _ => {}
        }
    }
}

/// Which of the four key fields a statement has, and which of them hold `*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct KeyShape {
    keys: bool,
    all_keys: bool,
    reads: bool,
    all_reads: bool,
    writes: bool,
    all_writes: bool,
    channels: bool,
}

impl KeyShape {
    fn of(lists: &[List<'_>]) -> Self {
        let mut shape = Self::default();
        for list in lists {
            let (some, all) = (
                !list.items.is_empty(),
                list.items.iter().any(|item| item.text == "*"),
            );
            match list.name {
                "Keys" => (shape.keys, shape.all_keys) = (some, all),
                "ReadKeys" => (shape.reads, shape.all_reads) = (some, all),
                "WriteKeys" => (shape.writes, shape.all_writes) = (some, all),
                _ => shape.channels = some,
            }
        }
        shape
    }

    fn restricts_keys(self) -> bool {
        !(self.all_keys || self.all_reads && self.all_writes)
    }

    /// Can a statement with such key fields match some call of the action?
    fn can_match(self, effect: Effect, action: ActionId) -> bool {
        let Some(command) = action.command() else {
            return effect == Effect::Allow;
        };
        let command = command.command();
        let has_channels = command.channels != ChannelRule::None;
        let some = self.keys || self.reads || self.writes;
        let (mut reads, mut writes) = (false, false);
        for spec in command.key_specs {
            if !spec.flags.contains(KeyFlags::NOT_KEY) {
                reads |= spec.flags.reads();
                writes |= spec.flags.writes();
            }
        }
        match (effect, command.scope) {
            (Effect::Allow, CommandScope::Keyless) => !has_channels || self.channels,
            (Effect::Deny, CommandScope::Keyless) => has_channels && self.channels,
            (Effect::Allow, CommandScope::WholeKeyspace) => {
                has_channels && self.channels || self.all_keys || self.all_reads || self.all_writes
            }
            (Effect::Deny, CommandScope::WholeKeyspace) => has_channels && self.channels || some,
            (_, CommandScope::Enumeration) => self.keys || self.reads,
            (_, CommandScope::Keyed) if command.key_specs.is_empty() => some,
            (Effect::Allow, CommandScope::Keyed) => {
                // Commands whose access depends on their arguments may do with less.
                let depends = command.flags.contains(keyward_commands::Flags::MOVABLEKEYS)
                    || matches!(command.name, "set" | "bitfield");
                self.keys
                    || (self.reads && (!writes || depends))
                    || (self.writes && (!reads || depends))
                    || (self.reads && self.writes)
            }
            (Effect::Deny, CommandScope::Keyed) => {
                self.keys || (self.reads && reads) || (self.writes && writes)
            }
        }
    }
}

fn key_fields(
    document: &Document<'_>,
    at: usize,
    shapes: &mut HashMap<(KeyShape, Effect), ActionBits>,
    out: &mut Reporter<'_>,
) {
    let (draft, meaning) = (&document.drafts[at], &document.meanings[at]);
    for list in &draft.keys {
        patterns(document, draft, list, out);
    }
    let (Some(effect), false) = (draft.effect, draft.keys.is_empty()) else {
        return;
    };
    let shape = KeyShape::of(&draft.keys);
    let possible = shapes.entry((shape, effect)).or_insert_with(|| {
        let all = ActionId::all().filter(|action| shape.can_match(effect, *action));
        all.collect()
    });
    for (index, item) in draft.actions.items.iter().enumerate() {
        let Some(bits) = document.bits(meaning, index) else {
            continue;
        };
        let path = || draft.actions.path(&draft.path, item);
        let never = bits.subtract(possible);
        let commands = bits.intersect(execute_actions());
        if !commands.is_empty() && bits.is_subset_of(&never) {
            let message = never_matches(effect, &never, draft);
            out.add(Kind::NeverMatches, item.at, path(), message);
            continue;
        }
        if effect == Effect::Deny || !shape.restricts_keys() {
            continue;
        }
        let scripts: ActionBits = bits.iter().filter(|action| is_script(*action)).collect();
        if !scripts.is_empty() && scripts == *bits {
            let message = format!(
                "{} {} undeclared keys: under a key restriction they are mostly denied",
                names(&scripts),
                if scripts.len() == 1 {
                    "reaches"
                } else {
                    "reach"
                }
            );
            out.add(Kind::ScriptsNeedAll, item.at, path(), message);
        } else if never.iter().any(is_destructive) {
            let never: ActionBits = never
                .iter()
                .filter(|action| is_destructive(*action))
                .collect();
            let message = format!(
                "of {}, {} touch every key: they are not granted under these key fields",
                quoted(item.text),
                names(&never)
            );
            out.add(Kind::PartlyUnderKeys, item.at, path(), message);
        }
    }
    let every = draft.keys.iter().find_map(|list| {
        let item = list.items.iter().find(|item| item.text == "*")?;
        (list.name == "Keys" && list.items.len() == 1).then_some((list, item))
    });
    if let Some((list, item)) = every.filter(|_| draft.keys.len() == 1 && effect == Effect::Allow) {
        let message = "`Keys` of `*` covers every key, and leaves no channel";
        out.add(
            Kind::EveryKey,
            item.at,
            list.path(&draft.path, item),
            message,
        );
    }
}

fn never_matches(effect: Effect, never: &ActionBits, draft: &Draft<'_>) -> String {
    let fields: Vec<String> = draft
        .keys
        .iter()
        .map(|list| format!("`{}`", list.name))
        .collect();
    let fields = fields.join(" and ");
    let first = never.iter().find_map(ActionId::command);
    let scope = first.map(|command| command.command().scope);
    let verb = if never.len() == 1 { "is" } else { "are" };
    let names = names(never);
    match (effect, scope) {
        (Effect::Allow, Some(CommandScope::WholeKeyspace)) => format!(
            "{names} {verb} never allowed by {fields} here: a command that touches every key needs \
             the pattern `*`"
        ),
        (Effect::Allow, _) => format!("{names} {verb} never allowed by {fields} alone"),
        (Effect::Deny, Some(CommandScope::Keyless)) => {
            format!("{names} {verb} never denied here: {fields} meets no command without keys")
        }
        (Effect::Deny, _) => format!("{names} {verb} never denied by {fields}"),
    }
}

fn is_script(action: ActionId) -> bool {
    let class = action.command().map(|command| command.command().class);
    class == Some(CommandClass::WholeDatabase)
}

/// Worth telling that it is not granted.
fn is_destructive(action: ActionId) -> bool {
    let Some(command) = action.command() else {
        return false;
    };
    let command = command.command();
    let whole = command.scope == CommandScope::WholeKeyspace;
    whole
        && command.class != CommandClass::Administrative
        && command.flags.contains(keyward_commands::Flags::WRITE)
}

/// Patterns of one key field.
fn patterns(document: &Document<'_>, draft: &Draft<'_>, list: &List<'_>, out: &mut Reporter<'_>) {
    let starts: Vec<usize> = list.items.iter().map(|item| item.at).collect();
    for (index, other) in covered_globs(&list.items) {
        if out.is_full(Kind::DuplicateValue) {
            break;
        }
        let (item, wider) = (&list.items[index], &list.items[other]);
        let message = if item.text == wider.text {
            format!("{} stands twice in the list", quoted(item.text))
        } else {
            let (text, wider) = (quoted(item.text), quoted(wider.text));
            format!("{text} is covered by {wider} of the same list")
        };
        out.add(
            Kind::DuplicateValue,
            item.at,
            list.path(&draft.path, item),
            message,
        )
        .fix_by_removing(document.text, "remove it", &starts, index);
    }
    let mut folded: HashMap<String, usize> = HashMap::new();
    for (index, item) in list.items.iter().enumerate() {
        let path = || list.path(&draft.path, item);
        if let Some(what) = looks_like_regex(item.text) {
            let message = format!(
                "{} has {what}, which means nothing special in a glob",
                quoted(item.text)
            );
            out.add(Kind::LooksLikeRegex, item.at, path(), message);
        }
        let trimmed = item.text.trim();
        if trimmed != item.text {
            let end = crate::check::draft::token_end(document.text, item.at);
            let message = format!("{} begins or ends with white space", quoted(item.text));
            let added = out.add(Kind::OuterSpace, item.at, path(), message);
            if !trimmed.contains(['"', '\\']) && !trimmed.chars().any(char::is_control) {
                added.fix("trim it", item.at, end, format!("\"{trimmed}\""));
            }
        }
        match folded.insert(item.text.to_lowercase(), index) {
            Some(first) if list.items[first].text != item.text => {
                let message = format!(
                    "{} and {} differ only in letter case",
                    quoted(item.text),
                    quoted(list.items[first].text)
                );
                out.add(Kind::CaseSlip, item.at, path(), message);
            }
            _ => {}
        }
    }
}

/// What of a regular expression a pattern has.
pub(crate) fn looks_like_regex(pattern: &str) -> Option<&'static str> {
    let inner = pattern.strip_prefix('^');
    let dollar = pattern.ends_with('$') && !pattern.ends_with("\\$");
    if inner.is_some() && dollar {
        return Some("`^` and `$`");
    }
    if pattern.contains(".*") || pattern.contains(".+") {
        return Some("`.*` or `.+`");
    }
    if inner.is_some() {
        return Some("`^` at its beginning");
    }
    if dollar {
        return Some("`$` at its end");
    }
    if pattern.contains("\\d") || pattern.contains("\\w") || pattern.contains("\\s") {
        return Some("a class such as `\\d`");
    }
    if pattern.contains("(?:") || pattern.contains("]+") || pattern.contains(")|(") {
        return Some("a group or a repetition");
    }
    None
}

/// Full access, and actions that hand out power.
fn power(document: &Document<'_>, at: usize, out: &mut Reporter<'_>) {
    let (draft, meaning) = (&document.drafts[at], &document.meanings[at]);
    if !draft.is(Effect::Allow) || document.kind != PolicyKind::Identity {
        return;
    }
    if meaning.full {
        let all = draft.actions.items.iter().find(|item| item.text == "*");
        let (path, from) = match all {
            Some(item) => (draft.actions.path(&draft.path, item), item.at),
            None => (draft.path.clone(), draft.at),
        };
        let conditions = if draft.wanted.is_empty() && draft.keys.is_empty() {
            ""
        } else {
            ", under conditions"
        };
        let message = format!("allows every action on every resource{conditions}");
        out.add(Kind::FullAccess, from, path, message);
        return;
    }
    let broad = |pattern: &crate::ResourcePattern| pattern.full().contains('*');
    let organisation =
        |pattern: &crate::ResourcePattern| Types::under(pattern).describe() == "`org/<id>`";
    for (index, item) in draft.actions.items.iter().enumerate() {
        let Some(bits) = document.bits(meaning, index) else {
            continue;
        };
        let powerful = bits.intersect(hands_out_power());
        if powerful.is_empty() {
            continue;
        }
        let mut on = Vec::new();
        let mut reached = ActionBits::EMPTY;
        for (resource, pattern) in meaning.resources.iter().enumerate() {
            let Some(pattern) = pattern else {
                continue;
            };
            if !broad(pattern) && !organisation(pattern) {
                continue;
            }
            let here = powerful.intersect(&document.applicable(Types::under(pattern)));
            if !here.is_empty() {
                reached = reached.union(&here);
                on.push(quoted(draft.resources.items[resource].text));
            }
        }
        // `kvdb:*` on every database is administration of databases, not of identities.
        let databases_only = reached.iter().all(|action| action.is_kvdb()) && item.text == "kvdb:*";
        if reached.is_empty() || databases_only {
            continue;
        }
        on.truncate(3);
        let message = format!(
            "{} on {}: whoever has this can become more than it is",
            names(&reached),
            on.join(", ")
        );
        let path = draft.actions.path(&draft.path, item);
        out.add(Kind::HandsOutPower, item.at, path, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_expressions() {
        let cases = [
            ("session:*", false),
            ("user:[0-9]*", false),
            ("^user:.*$", true),
            ("user:.*", true),
            ("user:\\d", true),
            ("a.b.*.c", true),
            ("price$", true),
            ("${keyward:PrincipalTag/team}:*", false),
        ];
        for (pattern, expected) in cases {
            assert_eq!(looks_like_regex(pattern).is_some(), expected, "{pattern}");
        }
    }

    #[test]
    fn what_key_fields_let_match() {
        let shape = |lists: &[(&'static str, &'static str)]| {
            let lists: Vec<List<'_>> = lists
                .iter()
                .map(|(name, text)| List {
                    name,
                    items: vec![crate::check::draft::Item {
                        index: 0,
                        at: 0,
                        text,
                    }],
                    ..List::default()
                })
                .collect();
            KeyShape::of(&lists)
        };
        type Fields = &'static [(&'static str, &'static str)];
        let cases: &[(Fields, Effect, &str, bool)] = &[
            (&[("Keys", "a:*")], Effect::Allow, "Get", true),
            (&[("Keys", "a:*")], Effect::Allow, "Flushall", false),
            (&[("Keys", "*")], Effect::Allow, "Flushall", true),
            (&[("Keys", "a:*")], Effect::Allow, "Scan", true),
            (&[("Keys", "a:*")], Effect::Allow, "Ping", true),
            (&[("Keys", "a:*")], Effect::Deny, "Ping", false),
            (&[("Keys", "a:*")], Effect::Allow, "Subscribe", false),
            (&[("Channels", "a:*")], Effect::Allow, "Subscribe", true),
            (&[("Channels", "a:*")], Effect::Allow, "Get", false),
            (&[("ReadKeys", "a:*")], Effect::Allow, "Del", false),
            (&[("ReadKeys", "a:*")], Effect::Allow, "Get", true),
            (&[("WriteKeys", "a:*")], Effect::Allow, "Set", true),
            (&[("WriteKeys", "a:*")], Effect::Allow, "Incr", false),
            (&[("ReadKeys", "a:*")], Effect::Deny, "Incr", true),
            (&[("ReadKeys", "a:*")], Effect::Deny, "Del", false),
        ];
        for (lists, effect, name, expected) in cases {
            let action = keyward_commands::action(&format!("kvdb:Execute{name}")).unwrap();
            let found = shape(lists).can_match(*effect, action);
            assert_eq!(found, *expected, "{lists:?} {effect:?} {name}");
        }
    }
}
