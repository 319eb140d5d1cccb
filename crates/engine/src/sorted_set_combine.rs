//! Unions, intersections and differences of sorted sets (and sets, whose scores are 1).

use crate::call::{Arguments, Call};
use crate::failure::{Failure, Outcome};
use crate::hash::HashKey;
use crate::number::{parse_double, parse_integer};
use crate::sorted_set::SortedSet;
use crate::sorted_set_ranges::store;
use crate::space::Space;
use crate::value::{Set, Value};

/// What is made of the sets.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Combination {
    Union,
    Intersection,
    Difference,
}

/// How the scores of a member in several sets become one.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, left: f64, right: f64) -> f64 {
        match self {
            // The server takes 0 for what is no number.
            Self::Sum => number_or_zero(left + right),
            Self::Min if right < left => right,
            Self::Max if right > left => right,
            Self::Min | Self::Max => left,
        }
    }
}

fn number_or_zero(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

/// A set of either kind.
#[derive(Clone, Copy)]
enum Source<'s> {
    Missing,
    Set(&'s Set),
    SortedSet(&'s SortedSet),
}

impl<'s> Source<'s> {
    fn of(space: &'s Space<'_>, key: &[u8]) -> Result<Self, Failure> {
        match space.peek(key) {
            None => Ok(Self::Missing),
            Some(Value::Set(set)) => Ok(Self::Set(set)),
            Some(Value::SortedSet(set)) => Ok(Self::SortedSet(set)),
            Some(_) => Err(Failure::WRONG_TYPE),
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Missing => 0,
            Self::Set(set) => set.len(),
            Self::SortedSet(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Missing => None,
            Self::Set(set) => set.contains(member).then_some(1.0),
            Self::SortedSet(set) => set.score(member),
        }
    }

    fn iter(self) -> impl Iterator<Item = (&'s [u8], f64)> {
        let (set, sorted) = match self {
            Self::Missing => (None, None),
            Self::Set(set) => (Some(set), None),
            Self::SortedSet(set) => (None, Some(set)),
        };
        let members = set
            .into_iter()
            .flat_map(|set| set.iter().map(|(member, ())| (member, 1.0)));
        members.chain(sorted.into_iter().flat_map(|set| set.iter()))
    }
}

/// Options behind the keys.
struct Options {
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// 0: none.
    limit: usize,
}

impl Options {
    fn parse(
        arguments: Arguments<'_>,
        from: usize,
        keys: usize,
        combination: Combination,
        kind: Kind,
    ) -> Result<Self, Failure> {
        let mut options = Self {
            weights: vec![1.0; keys],
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: 0,
        };
        let scores = combination != Combination::Difference && kind != Kind::Cardinality;
        let mut at = from;
        while at < arguments.len() {
            let left = arguments.len() - at;
            if scores && left > keys && arguments.is(at, "weights") {
                for (key, weight) in options.weights.iter_mut().enumerate() {
                    *weight = parse_double(arguments.word(at + 1 + key))
                        .ok_or(Failure::new("ERR weight value is not a float"))?;
                }
                at += keys + 1;
            } else if scores && left >= 2 && arguments.is(at, "aggregate") {
                options.aggregate = match () {
                    () if arguments.is(at + 1, "sum") => Aggregate::Sum,
                    () if arguments.is(at + 1, "min") => Aggregate::Min,
                    () if arguments.is(at + 1, "max") => Aggregate::Max,
                    () => return Err(Failure::SYNTAX),
                };
                at += 2;
            } else if kind == Kind::Answer && arguments.is(at, "withscores") {
                options.with_scores = true;
                at += 1;
            } else if kind == Kind::Cardinality && left >= 2 && arguments.is(at, "limit") {
                let limit = parse_integer(arguments.word(at + 1)).filter(|limit| *limit >= 0);
                let limit = limit.ok_or(Failure::new("ERR LIMIT can't be negative"))?;
                options.limit = usize::try_from(limit).unwrap_or(usize::MAX);
                at += 2;
            } else {
                return Err(Failure::SYNTAX);
            }
        }
        Ok(options)
    }
}

/// What becomes of the result.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Answer,
    Store,
    Cardinality,
}

/// The places of the keys, when the number of them is at `at`.
fn keys(call: &Call<'_>, at: usize) -> Result<std::ops::Range<usize>, Failure> {
    let count = call.arguments.integer(at)?;
    if count < 1 {
        let name = call.name;
        return Err(Failure::of(format!(
            "ERR at least 1 input key is needed for '{name}' command"
        )));
    }
    match usize::try_from(count) {
        Ok(count) if count < call.arguments.len() - at => Ok(at + 1..at + 1 + count),
        _ => Err(Failure::SYNTAX),
    }
}

fn combine(
    mut sources: Vec<(Source<'_>, f64)>,
    combination: Combination,
    options: &Options,
    hash_key: HashKey,
) -> SortedSet {
    // As the server: the compact form is taken when the result is stored.
    let mut result = SortedSet::new_large(hash_key);
    if combination != Combination::Difference {
        // As the server: the order decides how sums are rounded.
        sources.sort_by_key(|(source, _)| source.len());
    }
    let weighted = |score: f64, weight: f64| number_or_zero(score * weight);
    match combination {
        Combination::Union => {
            for (source, weight) in sources {
                for (member, score) in source.iter() {
                    let score = weighted(score, weight);
                    let score = match result.score(member) {
                        None => score,
                        Some(before) => {
                            let all = options.aggregate.of(before, score);
                            // -0 and 0 are equal, which would leave the former there.
                            if all == before && all.to_bits() != before.to_bits() {
                                result.remove(member);
                            }
                            all
                        }
                    };
                    result.insert(member, score);
                }
            }
        }
        Combination::Intersection => {
            let Some(((least, weight), others)) = sources.split_first() else {
                return result;
            };
            for (member, score) in least.iter() {
                let first = weighted(score, *weight);
                let score = others.iter().try_fold(first, |sum, (other, weight)| {
                    let score = weighted(other.score(member)?, *weight);
                    Some(options.aggregate.of(sum, score))
                });
                if let Some(score) = score {
                    result.insert(member, score);
                    if result.len() == options.limit {
                        break;
                    }
                }
            }
        }
        Combination::Difference => {
            let Some(((first, _), others)) = sources.split_first() else {
                return result;
            };
            for (member, score) in first.iter() {
                if others
                    .iter()
                    .all(|(other, _)| other.score(member).is_none())
                {
                    result.insert(member, score);
                }
            }
        }
    }
    result
}

fn run(call: &mut Call<'_>, combination: Combination, kind: Kind) -> Outcome {
    let arguments = call.arguments;
    let keys = keys(call, if kind == Kind::Store { 2 } else { 1 })?;
    let mut sources = Vec::with_capacity(keys.len());
    for at in keys.clone() {
        sources.push((Source::of(&call.space, arguments.word(at))?, 1.0));
    }
    let options = Options::parse(arguments, keys.end, keys.len(), combination, kind)?;
    for ((_, weight), given) in sources.iter_mut().zip(&options.weights) {
        *weight = *given;
    }
    let hash_key = call.space.keyspace().hash_key();
    let result = combine(sources, combination, &options, hash_key);
    match kind {
        Kind::Cardinality => call.reply.count(result.len()),
        Kind::Store => {
            let count = result.len();
            store(call, arguments.word(1), result.into_compact());
            call.reply.count(count);
        }
        Kind::Answer if options.with_scores => {
            call.reply.pairs(result.len());
            for (member, score) in result.ascending(0) {
                call.reply.pair();
                call.reply.bulk(member);
                call.reply.double(score);
            }
        }
        Kind::Answer => {
            call.reply.array(result.len());
            result
                .ascending(0)
                .for_each(|(member, _)| call.reply.bulk(member));
        }
    }
    Ok(())
}

pub(crate) fn zunion(call: &mut Call<'_>) -> Outcome {
    run(call, Combination::Union, Kind::Answer)
}

pub(crate) fn zinter(call: &mut Call<'_>) -> Outcome {
    run(call, Combination::Intersection, Kind::Answer)
}

pub(crate) fn zdiff(call: &mut Call<'_>) -> Outcome {
    run(call, Combination::Difference, Kind::Answer)
}

pub(crate) fn zunionstore(call: &mut Call<'_>) -> Outcome {
    run(call, Combination::Union, Kind::Store)
}

pub(crate) fn zinterstore(call: &mut Call<'_>) -> Outcome {
    run(call, Combination::Intersection, Kind::Store)
}

pub(crate) fn zdiffstore(call: &mut Call<'_>) -> Outcome {
    run(call, Combination::Difference, Kind::Store)
}

pub(crate) fn zintercard(call: &mut Call<'_>) -> Outcome {
    run(call, Combination::Intersection, Kind::Cardinality)
}
