//! Manifests as the tests need them: clusters, and jobs of tasks or of a query.

/// A document of this kind.
fn document(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: kubernetes.dask.org/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n\
         {spec}"
    )
}

/// A cluster whose workers are as `worker` says.
pub fn cluster(name: &str, worker: &str) -> String {
    document("DaskCluster", name, &format!("  worker: {{{worker}}}\n"))
}

/// A worker group that goes from 0 to `most` workers of one thread, and back after `window`
/// seconds.
pub fn elastic(most: u32, window: u32) -> String {
    format!(
        "threads: 1, memory: 256Mi, autoscale: {{minReplicas: 0, maxReplicas: {most}, \
         targetDurationSeconds: 1, \
         behavior: {{scaleDown: {{stabilizationWindowSeconds: {window}}}}}}}"
    )
}

/// A job on a cluster that is described elsewhere.
pub fn job_on(cluster: &str, name: &str, workload: &str) -> String {
    document("DaskJob", name, &format!("  clusterName: {cluster}\n  workload:\n{workload}"))
}

/// A job with a cluster of its own, whose workers are as `worker` says.
pub fn job_alone(name: &str, worker: &str, workload: &str) -> String {
    let cluster = format!("  cluster: {{spec: {{worker: {{{worker}}}}}}}\n");
    document("DaskJob", name, &format!("{cluster}  workload:\n{workload}"))
}

/// A workload of tasks, each as the inside of a map.
pub fn tasks(tasks: &[&str]) -> String {
    let lines = tasks.iter().map(|task| format!("      - {{{task}}}\n"));
    format!("    tasks:\n{}", lines.collect::<String>())
}

/// A workload of a query over a table `t`, which is as the inside of a map.
pub fn query(table: &str, sql: &str) -> String {
    format!("    tables: {{t: {{{table}}}}}\n    sql: \"{sql}\"\n")
}
