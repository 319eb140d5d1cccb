//! The embedded engine behind the gateway.

mod support;

use keyward_iam::Backend;
use support::{Client, FULL, World, request};

#[test]
fn commands_transactions_and_what_the_engine_has_not() {
    let world = World::new();
    world.database("acme", "main", Backend::Embedded);
    world.database("acme", "other", Backend::Embedded);
    let key = world.identity("acme", "app", Some(FULL));
    let gateway = world.gateway(Some("org/acme/kvdb/main"), |_, _| {});
    let mut client = Client::login(gateway.local_addr(), &key);
    let mut second = Client::login(gateway.local_addr(), &key);
    assert_eq!(client.call(&["SET", "k", "1"]), "+OK");
    assert_eq!(second.call(&["INCR", "k"]), ":2");
    assert_eq!(client.call(&["WATCH", "k"]), "+OK");
    assert_eq!(client.call(&["MULTI"]), "+OK");
    assert_eq!(client.call(&["INCR", "k"]), "+QUEUED");
    assert_eq!(client.call(&["GET", "k"]), "+QUEUED");
    assert_eq!(client.call(&["EXEC"]), "*2 :3 $1 3");
    assert_eq!(client.call(&["WATCH", "k"]), "+OK");
    second.call(&["SET", "k", "changed"]);
    client.send(
        [
            request(&["MULTI"]),
            request(&["GET", "k"]),
            request(&["EXEC"]),
        ]
        .concat(),
    );
    assert_eq!(
        [client.reply(), client.reply(), client.reply()],
        ["+OK", "+QUEUED", "*-1"]
    );
    assert_eq!(client.call(&["MULTI"]), "+OK");
    assert_eq!(
        client.call(&["NOSUCH"]),
        "-ERR unknown command 'NOSUCH', with args beginning with:"
    );
    assert_eq!(
        client.call(&["EXEC"]),
        "-EXECABORT Transaction discarded because of previous errors."
    );
    assert_eq!(client.call(&["EXEC"]), "-ERR EXEC without MULTI");
    assert_eq!(client.call(&["SELECT", "4"]), "+OK");
    assert_eq!(client.call(&["GET", "k"]), "$-1");
    for words in [
        &["BLPOP", "k", "0"][..],
        &["SUBSCRIBE", "c"],
        &["EVAL", "return 1", "0"],
    ] {
        let reply = client.call(words);
        assert!(
            reply.starts_with("-ERR keyward: the embedded engine has no"),
            "{reply}"
        );
    }
    assert_eq!(client.call(&["PING"]), "+PONG");
    assert!(client.call(&["HELLO", "3"]).starts_with("%7"));
    assert_eq!(client.call(&["HGETALL", "absent"]), "%0");
    let count = client.call(&["COMMAND", "COUNT"]);
    assert!(count.starts_with(':') && count.len() > 3, "{count}");
    assert_eq!(
        client.call(&["COMMAND", "GETKEYS", "MSET", "a", "1", "b", "2"]),
        "*2 $1 a $1 b"
    );
    assert!(
        client
            .call(&["COMMAND", "DOCS", "get"])
            .starts_with("%1 $3 get %2 $5 since")
    );
    assert!(
        client
            .call(&["COMMAND", "INFO", "get"])
            .starts_with("*1 *10 $3 get :2 ~")
    );
    // Each database has its own engine.
    let mut other = Client::connect(gateway.local_addr());
    let user = format!("{}.other", key.id);
    assert_eq!(other.call(&["AUTH", &user, key.secret.expose()]), "+OK");
    assert_eq!(other.call(&["GET", "k"]), "$-1");
}

#[test]
fn a_client_that_takes_nothing_is_not_served_without_end() {
    let world = World::new();
    world.database("acme", "main", Backend::Embedded);
    let key = world.identity("acme", "app", Some(FULL));
    let gateway = world.gateway(None, |settings, _| {
        settings.limits.unsent = 1024 * 1024;
        settings.limits.stall = std::time::Duration::from_secs(2);
    });
    let mut client = Client::login(gateway.local_addr(), &key);
    client.request(&[b"SET".as_slice(), b"k", &vec![b'x'; 500_000]]);
    assert_eq!(client.reply(), "+OK");
    let asks: Vec<u8> = (0..100).flat_map(|_| request(&["GET", "k"])).collect();
    client.send(&asks);
    // One that reads gets everything.
    for _ in 0..100 {
        assert_eq!(client.read().unwrap().len(), 500_011);
    }
    client.send(&asks);
    std::thread::sleep(std::time::Duration::from_secs(4));
    let mut read = 0;
    while client.read_or_closed() {
        read += 1;
    }
    assert!(read < 100, "{read}");
}
