//! Small random worlds: a few organisations with identities, databases, trusts and policies.

use std::sync::Arc;

use keyward_iam::{
    Change, ChangeContext, Directory, PolicyInput, Session, SessionPolicy, TemporarySession,
    UnixMillis,
};
use keyward_test_cases::Random;

/// One statement, before it becomes JSON. `to` are resources, or identities in a resource policy.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) allow: bool,
    pub(crate) actions: &'static str,
    pub(crate) to: String,
    pub(crate) keys: &'static str,
}

impl Line {
    fn json(&self, field: &str) -> String {
        let effect = if self.allow { "Allow" } else { "Deny" };
        let separator = if self.keys.is_empty() { "" } else { "," };
        format!(
            r#"{{"Effect":"{effect}","Actions":[{}],"{field}":["{}"]{separator}{}}}"#,
            self.actions, self.to, self.keys
        )
    }
}

pub(crate) fn document(lines: &[Line], field: &str) -> String {
    let lines: Vec<String> = lines.iter().map(|line| line.json(field)).collect();
    format!("[{}]", lines.join(","))
}

pub(crate) const IDENTITIES: [&str; 10] = [
    "org/a",
    "org/b",
    "org/c",
    "org/a/group/g",
    "org/b/group/h",
    "org/a/programmatic_identity/p",
    "org/a/programmatic_identity/q",
    "org/b/programmatic_identity/r",
    ROLE,
    "org/b/org_user/y",
];

/// The role of which every world has a session, assumed by `p`.
pub(crate) const ROLE: &str = "org/a/role/x";

