//! Sets of byte strings that one pattern describes, in a form that can be multiplied.

use crate::Glob;
use crate::glob::{ByteSet, Element, Step as GlobStep};

/// What one pattern accepts: a run of steps, and whether it takes the empty string, which follows
/// rules of its own (see [`crate::Glob`]).
#[derive(Clone, Debug)]
pub(crate) struct Language {
    pub(crate) steps: Box<[Step]>,
    pub(crate) empty: bool,
}

/// One step of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Any run of bytes.
    Star,
    /// Any one byte.
    Any,
    /// This byte.
    Byte(u8),
    /// One of these bytes.
    Set(Box<Bytes>),
}

/// A set of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) [u64; 4]);

impl Bytes {
    pub(crate) fn of(contains: impl Fn(u8) -> bool) -> Self {
        let mut words = [0; 4];
        for byte in (0..=u8::MAX).filter(|byte| contains(*byte)) {
            words[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
        Self(words)
    }

    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }
}

impl From<&ByteSet> for Bytes {
    fn from(set: &ByteSet) -> Self {
        Self::of(|byte| set.contains(byte))
    }
}

impl Step {
    pub(crate) fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Star | Self::Any => true,
            Self::Byte(own) => *own == byte,
            Self::Set(set) => set.contains(byte),
        }
    }
}

impl From<&Glob> for Language {
    fn from(glob: &Glob) -> Self {
        let one = |element: Element<'_>| match element {
            Element::Byte(byte) => Step::Byte(byte),
            Element::Any => Step::Any,
            Element::Class(set) => Step::Set(Box::new(Bytes::from(set))),
        };
        let steps = glob.steps();
        let steps = steps.iter().map(|step| match step {
            GlobStep::Star => Step::Star,
            GlobStep::Byte(byte) => Step::Byte(*byte),
            GlobStep::One(element) => one(*element),
        });
        Self {
            steps: steps.collect(),
            empty: glob.matches(b""),
        }
    }
}

impl Language {
    /// The one string.
    pub(crate) fn literal(text: &[u8]) -> Self {
        Self {
            steps: text.iter().map(|byte| Step::Byte(*byte)).collect(),
            empty: text.is_empty(),
        }
    }
}
