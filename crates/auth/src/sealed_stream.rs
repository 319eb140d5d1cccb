//! Sealing of files that are larger than memory: snapshots of databases.
//!
//! A file has a random key of its own, sealed under the master key for a purpose. There is room for
//! it twice: while the master key is changed, it is sealed under the old and the new one, so that a
//! crash at any moment leaves a file that opens. What follows are
//! frames of [`FRAME_LEN`] bytes, each sealed by itself; the number of a frame and whether it is
//! the last one go into its nonce. So a frame that was changed, left out, put elsewhere or taken
//! from another file does not open, and a file that was cut off has no last frame.

use std::io::{self, Read, Write};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use zeroize::Zeroizing;

use crate::master_key::{MAX_PURPOSE_LEN, MasterKey, SealError};
use crate::random::random_secret_bytes;

/// Bytes that are sealed together. A reader holds one frame in memory.
pub const FRAME_LEN: usize = 64 * 1024;

/// What every sealed file begins with: a mark, and the version of the form.
const MARK: &[u8; 4] = b"KWF\x01";

/// What AES-GCM adds to a frame.
const TAG_LEN: usize = 16;

/// Longest sealed key: that of the longest purpose, with what sealing adds to it.
const MAX_SEALED_KEY: usize = MAX_PURPOSE_LEN + 128;

/// Why a sealed file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealedFileError {
    /// The system could not read it.
    #[error("the file could not be read")]
    Read(#[source] io::Error),
    /// It does not begin as a sealed file does.
    #[error("this is no sealed file")]
    Form,
    /// Its key does not open.
    #[error("the key of the file does not open")]
    Key(#[source] SealError),
    /// It ends too early.
    #[error("the file is cut off after {frames} whole pieces")]
    CutOff {
        /// Frames that are there.
        frames: u64,
    },
    /// A frame does not open.
    #[error("piece {frame} of the file was changed, or belongs elsewhere")]
    Changed {
        /// Which one, from 0.
        frame: u64,
    },
}

/// The key of one file.
struct FrameKey(LessSafeKey);

impl FrameKey {
    fn new(key: &[u8]) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key).ok()?;
        Some(Self(LessSafeKey::new(key)))
    }

    /// No nonce is used twice with a file's key: every frame has its number.
    fn nonce(frame: u64, last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&frame.to_le_bytes());
        nonce[8] = u8::from(last);
        Nonce::assume_unique_for_key(nonce)
    }
}

/// What is known of a file once it is written or read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SealedFile {
    /// Length of the whole file, in bytes.
    pub bytes: u64,
    /// SHA-256 of the frames as they are stored, without the sealed keys before them: it stays the
    /// same when the master key is changed.
    pub sha256: [u8; 32],
}

fn digest_of(hash: digest::Context) -> [u8; 32] {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(hash.finish().as_ref());
    sha256
}

/// Seals what is written to it.
pub struct SealedWriter<W> {
    inner: W,
    key: FrameKey,
    /// What of the frame is there so far.
    frame: Vec<u8>,
    number: u64,
    hash: digest::Context,
    bytes: u64,
}