/// Conditions of trusts, and whether they hold for the sessions here.
pub(crate) const TRUST_CONDITIONS: [(&str, bool); 4] = [
    (
        r#"{"DateGreaterThan":{"keyward:CurrentTime":"1969-01-01"}}"#,
        true,
    ),
    (
        r#"{"Bool":{"keyward:MultiFactorAuthPresent":"true"}}"#,
        false,
    ),
    (
        r#"{"DateLessThan":{"keyward:CurrentTime":"1969-01-01"}}"#,
        false,
    ),
    (r#"{"Null":{"keyward:ExternalId":"true"}}"#, true),
];

pub(crate) const PRINCIPALS: [&str; 4] = [
    "org/a/programmatic_identity/p",
    "org/a/programmatic_identity/q",
    "org/b/programmatic_identity/r",
    "user/u-2",
];

pub(crate) const DATABASES: [&str; 3] = ["org/a/kvdb/d", "org/b/kvdb/e", "org/c/kvdb/f"];

const ACTIONS: [&str; 9] = [
    r#""kvdb:ExecuteGet""#,
    r#""kvdb:ExecuteSet","kvdb:ExecuteMget""#,
    r#""kvdb:@read""#,
    r#""kvdb:@write""#,
    r#""kvdb:Execute*""#,
    r#""kvdb:*""#,
    r#""kvdb:Connect","kvdb:ExecuteTime""#,
    r#""kvdb:ExecuteWatch","kvdb:ExecutePing""#,
    r#""kvdb:@pubsub""#,
];

const RESOURCES: [&str; 6] = [
    "kvdb/d",
    "kvdb/*",
    "**",
    "org/b/**",
    "org/a/kvdb/d",
    "org/c/kvdb/f",
];

const KEYS: [&str; 9] = [
    "",
    "",
    "",
    r#""Keys":["a:*"]"#,
    r#""Keys":["*"]"#,
    r#""ReadKeys":["a:*"],"WriteKeys":["a:1"]"#,
    r#""ReadKeys":["*"]"#,
    r#""Channels":["a:*"]"#,
    r#""Keys":["*"],"Channels":["*"]"#,
];

/// Commands that touch keys in every way there is.
pub(crate) const COMMANDS: [&[&str]; 30] = [
    &["GET", "a:1"],
    &["GET", "b"],
    &["SET", "a:1", "v"],
    &["SET", "a:2", "v", "GET"],
    &["MGET", "a:1", "a:2"],
    &["MGET", "a:1", "b"],
    &["COPY", "a:1", "a:2"],
    &["DEL", "a:1"],
    &["FLUSHALL"],
    &["DBSIZE"],
    &["SCAN", "0"],
    &["KEYS", "*"],
    &["PING"],
    &["TIME"],
    &["WATCH", "a:1"],
    &["WATCH", "a:1", "b"],
    &["EVAL", "return 1", "0"],
    &["EVAL", "return 1", "1", "a:1"],
    &["SORT", "a:1", "BY", "w_*"],
    &["PUBLISH", "a:x", "m"],
    &["PSUBSCRIBE", "a:*"],
    &["CONFIG", "SET", "a", "b"],
    &["EXPIRE", "a:1", "60"],
    &["EXPIRE", "a:1", "-1"],
    &["GETEX", "b", "EXAT", "1"],
    &["CLIENT", "TRACKING", "ON"],
    &["CLIENT", "TRACKING", "ON", "BCAST"],
    &["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a:"],
    &["PUBSUB", "CHANNELS"],
    &["PUBSUB", "CHANNELS", "a:*"],
];

/// Conditions and variables of every kind: what is known of the session, the moment, the call.
const CONDITIONS: [&str; 18] = [
    r#""Conditions":{"StringLike":{"kvdb:Key":"a:*"}}"#,
    r#""Conditions":{"StringLike":{"kvdb:Key":["a:?","*"]}}"#,
    r#""Conditions":{"StringNotLike":{"kvdb:Key":"a:*"}}"#,
    r#""Conditions":{"ForAllValues:GlobLike":{"kvdb:ReadKey":"a:[12]"}}"#,
    r#""Conditions":{"ForAnyValue:StringEquals":{"kvdb:WriteKey":"a:1"}}"#,
    r#""Conditions":{"GlobLike":{"kvdb:Channel":"a:*"}}"#,
    r#""Conditions":{"Null":{"kvdb:Key":"true"}}"#,
    r#""Keys":["a:*"],"Conditions":{"NumericLessThan":{"kvdb:TtlSeconds":60}}"#,
    r#""Conditions":{"NumericLessThanEqualsIfExists":{"kvdb:KeyCount":1,"kvdb:Count":5}}"#,
    r#""Conditions":{"NumericGreaterThan":{"kvdb:ValueBytes":2}}"#,
    r#""Conditions":{"IpAddress":{"keyward:SourceIp":"10.0.0.0/8"}}"#,
    r#""Conditions":{"NotIpAddress":{"keyward:SourceIp":"10.0.0.0/8"},"StringLike":{"kvdb:Key":"*"}}"#,
    r#""Conditions":{"DateLessThan":{"keyward:CurrentTime":"2001-09-09"}}"#,
    r#""Conditions":{"DateGreaterThan":{"keyward:CurrentTime":"2001-09-09"}}"#,
    r#""Conditions":{"NumericEquals":{"kvdb:DatabaseIndex":1}}"#,
    r#""Conditions":{"StringEquals":{"keyward:ClientName":"${keyward:PrincipalId}"}}"#,
    r#""Keys":["${keyward:PrincipalId}:*","${keyward:PrincipalTag/none}*"]"#,
    r#""ReadKeys":["${keyward:ClientName}:*"],"WriteKeys":["*"]"#,
];

/// What a world is made of; lists can be changed before it is built.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) trusts: Vec<(usize, usize, Vec<Vec<Line>>)>,
    pub(crate) resource_policies: Vec<Vec<Line>>,
    pub(crate) boundaries: Vec<Vec<Line>>,
    pub(crate) guardrails: Vec<Vec<Line>>,
    /// What a session of the role is limited to: by the trust it was assumed through, by itself.
    pub(crate) session: [Vec<Line>; 2],
    /// Conditions of some trusts, by their number; of [`TRUST_CONDITIONS`].
    pub(crate) conditions: Vec<(usize, usize)>,
    /// Every other trust carries ACL rules instead.
    pub(crate) acl: bool,
}

/// Rules of ACL users, for commands and keys as above.
const ACL: [&str; 6] = [
    "+@all ~a:* &a:*",
    "+get +mget %R~* (~a:1 +set +del)",
    "+@all ~* &* db=1",
    "+@read +watch +ping ~a:1",
    "+@all ~* &*",
    "(+@write %W~a:* +flushall) +time",
];

