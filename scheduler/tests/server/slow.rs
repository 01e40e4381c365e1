//! Peers that do not read hold up nobody else.

use dasklet_protocol::v1;

use crate::{
    client::{Client, array, hello},
    support::scheduler,
    worker::Worker,
};

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody_and_gets_everything_later() {
    const MEMBERS: u32 = 300_000;
    let running = scheduler().await;
    Worker::connect(&running, "w0").await.serve();
    let mut stuck = Client::connect(&running, "stuck").await;
    stuck.submit(0, vec![array("many", MEMBERS)]);

    let mut quick = Client::connect(&running, "quick").await;
    for number in 0..20 {
        quick.submit(number, vec![array(&format!("few {number}"), 100)]);
        quick.until(|told| told.done.len() == 100 * (number as usize + 1)).await;
    }

    let address = running.http_address();
    crate::support::until("the stuck client's tasks", || async move {
        let counts = crate::http::get(address, "/json/counts.json").await.json();
        (counts["memory"].as_u64()? >= u64::from(MEMBERS)).then_some(())
    })
    .await;
    stuck.until(|told| told.done.len() == MEMBERS as usize).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_worker_that_does_not_read_holds_up_nobody() {
    let running = scheduler().await;
    let stuck = Worker::connect(&running, "stuck").await;
    Worker::connect(&running, "quick").await.serve();
    let mut client = Client::greet(&running, hello("s")).await.unwrap();
    client.send(v1::ClientMessage {
        jobs: vec![v1::OpenJob { job: 0, name: String::new(), weight: 1.0 }],
        ..Default::default()
    });
    client.submit(0, vec![array("many", 10_000)]);
    // All but what the stuck worker was handed.
    client.until(|told| told.done.len() > 8_000).await;
    drop(stuck);
    client.until(|told| told.done.len() == 10_000).await;
    running.stop().await.unwrap();
}
