//! Payloads of `RESTORE`: with any bytes, and under a right version and checksum; what is read is
//! written and read again.
#![no_main]

use keyward_engine::{Engine, Settings, UnixMillis};
use libfuzzer_sys::fuzz_target;

/// Version and checksum behind a value.
fn finished(body: &[u8]) -> Vec<u8> {
    let mut payload = body.to_vec();
    payload.extend_from_slice(&[10, 0]);
    let mut crc = 0_u64;
    for byte in &payload {
        crc ^= u64::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x95ac_9329_ac4b_c9b5 & (crc & 1).wrapping_neg());
        }
    }
    payload.extend_from_slice(&crc.to_le_bytes());
    payload
}

fuzz_target!(|input: &[u8]| {
    let mut engine = Engine::new(Settings {
        hash_seed: [1, 2],
        started_at: UnixMillis(0),
    });
    let reader = engine.payload_reader();
    let _ = reader.read(input);
    if let Ok(value) = reader.read(&finished(input)) {
        let now = UnixMillis(1);
        assert_eq!(engine.put(0, b"k", value, 0, false, now), Ok(()));
        assert_eq!(engine.begin_snapshot(now), Some(1));
        let mut records = Vec::new();
        while engine.continue_snapshot(1, 1, &mut records) {}
        let record = records.pop().expect("the key is in the snapshot");
        assert!(reader.read(&record.into_payload()).is_ok());
    }
});
