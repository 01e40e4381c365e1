//! What the I/O thread does with the agenda.

use std::{
    sync::{Arc, MutexGuard, atomic::Ordering},
    task::{Context, Poll},
    time::Instant,
};

use dasklet_protocol::v1;
use foldhash::HashSet;

use super::{exchange::Agenda, state::State};
use crate::{
    news::{Ended, News, cancelled, micros, timed_out},
    queue::Class,
    spec::{Body, Run},
};

impl Agenda {
    /// Adds runs of session `generation` whose inputs are all there. Those that cannot run here
    /// fail at once.
    pub fn add(&self, generation: u64, runs: impl IntoIterator<Item = Run>) {
        let mut state = self.lock();
        if state.generation != generation {
            return;
        }
        let limit = self.inline_limit.load(Ordering::Relaxed);
        let mut added = 0;
        for run in runs {
            match (&run.spec.class, &run.spec.body) {
                (Some(class), body) if !matches!(body, Body::Unusable(_)) => {
                    if state.draining {
                        state.news.rest().returned.push(run.id);
                        continue;
                    }
                    let class = class.clone();
                    state.queue.push(run.spec.priority, &class, run);
                    added += 1;
                }
                (_, Body::Unusable(error)) => {
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

    /// The same, unless session `generation` is over. True if it was not.
    pub fn tell_in(&self, generation: u64, add: impl FnOnce(&mut v1::WorkerMessage)) -> bool {
        let mut state = self.lock();
        if state.generation != generation {
            return false;
        }
        add(state.news.rest());
        self.after_change(state, 0);
        true
    }

    /// Runs of session `generation` that never reached an executor have ended.
    pub fn ended(&self, generation: u64, ended: impl IntoIterator<Item = Ended>) {
        let mut state = self.lock();
        if state.generation != generation {
            return;
        }
        let limit = self.inline_limit.load(Ordering::Relaxed);
        let now = Instant::now();
        for ended in ended {
            state.news.ended(ended, limit, now);
        }
        self.after_change(state, 0);
    }

    /// Runs may start.
    pub fn may_start(&self) -> bool {
        self.lock().may_start()
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
        let mut returned = state.remove_commands(runs);
        returned.extend(removed.iter().map(|run| run.id));
        if !returned.is_empty() {
            state.news.rest().returned.extend(returned);
        }
        self.after_change(state, 0);
    }

    /// Stops these runs: those that have not started at once, the others as soon as they look.
    pub fn cancel(&self, runs: &HashSet<u64>) {
        let mut removed = Vec::new();
        let mut state = self.lock();
        state.queue.remove_where(|run| runs.contains(&run.id), &mut removed);
        let limit = self.inline_limit.load(Ordering::Relaxed);
        let mut ended = state.remove_commands(Some(runs));
        ended.extend(removed.iter().map(|run| run.id));
        for run in ended {
            state.news.ended(cancelled(run), limit, Instant::now());
        }
        for (slot, running) in state.running.iter().enumerate() {
            if running.as_ref().is_some_and(|running| runs.contains(&running.run)) {
                self.flags[slot].stop.store(true, Ordering::Relaxed);
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
                self.flags[slot].stop.store(true, Ordering::Relaxed);
                self.flags[slot].abandoned.store(true, Ordering::Relaxed);
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
                self.flags[slot].stop.store(true, Ordering::Relaxed);
                self.flags[slot].abandoned.store(true, Ordering::Relaxed);
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
