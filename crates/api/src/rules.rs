//! The rules between fields, as the API server evaluates them (CEL). `validate` states the same
//! ones for files; a corpus of manifests is put to both, and the verdicts have to be equal.

use serde_json::{Value, json};

/// One rule; `field` is what a message points at, empty for the whole part.
fn rule(rule: &str, field: &str, message: &str) -> Value {
    let mut entry = json!({"rule": rule, "message": message});
    if !field.is_empty() {
        entry["fieldPath"] = json!(field);
    }
    entry
}

/// A worker spec.
pub(crate) fn worker() -> Value {
    json!([rule(
        "!has(self.spec) || !(has(self.image) || has(self.threads) || has(self.memory) || has(self.env))",
        "",
        "image, threads, memory and env are the short form and do nothing beside spec: \
         say them in spec.containers[0], or remove spec",
    )])
}

/// A worker spec of `workerGroups`.
pub(crate) fn named_worker() -> Value {
    let mut rules = worker();
    if let Some(rules) = rules.as_array_mut() {
        rules.push(rule(
            "self.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
            ".name",
            "use lower-case letters, digits and '-', with a letter or digit first and last",
        ));
        rules.push(rule(
            "self.name != 'default'",
            ".name",
            "'default' is the group of spec.worker: choose another name",
        ));
    }
    rules
}

/// What a worker offers to tasks.
pub(crate) fn offered() -> Value {
    json!([rule(
        "!('cpu' in self) && !('memory' in self)",
        "",
        "cpu and memory are not said here: write threads and memory, \
         or limits in spec.containers[0].resources",
    )])
}

/// A time that takes some time.
pub(crate) fn positive_seconds() -> Value {
    json!([rule("self > 0.0", "", "must be more than 0 seconds")])
}

/// An `autoscale`.
pub(crate) fn autoscale() -> Value {
    json!([rule(
        "!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
        ".minReplicas",
        "minReplicas is above maxReplicas: lower minReplicas or raise maxReplicas",
    )])
}

/// The spec of a `DaskAutoscaler`.
pub(crate) fn autoscaler() -> Value {
    json!([rule(
        "!has(self.minimum) || self.minimum <= self.maximum",
        ".minimum",
        "minimum is above maximum: lower minimum or raise maximum",
    )])
}

/// The spec of a `DaskWorkerGroup`.
pub(crate) fn group() -> Value {
    json!([rule(
        "self.cluster == oldSelf.cluster",
        ".cluster",
        "a worker group stays with its cluster: delete it and make a new one",
    )])
}

/// The spec of a `DaskJob`.
pub(crate) fn job() -> Value {
    let fixed = |field: &str| {
        rule(
            &format!(
                "has(self.{field}) == has(oldSelf.{field}) && \
                 (!has(self.{field}) || self.{field} == oldSelf.{field})"
            ),
            &format!(".{field}"),
            &format!("{field} of a job cannot change: delete the job and make a new one"),
        )
    };
    let mut rules = vec![
        rule(
            "has(self.job) || has(self.workload)",
            "",
            "a job needs workload (SQL or tasks), or job (a runner pod)",
        ),
        rule(
            "!(has(self.job) && has(self.workload))",
            ".workload",
            "a job has either job (a runner pod) or workload, not both: remove one",
        ),
        rule(
            "has(self.workload) || has(self.cluster) || has(self.clusterName) || has(self.clusterSelector)",
            "",
            "a job needs cluster (its own), or clusterName or clusterSelector (an existing one)",
        ),
        rule(
            "!(has(self.cluster) && has(self.clusterName))",
            ".clusterName",
            "a job has one cluster: keep one of cluster, clusterName",
        ),
        rule(
            "!(has(self.clusterSelector) && (has(self.cluster) || has(self.clusterName)))",
            ".clusterSelector",
            "a job has one cluster: keep one of cluster, clusterName, clusterSelector",
        ),
    ];
    for (field, other) in [("job", "workload"), ("cluster", "cluster")] {
        rules.push(rule(
            &format!("has(self.{field}) == has(oldSelf.{field})"),
            "",
            &format!("{other} cannot be added to a job or taken from it: make a new job"),
        ));
    }
    rules.extend([fixed("clusterName"), fixed("clusterSelector")]);
    Value::Array(rules)
}

