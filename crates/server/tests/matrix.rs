//! Who gets which answer from which call: `matrix.txt`, which names every call.
//!
//! The rule is short: without a credential 401; what is not the caller's organisation's is not found;
//! whoever may do everything is served, whoever may read is served what reads, and everybody else is
//! refused, in the own organisation with 403 or, where a thing is looked at, with 404. What differs
//! from the rule stands in `matrix-exceptions.txt` with its reason; that list may only shrink.
//!
//! After a change of the table of calls: `KEYWARD_WRITE_MATRIX=1 cargo test -p keyward-server --test matrix`,
//! and look at what changed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use keyward_auth::AccessKeySecret;
use keyward_iam::{Change, DecisionRecord, Session, UnixMillis};
use keyward_policy::Touch;
use keyward_server::now;
use keyward_server::routes::{Endpoint, endpoints};
use serde_json::{Map, Value, json};
use support::{World, basic};

const AUDIENCE: &str = "https://kw.example/org/dev";

const MATRIX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/matrix.txt");
const EXCEPTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/matrix-exceptions.txt");

/// So many exceptions are left: lower it with every one that goes.
const MOST_EXCEPTIONS: usize = 15;

/// The columns: the person who owns the organisation, signed in; its administrator; one who may read identities and
/// policies (`IamReadOnly`), a member with `kvdb:Describe` on `kvdb/main`, the administrator of
/// another organisation, nobody, and a key that is disabled.
const IDENTITIES: [&str; 7] = [
    "owner", "admin", "reader", "member", "other", "nobody", "disabled",
];

const PASSWORD: &str = "correct horse battery staple";

/// Id of the decision that can be explained.
const DECISION: &str = "0123456789abcdef0123456789abcdef";

/// A clock that goes on by itself, so that failed logins are not slowed.
fn jumping() -> UnixMillis {
    static AHEAD: AtomicU64 = AtomicU64::new(0);
    let ahead = AHEAD.fetch_add(11_000, Ordering::Relaxed);
    UnixMillis(now().0 + ahead)
}

struct Callers {
    world: World,
    logins: BTreeMap<&'static str, String>,
    owner: RefCell<Option<String>>,
}

fn key_of(world: &World, organisation: &str, identity: &str) -> AccessKeySecret {
    let url = format!("/v1/org/{organisation}/programmatic_identity/{identity}/access_key");
    let key = world.admin("POST", &url, &json!({}));
    AccessKeySecret::parse(key["secret_access_key"].as_str().unwrap()).unwrap()
}

fn login(key: &AccessKeySecret) -> String {
    basic(key.key_id().as_str(), key.expose())
}

