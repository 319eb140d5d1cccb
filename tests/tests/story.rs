//! An organisation from its first person to its last session: people with a second factor, a group,
//! a role for a pipeline and one for a partner, with the command line and real clients, and every
//! end of it on connections that are open.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use keyward_e2e::{
    AccessKey, Api, Client, Keyward, OidcProvider, Output, RedisUrl, Server, ServerKind, Value,
    assert_error, bulk, error_text, find_secret, ok, python, redis_cli, text, wait_until,
};
use serde_json::{Value as Json, json};

/// Exit code of what is denied.
const DENIED: i32 = 3;
/// Exit code of what is not there, or not to be seen.
const MISSING: i32 = 4;
/// Exit code of a command without a credential that opens something.
const NOBODY: i32 = 6;

/// How soon an end must reach a connection that waits: at once, on machines that are slow and busy.
const SOON: Duration = Duration::from_secs(15);

const READ_BUT_PRODUCTION: &str = r#"[{"Effect":"Deny","Actions":["*"],"Resources":["**"],
    "Conditions":{"StringEquals":{"keyward:ResourceTag/stage":"production"}}}]"#;
const WITH_SECOND_FACTOR: &str = r#"{"Bool":{"keyward:MultiFactorAuthPresent":"true"}}"#;

/// A code of an authenticator app, computed by nothing of ours.
const TOTP: &str = "
import base64, hmac, os, struct, time
secret = os.environ['SECRET']
key = base64.b32decode(secret + '=' * (-len(secret) % 8))
step = int(time.time()) // 30 + int(os.environ['AHEAD'])
digest = hmac.digest(key, struct.pack('>Q', step), 'sha1')
at = digest[-1] & 15
print('%06d' % ((struct.unpack('>I', digest[at:at + 4])[0] & 0x7fffffff) % 10 ** 6))
";

const MOMENT: &str = "
import datetime, os
moment = datetime.datetime.now(datetime.timezone.utc)
moment += datetime.timedelta(seconds=int(os.environ['AHEAD']))
print(moment.strftime('%Y-%m-%dT%H:%M:%SZ'))
";

/// Reads one key, then waits for a stream until the connection ends.
const READER: &str = "
import os, redis
client = redis.Redis(port=int(os.environ['PORT']), username=os.environ['NAME'],
                     password=os.environ['PASSWORD'], decode_responses=True,
                     retry=redis.retry.Retry(redis.backoff.NoBackoff(), 1))
print(client.get('report:1'), flush=True)
try:
    client.xread({'report:stream': '$'}, block=0)
except redis.exceptions.RedisError as error:
    print(type(error).__name__)
";

fn code(secret: &str, ahead: &str) -> String {
    python(TOTP, &[("SECRET", secret), ("AHEAD", ahead)]).success()
}

/// A moment so many seconds ahead.
fn moment(ahead: &str) -> String {
    python(MOMENT, &[("AHEAD", ahead)]).success()
}

/// Somebody with a machine of their own: what the command line keeps there is theirs.
struct Person {
    home: tempfile::TempDir,
    settings: BTreeMap<&'static str, String>,
    name: String,
    password: String,
}

impl Person {
    fn new(keyward: &Keyward, name: &str, organisation: &str, password: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let settings = BTreeMap::from([
            ("KEYWARD_URL", keyward.api_url.clone()),
            ("KEYWARD_ORGANISATION", organisation.to_owned()),
            ("XDG_CONFIG_HOME", home.path().display().to_string()),
        ]);
        Self {
            home,
            settings,
            name: name.to_owned(),
            password: password.to_owned(),
        }
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = Keyward::command();
        command.current_dir(self.home.path()).envs(&self.settings);
        piped(command.args(arguments))
    }

    #[track_caller]
    fn with_input(&self, arguments: &[&str], input: &str) -> Output {
        let output = ended(self.start(arguments), input);
        assert_eq!(find_secret(output.stderr.as_bytes()), None, "{arguments:?}");
        output
    }

    fn try_run(&self, arguments: &[&str]) -> Output {
        self.with_input(arguments, "")
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        self.try_run(arguments).success()
    }

