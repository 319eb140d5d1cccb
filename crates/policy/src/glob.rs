//! The server's own glob, compiled, in time linear in the pattern and in the key.
//!
//! Source: `stringmatchlen` of Redis 7 and Valkey 9, held against live servers by
//! `tests/glob_of_servers.rs`. Byte-wise and case-sensitive:
//!
//! - `*` any run of bytes, `?` one byte, `\x` the byte `x`, a trailing `\` is itself;
//! - `[abc]`, `[a-z]` (a reversed range is swapped), `[^a]`; an escape inside a class is its byte,
//!   a class that is not closed runs to the end of the pattern, an empty class matches nothing;
//! - the bounds of a range are compared as signed bytes, as the server does on x86-64 (documents
//!   may not have bounds outside ASCII, because other processors compare them as unsigned);
//! - the lone `*` matches every key, also the empty one; any other pattern matches the empty key
//!   only if it is empty itself (so `**` does not).
//!
//! Where it differs: the server gives up, and answers "no match", at more than 1,000 stars that
//! stand apart. Here they match; documents with such patterns are refused, so that neither an
//! allow nor a deny can mean something else here than there.

/// Longest text, in bytes, of a pattern argument that [`Glob::any_may_overlap`] compares.
///
/// A longer one counts as overlapping everything.
pub const MAX_COMPARED_PATTERN: usize = 4096;

/// Most pairs of pattern elements that are looked at before the answer is "may overlap": below a
/// millisecond.
const MAX_COMPARED_PAIRS: usize = 1 << 18;

/// A compiled glob over bytes: keys and channels.
#[derive(Clone, PartialEq, Eq)]
pub struct Glob {
    text: Box<[u8]>,
    shape: Shape,
}

/// The common forms apart, so that most patterns are one comparison.
#[derive(Clone, PartialEq, Eq)]
enum Shape {
    /// The lone `*`.
    Everything,
    /// No wildcard; the literal, if it differs from the text.
    Exact(Option<Box<[u8]>>),
    /// A non-empty literal and a star; the literal, if it is not the text without its last byte.
    Prefix(Option<Box<[u8]>>),
    General(Box<General>),
}

/// Elements between stars. With one segment there is no star at all.
#[derive(Clone, PartialEq, Eq)]
struct General {
    /// What every match begins with; the leading bytes of the first segment.
    prefix: Box<[u8]>,
    /// What every match ends with; the trailing bytes of the last segment.
    suffix: Box<[u8]>,
    /// All segments in their order; no shorter key matches.
    elements: Box<[Code]>,
    /// Where each segment ends among the elements. The first is anchored at the start, the last at the end;
    /// these two may be empty.
    ends: Box<[u32]>,
    /// The classes that elements are numbers of.
    classes: Box<[ByteSet]>,
}

/// An element in four bytes, since documents have a million of them: a byte, [`Code::ANY`], or behind it the
/// number of a class.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Code(u32);

impl Code {
    const ANY: Self = Self(256);

    fn class(number: usize) -> Self {
        Self(u32::try_from(number).map_or(u32::MAX, |number| number.saturating_add(257)))
    }
}

/// One element of a pattern.
#[derive(Clone, Copy)]
pub(crate) enum Element<'a> {
    Byte(u8),
    Any,
    Class(&'a ByteSet),
}

/// Some elements of a pattern.
#[derive(Clone, Copy)]
struct Segment<'a> {
    codes: &'a [Code],
    classes: &'a [ByteSet],
}

impl<'a> Segment<'a> {
    fn len(self) -> usize {
        self.codes.len()
    }

