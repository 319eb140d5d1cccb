//! What the vendors call a native action on a resource path.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use keyward_commands::{ActionBits, ActionId, CONNECT};

mod rows;

use rows::{OTHER_NAMES, On, ROWS, Row};

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
