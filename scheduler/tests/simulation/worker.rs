//! A model worker: slots, a queue, and a store.

use std::collections::{HashMap, VecDeque};

use dasklet_core::{ErrorClass, RunId, TaskId, WorkerId};

/// What a stored output is made of: for tests that results belong together.
pub type Provenance = HashMap<TaskId, u64>;

#[derive(Debug, Clone)]
pub struct Assigned {
    pub run: RunId,
    pub task: TaskId,
    pub outputs: u32,
    pub announce: bool,
    pub inputs: Vec<Read>,
    pub varying: bool,
}

/// A task to read, with who held or cached it.
#[derive(Debug, Clone)]
pub struct Read {
    pub task: TaskId,
    pub holders: Vec<WorkerId>,
    pub varying: bool,
}

#[derive(Debug, Clone)]
pub struct Stored {
    pub nbytes: u64,
    pub made_of: Provenance,
    /// Kept from a read, held for nobody.
    pub cache: bool,
}

#[derive(Debug, Clone)]
pub enum Report {
    Started(RunId),
    Finished(RunId, Vec<u64>, Option<Box<[u8]>>),
    /// The last says whether the holder was reached.
    Failed(RunId, ErrorClass, Vec<(TaskId, WorkerId, bool)>),
    Returned(RunId),
    Copy(TaskId, u64),
    Cached(TaskId),
    Dropped(TaskId),
    Leaving,
}

/// A process that offers slots.
#[derive(Debug)]
pub struct SimWorker {
    pub name: String,
    pub instance: u64,
    /// Its connection, if it has one.
    pub id: Option<WorkerId>,
    pub slots: usize,
    pub gpu: bool,
    pub queue: VecDeque<Assigned>,
    pub running: HashMap<RunId, Assigned>,
    pub store: HashMap<TaskId, Stored>,
    pub leaving: bool,
}

impl SimWorker {
    /// Stops what it does, as when its connection breaks.
    pub fn stop_all(&mut self) {
        self.queue.clear();
        self.running.clear();
    }

    pub fn free_slots(&self) -> usize {
        self.slots.saturating_sub(self.running.len())
    }
}
