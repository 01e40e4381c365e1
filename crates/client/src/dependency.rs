//! What a task reads: outputs of other tasks.

use std::sync::Arc;

use bytes::Bytes;
use dasklet_protocol::v1;

use crate::{
    core::{Core, Extent, Hold},
    error::ClientError,
    graph::Node,
    handle::{TaskArray, TaskFuture},
    wire::{put_bytes, put_integer, put_integer_or_zero},
};

/// One thing that a task reads. Holding it keeps the outputs it names.
///
/// Made from a handle or a [`Node`], it means what that stands for: the value of a task, or the
/// list of all values of a task array. The methods choose other members or outputs.
#[derive(Debug, Clone)]
pub struct Dep {
    source: Source,
    members: Members,
    output: Output,
}

#[derive(Debug, Clone)]
enum Source {
    Task(Arc<Hold>, u64),
    Node(Node),
    Key(Bytes),
}

#[derive(Debug, Clone, Copy)]
enum Members {
    /// All of an array, the task itself otherwise.
    Natural,
    One(u32),
    SameIndex,
    All,
}

#[derive(Debug, Clone, Copy)]
enum Output {
    Fixed(u32),
    MyIndex,
}

impl Dep {
    /// One task, or a single member of an array (the first, unless [`Dep::member`] follows).
    #[must_use]
    pub fn one(of: impl Into<Self>) -> Self {
        let dep = of.into();
        match dep.members {
            Members::One(_) => dep,
            _ => Self { members: Members::One(0), ..dep },
        }
    }

    /// Every member of a task array: an argument gets the list.
    #[must_use]
    pub fn all(of: impl Into<Self>) -> Self {
        Self { members: Members::All, ..of.into() }
    }

    /// The member with the index of the task that reads it.
    #[must_use]
    pub fn same_index(of: impl Into<Self>) -> Self {
        Self { members: Members::SameIndex, ..of.into() }
    }

    /// The task with this key, wherever it was submitted, or later in the same graph.
    #[must_use]
    pub fn key(key: impl Into<Bytes>) -> Self {
        Self { source: Source::Key(key.into()), members: Members::One(0), output: Output::Fixed(0) }
    }

    /// This member of the array.
    #[must_use]
    pub fn member(self, index: u32) -> Self {
        Self { members: Members::One(index), ..self }
    }

    /// This one of the outputs of each member (the first is 0).
    #[must_use]
    pub fn output(self, number: u32) -> Self {
        Self { output: Output::Fixed(number), ..self }
    }

    /// The output with the number of the index of the task that reads it: what a shuffle does.
    #[must_use]
    pub fn my_index(self) -> Self {
        Self { output: Output::MyIndex, ..self }
    }

    /// The node it names, if any.
    pub(crate) fn node(&self) -> Option<Node> {
        match self.source {
            Source::Node(node) => Some(node),
            _ => None,
        }
    }

    /// The key it names, if any.
    pub(crate) fn named_key(&self) -> Option<&[u8]> {
        match &self.source {
            Source::Key(key) => Some(key),
            _ => None,
        }
    }

    /// Refuses a handle of another session.
    pub(crate) fn check(&self, core: &Arc<Core>) -> Result<(), ClientError> {
        match &self.source {
            Source::Task(hold, _) if !hold.is_of(core) => {
                Err(ClientError::Foreign { what: "a handle", owner: "client" })
            }
            _ => Ok(()),
        }
    }

    /// Writes the content of its message. `place` gives the local number of a node and whether
    /// it is an array.
    pub(crate) fn encode(
        &self,
        core: &Arc<Core>,
        place: &dyn Fn(Node) -> Result<(u64, bool), ClientError>,
        buffer: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        let mut is_array = false;
        match &self.source {
            Source::Task(hold, local) => {
                self.check(core)?;
                is_array = hold.is_array();
                put_integer_or_zero(buffer, 1, *local);
            }
            Source::Node(node) => {
                let (local, array) = place(*node)?;
                is_array = array;
                put_integer_or_zero(buffer, 1, local);
            }
            Source::Key(key) => put_bytes(buffer, 2, key),
        }
        let (mode, member) = match self.members {
            Members::Natural if is_array => (v1::DependencyMode::All, 0),
            Members::Natural => (v1::DependencyMode::Member, 0),
            Members::One(index) => (v1::DependencyMode::Member, index),
            Members::SameIndex => (v1::DependencyMode::SameIndex, 0),
            Members::All => (v1::DependencyMode::All, 0),
        };
        put_integer(buffer, 3, mode as u64);
        put_integer(buffer, 4, u64::from(member));
        match self.output {
            Output::Fixed(number) => put_integer(buffer, 5, u64::from(number)),
            Output::MyIndex => put_integer(buffer, 6, 1),
        }
        Ok(())
    }
}

impl<T> From<&TaskFuture<T>> for Dep {
    fn from(future: &TaskFuture<T>) -> Self {
        let hold = future.hold();
        let (local, index) = future.member();
        let members = match hold.extent() {
            Extent::Array(_) => Members::One(index),
            Extent::Described(_) => Members::Natural,
        };
        let output = Output::Fixed(future.output_number());
        Self { source: Source::Task(Arc::clone(hold), local), members, output }
    }
}

impl<T> From<&TaskArray<T>> for Dep {
    fn from(array: &TaskArray<T>) -> Self {
        let source = Source::Task(Arc::clone(array.hold()), array.local());
        Self { source, members: Members::Natural, output: Output::Fixed(0) }
    }
}

impl From<Node> for Dep {
    fn from(node: Node) -> Self {
        Self { source: Source::Node(node), members: Members::Natural, output: Output::Fixed(0) }
    }
}

impl From<&Node> for Dep {
    fn from(node: &Node) -> Self {
        Self::from(*node)
    }
}
