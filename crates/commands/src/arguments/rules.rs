//! The checked-in table: which commands have which arguments, and where.
//!
//! Names are the catalogue's; one that the catalogue does not have does not compile. A test compares
//! the table with the argument trees of the servers (`data/`).

/// The unit of a number of time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
}

/// How a number tells a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Clock {
    pub(crate) unit: Unit,
    /// Counted from 1970, else from now.
    pub(crate) date: bool,
}

impl Clock {
    pub(crate) const SECONDS: Self = Self::new(Unit::Seconds, false);
    pub(crate) const MILLISECONDS: Self = Self::new(Unit::Milliseconds, false);
    pub(crate) const DATE: Self = Self::new(Unit::Seconds, true);
    pub(crate) const DATE_MILLISECONDS: Self = Self::new(Unit::Milliseconds, true);

    const fn new(unit: Unit, date: bool) -> Self {
        Self { unit, date }
    }
}

/// Where an expiry is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TtlRule {
    /// This word.
    Word { at: u16, clock: Clock },
    /// Among the options from here: `SET`, `GETEX`.
    Options { from: u16 },
    /// Among the options from here to `FIELDS`: `HSETEX`, `HGETEX`.
    BeforeFields { from: u16 },
    /// Among the options after as many pairs as word 1 tells: `MSETEX`.
    AfterPairs,
    /// `RESTORE`.
    Restore,
}

/// Where data that a call stores is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ValueRule {
    /// This word.
    Word(u16),
    /// Every `step`th word from here.
    From { first: u16, step: u16 },
    /// After the options, tuples of `size` words, of which the one at `place` is stored.
    Tuples {
        options: &'static [&'static str],
        size: u16,
        place: u16,
    },
    /// The second of as many pairs as word 1 tells: `MSETEX`.
    Pairs,
    /// After `FIELDS` and a number: `HSETEX`.
    AfterFields,
    /// `XADD`.
    Stream,
    /// `SETRANGE`: an offset, then the value.
    Range,
    /// `SETBIT`.
    Bit,
    /// `BITFIELD`.
    Bitfield,
}

/// Where the options of a call begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Start {
    /// At this word.
    At(u16),
    /// So many words after as many keys as this word tells.
    AfterKeys { number: u16, more: u16 },
}

/// The options of a command: each word with the number of words that belong to it.
pub(crate) type Grammar = &'static [(&'static str, u8)];

/// An option that limits how many elements a call takes: `COUNT count`, `LIMIT offset count`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct CountOption {
    pub(crate) start: Start,
    /// The option, in lower case.
    pub(crate) name: &'static str,
    /// Every option that the command takes.
    pub(crate) grammar: Grammar,
    /// Without the option: so many, or all.
    pub(crate) none: Option<i64>,
}

/// Where a number of elements is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CountRule {
    /// Every call takes all there is.
    All,
    /// This word, negative like positive; without it `none`.
    Word { at: u16, none: i64 },
    /// This word; 0 is all, negative like positive: `LREM`.
    WordOrAll { at: u16 },
    /// This word; negative is all: `SLOWLOG GET`.
    WordOrNegative { at: u16, none: i64 },
    /// An option whose number must be above 0, else it limits nothing.
    Option(CountOption),
    /// An option of an offset and a number, of which only a negative number limits nothing.
    Limit(CountOption),
    /// The two words from here are indexes, from the end where negative.
    Indexes { at: u16 },
    /// `ZRANGE`: two indexes before the options, or with `BYSCORE` and `BYLEX` a `LIMIT`.
    Range(CountOption),
    /// Up to `STREAMS`: `XREAD`, `XREADGROUP`.
    Streams,
    /// `XPENDING key group [[IDLE time] start end count [consumer]]`.
    Pending,
}

/// Where a time out is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BlockingRule {
    /// This word, in seconds with fractions.
    Seconds(u16),
    /// The last word, in seconds with fractions.
    LastSeconds,
    /// This word, in milliseconds.
    Milliseconds(u16),
    /// After `BLOCK`, in milliseconds: `XREAD`, `XREADGROUP`.
    Streams,
}

const fn word(at: u16, clock: Clock) -> TtlRule {
    TtlRule::Word { at, clock }
}

