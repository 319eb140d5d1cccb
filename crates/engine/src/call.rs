//! One command being run.

use crate::failure::Failure;
use crate::number::{parse_double, parse_integer};
use crate::reply::Reply;
use crate::space::Space;
use keyward_commands::Words;

/// What a command's function works with. The fields are apart so that a value of `space` can be
/// read while `reply` is written.
pub(crate) struct Call<'a> {
    /// The command's name in the catalogue, such as `config|get`.
    pub(crate) name: &'static str,
    pub(crate) arguments: Arguments<'a>,
    pub(crate) space: Space<'a>,
    pub(crate) reply: Reply<'a>,
    pub(crate) random: Random<'a>,
    pub(crate) server: &'a crate::server::ServerState,
}

/// The words of a command, its name at 0.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a>(pub(crate) &'a dyn Words);

impl<'a> Arguments<'a> {
    pub(crate) fn len(self) -> usize {
        self.0.len()
    }

    /// The word at `at`, which is below `len`.
    pub(crate) fn word(self, at: usize) -> &'a [u8] {
        self.0.word(at)
    }

    /// The words from `from` on.
    pub(crate) fn from(self, from: usize) -> impl ExactSizeIterator<Item = &'a [u8]> {
        (from.min(self.len())..self.len()).map(move |at| self.word(at))
    }

    /// Is the word at `at` this option, in any letter case?
    pub(crate) fn is(self, at: usize, option: &str) -> bool {
        at < self.len() && self.word(at).eq_ignore_ascii_case(option.as_bytes())
    }

    pub(crate) fn integer(self, at: usize) -> Result<i64, Failure> {
        parse_integer(self.word(at)).ok_or(Failure::NOT_AN_INTEGER)
    }

    /// An integer of 32 bits, with the server's words for what is out of range.
    pub(crate) fn int(self, at: usize) -> Result<i64, Failure> {
        let value = self.integer(at)?;
        if i32::try_from(value).is_err() {
            return Err(Failure::new(
                "ERR value is out of range, value must between -2147483648 and 2147483647",
            ));
        }
        Ok(value)
    }

    pub(crate) fn double(self, at: usize) -> Result<f64, Failure> {
        parse_double(self.word(at)).ok_or(Failure::NOT_A_FLOAT)
    }

    /// An integer from 0 up, in the words that the server has for counts.
    pub(crate) fn count(self, at: usize) -> Result<usize, Failure> {
        let value = parse_integer(self.word(at)).ok_or(Failure::NOT_POSITIVE)?;
        usize::try_from(value).map_err(|_| Failure::NOT_POSITIVE)
    }

    /// An integer from 1 up; `failure` if it is something else.
    pub(crate) fn at_least_one(self, at: usize, failure: &'static str) -> Result<usize, Failure> {
        let value = parse_integer(self.word(at)).filter(|value| *value >= 1);
        value
            .map(|value| usize::try_from(value).unwrap_or(usize::MAX))
            .ok_or(Failure::new(failure))
    }

    /// Where the keys of LMPOP and ZMPOP end, which word 1 counts.
    pub(crate) fn end_of_popped_keys(self) -> Result<usize, Failure> {
        let keys = self.at_least_one(1, "ERR numkeys should be greater than 0")?;
        let end = keys.checked_add(2).filter(|end| *end < self.len());
        end.ok_or(Failure::SYNTAX)
    }

    /// The `COUNT` of LMPOP and ZMPOP, from word `at` on; 1 if it is left out.
    pub(crate) fn pop_count(self, at: usize) -> Result<usize, Failure> {
        if at == self.len() {
            return Ok(1);
        }
        if !self.is(at, "count") || at + 1 == self.len() {
            return Err(Failure::SYNTAX);
        }
        let count = self.at_least_one(at + 1, "ERR count should be greater than 0")?;
        if at + 2 < self.len() {
            Err(Failure::SYNTAX)
        } else {
            Ok(count)
        }
    }

    /// The count of a random choice: positive for different elements, negative for any.
    pub(crate) fn random_count(self, at: usize) -> Result<i64, Failure> {
        match self.integer(at)? {
            i64::MIN => Err(Failure::new(
                "ERR value is out of range, value must between -9223372036854775807 and \
                 9223372036854775807",
            )),
            count if count < -MAX_REPEATED => Err(Failure::OUT_OF_RANGE),
            count => Ok(count),
        }
    }
}

/// Most elements that a random choice with repetition answers with. The server has no limit, but
/// a reply of any size from a few bytes is a way to exhaust the memory.
const MAX_REPEATED: i64 = 1 << 22;

/// Randomness of one call.
pub(crate) struct Random<'a>(pub(crate) &'a mut dyn FnMut() -> u64);

impl Random<'_> {
    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from((self.0)()) * bound as u128) >> 64) as usize
    }

    /// `count` different numbers below `bound`, fewer if there are not as many; in no order.
    pub(crate) fn distinct_below(&mut self, bound: usize, count: usize) -> Vec<usize> {
        if count >= bound {
            return (0..bound).collect();
        }
        // Floyd's way: one draw for each number, whatever the bound.
        let mut chosen = std::collections::BTreeSet::new();
        let mut numbers = Vec::with_capacity(count);
        for top in bound - count..bound {
            let drawn = self.below(top + 1);
            let number = if chosen.insert(drawn) { drawn } else { top };
            chosen.insert(number);
            numbers.push(number);
        }
        // The last ones are likelier to be great: mixed once more.
        for at in (1..numbers.len()).rev() {
            let other = self.below(at + 1);
            numbers.swap(at, other);
        }
        numbers
    }
}

/// Range of places that a pair of indexes means, where negative ones count from the end: the
/// server's rule for GETRANGE, LRANGE, LTRIM and ZRANGE. Empty if there is nothing between them.
pub(crate) fn index_range(start: i64, stop: i64, len: usize) -> std::ops::Range<usize> {
    let len = len as i64;
    let from = if start < 0 {
        len.saturating_add(start).max(0)
    } else {
        start
    };
    let to = if stop < 0 {
        len.saturating_add(stop)
    } else {
        stop
    }
    .min(len - 1);
    if from > to || from >= len {
        0..0
    } else {
        from as usize..to as usize + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_ranges_are_the_servers() {
        let cases = [
            ((0, -1, 3), 0..3),
            ((-2, -1, 3), 1..3),
            ((-100, 100, 3), 0..3),
            ((2, 1, 3), 0..0),
            ((3, 5, 3), 0..0),
            ((0, -4, 3), 0..0),
            ((i64::MIN, i64::MAX, 3), 0..3),
            ((i64::MAX, i64::MIN, 3), 0..0),
            ((0, 0, 0), 0..0),
        ];
        for ((start, stop, len), expected) in cases {
            assert_eq!(
                index_range(start, stop, len),
                expected,
                "{start} {stop} {len}"
            );
        }
    }

    #[test]
    fn distinct_numbers_are_distinct_and_all_possible() {
        let mut state = 1u64;
        let mut draw = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state
        };
        let mut random = Random(&mut draw);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let numbers = random.distinct_below(10, 3);
            let set: std::collections::BTreeSet<_> = numbers.iter().copied().collect();
            assert_eq!(set.len(), 3);
            seen.extend(set);
        }
        assert_eq!(seen.len(), 10);
        assert_eq!(random.distinct_below(3, 9).len(), 3);
    }
}
