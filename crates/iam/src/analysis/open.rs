//! What is known of requests that nobody has made yet.

use std::sync::Arc;

use keyward_policy::{ConditionKey, Fact, Facts, Found, ListedFacts, Number, Value};

use crate::facts::{EarlyFacts, RequestFacts};
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
    /// What the connection of a call is like, where that is known.
    connection: Option<Connection<'a>>,
}

/// What clients choose of their connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection<'a> {
    /// What the client calls itself.
    pub(crate) client: Option<&'a str>,
    /// The number of the database that it has selected.
    pub(crate) number: u32,
}

impl<'a> Connection<'a> {
    fn find(self, fact: &Fact) -> Option<Found<'a>> {
        match fact {
            Fact::DatabaseIndex => {
                let number = Number::from(u64::from(self.number));
                Some(Found::One(Value::Number(number)))
            }
            Fact::ClientName => Some(match self.client {
                Some(name) => Found::One(Value::Text(name.as_bytes())),
                None => Found::Absent,
            }),
            _ => None,
        }
    }
}

/// A request for a command of which nothing is known but its keys, on a connection.
pub(crate) struct OnConnection<'a> {
    pub(crate) request: RequestFacts<'a, [&'a [u8]]>,
    pub(crate) connection: Connection<'a>,
}

impl Facts for OnConnection<'_> {
    fn find(&self, key: &ConditionKey) -> Found<'_> {
        let of_connection = self.connection.find(key.fact());
        of_connection.unwrap_or_else(|| self.request.find(key))
    }
}

impl<'a> OpenFacts<'a> {
    /// Of calls on connections of any kind.
    pub(crate) fn open(grounds: &'a Grounds, said: Option<Arc<ListedFacts>>) -> Self {
        Self {
            early: grounds.early(),
            said,
            open: true,
            connection: None,
        }
    }

    /// As the evaluator sees them before a call on a connection.
    pub(crate) fn early(grounds: &'a Grounds, connection: Connection<'a>) -> Self {
        Self {
            early: grounds.early(),
            said: None,
            open: false,
            connection: Some(connection),
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
        let of_connection = self.connection.and_then(|known| known.find(key.fact()));
        of_connection.unwrap_or_else(|| self.early.find(key))
    }
}
