//! Which dialect a document is written in, when nobody says so.

use std::fmt;

use crate::finding::{Code, Collector, Findings, quoted};
use crate::json::{self, Member, Node, Value};
use crate::nearest::suggestion;

/// The version of the native object form.
pub(crate) const NATIVE_VERSION: &str = "keyward-1";

/// A language that policies are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Keyward's own.
    Native,
    /// AWS IAM JSON, versions 2012-10-17 and 2008-10-17.
    Aws,
    /// Tencent CAM, version 2.0.
    Tencent,
    /// Alibaba RAM, version 1.
    Alibaba,
    /// Redis and Valkey ACL rules.
    Acl,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Native,
        Self::Aws,
        Self::Tencent,
        Self::Alibaba,
        Self::Acl,
    ];

    /// The dialect of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }

    /// Its name in commands and documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Aws => "aws",
            Self::Tencent => "tencent",
            Self::Alibaba => "alibaba",
            Self::Acl => "acl",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Tells the dialect by the form: a bare array or version `keyward-1` is native, the versions of
/// the vendors are theirs, text that begins as an ACL rule is `acl`; anything else is an error.
///
/// The document need not be valid otherwise. Only the native one can be read yet.
pub fn detect(text: &str) -> Result<Dialect, Findings> {
    if is_acl(text) {
        return Ok(Dialect::Acl);
    }
    let mut findings = Collector::default();
    if let Some(node) = json::parse(text, &mut findings)
        && let Some(dialect) = of_document(&node, &mut findings)
    {
        return Ok(dialect);
    }
    Err(findings.finish(text))
}

/// The dialect of a JSON document, or a finding.
pub(crate) fn of_document(node: &Node<'_>, findings: &mut Collector) -> Option<Dialect> {
    let members = match &node.value {
        Value::Array(_) => return Some(Dialect::Native),
        Value::Object(members) => members,
        other => {
            let message = format!(
                "expected an array of statements, found {}",
                other.describe()
            );
            findings.add(node.at, Code::WrongType, "", message);
            return None;
        }
    };
    // Tencent spells it in lower case.
    let version = members
        .iter()
        .find(|member| member.name.eq_ignore_ascii_case("version"));
    let Some(version) = version else {
        let (code, message) = without_version(members);
        findings.add(node.at, code, "", message);
        return None;
    };
    let Value::String(text) = &version.node.value else {
        let found = version.node.value.describe();
        let message = format!("expected a version as a string, found {found}");
        findings.add(version.node.at, Code::WrongType, &*version.name, message);
        return None;
    };
    match &**text {
        NATIVE_VERSION => Some(Dialect::Native),
        "2012-10-17" | "2008-10-17" => Some(Dialect::Aws),
        "2.0" => Some(Dialect::Tencent),
        "1" => Some(Dialect::Alibaba),
        unknown => {
            let near = match suggestion(unknown, &[NATIVE_VERSION, "2012-10-17", "2008-10-17"]) {
                none if none.is_empty() => format!(": {VERSIONS}"),
                near => near,
            };
            let message = format!("unknown version {}{near}", quoted(unknown));
            findings.add(version.node.at, Code::Version, &*version.name, message);
            None
        }
    }
}

/// What `Version` may be, for people.
const VERSIONS: &str = "`keyward-1`, of AWS `2012-10-17`, of Tencent `2.0`, of Alibaba `1`";

