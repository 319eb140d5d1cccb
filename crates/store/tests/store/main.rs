//! Tests of the store from outside: what it keeps, through kills and failures of the disk, and how
//! fast it is.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod child;
mod commit;
mod figures;
mod history;
mod kill;
mod sync;
