//! Results in files of this machine.

use std::{collections::BTreeSet, fs, io, os::unix::fs::PermissionsExt, path::Path};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use tempfile::NamedTempFile;

use crate::{
    output::{is_part, part_name},
    result::QueryResult,
    row_format::{OutputFormat, write_rows},
};

/// Writes all rows to one file.
pub(crate) fn write_file(
    path: &Path,
    format: OutputFormat,
    result: &QueryResult,
) -> Result<(), String> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let file = complete(folder, format, result.schema(), result.batches())?;
    file.persist(path).map(drop).map_err(|error| error.error.to_string())
}

/// Writes each partition to a file of the folder, in place of those of an earlier result.
pub(crate) fn write_parts(
    folder: &Path,
    format: OutputFormat,
    result: &QueryResult,
) -> Result<usize, String> {
    let mut files = Vec::new();
    for (number, rows) in result.partitions().enumerate() {
        files.push((part_name(number, format), complete(folder, format, result.schema(), rows)?));
    }
    // All are complete; from here on nothing but names changes.
    let count = files.len();
    let mut names = BTreeSet::new();
    for (name, file) in files {
        file.persist(folder.join(&name)).map_err(|error| error.error.to_string())?;
        names.insert(name);
    }
    for name in parts(folder).map_err(words)? {
        if !names.contains(&name) {
            fs::remove_file(folder.join(name)).map_err(words)?;
        }
    }
    Ok(count)
}

/// True where there are part files.
pub(crate) fn has_parts(folder: &Path) -> Result<bool, String> {
    match parts(folder) {
        Ok(parts) => Ok(!parts.is_empty()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(words(error)),
    }
}

fn parts(folder: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        found.extend(entry?.file_name().into_string().ok().filter(|name| is_part(name)));
    }
    Ok(found)
}

fn words(error: io::Error) -> String {
    error.to_string()
}

/// A complete file under a temporary name, which readers of the folder pass over.
fn complete(
    folder: &Path,
    format: OutputFormat,
    schema: &SchemaRef,
    rows: &[RecordBatch],
) -> Result<NamedTempFile, String> {
    fs::create_dir_all(folder).map_err(words)?;
    let mut file = NamedTempFile::with_prefix_in(".writing-", folder).map_err(words)?;
    write_rows(format, schema, rows, file.as_file_mut())?;
    // Temporary files are for their owner alone; a result is for whoever the folder is for.
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(words)?;
    file.as_file().sync_all().map_err(words)?;
    Ok(file)
}
