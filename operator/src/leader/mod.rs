//! One operator works, others wait: a Lease says who.

mod decide;
mod elect;

pub use decide::{Step, Term, decide};
pub use elect::{Election, Leadership};
