//! What is legal in a policy and probably wrong, as the API tells it.

use keyward_iam::{Change, PolicyInput, Provider, UnixMillis, organisation_of_audience};
use keyward_policy::check::{Finding, Options, Region, Report, Severity, check};
use keyward_policy::{Dialect, PolicyKind};
use serde_json::{Map, Value, json};

/// Documents that are longer are checked only when somebody asks.
const MAX_UNASKED: usize = 64 * 1024;

/// Warnings in the answer to a change.
const MAX_WARNINGS: usize = 20;

fn place(region: Region) -> Map<String, Value> {
    let numbers = [
        ("line", region.line),
        ("column", region.column),
        ("end_line", region.end_line),
        ("end_column", region.end_column),
    ];
    let pairs = numbers.into_iter();
    pairs
        .map(|(name, number)| (name.to_owned(), number.into()))
        .collect()
}

/// One finding.
fn finding(found: &Finding) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("code".into(), found.rule.code.into());
    shown.insert("severity".into(), found.rule.severity.name().into());
    shown.insert("title".into(), found.rule.title.into());
    shown.append(&mut place(found.region));
    shown.insert("path".into(), found.path.as_str().into());
    shown.insert("message".into(), found.message.as_str().into());
    if let Some(related) = &found.related {
        let mut other = place(related.region);
        other.insert("path".into(), related.path.as_str().into());
        shown.insert("related".into(), other.into());
    }
    if let Some(fix) = &found.fix {
        let mut change = place(fix.region);
        change.insert("description".into(), fix.description.as_str().into());
        change.insert("replacement".into(), fix.replacement.as_str().into());
        shown.insert("fix".into(), change.into());
    }
    shown
}

/// The answer to `POST /v1/policy/check`.
pub(crate) fn shown(report: &Report) -> Value {
    let count = |severity: Severity| {
        let findings = report.findings.iter();
        let same = findings.filter(|found| found.rule.severity == severity);
        (severity.name().to_owned(), Value::from(same.count()))
    };
    let counts: Map<String, Value> = Severity::ALL.into_iter().map(count).collect();
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|found| finding(found).into())
        .collect();
    json!({
        "valid": report.statements.is_some(),
        "statements": report.statements,
        "catalogue": keyward_commands::CATALOGUE_VERSION,
        "counts": counts,
        "findings": findings,
    })
}

/// Time as conditions compare it.
pub(crate) fn milliseconds(now: UnixMillis) -> Option<i64> {
    i64::try_from(now.0).ok()
}

/// Warnings about the documents that a change brings, and about audiences that name another
/// deployment than that at `own`; suggestions are left to who asks for them.
pub(crate) fn warnings(change: &Change, now: UnixMillis, own: &[&str]) -> Vec<Value> {
    use PolicyKind::{Identity, Resource};
    match change {
        Change::CreateIdentityProvider { provider, .. }
        | Change::UpdateIdentityProvider { provider, .. } => of_audiences(provider, own),
        Change::CreatePolicy {
            organisation,
            document,
            ..
        } => of_document(
            &document.text,
            document.dialect,
            Identity,
            organisation,
            now,
        ),
        Change::UpdatePolicy { path, document, .. } => {
            let organisation = organisation_of(path);
            of_document(
                &document.text,
                document.dialect,
                Identity,
                organisation,
                now,
            )
        }
        Change::PutResourcePolicy { path, document } => {
            let organisation = organisation_of(path);
            of_document(
                &document.text,
                document.dialect,
                Resource,
                organisation,
                now,
            )
        }
        Change::CreateTrust {
            trustor, policies, ..
        } => of_list(policies, organisation_of(trustor), now),
        Change::UpdateTrust {
            path,
            policies: Some(policies),
            ..
        } => of_list(policies, organisation_of(path), now),
        _ => Vec::new(),
    }
}

/// Tokens that are made for another deployment open this one as soon as a provider takes them: it
/// may be meant, and it may be a copied line.
fn of_audiences(provider: &Provider, own: &[&str]) -> Vec<Value> {
    let Provider::Oidc(oidc) = provider else {
        return Vec::new();
    };
    let is_own = |audience: &str| {
        own.iter().any(|url| {
            let rest = audience.strip_prefix(url.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.starts_with("/org/"))
        })
    };
    let elsewhere = oidc
        .audiences
        .iter()
        .filter(|audience| organisation_of_audience(audience).is_some() && !is_own(audience));
    elsewhere
        .map(|audience| {
            let here = own.first().copied().unwrap_or_default();
            json!({
                "code": "audience_of_another_deployment", "severity": "warning",
                "message": format!("the audience `{audience}` names another deployment than this one ({here}): its tokens open this organisation here, too"),
            })
        })
        .collect()
}

fn organisation_of(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

fn of_list(policies: &[PolicyInput], organisation: &str, now: UnixMillis) -> Vec<Value> {
    let mut all = Vec::new();
    for (number, policy) in policies.iter().enumerate() {
        let (text, dialect) = match policy {
            PolicyInput::Document(text) => (text, None),
            PolicyInput::Written(written) => (&written.text, written.dialect),
            PolicyInput::Named(_) => continue,
        };
        let found = of_document(text, dialect, PolicyKind::Identity, organisation, now);
        all.extend(found.into_iter().map(|mut warning| {
            warning["policy"] = number.into();
            warning
        }));
        all.truncate(MAX_WARNINGS);
    }
    all
}

fn of_document(
    text: &str,
    dialect: Option<Dialect>,
    kind: PolicyKind,
    organisation: &str,
    now: UnixMillis,
) -> Vec<Value> {
    if text.len() > MAX_UNASKED {
        return Vec::new();
    }
    let options = Options {
        dialect,
        kind,
        organisation,
        now: milliseconds(now),
        catalogue: None,
    };
    let report = check(text, &options);
    let told = report
        .findings
        .iter()
        .filter(|found| found.rule.severity >= Severity::Warning);
    told.take(MAX_WARNINGS)
        .map(|found| {
            let mut shown = finding(found);
            for name in ["title", "fix", "related", "end_line", "end_column"] {
                shown.remove(name);
            }
            shown.into()
        })
        .collect()
}
