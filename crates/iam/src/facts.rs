//! What conditions and variables read: of the session and the resource, which stay the same, and
//! of the call.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::sync::Arc;

use keyward_commands::{CommandId, Limit, Touched, Words};
use keyward_policy::{
    AclCall, Clause, Conditions, DEFAULT_DATABASES, Dialect, Fact, Facts, Found, ListedFacts,
    Number, Operator, Policy, Value,
};
use sha2::{Digest, Sha256};

use crate::directory::Directory;
use crate::ids::{Kind, PathParts, UnixMillis};
use crate::session::{Principal, Session};
use crate::tags::Tags;

/// What a call brings beside its words, and what may change between two calls.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Call<'a> {
    /// Number of the selected database.
    pub database_index: u32,
    /// The name that the client gave itself.
    pub client_name: Option<&'a [u8]>,
    /// When it came.
    pub now: UnixMillis,
}

impl Call<'_> {
    /// A call of an unnamed client on database 0.
    #[must_use]
    pub fn at(now: UnixMillis) -> Self {
        Self {
            now,
            ..Self::default()
        }
    }
}

/// A text that is known. Mostly it is the end of a path, which the directory shares.
#[derive(Clone, Debug)]
enum Text {
    EndOf(Arc<str>, usize),
    Fixed(&'static str),
    Own(Box<str>),
}

impl Text {
    fn as_str(&self) -> &str {
        match self {
            Self::EndOf(path, from) => &path[*from..],
            Self::Fixed(text) => text,
            Self::Own(text) => text,
        }
    }

    /// The last segment of a path.
    fn id_of(path: &Arc<str>) -> Self {
        let from = path.rfind('/').map_or(0, |slash| slash + 1);
        Self::EndOf(Arc::clone(path), from)
    }

    fn all_of(path: &Arc<str>) -> Self {
        Self::EndOf(Arc::clone(path), 0)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Own(text.into())
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Known {
    Text(Text),
    Address(IpAddr),
    Boolean(bool),
}

/// As much as is mostly known of a session and a resource.
const MOST_KNOWN: usize = 16;

/// What is known of a session and a resource.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionFacts {
    known: Vec<(Fact, Known)>,
    principal_tags: Tags,
    resource_tags: Tags,
    /// When the temporary credentials were issued.
    issued: Option<UnixMillis>,
    /// What the vendors call the principal, for their documents.
    vendor_names: Vec<(Dialect, Fact, Box<str>)>,
    /// Tags of the resource as `key&value`, for Tencent's documents.
    tag_pairs: Vec<Vec<u8>>,
    /// What a session of temporary credentials says of itself, and what is asked for one.
    temporary: Temporary,
    /// When a second factor was given.
    mfa: Option<UnixMillis>,
    /// What a simulated request says; it goes before everything else.
    listed: Option<Arc<ListedFacts>>,
    /// Whether the list is complete.
    complete: bool,
}

impl SessionFacts {
    /// Whether what a policy may read is the same. `session`: also what differs between sessions of
    /// one principal.
    pub(crate) fn same_as(&self, other: &Self, session: bool) -> bool {
        let of_session = |fact: &Fact| matches!(fact, Fact::SourceIp | Fact::SecureTransport);
        let known = |facts: &Self| -> Vec<(Fact, Known)> {
            let meant = facts
                .known
                .iter()
                .filter(|(fact, _)| session || !of_session(fact));
            meant.cloned().collect()
        };
        let same_list = match (&self.listed, &other.listed) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        same_list
            && self.vendor_names == other.vendor_names
            && self.complete == other.complete
            && known(self) == known(other)
            && (!session
                || (self.issued == other.issued
                    && self.mfa == other.mfa
                    && self.temporary == other.temporary))
            && self.principal_tags == other.principal_tags
            && self.resource_tags == other.resource_tags
    }

    /// A simulated request that says everything.
    pub(crate) fn complete(listed: ListedFacts) -> Self {
        Self {
            listed: Some(Arc::new(listed)),
            complete: true,
            ..Self::default()
        }
    }

    /// Whether whoever simulates says what a key is, or that nothing else is known.
    pub(crate) fn is_told(&self, key: &keyward_policy::ConditionKey) -> bool {
        let listed = self.listed.as_ref();
        self.complete || listed.is_some_and(|listed| listed.values(key).is_some())
    }

