//! Questions about policies as sets: does one lie within another, where do they differ.
//!
//! Answers are exact or say that they are not; a difference comes with a witness, a request on
//! which it can be seen, which was tried before it is told.

mod covers;
mod formula;
mod language;
mod product;

pub use covers::{
    Covers, Inclusion, KeyWitness, Overlap, covers, glob_included, glob_overlap, meets_all,
};
