//! Tokens of a real OpenID provider at the API and at the gateway.

use keyward_e2e::{Api, Client, Keyward, OidcProvider, RedisUrl, error_text, node, ok, python};
use serde_json::{Value as Json, json};

const ROLE: &str = "org/dev/role/deployer";

/// A deployment with a provider, and the role `deployer`, which may read and write `kvdb/main`.
struct Deployment {
    provider: OidcProvider,
    keyward: Keyward,
    admin: Api,
    audience: String,
}

impl Deployment {
    fn start() -> Self {
        let provider = OidcProvider::start(&[]);
        let keyward = Keyward::dev(&[]);
        let admin = keyward.admin();
        let audience = format!("{}/org/dev", keyward.api_url);
        admin
            .post("/v1/org/dev/role", &json!({ "id": "deployer" }))
            .success();
        let may = json!({ "id": "deployer-may", "trustee": "role/deployer", "policies": [[
            { "Effect": "Allow", "Actions": ["kvdb:@read", "kvdb:ExecuteSet"],
              "Resources": ["kvdb/main"] },
        ]] });
        admin.post("/v1/org/dev/trust", &may).success();
        let made = Self {
            provider,
            keyward,
            admin,
            audience,
        };
        made.provider_named("ci", json!({ "shared": true }));
        made
    }

    fn provider_named(&self, id: &str, more: Json) {
        let mut body = json!({ "id": id, "type": "oidc", "issuer": self.provider.issuer,
                               "audiences": [self.audience] });
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        self.admin
            .post("/v1/org/dev/identity_provider", &body)
            .success();
    }

    fn trust(&self, id: &str, provider: &str, conditions: &Json) -> keyward_e2e::Response {
        let body = json!({ "id": id, "kind": "assumable", "trustor": "role/deployer",
                           "trustee": format!("identity_provider/{provider}"),
                           "conditions": conditions });
        self.admin.post("/v1/org/dev/trust", &body)
    }

    fn aud(&self) -> Json {
        json!({ "StringEquals": { "keyward:Token/aud": self.audience } })
    }

    fn assume(&self, token: &str) -> keyward_e2e::Response {
        let body = json!({ "role": ROLE, "token": token });
        let anybody = Api::anonymous(&self.keyward.api_url);
        anybody.post("/v1/sts/assume_role_with_web_identity", &body)
    }

    /// A login at the gateway with a token.
    fn login(&self, user: &str, token: &str) -> String {
        let mut client = self.keyward.stranger();
        let answer = client.call(&["AUTH", user, token]);
        if answer == ok() {
            return "OK".to_owned();
        }
        error_text(&answer)
    }

    fn url(&self, user: &str, password: &str) -> String {
        RedisUrl::parse(&self.keyward.redis_url)
            .with_login(user, password)
            .text()
    }
}

