//! Who can become more than it is?
//!
//! Every step that is told was tried: the change was authorised, made on a copy of the directory,
//! and afterwards something is allowed that was not before. Paths of several steps are found by
//! taking every step that gains something until none is left, and then leaving out the steps that
//! the end does not need.

use std::collections::HashSet;
use std::sync::Arc;

use keyward_commands::{ActionBits, ActionId, CommandClass};
use keyward_policy::{Effect, IdentityPattern, KeyUse, Policy, Touch};

use super::open::OpenFacts;
use super::risk::Risk;
use super::ways::{Ways, all_actions};
use crate::apply::{ChangeContext, ChangeError};
use crate::change::{Change, PolicyInput};
use crate::decision::StatementRef;
use crate::directory::Directory;
use crate::entities::{Attachment, KeyStatus, TrustKind};
use crate::grounds::PolicySource;
use crate::ids::{IdentityIx, Kind, UnixMillis};
use crate::session::Session;

use super::who_can::acts;

/// Resources of an organisation that powers are compared on; beyond it the answer says so.
const MAX_RESOURCES: usize = 400;

/// Paths that are told of one identity.
const MAX_PATHS: usize = 40;

/// Changes that are tried for one identity.
const MAX_TRIED: usize = 4_000;

/// Comparisons of one resource, for one identity and for all: beyond it the answer says that there is
/// more. About a second and about ten.
const MAX_COMPARED: (usize, usize) = (60_000, 600_000);

/// Rounds of taking every step that gains something.
const MAX_ROUNDS: usize = 6;

/// By what an identity becomes more.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// Makes a credential of another identity.
    AccessKey,
    /// Makes, widens, accepts or ends a trust.
    Trust,
    /// Changes a policy that a trust carries.
    Policy,
    /// Changes whom a resource accepts.
    ResourcePolicy,
    /// Takes a boundary or guardrails away.
    Limit,
    /// Takes the ownership of the organisation.
    Ownership,
    /// Several of them, one after the other.
    Several,
    /// Runs scripts or functions, whose keys and commands Keyward cannot see.
    Scripts,
    /// Administers the server, or decides which server it is.
    Administration,
}

/// One change on the way.
#[derive(Clone, Debug)]
pub struct EscalationStep {
    /// Path of the identity that makes it.
    pub by: Arc<str>,
    /// The actions that it needs, each with its resource.
    pub needs: Vec<(&'static str, String)>,
    /// The statements that allow these actions.
    pub statements: Vec<StatementRef>,
    /// What is done, for people.
    pub text: String,
    /// The change itself; none where a command is all that it takes.
    pub change: Option<Change>,
    /// The identity that can be logged in as afterwards.
    pub opens: Option<Arc<str>>,
}

/// A request that is allowed afterwards and was not before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gain {
    /// Name of the action.
    pub action: &'static str,
    /// Full path of the resource.
    pub resource: Arc<str>,
    /// The key, if it is not every key.
    pub key: Option<Vec<u8>>,
    /// Who may make it: the identity itself, or one that it can log in as.
    pub by: Arc<str>,
}

/// One way by which an identity becomes more than it is.
#[derive(Clone, Debug)]
pub struct Escalation {
    /// Path of the identity.
    pub identity: Arc<str>,
    /// By what.
    pub means: Means,
    /// What it does, in order.
    pub steps: Vec<EscalationStep>,
    /// What it can do afterwards. None for scripts and administration: what they reach no policy
    /// tells.
    pub gain: Option<Gain>,
}

/// Everybody who can become more.
#[derive(Clone, Debug, Default)]
pub struct Escalations {
    /// By identity, the most direct first.
    pub found: Vec<Escalation>,
    /// Whether something was left out because the organisation is too large.
    pub truncated: bool,
}

/// The identities that one attacker can act as, and the world in which it does.
#[derive(Clone)]
struct State {
    directory: Directory,
    controlled: Vec<IdentityIx>,
}

/// What one attacker may do to one resource.
#[derive(Clone)]
struct Power {
    every: ActionBits,
    some: Vec<ActionBits>,
}

/// A change worth trying.
struct Move {
    means: Means,
    /// One of these is enough: the first that works.
    changes: Vec<(Change, Option<Arc<str>>)>,
    text: String,
}

struct Search<'a> {
    organisation: &'a str,
    administration: bool,
    at: UnixMillis,
    resources: Vec<Arc<str>>,
    samples: Vec<Vec<u8>>,
    tried: usize,
    compared: usize,
    compared_by_others: usize,
    truncated: bool,
}

