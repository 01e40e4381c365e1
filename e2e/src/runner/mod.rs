//! Running scenarios: what each is given, how it waits, and what is saved when it fails.

mod evidence;
mod install;
mod report;
mod run;
mod scenario;
mod wait;
mod world;

pub use evidence::collect;
pub use install::{OPERATOR_NAMESPACE, install_operator};
pub use report::{Outcome, Report};
pub use run::{Selection, run};
pub use scenario::{Needs, Scenario, scenario};
pub use wait::until;
pub use world::{Setting, World};
