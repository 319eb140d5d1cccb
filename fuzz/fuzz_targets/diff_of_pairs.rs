//! The difference of two documents out of the same words, of any dialects: whatever the one allows
//! and the other does not is told or undecided, and a witness really decides differently.
#![no_main]

mod documents;

use keyward_policy::{
    Change, Dialect, PolicyKind, TranslationNames, allows, diff_of_any_dialect, read_as,
};
use libfuzzer_sys::arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let u = &mut Unstructured::new(input);
    let (Ok((dialect, old_text)), Ok(mixed)) = (documents::document(u), u.ratio(1, 4)) else {
        return;
    };
    let of_new = if mixed { documents::document(u) } else {
        documents::of_dialect(u, dialect).map(|text| (dialect, text))
    };
    let Ok((new_dialect, new_text)) = of_new else {
        return;
    };
    let read = |dialect, text: &str| read_as(Some(dialect), text, PolicyKind::Identity, "test");
    let (Ok(old), Ok(new)) = (read(dialect, &old_text), read(new_dialect, &new_text)) else {
        return;
    };
    let names = TranslationNames { database: Some("main".into()), ..TranslationNames::default() };
    let found = diff_of_any_dialect(&old, &new, &names);
    if [dialect, new_dialect] == [Dialect::Native; 2] {
        for difference in &found.differences {
            let (from, to) = match difference.change {
                Change::NowAllowed => (&old, &new),
                Change::NoLongerAllowed => (&new, &old),
            };
            assert!(allows(to, &difference.witness), "{old_text}\n{new_text}\n{difference:?}");
            assert!(!allows(from, &difference.witness), "{old_text}\n{new_text}\n{difference:?}");
            // As enforcement decides a line of a client's.
            if let Some(words) = difference.witness.line() {
                let context = difference.witness.facts().map(|(name, value)| (name.to_owned(), value.texts()));
                let context: Vec<_> = context.filter(|(name, _)| !name.starts_with("kvdb:")).collect();
                let index = difference.witness.facts().any(|(name, _)| name == "kvdb:DatabaseIndex");
                let class = difference.witness.action().command().map(|id| id.command().class);
                let admin = class == Some(keyward_commands::CommandClass::Administrative);
                let database: &'static str = Box::leak(difference.witness.resource().to_owned().into_boxed_str());
                let asked = documents::Asked { words, database, context };
                if !admin && !index {
                    let is_new = difference.change == Change::NowAllowed;
                    let decided = [(dialect, &old_text), (new_dialect, &new_text)]
                        .map(|(dialect, text)| documents::allows(dialect, text, &asked));
                    assert_eq!(decided, [Some(!is_new), Some(is_new)], "{old_text}\n{new_text}\n{difference:?}");
                }
            }
        }
    }
    let Ok(asked) = documents::asked(u) else {
        return;
    };
    let (Some(was), Some(is)) = (
        documents::allows(dialect, &old_text, &asked),
        documents::allows(new_dialect, &new_text, &asked),
    ) else {
        return;
    };
    let told = |change: Change| {
        found.differences.iter().any(|d| d.change == change)
            || found.undecided.iter().any(|d| d.change == change)
    };
    let shown = || format!("{old_text}\n{new_text}\n{:?} on {} {:?}", asked.words, asked.database, asked.context);
    assert!(was || !is || told(Change::NowAllowed), "{}", shown());
    assert!(is || !was || told(Change::NoLongerAllowed), "{}", shown());
});
