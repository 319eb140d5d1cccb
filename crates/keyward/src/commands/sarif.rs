//! Findings as SARIF 2.1.0 (OASIS), for code review.

use std::collections::BTreeMap;

use keyward_policy::check::{Finding, Region, Rule, Severity};
use serde_json::{Value, json};

use super::policy_check::Checked;

/// The log of one run.
pub(super) fn log(all: &[Checked]) -> Value {
    let mut rules: BTreeMap<&str, &Rule> = BTreeMap::new();
    for finding in all.iter().flat_map(|checked| &checked.report.findings) {
        rules.insert(finding.rule.code, finding.rule);
    }
    let place = |code: &str| rules.keys().position(|known| *known == code);
    let results: Vec<Value> = all
        .iter()
        .flat_map(|checked| {
            let findings = checked.report.findings.iter();
            findings.map(|finding| result(checked, finding, place(finding.rule.code)))
        })
        .collect();
    let artifacts: Vec<Value> = all
        .iter()
        .map(|checked| {
            json!({
                "location": { "uri": uri(&checked.name) },
                "length": checked.text.len(),
                "mimeType": "application/json",
                "encoding": "UTF-8",
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "keyward",
                "fullName": "keyward policy check",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.values().map(|rule| description(rule)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "artifacts": artifacts,
            "results": results,
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Security | Severity::Warning => "warning",
        Severity::Suggestion => "note",
    }
}

fn description(rule: &Rule) -> Value {
    let mut properties = json!({ "tags": ["policy", rule.severity.name()] });
    if rule.severity == Severity::Security {
        properties["security-severity"] = "7.0".into();
    }
    json!({
        "id": rule.code,
        "name": name(rule.title),
        "shortDescription": { "text": rule.title },
        "fullDescription": { "text": rule.explanation },
        "help": { "text": rule.explanation, "markdown": rule.explanation },
        "defaultConfiguration": { "level": level(rule.severity) },
        "properties": properties,
    })
}

/// A title as one word: `AnAllowThatADenyAlwaysCovers`.
fn name(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_ascii_uppercase() + rest
        })
        .collect()
}

fn result(checked: &Checked, finding: &Finding, rule_index: Option<usize>) -> Value {
    let location = |region: Region, path: &str| {
        let mut location = json!({
            "physicalLocation": {
                "artifactLocation": { "uri": uri(&checked.name) },
                "region": shown(region),
            },
        });
        if !path.is_empty() {
            location["logicalLocations"] = json!([{ "fullyQualifiedName": path }]);
        }
        location
    };
    let mut result = json!({
        "ruleId": finding.rule.code,
        "level": level(finding.rule.severity),
        "message": { "text": finding.message },
        "locations": [location(finding.region, &finding.path)],
        "partialFingerprints": { "keyward/v1": fingerprint(checked, finding) },
    });
    if let Some(index) = rule_index {
        result["ruleIndex"] = index.into();
    }
    if let Some(related) = &finding.related {
        let mut other = location(related.region, &related.path);
        other["id"] = 1.into();
        other["message"] = json!({ "text": format!("see {}", related.path) });
        result["relatedLocations"] = json!([other]);
    }
    if let Some(fix) = &finding.fix {
        result["fixes"] = json!([{
            "description": { "text": fix.description },
            "artifactChanges": [{
                "artifactLocation": { "uri": uri(&checked.name) },
                "replacements": [{
                    "deletedRegion": shown(fix.region),
                    "insertedContent": { "text": fix.replacement },
                }],
            }],
        }]);
    }
    result
}

fn shown(region: Region) -> Value {
    json!({
        "startLine": region.line,
        "startColumn": region.column,
        "endLine": region.end_line,
        "endColumn": region.end_column,
    })
}

/// The same for the same finding after other parts of the document moved.
fn fingerprint(checked: &Checked, finding: &Finding) -> String {
    // A line of ACL rules may hold a password: not even its hash is told.
    let line = if checked.is_acl {
        &finding.path
    } else {
        let number = finding.region.line as usize;
        checked.text.lines().nth(number - 1).unwrap_or("").trim()
    };
    let parts = [finding.rule.code, &finding.message, line];
    // FNV-1a: stable over versions of the compiler, and no secret.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.join("\n").bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

/// A file's name as a relative or absolute URI reference.
fn uri(name: &str) -> String {
    let mut out = String::new();
    let absolute = name.starts_with('/');
    if absolute {
        out.push_str("file://");
    }
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            b'\\' if cfg!(windows) => out.push('/'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use keyward_policy::PolicyKind;
    use keyward_policy::check::{Options, check};

    use super::*;

    fn log_of(texts: &[(&str, &str)]) -> Value {
        let options = Options {
            dialect: None,
            kind: PolicyKind::Identity,
            organisation: "dev",
            now: None,
            catalogue: None,
        };
        let checked = |(name, text): &(&str, &str)| Checked {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
            is_acl: false,
            report: check(text, &options),
        };
        let all: Vec<Checked> = texts.iter().map(checked).collect();
        log(&all)
    }

    /// What the schema of SARIF 2.1.0 requires of the parts that are written here, and what code
    /// hosts require beside it to show a result.
    #[test]
    fn required_by_the_schema() {
        let shadowed = "[{\"Effect\":\"Allow\",\"Actions\":[\"kvdb:ExecuteGet\"],\"Resources\":[\"kvdb/a\"]},\n{\"Effect\":\"Deny\",\"Actions\":[\"kvdb:@read\"],\"Resources\":[\"kvdb/*\"]}]";
        let log = log_of(&[("a dir/é.json", shadowed), ("b.json", "[")]);
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        let driver = &run["tool"]["driver"];
        assert!(driver["name"].is_string());
        let rules = driver["rules"].as_array().unwrap();
        let results = run["results"].as_array().unwrap();
        assert!(results.len() >= 2, "{log:#}");
        for rule in rules {
            assert!(rule["id"].is_string());
            assert!(rule["help"]["text"].is_string());
            assert!(rule["shortDescription"]["text"].is_string());
            let level = rule["defaultConfiguration"]["level"].as_str().unwrap();
            assert!(["none", "note", "warning", "error"].contains(&level));
        }
        let number = |region: &Value, name: &str| region[name].as_u64().unwrap();
        let mut fixes = 0;
        let check_region = |region: &Value| {
            assert!(number(region, "startLine") >= 1);
            assert!(number(region, "startColumn") >= 1);
            let start = (number(region, "startLine"), number(region, "startColumn"));
            let end = (number(region, "endLine"), number(region, "endColumn"));
            assert!(start <= end, "{region}");
        };
        for result in results {
            assert!(result["message"]["text"].is_string());
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            let place = &result["locations"][0]["physicalLocation"];
            let uri = place["artifactLocation"]["uri"].as_str().unwrap();
            assert!(uri.is_ascii() && !uri.contains(' '), "{uri}");
            check_region(&place["region"]);
            for fix in result["fixes"].as_array().into_iter().flatten() {
                fixes += 1;
                let change = &fix["artifactChanges"][0];
                assert!(change["artifactLocation"]["uri"].is_string());
                let replacement = &change["replacements"][0];
                check_region(&replacement["deletedRegion"]);
                assert!(replacement["insertedContent"]["text"].is_string());
            }
        }
        assert!(fixes > 0);
    }

    #[test]
    fn uris() {
        assert_eq!(uri("a/b c.json"), "a/b%20c.json");
        assert_eq!(uri("/x/é"), "file:///x/%C3%A9");
        assert_eq!(
            name("an Allow that a Deny covers"),
            "AnAllowThatADenyCovers"
        );
    }
}
