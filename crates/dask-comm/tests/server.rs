//! Stock Python clients talk to a server made of this codec: one that stores what they scatter,
//! gives it back, and says why it runs nothing.

#![allow(clippy::unwrap_used)]

mod dask;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use dask::{Client, until};
use dasklet_dask_comm::{
    Connection, Limits, Map, Value,
    failure::Exception,
    message::Payload,
    rpc::Address,
    server::{Call, ClientEvent, ClientOp, Incoming, UpdateGraph, batch, welcome},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedSender, unbounded_channel},
};

/// What the server remembers.
#[derive(Default)]
struct Server {
    data: Mutex<HashMap<String, Payload>>,
    streams: Mutex<HashMap<String, UnboundedSender<ClientEvent>>>,
    graphs: Mutex<Vec<UpdateGraph>>,
    operations: Mutex<Vec<ClientOp>>,
    versions: Mutex<Option<String>>,
    warning: String,
    error: String,
}

impl Server {
    async fn start(self) -> (Arc<Self>, Address) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::new("127.0.0.1", listener.local_addr().unwrap().port());
        let server = Arc::new(self);
        let serving = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).serve(stream));
            }
        });
        (server, address)
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut connection = Connection::open(stream, Limits::PAYLOAD).await.unwrap();
        assert_eq!(connection.peer().pickle_protocol, 5);
        while let Ok(Some(message)) = connection.receive().await {
            match Incoming::from_value(message).unwrap() {
                Incoming::Call(call) => {
                    let answer = self.answer(&call);
                    if call.reply {
                        connection.send(&answer).await.unwrap();
                    }
                }
                Incoming::Register(registration) => {
                    *self.versions.lock().unwrap() = registration.version("dask").map(Into::into);
                    connection.send(&welcome(&self.warning, &self.error)).await.unwrap();
                    return self.stream(registration.client, connection).await;
                }
            }
        }
    }

    async fn stream(&self, client: String, connection: Connection<TcpStream>) {
        let (mut receiver, mut sender) = connection.split();
        let (events, mut waiting) = unbounded_channel();
        self.streams.lock().unwrap().insert(client, events.clone());
        tokio::spawn(async move {
            while let Some(event) = waiting.recv().await {
                let more = std::iter::from_fn(|| waiting.try_recv().ok()).collect::<Vec<_>>();
                let events = std::iter::once(event).chain(more);
                if sender.send(&batch(events)).await.is_err() {
                    return;
                }
            }
        });
        while let Ok(Some(message)) = receiver.receive().await {
            for operation in ClientOp::batch(message).unwrap() {
                match operation {
                    ClientOp::UpdateGraph(graph) => {
                        let exception = Exception::Runtime.pickle("nothing runs here");
                        for key in &graph.keys {
                            let (key, exception) = (key.clone(), exception.clone());
                            let failed = ClientEvent::TaskErred { key, exception, traceback: None };
                            events.send(failed).unwrap();
                        }
                        self.graphs.lock().unwrap().push(*graph);
                    }
                    ClientOp::Close => return,
                    other => self.operations.lock().unwrap().push(other),
                }
            }
        }
    }

    fn answer(&self, call: &Call) -> Value {
        let arguments = &call.arguments;
        let ok = |data: Map| Value::map([("status", "OK".into()), ("data", data.into())]);
        match call.op.as_str() {
            "identity" => Value::map([
                ("type", "Scheduler".into()),
                ("id", "Scheduler-test".into()),
                ("address", "tcp://127.0.0.1:1".into()),
                ("services", Map::new().with("dashboard", 8787_i64).into()),
                ("started", 1.5.into()),
                ("n_workers", 0_i64.into()),
                ("total_threads", 0_i64.into()),
                ("total_memory", 0_i64.into()),
                ("workers", Map::new().into()),
            ]),
            "scatter" => {
                let client = arguments.required("client").unwrap().as_str("").unwrap();
                let stream = self.streams.lock().unwrap()[client].clone();
                let mut keys = Vec::new();
                let data = arguments.required("data").unwrap().as_map("").unwrap();
                for (key, value) in data.iter() {
                    let Value::Payload(payload) = value else { panic!("{value:?}") };
                    let name = key.as_str("").unwrap().to_owned();
                    self.data.lock().unwrap().insert(name, (**payload).clone());
                    stream
                        .send(ClientEvent::KeyInMemory { key: key.clone(), class: None })
                        .unwrap();
                    keys.push(key.clone());
                }
                Value::List(keys)
            }
            "gather" => {
                let keys = arguments.required("keys").unwrap().as_list("").unwrap();
                let data = self.data.lock().unwrap();
                let found = keys
                    .iter()
                    .map(|key| (key.clone(), data[key.as_str("").unwrap()].clone().into()));
                ok(found.collect())
            }
            op => Exception::Value.reply(&format!("no '{op}' here")),
        }
    }
}

fn connect(folder: &tempfile::TempDir, address: &Address) -> Client {
    Client::connect(address, folder.path().join("client.log"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_scatters_it_gathers() {
    let (server, address) = Server::default().start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut client = connect(&folder, &address);
    assert_eq!(server.versions.lock().unwrap().as_deref(), None);
    let same = client.run(
        "values = {'small': {'a': (1, 2.5, None)}, 'big': os.urandom(5_000_000), 'empty': b'',\n\
                   'many': [bytes(100_000), bytes(200_000), 'x']}\n\
         futures = client.scatter(values)\n\
         result = client.gather(futures) == values",
    );
    assert_eq!(same, true);
    assert_eq!(server.versions.lock().unwrap().as_deref(), Some("2026.8.0"));
    assert!(server.data.lock().unwrap()["big"].nbytes() > 5_000_000);

    client.run("del futures");
    let released = until("what it wants no more is released", async || {
        let operations = server.operations.lock().unwrap();
        let keys = operations.iter().filter_map(|operation| match operation {
            ClientOp::ReleaseKeys { keys, .. } => Some(keys.clone()),
            _ => None,
        });
        let keys: Vec<Value> = keys.flatten().collect();
        (keys.len() >= 4).then_some(keys)
    })
    .await;
    assert!(released.contains(&"big".into()), "{released:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submitted_graph_is_read_and_its_failure_raises() {
    let (server, address) = Server::default().start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut client = connect(&folder, &address);
    client.run("futures = [client.submit(len, 'abc', key=('x', i), priority=3) for i in range(3)]");
    let error = client.run_to_error("futures[1].result(30)");
    assert!(error.contains("RuntimeError('nothing runs here')"), "{error}");
    let graphs = server.graphs.lock().unwrap();
    let keys: Vec<&Value> = graphs.iter().flat_map(|graph| &graph.keys).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.contains(&&Value::List(vec!["x".into(), Value::Int(1)])), "{keys:?}");
    for graph in graphs.iter() {
        assert!(!graph.expression.frames().is_empty() && graph.annotations.is_some());
        assert_eq!(graph.priorities.as_ref().map(Vec::len), Some(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_we_lack_raises_in_the_client() {
    let (_, address) = Server::default().start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut client = connect(&folder, &address);
    let error = client.run_to_error("client.rebalance()");
    assert!(error.contains("ValueError(\"no 'rebalance' here\")"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_the_welcome_ends_the_client() {
    let error = "another Python is needed".to_owned();
    let (_, address) = Server { error, ..Server::default() }.start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut client = connect(&folder, &address);
    assert!(client.end().contains("ImportError: another Python is needed"));
}
