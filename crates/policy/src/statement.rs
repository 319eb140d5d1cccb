//! Policies and their statements, compiled.

use std::borrow::Cow;
use std::sync::Arc;

use keyward_commands::{ActionBits, ActionId, ChannelRule, CommandScope, Flags};

use crate::facts::Facts;
use crate::glob::check_pattern;
use crate::keys::EVERY_KEY;
use crate::template::{Expanded, Template, glob_text, plain};
use crate::{
    AclUser, ChannelUse, Conditions, Dialect, Glob, IdentityPattern, KeyPatterns, ResourcePattern,
    Touch, VendorStatement,
};

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
    pub(crate) dialect: Dialect,
    pub(crate) kind: PolicyKind,
    pub(crate) organisation: Box<str>,
    pub(crate) text: Box<str>,
    pub(crate) statements: Box<[Statement]>,
    pub(crate) path: Option<Box<str>>,
}

impl Policy {
    /// Its statements in the order of the document. Their order means nothing.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The same, as what is kept under a path: explanations say it, decisions do not know it.
    #[must_use]
    pub fn at_path(mut self, path: &str) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The path that it is kept under; none of what is written in place.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The document as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The language that it is written in.
    pub fn dialect(&self) -> Dialect {
        self.dialect
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
    /// Its resources and key fields in which variables stand.
    pub templates: Option<Box<Templates>>,
    /// What it asks of a request beyond.
    pub conditions: Option<Conditions>,
    /// Of a vendor's document: its actions, resources and principals, which are matched with
    /// [`Statement::matches_vendor`] and [`VendorStatement::names`]. The fields of native
    /// statements are empty then, but for the actions.
    pub vendor: Option<Box<VendorStatement>>,
    /// Of a document of ACL rules, which is one statement: the user, who decides about whole calls.
    /// Its actions are those that some rule may allow, and it covers every resource.
    pub acl: Option<Arc<AclUser>>,
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
    /// Its conditions do not hold.
    Conditions,
    /// It matches.
    Full,
}

/// What of a statement has variables in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates {
    /// The organisation that shorthand is of.
    pub organisation: Box<str>,
    /// `Resources`
    pub resources: Vec<Template>,
    /// `Keys`
    pub keys: Vec<Template>,
    /// `ReadKeys`
    pub read_keys: Vec<Template>,
    /// `WriteKeys`
    pub write_keys: Vec<Template>,
    /// `Channels`
    pub channels: Vec<Template>,
}

/// The key fields of a statement for one request.
#[derive(Clone, Debug)]
pub enum KeyFields<'a> {
    /// It has none, and speaks of all keys and channels.
    Unrestricted,
    /// These, variables put in.
    Patterns(Cow<'a, KeyPatterns>),
    /// A variable is not known yet.
    Later,
}

impl Templates {
    /// None yet, for documents of this organisation.
    pub fn new(organisation: &str) -> Self {
        Self {
            organisation: organisation.into(),
            ..Self::default()
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.lists().iter().all(|list| list.is_empty())
    }

    fn lists(&self) -> [&Vec<Template>; 4] {
        [
            &self.keys,
            &self.read_keys,
            &self.write_keys,
            &self.channels,
        ]
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Template> {
        self.resources.iter().chain(self.fields())
    }

    /// Those of keys and channels.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Template> {
        self.lists().into_iter().flatten()
    }

    /// Whether a resource with its variables put in covers a path; `None` if that is not known
    /// yet. What is put in is literal: it is one whole id or part of one.
    fn concern(&self, effect: Effect, resource: &str, facts: &dyn Facts) -> Option<bool> {
        let mut known = Some(false);
        for template in &self.resources {
            let pieces = match template.expand(facts) {
                Expanded::Pieces(pieces) => pieces,
                Expanded::Missing if effect == Effect::Deny => return Some(true),
                Expanded::Missing => continue,
                Expanded::Later => {
                    known = None;
                    continue;
                }
            };
            // Nothing else can be in an id, so a value with anything else covers nothing.
            let of_id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let whole = pieces
                .iter()
                .filter(|piece| piece.literal)
                .all(|piece| piece.text.chars().all(of_id));
            let covers = || {
                ResourcePattern::parse(&plain(&pieces), &self.organisation)
                    .is_ok_and(|pattern| pattern.matches(resource))
            };
            if whole && covers() {
                return Some(true);
            }
        }
        known
    }

    /// The key fields with variables put in: missing ones match nothing in an Allow, everything in
    /// a Deny. `None` if one is not known yet.
    fn patterns(
        &self,
        effect: Effect,
        fixed: &KeyPatterns,
        facts: &dyn Facts,
    ) -> Option<KeyPatterns> {
        let list = |globs: &[Glob], templates: &[Template]| -> Option<Box<[Glob]>> {
            let mut globs = globs.to_vec();
            for template in templates {
                let text = match template.expand(facts) {
                    Expanded::Later => return None,
                    Expanded::Missing => None,
                    Expanded::Pieces(pieces) => {
                        Some(glob_text(&pieces)).filter(|text| check_pattern(text).is_ok())
                    }
                };
                match text {
                    Some(text) => globs.push(Glob::new(&text)),
                    None if effect == Effect::Deny => globs.push(Glob::new(b"*")),
                    None => {}
                }
            }
            Some(globs.into())
        };
        Some(KeyPatterns {
            keys: list(&fixed.keys, &self.keys)?,
            read_keys: list(&fixed.read_keys, &self.read_keys)?,
            write_keys: list(&fixed.write_keys, &self.write_keys)?,
            channels: list(&fixed.channels, &self.channels)?,
        })
    }
}

impl Statement {
    /// How far it matches a request. `resource` is looked at in statements that have `Resources`;
    /// whom a statement of a resource policy names is the caller's question.
    ///
    /// Only commands (`kvdb:Execute…`) use keys, and snapshots all of them. Any other action matches an Allow whatever its
    /// key fields, and no Deny that has some. A command's action with [`Touch::None`] is a call
    /// that names no key: see [`Touch::of_action`].
    ///
    /// What `facts` leaves open ([`crate::Found::Later`]) is decided against the caller: an Allow
    /// does not match, a Deny does. Not so where the call tells the names of keys: it is for its
    /// keys, one by one, to be allowed and denied.
    pub fn matches(
        &self,
        action: ActionId,
        resource: &str,
        touch: &Touch<'_>,
        facts: &dyn Facts,
    ) -> Match {
        let touch = match touch {
            Touch::None => &Touch::of_action(action),
            touch => touch,
        };
        let unknown = self.unknown(touch);
        if let Some(user) = &self.acl {
            let call = facts.call();
            let also = call.filter(|call| call.also == Some(action));
            let action = also.map_or(action, |call| call.command.action());
            if !self.actions.contains(action) {
                return Match::Action;
            }
            return user.matches(action, call);
        }
        if !self.actions.contains(action) {
            return Match::Action;
        }
        let named = self.names_resources();
        if named && !self.concerns(resource, facts).unwrap_or(unknown) {
            return Match::Resource;
        }
        if !self.matches_keys(action, touch, facts) {
            return Match::Keys;
        }
        match &self.conditions {
            Some(conditions) if !conditions.holds(self.effect, facts).unwrap_or(unknown) => {
                Match::Conditions
            }
            _ => Match::Full,
        }
    }

