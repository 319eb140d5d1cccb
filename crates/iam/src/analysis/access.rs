//! What can this identity do?

use std::collections::HashSet;
use std::sync::Arc;

use keyward_commands::{ActionBits, ActionId, CONNECT, CommandClass};
use keyward_policy::{ListedFacts, Touch};

use super::open::OpenFacts;
use super::risk::Risk;
use super::ways::{Way, Ways};
use super::who_can::{Leaves, of_known, said};
use crate::bits::Bits;
use crate::decision::Outcome;
use crate::directory::Directory;
use crate::evaluate::Question;
use crate::grounds::PolicySource;
use crate::ids::{IdentityIx, UnixMillis};
use crate::session::{Principal, Session};

/// Everything that an identity can do.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// By database, in the order of paths.
    pub databases: Vec<ResourceAccess>,
    /// On other entities; those on which it may do the same are told of together.
    pub others: Vec<ResourceAccess>,
    /// Whether some resources were not looked at, because there is too much to tell.
    pub truncated: bool,
}

/// What asking may cost over all resources, as [`Ways::spent`] counts: below a second.
const MAX_EFFORT: u64 = 2_000_000;

/// Groups that are told of, over all resources.
const MAX_GROUPS: usize = 500;

/// What an identity can do to one resource, or to several alike.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceAccess {
    /// Full paths, in order.
    pub resources: Vec<Arc<str>>,
    /// Of a database: whether it may connect, if only under the conditions of what it may do then.
    pub connects: Option<bool>,
    /// What it can do, harmless things first.
    pub groups: Vec<AccessGroup>,
    /// Whether there is more than is told.
    pub truncated: bool,
}

/// Actions of one risk that are allowed in the same way.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessGroup {
    /// How dangerous they are.
    pub risk: Risk,
    /// Their names, in the order of the catalogue.
    pub actions: Vec<&'static str>,
    /// Whether these are all actions of this risk that there are for the resource.
    pub complete: bool,
    /// How, and on which keys and channels.
    pub way: Way,
}

impl Directory {
    /// Everything that a session could do now, on all resources that exist. `known`: condition keys
    /// and their values; what connection, session and call would bring beside is left open.
    #[must_use]
    pub fn access(
        &self,
        session: &Session,
        known: &[(String, Vec<Vec<u8>>)],
        administration: bool,
        at: UnixMillis,
    ) -> Access {
        let session = &of_known(session.clone(), known);
        let said = said(known);
        let said = said.as_ref();
        let mut access = Access::default();
        let (mut effort, mut told) = (0, 0);
        let organisations = self.organisations_reached(session);
        let concerns = |organisation: Option<IdentityIx>, has_policy: bool| {
            has_policy || organisation.is_some_and(|ix| organisations.contains(&ix))
        };
        let databases = self.databases().filter(|(_, database)| {
            let has_policy = database.resource_policy.is_some();
            concerns(Some(database.organisation), has_policy)
        });
        let own = match session.principal {
            Principal::Identity(ix) => self.identity(ix),
            Principal::Unauthenticated => None,
        };
        let trusted_by_role = |path: &str| {
            let mut trusts = self.assumable_trusts(path, at);
            trusts.any(|trust| organisations.contains(&trust.trustee))
        };
        let identities = self.identities().filter(|(_, i)| {
            concerns(i.organisation, i.resource_policy.is_some())
                || own.is_some_and(|own| own.path == i.path)
                || (i.kind == crate::ids::Kind::Role && trusted_by_role(&i.path))
        });
        let policies = self
            .policies()
            .filter(|(_, policy)| concerns(self.organisation_of(&policy.path), false));
        // Databases first: of them most is asked.
        let resources = databases
            .map(|(_, database)| (&database.path, Some(database)))
            .chain(identities.map(|(_, identity)| (&identity.path, None)))
            .chain(policies.map(|(_, policy)| (&policy.path, None)));
        for (path, database) in resources {
            if effort > MAX_EFFORT || told >= MAX_GROUPS {
                access.truncated = true;
                break;
            }
            let administration = administration && database.is_some_and(|d| d.administration);
            let left = (&mut effort, MAX_GROUPS - told);
            let found = self.access_to(session, said, path, administration, at, left);
            let Some(found) = found else {
                continue;
            };
            let known = match database {
                Some(_) => &mut access.databases,
                None => &mut access.others,
            };
            let same = known.iter_mut().find(|known| {
                let alike = known.groups == found.groups && known.truncated == found.truncated;
                database.is_none() && alike
            });
            match same {
                Some(known) => known.resources.extend(found.resources),
                None => {
                    told += found.groups.len();
                    known.push(found);
                }
            }
        }
        access
            .databases
            .sort_by(|a, b| a.resources.cmp(&b.resources));
        for known in &mut access.others {
            known.resources.sort();
        }
        access.others.sort_by(|a, b| a.resources.cmp(&b.resources));
        access
    }