impl Callers {
    /// An organisation with one of everything, and another one.
    fn new() -> Self {
        let world = World::with_clock(jumping);
        let make = |method: &str, path: &str, body: Value| world.admin(method, path, &body);
        let identity = "/v1/org/dev/programmatic_identity";
        for id in ["reader", "member", "disabled", "fired"] {
            make("POST", identity, json!({ "id": id }));
        }
        make("POST", "/v1/org/dev/group", json!({ "id": "team" }));
        make(
            "POST",
            "/v1/org/dev/identity_provider",
            json!({ "id": "idp", "type": "oidc", "issuer": "https://idp.example",
                    "audiences": [AUDIENCE] }),
        );
        let change = Change::CreateOrganisationUser {
            organisation: "dev".into(),
            id: "heir".into(),
            name: None,
            user: Some("user/heir".into()),
            invitation: None,
        };
        world.control.change_as_operator(&change, now()).unwrap();
        make(
            "POST",
            "/v1/org/dev/group/team/member",
            json!({ "member": "programmatic_identity/worker", "id": "membership" }),
        );
        make(
            "POST",
            "/v1/org/dev/role",
            json!({ "id": "deployer", "max_session_seconds": 43_200 }),
        );
        make(
            "POST",
            "/v1/org/dev/org_user",
            json!({ "id": "bob", "email": "bob@example.com" }),
        );
        let reads =
            json!([{ "Effect": "Allow", "Actions": ["kvdb:@read"], "Resources": ["kvdb/main"] }]);
        make(
            "POST",
            "/v1/org/dev/policy",
            json!({ "id": "reads", "document": reads }),
        );
        make(
            "PUT",
            "/v1/org/dev/policy/reads",
            json!({ "document": reads }),
        );
        make(
            "POST",
            "/v1/org/dev/policy",
            json!({ "id": "spare", "document": reads }),
        );
        let resource = json!([{ "Effect": "Allow", "Actions": ["iam:DescribeGroup"],
                                "Identities": ["programmatic_identity/fired"] }]);
        for path in [
            "",
            "/kvdb/main",
            "/programmatic_identity/worker",
            "/group/team",
            "/role/deployer",
            "/org_user/bob",
            "/identity_provider/idp",
        ] {
            make(
                "PUT",
                &format!("/v1/org/dev{path}/resource_policy"),
                resource.clone(),
            );
        }
        let trust = |id: &str, trustee: &str, policy: Value| {
            let trustee = format!("programmatic_identity/{trustee}");
            json!({ "id": id, "trustee": trustee, "policies": [policy] })
        };
        let describe = json!([{ "Effect": "Allow", "Actions": ["kvdb:Describe"], "Resources": ["kvdb/main"] }]);
        let policy = json!({ "policy": "policy/reads" });
        for body in [
            trust("reader", "reader", json!({ "policy": "IamReadOnly" })),
            trust("member", "member", describe),
            trust("worker", "worker", policy),
        ] {
            make("POST", "/v1/org/dev/trust", body);
        }
        make("POST", "/v1/org", json!({ "id": "partner" }));
        make(
            "POST",
            "/v1/org/partner/programmatic_identity",
            json!({ "id": "boss" }),
        );
        let all = json!([[{ "Effect": "Allow", "Actions": ["*"], "Resources": ["**"] }]]);
        make(
            "POST",
            "/v1/org/partner/trust",
            json!({ "id": "boss", "trustee": "programmatic_identity/boss", "policies": all }),
        );
        // One that is ready, and one that is being restored.
        make("POST", "/v1/org/dev/kvdb", json!({ "id": "copied" }));
        let snapshots = "/v1/org/dev/kvdb/copied/snapshot";
        make("POST", snapshots, json!({ "id": "nightly" }));
        make("POST", snapshots, json!({ "id": "weekly" }));
        make(
            "POST",
            &format!("{snapshots}/weekly/restore"),
            json!({ "existing": "replace" }),
        );
        let session = json!({ "role": "role/deployer", "session_name": "session",
                              "duration_seconds": 43_200 });
        make("POST", "/v1/sts/assume_role", session);
        let worker = login(&world.worker);
        let headers = [("authorization", worker.as_str())];
        let own = world.send(&headers, "POST", "/v1/sts/session_token", "{}");
        assert_eq!(own.status, 200, "{}", own.body);
        let mut logins = BTreeMap::new();
        logins.insert("admin", login(&world.admin));
        logins.insert("reader", login(&key_of(&world, "dev", "reader")));
        logins.insert("member", login(&key_of(&world, "dev", "member")));
        logins.insert("other", login(&key_of(&world, "partner", "boss")));
        let disabled = key_of(&world, "dev", "disabled");
        let url = format!("{identity}/disabled/access_key/{}", disabled.key_id());
        make("PATCH", &url, json!({ "status": "disabled" }));
        logins.insert("disabled", login(&disabled));
        let directory = world.control.directory();
        let of_worker = directory.identity_at("org/dev/programmatic_identity/worker");
        let get = keyward_commands::action("kvdb:ExecuteGet").unwrap();
        let decision = directory.decide(
            &Session::of_identity(of_worker.unwrap()),
            get,
            "org/dev/kvdb/other",
            &Touch::None,
            now(),
        );
        assert!(!decision.is_allow());
        world.log.record(DecisionRecord {
            id: DECISION.to_owned(),
            at: now(),
            principal: "org/dev/programmatic_identity/worker".to_owned(),
            source: None,
            database: "org/dev/kvdb/other".to_owned(),
            command: "GET".to_owned(),
            keys: Vec::new(),
            decision,
        });
        for (field, body) in [
            ("sign_in_name", "owner@example.com"),
            ("password", PASSWORD),
        ] {
            let headers = [
                ("authorization", "Bearer kwo_test"),
                ("content-type", "application/json"),
            ];
            let path = format!("/v1/operator/user/owner/{field}");
            let body = json!({ field: body }).to_string();
            let answer = world.send(&headers, "PUT", &path, &body);
            assert!(answer.status < 300, "{}", answer.body);
        }
        // What made the other organisation has no more to say in it.
        make("DELETE", "/v1/org/partner/trust/creator", Value::Null);
        Self {
            world,
            logins,
            owner: RefCell::default(),
        }
    }

    /// A login session of the owner; for what it does to itself one of now, since that may be
    /// wanted, or end it.
    fn owner(&self, path: &str) -> String {
        let of_itself = path.starts_with("/v1/user/") || path.starts_with("/v1/logout");
        if let Some(login) = self.owner.take().filter(|_| !of_itself) {
            return self.owner.borrow_mut().insert(login).clone();
        }
        let login = self.sign_in();
        if !of_itself {
            self.owner.replace(Some(login.clone()));
        }
        login
    }

