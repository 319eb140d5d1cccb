//! Logging in, being thrown out, logging in again.

mod support;

use std::time::{Duration, Instant};

use keyward_iam::{Backend, Change};
use support::{Client, FULL, World};

fn world() -> World {
    let world = World::new();
    world.database("acme", "main", Backend::Embedded);
    world
}

#[test]
fn every_form_of_a_login() {
    let world = world();
    world.database("acme", "other", Backend::Embedded);
    let key = world.identity("acme", "app", Some(FULL));
    let gateway = world.gateway(Some("org/acme/kvdb/main"), |_, _| {});
    let address = gateway.local_addr();
    let secret = key.secret.expose();
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.";
    let other = format!("{}.other", key.id);
    let qualified = format!("{}.other.acme", key.id);
    let absent = format!("{}.absent", key.id);
    let foreign = format!("{}.x.other", key.id);
    let cases: [(&[&str], &str); 12] = [
        (&["AUTH", secret], "+OK"),
        (&["AUTH", "default", secret], "+OK"),
        (&["AUTH", "", secret], "+OK"),
        (&["AUTH", &key.id, secret], "+OK"),
        (&["AUTH", &other, secret], "+OK"),
        (&["AUTH", &qualified, secret], "+OK"),
        (
            &["AUTH", &absent, secret],
            "-ERR keyward: no database `absent` in org/acme",
        ),
        (&["AUTH", &foreign, secret], wrong),
        (&["AUTH", &key.id, "secret"], wrong),
        (&["AUTH", "nobody", secret], wrong),
        (&["AUTH", "a", "b", "c"], "-ERR syntax error"),
        (
            &["AUTH"],
            "-ERR wrong number of arguments for 'auth' command",
        ),
    ];
    for (words, expected) in cases {
        assert_eq!(
            Client::connect(address).call(words),
            expected,
            "{:?}",
            &words[..words.len() - 1]
        );
    }
    let mut client = Client::connect(address);
    let hello = client.call(&["HELLO", "3", "AUTH", "default", secret, "SETNAME", "me"]);
    assert!(
        hello.starts_with("%7 $6 server $5 redis $7 version $5 7.2.4 $5 proto :3 $2 id"),
        "{hello}"
    );
    assert_eq!(client.call(&["CLIENT", "GETNAME"]), "$2 me");
    assert_eq!(client.call(&["GET", "absent"]), "_");
    assert_eq!(
        client.call(&["ACL", "WHOAMI"]),
        "$34 org/acme/programmatic_identity/app"
    );
}

#[test]
fn nothing_before_login() {
    let world = world();
    let gateway = world.gateway(Some("org/acme/kvdb/main"), |_, _| {});
    let mut client = Client::connect(gateway.local_addr());
    let noauth = "-NOAUTH Authentication required.";
    for words in [
        &["GET", "k"][..],
        &["PING"],
        &["CONFIG", "GET", "*"],
        &["NOSUCH"],
        &["CLIENT", "ID"],
    ] {
        assert_eq!(client.call(words), noauth, "{words:?}");
    }
    assert!(
        client
            .call(&["HELLO", "3"])
            .starts_with("-NOAUTH HELLO must be called")
    );
    assert_eq!(
        client.call(&["HELLO", "4"]),
        "-NOPROTO unsupported protocol version"
    );
    assert_eq!(client.call(&["RESET"]), "+RESET");
    assert_eq!(client.call(&["QUIT"]), "+OK");
    assert_eq!(client.reply(), "closed");

    let mut client = Client::connect(gateway.local_addr());
    client.send(b"*2\r\n$3\r\nGET\r\n$1000000\r\n");
    assert_eq!(
        client.reply(),
        "-ERR Protocol error: unauthenticated bulk length"
    );
    assert_eq!(client.reply(), "closed");
}

#[test]
fn http_is_not_answered() {
    let world = world();
    let gateway = world.gateway(None, |_, _| {});
    for text in [
        "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut client = Client::connect(gateway.local_addr());
        client.send(text);
        while let Some(reply) = client.read() {
            assert!(reply.starts_with(b"-NOAUTH"));
        }
    }
}

#[test]
fn a_silent_client_is_closed_and_a_logged_in_one_is_not() {
    let world = world();
    let key = world.identity("acme", "app", Some(FULL));
    let gateway = world.gateway(None, |settings, _| {
        settings.limits.login = Duration::from_millis(300);
    });
    let mut idle = Client::login(gateway.local_addr(), &key);
    let start = Instant::now();
    let mut silent = Client::connect(gateway.local_addr());
    assert_eq!(silent.reply(), "closed");
    assert!(start.elapsed() >= Duration::from_millis(250));
    assert_eq!(idle.call(&["PING"]), "+PONG");
}