impl<W: Write> SealedWriter<W> {
    /// Begins a file that opens for `purpose` only.
    ///
    /// # Errors
    /// The beginning could not be written, or the purpose is longer than [`MAX_PURPOSE_LEN`].
    pub fn new(mut inner: W, master_key: &MasterKey, purpose: &str) -> io::Result<Self> {
        if purpose.len() > MAX_PURPOSE_LEN {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let key = random_secret_bytes::<32>();
        let sealed = master_key.seal(purpose, &*key);
        let length = u16::try_from(sealed.len()).map_err(io::Error::other)?;
        let beginning = beginning(length, &sealed, &vec![0; sealed.len()]);
        inner.write_all(&beginning)?;
        Ok(Self {
            inner,
            key: FrameKey::new(&*key).ok_or(io::ErrorKind::InvalidInput)?,
            frame: Vec::with_capacity(FRAME_LEN + TAG_LEN),
            number: 0,
            hash: digest::Context::new(&digest::SHA256),
            bytes: beginning.len() as u64,
        })
    }

    /// Bytes of the file so far, without the frame that is being filled.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// They could not be written; the file is of no use then.
    pub fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            // A full frame is kept until more follows: it could be the last one.
            if self.frame.len() == FRAME_LEN {
                self.seal(false)?;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(FRAME_LEN - self.frame.len()));
            self.frame.extend_from_slice(now);
            bytes = rest;
        }
        Ok(())
    }

    /// Ends the file; what was written to is handed back, not flushed.
    ///
    /// # Errors
    /// The last frame could not be written.
    pub fn finish(mut self) -> io::Result<(W, SealedFile)> {
        self.seal(true)?;
        let sealed = SealedFile {
            bytes: self.bytes,
            sha256: digest_of(self.hash),
        };
        Ok((self.inner, sealed))
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        let nonce = FrameKey::nonce(self.number, last);
        let sealed = self
            .key
            .0
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut self.frame);
        sealed.map_err(|_| io::Error::other("a frame could not be sealed"))?;
        self.inner.write_all(&self.frame)?;
        self.hash.update(&self.frame);
        self.bytes += self.frame.len() as u64;
        self.number += 1;
        self.frame.clear();
        Ok(())
    }
}

/// Opens what [`SealedWriter`] has sealed, frame by frame. Nothing is handed out of a frame that
/// does not open; that the file is whole is known only once its end was reached.
pub struct SealedReader<R> {
    inner: R,
    key: FrameKey,
    /// The open frame, handed out up to `at`; or, within [`Self::next`], what is stored.
    frame: Vec<u8>,
    at: usize,
    /// The byte behind the frame, if it is not the last one.
    ahead: Option<u8>,
    number: u64,
    ended: bool,
    hash: digest::Context,
    bytes: u64,
}

impl<R: Read> SealedReader<R> {
    /// Opens a file that was sealed for this purpose.
    ///
    /// # Errors
    /// It is no sealed file, or its key does not open for this purpose.
    pub fn new(
        mut inner: R,
        master_key: &MasterKey,
        purpose: &str,
    ) -> Result<Self, SealedFileError> {
        let keys = SealedKeys::read(&mut inner)?;
        let key = keys.open(master_key, purpose)?;
        Ok(Self {
            inner,
            key: FrameKey::new(&key).ok_or(SealedFileError::Form)?,
            frame: Vec::with_capacity(FRAME_LEN + TAG_LEN + 1),
            at: 0,
            ahead: None,
            number: 0,
            ended: false,
            hash: digest::Context::new(&digest::SHA256),
            bytes: keys.beginning().len() as u64,
        })
    }

    /// The bytes that come next; none at the end of the file. They come again until
    /// [`Self::consume`] is called.
    ///
    /// # Errors
    /// The next frame is not what was sealed.
    pub fn chunk(&mut self) -> Result<&[u8], SealedFileError> {
        if self.at == self.frame.len() && !self.ended {
            self.next()?;
        }
        Ok(&self.frame[self.at..])
    }

