//! No sequence of calls by whoever has no right to administer raises what it may do: random
//! sequences of all changes, by several who have such rights and who have none, beside a model
//! ([`model`]) of the table in the design's section 3. After every step
//!
//! - the model and [`Directory::authorise_change`] have agreed on who may make which change;
//! - whoever administers nothing may do nothing that it could not before: itself, and as whom it can
//!   act, on every thing, also after the others who administer nothing have done what they could.
//!
//! What is no raise: what others gave who may, an offer once it stands included; and a Deny that is
//! shed by leaving an organisation, which the design permits (attack 52; `keyward escalation` tells).
//!
//! `KEYWARD_ROUNDS=5000 KEYWARD_SEED=7 cargo test --release -p keyward-iam --test rights` for more.

#![expect(clippy::unwrap_used, reason = "tests")]

mod changes;
mod model;
mod world;

use std::collections::HashSet;

use keyward_commands::ActionId;
use keyward_iam::{
    Change, ChangeContext, Directory, IdentityIx, Kind, PathParts, PolicyInput, Principal, Session,
    TrustKind,
};
use keyward_policy::{KeyUse, Touch};
use keyward_test_cases::{Random, setting};
use model::{ADMINISTER, Model};
use world::{
    ANN, BOT, CLERK, DISABLED_KEY, MALLORY, NOW, OLD_KEY, P, Q, STRONG, THINGS, TOKEN, with_roles,
};

/// Attempts at a change in one world.
const ATTEMPTS: usize = 150;

#[derive(Clone, Copy)]
struct Actor {
    path: &'static str,
    mfa: bool,
}

impl Actor {
    fn is_abroad(self) -> bool {
        [MALLORY, BOT].contains(&self.path)
    }

    /// As whom it acts by itself.
    fn identities(self, world: &Directory) -> Vec<IdentityIx> {
        let mut all: Vec<IdentityIx> = world.identity_at(self.path).into_iter().collect();
        if self.is_abroad() {
            // All of its own organisation is under its hand.
            let own = world.identities().filter(|(_, identity)| {
                identity.path.starts_with("org/evil/")
                    && identity.kind == Kind::ProgrammaticIdentity
            });
            all.extend(own.map(|(ix, _)| ix));
            all.extend(world.identity_at(MALLORY));
        }
        all
    }

    /// Every session that it has or can open.
    fn sessions(self, world: &Directory) -> Vec<Session> {
        let own = self.identities(world).into_iter().map(|ix| {
            let user = world
                .identity(ix)
                .is_some_and(|identity| identity.kind == Kind::User);
            Session {
                mfa: self.mfa.then_some(NOW),
                login: user.then(|| "fresh".into()),
                ..Session::of_identity(ix)
            }
        });
        // Keys that it came to know when they were good.
        let known = [OLD_KEY, DISABLED_KEY].into_iter().filter_map(|id| {
            let (ix, key) = world.access_key(id)?;
            let session = Session::of_key(ix, key.identity);
            world.check_session(&session, NOW).ok().map(|()| session)
        });
        let all = own.chain(known).collect();
        with_roles(world, all)
    }
}

type Held = HashSet<(ActionId, String, usize)>;

/// Everything that some of the sessions may do, of actions and keys that stand for the others.
fn held(world: &Directory, sessions: &[Session]) -> Held {
    let names = ADMINISTER.into_iter().chain([
        "kvdb:ExecuteGet",
        "kvdb:ExecuteSet",
        "kvdb:ExecuteFlushall",
        "kvdb:Create",
        "kvdb:Delete",
        "iam:CreateGroup",
        "iam:DeleteProgrammaticIdentity",
        "iam:DescribeTrust",
        "iam:RevokeSession",
        "iam:UpdateOrgUser",
        "iam:UpdatePolicy",
        "org:Update",
    ]);
    let actions: Vec<ActionId> = names.filter_map(keyward_commands::action).collect();
    let key = |key| KeyUse {
        key,
        reads: true,
        writes: true,
    };
    let keys = [key(b"a:1"), key(b"b")];
    let touches: [Touch<'_>; 3] = [
        Touch::None,
        Touch::Named {
            keys: &keys[..1],
            channels: &[],
        },
        Touch::Named {
            keys: &keys[1..],
            channels: &[],
        },
    ];
    let mut held = HashSet::new();
    for thing in THINGS.into_iter().filter(|thing| exists(world, thing)) {
        for action in &actions {
            if !speaks(action.name(), thing) {
                continue;
            }
            for (number, touch) in touches.iter().enumerate() {
                if number > 0 && action.command().is_none() {
                    continue;
                }
                let may = |session: &Session| {
                    world.decide(session, *action, thing, touch, NOW).is_allow()
                };
                if sessions.iter().any(may) {
                    held.insert((*action, thing.to_owned(), number));
                }
            }
        }
    }
    held
}

