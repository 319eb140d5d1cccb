//! Temporary credentials, connect tokens and signed requests, with the clients that people use.

use std::time::Duration;

use keyward_e2e::{
    Api, Backend, Client, Keyward, RedisUrl, assert_error, bulk, error_text, ok, python, redis_cli,
};
use serde_json::{Value as Json, json};

/// What an answer of `/v1/sts/…` shows.
struct Credentials {
    id: String,
    secret: String,
    token: String,
    key: String,
}

impl Credentials {
    #[track_caller]
    fn of(answer: &Json) -> Self {
        let field = |name: &str| match answer.get(name).and_then(Json::as_str) {
            Some(text) => text.to_owned(),
            None => panic!("no `{name}`: {answer}"),
        };
        Self {
            id: field("access_key_id"),
            secret: field("secret_access_key"),
            token: field("session_token"),
            key: field("session_key"),
        }
    }

    fn url(&self, keyward: &Keyward) -> String {
        RedisUrl::parse(&keyward.redis_url)
            .with_login(&self.id, &self.key)
            .text()
    }
}

const ROLE: &str = "/v1/org/dev/role/deployer";

/// A role that reads `kvdb/main` and writes `deploy:*`, and that the application may assume.
fn with_role(keyward: &Keyward) {
    let admin = keyward.admin();
    let role = json!({ "id": "deployer", "max_session_seconds": 3600 });
    admin.post("/v1/org/dev/role", &role).success();
    let statement = |actions: &str, keys: &str| json!({ "Effect": "Allow", "Actions": [actions], "Resources": ["kvdb/main"], "Keys": [keys] });
    let document = json!([
        statement("kvdb:@read", "*"),
        statement("kvdb:@write", "deploy:*")
    ]);
    let standing = json!({ "id": "deployer", "trustee": "role/deployer", "policies": [document] });
    admin.post("/v1/org/dev/trust", &standing).success();
    let assumable = json!({
        "id": "app-deploys", "kind": "assumable",
        "trustor": "role/deployer", "trustee": "programmatic_identity/app",
    });
    admin.post("/v1/org/dev/trust", &assumable).success();
}

/// Assumes the role as the application.
#[track_caller]
fn assume(keyward: &Keyward, more: Json) -> Credentials {
    let mut body = json!({ "role": "role/deployer", "session_name": "build-7" });
    let fields = more.as_object().expect("fields");
    for (name, value) in fields {
        body[name] = value.clone();
    }
    Credentials::of(&keyward.app().post("/v1/sts/assume_role", &body).success())
}

fn a_session_key_opens_what_the_role_may_do(backend: Backend) {
    let keyward = backend.start();
    with_role(&keyward);
    let made = assume(&keyward, json!({ "duration_seconds": 900 }));
    let mut client = Client::connect(&made.url(&keyward));
    assert_eq!(client.call(&["SET", "deploy:1", "x"]), ok());
    assert_eq!(client.call(&["GET", "deploy:1"]), bulk("x"));
    assert_error(&client.call(&["SET", "other", "x"]), "NOPERM");
    let said = redis_cli(&made.url(&keyward), &["GET", "deploy:1"]);
    assert_eq!(said.stdout.trim(), "x");

    let narrow = json!([{ "Effect": "Allow", "Actions": ["kvdb:@read"], "Resources": ["**"] }]);
    let reader = assume(&keyward, json!({ "policies": [narrow] }));
    let mut reading = Client::connect(&reader.url(&keyward));
    assert_eq!(reading.call(&["GET", "deploy:1"]), bulk("x"));
    assert_error(&reading.call(&["SET", "deploy:1", "y"]), "NOPERM");

    // One session ends, the other does not.
    let session = format!("{ROLE}/session/{}", made.id);
    keyward.admin().get(&session).success();
    keyward.admin().delete(&session).success();
    let ended = error_text(&client.call(&["GET", "deploy:1"]));
    assert!(
        ended.starts_with("NOAUTH") && ended.contains("revoked"),
        "{ended}"
    );
    assert_eq!(reading.call(&["GET", "deploy:1"]), bulk("x"));
    assert!(Client::try_connect(&made.url(&keyward)).is_err());
    let listed = keyward.admin().get(&format!("{ROLE}/session")).success();
    let listed = listed.to_string();
    assert!(
        listed.contains(&reader.id) && !listed.contains(&made.id),
        "{listed}"
    );

    // With the trust that it was assumed through all of them end.
    keyward
        .admin()
        .delete("/v1/org/dev/trust/app-deploys")
        .success();
    assert_error(&reading.call(&["GET", "deploy:1"]), "NOAUTH");
}

