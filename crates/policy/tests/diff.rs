//! Differences between documents: the corpus, and properties held against brute force.

#![expect(clippy::unwrap_used, reason = "tests")]

use keyward_policy::{
    Change, ConditionKey, Dialect, FactValue, MAX_DIFFERENCES, Policy, PolicyKind, Request,
    TranslationNames, allows, diff, diff_of_any_dialect, read, read_as,
};
use proptest::prelude::*;

fn lines(old: &str, new: &str, kind: PolicyKind) -> Vec<String> {
    let [old, new] = [old, new].map(|text| match read(text, kind, "acme") {
        Ok(policy) => policy,
        Err(findings) => panic!("{text}: {findings}"),
    });
    let found = diff(&old, &new);
    let of = |change| match change {
        Change::NowAllowed => "now allowed",
        Change::NoLongerAllowed => "no longer allowed",
    };
    let mut lines = Vec::new();
    for difference in &found.differences {
        let (from, to) = match difference.change {
            Change::NowAllowed => (&old, &new),
            Change::NoLongerAllowed => (&new, &old),
        };
        assert!(allows(to, &difference.witness) && !allows(from, &difference.witness));
        let also = match difference.also.len() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let request = difference.witness.describe("acme");
        lines.push(format!("{}: {request}{also}", of(difference.change)));
    }
    for undecided in &found.undecided {
        let action = undecided.actions.first().map_or("", |action| action.name());
        lines.push(format!(
            "undecided: {} {action}: {}",
            of(undecided.change),
            undecided.reason
        ));
    }
    lines
}

/// A case of the corpus: its place, what it shows, the documents, the expected lines.
struct Case {
    place: String,
    kind: PolicyKind,
    documents: [String; 2],
    expected: Vec<String>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for file in keyward_test_cases::corpus("diff") {
        let mut which = None;
        for (number, line) in file.lines() {
            let line = line.trim_end();
            if let Some(shows) = line.strip_prefix("case: ") {
                cases.push(Case {
                    place: format!("{}:{number}: {shows}", file.name),
                    kind: PolicyKind::Identity,
                    documents: Default::default(),
                    expected: Vec::new(),
                });
                continue;
            }
            let case: &mut Case = cases.last_mut().unwrap();
            if line == "resource" {
                case.kind = PolicyKind::Resource;
            } else if let Some(rest) = line.strip_prefix("old ") {
                which = Some(0);
                case.documents[0].push_str(rest);
            } else if let Some(rest) = line.strip_prefix("new ") {
                which = Some(1);
                case.documents[1].push_str(rest);
            } else if line.starts_with(' ') {
                case.documents[which.unwrap()].push_str(line);
            } else {
                case.expected.push(line.to_owned());
            }
        }
    }
    cases
}

