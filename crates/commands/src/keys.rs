//! Parsers of their own for the commands whose keys the specifications do not tell for every call.
//!
//! They follow the grammar by which the server executes the command. Where servers are known to
//! find keys by another grammar than the one they execute (an option word used as the name of a
//! key, an option given twice), the keys of both are listed: the key checked must be the key used.

use crate::Words;
use crate::command::Command;
use crate::keyspec::KeyFlags;
use crate::touched::{Key, Malformed, by_specs};

const READ: KeyFlags = KeyFlags::READ_ONLY.union(KeyFlags::ACCESS);
const OVERWRITE: KeyFlags = KeyFlags::OVERWRITE.union(KeyFlags::UPDATE);
const READ_AND_UPDATE: KeyFlags = KeyFlags::READ_WRITE
    .union(KeyFlags::ACCESS)
    .union(KeyFlags::UPDATE);
const READ_AND_DELETE: KeyFlags = KeyFlags::READ_WRITE
    .union(KeyFlags::ACCESS)
    .union(KeyFlags::DELETE);

/// Whether that word is `option`, given in lower case.
fn is<W: Words + ?Sized>(words: &W, at: usize, option: &str) -> bool {
    words.word(at).eq_ignore_ascii_case(option.as_bytes())
}

fn push(keys: &mut Vec<Key>, word: usize, flags: KeyFlags) {
    keys.push(Key {
        word: word as u32,
        flags,
    });
}

/// Sorts keys by their words and lists each word once. What is equal is found twice.
fn unite(keys: &mut Vec<Key>) {
    keys.sort_by_key(|key| key.word);
    keys.dedup_by_key(|key| key.word);
}

/// `SET key value [options]`: `GET` anywhere among the options reads the old value.
pub(crate) fn set<W: Words + ?Sized>(words: &W, keys: &mut Vec<Key>) {
    let reads = (3..words.len()).any(|at| is(words, at, "get"));
    push(keys, 1, if reads { READ_AND_UPDATE } else { OVERWRITE });
}

/// `BITFIELD key [GET …] [OVERFLOW …] [SET …] [INCRBY …]`: a read if there is nothing but `GET`.
pub(crate) fn bitfield<W: Words + ?Sized>(words: &W, keys: &mut Vec<Key>) {
    let mut at = 2;
    let mut only_reads = true;
    while at < words.len() && only_reads {
        let follow = words.len() - at - 1;
        if is(words, at, "get") && follow >= 2 {
            at += 3;
        } else if is(words, at, "overflow") && follow >= 1 {
            at += 2;
        } else {
            only_reads = false; // SET, INCRBY, or no operation at all
        }
    }
    push(keys, 1, if only_reads { READ } else { READ_AND_UPDATE });
}

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern]… [ASC|DESC] [ALPHA] [STORE destination]`.
/// Tells whether a pattern makes it reach keys that it does not name.
///
/// A pattern without `*` names no other key: `BY nosort` only turns sorting off, `GET #` is the
/// element itself, any other gives nothing.
pub(crate) fn sort<W: Words + ?Sized>(words: &W, store: bool, keys: &mut Vec<Key>) -> bool {
    push(keys, 1, READ);
    let count = words.len();
    let mut reaches = false;
    let mut destination = None;
    let mut at = 2;
    while at < count {
        let follow = count - at - 1;
        if is(words, at, "limit") && follow >= 2 {
            at += 2;
        } else if store && is(words, at, "store") && follow >= 1 {
            at += 1;
            destination = Some(at); // the last one is used
        } else if (is(words, at, "by") || is(words, at, "get")) && follow >= 1 {
            at += 1;
            reaches |= words.word(at).contains(&b'*');
        }
        at += 1;
    }
    if store {
        let seen = sort_destination_seen(words);
        for word in [destination, seen].into_iter().flatten() {
            push(keys, word, OVERWRITE);
        }
        unite(keys);
    }
    reaches
}

