//! The worlds of the walk: an organisation with one of everything, and another one beside it.

use keyward_iam::{
    AssumeRole, AssumeRoleError, Backend, Change, ChangeContext, Directory, Invitation, KeyStatus,
    LoginSession, PersonChange, PolicyInput, Provider, Session, UnixMillis, UsedFactor,
};
use serde_json::{Value, json};

use crate::model::{WHEN_RED, WITH_MFA};
use keyward_test_cases::Random;

pub(crate) const NOW: UnixMillis = UnixMillis(10_000_000);
const LONG_AGO: UnixMillis = UnixMillis(1_000);

pub(crate) const P: &str = "org/acme/programmatic_identity/p";
pub(crate) const Q: &str = "org/acme/programmatic_identity/q";
pub(crate) const CLERK: &str = "org/acme/programmatic_identity/clerk";
pub(crate) const STRONG: &str = "org/acme/programmatic_identity/strong";
pub(crate) const ANN: &str = "user/ann";
pub(crate) const MALLORY: &str = "user/mallory";
pub(crate) const BOT: &str = "org/evil/programmatic_identity/bot";

/// Everything in `org/acme`, and who is around: what changes speak of, and what is asked about.
pub(crate) const THINGS: [&str; 19] = [
    "org/acme",
    P,
    Q,
    CLERK,
    STRONG,
    "org/acme/group/g",
    "org/acme/group/h",
    "org/acme/role/x",
    "org/acme/role/y",
    "org/acme/org_user/ann",
    "org/acme/org_user/free",
    "org/acme/identity_provider/idp",
    "org/acme/identity_provider/ca",
    "org/acme/kvdb/main",
    "org/acme/kvdb/other",
    "org/acme/policy/shared",
    "org/acme/policy/limit",
    ANN,
    "user/boss",
];

/// Things of the other organisation.
pub(crate) const ABROAD: [&str; 5] = [
    "org/evil",
    BOT,
    "org/evil/group/gang",
    "org/evil/role/mask",
    "org/evil/kvdb/loot",
];

pub(crate) const TRUSTS: [&str; 16] = [
    "t0",
    "t1",
    "t2",
    "t3",
    "t4",
    "t5",
    "t6",
    "t7",
    "t8",
    "t9",
    "t10",
    "t11",
    "owner",
    "member-ann",
    "member-free",
    "creator",
];

/// Actions that administer nothing, by the table.
const HARMLESS: [&str; 25] = [
    "kvdb:ExecuteGet",
    "kvdb:Execute*",
    "kvdb:@read",
    "kvdb:@write",
    "kvdb:Create",
    "kvdb:Update",
    "kvdb:Delete",
    "kvdb:Describe",
    "iam:DescribeTrust",
    "iam:CreateProgrammaticIdentity",
    "iam:UpdateProgrammaticIdentity",
    "iam:DeleteProgrammaticIdentity",
    "iam:CreateGroup",
    "iam:DeleteGroup",
    "iam:CreateRole",
    "iam:UpdateRole",
    "iam:CreateOrgUser",
    "iam:UpdateOrgUser",
    "iam:DeleteOrgUser",
    "iam:CreateIdentityProvider",
    "iam:CreatePolicy",
    "iam:UpdatePolicy",
    "iam:DeletePolicy",
    "iam:RevokeSession",
    "org:Update",
];

const POWERFUL: [&str; 14] = [
    "iam:*",
    "*",
    "iam:CreateTrust",
    "iam:UpdateTrust",
    "iam:AcceptTrust",
    "iam:CreateAccessKey",
    "iam:UpdateAccessKey",
    "iam:UpdateIdentityProvider",
    "iam:TagProgrammaticIdentity",
    "iam:PutPermissionBoundary",
    "iam:PutResourcePolicy",
    "iam:SetDefaultPolicyVersion",
    "org:*",
    "kvdb:SetBackend",
];

const PLACES: [&str; 14] = [
    "**",
    "org/acme",
    "org/acme",
    "kvdb/*",
    "kvdb/main",
    "programmatic_identity/*",
    "programmatic_identity/p",
    "group/*",
    "role/*",
    "policy/*",
    "org_user/*",
    "identity_provider/*",
    "role/x",
    "programmatic_identity/q",
];

