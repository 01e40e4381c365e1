//! Native operations: values, errors, order, cancel, give-back, timeouts.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use dasklet_protocol::v1::{self, ErrorClass, argument::Value};
use dasklet_worker::Registry;

use crate::{
    fake::{Fake, Local},
    tasks::{assign, assigns, literal, members, native, task},
};

#[tokio::test]
async fn tasks_and_arrays_give_their_values() {
    let mut fake = Fake::start().await;
    let _worker = Local::start(&fake, |_| ());
    let mut session = fake.accept(1).await;
    assert_eq!((session.hello.name.as_str(), session.hello.epoch), ("w", 0));
    session.send(assigns(vec![assign(1, native("add", vec![literal(2), literal(3)]))]));
    assert_eq!(session.value(1).await, "5");
    session.send(members(2, native("cube", vec![Value::Index(true)]), 10_000, 1000));
    let seen = session.until(|seen| seen.finished.len() == 10_001).await;
    assert_eq!(crate::fake::shown(seen.finished[&1007].1.as_ref().unwrap()), "343");
    let values = session.fetch(&[(task(1, 0), 0), (task(2, 3), 0), (task(9, 9), 0)]).await;
    assert_eq!(values[0].as_deref(), Some(&[5][..]));
    assert_eq!(values[1].as_deref(), Some(&[27][..]));
    assert_eq!(values[2], None);
    session.send(v1::WorkerCommand {
        release: vec![task(1, 0)],
        release_ranges: vec![v1::Range { spec: 2, start: 0, end: 4 }],
        ..v1::WorkerCommand::default()
    });
    session.until(|seen| seen.heartbeats > 2).await;
    let values = session.fetch(&[(task(1, 0), 0), (task(2, 3), 0), (task(2, 4), 0)]).await;
    assert_eq!(values.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true]);
}

#[tokio::test]
async fn errors_have_a_class_and_a_sentence() {
    let mut fake = Fake::start().await;
    let _worker = Local::start(&fake, |_| ());
    let mut session = fake.accept(1).await;
    let mut large = assign(6, native("noop", vec![]));
    large.spec.as_mut().unwrap().resources =
        vec![v1::ResourceAmount { name: "GPU".to_owned(), thousandths: 1000 }];
    let mut slow = assign(7, native("sleep", vec![literal(60)]));
    slow.spec.as_mut().unwrap().timeout_millis = 50;
    let mut two = assign(8, native("noop", vec![]));
    two.spec.as_mut().unwrap().outputs = 2;
    session.send(assigns(vec![
        assign(1, native("cubee", vec![])),
        assign(2, native("cube", vec![literal("x")])),
        assign(3, native("panic", vec![literal("at the disco")])),
        assign(4, native("fail_until", vec![literal(2), literal(0)])),
        assign(5, native("fail", vec![literal("no luck")])),
        large,
        slow,
        two,
        assign(9, bytes::Bytes::from_static(&[0xff])),
    ]));
    for (run, class, words) in [
        (1, ErrorClass::Fatal, "unknown operation 'cubee'"),
        (2, ErrorClass::Fatal, "operation 'cube', argument 1: expected Number, got \"x\""),
        (3, ErrorClass::Fatal, "operation 'panic' panicked: at the disco"),
        (4, ErrorClass::Retryable, "attempt 1 of 2"),
        (5, ErrorClass::Fatal, "no luck"),
        (6, ErrorClass::WorkerFault, "this worker offers 0 GPU"),
        (7, ErrorClass::TimedOut, "longer than its timeout of 50ms"),
        (8, ErrorClass::Fatal, "has 2 outputs, but what ran gave 1"),
        (9, ErrorClass::Fatal, "body cannot be read"),
    ] {
        let failed = session.error(run).await;
        assert_eq!(failed.class(), class, "{failed:?}");
        assert!(failed.message.contains(words), "{failed:?}");
    }
}

