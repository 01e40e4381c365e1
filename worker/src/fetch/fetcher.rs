//! The fetcher as other parts see it: runs and copies go in, runs that have all they need come
//! out.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use dasklet_core::{ErrorClass, TaskError, TaskId};
use dasklet_protocol::v1;
use foldhash::HashSet;
use smallvec::SmallVec;

use super::{
    book::{Book, Outcome, OutputKey, Replica, Request, Settled},
    transfer,
    waiting::{Waiter, Waiting, Wanted},
};
use crate::{
    news::{Ended, Ending, Failed, report_copy},
    spec::{Input, Run},
    worker::{Worker, lock},
};

/// Smaller values are read again: that costs less than to keep books about them.
const SMALLEST_CACHED: usize = 4 << 10;
/// Attempts to make a further copy.
const REPLICATE_TRIES: u32 = 3;
/// See the module.
#[derive(Debug)]
pub(crate) struct Fetcher {
    book: Mutex<Book>,
    /// Bytes on their way at once.
    budget: u64,
}

impl Fetcher {
    pub fn new(budget: u64) -> Self {
        Self { book: Mutex::default(), budget }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    /// Learns where workers are.
    pub fn know(&self, peers: Vec<v1::Peer>) {
        let mut book = self.book();
        for peer in peers {
            let known = book.peers.entry(peer.worker).or_default();
            if known.address != peer.data_address {
                known.address = peer.data_address;
                known.channel = None;
            }
        }
    }

    /// Runs that wait for inputs.
    pub fn waiting(&self) -> u32 {
        self.book().waiting.len() as u32
    }

    /// Fetches what these runs of a session want, then hands them to the agenda.
    pub fn add(&self, worker: &Arc<Worker>, session: u64, runs: Vec<(Run, Vec<Wanted>)>) {
        let draining = worker.agenda.is_draining();
        let mut returned = Vec::new();
        {
            let mut book = self.book();
            if book.session != session {
                return;
            }
            for (run, wanted) in runs {
                if draining || run.spec.class.is_none() {
                    returned.push(run.id);
                    continue;
                }
                let id = run.id;
                book.waiting.insert(id, Waiting { run, missing: wanted.len(), lost: Vec::new() });
                for want in wanted {
                    let waiter =
                        Waiter::Input { run: id, position: want.position, member: want.member };
                    let key = (want.task, want.output);
                    book.seek(key, want.nbytes, want.keep, want.holders, waiter);
                }
            }
        }
        if !returned.is_empty() {
            worker.agenda.tell_in(session, |message| message.returned.extend(returned));
        }
        self.advance(worker, session, Settled::default());
    }

    /// Fetches a copy to keep.
    pub fn replicate(&self, worker: &Arc<Worker>, session: u64, replicate: v1::Replicate) {
        let task = TaskId::from_bits(replicate.task);
        if let Some(nbytes) = worker.store.make_own(task) {
            worker.agenda.tell_in(session, |message| report_copy(message, task, nbytes));
            return;
        }
        let outputs = replicate.outputs.max(1);
        let replica = Replica {
            from: replicate.from,
            outputs,
            nbytes: replicate.nbytes,
            parts: vec![None; outputs as usize],
            tries: REPLICATE_TRIES,
        };
        {
            let mut book = self.book();
            if book.session != session || book.replicas.contains_key(&task) {
                // Asked for again, it is on its way.
                return;
            }
            book.start_replica(task, replica);
        }
        self.advance(worker, session, Settled::default());
    }

    /// Forgets runs that wait: these, or all. Gives those that were there.
    pub fn give_back(&self, runs: Option<&HashSet<u64>>) -> Vec<u64> {
        let mut book = self.book();
        let given: Vec<u64> = match runs {
            Some(runs) => {
                runs.iter().copied().filter(|run| book.waiting.contains_key(run)).collect()
            }
            None => book.waiting.keys().copied().collect(),
        };
        for run in &given {
            book.waiting.remove(run);
        }
        given
    }

    /// The scheduler has given this worker its id.
    pub fn begin_session(&self, me: u32) {
        self.book().me = me;
    }

    /// Forgets all: ids mean something else in the next session, which has this number.
    pub fn end_session(&self, next: u64) {
        *self.book() = Book { session: next, ..Book::default() };
    }

    /// A request is over: these are the outputs that nothing was heard of.
    pub(super) fn finished(&self, worker: &Arc<Worker>, request: &Request) {
        {
            let mut book = self.book();
            if book.session != request.session {
                return;
            }
            book.in_flight -= request.nbytes;
            if let Some(peer) = book.peers.get_mut(&request.peer) {
                peer.active -= 1;
            }
        }
        self.advance(worker, request.session, Settled::default());
    }

    /// What came of some outputs of a request.
    pub(super) fn deliver(
        &self,
        worker: &Arc<Worker>,
        session: u64,
        peer: u32,
        outcomes: Vec<(OutputKey, Outcome)>,
    ) {
        let mut settled = Settled::default();
        let mut later = Vec::new();
        {
            let mut book = self.book();
            if book.session != session {
                return;
            }
            for (key, outcome) in outcomes {
                match outcome {
                    Outcome::Here(value, outputs) => {
                        let whole = outputs == 1 && key.1 == 0 && value.len() >= SMALLEST_CACHED;
                        let mut shared = false;
                        let keep = |may_share: bool| {
                            shared = may_share && whole;
                            let read = worker.store.read(session, key.0, value.clone(), shared);
                            read.map_or_else(|| Input::Value(value.clone()), Input::Read)
                        };
                        book.arrived(key, &value, keep, &mut settled);
                        if shared {
                            settled.cached.push(key.0);
                        }
                    }
                    Outcome::Missing => book.failed(key, peer, true, &mut settled, &mut later),
                    Outcome::Broken => book.failed(key, peer, false, &mut settled, &mut later),
                }
            }
        }
        if !later.is_empty() {
            transfer::retry_later(worker, session, later);
        }
        if worker.store.is_too_full() {
            self.hold_back(worker);
        }
        self.advance(worker, session, settled);
    }

    /// Asks for nothing more until what is too much for the memory is on disk.
    fn hold_back(&self, worker: &Arc<Worker>) {
        if std::mem::replace(&mut self.book().is_held_back, true) {
            return;
        }
        let worker = worker.clone();
        tokio::spawn(async move {
            let spilling = worker.clone();
            let made = tokio::task::spawn_blocking(move || spilling.store.make_room()).await;
            worker.fetcher.go_on(&worker, made.unwrap_or_else(|error| Err(error.to_string())));
        });
    }

    /// There is room again. If there is none, the runs that wait give up what they have so far:
    /// others may need it to end.
    fn go_on(&self, worker: &Arc<Worker>, made: Result<(), String>) {
        let (session, given_up) = {
            let mut book = self.book();
            book.is_held_back = false;
            let given_up: Vec<u64> = match made {
                Ok(()) => Vec::new(),
                Err(_) => book.waiting.drain().map(|(run, _)| run).collect(),
            };
            (book.session, given_up)
        };
        if let Err(sentence) = made {
            let no_room = TaskError::worker_fault(format!("no room for its inputs: {sentence}"));
            let end = |run| Ended { run, micros: 0, ending: no_room.clone().into() };
            worker.agenda.ended(session, given_up.into_iter().map(end));
        }
        self.advance(worker, session, Settled::default());
    }

    /// Asks again for what was put off.
    pub(super) fn retry(&self, worker: &Arc<Worker>, session: u64, keys: Vec<OutputKey>) {
        {
            let mut book = self.book();
            if book.session != session {
                return;
            }
            for key in keys {
                book.enqueue(key);
            }
        }
        self.advance(worker, session, Settled::default());
    }

    /// Passes on what is settled in a session, and starts the requests that may start.
    fn advance(&self, worker: &Arc<Worker>, session: u64, mut settled: Settled) {
        let mut requests = Vec::new();
        {
            let mut book = self.book();
            if book.session == session {
                requests = book.advance(self.budget, &mut settled);
            }
        }
        settled.pass_on(worker, session);
        for request in requests {
            transfer::start(worker, request);
        }
    }
}

impl Settled {
    fn pass_on(self, worker: &Arc<Worker>, session: u64) {
        if !self.cached.is_empty() {
            let cached = self.cached.iter().map(|task| task.to_bits());
            worker.agenda.tell_in(session, |message| message.cached.extend(cached));
        }
        if !self.replicas.is_empty() {
            let worker = worker.clone();
            tokio::task::spawn_blocking(move || keep_copies(&worker, session, self.replicas));
        }
        for (run, lost) in self.failed {
            let error = TaskError::new(
                ErrorClass::InputLost,
                format!("{} of its inputs could not be read from any holder", lost.len()),
            );
            let failed = Failed { error, lost, exit_code: 0, signal: 0 };
            let ending = Ending::Failed(Box::new(failed));
            worker.agenda.ended(session, [Ended { run, micros: 0, ending }]);
        }
        if !self.ready.is_empty() {
            worker.agenda.add(session, self.ready);
        }
    }
}

/// Keeps copies that were asked for. That may have to write others to disk.
fn keep_copies(worker: &Worker, session: u64, copies: Vec<(TaskId, Replica)>) {
    for (task, replica) in copies {
        let outputs: SmallVec<[Bytes; 1]> = replica.parts.into_iter().flatten().collect();
        let nbytes = outputs.iter().map(|value| value.len() as u64).sum();
        match worker.store.put(session, task, outputs) {
            Ok(true) => {
                worker.agenda.tell_in(session, |message| report_copy(message, task, nbytes));
            }
            Ok(false) => {}
            Err(error) => tracing::warn!("cannot keep a copy of task {task}: {error}"),
        }
    }
}
