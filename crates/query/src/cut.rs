//! Cuts a physical plan into stages.
//!
//! A stage ends where rows must pass from one partition to another: at a repartition, where
//! partitions come together (coalesced, or merged in order), and where every partition needs the
//! same rows (the collected side of a join, a scalar subquery). What was below becomes a stage
//! that writes its rows; a reader takes its place.

use std::sync::Arc;

use datafusion::{
    common::{
        DataFusionError, Result,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    physical_expr::{EquivalenceProperties, Partitioning, scalar_subquery::ScalarSubqueryExpr},
    physical_expr_common::physical_expr::is_volatile,
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties, PhysicalExpr,
        coalesce_partitions::CoalescePartitionsExec,
        displayable,
        execution_plan::replace_children_if_necessary,
        limit::{GlobalLimitExec, LocalLimitExec},
        recursive_query::RecursiveQueryExec,
        repartition::RepartitionExec,
        scalar_subquery::{ScalarSubqueryExec, ScalarSubqueryLink},
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
    },
};

use crate::{
    broadcast::{collects_left, separate_partitions},
    codec,
    exchange::{ShuffleReaderExec, Take},
    segments::segments,
    stage_name::stage_name,
    staged::{Stage, StageInput, StagedQuery},
};

type Plan = Arc<dyn ExecutionPlan>;

/// Cuts a plan.
pub(crate) fn cut(plan: Plan) -> Result<StagedQuery> {
    let plan = separate_partitions(plan)?;
    let schema = plan.schema();
    let mut cutter = Cutter::default();
    let last = cutter.cut(&plan, None)?;
    let result = cutter.stages_of(last, None, None)?;
    Ok(StagedQuery { stages: cutter.stages, result, schema })
}

#[derive(Default)]
struct Cutter {
    stages: Vec<Stage>,
}

/// The scalar subqueries whose results the expressions of a part of the plan may use.
type Scope<'a> = Option<&'a ScalarSubqueryExec>;

fn partitions(plan: &Plan) -> usize {
    plan.output_partitioning().partition_count()
}

fn count(n: usize) -> Result<u32> {
    u32::try_from(n)
        .map_err(|_| DataFusionError::Plan(format!("{n} partitions are more than can be numbered")))
}

impl Cutter {
    /// The part of `plan` that belongs to the stage that is being made; what it reads is cut off.
    fn cut(&mut self, plan: &Plan, scope: Scope<'_>) -> Result<Plan> {
        if plan.is::<RecursiveQueryExec>() {
            return Err(DataFusionError::NotImplemented(
                "WITH RECURSIVE; write the steps as queries of their own".to_owned(),
            ));
        }
        if let Some(subqueries) = plan.downcast_ref::<ScalarSubqueryExec>() {
            return self.cut_scalar_subqueries(subqueries);
        }
        if let Some(exchange) = plan.downcast_ref::<RepartitionExec>() {
            return self.cut_repartition(exchange, scope);
        }
        if let Some(exchange) = plan.downcast_ref::<CoalescePartitionsExec>() {
            let below = self.cut(exchange.input(), scope)?;
            return self.cut_coalesce(below, exchange.fetch(), scope);
        }
        if let Some(merge) = plan.downcast_ref::<SortPreservingMergeExec>() {
            let below = self.cut(merge.input(), scope)?;
            return self.cut_merge(plan, below, scope);
        }
        let shared = collects_left(plan);
        let mut children = Vec::new();
        for (at, child) in plan.children().into_iter().enumerate() {
            let below = self.cut(child, scope)?;
            children.push(if shared && at == 0 && partitions(plan) > 1 {
                self.share(below, scope)?
            } else {
                below
            });
        }
        replace_children_if_necessary(Arc::clone(plan), children)
    }

    /// Every task of the present stage reads all rows of `below`, which run once.
    fn share(&mut self, below: Plan, scope: Scope<'_>) -> Result<Plan> {
        let is_shared = below
            .downcast_ref::<ShuffleReaderExec>()
            .is_some_and(|reader| reader.take == Take::Together);
        if is_shared {
            return Ok(below);
        }
        self.cut_all(below, Take::Together, scope)
    }

    fn cut_repartition(&mut self, exchange: &RepartitionExec, scope: Scope<'_>) -> Result<Plan> {
        let below = self.cut(exchange.input(), scope)?;
        let partitioning = exchange.partitioning().clone();
        if partitions(&below) == 1 && partitioning.partition_count() == 1 {
            return Ok(below);
        }
        let sorted = exchange.preserve_order().then(|| below.output_ordering().cloned()).flatten();
        let schema = below.schema();
        let from = self.stages_of(below, Some(&partitioning), scope)?;
        let reader: Plan = Arc::new(ShuffleReaderExec::standing_for(
            from,
            Take::Mine,
            EquivalenceProperties::new(schema),
            partitioning,
        ));
        // Slices of sorted inputs are not sorted together: they are sorted again.
        Ok(match sorted {
            Some(order) => Arc::new(SortExec::new(order, reader).with_preserve_partitioning(true)),
            None => reader,
        })
    }

    fn cut_coalesce(
        &mut self,
        below: Plan,
        fetch: Option<usize>,
        scope: Scope<'_>,
    ) -> Result<Plan> {
        if partitions(&below) == 1 {
            return Ok(match fetch {
                Some(rows) => Arc::new(GlobalLimitExec::new(below, 0, Some(rows))),
                None => below,
            });
        }
        let Some(rows) = fetch else {
            return self.cut_all(below, Take::Together, scope);
        };
        // No partition needs to write more than the whole may keep.
        let below = Arc::new(LocalLimitExec::new(below, rows));
        let reader = self.cut_all(below, Take::Together, scope)?;
        Ok(Arc::new(GlobalLimitExec::new(reader, 0, Some(rows))))
    }

