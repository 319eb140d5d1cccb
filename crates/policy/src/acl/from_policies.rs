//! From compiled policies to ACL rules that never allow more.
//!
//! A server with these rules decides without Keyward: by the names of commands and the patterns of
//! keys and channels alone. So a command is given only where it is allowed without conditions and
//! without filtering; an enumeration or a command on the whole key space only with all keys; and
//! nothing that a Deny touches in part. What the gateway keeps from everybody who does not hold the
//! whole database (scripts, `SORT` with patterns) or who administers the server is not given either.

use std::collections::{HashMap, HashSet};

use keyward_commands::{
    ActionBits, CONNECT, ChannelRule, CommandClass, CommandId, CommandScope,
    administrative_actions, connect_only_actions, execute_actions,
};

use super::commands;
use super::selector::{KeyPattern, Selector};
use super::to_native::Losses;
use super::{AclLogin, AclUser};
use crate::{Effect, Glob, KeyPatterns, Policy, Statement, Touch};

/// ACL rules, and what could not be expressed in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclExport {
    /// The user. It cannot log in: passwords are not part of a policy.
    pub user: AclUser,
    /// What the policies allow and the user may not do.
    pub losses: Vec<String>,
}

/// Commands of which servers check another key than they use, for some calls: `GEORADIUS` with
/// several destinations (Redis 7 looks at the first, and uses the last), `PFMERGE` without sources
/// (Valkey 9 checks no key at all).
const AMBIGUOUS: &[&str] = &["georadius", "georadiusbymember", "pfmerge"];

impl AclUser {
    /// The rules that a server may enforce for whoever has these policies, read as one list, on a
    /// database (its full path), and may do nothing but `within` by all other policies, what needs
    /// only Connect included.
    pub fn of_policies<'a>(
        policies: impl IntoIterator<Item = &'a Policy>,
        resource: &str,
        within: &ActionBits,
    ) -> AclExport {
        let policies: Vec<&Policy> = policies.into_iter().collect();
        let mut export = Export {
            within: within.intersect(execute_actions()),
            denied: ActionBits::EMPTY,
            deletes: ActionBits::EMPTY,
            selectors: Vec::new(),
            losses: Losses::default(),
        };
        let statements: Vec<&Statement> = policies
            .iter()
            .flat_map(|policy| policy.statements())
            .filter(|statement| concerns(statement, resource))
            .collect();
        let denies = |statement: &&&Statement| statement.effect == Effect::Deny;
        for statement in statements.iter().filter(denies) {
            export.deny(statement);
        }
        let allows: Vec<&Statement> = statements
            .into_iter()
            .filter(|statement| statement.effect == Effect::Allow)
            .collect();
        if !export.denied.contains(CONNECT) {
            let whole = export.holds_whole_database(&allows);
            export.deletes = allows
                .iter()
                .filter(|statement| is_unrestricted(statement))
                .fold(ActionBits::EMPTY, |all, one| all.union(&one.actions));
            for statement in allows {
                export.allow(statement, whole);
            }
            export.add_connect_only();
        }
        export.finish()
    }
}

/// Commands that somebody may run, and on what.
#[derive(Clone, Debug)]
pub struct AclGrant<'a> {
    /// The commands.
    pub actions: ActionBits,
    /// What they are limited to.
    pub limit: AclLimit<'a>,
}

