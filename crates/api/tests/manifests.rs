//! Manifests that are accepted, and what they come to; manifests that are refused, and the words.

use dasklet_api::{
    Action, Arg, Diagnostic, Layout, Manifest, Member, Object, Severity, Workload, ignored_locally,
    layout, lint, local_worker, parse_documents, parse_policy,
};
use dasklet_core::{Resources, resources::MEMORY};
use dasklet_elastic::{Mode, OnTimeout};

fn good(text: &str) -> Vec<Manifest> {
    match parse_documents(text, "good.yaml") {
        Ok(manifests) => manifests,
        Err(found) => panic!("{}", lines(&found)),
    }
}

fn lines(found: &[Diagnostic]) -> String {
    found.iter().map(|diagnostic| format!("{diagnostic}\n")).collect()
}

fn described(text: &str) -> Layout {
    let manifests = good(text);
    let errors: Vec<Diagnostic> =
        lint(&manifests).into_iter().filter(Diagnostic::is_error).collect();
    assert!(errors.is_empty(), "{}", lines(&errors));
    layout(&manifests)
}

#[test]
fn what_dask_kubernetes_accepts_is_accepted() {
    let layout = described(include_str!("corpus/good/dask-kubernetes.yaml"));
    let names: Vec<(&str, bool)> =
        layout.clusters.iter().map(|cluster| (cluster.name.as_str(), cluster.of_job)).collect();
    assert_eq!(names, [("simple", false), ("simple-job", true)]);
    let [default, highmem] = layout.clusters[0].groups.as_slice() else { panic!("two groups") };
    assert_eq!(
        (default.name.as_str(), highmem.name.as_str()),
        ("simple-default", "simple-highmem")
    );

    let autoscale = default.policy.autoscale.as_ref().unwrap();
    assert_eq!((autoscale.min_replicas, autoscale.max_replicas), (1, 10));
    assert_eq!(default.policy.replicas, Some(2));
    assert_eq!(highmem.policy.initial_size(), 2);

    assert_eq!(default.local.threads, 4);
    assert_eq!(default.local.memory_bytes, Some(3 << 30));
    assert_eq!(default.local.resources, Resources::parse([("GPU", "2"), ("DISK", "1.5")]).unwrap());
    assert_eq!(default.local.env.get("OMP_NUM_THREADS").map(String::as_str), Some("1"));
    assert_eq!(highmem.local.shape().get(MEMORY), (32u64 << 30) * 1000);
}

#[test]
fn a_local_run_says_what_it_ignores() {
    let found = ignored_locally(&good(include_str!("corpus/good/dask-kubernetes.yaml")));
    let paths: Vec<&str> = found.iter().map(|diagnostic| diagnostic.path.as_str()).collect();
    for path in [
        "spec.scheduler",
        "spec.worker.spec.nodeSelector",
        "spec.worker.spec.containers[0].image",
        "spec.worker.spec.containers[0].env[1].valueFrom",
        "spec.worker.spec.containers[0].resources.requests",
        "spec.job",
    ] {
        assert!(paths.contains(&path), "{path} is not in\n{}", lines(&found));
    }
    assert!(!paths.contains(&"spec.worker.spec.containers[0].resources.limits"));
    let node = found.iter().find(|diagnostic| diagnostic.path.ends_with("nodeSelector")).unwrap();
    assert_eq!(node.line, Some(37));
}

#[test]
fn the_fields_of_our_own_are_read() {
    let layout = described(include_str!("corpus/good/native.yaml"));
    let cluster = &layout.clusters[0];
    let [default, large] = cluster.groups.as_slice() else { panic!("two groups") };
    let autoscale = default.policy.autoscale.as_ref().unwrap();
    assert_eq!((autoscale.min_replicas, autoscale.max_replicas, autoscale.priority), (1, 4, 3));
    assert_eq!((autoscale.mode, autoscale.start_deadline_seconds), (Mode::Auto, 20));
    assert_eq!(autoscale.behavior.scale_up.policies.len(), 1);
    assert_eq!(autoscale.behavior.scale_down.stabilization_window_seconds, 10);
    assert_eq!(default.policy.drain.on_timeout, OnTimeout::Wait);
    assert_eq!(default.policy.initial_size(), 1);
    assert_eq!(default.local.shape(), local_worker(&default.worker).shape());
    assert_eq!((large.name.as_str(), large.local.threads), ("native-large", 8));
    assert_eq!(large.policy.autoscale.as_ref().unwrap().mode, Mode::Advise);

    let [query, graph] = cluster.jobs.as_slice() else { panic!("two jobs") };
    assert_eq!((query.name.as_str(), graph.name.as_str()), ("query", "graph"));
    let Ok(Workload::Sql(sql)) = query.spec.workload.as_ref().unwrap().resolve() else {
        panic!("SQL")
    };
    let tables: Vec<&str> = sql.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(tables, ["flights", "planes"]);
}