    fn iter(self) -> impl DoubleEndedIterator<Item = Element<'a>> {
        let classes = self.classes;
        self.codes
            .iter()
            .map(move |code| match u8::try_from(code.0) {
                Ok(byte) => Element::Byte(byte),
                Err(_) => match classes.get((code.0 as usize).wrapping_sub(257)) {
                    Some(class) => Element::Class(class),
                    None => Element::Any,
                },
            })
    }

    /// Does the element there take a byte?
    fn takes(self, at: usize, byte: u8) -> bool {
        match self.codes[at].0 {
            own @ 0..256 => own == u32::from(byte),
            256 => true,
            class => {
                let class = self.classes.get(class as usize - 257);
                class.is_none_or(|class| class.contains(byte))
            }
        }
    }

    fn without_first(self, count: usize) -> Self {
        Self {
            codes: self.codes.get(count..).unwrap_or_default(),
            ..self
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    const EMPTY: Self = Self([0; 4]);

    fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    fn invert(&mut self) {
        for word in &mut self.0 {
            *word = !*word;
        }
    }

    fn intersects(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }
}

impl Element<'_> {
    fn takes(self, byte: u8) -> bool {
        match self {
            Self::Byte(own) => own == byte,
            Self::Any => true,
            Self::Class(set) => set.contains(byte),
        }
    }

    fn intersects(self, other: Self) -> bool {
        match (self, other) {
            (Self::Byte(byte), element) | (element, Self::Byte(byte)) => element.takes(byte),
            (Self::Class(a), Self::Class(b)) => a.intersects(b),
            (Self::Class(set), Self::Any) | (Self::Any, Self::Class(set)) => *set != ByteSet::EMPTY,
            (Self::Any, Self::Any) => true,
        }
    }
}

