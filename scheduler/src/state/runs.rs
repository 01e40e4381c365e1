//! Dispatches of tasks to workers.

use dasklet_core::{RunId, TaskId, WorkerId};

use super::{Time, members::NOWHERE};

/// One dispatch.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub task: TaskId,
    pub worker: WorkerId,
    pub class: u32,
    /// Place in the worker's list.
    pub position: u32,
    pub attempt: u32,
    pub announce_start: bool,
    /// It makes up for a worker that is gone.
    pub recovers: bool,
    /// Reported.
    pub started: bool,
    /// Asked back.
    pub returning: bool,
    /// The task is no longer this run's: what it leaves is dropped.
    pub abandoned: bool,
    /// Placed where its inputs are, though there were free slots elsewhere.
    pub sticky: bool,
    /// When it was handed out, then when it was reported started.
    pub since: Time,
}

/// The table of runs. A place that is used again has a new generation.
#[derive(Debug, Default)]
pub(super) struct Runs {
    slots: Vec<(u32, Option<Run>)>,
    free: Vec<u32>,
}

impl Runs {
    pub fn insert(&mut self, run: Run) -> RunId {
        if let Some(slot) = self.free.pop() {
            let (generation, place) = &mut self.slots[slot as usize];
            *place = Some(run);
            return RunId { slot, generation: *generation };
        }
        let slot = self.slots.len() as u32;
        debug_assert!(slot != NOWHERE, "more than four billion runs at once");
        self.slots.push((0, Some(run)));
        RunId { slot, generation: 0 }
    }

    pub fn get(&self, id: RunId) -> Option<&Run> {
        let (generation, run) = self.slots.get(id.slot as usize)?;
        run.as_ref().filter(|_| *generation == id.generation)
    }

    pub fn get_mut(&mut self, id: RunId) -> Option<&mut Run> {
        let (generation, run) = self.slots.get_mut(id.slot as usize)?;
        run.as_mut().filter(|_| *generation == id.generation)
    }

    /// Whoever is at this place now.
    pub fn at(&self, slot: u32) -> Option<(RunId, &Run)> {
        let (generation, run) = self.slots.get(slot as usize)?;
        run.as_ref().map(|run| (RunId { slot, generation: *generation }, run))
    }

    pub fn at_mut(&mut self, slot: u32) -> Option<&mut Run> {
        self.slots.get_mut(slot as usize)?.1.as_mut()
    }

    pub fn remove(&mut self, id: RunId) -> Option<Run> {
        let (generation, run) = self.slots.get_mut(id.slot as usize)?;
        if *generation != id.generation {
            return None;
        }
        let run = run.take()?;
        *generation = generation.wrapping_add(1);
        self.free.push(id.slot);
        Some(run)
    }

    pub fn iter(&self) -> impl Iterator<Item = (RunId, &Run)> {
        self.slots.iter().enumerate().filter_map(|(slot, (generation, run))| {
            let id = RunId { slot: slot as u32, generation: *generation };
            run.as_ref().map(|run| (id, run))
        })
    }
}
