//! Whom a statement of a resource policy speaks of.

use crate::finding::quoted;
use crate::nearest::suggestion;
use crate::path::is_slug;

/// Types that can act, and so can be named.
const IDENTITY_TYPES: &[&str] = &[
    "programmatic_identity",
    "group",
    "role",
    "org_user",
    "identity_provider",
    "user",
    "org",
];

/// An identity in a resource policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityPattern {
    /// One identity by its full path, such as `org/acme/group/ops` or `org/acme`.
    Path(Box<str>),
    /// `*`: every authenticated principal, of any organisation, by itself. In a Deny also
    /// whoever is not authenticated.
    Everyone,
    /// Connections without an identity.
    Unauthenticated,
}

/// Why an identity is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityPatternError {
    /// A wildcard that is not the lone `*`.
    #[error(
        "wildcard in {found}: name one identity, an organisation (`org/<id>`), or `*` for every \
         authenticated principal"
    )]
    Wildcard {
        /// The text, quoted.
        found: String,
    },
    /// Something that cannot act.
    #[error("{found} is no identity{suggestion}")]
    NoIdentity {
        /// The text, quoted.
        found: String,
        /// What would be one.
        suggestion: String,
    },
    /// An id that no entity can have.
    #[error("{found} is no id: 1 to 64 lower-case letters, digits and inner `-`")]
    Id {
        /// The segment, quoted.
        found: String,
    },
}

impl IdentityPattern {
    /// Parses an identity; shorthand is of `organisation` (an id).
    pub fn parse(text: &str, organisation: &str) -> Result<Self, IdentityPatternError> {
        use IdentityPatternError as Error;
        match text {
            "*" => return Ok(Self::Everyone),
            "unauthenticated" => return Ok(Self::Unauthenticated),
            _ => {}
        }
        if text.contains('*') {
            return Err(Error::Wildcard {
                found: quoted(text),
            });
        }
        let segments: Vec<&str> = text.split('/').collect();
        let check = |ids: &[&str]| match ids.iter().find(|id| !is_slug(id)) {
            Some(id) => Err(Error::Id { found: quoted(id) }),
            None => Ok(()),
        };
        let full = match segments[..] {
            ["org" | "user", id] => {
                check(&[id])?;
                text.into()
            }
            [
                "programmatic_identity" | "group" | "role" | "org_user" | "identity_provider",
                id,
            ] => {
                check(&[id])?;
                format!("org/{organisation}/{text}").into()
            }
            [
                "org",
                of,
                "programmatic_identity" | "group" | "role" | "org_user" | "identity_provider",
                id,
            ] => {
                check(&[of, id])?;
                text.into()
            }
            _ => {
                return Err(Error::NoIdentity {
                    found: quoted(text),
                    suggestion: advice(&segments),
                });
            }
        };
        Ok(Self::Path(full))
    }

    /// Does it speak of everyone, or of connections without an identity?
    pub fn is_public(&self) -> bool {
        matches!(self, Self::Everyone | Self::Unauthenticated)
    }
}

fn advice(segments: &[&str]) -> String {
    let kind = match segments {
        ["org", _, kind, ..] => kind,
        [kind, ..] => kind,
        [] => "",
    };
    if segments.contains(&"access_key") {
        return ": an access key is a credential, name its `programmatic_identity/<id>`".into();
    }
    if IDENTITY_TYPES.contains(&kind) {
        return format!(": write `{kind}/<id>`");
    }
    match suggestion(kind, IDENTITY_TYPES) {
        nearest if nearest.is_empty() => format!(": one of `{}`", IDENTITY_TYPES.join("`, `")),
        nearest => nearest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities() {
        let path = |text: &str| Ok(IdentityPattern::Path(text.into()));
        let error = |text: &str| Err(text.to_owned());
        let cases = [
            ("*", Ok(IdentityPattern::Everyone)),
            ("unauthenticated", Ok(IdentityPattern::Unauthenticated)),
            (
                "programmatic_identity/ci",
                path("org/acme/programmatic_identity/ci"),
            ),
            ("group/ops", path("org/acme/group/ops")),
            ("role/r", path("org/acme/role/r")),
            ("org_user/bob", path("org/acme/org_user/bob")),
            ("user/u-1", path("user/u-1")),
            ("org/other", path("org/other")),
            (
                "org/other/programmatic_identity/ci",
                path("org/other/programmatic_identity/ci"),
            ),
            (
                "group/*",
                error(
                    "wildcard in `group/*`: name one identity, an organisation (`org/<id>`), or `*` for every authenticated principal",
                ),
            ),
            (
                "**",
                error(
                    "wildcard in `**`: name one identity, an organisation (`org/<id>`), or `*` for every authenticated principal",
                ),
            ),
            (
                "kvdb/x",
                error(
                    "`kvdb/x` is no identity: one of `programmatic_identity`, `group`, `role`, `org_user`, `identity_provider`, `user`, `org`",
                ),
            ),
            (
                "rol/x",
                error("`rol/x` is no identity: did you mean `role`?"),
            ),
            ("group", error("`group` is no identity: write `group/<id>`")),
            (
                "group/",
                error("`` is no id: 1 to 64 lower-case letters, digits and inner `-`"),
            ),
            (
                "group/Ops",
                error("`Ops` is no id: 1 to 64 lower-case letters, digits and inner `-`"),
            ),
            (
                "org/acme/user/u",
                error("`org/acme/user/u` is no identity: write `user/<id>`"),
            ),
            (
                "programmatic_identity/ci/access_key/k",
                error(
                    "`programmatic_identity/ci/access_key/k` is no identity: an access key is a credential, name its `programmatic_identity/<id>`",
                ),
            ),
            (
                "",
                error(
                    "`` is no identity: one of `programmatic_identity`, `group`, `role`, `org_user`, `identity_provider`, `user`, `org`",
                ),
            ),
        ];
        for (text, expected) in cases {
            let found = IdentityPattern::parse(text, "acme").map_err(|error| error.to_string());
            assert_eq!(found, expected, "{text}");
        }
    }
}