impl Glob {
    /// Compiles a pattern; every byte string is one.
    pub fn new(text: &[u8]) -> Self {
        let shape = if text == b"*" {
            Shape::Everything
        } else {
            shape(text)
        };
        Self {
            text: text.into(),
            shape,
        }
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Does the whole of `key` match?
    pub fn matches(&self, key: &[u8]) -> bool {
        match &self.shape {
            Shape::Everything => true,
            Shape::Exact(None) => *key == *self.text,
            Shape::Exact(Some(literal)) => *key == **literal,
            Shape::Prefix(None) => key.starts_with(&self.text[..self.text.len() - 1]),
            Shape::Prefix(Some(literal)) => key.starts_with(literal),
            Shape::General(general) => general.matches(key),
        }
    }

    /// Is it the lone `*`, the only pattern that covers every key, whole-keyspace commands included?
    pub fn is_everything(&self) -> bool {
        matches!(self.shape, Shape::Everything)
    }

    /// The bytes that every match begins with.
    pub fn literal_prefix(&self) -> &[u8] {
        match &self.shape {
            Shape::Everything => b"",
            Shape::General(general) => &general.prefix,
            _ => self.as_exact().or(self.as_prefix()).unwrap_or(b""),
        }
    }

    /// The bytes that every match ends with, apart from those of [`Self::literal_prefix`].
    pub fn literal_suffix(&self) -> &[u8] {
        match &self.shape {
            Shape::General(general) => &general.suffix,
            _ => b"",
        }
    }

    /// The longest run of bytes that every match has somewhere behind [`Self::literal_prefix`].
    pub(crate) fn longest_literal_inside(&self) -> Vec<u8> {
        let Shape::General(general) = &self.shape else {
            return Vec::new();
        };
        let mut longest = Vec::new();
        for (i, segment) in general.segments().enumerate() {
            let mut rest = match i {
                0 => segment.without_first(general.prefix.len()),
                _ => segment,
            };
            while rest.len() > 0 {
                let run = literal(rest.iter());
                rest = rest.without_first(run.len() + 1);
                if run.len() > longest.len() {
                    longest = run;
                }
            }
        }
        longest
    }

    /// The only key that matches, if the pattern has no wildcard.
    pub fn as_exact(&self) -> Option<&[u8]> {
        match &self.shape {
            Shape::Exact(None) => Some(&self.text),
            Shape::Exact(Some(literal)) => Some(literal),
            _ => None,
        }
    }

    /// The prefix, if the pattern is one: whatever begins with it matches, and nothing else.
    pub fn as_prefix(&self) -> Option<&[u8]> {
        match &self.shape {
            Shape::Everything => Some(b""),
            Shape::Prefix(None) => Some(&self.text[..self.text.len() - 1]),
            Shape::Prefix(Some(literal)) => Some(literal),
            _ => None,
        }
    }

    /// Could some string match both? Never wrongly `false`; `true` without a look if the patterns
    /// are so long that the exact answer would be dear.
    pub fn may_overlap(&self, other: &Self) -> bool {
        self.may_overlap_within(other, &mut { MAX_COMPARED_PAIRS })
    }

    /// As [`Self::may_overlap`], with the work taken from a budget that several comparisons share;
    /// when it is used up, patterns overlap.
    fn may_overlap_within(&self, other: &Self, pairs: &mut usize) -> bool {
        let (a, b) = (self.literal_prefix(), other.literal_prefix());
        let common = a.len().min(b.len());
        if a[..common] != b[..common] {
            return false;
        }
        if self.is_everything() || other.is_everything() {
            return true;
        }
        let (a, b) = (self.steps(), other.steps());
        match pairs.checked_sub((a.len() + 1).saturating_mul(b.len() + 1)) {
            Some(left) => *pairs = left,
            None => return true,
        }
        steps_overlap(&a, &b)
    }

    /// Can the pattern of a request match anything that one of `globs` matches? Never wrongly
    /// `false`; a pattern longer than [`MAX_COMPARED_PATTERN`] is not even compiled.
    pub fn any_may_overlap<'a>(globs: impl IntoIterator<Item = &'a Self>, pattern: &[u8]) -> bool {
        let mut globs = globs.into_iter().peekable();
        if globs.peek().is_none() {
            return false;
        }
        if pattern.len() > MAX_COMPARED_PATTERN {
            return true;
        }
        let pattern = Self::new(pattern);
        let mut pairs = MAX_COMPARED_PAIRS;
        globs.any(|glob| glob.may_overlap_within(&pattern, &mut pairs))
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        let shape = match &self.shape {
            Shape::Everything | Shape::Exact(None) | Shape::Prefix(None) => 0,
            Shape::Exact(Some(literal)) | Shape::Prefix(Some(literal)) => literal.len(),
            Shape::General(general) => {
                size_of::<General>()
                    + general.prefix.len()
                    + general.suffix.len()
                    + size_of_val(&*general.elements)
                    + size_of_val(&*general.ends)
                    + size_of_val(&*general.classes)
            }
        };
        self.text.len() + shape
    }

    pub(crate) fn steps(&self) -> Vec<Step<'_>> {
        let literal = |bytes: &[u8]| {
            bytes
                .iter()
                .map(|byte| Step::Byte(*byte))
                .collect::<Vec<_>>()
        };
        if let Some(exact) = self.as_exact() {
            return literal(exact);
        }
        if let Some(prefix) = self.as_prefix() {
            let mut steps = literal(prefix);
            steps.push(Step::Star);
            return steps;
        }
        let Shape::General(general) = &self.shape else {
            return Vec::new();
        };
        let mut steps = Vec::with_capacity(general.elements.len() + general.ends.len());
        for (i, segment) in general.segments().enumerate() {
            if i > 0 {
                steps.push(Step::Star);
            }
            steps.extend(segment.iter().map(Step::One));
        }
        steps
    }
}

impl std::fmt::Debug for Glob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Glob({})", self.text.escape_ascii())
    }
}

/// One step of a pattern when two patterns are compared.
pub(crate) enum Step<'a> {
    Star,
    Byte(u8),
    One(Element<'a>),
}

impl Step<'_> {
    fn intersects(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Byte(a), Self::Byte(b)) => a == b,
            (Self::Byte(byte), Self::One(element)) | (Self::One(element), Self::Byte(byte)) => {
                element.takes(*byte)
            }
            (Self::One(a), Self::One(b)) => a.intersects(*b),
            (Self::Star, _) | (_, Self::Star) => true,
        }
    }
}

