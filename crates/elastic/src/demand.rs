//! What the scheduler's queues ask of one group.

use dasklet_core::{Resources, demand::Demand};
use serde::{Deserialize, Serialize};

/// One group's part of a scheduler's [`Demand`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupDemand {
    /// Further members that would get work, beyond those connected.
    pub useful: u32,
    /// Connected members that the present work and wanted outputs need.
    pub needed: u32,
    /// Connected members, draining ones apart.
    pub members: u32,
    /// Ready tasks that a member of this group could run.
    pub ready: u64,
    /// Tasks of this kind handed to workers.
    pub running: u64,
    /// Seconds of work in both.
    pub estimated_seconds: f64,
    /// Another group keeps a member that can take over wanted outputs.
    pub holder_elsewhere: bool,
}

impl GroupDemand {
    /// The part of `demand` that concerns the group whose members have this shape.
    #[must_use]
    pub fn of(demand: &Demand, group: &str, shape: &Resources) -> Self {
        let trial = demand.trials.iter().find(|trial| trial.group == group);
        let load = demand.groups.iter().find(|load| load.group == group);
        let mut of = Self {
            useful: trial.map_or(0, |trial| trial.useful),
            needed: load.map_or(0, |load| load.needed),
            members: load.map_or(0, |load| load.members),
            ..Self::default()
        };
        for class in demand.classes.iter().filter(|class| class.resources.times_in(shape) > 0) {
            of.ready += class.ready;
            of.running += class.running;
            of.estimated_seconds += class.estimated_seconds;
        }
        of
    }
}
