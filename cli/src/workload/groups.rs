//! The tasks of a graph as people see them: each task array by itself, and tasks whose names begin
//! alike together.

use std::collections::BTreeMap;

use dasklet_api::{Member, WorkloadTask};
use dasklet_client::{TaskArray, TaskFuture};
use dasklet_query::StageProgress;
use serde_json::Value;

/// Most groups that are told apart.
const MOST: usize = 24;
/// What the others are called.
const OTHER: &str = "other";

/// A submitted task.
#[derive(Debug, Clone)]
pub enum Handle {
    /// A task.
    One(TaskFuture<Value>),
    /// A task array.
    Array(TaskArray<Value>),
}

impl Handle {
    fn total(&self) -> u32 {
        match self {
            Self::One(_) => 1,
            Self::Array(array) => array.len(),
        }
    }

    fn ended(&self) -> u32 {
        match self {
            Self::One(future) => u32::from(future.is_done()),
            Self::Array(array) => array.ended(),
        }
    }
}

/// Whether to watch a task costs nothing. A handle keeps outputs until the task has ended; where
/// others read one member each, they could go earlier.
pub fn is_watched(task: &WorkloadTask, tasks: &[WorkloadTask]) -> bool {
    let reads_members = |other: &WorkloadTask| {
        other.sources().any(|source| source.task == task.name && source.member != Member::All)
    };
    task.array.is_none() || !tasks.iter().any(reads_members)
}

/// Looks how far groups are.
#[derive(Debug)]
pub struct Groups {
    /// Handles that have not ended, with the position of their group.
    going: Vec<(usize, Handle, u32)>,
    shown: Vec<StageProgress>,
}

impl Groups {
    /// Groups of these tasks, in their order.
    pub fn new<'a>(tasks: impl IntoIterator<Item = (&'a WorkloadTask, Handle)>) -> Self {
        let mut groups = Self { going: Vec::new(), shown: Vec::new() };
        let mut positions: BTreeMap<String, usize> = BTreeMap::new();
        for (task, handle) in tasks {
            let own = task.name.as_str();
            let mut name = if task.array.is_some() { own } else { prefix_of(own) };
            if !positions.contains_key(name) && positions.len() + 1 >= MOST {
                name = OTHER;
            }
            let position = *positions.entry(name.to_owned()).or_insert_with(|| {
                groups.shown.push(StageProgress { name: name.to_owned(), done: 0, total: 0 });
                groups.shown.len() - 1
            });
            groups.shown[position].total += handle.total();
            groups.going.push((position, handle, 0));
        }
        groups
    }

    /// How far they are now, if there are several.
    pub fn look(&mut self) -> Option<&[StageProgress]> {
        let shown = &mut self.shown;
        self.going.retain_mut(|(position, handle, seen)| {
            let ended = handle.ended();
            shown[*position].done += ended - *seen;
            *seen = ended;
            ended < handle.total()
        });
        (self.shown.len() > 1).then_some(self.shown.as_slice())
    }
}

/// The words of a name up to the first that is a number, as Dask groups tasks by their keys.
fn prefix_of(name: &str) -> &str {
    let mut end = 0;
    for word in name.split('-') {
        let is_number = word.chars().all(|c| c.is_ascii_digit());
        if end > 0 && is_number {
            break;
        }
        end += word.len() + usize::from(end > 0);
    }
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_a_number_are_one_group() {
        for (name, prefix) in [
            ("load", "load"),
            ("load-1", "load"),
            ("load-1-2", "load"),
            ("load-all-12", "load-all"),
            ("7", "7"),
            ("7-8", "7"),
        ] {
            assert_eq!(prefix_of(name), prefix, "{name}");
        }
    }
}
