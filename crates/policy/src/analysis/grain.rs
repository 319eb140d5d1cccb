//! Documents in grains: statements cut into one place, one set of key fields and one set of
//! conditions each, equal ones joined. Order, splitting and merging of statements are gone then,
//! and so is everything that two documents have in common.

use std::collections::{HashMap, HashSet};

use keyward_commands::{ActionBits, ActionId};

use super::product::{Exhausted, Work};
use crate::{
    Clause, Conditions, Effect, Glob, IdentityPattern, KeyPatterns, Policy, ResourcePattern,
    Statement, Template, Templates,
};

/// Where statements speak.
#[derive(Clone, Debug)]
pub(crate) enum Place<'a> {
    Resource(&'a ResourcePattern),
    /// A resource with variables, of this statement.
    Template(&'a Statement),
    Identity(&'a IdentityPattern),
}

/// A part of a statement.
#[derive(Clone, Debug)]
pub(crate) struct Grain<'a> {
    pub(crate) effect: Effect,
    pub(crate) place: usize,
    pub(crate) fields: usize,
    pub(crate) guard: usize,
    pub(crate) actions: ActionBits,
    /// The first statement that says so.
    pub(crate) statement: &'a Statement,
    /// Others that say so of other actions.
    more: Vec<&'a Statement>,
    /// The one pattern that this part of a Deny is about.
    pub(crate) part: Option<Box<KeyPatterns>>,
}

impl<'a> Grain<'a> {
    /// All statements that say so, each of some of the actions.
    pub(crate) fn statements(&self) -> impl Iterator<Item = &'a Statement> {
        std::iter::once(self.statement).chain(self.more.iter().copied())
    }

    /// Where the statement begins that says so of an action.
    pub(crate) fn line_of(&self, action: ActionId) -> u32 {
        let mut all = self.statements();
        let own = all.find(|statement| statement.actions.contains(action));
        own.unwrap_or(self.statement).line
    }

    fn patterns(&self) -> Option<&KeyPatterns> {
        self.part.as_deref().or(self.statement.keys.as_ref())
    }

    fn lists(&self) -> [&[Glob]; 4] {
        match self.patterns() {
            Some(fields) => [
                &fields.keys,
                &fields.read_keys,
                &fields.write_keys,
                &fields.channels,
            ],
            None => [&[]; 4],
        }
    }

    /// On Allows: whether its key fields have in them all that the other's have, word for word.
    pub(crate) fn has_all_patterns_of(&self, other: &Self) -> bool {
        let (Some(_), Some(_)) = (self.patterns(), other.patterns()) else {
            return self.fields == NONE;
        };
        let (own, theirs) = (self.lists(), other.lists());
        let templates = |grain: &Self, which: usize| -> HashSet<&'a str> {
            let templates = grain.statement.templates.as_deref();
            let list = templates.map_or(&[][..], |templates| of_field(templates, which));
            list.iter().map(Template::text).collect()
        };
        (0..4).all(|which| {
            let texts = own[which].iter().map(Glob::text).collect::<HashSet<_>>();
            let mut globs = theirs[which].iter();
            globs.all(|glob| texts.contains(glob.text()))
                && templates(other, which).is_subset(&templates(self, which))
        })
    }

    /// What [`Self::has_all_patterns_of`] costs, about.
    pub(crate) fn comparing(&self) -> usize {
        let templates = self.statement.templates.as_deref();
        let patterns: usize = self.lists().iter().map(|list| list.len()).sum();
        30 * (patterns + templates.map_or(0, |templates| templates.all().count()))
    }

    /// Its patterns without variables.
    pub(crate) fn globs(&self) -> impl Iterator<Item = &Glob> {
        self.lists().into_iter().flatten()
    }

    fn has_key_templates(&self) -> bool {
        let templates = self.statement.templates.as_deref();
        self.part.is_none()
            && templates.is_some_and(|t| (0..4).any(|which| !of_field(t, which).is_empty()))
    }

    /// What it says of calls that name nothing: which of its lists have patterns.
    fn shape(&self) -> [bool; 4] {
        self.lists().map(|list| !list.is_empty())
    }
}

/// Names of what two documents speak of, the same for both.
#[derive(Debug, Default)]
pub(crate) struct Names<'a> {
    pub(crate) places: Vec<Place<'a>>,
    place_keys: HashMap<String, usize>,
    field_keys: HashMap<Vec<u8>, usize>,
    guard_keys: HashMap<String, usize>,
}

/// The fields or the guard that is none.
pub(crate) const NONE: usize = 0;

/// What makes grains one.
type Key = (Effect, usize, usize, usize);

/// One document in grains.
#[derive(Debug)]
pub(crate) struct Grains<'a> {
    pub(crate) policy: &'a Policy,
    /// Work to ask all of its statements.
    pub(crate) weight: usize,
    pub(crate) all: Vec<Grain<'a>>,
    by_key: HashMap<Key, usize>,
    /// Allows and denies by place.
    allows: HashMap<usize, AtPlace>,
    denies: HashMap<usize, AtPlace>,
}

