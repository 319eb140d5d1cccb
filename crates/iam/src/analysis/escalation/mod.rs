//! Who can become more than it is?
//!
//! Every step that is told was tried: the change was authorised, made on a copy of the directory,
//! and afterwards something is allowed that was not before. Paths of several steps are found by
//! taking every step that gains something until none is left, and then leaving out the steps that
//! the end does not need.

mod alike;
mod circumstances;
mod mappings;
mod moves;
mod paths;
mod power;
mod roles;
mod servers;
mod steps;
mod suspects;
mod tags;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::assume::AssumeRole;
use crate::change::Change;
use crate::decision::StatementRef;
use crate::directory::Directory;
use crate::ids::{IdentityIx, UnixMillis};
use crate::session::Session;
use crate::temporary::TokenFacts;
pub use circumstances::Circumstances;
use power::Power;
use roles::Profile;
use tags::TagKey;

/// Resources of an organisation that powers are compared on; beyond it the answer says so.
const MAX_RESOURCES: usize = 400;

/// Changes that are tried for one identity.
const MAX_TRIED: usize = 4_000;

/// Comparisons of one resource, for one identity and for all: beyond it the answer says that there is
/// more. About a second and about ten.
const MAX_COMPARED: (usize, usize) = (60_000, 600_000);

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
    /// Changes tags that conditions ask for.
    Tag,
    /// Takes the ownership of the organisation.
    Ownership,
    /// Several of them, one after the other.
    Several,
    /// Runs scripts or functions, whose keys and commands Keyward cannot see.
    Scripts,
    /// Administers the server, or decides which server it is.
    Administration,
    /// Reads what is in a snapshot by putting it into a database that it may read.
    Snapshot,
    /// Makes an identity provider say what it likes.
    Provider,
    /// Becomes a member by an invitation of its own making.
    Membership,
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
    /// What is asked for when a role is assumed.
    pub ask: Option<AssumeRole>,
    /// The token that is presented with it, where the maker is an identity provider.
    pub token: Option<Arc<TokenFacts>>,
    /// How whoever makes it must come.
    pub when: Circumstances,
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
    /// How that one must come.
    pub when: Circumstances,
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
    /// What it can do afterwards. None for scripts and administration, since what they reach no
    /// policy tells, and for snapshots, whose keys are then in another database.
    pub gain: Option<Gain>,
}

impl Escalation {
    /// What must be so besides, in words, each once: `from an address in 10.0.0.0/8`. None: nothing.
    #[must_use]
    pub fn conditions(&self) -> Vec<&str> {
        let steps = self.steps.iter().map(|step| &step.when);
        let all = steps.chain(self.gain.iter().map(|gain| &gain.when));
        let mut told: Vec<&str> = Vec::new();
        for word in all.flat_map(|when| &when.words) {
            if !told.contains(&&**word) {
                told.push(word);
            }
        }
        told
    }
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
    /// Those of which it has a credential before the roles that these may assume, each in all
    /// circumstances.
    controlled: Vec<Actor>,
    /// Identity providers whose tokens it makes, by path.
    providers: Vec<Arc<str>>,
    /// The moment of the last step: there is no way back.
    now: UnixMillis,
}

/// Something that an attacker acts as.
#[derive(Clone)]
struct Actor {
    ix: IdentityIx,
    session: Session,
    /// In which circumstances, as a place in the list of the search.
    when: usize,
    /// How the role is assumed, for a session of a role; empty for what has a credential.
    assumed: Vec<EscalationStep>,
}

impl State {
    /// What the attacker has a credential of.
    fn owned(&self) -> Vec<IdentityIx> {
        let owned = self
            .controlled
            .iter()
            .filter(|actor| actor.assumed.is_empty() && actor.when == 0);
        owned.map(|actor| actor.ix).collect()
    }

    /// That, and the roles that it can act as.
    fn identities(&self) -> Vec<IdentityIx> {
        let mut found: Vec<IdentityIx> = Vec::new();
        for actor in &self.controlled {
            if !found.contains(&actor.ix) {
                found.push(actor.ix);
            }
        }
        found
    }
}

struct Search<'a> {
    organisation: &'a str,
    administration: bool,
    at: UnixMillis,
    circumstances: Vec<Circumstances>,
    /// What callers may say of themselves so that conditions hold.
    profiles: Vec<Profile>,
    /// Keys of tags that documents speak of, with the values that may matter.
    tag_keys: Vec<TagKey>,
    /// Programs that nothing tells from each other as things that something is done to.
    plain: HashSet<Arc<str>>,
    /// What is held in a state that others are compared with, by resource.
    known: HashMap<Arc<str>, (usize, Power)>,
    resources: Vec<Arc<str>>,
    samples: Vec<Vec<u8>>,
    tried: usize,
    compared: usize,
    compared_by_others: usize,
    truncated: bool,
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
            search.known.clear();
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
        let documents = circumstances::documents(directory, organisation);
        let plain = alike::identities(directory, &documents, &own);
        // One stands for all of them.
        let mut first = true;
        let mut is_told = |path: &Arc<str>| !plain.contains(path) || std::mem::take(&mut first);
        let databases = directory.databases().map(|(_, d)| &d.path);
        let policies = directory.policies().map(|(_, policy)| &policy.path);
        let identities = directory.identities().map(|(_, identity)| &identity.path);
        let identities = identities.filter(|path| is_told(path));
        let all = databases.chain(identities).chain(policies);
        let mut resources: Vec<Arc<str>> = vec![own.as_str().into()];
        resources.extend(all.filter(|p| inside(p) && ***p != *own).cloned());
        let truncated = resources.len() > MAX_RESOURCES;
        resources.truncate(MAX_RESOURCES);
        let mut search = Self {
            plain,
            organisation,
            administration,
            at,
            circumstances: Vec::new(),
            profiles: Vec::new(),
            tag_keys: Vec::new(),
            known: HashMap::new(),
            resources,
            samples: Vec::new(),
            tried: 0,
            compared: 0,
            compared_by_others: 0,
            truncated,
        };
        search.circumstances(&documents);
        search.profiles(&documents);
        search.tag_keys(directory, &documents);
        search
    }

    /// The holder of a credential, however it comes.
    fn of_credential(&self, ix: IdentityIx) -> impl Iterator<Item = Actor> {
        let all = self.circumstances.iter().enumerate();
        all.map(move |(when, how)| Actor {
            ix,
            session: how.session(ix),
            when,
            assumed: Vec::new(),
        })
    }

    /// Whether enough was tried.
    fn is_spent(&self) -> bool {
        self.tried > MAX_TRIED
            || self.compared > MAX_COMPARED.0
            || self.compared + self.compared_by_others > MAX_COMPARED.1
    }
}