const CONDITIONS: [&str; 5] = [
    r#"{"Bool":{"keyward:MultiFactorAuthPresent":"true"}}"#,
    r#"{"StringEquals":{"keyward:PrincipalTag/team":"red"}}"#,
    r#"{"StringEquals":{"keyward:ResourceTag/team":"red"}}"#,
    r#"{"StringEquals":{"keyward:PrincipalName":"red"}}"#,
    r#"{"StringNotEquals":{"keyward:PrincipalTag/team":"red"}}"#,
];

fn statement(random: &mut Random, effect: &str, actions: &[&str], field: &str, to: &str) -> Value {
    let mut made = json!({ "Effect": effect, "Actions": [random.pick(actions)], field: [to] });
    if random.one_in(4) {
        made["Conditions"] = serde_json::from_str(random.pick(&CONDITIONS)).unwrap();
    }
    made
}

/// A document that grants nothing with which one administers; with denials, if it may.
pub(crate) fn harmless(random: &mut Random, denies: bool) -> String {
    let statements = 1 + random.below(4);
    let all: Vec<Value> = (0..statements)
        .map(|_| {
            let place = random.pick(&PLACES);
            match denies && random.one_in(3) {
                true => statement(random, "Deny", &HARMLESS, "Resources", place),
                false => statement(random, "Allow", &HARMLESS, "Resources", place),
            }
        })
        .collect();
    json!(all).to_string()
}

pub(crate) fn powerful(random: &mut Random) -> String {
    let all: Vec<Value> = (0..1 + random.below(4))
        .map(|_| {
            let place = random.pick(&PLACES);
            let effect = if random.one_in(6) { "Deny" } else { "Allow" };
            statement(random, effect, &POWERFUL, "Resources", place)
        })
        .collect();
    json!(all).to_string()
}

/// Denials name nothing that can be left: a person and a program shed these by leaving (attack 52).
pub(crate) fn resource_policy(random: &mut Random, powers: bool) -> String {
    let allowed = [
        P,
        Q,
        CLERK,
        "org/acme/group/g",
        BOT,
        "org/evil",
        "org/acme/org_user/ann",
        ANN,
    ];
    let denied = [P, Q, "org/acme/group/g", "org/acme/group/h"];
    let actions: &[&str] = if powers { &POWERFUL } else { &HARMLESS };
    let all: Vec<Value> = (0..1 + random.below(3))
        .map(|_| match random.one_in(3) {
            true => {
                let whom = random.pick(&denied);
                statement(random, "Deny", actions, "Identities", whom)
            }
            false => {
                let whom = random.pick(&allowed);
                statement(random, "Allow", actions, "Identities", whom)
            }
        })
        .collect();
    json!(all).to_string()
}

/// What limits: everything but a few things, or a few things.
pub(crate) fn limit(random: &mut Random) -> String {
    let place = random.pick(&PLACES);
    let deny = statement(random, "Deny", &HARMLESS, "Resources", place);
    let allow = match random.one_in(3) {
        true => json!({ "Effect": "Allow", "Actions": ["kvdb:*", "iam:*"], "Resources": ["**"] }),
        false => json!({ "Effect": "Allow", "Actions": ["*"], "Resources": ["**", "user/ann"] }),
    };
    json!([allow, deny]).to_string()
}

pub(crate) fn conditions(random: &mut Random) -> Option<String> {
    let some = random.pick(&[None, None, Some(WITH_MFA), Some(WHEN_RED)]);
    some.map(str::to_owned)
}

fn member(kind: &str, organisation: &str, id: &str) -> Change {
    let (organisation, id, name) = (organisation.to_owned(), id.to_owned(), None);
    match kind {
        "group" => Change::CreateGroup {
            organisation,
            id,
            name,
        },
        "role" => Change::CreateRole {
            organisation,
            id,
            name,
            description: None,
            max_session_seconds: None,
        },
        "kvdb" => Change::CreateDatabase {
            organisation,
            id,
            name,
            description: None,
            backend: Backend::Embedded,
        },
        _ => Change::CreateProgrammaticIdentity {
            organisation,
            id,
            name,
        },
    }
}

