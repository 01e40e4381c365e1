//! How requests are read and answered: JSON both ways, errors as sentences.

use axum::{
    Json,
    body::Bytes,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use serde_json::json;

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

/// Reads a JSON body whatever its content type. An empty body stands for `{}`.
pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    let text: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(text)
        .map_err(|error| Refusal::bad_request(format!("the request's body is wrong: {error}")))
}
