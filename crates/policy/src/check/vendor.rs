//! What is legal in a document of AWS, Tencent or Alibaba, and probably wrong there or here.

mod principals;
mod resources;

use std::collections::HashMap;

use keyward_commands::ActionBits;

use crate::check::Document;
use crate::check::conditions::takes_variables;
use crate::check::decided::hands_out_power;
use crate::check::draft::{Draft, Item, List, token_end};
use crate::check::effects::effects;
use crate::check::native::names;
use crate::check::report::Reporter;
use crate::check::rules::Kind;
use crate::condition::{ConditionKey, Fact};
use crate::finding::quoted;
use crate::json::{Node, Value};
use crate::nearest::suggestion;
use crate::template::Template;
use crate::vendor::{actions_of_name, fold_action, is_without_resource, unknown_vendor_action};
use crate::{Dialect, Effect, PolicyKind};

/// Pairs of statements that are compared, at most.
const MAX_PAIRS: usize = 300_000;

/// Elements of one list that are compared with each other, at most.
const MAX_COMPARED: usize = 200;

/// All of it.
pub(crate) fn check(document: &Document<'_>, node: &Node<'_>, out: &mut Reporter<'_>) {
    let version = version(document, node, out);
    let has_variables = match document.dialect {
        Dialect::Aws => version == Some("2012-10-17"),
        Dialect::Tencent => true,
        _ => false,
    };
    size(document, out);
    for (at, draft) in document.drafts.iter().enumerate() {
        exceptions(draft, out);
        empty(document, draft, out);
        actions(document, draft, out);
        resources::check(document, draft, out);
        power(document, at, out);
        principals::check(document, draft, out);
        keys(document, draft, out);
        if has_variables {
            unknown_variables(document, draft, out);
        } else {
            plain_variables(document, draft, out);
        }
    }
    connecting(document, out);
    leaves_ways(document, out);
    statements(document, out);
}

/// Services of a dialect: databases, identities, sessions.
fn services(dialect: Dialect) -> (&'static str, &'static str) {
    match dialect {
        Dialect::Tencent => ("redis", "cam"),
        Dialect::Alibaba => ("kvstore", "ram"),
        _ => ("elasticache", "iam"),
    }
}

/// The service and the call of an action.
fn parts(dialect: Dialect, text: &str) -> Option<(&str, &str)> {
    let name = match dialect {
        Dialect::Tencent => text.strip_prefix("name/").unwrap_or(text),
        _ => text,
    };
    name.split_once(':')
}

fn version<'d>(
    document: &Document<'_>,
    node: &'d Node<'d>,
    out: &mut Reporter<'_>,
) -> Option<&'d str> {
    let Value::Object(members) = &node.value else {
        return None;
    };
    let member = members
        .iter()
        .find(|member| member.name.eq_ignore_ascii_case("version"));
    if document.dialect != Dialect::Aws {
        return None;
    }
    let has_variable = document.text.contains("${");
    let what = if has_variable {
        ": `${…}` in it is plain text"
    } else {
        ""
    };
    let Some(member) = member else {
        let message = format!("without `Version` the document is of 2008-10-17{what}");
        out.add_range(Kind::MissingVersion, node.at, node.at + 1, "", message);
        return None;
    };
    let Value::String(text) = &member.node.value else {
        return None;
    };
    if text == "2008-10-17" {
        let message = format!("an old version of the language{what}");
        let at = member.node.at;
        let added = out.add(Kind::MissingVersion, at, &*member.name, message);
        if !has_variable {
            let end = token_end(document.text, at);
            added.fix("write the current version", at, end, "\"2012-10-17\"");
        }
    }
    Some(text)
}

fn size(document: &Document<'_>, out: &mut Reporter<'_>) {
    let trust = document.kind == PolicyKind::Resource;
    let most = match (document.dialect, trust) {
        (Dialect::Aws, true) => 2048,
        (Dialect::Aws | Dialect::Alibaba, _) => 6144,
        _ => return,
    };
    let characters = document.text.chars().filter(|c| !c.is_whitespace());
    let count = characters.count();
    if count > most {
        let message = format!(
            "{count} characters without white space: `{}` takes {most}",
            document.dialect
        );
        out.add_range(Kind::SizeQuota, 0, 1.min(document.text.len()), "", message);
    }
}

