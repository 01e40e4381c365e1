//! Values that the client brings: stored on workers, then used like any task's output.

use std::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
};

use bytes::Bytes;
use dasklet_protocol::{CHUNK_BYTES, v1};
use futures::stream;
use tokio::sync::oneshot;
use tonic::Status;

use crate::{
    core::{Extent, Hold},
    error::ClientError,
    fetch::{Way, is_unreachable},
    handle::TaskFuture,
    job::Job,
    submission,
};

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
        let (tell, told) = oneshot::channel();
        let (copies, key) = (self.copies, self.key.clone());
        let local = {
            let _submitting = core.submitting();
            core.shared.change(|session| {
                submission::open_job(session, self.job.core())?;
                let local = session.table.push_described();
                let nbytes = value.len() as u64;
                session.outbox.put(v1::PutRequest { local, nbytes, copies, key: key.clone() });
                session.puts.insert(local, tell);
                Ok::<_, ClientError>(local)
            })?
        };
        let future = TaskFuture::new(Hold::new(core, local, Extent::Described(1)), (local, 0));
        let ended = |_| core.shared.session().end.clone().unwrap_or(ClientError::Closed);
        let target = tokio::select! {
            target = told => target.map_err(ended)?,
            // A refused put fails like a task.
            result = future.wait() => return result.map(|()| future.clone()),
        };
        let mut problems = Vec::new();
        for worker in &target.workers {
            if let Err(problem) = self.write(*worker, target.task, &key, &value).await {
                problems.push(problem);
            }
        }
        if problems.len() == target.workers.len() {
            let nbytes = value.len() as u64;
            let reason = if problems.is_empty() {
                "the scheduler has no worker for it; start one".to_owned()
            } else {
                problems.join("; ")
            };
            return Err(ClientError::Put { nbytes, reason });
        }
        future.wait().await?;
        Ok(future)
    }

    async fn write(
        &self,
        worker: u32,
        task: u64,
        key: &Bytes,
        value: &Bytes,
    ) -> Result<(), String> {
        let shared = &self.job.core().core.shared;
        let epoch = shared.session().epoch;
        loop {
            let Some(way) = shared.holders.way(worker) else {
                return Err(format!("worker {worker} is not known any more"));
            };
            let direct = matches!(way, Way::Direct(_));
            let chunks = stream::iter(chunks(epoch, task, worker, key.clone(), value.clone()));
            let answer: Result<_, Status> = match way {
                Way::Direct(mut client) => client.put(chunks).await,
                Way::Through(mut client) => client.put(chunks).await,
            };
            match answer {
                Ok(_) => return Ok(()),
                Err(status)
                    if direct && is_unreachable(&status) && shared.holders.unreachable(worker) => {}
                Err(status) => return Err(format!("worker {worker}: {}", status.message())),
            }
        }
    }
}

/// The value in pieces; an empty value is one empty piece.
fn chunks(
    epoch: u64,
    task: u64,
    worker: u32,
    key: Bytes,
    value: Bytes,
) -> impl Iterator<Item = v1::PutChunk> {
    let total = value.len();
    (0..total.max(1)).step_by(CHUNK_BYTES).map(move |start| v1::PutChunk {
        epoch,
        task,
        worker,
        total: total as u64,
        key: if start == 0 { key.clone() } else { Bytes::new() },
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
            let chunks: Vec<_> = chunks(1, 2, 3, Bytes::from_static(b"k"), value).collect();
            assert_eq!(chunks.len(), pieces);
            assert_eq!(chunks.iter().map(|chunk| chunk.data.len()).sum::<usize>(), length);
            assert_eq!(&chunks[0].key[..], b"k");
        }
    }
}
