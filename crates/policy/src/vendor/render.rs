//! What the vendors call a native action on a resource path.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use keyward_commands::{ActionBits, ActionId, CONNECT};

use super::action::fold;
use super::place::{DatabaseKind, VendorPlace};
use crate::Dialect;

/// A request in a vendor's terms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VendorRequest {
    /// The vendor's name of the action.
    pub action: String,
    /// The vendor's name of the resource; `*` for a call that is on none.
    pub resource: String,
}

/// What a call is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// The resource itself.
    Itself,
    /// Every thing of this type: what makes or lists some.
    Every(&'static str),
    /// Nothing: only `*` speaks of it.
    Nothing,
}

/// The vendor's calls for a native action on a type of resource.
struct Row {
    action: &'static str,
    /// The type that it is asked on, if others have calls of their own.
    of: Option<&'static str>,
    on: On,
    aws: &'static [&'static str],
    tencent: &'static [&'static str],
    alibaba: &'static [&'static str],
}

const fn row(
    action: &'static str,
    on: On,
    aws: &'static [&'static str],
    tencent: &'static [&'static str],
    alibaba: &'static [&'static str],
) -> Row {
    Row {
        action,
        of: None,
        on,
        aws,
        tencent,
        alibaba,
    }
}

const fn of(
    kind: &'static str,
    action: &'static str,
    on: On,
    aws: &'static [&'static str],
    tencent: &'static [&'static str],
    alibaba: &'static [&'static str],
) -> Row {
    Row {
        of: Some(kind),
        ..row(action, on, aws, tencent, alibaba)
    }
}

