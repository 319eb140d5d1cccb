//! Which resources a statement speaks of.

use crate::finding::quoted;
use crate::nearest::suggestion;
use crate::path::{OWNED_TYPES, TYPES, is_access_key_id, is_slug, subtype};

/// A pattern over full resource paths. Shorthand became a full path when it was parsed.
///
/// A pattern that ends in an id or `*` also covers what lies below it (snapshots, access keys).
/// `org/<id>` is the exception: it names the organisation itself, and what lies below that is
/// `org/<id>/**`; otherwise an allow to describe an organisation would be one on everything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourcePattern {
    text: Box<str>,
    full: Box<str>,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `full` itself and nothing else.
    Exact,
    /// `full` itself and what lies below it; all of its segments are literal.
    Below,
    /// Segment by segment: `*` is one id, a final `**` any number of segments.
    Segments,
}

/// Why a resource pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourcePatternError {
    /// The empty string.
    #[error("resource is empty: name one such as `kvdb/sessions`, or `**` for all")]
    Empty,
    /// A bare `*`.
    #[error("`*` stands for one id after a type: write `**` for everything, or `kvdb/*`")]
    BareStar,
    /// `**` before the end.
    #[error("`**` in {found}: it may only be the last segment")]
    StarsNotLast {
        /// The pattern, quoted.
        found: String,
    },
    /// A `*` beside other characters.
    #[error("`*` in {found} stands for one whole id: write `*` alone, or the whole id")]
    PartOfId {
        /// The segment, quoted.
        found: String,
    },
    /// A type that does not exist.
    #[error("unknown resource type {found}{suggestion}")]
    UnknownType {
        /// The segment, quoted.
        found: String,
        /// Nearest types.
        suggestion: String,
    },
    /// The form of the seeds' older policies.
    #[error("{found} separates with `:`: write {wanted}")]
    Colon {
        /// The pattern, quoted.
        found: String,
        /// The form of today, quoted.
        wanted: String,
    },
    /// A type without an id.
    #[error("{found} has no id after its type: write `{wanted}`")]
    NoId {
        /// The pattern, quoted.
        found: String,
        /// With a wildcard for the id.
        wanted: String,
    },
    /// An id that no entity can have.
    #[error("{found} is no id: 1 to 64 lower-case letters, digits and inner `-`")]
    Id {
        /// The segment, quoted.
        found: String,
    },
    /// An access key id that no key can have.
    #[error("{found} is no access key id: `KWAK` and 16 of `A` to `Z`, `2` to `7`")]
    AccessKeyId {
        /// The segment, quoted.
        found: String,
    },
    /// Something below an entity that has nothing there.
    #[error("{found} does not lie below a `{parent}`{suggestion}")]
    NothingBelow {
        /// The segment, quoted.
        found: String,
        /// The type above it.
        parent: &'static str,
        /// What may lie there.
        suggestion: String,
    },
    /// A type that an organisation does not hold, behind `org/<id>/`.
    #[error("`{found}/…` is a path of its own: write it without `org/<id>/` before it")]
    Global {
        /// `user` or `org`.
        found: &'static str,
    },
}