/// `NotAction` and its like in an Allow.
fn exceptions(draft: &Draft<'_>, out: &mut Reporter<'_>) {
    if !draft.is(Effect::Allow) {
        return;
    }
    let mut found: Vec<(usize, String)> = Vec::new();
    for (negated, list) in [
        (draft.not_actions, &draft.actions),
        (draft.not_resources, &draft.resources),
    ] {
        if negated {
            found.push((list.name_at, list.name.to_owned()));
        }
    }
    if let Some(member) = draft.principal.filter(|_| draft.not_principals) {
        found.push((member.name_at, member.name.to_string()));
    }
    for (at, name) in found {
        let message = format!("`{name}` in an Allow grants all that it does not name");
        let path = format!("{}.{name}", draft.path);
        out.add(Kind::AllowByExceptions, at, path, message);
    }
}

/// Elements without content that the dialect lets pass, and old ones.
fn empty(document: &Document<'_>, draft: &Draft<'_>, out: &mut Reporter<'_>) {
    if let Some(sid) = draft.sid.filter(|sid| sid.text.is_empty()) {
        let path = format!("{}.Sid", draft.path);
        out.add(Kind::EmptySid, sid.at, path, "an empty `Sid` names nothing");
    }
    if let Some(member) = draft.condition
        && let Value::Object(operators) = &member.node.value
    {
        let path = format!("{}.{}", draft.path, member.name);
        if operators.is_empty() {
            let message = "an empty condition restricts nothing";
            out.add(Kind::EmptyList, member.node.at, &*path, message);
        }
        for operator in operators {
            if matches!(&operator.node.value, Value::Object(keys) if keys.is_empty()) {
                let path = format!("{path}.{}", crate::finding::path_name(&operator.name));
                let message = "an operator without a key restricts nothing";
                out.add(Kind::EmptyList, operator.node.at, path, message);
            }
        }
    }
    if document.dialect == Dialect::Alibaba && draft.not_resources {
        let path = format!("{}.{}", draft.path, draft.resources.name);
        let message = "Alibaba documents `NotResource` in older copies of its grammar only";
        out.add(Kind::Outdated, draft.resources.name_at, path, message);
    }
    if document.dialect == Dialect::Tencent {
        for wanted in &draft.wanted {
            let path = wanted.path(&draft.path, draft.condition_name());
            if wanted.operator.contains("string_like")
                || wanted.operator.contains("string_not_like")
            {
                let message = "Tencent's reference does not list this operator any more";
                out.add(Kind::Outdated, wanted.operator_at, path, message);
            } else if matches!(wanted.key, "mfa" | "qcs:mfa") || wanted.key.starts_with("qcs:tag") {
                let message = format!("{} stands in older documents only", quoted(wanted.key));
                out.add(Kind::Outdated, wanted.key_at, path, message);
            }
        }
    }
}

/// Does one pattern cover another, by text alone? `colons` is how many colons come before the part
/// in which `*` crosses everything.
fn like_covers(outer: &str, inner: &str, colons: usize) -> bool {
    if outer == inner || outer == "*" {
        return true;
    }
    let Some(prefix) = outer.strip_suffix('*') else {
        return false;
    };
    let plain = !prefix.contains(['*', '?']) && !prefix.contains("${");
    plain && prefix.matches(':').count() >= colons && inner.starts_with(prefix)
}

/// Elements of a list that another one covers.
fn redundant(
    document: &Document<'_>,
    draft: &Draft<'_>,
    list: &List<'_>,
    folded: &[String],
    colons: usize,
    out: &mut Reporter<'_>,
) {
    let starts: Vec<usize> = list.items.iter().map(|item| item.at).collect();
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (at, text) in folded.iter().enumerate() {
        first.entry(text).or_insert(at);
    }
    let patterns: Vec<usize> = (0..folded.len())
        .filter(|at| folded[*at].ends_with('*'))
        .take(MAX_COMPARED)
        .collect();
    for (index, item) in list.items.iter().enumerate() {
        if out.is_full(Kind::DuplicateValue) {
            return;
        }
        let text = &folded[index];
        let repeated = first.get(text.as_str()).copied();
        let other = match repeated.filter(|other| *other != index) {
            Some(other) => Some(other),
            None => patterns.iter().copied().find(|other| {
                *other != index
                    && folded[*other] != *text
                    && like_covers(&folded[*other], text, colons)
            }),
        };
        let Some(other) = other else {
            continue;
        };
        let message = format!(
            "{} is covered by {} of the same list",
            quoted(item.text),
            quoted(list.items[other].text)
        );
        let path = list.path(&draft.path, item);
        out.add(Kind::DuplicateValue, item.at, path, message)
            .fix_by_removing(document.text, "remove it", &starts, index);
    }
}

