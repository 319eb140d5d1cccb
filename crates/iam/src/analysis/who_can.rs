//! Who can do this?

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use keyward_commands::{
    ActionBits, ActionId, CONNECT, ChannelRule, CommandClass, CommandId, CommandScope,
};
use keyward_policy::{
    ChannelUse, Dialect, Effect, IdentityPattern, KeyPatterns, KeyUse, ListedFacts, Touch,
};

use super::open::OpenFacts;
use super::ways::{OpenWay, Way, Ways};
use crate::bits::Bits;
use crate::decision::Outcome;
use crate::directory::Directory;
use crate::evaluate::Question;
use crate::facts::RequestFacts;
use crate::grounds::{Grounds, PolicySource};
use crate::ids::{IdentityIx, Kind, UnixMillis};
use crate::session::{Principal, Session};
use crate::simulate::ContextNames;
use crate::temporary::TemporarySession;

/// What is asked about.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The action.
    pub action: ActionId,
    /// Full path of the resource.
    pub resource: String,
    /// Whether keys and channels are given; otherwise every holder is told with those it has.
    pub about: AskedAbout,
    /// Whether the operator permits commands that administer the server.
    pub administration: bool,
    /// What is known of connection, session and moment: condition keys and their values. What is
    /// not said is left open.
    pub known: Vec<(String, Vec<Vec<u8>>)>,
}

/// Of which calls a question speaks.
#[derive(Clone, Debug)]
pub enum AskedAbout {
    /// Any call: on some keys, or on all.
    AnyCall,
    /// Calls with exactly these keys and channels.
    Names(ContextNames),
}

/// An identity that can do it.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Its path, or `unauthenticated`. Of another organisation: the identity that the resource's
    /// organisation knows, by which others of that organisation may act.
    pub identity: Arc<str>,
    /// Whether every call that was asked about is allowed, whatever is left open; otherwise those
    /// that the ways tell.
    pub always: bool,
    /// What the calls that are allowed do to the keys, if they may not do all: `read` or `write`.
    pub only: Option<&'static str>,
    /// How, the ways without limits first.
    pub ways: Vec<Way>,
    /// Whether there are more ways than are told.
    pub more_ways: bool,
    /// Of a role: who can assume it, directly, and may do it then. What a trust that lets somebody in
    /// limits the session to counts here; the role itself is told of as if nothing did.
    pub assumed_by: Vec<Assumer>,
}

/// Somebody who can assume a role.
#[derive(Clone, Debug, PartialEq)]
pub struct Assumer {
    /// Its path; an identity provider stands for whoever presents its tokens.
    pub identity: Arc<str>,
    /// Whether it always can assume it, and always may do it then.
    pub always: bool,
    /// How it assumes it.
    pub ways: Vec<Way>,
}

/// Roles of which it is told who can assume them.
const MAX_ROLES: usize = 100;

/// What asking may cost over all identities, as [`Ways::spent`] counts: below a second.
const MAX_EFFORT: u64 = 2_000_000;

/// Ways that are told of all holders together; beyond it one of each is.
const MAX_TOLD: usize = 500;

/// What is left for one question.
struct Budget {
    effort: u64,
    ways: usize,
}

impl Budget {
    fn is_used_up(&self) -> bool {
        self.effort == 0
    }

    /// The first of some ways, as many as may still be told, at least one; whether that is not all.
    fn take<T>(&mut self, ways: impl Iterator<Item = T>) -> (Vec<T>, bool) {
        let mut ways = ways.peekable();
        let told: Vec<T> = ways.by_ref().take(self.ways.max(1)).collect();
        self.ways = self.ways.saturating_sub(told.len());
        (told, ways.peek().is_some())
    }
}

/// Everybody who can.
#[derive(Clone, Debug, Default)]
pub struct WhoCan {
    /// Identities, by path.
    pub holders: Vec<Holder>,
    /// The resource's policy accepts every identity of the deployment: those of other organisations
    /// are not listed one by one.
    pub everyone: bool,
    /// Why nobody can whatever policies say, if that is so.
    pub nobody_because: Option<String>,
    /// Whether not everybody was asked about, because that would have taken too long.
    pub truncated: bool,
}

