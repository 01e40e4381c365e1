//! What workers see.

use dasklet_protocol::{MAX_MESSAGE_BYTES, PROTOCOL_VERSION, v1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    client::{Client, array, task},
    support::{scheduler, scheduler_with, until, within},
    worker::{Worker, hello},
};

#[tokio::test]
async fn a_task_goes_to_a_worker_and_its_value_to_the_client() {
    let running = scheduler().await;
    let mut worker = Worker::connect(&running, "w0").await;
    let mut client = Client::connect(&running, "s").await;
    client.submit(0, vec![task("a", &[]), task("b", &[0])]);

    let first = worker.next_runs().await;
    assert_eq!((first.len(), first[0].attempt, first[0].inputs.len()), (1, 1, 0));
    worker.finish(&first);
    let second = worker.next_runs().await;
    assert_eq!(second.len(), 1);
    let Some(v1::input::Source::One(input)) = &second[0].inputs[0].source else {
        panic!("one input")
    };
    assert_eq!(input.task >> 32, u64::from(first[0].spec));
    worker.finish(&second);

    let told = client.until(|told| told.done.len() == 2).await;
    assert_eq!(told.accepted.len(), 2);
    assert_eq!(told.done[&(1, 0)], 0u64.to_le_bytes());
    assert_eq!(told.peers[&worker.id], "w0");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn members_of_an_array_run_on_all_workers() {
    let running = scheduler().await;
    for name in ["w0", "w1", "w2"] {
        Worker::connect(&running, name).await.serve();
    }
    let mut client = Client::connect(&running, "s").await;
    client.submit(0, vec![array("squares", 20_000)]);
    let told = client.until(|told| told.done.len() == 20_000).await;
    for ((_, index), value) in &told.done {
        assert_eq!(*value, u64::from(*index).to_le_bytes());
    }
    assert!(told.failures.is_empty());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn another_protocol_version_is_refused_naming_both() {
    let running = scheduler().await;
    let other = v1::WorkerHello { protocol_version: 99, ..hello("w0") };
    let reason = Worker::greet(&running, other).await.err().unwrap();
    for part in ["99", &PROTOCOL_VERSION.to_string(), "w0"] {
        assert!(reason.contains(part), "{reason}");
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn runs_of_a_worker_that_dies_go_to_another() {
    let running = scheduler().await;
    let mut dying = Worker::connect(&running, "dying").await;
    let mut client = Client::connect(&running, "s").await;
    client.submit(0, vec![task("a", &[])]);
    let runs = dying.next_runs().await;
    assert_eq!(runs[0].attempt, 1);
    dying.send(v1::WorkerMessage { started: vec![runs[0].run], ..Default::default() });
    let mut other = Worker::connect(&running, "other").await;
    drop(dying);
    let again = other.next_runs().await;
    assert_eq!((again[0].spec, again[0].index), (runs[0].spec, runs[0].index));
    other.finish(&again);
    client.until(|told| told.done.len() == 1).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_newer_process_of_a_name_replaces_the_older() {
    let running = scheduler().await;
    let mut older = Worker::connect(&running, "w0").await;
    let newer = Worker::connect(&running, "w0").await;
    assert_ne!(older.id, newer.id);
    let command = older.next().await.unwrap();
    assert!(command.rejected.unwrap().reason.contains("newer process"));
    assert!(older.next().await.is_none());
    newer.serve();
    let mut client = Client::connect(&running, "s").await;
    client.submit(0, vec![task("a", &[])]);
    client.until(|told| told.done.len() == 1).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_silent_worker_counts_as_lost() {
    let running = scheduler_with(|options| options.worker_ttl = 0.2).await;
    let mut silent = Worker::connect(&running, "silent").await;
    assert!(silent.next().await.is_none(), "its connection is ended");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_speaks_something_else_is_closed() {
    let running = scheduler().await;
    for words in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[2, 0, 0, 0, 0, 0, 0, 0], b"PR"] {
        let mut stream = tokio::net::TcpStream::connect(running.address()).await.unwrap();
        stream.write_all(words).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // Closed with unread bytes, the connection may also be reset.
        let read = within("the end", stream.read_to_end(&mut answer)).await;
        assert!(read.is_err() || answer.is_empty());
    }
    Worker::connect(&running, "w0").await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn many_inputs_come_in_messages_of_bounded_size() {
    let running = scheduler().await;
    let mut worker = Worker::connect(&running, "w0").await;
    let mut client = Client::connect(&running, "s").await;
    let sum = v1::Task {
        deps: vec![v1::Dependency {
            source: Some(v1::dependency::Source::Local(0)),
            mode: v1::DependencyMode::All.into(),
            ..Default::default()
        }],
        ..task("sum", &[])
    };
    client.submit(0, vec![array("parts", 30_000), sum]);
    let mut finished = 0;
    let input = loop {
        let command = worker.next().await.unwrap();
        assert!(prost::Message::encoded_len(&command) < MAX_MESSAGE_BYTES);
        let runs = worker.runs(command);
        if let Some(sum) = runs.iter().find(|run| !run.inputs.is_empty()) {
            break sum.inputs[0].clone();
        }
        finished += runs.len();
        worker.finish(&runs);
    };
    assert_eq!(finished, 30_000);
    let Some(v1::input::Source::Many(many)) = input.source else { panic!("many inputs") };
    assert_eq!((many.holder.len(), many.nbytes.len()), (30_000, 30_000));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_drained_worker_that_leaves_is_told_to_exit() {
    let running = scheduler().await;
    let mut worker = Worker::connect(&running, "w0").await;
    worker.send(v1::WorkerMessage { leaving: true, ..Default::default() });
    let told = async {
        loop {
            let command = worker.next().await.unwrap();
            if command.shutdown {
                return;
            }
        }
    };
    within("the word to exit", told).await;
    drop(worker);
    let address = running.http_address();
    until("the worker to be gone", || async move {
        let members = crate::http::get(address, "/api/v1/members").await;
        (members.json() == serde_json::json!([])).then_some(())
    })
    .await;
    running.stop().await.unwrap();
}
