//! Inputs: inline, from the own store, from peers; and when they are lost.

use bytes::Bytes;
use dasklet_protocol::v1::{
    self, ErrorClass, argument::Value, input::Source, worker_data_client::WorkerDataClient,
};

use crate::{
    fake::{EPOCH, Fake, Local, Session},
    tasks::{assign, assigns, literal, many, members, native, one, peer, task},
};

/// Two workers that know each other, as workers 1 and 2.
async fn pair() -> (Session, Session, (Fake, Local, Local)) {
    let mut fake = Fake::start().await;
    let a = Local::start(&fake, |_| ());
    let mut first = fake.accept(1).await;
    first.until(|seen| seen.heartbeats > 0).await;
    let b = Local::start(&fake, |options| options.name = Some("v".to_owned()));
    let mut second = fake.accept(2).await;
    second.until(|seen| seen.heartbeats > 0).await;
    first.send(peer(2, &second.hello.data_address));
    second.send(peer(1, &first.hello.data_address));
    (first, second, (fake, a, b))
}

#[tokio::test]
async fn inputs_come_inline_from_here_and_from_peers() {
    let (mut a, mut b, _keep) = pair().await;
    a.send(members(1, native("bytes", vec![literal(200_000)]), 20, 100));
    a.until(|seen| seen.finished.len() == 20).await;

    let mut inline = assign(2, native("add", vec![Value::Input(0), literal(1)]));
    inline.inputs = vec![v1::Input {
        source: Some(Source::One(v1::OneInput {
            inline: Some(Bytes::from_static(&[41])),
            ..v1::OneInput::default()
        })),
    }];
    let mut check = assign(3, native("check_bytes", vec![Value::Input(0), literal(7)]));
    check.inputs = vec![one(task(1, 7), 0, &[1], 200_005)];
    let mut range = assign(4, native("concat_len", vec![Value::Input(0)]));
    range.inputs = vec![many(1, 0, vec![1; 20], 200_005)];
    b.send(assigns(vec![inline, check, range]));
    assert_eq!(b.value(2).await, "42");
    assert_eq!(b.value(3).await, "200000");
    assert_eq!(b.value(4).await, "4000000");
    b.until(|seen| seen.cached.len() == 20).await;
    assert!(b.seen.copies.is_empty(), "nobody asked for copies");

    let mut own = assign(5, native("check_bytes", vec![Value::Input(0), literal(3)]));
    own.inputs = vec![one(task(1, 3), 0, &[1], 200_005)];
    a.send(assigns(vec![own]));
    assert_eq!(a.value(5).await, "200000");
}

#[tokio::test]
async fn a_shuffle_reads_one_slice_of_every_member() {
    let (mut a, mut b, _keep) = pair().await;
    let mut split = members(1, native("split", vec![literal("0123456789")]), 4, 10);
    split.define[0].outputs = 5;
    a.send(split);
    let seen = a.until(|seen| seen.outputs.len() == 4).await;
    assert_eq!(seen.outputs[&10].len(), 5);
    let mut read = assign(2, native("concat_len", vec![Value::Input(0)]));
    read.inputs = vec![many(1, 3, vec![1; 4], 7)];
    b.send(assigns(vec![read]));
    assert_eq!(b.value(2).await, "8");
    assert!(b.seen.cached.is_empty(), "slices are no copies of their tasks");
}

#[tokio::test]
async fn another_holder_is_asked_and_lost_inputs_are_listed() {
    let (mut a, mut b, _keep) = pair().await;
    a.send(assigns(vec![assign(1, native("bytes", vec![literal(5000), literal(1)]))]));
    a.until(|seen| seen.order == [1]).await;
    b.send(peer(3, "127.0.0.1:1"));
    let check = |spec, holders: &[u32], of| {
        let mut check = assign(spec, native("check_bytes", vec![Value::Input(0), literal(1)]));
        check.inputs = vec![one(task(of, 0), 0, holders, 5005)];
        check
    };
    b.send(assigns(vec![check(2, &[3, 1], 1)]));
    assert_eq!(b.value(2).await, "5000");
    // Worker 1 never had it, worker 3 cannot be reached, nobody knows worker 4, and worker 2,
    // which is itself, never had it either.
    b.send(assigns(vec![
        check(5, &[1], 50),
        check(6, &[3], 60),
        check(7, &[4], 70),
        check(8, &[2], 80),
    ]));
    for (run, holder) in [(5, 1), (6, 3), (7, 4), (8, 2)] {
        let failed = b.error(run).await;
        assert_eq!(failed.class(), ErrorClass::InputLost, "{failed:?}");
        assert_eq!(failed.lost_inputs, [task(run as u32 * 10, 0)]);
        assert_eq!(failed.lost_holders, [holder]);
    }
}

