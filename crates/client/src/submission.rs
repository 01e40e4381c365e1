//! Gives tasks their local numbers and writes them into the outbox.

use std::{future::poll_fn, sync::Arc, task::Poll};

use bytes::BufMut;
use dasklet_protocol::{TASK_BYTES, v1};

use crate::{
    argument::{ArgWriter, Args},
    core::{Core, Extent, Hold},
    dependency::Dep,
    encoded::{BodyRef, EncodedTask},
    error::ClientError,
    graph::Node,
    handle::Segment,
    job::JobCore,
    options::TaskOptions,
    session::Session,
    spec::TaskSpec,
    wire::put_length,
};

const DEPENDENCIES_FIELD: u32 = 3;
/// Tasks written for each taking of the lock.
const BATCH: usize = 2048;

/// Refuses a task that is larger than what the scheduler takes.
pub(crate) fn check_size(name: impl FnOnce() -> String, bytes: usize) -> Result<(), ClientError> {
    if bytes <= TASK_BYTES {
        return Ok(());
    }
    Err(ClientError::BadTask(format!(
        "{} has {bytes} bytes of arguments, files and dependencies, more than the {TASK_BYTES} \
         that travel with a task: put the value and pass its handle",
        name()
    )))
}

/// Opens the job at its first submission.
pub(crate) fn open_job(session: &mut Session, job: &JobCore) -> Result<(), ClientError> {
    if let Some(end) = &session.end {
        return Err(end.clone());
    }
    if job.first_use() {
        session.outbox.other(|rest| {
            rest.jobs.push(v1::OpenJob {
                job: job.number,
                name: job.name.clone(),
                weight: job.weight,
            });
        });
    }
    Ok(())
}

/// Writes `deps` fields.
pub(crate) fn encode_dependencies(
    core: &Arc<Core>,
    dependencies: &[Dep],
    place: &dyn Fn(Node) -> Result<(u64, bool), ClientError>,
    into: &mut Vec<u8>,
) -> Result<(), ClientError> {
    let mut one = Vec::new();
    for dependency in dependencies {
        one.clear();
        dependency.encode(core, place, &mut one)?;
        put_length(into, DEPENDENCIES_FIELD, one.len());
        into.put_slice(&one);
    }
    Ok(())
}

/// What [`Dep::encode`] is told of nodes outside a graph.
pub(crate) fn no_node(_: Node) -> Result<(u64, bool), ClientError> {
    Err(ClientError::Foreign { what: "a node of a graph", owner: "graph" })
}

/// Submits one task, or one task array of `array` members (0: a task).
pub(crate) fn submit_one(
    job: &JobCore,
    spec: &TaskSpec,
    array: u32,
) -> Result<Arc<Hold>, ClientError> {
    let core = &job.core;
    let mut dependencies = Vec::new();
    encode_dependencies(core, &spec.dependencies, &no_node, &mut dependencies)?;
    check_size(|| spec.name(), spec.own_bytes() + dependencies.len())?;
    let _submitting = core.submitting();
    let local = core.shared.change(|session| {
        open_job(session, job)?;
        let local = reserve(session, array);
        push(session, job.number, local, spec, array, &dependencies, true);
        Ok(local)
    })?;
    let extent = if array > 0 { Extent::Array(array) } else { Extent::Described(1) };
    Ok(Hold::new(core, local, extent))
}

pub(crate) fn reserve(session: &mut Session, array: u32) -> u64 {
    match array {
        0 => session.table.push_described(),
        length => session.table.push_array(length),
    }
}

/// Writes a task with this number into the outbox.
pub(crate) fn push(
    session: &mut Session,
    job: u32,
    local: u64,
    spec: &TaskSpec,
    array: u32,
    dependencies: &[u8],
    wanted: bool,
) {
    session.outbox.submit(job, local, &spec.options, |options, position, buffer| {
        EncodedTask {
            body: spec.body(),
            dependencies,
            key: &spec.key,
            options,
            array,
            outputs: spec.outputs,
            order: spec.order.unwrap_or(position),
            wanted,
            first_index: spec.first_index,
        }
        .write(buffer);
    });
}

