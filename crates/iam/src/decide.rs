//! Decisions as they are asked for: an action, or a command as a client sends it, with what is
//! implied by Connect and what needs more than its own action.

use keyward_commands::{
    ActionId, CONNECT, ChannelRule, CommandClass, CommandId, CommandScope, ResolveError, Scope,
    Touched, Words,
};
use keyward_policy::{ChannelUse, Conditions, Facts, KeyUse, Policy, Touch};

use crate::analysis::open::{Connection, OnConnection};
use crate::bits::Bits;
use crate::decision::{Decision, Outcome, Subject};
use crate::directory::Directory;
use crate::evaluate::Question;
use crate::facts::{Call, CallWords, DecidedAs, RequestFacts};
use crate::grounds::{Grant, Grounds};
use crate::ids::{DatabaseIx, UnixMillis};
use crate::keyspace::KeyspaceUse;
use crate::session::{Principal, Session};
use crate::tags::Tags;

/// What one command touches, in the evaluator's terms.
pub(crate) struct CommandTouch<'a> {
    keys: Vec<KeyUse<'a>>,
    channels: Vec<ChannelUse<'a>>,
    scope: Scope,
}

impl<'a> CommandTouch<'a> {
    pub(crate) fn new<W: Words + ?Sized>(
        command: CommandId,
        touched: &Touched,
        words: &'a W,
    ) -> Self {
        let every_key = matches!(touched.scope, Scope::EveryKey { .. });
        let announces = every_key || !touched.channels.is_empty();
        if command.command().channels == ChannelRule::Tracking && announces {
            // Prefixes are of keys, none is every key: whoever is told of changed keys reads their names.
            let scope = Scope::EveryKey {
                reads: true,
                writes: false,
                enumeration: false,
            };
            return Self {
                keys: Vec::new(),
                channels: Vec::new(),
                scope,
            };
        }
        let keys = touched.keys.iter().map(|key| KeyUse {
            key: words.word(key.word as usize),
            reads: key.flags.reads(),
            writes: key.flags.writes(),
        });
        let channels = touched.channels.iter().map(|channel| ChannelUse {
            channel: words.word(channel.word as usize),
            pattern: channel.pattern,
        });
        let mut found = Self {
            keys: keys.collect(),
            channels: channels.collect(),
            scope: touched.scope,
        };
        // `PUBSUB NUMSUB` may name no channel.
        let names_none = found.keys.is_empty() && found.channels.is_empty();
        if names_none
            && found.scope == Scope::Named
            && command.command().scope == CommandScope::Keyless
        {
            found.scope = Scope::Keyless;
        }
        if touched.every_channel {
            found.channels.push(ChannelUse {
                channel: b"*",
                pattern: true,
            });
            found.scope = Scope::Named;
        }
        found
    }

    pub(crate) fn touch(&self) -> Touch<'_> {
        match self.scope {
            Scope::Keyless => Touch::Keyless,
            Scope::EveryKey {
                reads,
                writes,
                enumeration,
            } => Touch::EveryKey {
                reads,
                writes,
                enumeration,
            },
            Scope::Named => Touch::Named {
                keys: &self.keys,
                channels: &self.channels,
            },
        }
    }
}

/// Whether a touch names or covers any key.
pub(crate) fn touches_keys(touch: &Touch<'_>) -> bool {
    match touch {
        Touch::None | Touch::Keyless => false,
        Touch::EveryKey { .. } => true,
        Touch::Named { keys, .. } => !keys.is_empty(),
    }
}

/// The keys of a call, as a command that deletes uses them.
pub(crate) fn deleted_keys<'a>(touch: &Touch<'a>) -> Vec<KeyUse<'a>> {
    let keys = match *touch {
        Touch::Named { keys, .. } => keys,
        _ => &[],
    };
    let written = |key: &KeyUse<'a>| KeyUse {
        key: key.key,
        reads: false,
        writes: true,
    };
    keys.iter().map(written).collect()
}

fn connect_question(request: &dyn Facts) -> Question<'_> {
    Question {
        action: CONNECT,
        touch: Touch::None,
        request,
    }
}

impl Grounds {
    /// A denial that no statement is to blame for.
    fn refused(&self, action: &'static str, text: String) -> Decision {
        Decision {
            outcome: Outcome::ImplicitDeny,
            subject: Subject::Command,
            action,
            resource: self.resource.clone(),
            chain: Vec::new(),
            statements: Vec::new(),
            public_message: text.clone(),
            message: text,
        }
    }