/// The control plane. An empty list: the vendor has no such call, and the action keeps its name,
/// as every action does that is not here. Where several stand in a list the operation is all of
/// them. `ReplicationGroup` stands for the kind of the database.
const ROWS: &[Row] = {
    use On::{Every, Itself, Nothing};
    const IDENTITY: On = Every("programmatic_identity");
    &[
        row(
            "kvdb:List",
            Every("kvdb"),
            &["elasticache:DescribeReplicationGroups"],
            &["redis:DescribeInstances"],
            &["kvstore:DescribeInstances"],
        ),
        row(
            "kvdb:Create",
            Every("kvdb"),
            &["elasticache:CreateReplicationGroup"],
            &["redis:CreateInstances"],
            &["kvstore:CreateInstance"],
        ),
        row(
            "kvdb:Describe",
            Itself,
            &["elasticache:DescribeReplicationGroups"],
            &["redis:DescribeInstances", "redis:DescribeInstanceNodeInfo"],
            &["kvstore:DescribeInstanceAttribute"],
        ),
        row(
            "kvdb:Update",
            Itself,
            &["elasticache:ModifyReplicationGroup"],
            &[
                "redis:ModifyInstance",
                "redis:ModifyInstanceParams",
                "redis:UpgradeInstance",
            ],
            &[
                "kvstore:ModifyInstanceAttribute",
                "kvstore:ModifyInstanceSpec",
                "kvstore:ModifyInstanceConfig",
            ],
        ),
        row(
            "kvdb:Delete",
            Itself,
            &["elasticache:DeleteReplicationGroup"],
            &["redis:DestroyPostpaidInstance"],
            &["kvstore:DeleteInstance"],
        ),
        row(
            "kvdb:CreateSnapshot",
            Itself,
            &["elasticache:CreateSnapshot"],
            &["redis:ManualBackupInstance"],
            &["kvstore:CreateBackup"],
        ),
        row(
            "kvdb:RestoreSnapshot",
            Itself,
            &["elasticache:CreateReplicationGroup"],
            &["redis:RestoreInstance"],
            &["kvstore:RestoreInstance"],
        ),
        row(
            "kvdb:DescribeSnapshot",
            Itself,
            &["elasticache:DescribeSnapshots"],
            &["redis:DescribeInstanceBackups"],
            &["kvstore:DescribeBackups"],
        ),
        row(
            "kvdb:ListSnapshot",
            Itself,
            &["elasticache:DescribeSnapshots"],
            &["redis:DescribeInstanceBackups"],
            &["kvstore:DescribeBackups"],
        ),
        row(
            "kvdb:DeleteSnapshot",
            Itself,
            &["elasticache:DeleteSnapshot"],
            &[],
            &["kvstore:DeleteBackup"],
        ),
        row(
            "iam:TagDatabase",
            Itself,
            &["elasticache:AddTagsToResource"],
            &[],
            &["kvstore:TagResources"],
        ),
        row(
            "iam:ListProgrammaticIdentity",
            Nothing,
            &["iam:ListUsers"],
            &["cam:ListUsers"],
            &["ram:ListUsers"],
        ),
        row(
            "iam:CreateProgrammaticIdentity",
            IDENTITY,
            &["iam:CreateUser"],
            &["cam:AddUser"],
            &["ram:CreateUser"],
        ),
        row(
            "iam:DescribeProgrammaticIdentity",
            Itself,
            &["iam:GetUser"],
            &["cam:GetUser"],
            &["ram:GetUser"],
        ),
        row(
            "iam:UpdateProgrammaticIdentity",
            Itself,
            &["iam:UpdateUser"],
            &["cam:UpdateUser"],
            &["ram:UpdateUser"],
        ),
        row(
            "iam:DeleteProgrammaticIdentity",
            Itself,
            &["iam:DeleteUser"],
            &["cam:DeleteUser"],
            &["ram:DeleteUser"],
        ),
        row(
            "iam:TagProgrammaticIdentity",
            Itself,
            &["iam:TagUser"],
            &[],
            &["ram:TagResources"],
        ),
        row(
            "iam:ListAccessKey",
            Itself,
            &["iam:ListAccessKeys"],
            &["cam:ListAccessKeys"],
            &["ram:ListAccessKeys"],
        ),
        row(
            "iam:CreateAccessKey",
            Itself,
            &["iam:CreateAccessKey"],
            &["cam:CreateAccessKey"],
            &["ram:CreateAccessKey"],
        ),
        row(
            "iam:DescribeAccessKey",
            Itself,
            &["iam:ListAccessKeys"],
            &["cam:ListAccessKeys"],
            &["ram:ListAccessKeys"],
        ),
        row(
            "iam:UpdateAccessKey",
            Itself,
            &["iam:UpdateAccessKey"],
            &["cam:UpdateAccessKey"],
            &["ram:UpdateAccessKey"],
        ),
        row(
            "iam:DeleteAccessKey",
            Itself,
            &["iam:DeleteAccessKey"],
            &["cam:DeleteAccessKey"],
            &["ram:DeleteAccessKey"],
        ),
        row(
            "iam:ListGroup",
            Nothing,
            &["iam:ListGroups"],
            &["cam:ListGroups"],
            &["ram:ListGroups"],
        ),
        row(
            "iam:CreateGroup",
            Every("group"),
            &["iam:CreateGroup"],
            &["cam:CreateGroup"],
            &["ram:CreateGroup"],
        ),
        row(
            "iam:DescribeGroup",
            Itself,
            &["iam:GetGroup"],
            &["cam:GetGroup"],
            &["ram:GetGroup"],
        ),
        row(
            "iam:UpdateGroup",
            Itself,
            &["iam:UpdateGroup"],
            &["cam:UpdateGroup"],
            &["ram:UpdateGroup"],
        ),
        row(
            "iam:DeleteGroup",
            Itself,
            &["iam:DeleteGroup"],
            &["cam:DeleteGroup"],
            &["ram:DeleteGroup"],
        ),
        row(
            "iam:ListRole",
            Nothing,
            &["iam:ListRoles"],
            &["cam:DescribeRoleList"],
            &["ram:ListRoles"],
        ),
        row(
            "iam:CreateRole",
            Every("role"),
            &["iam:CreateRole"],
            &["cam:CreateRole"],
            &["ram:CreateRole"],
        ),
        row(
            "iam:DescribeRole",
            Itself,
            &["iam:GetRole"],
            &["cam:GetRole"],
            &["ram:GetRole"],
        ),
        row(
            "iam:UpdateRole",
            Itself,
            &["iam:UpdateRole"],
            &["cam:UpdateRoleSessionDuration"],
            &["ram:UpdateRole"],
        ),
        row(
            "iam:DeleteRole",
            Itself,
            &["iam:DeleteRole"],
            &["cam:DeleteRole"],
            &["ram:DeleteRole"],
        ),
        row(
            "iam:TagRole",
            Itself,
            &["iam:TagRole"],
            &[],
            &["ram:TagResources"],
        ),
        row(
            "iam:ListPolicy",
            Nothing,
            &["iam:ListPolicies"],
            &["cam:ListPolicies"],
            &["ram:ListPolicies"],
        ),
        row(
            "iam:CreatePolicy",
            Every("policy"),
            &["iam:CreatePolicy"],
            &["cam:CreatePolicy"],
            &["ram:CreatePolicy"],
        ),
        row(
            "iam:DescribePolicy",
            Itself,
            &["iam:GetPolicy"],
            &["cam:GetPolicy"],
            &["ram:GetPolicy"],
        ),
        row(
            "iam:UpdatePolicy",
            Itself,
            &["iam:CreatePolicyVersion"],
            &["cam:UpdatePolicy"],
            &["ram:CreatePolicyVersion"],
        ),
        row(
            "iam:DeletePolicy",
            Itself,
            &["iam:DeletePolicy"],
            &["cam:DeletePolicy"],
            &["ram:DeletePolicy"],
        ),
        row(
            "iam:SetDefaultPolicyVersion",
            Itself,
            &["iam:SetDefaultPolicyVersion"],
            &["cam:SetDefaultPolicyVersion"],
            &["ram:SetDefaultPolicyVersion"],
        ),
        row(
            "iam:ListIdentityProvider",
            Nothing,
            &["iam:ListOpenIDConnectProviders"],
            &[],
            &[],
        ),
        row(
            "iam:CreateIdentityProvider",
            Every("identity_provider"),
            &["iam:CreateOpenIDConnectProvider"],
            &["cam:CreateOIDCConfig"],
            &[],
        ),
        row(
            "iam:DescribeIdentityProvider",
            Itself,
            &["iam:GetOpenIDConnectProvider"],
            &[],
            &[],
        ),
        row(
            "iam:DeleteIdentityProvider",
            Itself,
            &["iam:DeleteOpenIDConnectProvider"],
            &[],
            &[],
        ),
        row(
            "iam:Simulate",
            Itself,
            &["iam:SimulatePrincipalPolicy"],
            &[],
            &[],
        ),
        of(
            "programmatic_identity",
            "iam:PutPermissionBoundary",
            Itself,
            &["iam:PutUserPermissionsBoundary"],
            &["cam:PutUserPermissionsBoundary"],
            &[],
        ),
        of(
            "programmatic_identity",
            "iam:DeletePermissionBoundary",
            Itself,
            &["iam:DeleteUserPermissionsBoundary"],
            &["cam:DeleteUserPermissionsBoundary"],
            &[],
        ),
        of(
            "org_user",
            "iam:PutPermissionBoundary",
            Itself,
            &["iam:PutUserPermissionsBoundary"],
            &["cam:PutUserPermissionsBoundary"],
            &[],
        ),
        of(
            "org_user",
            "iam:DeletePermissionBoundary",
            Itself,
            &["iam:DeleteUserPermissionsBoundary"],
            &["cam:DeleteUserPermissionsBoundary"],
            &[],
        ),
        of(
            "role",
            "iam:PutPermissionBoundary",
            Itself,
            &["iam:PutRolePermissionsBoundary"],
            &["cam:PutRolePermissionsBoundary"],
            &[],
        ),
        of(
            "role",
            "iam:DeletePermissionBoundary",
            Itself,
            &["iam:DeleteRolePermissionsBoundary"],
            &["cam:DeleteRolePermissionsBoundary"],
            &[],
        ),
        // A trust of an organisation is what an attached policy is there, one of a group a
        // membership, one of a role its trust document.
        of(
            "org",
            "iam:CreateTrust",
            IDENTITY,
            &["iam:AttachUserPolicy", "iam:PutUserPolicy"],
            &["cam:AttachUserPolicy"],
            &["ram:AttachPolicyToUser"],
        ),
        of(
            "org",
            "iam:UpdateTrust",
            IDENTITY,
            &["iam:AttachUserPolicy", "iam:PutUserPolicy"],
            &["cam:AttachUserPolicy"],
            &["ram:AttachPolicyToUser"],
        ),
        of(
            "org",
            "iam:DeleteTrust",
            IDENTITY,
            &["iam:DetachUserPolicy", "iam:DeleteUserPolicy"],
            &["cam:DetachUserPolicy"],
            &["ram:DetachPolicyFromUser"],
        ),
        of(
            "org",
            "iam:ListTrust",
            IDENTITY,
            &["iam:ListAttachedUserPolicies", "iam:ListUserPolicies"],
            &["cam:ListAttachedUserPolicies"],
            &["ram:ListPoliciesForUser"],
        ),
        of(
            "org",
            "iam:DescribeTrust",
            IDENTITY,
            &["iam:ListAttachedUserPolicies", "iam:ListUserPolicies"],
            &["cam:ListAttachedUserPolicies"],
            &["ram:ListPoliciesForUser"],
        ),
        of(
            "group",
            "iam:CreateTrust",
            Itself,
            &["iam:AddUserToGroup"],
            &["cam:AddUserToGroup"],
            &["ram:AddUserToGroup"],
        ),
        of(
            "group",
            "iam:UpdateTrust",
            Itself,
            &["iam:AddUserToGroup"],
            &["cam:AddUserToGroup"],
            &["ram:AddUserToGroup"],
        ),
        of(
            "group",
            "iam:DeleteTrust",
            Itself,
            &["iam:RemoveUserFromGroup"],
            &["cam:RemoveUserFromGroup"],
            &["ram:RemoveUserFromGroup"],
        ),
        of(
            "group",
            "iam:ListTrust",
            Itself,
            &["iam:GetGroup"],
            &["cam:GetGroup"],
            &["ram:GetGroup"],
        ),
        of(
            "group",
            "iam:DescribeTrust",
            Itself,
            &["iam:GetGroup"],
            &["cam:GetGroup"],
            &["ram:GetGroup"],
        ),
        of(
            "role",
            "iam:CreateTrust",
            Itself,
            &["iam:UpdateAssumeRolePolicy"],
            &["cam:UpdateAssumeRolePolicy"],
            &["ram:UpdateRole"],
        ),
        of(
            "role",
            "iam:UpdateTrust",
            Itself,
            &["iam:UpdateAssumeRolePolicy"],
            &["cam:UpdateAssumeRolePolicy"],
            &["ram:UpdateRole"],
        ),
        of(
            "role",
            "iam:DeleteTrust",
            Itself,
            &["iam:UpdateAssumeRolePolicy"],
            &["cam:UpdateAssumeRolePolicy"],
            &["ram:UpdateRole"],
        ),
        of(
            "role",
            "iam:ListTrust",
            Itself,
            &["iam:GetRole"],
            &["cam:GetRole"],
            &["ram:GetRole"],
        ),
        of(
            "role",
            "iam:DescribeTrust",
            Itself,
            &["iam:GetRole"],
            &["cam:GetRole"],
            &["ram:GetRole"],
        ),
        row(
            "sts:AssumeRole",
            Itself,
            &["sts:AssumeRole"],
            &["sts:AssumeRole"],
            &["sts:AssumeRole"],
        ),
        // Tencent and Alibaba have one name for it, whoever spoke for the caller.
        row(
            "sts:AssumeRoleWithWebIdentity",
            Itself,
            &["sts:AssumeRoleWithWebIdentity"],
            &["sts:AssumeRole"],
            &["sts:AssumeRole"],
        ),
        row(
            "sts:GetSessionToken",
            Nothing,
            &["sts:GetSessionToken"],
            &["sts:GetSessionToken"],
            &[],
        ),
        row(
            "sts:GetCallerIdentity",
            Nothing,
            &["sts:GetCallerIdentity"],
            &["sts:GetCallerIdentity"],
            &["sts:GetCallerIdentity"],
        ),
    ]
};

