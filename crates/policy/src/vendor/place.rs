//! Where things are, in a vendor's terms: what a resource path is called by each vendor.

use super::resource::long_region;
use crate::Dialect;

/// What kind of thing a database is to AWS, which decides its ARN and the names of its calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DatabaseKind {
    /// A replication group.
    #[default]
    ReplicationGroup,
    /// A serverless cache.
    ServerlessCache,
    /// A cache cluster.
    CacheCluster,
}

impl DatabaseKind {
    /// All kinds.
    pub(super) const ALL: [Self; 3] = [
        Self::ReplicationGroup,
        Self::ServerlessCache,
        Self::CacheCluster,
    ];

    /// The kind with this type in an ARN.
    pub fn by_type(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_word() == word)
    }

    /// The type in an ARN.
    pub fn type_word(self) -> &'static str {
        match self {
            Self::ReplicationGroup => "replicationgroup",
            Self::ServerlessCache => "serverlesscache",
            Self::CacheCluster => "cluster",
        }
    }

    /// The word in the names of calls.
    pub(super) fn call_word(self) -> &'static str {
        match self {
            Self::ReplicationGroup => "ReplicationGroup",
            Self::ServerlessCache => "ServerlessCache",
            Self::CacheCluster => "CacheCluster",
        }
    }
}

/// Where a resource is, in the vendor's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorPlace {
    /// AWS's partition.
    pub partition: String,
    /// Number of the account that the resource belongs to.
    pub account: String,
    /// Region of the database.
    pub region: String,
    /// Kind of the database.
    pub kind: DatabaseKind,
    /// Who connects, as ElastiCache's user: the id of the identity.
    pub user: String,
}

impl VendorPlace {
    /// A place in an account, with what a deployment has that says nothing else: the vendor's first
    /// region, replication groups.
    pub fn new(dialect: Dialect, account: &str, user: &str) -> Self {
        let region = match dialect {
            Dialect::Tencent => "ap-guangzhou",
            Dialect::Alibaba => "cn-hangzhou",
            _ => "us-east-1",
        };
        Self {
            partition: "aws".into(),
            account: account.into(),
            region: region.into(),
            kind: DatabaseKind::default(),
            user: user.into(),
        }
    }

    /// What the vendor calls the resource at a full path. A part of something that the vendor knows
    /// as a whole is the whole: an access key is its identity.
    pub fn resource(&self, dialect: Dialect, path: &str) -> String {
        let segments: Vec<&str> = path.split('/').collect();
        let own = match segments[..] {
            ["org", _, ref rest @ ..] if !rest.is_empty() => rest,
            _ => &segments[..],
        };
        match own {
            ["kvdb", id] => self.database(dialect, id),
            ["kvdb", id, "snapshot", snapshot] if dialect == Dialect::Aws => {
                self.elasticache("snapshot", &format!("{id}/{snapshot}"))
            }
            ["kvdb", id, ..] => self.database(dialect, id),
            ["org", _] => self.identity(dialect, "root", ""),
            ["policy", "system", id] => match dialect {
                Dialect::Aws => format!("arn:{}:iam::aws:policy/{id}", self.partition),
                Dialect::Tencent => format!("qcs::cam::uin/system:policyid/{id}"),
                _ => format!("acs:ram::system:policy/{id}"),
            },
            ["programmatic_identity", id, ..] => self.identity(dialect, "user", id),
            ["org_user", id] => self.identity(dialect, "user", &format!("org_user/{id}")),
            ["user", id] => self.identity(dialect, "user", &format!("user/{id}")),
            ["identity_provider", id] => self.identity(dialect, "oidc-provider", id),
            [kind, id] => self.identity(dialect, kind, id),
            other => self.identity(dialect, "unknown", &other.join("/")),
        }
    }

    /// The vendor's name of every thing of a type, for calls that make or list some.
    pub(super) fn every(&self, dialect: Dialect, of: &str) -> String {
        match of {
            "kvdb" => self.database(dialect, "*"),
            "snapshot" if dialect == Dialect::Aws => self.elasticache("snapshot", "*"),
            "snapshot" => self.database(dialect, "*"),
            "programmatic_identity" => self.identity(dialect, "user", "*"),
            "identity_provider" => self.identity(dialect, "oidc-provider", "*"),
            "org_user" => self.identity(dialect, "user", "org_user/*"),
            "user" => self.identity(dialect, "user", "user/*"),
            kind => self.identity(dialect, kind, "*"),
        }
    }

    /// ElastiCache's user that connects.
    pub(super) fn cache_user(&self) -> String {
        self.elasticache("user", &self.user)
    }

    fn database(&self, dialect: Dialect, id: &str) -> String {
        let Self {
            account, region, ..
        } = self;
        match dialect {
            Dialect::Tencent => {
                let region = long_region(region);
                format!("qcs::redis:{region}:uin/{account}:instance/{id}")
            }
            Dialect::Alibaba => format!("acs:kvstore:{region}:{account}:instance/{id}"),
            _ => self.elasticache(self.kind.type_word(), id),
        }
    }

    fn elasticache(&self, kind: &str, name: &str) -> String {
        let Self {
            partition,
            account,
            region,
            ..
        } = self;
        format!("arn:{partition}:elasticache:{region}:{account}:{kind}:{name}")
    }

