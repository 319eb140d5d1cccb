//! What is refused and why, files, printing, passwords, and input made to hurt.

use super::*;
use crate::finding::Findings;
use crate::{ChannelUse, KeyUse, MAX_DOCUMENT_LEN, Touch};

fn told(result: Result<impl Sized, Findings>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(findings) => findings.to_string(),
    }
}

#[test]
fn refusals_say_where_and_what_to_do() {
    let cases = [
        (
            "+get +sett",
            "1:6: rules[1]: unknown command `sett`: did you mean `set`, `get` or `hset`? (E024)",
        ),
        (
            "~a\n  +@raed",
            "2:3: rules[1]: unknown category `raed`: did you mean `read`? (E024)",
        ),
        (
            "-json.get",
            "1:1: rules[0]: unknown command `json.get`: it would have to stay denied, which cannot be promised for a command that nobody knows (E024)",
        ),
        (
            "-@search",
            "1:1: rules[0]: unknown category `search`: which commands it takes away cannot be told, so that the user cannot be taken over (E024)",
        ),
        (
            "~* ~a",
            "1:4: rules[1]: a pattern of keys after all keys were allowed: write `resetkeys` before it (E024)",
        ),
        (
            "+get (~a +gett",
            "1:6: rules[1]: this parenthesis is not closed: a selector ends with the rule that ends with `)` (E024)",
        ),
        (
            "(~a on)",
            "1:5: rules[0]: `on` is a rule of the whole user: write it outside the parentheses (E024)",
        ),
        (
            "get",
            "1:1: rules[0]: `get` is no rule: write `+` or `-` before a command (E024)",
        ),
        (
            "~[a-é]*",
            "1:1: rules[0]: range in `[…]` with a bound outside ASCII: a class is a set of single bytes, and servers disagree on the order of these (E024)",
        ),
        (
            "user a on\nuser b on",
            "2:6: b: a second user, `b`: a document is the rules of one; a file of several is imported with `keyward acl import` (E024)",
        ),
        (
            "user a +gett",
            "1:8: a.rules[0]: unknown command `gett`: did you mean `get`, `getbit` or `getex`? (E024)",
        ),
        // Of a password nothing is shown.
        (
            ">my secret +get",
            "1:5: rules[1]: this is no rule (not shown: it may be a part of a password, which has no blanks) (E024)",
        ),
        (
            "<secret",
            "1:1: rules[0]: the password to remove is none that the rules before it add: leave this rule out (E024)",
        ),
        (
            "#5ecre7",
            "1:1: rules[0]: a hash of a password is 64 hexadecimal digits in lower case (E024)",
        ),
        (
            "(>secret)",
            "1:2: rules[0]: a password is of the whole user: write it outside the parentheses (E024)",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(told(AclUser::parse(text)), expected, "{text}");
    }
}

#[test]
fn files_are_taken_whole_or_not_at_all() {
    let text = "user default off\r\n\n \tuser alice on  ~a:* +get \nuser bob off resetchannels (~b +set)\n";
    let users = AclUser::parse_file(text).unwrap();
    let names: Vec<&str> = users.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["default", "alice", "bob"]);
    assert_eq!(
        users[1].1.to_string(),
        "on ~a:* resetchannels -@all +get",
        "blanks in a row are one"
    );

    let cases = [
        (
            "user a on\nuser a off",
            "2:6: a: the user `a` stands twice: a file has each user once (E024)",
        ),
        (
            "# comment\nuser a on",
            "1:1: an ACL file has no comments: the server refuses them, since it rewrites the file (E024)",
        ),
        (
            "User a on",
            "1:1: expected `user name rule…`, with `user` in lower case and one blank before the name (E024)",
        ),
        (
            "user",
            "1:1: expected `user name rule…`, with `user` in lower case and one blank before the name (E024)",
        ),
        ("aclfile x", "1:1: expected a line `user name rule…` (E024)"),
        (
            "user a +get\nuser b +gett\nuser c ~* ~b",
            "2:8: b.rules[0]: unknown command `gett`: did you mean `get`, `getbit` or `getex`? (E024)\n\
             3:11: c.rules[1]: a pattern of keys after all keys were allowed: write `resetkeys` before it (E024)",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(told(AclUser::parse_file(text)), expected, "{text}");
    }
}

#[test]
fn printed_rules_are_read_back() {
    let cases = [
        ("", "off resetchannels -@all"),
        ("on nopass +@all ~* &*", "on nopass ~* &* +@all"),
        (
            "+@all -config|set -get",
            "off resetchannels +@all -config|set -get",
        ),
        ("+config +get", "off resetchannels -@all +config +get"),
        (
            "+command -command|docs",
            "off resetchannels -@all +command -command|docs",
        ),
        (
            "+@all -command +command|count",
            "off resetchannels +@all -command +command|count",
        ),
        (
            "-@all +select|0 +select|1 db=3,1",
            "off resetchannels db=1,3 -@all +select|0 +select|1",
        ),
        ("%RW~* ~a %W~b", "off %RW~* ~a %W~b resetchannels -@all"),
        (
            r#"(~"\xff\"" &it"s" ~"a)" +get resetdbs)"#,
            r#"off resetchannels -@all ("~\xff\"" "~a)" resetchannels &its resetdbs -@all +get)"#,
        ),
        (
            "~a) &it's (allcommands)",
            "off ~a) resetchannels &it's -@all (resetchannels +@all)",
        ),
    ];
    for (text, expected) in cases {
        let user = AclUser::parse(text).unwrap();
        assert_eq!(user.to_string(), expected, "{text}");
        assert_eq!(AclUser::parse(expected).unwrap(), user, "{text}");
    }
}

#[test]
fn passwords_are_kept_nowhere() {
    let hash = "5e".repeat(32);
    let text = format!("user alice on >hunter2 #{hash} <hunter2 >hunter2 ~a:* (~b >) +get !{hash}");
    // A `>` inside parentheses is refused, so that none there is a password.
    assert_eq!(AclUser::without_passwords(&text), "");
    let text = text.replace("(~b >)", "(~b +set)");
    let shown = AclUser::without_passwords(&text);
    assert_eq!(shown, "user alice on     ~a:* (~b +set) +get ");
    let odd = "user >name >hun\tter2 on";
    assert_eq!(AclUser::without_passwords(odd), "user >name  on");
    let user = AclUser::parse(&text).unwrap();
    assert_eq!(user.login().passwords, 1);
    for shown in [shown, format!("{user:?}"), user.to_string()] {
        assert!(
            !shown.contains("hunter2") && !shown.contains("5e5e"),
            "{shown}"
        );
    }
}

#[test]
fn bounds_for_tables() {
    let user =
        AclUser::parse("+get +ping +config|get +select|0 ~a (~* +set +publish) (db=1 +time)")
            .unwrap();
    let names = |bits: ActionBits| -> Vec<&str> {
        bits.iter()
            .filter_map(|action| action.command())
            .map(|id| id.command().name)
            .collect()
    };
    assert_eq!(
        names(user.possible()),
        [
            "auth",
            "config|get",
            "get",
            "hello",
            "ping",
            "publish",
            "quit",
            "reset",
            "select",
            "set",
            "time"
        ]
    );
    assert_eq!(
        names(user.sure()),
        [
            "auth",
            "config|get",
            "hello",
            "ping",
            "quit",
            "reset",
            "set",
            "time"
        ]
    );
}

/// About a megabyte of every kind of rule, and more than that.
#[test]
fn hostile_rules_are_read_in_a_blink() {
    let kinds: [&dyn Fn(usize) -> String; 14] = [
        &|n| format!("~key:{n}:*"),
        &|n| format!("%R~{n}"),
        &|_| "~same".to_owned(),
        &|n| format!("&{n}"),
        &|n| format!("+get|{n}"),
        &|n| if n % 2 == 0 { "+@slow" } else { "-@slow" }.to_owned(),
        &|n| {
            if n % 2 == 0 {
                format!("+get|{n}")
            } else {
                "-@fast".to_owned()
            }
        },
        &|n| if n == 0 { "(+get" } else { "+set" }.to_owned(),
        &|_| "(~a +get)".to_owned(),
        &|_| "()".to_owned(),
        &|n| format!("+nope{n}"),
        &|n| format!(">{n}"),
        &|n| format!("(~\"{n}\\x41\")"),
        &|_| "db=1,2,3,4,5,6,7,8,9".to_owned(),
    ];
    for (number, kind) in kinds.iter().enumerate() {
        let mut text = String::new();
        let mut n = 0;
        while text.len() < 1_000_000 {
            text.push_str(&kind(n));
            text.push(' ');
            n += 1;
        }
        let begin = std::time::Instant::now();
        let user = AclUser::parse(&text);
        if let Ok(user) = &user {
            let get = keyward_commands::by_name("get").unwrap();
            let _ = user.allows(get, &["get", "none"], 0);
            assert!(user.heap_bytes() < 100_000_000, "{number}");
        }
        // Unoptimised, on a busy machine.
        assert!(
            begin.elapsed().as_secs() < 10,
            "{number}: {:?}",
            begin.elapsed()
        );
    }
    let text = "+get ".repeat(300_000);
    assert!(told(AclUser::parse(&text)).starts_with("1:1: document of 1500000 bytes"));
    let pattern = format!("~{}", "?*".repeat(5000));
    assert!(told(AclUser::parse(&pattern)).contains("at most 1024"));
}

/// A server shows every key in a scan, whatever the patterns are.
#[test]
fn enumerations_are_exported_with_all_keys_only() {
    let cases = [
        (r#","Keys":["a:*"]"#, false),
        (r#","ReadKeys":["*"]"#, true),
        ("", true),
    ];
    for (fields, held) in cases {
        let text = format!(
            r#"[{{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/main"]{fields}}}]"#
        );
        let policy = crate::read(&text, crate::PolicyKind::Identity, "dev").unwrap();
        let within = keyward_commands::execute_actions();
        let export = AclUser::of_policies([&policy], "org/dev/kvdb/main", within);
        for call in [
            &["scan", "0"][..],
            &["keys", "*"],
            &["randomkey"],
            &["dbsize"],
        ] {
            let id = keyward_commands::resolve(call).unwrap();
            assert_eq!(
                export.user.allows(id, call, 0).is_ok(),
                held,
                "{text}: {call:?}"
            );
        }
    }
}

#[test]
fn rules_are_asked_about_keys_alone() {
    let user = AclUser::parse(
        "+get +set +exists +copy +subscribe +psubscribe +flushall -select +select|0 ~a:* %R~r:* &n:* (+del ~d %W~r:*)",
    )
    .unwrap();
    let named = |name: &str, keys: &[(&str, bool, bool)], channel: Option<&str>| {
        let keys: Vec<KeyUse<'_>> = keys
            .iter()
            .map(|(key, reads, writes)| KeyUse {
                key: key.as_bytes(),
                reads: *reads,
                writes: *writes,
            })
            .collect();
        let channels: Vec<ChannelUse<'_>> = channel
            .iter()
            .map(|channel| ChannelUse {
                channel: channel.as_bytes(),
                pattern: false,
            })
            .collect();
        let (keys, channels) = (&*keys, &*channels);
        let touch = Touch::Named { keys, channels };
        user.allows_names(keyward_commands::by_name(name).unwrap(), &touch)
    };
    assert_eq!(named("get", &[("a:1", true, false)], None), Some(true));
    assert_eq!(named("get", &[("r:1", true, false)], None), Some(true));
    assert_eq!(named("get", &[("x", true, false)], None), Some(false));
    assert_eq!(named("set", &[("r:1", false, true)], None), Some(false));
    assert_eq!(named("set", &[("a:1", true, true)], None), Some(true));
    assert_eq!(named("del", &[("r:1", false, true)], None), Some(true));
    assert_eq!(named("del", &[("a:1", false, true)], None), Some(false));
    assert_eq!(named("exists", &[("r:1", true, false)], None), Some(true));
    assert_eq!(named("get", &[], None), None); // some keys
    assert_eq!(named("flushall", &[], None), Some(true));
    assert_eq!(named("select", &[], None), None);
    assert_eq!(named("subscribe", &[], Some("n:1")), Some(true));
    assert_eq!(named("psubscribe", &[], Some("n:1")), Some(false));
    assert_eq!(named("psubscribe", &[], Some("n:*")), Some(true));
    assert_eq!(named("lpush", &[("a:1", false, true)], None), Some(false));
}

/// 10,000 selectors with all commands would be a document of 100 MB, which no reader takes.
#[test]
fn no_more_is_written_than_a_document_holds() {
    let rules: Vec<String> = (0..MAX_SELECTORS)
        .map(|n| format!("(~k{n}:* +@all -get)"))
        .collect();
    let user = AclUser::parse(&rules.join(" ")).unwrap();
    let written = user.to_native("kvdb/a").text.len();
    assert!(
        written > MAX_DOCUMENT_LEN && written < 2 * MAX_DOCUMENT_LEN,
        "{written}"
    );
}
