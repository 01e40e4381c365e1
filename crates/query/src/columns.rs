//! What columns a table has: those found in its files, with the types that the user gave.

use std::sync::Arc;

use arrow::{
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    error::ArrowError,
};
use datafusion::{
    common::DataFusionError,
    datasource::file_format::{
        FileFormat, csv::CsvFormat, file_compression_type::FileCompressionType, json::JsonFormat,
    },
    execution::SessionState,
};
use object_store::{ObjectMeta, ObjectStore};

use crate::{
    csv_fault, fault,
    file_fault::{FileKind, FilePlace, file_name},
    tables::{ColumnTypes, TableOptions},
};

/// The files of a table, to be looked into.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) state: &'a SessionState,
    pub(crate) format: &'a dyn FileFormat,
    /// The URL of the store.
    pub(crate) folder: &'a str,
    pub(crate) store: &'a Arc<dyn ObjectStore>,
    pub(crate) files: &'a [ObjectMeta],
}

impl Reading<'_> {
    /// The columns of all files together.
    pub(crate) async fn columns(self, options: &TableOptions) -> Result<SchemaRef, String> {
        match self.format.infer_schema(self.state, self.store, self.files).await {
            Ok(found) => with_types(&found, options),
            Err(error) => self.one_by_one(options, error).await,
        }
    }

    /// Looks into each file by itself: finds the one that is wrong, or has other columns than
    /// those before it. Where only types differ that the user gave, nothing is wrong.
    async fn one_by_one(
        self,
        options: &TableOptions,
        error: DataFusionError,
    ) -> Result<SchemaRef, String> {
        let mut together: Option<Schema> = None;
        for file in self.files {
            let alone = std::slice::from_ref(file);
            let found = match self.format.infer_schema(self.state, self.store, alone).await {
                Ok(found) => given_types(&found, options)?,
                Err(error) => return Err(self.unreadable(file, error).await),
            };
            together = Some(match together {
                None => found,
                Some(before) => Schema::try_merge([before, found]).map_err(|error| {
                    let problem = match error {
                        ArrowError::SchemaError(problem) => problem,
                        other => other.to_string(),
                    };
                    format!(
                        "{}: its columns are not those of the files before it ({problem}); give \
                         such columns a type in `options.schema`",
                        file_name(self.folder, &file.location)
                    )
                })?,
            });
        }
        match together {
            Some(found) => with_types(&Arc::new(found), options),
            None => Err(fault::sentence(&error)),
        }
    }

    async fn unreadable(self, file: &ObjectMeta, error: DataFusionError) -> String {
        match self.format.downcast_ref::<CsvFormat>() {
            Some(csv) => self.unreadable_csv(csv, file, error).await,
            None => self.unreadable_other(file, error).await,
        }
    }

    async fn unreadable_csv(
        self,
        format: &CsvFormat,
        file: &ObjectMeta,
        error: DataFusionError,
    ) -> String {
        let piece = csv_fault::Piece {
            name: file_name(self.folder, &file.location),
            location: file.location.clone(),
            start: 0,
            terminator: b'\n',
            schema: Arc::new(Schema::empty()),
        };
        if let Some(sentence) = piece.uneven_line(&**self.store, format.options()).await {
            return sentence;
        }
        with_name(&piece.name, fault::sentence(&piece.locate(&**self.store, error).await))
    }

    async fn unreadable_other(self, file: &ObjectMeta, error: DataFusionError) -> String {
        let kind = match self.format.downcast_ref::<JsonFormat>() {
            Some(json) => FileKind::Json {
                compression: FileCompressionType::from(json.options().compression),
                // What the columns are is not known yet; what is no JSON shows without them.
                columns: Arc::new(Schema::empty()),
            },
            None => FileKind::Parquet,
        };
        let location = file.location.clone();
        let place = FilePlace::new(Arc::clone(self.store), self.folder, location, kind);
        let sentence = fault::sentence(&place.locate(error).await);
        with_name(&file_name(self.folder, &file.location), sentence)
    }
}

fn with_name(name: &str, sentence: String) -> String {
    if sentence.contains(name) { sentence } else { format!("{name}: {sentence}") }
}

/// One file's columns, with the user's types for those that have the user's names.
fn given_types(found: &Schema, options: &TableOptions) -> Result<Schema, String> {
    let given = options.schema.as_ref().map_or(&[][..], |types| &types.0);
    let typed = found.fields().iter().map(|field| {
        match given.iter().find(|(name, _)| name == field.name()) {
            Some((_, given)) => Ok(field.as_ref().clone().with_data_type(type_named(given)?)),
            None => Ok(field.as_ref().clone()),
        }
    });
    Ok(Schema::new(typed.collect::<Result<Vec<_>, String>>()?))
}

/// The columns found, with the types that the user gave.
fn with_types(found: &SchemaRef, options: &TableOptions) -> Result<SchemaRef, String> {
    let Some(ColumnTypes(given)) = &options.schema else {
        return Ok(Arc::new(Schema::new(
            found.fields().iter().map(|field| never_null_typed(field)).collect::<Vec<_>>(),
        )));
    };
    let mut fields: Vec<Field> =
        found.fields().iter().map(|field| never_null_typed(field)).collect();
    let by_position = options.has_header == Some(false);
    if by_position && given.len() != fields.len() {
        return Err(format!(
            "`options.schema` names {} columns, the files have {}; name each, in order",
            given.len(),
            fields.len()
        ));
    }
    for (position, (name, column_type)) in given.iter().enumerate() {
        let at = if by_position {
            position
        } else {
            fields.iter().position(|field| field.name() == name).ok_or_else(|| {
                let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
                format!(
                    "`options.schema` names column '{name}', which the files do not have; they \
                     have {}",
                    names.join(", ")
                )
            })?
        };
        fields[at] = Field::new(name, type_named(column_type)?, true);
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// A column of which only nulls were seen may hold any text.
fn never_null_typed(field: &Field) -> Field {
    match field.data_type() {
        DataType::Null => field.clone().with_data_type(DataType::Utf8),
        _ => field.clone(),
    }
}

fn type_named(name: &str) -> Result<DataType, String> {
    Ok(match name.trim().to_ascii_lowercase().as_str() {
        "bool" | "boolean" => DataType::Boolean,
        "tinyint" => DataType::Int8,
        "smallint" => DataType::Int16,
        "int" | "integer" => DataType::Int32,
        "bigint" | "long" => DataType::Int64,
        "float" | "real" => DataType::Float32,
        "double" | "double precision" => DataType::Float64,
        "text" | "string" | "varchar" | "char" => DataType::Utf8,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamptz" | "timestamp with time zone" => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        _ => name.trim().parse().map_err(|_| {
            format!(
                "'{name}' in `options.schema` is no type; use boolean, int, bigint, float, \
                 double, text, date, timestamp, or Arrow's name of a type"
            )
        })?,
    })
}