    /// So many bytes of [`Self::chunk`] were used.
    pub fn consume(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.frame.len());
    }

    /// Fills a buffer; false if the file ends before its first byte.
    ///
    /// # Errors
    /// The next frame is not what was sealed, or the file ends within the buffer.
    pub fn read_exact(&mut self, mut buffer: &mut [u8]) -> Result<bool, SealedFileError> {
        let mut begun = false;
        while !buffer.is_empty() {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                let frames = self.number;
                return if begun {
                    Err(SealedFileError::CutOff { frames })
                } else {
                    Ok(false)
                };
            }
            let now = chunk.len().min(buffer.len());
            let (filled, rest) = buffer.split_at_mut(now);
            filled.copy_from_slice(&chunk[..now]);
            buffer = rest;
            begun = true;
            self.consume(now);
        }
        Ok(true)
    }

    /// Length and hash of the file, if all of it was read.
    pub fn finish(self) -> Option<SealedFile> {
        (self.ended && self.at == self.frame.len()).then(|| SealedFile {
            bytes: self.bytes,
            sha256: digest_of(self.hash),
        })
    }

    fn next(&mut self) -> Result<(), SealedFileError> {
        self.frame.clear();
        self.at = 0;
        self.frame.extend(self.ahead.take());
        let wanted = (FRAME_LEN + TAG_LEN + 1 - self.frame.len()) as u64;
        let mut input = self.inner.by_ref().take(wanted);
        // Does not grow: the buffer has room for it.
        let read = input.read_to_end(&mut self.frame);
        if let Err(error) = read {
            self.frame.clear();
            return Err(SealedFileError::Read(error));
        }
        let last = self.frame.len() <= FRAME_LEN + TAG_LEN;
        if !last {
            self.ahead = self.frame.pop();
        }
        let stored = std::mem::take(&mut self.frame);
        self.frame = self.open(stored, last)?;
        self.number += 1;
        self.ended = last;
        Ok(())
    }

    fn open(&mut self, mut stored: Vec<u8>, last: bool) -> Result<Vec<u8>, SealedFileError> {
        let frame = self.number;
        if stored.len() < TAG_LEN {
            return Err(SealedFileError::CutOff { frames: frame });
        }
        self.hash.update(&stored);
        self.bytes += stored.len() as u64;
        // A file cut between two frames ends with one that was not sealed as the last.
        let whole = (last && stored.len() == FRAME_LEN + TAG_LEN).then(|| stored.clone());
        let opened = self
            .key
            .0
            .open_in_place(FrameKey::nonce(frame, last), Aad::empty(), &mut stored)
            .map(|plain| plain.len());
        match opened {
            Ok(length) => {
                stored.truncate(length);
                Ok(stored)
            }
            Err(_) => {
                let cut = whole.is_some_and(|mut whole| {
                    let nonce = FrameKey::nonce(frame, false);
                    let opened = self.key.0.open_in_place(nonce, Aad::empty(), &mut whole);
                    opened.is_ok()
                });
                Err(if cut {
                    SealedFileError::CutOff { frames: frame + 1 }
                } else {
                    SealedFileError::Changed { frame }
                })
            }
        }
    }
}

fn exactly(inner: &mut impl Read, buffer: &mut [u8]) -> Result<(), SealedFileError> {
    inner.read_exact(buffer).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            SealedFileError::Form
        } else {
            SealedFileError::Read(error)
        }
    })
}

/// The beginning of a sealed file: its key, sealed once, or twice while the master key is changed.
#[derive(Clone, Debug)]
pub struct SealedKeys {
    first: Vec<u8>,
    /// As long as the first; zeros if there is none.
    second: Vec<u8>,
}

fn beginning(length: u16, first: &[u8], second: &[u8]) -> Vec<u8> {
    [MARK, length.to_le_bytes().as_slice(), first, second].concat()
}

impl SealedKeys {
    /// Reads the beginning of a file.
    ///
    /// # Errors
    /// It is no sealed file.
    pub fn read(inner: &mut impl Read) -> Result<Self, SealedFileError> {
        let mut head = [0; MARK.len() + 2];
        exactly(inner, &mut head)?;
        let (mark, length) = head.split_at(MARK.len());
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        if mark != MARK || length == 0 || length > MAX_SEALED_KEY {
            return Err(SealedFileError::Form);
        }
        let [mut first, mut second] = [vec![0; length], vec![0; length]];
        exactly(inner, &mut first)?;
        exactly(inner, &mut second)?;
        Ok(Self { first, second })
    }

    /// The bytes that a file begins with.
    #[must_use]
    pub fn beginning(&self) -> Vec<u8> {
        // At most MAX_SEALED_KEY.
        beginning(self.first.len() as u16, &self.first, &self.second)
    }

    fn has_second(&self) -> bool {
        self.second.iter().any(|byte| *byte != 0)
    }

