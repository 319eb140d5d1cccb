//! People: their way through the pages in a real Chromium, and what the operator does for them.

use std::process::Stdio;

use keyward_e2e::{Keyward, Output, chromium, plain_node_program};
use serde_json::{Value, json};

struct World {
    keyward: Keyward,
    folder: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data").display().to_string();
        Self {
            keyward: Keyward::dev(&["--data-dir", &data]),
            folder,
        }
    }

    /// `keyward admin user …` on the machine itself.
    fn operator(&self, arguments: &[&str], input: &str) -> Output {
        use std::io::Write as _;
        let mut child = Keyward::command()
            .args(["admin", "user", "--output", "json", "--data-dir"])
            .arg(self.folder.path().join("data"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("keyward runs");
        let mut stdin = child.stdin.take().expect("standard input was kept");
        stdin.write_all(input.as_bytes()).expect("input is read");
        drop(stdin);
        let output = child.wait_with_output().expect("keyward ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

#[test]
fn bobs_way_through_the_pages() {
    let world = World::start();
    let admin = world.keyward.admin();
    let invited = admin.post(
        "/v1/org/dev/org_user",
        &json!({ "id": "bob", "email": "bob@example.com" }),
    );
    let invited = invited.success();
    let link = invited["invitation_url"].as_str().expect("a link");
    let origin = world.keyward.api_url.replace("127.0.0.1", "localhost");
    assert!(link.starts_with(&origin), "{link}");
    let browser = chromium().display().to_string();
    let pictures = std::env::var("KEYWARD_TEST_PICTURES").unwrap_or_default();
    let arguments = [&browser, &origin, link, &pictures];
    let said = plain_node_program("clients/people.mjs", &arguments).success();
    assert!(said.contains("done"), "{said}");
}

#[test]
fn the_operator_helps_people_in() {
    let world = World::start();
    let made = world.operator(&["create", "alice", "--name", "Alice"], "");
    let made = made.json();
    let link = made["setup_link"].as_str().expect("a link");
    assert!(link.contains("/ui/setup/kwu_"), "{link}");

    let password = "purple monkeys dance at dawn";
    let set = |password: &str| world.operator(&["set-password", "alice"], password);
    assert_ne!(set("short").code, 0);
    set(&format!("{password}\n")).success();
    let api = keyward_e2e::Api::anonymous(&world.keyward.api_url);
    let body = json!({ "sign_in_name": "alice", "password": password });
    let session = api.post("/v1/login", &body).success();
    assert!(
        session["token"]
            .as_str()
            .is_some_and(|token| token.starts_with("kwl_"))
    );
    let sessions = || world.operator(&["sessions", "alice"], "").success();
    assert!(sessions().contains("127.0.0.1"), "{}", sessions());
    world.operator(&["end-sessions", "alice"], "").success();
    assert_eq!(sessions(), "");
    world.operator(&["reset-factors", "alice"], "").success();

    let listed = world.operator(&["list"], "").success();
    let owner = listed.lines().find(|line| line.contains("org/dev"));
    let owner: Value = serde_json::from_str(owner.expect("the owner")).expect("JSON");
    let owner = owner["path"].as_str().expect("a path");
    world.operator(&["link", owner], "").success();
    let refused = world.operator(&["delete", owner], "");
    assert!(refused.stderr.contains("org/dev"), "{}", refused.stderr);
    world.operator(&["delete", "alice"], "").success();
    api.post("/v1/login", &body).expect_status(401);
}
