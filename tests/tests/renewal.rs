//! Client libraries whose credentials end and are renewed while their connection stays open:
//! valkey-glide by its own calls, redis-rs by a stream of credentials.

use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use keyward_e2e::{Api, Keyward, RedisUrl, python, text};
use redis::auth::{BasicAuth, StreamingCredentialsProvider};
use serde_json::{Value as Json, json};
use tokio::sync::watch;

/// Temporary credentials of the application itself.
fn session(api: &Api) -> Json {
    let body = json!({ "duration_seconds": 900 });
    api.post("/v1/sts/session_token", &body).success()
}

/// Ends a session before its time.
fn end(keyward: &Keyward, id: &str) {
    let path = format!("/v1/org/dev/programmatic_identity/app/session/{id}");
    keyward.admin().delete(&path).success();
}

/// Hands out whatever credentials there are now, and those that follow.
struct Renewed(watch::Receiver<(String, String)>);

impl StreamingCredentialsProvider for Renewed {
    fn subscribe(&self) -> Pin<Box<dyn Stream<Item = redis::RedisResult<BasicAuth>> + Send>> {
        let mut receiver = self.0.clone();
        receiver.mark_changed();
        Box::pin(futures_util::stream::unfold(
            receiver,
            |mut receiver| async {
                receiver.changed().await.ok()?;
                let (user, password) = receiver.borrow_and_update().clone();
                Some((Ok(BasicAuth::new(user, password)), receiver))
            },
        ))
    }
}

#[test]
fn redis_rs_renews_by_a_stream() {
    let keyward = Keyward::dev(&[]);
    let app = keyward.app();
    let url = RedisUrl::parse(&keyward.redis_url);
    let pair = |session: &Json| (text(session, "access_key_id"), text(session, "session_key"));
    let first = session(&app);
    let (sender, receiver) = watch::channel(pair(&first));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let client = redis::Client::open(format!("redis://{}:{}/", url.host, url.port));
        let config =
            redis::AsyncConnectionConfig::new().set_credentials_provider(Renewed(receiver));
        let client = client.expect("a client");
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await;
        let mut connection = connection.expect("a connection");
        let ask = |words: &[&str]| {
            let mut command = redis::cmd(words[0]);
            command.arg(&words[1..]);
            command
        };
        let id: i64 = ask(&["CLIENT", "ID"])
            .query_async(&mut connection)
            .await
            .expect("an id");
        let _: () = ask(&["SET", "rs", "1"])
            .query_async(&mut connection)
            .await
            .expect("set");
        // Its credentials are renewed, and the former ones end: the connection goes on.
        let second = session(&app);
        sender.send_replace(pair(&second));
        let second_id = text(&second, "access_key_id");
        let path = format!("/v1/org/dev/programmatic_identity/app/session/{second_id}");
        let is_in_use = || keyward.admin().get(&path).success()["connections"]["count"] == 1;
        for attempt in 0.. {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if is_in_use() {
                break;
            }
            assert!(attempt < 200, "it did not log in again");
        }
        end(&keyward, &text(&first, "access_key_id"));
        let value: String = ask(&["GET", "rs"])
            .query_async(&mut connection)
            .await
            .expect("get");
        let same: i64 = ask(&["CLIENT", "ID"])
            .query_async(&mut connection)
            .await
            .expect("an id");
        assert_eq!((value.as_str(), same), ("1", id));
        // Those that end without being renewed end the connection's session.
        end(&keyward, &second_id);
        let ended = ask(&["GET", "rs"])
            .query_async::<String>(&mut connection)
            .await;
        let ended = ended.expect_err("the session has ended").to_string();
        assert!(
            ended.contains("NOAUTH") || ended.contains("revoked"),
            "{ended}"
        );
    });
    drop(sender);
}

