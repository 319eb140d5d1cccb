//! The hash of command names: shared by the look-up and by the generator, which searches the
//! displacements that make it free of collisions.

/// Longest word that can be a command or subcommand name, in bytes.
pub(crate) const MAX_NAME: usize = 24;

/// How many buckets the displacements are for.
pub(crate) const BUCKETS: usize = 64;

/// A name of 1 to [`MAX_NAME`] bytes in lower case, packed so that two names are equal exactly if
/// their packed forms are.
///
/// Words longer than four or eight bytes are read as two overlapping halves, so that no byte is
/// looked at alone; the length tells how they overlap.
#[derive(Clone, Copy)]
pub(crate) struct Folded {
    pub(crate) head: u64,
    pub(crate) middle: u64,
    pub(crate) tail: u64,
    pub(crate) len: usize,
}

impl Folded {
    /// `None` if the word is empty or too long to be a name.
    #[inline]
    pub(crate) const fn new(word: &[u8]) -> Option<Self> {
        let len = word.len();
        let mut middle = 0;
        let mut tail = 0;
        let head = if len >= 8 {
            let (Some(first), Some(last)) = (word.first_chunk::<8>(), word.last_chunk::<8>())
            else {
                return None;
            };
            if len > 16 {
                if len > MAX_NAME {
                    return None;
                }
                let Some(chunk) = word.split_at(8).1.first_chunk::<8>() else {
                    return None;
                };
                middle = lower(u64::from_le_bytes(*chunk));
            }
            tail = lower(u64::from_le_bytes(*last));
            u64::from_le_bytes(*first)
        } else if len >= 4 {
            let (Some(first), Some(last)) = (word.first_chunk::<4>(), word.last_chunk::<4>())
            else {
                return None;
            };
            u32::from_le_bytes(*first) as u64 | (u32::from_le_bytes(*last) as u64) << 32
        } else if len > 0 {
            word[0] as u64 | (word[len / 2] as u64) << 8 | (word[len - 1] as u64) << 16
        } else {
            return None;
        };
        Some(Self {
            head: lower(head),
            middle,
            tail,
            len,
        })
    }

    /// The hash before displacement. `salt` tells apart equal subcommands of different
    /// containers; commands have 0.
    #[inline]
    pub(crate) const fn hash(&self, salt: u64) -> u64 {
        let mixed = self.head
            ^ self.middle.rotate_left(47)
            ^ self.tail.rotate_left(29)
            ^ (self.len as u64 ^ salt << 8).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed ^ mixed >> 32
    }
}

/// The bucket of a hash.
#[inline]
pub(crate) const fn bucket(hash: u64) -> usize {
    (hash >> 58) as usize
}

/// The slot of a hash under a displacement, in a table of `1 << bits` slots.
#[inline]
pub(crate) const fn displaced(hash: u64, displacement: u16, bits: u32) -> usize {
    ((hash as u32).wrapping_mul((displacement as u32) << 1 | 1) >> (32 - bits)) as usize
}

/// Eight bytes with ASCII upper case folded to lower case; every other byte stays.
#[inline]
const fn lower(bytes: u64) -> u64 {
    const ALL: u64 = 0x0101_0101_0101_0101;
    let seven = bytes & (0x7f * ALL);
    let above_z = seven + (0x7f - b'Z' as u64) * ALL;
    let from_a = seven + (0x80 - b'A' as u64) * ALL;
    let upper = (from_a ^ above_z) & !bytes & (0x80 * ALL);
    bytes | upper >> 2
}
