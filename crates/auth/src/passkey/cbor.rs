//! As much CBOR (RFC 8949) as authenticators send: CTAP2's canonical form has definite lengths, no
//! tags, and at most four levels.

/// A value, borrowed from what was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cbor<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Array(Vec<Cbor<'a>>),
    Map(Vec<(Cbor<'a>, Cbor<'a>)>),
    /// `true`, `false`, `null` and the like: nobody here looks at them.
    Simple,
}

/// Levels of arrays and maps; an attestation statement has its certificates one level deeper than
/// CTAP2 counts.
const MAX_DEPTH: usize = 6;

/// Entries of all arrays and maps of one value.
const MAX_ENTRIES: usize = 256;

impl<'a> Cbor<'a> {
    /// Reads one value; also gives what follows it.
    pub(super) fn read(input: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut reader = Reader {
            rest: input,
            entries: MAX_ENTRIES,
        };
        let value = reader.value(MAX_DEPTH)?;
        Some((value, reader.rest))
    }

    pub(super) fn as_bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    fn entry(&self, wanted: &Cbor<'_>) -> Option<&Self> {
        let Self::Map(entries) = self else {
            return None;
        };
        let mut found = entries.iter().filter(|(key, _)| key == wanted);
        let (_, value) = found.next()?;
        // A key twice could mean two things to two readers.
        found.next().is_none().then_some(value)
    }

    pub(super) fn text_entry(&self, key: &str) -> Option<&Self> {
        self.entry(&Cbor::Text(key))
    }

    pub(super) fn integer_entry(&self, key: i64) -> Option<&Self> {
        self.entry(&Cbor::Integer(key))
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    entries: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.rest.split_at_checked(len)?;
        self.rest = left;
        Some(taken)
    }

    /// Major type and argument.
    fn head(&mut self) -> Option<(u8, u8, u64)> {
        let first = self.take(1)?[0];
        let (major, short) = (first >> 5, first & 31);
        let argument = match short {
            0..=23 => u64::from(short),
            24..=27 => self
                .take(1 << (short - 24))?
                .iter()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
            _ => return None, // indefinite lengths
        };
        Some((major, short, argument))
    }

    fn count(&mut self, argument: u64) -> Option<usize> {
        let count = usize::try_from(argument).ok()?;
        self.entries = self.entries.checked_sub(count)?;
        Some(count)
    }

    fn value(&mut self, depth: usize) -> Option<Cbor<'a>> {
        let (major, short, argument) = self.head()?;
        let number = i64::try_from(argument);
        Some(match major {
            0 => Cbor::Integer(number.ok()?),
            1 => Cbor::Integer(-1 - number.ok()?),
            2 => Cbor::Bytes(self.take(usize::try_from(argument).ok()?)?),
            3 => {
                let bytes = self.take(usize::try_from(argument).ok()?)?;
                Cbor::Text(std::str::from_utf8(bytes).ok()?)
            }
            4 => {
                let (count, depth) = (self.count(argument)?, depth.checked_sub(1)?);
                let items = (0..count).map(|_| self.value(depth));
                Cbor::Array(items.collect::<Option<_>>()?)
            }
            5 => {
                let (count, depth) = (self.count(argument)?, depth.checked_sub(1)?);
                let entries = (0..count).map(|_| Some((self.value(depth)?, self.value(depth)?)));
                Cbor::Map(entries.collect::<Option<_>>()?)
            }
            7 if (20..=23).contains(&short) || short == 26 || short == 27 => Cbor::Simple,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_rfc_8949() {
        let cases: [(&[u8], Option<Cbor<'_>>); 14] = [
            (&[0x00], Some(Cbor::Integer(0))),
            (&[0x18, 0x64], Some(Cbor::Integer(100))),
            (&[0x19, 0x03, 0xE8], Some(Cbor::Integer(1000))),
            (&[0x38, 0x63], Some(Cbor::Integer(-100))),
            (&[0x39, 0x01, 0x00], Some(Cbor::Integer(-257))),
            (&[0x44, 1, 2, 3, 4], Some(Cbor::Bytes(&[1, 2, 3, 4]))),
            (&[0x62, 0xC3, 0xBC], Some(Cbor::Text("ü"))),
            (
                &[0x82, 0x01, 0x02],
                Some(Cbor::Array(vec![Cbor::Integer(1), Cbor::Integer(2)])),
            ),
            (
                &[0xA1, 0x01, 0xF5],
                Some(Cbor::Map(vec![(Cbor::Integer(1), Cbor::Simple)])),
            ),
            (&[0x5F, 0x41, 0x01, 0xFF], None),
            (&[0x44, 1, 2, 3], None),
            (
                &[0x9B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
                None,
            ),
            (&[0xC0, 0x00], None),
            (&[], None),
        ];
        for (input, expected) in cases {
            let found = Cbor::read(input).map(|(value, rest)| {
                assert!(rest.is_empty(), "{input:x?}");
                value
            });
            assert_eq!(found, expected, "{input:x?}");
        }
    }

    #[test]
    fn depth_and_number_are_bounded() {
        assert_eq!(Cbor::read(&[0x81; 100_000]), None);
        let mut many = vec![0x99, 0xFF, 0xFF];
        many.extend([0; 65_535]);
        assert_eq!(Cbor::read(&many), None);
    }

    #[test]
    fn a_key_twice_is_no_key() {
        let (map, _) = Cbor::read(&[0xA2, 0x01, 0x02, 0x01, 0x03]).unwrap();
        assert_eq!(map.integer_entry(1), None);
    }
}