pub(crate) const TTL: &[(&str, TtlRule)] = &[
    ("expire", word(2, Clock::SECONDS)),
    ("expireat", word(2, Clock::DATE)),
    ("getex", TtlRule::Options { from: 2 }),
    ("hexpire", word(2, Clock::SECONDS)),
    ("hexpireat", word(2, Clock::DATE)),
    ("hgetex", TtlRule::BeforeFields { from: 2 }),
    ("hpexpire", word(2, Clock::MILLISECONDS)),
    ("hpexpireat", word(2, Clock::DATE_MILLISECONDS)),
    ("hsetex", TtlRule::BeforeFields { from: 2 }),
    ("msetex", TtlRule::AfterPairs),
    ("pexpire", word(2, Clock::MILLISECONDS)),
    ("pexpireat", word(2, Clock::DATE_MILLISECONDS)),
    ("psetex", word(2, Clock::MILLISECONDS)),
    ("restore", TtlRule::Restore),
    ("restore-asking", TtlRule::Restore),
    ("set", TtlRule::Options { from: 3 }),
    ("setex", word(2, Clock::SECONDS)),
];

const fn from(first: u16) -> ValueRule {
    ValueRule::From { first, step: 1 }
}

pub(crate) const VALUE: &[(&str, ValueRule)] = &[
    ("append", ValueRule::Word(2)),
    ("bitfield", ValueRule::Bitfield),
    (
        "geoadd",
        ValueRule::Tuples {
            options: &["nx", "xx", "ch"],
            size: 3,
            place: 2,
        },
    ),
    ("getset", ValueRule::Word(2)),
    ("hincrby", ValueRule::Word(2)),
    ("hincrbyfloat", ValueRule::Word(2)),
    ("hmset", from(2)),
    ("hset", from(2)),
    ("hsetex", ValueRule::AfterFields),
    ("hsetnx", from(2)),
    ("linsert", ValueRule::Word(4)),
    ("lpush", from(2)),
    ("lpushx", from(2)),
    ("lset", ValueRule::Word(3)),
    ("mset", ValueRule::From { first: 2, step: 2 }),
    ("msetex", ValueRule::Pairs),
    ("msetnx", ValueRule::From { first: 2, step: 2 }),
    ("psetex", ValueRule::Word(3)),
    ("restore", ValueRule::Word(3)),
    ("restore-asking", ValueRule::Word(3)),
    ("rpush", from(2)),
    ("rpushx", from(2)),
    ("sadd", from(2)),
    ("set", ValueRule::Word(2)),
    ("setbit", ValueRule::Bit),
    ("setex", ValueRule::Word(3)),
    ("setnx", ValueRule::Word(2)),
    ("setrange", ValueRule::Range),
    ("xadd", ValueRule::Stream),
    (
        "zadd",
        ValueRule::Tuples {
            options: &["nx", "xx", "gt", "lt", "ch", "incr"],
            size: 2,
            place: 1,
        },
    ),
    ("zincrby", ValueRule::Word(3)),
];

const fn option(start: Start, name: &'static str, grammar: Grammar) -> CountOption {
    CountOption {
        start,
        name,
        grammar,
        none: None,
    }
}

const fn or(option: CountOption, none: i64) -> CountRule {
    CountRule::Option(CountOption {
        none: Some(none),
        ..option
    })
}

const SCAN: Grammar = &[
    ("count", 1),
    ("match", 1),
    ("type", 1),
    ("slot", 1),
    ("novalues", 0),
    ("noscores", 0),
];
const COUNT: Grammar = &[("count", 1)];
const LIMIT: Grammar = &[("limit", 1)];
const GEO: Grammar = &[
    ("count", 1),
    ("any", 0),
    ("asc", 0),
    ("desc", 0),
    ("withcoord", 0),
    ("withdist", 0),
    ("withhash", 0),
    ("store", 1),
    ("storedist", 1),
];
/// `BYPOLYGON` takes as many words as its first one tells.
const GEOSEARCH: Grammar = &[
    ("count", 1),
    ("any", 0),
    ("asc", 0),
    ("desc", 0),
    ("withcoord", 0),
    ("withdist", 0),
    ("withhash", 0),
    ("storedist", 0),
    ("frommember", 1),
    ("fromlonlat", 2),
    ("byradius", 2),
    ("bybox", 3),
    ("bypolygon", u8::MAX),
];
const RANGE: Grammar = &[("limit", 2), ("withscores", 0)];
const ZRANGE_OPTIONS: Grammar = &[
    ("limit", 2),
    ("byscore", 0),
    ("bylex", 0),
    ("rev", 0),
    ("withscores", 0),
];
const SORT: Grammar = &[
    ("by", 1),
    ("limit", 2),
    ("get", 1),
    ("asc", 0),
    ("desc", 0),
    ("alpha", 0),
    ("store", 1),
];

const fn popping(number: u16) -> CountRule {
    or(
        option(Start::AfterKeys { number, more: 1 }, "count", COUNT),
        1,
    )
}

const fn scanning(from: u16) -> CountRule {
    or(option(Start::At(from), "count", SCAN), 10)
}

