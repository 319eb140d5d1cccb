//! The difference of two documents: a witness must really decide differently, and whatever a
//! witness of the one direction shows, the other direction shows turned round.
#![no_main]

use keyward_policy::{Change, PolicyKind, allows, diff, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, &str, &str)| {
    let (resource, old, new) = input;
    let kind = if resource { PolicyKind::Resource } else { PolicyKind::Identity };
    let (Ok(old), Ok(new)) = (read(old, kind, "acme"), read(new, kind, "acme")) else {
        return;
    };
    let found = diff(&old, &new);
    for difference in &found.differences {
        let (from, to) = match difference.change {
            Change::NowAllowed => (&old, &new),
            Change::NoLongerAllowed => (&new, &old),
        };
        assert!(allows(to, &difference.witness), "{difference:?}");
        assert!(!allows(from, &difference.witness), "{difference:?}");
    }
    let back = diff(&new, &old);
    assert_eq!(found.is_empty(), back.is_empty());
    assert!(diff(&old, &old).is_empty());
});