#[tokio::test]
async fn copies_are_made_on_request_and_values_can_be_put() {
    let (a, mut b, _keep) = pair().await;
    let value = Bytes::from(vec![7; 3_000_000]);
    let mut client =
        WorkerDataClient::connect(format!("http://{}", a.hello.data_address)).await.unwrap();
    let mut chunks: Vec<v1::PutChunk> = value
        .chunks(1 << 20)
        .map(|data| v1::PutChunk { data: Bytes::copy_from_slice(data), ..v1::PutChunk::default() })
        .collect();
    (chunks[0].epoch, chunks[0].task, chunks[0].total) = (EPOCH, task(9, 0), 3_000_000);
    let put = client.put(tokio_stream::iter(chunks.clone())).await.unwrap();
    assert_eq!(put.into_inner().nbytes, 3_000_000);
    chunks[0].epoch = 1;
    let refused = client.put(tokio_stream::iter(chunks)).await.unwrap_err();
    assert!(refused.message().contains("connect again"), "{refused}");

    b.send(v1::WorkerCommand {
        replicate: vec![v1::Replicate { task: task(9, 0), outputs: 1, from: 1, nbytes: 3_000_000 }],
        ..v1::WorkerCommand::default()
    });
    b.until(|seen| seen.copies.get(&task(9, 0)) == Some(&3_000_000)).await;
    assert_eq!(b.fetch(&[(task(9, 0), 0)]).await, [Some(value)]);
}

#[tokio::test]
async fn a_cache_is_read_again_and_can_be_made_a_copy_to_count_on() {
    let (mut a, mut b, _keep) = pair().await;
    a.send(assigns(vec![assign(1, native("bytes", vec![literal(50_000), literal(7)]))]));
    a.until(|seen| seen.finished.len() == 1).await;
    let check = |spec, varying| {
        let mut check = assign(spec, native("check_bytes", vec![Value::Input(0), literal(7)]));
        let Some(Source::One(mut input)) = one(task(1, 0), 0, &[1], 50_005).source else {
            unreachable!("one input")
        };
        input.varying = varying;
        check.inputs = vec![v1::Input { source: Some(Source::One(input)) }];
        assigns(vec![check])
    };
    b.send(check(2, true));
    assert_eq!(b.value(2).await, "50000");
    b.send(check(3, false));
    assert_eq!(b.value(3).await, "50000");
    b.until(|seen| seen.cached.contains(&task(1, 0))).await;
    let confirm = vec![task(1, 0), task(99, 0)];
    b.send(v1::WorkerCommand { confirm, ..v1::WorkerCommand::default() });
    b.until(|seen| seen.dropped.contains(&task(99, 0))).await;
    assert!(!b.seen.dropped.contains(&task(1, 0)));

    // The holder forgets it: only the cache can serve now.
    a.send(v1::WorkerCommand { release: vec![task(1, 0)], ..v1::WorkerCommand::default() });
    b.send(check(4, false));
    assert_eq!(b.value(4).await, "50000");
    b.send(v1::WorkerCommand {
        replicate: vec![v1::Replicate { task: task(1, 0), outputs: 1, from: 1, nbytes: 50_005 }],
        ..v1::WorkerCommand::default()
    });
    b.until(|seen| seen.copies.get(&task(1, 0)) == Some(&50_005)).await;
}

#[tokio::test]
async fn an_address_that_is_none_loses_the_input_at_once() {
    let (_, mut b, _keep) = pair().await;
    b.send(peer(7, "no address"));
    let mut check = assign(2, native("check_bytes", vec![Value::Input(0), literal(7)]));
    check.inputs = vec![one(task(1, 7), 0, &[7], 200_005)];
    b.send(assigns(vec![check]));
    let failed = b.error(2).await;
    assert_eq!(failed.class(), ErrorClass::InputLost);
    assert_eq!((failed.lost_inputs, failed.lost_holders), (vec![task(1, 7)], vec![7]));
}
