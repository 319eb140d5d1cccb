//! Scripts, and commands and changes that concern the server itself.

use std::sync::Arc;

use keyward_policy::Touch;

use super::{Escalation, EscalationStep, Means, Search, State};

impl Search<'_> {
    /// Scripts, and commands and changes that concern the server itself.
    pub(super) fn on_servers(&self, state: &State, path: &Arc<str>) -> Vec<Escalation> {
        let mut found = Vec::new();
        let Some(ix) = state.controlled.first() else {
            return found;
        };
        let (ix, session) = (&ix.ix, ix.session.clone());
        // Whoever owns the organisation gains nothing by it.
        if state
            .directory
            .owner_of(&format!("org/{}", self.organisation))
            == Some(*ix)
        {
            return found;
        }
        let own = format!("org/{}/", self.organisation);
        for (database_ix, database) in state.directory.databases() {
            if !database.path.starts_with(&own) {
                continue;
            }
            let decide = |name: &str| {
                let action = keyward_commands::action(name)?;
                let decision =
                    state
                        .directory
                        .decide(&session, action, &database.path, &Touch::None, self.at);
                decision.is_allow().then_some((action.name(), decision))
            };
            let mut add = |means, name: &str, text: String| {
                if let Some((action, decision)) = decide(name) {
                    found.push(Escalation {
                        identity: Arc::clone(path),
                        means,
                        steps: vec![EscalationStep {
                            by: Arc::clone(path),
                            needs: vec![(action, database.path.to_string())],
                            statements: decision.statements,
                            text,
                            change: None,
                            opens: None,
                        }],
                        gain: None,
                    });
                }
            };
            let script = ["EVAL", "return 1", "0"];
            let runs = state
                .directory
                .decide_command(
                    &session,
                    database_ix,
                    &script,
                    false,
                    &crate::Call::at(self.at),
                )
                .is_allow();
            if runs {
                let text = format!("runs scripts and functions on {}", database.path);
                add(Means::Scripts, "kvdb:ExecuteEval", text);
            }
            if self.administration && database.administration {
                let text = format!("administers the server of {}", database.path);
                add(Means::Administration, "kvdb:ExecuteConfigSet", text);
            } else {
                let text = format!("turns administration on for {}", database.path);
                add(Means::Administration, "kvdb:SetAdministration", text);
            }
            let text = format!("sends {} to a server of its own", database.path);
            add(Means::Administration, "kvdb:SetBackend", text);
        }
        found
    }
}
