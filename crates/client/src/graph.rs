//! Graphs of tasks that are put together first and submitted together, `dask.delayed` style.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use foldhash::fast::RandomState;

use crate::{
    argument::Args,
    core::{Extent, Hold},
    dependency::Dep,
    error::ClientError,
    handle::{TaskArray, TaskFuture},
    job::JobCore,
    spec::TaskSpec,
    submission,
};

/// Nodes written for each taking of the lock.
const BATCH: usize = 512;
/// Bytes up to which a small graph travels in one message.
const ONE_MESSAGE_BYTES: usize = 512 << 10;

/// A task of a [`Graph`]: an argument or dependency of later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node {
    graph: u32,
    index: u32,
}

impl Node {
    /// Another output of it (the first is 0).
    #[must_use]
    pub fn output(self, number: u32) -> Dep {
        Dep::from(self).output(number)
    }

    /// This member of it.
    #[must_use]
    pub fn member(self, index: u32) -> Dep {
        Dep::from(self).member(index)
    }

    /// The member with the index of the task that reads it.
    #[must_use]
    pub fn same_index(self) -> Dep {
        Dep::same_index(self)
    }
}

/// Tasks and what they need of each other. Nothing runs before it is submitted, and then only
/// what the wanted nodes need, depth first.
///
/// ```
/// use dasklet_client::{Graph, TaskSpec};
///
/// let mut graph = Graph::new();
/// let a = graph.op("add", (1, 2));
/// let b = graph.op("add", (a, 3));
/// let c = graph.add(TaskSpec::op("mul", (a, b))?.retries(1));
/// assert_eq!(graph.len(), 3);
/// # Ok::<(), dasklet_client::ClientError>(())
/// ```
#[derive(Debug)]
pub struct Graph {
    id: u32,
    tasks: Vec<(TaskSpec, u32)>,
    error: Option<ClientError>,
}

impl Default for Graph {
    fn default() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, tasks: Vec::new(), error: None }
    }
}

impl Graph {
    /// An empty graph.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a registered operation. An argument that cannot be sent is an error at submission.
    pub fn op(&mut self, name: &str, args: impl Args) -> Node {
        match TaskSpec::op(name, args) {
            Ok(spec) => self.add(spec),
            Err(error) => {
                self.error.get_or_insert(error);
                self.add(TaskSpec::stage(Bytes::new()))
            }
        }
    }

    /// Adds a task.
    pub fn add(&mut self, spec: TaskSpec) -> Node {
        self.push(spec, 0)
    }

    /// Adds a task array of this many members.
    pub fn add_array(&mut self, spec: TaskSpec, members: u32) -> Node {
        if members == 0 {
            self.error.get_or_insert(empty_array());
        }
        self.push(spec, members)
    }

    fn push(&mut self, spec: TaskSpec, array: u32) -> Node {
        let index = self.tasks.len() as u32;
        self.tasks.push((spec, array));
        Node { graph: self.id, index }
    }

    /// Number of tasks, arrays counting as one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// True before anything is added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// All its nodes, in the order in which they were added.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + use<> {
        let graph = self.id;
        (0..self.tasks.len() as u32).map(move |index| Node { graph, index })
    }

    fn index_of(&self, node: Node) -> Result<usize, ClientError> {
        if node.graph == self.id && (node.index as usize) < self.tasks.len() {
            Ok(node.index as usize)
        } else {
            Err(ClientError::Foreign { what: "a node", owner: "graph" })
        }
    }

    /// What the wanted nodes need and themselves, depth first: each after what it depends on, so
    /// that data is used soon after it is made.
    fn depth_first(&self, wanted: &[Node]) -> Result<Vec<usize>, ClientError> {
        let keys: HashMap<&[u8], usize, RandomState> = (0..self.tasks.len())
            .filter(|index| !self.tasks[*index].0.key.is_empty())
            .map(|index| (&self.tasks[index].0.key[..], index))
            .collect();
        let mut seen = vec![false; self.tasks.len()];
        let mut order = Vec::new();
        // A node, and which of its dependencies comes next.
        let mut stack: Vec<(usize, usize)> = Vec::new();
        for node in wanted {
            let index = self.index_of(*node)?;
            if !std::mem::replace(&mut seen[index], true) {
                stack.push((index, 0));
            }
            while let Some((index, next)) = stack.pop() {
                let Some(dependency) = self.tasks[index].0.dependencies.get(next) else {
                    order.push(index);
                    continue;
                };
                stack.push((index, next + 1));
                let source = match (dependency.node(), dependency.named_key()) {
                    (Some(node), _) => Some(self.index_of(node)?),
                    (None, Some(key)) => keys.get(key).copied(),
                    (None, None) => None,
                };
                // A circle by way of keys is left to the scheduler, which names it.
                if let Some(source) = source.filter(|source| !seen[*source]) {
                    seen[source] = true;
                    stack.push((source, 0));
                }
            }
        }
        Ok(order)
    }

    fn estimated_bytes(&self, order: &[usize]) -> usize {
        order.iter().map(|index| self.tasks[*index].0.estimated_bytes()).sum()
    }
}