    /// The organisations that are reached, so that all that they own accepts the session.
    fn organisations_reached(&self, session: &Session) -> HashSet<IdentityIx> {
        let Principal::Identity(principal) = session.principal else {
            return HashSet::new();
        };
        let mut seen = HashSet::from([principal]);
        let mut open = vec![principal];
        while let Some(ix) = open.pop() {
            let trusts = self.identity(ix).map_or(&[][..], |i| &i.trusted_by);
            for trust in trusts.iter().filter_map(|ix| self.trust(*ix)) {
                if trust.accepted && seen.insert(trust.trustor) {
                    open.push(trust.trustor);
                }
            }
        }
        seen
    }

    fn access_to(
        &self,
        session: &Session,
        said: Option<&Arc<ListedFacts>>,
        path: &Arc<str>,
        administration: bool,
        at: UnixMillis,
        (effort, most): (&mut u64, usize),
    ) -> Option<ResourceAccess> {
        let is_database = self.database_at(path).is_some();
        let grounds = self.grounds(session, path, false, at);
        let source = PolicySource::ResourcePolicy(Arc::clone(path));
        let mut ways = Ways::of(&grounds, &source, OpenFacts::open(&grounds, said.cloned()));
        ways.drop_denied_in_terms();
        *effort += ways.spent();
        if ways.ways.is_empty() {
            return None;
        }
        let before = ways.spent();
        let bits = Bits::of(&grounds, administration);
        let unconnected = ways.is_unconnected() == Some(true);
        let fits = |action: ActionId| {
            if !concerns_kind(action, path, is_database) {
                return false;
            }
            if action.is_execute() && unconnected {
                return false;
            }
            match action.command().map(|id| id.command().class) {
                Some(CommandClass::Always | CommandClass::ConnectOnly) => false,
                Some(CommandClass::Administrative) => administration,
                Some(CommandClass::WholeDatabase) => bits.holds_whole_database(),
                Some(CommandClass::Ordinary) => true,
                None => action != CONNECT && grounds.holds_keyspace(action, administration),
            }
        };
        // Asked once an action: there may be thousands of ways.
        let mut fitting = ActionBits::EMPTY;
        let mut offered = [0_usize; Risk::ALL.len()];
        for action in ActionId::all().filter(|action| fits(*action)) {
            fitting.insert(action);
            offered[Risk::of(action) as usize] += 1;
        }
        let mut groups: Vec<AccessGroup> = Vec::new();
        let mut more = false;
        for way in &ways.ways {
            if groups.len() >= most {
                more = true;
                break;
            }
            // By risk, and whether ACL rules among the statements allow every call.
            let mut kinds: Vec<((Risk, bool), ActionBits)> = Vec::new();
            let leaves = Leaves::of(way, &ways);
            for action in way.actions.intersect(&fitting).iter() {
                if !leaves.any(action) {
                    continue;
                }
                let kind = (Risk::of(action), way.always_by_acl(action));
                match kinds.iter_mut().find(|(known, _)| *known == kind) {
                    Some((_, actions)) => actions.insert(action),
                    None => {
                        let mut actions = ActionBits::EMPTY;
                        actions.insert(action);
                        kinds.push((kind, actions));
                    }
                }
            }
            let left = most - groups.len();
            more |= kinds.len() > left;
            for ((risk, always_by_acl), actions) in kinds.into_iter().take(left) {
                let shown = ways.shown_of(way, &actions, always_by_acl);
                groups.push(AccessGroup {
                    risk,
                    complete: actions.len() == offered[risk as usize],
                    actions: actions.iter().map(ActionId::name).collect(),
                    way: shown,
                });
            }
        }
        *effort += ways.spent() - before;
        groups.sort_by_key(|group| group.risk);
        let connects = is_database.then(|| {
            let question = Question {
                action: CONNECT,
                touch: Touch::None,
                request: &grounds.early(),
            };
            let decision = grounds.decide_action(&question, administration);
            // A command that is possible under conditions brings connecting under the same.
            let implied = || {
                let mut actions = groups.iter().flat_map(|group| &group.actions);
                actions.any(|name| name.starts_with("kvdb:Execute"))
            };
            decision.is_allow() || (decision.outcome != Outcome::ExplicitDeny && implied())
        });
        if groups.is_empty() && connects != Some(true) {
            return None;
        }
        Some(ResourceAccess {
            resources: vec![Arc::clone(path)],
            connects,
            groups,
            truncated: more || ways.truncated || ways.is_exhausted(),
        })
    }
}

