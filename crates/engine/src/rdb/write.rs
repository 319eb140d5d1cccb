//! Writing of payloads: one form for each type, which servers read since Redis 4 and turn into
//! their own compact ones.

use super::{VERSION, crc64::crc64, kind};
use crate::number::IntegerText;
use crate::value::Value;

/// The value without the footer.
pub(crate) fn body(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Integer(integer) => {
            out.push(kind::STRING);
            string(&mut out, IntegerText::new(*integer).as_bytes());
        }
        Value::Bytes(bytes) => {
            out.reserve_exact(bytes.len() + 32);
            out.push(kind::STRING);
            string(&mut out, bytes);
        }
        Value::List(list) => {
            out.push(kind::LIST);
            length(&mut out, list.len());
            for element in list.iter() {
                string(&mut out, element);
            }
        }
        Value::Set(set) => {
            out.push(kind::SET);
            length(&mut out, set.len());
            for (member, ()) in set.iter() {
                string(&mut out, member);
            }
        }
        Value::Hash(hash) => {
            out.push(kind::HASH);
            length(&mut out, hash.len());
            for (field, value) in hash.iter() {
                string(&mut out, field);
                string(&mut out, value);
            }
        }
        Value::SortedSet(set) => {
            out.push(kind::ZSET_2);
            length(&mut out, set.len());
            // From the greatest: so a server always adds at the front of its list.
            for (member, score) in set.descending(set.len().saturating_sub(1)) {
                string(&mut out, member);
                out.extend_from_slice(&score.to_le_bytes());
            }
        }
    }
    out
}

/// Adds version and checksum.
pub(crate) fn finish(payload: &mut Vec<u8>) {
    payload.extend_from_slice(&VERSION.to_le_bytes());
    let sum = crc64(0, payload);
    payload.extend_from_slice(&sum.to_le_bytes());
}

fn length(out: &mut Vec<u8>, length: usize) {
    match length {
        0..=0x3f => out.push(length as u8),
        0x40..=0x3fff => out.extend_from_slice(&(0x4000 | length as u16).to_be_bytes()),
        _ => match u32::try_from(length) {
            Ok(length) => {
                out.push(0x80);
                out.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                out.push(0x81);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        },
    }
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    length(out, text.len());
    out.extend_from_slice(text);
}