fn folded_actions(document: &Document<'_>, list: &List<'_>) -> Vec<String> {
    let fold = |item: &Item<'_>| fold_action(document.dialect, item.text).into_owned();
    list.items.iter().map(fold).collect()
}

fn actions(document: &Document<'_>, draft: &Draft<'_>, out: &mut Reporter<'_>) {
    let list = &draft.actions;
    let dialect = document.dialect;
    redundant(
        document,
        draft,
        list,
        &folded_actions(document, list),
        1,
        out,
    );
    let (databases, identities) = services(dialect);
    for item in &list.items {
        let path = || list.path(&draft.path, item);
        let Some((service, call)) = parts(dialect, item.text) else {
            continue;
        };
        let service = service.to_ascii_lowercase();
        let is_exact = !call.contains(['*', '?']);
        if service.contains(['*', '?']) {
            let message = format!("wildcard in the service of {}", quoted(item.text));
            out.add(Kind::PartialServiceWildcard, item.at, path(), message);
            continue;
        }
        let folded = fold_action(dialect, item.text);
        let listed = draft.resources.is_present() && !draft.not_resources;
        let everything = draft.resources.items.iter().any(|item| item.text == "*");
        if is_exact && listed && !everything && is_without_resource(dialect, &folded) {
            let message = format!(
                "{} is authorised on `*` only: with other resources the statement never matches it",
                quoted(item.text)
            );
            out.add(Kind::OperationLevel, item.at, path(), message);
            continue;
        }
        let own = ["kvdb", "org", "sts", databases, identities, "iam"];
        let message = if !own.contains(&service.as_str()) {
            let near = suggestion(&service, &["elasticache", "iam", "sts", "kvdb"]);
            let near = if dialect == Dialect::Aws {
                near
            } else {
                String::new()
            };
            Some(format!(
                "no request here is of the service `{service}`{near}"
            ))
        } else {
            unknown_vendor_action(dialect, item.text)
        };
        if let Some(message) = message {
            out.add(Kind::ForeignAction, item.at, path(), message);
            continue;
        }
        if is_exact && actions_of_name(dialect, item.text).is_empty() {
            let message = format!("{} has no counterpart here", quoted(item.text));
            out.add(Kind::NotOffered, item.at, path(), message);
            continue;
        }
        if listed && !everything && !draft.not_actions {
            mismatched(document, draft, item, &service, out);
        }
    }
}

/// The service of a resource.
fn resource_service(text: &str) -> Option<String> {
    let mut parts = text.split(':');
    let prefix = parts.next()?;
    let at = match prefix {
        "acs" => 0,
        _ => 1,
    };
    Some(parts.nth(at)?.to_ascii_lowercase())
}

/// An action of one service beside resources of others.
fn mismatched(
    document: &Document<'_>,
    draft: &Draft<'_>,
    item: &Item<'_>,
    service: &str,
    out: &mut Reporter<'_>,
) {
    let (databases, identities) = services(document.dialect);
    let wanted: &[&str] = match service {
        "kvdb" => &[databases],
        "sts" => &[identities, "sts"],
        "org" => return,
        service if service == databases => &[databases],
        _ => &[identities],
    };
    let fits = |resource: &Item<'_>| match resource_service(resource.text) {
        Some(found) => {
            found.is_empty() || found.contains(['*', '?']) || wanted.contains(&found.as_str())
        }
        None => true,
    };
    if draft.resources.items.is_empty() || draft.resources.items.iter().any(fits) {
        return;
    }
    let message = format!(
        "{} is decided on resources of `{}`: the statement names none",
        quoted(item.text),
        wanted[0]
    );
    let path = draft.actions.path(&draft.path, item);
    out.add(Kind::WrongResource, item.at, path, message);
}