/// Whether there are things of this kind on which an action is decided.
fn speaks(action: &str, thing: &str) -> bool {
    let kind = PathParts::of(thing).map(|parts| parts.kind).unwrap();
    let ends = |end: &str| action.ends_with(end);
    match kind {
        Kind::Organisation => {
            !ends("AccessKey") && !ends("Boundary") && !action.contains("iam:Tag")
        }
        Kind::Database => {
            action.starts_with("kvdb:") || ends("ResourcePolicy") || ends("TagDatabase")
        }
        Kind::Policy => ends("Policy") || ends("PolicyVersion"),
        Kind::User => ends("Trust") || ends("ResourcePolicy"),
        Kind::Group => ends("Trust") || ends("Group") || ends("ResourcePolicy"),
        Kind::OrganisationUser => ends("Trust") || ends("OrgUser") || ends("ResourcePolicy"),
        Kind::IdentityProvider => {
            ends("Trust") || ends("IdentityProvider") || ends("ResourcePolicy")
        }
        _ => !action.starts_with("kvdb:") && !action.starts_with("org:"),
    }
}

fn exists(world: &Directory, path: &str) -> bool {
    world
        .entity(path)
        .is_some_and(|entity| entity != keyward_iam::Entity::Tombstone)
}

fn made(world: &mut Directory, change: Change) {
    if let Ok(applied) = world.apply(&change, &ChangeContext::system(NOW)) {
        *world = applied.directory;
    }
}

/// The worlds that an actor may bring about by what it has a right to: taking what it was offered,
/// leaving organisations, and at home whatever it likes.
fn open_to(world: &Directory, actor: Actor) -> Vec<Directory> {
    let mut base = world.clone();
    let mine = |world: &Directory, ix: IdentityIx| {
        let at_home = || {
            world
                .identity(ix)
                .is_some_and(|i| i.path.starts_with("org/evil"))
        };
        actor.identities(world).contains(&ix) || (actor.is_abroad() && at_home())
    };
    let offered = world
        .trusts()
        .filter(|(_, t)| !t.accepted && mine(world, t.trustee));
    for path in offered
        .map(|(_, trust)| trust.path.to_string())
        .collect::<Vec<_>>()
    {
        made(&mut base, Change::AcceptTrust { path });
    }
    let mut worlds = vec![base];
    if actor.is_abroad() {
        worlds = vec![];
        let [red, blue] = [Some("red"), Some("blue")];
        worlds.extend([(None, None), (red, red), (blue, None)].map(|(t, n)| at_home(world, t, n)));
    }
    let leaves = |world: &Directory| -> Vec<String> {
        let left = world.trusts().filter(|(_, trust)| {
            let from = world.identity(trust.trustor).map(|i| i.kind);
            mine(world, trust.trustee)
                && !trust.path.starts_with("org/evil/")
                && trust.kind != TrustKind::Ownership
                && matches!(from, Some(Kind::Organisation | Kind::OrganisationUser))
        });
        left.map(|(_, trust)| trust.path.to_string())
            .take(4)
            .collect()
    };
    let mut all = Vec::new();
    for world in worlds {
        let leaves = leaves(&world);
        for some in 0..1_usize << leaves.len() {
            let mut left = world.clone();
            for (_, path) in leaves
                .iter()
                .enumerate()
                .filter(|(n, _)| some >> n & 1 == 1)
            {
                made(&mut left, Change::DeleteTrust { path: path.clone() });
            }
            all.extend(invited(&left, actor));
            all.push(left);
        }
    }
    all
}

