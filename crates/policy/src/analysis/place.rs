//! Resources that tell patterns apart.

use std::collections::{BTreeSet, HashMap};

use keyward_commands::{ActionId, CONNECT};

use super::grain::Place;
use super::product::Exhausted;
use crate::ResourcePattern;

/// A kind of resource: what stands between the ids of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Organisation,
    /// `org/<id>/<type>/<id>`
    Owned(&'static str),
    /// `org/<id>/<type>/<id>/<type>/<id>`
    Below(&'static str, &'static str),
    User,
    SystemPolicy,
}

const DATABASE: &[Kind] = &[Kind::Owned("kvdb")];
const ORGANISATION: &[Kind] = &[Kind::Organisation];
const ALL: &[Kind] = &[
    Kind::Organisation,
    Kind::Owned("kvdb"),
    Kind::Owned("programmatic_identity"),
    Kind::Owned("group"),
    Kind::Owned("role"),
    Kind::Owned("org_user"),
    Kind::Owned("policy"),
    Kind::Owned("identity_provider"),
    Kind::Owned("trust"),
    Kind::Below("kvdb", "snapshot"),
    Kind::Below("programmatic_identity", "access_key"),
    Kind::User,
    Kind::SystemPolicy,
];

/// The kinds of resources that an action is decided on; all, where that is open.
pub(crate) fn kinds(action: ActionId) -> &'static [Kind] {
    const OF_OBJECT: &[(&str, &[Kind])] = &[
        (
            "Snapshot",
            &[
                Kind::Owned("kvdb"),
                Kind::Below("kvdb", "snapshot"),
                Kind::Organisation,
            ],
        ),
        (
            "ProgrammaticIdentity",
            &[Kind::Owned("programmatic_identity")],
        ),
        (
            "AccessKey",
            &[
                Kind::Owned("programmatic_identity"),
                Kind::Below("programmatic_identity", "access_key"),
            ],
        ),
        ("Group", &[Kind::Owned("group")]),
        ("Role", &[Kind::Owned("role")]),
        ("OrgUser", &[Kind::Owned("org_user")]),
        ("IdentityProvider", &[Kind::Owned("identity_provider")]),
        ("Database", DATABASE),
        ("Policy", &[Kind::Owned("policy"), Kind::SystemPolicy]),
    ];
    if action.is_execute() || action == CONNECT {
        return DATABASE;
    }
    let name = action.name();
    let Some((service, name)) = name.split_once(':') else {
        return ALL;
    };
    let of_object = OF_OBJECT.iter().find(|(object, _)| {
        let verb = name.strip_suffix(object);
        verb.is_some_and(|verb| {
            ["List", "Create", "Describe", "Update", "Delete", "Tag"].contains(&verb)
        })
    });
    match (service, name) {
        ("kvdb", "List" | "Create") => ORGANISATION,
        ("org", "List" | "Create") => &[Kind::Organisation, Kind::User],
        ("org", _) => ORGANISATION,
        ("iam", _) if of_object.is_some() => match of_object {
            // Keys are made on the identity that they open.
            Some(("AccessKey", kinds)) => kinds,
            _ if name.starts_with("List") || name.starts_with("Create") => ORGANISATION,
            Some((_, kinds)) => kinds,
            None => ALL,
        },
        ("kvdb", name) if name.ends_with("Snapshot") => OF_OBJECT[0].1,
        ("kvdb", _) => DATABASE,
        ("sts", "AssumeRole" | "AssumeRoleWithWebIdentity") => &[Kind::Owned("role")],
        _ => ALL,
    }
}

/// Most paths of one kind of resource that tell patterns apart.
const MAX_PATHS: usize = 100_000;

fn is_few(paths: usize) -> Result<(), Exhausted> {
    match paths <= MAX_PATHS {
        true => Ok(()),
        false => Err(Exhausted),
    }
}

/// Ids that stand in the patterns of two documents, and one of each kind that does not.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    organisations: BTreeSet<String>,
    owned: HashMap<String, BTreeSet<String>>,
    below: BTreeSet<String>,
    own_organisation: String,
    fresh: String,
    fresh_key: String,
}