    /// The JSON that a command answers.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Json {
        let line = [arguments, &["--output", "json"]].concat();
        self.try_run(&line).json()
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str], codes: &[i32]) -> String {
        let output = self.try_run(arguments);
        assert!(
            codes.contains(&output.code),
            "{arguments:?}: {} {}{}",
            output.code,
            output.stdout,
            output.stderr
        );
        output.stderr
    }

    fn login(&self, code: &str) -> Output {
        let input = format!("{}\n{code}\n", self.password);
        self.with_input(&["login", "--name", &self.name, "--password-stdin"], &input)
    }

    /// Sets an authenticator app up: its secret.
    #[track_caller]
    fn enrol(&self) -> String {
        let mut child = self.start(&["account", "totp"]);
        let stderr = child.stderr.take().expect("standard error was kept");
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let secret = lines
            .find_map(|line| Some(line.strip_prefix("secret")?.trim().to_owned()))
            .expect("the secret is shown");
        let output = ended(child, &format!("{}\n", code(&secret, "0")));
        let codes = output.success();
        assert!(codes.contains("recovery codes"), "{codes}");
        secret
    }

    /// Credentials of a session of one's own, or of a role.
    #[track_caller]
    fn session(&self, arguments: &[&str]) -> Session {
        Session::of(&self.json(arguments))
    }
}

#[track_caller]
fn ended(mut child: Child, input: &str) -> Output {
    let mut stdin = child.stdin.take().expect("standard input was kept");
    stdin.write_all(input.as_bytes()).ok();
    drop(stdin);
    let mut stderr = String::new();
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_string(&mut stderr).expect("text");
    }
    let output = child.wait_with_output().expect("keyward ends");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned(),
        stderr: stderr.trim_end().to_owned(),
    }
}

/// Temporary credentials.
struct Session {
    id: String,
    key: String,
    expiration: String,
}

impl Session {
    #[track_caller]
    fn of(answer: &Json) -> Self {
        Self {
            id: text(answer, "access_key_id"),
            key: text(answer, "session_key"),
            expiration: text(answer, "expiration"),
        }
    }
}

/// The deployment: an operator, a pipeline's platform, two servers, two organisations.
struct World {
    keyward: Keyward,
    data: PathBuf,
    provider: OidcProvider,
    orders: Server,
    production: Server,
    alice: Person,
    _folder: tempfile::TempDir,
}

impl World {
    /// Alice, signed in with a second factor, owns `acme` with the databases `orders` and
    /// `production`.
    fn start(kind: ServerKind) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let keyward = Keyward::dev(&["--data-dir", &data.display().to_string()]);
        let alice = Person::new(
            &keyward,
            "alice@example.com",
            "acme",
            "purple monkeys dance at dawn",
        );
        let world = Self {
            keyward,
            data,
            provider: OidcProvider::start(&[]),
            orders: Server::start(kind, &[]),
            production: Server::start(kind, &[]),
            alice,
            _folder: folder,
        };
        world.create_person(&world.alice);
        let alice = &world.alice;
        alice.login("").success();
        let secret = alice.enrol();
        alice.run(&["logout"]);
        // The password alone signs nobody in any more.
        assert_eq!(alice.login("").code, NOBODY);
        assert_eq!(alice.login("000000").code, NOBODY);
        alice.login(&code(&secret, "1")).success();
        assert!(alice.json(&["whoami"])["mfa"].is_string());

