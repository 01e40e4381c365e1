//! Programs of different releases meet.

use std::pin::Pin;

use dasklet_protocol::{
    PROTOCOL_VERSION,
    v1::{
        self,
        scheduler_client::SchedulerClient,
        scheduler_server::{Scheduler, SchedulerServer},
    },
};
use futures::{Stream, stream};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    manifest::{cluster, job_on, tasks},
    support::{Scene, Up, runtime, text},
};

fn work() -> String {
    job_on("versions", "work", &tasks(&["name: answer, op: add, args: [40, 2]"]))
}

#[test]
fn peers_of_another_version_are_refused_naming_both() {
    let scene = Scene::new();
    let cluster =
        scene.file("cluster.yaml", &cluster("versions", "replicas: 1, threads: 1, memory: 256Mi"));
    let work = scene.file("work.yaml", &work());
    let up = Up::start(&scene, &["-f", text(&cluster)]);
    let address = up.scheduler.replace("tcp://", "http://");
    let reasons = runtime().block_on(async {
        let mut scheduler = SchedulerClient::connect(address).await.unwrap();
        let hello = v1::ClientHello {
            protocol_version: PROTOCOL_VERSION + 1,
            name: "newcomer".to_owned(),
            session: "newcomer".to_owned(),
            version: "9.9.9".to_owned(),
            ..Default::default()
        };
        let first = v1::ClientMessage { hello: Some(hello), ..Default::default() };
        let mut answer =
            scheduler.client_session(stream::iter([first])).await.unwrap().into_inner();
        let client = answer.message().await.unwrap().unwrap().rejected.unwrap().reason;

        let hello = v1::WorkerHello {
            protocol_version: PROTOCOL_VERSION + 1,
            name: "newcomer".to_owned(),
            version: "9.9.9".to_owned(),
            ..Default::default()
        };
        let first = v1::WorkerMessage { hello: Some(hello), ..Default::default() };
        let mut answer =
            scheduler.worker_session(stream::iter([first])).await.unwrap().into_inner();
        let worker = answer.message().await.unwrap().unwrap().rejected.unwrap().reason;
        [client, worker]
    });
    let (theirs, ours) = ((PROTOCOL_VERSION + 1).to_string(), PROTOCOL_VERSION.to_string());
    for reason in reasons {
        for word in ["newcomer", "9.9.9", &format!("version {theirs}"), &format!("version {ours}")]
        {
            assert!(reason.contains(word), "no '{word}' in: {reason}");
        }
    }
    // Whoever fits is still served.
    scene.run(&["submit", "-f", text(&work), "--scheduler", &up.scheduler]).assert_code(0);
    up.interrupt().assert_code(130);
    scene.assert_nothing_runs();
}

#[test]
fn a_scheduler_that_refuses_us_is_quoted() {
    let scene = Scene::new();
    let work = scene.file("work.yaml", &work());
    let runtime = runtime();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder().add_service(SchedulerServer::new(Newer));
    runtime.spawn(server.serve_with_incoming(incoming));

    let words = [address.as_str(), "speaks version 2"];
    let submit = ["submit", "-f", text(&work), "--scheduler", &address];
    scene.refuses(&submit, 3, &["127.0.0.1", words[1]]);
    scene.refuses(&["worker", "--scheduler", &address], 3, &["127.0.0.1", words[1]]);
}

/// A scheduler of a later version.
struct Newer;

const REASON: &str = "it speaks protocol version 1, this scheduler speaks version 2";

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Scheduler for Newer {
    type WorkerSessionStream = Answers<v1::WorkerCommand>;
    type ClientSessionStream = Answers<v1::ClientEvent>;
    type FetchStream = Answers<v1::Chunk>;

    async fn worker_session(
        &self,
        _: Request<Streaming<v1::WorkerMessage>>,
    ) -> Result<Response<Self::WorkerSessionStream>, Status> {
        let rejected = Some(v1::Rejected { reason: REASON.to_owned() });
        let command = v1::WorkerCommand { rejected, ..Default::default() };
        Ok(Response::new(Box::pin(stream::iter([Ok(command)]))))
    }

    async fn client_session(
        &self,
        _: Request<Streaming<v1::ClientMessage>>,
    ) -> Result<Response<Self::ClientSessionStream>, Status> {
        let rejected = Some(v1::Rejected { reason: REASON.to_owned() });
        let event = v1::ClientEvent { rejected, ..Default::default() };
        Ok(Response::new(Box::pin(stream::iter([Ok(event)]))))
    }

    async fn fetch(
        &self,
        _: Request<v1::FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        Err(Status::unimplemented("a scheduler for one test"))
    }

    async fn put(
        &self,
        _: Request<Streaming<v1::PutChunk>>,
    ) -> Result<Response<v1::PutReply>, Status> {
        Err(Status::unimplemented("a scheduler for one test"))
    }
}
