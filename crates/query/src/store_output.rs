//! Results in object stores. A file is there as a whole or not at all; the files of a folder
//! appear one after the other.

use std::collections::BTreeSet;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use object_store::{Error, ObjectStore, ObjectStoreExt, WriteMultipart, path::Path};
use url::Url;

use crate::{
    output::{is_part, part_name},
    result::QueryResult,
    row_format::{OutputFormat, write_rows},
};

/// Larger files travel in pieces.
const ONE_REQUEST: usize = 16 << 20;

/// Writes all rows to one file.
pub(crate) async fn write_file(
    store: &dyn ObjectStore,
    url: &Url,
    format: OutputFormat,
    result: &QueryResult,
) -> Result<(), String> {
    upload(store, &path_of(url)?, encoded(format, result.schema(), result.batches())?).await
}

/// Writes each partition to a file of the folder, in place of those of an earlier result.
pub(crate) async fn write_parts(
    store: &dyn ObjectStore,
    url: &Url,
    format: OutputFormat,
    result: &QueryResult,
) -> Result<usize, String> {
    let folder = path_of(url)?;
    let mut written = BTreeSet::new();
    for (number, rows) in result.partitions().enumerate() {
        let path = folder.clone().join(part_name(number, format));
        upload(store, &path, encoded(format, result.schema(), rows)?).await?;
        written.insert(path);
    }
    for part in parts(store, &folder).await? {
        if !written.contains(&part) {
            store.delete(&part).await.map_err(words)?;
        }
    }
    Ok(written.len())
}

/// True where there is such a file, or a folder with part files.
pub(crate) async fn exists(
    store: &dyn ObjectStore,
    url: &Url,
    is_folder: bool,
) -> Result<bool, String> {
    let path = path_of(url)?;
    if is_folder {
        return Ok(!parts(store, &path).await?.is_empty());
    }
    match store.head(&path).await {
        Ok(_) => Ok(true),
        Err(Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(words(error)),
    }
}

async fn parts(store: &dyn ObjectStore, folder: &Path) -> Result<Vec<Path>, String> {
    let listed = store.list_with_delimiter(Some(folder)).await.map_err(words)?;
    let paths = listed.objects.into_iter().map(|object| object.location);
    Ok(paths.filter(|path| path.filename().is_some_and(is_part)).collect())
}

fn path_of(url: &Url) -> Result<Path, String> {
    Path::from_url_path(url.path()).map_err(|error| error.to_string())
}

fn words(error: Error) -> String {
    error.to_string()
}

fn encoded(
    format: OutputFormat,
    schema: &SchemaRef,
    rows: &[RecordBatch],
) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    write_rows(format, schema, rows, &mut bytes)?;
    Ok(bytes)
}

async fn upload(store: &dyn ObjectStore, path: &Path, bytes: Vec<u8>) -> Result<(), String> {
    if bytes.len() <= ONE_REQUEST {
        return store.put(path, bytes.into()).await.map(drop).map_err(words);
    }
    let upload = store.put_multipart(path).await.map_err(words)?;
    let mut writer = WriteMultipart::new_with_chunk_size(upload, ONE_REQUEST);
    writer.put(bytes.into());
    writer.finish().await.map(drop).map_err(words)
}
