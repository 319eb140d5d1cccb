//! All ways from one principal to one resource, each with the statements that it needs: a decision
//! with the action and the keys left open.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use keyward_commands::{ActionBits, ActionId, CONNECT, execute_actions};
use keyward_policy::{
    Clause, Conditions, Effect, Glob, IdentityPattern, KeyFields, KeyPatterns, Policy, Statement,
    Template, Touch,
};

use super::open::OpenFacts;
use crate::bits::Weight;
use crate::decision::StatementRef;
use crate::evaluate::Question;
use crate::grounds::{Grant, Grounds, PolicySource};
use crate::terms::ASSUMING;
use crate::terms::InTerms;

/// Ways that are kept for one identity on the path: beyond it the answer says that there are more.
const MAX_WAYS: usize = 512;

/// `Deny` statements that are kept of all ways of one list together: each way has its own.
const MAX_BREAKS: usize = 100_000;

/// Exceptions of one way that are listed, and patterns and values of one list: an answer is for people.
const MAX_EXCEPTIONS: usize = 16;
const MAX_LISTED: usize = 64;

/// Statements that are read or asked about one call, for one principal and one resource: beyond it
/// what they say counts as not known, and the answer says that there is more. About a tenth of a
/// second.
const MAX_EFFORT: u64 = 400_000;

/// What reading and asking a statement in a vendor's terms costs, counted in native ones.
const VENDOR_EFFORT: u64 = 8;

/// Patterns, values and exceptions that are told of one principal and one resource; beyond it they are
/// only counted.
const MAX_SHOWN: usize = 20_000;

/// What reading and asking a statement costs, counted in native ones without keys and conditions.
fn effort(statement: &Statement) -> u64 {
    let conditions = statement.conditions.as_ref();
    let values = conditions.map_or(0, |all| {
        all.clauses().iter().map(|c| c.values().len()).sum()
    });
    let fields = statement.keys.as_ref();
    let keys = fields.map_or(0, |fields| {
        let keys = fields.keys.len() + fields.read_keys.len();
        keys + fields.write_keys.len() + fields.channels.len()
    });
    let templates = statement.templates.as_deref();
    let filled = templates.map_or(0, |templates| 8 * templates.all().count());
    let resources = statement.resources.len() + statement.identities.len();
    let count: usize = values + keys + filled + resources;
    let own = match (&statement.vendor, &statement.acl) {
        (Some(vendor), _) => VENDOR_EFFORT + vendor.weight() as u64,
        (_, Some(user)) => 1 + user.weight() as u64 / 4,
        _ => 1,
    };
    own + count as u64 / 8
}

/// A statement and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    source: &'a PolicySource,
    document: usize,
    index: usize,
    policy: &'a Policy,
    pub(crate) statement: &'a Statement,
    /// How much is known of it before the call.
    weight: Weight,
}

