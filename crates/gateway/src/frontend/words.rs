//! The words of a request, as the catalogue and the decisions see them.

use keyward_commands::Words;
use keyward_resp::WordSlices;

/// The words of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestWords<'a>(pub(crate) WordSlices<'a>);

impl<'a> RequestWords<'a> {
    /// Word `at`, if there is one.
    pub(crate) fn get(self, at: usize) -> Option<&'a [u8]> {
        (at < self.0.len()).then(|| self.0.get(at))
    }

    /// The words from `at` on.
    pub(crate) fn from(self, at: usize) -> impl ExactSizeIterator<Item = &'a [u8]> {
        self.0.iter().skip(at)
    }

    /// Whether word `at` is `option`, in any letter case.
    pub(crate) fn is(self, at: usize, option: &str) -> bool {
        self.get(at)
            .is_some_and(|word| word.eq_ignore_ascii_case(option.as_bytes()))
    }
}

impl Words for RequestWords<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn word(&self, at: usize) -> &[u8] {
        self.0.get(at)
    }
}
