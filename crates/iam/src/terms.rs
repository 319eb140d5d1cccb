//! Requests and identities in the vendors' terms, for documents of the vendors' dialects.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

use keyward_commands::ActionId;
use keyward_policy::{
    AclCall, ConditionKey, Dialect, Effect, Fact, Facts, Found, KeyFields, Match, Policy,
    Statement, Value, VendorPlace, VendorPrincipal, VendorRequest, VendorStatement, render,
};

use crate::aliases::VendorAddress;
use crate::bits::Weight;
use crate::evaluate::Question;
use crate::grounds::{Grant, Grounds, PolicySource};
use crate::ids::{Kind, PathParts};

/// What opens a session of a role, or adds to it.
pub(crate) const ASSUMING: [&str; 3] = [
    "sts:AssumeRole",
    "sts:AssumeRoleWithWebIdentity",
    "sts:TagSession",
];

/// What the vendors call the organisations, and what a request says in a vendor's terms itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Terms {
    /// Where organisations are, as the documents of organisations mean it.
    pub(crate) addresses: Vec<TermsAddress>,
    /// Id of the principal's organisation.
    pub(crate) principal_of: Box<str>,
    /// What conditions in documents of other organisations read of the principal's name: its
    /// organisation's own names count at home alone, or it would take somebody else's.
    pub(crate) abroad: Vec<(Dialect, Fact, Box<str>)>,
    /// A request that came in a vendor's terms.
    pub(crate) own: Option<OwnTerms>,
}

/// What was found of statements in a vendor's terms, by address and action: the same for every call
/// of it on one resource by one session, and dear.
#[derive(Debug, Default)]
pub(crate) struct InTerms(RefCell<HashMap<(usize, ActionId), Option<bool>>>);

/// Facts as a document of an organisation reads them.
struct OfDocument<'a> {
    facts: &'a dyn Facts,
    /// See [`Terms::abroad`]; empty at home.
    abroad: &'a [(Dialect, Fact, Box<str>)],
    grounds: &'a Grounds,
    /// Whose document it is.
    documents_of: &'a str,
}

impl OfDocument<'_> {
    /// The resource's account by the names that count in this document: of its own organisation the
    /// same ones that its resources have, so that equal accounts are equal.
    fn resource_account(&self, key: &ConditionKey) -> Option<&str> {
        let vendors = [Dialect::Aws, Dialect::Tencent, Dialect::Alibaba];
        if *key.fact() != Fact::ResourceAccount
            || !vendors.contains(&key.dialect())
            || self.grounds.facts.is_told(key)
        {
            return None;
        }
        let of = organisation(&self.grounds.resource);
        let address = self.grounds.address(key.dialect(), self.documents_of, of)?;
        Some(&address.account)
    }
}

impl Facts for OfDocument<'_> {
    fn find(&self, key: &ConditionKey) -> Found<'_> {
        let mut abroad = self.abroad.iter();
        match abroad.find(|(dialect, fact, _)| *dialect == key.dialect() && fact == key.fact()) {
            Some((.., name)) => Found::One(Value::Text(name.as_bytes())),
            None => match (self.facts.find(key), self.resource_account(key)) {
                (Found::One(_), Some(account)) => Found::One(Value::Text(account.as_bytes())),
                (found, _) => found,
            },
        }
    }

    fn call(&self) -> Option<AclCall<'_>> {
        self.facts.call()
    }

    fn is_enumeration(&self) -> bool {
        self.facts.is_enumeration()
    }
}

/// Where one organisation is to the documents of another, or to its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TermsAddress {
    pub(crate) dialect: Dialect,
    /// Id of the organisation whose documents ask.
    pub(crate) documents_of: Box<str>,
    pub(crate) organisation: Box<str>,
    pub(crate) address: VendorAddress,
}

/// A request in a vendor's terms: it means nothing in those of another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OwnTerms {
    pub(crate) dialect: Dialect,
    pub(crate) principal: VendorPrincipal,
    /// Name of the action, unless the command tells it.
    pub(crate) action: Option<String>,
    pub(crate) resource: String,
    /// Account of whoever owns the policies.
    pub(crate) account: String,
}

