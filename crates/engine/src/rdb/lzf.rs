//! Decompression of LZF, in which servers store longer strings.

/// Most bytes that one byte of input can stand for, roughly: a reference of three bytes for 264.
const MAX_RATIO: usize = 90;

/// What `input` stands for, if that is `length` bytes.
pub(crate) fn decompress(input: &[u8], length: usize) -> Option<Vec<u8>> {
    // Before anything is kept: a length that cannot be right takes no memory.
    if length > input.len().saturating_mul(MAX_RATIO) {
        return None;
    }
    let mut out = Vec::with_capacity(length);
    let mut input = input.iter();
    while let Some(control) = input.next() {
        let control = usize::from(*control);
        if control < 32 {
            let run = input.as_slice().get(..control + 1)?;
            out.extend_from_slice(run);
            input.nth(control);
        } else {
            let mut copied = control >> 5;
            if copied == 7 {
                copied += usize::from(*input.next()?);
            }
            let back = ((control & 31) << 8 | usize::from(*input.next()?)) + 1;
            let from = out.len().checked_sub(back)?;
            // Source and target may overlap: what was just written is read again.
            for at in from..from + copied + 2 {
                out.push(out[at]);
            }
        }
        if out.len() > length {
            return None;
        }
    }
    (out.len() == length).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::decompress;

    #[test]
    fn runs_and_references() {
        type Case = (&'static [u8], usize, Option<&'static [u8]>);
        let cases: [Case; 8] = [
            (b"", 0, Some(b"")),
            (b"\x02abc", 3, Some(b"abc")),
            (b"\x00a\x20\x00", 4, Some(b"aaaa")),
            (b"\x01ab\xe0\x01\x01", 12, Some(b"abababababab")),
            (b"\x02ab", 3, None),
            (b"\x20\x00", 3, None),
            (b"\x00a\x20\x01", 4, None),
            (b"\x00a", 1 << 40, None),
        ];
        for (input, length, expected) in cases {
            assert_eq!(decompress(input, length).as_deref(), expected, "{input:?}");
        }
    }
}
