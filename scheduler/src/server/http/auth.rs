//! Who may change something.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::header::AUTHORIZATION,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::answer::Refusal;
use crate::server::shell::Shell;

/// Lets a request pass that carries the token, or any if the scheduler has none.
pub(super) async fn check(
    State(shell): State<Arc<Shell>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(token) = &shell.options.token else { return next.run(request).await };
    let given = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    match given {
        Some(given) if same(given, token.as_bytes()) => next.run(request).await,
        Some(_) => Refusal::unauthorized("the bearer token is wrong").into_response(),
        None => Refusal::unauthorized(
            "this changes the cluster and needs the scheduler's token: send it as 'Authorization: Bearer TOKEN'",
        )
        .into_response(),
    }
}

/// Takes the same time wherever the first difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}
