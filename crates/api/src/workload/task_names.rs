//! The tasks of a workload by their names.

use std::collections::HashMap;

use super::{array::IndexRange, spec::TaskEntry, typed::WorkloadTask};
use crate::{suggest::nearest, validate::Problem};

/// Positions and array lengths of the tasks by name.
pub(super) struct Names<'a> {
    pub(super) positions: HashMap<&'a str, usize>,
    pub(super) arrays: Vec<Option<IndexRange>>,
}

impl<'a> Names<'a> {
    pub(super) fn of(entries: &'a [TaskEntry], problems: &mut Vec<Problem>) -> Self {
        let mut positions = HashMap::new();
        for (position, entry) in entries.iter().enumerate() {
            let path = format!("tasks[{position}].name");
            if entry.name.trim().is_empty() {
                problems.push(Problem::new(path, "the task's name is empty"));
            } else if positions.insert(entry.name.as_str(), position).is_some() {
                let message = format!("two tasks are named '{}': rename one", entry.name);
                problems.push(Problem::new(path, message));
            }
        }
        Self { positions, arrays: entries.iter().map(|entry| entry.array).collect() }
    }

    pub(super) fn find(&self, name: &str) -> Result<usize, String> {
        self.positions.get(name).copied().ok_or_else(|| {
            let hint = match nearest(name, self.positions.keys().copied()) {
                Some(known) => format!("; did you mean '{known}'?"),
                None => ": name another task of this workload".to_owned(),
            };
            format!("there is no task '{name}'{hint}")
        })
    }

    pub(super) fn dependencies(&self, tasks: &[WorkloadTask]) -> Vec<Vec<usize>> {
        tasks
            .iter()
            .map(|task| {
                let mut needs: Vec<usize> = task
                    .sources()
                    .map(|source| &source.task)
                    .chain(&task.after)
                    .filter_map(|name| self.positions.get(name.as_str()).copied())
                    .collect();
                needs.sort_unstable();
                needs.dedup();
                needs
            })
            .collect()
    }
}