fn is_broad(text: &str) -> bool {
    text == "*" || text.ends_with("/*") || text.ends_with(":*")
}

fn power(document: &Document<'_>, at: usize, out: &mut Reporter<'_>) {
    let (draft, meaning) = (&document.drafts[at], &document.meanings[at]);
    if !draft.is(Effect::Allow) || draft.not_actions {
        return;
    }
    let broad = draft.resources.items.iter().any(|item| is_broad(item.text));
    let all = draft.actions.items.iter().find(|item| item.text == "*");
    if let Some(item) = all
        && !draft.not_resources
        && draft.resources.items.iter().any(|item| item.text == "*")
        && document.kind == PolicyKind::Identity
    {
        let conditions = if draft.wanted.is_empty() {
            ""
        } else {
            ", under conditions"
        };
        let message = format!("allows every action on every resource{conditions}");
        let path = draft.actions.path(&draft.path, item);
        out.add(Kind::FullAccess, item.at, path, message);
        return;
    }
    let powerful: ActionBits = meaning
        .actions
        .intersect(hands_out_power())
        .iter()
        .filter(|action| !action.is_kvdb())
        .collect();
    if powerful.is_empty() || !(broad || draft.not_resources) {
        return;
    }
    let names_it = |item: &&Item<'_>| {
        item.text.ends_with('*')
            || actions_of_name(document.dialect, item.text).intersects(&powerful)
    };
    let Some(item) = draft.actions.items.iter().find(names_it) else {
        return;
    };
    let message = format!(
        "{} on every resource of a kind: whoever has this can become more than it is",
        names(&powerful)
    );
    let path = draft.actions.path(&draft.path, item);
    out.add(Kind::HandsOutPower, item.at, path, message);
}

/// Keys that no request here has.
fn keys(document: &Document<'_>, draft: &Draft<'_>, out: &mut Reporter<'_>) {
    let dialect = document.dialect;
    let known: &[&str] = match dialect {
        Dialect::Tencent => &[
            "qcs:ip",
            "qcs:current_time",
            "qcs:resource_tag",
            "qcs:request_tag",
            "qcs:uin",
        ],
        Dialect::Alibaba => &[
            "acs:SourceIp",
            "acs:SecureTransport",
            "acs:CurrentTime",
            "acs:MFAPresent",
            "acs:PrincipalARN",
            "acs:ResourceTag/",
            "acs:RequestTag/",
        ],
        _ => &[
            "aws:SourceIp",
            "aws:SecureTransport",
            "aws:CurrentTime",
            "aws:EpochTime",
            "aws:MultiFactorAuthPresent",
            "aws:MultiFactorAuthAge",
            "aws:TokenIssueTime",
            "aws:PrincipalArn",
            "aws:PrincipalAccount",
            "aws:PrincipalType",
            "aws:userid",
            "aws:username",
            "aws:TagKeys",
            "aws:PrincipalTag/",
            "aws:ResourceTag/",
            "aws:RequestTag/",
        ],
    };
    // Given when a role is assumed, by who asks and by the provider's token.
    const OF_SESSIONS: [&str; 4] = ["sts:", "oidc:", "saml:", "iam:"];
    for wanted in &draft.wanted {
        let key = ConditionKey::new(dialect, wanted.key);
        let of_session = OF_SESSIONS
            .iter()
            .any(|prefix| key.folded().to_ascii_lowercase().starts_with(prefix))
            || key.folded().contains("/") && wanted.key.contains('.');
        if *key.fact() != Fact::Other || of_session && !draft.principals.is_empty() {
            continue;
        }
        let known_case = known
            .iter()
            .find(|known| known.eq_ignore_ascii_case(wanted.key));
        let near = match known_case {
            Some(known) if known.ends_with('/') => {
                format!(" without the name of a tag: write `{known}<name>`")
            }
            Some(known) => format!(": letter case counts, write `{known}`"),
            None => suggestion(wanted.key, known),
        };
        let message = format!("no request here has {}{near}", quoted(wanted.key));
        let path = wanted.path(&draft.path, draft.condition_name());
        out.add(Kind::UnknownConditionKey, wanted.key_at, path, message);
    }
}

