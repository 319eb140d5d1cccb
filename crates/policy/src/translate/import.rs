//! A vendor's documents as native rules.

use std::collections::HashMap;
use std::rc::Rc;

use keyward_commands::{ActionBits, ActionId, execute_actions};

use super::compare::{compare, only_together, spoken_of};
use super::rule::{Rule, place};
use super::{Core, Report, TranslationNames, conditions};
use crate::facts::NoFacts;
use crate::path::{is_slug, types_beside_databases};
use crate::vendor::{fold_action, is_of_organisation, render};
use crate::{Dialect, Effect, Policy, Statement, VendorStatement, actions_of_name};

/// What a statement's resources are natively.
struct Targets {
    resources: Vec<String>,
    ids: Vec<String>,
}

/// The rules of a vendor's document.
pub(super) fn rules(
    policy: &Policy,
    dialect: Dialect,
    names: &TranslationNames,
    report: &mut Report,
) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut known = Known::default();
    let mut written = 0;
    for statement in policy.statements() {
        if report.is_exhausted() || report.is_too_long(written) {
            break;
        }
        let at = place(statement);
        let Some(found) = known.bare(statement, dialect, names, &at, report) else {
            continue;
        };
        let Some(conditions) = conditions::import(statement, dialect, &at, report) else {
            continue;
        };
        for (number, bare) in found.iter().enumerate() {
            written += bare.actions.iter().map(String::len).sum::<usize>();
            let sid = statement.sid.as_deref().filter(|_| number == 0);
            rules.push(Rule {
                at: at.clone(),
                sid: sid.map(str::to_owned),
                conditions: conditions.clone(),
                ..bare.clone()
            });
        }
    }
    let allows = policy
        .statements()
        .iter()
        .filter(|one| one.effect == Effect::Allow);
    let allows: Vec<&VendorStatement> = allows.filter_map(|one| one.vendor.as_deref()).collect();
    if !rules.is_empty() && allows.len() > 1 {
        let named = rules.iter().flat_map(|rule: &Rule| &rule.resources);
        let ids = named.filter_map(|path| path.rsplit('/').next());
        let mut ids: Vec<String> = ids.filter(|id| is_slug(id)).map(str::to_owned).collect();
        ids.sort_unstable();
        ids.dedup();
        let (found, asked) = only_together(&allows, dialect, names, &ids, report.left());
        report.asked += asked;
        report.is_exhausted();
        if let Some(witness) = found {
            let what =
                format!("{witness} is allowed by several statements together, and by none alone");
            report.lose("the document", what);
        }
    }
    if rules.is_empty() && report.narrow {
        report
            .losses
            .push("the document: nothing of it is left".into());
    }
    rules
}

/// Rules without conditions of which nothing was to be told, by effect, actions and resources of their
/// statement: many statements of a document differ in conditions only.
#[derive(Default)]
struct Known(HashMap<Core, Rc<[Rule]>>);

/// Most statements whose rules are kept.
const MAX_KNOWN: usize = 256;

impl Known {
    fn bare(
        &mut self,
        statement: &Statement,
        dialect: Dialect,
        names: &TranslationNames,
        at: &str,
        report: &mut Report,
    ) -> Option<Rc<[Rule]>> {
        let vendor = statement.vendor.as_ref();
        let key = vendor.filter(|own| !own.has_principals()).and_then(|own| {
            let (false, actions) = own.action_texts() else {
                return None;
            };
            let (false, resources) = own.resource_texts()? else {
                return None;
            };
            let own = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect();
            Some((statement.effect, own(actions), own(resources)))
        });
        if let Some(known) = key.as_ref().and_then(|key| self.0.get(key)) {
            return Some(Rc::clone(known));
        }
        let said = report.said;
        let rules: Rc<[Rule]> = bare(statement, dialect, names, at, report)?.into();
        if let Some(key) = key.filter(|_| report.said == said && self.0.len() < MAX_KNOWN) {
            self.0.insert(key, Rc::clone(&rules));
        }
        Some(rules)
    }
}

/// The rules of a statement, without its conditions.
fn bare(
    statement: &Statement,
    dialect: Dialect,
    names: &TranslationNames,
    at: &str,
    report: &mut Report,
) -> Option<Vec<Rule>> {
    let Some(vendor) = &statement.vendor else {
        report.refuse(at, "it cannot be read again");
        return None;
    };
    if vendor.has_principals() {
        report.refuse(at, "principals are not translated");
        return None;
    }
    let targets = targets(vendor, statement.effect, dialect, names, at, report)?;
    let found = actions(statement, vendor, dialect, names, &targets, at, report)?;
    is_the_same(statement, &found, dialect, names, &targets.ids, at, report).then_some(found)
}