impl Grounds {
    /// Facts as a policy reads them.
    fn facts_of<'a>(&'a self, policy: &'a Policy, facts: &'a dyn Facts) -> OfDocument<'a> {
        let at_home = *self.terms.principal_of == *policy.organisation();
        OfDocument {
            facts,
            abroad: if at_home { &[] } else { &self.terms.abroad },
            grounds: self,
            documents_of: policy.organisation(),
        }
    }

    fn address(
        &self,
        dialect: Dialect,
        documents_of: &str,
        organisation: &str,
    ) -> Option<&VendorAddress> {
        let found = self.terms.addresses.iter().find(|known| {
            known.dialect == dialect
                && *known.documents_of == *documents_of
                && *known.organisation == *organisation
        });
        found.map(|known| &known.address)
    }

    fn account(&self, dialect: Dialect, documents_of: &str, organisation: &str) -> &str {
        self.address(dialect, documents_of, organisation)
            .map_or("", |address| &address.account)
    }

    /// Account of whoever owns a policy.
    fn owner(&self, policy: &Policy) -> &str {
        match &self.terms.own {
            Some(own) => &own.account,
            None => {
                let own = policy.organisation();
                self.account(policy.dialect(), own, own)
            }
        }
    }

    /// Everything that an action on the resource is in a vendor's terms, to the documents of an
    /// organisation.
    pub(crate) fn vendor_requests(
        &self,
        dialect: Dialect,
        documents_of: &str,
        action: ActionId,
    ) -> Vec<VendorRequest> {
        if let Some(own) = &self.terms.own {
            if own.dialect != dialect {
                return Vec::new();
            }
            let action = match &own.action {
                Some(action) => action.clone(),
                None if action == keyward_commands::CONNECT && dialect == Dialect::Aws => {
                    "elasticache:Connect".to_owned()
                }
                None => action.name().to_owned(),
            };
            return vec![VendorRequest {
                action,
                resource: own.resource.clone(),
            }];
        }
        let Some(address) = self.address(dialect, documents_of, organisation(&self.resource))
        else {
            return Vec::new();
        };
        let user = self.nodes.first().map_or("", |node| &node.path);
        let user = user.rsplit('/').next().unwrap_or_default();
        let place = VendorPlace {
            region: address.region.clone(),
            kind: address.kind,
            ..VendorPlace::new(dialect, &address.account, user)
        };
        render(dialect, action, &self.resource, &place)
    }

    /// What a vendor calls a reached identity, if it has a name for it.
    fn vendor_principal(&self, dialect: Dialect, node: usize) -> Option<VendorPrincipal> {
        if let Some(own) = &self.terms.own {
            let same = own.dialect == dialect;
            return match node {
                0 => same.then(|| own.principal.clone()),
                // The owner: an account as a whole.
                _ => {
                    let account = self.nodes[node].path.rsplit('/').next()?;
                    VendorPrincipal::of_identity(dialect, "org/owner", account, None)
                }
            };
        }
        let path = &self.nodes[node].path;
        // A resource policy's documents are of the resource's organisation.
        let account = self.account(dialect, organisation(&self.resource), organisation(path));
        let session = self.facts.session_name().filter(|_| node == 0);
        VendorPrincipal::of_identity(dialect, path, account, session)
    }

    /// Whether a statement of a vendor's resource policy names a node.
    pub(crate) fn vendor_names(&self, statement: &Statement, node: usize) -> bool {
        let Some(vendor) = &statement.vendor else {
            return false;
        };
        let principal = self.vendor_principal(vendor.dialect(), node);
        principal.is_some_and(|principal| vendor.names(&principal))
    }

    /// Whether a vendor's `Allow` accepts a node. A trust document of Tencent or Alibaba asks for
    /// an allow of the caller, too: whom it names by itself is accepted as far as its own
    /// organisation, or the role's, lets it act.
    pub(crate) fn vendor_accepts(&self, statement: &Statement, node: usize) -> bool {
        let document = statement.vendor.as_ref();
        let Some(vendor) = document.filter(|vendor| vendor.is_of_trust_document()) else {
            return self.vendor_names(statement, node);
        };
        let asks_both = vendor.dialect() != Dialect::Aws;
        if let Some(own) = &self.terms.own {
            // The one trust of a case stands for what the caller's account lets it do.
            let account =
                VendorPrincipal::of_identity(vendor.dialect(), "org/owner", &own.account, None);
            let named = self.vendor_names(statement, 0);
            return match node {
                0 => named && (!asks_both || own.principal.is_account()),
                _ => (asks_both && named) || account.is_some_and(|account| vendor.names(&account)),
            };
        }
        if !asks_both {
            return self.vendor_names(statement, node);
        }
        let (path, owner) = (&*self.nodes[node].path, self.nodes[node].owner);
        if PathParts::of(path).is_none_or(|parts| parts.kind != Kind::Organisation) {
            return false;
        }
        // A person is its membership of an organisation.
        let is_caller = |at: usize, of: &str| {
            at == 0 || PathParts::of(of).is_some_and(|parts| parts.kind == Kind::OrganisationUser)
        };
        let lets_act = |at: usize, of: &str| {
            let home = match at {
                0 => &*self.terms.principal_of,
                _ => organisation(of),
            };
            owner || (!home.is_empty() && organisation(path) == home)
        };
        self.vendor_names(statement, node)
            || self.nodes.iter().enumerate().any(|(at, caller)| {
                is_caller(at, &caller.path)
                    && lets_act(at, &caller.path)
                    && self.vendor_names(statement, at)
            })
    }

    /// Whether the request is to assume a role whose policy is a vendor's trust document. That
    /// tells everybody who may: not even the owner is accepted without being named.
    pub(crate) fn is_of_trust_document(&self, action: ActionId) -> bool {
        let assumes = match self
            .terms
            .own
            .as_ref()
            .and_then(|own| own.action.as_deref())
        {
            Some(own) => {
                let own = own.strip_prefix("name/").unwrap_or(own);
                own.split_once(':')
                    .is_some_and(|(service, _)| service.eq_ignore_ascii_case("sts"))
            }
            None => ASSUMING.contains(&action.name()),
        };
        let own = self.resource_policy.len() - self.assumable.len();
        let in_own_terms = self.terms.own.is_some();
        assumes
            && self.resource_policy[..own]
                .iter()
                .flat_map(|policy| vendor_statements(policy))
                .any(|vendor| match in_own_terms {
                    true => vendor.is_of_trust_document(),
                    false => vendor.has_principals(),
                })
    }

    /// Whether a vendor's `Deny` names a reached identity. `NotPrincipal` is asked of the principal
    /// itself, whose account it has to list, too; whoever has a boundary it denies in any case (AWS,
    /// "Permissions boundaries").
    pub(crate) fn vendor_deny_names_reached(&self, statement: &Statement) -> bool {
        let Some(vendor) = &statement.vendor else {
            return false;
        };
        let negated = vendor.principal_texts().is_some_and(|(negated, _)| negated);
        if negated && self.principal_is_bounded() {
            return true;
        }
        let nodes = if negated { 1 } else { self.nodes.len() };
        (0..nodes).any(|node| self.vendor_names(statement, node))
    }

    fn principal_is_bounded(&self) -> bool {
        self.layers.iter().any(|layer| match &layer.source {
            PolicySource::Boundary(of) => self.nodes.first().is_some_and(|own| own.path == *of),
            PolicySource::Layer(_) => true,
            _ => false,
        })
    }

    /// How far a statement of any dialect matches: the least of all requests that the question is
    /// in its dialect, for an Allow, and the most for a Deny.
    pub(crate) fn matches(
        &self,
        policy: &Policy,
        statement: &Statement,
        question: &Question<'_>,
    ) -> Match {
        let Some(vendor) = &statement.vendor else {
            if self.terms.own.is_some() {
                return Match::Action;
            }
            return statement.matches(question.action, &self.resource, &question.touch, question);
        };
        // What it does not speak of need not be put into the vendor's terms.
        if self.terms.own.is_none() && !statement.actions.contains(question.action) {
            return Match::Action;
        }
        let requests =
            self.vendor_requests(vendor.dialect(), policy.organisation(), question.action);
        let facts = self.facts_of(policy, question);
        let found = requests
            .iter()
            .map(|request| statement.matches_vendor(request, self.owner(policy), &facts));
        let found = match statement.effect {
            Effect::Allow => found.min(),
            Effect::Deny => found.max(),
        };
        found.unwrap_or(Match::Action)
    }

    /// How far a vendor's statement matches one of the requests that a question is to it.
    pub(crate) fn matches_request(
        &self,
        policy: &Policy,
        statement: &Statement,
        request: &VendorRequest,
        question: &Question<'_>,
    ) -> Match {
        let facts = self.facts_of(policy, question);
        statement.matches_vendor(request, self.owner(policy), &facts)
    }

    /// What is known of a statement before a command comes: `None` if it cannot match one. The
    /// resource is looked at in statements that name resources.
    pub(crate) fn weigh(
        &self,
        policy: &Policy,
        statement: &Statement,
        facts: &dyn Facts,
    ) -> Option<Weight> {
        if statement.acl.is_some() && self.terms.own.is_none() {
            return Some(Weight::Conditional);
        }
        let concerns = match &statement.vendor {
            Some(vendor) => {
                let request = self.command_request(vendor.dialect(), policy)?;
                vendor.matches_resource(&request, self.owner(policy), facts)
            }
            None if self.terms.own.is_some() => return None,
            None if statement.names_resources() => statement.concerns(&self.resource, facts),
            None => Some(true),
        };
        if concerns == Some(false) {
            return None;
        }
        let holds = match &statement.conditions {
            Some(conditions) => conditions.holds(statement.effect, &self.facts_of(policy, facts)),
            None => Some(true),
        };
        match (concerns, holds) {
            (_, Some(false)) => None,
            (Some(true), Some(true)) => Some(Weight::Sure),
            _ => Some(Weight::Conditional),
        }
    }

    /// Any command on the resource: they differ in the name of the action alone.
    fn command_request(&self, dialect: Dialect, policy: &Policy) -> Option<VendorRequest> {
        const ANY: &str = "kvdb:ExecuteGet";
        let action = keyward_commands::action(ANY)?;
        self.vendor_requests(dialect, policy.organisation(), action)
            .into_iter()
            .next()
    }

    /// Whether any document that has a say is of a vendor's dialect.
    pub(crate) fn has_vendor_documents(&self) -> bool {
        let edges = self.nodes.iter().flat_map(|node| &node.edges);
        let granted = edges.filter_map(|edge| match &edge.grant {
            Grant::Everything => None,
            Grant::Documents(documents) => Some(documents),
        });
        let layers = self.layers.iter().map(|layer| &layer.documents);
        granted
            .chain(layers)
            .chain([&self.resource_policy])
            .flatten()
            .any(|policy| policy.dialect() != Dialect::Native)
    }

    /// Whether a statement of any dialect matches a call; `None` if that depends on facts that are
    /// not known yet. Of the requests that the call is in a vendor's terms, an Allow has to match
    /// all.
    pub(crate) fn says(
        &self,
        policy: &Policy,
        statement: &Statement,
        question: &Question<'_>,
        in_terms: &InTerms,
    ) -> Option<bool> {
        if !statement.actions.contains(question.action) {
            return Some(false);
        }
        if let Some(user) = &statement.acl {
            let sure = user.sure().contains(question.action);
            return match (&self.terms.own, question.call()) {
                (Some(_), _) => Some(false),
                (None, _) if sure => Some(true),
                (None, None) => {
                    let command = question.action.command()?;
                    user.allows_names(command, &question.touch)
                }
                (None, Some(_)) => Some(self.matches(policy, statement, question) == Match::Full),
            };
        }
        let holds = match &statement.conditions {
            Some(conditions) => {
                conditions.holds(statement.effect, &self.facts_of(policy, question))
            }
            None => Some(true),
        };
        let Some(vendor) = &statement.vendor else {
            let (action, touch) = (question.action, &question.touch);
            let concerns = match (&self.terms.own, statement.names_resources()) {
                (Some(_), _) => Some(false),
                (None, true) => statement.concerns(&self.resource, question),
                (None, false) => Some(true),
            };
            let later = matches!(statement.key_fields(question), KeyFields::Later);
            let keys = match later && action.has_keys() {
                true => None,
                false => Some(statement.matches_keys(action, touch, question)),
            };
            return both(both(concerns, keys), holds);
        };
        if holds == Some(false) {
            return Some(false);
        }
        let number = (std::ptr::from_ref(statement) as usize, question.action);
        let known = in_terms.0.borrow().get(&number).copied();
        let found = known.unwrap_or_else(|| {
            let found = self.speaks_in_terms(policy, statement, vendor, question);
            in_terms.0.borrow_mut().insert(number, found);
            found
        });
        both(found, holds)
    }

    /// Whether a vendor's statement speaks of the requests that an action on the resource is in its
    /// terms, its conditions aside.
    fn speaks_in_terms(
        &self,
        policy: &Policy,
        statement: &Statement,
        vendor: &VendorStatement,
        question: &Question<'_>,
    ) -> Option<bool> {
        let requests =
            self.vendor_requests(vendor.dialect(), policy.organisation(), question.action);
        let found = requests.iter().map(|request| {
            if !vendor.matches_action(&request.action) {
                return Some(false);
            }
            vendor.matches_resource(request, self.owner(policy), question)
        });
        match statement.effect {
            Effect::Allow if !requests.is_empty() => found.fold(Some(true), both),
            Effect::Allow => Some(false),
            Effect::Deny => {
                let all: Vec<Option<bool>> = found.collect();
                match all.contains(&Some(true)) {
                    true => Some(true),
                    false if all.contains(&None) => None,
                    false => Some(false),
                }
            }
        }
    }

    /// Whether a statement's resources are known to cover the resource, whatever the call.
    pub(crate) fn concerns_surely(
        &self,
        policy: &Policy,
        statement: &Statement,
        facts: &dyn Facts,
    ) -> bool {
        match &statement.vendor {
            Some(vendor) => self
                .command_request(vendor.dialect(), policy)
                .is_some_and(|request| {
                    vendor.matches_resource(&request, self.owner(policy), facts) == Some(true)
                }),
            None => {
                !statement.names_resources()
                    || statement.concerns(&self.resource, facts) == Some(true)
            }
        }
    }

    /// The name of what is asked.
    pub(crate) fn action_name<'a>(&'a self, question: &Question<'_>) -> Cow<'a, str> {
        match self
            .terms
            .own
            .as_ref()
            .and_then(|own| own.action.as_deref())
        {
            Some(action) => Cow::Borrowed(action),
            None => Cow::Borrowed(question.action.name()),
        }
    }
}

