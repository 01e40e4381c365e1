//! SQL on dasklet: DataFusion parses and plans a query, this crate cuts the physical plan into
//! stages, and each (stage, partition) is one task of the scheduler.
//!
//! Here live tables and their files, the cutting of plans, the exchange of rows between stages
//! (Arrow IPC), the running of one stage's partition on a worker, and the submission of a whole
//! query through [`dasklet_client`]. DataFusion is a private detail: nobody else sees its types.
//!
//! Start reading at [`QuerySession::plan`] (client side) and [`worker::run_stage`] (worker side);
//! `cut` between them decides where one stage ends and the next begins.

mod broadcast;
mod catalog;
mod codec;
mod columns;
mod csv;
mod csv_fault;
mod cut;
mod error;
mod exchange;
mod fault;
mod file_fault;
mod json_fault;
mod local;
mod local_output;
mod named;
mod output;
mod result;
mod row_format;
mod scans;
mod segments;
mod session;
mod slices;
mod stage_name;
mod staged;
mod store_output;
mod stores;
mod submit;
mod tables;
pub mod worker;

pub use self::{
    error::QueryError,
    local::run_here,
    output::Output,
    result::QueryResult,
    row_format::OutputFormat,
    session::{QueryOptions, QuerySession},
    staged::{InputKind, Planned, Stage, StageInput, StagedQuery},
    submit::{StageProgress, run},
    tables::{ColumnTypes, Compression, TableFormat, TableOptions, TableSource, Tables},
};
