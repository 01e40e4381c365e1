//! A small memory limit: spilling, and the last rung of the ladder.

use dasklet_protocol::v1::{self, ErrorClass, argument::Value};

use crate::{
    fake::{Fake, Local},
    processes::Process,
    tasks::{assign, assigns, command, literal, members, native, one, peer, shell, task},
};

#[tokio::test]
async fn a_small_worker_holds_much_and_gives_it_back_intact() {
    let mut fake = Fake::start().await;
    let scratch = tempfile::tempdir().unwrap();
    let _worker = Process::start(&fake, scratch.path(), &["--memory-limit", "64Mi"]);
    let mut session = fake.accept(1).await;
    session.send(members(1, native("bytes", vec![literal(1 << 20)]), 256, 0));
    session.until(|seen| seen.finished.len() == 256).await;
    assert!(session.seen.failed.is_empty());
    let before = session.seen.heartbeats;
    session.until(|seen| seen.heartbeats > before + 1).await;
    let spilled = session.seen.heartbeat.bytes_spilled;
    assert!(spilled > 150 << 20, "{spilled}");
    for index in 0..256 {
        let value = session.fetch(&[(task(1, index), 0)]).await.remove(0).unwrap();
        assert_eq!(value.len(), (1 << 20) + 5);
        let check = dasklet_worker_check(index, &value);
        assert!(check, "output {index}");
    }
}

/// Fetched bytes are compared with what the operation gives in this process.
fn dasklet_worker_check(index: u32, value: &[u8]) -> bool {
    // SplitMix64, as the operation's text says.
    let mut state = u64::from(index).wrapping_mul(0x2545_f491_4f6c_dd1d);
    value[5..].chunks(8).all(|chunk| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk == &(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]
    })
}

#[tokio::test]
async fn inputs_of_waiting_tasks_count_and_are_spilled() {
    const COUNT: u32 = 160;
    let mut fake = Fake::start().await;
    let _source = Local::start(&fake, |_| ());
    let mut source = fake.accept(1).await;
    source.send(members(1, native("bytes", vec![literal(1 << 20)]), COUNT, 1000));
    source.until(|seen| seen.finished.len() == COUNT as usize).await;
    let scratch = tempfile::tempdir().unwrap();
    let _reader = Process::start(&fake, scratch.path(), &["--memory-limit", "64Mi"]);
    let mut reader = fake.accept(2).await;
    reader.send(peer(1, &source.hello.data_address));
    let sleep = |spec| assign(spec, native("sleep", vec![literal(600)]));
    reader.send(assigns(vec![sleep(2), sleep(3)]));
    reader.until(|seen| seen.started.len() == 2).await;

    // Both slots are taken, so these have their inputs and wait.
    let checks = (0..COUNT).map(|n| {
        let mut check = assign(10 + n, native("check_bytes", vec![Value::Input(0), literal(n)]));
        check.inputs = vec![one(task(1, n), 0, &[1], (1 << 20) + 5)];
        check
    });
    reader.send(assigns(checks.collect()));
    let all = u64::from(COUNT) << 20;
    let is_all = |beat: &v1::Heartbeat| beat.bytes_stored + beat.bytes_spilled >= all;
    let beat = reader.until(|seen| is_all(&seen.heartbeat)).await.heartbeat;
    assert!(beat.bytes_stored < 56 << 20, "{beat:?}");
    assert!(beat.memory_resident < 100 << 20, "{beat:?}");
    reader.send(v1::WorkerCommand { cancel: vec![2, 3], ..v1::WorkerCommand::default() });
    for n in 0..COUNT {
        assert_eq!(reader.value(10 + u64::from(n)).await, (1 << 20).to_string());
    }
    // What is left is there to be read again, in memory alone.
    reader.until(|seen| seen.heartbeat.bytes_spilled == 0).await;
}

#[tokio::test]
async fn a_child_that_takes_too_much_is_killed_and_the_worker_survives() {
    let mut fake = Fake::start().await;
    let scratch = tempfile::tempdir().unwrap();
    let _worker = Process::start(&fake, scratch.path(), &["--memory-limit", "128Mi"]);
    let mut session = fake.accept(1).await;
    let hungry = "head -c 400000000 /dev/zero | (sleep 0.2; tail -n 1) | wc -c; sleep 600";
    session.send(assigns(vec![
        assign(1, command(shell(hungry))),
        assign(2, command(shell("sleep 600"))),
    ]));
    let failed = session.error(1).await;
    assert_eq!(failed.class(), ErrorClass::Crashed);
    assert!(failed.message.contains("killed by its worker: it used"), "{failed:?}");
    assert!(failed.message.contains("limit of 128.0 MiB"), "{failed:?}");
    session.send(assigns(vec![assign(3, native("add", vec![literal(1), literal(1)]))]));
    assert_eq!(session.value(3).await, "2");
    assert!(!session.seen.order.contains(&2), "the small one is still running");
}
