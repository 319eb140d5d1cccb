//! The cases in `corpus/check`: what is found in each document, all of it, with its places.

#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use keyward_policy::check::{Options, Report, Severity, check, rules};
use keyward_policy::{Dialect, PolicyKind};
use keyward_test_cases::{CorpusFile, Random, corpus, setting};

/// 2026-06-01T00:00:00Z, in milliseconds.
const NOW: i64 = 1_780_272_000_000;

/// Codes of what is read by now: nothing raises them any more.
const PENDING: &[&str] = &["E006", "E018"];

/// One case of a file.
struct Case {
    file: PathBuf,
    /// `name`, and the lines of the head.
    name: String,
    head: Vec<(String, String)>,
    document: String,
    expected: String,
}

impl Case {
    fn head(&self, name: &str) -> Option<&str> {
        let found = self.head.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn report(&self) -> Report {
        let kind = match self.head("kind") {
            None | Some("identity") => PolicyKind::Identity,
            Some("resource") => PolicyKind::Resource,
            Some(other) => panic!("{}: kind `{other}`", self.name),
        };
        let dialect = self.head("dialect").map(|name| {
            let all = [
                Dialect::Native,
                Dialect::Aws,
                Dialect::Tencent,
                Dialect::Alibaba,
                Dialect::Acl,
            ];
            all.into_iter().find(|known| known.name() == name).unwrap()
        });
        let options = Options {
            dialect,
            kind,
            organisation: "acme",
            now: Some(NOW),
            catalogue: self
                .head("catalogue")
                .map(|version| version.parse().unwrap()),
        };
        check(&self.text(), &options)
    }

    /// The document; `repeat: n` puts an element that often before the last bracket.
    fn text(&self) -> String {
        let text = self.document.replace("␉", "\t");
        match self.head("repeat") {
            None => text,
            Some(count) => {
                let count: usize = count.parse().unwrap();
                text.replace("…", &"x".repeat(count))
            }
        }
    }

    fn found(&self) -> String {
        let mut out = String::new();
        for finding in &self.report().findings {
            let region = finding.region;
            let path = if finding.path.is_empty() {
                "-"
            } else {
                &finding.path
            };
            let (line, column) = (region.line, region.column);
            writeln!(out, "{} {line}:{column} {path}", finding.rule.code).unwrap();
        }
        out
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for CorpusFile { path, text, .. } in corpus("check") {
        for block in text.split("\n=== ").skip(1) {
            let (head, rest) = block.split_once("\n---\n").unwrap();
            let (document, expected) = rest.split_once("\n---").unwrap();
            let mut lines = head.lines();
            let name = lines.next().unwrap().to_owned();
            let head = lines.map(|line| {
                let (name, value) = line.split_once(": ").unwrap();
                (name.to_owned(), value.to_owned())
            });
            cases.push(Case {
                file: path.clone(),
                name,
                head: head.collect(),
                document: document.to_owned(),
                expected: expected.trim_start_matches('\n').trim_end().to_owned(),
            });
        }
    }
    cases
}

#[test]
fn what_is_found() {
    let write = std::env::var_os("KEYWARD_WRITE_CORPUS").is_some();
    let cases = cases();
    if write {
        for CorpusFile { path, text, .. } in corpus("check") {
            let mut out = text.split("\n=== ").next().unwrap().to_owned();
            for case in cases.iter().filter(|case| case.file == path) {
                write!(out, "\n=== {}\n", case.name).unwrap();
                for (name, value) in &case.head {
                    writeln!(out, "{name}: {value}").unwrap();
                }
                let found = case.found();
                write!(out, "---\n{}\n---\n{found}", case.document).unwrap();
            }
            std::fs::write(&path, out).unwrap();
        }
        return;
    }
    let mut wrong = String::new();
    for case in &cases {
        let found = case.found();
        if found.trim_end() != case.expected {
            let (file, name) = (case.file.file_name().unwrap(), &case.name);
            writeln!(
                wrong,
                "{}: {name}\nexpected:\n{}\nfound:\n{found}",
                file.display(),
                case.expected
            )
            .unwrap();
            for finding in &case.report().findings {
                writeln!(wrong, "  {}: {}", finding.rule.code, finding.message).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Every code has a case that raises it, and a near miss that does not.
#[test]
fn every_code_has_a_case_and_a_near_miss() {
    let (mut raised, mut missed) = (BTreeSet::new(), BTreeSet::new());
    for case in cases() {
        let found: BTreeSet<&str> = case
            .report()
            .findings
            .iter()
            .map(|finding| finding.rule.code)
            .collect();
        for code in case.head("without").unwrap_or("").split_whitespace() {
            assert!(!found.contains(code), "{}: {code} was raised", case.name);
            missed.insert(code.to_owned());
        }
        raised.extend(found);
    }
    for rule in rules() {
        if PENDING.contains(&rule.code) {
            assert!(!raised.contains(rule.code), "{} has come", rule.code);
            continue;
        }
        assert!(raised.contains(rule.code), "no case raises {}", rule.code);
        assert!(missed.contains(rule.code), "no near miss of {}", rule.code);
    }
}

/// A fix, once made, removes its finding and adds no error.
#[test]
fn fixes_fix() {
    for case in cases() {
        let report = case.report();
        let text = case.text();
        if report.findings.len() > 200 {
            continue; // cut: one fix less makes room for another finding
        }
        for finding in &report.findings {
            let Some(fix) = &finding.fix else {
                continue;
            };
            let (from, to) = (fix.region.from, fix.region.to);
            let document = format!("{}{}{}", &text[..from], fix.replacement, &text[to..]);
            let fixed = Case {
                document,
                head: case.head.clone(),
                file: PathBuf::new(),
                name: String::new(),
                expected: String::new(),
            };
            let after = fixed.report();
            let count = |report: &Report| {
                let same = |other: &&keyward_policy::check::Finding| {
                    other.rule.code == finding.rule.code && other.message == finding.message
                };
                report.findings.iter().filter(same).count()
            };
            let errors = |report: &Report| {
                let errors = report.findings.iter();
                errors
                    .filter(|finding| finding.rule.severity == Severity::Error)
                    .count()
            };
            let (name, code) = (&case.name, finding.rule.code);
            assert!(
                count(&after) < count(&report),
                "{name}: {code} is still there after its fix:\n{}",
                fixed.document
            );
            assert!(
                errors(&after) <= errors(&report),
                "{name}: {code} breaks it:\n{}",
                fixed.document
            );
        }
    }
}

/// Documents that were cut off, or have a byte changed, are findings and no panics.
#[test]
fn damaged_documents() {
    let mut random = Random::new(9);
    let rounds = setting("KEYWARD_CHECK_ROUNDS", 6);
    for case in cases() {
        let text = case.text();
        if text.len() > 4096 {
            continue;
        }
        for _ in 0..rounds {
            let mut bytes = text.clone().into_bytes();
            let at = random.below(bytes.len() + 1);
            match random.below(3) {
                0 => bytes.truncate(at),
                1 if at < bytes.len() => bytes[at] = random.pick(b" \"[]{},:*$\\a0\xc3"),
                _ => bytes.insert(at, random.pick(b"\"[]{},:*$")),
            }
            let document = String::from_utf8_lossy(&bytes).into_owned();
            let damaged = Case {
                document,
                head: case.head.clone(),
                file: PathBuf::new(),
                name: case.name.clone(),
                expected: String::new(),
            };
            let text = damaged.text();
            for finding in damaged.report().findings {
                let region = finding.region;
                assert!(region.from <= region.to && region.to <= text.len());
                assert!(text.is_char_boundary(region.from) && text.is_char_boundary(region.to));
            }
        }
    }
}

/// The manual's list of findings is written from the code.
#[test]
fn the_manual_is_the_code() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy-findings.md");
    let mut parts = Vec::new();
    for severity in Severity::ALL {
        let title = match severity {
            Severity::Error => "Errors",
            Severity::Security => "Security warnings",
            Severity::Warning => "Warnings",
            Severity::Suggestion => "Suggestions",
        };
        let mut part = format!("## {title}\n");
        for rule in rules().iter().filter(|rule| rule.severity == severity) {
            write!(
                part,
                "\n### {}: {}\n\n{}\n",
                rule.code, rule.title, rule.explanation
            )
            .unwrap();
        }
        parts.push(part);
    }
    let generated = parts.join("\n");
    const BEGIN: &str = "<!-- generated: every finding -->\n";
    const END: &str = "<!-- end of generated -->\n";
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    if std::env::var_os("KEYWARD_WRITE_DOCS").is_some() {
        let text = format!("{before}{BEGIN}\n{generated}\n{END}{after}");
        std::fs::write(&file, text).unwrap();
        return;
    }
    assert!(
        found.trim() == generated.trim(),
        "docs/policy-findings.md is out of date: run `KEYWARD_WRITE_DOCS=1 cargo test -p keyward-policy --test check`"
    );
}

/// Documents of 1 MB that are made to hurt: with `KEYWARD_CHECK_TIMES` in a release build each must
/// take less than a second; else only that they end is checked, on small ones.
#[test]
fn large_documents() {
    let measured = std::env::var_os("KEYWARD_CHECK_TIMES").is_some();
    let size = if measured { 1_000_000 } else { 12_000 };
    let repeat = |before: &str, after: &str, part: &dyn Fn(usize) -> String| {
        let mut text = before.to_owned();
        for at in 0.. {
            let more = part(at);
            if text.len() + more.len() + after.len() + 1 > size {
                break;
            }
            if at > 0 {
                text.push(',');
            }
            text += &more;
        }
        text + after
    };
    let native = |effect: &str, actions: &str, at: usize| {
        format!(
            r#"{{"Effect":"{effect}","Actions":["{actions}"],"Resources":["kvdb/a"],"Keys":["k{at}:*"]}}"#
        )
    };
    let documents = [
        (
            "one statement a key",
            repeat("[", "]", &|at| native("Allow", "kvdb:@read", at)),
        ),
        (
            "allow and deny by turns",
            repeat("[", "]", &|at| {
                native(["Allow", "Deny"][at % 2], "kvdb:@write", at)
            }),
        ),
        (
            "the same statement",
            repeat("[", "]", &|_| native("Allow", "kvdb:@write", 0)),
        ),
        (
            "denies of one way",
            repeat("[", "]", &|at| native("Deny", "kvdb:ExecuteDel", at)),
        ),
        (
            "a list of keys",
            repeat(
                r#"[{"Effect":"Allow","Actions":["*"],"Resources":["**"],"Keys":["#,
                "]}]",
                &|at| format!("\"{}*\"", "a".repeat(at % 1000)),
            ),
        ),
        (
            "a list of actions",
            repeat(
                r#"[{"Effect":"Allow","Resources":["**"],"Actions":["#,
                "]}]",
                &|at| format!("\"kvdb:Execute{}*\"", ["G", "Ge", "S", "H"][at % 4]),
            ),
        ),
        (
            "a list of resources",
            repeat(
                r#"[{"Effect":"Allow","Actions":["*"],"Resources":["#,
                "]}]",
                &|at| format!("\"kvdb/{at}/snapshot/*\""),
            ),
        ),
        (
            "values of a condition",
            repeat(
                r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/a"],"Conditions":{"StringLike":{"kvdb:Key":["b"]},"StringEquals":{"kvdb:Key":["#,
                "]}}}]",
                &|at| format!("\"k{at}*\""),
            ),
        ),
        (
            "addresses",
            repeat(
                r#"[{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/a"],"Conditions":{"NotIpAddress":{"keyward:SourceIp":["10.0.0.0/8"]},"IpAddress":{"keyward:SourceIp":["#,
                "]}}}]",
                &|at| format!("\"11.{}.{}.0/24\"", at / 256 % 256, at % 256),
            ),
        ),
        (
            "a vendor's statements",
            repeat(r#"{"Version":"2012-10-17","Statement":["#, "]}", &|at| {
                format!(
                    r#"{{"Effect":"Allow","Action":"kvdb:ExecuteGet","Resource":"arn:aws:elasticache:*:123456789012:cluster:{at}"}}"#
                )
            }),
        ),
        (
            "a vendor's lists",
            repeat(
                r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*","Action":["#,
                "]}]}",
                &|at| format!("\"elasticache:Describe{}*\"", "a".repeat(at % 300)),
            ),
        ),
        (
            "globs made to hurt",
            repeat("[", "]", &|at| {
                format!(
                    r#"{{"Effect":"{}","Actions":["*"],"Resources":["kvdb/a"],"Keys":["{}b"]}}"#,
                    ["Allow", "Deny"][at % 2],
                    "*a".repeat(100 + at % 7)
                )
            }),
        ),
        (
            "escaped globs beside each other",
            repeat("[", "]", &|at| {
                let keys: Vec<String> = (0..60).map(|n| format!(r#""[ab]\\{n}*{at}""#)).collect();
                let keys = keys.join(",");
                format!(
                    r#"{{"Effect":"Allow","Actions":["*"],"Resources":["kvdb/a"],"Keys":[{keys}]}}"#
                )
            }),
        ),
        (
            "condition keys",
            repeat(
                r#"[{"Effect":"Allow","Actions":["*"],"Resources":["**"],"Conditions":{"StringNotEquals":{"#,
                "}}}]",
                &|at| format!("\"keyward:PrincipalTag/t{at}\":\"x\""),
            ),
        ),
        ("values of several conditions", {
            let list = |word: &str| {
                let values = (0..size.min(300_000) / 30).map(|n| format!("\"{word}{n}\""));
                values.collect::<Vec<_>>().join(",")
            };
            format!(
                r#"[{{"Effect":"Allow","Actions":["*"],"Resources":["**"],"Conditions":{{"StringEquals":{{"keyward:ClientName":[{}]}},"StringNotEquals":{{"keyward:ClientName":[{}]}},"StringLike":{{"keyward:ClientName":[{}]}},"StringEqualsIgnoreCase":{{"keyward:ClientName":[{}]}}}}}}]"#,
                list("u"),
                list("v"),
                list("*a*a*a*"),
                list("U")
            )
        }),
        (
            "unknown actions",
            repeat(
                r#"[{"Effect":"Allow","Resources":["**"],"Actions":["#,
                "]}]",
                &|at| format!("\"kvdb:ExecutGet{at}\""),
            ),
        ),
        (
            "users of an ACL",
            repeat("", "", &|at| {
                format!("user u{at} on nopass ~a* +@all -@admin\n")
            })
            .replace(",user", "user"),
        ),
    ];
    for (name, text) in &documents {
        let before = std::time::Instant::now();
        let report = check(
            text,
            &Options {
                dialect: None,
                kind: PolicyKind::Identity,
                organisation: "acme",
                now: Some(NOW),
                catalogue: Some(1),
            },
        );
        let taken = before.elapsed();
        let count = report.findings.len();
        if measured {
            println!("{name}: {} bytes, {count} findings, {taken:?}", text.len());
            assert!(taken.as_millis() < 1000, "{name}: {taken:?}");
        }
    }
}
