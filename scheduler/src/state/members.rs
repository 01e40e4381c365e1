//! The states of a task array's members: nothing for each member until it is touched, then 16
//! bytes in a chunk that is dropped again once all its members are released.

use super::TaskState;

/// Members of one chunk.
pub(super) const CHUNK: u32 = 256;
/// `Cell::at` where it names nothing.
pub(super) const NOWHERE: u32 = u32::MAX;

/// The session wants the outputs.
pub(super) const WANTED: u8 = 1;
/// There is more than one holder, see `State::copies`.
pub(super) const COPIES: u8 = 2;
/// A small value is kept, see `State::inline`.
pub(super) const INLINE: u8 = 4;
/// Attempts went wrong, see `State::history`.
pub(super) const HISTORY: u8 = 8;
/// Run again because its outputs were lost or its worker died: goes before what was handed out.
pub(super) const AGAIN: u8 = 16;
/// Was done before: if nobody needs it any more, it is released, not cancelled.
pub(super) const REMADE: u8 = 64;
/// The sizes of several outputs are kept, see `State::sizes`.
pub(super) const SIZES: u8 = 32;
/// Workers keep copies of what they read, see `State::caches`.
pub(super) const CACHED: u8 = 128;

/// One task's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub state: TaskState,
    pub flags: u8,
    /// The run's slot while assigned, the first holder while done.
    pub at: u32,
    /// All outputs together.
    pub nbytes: u64,
}

impl Cell {
    pub const fn new(state: TaskState, wanted: bool) -> Self {
        Self { state, flags: if wanted { WANTED } else { 0 }, at: NOWHERE, nbytes: 0 }
    }

    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Of no use to anyone any more, and not different from others of that kind.
    const fn is_gone(&self) -> bool {
        matches!(self.state, TaskState::Released) && self.flags == 0
    }
}

/// Members that stand side by side.
#[derive(Debug)]
enum Chunk {
    /// Never touched.
    Fresh,
    /// All released and unwanted.
    Gone,
    /// Each for itself. The number counts those that are not gone.
    Live(Box<[Cell; CHUNK as usize]>, u32),
}

/// The members of one description.
#[derive(Debug)]
pub(super) struct Members {
    len: u32,
    chunks: Box<[Chunk]>,
    /// Members in fresh chunks.
    fresh: u32,
    /// What a fresh member is. `Waiting` or `Ready` (then `next..` is queued as one entry).
    pub fresh_state: TaskState,
    /// The session wants the fresh members.
    pub fresh_wanted: bool,
    /// From here on the queue's one entry for the array has not handed out.
    pub next: u32,
}

impl Members {
    pub fn new(len: u32, wanted: bool) -> Self {
        let chunks = (0..len.div_ceil(CHUNK)).map(|_| Chunk::Fresh).collect();
        Self {
            len,
            chunks,
            fresh: len,
            fresh_state: TaskState::Waiting,
            fresh_wanted: wanted,
            next: 0,
        }
    }

    pub const fn len(&self) -> u32 {
        self.len
    }

    pub const fn fresh(&self) -> u32 {
        self.fresh
    }

    pub fn get(&self, index: u32) -> Cell {
        match &self.chunks[(index / CHUNK) as usize] {
            Chunk::Fresh => Cell::new(self.fresh_state, self.fresh_wanted),
            Chunk::Gone => Cell::new(TaskState::Released, false),
            Chunk::Live(cells, _) => cells[(index % CHUNK) as usize],
        }
    }

    /// Replaces one member's state.
    pub fn set(&mut self, index: u32, cell: Cell) {
        let slot = (index / CHUNK) as usize;
        let size = self.chunk_len(slot);
        let chunk = &mut self.chunks[slot];
        match chunk {
            Chunk::Live(..) => {}
            Chunk::Fresh => {
                let fresh = Cell::new(self.fresh_state, self.fresh_wanted);
                *chunk = Chunk::Live(Box::new([fresh; CHUNK as usize]), size);
                self.fresh -= size;
            }
            Chunk::Gone => {
                let gone = Cell::new(TaskState::Released, false);
                *chunk = Chunk::Live(Box::new([gone; CHUNK as usize]), 0);
            }
        }
        let Chunk::Live(cells, live) = chunk else { return };
        let old = &mut cells[(index % CHUNK) as usize];
        match (old.is_gone(), cell.is_gone()) {
            (false, true) => *live -= 1,
            (true, false) => *live += 1,
            _ => {}
        }
        *old = cell;
        if *live == 0 {
            *chunk = Chunk::Gone;
        }
    }

    fn chunk_len(&self, slot: usize) -> u32 {
        (self.len - slot as u32 * CHUNK).min(CHUNK)
    }

    /// The end of the chunk of `index`.
    pub fn chunk_end(&self, index: u32) -> u32 {
        ((index / CHUNK + 1).saturating_mul(CHUNK)).min(self.len)
    }

    /// No member of the chunk of `index` was ever touched.
    pub fn is_fresh(&self, index: u32) -> bool {
        matches!(self.chunks[(index / CHUNK) as usize], Chunk::Fresh)
    }

    /// All members of the chunk of `index` are released and unwanted.
    pub fn is_gone(&self, index: u32) -> bool {
        matches!(self.chunks[(index / CHUNK) as usize], Chunk::Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untouched_members_cost_nothing_and_gone_chunks_are_dropped() {
        assert_eq!(size_of::<Cell>(), 16);
        let mut members = Members::new(600, true);
        assert_eq!(members.get(599), Cell::new(TaskState::Waiting, true));
        for index in 0..600 {
            members.set(index, Cell::new(TaskState::Done, true));
        }
        assert_eq!(members.fresh(), 0);
        for index in 0..600 {
            members.set(index, Cell::new(TaskState::Released, false));
        }
        assert!(members.is_gone(0) && members.is_gone(599));
        members.set(3, Cell::new(TaskState::Waiting, false));
        assert!(!members.is_gone(0));
        assert_eq!(members.get(4), Cell::new(TaskState::Released, false));
    }
}