impl Place<'_> {
    pub(crate) fn reference(&self) -> StatementRef {
        StatementRef {
            source: self.source.clone(),
            document: self.document,
            statement: self.index,
            sid: self.statement.sid.clone(),
            policy: self.policy.path().map(Into::into),
        }
    }

    /// What tells it from other places of the same ways.
    pub(crate) fn key(&self) -> (*const PolicySource, usize, usize) {
        (std::ptr::from_ref(self.source), self.document, self.index)
    }

    /// Whether it says the same of every call of its actions.
    fn is_free(&self) -> bool {
        self.statement.keys.is_none()
            && self.statement.vendor.is_none()
            && self.statement.acl.is_none()
            && self.weight == Weight::Sure
    }

    /// Whether it concerns the resource, and its conditions hold, whatever the call.
    pub(crate) fn is_sure(&self) -> bool {
        self.weight == Weight::Sure && self.statement.vendor.is_none()
    }

    /// Whether it matches a call; `None` if that depends on what is left open.
    fn says(
        &self,
        action: ActionId,
        grounds: &Grounds,
        touch: &Touch<'_>,
        facts: &OpenFacts<'_>,
        in_terms: &InTerms,
    ) -> Option<bool> {
        let question = Question {
            action,
            touch: *touch,
            request: facts,
        };
        grounds.says(self.policy, self.statement, &question, in_terms)
    }

    /// Its key fields as they are shown: variables that are not known stand as they were written.
    pub(crate) fn keys<'s>(&'s self, facts: &'s OpenFacts<'_>) -> Option<Cow<'s, KeyPatterns>> {
        match self.statement.key_fields(facts) {
            KeyFields::Unrestricted => None,
            KeyFields::Patterns(patterns) => Some(patterns),
            KeyFields::Later => {
                let fixed = self.statement.keys.as_ref()?;
                let written = |globs: &[Glob], templates: &[Template]| -> Box<[Glob]> {
                    let texts = templates.iter().map(|t| Glob::new(t.text().as_bytes()));
                    globs.iter().cloned().chain(texts).collect()
                };
                let none = Box::default();
                let templates = self.statement.templates.as_ref().unwrap_or(&none);
                Some(Cow::Owned(KeyPatterns {
                    keys: written(&fixed.keys, &templates.keys),
                    read_keys: written(&fixed.read_keys, &templates.read_keys),
                    write_keys: written(&fixed.write_keys, &templates.write_keys),
                    channels: written(&fixed.channels, &templates.channels),
                }))
            }
        }
    }

    /// The conditions that depend on what is left open, and how many of their values are not listed.
    fn conditions(&self, facts: &OpenFacts<'_>, most: usize) -> (Vec<OpenCondition>, usize) {
        if let Some(user) = &self.statement.acl {
            // Which keys and channels its rules speak of, commands left out.
            let rules = user.to_string();
            let words = rules.split([' ', '(', ')']);
            let patterns =
                words.filter(|word| word.starts_with(['~', '%', '&']) || word.starts_with("db="));
            let mut patterns = patterns;
            let values = patterns.by_ref().take(most).map(Into::into).collect();
            let condition = OpenCondition {
                operator: "ACL rules".to_owned(),
                key: "kvdb:Key".into(),
                values,
            };
            return (vec![condition], patterns.count());
        }
        let clauses = self
            .statement
            .conditions
            .as_ref()
            .map_or(&[][..], Conditions::clauses);
        let mut left_out = 0;
        let mut open: Vec<&Clause> = clauses
            .iter()
            .filter(|clause| clause.holds(self.statement.effect, facts) != Some(true))
            .collect();
        left_out += open.len().saturating_sub(most);
        open.truncate(most);
        let open = open
            .into_iter()
            .map(|clause| {
                let values = clause.values();
                left_out += values.len().saturating_sub(most);
                let listed = values.iter().take(most);
                OpenCondition {
                    operator: clause.operator_name(),
                    key: clause.key.name().into(),
                    values: listed.map(|v| v.text().into()).collect(),
                }
            })
            .collect();
        (open, left_out)
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

    /// The same way without what `Deny` statements that may break it take for sure (`free`).
    fn but_not(mut self, free: &ActionBits, others: &[Place<'a>]) -> Option<Self> {
        self.actions = self.actions.subtract(free);
        if self.actions.is_empty() {
            return None;
        }
        let of_these = |deny: &&Place<'a>| deny.statement.actions.intersects(&self.actions);
        let breaks: Vec<Place<'a>> = others.iter().filter(of_these).copied().collect();
        self.breaks.extend(breaks);
        Some(self)
    }

    /// Whether all ACL rules among its statements, of which there are some, allow every call of an
    /// action.
    pub(crate) fn always_by_acl(&self, action: ActionId) -> bool {
        let mut users = self.allows.iter().filter_map(|p| p.statement.acl.as_ref());
        let first = users.next();
        first.is_some_and(|user| user.sure().contains(action))
            && users.all(|user| user.sure().contains(action))
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
    concerns: impl Fn(&Policy, &Statement) -> Option<(ActionBits, Weight)>,
) -> (Vec<Allow<'a>>, Vec<Place<'a>>) {
    let mut allows: Vec<Allow<'a>> = Vec::new();
    let mut denies = Vec::new();
    let mut limited = Vec::new();
    let mut free = ActionBits::EMPTY;
    for (document, policy) in documents.iter().enumerate() {
        for (index, statement) in policy.statements().iter().enumerate() {
            let Some((actions, weight)) = concerns(policy, statement) else {
                continue;
            };
            let place = Place {
                source,
                document,
                index,
                policy,
                statement,
                weight,
            };
            match statement.effect {
                Effect::Deny => denies.push(place),
                Effect::Allow if place.is_free() => {
                    let more = actions.subtract(&free);
                    free = free.union(&actions);
                    if !more.is_empty() {
                        let actions = more;
                        allows.push(Allow { actions, place });
                    }
                }
                Effect::Allow => limited.push((actions, place)),
            }
        }
    }
    for (actions, place) in limited {
        let actions = actions.subtract(&free);
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
    pub(crate) facts: OpenFacts<'a>,
    pub(crate) ways: Vec<OpenWay<'a>>,
    /// `Deny` statements that nothing overrides, with the actions that each denies here.
    pub(crate) denies: Vec<(ActionBits, Place<'a>)>,
    /// Those of them that may deny connecting, without which no command is run.
    pub(crate) unconnected: Vec<Place<'a>>,
    /// Whether ways were left out, because there are too many.
    pub(crate) truncated: bool,
    /// What of [`MAX_EFFORT`] is left.
    left: Cell<u64>,
    /// What reading the statements has cost.
    read: u64,
    /// How much has been told.
    shown: Cell<usize>,
    in_terms: InTerms,
}

impl<'a> Ways<'a> {
    /// `resource_policy` is where the statements of the resource's policy are said to stand.
    pub(crate) fn of(
        grounds: &'a Grounds,
        resource_policy: &'a PolicySource,
        facts: OpenFacts<'a>,
    ) -> Self {
        let mut found = Self {
            grounds,
            facts: facts.clone(),
            ways: Vec::new(),
            denies: Vec::new(),
            unconnected: Vec::new(),
            truncated: false,
            left: Cell::new(MAX_EFFORT),
            read: 0,
            shown: Cell::new(0),
            in_terms: InTerms::default(),
        };
        let read = Cell::new(0);
        let concerns = |policy: &Policy, statement: &Statement| {
            read.set(read.get() + effort(statement));
            weigh(grounds, policy, statement, &facts)
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
                let before = match edge.conditions {
                    Some(conditions) => found.through(&reached[edge.from], &layers[conditions]),
                    None => reached[edge.from].clone(),
                };
                let mut here = before;
                for way in &mut here {
                    way.nodes.push(position);
                }
                ways.extend(match allows {
                    None => here,
                    Some(allows) => found.through(&here, &(allows, denies)),
                });
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
        found.read += read.get();
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
        let mut free = ActionBits::EMPTY;
        let mut others = Vec::new();
        for deny in denies {
            match deny.is_free() {
                true => free = free.union(&deny.statement.actions),
                false => others.push(*deny),
            }
        }
        let mut next: Vec<OpenWay<'a>> = Vec::new();
        let mut breaks = 0;
        let both = ways
            .iter()
            .flat_map(|way| allows.iter().map(move |allow| (way, allow)));
        let both = both.filter_map(|(way, allow)| way.with(allow)?.but_not(&free, &others));
        for way in both {
            breaks += way.breaks.len();
            if breaks > MAX_BREAKS && !next.is_empty() {
                self.truncated = true;
                break;
            }
            next.push(way);
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
        let facts = self.facts.clone();
        let weighed =
            |policy: &Policy, statement: &Statement| weigh(grounds, policy, statement, &facts);
        let (_, denies) = read_list(&grounds.resource_policy, source, weighed);
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
        // Of a role with a vendor's trust document not even the owner is accepted without being named.
        let mut named_alone = ActionBits::EMPTY;
        for action in ASSUMING.into_iter().filter_map(keyward_commands::action) {
            if grounds.is_of_trust_document(action) {
                named_alone.insert(action);
            }
        }
        let mut accepted = Vec::new();
        for (position, ways) in reached.iter().enumerate() {
            if grounds.nodes[position].owner {
                for way in ways {
                    let mut way = way.clone();
                    way.actions = way.actions.subtract(&named_alone);
                    accepted.push(way);
                }
                if named_alone.is_empty() {
                    continue;
                }
            }
            let named = |policy: &Policy, statement: &Statement| {
                weighed(policy, statement).filter(|_| grounds.names(statement, position))
            };
            let (mut allows, _) = read_list(&grounds.resource_policy, source, named);
            for allow in &mut allows {
                allow.actions = allow.actions.subtract(&owner_only);
            }
            for way in ways {
                let left = (MAX_WAYS + 1).saturating_sub(accepted.len());
                let next = allows.iter().filter_map(|allow| way.with(allow));
                accepted.extend(next.take(left));
            }
        }
        self.limit(&mut accepted);
        self.ways = accepted;
    }

    /// Whether connecting is denied; `None` if that depends on what is left open.
    pub(crate) fn is_unconnected(&self) -> Option<bool> {
        let said = |place: &Place<'_>| {
            place.says(
                CONNECT,
                self.grounds,
                &Touch::None,
                &self.facts,
                &self.in_terms,
            )
        };
        if self
            .unconnected
            .iter()
            .any(|place| said(place) == Some(true))
        {
            return Some(true);
        }
        self.unconnected.is_empty().then_some(false)
    }

    /// Takes out what is denied whatever the call.
    fn drop_denied(&mut self) {
        let connecting = self.denies.iter();
        let connecting = connecting.filter(|(actions, _)| actions.contains(CONNECT));
        self.unconnected = connecting
            .map(|(_, deny)| *deny)
            .filter(|deny| {
                let facts = &self.facts;
                deny.says(CONNECT, self.grounds, &Touch::None, facts, &self.in_terms) != Some(false)
            })
            .collect();
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

    /// Takes out what vendors' statements deny whatever the call.
    pub(crate) fn drop_denied_in_terms(&mut self) {
        let any = self.ways.iter();
        let any = any.fold(ActionBits::EMPTY, |all, way| all.union(&way.actions));
        let denied = self.denied_in_terms(&any);
        for way in &mut self.ways {
            way.actions = way.actions.subtract(&denied);
        }
        self.ways.retain(|way| !way.actions.is_empty());
    }

    /// What vendors' statements deny whatever the call, of these actions. Those that there is no time
    /// to ask are told as exceptions.
    pub(crate) fn denied_in_terms(&self, any: &ActionBits) -> ActionBits {
        let mut denied = ActionBits::EMPTY;
        let mut left = MAX_EFFORT / 8;
        for (actions, deny) in &self.denies {
            let statement = deny.statement;
            let same_of_every_call = statement.vendor.is_some() && statement.conditions.is_none();
            if !same_of_every_call {
                continue;
            }
            for action in actions.intersect(any).subtract(&denied).iter() {
                let cost = effort(statement);
                if left < cost {
                    return denied;
                }
                left -= cost;
                let touch = Touch::of_action(action);
                let said = deny.says(action, self.grounds, &touch, &self.facts, &self.in_terms);
                if said == Some(true) {
                    denied.insert(action);
                }
            }
        }
        denied
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

    /// Whether a way allows exactly this call, and nothing denies it; `None` if that depends on
    /// what is left open.
    pub(crate) fn permits(
        &self,
        way: &OpenWay<'a>,
        action: ActionId,
        touch: &Touch<'_>,
    ) -> Option<bool> {
        if !way.actions.contains(action) {
            return Some(false);
        }
        // Going over the list costs, too, if less.
        let over = 1 + (self.denies.len() + way.breaks.len()) as u64 / 16;
        if !self.spend(over) {
            return None;
        }
        let says = |place: &Place<'_>| match self.spend(effort(place.statement)) {
            true => place.says(action, self.grounds, touch, &self.facts, &self.in_terms),
            false => None,
        };
        let denies = self
            .denies
            .iter()
            .filter(|(actions, _)| actions.contains(action))
            .map(|(_, deny)| deny);
        let breaks = way
            .breaks
            .iter()
            .filter(|deny| deny.statement.actions.contains(action));
        let mut known = Some(true);
        for (place, wanted) in way
            .allows
            .iter()
            .map(|place| (place, true))
            .chain(denies.chain(breaks).map(|place| (place, false)))
        {
            match says(place) {
                Some(said) if said == wanted => {}
                Some(_) => return Some(false),
                None => known = None,
            }
        }
        known
    }

    fn spend(&self, effort: u64) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(effort));
        left >= effort
    }

    /// Whether something was not asked, because it would have taken too long.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.left.get() == 0
    }

    /// What reading and asking has cost so far.
    pub(crate) fn spent(&self) -> u64 {
        self.read + MAX_EFFORT - self.left.get() + 8 * self.shown.get() as u64
    }

    /// The first way by which exactly this call is allowed, whatever is left open; the same answer
    /// as the evaluator's.
    pub(crate) fn allowing(&self, action: ActionId, touch: &Touch<'_>) -> Option<&OpenWay<'a>> {
        self.ways
            .iter()
            .find(|way| self.permits(way, action, touch) == Some(true))
    }

    /// Where a statement stands: what an assumable trust accepts stands in its conditions, though it
    /// is read as a statement of the role's policy.
    fn reference(&self, place: &Place<'_>) -> StatementRef {
        let found = place.reference();
        let grounds = self.grounds;
        let own = grounds.resource_policy.len() - grounds.assumable.len();
        let of_resource = matches!(place.source, PolicySource::ResourcePolicy(_));
        let trust = place.document.checked_sub(own).filter(|_| of_resource);
        match trust.and_then(|number| grounds.assumable.get(number)) {
            Some(trust) => StatementRef {
                source: PolicySource::Acceptance(Arc::clone(trust)),
                document: 0,
                ..found
            },
            None => found,
        }
    }

    /// A way as it is shown.
    pub(crate) fn shown(&self, way: &OpenWay<'a>) -> Way {
        self.shown_of(way, &way.actions, false)
    }

    /// A way as it is shown for some of its actions, where ACL rules allow them always or not.
    pub(crate) fn shown_of(
        &self,
        way: &OpenWay<'a>,
        actions: &ActionBits,
        always_by_acl: bool,
    ) -> Way {
        let path = |node: &usize| Arc::clone(&self.grounds.nodes[*node].path);
        let mut left_out = 0;
        let mut listed = |place: &Place<'_>| {
            let most = match self.shown.get() < MAX_SHOWN {
                true => MAX_LISTED,
                false => 1,
            };
            let keys = place.keys(&self.facts).map(|keys| {
                let (keys, more) = listed_patterns(&keys, most);
                left_out += more;
                keys
            });
            let (conditions, more) = place.conditions(&self.facts, most);
            left_out += more;
            let patterns = keys.as_ref().map_or(0, |keys| {
                let named = keys.keys.len() + keys.read_keys.len();
                named + keys.write_keys.len() + keys.channels.len()
            });
            let values: usize = conditions.iter().map(|c| 1 + c.values.len()).sum();
            self.shown.set(self.shown.get() + 2 + patterns + values);
            (keys, conditions)
        };
        let (mut keys, mut conditions) = (Vec::new(), Vec::new());
        let mut statements: Vec<StatementRef> = Vec::new();
        for place in &way.allows {
            // Guardrails bind an organisation's every identity on the chain, and its resources.
            let statement = self.reference(place);
            if statements.contains(&statement) {
                continue;
            }
            statements.push(statement);
            if always_by_acl && place.statement.acl.is_some() {
                continue;
            }
            let (own_keys, own_conditions) = listed(place);
            keys.extend(own_keys);
            conditions.extend(own_conditions);
        }
        let binding = self.denies.iter();
        let binding = binding.filter(|(denied, _)| denied.intersects(actions));
        let binding = binding.map(|(_, deny)| deny);
        // One that denies the commands, too, is among the others.
        let connecting = self.unconnected.iter().filter(|deny| {
            actions.intersects(execute_actions()) && !deny.statement.actions.intersects(actions)
        });
        let mut denies = way.breaks.iter().chain(binding).chain(connecting);
        let mut exceptions = Vec::new();
        let most = match self.shown.get() < MAX_SHOWN {
            true => MAX_EXCEPTIONS,
            false => 1,
        };
        for deny in denies.by_ref().take(most) {
            let (keys, conditions) = listed(deny);
            exceptions.push(Exception {
                statement: deny.reference(),
                keys,
                conditions,
            });
        }
        left_out += denies.count();
        Way {
            chain: way.nodes.iter().map(path).collect(),
            statements,
            keys,
            conditions,
            exceptions,
            left_out,
        }
    }
}

/// The first patterns of each field, and how many more there are.
fn listed_patterns(keys: &KeyPatterns, most: usize) -> (KeyPatterns, usize) {
    let mut more = 0;
    let mut first = |globs: &[Glob]| -> Box<[Glob]> {
        more += globs.len().saturating_sub(most);
        globs.iter().take(most).cloned().collect()
    };
    let listed = KeyPatterns {
        keys: first(&keys.keys),
        read_keys: first(&keys.read_keys),
        write_keys: first(&keys.write_keys),
        channels: first(&keys.channels),
    };
    (listed, more)
}

/// A condition that a decision depends on, as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OpenCondition {
    /// `IpAddress`, `ForAllValues:StringLikeIfExists`
    pub operator: String,
    /// `keyward:SourceIp`
    pub key: Box<str>,
    /// The values that are wanted.
    pub values: Vec<Box<str>>,
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
    /// What must hold besides.
    pub conditions: Vec<OpenCondition>,
    /// Statements that deny some of the calls.
    pub exceptions: Vec<Exception>,
    /// Patterns, values and exceptions beyond those that are listed.
    pub left_out: usize,
}

impl Way {
    /// Whether it allows every call of its actions.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.keys.is_empty() && self.conditions.is_empty() && self.exceptions.is_empty()
    }
}

/// A `Deny` that meets some of the calls of a way.
#[derive(Clone, Debug, PartialEq)]
pub struct Exception {
    /// Where it stands.
    pub statement: StatementRef,
    /// The keys and channels that it denies; `None`: all.
    pub keys: Option<KeyPatterns>,
    /// Under what conditions.
    pub conditions: Vec<OpenCondition>,
}

pub(super) fn all_actions() -> ActionBits {
    let mut bits = ActionBits::EMPTY;
    ActionId::all().for_each(|action| bits.insert(action));
    bits
}

/// What a statement may speak of on the resource, and how much of that is known.
fn weigh(
    grounds: &Grounds,
    policy: &Policy,
    statement: &Statement,
    facts: &OpenFacts<'_>,
) -> Option<(ActionBits, Weight)> {
    let weight = grounds.weigh(policy, statement, facts);
    if statement.vendor.is_none() {
        return weight.map(|weight| (statement.actions.clone(), weight));
    }
    // In a vendor's terms the resource of other actions than commands is another one.
    let mut actions = statement.actions.clone();
    if weight.is_none() {
        actions = actions.subtract(keyward_commands::execute_actions());
    }
    (!actions.is_empty()).then_some((actions, Weight::Conditional))
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