pub(crate) fn trust(
    id: &str,
    from: &str,
    to: &str,
    document: Option<String>,
    conditions: Option<String>,
) -> Change {
    Change::CreateTrust {
        id: id.into(),
        trustor: from.into(),
        trustee: to.into(),
        policies: document.into_iter().map(PolicyInput::Document).collect(),
        expires_at: None,
        kind: None,
        conditions,
    }
}

pub(crate) fn provider(roles: &[&str]) -> Box<Provider> {
    let mappings: Vec<Value> = roles
        .iter()
        .map(|role| json!({ "claim": "groups", "values": ["dev"], "to": [role] }))
        .collect();
    let provider = json!({ "type": "oidc", "issuer": "https://idp.acme.example",
                           "audiences": ["https://kw.example/org/acme"], "mappings": mappings });
    Box::new(serde_json::from_value(provider).unwrap())
}

pub(crate) fn authority(identities: &[&str]) -> Box<Provider> {
    let mappings: Vec<Value> = identities
        .iter()
        .enumerate()
        .map(|(n, id)| json!({ "name": "dns", "value": format!("n{n}.example"), "identity": id }))
        .collect();
    let pem = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
    let provider = json!({ "type": "certificate_authority", "pem": pem, "mappings": mappings });
    Box::new(serde_json::from_value(provider).unwrap())
}

pub(crate) fn login(id: &str, authenticated: Option<UnixMillis>) -> LoginSession {
    LoginSession {
        id: id.into(),
        token_hash: keyward_iam::Hash([1; 32]),
        mfa: None,
        provider: None,
        client: "test".into(),
        source: None,
        created: LONG_AGO,
        authenticated,
        expires_at: UnixMillis(NOW.0 * 2),
    }
}

/// Ids of the access keys that the powerless know from earlier: of `strong`, too old and disabled.
pub(crate) const OLD_KEY: &str = "KWAKOLDAAAAAAAAAAAAA";
pub(crate) const DISABLED_KEY: &str = "KWAKDISABLEDAAAAAAAA";

pub(crate) fn key(identity: &str, id: &str) -> Change {
    Change::CreateAccessKey {
        identity: identity.into(),
        key_id: id.into(),
        secret_hash: [0; 32],
        description: None,
        expires_at: None,
        sealed_secret: None,
    }
}

/// The token of the invitations that are made on the walk: everybody knows it.
pub(crate) const TOKEN: [u8; 32] = [9; 32];

pub(crate) fn invitation(token: [u8; 32]) -> Invitation {
    Invitation {
        token_hash: token,
        expires_at: UnixMillis(NOW.0 * 2),
        email: None,
    }
}

