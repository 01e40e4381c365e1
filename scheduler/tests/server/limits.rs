//! What a peer may not ask for.

use dasklet_protocol::v1;
use dasklet_scheduler::server::{Options, start};

use crate::{
    client::{self, Client, array, task},
    support::{scheduler, scheduler_with},
    worker::{self, Worker},
};

#[tokio::test]
async fn workers_beyond_the_limits_are_refused_with_a_reason() {
    let running = scheduler_with(|options| options.max_workers = 1).await;
    let resource = v1::ResourceAmount { name: "r".to_owned(), thousandths: 1 };
    for (hello, part) in [
        (worker::hello(&"n".repeat(300)), "name of a worker"),
        (worker::hello(""), "needs a name"),
        (
            v1::WorkerHello { resources: vec![resource; 100], ..worker::hello("w") },
            "named resources",
        ),
    ] {
        let reason = Worker::greet(&running, hello).await.err().unwrap();
        assert!(reason.contains(part), "{reason}");
    }
    let _first = Worker::connect(&running, "first").await;
    let reason = Worker::greet(&running, worker::hello("second")).await.err().unwrap();
    assert!(reason.contains("--max-workers"), "{reason}");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn tasks_beyond_the_limits_fail_with_a_reason() {
    let running = scheduler_with(|options| options.max_tasks = 1000).await;
    let mut client = Client::connect(&running, "s").await;
    for (number, (bad, part)) in [
        (task(&"k".repeat(20_000), &[]), "length of a key"),
        (array("a", 2000), "1000"),
        (v1::Task { outputs: 100_000, ..task("o", &[]) }, "outputs"),
        (v1::Task { options: 5, ..task("p", &[]) }, "options 5"),
    ]
    .into_iter()
    .enumerate()
    {
        client.submit(number as u64, vec![bad]);
        let told = client.until(|told| told.failures.len() == number + 1).await;
        let failure =
            told.failures.values().find(|failure| failure.local == number as u64).unwrap();
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn sessions_beyond_the_limit_are_refused_with_a_reason() {
    let running = scheduler_with(|options| options.max_sessions = 1).await;
    let _first = Client::connect(&running, "first").await;
    let reason = Client::greet(&running, client::hello("second")).await.err().unwrap();
    assert!(reason.contains('1'), "{reason}");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_session_without_a_name_or_hello_is_refused() {
    let running = scheduler().await;
    let reason = Client::greet(&running, client::hello("")).await.err().unwrap();
    assert!(reason.contains("name its session"), "{reason}");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_flag() {
    let running = scheduler().await;
    let (port, http_port) = (running.address().port(), running.http_address().port());
    for (options, flag) in [
        (Options { port, ..Options::local() }, "--port"),
        (Options { http_port, ..Options::local() }, "--http-port"),
    ] {
        let error = start(options).await.err().unwrap().to_string();
        assert!(error.contains("in use") && error.contains(flag), "{error}");
    }
    running.stop().await.unwrap();
}
