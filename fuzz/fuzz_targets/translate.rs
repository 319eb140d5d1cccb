//! A translation never allows more than its original, and one without losses allows the same.
#![no_main]

mod documents;

use keyward_policy::{Dialect, PolicyKind, TranslationNames, read_as, translate};
use libfuzzer_sys::arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let u = &mut Unstructured::new(input);
    let (Ok((dialect, text)), Ok(narrow)) = (documents::document(u), u.arbitrary::<bool>()) else {
        return;
    };
    let to = [Dialect::Native, Dialect::Aws, Dialect::Tencent, Dialect::Alibaba, Dialect::Acl];
    let Ok(to) = u.choose(&to) else {
        return;
    };
    let Ok(policy) = read_as(Some(dialect), &text, PolicyKind::Identity, "test") else {
        return;
    };
    let names = TranslationNames { database: Some("main".into()), ..TranslationNames::default() };
    let Ok(translated) = translate(&policy, *to, &names, narrow) else {
        return;
    };
    assert!(narrow || translated.losses.is_empty());
    for _ in 0..4 {
        let Ok(asked) = documents::asked(u) else {
            return;
        };
        // ACL rules are of one database.
        if (*to == Dialect::Acl || dialect == Dialect::Acl) && asked.database != "kvdb/main" {
            continue;
        }
        let was = documents::allows(dialect, &text, &asked);
        let is = documents::allows(*to, &translated.text, &asked);
        let shown = || format!("{text}\n{}\n{:?} on {} {:?}", translated.text, asked.words, asked.database, asked.context);
        assert!(is.is_some(), "{}", shown());
        assert!(is != Some(true) || was == Some(true), "wider: {}", shown());
    }
});