/// Whether an action is decided on resources of this kind.
fn concerns_kind(action: ActionId, path: &str, is_database: bool) -> bool {
    use crate::ids::{Kind, PathParts};
    if is_database {
        let name = action.name();
        return action.is_execute()
            || (name.starts_with("kvdb:")
                && !matches!(name, "kvdb:List" | "kvdb:Create" | "kvdb:ListSnapshot"))
            || matches!(
                name,
                "iam:GetResourcePolicy"
                    | "iam:PutResourcePolicy"
                    | "iam:DeleteResourcePolicy"
                    | "iam:ExplainDecision"
                    | "iam:TagDatabase"
            );
    }
    if action.is_execute() {
        return false;
    }
    let name = action.name();
    let (service, verb) = name.split_once(':').unwrap_or(("", name));
    let kind = PathParts::of(path).map(|parts| parts.kind);
    let of_collection = verb.starts_with("List") || verb.starts_with("Create");
    match (service, kind) {
        ("org", Some(Kind::Organisation)) => true,
        ("kvdb", Some(Kind::Organisation)) => matches!(verb, "List" | "Create"),
        ("iam", Some(Kind::Organisation)) => {
            of_collection || common(verb) || verb.ends_with("Trust")
        }
        ("sts", Some(Kind::Role)) => matches!(
            verb,
            "AssumeRole" | "AssumeRoleWithWebIdentity" | "TagSession"
        ),
        ("iam", Some(Kind::Policy)) => {
            verb == "SetDefaultPolicyVersion"
                || (verb.ends_with("Policy") && !of_collection) && !verb.contains("ResourcePolicy")
        }
        ("iam", Some(kind)) => {
            let noun = match kind {
                Kind::ProgrammaticIdentity => "ProgrammaticIdentity",
                Kind::Group => "Group",
                Kind::User => "User",
                Kind::Role => "Role",
                Kind::OrganisationUser => "OrgUser",
                Kind::IdentityProvider => "IdentityProvider",
                _ => return false,
            };
            common(verb)
                || verb.ends_with("Trust")
                || (kind == Kind::ProgrammaticIdentity && verb.ends_with("AccessKey"))
                || (!of_collection && verb.strip_suffix(noun).is_some_and(is_verb))
        }
        _ => false,
    }
}

fn is_verb(verb: &str) -> bool {
    matches!(verb, "Describe" | "Update" | "Delete" | "Tag")
}

/// Actions on every identity.
fn common(verb: &str) -> bool {
    verb.ends_with("ResourcePolicy")
        || verb.ends_with("PermissionBoundary")
        || matches!(verb, "Simulate" | "ExplainDecision")
}
