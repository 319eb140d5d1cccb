//! Replies: decode, encode, decode again, compare; byte by byte as all at once.
#![no_main]

use keyward_resp::{ReplyError, ReplyFramer, Value, complete_reply};
use libfuzzer_sys::fuzz_target;

/// Where the replies of `input` end, which becomes visible in steps of so many bytes, and why it
/// ended.
fn frame_all(input: &[u8], step: usize) -> (Vec<(usize, Option<u8>)>, Option<ReplyError>) {
    let mut framer = ReplyFramer::new();
    let mut ends = Vec::new();
    let (mut start, mut end) = (0, 0);
    loop {
        match framer.frame(&input[start..end]) {
            Ok(framed) if framed.complete => {
                start += framed.consumed;
                ends.push((start, framer.kind()));
            }
            Ok(framed) => {
                start += framed.consumed;
                if end == input.len() {
                    return (ends, None);
                }
                end = input.len().min(end + step);
            }
            Err(error) => return (ends, Some(error)),
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let whole = frame_all(input, input.len().max(1));
    assert_eq!(frame_all(input, 1), whole);
    assert_eq!(frame_all(input, 7), whole);

    let first = complete_reply(input);
    if let Ok(Some((value, len))) = Value::decode(input) {
        assert_eq!(first, Ok(Some(len)));
        let mut encoded = Vec::new();
        value.encode(&mut encoded);
        let again = Value::decode(&encoded);
        let Ok(Some((value, len))) = again else {
            panic!("{again:?} of {}", encoded.escape_ascii());
        };
        assert_eq!(len, encoded.len());
        // The bytes, since a NaN is not equal to itself.
        let mut twice = Vec::new();
        value.encode(&mut twice);
        assert_eq!(encoded, twice);
    }
});
