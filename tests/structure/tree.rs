//! The files of the repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders with sources.
const FOLDERS: &[&str] = &["cluster", "proto", "simulation", "src", "tests"];

/// One Rust file.
pub struct Source {
    /// From the repository's root, with slashes.
    pub path: String,
    /// Its contents.
    pub text: String,
}

impl Source {
    /// It holds tests and nothing else.
    pub fn is_test(&self) -> bool {
        self.path.ends_with("_tests.rs") || self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }
}

/// The repository's root.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests are a folder of the repository").to_owned()
}

/// All Rust files, in order of their paths.
pub fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        gather(&root().join(folder), folder, &mut found);
    }
    assert!(found.len() > 20, "The sources aren't where they are looked for: {}", root().display());
    found
}

/// Names in a directory, in order.
pub fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory of the repository can be read");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn gather(directory: &Path, path: &str, found: &mut Vec<Source>) {
    for name in names_in(directory) {
        let file = directory.join(&name);
        let path = format!("{path}/{name}");
        if file.is_dir() {
            if name != "target" {
                gather(&file, &path, found);
            }
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&file).expect("a source file is text");
            found.push(Source { path, text });
        }
    }
}
