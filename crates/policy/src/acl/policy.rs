//! A document of ACL rules as a policy: one statement that decides about whole calls.

use std::sync::Arc;

use keyward_commands::ActionId;

use super::{AclDenial, AclUser};
use crate::facts::AclCall;
use crate::finding::{Code, Collector, Findings};
use crate::{Dialect, Effect, Match, Policy, PolicyKind, Statement};

/// Reads the rules of one user as a policy, which allows what the user may do, on every database.
///
/// Passwords are left out of its text.
pub(crate) fn read(text: &str, kind: PolicyKind, organisation: &str) -> Result<Policy, Findings> {
    let user = AclUser::parse(text)?;
    if kind == PolicyKind::Resource {
        let mut findings = Collector::default();
        let message = "ACL rules name no identity, so they cannot be the policy of a resource: \
                       attach them to a trust";
        findings.add(0, Code::AclRule, "", message);
        return Err(findings.finish(text));
    }
    let statement = Statement {
        sid: None,
        effect: Effect::Allow,
        actions: user.possible(),
        resources: Box::default(),
        identities: Box::default(),
        keys: None,
        templates: None,
        conditions: None,
        vendor: None,
        acl: Some(Arc::new(user)),
        line: 1,
    };
    Ok(Policy {
        dialect: Dialect::Acl,
        kind,
        organisation: organisation.into(),
        text: AclUser::without_passwords_of(text).into(),
        statements: Box::new([statement]),
        path: None,
    })
}

impl AclUser {
    /// How far the user's rules match a call. Without one, or for another action than the call's,
    /// only what is allowed whatever the arguments matches.
    pub(crate) fn matches(&self, action: ActionId, call: Option<AclCall<'_>>) -> Match {
        let Some(call) = call.filter(|call| call.command.action() == action) else {
            return match self.sure().contains(action) {
                true => Match::Full,
                false => Match::Keys,
            };
        };
        match self.allows_among(call.command, &call.words, call.db_index, call.databases) {
            Ok(()) => Match::Full,
            Err(AclDenial::Command) => Match::Action,
            Err(AclDenial::Key { .. } | AclDenial::Channel { .. }) => Match::Keys,
            Err(AclDenial::Database { .. }) => Match::Conditions,
        }
    }
}
