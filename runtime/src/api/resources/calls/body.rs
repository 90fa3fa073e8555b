//! Large bodies of calls: few at a time, and inflated within bounds.

use std::io::Read;

use axum::body::Bytes;
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use flate2::read::GzDecoder;
use tokio::sync::SemaphorePermit;

use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;

/// Bytes of a body once it is inflated.
const MAX_INFLATED_BYTES: usize = 32 * 1024 * 1024;

/// Returns a place among the reports that are looked at.
pub(super) fn permit(state: &ApiState) -> ApiResult<SemaphorePermit<'_>> {
    state
        .call_reports
        .try_acquire()
        .map_err(|_| ApiError::busy("too many reports of calls at once; come again"))
}

/// Returns the body without its encoding.
pub(super) fn inflated(headers: &HeaderMap, body: Bytes) -> ApiResult<Bytes> {
    let encoding = headers.get(CONTENT_ENCODING).map(|value| value.as_bytes());
    match encoding {
        None | Some(b"" | b"identity") => Ok(body),
        Some(b"gzip" | b"x-gzip") => {
            let mut inflated = Vec::new();
            let most = MAX_INFLATED_BYTES as u64;
            let read = GzDecoder::new(body.as_ref())
                .take(most + 1)
                .read_to_end(&mut inflated);
            if read.is_err() {
                return Err(unreadable());
            }
            if inflated.len() > MAX_INFLATED_BYTES {
                return Err(ApiError::body_too_large(MAX_INFLATED_BYTES));
            }
            Ok(inflated.into())
        }
        Some(_) => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "Unsupported media type",
            "a body may be encoded with `gzip`, or not at all",
        )),
    }
}

fn unreadable() -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "bad-request",
        "Bad request",
        "the body is said to be gzip, and is not",
    )
}