pub(crate) fn empty_array() -> ClientError {
    ClientError::BadTask("a task array needs at least one member".to_owned())
}

/// Handles of the wanted nodes of a submitted graph.
#[derive(Debug)]
pub struct SubmittedGraph {
    holds: HashMap<Node, Arc<Hold>, RandomState>,
}

impl SubmittedGraph {
    fn hold(&self, node: Node) -> Result<&Arc<Hold>, ClientError> {
        self.holds.get(&node).ok_or_else(|| {
            ClientError::BadTask("the node was not wanted when its graph was submitted".to_owned())
        })
    }

    /// The handle of a task.
    ///
    /// # Errors
    /// It was not wanted.
    pub fn future<T>(&self, node: Node) -> Result<TaskFuture<T>, ClientError> {
        let hold = self.hold(node)?;
        Ok(TaskFuture::new(Arc::clone(hold), (hold.local(), 0)))
    }

    /// The handle of a task array.
    ///
    /// # Errors
    /// It was not wanted, or is no array.
    pub fn array<T>(&self, node: Node) -> Result<TaskArray<T>, ClientError> {
        let hold = self.hold(node)?;
        if !hold.is_array() {
            return Err(ClientError::BadTask("the node is a task, not a task array".to_owned()));
        }
        Ok(TaskArray::new(Arc::clone(hold)))
    }
}

/// Submits what `wanted` needs.
pub(crate) fn submit(
    job: &JobCore,
    graph: &Graph,
    wanted: &[Node],
) -> Result<SubmittedGraph, ClientError> {
    if let Some(error) = &graph.error {
        return Err(error.clone());
    }
    let order = graph.depth_first(wanted)?;
    let mut is_wanted = vec![false; graph.len()];
    wanted.iter().for_each(|node| is_wanted[node.index as usize] = true);
    let bytes = graph.estimated_bytes(&order);
    let small = order.len() <= BATCH && bytes <= ONE_MESSAGE_BYTES;

    let core = &job.core;
    // Nothing is submitted if one of them is wrong.
    let mut dependencies = order.iter().flat_map(|index| &graph.tasks[*index].0.dependencies);
    dependencies.try_for_each(|dependency| dependency.check(core))?;
    for (spec, _) in order.iter().map(|index| &graph.tasks[*index]) {
        submission::check_size(|| spec.name(), spec.estimated_bytes())?;
    }
    let _submitting = core.submitting();
    let first = core.shared.change(|session| {
        submission::open_job(session, job)?;
        session.outbox.begin(bytes.min(ONE_MESSAGE_BYTES));
        Ok::<_, ClientError>(session.table.next())
    })?;
    let mut locals = vec![u64::MAX; graph.len()];
    for (local, index) in (first..).zip(&order) {
        locals[*index] = local;
    }
    let place = |node: Node| {
        let index = graph.index_of(node)?;
        Ok((locals[index], graph.tasks[index].1 > 0))
    };
    let mut dependencies = Vec::new();
    for batch in order.chunks(BATCH) {
        core.shared.change(|session| {
            for index in batch {
                let (spec, array) = &graph.tasks[*index];
                dependencies.clear();
                submission::encode_dependencies(
                    core,
                    &spec.dependencies,
                    &place,
                    &mut dependencies,
                )?;
                let local = submission::reserve(session, *array);
                // What later messages need must not be dropped before they come.
                let keep = is_wanted[*index] || !small;
                submission::push(session, job.number, local, spec, *array, &dependencies, keep);
            }
            Ok::<_, ClientError>(())
        })?;
    }
    let holds = hold_wanted(job, graph, wanted, &locals);
    if !small {
        release_inner(job, graph, &order, &is_wanted, &locals);
    } else {
        forget_inner(job, &order, &is_wanted, &locals);
    }
    Ok(SubmittedGraph { holds })
}

