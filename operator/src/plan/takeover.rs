//! Clusters that dask-kubernetes made: its finalizer goes, and nobody writes while it still runs.

use serde_json::json;

use super::{
    memory::Memory,
    write::{Action, Kind, Plan, Stage, Target},
};
use crate::{
    names::{KOPF_FINALIZER, TAKEN_OVER},
    observe::{Meta, Observed},
};

/// An operator that still runs puts its finalizer back within this time.
const ANSWERS_WITHIN_MICROS: u64 = 3_000_000;
/// Our own removal is seen within this time.
const SEEN_WITHIN_MICROS: u64 = 500_000;
/// While another operator runs, its finalizer is tried so often.
const TRY_AGAIN_MICROS: u64 = 60_000_000;

/// Why nothing may be written yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It is not known yet whether dask-kubernetes is gone.
    TakingOver,
    /// It has put its finalizer back.
    OtherOperator,
}

/// Removes the finalizers, and says whether to wait.
pub fn take_over(
    observed: &Observed,
    memory: &mut Memory,
    now_micros: u64,
    plan: &mut Plan,
) -> Option<Hold> {
    for autoscaler in observed.autoscalers.values() {
        strip(&autoscaler.meta, Kind::Autoscaler, plan);
    }
    let cluster = &observed.cluster.as_ref()?.meta;
    let target = Target::new(Kind::Cluster, &cluster.name);
    let marked = cluster.finalizers.iter().any(|finalizer| finalizer == KOPF_FINALIZER);
    if cluster.deleting {
        strip(cluster, Kind::Cluster, plan);
        return None;
    }
    let failed = memory.failures.contains_key(&target);
    let since = memory.stripped_at.map(|at| now_micros.saturating_sub(at));
    match (marked, since) {
        (true, Some(since)) if !failed && since < TRY_AGAIN_MICROS => {
            // A moment ago the answer to the removal may not be seen yet.
            if since < SEEN_WITHIN_MICROS {
                plan.again_after(SEEN_WITHIN_MICROS - since);
                return Some(Hold::TakingOver);
            }
            plan.again_after(TRY_AGAIN_MICROS - since);
            Some(Hold::OtherOperator)
        }
        (true, _) => {
            strip(cluster, Kind::Cluster, plan);
            let returning = memory.stripped_at.is_some() && !failed;
            memory.stripped_at = Some(now_micros);
            plan.again_after(ANSWERS_WITHIN_MICROS);
            Some(if returning { Hold::OtherOperator } else { Hold::TakingOver })
        }
        (false, Some(since)) if since < ANSWERS_WITHIN_MICROS => {
            plan.again_after(ANSWERS_WITHIN_MICROS - since);
            Some(Hold::TakingOver)
        }
        (false, _) => None,
    }
}

fn strip(meta: &Meta, kind: Kind, plan: &mut Plan) {
    if !meta.finalizers.iter().any(|finalizer| finalizer == KOPF_FINALIZER) {
        return;
    }
    let kept: Vec<&String> =
        meta.finalizers.iter().filter(|finalizer| *finalizer != KOPF_FINALIZER).collect();
    let mut metadata = json!({
        "uid": meta.uid,
        "resourceVersion": meta.resource_version.to_string(),
        "finalizers": kept,
    });
    if kind == Kind::Cluster && !meta.deleting {
        metadata["annotations"] = json!({TAKEN_OVER: "dask-kubernetes"});
    }
    plan.write(
        Stage::Intent,
        Target::new(kind, &meta.name),
        Action::Patch {
            kind,
            name: meta.name.clone(),
            patch: json!({"metadata": metadata}),
            manager: "dasklet-takeover",
            status: false,
        },
    );
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dasklet_api::{DaskClusterSpec, DaskClusterStatus};

    use super::*;
    use crate::observe::{ClusterObject, Key};

    const SECOND: u64 = 1_000_000;

    fn observed(marked: bool) -> Observed {
        let finalizers =
            if marked { vec![KOPF_FINALIZER.to_owned(), "other/one".to_owned()] } else { vec![] };
        let meta = Meta { name: "c".to_owned(), finalizers, ..Meta::default() };
        let cluster = ClusterObject {
            meta,
            spec: Ok(DaskClusterSpec::default()),
            problems: vec![],
            status: DaskClusterStatus::default(),
        };
        let mut observed = Observed::empty(Key::new("n", "c"));
        observed.cluster = Some(Arc::new(cluster));
        observed
    }

    fn step(marked: bool, memory: &mut Memory, now: u64) -> (Option<Hold>, usize) {
        let mut plan = Plan::default();
        let hold = take_over(&observed(marked), memory, now, &mut plan);
        (hold, plan.writes.len())
    }

    #[test]
    fn a_dead_operator_stays_silent() {
        let mut memory = Memory::default();
        assert_eq!(step(true, &mut memory, 10 * SECOND), (Some(Hold::TakingOver), 1));
        assert_eq!(step(false, &mut memory, 11 * SECOND), (Some(Hold::TakingOver), 0));
        assert_eq!(step(false, &mut memory, 14 * SECOND), (None, 0));
    }

    #[test]
    fn a_live_one_puts_its_finalizer_back() {
        let mut memory = Memory::default();
        step(true, &mut memory, 10 * SECOND);
        assert_eq!(step(true, &mut memory, 12 * SECOND), (Some(Hold::OtherOperator), 0));
        assert_eq!(step(true, &mut memory, 71 * SECOND), (Some(Hold::OtherOperator), 1));
        // Now it is gone.
        assert_eq!(step(false, &mut memory, 75 * SECOND), (None, 0));
    }

    #[test]
    fn new_clusters_are_nobody_elses() {
        assert_eq!(step(false, &mut Memory::default(), SECOND), (None, 0));
    }
}