    /// Whether it matches as far as that is not known.
    fn unknown(&self, touch: &Touch<'_>) -> bool {
        touch.counts_unknown(self.effect)
    }

    /// Whether it has `Resources`, and does not stand in a resource policy.
    pub fn names_resources(&self) -> bool {
        self.identities.is_empty()
    }

    /// Whether its `Resources` cover a path; `None` if that depends on a variable that is not
    /// known yet.
    pub fn concerns(&self, resource: &str, facts: &dyn Facts) -> Option<bool> {
        if self.acl.is_some() {
            return Some(true);
        }
        if self
            .resources
            .iter()
            .any(|pattern| pattern.matches(resource))
        {
            return Some(true);
        }
        match &self.templates {
            Some(templates) => templates.concern(self.effect, resource, facts),
            None => Some(false),
        }
    }

    /// Its key fields for a request.
    pub fn key_fields(&self, facts: &dyn Facts) -> KeyFields<'_> {
        if self.acl.is_some() {
            return KeyFields::Later;
        }
        let Some(fixed) = &self.keys else {
            return KeyFields::Unrestricted;
        };
        match &self.templates {
            None => KeyFields::Patterns(Cow::Borrowed(fixed)),
            Some(templates) => match templates.patterns(self.effect, fixed, facts) {
                Some(patterns) => KeyFields::Patterns(Cow::Owned(patterns)),
                None => KeyFields::Later,
            },
        }
    }

    /// The key fields' part of [`Self::matches`].
    pub fn matches_keys(&self, action: ActionId, touch: &Touch<'_>, facts: &dyn Facts) -> bool {
        let touch = match touch {
            Touch::None => &Touch::of_action(action),
            touch => touch,
        };
        let patterns = match self.key_fields(facts) {
            KeyFields::Unrestricted => return true,
            _ if !action.has_keys() => return self.effect == Effect::Allow,
            KeyFields::Later => return self.unknown(touch),
            KeyFields::Patterns(patterns) => patterns,
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
        let templates = self.templates.iter().map(|templates| {
            let texts = templates
                .all()
                .map(|t| size_of::<Template>() + 2 * t.text().len());
            size_of::<Templates>() + texts.sum::<usize>()
        });
        self.sid.as_ref().map_or(0, |sid| sid.len())
            + self.acl.as_ref().map_or(0, |user| user.heap_bytes())
            + templates.sum::<usize>()
            + self.conditions.as_ref().map_or(0, Conditions::heap_bytes)
            + self.vendor.as_ref().map_or(0, |vendor| vendor.heap_bytes())
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
    /// if the command has channels. Making or restoring a snapshot touches every key;
    /// [`Touch::None`] for any other action that is no command's.
    pub fn of_action(action: ActionId) -> Self {
        const EVERY_CHANNEL: &[ChannelUse<'static>] = &[ChannelUse {
            channel: b"*",
            pattern: true,
        }];
        let Some(command) = action.command() else {
            return match action.name() {
                "kvdb:CreateSnapshot" => Self::EveryKey {
                    reads: true,
                    writes: false,
                    enumeration: false,
                },
                _ if action.uses_keyspace() => EVERY_KEY,
                _ => Self::None,
            };
        };
        let command = command.command();
        let (reads, writes) = (
            command.flags.contains(Flags::READONLY),
            command.flags.contains(Flags::WRITE),
        );
        match command.scope {
            // The prefixes of `CLIENT TRACKING` are of keys, and a call may name none.
            CommandScope::Keyless
                if matches!(command.channels, ChannelRule::None | ChannelRule::Tracking) =>
            {
                Self::Keyless
            }
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
