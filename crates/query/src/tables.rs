//! Tables as the user describes them: a name, where the files are, and how to read them.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};

/// The tables that a query may name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tables(pub BTreeMap<String, TableSource>);

impl Tables {
    /// Adds a table, in place of an older one of the same name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, source: TableSource) -> Self {
        self.0.insert(name.into(), source);
        self
    }

    /// Makes relative local paths absolute by putting `folder` before them: tables of a manifest
    /// are relative to the manifest.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Self {
        for source in self.0.values_mut() {
            if !source.is_remote() && Path::new(&source.path).is_relative() {
                source.path = folder.join(&source.path).to_string_lossy().into_owned();
            }
        }
        self
    }
}

/// Where a table's rows are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSource {
    /// A file, a folder, or a pattern with `*`; local, or a URL (`s3://`, `gs://`, `az://`,
    /// `http://`).
    pub path: String,
    /// How the files are written; absent: by their extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<TableFormat>,
    /// Details of the format.
    #[serde(default)]
    pub options: TableOptions,
}

impl TableSource {
    /// The files at `path`, read by their extension.
    #[must_use]
    pub fn at(path: impl Into<String>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// True for a URL that is not of a local file.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.path.split_once("://").is_some_and(|(scheme, _)| scheme != "file")
    }
}

/// How a table's files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableFormat {
    /// Delimited text.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// One JSON object a line.
    Json,
}

impl TableFormat {
    /// The extensions that name this format, before that of a compression.
    pub(crate) const fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Csv => &["csv", "tsv", "txt"],
            Self::Parquet => &["parquet", "pq"],
            Self::Json => &["json", "jsonl", "ndjson"],
        }
    }

    /// The format that this extension names.
    pub(crate) fn of_extension(extension: &str) -> Option<Self> {
        [Self::Csv, Self::Parquet, Self::Json]
            .into_iter()
            .find(|format| format.extensions().contains(&extension))
    }
}

/// How text files are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, `.gz`.
    Gzip,
    /// bzip2, `.bz2`.
    Bzip2,
    /// xz, `.xz`.
    Xz,
    /// Zstandard, `.zst`.
    Zstd,
}

impl Compression {
    /// The compression that a file's extension names.
    pub(crate) fn of_extension(extension: &str) -> Option<Self> {
        Some(match extension {
            "gz" => Self::Gzip,
            "bz2" => Self::Bzip2,
            "xz" => Self::Xz,
            "zst" | "zstd" => Self::Zstd,
            _ => return None,
        })
    }
}

/// Details of reading a table's files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TableOptions {
    /// CSV: the first line names the columns. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_header: Option<bool>,
    /// CSV: what is between two fields. Default a comma, a tab in `.tsv` files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// CSV: what surrounds a field that holds a delimiter. Default `"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<char>,
    /// CSV: what makes the next character ordinary. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escape: Option<char>,
    /// CSV: lines that begin with it are passed over. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<char>,
    /// CSV: fields with this text are null, as are empty ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null_value: Option<String>,
    /// CSV: quoted fields may hold line ends; such files are not split between tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newlines_in_values: Option<bool>,
    /// CSV and JSON: how the files are compressed; absent: by their extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Types of columns, by name, in place of what the first rows look like. With
    /// `has_header: false` these are the names of the columns too, in their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<ColumnTypes>,
    /// CSV and JSON: how many rows are read to find the types. Default 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infer_rows: Option<usize>,
}

/// Columns and the names of their types, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnTypes(pub Vec<(String, String)>);

impl Serialize for ColumnTypes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, column_type) in &self.0 {
            map.serialize_entry(name, column_type)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for ColumnTypes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = ColumnTypes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from column names to types")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ColumnTypes, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = map.next_entry()? {
                    columns.push(column);
                }
                Ok(ColumnTypes(columns))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_reads_as_the_manifest_writes_it() {
        let tables: Tables = serde_json::from_str(
            r#"{"t": {"path": "a/*.csv", "format": "csv",
                "options": {"has_header": true, "null_value": "NA", "schema": {"b": "int", "a": "text"}}}}"#,
        )
        .unwrap();
        let table = &tables.0["t"];
        assert_eq!(table.format, Some(TableFormat::Csv));
        assert_eq!(table.options.null_value.as_deref(), Some("NA"));
        let columns = table.options.schema.clone().unwrap().0;
        assert_eq!(columns[0], ("b".to_owned(), "int".to_owned()));
    }

    #[test]
    fn an_unknown_option_is_refused() {
        let wrong = r#"{"t": {"path": "a.csv", "options": {"headers": true}}}"#;
        let error = serde_json::from_str::<Tables>(wrong).unwrap_err().to_string();
        assert!(error.contains("headers"), "{error}");
    }

    #[test]
    fn relative_local_paths_follow_the_manifest() {
        let tables = Tables::default()
            .with("near", TableSource::at("data/a.csv"))
            .with("far", TableSource::at("s3://bucket/a.csv"))
            .relative_to(Path::new("/somewhere"));
        assert_eq!(tables.0["near"].path, "/somewhere/data/a.csv");
        assert_eq!(tables.0["far"].path, "s3://bucket/a.csv");
    }
}