        alice.run(&["org", "create", "acme"]);
        for (id, server) in [("orders", &world.orders), ("production", &world.production)] {
            alice.run(&["db", "create", id, "--backend", &server.url()]);
            let mut direct = server.client();
            assert_eq!(direct.call(&["SET", "greeting", id]), ok());
            assert_eq!(direct.call(&["SET", "report:1", "fine"]), ok());
        }
        alice.run(&["tag", "set", "kvdb/production", "stage=production"]);
        world
    }

    /// `keyward admin user create` on the machine itself.
    fn create_person(&self, person: &Person) {
        let mut command = Keyward::command();
        command
            .args(["admin", "user", "create", &person.name, "--password-stdin"])
            .args(["--name", "Somebody", "--data-dir"])
            .arg(&self.data);
        let child = piped(&mut command);
        ended(child, &format!("{}\n", person.password)).success();
    }

    fn url(&self, session: &Session, database: &str) -> String {
        let user = format!("{}.{database}.acme", session.id);
        RedisUrl::parse(&self.keyward.redis_url)
            .with_login(&user, &session.key)
            .text()
    }

    #[track_caller]
    fn connect(&self, session: &Session, database: &str) -> Client {
        Client::connect(&self.url(session, database))
    }

    /// Of somebody who belongs to the organisation: the credential is good, and opens nothing.
    #[track_caller]
    fn may_do_nothing(&self, session: &Session) {
        let denied = self.connect(session, "orders").call(&["GET", "greeting"]);
        assert_error(&denied, "NOPERM");
    }

    #[track_caller]
    fn login_is_refused(&self, session: &Session) {
        let login = Client::try_connect(&self.url(session, "orders"));
        let refused = login.expect_err("no login");
        assert_error(&refused, "WRONGPASS");
    }

    /// Waits until a client waits in this command on the server of `orders`.
    #[track_caller]
    fn wait_for(&self, command: &str) {
        let mut direct = self.orders.client();
        let waits = wait_until(Duration::from_secs(20), || {
            let clients = match direct.call(&["CLIENT", "LIST"]) {
                Value::Bulk(text) => String::from_utf8_lossy(&text).into_owned(),
                other => error_text(&other),
            };
            clients.contains(&format!("cmd={command}")).then_some(())
        });
        assert!(waits.is_some(), "nobody waits in {command}");
    }
}

fn piped(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("keyward runs")
}

/// A connection that waits for a list, one that waits for messages and one that does nothing.
struct Open {
    blocked: Client,
    subscribed: Client,
    other: Client,
}

impl Open {
    fn new(world: &World, session: &Session) -> Self {
        let mut blocked = world.connect(session, "orders");
        blocked.send(&["BLPOP", "deploy:queue", "0"]);
        let mut subscribed = world.connect(session, "orders");
        subscribed.send(&["SUBSCRIBE", "deploy:news"]);
        subscribed.read();
        let mut other = world.connect(session, "orders");
        assert_eq!(other.call(&["SET", "deploy:1", "x"]), ok());
        assert!(blocked.is_silent(Duration::from_millis(200)));
        assert!(subscribed.is_silent(Duration::from_millis(50)));
        Self {
            blocked,
            subscribed,
            other,
        }
    }

    #[track_caller]
    fn end(mut self) {
        assert_error(&self.other.call(&["GET", "deploy:1"]), "NOAUTH");
        assert!(self.blocked.is_closed(SOON), "BLPOP goes on");
        assert!(self.subscribed.is_closed(SOON), "SUBSCRIBE goes on");
    }
}

