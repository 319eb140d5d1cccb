//! On which types of resources each action is decided.

use std::sync::LazyLock;

use keyward_commands::{ActionBits, ActionId};

use crate::ResourcePattern;

/// A set of types of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Types(u16);

const NAMES: [&str; 12] = [
    "kvdb",
    "snapshot",
    "programmatic_identity",
    "access_key",
    "org_user",
    "group",
    "role",
    "policy",
    "identity_provider",
    "trust",
    "user",
    "org",
];

impl Types {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const ALL: Self = Self((1 << NAMES.len()) - 1);

    /// Of names that are known.
    fn of(names: &[&str]) -> Self {
        let bit = |name: &&str| NAMES.iter().position(|known| known == name);
        let bits = names.iter().filter_map(bit);
        Self(bits.fold(0, |all, bit| all | 1 << bit))
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The types that lie under a pattern.
    pub(crate) fn under(pattern: &ResourcePattern) -> Self {
        let full = pattern.full();
        let segments: Vec<&str> = full.split('/').collect();
        match segments[..] {
            ["org", "**"] | ["org", _, "**"] => Self::ALL,
            ["org", _] => Self::of(&["org"]),
            ["org", _, kind, ref rest @ ..] | [kind, ref rest @ ..] => match rest {
                [_, below, ..] if *below != "**" => Self::of(&[below]),
                _ => Self::of(match kind {
                    "kvdb" => &["kvdb", "snapshot"],
                    "programmatic_identity" => &["programmatic_identity", "access_key"],
                    _ => return Self::of(&[kind]),
                }),
            },
            [] => Self::NONE,
        }
    }

    /// For messages: `kvdb/<id>` or `org/<id>`.
    pub(crate) fn describe(self) -> String {
        let names = NAMES.iter().enumerate();
        let named = names.filter(|(bit, _)| self.0 & 1 << bit != 0);
        let shown: Vec<String> = named
            .map(|(_, name)| match *name {
                "snapshot" => "`kvdb/<id>/snapshot/<id>`".to_owned(),
                "access_key" => "`programmatic_identity/<id>/access_key/<id>`".to_owned(),
                name => format!("`{name}/<id>`"),
            })
            .collect();
        match shown.split_last() {
            None => "nothing".to_owned(),
            Some((last, [])) => last.clone(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        }
    }
}

const IDENTITIES: &[&str] = &[
    "org",
    "programmatic_identity",
    "org_user",
    "group",
    "role",
    "user",
];

/// The types of resources that an action is decided on.
pub(crate) fn decided_on(action: ActionId) -> Types {
    static TABLE: LazyLock<Box<[Types]>> = LazyLock::new(|| {
        ActionId::all()
            .map(|action| of_name(action.name()))
            .collect()
    });
    TABLE[action.index()]
}

fn of_name(name: &str) -> Types {
    let of = Types::of;
    match name {
        "kvdb:List" | "kvdb:Create" => of(&["org"]),
        "kvdb:RestoreSnapshot" | "kvdb:ListSnapshot" => of(&["kvdb", "snapshot"]),
        "kvdb:DescribeSnapshot" | "kvdb:DeleteSnapshot" => of(&["snapshot"]),
        "org:Create" => of(&["org", "user"]),
        "iam:AcceptTrust" | "iam:CreateTrust" | "iam:UpdateTrust" | "iam:DeleteTrust" => {
            of(IDENTITIES)
        }
        "iam:ListTrust" | "iam:DescribeTrust" => of(IDENTITIES).union(of(&["trust"])),
        "iam:PutPermissionBoundary" | "iam:DeletePermissionBoundary" | "iam:Simulate" => {
            of(IDENTITIES)
        }
        "iam:CreateAccessKey" | "iam:ListAccessKey" => of(&["programmatic_identity"]),
        "iam:DescribeAccessKey" | "iam:UpdateAccessKey" | "iam:DeleteAccessKey" => {
            of(&["programmatic_identity", "access_key"])
        }
        "iam:SetDefaultPolicyVersion" => of(&["policy"]),
        // On the provider and on everything that it feeds.
        "iam:UpdateIdentityProvider" => of(&[
            "identity_provider",
            "role",
            "group",
            "programmatic_identity",
        ]),
        "iam:GetResourcePolicy" | "iam:PutResourcePolicy" | "iam:DeleteResourcePolicy" => {
            Types::ALL
        }
        "iam:ExplainDecision" => Types::ALL,
        "iam:TagDatabase" => of(&["kvdb"]),
        "sts:AssumeRole" | "sts:AssumeRoleWithWebIdentity" | "sts:TagSession" => of(&["role"]),
        _ => by_parts(name),
    }
}

/// `iam:CreateGroup` on the organisation, `iam:UpdateGroup` on the group.
fn by_parts(name: &str) -> Types {
    let of = Types::of;
    let Some(rest) = name.strip_prefix("iam:") else {
        return match name.split_once(':') {
            Some(("kvdb", _)) => of(&["kvdb"]),
            Some(("org", _)) => of(&["org"]),
            // What is not known is decided on anything: no finding.
            _ => Types::ALL,
        };
    };
    const ENTITIES: [(&str, &str); 7] = [
        ("ProgrammaticIdentity", "programmatic_identity"),
        ("OrgUser", "org_user"),
        ("User", "user"),
        ("Group", "group"),
        ("Role", "role"),
        ("Policy", "policy"),
        ("IdentityProvider", "identity_provider"),
    ];
    for (entity, kind) in ENTITIES {
        match rest.strip_suffix(entity) {
            Some("Create" | "List") => return of(&["org"]),
            Some("Describe" | "Update" | "Delete" | "Tag" | "Untag") => return of(&[kind]),
            _ => {}
        }
    }
    Types::ALL
}

/// The actions that are decided on any of these types.
pub(crate) fn applicable(types: Types) -> ActionBits {
    let fitting = ActionId::all().filter(|action| decided_on(*action).intersects(types));
    fitting.collect()
}

/// Actions by which one becomes, or makes others, more than they are.
///
/// Source: the table in section 3 of the design.
pub(crate) fn hands_out_power() -> &'static ActionBits {
    const NAMES: &[&str] = &[
        "iam:CreateTrust",
        "iam:UpdateTrust",
        "iam:DeleteTrust",
        "iam:SetDefaultPolicyVersion",
        "iam:UpdatePolicy",
        "iam:CreateAccessKey",
        "iam:UpdateAccessKey",
        "iam:UpdateIdentityProvider",
        "iam:CreateIdentityProvider",
        "iam:PutPermissionBoundary",
        "iam:DeletePermissionBoundary",
        "iam:PutResourcePolicy",
        "iam:DeleteResourcePolicy",
        "iam:TagProgrammaticIdentity",
        "iam:TagUser",
        "iam:TagGroup",
        "iam:TagRole",
        "iam:TagDatabase",
        "org:PutGuardrail",
        "org:TransferOwnership",
        "kvdb:SetBackend",
        "kvdb:SetAdministration",
        "kvdb:SetShadowMode",
    ];
    static BITS: LazyLock<ActionBits> = LazyLock::new(|| {
        let known = NAMES
            .iter()
            .filter_map(|name| keyward_commands::action(name));
        known.collect()
    });
    &BITS
}

#[cfg(test)]
mod tests {
    use keyward_commands::action;

