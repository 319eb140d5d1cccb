//! Action patterns of the vendors' dialects.

use std::borrow::Cow;

use super::names::{ELASTICACHE, KVSTORE, REDIS, REDIS_WHOLE};
use crate::Dialect;
use crate::finding::quoted;
use crate::nearest::suggestion;
use crate::wildcard::Wildcard;

/// Longest pattern, in bytes: no vendor has names near this.
pub(super) const MAX_PATTERN_LEN: usize = 512;

/// Calls of ElastiCache that have no resource: only `*` speaks of them.
const ELASTICACHE_WHOLE: &[&str] = &[
    "DescribeCacheEngineVersions",
    "DescribeEngineDefaultParameters",
    "DescribeEvents",
    "DescribeReservedCacheNodesOfferings",
    "DescribeServiceUpdates",
];

/// Actions of one vendor, as one string of a document names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActionPattern {
    /// As it was written.
    text: Box<str>,
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    Everything,
    /// The name as it is compared.
    Exact(Box<str>),
    Pattern(Wildcard),
}

impl ActionPattern {
    /// Parses one; the error is what is wrong with it and what to write.
    pub(crate) fn parse(dialect: Dialect, text: &str) -> Result<Self, String> {
        let name = match dialect {
            Dialect::Tencent => text.strip_prefix("name/").unwrap_or(text),
            _ => text,
        };
        check(dialect, text, name)?;
        let folded = fold(dialect, name);
        let shape = match &*folded {
            "*" => Shape::Everything,
            name if !name.contains(['*', '?']) => Shape::Exact(name.into()),
            name => Shape::Pattern(Wildcard::new(name)),
        };
        Ok(Self {
            text: text.into(),
            shape,
        })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Does it speak of the action of this name, folded by [`fold`]?
    pub(crate) fn matches(&self, folded: &str) -> bool {
        match &self.shape {
            Shape::Everything => true,
            Shape::Exact(own) => **own == *folded,
            Shape::Pattern(pattern) => pattern.matches(folded.as_bytes()),
        }
    }

    /// The one action that it names, as it is compared.
    pub(crate) fn exact(&self) -> Option<&str> {
        match &self.shape {
            Shape::Exact(name) => Some(name),
            _ => None,
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let shape = match &self.shape {
            Shape::Everything => 0,
            Shape::Exact(name) => name.len(),
            Shape::Pattern(pattern) => pattern.heap_bytes(),
        };
        self.text.len() + shape
    }
}

/// An action's name as the dialect compares it: AWS and Alibaba without regard to letter case,
/// Tencent so for the service, and without the prefix `name/`.
pub(crate) fn fold(dialect: Dialect, name: &str) -> Cow<'_, str> {
    let lower = |text: &str| text.bytes().any(|byte| byte.is_ascii_uppercase());
    if dialect != Dialect::Tencent {
        return match lower(name) {
            true => Cow::Owned(name.to_ascii_lowercase()),
            false => Cow::Borrowed(name),
        };
    }
    let name = name.strip_prefix("name/").unwrap_or(name);
    match name.split_once(':') {
        Some((service, call)) if lower(service) => {
            Cow::Owned(format!("{}:{call}", service.to_ascii_lowercase()))
        }
        _ => Cow::Borrowed(name),
    }
}

fn check(dialect: Dialect, text: &str, name: &str) -> Result<(), String> {
    let shown = quoted(text);
    let (vendor, example) = match dialect {
        Dialect::Tencent => ("Tencent", "redis:DescribeInstances"),
        Dialect::Alibaba => ("Alibaba", "kvstore:DescribeInstances"),
        _ => ("AWS", "elasticache:DescribeReplicationGroups"),
    };
    if text.is_empty() {
        return Err(format!("action is empty: name one such as `{example}`"));
    }
    if text.len() > MAX_PATTERN_LEN {
        let len = text.len();
        return Err(format!("action of {len} bytes: at most {MAX_PATTERN_LEN}"));
    }
    if dialect == Dialect::Tencent {
        if text.starts_with("permid/") {
            return Err(format!(
                "{shown} names a set of actions whose contents Tencent does not publish: name \
                 the actions themselves, such as `{example}`"
            ));
        }
        if name.contains('?') {
            return Err(format!(
                "`?` in {shown}: Tencent documents `*` only, as in `redis:Describe*`"
            ));
        }
    }
    if name == "*" {
        return Ok(());
    }
    let Some((service, call)) = name.split_once(':') else {
        return Err(format!(
            "{shown} names no service: write `<service>:<name>` such as `{example}`, or `*`"
        ));
    };
    if call.starts_with('@') {
        return Err(format!(
            "{shown}: action sets are the native dialect's; {vendor}'s has none, name the actions"
        ));
    }
    let service_fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let partly = service != "*" && service.contains(['*', '?']);
    if partly && dialect != Dialect::Alibaba {
        return Err(format!(
            "wildcard inside the service of {shown}: name one service, or write `*`"
        ));
    }
    let service_right = !service.is_empty()
        && service
            .bytes()
            .all(|b| service_fits(b) || b == b'*' || b == b'?');
    let call_right = !call.is_empty()
        && call
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"*?-_/.".contains(&b));
    if !service_right || !call_right {
        return Err(format!(
            "{shown} is no action: write `<service>:<name>` such as `{example}`"
        ));
    }
    if service.eq_ignore_ascii_case("kvdb") {
        own_action(dialect, text, call)?;
    }
    Ok(())
}