fn is_the_same(
    statement: &Statement,
    rules: &[Rule],
    dialect: Dialect,
    names: &TranslationNames,
    ids: &[String],
    at: &str,
    report: &mut Report,
) -> bool {
    let organisation = &names.organisation;
    let native: Option<Vec<Statement>> = rules
        .iter()
        .map(|rule| rule.compiled(organisation))
        .collect();
    let Some(native) = native else {
        report.refuse(at, "it has no native form");
        return false;
    };
    let vendor = std::slice::from_ref(statement);
    let left = report.left();
    let found = compare(
        true,
        statement.effect,
        &native,
        vendor,
        dialect,
        names,
        ids,
        left,
    );
    report.asked += found.asked;
    if report.is_exhausted() {
        return false;
    }
    // In an Allow the native side must not have more, in a Deny not less.
    let (wider, narrower) = match statement.effect {
        Effect::Allow => (found.only_native, found.only_vendor),
        Effect::Deny => (found.only_vendor, found.only_native),
    };
    if let Some(witness) = narrower {
        report.lose(at, format!("{witness} is not said the same natively"));
    }
    match wider {
        Some(witness) => {
            report.refuse(
                at,
                format!("{witness} would be decided otherwise: more would be allowed"),
            );
            false
        }
        None => true,
    }
}

fn targets(
    vendor: &VendorStatement,
    effect: Effect,
    dialect: Dialect,
    names: &TranslationNames,
    at: &str,
    report: &mut Report,
) -> Option<Targets> {
    let (negated, texts) = match vendor.resource_texts() {
        Some(texts) => texts,
        None => {
            report.refuse(at, "a role's trust document is not translated");
            return None;
        }
    };
    if negated {
        report.refuse(at, "`NotResource` has no counterpart in the native dialect");
        return None;
    }
    let mut targets = Targets {
        resources: Vec::new(),
        ids: Vec::new(),
    };
    for text in texts {
        let own = match text {
            "*" if effect == Effect::Allow => Ok(vec!["**".to_owned()]),
            // A Deny of everything is of every organisation's.
            "*" => Ok(["org/**", "user/**", "policy/system/*"]
                .map(str::to_owned)
                .to_vec()),
            text => pattern(text, dialect, names, &mut targets.ids),
        };
        match own {
            Ok(own) if own.is_empty() && effect == Effect::Deny => {
                report.refuse(
                    at,
                    format!("`{text}` names users of ElastiCache, which a native Deny does not"),
                );
                return None;
            }
            Ok(own) => targets.resources.extend(own),
            Err(what) if effect == Effect::Allow => report.lose(at, what),
            Err(what) => {
                report.refuse(at, format!("{what}: less would be denied"));
                return None;
            }
        }
    }
    targets.resources.sort_unstable();
    targets.resources.dedup();
    if targets.resources.is_empty() {
        report.lose(at, "none of its resources is Keyward's");
        return None;
    }
    Some(targets)
}