#[test]
fn the_example_of_tasks_comes_in_an_order_that_can_run() {
    let layout = described(include_str!("../../../examples/tasks.yaml"));
    let job = &layout.clusters[0].jobs[0];
    let Ok(Workload::Tasks(tasks)) = job.spec.workload.as_ref().unwrap().resolve() else {
        panic!("tasks")
    };
    let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, ["prepare", "cubes", "total", "last", "flaky", "report"]);
    let shown: Vec<bool> = tasks.iter().map(|task| task.result).collect();
    assert_eq!(shown, [true, false, true, true, false, true]);
    let Action::Operation { name, args } = &tasks[3].action else { panic!("an operation") };
    assert_eq!(name, "identity");
    assert!(matches!(&args[0], Arg::From(source) if source.member == Member::At(999)));
    assert_eq!(tasks[4].retries, 3);
}

#[test]
fn examples_of_policies_are_read() {
    for (text, window) in [
        (include_str!("../../../examples/simulate/policy.yaml"), 20),
        (include_str!("../../../examples/simulate/kubernetes.yaml"), 300),
    ] {
        let policies = parse_policy(text, "policy.yaml").unwrap();
        let autoscale = policies[0].autoscale.as_ref().unwrap();
        assert_eq!(autoscale.behavior.scale_down.stabilization_window_seconds, window);
    }
    let policies = parse_policy(include_str!("corpus/good/native.yaml"), "native.yaml").unwrap();
    assert_eq!(policies.len(), 2);
    let found = parse_policy("minReplicas: 3\nmaxReplicas: 2\n", "p.yaml").unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "p.yaml:1: error: minReplicas: 3 is above maxReplicas 2: lower minReplicas or raise maxReplicas"
    );
}

#[test]
fn objects_survive_being_written_and_read() {
    for manifest in good(include_str!("corpus/good/native.yaml")) {
        let Object::Cluster(cluster) = manifest.object else { continue };
        let text = serde_yaml::to_string(&cluster).unwrap();
        let again = good(&text);
        assert_eq!(again[0].object, Object::Cluster(cluster));
    }
}

/// A cluster whose worker has these fields, from line 5 on.
fn worker(fields: &str) -> String {
    let head =
        "apiVersion: kubernetes.dask.org/v1\nkind: DaskCluster\nmetadata: {name: c}\nspec:\n";
    format!("{head}  worker:\n    {}\n", fields.replace('\n', "\n    "))
}

/// A job with these fields, from line 5 on.
fn job(fields: &str) -> String {
    let head = "apiVersion: kubernetes.dask.org/v1\nkind: DaskJob\nmetadata: {name: j}\nspec:\n";
    format!("{head}  {}\n", fields.replace('\n', "\n  "))
}

/// A job with these tasks, from line 7 on.
fn tasks(entries: &str) -> String {
    let entries = entries.replace('\n', "\n    ");
    job(&format!("workload:\n  tasks:\n    {entries}"))
}

fn refused(text: &str) -> String {
    match parse_documents(text, "bad.yaml") {
        Ok(manifests) => lines(&lint(&manifests)),
        Err(found) => {
            assert!(found.iter().all(|diagnostic| diagnostic.severity == Severity::Error));
            lines(&found)
        }
    }
}

