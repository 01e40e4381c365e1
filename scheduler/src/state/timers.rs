//! Moments at which something is due.

use std::{cmp::Reverse, collections::BinaryHeap};

use dasklet_core::{RunId, SessionId, TaskId, WorkerId};

use super::{State, Time, workers::Standing};

/// Timers that have outlived their reason are dropped when there are so many more than twice those
/// that had one when it was looked last.
const SLACK: usize = 1024;

/// What is due. A timer may outlive its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A delayed task's next attempt, the verdict over it, or the end of the time that a put value
    /// has to come.
    Due(TaskId),
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
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Time, Timer)>>,
    /// How many had a reason when it was looked last.
    kept: usize,
}

impl Timers {
    fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    fn pop_due(&mut self, now: Time) -> Option<(Time, Timer)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(due)| due)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Time, Timer)> + '_ {
        self.heap.iter().map(|Reverse(due)| *due)
    }
}

impl State {
    pub(super) fn add_timer(&mut self, at: Time, timer: Timer) {
        self.timers.heap.push(Reverse((at, timer)));
        if self.timers.heap.len() > 2 * self.timers.kept + SLACK {
            let mut heap = std::mem::take(&mut self.timers.heap);
            heap.retain(|Reverse((at, timer))| self.has_reason(*at, *timer));
            self.timers.kept = heap.len();
            self.timers.heap = heap;
        }
    }

    /// The delayed task is looked at after so long, and not before.
    pub(super) fn due_after(&mut self, task: TaskId, micros: u64) {
        let at = self.now.after_micros(micros);
        self.due.insert(task, at);
        self.add_timer(at, Timer::Due(task));
    }

    /// What the timer was set for is still to happen then.
    fn has_reason(&self, at: Time, timer: Timer) -> bool {
        match timer {
            Timer::Due(task) => self.due.get(&task) == Some(&at),
            Timer::SessionGrace(session) => {
                let gone = self.sessions.get(&session).and_then(|session| session.disconnected);
                let grace = self.config.session_grace_micros;
                gone.is_some_and(|since| since.after_micros(grace) == at)
            }
            Timer::DrainDeadline(worker) => {
                self.workers.get(worker).is_some_and(|worker| worker.drain_until == Some(at))
            }
            Timer::DrainRetry(worker) => self.workers.get(worker).is_some_and(|worker| {
                worker.standing != Standing::Serving && worker.retry_at == at
            }),
            Timer::RunTimeout(run) => self.runs.get(run).is_some_and(|run| !run.abandoned),
        }
    }

    /// Fires what is due.
    pub fn fire_timers(&mut self, now: Time) {
        self.now = now;
        while let Some((at, timer)) = self.timers.pop_due(now) {
            if !self.has_reason(at, timer) {
                continue;
            }
            match timer {
                Timer::Due(task) => self.wake(task),
                Timer::SessionGrace(session) => self.close_session(now, session),
                Timer::DrainDeadline(worker) => self.drain_deadline(worker),
                Timer::DrainRetry(worker) => self.drain_retry(worker),
                Timer::RunTimeout(run) => self.run_overdue(run),
            }
        }
    }

    /// When [`State::fire_timers`] is to be called next, at the latest.
    #[must_use]
    pub fn next_timer(&self) -> Option<Time> {
        self.timers.next()
    }
}
