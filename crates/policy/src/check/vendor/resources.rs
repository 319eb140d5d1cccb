//! Resources of a document in a vendor's terms.

use super::{redundant, services};
use crate::Dialect;
use crate::check::Document;
use crate::check::draft::{Draft, token_end};
use crate::check::report::Reporter;
use crate::check::rules::Kind;
use crate::finding::quoted;
use crate::nearest::suggestion;

/// Types of resources that a service of AWS has, with what is between type and name.
const ELASTICACHE_TYPES: &[&str] = &[
    "cluster",
    "replicationgroup",
    "serverlesscache",
    "snapshot",
    "serverlesscachesnapshot",
    "user",
    "usergroup",
    "parametergroup",
    "subnetgroup",
    "securitygroup",
    "reserved-instance",
    "globalreplicationgroup",
];
const IAM_TYPES: &[&str] = &[
    "user",
    "group",
    "role",
    "policy",
    "root",
    "mfa",
    "instance-profile",
    "saml-provider",
    "oidc-provider",
    "assumed-role",
    "federated-user",
];

/// Resources that stand twice, and those that no request here has.
pub(super) fn check(document: &Document<'_>, draft: &Draft<'_>, out: &mut Reporter<'_>) {
    let list = &draft.resources;
    let texts: Vec<String> = list.items.iter().map(|item| item.text.to_owned()).collect();
    let colons = if document.dialect == Dialect::Alibaba {
        4
    } else {
        5
    };
    redundant(document, draft, list, &texts, colons, out);
    for item in &list.items {
        let path = || list.path(&draft.path, item);
        let trimmed = item.text.trim();
        if trimmed != item.text {
            let message = format!("{} begins or ends with white space", quoted(item.text));
            let added = out.add(Kind::OuterSpace, item.at, path(), message);
            if !trimmed.contains(['"', '\\']) && !trimmed.chars().any(char::is_control) {
                let end = token_end(document.text, item.at);
                added.fix("trim it", item.at, end, format!("\"{trimmed}\""));
            }
        }
        if let Some(message) = foreign_resource(document.dialect, item.text) {
            out.add(Kind::ForeignResource, item.at, path(), message);
        }
    }
}

/// Why no request here has the resource.
fn foreign_resource(dialect: Dialect, text: &str) -> Option<String> {
    let (databases, identities) = services(dialect);
    let count = if dialect == Dialect::Alibaba { 5 } else { 6 };
    let parts: Vec<&str> = text.splitn(count, ':').collect();
    if parts.len() < count {
        return None;
    }
    let wild = |text: &str| text.contains(['*', '?']) || text.contains("${");
    let service = match dialect {
        Dialect::Alibaba => parts[1],
        _ => parts[2],
    };
    let rest = parts[count - 1];
    let shown = quoted(text);
    if parts[0] != parts[0].to_ascii_lowercase() {
        let lower = parts[0].to_ascii_lowercase();
        return Some(format!("{shown} begins with `{lower}`, in lower case"));
    }
    if wild(service) || service.is_empty() {
        return None;
    }
    let lower = service.to_ascii_lowercase();
    if ![databases, identities, "sts"].contains(&lower.as_str()) {
        return Some(format!(
            "{shown} is of the service `{service}`: no request here is"
        ));
    }
    if lower != service {
        return Some(format!(
            "the service of {shown} is written in lower case: `{lower}`"
        ));
    }
    let kind = rest.split([':', '/']).next().unwrap_or_default();
    match dialect {
        Dialect::Aws => {
            let (partition, region, account) = (parts[1], parts[3], parts[4]);
            if !wild(partition) && !["aws", "aws-cn", "aws-us-gov"].contains(&partition) {
                return Some(format!(
                    "{shown} is of the unknown partition `{partition}`: write `aws`"
                ));
            }
            if partition == "aws-cn" || partition == "aws-us-gov" {
                return Some(format!(
                    "{shown} is of the partition `{partition}`: requests here are of `aws`"
                ));
            }
            let known = if service == databases {
                ELASTICACHE_TYPES
            } else {
                IAM_TYPES
            };
            if !wild(kind) && !known.contains(&kind) {
                let near = suggestion(kind, known);
                return Some(format!("{shown} is of the unknown type `{kind}`{near}"));
            }
            if service != databases && !region.is_empty() && !wild(region) {
                return Some(format!(
                    "{shown} names a region: ARNs of `{service}` have none, leave it empty"
                ));
            }
            if service == databases && region.is_empty() {
                return Some(format!(
                    "{shown} has no region: write that of the database, or `*`"
                ));
            }
            if service == databases && !wild(region) && !may_be_region(region) {
                return Some(format!(
                    "`{region}` in {shown} is no region of AWS: did you mean one as `us-east-1`?"
                ));
            }
            let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
            if !is_account && !wild(account) && account != "aws" {
                return Some(format!(
                    "{shown} has no account of 12 digits: write it, or `*`"
                ));
            }
            let name = rest.split_once(':').map_or("", |(_, name)| name);
            if service == databases && name.chars().any(|c| c.is_ascii_uppercase()) {
                return Some(format!(
                    "capital letters in the name of {shown}: names of caches in ARNs are lower case"
                ));
            }
            None
        }
        Dialect::Tencent => {
            let account = parts[4];
            let known = ["instance", "instanceId"];
            if service == databases && !wild(kind) && !known.contains(&kind) {
                return Some(format!(
                    "{shown} is no `instance/<id>`: no request here is on it"
                ));
            }
            let named = account.is_empty() || account.starts_with("uin/") || wild(account);
            (!named)
                .then(|| format!("{shown} has no account: write `uin/<number>`, or leave it empty"))
        }
        _ => {
            if service == databases && !wild(kind) && kind != "instance" {
                return Some(format!(
                    "{shown} is no `instance/<id>`: no request here is on it"
                ));
            }
            None
        }
    }
}

/// Whether a region may be one of AWS: `<area>-<direction>-<number>`, or a single word, as deployments
/// of their own have.
fn may_be_region(text: &str) -> bool {
    const DIRECTIONS: [&str; 9] = [
        "north",
        "south",
        "east",
        "west",
        "central",
        "northeast",
        "northwest",
        "southeast",
        "southwest",
    ];
    let parts: Vec<&str> = text.split('-').collect();
    match parts.as_slice() {
        [_] => true,
        [.., direction, number] => {
            DIRECTIONS.contains(direction) && number.bytes().all(|b| b.is_ascii_digit())
        }
        [] => false,
    }
}
