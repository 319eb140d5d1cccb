//! Secrets that are typed: never arguments, which everybody on the machine sees, nor shown on a
//! terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};

/// Longest secret that is read, in bytes.
const MAX_LEN: u64 = 8192;

/// A line of standard input; on a terminal asked for, and not shown while it is typed.
pub(crate) fn secret_line(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return typed(prompt);
    }
    let mut line = Zeroizing::new(String::new());
    stdin.lock().take(MAX_LEN).read_line(&mut line)?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(line)
}

/// A new password: on a terminal typed twice.
pub(crate) fn new_password() -> Result<Zeroizing<String>, Failure> {
    let first = secret_line("new password: ")?;
    if io::stdin().is_terminal() && *secret_line("the same again: ")? != *first {
        return Err(Failure::new(
            Exit::Usage,
            "the two differ: nothing was done",
        ));
    }
    Ok(first)
}

/// Gives a terminal back as it was, also after an error.
struct Restored(Termios);

impl Drop for Restored {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

fn typed(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let before = rustix::termios::tcgetattr(io::stdin()).map_err(io::Error::from)?;
    let mut silent = before.clone();
    // Keys come one by one, Ctrl-C too: a signal would leave the terminal silent.
    let modes = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    silent.local_modes.remove(modes);
    silent.special_codes[SpecialCodeIndex::VMIN] = 1;
    silent.special_codes[SpecialCodeIndex::VTIME] = 0;
    let _restored = Restored(before);
    rustix::termios::tcsetattr(io::stdin(), OptionalActions::Flush, &silent)
        .map_err(io::Error::from)?;
    let mut out = io::stderr();
    let _ = write!(out, "{prompt}").and_then(|()| out.flush());
    let line = line_of_keys(io::stdin().lock().take(MAX_LEN).bytes());
    let _ = writeln!(out);
    line
}

/// The line that keys make, up to Enter.
fn line_of_keys(keys: impl Iterator<Item = io::Result<u8>>) -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(Vec::new());
    for key in keys {
        match key? {
            b'\r' | b'\n' => break,
            0x03 => return Err(Failure::new(Exit::Interrupted, "nothing was done")),
            // Ctrl-D ends the input.
            0x04 => break,
            // Backspace, one character; Ctrl-U, all.
            0x08 | 0x7f => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            0x15 => line.clear(),
            key => line.push(key),
        }
    }
    match std::str::from_utf8(&line) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(Failure::new(Exit::Usage, "what was typed is no text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_a_line() {
        let cases: [(&[u8], Option<&str>); 8] = [
            (b"abc\n", Some("abc")),
            (b"abc\rdef", Some("abc")),
            (b"ab\x7fc\n", Some("ac")),
            ("aé\x7fb\n".as_bytes(), Some("ab")),
            (b"\x7f\x08a\n", Some("a")),
            (b"wrong\x15right\n", Some("right")),
            (b"half\x03", None),
            (b"\xff\n", None),
        ];
        for (keys, expected) in cases {
            let line = line_of_keys(keys.iter().map(|key| Ok(*key)));
            assert_eq!(line.ok().as_ref().map(|l| l.as_str()), expected, "{keys:?}");
        }
    }
}
