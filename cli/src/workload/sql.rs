//! A query from a manifest: planned here, run in stages on the cluster, its rows shown or written.

use std::path::Path;

use dasklet_api::SqlWorkload;
use dasklet_client::{ClientError, Job};
use dasklet_query::{
    Output, OutputFormat, Planned, QueryError, QueryResult, QuerySession, StagedQuery, TableFormat,
    TableOptions, TableSource, Tables,
};
use serde_json::Value;

use super::{report::Results, run::failed_or_lost, stages::StageWatch};
use crate::commands::counted;

/// Rows of a table that people read; all are in the JSON form.
const MOST_ROWS_SHOWN: usize = 1000;

/// Plans a query; paths are relative to `folder`.
///
/// # Errors
/// The SQL is wrong, or a table is.
pub async fn plan(query: &SqlWorkload, folder: &Path) -> Result<Planned, Stop> {
    let tables = tables(query, folder).map_err(Stop::Said)?;
    Ok(QuerySession::new(tables).plan(&query.sql).await?)
}

/// Where a query's rows are written, if they are not shown; a path is relative to `folder`.
///
/// # Errors
/// Nothing can be written there.
pub fn output_of(query: &SqlWorkload, folder: &Path) -> Result<Option<Output>, QueryError> {
    let Some(output) = &query.output else { return Ok(None) };
    let format = output.format.or_else(|| dasklet_api::TableFormat::of_path(&output.path));
    let format = match format {
        Some(dasklet_api::TableFormat::Parquet) => OutputFormat::Parquet,
        Some(dasklet_api::TableFormat::Json) => OutputFormat::Json,
        _ => OutputFormat::Csv,
    };
    Output::new(folder, &output.path, format, output.overwrite.unwrap_or(false)).map(Some)
}

/// Runs a query; paths are relative to `folder`. One that was planned before is not planned again.
/// What an earlier attempt has written may be replaced.
///
/// # Errors
/// The scheduler was lost. A query that fails is an outcome.
pub async fn run(
    job: &Job,
    query: &SqlWorkload,
    folder: &Path,
    planned: Option<&Planned>,
    is_first: bool,
    mut stages: StageWatch,
) -> Result<(Results, Option<String>), ClientError> {
    let outcome = async {
        let mut output = output_of(query, folder)?;
        if !is_first {
            output = output.map(Output::overwriting);
        }
        if let Some(output) = &output {
            output.check().await?;
        }
        let fresh;
        let planned = match planned {
            Some(planned) => planned,
            None => {
                fresh = plan(query, folder).await?;
                &fresh
            }
        };
        let staged = match planned {
            Planned::Query(staged) => staged,
            Planned::Explanation(text) => {
                return Ok(Results::Explained { explanation: text.clone() });
            }
        };
        let result = dasklet_query::run(job, staged, |seen| stages.show(seen)).await?;
        match output {
            Some(output) => written(&output, &result).await,
            None => shown(staged, &result),
        }
    };
    match outcome.await {
        Ok(results) => Ok((results, None)),
        Err(Stop::Said(sentence)) => Ok((Results::default(), Some(sentence))),
        Err(Stop::Query(QueryError::Client(error))) => failed_or_lost(error),
        Err(Stop::Query(error)) => Ok((Results::default(), Some(error.to_string()))),
    }
}

/// Why there are no rows.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// In words.
    #[error("{0}")]
    Said(String),
    /// The query's own error.
    #[error(transparent)]
    Query(#[from] QueryError),
}

fn tables(query: &SqlWorkload, folder: &Path) -> Result<Tables, String> {
    let mut tables = Tables::default();
    for table in &query.tables {
        let options = Value::Object(table.options.clone().into_iter().collect());
        let options: TableOptions = serde_json::from_value(options)
            .map_err(|error| format!("options of table '{}': {error}", table.name))?;
        let source = TableSource {
            path: table.path.clone(),
            format: Some(format_of(table.format)),
            options,
        };
        tables = tables.with(table.name.clone(), source);
    }
    Ok(tables.relative_to(folder))
}

const fn format_of(format: dasklet_api::TableFormat) -> TableFormat {
    match format {
        dasklet_api::TableFormat::Csv => TableFormat::Csv,
        dasklet_api::TableFormat::Parquet => TableFormat::Parquet,
        dasklet_api::TableFormat::Json => TableFormat::Json,
    }
}

fn shown(staged: &StagedQuery, result: &QueryResult) -> Result<Results, Stop> {
    let rows = result
        .json_lines()?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Value>, _>>()
        .map_err(|error| Stop::Said(format!("the result has no JSON form: {error}")))?;
    let columns = staged.columns();
    let text = result.table(MOST_ROWS_SHOWN)? + "\n";
    Ok(Results::Rows { columns, rows: Value::Array(rows), text })
}

async fn written(output: &Output, result: &QueryResult) -> Result<Results, Stop> {
    let files = output.write(result).await?;
    let rows = counted(result.rows() as u64, "row");
    let path = output.shown();
    let written = if output.is_folder() {
        format!("{rows} in {} of {path}", counted(files as u64, "file"))
    } else {
        format!("{rows} in {path}")
    };
    Ok(Results::Written { written })
}
