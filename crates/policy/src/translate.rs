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

use crate::vendor::VendorPlace;
use crate::{Dialect, Policy, PolicyKind};

/// What an organisation's things are called outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranslationNames {
    /// Id of the organisation that shorthand is of.
    pub organisation: String,
    /// Its account number at the vendor.
    pub account: String,
    /// The region of its databases at the vendor; none: as if nothing else were said.
    pub region: Option<String>,
}

impl Default for TranslationNames {
    /// Those of `keyward simulate`.
    fn default() -> Self {
        Self {
            organisation: "test".into(),
            account: "123456789012".into(),
            region: None,
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
    let rules = match policy.dialect() {
        Dialect::Native => rule::of_native(policy, &mut report),
        Dialect::Acl => {
            report.refuse("the document", "ACL rules are translated as users");
            Vec::new()
        }
        dialect => import::rules(policy, dialect, names, &mut report),
    };
    let text = match to {
        Dialect::Native => rule::write(&rules),
        Dialect::Acl => {
            report.refuse("the document", "ACL rules are made of native policies only");
            String::new()
        }
        _ => export::write(&rules, to, names, &mut report),
    };
    report.finish(text)
}

/// What was found on the way.
#[derive(Debug, Default)]
struct Report {
    narrow: bool,
    losses: Vec<String>,
    reasons: Vec<String>,
}

impl Report {
    /// Something gets narrower: a loss if that is permitted, else a reason.
    fn lose(&mut self, at: &str, what: impl AsRef<str>) {
        let text = format!("{at}: {}", what.as_ref());
        let list = match self.narrow {
            true => &mut self.losses,
            false => &mut self.reasons,
        };
        if !list.contains(&text) {
            list.push(text);
        }
    }

    /// Something cannot be said at all.
    fn refuse(&mut self, at: &str, what: impl AsRef<str>) {
        let text = format!("{at}: {}", what.as_ref());
        if !self.reasons.contains(&text) {
            self.reasons.push(text);
        }
    }

    fn finish(self, text: String) -> Result<Translated, Refusal> {
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
