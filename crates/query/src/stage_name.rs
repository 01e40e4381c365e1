//! What a stage does, in a few words: "scan flights, join, aggregate".

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use crate::scans;

/// The stage's notable operators, those that read first.
pub(crate) fn stage_name(plan: &Arc<dyn ExecutionPlan>) -> String {
    let mut words: Vec<String> = Vec::new();
    gather(plan, &mut words);
    if words.is_empty() { "collect".to_owned() } else { words.join(", ") }
}

fn gather(plan: &Arc<dyn ExecutionPlan>, words: &mut Vec<String>) {
    for child in plan.children() {
        gather(child, words);
    }
    let word = match scans::table_of(plan) {
        Some(table) => format!("scan {table}"),
        None => match word_for(plan.name()) {
            Some(word) => word.to_owned(),
            None => return,
        },
    };
    if !words.contains(&word) {
        words.push(word);
    }
}

fn word_for(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "DataSourceExec" => "scan",
        "AggregateExec" => "aggregate",
        "SortExec" => "sort",
        "SortPreservingMergeExec" => "merge",
        "BoundedWindowAggExec" | "WindowAggExec" => "window",
        "UnionExec" | "InterleaveExec" => "union",
        joins if joins.ends_with("JoinExec") => "join",
        _ => return None,
    })
}
