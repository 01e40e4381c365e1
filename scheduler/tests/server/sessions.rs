//! What clients see.

use dasklet_protocol::v1;

use crate::{
    client::{Client, array, hello, task},
    http,
    support::{scheduler, scheduler_with, until},
    worker::Worker,
};

#[tokio::test]
async fn a_session_goes_on_after_its_connection_broke() {
    let running = scheduler().await;
    let mut client = Client::connect(&running, "s").await;
    client.submit(0, vec![task("a", &[])]);
    let epoch = client.welcome.epoch;
    client.until(|told| told.accepted.len() == 1).await;
    drop(client);
    Worker::connect(&running, "w0").await.serve();

    let pending = vec![v1::LocalRange { local: 0, count: 1, ..Default::default() }];
    let back = v1::ClientHello { epoch, pending, ..hello("s") };
    let mut client = Client::greet(&running, back).await.unwrap();
    assert!(client.welcome.resumed);
    assert_eq!(client.welcome.last_sequence, 2);
    client.told.accepted.insert(0, 0);
    client.until(|told| told.done.len() == 1).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_client_that_comes_back_is_told_of_everything_and_of_what_ends_meanwhile() {
    const MEMBERS: u32 = 100_000;
    let running = scheduler().await;
    let mut client = Client::connect(&running, "s").await;
    client.submit(0, vec![array("many", MEMBERS)]);
    client.submit(1, (0..2000).map(|n| task(&format!("t{n}"), &[])).collect());
    let epoch = client.welcome.epoch;
    client.until(|told| told.accepted.len() == 2001).await;
    drop(client);
    let mut back = v1::ClientHello { epoch, ..hello("s") };
    back.pending = vec![
        v1::LocalRange { local: 0, count: 1, ..Default::default() },
        v1::LocalRange { local: 1, count: 2000, ..Default::default() },
    ];
    // Some end before it is back, some while it is told, some later.
    Worker::connect(&running, "w0").await.serve();
    let mut client = Client::greet(&running, back).await.unwrap();
    let all = MEMBERS as usize + 2000;
    client.until(|told| told.done.len() == all).await;
    assert_eq!(client.told.accepted.len(), 2001);

    // What was cancelled at once, too.
    client.submit(2001, vec![array("never", MEMBERS), task("after", &[2001])]);
    let cancel = vec![v1::LocalRange { local: 2001, count: 1, ..Default::default() }];
    client.send(v1::ClientMessage { cancel, ..Default::default() });
    let told = client
        .until(|told| told.done.len() + told.failures.len() == all + MEMBERS as usize + 1)
        .await;
    assert!(told.failures[&(2002, 0)].message.contains("cancelled"));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_was_processed_already_is_passed_over() {
    let running = scheduler().await;
    Worker::connect(&running, "w0").await.serve();
    let mut client = Client::connect(&running, "s").await;
    client.submit(0, vec![task("a", &[])]);
    let submit = v1::Submit { job: 0, first: 0, options: vec![], tasks: vec![task("a", &[])] };
    client.send_raw(v1::ClientMessage { sequence: 2, submit: Some(submit), ..Default::default() });
    client.submit(1, vec![task("b", &[])]);
    let told = client.until(|told| told.done.len() == 2).await;
    assert_eq!(told.accepted.len(), 2);
    assert!(told.failures.is_empty());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_missing_message_ends_the_connection_with_a_reason() {
    let running = scheduler().await;
    let mut client = Client::connect(&running, "s").await;
    client.send_raw(v1::ClientMessage { sequence: 7, ..Default::default() });
    while client.read().await {}
    assert!(client.told.rejected.as_ref().unwrap().contains("message 2"));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_session_of_another_epoch_begins_anew() {
    let running = scheduler().await;
    let client = Client::connect(&running, "s").await;
    let back = v1::ClientHello { epoch: client.welcome.epoch + 1, ..hello("s") };
    assert!(!Client::greet(&running, back).await.unwrap().welcome.resumed);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_session_beyond_its_grace_begins_anew() {
    let running = scheduler_with(|options| options.session_grace = 0.0).await;
    let client = Client::connect(&running, "s").await;
    let epoch = client.welcome.epoch;
    drop(client);
    let address = running.http_address();
    until("the client to be gone", || async move {
        let counts = http::get(address, "/json/counts.json").await.json();
        (counts["clients"] == 0).then_some(())
    })
    .await;
    let back = v1::ClientHello { epoch, ..hello("s") };
    assert!(!Client::greet(&running, back).await.unwrap().welcome.resumed);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_connection_of_a_session_takes_it_over() {
    let running = scheduler().await;
    let mut first = Client::connect(&running, "s").await;
    let back = v1::ClientHello { epoch: first.welcome.epoch, ..hello("s") };
    let second = Client::greet(&running, back).await.unwrap();
    assert!(second.welcome.resumed);
    while first.read().await {}
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_refused_submission_fails_its_tasks_and_the_session_goes_on() {
    let running = scheduler().await;
    Worker::connect(&running, "w0").await.serve();
    let mut client = Client::connect(&running, "s").await;
    client.submit(0, vec![task("a", &[77]), array("b", 3)]);
    client.submit(2, vec![task("c", &[])]);
    let told = client.until(|told| told.failures.len() == 2 && told.done.len() == 1).await;
    assert!(told.failures[&(0, 0)].message.contains("depends on"));
    assert_eq!(told.failures[&(1, u32::MAX)].message, told.failures[&(0, 0)].message);
    assert!(told.done.contains_key(&(2, 0)));

    // A client that comes back and waits for them still is told again.
    let epoch = client.welcome.epoch;
    drop(client);
    let pending = vec![v1::LocalRange { local: 0, count: 2, ..Default::default() }];
    let back = v1::ClientHello { epoch, pending, ..hello("s") };
    let mut client = Client::greet(&running, back).await.unwrap();
    client.until(|told| told.failures.len() == 2).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_failure_lists_its_attempts() {
    let running = scheduler().await;
    let mut worker = Worker::connect(&running, "w0").await;
    let mut client = Client::connect(&running, "s").await;
    client.submit(0, vec![task("a", &[])]);
    let runs = worker.next_runs().await;
    let failed = v1::RunFailed {
        run: runs[0].run,
        class: v1::ErrorClass::Fatal.into(),
        message: "division by zero".to_owned(),
        ..Default::default()
    };
    worker.send(v1::WorkerMessage { failed: vec![failed], ..Default::default() });
    let told = client.until(|told| told.failures.len() == 1).await;
    let failure = &told.failures[&(0, 0)];
    assert!(failure.message.contains("division by zero"), "{}", failure.message);
    assert_eq!((failure.attempts.len(), &*failure.attempts[0].worker), (1, "w0"));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn progress_is_told_at_the_pace_asked_for() {
    let running = scheduler().await;
    Worker::connect(&running, "w0").await.serve();
    let mut client = Client::connect(&running, "s").await;
    client.send(v1::ClientMessage { progress_millis: 10, ..Default::default() });
    client.submit(0, vec![array("a", 100)]);
    let told = client.until(|told| told.progress.get(&0).is_some_and(|p| p.done == 100)).await;
    assert_eq!((told.progress[&0].total, told.progress[&0].workers), (100, 1));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_put_value_gets_a_place() {
    let running = scheduler().await;
    let worker = Worker::connect(&running, "w0").await;
    let mut client = Client::connect(&running, "s").await;
    let put = v1::PutRequest { local: 0, nbytes: 5, copies: 1, key: "value".into() };
    client.send(v1::ClientMessage { puts: vec![put], ..Default::default() });
    let told = client.until(|told| told.put_targets.len() == 1).await;
    let target = told.put_targets[0].clone();
    assert_eq!(target.workers, [worker.id]);
    let copies = v1::CopiesHeld { task: vec![target.task], nbytes: vec![5] };
    worker.send(v1::WorkerMessage { copies: Some(copies), ..Default::default() });
    client.until(|told| told.done.contains_key(&(0, 0))).await;
    running.stop().await.unwrap();
}