/// Grains with one effect at one place.
#[derive(Debug, Default)]
struct AtPlace {
    all: Vec<usize>,
    /// If they are many.
    order: std::cell::OnceCell<Box<Order>>,
}

/// Many grains by what the keys and channels begin with that they are about.
#[derive(Debug, Default)]
struct Order {
    /// The literal beginnings of patterns, sorted.
    beginnings: Vec<(Box<[u8]>, usize)>,
    /// About all keys, or about some that are not known yet.
    everywhere: Vec<usize>,
    /// Of those that say the same of calls that name nothing, enough for all their actions.
    telling: Vec<usize>,
}

/// More grains than this at one place are found by what their patterns begin with.
const MANY: usize = 32;

impl<'a> Names<'a> {
    fn place(&mut self, key: String, place: Place<'a>) -> usize {
        let places = &mut self.places;
        *self.place_keys.entry(key).or_insert_with(|| {
            places.push(place);
            places.len() - 1
        })
    }

    fn fields(
        &mut self,
        effect: Effect,
        statement: &Statement,
    ) -> Vec<(usize, Option<KeyPatterns>)> {
        let Some(fields) = &statement.keys else {
            return vec![(NONE, None)];
        };
        let templates = statement.templates.as_deref();
        let templates = templates.filter(|t| (0..4).any(|which| !of_field(t, which).is_empty()));
        if effect == Effect::Allow && templates.is_none() && fields.covers_everything() {
            return vec![(NONE, None)];
        }
        let mut number = |key: Vec<u8>| {
            let next = self.field_keys.len() + 1;
            *self.field_keys.entry(key).or_insert(next)
        };
        let lists = [
            &fields.keys,
            &fields.read_keys,
            &fields.write_keys,
            &fields.channels,
        ];
        if effect == Effect::Deny && templates.is_none() {
            // Any pattern of a Deny denies by itself.
            let mut parts = Vec::new();
            for (which, list) in lists.into_iter().enumerate() {
                for glob in list {
                    let key = [&[b'D', which as u8], glob.text()].concat();
                    let one: Box<[Glob]> = [glob.clone()].into();
                    let mut part = KeyPatterns::default();
                    match which {
                        0 => part.keys = one,
                        1 => part.read_keys = one,
                        2 => part.write_keys = one,
                        _ => part.channels = one,
                    }
                    parts.push((number(key), Some(part)));
                }
            }
            return parts;
        }
        let mut key = vec![b'A'];
        for (which, list) in lists.into_iter().enumerate() {
            let mut texts: Vec<&[u8]> = list.iter().map(Glob::text).collect();
            let own = templates.iter().flat_map(|t| of_field(t, which));
            let own: Vec<String> = own.map(|t| format!("${}", t.text())).collect();
            texts.sort_unstable();
            texts.dedup();
            for text in texts {
                key.extend_from_slice(&(text.len() as u32).to_le_bytes());
                key.extend_from_slice(text);
            }
            let mut own = own;
            own.sort_unstable();
            own.dedup();
            for text in own {
                key.extend_from_slice(b"\xff\xff\xff\xff");
                key.extend_from_slice(&(text.len() as u32).to_le_bytes());
                key.extend_from_slice(text.as_bytes());
            }
            key.extend_from_slice(b"\xfe\xff\xff\xff");
        }
        if templates.is_some() {
            key.push(if effect == Effect::Deny { 1 } else { 0 });
        }
        vec![(number(key), None)]
    }

    fn guard(&mut self, conditions: Option<&Conditions>) -> usize {
        let Some(conditions) = conditions.filter(|c| !c.clauses().is_empty()) else {
            return NONE;
        };
        let clause = |clause: &Clause| {
            let mut values: Vec<&str> = clause.values().iter().map(|v| v.text()).collect();
            values.sort_unstable();
            values.dedup();
            let (dialect, key) = (clause.dialect(), clause.key.folded());
            format!("{} {dialect} {key} {values:?}", clause.operator_name())
        };
        let mut clauses: Vec<String> = conditions.clauses().iter().map(clause).collect();
        clauses.sort_unstable();
        clauses.dedup();
        let next = self.guard_keys.len() + 1;
        *self.guard_keys.entry(clauses.join("\n")).or_insert(next)
    }
}

/// The templates of `Keys`, `ReadKeys`, `WriteKeys` and `Channels`, in this order.
fn of_field(templates: &Templates, which: usize) -> &[Template] {
    match which {
        0 => &templates.keys,
        1 => &templates.read_keys,
        2 => &templates.write_keys,
        _ => &templates.channels,
    }
}

