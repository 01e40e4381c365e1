//! Commands: what they get, what they give, and how they end.

use std::time::Duration;

use bytes::Bytes;
use dasklet_protocol::v1::{self, ErrorClass};

use crate::{
    fake::{Fake, Local, Session},
    tasks::{assign, assigns, command, literal, members, native, one, shell, task},
};

async fn started() -> (Session, (Fake, Local)) {
    let mut fake = Fake::start().await;
    let worker = Local::start(&fake, |_| ());
    let session = fake.accept(1).await;
    (session, (fake, worker))
}

async fn output(session: &mut Session, run: u64) -> String {
    let seen = session.until(|seen| seen.order.contains(&run)).await;
    if let Some(failed) = seen.failed.get(&run) {
        panic!("{}", failed.message);
    }
    let value = session.fetch(&[(task(run as u32, 0), 0)]).await.remove(0).unwrap();
    String::from_utf8(value.to_vec()).unwrap()
}

#[tokio::test]
async fn a_command_gets_its_surroundings_and_gives_its_output() {
    let (mut session, _keep) = started().await;
    session.send(assigns(vec![assign(1, native("identity", vec![literal("hello")]))]));
    session.until(|seen| seen.order.contains(&1)).await;
    let mut run = shell(
        "cat; cat notes/a.txt; tail -c 5 input; echo $COLOUR $DASKLET_TASK $DASKLET_ATTEMPT; ls | wc -l",
    );
    run.stdin = Bytes::from_static(b"stdin\n");
    run.files.insert("notes/a.txt".to_owned(), Bytes::from_static(b"file\n"));
    run.env.insert("COLOUR".to_owned(), "blue".to_owned());
    run.input_files = vec!["input".to_owned()];
    let mut described = assign(2, command(run));
    described.attempt = 3;
    described.inputs = vec![one(task(1, 0), 0, &[1], 6)];
    described.spec.as_mut().unwrap().key = Bytes::from_static(b"my task");
    session.send(assigns(vec![described]));
    assert_eq!(output(&mut session, 2).await, "stdin\nfile\nhelloblue my task 3\n2\n");
    assert!(session.seen.started.contains(&2));

    let mut array =
        members(3, command(shell("printf %s-%s $DASKLET_ARRAY_INDEX $DASKLET_TASK")), 3, 30);
    array.define[0].key = Bytes::from_static(b"k");
    array.define[0].first_index = 100;
    session.send(array);
    let seen = session.until(|seen| seen.finished.contains_key(&32)).await;
    assert_eq!(seen.finished[&32].1.as_deref(), Some(&b"102-k[102]"[..]));
}

#[tokio::test]
async fn a_command_that_ends_badly_says_how() {
    let (mut session, _keep) = started().await;
    let absent = v1::Command { argv: vec!["no-such-program".to_owned()], ..v1::Command::default() };
    let mut outside = shell("true");
    outside.files.insert("../x".to_owned(), Bytes::new());
    let mut slow = assign(5, command(shell("sleep 600 & sleep 600")));
    slow.spec.as_mut().unwrap().timeout_millis = 100;
    session.send(assigns(vec![
        assign(1, command(shell("echo some words >&2; exit 3"))),
        assign(2, command(shell("kill -SEGV $$"))),
        assign(3, command(absent)),
        assign(4, command(outside)),
        slow,
        assign(6, command(v1::Command::default())),
    ]));
    for (run, class, words, code, signal) in [
        (1, ErrorClass::Fatal, "ended with exit code 3: some words", 3, 0),
        (2, ErrorClass::Crashed, "ended by signal 11 (SIGSEGV)", 0, 11),
        (3, ErrorClass::Fatal, "command 'no-such-program' was not found in the PATH /", 0, 0),
        (4, ErrorClass::Fatal, "file '../x' would lie outside", 0, 0),
        (5, ErrorClass::TimedOut, "longer than its timeout of 100ms", 0, 0),
        (6, ErrorClass::Fatal, "the command is empty", 0, 0),
    ] {
        let failed = session.error(run).await;
        assert_eq!(failed.class(), class, "{failed:?}");
        assert!(failed.message.contains(words), "{failed:?}");
        assert_eq!((failed.exit_code, failed.signal), (code, signal));
    }
}

#[tokio::test]
async fn a_cancelled_command_is_gone_with_all_it_started() {
    let (mut session, _keep) = started().await;
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    // One child ignores the polite signal, one leaves the process group.
    let script = format!(
        "trap '' TERM; sh -c 'trap \"\" TERM; sleep 600' & a=$!; setsid sleep 600 & echo $$ $a $! > {0}.new; mv {0}.new {0}; wait",
        pids.display()
    );
    session.send(assigns(vec![assign(1, command(shell(&script)))]));
    let pids = crate::processes::pids_in(&pids).await;
    session.send(v1::WorkerCommand { cancel: vec![1], ..v1::WorkerCommand::default() });
    assert_eq!(session.error(1).await.class(), ErrorClass::Cancelled);
    crate::processes::gone(&pids).await;
}

#[tokio::test]
async fn commands_take_slots_like_other_tasks() {
    let (mut session, _keep) = started().await;
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "mkdir {0}/$DASKLET_ARRAY_INDEX; ls {0} | wc -l; sleep 0.05; rmdir {0}/$DASKLET_ARRAY_INDEX",
        folder.path().display()
    );
    session.send(members(1, command(shell(&script)), 10, 0));
    let seen = session.until(|seen| seen.order.len() == 10).await;
    for (_, value) in seen.finished.values() {
        let at_once = String::from_utf8(value.clone().unwrap().to_vec()).unwrap();
        assert!(["1", "2"].contains(&at_once.trim()), "{at_once}");
    }
    assert_eq!(seen.finished.len(), 10);
}

#[tokio::test]
async fn a_run_of_a_new_session_is_not_mistaken_for_one_that_is_still_ending() {
    let mut fake = Fake::start().await;
    let _worker = Local::start(&fake, |_| ());
    let mut session = fake.accept(1).await;
    // Its guard has to wait until it may kill it.
    session.send(assigns(vec![assign(1, command(shell("trap '' TERM; sleep 600")))]));
    session.until(|seen| seen.started.contains(&1)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(session);
    let mut session = fake.accept(2).await;
    session.send(assigns(vec![assign(1, command(shell("sleep 3; echo > here; ls")))]));
    assert_eq!(output(&mut session, 1).await, "here\n");
}
