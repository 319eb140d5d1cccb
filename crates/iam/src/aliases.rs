//! What an organisation is called in the vendors' terms: which account its documents of AWS, Tencent
//! and Alibaba mean when they mean the organisation, and where its databases are.

use keyward_policy::{DatabaseKind, Dialect};
use serde::{Deserialize, Serialize};

use crate::directory::Directory;
use crate::ids::IdentityIx;

/// The names that were set; what is left out has its default.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VendorAliases {
    /// To AWS.
    #[serde(default, skip_serializing_if = "AwsAlias::is_default")]
    pub aws: AwsAlias,
    /// To Tencent.
    #[serde(default, skip_serializing_if = "TencentAlias::is_default")]
    pub tencent: TencentAlias,
    /// To Alibaba.
    #[serde(default, skip_serializing_if = "AlibabaAlias::is_default")]
    pub alibaba: AlibabaAlias,
}

/// What AWS calls an organisation.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsAlias {
    /// Twelve digits; the organisation's own number if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Where its databases are; `us-east-1` if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What kind of thing its databases are: the type in their ARNs.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "kind_text")]
    pub kind: Option<DatabaseKind>,
}

/// What Tencent calls an organisation.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TencentAlias {
    /// The main account; the organisation's own number if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uin: Option<String>,
    /// Where its databases are; `ap-guangzhou` if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// What Alibaba calls an organisation.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlibabaAlias {
    /// The account's number; the organisation's own if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Where its databases are; `cn-hangzhou` if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

impl AwsAlias {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl TencentAlias {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl AlibabaAlias {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A kind of database as text: the type in its ARN.
mod kind_text {
    use keyward_policy::DatabaseKind;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        kind: &Option<DatabaseKind>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match kind {
            Some(kind) => serializer.serialize_some(kind.type_word()),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<DatabaseKind>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let kind = DatabaseKind::by_type(&text);
        kind.map(Some).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "unknown kind `{text}`: `replicationgroup`, `serverlesscache` or `cluster`"
            ))
        })
    }
}

/// Where the things of an organisation are, in the vendor's terms.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VendorAddress {
    /// Number of the account.
    pub account: String,
    /// Region of its databases.
    pub region: String,
    /// Kind of its databases; AWS alone has several.
    pub kind: DatabaseKind,
}

/// Why names cannot be an organisation's.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AliasError {
    /// Not an account number of this vendor.
    #[error("`{found}` is no account number of {vendor}: {expected}")]
    Account {
        /// The vendor.
        vendor: &'static str,
        /// What was given.
        found: String,
        /// What it looks like.
        expected: &'static str,
    },
    /// Not a region.
    #[error("`{found}` is no region: 1 to 32 of `a-z`, `0-9` and `-`")]
    Region {
        /// What was given.
        found: String,
    },
}

fn check_account(
    vendor: &'static str,
    account: Option<&String>,
    lengths: std::ops::RangeInclusive<usize>,
    expected: &'static str,
) -> Result<(), AliasError> {
    let fits =
        |text: &&String| lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    match account.filter(|text| !fits(text)) {
        None => Ok(()),
        Some(text) => Err(AliasError::Account {
            vendor,
            found: text.clone(),
            expected,
        }),
    }
}

impl VendorAliases {
    /// Whether nothing was set.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Every account number that was set.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &String> {
        let all = [&self.aws.account, &self.tencent.uin, &self.alibaba.account];
        all.into_iter().flatten()
    }

    pub(crate) fn check(&self) -> Result<(), AliasError> {
        check_account("AWS", self.aws.account.as_ref(), 12..=12, "twelve digits")?;
        check_account(
            "Tencent",
            self.tencent.uin.as_ref(),
            5..=20,
            "5 to 20 digits",
        )?;
        let alibaba = self.alibaba.account.as_ref();
        check_account("Alibaba", alibaba, 5..=20, "5 to 20 digits")?;
        let regions = [&self.aws.region, &self.tencent.region, &self.alibaba.region];
        let is_region = |text: &&String| {
            let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            (1..=32).contains(&text.len()) && text.bytes().all(fits)
        };
        match regions.into_iter().flatten().find(|text| !is_region(text)) {
            None => Ok(()),
            Some(found) => Err(AliasError::Region {
                found: found.clone(),
            }),
        }
    }

    /// Where an organisation with this account number and these names is. The dialects that are
    /// no vendor's have the defaults of AWS.
    #[must_use]
    pub fn address(&self, dialect: Dialect, own: &str) -> VendorAddress {
        let (account, region, default) = match dialect {
            Dialect::Tencent => (&self.tencent.uin, &self.tencent.region, "ap-guangzhou"),
            Dialect::Alibaba => (&self.alibaba.account, &self.alibaba.region, "cn-hangzhou"),
            Dialect::Aws | Dialect::Native | Dialect::Acl => {
                (&self.aws.account, &self.aws.region, "us-east-1")
            }
        };
        VendorAddress {
            account: account.as_deref().unwrap_or(own).to_owned(),
            region: region.as_deref().unwrap_or(default).to_owned(),
            kind: self.aws.kind.unwrap_or_default(),
        }
    }
}

impl Directory {
    /// Where the things of an organisation are, as documents of an organisation mean it.
    ///
    /// An organisation's own names count in its own documents alone: to the documents of others
    /// its account is the number that it was given, so that nobody takes the name of somebody else
    /// there.
    #[must_use]
    pub fn vendor_address(
        &self,
        dialect: Dialect,
        organisation: IdentityIx,
        documents_of: Option<IdentityIx>,
    ) -> Option<VendorAddress> {
        let details = self.identity(organisation)?.organisation_details()?;
        let own = details.aliases.as_deref();
        let aliases = match own.filter(|_| documents_of == Some(organisation)) {
            Some(aliases) => aliases,
            None => &VendorAliases::default(),
        };
        Some(aliases.address(dialect, &details.account))
    }
}
