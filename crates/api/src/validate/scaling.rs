//! Rules of `autoscale` and of `DaskAutoscaler`.

use super::{Problem, join};
use crate::{
    autoscale::{AutoscaleSpec, BehaviorSpec, ScalingRulesSpec},
    autoscaler::DaskAutoscalerSpec,
};

/// Longest stabilization window, as in Kubernetes.
const LONGEST_WINDOW_SECONDS: u32 = 3600;
/// Longest period of a scaling policy, as in Kubernetes.
const LONGEST_PERIOD_SECONDS: u32 = 1800;

pub(crate) fn check_autoscale(spec: &AutoscaleSpec, path: &str, problems: &mut Vec<Problem>) {
    let min = spec.min_replicas.unwrap_or(0);
    if min > spec.max_replicas {
        problems.push(Problem::new(
            join(path, "minReplicas"),
            format!(
                "{min} is above maxReplicas {}: lower minReplicas or raise maxReplicas",
                spec.max_replicas
            ),
        ));
    }
    check_target(spec.target_duration_seconds, path, problems);
    if spec.start_deadline_seconds == Some(0) {
        let message = "must be at least 1: no worker starts in no time";
        problems.push(Problem::new(join(path, "startDeadlineSeconds"), message));
    }
    check_behavior(spec.behavior.as_ref(), path, problems);
}

pub(super) fn check_autoscaler(spec: &DaskAutoscalerSpec, problems: &mut Vec<Problem>) {
    check_cluster(&spec.cluster, problems);
    let minimum = spec.minimum.unwrap_or(0);
    if minimum > spec.maximum {
        problems.push(Problem::new(
            "spec.minimum",
            format!("{minimum} is above maximum {}: lower minimum or raise maximum", spec.maximum),
        ));
    }
    check_target(spec.target_duration_seconds, "spec", problems);
    check_behavior(spec.behavior.as_ref(), "spec", problems);
}

/// The cluster that a group or an autoscaler names.
pub(super) fn check_cluster(name: &str, problems: &mut Vec<Problem>) {
    if name.is_empty() {
        problems.push(Problem::new("spec.cluster", "is empty: name a DaskCluster"));
    }
}

fn check_target(seconds: Option<f64>, path: &str, problems: &mut Vec<Problem>) {
    if let Some(seconds) = seconds
        && !(seconds.is_finite() && seconds > 0.0)
    {
        let message = format!("must be more than 0 seconds, not {seconds}");
        problems.push(Problem::new(join(path, "targetDurationSeconds"), message));
    }
}

fn check_behavior(behavior: Option<&BehaviorSpec>, path: &str, problems: &mut Vec<Problem>) {
    let Some(behavior) = behavior else { return };
    for (field, rules) in [("scaleUp", &behavior.scale_up), ("scaleDown", &behavior.scale_down)] {
        if let Some(rules) = rules {
            check_rules(rules, &join(path, &format!("behavior.{field}")), problems);
        }
    }
}

fn check_rules(rules: &ScalingRulesSpec, path: &str, problems: &mut Vec<Problem>) {
    if let Some(window) = rules.stabilization_window_seconds
        && window > LONGEST_WINDOW_SECONDS
    {
        problems.push(Problem::new(
            join(path, "stabilizationWindowSeconds"),
            format!("must be at most {LONGEST_WINDOW_SECONDS}, not {window}"),
        ));
    }
    if let Some(tolerance) = rules.tolerance
        && !(tolerance.is_finite() && tolerance >= 0.0)
    {
        let message = format!("must be 0 or more, such as 0.1 for 10 %, not {tolerance}");
        problems.push(Problem::new(join(path, "tolerance"), message));
    }
    for (at, policy) in rules.policies.iter().flatten().enumerate() {
        let path = join(path, &format!("policies[{at}]"));
        if policy.value == 0 {
            let message = "must be at least 1; for no change at all write selectPolicy: Disabled";
            problems.push(Problem::new(join(&path, "value"), message));
        }
        if !(1..=LONGEST_PERIOD_SECONDS).contains(&policy.period_seconds) {
            problems.push(Problem::new(
                join(&path, "periodSeconds"),
                format!(
                    "must be from 1 to {LONGEST_PERIOD_SECONDS}, not {}",
                    policy.period_seconds
                ),
            ));
        }
    }
}
