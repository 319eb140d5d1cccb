//! What was found, with its places.

use std::collections::HashSet;

use crate::check::draft::token_end;
use crate::check::rules::{Kind, Rule, Severity, rule};
use crate::finding::{Findings, Places};

/// Most findings of one severity that are listed.
pub const MAX_LISTED: usize = 250;

/// A part of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1, in characters.
    pub column: u32,
    /// The line of its end.
    pub end_line: u32,
    /// The column behind its last character.
    pub end_column: u32,
    /// Offset of its first byte.
    pub from: usize,
    /// Offset behind its last byte.
    pub to: usize,
}

/// A change that removes a finding. Shown, never made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What it does.
    pub description: String,
    /// What is replaced.
    pub region: Region,
    /// What is put there.
    pub replacement: String,
}

/// Another part of the document that a finding speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// Where it is.
    pub region: Region,
    /// Path into the document.
    pub path: String,
}

/// One thing to know about a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind it is.
    pub rule: &'static Rule,
    /// Where.
    pub region: Region,
    /// Path into the document, such as `[0].Actions[1]`; empty for the document itself.
    pub path: String,
    /// What was found and what would be right.
    pub message: String,
    /// What it has to do with.
    pub related: Option<Related>,
    /// A change that removes it.
    pub fix: Option<Fix>,
}

/// All findings of a document, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
    /// How many statements the document has, if it could be read.
    pub statements: Option<usize>,
}

impl Report {
    /// The worst severity, if there is a finding.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        let severities = self.findings.iter().map(|finding| finding.rule.severity);
        severities.max()
    }
}

/// A finding by offsets.
struct Raw {
    rule: &'static Rule,
    from: usize,
    to: usize,
    path: String,
    message: String,
    related: Option<(usize, usize, String)>,
    fix: Option<(String, usize, usize, String)>,
}

/// Collects findings of a text.
pub(crate) struct Reporter<'d> {
    pub(crate) text: &'d str,
    found: Vec<Raw>,
    counts: [usize; 4],
    /// Something was not looked for.
    is_cut: bool,
    errors: Vec<Finding>,
}

/// The finding that was added last, to be completed.
pub(crate) struct Added<'r>(Option<&'r mut Raw>);

impl<'d> Reporter<'d> {
    pub(crate) fn new(text: &'d str) -> Self {
        Self {
            text,
            found: Vec::new(),
            counts: [0; 4],
            is_cut: false,
            errors: Vec::new(),
        }
    }

    /// Is there no use in looking for more of the kind? Then the report says that it is not whole.
    pub(crate) fn is_full(&mut self, kind: Kind) -> bool {
        let full = self.counts[kind.rule().severity as usize] >= MAX_LISTED;
        self.is_cut |= full;
        full
    }

    /// Adds a finding about the value or name that begins at an offset.
    pub(crate) fn add(
        &mut self,
        kind: Kind,
        at: usize,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Added<'_> {
        let to = token_end(self.text, at);
        self.add_range(kind, at, to, path, message)
    }

    /// Adds a finding about a range.
    pub(crate) fn add_range(
        &mut self,
        kind: Kind,
        from: usize,
        to: usize,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Added<'_> {
        let rule = kind.rule();
        let count = &mut self.counts[rule.severity as usize];
        *count += 1;
        if *count > MAX_LISTED {
            return Added(None);
        }
        self.found.push(Raw {
            rule,
            from,
            to,
            path: path.into(),
            message: message.into(),
            related: None,
            fix: None,
        });
        Added(self.found.last_mut())
    }

    /// Adds what a reader refused.
    pub(crate) fn add_errors(&mut self, findings: &Findings) {
        let mut at = Offsets::new(self.text);
        for finding in &findings.0 {
            let Some(rule) = rule(finding.code) else {
                continue;
            };
            let from = at.of(finding.line, finding.column);
            let region = Region {
                from,
                to: token_end(self.text, from),
                ..Region::default()
            };
            let fix = nearest_name(&finding.message, &self.text[region.from..region.to]);
            self.errors.push(Finding {
                rule,
                region,
                path: finding.path.clone(),
                message: finding.message.clone(),
                related: None,
                fix: fix.map(|name| Fix {
                    description: format!("write `{name}`"),
                    region,
                    replacement: format!("\"{name}\""),
                }),
            });
        }
    }

    /// All findings in the order of the text, errors first where they stand at the same place.
    pub(crate) fn finish(mut self, statements: Option<usize>) -> Report {
        if self.is_cut || self.counts.iter().any(|count| *count > MAX_LISTED) {
            let rule = Kind::NotCompared.rule();
            let message = format!("more than {MAX_LISTED} of a severity: the rest is not listed");
            let end = self.text.len();
            self.found.push(Raw {
                rule,
                from: end,
                to: end,
                path: String::new(),
                message,
                related: None,
                fix: None,
            });
        }
        let region = |from, to| Region {
            from,
            to,
            ..Region::default()
        };
        let finding = |raw: Raw| Finding {
            rule: raw.rule,
            region: region(raw.from, raw.to),
            path: raw.path,
            message: raw.message,
            related: raw.related.map(|(from, to, path)| Related {
                region: region(from, to),
                path,
            }),
            fix: raw.fix.map(|(description, from, to, replacement)| Fix {
                description,
                region: region(from, to),
                replacement,
            }),
        };
        let mut findings: Vec<Finding> = self.errors;
        // What is refused at a place is all that is to know of it.
        let refused: HashSet<usize> = findings.iter().map(|error| error.region.from).collect();
        self.found
            .retain(|raw| !refused.contains(&raw.from) || raw.from == 0);
        findings.extend(self.found.into_iter().map(finding));
        findings.sort_by(|a, b| {
            let key = |finding: &Finding| (finding.region.from, finding.region.to);
            key(a)
                .cmp(&key(b))
                .then(b.rule.severity.cmp(&a.rule.severity))
                .then(a.rule.code.cmp(b.rule.code))
        });
        place(self.text, &mut findings);
        Report {
            findings,
            statements,
        }
    }
}

