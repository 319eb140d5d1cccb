//! All ways from one principal to one resource, each with the statements that it needs: a decision
//! with the action and the keys left open.

use std::sync::Arc;

use keyward_commands::{ActionBits, ActionId, CONNECT};
use keyward_policy::{Effect, IdentityPattern, KeyPatterns, Match, Policy, Statement, Touch};

use crate::decision::StatementRef;
use crate::evaluate::Question;
use crate::grounds::{Grant, Grounds, PolicySource};

/// Ways that are kept for one identity on the path: beyond it the answer says that there are more.
const MAX_WAYS: usize = 512;

/// A statement and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    source: &'a PolicySource,
    document: usize,
    index: usize,
    policy: &'a Policy,
    pub(crate) statement: &'a Statement,
}

impl Place<'_> {
    pub(crate) fn reference(&self) -> StatementRef {
        StatementRef {
            source: self.source.clone(),
            document: self.document,
            statement: self.index,
            sid: self.statement.sid.clone(),
        }
    }

    /// Whether it says the same of every call of its actions.
    fn is_free(&self) -> bool {
        self.statement.keys.is_none() && self.statement.conditions.is_none()
    }

    fn matches(&self, action: ActionId, grounds: &Grounds, touch: &Touch<'_>) -> bool {
        let question = Question {
            action,
            touch: *touch,
            request: &grounds.early(),
        };
        grounds.matches(self.policy, self.statement, &question) == Match::Full
    }
}

/// One chain and one choice of an `Allow` in each list that must allow.
#[derive(Clone, Debug)]
pub(crate) struct OpenWay<'a> {
    /// Actions that all of the statements speak of.
    pub(crate) actions: ActionBits,
    /// Positions of the chain's nodes, the principal first.
    pub(crate) nodes: Vec<usize>,
    pub(crate) allows: Vec<Place<'a>>,
    /// `Deny` statements that break this way and do nothing else.
    pub(crate) breaks: Vec<Place<'a>>,
}

impl<'a> OpenWay<'a> {
    fn with(&self, allow: &Allow<'a>) -> Option<Self> {
        let actions = self.actions.intersect(&allow.actions);
        if actions.is_empty() {
            return None;
        }
        let mut next = self.clone();
        next.actions = actions;
        next.allows.push(allow.place);
        Some(next)
    }

    /// The same way without what `Deny` statements that may break it take for sure.
    fn but_not(&self, denies: &[Place<'a>]) -> Option<Self> {
        let mut next = self.clone();
        for deny in denies {
            if deny.is_free() {
                next.actions = next.actions.subtract(&deny.statement.actions);
            } else if deny.statement.actions.intersects(&next.actions) {
                next.breaks.push(*deny);
            }
        }
        (!next.actions.is_empty()).then_some(next)
    }

    fn is_free(&self) -> bool {
        self.breaks.is_empty() && self.allows.iter().all(Place::is_free)
    }
}

/// An `Allow` with the actions that it adds to those before it.
struct Allow<'a> {
    actions: ActionBits,
    place: Place<'a>,
}

/// The `Allow`s of a list that concern a resource. Those without limits come first, and what they
/// allow is left out of the others; all `Deny`s.
fn read_list<'a>(
    documents: &'a [Arc<Policy>],
    source: &'a PolicySource,
    concerns: impl Fn(&Policy, &Statement) -> bool,
) -> (Vec<Allow<'a>>, Vec<Place<'a>>) {
    let mut allows: Vec<Allow<'a>> = Vec::new();
    let mut denies = Vec::new();
    let mut limited = Vec::new();
    let mut free = ActionBits::EMPTY;
    for (document, policy) in documents.iter().enumerate() {
        for (index, statement) in policy.statements().iter().enumerate() {
            if !concerns(policy, statement) {
                continue;
            }
            let place = Place {
                source,
                document,
                index,
                policy,
                statement,
            };
            match statement.effect {
                Effect::Deny => denies.push(place),
                Effect::Allow if place.is_free() => {
                    let actions = statement.actions.subtract(&free);
                    free = free.union(&statement.actions);
                    if !actions.is_empty() {
                        allows.push(Allow { actions, place });
                    }
                }
                Effect::Allow => limited.push(place),
            }
        }
    }
    for place in limited {
        let actions = place.statement.actions.subtract(&free);
        if !actions.is_empty() {
            allows.push(Allow { actions, place });
        }
    }
    (allows, denies)
}

/// Everything by which a principal may do something to a resource.
#[derive(Debug)]
pub(crate) struct Ways<'a> {
    grounds: &'a Grounds,
    pub(crate) ways: Vec<OpenWay<'a>>,
    /// `Deny` statements that nothing overrides, with the actions that each denies here.
    pub(crate) denies: Vec<(ActionBits, Place<'a>)>,
    /// Whether ways were left out, because there are too many.
    pub(crate) truncated: bool,
}

