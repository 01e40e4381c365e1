//! What the store holds, what of it is in memory, and what goes next: all that its lock guards.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use dasklet_core::{SpecId, TaskId};
use foldhash::{HashMap, HashSet};
use smallvec::SmallVec;

use super::{
    Found, SpillFile,
    entries::{Entry, Full, Members, Place, Slot},
    inputs::{Held, Inputs},
};

/// Smaller outputs are never spilled: a file would cost more than they do.
const SMALLEST_SPILLED: usize = 1024;

/// What can be spilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    /// An output of this worker: spec, member, output.
    Output(SpecId, u32, u32),
    /// What was read from another, by its number.
    Input(u64),
}

/// What is to be done about memory.
#[derive(Debug)]
pub(super) enum Victim {
    /// This is to be written to disk.
    Spill(Spot, Bytes),
    /// Something could be dropped, or was gone already.
    Gone,
}

#[derive(Debug, Default)]
pub(super) struct Holdings {
    pub generation: u64,
    pub specs: HashMap<SpecId, Members>,
    inputs: Inputs,
    /// What may be spilled, least recently used first.
    order: BTreeMap<u64, Spot>,
    /// Inputs that nobody reads at the moment, least recently used first: the caches.
    idle: BTreeMap<u64, u64>,
    tick: u64,
    pub in_memory: u64,
    /// Part of it that is being written to disk.
    spilling: u64,
    pub spilled_total: u64,
    /// Tasks whose outputs went unasked.
    pub dropped: Vec<u64>,
}

impl Holdings {
    /// Bytes that stay in memory unless something is done.
    pub fn staying(&self) -> u64 {
        self.in_memory - self.spilling
    }

    /// Keeps outputs made here, or copies to count on.
    pub fn put(&mut self, task: TaskId, outputs: SmallVec<[Bytes; 1]>) {
        let tiny = match outputs.as_slice() {
            [value] => Entry::tiny(value),
            _ => None,
        };
        let entry = tiny.unwrap_or_else(|| {
            let slots = outputs.into_iter().enumerate().map(|(output, value)| {
                self.slot(Spot::Output(task.spec, task.index, output as u32), value)
            });
            Entry::Full(Box::new(Full { slots: slots.collect() }))
        });
        self.insert(task, entry);
    }

    fn insert(&mut self, task: TaskId, entry: Entry) {
        self.in_memory += entry.in_memory();
        if let Some(old) = self.specs.entry(task.spec).or_default().insert(task.index, entry) {
            self.removed(&old);
        }
    }

    fn slot(&mut self, spot: Spot, value: Bytes) -> Slot {
        let tick = if value.len() < SMALLEST_SPILLED { 0 } else { self.list(spot) };
        Slot { nbytes: value.len() as u64, tick, place: Place::Memory(value) }
    }

    /// Puts something at the end of what may be spilled.
    fn list(&mut self, spot: Spot) -> u64 {
        self.tick += 1;
        self.order.insert(self.tick, spot);
        self.tick
    }

    fn slot_mut(&mut self, spot: Spot) -> Option<&mut Slot> {
        match spot {
            Spot::Input(number) => self.inputs.get_mut(number).map(|held| &mut held.slot),
            Spot::Output(spec, index, output) => {
                match self.specs.get_mut(&spec)?.get_mut(index)? {
                    Entry::Tiny { .. } => None,
                    Entry::Full(full) => full.slots.get_mut(output as usize),
                }
            }
        }
    }

    /// Where an output is, made here or read; it counts as used now.
    pub fn find(&mut self, task: TaskId, output: u32) -> Option<Found> {
        let entry = self.specs.get(&task.spec).and_then(|members| members.get(task.index));
        match entry {
            Some(Entry::Tiny { length, bytes }) => {
                let value = Bytes::copy_from_slice(&bytes[..usize::from(*length)]);
                (output == 0).then_some(Found::Memory(value))
            }
            Some(Entry::Full(_)) => self.used(Spot::Output(task.spec, task.index, output)),
            None => {
                let number = self.inputs.find(task).filter(|_| output == 0)?;
                self.use_input(number)
            }
        }
    }

