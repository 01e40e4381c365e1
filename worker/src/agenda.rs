//! What is to run, what runs, and what has ended: the one place where the executor threads and
//! the I/O thread meet.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use dasklet_core::{ErrorClass, TaskError};
use dasklet_protocol::v1;
use foldhash::HashSet;
use tokio::sync::Notify;

use crate::{
    news::{Ended, News},
    queue::{Class, ReadyQueue},
    registry::SlotFlags,
    spec::Run,
    worker::lock,
};

/// Most short runs that one thread takes at once.
const MOST_AT_ONCE: usize = 32;
/// News of so many short runs may wait for the next ones ...
const HELD_BACK: usize = 256;
/// ... for so long.
const HELD_BACK_FOR: Duration = Duration::from_micros(300);

/// A run on an executor thread.
#[derive(Debug)]
struct Running {
    run: u64,
    class: Arc<Class>,
    since: Instant,
    timeout: Option<Duration>,
    /// The scheduler has been told that it started.
    reported: bool,
    /// Its end is of no interest any more.
    abandoned: bool,
}

#[derive(Debug)]
struct State {
    generation: u64,
    queue: ReadyQueue<Run>,
    running: Vec<Option<Running>>,
    /// Commands whose resources are taken, to be started by the I/O thread.
    commands: Vec<(Run, Arc<Class>)>,
    news: News,
    writer: Option<Waker>,
    idle: usize,
    paused: bool,
    draining: bool,
    stopped: bool,
    /// Runs whose announced start has been written.
    announced: HashSet<u64>,
    /// Runs whose start must be written before they begin.
    announcing: Vec<u64>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Agenda {
    state: Mutex<State>,
    work: Condvar,
    written: Condvar,
    flags: Vec<Arc<SlotFlags>>,
    inline_limit: AtomicU32,
    /// Commands wait to be started.
    pub commands: Notify,
    /// A run with a timeout has begun.
    pub timeouts: Notify,
}

impl Agenda {
    pub fn new(slots: usize, offer: Vec<u64>) -> Self {
        Self {
            state: Mutex::new(State {
                generation: 0,
                queue: ReadyQueue::new(offer),
                running: (0..slots).map(|_| None).collect(),
                commands: Vec::new(),
                news: News::default(),
                writer: None,
                idle: 0,
                paused: false,
                draining: false,
                stopped: false,
                announced: HashSet::default(),
                announcing: Vec::new(),
            }),
            work: Condvar::new(),
            written: Condvar::new(),
            flags: (0..slots).map(|_| Arc::default()).collect(),
            inline_limit: AtomicU32::new(0),
            commands: Notify::new(),
            timeouts: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub fn flags(&self, slot: usize) -> Arc<SlotFlags> {
        self.flags[slot].clone()
    }

    pub fn set_inline_limit(&self, bytes: u32) {
        self.inline_limit.store(bytes, Ordering::Relaxed);
    }

    // ------------------------------------------------------------ the executors' side

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

    // ------------------------------------------------------------ the I/O thread's side

    /// Adds runs whose inputs are all there. Those that cannot run here fail at once.
    pub fn add(&self, runs: impl IntoIterator<Item = Run>) {
        let mut state = self.lock();
        let limit = self.inline_limit.load(Ordering::Relaxed);
        let mut added = 0;
        for run in runs {
            match (&run.spec.class, &run.spec.body) {
                (Some(class), body) if !matches!(body, crate::spec::Body::Unusable(_)) => {
                    if state.draining {
                        state.news.rest().returned.push(run.id);
                        continue;
                    }
                    let class = class.clone();
                    state.queue.push(run.spec.priority, &class, run);
                    added += 1;
                }
                (_, crate::spec::Body::Unusable(error)) => {
                    let ended = Ended { run: run.id, micros: 0, ending: error.clone().into() };
                    state.news.ended(ended, limit, Instant::now());
                }
                _ => state.news.rest().returned.push(run.id),
            }
        }
        let wake = added.min(state.idle);
        self.after_change(state, wake);
    }

    /// Wakes whom a change concerns.
    fn after_change(&self, mut state: MutexGuard<'_, State>, executors: usize) {
        while state.may_start() && state.queue.peek().is_some_and(|run| run.spec.is_command()) {
            if let Some(taken) = state.queue.pop() {
                state.commands.push((taken.item, taken.class));
            }
        }
        if !state.commands.is_empty() {
            self.commands.notify_one();
        }
        let writer = state.writer_of_news();
        drop(state);
        for _ in 0..executors {
            self.work.notify_one();
        }
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Adds to the news and wakes the writer.
    pub fn tell(&self, add: impl FnOnce(&mut v1::WorkerMessage)) {
        let mut state = self.lock();
        add(state.news.rest());
        self.after_change(state, 0);
    }

    /// A run that never reached an executor has ended.
    pub fn ended(&self, ended: Ended) {
        let mut state = self.lock();
        let limit = self.inline_limit.load(Ordering::Relaxed);
        state.news.ended(ended, limit, Instant::now());
        self.after_change(state, 0);
    }

    /// A command of session `generation` has ended: gives back its resources.
    pub fn command_ended(&self, class: &Class, generation: u64, ended: Option<Ended>) {
        let mut state = self.lock();
        state.queue.give_back(class);
        if let Some(ended) = ended.filter(|_| state.generation == generation) {
            let limit = self.inline_limit.load(Ordering::Relaxed);
            state.news.ended(ended, limit, Instant::now());
        }
        let idle = state.idle;
        self.after_change(state, idle.min(2));
    }

    /// Commands whose turn it is, and the session they belong to.
    pub fn take_commands(&self) -> (u64, Vec<(Run, Arc<Class>)>) {
        let mut state = self.lock();
        (state.generation, std::mem::take(&mut state.commands))
    }

    /// The next message to the scheduler, or a wake-up when there is one. `None`: the session
    /// `generation` is over. The second value: runs whose start this message announces.
    pub fn poll_news(
        &self,
        context: &mut Context<'_>,
        generation: u64,
    ) -> Poll<Option<(v1::WorkerMessage, Vec<u64>)>> {
        let mut state = self.lock();
        if state.generation != generation || state.stopped {
            return Poll::Ready(None);
        }
        if state.news.is_empty() {
            state.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let mut message = state.news.take();
        for running in state.running.iter_mut().flatten() {
            if !running.reported {
                running.reported = true;
                message.started.push(running.run);
            }
        }
        Poll::Ready(Some((message, std::mem::take(&mut state.announcing))))
    }

    /// These announcements are written.
    pub fn announced(&self, runs: Vec<u64>) {
        self.lock().announced.extend(runs);
        self.written.notify_all();
    }

    /// Reports runs that have begun and of which the scheduler does not know yet.
    pub fn report_started(&self) {
        let mut state = self.lock();
        let unreported = state.running.iter().flatten().any(|running| !running.reported);
        if unreported || !state.news.is_empty() {
            state.news.rest();
            self.after_change(state, 0);
        }
    }

    /// Gives back what has not started: of `runs`, or all.
    pub fn give_back(&self, runs: Option<&HashSet<u64>>) {
        let mut removed = Vec::new();
        let mut state = self.lock();
        state
            .queue
            .remove_where(|run| runs.is_none_or(|runs| runs.contains(&run.id)), &mut removed);
        state.return_commands(runs);
        if !removed.is_empty() {
            state.news.rest().returned.extend(removed.iter().map(|run| run.id));
        }
        self.after_change(state, 0);
    }

    /// Stops these runs: those that have not started at once, the others as soon as they look.
    pub fn cancel(&self, runs: &HashSet<u64>) {
        let mut removed = Vec::new();
        let mut state = self.lock();
        state.queue.remove_where(|run| runs.contains(&run.id), &mut removed);
        let limit = self.inline_limit.load(Ordering::Relaxed);
        for run in removed {
            state.news.ended(cancelled(run.id), limit, Instant::now());
        }
        for (slot, running) in state.running.iter().enumerate() {
            if let Some(running) = running.as_ref().filter(|r| runs.contains(&r.run)) {
                self.flags[slot].cancelled.store(running.run, Ordering::Relaxed);
            }
        }
        self.after_change(state, 0);
    }

    /// Reports runs that are over their time, and says when to look again. Their threads stay
    /// busy until the operations return: a thread cannot be stopped.
    pub fn time_out(&self) -> Option<Instant> {
        let mut state = self.lock();
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let mut over = Vec::new();
        for (slot, running) in state.running.iter_mut().enumerate() {
            let Some(running) = running.as_mut().filter(|running| !running.abandoned) else {
                continue;
            };
            let Some(timeout) = running.timeout else { continue };
            let due = running.since + timeout;
            if due <= now {
                running.abandoned = true;
                self.flags[slot].abandoned.store(running.run, Ordering::Relaxed);
                over.push(Ended {
                    run: running.run,
                    micros: micros(now - running.since),
                    ending: timed_out(timeout).into(),
                });
            } else {
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        for ended in over {
            state.news.ended(ended, 0, now);
        }
        self.after_change(state, 0);
        next
    }

    pub fn set_paused(&self, paused: bool) {
        let mut state = self.lock();
        state.paused = paused;
        let idle = state.idle;
        self.after_change(state, idle);
    }

    pub fn set_draining(&self, draining: bool) {
        self.lock().draining = draining;
        if draining {
            self.give_back(None);
        }
    }

    /// The present session.
    pub fn generation(&self) -> u64 {
        self.lock().generation
    }

    pub fn is_draining(&self) -> bool {
        self.lock().draining
    }

    /// Runs on executor threads, and waiting for one.
    pub fn figures(&self) -> (u32, u32) {
        let state = self.lock();
        (state.running.iter().flatten().count() as u32, state.queue.len() as u32)
    }

    /// Ends the session: what was queued is forgotten, what runs is of no interest any more.
    /// Gives the number of the next session.
    pub fn end_session(&self) -> u64 {
        let mut state = self.lock();
        state.generation += 1;
        let mut removed = Vec::new();
        state.queue.remove_where(|_| true, &mut removed);
        for (_, class) in std::mem::take(&mut state.commands) {
            state.queue.give_back(&class);
        }
        state.news = News::default();
        state.announced.clear();
        state.announcing.clear();
        for (slot, running) in state.running.iter_mut().enumerate() {
            if let Some(running) = running {
                running.abandoned = true;
                self.flags[slot].abandoned.store(running.run, Ordering::Relaxed);
            }
        }
        let writer = state.writer.take();
        let generation = state.generation;
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        self.written.notify_all();
        generation
    }

    /// Lets the executor threads end.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        self.work.notify_all();
        self.written.notify_all();
    }
}

impl State {
    fn may_start(&self) -> bool {
        !self.paused && !self.draining && !self.stopped
    }

    fn writer_of_news(&mut self) -> Option<Waker> {
        if self.news.is_empty() { None } else { self.writer.take() }
    }

    /// The thread of `slot` is done with its batch.
    fn settle(&mut self, slot: usize, ended: &mut Vec<Ended>, inline_limit: u32) {
        let Some(running) = self.running[slot].take() else {
            return;
        };
        self.queue.give_back(&running.class);
        if running.abandoned {
            ended.clear();
            return;
        }
        let now = Instant::now();
        for ended in ended.drain(..) {
            self.news.ended(ended, inline_limit, now);
        }
    }

    /// Takes the next run, and short ones like it.
    fn take(&mut self, slot: usize, batch: &mut Vec<Run>) -> bool {
        if !self.may_start() {
            return false;
        }
        let taken = loop {
            let Some(taken) = self.queue.pop() else {
                return false;
            };
            if !taken.item.spec.is_command() {
                break taken;
            }
            self.commands.push((taken.item, taken.class));
        };
        let mut more = Vec::new();
        if taken.item.is_short() {
            let most = (self.queue.len() / self.running.len()).min(MOST_AT_ONCE - 1);
            while more.len() < most {
                match self.queue.pop_like(&taken, Run::is_short) {
                    Some(run) => more.push(run),
                    None => break,
                }
            }
        }
        self.running[slot] = Some(Running {
            run: taken.item.id,
            class: taken.class,
            since: Instant::now(),
            timeout: taken.item.spec.timeout,
            reported: taken.item.announce,
            abandoned: false,
        });
        batch.push(taken.item);
        batch.append(&mut more);
        true
    }

    /// True where telling of what ended may wait for `batch`, because that ends soon as well.
    fn may_hold_back(&self, batch: &[Run]) -> bool {
        let (count, oldest) = self.news.waiting();
        count < HELD_BACK
            && batch.first().is_some_and(Run::is_short)
            && oldest.is_none_or(|oldest| oldest.elapsed() < HELD_BACK_FOR)
    }

    fn return_commands(&mut self, runs: Option<&HashSet<u64>>) {
        for (run, class) in std::mem::take(&mut self.commands) {
            if runs.is_none_or(|runs| runs.contains(&run.id)) {
                self.queue.give_back(&class);
                self.news.rest().returned.push(run.id);
            } else {
                self.commands.push((run, class));
            }
        }
    }
}

pub(crate) fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

pub(crate) fn cancelled(run: u64) -> Ended {
    let error = TaskError::new(ErrorClass::Cancelled, "cancelled");
    Ended { run, micros: 0, ending: error.into() }
}

pub(crate) fn timed_out(timeout: Duration) -> TaskError {
    TaskError::new(
        ErrorClass::TimedOut,
        format!(
            "ran longer than its timeout of {timeout:?}: raise the timeout, or give it less to do"
        ),
    )
}
