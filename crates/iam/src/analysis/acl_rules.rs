//! What an identity may do on a database as ACL rules of a server, which never allow more.

use std::collections::HashSet;
use std::sync::Arc;

use keyward_commands::{ActionBits, ActionId, CONNECT, ChannelRule, CommandClass, execute_actions};
use keyward_policy::{
    AclGrant, AclLimit, AclUser, ChannelUse, Dialect, Effect, KeyFields, KeyPatterns, ListedFacts,
    Policy, Touch,
};

use super::open::OpenFacts;
use super::ways::{OpenWay, Place, Ways};
use crate::decision::StatementRef;
use crate::directory::Directory;
use crate::grounds::{Grounds, PolicySource};
use crate::ids::{DatabaseIx, UnixMillis};
use crate::session::Session;

/// ACL rules for one identity on one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclRules {
    /// The user. It cannot log in: access keys are not part of it.
    pub user: AclUser,
    /// What the identity may do and the user may not.
    pub losses: Vec<AclLoss>,
}

/// Something that has no form in ACL rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AclLoss {
    /// The statement that is left out, or leaves something out.
    pub statement: Option<StatementRef>,
    /// What is lost, and why.
    pub text: String,
}

/// What is gathered for the rules.
struct Gathering<'a> {
    ways: Ways<'a>,
    /// Commands that some `Deny` meets, if only in part.
    denied: ActionBits,
    losses: Vec<AclLoss>,
    /// The same, to tell each once: there may be as many as statements.
    told: HashSet<AclLoss>,
    /// Whether commands imply what needs only Connect: ACL rules do not.
    implied: bool,
}

/// What all of a way's statements together limit a command to.
enum Limits {
    None,
    Fields(KeyPatterns),
    Rules(AclUser),
    /// More than one of them limits it.
    Several,
    /// It depends on what rules cannot ask for.
    Conditions,
}

impl Directory {
    /// The rules that a server may enforce for an identity instead of Keyward, from what its
    /// policies, boundaries and guardrails say now. What depends on the connection, the session or the
    /// moment, or ends by itself, is left out, and told.
    #[must_use]
    pub fn acl_rules(&self, session: &Session, database: DatabaseIx, at: UnixMillis) -> AclRules {
        let Some(path) = self.database(database).map(|database| &database.path) else {
            return AclRules {
                user: AclUser::of_grants(&[], &ActionBits::EMPTY, false).user,
                losses: Vec::new(),
            };
        };
        let mut grounds = self.grounds(session, path, false, at);
        let mut losses = Vec::new();
        for edge in grounds.nodes.iter_mut().flat_map(|node| &mut node.edges) {
            let trust = edge.source.path().and_then(|path| self.trust_at(path));
            let ends = trust
                .and_then(|trust| self.trust(trust))
                .is_some_and(|trust| trust.expires_at.is_some());
            if ends && edge.in_force {
                edge.in_force = false;
                losses.push(AclLoss {
                    statement: None,
                    text: format!(
                        "{} ends, and rules do not: it is left out",
                        edge.source.describe()
                    ),
                });
            }
        }
        let source = PolicySource::ResourcePolicy(Arc::clone(path));
        // Nothing is said of the request, not even the moment.
        let nothing = Arc::new(ListedFacts::new(Dialect::Native, std::iter::empty()));
        let facts = OpenFacts::open(&grounds, Some(nothing));
        let gathering = Gathering {
            denied: denied(&grounds, &facts),
            ways: Ways::of(&grounds, &source, facts),
            told: losses.iter().cloned().collect(),
            losses,
            implied: !grounds.has_acl(),
        };
        gathering.rules()
    }
}

/// Commands that a `Deny` in any list may meet; one of the resource's policy if it names somebody on
/// the way.
fn denied(grounds: &Grounds, facts: &OpenFacts<'_>) -> ActionBits {
    let mut denied = ActionBits::EMPTY;
    let of_resource = |policy: &Arc<Policy>| {
        let mut own = grounds.resource_policy.iter();
        own.any(|own| Arc::ptr_eq(own, policy))
    };
    for policy in grounds.documents() {
        for statement in policy.statements() {
            let concerns = statement.effect == Effect::Deny
                && (!of_resource(policy) || grounds.deny_names_reached(statement, CONNECT))
                && (statement.vendor.is_some()
                    || grounds.weigh(policy, statement, facts).is_some());
            if concerns {
                denied = denied.union(&statement.actions);
            }
        }
    }
    denied
}