    /// Where an input is; it counts as used now.
    pub fn use_input(&mut self, number: u64) -> Option<Found> {
        let next = self.tick + 1;
        let held = self.inputs.get_mut(number)?;
        if held.readers > 0 {
            return self.used(Spot::Input(number));
        }
        let old = std::mem::replace(&mut held.slot.tick, next);
        let found = held.slot.found();
        self.tick = next;
        self.idle.remove(&old);
        self.idle.insert(next, number);
        Some(found)
    }

    fn used(&mut self, spot: Spot) -> Option<Found> {
        let next = self.tick + 1;
        let slot = self.slot_mut(spot)?;
        let found = slot.found();
        if slot.tick > 0 && matches!(slot.place, Place::Memory(_)) {
            let old = std::mem::replace(&mut slot.tick, next);
            self.order.remove(&old);
            self.list(spot);
        }
        Some(found)
    }

    /// Keeps what was read for a run. Where it is `shared`, others may read it too.
    pub fn read(&mut self, task: TaskId, value: Bytes, shared: bool) -> u64 {
        if shared && let Some(older) = self.inputs.find(task) {
            self.inputs.forget(task.spec, task.index, task.index.saturating_add(1));
            self.remove_if_idle(older);
        }
        let number = self.inputs.number();
        let slot = self.slot(Spot::Input(number), value);
        self.in_memory += slot.nbytes;
        self.inputs.insert(number, Held { task, slot, readers: 1, known: shared });
        number
    }

    /// One more run reads what is here as an input of others.
    pub fn read_again(&mut self, task: TaskId, output: u32) -> Option<u64> {
        let number = self.inputs.find(task).filter(|_| output == 0)?;
        let held = self.inputs.get_mut(number)?;
        held.readers += 1;
        if held.readers == 1 {
            let idle = held.slot.tick;
            self.idle.remove(&idle);
            let tick = self.list(Spot::Input(number));
            if let Some(held) = self.inputs.get_mut(number) {
                held.slot.tick = tick;
            }
        }
        Some(number)
    }

    /// A run does not need an input any more. It stays as a cache, if others may read it and it is
    /// in memory.
    pub fn let_go(&mut self, number: u64) {
        let next = self.tick + 1;
        let Some(held) = self.inputs.get_mut(number) else { return };
        held.readers -= 1;
        if held.readers > 0 {
            return;
        }
        if held.known && matches!(held.slot.place, Place::Memory(_)) {
            let old = std::mem::replace(&mut held.slot.tick, next);
            self.tick = next;
            self.order.remove(&old);
            self.idle.insert(next, number);
            return;
        }
        if held.known {
            self.dropped.push(held.task.to_bits());
        }
        self.remove_input(number);
    }

    fn remove_if_idle(&mut self, number: u64) {
        if self.inputs.get(number).is_some_and(|held| held.readers == 0) {
            self.remove_input(number);
        }
    }

    fn remove_input(&mut self, number: u64) {
        let Some(held) = self.inputs.remove(number) else { return };
        self.idle.remove(&held.slot.tick);
        self.in_memory -= held.slot.in_memory();
        self.unlist(&held.slot);
    }

    /// How many outputs of this task are here; `None`: none of it.
    pub fn outputs(&self, task: TaskId) -> Option<usize> {
        let own = self.specs.get(&task.spec).and_then(|members| members.get(task.index));
        own.map(Entry::outputs).or_else(|| self.inputs.find(task).map(|_| 1))
    }

