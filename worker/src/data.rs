//! Where peers and clients read the outputs of this worker, and clients write put values.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use dasklet_core::TaskId;
use dasklet_protocol::{
    CHUNK_BYTES, MAX_MESSAGE_BYTES,
    v1::{
        self,
        worker_data_server::{WorkerData, WorkerDataServer},
    },
};
use smallvec::smallvec;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, transport::server::TcpIncoming};

use crate::{
    news::report_copy,
    store::{Found, SpillFile},
    worker::Worker,
};

/// Requests answered at once; more wait.
const AT_ONCE: usize = 64;
/// Values taken at once; more wait.
const PUTS_AT_ONCE: usize = 16;
/// Whoever neither reads nor writes for so long gives up its turn.
const PATIENCE: Duration = Duration::from_secs(60);
/// Outputs in one request.
const MOST_OUTPUTS: usize = 1 << 20;

/// Serves for as long as the worker lives.
pub(crate) async fn serve(worker: Arc<Worker>, listener: TcpListener) {
    let service = Service {
        worker,
        turns: Arc::new(Semaphore::new(AT_ONCE)),
        puts: Semaphore::new(PUTS_AT_ONCE),
    };
    let server = WorkerDataServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let result = tonic::transport::Server::builder()
        .initial_stream_window_size(8 << 20)
        .initial_connection_window_size(32 << 20)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .add_service(server)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await;
    if let Err(error) = result {
        tracing::error!("outputs are not served any more: {error}");
    }
}

struct Service {
    worker: Arc<Worker>,
    turns: Arc<Semaphore>,
    puts: Semaphore,
}

/// The next piece of a value that is put.
async fn next(chunks: &mut Streaming<v1::PutChunk>) -> Result<Option<v1::PutChunk>, Status> {
    tokio::time::timeout(PATIENCE, chunks.message()).await.unwrap_or_else(|_| {
        Err(Status::deadline_exceeded("the value does not go on: send it again"))
    })
}

#[tonic::async_trait]
impl WorkerData for Service {
    type FetchStream = ReceiverStream<Result<v1::Chunk, Status>>;