fn the_end_of_a_session_reaches_who_waits(backend: Backend) {
    if backend == Backend::Embedded {
        return; // it has no blocking commands yet
    }
    let keyward = backend.start();
    with_role(&keyward);
    let made = assume(&keyward, json!({}));
    let mut blocked = Client::connect(&made.url(&keyward));
    blocked.send(&["BLPOP", "deploy:queue", "0"]);
    assert!(blocked.is_silent(Duration::from_millis(200)));
    let path = format!("{ROLE}/revoke_sessions");
    keyward.admin().post(&path, &json!({})).success();
    assert!(blocked.is_closed(Duration::from_secs(20)));
}

keyward_e2e::on_each_backend!(
    a_session_key_opens_what_the_role_may_do,
    the_end_of_a_session_reaches_who_waits,
);

#[test]
fn idle_connections_of_ended_sessions_are_closed() {
    let keyward = Keyward::dev(&[]);
    let answer = keyward
        .app()
        .post("/v1/sts/session_token", &json!({}))
        .success();
    let made = Credentials::of(&answer);
    let mut idle = Client::connect(&made.url(&keyward));
    assert_eq!(idle.call(&["SET", "k", "v"]), ok());
    let path = "/v1/org/dev/programmatic_identity/app/revoke_sessions";
    keyward.admin().post(path, &json!({})).success();
    assert!(idle.is_closed(Duration::from_secs(20)));
}

#[test]
fn parts_of_a_session_open_nothing() {
    let keyward = Keyward::dev(&[]);
    let answer = keyward
        .app()
        .post("/v1/sts/session_token", &json!({}))
        .success();
    let made = Credentials::of(&answer);
    let forged = made.token.replacen("kwt_", "kwk_", 1);
    for password in [&made.token, &made.secret, &forged] {
        for user in [&made.id, "default", &keyward.access_key_id] {
            let url = RedisUrl::parse(&keyward.redis_url).with_login(user, password);
            let refused = Client::try_connect(&url.text()).expect_err("no login");
            assert_error(&refused, "WRONGPASS");
        }
    }
    let whoami = |authorization: &str| bearer(&keyward, authorization).status;
    assert_eq!(whoami(&made.key), 200);
    assert_eq!(whoami(&made.token), 401);
    assert_eq!(whoami(&made.secret), 401);
    assert!(
        !keyward.log().contains(&made.key[30..60]),
        "no secret in the log"
    );
}

fn bearer(keyward: &Keyward, token: &str) -> keyward_e2e::Response {
    Api::bearer(&keyward.api_url, token).get("/v1/whoami")
}

/// What a credential provider of redis-py for ElastiCache does, with botocore's own signer; and a
/// signed HTTP request.
const SIGNING: &str = r#"
import os, urllib.request, urllib.parse
import botocore.auth, botocore.awsrequest, botocore.credentials, botocore.session, redis
from botocore.model import ServiceId
from botocore.signers import RequestSigner

env = os.environ
credentials = botocore.credentials.Credentials(env["KEY_ID"], env["SECRET"], env.get("TOKEN") or None)

class Provider(redis.CredentialProvider):
    def get_credentials(self):
        events = botocore.session.get_session().get_component("event_emitter")
        signer = RequestSigner(ServiceId("elasticache"), "eu-1", "elasticache", "v4", credentials, events)
        url = f"https://{env['HOST']}/?" + urllib.parse.urlencode({"Action": "connect", "User": env["NAME"]})
        request = {"method": "GET", "url": url, "body": {}, "headers": {}, "context": {}}
        signed = signer.generate_presigned_url(request, operation_name="connect", expires_in=900, region_name="eu-1")
        return env["NAME"], signed.removeprefix("https://")

client = redis.Redis(port=int(env["PORT"]), credential_provider=Provider(), decode_responses=True)
try:
    client.set("signed", "yes")
    print("redis:", client.get("signed"))
except redis.exceptions.RedisError as error:
    print("redis:", type(error).__name__)

def call(method, path, body):
    url = env["API"] + path
    request = botocore.awsrequest.AWSRequest(method=method, url=url, data=body, headers={"Content-Type": "application/json"})
    botocore.auth.SigV4Auth(credentials, "keyward", "eu-1").add_auth(request)
    sent = urllib.request.Request(url, method=method, data=body or None, headers=dict(request.headers.items()))
    try:
        return urllib.request.urlopen(sent).status
    except urllib.error.HTTPError as error:
        return error.code

