//! From SQL to stages.

use std::sync::Arc;

use datafusion::{
    common::TableReference,
    execution::{
        SessionState, SessionStateBuilder, context::SessionContext, runtime_env::RuntimeEnvBuilder,
    },
    physical_plan::displayable,
    prelude::SessionConfig,
    sql::{parser::Statement, sqlparser::ast},
};

use crate::{
    catalog, cut, error::QueryError, fault, staged::Planned, stores::Stores, tables::Tables,
};

/// Partitions of a small query: enough to keep a small cluster busy, few enough to cost nothing.
const FEWEST_PARTITIONS: usize = 16;

/// Partitions of the largest query.
const MOST_PARTITIONS: usize = 1024;

/// About how many bytes of a table one task should read.
const BYTES_A_PARTITION: u64 = 128 << 20;

/// How queries are planned.
#[derive(Debug, Clone, Default)]
pub struct QueryOptions {
    /// Into how many partitions tables are read and rows are shuffled; absent: by the size of the
    /// tables, at least 16.
    pub partitions: Option<usize>,
}

/// Plans queries over some tables.
#[derive(Debug, Clone)]
pub struct QuerySession {
    tables: Tables,
    options: QueryOptions,
}

impl QuerySession {
    /// A session over these tables. Nothing is read before a query names a table.
    #[must_use]
    pub fn new(tables: Tables) -> Self {
        Self { tables, options: QueryOptions::default() }
    }

    /// The same with other options.
    #[must_use]
    pub fn with_options(mut self, options: QueryOptions) -> Self {
        self.options = options;
        self
    }

    /// Plans a query and cuts the plan into stages; of `EXPLAIN` and a query, says how it would be
    /// run. Finds the tables' files, so their paths must be readable here as well as on the
    /// workers.
    ///
    /// # Errors
    /// When the SQL is wrong, names what is not there, or a table cannot be read.
    pub async fn plan(&self, sql: &str) -> Result<Planned, QueryError> {
        let (statement, is_explained) = parse(&planning_state(FEWEST_PARTITIONS)?, sql)?;
        let state = self.open_tables(&statement).await?.state();
        let logical = state.statement_to_plan(statement).await.map_err(|error| wrong(&error))?;
        let logical = state.optimize(&logical).map_err(|error| wrong(&error))?;
        let planner = state.query_planner();
        let physical =
            planner.create_physical_plan(&logical, &state).await.map_err(|error| wrong(&error))?;
        let shown = is_explained.then(|| displayable(physical.as_ref()).indent(false).to_string());
        let query = cut::cut(physical).map_err(|error| wrong(&error))?;
        query.check_size()?;
        Ok(match shown {
            None => Planned::Query(query),
            Some(physical) => Planned::Explanation(format!(
                "logical plan\n{}physical plan\n{}stages\n{}",
                indented(&logical.display_indent().to_string()),
                indented(&physical),
                indented(&query.explain())
            )),
        })
    }

    /// A context with the tables that the query names.
    async fn open_tables(&self, statement: &Statement) -> Result<SessionContext, QueryError> {
        let mut state = planning_state(FEWEST_PARTITIONS)?;
        let references =
            state.resolve_table_references(statement).map_err(|error| wrong(&error))?;
        let mut opened = Vec::new();
        let mut bytes = 0;
        for reference in references {
            let name = reference.table().to_owned();
            let Some((name, source)) = self.tables.0.get_key_value(&name) else {
                return Err(QueryError::Sql(self.no_such_table(&reference)));
            };
            let table = catalog::open(name, source, &state).await?;
            bytes += table.bytes;
            opened.push((name.clone(), table));
        }
        let by_size = usize::try_from(bytes / BYTES_A_PARTITION).unwrap_or(MOST_PARTITIONS);
        let partitions =
            self.options.partitions.unwrap_or(by_size.clamp(FEWEST_PARTITIONS, MOST_PARTITIONS));
        state.config_mut().options_mut().execution.target_partitions = partitions.max(1);
        let context = SessionContext::new_with_state(state);
        for (name, table) in opened {
            context
                .register_table(TableReference::bare(name), Arc::new(table))
                .map_err(|error| wrong(&error))?;
        }
        Ok(context)
    }

    fn no_such_table(&self, reference: &TableReference) -> String {
        let name = reference.table();
        let mut known: Vec<&str> = self.tables.0.keys().map(String::as_str).collect();
        if known.is_empty() {
            return format!(
                "there is no table '{name}': no tables are described; add it to `tables`"
            );
        }
        known.sort_by_key(|known| distance(name, known));
        let near = known.first().filter(|near| distance(name, near) <= 1 + near.len() / 3);
        let hint = near.map_or_else(String::new, |near| format!(" Did you mean '{near}'?"));
        known.sort_unstable();
        format!("there is no table '{name}'.{hint} The tables are {}.", known.join(", "))
    }
}

fn wrong(error: &datafusion::common::DataFusionError) -> QueryError {
    QueryError::Sql(fault::sentence(error))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// The query of a statement, and whether it is only to be explained.
fn parse(state: &SessionState, sql: &str) -> Result<(Statement, bool), QueryError> {
    let refused = |sentence: &str| Err(QueryError::Sql(sentence.to_owned()));
    let dialect = state.config_options().sql_parser.dialect;
    let statement = state
        .sql_to_statement(sql.trim().trim_end_matches(';'), &dialect)
        .map_err(|error| wrong(&error))?;
    let (statement, is_explained) = match statement {
        Statement::Explain(explain) if explain.options.analyze => {
            return refused(
                "EXPLAIN ANALYZE is not supported; EXPLAIN shows the plan, and the file of \
                 --events what happens when the query runs",
            );
        }
        Statement::Explain(explain)
            if explain.options.verbose || explain.options.format.is_some() =>
        {
            return refused("EXPLAIN has one form here; leave VERBOSE and FORMAT out");
        }
        Statement::Explain(explain) => (*explain.statement, true),
        other => (other, false),
    };
    match &statement {
        Statement::Statement(inner) if matches!(**inner, ast::Statement::Query(_)) => {
            Ok((statement, is_explained))
        }
        _ => refused(
            "only queries can be run (SELECT, WITH, VALUES, and EXPLAIN of these); tables are \
             described beside the query, and results are written by `output`",
        ),
    }
}

/// Settings under which a plan can be cut: nothing may pass between two partitions of an operator
/// except at an exchange, because they run in different processes.
pub(crate) fn planning_config(partitions: usize) -> SessionConfig {
    let mut config = SessionConfig::new().with_target_partitions(partitions);
    let options = config.options_mut();
    options.optimizer.enable_round_robin_repartition = false;
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.enable_topk_dynamic_filter_pushdown = false;
    options.optimizer.enable_join_dynamic_filter_pushdown = false;
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    options.execution.enable_file_stream_work_stealing = false;
    config
}

fn planning_state(partitions: usize) -> Result<SessionState, QueryError> {
    let runtime = RuntimeEnvBuilder::new()
        .with_object_store_registry(Arc::new(Stores::default()))
        .build_arc()
        .map_err(|error| wrong(&error))?;
    Ok(SessionStateBuilder::new()
        .with_config(planning_config(partitions))
        .with_runtime_env(runtime)
        .with_default_features()
        .build())
}

/// Edits that turn one word into the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(!x.eq_ignore_ascii_case(&y));
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted_in_edits() {
        for (a, b, expected) in [
            ("flights", "flights", 0),
            ("flight", "flights", 1),
            ("fligths", "flights", 2),
            ("", "ab", 2),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
