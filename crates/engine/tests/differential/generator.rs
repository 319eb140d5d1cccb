//! Random commands: every command of the engine, few keys and values, all options, many faults.

use keyward_test_cases::Random;

/// One of the first `usual` texts with this percentage, else one of all.
fn mostly<'a>(random: &mut Random, percent: usize, usual: usize, from: &[&'a str]) -> &'a str {
    match random.percent(percent) {
        true => random.pick(&from[..usual]),
        false => random.pick(from),
    }
}

/// How a command is made: words in capitals are literal, others are placeholders (see `word`). A
/// placeholder with `+` is repeated. Options follow in any number and order, each with its values.
pub(crate) struct Form {
    pub(crate) weight: usize,
    pub(crate) words: &'static str,
    pub(crate) options: &'static [&'static str],
}

const fn form(weight: usize, words: &'static str, options: &'static [&'static str]) -> Form {
    Form {
        weight,
        words,
        options,
    }
}

const SET_OPTIONS: &[&str] = &[
    "NX",
    "XX",
    "GET",
    "KEEPTTL",
    "EX ttl",
    "PX pttl",
    "EXAT at",
    "PXAT pat",
    "IFEQ value",
    "EX nottl",
    "PX nottl",
    "EXAT int",
    "PERSIST",
];
/// Mostly the first; what the servers read as numbers, and what they do not.
const CURSORS: &[&str] = &[
    "0",
    "abc",
    "-1",
    "",
    "1",
    "-0",
    "+0",
    " 0",
    "0 ",
    "00",
    "0\0x",
    "\0",
    "+-0",
    "-",
    "18446744073709551615",
    "18446744073709551616",
    "-18446744073709551615",
    "-18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
];
const RESTORE_OPTIONS: &[&str] = &["REPLACE", "ABSTTL", "IDLETIME int", "FREQ int", "value"];
const EXPIRE_OPTIONS: &[&str] = &["NX", "XX", "GT", "LT"];
const SCORE_RANGE: &[&str] = &["WITHSCORES", "LIMIT int int"];
const COMBINE: &[&str] = &[
    "WEIGHTS double double",
    "WEIGHTS double",
    "AGGREGATE SUM",
    "AGGREGATE MIN",
    "AGGREGATE MAX",
    "AGGREGATE value",
    "WITHSCORES",
];
const SCAN_OPTIONS: &[&str] = &["MATCH glob", "COUNT int", "COUNT 1", "MATCH *"];

pub(crate) const FORMS: &[Form] = &[
    // Keys.
    form(3, "COPY key key", &["REPLACE", "DB 0", "DB 1", "DB int"]),
    form(6, "DEL key+", &[]),
    form(2, "DUMP key", &[]),
    form(4, "RESTORE key untilttl payload", RESTORE_OPTIONS),
    form(1, "RESTORE key untilttl payload", &["REPLACE ABSTTL"]),
    form(2, "UNLINK key+", &[]),
    form(2, "EXISTS key+", &[]),
    form(1, "TOUCH key+", &[]),
    form(3, "EXPIRE key ttl", EXPIRE_OPTIONS),
    form(1, "EXPIRE key nottl", EXPIRE_OPTIONS),
    form(2, "PEXPIRE key pttl", EXPIRE_OPTIONS),
    form(2, "EXPIREAT key at", EXPIRE_OPTIONS),
    form(2, "PEXPIREAT key pat", EXPIRE_OPTIONS),
    form(2, "EXPIRETIME key", &[]),
    form(2, "PEXPIRETIME key", &[]),
    form(3, "TTL key", &[]),
    form(3, "PTTL key", &[]),
    form(2, "PERSIST key", &[]),
    form(2, "KEYS glob", &[]),
    form(2, "RANDOMKEY", &[]),
    form(3, "RENAME key key", &[]),
    form(3, "RENAMENX key key", &[]),
    form(2, "MOVE key db", &[]),
    form(2, "TYPE key", &[]),
    form(
        2,
        "SCAN cursor",
        &[
            "MATCH glob",
            "COUNT int",
            "COUNT 1",
            "TYPE string",
            "TYPE hash",
            "TYPE zset",
            "TYPE value",
            "NOVALUES",
            "NOSCORES",
        ],
    ),
    form(1, "DBSIZE", &[]),
    // Server.
    form(1, "SELECT db", &[]),
    form(1, "SWAPDB db db", &[]),
    form(1, "FLUSHDB", &["SYNC", "ASYNC"]),
    form(1, "FLUSHALL", &["SYNC", "ASYNC", "value"]),
    form(1, "TIME", &[]),
    form(1, "PING", &["value"]),
    form(1, "ECHO value", &[]),
    form(1, "CONFIG GET SAVE", &[]),
    form(1, "CONFIG GET appendonly", &[]),
    // Strings.
    form(12, "SET s value", &[]),
    form(14, "SET s value", SET_OPTIONS),
    form(8, "GET s", &[]),
    form(3, "SETNX s value", &[]),
    form(2, "SETEX s ttl value", &[]),
    form(2, "PSETEX s pttl value", &[]),
    form(2, "SETEX s nottl value", &[]),
    form(3, "GETSET s value", &[]),
    form(3, "GETDEL s", &[]),
    form(
        6,
        "GETEX s",
        &[
            "EX ttl", "PX pttl", "EXAT at", "PXAT pat", "PERSIST", "EX nottl", "NX",
        ],
    ),
    form(3, "DELIFEQ s value", &[]),
    form(3, "MGET key+", &[]),
    form(2, "MSET sv+", &[]),
    form(2, "MSETNX sv+", &[]),
    form(3, "MSETEX nsv", SET_OPTIONS),
    form(4, "APPEND s value", &[]),
    form(3, "STRLEN s", &[]),
    form(4, "GETRANGE s int int", &[]),
    form(1, "SUBSTR s int int", &[]),
    form(4, "SETRANGE s int value", &[]),
    form(4, "INCR s", &[]),
    form(4, "DECR s", &[]),
    form(4, "INCRBY s int", &[]),
    form(4, "DECRBY s int", &[]),
    form(6, "INCRBYFLOAT s double", &[]),
    // Hashes.
    form(10, "HSET h fv+", &[]),
    form(1, "HSET h bulkdm", &[]),
    form(1, "HDEL h bulk", &[]),
    form(2, "HMSET h fv+", &[]),
    form(3, "HSETNX h member value", &[]),
    form(4, "HGET h member", &[]),
    form(3, "HMGET h member+", &[]),
    form(6, "HDEL h member+", &[]),
    form(2, "HLEN h", &[]),
    form(2, "HSTRLEN h member", &[]),
    form(2, "HEXISTS h member", &[]),
    form(3, "HGETALL h", &[]),
    form(2, "HKEYS h", &[]),
    form(2, "HVALS h", &[]),
    form(5, "HINCRBY h member int", &[]),
    form(5, "HINCRBYFLOAT h member double", &[]),
    form(4, "HRANDFIELD h", &[]),
    form(4, "HRANDFIELD h few", &["WITHVALUES"]),
    form(
        4,
        "HSCAN h cursor",
        &[
            "MATCH glob",
            "COUNT int",
            "NOVALUES",
            "NOSCORES",
            "TYPE hash",
        ],
    ),
    // Lists.
    form(8, "LPUSH l value+", &[]),
    form(1, "RPUSH l bulk", &[]),
    form(8, "RPUSH l value+", &[]),
    form(3, "LPUSHX l value+", &[]),
    form(3, "RPUSHX l value+", &[]),
    form(4, "LPOP l", &[]),
    form(4, "RPOP l", &[]),
    form(3, "LPOP l few", &[]),
    form(3, "RPOP l few", &[]),
    form(3, "LLEN l", &[]),
    form(3, "LINDEX l int", &[]),
    form(5, "LRANGE l int int", &[]),
    form(3, "LSET l int value", &[]),
    form(4, "LREM l few value", &[]),
    form(3, "LTRIM l int int", &[]),
    form(3, "LINSERT l BEFORE value value", &[]),
    form(3, "LINSERT l AFTER value value", &[]),
    form(1, "LINSERT l value value value", &[]),
    form(5, "LPOS l value", &["RANK few", "COUNT few", "MAXLEN few"]),
    form(2, "LMOVE l l LEFT RIGHT", &[]),
    form(2, "LMOVE l l RIGHT LEFT", &[]),
    form(2, "LMOVE l l RIGHT RIGHT", &[]),
    form(1, "LMOVE l l value LEFT", &[]),
    form(3, "RPOPLPUSH l l", &[]),
    form(3, "LMPOP nl LEFT", &["COUNT few"]),
    form(3, "LMPOP nl RIGHT", &["COUNT few"]),
    // Sets.
    form(12, "SADD t member+", &[]),
    form(1, "SADD t bulk", &[]),
    form(1, "SREM t bulk", &[]),
    form(5, "SREM t member+", &[]),
    form(4, "SMOVE t t member", &[]),
    form(3, "SCARD t", &[]),
    form(3, "SISMEMBER t member", &[]),
    form(3, "SMISMEMBER t member+", &[]),
    form(3, "SMEMBERS t", &[]),
    form(3, "SPOP t", &[]),
    form(3, "SPOP t few", &[]),
    form(3, "SRANDMEMBER t", &[]),
    form(3, "SRANDMEMBER t few", &[]),
    form(3, "SUNION t+", &[]),
    form(3, "SINTER t+", &[]),
    form(3, "SDIFF t+", &[]),
    form(3, "SUNIONSTORE t t+", &[]),
    form(3, "SINTERSTORE t t+", &[]),
    form(3, "SDIFFSTORE t t+", &[]),
    form(3, "SINTERCARD nt", &["LIMIT int"]),
    form(4, "SSCAN t cursor", SCAN_OPTIONS),
    // Sorted sets.
    form(12, "ZADD z dm+", &[]),
    form(1, "ZADD z bulkdm", &[]),
    form(1, "ZREM z bulk", &[]),
    form(2, "ZADD z NX dm+", &[]),
    form(2, "ZADD z XX CH dm+", &[]),
    form(2, "ZADD z GT CH dm+", &[]),
    form(2, "ZADD z LT dm+", &[]),
    form(3, "ZADD z INCR dm", &[]),
    form(2, "ZADD z zopt zopt dm", &[]),
    form(2, "ZADD z zopt zopt dm+", &[]),
    form(5, "ZREM z member+", &[]),
    form(3, "ZINCRBY z double member", &[]),
    form(1, "ZINCRBY z zopt double member", &[]),
    form(2, "ZCARD z", &[]),
    form(3, "ZSCORE z member", &[]),
    form(2, "ZMSCORE z member+", &[]),
    form(3, "ZRANK z member", &["WITHSCORE"]),
    form(3, "ZREVRANK z member", &["WITHSCORE"]),
    form(3, "ZPOPMIN z", &[]),
    form(3, "ZPOPMAX z", &[]),
    form(2, "ZPOPMIN z few", &[]),
    form(2, "ZPOPMAX z few", &[]),
    form(2, "ZMPOP nz MIN", &["COUNT few"]),
    form(2, "ZMPOP nz MAX", &["COUNT few"]),
    form(3, "ZRANDMEMBER z", &[]),
    form(4, "ZRANDMEMBER z few", &["WITHSCORES"]),
    form(
        5,
        "ZRANGE z int int",
        &["WITHSCORES", "REV", "LIMIT int int", "BYSCORE", "BYLEX"],
    ),
    form(
        5,
        "ZRANGE z bound bound BYSCORE",
        &["WITHSCORES", "REV", "LIMIT int int"],
    ),
    form(
        5,
        "ZRANGE z text text BYLEX",
        &["REV", "LIMIT int int", "WITHSCORES"],
    ),
    form(3, "ZREVRANGE z int int", SCORE_RANGE),
    form(4, "ZRANGEBYSCORE z bound bound", SCORE_RANGE),
    form(4, "ZREVRANGEBYSCORE z bound bound", SCORE_RANGE),
    form(3, "ZRANGEBYLEX z text text", SCORE_RANGE),
    form(3, "ZREVRANGEBYLEX z text text", SCORE_RANGE),
    form(
        3,
        "ZRANGESTORE z z int int",
        &["REV", "LIMIT int int", "WITHSCORES"],
    ),
    form(
        3,
        "ZRANGESTORE z z bound bound BYSCORE",
        &["REV", "LIMIT int int"],
    ),
    form(
        3,
        "ZRANGESTORE z z text text BYLEX",
        &["REV", "LIMIT int int"],
    ),
    form(3, "ZCOUNT z bound bound", &[]),
    form(3, "ZLEXCOUNT z text text", &[]),
    form(2, "ZREMRANGEBYRANK z int int", &[]),
    form(2, "ZREMRANGEBYSCORE z bound bound", &[]),
    form(2, "ZREMRANGEBYLEX z text text", &[]),
    form(4, "ZUNION nzt", COMBINE),
    form(4, "ZINTER nzt", COMBINE),
    form(4, "ZDIFF nzt", COMBINE),
    form(4, "ZUNIONSTORE z nzt", COMBINE),
    form(4, "ZINTERSTORE z nzt", COMBINE),
    form(4, "ZDIFFSTORE z nzt", COMBINE),
    form(3, "ZINTERCARD nzt", &["LIMIT int"]),
    form(
        4,
        "ZSCAN z cursor",
        &["MATCH glob", "COUNT int", "NOSCORES", "NOVALUES"],
    ),
];

const TEXTS: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
    "aa",
    "ab",
    "",
    "hello",
    "10",
    "-3",
    "7",
    "0",
    "3.5",
    "1e3",
    "-0",
    "9223372036854775807",
    "-9223372036854775808",
    "5.0",
    "inf",
    "x y\r\n",
    "\u{e9}",
    "a member that is longer than sixty-four bytes, so that small encodings do not fit it",
];
const MEMBERS: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
    "g",
    "aa",
    "ab",
    "",
    "1",
    "2",
    "-3",
    "3.5",
    "a member that is longer than sixty-four bytes, so that small encodings do not fit it",
];
const INTEGERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-2",
    "-3",
    "5",
    "10",
    "-10",
    "100",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "-9223372036854775807",
    "abc",
    "",
    " 1",
    "01",
    "+1",
    "1.5",
    "4294967296",
    "-0",
    "2147483648",
];
/// Times that no key lives: those that do are long, so that both sides see the same.
/// Values as Redis 7.0 dumps them, in hexadecimal; the last one has a wrong checksum.
const PAYLOADS: &[&str] = &[
    "00000a005d9b5c400f7fa2da",
    "0001610a00bffeef9b8f367db4",
    "00c00c0a003c2af8515c04bcd5",
    "00c138ff0a00223b8fbbe8f461f3",
    "00c2701101000a0001a408fe953095a5",
    "000b2d333030303030303030300a007cef356d39051fd1",
    "0004303031320a00cb37f60bcb11085d",
    "00c3094064017878e057000178780a005db7f663bb08625f",
    "00c3404c577002616261e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0ff01e0b2010161620a00a6427a68c0d41192",
    "004064787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878780a0062555807841b196d",
    "120102c3407854041f041400000b008161020101dffb02c0c802f1ffef03f270110104f2c0c62d04f40b00f2052a0100000009e04679e03c000648f0881300007ae0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ee0004278d8001ff0a00c7fa0fe494c919bd",
    "0b0e0200000003000000fbff01002c010a000f5f7a8eb59409d2",
    "0b10040000000200000090eefeff010000000a0094a105e959efec05",
    "0b200800000003000000000efad5feffffff0100000000000000ffffffffffffff7f0a00b283e40ce05cdce9",
    "0204c0fb0162c00101610a00062c9774e22d2365",
    "10c31c340f34000000060081610201018162029e78e01400061f8163028001ff0a00b08db1eed739d06d",
    "1123230000000800816302842d696e6605816402dffd02816102010181620283322e3504ff0a00e4de3b15921e2e4a",
    "00000a005d9b5c400f7fa2db",
];
const NO_TIMES: &[&str] = &[
    "0",
    "-1",
    "-10",
    "abc",
    "",
    "1.5",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "9223372036854775",
    "-9223372036854776",
];
const FEW: &[&str] = &[
    "0", "1", "2", "3", "-1", "-2", "-4", "5", "20", "-7", "abc", "1.5", "",
];
const DOUBLES: &[&str] = &[
    "0",
    "1",
    "2",
    "-1",
    "0.1",
    "0.2",
    "1.5",
    "3",
    "-2.5",
    "1e3",
    "1e20",
    "1e-7",
    "inf",
    "-inf",
    "+5",
    "nan",
    "abc",
    "",
    " 1",
    "1 ",
    "1e400",
    "123456789.123",
    "0.30000000000000004",
    "-0",
    "17976931348623157e292",
    ".5",
    "5.",
    "1e",
    "0x10",
    "0x1.8p-2",
    "0x",
    "1e4932",
    "-1e-4940",
    "0.1234567890123456789012345",
    "3.00000000000000000001",
    "3.0",
];
const BOUNDS: &[&str] = &[
    "0", "1", "(1", "(2", "2", "3", "-1", "(0.1", "1.5", "-inf", "+inf", "inf", "(inf", "(-inf",
    "abc", "(", "nan", "(nan", "((1",
];
const TEXT_BOUNDS: &[&str] = &[
    "-", "+", "[a", "(a", "[b", "(c", "[aa", "[", "(", "a", "", "[e", "(1",
];
const GLOBS: &[&str] = &[
    "*", "a*", "?", "[a-c]*", "*1", "s*", "[^s]*", "\\a", "h?", "**", "", "[", "[a", "*a*b*",
    "z[12]",
];
const KEYS: &[&str] = &[
    "s1", "s2", "s3", "h1", "h2", "l1", "l2", "t1", "t2", "t3", "z1", "z2", "z3", "", "k\u{0}x",
];
const ZADD_OPTIONS: &[&str] = &["NX", "XX", "GT", "LT", "CH", "INCR"];

