//! Lines up a stage's partitions with the slices that its tasks read.
//!
//! A task reads "the output with my own index", so partition i of a reader must be run by task i.
//! A union breaks this: its partitions are those of its children, one after the other. Such a
//! stage becomes several task arrays, one for each child, that run different partitions of the
//! same plan.

use std::sync::Arc;

use datafusion::{
    common::{DataFusionError, Result},
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties, empty::EmptyExec,
        execution_plan::replace_children_if_necessary, union::UnionExec,
    },
};

use crate::exchange::{ShuffleReaderExec, Take};

/// Partitions of a plan that one task array runs.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    /// The plan, with nothing left to read for the other partitions.
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    /// Task 0 runs this partition.
    pub(crate) first: usize,
    /// How many partitions.
    pub(crate) count: usize,
}

fn partitions(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.output_partitioning().partition_count()
}

fn reads_its_slice(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match plan.downcast_ref::<ShuffleReaderExec>() {
        Some(reader) => reader.take == Take::Mine,
        None => plan.children().into_iter().any(reads_its_slice),
    }
}

/// The plan in segments in which partition `first + i` reads slice i.
pub(crate) fn segments(plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<Segment>> {
    let whole = || vec![Segment { plan: Arc::clone(plan), first: 0, count: partitions(plan) }];
    if plan.is::<ShuffleReaderExec>() || !reads_its_slice(plan) {
        return Ok(whole());
    }
    if plan.is::<UnionExec>() {
        return of_union(plan);
    }
    let mut of_children = Vec::new();
    for child in plan.children() {
        let parts = if reads_its_slice(child) { Some(segments(child)?) } else { None };
        of_children.push(parts.filter(|parts| parts.len() > 1));
    }
    let mut split = of_children.iter().flatten();
    let Some(first) = split.next() else {
        return Ok(whole());
    };
    let bounds = |parts: &[Segment]| parts.iter().map(|p| (p.first, p.count)).collect::<Vec<_>>();
    let alike = split.all(|parts| bounds(parts) == bounds(first));
    let other_slices = plan
        .children()
        .into_iter()
        .zip(&of_children)
        .any(|(child, parts)| parts.is_none() && reads_its_slice(child));
    if !alike || other_slices {
        return Err(DataFusionError::NotImplemented(format!(
            "{} over unions of different shapes; write the union as a table of its own",
            plan.name()
        )));
    }
    (0..first.len())
        .map(|at| {
            let children = plan.children().into_iter().zip(&of_children);
            let children = children.map(|(child, parts)| match parts {
                Some(parts) => Arc::clone(&parts[at].plan),
                None => Arc::clone(child),
            });
            let (first, count) = (first[at].first, first[at].count);
            let plan = replace_children_if_necessary(Arc::clone(plan), children.collect())?;
            Ok(Segment { plan, first, count })
        })
        .collect()
}

fn of_union(union: &Arc<dyn ExecutionPlan>) -> Result<Vec<Segment>> {
    let children: Vec<_> = union.children().into_iter().cloned().collect();
    let empty = |child: &Arc<dyn ExecutionPlan>| -> Arc<dyn ExecutionPlan> {
        Arc::new(EmptyExec::new(child.schema()).with_partitions(partitions(child)))
    };
    let mut found = Vec::new();
    let mut offset = 0;
    for (at, child) in children.iter().enumerate() {
        for part in segments(child)? {
            let mut alone: Vec<_> = children.iter().map(empty).collect();
            alone[at] = part.plan;
            found.push(Segment {
                plan: replace_children_if_necessary(Arc::clone(union), alone)?,
                first: offset + part.first,
                count: part.count,
            });
        }
        offset += partitions(child);
    }
    Ok(found)
}