/// Further names by which the vendors' clients ask for a native action.
const OTHER_NAMES: &[(Dialect, &str, &str)] = &[
    (
        Dialect::Tencent,
        "redis:DestroyPrepaidInstance",
        "kvdb:Delete",
    ),
    (
        Dialect::Tencent,
        "redis:ClearInstance",
        "kvdb:ExecuteFlushall",
    ),
    (
        Dialect::Alibaba,
        "kvstore:FlushInstance",
        "kvdb:ExecuteFlushall",
    ),
    (
        Dialect::Alibaba,
        "kvstore:CreateTairInstance",
        "kvdb:Create",
    ),
];

impl Row {
    fn calls(&self, dialect: Dialect) -> &'static [&'static str] {
        match dialect {
            Dialect::Tencent => self.tencent,
            Dialect::Alibaba => self.alibaba,
            _ => self.aws,
        }
    }
}

/// All requests that a native action on a resource path is to a vendor: the operation is allowed
/// if all are, and denied if any is.
///
/// Commands keep their names. What the vendor has no call for keeps its name, too, so that `*`
/// speaks of it.
pub fn render(
    dialect: Dialect,
    action: ActionId,
    resource_path: &str,
    place: &VendorPlace,
) -> Vec<VendorRequest> {
    let itself = || place.resource(dialect, resource_path);
    let request = |action: String, resource: String| VendorRequest { action, resource };
    if action == CONNECT && dialect == Dialect::Aws {
        let connect = |resource| request("elasticache:Connect".to_owned(), resource);
        return vec![connect(itself()), connect(place.cache_user())];
    }
    let row = match action.is_execute() {
        true => None,
        false => row_of(action.name(), type_of(resource_path)),
    };
    let Some(row) = row.filter(|row| !row.calls(dialect).is_empty()) else {
        return vec![request(action.name().to_owned(), itself())];
    };
    let resource = match row.on {
        On::Itself => itself(),
        On::Every(of) => place.every(dialect, of),
        On::Nothing => "*".to_owned(),
    };
    let of_kind = |name: &&str| request(of_kind(dialect, place.kind, name), resource.clone());
    row.calls(dialect).iter().map(of_kind).collect()
}

