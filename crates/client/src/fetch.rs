//! Reads outputs from the workers that hold them, one request for each holder, or through the
//! scheduler where a worker cannot be reached.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use dasklet_protocol::{
    MAX_MESSAGE_BYTES,
    v1::{self, scheduler_client::SchedulerClient, worker_data_client::WorkerDataClient},
};
use foldhash::fast::RandomState;
use futures::{Stream, StreamExt};
use tonic::{Code, Status, transport::Channel};

use crate::{client::DirectToWorkers, session::connection};

/// Who sends nothing for so long is taken for broken.
const SILENCE: Duration = Duration::from_secs(30);
/// Outputs asked for in one request.
pub(crate) const OUTPUTS_PER_REQUEST: usize = 8192;

struct Holder {
    address: String,
    client: Option<WorkerDataClient<Channel>>,
    /// It could not be reached from here; the scheduler may.
    unreachable: bool,
}

#[derive(Default)]
struct Known {
    scheduler: Option<SchedulerClient<Channel>>,
    workers: HashMap<u32, Holder, RandomState>,
}

/// The ways to the workers.
pub(crate) struct Holders {
    direct: DirectToWorkers,
    connect_timeout: Duration,
    known: Mutex<Known>,
}

impl fmt::Debug for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holders").field("direct", &self.direct).finish_non_exhaustive()
    }
}

/// How a worker is asked.
pub(crate) enum Way {
    /// Itself.
    Direct(WorkerDataClient<Channel>),
    /// Through the scheduler.
    Through(SchedulerClient<Channel>),
}

impl Holders {
    pub(crate) fn new(direct: DirectToWorkers, connect_timeout: Duration) -> Self {
        Self { direct, connect_timeout, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the addresses of workers.
    pub(crate) fn learn(&self, peers: Vec<v1::Peer>) {
        if peers.is_empty() {
            return;
        }
        let mut known = self.known();
        for v1::Peer { worker, data_address, .. } in peers {
            let holder = Holder { address: data_address, client: None, unreachable: false };
            known.workers.insert(worker, holder);
        }
    }

    /// Takes the connection to the scheduler.
    pub(crate) fn set_scheduler(&self, channel: Channel) {
        let client = SchedulerClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        self.known().scheduler = Some(client);
    }

    /// How to ask `worker`; `None` if it is not known (any more).
    pub(crate) fn way(&self, worker: u32) -> Option<Way> {
        let mut known = self.known();
        let scheduler = known.scheduler.clone();
        let holder = known.workers.get_mut(&worker)?;
        let direct = match self.direct {
            DirectToWorkers::Auto => !holder.unreachable,
            DirectToWorkers::Yes => true,
            DirectToWorkers::No => false,
        };
        if !direct {
            return scheduler.map(Way::Through);
        }
        if holder.client.is_none() {
            let uri = format!("http://{}", holder.address);
            let channel = connection::endpoint(uri, self.connect_timeout).ok()?.connect_lazy();
            let client = WorkerDataClient::new(channel);
            holder.client = Some(client.max_decoding_message_size(MAX_MESSAGE_BYTES));
        }
        holder.client.clone().map(Way::Direct)
    }

    /// Remembers that a worker cannot be reached; true if there is another way to try. Others may
    /// find the same at the same time, and all take that way.
    pub(crate) fn unreachable(&self, worker: u32) -> bool {
        let mut known = self.known();
        let Some(holder) = known.workers.get_mut(&worker) else { return false };
        holder.client = None;
        holder.unreachable = true;
        self.direct == DirectToWorkers::Auto
    }

    /// Reads outputs of one worker.
    pub(crate) async fn fetch(
        &self,
        worker: u32,
        epoch: u64,
        outputs: &[v1::OutputId],
    ) -> Vec<Fetched> {
        let mut assembly = Assembly::new(outputs);
        while let Some(way) = self.way(worker) {
            let request = v1::FetchRequest { epoch, outputs: outputs.to_vec(), holder: worker };
            let direct = matches!(way, Way::Direct(_));
            let answer = async {
                match way {
                    Way::Direct(mut client) => client.fetch(request).await,
                    Way::Through(mut client) => client.fetch(request).await,
                }
            };
            let answer = tokio::time::timeout(SILENCE, answer)
                .await
                .unwrap_or_else(|_| Err(Status::deadline_exceeded("it does not answer")));
            match answer {
                Ok(stream) => assembly.read(stream.into_inner(), SILENCE).await,
                Err(status) if direct && is_unreachable(&status) && self.unreachable(worker) => {
                    continue;
                }
                Err(status) => tracing::debug!(worker, %status, "could not read outputs"),
            }
            break;
        }
        assembly.finish()
    }
}

/// True where the worker was not reached at all.
pub(crate) fn is_unreachable(status: &Status) -> bool {
    status.code() == Code::Unavailable
}

/// What came of one output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// Its bytes.
    Here(Bytes),
    /// The worker does not have it.
    Missing,
    /// The worker has the task's outputs, of which there are fewer.
    NoSuch {
        /// How many the task has.
        outputs: u32,
    },
    /// The worker did not answer, or not to the end.
    Unread,
}

/// Puts the pieces of outputs together.
struct Assembly<'a> {
    wanted: &'a [v1::OutputId],
    outputs: Vec<Fetched>,
    /// The output that came in part so far.
    partial: Option<(usize, BytesMut)>,
}

