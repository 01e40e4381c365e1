//! Order and cycles of a workload's tasks.

use std::collections::{BTreeSet, HashMap};

/// Positions in an order in which everything comes after what it depends on, the written order
/// where that is free; or the positions on one cycle, each depending on the next.
pub(super) fn order(dependencies: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut readers: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut open: Vec<usize> = Vec::with_capacity(dependencies.len());
    for (task, needs) in dependencies.iter().enumerate() {
        open.push(needs.len());
        for need in needs {
            readers.entry(*need).or_default().push(task);
        }
    }
    let mut free: BTreeSet<usize> =
        open.iter().enumerate().filter(|(_, open)| **open == 0).map(|(task, _)| task).collect();
    let mut order = Vec::with_capacity(dependencies.len());
    while let Some(task) = free.pop_first() {
        order.push(task);
        for reader in readers.get(&task).into_iter().flatten() {
            open[*reader] -= 1;
            if open[*reader] == 0 {
                free.insert(*reader);
            }
        }
    }
    match open.iter().position(|open| *open > 0) {
        None => Ok(order),
        Some(start) => Err(cycle_from(start, dependencies, &open)),
    }
}

/// Walks from an unfinished task along unfinished dependencies until one repeats.
fn cycle_from(start: usize, dependencies: &[Vec<usize>], open: &[usize]) -> Vec<usize> {
    let mut path = vec![start];
    loop {
        let here = path[path.len() - 1];
        let Some(next) = dependencies[here].iter().find(|task| open[**task] > 0) else {
            return path;
        };
        if let Some(position) = path.iter().position(|task| task == next) {
            return path.split_off(position);
        }
        path.push(*next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_come_first_and_cycles_are_named() {
        assert_eq!(order(&[vec![2], vec![], vec![1]]), Ok(vec![1, 2, 0]));
        assert_eq!(order(&[vec![], vec![], vec![0, 1]]), Ok(vec![0, 1, 2]));
        assert_eq!(order(&[vec![1], vec![2], vec![3], vec![1]]), Err(vec![1, 2, 3]));
        assert_eq!(order(&[vec![0]]), Err(vec![0]));
    }
}
