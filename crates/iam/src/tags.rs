//! Tags of identities and databases: what conditions on `PrincipalTag/…` and `ResourceTag/…` read.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Most tags of one thing.
pub const MAX_TAGS: usize = 50;

/// Longest key of a tag, in characters.
pub const MAX_TAG_KEY: usize = 128;

/// Longest value of a tag, in characters.
pub const MAX_TAG_VALUE: usize = 256;

/// Beginnings of keys that belong to systems, not to people.
const RESERVED_PREFIXES: [&str; 4] = ["keyward:", "aws:", "acs:", "qcs:"];

/// Keys with their values. Costs one pointer while there are none.
///
/// A key is unique ignoring case, as conditions of most dialects compare keys of tags; it keeps the
/// case in which it was written last.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tags(Option<Arc<BTreeMap<Box<str>, Box<str>>>>); // INVARIANT: never an empty map

/// Why a tag is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// A key that is empty, too long, or has control characters.
    #[error("the key of a tag has 1 to {MAX_TAG_KEY} characters and no control characters")]
    Key,
    /// A key that begins with what is reserved.
    #[error("the tag `{key}` begins with `{prefix}`, which is reserved")]
    Reserved {
        /// The key.
        key: String,
        /// Its beginning.
        prefix: &'static str,
    },
    /// A value that is too long, or has control characters.
    #[error(
        "tag `{key}`: a value has at most {MAX_TAG_VALUE} characters and no control characters"
    )]
    Value {
        /// The key.
        key: String,
    },
    /// Two keys in one change that differ in case only.
    #[error("the tags `{first}` and `{second}` differ in case only, which makes them one tag")]
    Twice {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// Too many.
    #[error("{found} tags on one thing: the limit is {MAX_TAGS}")]
    TooMany {
        /// How many there would be.
        found: usize,
    },
}

fn same_key(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

fn check(key: &str, value: &str) -> Result<(), TagError> {
    if !(1..=MAX_TAG_KEY).contains(&key.chars().count()) || key.chars().any(char::is_control) {
        return Err(TagError::Key);
    }
    let begins = |prefix: &&str| {
        let head = key.get(..prefix.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    };
    if let Some(prefix) = RESERVED_PREFIXES.into_iter().find(|prefix| begins(prefix)) {
        let key = key.to_owned();
        return Err(TagError::Reserved { key, prefix });
    }
    if value.chars().count() > MAX_TAG_VALUE || value.chars().any(char::is_control) {
        let key = key.to_owned();
        return Err(TagError::Value { key });
    }
    Ok(())
}

impl Tags {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |tags| tags.len())
    }

    /// Keys and values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let tags = self.0.iter().flat_map(|tags| tags.iter());
        tags.map(|(key, value)| (&**key, &**value))
    }

    /// Tags that were checked when they were given.
    pub(crate) fn unchecked(tags: &BTreeMap<String, String>) -> Self {
        if tags.is_empty() {
            return Self(None);
        }
        let boxed = |(key, value): (&String, &String)| (key.as_str().into(), value.as_str().into());
        Self(Some(Arc::new(tags.iter().map(boxed).collect())))
    }

    /// The value of a key in exactly this case: how Tencent's dialect compares.
    #[must_use]
    pub fn exact(&self, key: &str) -> Option<&str> {
        self.0.as_ref()?.get(key).map(|value| &**value)
    }

    /// The value of a key, whatever its case: how the other dialects compare.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&str> {
        self.exact(key).or_else(|| {
            self.iter()
                .find(|(found, _)| same_key(found, key))
                .map(|(_, value)| value)
        })
    }

    /// These tags with some set and some removed. Removing one that is not there changes nothing.
    ///
    /// # Errors
    /// The first tag that breaks a rule.
    pub fn changed(
        &self,
        set: &BTreeMap<String, String>,
        remove: &[String],
    ) -> Result<Self, TagError> {
        let mut tags = self.0.as_deref().cloned().unwrap_or_default();
        tags.retain(|key, _| !remove.iter().any(|gone| same_key(gone, key)));
        for (number, (key, value)) in set.iter().enumerate() {
            check(key, value)?;
            if let Some(other) = set.keys().take(number).find(|other| same_key(other, key)) {
                let (first, second) = (other.clone(), key.clone());
                return Err(TagError::Twice { first, second });
            }
            tags.retain(|found, _| !same_key(found, key));
            tags.insert(key.as_str().into(), value.as_str().into());
            if tags.len() > MAX_TAGS {
                let found = tags.len() + set.len() - number - 1;
                return Err(TagError::TooMany { found });
            }
        }
        Ok(Self((!tags.is_empty()).then(|| Arc::new(tags))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(tags: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        tags.iter().map(owned).collect()
    }

    #[test]
    fn what_a_tag_may_be() {
        let long = |n: usize| "é".repeat(n);
        let cases = [
            ("team", "payments", true),
            ("team", "", true),
            ("a name", "*${x}?[", true),
            ("", "x", false),
            ("a\n", "x", false),
            ("a", "x\0", false),
            ("keyward:team", "x", false),
            ("AWS:team", "x", false),
            ("keyward", "x", true),
            (&long(128), "x", true),
            (&long(129), "x", false),
            ("a", &long(256), true),
            ("a", &long(257), false),
        ];
        for (key, value, accepted) in cases {
            let made = Tags::default().changed(&set(&[(key, value)]), &[]);
            assert_eq!(made.is_ok(), accepted, "{key:?} {value:?}");
        }
    }

    #[test]
    fn a_key_is_one_tag_whatever_its_case() {
        let tags = Tags::default()
            .changed(&set(&[("Team", "a"), ("b", "1")]), &[])
            .unwrap();
        let tags = tags.changed(&set(&[("tEAM", "c")]), &[]).unwrap();
        assert_eq!(tags.iter().collect::<Vec<_>>(), [("b", "1"), ("tEAM", "c")]);
        assert_eq!((tags.exact("team"), tags.find("team")), (None, Some("c")));
        let twice = tags.changed(&set(&[("x", "1"), ("X", "2")]), &[]);
        assert!(matches!(twice, Err(TagError::Twice { .. })));
        let none = tags
            .changed(&set(&[]), &["TEAM".into(), "b".into()])
            .unwrap();
        assert!(none.is_empty());
        assert_eq!(none, Tags::default());
    }

    #[test]
    fn at_most_fifty() {
        let many = |n: usize| (0..n).map(|n| (format!("k{n}"), String::new())).collect();
        let tags = Tags::default().changed(&many(50), &[]).unwrap();
        assert_eq!(tags.len(), 50);
        assert!(tags.changed(&set(&[("k1", "x")]), &[]).is_ok());
        assert_eq!(
            tags.changed(&set(&[("y", "x")]), &[]),
            Err(TagError::TooMany { found: 51 })
        );
        assert!(tags.changed(&set(&[("y", "x")]), &["k1".into()]).is_ok());
    }

    #[test]
    fn no_tags_cost_a_pointer() {
        assert_eq!(size_of::<Tags>(), size_of::<usize>());
    }
}
