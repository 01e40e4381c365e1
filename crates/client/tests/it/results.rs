//! Results: read from where they are, and what is done where they are not.

use dasklet_client::{
    ClientError, ConnectOptions, DirectToWorkers, Graph, TaskFuture, as_completed, gather,
};
use dasklet_protocol::v1;

use super::scripted::{Connection, Scene, Scheduler, nobody, worker};

fn packed(value: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // As a worker's serde does it for small numbers.
    assert!((0..128).contains(&value));
    bytes.push(value as u8);
    bytes
}

const fn task(local: u64, index: u32) -> u64 {
    (100 + local) << 32 | index as u64
}

fn fail(connection: &Connection, local: u64, index: u32, message: &str) {
    let attempt = v1::Attempt {
        number: 1,
        worker: "w-1".to_owned(),
        started: true,
        cause: "exit code 3".to_owned(),
        micros: 2_000_000,
    };
    let failure = v1::TaskFailure {
        local,
        index,
        message: message.to_owned(),
        attempts: vec![attempt],
        ..Default::default()
    };
    connection.send(v1::ClientEvent { failures: vec![failure], ..Default::default() });
}

#[tokio::test]
async fn small_values_come_with_the_news() {
    let Scene { client, mut connection, .. } = Scene::new().await;
    let cubes = client.array::<i64>("cube", 3000).unwrap();
    connection.accept_next().await;
    let values: Vec<_> = (0..3000).map(|index| (index, packed(i64::from(index % 128)))).collect();
    connection.values(0, &values);
    let expected: Vec<i64> = (0..3000).map(|index| index % 128).collect();
    assert_eq!(cubes.gather().await.unwrap(), expected);
    assert_eq!(cubes.get(130).unwrap().await.unwrap(), 2);
    assert!(cubes.get(3000).is_none());
}

#[tokio::test]
async fn large_values_are_read_from_their_holders() {
    let Scene { client, mut connection, .. } = Scene::new().await;
    let parts = client.array::<String>("part", 2).unwrap();
    connection.accept_next().await;
    let text = "x".repeat(5000);
    for index in 0..2 {
        let (address, outputs) = worker().await;
        let mut value = vec![0xda, 0x13, 0x88];
        value.extend_from_slice(text.as_bytes());
        outputs.set(task(0, index), 0, value);
        outputs.set(task(0, index), 3, "third");
        connection.done_at((0, index), index + 1, &address);
    }
    assert_eq!(parts.gather().await.unwrap(), [text.clone(), text]);
    let third: TaskFuture<()> = parts.get(1).unwrap().output(3);
    assert_eq!(third.bytes().await.unwrap(), "third");
}

