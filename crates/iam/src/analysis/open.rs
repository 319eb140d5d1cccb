//! What is known of requests that nobody has made yet.

use std::sync::Arc;

use keyward_policy::{ConditionKey, Fact, Facts, Found, ListedFacts};

use crate::facts::EarlyFacts;
use crate::grounds::Grounds;

/// The facts of a question. What a connection, a session or a call would bring is left open unless
/// the question says it; who asks, the resource and the moment are known.
#[derive(Clone, Debug)]
pub(crate) struct OpenFacts<'a> {
    early: EarlyFacts<'a>,
    /// What the question says.
    said: Option<Arc<ListedFacts>>,
    /// Whether anything is left open; otherwise what is not known is absent.
    open: bool,
}

impl<'a> OpenFacts<'a> {
    /// Of calls on connections of any kind.
    pub(crate) fn open(grounds: &'a Grounds, said: Option<Arc<ListedFacts>>) -> Self {
        Self {
            early: grounds.early(),
            said,
            open: true,
        }
    }

    /// As the evaluator sees them before a call.
    pub(crate) fn early(grounds: &'a Grounds) -> Self {
        Self {
            early: grounds.early(),
            said: None,
            open: false,
        }
    }

    /// Whether a question leaves a fact open that says nothing of it.
    fn leaves_open(&self, fact: &Fact) -> bool {
        match fact {
            Fact::SourceIp
            | Fact::SecureTransport
            | Fact::ClientName
            | Fact::MultiFactorAuthPresent
            | Fact::MultiFactorAuthAge
            | Fact::TokenIssueTime
            | Fact::TokenAge
            | Fact::SessionTag(_)
            | Fact::RequestTag(_)
            | Fact::RequestTagPairs
            | Fact::TagKeys
            | Fact::ExternalId
            | Fact::RoleSessionName
            | Fact::SourceIdentity
            | Fact::LoginProvider
            | Fact::Token(_)
            | Fact::IssuerToken(_)
            | Fact::DatabaseIndex
            | Fact::Other => true,
            // A question that says anything has no clock.
            Fact::CurrentTime | Fact::EpochTime => self.said.is_some(),
            _ => false,
        }
    }
}

impl Facts for OpenFacts<'_> {
    fn find(&self, key: &ConditionKey) -> Found<'_> {
        if self.open && self.leaves_open(key.fact()) {
            return match &self.said {
                Some(said) if said.values(key).is_some() => said.find(key),
                _ => Found::Later,
            };
        }
        self.early.find(key)
    }
}
