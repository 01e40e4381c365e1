//! The store itself: accounting, what to spill next, and reading back.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use dasklet_core::{SpecId, TaskError, TaskId};
use dasklet_protocol::v1;
use foldhash::{HashMap, HashSet};
use smallvec::SmallVec;

use super::{
    Found, Scratch, SpillFile,
    entries::{Entry, Full, Members, OfSpec, Place, Slot},
};
use crate::worker::lock;

/// Smaller outputs are never spilled: a file would cost more than they do.
const SMALLEST_SPILLED: usize = 1024;
/// Most tasks announced when a connection is made again; the rest is dropped.
const MOST_HELD: usize = 300_000;

/// Where an output comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Made or put here: kept until it is released.
    Own,
    /// Read from another worker: may be dropped when memory is short.
    Copy,
}

/// Why an output cannot be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing;

/// What the store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub in_memory: u64,
    pub on_disk: u64,
    pub spilled_total: u64,
}

type Place3 = (SpecId, u32, u32);

#[derive(Debug, Default)]
struct Inner {
    generation: u64,
    specs: HashMap<SpecId, OfSpec>,
    /// What may be spilled, least recently used first.
    order: BTreeMap<u64, Place3>,
    tick: u64,
    in_memory: u64,
    /// Part of it that is being written to disk.
    spilling: u64,
    spilled_total: u64,
    dropped: Vec<u64>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Store {
    inner: Mutex<Inner>,
    scratch: Scratch,
    on_disk: Arc<AtomicU64>,
    files: AtomicU64,
    /// Above this many bytes in memory, outputs are spilled.
    target: u64,
    /// What is kept in memory at most when the disk takes no more.
    most: u64,
}

impl Store {
    pub fn new(scratch: Scratch, target: u64, most: u64) -> Self {
        Self {
            inner: Mutex::default(),
            scratch,
            on_disk: Arc::default(),
            files: AtomicU64::new(0),
            target,
            most,
        }
    }

    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Keeps the outputs of a task that ran in session `generation`; those of an earlier session
    /// are passed over, because their ids may mean other tasks now. Spills what that makes too
    /// much.
    ///
    /// # Errors
    /// The disk takes no more, and memory neither: the outputs are not kept.
    pub fn put(
        &self,
        generation: u64,
        task: TaskId,
        key: &Bytes,
        outputs: SmallVec<[Bytes; 1]>,
        origin: Origin,
    ) -> Result<(), TaskError> {
        let too_much = {
            let mut inner = self.lock();
            if inner.generation != generation {
                return Ok(());
            }
            inner.insert(task, key, outputs, origin);
            inner.in_memory - inner.spilling > self.target
        };
        if !too_much {
            return Ok(());
        }
        let Err(sentence) = self.shrink_to(self.target) else {
            return Ok(());
        };
        let mut inner = self.lock();
        if inner.in_memory <= self.most {
            tracing::warn!("{sentence}; keeping it in memory");
            return Ok(());
        }
        inner.remove(task.spec, task.index, task.index.saturating_add(1));
        Err(TaskError::worker_fault(sentence))
    }

    /// Spills or drops what was not used for longest, until at most `bytes` are in memory.
    ///
    /// # Errors
    /// A sentence, if the disk takes no more.
    pub fn shrink_to(&self, bytes: u64) -> Result<(), String> {
        loop {
            let (place, value) = {
                let mut inner = self.lock();
                if inner.in_memory - inner.spilling <= bytes {
                    return Ok(());
                }
                match inner.next_victim() {
                    Some(Some(victim)) => victim,
                    Some(None) => continue,
                    None => return Ok(()),
                }
            };
            let number = self.files.fetch_add(1, Ordering::Relaxed);
            let path = self.scratch.path().join(number.to_string());
            let written = SpillFile::write(path, &value, self.on_disk.clone());
            let mut inner = self.lock();
            inner.spilled(place, &value, written.map(Arc::new))?;
        }
    }

    /// Where an output is; it counts as used now.
    pub fn find(&self, task: TaskId, output: u32) -> Option<Found> {
        self.lock().find(task, output)
    }

    /// The bytes of an output, read back from disk if need be. A damaged file is dropped, and
    /// listed in [`Store::take_dropped`].
    pub fn load(&self, task: TaskId, output: u32) -> Result<Bytes, Missing> {
        match self.find(task, output) {
            None => Err(Missing),
            Some(Found::Memory(bytes)) => Ok(bytes),
            Some(Found::Disk(file)) => file.read().map_err(|sentence| {
                self.damaged(task, &sentence);
                Missing
            }),
        }
    }

