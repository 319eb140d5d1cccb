//! Documents of the vendors' dialects: whatever is read is read the same again, and answers.
#![no_main]

use keyward_policy::{Dialect, NoFacts, PolicyKind, VendorPrincipal, VendorRequest, read_as};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for dialect in [Dialect::Aws, Dialect::Tencent, Dialect::Alibaba] {
        for kind in [PolicyKind::Identity, PolicyKind::Resource] {
            match read_as(Some(dialect), text, kind, "acme") {
                Ok(policy) => {
                    assert_eq!(policy.text(), text);
                    let request = VendorRequest {
                        action: "kvdb:ExecuteGet".into(),
                        resource: "arn:aws:s3:::a".into(),
                    };
                    for statement in policy.statements() {
                        let _ = statement.matches_vendor(&request, "1", &NoFacts);
                    }
                    assert_eq!(read_as(Some(dialect), text, kind, "acme"), Ok(policy));
                }
                Err(findings) => {
                    let lines = text.split(['\n', '\r']).count();
                    assert!(!findings.0.is_empty());
                    for finding in findings.0 {
                        assert!((1..=lines).contains(&(finding.line as usize)));
                    }
                }
            }
        }
        let _ = VendorPrincipal::parse(dialect, text);
    }
});