    fn open(
        &self,
        master_key: &MasterKey,
        purpose: &str,
    ) -> Result<Zeroizing<Vec<u8>>, SealedFileError> {
        let first = master_key.open(purpose, &self.first);
        if !self.has_second() {
            return first.map_err(SealedFileError::Key);
        }
        let second = master_key.open(purpose, &self.second);
        match (first, second) {
            // The other one is sealed under another key, and nothing else is wrong with it.
            (Ok(key), Ok(_) | Err(SealError::AnotherKey)) | (Err(_), Ok(key)) => Ok(key),
            (Ok(_), Err(error)) | (Err(error), Err(_)) => Err(SealedFileError::Key(error)),
        }
    }

    /// With the file's key sealed under a second master key, too. To be written over the beginning
    /// before the old master key is given up.
    ///
    /// # Errors
    /// It does not open under the former one for this purpose.
    pub fn with_second(
        &self,
        former: &MasterKey,
        new: &MasterKey,
        purpose: &str,
    ) -> Result<Self, SealedFileError> {
        let key = self.open(former, purpose)?;
        let first = match former.open(purpose, &self.first) {
            Ok(_) => self.first.clone(),
            Err(_) => self.second.clone(),
        };
        let second = new.seal(purpose, &key);
        Ok(Self { first, second })
    }

