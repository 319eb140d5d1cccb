//! The API, called by schemathesis as its own document says, and not as it says.
//!
//! A few examples of each call, always the same ones, as a dry run by the administrator: nothing
//! fails inside Keyward, and every answer is one that the document has. `KEYWARD_FUZZ_EXAMPLES`
//! asks for more of them, `KEYWARD_FUZZ_SEED` for others.

use keyward_e2e::{Keyward, python};

/// Examples of each call.
const EXAMPLES: &str = "4";

const RUN: &str = r#"
import os, pathlib, subprocess, sys, tempfile
with tempfile.TemporaryDirectory() as folder:
    config = pathlib.Path(folder, "schemathesis.toml")
    config.write_text('[parameters]\n"path.organisation" = "dev"\n"query.dry_run" = true\n')
    answer = subprocess.run([
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run",
        os.environ["API"] + "/openapi.json", "--url", os.environ["API"],
        "--auth", os.environ["LOGIN"], "--phases", "examples,fuzzing",
        "--max-examples", os.environ["EXAMPLES"], "--seed", os.environ["SEED"],
        "--generation-database", "none", "--no-color",
        "--exclude-path-regex", "^/(ui|v1/log|v1/sts|v1/user)",
        "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,"
        "response_schema_conformance,allow_header_conformance",
    ], cwd=folder, capture_output=True, text=True)
text = answer.stdout.replace(os.environ["LOGIN"], "[login]")
print(text[-12000:])
print(answer.stderr[-2000:])
sys.exit(answer.returncode)
"#;

#[test]
fn every_answer_is_one_that_the_document_has() {
    let keyward = Keyward::dev(&[]);
    let variable = |name: &str, usual: &str| std::env::var(name).unwrap_or(usual.to_owned());
    let login = format!(
        "{}:{}",
        keyward.admin_access_key_id, keyward.admin_secret_access_key
    );
    python(
        RUN,
        &[
            ("API", &keyward.api_url),
            ("LOGIN", &login),
            ("EXAMPLES", &variable("KEYWARD_FUZZ_EXAMPLES", EXAMPLES)),
            ("SEED", &variable("KEYWARD_FUZZ_SEED", "2026")),
        ],
    )
    .success();
    // It still serves.
    keyward.cli(&["whoami"]).success();
}
