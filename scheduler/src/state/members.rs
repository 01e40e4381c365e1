//! The states of a task array's members: nothing for each member until it is touched, then 16
//! bytes in a chunk that is dropped again once all its members are released, or end alike at once.

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
    /// All ended alike.
    Same(Cell),
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
            Chunk::Same(cell) => *cell,
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
            Chunk::Same(same) => {
                let live = if same.is_gone() { 0 } else { size };
                *chunk = Chunk::Live(Box::new([*same; CHUNK as usize]), live);
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
            *chunk = Chunk::Same(Cell::new(TaskState::Released, false));
        }
    }

    fn chunk_len(&self, slot: usize) -> u32 {
        (self.len - slot as u32 * CHUNK).min(CHUNK)
    }

    fn chunk_end(&self, index: u32) -> u32 {
        ((index / CHUNK + 1).saturating_mul(CHUNK)).min(self.len)
    }

    /// Where the chunk of `index` ends and what its members are, if they are all alike. They were
    /// never touched if they are pending, and have ended otherwise.
    pub fn same(&self, index: u32) -> Option<(u32, Cell)> {
        let cell = match &self.chunks[(index / CHUNK) as usize] {
            Chunk::Fresh => Cell::new(self.fresh_state, self.fresh_wanted),
            Chunk::Same(cell) => *cell,
            Chunk::Live(..) => return None,
        };
        Some((self.chunk_end(index), cell))
    }

    /// The same, if the chunk lies within what goes from `index` to before `end`.
    pub fn same_within(&self, index: u32, end: u32) -> Option<(u32, Cell)> {
        self.same(index).filter(|(next, _)| index.is_multiple_of(CHUNK) && *next <= end)
    }

    /// All members of a chunk whose members are alike end, or change as ended ones.
    pub fn set_same(&mut self, index: u32, cell: Cell) {
        debug_assert!(!cell.state.is_pending(), "what is pending is for each member to say");
        let slot = (index / CHUNK) as usize;
        if matches!(self.chunks[slot], Chunk::Fresh) {
            self.fresh -= self.chunk_len(slot);
        }
        self.chunks[slot] = Chunk::Same(cell);
    }

    #[cfg(test)]
    pub fn live_chunks(&self) -> usize {
        self.chunks.iter().filter(|chunk| matches!(chunk, Chunk::Live(..))).count()
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
        let gone = Cell::new(TaskState::Released, false);
        assert_eq!((members.same(3), members.same(599)), (Some((256, gone)), Some((600, gone))));
        members.set(3, Cell::new(TaskState::Waiting, false));
        assert_eq!(members.same(0), None);
        assert_eq!(members.get(4), Cell::new(TaskState::Released, false));
    }

    #[test]
    fn what_ends_alike_costs_nothing_for_each_member() {
        let mut members = Members::new(600, true);
        let cancelled = Cell::new(TaskState::Cancelled, true);
        assert_eq!(members.same_within(0, 255), None);
        assert_eq!(members.same_within(512, 600).map(|(end, _)| end), Some(600));
        members.set_same(256, cancelled);
        assert_eq!((members.fresh(), members.live_chunks()), (344, 0));
        members.set(300, Cell::new(TaskState::Cancelled, false));
        assert_eq!((members.get(299), members.live_chunks()), (cancelled, 1));
    }
}