impl ResourcePattern {
    /// Parses a pattern; shorthand is of `organisation` (an id).
    pub fn parse(text: &str, organisation: &str) -> Result<Self, ResourcePatternError> {
        use ResourcePatternError as Error;
        match text {
            "" => return Err(Error::Empty),
            "*" => return Err(Error::BareStar),
            "**" => {
                let full = format!("org/{organisation}/**");
                return Ok(Self::new(text, full, Shape::Segments));
            }
            _ => {}
        }
        if !text.contains('/') {
            if let Some((kind, id)) = text.split_once(':')
                && TYPES.contains(&kind)
            {
                let (found, wanted) = (quoted(text), quoted(&format!("{kind}/{id}")));
                return Err(Error::Colon { found, wanted });
            }
            if text == "iam:*" {
                let wanted = "`programmatic_identity/*` and `org_user/*`".into();
                return Err(Error::Colon {
                    found: quoted(text),
                    wanted,
                });
            }
        }
        let segments: Vec<&str> = text.split('/').collect();
        if segments[..segments.len() - 1].contains(&"**") {
            return Err(Error::StarsNotLast {
                found: quoted(text),
            });
        }
        let partial =
            |segment: &&&str| segment.contains('*') && **segment != "*" && **segment != "**";
        if let Some(segment) = segments.iter().find(partial) {
            return Err(Error::PartOfId {
                found: quoted(segment),
            });
        }

        let (full, owned) = match segments[..] {
            ["org", organisation, _, ..] => {
                check_id(organisation)?;
                (text.to_owned(), &segments[2..])
            }
            ["org" | "user", ..] | ["policy", "system", _, ..] => (text.to_owned(), &segments[..]),
            _ => (format!("org/{organisation}/{text}"), &segments[..]),
        };
        // `org/<id>/**`: nothing is left to check.
        let behind_organisation = owned.len() < segments.len();
        if !(behind_organisation && *owned == ["**"]) {
            check_entity(text, owned, behind_organisation)?;
        }
        let shape = match &full.split('/').collect::<Vec<_>>()[..] {
            all if all.contains(&"*") || all.contains(&"**") => Shape::Segments,
            ["org", _] => Shape::Exact,
            _ => Shape::Below,
        };
        Ok(Self::new(text, full, shape))
    }

    fn new(text: &str, full: String, shape: Shape) -> Self {
        Self {
            text: text.into(),
            full: full.into(),
            shape,
        }
    }