#[test]
fn github_actions() {
    let it = Deployment::start();
    // What would let everybody in is refused when it is written.
    let refused = it.trust("open", "ci", &it.aud());
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(
        refused.text.contains("keyward:Token/sub"),
        "{}",
        refused.text
    );
    let mut conditions = it.aud();
    conditions["StringLike"] = json!({ "keyward:Token/sub": "repo:acme/app:ref:refs/heads/*" });
    it.trust("github", "ci", &conditions).success();

    let main = it.provider.token("github-main", &it.audience);
    let credentials = it.assume(&main).success();
    assert_eq!(credentials["principal"], ROLE);
    assert_eq!(credentials["subject"], "repo:acme/app:ref:refs/heads/main");
    // With the token itself, and with the session key that it gave.
    let key = credentials["session_key"].as_str().expect("a key");
    let id = credentials["access_key_id"].as_str().expect("an id");
    for (user, password) in [
        ("deployer", main.as_str()),
        ("oidc", &main),
        ("", &main),
        (id, key),
    ] {
        let mut client = it.keyward.stranger();
        let login = match user {
            "" => client.call(&["AUTH", password]),
            user => client.call(&["AUTH", user, password]),
        };
        assert_eq!(login, ok(), "{user}");
        assert_eq!(client.call(&["SET", "k", "v"]), ok());
        let denied = error_text(&client.call(&["FLUSHALL"]));
        assert!(denied.starts_with("NOPERM"), "{denied}");
    }
    for (workload, audience) in [
        ("github-stranger", it.audience.as_str()),
        ("github-pull-request", &it.audience),
        ("github-main", "https://other.example"),
    ] {
        let token = it.provider.token(workload, audience);
        assert_eq!(it.assume(&token).status, 403, "{workload}");
        let refused = it.login("deployer", &token);
        assert!(refused.starts_with("WRONGPASS"), "{workload}: {refused}");
    }
    // Forged ones.
    let parts = main.split('.').collect::<Vec<_>>();
    let stranger = it.provider.token("github-stranger", &it.audience);
    let other = stranger.split('.').collect::<Vec<_>>();
    for forged in [
        format!("{}.{}.{}", other[0], parts[1], other[2]),
        format!("eyJhbGciOiJub25lIn0.{}.", parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
    ] {
        assert!(it.login("deployer", &forged).starts_with("WRONGPASS"));
        assert!([401, 403].contains(&it.assume(&forged).status));
    }
    // What the gateway opened is listed with whose token it was, and ended: for good.
    let other = it.provider.token("github-main", &it.audience);
    let mut ending = it.keyward.stranger();
    assert_eq!(ending.call(&["AUTH", "deployer", &other]), ok());
    let mut same = it.keyward.stranger();
    assert_eq!(same.call(&["AUTH", "deployer", &other]), ok());
    let listed = it.admin.get("/v1/org/dev/role/deployer/session").success();
    let listed = listed["items"].as_array().expect("a list").clone();
    let twice = listed.iter().find(|one| one["connections"]["count"] == 2);
    let twice = twice.expect("one session with both connections");
    assert_eq!(twice["token"]["issuer"], it.provider.issuer.as_str());
    assert_eq!(
        twice["token"]["subject"],
        "repo:acme/app:ref:refs/heads/main"
    );
    assert!(twice["token"]["id"].is_string(), "{twice}");
    assert_eq!(twice["opened_from"], "127.0.0.1");
    assert_eq!(twice["opened_by"], "org/dev/identity_provider/ci");
    let path = twice["path"].as_str().expect("a path");
    it.admin.delete(&format!("/v1/{path}")).success();
    for client in [&mut ending, &mut same] {
        let ended = error_text(&client.call(&["GET", "k"]));
        assert!(ended.starts_with("NOAUTH"), "{ended}");
    }
    assert!(it.login("deployer", &other).starts_with("WRONGPASS"));
    assert_eq!(it.login("deployer", &main), "OK");
    // An open connection ends with the trust.
    let mut open = it.keyward.stranger();
    assert_eq!(open.call(&["AUTH", "deployer", &main]), ok());
    assert_eq!(open.call(&["SET", "k", "v"]), ok());
    it.admin.delete("/v1/org/dev/trust/github").success();
    let ended = error_text(&open.call(&["GET", "k"]));
    assert!(ended.starts_with("NOAUTH"), "{ended}");
    assert!(it.login("deployer", &main).starts_with("WRONGPASS"));
}

#[test]
fn gitlab_and_kubernetes() {
    let it = Deployment::start();
    it.provider_named("cluster", json!({}));
    let mut gitlab = it.aud();
    gitlab["StringEquals"]["keyward:Token/project_path"] = json!("acme/app");
    gitlab["StringEquals"]["keyward:Token/ref_protected"] = json!("true");
    gitlab["StringLike"] = json!({ "keyward:Token/sub": "project_path:acme/app:*" });
    it.trust("gitlab", "ci", &gitlab).success();
    let mut cluster = it.aud();
    cluster["StringEquals"]["keyward:Token/kubernetes.io.namespace"] = json!("shop");
    cluster["StringEquals"]["keyward:Token/kubernetes.io.serviceaccount.name"] = json!("orders");
    it.trust("cluster", "cluster", &cluster).success();
    for (workload, opens) in [
        ("gitlab", true),
        ("kubernetes", true),
        ("gitlab-unprotected", false),
        ("github-main", false),
    ] {
        let token = it.provider.token(workload, &it.audience);
        assert_eq!(it.login("deployer", &token) == "OK", opens, "{workload}");
        let told = it.admin.post(
            "/v1/org/dev/identity_provider/ci/test_token",
            &json!({ "token": token }),
        );
        let told = told.success();
        assert_eq!(told["verified"], true, "{told}");
        let role = &told["roles"][0];
        assert_eq!(role["lets_in"], json!(workload == "gitlab"), "{told}");
        if workload == "gitlab-unprotected" {
            let reason = role["reason"].as_str().expect("a reason");
            assert!(reason.contains("ref_protected"), "{reason}");
        }
    }
}

#[test]
fn a_token_that_several_roles_take_must_name_one() {
    let it = Deployment::start();
    it.provider_named("own", json!({}));
    it.admin
        .post("/v1/org/dev/role", &json!({ "id": "reader" }))
        .success();
    let mapping = json!([{ "claim": "kubernetes.io.namespace", "values": ["shop"],
                           "to": ["role/deployer", "role/reader"] }]);
    it.admin
        .send(
            "PATCH",
            "/v1/org/dev/identity_provider/own",
            Some(&json!({ "mappings": mapping })),
        )
        .success();
    let token = it.provider.token("kubernetes", &it.audience);
    assert!(it.login("oidc", &token).contains("several roles"));
    assert!(it.login("", &token).contains("several roles"));
    assert_eq!(it.login("deployer", &token), "OK");
    assert_eq!(it.login("deployer.main", &token), "OK");
    assert_eq!(it.login("deployer.main.dev", &token), "OK");
    assert!(it.login("nobody", &token).starts_with("WRONGPASS"));
    let gone = it.admin.send(
        "PATCH",
        "/v1/org/dev/identity_provider/own",
        Some(&json!({ "mappings": [] })),
    );
    gone.success();
    assert!(it.login("deployer", &token).starts_with("WRONGPASS"));
}

#[test]
fn client_libraries_log_in_with_tokens() {
    let it = Deployment::start();
    let mut conditions = it.aud();
    conditions["StringLike"] = json!({ "keyward:Token/sub": "repo:acme/app:*" });
    it.trust("github", "ci", &conditions).success();
    let token = it.provider.token("github-main", &it.audience);
    let url = it.url("deployer", "x");
    let (host, port) = {
        let url = RedisUrl::parse(&url);
        (url.host.clone(), url.port.to_string())
    };
    let variables = [("HOST", host.as_str()), ("PORT", &port), ("TOKEN", &token)];
    let script = r#"
import os, redis
class Provider(redis.CredentialProvider):
    asked = 0
    def get_credentials(self):
        Provider.asked += 1
        return "deployer", os.environ["TOKEN"]
client = redis.Redis(os.environ["HOST"], int(os.environ["PORT"]), credential_provider=Provider(), decode_responses=True)
client.set("py", "1")
connection = client.connection_pool.get_connection()
connection.send_command("AUTH", "deployer", os.environ["TOKEN"])
print(connection.read_response(), client.get("py"))
connection.disconnect()
print(client.get("py"), Provider.asked >= 2)
"#;
    assert_eq!(python(script, &variables).success(), "OK 1\n1 True");
    let script = r"
const Redis = require('ioredis');
const client = new Redis({ host: process.env.HOST, port: +process.env.PORT,
    username: 'deployer', password: process.env.TOKEN });
(async () => {
    await client.set('js', '2');
    console.log(await client.call('AUTH', 'deployer', process.env.TOKEN), await client.get('js'));
    client.disconnect();
})();
";
    assert_eq!(node(script, &variables).success(), "OK 2");
    let mut client = Client::connect(&it.url("deployer", &token));
    assert_eq!(client.call(&["SET", "rs", "3"]), ok());
}

/// Who waits for the keys of an issuer is told in time, and nobody else waits.
#[test]
fn an_issuer_that_never_answers() {
    use base64::Engine as _;
    use std::time::{Duration, Instant};

    let it = Deployment::start();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let issuer = format!("http://{}", silent.local_addr().expect("an address"));
    // Connections are taken, kept, and left without an answer.
    std::thread::spawn(move || silent.incoming().collect::<Vec<_>>());
    let body = json!({ "id": "silent", "type": "oidc", "issuer": issuer,
                       "audiences": [it.audience] });
    it.admin
        .post("/v1/org/dev/identity_provider", &body)
        .success();
    it.trust("silent", "silent", &it.aud()).success();
    let part =
        |json: Json| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json.to_string());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs();
    let claims =
        json!({ "iss": issuer, "sub": "x", "aud": it.audience, "iat": now, "exp": now + 300 });
    let header = json!({ "alg": "RS256", "kid": "k" });
    let token = format!("{}.{}.AAAA", part(header), part(claims));

    let mut other = it.keyward.client();
    let mut waiting = it.keyward.stranger();
    waiting.send(&["AUTH", "deployer", &token]);
    let since = Instant::now();
    for _ in 0..50 {
        let asked = Instant::now();
        assert_eq!(other.call(&["SET", "k", "v"]), ok());
        assert!(asked.elapsed() < Duration::from_secs(3));
    }
    let told = error_text(&waiting.read());
    assert!(told.starts_with("ERR keyward:"), "{told}");
    assert!(
        since.elapsed() < Duration::from_secs(9),
        "{:?}",
        since.elapsed()
    );
    // The API says so, too, and answers others meanwhile.
    let asked = Instant::now();
    assert_eq!(it.assume(&token).status, 503);
    assert!(
        asked.elapsed() < Duration::from_secs(9),
        "{:?}",
        asked.elapsed()
    );
    it.keyward.cli(&["whoami"]).success();
}