#[test]
fn what_is_wrong_is_said_with_place_problem_and_remedy() {
    let cases: Vec<(String, &str)> = vec![
        (
            worker("replcias: 3"),
            "bad.yaml:6: error: spec.worker.replcias: unknown field 'replcias'; did you mean 'replicas'?",
        ),
        (
            worker("colour: red"),
            "bad.yaml:6: error: spec.worker.colour: unknown field 'colour'; known here: replicas, metadata",
        ),
        (
            worker("autoscale:\n  minReplicas: 5\n  maxReplicas: 2"),
            "bad.yaml:7: error: spec.worker.autoscale.minReplicas: 5 is above maxReplicas 2: lower minReplicas or raise maxReplicas",
        ),
        (
            worker("autoscale: {minReplicas: 1}"),
            "bad.yaml:6: error: spec.worker.autoscale: the field 'maxReplicas' is missing: add it",
        ),
        (
            worker("autoscale: {maxReplicas: 2, mode: auto}"),
            "bad.yaml:6: error: spec.worker.autoscale.mode: unknown value 'auto'; did you mean 'Auto'?",
        ),
        (
            worker("replicas: -1"),
            "bad.yaml:6: error: spec.worker.replicas: expected a whole number, 0 or more, not integer '-1'",
        ),
        (
            worker("replicas: many"),
            "bad.yaml:6: error: spec.worker.replicas: expected a whole number, 0 or more, not string \"many\"",
        ),
        (worker("threads: 0"), "bad.yaml:6: error: spec.worker.threads: must be at least 1"),
        (worker("memory: 2GB"), "bad.yaml:6: error: spec.worker.memory: '2GB' is not a quantity"),
        (
            worker("resources: {cpu: 2}"),
            "bad.yaml:6: error: spec.worker.resources.cpu: 'cpu' is not said here",
        ),
        (
            worker("image: x\nspec: {containers: [{name: w}]}"),
            "bad.yaml:6: error: spec.worker.image: 'image' is the short form",
        ),
        (worker("spec: {}"), "bad.yaml:6: error: spec.worker.spec: a pod spec needs 'containers'"),
        (
            worker("autoscale:\n  maxReplicas: 2\n  targetDurationSeconds: 0"),
            "bad.yaml:8: error: spec.worker.autoscale.targetDurationSeconds: must be more than 0",
        ),
        (
            worker(
                "autoscale:\n  maxReplicas: 2\n  behavior:\n    scaleUp:\n      policies:\n        - {type: Pods, value: 1, periodSeconds: 0}",
            ),
            "bad.yaml:11: error: spec.worker.autoscale.behavior.scaleUp.policies[0].periodSeconds: must be from 1 to 1800, not 0",
        ),
        (
            worker("replicas: 1").replace("{name: c}", "{name: Not_A_Name}"),
            "bad.yaml:3: error: metadata.name: 'Not_A_Name' is no name",
        ),
        (
            worker("replicas: 1").replace("{name: c}", "{}"),
            "bad.yaml:3: error: metadata: the field 'name' is missing",
        ),
        (
            worker("replicas: 1") + "  workerGroups: [{name: a}, {name: a}]\n",
            "bad.yaml:7: error: spec.workerGroups[1].name: two groups are named 'a'",
        ),
        (
            worker("replicas: 1").replace("DaskCluster", "DaskCluser"),
            "bad.yaml:2: error: kind: unknown kind 'DaskCluser'; did you mean 'DaskCluster'?",
        ),
        (
            worker("replicas: 1").replace("/v1", "/v2"),
            "bad.yaml:1: error: apiVersion: version 'kubernetes.dask.org/v2' is not known",
        ),
        ("a: [1, 2".to_owned(), "bad.yaml:"),
        ("# nothing\n".to_owned(), "bad.yaml: error: the file has no document"),
        (job("clusterName: c"), "bad.yaml:4: error: spec: a job needs 'workload'"),
        (
            job("clusterName: c\njob: {}\nworkload: {tasks: [{name: a, op: noop}]}"),
            "bad.yaml:7: error: spec.workload: a job has either 'job'",
        ),
        (
            job("cluster: {spec: {}}\nclusterName: c\nworkload: {tasks: [{name: a, op: noop}]}"),
            "bad.yaml:6: error: spec.clusterName: a job has one cluster",
        ),
        (job("job: {}"), "bad.yaml:4: error: spec: a job needs 'cluster' (its own)"),
        (job("workload: {}"), "bad.yaml:5: error: spec.workload: a workload needs 'sql'"),
        (
            job("workload:\n  sql: SELECT 1\n  tasks: []"),
            "bad.yaml:7: error: spec.workload.tasks: a workload has either 'sql' or 'tasks'",
        ),
        (
            job("workload:\n  tables:\n    t: {path: data}\n  sql: SELECT 1"),
            "bad.yaml:7: error: spec.workload.tables.t.format: the format of 'data' is not clear",
        ),
        (
            job("workload:\n  tables:\n    t: {path: data, format: cvs}\n  sql: SELECT 1"),
            "unknown value 'cvs'; did you mean 'csv'?",
        ),
        (
            tasks("- {name: a}"),
            "bad.yaml:7: error: spec.workload.tasks[0].name: a task needs either 'command' or 'op'",
        ),
        (
            tasks("- {name: a, op: b, command: [c]}"),
            "a task needs either 'command' or 'op', and not both",
        ),
        (
            tasks("- {name: a, op: noop}\n- {name: a, op: noop}"),
            "bad.yaml:8: error: spec.workload.tasks[1].name: two tasks are named 'a'",
        ),
        (
            tasks("- {name: first, op: noop}\n- {name: b, op: noop, after: [frist]}"),
            "bad.yaml:8: error: spec.workload.tasks[1].after[0]: there is no task 'frist'; did you mean 'first'?",
        ),
        (
            tasks(
                "- {name: a, op: noop, after: [c]}\n- {name: b, op: noop, after: [a]}\n- {name: c, op: noop, args: [{from: b}]}",
            ),
            "the tasks wait for each other: a -> c -> b -> a; remove one of these dependencies",
        ),
        (
            tasks("- {name: a, op: noop, array: \"5..2\"}"),
            "'5..2' is no index range: write START..END",
        ),
        (
            tasks("- {name: a, op: noop, args: [{index: true}]}"),
            "{index: true} needs a task array: add 'array'",
        ),
        (
            tasks("- {name: a, op: noop}\n- {name: b, op: noop, args: [{from: a, index: same}]}"),
            "'a' is no task array: leave 'index' away",
        ),
        (
            tasks(
                "- {name: a, op: noop, array: 3}\n- {name: b, op: noop, array: 4, args: [{from: a, index: same}]}",
            ),
            "'a' has 3 members and this array 4",
        ),
        (
            tasks(
                "- {name: a, op: noop, array: 3}\n- {name: b, op: noop, args: [{from: a, index: 3}]}",
            ),
            "'a' has the indexes 0..3: 3 is neither one of them nor 'same'",
        ),
        (
            tasks("- {name: a, op: noop, retries: -1}"),
            "expected a whole number, 0 or more, not integer '-1'",
        ),
        (tasks("- {name: a, op: noop, timeoutSeconds: 0}"), "must be more than 0 seconds, not 0"),
        (tasks("- {name: a, command: []}"), "the command is empty"),
        (
            tasks("- {name: a, command: [x], files: {../b: c}}"),
            "'../b' must be a path inside the task's own folder",
        ),
        (
            tasks("- {name: a, op: noop, resources: {memory: lots}}"),
            "tasks[0].resources.memory: 'lots' is not a quantity",
        ),
        (tasks("- {name: a, op: noop, stdin: x}"), "'stdin' belongs to 'command'"),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .map(|(text, expected)| (refused(text), expected))
        .filter(|(told, expected)| !told.contains(*expected))
        .map(|(told, expected)| format!("expected: {expected}\n     got: {told}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn documents_that_contradict_each_other_are_found() {
    let cluster = worker("replicas: 1");
    let group = |name: &str, cluster: &str| {
        format!(
            "---\napiVersion: kubernetes.dask.org/v1\nkind: DaskWorkerGroup\nmetadata: {{name: {name}}}\nspec: {{cluster: {cluster}, worker: {{}}}}\n"
        )
    };
    let scaler = |name: &str, fields: &str| {
        format!(
            "---\napiVersion: kubernetes.dask.org/v1\nkind: DaskAutoscaler\nmetadata: {{name: {name}}}\nspec: {{{fields}}}\n"
        )
    };
    for (text, expected) in [
        (
            format!("{cluster}---\n{cluster}"),
            "bad.yaml:10: error: metadata.name: there is already a DaskCluster 'c'",
        ),
        (
            cluster.clone() + &group("g", "cc"),
            "bad.yaml:11: error: spec.cluster: there is no DaskCluster 'cc' here; did you mean 'c'?",
        ),
        (
            group("g", "cc"),
            "warning: spec.cluster: there is no DaskCluster 'cc' here; it has to exist already",
        ),
        (cluster.clone() + &group("c-default", "c"), "the worker group 'c-default' exists twice"),
        (
            cluster.clone() + &scaler("s", "cluster: c, maximum: 2, workerGroup: x"),
            "the cluster 'c' has no worker group 'x'; known: c-default",
        ),
        (
            cluster.clone()
                + &scaler("s", "cluster: c, maximum: 2")
                + &scaler("t", "cluster: c, maximum: 3"),
            "the worker group 'c-default' is already scaled by DaskAutoscaler 's'",
        ),
        (
            worker("autoscale: {maxReplicas: 3}") + &scaler("s", "cluster: c, maximum: 2"),
            "warning: spec: overrides 'autoscale' of the worker group 'c-default'",
        ),
        (
            worker("replicas: 9\nautoscale: {maxReplicas: 3}"),
            "bad.yaml:6: warning: spec.worker.replicas: the initial size 9 is outside",
        ),
        (tasks("- {name: a, op: noop}"), "warning: spec: the job names no cluster"),
    ] {
        let told = refused(&text);
        assert!(told.contains(expected), "expected: {expected}\n     got: {told}\n{text}");
    }
}
