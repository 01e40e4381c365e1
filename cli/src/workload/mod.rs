//! Runs what a job's workload says, on any scheduler, and reports how it went. `tasks` submits
//! graphs of tasks, `sql` queries; `report` is what comes out.

mod groups;
mod report;
mod run;
mod sql;
mod stages;
mod tasks;

pub use report::JobReport;
pub use run::run_job;
pub use sql::{output_of, plan as plan_query};
