//! Resource patterns of the vendors' dialects, matched segment by segment.

use crate::Dialect;
use crate::facts::{Facts, NoFacts};
use crate::finding::quoted;
use crate::template::{Expanded, Template};
use crate::wildcard::Wildcard;

/// Longest pattern, in bytes. ARNs are at most 2,048.
pub(super) const MAX_RESOURCE_LEN: usize = 2048;

/// Resources of one vendor, as one string of a document names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VendorResource {
    /// As it was written.
    text: Box<str>,
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// `*`
    Everything,
    /// One pattern for each part between colons; the last takes whatever remains.
    Parts(Box<[Part]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Empty or absent: what that means is the dialect's.
    Empty,
    /// Any text, also none.
    Any,
    Exact(Box<str>),
    Pattern(Wildcard),
    /// With variables.
    Template(Template),
}

/// How many parts a resource of the dialect has.
fn parts_of(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Alibaba => 5,
        _ => 6,
    }
}

impl VendorResource {
    /// Parses one. `variables`: `${…}` in it is a variable, where the dialect has some. The error
    /// is what is wrong with it and what to write.
    pub(crate) fn parse(dialect: Dialect, text: &str, variables: bool) -> Result<Self, String> {
        let shown = quoted(text);
        let new = |shape| {
            Ok(Self {
                text: text.into(),
                shape,
            })
        };
        if text == "*" {
            return new(Shape::Everything);
        }
        if text.len() > MAX_RESOURCE_LEN {
            let len = text.len();
            return Err(format!(
                "resource of {len} bytes: at most {MAX_RESOURCE_LEN}"
            ));
        }
        if text.chars().any(char::is_control) {
            return Err(format!("control character in the resource {shown}"));
        }
        let parts: Vec<&str> = text.splitn(parts_of(dialect), ':').collect();
        check(dialect, &shown, &parts)?;
        let early = |part: &&str| part.contains("${");
        if variables && dialect == Dialect::Aws && parts[..5].iter().any(early) {
            return Err(format!(
                "variable before the fifth `:` of {shown}: variables may only stand behind it"
            ));
        }
        let mut compiled = Vec::with_capacity(parts.len());
        for (i, part) in parts.iter().enumerate() {
            let part = part_text(dialect, i, part);
            let template = match variables {
                true => Template::parse(dialect, &part)
                    .map_err(|error| format!("{error}: in {shown}"))?,
                false => Template::literal(&part),
            };
            let fixed = template.is_fixed();
            compiled.push(match (&*part, fixed) {
                ("", _) => Part::Empty,
                ("*", _) => Part::Any,
                (_, false) => Part::Template(template),
                (part, true) if template.is_literal() && !part.contains(['*', '?']) => {
                    Part::Exact(part.into())
                }
                _ => match template.expand(&NoFacts) {
                    Expanded::Pieces(pieces) => Part::Pattern(Wildcard::of_pieces(&pieces)),
                    Expanded::Missing | Expanded::Later => Part::Template(template),
                },
            });
        }
        new(Shape::Parts(compiled.into()))
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a variable stands in it.
    pub(crate) fn has_variables(&self) -> bool {
        match &self.shape {
            Shape::Everything => false,
            Shape::Parts(parts) => parts.iter().any(|part| matches!(part, Part::Template(_))),
        }
    }

    /// Does it cover a resource? `None` if that depends on a variable that is not known yet; one
    /// that is missing covers nothing.
    ///
    /// `owner` is the account of the policy's owner, which an empty account of Tencent's stands for.
    pub(crate) fn matches(
        &self,
        dialect: Dialect,
        resource: &str,
        owner: &str,
        facts: &dyn Facts,
    ) -> Option<bool> {
        let Shape::Parts(patterns) = &self.shape else {
            return Some(true);
        };
        // A call that is on no resource is covered by `*` alone.
        if resource == "*" {
            let all = |part: &Part| matches!(part, Part::Any);
            return Some(dialect == Dialect::Alibaba && patterns[1..].iter().all(all));
        }
        let count = parts_of(dialect);
        let mut parts = resource.splitn(count, ':');
        let mut known = Some(true);
        for (i, pattern) in patterns.iter().enumerate() {
            let Some(part) = parts.next() else {
                return Some(false);
            };
            match pattern.matches(dialect, i, part, owner, facts) {
                Some(true) => {}
                Some(false) => return Some(false),
                None => known = None,
            }
        }
        known
    }

    /// Whether a missing variable is why it does not cover a resource that it else might.
    pub(crate) fn lacks_variable(
        &self,
        dialect: Dialect,
        resource: &str,
        owner: &str,
        facts: &dyn Facts,
    ) -> bool {
        let Shape::Parts(patterns) = &self.shape else {
            return false;
        };
        let parts = resource.splitn(parts_of(dialect), ':');
        for (i, (pattern, part)) in patterns.iter().zip(parts).enumerate() {
            match pattern {
                Part::Template(template) if matches!(template.expand(facts), Expanded::Missing) => {
                    return true;
                }
                _ if pattern.matches(dialect, i, part, owner, facts) == Some(false) => {
                    return false;
                }
                _ => {}
            }
        }
        false
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let parts = match &self.shape {
            Shape::Everything => 0,
            Shape::Parts(parts) => {
                let of = |part: &Part| match part {
                    Part::Empty | Part::Any => 0,
                    Part::Exact(text) => text.len(),
                    Part::Pattern(pattern) => pattern.heap_bytes(),
                    Part::Template(template) => 2 * template.text().len(),
                };
                size_of_val(&**parts) + parts.iter().map(of).sum::<usize>()
            }
        };
        self.text.len() + parts
    }
}

impl Part {
    fn matches(
        &self,
        dialect: Dialect,
        at: usize,
        part: &str,
        owner: &str,
        facts: &dyn Facts,
    ) -> Option<bool> {
        let last = at + 1 == parts_of(dialect);
        // AWS compares the first five parts without regard to letter case.
        let folded;
        let part = if dialect == Dialect::Aws && !last {
            folded = part.to_ascii_lowercase();
            &*folded
        } else {
            part
        };
        match dialect {
            Dialect::Tencent => self.matches_tencent(at, part, owner, facts),
            Dialect::Alibaba => {
                // Services without regions leave it empty or write `*`: the same.
                let global = at == 2 && matches!(part, "" | "*");
                if global {
                    return Some(matches!(self, Self::Empty | Self::Any));
                }
                self.covers(part, facts)
            }
            _ => self.covers(part, facts),
        }
    }

