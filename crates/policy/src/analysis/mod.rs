//! Questions about policies as sets: does one lie within another, where do they differ.
//!
//! Answers are exact or say that they are not; a difference comes with a witness, a request on
//! which it can be seen, which was tried before it is told.

mod call;
mod diff;
mod formula;
mod grain;
mod language;
mod line;
mod place;
mod product;
mod request;
mod solve;
mod values;

pub use diff::{
    Change, Difference, MAX_DIFFERENCES, PolicyDiff, Undecided, UndecidedReason, diff,
    diff_of_any_dialect,
};
pub use request::{FactValue, Request, allows};
