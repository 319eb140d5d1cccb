//! Rules written in a vendor's dialect.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use keyward_commands::{ActionBits, ActionId, CONNECT, CommandScope, action_pattern};

use super::compare::compare;
use super::conditions::{self, Clause};
use super::rule::{Fields, Rule, quote};
use super::{Core, Report, TranslationNames};
use crate::json::MAX_DOCUMENT_LEN;
use crate::vendor::{Rendering, VendorPlace, rendering};
use crate::{Dialect, Effect, PolicyKind, Statement};

/// One statement of a vendor's document, before its conditions.
#[derive(Default)]
struct Part {
    not: bool,
    actions: Vec<String>,
    resources: Vec<String>,
}

/// What a rule's resources are to the vendor.
#[derive(Default)]
struct Targets {
    /// The patterns for actions on the things themselves.
    itself: Vec<String>,
    /// The organisation itself is among them.
    organisation: bool,
    /// Everything of the organisation is.
    everything: bool,
    /// Snapshots of a database are meant with it.
    snapshots: bool,
    /// Ids that are named.
    ids: Vec<String>,
}

/// A document of these rules.
pub(super) fn write(
    rules: &[Rule],
    dialect: Dialect,
    names: &TranslationNames,
    report: &mut Report,
) -> String {
    let mut statements = Vec::new();
    let mut known = Known::default();
    let mut sids = HashSet::new();
    let mut written = 0;
    for rule in rules {
        if report.is_exhausted() || report.is_too_long(written) {
            break;
        }
        let mut own_sid = sid_of(rule, &mut sids);
        let rule = &*without_enumerations(rule, report);
        let Some(parts) = known.parts(rule, dialect, names, report) else {
            continue;
        };
        let Some(variants) = conditions::export(rule, dialect, report) else {
            continue;
        };
        let both = variants
            .iter()
            .flat_map(|clauses| parts.iter().map(move |part| (clauses, part)));
        for (clauses, part) in both {
            if written > MAX_DOCUMENT_LEN {
                break;
            }
            let text = statement(dialect, rule.effect, part, clauses, own_sid.take());
            written += text.len();
            statements.push(text);
        }
    }
    if report.is_too_long(written) {
        return String::new();
    }
    if statements.is_empty() {
        report.refuse(
            "the document",
            "nothing of it can be said in the other dialect",
        );
    }
    let (version, value, statement) = match dialect {
        Dialect::Tencent => ("version", "2.0", "statement"),
        Dialect::Alibaba => ("Version", "1", "Statement"),
        _ => ("Version", "2012-10-17", "Statement"),
    };
    format!(
        "{{\n  {}: {},\n  {}: [\n{}\n  ]\n}}\n",
        quote(version),
        quote(value),
        quote(statement),
        statements.join(",\n")
    )
}

/// Natively, who may read no key lists none. A condition that no key stands in a call lets a call
/// pass that lists keys, if it shows none: such commands are left out.
fn without_enumerations<'a>(rule: &'a Rule, report: &mut Report) -> Cow<'a, Rule> {
    let [keys, read, ..] = &rule.keys;
    let unreadable = rule.has_key_fields() && keys.is_empty() && read.is_empty();
    let bits = rule
        .actions
        .iter()
        .filter_map(|text| action_pattern(text).ok());
    let bits = bits.fold(ActionBits::EMPTY, |all, bits| all.union(&bits));
    let lists = |action: &ActionId| {
        let command = action.command();
        command.is_some_and(|command| command.command().scope == CommandScope::Enumeration)
    };
    if rule.effect == Effect::Deny || !unreadable || !bits.iter().any(|action| lists(&action)) {
        return Cow::Borrowed(rule);
    }
    if rule.actions.iter().any(|text| text.ends_with('*')) {
        report.lose(
            &rule.at,
            "its commands are listed one by one, without those that list keys: later ones are left out",
        );
    }
    let kept = bits.iter().filter(|action| !lists(action));
    Cow::Owned(Rule {
        actions: kept.map(|action| action.name().to_owned()).collect(),
        ..rule.clone()
    })
}

/// The rule's `Sid`, where AWS takes it and no earlier rule has it.
fn sid_of<'r>(rule: &'r Rule, known: &mut HashSet<&'r str>) -> Option<&'r str> {
    let sid = rule.sid.as_deref()?;
    let plain = !sid.is_empty() && sid.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let first = known.insert(sid);
    (plain && first).then_some(sid)
}

