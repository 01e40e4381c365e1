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
use tonic::{Code, Status, Streaming, transport::Channel};

use crate::{client::DirectToWorkers, session::connection};

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

    /// Remembers that a worker cannot be reached; true if there is another way to try.
    pub(crate) fn unreachable(&self, worker: u32) -> bool {
        let mut known = self.known();
        let Some(holder) = known.workers.get_mut(&worker) else { return false };
        holder.client = None;
        let first = !std::mem::replace(&mut holder.unreachable, true);
        first && self.direct == DirectToWorkers::Auto
    }

    /// Reads outputs of one worker: `None` for each that could not be read there.
    pub(crate) async fn fetch(
        &self,
        worker: u32,
        epoch: u64,
        outputs: &[v1::OutputId],
    ) -> Vec<Option<Bytes>> {
        let mut assembly = Assembly::new(outputs.len());
        while let Some(way) = self.way(worker) {
            let request = v1::FetchRequest { epoch, outputs: outputs.to_vec(), holder: worker };
            let direct = matches!(way, Way::Direct(_));
            let answer = match way {
                Way::Direct(mut client) => client.fetch(request).await,
                Way::Through(mut client) => client.fetch(request).await,
            };
            match answer {
                Ok(stream) => assembly.read(stream.into_inner()).await,
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

/// Puts the pieces of outputs together.
struct Assembly {
    outputs: Vec<Option<Bytes>>,
    /// The output that came in part so far.
    partial: Option<(usize, BytesMut)>,
}

impl Assembly {
    fn new(count: usize) -> Self {
        Self { outputs: vec![None; count], partial: None }
    }

    async fn read(&mut self, mut stream: Streaming<v1::Chunk>) {
        loop {
            match stream.message().await {
                Ok(Some(chunk)) => chunk.pieces.into_iter().for_each(|piece| self.add(piece)),
                Ok(None) => return,
                Err(status) => {
                    return tracing::debug!(%status, "reading outputs broke off");
                }
            }
        }
    }

    fn add(&mut self, piece: v1::Piece) {
        let position = piece.position as usize;
        if piece.missing || position >= self.outputs.len() {
            return;
        }
        match self.partial.take() {
            Some((of, mut data)) if of == position => {
                data.extend_from_slice(&piece.data);
                if piece.last {
                    self.outputs[position] = Some(data.freeze());
                } else {
                    self.partial = Some((of, data));
                }
            }
            _ if piece.last => self.outputs[position] = Some(piece.data),
            _ => {
                let total = usize::try_from(piece.total).unwrap_or(0);
                // The length is the peer's word: room is made for it only up to a bound.
                let mut data = BytesMut::with_capacity(total.clamp(piece.data.len(), 64 << 20));
                data.extend_from_slice(&piece.data);
                self.partial = Some((position, data));
            }
        }
    }

    fn finish(self) -> Vec<Option<Bytes>> {
        self.outputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_outputs_and_what_broke_off_is_missing() {
        let piece = |position, data: &'static [u8], last, missing| v1::Piece {
            position,
            data: Bytes::from_static(data),
            last,
            missing,
            total: 6,
            outputs: 0,
        };
        let mut assembly = Assembly::new(5);
        for piece in [
            piece(0, b"abc", false, false),
            piece(0, b"def", true, false),
            piece(1, b"x", true, false),
            piece(2, b"", true, true),
            piece(3, b"", true, false),
            piece(4, b"par", false, false),
            piece(99, b"x", true, false),
        ] {
            assembly.add(piece);
        }
        let text: Vec<_> =
            assembly.finish().into_iter().map(|output| output.map(|o| o.to_vec())).collect();
        assert_eq!(
            text,
            [Some(b"abcdef".to_vec()), Some(b"x".to_vec()), None, Some(Vec::new()), None]
        );
    }
}
