//! Who waits for what, and which peer is asked next. Nothing here awaits.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, atomic::Ordering},
};

use bytes::Bytes;
use dasklet_core::{ErrorClass, TaskError, TaskId};
use dasklet_protocol::v1;
use foldhash::{HashMap, HashSet};
use smallvec::SmallVec;
use tonic::transport::Channel;

use super::transfer;
use crate::{
    news::{Ended, Ending, Failed},
    spec::{Input, Run},
    store::Origin,
    worker::{Worker, lock},
};

/// Transfers from one peer at a time.
const TRANSFERS_PER_PEER: u32 = 2;
/// Outputs in one request.
const MOST_PER_REQUEST: usize = 1024;
/// Bytes in one request, but always one output.
const BYTES_PER_REQUEST: u64 = 32 << 20;
/// How often the holders of an output are all asked, where the connection is what failed.
const ROUNDS: u32 = 2;
/// Attempts to make a further copy.
const REPLICATE_TRIES: u32 = 3;

pub(super) type OutputKey = (TaskId, u32);

/// An output that a run needs, and where in its inputs it goes.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub task: TaskId,
    pub output: u32,
    pub holders: SmallVec<[u32; 2]>,
    pub nbytes: u64,
    pub position: u32,
    pub member: Option<u32>,
}

#[derive(Debug)]
struct Waiting {
    run: Run,
    missing: usize,
    lost: Vec<(u64, u32)>,
}

#[derive(Debug)]
enum Waiter {
    Input { run: u64, position: u32, member: Option<u32> },
    Replica,
}

/// An output on its way, or in a peer's queue.
#[derive(Debug)]
struct Sought {
    nbytes: u64,
    holders: SmallVec<[u32; 2]>,
    tried: SmallVec<[u32; 2]>,
    next: usize,
    round: u32,
    waiters: SmallVec<[Waiter; 1]>,
}

#[derive(Debug)]
struct Replica {
    key: Bytes,
    from: u32,
    outputs: u32,
    nbytes: u64,
    parts: Vec<Option<Bytes>>,
    tries: u32,
}

#[derive(Debug, Default)]
struct Peer {
    address: String,
    channel: Option<Channel>,
    queue: VecDeque<OutputKey>,
    active: u32,
}

#[derive(Debug, Default)]
struct Book {
    session: u64,
    peers: HashMap<u32, Peer>,
    sought: HashMap<OutputKey, Sought>,
    waiting: HashMap<u64, Waiting>,
    replicas: HashMap<TaskId, Replica>,
    in_flight: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Fetcher {
    book: Mutex<Book>,
    /// Bytes on their way at once.
    budget: u64,
}

/// One request to one peer.
#[derive(Debug)]
pub(super) struct Request {
    pub session: u64,
    pub peer: u32,
    pub address: String,
    pub channel: Channel,
    pub outputs: Vec<OutputKey>,
    pub nbytes: u64,
}

/// What came of one output of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Its bytes, and how many outputs its task has (0: not known).
    Here(Bytes, u32),
    /// The peer does not have it.
    Missing,
    /// The peer cannot be read from.
    Broken,
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
                    book.seek((want.task, want.output), want.nbytes, want.holders, waiter);
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
        if worker.store.outputs(task).is_some() {
            worker.agenda.tell(|message| report_copy(message, task, replicate.nbytes));
            return;
        }
        let outputs = replicate.outputs.max(1);
        let replica = Replica {
            key: replicate.key,
            from: replicate.from,
            outputs,
            nbytes: replicate.nbytes,
            parts: vec![None; outputs as usize],
            tries: REPLICATE_TRIES,
        };
        self.book().start_replica(task, replica);
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
                        book.arrived(key, &value, &mut settled);
                        if outputs == 1 && key.1 == 0 {
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
        let requests = {
            let mut book = self.book();
            // Each round takes a holder off each of these, so it ends.
            loop {
                let unreachable = book.unreachable();
                if unreachable.is_empty() {
                    break;
                }
                for (key, holder) in unreachable {
                    book.failed(key, holder, true, &mut settled, &mut Vec::new());
                }
            }
            book.requests(self.budget)
        };
        settled.pass_on(worker);
        for request in requests {
            transfer::start(worker, request);
        }
    }
}

/// What can leave the book.
#[derive(Debug, Default)]
struct Settled {
    ready: Vec<Run>,
    failed: Vec<(u64, Vec<(u64, u32)>)>,
    copies: Vec<(TaskId, Bytes)>,
    replicas: Vec<(TaskId, Replica)>,
}