const fn count_at(from: u16, grammar: Grammar) -> CountRule {
    CountRule::Option(option(Start::At(from), "count", grammar))
}

const fn limit_at(from: u16, grammar: Grammar) -> CountRule {
    CountRule::Limit(option(Start::At(from), "limit", grammar))
}

const fn range(from: u16) -> CountRule {
    CountRule::Range(option(Start::At(from), "limit", ZRANGE_OPTIONS))
}

const fn intersecting() -> CountRule {
    let start = Start::AfterKeys { number: 1, more: 0 };
    CountRule::Option(option(start, "limit", LIMIT))
}

const fn one_or(at: u16) -> CountRule {
    CountRule::Word { at, none: 1 }
}

pub(crate) const COUNTS: &[(&str, CountRule)] = &[
    ("acl|log", CountRule::WordOrNegative { at: 2, none: 10 }),
    ("blmpop", popping(2)),
    ("bzmpop", popping(2)),
    (
        "cluster|getkeysinslot",
        CountRule::WordOrNegative { at: 3, none: 0 },
    ),
    ("clusterscan", scanning(2)),
    (
        "commandlog|get",
        CountRule::WordOrNegative { at: 2, none: 10 },
    ),
    ("georadius", count_at(6, GEO)),
    ("georadius_ro", count_at(6, GEO)),
    ("georadiusbymember", count_at(5, GEO)),
    ("georadiusbymember_ro", count_at(5, GEO)),
    ("geosearch", count_at(2, GEOSEARCH)),
    ("geosearchstore", count_at(3, GEOSEARCH)),
    ("hrandfield", one_or(2)),
    ("hscan", scanning(3)),
    ("keys", CountRule::All),
    ("lmpop", popping(1)),
    ("lpop", one_or(2)),
    (
        "lpos",
        or(
            option(
                Start::At(3),
                "count",
                &[("count", 1), ("rank", 1), ("maxlen", 1)],
            ),
            1,
        ),
    ),
    ("lrange", CountRule::Indexes { at: 2 }),
    ("lrem", CountRule::WordOrAll { at: 2 }),
    ("rpop", one_or(2)),
    ("scan", scanning(2)),
    ("sintercard", intersecting()),
    ("slowlog|get", CountRule::WordOrNegative { at: 2, none: 10 }),
    ("sort", limit_at(2, SORT)),
    ("sort_ro", limit_at(2, SORT)),
    ("spop", one_or(2)),
    ("srandmember", one_or(2)),
    ("sscan", scanning(3)),
    (
        "xautoclaim",
        or(
            option(Start::At(6), "count", &[("count", 1), ("justid", 0)]),
            100,
        ),
    ),
    (
        "xinfo|stream",
        or(
            option(Start::At(3), "count", &[("count", 1), ("full", 0)]),
            10,
        ),
    ),
    ("xpending", CountRule::Pending),
    ("xrange", count_at(4, COUNT)),
    ("xread", CountRule::Streams),
    ("xreadgroup", CountRule::Streams),
    ("xrevrange", count_at(4, COUNT)),
    ("zintercard", intersecting()),
    ("zmpop", popping(1)),
    ("zpopmax", one_or(2)),
    ("zpopmin", one_or(2)),
    ("zrandmember", one_or(2)),
    ("zrange", range(4)),
    ("zrangebylex", limit_at(4, RANGE)),
    ("zrangebyscore", limit_at(4, RANGE)),
    ("zrangestore", range(5)),
    ("zrevrange", CountRule::Indexes { at: 2 }),
    ("zrevrangebylex", limit_at(4, RANGE)),
    ("zrevrangebyscore", limit_at(4, RANGE)),
    ("zscan", scanning(3)),
];

pub(crate) const BLOCKING: &[(&str, BlockingRule)] = &[
    ("blmove", BlockingRule::Seconds(5)),
    ("blmpop", BlockingRule::Seconds(1)),
    ("blpop", BlockingRule::LastSeconds),
    ("brpop", BlockingRule::LastSeconds),
    ("brpoplpush", BlockingRule::Seconds(3)),
    ("bzmpop", BlockingRule::Seconds(1)),
    ("bzpopmax", BlockingRule::LastSeconds),
    ("bzpopmin", BlockingRule::LastSeconds),
    ("wait", BlockingRule::Milliseconds(2)),
    ("waitaof", BlockingRule::Milliseconds(3)),
    ("xread", BlockingRule::Streams),
    ("xreadgroup", BlockingRule::Streams),
];

/// Commands with the text of a script, and the first word that it can be.
pub(crate) const SCRIPTS: &[(&str, u16)] = &[
    ("eval", 1),
    ("eval_ro", 1),
    ("function|load", 2), // the last word
    ("script|load", 2),
];