print("get:", call("GET", "/v1/sts/caller_identity", b""))
print("post:", call("POST", "/v1/decide?a=b", b'{"action": "kvdb:ExecuteGet"}') != 401)
"#;

fn signed(
    keyward: &Keyward,
    id: &str,
    secret: &str,
    token: &str,
    host: &str,
    name: &str,
) -> String {
    let port = RedisUrl::parse(&keyward.redis_url).port.to_string();
    let output = python(
        SIGNING,
        &[
            ("KEY_ID", id),
            ("SECRET", secret),
            ("TOKEN", token),
            ("HOST", host),
            ("NAME", name),
            ("PORT", &port),
            ("API", &keyward.api_url),
        ],
    );
    assert_eq!(output.code, 0, "{}", output.stderr);
    output.stdout.replace('\n', " ").trim().to_owned()
}

#[test]
fn what_botocore_signs_is_taken() {
    let keyward = Keyward::dev(&[]);
    let path = "/v1/org/dev/programmatic_identity/app/access_key";
    let body = json!({ "sigv4": true, "description": "signs" });
    let made = keyward.admin().post(path, &body).success();
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    let (id, secret) = (text("access_key_id"), text("secret_access_key"));
    let good = "redis: yes get: 200 post: True";
    let refused = "redis: AuthenticationError get: 200 post: True";
    assert_eq!(signed(&keyward, &id, &secret, "", "main.dev", "app"), good);
    assert_eq!(signed(&keyward, &id, &secret, "", "main", "app"), refused);
    assert_eq!(
        signed(&keyward, &id, &secret, "", "main.other", "app"),
        refused
    );
    assert_eq!(
        signed(&keyward, &id, &secret, "", "main.dev", "admin"),
        refused
    );
    // A key whose secret was not kept signs nothing.
    let (id, secret) = (&keyward.access_key_id, &keyward.secret_access_key);
    let nothing = "redis: AuthenticationError get: 401 post: False";
    assert_eq!(signed(&keyward, id, secret, "", "main.dev", "app"), nothing);

    let session = keyward
        .app()
        .post("/v1/sts/session_token", &json!({}))
        .success();
    let made = Credentials::of(&session);
    let host = "main.dev";
    assert_eq!(
        signed(&keyward, &made.id, &made.secret, &made.token, host, "app"),
        good
    );
    // Whoever read the token on its way has not the secret.
    let stolen = signed(&keyward, &made.id, "kws_guess", &made.token, host, "app");
    assert_eq!(stolen, nothing);
    assert_eq!(
        signed(&keyward, &made.id, &made.secret, "", host, "app"),
        nothing
    );
}

#[test]
fn a_key_tells_who_uses_it() {
    let keyward = Keyward::dev(&[]);
    let path = format!(
        "/v1/org/dev/programmatic_identity/app/access_key/{}",
        keyward.access_key_id
    );
    let mut client = keyward.client();
    assert_eq!(client.call(&["SET", "k", "v"]), ok());
    let shown = keyward.admin().get(&path).success();
    assert_eq!(shown["connections"]["count"], 1, "{shown}");
    assert_eq!(shown["connections"]["sources"][0]["source"], "127.0.0.1");
    assert_eq!(shown["last_used"]["database"], "org/dev/kvdb/main");
    assert!(shown["last_used"]["command"].is_string(), "{shown}");
    drop(client);
    let idle = keyward_e2e::wait_until(Duration::from_secs(20), || {
        let shown = keyward.admin().get(&path).success();
        (shown["connections"]["count"] == 0).then_some(())
    });
    assert!(idle.is_some());
}

