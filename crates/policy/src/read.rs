//! One way into every dialect.

use crate::dialect::detect;
use crate::{Dialect, Findings, Policy, PolicyKind, acl, native, vendor};

/// Parses and checks a document of any dialect; without one, the document's form tells it. A
/// native document's shorthand is of `organisation` (an id).
///
/// In a vendor's dialect a policy of [`PolicyKind::Resource`] names principals; one without
/// `Resource` is a role's trust document, whose actions are `sts:…` each.
///
/// # Errors
/// All that is wrong, with line, column, path and the nearest valid names.
pub fn read_as(
    dialect: Option<Dialect>,
    text: &str,
    kind: PolicyKind,
    organisation: &str,
) -> Result<Policy, Findings> {
    let dialect = match dialect {
        Some(dialect) => dialect,
        None => detect(text)?,
    };
    match dialect {
        Dialect::Native => native::read(text, kind, organisation),
        Dialect::Aws | Dialect::Tencent | Dialect::Alibaba => {
            vendor::read(dialect, text, kind, organisation)
        }
        Dialect::Acl => acl::read(text, kind, organisation),
    }
}