/// Variables of keys that no request here has: they have no value, and the pattern matches nothing.
fn unknown_variables(document: &Document<'_>, draft: &Draft<'_>, out: &mut Reporter<'_>) {
    if document.dialect != Dialect::Aws {
        return;
    }
    let unknown = |text: &str| -> Option<String> {
        let template = Template::parse(document.dialect, text).ok()?;
        let mut keys = template.variables().filter(|key| {
            *key.fact() == Fact::Other && key.name().to_ascii_lowercase().starts_with("aws:")
        });
        keys.next().map(|key| {
            format!(
                "no request here has {}: the variable has no value",
                quoted(key.name())
            )
        })
    };
    for item in &draft.resources.items {
        if let Some(message) = unknown(item.text) {
            let path = draft.resources.path(&draft.path, item);
            out.add(Kind::UnknownConditionKey, item.at, path, message);
        }
    }
    for wanted in &draft.wanted {
        if !takes_variables(document.dialect, wanted.operator) {
            continue;
        }
        for (index, value) in wanted.values.iter().enumerate() {
            if let Some(message) = unknown(&value.text) {
                let path = wanted.value_path(&draft.path, draft.condition_name(), index);
                out.add(Kind::UnknownConditionKey, value.at, path, message);
            }
        }
    }
}

/// `${…}` where it is plain text.
fn plain_variables(document: &Document<'_>, draft: &Draft<'_>, out: &mut Reporter<'_>) {
    for item in &draft.resources.items {
        if item.text.contains("${") {
            let path = draft.resources.path(&draft.path, item);
            let message = format!("`${{…}}` in {} is plain text here", quoted(item.text));
            out.add(Kind::VariableIgnored, item.at, path, message);
        }
    }
    for wanted in &draft.wanted {
        if !takes_variables(document.dialect, wanted.operator) {
            continue;
        }
        for (index, value) in wanted.values.iter().enumerate() {
            if value.text.contains("${") {
                let path = wanted.value_path(&draft.path, draft.condition_name(), index);
                let message = format!("`${{…}}` in {} is plain text here", quoted(&value.text));
                out.add(Kind::VariableIgnored, value.at, path, message);
            }
        }
    }
}

/// `elasticache:Connect` is decided on the cache and on the user.
fn connecting(document: &Document<'_>, out: &mut Reporter<'_>) {
    if document.dialect != Dialect::Aws || document.kind != PolicyKind::Identity {
        return;
    }
    let (mut cache, mut user, mut first) = (false, false, None);
    for draft in &document.drafts {
        let connect = |item: &&Item<'_>| item.text.eq_ignore_ascii_case("elasticache:Connect");
        let Some(item) = draft.actions.items.iter().find(connect) else {
            continue;
        };
        if !draft.is(Effect::Allow) || draft.not_actions {
            continue;
        }
        if draft.not_resources {
            return;
        }
        for resource in &draft.resources.items {
            let rest = resource.text.splitn(6, ':').nth(5).unwrap_or("*");
            let kind = rest.split(':').next().unwrap_or_default();
            let wild = kind.contains('*');
            user |= kind == "user" || wild;
            cache |= matches!(kind, "replicationgroup" | "serverlesscache" | "cluster") || wild;
        }
        first = first.or(Some((draft, item)));
    }
    if let Some((draft, item)) = first.filter(|_| cache != user) {
        let lacking = if cache {
            "the user (`…:user:<id>`)"
        } else {
            "the cache (`…:replicationgroup:<id>`)"
        };
        let message = format!("connecting is also decided on {lacking}: nothing here allows it");
        let path = draft.actions.path(&draft.path, item);
        out.add(Kind::ConnectNeedsBoth, item.at, path, message);
    }
}

