//! Random changes, of every kind there is.

use std::collections::BTreeMap;

use keyward_iam::{
    Backend, Change, Existing, KeyStatus, PersonChange, PolicyInput, RestoreState, SnapshotState,
    TrustKind, UnixMillis, UsedFactor,
};

use crate::world::{
    ABROAD, ANN, BOT, CLERK, DISABLED_KEY, MALLORY, NOW, OLD_KEY, P, Q, STRONG, THINGS, TRUSTS,
    authority, conditions, harmless, invitation, key, limit, login, powerful, provider,
    resource_policy, trust,
};
use keyward_test_cases::Random;

/// How many kinds of change there are. A new one is an error in [`kind`], and then in the test
/// that counts which were drawn.
pub(crate) const KINDS: usize = 55;

/// Which kind a change is. Exhaustive: a new one must be drawn by [`draw`] and judged by the model.
pub(crate) fn kind(change: &Change) -> usize {
    match change {
        Change::CreateUser { .. } => 0,
        Change::RegisterUser { .. } => 1,
        Change::DeleteUser { .. } => 2,
        Change::Person { .. } => 3,
        Change::CreateOrganisation { .. } => 4,
        Change::Rename { .. } => 5,
        Change::DeleteOrganisation { .. } => 6,
        Change::CreateProgrammaticIdentity { .. } => 7,
        Change::CreateGroup { .. } => 8,
        Change::CreateRole { .. } => 9,
        Change::UpdateRole { .. } => 10,
        Change::CreateOrganisationUser { .. } => 11,
        Change::Invite { .. } => 12,
        Change::AcceptInvitation { .. } => 13,
        Change::DeclineInvitation { .. } => 14,
        Change::RevokeSessions { .. } => 15,
        Change::RevokeSession { .. } => 16,
        Change::SetKeyLimits { .. } => 17,
        Change::CreateIdentityProvider { .. } => 18,
        Change::UpdateIdentityProvider { .. } => 19,
        Change::SyncSignIn { .. } => 20,
        Change::DeleteIdentity { .. } => 21,
        Change::SetTags { .. } => 22,
        Change::SetDefaultDatabase { .. } => 23,
        Change::CreateAccessKey { .. } => 24,
        Change::UpdateAccessKey { .. } => 25,
        Change::DeleteAccessKey { .. } => 26,
        Change::CreateDatabase { .. } => 27,
        Change::SetBackend { .. } => 28,
        Change::SetAdministration { .. } => 29,
        Change::UpdateDatabase { .. } => 30,
        Change::DeleteDatabase { .. } => 31,
        Change::CreateTrust { .. } => 32,
        Change::UpdateTrust { .. } => 33,
        Change::AcceptTrust { .. } => 34,
        Change::DeleteTrust { .. } => 35,
        Change::PutResourcePolicy { .. } => 36,
        Change::DeleteResourcePolicy { .. } => 37,
        Change::PutBoundary { .. } => 38,
        Change::DeleteBoundary { .. } => 39,
        Change::PutGuardrails { .. } => 40,
        Change::SetVendorAliases { .. } => 41,
        Change::TransferOwnership { .. } => 42,
        Change::CreatePolicy { .. } => 43,
        Change::UpdatePolicy { .. } => 44,
        Change::SetDefaultPolicyVersion { .. } => 45,
        Change::DeletePolicyVersion { .. } => 46,
        Change::AttachPolicy { .. } => 47,
        Change::DetachPolicy { .. } => 48,
        Change::CreateSnapshot { .. } => 49,
        Change::EndSnapshot { .. } => 50,
        Change::UpdateSnapshot { .. } => 51,
        Change::RestoreSnapshot { .. } => 52,
        Change::EndRestore { .. } => 53,
        Change::DeleteSnapshot { .. } => 54,
        Change::DeletePolicy { .. } => KINDS,
    }
}

fn thing(random: &mut Random) -> String {
    match random.one_in(6) {
        true => random.pick(&ABROAD).into(),
        false => random.pick(&THINGS).into(),
    }
}

fn identity(random: &mut Random) -> String {
    random
        .pick(&[
            P,
            Q,
            CLERK,
            STRONG,
            ANN,
            BOT,
            MALLORY,
            "org/acme",
            "org/evil",
            "org/acme/group/g",
            "org/acme/group/h",
            "org/acme/role/x",
            "org/acme/role/y",
            "org/acme/org_user/ann",
            "org/acme/org_user/free",
            "org/evil/group/gang",
            "org/acme/identity_provider/idp",
        ])
        .into()
}

