//! Tags that conditions ask for, and changes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use keyward_policy::{Conditions, Fact, Operator, Policy, Template};

use super::moves::Move;
use super::{Means, Search, State};
use crate::change::Change;
use crate::directory::Directory;

/// Keys of tags that are tried.
const MAX_KEYS: usize = 8;

/// Values of one key that are tried.
const MAX_VALUES: usize = 6;

/// A value that no document names.
const OTHER: &str = "other-by-escalation";

/// A key of tags that documents speak of.
pub(super) struct TagKey {
    key: String,
    /// What it may have to be.
    values: Vec<String>,
}

/// Which key of tags a condition or variable reads, of whatever.
fn tag_key(fact: &Fact) -> Option<&str> {
    match fact {
        Fact::PrincipalTag(key) | Fact::ResourceTag(key) => Some(key),
        _ => None,
    }
}

impl Search<'_> {
    /// Finds the keys that matter: those that conditions and variables read, with the values that
    /// are wanted and those that things have.
    pub(super) fn tag_keys(&mut self, directory: &Directory, documents: &[Arc<Policy>]) {
        let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        // Keys that are compared with one another have each other's values.
        let mut compared: Vec<(String, String)> = Vec::new();
        for statement in documents.iter().flat_map(|policy| policy.statements()) {
            let clauses = statement
                .conditions
                .as_ref()
                .map_or(&[][..], Conditions::clauses);
            for clause in clauses {
                let own = tag_key(clause.key.fact());
                if let Some(own) = own {
                    let values = wanted.entry(own.to_owned()).or_default();
                    let fixed = clause.values().iter().filter(|value| value.is_fixed());
                    values.extend(fixed.map(|value| match clause.operator {
                        Operator::StringLike | Operator::StringNotLike => {
                            value.text().replace(['*', '?'], "x")
                        }
                        _ => value.text().to_owned(),
                    }));
                }
                for variable in clause.values().iter().flat_map(Template::variables) {
                    if let Some(other) = tag_key(variable.fact()) {
                        wanted.entry(other.to_owned()).or_default();
                        compared.extend(own.map(|own| (own.to_owned(), other.to_owned())));
                    }
                    // The other side of the comparison is no tag.
                    if let (Some(own), Fact::PrincipalId | Fact::ResourceId) =
                        (own, variable.fact())
                    {
                        let ids = self
                            .resources
                            .iter()
                            .filter_map(|path| path.rsplit('/').next());
                        let values = wanted.entry(own.to_owned()).or_default();
                        values.extend(ids.take(MAX_VALUES).map(str::to_owned));
                    }
                }
            }
            let templates = statement.templates.iter().flat_map(|t| t.all());
            for variable in templates.flat_map(Template::variables) {
                if let Some(key) = tag_key(variable.fact()) {
                    wanted.entry(key.to_owned()).or_default();
                }
            }
        }
        if wanted.is_empty() {
            return;
        }
        for path in &self.resources {
            for (key, value) in directory.tags_of(path).iter().flat_map(|tags| tags.iter()) {
                if let Some(values) = wanted.get_mut(key) {
                    values.insert(value.to_owned());
                }
            }
        }
        for (one, other) in &compared {
            let (a, b) = (wanted[one].clone(), wanted[other].clone());
            wanted.entry(one.clone()).or_default().extend(b);
            wanted.entry(other.clone()).or_default().extend(a);
        }
        if wanted.len() > MAX_KEYS || wanted.values().any(|values| values.len() > MAX_VALUES) {
            self.truncated = true;
        }
        let keys = wanted.into_iter().take(MAX_KEYS);
        self.tag_keys = keys
            .map(|(key, values)| TagKey {
                key,
                values: values.into_iter().take(MAX_VALUES).collect(),
            })
            .collect();
    }

    /// Changes of tags on what somebody of the controlled may tag.
    pub(super) fn tag_moves(&self, state: &State) -> Vec<Move> {
        let mut moves = Vec::new();
        if self.tag_keys.is_empty() {
            return moves;
        }
        let paths = self.resources.iter().map(|path| path.to_string());
        for path in paths {
            let change = |set: BTreeMap<String, String>, remove: Vec<String>| Change::SetTags {
                path: path.clone(),
                set,
                remove,
            };
            let probe = change(BTreeMap::new(), Vec::new());
            let may = state.controlled.iter().any(|actor| {
                let at = self.circumstances[actor.when].at;
                let directory = &state.directory;
                at >= state.now
                    && directory
                        .authorise_change(&actor.session, &probe, at)
                        .is_ok()
            });
            if !may {
                continue;
            }
            let tags = state.directory.tags_of(&path).cloned().unwrap_or_default();
            let mut one = |set: BTreeMap<String, String>, remove: Vec<String>| {
                let words: Vec<String> = set.iter().map(|(k, v)| format!("{k}={v}")).collect();
                let text = match (words.is_empty(), remove.is_empty()) {
                    (true, _) => format!("takes the tag {} of {path} away", remove.join(", ")),
                    (false, true) => format!("tags {path} with {}", words.join(", ")),
                    (false, false) => format!(
                        "tags {path} with {}, and takes {} away",
                        words.join(", "),
                        remove.join(", ")
                    ),
                };
                moves.push(Move {
                    means: Means::Tag,
                    changes: vec![(change(set, remove), None)],
                    text,
                });
            };
            for tag in &self.tag_keys {
                let now = tags.exact(&tag.key);
                let other = [OTHER.to_owned()];
                for value in tag.values.iter().chain(&other) {
                    if now != Some(value) {
                        one(
                            BTreeMap::from([(tag.key.clone(), value.clone())]),
                            Vec::new(),
                        );
                    }
                }
                if now.is_some() {
                    one(BTreeMap::new(), vec![tag.key.clone()]);
                }
            }
            // Several at once, where conditions ask for several.
            if self.tag_keys.len() > 1 {
                for place in 0..MAX_VALUES {
                    let values = self.tag_keys.iter().filter_map(|tag| {
                        let last = tag.values.len().checked_sub(1)?;
                        Some((tag.key.clone(), tag.values[place.min(last)].clone()))
                    });
                    let set: BTreeMap<String, String> = values.collect();
                    let longest = self.tag_keys.iter().map(|tag| tag.values.len()).max();
                    if set.len() > 1 && Some(place) < longest {
                        one(set, Vec::new());
                    }
                }
            }
        }
        moves
    }
}
