//! Every route, once: the router, the site map and a test of the documentation read this list.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    middleware::{from_fn, from_fn_with_state},
    routing::{MethodRouter, get, post},
};
use serde_json::{Value, json};

use super::{
    answer::{Refusal, check_length},
    auth, cluster, dashboard, dask, origin, prometheus,
    retire::retire_workers,
    tasks,
};
use crate::server::{limits, shell::Shell};

type Route = (&'static str, &'static str, MethodRouter<Arc<Shell>>);

/// What only reads.
fn reading() -> Vec<Route> {
    vec![
        ("GET", "/", get(dashboard::root)),
        ("GET", "/status", get(dashboard::page)),
        ("GET", "/health", get(health)),
        ("GET", "/ready", get(ready)),
        ("GET", "/metrics", get(prometheus::metrics)),
        ("GET", "/api/v1", get(|| async { "API V1" })),
        ("GET", "/api/v1/get_workers", get(dask::get_workers)),
        ("GET", "/api/v1/adaptive_target", get(dask::adaptive_target)),
        ("GET", "/api/v1/check_idle", get(dask::check_idle)),
        ("POST", "/api/v1/demand", post(cluster::demand)),
        ("GET", "/api/v1/members", get(cluster::members)),
        ("GET", "/api/v1/jobs", get(tasks::jobs)),
        ("GET", "/api/v1/tasks", get(tasks::tasks)),
        ("GET", "/api/v1/explain/{*task}", get(tasks::explain)),
        ("GET", "/json/counts.json", get(dask::counts)),
        ("GET", "/json/identity.json", get(dask::identity)),
        ("GET", "/json/status.json", get(dashboard::status)),
        ("GET", "/sitemap.json", get(sitemap)),
        ("GET", "/individual-plots.json", get(individual_plots)),
    ]
}

/// What changes something, and so needs the token and must not come from another site's page.
fn changing() -> Vec<Route> {
    vec![
        ("POST", "/api/v1/drain", post(cluster::drain)),
        ("POST", "/api/v1/undrain", post(cluster::undrain)),
        ("POST", "/api/v1/lost", post(cluster::lost)),
        ("POST", "/api/v1/retire_workers", post(retire_workers)),
    ]
}

/// Methods and paths of all routes.
fn paths() -> impl Iterator<Item = (&'static str, &'static str)> {
    reading().into_iter().chain(changing()).map(|(method, path, _)| (method, path))
}

fn collect(routes: Vec<Route>) -> Router<Arc<Shell>> {
    routes.into_iter().fold(Router::new(), |router, (_, path, route)| router.route(path, route))
}

/// The HTTP interface.
pub(in crate::server) fn router(shell: Arc<Shell>) -> Router {
    collect(changing())
        .route_layer(from_fn_with_state(shell.clone(), auth::check))
        .route_layer(from_fn_with_state(shell.clone(), origin::check))
        .merge(collect(reading()))
        .fallback(|| async { Refusal::not_found("there is no such page: see /sitemap.json") })
        .layer(DefaultBodyLimit::max(limits::HTTP_BODY))
        .layer(from_fn(check_length))
        .with_state(shell)
}

/// The process answers.
async fn health() -> &'static str {
    "ok"
}

/// The scheduler takes work.
async fn ready(State(shell): State<Arc<Shell>>) -> Result<&'static str, Refusal> {
    if shell.broken() {
        return Err(Refusal::unavailable("the scheduler met a bug of its own and stops"));
    }
    if shell.stop.is_cancelled() {
        return Err(Refusal::unavailable("the scheduler is stopping"));
    }
    Ok("ok")
}

async fn sitemap() -> Json<Value> {
    Json(json!({ "paths": paths().map(|(_, path)| path).collect::<Vec<_>>() }))
}

/// Dask's notebook extension asks for pages of single plots.
async fn individual_plots() -> Json<Value> {
    Json(json!({ "Status": "/status" }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Headings of the form ``### `GET /health` ``.
    fn documented() -> BTreeSet<String> {
        include_str!("../../../../docs/http-api.md")
            .lines()
            .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn every_route_is_documented_and_nothing_else() {
        let routes: BTreeSet<String> = paths()
            .map(|(method, path)| format!("{method} {}", path.replace("{*task}", "{task}")))
            .collect();
        assert_eq!(documented(), routes);
    }
}