fn bob_reads_everything_but_production_with_a_second_factor(kind: ServerKind) {
    let world = World::start(kind);
    let alice = &world.alice;
    let invited = alice.json(&["org-user", "invite", "bob", "--email", "bob@example.com"]);
    alice.run(&["group", "create", "developers"]);
    alice.run(&[
        "trust",
        "create",
        "group/developers",
        "--policy",
        "KvdbReadOnly",
        "--policy",
        READ_BUT_PRODUCTION,
    ]);
    let member = |id: &str| {
        alice.run(&[
            "trust",
            "create",
            "org_user/bob",
            "--id",
            id,
            "--trustor",
            "group/developers",
            "--conditions",
            WITH_SECOND_FACTOR,
        ])
    };
    member("bob-develops");

    // What the page of the invitation does for somebody without an account.
    let bob = Person::new(
        &world.keyward,
        "bob@example.com",
        "acme",
        "seven green boats at midnight",
    );
    let account = json!({
        "token": text(&invited, "invitation_token"), "sign_in_name": bob.name, "name": "Bob",
        "password": bob.password,
    });
    let anybody = Api::anonymous(&world.keyward.api_url);
    anybody
        .post("/v1/invitation/register", &account)
        .expect_status(201);
    let again = anybody.post("/v1/invitation/register", &account);
    assert!(
        (400..500).contains(&again.status),
        "an invitation is good for once"
    );

    // Without a second factor he is a member who may do nothing.
    bob.login("").success();
    let own = ["sts", "get-session-token"];
    world.may_do_nothing(&bob.session(&own));
    let secret = bob.enrol();
    // That he has one now does not make the session that began without it one with it.
    world.may_do_nothing(&bob.session(&own));
    bob.login(&code(&secret, "1")).success();

    let session = bob.session(&own);
    let login = Client::try_connect(&world.url(&session, "production"));
    assert_error(&login.expect_err("Connect is denied"), "NOPERM");
    let mut open = world.connect(&session, "orders");
    assert_eq!(open.call(&["GET", "greeting"]), bulk("orders"));
    for denied in [
        &["SET", "greeting", "x"][..],
        &["DEL", "greeting"],
        &["FLUSHALL"],
    ] {
        assert_error(&open.call(denied), "NOPERM");
    }
    assert_eq!(
        bob.run(&["connect", "orders", "--", "GET", "greeting"]),
        "orders"
    );
    let url = world.url(&session, "orders");
    assert_eq!(redis_cli(&url, &["GET", "greeting"]).success(), "orders");
    let said = redis_cli(&url, &["SET", "greeting", "x"]).stdout;
    assert!(said.starts_with("NOPERM"), "{said}");
    // A new database is within it, one that becomes production is not any more.
    alice.run(&["db", "create", "later"]);
    let mut later = world.connect(&session, "later");
    assert_eq!(later.call(&["GET", "k"]), Value::Null);
    alice.run(&["tag", "set", "kvdb/later", "stage=production"]);
    assert_error(&later.call(&["GET", "k"]), "NOPERM");

    // With the membership what it allowed ends; he himself stays signed in.
    let mut subscribed = world.connect(&session, "orders");
    subscribed.send(&["SUBSCRIBE", "news"]);
    subscribed.read();
    alice.run(&["trust", "delete", "bob-develops"]);
    assert_error(&open.call(&["GET", "greeting"]), "NOPERM");
    assert!(subscribed.is_closed(SOON));
    world.may_do_nothing(&session);
    member("bob-develops-again");
    assert_eq!(open.call(&["GET", "greeting"]), bulk("orders"));

    // With the login session everything that came from it ends.
    let mut subscribed = world.connect(&session, "orders");
    subscribed.send(&["SUBSCRIBE", "news"]);
    subscribed.read();
    bob.run(&["logout"]);
    assert_error(&open.call(&["GET", "greeting"]), "NOAUTH");
    assert!(subscribed.is_closed(SOON));
    world.login_is_refused(&session);
}