    /// What a vendor calls the principal and the resource's tags, by which its documents know them.
    pub(crate) fn note_vendor_names(
        &mut self,
        dialect: Dialect,
        arn: Option<String>,
        account: String,
        path: &str,
    ) {
        let id = path.rsplit('/').next().unwrap_or(path);
        let session = self.temporary.name.clone();
        let mut note = |fact: Fact, name: &str| {
            self.vendor_names.push((dialect, fact, name.into()));
        };
        if let Some(arn) = arn {
            note(Fact::PrincipalArn, &arn);
        }
        note(Fact::PrincipalAccount, &account);
        let is_role = path.contains("/role/");
        match session
            .as_deref()
            .filter(|_| is_role && dialect == Dialect::Aws)
        {
            Some(session) => note(Fact::UserId, &format!("{id}:{session}")),
            None => note(Fact::UserId, id),
        }
        if dialect == Dialect::Aws {
            if !is_role {
                note(Fact::Username, id);
            }
            let kind = match path {
                "unauthenticated" => "Anonymous",
                _ if is_role => "AssumedRole",
                path if path.starts_with("org/") && !path[4..].contains('/') => "Account",
                _ => "User",
            };
            note(Fact::PrincipalType, kind);
        }
        if dialect == Dialect::Tencent {
            self.tag_pairs = pairs(&self.resource_tags);
        }
    }

    /// The name of the session, if it is one of temporary credentials.
    pub(crate) fn session_name(&self) -> Option<&str> {
        self.temporary.name.as_deref()
    }

    /// Whether moments come from a list and not from a clock.
    fn is_simulated(&self) -> bool {
        self.listed.is_some()
    }

    fn find(&self, key: &keyward_policy::ConditionKey, now: UnixMillis) -> Found<'_> {
        if let Some(listed) = &self.listed {
            match listed.find(key) {
                Found::Absent if !self.complete => {}
                found => return found,
            }
        }
        let vendor_name = self
            .vendor_names
            .iter()
            .find(|(dialect, fact, _)| *dialect == key.dialect() && fact == key.fact());
        if let Some((.., name)) = vendor_name {
            return Found::One(Value::Text(name.as_bytes()));
        }
        let now = now.0 as i64;
        match key.fact() {
            Fact::ResourceTagPairs if self.tag_pairs.is_empty() => Found::Absent,
            Fact::ResourceTagPairs => Found::Texts(&self.tag_pairs),
            Fact::RequestTagPairs if !self.temporary.asked_pairs.is_empty() => {
                Found::Texts(&self.temporary.asked_pairs)
            }
            Fact::PrincipalTag(tag) => {
                // AWS reads session tags over the principal's own.
                let of_session = match key.dialect() {
                    Dialect::Aws => tag_value(&self.temporary.tags, tag, Dialect::Aws),
                    _ => Found::Absent,
                };
                match of_session {
                    Found::Absent => tag_value(&self.principal_tags, tag, key.dialect()),
                    found => found,
                }
            }
            Fact::SessionTag(tag) => tag_value(&self.temporary.tags, tag, key.dialect()),
            Fact::RequestTag(tag) => tag_value(&self.temporary.asked_tags, tag, key.dialect()),
            Fact::TagKeys if !self.temporary.asked_keys.is_empty() => {
                Found::Texts(&self.temporary.asked_keys)
            }
            Fact::Token(claim) => self.temporary.claim(None, claim),
            Fact::IssuerToken(name) => match name.rsplit_once(':') {
                Some((issuer, claim)) => self.temporary.claim(Some(issuer), claim),
                None => Found::Absent,
            },
            Fact::MultiFactorAuthPresent if !self.is_simulated() => {
                // AWS: absent for whoever comes with a permanent key.
                let permanent = !self.temporary.is_some && key.dialect() != Dialect::Native;
                match permanent && self.mfa.is_none() {
                    true => Found::Absent,
                    false => Found::One(Value::Boolean(self.mfa.is_some())),
                }
            }
            Fact::MultiFactorAuthAge if !self.is_simulated() => match self.mfa {
                Some(given) => {
                    let age = now.saturating_sub(given.0 as i64).max(0);
                    Found::One(Value::Number(seconds(age / 1000)))
                }
                None => Found::Absent,
            },
            Fact::ResourceTag(tag) => tag_value(&self.resource_tags, tag, key.dialect()),
            Fact::CurrentTime if !self.is_simulated() => Found::One(Value::Time(now)),
            Fact::EpochTime if !self.is_simulated() => {
                Found::One(Value::Number(seconds(now.div_euclid(1000))))
            }
            Fact::TokenIssueTime => match self.issued {
                Some(issued) => Found::One(Value::Time(issued.0 as i64)),
                None => Found::Absent,
            },
            Fact::TokenAge if !self.is_simulated() => match self.issued {
                Some(issued) => {
                    let age = now.saturating_sub(issued.0 as i64).max(0);
                    Found::One(Value::Number(seconds(age / 1000)))
                }
                None => Found::Absent,
            },
            fact => match self.known.iter().find(|(known, _)| known == fact) {
                Some((_, Known::Text(text))) => Found::One(Value::Text(text.as_str().as_bytes())),
                Some((_, Known::Address(address))) => Found::One(Value::Address(*address)),
                Some((_, Known::Boolean(truth))) => Found::One(Value::Boolean(*truth)),
                None => Found::Absent,
            },
        }
    }
}

/// Tags as Tencent's documents compare them.
fn pairs(tags: &Tags) -> Vec<Vec<u8>> {
    let pair = |(key, value): (&str, &str)| format!("{key}&{value}").into_bytes();
    tags.iter().map(pair).collect()
}

fn seconds(seconds: i64) -> Number {
    Number::from(u64::try_from(seconds).unwrap_or(0))
}

/// AWS compares keys of tags without regard to letter case, the others exactly.
fn tag_value<'a>(tags: &'a Tags, tag: &str, dialect: Dialect) -> Found<'a> {
    let value = match dialect {
        Dialect::Aws => tags.find(tag),
        _ => tags.exact(tag),
    };
    value.map_or(Found::Absent, |value| {
        Found::One(Value::Text(value.as_bytes()))
    })
}

