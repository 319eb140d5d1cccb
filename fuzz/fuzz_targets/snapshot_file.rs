//! Files of snapshots: any bytes, any content under a right seal, and one changed byte of a file.
#![no_main]

use keyward_auth::{MasterKey, SealedWriter};
use keyward_gateway::{
    RecordHead, SnapshotFileError, SnapshotHeader, SnapshotReader, SnapshotWriter, snapshot_purpose,
};
use libfuzzer_sys::fuzz_target;

const PATH: &str = "org/a/kvdb/d/snapshot/s";

fn read(key: &MasterKey, file: &[u8]) -> Result<u64, SnapshotFileError> {
    let mut reader = SnapshotReader::new(file, key, PATH)?;
    let mut records = 0;
    while let Some(head) = reader.record()? {
        records += 1;
        let mut left = head.payload as usize;
        // Every other payload is passed over.
        while records % 2 == 0 && left > 0 {
            let length = reader.payload()?.len();
            assert!(length > 0 && length <= left);
            reader.consume(length);
            left -= length;
        }
    }
    assert!(reader.finish().is_some());
    Ok(records)
}

fuzz_target!(|input: &[u8]| {
    let key = MasterKey::new([7; 32]);
    let _ = read(&key, input);
    // The content of a faulty writer.
    let mut sealed = SealedWriter::new(Vec::new(), &key, &snapshot_purpose(PATH)).expect("memory");
    sealed.write_all(input).expect("memory");
    let (file, _) = sealed.finish().expect("memory");
    let _ = read(&key, &file);
    // A file that was written, and one that was changed.
    let header = SnapshotHeader {
        path: PATH.to_owned(),
        created: 1,
        server: "embedded".to_owned(),
    };
    let mut writer = SnapshotWriter::new(Vec::new(), &key, &header).expect("memory");
    let parts: Vec<&[u8]> = input.chunks(17).collect();
    for part in &parts {
        let head = RecordHead {
            database: 0,
            key: part.to_vec(),
            expires_at: 0,
            payload: part.len() as u32,
        };
        writer.record(&head).expect("memory");
        writer.payload(part).expect("memory");
    }
    let (mut file, _) = writer.finish().expect("memory");
    assert!(matches!(read(&key, &file), Ok(records) if records == parts.len() as u64));
    let at = input
        .first()
        .map_or(0, |byte| usize::from(*byte) * file.len() / 256);
    file[at] ^= 1;
    assert!(read(&key, &file).is_err());
});
