//! Why a command failed, and the exit code that says so.

use std::fmt;
use std::io;
use std::process::ExitCode;

use serde_json::{Value, json};

/// Classes of failures, by exit code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// The operation failed.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// A policy denied it.
    Denied = 3,
    /// There is no such thing.
    NotFound = 4,
    /// Something else is in the way.
    Conflict = 5,
    /// No credential, or one that opens nothing.
    Unauthenticated = 6,
    /// A policy has findings.
    Findings = 7,
    /// The server cannot be reached.
    Unreachable = 8,
    /// Somebody pressed Ctrl-C.
    Interrupted = 130,
}

/// Why a command failed. Never holds a secret.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    text: String,
    /// What to do next, where the text does not say it.
    hint: Option<String>,
    /// The server's own words, if it answered.
    problem: Option<Value>,
    closed_pipe: bool,
}

impl Failure {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self {
            exit,
            text: text.into(),
            hint: None,
            problem: None,
            closed_pipe: false,
        }
    }

    /// An operation that failed for a reason of its own, with everything that caused it.
    pub(crate) fn of(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::new(Exit::Failed, text)
    }

    /// An error of the API.
    pub(crate) fn of_problem(status: u16, problem: Value) -> Self {
        let has_findings = problem.get("findings").is_some();
        let exit = match status {
            401 => Exit::Unauthenticated,
            403 => Exit::Denied,
            404 => Exit::NotFound,
            409 | 412 => Exit::Conflict,
            422 if has_findings => Exit::Findings,
            _ => Exit::Failed,
        };
        let detail = problem.get("detail").and_then(Value::as_str);
        let text = detail.map_or_else(|| format!("the server answered {status}"), str::to_owned);
        let hint = match exit {
            Exit::NotFound => text.split('`').nth(1).and_then(where_to_look),
            Exit::Unauthenticated if text.starts_with("the credential") => Some(
                "sign in again with `keyward login`, or name other credentials with --profile"
                    .to_owned(),
            ),
            _ => None,
        };
        Self {
            problem: Some(problem),
            hint,
            ..Self::new(exit, text)
        }
    }

    /// The same failure, with what to do next.
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// The same failure in other words.
    pub(crate) fn with_text(self, text: String) -> Self {
        Self { text, ..self }
    }

    /// The server's code of the error, if it answered.
    pub(crate) fn code(&self) -> Option<&str> {
        self.problem.as_ref()?.get("code")?.as_str()
    }

    /// Whether nothing but access keys depends on what was to be deleted.
    pub(crate) fn is_about_keys_alone(&self) -> bool {
        let dependents = self.problem.as_ref().map(|problem| &problem["dependents"]);
        let dependents = dependents.and_then(Value::as_array);
        let is_key = |path: &Value| path.as_str().is_some_and(|p| p.contains("/access_key/"));
        self.code() == Some("delete_conflict")
            && dependents.is_some_and(|all| !all.is_empty() && all.iter().all(is_key))
    }

    /// Whether what was to be changed is not as the caller thought, and in which fields.
    pub(crate) fn changed_meanwhile(&self) -> Option<Vec<&str>> {
        let problem = self.problem.as_ref()?;
        let changed = problem.get("changed").and_then(Value::as_array);
        let changed = changed.into_iter().flatten();
        (self.code() == Some("precondition_failed"))
            .then(|| changed.filter_map(Value::as_str).collect())
    }

    /// Its class.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        /// What shells tell of programs that a closed pipe ended.
        const CLOSED_PIPE: u8 = 128 + 13;
        ExitCode::from(match self.closed_pipe {
            true => CLOSED_PIPE,
            false => self.exit as u8,
        })
    }

    pub(crate) fn json(&self) -> Value {
        let mut shown = self
            .problem
            .clone()
            .filter(Value::is_object)
            .unwrap_or_else(|| json!({ "error": self.text, "exit": self.exit as u8 }));
        if let Some(hint) = &self.hint {
            shown["hint"] = hint.as_str().into();
        }
        shown
    }

    /// Whether whoever reads our output has gone: nobody is to be told.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.closed_pipe
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The command that lists what there is of the kind of a path.
fn where_to_look(path: &str) -> Option<String> {
    let segments: Vec<&str> = path.split('/').collect();
    let list = match segments[..] {
        ["org", _] | ["org", _, _] => "org list".to_owned(),
        ["user", _, "passkey", _] => "account passkey list".to_owned(),
        ["user", _, "session", _] => "session list".to_owned(),
        ["user", _] => "admin user list".to_owned(),
        ["org", _, "kvdb", database, "snapshot", ..] => format!("snapshot list {database}"),
        ["org", _, "programmatic_identity", identity, "access_key", _] => {
            format!("key list {identity}")
        }
        [
            "org",
            _,
            kind @ ("role" | "programmatic_identity"),
            of,
            "session",
            _,
        ] => {
            format!("session list {kind}/{of}")
        }
        ["org", _, "programmatic_identity", id] => {
            return Some(format!(
                "`keyward identity list` shows what there is; of another kind say so: \
                 group/{id}, role/{id}, org_user/{id}, kvdb/{id}"
            ));
        }
        ["org", _, kind, _, ..] => {
            let command = match kind {
                "programmatic_identity" => "identity",
                "kvdb" => "db",
                "org_user" => "org-user",
                "identity_provider" => "provider",
                "group" | "role" | "policy" | "trust" => kind,
                _ => return None,
            };
            format!("{command} list")
        }
        [key] if key.starts_with("KWAK") => "key list <identity>".to_owned(),
        _ => return None,
    };
    Some(format!("`keyward {list}` shows what there is"))
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self {
            closed_pipe: error.kind() == io::ErrorKind::BrokenPipe,
            ..Self::new(Exit::Failed, error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_when_a_thing_is_missing() {
        let cases = [
            (
                "org/dev/programmatic_identity/w/tags",
                Some("identity list"),
            ),
            ("org/dev/kvdb/main", Some("db list")),
            ("org/dev/kvdb/main/snapshot/s", Some("snapshot list main")),
            ("org/dev/group/g/member/role/r", Some("group list")),
            ("org/dev/role/r/session/KWTK", Some("session list role/r")),
            ("org/dev", Some("org list")),
            ("the invitation", None),
            ("org/dev/unknown/x", None),
        ];
        for (path, expected) in cases {
            let detail = format!("`{path}` does not exist, or you may not see it");
            let failure = Failure::of_problem(404, json!({ "detail": detail }));
            let text = failure.to_string();
            match expected {
                Some(command) => {
                    let end = format!("\nhint: `keyward {command}` shows what there is");
                    assert!(text.ends_with(&end), "{text}");
                    assert!(failure.json()["hint"].is_string(), "{text}");
                }
                None => assert_eq!(text, detail),
            }
        }
    }
}
