//! One decision from documents alone, without a directory: what `simulate` answers.
//!
//! Shorthand is of `org/test`, which owns every shorthand resource. There is exactly one trust, from
//! the resource's owner to the principal, carrying the case's policies; nothing else is there.

use std::sync::Arc;

use keyward_commands::{ActionId, CommandId, Flags};
use keyward_policy::{
    ChannelUse, ConditionKey, Dialect, Effect, IdentityPattern, KeyUse, ListedFacts, Policy,
    PolicyKind, Touch, Value, VendorPlace, VendorPrincipal,
};

use crate::aliases::VendorAliases;
use crate::decision::Decision;
use crate::evaluate::Question;
use crate::facts::{Call, RequestFacts, SessionFacts};
use crate::grounds::{Edge, Grant, Grounds, Layer, Node, PolicySource};
use crate::ids::{UnixMillis, full_path};
use crate::terms::{OwnTerms, Terms, TermsAddress};

/// The organisation of shorthand in a case.
pub const TEST_ORGANISATION: &str = "test";

/// A document of a case.
#[derive(Clone, Debug, Default)]
pub struct CaseDocument {
    /// Its dialect, if the case says; else the document tells.
    pub dialect: Option<String>,
    /// Its text.
    pub text: String,
    /// The document, if it was read before; its text is not read again then.
    pub policy: Option<Arc<Policy>>,
}

impl CaseDocument {
    /// A document that was read as one of [`TEST_ORGANISATION`].
    #[must_use]
    pub fn of_policy(policy: Arc<Policy>) -> Self {
        Self {
            dialect: Some(policy.dialect().name().to_owned()),
            text: String::new(),
            policy: Some(policy),
        }
    }
}

/// Keys and channels of a request that is asked for by its action: values of the context.
#[derive(Clone, Debug, Default)]
pub struct ContextNames {
    /// `kvdb:Key`: used as the command's key specifications declare, by the widest of them.
    pub keys: Vec<Vec<u8>>,
    /// `kvdb:ReadKey`
    pub read_keys: Vec<Vec<u8>>,
    /// `kvdb:WriteKey`
    pub write_keys: Vec<Vec<u8>>,
    /// `kvdb:Channel`
    pub channels: Vec<Vec<u8>>,
}