    fn identity(&self, dialect: Dialect, kind: &str, name: &str) -> String {
        let Self {
            partition, account, ..
        } = self;
        match dialect {
            Dialect::Tencent => {
                let (kind, name) = match kind {
                    "root" => ("uin", &**account),
                    "user" => ("uin", name),
                    "role" => ("roleName", name),
                    "group" => ("groupid", name),
                    "policy" => ("policyid", name),
                    kind => (kind, name),
                };
                format!("qcs::cam::uin/{account}:{kind}/{name}")
            }
            Dialect::Alibaba if kind == "root" => format!("acs:ram::{account}:root"),
            Dialect::Alibaba => format!("acs:ram::{account}:{kind}/{name}"),
            _ if kind == "root" => format!("arn:{partition}:iam::{account}:root"),
            _ => format!("arn:{partition}:iam::{account}:{kind}/{name}"),
        }
    }
}

/// The account and the path inside its organisation of a vendor's resource, such as `kvdb/prod` of
/// a replication group; `None` for what is nothing of Keyward's, or not one thing.
pub fn path_of_resource(dialect: Dialect, resource: &str) -> Option<(String, String)> {
    let (service, account, rest) = match dialect {
        Dialect::Aws => {
            let parts: Vec<&str> = resource.splitn(6, ':').collect();
            let ["arn", _, service, _, account, rest] = parts[..] else {
                return None;
            };
            (service, account, rest)
        }
        Dialect::Tencent => {
            let parts: Vec<&str> = resource.splitn(6, ':').collect();
            let ["qcs", "", service, _, account, rest] = parts[..] else {
                return None;
            };
            (
                service,
                account.strip_prefix("uin/").unwrap_or(account),
                rest,
            )
        }
        Dialect::Alibaba => {
            let parts: Vec<&str> = resource.splitn(5, ':').collect();
            let ["acs", service, _, account, rest] = parts[..] else {
                return None;
            };
            (service, account, rest)
        }
        Dialect::Native | Dialect::Acl => return None,
    };
    if rest.contains(['*', '?']) {
        return None;
    }
    let separator = if service == "elasticache" { ':' } else { '/' };
    let (kind, name) = rest.split_once(separator)?;
    let path = match (service, kind) {
        ("elasticache", "replicationgroup" | "serverlesscache" | "cluster")
        | ("redis" | "kvstore", "instance" | "instanceId") => format!("kvdb/{name}"),
        ("elasticache", "snapshot") => {
            let (database, snapshot) = name.split_once('/')?;
            format!("kvdb/{database}/snapshot/{snapshot}")
        }
        ("iam" | "ram", "user") | ("cam", "uin") => match name.strip_prefix("org_user/") {
            Some(id) => format!("org_user/{id}"),
            None => format!("programmatic_identity/{name}"),
        },
        ("iam" | "ram", "role" | "group" | "policy") => format!("{kind}/{name}"),
        ("iam" | "ram" | "cam", "oidc-provider") => format!("identity_provider/{name}"),
        ("cam", "roleName") => format!("role/{name}"),
        ("cam", "groupid") => format!("group/{name}"),
        ("cam", "policyid") => format!("policy/{name}"),
        _ => return None,
    };
    Some((account.to_owned(), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let cases = [
            (
                "kvdb/x",
                "arn:aws:elasticache:us-east-1:1:replicationgroup:x",
                "qcs::redis:ap-guangzhou:uin/1:instance/x",
                "acs:kvstore:cn-hangzhou:1:instance/x",
            ),
            (
                "programmatic_identity/ci",
                "arn:aws:iam::1:user/ci",
                "qcs::cam::uin/1:uin/ci",
                "acs:ram::1:user/ci",
            ),
            (
                "org_user/bob",
                "arn:aws:iam::1:user/org_user/bob",
                "qcs::cam::uin/1:uin/org_user/bob",
                "acs:ram::1:user/org_user/bob",
            ),
            (
                "role/ops",
                "arn:aws:iam::1:role/ops",
                "qcs::cam::uin/1:roleName/ops",
                "acs:ram::1:role/ops",
            ),
            (
                "group/ops",
                "arn:aws:iam::1:group/ops",
                "qcs::cam::uin/1:groupid/ops",
                "acs:ram::1:group/ops",
            ),
            (
                "policy/p",
                "arn:aws:iam::1:policy/p",
                "qcs::cam::uin/1:policyid/p",
                "acs:ram::1:policy/p",
            ),
        ];
        for (path, aws, tencent, alibaba) in cases {
            for (dialect, expected) in [
                (Dialect::Aws, aws),
                (Dialect::Tencent, tencent),
                (Dialect::Alibaba, alibaba),
            ] {
                let place = VendorPlace::new(dialect, "1", "ci");
                let found = place.resource(dialect, &format!("org/acme/{path}"));
                assert_eq!(found, expected);
                let back = path_of_resource(dialect, &found);
                assert_eq!(back, Some(("1".to_owned(), path.to_owned())), "{found}");
            }
        }
        let place = VendorPlace::new(Dialect::Aws, "1", "ci");
        let of = |path: &str| place.resource(Dialect::Aws, path);
        assert_eq!(of("org/acme"), "arn:aws:iam::1:root");
        assert_eq!(
            of("org/acme/programmatic_identity/ci/access_key/KWAKABCDEFGH234567AB"),
            "arn:aws:iam::1:user/ci"
        );
        assert_eq!(
            of("org/acme/kvdb/x/snapshot/s"),
            "arn:aws:elasticache:us-east-1:1:snapshot:x/s"
        );
    }
}
