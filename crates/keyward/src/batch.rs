//! Cases on standard input, one a line; answers on standard output, one a line, in order.

use std::io::{self, BufRead, Write};

/// Longest line, in bytes.
const MAX_LINE: usize = 64 * 1024 * 1024;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 16;

/// What stands in the place of a line that is longer than [`MAX_LINE`].
pub(crate) const TOO_LONG: &str = "the line is too long";

/// A line of the input.
pub(crate) enum Line<'a> {
    /// Without its end.
    Text(&'a [u8]),
    /// Longer than [`MAX_LINE`]; its text is gone.
    TooLong,
}

/// Answers every line, each by itself; the closure is told which line of the input it is, the first
/// being 1. Output is flushed whenever no further input waits. Empty lines are passed over.
pub(crate) fn run(
    input: impl io::Read,
    output: impl Write,
    mut answer: impl FnMut(usize, Line<'_>, &mut Vec<u8>),
) -> io::Result<()> {
    let mut input = io::BufReader::with_capacity(CHUNK, input);
    let mut output = io::BufWriter::with_capacity(CHUNK, output);
    let (mut line, mut answered) = (Vec::new(), Vec::new());
    let mut too_long = false;
    let mut number = 1;
    loop {
        if input.buffer().is_empty() {
            output.flush()?;
        }
        let chunk = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            chunk => chunk?,
        };
        let at_end = chunk.is_empty();
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let (part, used) = match end {
            Some(end) => (&chunk[..end], end + 1),
            None => (chunk, chunk.len()),
        };
        if line.len() + part.len() > MAX_LINE {
            too_long = true;
            line = Vec::new();
        }
        if !too_long {
            line.extend_from_slice(part);
        }
        input.consume(used);
        if end.is_none() && !at_end {
            continue;
        }
        answered.clear();
        if too_long {
            answer(number, Line::TooLong, &mut answered);
        } else if !line.trim_ascii().is_empty() {
            answer(number, Line::Text(&line), &mut answered);
        }
        if !answered.is_empty() {
            answered.push(b'\n');
            output.write_all(&answered)?;
        }
        line.clear();
        too_long = false;
        number += 1;
        if at_end {
            return output.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(number: usize, line: Line<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{number}:").as_bytes());
        match line {
            Line::Text(text) => out.extend_from_slice(text),
            Line::TooLong => out.extend_from_slice(b"too long"),
        }
    }

    #[test]
    fn lines() {
        let cases: [(&str, &str); 5] = [
            ("", ""),
            ("a\nb\n", "1:a\n2:b\n"),
            ("a\n\n  \nb", "1:a\n4:b\n"),
            ("a\r\n", "1:a\r\n"),
            ("\n", ""),
        ];
        for (input, expected) in cases {
            let mut output = Vec::new();
            run(input.as_bytes(), &mut output, echo).unwrap();
            assert_eq!(String::from_utf8(output).unwrap(), expected, "{input:?}");
        }
    }

    #[test]
    fn a_line_without_end_does_not_fill_memory() {
        let endless = io::Read::take(io::repeat(b'x'), MAX_LINE as u64 + 10);
        let mut output = Vec::new();
        run(io::Read::chain(endless, &b"\na\n"[..]), &mut output, echo).unwrap();
        assert_eq!(output, b"1:too long\n2:a\n");
    }

    #[test]
    fn flushed_before_it_waits() {
        // A reader that gives one line at a time, and looks at what was written meanwhile.
        struct Steps<'a>(Vec<&'a [u8]>, &'a std::cell::RefCell<Vec<u8>>, Vec<usize>);
        impl io::Read for Steps<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.2.push(self.1.borrow().len());
                let Some(next) = self.0.pop() else {
                    assert_eq!(self.2, [0, 4, 8]);
                    return Ok(0);
                };
                buffer[..next.len()].copy_from_slice(next);
                Ok(next.len())
            }
        }
        struct Shared<'a>(&'a std::cell::RefCell<Vec<u8>>);
        impl Write for Shared<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.borrow_mut().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let written = std::cell::RefCell::new(Vec::new());
        let steps = Steps(vec![b"b\n", b"a\n"], &written, Vec::new());
        run(steps, Shared(&written), echo).unwrap();
        assert_eq!(*written.borrow(), b"1:a\n2:b\n");
    }
}
