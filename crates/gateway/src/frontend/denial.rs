//! What a client is told that may not do what it asked for, and what is recorded of it.

use keyward_commands::{CommandId, Words as _, touched};
use keyward_iam::{Decision, DecisionRecord, Outcome, Subject};
use keyward_resp::encode;

use super::client::{Access, Client, Flow, Turn, is_http};
use super::words::RequestWords;
use crate::metrics::count;

/// Keys kept of one request.
const KEPT_KEYS: usize = 8;
/// Bytes kept of one key.
const KEPT_KEY_BYTES: usize = 256;
/// Bytes of an unknown command's words that its error quotes.
///
/// Source: the server quotes at most 128 bytes of the name and of all arguments together.
const QUOTED: usize = 128;

impl Client {
    /// Refuses a command that the decision table refuses: explains, records, answers `NOPERM`.
    pub(crate) fn deny(
        &mut self,
        words: RequestWords<'_>,
        command: Option<CommandId>,
        turn: &mut Turn<'_>,
    ) {
        let Some((id, decision)) = self.explain(words, turn) else {
            self.refuse("NOAUTH Authentication required.", turn);
            return;
        };
        let name = command.map_or("", |command| command.command().name);
        let principal = self.principal(turn);
        let text = nopermission(&principal, name, &decision, &id);
        self.record(id, principal, words, command, decision, turn);
        self.refuse(&text, turn);
    }

    /// Refuses a subscription that the policy allows by its channels, because of what they tell.
    pub(crate) fn deny_channel(
        &mut self,
        words: RequestWords<'_>,
        command: CommandId,
        why: &str,
        turn: &mut Turn<'_>,
    ) {
        let Some((id, mut decision)) = self.explain(words, turn) else {
            return;
        };
        decision.outcome = Outcome::ImplicitDeny;
        decision.subject = Subject::Channel;
        decision.message = why.to_owned();
        decision.public_message = why.to_owned();
        let principal = self.principal(turn);
        let text = nopermission(&principal, command.command().name, &decision, &id);
        self.record(id, principal, words, Some(command), decision, turn);
        self.refuse(&text, turn);
    }

    /// Records that a command was allowed, for those who watch.
    pub(crate) fn record_allowed(&mut self, words: RequestWords<'_>, turn: &mut Turn<'_>) {
        if let Some((id, decision)) = self.explain(words, turn) {
            let command = keyward_commands::resolve(&words).ok();
            let principal = self.principal(turn);
            self.record(id, principal, words, command, decision, turn);
        }
    }

    /// Records a denial whose reply says something else.
    pub(crate) fn record_denied(
        &mut self,
        words: RequestWords<'_>,
        command: Option<CommandId>,
        turn: &mut Turn<'_>,
    ) {
        if let Some((id, decision)) = self.explain(words, turn) {
            let principal = self.principal(turn);
            self.record(id, principal, words, command, decision, turn);
        }
    }

    fn explain(&self, words: RequestWords<'_>, turn: &Turn<'_>) -> Option<(String, Decision)> {
        let Access::Open(open) = &self.access else {
            return None;
        };
        let directory = turn.shared.directory.load();
        let decision = directory.decide_command(
            &open.session,
            open.database,
            &words,
            turn.settings.allow_administration,
            &self.call(turn.now),
        );
        Some((keyward_auth::decision_id(), decision))
    }

    pub(crate) fn principal(&self, turn: &Turn<'_>) -> String {
        match &self.access {
            Access::Open(open) => turn
                .shared
                .directory
                .load()
                .principal_path(open.session.principal)
                .to_owned(),
            Access::Closed(_) => "unauthenticated".to_owned(),
        }
    }