fn statement(
    dialect: Dialect,
    effect: Effect,
    part: &Part,
    clauses: &[Clause],
    sid: Option<&str>,
) -> String {
    let lower = dialect == Dialect::Tencent;
    let name = |name: &str| match lower {
        true => name.to_ascii_lowercase(),
        false => name.to_owned(),
    };
    let mut fields = Fields::new("    ");
    if let Some(sid) = sid.filter(|_| dialect == Dialect::Aws) {
        fields.text("Sid", sid);
    }
    let effect = if effect == Effect::Allow {
        "Allow"
    } else {
        "Deny"
    };
    fields.text(&name("Effect"), &name(effect));
    let action = if part.not { "NotAction" } else { "Action" };
    fields.list(&name(action), &part.actions);
    fields.list(&name("Resource"), &part.resources);
    if !clauses.is_empty() {
        fields.conditions(&name("Condition"), clauses.to_vec());
    }
    fields.finish()
}

/// Most resources of one statement that are put into a vendor's words, which are longer.
const MAX_RESOURCES: usize = 20_000;

/// Statements of which nothing was to be told, by effect, actions and resources of their rule: many rules
/// of a document differ in keys and conditions only.
#[derive(Default)]
struct Known(HashMap<Core, Rc<[Part]>>);

/// Most rules whose statements are kept.
const MAX_KNOWN: usize = 256;

impl Known {
    fn parts(
        &mut self,
        rule: &Rule,
        dialect: Dialect,
        names: &TranslationNames,
        report: &mut Report,
    ) -> Option<Rc<[Part]>> {
        let key = (rule.effect, rule.actions.clone(), rule.resources.clone());
        if let Some(known) = self.0.get(&key) {
            return Some(Rc::clone(known));
        }
        let said = report.said;
        let parts: Rc<[Part]> = parts(rule, dialect, names, report)?.into();
        if report.said == said && self.0.len() < MAX_KNOWN {
            self.0.insert(key, Rc::clone(&parts));
        }
        Some(parts)
    }
}

/// The statements of a rule, compared with it; `None` if there is none.
fn parts(
    rule: &Rule,
    dialect: Dialect,
    names: &TranslationNames,
    report: &mut Report,
) -> Option<Vec<Part>> {
    let place = names.place(dialect);
    let too_large =
        "it is more than one document of the other dialect holds: translate it in parts";
    if rule.resources.len() > MAX_RESOURCES {
        report.refuse(&rule.at, too_large);
        return None;
    }
    let targets = targets(rule, dialect, names, report)?;
    let parts = actions(rule, dialect, &place, &targets, report)?;
    if parts.is_empty() {
        report.lose(&rule.at, "nothing of it can be said in the other dialect");
        return None;
    }
    let native = rule.compiled(&names.organisation)?;
    let Some(vendor) = compiled(&parts, rule.effect, dialect, names) else {
        report.refuse(&rule.at, too_large);
        return None;
    };
    let native = [native];
    let found = compare(
        false,
        rule.effect,
        &native,
        &vendor,
        dialect,
        names,
        &targets.ids,
        report.left(),
    );
    report.asked += found.asked;
    if report.is_exhausted() {
        return None;
    }
    let mut right = true;
    let shared = |witness: &str| format!("the other dialect cannot tell {witness} apart");
    let left_out =
        |witness: &str| format!("{witness} cannot be said with the rest of the statement");
    match (rule.effect, found.only_native, found.only_vendor) {
        (_, None, None) => {}
        (Effect::Allow, lost, wider) => {
            if let Some(witness) = wider {
                report.refuse(
                    &rule.at,
                    format!("{}: more would be allowed", shared(&witness)),
                );
                right = false;
            }
            if let Some(witness) = lost {
                report.lose(&rule.at, left_out(&witness));
            }
        }
        (Effect::Deny, wider, more) => {
            if let Some(witness) = wider {
                report.refuse(
                    &rule.at,
                    format!("{}: less would be denied", left_out(&witness)),
                );
                right = false;
            }
            if let Some(witness) = more {
                report.lose(&rule.at, format!("{}: more is denied", shared(&witness)));
            }
        }
    }
    right.then_some(parts)
}

fn compiled(
    parts: &[Part],
    effect: Effect,
    dialect: Dialect,
    names: &TranslationNames,
) -> Option<Vec<Statement>> {
    let mut statements = Vec::new();
    for part in parts {
        let text = statement(dialect, effect, part, &[], None);
        let text = match dialect {
            Dialect::Tencent => format!("{{\"version\":\"2.0\",\"statement\":[{text}]}}"),
            Dialect::Alibaba => format!("{{\"Version\":\"1\",\"Statement\":[{text}]}}"),
            _ => format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{text}]}}"),
        };
        let kind = PolicyKind::Identity;
        let policy = crate::vendor::read(dialect, &text, kind, &names.organisation).ok()?;
        statements.extend(policy.statements().iter().cloned());
    }
    Some(statements)
}