/// A Deny of commands that leaves other ways to the same effect.
fn leaves_ways(document: &Document<'_>, out: &mut Reporter<'_>) {
    let of = |effect: Effect| {
        let pairs = document.drafts.iter().zip(&document.meanings);
        let fitting = pairs.filter(move |(draft, _)| draft.is(effect));
        fitting.fold(ActionBits::EMPTY, |all, (_, meaning)| {
            all.union(&meaning.actions)
        })
    };
    let (denied, allowed) = (of(Effect::Deny), of(Effect::Allow));
    for draft in &document.drafts {
        if !draft.is(Effect::Deny) || draft.not_actions {
            continue;
        }
        let named = |item: &Item<'_>| actions_of_name(document.dialect, item.text);
        for effect in effects() {
            let pointed =
                draft.actions.items.iter().find(|item| {
                    !item.text.contains('*') && named(item).intersects(&effect.triggers)
                });
            let left = effect.ways.subtract(&denied);
            let Some(item) = pointed.filter(|_| !left.is_empty()) else {
                continue;
            };
            let path = draft.actions.path(&draft.path, item);
            let still = left.intersect(&allowed);
            if !still.is_empty() {
                let message = format!(
                    "denies {} but leaves other ways to {} allowed: {}",
                    quoted(item.text),
                    effect.effect,
                    names(&still)
                );
                out.add(Kind::LeavesWay, item.at, path, message);
            } else if effect.set.is_some() {
                let message = format!(
                    "denies {} and not the other ways to {}: {}",
                    quoted(item.text),
                    effect.effect,
                    names(&left)
                );
                out.add(Kind::DenyLeavesUnused, item.at, path, message);
            }
        }
    }
}

/// A statement, prepared for comparing.
struct Compared {
    actions: Vec<String>,
    resources: Vec<String>,
    principals: Vec<String>,
}

/// Statements that another one covers.
fn statements(document: &Document<'_>, out: &mut Reporter<'_>) {
    let prepared: Vec<Compared> = document
        .drafts
        .iter()
        .map(|draft| Compared {
            actions: folded_actions(document, &draft.actions),
            resources: draft
                .resources
                .items
                .iter()
                .map(|item| item.text.to_owned())
                .collect(),
            principals: {
                let mut all: Vec<String> = draft
                    .principals
                    .iter()
                    .map(|principal| format!("{} {}", principal.kind, principal.text))
                    .collect();
                all.sort_unstable();
                all
            },
        })
        .collect();
    let covers = |outer: usize, inner: usize| {
        let (a, b) = (&document.drafts[outer], &document.drafts[inner]);
        let (x, y) = (&prepared[outer], &prepared[inner]);
        let plain = |draft: &Draft<'_>| {
            !draft.not_actions && !draft.not_resources && !draft.actions.items.is_empty()
        };
        let list = |outer: &[String], inner: &[String], colons| {
            let one = |text: &String| outer.iter().any(|wider| like_covers(wider, text, colons));
            outer.len() * inner.len() <= 100_000 && inner.iter().all(one)
        };
        plain(a)
            && plain(b)
            && a.not_principals == b.not_principals
            && x.principals == y.principals
            && a.resources.is_present() == b.resources.is_present()
            && document.meanings[outer]
                .conditions
                .is_subset(&document.meanings[inner].conditions)
            && list(&x.actions, &y.actions, 1)
            && list(
                &x.resources,
                &y.resources,
                if document.dialect == Dialect::Alibaba {
                    4
                } else {
                    5
                },
            )
    };
    let starts: Vec<usize> = document.drafts.iter().map(|draft| draft.at).collect();
    let mut pairs = 0;
    for (at, draft) in document.drafts.iter().enumerate() {
        if out.is_full(Kind::Redundant) {
            return;
        }
        for (other, by) in document.drafts.iter().enumerate() {
            if other == at {
                continue;
            }
            let kind = match (draft.effect, by.effect) {
                (Some(Effect::Allow), Some(Effect::Deny)) => Kind::Shadowed,
                (Some(a), Some(b)) if a == b => Kind::Redundant,
                _ => continue,
            };
            pairs += 1;
            if pairs > MAX_PAIRS {
                let message = "too many statements to compare every one with every other";
                let end = document.text.len();
                out.add_range(Kind::NotCompared, end, end, "", message);
                return;
            }
            if !covers(other, at) || (kind == Kind::Redundant && other > at && covers(at, other)) {
                continue;
            }
            let message = match kind {
                Kind::Shadowed => {
                    format!("this Allow grants nothing: `{}` always denies it", by.path)
                }
                _ => format!("`{}` covers all of this statement", by.path),
            };
            out.add(kind, draft.at, &*draft.path, message)
                .related(by.at, token_end(document.text, by.at), &*by.path)
                .fix_by_removing(document.text, "remove the statement", &starts, at);
            break;
        }
    }
}
