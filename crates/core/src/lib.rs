//! What every process of dasklet shares: ids and keys, resources and quantities, causes of
//! death, errors, and the words in which a scheduler states its demand.
//!
//! No I/O, no clock, no async. Depends on no other crate of ours. Start with [`ids`].

pub mod death;
pub mod demand;
pub mod error;
pub mod ids;
pub mod key;
pub mod progress;
pub mod quantity;
pub mod resources;

pub use death::DeathCause;
pub use error::{ErrorClass, TaskError};
pub use ids::{Epoch, JobId, RunId, SessionId, SpecId, TaskId, WorkerId};
pub use key::Key;
pub use progress::JobProgress;
pub use resources::Resources;