/// The ways in which calls of an action may use their keys, the widest first; each with what it is
/// called if not all calls use them so.
fn accesses(action: ActionId) -> Vec<(Option<&'static str>, bool, bool)> {
    let Some(command) = action.command() else {
        return vec![(None, true, true)];
    };
    let specs = command.command().key_specs;
    let mut kinds: Vec<(bool, bool)> = Vec::new();
    for spec in specs {
        kinds.push((spec.flags.reads(), spec.flags.writes()));
    }
    // What these do to their key depends on their arguments: `SET` may leave out reading it,
    // `BITFIELD` may only read it.
    match command.command().name {
        "set" => kinds.push((false, true)),
        "bitfield" => kinds.push((true, false)),
        _ => {}
    }
    let reads = kinds.iter().any(|(reads, _)| *reads);
    let writes = kinds.iter().any(|(_, writes)| *writes);
    let (reads, writes) = match (reads, writes) {
        (false, false) => (true, true),
        found => found,
    };
    let mut found = vec![(None, reads, writes)];
    for (only, reads, writes) in [(Some("write"), false, true), (Some("read"), true, false)] {
        if kinds.contains(&(reads, writes)) && found[0] != (None, reads, writes) {
            found.push((only, reads, writes));
        }
    }
    found
}

/// Whether key fields leave any call at all to an action.
pub(super) fn leaves_any(action: ActionId, keys: &KeyPatterns) -> bool {
    let Some(id) = action.command() else {
        return !action.has_keys() || keys.allows(&Touch::of_action(action));
    };
    let command = id.command();
    if command.channels != ChannelRule::None && command.key_specs.is_empty() {
        return !keys.channels.is_empty();
    }
    match command.scope {
        CommandScope::Keyless => true,
        CommandScope::WholeKeyspace | CommandScope::Enumeration => {
            keys.allows(&Touch::of_action(action))
        }
        CommandScope::Keyed => accesses(action).iter().any(|(_, reads, writes)| {
            !keys.keys.is_empty()
                || ((!reads || !keys.read_keys.is_empty())
                    && (!writes || !keys.write_keys.is_empty()))
        }),
    }
}

fn of_one(action: ActionId) -> ActionBits {
    let mut bits = ActionBits::EMPTY;
    bits.insert(action);
    bits
}

/// Whether all calls of an action touch the same.
fn has_one_call(action: ActionId) -> bool {
    action.command().is_none_or(|id| {
        let command = id.command();
        command.scope != CommandScope::Keyed && command.channels == ChannelRule::None
    })
}

/// What key fields of a way leave of its actions.
pub(super) struct Leaves<'w, 'a> {
    way: &'w OpenWay<'a>,
    ways: &'w Ways<'a>,
    fields: Vec<Cow<'w, KeyPatterns>>,
}

impl<'w, 'a> Leaves<'w, 'a> {
    pub(super) fn of(way: &'w OpenWay<'a>, ways: &'w Ways<'a>) -> Self {
        let places = way.allows.iter();
        Self {
            way,
            ways,
            fields: places.filter_map(|place| place.keys(&ways.facts)).collect(),
        }
    }

    /// Whether the way leaves any call at all to an action.
    pub(super) fn any(&self, action: ActionId) -> bool {
        if has_one_call(action) {
            let touch = Touch::of_action(action);
            return self.ways.permits(self.way, action, &touch) != Some(false);
        }
        let mut fields = self.fields.iter();
        self.way.actions.contains(action) && fields.all(|keys| leaves_any(action, keys))
    }
}