    fn matches_tencent(
        &self,
        at: usize,
        part: &str,
        owner: &str,
        facts: &dyn Facts,
    ) -> Option<bool> {
        match (at, self) {
            // Project, service, region: empty is any.
            (1..=3, Self::Empty) => Some(true),
            (1, _) => Some(part.is_empty()),
            // The account: empty is the owner's.
            (4, _) => {
                let own = format!("uin/{owner}");
                let part = if part.is_empty() { &*own } else { part };
                match self {
                    Self::Empty => Some(!owner.is_empty() && part == own),
                    _ => self.covers(part, facts),
                }
            }
            (3, _) => {
                let long = long_region(part);
                match self.covers(long, facts) {
                    Some(false) => self.covers(part, facts),
                    found => found,
                }
            }
            (5, _) => match part.strip_prefix("instanceId/") {
                Some(id) => self.covers(&format!("instance/{id}"), facts),
                None => self.covers(part, facts),
            },
            _ => self.covers(part, facts),
        }
    }

    fn covers(&self, part: &str, facts: &dyn Facts) -> Option<bool> {
        match self {
            Self::Empty => Some(part.is_empty()),
            Self::Any => Some(true),
            Self::Exact(own) => Some(**own == *part),
            Self::Pattern(pattern) => Some(pattern.matches(part.as_bytes())),
            Self::Template(template) => match template.expand(facts) {
                Expanded::Later => None,
                Expanded::Missing => Some(false),
                Expanded::Pieces(pieces) => {
                    Some(Wildcard::of_pieces(&pieces).matches(part.as_bytes()))
                }
            },
        }
    }
}

/// A part of a pattern as it is compared.
fn part_text(dialect: Dialect, at: usize, part: &str) -> String {
    match (dialect, at) {
        (Dialect::Aws, 0..=4) => part.to_ascii_lowercase(),
        (Dialect::Tencent, 3) => long_region(part).to_owned(),
        (Dialect::Tencent, 5) => match part.strip_prefix("instanceId/") {
            Some(id) => format!("instance/{id}"),
            None => part.to_owned(),
        },
        _ => part.to_owned(),
    }
}

fn check(dialect: Dialect, shown: &str, parts: &[&str]) -> Result<(), String> {
    let (prefix, form) = match dialect {
        Dialect::Tencent => ("qcs", "qcs::redis:<region>:uin/<account>:instance/<id>"),
        Dialect::Alibaba => ("acs", "acs:kvstore:<region>:<account>:instance/<id>"),
        _ => (
            "arn",
            "arn:aws:elasticache:<region>:<account>:replicationgroup:<id>",
        ),
    };
    if parts.len() < parts_of(dialect) || !parts[0].eq_ignore_ascii_case(prefix) {
        return Err(format!("{shown} is no resource: write `{form}`, or `*`"));
    }
    let wild = |part: &str| part.contains(['*', '?']);
    match dialect {
        Dialect::Aws => {
            if parts[1].is_empty() || parts[2].is_empty() {
                return Err(format!(
                    "{shown} has no partition or no service: write `{form}`, or `*`"
                ));
            }
            if wild(parts[2]) {
                return Err(format!(
                    "wildcard in the service of {shown}: name the service, or write `*` alone"
                ));
            }
            if parts[5].is_empty() {
                return Err(format!("{shown} ends before the resource: write `{form}`"));
            }
            // `arn:aws:iam::123456789012:u*` is not valid: the type is never a pattern.
            let kind = parts[5].split('/').next().unwrap_or_default();
            if parts[2].eq_ignore_ascii_case("iam") && kind != "*" && wild(kind) {
                return Err(format!(
                    "wildcard in the type of {shown}: write the type out, as in `user/*`, or `*`"
                ));
            }
        }
        Dialect::Tencent => {
            if parts[0] != "qcs" {
                return Err(format!("{shown} is no resource: `qcs` is lower case"));
            }
            if !matches!(parts[1], "") {
                return Err(format!(
                    "project {} in {shown}: Tencent no longer reads it, leave it empty",
                    quoted(parts[1])
                ));
            }
            if parts[5].is_empty() {
                return Err(format!("{shown} ends before the resource: write `{form}`"));
            }
            if parts.iter().any(|part| part.contains('?')) {
                return Err(format!("`?` in {shown}: Tencent documents `*` only"));
            }
        }
        _ => {
            if parts[0] != "acs" {
                return Err(format!("{shown} is no resource: `acs` is lower case"));
            }
            if parts[1].is_empty() || parts[4].is_empty() {
                return Err(format!(
                    "{shown} has no product or no resource: write `{form}`, or `*`"
                ));
            }
        }
    }
    Ok(())
}

/// The long form of a Tencent region; older documents have the short one.
pub(crate) fn long_region(region: &str) -> &str {
    const REGIONS: &[(&str, &str)] = &[
        ("bj", "ap-beijing"),
        ("bjjr", "ap-beijing-fsi"),
        ("ca", "na-toronto"),
        ("cd", "ap-chengdu"),
        ("cq", "ap-chongqing"),
        ("de", "eu-frankfurt"),
        ("gz", "ap-guangzhou"),
        ("hk", "ap-hongkong"),
        ("in", "ap-mumbai"),
        ("jkt", "ap-jakarta"),
        ("jp", "ap-tokyo"),
        ("kr", "ap-seoul"),
        ("nj", "ap-nanjing"),
        ("ru", "eu-moscow"),
        ("sao", "sa-saopaulo"),
        ("sg", "ap-singapore"),
        ("sh", "ap-shanghai"),
        ("shjr", "ap-shanghai-fsi"),
        ("szjr", "ap-shenzhen-fsi"),
        ("szx", "ap-shenzhen"),
        ("th", "ap-bangkok"),
        ("tpe", "ap-taipei"),
        ("tsn", "ap-tianjin"),
        ("use", "na-ashburn"),
        ("usw", "na-siliconvalley"),
    ];
    let found = REGIONS.iter().find(|(short, _)| *short == region);
    found.map_or(region, |(_, long)| long)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::ListedFacts;

    #[test]
    fn patterns_and_resources() {
        use Dialect::{Alibaba, Aws, Tencent};
        let group = "arn:aws:elasticache:us-east-1:123456789012:replicationgroup:prod-1";
        let redis = "qcs::redis:ap-beijing:uin/100000000001:instance/crs-abc";
        let tair = "acs:kvstore:cn-hangzhou:1234567890123456:instance/r-abc";
        // (dialect, pattern, resource, covers)
        let cases = [
            (Aws, "*", group, true),
            (Aws, "*", "*", true),
            (Aws, "arn:aws:elasticache:*:*:*", "*", false),
            (Aws, "arn:aws:elasticache:*:*:*", group, true),
            (
                Aws,
                "arn:aws:elasticache:us-east-1:123456789012:replicationgroup:prod-*",
                group,
                true,
            ),
            (
                Aws,
                "arn:aws:elasticache:us-east-?:*:replicationgroup:prod-?",
                group,
                true,
            ),
            (
                Aws,
                "ARN:AWS:ElastiCache:US-EAST-1:123456789012:replicationgroup:prod-1",
                group,
                true,
            ),
            (
                Aws,
                "arn:aws:elasticache:us-east-1:123456789012:replicationgroup:PROD-1",
                group,
                false,
            ),
            (
                Aws,
                "arn:aws:elasticache:us-east-1:123456789012:*1",
                group,
                true,
            ),
            // A wildcard never crosses one of the first five colons.
            (
                Aws,
                "arn:aws:elasticache:*:replicationgroup:prod-1",
                group,
                false,
            ),
            (
                Aws,
                "arn:aws:elasticache::123456789012:replicationgroup:prod-1",
                group,
                false,
            ),
            (Aws, "arn:aws-cn:elasticache:*:*:*", group, false),
            (Aws, "arn:*:elasticache:*:*:*", group, true),
            (
                Aws,
                "arn:aws:s3:::bucket/*",
                "arn:aws:s3:::bucket/a/b",
                true,
            ),
            (
                Aws,
                "arn:aws:s3:::bucket/*/c:d",
                "arn:aws:s3:::bucket/a/b/c:d",
                true,
            ),
            (Aws, "arn:aws:s3:::buck?t", "arn:aws:s3:::bucket", true),
            (
                Aws,
                "arn:aws:s3:::bucket",
                "arn:aws:s3:us-east-1::bucket",
                false,
            ),
            (Aws, "arn:aws:s3:::bucket", "arn:aws:s3", false),
            (Tencent, "*", redis, true),
            (
                Tencent,
                "qcs::redis:ap-beijing:uin/100000000001:instance/crs-abc",
                redis,
                true,
            ),
            (
                Tencent,
                "qcs::redis:bj:uin/100000000001:instance/crs-abc",
                redis,
                true,
            ),
            (
                Tencent,
                "qcs::redis:gz:uin/100000000001:instance/crs-abc",
                redis,
                false,
            ),
            (
                Tencent,
                "qcs::redis::uin/100000000001:instance/*",
                redis,
                true,
            ),
            // The account of the policy's owner.
            (Tencent, "qcs::redis:::instance/*", redis, true),
            (
                Tencent,
                "qcs::redis:::instance/*",
                "qcs::redis:bj:uin/2:instance/crs-abc",
                false,
            ),
            (
                Tencent,
                "qcs::redis:bj:uin/100000000001:instance/*",
                "qcs::redis:bj::instance/x",
                true,
            ),
            (Tencent, "qcs:::bj::instance/*", redis, true),
            (Tencent, "qcs::cvm:bj::instance/*", redis, false),
            (Tencent, "qcs::redis:::instanceId/crs-*", redis, true),
            (
                Tencent,
                "qcs::redis:::instance/crs-abc",
                "qcs::redis:bj::instanceId/crs-abc",
                true,
            ),
            (Tencent, "qcs::redis:ap-*::*", redis, true),
            (Tencent, "qcs::redis:bj::*", "*", false),
            (Alibaba, "*", tair, true),
            (Alibaba, "acs:kvstore:*:*:instance/r-abc", tair, true),
            (Alibaba, "acs:kvstore:*:*:instance/r-a?c", tair, true),
            (Alibaba, "acs:kvstore:cn-hangzhou:*:*", tair, true),
            (Alibaba, "acs:kvstore::*:*", tair, false),
            (Alibaba, "acs:*:instance/r-abc:*:*", tair, false),
            (Alibaba, "acs:kvstore:*:*:*", "*", false),
            (Alibaba, "acs:*:*:*:*", "*", true),
            (Alibaba, "acs:ram::1:user/a", "acs:ram:*:1:user/a", true),
            (Alibaba, "acs:ram:*:1:user/a", "acs:ram::1:user/a", true),
            (
                Alibaba,
                "acs:ram:cn-hangzhou:1:user/a",
                "acs:ram::1:user/a",
                false,
            ),
            (
                Alibaba,
                "acs:oss:*:*:bucket/*:x",
                "acs:oss:oss-cn:1:bucket/a:b:x",
                true,
            ),
        ];
        for (dialect, pattern, resource, expected) in cases {
            let compiled = VendorResource::parse(dialect, pattern, true)
                .unwrap_or_else(|error| panic!("{pattern}: {error}"));
            let found = compiled.matches(dialect, resource, "100000000001", &NoFacts);
            assert_eq!(found, Some(expected), "{pattern} {resource}");
        }
    }

    #[test]
    fn variables_are_literal() {
        let facts = |values: &[(&str, &str)]| {
            let fact = |(name, value): &(&str, &str)| {
                ((*name).to_owned(), vec![value.as_bytes().to_vec()])
            };
            ListedFacts::new(Dialect::Aws, values.iter().map(fact))
        };
        let pattern = "arn:aws:s3:::home/${aws:username}/*";
        let cases = [
            (
                &[("aws:username", "bob")][..],
                "arn:aws:s3:::home/bob/x",
                true,
                true,
            ),
            (
                &[("aws:username", "bob")],
                "arn:aws:s3:::home/eve/x",
                true,
                false,
            ),
            (
                &[("aws:username", "*")],
                "arn:aws:s3:::home/bob/x",
                true,
                false,
            ),
            (
                &[("aws:username", "*")],
                "arn:aws:s3:::home/*/x",
                true,
                true,
            ),
            (&[], "arn:aws:s3:::home//x", true, false),
            // Without variables (2008-10-17) it is text.
            (
                &[("aws:username", "bob")],
                "arn:aws:s3:::home/bob/x",
                false,
                false,
            ),
            (&[], "arn:aws:s3:::home/${aws:username}/x", false, true),
        ];
        for (values, resource, variables, expected) in cases {
            let compiled = VendorResource::parse(Dialect::Aws, pattern, variables).unwrap();
            let found = compiled.matches(Dialect::Aws, resource, "", &facts(values));
            assert_eq!(found, Some(expected), "{values:?} {resource} {variables}");
        }
    }

    #[test]
    fn what_is_no_resource() {
        let cases = [
            (
                Dialect::Aws,
                "bucket",
                "`bucket` is no resource: write `arn:aws:elasticache:<region>:<account>:replicationgroup:<id>`, or `*`",
            ),
            (
                Dialect::Aws,
                "",
                "`` is no resource: write `arn:aws:elasticache:<region>:<account>:replicationgroup:<id>`, or `*`",
            ),
            (
                Dialect::Aws,
                "arn:aws:s3:::",
                "`arn:aws:s3:::` ends before the resource: write `arn:aws:elasticache:<region>:<account>:replicationgroup:<id>`",
            ),
            (
                Dialect::Aws,
                "arn:aws:*:::x",
                "wildcard in the service of `arn:aws:*:::x`: name the service, or write `*` alone",
            ),
            (
                Dialect::Aws,
                "arn:aws:iam::123456789012:u*",
                "wildcard in the type of `arn:aws:iam::123456789012:u*`: write the type out, as in `user/*`, or `*`",
            ),
            (
                Dialect::Aws,
                "arn:aws:s3:${aws:RequestedRegion}::x",
                "variable before the fifth `:` of `arn:aws:s3:${aws:RequestedRegion}::x`: variables may only stand behind it",
            ),
            (
                Dialect::Aws,
                "arn:aws:s3:::${",
                "`${` is not closed by `}`: in `arn:aws:s3:::${`",
            ),
            (
                Dialect::Tencent,
                "qcs:0:redis:::instance/x",
                "project `0` in `qcs:0:redis:::instance/x`: Tencent no longer reads it, leave it empty",
            ),
            (
                Dialect::Tencent,
                "arn:aws:s3:::x",
                "`arn:aws:s3:::x` is no resource: write `qcs::redis:<region>:uin/<account>:instance/<id>`, or `*`",
            ),
            (
                Dialect::Alibaba,
                "acs:kvstore:*:*",
                "`acs:kvstore:*:*` is no resource: write `acs:kvstore:<region>:<account>:instance/<id>`, or `*`",
            ),
        ];
        for (dialect, text, expected) in cases {
            let found = VendorResource::parse(dialect, text, true).err();
            assert_eq!(found.as_deref(), Some(expected), "{text}");
        }
    }
}
