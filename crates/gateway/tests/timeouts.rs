//! Clients that say nothing, half of something or too much before they log in, handshakes that do
//! not go on, and logins that cannot be told yet: all end in time, and nobody else waits for them.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward_auth::{Login, LoginError, TokenVerifier, Verifier};
use keyward_gateway::GatewaySettings;
use keyward_iam::{Backend, Directory, UnixMillis};
use keyward_net::{Tls, TlsFiles};
use support::{Client, FULL, Key, World};

/// Time to log in, in these tests.
const LOGIN: Duration = Duration::from_millis(600);
/// By when a connection must be closed: less than the usual time to log in, and far more than
/// [`LOGIN`], since the machines that run tests are slow and busy.
const LATE: Duration = Duration::from_secs(8);

fn world() -> (World, Key) {
    let world = World::new();
    world.database("acme", "main", Backend::Embedded);
    let key = world.identity("acme", "app", Some(FULL));
    (world, key)
}

fn short(settings: &mut GatewaySettings) {
    settings.limits.login = LOGIN;
}

/// After what time the other side closes a connection, reading what it says until then.
fn closed_after(mut stream: &TcpStream, since: Instant) -> Duration {
    let limit = Some(Duration::from_secs(20));
    stream.set_read_timeout(limit).unwrap();
    loop {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return since.elapsed(),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return since.elapsed(),
            Err(error) => panic!("still open after {:?}: {error}", since.elapsed()),
        }
    }
}

/// `took` is measured from before the connection was made.
fn assert_in_time(what: &str, took: Duration) {
    let fits = LOGIN..LATE;
    assert!(fits.contains(&took), "{what}: closed after {took:?}");
}

#[test]
fn who_does_not_log_in_is_sent_away() {
    let (world, key) = world();
    let default = Some("org/acme/kvdb/main");
    let gateway = world.gateway(default, |settings, _| short(settings));
    let address = gateway.local_addr();
    let mut other = Client::login(address, &key);
    let begin = |bytes: &[u8]| {
        let since = Instant::now();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(bytes).unwrap();
        (stream, since)
    };
    let half_secret = format!("*3\r\n$4\r\nAUTH\r\n$20\r\n{}\r\n$75\r\nkws_", key.id);
    let cases: [(&str, &[u8]); 7] = [
        ("nothing", b""),
        ("half a header", b"*"),
        ("half a request", b"*2\r\n$4\r\nAUTH\r\n"),
        ("half a secret", half_secret.as_bytes()),
        ("half a line", b"AUTH "),
        ("whole requests", b"PING\r\nPING\r\n"),
        ("a wrong login", b"AUTH wrong\r\n"),
    ];
    let begun = cases.map(|(what, bytes)| (what, begin(bytes)));
    // The worker has one thread: the one who is logged in does not notice any of them.
    for _ in 0..20 {
        assert_eq!(other.call(&["PING"]), "+PONG");
    }
    for (what, (stream, since)) in &begun {
        assert_in_time(what, closed_after(stream, *since));
    }
    assert_eq!(other.call(&["PING"]), "+PONG");
}

/// A byte now and then, or requests without a break, buy no time.
#[test]
fn talking_is_no_login() {
    let (world, key) = world();
    let default = Some("org/acme/kvdb/main");
    let gateway = world.gateway(default, |settings, _| short(settings));
    let address = gateway.local_addr();
    let mut other = Client::login(address, &key);
    let talk = |piece: &'static [u8], pause: Duration| {
        let since = Instant::now();
        let stream = TcpStream::connect(address).unwrap();
        let mut reading = stream.try_clone().unwrap();
        std::thread::spawn(move || while reading.read(&mut [0; 65536]).is_ok_and(|n| n > 0) {});
        std::thread::spawn(move || {
            let mut stream = stream;
            while stream.write_all(piece).is_ok() && since.elapsed() < LATE {
                std::thread::sleep(pause);
            }
            since.elapsed()
        })
    };
    let slow = talk(b"*", Duration::from_millis(20));
    let slow_inline = talk(b"A", Duration::from_millis(20));
    let busy = talk(b"PING\r\nPING\r\nPING\r\nPING\r\n", Duration::ZERO);
    for _ in 0..20 {
        assert_eq!(other.call(&["PING"]), "+PONG");
    }
    for (what, thread) in [("slow", slow), ("slow line", slow_inline), ("busy", busy)] {
        let took = thread.join().unwrap();
        assert!(took < LATE, "{what}: {took:?}");
    }
}