impl Asked {
    /// The keys as one access uses them, and the channels.
    fn touch<R>(
        &self,
        names: &ContextNames,
        reads: bool,
        writes: bool,
        ask: impl FnOnce(&Touch<'_>) -> R,
    ) -> R {
        let every = [&names.keys, &names.read_keys, &names.write_keys];
        let keys: Vec<KeyUse<'_>> = every
            .into_iter()
            .flatten()
            .map(|key| KeyUse { key, reads, writes })
            .collect();
        let pattern = self.action.command().is_some_and(|command| {
            matches!(
                command.command().channels,
                ChannelRule::From { pattern: true, .. } | ChannelRule::Listing
            )
        });
        let channels: Vec<ChannelUse<'_>> = names
            .channels
            .iter()
            .map(|channel| ChannelUse { channel, pattern })
            .collect();
        if has_one_call(self.action) || (keys.is_empty() && channels.is_empty()) {
            return ask(&Touch::of_action(self.action));
        }
        ask(&Touch::Named {
            keys: &keys,
            channels: &channels,
        })
    }

    /// What of it the principal of these grounds can do.
    fn holder(
        &self,
        grounds: &Grounds,
        source: &PolicySource,
        said: Option<&Arc<ListedFacts>>,
        budget: &mut Budget,
    ) -> Option<Holder> {
        let facts = OpenFacts::open(grounds, said.cloned());
        let ways = Ways::of(grounds, source, facts);
        let holder = self.holder_by(grounds, &ways, budget);
        budget.effort = budget.effort.saturating_sub(ways.spent());
        holder
    }

    fn holder_by(&self, grounds: &Grounds, ways: &Ways<'_>, budget: &mut Budget) -> Option<Holder> {
        let action = self.action;
        let class = action.command().map(|id| id.command().class);
        let implied = action == CONNECT
            || matches!(
                class,
                Some(CommandClass::Always | CommandClass::ConnectOnly)
            );
        let identity = Arc::clone(&grounds.nodes.first()?.path);
        let mut holder = Holder {
            identity,
            always: true,
            only: None,
            ways: Vec::new(),
            more_ways: false,
            assumed_by: Vec::new(),
        };
        if implied {
            let names = match &self.about {
                AskedAbout::AnyCall => ContextNames::default(),
                AskedAbout::Names(names) => names.clone(),
            };
            let decision = self.touch(&names, true, false, |touch| {
                let touch = if action == CONNECT {
                    Touch::None
                } else {
                    *touch
                };
                let request = &grounds.early();
                let question = Question {
                    action,
                    touch,
                    request,
                };
                grounds.decide_action(&question, self.administration)
            });
            // What is implied by another command stands on that command's way.
            let bits = Bits::of(grounds, self.administration);
            let by = match bits.first_possible_command().map(CommandId::action) {
                Some(by) => Some(by),
                // Only under conditions, then.
                None => ways
                    .ways
                    .iter()
                    .flat_map(|way| way.actions.iter())
                    .find(|by| is_reason_to_connect(*by)),
            };
            let mut open = ways.ways.iter();
            let way = open.find(|way| by.is_some_and(|by| way.actions.contains(by)));
            let named = ways.ways.iter().find(|way| way.actions.contains(action));
            if decision.outcome == Outcome::ExplicitDeny
                || (!decision.is_allow() && way.or(named).is_none())
            {
                return None;
            }
            holder.always = decision.is_allow();
            holder.ways.push(match way.or(named) {
                Some(way) if decision.chain.is_empty() => ways.shown(way),
                _ => Way {
                    chain: decision.chain,
                    statements: decision.statements,
                    keys: Vec::new(),
                    conditions: Vec::new(),
                    exceptions: Vec::new(),
                    left_out: 0,
                },
            });
            return Some(holder);
        }
        if class == Some(CommandClass::WholeDatabase)
            && !Bits::of(grounds, self.administration).holds_whole_database()
        {
            return None;
        }
        if !grounds.holds_keyspace(action, self.administration) {
            return None;
        }
        let mut connects = true;
        if action.is_execute() {
            match ways.is_unconnected() {
                Some(true) => return None,
                Some(false) => {}
                None => connects = false,
            }
        }
        if ways.denied_in_terms(&of_one(action)).contains(action) {
            return None;
        }
        holder.more_ways = ways.truncated;
        let names = match &self.about {
            AskedAbout::Names(names) => names,
            AskedAbout::AnyCall => {
                let open = ways
                    .ways
                    .iter()
                    .filter(|way| Leaves::of(way, ways).any(action))
                    .collect::<Vec<_>>();
                if open.is_empty() {
                    return self.by_several(grounds, ways, &ContextNames::default(), holder);
                }
                let touch = Touch::of_action(action);
                holder.always = connects && ways.allowing(action, &touch).is_some();
                let acl = |way: &&OpenWay<'_>| way.always_by_acl(action);
                let (open, more) = budget.take(open.into_iter());
                holder.ways = open
                    .into_iter()
                    .map(|way| ways.shown_of(way, &of_one(action), acl(&way)))
                    .collect();
                holder.more_ways |= more || ways.is_exhausted();
                return Some(holder);
            }
        };
        let accesses = accesses(action);
        for wanted in [Some(true), None] {
            for (only, reads, writes) in &accesses {
                let permitted = |way: &&OpenWay<'_>| {
                    self.touch(names, *reads, *writes, |touch| {
                        ways.permits(way, action, touch) == wanted
                    })
                };
                let mut found = ways.ways.iter().filter(permitted).peekable();
                if found.peek().is_none() {
                    continue;
                }
                // One way that holds is enough; of those that may hold, all are told.
                let (found, more) = match wanted {
                    Some(_) => (found.take(1).collect(), false),
                    None => budget.take(found),
                };
                holder.always = connects && wanted.is_some() && only.is_none();
                holder.only = *only;
                let one = of_one(action);
                holder.ways = found
                    .into_iter()
                    .map(|way| ways.shown_of(way, &one, way.always_by_acl(action)))
                    .collect();
                holder.more_ways |= more || ways.is_exhausted();
                if wanted.is_some() {
                    // They hold for these keys.
                    holder
                        .ways
                        .iter_mut()
                        .for_each(|way| way.conditions.clear());
                }
                return Some(holder);
            }
        }
        self.by_several(grounds, ways, names, holder)
    }