impl<'a> Ways<'a> {
    /// `resource_policy` is where the statements of the resource's policy are said to stand.
    pub(crate) fn of(grounds: &'a Grounds, resource_policy: &'a PolicySource) -> Self {
        let mut found = Self {
            grounds,
            ways: Vec::new(),
            denies: Vec::new(),
            truncated: false,
        };
        let concerns = |policy: &Policy, statement: &Statement| {
            grounds.weigh(policy, statement, &grounds.early()).is_some()
        };
        let layers: Vec<(Vec<Allow<'a>>, Vec<Place<'a>>)> = grounds
            .layers
            .iter()
            .map(|layer| {
                let (allows, denies) = read_list(&layer.documents, &layer.source, concerns);
                if layer.binding {
                    found.bind(&denies);
                    (allows, Vec::new())
                } else {
                    (allows, denies)
                }
            })
            .collect();
        let mut reached: Vec<Vec<OpenWay<'a>>> = Vec::with_capacity(grounds.nodes.len());
        for (position, node) in grounds.nodes.iter().enumerate() {
            let mut ways = Vec::new();
            if position == 0 {
                ways.push(OpenWay {
                    actions: all_actions(),
                    nodes: vec![0],
                    allows: Vec::new(),
                    breaks: Vec::new(),
                });
            }
            for edge in &node.edges {
                let (allows, denies) = match &edge.grant {
                    Grant::Everything => (None, Vec::new()),
                    Grant::Documents(documents) => {
                        let (allows, denies) = read_list(documents, &edge.source, concerns);
                        if edge.binding {
                            found.bind(&denies);
                            (Some(allows), Vec::new())
                        } else {
                            (Some(allows), denies)
                        }
                    }
                };
                if !edge.in_force {
                    continue;
                }
                for way in &reached[edge.from] {
                    let mut way = way.clone();
                    way.nodes.push(position);
                    match &allows {
                        None => ways.push(way),
                        Some(allows) => {
                            let next = allows.iter().filter_map(|allow| way.with(allow));
                            ways.extend(next.filter_map(|way| way.but_not(&denies)));
                        }
                    }
                }
                found.limit(&mut ways);
            }
            for layer in &node.layers {
                ways = found.through(&ways, &layers[*layer]);
            }
            reached.push(ways);
        }
        found.accept(&reached, resource_policy);
        for layer in &grounds.request_layers {
            let ways = std::mem::take(&mut found.ways);
            found.ways = found.through(&ways, &layers[*layer]);
        }
        found.drop_denied();
        found.drop_shadowed();
        found
    }