/// Keyward's own actions, `kvdb:…`, must exist: a typing error in a Deny would deny nothing.
fn own_action(dialect: Dialect, text: &str, call: &str) -> Result<(), String> {
    let exact = !call.contains(['*', '?']);
    let known = |name: &str| match dialect {
        Dialect::Tencent => name == call,
        _ => name.eq_ignore_ascii_case(call),
    };
    let own = || keyward_commands::ActionId::all().filter_map(|a| a.name().strip_prefix("kvdb:"));
    if !exact || own().any(known) {
        return Ok(());
    }
    let names: Vec<&'static str> = keyward_commands::ActionId::all()
        .map(keyward_commands::ActionId::name)
        .collect();
    let near = suggestion(&format!("kvdb:{call}"), &names);
    Err(format!("unknown action {}{near}", quoted(text)))
}

/// Whether a request for this action is on no resource, so that only `*` speaks of it. The name is
/// folded by [`fold`].
pub(crate) fn is_without_resource(dialect: Dialect, folded: &str) -> bool {
    let of = |service: &str, names: &[&str]| {
        folded.strip_prefix(service).is_some_and(|call| {
            names.iter().any(|name| match dialect {
                Dialect::Tencent => *name == call,
                _ => name.eq_ignore_ascii_case(call),
            })
        })
    };
    match dialect {
        Dialect::Aws => of("elasticache:", ELASTICACHE_WHOLE),
        Dialect::Tencent => of("redis:", REDIS_WHOLE),
        _ => false,
    }
}

