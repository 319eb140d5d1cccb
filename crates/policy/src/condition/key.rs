//! The names by which conditions and variables ask about a request.

use std::borrow::Cow;
use std::fmt;

use keyward_commands::Argument;

use crate::Dialect;

/// What a condition key asks for, whatever the dialect calls it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// Address of the client.
    SourceIp,
    /// Whether the connection is encrypted.
    SecureTransport,
    /// The name that the client gave itself. Identifies nobody.
    ClientName,
    /// The moment of the request.
    CurrentTime,
    /// The same in seconds since 1970.
    EpochTime,
    /// Whether the session began with a second factor.
    MultiFactorAuthPresent,
    /// Seconds since the second factor was given.
    MultiFactorAuthAge,
    /// When the session's temporary credentials were issued.
    TokenIssueTime,
    /// Seconds since then.
    TokenAge,
    /// Full path of the principal.
    PrincipalPath,
    /// Its id: the last segment of the path.
    PrincipalId,
    /// What people call it.
    PrincipalName,
    /// Its kind.
    PrincipalType,
    /// Id of the organisation that it belongs to.
    PrincipalOrganisation,
    /// Its name in a vendor's form.
    PrincipalArn,
    /// The vendor's number of its organisation.
    PrincipalAccount,
    /// The vendor's unique id of it.
    UserId,
    /// The vendor's name of a user.
    Username,
    /// A tag of the principal.
    PrincipalTag(Box<str>),
    /// A tag of the resource.
    ResourceTag(Box<str>),
    /// A tag of the session.
    SessionTag(Box<str>),
    /// A tag that the request gives.
    RequestTag(Box<str>),
    /// Names of the tags that the request gives.
    TagKeys,
    /// Tags of the resource as `key&value`.
    ResourceTagPairs,
    /// Tags that the request gives, as `key&value`.
    RequestTagPairs,
    /// Full path of the resource.
    ResourcePath,
    /// Its id.
    ResourceId,
    /// Id of the organisation that it belongs to.
    ResourceOrganisation,
    /// The vendor's number of the resource's organisation.
    ResourceAccount,
    /// Keys of the command.
    Key,
    /// Keys that it reads.
    ReadKey,
    /// Keys that it writes.
    WriteKey,
    /// Channels of the command.
    Channel,
    /// Number of the selected database.
    DatabaseIndex,
    /// Seconds until what the command writes expires.
    TtlSeconds,
    /// Bytes of the largest value that it writes.
    ValueBytes,
    /// How many keys it names.
    KeyCount,
    /// How many elements it asks for.
    Count,
    /// Seconds that it may wait.
    BlockingSeconds,
    /// SHA-256 of the script that it runs, in lower-case hexadecimal.
    ScriptSha256,
    /// What a caller from another organisation was given to prove whom it works for.
    ExternalId,
    /// The name that a role session was given.
    RoleSessionName,
    /// Who is behind a role session, whatever the chain of roles.
    SourceIdentity,
    /// What signed a person in, or vouched for a program: path of the provider.
    LoginProvider,
    /// A claim of a token, as `claim` or `outer.inner`.
    Token(Box<str>),
    /// A claim of a token of one issuer, as `<host and path of the issuer>:<claim>`.
    IssuerToken(Box<str>),
    /// Known by its name alone.
    Other,
}

/// What the values of a native key are, which decides what operators make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// Text.
    Text,
    /// A number.
    Number,
    /// A moment.
    Time,
    /// An address.
    Address,
    /// A truth value.
    Boolean,
}

impl Fact {
    /// Whether its values are ARNs, so that the operators of ARNs compare it.
    pub fn is_arn(&self) -> bool {
        matches!(self, Self::PrincipalArn)
    }

    /// What its values are.
    pub fn kind(&self) -> FactKind {
        match self {
            Self::SourceIp => FactKind::Address,
            Self::SecureTransport | Self::MultiFactorAuthPresent => FactKind::Boolean,
            Self::CurrentTime | Self::TokenIssueTime => FactKind::Time,
            Self::EpochTime
            | Self::MultiFactorAuthAge
            | Self::TokenAge
            | Self::DatabaseIndex
            | Self::TtlSeconds
            | Self::ValueBytes
            | Self::KeyCount
            | Self::Count
            | Self::BlockingSeconds => FactKind::Number,
            _ => FactKind::Text,
        }
    }