    /// What is to be written over the beginning, one after the other, once the old master key is
    /// given up: none if nothing is sealed under it any more.
    ///
    /// # Errors
    /// It does not open under the new one for this purpose.
    pub fn settled(
        &self,
        master_key: &MasterKey,
        purpose: &str,
    ) -> Result<Vec<Self>, SealedFileError> {
        self.open(master_key, purpose)?;
        if !self.has_second() {
            return Ok(Vec::new());
        }
        let own = match master_key.open(purpose, &self.second) {
            Ok(_) => &self.second,
            Err(_) => &self.first,
        };
        let with = |second: &[u8]| Self {
            first: own.clone(),
            second: second.to_vec(),
        };
        Ok(vec![with(&self.second), with(&vec![0; own.len()])])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sealed(key: &MasterKey, purpose: &str, plain: &[u8]) -> (Vec<u8>, SealedFile) {
        let mut writer = SealedWriter::new(Vec::new(), key, purpose).unwrap();
        for piece in plain.chunks(10_007) {
            writer.write_all(piece).unwrap();
        }
        writer.finish().unwrap()
    }

    fn opened(
        key: &MasterKey,
        purpose: &str,
        file: &[u8],
    ) -> Result<(Vec<u8>, SealedFile), SealedFileError> {
        let mut reader = SealedReader::new(file, key, purpose)?;
        let mut plain = Vec::new();
        loop {
            let chunk = reader.chunk()?;
            if chunk.is_empty() {
                return Ok((plain, reader.finish().expect("all of it was read")));
            }
            plain.extend_from_slice(chunk);
            let length = chunk.len();
            reader.consume(length);
        }
    }

    fn plain(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 7 % 251) as u8).collect()
    }

    #[test]
    fn what_was_sealed_is_read_again() {
        let key = MasterKey::generate();
        let lengths = [0, 1, FRAME_LEN - 1, FRAME_LEN, FRAME_LEN + 1];
        for length in lengths
            .into_iter()
            .chain([2 * FRAME_LEN, 3 * FRAME_LEN + 5])
        {
            let plain = plain(length);
            let (file, known) = sealed(&key, "p", &plain);
            assert_eq!(known.bytes, file.len() as u64);
            let (found, read) = opened(&key, "p", &file).unwrap();
            assert!(found == plain && read == known, "{length}");
            assert!(
                !file
                    .windows(32)
                    .any(|part| length > 32 && part == &plain[..32])
            );
        }
    }

    #[test]
    fn a_file_opens_for_its_purpose_and_key_alone() {
        let key = MasterKey::generate();
        let (file, _) = sealed(&key, "p", b"plain");
        let error = |key: &MasterKey, purpose| match opened(key, purpose, &file) {
            Err(SealedFileError::Key(error)) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(error(&key, "q"), SealError::Purpose);
        assert_eq!(error(&MasterKey::generate(), "p"), SealError::AnotherKey);
        let long = "p".repeat(MAX_PURPOSE_LEN + 1);
        assert!(SealedWriter::new(Vec::new(), &key, &long).is_err());
    }

    #[test]
    fn the_key_is_sealed_under_both_master_keys_while_they_change() {
        let (former, new) = (MasterKey::generate(), MasterKey::generate());
        let (mut file, known) = sealed(&former, "p", b"plain");
        let opens = |key: &MasterKey, file: &[u8]| match opened(key, "p", file) {
            Ok((plain, read)) => plain == b"plain" && read == known,
            Err(_) => false,
        };
        let keys = |file: &[u8]| SealedKeys::read(&mut &*file).unwrap();
        assert!(keys(&file).settled(&former, "p").unwrap().is_empty());
        assert!(keys(&file).with_second(&new, &former, "p").is_err());
        // Two attempts: the first one was given up.
        for _ in 0..2 {
            let both = keys(&file).with_second(&former, &new, "p").unwrap();
            file[..both.beginning().len()].copy_from_slice(&both.beginning());
            assert!(opens(&former, &file) && opens(&new, &file));
        }
        let mut changed = file.clone();
        changed[keys(&file).first.len() + 8] ^= 1;
        assert!(
            !opens(&former, &changed),
            "what stands beside the right one is looked at, too"
        );
        for settled in keys(&file).settled(&new, "p").unwrap() {
            assert!(opens(&new, &file));
            file[..settled.beginning().len()].copy_from_slice(&settled.beginning());
        }
        assert!(opens(&new, &file) && !opens(&former, &file));
        assert!(!keys(&file).has_second());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_changed_byte_is_noticed(
            length in 0..3 * FRAME_LEN,
            place in any::<prop::sample::Index>(),
            change in 1..=255_u8,
        ) {
            let key = MasterKey::generate();
            let (mut file, _) = sealed(&key, "p", &plain(length));
            let at = place.index(file.len());
            file[at] ^= change;
            prop_assert!(opened(&key, "p", &file).is_err(), "{} of {}", at, file.len());
        }

        #[test]
        fn what_is_cut_off_or_added_is_noticed(
            frames in 0..3_usize,
            rest in 0..3_usize,
            cut in any::<prop::sample::Index>(),
        ) {
            let key = MasterKey::generate();
            let (file, _) = sealed(&key, "p", &plain(frames * FRAME_LEN + rest));
            let cut = cut.index(file.len());
            prop_assert!(opened(&key, "p", &file[..cut]).is_err());
            let more = [&file[..], &file[..cut]].concat();
            prop_assert!(cut == 0 || opened(&key, "p", &more).is_err());
        }

        #[test]
        fn frames_that_are_moved_are_noticed(from in 0..4_usize, to in 0..4_usize) {
            prop_assume!(from != to);
            let key = MasterKey::generate();
            let (one, _) = sealed(&key, "p", &plain(4 * FRAME_LEN));
            let (other, _) = sealed(&key, "p", &plain(4 * FRAME_LEN));
            let frame = FRAME_LEN + TAG_LEN;
            let head = one.len() - 4 * frame;
            let place = |number: usize| head + number * frame..head + (number + 1) * frame;
            // Two of the same file, one of another file, and another file's beginning.
            let mut swapped = one.clone();
            swapped[place(to)].copy_from_slice(&one[place(from)]);
            prop_assert!(opened(&key, "p", &swapped).is_err());
            let mut mixed = one.clone();
            mixed[place(to)].copy_from_slice(&other[place(to)]);
            prop_assert!(opened(&key, "p", &mixed).is_err());
            let mut headed = one.clone();
            headed[..head].copy_from_slice(&other[..head]);
            prop_assert!(opened(&key, "p", &headed).is_err());
            // One left out, and a cut between two.
            let missing = [&one[..place(to).start], &one[place(to).end..]].concat();
            prop_assert!(opened(&key, "p", &missing).is_err());
            let cut = opened(&key, "p", &one[..place(to).start]);
            let said = matches!(cut, Err(SealedFileError::CutOff { frames }) if frames == to as u64);
            prop_assert!(said, "{:?}", cut);
        }
    }
}