pub(crate) fn line(random: &mut Random, resource_policy: bool, public: bool) -> Line {
    let to = if !resource_policy {
        random.pick(&RESOURCES).to_owned()
    } else if public && random.one_in(4) {
        random.pick(&["*", "unauthenticated"]).to_owned()
    } else {
        random.pick(&IDENTITIES).to_owned()
    };
    Line {
        allow: !random.one_in(4),
        actions: random.pick(&ACTIONS),
        to,
        keys: random.pick(&KEYS),
    }
}

fn lines(random: &mut Random, most: usize, resource_policy: bool) -> Vec<Line> {
    (0..random.below(most + 1))
        .map(|_| line(random, resource_policy, true))
        .collect()
}

impl World {
    /// A world in which about half of the statements have conditions or variables.
    pub(crate) fn conditional(random: &mut Random) -> Self {
        let mut world = Self::random(random);
        let documents = world
            .trusts
            .iter_mut()
            .flat_map(|(.., documents)| documents);
        let lists = documents
            .chain(&mut world.resource_policies)
            .chain(&mut world.boundaries)
            .chain(&mut world.guardrails)
            .chain(&mut world.session);
        for line in lists.flatten() {
            if random.one_in(2) {
                line.keys = random.pick(&CONDITIONS);
            }
        }
        world
    }

    pub(crate) fn random(random: &mut Random) -> Self {
        let mut trusts = Vec::new();
        for _ in 0..3 + random.below(8) {
            let (from, to) = (
                random.below(IDENTITIES.len()),
                random.below(IDENTITIES.len()),
            );
            let policies = (0..1 + random.below(2))
                .map(|_| lines(random, 3, false))
                .collect();
            trusts.push((from, to, policies));
        }
        let mut few = |n: usize, rarely: usize, resource_policy: bool| -> Vec<Vec<Line>> {
            (0..n)
                .map(|_| {
                    if random.one_in(rarely) {
                        lines(random, 3, resource_policy)
                    } else {
                        Vec::new()
                    }
                })
                .collect()
        };
        let resource_policies = few(DATABASES.len(), 1, true);
        let boundaries = few(IDENTITIES.len(), 5, false);
        let guardrails = few(3, 3, false);
        let session = [(); 2].map(|()| few(1, 2, false).remove(0));
        let conditions = (0..trusts.len()).filter_map(|number| {
            let which = random.below(TRUST_CONDITIONS.len());
            random.one_in(4).then_some((number, which))
        });
        Self {
            conditions: conditions.collect(),
            trusts,
            resource_policies,
            boundaries,
            guardrails,
            session,
            acl: false,
        }
    }

