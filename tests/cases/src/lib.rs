//! Where the cases of tests come from: the files of `corpus/`, and numbers at random that are the
//! same in every run.

mod acl;
mod corpus;
mod random;
pub mod scenario;

pub use acl::{AclCase, acl_cases};
pub use corpus::{CorpusFile, Step, corpus, steps};
pub use random::{Random, setting};
