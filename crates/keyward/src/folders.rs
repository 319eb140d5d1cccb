//! Files in folders that a command was given instead of files.

use std::path::{Path, PathBuf};

use crate::failure::{Exit, Failure};
use crate::output::printable;

/// Most files that one search finds.
const MAX_FILES: usize = 10_000;
/// Deepest folder in a folder that is looked into.
const MAX_DEPTH: usize = 32;

/// Adds the files of a folder and below that are wanted, in order. Hidden folders, and links to
/// folders, are not followed.
///
/// # Errors
/// A folder cannot be read, or there are more than 10,000 such files.
pub(crate) fn search(
    folder: &Path,
    wanted: fn(&Path) -> bool,
    found: &mut Vec<PathBuf>,
) -> Result<(), Failure> {
    search_to(folder, MAX_DEPTH, wanted, found)
}

fn search_to(
    folder: &Path,
    depth: usize,
    wanted: fn(&Path) -> bool,
    found: &mut Vec<PathBuf>,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        let folder = folder.display().to_string();
        Failure::new(Exit::Failed, format!("`{}`: {error}", printable(&folder)))
    };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        entries.push((entry.path(), entry.file_type().map_err(failed)?));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    for (path, kind) in entries {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if kind.is_dir() && !hidden && depth > 0 {
            search_to(&path, depth - 1, wanted, found)?;
        } else if !kind.is_dir() && wanted(&path) {
            found.push(path);
        }
        if found.len() > MAX_FILES {
            let text = format!("more than {MAX_FILES} such files: name a folder below");
            return Err(Failure::new(Exit::Failed, text));
        }
    }
    Ok(())
}
