//! Where results are written: one file, or a folder with a file for each partition of the result;
//! here, or in an object store.

use std::path::{Path, PathBuf};

use url::Url;

use crate::{
    error::QueryError, local_output, result::QueryResult, row_format::OutputFormat, store_output,
    stores::connect, tables::Compression,
};

/// What the names of part files begin with.
const PART: &str = "part-";

/// Where a result is written: a file, or a folder of part files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    place: Place,
    shown: String,
    format: OutputFormat,
    is_folder: bool,
    overwrite: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Local(PathBuf),
    Store(Url),
}

impl Output {
    /// An output at a path, which is relative to `folder`, or at a URL: a folder if it ends in `/`
    /// or is one, else a file. Only with `overwrite` does it take the place of an earlier one.
    ///
    /// # Errors
    /// When the path is of a kind that is not written: a compressed file, or no URL.
    pub fn new(
        folder: &Path,
        path: &str,
        format: OutputFormat,
        overwrite: bool,
    ) -> Result<Self, QueryError> {
        let (place, shown) = if path.contains("://") {
            let url =
                Url::parse(path).map_err(|error| refused(path, &format!("is no URL: {error}")))?;
            (Place::Store(url), path.to_owned())
        } else {
            let local = folder.join(path);
            let shown = local.display().to_string();
            (Place::Local(local), shown)
        };
        let last = Path::new(path).extension().map(|last| last.to_string_lossy().to_lowercase());
        if last.is_some_and(|last| Compression::of_extension(&last).is_some()) {
            return Err(refused(
                &shown,
                "has the name of a compressed file; results are written as they are: leave that \
                 extension out, or write parquet",
            ));
        }
        let is_folder =
            path.ends_with('/') || matches!(&place, Place::Local(local) if local.is_dir());
        Ok(Self { place, shown, format, is_folder, overwrite })
    }

    /// The same, taking the place of an earlier one.
    #[must_use]
    pub fn overwriting(self) -> Self {
        Self { overwrite: true, ..self }
    }

    /// The path or URL, for people.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// True for a folder of part files.
    #[must_use]
    pub const fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// Looks whether a result could be written, before it is made.
    ///
    /// # Errors
    /// When there is one already that may not be replaced, or nobody can tell.
    pub async fn check(&self) -> Result<(), QueryError> {
        if self.overwrite {
            return Ok(());
        }
        let found = match &self.place {
            Place::Local(path) if self.is_folder => local_output::has_parts(path),
            Place::Local(path) => Ok(path.symlink_metadata().is_ok()),
            Place::Store(url) => match connect(url) {
                Ok(store) => store_output::exists(&*store, url, self.is_folder).await,
                Err(error) => Err(error.to_string()),
            },
        };
        if found.map_err(|problem| self.failed(&problem))? { Err(self.exists()) } else { Ok(()) }
    }

    /// Writes a result: each file whole, or nothing at all. In a folder, part files of an earlier
    /// result are replaced if they may be, and other files left alone. Returns the number of files.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub async fn write(&self, result: &QueryResult) -> Result<usize, QueryError> {
        self.check().await?;
        let written = match &self.place {
            Place::Local(path) if self.is_folder => {
                local_output::write_parts(path, self.format, result)
            }
            Place::Local(path) => local_output::write_file(path, self.format, result).map(|()| 1),
            Place::Store(url) => match connect(url) {
                Ok(store) if self.is_folder => {
                    store_output::write_parts(&*store, url, self.format, result).await
                }
                Ok(store) => {
                    store_output::write_file(&*store, url, self.format, result).await.map(|()| 1)
                }
                Err(error) => Err(error.to_string()),
            },
        };
        written.map_err(|problem| self.failed(&problem))
    }

    fn failed(&self, problem: &str) -> QueryError {
        let remedy = match self.place {
            Place::Local(_) => "check the path and the space left there",
            Place::Store(_) => "check the URL, and the store's credentials in the environment",
        };
        QueryError::Output(format!(
            "the result cannot be written to '{}': {problem}; {remedy}",
            self.shown
        ))
    }

    fn exists(&self) -> QueryError {
        let what = if self.is_folder { "holds part files already" } else { "exists already" };
        refused(
            &self.shown,
            &format!(
                "{what}: give another path, or allow to replace it with `overwrite: true` \
                 (`--overwrite`)"
            ),
        )
    }
}

fn refused(shown: &str, problem: &str) -> QueryError {
    QueryError::Output(format!("the output '{shown}' {problem}"))
}

/// The name of a part.
pub(crate) fn part_name(number: usize, format: OutputFormat) -> String {
    format!("{PART}{number:05}.{}", format.extension())
}

/// True for a name that [`part_name`] gives.
pub(crate) fn is_part(name: &str) -> bool {
    name.strip_prefix(PART).and_then(|rest| rest.split_once('.')).is_some_and(|(number, format)| {
        number.len() >= 5
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && OutputFormat::ALL.iter().any(|known| known.extension() == format)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_parts_are_replaced() {
        for (name, ours) in [
            ("part-00000.csv", true),
            ("part-123456.parquet", true),
            ("part-00000.csv.gz", false),
            ("part-0.csv", false),
            ("part-00000-c000.json", false),
            ("mine.csv", false),
        ] {
            assert_eq!(is_part(name), ours, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_refused_before_anything_runs() {
        let words = "the name of a compressed file";
        for path in ["a.csv.gz", "x.zst", "s3://bucket/a.csv.gz"] {
            let error = Output::new(Path::new("."), path, OutputFormat::Csv, true).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        let error = Output::new(Path::new("."), "://a.csv", OutputFormat::Csv, true).unwrap_err();
        assert!(error.to_string().contains("is no URL"), "{error}");
    }
}
