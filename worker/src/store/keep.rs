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
use smallvec::{SmallVec, smallvec};

use super::{
    Found, Scratch, SpillFile,
    entries::{Entry, Full, Members, Place, Slot},
};
use crate::worker::lock;

/// Smaller outputs are never spilled: a file would cost more than they do.
const SMALLEST_SPILLED: usize = 1024;
/// Most tasks announced when a connection is made again; the rest is dropped.
const MOST_HELD: usize = 300_000;

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
    specs: HashMap<SpecId, Members>,
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
    /// are passed over (false), because their ids may mean other tasks now. Spills what that makes
    /// too much.
    ///
    /// # Errors
    /// The disk takes no more, and memory neither: the outputs are not kept.
    pub fn put(
        &self,
        generation: u64,
        task: TaskId,
        outputs: SmallVec<[Bytes; 1]>,
    ) -> Result<bool, TaskError> {
        let too_much = {
            let mut inner = self.lock();
            if inner.generation != generation {
                return Ok(false);
            }
            inner.insert(task, outputs, false);
            inner.in_memory - inner.spilling > self.target
        };
        if !too_much {
            return Ok(true);
        }
        let Err(sentence) = self.shrink_to(self.target) else {
            return Ok(true);
        };
        let mut inner = self.lock();
        if inner.in_memory <= self.most {
            // The memory watch warns of it once.
            tracing::debug!("{sentence}; keeping it in memory");
            return Ok(true);
        }
        inner.remove(task.spec, task.index, task.index.saturating_add(1));
        Err(TaskError::worker_fault(sentence))
    }

    /// Keeps what was read from another worker for a task, if it is not here and there is room
    /// for it without spilling: older caches make room, nothing else does. True if it is kept.
    pub fn cache(&self, generation: u64, task: TaskId, value: Bytes) -> bool {
        let mut inner = self.lock();
        let here = inner.specs.get(&task.spec).is_some_and(|m| m.get(task.index).is_some());
        if here || inner.generation != generation {
            return false;
        }
        let room = self.target.saturating_sub(value.len() as u64);
        while inner.in_memory > room {
            if !inner.drop_oldest_cache() {
                return false;
            }
        }
        inner.insert(task, smallvec![value], true);
        true
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

    /// The bytes of an output, if they are in memory; it counts as used now.
    pub fn in_memory(&self, task: TaskId, output: u32) -> Option<Bytes> {
        match self.find(task, output)? {
            Found::Memory(bytes) => Some(bytes),
            Found::Disk(_) => None,
        }
    }

    /// Whatever is put now makes it spill.
    pub fn is_full(&self) -> bool {
        let inner = self.lock();
        inner.in_memory - inner.spilling >= self.target
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
        inner.specs.get(&task.spec)?.get(task.index).map(Entry::outputs)
    }

    /// The bytes of a cache, which may be dropped at any time: who needs it takes it now.
    pub fn cached(&self, task: TaskId, output: u32) -> Option<Bytes> {
        let mut inner = self.lock();
        if !inner.specs.get(&task.spec)?.get(task.index)?.is_copy() {
            return None;
        }
        match inner.find(task, output)? {
            Found::Memory(bytes) => Some(bytes),
            Found::Disk(_) => None,
        }
    }

    /// Keeps what was a cache as an own output from now on. `None`: it is not here.
    pub fn make_own(&self, task: TaskId) -> Option<u64> {
        let mut inner = self.lock();
        let entry = inner.specs.get_mut(&task.spec)?.get_mut(task.index)?;
        if let Entry::Full(full) = entry {
            full.copy = false;
        }
        Some(entry.nbytes())
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

    /// All that is held, without caches.
    pub fn held(&self) -> v1::CopiesHeld {
        let inner = self.lock();
        let all = inner
            .specs
            .iter()
            .flat_map(|(spec, members)| members.iter().map(move |member| (*spec, member)));
        all.filter(|(_, (_, entry))| !entry.is_copy())
            .take(MOST_HELD)
            .map(|(spec, (index, entry))| (TaskId::new(spec, index).to_bits(), entry.nbytes()))
            .fold(v1::CopiesHeld::default(), |mut held, (task, nbytes)| {
                held.task.push(task);
                held.nbytes.push(nbytes);
                held
            })
    }

    /// Drops all but these.
    pub fn keep_only(&self, keep: &[u64]) {
        let keep: HashSet<u64> = keep.iter().copied().collect();
        let mut inner = self.lock();
        let gone: Vec<TaskId> = inner
            .specs
            .iter()
            .flat_map(|(spec, members)| members.iter().map(|(index, _)| TaskId::new(*spec, index)))
            .filter(|task| !keep.contains(&task.to_bits()))
            .collect();
        for task in gone {
            inner.remove(task.spec, task.index, task.index.saturating_add(1));
        }
    }
}

impl Inner {
    fn insert(&mut self, task: TaskId, outputs: SmallVec<[Bytes; 1]>, copy: bool) {
        // Whoever was to hear that it is gone would believe it of this one.
        self.dropped.retain(|dropped| *dropped != task.to_bits());
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
                Entry::Full(Box::new(Full { copy, slots }))
            }
        };
        self.in_memory += entry.in_memory();
        if let Some(old) = self.specs.entry(task.spec).or_default().insert(task.index, entry) {
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
        match self.specs.get_mut(&spec)?.get_mut(index)? {
            Entry::Tiny { .. } => None,
            Entry::Full(full) => full.slots.get_mut(output as usize),
        }
    }

    fn find(&mut self, task: TaskId, output: u32) -> Option<Found> {
        let next = self.tick + 1;
        let slot = match self.specs.get_mut(&task.spec)?.get_mut(task.index)? {
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

    /// Drops what was not used for longest, if that is a cache.
    fn drop_oldest_cache(&mut self) -> bool {
        let Some((_, (spec, index, _))) = self.order.first_key_value() else { return false };
        let (spec, index) = (*spec, *index);
        let entry = self.specs.get(&spec).and_then(|members| members.get(index));
        if !entry.is_some_and(Entry::is_copy) {
            return false;
        }
        self.remove(spec, index, index.saturating_add(1));
        self.dropped.push(TaskId::new(spec, index).to_bits());
        true
    }

    /// Takes the next output to spill off the list. `Some(None)`: that one could be dropped.
    fn next_victim(&mut self) -> Option<Option<(Place3, Bytes)>> {
        if self.drop_oldest_cache() {
            return Some(None);
        }
        let (_, place) = self.order.pop_first()?;
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
        let Some(members) = self.specs.get_mut(&spec) else {
            return;
        };
        let removed = members.remove(start, end);
        if members.is_empty() {
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
