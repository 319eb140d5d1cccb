//! The table of what the vendors call the control plane.

use crate::Dialect;

/// What a call is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// The resource itself.
    Itself,
    /// Every thing of this type: what makes or lists some.
    Every(&'static str),
    /// Nothing: only `*` speaks of it.
    Nothing,
}

/// The vendor's calls for a native action on a type of resource.
pub(super) struct Row {
    pub(super) action: &'static str,
    /// The type that it is asked on, if others have calls of their own.
    pub(super) of: Option<&'static str>,
    pub(super) on: On,
    pub(super) aws: &'static [&'static str],
    pub(super) tencent: &'static [&'static str],
    pub(super) alibaba: &'static [&'static str],
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
pub(super) const ROWS: &[Row] = {
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
pub(super) const OTHER_NAMES: &[(Dialect, &str, &str)] = &[
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
    /// The calls of one vendor.
    pub(super) fn calls(&self, dialect: Dialect) -> &'static [&'static str] {
        match dialect {
            Dialect::Tencent => self.tencent,
            Dialect::Alibaba => self.alibaba,
            _ => self.aws,
        }
    }
}
