//! Who waits for what, and which peer is asked next: pure.

use std::collections::VecDeque;

use bytes::Bytes;
use dasklet_core::TaskId;
use foldhash::HashMap;
use smallvec::SmallVec;
use tonic::transport::Channel;

use super::waiting::{Sought, Waiter, Waiting};
use crate::{
    news::Lost,
    spec::{Input, Run},
};

/// Transfers from one peer at a time.
const TRANSFERS_PER_PEER: u32 = 2;
/// Outputs in one request.
const MOST_PER_REQUEST: usize = 1024;
/// Bytes in one request, but always one output.
const BYTES_PER_REQUEST: u64 = 32 << 20;
/// How often the holders of an output are all asked, where the connection is what failed.
const ROUNDS: u32 = 2;
pub(super) type OutputKey = (TaskId, u32);

#[derive(Debug)]
pub(super) struct Replica {
    pub from: u32,
    pub outputs: u32,
    pub nbytes: u64,
    pub parts: Vec<Option<Bytes>>,
    pub tries: u32,
}

#[derive(Debug, Default)]
pub(super) struct Peer {
    pub address: String,
    pub channel: Option<Channel>,
    pub queue: VecDeque<OutputKey>,
    pub active: u32,
}

impl Peer {
    /// Something is queued although it has no address.
    fn is_in_vain(&self) -> bool {
        self.address.is_empty() && !self.queue.is_empty()
    }
}

#[derive(Debug, Default)]
pub(super) struct Book {
    /// The session with the scheduler that all this belongs to.
    pub session: u64,
    /// This worker's id.
    pub me: u32,
    pub peers: HashMap<u32, Peer>,
    pub sought: HashMap<OutputKey, Sought>,
    pub waiting: HashMap<u64, Waiting>,
    pub replicas: HashMap<TaskId, Replica>,
    pub in_flight: u64,
    /// Memory is short: nothing more is asked for until others have made room.
    pub is_held_back: bool,
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

/// What can leave the book.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub ready: Vec<Run>,
    pub failed: Vec<(u64, Vec<Lost>)>,
    /// Inputs that others may read here, too.
    pub cached: Vec<TaskId>,
    pub replicas: Vec<(TaskId, Replica)>,
}

impl Book {
    pub fn seek(
        &mut self,
        key: OutputKey,
        nbytes: u64,
        keep: bool,
        holders: SmallVec<[u32; 2]>,
        waiter: Waiter,
    ) {
        if let Some(sought) = self.sought.get_mut(&key) {
            for holder in holders {
                if !sought.holders.contains(&holder)
                    && !sought.tried.iter().any(|(tried, _)| *tried == holder)
                {
                    sought.holders.push(holder);
                }
            }
            sought.waiters.push(waiter);
            return;
        }
        // Different workers begin with different holders, so that no holder serves all.
        let next = key.0.index.wrapping_add(self.me) as usize % holders.len().max(1);
        let sought = Sought {
            nbytes,
            keep,
            holders,
            tried: SmallVec::new(),
            next,
            round: 0,
            waiters: smallvec::smallvec![waiter],
        };
        self.sought.insert(key, sought);
        self.enqueue(key);
    }

    pub fn start_replica(&mut self, task: TaskId, replica: Replica) {
        let (from, each) = (replica.from, replica.nbytes / u64::from(replica.outputs));
        let outputs = replica.outputs;
        self.replicas.insert(task, replica);
        for output in 0..outputs {
            self.seek((task, output), each, false, smallvec::smallvec![from], Waiter::Replica);
        }
    }

    /// Puts an output into the queue of the holder whose turn it is.
    pub fn enqueue(&mut self, key: OutputKey) {
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

    /// What can be asked for now. What no holder can be asked for is settled.
    pub fn advance(&mut self, budget: u64, settled: &mut Settled) -> Vec<Request> {
        let mut requests = Vec::new();
        // A round takes a holder off each output without one, or finds that an address is none;
        // so it ends.
        loop {
            for (key, holder) in self.unreachable() {
                self.failed(key, holder, true, settled, &mut Vec::new());
            }
            requests.append(&mut self.requests(budget));
            if !self.peers.values().any(Peer::is_in_vain) {
                return requests;
            }
        }
    }

    fn requests(&mut self, budget: u64) -> Vec<Request> {
        let mut requests = Vec::new();
        if self.is_held_back {
            return requests;
        }
        for (id, peer) in &mut self.peers {
            while peer.active < TRANSFERS_PER_PEER
                && !peer.queue.is_empty()
                && (self.in_flight < budget || self.in_flight == 0)
            {
                let mut outputs = Vec::new();
                let mut nbytes = 0;
                while outputs.len() < MOST_PER_REQUEST && nbytes < BYTES_PER_REQUEST {
                    let Some(key) = peer.queue.pop_front() else { break };
                    let Some(sought) = self.sought.get(&key) else { continue };
                    if sought.is_wanted(&self.waiting) {
                        nbytes += sought.nbytes;
                        outputs.push(key);
                    } else {
                        self.sought.remove(&key);
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

    /// `keep` takes the value into account when a run needs it, given whether others may read it
    /// here, too.
    pub fn arrived(
        &mut self,
        key: OutputKey,
        value: &Bytes,
        mut keep: impl FnMut(bool) -> Input,
        settled: &mut Settled,
    ) {
        let Some(sought) = self.sought.remove(&key) else { return };
        let mut input = None;
        for waiter in sought.waiters {
            match waiter {
                Waiter::Input { run, position, member } => {
                    let Some(waiting) = self.waiting.get_mut(&run) else { continue };
                    let input = input.get_or_insert_with(|| keep(sought.keep));
                    waiting.fill(position, member, input.clone());
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
    pub fn failed(
        &mut self,
        key: OutputKey,
        holder: u32,
        missing: bool,
        settled: &mut Settled,
        later: &mut Vec<OutputKey>,
    ) {
        let Some(sought) = self.sought.get_mut(&key) else { return };
        if !sought.tried.iter().any(|(tried, _)| *tried == holder) {
            sought.tried.push((holder, missing));
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
                    let lost = sought.tried.iter().map(|(holder, missing)| Lost {
                        task: key.0.to_bits(),
                        holder: *holder,
                        missing: *missing,
                    });
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
