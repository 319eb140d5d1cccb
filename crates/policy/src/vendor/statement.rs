//! One statement of a vendor's document.

use keyward_commands::ActionBits;

use super::action::{ActionPattern, fold, is_without_resource};
use super::principal::{Principals, VendorPrincipal};
use super::render::{VendorRequest, rendered_names};
use super::resource::VendorResource;
use crate::facts::Facts;
use crate::{Dialect, Effect, Match, Statement};

/// What a statement of a vendor's document says beside its effect and conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorStatement {
    pub(super) dialect: Dialect,
    pub(super) effect: Effect,
    pub(super) actions: Actions,
    pub(super) resources: Resources,
    pub(super) principals: Option<Principals>,
}

/// `Action` or `NotAction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Actions {
    pub(super) negated: bool,
    pub(super) patterns: Box<[ActionPattern]>,
}

/// `Resource` or `NotResource`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resources {
    /// Neither: the statement is a role's trust document's, and speaks of that role.
    Itself,
    Listed {
        negated: bool,
        patterns: Box<[VendorResource]>,
    },
}

impl VendorStatement {
    /// The dialect of its document.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Does it speak of the action of this name?
    pub fn matches_action(&self, action: &str) -> bool {
        self.actions.match_folded(&fold(self.dialect, action))
    }

    /// Does it speak of a request's resource? `None` if that depends on a variable that is not
    /// known yet.
    ///
    /// `owner` is the account of whoever owns the policy: what Tencent's empty account stands for.
    pub fn matches_resource(
        &self,
        request: &VendorRequest,
        owner: &str,
        facts: &dyn Facts,
    ) -> Option<bool> {
        let Resources::Listed { negated, patterns } = &self.resources else {
            return Some(true);
        };
        let without = is_without_resource(self.dialect, &fold(self.dialect, &request.action));
        let resource = if without { "*" } else { &request.resource };
        // "All but what a variable names" allows nothing while the variable has no value, and denies
        // everything: AWS calls such a statement invalid.
        let unclear =
            |pattern: &VendorResource| pattern.lacks_variable(self.dialect, resource, owner, facts);
        if *negated && self.effect == Effect::Allow && patterns.iter().any(unclear) {
            return Some(false);
        }
        let mut listed = Some(false);
        for pattern in patterns {
            match pattern.matches(self.dialect, resource, owner, facts) {
                Some(true) => return Some(!negated),
                Some(false) => {}
                None => listed = None,
            }
        }
        listed.map(|listed| listed != *negated)
    }

    /// Does it speak of who asks, by `Principal` or `NotPrincipal`? A statement without either
    /// speaks of whoever its policy is attached to.
    ///
    /// In an Allow an account's number stands for the account alone: its identities act through
    /// it, by their own policies.
    pub fn names(&self, principal: &VendorPrincipal) -> bool {
        match &self.principals {
            None => true,
            Some(principals) => {
                principal.dialect() == self.dialect && principals.names(self.effect, principal)
            }
        }
    }

    /// Whether it has `Principal` or `NotPrincipal`.
    pub fn has_principals(&self) -> bool {
        self.principals.is_some()
    }

    /// Whether its principals are `*`, or all but some: strangers among them.
    pub fn is_public(&self) -> bool {
        self.principals.as_ref().is_some_and(|principals| {
            principals.negated || principals.names.iter().any(|name| name.is_everyone())
        })
    }

    /// Whether it stands in a role's trust document: it names principals and no resource.
    pub fn is_of_trust_document(&self) -> bool {
        self.principals.is_some() && matches!(self.resources, Resources::Itself)
    }

    /// Accounts that its principals name as a whole.
    pub fn accounts(&self) -> impl Iterator<Item = &str> {
        let names = self.principals.iter().flat_map(|list| list.names.iter());
        names.filter_map(|name| name.as_account())
    }

