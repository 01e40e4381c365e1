//! Sessions: connecting, breaking, coming back, ending.

use std::time::Duration;

use dasklet_client::{Client, ClientError, ConnectOptions};
use dasklet_protocol::v1;

use super::scripted::{Scene, Scheduler, nobody};

#[tokio::test]
async fn nobody_at_the_address() {
    let address = nobody().await;
    let error = Client::connect(&address).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains(&address) && text.contains("refused") && text.contains("is it running"),
        "{text}"
    );
}

#[tokio::test]
async fn somebody_else_at_the_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // Takes connections and never answers, as a database might that waits for its client.
    let taken = tokio::spawn(async move { listener.accept().await });
    let options = ConnectOptions::new().connect_timeout(Duration::from_millis(300));
    let error = options.connect(&address).await.unwrap_err().to_string();
    assert!(error.contains("does not answer"), "{error}");
    taken.abort();
}

#[tokio::test]
async fn a_scheduler_of_another_version_says_why_it_refuses() {
    let mut scheduler = Scheduler::start().await;
    let address = scheduler.address.clone();
    let refuse = async {
        let (connection, hello) = scheduler.connection().await;
        assert_eq!(hello.protocol_version, dasklet_protocol::PROTOCOL_VERSION);
        let rejected = Some(v1::Rejected { reason: "this scheduler speaks version 9".to_owned() });
        connection.send(v1::ClientEvent { rejected, ..Default::default() });
        connection
    };
    let (client, _connection) = tokio::join!(Client::connect(&address), refuse);
    let error = client.unwrap_err();
    assert!(error.to_string().contains("this scheduler speaks version 9"), "{error}");
}

#[tokio::test]
async fn a_broken_connection_comes_back_and_what_was_not_processed_is_sent_again() {
    let Scene { mut scheduler, client, mut connection } = Scene::new().await;
    let one = client.submit::<u8>("one", ()).unwrap();
    let message = connection.message().await;
    connection.accept(&message);
    let two = client.submit::<u8>("two", ()).unwrap();
    connection.message().await;
    // The second message arrived, but the client is never told.
    drop(connection);
    let (mut connection, hello) = scheduler.connection().await;
    assert_eq!(hello.epoch, 7);
    let pending = v1::LocalRange { local: 0, start: 0, end: 0, count: 2 };
    assert_eq!(hello.pending, [pending]);
    connection.welcome(7, true, 1);
    let again = connection.message().await;
    assert_eq!((again.sequence, again.submit.as_ref().unwrap().first), (2, 1));
    connection.accept(&again);
    connection.values(0, &[(0, vec![1])]);
    connection.values(1, &[(0, vec![2])]);
    assert_eq!((one.await.unwrap(), two.await.unwrap()), (1, 2));
}

#[tokio::test]
async fn what_was_processed_is_not_sent_again() {
    let Scene { mut scheduler, client, mut connection } = Scene::new().await;
    let one = client.submit::<u8>("one", ()).unwrap();
    connection.message().await;
    drop(connection);
    let (mut connection, _) = scheduler.connection().await;
    connection.welcome(7, true, 1);
    let two = client.submit::<u8>("two", ()).unwrap();
    let message = connection.message().await;
    assert_eq!((message.sequence, message.submit.unwrap().first), (2, 1));
    connection.values(0, &[(0, vec![1])]);
    connection.values(1, &[(0, vec![2])]);
    assert_eq!((one.await.unwrap(), two.await.unwrap()), (1, 2));
}

#[tokio::test]
async fn a_scheduler_that_was_restarted_has_lost_the_session() {
    let mut scheduler = Scheduler::start().await;
    let (client, connection) = scheduler.client(ConnectOptions::new()).await;
    let future = client.submit::<u8>("one", ()).unwrap();
    drop(connection);
    let restart = async {
        let (connection, _) = scheduler.connection().await;
        connection.welcome(8, false, 0);
        connection
    };
    let (result, _connection) = tokio::join!(future.result(), restart);
    assert!(matches!(result, Err(ClientError::SessionLost { .. })), "{result:?}");
    assert!(matches!(client.submit::<u8>("x", ()), Err(ClientError::SessionLost { .. })));
    assert!(client.ended().is_some());
}

#[tokio::test]
async fn a_scheduler_that_stays_away_is_given_up() {
    let mut scheduler = Scheduler::start().await;
    let options = ConnectOptions::new()
        .reconnect_within(Duration::from_millis(100))
        .connect_timeout(Duration::from_millis(100));
    let (client, connection) = scheduler.client(options).await;
    let future = client.submit::<u8>("one", ()).unwrap();
    drop(connection);
    // Connections are taken, but nobody says welcome.
    let error = future.await.unwrap_err();
    assert!(matches!(error, ClientError::ConnectionLost { .. }), "{error}");
}

#[tokio::test]
async fn the_session_ends_with_the_last_handle() {
    let Scene { client, mut connection, .. } = Scene::new().await;
    let future = client.submit::<u8>("one", ()).unwrap();
    connection.message().await;
    drop(client);
    assert_eq!(connection.message().await.close_jobs.len(), 1);
    connection.values(0, &[(0, vec![5])]);
    assert_eq!(future.result().await.unwrap(), 5);
    drop(future);
    assert!(connection.message().await.goodbye);
}

#[tokio::test]
async fn jobs_are_opened_when_they_are_first_used() {
    let mut scheduler = Scheduler::start().await;
    let (client, mut connection) = scheduler.client(ConnectOptions::new().name("report")).await;
    let heavy = client.job("nightly").weight(2.5);
    let _a = heavy.submit::<u8>("one", ()).unwrap();
    let _b = client.submit::<u8>("two", ()).unwrap();
    let mut opened = Vec::new();
    while opened.len() < 2 {
        let message = connection.message().await;
        opened.extend(message.jobs.into_iter().map(|job| (job.name, job.weight)));
    }
    assert_eq!(opened, [("nightly".to_owned(), 2.5), ("report".to_owned(), 1.0)]);
}

#[tokio::test]
async fn progress_is_told_as_it_comes() {
    let Scene { client, mut connection, .. } = Scene::new().await;
    let job = client.job("j");
    let _task = job.submit::<u8>("one", ()).unwrap();
    let mut progress = job.progress();
    let mut asked = false;
    while !asked {
        asked = connection.message().await.progress_millis > 0;
    }
    let told = v1::JobProgress { job: 1, total: 9, done: 4, workers: 2, ..Default::default() };
    connection.send(v1::ClientEvent { progress: vec![told], ..Default::default() });
    let seen = *progress.wait_for(|progress| progress.tasks.done == 4).await.unwrap();
    assert_eq!((seen.tasks.total, seen.workers), (9, 2));
}
