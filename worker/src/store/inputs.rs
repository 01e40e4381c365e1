//! What was read from other workers: counted and spilled like own outputs for as long as a run
//! here needs it, then a cache that goes first when memory is short.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use dasklet_core::{SpecId, TaskId};
use foldhash::HashMap;

use super::{Found, entries::Slot, holdings::Holdings, keep::Missing};
use crate::worker::lock;

/// One value that was read.
#[derive(Debug)]
pub(super) struct Held {
    pub task: TaskId,
    pub slot: Slot,
    pub readers: u32,
    /// It is in [`Inputs::known`]: others may read it too, also from other workers.
    pub known: bool,
}

/// All of them. A number tells them apart, because an output that comes out differently each time
/// may be here twice.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    next: u64,
    held: HashMap<u64, Held>,
    /// The only output of a task, by spec and member.
    known: BTreeMap<(SpecId, u32), u64>,
}

impl Inputs {
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn get(&self, number: u64) -> Option<&Held> {
        self.held.get(&number)
    }

    pub fn get_mut(&mut self, number: u64) -> Option<&mut Held> {
        self.held.get_mut(&number)
    }

    pub fn find(&self, task: TaskId) -> Option<u64> {
        self.known.get(&(task.spec, task.index)).copied()
    }

    /// Adds one; a known one of the same task must have been forgotten before.
    pub fn insert(&mut self, number: u64, held: Held) {
        if held.known {
            self.known.insert((held.task.spec, held.task.index), number);
        }
        self.held.insert(number, held);
    }

    pub fn remove(&mut self, number: u64) -> Option<Held> {
        let held = self.held.remove(&number)?;
        if held.known {
            self.known.remove(&(held.task.spec, held.task.index));
        }
        Some(held)
    }

    /// Known ones of members `start..end`, which are known no more.
    pub fn forget(&mut self, spec: SpecId, start: u32, end: u32) -> Vec<u64> {
        let range = (spec, start)..(spec, end.max(start));
        let numbers: Vec<u64> = self.known.range(range).map(|(_, number)| *number).collect();
        for number in &numbers {
            if let Some(held) = self.held.get_mut(number) {
                held.known = false;
                self.known.remove(&(held.task.spec, held.task.index));
            }
        }
        numbers
    }

    /// The same for all.
    pub fn forget_all(&mut self) -> Vec<u64> {
        let numbers: Vec<u64> = std::mem::take(&mut self.known).into_values().collect();
        for number in &numbers {
            if let Some(held) = self.held.get_mut(number) {
                held.known = false;
            }
        }
        numbers
    }
}

/// A run's hold on an input. While one exists, the input is in memory or on disk.
#[derive(Debug)]
pub(crate) struct Reading {
    holdings: Arc<Mutex<Holdings>>,
    task: TaskId,
    number: u64,
}

impl Reading {
    pub(super) fn new(holdings: &Arc<Mutex<Holdings>>, task: TaskId, number: u64) -> Arc<Self> {
        Arc::new(Self { holdings: holdings.clone(), task, number })
    }

    /// The task whose output it is.
    pub fn task(&self) -> TaskId {
        self.task
    }

    /// Its bytes, if they are in memory.
    pub fn in_memory(&self) -> Option<Bytes> {
        match lock(&self.holdings).use_input(self.number)? {
            Found::Memory(bytes) => Some(bytes),
            Found::Disk(_) => None,
        }
    }

    /// Its bytes, read back from disk if need be.
    pub fn load(&self) -> Result<Bytes, Missing> {
        let found = lock(&self.holdings).use_input(self.number);
        match found.ok_or(Missing)? {
            Found::Memory(bytes) => Ok(bytes),
            Found::Disk(file) => file.read().map_err(|sentence| {
                tracing::error!("{sentence}; it will be read from its worker again");
                Missing
            }),
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        lock(&self.holdings).let_go(self.number);
    }
}
