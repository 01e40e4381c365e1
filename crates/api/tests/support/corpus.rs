//! The manifests of `tests/corpus`, document by document.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// One document, and what is expected of it.
pub struct Document {
    /// File and number of the document.
    pub place: String,
    /// The text.
    pub text: String,
    /// Part of what a person is told offline.
    pub lint: Option<String>,
    /// Part of what a rule of the API server says.
    pub rule: Option<String>,
}

/// Every document of a folder of the corpus.
pub fn documents(folder: &str) -> Vec<Document> {
    read(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder))
}

/// Every document of the examples.
pub fn examples() -> Vec<Document> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut found = read(&folder);
    found.extend(read(&folder.join("kubernetes")));
    found
}

fn read(folder: &Path) -> Vec<Document> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for (number, text) in text.split("---\n").enumerate() {
            if !text.contains("apiVersion: kubernetes.dask.org/") {
                continue;
            }
            let expected = |mark: &str| {
                let mut lines = text.lines();
                lines.find_map(|line| line.strip_prefix(mark)).map(str::to_owned)
            };
            found.push(Document {
                place: format!("{name} document {number}"),
                text: text.to_owned(),
                lint: expected("# lint: "),
                rule: expected("# rule: "),
            });
        }
    }
    assert!(!found.is_empty(), "{} has no document", folder.display());
    found
}
