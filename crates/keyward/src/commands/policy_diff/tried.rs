//! Differences between documents of other dialects, each tried on the documents themselves: as
//! `keyward simulate` decides.

use std::sync::Arc;

use keyward_iam::{
    AlibabaAlias, AwsAlias, Case, CaseDocument, CaseRequest, ContextNames, Decision, KnownValue,
    Outcome, TencentAlias, VendorAliases,
};
use keyward_policy::{
    Change, Dialect, Difference, Fact, Policy, PolicyDiff, PolicyKind, Request, TranslationNames,
    Undecided, UndecidedReason,
};

/// What is found again when the documents themselves decide; the rest is undecided.
pub(super) fn on_documents(
    found: PolicyDiff,
    old: Policy,
    new: Policy,
    names: &TranslationNames,
) -> PolicyDiff {
    let documents = [Arc::new(old), Arc::new(new)];
    let mut told = PolicyDiff {
        undecided: found.undecided,
        more: found.more,
        ..PolicyDiff::default()
    };
    for difference in found.differences {
        let decided = [0, 1].map(|which| decide(&documents[which], &difference.witness, names));
        let allowed = match difference.change {
            Change::NowAllowed => [false, true],
            Change::NoLongerAllowed => [true, false],
        };
        let [Ok(in_old), Ok(in_new)] = &decided else {
            told.undecided.push(unsure(&difference));
            continue;
        };
        if [in_old.is_allow(), in_new.is_allow()] != allowed {
            told.undecided.push(unsure(&difference));
            continue;
        }
        let document = usize::from(difference.in_new);
        let decision = if difference.in_new { in_new } else { in_old };
        let line = line_of(&documents[document], decision).unwrap_or(1);
        told.differences.push(Difference { line, ..difference });
    }
    told.differences
        .sort_by_key(|difference| (difference.change, difference.line));
    told.undecided.sort();
    told.undecided.dedup();
    told
}

/// Where the statement stands that decided.
fn line_of(document: &Policy, decision: &Decision) -> Option<u32> {
    if decision.outcome == Outcome::ImplicitDeny {
        return None;
    }
    let statement = decision.statements.first()?;
    Some(document.statements().get(statement.statement)?.line)
}

fn unsure(difference: &Difference) -> Undecided {
    let also = difference.also.iter().copied();
    let actions = std::iter::once(difference.witness.action()).chain(also);
    let text = "the native forms differ, which the documents themselves do not show on a request";
    Undecided {
        change: difference.change,
        actions: actions.collect(),
        in_new: difference.in_new,
        line: 1,
        reason: UndecidedReason::Dialect(text.to_owned()),
    }
}

/// The decision on a request, with this document as the only one.
fn decide(
    document: &Arc<Policy>,
    request: &Request,
    names: &TranslationNames,
) -> Result<Decision, String> {
    let one = || vec![CaseDocument::of_policy(Arc::clone(document))];
    let (policies, resource_policies) = match document.kind() {
        PolicyKind::Identity => (one(), Vec::new()),
        PolicyKind::Resource => (Vec::new(), one()),
    };
    let of_arguments = |name: &str| {
        let fact = keyward_policy::ConditionKey::new(Dialect::Native, name);
        fact.fact().is_of_command()
    };
    let line = request.line();
    let context = request
        .facts()
        .filter(|(name, _)| line.is_none() || !of_arguments(name))
        .map(|(name, value)| (name.to_owned(), value.texts()));
    let context: Vec<KnownValue> = context.collect();
    let case = Case {
        policies,
        resource_policies,
        boundaries: Vec::new(),
        principal: request
            .identity()
            .unwrap_or("programmatic_identity/other")
            .to_owned(),
        request: match line {
            Some(words) => CaseRequest::Command {
                words,
                database: request.resource().to_owned(),
                db_index: db_index(request),
            },
            None => CaseRequest::Action {
                action: request.action().name().to_owned(),
                resource: request.resource().to_owned(),
                names: touched(request),
            },
        },
        context,
        lists: Vec::new(),
        aliases: aliases(names),
    };
    if document.dialect() == Dialect::Acl && !is_of_rules(request, names) {
        return Err("no request of the rules' database".to_owned());
    }
    case.decide().map_err(|error| error.to_string())
}

/// Whether ACL rules speak of a request: a command on the database that they are of.
fn is_of_rules(request: &Request, names: &TranslationNames) -> bool {
    let database = names.database.as_deref().unwrap_or("main");
    let path = format!("org/{}/kvdb/{database}", names.organisation);
    request.resource() == path && request.line().is_some()
}

fn db_index(request: &Request) -> u32 {
    let index = request.facts().find(|(name, _)| {
        let key = keyward_policy::ConditionKey::new(Dialect::Native, name);
        *key.fact() == Fact::DatabaseIndex
    });
    let text = index.and_then(|(_, value)| value.texts().pop());
    let text = text.and_then(|text| String::from_utf8(text).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Keys and channels, as a request by action brings them.
fn touched(request: &Request) -> ContextNames {
    let mut names = ContextNames::default();
    for (key, reads, writes) in request.keys() {
        if reads {
            names.read_keys.push(key.to_vec());
        }
        if writes {
            names.write_keys.push(key.to_vec());
        }
        if !reads && !writes {
            names.keys.push(key.to_vec());
        }
    }
    let channels = request.channels().map(|(channel, _)| channel.to_vec());
    names.channels.extend(channels);
    names
}

/// What vendors call the organisation.
fn aliases(names: &TranslationNames) -> VendorAliases {
    let (account, region) = (Some(names.account.clone()), names.region.clone());
    VendorAliases {
        aws: AwsAlias {
            account: account.clone(),
            region: region.clone(),
            kind: None,
        },
        tencent: TencentAlias {
            uin: account.clone(),
            region: region.clone(),
        },
        alibaba: AlibabaAlias { account, region },
    }
}