/// The worlds in which a person has taken one of the invitations whose token everybody knows.
fn invited(world: &Directory, actor: Actor) -> Vec<Directory> {
    let user = if actor.is_abroad() {
        MALLORY
    } else {
        actor.path
    };
    let open = world.identities().filter(|(_, identity)| {
        let invitation = identity.invitation.as_deref();
        invitation.is_some_and(|found| found.token_hash == TOKEN) && user.starts_with("user/")
    });
    let taken = open.filter_map(|(_, identity)| {
        let change = Change::AcceptInvitation {
            path: identity.path.to_string(),
            user: user.to_owned(),
            token_hash: TOKEN,
        };
        let applied = world.apply(&change, &ChangeContext::system(NOW));
        applied.ok().map(|applied| applied.directory)
    });
    taken.collect()
}

/// The other organisation as its owner would have it at most.
fn at_home(world: &Directory, team: Option<&str>, name: Option<&str>) -> Directory {
    let mut world = world.clone();
    let everything =
        r#"[{"Effect":"Allow","Actions":["*"],"Resources":["**","org/acme/**","user/ann"]}]"#;
    let everything = || vec![PolicyInput::Document(everything.to_owned())];
    let at_home = |world: &Directory, ix: IdentityIx| {
        world
            .identity(ix)
            .is_some_and(|i| i.path.starts_with("org/evil") || *i.path == *MALLORY)
    };
    let known: Vec<(String, bool, bool)> = world
        .trusts()
        .map(|(_, t)| {
            (
                t.path.to_string(),
                at_home(&world, t.trustor),
                at_home(&world, t.trustee),
            )
        })
        .collect();
    let guardrails = Change::PutGuardrails {
        organisation: "org/evil".into(),
        policies: Vec::new(),
    };
    made(&mut world, guardrails);
    for (path, from, to) in known {
        if from {
            let policies = Some(everything());
            let (expires_at, conditions) = (Some(None), Some(None));
            made(
                &mut world,
                Change::UpdateTrust {
                    path: path.clone(),
                    policies,
                    expires_at,
                    conditions,
                },
            );
        }
        if to {
            made(&mut world, Change::AcceptTrust { path });
        }
    }
    let own: Vec<String> = world
        .identities()
        .filter(|(_, identity)| identity.path.starts_with("org/evil/"))
        .map(|(_, identity)| identity.path.to_string())
        .collect();
    for (n, from) in ["org/evil", "org/evil/group/gang", "org/evil/role/mask"]
        .into_iter()
        .enumerate()
    {
        let mut change = world::trust(&format!("max{n}"), from, BOT, None, None);
        if let Change::CreateTrust { policies, .. } = &mut change {
            *policies = everything();
        }
        made(&mut world, change);
    }
    for identity in own {
        made(
            &mut world,
            Change::DeleteResourcePolicy {
                path: identity.clone(),
            },
        );
        made(
            &mut world,
            Change::DeleteBoundary {
                identity: identity.clone(),
            },
        );
        let set = team.map(|team| ("team".to_owned(), team.to_owned()));
        let remove = if team.is_none() {
            vec!["team".to_owned()]
        } else {
            Vec::new()
        };
        let set = set.into_iter().collect();
        made(
            &mut world,
            Change::SetTags {
                path: identity.clone(),
                set,
                remove,
            },
        );
        if identity == BOT {
            made(
                &mut world,
                Change::Rename {
                    path: identity,
                    name: name.map(str::to_owned),
                },
            );
        }
    }
    world
}

/// What an actor may do in any world that is open to it; `None`: it administers something.
fn ceiling(world: &Directory, actor: Actor) -> Option<Held> {
    let mut all = Held::new();
    for world in open_to(world, actor) {
        let sessions = actor.sessions(&world);
        let model = Model {
            world: &world,
            at: NOW,
        };
        for thing in THINGS
            .into_iter()
            .filter(|thing| exists(&world, thing) && *thing != actor.path)
        {
            let administers = |session: &Session| {
                let of_table = ADMINISTER.into_iter();
                let mut of_table = of_table
                    .filter(|name| keyward_commands::action(name).is_some() && speaks(name, thing));
                of_table.any(|action| model.holds(session, action, thing))
            };
            if sessions.iter().any(administers) {
                return None;
            }
        }
        all.extend(held(&world, &sessions));
    }
    Some(all)
}

#[derive(Default)]
struct Tally {
    tried: Vec<usize>,
    allowed: Vec<usize>,
    powerless: usize,
    steps_of_powerless: usize,
    longest: usize,
}

