//! Questions about the whole organisation, at the command line.

use keyward_e2e::Keyward;
use serde_json::Value as Json;

const NOT_FOUND: i32 = 4;
const DENIED: i32 = 3;
const CONFLICT: i32 = 5;
const FINDINGS: i32 = 7;

#[track_caller]
fn json(keyward: &Keyward, line: &[&str]) -> Json {
    keyward.cli(&[line, &["--output", "json"]].concat()).json()
}

/// `org/dev` with a worker that reads `user:*`, and a group of which it is a member that deletes
/// them.
fn world() -> Keyward {
    let keyward = Keyward::dev(&[]);
    let run = |line: &[&str]| {
        keyward.cli(line).success();
    };
    run(&["identity", "create", "worker"]);
    run(&["group", "create", "cleaners"]);
    let reads = r#"[{"Sid":"ReadUsers","Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/main"],"ReadKeys":["user:*"]}]"#;
    run(&["trust", "create", "worker", "--policy", reads]);
    let deletes = r#"[{"Sid":"Clean","Effect":"Allow","Actions":["kvdb:ExecuteDel"],"Resources":["kvdb/*"],"Keys":["user:*"]}]"#;
    run(&["trust", "create", "group/cleaners", "--policy", deletes]);
    run(&[
        "trust",
        "create",
        "worker",
        "--trustor",
        "group/cleaners",
        "--id",
        "member",
    ]);
    keyward
}

fn identities(answer: &Json) -> Vec<String> {
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item["identity"].as_str())
        .map(|path| path.rsplit('/').next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn who_can() {
    let keyward = world();
    let ask = |line: &[&str]| json(&keyward, &[&["who-can"], line].concat());
    let has_worker = |line: &[&str]| identities(&ask(line)).contains(&"worker".to_owned());
    assert!(has_worker(&["GET", "on", "kvdb/main", "user:1"]));
    assert!(has_worker(&["GET", "on", "main"]));
    assert!(!has_worker(&["GET", "on", "main", "other"]));
    assert!(has_worker(&["DEL", "on", "main", "user:1"]));
    assert!(!has_worker(&["FLUSHALL", "on", "main"]));
    assert!(has_worker(&["ping", "on", "main"]));
    let office = r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/main"],"Conditions":{"IpAddress":{"keyward:SourceIp":"10.0.0.0/8"}}}]"#;
    keyward.cli(&["identity", "create", "office"]).success();
    keyward
        .cli(&["trust", "create", "office", "--policy", office])
        .success();
    let has_office = |context: &str| {
        let line = ["GET", "on", "main", "k", "--context", context];
        identities(&ask(&line)).contains(&"office".to_owned())
    };
    assert!(has_office("keyward:SourceIp=10.1.2.3"));
    assert!(!has_office("keyward:SourceIp=192.0.2.1"));
    let text = keyward
        .cli(&["who-can", "GET", "on", "main", "k"])
        .success();
    assert!(
        text.contains("if IpAddress keyward:SourceIp 10.0.0.0/8"),
        "{text}"
    );
    for admin in ["admin", "app"] {
        assert!(identities(&ask(&["FLUSHALL", "on", "org/dev/kvdb/main"])).contains(&admin.into()));
    }
    let nobody = ask(&["CONFIG", "SET", "on", "main"]);
    assert_eq!(identities(&nobody), [""; 0]);
    assert!(nobody["nobody_because"].as_str().is_some());

    let answer = ask(&["DEL", "on", "main"]);
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    let worker = items
        .iter()
        .find(|item| item["identity"] == "org/dev/programmatic_identity/worker");
    let way = &worker
        .map(|worker| &worker["ways"][0])
        .unwrap_or(&Json::Null);
    assert_eq!(way["chain"][1], "org/dev/group/cleaners", "{answer}");
    assert_eq!(way["keys"][0]["keys"][0], "user:*");
    let text = keyward.cli(&["who-can", "DEL", "on", "main"]).success();
    assert!(
        text.contains("keys user:*") && text.contains("(Clean)") && text.contains("group/cleaners"),
        "{text}"
    );

    let code = |line: &[&str]| keyward.cli(&[&["who-can"], line].concat()).code;
    assert_eq!(code(&["GET", "on", "nothing"]), NOT_FOUND);
    assert_eq!(code(&["GET"]), 2);
    assert_eq!(code(&["GTE", "on", "main"]), 1);
    // The application may not ask about others.
    let app = keyward_e2e::AccessKey {
        id: keyward.access_key_id.clone(),
        secret: keyward.secret_access_key.clone(),
    };
    let refused = keyward.cli_as(&app, &["who-can", "GET", "on", "main"]);
    assert_eq!(refused.code, DENIED, "{}", refused.stderr);
    let refused = keyward.cli_as(&app, &["access", "worker"]);
    assert_eq!(refused.code, NOT_FOUND, "{}", refused.stderr);
}

#[test]
fn access() {
    let keyward = world();
    let answer = json(&keyward, &["access", "worker"]);
    assert_eq!(answer["others"], Json::Array(Vec::new()), "{answer}");
    let database = &answer["databases"][0];
    assert_eq!(database["resources"][0], "org/dev/kvdb/main");
    assert_eq!(database["connects"], true);
    let groups = database["groups"].as_array().cloned().unwrap_or_default();
    let of = |risk: &str| groups.iter().find(|group| group["risk"] == risk).cloned();
    let read = of("read").unwrap_or(Json::Null);
    assert_eq!(read["way"]["keys"][0]["read_keys"][0], "user:*", "{read}");
    let delete = of("delete").unwrap_or(Json::Null);
    assert_eq!(delete["actions"][0], "kvdb:ExecuteDel", "{delete}");
    assert_eq!(of("whole_keyspace_write"), None);
    let text = keyward.cli(&["access", "worker"]).success();
    assert!(
        text.contains("kvdb/main") && text.contains("user:*"),
        "{text}"
    );
    let nothing = keyward.cli(&["access", "unauthenticated"]).success();
    assert!(nothing.contains("nothing"), "{nothing}");
    let admin = json(&keyward, &["access", "admin"]);
    assert!(
        !admin["others"].as_array().is_none_or(Vec::is_empty),
        "{admin}"
    );
}

#[test]
fn escalation() {
    let keyward = world();
    let none = json(&keyward, &["escalation", "worker"]);
    assert_eq!(none["items"], Json::Array(Vec::new()), "{none}");
    let mints = r#"[{"Sid":"Mint","Effect":"Allow","Actions":["iam:CreateAccessKey"],"Resources":["programmatic_identity/*"]}]"#;
    keyward.cli(&["identity", "create", "clerk"]).success();
    keyward
        .cli(&["trust", "create", "clerk", "--policy", mints])
        .success();
    let answer = json(&keyward, &["escalation"]);
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    let clerk: Vec<&Json> = items
        .iter()
        .filter(|item| item["identity"] == "org/dev/programmatic_identity/clerk")
        .collect();
    assert!(!clerk.is_empty(), "{answer}");
    let opened = |id: &str| {
        let path = format!("org/dev/programmatic_identity/{id}");
        clerk.iter().any(|item| item["steps"][0]["opens"] == *path)
    };
    assert!(
        opened("admin") && opened("app") && opened("worker"),
        "{answer}"
    );
    assert_eq!(clerk[0]["means"], "access_key");
    assert_eq!(
        clerk[0]["steps"][0]["needs"][0]["action"],
        "iam:CreateAccessKey"
    );
    assert_eq!(clerk[0]["steps"][0]["statements"][0]["sid"], "Mint");
    let text = keyward.cli(&["escalation", "clerk"]).success();
    assert!(
        text.contains("(Mint)") && text.contains("logs in with it"),
        "{text}"
    );
    // What only holds somewhere is told with where.
    let office = r#"[{"Effect":"Allow","Actions":["iam:CreateAccessKey"],"Resources":["programmatic_identity/admin"],
        "Conditions":{"IpAddress":{"keyward:SourceIp":"10.0.0.0/8"}}}]"#;
    keyward.cli(&["identity", "create", "porter"]).success();
    keyward
        .cli(&["trust", "create", "porter", "--policy", office])
        .success();
    let answer = json(&keyward, &["escalation", "porter"]);
    assert_eq!(
        answer["items"][0]["conditions"][0], "from an address in 10.0.0.0/8",
        "{answer}"
    );
    let text = keyward.cli(&["escalation", "porter"]).success();
    let told = "if it comes from an address in 10.0.0.0/8";
    assert!(text.contains(told), "{text}");
}