fn hold_wanted(
    job: &JobCore,
    graph: &Graph,
    wanted: &[Node],
    locals: &[u64],
) -> HashMap<Node, Arc<Hold>, RandomState> {
    let hold = |node: &Node| {
        let extent = match graph.tasks[node.index as usize].1 {
            0 => Extent::Described(1),
            length => Extent::Array(length),
        };
        Hold::new(&job.core, locals[node.index as usize], extent)
    };
    // A node may be wanted twice, but one hold releases it.
    let mut holds = HashMap::default();
    for node in wanted {
        holds.entry(*node).or_insert_with(|| hold(node));
    }
    holds
}

/// Releases what was kept only until the whole graph was on its way.
fn release_inner(
    job: &JobCore,
    graph: &Graph,
    order: &[usize],
    is_wanted: &[bool],
    locals: &[u64],
) {
    for batch in order.chunks(BATCH) {
        job.core.shared.change(|session| {
            for index in batch.iter().filter(|index| !is_wanted[**index]) {
                session.table.release(locals[*index], 1);
                match graph.tasks[*index].1 {
                    0 => session.outbox.release(locals[*index], 1),
                    _ => session.outbox.release_array(locals[*index]),
                }
            }
        });
    }
}

/// Forgets what was never wanted: nobody will be told of its end.
fn forget_inner(job: &JobCore, order: &[usize], is_wanted: &[bool], locals: &[u64]) {
    job.core.shared.change(|session| {
        for index in order.iter().filter(|index| !is_wanted[**index]) {
            session.table.release(locals[*index], 1);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_walked_depth_first_and_only_as_far_as_needed() {
        let mut graph = Graph::new();
        let leaves: Vec<Node> = (0..4).map(|leaf| graph.op("leaf", (leaf,))).collect();
        let unused = graph.op("unused", ());
        let left = graph.op("add", (leaves[0], leaves[1]));
        let right = graph.op("add", (leaves[2], leaves[3]));
        let root = graph.op("add", (left, right));
        assert_eq!(graph.depth_first(&[root]).unwrap(), [0, 1, 5, 2, 3, 6, 7]);
        assert_eq!(graph.depth_first(&[root, unused, left]).unwrap().len(), 8);
        assert!(Graph::new().depth_first(&[root]).is_err(), "another graph's node");
    }

    #[test]
    fn keys_lead_to_nodes_and_circles_end() {
        let mut graph = Graph::new();
        let op = |name: &str| TaskSpec::op(name, ()).unwrap();
        let a = graph.add(op("a").key("a").dep(Dep::key("c")));
        let b = graph.add(op("b").key("b").dep(a));
        let c = graph.add(op("c").key("c").dep(b).dep(Dep::key("elsewhere")));
        assert_eq!(graph.depth_first(&[c]).unwrap(), [0, 1, 2]);
    }

    #[test]
    fn deep_graphs_do_not_overflow_the_stack() {
        let mut graph = Graph::new();
        let mut last = graph.op("start", ());
        for _ in 0..200_000 {
            last = graph.op("next", (last,));
        }
        assert_eq!(graph.depth_first(&[last]).unwrap().len(), 200_001);
    }
}
