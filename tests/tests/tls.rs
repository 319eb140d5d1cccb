//! TLS of both listeners: with `redis-cli`, the client, and a certificate that is replaced.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use keyward_e2e::Keyward;

struct World {
    keyward: Keyward,
    _folder: tempfile::TempDir,
    data_dir: PathBuf,
}

impl World {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data_dir = folder.path().join("data");
        let config = folder.path().join("keyward.toml");
        std::fs::write(&config, "domain = 'kv.test'\n").expect("written");
        let text = |path: &Path| path.display().to_string();
        let (config, data) = (text(&config), text(&data_dir));
        let arguments = ["--tls", "--config", &config, "--data-dir", &data];
        Self {
            keyward: Keyward::dev(&arguments),
            _folder: folder,
            data_dir,
        }
    }

    fn ca_file(&self) -> String {
        self.data_dir.join("tls-ca.pem").display().to_string()
    }

    /// What a client command says, as the administrator.
    fn cli(&self, arguments: &[&str]) -> String {
        let output = Keyward::command()
            .arg("--data-dir")
            .arg(&self.data_dir)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the program under test");
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// What `redis-cli` says without a password.
    fn without_password(&self, options: &[&str], command: &[&str]) -> String {
        self.run_redis_cli(None, options, command)
    }

    /// What `redis-cli` says, as the application.
    fn redis_cli(&self, options: &[&str], command: &[&str]) -> String {
        self.run_redis_cli(Some(&self.keyward.secret_access_key), options, command)
    }

    fn port(&self) -> &str {
        let (_, port) = self.keyward.redis_url.rsplit_once(':').expect("a port");
        port.trim_end_matches("/0")
    }

    fn run_redis_cli(&self, secret: Option<&str>, options: &[&str], command: &[&str]) -> String {
        let port = self.port();
        let mut program = Command::new("redis-cli");
        program
            .args(["-h", "127.0.0.1", "-p", port])
            .args(options)
            .args(command)
            .env_remove("REDISCLI_AUTH")
            .stdin(Stdio::null());
        if let Some(secret) = secret {
            program.env("REDISCLI_AUTH", secret);
        }
        let output = program
            .output()
            .expect("redis-cli: install it with `apt-get install redis-tools`");
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).trim().to_owned()
    }

    /// The same, trusting the authority of the data directory.
    fn trusting(&self, options: &[&str], command: &[&str]) -> String {
        let ca_file = self.ca_file();
        self.redis_cli(
            &[&["--tls", "--cacert", &ca_file][..], options].concat(),
            command,
        )
    }
}

#[test]
fn both_listeners_speak_tls_and_nothing_else() {
    let world = World::start();
    let user = ["--user", &world.keyward.access_key_id];
    assert_eq!(world.trusting(&user, &["SET", "a", "1"]), "OK");
    let plain = world.redis_cli(&user, &["GET", "a"]);
    assert!(plain.contains("Error"), "{plain}");
    let distrusting = world.redis_cli(&[&["--tls"][..], &user].concat(), &["GET", "a"]);
    assert!(distrusting.contains("certificate"), "{distrusting}");

    // The client finds address and authority in the data directory.
    assert!(
        world
            .cli(&["whoami"])
            .contains("programmatic_identity/admin")
    );
    assert!(
        world
            .cli(&["connect", "main", "--", "GET", "a"])
            .contains('1')
    );
    assert!(world.keyward.api_url.starts_with("https://"));
    assert!(world.keyward.redis_url.starts_with("rediss://"));
}

#[test]
fn the_server_name_chooses_the_database() {
    let world = World::start();
    let user = ["--user", &world.keyward.access_key_id];
    let named = |name: &str| {
        let sni = ["--sni", name];
        world.trusting(&[&sni[..], &user].concat(), &["GET", "a"])
    };
    assert_eq!(named("main.dev.kv.test"), "");
    assert!(named("other.dev.kv.test").contains("no database `other`"));
    // Another's, existing or not: as a wrong password.
    assert!(named("main.elsewhere.kv.test").contains("WRONGPASS"));
    // Not below the domain: says nothing of a database.
    assert_eq!(named("localhost"), "");

    let other = format!("{}.main", world.keyward.access_key_id);
    let both = |user: &str, name: &str| {
        let options = ["--sni", name, "--user", user];
        world.trusting(&options, &["GET", "a"])
    };
    assert_eq!(both(&other, "main.dev.kv.test"), "");
    assert!(both(&other, "other.dev.kv.test").contains("no database `other`"));
}

