//! Descriptions: what was submitted, and the edges between them.

use dasklet_core::{JobId, Key, SpecId, TaskId};
use smallvec::SmallVec;

use super::{
    FastMap, TaskState,
    classes::Mean,
    members::{Cell, Members},
};

/// Descriptions of one page of the table.
const PAGE: usize = 1024;

/// The id of no description.
pub(super) const NOBODY: SpecId = SpecId(u32::MAX);

/// One dependency, resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edge {
    pub source: SpecId,
    pub members: EdgeMembers,
    pub output: EdgeOutput,
}

/// Members of one description, from the first to before the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub spec: SpecId,
    pub start: u32,
    pub end: u32,
}

impl Part {
    pub const fn of(task: TaskId) -> Self {
        Self { spec: task.spec, start: task.index, end: task.index + 1 }
    }

    pub const fn all(spec: SpecId) -> Self {
        Self { spec, start: 0, end: u32::MAX }
    }
}

/// Which members of the source. `One` of a described task and `All` mean the whole source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EdgeMembers {
    /// A described task.
    Whole,
    One(u32),
    SameIndex,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EdgeOutput {
    Fixed(u32),
    MyIndex,
}

/// Consumers of single members of a task array.
#[derive(Debug, Default)]
pub(super) struct MemberConsumers {
    /// An entry for each edge, some of them of forgotten descriptions.
    pub specs: SmallVec<[SpecId; 2]>,
    /// Edges from descriptions that are not forgotten.
    pub retained: u32,
    /// How many of these edges come from descriptions with unfinished members.
    pub active: u32,
}

/// What only task arrays have.
#[derive(Debug)]
pub(super) struct Array {
    pub members: Members,
    /// The index of the first member as people count.
    pub first_index: u32,
    /// Consumers that read their own index, some of them forgotten.
    pub same_index: SmallVec<[SpecId; 2]>,
    /// Consumers that read one member.
    pub by_member: FastMap<u32, MemberConsumers>,
    /// Members whose outputs can be read.
    pub available: u32,
    /// Workers that may know the description or hold outputs, a bit each.
    pub workers: Vec<u64>,
    /// Has edges to the consumer's own index.
    pub reads_same_index: bool,
    /// The queue has an entry for `Members::next` and what follows.
    pub cursor_queued: bool,
    /// Run times of its members.
    pub mean: Mean,
}

impl Array {
    pub fn note_worker(&mut self, worker: u32) {
        let (word, bit) = (worker as usize / 64, worker % 64);
        if self.workers.len() <= word {
            self.workers.resize(word + 1, 0);
        }
        self.workers[word] |= 1 << bit;
    }

    pub fn known_workers(&self) -> impl Iterator<Item = u32> + '_ {
        self.workers.iter().enumerate().flat_map(|(word, bits)| {
            let bits = *bits;
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word as u32 * 64 + bit)
        })
    }
}

/// The state of a description's tasks.
#[derive(Debug)]
pub(super) enum Tasks {
    One(Cell),
    Array(Box<Array>),
}

/// An accepted description.
#[derive(Debug)]
pub(super) struct Spec {
    pub key: Key,
    pub body: Box<[u8]>,
    pub inputs: Box<[Edge]>,
    /// Consumers of the whole description, an entry for each edge. Entries of forgotten
    /// consumers are dropped when they are many.
    pub consumers: SmallVec<[SpecId; 4]>,
    pub tasks: Tasks,
    pub local: u64,
    pub job: JobId,
    /// Its neighbours in the list of its job's descriptions.
    pub older: SpecId,
    pub newer: SpecId,
    pub options: u32,
    pub queue: u32,
    pub outputs: u32,
    pub order: u32,
    pub generation: u32,
    /// Members that are to run or run.
    pub pending: u32,
    /// Members that the session wants.
    pub wanted: u32,
    /// Edges to the whole of another description that cannot be read now. Only meaningful while
    /// `pending > 0`.
    pub missing: u32,
    /// Edges to the whole of this from descriptions with unfinished members.
    pub active: u32,
    /// Edges to this from descriptions that are not forgotten.
    pub retained: u32,
    pub is_put: bool,
    /// It, or something that it reads from afar, gives something else each time: copies from
    /// before it was made again are not copies of what it gives now.
    pub varying: bool,
    /// Nothing reads all of it yet, and its job may still submit what does.
    pub expecting: bool,
    /// Listed to be looked at: release or forget.
    pub dirty: bool,
}