    /// Counts what was read as an own output from now on. `None`: it is not here.
    pub fn make_own(&mut self, task: TaskId) -> Option<u64> {
        if let Some(entry) = self.specs.get(&task.spec).and_then(|members| members.get(task.index))
        {
            return Some(entry.nbytes());
        }
        let number = self.inputs.find(task)?;
        let held = self.inputs.get(number)?;
        let nbytes = held.slot.nbytes;
        match held.slot.found() {
            Found::Memory(value) => self.put(task, smallvec::smallvec![value]),
            Found::Disk(file) => {
                let slot = Slot { nbytes, tick: 0, place: Place::Disk(file) };
                let full = Full { slots: smallvec::smallvec![slot] };
                self.insert(task, Entry::Full(Box::new(full)));
            }
        }
        self.inputs.forget(task.spec, task.index, task.index.saturating_add(1));
        self.remove_if_idle(number);
        Some(nbytes)
    }

    /// Drops the cache that was not used for longest.
    fn drop_oldest_cache(&mut self) -> bool {
        let Some((_, number)) = self.idle.first_key_value() else { return false };
        let number = *number;
        if let Some(held) = self.inputs.get(number) {
            self.dropped.push(held.task.to_bits());
        }
        self.remove_input(number);
        true
    }

    /// Takes the next thing off the list: caches first, then what was not used for longest.
    /// `None`: nothing is left.
    pub fn next_victim(&mut self) -> Option<Victim> {
        if self.drop_oldest_cache() {
            return Some(Victim::Gone);
        }
        let (_, spot) = self.order.pop_first()?;
        let Some(slot) = self.slot_mut(spot) else { return Some(Victim::Gone) };
        slot.tick = 0;
        let Place::Memory(value) = &slot.place else { return Some(Victim::Gone) };
        let value = value.clone();
        slot.place = Place::Spilling(value.clone());
        self.spilling += value.len() as u64;
        Some(Victim::Spill(spot, value))
    }

    /// Something has been written to disk, or could not be.
    pub fn spilled(
        &mut self,
        spot: Spot,
        value: &Bytes,
        written: Result<Arc<SpillFile>, String>,
    ) -> Result<(), String> {
        let nbytes = value.len() as u64;
        let is_it = |slot: &&mut Slot| matches!(&slot.place, Place::Spilling(v) if v.as_ptr() == value.as_ptr());
        let Some(slot) = self.slot_mut(spot).filter(is_it) else {
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
                let tick = self.list(spot);
                if let Some(slot) = self.slot_mut(spot) {
                    slot.tick = tick;
                }
                Err(sentence)
            }
        };
        self.spilling -= nbytes;
        result
    }

    /// Forgets members `start..end`; what runs read of them stays until they are done.
    pub fn remove(&mut self, spec: SpecId, start: u32, end: u32) {
        for number in self.inputs.forget(spec, start, end) {
            self.remove_if_idle(number);
        }
        let Some(members) = self.specs.get_mut(&spec) else { return };
        let removed = members.remove(start, end);
        if members.is_empty() {
            self.specs.remove(&spec);
        }
        for entry in &removed {
            self.removed(entry);
        }
    }

    /// Forgets all caches.
    pub fn remove_caches(&mut self) {
        for number in self.inputs.forget_all() {
            self.remove_if_idle(number);
        }
    }

    /// Forgets all own outputs but these.
    pub fn keep_only(&mut self, keep: &HashSet<u64>) {
        let gone: Vec<TaskId> = self
            .specs
            .iter()
            .flat_map(|(spec, members)| members.iter().map(|(index, _)| TaskId::new(*spec, index)))
            .filter(|task| !keep.contains(&task.to_bits()))
            .collect();
        for task in gone {
            self.remove(task.spec, task.index, task.index.saturating_add(1));
        }
    }

    /// Settles the accounts for an entry that is gone.
    fn removed(&mut self, entry: &Entry) {
        self.in_memory -= entry.in_memory();
        if let Entry::Full(full) = entry {
            full.slots.iter().for_each(|slot| self.unlist(slot));
        }
    }

    fn unlist(&mut self, slot: &Slot) {
        if slot.tick > 0 {
            self.order.remove(&slot.tick);
        }
        if matches!(slot.place, Place::Spilling(_)) {
            self.spilling -= slot.nbytes;
        }
    }
}
