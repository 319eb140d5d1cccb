//! Requests: decode, encode, decode again, compare; byte by byte as all at once.
#![no_main]

use keyward_resp::{Decoded, RequestDecoder, RequestError, RequestLimits, Words, encode_request};
use libfuzzer_sys::fuzz_target;

/// Small, so that every limit is met.
const LIMITS: RequestLimits = RequestLimits {
    max_args: 16,
    max_bulk: 300,
    max_request: 600,
    max_inline: 200,
    logged_in: true,
};

/// All requests of `input`, which becomes visible in steps of so many bytes, and why it ended.
fn decode_all(input: &[u8], step: usize) -> (Vec<Vec<Vec<u8>>>, Option<RequestError>) {
    let mut decoder = RequestDecoder::new();
    let mut requests = Vec::new();
    let (mut start, mut end) = (0, 0);
    loop {
        let mut words = Words::default();
        match decoder.decode(&input[start..end], &LIMITS, &mut words) {
            Ok(Decoded::Complete { len, .. }) => {
                requests.push(
                    words
                        .of(&input[start..end])
                        .iter()
                        .map(<[u8]>::to_vec)
                        .collect(),
                );
                start += len;
            }
            Ok(Decoded::Incomplete { missing }) => {
                assert!(missing > 0);
                if end == input.len() {
                    return (requests, None);
                }
                end = input.len().min(end + step);
            }
            Err(error) => return (requests, Some(error)),
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let (requests, error) = decode_all(input, input.len().max(1));
    assert_eq!(decode_all(input, 1), (requests.clone(), error.clone()));
    assert_eq!(decode_all(input, 7), (requests.clone(), error));
    for request in requests {
        let mut encoded = Vec::new();
        encode_request(request.iter().map(Vec::as_slice), &mut encoded);
        // Short inline words take more bytes as multibulk.
        if encoded.len() <= LIMITS.max_request {
            assert_eq!(decode_all(&encoded, encoded.len()), (vec![request], None));
        }
    }
});
