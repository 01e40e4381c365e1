use futures::task::noop_waker_ref;

use super::*;

fn submit(outbox: &mut Outbox, job: u32, local: u64, options: &TaskOptions, body: &[u8]) {
    let task = |option, order| v1::Task {
        body: Bytes::copy_from_slice(body),
        options: option,
        order,
        ..v1::Task::default()
    };
    let encode = |option, order, buffer: &mut Vec<u8>| task(option, order).encode_raw(buffer);
    outbox.submit(job, local, options, encode);
}

fn drain(outbox: &mut Outbox) -> Vec<v1::ClientMessage> {
    let mut messages = Vec::new();
    while let Next::Message(message) = outbox.next(noop_waker_ref()) {
        messages.push(v1::ClientMessage::decode(message).unwrap());
    }
    messages
}

#[test]
fn what_is_waiting_travels_in_one_message() {
    let mut outbox = Outbox::default();
    let urgent = TaskOptions { priority: 5, ..TaskOptions::default() };
    for (local, options) in [(0, &TaskOptions::default()), (1, &urgent), (2, &urgent)] {
        submit(&mut outbox, 3, local, options, b"body");
    }
    outbox.release(1, 1);
    outbox.release(2, 1);
    outbox.release(0, 1);
    let messages = drain(&mut outbox);
    assert_eq!(messages.len(), 1);
    let submit = messages[0].submit.as_ref().unwrap();
    assert_eq!((submit.job, submit.first, submit.options.len()), (3, 0, 2));
    let tasks: Vec<_> = submit.tasks.iter().map(|task| (task.options, task.order)).collect();
    assert_eq!(tasks, [(0, 0), (1, 1), (1, 2)]);
    let all = v1::LocalRange { local: 0, start: 0, end: 0, count: 3 };
    assert_eq!(messages[0].release, [all]);
}

#[test]
fn messages_are_split_by_size_job_and_puts() {
    let mut outbox = Outbox::default();
    let body = vec![7; 400 << 10];
    for local in 0..4 {
        submit(&mut outbox, 0, local, &TaskOptions::default(), &body);
    }
    submit(&mut outbox, 1, 4, &TaskOptions::default(), b"x");
    outbox.put(v1::PutRequest { local: 5, ..v1::PutRequest::default() });
    submit(&mut outbox, 1, 6, &TaskOptions::default(), b"x");
    let messages = drain(&mut outbox);
    let shape: Vec<_> = messages
        .iter()
        .map(|m| {
            (m.sequence, m.submit.as_ref().map(|s| (s.job, s.first, s.tasks.len())), m.puts.len())
        })
        .collect();
    let expected = [
        (1, Some((0, 0, 3)), 0),
        (2, Some((0, 3, 1)), 0),
        (3, Some((1, 4, 1)), 0),
        (4, None, 1),
        (5, Some((1, 6, 1)), 0),
    ];
    assert_eq!(shape, expected);
}

#[test]
fn only_what_was_not_processed_is_sent_again_and_in_order() {
    let mut outbox = Outbox::default();
    for local in 0..4 {
        submit(&mut outbox, local as u32, local, &TaskOptions::default(), b"x");
    }
    assert_eq!(drain(&mut outbox).len(), 4);
    outbox.acknowledged(1);
    submit(&mut outbox, 9, 4, &TaskOptions::default(), b"x");
    outbox.resume(2);
    let sequences: Vec<u64> = drain(&mut outbox).iter().map(|message| message.sequence).collect();
    assert_eq!(sequences, [3, 4, 5]);
    outbox.acknowledged(5);
    assert_eq!(outbox.unacknowledged_bytes, 0);
    assert_eq!(outbox.unsent_bytes, 0);
}

#[test]
fn a_scheduler_that_acknowledges_nothing_stops_the_flow() {
    let mut outbox = Outbox::default();
    let body = vec![0; 1 << 20];
    for local in 0..100 {
        submit(&mut outbox, 0, local, &TaskOptions::default(), &body);
    }
    assert!(outbox.is_crowded());
    let sent = drain(&mut outbox).len();
    assert!((30..=34).contains(&sent), "{sent}");
    outbox.acknowledged(sent as u64);
    assert!(!drain(&mut outbox).is_empty());
}

#[test]
fn nothing_follows_the_goodbye() {
    let mut outbox = Outbox::default();
    outbox.goodbye();
    assert!(drain(&mut outbox)[0].goodbye);
    assert!(matches!(outbox.next(noop_waker_ref()), Next::End));
}
