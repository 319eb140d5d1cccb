//! The servers' compact form of short lists, hashes and sorted sets.
//!
//! Four bytes of length, two of the number of elements (65535 for many), elements, and 0xff. An
//! element is its encoding, and its own length again, from behind.

use super::PayloadError;
use crate::number::IntegerText;

const BAD: PayloadError = PayloadError::Format;

/// An element of a listpack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Element<'a> {
    Text(&'a [u8]),
    Integer(i64),
}

impl Element<'_> {
    /// The element as bytes.
    pub(crate) fn to_boxed(self) -> Box<[u8]> {
        match self {
            Self::Text(text) => text.into(),
            Self::Integer(integer) => IntegerText::new(integer).as_bytes().into(),
        }
    }
}

/// The elements of a listpack that is all of `bytes`; an iterator that ends with an error if it is
/// none.
pub(crate) fn elements(bytes: &[u8]) -> Result<Elements<'_>, PayloadError> {
    let (head, rest) = bytes.split_first_chunk::<6>().ok_or(BAD)?;
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    if length as usize != bytes.len() {
        return Err(BAD);
    }
    let said = u16::from_le_bytes([head[4], head[5]]);
    Ok(Elements {
        rest,
        said: (said != u16::MAX).then_some(said),
        found: 0,
        over: false,
    })
}

pub(crate) struct Elements<'a> {
    rest: &'a [u8],
    /// How many there are, if that is known.
    said: Option<u16>,
    found: usize,
    over: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, PayloadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.element();
        self.over = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

impl<'a> Elements<'a> {
    fn element(&mut self) -> Result<Option<Element<'a>>, PayloadError> {
        let (&first, rest) = self.rest.split_first().ok_or(BAD)?;
        if first == 0xff {
            let whole =
                rest.is_empty() && self.said.is_none_or(|said| usize::from(said) == self.found);
            return if whole { Ok(None) } else { Err(BAD) };
        }
        let bytes = |count: usize| rest.get(..count).ok_or(BAD);
        let integer = |count: usize| -> Result<(Element<'a>, usize), PayloadError> {
            let bytes = bytes(count)?;
            // The highest byte has the sign.
            let sign = if bytes[count - 1] & 0x80 == 0 {
                0
            } else {
                0xff
            };
            let mut word = [sign; 8];
            word[..count].copy_from_slice(bytes);
            Ok((Element::Integer(i64::from_le_bytes(word)), 1 + count))
        };
        let text = |head: usize, length: usize| -> Result<(Element<'a>, usize), PayloadError> {
            let end = head.checked_add(length).ok_or(BAD)?;
            let text = self.rest.get(head..end).ok_or(BAD)?;
            Ok((Element::Text(text), end))
        };
        let low = |mask: u8| usize::from(first & mask);
        let (element, length) = match first {
            0x00..=0x7f => (Element::Integer(i64::from(first)), 1),
            0x80..=0xbf => text(1, low(0x3f))?,
            0xc0..=0xdf => {
                let value = (i64::from(first & 0x1f) << 8) | i64::from(bytes(1)?[0]);
                let signed = if value >= 1 << 12 {
                    value - (1 << 13)
                } else {
                    value
                };
                (Element::Integer(signed), 2)
            }
            0xe0..=0xef => text(2, low(0x0f) << 8 | usize::from(bytes(1)?[0]))?,
            0xf0 => {
                let length = bytes(4)?;
                let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
                text(5, length as usize)?
            }
            0xf1 => integer(2)?,
            0xf2 => integer(3)?,
            0xf3 => integer(4)?,
            0xf4 => integer(8)?,
            _ => return Err(BAD),
        };
        let behind = self.rest.get(length..).ok_or(BAD)?;
        self.rest = behind.get(backward_len(length)..).ok_or(BAD)?;
        self.found += 1;
        Ok(Some(element))
    }
}

/// Bytes in which an element of this length has its length again.
fn backward_len(length: usize) -> usize {
    match length {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8], count: u16) -> Result<Vec<Element<'_>>, PayloadError> {
        let length = (body.len() + 6) as u32;
        let bytes = [&length.to_le_bytes()[..], &count.to_le_bytes(), body].concat();
        let bytes: &'static [u8] = bytes.leak();
        elements(bytes)?.collect()
    }

    #[test]
    fn elements_of_every_encoding() {
        let cases: [(&[u8], &[Element<'_>]); 9] = [
            (b"\xff", &[]),
            (
                b"\x05\x01\x7f\x01\xff",
                &[Element::Integer(5), Element::Integer(127)],
            ),
            (
                b"\x83abc\x04\x80\x01\xff",
                &[Element::Text(b"abc"), Element::Text(b"")],
            ),
            (b"\xc0\x80\x02\xff", &[Element::Integer(128)]),
            (b"\xdf\xff\x02\xff", &[Element::Integer(-1)]),
            (b"\xe0\x02ab\x04\xff", &[Element::Text(b"ab")]),
            (b"\xf0\x01\0\0\0a\x06\xff", &[Element::Text(b"a")]),
            (
                b"\xf1\x00\x80\x03\xf2\xff\xff\xff\x04\xff",
                &[Element::Integer(-32_768), Element::Integer(-1)],
            ),
            (
                b"\xf3\0\0\0\x80\x05\xf4\xff\xff\xff\xff\xff\xff\xff\x7f\x09\xff",
                &[
                    Element::Integer(i64::from(i32::MIN)),
                    Element::Integer(i64::MAX),
                ],
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(
                read(body, expected.len() as u16).as_deref(),
                Ok(expected),
                "{body:?}"
            );
            assert_eq!(read(body, u16::MAX).as_deref(), Ok(expected), "{body:?}");
        }
    }

    #[test]
    fn what_is_no_listpack_is_refused() {
        let cases: [&[u8]; 9] = [
            b"",
            b"\x05\x01",
            b"\x05",
            b"\x83ab",
            b"\xf0\xff\xff\xff\xffa",
            b"\xf4\0\0",
            b"\xf5\x01\xff",
            b"\xff\xff",
            b"\xe0",
        ];
        for body in cases {
            assert_eq!(read(body, u16::MAX), Err(BAD), "{body:?}");
        }
        assert_eq!(
            read(b"\x05\x01\xff", 2),
            Err(BAD),
            "another number of elements"
        );
        assert!(elements(b"\x08\0\0\0\0\0\xff").is_err(), "another length");
    }
}