impl Added<'_> {
    /// Names another part of the document.
    pub(crate) fn related(mut self, from: usize, to: usize, path: impl Into<String>) -> Self {
        if let Some(raw) = &mut self.0 {
            raw.related = Some((from, to, path.into()));
        }
        self
    }

    /// Offers a change of a range.
    pub(crate) fn fix(
        mut self,
        description: impl Into<String>,
        from: usize,
        to: usize,
        replacement: impl Into<String>,
    ) -> Self {
        if let Some(raw) = &mut self.0 {
            raw.fix = Some((description.into(), from, to, replacement.into()));
        }
        self
    }

    /// Offers to take an element out of an array.
    pub(crate) fn fix_by_removing(
        self,
        text: &str,
        description: &str,
        starts: &[usize],
        index: usize,
    ) -> Self {
        match removal(text, starts, index) {
            Some((from, to)) => self.fix(description, from, to, ""),
            None => self,
        }
    }
}

/// What to delete so that an array loses one element and stays an array. `starts` are the offsets of
/// all its elements. An array is not emptied.
fn removal(text: &str, starts: &[usize], index: usize) -> Option<(usize, usize)> {
    let at = *starts.get(index)?;
    if let Some(next) = starts.get(index + 1) {
        return Some((at, *next));
    }
    let before = *starts.get(index.checked_sub(1)?)?;
    Some((token_end(text, before), token_end(text, at)))
}

/// The name that an error takes a text for: the first that it suggests instead of the whole token.
fn nearest_name<'m>(message: &'m str, token: &str) -> Option<&'m str> {
    let text = token.strip_prefix('"')?.strip_suffix('"')?;
    let (before, near) = message.split_once("did you mean `")?;
    let (name, _) = near.split_once('`')?;
    let plain = |text: &str| !text.is_empty() && !text.contains(['"', '\\', '…']);
    (plain(text) && plain(name) && before.contains(&format!("`{text}`"))).then_some(name)
}

/// Fills in lines and columns, in one pass over the text.
fn place(text: &str, findings: &mut [Finding]) {
    let mut regions: Vec<&mut Region> = Vec::new();
    for finding in findings {
        regions.push(&mut finding.region);
        regions.extend(finding.related.as_mut().map(|related| &mut related.region));
        regions.extend(finding.fix.as_mut().map(|fix| &mut fix.region));
    }
    regions.sort_unstable_by_key(|region| region.from);
    let mut places = Places::new(text);
    for region in &mut regions {
        (region.line, region.column) = places.advance(region.from);
    }
    regions.sort_unstable_by_key(|region| region.to);
    let mut places = Places::new(text);
    for region in &mut regions {
        (region.end_line, region.end_column) = places.advance(region.to);
    }
}

/// Offsets of growing lines and columns, in one pass over the text.
struct Offsets<'d> {
    text: &'d str,
    at: usize,
    line: u32,
    column: u32,
}

impl<'d> Offsets<'d> {
    fn new(text: &'d str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
            column: 1,
        }
    }

    /// Counts as [`Places`] does. A place before the last one is looked for from the beginning.
    fn of(&mut self, line: u32, column: u32) -> usize {
        if (line, column) < (self.line, self.column) {
            *self = Self::new(self.text);
        }
        while (self.line, self.column) < (line, column) {
            let mut rest = self.text[self.at..].chars();
            let Some(c) = rest.next() else {
                break;
            };
            self.at += c.len_utf8();
            if c == '\n' || (c == '\r' && !rest.as_str().starts_with('\n')) {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_the_reverse_of_places() {
        let text = "é\"x\r\ny\rz\n\nw";
        let mut offsets = Offsets::new(text);
        let mut places = Places::new(text);
        for at in [0, 2, 3, 6, 8, 10, 11, 12] {
            let at = at.min(text.len());
            let (line, column) = places.advance(at);
            assert_eq!(offsets.of(line, column), at);
        }
        assert_eq!(offsets.of(1, 2), 2);
        assert_eq!(offsets.of(99, 1), text.len());
    }

    #[test]
    fn what_errors_suggest() {
        let cases = [
            (
                "unknown action `a:Gett`: did you mean `a:Get`, `a:Set`?",
                "\"a:Gett\"",
                Some("a:Get"),
            ),
            (
                "unknown action `a:Gett`: did you mean `a:Get`?",
                "\"a:Gett:b\"",
                None,
            ),
            ("unknown action `a:Gett`", "\"a:Gett\"", None),
            (
                "expected `true`, found `tru`: did you mean `true`?",
                "tru",
                None,
            ),
        ];
        for (message, token, expected) in cases {
            assert_eq!(nearest_name(message, token), expected, "{message} {token}");
        }
    }

    #[test]
    fn what_is_removed() {
        let text = "[ 1, 22 ,3 ]";
        let starts = [2, 5, 9];
        let without = |index| {
            let (from, to) = removal(text, &starts, index).unwrap();
            format!("{}{}", &text[..from], &text[to..])
        };
        assert_eq!(without(0), "[ 22 ,3 ]");
        assert_eq!(without(1), "[ 1, 3 ]");
        assert_eq!(without(2), "[ 1, 22 ]");
        assert_eq!(removal("[1]", &[1], 0), None);
        assert_eq!(removal("[1]", &[1], 7), None);
    }
}
