//! A scheduler and a worker's data server whose every answer is written in the test.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use dasklet_protocol::v1::{self, scheduler_server, worker_data_server};
use futures::{Stream, StreamExt, stream};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Longest time for anything a test waits for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Outputs by (task, output), and put values by task.
#[derive(Clone, Default)]
pub struct Outputs(Arc<Mutex<HashMap<(u64, u32), Bytes>>>, Arc<Mutex<Option<Status>>>);

impl Outputs {
    pub fn set(&self, task: u64, output: u32, value: impl Into<Bytes>) {
        self.0.lock().unwrap().insert((task, output), value.into());
    }

    pub fn get(&self, task: u64, output: u32) -> Option<Bytes> {
        self.0.lock().unwrap().get(&(task, output)).cloned()
    }

    /// From now on, puts fail with this sentence.
    pub fn refuse_puts(&self, sentence: &str) {
        *self.1.lock().unwrap() = Some(Status::not_found(sentence));
    }

    /// The same, as for a value that is too large.
    pub fn refuse_puts_for_good(&self, sentence: &str) {
        *self.1.lock().unwrap() = Some(Status::resource_exhausted(sentence));
    }

    fn count(&self, task: u64) -> u32 {
        self.0.lock().unwrap().keys().filter(|(of, _)| *of == task).count() as u32
    }

    fn answer(&self, request: v1::FetchRequest) -> Answers<v1::Chunk> {
        let outputs = self.clone();
        let pieces = (0..).zip(request.outputs).flat_map(move |(position, id)| {
            match outputs.get(id.task, id.output) {
                None => {
                    let outputs = outputs.count(id.task);
                    let missing = v1::Piece { position, outputs, ..Default::default() };
                    vec![v1::Piece { missing: true, last: true, ..missing }]
                }
                // In small pieces, so that putting together is part of the test.
                Some(value) => (0..value.len().max(1))
                    .step_by(1000)
                    .map(|start| v1::Piece {
                        position,
                        data: value.slice(start..value.len().min(start + 1000)),
                        last: start + 1000 >= value.len(),
                        total: value.len() as u64,
                        ..Default::default()
                    })
                    .collect(),
            }
        });
        let chunks: Vec<_> = pieces.map(|piece| Ok(v1::Chunk { pieces: vec![piece] })).collect();
        Box::pin(stream::iter(chunks))
    }

    async fn take(
        &self,
        mut chunks: Streaming<v1::PutChunk>,
    ) -> Result<Response<v1::PutReply>, Status> {
        if let Some(refusal) = self.1.lock().unwrap().clone() {
            return Err(refusal);
        }
        let (mut task, mut value) = (0, Vec::new());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            task = chunk.task;
            value.extend_from_slice(&chunk.data);
        }
        let nbytes = value.len() as u64;
        self.set(task, 0, value);
        Ok(Response::new(v1::PutReply { nbytes }))
    }
}

/// One connection of a client. Dropping it breaks it.
pub struct Connection {
    messages: mpsc::UnboundedReceiver<v1::ClientMessage>,
    events: mpsc::UnboundedSender<Result<v1::ClientEvent, Status>>,
}

impl Connection {
    /// The next message of the client.
    pub async fn message(&mut self) -> v1::ClientMessage {
        let message = timeout(PATIENCE, self.messages.recv()).await;
        message.expect("a message within the time").expect("a client that is connected")
    }

    pub fn send(&self, event: v1::ClientEvent) {
        // A client that is gone is the test's subject.
        self.events.send(Ok(event)).ok();
    }

    pub fn welcome(&self, epoch: u64, resumed: bool, last_sequence: u64) {
        let welcome = Some(v1::ClientWelcome { epoch, resumed, last_sequence });
        self.send(v1::ClientEvent { welcome, ..Default::default() });
    }

    /// Accepts a submission: number n gets spec 100 + n.
    pub fn accept(&self, message: &v1::ClientMessage) {
        let submit = message.submit.as_ref().expect("a submission");
        let first = submit.first;
        let specs = (first..).take(submit.tasks.len()).map(|local| 100 + local as u32).collect();
        self.send(v1::ClientEvent {
            acknowledged: message.sequence,
            accepted: vec![v1::Accepted { first, specs }],
            ..Default::default()
        });
    }

    /// Accepts the client's next message.
    pub async fn accept_next(&mut self) {
        let message = self.message().await;
        self.accept(&message);
    }

    /// Tells where the put value 0 may be written.
    pub fn put_target(&self, worker: u32, address: &str) {
        let peer = v1::Peer { worker, data_address: address.to_owned(), name: "w".to_owned() };
        let target = v1::PutTarget { local: 0, task: 100 << 32, workers: vec![worker] };
        self.send(v1::ClientEvent {
            accepted: vec![v1::Accepted { first: 0, specs: vec![100] }],
            peers: vec![peer],
            put_targets: vec![target],
            ..Default::default()
        });
    }

    /// Tells that an output is held by worker 1 at this address.
    pub fn done_at(&self, (local, index): (u64, u32), worker: u32, address: &str) {
        let peer = v1::Peer { worker, data_address: address.to_owned(), name: "w".to_owned() };
        self.send(v1::ClientEvent {
            peers: vec![peer],
            done: vec![v1::Done {
                local: vec![local],
                index: vec![index],
                holder: vec![worker],
                nbytes: vec![1],
                ..Default::default()
            }],
            ..Default::default()
        });
    }

