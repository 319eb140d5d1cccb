//! Files of a test.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

/// A folder with files, which is gone after the test.
#[derive(Debug)]
pub struct Files(TempDir);

impl Default for Files {
    fn default() -> Self {
        Self::new()
    }
}

impl Files {
    /// An empty folder.
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        self.0
            .path()
            .to_str()
            .expect("temporary folders have names in UTF-8")
    }

    /// Writes a file, and makes the folders that it is in.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        let folder = path.parent().expect("it is in the folder");
        fs::create_dir_all(folder).expect("a folder for it");
        fs::write(path, text).expect("room for it");
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.0.path().join(name)).expect("it is there");
    }

    /// Every file in it and below, by its path.
    pub fn all(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        walk(self.0.path(), self.0.path(), &mut found);
        found
    }
}

fn walk(folder: &Path, base: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            walk(&path, base, found);
        } else {
            let name = path.strip_prefix(base).expect("it is below").display();
            let text = fs::read_to_string(&path).expect("a text");
            found.insert(name.to_string(), text);
        }
    }
}