    fn sign_in(&self) -> String {
        let body = json!({ "sign_in_name": "owner@example.com", "password": PASSWORD });
        let headers = [("content-type", "application/json")];
        let answer = self
            .world
            .send(&headers, "POST", "/v1/login", &body.to_string());
        let token = answer.body["token"].as_str();
        format!(
            "Bearer {}",
            token.unwrap_or_else(|| panic!("{}", answer.body))
        )
    }

    fn ask(&self, identity: &str, method: &str, path: &str, body: &str) -> support::Answer {
        let mut headers = vec![("content-type", "application/json")];
        let owner = (identity == "owner").then(|| self.owner(path));
        if let Some(login) = owner.as_ref().or(self.logins.get(identity)) {
            headers.push(("authorization", login));
        }
        let revision = || self.world.control.directory().revision();
        let before = revision();
        let answer = self.world.send(&headers, method, path, body);
        let of_itself = identity == "owner"
            && (path.starts_with("/v1/user/") || path.starts_with("/v1/logout"));
        assert!(
            of_itself || revision() == before,
            "{identity}: {method} {path}: a dry run changed something"
        );
        answer
    }
}

/// One call of an endpoint that somebody who may do everything is served with. Nothing is changed.
struct Sample {
    method: String,
    path: String,
    body: String,
}

fn id_of(kind: &str) -> &'static str {
    match kind {
        "kvdb" => "main",
        "programmatic_identity" => "worker",
        "group" => "team",
        "role" => "deployer",
        "org_user" => "bob",
        "policy" => "reads",
        "identity_provider" => "idp",
        "decision" => DECISION,
        "system" => "kvdb-read-only",
        "trust" => "worker",
        "user" => "owner",
        _ => "x",
    }
}

fn value_of(endpoint: &Endpoint, name: &str, kind: &str) -> Value {
    let document =
        json!([{ "Effect": "Allow", "Actions": ["kvdb:@read"], "Resources": ["kvdb/main"] }]);
    match name {
        "id" => json!("fresh"),
        "name" => json!("Fresh"),
        "trustee" | "member" => json!("programmatic_identity/fired"),
        "principal" => json!("org/dev/programmatic_identity/worker"),
        "request" => json!({ "command": ["GET", "k"], "database": "org/dev/kvdb/main" }),
        "document" => document,
        "policies" => json!([document]),
        "role" => json!("org/dev/role/deployer"),
        "type" if endpoint.path.contains("identity_provider") => json!("oidc"),
        "issuer" => json!("https://idp.example"),
        "audiences" => json!([AUDIENCE]),
        "session_name" => json!("session"),
        "duration_seconds" => json!(900),
        "before" => json!(1),
        "policy" if endpoint.path.ends_with("attach") => json!("KvdbReadOnly"),
        "policy" => json!("policy/reads"),
        "owner" => json!("user/heir"),
        "status" => json!("disabled"),
        "version" => json!(1),
        "type" => json!("embedded"),
        "tags" => json!({ "team": "x" }),
        "email" => json!("bob@example.com"),
        "sign_in_name" if endpoint.path.starts_with("/v1/user/") => json!("owner@example.com"),
        "database" => json!("kvdb/main"),
        "existing" => json!("refuse"),
        _ => match kind.trim_end_matches('?') {
            "array" => json!([]),
            "boolean" => json!(true),
            "integer" => json!(1),
            "object" => json!({}),
            _ => json!("x"),
        },
    }
}