/// What an identity may do by several trusts, as rules for a server.
#[test]
fn acl_rules_of_an_identity() {
    let keyward = world();
    let answer = json(&keyward, &["acl", "export", "worker", "main"]);
    let rules = answer["rules"].as_str().unwrap_or_default();
    assert!(rules.starts_with("user worker off "), "{rules}");
    for held in ["(%R~user:*", "(~user:* resetchannels -@all +del)", "+get "] {
        assert!(rules.contains(held), "{held}: {rules}");
    }
    for lost in ["+scan", "+keys", "+flushall", "+set "] {
        assert!(!rules.contains(lost), "{lost}: {rules}");
    }
    let losses = answer["losses"].as_array().map_or(0, Vec::len);
    assert!(losses > 0, "{answer}");
    let missing = keyward.cli(&["acl", "export", "nobody", "main"]);
    assert_eq!(missing.code, NOT_FOUND);
    assert_ne!(keyward.cli(&["acl", "export", "worker"]).code, 0);
}

/// `put` creates or changes, `create` says how to change; a stored policy knows when it was written.
#[test]
fn putting_and_checking_what_is_stored() {
    let keyward = world();
    let reads = r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/main"]}]"#;
    let put = |kind: &str, id: &str| keyward.cli(&[kind, "put", id, "--policy", reads]);
    keyward.cli(&["identity", "create", "other"]).success();
    for (kind, id) in [("trust", "other"), ("policy", "reads")] {
        assert!(put(kind, id).success().contains("created"), "{kind}");
        assert!(put(kind, id).success().contains("changed"), "{kind}");
        let again = keyward.cli(&[kind, "create", id, "--policy", reads]);
        assert_eq!(again.code, CONFLICT, "{kind}");
    }
    assert_eq!(put("trust", "nobody").code, NOT_FOUND);
    let aws = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kvdb:ExecuteGet","Resource":"*"}}"#;
    let wrong = [
        "policy",
        "put",
        "reads",
        "--dialect",
        "native",
        "--policy",
        aws,
    ];
    assert_eq!(keyward.cli(&wrong).code, FINDINGS);
    let right = [
        "policy",
        "put",
        "reads",
        "--dialect",
        "aws",
        "--policy",
        aws,
    ];
    keyward.cli(&right).success();
    let stored = keyward.cli(&["policy", "check", "--stored", "reads"]);
    assert!(stored.success().contains("reads version 3: valid"));
    let url = "/v1/org/dev/policy/reads/versions/1/check";
    let answer = keyward.admin().get(url).success();
    assert!(answer["catalogue"].as_u64() > Some(1), "{answer}");
    assert_eq!(answer["dialect"], "native");
}
