//! The one error of the API: RFC 9457 `application/problem+json`, made by named constructors. What
//! is our own fault is logged whole and says nothing internal.

use std::borrow::Cow;
use std::time::Duration;

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response as DocumentedResponse, SchemaObject};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::Scope;
use crate::alerts::backtest::BacktestRefusal;
use crate::domain::{AcceptRefusal, Fault};
use crate::monitoring::{CheckError, ReceiveError};
use crate::plugin_host;
use crate::registry::CatalogError;
use crate::store::{ControlError, QueryError, ResultError};

pub(super) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

const TOKEN_UNKNOWN: &str = "token-unknown";

/// An RFC 9457 problem.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Problem {
    /// `urn:problem-type:extrack:NAME`, where the name is what a program may branch on.
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    /// Each thing that is wrong, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    faults: Vec<Fault>,
}

#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    name: &'static str,
    title: &'static str,
    detail: Box<str>,
    faults: Vec<Fault>,
    /// Beside the content type.
    header: Option<Box<(&'static str, Cow<'static, str>)>>,
    source: Option<anyhow::Error>,
}

pub(super) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    fn new(
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
            header: None,
            source: None,
        }
    }

    fn with_header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.header = Some(Box::new((name, value.into())));
        self
    }

    /// Our own fault, not the caller's.
    pub(super) fn is_internal(&self) -> bool {
        self.source.is_some()
    }

    pub(super) fn is_token_unknown(&self) -> bool {
        self.name == TOKEN_UNKNOWN
    }

    pub(super) fn service_not_found(slug: &str) -> Self {
        let detail = format!("there is no service `{slug}`; `GET /api/v1/services` lists them");
        Self::new(
            StatusCode::NOT_FOUND,
            "service-not-found",
            "Service not found",
            detail,
        )
    }

    pub(super) fn alert_not_found(id: &str) -> Self {
        let detail = format!("there is no alert `{id}`; `GET /api/v1/alerts` lists them");
        Self::new(
            StatusCode::NOT_FOUND,
            "alert-not-found",
            "Alert not found",
            detail,
        )
    }

    pub(super) fn channel_not_found(name: &str) -> Self {
        let detail = format!("there is no channel `{name}`; `GET /api/v1/channels` lists them");
        Self::new(
            StatusCode::NOT_FOUND,
            "channel-not-found",
            "Channel not found",
            detail,
        )
    }

    pub(super) fn channel_ambiguous(name: &str, ids: &[&str]) -> Self {
        let detail = format!(
            "several channels are named `{name}`; use an id: {}",
            ids.join(", ")
        );
        Self::new(
            StatusCode::CONFLICT,
            "channel-ambiguous",
            "Several channels have that name",
            detail,
        )
    }

    pub(super) fn invalid_template(faults: Vec<Fault>) -> Self {
        Self::invalid("invalid-template", "Invalid message template", faults)
    }

    /// What was refused, for those who follow along.
    pub(super) fn detail(&self) -> String {
        let faults = self
            .faults
            .iter()
            .map(|fault| format!("\n  {}: {}", fault.pointer, fault.message));
        format!("{}{}", self.detail, faults.collect::<String>())
    }

    pub(super) fn from_backtest(refusal: BacktestRefusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            BacktestRefusal::UnknownRule(_) => Self::new(
                StatusCode::NOT_FOUND,
                "rule-not-found",
                "Rule not found",
                detail,
            ),
            BacktestRefusal::UnknownService(_) | BacktestRefusal::NoService => Self::new(
                StatusCode::NOT_FOUND,
                "service-not-found",
                "Service not found",
                detail,
            ),
            BacktestRefusal::Invalid(faults) => {
                let faults = faults.into_iter().map(|fault| fault.under("/rule"));
                Self::invalid("invalid-rule", "Invalid rule", faults.collect())
            }
            BacktestRefusal::Plugin(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "plugin-refused",
                "Plugin refused",
                detail,
            ),
            BacktestRefusal::Busy => Self::busy(detail),
            BacktestRefusal::Failed(_) => Self::internal(anyhow::Error::new(refusal)),
        }
    }

    pub(super) fn notification_not_found(id: i64) -> Self {
        let detail =
            format!("there is no notification `{id}`; `GET /api/v1/notifications` lists them");
        Self::new(
            StatusCode::NOT_FOUND,
            "notification-not-found",
            "Notification not found",
            detail,
        )
    }

    pub(super) fn notification_not_dead(id: i64, found: &str) -> Self {
        let detail = format!(
            "notification `{id}` is in {found}; only one that was given up can be put back"
        );
        Self::new(
            StatusCode::CONFLICT,
            "notification-not-dead",
            "Notification was not given up",
            detail,
        )
    }

    pub(super) fn silence_not_found(id: i64) -> Self {
        let detail =
            format!("there is no silence {id}; `GET /api/v1/silences?ended=true` lists them");
        Self::new(
            StatusCode::NOT_FOUND,
            "silence-not-found",
            "Silence not found",
            detail,
        )
    }

    pub(super) fn invalid_silence(faults: Vec<Fault>) -> Self {
        Self::invalid("invalid-silence", "Invalid silence", faults)
    }

    pub(super) fn maintenance_not_found(name: &str, is_file: bool) -> Self {
        if is_file {
            let detail =
                format!("the maintenance window `{name}` comes from alerts.yaml; change it there");
            return Self::new(
                StatusCode::CONFLICT,
                "owned-by-file",
                "Window comes from a file",
                detail,
            );
        }
        let detail = format!(
            "there is no maintenance window `{name}`; `GET /api/v1/maintenance` lists them"
        );
        Self::new(
            StatusCode::NOT_FOUND,
            "maintenance-not-found",
            "Maintenance window not found",
            detail,
        )
    }

    pub(super) fn maintenance_exists(name: &str) -> Self {
        let detail =
            format!("there is already a maintenance window `{name}`; give this one another name");
        Self::new(
            StatusCode::CONFLICT,
            "maintenance-exists",
            "Maintenance window exists",
            detail,
        )
    }

    pub(super) fn invalid_maintenance(faults: Vec<Fault>) -> Self {
        Self::invalid("invalid-maintenance", "Invalid maintenance window", faults)
    }

    pub(super) fn invalid_preview(faults: Vec<Fault>) -> Self {
        Self::invalid("invalid-preview", "Nothing to preview", faults)
    }

    pub(super) fn alert_not_now(detail: String) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "alert-not-now",
            "Alert is in another state",
            detail,
        )
    }

    pub(super) fn plugin_not_found(name: &str) -> Self {
        let detail = format!("there is no plugin `{name}`; `GET /api/v1/plugins` lists them");
        Self::new(
            StatusCode::NOT_FOUND,
            "plugin-not-found",
            "Plugin not found",
            detail,
        )
    }

    pub(super) fn recording_not_found(run_id: i64) -> Self {
        let detail = format!(
            "there is no recording of run {run_id}, or not any more; `GET /api/v1/recordings` lists them"
        );
        Self::new(
            StatusCode::NOT_FOUND,
            "recording-not-found",
            "Recording not found",
            detail,
        )
    }

    pub(super) fn path_not_found(path: &str) -> Self {
        let detail = format!(
            "there is nothing at `{path}`; `GET /api/v1/openapi.json` describes what there is"
        );
        Self::new(
            StatusCode::NOT_FOUND,
            "path-not-found",
            "Path not found",
            detail,
        )
    }

    pub(super) fn bad_parameter(name: &str, detail: impl Into<String>) -> Self {
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

    pub(super) fn invalid_service(faults: Vec<Fault>) -> Self {
        Self::invalid("invalid-service", "Invalid service", faults)
    }

    fn invalid(name: &'static str, title: &'static str, faults: Vec<Fault>) -> Self {
        let detail = match faults.as_slice() {
            [fault] => format!("`{}`: {}", fault.pointer, fault.message),
            faults => format!("{} faults were found; `faults` lists them", faults.len()),
        };
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, name, title, detail);
        error.faults = faults;
        error
    }

    pub(super) fn configuration_not_accepted(refusal: AcceptRefusal) -> Self {
        let (detail, faulty) = (refusal.to_string(), StatusCode::UNPROCESSABLE_ENTITY);
        match refusal {
            AcceptRefusal::Changed { .. } => Self::new(
                StatusCode::CONFLICT,
                "configuration-changed",
                "Configuration files were changed",
                detail,
            ),
            AcceptRefusal::Faulty(_) => Self::new(
                faulty,
                "configuration-faulty",
                "Configuration has faults",
                detail,
            ),
            AcceptRefusal::NotKept(_) | AcceptRefusal::Stopping => Self::busy(detail),
        }
    }

    pub(super) fn token_missing() -> Self {
        let detail = "this needs a token; send it as `Authorization: Bearer TOKEN`";
        Self::new(
            StatusCode::UNAUTHORIZED,
            "token-missing",
            "Token missing",
            detail,
        )
        .with_header("www-authenticate", "Bearer")
    }

    pub(super) fn token_unknown() -> Self {
        let detail = "the token is not known here, or its session has ended";
        Self::new(
            StatusCode::UNAUTHORIZED,
            TOKEN_UNKNOWN,
            "Token unknown",
            detail,
        )
        .with_header("www-authenticate", "Bearer error=\"invalid_token\"")
    }

    pub(super) fn too_many_guesses(wait: Duration) -> Self {
        let seconds = wait.as_secs() + 1;
        let detail = format!(
            "too many wrong tokens came from this address; the next one is looked at in {seconds} s"
        );
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-guesses",
            "Too many wrong tokens",
            detail,
        )
        .with_header("retry-after", seconds.to_string())
    }

    pub(super) fn token_not_found(id: i64) -> Self {
        let detail = format!("there is no token {id}; `GET /api/v1/tokens` lists them");
        Self::new(
            StatusCode::NOT_FOUND,
            "token-not-found",
            "Token not found",
            detail,
        )
    }

    pub(super) fn token_exists(name: &str) -> Self {
        let detail =
            format!("there is already a token `{name}`; revoke it, or give this one another name");
        Self::new(StatusCode::CONFLICT, "token-exists", "Token exists", detail)
    }

    pub(super) fn token_needed(detail: &'static str) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "token-needed",
            "Token can't be revoked so",
            detail,
        )
    }

    pub(super) fn invalid_token(faults: Vec<Fault>) -> Self {
        Self::invalid("invalid-token", "Invalid token", faults)
    }

    pub(super) fn scope_missing(scope: Scope) -> Self {
        let detail = format!("the token lacks the scope `{}`", scope.as_str());
        Self::new(
            StatusCode::FORBIDDEN,
            "scope-missing",
            "Scope missing",
            detail,
        )
    }

    pub(super) fn cross_origin() -> Self {
        let detail =
            "a change that is authorised by a cookie has to come from the dashboard's own pages";
        Self::new(
            StatusCode::FORBIDDEN,
            "cross-origin",
            "Cross-origin request refused",
            detail,
        )
    }

    pub(super) fn too_many_connections() -> Self {
        let detail = "too many dashboards are live at the moment; reload the page by hand, or come again later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", detail)
            .with_header("retry-after", "30")
    }

    pub(super) fn busy(detail: impl Into<Box<str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", detail)
            .with_header("retry-after", "1")
    }

    pub(super) fn timed_out(after_s: u64) -> Self {
        let detail = format!("the request was given up after {after_s} s");
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timed-out",
            "Timed out",
            detail,
        )
    }

    /// The same whether it is the service or the webhook that there is not.
    pub(super) fn webhook_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "webhook-not-found",
            "Webhook not found",
            "there is no such webhook",
        )
    }

    pub(super) fn too_many_deliveries(wait: Duration) -> Self {
        let detail = "too many deliveries in a short time; come again";
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-deliveries",
            "Too many deliveries",
            detail,
        )
        .with_header("retry-after", (wait.as_secs() + 1).to_string())
    }

    pub(super) fn headers_too_large() -> Self {
        let detail = "the headers are larger than a delivery's may be";
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers-too-large",
            "Headers too large",
            detail,
        )
    }

    pub(super) fn body_too_large(most: usize) -> Self {
        let detail = format!("the body is larger than the limit of {} KiB", most / 1024);
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "Body too large",
            detail,
        )
    }

    pub(super) fn uri_too_long() -> Self {
        let detail = "the path and query are longer than 16 KiB";
        Self::new(
            StatusCode::URI_TOO_LONG,
            "uri-too-long",
            "URI too long",
            detail,
        )
    }

    pub(super) fn body_missing(what: &str) -> Self {
        let detail = format!("the body is empty; it has to be {what}");
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "Bad request",
            detail,
        )
    }

    pub(super) fn body_cut_short() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "Bad request",
            "the body ended early",
        )
    }

    pub(super) fn body_too_slow(after_s: u64) -> Self {
        let detail = format!("the body was not there after {after_s} s");
        Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "Too slow", detail)
    }

    /// What the plugin says is for the operator: a sender need not be who it says.
    pub(super) fn from_webhook(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Unknown => Self::webhook_not_found(),
            ReceiveError::Unauthenticated(_) => {
                let detail = "nothing proves who sent this";
                Self::new(
                    StatusCode::UNAUTHORIZED,
                    "unauthenticated",
                    "Unauthenticated",
                    detail,
                )
            }
            ReceiveError::Malformed(_) => {
                let detail = "this is not what the webhook takes";
                Self::new(
                    StatusCode::BAD_REQUEST,
                    "malformed-delivery",
                    "Malformed delivery",
                    detail,
                )
            }
            ReceiveError::Busy => Self::busy("too many deliveries at once; come again"),
            ReceiveError::Broken(_) | ReceiveError::NotStored(_) => {
                let detail = "the delivery could not be taken; repeat it later";
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "not-taken",
                    "Not taken",
                    detail,
                )
                .with_header("retry-after", "30")
            }
        }
    }

    fn from_unwritable(error: &ControlError) -> Option<Self> {
        if error.is_full() {
            return Some(Self::no_room());
        }
        let detail = "the server's control store can't be written at the moment, so nothing is certain to be stored; `/readyz` says when it can";
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

    fn no_room() -> Self {
        let detail = "the disk of the server's control store is full, so nothing was stored; free some space, then repeat";
        Self::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "no-room",
            "No room",
            detail,
        )
    }

    pub(super) fn internal(source: anyhow::Error) -> Self {
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

    /// For what the framework refuses on its own: a body that is no JSON, a wrong method, a body
    /// that is too large.
    pub(super) fn from_status(status: StatusCode, detail: String) -> Self {
        let (name, title) = match status {
            StatusCode::BAD_REQUEST => ("bad-request", "Bad request"),
            StatusCode::NOT_FOUND => ("path-not-found", "Path not found"),
            StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "Method not allowed"),
            StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "Body too large"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("unsupported-media-type", "Unsupported media type")
            }
            StatusCode::UNPROCESSABLE_ENTITY => ("invalid-body", "Invalid body"),
            status if status.is_client_error() => ("bad-request", "Bad request"),
            _ => return Self::internal(anyhow::anyhow!("answered {status}: {detail}")),
        };
        let detail = match detail.trim() {
            "" if status == StatusCode::METHOD_NOT_ALLOWED => {
                "this path does not take that method; the `Allow` header says which it takes"
                    .to_owned()
            }
            "" => title.to_lowercase(),
            text => text.to_owned(),
        };
        Self::new(status, name, title, detail)
    }

    pub(super) fn from_registry(refusal: CatalogError) -> Self {
        let detail = refusal.to_string();
        match refusal {
            CatalogError::NotFound(slug) => Self::service_not_found(&slug),
            CatalogError::Store(ControlError::NotFound { .. }) => Self::new(
                StatusCode::NOT_FOUND,
                "service-not-found",
                "Service not found",
                "it was deleted meanwhile",
            ),
            CatalogError::OwnedByFile(_) => Self::new(
                StatusCode::CONFLICT,
                "owned-by-file",
                "Service comes from a file",
                detail,
            ),
            CatalogError::Exists(_) => Self::new(
                StatusCode::CONFLICT,
                "service-exists",
                "Service exists",
                detail,
            ),
            CatalogError::RevisionConflict { .. } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "revision-conflict",
                "Changed meanwhile",
                detail,
            ),
            CatalogError::Invalid(faults) => Self::invalid_service(faults),
            CatalogError::Store(source) => Self::internal(source.into()),
        }
    }

    pub(super) fn from_check(error: CheckError) -> Self {
        match error {
            CheckError::UnknownService(slug) => Self::service_not_found(&slug),
            CheckError::UnknownProbe { .. } => Self::new(
                StatusCode::NOT_FOUND,
                "probe-not-found",
                "Probe not found",
                error.to_string(),
            ),
            CheckError::Busy => Self::busy(error.to_string()),
            CheckError::NotStored(_) => Self::internal(error.into()),
        }
    }

    pub(super) fn from_plugin_host(refusal: plugin_host::Refusal) -> Self {
        match refusal.step {
            // The only steps that are ours: keeping the component and its version.
            "store" => return Self::internal(refusal.into()),
            "room" => {
                let mut error = Self::no_room();
                error.source = Some(refusal.into());
                return error;
            }
            "version" => return Self::version_not_found(refusal.reason),
            "bundled" | "in-use" | "shadow" => {
                return Self::new(
                    StatusCode::CONFLICT,
                    "plugin-conflict",
                    "Plugin can't be changed so",
                    refusal.reason,
                );
            }
            _ => {}
        }
        let detail = format!(
            "{} (at step `{}`; the version that was active stays)",
            refusal.reason, refusal.step
        );
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "plugin-refused",
            "Plugin refused",
            detail,
        )
    }

    pub(super) fn no_previous_version(name: &str) -> Self {
        let detail = format!("plugin `{name}` has no earlier version to go back to");
        Self::new(
            StatusCode::CONFLICT,
            "no-previous-version",
            "No previous version",
            detail,
        )
    }

    pub(super) fn policy_owned_by_file(name: &str) -> Self {
        let detail =
            format!("what plugin `{name}` may do is said in plugins.yaml; change it there");
        Self::new(
            StatusCode::CONFLICT,
            "owned-by-file",
            "Grants come from a file",
            detail,
        )
    }

    pub(super) fn invalid_policy(faults: Vec<Fault>) -> Self {
        Self::invalid("invalid-grants", "Invalid grants or budget", faults)
    }

    pub(super) fn version_not_found(detail: impl Into<Box<str>>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "version-not-found",
            "Version not found",
            detail,
        )
    }

    pub(super) fn no_candidate(name: &str) -> Self {
        let detail = format!(
            "no candidate runs beside plugin `{name}`; `PUT /api/v1/plugins/{name}/shadow` or `extrack plugin shadow` starts one"
        );
        Self::new(
            StatusCode::NOT_FOUND,
            "no-candidate",
            "No candidate",
            detail,
        )
    }

    pub(super) fn from_sql(error: QueryError) -> Self {
        let detail = error.to_string();
        let refusal = |name, title| {
            Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                name,
                title,
                detail.clone(),
            )
        };
        match error {
            QueryError::Refused(_) => refusal("query-refused", "Query refused"),
            QueryError::Invalid(_) => refusal("query-invalid", "Query invalid"),
            QueryError::Timeout(_) => refusal("query-timed-out", "Query timed out"),
            QueryError::Memory => refusal("query-too-large", "Query needs too much memory"),
            QueryError::Busy => Self::busy(detail),
            QueryError::Store(source) => Self::internal(source.into()),
        }
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(source: anyhow::Error) -> Self {
        Self::internal(source)
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

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Some(source) = &self.source {
            tracing::error!(error = format!("{source:#}"), "a request failed");
        }
        let problem = Problem {
            r#type: format!("urn:problem-type:extrack:{}", self.name),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.into(),
            faults: self.faults,
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
    fn a_plugin_version_for_which_the_store_has_no_room_is_answered_with_507() {
        let refusal = |step| plugin_host::Refusal {
            step,
            reason: "the disk is full".to_owned(),
        };
        assert_eq!(
            ApiError::from_plugin_host(refusal("room")).status,
            StatusCode::INSUFFICIENT_STORAGE
        );
        assert_eq!(
            ApiError::from_plugin_host(refusal("store")).status,
            StatusCode::INTERNAL_SERVER_ERROR
        );
    }
}