fn sample(world: &World, endpoint: &Endpoint) -> Sample {
    let mut segments: Vec<String> = Vec::new();
    for segment in endpoint.path.split('/') {
        let before = segments.last().cloned().unwrap_or_default();
        let value = match segment {
            "{organisation}" => "dev".to_owned(),
            "{key_id}" => world.worker.key_id().to_string(),
            "{version}" => "1".to_owned(),
            "{id}" if endpoint.path.contains("/snapshot") => "copied".to_owned(),
            "{snapshot}" if endpoint.path.contains("{job}") => "weekly".to_owned(),
            "{snapshot}" => "nightly".to_owned(),
            "{job}" => {
                let jobs = world.admin("GET", &segments.join("/"), &Value::Null);
                jobs["items"][0]["id"].as_str().unwrap().to_owned()
            }
            "{kind}" => "programmatic_identity".to_owned(),
            "{member}" => "worker".to_owned(),
            "{session}" if endpoint.path.starts_with("/v1/org/") => {
                let sessions = world.admin("GET", &segments.join("/"), &Value::Null);
                sessions["items"][0]["id"].as_str().unwrap().to_owned()
            }
            // One that nothing carries.
            "{id}" if endpoint.method == "DELETE" && endpoint.path.ends_with("/policy/{id}") => {
                "spare".to_owned()
            }
            segment if segment.starts_with('{') => id_of(&before).to_owned(),
            segment => segment.to_owned(),
        };
        segments.push(value);
    }
    let last = endpoint.path.rsplit('/').next().unwrap();
    let mut query = Vec::new();
    match last {
        "access" => query.push("identity=programmatic_identity/worker"),
        "acl_rules" => query.push("identity=programmatic_identity/worker&database=kvdb/main"),
        "entities" if endpoint.path.contains("/system/") => query.push("organisation=dev"),
        "who_can" => query.push("command=GET&resource=kvdb/main&key=k"),
        _ => {}
    }
    let method = endpoint.method.to_string();
    if method == "DELETE" && endpoint.path.ends_with("/kvdb/{id}") {
        query.push("confirm=main");
    }
    if endpoint.query.iter().any(|(name, ..)| *name == "cascade") {
        query.push("cascade=true");
    }
    if endpoint.changes() && !endpoint.at_once {
        query.push("dry_run=true");
    }
    let mut path = segments.join("/");
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let body = match endpoint.body {
        [] => String::new(),
        [("", ..)] => json!([{ "Effect": "Allow", "Actions": ["iam:DescribeGroup"],
                               "Identities": ["programmatic_identity/worker"] }])
        .to_string(),
        fields => {
            let optional = fields.iter().all(|(_, kind, _)| kind.ends_with('?'));
            // A provider of this type is nothing without them.
            let provider = endpoint.path.contains("identity_provider") && fields.len() > 5;
            let wanted = fields.iter().enumerate().filter(|(at, (name, kind, _))| {
                !kind.ends_with('?')
                    || (optional && *at == 0)
                    || (provider && ["issuer", "audiences"].contains(name))
            });
            let object: Map<String, Value> = wanted
                .map(|(_, (name, kind, _))| ((*name).to_owned(), value_of(endpoint, name, kind)))
                .collect();
            Value::Object(object).to_string()
        }
    };
    Sample { method, path, body }
}

/// What the rule says; none where it says nothing.
fn rule(endpoint: &Endpoint, identity: &str) -> Option<u16> {
    if endpoint.decided.starts_with("nothing") && !endpoint.decided.contains("credential") {
        return (endpoint.method == "GET" && !endpoint.path.starts_with("/ui/")).then_some(200);
    }
    if ["nobody", "disabled"].contains(&identity) {
        return Some(401);
    }
    if endpoint.decided.starts_with("nothing") {
        return None;
    }
    let served = if endpoint.changes() {
        200
    } else {
        endpoint.status
    };
    let reads = endpoint.method == "GET";
    if endpoint.path.starts_with("/v1/user/{id}") {
        // A person is nobody's but its own; what it changes of itself has tests of its own.
        return match identity {
            "owner" => reads.then_some(200),
            _ => Some(404),
        };
    }
    if endpoint.decided.ends_with("by the token") {
        // Whoever comes with it, the token alone counts, and that of the sample is none.
        return Some(401);
    }
    if endpoint.decided.contains(" each ") && reads && !endpoint.path.contains("{organisation}") {
        // A list of what is decided one by one may have nothing in it.
        return Some(200);
    }
    let of_organisation = endpoint.path.contains("{organisation}");
    Some(match identity {
        "owner" | "admin" => served,
        "reader" if reads && !endpoint.path.contains("/kvdb") => 200,
        // A resource policy is a policy, whatever it is on.
        "reader" if reads && endpoint.path.ends_with("resource_policy") => 200,
        "member" if reads && endpoint.path.ends_with("/kvdb/{id}") => 200,
        "member" if reads && endpoint.path.ends_with("/kvdb/{id}/tags") => 200,
        "member" if reads && endpoint.path.ends_with("/kvdb/{id}/health") => 200,
        "other" if of_organisation => 404,
        _ if reads && !endpoint.list => 404,
        _ => 403,
    })
}