impl ContextNames {
    /// Asks with what an action touches if these are its keys and channels. Without any, nothing
    /// is filled in: a command that has keys touches every key.
    pub fn ask<R>(&self, action: ActionId, ask: impl FnOnce(&Touch<'_>) -> R) -> R {
        let keys = key_uses(action, &self.keys, &self.read_keys, &self.write_keys);
        let pattern = takes_patterns(action);
        let channels: Vec<ChannelUse<'_>> = self
            .channels
            .iter()
            .map(|channel| ChannelUse { channel, pattern })
            .collect();
        if action.command().is_none() || (keys.is_empty() && channels.is_empty()) {
            return ask(&Touch::of_action(action));
        }
        ask(&Touch::Named {
            keys: &keys,
            channels: &channels,
        })
    }
}

/// The name of something that is known of a request, with its values.
pub type KnownValue = (String, Vec<Vec<u8>>);

/// What a case asks.
#[derive(Clone, Debug)]
pub enum CaseRequest {
    /// A command as a client sends it.
    Command {
        /// Its words, name first.
        words: Vec<Vec<u8>>,
        /// The database, shorthand or full.
        database: String,
        /// The number of the database that the connection has selected: what ACL rules read.
        db_index: u32,
    },
    /// An action by name.
    Action {
        /// Its name.
        action: String,
        /// The resource, shorthand or full.
        resource: String,
        /// Keys and channels, from the context.
        names: ContextNames,
    },
}

/// Everything that a simulated decision depends on.
#[derive(Clone, Debug)]
pub struct Case {
    /// On the one trust from the resource's owner to the principal.
    pub policies: Vec<CaseDocument>,
    /// On the resource.
    pub resource_policies: Vec<CaseDocument>,
    /// Each inner list is a layer: some document of it must allow, and none deny.
    pub boundaries: Vec<Vec<CaseDocument>>,
    /// Who asks, shorthand or full, or `unauthenticated`.
    pub principal: String,
    /// What is asked.
    pub request: CaseRequest,
    /// What is known of the request: names with their values. It is complete.
    pub context: Vec<KnownValue>,
    /// The names in it that have a list of values, be it of one.
    pub lists: Vec<String>,
    /// What vendors call the organisation of shorthand.
    pub aliases: VendorAliases,
}

/// Why a case has no decision.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CaseError(pub String);

fn read(
    place: &str,
    number: usize,
    document: &CaseDocument,
    kind: PolicyKind,
) -> Result<Arc<Policy>, CaseError> {
    let refuse = |why: String| CaseError(format!("{place}[{number}]: {why}"));
    if let Some(policy) = &document.policy {
        return Ok(Arc::clone(policy));
    }
    let dialect = document.dialect(&refuse)?;
    keyward_policy::read_as(Some(dialect), &document.text, kind, TEST_ORGANISATION)
        .map(Arc::new)
        .map_err(|findings| refuse(findings.to_string()))
}

impl CaseDocument {
    fn dialect(&self, refuse: &dyn Fn(String) -> CaseError) -> Result<Dialect, CaseError> {
        match &self.dialect {
            Some(name) => Dialect::by_name(name).ok_or_else(|| {
                refuse(format!(
                    "unknown dialect `{name}`: one of `native`, `aws`, `tencent`, `alibaba`, `acl`"
                ))
            }),
            None => keyward_policy::detect(&self.text).map_err(|error| refuse(error.to_string())),
        }
    }
}

fn read_all(
    place: &str,
    documents: &[CaseDocument],
    kind: PolicyKind,
) -> Result<Vec<Arc<Policy>>, CaseError> {
    documents
        .iter()
        .enumerate()
        .map(|(n, document)| read(place, n, document, kind))
        .collect()
}

/// A path of at least two segments, none of them empty.
fn path(what: &str, text: &str) -> Result<String, CaseError> {
    let full = full_path(text, TEST_ORGANISATION);
    let whole = full == "unauthenticated"
        || (text.contains('/') && full.split('/').all(|segment| !segment.is_empty()));
    if whole {
        Ok(full)
    } else {
        Err(CaseError(format!("{what} `{text}` is no path")))
    }
}

/// The owner of a resource by its path alone: the organisation it is in (an organisation accepts
/// itself), or a user itself.
fn owner(resource: &str) -> &str {
    match resource
        .strip_prefix("org/")
        .and_then(|rest| rest.find('/'))
    {
        Some(end) => &resource[..end + "org/".len()],
        None => resource,
    }
}

/// Who asks for what, in the terms of the case.
#[derive(Clone)]
struct Asking {
    principal: String,
    owner: String,
    resource: String,
    own: Option<OwnTerms>,
}

impl Case {
    fn documents(&self) -> impl Iterator<Item = &CaseDocument> {
        let boundaries = self.boundaries.iter().flatten();
        let others = self.policies.iter().chain(&self.resource_policies);
        others.chain(boundaries)
    }

    /// The dialect of all documents, if they are all of one.
    fn only_dialect(&self) -> Option<Dialect> {
        let mut dialects = self
            .documents()
            .map(|document| document.dialect(&|why| CaseError(why)).ok());
        let first = dialects.next()??;
        dialects.all(|other| other == Some(first)).then_some(first)
    }

    /// The request in a vendor's terms, if all documents are the vendor's and it is not written in
    /// Keyward's own.
    fn vendor_terms(
        &self,
        resource: &str,
        action: Option<&str>,
    ) -> Result<Option<Asking>, CaseError> {
        let vendors = [Dialect::Aws, Dialect::Tencent, Dialect::Alibaba];
        let dialect = match self.documents().next() {
            Some(_) => self.only_dialect(),
            // Without documents the names tell whose they are.
            None => [resource, &self.principal].into_iter().find_map(vendor_of),
        };
        let Some(dialect) = dialect.filter(|dialect| vendors.contains(dialect)) else {
            return Ok(None);
        };
        if is_path(&self.principal) && is_path(resource) {
            return Ok(None);
        }
        let principal = match is_path(&self.principal) {
            true => {
                let path = full_path(&self.principal, TEST_ORGANISATION);
                VendorPrincipal::of_identity(dialect, &path, TEST_ACCOUNT, None)
                    .ok_or_else(|| format!("`{path}` has no name in the dialect"))
            }
            false => VendorPrincipal::parse(dialect, &self.principal),
        };
        let principal =
            principal.map_err(|why| CaseError(format!("principal `{}`: {why}", self.principal)))?;
        let resource = match is_path(resource) {
            true => VendorPlace::new(dialect, TEST_ACCOUNT, "test")
                .resource(dialect, &full_path(resource, TEST_ORGANISATION)),
            false => resource.to_owned(),
        };
        let own_account = principal.account().unwrap_or_default().to_owned();
        // What has no account in its name belongs to whoever asks.
        let account = vendor_account(dialect, &resource).unwrap_or_else(|| own_account.clone());
        let owner = format!("account/{account}");
        let is_owner = principal.is_account() && own_account == account;
        Ok(Some(Asking {
            principal: match (is_owner, principal.is_anonymous()) {
                (true, _) => owner.clone(),
                (false, true) => "unauthenticated".to_owned(),
                (false, false) => self.principal.clone(),
            },
            owner,
            resource: resource.clone(),
            own: Some(OwnTerms {
                dialect,
                principal,
                action: action.map(str::to_owned),
                resource,
                account: own_account,
            }),
        }))
    }