#[tokio::test]
async fn what_has_not_started_can_be_cancelled_or_given_back() {
    let mut fake = Fake::start().await;
    let _worker = Local::start(&fake, |options| options.slots = Some(1));
    let mut session = fake.accept(1).await;
    let sleep = |spec, seconds: f64| assign(spec, native("sleep", vec![literal(seconds)]));
    session.send(assigns(vec![sleep(1, 600.0), sleep(2, 0.0), sleep(3, 0.0), sleep(4, 0.0)]));
    session.until(|seen| seen.started.contains(&1)).await;
    session.send(v1::WorkerCommand {
        cancel: vec![2],
        give_back: vec![1, 3],
        ..v1::WorkerCommand::default()
    });
    let seen = session.until(|seen| seen.order.contains(&2) && !seen.returned.is_empty()).await;
    assert_eq!(seen.failed[&2].class(), ErrorClass::Cancelled);
    assert_eq!(seen.returned.iter().copied().collect::<Vec<_>>(), [3]);
    session.send(v1::WorkerCommand { cancel: vec![1], ..v1::WorkerCommand::default() });
    let seen = session.until(|seen| seen.order.contains(&4)).await;
    assert_eq!(seen.failed[&1].class(), ErrorClass::Cancelled);
    assert_eq!((seen.order[0], seen.order.len()), (2, 3));
}

#[tokio::test]
async fn never_more_at_once_than_resources_allow() {
    let running = Arc::new(AtomicU32::new(0));
    let most = Arc::new(AtomicU32::new(0));
    let mut registry = Registry::standard();
    let (now, peak) = (running.clone(), most.clone());
    registry.register("count", move || {
        let at_once = now.fetch_add(1, Ordering::SeqCst) + 1;
        peak.fetch_max(at_once, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(3));
        now.fetch_sub(1, Ordering::SeqCst);
    });
    let mut fake = Fake::start().await;
    let _worker = Local::start_with(&fake, registry, |options| {
        options.slots = Some(4);
        options.resources = vec!["GPU=2".to_owned()];
    });
    let mut session = fake.accept(1).await;
    let mut first = 0;
    for (requests, allowed) in
        [(vec![], 4), (vec![("cpu", 2000)], 2), (vec![("cpu", 100), ("GPU", 700)], 2)]
    {
        most.store(0, Ordering::SeqCst);
        let mut command = members(first + 1, native("count", vec![]), 20, u64::from(first) + 1);
        command.define[0].resources = requests
            .iter()
            .map(|(name, thousandths)| v1::ResourceAmount {
                name: (*name).to_owned(),
                thousandths: *thousandths,
            })
            .collect();
        session.send(command);
        first += 20;
        session.until(|seen| seen.finished.len() == first as usize).await;
        assert_eq!(most.load(Ordering::SeqCst), allowed, "{requests:?}");
    }
}

#[tokio::test]
async fn higher_priority_goes_first() {
    let mut fake = Fake::start().await;
    let _worker = Local::start(&fake, |options| options.slots = Some(1));
    let mut session = fake.accept(1).await;
    session.send(assigns(vec![assign(1, native("sleep", vec![literal(0.2)]))]));
    session.until(|seen| seen.started.contains(&1)).await;
    let mut tasks: Vec<v1::Assign> = (2..6).map(|n| assign(n, native("noop", vec![]))).collect();
    tasks[2].spec.as_mut().unwrap().priority = 5;
    session.send(assigns(tasks));
    let seen = session.until(|seen| seen.order.len() == 5).await;
    assert_eq!(seen.order, [1, 4, 2, 3, 5]);
}

#[tokio::test]
async fn quick_operations_run_where_they_arrive_while_they_are_quick() {
    let mut registry = Registry::standard();
    let thread = |millis: u64| {
        std::thread::sleep(std::time::Duration::from_millis(millis));
        std::thread::current().name().is_some_and(|name| name.starts_with("slot-")) as i64
    };
    registry.register("quick", thread);
    registry.promise_quick("quick");
    registry.register("other", thread);
    let mut fake = Fake::start().await;
    let _worker = Local::start_with(&fake, registry, |_| ());
    let mut session = fake.accept(1).await;
    let mut spec = 0;
    let mut on_slot = async |operation: &str, millis: u64| {
        spec += 1;
        session.send(assigns(vec![assign(spec, native(operation, vec![literal(millis)]))]));
        session.value(spec.into()).await == "1"
    };
    // How long it takes is not known before it has run.
    assert!(on_slot("quick", 0).await);
    let mut runs = 1;
    while on_slot("quick", 0).await {
        runs += 1;
        assert!(runs < 1000, "it is quick now, and still handed over");
    }
    assert!(on_slot("other", 0).await);
    on_slot("quick", 20).await;
    assert!(on_slot("quick", 0).await, "it broke its promise");
}