/// Is the intersection of the two languages non-empty? Walks the pairs of positions that some
/// common beginning can reach.
fn steps_overlap(a: &[Step<'_>], b: &[Step<'_>]) -> bool {
    let mut row = vec![false; b.len() + 1];
    row[0] = true;
    for i in 0..=a.len() {
        let mut next = vec![false; b.len() + 1];
        for j in 0..=b.len() {
            if !row[j] {
                continue;
            }
            match (a.get(i), b.get(j)) {
                (None, None) => return true,
                (None, Some(step)) => row[j + 1] |= matches!(step, Step::Star),
                (Some(step), None) => next[j] |= matches!(step, Step::Star),
                (Some(Step::Star), Some(_)) | (Some(_), Some(Step::Star)) => {
                    next[j] = true;
                    row[j + 1] = true;
                }
                (Some(x), Some(y)) => next[j + 1] |= x.intersects(y),
            }
        }
        row = next;
    }
    false
}

/// Compiles whatever is not the lone `*`.
fn shape(text: &[u8]) -> Shape {
    let mut elements: Vec<Code> = Vec::new();
    let mut classes: Vec<ByteSet> = Vec::new();
    // Where segments begin.
    let mut starts: Vec<usize> = vec![0];
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let element = match first {
            b'*' => {
                if starts.len() == 1 || starts.last() != Some(&elements.len()) {
                    starts.push(elements.len());
                }
                rest = after;
                continue;
            }
            b'?' => {
                rest = after;
                Code::ANY
            }
            b'[' => {
                let (set, after) = class(after);
                rest = after;
                if classes.last() != Some(&set) {
                    classes.push(set);
                }
                Code::class(classes.len() - 1)
            }
            b'\\' if !after.is_empty() => {
                rest = &after[1..];
                Code(u32::from(after[0]))
            }
            byte => {
                rest = after;
                Code(u32::from(byte))
            }
        };
        elements.push(element);
    }
    let ends: Vec<u32> = starts[1..]
        .iter()
        .chain([&elements.len()])
        .map(|end| *end as u32)
        .collect();
    let mut general = General {
        prefix: Box::default(),
        suffix: Box::default(),
        elements: elements.into(),
        ends: ends.into(),
        classes: classes.into(),
    };
    let first = general.segment(0);
    let prefix = literal(first.iter());
    let whole = prefix.len() == first.len();
    let last = general.segment(general.ends.len() - 1);
    match general.ends.len() {
        1 if whole => Shape::Exact((prefix != text).then(|| prefix.into())),
        2 if whole && last.len() == 0 && !prefix.is_empty() => {
            Shape::Prefix((prefix != text[..text.len() - 1]).then(|| prefix.into()))
        }
        count => {
            let mut suffix = match count {
                1 => literal(first.without_first(prefix.len()).iter().rev()),
                _ => literal(last.iter().rev()),
            };
            suffix.reverse();
            (general.prefix, general.suffix) = (prefix.into(), suffix.into());
            Shape::General(Box::new(general))
        }
    }
}

/// The bytes up to the first element that is none.
fn literal<'a>(elements: impl Iterator<Item = Element<'a>>) -> Vec<u8> {
    elements
        .map_while(|element| match element {
            Element::Byte(byte) => Some(byte),
            _ => None,
        })
        .collect()
}

/// Reads a class behind its `[`, in the server's order of tests, and gives what is left.
fn class(mut rest: &[u8]) -> (ByteSet, &[u8]) {
    let mut set = ByteSet::EMPTY;
    let inverted = rest.first() == Some(&b'^');
    if inverted {
        rest = &rest[1..];
    }
    loop {
        match rest {
            [b'\\', byte, after @ ..] => {
                set.insert(*byte);
                rest = after;
            }
            [b']', after @ ..] => {
                rest = after;
                break;
            }
            [] => break,
            [from, b'-', to, after @ ..] => {
                // `char` is signed where the server was measured.
                let (from, to) = (*from as i8, *to as i8);
                for signed in from.min(to)..=from.max(to) {
                    set.insert(signed as u8);
                }
                rest = after;
            }
            [byte, after @ ..] => {
                set.insert(*byte);
                rest = after;
            }
        }
    }
    if inverted {
        set.invert();
    }
    (set, rest)
}

