//! A scheduler for each test, and waiting with a bound.

use std::{future::Future, time::Duration};

use dasklet_protocol::v1::scheduler_client::SchedulerClient;
use dasklet_scheduler::server::{Options, Running, start};
use tonic::transport::{Channel, Endpoint};

/// No wait of a test is longer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A scheduler on free ports.
pub async fn scheduler() -> Running {
    scheduler_with(|_| {}).await
}

/// The same with other options.
pub async fn scheduler_with(change: impl FnOnce(&mut Options)) -> Running {
    let mut options = Options::local();
    change(&mut options);
    start(options).await.unwrap()
}

/// The outcome, or a failed test after [`PATIENCE`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("waited too long for {what}"),
    }
}

/// Asks until the answer is there.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    within(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

/// A gRPC connection of its own.
pub async fn connect(running: &Running) -> SchedulerClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", running.address())).unwrap();
    SchedulerClient::new(within("a connection", endpoint.connect()).await.unwrap())
        .max_decoding_message_size(dasklet_protocol::MAX_MESSAGE_BYTES)
}
