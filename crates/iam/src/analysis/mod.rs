//! Questions about the whole directory: who can do this, what can this identity do, who can become
//! more than it is.
//!
//! All of them stand on [`ways::Ways`]: the decision of the design's section 3 with the request left
//! open, as a list of ways from a principal to a resource, each with the statements that it needs.

mod access;
mod acl_rules;
mod escalation;
pub(crate) mod open;
mod risk;
mod ways;
mod who_can;

pub use access::{Access, AccessGroup, ResourceAccess};
pub use acl_rules::{AclLoss, AclRules};
pub use escalation::{Circumstances, Escalation, EscalationStep, Escalations, Gain, Means};
pub use risk::Risk;
pub use ways::{Exception, OpenCondition, Way};
pub use who_can::{Asked, AskedAbout, Assumer, Holder, WhoCan};
