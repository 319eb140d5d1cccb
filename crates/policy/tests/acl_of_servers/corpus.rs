//! The cases of `corpus/acl`.

use std::path::{Path, PathBuf};

/// One call and the answer to it, or no call where the rules themselves are refused.
pub(crate) struct Case {
    /// `refused.txt:12`
    pub(crate) place: String,
    /// The rules.
    pub(crate) user: String,
    /// What is expected: `ok`, the reason of a refusal, or `refused`.
    pub(crate) expected: String,
    /// The words.
    pub(crate) call: Vec<Vec<u8>>,
    /// The database of the connection.
    pub(crate) db_index: u32,
}

/// All cases of all files.
pub(crate) fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/acl");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let (mut user, mut db_index) = (String::new(), 0);
        for (number, line) in text.lines().enumerate() {
            let place = format!("{file}:{}", number + 1);
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            match first {
                "" | "#" => {}
                "user" => (user, db_index) = (rest.to_owned(), 0),
                "in" => db_index = rest.parse().unwrap_or_else(|_| panic!("{place}")),
                "refused" | "ok" | "database" | "command" | "key" | "channel" => {
                    let word = |word: &str| match word {
                        "\"\"" => Vec::new(),
                        word => word.as_bytes().to_vec(),
                    };
                    cases.push(Case {
                        place,
                        user: user.clone(),
                        expected: first.to_owned(),
                        call: rest.split_ascii_whitespace().map(word).collect(),
                        db_index,
                    });
                }
                _ => panic!("{place}: `{first}`"),
            }
        }
    }
    assert!(cases.len() > 300);
    cases
}
