//! A scheduler whose every word is written in the test.

use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
    time::Duration,
};

use bytes::Bytes;
use dasklet_protocol::v1::{
    self,
    scheduler_server::{Scheduler, SchedulerServer},
    worker_data_client::WorkerDataClient,
};
use dasklet_worker::{
    Registry,
    worker::{Options, WorkerError, run},
};
use futures::Stream;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::{Request, Response, Status, Streaming};

pub const EPOCH: u64 = 77;
const PATIENCE: Duration = Duration::from_secs(30);

type Commands = mpsc::UnboundedSender<Result<v1::WorkerCommand, Status>>;
type Opened = (Commands, Streaming<v1::WorkerMessage>);

/// The scheduler.
pub struct Fake {
    pub address: String,
    opened: mpsc::UnboundedReceiver<Opened>,
}

struct Service(mpsc::UnboundedSender<Opened>);

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Scheduler for Service {
    type WorkerSessionStream = UnboundedReceiverStream<Result<v1::WorkerCommand, Status>>;
    type ClientSessionStream = Boxed<v1::ClientEvent>;
    type FetchStream = Boxed<v1::Chunk>;

    async fn worker_session(
        &self,
        request: Request<Streaming<v1::WorkerMessage>>,
    ) -> Result<Response<Self::WorkerSessionStream>, Status> {
        let (commands, stream) = mpsc::unbounded_channel();
        let _ = self.0.send((commands, request.into_inner()));
        Ok(Response::new(UnboundedReceiverStream::new(stream)))
    }

    async fn client_session(
        &self,
        _: Request<Streaming<v1::ClientMessage>>,
    ) -> Result<Response<Self::ClientSessionStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn fetch(
        &self,
        _: Request<v1::FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn put(
        &self,
        _: Request<Streaming<v1::PutChunk>>,
    ) -> Result<Response<v1::PutReply>, Status> {
        Err(Status::unimplemented(""))
    }
}

impl Fake {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let (sender, opened) = mpsc::unbounded_channel();
        let server = tonic::transport::Server::builder()
            .add_service(SchedulerServer::new(Service(sender)))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        Self { address, opened }
    }

    /// The next worker that connects, before it is welcomed.
    pub async fn opened(&mut self) -> Session {
        let (commands, messages) =
            tokio::time::timeout(PATIENCE, self.opened.recv()).await.expect("a worker").unwrap();
        let mut session = Session {
            commands,
            messages,
            hello: v1::WorkerHello::default(),
            seen: Seen::default(),
        };
        let first = session.message().await;
        session.hello = first.hello.expect("the first message says hello");
        session
    }

    /// The next worker that connects, welcomed as worker `id`.
    pub async fn accept(&mut self, id: u32) -> Session {
        let session = self.opened().await;
        session.welcome(id, EPOCH, Vec::new());
        session
    }
}

/// What a worker has reported.
#[derive(Debug, Default)]
pub struct Seen {
    pub finished: HashMap<u64, (u64, Option<Bytes>)>,
    pub outputs: HashMap<u64, Vec<u64>>,
    pub failed: HashMap<u64, v1::RunFailed>,
    pub started: HashSet<u64>,
    pub returned: HashSet<u64>,
    pub copies: HashMap<u64, u64>,
    pub cached: HashSet<u64>,
    pub dropped: HashSet<u64>,
    pub heartbeat: v1::Heartbeat,
    pub heartbeats: u32,
    pub leaving: bool,
    /// Tasks told to be gone, with the runs that ended well in the same message.
    pub told_together: Vec<(Vec<u64>, Vec<u64>)>,
    /// Runs that have an end, in the order of the news.
    pub order: Vec<u64>,
}

impl Seen {
    fn add(&mut self, message: v1::WorkerMessage) {
        let runs = message.finished.as_ref().map_or(Vec::new(), |finished| finished.run.clone());
        if !runs.is_empty() && !message.dropped.is_empty() {
            self.told_together.push((message.dropped.clone(), runs));
        }
        if let Some(finished) = message.finished {
            let mut inline = finished.inline_bytes;
            for (n, run) in finished.run.iter().enumerate() {
                let value = match finished.inline_length[n] as usize {
                    0 => None,
                    length => Some(inline.split_to(length - 1)),
                };
                let twice = self.finished.insert(*run, (finished.nbytes[n], value));
                assert!(twice.is_none(), "run {run} finished twice");
                self.order.push(*run);
            }
        }
        for finished in message.finished_outputs {
            self.order.push(finished.run);
            self.outputs.insert(finished.run, finished.nbytes);
        }
        for failed in message.failed {
            self.order.push(failed.run);
            self.failed.insert(failed.run, failed);
        }
        self.started.extend(message.started);
        self.returned.extend(message.returned);
        if let Some(copies) = message.copies {
            self.copies.extend(copies.task.into_iter().zip(copies.nbytes));
        }
        self.cached.extend(message.cached);
        self.dropped.extend(message.dropped);
        if let Some(heartbeat) = message.heartbeat {
            self.heartbeat = heartbeat;
            self.heartbeats += 1;
        }
        self.leaving |= message.leaving;
    }
}

