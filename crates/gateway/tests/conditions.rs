//! Conditions that only a connection shows: moments that pass, the selected database, the name of
//! the client, its address.

mod support;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use keyward_gateway::GatewayHandle;
use keyward_iam::Backend;
use support::{Client, Key, RealServer, World, request};

fn allow(conditions: &str) -> String {
    format!(
        r#"[{{"Effect":"Allow","Actions":["kvdb:*"],"Resources":["kvdb/main"],"Conditions":{{{conditions}}}}}]"#
    )
}

fn seconds_since_1970() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

struct Setup {
    _server: RealServer,
    _world: World,
    gateway: GatewayHandle,
    key: Key,
}

fn setup(policy: &str) -> Setup {
    let server = RealServer::redis();
    let world = World::new();
    world.database("acme", "main", server.backend());
    let key = world.identity("acme", "app", Some(policy));
    let gateway = world.gateway(None, |_, _| {});
    Setup {
        _server: server,
        _world: world,
        gateway,
        key,
    }
}

impl Setup {
    fn client(&self) -> Client {
        Client::login(self.gateway.local_addr(), &self.key)
    }
}

/// The end of a moment's condition reaches what waits and what is subscribed, without a request.
#[test]
fn the_end_of_a_moment_closes_what_waits() {
    let end = seconds_since_1970() + 4;
    let setup = setup(&allow(&format!(
        r#""NumericLessThan":{{"keyward:EpochTime":{end}}}"#
    )));
    let mut subscribed = setup.client();
    subscribed.call(&["SUBSCRIBE", "news"]);
    let mut waiting = setup.client();
    waiting.request(&["BLPOP", "queue", "0"]);
    let mut idle = setup.client();
    assert_eq!(idle.call(&["SET", "k", "v"]), "+OK");
    let begin = Instant::now();
    assert_eq!(waiting.reply(), "closed");
    assert_eq!(subscribed.reply(), "closed");
    assert!(begin.elapsed() < Duration::from_secs(15));
    let denied = idle.call(&["SET", "k", "v"]);
    assert!(denied.starts_with("-NOPERM"), "{denied}");
}

/// The number that decides is the one that the command runs on, in a pipeline and in EXEC, too.
#[test]
fn the_selected_database_decides() {
    let setup = setup(&allow(r#""NumericEquals":{"kvdb:DatabaseIndex":1}"#));
    let mut client = setup.client();
    client.send(
        [
            request(&["SET", "k", "zero"]),
            request(&["SELECT", "1"]),
            request(&["SET", "k", "one"]),
            request(&["SELECT", "99"]),
            request(&["GET", "k"]),
            request(&["SELECT", "0"]),
            request(&["GET", "k"]),
        ]
        .concat(),
    );
    let replies: Vec<String> = (0..7).map(|_| client.reply()).collect();
    let starts = ["-NOPERM", "+OK", "+OK", "-ERR", "$3 one", "+OK", "-NOPERM"];
    for (reply, start) in replies.iter().zip(starts) {
        assert!(reply.starts_with(start), "{replies:?}");
    }
    client.call(&["SELECT", "1"]);
    assert_eq!(client.call(&["MULTI"]), "+OK");
    assert_eq!(client.call(&["SELECT", "0"]), "+QUEUED");
    let queued = client.call(&["SET", "k", "zero"]);
    let exec = client.call(&["EXEC"]);
    assert!(
        queued.starts_with("-NOPERM") && exec.starts_with("-EXECABORT"),
        "{queued} {exec}"
    );
}

#[test]
fn the_name_of_the_client_is_its_present_one() {
    let setup = setup(&allow(
        r#""StringEquals":{"keyward:ClientName":"${keyward:PrincipalId}"}"#,
    ));
    let mut client = setup.client();
    assert!(client.call(&["GET", "k"]).starts_with("-NOPERM"));
    assert_eq!(client.call(&["CLIENT", "SETNAME", "app"]), "+OK");
    assert_eq!(client.call(&["GET", "k"]), "$-1");
    assert_eq!(client.call(&["CLIENT", "SETNAME", "other"]), "+OK");
    assert!(client.call(&["GET", "k"]).starts_with("-NOPERM"));
}

/// On both kinds of backend.
#[test]
fn addresses_and_arguments() {
    let policy = r#"[
        {"Effect":"Allow","Actions":["kvdb:*"],"Resources":["kvdb/*"],
         "Conditions":{"IpAddress":{"keyward:SourceIp":"127.0.0.0/8"}}},
        {"Effect":"Deny","Actions":["kvdb:ExecuteSet"],"Resources":["kvdb/*"],
         "Conditions":{"NumericGreaterThan":{"kvdb:TtlSeconds":60}}},
        {"Effect":"Deny","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/*"],
         "Conditions":{"NotIpAddress":{"keyward:SourceIp":"127.0.0.0/8"}}}]"#;
    let server = RealServer::redis();
    for backend in [server.backend(), Backend::Embedded] {
        let world = World::new();
        world.database("acme", "main", backend);
        let key = world.identity("acme", "app", Some(policy));
        let gateway = world.gateway(None, |_, _| {});
        let mut client = Client::login(gateway.local_addr(), &key);
        assert_eq!(client.call(&["SET", "k", "v", "EX", "60"]), "+OK");
        for refused in [&["SET", "k", "v"][..], &["SET", "k", "v", "EX", "61"]] {
            let reply = client.call(refused);
            assert!(reply.starts_with("-NOPERM"), "{reply}");
        }
        assert_eq!(client.call(&["GET", "k"]), "$1 v");
    }
}
