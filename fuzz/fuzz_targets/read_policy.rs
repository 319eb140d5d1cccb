//! Policy documents: whatever is read is read the same again; findings lie inside the text.
#![no_main]

use keyward_policy::{PolicyKind, detect, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for kind in [PolicyKind::Identity, PolicyKind::Resource] {
        match read(text, kind, "acme") {
            Ok(policy) => {
                assert_eq!(policy.text(), text);
                assert_eq!(read(policy.text(), kind, "acme"), Ok(policy));
                assert_eq!(detect(text).map(|dialect| dialect.name()), Ok("native"));
            }
            Err(findings) => {
                let lines = text.split(['\n', '\r']).count();
                assert!(!findings.0.is_empty());
                for finding in findings.0 {
                    assert!((1..=lines).contains(&(finding.line as usize)));
                    assert!((1..=text.chars().count() + 1).contains(&(finding.column as usize)));
                }
            }
        }
    }
});