    /// Tells values of members of one number.
    pub fn values(&self, local: u64, values: &[(u32, Vec<u8>)]) {
        let done = v1::Done {
            local: vec![local; values.len()],
            index: values.iter().map(|(index, _)| *index).collect(),
            holder: vec![1; values.len()],
            nbytes: values.iter().map(|(_, value)| value.len() as u64).collect(),
            inline_length: values.iter().map(|(_, value)| value.len() as u32 + 1).collect(),
            inline_bytes: values
                .iter()
                .flat_map(|(_, value)| value.clone())
                .collect::<Vec<u8>>()
                .into(),
        };
        self.send(v1::ClientEvent { done: vec![done], ..Default::default() });
    }
}

#[derive(Clone)]
struct Service {
    connections: mpsc::UnboundedSender<Connection>,
    outputs: Outputs,
}

#[tonic::async_trait]
impl scheduler_server::Scheduler for Service {
    type WorkerSessionStream = Answers<v1::WorkerCommand>;
    type ClientSessionStream = Answers<v1::ClientEvent>;
    type FetchStream = Answers<v1::Chunk>;

    async fn worker_session(
        &self,
        _: Request<Streaming<v1::WorkerMessage>>,
    ) -> Result<Response<Self::WorkerSessionStream>, Status> {
        Err(Status::unimplemented("there are no workers here"))
    }

    async fn client_session(
        &self,
        request: Request<Streaming<v1::ClientMessage>>,
    ) -> Result<Response<Self::ClientSessionStream>, Status> {
        let (tell, messages) = mpsc::unbounded_channel();
        let (events, answers) = mpsc::unbounded_channel();
        let mut incoming = request.into_inner();
        tokio::spawn(async move {
            while let Some(Ok(message)) = incoming.next().await {
                if tell.send(message).is_err() {
                    break;
                }
            }
        });
        self.connections.send(Connection { messages, events }).ok();
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(answers))))
    }

    async fn fetch(
        &self,
        request: Request<v1::FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        Ok(Response::new(self.outputs.answer(request.into_inner())))
    }

    async fn put(
        &self,
        request: Request<Streaming<v1::PutChunk>>,
    ) -> Result<Response<v1::PutReply>, Status> {
        self.outputs.take(request.into_inner()).await
    }
}

struct Data(Outputs);

#[tonic::async_trait]
impl worker_data_server::WorkerData for Data {
    type FetchStream = Answers<v1::Chunk>;

    async fn fetch(
        &self,
        request: Request<v1::FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        Ok(Response::new(self.0.answer(request.into_inner())))
    }

    async fn put(
        &self,
        request: Request<Streaming<v1::PutChunk>>,
    ) -> Result<Response<v1::PutReply>, Status> {
        self.0.take(request.into_inner()).await
    }
}

/// A scheduler that says what the test says.
pub struct Scheduler {
    pub address: String,
    /// What its Fetch answers and its Put takes.
    pub outputs: Outputs,
    connections: mpsc::UnboundedReceiver<Connection>,
}

impl Scheduler {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let (tell, connections) = mpsc::unbounded_channel();
        let outputs = Outputs::default();
        let service = Service { connections: tell, outputs: outputs.clone() };
        let service = scheduler_server::SchedulerServer::new(service);
        tokio::spawn(
            Server::builder()
                .add_service(service.max_decoding_message_size(dasklet_protocol::MAX_MESSAGE_BYTES))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self { address, outputs, connections }
    }

    /// The next connection and its hello.
    pub async fn connection(&mut self) -> (Connection, v1::ClientHello) {
        let connection = timeout(PATIENCE, self.connections.recv()).await;
        let mut connection = connection.expect("a connection within the time").expect("a server");
        let hello = connection.message().await.hello.expect("a hello first");
        (connection, hello)
    }

    /// A client that is welcome, with its connection.
    pub async fn client(
        &mut self,
        options: dasklet_client::ConnectOptions,
    ) -> (dasklet_client::Client, Connection) {
        let address = self.address.clone();
        let welcome = async {
            let (connection, _) = self.connection().await;
            connection.welcome(7, false, 0);
            connection
        };
        let (client, connection) = tokio::join!(options.connect(&address), welcome);
        (client.unwrap(), connection)
    }
}

/// A client that is connected, as most tests begin.
pub struct Scene {
    pub scheduler: Scheduler,
    pub client: dasklet_client::Client,
    pub connection: Connection,
}

impl Scene {
    pub async fn new() -> Self {
        let mut scheduler = Scheduler::start().await;
        let options = dasklet_client::ConnectOptions::new();
        let (client, connection) = scheduler.client(options).await;
        Self { scheduler, client, connection }
    }
}

/// A worker's data server: its address and what it holds.
pub async fn worker() -> (String, Outputs) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let outputs = Outputs::default();
    let service = worker_data_server::WorkerDataServer::new(Data(outputs.clone()));
    tokio::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    (address, outputs)
}

/// An address where nobody listens.
pub async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}
