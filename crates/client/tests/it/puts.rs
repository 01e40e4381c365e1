//! Put values: told where to go, and what is done when that goes wrong.

use dasklet_client::ClientError;
use dasklet_protocol::v1;

use super::scripted::{Connection, Outputs, Scene, nobody, worker};

const TASK: u64 = 100 << 32;

/// Waits until a value is there, and tells that it is.
async fn written(connection: &Connection, outputs: &Outputs, worker: u32, address: &str) {
    while outputs.get(TASK, 0).is_none() {
        tokio::task::yield_now().await;
    }
    connection.done_at((0, 0), worker, address);
}

async fn asks_again(connection: &mut Connection) {
    let refetch = connection.message().await.refetch;
    let asked = v1::LocalMember { local: 0, index: 0, failed_holder: u32::MAX, missing: false };
    assert_eq!(refetch, [asked]);
}

#[tokio::test]
async fn a_place_that_was_told_to_a_broken_connection_is_asked_for_again() {
    let Scene { mut scheduler, client, mut connection } = Scene::new().await;
    let (address, outputs) = worker().await;
    let put = client.put_bytes::<()>("value");
    let answer = async {
        assert_eq!(connection.message().await.puts.len(), 1);
        drop(connection);
        let (mut connection, _) = scheduler.connection().await;
        connection.welcome(7, true, 1);
        asks_again(&mut connection).await;
        connection.put_target(1, &address);
        written(&connection, &outputs, 1, &address).await;
        connection
    };
    let (future, _connection) = tokio::join!(async { put.await }, answer);
    assert_eq!(future.unwrap().bytes().await.unwrap(), "value");
}

#[tokio::test]
async fn a_worker_that_goes_after_it_took_the_value_is_replaced() {
    let Scene { client, mut connection, .. } = Scene::new().await;
    let (first, first_has) = worker().await;
    let (second, second_has) = worker().await;
    let put = client.put_bytes::<()>("value");
    let answer = async {
        connection.message().await;
        connection.put_target(1, &first);
        while first_has.get(TASK, 0).is_none() {
            tokio::task::yield_now().await;
        }
        // It never told the scheduler.
        connection.put_target(2, &second);
        written(&connection, &second_has, 2, &second).await;
    };
    let (future, ()) = tokio::join!(async { put.await }, answer);
    assert_eq!(future.unwrap().bytes().await.unwrap(), "value");
}

#[tokio::test]
async fn a_worker_that_goes_before_it_has_the_value_is_replaced() {
    let Scene { scheduler, client, mut connection } = Scene::new().await;
    let (address, outputs) = worker().await;
    // Neither the client nor the scheduler reaches it.
    scheduler.outputs.refuse_puts("worker 1 is gone");
    let put = client.put_bytes::<()>("value");
    let answer = async {
        connection.message().await;
        connection.put_target(1, &nobody().await);
        asks_again(&mut connection).await;
        connection.put_target(2, &address);
        written(&connection, &outputs, 2, &address).await;
    };
    let (future, ()) = tokio::join!(async { put.await }, answer);
    assert_eq!(future.unwrap().bytes().await.unwrap(), "value");
}

#[tokio::test]
async fn puts_to_a_worker_that_cannot_be_reached_all_go_through_the_scheduler() {
    let Scene { scheduler, client, mut connection } = Scene::new().await;
    let unreachable = nobody().await;
    let puts = async {
        let put = |_| client.put_bytes::<()>("value").into_future();
        let puts: Vec<_> = (0..8).map(put).collect();
        futures::future::join_all(puts).await
    };
    let answer = async {
        let mut local = 0;
        while local < 8 {
            let message = connection.message().await;
            assert!(message.refetch.is_empty(), "nothing is to be retried");
            for put in message.puts {
                local = put.local + 1;
            }
        }
        let spec = |local: u64| 100 + local as u32;
        let task = |local: u64| u64::from(spec(local)) << 32;
        let target = |local| v1::PutTarget { local, task: task(local), workers: vec![1] };
        let name = "w".to_owned();
        connection.send(v1::ClientEvent {
            accepted: vec![v1::Accepted { first: 0, specs: (0..8).map(spec).collect() }],
            peers: vec![v1::Peer { worker: 1, data_address: unreachable.clone(), name }],
            put_targets: (0..8).map(target).collect(),
            ..Default::default()
        });
        for local in 0..8 {
            while scheduler.outputs.get(task(local), 0).is_none() {
                tokio::task::yield_now().await;
            }
            connection.done_at((local, 0), 1, &unreachable);
        }
    };
    let (stored, ()) = tokio::join!(puts, answer);
    assert!(stored.iter().all(Result::is_ok), "{stored:?}");
}

#[tokio::test]
async fn a_value_that_no_worker_can_take_is_refused_at_once() {
    let Scene { client, mut connection, .. } = Scene::new().await;
    let (address, outputs) = worker().await;
    outputs.refuse_puts_for_good("more than this worker's memory");
    let put = client.put_bytes::<()>("value");
    let answer = async {
        connection.message().await;
        connection.put_target(1, &address);
    };
    let (result, ()) = tokio::join!(async { put.await }, answer);
    let error = result.unwrap_err();
    assert!(matches!(error, ClientError::Put { .. }), "{error:?}");
    assert!(error.to_string().contains("more than this worker's memory"), "{error}");
}
