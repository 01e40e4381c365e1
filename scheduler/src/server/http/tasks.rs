//! What people ask of tasks and jobs.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
};
use dasklet_core::TaskId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Refusal;
use crate::{
    server::{limits, shell::Shell},
    state::{Explanation, JobSummary, TaskFilter, TaskState, TaskSummary},
};

/// Which tasks to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    state: Option<String>,
    after: Option<u64>,
    limit: Option<usize>,
}

/// A part of the list of tasks.
#[derive(Debug, Serialize)]
pub(super) struct Tasks {
    tasks: Vec<TaskSummary>,
    /// Give it as `after` for what follows; null at the end.
    next: Option<u64>,
}

/// `GET /api/v1/tasks`.
pub(super) async fn tasks(
    State(shell): State<Arc<Shell>>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Tasks>, Refusal> {
    let Query(page) = page.map_err(|error| Refusal::bad_request(error.body_text()))?;
    let state = page.state.as_deref().map(task_state).transpose()?;
    let limit = page.limit.unwrap_or(100);
    if limit == 0 || limit > limits::HTTP_PAGE {
        return Err(Refusal::bad_request(format!(
            "limit is {limit}: ask for 1 to {} tasks at once",
            limits::HTTP_PAGE
        )));
    }
    let filter = TaskFilter { job: None, state };
    let after = page.after.map(TaskId::from_bits);
    let (tasks, next) = shell.lock().state.tasks_page(filter, after, limit);
    Ok(Json(Tasks { tasks, next: next.map(|task| task.to_bits()) }))
}

fn task_state(name: &str) -> Result<TaskState, Refusal> {
    TaskState::ALL.into_iter().find(|state| state.name() == name).ok_or_else(|| {
        let names: Vec<&str> = TaskState::ALL.iter().map(|state| state.name()).collect();
        Refusal::bad_request(format!(
            "no task state is called '{name}': use one of {}",
            names.join(", ")
        ))
    })
}

/// `GET /api/v1/explain/{task}`.
pub(super) async fn explain(
    State(shell): State<Arc<Shell>>,
    Path(task): Path<String>,
) -> Result<Json<Explanation>, Refusal> {
    let explanation = shell.lock().state.explain(&task);
    explanation.map(Json).ok_or_else(|| {
        Refusal::not_found(format!(
            "no task '{task}' is known: it may be released already, see GET /api/v1/tasks"
        ))
    })
}

/// `GET /api/v1/jobs`.
pub(super) async fn jobs(State(shell): State<Arc<Shell>>) -> Json<Value> {
    let jobs = shell.lock().state.jobs();
    Json(json!({ "jobs": jobs.iter().map(job).collect::<Vec<_>>() }))
}

/// A job as JSON.
pub(super) fn job(job: &JobSummary) -> Value {
    json!({
        "id": job.job.0,
        "name": job.name,
        "session": job.session.0,
        "weight": job.weight,
        "progress": {
            "total": job.progress.total,
            "waiting": job.progress.waiting,
            "ready": job.progress.ready,
            "running": job.progress.running,
            "done": job.progress.done,
            "failed": job.progress.failed,
            "cancelled": job.progress.cancelled,
            "recomputed": job.progress.recomputed,
        },
    })
}
