use super::*;

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace()
        .map(|word| if word == "\"\"" { "" } else { word })
        .collect()
}

#[test]
fn every_name_resolves_in_any_case_and_no_other() {
    for id in CommandId::all() {
        let command = id.command();
        let lower: Vec<String> = command.name.split('|').map(str::to_owned).collect();
        let upper: Vec<String> = lower.iter().map(|word| word.to_uppercase()).collect();
        assert_eq!(resolve(&lower), Ok(id), "{}", command.name);
        assert_eq!(resolve(&upper), Ok(id), "{}", command.name);
        assert_eq!(by_name(command.name), Some(id));
        assert_eq!(action(command.action), Some(id.action()));
        for at in 0..lower.len() {
            for byte in 0..lower[at].len() {
                let mut wrong: Vec<Vec<u8>> =
                    lower.iter().map(|word| word.as_bytes().to_vec()).collect();
                for bit in [0x01, 0x20, 0x40, 0x80] {
                    wrong[at][byte] ^= bit;
                    let folded: Vec<_> =
                        wrong.iter().map(|word| word.to_ascii_lowercase()).collect();
                    let known = std::str::from_utf8(&folded.join(&b'|'))
                        .ok()
                        .and_then(by_name);
                    assert_eq!(resolve(&wrong).ok(), known, "{wrong:?}");
                    wrong[at][byte] ^= bit;
                }
            }
        }
    }
}

#[test]
fn what_is_no_command() {
    let container = |container| Err(ResolveError::UnknownSubcommand { container });
    let unknown = Err(ResolveError::UnknownCommand);
    let cases: [(&[&str], _); 14] = [
        (&[], Err(ResolveError::Empty)),
        (&[""], unknown),
        (&["gett"], unknown),
        (&["ge"], unknown),
        (&["config|get"], unknown),
        (&["get\0"], unknown),
        (&["sort\x7fro", "k"], unknown),
        (&["a name that is longer than any"], unknown),
        (&["config"], container("config")),
        (&["CONFIG", "gett"], container("config")),
        (&["config", ""], container("config")),
        (&["config", "usage"], container("config")), // of MEMORY
        (&["command", "nothing"], container("command")),
        (&["command"], Ok(by_name("command").unwrap())),
    ];
    for (words, expected) in cases {
        assert_eq!(resolve(words), expected, "{words:?}");
    }
}

#[test]
fn actions_are_spelled_as_on_the_wire() {
    let cases = [
        ("get", "kvdb:ExecuteGet"),
        ("sort_ro", "kvdb:ExecuteSort_ro"),
        ("client|no-evict", "kvdb:ExecuteClientNo-evict"),
        ("config|get", "kvdb:ExecuteConfigGet"),
        ("restore-asking", "kvdb:ExecuteRestore-asking"),
        ("hgetall", "kvdb:ExecuteHgetall"),
    ];
    for (name, expected) in cases {
        assert_eq!(by_name(name).unwrap().command().action, expected);
    }
    assert_eq!(CONNECT.name(), "kvdb:Connect");
    assert!(CONNECT.is_kvdb() && !CONNECT.is_execute() && CONNECT.command().is_none());
    assert_eq!(
        ActionId::all()
            .map(ActionId::name)
            .collect::<std::collections::HashSet<_>>()
            .len(),
        ACTION_COUNT
    );
}

/// DESIGN, "the data plane": the @admin category without what the gateway answers itself and the
/// readers, plus what is named.
#[test]
fn administrative_commands_are_those_of_the_rule() {
    for id in CommandId::all() {
        let command = id.command();
        let name = command.name;
        let admin = command.categories.contains(Categories::ADMIN);
        let excepted = lists::NOT_ADMINISTRATIVE.contains(&name);
        let added = lists::ADMINISTRATIVE_BESIDE_ADMIN.contains(&name);
        assert_eq!(
            lists::ADMINISTRATIVE.contains(&name),
            admin && !excepted || added,
            "{name}"
        );
        assert!(!excepted || admin, "{name} is no exception");
        assert!(!added || !admin, "{name} is in @admin anyway");
        assert_eq!(
            administrative_actions().contains(id.action()),
            command.class == CommandClass::Administrative
        );
    }
}

#[test]
fn stateless_commands_keep_the_rule() {
    for id in CommandId::all() {
        let command = id.command();
        let keyed = command.scope == CommandScope::Keyed;
        let barred = Flags::BLOCKING
            .union(Flags::ADMIN)
            .union(Flags::PUBSUB)
            .union(Flags::NO_MULTI)
            .union(Flags::NOSCRIPT)
            .union(Flags::NO_AUTH);
        let possible = keyed
            && command.class == CommandClass::Ordinary
            && command.channels == ChannelRule::None
            && (!command.flags.intersects(barred));
        assert!(!command.stateless || possible, "{}", command.name);
        assert!(
            command.stateless || !possible,
            "{} could be stateless",
            command.name
        );
    }
}