    fn bind(&mut self, denies: &[Place<'a>]) {
        for deny in denies {
            self.denies.push((deny.statement.actions.clone(), *deny));
        }
    }

    fn limit(&mut self, ways: &mut Vec<OpenWay<'a>>) {
        if ways.len() > MAX_WAYS {
            ways.truncate(MAX_WAYS);
            self.truncated = true;
        }
    }

    fn through(
        &mut self,
        ways: &[OpenWay<'a>],
        (allows, denies): &(Vec<Allow<'a>>, Vec<Place<'a>>),
    ) -> Vec<OpenWay<'a>> {
        let mut next: Vec<OpenWay<'a>> = Vec::new();
        for way in ways {
            let allowed = allows.iter().filter_map(|allow| way.with(allow));
            next.extend(allowed.filter_map(|way| way.but_not(denies)));
            if next.len() > MAX_WAYS {
                break;
            }
        }
        self.limit(&mut next);
        next
    }

    /// What the resource accepts of which node, and what its policy denies.
    fn accept(&mut self, reached: &[Vec<OpenWay<'a>>], source: &'a PolicySource) {
        let grounds = self.grounds;
        let (_, denies) = read_list(&grounds.resource_policy, source, |_, _| true);
        // A Deny for everyone leaves only the owner accepted for changing this very policy.
        let mut owner_only = ActionBits::EMPTY;
        for deny in denies {
            let mut actions = deny.statement.actions.clone();
            if !grounds.deny_names_reached(deny.statement, CONNECT) {
                continue;
            }
            for action in resource_policy_actions() {
                if !grounds.deny_names_reached(deny.statement, action) {
                    actions.remove(action);
                }
            }
            let everyone = deny.statement.identities.iter();
            if everyone
                .into_iter()
                .any(|i| matches!(i, IdentityPattern::Everyone))
            {
                for action in resource_policy_actions() {
                    if deny.statement.actions.contains(action) {
                        owner_only.insert(action);
                    }
                }
            }
            self.denies.push((actions, deny));
        }
        let mut accepted = Vec::new();
        for (position, ways) in reached.iter().enumerate() {
            if grounds.nodes[position].owner {
                accepted.extend(ways.iter().cloned());
                continue;
            }
            let named = |_: &Policy, statement: &Statement| grounds.names(statement, position);
            let (mut allows, _) = read_list(&grounds.resource_policy, source, named);
            for allow in &mut allows {
                allow.actions = allow.actions.subtract(&owner_only);
            }
            for way in ways {
                accepted.extend(allows.iter().filter_map(|allow| way.with(allow)));
            }
        }
        self.limit(&mut accepted);
        self.ways = accepted;
    }

    /// Takes out what is denied whatever the call.
    fn drop_denied(&mut self) {
        let mut sure = ActionBits::EMPTY;
        for (actions, deny) in &self.denies {
            if deny.is_free() {
                sure = sure.union(actions);
            }
        }
        for way in &mut self.ways {
            way.actions = way.actions.subtract(&sure);
        }
        self.ways.retain(|way| !way.actions.is_empty());
        let any = self
            .ways
            .iter()
            .fold(ActionBits::EMPTY, |all, way| all.union(&way.actions));
        self.denies
            .retain(|(actions, deny)| !deny.is_free() && actions.intersects(&any));
    }

    /// Takes out what a way without limits allows anyway: it is the one to tell of.
    fn drop_shadowed(&mut self) {
        self.ways
            .sort_by_key(|way| (!way.is_free(), way.nodes.len()));
        let mut free = ActionBits::EMPTY;
        for way in &mut self.ways {
            way.actions = way.actions.subtract(&free);
            if way.is_free() {
                free = free.union(&way.actions);
            }
        }
        self.ways.retain(|way| !way.actions.is_empty());
    }

    /// Whether a way allows exactly this call, and nothing denies it.
    pub(crate) fn permits(&self, way: &OpenWay<'a>, action: ActionId, touch: &Touch<'_>) -> bool {
        let matches = |place: &Place<'_>| place.matches(action, self.grounds, touch);
        way.actions.contains(action)
            && way.allows.iter().all(matches)
            && !way.breaks.iter().any(matches)
            && !self
                .denies
                .iter()
                .any(|(actions, deny)| actions.contains(action) && matches(deny))
    }

    /// The first way by which exactly this call is allowed; the same answer as the evaluator's.
    pub(crate) fn allowing(&self, action: ActionId, touch: &Touch<'_>) -> Option<&OpenWay<'a>> {
        self.ways
            .iter()
            .find(|way| self.permits(way, action, touch))
    }

    /// A way as it is shown.
    pub(crate) fn shown(&self, way: &OpenWay<'a>) -> Way {
        let path = |node: &usize| Arc::clone(&self.grounds.nodes[*node].path);
        Way {
            chain: way.nodes.iter().map(path).collect(),
            statements: way.allows.iter().map(Place::reference).collect(),
            keys: way
                .allows
                .iter()
                .filter_map(|place| place.statement.keys.clone())
                .collect(),
            exceptions: way
                .breaks
                .iter()
                .chain(
                    self.denies
                        .iter()
                        .filter(|(actions, _)| actions.intersects(&way.actions))
                        .map(|(_, deny)| deny),
                )
                .map(|deny| Exception {
                    statement: deny.reference(),
                    keys: deny.statement.keys.clone(),
                })
                .collect(),
        }
    }
}

/// One way by which an identity may do something.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// The identities of the chain, from the principal on.
    pub chain: Vec<Arc<str>>,
    /// One statement of each list that must allow; none where no list must.
    pub statements: Vec<StatementRef>,
    /// The key fields of these statements: every key and channel must fit all of them.
    pub keys: Vec<KeyPatterns>,
    /// Statements that deny some of the calls.
    pub exceptions: Vec<Exception>,
}

impl Way {
    /// Whether it allows every call of its actions.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.keys.is_empty() && self.exceptions.is_empty()
    }
}

/// A `Deny` that meets some of the calls of a way.
#[derive(Clone, Debug, PartialEq)]
pub struct Exception {
    /// Where it stands.
    pub statement: StatementRef,
    /// The keys and channels that it denies; `None`: all.
    pub keys: Option<KeyPatterns>,
}

pub(super) fn all_actions() -> ActionBits {
    let mut bits = ActionBits::EMPTY;
    ActionId::all().for_each(|action| bits.insert(action));
    bits
}

fn resource_policy_actions() -> impl Iterator<Item = ActionId> {
    [
        "iam:GetResourcePolicy",
        "iam:PutResourcePolicy",
        "iam:DeleteResourcePolicy",
    ]
    .into_iter()
    .filter_map(keyward_commands::action)
}