    /// The argument of a command that tells it.
    pub fn argument(&self) -> Option<Argument> {
        Some(match self {
            Self::TtlSeconds => Argument::Ttl,
            Self::ValueBytes => Argument::ValueBytes,
            Self::KeyCount => Argument::KeyCount,
            Self::Count => Argument::Count,
            Self::BlockingSeconds => Argument::Blocking,
            Self::ScriptSha256 => Argument::Script,
            _ => return None,
        })
    }

    /// Whether a command's own words decide it: keys, channels and arguments.
    pub fn is_of_command(&self) -> bool {
        self.is_of_touch() || self.argument().is_some()
    }

    /// Whether it is about keys or channels.
    pub fn is_of_touch(&self) -> bool {
        matches!(
            self,
            Self::Key | Self::ReadKey | Self::WriteKey | Self::Channel
        )
    }
}

/// The names of the native dialect. Those that end in `/` are followed by the name of a tag.
pub(crate) const NATIVE_NAMES: &[(&str, Fact)] = &[
    ("keyward:SourceIp", Fact::SourceIp),
    ("keyward:SecureTransport", Fact::SecureTransport),
    ("keyward:ClientName", Fact::ClientName),
    ("keyward:CurrentTime", Fact::CurrentTime),
    ("keyward:EpochTime", Fact::EpochTime),
    (
        "keyward:MultiFactorAuthPresent",
        Fact::MultiFactorAuthPresent,
    ),
    ("keyward:MultiFactorAuthAge", Fact::MultiFactorAuthAge),
    ("keyward:TokenIssueTime", Fact::TokenIssueTime),
    ("keyward:TokenAge", Fact::TokenAge),
    ("keyward:PrincipalPath", Fact::PrincipalPath),
    ("keyward:PrincipalId", Fact::PrincipalId),
    ("keyward:PrincipalName", Fact::PrincipalName),
    ("keyward:PrincipalType", Fact::PrincipalType),
    ("keyward:PrincipalOrganisation", Fact::PrincipalOrganisation),
    ("keyward:PrincipalArn", Fact::PrincipalArn),
    ("keyward:PrincipalAccount", Fact::PrincipalAccount),
    ("keyward:ResourcePath", Fact::ResourcePath),
    ("keyward:ResourceId", Fact::ResourceId),
    ("keyward:ResourceOrganisation", Fact::ResourceOrganisation),
    ("keyward:ResourceAccount", Fact::ResourceAccount),
    ("keyward:TagKeys", Fact::TagKeys),
    ("keyward:ExternalId", Fact::ExternalId),
    ("keyward:RoleSessionName", Fact::RoleSessionName),
    ("keyward:SourceIdentity", Fact::SourceIdentity),
    ("keyward:LoginProvider", Fact::LoginProvider),
    ("kvdb:Key", Fact::Key),
    ("kvdb:ReadKey", Fact::ReadKey),
    ("kvdb:WriteKey", Fact::WriteKey),
    ("kvdb:Channel", Fact::Channel),
    ("kvdb:DatabaseIndex", Fact::DatabaseIndex),
    ("kvdb:TtlSeconds", Fact::TtlSeconds),
    ("kvdb:ValueBytes", Fact::ValueBytes),
    ("kvdb:KeyCount", Fact::KeyCount),
    ("kvdb:Count", Fact::Count),
    ("kvdb:BlockingSeconds", Fact::BlockingSeconds),
    ("kvdb:ScriptSha256", Fact::ScriptSha256),
];