/// What is to be said about an action pattern whose service is the vendor's for Redis, if nothing
/// of that name is known: the nearest names, as the end of a sentence. Vendors add actions, so it
/// is no error.
pub fn unknown_vendor_action(dialect: Dialect, text: &str) -> Option<String> {
    let (service, names) = match dialect {
        Dialect::Aws => ("elasticache", ELASTICACHE),
        Dialect::Tencent => ("redis", REDIS),
        Dialect::Alibaba => ("kvstore", KVSTORE),
        Dialect::Native | Dialect::Acl => return None,
    };
    let pattern = ActionPattern::parse(dialect, text).ok()?;
    let name = match dialect {
        Dialect::Tencent => text.strip_prefix("name/").unwrap_or(text),
        _ => text,
    };
    let (own, call) = name.split_once(':')?;
    if !own.eq_ignore_ascii_case(service) {
        return None;
    }
    let matches = |known: &&str| pattern.matches(&fold(dialect, &format!("{service}:{known}")));
    if names.iter().any(matches) {
        return None;
    }
    let near = suggestion(call, names);
    Some(format!(
        "{} is not among the known actions of `{service}`{near}",
        quoted(text)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_names() {
        use Dialect::{Alibaba, Aws, Tencent};
        // (dialect, pattern, action, matches)
        let cases = [
            (Aws, "*", "s3:GetObject", true),
            (Aws, "S3:getobject", "s3:GetObject", true),
            (Aws, "iam:*AccessKey*", "iam:ListAccessKeys", true),
            (Aws, "iam:*AccessKey*", "iam:ListUsers", false),
            (Aws, "s3:Get?bject", "s3:GetObject", true),
            (Aws, "s3:Get?bject", "s3:GetXXbject", false),
            (Aws, "s3:*", "s3express:CreateSession", false),
            (Aws, "*:List*", "iam:ListUsers", true),
            (Aws, "kvdb:executeget", "kvdb:ExecuteGet", true),
            (
                Tencent,
                "name/redis:DescribeInstances",
                "redis:DescribeInstances",
                true,
            ),
            (
                Tencent,
                "redis:DescribeInstances",
                "name/redis:DescribeInstances",
                true,
            ),
            (
                Tencent,
                "Redis:DescribeInstances",
                "redis:DescribeInstances",
                true,
            ),
            (
                Tencent,
                "redis:describeinstances",
                "redis:DescribeInstances",
                false,
            ),
            (Tencent, "redis:Describe*", "redis:DescribeInstances", true),
            (Tencent, "name/redis:*", "redis:ClearInstance", true),
            (
                Alibaba,
                "KVSTORE:describe*",
                "kvstore:DescribeInstances",
                true,
            ),
            (
                Alibaba,
                "kvstore:*Insta?ces",
                "kvstore:DescribeInstances",
                true,
            ),
            (Alibaba, "*", "kvstore:DescribeInstances", true),
        ];
        for (dialect, pattern, action, expected) in cases {
            let compiled = ActionPattern::parse(dialect, pattern)
                .unwrap_or_else(|error| panic!("{pattern}: {error}"));
            let found = compiled.matches(&fold(dialect, action));
            assert_eq!(found, expected, "{dialect} {pattern} {action}");
        }
    }

    #[test]
    fn what_is_no_action() {
        use Dialect::{Alibaba, Aws, Tencent};
        let cases = [
            (
                Aws,
                "",
                "action is empty: name one such as `elasticache:DescribeReplicationGroups`",
            ),
            (
                Aws,
                "GetObject",
                "`GetObject` names no service: write `<service>:<name>` such as `elasticache:DescribeReplicationGroups`, or `*`",
            ),
            (
                Aws,
                "s3*:Get",
                "wildcard inside the service of `s3*:Get`: name one service, or write `*`",
            ),
            (
                Aws,
                "s3:",
                "`s3:` is no action: write `<service>:<name>` such as `elasticache:DescribeReplicationGroups`",
            ),
            (
                Aws,
                "s3:Get Object",
                "`s3:Get Object` is no action: write `<service>:<name>` such as `elasticache:DescribeReplicationGroups`",
            ),
            (
                Aws,
                "kvdb:@read",
                "`kvdb:@read`: action sets are the native dialect's; AWS's has none, name the actions",
            ),
            (
                Aws,
                "kvdb:ExecuteGte",
                "unknown action `kvdb:ExecuteGte`: did you mean `kvdb:ExecuteGet`, `kvdb:ExecuteGetex` or `kvdb:ExecuteTtl`?",
            ),
            (
                Tencent,
                "kvdb:executeget",
                "unknown action `kvdb:executeget`: did you mean `kvdb:ExecuteGet`?",
            ),
            (
                Tencent,
                "permid/10",
                "`permid/10` names a set of actions whose contents Tencent does not publish: name the actions themselves, such as `redis:DescribeInstances`",
            ),
            (
                Tencent,
                "redis:Describe?",
                "`?` in `redis:Describe?`: Tencent documents `*` only, as in `redis:Describe*`",
            ),
            (
                Alibaba,
                "DescribeInstances",
                "`DescribeInstances` names no service: write `<service>:<name>` such as `kvstore:DescribeInstances`, or `*`",
            ),
        ];
        for (dialect, text, expected) in cases {
            let found = ActionPattern::parse(dialect, text).err();
            assert_eq!(found.as_deref(), Some(expected), "{dialect} {text}");
        }
    }

    #[test]
    fn nearest_actions_of_a_vendor() {
        let cases = [
            (Dialect::Aws, "elasticache:Describe*", None),
            (Dialect::Aws, "elasticache:connect", None),
            (Dialect::Aws, "s3:Nothing", None),
            (
                Dialect::Aws,
                "elasticache:DescribeCacheCluster",
                Some(
                    "`elasticache:DescribeCacheCluster` is not among the known actions of `elasticache`: did you mean `DescribeCacheClusters`, `DeleteCacheCluster` or `CreateCacheCluster`?",
                ),
            ),
            (Dialect::Tencent, "redis:ModfiyInstancePassword", None),
            (
                Dialect::Alibaba,
                "kvstore:FlushInstanc",
                Some(
                    "`kvstore:FlushInstanc` is not among the known actions of `kvstore`: did you mean `FlushInstance`?",
                ),
            ),
        ];
        for (dialect, text, expected) in cases {
            assert_eq!(
                unknown_vendor_action(dialect, text).as_deref(),
                expected,
                "{text}"
            );
        }
    }
}