#[test]
fn failing_logins_wait_and_correct_ones_never() {
    let world = world();
    let key = world.identity("acme", "app", Some(FULL));
    let gateway = world.gateway(None, |_, _| {});
    let mut guesser = Client::connect(gateway.local_addr());
    for _ in 0..10 {
        assert!(guesser.call(&["AUTH", "guess"]).starts_with("-WRONGPASS"));
    }
    let start = Instant::now();
    guesser.request(&["AUTH", "guess"]);
    guesser.request(&["PING"]);
    // Others do not wait, and neither does a good key from the same address.
    // (The fastest of some: the machines that run tests are busy.)
    let good = (0..5).map(|_| {
        let since = Instant::now();
        assert_eq!(Client::connect(gateway.local_addr()).auth(&key), "+OK");
        since.elapsed()
    });
    let fastest = good.min().unwrap();
    assert!(fastest < Duration::from_millis(700), "{fastest:?}");
    assert!(guesser.reply().starts_with("-WRONGPASS"));
    assert!(
        start.elapsed() >= Duration::from_millis(700),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(guesser.reply(), "-NOAUTH Authentication required.");
    assert_eq!(guesser.auth(&key), "+OK");
}

#[test]
fn a_deleted_key_is_refused_at_the_next_command_and_may_log_in_again() {
    let world = world();
    let key = world.identity("acme", "app", Some(FULL));
    let second = world.key("org/acme/programmatic_identity/app");
    let gateway = world.gateway(None, |_, _| {});
    let mut client = Client::login(gateway.local_addr(), &key);
    assert_eq!(client.call(&["SET", "k", "v"]), "+OK");
    world.change(Change::DeleteAccessKey {
        path: key.path.clone(),
    });
    let ended = "-NOAUTH Authentication required: access key deleted";
    assert_eq!(client.call(&["GET", "k"]), ended);
    assert_eq!(client.call(&["PING"]), ended);
    assert!(client.auth(&key).starts_with("-WRONGPASS"));
    assert_eq!(client.auth(&second), "+OK");
    assert_eq!(client.call(&["GET", "k"]), "$1 v");
}

/// The data is gone, and what comes after it is no answer of it: the connection may go elsewhere.
#[test]
fn a_deleted_database_is_told_at_the_next_command() {
    let world = world();
    world.database("acme", "other", Backend::Embedded);
    let key = world.identity("acme", "app", Some(FULL));
    let gateway = world.gateway(None, |settings, _| {
        settings.limits.login = Duration::from_millis(300);
    });
    let address = gateway.local_addr();
    let user = format!("{}.other", key.id);
    let on_other = || {
        let mut client = Client::connect(address);
        assert_eq!(client.call(&["AUTH", &user, key.secret.expose()]), "+OK");
        client
    };
    let (mut client, mut idle) = (on_other(), on_other());
    assert_eq!(client.call(&["SET", "k", "v"]), "+OK");
    world.change(Change::DeleteDatabase {
        path: "org/acme/kvdb/other".into(),
    });
    let ended = "-NOAUTH Authentication required: database deleted";
    assert_eq!(client.call(&["GET", "k"]), ended);
    assert!(
        client
            .call(&["AUTH", &user, key.secret.expose()])
            .starts_with("-ERR")
    );
    assert_eq!(client.auth(&key), "+OK");
    assert_eq!(client.call(&["GET", "k"]), "$-1");
    assert_eq!(idle.reply(), "closed", "as after any end");
}

#[test]
fn a_second_login() {
    let world = world();
    world.database("acme", "other", Backend::Embedded);
    let one = world.identity("acme", "one", Some(FULL));
    let again = world.key("org/acme/programmatic_identity/one");
    let two = world.identity("acme", "two", Some(FULL));
    let gateway = world.gateway(Some("org/acme/kvdb/main"), |_, _| {});
    let mut client = Client::login(gateway.local_addr(), &one);
    client.call(&["CLIENT", "SETNAME", "kept"]);
    assert_eq!(client.call(&["SELECT", "3"]), "+OK");
    // The same principal: the session is renewed and everything stays.
    assert_eq!(client.auth(&again), "+OK");
    assert_eq!(client.call(&["CLIENT", "GETNAME"]), "$4 kept");
    assert!(client.call(&["CLIENT", "INFO"]).contains(" db=3 "));
    // A failed login changes nothing.
    assert!(client.call(&["AUTH", "x"]).starts_with("-WRONGPASS"));
    assert!(client.call(&["CLIENT", "INFO"]).contains(" db=3 "));
    // Inside MULTI, and to another database: refused.
    assert_eq!(client.call(&["MULTI"]), "+OK");
    assert_eq!(client.auth(&two), "-ERR AUTH inside MULTI is not allowed");
    assert!(client.call(&["EXEC"]).starts_with("-EXECABORT"));
    let other = format!("{}.other", two.id);
    let refused = client.call(&["AUTH", &other, two.secret.expose()]);
    assert!(
        refused.starts_with("-ERR keyward: this connection is to org/acme/kvdb/main"),
        "{refused}"
    );
    assert_eq!(
        client.call(&["ACL", "WHOAMI"]),
        "$34 org/acme/programmatic_identity/one"
    );
    // Another principal: as after RESET.
    assert_eq!(client.auth(&two), "+OK");
    assert_eq!(
        client.call(&["ACL", "WHOAMI"]),
        "$34 org/acme/programmatic_identity/two"
    );
    assert_eq!(client.call(&["CLIENT", "GETNAME"]), "$-1");
    assert!(client.call(&["CLIENT", "INFO"]).contains(" db=0 "));
}

#[test]
fn without_permissions_a_login_is_answered_and_every_command_refused() {
    let world = world();
    let nothing = world.identity("acme", "nothing", None);
    let denied = world.identity(
        "acme",
        "denied",
        Some(
            r#"[{"Effect":"Allow","Actions":["kvdb:*"],"Resources":["kvdb/*"]},
                {"Effect":"Deny","Actions":["kvdb:Connect"],"Resources":["kvdb/*"]}]"#,
        ),
    );
    world.organisation("globex", "000000000002");
    let stranger = world.identity("globex", "stranger", None);
    let gateway = world.gateway(Some("org/acme/kvdb/main"), |_, _| {});
    let address = gateway.local_addr();
    let mut client = Client::login(address, &nothing);
    for words in [&["GET", "k"][..], &["PING"], &["SELECT", "1"], &["MULTI"]] {
        let reply = client.call(words);
        assert!(
            reply.starts_with("-NOPERM User org/acme/programmatic_identity/nothing"),
            "{reply}"
        );
    }
    assert!(
        Client::connect(address)
            .auth(&denied)
            .starts_with("-NOPERM ")
    );
    // Another organisation's database: as if it did not exist.
    let asked = format!("{}.main.acme", stranger.id);
    let absent = format!("{}.absent.acme", stranger.id);
    for user in [asked, absent] {
        let reply = Client::connect(address).call(&["AUTH", &user, stranger.secret.expose()]);
        assert_eq!(
            reply,
            "-WRONGPASS invalid username-password pair or user is disabled."
        );
    }
}

