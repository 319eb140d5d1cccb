//! The frozen corpus of documents: what is accepted, with its meaning, and what is refused, with
//! its findings. A change that breaks stored policies shows here.
//!
//! `KEYWARD_WRITE_CORPUS=1` writes the expectations anew, to be read before they are committed.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};

use keyward_policy::{
    CODES, ConditionKey, Conditions, Dialect, Findings, Glob, IdentityPattern, Operator, Policy,
    PolicyKind, Statement, Template, VendorStatement, detect, read_as,
};

const KINDS: [(PolicyKind, &str); 2] = [
    (PolicyKind::Identity, "identity"),
    (PolicyKind::Resource, "resource"),
];

/// The dialects, and where their documents are.
const DIALECTS: [(Dialect, &str); 4] = [
    (Dialect::Native, "."),
    (Dialect::Aws, "aws"),
    (Dialect::Tencent, "tencent"),
    (Dialect::Alibaba, "alibaba"),
];

/// Every document of a verdict: what it was read as, in which dialect.
fn each(verdict: &str, mut check: impl FnMut(Dialect, &Path, &str, Result<Policy, Findings>)) {
    for (dialect, folder) in DIALECTS {
        for (kind, of_kind) in KINDS {
            for path in documents(&format!("{folder}/{verdict}"), of_kind) {
                let text = std::fs::read_to_string(&path).unwrap();
                let found = read_as(Some(dialect), &text, kind, "acme");
                check(dialect, &path, &text, found);
            }
        }
    }
}

#[test]
fn accepted_documents_keep_their_meaning() {
    each("accepted", |dialect, path, text, found| match found {
        Ok(policy) => {
            assert_eq!(policy.text(), text);
            assert_eq!(policy.dialect(), dialect);
            expect(path, &meaning(&policy));
            // AWS reads documents without a version, which tell nobody what they are.
            if text.to_ascii_lowercase().contains("\"version\"") || dialect == Dialect::Native {
                assert_eq!(detect(text), Ok(dialect), "{}", path.display());
            }
        }
        Err(findings) => panic!("{}:\n{findings}", path.display()),
    });
}

#[test]
fn refused_documents_are_explained() {
    let mut codes: Vec<&str> = Vec::new();
    each("refused", |_, path, _, found| match found {
        Ok(_) => panic!("{} is accepted", path.display()),
        Err(findings) => {
            codes.extend(findings.0.iter().map(|finding| finding.code));
            expect(path, &findings.to_string());
        }
    });
    // Too large and too many: made in tests, not kept as files; those of ACL rules: in corpus/acl.
    // Nothing is reported with E018 any more.
    let made = ["E002", "E022", "E024", "E018"];
    for (code, what) in CODES {
        assert!(
            codes.contains(code) || made.contains(code),
            "no document for {code}: {what}"
        );
    }
}

fn documents(verdict: &str, kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../corpus/policy")
        .join(verdict)
        .join(kind);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

/// Compares with the text file beside the document.
fn expect(document: &Path, found: &str) {
    let path = document.with_extension("txt");
    let found = format!("{}\n", found.trim_end());
    if std::env::var_os("KEYWARD_WRITE_CORPUS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{}", document.display());
}

/// What a policy was read as. Actions are not listed: they grow with the catalogue.
fn meaning(policy: &Policy) -> String {
    let mut out = String::from(if policy.statements().is_empty() {
        "nothing\n"
    } else {
        ""
    });
    for statement in policy.statements() {
        let sid = statement
            .sid
            .as_ref()
            .map(|sid| format!(" `{sid}`"))
            .unwrap_or_default();
        out += &format!("line {}: {:?}{sid}\n", statement.line, statement.effect);
        if let Some(vendor) = &statement.vendor {
            out += &foreign(vendor);
            out += &conditions(statement);
            continue;
        }
        for resource in &statement.resources {
            out += &format!("  on {}\n", resource.full());
        }
        for identity in &statement.identities {
            match identity {
                IdentityPattern::Path(path) => out += &format!("  to {path}\n"),
                other => out += &format!("  to {other:?}\n"),
            }
        }
        out += &format!("  {}\n", keys(statement));
        for template in statement
            .templates
            .iter()
            .flat_map(|templates| templates.all())
        {
            out += &format!("  with variables {}\n", template.text());
        }
        out += &conditions(statement);
    }
    out
}

/// What a vendor's statement says, patterns as they were written.
fn foreign(vendor: &VendorStatement) -> String {
    let mut out = String::new();
    let mut list = |what: &str, (negated, texts): (bool, Vec<&str>)| {
        let not = if negated { "not " } else { "" };
        for text in texts {
            out += &format!("  {not}{what} {text}\n");
        }
    };
    list("may", vendor.action_texts());
    match vendor.resource_texts() {
        Some(texts) => list("on", texts),
        None => list("on", (false, vec!["the role itself"])),
    }
    if let Some(texts) = vendor.principal_texts() {
        list("by", texts);
    }
    out
}

fn conditions(statement: &Statement) -> String {
    let mut out = String::new();
    for clause in statement.conditions.iter().flat_map(Conditions::clauses) {
        let (operator, key) = (clause.operator_name(), clause.key.name());
        let values: Vec<_> = clause.values().iter().map(Template::text).collect();
        out += &format!("  if {operator} {key} {}\n", values.join(" "));
    }
    out
}

fn keys(statement: &Statement) -> String {
    let Some(patterns) = &statement.keys else {
        return "all keys and channels".into();
    };
    let lists = [
        ("keys", &*patterns.keys),
        ("read", &*patterns.read_keys),
        ("write", &*patterns.write_keys),
        ("channels", &*patterns.channels),
    ];
    let list = |(name, globs): (&str, &[Glob])| {
        let texts: Vec<_> = globs
            .iter()
            .map(|glob| glob.text().escape_ascii().to_string())
            .collect();
        format!("{name} [{}]", texts.join(" "))
    };
    lists.map(list).join(" ")
}

/// Everything that a document may use stands in the manual.
#[test]
fn the_manual_has_every_operator_and_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy-language.md");
    let manual = std::fs::read_to_string(path).unwrap();
    let operators = Operator::ALL.iter().map(|operator| operator.name());
    for name in operators.chain(ConditionKey::native_names()) {
        assert!(manual.contains(&format!("`{name}")), "{name}");
    }
}
