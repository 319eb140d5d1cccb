//! The cases of `corpus/acl`.

use crate::corpus::corpus;

/// One call and the answer to it, or no call where the rules themselves are refused.
#[derive(Clone, Debug)]
pub struct AclCase {
    /// `refused.txt:12`
    pub place: String,
    /// The rules.
    pub user: String,
    /// What is expected: `ok`, the reason of a refusal, or `refused`.
    pub expected: String,
    /// The words.
    pub call: Vec<Vec<u8>>,
    /// The database of the connection.
    pub db_index: u32,
}

/// All cases of all files.
///
/// # Panics
/// Where one is malformed, with its place.
pub fn acl_cases() -> Vec<AclCase> {
    let mut cases = Vec::new();
    for file in corpus("acl") {
        let (mut user, mut db_index) = (String::new(), 0);
        for (number, line) in file.lines() {
            let place = format!("{}:{number}", file.name);
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            match first {
                "user" => (user, db_index) = (rest.to_owned(), 0),
                "in" => db_index = rest.parse().unwrap_or_else(|_| panic!("{place}")),
                "refused" | "ok" | "database" | "command" | "key" | "channel" => {
                    let word = |word: &str| match word {
                        "\"\"" => Vec::new(),
                        word => word.as_bytes().to_vec(),
                    };
                    cases.push(AclCase {
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