impl Ids {
    pub(crate) fn new<'a>(
        patterns: impl Iterator<Item = &'a ResourcePattern>,
        organisation: &str,
    ) -> Self {
        let mut ids = Self {
            own_organisation: organisation.to_owned(),
            ..Self::default()
        };
        let mut all = BTreeSet::new();
        for pattern in patterns {
            let segments: Vec<&str> = pattern.full().split('/').collect();
            let mut add = |to: &mut BTreeSet<String>, id: &str| {
                if id != "*" && id != "**" {
                    to.insert(id.to_owned());
                    all.insert(id.to_owned());
                }
            };
            match segments[..] {
                ["org", organisation, ref rest @ ..] => {
                    add(&mut ids.organisations, organisation);
                    if let [kind, id, below @ ..] = rest {
                        add(ids.owned.entry((*kind).to_owned()).or_default(), id);
                        if let [_, id, ..] = below {
                            add(&mut ids.below, id);
                        }
                    }
                }
                ["user", id, ..] => add(ids.owned.entry("user".into()).or_default(), id),
                ["policy", "system", id, ..] => {
                    add(ids.owned.entry("system".into()).or_default(), id);
                }
                _ => {}
            }
        }
        ids.fresh = (1_u64..)
            .map(|n| {
                if n == 1 {
                    "other".to_owned()
                } else {
                    format!("other-{n}")
                }
            })
            .find(|id| !all.contains(id))
            .unwrap_or_default();
        ids.fresh_key = "KWAKOTHEROTHEROTHERO".to_owned();
        ids
    }

    /// An id that stands in no pattern.
    pub(crate) fn fresh(&self) -> &str {
        &self.fresh
    }

    /// Paths of these kinds that tell the patterns apart, among those that `within` may cover: a
    /// fresh id first.
    ///
    /// # Errors
    /// If there are more than [`MAX_PATHS`]: organisations times ids times what is below.
    pub(crate) fn paths(
        &self,
        kinds: &[Kind],
        within: Option<&ResourcePattern>,
    ) -> Result<Vec<String>, Exhausted> {
        let fixed: Vec<&str> = within.map_or(Vec::new(), |p| p.full().split('/').collect());
        // The id that the pattern has there, or all that may tell patterns apart.
        let ids = |at: usize, known: Option<&BTreeSet<String>>, fresh: &str| -> Vec<String> {
            match fixed.get(at) {
                Some(id) if *id != "*" && *id != "**" && !fixed[..at].contains(&"**") => {
                    vec![(*id).to_owned()]
                }
                _ => {
                    let known = known.into_iter().flatten().cloned();
                    std::iter::once(fresh.to_owned()).chain(known).collect()
                }
            }
        };
        let organisations = || -> Vec<String> {
            match fixed[..] {
                ["org", "*" | "**", ..] | [] => {
                    let own = std::iter::once(self.own_organisation.clone());
                    let others = self.organisations.iter().cloned();
                    let others = others.filter(|id| *id != self.own_organisation);
                    own.chain(others).chain([self.fresh.clone()]).collect()
                }
                ["org", id, ..] => vec![id.to_owned()],
                _ => Vec::new(),
            }
        };
        let mut paths = Vec::new();
        for kind in kinds {
            match kind {
                Kind::Organisation => {
                    paths.extend(organisations().iter().map(|org| format!("org/{org}")));
                }
                Kind::User => {
                    let known = self.owned.get("user");
                    let all = ids(1, known, &self.fresh);
                    paths.extend(all.iter().map(|id| format!("user/{id}")));
                }
                Kind::SystemPolicy => {
                    let known = self.owned.get("system");
                    let all = ids(2, known, &self.fresh);
                    paths.extend(all.iter().map(|id| format!("policy/system/{id}")));
                }
                Kind::Owned(kind) | Kind::Below(kind, _) if
                    // Another type is named: nothing to find.
                    fixed.get(2).is_some_and(|own| {
                        own != kind && *own != "**" && *own != "*" && !fixed[..2].contains(&"**")
                    }) => {}
                Kind::Owned(of) => {
                    let (orgs, own) = (organisations(), ids(3, self.owned.get(*of), &self.fresh));
                    is_few(orgs.len().saturating_mul(own.len()))?;
                    for org in orgs {
                        paths.extend(own.iter().map(|id| format!("org/{org}/{of}/{id}")));
                    }
                }
                Kind::Below(of, below) => {
                    let fresh = match *below {
                        "access_key" => &self.fresh_key,
                        _ => &self.fresh,
                    };
                    let (orgs, own) = (organisations(), ids(3, self.owned.get(*of), &self.fresh));
                    let lasts = ids(5, Some(&self.below), fresh);
                    let count = orgs.len().saturating_mul(own.len());
                    is_few(count.saturating_mul(lasts.len()))?;
                    for org in orgs {
                        for id in &own {
                            let all = lasts.iter();
                            paths.extend(all.map(|last| format!("org/{org}/{of}/{id}/{below}/{last}")));
                        }
                    }
                }
            }
        }
        if let Some(within) = within {
            paths.retain(|path| within.matches(path));
        }
        Ok(paths)
    }
}

/// Which places may have something in common.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    /// Patterns of one owned thing or what lies below it, by the path of that thing.
    literal: HashMap<String, Vec<usize>>,
    /// All others.
    wild: Vec<usize>,
    count: usize,
}

/// The path of the thing that a pattern without wildcards up to there is about.
fn thing(pattern: &ResourcePattern) -> Option<String> {
    let segments: Vec<&str> = pattern.full().split('/').take(4).collect();
    let literal = segments.len() == 4 && !segments.iter().any(|s| s.starts_with('*'));
    literal.then(|| segments.join("/"))
}

impl Neighbours {
    pub(crate) fn new(places: &[Place<'_>]) -> Self {
        let mut own = Self {
            count: places.len(),
            ..Self::default()
        };
        for (number, place) in places.iter().enumerate() {
            match place {
                Place::Resource(pattern) if let Some(thing) = thing(pattern) => {
                    own.literal.entry(thing).or_default().push(number);
                }
                _ => own.wild.push(number),
            }
        }
        own
    }

    /// Places that may overlap this one, itself included.
    pub(crate) fn of(&self, place: &Place<'_>) -> Vec<usize> {
        match place {
            Place::Resource(pattern) => match thing(pattern) {
                Some(thing) => {
                    let beside = self.literal.get(&thing).into_iter().flatten();
                    beside.chain(&self.wild).copied().collect()
                }
                None => (0..self.count).collect(),
            },
            _ => (0..self.count).collect(),
        }
    }
}