#[test]
fn lists_are_sorted_where_they_are_not_grouped() {
    for list in [
        lists::ALWAYS,
        lists::CONNECT_ONLY,
        lists::ADMINISTRATIVE,
        lists::ADMINISTRATIVE_BESIDE_ADMIN,
        lists::NOT_ADMINISTRATIVE,
        lists::WHOLE_DATABASE,
        lists::KEYLESS,
        lists::WHOLE_KEYSPACE,
        lists::ENUMERATIONS,
        lists::FLUSH,
    ] {
        assert!(
            list.is_sorted_by_key(|name| name.replace('|', " ")),
            "{list:?}"
        );
    }
}

/// As text: each key as `word:flags`, each channel as `word&` or `word&*`, then what else is reached.
fn touched_as_text(line: &str) -> String {
    let words = words(line);
    let mut out = Touched::default();
    let id = resolve(&words).unwrap_or_else(|error| panic!("{line}: {error}"));
    if let Err(error) = touched(id, &words, &mut out) {
        assert_eq!(out.scope, Scope::default(), "fails closed");
        assert!(out.keys.is_empty());
        return error.to_string();
    }
    let mut text = Vec::new();
    for key in &out.keys {
        let flags: Vec<_> = key.flags.names().collect();
        text.push(format!("{}:{}", key.word, flags.join(",")));
    }
    for channel in &out.channels {
        text.push(format!(
            "{}&{}",
            channel.word,
            if channel.pattern { "*" } else { "" }
        ));
    }
    match out.scope {
        Scope::Named => {}
        Scope::Keyless => text.push("keyless".to_owned()),
        Scope::EveryKey {
            reads,
            writes,
            enumeration,
        } => {
            text.push("every".to_owned());
            text.extend(reads.then(|| "reads".to_owned()));
            text.extend(writes.then(|| "writes".to_owned()));
            text.extend(enumeration.then(|| "enumeration".to_owned()));
        }
    }
    text.extend(out.whole_database.then(|| "whole".to_owned()));
    text.extend(out.every_channel.then(|| "channels".to_owned()));
    text.join(" ")
}

#[test]
fn what_a_call_touches() {
    let cases = include_str!("touched_cases.txt");
    for line in cases
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (call, expected) = line.split_once(" -> ").unwrap_or_else(|| panic!("{line}"));
        assert_eq!(touched_as_text(call.trim()), expected.trim(), "{call}");
    }
}

#[test]
fn action_patterns() {
    let count = |text: &str| action_pattern(text).map(|bits| bits.len()).unwrap();
    assert_eq!(count("*"), ACTION_COUNT);
    assert_eq!(count("kvdb:Execute*"), COMMAND_COUNT);
    assert_eq!(count("kvdb:@all"), COMMAND_COUNT);
    assert_eq!(count("kvdb:ExecuteGet"), 1);
    assert_eq!(count("kvdb:ExecuteConfig*"), 5);
    assert_eq!(
        count("kvdb:*"),
        ActionId::all().filter(|id| id.is_kvdb()).count()
    );
    assert_eq!(count("org:*"), 9);
    for (name, bits) in action_sets() {
        assert!(
            !bits.is_empty() && bits.is_subset_of(execute_actions()),
            "{name}"
        );
    }
    let read = action_pattern("kvdb:@read").unwrap();
    assert!(read.contains(action("kvdb:ExecuteGet").unwrap()));
    assert!(!read.contains(action("kvdb:ExecuteSet").unwrap()));
    let flush = action_pattern("kvdb:@flush").unwrap();
    let delete = action_pattern("kvdb:@delete").unwrap();
    assert!(flush.is_subset_of(&delete));
    for name in [
        "Del",
        "Unlink",
        "Expire",
        "Rename",
        "Set",
        "Sunionstore",
        "Spop",
        "Flushall",
    ] {
        let action = action(&format!("kvdb:Execute{name}")).unwrap();
        assert!(delete.contains(action), "{name}");
    }
}