pub(crate) type Words = Vec<Vec<u8>>;

/// Makes one command. `now` is in milliseconds.
pub(crate) fn command(random: &mut Random, now: i64) -> Words {
    let total: usize = FORMS.iter().map(|form| form.weight).sum();
    let mut at = random.below(total);
    let form = FORMS
        .iter()
        .find(|form| {
            let found = at < form.weight;
            at = at.wrapping_sub(form.weight);
            found
        })
        .unwrap();
    let mut words = Words::new();
    form.words
        .split(' ')
        .for_each(|word| expand(word, random, now, &mut words));
    if !form.options.is_empty() {
        for _ in 0..random.pick(&[0, 0, 1, 1, 1, 2, 2, 3]) {
            let option = random.pick(form.options);
            option
                .split(' ')
                .for_each(|word| expand(word, random, now, &mut words));
        }
    }
    if random.percent(2) && words.len() > 1 {
        words.pop();
    }
    if random.percent(1) {
        words.push(random.pick(TEXTS).as_bytes().to_vec());
    }
    if random.percent(5) {
        words[0].make_ascii_lowercase();
    }
    words
}

fn expand(word: &str, random: &mut Random, now: i64, out: &mut Words) {
    if let Some(word) = word.strip_suffix('+') {
        for _ in 0..random.pick(&[1, 1, 2, 2, 3, 5]) {
            expand(word, random, now, out);
        }
        return;
    }
    let mut push = |text: &str| out.push(text.as_bytes().to_vec());
    match word {
        "s" | "h" | "l" | "t" | "z" => push(&key_of(word, random)),
        "zt" => {
            let kind = random.pick(&["z", "z", "t"]);
            push(&key_of(kind, random));
        }
        "key" => push(random.pick(KEYS)),
        "value" => push(random.pick(TEXTS)),
        "member" => push(random.pick(MEMBERS)),
        "int" => push(mostly(random, 75, 11, INTEGERS)),
        "few" => push(mostly(random, 85, 10, FEW)),
        "double" => push(mostly(random, 70, 12, DOUBLES)),
        "bound" => push(mostly(random, 90, 14, BOUNDS)),
        "text" => push(random.pick(TEXT_BOUNDS)),
        "glob" => push(random.pick(GLOBS)),
        "zopt" => push(random.pick(ZADD_OPTIONS)),
        "cursor" => push(mostly(random, 60, 1, CURSORS)),
        "db" => push(random.pick(&["0", "0", "1", "1", "2", "15", "16", "-1", "abc"])),
        "ttl" => push(&(1000 + random.below(1000)).to_string()),
        "nottl" => push(random.pick(NO_TIMES)),
        "pttl" => push(&(1_000_000 + random.below(1_000_000)).to_string()),
        "at" => {
            let offset = random.pick(&[-5, 2000, 3000]);
            push(&(now / 1000 + offset).to_string());
        }
        "untilttl" => match random.below(5) {
            0 => push(random.pick(NO_TIMES)),
            1 => push(&(1_000_000 + random.below(1_000_000)).to_string()),
            2 => push(&(now + 2_000_000).to_string()),
            _ => push("0"),
        },
        "payload" => {
            let hex = mostly(random, 90, PAYLOADS.len() - 1, PAYLOADS);
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            out.push((0..hex.len()).step_by(2).map(byte).collect());
        }
        "pat" => {
            let offset = random.pick(&[-5000, 2_000_000, 3_000_000]);
            push(&(now + offset).to_string());
        }
        "sv" => ["s", "value"]
            .iter()
            .for_each(|word| expand(word, random, now, out)),
        "fv" => ["member", "value"]
            .iter()
            .for_each(|word| expand(word, random, now, out)),
        "dm" => ["double", "member"]
            .iter()
            .for_each(|word| expand(word, random, now, out)),
        "bulk" => (0..150).for_each(|_| push(&random.below(400).to_string())),
        "bulkdm" => (0..150).for_each(|_| {
            push(&random.below(10).to_string());
            push(&random.below(400).to_string());
        }),
        "nsv" | "nl" | "nt" | "nz" | "nzt" => {
            let count = random.pick(&[1, 1, 2, 2, 3]);
            match random.below(25) {
                0 => push(random.pick(INTEGERS)),
                1 => push(&(count + 1).to_string()),
                _ => push(&count.to_string()),
            }
            (0..count).for_each(|_| expand(&word[1..], random, now, out));
        }
        literal => push(literal),
    }
}

/// A key that mostly holds a value of the type, or none.
fn key_of(kind: &str, random: &mut Random) -> String {
    if random.percent(6) {
        return random.pick(KEYS).to_owned();
    }
    let keys: Vec<&str> = KEYS
        .iter()
        .copied()
        .filter(|key| key.starts_with(kind))
        .collect();
    random.pick(&keys).to_owned()
}