    /// What no single statement of each list allows: a vendor's documents decide the requests that
    /// an action is in its terms together.
    fn by_several(
        &self,
        grounds: &Grounds,
        ways: &Ways<'_>,
        names: &ContextNames,
        mut holder: Holder,
    ) -> Option<Holder> {
        if !grounds.has_vendor_documents() {
            return None;
        }
        let action = self.action;
        let decision = self.touch(names, true, true, |touch| {
            grounds.decide_action(
                &Question {
                    action,
                    touch: *touch,
                    request: &ways.facts,
                },
                self.administration,
            )
        });
        holder.ways = vec![Way {
            chain: decision.chain.clone(),
            statements: decision.statements.clone(),
            keys: Vec::new(),
            conditions: Vec::new(),
            exceptions: Vec::new(),
            left_out: 0,
        }];
        decision.is_allow().then_some(holder)
    }
}

/// Whether a command is one for whose sake a connection is allowed.
fn is_reason_to_connect(action: ActionId) -> bool {
    action
        .command()
        .is_some_and(|id| id.command().class == CommandClass::Ordinary)
}

impl Directory {
    /// The identities that some path of standing trusts leads from to one of these, with themselves.
    fn reaching(&self, ends: &[IdentityIx]) -> HashSet<IdentityIx> {
        let mut below: HashMap<IdentityIx, Vec<IdentityIx>> = HashMap::new();
        for (_, trust) in self.trusts().filter(|(_, trust)| trust.accepted) {
            below.entry(trust.trustor).or_default().push(trust.trustee);
        }
        let mut found: HashSet<IdentityIx> = ends.iter().copied().collect();
        let mut open: Vec<IdentityIx> = ends.to_vec();
        while let Some(ix) = open.pop() {
            for trustee in below.get(&ix).into_iter().flatten() {
                if found.insert(*trustee) {
                    open.push(*trustee);
                }
            }
        }
        found
    }

    /// Everybody who can do something to a resource, as the resource's organisation may see it.
    #[must_use]
    pub fn who_can(&self, asked: &Asked, at: UnixMillis) -> WhoCan {
        let mut budget = Budget {
            effort: MAX_EFFORT,
            ways: MAX_TOLD,
        };
        let mut answer = self.holders(asked, at, &mut budget);
        let mut told = 0;
        for holder in &mut answer.holders {
            if self.is_role(&holder.identity) && told < MAX_ROLES {
                told += 1;
                let mut all = self.assumers(&holder.identity, &asked.known, at, &mut budget);
                all.retain_mut(|by| {
                    match self.can_then(asked, &holder.identity, by, at, &mut budget) {
                        None => false,
                        Some(always) => {
                            by.always &= always;
                            true
                        }
                    }
                });
                holder.assumed_by = all;
            }
        }
        answer.truncated |= budget.is_used_up();
        answer
    }

    /// Who can assume a role, by itself or with a token.
    fn assumers(
        &self,
        role: &str,
        known: &[(String, Vec<Vec<u8>>)],
        at: UnixMillis,
        budget: &mut Budget,
    ) -> Vec<Assumer> {
        let actions = ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"];
        let mut found: Vec<Assumer> = Vec::new();
        for action in actions.into_iter().filter_map(keyward_commands::action) {
            let by_token = action.name() != "sts:AssumeRole";
            let asked = Asked {
                action,
                resource: role.to_owned(),
                about: AskedAbout::AnyCall,
                administration: false,
                known: known.to_vec(),
            };
            for holder in self.holders(&asked, at, budget).holders {
                if by_token == self.is_provider(&holder.identity) {
                    found.push(Assumer {
                        identity: holder.identity,
                        always: holder.always,
                        ways: holder.ways,
                    });
                }
            }
        }
        found
    }