/// The native patterns for a vendor's resource; the error is why there is none.
fn pattern(
    text: &str,
    dialect: Dialect,
    names: &TranslationNames,
    ids: &mut Vec<String>,
) -> Result<Vec<String>, String> {
    let none = |why: &str| Err(format!("`{text}` {why}"));
    let count = if dialect == Dialect::Alibaba { 5 } else { 6 };
    let parts: Vec<&str> = text.splitn(count, ':').collect();
    let (service, region, account, rest) = match (dialect, &parts[..]) {
        (Dialect::Alibaba, [_, service, region, account, rest]) => {
            (*service, *region, *account, *rest)
        }
        (_, [_, partition, service, region, account, rest]) => {
            if dialect == Dialect::Aws && !matches!(*partition, "aws" | "*") {
                return none("is of another partition");
            }
            (*service, *region, *account, *rest)
        }
        _ => return none("is no resource"),
    };
    if text.contains("${") {
        return none("has a variable without a counterpart");
    }
    let place = names.place(dialect);
    let account = account.strip_prefix("uin/").unwrap_or(account);
    let own = account == names.account
        || account == "*"
        || (account.is_empty() && dialect == Dialect::Tencent);
    if !own {
        return Err(format!(
            "`{text}` is of account `{account}`, the organisation's is `{}` (say which by `--account`)",
            names.account
        ));
    }
    let global = matches!(
        service.to_ascii_lowercase().as_str(),
        "iam" | "ram" | "cam" | "sts"
    );
    let long = crate::vendor::long_region(region);
    let here = matches!(region, "*") || long == place.region || region.is_empty();
    if !global && !here {
        return Err(format!(
            "`{text}` is of region `{region}`, the databases are in `{}` (say which by `--region`)",
            place.region
        ));
    }
    if !global && region.is_empty() && dialect != Dialect::Tencent {
        return none("has no region, and no database is without");
    }
    let separator = if service.eq_ignore_ascii_case("elasticache") {
        ':'
    } else {
        '/'
    };
    let (kind, name) = rest.split_once(separator).unwrap_or((rest, ""));
    let native = match (service.to_ascii_lowercase().as_str(), kind) {
        (_, "*") if name.is_empty() => {
            return Ok(match service.to_ascii_lowercase().as_str() {
                "elasticache" | "redis" | "kvstore" => {
                    vec!["kvdb/*".into(), format!("org/{}", names.organisation)]
                }
                "" | "*" => vec!["**".into()],
                "iam" | "ram" | "cam" => identity_patterns(names),
                _ => return none("is of no service of Keyward's"),
            });
        }
        ("elasticache", "replicationgroup") | ("redis" | "kvstore", "instance" | "instanceId") => {
            "kvdb"
        }
        // Who connects is Keyward's to say: the native action has no such part.
        ("elasticache", "user") => return Ok(Vec::new()),
        ("elasticache", "snapshot") => match name.split_once('/') {
            Some((database, "*")) if is_slug(database) => {
                return Ok(vec![format!("kvdb/{database}/snapshot/*")]);
            }
            Some((database, id)) if is_slug(database) && is_slug(id) => {
                return Ok(vec![format!("kvdb/{database}/snapshot/{id}")]);
            }
            _ if matches!(name, "*" | "*/*") => return Ok(vec!["kvdb/*/snapshot/*".into()]),
            _ => return none("names no snapshot of Keyward's"),
        },
        ("iam" | "ram", "user") | ("cam", "uin") => "programmatic_identity",
        ("iam" | "ram", "role") | ("cam", "roleName") => "role",
        ("iam" | "ram", "group") | ("cam", "groupid") => "group",
        ("iam" | "ram", "policy") | ("cam", "policyid") => "policy",
        ("iam" | "ram" | "cam", "oidc-provider") => "identity_provider",
        _ => return none("is nothing of Keyward's"),
    };
    let (native, name) = match name.strip_prefix("org_user/") {
        Some(id) if native == "programmatic_identity" => ("org_user", id),
        _ => (native, name),
    };
    if name == "*" {
        let mut all = vec![format!("{native}/*"), format!("org/{}", names.organisation)];
        if native == "programmatic_identity" {
            all.push("org_user/*".into());
        }
        return Ok(all);
    }
    if !is_slug(name) {
        return none("has a wildcard inside an id, or an id that Keyward does not have");
    }
    ids.push(name.to_owned());
    Ok(vec![format!("{native}/{name}")])
}

fn identity_patterns(names: &TranslationNames) -> Vec<String> {
    let own = types_beside_databases().map(|kind| format!("{kind}/*"));
    own.chain([format!("org/{}", names.organisation)]).collect()
}

