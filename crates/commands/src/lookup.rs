//! From the words of a request to its command: two tables without collisions, one look into each.

use crate::Words;
use crate::catalogue::CommandId;
use crate::catalogue::generated::{
    COMMAND_BITS, COMMAND_COUNT, COMMAND_DISPLACEMENTS, CONTAINER_COUNT, CONTAINERS, ROWS,
    SUBCOMMAND_BITS, SUBCOMMAND_DISPLACEMENTS,
};
use crate::hash::{BUCKETS, Folded, bucket, displaced};

/// A target from here on is a container; below, a command.
const CONTAINER: u16 = 0x8000;
/// No command.
const NONE: u16 = u16::MAX;

/// One name and what it stands for. An empty slot has length 0, which no name has.
#[derive(Clone, Copy)]
struct Slot {
    head: u64,
    middle: u64,
    tail: u64,
    len: u16,
    target: u16,
}

const EMPTY: Slot = Slot {
    head: 0,
    middle: 0,
    tail: 0,
    len: 0,
    target: NONE,
};

impl Slot {
    #[inline]
    const fn holds(&self, name: &Folded) -> bool {
        // All at once: a miss is as rare as an unknown command.
        (self.head ^ name.head)
            | (self.middle ^ name.middle)
            | (self.tail ^ name.tail)
            | (self.len as u64 ^ name.len as u64)
            == 0
    }
}

static COMMANDS: [Slot; 1 << COMMAND_BITS] = commands();
static SUBCOMMANDS: [Slot; 1 << SUBCOMMAND_BITS] = subcommands();
/// The command that a container is without a subcommand, or [`NONE`].
static ALONE: [u16; CONTAINER_COUNT] = alone();

/// Why the words of a request are no command.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ResolveError {
    /// There are no words.
    #[error("empty request")]
    Empty,
    /// No command of that name.
    #[error("unknown command")]
    UnknownCommand,
    /// The command needs a subcommand, and has none of that name, or none was given.
    #[error("unknown subcommand of `{container}`")]
    UnknownSubcommand {
        /// The command.
        container: &'static str,
    },
}

/// The command that a request is, in any letter case. Does not check how many words it has.
///
/// # Errors
///
/// If the first word, or for a container the second, names nothing in the catalogue.
#[inline]
pub fn resolve<W: Words + ?Sized>(words: &W) -> Result<CommandId, ResolveError> {
    if words.is_empty() {
        return Err(ResolveError::Empty);
    }
    let Some(name) = Folded::new(words.word(0)) else {
        return Err(ResolveError::UnknownCommand);
    };
    let slot = &COMMANDS[slot(&name, 0, &COMMAND_DISPLACEMENTS, COMMAND_BITS)];
    if !slot.holds(&name) {
        return Err(ResolveError::UnknownCommand);
    }
    if slot.target < CONTAINER {
        return Ok(CommandId(slot.target));
    }
    resolve_subcommand(words, (slot.target - CONTAINER) as usize)
}

fn resolve_subcommand<W: Words + ?Sized>(
    words: &W,
    container: usize,
) -> Result<CommandId, ResolveError> {
    let target = if words.len() == 1 {
        ALONE[container]
    } else {
        match Folded::new(words.word(1)) {
            None => NONE,
            Some(name) => {
                let salt = container as u64 + 1;
                let at = slot(&name, salt, &SUBCOMMAND_DISPLACEMENTS, SUBCOMMAND_BITS);
                let slot = &SUBCOMMANDS[at];
                // The same word may be a subcommand of another container.
                let same = slot.holds(&name) && slot.target >> 11 == container as u16;
                if same { slot.target & 0x07ff } else { NONE }
            }
        }
    };
    match target {
        NONE => Err(ResolveError::UnknownSubcommand {
            container: CONTAINERS[container],
        }),
        id => Ok(CommandId(id)),
    }
}

#[inline]
const fn slot(name: &Folded, salt: u64, displacements: &[u16; BUCKETS], bits: u32) -> usize {
    let hash = name.hash(salt);
    displaced(hash, displacements[bucket(hash)], bits)
}

const fn put(slots: &mut [Slot], at: usize, name: Folded, target: u16) {
    if slots[at].len != 0 {
        panic!("the displacements are stale: run `cargo run -p keyward-xtask -- commands`");
    }
    let Folded {
        head,
        middle,
        tail,
        len,
    } = name;
    slots[at] = Slot {
        head,
        middle,
        tail,
        len: len as u16,
        target,
    };
}

const fn folded(name: &[u8]) -> Folded {
    match Folded::new(name) {
        Some(folded) => folded,
        None => panic!("a name of the catalogue is too long"),
    }
}

const fn commands() -> [Slot; 1 << COMMAND_BITS] {
    let mut slots = [EMPTY; 1 << COMMAND_BITS];
    let mut id = 0;
    while id < COMMAND_COUNT {
        let name = ROWS[id].name.as_bytes();
        if separator(name).is_none() && container(name).is_none() {
            let name = folded(name);
            let at = slot(&name, 0, &COMMAND_DISPLACEMENTS, COMMAND_BITS);
            put(&mut slots, at, name, id as u16);
        }
        id += 1;
    }
    let mut at = 0;
    while at < CONTAINER_COUNT {
        let name = folded(CONTAINERS[at].as_bytes());
        let place = slot(&name, 0, &COMMAND_DISPLACEMENTS, COMMAND_BITS);
        put(&mut slots, place, name, CONTAINER + at as u16);
        at += 1;
    }
    slots
}

/// The target of a subcommand has its container in the upper five bits.
const fn subcommands() -> [Slot; 1 << SUBCOMMAND_BITS] {
    const { assert!(COMMAND_COUNT < 1 << 11 && CONTAINER_COUNT < 1 << 5) };
    let mut slots = [EMPTY; 1 << SUBCOMMAND_BITS];
    let mut id = 0;
    while id < COMMAND_COUNT {
        let name = ROWS[id].name.as_bytes();
        if let Some(at) = separator(name) {
            let (first, second) = name.split_at(at);
            let Some(container) = container(first) else {
                panic!("a subcommand without a container");
            };
            let name = folded(second.split_at(1).1);
            let salt = container as u64 + 1;
            let at = slot(&name, salt, &SUBCOMMAND_DISPLACEMENTS, SUBCOMMAND_BITS);
            put(&mut slots, at, name, (container as u16) << 11 | id as u16);
        }
        id += 1;
    }
    slots
}

const fn alone() -> [u16; CONTAINER_COUNT] {
    let mut ids = [NONE; CONTAINER_COUNT];
    let mut id = 0;
    while id < COMMAND_COUNT {
        if let Some(at) = container(ROWS[id].name.as_bytes()) {
            ids[at] = id as u16;
        }
        id += 1;
    }
    ids
}

/// Where a catalogue name has its `|`.
const fn separator(name: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < name.len() {
        if name[at] == b'|' {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The container of that name.
const fn container(name: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < CONTAINER_COUNT {
        let known = CONTAINERS[at].as_bytes();
        let mut same = known.len() == name.len();
        let mut byte = 0;
        while same && byte < name.len() {
            same = known[byte] == name[byte];
            byte += 1;
        }
        if same {
            return Some(at);
        }
        at += 1;
    }
    None
}
