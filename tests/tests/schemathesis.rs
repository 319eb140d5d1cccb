//! The API, called by schemathesis as its own document says, and not as it says.
//!
//! A few examples of each call, always the same ones: nothing fails inside Keyward, and every answer
//! is one that the document has. As dry runs by the administrator, as a person on her own account,
//! as a stranger who signs in, and for real on a server that is thrown away. `KEYWARD_FUZZ_EXAMPLES`
//! asks for more of them, `KEYWARD_FUZZ_SEED` for others.

use keyward_e2e::{Api, Keyward, python};
use serde_json::json;

/// Examples of each call.
const EXAMPLES: &str = "4";

const RUN: &str = r#"
import os, pathlib, subprocess, sys, tempfile
with tempfile.TemporaryDirectory() as folder:
    config = pathlib.Path(folder, "schemathesis.toml")
    config.write_text("[parameters]\n" + os.environ["PARAMETERS"])
    answer = subprocess.run([
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run",
        os.environ["API"] + "/openapi.json", "--url", os.environ["API"],
        "--header", "Authorization: " + os.environ["LOGIN"], "--phases", "examples,fuzzing",
        "--max-examples", os.environ["EXAMPLES"], "--seed", os.environ["SEED"],
        "--generation-database", "none", "--no-color",
        os.environ["WHICH"], os.environ["PATHS"],
        "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,"
        "response_schema_conformance,allow_header_conformance",
    ], cwd=folder, capture_output=True, text=True)
text = answer.stdout.replace(os.environ["LOGIN"], "[login]")
print(text[-12000:])
print(answer.stderr[-2000:])
sys.exit(answer.returncode)
"#;

/// Which calls are made, and by whom.
struct Walk<'a> {
    /// The `Authorization` header.
    login: &'a str,
    /// `--include-path-regex` or `--exclude-path-regex`, and the expression.
    which: (&'a str, &'a str),
    /// Values of parameters, in TOML.
    parameters: &'a str,
    /// Examples of each call.
    examples: &'a str,
}

impl Walk<'_> {
    #[track_caller]
    fn on(&self, keyward: &Keyward) {
        let variable = |name: &str, usual: &str| std::env::var(name).unwrap_or(usual.to_owned());
        let (which, paths) = self.which;
        python(
            RUN,
            &[
                ("API", &keyward.api_url),
                ("LOGIN", self.login),
                ("WHICH", which),
                ("PATHS", paths),
                ("PARAMETERS", self.parameters),
                (
                    "EXAMPLES",
                    &variable("KEYWARD_FUZZ_EXAMPLES", self.examples),
                ),
                ("SEED", &variable("KEYWARD_FUZZ_SEED", "2026")),
            ],
        )
        .success();
    }
}

fn administrator(keyward: &Keyward) -> String {
    use base64::Engine as _;
    let pair = format!(
        "{}:{}",
        keyward.admin_access_key_id, keyward.admin_secret_access_key
    );
    let pair = base64::engine::general_purpose::STANDARD.encode(pair);
    format!("Basic {pair}")
}

/// Calls that no administrator makes: pages, and signing in.
const OTHERS: &str = "^/(ui|v1/login)";

#[test]
fn every_answer_is_one_that_the_document_has() {
    let keyward = Keyward::dev(&[]);
    Walk {
        login: &administrator(&keyward),
        which: ("--exclude-path-regex", OTHERS),
        parameters: "\"path.organisation\" = \"dev\"\n\"query.dry_run\" = true\n",
        examples: EXAMPLES,
    }
    .on(&keyward);
    // It still serves.
    keyward.cli(&["whoami"]).success();
}

/// Whatever is made, changed and deleted, for real: the server goes on.
#[test]
fn what_is_done_for_real_is_answered_as_the_document_says() {
    let keyward = Keyward::dev(&[]);
    Walk {
        login: &administrator(&keyward),
        which: ("--exclude-path-regex", OTHERS),
        parameters: "\"path.organisation\" = \"dev\"\n\"query.dry_run\" = false\n",
        examples: "2",
    }
    .on(&keyward);
    let alive = Api::anonymous(&keyward.api_url).get("/livez");
    assert_eq!(alive.status, 200, "{}", alive.text);
}

#[test]
fn a_persons_own_calls() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    let keyward = Keyward::dev(&["--data-dir", &data]);
    let password = "purple monkeys dance at dawn";
    let file =
        std::fs::read(folder.path().join("data/operator.json")).expect("the operator's file");
    let file: serde_json::Value = serde_json::from_slice(&file).expect("JSON");
    let operator = Api::bearer(&keyward.api_url, file["token"].as_str().expect("a token"));
    let alice = json!({ "sign_in_name": "alice", "password": password });
    let made = operator.post("/v1/operator/user", &alice).success();
    let id = made["path"].as_str().expect("a path").replace("user/", "");
    let anybody = Api::anonymous(&keyward.api_url);
    let session = anybody.post("/v1/login", &alice).success();
    let token = session["token"].as_str().expect("a token");
    Walk {
        login: &format!("Bearer {token}"),
        which: ("--include-path-regex", "^/v1/(user|sts|whoami|invitation)"),
        parameters: &format!("\"path.id\" = \"{id}\"\n\"query.dry_run\" = true\n"),
        examples: EXAMPLES,
    }
    .on(&keyward);
    let still = Api::bearer(&keyward.api_url, token).get("/v1/whoami");
    assert_eq!(still.status, 200, "{}", still.text);
}

/// Few examples: whoever guesses is slowed.
#[test]
fn strangers_who_sign_in() {
    let keyward = Keyward::dev(&[]);
    Walk {
        login: "Bearer nothing",
        which: ("--include-path-regex", "^/v1/login"),
        parameters: "",
        examples: "2",
    }
    .on(&keyward);
    keyward.cli(&["whoami"]).success();
}
