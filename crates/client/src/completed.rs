//! Tasks in the order in which they end.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures::Stream;

use crate::{handle::TaskFuture, session::table::Waiter};

/// Positions of tasks that have ended and have not been asked for.
#[derive(Debug, Default)]
pub(crate) struct Completion(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    ended: VecDeque<usize>,
    waker: Option<Waker>,
}

impl Completion {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one, and returns who is to be woken.
    pub(crate) fn push(&self, position: usize) -> Option<Waker> {
        let mut queue = self.queue();
        queue.ended.push_back(position);
        queue.waker.take()
    }
}

/// Gives handles in the order in which their tasks end, well or not. What is not kept of them is
/// released, so a long row of results need not be held at once.
///
/// ```no_run
/// use dasklet_client::{Client, as_completed};
/// use futures::StreamExt;
///
/// # async fn example(client: Client) -> Result<(), dasklet_client::ClientError> {
/// let naps = client.map::<f64, _>("sleep", [0.3, 0.1, 0.2].map(|seconds| (seconds,))).await?;
/// let mut ended = as_completed(naps.iter());
/// while let Some((position, nap)) = ended.next().await {
///     println!("{position}: {:?}", nap.await);
/// }
/// # Ok(())
/// # }
/// ```
pub fn as_completed<T>(futures: impl IntoIterator<Item = TaskFuture<T>>) -> Completed<T> {
    let completion = Arc::new(Completion::default());
    let futures: Vec<_> = futures.into_iter().map(Some).collect();
    for (position, future) in futures.iter().flatten().enumerate() {
        let waiter = Waiter::Complete(Arc::clone(&completion), position);
        let mut session = future.hold().shared().session();
        if session.end.is_some() || !session.table.wait(future.member(), waiter) {
            completion.push(position);
        }
    }
    let remaining = futures.len();
    Completed { completion, futures, remaining }
}

/// See [`as_completed`].
pub struct Completed<T> {
    completion: Arc<Completion>,
    futures: Vec<Option<TaskFuture<T>>>,
    remaining: usize,
}

impl<T> fmt::Debug for Completed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Completed({} of {} to come)", self.remaining, self.futures.len())
    }
}

impl<T> Completed<T> {
    /// The next that ends: its position among the handles given, and the handle.
    pub async fn next_ended(&mut self) -> Option<(usize, TaskFuture<T>)> {
        futures::StreamExt::next(self).await
    }

    /// How many are still to come.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.remaining
    }
}

impl<T> Drop for Completed<T> {
    fn drop(&mut self) {
        for (position, future) in self.futures.iter().enumerate() {
            let Some(future) = future else { continue };
            let waiter = Waiter::Complete(Arc::clone(&self.completion), position);
            let mut session = future.hold().shared().session();
            session.table.stop_waiting(future.member(), &waiter);
        }
    }
}

impl<T> Stream for Completed<T> {
    type Item = (usize, TaskFuture<T>);

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let mut queue = this.completion.queue();
        while let Some(position) = queue.ended.pop_front() {
            if let Some(future) = this.futures[position].take() {
                this.remaining -= 1;
                return Poll::Ready(Some((position, future)));
            }
        }
        if this.remaining == 0 {
            return Poll::Ready(None);
        }
        queue.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
