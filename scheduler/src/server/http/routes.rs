//! Every route.

use std::sync::Arc;

use axum::{Router, routing::get};

use super::super::shell::Shell;

/// The HTTP interface.
pub(in super::super) fn router(shell: Arc<Shell>) -> Router {
    Router::new().route("/health", get(|| async { "ok" })).with_state(shell)
}