    /// Forgets an output whose file was found damaged.
    pub fn damaged(&self, task: TaskId, sentence: &str) {
        tracing::error!("{sentence}; the task will run again if its output is wanted");
        let mut inner = self.lock();
        inner.remove(task.spec, task.index, task.index.saturating_add(1));
        inner.dropped.push(task.to_bits());
    }

    /// How many outputs of this task are held; `None`: none of it.
    pub fn outputs(&self, task: TaskId) -> Option<usize> {
        let inner = self.lock();
        inner.specs.get(&task.spec)?.members.get(task.index).map(Entry::outputs)
    }

    pub fn release(&self, tasks: &[u64]) {
        let mut inner = self.lock();
        for task in tasks {
            let task = TaskId::from_bits(*task);
            inner.remove(task.spec, task.index, task.index.saturating_add(1));
        }
    }

    pub fn release_range(&self, spec: SpecId, start: u32, end: u32) {
        self.lock().remove(spec, start, end);
    }

    pub fn forget(&self, specs: &[u32]) {
        let mut inner = self.lock();
        for spec in specs {
            inner.remove(SpecId(*spec), 0, u32::MAX);
        }
    }

    /// Tasks whose outputs went without anybody asking for it, since the last call.
    pub fn take_dropped(&self) -> Vec<u64> {
        std::mem::take(&mut self.lock().dropped)
    }

    pub fn figures(&self) -> Figures {
        let inner = self.lock();
        Figures {
            in_memory: inner.in_memory,
            on_disk: self.on_disk.load(Ordering::Relaxed),
            spilled_total: inner.spilled_total,
        }
    }

    /// From now on, outputs of runs of earlier sessions are passed over.
    pub fn begin_session(&self, generation: u64) {
        let mut inner = self.lock();
        inner.generation = generation;
        inner.dropped.clear();
    }

    /// All that is held, by id and by key.
    pub fn held(&self) -> (v1::CopiesHeld, Vec<v1::HeldKey>) {
        let inner = self.lock();
        let mut by_id = v1::CopiesHeld::default();
        let mut by_key = Vec::new();
        let all = inner.specs.iter().flat_map(|(spec, of_spec)| {
            of_spec.members.iter().map(move |(index, entry)| (*spec, of_spec, index, entry))
        });
        for (spec, of_spec, index, entry) in all.take(MOST_HELD) {
            by_id.task.push(TaskId::new(spec, index).to_bits());
            by_id.nbytes.push(entry.nbytes());
            if !of_spec.key.is_empty() && by_key.len() < MOST_HELD / 10 {
                let nbytes = entry.nbytes_of_each();
                by_key.push(v1::HeldKey { key: of_spec.key.clone(), index, nbytes });
            }
        }
        (by_id, by_key)
    }

    /// Drops all but these.
    pub fn keep_only(&self, keep: &[u64]) {
        let keep: HashSet<u64> = keep.iter().copied().collect();
        let mut inner = self.lock();
        let gone: Vec<TaskId> = inner
            .specs
            .iter()
            .flat_map(|(spec, of_spec)| {
                of_spec.members.iter().map(|(index, _)| TaskId::new(*spec, index))
            })
            .filter(|task| !keep.contains(&task.to_bits()))
            .collect();
        for task in gone {
            inner.remove(task.spec, task.index, task.index.saturating_add(1));
        }
    }
}

impl Inner {
    fn insert(&mut self, task: TaskId, key: &Bytes, outputs: SmallVec<[Bytes; 1]>, origin: Origin) {
        let tiny = match outputs.as_slice() {
            [value] => Entry::tiny(value),
            _ => None,
        };
        let entry = match tiny {
            Some(entry) => entry,
            None => {
                let slots = outputs
                    .into_iter()
                    .enumerate()
                    .map(|(output, value)| self.slot(task, output as u32, value))
                    .collect();
                Entry::Full(Box::new(Full { copy: origin == Origin::Copy, slots }))
            }
        };
        self.in_memory += entry.in_memory();
        let of_spec = self
            .specs
            .entry(task.spec)
            .or_insert_with(|| OfSpec { key: key.clone(), members: Members::None });
        if let Some(old) = of_spec.members.insert(task.index, entry) {
            self.removed(&old);
        }
    }

