//! Moments at which something is due.

use std::{cmp::Reverse, collections::BinaryHeap};

use dasklet_core::{RunId, SessionId, TaskId, WorkerId};

use super::Time;

/// What is due. A timer may outlive its reason: whoever handles it looks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A delayed task's next attempt, or the verdict over it.
    Wake(TaskId),
    /// A lost put value's worker did not come back.
    PutGrace(TaskId),
    /// A session's client did not come back.
    SessionGrace(SessionId),
    /// A draining worker's running tasks are stopped.
    DrainDeadline(WorkerId),
    /// Copies for a draining worker that did not arrive are asked for again.
    DrainRetry(WorkerId),
    /// A worker did not report that a run exceeded its timeout.
    RunTimeout(RunId),
}

/// What is due and when, earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Time, Timer)>>);

impl Timers {
    pub fn add(&mut self, at: Time, timer: Timer) {
        self.0.push(Reverse((at, timer)));
    }

    pub fn next(&self) -> Option<Time> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    pub fn pop_due(&mut self, now: Time) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse((_, timer))| timer)
    }

    pub fn iter(&self) -> impl Iterator<Item = Timer> + '_ {
        self.0.iter().map(|Reverse((_, timer))| *timer)
    }
}
