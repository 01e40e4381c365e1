//! Values that the client brings: stored on workers, then used like any task's output.

use std::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    time::Duration,
};

use bytes::Bytes;
use dasklet_protocol::{CHUNK_BYTES, v1};
use futures::stream;
use tokio::sync::mpsc;
use tonic::{Code, Status};

use crate::{
    core::{Extent, Hold},
    error::ClientError,
    fetch::{Way, is_unreachable},
    handle::TaskFuture,
    job::Job,
    session::Shared,
    submission,
};

/// Tries to write a value, one after the other, that may all fail.
const MOST_REFUSALS: u32 = 20;
/// Wait before another place is asked for: so much after the first time, twice as much each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A value on its way to workers; awaiting it gives its handle. See [`Job::put`].
///
/// The value is lost with the last worker that has it, so ask for two copies of what cannot be
/// made again.
#[derive(Debug)]
#[must_use = "nothing is stored until it is awaited"]
pub struct Put<T> {
    job: Job,
    value: Result<Bytes, ClientError>,
    copies: u32,
    key: Bytes,
    result: PhantomData<fn() -> T>,
}

impl<T> Put<T> {
    pub(crate) fn new(job: Job, value: Result<Bytes, ClientError>) -> Self {
        Self { job, value, copies: 1, key: Bytes::new(), result: PhantomData }
    }

    /// On how many workers it is stored, or on all if there are fewer.
    pub fn copies(mut self, number: u32) -> Self {
        self.copies = number.max(1);
        self
    }

    /// The name people know it by.
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = key.into();
        self
    }

    async fn store(self) -> Result<TaskFuture<T>, ClientError> {
        let value = self.value.clone()?;
        let core = &self.job.core().core;
        let (tell, targets) = mpsc::unbounded_channel();
        let (copies, key) = (self.copies, self.key.clone());
        let local = {
            let _submitting = core.submitting();
            core.shared.change(|session| {
                submission::open_job(session, self.job.core())?;
                let local = session.table.push_described();
                let nbytes = value.len() as u64;
                session.outbox.put(v1::PutRequest { local, nbytes, copies, key });
                session.puts.insert(local, tell);
                Ok::<_, ClientError>(local)
            })?
        };
        let future = TaskFuture::new(Hold::new(core, local, Extent::Described(1)), (local, 0));
        let mut places = Places { shared: &core.shared, future: &future, targets };
        let (mut refusals, mut pause) = (0, None);
        while let Some(target) = places.next(pause.take()).await? {
            match self.write_all(&target, &value).await {
                Ok(()) => refusals = 0,
                Err(refusal) => {
                    refusals += 1;
                    if refusal.for_good || refusals == MOST_REFUSALS {
                        let (nbytes, reason) = (value.len() as u64, refusal.reason);
                        return Err(ClientError::Put { nbytes, reason });
                    }
                    let longer = FIRST_PAUSE * (1 << (refusals - 1).min(8));
                    pause = Some(longer.min(LONGEST_PAUSE));
                }
            }
        }
        Ok(future.clone())
    }

    /// Writes to all of these workers; one that takes it is enough.
    async fn write_all(&self, target: &v1::PutTarget, value: &Bytes) -> Result<(), Refusal> {
        let mut refusals = Vec::new();
        for worker in &target.workers {
            if let Err(refusal) = self.write(*worker, target.task, value).await {
                refusals.push(refusal);
            }
        }
        if refusals.len() < target.workers.len() {
            return Ok(());
        }
        let for_good = !refusals.is_empty() && refusals.iter().all(|refusal| refusal.for_good);
        let reasons: Vec<String> = refusals.into_iter().map(|refusal| refusal.reason).collect();
        let reason = match reasons.join("; ") {
            none if none.is_empty() => "the scheduler has no worker for it; start one".to_owned(),
            reasons => reasons,
        };
        Err(Refusal { reason, for_good })
    }

    async fn write(&self, worker: u32, task: u64, value: &Bytes) -> Result<(), Refusal> {
        let shared = &self.job.core().core.shared;
        let epoch = shared.session().epoch;
        loop {
            let Some(way) = shared.holders.way(worker) else {
                let reason = format!("worker {worker} is not known any more");
                return Err(Refusal { reason, for_good: false });
            };
            let direct = matches!(way, Way::Direct(_));
            let chunks = stream::iter(chunks(epoch, task, worker, value.clone()));
            let answer: Result<_, Status> = match way {
                Way::Direct(mut client) => client.put(chunks).await,
                Way::Through(mut client) => client.put(chunks).await,
            };
            match answer {
                Ok(_) => return Ok(()),
                Err(status)
                    if direct && is_unreachable(&status) && shared.holders.unreachable(worker) => {}
                Err(status) => return Err(Refusal::new(worker, &status)),
            }
        }
    }
}

/// Why a value was not written.
struct Refusal {
    reason: String,
    /// Another try would end the same way.
    for_good: bool,
}

impl Refusal {
    fn new(worker: u32, status: &Status) -> Self {
        let for_good = matches!(status.code(), Code::ResourceExhausted | Code::InvalidArgument);
        Self { reason: format!("worker {worker}: {}", status.message()), for_good }
    }
}

/// Where a value may be written. More than one answer may come, as workers go before they have
/// stored it or told so; the latest counts.
struct Places<'a, T> {
    shared: &'a Shared,
    future: &'a TaskFuture<T>,
    targets: mpsc::UnboundedReceiver<v1::PutTarget>,
}

impl<T> Places<'_, T> {
    /// The next place; `None` once the value is stored. Asks for one after `pause`, if given.
    async fn next(
        &mut self,
        mut pause: Option<Duration>,
    ) -> Result<Option<v1::PutTarget>, ClientError> {
        loop {
            let due = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                // A refused put fails like a task.
                ended = self.future.wait() => return ended.map(|()| None),
                target = self.targets.recv() => {
                    let Some(mut target) = target else {
                        let end = self.shared.session().end.clone();
                        return Err(end.unwrap_or(ClientError::Closed));
                    };
                    while let Ok(later) = self.targets.try_recv() {
                        target = later;
                    }
                    return Ok(Some(target));
                }
                () = due => {
                    pause = None;
                    let (local, _) = self.future.member();
                    self.shared.change(|session| session.ask_for_target(local));
                }
            }
        }
    }
}

impl<T> Drop for Places<'_, T> {
    fn drop(&mut self) {
        self.shared.session().puts.remove(&self.future.member().0);
    }
}

/// The value in pieces; an empty value is one empty piece.
fn chunks(epoch: u64, task: u64, worker: u32, value: Bytes) -> impl Iterator<Item = v1::PutChunk> {
    let total = value.len();
    (0..total.max(1)).step_by(CHUNK_BYTES).map(move |start| v1::PutChunk {
        epoch,
        task,
        worker,
        total: total as u64,
        data: value.slice(start..total.min(start + CHUNK_BYTES)),
    })
}

impl<T: 'static> IntoFuture for Put<T> {
    type Output = Result<TaskFuture<T>, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.store())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_travels_in_chunks() {
        for (length, pieces) in [(0, 1), (1, 1), (CHUNK_BYTES, 1), (CHUNK_BYTES + 1, 2)] {
            let value = Bytes::from(vec![1; length]);
            let chunks: Vec<_> = chunks(1, 2, 3, value).collect();
            assert_eq!(chunks.len(), pieces);
            assert_eq!(chunks.iter().map(|chunk| chunk.data.len()).sum::<usize>(), length);
        }
    }
}