/// What an action is to a vendor, whatever it is asked on.
pub(crate) enum Rendering {
    /// Its own name, on the resource itself.
    Own,
    /// These calls on the resource itself.
    Calls(&'static [&'static str]),
    /// These calls on this, when it is asked on an organisation.
    OfOrganisation(&'static [&'static str], String),
    /// It depends on what it is asked on.
    Varied,
}

/// See [`Rendering`]; connecting is not among what it tells.
pub(crate) fn rendering(dialect: Dialect, action: ActionId, place: &VendorPlace) -> Rendering {
    let mut rows = ROWS.iter().filter(|row| row.action == action.name());
    let Some(row) = rows.next() else {
        return Rendering::Own;
    };
    let calls = row.calls(dialect);
    match row.on {
        _ if row.of.is_some() => Rendering::Varied,
        _ if calls.is_empty() => Rendering::Own,
        On::Itself => Rendering::Calls(calls),
        On::Every(of) => Rendering::OfOrganisation(calls, place.every(dialect, of)),
        On::Nothing => Rendering::OfOrganisation(calls, "*".to_owned()),
    }
}

/// Whether an action is asked on an organisation: what makes or lists some of its things.
pub(crate) fn is_of_organisation(action: ActionId) -> bool {
    static BITS: LazyLock<ActionBits> = LazyLock::new(|| {
        let of = |action: &ActionId| {
            let of =
                |row: &Row| row.action == action.name() && row.of.is_none() && row.on != On::Itself;
            ROWS.iter().any(of)
        };
        ActionId::all().filter(of).collect()
    });
    BITS.contains(action)
}

