//! Files of the corpus, and the form that worlds have in them.

use std::path::{Path, PathBuf};

/// A file of the corpus.
#[derive(Clone, Debug)]
pub struct CorpusFile {
    /// Where it is.
    pub path: PathBuf,
    /// `attacks.txt`
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// The text files of a folder of `corpus/`, by name.
///
/// # Panics
/// If there are none, or one cannot be read.
pub fn corpus(folder: &str) -> Vec<CorpusFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../corpus")
        .join(folder);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the corpus can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}: no cases", folder.display());
    let file = |path: &PathBuf| CorpusFile {
        path: path.clone(),
        name: path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        text: std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    };
    paths.iter().map(file).collect()
}

impl CorpusFile {
    /// Its lines with their numbers, from 1; without comments and empty ones.
    pub fn lines(&self) -> Vec<(usize, &str)> {
        let says = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
        let lines = (1..).zip(self.text.lines());
        lines.filter(|(_, line)| says(line)).collect()
    }
}

/// One line of a world or a story, and what is indented below it.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// Its number in the file.
    pub number: usize,
    /// The line, without its indentation.
    pub line: &'a str,
    /// What belongs to it.
    pub below: Vec<(usize, &'a str)>,
}

impl Step<'_> {
    /// The document below it, if there is one.
    pub fn document(&self) -> Option<String> {
        let text: Vec<&str> = self.below.iter().map(|(_, line)| *line).collect();
        (!text.is_empty()).then(|| text.join("\n"))
    }
}

/// Lines by their indentation: what is deeper than the first belongs to what is above.
pub fn steps<'a>(lines: &[(usize, &'a str)]) -> Vec<Step<'a>> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let first = lines.first().map_or(0, |(_, line)| indent(line));
    let mut steps: Vec<Step<'a>> = Vec::new();
    for (number, line) in lines {
        match steps.last_mut() {
            Some(step) if indent(line) > first => step.below.push((*number, line)),
            _ => steps.push(Step {
                number: *number,
                line: line.trim(),
                below: Vec::new(),
            }),
        }
    }
    steps
}