fn targets(
    rule: &Rule,
    dialect: Dialect,
    names: &TranslationNames,
    report: &mut Report,
) -> Option<Targets> {
    let speaks_of_snapshots = |text: &String| {
        let bits = action_pattern(text).ok();
        bits.is_none_or(|bits| {
            bits.iter()
                .any(|action| action.name().ends_with("Snapshot"))
        })
    };
    let mut targets = Targets {
        snapshots: rule.effect == Effect::Deny || rule.actions.iter().any(speaks_of_snapshots),
        ..Targets::default()
    };
    let own = format!("org/{}", names.organisation);
    for text in &rule.resources {
        let short = text.strip_prefix(&*own).map_or(&**text, |rest| match rest {
            "" => "org",
            rest => rest.strip_prefix('/').unwrap_or(text),
        });
        match pattern(short, dialect, names, &mut targets) {
            Some(patterns) => targets.itself.extend(patterns),
            None => {
                let what = format!("`{text}` has no name in the `{}` dialect", dialect.name());
                match rule.effect {
                    Effect::Allow => report.lose(&rule.at, what),
                    Effect::Deny => {
                        report.refuse(&rule.at, format!("{what}: less would be denied"));
                        return None;
                    }
                }
            }
        }
    }
    Some(targets)
}

/// The vendor's patterns for a native one without its organisation.
fn pattern(
    text: &str,
    dialect: Dialect,
    names: &TranslationNames,
    targets: &mut Targets,
) -> Option<Vec<String>> {
    let account = &names.account;
    if text.contains("${") {
        return None;
    }
    if text == "**" {
        (targets.everything, targets.organisation) = (true, true);
        return Some(match dialect {
            Dialect::Tencent => vec![format!("qcs::::uin/{account}:*")],
            Dialect::Alibaba => vec![format!("acs:*:*:{account}:*")],
            _ => vec![
                format!("arn:aws:elasticache:*:{account}:*"),
                format!("arn:aws:iam::{account}:*"),
            ],
        });
    }
    if text == "org" {
        targets.organisation = true;
        return Some(Vec::new());
    }
    let segments: Vec<&str> = text.split('/').collect();
    let [kind, id, ref rest @ ..] = segments[..] else {
        return None;
    };
    if id != "*" {
        targets.ids.push(id.to_owned());
    }
    let mut place = names.place(dialect);
    place.region = match dialect {
        Dialect::Tencent => String::new(),
        _ => "*".into(),
    };
    match (kind, rest) {
        ("kvdb", []) => {
            let mut patterns = vec![place.resource(dialect, text)];
            if dialect == Dialect::Aws && targets.snapshots {
                patterns.push(place.resource(dialect, &format!("{text}/snapshot/*")));
            }
            Some(patterns)
        }
        ("kvdb", ["snapshot", _]) if dialect == Dialect::Aws => {
            Some(vec![place.resource(dialect, text)])
        }
        // People's names begin with `org_user/`: a wildcard for programs would take them in.
        ("programmatic_identity", []) if id == "*" => None,
        ("programmatic_identity" | "org_user" | "group" | "role" | "policy" | "trust", []) => {
            Some(vec![place.resource(dialect, text)])
        }
        ("identity_provider", []) => Some(vec![place.resource(dialect, text)]),
        _ => None,
    }
}

