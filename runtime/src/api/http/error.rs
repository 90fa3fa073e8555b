//! The one error of the API: RFC 9457 `application/problem+json`. Faults of the server are logged
//! with all their causes, and show nothing internal.
//!
//! A handler returns `ApiResult`. For what the caller did wrong use a named constructor: those of a
//! resource stand in its own file, those of access in `auth/denial`. For a fault of the server use
//! `?` on an `anyhow::Error` or on an error of a store.

mod store;

use std::borrow::Cow;

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response as DocumentedResponse, SchemaObject};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::api_types::problem::Problem;
use crate::domain::Fault;
use crate::store::ControlError;

pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    name: &'static str,
    title: &'static str,
    detail: Box<str>,
    faults: Vec<Fault>,
    /// Place of a fault in a query, and what may have been meant there.
    query_fault: Option<Box<QueryFault>>,
    /// Header of the answer beside the content type.
    header: Option<Box<(&'static str, Cow<'static, str>)>>,
    source: Option<anyhow::Error>,
}

/// Place of a fault in a query.
#[derive(Debug, Default)]
pub(crate) struct QueryFault {
    pub(crate) line: Option<usize>,
    pub(crate) column: Option<usize>,
    pub(crate) caret: Option<String>,
    pub(crate) candidates: Vec<String>,
}

pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        name: &'static str,
        title: &'static str,
        detail: impl Into<Box<str>>,
    ) -> Self {
        Self {
            status,
            name,
            title,
            detail: detail.into(),
            faults: Vec::new(),
            query_fault: None,
            header: None,
            source: None,
        }
    }

    pub(crate) fn not_found(
        name: &'static str,
        title: &'static str,
        detail: impl Into<Box<str>>,
    ) -> Self {
        Self::new(StatusCode::NOT_FOUND, name, title, detail)
    }

    pub(crate) fn conflict(
        name: &'static str,
        title: &'static str,
        detail: impl Into<Box<str>>,
    ) -> Self {
        Self::new(StatusCode::CONFLICT, name, title, detail)
    }

    /// Sets another status.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Adds a cause of our own, which is logged and not shown.
    pub(crate) fn with_source(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn with_header(
        mut self,
        name: &'static str,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.header = Some(Box::new((name, value.into())));
        self
    }

    pub(crate) fn with_query_fault(mut self, fault: QueryFault) -> Self {
        self.query_fault = Some(Box::new(fault));
        self
    }

    /// Returns where a query is wrong, if that is what is wrong.
    pub(crate) fn query_fault(&self) -> Option<&QueryFault> {
        self.query_fault.as_deref()
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn title(&self) -> &'static str {
        self.title
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Reports whether the same request may succeed later.
    pub(crate) fn is_retryable(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS
    }

    /// Reports whether the fault is the server's, not the caller's.
    pub(crate) fn is_internal(&self) -> bool {
        self.source.is_some()
    }

    pub(crate) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Returns the detail with all faults, for pages and progress lines.
    pub(crate) fn detail(&self) -> String {
        with_faults(&self.detail, &self.faults)
    }

    pub(crate) fn bad_parameter(name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let mut error = Self::new(
            StatusCode::BAD_REQUEST,
            "bad-parameter",
            "Bad parameter",
            detail.clone(),
        );
        error.faults.push(Fault::new(name, detail));
        error
    }

    /// Returns the error for a request of which some fields are wrong.
    pub(crate) fn invalid(name: &'static str, title: &'static str, faults: Vec<Fault>) -> Self {
        let detail = match faults.as_slice() {
            [fault] => format!("`{}`: {}", fault.pointer, fault.message),
            faults => format!("{} faults were found; `faults` lists them", faults.len()),
        };
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, name, title, detail);
        error.faults = faults;
        error
    }

    pub(crate) fn busy(detail: impl Into<Box<str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", detail)
            .with_header("retry-after", "1")
    }

    pub(crate) fn uri_too_long() -> Self {
        let detail = "the path and query are longer than 16 KiB";
        Self::new(
            StatusCode::URI_TOO_LONG,
            "uri-too-long",
            "URI too long",
            detail,
        )
    }

    pub(crate) fn internal(source: anyhow::Error) -> Self {
        // The operator's to mend, and nothing of it was done.
        let store = source
            .chain()
            .find_map(|cause| cause.downcast_ref::<ControlError>());
        if let Some(mut error) = store.and_then(Self::from_unwritable) {
            error.source = Some(source);
            return error;
        }
        let mut error = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error",
            "something went wrong inside; the log of `extrack` says what",
        );
        error.source = Some(source);
        error
    }
}

/// Adds faults to a detail, each on a line of its own, unless the detail is the only one already.
pub(crate) fn with_faults(detail: &str, faults: &[Fault]) -> String {
    match faults {
        [fault] if detail.contains(&fault.message) && detail.contains(&fault.pointer) => {
            detail.to_owned()
        }
        [fault] if detail.contains(&fault.message) => format!("`{}`: {detail}", fault.pointer),
        faults => {
            let lines = faults
                .iter()
                .map(|fault| format!("\n  {}: {}", fault.pointer, fault.message));
            format!("{detail}{}", lines.collect::<String>())
        }
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(source: anyhow::Error) -> Self {
        Self::internal(source)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Some(source) = &self.source {
            tracing::error!(error = format!("{source:#}"), "a request failed");
        }
        let fault = self.query_fault.map(|fault| *fault).unwrap_or_default();
        let problem = Problem {
            r#type: format!("urn:problem-type:extrack:{}", self.name),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.into(),
            faults: self.faults,
            line: fault.line,
            column: fault.column,
            caret: fault.caret,
            candidates: fault.candidates,
        };
        let mut response = (self.status, axum::Json(problem)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        if let Some((name, value)) = self.header.map(|header| *header)
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl OperationOutput for ApiError {
    type Inner = Problem;

    fn operation_response(
        context: &mut GenContext,
        _operation: &mut Operation,
    ) -> Option<DocumentedResponse> {
        let schema = SchemaObject {
            json_schema: context.schema.subschema_for::<Problem>(),
            example: None,
            external_docs: None,
        };
        let media = MediaType {
            schema: Some(schema),
            ..MediaType::default()
        };
        Some(DocumentedResponse {
            description: "What went wrong (RFC 9457)".to_owned(),
            content: [("application/problem+json".to_owned(), media)]
                .into_iter()
                .collect(),
            ..DocumentedResponse::default()
        })
    }

    fn inferred_responses(
        _context: &mut GenContext,
        _operation: &mut Operation,
    ) -> Vec<(Option<u16>, DocumentedResponse)> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_named_once() {
        let fault = |pointer: &str| Fault::new(pointer, "must be 1 to 64 letters");
        for (error, wanted) in [
            (
                ApiError::invalid("invalid", "Invalid", vec![fault("/name")]),
                "`/name`: must be 1 to 64 letters",
            ),
            (
                ApiError::invalid("invalid", "Invalid", vec![fault("/name"), fault("/title")]),
                "2 faults were found; `faults` lists them\n  /name: must be 1 to 64 letters\n  /title: must be 1 to 64 letters",
            ),
            (
                ApiError::bad_parameter("limit", "`limit` is 0"),
                "`limit` is 0",
            ),
            (
                ApiError::bad_parameter("revision", "must be a whole number"),
                "`revision`: must be a whole number",
            ),
            (ApiError::busy("come again"), "come again"),
        ] {
            assert_eq!(error.detail(), wanted);
        }
    }
}
