//! Pure decisions about elastic worker groups: how many members a group should have, which to
//! create, drain, keep or remove, and why.
//!
//! No clock, no I/O, no async: each function takes what was observed and the present time, and
//! returns a plan. The operator applies the plan as pods, `dasklet run` as local processes, and
//! [`simulate`] as entries of a table. Start with [`plan_group`]; [`plan_groups`] shares the
//! demand of one cluster among its groups by priority.

pub mod behavior;
pub mod demand;
pub mod groups;
pub mod history;
pub mod observation;
pub mod plan;
pub mod policy;
pub mod reason;
pub mod retire;
pub mod simulate;
pub mod starts;

pub use demand::GroupDemand;
pub use groups::{GroupInput, plan_groups};
pub use history::GroupHistory;
pub use observation::{GroupMember, GroupObservation, Phase};
pub use plan::{GroupPlan, plan_group};
pub use policy::{Autoscale, Behavior, DrainPolicy, GroupPolicy, Mode, OnTimeout};