impl Gathering<'_> {
    fn lose(&mut self, statement: Option<StatementRef>, text: &str) {
        let loss = AclLoss {
            statement,
            text: text.to_owned(),
        };
        if self.told.insert(loss.clone()) {
            self.losses.push(loss);
        }
    }

    fn rules(mut self) -> AclRules {
        let within = execute_actions().subtract(&self.denied);
        if self.denied.contains(CONNECT) {
            self.lose(
                None,
                "connecting is denied, if only under conditions: nothing is left",
            );
            return AclRules {
                user: AclUser::of_grants(&[], &ActionBits::EMPTY, false).user,
                losses: self.losses,
            };
        }
        if self.ways.truncated {
            self.lose(
                None,
                "there are too many ways to tell of: some are left out",
            );
        }
        let open = std::mem::take(&mut self.ways.ways);
        self.note_denies(&open);
        let grants: Vec<(ActionBits, Limits)> = open
            .iter()
            .flat_map(|way| self.grants(way, &within))
            .collect();
        self.ways.ways = open;
        let given: Vec<AclGrant<'_>> = grants
            .iter()
            .filter_map(|(actions, limits)| {
                let limit = match limits {
                    Limits::None => AclLimit::None,
                    Limits::Fields(fields) => AclLimit::Fields(fields),
                    Limits::Rules(user) => AclLimit::Rules(user),
                    Limits::Several | Limits::Conditions => return None,
                };
                let actions = actions.clone();
                Some(AclGrant { actions, limit })
            })
            .collect();
        if !self.implied {
            let text = "what needs only kvdb:Connect, beside what ACL rules allow by name";
            self.lose(None, text);
        }
        let export = AclUser::of_grants(&given, &within, self.implied);
        for loss in &export.losses {
            self.lose(None, loss);
        }
        AclRules {
            user: export.user,
            losses: self.losses,
        }
    }

    /// Tells which `Deny` statements take something away that others allow. Each is looked at once, not
    /// once a way.
    fn note_denies(&mut self, ways: &[OpenWay<'_>]) {
        let union = |all: ActionBits, more: &ActionBits| all.union(more);
        let allowed = ways.iter().map(|way| &way.actions);
        let allowed = allowed.fold(ActionBits::EMPTY, union);
        let binding = self.ways.denies.iter().map(|(actions, _)| actions);
        let binding = binding.fold(ActionBits::EMPTY, union);
        for way in ways {
            let missing = way.actions.intersect(&self.denied);
            if way.breaks.is_empty()
                && !binding.intersects(&way.actions)
                && missing.intersects(execute_actions())
            {
                self.lose(
                    None,
                    "commands that a Deny on another way names: they are left out",
                );
            }
        }
        let mut seen = HashSet::new();
        let of_ways = ways.iter().flat_map(|way| &way.breaks);
        let of_ways = of_ways.filter(|place| seen.insert(place.key()));
        let binding = self.ways.denies.iter();
        let binding = binding.filter(|(actions, _)| actions.intersects(&allowed));
        let found: Vec<StatementRef> = of_ways
            .chain(binding.map(|(_, place)| place))
            .map(Place::reference)
            .collect();
        for statement in found {
            let text = "denies some calls of the commands it names: they are left out";
            self.lose(Some(statement), text);
        }
    }

    /// The commands of a way, with what they are limited to.
    fn grants(&mut self, way: &OpenWay<'_>, within: &ActionBits) -> Vec<(ActionBits, Limits)> {
        let commands = way.actions.intersect(within);
        let (mut always, mut rest) = (ActionBits::EMPTY, ActionBits::EMPTY);
        for action in commands.iter() {
            if self.ways.permits(way, action, &everything(action)) == Some(true) {
                always.insert(action);
            } else {
                rest.insert(action);
            }
        }
        let mut found = Vec::new();
        if !always.is_empty() {
            found.push((always, Limits::None));
        }
        if rest.is_empty() || !Self::concerns(&rest) {
            return found;
        }
        let limits = self.limits(way);
        let statement = || way.allows.first().map(Place::reference);
        match &limits {
            Limits::Several => self.lose(
                statement(),
                "allows keys that another policy on the way limits, too: commands with keys are left out",
            ),
            Limits::Conditions => self.lose(
                statement(),
                "allows under conditions or in a vendor's terms, here or further on the way: it is left out",
            ),
            _ => found.push((rest, limits)),
        }
        found
    }

    /// Whether any of these could stand in rules at all.
    fn concerns(actions: &ActionBits) -> bool {
        actions.iter().any(|action| {
            action.command().is_some_and(|id| {
                matches!(
                    id.command().class,
                    CommandClass::Ordinary | CommandClass::ConnectOnly
                )
            })
        })
    }

    fn limits(&self, way: &OpenWay<'_>) -> Limits {
        let mut found = Limits::None;
        for place in &way.allows {
            let own = place.limits(&self.ways.facts);
            found = match (found, own) {
                (Limits::None, own) => own,
                (found, Limits::None) => found,
                (_, Limits::Conditions) | (Limits::Conditions, _) => return Limits::Conditions,
                (Limits::Fields(a), Limits::Fields(b)) if a == b => Limits::Fields(a),
                _ => Limits::Several,
            };
        }
        found
    }
}

impl Place<'_> {
    /// What the statement limits its commands to.
    fn limits(&self, facts: &OpenFacts<'_>) -> Limits {
        if let Some(user) = &self.statement.acl {
            return Limits::Rules((**user).clone());
        }
        if !self.is_sure() {
            return Limits::Conditions;
        }
        match self.statement.key_fields(facts) {
            KeyFields::Unrestricted => Limits::None,
            KeyFields::Later => Limits::Conditions,
            KeyFields::Patterns(patterns) if patterns.covers_everything() => Limits::None,
            KeyFields::Patterns(patterns) => Limits::Fields(patterns.into_owned()),
        }
    }
}

/// Whatever a call of an action may touch, and do to it.
fn everything(action: ActionId) -> Touch<'static> {
    const EVERY_CHANNEL: &[ChannelUse<'static>] = &[ChannelUse {
        channel: b"*",
        pattern: true,
    }];
    let channels = action.command().map(|id| id.command().channels);
    match (
        channels.unwrap_or(ChannelRule::None),
        Touch::of_action(action),
    ) {
        (ChannelRule::None, Touch::EveryKey { .. }) => Touch::EveryKey {
            reads: true,
            writes: true,
            enumeration: false,
        },
        (ChannelRule::None, other) => other,
        // With a prefix it tells the names of keys.
        (ChannelRule::Tracking, _) => Touch::EveryKey {
            reads: true,
            writes: false,
            enumeration: false,
        },
        // Some list them all, and no server checks that.
        _ => Touch::Named {
            keys: &[],
            channels: EVERY_CHANNEL,
        },
    }
}
