//! Makes joins safe to run one partition at a time.
//!
//! A join that collects its left side shares it, within one process, between all partitions of the
//! right side; the last of them emits the left rows that found no match. Tasks share nothing, so a
//! join that must emit such rows is partitioned on both sides instead, or gets a single partition.

use std::sync::Arc;

use datafusion::{
    common::{
        JoinType, Result,
        tree_node::{Transformed, TreeNode},
    },
    physical_expr::{Partitioning, PhysicalExprRef},
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties,
        coalesce_partitions::CoalescePartitionsExec,
        execution_plan::replace_children_if_necessary,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode},
        repartition::RepartitionExec,
    },
};

/// The plan with no join left that shares what it knows between partitions.
pub(crate) fn separate_partitions(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(separate).map(|done| done.data)
}

/// True for a join of which every task needs the whole left side.
pub(crate) fn collects_left(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<CrossJoinExec>()
        || plan.is::<NestedLoopJoinExec>()
        || plan
            .downcast_ref::<HashJoinExec>()
            .is_some_and(|join| *join.partition_mode() == PartitionMode::CollectLeft)
}

const fn emits_unmatched_left(join: JoinType) -> bool {
    matches!(
        join,
        JoinType::Left
            | JoinType::Full
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::LeftMark
    )
}

fn partitions(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.output_partitioning().partition_count()
}

fn separate(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        let shares = *join.partition_mode() == PartitionMode::CollectLeft
            && emits_unmatched_left(*join.join_type())
            && partitions(join.right()) > 1;
        if shares {
            return if join.null_aware {
                single_right(&plan)
            } else {
                Ok(Transformed::yes(partitioned(join)?))
            };
        }
    }
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>()
        && emits_unmatched_left(*join.join_type())
        && partitions(join.right()) > 1
    {
        return single_right(&plan);
    }
    Ok(Transformed::no(plan))
}

/// The join with its right side in one partition.
fn single_right(join: &Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let mut sides: Vec<_> = join.children().into_iter().cloned().collect();
    if let Some(right) = sides.get_mut(1) {
        *right = Arc::new(CoalescePartitionsExec::new(Arc::clone(right)));
    }
    replace_children_if_necessary(Arc::clone(join), sides).map(Transformed::yes)
}

/// The join with both sides partitioned by its keys.
fn partitioned(join: &HashJoinExec) -> Result<Arc<dyn ExecutionPlan>> {
    let into = partitions(join.right());
    let (left_keys, right_keys): (Vec<_>, Vec<_>) = join.on().iter().cloned().unzip();
    let left = match join.left().downcast_ref::<CoalescePartitionsExec>() {
        Some(coalesce) => coalesce.input(),
        None => join.left(),
    };
    let by = |keys: Vec<PhysicalExprRef>, side: &Arc<dyn ExecutionPlan>| {
        let partitioning = Partitioning::Hash(keys, into);
        RepartitionExec::try_new(Arc::clone(side), partitioning)
            .map(|side| Arc::new(side) as Arc<dyn ExecutionPlan>)
    };
    let sides = vec![by(left_keys, left)?, by(right_keys, join.right())?];
    join.builder()
        .with_partition_mode(PartitionMode::Partitioned)
        .with_new_children(sides)?
        .recompute_properties()
        .build_exec()
}
