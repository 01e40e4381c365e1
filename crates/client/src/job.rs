//! Jobs: what tasks are queued, weighed and reported under, and the ways to submit to one.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::watch;

use crate::{
    argument::{Args, Index},
    core::Core,
    error::ClientError,
    graph::{self, Graph, Node, SubmittedGraph},
    handle::{TaskArray, TaskFuture, TaskSet},
    progress::Progress,
    put::Put,
    spec::TaskSpec,
    submission,
};

/// How often the scheduler tells how far jobs are, once somebody has asked.
const PROGRESS_MILLIS: u32 = 100;

/// What all clones of a job share.
#[derive(Debug)]
pub(crate) struct JobCore {
    pub(crate) core: Arc<Core>,
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) weight: f64,
    used: AtomicBool,
}

impl JobCore {
    /// True once: the scheduler must be told of the job.
    pub(crate) fn first_use(&self) -> bool {
        !self.used.load(Ordering::Relaxed) && !self.used.swap(true, Ordering::Relaxed)
    }
}

impl Drop for JobCore {
    fn drop(&mut self) {
        if *self.used.get_mut() {
            let close = dasklet_protocol::v1::CloseJob { job: self.number };
            self.core.shared.change(|session| {
                session.outbox.other(|rest| rest.close_jobs.push(close));
            });
        }
    }
}

/// A job of the session. Jobs share the workers by their weights, whoever submitted more.
///
/// ```no_run
/// # async fn example(client: dasklet_client::Client) -> Result<(), dasklet_client::ClientError> {
/// let job = client.job("nightly").weight(2.0);
/// let cubes = job.map::<i64, _>("cube", (0..1000i64).map(|x| (x,))).await?;
/// println!("{:?}", cubes.gather().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Job(Arc<JobCore>);

impl Job {
    pub(crate) fn new(core: &Arc<Core>, name: String, weight: f64) -> Self {
        let (core, number) = (Arc::clone(core), core.next_job());
        Self(Arc::new(JobCore { core, number, name, weight, used: AtomicBool::new(false) }))
    }

    pub(crate) fn core(&self) -> &JobCore {
        &self.0
    }

    /// A job of the same name with this share relative to others (1 is usual); nothing changes
    /// for what was submitted to this one.
    #[must_use]
    pub fn weight(&self, weight: f64) -> Self {
        Self::new(&self.0.core, self.0.name.clone(), weight)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Submits a registered operation.
    ///
    /// # Errors
    /// An argument cannot be sent, or the session has ended.
    pub fn submit<T>(&self, op: &str, args: impl Args) -> Result<TaskFuture<T>, ClientError> {
        self.submit_task(&TaskSpec::op(op, args)?)
    }

    /// Submits a described task.
    ///
    /// # Errors
    /// A dependency is of another client, or the session has ended.
    pub fn submit_task<T>(&self, spec: &TaskSpec) -> Result<TaskFuture<T>, ClientError> {
        let hold = submission::submit_one(&self.0, spec, 0)?;
        let member = (hold.local(), 0);
        Ok(TaskFuture::new(hold, member))
    }

    /// Submits an operation of one argument for each index below `members`.
    ///
    /// # Errors
    /// `members` is zero, or the session has ended.
    pub fn array<T>(&self, op: &str, members: u32) -> Result<TaskArray<T>, ClientError> {
        self.array_with(op, members, (Index,))
    }

    /// Submits an operation with these arguments, one of which usually is [`Index`], for each
    /// index below `members`.
    ///
    /// # Errors
    /// An argument cannot be sent, `members` is zero, or the session has ended.
    pub fn array_with<T>(
        &self,
        op: &str,
        members: u32,
        args: impl Args,
    ) -> Result<TaskArray<T>, ClientError> {
        self.submit_array(&TaskSpec::op(op, args)?, members)
    }

    /// Submits a task array: one description for all its members.
    ///
    /// # Errors
    /// `members` is zero, a dependency is of another client, or the session has ended.
    pub fn submit_array<T>(
        &self,
        spec: &TaskSpec,
        members: u32,
    ) -> Result<TaskArray<T>, ClientError> {
        if members == 0 {
            return Err(graph::empty_array());
        }
        submission::submit_one(&self.0, spec, members).map(TaskArray::new)
    }

    /// Submits a registered operation once for each tuple of arguments. Waits only when more is
    /// on its way than the scheduler has taken in.
    ///
    /// # Errors
    /// An argument cannot be sent, or the session has ended.
    pub async fn map<T, A: Args>(
        &self,
        op: &str,
        items: impl IntoIterator<Item = A>,
    ) -> Result<TaskSet<T>, ClientError> {
        submission::submit_map(&self.0, op, items).await.map(TaskSet::new)
    }

    /// Submits what one node of a graph needs.
    ///
    /// # Errors
    /// The graph has an argument that cannot be sent, or the session has ended.
    pub fn compute<T>(&self, graph: &Graph, node: Node) -> Result<TaskFuture<T>, ClientError> {
        self.submit_graph(graph, &[node])?.future(node)
    }

    /// Submits what some nodes of a graph need; their results have one type.
    ///
    /// # Errors
    /// As [`Job::compute`].
    pub fn compute_all<T>(
        &self,
        graph: &Graph,
        nodes: &[Node],
    ) -> Result<Vec<TaskFuture<T>>, ClientError> {
        let submitted = self.submit_graph(graph, nodes)?;
        nodes.iter().map(|node| submitted.future(*node)).collect()
    }

    /// Submits what some nodes of a graph need. The handles of these nodes are taken from the
    /// answer; all else is dropped as soon as nothing needs it.
    ///
    /// # Errors
    /// As [`Job::compute`].
    pub fn submit_graph(
        &self,
        graph: &Graph,
        wanted: &[Node],
    ) -> Result<SubmittedGraph, ClientError> {
        graph::submit(&self.0, graph, wanted)
    }

    /// Stores a value on a worker, for many tasks to read.
    pub fn put<T: Serialize>(&self, value: &T) -> Put<T> {
        let bytes = rmp_serde::to_vec_named(value).map(Bytes::from).map_err(|error| {
            ClientError::Encode { what: "a put value".to_owned(), reason: error.to_string() }
        });
        Put::new(self.clone(), bytes)
    }

    /// Stores bytes as they are.
    pub fn put_bytes<T>(&self, bytes: impl Into<Bytes>) -> Put<T> {
        Put::new(self.clone(), Ok(bytes.into()))
    }

    /// Waits until what was submitted has gone out far enough that more may follow.
    ///
    /// # Errors
    /// The session has ended.
    pub async fn ready(&self) -> Result<(), ClientError> {
        submission::room(&self.0.core).await
    }

    /// Stops all of its tasks that have not ended.
    pub fn cancel(&self) {
        if self.0.used.load(Ordering::Relaxed) {
            let number = self.0.number;
            let change = |session: &mut crate::session::Session| {
                session.outbox.other(|rest| rest.cancel_jobs.push(number));
            };
            self.0.core.shared.change(change);
        }
    }

    /// How far it is, and changes of that. Closed when the session ends.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.0.core.shared.change(|session| {
            let closed = session.end.is_some();
            let sender = session.jobs.entry(self.0.number).or_insert_with(|| {
                session.outbox.other(|rest| rest.progress_millis = PROGRESS_MILLIS);
                watch::Sender::default()
            });
            let receiver = sender.subscribe();
            if closed {
                session.jobs.clear();
            }
            receiver
        })
    }
}