/// Actions that some step is decided on.
fn powerful() -> ActionBits {
    let mut bits = ActionBits::EMPTY;
    for action in ActionId::all() {
        let matters = matches!(
            Risk::of(action),
            Risk::HandOut | Risk::Administer | Risk::Scripts | Risk::Remove
        ) || matches!(
            action.name(),
            "iam:CreateProgrammaticIdentity" | "iam:CreateGroup" | "iam:SetDefaultPolicyVersion"
        );
        if matters {
            bits.insert(action);
        }
    }
    bits
}

fn says_any(policies: &[Arc<Policy>], effect: Effect, actions: &ActionBits) -> bool {
    let mut statements = policies.iter().flat_map(|policy| policy.statements());
    statements.any(|s| s.effect == effect && s.actions.intersects(actions))
}

impl Directory {
    /// The identities of an organisation, and those of others that it trusts or accepts, that can
    /// become more than they are.
    #[must_use]
    pub fn escalations(
        &self,
        organisation: &str,
        administration: bool,
        at: UnixMillis,
    ) -> Escalations {
        let mut search = Search::new(self, organisation, administration, at);
        let mut answer = Escalations::default();
        for ix in search.suspects(self) {
            search.tried = 0;
            search.compared_by_others += std::mem::take(&mut search.compared);
            answer.found.extend(search.of(self, ix));
        }
        answer
            .found
            .sort_by(|a, b| (&a.identity, a.means).cmp(&(&b.identity, b.means)));
        answer.truncated = search.truncated;
        answer
    }

    /// An identity and everything that it reaches by standing trusts, in force or not.
    fn with_trustors(&self, from: &[IdentityIx]) -> Vec<IdentityIx> {
        let mut found: Vec<IdentityIx> = Vec::new();
        let mut seen: HashSet<IdentityIx> = HashSet::new();
        let mut open: Vec<IdentityIx> = from.iter().rev().copied().collect();
        while let Some(ix) = open.pop() {
            if !seen.insert(ix) {
                continue;
            }
            found.push(ix);
            let trusts = self.identity(ix).map_or(&[][..], |i| &i.trusted_by);
            for trust in trusts.iter().filter_map(|ix| self.trust(*ix)) {
                if trust.accepted {
                    open.push(trust.trustor);
                }
            }
        }
        found
    }
}

fn organisation_id(directory: &Directory, ix: IdentityIx) -> Option<&str> {
    let organisation = directory.identity(ix)?.organisation?;
    Some(directory.identity(organisation)?.id())
}

