//! Asking before something is done that cannot be undone.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use crate::failure::{Exit, Failure};
use crate::output::note;

/// Longest answer that is read, in bytes.
const MAX_LEN: u64 = 8192;

/// Asks at the terminal, and goes on if one of `answers` is typed. Where nobody can be asked,
/// `unasked` tells what to do.
pub(crate) fn confirm(question: &str, answers: &[&str], unasked: String) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Usage, unasked));
    }
    note(question);
    let mut answer = String::new();
    io::stdin().lock().take(MAX_LEN).read_line(&mut answer)?;
    match answers.contains(&answer.trim()) {
        true => Ok(()),
        false => Err(Failure::new(Exit::Failed, "nothing was done")),
    }
}
