//! How outputs are kept, compactly: pure.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use smallvec::SmallVec;

use super::SpillFile;

/// Outputs of up to so many bytes are kept without an allocation of their own.
const TINY: usize = 14;

/// Where an output was found.
#[derive(Debug)]
pub(crate) enum Found {
    Memory(Bytes),
    Disk(Arc<SpillFile>),
}

/// Where an output is.
#[derive(Debug)]
pub(super) enum Place {
    Memory(Bytes),
    /// Being written to disk, and still in memory.
    Spilling(Bytes),
    Disk(Arc<SpillFile>),
}

/// One output.
#[derive(Debug)]
pub(super) struct Slot {
    pub nbytes: u64,
    /// When it was last used; its key in the list of what to spill. Zero: not in that list.
    pub tick: u64,
    pub place: Place,
}

impl Slot {
    pub fn in_memory(&self) -> u64 {
        match self.place {
            Place::Memory(_) | Place::Spilling(_) => self.nbytes,
            Place::Disk(_) => 0,
        }
    }

    pub fn found(&self) -> Found {
        match &self.place {
            Place::Memory(bytes) | Place::Spilling(bytes) => Found::Memory(bytes.clone()),
            Place::Disk(file) => Found::Disk(file.clone()),
        }
    }
}

/// The outputs of one task.
#[derive(Debug)]
pub(super) enum Entry {
    Tiny { length: u8, bytes: [u8; TINY] },
    Full(Box<Full>),
}

/// Outputs that are larger, or several.
#[derive(Debug)]
pub(super) struct Full {
    pub slots: SmallVec<[Slot; 1]>,
}

impl Entry {
    /// `None` where it is too large for that.
    pub fn tiny(value: &[u8]) -> Option<Self> {
        let mut bytes = [0; TINY];
        bytes.get_mut(..value.len())?.copy_from_slice(value);
        Some(Self::Tiny { length: value.len() as u8, bytes })
    }

    pub fn outputs(&self) -> usize {
        match self {
            Self::Tiny { .. } => 1,
            Self::Full(full) => full.slots.len(),
        }
    }

    pub fn nbytes(&self) -> u64 {
        match self {
            Self::Tiny { length, .. } => u64::from(*length),
            Self::Full(full) => full.slots.iter().map(|slot| slot.nbytes).sum(),
        }
    }

    pub fn in_memory(&self) -> u64 {
        match self {
            Self::Tiny { length, .. } => u64::from(*length),
            Self::Full(full) => full.slots.iter().map(Slot::in_memory).sum(),
        }
    }
}

/// The members of one description that are held.
#[derive(Debug, Default)]
pub(super) enum Members {
    #[default]
    None,
    One(u32, Entry),
    Many(BTreeMap<u32, Entry>),
}

impl Members {
    pub fn insert(&mut self, index: u32, entry: Entry) -> Option<Entry> {
        match std::mem::take(self) {
            Self::None => {
                *self = Self::One(index, entry);
                None
            }
            Self::One(known, old) if known == index => {
                *self = Self::One(index, entry);
                Some(old)
            }
            Self::One(known, old) => {
                *self = Self::Many(BTreeMap::from([(known, old), (index, entry)]));
                None
            }
            Self::Many(mut many) => {
                let old = many.insert(index, entry);
                *self = Self::Many(many);
                old
            }
        }
    }

    pub fn get(&self, index: u32) -> Option<&Entry> {
        match self {
            Self::None => None,
            Self::One(known, entry) => (*known == index).then_some(entry),
            Self::Many(many) => many.get(&index),
        }
    }

    pub fn get_mut(&mut self, index: u32) -> Option<&mut Entry> {
        match self {
            Self::None => None,
            Self::One(known, entry) => (*known == index).then_some(entry),
            Self::Many(many) => many.get_mut(&index),
        }
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Self::None => true,
            Self::One(..) => false,
            Self::Many(many) => many.is_empty(),
        }
    }

    /// Removes members `start..end`.
    pub fn remove(&mut self, start: u32, end: u32) -> Vec<Entry> {
        match std::mem::take(self) {
            Self::None => Vec::new(),
            Self::One(known, entry) if known >= start && known < end => vec![entry],
            Self::Many(mut many) => {
                let mut middle = many.split_off(&start);
                let mut after = middle.split_off(&end);
                many.append(&mut after);
                *self = Self::Many(many);
                middle.into_values().collect()
            }
            one => {
                *self = one;
                Vec::new()
            }
        }
    }

    pub fn iter(&self) -> Box<dyn Iterator<Item = (u32, &Entry)> + '_> {
        match self {
            Self::None => Box::new(std::iter::empty()),
            Self::One(index, entry) => Box::new(std::iter::once((*index, entry))),
            Self::Many(many) => Box::new(many.iter().map(|(index, entry)| (*index, entry))),
        }
    }
}