/// Judges no token, ever: the keys of its issuer do not come.
struct Waits;

impl TokenVerifier for Waits {
    fn login(
        &self,
        _: &Directory,
        _: &[u8],
        _: &[u8],
        _: Option<IpAddr>,
        _: UnixMillis,
    ) -> Result<Login, LoginError> {
        Err(LoginError::Pending)
    }
}

#[test]
fn a_login_that_cannot_be_told_ends_in_time() {
    let (mut world, key) = world();
    world.verifier = Arc::new(Verifier {
        tokens: Some(Arc::new(Waits)),
        ..(*world.verifier).clone()
    });
    let default = Some("org/acme/kvdb/main");
    // By the time to log in, where it is the shorter one.
    let gateway = world.gateway(default, |settings, _| short(settings));
    let mut other = Client::login(gateway.local_addr(), &key);
    let since = Instant::now();
    let mut waiting = Client::connect(gateway.local_addr());
    waiting.request(&["AUTH", "deployer", "eyJhbGciOiJub25lIn0.e30.x"]);
    for _ in 0..50 {
        assert_eq!(other.call(&["PING"]), "+PONG");
    }
    assert_in_time("waits", closed_after(waiting.stream(), since));

    // Else it is told, and whoever waited may try another way.
    let gateway = world.gateway(default, |_, _| {});
    let mut waiting = Client::connect(gateway.local_addr());
    let since = Instant::now();
    waiting.request(&[
        "HELLO",
        "3",
        "AUTH",
        "deployer",
        "eyJhbGciOiJub25lIn0.e30.x",
    ]);
    let told = waiting.reply();
    assert!(told.starts_with("-ERR keyward:"), "{told}");
    let took = since.elapsed();
    assert!(
        took > Duration::from_secs(5) && took < Duration::from_secs(9),
        "{took:?}"
    );
    assert_eq!(waiting.auth(&key), "+OK");
}

fn tls(folder: &Path) -> Arc<Tls> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
    };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    Arc::new(Tls::load(files).unwrap())
}

/// The beginning of a ClientHello: a record of 512 bytes of which ten come.
const HALF_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03";

#[test]
fn handshakes_that_do_not_go_on_end_in_time() {
    let (world, _) = world();
    let folder = std::env::temp_dir().join(format!("keyward-handshakes-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let tls = tls(&folder);
    let default = Some("org/acme/kvdb/main");
    let gateway = world.gateway(default, |settings, _| {
        short(settings);
        settings.tls = Some(tls);
    });
    let address: SocketAddr = gateway.local_addr();
    let cases: [(&str, &[u8]); 3] = [
        ("nothing", b""),
        ("half a hello", HALF_HELLO),
        ("a request in the clear", b"*1\r\n$4\r\nPING\r\n"),
    ];
    let begun = cases.map(|(what, bytes)| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(bytes).unwrap();
        (what, stream, Instant::now())
    });
    for (what, stream, since) in &begun {
        let took = closed_after(stream, *since);
        assert!(took < LATE, "{what}: {took:?}");
    }
    // Bytes one by one buy no time, either.
    let mut stream = TcpStream::connect(address).unwrap();
    let since = Instant::now();
    for byte in HALF_HELLO.iter().chain(std::iter::repeat(&0)) {
        if stream.write_all(&[*byte]).is_err() || since.elapsed() > LATE {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(since.elapsed() < LATE, "{:?}", since.elapsed());
    std::fs::remove_dir_all(&folder).unwrap();
}
