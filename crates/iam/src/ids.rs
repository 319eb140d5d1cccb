//! Names of things: slugs, kinds and full paths.

use std::fmt;
use std::str::FromStr;

/// Words that no entity may have as its id, because they mean something in user names or policies.
pub const RESERVED_IDS: [&str; 4] = ["default", "oidc", "system", "unauthenticated"];

/// Longest id, in bytes.
pub const MAX_ID_LEN: usize = 64;

/// Id of an entity, unique in its organisation for ever: 1 to 64 bytes of `[a-z0-9-]`, neither
/// beginning nor ending with `-`, and none of [`RESERVED_IDS`].
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Slug(Box<str>); // INVARIANT: holds only what `from_str` accepted

/// Why a text is no [`Slug`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SlugError {
    /// A byte outside `[a-z0-9-]`.
    #[error("id `{text}` has a character at byte {at} that is not one of `a-z`, `0-9`, `-`")]
    Byte {
        /// The refused text.
        text: String,
        /// Offset of the first such byte.
        at: usize,
    },
    /// Empty, or longer than [`MAX_ID_LEN`].
    #[error("an id has 1 to 64 characters, found {found}")]
    Length {
        /// Length in bytes.
        found: usize,
    },
    /// A hyphen at an end.
    #[error("id `{text}` begins or ends with `-`")]
    Hyphen {
        /// The refused text.
        text: String,
    },
    /// One of [`RESERVED_IDS`].
    #[error("id `{text}` is reserved; choose another")]
    Reserved {
        /// The refused text.
        text: String,
    },
}

impl Slug {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = SlugError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !(1..=MAX_ID_LEN).contains(&text.len()) {
            return Err(SlugError::Length { found: text.len() });
        }
        let is_slug_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if let Some(at) = text.bytes().position(|b| !is_slug_byte(b)) {
            return Err(SlugError::Byte {
                text: text.to_owned(),
                at,
            });
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(SlugError::Hyphen {
                text: text.to_owned(),
            });
        }
        if RESERVED_IDS.contains(&text) {
            return Err(SlugError::Reserved {
                text: text.to_owned(),
            });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an entity is; its text is the type segment of paths.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// `org/<id>`
    Organisation,
    /// `user/<id>`
    User,
    /// `org/<organisation>/programmatic_identity/<id>`
    ProgrammaticIdentity,
    /// `org/<organisation>/group/<id>`
    Group,
    /// `org/<organisation>/programmatic_identity/<id>/access_key/<key id>`
    AccessKey,
    /// `org/<organisation>/kvdb/<id>`
    Database,
    /// `org/<organisation>/kvdb/<database>/snapshot/<id>`
    Snapshot,
    /// `org/<organisation>/policy/<id>`, or `policy/system/<id>`
    Policy,
    /// `org/<organisation>/trust/<id>`
    Trust,
    /// `org/<organisation>/role/<id>`
    Role,
    /// `org/<organisation>/org_user/<id>`
    OrganisationUser,
    /// `org/<organisation>/identity_provider/<id>`
    IdentityProvider,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Organisation,
        Self::User,
        Self::ProgrammaticIdentity,
        Self::Group,
        Self::AccessKey,
        Self::Database,
        Self::Snapshot,
        Self::Policy,
        Self::Trust,
        Self::Role,
        Self::OrganisationUser,
        Self::IdentityProvider,
    ];

    /// The kinds that are identities, an organisation before what lies in it.
    pub const IDENTITIES: [Self; 7] = [
        Self::User,
        Self::Organisation,
        Self::ProgrammaticIdentity,
        Self::Group,
        Self::Role,
        Self::OrganisationUser,
        Self::IdentityProvider,
    ];

    /// The type segment of paths.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organisation => "org",
            Self::User => "user",
            Self::ProgrammaticIdentity => "programmatic_identity",
            Self::Group => "group",
            Self::AccessKey => "access_key",
            Self::Database => "kvdb",
            Self::Snapshot => "snapshot",
            Self::Policy => "policy",
            Self::Trust => "trust",
            Self::Role => "role",
            Self::OrganisationUser => "org_user",
            Self::IdentityProvider => "identity_provider",
        }
    }

    /// The kind with this type segment.
    #[must_use]
    pub fn from_segment(segment: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == segment)
    }
}

/// Where a path points: its kind, its organisation where it has one, and the ids in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PathParts<'a> {
    /// What the path names.
    pub kind: Kind,
    /// The organisation's id; for `org/<id>` the id itself, for users none.
    pub organisation: Option<&'a str>,
    /// The id of the thing; for an access key the key id.
    pub id: &'a str,
    /// Id of the identity that an access key belongs to, or of the database that a snapshot is of.
    pub parent: Option<&'a str>,
}

