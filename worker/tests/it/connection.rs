//! Connection lost and made again, drain, refusal, giving up.

use std::time::Duration;

use dasklet_protocol::v1::{self, worker_data_client::WorkerDataClient};
use dasklet_worker::worker::{WorkerError, zero_worker};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::{
    fake::{EPOCH, Fake, Local},
    tasks::{assign, assigns, literal, members, native, task},
};

#[tokio::test]
async fn outputs_survive_a_lost_connection() {
    let mut fake = Fake::start().await;
    let _worker = Local::start(&fake, |_| ());
    let mut session = fake.accept(1).await;
    let large = assign(1, native("bytes", vec![literal(3000), literal(1)]));
    session.send(assigns(vec![large, assign(2, native("noop", vec![]))]));
    session.until(|seen| seen.order.len() == 2).await;
    session.send(assigns(vec![assign(3, native("sleep", vec![literal(600)]))]));
    session.until(|seen| seen.started.contains(&3)).await;
    drop(session);

    let mut session = fake.opened().await;
    assert_eq!(session.hello.epoch, EPOCH);
    let held = session.hello.held.clone().unwrap();
    let mut held: Vec<_> = held.task.into_iter().zip(held.nbytes).collect();
    held.sort_unstable();
    assert_eq!(held, [(task(1, 0), 3005), (task(2, 0), 1)]);
    session.welcome(5, EPOCH, vec![task(1, 0)]);
    // Both slots are free again, although the sleep was in one of them.
    session.send(members(4, native("sleep", vec![literal(0)]), 10, 100));
    let seen = session.until(|seen| seen.order.len() == 10).await;
    assert!(!seen.order.contains(&3));
    let values = session.fetch(&[(task(1, 0), 0), (task(2, 0), 0)]).await;
    assert_eq!(values.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn what_is_told_to_be_gone_is_not_there() {
    let mut fake = Fake::start().await;
    let _worker = Local::start(&fake, |_| ());
    let mut session = fake.accept(1).await;
    // Asked for just before it is made, so that both answers may travel together.
    for spec in 1..=500 {
        session.send(v1::WorkerCommand {
            confirm: vec![task(spec, 0)],
            ..assigns(vec![assign(spec, native("noop", vec![]))])
        });
    }
    let seen = session.until(|seen| seen.order.len() == 500).await;
    for (dropped, finished) in &seen.told_together {
        let made = finished.iter().map(|run| task(*run as u32, 0));
        let both: Vec<u64> = made.filter(|task| dropped.contains(task)).collect();
        assert!(both.is_empty(), "{both:?} were made, and told to be gone");
    }
}

#[tokio::test]
async fn a_scheduler_whose_name_means_nothing_is_told_in_words() {
    let mut fake = Fake::start().await;
    fake.address = "tcp://scheduler.invalid:8786".to_owned();
    let worker = Local::start(&fake, |options| options.death_timeout = 0.2);
    let error = worker.ended.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("'scheduler.invalid' of the scheduler cannot be resolved"), "{error}");
}

#[tokio::test]
async fn a_drained_worker_returns_what_it_has_not_started() {
    let mut fake = Fake::start().await;
    let worker = Local::start(&fake, |options| options.slots = Some(1));
    let mut session = fake.accept(1).await;
    let sleep = |spec, seconds: f64| assign(spec, native("sleep", vec![literal(seconds)]));
    session.send(assigns(vec![sleep(1, 0.3), sleep(2, 0.0)]));
    session.until(|seen| seen.started.contains(&1)).await;
    session.send(v1::WorkerCommand {
        drain: Some(v1::Drain { deadline_millis: 0 }),
        ..v1::WorkerCommand::default()
    });
    session.until(|seen| seen.returned.contains(&2)).await;
    session.send(assigns(vec![sleep(3, 0.0)]));
    let seen = session.until(|seen| seen.returned.contains(&3) && seen.order == [1]).await;
    assert!(seen.finished.contains_key(&1));
    session.send(v1::WorkerCommand { undrain: true, ..v1::WorkerCommand::default() });
    session.send(assigns(vec![sleep(4, 0.0)]));
    session.until(|seen| seen.order == [1, 4]).await;
    session.send(v1::WorkerCommand { shutdown: true, ..v1::WorkerCommand::default() });
    worker.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_worker_told_to_go_says_so_and_stays_until_it_is_sent_away() {
    let mut fake = Fake::start().await;
    let mut worker = Local::start(&fake, |_| ());
    let mut session = fake.accept(1).await;
    session.send(assigns(vec![assign(1, native("bytes", vec![literal(2000)]))]));
    session.until(|seen| seen.order == [1]).await;
    worker.stop.take().unwrap().send(()).unwrap();
    session.until(|seen| seen.leaving).await;
    assert!(session.fetch(&[(task(1, 0), 0)]).await[0].is_some());
    drop(session);
    let session = fake.accept(2).await;
    assert!(session.hello.leaving);
    session.send(v1::WorkerCommand { shutdown: true, ..v1::WorkerCommand::default() });
    worker.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_quiet_connection_that_breaks_is_made_again() {
    let mut fake = Fake::start().await;
    let _worker = Local::start(&fake, |options| options.death_timeout = 0.3);
    let mut session = fake.accept(1).await;
    // Longer than the worker would wait for a scheduler that is gone.
    session.until(|seen| seen.heartbeats > 6).await;
    drop(session);
    let mut session = fake.accept(2).await;
    session.until(|seen| seen.heartbeats > 0).await;
}

#[tokio::test]
async fn a_drain_ends_with_its_connection_unless_the_worker_itself_leaves() {
    let mut fake = Fake::start().await;
    let mut worker = Local::start(&fake, |_| ());
    let mut session = fake.accept(1).await;
    let drain = v1::WorkerCommand {
        drain: Some(v1::Drain { deadline_millis: 0 }),
        ..v1::WorkerCommand::default()
    };
    session.send(drain);
    session.send(assigns(vec![assign(1, native("noop", vec![]))]));
    session.until(|seen| seen.returned.contains(&1)).await;
    drop(session);

    let mut session = fake.accept(2).await;
    session.send(assigns(vec![assign(2, native("noop", vec![]))]));
    session.until(|seen| seen.order == [2]).await;
    worker.stop.take().unwrap().send(()).unwrap();
    session.until(|seen| seen.leaving).await;
    drop(session);

    let mut session = fake.accept(3).await;
    session.send(assigns(vec![assign(3, native("noop", vec![]))]));
    session.until(|seen| seen.returned.contains(&3)).await;
}

#[tokio::test]
async fn a_put_value_belongs_to_the_session_it_was_begun_in() {
    let mut fake = Fake::start().await;
    let _worker = Local::start(&fake, |_| ());
    let mut session = fake.accept(1).await;
    session.until(|seen| seen.heartbeats > 0).await;
    let address = format!("http://{}", session.hello.data_address);
    let put = |epoch| {
        let (chunks, stream) = tokio::sync::mpsc::unbounded_channel();
        let address = address.clone();
        let chunk = v1::PutChunk { epoch, task: task(9, 0), total: 4, ..Default::default() };
        chunks.send(v1::PutChunk { data: "ab".into(), ..chunk.clone() }).unwrap();
        let answer = tokio::spawn(async move {
            let mut client = WorkerDataClient::connect(address).await.unwrap();
            client.put(UnboundedReceiverStream::new(stream)).await
        });
        (chunks, v1::PutChunk { data: "cd".into(), ..chunk }, answer)
    };
    let (chunks, rest, answer) = put(EPOCH);
    // It has begun when another one, of a later connection, is done.
    let (others, last, other) = put(EPOCH);
    others.send(last).unwrap();
    drop(others);
    assert_eq!(other.await.unwrap().unwrap().into_inner().nbytes, 4);
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(session);

    let mut session = fake.opened().await;
    let (_chunks, _, early) = put(EPOCH);
    let refused = early.await.unwrap().unwrap_err();
    assert!(refused.message().contains("no connection with its scheduler"), "{refused}");
    session.welcome(2, EPOCH + 1, Vec::new());
    session.until(|seen| seen.heartbeats > 0).await;
    let (address, value) = (&session.hello.data_address, [(task(9, 0), 0)]);
    let values = crate::fake::fetch(address, EPOCH + 1, &value).await;
    assert_eq!(values, [None], "it was of another life of the scheduler");
    chunks.send(rest).unwrap();
    drop(chunks);
    let refused = answer.await.unwrap().unwrap_err();
    assert!(refused.message().contains("while the value was written"), "{refused}");
}

#[tokio::test]
async fn the_grace_period_is_kept() {
    let mut fake = Fake::start().await;
    let mut worker = Local::start(&fake, |options| options.drain_timeout = 0.1);
    let mut session = fake.accept(1).await;
    worker.stop.take().unwrap().send(()).unwrap();
    session.gone().await;
    assert!(session.seen.leaving);
    worker.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_refusal_and_silence_end_in_a_sentence() {
    let mut fake = Fake::start().await;
    let worker = Local::start(&fake, |_| ());
    let session = fake.opened().await;
    session.send(v1::WorkerCommand {
        rejected: Some(v1::Rejected { reason: "protocol 1, but I speak 2".to_owned() }),
        ..v1::WorkerCommand::default()
    });
    let error = worker.ended.await.unwrap().unwrap_err();
    assert!(matches!(error, WorkerError::Rejected { .. }));
    assert!(error.to_string().contains("refused worker 'w': protocol 1, but I speak 2"), "{error}");

    fake.address = "tcp://127.0.0.1:1".to_owned();
    let worker = Local::start(&fake, |options| options.death_timeout = 0.2);
    let error = worker.ended.await.unwrap().unwrap_err().to_string();
    assert!(
        error.starts_with("cannot reach the scheduler at tcp://127.0.0.1:1 for 0.2 s"),
        "{error}"
    );
    assert!(error.contains("--death-timeout"), "{error}");
}

#[tokio::test]
async fn zero_workers_answer_at_once() {
    let mut fake = Fake::start().await;
    let address = fake.address.clone();
    let worker =
        tokio::spawn(async move { zero_worker(&address, "z", 4, std::future::pending()).await });
    let mut session = fake.accept(1).await;
    session.send(members(1, native("crash", vec![]), 1000, 0));
    session.send(assigns(vec![assign(2000, native("unknown", vec![]))]));
    let seen = session.until(|seen| seen.finished.len() == 1001).await;
    assert!(
        seen.finished.values().all(|(nbytes, value)| *nbytes == 0 && value.as_deref() == Some(&[]))
    );
    session.send(v1::WorkerCommand { shutdown: true, ..v1::WorkerCommand::default() });
    worker.await.unwrap().unwrap();
}