/// The destination that servers before the fixes of 2026 see when they look for keys: they take an
/// option word that is the name of the destination for an option.
fn sort_destination_seen<W: Words + ?Sized>(words: &W) -> Option<usize> {
    let mut seen = None;
    let mut at = 2;
    while at < words.len() {
        if is(words, at, "limit") {
            at += 2;
        } else if is(words, at, "get") || is(words, at, "by") {
            at += 1;
        } else if is(words, at, "store") && at + 1 < words.len() {
            seen = Some(at + 1);
        }
        at += 1;
    }
    seen
}

/// `GEORADIUS key longitude latitude radius unit [options]` and `GEORADIUSBYMEMBER key member radius
/// unit [options]`: every destination named by `STORE` or `STOREDIST` counts. The server uses the
/// last one; some versions look for keys at the first, by their specifications.
pub(crate) fn georadius<W: Words + ?Sized>(
    command: &Command,
    words: &W,
    options: usize,
    keys: &mut Vec<Key>,
) -> Result<(), Malformed> {
    by_specs(command, words, keys)?;
    for key in keys.iter_mut().filter(|key| key.word != 1) {
        key.flags = OVERWRITE; // the specification says that they vary, and they do not
    }
    let names_destination = |at| is(words, at, "store") || is(words, at, "storedist");
    // The unit is none of the server's, so the call fails; until then every reading counts.
    let doubtful = names_destination(options - 1);
    let mut at = if doubtful { options - 1 } else { options };
    while at + 1 < words.len() {
        if names_destination(at) {
            push(keys, at + 1, OVERWRITE);
            at += if doubtful { 0 } else { 1 };
        }
        at += 1;
    }
    unite(keys);
    Ok(())
}

/// `XREAD [COUNT n] [BLOCK ms] STREAMS key… id…`, `XREADGROUP GROUP group consumer … STREAMS key… id…`:
/// the keys are the first half of what follows `STREAMS`.
///
/// The name of a group or consumer may be `STREAMS` too; servers that look for the word and do not
/// read the options before it find other keys, which are listed as well.
pub(crate) fn streams<W: Words + ?Sized>(
    command: &Command,
    words: &W,
    keys: &mut Vec<Key>,
) -> Result<(), Malformed> {
    by_specs(command, words, keys)?;
    let count = words.len();
    let mut at = 1;
    while at < count {
        if is(words, at, "streams") {
            let used = at + 1..at + 1 + (count - at - 1) / 2;
            if keys
                .first()
                .is_none_or(|key| key.word as usize != used.start)
            {
                keys.extend(used.map(|word| Key {
                    word: word as u32,
                    flags: READ,
                }));
                unite(keys);
            }
            break;
        }
        at += match words.word(at) {
            word if word.eq_ignore_ascii_case(b"group") => 3,
            word if word.eq_ignore_ascii_case(b"noack") => 1,
            word if word.eq_ignore_ascii_case(b"count") => 2,
            word if word.eq_ignore_ascii_case(b"block") => 2,
            word if word.eq_ignore_ascii_case(b"claim") => 2,
            _ => break, // not an option: the server refuses the call
        };
    }
    if keys.is_empty() {
        Err("no stream is named")
    } else {
        Ok(())
    }
}

/// `MIGRATE host port key|"" database timeout [COPY] [REPLACE] [AUTH …] [AUTH2 … …] [KEYS key…]`.
pub(crate) fn migrate<W: Words + ?Sized>(words: &W, keys: &mut Vec<Key>) -> Result<(), Malformed> {
    let count = words.len();
    let mut at = 6;
    while at < count {
        if is(words, at, "keys") {
            if at + 1 == count {
                break; // servers that look for keys do not look at the last word
            }
            if !words.word(3).is_empty() {
                return Err("`KEYS` needs an empty key before it");
            }
            keys.extend((at + 1..count).map(|word| Key {
                word: word as u32,
                flags: READ_AND_DELETE,
            }));
            return Ok(());
        }
        at += match words.word(at) {
            word if word.eq_ignore_ascii_case(b"auth") => 2,
            word if word.eq_ignore_ascii_case(b"auth2") => 3,
            _ => 1,
        };
    }
    push(keys, 3, READ_AND_DELETE);
    Ok(())
}
