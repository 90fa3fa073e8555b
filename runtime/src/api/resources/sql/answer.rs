//! Answers to questions, in the format that is wanted.

use std::time::Duration;

use axum::Json;
use axum::http::header::{ACCEPT, CONTENT_TYPE, TRAILER};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use tokio_util::sync::CancellationToken;

use super::formats::encoder;
use super::stream::Answer;
use super::{DATA_TO, MISSING, QUERY_ID, TRUNCATED};
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::running_queries::{Registration, RegistrationError, RunningQueries};
use crate::api::http::state::ApiState;
use crate::api_types::sql::{SqlAnswer, SqlColumn, SqlFormat, SqlParams, SqlRequest};
use crate::domain::{UnixMillis, now_ms};
use crate::store::results::OfflineSql;
use crate::store::{self, QueryLimits, QueryParams, QueryRequest, QueryStream};

/// Rows of an answer that is made whole, in memory.
const JSON_ROWS: u32 = 10_000;
/// Rows of an answer that is streamed.
const STREAM_ROWS: u32 = 1_000_000;
/// Memory that an answer takes as Arrow.
const BYTES: usize = 256 * 1024 * 1024;
/// Time until the last row is computed.
const JSON_TIMEOUT: Duration = Duration::from_secs(30);
/// The same, and until it is read.
const STREAM_TIMEOUT: Duration = Duration::from_secs(120);

/// A question.
pub(crate) struct Ask {
    pub(crate) query: String,
    pub(crate) params: Option<SqlParams>,
    pub(crate) format: Option<SqlFormat>,
    pub(crate) limit: Option<u32>,
}

/// Runs a query, and answers in its format. The query ends when the answer is no longer read.
pub(crate) async fn answer(
    state: &ApiState,
    principal: &Principal,
    headers: &HeaderMap,
    ask: Ask,
) -> ApiResult<Response> {
    let format = ask.format.unwrap_or_else(|| accepted(headers));
    let limits = limits(format, ask.limit)?;
    let registration = register(state, principal, headers, &ask.query)?;
    let request = request(ask.query, ask.params, limits, &registration);
    let stream = state.deps.results.query_stream(request).await?;
    shaped(format, stream, registration).await
}

/// Rows of a query for a page, whole, and the moment up to which results are in them. It is listed
/// among those that run, and can be cancelled there.
pub(crate) async fn rows_of(
    state: &ApiState,
    principal: &Principal,
    sql: String,
    params: Option<SqlParams>,
    limits: QueryLimits,
) -> ApiResult<(store::SqlAnswer, UnixMillis)> {
    let registration = register(state, principal, &HeaderMap::new(), &sql)?;
    let request = request(sql, params, limits, &registration);
    let stream = state.deps.results.query_stream(request).await?;
    let data_to_ms = stream.data_to_ms();
    Ok((stream.into_answer().await?, data_to_ms))
}

/// Answers a question over results that no program has open, as the program would.
pub(crate) async fn answer_offline(results: &OfflineSql, ask: SqlRequest) -> ApiResult<Response> {
    let format = ask.format.unwrap_or(SqlFormat::Json);
    let limits = limits(format, ask.limit)?;
    let registered = RunningQueries::default().register(
        None,
        "",
        &ask.query,
        now_ms(),
        CancellationToken::new(),
    );
    let registration = registered.map_err(|_| ApiError::busy("too many queries run"))?;
    let request = request(ask.query, ask.params, limits, &registration);
    let stream = results.query_stream(request).await?;
    shaped(format, stream, registration).await
}

fn request(
    sql: String,
    params: Option<SqlParams>,
    limits: QueryLimits,
    registration: &Registration,
) -> QueryRequest {
    QueryRequest {
        sql,
        params: match params {
            None => QueryParams::default(),
            Some(SqlParams::Positional(values)) => QueryParams::Positional(values),
            Some(SqlParams::Named(values)) => QueryParams::Named(values),
        },
        limits,
        cancel: registration.cancel.clone(),
        progress: registration.progress.clone(),
    }
}