fn row_of(action: &str, kind: &str) -> Option<&'static Row> {
    ROWS.iter()
        .find(|row| row.action == action && row.of.is_none_or(|of| of == kind))
}

/// The type of the thing at a full path; of an organisation `org`.
fn type_of(path: &str) -> &str {
    let mut segments = path.split('/');
    match (segments.next(), segments.next(), segments.next()) {
        (Some("org"), Some(_), Some(kind)) => kind,
        (Some(kind), ..) => kind,
        _ => "",
    }
}

/// A call's name for databases of a kind.
fn of_kind(dialect: Dialect, kind: DatabaseKind, name: &str) -> String {
    if dialect != Dialect::Aws || kind == DatabaseKind::ReplicationGroup {
        return name.to_owned();
    }
    let name = name.replace("ReplicationGroup", kind.call_word());
    if kind == DatabaseKind::ServerlessCache && name.starts_with("elasticache:") {
        return name.replace("Snapshot", "ServerlessCacheSnapshot");
    }
    name
}

/// Every name that a native action is rendered to, folded, with the actions that it stands for.
pub(super) fn rendered_names(dialect: Dialect) -> &'static BTreeMap<String, ActionBits> {
    static NAMES: [OnceLock<BTreeMap<String, ActionBits>>; 3] = [const { OnceLock::new() }; 3];
    let at = match dialect {
        Dialect::Tencent => 1,
        Dialect::Alibaba => 2,
        _ => 0,
    };
    NAMES[at].get_or_init(|| {
        let mut names: BTreeMap<String, ActionBits> = BTreeMap::new();
        let mut add = |name: &str, action: ActionId| {
            let folded = fold(dialect, name).into_owned();
            names
                .entry(folded)
                .or_insert(ActionBits::EMPTY)
                .insert(action);
        };
        for action in ActionId::all() {
            if action == CONNECT && dialect == Dialect::Aws {
                add("elasticache:Connect", action);
                continue;
            }
            // Asked on a type that has no row, or whose row is empty, it keeps its name.
            let rows = || ROWS.iter().filter(|row| row.action == action.name());
            let always = rows().any(|row| row.of.is_none() && !row.calls(dialect).is_empty());
            if !always {
                add(action.name(), action);
            }
            for row in rows() {
                for name in row.calls(dialect) {
                    for kind in DatabaseKind::ALL {
                        add(&of_kind(dialect, kind, name), action);
                    }
                }
            }
        }
        names
    })
}