impl General {
    fn segment(&self, number: usize) -> Segment<'_> {
        let from = match number {
            0 => 0,
            _ => self.ends[number - 1] as usize,
        };
        Segment {
            codes: &self.elements[from..self.ends[number] as usize],
            classes: &self.classes,
        }
    }

    fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        (0..self.ends.len()).map(|number| self.segment(number))
    }

    fn matches(&self, key: &[u8]) -> bool {
        if key.len() < self.elements.len()
            || key.is_empty()
            || !starts_with(key, &self.prefix)
            || !ends_with(key, &self.suffix)
        {
            return false;
        }
        let head = self.segment(0);
        if !fits(head, key) {
            return false;
        }
        let last = self.ends.len() - 1;
        if last == 0 {
            return key.len() == head.len();
        }
        let tail = self.segment(last);
        let end = key.len() - tail.len();
        if !fits(tail, &key[end..]) {
            return false;
        }
        // Leftmost is enough: a later place for one segment leaves less room for the next.
        let mut room = &key[head.len()..end];
        let mut patience = 16 * key.len() + 1024;
        for number in 1..last {
            let segment = self.segment(number);
            let Some(at) = find(segment, room, &mut patience) else {
                return false;
            };
            room = &room[at + segment.len()..];
        }
        true
    }
}

/// `[u8]::starts_with`, but without a call for the empty prefix, which is common.
fn starts_with(key: &[u8], prefix: &[u8]) -> bool {
    prefix.is_empty() || key.starts_with(prefix)
}

fn ends_with(key: &[u8], suffix: &[u8]) -> bool {
    suffix.is_empty() || key.ends_with(suffix)
}

/// Does `key` begin with something that the segment takes?
fn fits(segment: Segment<'_>, key: &[u8]) -> bool {
    segment.len() <= key.len() && taken(segment, key) == segment.len()
}

/// How many elements take the bytes that `key` begins with.
fn taken(segment: Segment<'_>, key: &[u8]) -> usize {
    let bytes = key.iter().take(segment.len()).enumerate();
    bytes
        .take_while(|(at, byte)| segment.takes(*at, **byte))
        .count()
}

/// The first place where the segment fits. Tries place after place while `patience` lasts, which
/// is nearly always, and then goes on in a way that no pattern can slow down.
fn find(segment: Segment<'_>, key: &[u8], patience: &mut usize) -> Option<usize> {
    let last = key.len().checked_sub(segment.len())?;
    let first = segment.iter().next();
    let mut at = 0;
    while at <= last {
        if let Some(Element::Byte(first)) = first {
            at += without(&key[at..=last], first);
            if at > last {
                return None;
            }
        }
        let took = taken(segment, &key[at..]);
        if took == segment.len() {
            return Some(at);
        }
        match patience.checked_sub(took + 1) {
            Some(left) => *patience = left,
            None => return find_by_bits(segment, &key[at..]).map(|found| at + found),
        }
        at += 1;
    }
    None
}

/// How many bytes of blocks of `key` can be skipped, since a byte is not in them.
fn without(key: &[u8], byte: u8) -> usize {
    const BLOCK: usize = 256;
    if key.len() < BLOCK {
        return 0; // keys are short
    }
    let blocks = key.chunks(BLOCK);
    let skipped = blocks.take_while(|block| !block.contains(&byte));
    skipped.map(<[u8]>::len).sum()
}

