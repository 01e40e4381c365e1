//! Decisions: what was observed and the present time go in, writes and a status come out.
//!
//! Nothing here awaits, reads a clock or knows a client. [`plan`] plans one cluster with all that
//! belongs to it. What it needs from one time to the next is in [`Memory`]; all of that may be
//! lost at any time without harm, because intent is written to the objects before it is acted on.

mod attempt;
mod carry;
mod clock;
mod cluster;
mod condition;
mod death;
mod event;
mod group_status;
mod hibernation;
mod intent;
mod job;
mod job_status;
mod member;
mod memory;
mod orders;
mod outcome;
mod parts;
mod policy;
mod reachable;
mod renewal;
mod settings;
mod status;
mod takeover;
mod trouble;
mod workers;
mod write;

pub use clock::{parse_time, rfc3339};
pub use cluster::plan;
pub use death::death;
pub use event::EventNote;
pub use intent::{DrainReason, Intent};
pub use memory::{Failure, Memory, WorkerMemory};
pub use orders::{Link, Order};
pub use outcome::{Fault, note};
pub use settings::Settings;
pub use trouble::{Trouble, trouble};
pub use write::{Action, Kind, Plan, Stage, Target, Write};
