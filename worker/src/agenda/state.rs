//! The state behind the agenda's lock: steps that need nothing else.

use std::{
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use foldhash::HashSet;

use crate::{
    news::{Ended, News},
    queue::{Class, ReadyQueue},
    spec::Run,
};

/// Most short runs that one thread takes at once.
const MOST_AT_ONCE: usize = 32;
/// News of so many short runs may wait for the next ones ...
const HELD_BACK: usize = 256;
/// ... for so long.
const HELD_BACK_FOR: Duration = Duration::from_micros(300);

/// A run on an executor thread.
#[derive(Debug)]
pub(super) struct Running {
    pub run: u64,
    pub class: Arc<Class>,
    pub since: Instant,
    pub timeout: Option<Duration>,
    /// The scheduler has been told that it started.
    pub reported: bool,
    /// Its end is of no interest any more.
    pub abandoned: bool,
}

#[derive(Debug)]
pub(super) struct State {
    pub generation: u64,
    pub queue: ReadyQueue<Run>,
    pub running: Vec<Option<Running>>,
    /// Commands whose resources are taken, to be started by the I/O thread.
    pub commands: Vec<(Run, Arc<Class>)>,
    pub news: News,
    pub writer: Option<Waker>,
    pub idle: usize,
    pub paused: bool,
    pub draining: bool,
    pub stopped: bool,
    /// Runs whose announced start has been written.
    pub announced: HashSet<u64>,
    /// Runs whose start must be written before they begin.
    pub announcing: Vec<u64>,
}

impl State {
    pub fn new(slots: usize, queue: ReadyQueue<Run>) -> Self {
        Self {
            generation: 0,
            queue,
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
        }
    }

    pub fn may_start(&self) -> bool {
        !self.paused && !self.draining && !self.stopped
    }

    pub fn writer_of_news(&mut self) -> Option<Waker> {
        if self.news.is_empty() { None } else { self.writer.take() }
    }

    /// The thread of `slot` is done with its batch.
    pub fn settle(&mut self, slot: usize, ended: &mut Vec<Ended>, inline_limit: u32) {
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
    pub fn take(&mut self, slot: usize, batch: &mut Vec<Run>) -> bool {
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
    pub fn may_hold_back(&self, batch: &[Run]) -> bool {
        let (count, oldest) = self.news.waiting();
        count < HELD_BACK
            && batch.first().is_some_and(Run::is_short)
            && oldest.is_none_or(|oldest| oldest.elapsed() < HELD_BACK_FOR)
    }

    /// Takes commands back that have not been started yet: of `runs`, or all.
    pub fn remove_commands(&mut self, runs: Option<&HashSet<u64>>) -> Vec<u64> {
        let mut removed = Vec::new();
        for (run, class) in std::mem::take(&mut self.commands) {
            if runs.is_none_or(|runs| runs.contains(&run.id)) {
                self.queue.give_back(&class);
                removed.push(run.id);
            } else {
                self.commands.push((run, class));
            }
        }
        removed
    }
}