fn walk(seed: u64, tally: &mut Tally) {
    let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for _ in 0..4 {
        random.below(2);
    }
    let mut world = world::world(&mut random);
    let actors = [P, Q, CLERK, ANN, MALLORY, BOT, STRONG].map(|path| Actor {
        path,
        mfa: random.one_in(3),
    });
    // As of the last change of somebody with rights.
    let mut known: Option<[Option<Held>; 7]> = None;
    let mut trail: Vec<String> = Vec::new();
    let mut powerless_steps = 0;
    for n in 0..ATTEMPTS {
        // Whoever may do everything seldom does something, or little would be left to look at.
        let who = if random.one_in(40) {
            6
        } else {
            random.below(6)
        };
        let actor = actors[who];
        let sessions = actor.sessions(&world);
        if sessions.is_empty() {
            continue;
        }
        let session = &sessions[random.below(sessions.len())];
        let change = changes::draw(&mut random, n, TOKEN);
        let kind = changes::kind(&change);
        tally.tried[kind] += 1;
        let by = world.principal_path(session.principal).to_owned();
        let found = world.authorise_change(session, &change, NOW);
        let expected = Model {
            world: &world,
            at: NOW,
        }
        .may(session, &change);
        assert_eq!(
            found.as_ref().ok().map(|approval| approval.accepts),
            expected,
            "seed {seed}: {by} (mfa: {}, role: {}): {change:#?}\nfound {found:#?}\nafter {trail:#?}",
            actor.mfa,
            session.temporary.is_some(),
        );
        let Ok(approval) = found else {
            continue;
        };
        let context = ChangeContext {
            at: NOW,
            by: by.clone(),
            accepts: approval.accepts,
        };
        let Ok(applied) = world.apply(&change, &context) else {
            continue;
        };
        if known.is_none() {
            let ceilings = actors.map(|actor| ceiling(&world, actor));
            tally.powerless += ceilings.iter().flatten().count();
            known = Some(ceilings);
        }
        let ceilings = known.as_ref().unwrap();
        tally.allowed[kind] += 1;
        world = applied.directory;
        trail.push(format!("{by}: {change:?}"));
        if ceilings[who].is_none() {
            known = None;
            continue;
        }
        powerless_steps += 1;
        for (actor, ceiling) in actors.iter().zip(ceilings) {
            let Some(ceiling) = ceiling else {
                continue;
            };
            let now = held(&world, &actor.sessions(&world));
            let gained: Vec<_> = now.difference(ceiling).collect();
            assert!(
                gained.is_empty(),
                "seed {seed}: {} got {gained:?} by {trail:#?}",
                actor.path
            );
        }
    }
    tally.steps_of_powerless += powerless_steps;
    tally.longest = tally.longest.max(powerless_steps);
}

#[test]
fn who_administers_nothing_gains_nothing() {
    let rounds = setting("KEYWARD_ROUNDS", 5);
    let first = setting("KEYWARD_SEED", 1);
    println!("seeds {first} to {}", first + rounds - 1);
    let mut tally = Tally {
        tried: vec![0; changes::KINDS + 1],
        allowed: vec![0; changes::KINDS + 1],
        ..Tally::default()
    };
    for seed in first..first + rounds {
        walk(seed, &mut tally);
    }
    println!(
        "{} actors without rights made {} changes, {} in one world; kinds never allowed: {:?}",
        tally.powerless,
        tally.steps_of_powerless,
        tally.longest,
        (0..=changes::KINDS)
            .filter(|kind| tally.allowed[*kind] == 0)
            .collect::<Vec<_>>()
    );
    assert!(tally.powerless > 0 && tally.steps_of_powerless > 0);
    assert!(
        tally.tried.iter().all(|tried| *tried > 0),
        "{:?}",
        tally.tried
    );
}

/// What the model says of nobody: the walk draws only principals.
#[test]
fn nobody_makes_no_change() {
    let mut random = Random::new(3);
    let world = world::world(&mut random);
    let nobody = Session::unauthenticated();
    assert_eq!(nobody.principal, Principal::Unauthenticated);
    for n in 0..500 {
        let change = changes::draw(&mut random, n, TOKEN);
        assert!(
            world.authorise_change(&nobody, &change, NOW).is_err(),
            "{change:?}"
        );
    }
}