    /// Principals as they were written, and whether they stand under `NotPrincipal`.
    pub fn principal_texts(&self) -> Option<(bool, Vec<&str>)> {
        self.principals.as_ref().map(|list| {
            let texts = list.names.iter().map(|name| name.text()).collect();
            (list.negated, texts)
        })
    }

    /// Action patterns as they were written, and whether they stand under `NotAction`.
    pub fn action_texts(&self) -> (bool, Vec<&str>) {
        let texts = self
            .actions
            .patterns
            .iter()
            .map(ActionPattern::text)
            .collect();
        (self.actions.negated, texts)
    }

    /// Resource patterns as they were written, and whether they stand under `NotResource`; `None`
    /// in a role's trust document.
    pub fn resource_texts(&self) -> Option<(bool, Vec<&str>)> {
        match &self.resources {
            Resources::Itself => None,
            Resources::Listed { negated, patterns } => {
                let texts = patterns.iter().map(VendorResource::text).collect();
                Some((*negated, texts))
            }
        }
    }

    /// How many patterns a request may have to be compared with.
    pub fn weight(&self) -> usize {
        let resources = match &self.resources {
            Resources::Itself => 0,
            Resources::Listed { patterns, .. } => patterns.len(),
        };
        self.actions.patterns.len() + resources
    }

    /// Whether variables stand in its resources.
    pub fn has_variables(&self) -> bool {
        match &self.resources {
            Resources::Itself => false,
            Resources::Listed { patterns, .. } => {
                patterns.iter().any(VendorResource::has_variables)
            }
        }
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        let actions = size_of_val(&*self.actions.patterns)
            + self
                .actions
                .patterns
                .iter()
                .map(ActionPattern::heap_bytes)
                .sum::<usize>();
        let resources = match &self.resources {
            Resources::Itself => 0,
            Resources::Listed { patterns, .. } => {
                size_of_val(&**patterns)
                    + patterns
                        .iter()
                        .map(VendorResource::heap_bytes)
                        .sum::<usize>()
            }
        };
        let principals = self.principals.as_ref().map_or(0, Principals::heap_bytes);
        size_of::<Self>() + actions + resources + principals
    }
}

impl Actions {
    fn match_folded(&self, folded: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(folded)) != self.negated
    }

    /// The catalogue's actions that it may speak of: those with a rendering that it matches.
    pub(super) fn bits(&self, dialect: Dialect) -> ActionBits {
        let names = rendered_names(dialect);
        let mut bits = ActionBits::EMPTY;
        let exact: Option<Vec<&str>> = match self.negated {
            true => None,
            false => self.patterns.iter().map(ActionPattern::exact).collect(),
        };
        match exact {
            Some(exact) => {
                for found in exact.iter().filter_map(|name| names.get(*name)) {
                    bits = bits.union(found);
                }
            }
            None => {
                for (_, found) in names.iter().filter(|(name, _)| self.match_folded(name)) {
                    bits = bits.union(found);
                }
            }
        }
        bits
    }
}

impl Statement {
    /// How far it matches a request in a vendor's terms: for statements of vendors' documents,
    /// whatever the action's service; any other says [`Match::Action`]. Whom it names is
    /// [`VendorStatement::names`].
    ///
    /// `owner` is the account of whoever owns the policy. What `facts` leaves open is decided
    /// against the caller, as in [`Statement::matches`].
    pub fn matches_vendor(&self, request: &VendorRequest, owner: &str, facts: &dyn Facts) -> Match {
        let unknown = (self.effect == Effect::Deny) != facts.is_enumeration();
        let Some(vendor) = &self.vendor else {
            return Match::Action;
        };
        if !vendor.matches_action(&request.action) {
            return Match::Action;
        }
        if !vendor
            .matches_resource(request, owner, facts)
            .unwrap_or(unknown)
        {
            return Match::Resource;
        }
        match &self.conditions {
            Some(conditions) if !conditions.holds(self.effect, facts).unwrap_or(unknown) => {
                Match::Conditions
            }
            _ => Match::Full,
        }
    }
}
