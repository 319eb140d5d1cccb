//! From one dialect to another: faithful, or refused with the reasons.
//!
//! Every translation passes through [`rule::Rule`]s, statements in the native dialect's terms. What
//! was made is read again and compared with its source, action by action, on every kind of
//! resource that is named and on one that is not: whatever would be wider is refused, and whatever
//! is narrower is a loss, which only a narrow translation may have. A Deny is never listed out,
//! since a later catalogue would leave it behind.

mod compare;
mod conditions;
mod export;
mod import;
mod rule;

use std::collections::HashSet;

use crate::vendor::VendorPlace;
use crate::{AclUser, Dialect, MAX_DOCUMENT_LEN, MAX_FINDINGS, Policy, PolicyKind};

/// What an organisation's things are called outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranslationNames {
    /// Id of the organisation that shorthand is of.
    pub organisation: String,
    /// Its account number at the vendor.
    pub account: String,
    /// The region of its databases at the vendor; none: as if nothing else were said.
    pub region: Option<String>,
    /// Id of the database that ACL rules are of; none: the only one that the other document names,
    /// or `main`.
    pub database: Option<String>,
}

impl Default for TranslationNames {
    /// Those of `keyward simulate`.
    fn default() -> Self {
        Self {
            organisation: "test".into(),
            account: "123456789012".into(),
            region: None,
            database: None,
        }
    }
}

impl TranslationNames {
    fn place(&self, dialect: Dialect) -> VendorPlace {
        let mut place = VendorPlace::new(dialect, &self.account, "zz-user");
        if let Some(region) = &self.region {
            place.region.clone_from(region);
        }
        place
    }
}

/// A translated document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// The document.
    pub text: String,
    /// What it allows less, or denies more, than the original; empty unless that was permitted.
    pub losses: Vec<String>,
}

/// Why a document has no translation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", reasons.join("\n"))]
pub struct Refusal {
    /// One for each thing that cannot be said in the other dialect; never empty.
    pub reasons: Vec<String>,
}

/// Writes a policy in another dialect: with the same meaning, or not at all; `narrow` permits a
/// narrower one, whose losses are listed. It never allows more, also under later catalogues.
///
/// # Errors
/// What cannot be said in the other dialect.
pub fn translate(
    policy: &Policy,
    to: Dialect,
    names: &TranslationNames,
    narrow: bool,
) -> Result<Translated, Refusal> {
    let mut report = Report {
        narrow,
        ..Report::default()
    };
    if policy.dialect() == to {
        return Ok(Translated {
            text: policy.text().to_owned(),
            losses: Vec::new(),
        });
    }
    if policy.kind() == PolicyKind::Resource {
        report.refuse(
            "the document",
            "a policy on a resource names principals, which are not translated",
        );
    }
    // ACL rules become a native document first, which goes on from there.
    let of_rules;
    let source = match policy.statements() {
        [statement] if policy.dialect() == Dialect::Acl => {
            let Some(user) = &statement.acl else {
                report.refuse("the document", "it holds no rules");
                return report.finish(String::new());
            };
            let database = names.database.as_deref().unwrap_or("main");
            let native = user.to_native(&format!("kvdb/{database}"));
            for loss in native.losses {
                report.lose("the user", loss);
            }
            if report.is_too_long(native.text.len()) {
                return report.finish(String::new());
            }
            of_rules = native_policy(&native.text, names, &mut report);
            match &of_rules {
                Some(native) => native,
                None => return report.finish(String::new()),
            }
        }
        _ => policy,
    };
    let rules = match source.dialect() {
        Dialect::Native => rule::of_native(source, &mut report),
        Dialect::Acl => {
            report.refuse("the document", "it holds no rules");
            Vec::new()
        }
        dialect => import::rules(source, dialect, names, &mut report),
    };
    let text = match to {
        Dialect::Native if source.dialect() == Dialect::Native => source.text().to_owned(),
        Dialect::Native => rule::write(&rules),
        Dialect::Acl => to_acl(source, &rules, names, &mut report),
        _ => export::write(&rules, to, names, &mut report),
    };
    if report.reasons.is_empty()
        && to != Dialect::Acl
        && let Err(findings) = crate::read_as(Some(to), &text, policy.kind(), &names.organisation)
    {
        report.refuse(
            "the document",
            format!(
                "its form in the `{}` dialect is refused: {findings}",
                to.name()
            ),
        );
    }
    report.finish(text)
}