/// One worker's connection.
pub struct Session {
    commands: Commands,
    messages: Streaming<v1::WorkerMessage>,
    pub hello: v1::WorkerHello,
    pub seen: Seen,
}

impl Session {
    pub fn welcome(&self, worker: u32, epoch: u64, keep: Vec<u64>) {
        self.send(v1::WorkerCommand {
            welcome: Some(v1::WorkerWelcome {
                epoch,
                worker,
                heartbeat_millis: 100,
                inline_limit: 1024,
                keep,
            }),
            ..v1::WorkerCommand::default()
        });
    }

    pub fn send(&self, command: v1::WorkerCommand) {
        self.commands.send(Ok(command)).unwrap();
    }

    async fn message(&mut self) -> v1::WorkerMessage {
        tokio::time::timeout(PATIENCE, self.messages.message())
            .await
            .expect("a message in time")
            .expect("the connection")
            .expect("the stream")
    }

    /// Reads until `enough`.
    pub async fn until(&mut self, enough: impl Fn(&Seen) -> bool) -> &Seen {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !enough(&self.seen) {
            let message = tokio::time::timeout_at(deadline, self.messages.message()).await;
            let message = message.unwrap_or_else(|_| panic!("in vain: {:?}", self.seen));
            self.seen.add(message.expect("the connection").expect("the stream"));
        }
        &self.seen
    }

    /// The value of a run that ended well and is small.
    pub async fn value(&mut self, run: u64) -> String {
        let seen = self.until(|seen| seen.order.contains(&run)).await;
        match seen.failed.get(&run) {
            Some(failed) => panic!("{}", failed.message),
            None => shown(seen.finished[&run].1.as_ref().expect("an inline value")),
        }
    }

    /// The error of a run that failed.
    pub async fn error(&mut self, run: u64) -> v1::RunFailed {
        let seen = self.until(|seen| seen.order.contains(&run)).await;
        seen.failed.get(&run).expect("a failure").clone()
    }

    /// Reads until the connection is gone.
    pub async fn gone(&mut self) {
        let gone = async {
            while let Ok(Some(message)) = self.messages.message().await {
                self.seen.add(message);
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("the connection ends");
    }

    /// Reads outputs as a peer would.
    pub async fn fetch(&self, outputs: &[(u64, u32)]) -> Vec<Option<Bytes>> {
        fetch(&self.hello.data_address, EPOCH, outputs).await
    }
}

pub fn shown(value: &[u8]) -> String {
    rmp_serde::from_slice::<i64>(value).map_or_else(|_| format!("{value:?}"), |n| n.to_string())
}

pub async fn fetch(address: &str, epoch: u64, outputs: &[(u64, u32)]) -> Vec<Option<Bytes>> {
    let mut client = WorkerDataClient::connect(format!("http://{address}")).await.unwrap();
    let outputs: Vec<v1::OutputId> = outputs
        .iter()
        .map(|(task, output)| v1::OutputId { task: *task, output: *output })
        .collect();
    let mut values = vec![Some(Vec::new()); outputs.len()];
    let request = v1::FetchRequest { epoch, outputs, holder: 0 };
    let mut chunks = client.fetch(request).await.unwrap().into_inner();
    while let Some(chunk) = chunks.message().await.unwrap() {
        for piece in chunk.pieces {
            let value = &mut values[piece.position as usize];
            if piece.missing {
                *value = None;
            } else if let Some(value) = value {
                value.extend_from_slice(&piece.data);
            }
        }
    }
    values.into_iter().map(|value| value.map(Bytes::from)).collect()
}

/// A worker in this process.
pub struct Local {
    pub stop: Option<oneshot::Sender<()>>,
    pub ended: JoinHandle<Result<(), WorkerError>>,
    _scratch: tempfile::TempDir,
}

impl Local {
    pub fn start(fake: &Fake, change: impl FnOnce(&mut Options)) -> Self {
        Self::start_with(fake, Registry::standard(), change)
    }

    pub fn start_with(fake: &Fake, registry: Registry, change: impl FnOnce(&mut Options)) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut options = Options::new(&fake.address);
        options.slots = Some(2);
        options.name = Some("w".to_owned());
        options.memory_limit = "4Gi".to_owned();
        options.scratch = Some(scratch.path().to_owned());
        options.guard_program = Some(env!("CARGO_BIN_EXE_dasklet-worker").into());
        change(&mut options);
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(run(options, registry, async move {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        }));
        Self { stop: Some(stop), ended, _scratch: scratch }
    }
}