impl Settled {
    fn pass_on(self, worker: &Worker) {
        let generation = worker.agenda.generation();
        let mut held = Vec::new();
        for (task, value) in self.copies {
            let nbytes = value.len() as u64;
            let outputs = smallvec::smallvec![value];
            if worker.store.outputs(task).is_none()
                && worker.store.put(generation, task, &Bytes::new(), outputs, Origin::Copy).is_ok()
            {
                held.push((task, nbytes));
            }
        }
        for (task, replica) in self.replicas {
            let outputs: SmallVec<[Bytes; 1]> = replica.parts.into_iter().flatten().collect();
            let nbytes = outputs.iter().map(|value| value.len() as u64).sum();
            match worker.store.put(generation, task, &replica.key, outputs, Origin::Own) {
                Ok(()) => held.push((task, nbytes)),
                Err(error) => tracing::warn!("cannot keep a copy of task {task}: {error}"),
            }
        }
        if !held.is_empty() {
            worker.agenda.tell(|message| {
                for (task, nbytes) in held {
                    report_copy(message, task, nbytes);
                }
            });
        }
        for (run, lost) in self.failed {
            let error = TaskError::new(
                ErrorClass::InputLost,
                format!("{} of its inputs could not be read from any holder", lost.len()),
            );
            let failed = Failed { error, lost, exit_code: 0, signal: 0 };
            let ending = Ending::Failed(Box::new(failed));
            worker.agenda.ended(Ended { run, micros: 0, ending });
        }
        if !self.ready.is_empty() {
            worker.agenda.add(self.ready);
        }
    }
}

fn report_copy(message: &mut v1::WorkerMessage, task: TaskId, nbytes: u64) {
    let copies = message.copies.get_or_insert_default();
    copies.task.push(task.to_bits());
    copies.nbytes.push(nbytes);
}

impl Book {
    fn seek(&mut self, key: OutputKey, nbytes: u64, holders: SmallVec<[u32; 2]>, waiter: Waiter) {
        if let Some(sought) = self.sought.get_mut(&key) {
            for holder in holders {
                if !sought.holders.contains(&holder) && !sought.tried.contains(&holder) {
                    sought.holders.push(holder);
                }
            }
            sought.waiters.push(waiter);
            return;
        }
        // Different workers begin with different holders, so that no holder serves all.
        let next = key.0.index as usize % holders.len().max(1);
        let sought = Sought {
            nbytes,
            holders,
            tried: SmallVec::new(),
            next,
            round: 0,
            waiters: smallvec::smallvec![waiter],
        };
        self.sought.insert(key, sought);
        self.enqueue(key);
    }

    fn start_replica(&mut self, task: TaskId, replica: Replica) {
        let (from, each) = (replica.from, replica.nbytes / u64::from(replica.outputs));
        let outputs = replica.outputs;
        self.replicas.insert(task, replica);
        for output in 0..outputs {
            self.seek((task, output), each, smallvec::smallvec![from], Waiter::Replica);
        }
    }

    /// Puts an output into the queue of the holder whose turn it is.
    fn enqueue(&mut self, key: OutputKey) {
        let Some(sought) = self.sought.get(&key) else { return };
        let holder = sought.holders.get(sought.next % sought.holders.len().max(1));
        // A holder that nobody told us of has no address: found out in `unreachable`.
        let holder = holder.copied().unwrap_or(u32::MAX);
        self.peers.entry(holder).or_default().queue.push_back(key);
    }

    /// Outputs queued at peers without an address.
    fn unreachable(&mut self) -> Vec<(OutputKey, u32)> {
        let mut keys = Vec::new();
        for (id, peer) in &mut self.peers {
            if peer.address.is_empty() {
                keys.extend(peer.queue.drain(..).map(|key| (key, *id)));
            }
        }
        keys
    }