pub(crate) fn world(random: &mut Random) -> Directory {
    let mut directory = Directory::empty();
    let mut make = |change: Change, must: bool| match directory
        .apply(&change, &ChangeContext::system(LONG_AGO))
    {
        Ok(applied) => directory = applied.directory,
        Err(error) if must => panic!("{change:?}: {error}"),
        Err(_) => {}
    };
    for id in ["boss", "ann", "mallory"] {
        make(
            Change::CreateUser {
                id: id.into(),
                name: Some("red".into()),
            },
            true,
        );
        let change = PersonChange::BeginLogin {
            session: login("fresh", Some(UnixMillis(NOW.0 - 1))),
            factor: UsedFactor::None,
        };
        make(
            Change::Person {
                user: format!("user/{id}"),
                change,
            },
            true,
        );
    }
    for (id, owner, account) in [
        ("acme", "user/boss", "000000000001"),
        ("evil", MALLORY, "000000000002"),
    ] {
        let change = Change::CreateOrganisation {
            id: id.into(),
            name: None,
            owner: owner.into(),
            account: account.into(),
            administrator: None,
        };
        make(change, true);
    }
    for (kind, id) in [
        ("programmatic_identity", "p"),
        ("programmatic_identity", "q"),
        ("programmatic_identity", "clerk"),
        ("programmatic_identity", "strong"),
        ("group", "g"),
        ("group", "h"),
        ("role", "x"),
        ("role", "y"),
        ("kvdb", "main"),
        ("kvdb", "other"),
    ] {
        make(member(kind, "acme", id), true);
    }
    for (kind, id) in [
        ("programmatic_identity", "bot"),
        ("group", "gang"),
        ("role", "mask"),
        ("kvdb", "loot"),
    ] {
        make(member(kind, "evil", id), true);
    }
    for (id, user) in [("ann", Some(ANN)), ("free", None)] {
        let change = Change::CreateOrganisationUser {
            organisation: "acme".into(),
            id: id.into(),
            name: None,
            user: user.map(str::to_owned),
            // Somebody else's.
            invitation: user.is_none().then(|| invitation([1; 32])),
        };
        make(change, true);
    }
    for (id, provider) in [
        ("idp", provider(&["role/y"])),
        ("ca", authority(&["programmatic_identity/strong"])),
    ] {
        let change = Change::CreateIdentityProvider {
            organisation: "acme".into(),
            id: id.into(),
            name: None,
            provider,
        };
        make(change, true);
    }
    for (id, documents) in [
        ("shared", [harmless(random, true), powerful(random)]),
        ("limit", [limit(random), harmless(random, true)]),
    ] {
        let [first, second] = documents;
        let change = Change::CreatePolicy {
            organisation: "acme".into(),
            id: id.into(),
            name: None,
            document: first.into(),
        };
        make(change, true);
        let change = Change::UpdatePolicy {
            path: format!("org/acme/policy/{id}"),
            document: second.into(),
            make_default: false,
        };
        make(change, true);
    }
    // Who is powerless: `p`, `ann`, sometimes `q`, who belong to `g`. Denials that count stand on
    // the group, which nobody leaves.
    let all = r#"[{"Effect":"Allow","Actions":["*"],"Resources":["**"]}]"#.to_owned();
    let of_g = [harmless(random, true), harmless(random, true)];
    let [of_g, of_role] = of_g;
    let named = random.one_in(2);
    let shared = |change: Change| match change {
        Change::CreateTrust {
            id,
            trustor,
            trustee,
            conditions,
            ..
        } => Change::CreateTrust {
            id,
            trustor,
            trustee,
            policies: vec![PolicyInput::Named("shared".into())],
            expires_at: None,
            kind: None,
            conditions,
        },
        other => other,
    };
    let group = trust(
        "t0",
        "org/acme",
        "org/acme/group/g",
        Some(of_g),
        conditions(random),
    );
    make(if named { shared(group) } else { group }, true);
    let of_h = powerful(random);
    make(
        trust(
            "t1",
            "org/acme",
            "org/acme/group/h",
            Some(of_h),
            conditions(random),
        ),
        true,
    );
    let of_p = harmless(random, false);
    make(
        trust("t2", "org/acme", P, Some(of_p), conditions(random)),
        true,
    );
    let of_ann = harmless(random, false);
    make(
        trust(
            "t3",
            "org/acme",
            "org/acme/org_user/ann",
            Some(of_ann),
            None,
        ),
        true,
    );
    let narrow = random.one_in(3).then(|| harmless(random, true));
    make(trust("t4", "org/acme/group/g", P, narrow, None), true);
    make(
        trust(
            "t5",
            "org/acme/group/g",
            "org/acme/org_user/ann",
            None,
            conditions(random),
        ),
        true,
    );
    let of_q = if random.one_in(2) {
        powerful(random)
    } else {
        harmless(random, false)
    };
    make(trust("t6", "org/acme", Q, Some(of_q), None), true);
    let of_clerk = powerful(random);
    make(trust("t7", "org/acme", CLERK, Some(of_clerk), None), true);
    make(
        trust("t8", "org/acme", STRONG, Some(all.clone()), None),
        true,
    );
    make(
        trust("t9", "org/acme", "org/acme/role/x", Some(of_role), None),
        true,
    );
    let to = random.pick(&[P, Q, "org/acme/group/g", "org/acme/org_user/ann", BOT]);
    let through = random.one_in(2).then(|| harmless(random, true));
    make(
        trust("t10", "org/acme/role/x", to, through, conditions(random)),
        true,
    );
    let to = random.pick(&[CLERK, "org/acme/group/h", Q]);
    make(trust("t11", "org/acme/role/y", to, None, None), true);
    let of_y = powerful(random);
    make(
        trust("t12", "org/acme", "org/acme/role/y", Some(of_y), None),
        true,
    );
    // Abroad: all that belongs to `evil` does what `mallory` wants.
    for (n, to) in [BOT, "org/evil/group/gang"].into_iter().enumerate() {
        let everything = json!([{ "Effect": "Allow", "Actions": ["*"],
                                  "Resources": ["**", "org/acme/**", "user/ann"] }]);
        make(
            trust(
                &format!("e{n}"),
                "org/evil",
                to,
                Some(everything.to_string()),
                None,
            ),
            true,
        );
    }
    make(trust("e2", "org/evil/group/gang", BOT, None, None), true);
    make(trust("e3", "org/evil/role/mask", BOT, None, None), true);
    for path in THINGS {
        if random.one_in(4) && !path.starts_with("user/") {
            let document = resource_policy(random, false).into();
            make(
                Change::PutResourcePolicy {
                    path: path.into(),
                    document,
                },
                false,
            );
        }
    }
    if random.one_in(3) {
        // A vendor's document that names the other organisation by its account.
        let aws = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::000000000002:root" },
            "Action": "kvdb:ExecuteGet", "Resource": "*" }] });
        let document = aws.to_string().into();
        make(
            Change::PutResourcePolicy {
                path: "org/acme/kvdb/other".into(),
                document,
            },
            false,
        );
    }
    for identity in [
        P,
        Q,
        CLERK,
        "org/acme/group/g",
        "org/acme/role/x",
        "org/acme/org_user/ann",
    ] {
        if random.one_in(5) {
            let policies = match random.one_in(2) {
                true => vec![PolicyInput::Named("limit".into())],
                false => vec![PolicyInput::Document(limit(random))],
            };
            make(
                Change::PutBoundary {
                    identity: identity.into(),
                    policies,
                },
                true,
            );
        }
    }
    if random.one_in(4) {
        let policies = vec![PolicyInput::Document(limit(random))];
        make(
            Change::PutGuardrails {
                organisation: "org/acme".into(),
                policies,
            },
            true,
        );
    }
    for path in [P, ANN, CLERK, "org/acme/kvdb/main", "org/acme/role/x"] {
        if random.one_in(3) {
            let set = [("team".to_owned(), random.pick(&["red", "blue"]).to_owned())];
            make(
                Change::SetTags {
                    path: path.into(),
                    set: set.into(),
                    remove: Vec::new(),
                },
                true,
            );
        }
    }
    // Keys of `strong` that opened it once.
    make(key(STRONG, DISABLED_KEY), true);
    make(
        Change::UpdateAccessKey {
            path: format!("{STRONG}/access_key/{DISABLED_KEY}"),
            status: Some(KeyStatus::Disabled),
            description: None,
            expires_at: None,
        },
        true,
    );
    make(key(STRONG, OLD_KEY), true);
    let change = Change::SetKeyLimits {
        organisation: "org/acme".into(),
        max_key_lifetime_seconds: Some(3600),
        max_active_keys: None,
    };
    make(change, true);
    directory
}