fn github_actions_of_one_repository_deploy_for_fifteen_minutes(kind: ServerKind) {
    let world = World::start(kind);
    let alice = &world.alice;
    let audience = format!("{}/org/acme", world.keyward.api_url);
    alice.run(&["role", "create", "deployer", "--max-session-seconds", "900"]);
    alice.run(&[
        "trust",
        "create",
        "role/deployer",
        "--policy",
        r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/orders"],
             "Keys":["deploy:*"],"Channels":["deploy:*"]}]"#,
    ]);
    alice.run(&[
        "provider",
        "create",
        "github",
        "--issuer",
        &world.provider.issuer,
        "--audience",
        &audience,
        "--shared",
    ]);
    let trust = |id: &str, sub: &str, more: &[&str]| {
        let conditions = json!({
            "StringEquals": { "keyward:Token/aud": audience },
            "StringLike": { "keyward:Token/sub": sub },
        });
        let conditions = conditions.to_string();
        let line = [
            "trust",
            "create",
            "identity_provider/github",
            "--id",
            id,
            "--trustor",
            "role/deployer",
            "--conditions",
            &conditions,
        ];
        alice.try_run(&[&line[..], more].concat())
    };
    let open_to_all = trust("github", "repo:*", &[]);
    assert_ne!(open_to_all.code, 0, "every repository of GitHub");
    trust("github", "repo:acme/app:*", &[]).success();

    // The pipeline has nothing but its token.
    let pipeline = Person::new(&world.keyward, "", "acme", "");
    let assume = |workload: &str, seconds: &str| {
        let token = world.provider.token(workload, &audience);
        let line = [
            "sts",
            "assume-role-with-web-identity",
            "--role-arn",
            "org/acme/role/deployer",
            "--role-session-name",
            "build-7",
            "--web-identity-token-file",
            "-",
            "--duration-seconds",
            seconds,
            "--output",
            "json",
        ];
        pipeline.with_input(&line, &token)
    };
    let stranger = assume("github-stranger", "900");
    assert_eq!(stranger.code, DENIED, "{}", stranger.stderr);
    let longer = assume("github-main", "901");
    assert_ne!(longer.code, 0, "longer than the role allows");
    let deploy = || {
        let answer = assume("github-main", "900").success();
        Session::of(&serde_json::from_str(&answer).expect("JSON"))
    };
    let session = deploy();
    let (soonest, latest) = (moment("840"), moment("901"));
    let end = &session.expiration;
    assert!(soonest < *end && *end < latest, "{end}");

    let url = world.url(&session, "orders");
    assert_eq!(
        redis_cli(&url, &["SET", "deploy:1", "done"]).success(),
        "OK"
    );
    let denied = redis_cli(&url, &["GET", "greeting"]).stdout;
    assert!(denied.starts_with("NOPERM"), "{denied}");
    let mut elsewhere = world.connect(&session, "production");
    for words in [&["GET", "deploy:1"][..], &["SET", "deploy:1", "x"]] {
        assert_error(&elsewhere.call(words), "NOPERM");
    }
    // The token itself is a password, too.
    let token = world.provider.token("github-main", &audience);
    let url = RedisUrl::parse(&world.keyward.redis_url).with_login("deployer.orders.acme", &token);
    let said = redis_cli(&url.text(), &["GET", "deploy:1"]).success();
    assert_eq!(said, "done");

    // One session is ended, and the other is not.
    let (one, two) = (Open::new(&world, &session), deploy());
    let other = Open::new(&world, &two);
    let listed = alice.run(&["session", "list", "role/deployer"]);
    assert!(
        listed.contains(&session.id) && listed.contains("build-7"),
        "{listed}"
    );
    alice.run(&["session", "kill", "role/deployer", &session.id]);
    one.end();
    world.login_is_refused(&session);
    // All that were issued before this moment.
    alice.run(&["session", "revoke-before", "role/deployer"]);
    other.end();
    // What was let in through the trust ends with the trust.
    let session = deploy();
    let open = Open::new(&world, &session);
    alice.run(&["trust", "delete", "github"]);
    open.end();
    world.login_is_refused(&session);
    assert_eq!(assume("github-main", "900").code, DENIED);

    // And by itself, at the moment that was set.
    let end = moment("12");
    trust("github-today", "repo:acme/app:*", &["--expires-at", &end]).success();
    let session = deploy();
    let mut open = Open::new(&world, &session);
    assert!(
        open.blocked.is_closed(Duration::from_secs(30)),
        "BLPOP goes on"
    );
    open.end();
}