#[test]
fn every_call_answers_everybody_as_the_matrix_says() {
    let callers = Callers::new();
    let mut lines = Vec::new();
    let mut exceptions = Vec::new();
    for endpoint in endpoints() {
        let sample = sample(&callers.world, &endpoint);
        let mut line = format!("{:6} {}", sample.method, endpoint.path);
        for identity in IDENTITIES {
            let answer = callers.ask(identity, &sample.method, &sample.path, &sample.body);
            let what = format!("{identity}: {} {}", sample.method, sample.path);
            assert!(answer.status < 500, "{what}: {}", answer.body);
            if answer.status >= 400 && sample.path.starts_with("/v1/") {
                assert_eq!(answer.kind, "application/problem+json", "{what}");
                assert_eq!(answer.body["status"], json!(answer.status), "{what}");
                for field in ["type", "title", "detail", "code", "request_id"] {
                    assert!(answer.body[field].is_string(), "{what}: {field}");
                }
            }
            if answer.status == 422 {
                eprintln!("{what}: {}", answer.body);
            }
            line += &format!(" {}", answer.status);
            if rule(&endpoint, identity).is_some_and(|expected| expected != answer.status) {
                exceptions.push(format!(
                    "{} {} {identity} {}",
                    sample.method, endpoint.path, answer.status
                ));
            }
        }
        lines.push(line);
    }
    let head = format!("# call, then the answers to: {}\n", IDENTITIES.join(", "));
    let text = format!("{head}{}\n", lines.join("\n"));
    let known = std::fs::read_to_string(EXCEPTIONS).unwrap_or_default();
    let reasons: BTreeMap<&str, &str> = known
        .lines()
        .filter_map(|line| line.split_once(" # "))
        .collect();
    if std::env::var_os("KEYWARD_WRITE_MATRIX").is_some() {
        std::fs::write(MATRIX, &text).unwrap();
        let listed = exceptions.iter().map(|line| {
            let reason = reasons.get(line.as_str()).unwrap_or(&"TODO: why");
            format!("{line} # {reason}\n")
        });
        std::fs::write(EXCEPTIONS, listed.collect::<String>()).unwrap();
        return;
    }
    let checked_in = std::fs::read_to_string(MATRIX).unwrap_or_default();
    for (found, expected) in text.lines().zip(checked_in.lines()) {
        assert_eq!(found, expected, "see the head of matrix.rs");
    }
    assert_eq!(
        text.lines().count(),
        checked_in.lines().count(),
        "a call is missing in matrix.txt: see the head of matrix.rs"
    );
    let listed: Vec<&str> = reasons.keys().copied().collect();
    for line in &exceptions {
        assert!(listed.contains(&line.as_str()), "not the rule: {line}");
    }
    for line in &listed {
        assert!(
            exceptions.iter().any(|e| e == line),
            "no exception any more: {line}"
        );
    }
    assert!(
        exceptions.len() <= MOST_EXCEPTIONS,
        "{} exceptions: their list may only shrink",
        exceptions.len()
    );
    assert!(!known.contains("TODO"), "an exception needs its reason");
}

/// The answer of a call on a thing that is there and may not be seen is that of one that is not.
#[test]
fn what_may_not_be_seen_answers_like_what_is_not_there() {
    let callers = Callers::new();
    for endpoint in endpoints() {
        if !endpoint.path.contains("{organisation}") {
            continue;
        }
        let sample = sample(&callers.world, &endpoint);
        let absent = sample.path.replacen("/org/dev", "/org/void", 1);
        let there = callers.ask("other", &sample.method, &sample.path, &sample.body);
        let gone = callers.ask("other", &sample.method, &absent, &sample.body);
        let what = format!("{} {}", sample.method, sample.path);
        assert_eq!(
            there.status, gone.status,
            "{what}: {} {}",
            there.body, gone.body
        );
        if there.status < 400 {
            continue;
        }
        let masked = |answer: &support::Answer| {
            let mut body = answer.body.clone();
            body["request_id"] = Value::Null;
            body.to_string().replace("org/void", "org/dev")
        };
        assert_eq!(masked(&there), masked(&gone), "{what}");
        let names = |answer: &support::Answer| {
            let names = answer.headers.keys().map(ToString::to_string);
            // Whether the connection stays open is the server's own affair.
            names
                .filter(|name| name != "connection")
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&there), names(&gone), "{what}");
    }
}

/// Every call but those that say why not names an action of the catalogue.
#[test]
fn every_call_has_an_action() {
    for endpoint in endpoints() {
        let decided = endpoint.decided;
        let has = decided
            .split([' ', ',', ';'])
            .any(|word| keyward_commands::action(word).is_some());
        let open = ["nothing", "what shows"];
        assert!(
            has || open.iter().any(|word| decided.starts_with(word)),
            "{} {}: {decided}",
            endpoint.method,
            endpoint.path
        );
    }
}
