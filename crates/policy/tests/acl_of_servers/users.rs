//! Users at random.

use keyward_commands::CommandId;
use keyward_test_cases::Random;

/// Patterns that match some of the keys, channels and option words that calls are made of.
const PATTERNS: [&str; 22] = [
    "*t", "s*", "string", "list", "*", "?et", "z?et", "[a-m]*", "[^a-m]*", "st*", "stor?", "*e*",
    "hash", "\\s*", "[st", "get", "streams", "limit", "a", "?", "**", "[x-a]*",
];

/// Words before a pattern of keys.
const ACCESS: [&str; 6] = ["~", "%R~", "%W~", "%RW~", "%wr~", "~"];

/// Rules that are odd, wrong, or written as few people write them.
const ODD: [&str; 140] = [
    "~",
    "&",
    "+",
    "-",
    "+@",
    "%",
    "%~a",
    "%R~",
    "%RR~a",
    "%R~*",
    "%W~*",
    "%RW~*",
    "%R",
    "%X~a",
    "+@READ",
    "-@Write",
    "+@nope",
    "+@ALL",
    "NOCOMMANDS",
    "nocommands",
    "AllKeys",
    "ALLCHANNELS",
    "ResetKeys",
    "RESETCHANNELS",
    "+nope",
    "-nope|x",
    "+GET|",
    "+get|",
    "+config|",
    "-config|",
    "+config|get|x",
    "-config|SET",
    "+|get",
    "+ get",
    "+sort_RO",
    "+select|1",
    "+Select|0",
    "+ping|",
    "~a b",
    "~\\",
    "&[",
    "~[^",
    "db=",
    "db=x",
    "+client|",
    "allcommands",
    "+@all",
    "-@all",
    "allkeys",
    "~*",
    "&*",
    "alldbs",
    "resetdbs",
    "db=0,",
    "db=,0",
    "db=00",
    "db=+1",
    "db=-0",
    "db=16",
    "db=99999999999",
    "Db=1,1,0",
    "db=1,x",
    "+config -config|set",
    "+config|get -config",
    "-config +config|set",
    "+@admin -config|get",
    "-@all +get|x",
    "+get|x -get",
    "+get|x -@read",
    "+get|x +get",
    "+get|x +@read",
    "-get +get|string +get|LIST",
    "+select|0 -@connection",
    "+@all -select +select|1",
    "-client +client|id -client|id",
    "+acl|whoami|x",
    "+CONFIG|Get",
    "-CONFIG",
    "~\\*",
    "~\\\\",
    "~[",
    "~[]",
    "~[]a]",
    "~[^]",
    "~[!s]*",
    "~[a-",
    "~[a-z",
    "~*[",
    "~[z-a]*",
    "~[\\]]",
    "~[\\t-s]*",
    "~\u{e9}*",
    "~?\u{e9}",
    "%~",
    "%R~",
    "%W",
    "%rw~*",
    "%R~a%W~b",
    "%*",
    "&\\",
    "~\"string\"",
    "~'list'",
    "~\"a",
    "\"~string\"",
    "+\"get\"",
    "~(a)",
    "~a)",
    "~)",
    ")",
    "(",
    "( )",
    "(())",
    "(+get",
    "+get)",
    "on",
    "off",
    "nopass",
    "resetpass",
    "reset",
    "sanitize-payload",
    "SKIP-sanitize-payload",
    "clearselectors",
    ">",
    ">a",
    "<a",
    ">a <a",
    ">a(",
    "<b",
    "#",
    "#00",
    "#0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "#0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
    "!0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "+@",
    "-@",
    "+@keyspace -@keyspace",
    "+@scripting",
    "+@search",
    "-@json",
    "+@bloom",
];