    /// Does it cover the resource at this full path?
    pub fn matches(&self, path: &str) -> bool {
        match self.shape {
            Shape::Exact => path == &*self.full,
            Shape::Below => path
                .strip_prefix(&*self.full)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Shape::Segments => {
                let mut segments = path.split('/');
                let mut count = 0;
                for pattern in self.full.split('/') {
                    count += 1;
                    match (pattern, segments.next()) {
                        ("**", _) => return true,
                        (_, None) => return false,
                        ("*", Some(id)) if !id.is_empty() => {}
                        (_, Some(segment)) if segment == pattern => {}
                        _ => return false,
                    }
                }
                // `org/*` is every organisation itself, as `org/<id>` is one.
                let is_organisation = count == 2 && self.full.starts_with("org/");
                !is_organisation || segments.next().is_none()
            }
        }
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The pattern over full paths: shorthand with its organisation.
    pub fn full(&self) -> &str {
        &self.full
    }

    /// Does it speak of more than one organisation (`org/*`, `org/*/…`, `org/**`)? Only a Deny may.
    pub fn spans_organisations(&self) -> bool {
        self.full.starts_with("org/*")
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.text.len() + self.full.len()
    }
}

/// Checks `<type>/<id>`, `<type>/<id>/<subtype>/<id>` and their wildcards.
fn check_entity(
    text: &str,
    segments: &[&str],
    behind_organisation: bool,
) -> Result<(), ResourcePatternError> {
    use ResourcePatternError as Error;
    let found = segments[0];
    let Some(kind) = TYPES.iter().copied().find(|kind| *kind == found) else {
        if found == "*" {
            return Err(Error::BareStar);
        }
        return Err(Error::UnknownType {
            found: quoted(found),
            suggestion: suggestion(found, TYPES),
        });
    };
    if behind_organisation && !OWNED_TYPES.contains(&kind) {
        return Err(Error::Global { found: kind });
    }
    let rest = match &segments[1..] {
        [] | [""] => {
            let wanted = format!("{}/*", text.trim_end_matches('/'));
            return Err(Error::NoId {
                found: quoted(text),
                wanted,
            });
        }
        // The system's own policies have no organisation.
        ["system", rest @ ..] if kind == "policy" && !behind_organisation && !rest.is_empty() => {
            rest
        }
        rest => rest,
    };
    if rest[0] == "**" {
        return Ok(());
    }
    check_id(rest[0])?;
    let (below, rest) = match &rest[1..] {
        [] | ["**"] => return Ok(()),
        [below, rest @ ..] => (*below, rest),
    };
    let wanted = subtype(kind);
    if wanted != Some(below) {
        let suggestion = match wanted {
            Some(wanted) => format!(": only `{wanted}/<id>` does"),
            None => ": nothing does".into(),
        };
        return Err(Error::NothingBelow {
            found: quoted(below),
            parent: kind,
            suggestion,
        });
    }
    match rest {
        [] | [""] => {
            let wanted = format!("{}/*", text.trim_end_matches('/'));
            Err(Error::NoId {
                found: quoted(text),
                wanted,
            })
        }
        ["*" | "**"] => Ok(()),
        [id] if below == "access_key" && is_access_key_id(id) => Ok(()),
        [id] if below == "access_key" => Err(Error::AccessKeyId { found: quoted(id) }),
        [id] => check_id(id),
        [_, found, ..] => Err(Error::NothingBelow {
            found: quoted(found),
            parent: if below == "access_key" {
                "access_key"
            } else {
                "snapshot"
            },
            suggestion: ": nothing does".into(),
        }),
    }
}

fn check_id(id: &str) -> Result<(), ResourcePatternError> {
    if id == "*" || is_slug(id) {
        return Ok(());
    }
    Err(ResourcePatternError::Id { found: quoted(id) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_covered() {
        // (pattern, covered, not covered), in `org/acme`
        let cases: &[(&str, &[&str], &[&str])] = &[
            (
                "kvdb/x",
                &["org/acme/kvdb/x", "org/acme/kvdb/x/snapshot/1"],
                &[
                    "org/acme/kvdb/xy",
                    "org/acme/kvdb",
                    "org/other/kvdb/x",
                    "kvdb/x",
                    "org/acme",
                ],
            ),
            (
                "kvdb/*",
                &["org/acme/kvdb/x", "org/acme/kvdb/y/snapshot/1"],
                &[
                    "org/acme/kvdb",
                    "org/acme/kvdb/",
                    "org/acme/role/x",
                    "org/other/kvdb/x",
                ],
            ),
            (
                "kvdb/x/snapshot/*",
                &["org/acme/kvdb/x/snapshot/1"],
                &["org/acme/kvdb/x"],
            ),
            (
                "programmatic_identity/ci/access_key/KWAKABCDEFGH234567AB",
                &["org/acme/programmatic_identity/ci/access_key/KWAKABCDEFGH234567AB"],
                &["org/acme/programmatic_identity/ci"],
            ),
            (
                "programmatic_identity/ci",
                &["org/acme/programmatic_identity/ci/access_key/KWAKABCDEFGH234567AB"],
                &["org/acme/programmatic_identity/ci2"],
            ),
            (
                "**",
                &["org/acme", "org/acme/kvdb/x", "org/acme/kvdb/x/snapshot/1"],
                &["org/acme2", "org/other", "user/u", "policy/system/p"],
            ),
            (
                "org/acme/**",
                &["org/acme", "org/acme/group/g"],
                &["org/acme-2/group/g"],
            ),
            ("org/acme/kvdb/x", &["org/acme/kvdb/x"], &["org/acme"]),
            ("org/acme", &["org/acme"], &["org/acme/kvdb/x", "org/acmee"]),
            ("org/other", &["org/other"], &["org/acme"]),
            ("org/*", &["org/acme", "org/other"], &["org/acme/kvdb/x"]),
            ("org/**", &["org/acme", "org/other/kvdb/x"], &["user/u"]),
            (
                "org/*/kvdb/*",
                &["org/a/kvdb/b", "org/a/kvdb/b/snapshot/c"],
                &["org/a", "org/a/role/r"],
            ),
            (
                "user/u-1",
                &["user/u-1"],
                &["org/acme/user/u-1", "user/u-2"],
            ),
            (
                "policy/system/kvdb-full-access",
                &["policy/system/kvdb-full-access"],
                &["org/acme/policy/p"],
            ),
            ("policy/p", &["org/acme/policy/p"], &["policy/system/p"]),
            (
                "kvdb/**",
                &["org/acme/kvdb/x", "org/acme/kvdb/x/snapshot/1"],
                &["org/acme/role/r"],
            ),
            (
                "kvdb/x/**",
                &["org/acme/kvdb/x", "org/acme/kvdb/x/snapshot/1"],
                &["org/acme/kvdb/y"],
            ),
        ];
        for (text, covered, not_covered) in cases {
            let pattern = ResourcePattern::parse(text, "acme").unwrap();
            assert_eq!(pattern.text(), *text);
            for path in *covered {
                assert!(pattern.matches(path), "{text} should cover {path}");
            }
            for path in *not_covered {
                assert!(!pattern.matches(path), "{text} should not cover {path}");
            }
        }
    }

    #[test]
    fn what_is_refused() {
        let cases = [
            (
                "",
                "resource is empty: name one such as `kvdb/sessions`, or `**` for all",
            ),
            (
                "*",
                "`*` stands for one id after a type: write `**` for everything, or `kvdb/*`",
            ),
            (
                "*/x",
                "`*` stands for one id after a type: write `**` for everything, or `kvdb/*`",
            ),
            ("**/x", "`**` in `**/x`: it may only be the last segment"),
            (
                "org/acme/**/x",
                "`**` in `org/acme/**/x`: it may only be the last segment",
            ),
            (
                "kvdb/prod-*",
                "`*` in `prod-*` stands for one whole id: write `*` alone, or the whole id",
            ),
            (
                "kvdb/***",
                "`*` in `***` stands for one whole id: write `*` alone, or the whole id",
            ),
            ("kvd/x", "unknown resource type `kvd`: did you mean `kvdb`?"),
            (
                "KVDB/x",
                "unknown resource type `KVDB`: did you mean `kvdb`?",
            ),
            ("database/x", "unknown resource type `database`"),
            ("kvdb", "`kvdb` has no id after its type: write `kvdb/*`"),
            ("kvdb/", "`kvdb/` has no id after its type: write `kvdb/*`"),
            (
                "org/acme/kvdb",
                "`org/acme/kvdb` has no id after its type: write `org/acme/kvdb/*`",
            ),
            ("kvdb:*", "`kvdb:*` separates with `:`: write `kvdb/*`"),
            (
                "iam:*",
                "`iam:*` separates with `:`: write `programmatic_identity/*` and `org_user/*`",
            ),
            (
                "kvdb/Prod",
                "`Prod` is no id: 1 to 64 lower-case letters, digits and inner `-`",
            ),
            (
                "kvdb//",
                "`` is no id: 1 to 64 lower-case letters, digits and inner `-`",
            ),
            (
                "org/Acme/**",
                "`Acme` is no id: 1 to 64 lower-case letters, digits and inner `-`",
            ),
            ("/kvdb/x", "unknown resource type ``"),
            (
                "kvdb/x/snapshots/1",
                "`snapshots` does not lie below a `kvdb`: only `snapshot/<id>` does",
            ),
            (
                "kvdb/x/",
                "`` does not lie below a `kvdb`: only `snapshot/<id>` does",
            ),
            (
                "kvdb/x/snapshot",
                "`kvdb/x/snapshot` has no id after its type: write `kvdb/x/snapshot/*`",
            ),
            (
                "role/r/x/1",
                "`x` does not lie below a `role`: nothing does",
            ),
            (
                "kvdb/x/snapshot/1/y",
                "`y` does not lie below a `snapshot`: nothing does",
            ),
            (
                "programmatic_identity/ci/access_key/ci",
                "`ci` is no access key id: `KWAK` and 16 of `A` to `Z`, `2` to `7`",
            ),
            (
                "org/acme/user/u",
                "`user/…` is a path of its own: write it without `org/<id>/` before it",
            ),
            (
                "org/acme/org/b",
                "`org/…` is a path of its own: write it without `org/<id>/` before it",
            ),
            ("user/u/x", "`x` does not lie below a `user`: nothing does"),
            ("org", "`org` has no id after its type: write `org/*`"),
        ];
        for (text, expected) in cases {
            let found = ResourcePattern::parse(text, "acme").map_err(|error| error.to_string());
            assert_eq!(found, Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn every_organisation() {
        for text in ["org/*", "org/**", "org/*/**", "org/*/kvdb/x"] {
            assert!(
                ResourcePattern::parse(text, "acme")
                    .unwrap()
                    .spans_organisations(),
                "{text}"
            );
        }
        for text in ["**", "org/acme/**", "kvdb/*", "user/*"] {
            assert!(
                !ResourcePattern::parse(text, "acme")
                    .unwrap()
                    .spans_organisations(),
                "{text}"
            );
        }
    }
}