/// All places at once, a bit per element of the segment: time is the key's length times the
/// segment's length over 64.
fn find_by_bits(segment: Segment<'_>, key: &[u8]) -> Option<usize> {
    let words = segment.len().div_ceil(64);
    if words == 0 {
        return Some(0);
    }
    let mut masks = vec![0_u64; 256 * words];
    for (i, element) in segment.iter().enumerate() {
        for byte in 0..=u8::MAX {
            if element.takes(byte) {
                masks[usize::from(byte) * words + i / 64] |= 1 << (i % 64);
            }
        }
    }
    let (last_word, last_bit) = ((segment.len() - 1) / 64, (segment.len() - 1) % 64);
    let mut state = vec![0_u64; words];
    for (at, byte) in key.iter().enumerate() {
        let mask = &masks[usize::from(*byte) * words..][..words];
        let mut carry = 1;
        for (word, mask) in state.iter_mut().zip(mask) {
            let shifted = *word << 1 | carry;
            carry = *word >> 63;
            *word = shifted & mask;
        }
        if state[last_word] >> last_bit & 1 == 1 {
            return Some(at + 1 - segment.len());
        }
    }
    None
}

/// Why a pattern may not stand in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlobError {
    /// Longer than [`MAX_PATTERN_LEN`].
    #[error("pattern is {found} bytes long: at most {MAX_PATTERN_LEN}")]
    TooLong {
        /// Bytes of the pattern.
        found: usize,
    },
    /// Only stars, but not one.
    #[error("only the lone `*` means every key and channel: write `*`")]
    OnlyStars,
    /// A range such as `[a-é]`.
    #[error(
        "range in `[…]` with a bound outside ASCII: a class is a set of single bytes, and servers \
         disagree on the order of these"
    )]
    RangeOutsideAscii,
    /// More stars apart than the server would follow.
    #[error("pattern has {found} separate `*`: the server follows at most {MAX_PATTERN_STARS}")]
    TooManyStars {
        /// Stars that stand apart.
        found: usize,
    },
}

/// Longest pattern in a document, in bytes.
pub const MAX_PATTERN_LEN: usize = 1024;

/// Most stars that stand apart in a pattern of a document.
///
/// Source: the nesting limit in `stringmatchlen` is 1,000; below it by far, every pattern means
/// here what it means there.
pub const MAX_PATTERN_STARS: usize = 500;

/// Checks a pattern for use in a document, where it should mean the same on every server.
pub fn check_pattern(text: &[u8]) -> Result<(), GlobError> {
    if text.len() > MAX_PATTERN_LEN {
        return Err(GlobError::TooLong { found: text.len() });
    }
    if text.len() > 1 && text.iter().all(|byte| *byte == b'*') {
        return Err(GlobError::OnlyStars);
    }
    let mut rest = text;
    let (mut stars, mut in_star) = (0, false);
    while let Some((&first, after)) = rest.split_first() {
        let star = first == b'*';
        stars += usize::from(star && !in_star);
        in_star = star;
        rest = match first {
            b'\\' if !after.is_empty() => &after[1..],
            b'[' => {
                let (_, left) = class(after);
                let inside = &after[..after.len() - left.len()];
                if has_range_outside_ascii(inside) {
                    return Err(GlobError::RangeOutsideAscii);
                }
                left
            }
            _ => after,
        };
    }
    if stars > MAX_PATTERN_STARS {
        return Err(GlobError::TooManyStars { found: stars });
    }
    Ok(())
}

fn has_range_outside_ascii(mut rest: &[u8]) -> bool {
    if rest.first() == Some(&b'^') {
        rest = &rest[1..];
    }
    loop {
        rest = match rest {
            [b'\\', _, after @ ..] => after,
            [b']', ..] | [] => return false,
            [from, b'-', to, after @ ..] => {
                if !from.is_ascii() || !to.is_ascii() {
                    return true;
                }
                after
            }
            [_, after @ ..] => after,
        }
    }
}

#[cfg(test)]
mod tests;