impl Spec {
    /// Counts that `n` tasks changed their state; true if the last pending one ended.
    pub fn count(&mut self, from: TaskState, to: TaskState, n: u32) -> bool {
        match (from.is_pending(), to.is_pending()) {
            (true, false) => self.pending -= n,
            (false, true) => self.pending += n,
            _ => {}
        }
        from.is_pending() && self.pending == 0
    }

    pub fn is_array(&self) -> bool {
        matches!(self.tasks, Tasks::Array(_))
    }

    pub fn len(&self) -> u32 {
        match &self.tasks {
            Tasks::One(_) => 1,
            Tasks::Array(array) => array.members.len(),
        }
    }

    pub fn cell(&self, index: u32) -> Cell {
        match &self.tasks {
            Tasks::One(cell) => *cell,
            Tasks::Array(array) => array.members.get(index),
        }
    }

    pub fn put_cell(&mut self, index: u32, cell: Cell) {
        match &mut self.tasks {
            Tasks::One(own) => *own = cell,
            Tasks::Array(array) => array.members.set(index, cell),
        }
    }

    /// A member's index as people count.
    pub fn shown_index(&self, index: u32) -> u32 {
        self.array().map_or(0, |array| array.first_index).saturating_add(index)
    }

    pub fn array(&self) -> Option<&Array> {
        match &self.tasks {
            Tasks::One(_) => None,
            Tasks::Array(array) => Some(array),
        }
    }

    pub fn array_mut(&mut self) -> Option<&mut Array> {
        match &mut self.tasks {
            Tasks::One(_) => None,
            Tasks::Array(array) => Some(array),
        }
    }
}

/// All descriptions, by id. Ids are never used again within an epoch, so a late id names nothing
/// rather than something else; pages without any description are dropped.
#[derive(Debug, Default)]
pub(super) struct Specs {
    pages: Vec<Option<Box<Page>>>,
    next: u32,
    live: u64,
}

#[derive(Debug)]
struct Page {
    slots: Vec<Option<Spec>>,
    live: usize,
}

impl Specs {
    /// The id that the next description gets.
    pub const fn next_id(&self) -> SpecId {
        SpecId(self.next)
    }

    pub const fn live(&self) -> u64 {
        self.live
    }

    pub fn push(&mut self, spec: Spec) -> SpecId {
        let id = SpecId(self.next);
        let page = id.index() / PAGE;
        if page == self.pages.len() {
            self.pages.push(Some(Box::new(Page { slots: Vec::with_capacity(PAGE), live: 0 })));
        }
        // The last page is never dropped before it is full.
        if let Some(Some(page)) = self.pages.last_mut() {
            page.slots.push(Some(spec));
            page.live += 1;
        }
        self.next += 1;
        self.live += 1;
        id
    }

    pub fn get(&self, id: SpecId) -> Option<&Spec> {
        self.pages.get(id.index() / PAGE)?.as_ref()?.slots.get(id.index() % PAGE)?.as_ref()
    }

    pub fn get_mut(&mut self, id: SpecId) -> Option<&mut Spec> {
        self.pages.get_mut(id.index() / PAGE)?.as_mut()?.slots.get_mut(id.index() % PAGE)?.as_mut()
    }

    /// The state of a task; `None` if its description is gone or has no such member.
    pub fn cell(&self, task: TaskId) -> Option<Cell> {
        let spec = self.get(task.spec)?;
        (task.index < spec.len()).then(|| spec.cell(task.index))
    }

    pub fn remove(&mut self, id: SpecId) -> Option<Spec> {
        let slot = self.pages.get_mut(id.index() / PAGE)?;
        let page = slot.as_mut()?;
        let spec = page.slots.get_mut(id.index() % PAGE)?.take()?;
        page.live -= 1;
        self.live -= 1;
        if page.live == 0 && page.slots.len() == PAGE {
            *slot = None;
        }
        Some(spec)
    }

    pub fn iter(&self) -> impl Iterator<Item = (SpecId, &Spec)> {
        self.from(SpecId(0))
    }

    /// From this id on, in order.
    pub fn from(&self, first: SpecId) -> impl Iterator<Item = (SpecId, &Spec)> {
        let start = first.index() / PAGE;
        self.pages.iter().enumerate().skip(start).flat_map(move |(page, slots)| {
            slots.iter().flat_map(move |slots| {
                slots.slots.iter().enumerate().filter_map(move |(slot, spec)| {
                    let id = SpecId((page * PAGE + slot) as u32);
                    spec.as_ref().filter(|_| id >= first).map(|spec| (id, spec))
                })
            })
        })
    }
}