/// The catalogue's actions that a vendor's action name stands for, as in calls by that name; empty
/// if Keyward has nothing like it.
pub fn actions_of_name(dialect: Dialect, name: &str) -> ActionBits {
    let folded = fold(dialect, name);
    let mut bits = rendered_names(dialect)
        .get(&*folded)
        .cloned()
        .unwrap_or(ActionBits::EMPTY);
    for (of, other, native) in OTHER_NAMES {
        if *of == dialect
            && fold(dialect, other) == folded
            && let Some(action) = keyward_commands::action(native)
        {
            bits.insert(action);
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> ActionId {
        keyward_commands::action(name).unwrap_or_else(|| panic!("{name}"))
    }

    #[test]
    fn every_row_is_of_an_action() {
        for row in ROWS {
            named(row.action);
        }
        for (_, _, native) in OTHER_NAMES {
            named(native);
        }
    }

    #[test]
    fn rendered() {
        use Dialect::{Alibaba, Aws, Tencent};
        let cases: &[(Dialect, &str, &str, &[&str])] = &[
            (
                Aws,
                "kvdb:ExecuteGet",
                "org/acme/kvdb/x",
                &["kvdb:ExecuteGet arn:aws:elasticache:us-east-1:123456789012:replicationgroup:x"],
            ),
            (
                Aws,
                "kvdb:Connect",
                "org/acme/kvdb/x",
                &[
                    "elasticache:Connect arn:aws:elasticache:us-east-1:123456789012:replicationgroup:x",
                    "elasticache:Connect arn:aws:elasticache:us-east-1:123456789012:user:ci",
                ],
            ),
            (
                Aws,
                "kvdb:List",
                "org/acme",
                &[
                    "elasticache:DescribeReplicationGroups arn:aws:elasticache:us-east-1:123456789012:replicationgroup:*",
                ],
            ),
            (
                Aws,
                "kvdb:SetBackend",
                "org/acme/kvdb/x",
                &["kvdb:SetBackend arn:aws:elasticache:us-east-1:123456789012:replicationgroup:x"],
            ),
            (
                Aws,
                "iam:CreateTrust",
                "org/acme/group/g",
                &["iam:AddUserToGroup arn:aws:iam::123456789012:group/g"],
            ),
            (
                Aws,
                "iam:CreateTrust",
                "org/acme",
                &[
                    "iam:AttachUserPolicy arn:aws:iam::123456789012:user/*",
                    "iam:PutUserPolicy arn:aws:iam::123456789012:user/*",
                ],
            ),
            (
                Aws,
                "iam:CreateTrust",
                "org/acme/programmatic_identity/x",
                &["iam:CreateTrust arn:aws:iam::123456789012:user/x"],
            ),
            (
                Aws,
                "sts:AssumeRole",
                "org/acme/role/r",
                &["sts:AssumeRole arn:aws:iam::123456789012:role/r"],
            ),
            (
                Tencent,
                "kvdb:Connect",
                "org/acme/kvdb/x",
                &["kvdb:Connect qcs::redis:ap-guangzhou:uin/123456789012:instance/x"],
            ),
            (
                Tencent,
                "kvdb:Describe",
                "org/acme/kvdb/x",
                &[
                    "redis:DescribeInstances qcs::redis:ap-guangzhou:uin/123456789012:instance/x",
                    "redis:DescribeInstanceNodeInfo qcs::redis:ap-guangzhou:uin/123456789012:instance/x",
                ],
            ),
            (
                Tencent,
                "sts:AssumeRole",
                "org/acme/role/r",
                &["sts:AssumeRole qcs::cam::uin/123456789012:roleName/r"],
            ),
            (
                Alibaba,
                "kvdb:Delete",
                "org/acme/kvdb/x",
                &["kvstore:DeleteInstance acs:kvstore:cn-hangzhou:123456789012:instance/x"],
            ),
            (
                Alibaba,
                "iam:ListProgrammaticIdentity",
                "org/acme",
                &["ram:ListUsers *"],
            ),
        ];
        for (dialect, action, path, expected) in cases {
            let place = VendorPlace::new(*dialect, "123456789012", "ci");
            let found: Vec<_> = render(*dialect, named(action), path, &place)
                .into_iter()
                .map(|request| format!("{} {}", request.action, request.resource))
                .collect();
            assert_eq!(found, *expected, "{dialect} {action} {path}");
        }
        let mut place = VendorPlace::new(Aws, "1", "ci");
        place.kind = DatabaseKind::ServerlessCache;
        let found = render(Aws, named("kvdb:Update"), "org/acme/kvdb/x", &place);
        assert_eq!(found[0].action, "elasticache:ModifyServerlessCache");
        assert_eq!(
            found[0].resource,
            "arn:aws:elasticache:us-east-1:1:serverlesscache:x"
        );
    }

    #[test]
    fn names_stand_for_actions() {
        let cases: &[(Dialect, &str, &[&str])] = &[
            (
                Dialect::Aws,
                "elasticache:DescribeCacheClusters",
                &["kvdb:List", "kvdb:Describe"],
            ),
            (
                Dialect::Aws,
                "ElastiCache:describeserverlesscaches",
                &["kvdb:List", "kvdb:Describe"],
            ),
            (Dialect::Aws, "elasticache:Connect", &["kvdb:Connect"]),
            (Dialect::Aws, "s3:GetObject", &[]),
            (
                Dialect::Tencent,
                "name/redis:ClearInstance",
                &["kvdb:ExecuteFlushall"],
            ),
            (
                Dialect::Tencent,
                "redis:DescribeInstances",
                &["kvdb:List", "kvdb:Describe"],
            ),
            (
                Dialect::Alibaba,
                "kvstore:DescribeInstances",
                &["kvdb:List"],
            ),
            (
                Dialect::Alibaba,
                "kvstore:FlushInstance",
                &["kvdb:ExecuteFlushall"],
            ),
        ];
        for (dialect, name, expected) in cases {
            let found: Vec<&str> = actions_of_name(*dialect, name)
                .iter()
                .map(ActionId::name)
                .collect();
            let mut expected = expected.to_vec();
            expected.sort_by_key(|name| named(name).index());
            assert_eq!(found, expected, "{name}");
        }
    }
}