fn without_version(members: &[Member<'_>]) -> (Code, String) {
    let has = |name: &str| members.iter().any(|member| member.name == name);
    if has("effect") || has("actions") || has("resources") {
        let message = "the old form, one object in lower case, is not read: write an array of \
                       statements, `[{\"Effect\": …, \"Actions\": […], \"Resources\": […]}]`, and \
                       resources as `kvdb/*`";
        return (Code::Legacy, message.into());
    }
    if has("Effect") || has("Actions") {
        let message = "expected an array of statements, found one statement: write it in `[…]`";
        return (Code::WrongType, message.into());
    }
    let message = format!(
        "`Version` is missing, which tells the dialect: {VERSIONS}; or write an array of statements"
    );
    (Code::Version, message)
}

/// Does the text begin with `user ` or an ACL rule?
pub(crate) fn is_acl(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "user",
        "on",
        "off",
        "nopass",
        "resetpass",
        "reset",
        "allkeys",
        "resetkeys",
        "allchannels",
        "resetchannels",
        "allcommands",
        "nocommands",
        "alldbs",
        "resetdbs",
        "clearselectors",
        "sanitize-payload",
        "skip-sanitize-payload",
    ];
    let Some(word) = text.split_ascii_whitespace().next() else {
        return false;
    };
    // A negative number is JSON, if no document.
    let negative = word.starts_with('-') && word[1..].starts_with(|c: char| c.is_ascii_digit());
    let is_word = WORDS.iter().any(|known| word.eq_ignore_ascii_case(known));
    let is_database = word
        .get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case("db="));
    is_word
        || is_database
        || (word.starts_with(['+', '-', '~', '%', '&', '>', '<', '#', '!', '(']) && !negative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_form() {
        let error = |text: &str| Err(text.to_owned());
        let cases = [
            ("[]", Ok(Dialect::Native)),
            ("[{\"Effect\": 1}]", Ok(Dialect::Native)),
            (r#"{"Version": "keyward-1"}"#, Ok(Dialect::Native)),
            (
                r#"{"Version": "2012-10-17", "Statement": []}"#,
                Ok(Dialect::Aws),
            ),
            (r#"{"Version": "2008-10-17"}"#, Ok(Dialect::Aws)),
            (
                r#"{"version": "2.0", "statement": []}"#,
                Ok(Dialect::Tencent),
            ),
            (r#"{"Version": "1"}"#, Ok(Dialect::Alibaba)),
            ("user alice on >x ~* +@all", Ok(Dialect::Acl)),
            ("  +get", Ok(Dialect::Acl)),
            ("ON nopass", Ok(Dialect::Acl)),
            ("-@all", Ok(Dialect::Acl)),
            ("(~a* +get)", Ok(Dialect::Acl)),
            ("db=1,2", Ok(Dialect::Acl)),
            ("%R~a*", Ok(Dialect::Acl)),
            (
                r#"{"Version": "2"}"#,
                error(
                    "1:13: Version: unknown version `2`: `keyward-1`, of AWS `2012-10-17`, of Tencent `2.0`, of Alibaba `1` (E005)",
                ),
            ),
            (
                r#"{"Version": 1}"#,
                error("1:13: Version: expected a version as a string, found the number `1` (E008)"),
            ),
            (
                r#"{"Statement": []}"#,
                error(
                    "1:1: `Version` is missing, which tells the dialect: `keyward-1`, of AWS `2012-10-17`, of Tencent `2.0`, of Alibaba `1`; or write an array of statements (E005)",
                ),
            ),
            (
                r#"{"effect": "Allow"}"#,
                error(
                    "1:1: the old form, one object in lower case, is not read: write an array of statements, `[{\"Effect\": …, \"Actions\": […], \"Resources\": […]}]`, and resources as `kvdb/*` (E007)",
                ),
            ),
            (
                r#"{"Effect": "Allow"}"#,
                error(
                    "1:1: expected an array of statements, found one statement: write it in `[…]` (E008)",
                ),
            ),
            (
                "\"Allow\"",
                error("1:1: expected an array of statements, found the string `Allow` (E008)"),
            ),
            (
                "-5",
                error("1:1: expected an array of statements, found the number `-5` (E008)"),
            ),
            ("hello", error("1:1: expected a value, found `h` (E001)")),
            ("", error("1:1: the document is empty (E001)")),
        ];
        for (text, expected) in cases {
            assert_eq!(
                detect(text).map_err(|findings| findings.to_string()),
                expected,
                "{text}"
            );
        }
    }
}