/// The sessions of roles that somebody may open with those it has, two roles deep at most.
pub(crate) fn with_roles(world: &Directory, own: Vec<Session>) -> Vec<Session> {
    let mut all = own.clone();
    let mut fresh = own;
    for _ in 0..2 {
        let mut opened = Vec::new();
        for session in &fresh {
            for role in ["org/acme/role/x", "org/acme/role/y", "org/evil/role/mask"] {
                opened.extend(assumed(world, session, role, None));
            }
        }
        all.extend(opened.iter().cloned());
        fresh = opened;
    }
    all
}

fn assumed(world: &Directory, by: &Session, role: &str, through: Option<String>) -> Vec<Session> {
    let ask = AssumeRole {
        role: role.to_owned(),
        session_name: "walk".into(),
        trust: through,
        ..AssumeRole::default()
    };
    match world.assume_role(by, &ask, "KWTKAAAAAAAAAAAAAAAA", NOW) {
        Ok(found) => world
            .session_of(&found.session.into(), NOW)
            .into_iter()
            .collect(),
        Err(AssumeRoleError::Ambiguous { trusts }) => trusts
            .into_iter()
            .flat_map(|trust| assumed(world, by, role, Some(trust)))
            .collect(),
        Err(_) => Vec::new(),
    }
}
