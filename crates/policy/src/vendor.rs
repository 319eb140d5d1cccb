//! The vendors' dialects: AWS IAM JSON (2012-10-17 and 2008-10-17), Tencent CAM 2.0, Alibaba RAM 1.
//!
//! A document is not translated: it keeps its own names, wildcards, letter cases, defaults and
//! rules for what is missing, and *requests* are put into its terms. [`render`] tells what a native
//! action on a resource path is to a vendor; a request that arrives in a vendor's own terms is a
//! [`VendorRequest`] already. [`crate::Statement::matches_vendor`] says whether a statement speaks
//! of it, and [`VendorStatement::names`] whom.
//!
//! Sources: the vendors' manuals as of 2021 to 2026; what they leave open is decided so that
//! nothing is allowed by it.

mod action;
mod names;
mod place;
mod principal;
mod read;
mod render;
mod resource;
mod statement;

pub use action::unknown_vendor_action;
pub(crate) use action::{fold as fold_action, is_without_resource};
pub use place::{DatabaseKind, VendorPlace, path_of_resource};
pub use principal::VendorPrincipal;
pub(crate) use read::read;
pub(crate) use read::tencent_operator;
pub(crate) use render::{Rendering, is_of_organisation, rendering};
pub use render::{VendorRequest, actions_of_name, render};
pub(crate) use resource::long_region;
pub use statement::VendorStatement;

#[cfg(test)]
mod tests;