/// What commands are limited to.
#[derive(Clone, Debug)]
pub enum AclLimit<'a> {
    /// Every key and every channel.
    None,
    /// Keys and channels.
    Fields(&'a KeyPatterns),
    /// What the rules of a user allow.
    Rules(&'a AclUser),
}

impl AclUser {
    /// The rules that a server may enforce for whoever has been granted this, without conditions, and
    /// may do nothing but `within`. `implied`: any of it brings what needs only Connect, as far as
    /// that is within.
    pub fn of_grants(grants: &[AclGrant<'_>], within: &ActionBits, implied: bool) -> AclExport {
        let free = |grant: &&AclGrant<'_>| matches!(grant.limit, AclLimit::None);
        let unlimited = grants
            .iter()
            .filter(free)
            .fold(ActionBits::EMPTY, |all, one| all.union(&one.actions));
        let mut export = Export {
            within: within.intersect(execute_actions()),
            denied: ActionBits::EMPTY,
            deletes: unlimited.clone(),
            selectors: Vec::new(),
            losses: Losses::default(),
        };
        let whole = whole_database().is_subset_of(&unlimited.intersect(&export.within))
            && connect_only_actions().is_subset_of(&export.within);
        for grant in grants {
            let actions = grant.actions.intersect(&export.within);
            export.grant(actions, &grant.limit, whole);
        }
        if implied {
            export.add_connect_only();
        }
        export.finish()
    }
}

/// What whoever holds the whole database may do.
fn whole_database() -> ActionBits {
    bits(|id| {
        matches!(
            id.command().class,
            CommandClass::Ordinary | CommandClass::WholeDatabase
        )
    })
}

/// Whether a statement speaks of a resource; a Deny with variables may.
fn concerns(statement: &Statement, resource: &str) -> bool {
    let varies = |templates: &crate::Templates| !templates.resources.is_empty();
    statement.acl.is_some()
        || statement.vendor.is_some()
        || statement
            .resources
            .iter()
            .any(|pattern| pattern.matches(resource))
        || (statement.effect == Effect::Deny && statement.templates.as_deref().is_some_and(varies))
}

/// Whether a statement depends on more than the command and its keys.
fn is_conditional(statement: &Statement) -> bool {
    statement.conditions.is_some() || statement.templates.is_some() || statement.vendor.is_some()
}

struct Export {
    within: ActionBits,
    /// Actions that some Deny touches, if only in part.
    denied: ActionBits,
    /// What may be done to every key.
    deletes: ActionBits,
    selectors: Vec<Selector>,
    losses: Losses,
}

/// How an explanation names a statement.
fn name(statement: &Statement) -> String {
    match &statement.sid {
        Some(sid) => format!("statement `{sid}`"),
        None => format!("the statement at line {}", statement.line),
    }
}

fn bits(of: impl Fn(CommandId) -> bool) -> ActionBits {
    CommandId::all()
        .filter(|id| of(*id))
        .map(CommandId::action)
        .collect()
}

fn all_channels(channels: &[Glob]) -> bool {
    channels.iter().any(Glob::is_everything)
}

impl Export {
    fn deny(&mut self, statement: &Statement) {
        let mut actions = statement.actions.clone();
        if is_conditional(statement) {
            self.losses.add(&format!(
                "{} denies under conditions or in a vendor's terms: the commands it names are left out",
                name(statement)
            ));
        } else if statement.keys.is_some() {
            // Key fields say nothing about what touches neither keys nor channels.
            actions = actions.subtract(&bits(|id| {
                let command = id.command();
                command.scope == CommandScope::Keyless && command.channels == ChannelRule::None
            }));
            self.losses.add(&format!(
                "{} denies some keys or channels: the commands it names are left out",
                name(statement)
            ));
        }
        self.denied = self.denied.union(&actions);
    }

    /// Whether every command that does not administer the server is allowed on everything.
    fn holds_whole_database(&self, allows: &[&Statement]) -> bool {
        let unrestricted = allows.iter().filter(|statement| is_unrestricted(statement));
        let all = unrestricted.fold(ActionBits::EMPTY, |all, statement| {
            all.union(&statement.actions)
        });
        whole_database().is_subset_of(&all.intersect(&self.within))
            && !self.denied.intersects(execute_actions())
    }

    fn allow(&mut self, statement: &Statement, whole: bool) {
        if is_conditional(statement) {
            self.losses.add(&format!(
                "{} allows under conditions or in a vendor's terms: it is left out",
                name(statement)
            ));
            return;
        }
        let stated = statement.actions.intersect(&self.within);
        let actions = stated.subtract(&self.denied);
        let limit = match (&statement.acl, &statement.keys) {
            (Some(user), _) => AclLimit::Rules(user),
            (None, Some(fields)) => AclLimit::Fields(fields),
            (None, None) => AclLimit::None,
        };
        self.grant(actions, &limit, whole);
    }

    /// Gives commands, without those that a server would allow more of.
    fn grant(&mut self, mut actions: ActionBits, limit: &AclLimit<'_>, whole: bool) {
        self.leave_out(
            &mut actions,
            administrative_actions(),
            "administrative commands",
        );
        if !whole {
            let scripts = bits(|id| id.command().class == CommandClass::WholeDatabase);
            let what = "scripts and functions, which need the whole database";
            self.leave_out(&mut actions, &scripts, what);
            let sorts = bits(|id| matches!(id.command().name, "sort" | "sort_ro"));
            let what = "`SORT` and `SORT_RO`, which with patterns need the whole database";
            self.leave_out(&mut actions, &sorts, what);
        }
        if let AclLimit::Rules(user) = limit {
            self.copy(user, &actions);
            return;
        }
        let deletable = actions
            .union(&self.deletes)
            .intersect(&self.within)
            .subtract(&self.denied);
        let keeping = bits(|id| {
            id.expiring_deletes_as()
                .is_some_and(|deletes| !deletable.contains(deletes.action()))
        });
        let what = "`EXPIRE`, `GETEX` and their like, which with a time that is over delete, where \
                    `DEL` (`HDEL` for fields) is not allowed, too";
        self.leave_out(&mut actions, &keeping, what);
        let AclLimit::Fields(fields) = limit else {
            self.add(&actions, None, None);
            return;
        };
        let ambiguous = bits(|id| AMBIGUOUS.contains(&id.command().name));
        let what = "`GEORADIUS`, `GEORADIUSBYMEMBER` and `PFMERGE`: servers do not always check \
                    the destination that they use";
        self.leave_out(&mut actions, &ambiguous, what);
        let uncovered = bits(|id| {
            let command = id.command();
            let checked = commands::channels(command).is_some();
            let shows_channels = command.channels != ChannelRule::None && !checked;
            // A server does not filter what enumerations show.
            let every_key = match Touch::of_action(id.action()) {
                Touch::EveryKey { reads, writes, .. } => Touch::EveryKey {
                    reads,
                    writes,
                    enumeration: false,
                },
                other => other,
            };
            command.scope != CommandScope::Keyed
                && (command.channels == ChannelRule::Tracking
                    || (shows_channels && !all_channels(&fields.channels))
                    || (!checked && !fields.allows(&every_key)))
        });
        let what = "commands that show or reach more than the keys and channels allowed";
        self.leave_out(&mut actions, &uncovered, what);

        if !fields.read_keys.is_empty() && !fields.write_keys.is_empty() {
            self.losses.add(
                "calls that read and write a key by two patterns: a server wants one with both",
            );
        }
        let channels = self.channels(fields);
        let (keyed, rest): (Vec<_>, Vec<_>) = actions
            .iter()
            .filter_map(|action| action.command())
            .partition(|id| commands::has_keys(id.command()));
        // What only tells about a key counts as a read, and the server takes any pattern for it.
        let (telling, others): (Vec<_>, Vec<_>) = keyed
            .into_iter()
            .partition(|id| commands::needs_any_pattern(id.command()));
        let of = |ids: Vec<CommandId>| ids.into_iter().map(CommandId::action).collect();
        let rest: ActionBits = of(rest);
        let others = of(others);
        let telling: ActionBits = of(telling);
        let keys = self.keys(fields, true);
        if fields.write_keys.is_empty() {
            let all = others.union(&telling).union(&rest);
            self.add(&all, Some(keys), Some(channels));
        } else {
            self.add(&others.union(&rest), Some(keys), Some(channels));
            let readable = self.keys(fields, false);
            self.add(&telling, Some(readable), Some(Vec::new()));
        }
    }

    /// Adds the rules of a user as far as these actions go.
    fn copy(&mut self, user: &AclUser, actions: &ActionBits) {
        for selector in &user.selectors {
            let mut selector = selector.clone();
            selector.commands = selector.commands.intersect(actions);
            selector.future = false;
            let allowed =
                |known: &super::selector::FirstArguments| actions.contains(known.command.action());
            let first = std::mem::take(&mut selector.first_arguments).into_vec();
            selector.first_arguments = first.into_iter().filter(allowed).collect();
            if !selector.commands.is_empty() || !selector.first_arguments.is_empty() {
                self.selectors.push(selector);
            }
        }
    }

    /// Takes commands out, and says so once.
    fn leave_out(&mut self, actions: &mut ActionBits, which: &ActionBits, what: &str) {
        if actions.intersects(which) {
            self.losses.add(what);
            *actions = actions.subtract(which);
        }
    }

    fn keys(&mut self, fields: &KeyPatterns, writable: bool) -> Vec<KeyPattern> {
        let mut patterns: Vec<KeyPattern> = Vec::new();
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        let lists = [
            (&fields.keys, true, true),
            (&fields.read_keys, true, false),
            (&fields.write_keys, false, true),
        ];
        for (globs, reads, writes) in lists {
            for glob in globs.iter() {
                if !reads && !writable {
                    continue;
                }
                if !self.fits(glob) {
                    continue;
                }
                match places.get(glob.text()) {
                    Some(at) => {
                        patterns[*at].reads |= reads;
                        patterns[*at].writes |= writes;
                    }
                    None => {
                        places.insert(glob.text(), patterns.len());
                        patterns.push(KeyPattern {
                            glob: glob.clone(),
                            reads,
                            writes,
                        });
                    }
                }
            }
        }
        patterns
    }

    fn channels(&mut self, fields: &KeyPatterns) -> Vec<Glob> {
        let mut channels: Vec<Glob> = Vec::new();
        let mut known = HashSet::new();
        for glob in fields.channels.iter() {
            if self.fits(glob) && known.insert(glob.text()) {
                channels.push(glob.clone());
            }
        }
        channels
    }

    /// Whether a pattern can stand in a rule.
    fn fits(&mut self, glob: &Glob) -> bool {
        let blank = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0 | 0x0b);
        let fits = !glob.text().iter().any(blank);
        if !fits {
            self.losses.add("patterns with a blank or NUL in them");
        }
        fits
    }

    /// Adds a selector, or commands to one with the same patterns. `None`: all keys, all channels.
    fn add(
        &mut self,
        actions: &ActionBits,
        keys: Option<Vec<KeyPattern>>,
        channels: Option<Vec<Glob>>,
    ) {
        if actions.is_empty() {
            return;
        }
        let everything = |key: &KeyPattern| key.glob.is_everything() && key.reads && key.writes;
        let keys = keys.filter(|keys| !keys.iter().any(everything));
        let channels = channels.filter(|channels| !all_channels(channels));
        let keys: Option<Box<[KeyPattern]>> = keys.map(Into::into);
        let channels: Option<Box<[Glob]>> = channels.map(Into::into);
        let same = |known: &&mut Selector| {
            known.keys == keys
                && known.channels == channels
                && known.databases.is_none()
                && known.first_arguments.is_empty()
        };
        match self.selectors.iter_mut().find(same) {
            Some(known) => known.commands = known.commands.union(actions),
            None => self.selectors.push(Selector {
                commands: actions.clone(),
                future: false,
                first_arguments: Box::default(),
                keys,
                channels,
                databases: None,
            }),
        }
    }

    /// What needs only Connect, unless some Deny names it; with keys and channels only where every
    /// one is allowed.
    fn add_connect_only(&mut self) {
        // A command that has keys or channels is possible only where some are allowed.
        let ordinary = |selector: &Selector| {
            // A command whose keys no pattern lets it use as it does runs on none.
            let usable = |id: CommandId| {
                selector.keys.as_deref().is_none_or(|keys| {
                    let fits = |reads: bool, writes: bool| {
                        let mut keys = keys.iter();
                        keys.any(|key| (key.reads || !reads) && (key.writes || !writes))
                    };
                    let mut specs = id.command().key_specs.iter();
                    !keys.is_empty()
                        && specs.all(|spec| fits(spec.flags.reads(), spec.flags.writes()))
                })
            };
            let channels = selector
                .channels
                .as_deref()
                .is_none_or(|all| !all.is_empty());
            selector.commands.iter().any(|action| {
                action.command().is_some_and(|id| {
                    let command = id.command();
                    let implied = matches!(
                        command.class,
                        CommandClass::Always | CommandClass::ConnectOnly
                    );
                    let (keyless, silent) = (
                        command.scope == CommandScope::Keyless,
                        command.channels == ChannelRule::None,
                    );
                    !implied
                        && ((keyless && silent)
                            || (!keyless && usable(id))
                            || (channels && !silent))
                })
            })
        };
        if !self.selectors.iter().any(ordinary) {
            let any = |selector: &Selector| !selector.commands.is_empty();
            if self.selectors.iter().any(any) {
                // Decisions imply it for a command that may be possible, though no key fits it.
                self.losses.add(
                    "what needs only kvdb:Connect: no key can be used as the allowed commands use keys",
                );
            }
            return;
        }
        self.losses
            .add("`WATCH` and `CLIENT TRACKING` where they are only implied, not allowed by name");
        let free = bits(|id| {
            let command = id.command();
            connect_only_actions().contains(id.action())
                && command.scope == CommandScope::Keyless
                && command.channels == ChannelRule::None
        });
        let free = free.intersect(&self.within).subtract(&self.denied);
        self.add(&free, Some(Vec::new()), Some(Vec::new()));
    }

    fn finish(mut self) -> AclExport {
        // The rules outside parentheses are those without keys.
        let bare = |selector: &Selector| {
            selector.databases.is_none()
                && selector.keys.as_deref().is_some_and(<[_]>::is_empty)
                && selector.channels.as_deref().is_some_and(<[_]>::is_empty)
        };
        let root = self.selectors.iter().position(bare);
        let root = match (root, self.selectors.len()) {
            (Some(at), _) => self.selectors.remove(at),
            (None, 1) => self.selectors.remove(0),
            _ => Selector::nothing(),
        };
        self.selectors.insert(0, root);
        AclExport {
            user: AclUser::new(self.selectors, AclLogin::default()),
            losses: self.losses.into_inner(),
        }
    }
}

/// Whether an Allow speaks of all keys and channels.
fn is_unrestricted(statement: &Statement) -> bool {
    !is_conditional(statement)
        && statement.acl.is_none()
        && statement
            .keys
            .as_ref()
            .is_none_or(KeyPatterns::covers_everything)
}
