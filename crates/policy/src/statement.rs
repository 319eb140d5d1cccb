//! Policies and their statements, compiled.

use keyward_commands::{ActionBits, ActionId, ChannelRule, CommandScope, Flags};

use crate::keys::EVERY_KEY;
use crate::{ChannelUse, IdentityPattern, KeyPatterns, ResourcePattern, Touch};

/// What a statement that matches does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Allows, where nothing denies.
    Allow,
    /// Denies, whatever allows.
    Deny,
}

/// Where a policy is attached, which decides whether it names resources or identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// On a trust, or a boundary, a guardrail, a session policy: its statements have `Resources`.
    Identity,
    /// On a resource: its statements have `Identities`.
    Resource,
}

/// A document that was read, and the text that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(crate) kind: PolicyKind,
    pub(crate) organisation: Box<str>,
    pub(crate) text: Box<str>,
    pub(crate) statements: Box<[Statement]>,
}

impl Policy {
    /// Its statements in the order of the document. Their order means nothing.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The document as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether its statements name resources or identities.
    pub fn kind(&self) -> PolicyKind {
        self.kind
    }

    /// The id of the organisation that its shorthand is of.
    pub fn organisation(&self) -> &str {
        &self.organisation
    }

    /// Bytes of memory, about.
    pub fn heap_bytes(&self) -> usize {
        let statements = self
            .statements
            .iter()
            .map(Statement::heap_bytes)
            .sum::<usize>();
        self.text.len() + self.organisation.len() + size_of_val(&*self.statements) + statements
    }
}

/// One statement. Speaks for a whole call: what two statements say of its keys does not add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its name in explanations.
    pub sid: Option<Box<str>>,
    /// Allow or Deny.
    pub effect: Effect,
    /// All actions that its patterns name.
    pub actions: ActionBits,
    /// Of a policy of identity kind: never empty there.
    pub resources: Box<[ResourcePattern]>,
    /// Of a policy of resource kind: never empty there.
    pub identities: Box<[IdentityPattern]>,
    /// The key fields; `None` if it has none of them, and speaks of all keys and channels.
    pub keys: Option<KeyPatterns>,
    /// The line of the document where it begins, from 1.
    pub line: u32,
}

/// What one statement says about one request: the first part that does not match, later ones being
/// nearer misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// It does not speak of the action.
    Action,
    /// It does not speak of the resource.
    Resource,
    /// Its key fields do not cover what is touched (on a Deny: do not meet it).
    Keys,
    /// It matches.
    Full,
}

impl Statement {
    /// How far it matches a request. `resource` is looked at in statements that have `Resources`;
    /// whom a statement of a resource policy names is the caller's question.
    ///
    /// Only commands (`kvdb:Execute…`) use keys. Any other action matches an Allow whatever its
    /// key fields, and no Deny that has some. A command's action with [`Touch::None`] is a call
    /// that names no key: see [`Touch::of_action`].
    pub fn matches(&self, action: ActionId, resource: &str, touch: &Touch<'_>) -> Match {
        if !self.actions.contains(action) {
            return Match::Action;
        }
        let concerns = || {
            self.resources
                .iter()
                .any(|pattern| pattern.matches(resource))
        };
        if self.identities.is_empty() && !concerns() {
            return Match::Resource;
        }
        if self.matches_keys(action, touch) {
            Match::Full
        } else {
            Match::Keys
        }
    }

    /// The last part of [`Self::matches`] alone: the key fields.
    pub fn matches_keys(&self, action: ActionId, touch: &Touch<'_>) -> bool {
        let Some(patterns) = &self.keys else {
            return true;
        };
        if !action.is_execute() {
            return self.effect == Effect::Allow;
        }
        let touch = match touch {
            Touch::None => &Touch::of_action(action),
            touch => touch,
        };
        match self.effect {
            Effect::Allow => patterns.allows(touch),
            Effect::Deny => patterns.denies(touch),
        }
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        let globs = self.keys.iter().flat_map(|patterns| {
            let lists = [
                &patterns.keys,
                &patterns.read_keys,
                &patterns.write_keys,
                &patterns.channels,
            ];
            lists.into_iter().flat_map(|list| list.iter())
        });
        self.sid.as_ref().map_or(0, |sid| sid.len())
            + size_of_val(&*self.resources)
            + self
                .resources
                .iter()
                .map(ResourcePattern::heap_bytes)
                .sum::<usize>()
            + size_of_val(&*self.identities)
            + globs
                .map(|glob| size_of_val(glob) + glob.heap_bytes())
                .sum::<usize>()
    }
}

impl Touch<'static> {
    /// What a command's action stands for when it is asked for without a call: one that names no
    /// key, so that only a keyless command has none, and any other touches all; and every channel,
    /// if the command has channels. [`Touch::None`] for an action that is no command's.
    pub fn of_action(action: ActionId) -> Self {
        const EVERY_CHANNEL: &[ChannelUse<'static>] = &[ChannelUse {
            channel: b"*",
            pattern: true,
        }];
        let Some(command) = action.command() else {
            return Self::None;
        };
        let command = command.command();
        let (reads, writes) = (
            command.flags.contains(Flags::READONLY),
            command.flags.contains(Flags::WRITE),
        );
        match command.scope {
            CommandScope::Keyless if command.channels == ChannelRule::None => Self::Keyless,
            CommandScope::Keyless => Self::Named {
                keys: &[],
                channels: EVERY_CHANNEL,
            },
            CommandScope::Enumeration => Self::EveryKey {
                reads: true,
                writes: false,
                enumeration: true,
            },
            _ if reads || writes => Self::EveryKey {
                reads,
                writes,
                enumeration: false,
            },
            _ => EVERY_KEY,
        }
    }
}