    fn cut_merge(&mut self, merge: &Plan, below: Plan, scope: Scope<'_>) -> Result<Plan> {
        if partitions(&below) == 1 {
            return Ok(match merge.fetch() {
                Some(rows) => Arc::new(GlobalLimitExec::new(below, 0, Some(rows))),
                None => below,
            });
        }
        let reader = self.cut_all(below, Take::Each, scope)?;
        replace_children_if_necessary(Arc::clone(merge), vec![reader])
    }

    /// Makes `below` a stage of which a task reads everything.
    fn cut_all(&mut self, below: Plan, take: Take, scope: Scope<'_>) -> Result<Plan> {
        let (equivalences, into) = match take {
            Take::Each => (below.equivalence_properties().clone(), partitions(&below)),
            _ => (EquivalenceProperties::new(below.schema()), 1),
        };
        let from = self.stages_of(below, None, scope)?;
        Ok(Arc::new(ShuffleReaderExec::standing_for(
            from,
            take,
            equivalences,
            Partitioning::UnknownPartitioning(into),
        )))
    }

    fn cut_scalar_subqueries(&mut self, node: &ScalarSubqueryExec) -> Result<Plan> {
        let mut links = Vec::new();
        for link in node.subqueries() {
            let below = self.cut(&link.plan, None)?;
            let plan = self.share(below, None)?;
            links.push(ScalarSubqueryLink { plan, index: link.index });
        }
        // Stages below use the results as well: each that does reads the subqueries' rows itself.
        let shared =
            ScalarSubqueryExec::new(Arc::clone(node.input()), links, node.results().clone());
        let below = self.cut(node.input(), Some(&shared))?;
        with_subqueries(below, Some(&shared))
    }

    /// Ends a stage: one task array, or several where a union needs them.
    fn stages_of(
        &mut self,
        plan: Plan,
        shuffle: Option<&Partitioning>,
        scope: Scope<'_>,
    ) -> Result<Vec<usize>> {
        let plan = with_subqueries(plan, scope)?;
        let mut numbers = Vec::new();
        for segment in segments(&plan)? {
            let stage = end_stage(segment.plan, segment.first, segment.count, shuffle)?;
            numbers.push(self.stages.len());
            self.stages.push(stage);
        }
        Ok(numbers)
    }
}

fn end_stage(
    plan: Plan,
    first: usize,
    tasks: usize,
    shuffle: Option<&Partitioning>,
) -> Result<Stage> {
    let mut inputs: Vec<StageInput> = Vec::new();
    plan.apply(|node| {
        if let Some(reader) = node.downcast_ref::<ShuffleReaderExec>() {
            let kind = codec::input_kind(reader.take);
            for stage in &reader.from {
                let input = StageInput { stage: *stage, kind };
                if !inputs.contains(&input) {
                    inputs.push(input);
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let round_robin = matches!(shuffle, Some(Partitioning::RoundRobinBatch(_)));
    let deterministic = !round_robin && is_deterministic(&plan)?;
    let name = stage_name(&plan);
    let root: Plan = match shuffle {
        Some(partitioning) => Arc::new(RepartitionExec::try_new(plan, partitioning.clone())?),
        None => plan,
    };
    let explain = displayable(root.as_ref()).indent(false).to_string();
    Ok(Stage {
        name,
        explain,
        tasks: count(tasks)?,
        outputs: count(shuffle.map_or(1, Partitioning::partition_count))?,
        body: codec::encode(root, count(first)?, shuffle.is_some(), &inputs)?,
        inputs,
        deterministic,
    })
}

/// `plan` under the scalar subqueries, if it uses their results.
fn with_subqueries(plan: Plan, scope: Scope<'_>) -> Result<Plan> {
    let Some(subqueries) = scope else {
        return Ok(plan);
    };
    if plan.is::<ScalarSubqueryExec>() || !has_expression(&plan, &is_subquery_result)? {
        return Ok(plan);
    }
    Ok(Arc::new(ScalarSubqueryExec::new(
        plan,
        subqueries.subqueries().to_vec(),
        subqueries.results().clone(),
    )))
}

fn is_subquery_result(expression: &Arc<dyn PhysicalExpr>) -> Result<bool> {
    expression.exists(|part| Ok(part.downcast_ref::<ScalarSubqueryExpr>().is_some()))
}

fn has_expression(
    plan: &Plan,
    wanted: &dyn Fn(&Arc<dyn PhysicalExpr>) -> Result<bool>,
) -> Result<bool> {
    plan.exists(|node| {
        let mut found = false;
        node.apply_expressions(&mut |expression| {
            found |= wanted(expression)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(found)
    })
}

/// False for plans that may give other rows when they run again: volatile functions, and limits
/// that keep whichever rows come first.
fn is_deterministic(plan: &Plan) -> Result<bool> {
    if has_expression(plan, &|expression| Ok(is_volatile(expression)))? {
        return Ok(false);
    }
    let keeps_any = plan.exists(|node| {
        let in_order = node.is::<SortExec>() || node.is::<SortPreservingMergeExec>();
        Ok(node.fetch().is_some() && !in_order)
    })?;
    Ok(!keeps_any)
}