/// What is before the name of a tag, and what that makes of it.
type TagName = (&'static str, fn(Box<str>) -> Fact);

/// What is before the name of a tag in the native dialect.
pub(crate) const NATIVE_TAGS: &[TagName] = &[
    ("keyward:PrincipalTag/", Fact::PrincipalTag),
    ("keyward:ResourceTag/", Fact::ResourceTag),
    ("keyward:SessionTag/", Fact::SessionTag),
    ("keyward:RequestTag/", Fact::RequestTag),
    ("keyward:Token/", Fact::Token),
];

const AWS_NAMES: &[(&str, Fact)] = &[
    ("aws:sourceip", Fact::SourceIp),
    ("aws:securetransport", Fact::SecureTransport),
    ("aws:currenttime", Fact::CurrentTime),
    ("aws:epochtime", Fact::EpochTime),
    ("aws:multifactorauthpresent", Fact::MultiFactorAuthPresent),
    ("aws:multifactorauthage", Fact::MultiFactorAuthAge),
    ("aws:tokenissuetime", Fact::TokenIssueTime),
    ("aws:principalarn", Fact::PrincipalArn),
    ("aws:principalaccount", Fact::PrincipalAccount),
    ("aws:principaltype", Fact::PrincipalType),
    ("aws:userid", Fact::UserId),
    ("aws:username", Fact::Username),
    ("aws:resourceaccount", Fact::ResourceAccount),
    ("aws:tagkeys", Fact::TagKeys),
    ("aws:useragent", Fact::ClientName),
    ("aws:sourceidentity", Fact::SourceIdentity),
    ("sts:sourceidentity", Fact::SourceIdentity),
    ("sts:externalid", Fact::ExternalId),
    ("sts:rolesessionname", Fact::RoleSessionName),
];

const AWS_TAGS: &[TagName] = &[
    ("aws:principaltag/", Fact::PrincipalTag),
    ("aws:resourcetag/", Fact::ResourceTag),
    ("aws:requesttag/", Fact::RequestTag),
];

const TENCENT_NAMES: &[(&str, Fact)] = &[
    ("qcs:ip", Fact::SourceIp),
    ("qcs:current_time", Fact::CurrentTime),
    ("qcs:resource_tag", Fact::ResourceTagPairs),
    ("qcs:request_tag", Fact::RequestTagPairs),
    ("qcs:mfa", Fact::MultiFactorAuthPresent),
    ("mfa", Fact::MultiFactorAuthPresent),
    ("qcs:uin", Fact::UserId),
    ("uin", Fact::UserId),
    ("owner_uin", Fact::PrincipalAccount),
];

const TENCENT_TAGS: &[TagName] = &[("qcs:tag/", Fact::ResourceTag), ("oidc:", Fact::Token)];

const ALIBABA_NAMES: &[(&str, Fact)] = &[
    ("acs:sourceip", Fact::SourceIp),
    ("acs:securetransport", Fact::SecureTransport),
    ("acs:currenttime", Fact::CurrentTime),
    ("acs:mfapresent", Fact::MultiFactorAuthPresent),
    ("acs:principalarn", Fact::PrincipalArn),
    ("sts:ExternalId", Fact::ExternalId),
];

const ALIBABA_TAGS: &[TagName] = &[
    ("acs:resourcetag/", Fact::ResourceTag),
    ("acs:requesttag/", Fact::RequestTag),
    ("oidc:", Fact::Token),
];

/// AWS's keys for all services that have lists of values.
const AWS_LISTS: &[&str] = &[
    "aws:calledvia",
    "aws:principalorgpaths",
    "aws:principalservicenameslist",
    "aws:resourceorgpaths",
    "aws:sourceorgpaths",
    "aws:tagkeys",
    "sts:transitivetagkeys",
];

/// The name of something that a request says, in one dialect.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ConditionKey {
    dialect: Dialect,
    name: Box<str>,
    /// The name as it is compared, where it differs.
    folded: Option<Box<str>>,
    fact: Fact,
}

impl ConditionKey {
    /// Whether it is known to be of those that never have several values in a request.
    pub(crate) fn has_one_value(&self) -> bool {
        let of_all_services = ["aws:", "sts:", "iam:", "elasticache:", "kvdb:"];
        let name = self.folded();
        self.dialect != Dialect::Aws
            || of_all_services.iter().any(|start| name.starts_with(start))
                && !AWS_LISTS.contains(&name)
    }

    /// A name in a dialect. Names of Keyward's own, `kvdb:…`, mean the same in every dialect.
    pub fn new(dialect: Dialect, name: &str) -> Self {
        let folded = fold(dialect, name);
        let fact = own_fact(dialect, &folded).unwrap_or_else(|| match dialect {
            Dialect::Native | Dialect::Acl => by_name(&folded, NATIVE_NAMES, NATIVE_TAGS),
            Dialect::Aws => match by_name(&folded, AWS_NAMES, AWS_TAGS) {
                Fact::Other if is_of_issuer(&folded) => Fact::IssuerToken(folded.as_ref().into()),
                fact => fact,
            },
            Dialect::Tencent => by_name(&folded, TENCENT_NAMES, TENCENT_TAGS),
            Dialect::Alibaba => by_name(&folded, ALIBABA_NAMES, ALIBABA_TAGS),
        });
        let folded = match folded {
            Cow::Owned(folded) => Some(folded.into()),
            Cow::Borrowed(_) => None,
        };
        Self {
            dialect,
            name: name.into(),
            folded,
            fact,
        }
    }

    /// As it was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The dialect of the document that it stands in.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// As the dialect compares it.
    pub fn folded(&self) -> &str {
        self.folded.as_deref().unwrap_or(&self.name)
    }

    /// What it asks for.
    pub fn fact(&self) -> &Fact {
        &self.fact
    }

