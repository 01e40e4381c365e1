//! All of them, in the order in which they run.

use crate::{
    runner::{
        Needs::{Cluster, Operator, Python},
        Scenario, scenario,
    },
    scenarios::{
        autoscale, cluster, deaths, engine, failures, job, leader, namespaced, nodes, operator,
        pods, readme, sql, stock, takeover,
    },
};

/// Every scenario.
pub fn all() -> &'static [Scenario] {
    const ALL: &[Scenario] = &[
        scenario(
            "pods",
            "a pod runs, is found by name, is entered, logs, and dies of its memory limit",
            Cluster,
            |world| Box::pin(pods::basics(world)),
        ),
        scenario(
            "engine",
            "a scheduler and workers from plain manifests answer, also when a worker is killed",
            Cluster,
            |world| Box::pin(engine::survives_a_kill(world)),
        ),
        scenario("readme", "what the README tells people to type", Operator, |world| {
            Box::pin(readme::quick_start(world))
        })
        .within(300),
        scenario(
            "cluster",
            "three workers register, work, and go with their cluster",
            Operator,
            |world| Box::pin(cluster::comes_and_goes(world)),
        ),
        scenario("scale", "kubectl scale on cluster and group", Operator, |world| {
            Box::pin(cluster::scales_by_hand(world))
        }),
        scenario("groups", "a second worker group comes and goes", Operator, |world| {
            Box::pin(cluster::has_a_second_group(world))
        }),
        scenario("suspend", "a cluster is suspended and resumed", Operator, |world| {
            Box::pin(cluster::is_suspended(world))
        }),
        scenario("autoscale", "from no worker to four by the queue, and back", Operator, |world| {
            Box::pin(autoscale::from_zero_and_back(world))
        })
        .within(240),
        scenario(
            "forced-deletion",
            "a worker pod is deleted by force at work",
            Operator,
            |world| Box::pin(deaths::pod_deleted_by_force(world)),
        ),
        scenario("sigkill", "a worker's process is killed at work", Operator, |world| {
            Box::pin(deaths::process_killed(world))
        }),
        scenario(
            "oom",
            "a worker is OOMKilled at work, and the cause is told",
            Operator,
            |world| Box::pin(deaths::out_of_memory(world)),
        ),
        scenario("eviction", "a worker is evicted at work", Operator, |world| {
            Box::pin(deaths::evicted(world))
        }),
        scenario(
            "scheduler-killed",
            "workers rejoin the scheduler's successor",
            Operator,
            |world| Box::pin(deaths::scheduler_killed(world)),
        ),
        scenario("operator-killed", "the operator dies while a cluster grows", Operator, |world| {
            Box::pin(operator::killed_at_work(world))
        }),
        scenario(
            "bad-manifests",
            "bad manifests are refused or told in a condition",
            Operator,
            |world| Box::pin(operator::bad_manifests(world)),
        ),
        scenario("failures", "what kubectl tells of each failure", Operator, |world| {
            Box::pin(failures::are_told(world))
        })
        .within(300),
        scenario(
            "namespaced",
            "an operator of one namespace, without rights elsewhere",
            Operator,
            |world| Box::pin(namespaced::keeps_to_its_own(world)),
        )
        .within(240),
        scenario(
            "job",
            "jobs with a workload and with a runner pod end as they should",
            Operator,
            |world| Box::pin(job::end(world)),
        ),
        scenario(
            "sql",
            "SQL over an object store, while workers die, has the right answer",
            Operator,
            |world| Box::pin(sql::survives_deaths(world)),
        )
        .within(300),
        scenario("node-drain", "a node is drained at work", Operator, |world| {
            Box::pin(nodes::drained(world))
        })
        .within(240),
        scenario("leader-killed", "of two operators the leader is killed", Operator, |world| {
            Box::pin(leader::killed(world))
        })
        .within(240),
        scenario("stock-dask", "stock Dask adapts to a Python client's work", Python, |world| {
            Box::pin(stock::adapts(world))
        })
        .within(300),
        scenario(
            "kube-cluster",
            "the unmodified Python KubeCluster, from create to close",
            Python,
            |world| Box::pin(stock::kube_cluster(world)),
        )
        .within(300),
        scenario(
            "takeover",
            "clusters of a dask-kubernetes that ran here are taken over, pods and all",
            Python,
            |world| Box::pin(takeover::keeps_every_pod(world)),
        )
        .within(300),
    ];
    ALL
}
