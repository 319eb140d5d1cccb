//! Principals of a document in a vendor's terms.

use std::collections::HashMap;

use crate::check::Document;
use crate::check::draft::{Draft, Item, Principal};
use crate::check::report::Reporter;
use crate::check::rules::Kind;
use crate::finding::quoted;
use crate::vendor::fold_action;
use crate::{Dialect, Effect, PolicyKind};

/// Principals that are too many, that no request here has, or that the vendor refuses.
pub(super) fn check(document: &Document<'_>, draft: &Draft<'_>, out: &mut Reporter<'_>) {
    redundant_principals(draft, out);
    principals(document, draft, out);
    foreign_principals(document, draft, out);
    trust(document, draft, out);
}

/// Principals that no request here has.
fn foreign_principals(document: &Document<'_>, draft: &Draft<'_>, out: &mut Reporter<'_>) {
    let Some(member) = draft.principal else {
        return;
    };
    let path = format!("{}.{}", draft.path, member.name);
    for principal in &draft.principals {
        let shown = quoted(principal.text);
        let what = match principal.kind.to_ascii_lowercase().as_str() {
            "service" => {
                let form = !principal.text.contains('.') && document.dialect != Dialect::Tencent;
                let form = if form {
                    ", and a service is written with its domain"
                } else {
                    ""
                };
                format!("{shown} is a service of the vendor: none makes requests here{form}")
            }
            "federated" => format!(
                "{shown} is a provider: whoever has its tokens is let in by an assumable trust in \
                 the provider, not by this statement"
            ),
            "canonicaluser" => format!("{shown} is a canonical user: nobody here is one"),
            _ => continue,
        };
        if out.is_full(Kind::ForeignPrincipal) {
            return;
        }
        let path = format!("{path}.{}", crate::finding::path_name(principal.kind));
        out.add(Kind::ForeignPrincipal, principal.at, path, what);
    }
}

/// What a vendor refuses in a role's trust document: one on a resource, all of whose actions are about
/// assuming.
fn trust(document: &Document<'_>, draft: &Draft<'_>, out: &mut Reporter<'_>) {
    if document.kind != PolicyKind::Resource || draft.not_actions {
        return;
    }
    let actions = &draft.actions.items;
    let assumes = |item: &Item<'_>| item.text.to_ascii_lowercase().starts_with("sts:");
    if actions.is_empty() || !actions.iter().all(assumes) {
        return;
    }
    if draft.resources.is_present() {
        let list = &draft.resources;
        let message = format!("`{}` in a role's trust document: leave it out", list.name);
        let path = format!("{}.{}", draft.path, list.name);
        out.add(Kind::RefusedTrust, list.name_at, path, message);
    }
    if document.dialect != Dialect::Aws || draft.principals.is_empty() {
        return;
    }
    let federated = |kind: &str| kind.eq_ignore_ascii_case("federated");
    let some_provider = draft.principals.iter().any(|one| federated(one.kind));
    let some_other = draft.principals.iter().any(|one| !federated(one.kind));
    for item in actions {
        let call = item.text.to_ascii_lowercase();
        let message = match call.as_str() {
            "sts:assumerole" if !some_other => {
                "providers assume roles by `sts:AssumeRoleWithWebIdentity` or `sts:AssumeRoleWithSAML`"
            }
            "sts:assumerolewithwebidentity" | "sts:assumerolewithsaml" if !some_provider => {
                "only a provider (`Federated`) is a principal of this action"
            }
            _ => continue,
        };
        let path = draft.actions.path(&draft.path, item);
        out.add(Kind::RefusedTrust, item.at, path, message);
    }
}

/// A principal as it is compared: an account has two spellings.
fn spelled(principal: &Principal<'_>) -> (String, String) {
    let kind = match principal.kind.to_ascii_lowercase() {
        none if none.is_empty() => "aws".to_owned(),
        kind => kind,
    };
    let account = principal
        .text
        .strip_prefix("arn:aws:iam::")
        .and_then(|rest| rest.strip_suffix(":root"));
    (kind, account.unwrap_or(principal.text).to_owned())
}

/// Principals that are named twice, or beside everybody.
fn redundant_principals(draft: &Draft<'_>, out: &mut Reporter<'_>) {
    let Some(member) = draft.principal else {
        return;
    };
    let path = format!("{}.{}", draft.path, member.name);
    let everyone: Vec<String> = draft
        .principals
        .iter()
        .filter(|one| one.text == "*")
        .map(|one| spelled(one).0)
        .collect();
    let mut seen: HashMap<(String, String), &str> = HashMap::new();
    for principal in &draft.principals {
        if out.is_full(Kind::DuplicateValue) {
            return;
        }
        let spelled = spelled(principal);
        let shown = quoted(principal.text);
        let message = match seen.get(&spelled).copied() {
            Some(known) if known == principal.text => format!("{shown} stands twice"),
            Some(known) => format!("{shown} is the same as {}", quoted(known)),
            None if principal.text != "*" && everyone.contains(&spelled.0) => {
                format!("{shown} is covered by `*` of the same list")
            }
            None => {
                seen.insert(spelled, principal.text);
                continue;
            }
        };
        out.add(Kind::DuplicateValue, principal.at, &*path, message);
    }
}

fn principals(document: &Document<'_>, draft: &Draft<'_>, out: &mut Reporter<'_>) {
    if !draft.is(Effect::Allow) || draft.not_principals || document.kind != PolicyKind::Resource {
        return;
    }
    let Some(member) = draft.principal else {
        return;
    };
    let path = format!("{}.{}", draft.path, member.name);
    let assumes = draft.actions.items.iter().any(|item| {
        let folded = fold_action(document.dialect, item.text);
        folded.to_ascii_lowercase().starts_with("sts:") || folded == "*"
    });
    for principal in &draft.principals {
        let everyone = principal.text == "*";
        let account = is_account(principal.text);
        let free = draft.wanted.is_empty();
        if assumes && free && (everyone || account) {
            let who = if everyone {
                "everybody"
            } else {
                "every identity of an account"
            };
            let message = format!("{who} may assume the role, without a condition");
            out.add(Kind::AssumableByMany, principal.at, &*path, message);
        } else if everyone && !assumes {
            let message = "`*` accepts every identity of every organisation, by itself";
            out.add(Kind::Everyone, principal.at, &*path, message);
        }
        if principal.kind.is_empty() && !everyone {
            let message = "a principal without its kind";
            out.add(Kind::Outdated, principal.kind_at, &*path, message);
        }
    }
}

/// Does a principal stand for a whole account?
fn is_account(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let main = || {
        let (owner, sub) = text
            .strip_prefix("qcs::cam::uin/")
            .and_then(|rest| rest.split_once(":uin/"))?;
        Some(owner == sub)
    };
    digits(text) || text.ends_with(":root") || main() == Some(true)
}
