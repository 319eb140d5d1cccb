//! Ranges of sorted sets: by rank, score and text. All become ranges of ranks.

use crate::call::{Call, index_range};
use crate::failure::{Failure, Outcome};
use crate::number::parse_range_bound;
use crate::sorted_set::SortedSet;
use crate::sorted_sets::after_removal;
use crate::value::Value;
use std::ops::Range;

/// What the two bounds of a range are.
#[derive(Clone, Copy, Eq, PartialEq)]
enum By {
    Rank,
    Score,
    Text,
}

/// A bound between scores.
#[derive(Clone, Copy)]
struct ScoreBound {
    score: f64,
    exclusive: bool,
}

impl ScoreBound {
    fn parse(text: &[u8]) -> Result<Self, Failure> {
        let (exclusive, text) = match text {
            [b'(', rest @ ..] => (true, rest),
            text => (false, text),
        };
        let score = parse_range_bound(text).ok_or(Failure::new("ERR min or max is not a float"))?;
        Ok(Self { score, exclusive })
    }
}

/// A bound between members.
#[derive(Clone, Copy)]
enum TextBound<'a> {
    Before,
    After,
    At { text: &'a [u8], exclusive: bool },
}

impl<'a> TextBound<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, Failure> {
        match text {
            b"-" => Ok(Self::Before),
            b"+" => Ok(Self::After),
            [b'(', text @ ..] => Ok(Self::At {
                text,
                exclusive: true,
            }),
            [b'[', text @ ..] => Ok(Self::At {
                text,
                exclusive: false,
            }),
            _ => Err(Failure::new("ERR min or max not valid string range item")),
        }
    }
}

impl TextBound<'_> {
    /// Is the member not too small, if this is the lower bound?
    fn allows_above(self, member: &[u8]) -> bool {
        match self {
            Self::Before => true,
            Self::After => false,
            Self::At {
                text,
                exclusive: true,
            } => member > text,
            Self::At {
                text,
                exclusive: false,
            } => member >= text,
        }
    }

    /// Is the member not too great, if this is the upper bound?
    fn allows_below(self, member: &[u8]) -> bool {
        match self {
            Self::Before => false,
            Self::After => true,
            Self::At {
                text,
                exclusive: true,
            } => member < text,
            Self::At {
                text,
                exclusive: false,
            } => member <= text,
        }
    }

    /// Can there be anything between the two bounds?
    fn room_below(self, max: Self) -> bool {
        match (self, max) {
            (Self::After, _) | (_, Self::Before) => false,
            (Self::Before, _) | (_, Self::After) => true,
            (
                Self::At {
                    text: low,
                    exclusive: a,
                },
                Self::At {
                    text: high,
                    exclusive: b,
                },
            ) => low < high || low == high && !a && !b,
        }
    }
}

/// Ranges by text mean something only if all scores are equal. Where they are not, a compact set
/// answers what a walk over it finds, as the server does; a large one answers whatever its search
/// meets, there and here.
fn walk(
    set: &SortedSet,
    min: TextBound<'_>,
    max: TextBound<'_>,
    reverse: bool,
    skip: usize,
) -> Range<usize> {
    let members: Vec<&[u8]> = set.ascending(0).map(|(member, _)| member).collect();
    let (Some(first), Some(last)) = (members.first(), members.last()) else {
        return 0..0;
    };
    if !min.room_below(max) || !min.allows_above(last) || !max.allows_below(first) {
        return 0..0;
    }
    if reverse {
        let Some(end) = members.iter().rposition(|member| max.allows_below(member)) else {
            return 0..0;
        };
        if !min.allows_above(members[end]) || end < skip {
            return 0..0;
        }
        let end = end + 1 - skip;
        let start = members[..end]
            .iter()
            .rposition(|member| !min.allows_above(member));
        start.map_or(0, |at| at + 1)..end
    } else {
        let Some(start) = members.iter().position(|member| min.allows_above(member)) else {
            return 0..0;
        };
        if !max.allows_below(members[start]) || members.len() - start < skip {
            return 0..0;
        }
        let start = start + skip;
        let end = members[start..]
            .iter()
            .position(|member| !max.allows_below(member));
        start..end.map_or(members.len(), |at| start + at)
    }
}

/// What a command asks for, independent of the set.
#[derive(Clone, Copy)]
enum Bounds<'a> {
    /// Indexes, in the direction of the command.
    Rank(i64, i64),
    Score(ScoreBound, ScoreBound),
    Text(TextBound<'a>, TextBound<'a>),
}

impl<'a> Bounds<'a> {
    fn parse(call: &Call<'a>, by: By, min: usize, max: usize) -> Result<Self, Failure> {
        let word = |at| call.arguments.word(at);
        Ok(match by {
            By::Rank => Self::Rank(call.arguments.integer(min)?, call.arguments.integer(max)?),
            By::Score => Self::Score(ScoreBound::parse(word(min))?, ScoreBound::parse(word(max))?),
            By::Text => Self::Text(TextBound::parse(word(min))?, TextBound::parse(word(max))?),
        })
    }