/// What is known of temporary credentials beside who they are of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Temporary {
    /// Whether the session has some, or is a person's login.
    is_some: bool,
    /// The name of a role's session.
    name: Option<Box<str>>,
    tags: Tags,
    /// Tags that the request gives.
    asked_tags: Tags,
    asked_keys: Vec<Vec<u8>>,
    asked_pairs: Vec<Vec<u8>>,
    /// Issuer of the token that vouches for the caller, without its scheme.
    issuer: Box<str>,
    claims: Vec<(Box<str>, Vec<Vec<u8>>)>,
}

impl Temporary {
    fn of(session: &Session) -> Self {
        let mut found = Self {
            is_some: session.temporary.is_some() || session.login.is_some(),
            ..Self::default()
        };
        if let Some(temporary) = &session.temporary {
            found.tags = Tags::unchecked(&temporary.tags);
            found.name = Some(temporary.name.as_str().into());
        }
        if let Some(token) = &session.token {
            let issuer = token.issuer.trim_start_matches("https://");
            found.issuer = issuer.trim_end_matches('/').into();
            let bytes = |values: &[String]| values.iter().map(|v| v.as_bytes().to_vec()).collect();
            let claims = token.claims.iter();
            let mut claims: Vec<(Box<str>, Vec<Vec<u8>>)> = claims
                .map(|(claim, values)| (claim.as_str().into(), bytes(values)))
                .collect();
            // INVARIANT: what was verified goes before what is said again.
            claims.retain(|(claim, _)| !matches!(&**claim, "iss" | "sub" | "aud"));
            claims.push(("iss".into(), bytes(std::slice::from_ref(&token.issuer))));
            claims.push(("sub".into(), bytes(std::slice::from_ref(&token.subject))));
            claims.push(("aud".into(), bytes(&token.audiences)));
            found.claims = claims;
        }
        found
    }

    /// A claim of the token; of this issuer alone, if one is named. AWS compares without regard to
    /// letter case.
    fn claim(&self, issuer: Option<&str>, claim: &str) -> Found<'_> {
        let matches = |(known, _): &&(Box<str>, Vec<Vec<u8>>)| match issuer {
            None => **known == *claim,
            Some(issuer) => {
                self.issuer.eq_ignore_ascii_case(issuer) && known.eq_ignore_ascii_case(claim)
            }
        };
        match self.claims.iter().find(matches) {
            None => Found::Absent,
            Some((_, values)) => match &values[..] {
                [one] => Found::One(Value::Text(one)),
                values => Found::Texts(values),
            },
        }
    }
}