    /// Decides an action by name: what is implied by Connect included.
    pub(crate) fn decide_action(&self, question: &Question<'_>, administration: bool) -> Decision {
        let Some(command) = question.action.command() else {
            if question.action == CONNECT {
                return self.decide_connect(administration);
            }
            return match KeyspaceUse::of(question.action, &self.resource) {
                Some(used) => self.decide_keyspace(used, question, administration),
                None => self.evaluate(question),
            };
        };
        match command.command().class {
            CommandClass::Always => {
                let mut decision = self.decision(question, Outcome::Allow);
                "always possible".clone_into(&mut decision.message);
                "always possible".clone_into(&mut decision.public_message);
                decision
            }
            CommandClass::ConnectOnly => self.decide_connect_only(question, administration),
            _ => self.evaluate(question),
        }
    }

    /// What is decided at login: no command is known yet.
    pub(crate) fn evaluate_connect(&self) -> Decision {
        let facts = RequestFacts::plain(&self.facts, self.now);
        self.evaluate(&connect_question(&facts))
    }

    fn decide_connect(&self, administration: bool) -> Decision {
        let decision = self.evaluate_connect();
        if decision.outcome != Outcome::ImplicitDeny {
            return decision;
        }
        match Bits::of(self, administration).first_possible_command() {
            Some(command) => {
                let facts = RequestFacts::plain(&self.facts, self.now);
                let mut implied = self.decision(&connect_question(&facts), Outcome::Allow);
                implied.message = format!("implied: {} is possible", command.command().action);
                implied.public_message.clone_from(&implied.message);
                implied
            }
            None => decision,
        }
    }

    fn decide_connect_only(&self, question: &Question<'_>, administration: bool) -> Decision {
        let own = self.evaluate(question);
        if own.outcome != Outcome::ImplicitDeny {
            return own;
        }
        if self.has_acl()
            && !Bits::of(self, administration).implies_connect_only()
            && !self.evaluate_connect().is_allow()
        {
            return own;
        }
        let connect = self.decide_connect(administration);
        if !connect.is_allow() {
            return Decision {
                action: question.action.name(),
                ..connect
            };
        }
        if touches_keys(&question.touch) {
            // Its keys are reads: some command must be allowed to read them.
            let bits = Bits::of(self, administration);
            let readable = bits.possible_readers().into_iter().any(|command| {
                let question = Question {
                    action: command.action(),
                    ..*question
                };
                self.evaluate(&question).is_allow()
            });
            if !readable {
                return Decision {
                    subject: Subject::Key,
                    ..own
                };
            }
        }
        let mut implied = self.decision(question, Outcome::Allow);
        let only = |why: &str| format!("needs only kvdb:Connect: {why}");
        implied.message = only(&connect.message);
        implied.public_message = only(&connect.public_message);
        implied.statements = connect.statements;
        implied.chain = connect.chain;
        implied
    }

    /// The command that words are, as many as it takes.
    fn resolved<W: Words + ?Sized>(&self, words: &W) -> Result<CommandId, Box<Decision>> {
        let command = match keyward_commands::resolve(words) {
            Ok(command) => command,
            Err(error) => return Err(Box::new(self.refused("", unknown_command(words, &error)))),
        };
        let info = command.command();
        if !info.arity_fits(words.len()) {
            let text = format!("wrong number of arguments for `{}`", info.name);
            return Err(Box::new(self.refused(info.action, text)));
        }
        Ok(command)
    }

    /// Decides a command by ACL rules alone, as `ACL DRYRUN` does: nothing is implied, no command
    /// is refused for what it is, and a call that fails when it runs is decided as any other.
    pub(crate) fn decide_by_acl<W: Words + ?Sized>(&self, words: &W, call: &Call<'_>) -> Decision {
        let command = match self.resolved(words) {
            Ok(command) => command,
            Err(refused) => return *refused,
        };
        let mut touched = Touched::default();
        if keyward_commands::touched(command, words, &mut touched).is_err() {
            touched = Touched::default();
        }
        let touch = CommandTouch::new(command, &touched, words);
        let of_call = CallWords {
            command,
            words,
            touched: &touched,
        };
        self.evaluate(&Question {
            action: command.action(),
            touch: touch.touch(),
            request: &RequestFacts::new(&self.facts, *call, Some(of_call)),
        })
    }

    /// Decides a call as the command that it also is, since what it sets an expiry of is gone at once.
    pub(crate) fn decide_deletion(&self, deletes: CommandId, question: &Question<'_>) -> Decision {
        let keys = deleted_keys(&question.touch);
        let touch = match &question.touch {
            Touch::Named { .. } => Touch::Named {
                keys: &keys,
                channels: &[],
            },
            other => *other,
        };
        let decision = self.evaluate(&Question {
            action: deletes.action(),
            touch,
            request: &DecidedAs {
                request: question.request,
                command: deletes,
            },
        });
        if decision.is_allow() {
            return decision;
        }
        let why = |message: String| format!("a time that is over deletes at once: {message}");
        Decision {
            message: why(decision.message),
            public_message: why(decision.public_message),
            ..decision
        }
    }