/// Whether both hold, as far as that is known.
fn both(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

impl Grounds {
    /// Notes what the vendors call the principal: what conditions on its name read. `own` is the
    /// organisation of the principal, whose documents name it by its own names.
    pub(crate) fn note_vendor_names(&mut self, own: &str) {
        let Some(path) = self.nodes.first().map(|node| node.path.clone()) else {
            return;
        };
        let names = [Dialect::Aws, Dialect::Tencent, Dialect::Alibaba].map(|dialect| {
            let account = self.account(dialect, own, own).to_owned();
            let principal = VendorPrincipal::of_identity(dialect, &path, &account, None);
            (
                dialect,
                principal.and_then(|principal| principal.arn("aws")),
                account,
            )
        });
        for (dialect, arn, account) in names {
            self.facts.note_vendor_names(dialect, arn, account, &path);
        }
        let given = self
            .terms
            .addresses
            .iter()
            .filter(|known| *known.organisation == *own && *known.documents_of != *own);
        let mut abroad: Vec<(Dialect, Fact, Box<str>)> = Vec::new();
        for known in given {
            let (dialect, account) = (known.dialect, &*known.address.account);
            if abroad.iter().any(|(noted, ..)| *noted == dialect) {
                continue; // the number that was given is the same to everybody else
            }
            abroad.push((dialect, Fact::PrincipalAccount, account.into()));
            let principal = VendorPrincipal::of_identity(dialect, &path, account, None);
            if let Some(arn) = principal.and_then(|principal| principal.arn("aws")) {
                abroad.push((dialect, Fact::PrincipalArn, arn.into()));
            }
        }
        self.terms.abroad = abroad;
        self.terms.principal_of = own.into();
    }
}

/// The id of the organisation that a full path is in.
pub(crate) fn organisation(path: &str) -> &str {
    let rest = path.strip_prefix("org/").unwrap_or("");
    rest.split('/').next().unwrap_or("")
}

/// Whether a role's policy is a vendor's document that tells who may assume the role. One that names
/// resources, too, which the vendors refuse as a trust document, is narrowed by them and no wider.
pub(crate) fn lists_who_may_assume(policy: &Policy) -> bool {
    vendor_statements(policy).any(VendorStatement::has_principals)
}

fn vendor_statements(policy: &Policy) -> impl Iterator<Item = &VendorStatement> {
    let statements = policy.statements().iter();
    statements.filter_map(|statement| statement.vendor.as_deref())
}
