//! Workers as the scheduler sees them, and what is on them.

use std::collections::HashMap;

use dasklet_core::{TaskId, WorkerId, demand::MemberState};
use smallvec::SmallVec;

use super::{
    FastMap, Time, WorkerDescription, WorkerMetrics, bits::Bits, classes::Class,
    task_list::TaskList,
};

/// What one worker has of one class that it has runs of.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClassLoad {
    pub class: u32,
    /// Runs handed to it.
    pub assigned: u32,
    /// So many of these have resources of it; the others wait there for theirs.
    pub reserved: u32,
}

/// A drain that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Serving,
    Draining,
    Drained,
}

/// A connected worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub description: WorkerDescription,
    pub metrics: WorkerMetrics,
    pub standing: Standing,
    /// It goes for good: exits once it is drained.
    pub leaving: bool,
    /// It was told to exit.
    pub dismissed: bool,
    pub heard: Time,
    /// Since when it has no runs.
    pub idle_since: Time,
    /// What it offers, by resource number.
    pub capacity: Vec<u64>,
    pub free: Vec<u64>,
    pub loads: SmallVec<[ClassLoad; 2]>,
    /// Runs without resources, of all classes.
    pub prefilled: u32,
    /// Places in the table of runs.
    pub runs: Vec<u32>,
    /// Tasks whose outputs it holds.
    pub held: TaskList,
    pub held_bytes: u64,
    /// Tasks of which it keeps copies that it read.
    pub cached: TaskList,
    /// Classes that it can run.
    pub capable: Bits,
    pub listed_slots: Bits,
    pub listed_prefill: Bits,
    pub listed_surplus: Bits,
    /// While draining: tasks of which it may hold the only copy.
    pub to_move: Vec<TaskId>,
    /// While draining: of these copies were asked for elsewhere.
    pub moving: Vec<TaskId>,
    /// While draining: when it is looked whether copies are still on their way.
    pub retry_at: Time,
    pub retries: u32,
    /// When running tasks are stopped, if it drains with a deadline.
    pub drain_until: Option<Time>,
    /// Copies it was asked to fetch for draining workers.
    pub incoming: FastMap<TaskId, Incoming>,
    /// Bytes of these.
    pub incoming_bytes: u64,
}

/// A copy on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incoming {
    /// Who drains.
    pub from: WorkerId,
    /// As many as it had when it was asked for.
    pub nbytes: u64,
}

impl Worker {
    /// Takes new tasks.
    pub fn serves(&self) -> bool {
        self.standing == Standing::Serving && !self.metrics.paused
    }

    pub fn state(&self) -> MemberState {
        match self.standing {
            Standing::Draining => MemberState::Draining,
            Standing::Drained => MemberState::Drained,
            Standing::Serving if self.metrics.paused => MemberState::Paused,
            Standing::Serving => MemberState::Serving,
        }
    }

    /// It is to fetch a copy.
    pub fn expect(&mut self, task: TaskId, copy: Incoming) {
        self.incoming_bytes += copy.nbytes;
        if let Some(older) = self.incoming.insert(task, copy) {
            self.incoming_bytes -= older.nbytes;
        }
    }

    /// The copy is there, or was never asked for.
    pub fn arrived(&mut self, task: TaskId) -> Option<Incoming> {
        let copy = self.incoming.remove(&task)?;
        self.incoming_bytes -= copy.nbytes;
        Some(copy)
    }

    /// Index of the class's load.
    pub fn load_index(&mut self, class: u32) -> usize {
        if let Some(index) = self.loads.iter().position(|load| load.class == class) {
            return index;
        }
        self.loads.push(ClassLoad { class, assigned: 0, reserved: 0 });
        self.loads.len() - 1
    }

    /// The class's number is about to stand for nothing.
    pub fn forget_class(&mut self, class: u32) {
        debug_assert!(self.loads.iter().all(|load| load.class != class), "runs are counted");
        for set in [
            &mut self.capable,
            &mut self.listed_slots,
            &mut self.listed_prefill,
            &mut self.listed_surplus,
        ] {
            set.remove(class);
        }
    }

    pub fn load(&self, class: u32) -> ClassLoad {
        self.loads.iter().find(|load| load.class == class).copied().unwrap_or(ClassLoad {
            class,
            assigned: 0,
            reserved: 0,
        })
    }

    /// Takes resources for one run.
    pub fn reserve(&mut self, class: &Class) {
        for (resource, amount) in &class.needs {
            self.free[*resource as usize] -= amount;
        }
    }

    /// Gives one run's resources back.
    pub fn unreserve(&mut self, class: &Class) {
        for (resource, amount) in &class.needs {
            self.free[*resource as usize] += amount;
        }
    }

    pub fn busy(&self) -> u32 {
        self.runs.len() as u32
    }
}

/// All workers. Ids are never used again within an epoch.
#[derive(Debug, Default)]
pub(super) struct Workers {
    slots: Vec<Option<Box<Worker>>>,
    by_name: HashMap<String, WorkerId>,
    live: Vec<WorkerId>,
    /// Every id at its own place, so that one can be lent as a slice.
    ids: Vec<WorkerId>,
}

impl Workers {
    pub fn insert(&mut self, worker: Worker) -> WorkerId {
        let id = WorkerId(self.slots.len() as u32);
        self.by_name.insert(worker.description.name.clone(), id);
        self.slots.push(Some(Box::new(worker)));
        self.live.push(id);
        self.ids.push(id);
        id
    }

    pub fn get(&self, id: WorkerId) -> Option<&Worker> {
        self.slots.get(id.index())?.as_deref()
    }

    pub fn get_mut(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.slots.get_mut(id.index())?.as_deref_mut()
    }

    pub fn remove(&mut self, id: WorkerId) -> Option<Worker> {
        let worker = self.slots.get_mut(id.index())?.take()?;
        if self.by_name.get(&worker.description.name) == Some(&id) {
            self.by_name.remove(&worker.description.name);
        }
        self.live.retain(|other| *other != id);
        Some(*worker)
    }

    pub fn named(&self, name: &str) -> Option<WorkerId> {
        self.by_name.get(name).copied()
    }

    /// One id as a slice; empty if there never was such a worker.
    pub fn id_slice(&self, id: u32) -> &[WorkerId] {
        self.ids.get(id as usize..id as usize + 1).unwrap_or_default()
    }

    /// The connected ones, in the order in which they came.
    pub fn connected(&self) -> &[WorkerId] {
        &self.live
    }

    pub fn iter(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.live.iter().filter_map(|id| self.get(*id).map(|worker| (*id, worker)))
    }
}
