//! Entity tags, and the conditions that rest on them.
//!
//! The tag of an entity is a keyed hash of all that it shows, with its resource policy and
//! guardrails, and for each field a short one: so a refused change can say what had changed. Without
//! the deployment's key a tag confirms no guess about what it was made of.

use axum::http::{HeaderMap, HeaderName, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyward_auth::HashKey;
use keyward_iam::{Directory, Entity, PathParts};
use serde_json::Value;

use crate::problem::Problem;
use crate::show;

/// Tags in one header.
const MAX_TAGS: usize = 64;

/// Characters of the hash of a whole entity, of a field's name and of a field's value.
const WHOLE: usize = 22;
const FIELD: usize = 4;

/// A strong entity tag, without its quotes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct EntityTag(String);

fn hash(key: &HashKey, parts: &[&[u8]], length: usize) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(key.keyed("entity tag 1", parts));
    text.truncate(length);
    text
}

/// All that can be seen of an entity at any of its URLs, field by field.
fn state(directory: &Directory, path: &str) -> Option<Value> {
    let mut shown = show::entity(directory, path)?;
    match directory.entity(path) {
        Some(Entity::Identity(ix)) => {
            let identity = directory.identity(ix)?;
            if let Some(policy) = &identity.resource_policy {
                show::insert(&mut shown, "resource_policy", policy.text());
            }
            if let Some(details) = identity.organisation_details() {
                let guardrails = show::attachments(directory, &details.guardrails);
                show::insert(&mut shown, "guardrails", guardrails);
            }
        }
        Some(Entity::Database(ix)) => {
            if let Some(policy) = &directory.database(ix)?.resource_policy {
                show::insert(&mut shown, "resource_policy", policy.text());
            }
        }
        _ => {}
    }
    Some(shown)
}

impl EntityTag {
    /// The tag of an entity as it is now.
    pub(crate) fn of(key: &HashKey, directory: &Directory, path: &str) -> Option<Self> {
        let state = state(directory, path)?;
        let whole = state.to_string();
        let mut text = hash(key, &[path.as_bytes(), whole.as_bytes()], WHOLE);
        for (name, value) in state.as_object()? {
            text += &hash(key, &[b"name", name.as_bytes()], FIELD);
            let value = value.to_string();
            let parts = [path.as_bytes(), name.as_bytes(), value.as_bytes()];
            text += &hash(key, &parts, FIELD);
        }
        Some(Self(text))
    }

    /// As the header has it.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }

    /// The fields that differ from an earlier tag of the same entity; none if it is no such tag.
    fn changed_since(
        &self,
        key: &HashKey,
        directory: &Directory,
        path: &str,
        earlier: &str,
    ) -> Vec<String> {
        let fields = |tag: &str| -> Vec<(String, String)> {
            let rest = tag.as_bytes().get(WHOLE..).unwrap_or_default();
            rest.chunks_exact(2 * FIELD)
                .map(|pair| {
                    let (name, value) = pair.split_at(FIELD);
                    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    (text(name), text(value))
                })
                .collect()
        };
        let (then, now) = (fields(earlier), fields(&self.0));
        let id = hash(key, &[b"name", b"id"], FIELD);
        // The id never changes: a tag that has another one is of something else.
        if !then
            .iter()
            .any(|field| field.0 == id && now.contains(field))
        {
            return Vec::new();
        }
        let state = state(directory, path).unwrap_or_default();
        let names: Vec<&String> = state
            .as_object()
            .into_iter()
            .flat_map(|s| s.keys())
            .collect();
        let mut changed: Vec<String> = names
            .into_iter()
            .zip(&now)
            .filter(|(_, field)| !then.contains(field))
            .map(|(name, _)| name.clone())
            .collect();
        // A field that is gone has left no name.
        let gone = then
            .iter()
            .any(|(name, _)| !now.iter().any(|(other, _)| other == name));
        if gone && changed.is_empty() {
            changed.push("a field that was taken away".to_owned());
        }
        changed
    }
}

/// The weak tag of an answer that is no single entity's.
pub(crate) fn of_body(key: &HashKey, body: &[u8]) -> String {
    format!("W/\"{}\"", hash(key, &[b"body", body], WHOLE))
}

/// What a header with entity tags says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Tags {
    /// `*`
    Any,
    /// One of these.
    List(Vec<ListedTag>),
}

/// A tag of a list, with whether it is weak.
type ListedTag = (bool, String);

impl Tags {
    /// Reads the fields of one name.
    pub(crate) fn of(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Problem> {
        let mut text = String::new();
        for value in headers.get_all(name) {
            let value = value.to_str().map_err(|_| malformed(name))?;
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(value);
        }
        if text.is_empty() {
            return Ok(None);
        }
        Self::parse(&text).map(Some).ok_or_else(|| malformed(name))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim();
        if rest == "*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        loop {
            tags.push(one(&mut rest)?);
            if rest.is_empty() {
                return Some(Self::List(tags));
            }
            rest = rest.strip_prefix(',')?.trim_start();
            if tags.len() == MAX_TAGS {
                return None;
            }
        }
    }

    /// Whether a tag, as a header has it, is among them; weak tags count, too.
    pub(crate) fn names(&self, quoted: &str) -> bool {
        let wanted = quoted.trim_start_matches("W/").trim_matches('"');
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|(_, tag)| tag == wanted),
        }
    }

    fn names_strongly(&self, wanted: &EntityTag) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|(weak, tag)| !weak && *tag == wanted.0),
        }
    }
}

