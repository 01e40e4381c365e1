//! `dasklet sql`: one query, without a manifest.

use std::{collections::BTreeMap, sync::Arc};

use clap::{Args, ValueEnum};
use dasklet_api::{LocalWorker, Output as SqlOutput, SqlWorkload, Table, TableFormat, Workload};
use dasklet_query::Planned;
use serde_json::json;

use super::{Output, print, print_json};
use crate::{
    exit::Failure,
    runner::{Reporting, Runner},
    scenario::{ClusterPlan, JobPlan, Scenario},
    substrate::Ports,
    workload::{output_of, plan_query},
};

/// Runs one SQL query, on a cluster of its own or on an existing scheduler.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dasklet sql \"SELECT carrier, count(*) FROM flights GROUP BY carrier\" \\
      --table 'flights=examples/data/nycflights13/flights/*.csv.gz' --null NA
  dasklet sql \"SELECT * FROM t LIMIT 10\" --table t=data/ --format parquet
  dasklet sql \"SELECT count(*) FROM t\" --table t=t.csv --scheduler tcp://127.0.0.1:8786
  dasklet sql \"SELECT * FROM t\" --table t=t.csv --to t.parquet
  dasklet sql \"SELECT * FROM t\" --table t=t.csv --to parts/ --to-format parquet
  dasklet sql \"EXPLAIN SELECT a, count(*) FROM t GROUP BY a\" --table t=t.csv

A query that cannot be planned ends with code 2, before anything is started.")]
pub struct Sql {
    /// The query
    query: String,
    /// A table, as name=path: a file, a folder or a pattern, local or a URL. May be repeated
    #[arg(long = "table", short = 't', value_name = "NAME=PATH", value_parser = table)]
    tables: Vec<(String, String)>,
    /// How the files are written; default: by their names
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// CSV: fields with this text are null
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
    /// CSV: the first line is data, not names
    #[arg(long)]
    no_header: bool,
    /// Write the rows to this file instead of printing them; to a folder (a path that ends in /, or
    /// is one) as a file for each partition of the result. Local, or a URL such as s3://bucket/name
    #[arg(long, value_name = "PATH")]
    to: Option<String>,
    /// Replace what is there already
    #[arg(long, requires = "to")]
    overwrite: bool,
    /// How the rows are written; default: by the name of the file
    #[arg(long, value_enum, requires = "to")]
    to_format: Option<Format>,
    /// Run on this scheduler instead of a cluster of its own
    #[arg(long, short, value_name = "tcp://HOST:PORT")]
    scheduler: Option<String>,
    /// Workers of the query's own cluster
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    workers: u32,
    /// Threads of each worker; default: those of the machine, shared by the workers
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    threads: Option<u32>,
    #[command(flatten)]
    reporting: Reporting,
}

/// How files are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Delimited text.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// One JSON object a line.
    Json,
}

impl From<Format> for TableFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Csv => Self::Csv,
            Format::Parquet => Self::Parquet,
            Format::Json => Self::Json,
        }
    }
}

fn table(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok((name.to_owned(), path.to_owned()))
        }
        _ => Err("write name=path, such as flights=data/flights.csv".to_owned()),
    }
}

/// Runs the command.
pub async fn run(sql: Sql) -> Result<(), Failure> {
    let scenario = scenario(&sql).await?;
    let explanation = scenario.jobs.iter().find_map(|job| match job.planned.as_deref() {
        Some(Planned::Explanation(text)) => Some(text),
        _ => None,
    });
    if let Some(text) = explanation {
        // Nothing has to run for it.
        return match sql.reporting.output {
            Output::Table => print(text),
            Output::Json => print(&print_json(&json!({ "explanation": text }))?),
        };
    }
    let journal = sql.reporting.journal()?;
    let mut runner = Runner::new(sql.reporting, journal)?;
    if sql.scheduler.is_none() {
        runner.start(&scenario, &Ports::default()).await?;
    }
    let address = |_: &JobPlan| {
        sql.scheduler.clone().or_else(|| runner.clusters().first().map(|c| c.address.clone()))
    };
    let outcome = runner.run_jobs(&scenario.jobs, address).await;
    runner.finish(outcome).await
}

async fn scenario(sql: &Sql) -> Result<Scenario, Failure> {
    let folder = std::env::current_dir().map_err(|error| {
        Failure::bad_input(format!("the present folder cannot be used: {error}"))
    })?;
    let threads = sql.threads.unwrap_or_else(|| {
        let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        (u32::try_from(all).unwrap_or(1) / sql.workers).max(1)
    });
    let worker = LocalWorker { threads, ..LocalWorker::default() };
    let cluster = ClusterPlan::fixed("sql", sql.workers, worker);
    let workload = workload(sql)?;
    if let Some(output) = output_of(&workload, &folder).map_err(Failure::bad_input)? {
        output.check().await.map_err(Failure::bad_input)?;
    }
    let planned = plan_query(&workload, &folder).await.map_err(|error| {
        let missing = sql.tables.is_empty() && error.to_string().starts_with("there is no table");
        let hint = if missing { " (--table NAME=PATH)" } else { "" };
        Failure::bad_input(format!("{error}{hint}"))
    })?;
    let job = JobPlan {
        name: "query".to_owned(),
        prefix: "query".to_owned(),
        cluster: cluster.name.clone(),
        own_cluster: None,
        workload: Workload::Sql(workload),
        planned: Some(Arc::new(planned)),
        folder,
        backoff_limit: 0,
        deadline: None,
    };
    Ok(Scenario { clusters: vec![cluster], jobs: vec![job] })
}

fn workload(sql: &Sql) -> Result<SqlWorkload, Failure> {
    let mut options = BTreeMap::new();
    if let Some(null) = &sql.null {
        options.insert("null_value".to_owned(), null.as_str().into());
    }
    if sql.no_header {
        options.insert("has_header".to_owned(), false.into());
    }
    let given = sql.format.map(TableFormat::from);
    let mut tables = Vec::new();
    for (name, path) in &sql.tables {
        let format = given.or_else(|| TableFormat::of_path(path)).ok_or_else(|| {
            Failure::bad_input(format!(
                "the format of table {name} is not clear from '{path}': give --format"
            ))
        })?;
        tables.push(Table {
            name: name.clone(),
            path: path.clone(),
            format,
            options: options.clone(),
        });
    }
    Ok(SqlWorkload { tables, sql: sql.query.clone(), output: output(sql)? })
}

fn output(sql: &Sql) -> Result<Option<SqlOutput>, Failure> {
    let Some(path) = sql.to.clone() else { return Ok(None) };
    let format = sql.to_format.map(TableFormat::from).or_else(|| TableFormat::of_path(&path));
    if format.is_none() {
        return Err(Failure::bad_input(format!(
            "the format of the output is not clear from '{path}': give --to-format"
        )));
    }
    Ok(Some(SqlOutput { path, format, overwrite: Some(sql.overwrite) }))
}