async fn shaped(
    format: SqlFormat,
    stream: QueryStream,
    registration: Registration,
) -> ApiResult<Response> {
    let mut response = match encoder(format, &stream)? {
        None => whole(stream, &registration).await?,
        Some(encoder) => {
            let id = registration.id.clone();
            let data_to = rfc3339(stream.data_to_ms());
            let missing = stream.missing().join(", ");
            let answer = Answer::begin(stream, registration).await?;
            let is_truncated = answer.is_truncated();
            let mut response = answer.into_body(encoder).await?.into_response();
            mark(&mut response, &id, &data_to, is_truncated);
            mark_missing(&mut response, &missing);
            response
        }
    };
    let media_type = match format {
        SqlFormat::Csv => "text/csv; charset=utf-8",
        other => other.media_type(),
    };
    let media_type = HeaderValue::from_static(media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    Ok(response)
}

async fn whole(stream: QueryStream, registration: &Registration) -> ApiResult<Response> {
    let data_to = rfc3339(stream.data_to_ms());
    let missing = stream.missing().to_vec();
    let store::SqlAnswer {
        columns,
        rows,
        truncated,
    } = stream.into_answer().await?;
    let body = SqlAnswer {
        columns: columns
            .into_iter()
            .map(|store::SqlColumn { name, kind }| SqlColumn { name, kind })
            .collect(),
        rows,
        truncated,
        query_id: registration.id.clone(),
        data_to: data_to.clone(),
        missing: missing.clone(),
    };
    let mut response = Json(body).into_response();
    mark(&mut response, &registration.id, &data_to, Some(truncated));
    mark_missing(&mut response, &missing.join(", "));
    Ok(response)
}

/// Sets the headers that every answer has. A cut that is not known yet is announced as a trailer.
fn mark(response: &mut Response, query_id: &str, data_to: &str, is_truncated: Option<bool>) {
    let headers = response.headers_mut();
    for (name, value) in [(QUERY_ID, query_id), (DATA_TO, data_to)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    match is_truncated {
        Some(true) => headers.insert(TRUNCATED, HeaderValue::from_static("true")),
        Some(false) => headers.insert(TRUNCATED, HeaderValue::from_static("false")),
        None => headers.insert(TRAILER, HeaderValue::from_static("extrack-truncated")),
    };
}

/// Names the days whose rows are not in the answer.
fn mark_missing(response: &mut Response, missing: &str) {
    if !missing.is_empty()
        && let Ok(missing) = HeaderValue::from_str(missing)
    {
        response.headers_mut().insert(MISSING, missing);
    }
}

/// The first format that `Accept` names; JSON if it names none of ours.
fn accepted(headers: &HeaderMap) -> SqlFormat {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let wanted = accept.unwrap_or_default().split(',');
    wanted
        .filter_map(|range| {
            let media_type = range.split(';').next().unwrap_or_default().trim();
            SqlFormat::ALL
                .into_iter()
                .find(|format| format.media_type().eq_ignore_ascii_case(media_type))
        })
        .next()
        .unwrap_or(SqlFormat::Json)
}

fn limits(format: SqlFormat, limit: Option<u32>) -> ApiResult<QueryLimits> {
    let (most, timeout) = match format {
        SqlFormat::Json => (JSON_ROWS, JSON_TIMEOUT),
        _ => (STREAM_ROWS, STREAM_TIMEOUT),
    };
    let rows = limit.unwrap_or(most);
    if !(1..=most).contains(&rows) {
        let detail = format!("`limit` must be 1 to {most} in this format");
        return Err(ApiError::bad_parameter("/limit", detail));
    }
    Ok(QueryLimits {
        rows: rows as usize,
        bytes: BYTES,
        timeout,
    })
}

fn register(
    state: &ApiState,
    principal: &Principal,
    headers: &HeaderMap,
    query: &str,
) -> ApiResult<Registration> {
    let id = match headers.get(QUERY_ID) {
        None => None,
        Some(id) => Some(chosen_id(id)?),
    };
    let cancel: CancellationToken = state.shutdown.child_token();
    let registered = state
        .queries
        .register(id.clone(), &principal.name, query, now_ms(), cancel);
    registered.map_err(|error| match error {
        RegistrationError::IdTaken => ApiError::query_id_taken(&id.unwrap_or_default()),
        RegistrationError::TooMany => ApiError::busy("too many queries run; come again"),
    })
}

fn chosen_id(id: &HeaderValue) -> ApiResult<String> {
    let is_plain = |id: &&str| {
        (1..=64).contains(&id.len())
            && *id != "schema"
            && id
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let id = id.to_str().ok().filter(is_plain);
    id.map(str::to_owned).ok_or_else(|| {
        let detail =
            "`extrack-query-id` must be 1 to 64 letters, digits, `-` or `_`, and not `schema`";
        ApiError::bad_parameter("extrack-query-id", detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_format_of_accept_is_taken() {
        for (accept, wanted) in [
            ("*/*", SqlFormat::Json),
            ("text/html, text/csv;q=0.9", SqlFormat::Csv),
            ("application/x-ndjson", SqlFormat::Ndjson),
            ("Application/vnd.apache.arrow.stream", SqlFormat::Arrow),
            ("application/vnd.apache.parquet, */*", SqlFormat::Parquet),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(accepted(&headers), wanted, "{accept}");
        }
        assert_eq!(accepted(&HeaderMap::new()), SqlFormat::Json);
    }
}
