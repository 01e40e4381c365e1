//! A page for people, and the JSON it shows.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{Html, Redirect},
};
use serde_json::{Value, json};

use super::tasks;
use crate::{
    server::{limits, shell::Shell},
    state::TaskState,
};

/// `GET /status`.
pub(super) async fn page() -> Html<&'static str> {
    Html(include_str!("status.html"))
}

/// `GET /`.
pub(super) async fn root() -> Redirect {
    Redirect::temporary("/status")
}

/// `GET /json/status.json`: what the page shows.
pub(super) async fn status(State(shell): State<Arc<Shell>>) -> Json<Value> {
    let now = shell.now();
    let core = shell.lock();
    let counters = core.state.counters();
    let tasks: serde_json::Map<String, Value> = TaskState::ALL
        .iter()
        .map(|state| (state.name().to_owned(), json!(counters.in_state(*state))))
        .collect();
    let mut jobs = core.state.jobs();
    // The latest are the ones people look for.
    let first = jobs.len().saturating_sub(limits::HTTP_PAGE);
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "epoch": core.state.epoch().0,
        "address": core.addresses.0,
        "uptimeSeconds": now.0 / 1_000_000,
        "clients": core.sessions.connected(),
        "finished": counters.finished,
        "failedRuns": counters.errors,
        "deaths": counters.deaths,
        "recomputed": counters.recomputed,
        "bytesStored": counters.bytes_stored,
        "tasks": tasks,
        "jobs": jobs.split_off(first).iter().rev().map(tasks::job).collect::<Vec<_>>(),
        "members": core.state.members(now),
    }))
}
