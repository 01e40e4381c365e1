//! The store as other parts of the worker see it: it takes and gives outputs, and writes to disk
//! what is too much for the memory.

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use dasklet_core::{SpecId, TaskError, TaskId, quantity::human_bytes};
use dasklet_protocol::v1;
use smallvec::SmallVec;

use super::{
    Found, Reading, Scratch, SpillFile,
    holdings::{Holdings, Victim},
};
use crate::worker::lock;

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

/// See the module.
#[derive(Debug)]
pub(crate) struct Store {
    holdings: Arc<Mutex<Holdings>>,
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
            holdings: Arc::default(),
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

    fn lock(&self) -> MutexGuard<'_, Holdings> {
        lock(&self.holdings)
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
            let mut holdings = self.lock();
            if holdings.generation != generation {
                return Ok(false);
            }
            holdings.put(task, outputs);
            holdings.staying() > self.target
        };
        if !too_much {
            return Ok(true);
        }
        let Err(sentence) = self.shrink_to(self.target) else {
            return Ok(true);
        };
        let mut holdings = self.lock();
        if holdings.in_memory <= self.most {
            // The memory watch warns of it once.
            tracing::debug!("{sentence}; keeping it in memory");
            return Ok(true);
        }
        holdings.remove(task.spec, task.index, task.index.saturating_add(1));
        Err(TaskError::worker_fault(sentence))
    }

    /// Keeps what was read from another worker, in session `generation`, until nobody holds the
    /// answer any more; where it is `shared`, as a cache until memory is short. `None`: the session
    /// is over. Nothing is spilled yet, see [`Store::is_too_full`].
    pub fn read(
        &self,
        generation: u64,
        task: TaskId,
        value: Bytes,
        shared: bool,
    ) -> Option<Arc<Reading>> {
        let mut holdings = self.lock();
        if holdings.generation != generation {
            return None;
        }
        let number = holdings.read(task, value, shared);
        drop(holdings);
        Some(Reading::new(&self.holdings, task, number))
    }

    /// An output that was read from another worker and is here still.
    pub fn read_again(&self, task: TaskId, output: u32) -> Option<Arc<Reading>> {
        let number = self.lock().read_again(task, output)?;
        Some(Reading::new(&self.holdings, task, number))
    }

    /// More is in memory than should be: see [`Store::make_room`].
    pub fn is_too_full(&self) -> bool {
        self.lock().staying() > self.target
    }

    /// Spills what is too much.
    ///
    /// # Errors
    /// A sentence, where so much stays in memory that no more may come.
    pub fn make_room(&self) -> Result<(), String> {
        let shrunk = self.shrink_to(self.target);
        let in_memory = self.figures().in_memory;
        match shrunk {
            _ if in_memory <= self.most => Ok(()),
            Err(sentence) => Err(sentence),
            Ok(()) => Err(format!(
                "outputs and inputs of waiting tasks take {}, more than the {} that this worker \
                 has for them, in pieces too small to be spilled; give it more memory",
                human_bytes(in_memory),
                human_bytes(self.most)
            )),
        }
    }

    /// Spills or drops what was not used for longest, until at most `bytes` are in memory.
    ///
    /// # Errors
    /// A sentence, if the disk takes no more.
    pub fn shrink_to(&self, bytes: u64) -> Result<(), String> {
        loop {
            let victim = {
                let mut holdings = self.lock();
                if holdings.staying() <= bytes {
                    return Ok(());
                }
                holdings.next_victim()
            };
            let (spot, value) = match victim {
                Some(Victim::Spill(spot, value)) => (spot, value),
                Some(Victim::Gone) => continue,
                None => return Ok(()),
            };
            let number = self.files.fetch_add(1, Ordering::Relaxed);
            let path = self.scratch.path().join(number.to_string());
            let written = SpillFile::write(path, &value, self.on_disk.clone());
            self.lock().spilled(spot, &value, written.map(Arc::new))?;
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
        self.lock().staying() >= self.target
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
        let mut holdings = self.lock();
        holdings.remove(task.spec, task.index, task.index.saturating_add(1));
        holdings.dropped.push(task.to_bits());
    }

    /// How many outputs of this task are here; `None`: none of it.
    pub fn outputs(&self, task: TaskId) -> Option<usize> {
        self.lock().outputs(task)
    }

    /// Keeps what was a cache as an own output from now on. `None`: it is not here.
    pub fn make_own(&self, task: TaskId) -> Option<u64> {
        self.lock().make_own(task)
    }

    pub fn release(&self, tasks: &[u64]) {
        let mut holdings = self.lock();
        for task in tasks {
            let task = TaskId::from_bits(*task);
            holdings.remove(task.spec, task.index, task.index.saturating_add(1));
        }
    }

    pub fn release_range(&self, spec: SpecId, start: u32, end: u32) {
        self.lock().remove(spec, start, end);
    }

    pub fn forget(&self, specs: &[u32]) {
        let mut holdings = self.lock();
        for spec in specs {
            holdings.remove(SpecId(*spec), 0, u32::MAX);
        }
    }

    /// Tasks whose outputs went without anybody asking for it, since the last call.
    pub fn take_dropped(&self) -> Vec<u64> {
        std::mem::take(&mut self.lock().dropped)
    }

    /// Leaves only those tasks of which nothing is here now.
    pub fn only_gone(&self, tasks: &mut Vec<u64>) {
        if !tasks.is_empty() {
            let holdings = self.lock();
            tasks.retain(|task| holdings.outputs(TaskId::from_bits(*task)).is_none());
        }
    }

    pub fn figures(&self) -> Figures {
        let holdings = self.lock();
        Figures {
            in_memory: holdings.in_memory,
            on_disk: self.on_disk.load(Ordering::Relaxed),
            spilled_total: holdings.spilled_total,
        }
    }

    /// From now on, outputs of runs of earlier sessions are passed over. Caches end with the
    /// session in which the scheduler was told of them.
    pub fn begin_session(&self, generation: u64) {
        let mut holdings = self.lock();
        holdings.generation = generation;
        holdings.remove_caches();
        holdings.dropped.clear();
    }

    /// All that is held, without caches.
    pub fn held(&self) -> v1::CopiesHeld {
        let holdings = self.lock();
        let all = holdings
            .specs
            .iter()
            .flat_map(|(spec, members)| members.iter().map(move |member| (*spec, member)));
        all.take(MOST_HELD)
            .map(|(spec, (index, entry))| (TaskId::new(spec, index).to_bits(), entry.nbytes()))
            .fold(v1::CopiesHeld::default(), |mut held, (task, nbytes)| {
                held.task.push(task);
                held.nbytes.push(nbytes);
                held
            })
    }

    /// Drops all but these.
    pub fn keep_only(&self, keep: &[u64]) {
        self.lock().keep_only(&keep.iter().copied().collect());
    }
}