    fn slot(&mut self, task: TaskId, output: u32, value: Bytes) -> Slot {
        let tick = if value.len() < SMALLEST_SPILLED {
            0
        } else {
            self.tick += 1;
            self.order.insert(self.tick, (task.spec, task.index, output));
            self.tick
        };
        Slot { nbytes: value.len() as u64, tick, place: Place::Memory(value) }
    }

    fn slot_mut(&mut self, (spec, index, output): Place3) -> Option<&mut Slot> {
        match self.specs.get_mut(&spec)?.members.get_mut(index)? {
            Entry::Tiny { .. } => None,
            Entry::Full(full) => full.slots.get_mut(output as usize),
        }
    }

    fn find(&mut self, task: TaskId, output: u32) -> Option<Found> {
        let next = self.tick + 1;
        let slot = match self.specs.get_mut(&task.spec)?.members.get_mut(task.index)? {
            Entry::Tiny { length, bytes } => {
                let value = Bytes::copy_from_slice(&bytes[..usize::from(*length)]);
                return (output == 0).then_some(Found::Memory(value));
            }
            Entry::Full(full) => full.slots.get_mut(output as usize)?,
        };
        let found = slot.found();
        if slot.tick > 0 && matches!(slot.place, Place::Memory(_)) {
            let old = std::mem::replace(&mut slot.tick, next);
            self.tick = next;
            self.order.remove(&old);
            self.order.insert(next, (task.spec, task.index, output));
        }
        Some(found)
    }

    /// Takes the next output to spill off the list. `Some(None)`: that one could be dropped.
    fn next_victim(&mut self) -> Option<Option<(Place3, Bytes)>> {
        let (_, place) = self.order.pop_first()?;
        let copy = match self.specs.get(&place.0).and_then(|of_spec| of_spec.members.get(place.1)) {
            Some(Entry::Full(full)) => full.copy,
            _ => false,
        };
        if copy {
            self.remove(place.0, place.1, place.1.saturating_add(1));
            self.dropped.push(TaskId::new(place.0, place.1).to_bits());
            return Some(None);
        }
        let Some(slot) = self.slot_mut(place) else {
            return Some(None);
        };
        slot.tick = 0;
        let Place::Memory(value) = &slot.place else {
            return Some(None);
        };
        let value = value.clone();
        slot.place = Place::Spilling(value.clone());
        self.spilling += value.len() as u64;
        Some(Some((place, value)))
    }

    /// An output has been written to disk, or could not be.
    fn spilled(
        &mut self,
        place: Place3,
        value: &Bytes,
        written: Result<Arc<SpillFile>, String>,
    ) -> Result<(), String> {
        let nbytes = value.len() as u64;
        let next = self.tick + 1;
        let is_it = |slot: &&mut Slot| matches!(&slot.place, Place::Spilling(v) if v.as_ptr() == value.as_ptr());
        let Some(slot) = self.slot_mut(place).filter(is_it) else {
            // Released meanwhile, which has settled the accounts; the file goes with `written`.
            return written.map(|_| ());
        };
        let result = match written {
            Ok(file) => {
                slot.place = Place::Disk(file);
                self.in_memory -= nbytes;
                self.spilled_total += nbytes;
                Ok(())
            }
            Err(sentence) => {
                slot.place = Place::Memory(value.clone());
                slot.tick = next;
                self.tick = next;
                self.order.insert(next, place);
                Err(sentence)
            }
        };
        self.spilling -= nbytes;
        result
    }

    fn remove(&mut self, spec: SpecId, start: u32, end: u32) {
        let Some(of_spec) = self.specs.get_mut(&spec) else {
            return;
        };
        let removed = of_spec.members.remove(start, end);
        if of_spec.members.is_empty() {
            self.specs.remove(&spec);
        }
        for entry in &removed {
            self.removed(entry);
        }
    }

    /// Settles the accounts for an entry that is gone.
    fn removed(&mut self, entry: &Entry) {
        self.in_memory -= entry.in_memory();
        if let Entry::Full(full) = entry {
            for slot in &full.slots {
                if slot.tick > 0 {
                    self.order.remove(&slot.tick);
                }
                if matches!(slot.place, Place::Spilling(_)) {
                    self.spilling -= slot.nbytes;
                }
            }
        }
    }
}