    fn is_provider(&self, path: &str) -> bool {
        self.identity_at(path)
            .is_some_and(|ix| self.provider(ix).is_some())
    }

    /// The session of a role that was assumed through a trust.
    fn session_through(&self, role: &str, trust: &str, at: UnixMillis) -> Option<Session> {
        let temporary = TemporarySession {
            id: String::new(),
            principal: role.to_owned(),
            name: "session".to_owned(),
            issued: at,
            expires: UnixMillis(at.0.saturating_add(3_600_000)),
            revision: self.revision(),
            trust: Some(trust.to_owned()),
            policies: Vec::new(),
            tags: BTreeMap::new(),
            transitive_tags: Vec::new(),
            source_identity: None,
            mfa: None,
            origins: Vec::new(),
        };
        Some(Session {
            temporary: Some(Arc::new(temporary)),
            ..Session::of_identity(self.identity_at(role)?)
        })
    }

    /// Whether the session that somebody opens of a role can do what is asked about: for sure, perhaps,
    /// or not (`None`), since the trust that lets it in limits it.
    fn can_then(
        &self,
        asked: &Asked,
        role: &str,
        by: &Assumer,
        at: UnixMillis,
        budget: &mut Budget,
    ) -> Option<bool> {
        let source = PolicySource::ResourcePolicy(asked.resource.as_str().into());
        let said = said(&asked.known);
        let mut best = None;
        for way in &by.ways {
            let mut trusts = way.statements.iter().filter_map(|said| match &said.source {
                PolicySource::Acceptance(trust) => Some(trust),
                _ => None,
            });
            // Whoever the role itself or its owner lets in is limited by no trust.
            let Some(trust) = trusts.next_back() else {
                return Some(true);
            };
            if budget.is_used_up() {
                return Some(false); // perhaps
            }
            let session = self.session_through(role, trust, at);
            let held = session.and_then(|session| {
                let session = of_known(session, &asked.known);
                let grounds = self.grounds(&session, &asked.resource, false, at);
                asked.holder(&grounds, &source, said.as_ref(), budget)
            });
            best = best.max(held.map(|held| held.always));
        }
        best
    }

    /// Those who can, without who can assume the roles among them.
    fn holders(&self, asked: &Asked, at: UnixMillis, budget: &mut Budget) -> WhoCan {
        let mut answer = WhoCan::default();
        let class = asked.action.command().map(|id| id.command().class);
        if class == Some(CommandClass::Administrative) {
            let on = self
                .database_at(&asked.resource)
                .and_then(|ix| self.database(ix))
                .is_some_and(|database| database.administration);
            if !on || !asked.administration {
                answer.nobody_because = Some(format!(
                    "{} administers the server, and administration is {}",
                    asked.action.name(),
                    if on {
                        "not permitted by the operator"
                    } else {
                        "off for the database"
                    }
                ));
                return answer;
            }
        }
        let mut ends: Vec<IdentityIx> = self.owner_of(&asked.resource).into_iter().collect();
        ends.extend(self.identity_at(&asked.resource));
        let mut unauthenticated = false;
        if let Some(policy) = self.resource_policy(&asked.resource) {
            let allows = policy
                .statements()
                .iter()
                .filter(|s| s.effect == Effect::Allow);
            for identity in allows.flat_map(|statement| &statement.identities) {
                match identity {
                    IdentityPattern::Path(path) => ends.extend(self.identity_at(path)),
                    IdentityPattern::Everyone => answer.everyone = true,
                    IdentityPattern::Unauthenticated => unauthenticated = true,
                }
            }
        }
        let trusts = self.assumable_trusts(&asked.resource, at);
        ends.extend(trusts.map(|trust| trust.trustee));
        let organisation = self.organisation_of(&asked.resource);
        let by_token = asked.action.name() == "sts:AssumeRoleWithWebIdentity";
        let candidates = self.reaching(&ends);
        let source = PolicySource::ResourcePolicy(asked.resource.as_str().into());
        let said = said(&asked.known);
        let mut holders: HashMap<Arc<str>, Holder> = HashMap::new();
        let mut ask = |session: &Session, own: bool| {
            if budget.is_used_up() {
                return;
            }
            let grounds = self.grounds(session, &asked.resource, false, at);
            if let Some(holder) = asked.holder(&grounds, &source, said.as_ref(), budget) {
                let holder = if own {
                    holder
                } else {
                    self.as_seen_from(organisation, holder)
                };
                match holders.get_mut(&holder.identity) {
                    Some(known) if known.always => {}
                    Some(known) if !holder.always => {
                        let more = holder.ways.into_iter();
                        let more: Vec<Way> = more.filter(|way| !known.ways.contains(way)).collect();
                        known.ways.extend(more);
                        known.more_ways |= holder.more_ways;
                    }
                    _ => {
                        holders.insert(Arc::clone(&holder.identity), holder);
                    }
                }
            }
        };
        for (ix, identity) in self.identities() {
            let own = identity.organisation.is_none() || identity.organisation == organisation;
            let everyone = answer.everyone && own;
            let acts = match by_token {
                true => identity.kind == Kind::IdentityProvider,
                false => acts(identity.kind),
            };
            if !acts || !(everyone || candidates.contains(&ix)) {
                continue;
            }
            ask(&of_known(Session::of_identity(ix), &asked.known), own);
        }
        if unauthenticated {
            ask(&of_known(Session::unauthenticated(), &asked.known), true);
        }
        answer.holders = holders.into_values().collect();
        answer.holders.sort_by(|a, b| a.identity.cmp(&b.identity));
        if answer.holders.is_empty() && !answer.everyone {
            answer.nobody_because = self.denied_to_owner(asked, at);
        }
        answer
    }

