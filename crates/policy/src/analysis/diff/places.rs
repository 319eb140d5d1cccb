//! Where a grain speaks, as far as patterns tell places apart.

use keyward_commands::ActionId;

use super::direction::Direction;
use crate::analysis::grain::{Grain, Place};
use crate::analysis::place::kinds;
use crate::analysis::product::Exhausted;
use crate::analysis::request::names as names_identity;
use crate::facts::Facts;
use crate::{Effect, ResourcePattern};

/// Where a request is made: a path, or, of resource policies, who asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Where {
    Path(String),
    Who(String),
}

/// What stands for the value of a variable.
pub(super) const SAMPLE: &str = "alice";

impl<'d, 'a> Direction<'d, 'a> {
    /// Where a grain speaks, as far as patterns tell places apart.
    pub(super) fn places(
        &mut self,
        grain: &Grain<'a>,
        action: ActionId,
    ) -> Result<Vec<Where>, Exhausted> {
        self.work.spend(200 * self.asking(grain))?;
        let places = self.all_places(grain, action)?;
        self.work.spend(100 * places.len())?;
        Ok(places)
    }

    fn all_places(&self, grain: &Grain<'a>, action: ActionId) -> Result<Vec<Where>, Exhausted> {
        let organisation = self.to.policy.organisation();
        let places = match &self.names.places[grain.place] {
            Place::Resource(pattern) => {
                let paths = self.ids.paths(kinds(action), Some(pattern))?;
                paths.into_iter().map(Where::Path).collect()
            }
            Place::Template(statement) => {
                let templates = statement.templates.iter().flat_map(|t| &t.resources);
                let samples = templates.filter_map(|template| {
                    ResourcePattern::parse(&template.sample(SAMPLE), organisation).ok()
                });
                let mut paths = Vec::new();
                for pattern in samples {
                    paths.extend(self.ids.paths(kinds(action), Some(&pattern))?);
                }
                paths.extend(self.ids.paths(kinds(action), None)?);
                paths.into_iter().map(Where::Path).collect()
            }
            Place::Identity(pattern) => {
                let named = || {
                    self.names.places.iter().filter_map(|place| match place {
                        Place::Identity(crate::IdentityPattern::Path(path)) => {
                            Some(path.to_string())
                        }
                        _ => None,
                    })
                };
                let fresh = format!(
                    "org/{organisation}/programmatic_identity/{}",
                    self.ids.fresh()
                );
                let nobody = || "unauthenticated".to_owned();
                let who: Vec<String> = match pattern {
                    crate::IdentityPattern::Path(path) => vec![path.to_string()],
                    crate::IdentityPattern::Unauthenticated => vec![nobody()],
                    crate::IdentityPattern::Everyone if grain.effect == Effect::Deny => {
                        let all = std::iter::once(fresh).chain(named());
                        all.chain([nobody()]).collect()
                    }
                    crate::IdentityPattern::Everyone => {
                        std::iter::once(fresh).chain(named()).collect()
                    }
                };
                who.into_iter().map(Where::Who).collect()
            }
        };
        Ok(places)
    }

    /// What [`Self::is_at`] costs, counted in patterns: a statement's resources with variables are
    /// filled in each time.
    pub(super) fn asking(&self, grain: &Grain<'a>) -> usize {
        let Place::Template(statement) = &self.names.places[grain.place] else {
            return 1;
        };
        let templates = statement.templates.as_deref();
        let filled = templates.map_or(0, |templates| templates.resources.len());
        1 + 8 * filled + statement.resources.len()
    }

    /// Whether a grain speaks there; of a resource with variables `None` without their values.
    pub(super) fn is_at(&self, grain: &Grain<'a>, at: &Where, facts: &dyn Facts) -> Option<bool> {
        match (&self.names.places[grain.place], at) {
            (Place::Resource(pattern), Where::Path(path)) => Some(pattern.matches(path)),
            (Place::Template(statement), Where::Path(path)) => statement.concerns(path, facts),
            (Place::Identity(pattern), Where::Who(who)) => {
                Some(names_identity(pattern, grain.effect, who))
            }
            _ => Some(false),
        }
    }
}

/// Whether two places may have something in common.
pub(super) fn overlap(a: &Place<'_>, b: &Place<'_>) -> bool {
    match (a, b) {
        (Place::Resource(a), Place::Resource(b)) => {
            for (a, b) in a.full().split('/').zip(b.full().split('/')) {
                match (a, b) {
                    ("**", _) | (_, "**") => return true,
                    ("*", _) | (_, "*") => {}
                    (a, b) if a != b => return false,
                    _ => {}
                }
            }
            true
        }
        (Place::Identity(crate::IdentityPattern::Path(a)), Place::Identity(b)) => match b {
            crate::IdentityPattern::Path(b) => a == b,
            crate::IdentityPattern::Everyone => true,
            crate::IdentityPattern::Unauthenticated => false,
        },
        _ => true,
    }
}

/// Whether one place is sure to cover another.
pub(super) fn covers(wide: &Place<'_>, narrow: &Place<'_>) -> bool {
    match (wide, narrow) {
        (Place::Resource(wide), Place::Resource(narrow)) => {
            if wide.full() == narrow.full() {
                return true;
            }
            let literal = !narrow.full().contains('*');
            // One thing and what lies below it.
            literal && narrow.full().split('/').count() > 2 && wide.matches(narrow.full())
        }
        (Place::Identity(wide), Place::Identity(narrow)) => wide == narrow,
        _ => false,
    }
}