    /// Every name of the native dialect; those that end in `/` are followed by the name of a tag.
    pub fn native_names() -> impl Iterator<Item = &'static str> {
        let names = NATIVE_NAMES.iter().map(|(name, _)| *name);
        names.chain(NATIVE_TAGS.iter().map(|(name, _)| *name))
    }
}

impl fmt::Debug for ConditionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.dialect)
    }
}

/// Names as they are compared: AWS without regard to letter case, Alibaba so for its own prefix,
/// the others exactly.
fn fold(dialect: Dialect, name: &str) -> Cow<'_, str> {
    let ignores_case = match dialect {
        Dialect::Aws => true,
        Dialect::Alibaba => name
            .get(..4)
            .is_some_and(|prefix| prefix.eq_ignore_ascii_case("acs:")),
        _ => false,
    };
    let lower = || name.to_lowercase();
    match ignores_case && name.chars().any(|c| !c.is_ascii_lowercase()) {
        true if lower() != name => Cow::Owned(lower()),
        _ => Cow::Borrowed(name),
    }
}

/// `kvdb:…` in a vendor's document.
fn own_fact(dialect: Dialect, folded: &str) -> Option<Fact> {
    if dialect == Dialect::Native {
        return None;
    }
    let same = |name: &str| match dialect {
        Dialect::Aws => name.eq_ignore_ascii_case(folded),
        _ => name == folded,
    };
    let own = NATIVE_NAMES
        .iter()
        .filter(|(name, _)| name.starts_with("kvdb:"));
    own.clone()
        .find(|(name, _)| same(name))
        .map(|(_, fact)| fact.clone())
}

/// Whether an AWS name is a claim of an issuer: `token.actions.githubusercontent.com:sub`.
fn is_of_issuer(folded: &str) -> bool {
    let parts = folded.rsplit_once(':');
    parts.is_some_and(|(issuer, claim)| issuer.contains('.') && !claim.is_empty())
}

fn by_name(folded: &str, names: &[(&str, Fact)], tags: &[TagName]) -> Fact {
    if let Some((_, fact)) = names.iter().find(|(name, _)| *name == folded) {
        return fact.clone();
    }
    let tag = |(prefix, make): &TagName| {
        let tag = folded.strip_prefix(prefix)?;
        (!tag.is_empty()).then(|| make(tag.into()))
    };
    tags.iter().find_map(tag).unwrap_or(Fact::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_dialect() {
        let cases = [
            (Dialect::Native, "keyward:SourceIp", Fact::SourceIp),
            (Dialect::Native, "keyward:sourceip", Fact::Other),
            (Dialect::Native, "kvdb:Key", Fact::Key),
            (
                Dialect::Native,
                "keyward:PrincipalTag/Team",
                Fact::PrincipalTag("Team".into()),
            ),
            (Dialect::Native, "keyward:PrincipalTag/", Fact::Other),
            (Dialect::Aws, "AWS:sourceIP", Fact::SourceIp),
            (
                Dialect::Aws,
                "aws:PrincipalTag/Team",
                Fact::PrincipalTag("team".into()),
            ),
            (Dialect::Aws, "KVDB:key", Fact::Key),
            (Dialect::Aws, "sts:ExternalId", Fact::ExternalId),
            (
                Dialect::Aws,
                "Token.Actions.githubusercontent.com:sub",
                Fact::IssuerToken("token.actions.githubusercontent.com:sub".into()),
            ),
            (Dialect::Alibaba, "oidc:sub", Fact::Token("sub".into())),
            (
                Dialect::Native,
                "keyward:Token/realm_access.roles",
                Fact::Token("realm_access.roles".into()),
            ),
            (Dialect::Aws, "s3:prefix", Fact::Other),
            (Dialect::Tencent, "qcs:ip", Fact::SourceIp),
            (Dialect::Tencent, "QCS:ip", Fact::Other),
            (Dialect::Tencent, "kvdb:Key", Fact::Key),
            (Dialect::Alibaba, "ACS:SourceIp", Fact::SourceIp),
            (Dialect::Alibaba, "kvstore:ResourceTag", Fact::Other),
        ];
        for (dialect, name, fact) in cases {
            let key = ConditionKey::new(dialect, name);
            assert_eq!(*key.fact(), fact, "{key:?}");
            assert_eq!(key.name(), name);
        }
        let folded = |name| ConditionKey::new(Dialect::Aws, name).folded().to_owned();
        assert_eq!(folded("S3:Prefix"), "s3:prefix");
    }
}
