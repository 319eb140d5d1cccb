//! The encoder: every function appends to `out`.

use crate::{Protocol, format_double};

const CRLF: &[u8] = b"\r\n";

/// A request as the multibulk that servers take: what the gateway forwards in place of an inline
/// one, and what a client sends.
pub fn encode_request<'a>(words: impl ExactSizeIterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    array(out, words.len());
    for word in words {
        bulk(out, word);
    }
}

/// A simple string, such as `+OK`. CR and LF in it become spaces, as the server does.
pub fn simple(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    line(out, b'+', text.as_ref());
}

/// An error with its prefix, such as `ERR syntax error`. CR and LF in it become spaces, as the
/// server does, so that what a client sent can be quoted in it.
pub fn error(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    line(out, b'-', text.as_ref());
}

/// An integer.
pub fn integer(out: &mut Vec<u8>, value: i64) {
    out.push(b':');
    decimal(out, value);
    out.extend_from_slice(CRLF);
}

/// A bulk string.
pub fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    blob(out, b'$', bytes);
}

/// Nothing in place of a value: `$-1` or `_`.
pub fn null(out: &mut Vec<u8>, protocol: Protocol) {
    out.extend_from_slice(match protocol {
        Protocol::Resp2 => b"$-1\r\n",
        Protocol::Resp3 => b"_\r\n",
    });
}

/// Nothing in place of an array: `*-1` or `_`.
pub fn null_array(out: &mut Vec<u8>, protocol: Protocol) {
    out.extend_from_slice(match protocol {
        Protocol::Resp2 => b"*-1\r\n",
        Protocol::Resp3 => b"_\r\n",
    });
}

/// Header of an array; `len` values follow.
pub fn array(out: &mut Vec<u8>, len: usize) {
    header(out, b'*', len);
}

/// Header of a map; `pairs` times a key and a value follow. RESP2: an array of twice as many.
pub fn map(out: &mut Vec<u8>, protocol: Protocol, pairs: usize) {
    match protocol {
        Protocol::Resp2 => header(out, b'*', pairs * 2),
        Protocol::Resp3 => header(out, b'%', pairs),
    }
}

/// Header of a set; `len` values follow. RESP2: an array.
pub fn set(out: &mut Vec<u8>, protocol: Protocol, len: usize) {
    match protocol {
        Protocol::Resp2 => header(out, b'*', len),
        Protocol::Resp3 => header(out, b'~', len),
    }
}

/// Header of a push; `len` values follow. RESP2: an array.
pub fn push(out: &mut Vec<u8>, protocol: Protocol, len: usize) {
    match protocol {
        Protocol::Resp2 => header(out, b'*', len),
        Protocol::Resp3 => header(out, b'>', len),
    }
}

/// A double, with the text of [`format_double`]. RESP2: a bulk string.
pub fn double(out: &mut Vec<u8>, protocol: Protocol, value: f64) {
    let text = format_double(value);
    match protocol {
        Protocol::Resp2 => bulk(out, text.as_bytes()),
        Protocol::Resp3 => line(out, b',', text.as_bytes()),
    }
}

/// A boolean. RESP2: the integer 1 or 0.
pub fn boolean(out: &mut Vec<u8>, protocol: Protocol, value: bool) {
    out.extend_from_slice(match (protocol, value) {
        (Protocol::Resp2, true) => b":1\r\n",
        (Protocol::Resp2, false) => b":0\r\n",
        (Protocol::Resp3, true) => b"#t\r\n",
        (Protocol::Resp3, false) => b"#f\r\n",
    });
}

/// A verbatim string. `format` is three bytes, such as `txt`; a longer one is cut, a shorter one
/// filled with spaces, as the server does. RESP2: a bulk string.
pub fn verbatim(out: &mut Vec<u8>, protocol: Protocol, format: &str, text: &[u8]) {
    match protocol {
        Protocol::Resp2 => bulk(out, text),
        Protocol::Resp3 => {
            let mut three = [b' '; 3];
            for (to, from) in three.iter_mut().zip(format.bytes()) {
                *to = from;
            }
            out.reserve(text.len() + 20);
            header(out, b'=', text.len() + 4);
            out.extend_from_slice(&three);
            out.push(b':');
            out.extend_from_slice(text);
            out.extend_from_slice(CRLF);
        }
    }
}

/// An integer of any size, as decimal digits. RESP2: a bulk string.
pub fn big_number(out: &mut Vec<u8>, protocol: Protocol, digits: impl AsRef<[u8]>) {
    match protocol {
        Protocol::Resp2 => bulk(out, digits.as_ref()),
        Protocol::Resp3 => line(out, b'(', digits.as_ref()),
    }
}

/// Bytes of any kind behind their length.
pub(crate) fn blob(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.reserve(bytes.len() + 16);
    header(out, kind, bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(CRLF);
}

pub(crate) fn header(out: &mut Vec<u8>, kind: u8, len: usize) {
    out.push(kind);
    if len < 10 {
        out.push(b'0' + len as u8);
    } else {
        decimal_digits(out, len as u64);
    }
    out.extend_from_slice(CRLF);
}

pub(crate) fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.reserve(text.len() + 3);
    out.push(kind);
    let start = out.len();
    out.extend_from_slice(text);
    for byte in &mut out[start..] {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(CRLF);
}

fn decimal(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    decimal_digits(out, value.unsigned_abs());
}

fn decimal_digits(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