    /// The ranks within the bounds, counted from the smallest, without the `skip` first ones in the
    /// direction of the command.
    fn ranks(self, set: &SortedSet, reverse: bool, skip: i64) -> Range<usize> {
        let natural = usize::try_from(skip);
        if let (Self::Text(min, max), true) = (self, set.is_compact()) {
            return walk(set, min, max, reverse, natural.unwrap_or(usize::MAX));
        }
        let ranks = self.all_ranks(set, reverse);
        let skip = match natural {
            Ok(skip) => skip.min(ranks.len()),
            // An offset below 0 skips everything in the server's compact form, and counts from the
            // end in the other one.
            Err(_) if set.is_compact() => ranks.len(),
            Err(_) => {
                let left = usize::try_from(skip.unsigned_abs()).unwrap_or(usize::MAX);
                ranks.len().checked_sub(left).unwrap_or(ranks.len())
            }
        };
        if reverse {
            ranks.start..ranks.end - skip
        } else {
            ranks.start + skip..ranks.end
        }
    }

    fn all_ranks(self, set: &SortedSet, reverse: bool) -> Range<usize> {
        let (start, end) = match self {
            Self::Rank(start, stop) => {
                let range = index_range(start, stop, set.len());
                if !reverse {
                    return range;
                }
                (set.len() - range.end, set.len() - range.start)
            }
            Self::Score(min, max) => {
                let start = set.count_scores(|score| {
                    if min.exclusive {
                        score <= min.score
                    } else {
                        score < min.score
                    }
                });
                let end = set.count_scores(|score| {
                    if max.exclusive {
                        score < max.score
                    } else {
                        score <= max.score
                    }
                });
                (start, end)
            }
            Self::Text(min, max) => {
                let start = set.count_members(|member| !min.allows_above(member));
                let end = set.count_members(|member| max.allows_below(member));
                (start, end)
            }
        };
        if start < end { start..end } else { 0..0 }
    }
}

/// A whole range command. What is `None` is chosen by options.
struct RangeCommand {
    by: Option<By>,
    reverse: Option<bool>,
}

fn range(call: &mut Call<'_>, command: RangeCommand) -> Outcome {
    let request = RangeRequest::parse(call, command, 1, false)?;
    let Some(set) = call.space.sorted_set(call.arguments.word(1))? else {
        call.reply.array(0);
        return Ok(());
    };
    let ranks = request.ranks(set);
    if request.with_scores {
        call.reply.pairs(ranks.len());
    } else {
        call.reply.array(ranks.len());
    }
    let reply = &mut call.reply;
    request.visit(set, ranks, |member, score| {
        if request.with_scores {
            reply.pair();
            reply.bulk(member);
            reply.double(score);
        } else {
            reply.bulk(member);
        }
    });
    Ok(())
}

/// A parsed range command.
struct RangeRequest<'a> {
    bounds: Bounds<'a>,
    reverse: bool,
    with_scores: bool,
    limit: Option<(i64, i64)>,
}