#[test]
fn a_replaced_certificate_is_used_without_a_restart() {
    let world = World::start();
    let user = ["--user", &world.keyward.access_key_id];
    assert_eq!(world.trusting(&user, &["PING"]), "PONG");

    // A certificate of another authority, in the place of the old one.
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("made");
    let write = |name: &str, text: String| {
        std::fs::write(world.data_dir.join(name), text).expect("written");
    };
    write("tls-key.pem", made.signing_key.serialize_pem());
    write("tls-cert.pem", made.cert.pem());
    write("new-ca.pem", made.cert.pem());
    let new_ca = world.data_dir.join("new-ca.pem").display().to_string();
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let options = [&["--tls", "--cacert", &new_ca][..], &user].concat();
        if world.redis_cli(&options, &["PING"]) == "PONG" {
            break;
        }
        assert!(Instant::now() < until, "{}", world.keyward.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(world.trusting(&user, &["PING"]).contains("certificate"));
}

/// A client certificate of an authority, in files.
fn client_certificate(folder: &Path, authority: &rcgen::Issuer<'_, rcgen::KeyPair>) -> [String; 2] {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::new(vec![]).expect("parameters");
    let name = "spiffe://test/ci".try_into().expect("a URI");
    parameters.subject_alt_names = vec![rcgen::SanType::URI(name)];
    parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = parameters.signed_by(&key, authority).expect("signed");
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    [
        write("client.pem", certificate.pem()),
        write("client.key", key.serialize_pem()),
    ]
}

#[test]
fn a_client_certificate_is_a_login() {
    let world = World::start();
    let mut parameters = rcgen::CertificateParams::new(vec![]).expect("parameters");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let names = &mut parameters.distinguished_name;
    names.push(rcgen::DnType::CommonName, "Clients of the test");
    let key = rcgen::KeyPair::generate().expect("a key");
    let authority = rcgen::CertifiedIssuer::self_signed(parameters, key).expect("an authority");
    let pem = world.data_dir.join("clients.pem");
    std::fs::write(&pem, authority.pem()).expect("written");
    let [certificate, key] = client_certificate(&world.data_dir, &authority);
    let certified = ["--cert", &*certificate, "--key", &*key];
    let ask = |command: &[&str]| {
        let ca_file = world.ca_file();
        let trusting = ["--tls", "--cacert", &ca_file];
        world.without_password(&[&trusting[..], &certified].concat(), command)
    };
    assert!(ask(&["SET", "ci:1", "x"]).contains("NOAUTH"));

    let mapping =
        r#"{"name":"uri","value":"spiffe://test/ci","identity":"programmatic_identity/ci"}"#;
    let policy =
        r#"[{"Effect":"Allow","Actions":["kvdb:*"],"Resources":["kvdb/main"],"Keys":["ci:*"]}]"#;
    let pem = pem.display().to_string();
    for command in [
        &["identity", "create", "ci"][..],
        &["trust", "create", "ci", "--policy", policy],
        &[
            "provider",
            "create",
            "clients",
            "--type",
            "certificate_authority",
            "--pem",
            &pem,
            "--mapping",
            mapping,
        ],
    ] {
        world.cli(command);
    }
    // Handshakes ask for certificates once the directory knows an authority.
    let said = keyward_e2e::wait_until(Duration::from_secs(10), || {
        (ask(&["SET", "ci:1", "x"]) == "OK").then_some(())
    });
    assert!(said.is_some(), "{}", ask(&["SET", "ci:1", "x"]));
    assert!(ask(&["GET", "other"]).contains("NOPERM"));
    assert!(ask(&["ACL", "WHOAMI"]).contains("programmatic_identity/ci"));

    // Calls of the API, too. Another organisation that knows the authority must not stand in the
    // way: whose certificate it is, the call can say.
    let whoami = |organisation: &str| {
        let script = include_str!("../clients/whoami_by_certificate.py");
        let variables = [
            ("URL", &*world.keyward.api_url),
            ("CA", &world.ca_file()),
            ("CERTIFICATE", &certificate),
            ("KEY", &key),
            ("ORGANISATION", organisation),
        ];
        keyward_e2e::python(script, &variables).success()
    };
    assert!(
        whoami("").ends_with("programmatic_identity/ci"),
        "{}",
        whoami("")
    );
    world.cli(&["org", "create", "other"]);
    world.cli(&["-O", "other", "identity", "create", "theirs"]);
    let theirs = mapping
        .replace("/ci", "/theirs")
        .replace("test/theirs", "test/ci");
    let create = [
        "provider",
        "create",
        "theirs",
        "--type",
        "certificate_authority",
    ];
    let of = ["-O", "other", "--pem", &pem, "--mapping", &theirs];
    world.cli(&[&create[..], &of].concat());
    assert_eq!(whoami(""), "401");
    assert!(whoami("dev").ends_with("dev/programmatic_identity/ci"));
    assert!(whoami("other").ends_with("other/programmatic_identity/theirs"));
    assert_eq!(whoami("nobody"), "401");
    assert!(ask(&["ACL", "WHOAMI"]).contains("dev/programmatic_identity/ci"));

    // While it is connected it is listed, and ended by its fingerprint: then it opens nothing more.
    let mut open = Command::new("redis-cli")
        .args(["-h", "127.0.0.1", "-p", world.port()])
        .args(["--tls", "--cacert", &world.ca_file()])
        .args(certified)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-cli");
    let mut commands = open.stdin.take().expect("its input was kept");
    std::io::Write::write_all(&mut commands, b"GET ci:1\n").expect("it reads");
    let listed = keyward_e2e::wait_until(Duration::from_secs(10), || {
        let listed = world.cli(&["session", "list", "ci", "--output", "json"]);
        listed.contains("certificate_session").then_some(listed)
    });
    let listed: serde_json::Value = serde_json::from_str(&listed.expect("listed")).expect("JSON");
    assert_eq!(listed["name"], "spiffe://test/ci", "{listed}");
    assert_eq!(listed["connections"]["count"], 1);
    let fingerprint = listed["id"].as_str().expect("a fingerprint");
    world.cli(&["session", "kill", "ci", fingerprint]);
    assert!(ask(&["GET", "ci:1"]).contains("NOAUTH"));
    drop(commands);
    open.wait().expect("it ends");
    let listed = world.cli(&["session", "list", "ci", "--output", "json"]);
    assert!(!listed.contains("certificate_session"), "{listed}");

    // A password replaces it.
    let user = ["--user", &world.keyward.access_key_id];
    let both = world.trusting(&[&certified[..], &user].concat(), &["ACL", "WHOAMI"]);
    assert!(both.contains("programmatic_identity/app"), "{both}");

    // It opens nothing any more once its authority is gone.
    world.cli(&["provider", "delete", "clients", "--cascade"]);
    assert!(ask(&["GET", "ci:1"]).contains("NOAUTH"));
}