impl<'a> Assembly<'a> {
    fn new(wanted: &'a [v1::OutputId]) -> Self {
        Self { wanted, outputs: vec![Fetched::Unread; wanted.len()], partial: None }
    }

    /// Reads to the end, unless nothing comes for as long as `silence`.
    async fn read(
        &mut self,
        mut chunks: impl Stream<Item = Result<v1::Chunk, Status>> + Unpin,
        silence: Duration,
    ) {
        loop {
            match tokio::time::timeout(silence, chunks.next()).await {
                Ok(Some(Ok(chunk))) => chunk.pieces.into_iter().for_each(|piece| self.add(piece)),
                Ok(None) => return,
                Ok(Some(Err(status))) => {
                    return tracing::debug!(%status, "reading outputs broke off");
                }
                Err(_) => return tracing::debug!("the worker fell silent"),
            }
        }
    }

    fn add(&mut self, piece: v1::Piece) {
        let position = piece.position as usize;
        let Some(output) = self.outputs.get_mut(position) else { return };
        if piece.missing {
            let exists = piece.outputs == 0 || self.wanted[position].output < piece.outputs;
            *output =
                if exists { Fetched::Missing } else { Fetched::NoSuch { outputs: piece.outputs } };
            return;
        }
        match self.partial.take() {
            Some((of, mut data)) if of == position => {
                data.extend_from_slice(&piece.data);
                if piece.last {
                    *output = Fetched::Here(data.freeze());
                } else {
                    self.partial = Some((of, data));
                }
            }
            _ if piece.last => *output = Fetched::Here(piece.data),
            _ => {
                let total = usize::try_from(piece.total).unwrap_or(0);
                // The length is the peer's word: room is made for it only up to a bound.
                let mut data = BytesMut::with_capacity(total.clamp(piece.data.len(), 64 << 20));
                data.extend_from_slice(&piece.data);
                self.partial = Some((position, data));
            }
        }
    }

    fn finish(self) -> Vec<Fetched> {
        self.outputs
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[test]
    fn pieces_become_outputs_and_what_broke_off_is_missing() {
        let piece = |position, data: &'static [u8], last, missing| v1::Piece {
            position,
            data: Bytes::from_static(data),
            last,
            missing,
            total: 6,
            outputs: 2,
        };
        let wanted = [0, 0, 1, 0, 0, 2].map(|output| v1::OutputId { task: 1, output });
        let mut assembly = Assembly::new(&wanted);
        for piece in [
            piece(0, b"abc", false, false),
            piece(0, b"def", true, false),
            piece(1, b"x", true, false),
            piece(2, b"", true, true),
            piece(3, b"", true, false),
            piece(4, b"par", false, false),
            piece(5, b"", true, true),
            piece(99, b"x", true, false),
        ] {
            assembly.add(piece);
        }
        let here = |data: &'static [u8]| Fetched::Here(Bytes::from_static(data));
        assert_eq!(
            assembly.finish(),
            [
                here(b"abcdef"),
                here(b"x"),
                Fetched::Missing,
                here(b""),
                Fetched::Unread,
                Fetched::NoSuch { outputs: 2 }
            ]
        );
    }

    #[tokio::test]
    async fn a_worker_that_falls_silent_is_given_up() {
        let wanted = [v1::OutputId::default(); 2];
        let mut assembly = Assembly::new(&wanted);
        let piece = v1::Piece { last: true, ..v1::Piece::default() };
        let chunk = v1::Chunk { pieces: vec![piece] };
        let chunks = stream::iter([Ok(chunk)]).chain(stream::pending());
        assembly.read(chunks, Duration::from_millis(20)).await;
        assert_eq!(assembly.finish(), [Fetched::Here(Bytes::new()), Fetched::Unread]);
    }
}
