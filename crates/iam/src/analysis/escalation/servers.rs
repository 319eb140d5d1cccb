//! Scripts, commands and changes that concern the server itself, and copies of what is in it.

use std::sync::Arc;

use keyward_policy::Touch;

use super::{Actor, Escalation, EscalationStep, Means, Search, State};
use crate::change::Change;
use crate::ids::DatabaseIx;
use crate::snapshots::{Existing, SnapshotState};

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
        found.extend(self.by_snapshots(state, path, &actors));
        found
    }

    /// Reading what a database keeps from everybody that it controls by restoring a snapshot into
    /// one that it may read.
    fn by_snapshots(&self, state: &State, path: &Arc<str>, actors: &[&Actor]) -> Vec<Escalation> {
        let directory = &state.directory;
        let Some(copy) = keyward_commands::action("kvdb:CreateSnapshot") else {
            return Vec::new();
        };
        let reads = |actor: &Actor, database: &str| {
            let at = self.circumstances[actor.when].at;
            let grounds = directory.grounds(&actor.session, database, false, at);
            grounds.holds_keyspace(copy, false)
        };
        let own = format!("org/{}/", self.organisation);
        let mut found = Vec::new();
        for (_, snapshot) in directory.snapshots() {
            let Some(source) = directory.database(snapshot.database) else {
                continue;
            };
            let ready = matches!(snapshot.state, SnapshotState::Ready { .. });
            let known = || actors.iter().any(|actor| reads(actor, &source.path));
            if !ready || !source.path.starts_with(&own) || known() {
                continue;
            }
            let targets = || directory.databases().map(|(_, database)| &database.path);
            let mut steps = actors.iter().filter_map(|actor| {
                let when = &self.circumstances[actor.when];
                let restore = |target: &Arc<str>| Change::RestoreSnapshot {
                    path: snapshot.path.to_string(),
                    target: target.to_string(),
                    existing: Existing::Replace,
                };
                let (target, approval) =
                    targets()
                        .filter(|target| reads(actor, target))
                        .find_map(|target| {
                            let change = restore(target);
                            let session = &actor.session;
                            let approved = directory.authorise_change(session, &change, when.at);
                            Some((target, approved.ok()?))
                        })?;
                let needs = approval.requirements.into_iter();
                let mut steps = actor.assumed.clone();
                steps.push(EscalationStep {
                    by: Arc::clone(&directory.identity(actor.ix)?.path),
                    needs: needs.map(|need| (need.action, need.resource)).collect(),
                    statements: Vec::new(),
                    text: format!(
                        "reads all of {} by restoring {} into {target}",
                        source.path, snapshot.path
                    ),
                    change: Some(restore(target)),
                    opens: None,
                    ask: None,
                    token: None,
                    when: when.clone(),
                });
                Some(steps)
            });
            found.extend(steps.next().map(|steps| Escalation {
                identity: Arc::clone(path),
                means: Means::Snapshot,
                steps,
                gain: None,
            }));
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
