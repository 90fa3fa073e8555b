//! Errors of the stores: a full disk and a store that can't be written are the operator's to mend.

use axum::http::StatusCode;

use super::ApiError;
use crate::store::{ControlError, ResultError};

impl ApiError {
    pub(super) fn from_unwritable(error: &ControlError) -> Option<Self> {
        if error.is_full() {
            return Some(Self::no_room());
        }
        let detail = "the server's control store can't be written at the moment, so nothing is certain to be \
                      stored; `/readyz` says when it can";
        error.is_unwritable().then(|| {
            Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "store-unwritable",
                "Store can't be written",
                detail,
            )
            .with_header("retry-after", "5")
        })
    }

    pub(crate) fn no_room() -> Self {
        let detail = "the disk of the server's control store is full, so nothing was stored; free some \
                      space, then repeat";
        Self::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "no-room",
            "No room",
            detail,
        )
    }
}

impl From<ControlError> for ApiError {
    fn from(source: ControlError) -> Self {
        match source {
            ControlError::Full { .. } => Self::new(
                StatusCode::CONFLICT,
                "limit-reached",
                "Limit reached",
                source.to_string(),
            ),
            source => Self::internal(source.into()),
        }
    }
}

impl From<ResultError> for ApiError {
    fn from(source: ResultError) -> Self {
        Self::internal(source.into())
    }
}