#[test]
fn messages_of_action_patterns() {
    let cases = [
        (
            "kvdb:ExecuteGte",
            "unknown action `kvdb:ExecuteGte`: did you mean `kvdb:ExecuteGet`",
        ),
        (
            "kvdb:Executeget",
            "unknown action `kvdb:Executeget`: did you mean `kvdb:ExecuteGet`",
        ),
        (
            "kvdb:Get",
            "unknown action `kvdb:Get`: did you mean `kvdb:ExecuteGet`",
        ),
        (
            "kvdb:ExecuteGTE*",
            "unknown action `kvdb:ExecuteGTE*`: did you mean `kvdb:ExecuteGet`",
        ),
        (
            "kvdb:ExecuteMgetx",
            "unknown action `kvdb:ExecuteMgetx`: did you mean `kvdb:ExecuteMget`",
        ),
        (
            "kvdb:execute*",
            "unknown action `kvdb:execute*`: did you mean `kvdb:Execute*`?",
        ),
        (
            "kvdb:Execute",
            "unknown action `kvdb:Execute`: did you mean `kvdb:Execute*`?",
        ),
        ("kvdb:", "unknown action `kvdb:`"),
        (
            "kvdb:ExecuteFrobnicateAll",
            "unknown action `kvdb:ExecuteFrobnicateAll`",
        ),
        (
            "kvdb:read",
            "unknown action `kvdb:read`: did you mean `kvdb:@read`?",
        ),
        (
            "kvdb:@reed",
            "unknown action set `kvdb:@reed`: did you mean `kvdb:@read`",
        ),
        (
            "kvdb:@sorted-set",
            "unknown action set `kvdb:@sorted-set`: did you mean `kvdb:@sortedset`",
        ),
        (
            "iam:@read",
            "unknown action set `iam:@read`: did you mean `kvdb:@read`",
        ),
        ("kvdb:@re*", "unknown action set `kvdb:@re*`"),
        (
            "kvdb:*Get",
            "`*` may stand only at the end of an action, not at byte 5",
        ),
        (
            "kvdb:Execute**",
            "`*` may stand only at the end of an action, not at byte 12",
        ),
        (
            "kvdb:ExecuteConfig",
            "`kvdb:ExecuteConfig` is no action, its subcommands are: did you mean `kvdb:ExecuteConfig*`?",
        ),
        (
            "kvbd:ExecuteGet",
            "unknown service in `kvbd:ExecuteGet`, services are `kvdb`, `iam`, `sts`, `org`: did you mean `kvdb`?",
        ),
        (
            "s3:GetObject",
            "unknown service in `s3:GetObject`, services are",
        ),
        (
            "get",
            "`get` is not of the form `<service>:<name>`: did you mean `kvdb:ExecuteGet`?",
        ),
        (
            "@write",
            "`@write` is not of the form `<service>:<name>`: did you mean `kvdb:@write`?",
        ),
        (
            "kvdb*",
            "`kvdb*` is not of the form `<service>:<name>`: did you mean `kvdb:*`?",
        ),
        ("", "`` is not of the form `<service>:<name>`"),
        (
            "iam:CreateAccesKey",
            "unknown action `iam:CreateAccesKey`: did you mean `iam:CreateAccessKey`",
        ),
    ];
    for (text, expected) in cases {
        let message = action_pattern(text).expect_err(text).to_string();
        assert!(message.starts_with(expected), "{text}: {message}");
    }
}

/// Words of grammars, numbers, names of keys and noise.
fn any_word() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    const KNOWN: [&str; 29] = [
        "store",
        "StoreDist",
        "by",
        "get",
        "LIMIT",
        "streams",
        "group",
        "count",
        "block",
        "keys",
        "auth",
        "auth2",
        "overflow",
        "set",
        "prefix",
        "bcast",
        "redirect",
        "0",
        "1",
        "2",
        "3",
        "-1",
        "01",
        "18446744073709551615",
        "9223372036854775807",
        "k",
        "*",
        "#",
        "",
    ];
    prop_oneof![
        4 => proptest::sample::select(&KNOWN[..]).prop_map(|word| word.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ]
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(3_000))]

    #[test]
    fn any_call_is_judged(
        at in 0..COMMAND_COUNT,
        arguments in proptest::collection::vec(any_word(), 0..12),
    ) {
        let id = CommandId(at as u16);
        let name = id.command().name.split('|').map(|word| word.as_bytes().to_vec());
        let call: Vec<Vec<u8>> = name.chain(arguments).collect();
        let mut out = Touched::default();
        let result = touched(id, &call, &mut out);
        for word in out.keys.iter().map(|key| key.word).chain(out.channels.iter().map(|c| c.word)) {
            assert!((1..call.len()).contains(&(word as usize)));
        }
        match result {
            Err(_) => assert_eq!((out.scope, out.keys.len()), (Scope::default(), 0)),
            Ok(()) if out.scope == Scope::Named => {
                assert!(!out.keys.is_empty() || !out.channels.is_empty());
            }
            Ok(()) if out.scope == Scope::Keyless => {
                assert!(lists::KEYLESS.contains(&id.command().name));
            }
            Ok(()) => {}
        }
        let upper: Vec<Vec<u8>> = call.iter().map(|word| word.to_ascii_uppercase()).collect();
        let mut again = Touched::default();
        assert_eq!(touched(id, &upper, &mut again), result);
        assert_eq!(again.keys, out.keys);
        assert_eq!(again.channels, out.channels);
        assert_eq!(again.scope, out.scope);
    }

}

proptest::proptest! {
    #[test]
    fn no_text_of_an_action_panics(text in "(kvdb|iam|sts|org|x)?:?@?(Execute)?\\PC{0,20}[*]?") {
        match action_pattern(&text) {
            Ok(bits) => assert!(!bits.is_empty()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
