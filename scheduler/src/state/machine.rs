//! The state machine's parts.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use dasklet_core::{Epoch, JobId, SessionId, SpecId, TaskId, WorkerId};
use smallvec::SmallVec;

use super::{
    Action, Config, Counters, Failure, FastMap, Time,
    deaths::Gone,
    demand::Published,
    failures::{History, SpecFailures},
    interned::Interned,
    jobs::Job,
    puts::Put,
    queue::Queues,
    runs::Runs,
    sessions::Session,
    spec::{Part, Specs},
    timers::Timers,
    workers::Workers,
};
use crate::histogram::Histogram;

/// All that the scheduler knows and decides. Tell it what happened, call
/// [`State::schedule`], carry out what [`State::take_actions`] gives.
pub struct State {
    pub(super) config: Config,
    /// The time of the latest event.
    pub(super) now: Time,

    // What was submitted.
    pub(super) specs: Specs,
    /// By hash of the key. The hash is seeded, so that nobody can choose keys that meet.
    pub(super) keys: FastMap<u64, SpecId>,
    pub(super) key_hasher: foldhash::quality::RandomState,
    pub(super) interned: Interned,
    pub(super) generation: u32,

    // What only some tasks have, by flags of their cells.
    pub(super) copies: FastMap<TaskId, SmallVec<[WorkerId; 4]>>,
    pub(super) caches: FastMap<TaskId, SmallVec<[WorkerId; 4]>>,
    pub(super) inline: FastMap<TaskId, Box<[u8]>>,
    pub(super) sizes: FastMap<TaskId, Box<[u64]>>,
    pub(super) history: FastMap<TaskId, History>,
    pub(super) failures: FastMap<SpecId, SpecFailures>,
    /// The failure of what its client cancelled, one for all.
    pub(super) cancelled: Arc<Failure>,
    pub(super) puts: FastMap<SpecId, Put>,
    /// Names of the workers with which put values were lost that may come back.
    pub(super) lost_puts: FastMap<TaskId, String>,

    // Who submitted it.
    pub(super) sessions: FastMap<SessionId, Session>,
    pub(super) jobs: FastMap<JobId, Job>,
    pub(super) queues: Queues,
    pub(super) next_session: u32,
    pub(super) next_job: u32,
    /// What the job that was served last had been served: where a job that wakes begins.
    pub(super) served: f64,

    // Where it runs.
    pub(super) workers: Workers,
    pub(super) runs: Runs,
    pub(super) gone: VecDeque<Gone>,
    pub(super) draining: Vec<WorkerId>,
    /// Copies that workers were asked to fetch, and whether what they fetch is out of date.
    pub(super) copying: FastMap<TaskId, SmallVec<[(WorkerId, bool); 2]>>,
    /// Something happened that matters to draining members.
    pub(super) drains_moved: bool,
    pub(super) next_target: usize,

    // What follows from what happened, not yet carried out; empty between events.
    pub(super) failing: Vec<(Part, Arc<Failure>)>,
    pub(super) needs: Vec<TaskId>,
    pub(super) checks: Vec<Part>,
    pub(super) dirty: Vec<SpecId>,

    pub(super) timers: Timers,
    /// When delayed tasks are looked at.
    pub(super) due: FastMap<TaskId, Time>,
    pub(super) counters: Counters,
    pub(super) queue_wait: Histogram,
    pub(super) published: Published,
    pub(super) actions: Vec<Action>,
}

impl State {
    /// Empty.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            now: Time(0),
            specs: Specs::default(),
            keys: HashMap::default(),
            key_hasher: foldhash::quality::RandomState::default(),
            interned: Interned::default(),
            generation: 0,
            copies: FastMap::default(),
            caches: FastMap::default(),
            inline: FastMap::default(),
            sizes: FastMap::default(),
            history: FastMap::default(),
            failures: FastMap::default(),
            cancelled: Arc::new(Failure::cancelled()),
            puts: FastMap::default(),
            lost_puts: FastMap::default(),
            sessions: FastMap::default(),
            jobs: FastMap::default(),
            queues: Queues::default(),
            next_session: 0,
            next_job: 0,
            served: 0.0,
            workers: Workers::default(),
            runs: Runs::default(),
            gone: VecDeque::new(),
            draining: Vec::new(),
            copying: FastMap::default(),
            drains_moved: false,
            next_target: 0,
            failing: Vec::new(),
            needs: Vec::new(),
            checks: Vec::new(),
            dirty: Vec::new(),
            timers: Timers::default(),
            due: FastMap::default(),
            counters: Counters::default(),
            queue_wait: Histogram::default(),
            published: Published::default(),
            actions: Vec::new(),
        }
    }

    /// This life of the scheduler.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.config.epoch
    }

    /// Appends what is to be done, in order, and forgets it.
    pub fn take_actions(&mut self, into: &mut Vec<Action>) {
        into.append(&mut self.actions);
    }

    /// From the moment a task could run to its being handed to a worker.
    pub(crate) const fn queue_wait(&self) -> &Histogram {
        &self.queue_wait
    }

    /// Totals and gauges.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }
}