/// Session keys by `update_connection_password`, and connect tokens in ElastiCache's form that the
/// library makes and renews by itself.
const GLIDE: &str = r#"
import asyncio, base64, json, os, ssl, urllib.request
from glide import (AdvancedGlideClientConfiguration, GlideClient, GlideClientConfiguration, IamAuthConfig,
                   NodeAddress, RequestError, ServerCredentials, ServiceType, TlsAdvancedConfiguration)
from glide_shared.config import AwsCredentials

env = os.environ

def api(method, path, who, body=None):
    login = base64.b64encode(env[who].encode()).decode()
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(env["API"] + path, method=method, data=data,
        headers={"authorization": "Basic " + login, "content-type": "application/json"})
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=env["CA"])) as answer:
        return json.loads(answer.read() or b"null")

def session():
    return api("POST", "/v1/sts/session_token", "APP", {"duration_seconds": 900})

def end(session):
    api("DELETE", "/v1/org/dev/programmatic_identity/app/session/" + session["access_key_id"], "ADMIN")

def config(credentials):
    with open(env["CA"], "rb") as file:
        tls = TlsAdvancedConfiguration(root_pem_cacerts=file.read())
    return GlideClientConfiguration([NodeAddress(env["HOST"], int(env["PORT"]))], credentials=credentials,
        request_timeout=5000, use_tls=True,
        advanced_config=AdvancedGlideClientConfiguration(tls_config=tls))

async def passwords():
    first = session()
    client = await GlideClient.create(config(ServerCredentials(password=first["session_key"])))
    await client.set("glide", "1")
    number = await client.client_id()
    second = session()
    print("renewed:", await client.update_connection_password(second["session_key"], immediate_auth=True))
    end(first)
    print("goes on:", await client.get("glide"), await client.client_id() == number)
    try:
        print("a wrong one:", await client.update_connection_password("wrong", immediate_auth=True))
    except RequestError as error:
        print("a wrong one:", str(error).split(" ")[0].split(":")[0])
    print("still goes on:", await client.get("glide"))
    await client.close()

async def tokens():
    asked = 0
    async def provider():
        nonlocal asked
        asked += 1
        made = session()
        return AwsCredentials(made["access_key_id"], made["secret_access_key"], made["session_token"])
    iam = IamAuthConfig("main.dev", ServiceType.ELASTICACHE, "eu-1", refresh_interval_seconds=2,
        credential_provider=provider)
    client = await GlideClient.create(config(ServerCredentials(username="app", iam_config=iam)))
    await client.set("glide", "2")
    number = await client.client_id()
    # Every session before this moment ends; the library has renewed its own.
    before = asked
    while asked < before + 2:
        await asyncio.sleep(0.2)
    await asyncio.sleep(0.5)
    print("tokens:", await client.get("glide"), await client.client_id() == number, asked >= 3)
    await client.close()

asyncio.run(passwords())
asyncio.run(tokens())
"#;

#[test]
fn valkey_glide_renews_by_its_own_calls() {
    // It sends its connect tokens over TLS only.
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let keyward = Keyward::dev(&["--tls", "--data-dir", &data.display().to_string()]);
    let ca_file = data.join("tls-ca.pem").display().to_string();
    let (_, port) = keyward.redis_url.rsplit_once(':').expect("a port");
    let app = format!("{}:{}", keyward.access_key_id, keyward.secret_access_key);
    let admin = format!(
        "{}:{}",
        keyward.admin_access_key_id, keyward.admin_secret_access_key
    );
    let output = python(
        GLIDE,
        &[
            ("HOST", "127.0.0.1"),
            ("PORT", port.trim_end_matches("/0")),
            ("API", &keyward.api_url),
            ("CA", &ca_file),
            ("APP", &app),
            ("ADMIN", &admin),
        ],
    );
    let said = output.success();
    let expected = [
        "renewed: OK",
        "goes on: b'1' True",
        "a wrong one: WRONGPASS",
        "still goes on: b'1'",
        "tokens: b'2' True True",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{said}");
}