fn program(random: &mut Random) -> String {
    random.pick(&[P, Q, CLERK, STRONG, BOT]).into()
}

fn organisation(random: &mut Random) -> String {
    random.pick(&["acme", "acme", "evil"]).into()
}

fn database(random: &mut Random) -> String {
    random
        .pick(&[
            "org/acme/kvdb/main",
            "org/acme/kvdb/other",
            "org/evil/kvdb/loot",
        ])
        .into()
}

fn snapshot(random: &mut Random, n: usize) -> String {
    format!("{}/snapshot/n{}", database(random), random.below(n.max(1)))
}

fn a_trust(random: &mut Random, n: usize) -> String {
    match random.below(6) {
        0 => format!(
            "org/evil/trust/{}",
            random.pick(&["e0", "e1", "e2", "e3", "owner"])
        ),
        1 | 2 => format!(
            "org/{}/trust/n{}",
            organisation(random),
            random.below(n.max(1))
        ),
        _ => format!("org/acme/trust/{}", random.pick(&TRUSTS)),
    }
}

fn policy(random: &mut Random) -> String {
    random
        .pick(&["org/acme/policy/shared", "org/acme/policy/limit"])
        .into()
}

fn document(random: &mut Random) -> String {
    match random.below(3) {
        0 => harmless(random, true),
        1 => powerful(random),
        _ => r#"[{"Effect":"Allow","Actions":["*"],"Resources":["**","org/acme/**"]}]"#.into(),
    }
}

fn policies(random: &mut Random) -> Vec<PolicyInput> {
    match random.below(4) {
        0 => Vec::new(),
        1 => vec![PolicyInput::Named(
            random.pick(&["shared", "limit", "KvdbFullAccess"]).into(),
        )],
        _ => vec![PolicyInput::Document(document(random))],
    }
}

fn name(random: &mut Random) -> Option<String> {
    random
        .pick(&[None, Some("red"), Some("Blue")])
        .map(str::to_owned)
}

fn person_change(random: &mut Random, n: usize) -> PersonChange {
    match random.below(8) {
        0 => PersonChange::SetSignInName(format!("name{n}")),
        1 => PersonChange::SetPassword { hash: None },
        2 => PersonChange::RemoveTotp,
        3 => PersonChange::ResetFactors,
        4 => PersonChange::EndLogins {
            except: Some("fresh".into()),
        },
        5 => PersonChange::EndLogin("other".into()),
        6 => PersonChange::SetSetupLink(None),
        _ => PersonChange::BeginLogin {
            session: login(&format!("l{n}"), Some(NOW)),
            factor: UsedFactor::None,
        },
    }
}