    /// The request in Keyward's own terms.
    fn own_terms(&self, what: &str, resource: &str) -> Result<Asking, CaseError> {
        let resource = path(what, resource)?;
        Ok(Asking {
            principal: path("principal", &self.principal)?,
            owner: owner(&resource).to_owned(),
            resource,
            own: None,
        })
    }

    fn grounds(&self, asking: Asking) -> Result<Grounds, CaseError> {
        let Asking {
            principal,
            owner,
            resource,
            own,
        } = asking;
        let owner = &*owner;
        let authenticated = principal != "unauthenticated";
        let policies = read_all("policies", &self.policies, PolicyKind::Identity)?;
        let resource_policy = read_all(
            "resource_policies",
            &self.resource_policies,
            PolicyKind::Resource,
        )?;
        for (number, policy) in resource_policy.iter().enumerate() {
            let denies_owner = policy.statements().iter().any(|statement| {
                statement.effect == Effect::Deny
                    && statement
                        .identities
                        .iter()
                        .any(|i| matches!(i, IdentityPattern::Path(path) if **path == *owner))
            });
            if denies_owner {
                return Err(CaseError(format!(
                    "resource_policies[{number}]: a Deny that names the owner itself (`{owner}`) \
                     is refused when it is written"
                )));
            }
        }
        let mut layers = Vec::new();
        for (number, documents) in self.boundaries.iter().enumerate() {
            let place = format!("boundaries[{number}]");
            let documents = read_all(&place, documents, PolicyKind::Identity)?;
            if !documents.is_empty() {
                layers.push(Layer {
                    source: PolicySource::Layer(number),
                    documents,
                    binding: true,
                });
            }
        }
        let node = |path: &str, owner: bool, edges| Node {
            path: path.into(),
            layers: Vec::new(),
            owner,
            edges,
        };
        let mut nodes = vec![node(&principal, principal == owner, Vec::new())];
        if authenticated && principal != owner {
            let edge = Edge {
                from: 0,
                source: PolicySource::Trust(format!("{owner}/trust/test").into()),
                grant: Grant::Documents(policies),
                in_force: true,
                conditions: None,
                binding: true,
            };
            nodes.push(node(owner, true, vec![edge]));
        }
        let dialect = own.as_ref().map_or(Dialect::Native, |own| own.dialect);
        let facts = ListedFacts::new(dialect, self.context.iter().cloned()).with_lists(&self.lists);
        if let Some((one, other)) = facts.duplicate() {
            let message = format!("context: `{one}` and `{other}` are one key");
            return Err(CaseError(message));
        }
        let grounds = Grounds {
            resource: resource.into(),
            nodes,
            request_layers: (0..layers.len()).collect(),
            layers,
            resource_policy,
            assumable: Vec::new(),
            authenticated,
            valid_until: None,
            facts: SessionFacts::complete(facts),
            now: UnixMillis(0),
            reads_session: false,
            reads_database_index: false,
            terms: Terms {
                addresses: test_addresses(&self.aliases),
                own,
                ..Terms::default()
            },
        };
        let (most, found) = (grounds.most_keys(), self.most_values());
        if found > most {
            return Err(CaseError(format!(
                "context: {found} values of one key, at most {most} can be compared with so many \
                 statements and conditions"
            )));
        }
        Ok(grounds)
    }