impl<'a> PathParts<'a> {
    /// Takes a full path apart; `None` if it has no known form. Ids are not checked.
    #[must_use]
    pub fn of(path: &'a str) -> Option<Self> {
        let mut segments = path.split('/');
        let mut next = || segments.next().filter(|s| !s.is_empty());
        let (first, id) = (next()?, next()?);
        let parts = match first {
            "user" => Self {
                kind: Kind::User,
                organisation: None,
                id,
                parent: None,
            },
            "policy" if id == "system" => Self {
                kind: Kind::Policy,
                organisation: None,
                id: next()?,
                parent: None,
            },
            "org" => match next() {
                None => Self {
                    kind: Kind::Organisation,
                    organisation: Some(id),
                    id,
                    parent: None,
                },
                Some(segment) => {
                    let kind = Kind::from_segment(segment)?;
                    let inner = next()?;
                    match (kind, next()) {
                        (Kind::Organisation | Kind::User | Kind::AccessKey | Kind::Snapshot, _) => {
                            return None;
                        }
                        (Kind::ProgrammaticIdentity, Some("access_key")) => Self {
                            kind: Kind::AccessKey,
                            organisation: Some(id),
                            id: next()?,
                            parent: Some(inner),
                        },
                        (Kind::Database, Some("snapshot")) => Self {
                            kind: Kind::Snapshot,
                            organisation: Some(id),
                            id: next()?,
                            parent: Some(inner),
                        },
                        (_, Some(_)) => return None,
                        (kind, None) => Self {
                            kind,
                            organisation: Some(id),
                            id: inner,
                            parent: None,
                        },
                    }
                }
            },
            _ => return None,
        };
        segments.next().is_none().then_some(parts)
    }
}

/// The full path of a reference written in the shorthand of an organisation: `kvdb/x` becomes
/// `org/<organisation>/kvdb/x`; `org/…`, `user/…`, `policy/system/…` and `unauthenticated` are global
/// already.
#[must_use]
pub fn full_path(reference: &str, organisation: &str) -> String {
    let global = reference.starts_with("org/")
        || reference.starts_with("user/")
        || reference.starts_with(crate::system::SYSTEM_POLICIES)
        || reference == "unauthenticated";
    if global {
        reference.to_owned()
    } else {
        format!("org/{organisation}/{reference}")
    }
}

/// Milliseconds since the Unix epoch.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Eq,
    Hash,
    Ord,
    PartialEq,
    PartialOrd,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

macro_rules! dense_ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        /// Dense, and never reused: what a deleted entity had stays empty.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(pub(crate) u32);

        impl $name {
            /// Position in the directory's table.
            #[must_use]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

dense_ids! {
    /// An identity: organisation, user, programmatic identity, group, role, organisation user or
    /// identity provider.
    IdentityIx
    /// A database.
    DatabaseIx
    /// A snapshot of a database.
    SnapshotIx
    /// A trust.
    TrustIx
    /// An access key.
    AccessKeyIx
    /// A named policy.
    PolicyIx
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        let cases = [
            ("orders", true),
            ("a", true),
            ("a-1", true),
            ("", false),
            ("a:b", false),
            ("-a", false),
            ("a-", false),
            ("A", false),
            ("default", false),
            ("oidc", false),
        ];
        for (text, accepted) in cases {
            assert_eq!(text.parse::<Slug>().is_ok(), accepted, "{text:?}");
        }
        assert!("x".repeat(64).parse::<Slug>().is_ok());
        assert!("x".repeat(65).parse::<Slug>().is_err());
    }

    #[test]
    fn paths() {
        let cases = [
            (
                "org/acme",
                Some((Kind::Organisation, Some("acme"), "acme", None)),
            ),
            ("user/u-1", Some((Kind::User, None, "u-1", None))),
            (
                "org/acme/kvdb/x",
                Some((Kind::Database, Some("acme"), "x", None)),
            ),
            (
                "org/acme/programmatic_identity/ci/access_key/KWAK1",
                Some((Kind::AccessKey, Some("acme"), "KWAK1", Some("ci"))),
            ),
            (
                "org/acme/kvdb/x/snapshot/s",
                Some((Kind::Snapshot, Some("acme"), "s", Some("x"))),
            ),
            ("org/acme/kvdb/x/snapshot", None),
            ("org/acme/kvdb/x/snapshot/s/t", None),
            ("org/acme/snapshot/s", None),
            ("org/acme/role/x/snapshot/s", None),
            ("kvdb/x", None),
            ("org/acme/kvdb", None),
            ("org/acme/kvdb/x/y", None),
            ("org/acme/kvdb/x/y/z", None),
            ("org/acme/access_key/x", None),
            ("org//kvdb/x", None),
            ("user/u-1/x", None),
            (
                "policy/system/kvdb-read-only",
                Some((Kind::Policy, None, "kvdb-read-only", None)),
            ),
            ("policy/system", None),
            ("policy/x/y", None),
            ("org/acme/policy/system/x", None),
        ];
        for (path, expected) in cases {
            let found = PathParts::of(path).map(|p| (p.kind, p.organisation, p.id, p.parent));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn shorthand() {
        assert_eq!(full_path("kvdb/x", "acme"), "org/acme/kvdb/x");
        assert_eq!(full_path("org/b/kvdb/x", "acme"), "org/b/kvdb/x");
        assert_eq!(full_path("user/u", "acme"), "user/u");
        let system = "policy/system/kvdb-read-only";
        assert_eq!(full_path(system, "acme"), system);
        assert_eq!(
            full_path("policy/systems", "acme"),
            "org/acme/policy/systems"
        );
    }
}
