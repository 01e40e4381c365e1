//! The fetcher as other parts see it: runs and copies go in, runs that have all they need come
//! out.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use dasklet_core::{ErrorClass, TaskError, TaskId};
use dasklet_protocol::v1;
use foldhash::HashSet;
use smallvec::SmallVec;

use super::{
    book::{Book, Outcome, OutputKey, Replica, Request, Settled, Waiter, Waiting, Wanted},
    transfer,
};
use crate::{
    news::{Ended, Ending, Failed, report_copy},
    spec::Run,
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

    /// Fetches what these runs want, then hands them to the agenda.
    pub fn add(&self, worker: &Arc<Worker>, _generation: u64, runs: Vec<(Run, Vec<Wanted>)>) {
        let draining = worker.agenda.is_draining();
        let mut returned = Vec::new();
        {
            let mut book = self.book();
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
            worker.agenda.tell(|message| message.returned.extend(returned));
        }
        self.advance(worker, Settled::default());
    }

    /// Fetches a copy to keep.
    pub fn replicate(&self, worker: &Arc<Worker>, _generation: u64, replicate: v1::Replicate) {
        let task = TaskId::from_bits(replicate.task);
        if let Some(nbytes) = worker.store.make_own(task) {
            worker.agenda.tell(|message| report_copy(message, task, nbytes));
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
            if book.replicas.contains_key(&task) {
                // Asked for again: it is on its way.
                return;
            }
            book.start_replica(task, replica);
        }
        self.advance(worker, Settled::default());
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

    /// Forgets all: ids mean something else in the next session.
    pub fn end_session(&self) {
        let mut book = self.book();
        *book = Book { session: book.session + 1, ..Book::default() };
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
        self.advance(worker, Settled::default());
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
                        let keep = book.arrived(key, &value, &mut settled);
                        if keep && outputs == 1 && key.1 == 0 && value.len() >= SMALLEST_CACHED {
                            settled.copies.push((key.0, value));
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
        self.advance(worker, settled);
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
        self.advance(worker, Settled::default());
    }

    /// Passes on what is settled, and starts the requests that may start.
    fn advance(&self, worker: &Arc<Worker>, mut settled: Settled) {
        let requests = self.book().advance(self.budget, &mut settled);
        settled.pass_on(worker);
        for request in requests {
            transfer::start(worker, request);
        }
    }
}

impl Settled {
    fn pass_on(self, worker: &Arc<Worker>) {
        let generation = worker.agenda.generation();
        let mut cached = Vec::new();
        for (task, value) in self.copies {
            if worker.store.cache(generation, task, value) {
                cached.push(task.to_bits());
            }
        }
        if !cached.is_empty() {
            worker.agenda.tell(|message| message.cached.extend(cached));
        }
        if !self.replicas.is_empty() {
            let worker = worker.clone();
            tokio::task::spawn_blocking(move || keep_copies(&worker, generation, self.replicas));
        }
        for (run, lost) in self.failed {
            let error = TaskError::new(
                ErrorClass::InputLost,
                format!("{} of its inputs could not be read from any holder", lost.len()),
            );
            let failed = Failed { error, lost, exit_code: 0, signal: 0 };
            let ending = Ending::Failed(Box::new(failed));
            worker.agenda.ended([Ended { run, micros: 0, ending }]);
        }
        if !self.ready.is_empty() {
            worker.agenda.add(self.ready);
        }
    }
}

/// Keeps copies that were asked for. That may have to write others to disk.
fn keep_copies(worker: &Worker, generation: u64, copies: Vec<(TaskId, Replica)>) {
    for (task, replica) in copies {
        let outputs: SmallVec<[Bytes; 1]> = replica.parts.into_iter().flatten().collect();
        let nbytes = outputs.iter().map(|value| value.len() as u64).sum();
        match worker.store.put(generation, task, outputs) {
            Ok(true) => {
                worker.agenda.tell_in(generation, |message| report_copy(message, task, nbytes));
            }
            Ok(false) => {}
            Err(error) => tracing::warn!("cannot keep a copy of task {task}: {error}"),
        }
    }
}