fn a_partner_reads_with_an_external_id(kind: ServerKind) {
    let world = World::start(kind);
    let alice = &world.alice;
    let carol = Person::new(
        &world.keyward,
        "carol@partner.example",
        "partner",
        "violet harbours sleep under snow",
    );
    world.create_person(&carol);
    carol.login("").success();
    carol.run(&["org", "create", "partner"]);
    carol.run(&["identity", "create", "batch"]);
    let key = carol.json(&["key", "create", "batch"]);
    let key = AccessKey::shown(&key);

    alice.run(&["role", "create", "reports", "--max-session-seconds", "3600"]);
    alice.run(&[
        "trust", "create", "role/reports", "--policy",
        r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/orders"],"Keys":["report:*"]}]"#,
    ]);
    let conditions = r#"{"StringEquals":{"keyward:ExternalId":"4711"}}"#;
    let trust = |id: &str| {
        alice.run(&[
            "trust",
            "create",
            "org/partner/programmatic_identity/batch",
            "--id",
            id,
            "--trustor",
            "role/reports",
            "--conditions",
            conditions,
        ]);
    };
    trust("partner");
    let assume = |key: &AccessKey, more: &[&str]| {
        let line = [
            "role",
            "assume",
            "org/acme/role/reports",
            "--output",
            "json",
        ];
        world.keyward.cli_as(key, &[&line[..], more].concat())
    };
    let right = ["--external-id", "4711"];
    // Not before the partner takes it, and only the partner can.
    assert_eq!(assume(&key, &right).code, MISSING);
    alice.refused(
        &["trust", "accept", "org/acme/trust/partner"],
        &[DENIED, MISSING],
    );
    let pending = carol.run(&["trust", "pending"]);
    assert!(pending.contains("org/acme/trust/partner"), "{pending}");
    carol.run(&["trust", "accept", "org/acme/trust/partner"]);
    for wrong in [
        &[][..],
        &["--external-id", "4712"],
        &["--external-id", "47111"],
    ] {
        assert_eq!(assume(&key, wrong).code, MISSING, "{wrong:?}");
    }
    let reports = |key: &AccessKey| {
        let answer = assume(key, &right).success();
        Session::of(&serde_json::from_str(&answer).expect("JSON"))
    };
    let line = [
        "connect",
        "org/acme/kvdb/orders",
        "--role",
        "org/acme/role/reports",
    ];
    let read = |what: &[&str]| {
        let arguments = [&line[..], &right, &["--"], what].concat();
        world.keyward.cli_as(&key, &arguments).stdout
    };
    assert_eq!(read(&["GET", "report:1"]), "fine");
    assert!(read(&["GET", "greeting"]).starts_with("NOPERM"));
    assert!(read(&["SET", "report:1", "x"]).starts_with("NOPERM"));

    // Each end closes what waits, and redis-py, which connects anew, is refused.
    let ends: [(&str, &dyn Fn()); 3] = [
        ("the key is disabled", &|| {
            carol.run(&["key", "disable", &key.id]);
        }),
        ("the trust is deleted", &|| {
            alice.run(&["trust", "delete", "partner"]);
        }),
        ("the role is deleted", &|| {
            alice.run(&["role", "delete", "reports", "--cascade"]);
        }),
    ];
    for (what, end) in ends {
        match what {
            "the trust is deleted" => {
                carol.run(&["key", "enable", &key.id]);
            }
            "the role is deleted" => {
                trust("partner-again");
                carol.run(&["trust", "accept", "org/acme/trust/partner-again"]);
            }
            _ => {}
        }
        let session = reports(&key);
        let mut open = world.connect(&session, "orders");
        assert_eq!(open.call(&["GET", "report:1"]), bulk("fine"));
        let url = RedisUrl::parse(&world.url(&session, "orders"));
        let reader = thread::spawn(move || {
            let password = url.password.unwrap_or_default();
            let port = url.port.to_string();
            python(
                READER,
                &[
                    ("PORT", &port),
                    ("NAME", &url.user),
                    ("PASSWORD", &password),
                ],
            )
        });
        world.wait_for("xread");
        end();
        assert_error(&open.call(&["GET", "report:1"]), "NOAUTH");
        world.login_is_refused(&session);
        let said = reader.join().expect("redis-py ends").success();
        assert_eq!(said, "fine\nAuthenticationError", "{what}");
    }
    let gone = assume(&key, &right);
    assert_eq!(gone.code, MISSING, "{}", gone.stderr);
}

#[test]
fn bob_on_redis() {
    bob_reads_everything_but_production_with_a_second_factor(ServerKind::Redis);
}

#[test]
fn bob_on_valkey() {
    bob_reads_everything_but_production_with_a_second_factor(ServerKind::Valkey);
}

#[test]
fn github_actions_on_redis() {
    github_actions_of_one_repository_deploy_for_fifteen_minutes(ServerKind::Redis);
}

#[test]
fn github_actions_on_valkey() {
    github_actions_of_one_repository_deploy_for_fifteen_minutes(ServerKind::Valkey);
}

#[test]
fn a_partner_on_redis() {
    a_partner_reads_with_an_external_id(ServerKind::Redis);
}

#[test]
fn a_partner_on_valkey() {
    a_partner_reads_with_an_external_id(ServerKind::Valkey);
}