    /// What denies even the owner, if something does.
    fn denied_to_owner(&self, asked: &Asked, at: UnixMillis) -> Option<String> {
        let owner = Session::of_identity(self.owner_of(&asked.resource)?);
        let session = of_known(owner, &asked.known);
        let grounds = self.grounds(&session, &asked.resource, false, at);
        let facts = RequestFacts::plain(&grounds.facts, at);
        let decision = grounds.evaluate(&Question {
            action: asked.action,
            touch: Touch::None,
            request: &facts,
        });
        (decision.outcome == Outcome::ExplicitDeny).then_some(decision.message)
    }

    /// What of an identity of another organisation is this one's to know: the identity that it
    /// trusts or accepts itself, and its own statements.
    fn as_seen_from(&self, organisation: Option<IdentityIx>, mut holder: Holder) -> Holder {
        let of = |path: &str| self.organisation_of(path);
        let foreign = |path: &str| of(path).is_some() && of(path) != organisation;
        for way in &mut holder.ways {
            let last = way.chain.iter().rposition(|path| foreign(path));
            way.chain.drain(..last.unwrap_or(0));
            let known = |path: Option<&str>| path.is_none_or(|path| !foreign(path));
            way.statements
                .retain(|statement| known(statement.source.path()));
            way.exceptions
                .retain(|exception| known(exception.statement.source.path()));
        }
        if let Some(first) = holder.ways.first().and_then(|way| way.chain.first()) {
            holder.identity = Arc::clone(first);
        }
        holder
    }
}

/// What a question says, if anything.
pub(super) fn said(known: &[(String, Vec<Vec<u8>>)]) -> Option<Arc<ListedFacts>> {
    let listed = || ListedFacts::new(Dialect::Native, known.iter().cloned());
    (!known.is_empty()).then(|| Arc::new(listed()))
}

/// A session of which that much is known.
pub(super) fn of_known(session: Session, known: &[(String, Vec<Vec<u8>>)]) -> Session {
    if known.is_empty() {
        session
    } else {
        session.simulating(known.iter().cloned())
    }
}

/// Whether identities of a kind make requests themselves.
pub(super) fn acts(kind: Kind) -> bool {
    matches!(kind, Kind::User | Kind::ProgrammaticIdentity | Kind::Role)
}

impl Session {
    /// The session that a path stands for when somebody asks about it.
    #[must_use]
    pub fn of_path(directory: &Directory, path: &str) -> Option<Self> {
        if path == "unauthenticated" {
            return Some(Self::unauthenticated());
        }
        directory.identity_at(path).map(Self::of_identity)
    }

    /// Whether it is nobody's.
    #[must_use]
    pub fn is_unauthenticated(&self) -> bool {
        self.principal == Principal::Unauthenticated
    }
}