impl<'a> RangeRequest<'a> {
    /// `key` is the place of the source's key; the bounds follow it.
    fn parse(
        call: &Call<'a>,
        command: RangeCommand,
        key: usize,
        stores: bool,
    ) -> Result<Self, Failure> {
        let arguments = call.arguments;
        let RangeCommand {
            mut by,
            mut reverse,
        } = command;
        let (mut with_scores, mut limit) = (false, None);
        let mut at = key + 3;
        while at < arguments.len() {
            match () {
                () if !stores && arguments.is(at, "withscores") => with_scores = true,
                () if at + 2 < arguments.len() && arguments.is(at, "limit") => {
                    limit = Some((arguments.integer(at + 1)?, arguments.integer(at + 2)?));
                    at += 2;
                }
                () if reverse.is_none() && arguments.is(at, "rev") => reverse = Some(true),
                () if by.is_none() && arguments.is(at, "bylex") => by = Some(By::Text),
                () if by.is_none() && arguments.is(at, "byscore") => by = Some(By::Score),
                () => return Err(Failure::SYNTAX),
            }
            at += 1;
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if by == By::Rank && limit.is_some_and(|(_, count)| count != -1) {
            return Err(Failure::new(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ));
        }
        if with_scores && by == By::Text {
            return Err(Failure::new(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let swapped = reverse && by != By::Rank;
        let (min, max) = if swapped {
            (key + 2, key + 1)
        } else {
            (key + 1, key + 2)
        };
        let bounds = Bounds::parse(call, by, min, max)?;
        Ok(Self {
            bounds,
            reverse,
            with_scores,
            limit,
        })
    }

    /// The ranks that are answered, counted from the smallest.
    fn ranks(&self, set: &SortedSet) -> Range<usize> {
        let (skip, take) = match self.limit {
            Some((skip, take)) if !matches!(self.bounds, Bounds::Rank(..)) => {
                // A count below 0 takes everything.
                (skip, usize::try_from(take).unwrap_or(usize::MAX))
            }
            _ => (0, usize::MAX),
        };
        let ranks = self.bounds.ranks(set, self.reverse, skip);
        let take = take.min(ranks.len());
        if self.reverse {
            ranks.end - take..ranks.end
        } else {
            ranks.start..ranks.start + take
        }
    }

    fn visit(&self, set: &SortedSet, ranks: Range<usize>, mut visit: impl FnMut(&[u8], f64)) {
        if ranks.is_empty() {
            return;
        }
        if self.reverse {
            set.descending(ranks.end - 1)
                .take(ranks.len())
                .for_each(|(m, s)| visit(m, s));
        } else {
            set.ascending(ranks.start)
                .take(ranks.len())
                .for_each(|(m, s)| visit(m, s));
        }
    }
}

pub(crate) fn zrange(call: &mut Call<'_>) -> Outcome {
    range(
        call,
        RangeCommand {
            by: None,
            reverse: None,
        },
    )
}

pub(crate) fn zrevrange(call: &mut Call<'_>) -> Outcome {
    range(
        call,
        RangeCommand {
            by: Some(By::Rank),
            reverse: Some(true),
        },
    )
}

pub(crate) fn zrangebyscore(call: &mut Call<'_>) -> Outcome {
    range(
        call,
        RangeCommand {
            by: Some(By::Score),
            reverse: Some(false),
        },
    )
}

pub(crate) fn zrevrangebyscore(call: &mut Call<'_>) -> Outcome {
    range(
        call,
        RangeCommand {
            by: Some(By::Score),
            reverse: Some(true),
        },
    )
}

pub(crate) fn zrangebylex(call: &mut Call<'_>) -> Outcome {
    range(
        call,
        RangeCommand {
            by: Some(By::Text),
            reverse: Some(false),
        },
    )
}

pub(crate) fn zrevrangebylex(call: &mut Call<'_>) -> Outcome {
    range(
        call,
        RangeCommand {
            by: Some(By::Text),
            reverse: Some(true),
        },
    )
}

pub(crate) fn zrangestore(call: &mut Call<'_>) -> Outcome {
    let (to, from) = (call.arguments.word(1), call.arguments.word(2));
    let request = RangeRequest::parse(
        call,
        RangeCommand {
            by: None,
            reverse: None,
        },
        2,
        true,
    )?;
    let mut result = SortedSet::new(call.space.keyspace().hash_key());
    if let Some(set) = call.space.sorted_set(from)? {
        request.visit(set, request.ranks(set), |member, score| {
            result.insert(member, score);
        });
    }
    let count = result.len();
    store(call, to, result);
    call.reply.count(count);
    Ok(())
}

/// Makes a result the value of a key; an empty one removes the key.
pub(crate) fn store(call: &mut Call<'_>, to: &[u8], result: SortedSet) {
    if !result.is_empty() {
        call.space.put(to, Value::SortedSet(Box::new(result)));
        call.space.changed(to, 1);
    } else if call.space.remove(to) {
        call.space.changed(to, 1);
    }
}

fn count(call: &mut Call<'_>, by: By) -> Outcome {
    let bounds = Bounds::parse(call, by, 2, 3)?;
    let set = call.space.sorted_set(call.arguments.word(1))?;
    call.reply
        .count(set.map_or(0, |set| bounds.ranks(set, false, 0).len()));
    Ok(())
}

pub(crate) fn zcount(call: &mut Call<'_>) -> Outcome {
    count(call, By::Score)
}

pub(crate) fn zlexcount(call: &mut Call<'_>) -> Outcome {
    count(call, By::Text)
}

fn remove(call: &mut Call<'_>, by: By) -> Outcome {
    let bounds = Bounds::parse(call, by, 2, 3)?;
    let key = call.arguments.word(1);
    let mut removed = 0;
    if let Some(set) = call.space.sorted_set_mut(key)? {
        let ranks = bounds.ranks(set, false, 0);
        removed = ranks.len();
        set.remove_ranks(ranks.start, removed);
    }
    after_removal(call, key, removed);
    call.reply.count(removed);
    Ok(())
}

pub(crate) fn zremrangebyrank(call: &mut Call<'_>) -> Outcome {
    remove(call, By::Rank)
}

pub(crate) fn zremrangebyscore(call: &mut Call<'_>) -> Outcome {
    remove(call, By::Score)
}

pub(crate) fn zremrangebylex(call: &mut Call<'_>) -> Outcome {
    remove(call, By::Text)
}