#[test]
fn corpus() {
    let mut wrong = Vec::new();
    for case in cases() {
        let [old, new] = &case.documents;
        let found = lines(old, new, case.kind);
        if found != case.expected {
            wrong.push(format!("{}\n{}", case.place, found.join("\n")));
        }
        let back = lines(new, old, case.kind);
        assert_eq!(
            back.len(),
            found.len(),
            "{} the other way: {back:?}",
            case.place
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Between policies as people write them no question stays open.
#[test]
fn usual_policies_are_decided() {
    let text = include_str!("../../../corpus/diff/usual.json");
    let usual: std::collections::BTreeMap<String, serde_json::Value> =
        serde_json::from_str(text).unwrap();
    let mut open = Vec::new();
    for (old_name, old) in &usual {
        // Both directions are told of each pair.
        for (new_name, new) in usual.range(old_name.clone()..) {
            let found = lines(&old.to_string(), &new.to_string(), PolicyKind::Identity);
            assert_eq!(
                found.is_empty(),
                old_name == new_name,
                "{old_name} to {new_name}"
            );
            let undecided = found
                .into_iter()
                .filter(|line| line.starts_with("undecided"));
            open.extend(undecided.map(|line| format!("{old_name} to {new_name}: {line}")));
        }
    }
    assert!(open.is_empty(), "{}", open.join("\n"));
}

/// Requests that random small documents can tell apart.
fn requests() -> Vec<Request> {
    let words = |line: &str| -> Vec<Vec<u8>> {
        let word = |word: &str| word.trim_matches('_').as_bytes().to_vec();
        line.split(' ').map(word).collect()
    };
    let keys = ["a", "b", "ab", "_", "c", "aa", "ba"];
    let mut lines: Vec<String> = [
        "PING",
        "TIME",
        "FLUSHALL",
        "SCAN 0",
        "SCAN 0 COUNT 50",
        "KEYS *",
        "RANDOMKEY",
        "DBSIZE",
        "EVAL 1 0",
        "CONFIG GET maxmemory",
        "UNSUBSCRIBE",
        "SELECT 1",
    ]
    .map(str::to_owned)
    .to_vec();
    for a in keys {
        for one in [
            "GET",
            "DEL",
            "MGET",
            "WATCH",
            "SUBSCRIBE",
            "PSUBSCRIBE",
            "SORT",
        ] {
            lines.push(format!("{one} {a}"));
        }
        lines.extend([
            format!("SET {a} 1"),
            format!("SET {a} 1 GET"),
            format!("SET {a} 1 EX 100"),
            format!("EXPIRE {a} 0"),
            format!("PUBLISH {a} m"),
        ]);
        lines.push(format!("EVAL s 1 {a}"));
        for b in keys {
            for two in ["DEL", "MGET", "COPY", "SUBSCRIBE", "PSUBSCRIBE", "WATCH"] {
                lines.push(format!("{two} {a} {b}"));
            }
            lines.push(format!("MGET {a} {b} c"));
        }
    }
    lines.extend(["*", "a*", "?", "[ab]"].map(|pattern| format!("PSUBSCRIBE {pattern}")));
    let key = |name: &str| ConditionKey::new(Dialect::Native, name);
    let address = |text: &str| FactValue::Address(text.parse().unwrap());
    let team = |text: &str| FactValue::Texts(vec![text.as_bytes().to_vec()]);
    let mut facts = vec![Vec::new()];
    for (ip, tag, of_resource) in [
        (Some("10.0.0.1"), None, Some("red")),
        (Some("10.200.0.1"), Some("blue"), Some("red")),
        (Some("10.0.0.1"), Some("blue"), Some("blue")),
        (Some("192.168.1.1"), Some("red"), None),
        (Some("10.200.0.1"), Some(""), Some("")),
        (None, Some("red"), Some("red")),
        (None, Some("a"), Some("a")),
    ] {
        let ip = ip.map(|ip| (key("keyward:SourceIp"), address(ip)));
        let tag = tag.map(|tag| (key("keyward:PrincipalTag/team"), team(tag)));
        let of_resource = of_resource.map(|tag| (key("keyward:ResourceTag/team"), team(tag)));
        facts.push(ip.into_iter().chain(tag).chain(of_resource).collect());
    }
    let mut all = Vec::new();
    for facts in &facts {
        for path in ["org/acme/kvdb/a", "org/acme/kvdb/b", "org/acme/kvdb/z"] {
            for line in &lines {
                all.extend(Request::of_command(words(line), path, None, facts.clone()));
            }
            let named = ["kvdb:Connect", "kvdb:Delete"];
            for name in named {
                let action = keyward_commands::action(name).unwrap();
                all.push(Request::of_action(action, path, None, facts.clone()));
            }
        }
        let action = keyward_commands::action("kvdb:Create").unwrap();
        all.push(Request::of_action(action, "org/acme", None, facts.clone()));
    }
    all
}

/// A list of some of these, as JSON.
fn some(of: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(of), 1..=most)
        .prop_map(|chosen| format!("{chosen:?}"))
}

fn statement() -> impl Strategy<Value = String> {
    const ACTIONS: &[&str] = &[
        "kvdb:ExecuteGet",
        "kvdb:ExecuteMget",
        "kvdb:ExecuteSet",
        "kvdb:ExecuteDel",
        "kvdb:ExecuteCopy",
        "kvdb:ExecutePing",
        "kvdb:ExecuteTime",
        "kvdb:ExecuteFlushall",
        "kvdb:ExecuteScan",
        "kvdb:ExecuteKeys",
        "kvdb:ExecuteExpire",
        "kvdb:ExecuteSelect",
        "kvdb:ExecuteConfigGet",
        "kvdb:ExecutePublish",
        "kvdb:ExecuteSubscribe",
        "kvdb:ExecutePsubscribe",
        "kvdb:ExecuteWatch",
        "kvdb:ExecuteEval",
        "kvdb:Connect",
        "kvdb:Create",
        "kvdb:*",
        "kvdb:Execute*",
        "kvdb:@read",
        "kvdb:@write",
        "kvdb:ExecuteSort",
    ];
    const RESOURCES: &[&str] = &[
        "kvdb/a",
        "kvdb/b",
        "kvdb/*",
        "**",
        "kvdb/**",
        "org/acme/kvdb/a",
    ];
    const PATTERNS: &[&str] = &[
        "*",
        "a*",
        "b",
        "a",
        "?",
        "[ab]*",
        "*a",
        "a?",
        "[^a]",
        "",
        "*b*",
        "ab",
        "${keyward:PrincipalTag/team}*",
    ];
    const CONDITIONS: &[&str] = &[
        r#"{"IpAddress":{"keyward:SourceIp":"10.0.0.0/8"}}"#,
        r#"{"IpAddress":{"keyward:SourceIp":["10.0.0.0/9","10.128.0.0/9"]}}"#,
        r#"{"NotIpAddress":{"keyward:SourceIp":"10.128.0.0/9"}}"#,
        r#"{"IpAddressIfExists":{"keyward:SourceIp":"10.0.0.0/9"}}"#,
        r#"{"StringEquals":{"keyward:PrincipalTag/team":"blue"}}"#,
        r#"{"StringLike":{"keyward:PrincipalTag/team":["b*","r*"]}}"#,
        r#"{"StringNotEquals":{"keyward:PrincipalTag/team":["blue",""]}}"#,
        r#"{"Null":{"keyward:PrincipalTag/team":"true"}}"#,
        r#"{"StringEquals":{"keyward:PrincipalTag/team":"red"},"IpAddress":{"keyward:SourceIp":"192.168.0.0/16"}}"#,
        r#"{"StringLike":{"kvdb:Key":"a*"}}"#,
        r#"{"StringNotEquals":{"kvdb:Key":["b","ab"]}}"#,
        r#"{"GlobLike":{"kvdb:ReadKey":"[ab]*"}}"#,
        r#"{"NumericLessThan":{"kvdb:KeyCount":"2"}}"#,
        r#"{"StringEquals":{"keyward:ResourceTag/team":"${keyward:PrincipalTag/team}"}}"#,
        r#"{"StringNotEqualsIfExists":{"keyward:ResourceTag/team":"${keyward:PrincipalTag/team}"}}"#,
        r#"{"StringEquals":{"keyward:ResourceTag/team":["red","blue"]}}"#,
        r#"{"NumericLessThanEquals":{"kvdb:TtlSeconds":"100"}}"#,
        r#"{"NumericLessThan":{"kvdb:Count":"50"}}"#,
        r#"{"Null":{"kvdb:Key":"true"}}"#,
        r#"{"StringEqualsIfExists":{"kvdb:WriteKey":["a","b"]}}"#,
        r#"{"ForAnyValue:StringLike":{"kvdb:Key":"a*"}}"#,
    ];
    let field = |name: &'static str| {
        prop::option::weighted(0.3, some(PATTERNS, 2))
            .prop_map(move |list| list.map(|list| format!(r#","{name}":{list}"#)))
    };
    (
        prop::sample::select(&["Allow", "Allow", "Deny"][..]),
        some(ACTIONS, 3),
        some(RESOURCES, 2),
        (field("Keys"), field("ReadKeys"), field("WriteKeys"), field("Channels")),
        prop::option::weighted(0.35, prop::sample::select(CONDITIONS)),
    )
        .prop_map(|(effect, actions, resources, (a, b, c, d), conditions)| {
            let fields: String = [a, b, c, d].into_iter().flatten().collect();
            // Fields beside actions that use none are refused.
            let actions = match fields.is_empty() {
                true => actions,
                false => actions.replacen('[', r#"["kvdb:ExecuteGet","#, 1),
            };
            let conditions = conditions.map_or(String::new(), |c| format!(r#","Conditions":{c}"#));
            format!(
                r#"{{"Effect":"{effect}","Actions":{actions},"Resources":{resources}{fields}{conditions}}}"#
            )
        })
}

fn document() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(statement(), 1..4)
}

/// Cases of each property: more by an environment variable.
fn cases_of(few: u32) -> ProptestConfig {
    let many = std::env::var("KEYWARD_DIFF_CASES").ok();
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(many.and_then(|text| text.parse().ok()).unwrap_or(few))
    }
}

fn agrees(old: &[String], new: &[String]) -> Result<usize, TestCaseError> {
    let text = |statements: &[String]| format!("[{}]", statements.join(","));
    let read = |text: String| {
        read(&text, PolicyKind::Identity, "acme").map_err(|e| TestCaseError::fail(e.to_string()))
    };
    let (old, new) = (read(text(old))?, read(text(new))?);
    let found = diff(&old, &new);
    for difference in &found.differences {
        let (from, to) = match difference.change {
            Change::NowAllowed => (&old, &new),
            Change::NoLongerAllowed => (&new, &old),
        };
        let witness = &difference.witness;
        prop_assert!(allows(to, witness) && !allows(from, witness), "{witness:?}");
    }
    let seen = |change| {
        found
            .differences
            .iter()
            .any(|difference| difference.change == change)
            || found
                .undecided
                .iter()
                .any(|undecided| undecided.change == change)
    };
    for request in REQUESTS.iter() {
        // What may be watched follows from what may be read, and is not told by itself.
        if request.action().name() == "kvdb:ExecuteWatch" {
            continue;
        }
        let (before, after) = (allows(&old, request), allows(&new, request));
        if before != after {
            let change = if after {
                Change::NowAllowed
            } else {
                Change::NoLongerAllowed
            };
            prop_assert!(
                seen(change),
                "missed {change:?} {}",
                request.describe("acme")
            );
        }
    }
    for undecided in &found.undecided {
        println!(
            "undecided: {undecided:?}\nold {}\nnew {}",
            old.text(),
            new.text()
        );
    }
    Ok(found.undecided.len())
}

static REQUESTS: std::sync::LazyLock<Vec<Request>> = std::sync::LazyLock::new(requests);

proptest! {
    #![proptest_config(cases_of(60))]

    #[test]
    fn differences_are_what_brute_force_finds(old in document(), new in document()) {
        agrees(&old, &new)?;
    }

    /// Documents that differ little: no difference is often the right answer.
    #[test]
    fn small_changes(old in document(), more in statement(), drop: bool) {
        let mut new = old.clone();
        if drop && new.len() > 1 {
            new.remove(0);
        } else {
            new.push(more);
        }
        agrees(&old, &new)?;
    }

    #[test]
    fn order_makes_no_difference(old in document()) {
        let text = |statements: Vec<String>| format!("[{}]", statements.join(","));
        let turned = old.iter().rev().cloned().collect();
        let [a, b] = [text(old), text(turned)]
            .map(|text| read(&text, PolicyKind::Identity, "acme").unwrap());
        prop_assert!(diff(&a, &b).is_empty());
    }
}

#[test]
fn few_questions_stay_open() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut pairs, mut open) = (0, 0);
    while pairs < 60 {
        let [old, new] = [(); 2].map(|()| document().new_tree(&mut runner).unwrap().current());
        // What a variable in a pattern could be has no end.
        if [&old, &new]
            .iter()
            .any(|texts| texts.join("").contains("team}*"))
        {
            continue;
        }
        open += usize::from(agrees(&old, &new).unwrap() > 0);
        pairs += 1;
    }
    assert!(open * 20 <= pairs, "{open} of {pairs} pairs undecided");
}

/// Large documents get an answer in a second; without optimisation smaller ones are compared.
#[test]
fn large_documents() {
    let size: usize = if cfg!(debug_assertions) {
        1_000
    } else {
        10_000
    };
    let statement = |effect: &str, action: &str, resource: &str, rest: &str| {
        format!(
            r#"{{"Effect":"{effect}","Actions":["{action}"],"Resources":["{resource}"]{rest}}}"#
        )
    };
    let document = |one: &dyn Fn(usize) -> String| -> String {
        let all: Vec<String> = (0..size).map(one).collect();
        format!("[{}]", all.join(","))
    };
    let read = |text: &str| match read(text, PolicyKind::Identity, "acme") {
        Ok(policy) => policy,
        Err(findings) => panic!("{findings}"),
    };
    let keys = |prefix: &'static str| {
        move |n: usize| {
            let fields = format!(r#","Keys":["{prefix}:{n}:*"]"#);
            statement("Allow", "kvdb:@read", "kvdb/a", &fields)
        }
    };
    let users = read(&document(&keys("user")));
    let turned = read(&document(&|n| keys("user")(size - 1 - n)));
    let accounts = read(&document(&keys("account")));
    let one_more = read(&document(&|n| match n {
        500 => statement(
            "Allow",
            "kvdb:@read",
            "kvdb/a",
            r#","Keys":["user:500:*","x"]"#,
        ),
        n => keys("user")(n),
    }));
    let wide = read(&document(&|n| match n {
        500 => statement("Allow", "kvdb:*", "**", ""),
        n => keys("user")(n),
    }));
    let databases = |action: &'static str| {
        move |n: usize| statement("Allow", action, &format!("kvdb/d{n}"), "")
    };
    let gets = read(&document(&databases("kvdb:ExecuteGet")));
    let sets = read(&document(&databases("kvdb:ExecuteSet")));
    let ends = |byte: &'static str| {
        move |n: usize| {
            let fields = format!(r#","Keys":["*{n}{byte}"]"#);
            statement("Allow", "kvdb:@read", "kvdb/a", &fields)
        }
    };
    let ends_a = read(&document(&ends("a")));
    let ends_b = read(&document(&ends("b")));
    let networks = |second: usize| {
        move |n: usize| {
            let fields = format!(
                r#","Conditions":{{"IpAddress":{{"keyward:SourceIp":"10.{second}.{}.{}"}}}}"#,
                n / 256,
                n % 256
            );
            statement("Allow", "kvdb:@read", "kvdb/a", &fields)
        }
    };
    let many = |one: &dyn Fn(usize) -> String| -> String {
        let all: Vec<String> = (0..size * 7 / 10).map(one).collect();
        format!("[{}]", all.join(","))
    };
    let networks_1 = read(&many(&networks(1)));
    let networks_2 = read(&many(&networks(2)));
    let denies = read(&document(&|n| match n {
        0 => statement("Allow", "kvdb:*", "kvdb/*", ""),
        n => statement(
            "Deny",
            "kvdb:@write",
            &format!("kvdb/d{n}"),
            r#","Keys":["x*"]"#,
        ),
    }));
    let fewer_denies = read(&document(&|n| match n {
        0 | 7 => statement("Allow", "kvdb:*", "kvdb/*", ""),
        n => statement(
            "Deny",
            "kvdb:@write",
            &format!("kvdb/d{n}"),
            r#","Keys":["x*"]"#,
        ),
    }));
    // Made to hurt: many condition keys, many variables, long lists of patterns and of resources.
    let size = if cfg!(debug_assertions) { 40 } else { size };
    let list = |count: usize, one: &dyn Fn(usize) -> String| -> String {
        (0..count).map(one).collect::<Vec<_>>().join(",")
    };
    let tags = |value: &str| {
        let tags = list(size * 2, &|n| {
            format!(r#""keyward:PrincipalTag/t{n}":"{value}""#)
        });
        let conditions = format!(r#","Conditions":{{"StringEquals":{{{tags}}}}}"#);
        read(&format!("[{}]", statement("Allow", "*", "**", &conditions)))
    };
    let (tags_1, tags_2) = (tags("x"), tags("y"));
    let variables = |default: &'static str| {
        move |n: usize| {
            let keys = format!(r#","Keys":["${{keyward:PrincipalTag/t{n}, '{default}'}}:*"]"#);
            statement("Allow", "kvdb:@read", "kvdb/a", &keys)
        }
    };
    let variables_1 = read(&format!("[{}]", list(size / 2, &variables("d"))));
    let variables_2 = read(&format!("[{}]", list(size / 2, &variables("e"))));
    let patterns = |one: &dyn Fn(usize) -> String| {
        let keys = format!(r#","Keys":[{}]"#, list(size * 4, one));
        read(&format!("[{}]", statement("Allow", "*", "kvdb/a", &keys)))
    };
    let sets_of_bytes = patterns(&|n| format!(r#""[a-z][^{n}]*[x{n}y]""#));
    let inside = patterns(&|n| format!(r#""*{n}*""#));
    let stars = patterns(&|n| format!(r#""{}b{n}""#, "*a".repeat(8)));
    let resources = |prefix: &str| {
        let all = list(size * 4, &|n| format!(r#""kvdb/{prefix}{n}""#));
        read(&format!(
            r#"[{{"Effect":"Allow","Actions":["*"],"Resources":[{all}]}}]"#
        ))
    };
    let (resources_1, resources_2) = (resources("d"), resources("e"));
    let beginnings = |byte: &'static str| {
        move |n: usize| {
            let keys = list(20, &|at| format!(r#""{}{n}*""#, byte.repeat(at * 2)));
            statement(
                "Allow",
                "kvdb:@read",
                "kvdb/a",
                &format!(r#","Keys":[{keys}]"#),
            )
        }
    };
    let beginnings_1 = read(&format!("[{}]", list(size / 10, &beginnings("a"))));
    let beginnings_2 = read(&format!(
        "[{}]",
        list(size / 10, &|n| beginnings("a")(n + 1))
    ));
    for (what, old, new) in [
        ("condition keys", &tags_1, &tags_2),
        ("variables", &variables_1, &variables_2),
        ("sets of bytes", &sets_of_bytes, &inside),
        ("stars", &stars, &inside),
        ("resources", &resources_1, &resources_2),
        ("the same beginnings", &beginnings_1, &beginnings_2),
        ("order", &users, &turned),
        ("one more key", &users, &one_more),
        ("one wide statement", &users, &wide),
        ("other keys", &users, &accounts),
        ("other actions", &gets, &sets),
        ("other ends", &ends_a, &ends_b),
        ("other networks", &networks_1, &networks_2),
        ("fewer denies", &denies, &fewer_denies),
        ("nothing in common", &denies, &ends_b),
    ] {
        let start = std::time::Instant::now();
        let found = diff(old, new);
        let took = start.elapsed();
        println!(
            "{what}: {took:?}, {} differences, {} undecided {:?}",
            found.differences.len(),
            found.undecided.len(),
            found.undecided.first().map(|u| u.reason.to_string()),
        );
        assert!(took.as_secs() < 60, "{what}: {took:?}");
    }
}

fn aws(statements: &str) -> Policy {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    read_as(Some(Dialect::Aws), &text, PolicyKind::Identity, "test").unwrap()
}

/// Documents of other dialects are compared by their native forms; what has none is undecided, but
/// for what the statements alone tell.
#[test]
fn documents_of_other_dialects() {
    const PROD: &str = "arn:aws:elasticache:us-east-1:123456789012:replicationgroup:prod";
    let get = format!(r#"{{"Effect":"Allow","Action":"kvdb:ExecuteGet","Resource":"{PROD}"}}"#);
    let del = format!(r#"{{"Effect":"Allow","Action":"kvdb:ExecuteDel","Resource":"{PROD}"}}"#);
    let deny =
        r#"{"Effect":"Deny","NotAction":"s3:*","NotResource":"arn:aws:s3:::a/${aws:username}"}"#;
    let but = |actions: &str| {
        format!(r#"{{"Effect":"Allow","NotAction":[{actions}],"Resource":"{PROD}"}}"#)
    };
    let native = |text: &str| read(text, PolicyKind::Identity, "test").unwrap();
    let acl = |text| read_as(Some(Dialect::Acl), text, PolicyKind::Identity, "test").unwrap();
    let names = TranslationNames {
        database: Some("prod".into()),
        ..TranslationNames::default()
    };
    // Old, new; how many differences there are, and how many questions stay open, in each direction.
    let cases: Vec<(Policy, Policy, [usize; 2], [usize; 2])> = vec![
        (aws(&get), aws(&get), [0, 0], [0, 0]),
        (aws(&get), aws(&format!("{get},{del}")), [1, 0], [0, 0]),
        (aws(&format!("{get},{del}")), aws(&get), [0, 1], [0, 0]),
        (
            aws(&get),
            native(
                r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/prod"]}]"#,
            ),
            [0, 0],
            [0, 0],
        ),
        (acl("on ~* +get"), acl("on ~* +get +del"), [1, 0], [0, 0]),
        // Rules imply nothing; elsewhere whoever may read may also connect and ask what it is.
        (acl("on ~* +get"), aws(&get), [1, 0], [0, 0]),
        // All but what is named, on a database that is named.
        (
            aws(&but(r#""kvdb:ExecuteFlushall""#)),
            aws(&but(r#""kvdb:ExecuteFlushall","kvdb:ExecuteGet""#)),
            [0, 1],
            [0, 0],
        ),
        // No native form: undecided, unless the same statements stand there.
        (aws(&get), aws(&format!("{get},{deny}")), [0, 0], [0, 1]),
        (aws(&format!("{get},{deny}")), aws(&get), [0, 0], [1, 0]),
        (
            aws(&format!("{get},{deny}")),
            aws(&format!("{deny},{get}")),
            [0, 0],
            [0, 0],
        ),
        (
            aws(&format!("{get},{deny}")),
            aws(&format!("{del},{deny}")),
            [0, 0],
            [1, 1],
        ),
    ];
    for (old, new, differences, open) in cases {
        let found = diff_of_any_dialect(&old, &new, &names);
        let both = [Change::NowAllowed, Change::NoLongerAllowed];
        let told = both.map(|change| {
            found
                .differences
                .iter()
                .filter(|d| d.change == change)
                .count()
        });
        let undecided = both.map(|change| {
            found
                .undecided
                .iter()
                .filter(|u| u.change == change)
                .count()
        });
        assert_eq!(
            (told, undecided),
            (differences, open),
            "{}\n{}\n{found:?}",
            old.text(),
            new.text()
        );
        for undecided in &found.undecided {
            assert!(
                undecided.reason.to_string().contains("because"),
                "{undecided:?}"
            );
        }
    }
}

/// What is not tried where there are many differences is counted.
#[test]
fn many_differences_are_counted() {
    let many: Vec<String> = (0..20_000).map(|n| format!("\"kvdb/d{n}\"")).collect();
    let text = format!(
        r#"[{{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":[{}]}}]"#,
        many.join(",")
    );
    let nothing = r#"[{"Effect":"Deny","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/none"]}]"#;
    let [old, new] = [nothing, &text].map(|text| read(text, PolicyKind::Identity, "test").unwrap());
    let found = diff(&old, &new);
    assert!(!found.has_no_new_access());
    let told = found.differences.len();
    assert!(told <= MAX_DIFFERENCES + 64, "{told}");
    assert!(
        told + found.more[0] >= 20_000,
        "{told} and {:?}",
        found.more
    );
    assert_eq!(found.more[1], 0);
    assert!(diff(&new, &old).has_no_new_access());
}

/// A line of a client's has the arguments that make the difference: what sets no expiry has an
/// infinite one.
#[test]
fn lines_of_witnesses_have_the_arguments() {
    let nothing = r#"[{"Effect":"Deny","Actions":["kvdb:ExecuteSet"],"Resources":["kvdb/none"]}]"#;
    let at_most = |limit: &str| {
        format!(
            r#"[{{"Effect":"Allow","Actions":["kvdb:ExecuteSet"],"Resources":["kvdb/a"]}},
                {{"Effect":"Deny","Actions":["kvdb:ExecuteSet"],"Resources":["kvdb/a"],
                  "Conditions":{{"NumericGreaterThan":{{"kvdb:TtlSeconds":{limit}}}}}}}]"#
        )
    };
    for (old, new) in [(nothing, at_most("10")), (&*at_most("10"), at_most("60"))] {
        let [old, new] = [old, &new].map(|text| read(text, PolicyKind::Identity, "test").unwrap());
        let found = diff(&old, &new);
        let set = found
            .differences
            .iter()
            .find(|d| d.witness.action().name() == "kvdb:ExecuteSet");
        let line = set.unwrap().witness.line().unwrap();
        let line: Vec<String> = line
            .iter()
            .map(|word| String::from_utf8_lossy(word).into())
            .collect();
        assert!(
            line.iter().any(|word| word == "EX" || word == "PX"),
            "{line:?}"
        );
    }
}

/// Filling in a resource with variables is work, too: this never ended.
#[test]
fn resources_with_variables_are_paid_for() {
    let document = |end: &str| {
        let one = |n: usize| format!("\"kvdb/${{keyward:PrincipalTag/t{n}{end}}}\"");
        let resources: Vec<String> = (0..6_000).map(one).collect();
        let text = format!(
            r#"[{{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":[{}]}}]"#,
            resources.join(",")
        );
        read(&text, PolicyKind::Identity, "acme").unwrap()
    };
    let found = diff(&document("a"), &document("b"));
    assert!(!found.undecided.is_empty());
}

/// Organisations times databases times snapshots.
#[test]
fn paths_are_not_multiplied_without_end() {
    let one = |n: usize| {
        format!(
            r#"{{"Effect":"Deny","Actions":["kvdb:DeleteSnapshot"],"Resources":["org/o{n}/kvdb/d{n}/snapshot/s{n}"]}}"#
        )
    };
    let mut statements: Vec<String> = (0..300).map(one).collect();
    let policy = |statements: &[String]| {
        let text = format!("[{}]", statements.join(","));
        read(&text, PolicyKind::Identity, "acme").unwrap()
    };
    let old = policy(&statements);
    statements
        .push(r#"{"Effect":"Allow","Actions":["kvdb:DeleteSnapshot"],"Resources":["**"]}"#.into());
    let found = diff(&old, &policy(&statements));
    assert!(!found.is_empty());
}