#[tokio::test]
async fn an_output_that_does_not_exist_is_an_error_and_not_asked_for_again() {
    let Scene { client, mut connection, .. } = Scene::new().await;
    let parts = client.array::<i64>("part", 2).unwrap();
    connection.accept_next().await;
    let (address, outputs) = worker().await;
    outputs.set(task(0, 0), 0, "first");
    outputs.set(task(0, 0), 1, "second");
    connection.done_at((0, 0), 1, &address);
    connection.values(0, &[(1, packed(5))]);
    for (index, output, has) in [(0, 2, 2), (1, 1, 1)] {
        let absent: TaskFuture<()> = parts.get(index).unwrap().output(output);
        let error = absent.bytes().await.unwrap_err().to_string();
        let expected = format!("task 0.{index} has no output {output}: it has {has}, counted");
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[tokio::test]
async fn a_worker_that_cannot_be_reached_is_read_through_the_scheduler() {
    for direct in [DirectToWorkers::Auto, DirectToWorkers::No] {
        let mut scheduler = Scheduler::start().await;
        let options = ConnectOptions::new().direct_to_workers(direct);
        let (client, mut connection) = scheduler.client(options).await;
        let future = client.submit::<()>("part", ()).unwrap();
        connection.accept_next().await;
        scheduler.outputs.set(task(0, 0), 0, "by way of the scheduler");
        connection.done_at((0, 0), 1, &nobody().await);
        assert_eq!(future.bytes().await.unwrap(), "by way of the scheduler");
    }
}

#[tokio::test]
async fn what_a_holder_has_lost_is_asked_for_again() {
    let Scene { client, mut connection, .. } = Scene::new().await;
    let future = client.submit::<()>("part", ()).unwrap();
    connection.accept_next().await;
    let (empty, _) = worker().await;
    connection.done_at((0, 0), 1, &empty);
    let answer = async {
        let refetch = connection.message().await.refetch;
        assert_eq!(
            refetch,
            [v1::LocalMember { local: 0, index: 0, failed_holder: 1, missing: true }]
        );
        let (address, outputs) = worker().await;
        outputs.set(task(0, 0), 0, "again");
        connection.done_at((0, 0), 2, &address);
    };
    let (bytes, ()) = tokio::join!(future.bytes(), answer);
    assert_eq!(bytes.unwrap(), "again");
}

#[tokio::test]
async fn a_failure_ends_the_wait_for_all_at_once_and_lists_its_attempts() {
    let Scene { client, mut connection, .. } = Scene::new().await;
    let set = client.map::<i64, _>("x", (0..10i64).map(|x| (x,))).await.unwrap();
    connection.accept_next().await;
    fail(&connection, 8, 0, "task 8 cannot be done");
    // The others never end.
    let error = set.gather().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "task 8 cannot be done\n  attempt 1 on w-1: exit code 3 after 2.000 s"
    );
    assert!(matches!(error, ClientError::Task(_)));
}

#[tokio::test]
async fn a_refused_array_fails_for_whoever_waits() {
    let Scene { client, mut connection, .. } = Scene::new().await;
    let array = client.array::<i64>("x", 1_000_000).unwrap();
    let refuse = async {
        connection.message().await;
        fail(&connection, 0, u32::MAX, "too many");
    };
    let last = array.get(999_999).unwrap();
    let (result, ()) = tokio::join!(last.result(), refuse);
    assert!(result.unwrap_err().to_string().starts_with("too many"));
}

#[tokio::test]
async fn results_come_in_the_order_in_which_they_are_made() {
    let Scene { client, mut connection, .. } = Scene::new().await;
    let set = client.map::<i64, _>("x", (0..3i64).map(|x| (x,))).await.unwrap();
    connection.accept_next().await;
    let mut completed = as_completed(set.iter());
    for local in [2u64, 0, 1] {
        connection.values(local, &[(0, packed(local as i64))]);
        let (position, future) = completed.next_ended().await.unwrap();
        assert_eq!((position as u64, future.await.unwrap()), (local, local as i64));
    }
    assert!(completed.next_ended().await.is_none());
}

#[tokio::test]
async fn what_nobody_holds_is_released_and_only_then() {
    let Scene { client, mut connection, .. } = Scene::new().await;
    let first = client.submit::<i64>("x", ()).unwrap();
    let array = client.array::<i64>("x", 5).unwrap();
    let member = array.get(2).unwrap();
    connection.message().await;
    drop(array);
    let second = client.submit::<i64>("add", (&first, &member)).unwrap();
    drop(first);
    let message = connection.message().await;
    assert_eq!(message.submit.unwrap().tasks[0].deps.len(), 2);
    let released: Vec<u64> = message.release.iter().map(|range| range.local).collect();
    assert_eq!(released, [0], "the array has a handle of one member");
    drop(member);
    assert_eq!(
        connection.message().await.release,
        [v1::LocalRange { local: 1, ..Default::default() }]
    );
    drop(second);
    assert_eq!(connection.message().await.release[0].local, 2);
}

#[tokio::test]
async fn a_graph_is_one_submission_in_depth_first_order() {
    let Scene { client, mut connection, .. } = Scene::new().await;
    let mut graph = Graph::new();
    let parts = graph.add_array(dasklet_client::TaskSpec::op("part", ()).unwrap().outputs(3), 4);
    let merged = graph.add_array(
        dasklet_client::TaskSpec::op("merge", (dasklet_client::Dep::all(parts).my_index(),))
            .unwrap(),
        3,
    );
    graph.op("not needed", ());
    let total = graph.op("sum", (merged,));
    let future = client.compute::<i64>(&graph, total).unwrap();
    let message = connection.message().await;
    let tasks = message.submit.unwrap().tasks;
    let shape: Vec<_> =
        tasks.iter().map(|t| (t.array, t.wanted, t.order, t.deps.clone())).collect();
    let on = |local, my_index| v1::Dependency {
        source: Some(v1::dependency::Source::Local(local)),
        mode: v1::DependencyMode::All.into(),
        output_is_my_index: my_index,
        ..Default::default()
    };
    let expected =
        [(4, false, 0, vec![]), (3, false, 1, vec![on(0, true)]), (0, true, 2, vec![on(1, false)])];
    assert_eq!(shape, expected);
    connection.values(2, &[(0, packed(9))]);
    assert_eq!(future.await.unwrap(), 9);
}

#[tokio::test]
async fn a_graph_of_many_messages_keeps_its_inner_tasks_until_all_are_sent() {
    let Scene { client, mut connection, .. } = Scene::new().await;
    let mut graph = Graph::new();
    let leaves: Vec<_> = (0..40_000i64).map(|leaf| graph.op("leaf", (leaf,))).collect();
    let mut last = graph.op("start", ());
    for leaf in leaves {
        last = graph.op("add", (last, leaf));
    }
    let future = client.compute::<i64>(&graph, last).unwrap();
    let (mut tasks, mut released) = (0, 0);
    while tasks < 80_001 || released < 80_000 {
        let message = connection.message().await;
        connection.send(v1::ClientEvent { acknowledged: message.sequence, ..Default::default() });
        if let Some(submit) = message.submit {
            assert_eq!(submit.first, tasks, "without gaps");
            assert!(submit.tasks.iter().all(|task| task.wanted));
            tasks += submit.tasks.len() as u64;
        }
        released += message.release.iter().map(|range| range.count).sum::<u64>();
    }
    assert_eq!((tasks, released), (80_001, 80_000));
    connection.values(80_000, &[(0, packed(1))]);
    assert_eq!(future.await.unwrap(), 1);
}

#[tokio::test]
async fn a_put_value_goes_to_as_many_workers_as_asked_for() {
    let Scene { scheduler, client, mut connection } = Scene::new().await;
    let (first, first_holds) = worker().await;
    let second = nobody().await;
    let put = client.put_bytes::<()>(vec![5; 2_000_000]).copies(2).key("five");
    let answer = async {
        let message = connection.message().await;
        let request = v1::PutRequest { local: 0, nbytes: 2_000_000, copies: 2, key: "five".into() };
        assert_eq!(message.puts, [request]);
        let peer = |worker, address: &str| v1::Peer {
            worker,
            data_address: address.to_owned(),
            name: String::new(),
        };
        connection.send(v1::ClientEvent {
            accepted: vec![v1::Accepted { first: 0, specs: vec![100] }],
            peers: vec![peer(1, &first), peer(2, &second)],
            put_targets: vec![v1::PutTarget { local: 0, task: task(0, 0), workers: vec![1, 2] }],
            ..Default::default()
        });
        let both = || first_holds.get(task(0, 0), 0).zip(scheduler.outputs.get(task(0, 0), 0));
        let (one, two) = loop {
            match both() {
                Some(both) => break both,
                None => tokio::task::yield_now().await,
            }
        };
        assert!(one == two && one.len() == 2_000_000);
        connection.done_at((0, 0), 1, &first);
    };
    let (future, ()) = tokio::join!(async { put.await }, answer);
    assert_eq!(future.unwrap().bytes().await.unwrap().len(), 2_000_000);
}

#[tokio::test]
async fn handles_of_two_clients_do_not_mix() {
    let mut scheduler = Scheduler::start().await;
    let (one, _kept) = scheduler.client(ConnectOptions::new()).await;
    let (two, _kept_too) = scheduler.client(ConnectOptions::new()).await;
    let a = one.submit::<i64>("x", ()).unwrap();
    let b = two.submit::<i64>("x", ()).unwrap();
    assert!(matches!(one.submit::<i64>("add", (&a, &b)), Err(ClientError::Foreign { .. })));
    assert!(matches!(gather([&a, &b]).await, Err(ClientError::Foreign { .. })));
}

#[tokio::test]
async fn a_result_of_another_type_says_so() {
    let Scene { client, mut connection, .. } = Scene::new().await;
    let future = client.submit::<String>("x", ()).unwrap();
    connection.accept_next().await;
    connection.values(0, &[(0, packed(3))]);
    let error = future.await.unwrap_err().to_string();
    assert!(error.contains("alloc::string::String"), "{error}");
}