    fn requests(&mut self, budget: u64) -> Vec<Request> {
        let mut requests = Vec::new();
        for (id, peer) in &mut self.peers {
            while peer.active < TRANSFERS_PER_PEER
                && !peer.queue.is_empty()
                && (self.in_flight < budget || self.in_flight == 0)
            {
                let mut outputs = Vec::new();
                let mut nbytes = 0;
                while outputs.len() < MOST_PER_REQUEST && nbytes < BYTES_PER_REQUEST {
                    let Some(key) = peer.queue.pop_front() else { break };
                    if let Some(sought) = self.sought.get(&key) {
                        nbytes += sought.nbytes;
                        outputs.push(key);
                    }
                }
                if outputs.is_empty() {
                    break;
                }
                let channel = match &peer.channel {
                    Some(channel) => channel.clone(),
                    None => match crate::session::endpoint(&peer.address) {
                        Ok(endpoint) => peer.channel.insert(endpoint.connect_lazy()).clone(),
                        Err(sentence) => {
                            tracing::error!("{sentence}");
                            peer.address.clear();
                            peer.queue.extend(outputs);
                            break;
                        }
                    },
                };
                peer.active += 1;
                self.in_flight += nbytes;
                requests.push(Request {
                    session: self.session,
                    peer: *id,
                    address: peer.address.clone(),
                    channel,
                    outputs,
                    nbytes,
                });
            }
        }
        requests
    }

    fn arrived(&mut self, key: OutputKey, value: &Bytes, settled: &mut Settled) {
        let Some(sought) = self.sought.remove(&key) else { return };
        for waiter in sought.waiters {
            match waiter {
                Waiter::Input { run, position, member } => {
                    let Some(waiting) = self.waiting.get_mut(&run) else { continue };
                    waiting.fill(position, member, value.clone());
                    waiting.missing -= 1;
                    self.settle(run, settled);
                }
                Waiter::Replica => {
                    let Some(replica) = self.replicas.get_mut(&key.0) else { continue };
                    if let Some(part) = replica.parts.get_mut(key.1 as usize) {
                        *part = Some(value.clone());
                    }
                    if replica.parts.iter().all(Option::is_some)
                        && let Some(replica) = self.replicas.remove(&key.0)
                    {
                        settled.replicas.push((key.0, replica));
                    }
                }
            }
        }
    }

    /// `holder` did not give it: the next one is asked, or it is lost.
    fn failed(
        &mut self,
        key: OutputKey,
        holder: u32,
        missing: bool,
        settled: &mut Settled,
        later: &mut Vec<OutputKey>,
    ) {
        let Some(sought) = self.sought.get_mut(&key) else { return };
        if !sought.tried.contains(&holder) {
            sought.tried.push(holder);
        }
        if missing {
            sought.holders.retain(|known| *known != holder);
        } else {
            sought.next += 1;
            if sought.next >= sought.holders.len() {
                sought.next = 0;
                sought.round += 1;
                if sought.round < ROUNDS {
                    later.push(key);
                    return;
                }
                sought.holders.clear();
            }
        }
        if !sought.holders.is_empty() {
            self.enqueue(key);
            return;
        }
        let Some(sought) = self.sought.remove(&key) else { return };
        for waiter in &sought.waiters {
            match waiter {
                Waiter::Input { run, .. } => {
                    let Some(waiting) = self.waiting.get_mut(run) else { continue };
                    waiting.missing -= 1;
                    let lost = sought.tried.iter().map(|holder| (key.0.to_bits(), *holder));
                    waiting.lost.extend(lost);
                    self.settle(*run, settled);
                }
                Waiter::Replica => self.replica_failed(key.0),
            }
        }
    }

    fn replica_failed(&mut self, task: TaskId) {
        let Some(mut replica) = self.replicas.remove(&task) else { return };
        replica.tries -= 1;
        if replica.tries == 0 {
            tracing::warn!(
                "no copy of task {task} could be made: worker {} does not give it",
                replica.from
            );
            return;
        }
        replica.parts.iter_mut().for_each(|part| *part = None);
        self.start_replica(task, replica);
    }

    /// Lets a run go that has all it waited for, or one that lost some and has heard of all.
    fn settle(&mut self, run: u64, settled: &mut Settled) {
        if self.waiting.get(&run).is_none_or(|waiting| waiting.missing > 0) {
            return;
        }
        let Some(waiting) = self.waiting.remove(&run) else { return };
        if waiting.lost.is_empty() {
            settled.ready.push(waiting.run);
        } else {
            settled.failed.push((run, waiting.lost));
        }
    }
}

impl Waiting {
    fn fill(&mut self, position: u32, member: Option<u32>, value: Bytes) {
        let place = match (self.run.inputs.get_mut(position as usize), member) {
            (Some(Input::Many(many)), Some(member)) => many.get_mut(member as usize),
            (place, _) => place,
        };
        if let Some(place) = place {
            *place = Input::Value(value);
        }
    }
}

impl Fetcher {
    /// Adds to what was read from peers.
    pub(super) fn count(worker: &Worker, bytes: u64) {
        worker.counters.transferred_in.fetch_add(bytes, Ordering::Relaxed);
    }
}