/// Takes one tag, and the blanks behind it, from the front.
fn one(rest: &mut &str) -> Option<ListedTag> {
    let (weak, quoted) = match rest.strip_prefix("W/") {
        Some(quoted) => (true, quoted),
        None => (false, *rest),
    };
    let (tag, behind) = quoted.strip_prefix('"')?.split_once('"')?;
    *rest = behind.trim_start();
    Some((weak, tag.to_owned()))
}

fn malformed(name: &HeaderName) -> Problem {
    Problem::malformed(format!(
        "the header `{name}` is `*` or entity tags, as `\"a\", \"b\"`, at most {MAX_TAGS}"
    ))
}

/// The entity whose tag is that of a URL path behind `/v1/`: the entity itself, or what the URL
/// shows or changes of it. A list has none.
pub(crate) fn subject(path: &str) -> Option<&str> {
    /// What stands in the row of an entity and is shown at a URL of its own.
    const VIEWS: [&str; 8] = [
        "tags",
        "aliases",
        "resource_policy",
        "boundary",
        "guardrails",
        "versions",
        "accept",
        "decline",
    ];
    /// What only changes the row.
    const ACTS: [&str; 9] = [
        "attach",
        "detach",
        "owner",
        "backend",
        "administration",
        "default_database",
        "default_version",
        "restore",
        "key_limits",
    ];
    if PathParts::of(path).is_some() {
        return Some(path);
    }
    let (entity, last) = path.rsplit_once('/')?;
    if VIEWS.contains(&last) || ACTS.contains(&last) {
        return PathParts::of(entity).map(|_| entity);
    }
    let (entity, between) = entity.rsplit_once('/')?;
    (between == "versions" && PathParts::of(entity).is_some()).then_some(entity)
}

/// Under which condition a change is made.
#[derive(Clone, Debug)]
pub(crate) struct Precondition {
    /// The entity that the URL speaks of; none if it is a list.
    entity: Option<String>,
    /// `If-Match`
    matching: Option<Tags>,
    /// `If-None-Match`
    not_matching: Option<Tags>,
}

/// A condition that does not hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mismatch {
    /// The entity.
    pub entity: Option<String>,
    /// Its tag now, as the header has it.
    pub current: Option<String>,
    /// The fields that have changed since the tag that was given, as far as that can be told.
    pub changed: Vec<String>,
}

impl Precondition {
    /// What the headers of a request to this path behind `/v1/` say; nothing without such headers.
    pub(crate) fn of(headers: &HeaderMap, path: &str) -> Result<Option<Self>, Problem> {
        let matching = Tags::of(headers, &header::IF_MATCH)?;
        let not_matching = Tags::of(headers, &header::IF_NONE_MATCH)?;
        if matching.is_none() && not_matching.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            entity: subject(path).map(str::to_owned),
            matching,
            not_matching,
        }))
    }

    /// Whether it holds before a change.
    pub(crate) fn check(&self, key: &HashKey, before: &Directory) -> Result<(), Box<Mismatch>> {
        let entity = self.entity.as_deref();
        let current = entity.and_then(|path| EntityTag::of(key, before, path));
        let holds = match (&self.matching, &current) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(tags), Some(current)) => tags.names_strongly(current),
        } && match (&self.not_matching, &current) {
            (None, _) | (Some(_), None) => true,
            (Some(tags), Some(current)) => !tags.names(&current.0),
        };
        if holds {
            return Ok(());
        }
        let changed = match (&self.matching, &current, entity) {
            (Some(Tags::List(given)), Some(current), Some(path)) => given
                .iter()
                .map(|(_, earlier)| current.changed_since(key, before, path, earlier))
                .find(|changed| !changed.is_empty())
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        Err(Box::new(Mismatch {
            entity: self.entity.clone(),
            current: current.map(|tag| tag.quoted()),
            changed,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let list = |tags: &[(bool, &str)]| {
            let tags = tags.iter().map(|(weak, tag)| (*weak, (*tag).to_owned()));
            Some(Tags::List(tags.collect()))
        };
        let cases = [
            ("*", Some(Tags::Any)),
            (r#""a""#, list(&[(false, "a")])),
            (
                r#""a" , W/"b,c" ,"""#,
                list(&[(false, "a"), (true, "b,c"), (false, "")]),
            ),
            ("a", None),
            (r#""a"#, None),
            (r#""a" "b""#, None),
            (r#""a","#, None),
            ("*, *", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Tags::parse(text), expected, "{text}");
        }
        assert_eq!(Tags::parse(&vec![r#""a""#; MAX_TAGS + 1].join(",")), None);
    }

    #[test]
    fn what_a_url_speaks_of() {
        let cases = [
            ("org/dev", Some("org/dev")),
            ("org/dev/kvdb", None),
            ("org/dev/kvdb/main", Some("org/dev/kvdb/main")),
            ("org/dev/kvdb/main/tags", Some("org/dev/kvdb/main")),
            ("org/dev/guardrails", Some("org/dev")),
            ("org/dev/aliases", Some("org/dev")),
            ("org/dev/key_limits", Some("org/dev")),
            ("org/dev/policy/p/versions/3", Some("org/dev/policy/p")),
            ("org/dev/policy/p/entities", None),
            ("org/dev/trust/t/accept", Some("org/dev/trust/t")),
            ("org/dev/programmatic_identity/a/access_key", None),
            ("whoami", None),
        ];
        for (path, expected) in cases {
            assert_eq!(subject(path), expected, "{path}");
        }
    }
}
