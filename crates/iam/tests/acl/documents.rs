//! Native documents at random.

use keyward_commands::CommandId;

use keyward_test_cases::Random;

/// Patterns that match some of the keys, channels and option words that calls are made of.
const PATTERNS: [&str; 16] = [
    "*t",
    "s*",
    "string",
    "list",
    "*",
    "?et",
    "[a-m]*",
    "[^a-m]*",
    "st*",
    "*e*",
    "hash",
    "get",
    "a",
    "?",
    "it's",
    "quoted\\\")",
];

/// One document.
pub(crate) fn document(random: &mut Random) -> String {
    let statements: Vec<String> = (0..1 + random.below(4))
        .map(|number| {
            let effect = if number > 0 && random.percent(35) {
                "Deny"
            } else {
                "Allow"
            };
            statement(random, effect)
        })
        .collect();
    format!("[{}]", statements.join(","))
}

fn statement(random: &mut Random, effect: &str) -> String {
    let mut actions = Vec::new();
    for _ in 0..1 + random.below(3) {
        actions.push(format!("\"{}\"", action(random, effect)));
    }
    let resource = random.pick(&["kvdb/main", "kvdb/main", "kvdb/*", "**", "kvdb/other"]);
    let mut fields = String::new();
    if random.percent(60) {
        for name in ["Keys", "ReadKeys", "WriteKeys", "Channels"] {
            if random.percent(45) {
                let count = 1 + random.below(3);
                let patterns: Vec<String> = (0..count)
                    .map(|_| format!("\"{}\"", random.pick(&PATTERNS)))
                    .collect();
                fields.push_str(&format!(",\"{name}\":[{}]", patterns.join(",")));
            }
        }
    }
    format!(
        "{{\"Effect\":\"{effect}\",\"Actions\":[{}],\"Resources\":[\"{resource}\"]{fields}}}",
        actions.join(",")
    )
}

fn action(random: &mut Random, effect: &str) -> String {
    match random.below(10) {
        0 => "kvdb:*".into(),
        1 | 2 => "kvdb:Execute*".into(),
        3..=6 => {
            let sets = [
                "kvdb:@read",
                "kvdb:@write",
                "kvdb:@keyspace",
                "kvdb:@pubsub",
                "kvdb:@string",
                "kvdb:@connection",
                "kvdb:@fast",
                "kvdb:@slow",
            ];
            random.pick(&sets).to_owned()
        }
        7 if effect == "Deny" && random.percent(20) => "kvdb:ExecutePing".into(),
        _ => {
            let all: Vec<&str> = CommandId::all().map(|id| id.command().action).collect();
            random.pick(&all).to_owned()
        }
    }
}