    use super::*;

    #[test]
    fn what_decides_on_what() {
        let cases = [
            ("kvdb:ExecuteGet", "kvdb/x", true),
            ("kvdb:ExecuteGet", "org/acme", false),
            ("kvdb:ExecuteGet", "**", true),
            ("kvdb:Create", "kvdb/x", false),
            ("kvdb:Create", "org/acme", true),
            ("iam:CreateAccessKey", "programmatic_identity/*", true),
            ("iam:CreateAccessKey", "kvdb/*", false),
            ("iam:UpdateAccessKey", "programmatic_identity/ci", true),
            ("iam:CreateTrust", "org/acme", true),
            ("iam:CreateTrust", "trust/t", false),
            ("iam:PutResourcePolicy", "kvdb/x", true),
            ("kvdb:DeleteSnapshot", "kvdb/x", true),
            ("kvdb:DeleteSnapshot", "kvdb/x/snapshot/*", true),
            ("kvdb:Describe", "kvdb/x/snapshot/*", false),
            ("sts:AssumeRole", "role/r", true),
            ("iam:CreateGroup", "group/g", false),
            ("iam:UpdateGroup", "group/**", true),
            ("iam:UpdateUser", "user/u", true),
        ];
        for (name, text, expected) in cases {
            let pattern = ResourcePattern::parse(text, "acme").unwrap();
            let found = decided_on(action(name).unwrap()).intersects(Types::under(&pattern));
            assert_eq!(found, expected, "{name} {text}");
        }
        for name in ["iam:CreateTrust", "org:PutGuardrail"] {
            assert!(hands_out_power().contains(action(name).unwrap()));
        }
    }

    #[test]
    fn every_action_is_decided_on_something() {
        for action in ActionId::all() {
            assert!(decided_on(action) != Types::NONE, "{action:?}");
        }
    }
}
