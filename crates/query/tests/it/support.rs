//! The flights data and small files as tables, and queries over them without a cluster.

use std::path::PathBuf;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Float64Type},
    util::display::{ArrayFormatter, FormatOptions},
};
use dasklet_query::{
    Planned, QueryOptions, QueryResult, QuerySession, StagedQuery, TableOptions, TableSource,
    Tables, run_here, worker::StageRuntime,
};

pub fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/data/nycflights13")
}

pub fn tables() -> Tables {
    let options = TableOptions { null_value: Some("NA".to_owned()), ..TableOptions::default() };
    let table = |path: &str| TableSource { options: options.clone(), ..TableSource::at(path) };
    Tables::default()
        .with("flights", table("flights/*.csv.gz"))
        .with("airlines", table("airlines.csv.gz"))
        .with("airports", table("airports.csv.gz"))
        .with("planes", table("planes.csv.gz"))
        .with("weather", table("weather.csv.gz"))
        .relative_to(&data())
}

pub fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub fn runtime(memory: Option<u64>) -> (StageRuntime, tempfile::TempDir) {
    let scratch = tempfile::tempdir().unwrap();
    (StageRuntime::new(memory, scratch.path().to_owned()).unwrap(), scratch)
}

pub fn planned(tables: Tables, sql: &str, partitions: usize) -> Result<Planned, String> {
    let options = QueryOptions { partitions: Some(partitions) };
    let session = QuerySession::new(tables).with_options(options);
    tokio().block_on(session.plan(sql)).map_err(|error| error.to_string())
}

pub fn plan_over(tables: Tables, sql: &str, partitions: usize) -> Result<StagedQuery, String> {
    match planned(tables, sql, partitions)? {
        Planned::Query(query) => Ok(query),
        Planned::Explanation(text) => Err(text),
    }
}

pub fn staged(sql: &str, partitions: usize) -> (StagedQuery, QueryResult) {
    let query = plan_over(tables(), sql, partitions).unwrap_or_else(|e| panic!("{sql}: {e}"));
    let (runtime, _scratch) = runtime(None);
    let result =
        run_here(&query, &runtime).unwrap_or_else(|e| panic!("{sql}: {e}\n{}", query.explain()));
    (query, result)
}

/// Rows as text; floating-point sums depend on the order of adding, so their last digits go.
pub fn rows(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("null");
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cell = |column: &dyn Array| match column.data_type() {
                DataType::Float64 if column.is_valid(row) => {
                    format!("{:.8e}", column.as_primitive::<Float64Type>().value(row))
                }
                _ => ArrayFormatter::try_new(column, &options).unwrap().value(row).to_string(),
            };
            rows.push(batch.columns().iter().map(|column| cell(column)).collect());
        }
    }
    rows
}

/// Writes files into a folder of its own, and gives a table over it.
pub fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, TableSource) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let source = TableSource::at(folder.path().to_str().unwrap());
    (folder, source)
}

pub fn run_over(tables: Tables, sql: &str, partitions: usize) -> Result<QueryResult, String> {
    let query = plan_over(tables, sql, partitions)?;
    let (runtime, _scratch) = runtime(None);
    run_here(&query, &runtime).map_err(|error| error.to_string())
}