    /// Whether an allowed command tells the names of some keys only.
    fn is_filtered(&self, command: CommandId, administration: bool) -> bool {
        command.command().scope == CommandScope::Enumeration
            && !Bits::of(self, administration)
                .runnable
                .sure
                .contains(command.action())
    }

    /// Decides a command as a client sends it.
    pub(crate) fn decide_words<W: Words + ?Sized>(
        &self,
        words: &W,
        administration: bool,
        call: &Call<'_>,
    ) -> Decision {
        let command = match self.resolved(words) {
            Ok(command) => command,
            Err(refused) => return *refused,
        };
        let info = command.command();
        if info.class == CommandClass::Administrative && !administration {
            return self.refused(info.action, administrative_text(command));
        }
        let mut touched = Touched::default();
        if let Err(error) = keyward_commands::touched(command, words, &mut touched) {
            return self.refused(info.action, format!("{}: {error}", info.name));
        }
        if touched.keys.len() > self.most_keys() {
            return self.refused(info.action, too_many_keys_text(self.most_keys()));
        }
        let touch = CommandTouch::new(command, &touched, words);
        let of_call = CallWords {
            command,
            words,
            touched: &touched,
        };
        let question = Question {
            action: command.action(),
            touch: touch.touch(),
            request: &RequestFacts::new(&self.facts, *call, Some(of_call)),
        };
        let mut decision = self.decide_action(&question, administration);
        let now = call.now.0 as i64;
        if decision.is_allow()
            && let Some(deletes) = keyward_commands::expires_now(command, words, now)
        {
            let deletion = self.decide_deletion(deletes, &question);
            if !deletion.is_allow() {
                return deletion;
            }
        }
        if decision.is_allow() && self.is_filtered(command, administration) {
            for message in [&mut decision.message, &mut decision.public_message] {
                message.push_str("; it shows only the keys that it would be allowed to read");
            }
        }
        let whole = touched.whole_database || info.class == CommandClass::WholeDatabase;
        if decision.is_allow() && whole && !Bits::of(self, administration).holds_whole_database() {
            return self.refused(info.action, whole_database_text(command));
        }
        decision
    }
}

impl Directory {
    /// Whether a command that tells the names of keys shows this one: the decision of the same call
    /// if the key were an argument that it reads. [`crate::KeyFilter`] answers the same for many
    /// keys. `None` for a command that is not one of those, or is not allowed at all.
    #[must_use]
    pub fn shows_key<W: Words + ?Sized>(
        &self,
        session: &Session,
        database: DatabaseIx,
        words: &W,
        key: &[u8],
        call: &Call<'_>,
    ) -> Option<bool> {
        let command = keyward_commands::resolve(words).ok()?;
        let mut touched = Touched::default();
        keyward_commands::touched(command, words, &mut touched).ok()?;
        let enumeration = command.command().scope == CommandScope::Enumeration;
        let allowed = self.decide_command(session, database, words, false, call);
        if !enumeration || !allowed.is_allow() {
            return None;
        }
        let grounds = self.grounds(session, &self.database(database)?.path, false, call.now);
        let key = KeyUse {
            key,
            reads: true,
            writes: false,
        };
        let of_call = CallWords {
            command,
            words,
            touched: &touched,
        };
        let decision = grounds.evaluate(&Question {
            action: command.action(),
            touch: Touch::Named {
                keys: &[key],
                channels: &[],
            },
            request: &RequestFacts::new(&grounds.facts, *call, Some(of_call)),
        });
        Some(decision.is_allow())
    }
}

fn unknown_command<W: Words + ?Sized>(words: &W, error: &ResolveError) -> String {
    let shown = |n: usize| String::from_utf8_lossy(words.word(n)).into_owned();
    match error {
        ResolveError::UnknownCommand => {
            format!(
                "unknown command `{}`: denied, since its keys cannot be known",
                shown(0)
            )
        }
        ResolveError::UnknownSubcommand { container } if words.len() > 1 => {
            format!("unknown subcommand `{}` of `{container}`: denied", shown(1))
        }
        ResolveError::UnknownSubcommand { container } => {
            format!("`{container}` needs a subcommand")
        }
        _ => "empty command".to_owned(),
    }
}

/// Keys times statements and values of their conditions that one decision may compare: beyond it the
/// request is refused, so that no command keeps a worker busy for seconds.
const MAX_COMPARISONS: usize = 20_000_000;

/// Keys that every command may name, however many statements there are.
const LEAST_KEYS: usize = 64;