impl<'a> Grains<'a> {
    pub(crate) fn new(
        policy: &'a Policy,
        names: &mut Names<'a>,
        work: &mut Work,
    ) -> Result<Self, Exhausted> {
        let mut grains = Self {
            policy,
            weight: 0,
            all: Vec::new(),
            by_key: HashMap::new(),
            allows: HashMap::new(),
            denies: HashMap::new(),
        };
        for statement in policy.statements() {
            let fields = names.fields(statement.effect, statement);
            let guard = names.guard(statement.conditions.as_ref());
            let mut places = Vec::new();
            let templates = statement.templates.as_deref();
            let filled = templates.map_or(0, |templates| templates.all().count());
            grains.weight +=
                50 + 8 * (statement.resources.len() + statement.identities.len()) + 100 * filled;
            for pattern in &statement.resources {
                let key = format!("r{}", pattern.full());
                places.push(names.place(key, Place::Resource(pattern)));
            }
            for template in statement.templates.iter().flat_map(|t| &t.resources) {
                let key = format!("t{}", template.text());
                places.push(names.place(key, Place::Template(statement)));
            }
            for pattern in &statement.identities {
                let key = match pattern {
                    IdentityPattern::Path(path) => format!("i{path}"),
                    IdentityPattern::Everyone => "*".to_owned(),
                    IdentityPattern::Unauthenticated => "-".to_owned(),
                };
                places.push(names.place(key, Place::Identity(pattern)));
            }
            work.spend(200 * (1 + places.len() * fields.len()))?;
            for place in &places {
                for (fields, part) in &fields {
                    grains.add(statement, *place, *fields, guard, part.as_ref());
                }
            }
        }
        Ok(grains)
    }

    fn add(
        &mut self,
        statement: &'a Statement,
        place: usize,
        fields: usize,
        guard: usize,
        part: Option<&KeyPatterns>,
    ) {
        let key = (statement.effect, place, fields, guard);
        if let Some(known) = self.by_key.get(&key) {
            let grain = &mut self.all[*known];
            if !statement.actions.subtract(&grain.actions).is_empty() {
                grain.actions = grain.actions.union(&statement.actions);
                grain.more.push(statement);
            }
            return;
        }
        let number = self.all.len();
        self.by_key.insert(key, number);
        let by_place = match statement.effect {
            Effect::Allow => &mut self.allows,
            Effect::Deny => &mut self.denies,
        };
        by_place.entry(place).or_default().all.push(number);
        self.all.push(Grain {
            effect: statement.effect,
            place,
            fields,
            guard,
            actions: statement.actions.clone(),
            statement,
            more: Vec::new(),
            part: part.cloned().map(Box::new),
        });
    }

    /// Grains with that effect at a place that can matter for what a grain is about.
    pub(crate) fn near(
        &self,
        effect: Effect,
        place: usize,
        of: &Grain<'_>,
        work: &mut Work,
    ) -> Result<Vec<usize>, Exhausted> {
        let by_place = match effect {
            Effect::Allow => &self.allows,
            Effect::Deny => &self.denies,
        };
        let Some(at) = by_place.get(&place) else {
            return Ok(Vec::new());
        };
        if at.all.len() <= MANY || of.fields == NONE || of.has_key_templates() {
            return Ok(at.all.clone());
        }
        let order = at.order.get_or_init(|| Box::new(self.order(&at.all)));
        let mut near: Vec<usize> = Vec::new();
        for glob in of.globs() {
            let own = glob.literal_prefix();
            let list = &order.beginnings;
            let before = near.len();
            let from = list.partition_point(|(other, _)| **other < *own);
            let longer = list[from..]
                .iter()
                .take_while(|(other, _)| other.starts_with(own));
            near.extend(longer.map(|(_, grain)| *grain));
            for len in 0..own.len() {
                let from = list.partition_point(|(other, _)| **other < own[..len]);
                let same = list[from..]
                    .iter()
                    .take_while(|(other, _)| **other == own[..len]);
                near.extend(same.map(|(_, grain)| *grain));
            }
            work.spend(100 + 50 * own.len() + 20 * (near.len() - before))?;
        }
        near.extend(&order.everywhere);
        near.extend(&order.telling);
        near.sort_unstable();
        near.dedup();
        Ok(near)
    }

    fn order(&self, all: &[usize]) -> Order {
        let mut order = Order::default();
        let mut told: HashMap<(usize, [bool; 4]), ActionBits> = HashMap::new();
        for number in all {
            let grain = &self.all[*number];
            if grain.fields == NONE || grain.has_key_templates() {
                order.everywhere.push(*number);
                continue;
            }
            for glob in grain.globs() {
                order
                    .beginnings
                    .push((glob.literal_prefix().into(), *number));
            }
            let known = told.entry((grain.guard, grain.shape())).or_default();
            if !grain.actions.is_subset_of(known) {
                *known = known.union(&grain.actions);
                order.telling.push(*number);
            }
        }
        order.beginnings.sort_unstable();
        order
    }

    /// The actions of the grain that says the same of the same.
    pub(crate) fn same(&self, grain: &Grain<'_>) -> Option<&ActionBits> {
        let key = (grain.effect, grain.place, grain.fields, grain.guard);
        self.by_key.get(&key).map(|same| &self.all[*same].actions)
    }
}