/// The native rules for a statement's actions on its resources.
fn actions(
    statement: &Statement,
    vendor: &VendorStatement,
    dialect: Dialect,
    names: &TranslationNames,
    targets: &Targets,
    at: &str,
    report: &mut Report,
) -> Option<Vec<Rule>> {
    let deny = statement.effect == Effect::Deny;
    let (negated, texts) = vendor.action_texts();
    if negated && deny {
        report.refuse(
            at,
            "`NotAction` in a Deny would be listed out, and a later catalogue left behind",
        );
        return None;
    }
    let mut patterns: Vec<String> = Vec::new();
    let mut covered = ActionBits::EMPTY;
    let mut all = false;
    for text in texts.iter().filter(|_| !negated) {
        match kind_of(dialect, text) {
            Kind::Everything => all = true,
            Kind::Commands(pattern, bits) => {
                patterns.push(pattern);
                covered = covered.union(&bits);
            }
            Kind::Nothing => report.lose(at, format!("`{text}` is nothing of Keyward's")),
            Kind::Exact => {}
            Kind::Wildcard if !deny && is_of_all_commands(dialect, text) => {
                patterns.push("kvdb:Execute*".into());
                covered = covered.union(execute_actions());
            }
            Kind::Wildcard if !deny => {}
            Kind::Wildcard => {
                report.lose(
                    at,
                    format!(
                        "`{text}` in a Deny would be listed out, and a later catalogue left behind"
                    ),
                );
                patterns.push(superset(text).to_owned());
            }
        }
    }
    let rule = |actions: Vec<String>, resources: Vec<String>| Rule {
        at: at.to_owned(),
        sid: None,
        effect: statement.effect,
        actions,
        resources,
        keys: Default::default(),
        conditions: Vec::new(),
    };
    if all {
        return Some(vec![rule(vec!["*".into()], targets.resources.clone())]);
    }
    // What is left is named one by one: in an Allow where every call of the action is spoken of, in
    // a Deny where one is.
    let place = names.place(dialect);
    let organisation = format!("org/{}", names.organisation);
    let spoken = |action: ActionId| {
        let path = match is_of_organisation(action) {
            true => organisation.clone(),
            false => format!("{organisation}/kvdb/zz-new"),
        };
        let requests = render(dialect, action, &path, &place);
        let matched = |request: &crate::VendorRequest| {
            vendor.matches_action(&request.action)
                && (!is_of_organisation(action)
                    || vendor.matches_resource(request, &names.account, &NoFacts) == Some(true))
        };
        match deny {
            false => requests.iter().all(matched),
            true => requests.iter().any(matched),
        }
    };
    let left: Vec<ActionId> = statement
        .actions
        .iter()
        .filter(|action| !covered.contains(*action) && spoken(*action))
        .collect();
    // All that is not named is much that no resource of the statement fits: connecting, which is
    // decided on the user, too.
    let left = if negated {
        let (spoken, asked) =
            spoken_of(left, statement, dialect, names, &targets.ids, report.left());
        report.asked += asked;
        if report.is_exhausted() {
            return None;
        }
        spoken
    } else {
        left
    };
    for text in texts.iter().filter(|_| !negated && !deny) {
        let of_it = actions_of_name(dialect, text);
        let said = left.iter().any(|action| of_it.contains(*action))
            || of_it.iter().any(|action| covered.contains(action));
        if !of_it.is_empty() && !said {
            report.lose(at, format!("`{text}` alone is no whole action here"));
        }
    }
    let name = |action: &ActionId| action.name().to_owned();
    let (of_organisation, itself): (Vec<ActionId>, Vec<ActionId>) = left
        .into_iter()
        .partition(|action| is_of_organisation(*action));
    patterns.extend(itself.iter().map(name));
    patterns.sort_unstable();
    patterns.dedup();
    let own = |path: &String| *path != organisation;
    let mut things: Vec<String> = targets
        .resources
        .iter()
        .filter(|path| own(path))
        .cloned()
        .collect();
    if things.is_empty() {
        things.clone_from(&targets.resources);
    }
    let mut rules = Vec::new();
    if !patterns.is_empty() {
        rules.push(rule(patterns, things));
    }
    if !of_organisation.is_empty() {
        let names = of_organisation.iter().map(name).collect();
        rules.push(rule(names, vec![organisation]));
    }
    if rules.is_empty() {
        report.lose(at, "none of its actions is Keyward's");
        // Whether a Deny may be left out so is still to be asked.
        return deny.then(Vec::new);
    }
    Some(rules)
}

/// What an action pattern of a vendor is natively.
enum Kind {
    Everything,
    /// Commands that begin so, and which they are.
    Commands(String, ActionBits),
    /// One name.
    Exact,
    /// A wildcard that the native dialect does not have.
    Wildcard,
    /// Nothing of Keyward's.
    Nothing,
}

fn kind_of(dialect: Dialect, text: &str) -> Kind {
    let folded = fold_action(dialect, text);
    if folded == "*" {
        return Kind::Everything;
    }
    let wild = folded.contains(['*', '?']);
    if !wild {
        return match actions_of_name(dialect, text).is_empty() {
            true => Kind::Nothing,
            false => Kind::Exact,
        };
    }
    let prefix = folded.strip_suffix('*').filter(|p| !p.contains(['*', '?']));
    if let Some(prefix) = prefix
        && prefix.to_ascii_lowercase().starts_with("kvdb:execute")
    {
        let begins = |action: &ActionId| fold_action(dialect, action.name()).starts_with(prefix);
        let bits: ActionBits = execute_actions().iter().filter(begins).collect();
        let first = bits.iter().next();
        return match first.and_then(|action| action.name().get(..prefix.len())) {
            Some(canonical) => Kind::Commands(format!("{canonical}*"), bits),
            None => Kind::Nothing,
        };
    }
    Kind::Wildcard
}

/// Whether a wildcard has all commands in it, and more: `kvdb:*`.
fn is_of_all_commands(dialect: Dialect, text: &str) -> bool {
    let folded = fold_action(dialect, text);
    let prefix = folded.strip_suffix('*').filter(|p| !p.contains(['*', '?']));
    prefix.is_some_and(|prefix| fold_action(dialect, "kvdb:Execute").starts_with(prefix))
}

/// A native pattern that has all actions of a vendor's wildcard in it, later ones too.
fn superset(text: &str) -> &'static str {
    let service = text
        .strip_prefix("name/")
        .unwrap_or(text)
        .split(':')
        .next()
        .unwrap_or_default();
    match service.to_ascii_lowercase().as_str() {
        "kvdb" => "kvdb:*",
        "sts" => "sts:*",
        "org" => "org:*",
        // A call of one service may stand for actions of several.
        _ => "*",
    }
}