#[test]
fn unauthenticated_is_served_exactly_what_the_resource_policy_gives() {
    let world = world();
    let key = world.identity("acme", "app", Some(FULL));
    let gateway = world.gateway(Some("org/acme/kvdb/main"), |_, _| {});
    let mut early = Client::connect(gateway.local_addr());
    assert_eq!(
        early.call(&["GET", "public:a"]),
        "-NOAUTH Authentication required."
    );
    world.change(Change::PutResourcePolicy {
        path: "org/acme/kvdb/main".into(),
        document: r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],
                       "Identities":["unauthenticated"],"Keys":["public:*"]}]"#
            .into(),
    });
    Client::login(gateway.local_addr(), &key).call(&["SET", "public:a", "x"]);
    let mut late = Client::connect(gateway.local_addr());
    for client in [&mut early, &mut late] {
        assert_eq!(client.call(&["GET", "public:a"]), "$1 x");
        assert!(
            client
                .call(&["GET", "private"])
                .starts_with("-NOPERM No permissions to access a key")
        );
        assert!(
            client
                .call(&["SET", "public:a", "y"])
                .starts_with("-NOPERM User unauthenticated")
        );
        assert_eq!(client.auth(&key), "+OK");
        assert_eq!(client.call(&["GET", "private"]), "$-1");
    }
    let mut third = Client::connect(gateway.local_addr());
    assert_eq!(third.call(&["GET", "public:a"]), "$1 x");
    world.change(Change::DeleteResourcePolicy {
        path: "org/acme/kvdb/main".into(),
    });
    assert!(third.call(&["GET", "public:a"]).starts_with("-NOAUTH"));
}

#[test]
fn connections_beyond_the_limit_are_told_so() {
    let world = world();
    let gateway = world.gateway(None, |settings, _| settings.limits.connections = 2);
    let _one = Client::connect(gateway.local_addr());
    let _two = Client::connect(gateway.local_addr());
    let mut three = Client::connect(gateway.local_addr());
    assert_eq!(three.reply(), "-ERR max number of clients reached");
    assert_eq!(three.reply(), "closed");
}