impl<'a> Search<'a> {
    fn new(
        directory: &Directory,
        organisation: &'a str,
        administration: bool,
        at: UnixMillis,
    ) -> Self {
        let own = format!("org/{organisation}");
        let inside = |path: &str| {
            path.strip_prefix(&*own)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let databases = directory.databases().map(|(_, d)| &d.path);
        let policies = directory.policies().map(|(_, policy)| &policy.path);
        let identities = directory.identities().map(|(_, identity)| &identity.path);
        let all = databases.chain(identities).chain(policies);
        let mut resources: Vec<Arc<str>> = vec![own.as_str().into()];
        resources.extend(all.filter(|p| inside(p) && ***p != *own).cloned());
        let truncated = resources.len() > MAX_RESOURCES;
        resources.truncate(MAX_RESOURCES);
        Self {
            organisation,
            administration,
            at,
            resources,
            samples: Vec::new(),
            tried: 0,
            compared: 0,
            compared_by_others: 0,
            truncated,
        }
    }

    /// Identities that some statement lets do anything on the way to more.
    fn suspects(&self, directory: &Directory) -> Vec<IdentityIx> {
        let powerful = powerful();
        let own = directory.organisation(self.organisation);
        let mut named: HashSet<&str> = HashSet::new();
        let mut everyone = false;
        let mut ends: Vec<IdentityIx> = Vec::new();
        for path in &self.resources {
            let Some(policy) = directory.resource_policy(path) else {
                continue;
            };
            for statement in policy.statements() {
                if statement.effect == Effect::Allow && statement.actions.intersects(&powerful) {
                    for identity in &statement.identities {
                        match identity {
                            IdentityPattern::Path(path) => {
                                named.insert(path);
                                ends.extend(directory.identity_at(path));
                            }
                            IdentityPattern::Everyone => everyone = true,
                            IdentityPattern::Unauthenticated => {}
                        }
                    }
                }
            }
        }
        let mut trusted: HashSet<IdentityIx> = ends.iter().copied().collect();
        for (_, trust) in directory.trusts() {
            if organisation_id(directory, trust.trustor) == Some(self.organisation) {
                trusted.insert(trust.trustee);
            }
        }
        let worth = |ix: IdentityIx| {
            let reached = directory.with_trustors(&[ix]);
            let is_named = reached
                .iter()
                .filter_map(|ix| directory.identity(*ix))
                .any(|i| named.contains(&*i.path));
            let trusts = reached
                .iter()
                .filter_map(|ix| directory.identity(*ix))
                .flat_map(|identity| &identity.trusted_by)
                .filter_map(|ix| directory.trust(*ix));
            let mut trusts = trusts;
            is_named
                || everyone
                || trusts.any(|trust| {
                    let policies = directory.documents(&trust.policies);
                    // Whoever may leave sheds what the trust denies.
                    !trust.accepted
                        || trust.kind != TrustKind::Standing
                        || says_any(&policies, Effect::Allow, &powerful)
                        || says_any(&policies, Effect::Deny, &all_actions())
                })
        };
        let mut found: Vec<IdentityIx> = directory
            .identities()
            .filter(|(ix, identity)| {
                let inside = identity.organisation.is_some() && identity.organisation == own;
                let known = trusted.contains(ix);
                (acts(identity.kind) && (inside || known))
                    || (known && identity.organisation.is_some() && identity.organisation != own)
            })
            .map(|(ix, _)| ix)
            .filter(|ix| worth(*ix))
            .collect();
        found.sort_unstable();
        found
    }

    /// Whether enough was tried.
    fn is_spent(&self) -> bool {
        self.tried > MAX_TRIED
            || self.compared > MAX_COMPARED.0
            || self.compared + self.compared_by_others > MAX_COMPARED.1
    }

    /// Whether nobody could hold more.
    fn holds_everything(&mut self, state: &State) -> bool {
        let mut all = all_actions();
        for action in ActionId::all().filter(|action| !counts(*action)) {
            all.remove(action);
        }
        self.resources.clone().iter().all(|resource| {
            let held = self.power(state, resource).every;
            all.subtract(&held).is_empty()
        })
    }

    fn touches<R>(&self, sample: Option<&[u8]>, ask: impl FnOnce(Option<&Touch<'_>>) -> R) -> R {
        match sample {
            None => ask(None),
            Some(key) => {
                let keys = [KeyUse {
                    key,
                    reads: true,
                    writes: true,
                }];
                ask(Some(&Touch::Named {
                    keys: &keys,
                    channels: &[],
                }))
            }
        }
    }

    /// What the attacker may do to a resource.
    fn power(&mut self, state: &State, resource: &Arc<str>) -> Power {
        self.compared += 1;
        let mut power = Power {
            every: ActionBits::EMPTY,
            some: Vec::new(),
        };
        let source = PolicySource::ResourcePolicy(Arc::clone(resource));
        for ix in &state.controlled {
            let session = Session::of_identity(*ix);
            let grounds = state.directory.grounds(&session, resource, false, self.at);
            let ways = Ways::of(&grounds, &source, OpenFacts::early(&grounds));
            for way in &ways.ways {
                for action in way.actions.iter() {
                    if counts(action)
                        && !power.every.contains(action)
                        && ways.permits(way, action, &Touch::of_action(action)) == Some(true)
                    {
                        power.every.insert(action);
                    }
                }
                for place in way.allows.iter().chain(&way.breaks) {
                    self.sample(place.statement.keys.as_ref());
                }
            }
            for (_, deny) in &ways.denies {
                self.sample(deny.statement.keys.as_ref());
            }
            for (n, sample) in self.samples.iter().enumerate() {
                if power.some.len() <= n {
                    power.some.push(ActionBits::EMPTY);
                }
                self.touches(Some(sample), |touch| {
                    let Some(touch) = touch else { return };
                    for way in &ways.ways {
                        for action in way.actions.iter().filter(|a| is_keyed(*a)) {
                            if !power.some[n].contains(action)
                                && ways.permits(way, action, touch) == Some(true)
                            {
                                power.some[n].insert(action);
                            }
                        }
                    }
                });
            }
        }
        power
    }

    /// Keeps a key that fits some pattern, to compare powers on.
    fn sample(&mut self, keys: Option<&keyward_policy::KeyPatterns>) {
        let Some(keys) = keys else { return };
        let lists = [&keys.keys, &keys.read_keys, &keys.write_keys];
        for glob in lists.into_iter().flat_map(|list| list.iter()) {
            if self.samples.len() >= 16 {
                return;
            }
            let key: Vec<u8> = glob
                .text()
                .iter()
                .filter(|byte| !b"*?[]^\\".contains(byte))
                .copied()
                .collect();
            if !self.samples.contains(&key) {
                self.samples.push(key);
            }
        }
    }

    /// Something that the second state allows and the first does not.
    fn gain(&mut self, before: &State, after: &State) -> Option<Gain> {
        for resource in self.resources.clone() {
            // Twice: the first look finds the keys on which both are compared.
            let _ = self.power(after, &resource);
            let then = self.power(before, &resource);
            let now = self.power(after, &resource);
            let every = now.every.subtract(&then.every);
            let witness = every
                .iter()
                .max_by_key(|action| Risk::of(*action))
                .and_then(|action| self.confirm(before, after, action, &resource, None));
            if witness.is_some() {
                return witness;
            }
            for (n, sample) in self.samples.clone().iter().enumerate() {
                let none = ActionBits::EMPTY;
                let more = now
                    .some
                    .get(n)
                    .unwrap_or(&none)
                    .subtract(then.some.get(n).unwrap_or(&none))
                    .subtract(&then.every);
                let witness = more.iter().find_map(|action| {
                    self.confirm(before, after, action, &resource, Some(sample))
                });
                if witness.is_some() {
                    return witness;
                }
            }
        }
        None
    }

    /// The witness, if the decisions themselves agree.
    fn confirm(
        &self,
        before: &State,
        after: &State,
        action: ActionId,
        resource: &Arc<str>,
        sample: Option<&[u8]>,
    ) -> Option<Gain> {
        let allowed = |state: &State| -> Option<IdentityIx> {
            state.controlled.iter().copied().find(|ix| {
                let session = Session::of_identity(*ix);
                self.touches(sample, |touch| {
                    let touch = touch.unwrap_or(&Touch::None);
                    state
                        .directory
                        .decide(&session, action, resource, touch, self.at)
                        .is_allow()
                })
            })
        };
        if allowed(before).is_some() {
            return None;
        }
        let by = allowed(after)?;
        Some(Gain {
            action: action.name(),
            resource: Arc::clone(resource),
            key: sample.map(<[u8]>::to_vec),
            by: Arc::clone(&after.directory.identity(by)?.path),
        })
    }

    /// Makes one change as whoever of the controlled may; the state afterwards and the step.
    fn make(
        &mut self,
        state: &State,
        change: &Change,
        opens: Option<&Arc<str>>,
        text: &str,
    ) -> Option<(State, Vec<EscalationStep>)> {
        self.tried += 1;
        for by in &state.controlled {
            let session = Session::of_identity(*by);
            let Ok(approval) = state.directory.authorise_change(&session, change, self.at) else {
                continue;
            };
            let path = Arc::clone(&state.directory.identity(*by)?.path);
            let context = ChangeContext {
                at: self.at,
                by: path.to_string(),
                accepts: approval.accepts,
            };
            let applied = match state.directory.apply(change, &context) {
                Ok(applied) => applied,
                Err(ChangeError::Limit { .. }) => {
                    return self.make_room(state, change, opens, text);
                }
                Err(_) => return None,
            };
            let mut statements = Vec::new();
            for requirement in &approval.requirements {
                if let Some(action) = keyward_commands::action(requirement.action) {
                    let decision = state.directory.decide(
                        &session,
                        action,
                        &requirement.resource,
                        &Touch::None,
                        self.at,
                    );
                    statements.extend(decision.statements);
                }
            }
            statements.dedup();
            let mut next = State {
                directory: applied.directory,
                controlled: state.controlled.clone(),
            };
            if let Some(ix) = opens.and_then(|path| next.directory.identity_at(path))
                && !next.controlled.contains(&ix)
            {
                next.controlled.push(ix);
            }
            let needs = approval.requirements.into_iter();
            let mut steps = vec![EscalationStep {
                by: path,
                needs: needs.map(|need| (need.action, need.resource)).collect(),
                statements,
                text: text.to_owned(),
                change: Some(change.clone()),
                opens: opens.cloned(),
            }];
            // A trust may wait for its trustee: another controlled identity may accept it.
            if !approval.accepts
                && let Change::CreateTrust { id, trustor, .. } = change
            {
                let organisation = trustor.split('/').nth(1).unwrap_or_default();
                let path = format!("org/{organisation}/trust/{id}");
                let accept = Change::AcceptTrust { path };
                let (accepted, more) =
                    self.make(&next, &accept, None, "accepts the trust for its trustee")?;
                steps.extend(more);
                next = accepted;
            }
            return Some((next, steps));
        }
        None
    }

    /// Deletes a key where there are as many as there may be.
    fn make_room(
        &mut self,
        state: &State,
        change: &Change,
        opens: Option<&Arc<str>>,
        text: &str,
    ) -> Option<(State, Vec<EscalationStep>)> {
        let Change::CreateAccessKey { identity, .. } = change else {
            return None;
        };
        let ix = state.directory.identity_at(identity)?;
        let keys = state.directory.identity(ix)?.access_keys.iter();
        let keys: Vec<String> = keys
            .filter_map(|key| state.directory.access_key_by_ix(*key))
            .filter(|key| key.status == KeyStatus::Active)
            .map(|key| state.directory.access_key_path(key))
            .collect();
        for path in keys {
            let delete = Change::DeleteAccessKey { path: path.clone() };
            let disable = Change::UpdateAccessKey {
                path: path.clone(),
                status: KeyStatus::Disabled,
            };
            for (room, verb) in [(delete, "deletes"), (disable, "disables")] {
                let text_of_room = format!("{verb} {path} to make room for another");
                if let Some((next, mut steps)) = self.make(state, &room, None, &text_of_room)
                    && let Some((end, more)) = self.make_once(&next, change, opens, text)
                {
                    steps.extend(more);
                    return Some((end, steps));
                }
            }
        }
        None
    }

    /// As [`Self::make`], without making room a second time.
    fn make_once(
        &mut self,
        state: &State,
        change: &Change,
        opens: Option<&Arc<str>>,
        text: &str,
    ) -> Option<(State, Vec<EscalationStep>)> {
        let context = ChangeContext::system(self.at);
        state.directory.apply(change, &context).ok()?;
        self.make(state, change, opens, text)
    }

    /// Everything that can be told of one identity.
    fn of(&mut self, directory: &Directory, ix: IdentityIx) -> Vec<Escalation> {
        let Some(identity) = directory.identity(ix) else {
            return Vec::new();
        };
        let path = Arc::clone(&identity.path);
        let start = State {
            directory: directory.clone(),
            controlled: vec![ix],
        };
        let mut found: Vec<Escalation> = self.on_servers(&start, &path);
        if self.holds_everything(&start) {
            return found;
        }
        let mut single: Vec<State> = Vec::new();
        for found_move in self.moves(&start) {
            if self.is_spent() || found.len() >= MAX_PATHS {
                self.truncated = true;
                break;
            }
            for (change, opens) in &found_move.changes {
                let Some((after, steps)) =
                    self.make(&start, change, opens.as_ref(), &found_move.text)
                else {
                    continue;
                };
                if let Some(gain) = self.gain(&start, &after) {
                    found.push(Escalation {
                        identity: Arc::clone(&path),
                        means: found_move.means,
                        steps,
                        gain: Some(gain),
                    });
                    single.push(after);
                    break;
                }
            }
        }
        found.extend(self.in_several_steps(&start, &path, &single));
        found
    }

    /// Takes every step that gains something until none is left.
    fn in_several_steps(
        &mut self,
        start: &State,
        path: &Arc<str>,
        single: &[State],
    ) -> Option<Escalation> {
        let mut steps: Vec<EscalationStep> = Vec::new();
        let mut state = start.clone();
        self.prepare(&mut state, &mut steps);
        for _ in 0..MAX_ROUNDS {
            let mut gained = false;
            for found_move in self.moves(&state) {
                if self.is_spent() {
                    self.truncated = true;
                    break;
                }
                for (change, opens) in &found_move.changes {
                    let Some((after, more)) =
                        self.make(&state, change, opens.as_ref(), &found_move.text)
                    else {
                        continue;
                    };
                    if self.gain(&state, &after).is_some() {
                        steps.extend(more);
                        state = after;
                        gained = true;
                        break;
                    }
                }
            }
            if !gained {
                break;
            }
        }
        // More than any single step gives?
        let mut known = vec![start];
        known.extend(single);
        let gain = self.gain_over_all(&known, &state)?;
        let steps = self.shortest(start, steps, &gain);
        if steps.len() < 2 {
            return None;
        }
        Some(Escalation {
            identity: Arc::clone(path),
            means: Means::Several,
            steps,
            gain: Some(gain),
        })
    }

    /// Something that the last state allows and none of the others.
    fn gain_over_all(&mut self, known: &[&State], end: &State) -> Option<Gain> {
        for resource in self.resources.clone() {
            let now = self.power(end, &resource).every;
            let mut more = now;
            for state in known {
                more = more.subtract(&self.power(state, &resource).every);
            }
            let action = more.iter().max_by_key(|action| Risk::of(*action));
            if let Some(action) = action {
                let gain = known
                    .iter()
                    .map(|state| self.confirm(state, end, action, &resource, None))
                    .collect::<Option<Vec<_>>>();
                if let Some(gain) = gain.and_then(|all| all.into_iter().next()) {
                    return Some(gain);
                }
            }
        }
        None
    }

    /// Makes an identity and a group of the attacker's own: they give nothing, but may be trusted
    /// where the attacker itself may not.
    fn prepare(&mut self, state: &mut State, steps: &mut Vec<EscalationStep>) {
        let organisation = self.organisation.to_owned();
        let id = "own-by-escalation";
        let identity: Arc<str> = format!("org/{organisation}/programmatic_identity/{id}").into();
        let group: Arc<str> = format!("org/{organisation}/group/{id}").into();
        let first = state.controlled.first().copied();
        let me = first.and_then(|ix| state.directory.identity(ix).map(|i| i.path.to_string()));
        let changes = [
            (
                Change::CreateProgrammaticIdentity {
                    organisation: organisation.clone(),
                    id: id.to_owned(),
                    name: None,
                },
                None,
                format!("makes {identity}"),
            ),
            (
                key_of(&identity),
                Some(Arc::clone(&identity)),
                format!("makes an access key of {identity} and logs in with it"),
            ),
            (
                Change::CreateGroup {
                    organisation,
                    id: id.to_owned(),
                    name: None,
                },
                None,
                format!("makes {group}"),
            ),
            (
                Change::CreateTrust {
                    id: format!("{id}-member"),
                    trustor: group.to_string(),
                    trustee: me.unwrap_or_default(),
                    policies: Vec::new(),
                    expires_at: None,
                },
                None,
                format!("joins {group}"),
            ),
        ];
        for (change, opens, text) in changes {
            if let Some((next, more)) = self.make(state, &change, opens.as_ref(), &text) {
                *state = next;
                steps.extend(more);
            }
        }
    }

    /// Leaves out every step without which the end is reached, too.
    fn shortest(
        &mut self,
        start: &State,
        mut steps: Vec<EscalationStep>,
        gain: &Gain,
    ) -> Vec<EscalationStep> {
        let mut at = steps.len();
        while at > 0 {
            at -= 1;
            let mut fewer = steps.clone();
            fewer.remove(at);
            if let Some(told) = self.replay(start, &fewer, gain) {
                steps = told;
            }
        }
        steps
    }

    /// Makes the changes of a path again; `None` if they do not lead to the gain.
    fn replay(
        &mut self,
        start: &State,
        steps: &[EscalationStep],
        gain: &Gain,
    ) -> Option<Vec<EscalationStep>> {
        let mut state = start.clone();
        let mut told = Vec::new();
        for step in steps {
            let change = step.change.as_ref()?;
            // An acceptance comes with the trust it accepts, where it is needed.
            if matches!(change, Change::AcceptTrust { path } if state
                .directory
                .trust_at(path)
                .and_then(|ix| state.directory.trust(ix))
                .is_some_and(|trust| trust.accepted))
            {
                continue;
            }
            let (next, more) = self.make(&state, change, step.opens.as_ref(), &step.text)?;
            state = next;
            told.extend(more);
        }
        let action = keyward_commands::action(gain.action)?;
        self.confirm(start, &state, action, &gain.resource, gain.key.as_deref())?;
        Some(told)
    }

    /// Scripts, and commands and changes that concern the server itself.
    fn on_servers(&self, state: &State, path: &Arc<str>) -> Vec<Escalation> {
        let mut found = Vec::new();
        let Some(ix) = state.controlled.first() else {
            return found;
        };
        let session = Session::of_identity(*ix);
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

    /// The changes that may give the attacker more.
    fn moves(&self, state: &State) -> Vec<Move> {
        let directory = &state.directory;
        let controlled = &state.controlled;
        let reached = directory.with_trustors(controlled);
        let path_of = |ix: &IdentityIx| directory.identity(*ix).map(|i| i.path.to_string());
        let reached_paths: Vec<String> = reached.iter().filter_map(path_of).collect();
        let own = format!("org/{}", self.organisation);
        let inside = |path: &str| path == own || path.starts_with(&format!("{own}/"));
        let everything = everything(&reached_organisations(directory, &own));
        let allowed_anywhere = self.held(state);
        let may = |names: &[&str]| {
            names.iter().any(|name| {
                keyward_commands::action(name).is_some_and(|a| allowed_anywhere.contains(a))
            })
        };
        let mut moves = Vec::new();
        let mut one = |means, change: Change, opens: Option<Arc<str>>, text: String| {
            moves.push(Move {
                means,
                changes: vec![(change, opens)],
                text,
            });
        };

        if may(&["org:TransferOwnership"]) {
            for ix in controlled {
                let user = directory.identity(*ix).filter(|i| i.kind == Kind::User);
                if let Some(user) = user {
                    let change = Change::TransferOwnership {
                        organisation: own.clone(),
                        owner: user.path.to_string(),
                    };
                    one(Means::Ownership, change, None, format!("takes {own}"));
                }
            }
        }
        if may(&["iam:CreateAccessKey"]) {
            for (ix, identity) in directory.identities() {
                if identity.kind == Kind::ProgrammaticIdentity
                    && inside(&identity.path)
                    && !controlled.contains(&ix)
                {
                    let text = format!(
                        "makes an access key of {} and logs in with it",
                        identity.path
                    );
                    let opens = Some(Arc::clone(&identity.path));
                    one(Means::AccessKey, key_of(&identity.path), opens, text);
                }
            }
        }
        // Trusts that lead from the attacker, and what they carry.
        for (_, trust) in directory.trusts() {
            if trust.kind == TrustKind::Ownership
                || !reached.contains(&trust.trustee)
                || !inside(&trust.path)
            {
                continue;
            }
            let path = trust.path.to_string();
            if !trust.accepted {
                let change = Change::AcceptTrust { path: path.clone() };
                one(Means::Trust, change, None, format!("accepts {path}"));
                continue;
            }
            let change = Change::UpdateTrust {
                path: path.clone(),
                policies: Some(vec![PolicyInput::Document(everything.clone())]),
                expires_at: Some(None),
            };
            one(Means::Trust, change, None, format!("widens {path}"));
            for policy in &trust.policies {
                if let Attachment::Named(ix) = policy
                    && let Some(named) = directory.policy(*ix)
                {
                    let change = Change::UpdatePolicy {
                        path: named.path.to_string(),
                        document: everything.clone().into(),
                        make_default: true,
                    };
                    let text = format!("widens {}, which {path} carries", named.path);
                    one(Means::Policy, change, None, text);
                    for version in named.versions.iter().map(|version| version.number) {
                        if version != named.default_version {
                            let change = Change::SetDefaultPolicyVersion {
                                path: named.path.to_string(),
                                version,
                            };
                            let text = format!(
                                "makes version {version} of {} the default, which {path} carries",
                                named.path
                            );
                            one(Means::Policy, change, None, text);
                        }
                    }
                }
            }
            let denies = says_any(
                &directory.documents(&trust.policies),
                Effect::Deny,
                &all_actions(),
            );
            if denies {
                let change = Change::DeleteTrust { path: path.clone() };
                let text = format!("ends {path}, and with it what it denies");
                one(Means::Trust, change, None, text);
            }
        }
        // Whom resources accept.
        if may(&["iam:PutResourcePolicy", "iam:DeleteResourcePolicy"]) {
            let accepted = reached_paths.iter().map(|path| format!("\"{path}\""));
            let accepted = accepted.collect::<Vec<_>>().join(",");
            let document =
                format!(r#"[{{"Effect":"Allow","Actions":["*"],"Identities":[{accepted}]}}]"#);
            for path in &self.resources {
                if directory.policy_at(path).is_some() {
                    continue;
                }
                let change = Change::PutResourcePolicy {
                    path: path.to_string(),
                    document: document.clone().into(),
                };
                let text = format!("makes {path} accept it for everything");
                one(Means::ResourcePolicy, change, None, text);
                if directory.resource_policy(path).is_some() {
                    let change = Change::DeleteResourcePolicy {
                        path: path.to_string(),
                    };
                    let text = format!("takes the resource policy of {path} away");
                    one(Means::ResourcePolicy, change, None, text);
                }
            }
        }
        // What limits the attacker.
        for ix in &reached {
            let Some(identity) = directory.identity(*ix) else {
                continue;
            };
            if !identity.boundary.is_empty() {
                let change = Change::DeleteBoundary {
                    identity: identity.path.to_string(),
                };
                let text = format!("takes the boundary of {} away", identity.path);
                one(Means::Limit, change, None, text);
            }
            let is_limited = identity
                .organisation_details()
                .is_some_and(|details| !details.guardrails.is_empty());
            if is_limited {
                let change = Change::PutGuardrails {
                    organisation: identity.path.to_string(),
                    policies: Vec::new(),
                };
                let text = format!("takes the guardrails of {} away", identity.path);
                one(Means::Limit, change, None, text);
            }
            if identity.kind == Kind::Group && may(&["iam:DeleteGroup"]) {
                let change = Change::DeleteIdentity {
                    path: identity.path.to_string(),
                    cascade: true,
                };
                let text = format!("deletes {}, and with it what denies", identity.path);
                one(Means::Trust, change, None, text);
            }
        }
        // New trusts.
        if may(&["iam:CreateTrust"]) {
            let organisation = directory.organisation(self.organisation);
            for (ix, identity) in directory.identities() {
                let trusts = matches!(
                    identity.kind,
                    Kind::Organisation | Kind::Group | Kind::ProgrammaticIdentity
                );
                if !trusts || identity.organisation != organisation || controlled.contains(&ix) {
                    continue;
                }
                let changes = reached_paths
                    .iter()
                    .filter(|path| **path != *identity.path)
                    .map(|trustee| {
                        let change = Change::CreateTrust {
                            id: format!("escalation-{}-{}", ix.0, directory.revision()),
                            trustor: identity.path.to_string(),
                            trustee: trustee.clone(),
                            policies: vec![PolicyInput::Document(everything.clone())],
                            expires_at: None,
                        };
                        (change, None)
                    });
                moves.push(Move {
                    means: Means::Trust,
                    changes: changes.collect(),
                    text: format!("makes {} trust it with everything", identity.path),
                });
            }
        }
        moves
    }

    /// Actions that some statement on the way from the attacker allows on something.
    fn held(&self, state: &State) -> ActionBits {
        let mut held = ActionBits::EMPTY;
        let directory = &state.directory;
        for ix in directory.with_trustors(&state.controlled) {
            let Some(identity) = directory.identity(ix) else {
                continue;
            };
            for trust in identity
                .trusted_by
                .iter()
                .filter_map(|t| directory.trust(*t))
            {
                if trust.kind == TrustKind::Ownership {
                    return all_actions();
                }
                for policy in directory.documents(&trust.policies) {
                    for statement in policy.statements() {
                        if statement.effect == Effect::Allow {
                            held = held.union(&statement.actions);
                        }
                    }
                }
            }
        }
        let policies = self
            .resources
            .iter()
            .filter_map(|path| directory.resource_policy(path));
        for statement in policies.flat_map(|policy| policy.statements()) {
            if statement.effect == Effect::Allow {
                held = held.union(&statement.actions);
            }
        }
        held
    }
}

/// The organisations that one may speak for, so that a policy of it reaches into them.
fn reached_organisations(directory: &Directory, own: &str) -> Vec<String> {
    let start = directory.identity_at(own);
    let reached = directory.with_trustors(start.as_slice());
    let reached = reached.iter().filter_map(|ix| directory.identity(*ix));
    reached
        .filter(|identity| identity.kind == Kind::Organisation)
        .map(|identity| identity.path.to_string())
        .collect()
}

/// A document that allows everything on these organisations.
fn everything(organisations: &[String]) -> String {
    let resources = organisations.iter().map(|path| format!("\"{path}/**\""));
    let resources = resources.collect::<Vec<_>>().join(",");
    format!(r#"[{{"Effect":"Allow","Actions":["*"],"Resources":[{resources}]}}]"#)
}

/// An access key that nobody has the secret of: only what it opens matters.
fn key_of(identity: &str) -> Change {
    Change::CreateAccessKey {
        identity: identity.to_owned(),
        key_id: "KWAKESCALATION222222".to_owned() + &short(identity),
        secret_hash: [0; 32],
        description: None,
    }
}

/// Letters that differ between identities.
fn short(text: &str) -> String {
    text.bytes()
        .map(|byte| char::from(b'A' + byte % 26))
        .collect()
}

/// What is compared: scripts and administration follow from other rights, and what needs only a
/// connection from any.
fn counts(action: ActionId) -> bool {
    action
        .command()
        .is_none_or(|id| id.command().class == CommandClass::Ordinary)
}

fn is_keyed(action: ActionId) -> bool {
    counts(action)
        && action.command().is_some_and(|id| {
            id.command().scope == keyward_commands::CommandScope::Keyed
                && !id.command().key_specs.is_empty()
        })
}