/// What a request for a session says beside who makes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct AskedFacts<'a> {
    pub(crate) session_name: &'a str,
    pub(crate) external_id: Option<&'a str>,
    pub(crate) source_identity: Option<&'a str>,
    pub(crate) tags: Tags,
    pub(crate) tag_keys: Vec<&'a str>,
}

impl SessionFacts {
    /// Adds what a request for a session says.
    pub(crate) fn ask(&mut self, asked: &AskedFacts<'_>) {
        let mut text = |fact: Fact, text: Option<&str>| {
            self.known.retain(|(known, _)| *known != fact);
            let text = text.map(|text| (fact, Known::Text(text.into())));
            self.known.extend(text);
        };
        text(Fact::RoleSessionName, Some(asked.session_name));
        text(Fact::ExternalId, asked.external_id);
        text(Fact::SourceIdentity, asked.source_identity);
        self.ask_tags(&asked.tags, asked.tag_keys.iter().copied());
    }

    /// Adds the tags that a request gives, and the keys of those that it is about.
    pub(crate) fn ask_tags<'a>(&mut self, tags: &Tags, keys: impl Iterator<Item = &'a str>) {
        self.temporary.asked_pairs = pairs(tags);
        self.temporary.asked_tags = tags.clone();
        self.temporary.asked_keys = keys.map(|key| key.as_bytes().to_vec()).collect();
    }
}

impl Directory {
    /// What is known of a session and a resource.
    pub(crate) fn session_facts(
        &self,
        session: &Session,
        resource: &Arc<str>,
        at: UnixMillis,
    ) -> SessionFacts {
        let mut known = Vec::with_capacity(MOST_KNOWN);
        let mut text = |fact: Fact, text: Text| known.push((fact, Known::Text(text)));
        let mut facts = SessionFacts {
            listed: session.simulated.clone(),
            issued: session.issued,
            mfa: session.mfa,
            temporary: Temporary::of(session),
            resource_tags: self.tags_of(resource).cloned().unwrap_or_default(),
            ..SessionFacts::default()
        };
        if let Principal::Identity(ix) = session.principal
            && let Some(identity) = self.identity(ix)
        {
            text(Fact::PrincipalPath, Text::all_of(&identity.path));
            text(Fact::PrincipalId, Text::id_of(&identity.path));
            // What people call themselves says nothing of them.
            if let Some(name) = &identity.name
                && identity.kind != Kind::User
            {
                text(Fact::PrincipalName, (&**name).into());
            }
            text(Fact::PrincipalType, Text::Fixed(kind_name(identity.kind)));
            if let Some(organisation) = identity.organisation.and_then(|ix| self.identity(ix)) {
                text(Fact::PrincipalOrganisation, Text::id_of(&organisation.path));
                if let Some(details) = organisation.organisation_details() {
                    text(Fact::PrincipalAccount, Text::all_of(&details.account));
                }
            }
            facts.principal_tags = identity.tags.clone();
        }
        if let Some(temporary) = &session.temporary {
            text(Fact::RoleSessionName, (&*temporary.name).into());
            if let Some(source) = &temporary.source_identity {
                text(Fact::SourceIdentity, (&**source).into());
            }
        }
        if let Some(provider) = self.login_provider(session, at) {
            text(Fact::LoginProvider, provider.into());
        }
        text(Fact::ResourcePath, Text::all_of(resource));
        if resource.contains('/') {
            text(Fact::ResourceId, Text::id_of(resource));
        }
        if let Some(organisation) = PathParts::of(resource).and_then(|parts| parts.organisation) {
            let found = self.organisation(organisation);
            let found = found.and_then(|ix| self.identity(ix));
            match found {
                Some(found) => text(Fact::ResourceOrganisation, Text::id_of(&found.path)),
                None => text(Fact::ResourceOrganisation, organisation.into()),
            }
            if let Some(details) = found.and_then(|found| found.organisation_details()) {
                text(Fact::ResourceAccount, Text::all_of(&details.account));
            }
        }
        if session.simulated.is_none() {
            if let Some(source) = session.source {
                known.push((Fact::SourceIp, Known::Address(source.to_canonical())));
            }
            known.push((Fact::SecureTransport, Known::Boolean(session.secure)));
        }
        facts.known = known;
        facts
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Organisation => "organisation",
        Kind::User => "user",
        Kind::Group => "group",
        Kind::Role => "role",
        Kind::OrganisationUser => "org_user",
        Kind::IdentityProvider => "identity_provider",
        _ => "programmatic_identity",
    }
}