/// The vendor's statements for a rule's actions.
fn actions(
    rule: &Rule,
    dialect: Dialect,
    place: &VendorPlace,
    targets: &Targets,
    report: &mut Report,
) -> Option<Vec<Part>> {
    let deny = rule.effect == Effect::Deny;
    let mut patterns: Vec<String> = Vec::new();
    let mut listed = ActionBits::EMPTY;
    let mut complement = Vec::new();
    for text in &rule.actions {
        let Ok(bits) = action_pattern(text) else {
            report.refuse(&rule.at, format!("`{text}` is unknown"));
            return None;
        };
        let set = text.contains(":@");
        let prefix = text.strip_suffix('*');
        match prefix {
            Some("") => {
                patterns.push("*".into());
                listed = listed.union(&bits);
            }
            Some(prefix) if prefix.starts_with("kvdb:Execute") => patterns.push(text.clone()),
            _ if deny && (set || prefix.is_some()) => {
                report.lose(
                    &rule.at,
                    format!(
                        "`{text}` in a Deny would be listed out, and a later catalogue left behind"
                    ),
                );
                match (set, dialect) {
                    // What is not in the set is listed, so that whatever comes later is denied.
                    (true, Dialect::Aws | Dialect::Alibaba) => complement.push(bits),
                    (true, _) => {
                        report.refuse(&rule.at, format!("`{text}` in a Deny cannot be said"));
                        return None;
                    }
                    _ => patterns.extend(services(text, dialect)),
                }
            }
            Some(prefix) if "kvdb:Execute".starts_with(prefix) => {
                patterns.push("kvdb:Execute*".into());
                listed = listed.union(&bits.subtract(keyward_commands::execute_actions()));
            }
            _ => listed = listed.union(&bits),
        }
    }
    let everything = patterns.iter().any(|pattern| pattern == "*");
    let mut parts = Vec::new();
    let mut itself = patterns;
    let mut organisation: Vec<Part> = Vec::new();
    let mut add = |actions: &[&str], resource: String| {
        let names = actions.iter().map(|name| (*name).to_owned());
        match organisation
            .iter_mut()
            .find(|part| part.resources == [resource.clone()])
        {
            Some(part) => part.actions.extend(names),
            None => organisation.push(Part {
                not: false,
                actions: names.collect(),
                resources: vec![resource],
            }),
        }
    };
    let mut users = None;
    for action in listed.iter() {
        let connect = action == CONNECT && dialect == Dialect::Aws;
        if connect && !deny && !targets.everything && !targets.itself.is_empty() {
            users = Some(format!("arn:aws:elasticache:*:{}:user:*", place.account));
        }
        if !everything {
            own_name(action, dialect, place, &mut itself);
        }
        if targets.organisation
            && let Rendering::OfOrganisation(calls, mut resource) =
                rendering(dialect, action, place)
        {
            let covered = everything && targets.everything && resource != "*";
            if !covered {
                resource = any_region(dialect, place, &resource);
                add(calls, resource);
            }
        }
        if let (Rendering::Varied, false) = (rendering(dialect, action, place), everything) {
            let what = format!("`{}` depends there on what it is asked on", action.name());
            match deny {
                false => report.lose(&rule.at, what),
                true => {
                    report.refuse(&rule.at, format!("{what}: less would be denied"));
                    return None;
                }
            }
        }
    }
    itself.sort_unstable();
    itself.dedup();
    if !itself.is_empty() && !targets.itself.is_empty() {
        parts.push(Part {
            not: false,
            actions: itself,
            // Connecting is decided on the database and on the user: in one statement, as people write it.
            resources: targets.itself.iter().cloned().chain(users).collect(),
        });
    }
    for bits in complement {
        let mut others = Vec::new();
        for action in ActionId::all().filter(|action| !bits.contains(*action)) {
            own_name(action, dialect, place, &mut others);
            if let Rendering::OfOrganisation(calls, _) = rendering(dialect, action, place) {
                others.extend(calls.iter().map(|name| (*name).to_owned()));
            }
        }
        others.sort_unstable();
        others.dedup();
        if !targets.itself.is_empty() {
            parts.push(Part {
                not: true,
                actions: others,
                resources: targets.itself.clone(),
            });
        }
    }
    for mut part in organisation {
        part.actions.sort_unstable();
        part.actions.dedup();
        parts.push(part);
    }
    Some(parts)
}

/// The vendor's names of an action on the thing itself.
fn own_name(action: ActionId, dialect: Dialect, place: &VendorPlace, names: &mut Vec<String>) {
    if action == CONNECT && dialect == Dialect::Aws {
        names.push("elasticache:Connect".into());
        return;
    }
    match rendering(dialect, action, place) {
        Rendering::Own => names.push(action.name().to_owned()),
        Rendering::Calls(calls) => names.extend(calls.iter().map(|name| (*name).to_owned())),
        Rendering::OfOrganisation(..) | Rendering::Varied => {}
    }
}

/// A resource of the place's region, in every region.
fn any_region(dialect: Dialect, place: &VendorPlace, resource: &str) -> String {
    let (from, to) = match dialect {
        Dialect::Tencent => (format!(":redis:{}:", place.region), ":redis::".to_owned()),
        Dialect::Alibaba => (
            format!(":kvstore:{}:", place.region),
            ":kvstore:*:".to_owned(),
        ),
        _ => (
            format!(":elasticache:{}:", place.region),
            ":elasticache:*:".to_owned(),
        ),
    };
    resource.replacen(&from, &to, 1)
}

/// Every service that a native prefix reaches into: more than it does.
fn services(text: &str, dialect: Dialect) -> Vec<String> {
    let (redis, iam) = match dialect {
        Dialect::Tencent => ("redis:*", "cam:*"),
        Dialect::Alibaba => ("kvstore:*", "ram:*"),
        _ => ("elasticache:*", "iam:*"),
    };
    let all: &[&str] = match text.split(':').next() {
        Some("kvdb") => &["kvdb:*", redis],
        Some("iam") => &["iam:*", iam, redis],
        Some("sts") => &["sts:*"],
        Some("org") => &["org:*"],
        _ => &["*"],
    };
    all.iter().map(|name| (*name).to_owned()).collect()
}