/// A pattern of characters that mean something in patterns, and letters of keys.
fn wild(random: &mut Random) -> String {
    const ALPHABET: [&str; 20] = [
        "*", "*", "?", "?", "[", "]", "^", "-", "\\", "!", "s", "t", "e", "l", "i", "r", "a", "z",
        "s", "t",
    ];
    (0..random.below(8))
        .map(|_| random.pick(&ALPHABET))
        .collect()
}

/// Rules of every kind in any order.
fn jumble(random: &mut Random, databases: bool) -> Vec<String> {
    let mut rules = Vec::new();
    for _ in 0..1 + random.below(12) {
        rules.push(match random.below(14) {
            0 => random
                .pick(&["+@all", "allcommands", "AllCommands", "-@all"])
                .to_owned(),
            1 => random
                .pick(&["resetkeys", "resetchannels", "nocommands"])
                .to_owned(),
            2 => random
                .pick(&["~*", "allkeys", "&*", "allchannels"])
                .to_owned(),
            3 if random.percent(25) => odd(random, databases),
            4 => format!("&{}", random.pick(&PATTERNS)),
            5 => format!("{}{}", random.pick(&ACCESS), wild(random)),
            6 => format!("&{}", wild(random)),
            7 | 8 => format!("{}{}", random.pick(&ACCESS), random.pick(&PATTERNS)),
            _ => command(random),
        });
    }
    // Some twice.
    if random.percent(20) {
        let again = rules[random.below(rules.len())].clone();
        rules.push(again);
    }
    rules
}

/// An odd rule that both kinds of servers know how to read.
fn odd(random: &mut Random, databases: bool) -> String {
    loop {
        let rule = random.pick(&ODD);
        let of_databases = rule.to_ascii_lowercase().contains("db");
        if databases || !of_databases {
            return rule.to_owned();
        }
    }
}

/// A selector as somebody may have typed it.
fn in_parentheses(random: &mut Random, rules: &[String]) -> String {
    let joined = rules.join(random.pick(&[" ", " ", " ", "  "]));
    match random.below(14) {
        0 => format!("( {joined})"),
        1 => format!("({joined} )"),
        2 => format!("( {joined} )"),
        3 if random.percent(30) => format!("({joined}"),
        4 if random.percent(30) => format!("(({joined}))"),
        5 if random.percent(30) => "()".to_owned(),
        _ => format!("({joined})"),
    }
}

/// The rules of a selector.
fn selector(random: &mut Random, databases: bool) -> Vec<String> {
    if random.percent(30) {
        return jumble(random, databases);
    }
    let mut rules = Vec::new();
    match random.below(4) {
        0 | 1 => rules.push("+@all".to_owned()),
        2 => rules.push("allcommands".to_owned()),
        _ => {}
    }
    for _ in 0..random.below(6) {
        rules.push(command(random));
    }
    match random.below(5) {
        0 | 1 => rules.push(random.pick(&["~*", "allkeys"]).to_owned()),
        _ => {
            for _ in 0..random.below(5) {
                let access = random.pick(&ACCESS);
                rules.push(format!("{access}{}", random.pick(&PATTERNS)));
            }
        }
    }
    match random.below(4) {
        0 | 1 => rules.push(random.pick(&["&*", "allchannels"]).to_owned()),
        _ => {
            for _ in 0..random.below(3) {
                rules.push(format!("&{}", random.pick(&PATTERNS)));
            }
        }
    }
    if databases && random.percent(35) {
        rules.push(
            random
                .pick(&["db=0", "db=1,2", "db=0,5", "DB=2,0,2", "resetdbs", "alldbs"])
                .to_owned(),
        );
    }
    // Order matters: where a rule has to come before another, most shuffles are refused, by the
    // server and by us.
    if random.percent(30) {
        for at in (1..rules.len()).rev() {
            let other = random.below(at + 1);
            rules.swap(at, other);
        }
    }
    if random.percent(12) {
        let at = random.below(rules.len() + 1);
        rules.insert(at, odd(random, databases));
    }
    if random.percent(10) {
        let resets = ["resetkeys", "resetchannels", "-@all", "+@all", "allkeys"];
        let at = random.below(rules.len() + 1);
        rules.insert(at, random.pick(&resets).to_owned());
    }
    rules
}

