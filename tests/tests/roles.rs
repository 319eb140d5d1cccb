//! Credentials of a role for other programs: `credential-process`, `env`, `connect --role`.

use keyward_e2e::{AccessKey, Client, Keyward, assert_error, ok, text};
use serde_json::Value as Json;

/// A key of an identity, made by the administrator.
fn key(keyward: &Keyward, organisation: &str, identity: &str) -> AccessKey {
    let made = keyward
        .cli(&[
            "-O",
            organisation,
            "key",
            "create",
            identity,
            "--output",
            "json",
        ])
        .json();
    AccessKey::shown(&made)
}

#[test]
fn credentials_of_a_role_for_other_programs() {
    let keyward = Keyward::dev(&[]);
    let run = |line: &[&str]| keyward.cli(line).success();
    run(&["role", "create", "deployer"]);
    run(&[
        "trust",
        "create",
        "role/deployer",
        "--policy",
        r#"[{"Effect":"Allow","Actions":["kvdb:Execute*"],"Resources":["kvdb/main"]}]"#,
    ]);
    run(&["identity", "create", "ci"]);
    run(&[
        "trust",
        "create",
        "ci",
        "--trustor",
        "role/deployer",
        "--id",
        "ci-deploys",
    ]);
    let ci = key(&keyward, "dev", "ci");
    let as_ci = |line: &[&str]| keyward.cli_as(&ci, line);

    let process = as_ci(&["credential-process", "--role", "deployer"]).json();
    assert_eq!(process["Version"], 1);
    for field in [
        "AccessKeyId",
        "SecretAccessKey",
        "SessionToken",
        "Expiration",
    ] {
        assert!(process[field].is_string(), "{field}");
    }
    // Without a role they are one's own, for a while: they can sign though the key's secret is not
    // kept for that.
    let own = as_ci(&["credential_process", "--duration-seconds", "900"]).json();
    for field in ["SessionToken", "Expiration"] {
        assert!(own[field].is_string(), "{field}");
    }
    // What limits a role's session would limit nothing.
    let policy = r#"[{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/main"]}]"#;
    let wide = as_ci(&["connect", "main", "--policy", policy, "--", "GET", "k"]);
    assert_eq!(wide.code, 2);
    let set = as_ci(&[
        "env",
        "--role",
        "deployer",
        "--database",
        "main",
        "--output",
        "json",
    ])
    .json();
    let mut client = Client::connect(&text(&set, "REDIS_URL"));
    assert_eq!(client.call(&["SET", "k", "v"]), ok());
    let lines = as_ci(&["env", "--role", "deployer"]).success();
    for name in ["KEYWARD_SESSION_KEY", "AWS_SESSION_TOKEN", "KEYWARD_URL"] {
        assert!(lines.contains(&format!("export {name}='")), "{name}");
    }
    // The variables are credentials of this program, too.
    let mut command = Keyward::command();
    for name in [
        "KEYWARD_URL",
        "KEYWARD_ACCESS_KEY_ID",
        "KEYWARD_SESSION_KEY",
    ] {
        command.env(name, text(&set, name));
    }
    command.args(["sts", "get-caller-identity", "--output", "json"]);
    let who = command.output().expect("keyward runs");
    let who: Json = serde_json::from_slice(&who.stdout).expect("JSON");
    assert_eq!(who["principal"], "org/dev/role/deployer");
    let said = as_ci(&["connect", "main", "--role", "deployer", "--", "GET", "k"]).success();
    assert_eq!(said, "v");

    run(&["session", "revoke-before", "role/deployer"]);
    assert_error(&client.call(&["GET", "k"]), "NOAUTH");
}
