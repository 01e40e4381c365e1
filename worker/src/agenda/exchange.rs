//! The agenda, and what the executor threads do with it.

use std::sync::{
    Arc, Condvar, Mutex, MutexGuard,
    atomic::{AtomicU32, Ordering},
};

use tokio::sync::Notify;

use super::state::State;
use crate::{news::Ended, queue::ReadyQueue, registry::SlotFlags, spec::Run, worker::lock};

/// See the module.
#[derive(Debug)]
pub(crate) struct Agenda {
    pub(super) state: Mutex<State>,
    pub(super) work: Condvar,
    pub(super) written: Condvar,
    pub(super) flags: Vec<Arc<SlotFlags>>,
    pub(super) inline_limit: AtomicU32,
    /// Commands wait to be started.
    pub commands: Notify,
    /// A run with a timeout has begun.
    pub timeouts: Notify,
}

impl Agenda {
    pub fn new(slots: usize, offer: Vec<u64>) -> Self {
        Self {
            state: Mutex::new(State::new(slots, ReadyQueue::new(offer))),
            work: Condvar::new(),
            written: Condvar::new(),
            flags: (0..slots).map(|_| Arc::default()).collect(),
            inline_limit: AtomicU32::new(0),
            commands: Notify::new(),
            timeouts: Notify::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub fn flags(&self, slot: usize) -> Arc<SlotFlags> {
        self.flags[slot].clone()
    }

    pub fn set_inline_limit(&self, bytes: u32) {
        self.inline_limit.store(bytes, Ordering::Relaxed);
    }

    /// Reports what ended, and waits for more to run. `None`: stop. The number is the session
    /// that the runs belong to.
    pub fn exchange(
        &self,
        slot: usize,
        ended: &mut Vec<Ended>,
        batch: &mut Vec<Run>,
    ) -> Option<u64> {
        let mut state = self.lock();
        state.settle(slot, ended, self.inline_limit.load(Ordering::Relaxed));
        loop {
            if state.stopped {
                return None;
            }
            if state.take(slot, batch) {
                self.flags[slot].stop.store(false, Ordering::Relaxed);
                self.flags[slot].abandoned.store(false, Ordering::Relaxed);
                break;
            }
            if !state.commands.is_empty() {
                self.commands.notify_one();
            }
            if let Some(writer) = state.writer_of_news() {
                drop(state);
                writer.wake();
                state = self.lock();
                continue;
            }
            state.idle += 1;
            state = self.work.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            state.idle -= 1;
        }
        if !state.commands.is_empty() {
            self.commands.notify_one();
        }
        if batch.first().is_some_and(|run| run.spec.timeout.is_some()) {
            self.timeouts.notify_one();
        }
        let more = state.idle > 0 && state.may_start() && state.queue.peek().is_some();
        let writer = if state.may_hold_back(batch) { None } else { state.writer_of_news() };
        let generation = state.generation;
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        if more {
            self.work.notify_one();
        }
        Some(generation)
    }

    /// Blocks until the start of `run` is written to the scheduler. False: do not start it.
    pub fn announce(&self, run: u64, generation: u64) -> bool {
        let mut state = self.lock();
        state.announcing.push(run);
        state.news.rest().started.push(run);
        let writer = state.writer_of_news();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        let mut state = self.lock();
        loop {
            if state.stopped || state.generation != generation {
                return false;
            }
            if state.announced.remove(&run) {
                return true;
            }
            state = self.written.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }
}
