//! Reading of payloads.

use std::borrow::Cow;

use super::listpack::{self, Element};
use super::{FOOTER, MAX_VERSION, PayloadError, crc64::crc64, kind, lzf};
use crate::hash::HashKey;
use crate::number::{IntegerText, parse_double};
use crate::sorted_set::{Inserted, SortedSet};
use crate::table::Table;
use crate::value::{Hash, List, Set, Value};

const BAD: PayloadError = PayloadError::Format;

/// Longest string that a payload may hold, in bytes. Source: `proto-max-bulk-len` of the servers.
const MAX_STRING: usize = 512 * 1024 * 1024;

/// Bytes that the compressed strings of one payload may become together: a payload of a few bytes
/// must not fill the memory.
const MAX_EXPANDED: usize = 1 << 30;

/// The value in a payload, which ends with the version of the format and a checksum.
pub(crate) fn read(payload: &[u8], hash_key: HashKey) -> Result<Value, PayloadError> {
    let footer = payload
        .len()
        .checked_sub(FOOTER)
        .ok_or(PayloadError::Version)?;
    let (body, footer) = payload.split_at(footer);
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    let (checked, sum) = payload.split_at(payload.len() - 8);
    if version > MAX_VERSION || crc64(0, checked).to_le_bytes() != *sum {
        return Err(PayloadError::Version);
    }
    read_body(body, hash_key)
}

