use std::fmt;
use std::ops::Range;

/// Where the words of one request lie; made by [`RequestDecoder::decode`](crate::RequestDecoder) and
/// reused between requests, so that a warm one allocates nothing.
///
/// A multibulk request's words are ranges of the input. An inline request's words had to be
/// unquoted, so they lie in a small buffer of this value. [`Words::of`] hides the difference.
#[derive(Clone, Default)]
pub struct Words {
    /// Start and length. `u32`: a request is shorter than 4 GiB, and half the memory is touched.
    ranges: Vec<(u32, u32)>,
    /// Unquoted words of an inline request.
    unquoted: Vec<u8>,
    /// Whether `ranges` are of `unquoted`, not of the input.
    is_unquoted: bool,
}

/// Ranges kept for the next request. What one request of many words needed beyond is given back.
const KEPT_RANGES: usize = 1024;
/// Bytes of unquoted words kept for the next inline request.
const KEPT_UNQUOTED: usize = 4096;

impl Words {
    /// Number of words.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is no word: an empty line, or a multibulk request of no words.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Where word `i` lies in the input, or, for an inline request, in the buffer that
    /// [`Words::of`] reads instead.
    ///
    /// # Panics
    ///
    /// If there are not that many words.
    pub fn range(&self, i: usize) -> Range<usize> {
        let (start, len) = self.ranges[i];
        start as usize..start as usize + len as usize
    }

    /// The words themselves. `input` is what the decoder was given when it said `Complete`.
    #[inline]
    pub fn of<'a>(&'a self, input: &'a [u8]) -> WordSlices<'a> {
        let bytes = if self.is_unquoted {
            &self.unquoted
        } else {
            input
        };
        WordSlices {
            ranges: &self.ranges,
            bytes,
        }
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        if self.ranges.capacity() > KEPT_RANGES || self.is_unquoted {
            self.clear_unusual();
        }
        self.ranges.clear();
    }

    #[cold]
    fn clear_unusual(&mut self) {
        self.ranges.clear();
        self.ranges.shrink_to(KEPT_RANGES);
        self.unquoted.clear();
        self.unquoted.shrink_to(KEPT_UNQUOTED);
        self.is_unquoted = false;
    }

    /// Adds a range of the input. The caller has checked that a request is shorter than 4 GiB.
    #[inline]
    pub(crate) fn push(&mut self, start: usize, len: usize) {
        self.ranges.push((start as u32, len as u32));
    }

    /// Adds one byte to the word that [`Words::end_unquoted`] will add.
    pub(crate) fn push_unquoted(&mut self, byte: u8) {
        self.unquoted.push(byte);
    }

    /// Start of the word that is being unquoted, to be handed to [`Words::end_unquoted`].
    pub(crate) fn begin_unquoted(&mut self) -> usize {
        self.is_unquoted = true;
        self.unquoted.len()
    }

    pub(crate) fn end_unquoted(&mut self, start: usize) {
        self.push(start, self.unquoted.len() - start);
    }
}

/// Shows the ranges only: words may be secrets.
impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Words")
            .field("ranges", &self.ranges)
            .finish_non_exhaustive()
    }
}

/// The words of one request: the command's name first.
#[derive(Clone, Copy)]
pub struct WordSlices<'a> {
    ranges: &'a [(u32, u32)],
    bytes: &'a [u8],
}

impl<'a> WordSlices<'a> {
    /// Number of words.
    #[inline]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is no word.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Word `i`.
    ///
    /// # Panics
    ///
    /// If there are not that many words.
    #[inline]
    pub fn get(&self, i: usize) -> &'a [u8] {
        slice(self.bytes, self.ranges[i])
    }

    /// The words in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let bytes = self.bytes;
        self.ranges.iter().map(move |&range| slice(bytes, range))
    }
}

#[inline]
fn slice(bytes: &[u8], (start, len): (u32, u32)) -> &[u8] {
    &bytes[start as usize..][..len as usize]
}

/// Shows the number of words only: they may be secrets.
impl fmt::Debug for WordSlices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WordSlices")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
