//! What is decided on all statements at once: what needs the whole database, and connecting.

use std::collections::BTreeSet;

use keyward_commands::{ActionBits, ActionId, CONNECT, CommandId};

use super::actions::{ordinary_keyed, script_actions, snapshot_actions};
use super::assignments::Assignments;
use super::direction::{Direction, Focus};
use super::places::Where;
use super::sides::AllLater;
use super::{Difference, Undecided, UndecidedReason};
use crate::Effect;
use crate::analysis::call::Call;
use crate::analysis::grain::{Grain, NONE};
use crate::analysis::product::Exhausted;
use crate::analysis::request::{allows, whole_database_actions};
use crate::analysis::solve::known_families;

impl<'d, 'a> Direction<'d, 'a> {
    /// What is decided on all statements at once: what needs the whole database, and connecting
    /// where some command is possible. It can change only where a grain did.
    pub(super) fn at_once(&mut self, changed: &[&'d Grain<'a>]) -> Result<(), Exhausted> {
        let mut all = keyward_commands::execute_actions().union(snapshot_actions());
        all.insert(CONNECT);
        let mut seen = BTreeSet::new();
        for grain in changed {
            for at in self.places(grain, CONNECT)? {
                self.work.spend(200)?;
                if !seen.insert(at.clone()) {
                    continue;
                }
                let mut here = Focus {
                    grain,
                    allows: Vec::new(),
                    denies: Vec::new(),
                    others: Vec::new(),
                    implying: Vec::new(),
                };
                for (grains, of_to) in [(self.to, true), (self.from, false)] {
                    for effect in [Effect::Allow, Effect::Deny] {
                        for other in self.overlapping(grains, effect, grain, &all)? {
                            self.work.spend(20 * self.asking(other))?;
                            if self.is_at(other, &at, &AllLater) == Some(false) {
                                continue;
                            }
                            match (effect, of_to) {
                                (Effect::Allow, true) => here.allows.push(other),
                                (Effect::Allow, false) => here.others.push(other),
                                _ => here.denies.push(other),
                            }
                        }
                    }
                }
                self.scripts(&here, &at)?;
                self.snapshots(&here, &at)?;
                self.connecting(&here, &at)?;
            }
        }
        Ok(())
    }

    pub(super) fn scripts(&mut self, here: &Focus<'d, 'a>, at: &Where) -> Result<(), Exhausted> {
        let scripts = script_actions();
        let mut held = ActionBits::EMPTY;
        for grain in &here.allows {
            held = held.union(&grain.actions);
        }
        if !whole_database_actions().is_subset_of(&held) {
            return Ok(());
        }
        let call = |command: CommandId| {
            let family = known_families(command).first()?;
            let slots = family.slots();
            let form = family.form(command, &slots)?;
            let keys = vec![b"key".to_vec(); form.keys.len()];
            form.fill(&keys, &[])
        };
        let of_call = |action: ActionId| action.command().map(|id| (action, call(id)));
        let mut actions: Vec<(ActionId, Option<Call>)> =
            scripts.iter().filter_map(of_call).collect();
        actions.sort_by_key(|(action, _)| action.name() != "kvdb:ExecuteEval");
        self.told_at_once(here, at, &actions)
    }

    /// Making and restoring snapshots, which must be allowed by name and as the use of all keys.
    pub(super) fn snapshots(&mut self, here: &Focus<'d, 'a>, at: &Where) -> Result<(), Exhausted> {
        for action in snapshot_actions().iter() {
            let mut allows = here.allows.iter();
            if allows.any(|grain| grain.actions.contains(action)) {
                self.told_at_once(here, at, &[(action, None)])?;
            }
        }
        Ok(())
    }

    pub(super) fn connecting(&mut self, here: &Focus<'d, 'a>, at: &Where) -> Result<(), Exhausted> {
        let simple = |grain: &&&Grain<'a>| grain.guard == NONE && grain.fields == NONE;
        let denied = !here.denies.is_empty();
        let ordinary = |grain: &&Grain<'a>| grain.actions.intersects(ordinary_keyed());
        if !denied && here.others.iter().filter(simple).any(ordinary) {
            return Ok(()); // it connected before
        }
        let path = match at {
            Where::Path(path) => path.as_str(),
            Where::Who(who) => who.as_str(),
        };
        let known = self.report.differences.iter().any(|difference| {
            let witness = &difference.witness;
            let place = witness.identity.as_deref().unwrap_or(&witness.resource);
            difference.change == self.change && place == path
        });
        if known {
            return Ok(()); // whoever may run a command may connect: not told again
        }
        let call = |action: ActionId| {
            let family = known_families(action.command()?).first()?;
            let slots = family.slots();
            (slots.is_empty()).then(|| family.form(action.command()?, &slots)?.fill(&[], &[]))?
        };
        let mut actions = vec![(CONNECT, None)];
        for action in keyward_commands::connect_only_actions().iter() {
            actions.extend(call(action).map(|call| (action, Some(call))));
        }
        self.told_at_once(here, at, &actions)
    }

    /// Tells a difference in the first of these actions, and which others are the same.
    pub(super) fn told_at_once(
        &mut self,
        here: &Focus<'d, 'a>,
        at: &Where,
        actions: &[(ActionId, Option<Call>)],
    ) -> Result<(), Exhausted> {
        let weight = self.from.weight + self.to.weight;
        let Some((first, _)) = actions.first() else {
            return Ok(());
        };
        let domains = self.domains(here, *first, false)?;
        let Ok(mut assignments) = Assignments::new(&domains) else {
            self.report.undecided.push(Undecided {
                change: self.change,
                actions: actions.iter().map(|(action, _)| *action).collect(),
                in_new: self.is_in_new(here.grain),
                line: here.grain.statement.line,
                reason: UndecidedReason::TooLarge,
            });
            return Ok(());
        };
        while let Some(assignment) = assignments.next() {
            self.work.spend(2 * weight + 1000)?;
            let differs = |action: ActionId, call: &Option<Call>| {
                let request = self.request(action, call.clone(), at, &assignment);
                let differs =
                    allows(self.to.policy, &request) && !allows(self.from.policy, &request);
                differs.then_some(request)
            };
            let Some(witness) = differs(actions[0].0, &actions[0].1) else {
                continue;
            };
            let also = actions[1..]
                .iter()
                .filter(|(action, call)| differs(*action, call).is_some());
            let also = also.map(|(action, _)| *action).collect();
            self.report.differences.push(Difference {
                change: self.change,
                witness,
                also,
                in_new: self.is_in_new(here.grain),
                line: here.grain.statement.line,
            });
            return Ok(());
        }
        Ok(())
    }
}