    async fn fetch(
        &self,
        request: Request<v1::FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        let request = request.into_inner();
        if request.outputs.len() > MOST_OUTPUTS {
            return Err(Status::invalid_argument(format!(
                "{} outputs in one request: ask for at most {MOST_OUTPUTS}",
                request.outputs.len()
            )));
        }
        let turn = self
            .turns
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Status::unavailable("this worker is ending"))?;
        let (chunks, receiver) = mpsc::channel(2);
        let worker = self.worker.clone();
        tokio::spawn(async move {
            let _turn = turn;
            // An error means that the reader went away.
            let _ = Sender { worker, chunks, pieces: Vec::new(), size: 0 }.send(request).await;
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn put(
        &self,
        request: Request<Streaming<v1::PutChunk>>,
    ) -> Result<Response<v1::PutReply>, Status> {
        let mut chunks = request.into_inner();
        let first = next(&mut chunks).await?.ok_or_else(|| {
            Status::invalid_argument("a put value needs at least one message, that names its task")
        })?;
        let generation = self.worker.agenda.generation();
        if self.worker.welcomed.load(Ordering::Acquire) != generation {
            return Err(Status::failed_precondition(
                "this worker has no connection with its scheduler at the moment: ask again for a place",
            ));
        }
        let epoch = self.worker.epoch.load(Ordering::Relaxed);
        if first.epoch != epoch {
            return Err(Status::failed_precondition(format!(
                "the scheduler's life is {epoch}, the value is for {}: connect again",
                first.epoch
            )));
        }
        let limit = self.worker.settings.memory_limit;
        if first.total > limit {
            return Err(Status::resource_exhausted(format!(
                "the value has {} bytes, more than this worker's memory of {limit}: put smaller parts",
                first.total
            )));
        }
        let ending = |_| Status::unavailable("this worker is ending");
        let _turn = self.puts.acquire().await.map_err(ending)?;
        let mut value = BytesMut::with_capacity(first.total as usize);
        value.extend_from_slice(&first.data);
        while let Some(chunk) = next(&mut chunks).await? {
            value.extend_from_slice(&chunk.data);
            if value.len() as u64 > limit {
                return Err(Status::resource_exhausted(
                    "the value is larger than this worker's memory",
                ));
            }
        }
        if first.total > 0 && value.len() as u64 != first.total {
            return Err(Status::data_loss(format!(
                "got {} of {} bytes: send the value again",
                value.len(),
                first.total
            )));
        }
        let nbytes = self.keep(generation, first.task, value.freeze()).await?;
        Ok(Response::new(v1::PutReply { nbytes }))
    }
}

impl Service {
    /// Stores what was begun in session `generation`. In a later one the task's id may mean
    /// another task.
    async fn keep(&self, generation: u64, task: u64, value: Bytes) -> Result<u64, Status> {
        let nbytes = value.len() as u64;
        let worker = self.worker.clone();
        let task = TaskId::from_bits(task);
        let stored = tokio::task::spawn_blocking(move || {
            worker.store.put(generation, task, smallvec![value])
        });
        let stored = stored
            .await
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(|error| Status::resource_exhausted(error.message))?;
        let told = stored
            && self.worker.agenda.tell_in(generation, |message| report_copy(message, task, nbytes));
        if told {
            return Ok(nbytes);
        }
        Err(Status::failed_precondition(
            "this worker lost its scheduler while the value was written: ask again for a place",
        ))
    }
}

/// The reader went away.
struct Gone;

/// Writes outputs in the order asked for, several small ones in a chunk.
struct Sender {
    worker: Arc<Worker>,
    chunks: mpsc::Sender<Result<v1::Chunk, Status>>,
    pieces: Vec<v1::Piece>,
    size: usize,
}

impl Sender {
    async fn send(mut self, request: v1::FetchRequest) -> Result<(), Gone> {
        let epoch_matches = request.epoch == self.worker.epoch.load(Ordering::Relaxed);
        for (position, output) in request.outputs.iter().enumerate() {
            let task = TaskId::from_bits(output.task);
            let found =
                if epoch_matches { self.worker.store.find(task, output.output) } else { None };
            let outputs = self.worker.store.outputs(task).unwrap_or(0) as u32;
            let first = v1::Piece { position: position as u32, outputs, ..v1::Piece::default() };
            match found {
                None => self.add(v1::Piece { missing: true, last: true, ..first }).await?,
                Some(Found::Memory(value)) => self.send_value(first, value).await?,
                Some(Found::Disk(file)) => self.send_file(task, first, file).await?,
            }
        }
        self.flush().await
    }

    async fn send_value(&mut self, first: v1::Piece, mut value: Bytes) -> Result<(), Gone> {
        let mut piece = v1::Piece { total: value.len() as u64, ..first };
        loop {
            let room = (CHUNK_BYTES - self.size.min(CHUNK_BYTES)).max(1).min(value.len());
            let data = value.split_to(room);
            let last = value.is_empty();
            let (position, next) = (piece.position, v1::Piece::default());
            let full = v1::Piece { data, last, ..std::mem::replace(&mut piece, next) };
            piece.position = position;
            self.add(full).await?;
            if last {
                return Ok(());
            }
        }
    }

    /// Reads and sends in pieces. The last one goes only if the whole is what was written.
    async fn send_file(
        &mut self,
        task: TaskId,
        first: v1::Piece,
        file: Arc<SpillFile>,
    ) -> Result<(), Gone> {
        let position = first.position;
        let mut piece = v1::Piece { total: file.length(), ..first };
        let mut left = file.length() as usize;
        let opened = tokio::task::spawn_blocking(move || file.open()).await;
        let mut reader = match opened {
            Ok(Ok(reader)) => reader,
            Ok(Err(sentence)) => return self.lost(task, position, &sentence).await,
            Err(_) => return Err(Gone),
        };
        while left > 0 {
            let size = left.min(CHUNK_BYTES);
            let read = tokio::task::spawn_blocking(move || {
                let mut bytes = vec![0; size];
                let result = reader.fill(&mut bytes);
                (reader, bytes, result)
            });
            let (back, bytes, result) = read.await.map_err(|_| Gone)?;
            reader = back;
            if let Err(sentence) = result {
                return self.lost(task, position, &sentence).await;
            }
            left -= size;
            let next = v1::Piece { position, ..v1::Piece::default() };
            let full = v1::Piece {
                data: Bytes::from(bytes),
                last: left == 0,
                ..std::mem::replace(&mut piece, next)
            };
            self.add(full).await?;
        }
        Ok(())
    }

    async fn lost(&mut self, task: TaskId, position: u32, sentence: &str) -> Result<(), Gone> {
        self.worker.store.damaged(task, sentence);
        self.add(v1::Piece { position, missing: true, last: true, ..v1::Piece::default() }).await
    }

    async fn add(&mut self, piece: v1::Piece) -> Result<(), Gone> {
        self.size += piece.data.len() + 16;
        self.pieces.push(piece);
        if self.size >= CHUNK_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        if self.pieces.is_empty() {
            return Ok(());
        }
        let bytes: usize = self.pieces.iter().map(|piece| piece.data.len()).sum();
        self.worker.counters.transferred_out.fetch_add(bytes as u64, Ordering::Relaxed);
        self.size = 0;
        let chunk = v1::Chunk { pieces: std::mem::take(&mut self.pieces) };
        let sent = tokio::time::timeout(PATIENCE, self.chunks.send(Ok(chunk))).await;
        sent.map_err(|_| Gone)?.map_err(|_| Gone)
    }
}
