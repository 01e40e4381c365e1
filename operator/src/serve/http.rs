//! `/healthz`, `/readyz` and `/metrics`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use axum::{Router, extract::State, http::StatusCode, routing::get};

use super::Metrics;

/// The control loop counts as stuck when it has not turned for so long.
const STUCK_SECONDS: u64 = 60;

/// How the operator is.
#[derive(Debug)]
pub struct Health {
    begun: Instant,
    turned: AtomicU64,
    watches_left: AtomicUsize,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

impl Health {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            begun: Instant::now(),
            turned: AtomicU64::new(0),
            watches_left: AtomicUsize::new(usize::MAX),
            metrics,
        }
    }

    /// The control loop turns.
    pub fn turn(&self) {
        self.turned.store(self.begun.elapsed().as_secs(), Ordering::Relaxed);
    }

    /// So many watches have not delivered everything yet.
    pub fn watches_left(&self, count: usize) {
        self.watches_left.store(count, Ordering::Relaxed);
    }

    fn is_alive(&self) -> bool {
        let silent = self.begun.elapsed().as_secs() - self.turned.load(Ordering::Relaxed);
        silent < STUCK_SECONDS
    }
}

/// Serves until the process ends.
///
/// # Errors
/// Those of the listener.
pub async fn serve(listener: tokio::net::TcpListener, health: Arc<Health>) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health);
    axum::serve(listener, router).await
}

async fn healthz(State(health): State<Arc<Health>>) -> (StatusCode, &'static str) {
    if health.is_alive() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the control loop is stuck")
    }
}

async fn readyz(State(health): State<Arc<Health>>) -> (StatusCode, &'static str) {
    if health.watches_left.load(Ordering::Relaxed) == 0 {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not all watches have delivered what there is")
    }
}

async fn metrics(State(health): State<Arc<Health>>) -> String {
    health.metrics.text()
}
