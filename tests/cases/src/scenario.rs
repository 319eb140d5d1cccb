//! The cases of `corpus/decisions/`: small worlds as text, and what is decided in them.

use crate::corpus::{CorpusFile, corpus, steps};

/// One line of a scenario, with the lines that belong to it.
#[derive(Clone, Debug)]
pub enum Step {
    /// `organisation acme`
    Organisation(String),
    /// `identity <path>`: a programmatic identity or a group.
    Identity(String),
    /// `database <path>`
    Database(String),
    /// `snapshot <path>`
    Snapshot(String),
    /// `trust <trustor> -> <trustee>` and its document, if there is one.
    Trust {
        /// Path of the trustor.
        trustor: String,
        /// Path of the trustee.
        trustee: String,
        /// The document.
        document: Option<String>,
    },
    /// `policy on <path>`
    ResourcePolicy {
        /// Path of the resource.
        resource: String,
        /// The document.
        document: String,
    },
    /// `boundary of <path>`
    Boundary {
        /// Path of the identity.
        identity: String,
        /// The document.
        document: String,
    },
    /// `guardrails of <path>`
    Guardrails {
        /// Path of the organisation.
        organisation: String,
        /// The document.
        document: String,
    },
    /// `refused …`: a change that must be refused.
    Refused(Box<Step>),
    /// `as <principal> on <database>` and its cases.
    Cases {
        /// Path of the principal, or `unauthenticated`.
        principal: String,
        /// Path of the database.
        database: String,
        /// Requests with what is expected.
        cases: Vec<Case>,
    },
}

/// One request and the expected decision.
#[derive(Clone, Debug)]
pub struct Case {
    /// `allow`, `explicit_deny` or `implicit_deny`.
    pub expected: String,
    /// What is asked.
    pub request: Request,
    /// Line in the file.
    pub line: usize,
}

/// What a case asks.
#[derive(Clone, Debug)]
pub enum Request {
    /// A command's words.
    Command(Vec<String>),
    /// An allowed command that tells the names of keys.
    Listing {
        /// Its words.
        words: Vec<String>,
        /// Keys that there are.
        keys: Vec<String>,
        /// Those of them that it shows.
        shown: Vec<String>,
    },
    /// An action of the control plane on a resource.
    Action {
        /// `iam:CreateAccessKey`
        action: String,
        /// Full path.
        resource: String,
    },
}

/// The references that stand in the place of a document, one a line: `policy/system/kvdb-read-only`.
pub fn references(document: &str) -> Option<Vec<&str>> {
    let lines: Vec<&str> = document.lines().map(str::trim).collect();
    let all = lines.iter().all(|line| line.starts_with("policy/"));
    (all && !lines.is_empty()).then_some(lines)
}

/// Every scenario: its file name and its steps with their lines.
///
/// # Panics
/// If a file cannot be read or is malformed.
pub fn scenarios() -> Vec<(String, Vec<(usize, Step)>)> {
    let read = |file: CorpusFile| {
        let steps = steps(&file.lines()).into_iter();
        let steps = steps.map(|lines| (lines.number, step(lines.number, lines.line, &lines.below)));
        let steps = steps.collect();
        (file.name, steps)
    };
    corpus("decisions").into_iter().map(read).collect()
}

fn step(number: usize, head: &str, below: &[(usize, &str)]) -> Step {
    if let Some(rest) = head.strip_prefix("refused ") {
        return Step::Refused(Box::new(step(number, rest, below)));
    }
    let document = || {
        below
            .iter()
            .map(|(_, line)| *line)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let words: Vec<&str> = head.split_whitespace().collect();
    match words[..] {
        ["organisation", id] => Step::Organisation(id.to_owned()),
        ["identity", path] => Step::Identity(path.to_owned()),
        ["database", path] => Step::Database(path.to_owned()),
        ["snapshot", path] => Step::Snapshot(path.to_owned()),
        ["trust", trustor, "->", trustee] => Step::Trust {
            trustor: trustor.to_owned(),
            trustee: trustee.to_owned(),
            document: (!below.is_empty()).then(document),
        },
        ["policy", "on", resource] => Step::ResourcePolicy {
            resource: resource.to_owned(),
            document: document(),
        },
        ["boundary", "of", identity] => Step::Boundary {
            identity: identity.to_owned(),
            document: document(),
        },
        ["guardrails", "of", organisation] => Step::Guardrails {
            organisation: organisation.to_owned(),
            document: document(),
        },
        ["as", principal, "on", database] => Step::Cases {
            principal: principal.to_owned(),
            database: database.to_owned(),
            cases: below.iter().map(|(line, text)| case(*line, text)).collect(),
        },
        _ => panic!("line {number}: `{head}` is no step of a scenario"),
    }
}

fn case(line: usize, text: &str) -> Case {
    let (expected, rest) = text
        .trim()
        .split_once(char::is_whitespace)
        .unwrap_or((text, ""));
    if expected == "shows" {
        let parts = rest.split_once(" of ").and_then(|(command, rest)| {
            let (keys, shown) = rest
                .split_once(" -> ")
                .or(rest.strip_suffix(" ->").zip(Some("")))?;
            Some((command, keys, shown))
        });
        let Some((command, keys, shown)) = parts else {
            panic!("line {line}: `shows COMMAND of KEYS -> KEYS`");
        };
        return Case {
            expected: "allow".to_owned(),
            request: Request::Listing {
                words: split(command.trim()),
                keys: split(keys.trim()),
                shown: split(shown.trim()),
            },
            line,
        };
    }
    assert!(
        ["allow", "explicit_deny", "implicit_deny"].contains(&expected),
        "line {line}: `{expected}` is no decision"
    );
    let words = split(rest.trim());
    let request = match &words[..] {
        [action, on, resource] if on == "on" && action.contains(':') => Request::Action {
            action: action.clone(),
            resource: resource.clone(),
        },
        _ => Request::Command(words),
    };
    Case {
        expected: expected.to_owned(),
        request,
        line,
    }
}

/// Splits at spaces; double quotes keep them.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted, mut any) = (String::new(), false, false);
    for c in text.chars() {
        match c {
            '"' => (quoted, any) = (!quoted, true),
            ' ' if !quoted => {
                if any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => {
                word.push(c);
                any = true;
            }
        }
    }
    if any {
        words.push(word);
    }
    words
}
