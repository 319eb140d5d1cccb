//! Sessions of temporary credentials: what they say of themselves, and what they hold on to.

use std::collections::BTreeMap;

use keyward_policy::Dialect;
use serde::{Deserialize, Serialize};

use crate::documents::PolicyText;
use crate::ids::UnixMillis;
use crate::providers::CertificateNameKind;

/// Everything that a session of temporary credentials is, as its signed token says it. Nothing in
/// it is looked up again but what it came from, so paths stand as text.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TemporarySession {
    /// `KWTK…`, which is also the id of its credentials.
    pub id: String,
    /// Path of the role, or of the identity whose session it is.
    pub principal: String,
    /// What whoever opened it called it.
    pub name: String,
    /// When it began.
    pub issued: UnixMillis,
    /// When it ends at the latest.
    pub expires: UnixMillis,
    /// Revision of the directory by which it was opened.
    pub revision: u64,
    /// Path of the assumable trust that it was assumed through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// What it is limited to: one must allow, none deny. Empty: no limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<SessionPolicy>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Keys of the tags that sessions opened with this one inherit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transitive_tags: Vec<String>,
    /// Who is behind it, whatever the chain of roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<String>,
    /// When a second factor was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa: Option<UnixMillis>,
    /// Everything that it came from, nearest first. It holds while all of it does.
    pub origins: Vec<Origin>,
}

/// One thing that a session came from.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Path of whoever opened the session.
    pub principal: String,
    /// Id of the access key that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<String>,
    /// Id of the login session that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// Id of the session of temporary credentials that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Path of the assumable trust that let it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// Issuer and subject of the token that vouched for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<(String, String)>,
    /// Id of that token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// When its own temporary credentials were issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<UnixMillis>,
    /// The client certificate that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<OriginCertificate>,
}

/// A client certificate by which a session of temporary credentials was opened.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct OriginCertificate {
    /// Path of the identity provider whose authority vouched for it.
    pub provider: String,
    /// SHA-256 of the authority's certificate as it was then, in lower-case hexadecimal.
    pub authority: String,
    /// The name that counted.
    pub name: (CertificateNameKind, String),
    /// When the certificate ends.
    pub ends: UnixMillis,
    /// SHA-256 of the client's certificate, in lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// A limit of one session.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionPolicy {
    /// Written in place.
    Text(PolicyText),
    /// Path of a named policy of the session's organisation or of the system; its default version
    /// counts.
    Named(String),
}

/// What a token says of who presents it, after its signature was verified.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TokenFacts {
    /// Who issued it, as it says.
    pub issuer: String,
    /// Of whom it speaks.
    pub subject: String,
    /// For whom it is meant.
    pub audiences: Vec<String>,
    /// Its claims by path (`realm_access.roles`), numbers as text, arrays as several values.
    pub claims: BTreeMap<String, Vec<String>>,
    /// Its id, if it has one.
    pub token_id: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct WrittenText {
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dialect: Option<String>,
}

impl Serialize for PolicyText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = WrittenText {
            text: self.text.clone(),
            dialect: self.dialect.map(|dialect| dialect.name().to_owned()),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PolicyText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WrittenText { text, dialect } = WrittenText::deserialize(deserializer)?;
        let unknown = || serde::de::Error::custom("a dialect that this version does not know");
        let dialect = match dialect {
            None => None,
            Some(name) => Some(Dialect::by_name(&name).ok_or_else(unknown)?),
        };
        Ok(Self { text, dialect })
    }
}
