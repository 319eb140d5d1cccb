//! The checksum of payloads: CRC-64 with the Jones polynomial, reflected, from 0.

/// The polynomial 0xad93d23594c935a9 with its bits reversed.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

/// `TABLES[n][byte]`: what a byte means that is followed by `n` others.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut byte = 0;
    while byte < 256 {
        let mut level = 1;
        while level < 8 {
            let before = tables[level - 1][byte];
            tables[level][byte] = tables[0][(before & 0xff) as usize] ^ (before >> 8);
            level += 1;
        }
        byte += 1;
    }
    tables
}

/// The checksum of bytes that follow those with the checksum `crc`; 0 at the start.
pub(crate) fn crc64(mut crc: u64, bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<8>();
    for block in blocks {
        let word = crc ^ u64::from_le_bytes(*block);
        crc = 0;
        for (byte, table) in word.to_le_bytes().into_iter().zip(TABLES.iter().rev()) {
            crc ^= table[usize::from(byte)];
        }
    }
    for byte in rest {
        crc = TABLES[0][usize::from(*byte ^ crc as u8)] ^ (crc >> 8);
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::crc64;

    #[test]
    fn the_servers_test_values() {
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        let text = b"This is a test of the emergency broadcast system.";
        for cut in 0..text.len() {
            let (one, other) = text.split_at(cut);
            assert_eq!(crc64(crc64(0, one), other), crc64(0, text), "{cut}");
        }
    }
}
