//! Policy documents: reading, checking and matching. No I/O, no clock, no randomness, no wire
//! format: what a request is comes in as an action, a resource path and the keys it touches.
//!
//! [`read`] turns the text of a native document into a [`Policy`] of compiled [`Statement`]s, or
//! into [`Findings`] that tell all that is wrong with it and where. A [`Statement`] says by
//! [`Statement::matches`] whether it concerns a request; how statements combine into a decision is
//! not this crate's. Nothing is implied here: whoever may run a command may connect, but that rule
//! is applied where decisions are made. [`KeyIndex`] answers for the key fields of many statements
//! at once, always as they would one by one.

mod acl;
mod analysis;
pub mod check;
mod condition;
mod dialect;
mod facts;
mod finding;
mod glob;
mod identity;
mod index;
mod json;
mod keys;
mod native;
mod nearest;
mod number;
mod path;
mod read;
mod resource;
mod statement;
mod template;
mod time;
mod translate;
mod trie;
mod vendor;
mod wildcard;

pub use acl::{
    AclDenial, AclExport, AclGrant, AclLimit, AclLogin, AclUser, DEFAULT_DATABASES, MAX_SELECTORS,
    Translation,
};
pub use analysis::{
    Change, Difference, FactValue, MAX_DIFFERENCES, PolicyDiff, Request, Undecided,
    UndecidedReason, allows, diff, diff_of_any_dialect,
};
pub use condition::{
    Clause, ClauseError, ConditionKey, Conditions, Fact, FactKind, MAX_VALUES, Operator,
    SetOperator, Wanted,
};
pub use dialect::{Dialect, detect};
pub use facts::{AclCall, Facts, Found, KeyAccess, ListedFacts, NoFacts, Value, touched};
pub use finding::{CODES, Finding, Findings, MAX_FINDINGS};
pub use glob::{
    Glob, GlobError, MAX_COMPARED_PATTERN, MAX_PATTERN_LEN, MAX_PATTERN_STARS, check_pattern,
};
pub use identity::{IdentityPattern, IdentityPatternError};
pub use index::KeyIndex;
pub use json::{MAX_DEPTH, MAX_DOCUMENT_LEN};
pub use keys::{ChannelUse, KeyPatterns, KeyUse, Touch};
pub use native::{MAX_SID_LEN, read, unknown_native_key};
pub use number::Number;
pub use read::read_as;
pub use resource::{ResourcePattern, ResourcePatternError};
pub use statement::{Effect, KeyFields, Match, Policy, PolicyKind, Statement, Templates};
pub use template::{Expanded, Piece, Template, TemplateError};
pub use translate::{Refusal, Translated, TranslationNames, translate};
pub use vendor::{
    DatabaseKind, VendorPlace, VendorPrincipal, VendorRequest, VendorStatement, actions_of_name,
    path_of_resource, render, unknown_vendor_action,
};
pub use wildcard::Wildcard;
