//! What can go wrong with a query, in sentences.

use dasklet_core::TaskError;

/// Why a query could not be planned, run or written.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The SQL is wrong: syntax, an unknown name, types that do not fit.
    #[error("{0}")]
    Sql(String),
    /// A table's description is wrong, or its files cannot be read.
    #[error("table '{table}': {problem}")]
    Table {
        /// Its name in the query.
        table: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A part of the query failed while it ran here.
    #[error("{0}")]
    Run(#[from] TaskError),
    /// A part of the query failed on the cluster, or the cluster is lost.
    #[error(transparent)]
    Client(#[from] dasklet_client::ClientError),
    /// The result could not be written.
    #[error("{0}")]
    Output(String),
}

impl QueryError {
    pub(crate) fn table(table: &str, problem: impl Into<String>) -> Self {
        Self::Table { table: table.to_owned(), problem: problem.into() }
    }
}
