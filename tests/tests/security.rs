//! The claims of docs/security.md: each has a test beside it that exists.

use std::path::Path;

#[test]
fn every_claim_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package is a folder of the project");
    let page = std::fs::read_to_string(root.join("docs/security.md")).expect("the page");
    let (_, claims) = page
        .split_once("## Claims and what holds them")
        .expect("the claims");
    let (claims, _) = claims.split_once("\n## ").expect("what follows them");
    let mut found = 0;
    for line in claims.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let (_, tests) = line
            .trim_end_matches(" |")
            .rsplit_once(" | ")
            .expect("two cells");
        for test in tests.split("; ") {
            let (file, name) = test.split_once(": ").expect("a file and a test");
            let (file, name) = (file.trim_matches('`'), name.trim_matches('`'));
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            assert!(
                text.contains(&format!("fn {name}(")),
                "{file} has no test `{name}`: {line}"
            );
            found += 1;
        }
    }
    assert!(
        found > 40,
        "{found} tests found: has the table another form?"
    );
}