/// The value in what is before the footer.
pub(crate) fn read_body(body: &[u8], hash_key: HashKey) -> Result<Value, PayloadError> {
    let (&kind, rest) = body.split_first().ok_or(BAD)?;
    let mut reader = Reader {
        rest,
        expanded: 0,
        hash_key,
    };
    let value = reader.value(kind)?;
    if reader.rest.is_empty() {
        Ok(value)
    } else {
        Err(BAD)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Bytes that came of compressed strings.
    expanded: usize,
    hash_key: HashKey,
}

/// A length, or the form of a string that has none.
enum Length {
    Plain(u64),
    Encoded(u8),
}

impl<'a> Reader<'a> {
    fn value(&mut self, kind: u8) -> Result<Value, PayloadError> {
        match kind {
            kind::STRING => {
                let text = self.string()?;
                Ok(Value::string(&text))
            }
            kind::LIST | kind::LIST_QUICKLIST_2 => {
                let list = self.list(kind)?;
                if list.is_empty() {
                    return Err(BAD);
                }
                Ok(Value::List(Box::new(list)))
            }
            kind::SET | kind::SET_INTSET | kind::SET_LISTPACK => {
                let set = self.set(kind)?;
                if set.is_empty() {
                    return Err(BAD);
                }
                Ok(Value::Set(Box::new(set)))
            }
            kind::HASH | kind::HASH_LISTPACK => {
                let hash = self.hash(kind)?;
                if hash.is_empty() {
                    return Err(BAD);
                }
                Ok(Value::Hash(Box::new(hash)))
            }
            kind::ZSET_2 | kind::ZSET_LISTPACK => {
                let set = self.sorted_set(kind)?;
                if set.is_empty() {
                    return Err(BAD);
                }
                Ok(Value::SortedSet(Box::new(set)))
            }
            other => Err(PayloadError::Type {
                name: kind::name(other),
            }),
        }
    }

    fn list(&mut self, kind: u8) -> Result<List, PayloadError> {
        let mut list = List::new();
        let count = self.count()?;
        for _ in 0..count {
            if kind == kind::LIST {
                list.push_back(self.string()?.as_ref().into());
                continue;
            }
            match self.count()? {
                kind::NODE_PLAIN => list.push_back(self.string()?.as_ref().into()),
                kind::NODE_PACKED => {
                    let node = self.string()?;
                    for element in listpack::elements(&node)? {
                        list.push_back(element?.to_boxed());
                    }
                }
                _ => return Err(BAD),
            }
        }
        Ok(list)
    }

    fn set(&mut self, kind: u8) -> Result<Set, PayloadError> {
        let mut set = Table::new(self.hash_key);
        let mut add = |member: &[u8]| match set.insert(member, ()) {
            None => Ok(()),
            Some(()) => Err(BAD),
        };
        match kind {
            kind::SET => {
                for _ in 0..self.count()? {
                    add(&self.string()?)?;
                }
            }
            kind::SET_INTSET => {
                for integer in integers(&self.string()?)? {
                    add(IntegerText::new(integer).as_bytes())?;
                }
            }
            _ => {
                for element in listpack::elements(&self.string()?)? {
                    add(&element?.to_boxed())?;
                }
            }
        }
        Ok(set)
    }

    fn hash(&mut self, kind: u8) -> Result<Hash, PayloadError> {
        let mut hash = Table::new(self.hash_key);
        let mut add = |field: &[u8], value: &[u8]| match hash.insert(field, value.into()) {
            None => Ok(()),
            Some(_) => Err(BAD),
        };
        if kind == kind::HASH {
            for _ in 0..self.count()? {
                let field = self.string()?;
                let value = self.string()?;
                add(&field, &value)?;
            }
        } else {
            let packed = self.string()?;
            let mut elements = listpack::elements(&packed)?;
            while let Some(field) = elements.next() {
                let value = elements.next().ok_or(BAD)??;
                add(&field?.to_boxed(), &value.to_boxed())?;
            }
        }
        Ok(hash)
    }

    fn sorted_set(&mut self, kind: u8) -> Result<SortedSet, PayloadError> {
        // As the server does: the long form becomes compact only when all of it is there.
        let long = kind == kind::ZSET_2;
        let mut set = if long {
            SortedSet::new_large(self.hash_key)
        } else {
            SortedSet::new(self.hash_key)
        };
        let mut add = |member: &[u8], score: f64| {
            if score.is_nan() || set.insert(member, score) != Inserted::New {
                return Err(BAD);
            }
            Ok(())
        };
        if long {
            for _ in 0..self.count()? {
                let member = self.string()?;
                let score = f64::from_le_bytes(*self.chunk()?);
                add(&member, score)?;
            }
        } else {
            let packed = self.string()?;
            let mut elements = listpack::elements(&packed)?;
            while let Some(member) = elements.next() {
                let score = match elements.next().ok_or(BAD)?? {
                    Element::Integer(integer) => integer as f64,
                    Element::Text(text) => parse_double(text).ok_or(BAD)?,
                };
                add(&member?.to_boxed(), score)?;
            }
        }
        Ok(if long { set.into_compact() } else { set })
    }

    fn byte(&mut self) -> Result<u8, PayloadError> {
        self.chunk::<1>().map(|[byte]| *byte)
    }

    fn chunk<const N: usize>(&mut self) -> Result<&'a [u8; N], PayloadError> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(BAD)?;
        self.rest = rest;
        Ok(chunk)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], PayloadError> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(BAD)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn length(&mut self) -> Result<Length, PayloadError> {
        let first = self.byte()?;
        let low = u64::from(first & 0x3f);
        Ok(match (first >> 6, first) {
            (0, _) => Length::Plain(low),
            (1, _) => Length::Plain(low << 8 | u64::from(self.byte()?)),
            (2, 0x80) => Length::Plain(u64::from(u32::from_be_bytes(*self.chunk()?))),
            (2, 0x81) => Length::Plain(u64::from_be_bytes(*self.chunk()?)),
            (3, _) => Length::Encoded(first & 0x3f),
            _ => return Err(BAD),
        })
    }

    /// How many elements follow. Nothing is kept for them before they are there.
    fn count(&mut self) -> Result<u64, PayloadError> {
        match self.length()? {
            Length::Plain(count) => Ok(count),
            Length::Encoded(_) => Err(BAD),
        }
    }

    fn size(&mut self) -> Result<usize, PayloadError> {
        let size = usize::try_from(self.count()?).map_err(|_| BAD)?;
        if size <= MAX_STRING {
            Ok(size)
        } else {
            Err(BAD)
        }
    }

    fn string(&mut self) -> Result<Cow<'a, [u8]>, PayloadError> {
        let integer = |value: i64| Cow::Owned(IntegerText::new(value).as_bytes().to_vec());
        Ok(match self.length()? {
            Length::Plain(length) => {
                let length = usize::try_from(length).map_err(|_| BAD)?;
                Cow::Borrowed(self.bytes(length)?)
            }
            Length::Encoded(0) => integer(i64::from(i8::from_le_bytes(*self.chunk()?))),
            Length::Encoded(1) => integer(i64::from(i16::from_le_bytes(*self.chunk()?))),
            Length::Encoded(2) => integer(i64::from(i32::from_le_bytes(*self.chunk()?))),
            Length::Encoded(3) => {
                let [packed, length] = [self.size()?, self.size()?];
                self.expanded += length;
                if self.expanded > MAX_EXPANDED {
                    return Err(BAD);
                }
                Cow::Owned(lzf::decompress(self.bytes(packed)?, length).ok_or(BAD)?)
            }
            Length::Encoded(_) => return Err(BAD),
        })
    }
}

/// The numbers of an intset: their size and how many there are, four bytes each, and the numbers.
fn integers(bytes: &[u8]) -> Result<impl Iterator<Item = i64>, PayloadError> {
    let (head, numbers) = bytes.split_first_chunk::<8>().ok_or(BAD)?;
    let [a, b, c, d, count @ ..] = *head;
    let (size, count) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(count));
    let right =
        matches!(size, 2 | 4 | 8) && u64::from(size) * u64::from(count) == numbers.len() as u64;
    if !right {
        return Err(BAD);
    }
    Ok(numbers.chunks_exact(size as usize).map(|number| {
        let sign = number
            .last()
            .map_or(0, |byte| if byte & 0x80 == 0 { 0 } else { 0xff });
        let mut word = [sign; 8];
        word[..number.len()].copy_from_slice(number);
        i64::from_le_bytes(word)
    }))
}