fn command(random: &mut Random) -> String {
    let sign = random.pick(&["+", "-"]);
    match random.below(10) {
        0..=3 => {
            let categories: Vec<&str> = keyward_commands::Categories::all()
                .map(|(_, name)| name)
                .collect();
            format!("{sign}@{}", random.pick(&categories))
        }
        4 => {
            let containers = [
                "acl", "client", "cluster", "command", "config", "function", "latency", "memory",
                "module", "object", "pubsub", "script", "slowlog", "xgroup", "xinfo",
            ];
            format!("{sign}{}", random.pick(&containers))
        }
        5 => random
            .pick(&[
                "+select|0",
                "+get|string",
                "+debug|sleep",
                "+SORT|list",
                "+set|STORE",
                "+exists|hash",
                "+publish|a",
                "+eval|a",
                "+config|nope",
                "+get|a|b",
                "+client|id|x",
                "-get|a",
            ])
            .to_owned(),
        _ => {
            let all: Vec<&str> = CommandId::all().map(|id| id.command().name).collect();
            let name = random.pick(&all);
            if random.percent(20) {
                format!("{sign}{}", name.to_uppercase())
            } else {
                format!("{sign}{name}")
            }
        }
    }
}

/// The rules of a user. `databases`: with those that only Valkey 9.1 knows.
pub(crate) fn user(random: &mut Random, databases: bool) -> Vec<String> {
    let mut rules = Vec::new();
    if random.percent(20) {
        let words = [
            "on",
            "off",
            "nopass",
            ">secret",
            "resetpass",
            "sanitize-payload",
            "reset",
            "<none",
            "nonsense",
        ];
        rules.push(random.pick(&words).to_owned());
    }
    rules.extend(selector(random, databases));
    for _ in 0..[0, 0, 0, 1, 2, 3][random.below(6)] {
        let inner = selector(random, databases);
        rules.push(in_parentheses(random, &inner));
    }
    if random.percent(3) {
        rules.push(
            random
                .pick(&["clearselectors", "ClearSelectors"])
                .to_owned(),
        );
    }
    rules
}

/// A file of a few users, sometimes written as nobody should.
pub(crate) fn file(random: &mut Random, databases: bool) -> String {
    let mut text = String::new();
    for number in 0..random.below(4) {
        let rules = user(random, databases).join(" ");
        let name = match random.below(20) {
            0 => "default".to_owned(),
            1 => "u0".to_owned(),
            2 => random
                .pick(&[
                    "U0", "a:b", "\u{e9}", "\"u\"", "user", "on", "+get", "#x", "%", "(",
                ])
                .to_owned(),
            _ => format!("u{number}"),
        };
        let mut line = match random.below(24) {
            0 => format!("USER {name} {rules}"),
            1 => format!("user  {name} {rules}"),
            2 => format!("user {name}  {rules}"),
            3 => format!("\tuser {name} {rules}"),
            4 => format!("user\t{name} {rules}"),
            5 => format!("user {name}\t{rules}"),
            6 => format!("# user {name} {rules}"),
            7 => format!("user {name}"),
            8 => "user".to_owned(),
            9 => name,
            10 => format!("user {name} {}", rules.replace(' ', "  ")),
            11 => format!("user {name} {}", rules.replacen(' ', "\t", 1)),
            _ => format!("user {name} {rules}"),
        };
        line.push_str(random.pick(&["", "", "", "", "", " ", "\t", "\r", " # a comment", "  \r"]));
        text.push_str(&line);
        text.push_str(random.pick(&["\n", "\n", "\n", "\r\n", "\n\n", "\n  \n", "\n\r\n\t\n"]));
    }
    if random.percent(10) {
        text.truncate(text.trim_end().len());
    }
    text
}