    /// How many values the context has of the key that has most.
    fn most_values(&self) -> usize {
        let context = self.context.iter().map(|(_, values)| values.len());
        let names = match &self.request {
            CaseRequest::Action { names, .. } => {
                let keys = names.keys.len() + names.read_keys.len() + names.write_keys.len();
                keys.max(names.channels.len())
            }
            CaseRequest::Command { .. } => 0,
        };
        context.max().unwrap_or(0).max(names)
    }

    /// Decides the case.
    ///
    /// # Errors
    /// A document that validation refuses, an action outside the catalogue, a malformed path.
    pub fn decide(&self) -> Result<Decision, CaseError> {
        // First: what is asked about is read in the dialect of the documents.
        for document in self.documents().filter(|found| found.dialect.is_some()) {
            document.dialect(&|why| CaseError(why))?;
        }
        match &self.request {
            CaseRequest::Command {
                words,
                database,
                db_index,
            } => {
                if words.is_empty() {
                    return Err(CaseError("`command` is empty".to_owned()));
                }
                let asking = match self.vendor_terms(database, None)? {
                    Some(asking) => asking,
                    None => self.own_terms("database", database)?,
                };
                let grounds = self.grounds(asking)?;
                let call = Call {
                    database_index: *db_index,
                    now: self.moment(),
                    ..Call::default()
                };
                if grounds.is_of_acl_alone() {
                    return Ok(grounds.decide_by_acl(words, &call));
                }
                Ok(grounds.decide_words(words, false, &call))
            }
            CaseRequest::Action {
                action,
                resource,
                names,
            } => {
                if let Some(asking) = self.vendor_terms(resource, Some(action))? {
                    return self.decide_in_vendor_terms(asking, action, names);
                }
                let action = find_action(action)?;
                let grounds = self.grounds(self.own_terms("resource", resource)?)?;
                Ok(names.ask(action, |touch| {
                    let question = Question {
                        action,
                        touch: *touch,
                        request: &RequestFacts::plain(&grounds.facts, grounds.now),
                    };
                    let decision = grounds.decide_action(&question, false);
                    match self.deletes(action).filter(|_| decision.is_allow()) {
                        Some(deletes) => {
                            let deletion = grounds.decide_deletion(deletes, &question);
                            if deletion.is_allow() {
                                decision
                            } else {
                                deletion
                            }
                        }
                        None => decision,
                    }
                }))
            }
        }
    }

    /// The first value of the context under one of Keyward's own names, in whatever dialect it stands.
    fn known(&self, name: &str) -> Option<&[u8]> {
        let key = ConditionKey::new(Dialect::Native, name);
        let fact = |name: &str| {
            let dialect = match name.split_once(':') {
                Some(("aws", _)) => Dialect::Aws,
                Some(("qcs", _)) => Dialect::Tencent,
                Some(("acs", _)) => Dialect::Alibaba,
                _ => Dialect::Native,
            };
            ConditionKey::new(dialect, name).fact().clone()
        };
        let mut known = self.context.iter();
        let found = known.find(|(name, _)| fact(name) == *key.fact());
        found.and_then(|(_, values)| Some(&**values.first()?))
    }

    /// When the call comes: as the context says, else at a moment that is before every call.
    fn moment(&self) -> UnixMillis {
        let time = self
            .known("keyward:CurrentTime")
            .and_then(|text| Value::Text(text).time())
            .or_else(|| {
                let seconds = self.known("keyward:EpochTime")?;
                Value::Text(seconds).number()?.to_milli()
            });
        UnixMillis(time.map_or(EARLIEST, |time| u64::try_from(time).unwrap_or(0)))
    }

    /// What an action also is if the context gives it a time that is over.
    fn deletes(&self, action: ActionId) -> Option<CommandId> {
        let deletes = action.command()?.expiring_deletes_as()?;
        let ttl = self.known("kvdb:TtlSeconds")?;
        let over = Value::Text(ttl).number()?.to_milli()? <= 0;
        over.then_some(deletes)
    }

