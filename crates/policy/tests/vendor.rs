//! What vendors' documents say of requests in their own terms: the tables in `corpus/vendor`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;

use keyward_policy::{
    Dialect, Effect, ListedFacts, Match, Policy, PolicyKind, VendorPrincipal, VendorRequest,
    read_as,
};

/// One line of a table.
struct Row<'a> {
    expected: &'a str,
    request: VendorRequest,
    principal: Option<VendorPrincipal>,
    facts: ListedFacts,
}

#[test]
fn documents_say_what_their_vendors_say() {
    for (dialect, name) in [
        (Dialect::Aws, "aws"),
        (Dialect::Tencent, "tencent"),
        (Dialect::Alibaba, "alibaba"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../corpus/vendor")
            .join(name)
            .with_extension("txt");
        let text = std::fs::read_to_string(&path).unwrap();
        let rows = table(dialect, name, &text);
        assert!(rows > 20, "{name}");
    }
}

#[test]
fn every_trap_has_its_cases() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus");
    let list = std::fs::read_to_string(corpus.join("traps.md")).unwrap();
    let mut rows = 0;
    for line in list.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, file, words] = cells[..] else {
            panic!("{line}");
        };
        let text = std::fs::read_to_string(corpus.join(file)).unwrap();
        let found = text.contains(words) || text.contains(words.trim_matches('`'));
        assert!(found, "`{words}` is not in corpus/{file}");
        rows += 1;
    }
    assert!(rows > 30, "{rows}");
}

/// Runs a table; how many requests it has.
fn table(dialect: Dialect, name: &str, text: &str) -> usize {
    let (mut owner, mut policy, mut rows) = (String::new(), None, 0);
    let mut document: Option<(PolicyKind, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let at = format!("{name}.txt:{}", number + 1);
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            _ if line.trim().is_empty() || word == "#" => {}
            "owner" => owner = rest.to_owned(),
            "document" => {
                let kind = match rest.split_once(' ') {
                    Some((_, "identity")) => PolicyKind::Identity,
                    Some((_, "resource")) => PolicyKind::Resource,
                    other => panic!("{at}: {other:?}"),
                };
                document = Some((kind, String::new()));
            }
            "allow" | "deny" | "silent" => {
                if let Some((kind, text)) = document.take() {
                    let read = read_as(Some(dialect), &text, kind, "acme");
                    policy = Some(read.unwrap_or_else(|findings| panic!("{at}: {findings}")));
                }
                let row = row(dialect, word, rest.trim_start());
                let said = says(policy.as_ref().unwrap(), &owner, &row);
                assert_eq!(said, row.expected, "{at}: {line}");
                rows += 1;
            }
            _ => {
                let (_, text) = document.as_mut().unwrap_or_else(|| panic!("{at}: {line}"));
                *text += line;
                text.push('\n');
            }
        }
    }
    rows
}

fn row<'a>(dialect: Dialect, expected: &'a str, rest: &str) -> Row<'a> {
    let (rest, facts) = rest.split_once("  if ").unwrap_or((rest, ""));
    let (request, by) = rest.split_once("  by ").unwrap_or((rest, ""));
    let (action, resource) = request.trim_end().split_once(' ').unwrap();
    let fact = |text: &str| {
        let (name, values) = text.trim().split_once('=').unwrap();
        let values = match values {
            "()" => Vec::new(),
            values => values
                .split('|')
                .map(|value| value.as_bytes().to_vec())
                .collect(),
        };
        (name.to_owned(), values)
    };
    Row {
        expected,
        request: VendorRequest {
            action: action.to_owned(),
            resource: resource.trim().to_owned(),
        },
        principal: (!by.is_empty()).then(|| VendorPrincipal::parse(dialect, by.trim()).unwrap()),
        facts: ListedFacts::new(
            dialect,
            facts.split(';').filter(|text| !text.is_empty()).map(fact),
        ),
    }
}

fn says(policy: &Policy, owner: &str, row: &Row<'_>) -> &'static str {
    let mut said = "silent";
    for statement in policy.statements() {
        let vendor = statement.vendor.as_ref().unwrap();
        let named = match &row.principal {
            Some(principal) => vendor.names(principal),
            None => !vendor.has_principals(),
        };
        if named && statement.matches_vendor(&row.request, owner, &row.facts) == Match::Full {
            match statement.effect {
                Effect::Deny => return "deny",
                Effect::Allow => said = "allow",
            }
        }
    }
    said
}