/// A workload.
pub(crate) fn workload() -> Value {
    json!([
        rule(
            "has(self.sql) || has(self.tasks)",
            "",
            "a workload needs sql (one query) or tasks (a list)",
        ),
        rule(
            "!(has(self.sql) && has(self.tasks))",
            ".tasks",
            "a workload has either sql or tasks, not both: remove one",
        ),
        rule(
            "!has(self.sql) || self.sql.trim().size() > 0",
            ".sql",
            "the query is empty: write SQL, such as SELECT 1",
        ),
        rule(
            "!has(self.tasks) || !(has(self.tables) || has(self.output))",
            "",
            "tables and output belong to sql; a workload of tasks has none",
        ),
    ])
}

/// A table, or an output.
pub(crate) fn located() -> Value {
    json!([rule(
        r"has(self.format) || self.path.lowerAscii().matches('\\.(csv|tsv|parquet|json|jsonl|ndjson)(\\.(gz|bz2|xz|zst))?$')",
        ".format",
        "the format is not clear from the path's name: give csv, parquet or json",
    )])
}

/// A task of a workload.
pub(crate) fn task() -> Value {
    json!([
        rule(
            "has(self.command) != has(self.op)",
            "",
            "a task needs either command or op, and not both",
        ),
        rule(
            "!has(self.op) || !(has(self.env) || has(self.files) || has(self.inputs))",
            "",
            "env, stdin, files and inputs belong to command; an operation takes args",
        ),
    ])
}

/// Of a task's fields that may hold anything, which rules cannot see: `stdin` belongs to a command
/// and `args` to an operation.
pub(crate) fn task_fields() -> Value {
    json!([{"not": {"required": ["op", "stdin"]}}, {"not": {"required": ["command", "args"]}}])
}

/// Rules that only a new object has to keep: an old one's name cannot change any more, and it has
/// to stay possible to write it.
pub(crate) fn name(longest: usize, dots: bool) -> Vec<Value> {
    let form = if dots { "[-a-z0-9.]" } else { "[-a-z0-9]" };
    let mut rules = vec![
        rule(
            &format!(
                "oldSelf.hasValue() || self.metadata.name.matches('^[a-z0-9]({form}*[a-z0-9])?$')"
            ),
            "",
            "metadata.name: use lower-case letters, digits and '-', with a letter or digit first and last",
        ),
        rule(
            &format!("oldSelf.hasValue() || self.metadata.name.size() <= {longest}"),
            "",
            &format!("metadata.name: the name is too long: use at most {longest} characters"),
        ),
    ];
    for rule in &mut rules {
        rule["optionalOldSelf"] = json!(true);
    }
    rules
}

/// The full name of each further group of a cluster.
pub(crate) fn group_names() -> Value {
    rule(
        "!has(self.spec.workerGroups) || self.spec.workerGroups.all(g, \
         self.metadata.name.size() + 1 + g.name.size() <= 63)",
        ".spec.workerGroups",
        LONG_GROUP_NAME,
    )
}

/// The full name of each further group of a job's own cluster.
pub(crate) fn job_group_names() -> Value {
    rule(
        "!has(self.spec.cluster) || !has(self.spec.cluster.spec.workerGroups) || \
         self.spec.cluster.spec.workerGroups.all(g, \
         self.metadata.name.size() + 1 + g.name.size() <= 63)",
        ".spec.cluster.spec.workerGroups",
        LONG_GROUP_NAME,
    )
}

const LONG_GROUP_NAME: &str = "the cluster's name, '-' and a group's name together have more than 63 characters: \
     shorten one";
