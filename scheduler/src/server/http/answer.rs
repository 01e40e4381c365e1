//! How requests are read and answered: JSON both ways, errors as sentences.

use axum::{
    Json,
    body::Bytes,
    extract::Request,
    http::{StatusCode, header::CONTENT_LENGTH},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::server::limits;

/// An error: a status, and `{"error": sentence}`.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    sentence: String,
}

impl Refusal {
    /// The request is wrong.
    pub fn bad_request(sentence: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, sentence: sentence.into() }
    }

    /// There is no such thing.
    pub fn not_found(sentence: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, sentence: sentence.into() }
    }

    /// The request lacks the right token.
    pub fn unauthorized(sentence: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, sentence: sentence.into() }
    }

    /// The request must not be made from there.
    pub fn forbidden(sentence: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, sentence: sentence.into() }
    }

    /// Not now.
    pub fn unavailable(sentence: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, sentence: sentence.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.sentence }))).into_response()
    }
}

/// Refuses a body that is announced to be too large before any of it is read.
pub(super) async fn check_length(request: Request, next: Next) -> Response {
    let length = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limits::HTTP_BODY) {
        let most = limits::HTTP_BODY;
        let sentence = format!("the body is larger than the limit of {most} bytes: ask in parts");
        return Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, sentence }.into_response();
    }
    next.run(request).await
}

/// Reads a JSON body whatever its content type. An empty body stands for `{}`.
pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    let text: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(text)
        .map_err(|error| Refusal::bad_request(format!("the request's body is wrong: {error}")))
}