/// The words of a call, for conditions on its arguments.
pub(crate) struct CallWords<'a, W: ?Sized> {
    pub(crate) command: CommandId,
    pub(crate) words: &'a W,
    pub(crate) touched: &'a Touched,
}

/// One request: the session's facts, and the call's.
pub(crate) struct RequestFacts<'a, W: ?Sized> {
    session: &'a SessionFacts,
    call: Call<'a>,
    words: Option<CallWords<'a, W>>,
    /// Digest of the script, once it was asked for.
    script: OnceCell<Vec<u8>>,
}

impl<'a> RequestFacts<'a, [&'a [u8]]> {
    /// A request that is no command.
    pub(crate) fn plain(session: &'a SessionFacts, now: UnixMillis) -> Self {
        Self {
            session,
            call: Call::at(now),
            words: None,
            script: OnceCell::new(),
        }
    }
}

impl<'a, W: Words + ?Sized> RequestFacts<'a, W> {
    pub(crate) fn new(
        session: &'a SessionFacts,
        call: Call<'a>,
        words: Option<CallWords<'a, W>>,
    ) -> Self {
        Self {
            session,
            call,
            words,
            script: OnceCell::new(),
        }
    }

    fn argument(&self, fact: &Fact) -> Option<Found<'_>> {
        let CallWords {
            command,
            words,
            touched,
        } = self.words.as_ref()?;
        let limit = |limit: Limit, thousandths: bool| match limit {
            Limit::Absent => Found::Absent,
            Limit::Infinite => Found::One(Value::Number(Number::INFINITE)),
            Limit::At(number) if thousandths => Found::One(Value::Number(Number::milli(number))),
            Limit::At(number) => Found::One(Value::Number(Number::from_i64(number))),
        };
        Some(match fact {
            Fact::TtlSeconds => limit(
                keyward_commands::ttl(*command, *words, self.call.now.0 as i64),
                true,
            ),
            Fact::ValueBytes => limit(keyward_commands::value_bytes(*command, *words), false),
            Fact::KeyCount => limit(keyward_commands::key_count(touched), false),
            Fact::Count => limit(keyward_commands::count(*command, *words), false),
            Fact::BlockingSeconds => limit(keyward_commands::blocking(*command, *words), true),
            Fact::ScriptSha256 => match keyward_commands::script(*command, *words) {
                None => Found::Absent,
                Some(at) => Found::One(Value::Text(self.script.get_or_init(|| {
                    let digest = Sha256::digest(words.word(at));
                    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                    hex.into_bytes()
                }))),
            },
            _ => return None,
        })
    }
}

impl<W: Words + ?Sized> Facts for RequestFacts<'_, W> {
    fn find(&self, key: &keyward_policy::ConditionKey) -> Found<'_> {
        let fact = key.fact();
        if fact.is_of_command()
            && let Some(found) = self.argument(fact)
        {
            return found;
        }
        match (fact, self.words.is_some() && !self.session.complete) {
            (Fact::DatabaseIndex, true) => Found::One(Value::Number(Number::from(u64::from(
                self.call.database_index,
            )))),
            (Fact::ClientName, true) => match self.call.client_name {
                Some(name) => Found::One(Value::Text(name)),
                None => Found::Absent,
            },
            _ => self.session.find(key, self.call.now),
        }
    }

    fn call(&self) -> Option<AclCall<'_>> {
        let of_call = self.words.as_ref()?;
        // How many databases a server has is not known here, so that every number counts.
        let databases = if self.session.complete {
            DEFAULT_DATABASES
        } else {
            u32::MAX
        };
        Some(AclCall {
            command: of_call.command,
            words: &of_call.words,
            also: None,
            db_index: self.call.database_index,
            databases,
        })
    }
}

/// A call that is decided as another command, too, because of what its arguments do: that command
/// has the call's keys, and none of its arguments.
pub(crate) struct DecidedAs<'a> {
    pub(crate) request: &'a dyn Facts,
    pub(crate) command: CommandId,
}

impl Facts for DecidedAs<'_> {
    fn find(&self, key: &keyward_policy::ConditionKey) -> Found<'_> {
        match never_has(self.command, key.fact()) {
            true => Found::Absent,
            false => self.request.find(key),
        }
    }

    fn call(&self) -> Option<AclCall<'_>> {
        let also = Some(self.command.action());
        self.request.call().map(|call| AclCall { also, ..call })
    }
}