    /// The vendor's documents decide, whatever the action's service; nothing is implied. Keys and
    /// channels of a command are the context's.
    fn decide_in_vendor_terms(
        &self,
        asking: Asking,
        action: &str,
        names: &ContextNames,
    ) -> Result<Decision, CaseError> {
        let dialect = asking
            .own
            .as_ref()
            .map_or(Dialect::Native, |own| own.dialect);
        let Some(known) = command_action(dialect, action) else {
            let grounds = self.grounds(asking)?;
            // INVARIANT: the terms name the action; this one stands for none that has keys.
            return Ok(grounds.evaluate(&Question {
                action: keyward_commands::CONNECT,
                touch: Touch::None,
                request: &RequestFacts::plain(&grounds.facts, grounds.now),
            }));
        };
        let grounds = self.grounds(asking.clone())?;
        names.ask(known, |touch| {
            let question = Question {
                action: known,
                touch: *touch,
                request: &RequestFacts::plain(&grounds.facts, grounds.now),
            };
            let decision = grounds.evaluate(&question);
            let Some(deletes) = self.deletes(known).filter(|_| decision.is_allow()) else {
                return Ok(decision);
            };
            // The same request for what it also is, by that one's name.
            let mut asking = asking;
            if let Some(own) = &mut asking.own {
                own.action = Some(deletes.action().name().to_owned());
            }
            let deletion = self.grounds(asking)?.decide_deletion(deletes, &question);
            Ok(if deletion.is_allow() {
                decision
            } else {
                deletion
            })
        })
    }
}

/// 2026-01-01: without a clock in the context, arguments that are dates are counted from here.
const EARLIEST: u64 = 1_767_225_600_000;

fn test_addresses(aliases: &VendorAliases) -> Vec<TermsAddress> {
    let address = |dialect| TermsAddress {
        dialect,
        documents_of: TEST_ORGANISATION.into(),
        organisation: TEST_ORGANISATION.into(),
        address: aliases.address(dialect, TEST_ACCOUNT),
    };
    [Dialect::Aws, Dialect::Tencent, Dialect::Alibaba]
        .map(address)
        .into()
}

/// The account of `org/test`.
const TEST_ACCOUNT: &str = "123456789012";

/// The vendor of a name of a principal or a resource.
fn vendor_of(name: &str) -> Option<Dialect> {
    let vendors = [
        ("arn:", Dialect::Aws),
        ("qcs:", Dialect::Tencent),
        ("acs:", Dialect::Alibaba),
    ];
    let of = |(start, dialect): &(&str, Dialect)| name.starts_with(start).then_some(*dialect);
    vendors.iter().find_map(of)
}

/// Whether a text is a path of Keyward's and no vendor's name.
fn is_path(text: &str) -> bool {
    text == "unauthenticated" || (text.contains('/') && vendor_of(text).is_none())
}

/// The account in a vendor's name of a resource.
fn vendor_account(dialect: Dialect, resource: &str) -> Option<String> {
    let at = if dialect == Dialect::Alibaba { 3 } else { 4 };
    let account = resource.split(':').nth(at)?;
    let account = account.strip_prefix("uin/").unwrap_or(account);
    (!account.is_empty() && account != "*").then(|| account.to_owned())
}

/// The action of a command that a request names in a vendor's spelling.
fn command_action(dialect: Dialect, name: &str) -> Option<ActionId> {
    if dialect == Dialect::Tencent {
        let name = name.strip_prefix("name/").unwrap_or(name);
        return keyward_commands::action(name).filter(|action| action.command().is_some());
    }
    let mut all = keyward_commands::execute_actions().iter();
    all.find(|action| action.name().eq_ignore_ascii_case(name))
}

/// An action by its exact name.
fn find_action(name: &str) -> Result<ActionId, CaseError> {
    keyward_commands::action(name).ok_or_else(|| match keyward_commands::action_pattern(name) {
        Err(error) => CaseError(error.to_string()),
        Ok(_) => CaseError(format!("`{name}` is a pattern; a request has one action")),
    })
}

/// Whether the channels of an action's command are patterns.
fn takes_patterns(action: ActionId) -> bool {
    action.command().is_some_and(|command| {
        matches!(
            command.command().channels,
            keyward_commands::ChannelRule::From { pattern: true, .. }
                | keyward_commands::ChannelRule::Listing
                | keyward_commands::ChannelRule::Tracking
        )
    })
}

/// The keys of a request that is asked for by action, each with the access that is stated, or else
/// the widest that the command can have.
fn key_uses<'a>(
    action: ActionId,
    keys: &'a [Vec<u8>],
    read_keys: &'a [Vec<u8>],
    write_keys: &'a [Vec<u8>],
) -> Vec<KeyUse<'a>> {
    let widest = action.command().map_or((true, true), |command| {
        let command = command.command();
        let reads = command.key_specs.iter().any(|spec| spec.flags.reads());
        let writes = command.key_specs.iter().any(|spec| spec.flags.writes());
        match (reads, writes) {
            _ if command.flags.contains(Flags::READONLY) => (true, false),
            (false, false) => (true, true),
            stated => stated,
        }
    });
    let mut uses: Vec<KeyUse<'a>> = Vec::new();
    let mut add = |key: &'a [u8], reads: bool, writes: bool| match uses
        .iter_mut()
        .find(|known| known.key == key)
    {
        Some(known) => {
            known.reads |= reads;
            known.writes |= writes;
        }
        None => uses.push(KeyUse { key, reads, writes }),
    };
    read_keys.iter().for_each(|key| add(key, true, false));
    write_keys.iter().for_each(|key| add(key, false, true));
    for key in keys
        .iter()
        .filter(|key| !read_keys.contains(key) && !write_keys.contains(key))
    {
        add(key, widest.0, widest.1);
    }
    uses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Outcome;

    const READ: &str =
        r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/x"],"Keys":["a:*"]}]"#;

    fn case(principal: &str, request: CaseRequest) -> Case {
        let document = CaseDocument {
            dialect: Some("native".into()),
            text: READ.into(),
            policy: None,
        };
        Case {
            policies: vec![document],
            resource_policies: Vec::new(),
            boundaries: Vec::new(),
            principal: principal.into(),
            request,
            context: Vec::new(),
            lists: Vec::new(),
            aliases: VendorAliases::default(),
        }
    }

    fn command(words: &[&str]) -> CaseRequest {
        CaseRequest::Command {
            words: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
            database: "kvdb/x".into(),
            db_index: 0,
        }
    }

    fn action(name: &str, keys: &[&str], read_keys: &[&str]) -> CaseRequest {
        let bytes = |keys: &[&str]| keys.iter().map(|key| key.as_bytes().to_vec()).collect();
        CaseRequest::Action {
            action: name.into(),
            resource: "kvdb/x".into(),
            names: ContextNames {
                keys: bytes(keys),
                read_keys: bytes(read_keys),
                ..ContextNames::default()
            },
        }
    }

    #[test]
    fn cases_are_decided() {
        use Outcome::{Allow, ImplicitDeny};
        let ci = "programmatic_identity/ci";
        let cases = [
            (ci, command(&["GET", "a:1"]), Allow),
            (ci, command(&["GET", "b"]), ImplicitDeny),
            (ci, command(&["GET"]), ImplicitDeny),
            (ci, command(&["NOPE", "a:1"]), ImplicitDeny),
            (ci, command(&["PING"]), Allow),
            (ci, command(&["CONFIG", "SET", "a", "b"]), ImplicitDeny),
            ("unauthenticated", command(&["GET", "a:1"]), ImplicitDeny),
            ("org/test", command(&["SET", "b", "v"]), Allow),
            (ci, action("kvdb:ExecuteGet", &["a:1"], &[]), Allow),
            (
                ci,
                action("kvdb:ExecuteGet", &["a:1", "b"], &[]),
                ImplicitDeny,
            ),
            (ci, action("kvdb:ExecuteGet", &[], &["a:1"]), Allow),
            // No key is filled in: the command touches every key.
            (ci, action("kvdb:ExecuteGet", &[], &[]), ImplicitDeny),
            (ci, action("kvdb:ExecuteTime", &[], &[]), ImplicitDeny),
            (ci, action("kvdb:ExecutePing", &[], &[]), Allow),
            (ci, action("kvdb:Describe", &[], &[]), ImplicitDeny),
            ("org/test", action("kvdb:Describe", &[], &[]), Allow),
        ];
        for (principal, request, expected) in cases {
            let case = case(principal, request);
            let decision = case.decide().unwrap();
            assert_eq!(
                decision.outcome, expected,
                "{:?}: {decision:?}",
                case.request
            );
        }
    }

    #[test]
    fn a_time_that_is_over_deletes_in_the_terms_of_vendors_too() {
        let document = |actions: &str| CaseDocument {
            dialect: Some("aws".into()),
            text: format!(
                r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":[{actions}],"Resource":"*"}}}}"#
            ),
            policy: None,
        };
        let cases = [
            (r#""kvdb:ExecuteExpire""#, "kvdb:ExecuteExpire", "60", true),
            (r#""kvdb:ExecuteExpire""#, "kvdb:ExecuteExpire", "0", false),
            (r#""kvdb:ExecuteExpire""#, "KVDB:executeexpire", "-1", false),
            (
                r#""kvdb:ExecuteExpire","kvdb:ExecuteDel""#,
                "kvdb:ExecuteExpire",
                "0",
                true,
            ),
            (
                r#""kvdb:ExecuteHexpire""#,
                "kvdb:ExecuteHexpire",
                "0",
                false,
            ),
            (
                r#""kvdb:ExecuteHexpire","kvdb:ExecuteHdel""#,
                "kvdb:ExecuteHexpire",
                "0",
                true,
            ),
            // It writes what it replaces.
            (r#""kvdb:ExecuteSet""#, "kvdb:ExecuteSet", "0", true),
        ];
        for (actions, asked, ttl, allowed) in cases {
            let mut case = case(
                "arn:aws:iam::123456789012:user/ci",
                action(asked, &["k"], &[]),
            );
            let CaseRequest::Action { resource, .. } = &mut case.request else {
                unreachable!("made so above")
            };
            *resource = "arn:aws:elasticache:us-east-1:123456789012:replicationgroup:x".into();
            case.policies = vec![document(actions)];
            case.context = vec![
                ("kvdb:Key".into(), vec![b"k".to_vec()]),
                ("kvdb:TtlSeconds".into(), vec![ttl.into()]),
            ];
            let decision = case.decide().unwrap();
            assert_eq!(
                decision.is_allow(),
                allowed,
                "{actions} {asked} {ttl}: {decision:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_decided_is_an_error() {
        let ci = "programmatic_identity/ci";
        let mut bad = case(ci, command(&["GET", "a:1"]));
        bad.policies[0].text = "[{}]".into();
        let mut foreign = case(ci, command(&["GET", "a:1"]));
        foreign.policies[0].dialect = Some("aws".into());
        let mut owner_denied = case(ci, command(&["GET", "a:1"]));
        owner_denied.resource_policies = vec![CaseDocument {
            dialect: None,
            text: r#"[{"Effect":"Deny","Actions":["*"],"Identities":["org/test"]}]"#.into(),
            policy: None,
        }];
        let cases = [
            bad,
            foreign,
            owner_denied,
            case(ci, command(&[])),
            case("", command(&["GET", "a:1"])),
            case("ci", command(&["GET", "a:1"])),
            case(ci, action("kvdb:ExecuteNope", &[], &[])),
            case(ci, action("kvdb:Execute*", &[], &[])),
        ];
        for case in cases {
            assert!(case.decide().is_err(), "{case:?}");
        }
    }

    /// Values times values, and keys times values: what cannot be compared in time is refused, not kept
    /// waiting for.
    #[test]
    fn products_are_refused() {
        let patterns: Vec<String> = (0..9_000).map(|n| format!("\"*v{n}*\"")).collect();
        let document = |effect: &str, operator: &str, key: &str| {
            let patterns = patterns.join(",");
            format!(
                r#"[{{"Effect":"{effect}","Actions":["kvdb:@read"],"Resources":["kvdb/x"],
                "Conditions":{{"{operator}":{{"{key}":[{patterns}]}}}}}}]"#
            )
        };
        let many: Vec<String> = (0..3_000).map(|n| format!("aaa{n}")).collect();
        let values: Vec<Vec<u8>> = many.iter().map(|text| text.clone().into_bytes()).collect();
        let mut asked = case("programmatic_identity/app", command(&["GET", "a"]));
        asked.policies[0].text = document(
            "Allow",
            "ForAnyValue:StringLike",
            "keyward:PrincipalTag/team",
        );
        asked.context = vec![("keyward:PrincipalTag/team".into(), values)];
        let refused = asked.decide().unwrap_err().to_string();
        assert!(refused.contains("3000 values of one key"), "{refused}");

        let words: Vec<&str> = std::iter::once("MGET")
            .chain(many.iter().map(String::as_str))
            .collect();
        let mut asked = case("programmatic_identity/app", command(&words));
        asked.policies[0].text = document("Deny", "GlobLike", "kvdb:Key");
        let decision = asked.decide().unwrap();
        assert_eq!(decision.outcome, Outcome::ImplicitDeny);
        assert!(
            decision.message.contains("too many to compare"),
            "{}",
            decision.message
        );
    }
}