/// The rules that a server may enforce in a policy's place.
fn to_acl(
    source: &Policy,
    rules: &[rule::Rule],
    names: &TranslationNames,
    report: &mut Report,
) -> String {
    let database = match &names.database {
        Some(database) => database.clone(),
        None => only_database(rules, names),
    };
    let written;
    let native = match source.dialect() {
        Dialect::Native => source,
        _ => {
            written = native_policy(&rule::write(rules), names, report);
            match &written {
                Some(native) => native,
                None => return String::new(),
            }
        }
    };
    let path = format!("org/{}/kvdb/{database}", names.organisation);
    let all = keyward_commands::execute_actions().union(keyward_commands::connect_only_actions());
    let export = AclUser::of_policies([native], &path, &all);
    for loss in export.losses {
        report.lose("the policy", loss);
    }
    format!("{}\n", export.user)
}

/// The database that rules name, if they name one.
fn only_database(rules: &[rule::Rule], names: &TranslationNames) -> String {
    let own = format!("org/{}/", names.organisation);
    let id = |text: &String| {
        let rest = text
            .strip_prefix(&*own)
            .unwrap_or(text)
            .strip_prefix("kvdb/")?;
        let id = rest.split('/').next()?;
        (id != "*").then(|| id.to_owned())
    };
    let mut ids: Vec<String> = rules
        .iter()
        .flat_map(|rule| &rule.resources)
        .filter_map(id)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    match ids.len() {
        1 => ids.remove(0),
        _ => "main".to_owned(),
    }
}

fn native_policy(text: &str, names: &TranslationNames, report: &mut Report) -> Option<Policy> {
    match crate::native::read(text, PolicyKind::Identity, &names.organisation) {
        Ok(policy) => Some(policy),
        Err(findings) => {
            report.refuse(
                "the document",
                format!("its native form is refused: {findings}"),
            );
            None
        }
    }
}

/// Most requests that are asked to compare one document with its translation, each counted once more for
/// every [`PATTERNS_OF_ONE`] patterns that it is compared with: with both of a diff less than a second.
const MAX_ASKED: usize = 80_000;

/// Patterns that cost as much as a request.
const PATTERNS_OF_ONE: usize = 32;

/// What a statement says beside its keys and conditions: effect, actions, resources.
type Core = (crate::Effect, Vec<String>, Vec<String>);

/// What was found on the way.
#[derive(Debug, Default)]
struct Report {
    narrow: bool,
    /// Requests that were asked so far.
    asked: usize,
    losses: Vec<String>,
    reasons: Vec<String>,
    /// What is in either list: there may be as many as statements.
    told: HashSet<String>,
    /// How often something was to be told.
    said: usize,
}

impl Report {
    /// Something gets narrower: a loss if that is permitted, else a reason.
    fn lose(&mut self, at: &str, what: impl AsRef<str>) {
        if !self.narrow {
            return self.refuse(at, what);
        }
        self.said += 1;
        let text = format!("{at}: {}", what.as_ref());
        if self.told.insert(text.clone()) {
            self.losses.push(text);
        }
    }

    /// Whether the document takes too long to compare, which is a reason.
    fn is_exhausted(&mut self) -> bool {
        if self.asked > MAX_ASKED {
            self.refuse(
                "the document",
                "the rest is too much to compare: translate it in parts",
            );
        }
        self.asked > MAX_ASKED || self.reasons.len() > MAX_FINDINGS
    }

    /// How many requests may still be asked.
    fn left(&self) -> usize {
        (MAX_ASKED + 1).saturating_sub(self.asked)
    }

    /// Whether what is written is longer than a document may be, which is a reason.
    fn is_too_long(&mut self, written: usize) -> bool {
        if written > MAX_DOCUMENT_LEN {
            self.refuse(
                "the document",
                "it is more than one document of the other dialect holds: translate it in parts",
            );
        }
        written > MAX_DOCUMENT_LEN
    }

    /// Something cannot be said at all. Of many reasons the first are told.
    fn refuse(&mut self, at: &str, what: impl AsRef<str>) {
        self.said += 1;
        if self.reasons.len() > MAX_FINDINGS {
            return;
        }
        let text = format!("{at}: {}", what.as_ref());
        if self.told.insert(text.clone()) {
            self.reasons.push(text);
        }
    }

    fn finish(mut self, text: String) -> Result<Translated, Refusal> {
        if self.reasons.len() > MAX_FINDINGS {
            let text = format!("more than {MAX_FINDINGS} reasons: the rest is not listed");
            self.reasons.push(text);
        }
        match self.reasons.is_empty() {
            true => Ok(Translated {
                text,
                losses: self.losses,
            }),
            false => Err(Refusal {
                reasons: self.reasons,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