impl Grounds {
    /// Keys, or values of one condition key, that one request may have under so many statements and
    /// values of conditions.
    pub(crate) fn most_keys(&self) -> usize {
        let count = |documents: &[std::sync::Arc<Policy>]| -> usize {
            documents
                .iter()
                .flat_map(|policy| policy.statements())
                .map(|statement| {
                    let conditions = statement.conditions.as_ref();
                    let values = conditions.map_or(0, Conditions::weight);
                    values + statement.acl.as_ref().map_or(1, |user| user.weight())
                })
                .sum()
        };
        let edges = self
            .nodes
            .iter()
            .flat_map(|node| &node.edges)
            .map(|edge| match &edge.grant {
                Grant::Everything => 0,
                Grant::Documents(documents) => count(documents),
            });
        let layers = self.layers.iter().map(|layer| count(&layer.documents));
        let statements =
            edges.sum::<usize>() + layers.sum::<usize>() + count(&self.resource_policy);
        (MAX_COMPARISONS / statements.max(1)).max(LEAST_KEYS)
    }
}

fn too_many_keys_text(most: usize) -> String {
    format!(
        "it names more than {most} keys, too many to compare with so many statements and conditions"
    )
}

fn administrative_text(command: CommandId) -> String {
    format!(
        "`{}` administers the server: denied whatever a policy says, unless the operator permits \
         administration and it is turned on for the database",
        command.command().name
    )
}

fn whole_database_text(command: CommandId) -> String {
    format!(
        "`{}` can reach keys and commands that Keyward cannot see: it needs the whole database \
         (every command allowed on all keys and channels, without conditions, and no Deny)",
        command.command().name
    )
}

/// Actions on an organisation that its owner may do whatever its guardrails say.
fn is_guardrail_action(action: ActionId) -> bool {
    matches!(action.name(), "org:PutGuardrail" | "org:DescribeGuardrail")
}

/// A command's action that was asked for without its keys stands for a call that names none.
fn stated<'a>(action: ActionId, touch: &Touch<'a>) -> Touch<'a> {
    match touch {
        Touch::None => Touch::of_action(action),
        stated => *stated,
    }
}

impl Directory {
    /// Decides any action of either plane on any resource.
    #[must_use]
    pub fn decide(
        &self,
        session: &Session,
        action: ActionId,
        resource: &str,
        touch: &Touch<'_>,
        at: UnixMillis,
    ) -> Decision {
        self.decide_tagging(session, action, resource, touch, None, at)
    }

    /// The same of a command on a connection of which it is known what its client chose.
    pub(crate) fn decide_on_connection(
        &self,
        session: &Session,
        action: ActionId,
        resource: &str,
        touch: &Touch<'_>,
        connection: Connection<'_>,
        at: UnixMillis,
    ) -> Decision {
        let administration = self
            .database_at(resource)
            .and_then(|ix| self.database(ix))
            .is_some_and(|database| database.administration);
        let grounds = self.grounds(session, resource, false, at);
        let question = Question {
            action,
            touch: stated(action, touch),
            request: &OnConnection {
                request: RequestFacts::plain(&grounds.facts, at),
                connection,
            },
        };
        grounds.decide_action(&question, administration)
    }

    /// The same of a request that sets and removes tags.
    pub(crate) fn decide_tagging(
        &self,
        session: &Session,
        action: ActionId,
        resource: &str,
        touch: &Touch<'_>,
        tags: Option<(&Tags, &[&str])>,
        at: UnixMillis,
    ) -> Decision {
        let exempt = is_guardrail_action(action)
            && session.temporary.is_none()
            && matches!(session.principal, Principal::Identity(ix)
                if self.identity(ix).is_some_and(|i| i.kind == crate::Kind::User)
                    && self.owner_of(resource) == Some(ix));
        let administration = self
            .database_at(resource)
            .and_then(|ix| self.database(ix))
            .is_some_and(|database| database.administration);
        let mut grounds = self.grounds(session, resource, exempt, at);
        if let Some((tags, keys)) = tags {
            grounds.facts.ask_tags(tags, keys.iter().copied());
        }
        grounds.decide_action(
            &Question {
                action,
                touch: stated(action, touch),
                request: &RequestFacts::plain(&grounds.facts, at),
            },
            administration,
        )
    }

    /// Decides a command as a client sends it, with the full explanation. `administration`: the
    /// operator permits it for the backend (the database's own switch is looked up here).
    #[must_use]
    pub fn decide_command<W: Words + ?Sized>(
        &self,
        session: &Session,
        database: DatabaseIx,
        words: &W,
        administration: bool,
        call: &Call<'_>,
    ) -> Decision {
        let Some(target) = self.database(database) else {
            let grounds = self.grounds(session, "deleted", false, call.now);
            return grounds.refused("", "the database was deleted".to_owned());
        };
        let administration = administration && target.administration;
        self.grounds(session, &target.path, false, call.now)
            .decide_words(words, administration, call)
    }
}
