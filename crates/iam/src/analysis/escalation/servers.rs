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
        }
        found
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
        let action = keyward_commands::action(name)?;
        let when = &self.circumstances[actor.when];
        let directory = &state.directory;
        if name == "kvdb:ExecuteEval" {
            let script = ["EVAL", "return 1", "0"];
            let call = &crate::Call::at(when.at);
            let runs = directory.decide_command(&actor.session, ix, &script, false, call);
            runs.is_allow().then_some(())?;
        }
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
            when: when.clone(),
        });
        Some(steps)
    }
}
