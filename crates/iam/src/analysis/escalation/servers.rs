//! Scripts, and commands and changes that concern the server itself.

use std::sync::Arc;

use keyward_policy::Touch;

use super::{Actor, Escalation, EscalationStep, Means, Search, State};
use crate::ids::DatabaseIx;

impl Search<'_> {
    /// Scripts, and commands and changes that concern the server itself.
    pub(super) fn on_servers(&self, state: &State, path: &Arc<str>) -> Vec<Escalation> {
        let mut found: Vec<Escalation> = Vec::new();
        // Whoever owns the organisation gains nothing by it.
        let owner = state
            .directory
            .owner_of(&format!("org/{}", self.organisation));
        if state.controlled.first().map(|actor| actor.ix) == owner {
            return found;
        }
        let mut actors: Vec<&Actor> = state.controlled.iter().collect();
        actors.sort_by_key(|actor| (actor.assumed.len(), actor.when));
        let own = format!("org/{}/", self.organisation);
        let databases = state.directory.databases();
        for (ix, database) in databases.filter(|(_, database)| database.path.starts_with(&own)) {
            let administered = self.administration && database.administration;
            let path_of = &database.path;
            let (name, text) = match administered {
                true => (
                    "kvdb:ExecuteConfigSet",
                    format!("administers the server of {path_of}"),
                ),
                false => (
                    "kvdb:SetAdministration",
                    format!("turns administration on for {path_of}"),
                ),
            };
            let ways = [
                (
                    Means::Scripts,
                    "kvdb:ExecuteEval",
                    format!("runs scripts and functions on {path_of}"),
                ),
                (Means::Administration, name, text),
                (
                    Means::Administration,
                    "kvdb:SetBackend",
                    format!("sends {path_of} to a server of its own"),
                ),
            ];
            for (means, name, text) in ways {
                let mut steps = actors
                    .iter()
                    .filter_map(|actor| self.on_server(state, actor, (ix, path_of), name, &text));
                found.extend(steps.next().map(|steps| Escalation {
                    identity: Arc::clone(path),
                    means,
                    steps,
                    gain: None,
                }));
            }
            found.extend(
                self.by_snapshot(state, &actors, path_of)
                    .map(|steps| Escalation {
                        identity: Arc::clone(path),
                        means: Means::Snapshot,
                        steps,
                        gain: None,
                    }),
            );
        }
        found
    }

    /// How somebody reads, in another database, what it may not read in this one: a snapshot of it is
    /// restored there.
    fn by_snapshot(
        &self,
        state: &State,
        actors: &[&Actor],
        database: &Arc<str>,
    ) -> Option<Vec<EscalationStep>> {
        let directory = &state.directory;
        let own = format!("org/{}/", self.organisation);
        let read = keyward_commands::action("kvdb:ExecuteGet")?;
        let reads = |actor: &Actor, path: &str| {
            let at = self.circumstances[actor.when].at;
            let every = Touch::EveryKey {
                reads: true,
                writes: false,
                enumeration: false,
            };
            directory
                .decide(&actor.session, read, path, &every, at)
                .is_allow()
        };
        if actors.iter().any(|actor| reads(actor, database)) {
            return None;
        }
        let snapshot = format!("{database}/snapshot/escalation");
        let by_any = |name: &str, path: &str, text: &str| {
            let path: Arc<str> = path.into();
            let mut all = actors.iter();
            all.find_map(|actor| self.decided_step(state, actor, name, &path, text))
        };
        let made = by_any(
            "kvdb:CreateSnapshot",
            database,
            &format!("makes a snapshot of {database}"),
        )?;
        let others = directory.databases().map(|(_, other)| &other.path);
        let mut others = others.filter(|other| *other != database && other.starts_with(&own));
        others.find_map(|other| {
            actors.iter().find(|actor| reads(actor, other))?;
            // One call is decided on both, by one and the same.
            actors.iter().find_map(|actor| {
                let name = "kvdb:RestoreSnapshot";
                let text = format!("restores it into {other}, which it reads");
                let mut restored =
                    self.decided_step(state, actor, name, &snapshot.as_str().into(), &text)?;
                let into = self.decided_step(state, actor, name, other, &text)?;
                let (step, into) = (restored.last_mut()?, into.into_iter().next_back()?);
                step.needs.extend(into.needs);
                step.statements.extend(into.statements);
                step.statements.dedup();
                let mut steps = made.clone();
                steps.extend(restored);
                Some(steps)
            })
        })
    }

    /// What somebody does to a server by one action, if it may.
    fn on_server(
        &self,
        state: &State,
        actor: &Actor,
        (ix, path): (DatabaseIx, &Arc<str>),
        name: &str,
        text: &str,
    ) -> Option<Vec<EscalationStep>> {
        if name == "kvdb:ExecuteEval" {
            let script = ["EVAL", "return 1", "0"];
            let call = &crate::Call::at(self.circumstances[actor.when].at);
            let directory = &state.directory;
            let runs = directory.decide_command(&actor.session, ix, &script, false, call);
            runs.is_allow().then_some(())?;
        }
        self.decided_step(state, actor, name, path, text)
    }

    /// A step that is no change of the directory, with how its maker came to act so, if it may make it.
    fn decided_step(
        &self,
        state: &State,
        actor: &Actor,
        name: &str,
        path: &Arc<str>,
        text: &str,
    ) -> Option<Vec<EscalationStep>> {
        let action = keyward_commands::action(name)?;
        let when = &self.circumstances[actor.when];
        let directory = &state.directory;
        let decision = directory.decide(&actor.session, action, path, &Touch::None, when.at);
        decision.is_allow().then_some(())?;
        let mut steps = actor.assumed.clone();
        steps.push(EscalationStep {
            by: Arc::clone(&directory.identity(actor.ix)?.path),
            needs: vec![(action.name(), path.to_string())],
            statements: decision.statements,
            text: text.to_owned(),
            change: None,
            opens: None,
            ask: None,
            token: None,
            when: when.clone(),
        });
        Some(steps)
    }
}