    /// Builds the directory. Trusts that the rules refuse (cycles, twins) and resource policies
    /// that lock the owner out are left out, and counted.
    pub(crate) fn build(&self) -> (Directory, usize) {
        let context = ChangeContext::system(UnixMillis(1));
        let mut directory = Directory::empty();
        let mut refused = 0;
        let mut make = |change: Change, must: bool| match directory.apply(&change, &context) {
            Ok(applied) => directory = applied.directory,
            Err(error) if must => panic!("{change:?}: {error}"),
            Err(_) => refused += 1,
        };
        for id in ["u-1", "u-2"] {
            let (id, name) = (id.into(), None);
            make(Change::CreateUser { id, name }, true);
        }
        for (number, id) in ["a", "b", "c"].into_iter().enumerate() {
            let change = Change::CreateOrganisation {
                id: id.into(),
                name: None,
                owner: "user/u-1".into(),
                account: format!("{number:012}"),
                administrator: None,
            };
            make(change, true);
        }
        for path in &IDENTITIES[3..] {
            let parts = keyward_iam::PathParts::of(path).unwrap();
            let (organisation, id) = (parts.organisation.unwrap().to_owned(), parts.id.to_owned());
            let change = match parts.kind {
                keyward_iam::Kind::Group => Change::CreateGroup {
                    organisation,
                    id,
                    name: None,
                },
                keyward_iam::Kind::Role => Change::CreateRole {
                    organisation,
                    id,
                    name: None,
                    description: None,
                    max_session_seconds: None,
                },
                keyward_iam::Kind::OrganisationUser => Change::CreateOrganisationUser {
                    organisation,
                    id,
                    name: None,
                    user: Some("user/u-2".into()),
                    invitation: None,
                },
                _ => Change::CreateProgrammaticIdentity {
                    organisation,
                    id,
                    name: None,
                },
            };
            make(change, true);
        }
        for path in DATABASES {
            let parts = keyward_iam::PathParts::of(path).unwrap();
            let change = Change::CreateDatabase {
                organisation: parts.organisation.unwrap().into(),
                id: parts.id.into(),
                name: None,
                description: None,
                backend: keyward_iam::Backend::Embedded,
            };
            make(change, true);
        }
        let inputs = |lists: &[Vec<Line>]| -> Vec<PolicyInput> {
            let lists = lists.iter().filter(|list| !list.is_empty());
            lists
                .map(|list| PolicyInput::Document(document(list, "Resources")))
                .collect()
        };
        for (number, (from, to, policies)) in self.trusts.iter().enumerate() {
            let change = Change::CreateTrust {
                id: format!("t{number}"),
                trustor: IDENTITIES[*from].into(),
                trustee: IDENTITIES[*to].into(),
                policies: match self.acl && number % 2 == 0 {
                    true => vec![PolicyInput::Document(ACL[(from + to) % ACL.len()].into())],
                    false => inputs(policies),
                },
                expires_at: None,
                kind: None,
                conditions: self
                    .conditions
                    .iter()
                    .find(|(of, _)| *of == number)
                    .map(|(_, which)| TRUST_CONDITIONS[*which].0.to_owned()),
            };
            make(change, false);
        }
        let [of_trust, of_session] = &self.session;
        make(
            Change::CreateTrust {
                id: "assumed".into(),
                trustor: ROLE.into(),
                trustee: PRINCIPALS[0].into(),
                policies: inputs(std::slice::from_ref(of_trust)),
                expires_at: None,
                kind: None,
                conditions: None,
            },
            true,
        );
        if !of_session.is_empty() {
            make(
                Change::CreatePolicy {
                    organisation: "a".into(),
                    id: "session".into(),
                    name: None,
                    document: document(of_session, "Resources").into(),
                },
                true,
            );
        }
        for (path, lines) in DATABASES.iter().zip(&self.resource_policies) {
            if !lines.is_empty() {
                let document = document(lines, "Identities");
                make(
                    Change::PutResourcePolicy {
                        path: (*path).into(),
                        document: document.into(),
                    },
                    false,
                );
            }
        }
        for (path, lines) in IDENTITIES.iter().zip(&self.boundaries) {
            if !lines.is_empty() {
                let policies = inputs(std::slice::from_ref(lines));
                make(
                    Change::PutBoundary {
                        identity: (*path).into(),
                        policies,
                    },
                    true,
                );
            }
        }
        for (path, lines) in IDENTITIES.iter().zip(&self.guardrails) {
            if !lines.is_empty() {
                let policies = inputs(std::slice::from_ref(lines));
                make(
                    Change::PutGuardrails {
                        organisation: (*path).into(),
                        policies,
                    },
                    true,
                );
            }
        }
        (directory, refused)
    }
}

/// The session of the role: opened by `p`, with the policy `policy/session` if there is one.
pub(crate) fn role_session(directory: &Directory) -> Session {
    let named = "org/a/policy/session";
    let policies = directory
        .policy_at(named)
        .map(|_| SessionPolicy::Named(named.into()));
    let at = UnixMillis(1);
    let session = TemporarySession {
        id: "KWTKAAAAAAAAAAAAAAAA".into(),
        principal: ROLE.into(),
        name: "test".into(),
        issued: at,
        expires: UnixMillis(3_600_001),
        revision: directory.revision(),
        trust: Some("org/a/trust/assumed".into()),
        policies: policies.into_iter().collect(),
        tags: Default::default(),
        transitive_tags: Vec::new(),
        source_identity: None,
        mfa: None,
        origins: Vec::new(),
    };
    directory.session_of(&Arc::new(session), at).unwrap()
}

/// A session of each principal, of nobody, and of the role.
pub(crate) fn sessions(directory: &Directory) -> Vec<Session> {
    let known = PRINCIPALS
        .iter()
        .map(|path| directory.identity_at(path).unwrap());
    known
        .map(Session::of_identity)
        .chain([Session::unauthenticated(), role_session(directory)])
        .collect()
}
