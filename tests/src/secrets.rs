//! What must stand in no log, no error, no argument list and no stored file: looked for after every
//! test, in whatever the program left behind.

use std::path::Path;

/// How secrets begin, and how many characters of a secret follow at the least. Key ids are no
/// secrets, so an access key's secret counts only with what follows its id.
const FORMS: [(&str, usize); 6] = [
    ("kws_", 60),
    ("kwk_", 40),
    ("kwt_", 40),
    ("kwl_", 20),
    ("-----BEGIN PRIVATE KEY", 0),
    ("-----BEGIN EC PRIVATE KEY", 0),
];

/// The first secret in a text, cut short; tokens of identity providers are secrets, too.
pub fn find_secret(text: &[u8]) -> Option<String> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let known = FORMS.iter().find_map(|(form, least)| {
        let starts = text.windows(form.len()).enumerate();
        let mut starts = starts.filter(|(_, window)| *window == form.as_bytes());
        starts.find_map(|(at, _)| {
            let rest = &text[at + form.len()..];
            let length = rest.iter().take_while(|byte| is_part(byte)).count();
            (length >= *least).then_some(at)
        })
    });
    let token = || {
        text.windows(3).enumerate().find_map(|(at, window)| {
            let mut parts = text[at..].splitn(3, |byte| *byte == b'.');
            let long = |part: Option<&[u8]>| {
                let length = part?.iter().take_while(|byte| is_part(byte)).count();
                (length >= 20).then_some(length)
            };
            let whole = |part: Option<&[u8]>| {
                let part = part?;
                (part.len() >= 20 && part.iter().all(is_part)).then_some(())
            };
            let begins = window == b"eyJ";
            (begins && whole(parts.next()).is_some() && whole(parts.next()).is_some())
                .then(|| long(parts.next()))
                .flatten()
                .map(|_| at)
        })
    };
    let at = known.or_else(token)?;
    let shown = &text[at..text.len().min(at + 16)];
    Some(format!("{}…", String::from_utf8_lossy(shown)))
}

/// Panics if a text holds a secret; `place` says what text it is.
pub(crate) fn assert_none(place: &str, text: &[u8]) {
    if std::thread::panicking() {
        return; // the first failure is told
    }
    if let Some(secret) = find_secret(text) {
        panic!("a secret stands in {place}: {secret}");
    }
}

/// The same for the files of a store: what a stolen database would show.
pub(crate) fn assert_none_in_store(data_dir: &Path) {
    let entries = std::fs::read_dir(data_dir).into_iter().flatten().flatten();
    for entry in entries {
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("keyward.db")
        {
            let text = std::fs::read(entry.path()).unwrap_or_default();
            assert_none(&entry.path().display().to_string(), &text);
        }
    }
}