/// What is known before a call: the session's facts, and the moment, by whose end what was
/// compiled is no longer valid.
#[derive(Clone, Debug)]
pub(crate) struct EarlyFacts<'a> {
    pub(crate) session: &'a SessionFacts,
    pub(crate) now: UnixMillis,
}

impl Facts for EarlyFacts<'_> {
    fn find(&self, key: &keyward_policy::ConditionKey) -> Found<'_> {
        let fact = key.fact();
        let of_call = matches!(fact, Fact::DatabaseIndex | Fact::ClientName);
        if fact.is_of_command() || (of_call && !self.session.complete) {
            return Found::Later;
        }
        self.session.find(key, self.now)
    }
}

/// Whether no call of a command has this fact, so that a condition on it is known beforehand.
pub(crate) fn never_has(command: CommandId, fact: &Fact) -> bool {
    let argument = fact.argument();
    argument.is_some_and(|argument| !command.can_have(argument))
}

/// What the documents of a decision read of the session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Inputs {
    /// Something that differs between sessions of one principal.
    pub(crate) session: bool,
    /// The number of the selected database.
    pub(crate) database_index: bool,
    /// When an answer may change by time alone.
    pub(crate) until: Option<UnixMillis>,
}

/// Once a second, where the moment is compared as text.
const TEXTUAL_TIME: u64 = 1000;

impl Inputs {
    pub(crate) fn read(&mut self, policy: &Policy, facts: &SessionFacts, now: UnixMillis) {
        for statement in policy.statements() {
            self.database_index |= statement
                .acl
                .as_ref()
                .is_some_and(|user| user.reads_database_index());
            let clauses = statement
                .conditions
                .as_ref()
                .map_or(&[][..], Conditions::clauses);
            for clause in clauses {
                self.key(clause.key.fact());
                self.times(clause, facts, now);
                let mut variables = clause.values().iter().flat_map(|value| value.variables());
                variables
                    .by_ref()
                    .for_each(|key| self.variable(key.fact(), now));
            }
            if let Some(templates) = &statement.templates {
                for key in templates.all().flat_map(|template| template.variables()) {
                    self.variable(key.fact(), now);
                }
            }
        }
    }

    fn key(&mut self, fact: &Fact) {
        self.database_index |= *fact == Fact::DatabaseIndex;
        self.session |= matches!(
            fact,
            Fact::SourceIp
                | Fact::SecureTransport
                | Fact::MultiFactorAuthPresent
                | Fact::MultiFactorAuthAge
                | Fact::TokenIssueTime
                | Fact::TokenAge
                | Fact::SessionTag(_)
                | Fact::RoleSessionName
                | Fact::SourceIdentity
                | Fact::ExternalId
                | Fact::LoginProvider
                | Fact::Token(_)
                | Fact::IssuerToken(_)
                | Fact::Other
        );
    }

    fn variable(&mut self, fact: &Fact, now: UnixMillis) {
        self.key(fact);
        if matches!(
            fact,
            Fact::CurrentTime | Fact::EpochTime | Fact::TokenAge | Fact::MultiFactorAuthAge
        ) {
            self.ends(now.0 + TEXTUAL_TIME);
        }
    }

    fn ends(&mut self, moment: u64) {
        let moment = UnixMillis(moment);
        self.until = Some(self.until.map_or(moment, |until| until.min(moment)));
    }

    /// The moments after now at which a clause may change its answer.
    fn times(&mut self, clause: &Clause, facts: &SessionFacts, now: UnixMillis) {
        let since = match clause.key.fact() {
            Fact::CurrentTime | Fact::EpochTime => 0,
            Fact::TokenAge => match facts.issued {
                Some(issued) => issued.0 as i64,
                None => return,
            },
            Fact::MultiFactorAuthAge => match facts.mfa {
                Some(given) => given.0 as i64,
                None => return,
            },
            _ => return,
        };
        if clause.operator == Operator::Null || facts.is_simulated() {
            return;
        }
        for boundary in clause.boundaries() {
            let Some(boundary) = boundary else {
                self.ends(now.0 + TEXTUAL_TIME);
                continue;
            };
            // At it, just after it, and when whole seconds are counted, a second after it.
            for later in [0, 1, 1000] {
                let moment = since.saturating_add(boundary).saturating_add(later);
                if let Ok(moment) = u64::try_from(moment)
                    && moment > now.0
                {
                    self.ends(moment);
                }
            }
        }
    }
}
