//! What a native job runs: SQL over tables, or a graph of tasks.
//!
//! [`WorkloadSpec`] is what is written, [`Workload`] what it means once checked.

mod array;
mod graph;
mod resolve;
mod spec;
mod task_entry;
mod task_names;
mod typed;

pub use array::IndexRange;
pub use spec::{Output, TableFormat, TableSpec, TaskEntry, WorkloadSpec};
pub use typed::{Action, Arg, Member, Source, SqlWorkload, Stdin, Table, Workload, WorkloadTask};