    fn record(
        &self,
        id: String,
        principal: String,
        words: RequestWords<'_>,
        command: Option<CommandId>,
        decision: Decision,
        turn: &mut Turn<'_>,
    ) {
        let Access::Open(open) = &self.access else {
            return;
        };
        let counter = match decision.outcome {
            Outcome::ExplicitDeny => Some(&turn.metrics.explicitly_denied),
            Outcome::ImplicitDeny => Some(&turn.metrics.implicitly_denied),
            Outcome::Allow => None,
        };
        if let Some(counter) = counter {
            count(counter, 1);
        }
        let keys = match command.map(|command| touched(command, &words, turn.touched)) {
            Some(Ok(())) => {
                let keys = turn.touched.keys.iter().take(KEPT_KEYS);
                keys.map(|key| shown(words.word(key.word as usize), KEPT_KEY_BYTES))
                    .collect()
            }
            _ => Vec::new(),
        };
        let directory = turn.shared.directory.load();
        turn.shared.log.record(DecisionRecord {
            id,
            at: turn.now,
            principal,
            source: Some(self.peer.ip().to_canonical()),
            database: directory
                .database(open.database)
                .map(|database| database.path.to_string())
                .unwrap_or_default(),
            command: match command {
                Some(command) => command.command().name.to_owned(),
                None => shown(words.get(0).unwrap_or_default(), QUOTED),
            },
            keys,
            decision,
        });
    }

    /// Refuses a command that the catalogue does not know.
    pub(crate) fn unknown(&mut self, words: RequestWords<'_>, turn: &mut Turn<'_>) -> Flow {
        if is_http(words) {
            tracing::warn!(peer = %self.peer, "HTTP on the port for Redis clients: closed");
            self.broken = true;
            return Flow::Done;
        }
        if !self.is_open() {
            return self.not_logged_in(turn);
        }
        self.quiet = self.replies != super::client::Replies::On;
        if let Some((id, decision)) = self.explain(words, turn) {
            let principal = self.principal(turn);
            self.record(id, principal, words, None, decision, turn);
        }
        self.refuse(&unknown_text(words), turn)
    }

    /// Answers `NOAUTH`, with the reason if a session has ended.
    pub(crate) fn not_logged_in(&mut self, turn: &mut Turn<'_>) -> Flow {
        let text = match &self.access {
            Access::Closed(Some(ended)) => format!("NOAUTH Authentication required: {ended}"),
            _ => "NOAUTH Authentication required.".to_owned(),
        };
        self.queue.local(turn.out, |out| encode::error(out, &text));
        Flow::Done
    }
}

/// The server's own words first: clients match on them.
fn nopermission(principal: &str, command: &str, decision: &Decision, id: &str) -> String {
    let subject = match decision.subject {
        Subject::Command => {
            format!("User {principal} has no permissions to run the '{command}' command")
        }
        Subject::Key => "No permissions to access a key".to_owned(),
        Subject::Channel => "No permissions to access a channel".to_owned(),
    };
    let why = match decision.is_allow() {
        // The directory has changed since the table refused.
        true => "permissions have just changed, try again",
        false => &decision.public_message,
    };
    let (action, resource) = (decision.action, &decision.resource);
    format!("NOPERM {subject}: {action} on {resource}: {why} (keyward why {id})")
}

/// The server's words for a command or subcommand that it does not know.
fn unknown_text(words: RequestWords<'_>) -> String {
    let quoted = |word: &[u8], most: usize| {
        String::from_utf8_lossy(&word[..word.len().min(most)]).into_owned()
    };
    let name = words.get(0).unwrap_or_default();
    if let Err(keyward_commands::ResolveError::UnknownSubcommand { container }) =
        keyward_commands::resolve(&words)
    {
        return match words.get(1) {
            None => format!("ERR wrong number of arguments for '{container}' command"),
            Some(word) => format!(
                "ERR unknown subcommand '{}'. Try {} HELP.",
                quoted(word, QUOTED),
                container.to_ascii_uppercase()
            ),
        };
    }
    let mut arguments = String::new();
    for word in words.from(1) {
        if arguments.len() >= QUOTED {
            break;
        }
        arguments.push_str(&format!("'{}' ", quoted(word, QUOTED - arguments.len())));
    }
    format!(
        "ERR unknown command '{}', with args beginning with: {arguments}",
        quoted(name, QUOTED)
    )
}

fn shown(word: &[u8], most: usize) -> String {
    String::from_utf8_lossy(&word[..word.len().min(most)]).into_owned()
}