/// A change that somebody tries. `token` is that of the invitations it makes and knows.
pub(crate) fn draw(random: &mut Random, n: usize, token: [u8; 32]) -> Change {
    let id = format!("n{n}");
    match random.below(KINDS + 1) {
        0 => Change::CreateUser {
            id,
            name: name(random),
        },
        1 => Change::RegisterUser {
            sign_in_name: id.clone(),
            id,
            name: None,
            password: None,
        },
        2 => Change::DeleteUser {
            path: random.pick(&[ANN, MALLORY]).into(),
            cascade: true,
        },
        3 => Change::Person {
            user: random.pick(&[ANN, MALLORY, "user/boss"]).into(),
            change: person_change(random, n),
        },
        4 => Change::CreateOrganisation {
            id,
            name: None,
            owner: random.pick(&[ANN, MALLORY]).into(),
            account: format!("1{n:011}"),
            administrator: random.one_in(2).then(|| program(random)),
        },
        5 => Change::Rename {
            path: thing(random),
            name: name(random),
        },
        6 => Change::DeleteOrganisation {
            path: format!("org/{}", organisation(random)),
        },
        7 => Change::CreateProgrammaticIdentity {
            organisation: organisation(random),
            id,
            name: name(random),
        },
        8 => Change::CreateGroup {
            organisation: organisation(random),
            id,
            name: None,
        },
        9 => Change::CreateRole {
            organisation: organisation(random),
            id,
            name: None,
            description: None,
            max_session_seconds: None,
        },
        10 => Change::UpdateRole {
            path: random.pick(&["org/acme/role/x", "org/acme/role/y"]).into(),
            name: random.one_in(2).then(|| name(random)),
            description: None,
            max_session_seconds: Some(7200),
        },
        11 => {
            let user = random
                .one_in(2)
                .then(|| random.pick(&[ANN, MALLORY]).to_owned());
            Change::CreateOrganisationUser {
                organisation: organisation(random),
                id,
                name: None,
                invitation: user.is_none().then(|| invitation(token)),
                user,
            }
        }
        12 => Change::Invite {
            path: random
                .pick(&["org/acme/org_user/ann", "org/acme/org_user/free"])
                .into(),
            invitation: invitation(token),
        },
        13 => Change::AcceptInvitation {
            path: match random.one_in(3) {
                true => format!("org/acme/org_user/n{}", random.below(n.max(1))),
                false => random
                    .pick(&["org/acme/org_user/ann", "org/acme/org_user/free"])
                    .into(),
            },
            user: random.pick(&[ANN, MALLORY]).into(),
            token_hash: token,
        },
        14 => Change::DeclineInvitation {
            path: "org/acme/org_user/free".into(),
            token_hash: token,
        },
        15 => Change::RevokeSessions {
            identity: identity(random),
            before: UnixMillis(1),
        },
        16 => Change::RevokeSession {
            identity: identity(random),
            id,
            expires: UnixMillis(NOW.0 + 1),
        },
        17 => Change::SetKeyLimits {
            organisation: format!("org/{}", organisation(random)),
            max_key_lifetime_seconds: random.pick(&[None, Some(60), Some(3600), Some(9_000_000)]),
            max_active_keys: Some(5),
        },
        18 => Change::CreateIdentityProvider {
            organisation: organisation(random),
            id,
            name: None,
            provider: a_provider(random),
        },
        19 => Change::UpdateIdentityProvider {
            name: None,
            path: random
                .pick(&[
                    "org/acme/identity_provider/idp",
                    "org/acme/identity_provider/ca",
                ])
                .into(),
            provider: a_provider(random),
        },
        20 => Change::SyncSignIn {
            user: ANN.into(),
            sign_in: "corp".into(),
            claims: BTreeMap::new(),
        },
        21 => Change::DeleteIdentity {
            path: identity(random),
            cascade: random.one_in(2),
        },
        22 => Change::SetTags {
            // A policy has no tags.
            path: thing(random)
                .replace("org/acme/policy/shared", P)
                .replace("org/acme/policy/limit", Q),
            set: [("team".to_owned(), random.pick(&["red", "blue"]).to_owned())].into(),
            remove: Vec::new(),
        },
        23 => Change::SetDefaultDatabase {
            identity: identity(random),
            database: random.one_in(2).then(|| database(random)),
        },
        24 => key(&program(random), &format!("KWAKAAAAAAAAAAAAA{n:03}")),
        25 => Change::UpdateAccessKey {
            path: format!(
                "{STRONG}/access_key/{}",
                random.pick(&[OLD_KEY, DISABLED_KEY])
            ),
            status: Some(random.pick(&[KeyStatus::Active, KeyStatus::Disabled])),
            description: None,
            expires_at: None,
        },
        26 => Change::DeleteAccessKey {
            path: format!(
                "{STRONG}/access_key/{}",
                random.pick(&[OLD_KEY, DISABLED_KEY])
            ),
        },
        27 => Change::CreateDatabase {
            organisation: organisation(random),
            id,
            name: None,
            description: None,
            backend: backend(random, n),
        },
        28 => Change::SetBackend {
            path: database(random),
            backend: backend(random, n),
        },
        29 => Change::SetAdministration {
            path: database(random),
            on: random.one_in(2),
        },
        30 => Change::UpdateDatabase {
            path: database(random),
            name: Some(name(random)),
            description: None,
        },
        31 => Change::DeleteDatabase {
            path: database(random),
        },
        32 => {
            let mut change = trust(
                &id,
                &identity(random),
                &identity(random),
                None,
                conditions(random),
            );
            if let Change::CreateTrust {
                policies: of,
                expires_at,
                kind,
                ..
            } = &mut change
            {
                *of = policies(random);
                *expires_at = random.one_in(5).then_some(UnixMillis(NOW.0 + 1));
                *kind = random.one_in(5).then_some(TrustKind::Standing);
            }
            change
        }
        33 => {
            let some = random.one_in(2).then(|| policies(random));
            Change::UpdateTrust {
                path: a_trust(random, n),
                policies: some,
                expires_at: random.one_in(3).then_some(None),
                conditions: random.one_in(3).then(|| conditions(random)),
            }
        }
        34 => Change::AcceptTrust {
            path: a_trust(random, n),
        },
        35 => Change::DeleteTrust {
            path: a_trust(random, n),
        },
        36 => {
            let powers = random.one_in(2);
            Change::PutResourcePolicy {
                path: thing(random),
                document: resource_policy(random, powers).into(),
            }
        }
        37 => Change::DeleteResourcePolicy {
            path: thing(random),
        },
        38 => Change::PutBoundary {
            identity: identity(random),
            policies: match random.one_in(2) {
                true => vec![PolicyInput::Named("limit".into())],
                false => vec![PolicyInput::Document(limit(random))],
            },
        },
        39 => Change::DeleteBoundary {
            identity: identity(random),
        },
        40 => Change::PutGuardrails {
            organisation: format!("org/{}", organisation(random)),
            policies: match random.one_in(2) {
                true => Vec::new(),
                false => vec![PolicyInput::Document(limit(random))],
            },
        },
        41 => Change::SetVendorAliases {
            organisation: format!("org/{}", organisation(random)),
            aliases: aliases(random),
        },
        42 => Change::TransferOwnership {
            organisation: format!("org/{}", organisation(random)),
            owner: random.pick(&[ANN, MALLORY]).into(),
        },
        43 => Change::CreatePolicy {
            organisation: organisation(random),
            id,
            name: name(random),
            document: document(random).into(),
        },
        44 => Change::UpdatePolicy {
            path: policy(random),
            document: document(random).into(),
            make_default: random.one_in(2),
        },
        45 => Change::SetDefaultPolicyVersion {
            path: policy(random),
            version: 1 + random.below(3) as u32,
        },
        46 => Change::DeletePolicyVersion {
            path: policy(random),
            version: 1 + random.below(3) as u32,
        },
        47 => Change::AttachPolicy {
            trust: a_trust(random, n),
            policy: random.pick(&["shared", "KvdbReadOnly"]).into(),
        },
        48 => Change::DetachPolicy {
            trust: a_trust(random, n),
            policy: random.pick(&["shared", "KvdbReadOnly"]).into(),
        },
        49 => Change::CreateSnapshot {
            database: database(random),
            id,
            description: None,
        },
        50 => Change::EndSnapshot {
            path: snapshot(random, n),
            state: SnapshotState::Failed { reason: "x".into() },
        },
        51 => Change::UpdateSnapshot {
            path: snapshot(random, n),
            description: None,
        },
        52 => Change::RestoreSnapshot {
            path: snapshot(random, n),
            target: database(random),
            existing: random.pick(&Existing::ALL),
        },
        53 => Change::EndRestore {
            path: snapshot(random, n),
            state: RestoreState::Failed { reason: "x".into() },
        },
        54 => Change::DeleteSnapshot {
            path: snapshot(random, n),
        },
        _ => Change::DeletePolicy {
            path: policy(random),
        },
    }
}

fn a_provider(random: &mut Random) -> Box<keyward_iam::Provider> {
    match random.below(4) {
        0 => provider(&[]),
        1 => provider(&[random.pick(&["role/x", "role/y", "org/acme/role/x"])]),
        2 => authority(&[]),
        _ => authority(&[random.pick(&[P, "programmatic_identity/strong", CLERK])]),
    }
}

fn backend(random: &mut Random, n: usize) -> Backend {
    match random.one_in(2) {
        true => Backend::Embedded,
        false => Backend::of_operator(format!("10.0.0.1:{}", 6000 + n), None),
    }
}

fn aliases(random: &mut Random) -> keyward_iam::VendorAliases {
    let account = random.pick(&["000000000001", "000000000002", "123456789012"]);
    keyward_iam::VendorAliases {
        aws: keyward_iam::AwsAlias {
            account: Some(account.into()),
            ..Default::default()
        },
        ..Default::default()
    }
}
