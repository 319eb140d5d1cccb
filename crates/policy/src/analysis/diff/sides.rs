//! What grains say once the values of condition keys are put in.

use std::borrow::Cow;

use super::assignments::assigned;
use crate::analysis::grain::{Grain, NONE};
use crate::analysis::request::{Assignment, Variable};
use crate::analysis::solve::Part;
use crate::analysis::values::Domain;
use crate::condition::Fact;
use crate::facts::{Facts, Found};
use crate::{
    ConditionKey, Effect, Glob, KeyFields, KeyPatterns, Statement, Template, check_pattern,
};

/// Nothing is known.
pub(super) struct AllLater;

impl Facts for AllLater {
    fn find(&self, _: &ConditionKey) -> Found<'_> {
        Found::Later
    }
}

/// The parts of a focus, with all values of condition keys put in.
#[derive(Clone)]
pub(super) struct Sides<'a> {
    pub(super) grain: Part<'a>,
    pub(super) allows: Vec<Part<'a>>,
    pub(super) denies: Vec<Part<'a>>,
    pub(super) others: Vec<Part<'a>>,
}

impl<'a> Sides<'a> {
    /// The patterns of the grain, each with whether it is of channels.
    pub(super) fn patterns(&self) -> Vec<(&Glob, bool)> {
        let Some(fields) = &self.grain.fields else {
            return Vec::new();
        };
        let keys = fields
            .keys
            .iter()
            .chain(&fields.read_keys)
            .chain(&fields.write_keys);
        let channels = fields.channels.iter().map(|glob| (glob, true));
        keys.map(|glob| (glob, false)).chain(channels).collect()
    }
}

/// What a grain says with these values; `None` if its conditions do not hold, whatever the keys
/// are. With `open` domains what depends on them is as wide as it can be, or as narrow.
pub(super) fn part<'a>(
    grain: &Grain<'a>,
    assignment: &Assignment,
    open: Option<(&[Domain], bool)>,
) -> Option<Part<'a>> {
    let statement = grain.statement;
    let facts = assigned(assignment);
    let is_open = |key: &ConditionKey| {
        open.is_some_and(|(domains, _)| {
            let variable = Variable::of(key);
            domains
                .iter()
                .any(|domain| domain.variable == variable && !domain.complete)
        })
    };
    let wide = open.is_some_and(|(_, wide)| wide);
    let mut clauses = Vec::new();
    for clause in statement
        .conditions
        .iter()
        .flat_map(|conditions| conditions.clauses())
    {
        let mut variables = clause.values().iter().flat_map(|value| value.variables());
        if is_open(&clause.key) || variables.any(is_open) {
            if wide {
                continue;
            }
            return None;
        }
        if clause.key.fact().is_of_touch() || *clause.key.fact() == Fact::KeyCount {
            let fixed = clause.values().iter().all(|value| value.is_fixed());
            clauses.push(match fixed {
                true => Cow::Borrowed(clause),
                false => Cow::Owned(clause.resolved(&facts)?),
            });
        } else if clause.holds(grain.effect, &facts) != Some(true) {
            return None;
        }
    }
    let fields = match &grain.part {
        Some(part) => Some(Cow::Owned(KeyPatterns::clone(part))),
        None if grain.fields == NONE => None,
        None => {
            let templates = statement.templates.as_deref();
            let variables = templates.into_iter().flat_map(|templates| templates.all());
            if variables
                .flat_map(|template| template.variables())
                .any(is_open)
            {
                bounds(statement, wide)
            } else {
                match statement.key_fields(&facts) {
                    KeyFields::Unrestricted => None,
                    KeyFields::Patterns(fields) => Some(fields),
                    KeyFields::Later => return None,
                }
            }
        }
    };
    Some(Part {
        effect: grain.effect,
        fields,
        clauses,
    })
}

/// The key fields of a statement whose variables are not known, as wide as they can be, or as
/// narrow.
pub(super) fn bounds(statement: &Statement, wide: bool) -> Option<Cow<'_, KeyPatterns>> {
    let fixed = statement.keys.as_ref()?;
    if !wide {
        return Some(Cow::Borrowed(fixed));
    }
    // In a Deny a variable that is missing matches everything.
    let templates = statement.templates.as_deref()?;
    if statement.effect == Effect::Deny {
        return None;
    }
    // What is put in is not empty, and never the lone `*`.
    let widened = |globs: &[Glob], templates: &[Template]| -> Option<Box<[Glob]>> {
        let texts = templates
            .iter()
            .map(|template| template.sample("?*").into_bytes());
        let own = texts.map(|text| check_pattern(&text).is_ok().then(|| Glob::new(&text)));
        globs.iter().cloned().map(Some).chain(own).collect()
    };
    Some(Cow::Owned(KeyPatterns {
        keys: widened(&fixed.keys, &templates.keys)?,
        read_keys: widened(&fixed.read_keys, &templates.read_keys)?,
        write_keys: widened(&fixed.write_keys, &templates.write_keys)?,
        channels: widened(&fixed.channels, &templates.channels)?,
    }))
}