/// Waits until what was submitted before has gone out far enough.
pub(crate) async fn room(core: &Core) -> Result<(), ClientError> {
    poll_fn(|context| {
        let mut session = core.shared.session();
        if let Some(end) = &session.end {
            return Poll::Ready(Err(end.clone()));
        }
        if !session.outbox.is_crowded() {
            return Poll::Ready(Ok(()));
        }
        session.outbox.wait_for_room(context.waker().clone());
        Poll::Pending
    })
    .await
}

/// Arguments of some tasks of the same operation, encoded one after the other.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where in `bytes` the arguments and the dependencies of each task end.
    ends: Vec<(usize, usize)>,
}

impl Batch {
    fn add(&mut self, core: &Arc<Core>, op: &str, writer: &ArgWriter) -> Result<(), ClientError> {
        let start = self.bytes.len();
        self.bytes.put_slice(writer.encoded());
        let args = self.bytes.len();
        encode_dependencies(core, writer.dependencies(), &no_node, &mut self.bytes)?;
        check_size(|| format!("a task of operation '{op}'"), self.bytes.len() - start)?;
        self.ends.push((args, self.bytes.len()));
        Ok(())
    }

    /// Submits and forgets them; returns the number of the first and how many they were.
    fn submit(&mut self, job: &JobCore, op: &str) -> Result<(u64, u64), ClientError> {
        let options = TaskOptions::default();
        let count = self.ends.len() as u64;
        let _submitting = job.core.submitting();
        let first = job.core.shared.change(|session| {
            open_job(session, job)?;
            let first = session.table.next();
            let mut start = 0;
            for (args, end) in self.ends.drain(..) {
                let local = session.table.push_described();
                session.outbox.submit(job.number, local, &options, |options, order, buffer| {
                    EncodedTask {
                        body: BodyRef::Native { name: op, args: &self.bytes[start..args] },
                        dependencies: &self.bytes[args..end],
                        key: &[],
                        options,
                        array: 0,
                        outputs: 1,
                        order,
                        wanted: true,
                        first_index: 0,
                    }
                    .write(buffer);
                });
                start = end;
            }
            Ok::<_, ClientError>(first)
        })?;
        self.bytes.clear();
        Ok((first, count))
    }
}

/// Submits the operation once for each item, waiting when too much is on its way.
pub(crate) async fn submit_map<A: Args>(
    job: &JobCore,
    op: &str,
    items: impl IntoIterator<Item = A>,
) -> Result<Vec<Segment>, ClientError> {
    let mut segments = Segments::new(&job.core);
    let mut batch = Batch::default();
    let mut writer = ArgWriter::default();
    for item in items {
        writer.clear();
        item.write_all(&mut writer)?;
        batch.add(&job.core, op, &writer)?;
        if batch.ends.len() == BATCH {
            segments.add(batch.submit(job, op)?);
            // On a runtime of one thread nothing goes out while this loop has it.
            tokio::task::yield_now().await;
            room(&job.core).await?;
        }
    }
    if !batch.ends.is_empty() {
        segments.add(batch.submit(job, op)?);
    }
    Ok(segments.finish())
}

/// Collects numbers into segments; dropped early, it releases what was submitted.
struct Segments<'a> {
    core: &'a Arc<Core>,
    length: usize,
    ready: Vec<Segment>,
    open: Option<(u64, u64)>,
}

impl<'a> Segments<'a> {
    fn new(core: &'a Arc<Core>) -> Self {
        Self { core, length: 0, ready: Vec::new(), open: None }
    }

    fn add(&mut self, (first, count): (u64, u64)) {
        match &mut self.open {
            Some((start, length)) if *start + *length == first => *length += count,
            _ => {
                self.close();
                self.open = Some((first, count));
            }
        }
    }

    fn close(&mut self) {
        if let Some((first, count)) = self.open.take() {
            let hold = Hold::new(self.core, first, Extent::Described(count));
            self.ready.push(Segment { offset: self.length, hold });
            self.length += count as usize;
        }
    }

    fn finish(mut self) -> Vec<Segment> {
        self.close();
        std::mem::take(&mut self.ready)
    }
}

impl Drop for Segments<'_> {
    fn drop(&mut self) {
        self.close();
    }
}