#[test]
fn keys_and_sessions_survive_a_restart_and_new_master_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    let (made, key) = {
        let keyward = Keyward::dev(&["--data-dir", &data]);
        let path = "/v1/org/dev/programmatic_identity/app/access_key";
        let key = keyward
            .admin()
            .post(path, &json!({ "sigv4": true }))
            .success();
        let session = keyward
            .app()
            .post("/v1/sts/session_token", &json!({}))
            .success();
        (Credentials::of(&session), key)
    };
    let rotate = |command: &str, more: &[&str]| {
        let mut program = Keyward::command();
        program
            .args(["--data-dir", &data, "admin", command])
            .args(more);
        let ended = program.output().expect("the program under test");
        assert!(
            ended.status.success(),
            "{}",
            String::from_utf8_lossy(&ended.stderr)
        );
        String::from_utf8_lossy(&ended.stdout).into_owned()
    };
    let said = rotate("rotate-master-key", &[]);
    assert!(said.starts_with("2 secrets"), "{said}");
    rotate("rotate-signing-keys", &[]);
    {
        let keyward = Keyward::dev(&["--data-dir", &data]);
        let mut client = Client::connect(&made.url(&keyward));
        assert_eq!(client.call(&["PING"]), keyward_e2e::simple("PONG"));
        let text = |name: &str| key[name].as_str().expect("a text").to_owned();
        let (id, secret) = (text("access_key_id"), text("secret_access_key"));
        let found = signed(&keyward, &id, &secret, "", "main.dev", "app");
        assert_eq!(found, "redis: yes get: 200 post: True");
    }
    rotate("rotate-signing-keys", &["--end-sessions"]);
    let keyward = Keyward::dev(&["--data-dir", &data]);
    let refused = Client::try_connect(&made.url(&keyward)).expect_err("ended");
    assert_error(&refused, "WRONGPASS");
}

#[test]
fn signing_keys_rotate_under_open_sessions() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    let keyward = Keyward::dev(&["--data-dir", &data]);
    with_role(&keyward);
    let rotate = |more: &[&str]| {
        let mut program = Keyward::command();
        program
            .args(["--data-dir", &data, "admin", "rotate-signing-keys"])
            .args(more);
        let ended = program.output().expect("the program under test");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{said}");
    };
    let first = assume(&keyward, json!({}));
    let mut open = Client::connect(&first.url(&keyward));
    assert_eq!(open.call(&["SET", "deploy:1", "x"]), ok());
    // A session lives across a rotation, open connections and new ones; the new key signs.
    rotate(&[]);
    assert_eq!(open.call(&["GET", "deploy:1"]), bulk("x"));
    let mut again = Client::connect(&first.url(&keyward));
    assert_eq!(again.call(&["GET", "deploy:1"]), bulk("x"));
    let second = assume(&keyward, json!({}));
    let mut newer = Client::connect(&second.url(&keyward));
    assert_eq!(newer.call(&["GET", "deploy:1"]), bulk("x"));
    // One ends by itself, the others go on.
    let one = format!("{ROLE}/session/{}", second.id);
    keyward.admin().delete(&one).success();
    assert_error(&newer.call(&["GET", "deploy:1"]), "NOAUTH");
    rotate(&[]);
    assert_eq!(open.call(&["GET", "deploy:1"]), bulk("x"));
    // All of them end, and what came after goes on.
    rotate(&["--end-sessions"]);
    let ended = error_text(&open.call(&["GET", "deploy:1"]));
    assert!(ended.starts_with("NOAUTH"), "{ended}");
    assert_error(&again.call(&["GET", "deploy:1"]), "NOAUTH");
    let refused = Client::try_connect(&first.url(&keyward)).expect_err("ended");
    assert_error(&refused, "WRONGPASS");
    let third = assume(&keyward, json!({}));
    let mut newest = Client::connect(&third.url(&keyward));
    assert_eq!(newest.call(&["GET", "deploy:1"]), bulk("x"));
    let mut key = keyward.client();
    assert_eq!(key.call(&["PING"]), keyward_e2e::simple("PONG"));
}

#[test]
fn lists_of_sessions_survive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    let made = {
        let mut keyward = Keyward::dev(&["--data-dir", &data]);
        with_role(&keyward);
        let made = assume(&keyward, json!({ "source_identity": "alice" }));
        let mut client = Client::connect(&made.url(&keyward));
        assert_eq!(client.call(&["SET", "deploy:1", "x"]), ok());
        keyward.signal("TERM");
        keyward.wait(Duration::from_secs(20));
        made
    };
    let keyward = Keyward::dev(&["--data-dir", &data]);
    let listed = keyward.admin().get(&format!("{ROLE}/session")).success();
    let one = &listed["items"][0];
    assert_eq!(one["id"], made.id.as_str(), "{listed}");
    assert_eq!(one["opened_by"], "org/dev/programmatic_identity/app");
    assert_eq!(one["opened_from"], "127.0.0.1");
    assert_eq!(one["source_identity"], "alice");
    assert_eq!(one["last_used"]["database"], "org/dev/kvdb/main", "{one}");
    let one = format!("{ROLE}/session/{}", made.id);
    keyward.admin().delete(&one).success();
    assert!(Client::try_connect(&made.url(&keyward)).is_err());
    let listed = keyward.admin().get(&format!("{ROLE}/session")).success();
    assert_eq!(listed["items"], json!([]));
}
