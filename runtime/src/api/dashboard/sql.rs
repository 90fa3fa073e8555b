//! The console: a question in its address, its answer below.

use std::time::Duration;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_DISPOSITION;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::layout;
use super::wording::count;
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::clock;
use crate::api::http::state::ApiState;
use crate::api::resources::sql::{Ask, answer, rows_of};
use crate::api_types::sql::SqlFormat;
use crate::domain::UnixMillis;
use crate::store::control::SavedQuery;
use crate::store::{QueryLimits, SqlAnswer, SqlSchema};

/// Rows on the page; a download has them all.
const MAX_ROWS: usize = 500;
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Limit of time, below that of a page.
const TIMEOUT: Duration = Duration::from_secs(25);
/// Limit of one value on the page.
const MAX_CHARS: usize = 300;
/// Limit of a statement in an address.
const MAX_QUERY_BYTES: usize = 4 * 1024;
const EXAMPLE: &str =
    "SELECT ts, service, status, latency_ms, error\nFROM observations\nORDER BY ts DESC\nLIMIT 50";

#[derive(Debug, Deserialize)]
pub(crate) struct ConsoleQuery {
    q: Option<String>,
}

type Outcome = ApiResult<(SqlAnswer, UnixMillis)>;

pub(crate) async fn page(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Query(ConsoleQuery { q }): Query<ConsoleQuery>,
) -> ApiResult<Markup> {
    let text = q.unwrap_or_default();
    let outcome = match text.trim() {
        "" => None,
        _ => Some(ask(&state, &principal, &text).await),
    };
    let saved = state.deps.control.saved_query_list().await?;
    let schema = state.deps.results.query_schema().await.ok();
    let body = html! {
        h1 { "SQL" }
        form.console method="get" action="/sql" {
            label.hidden for="q" { "Statement" }
            textarea #q name="q" rows="8" spellcheck="false" autocapitalize="off" maxlength=(MAX_QUERY_BYTES) placeholder=(EXAMPLE) { (text) }
            div.actions {
                button type="submit" { "Run" }
                @if outcome.is_some() { (downloads(&text)) }
            }
        }
        @match &outcome {
            None => { p.muted { "One statement that reads. For example: " a href=(address("/sql", &[("q", EXAMPLE)])) { "the last runs" } "." } }
            Some(Ok((answer, data_to_ms))) => { (table(answer, *data_to_ms)) }
            Some(Err(error)) => { (fault(error)) }
        }
        (saved_queries(&saved))
        @if let Some(schema) = &schema { (views(schema)) }
    };
    Ok(layout::room(layout::Room {
        title: "SQL",
        path: "/sql",
        events: None,
        body,
    }))
}

async fn ask(state: &ApiState, principal: &Principal, text: &str) -> Outcome {
    if text.len() > MAX_QUERY_BYTES {
        let detail = format!(
            "a statement on this page has at most {MAX_QUERY_BYTES} bytes; longer ones go to `POST /api/v1/sql` or `extrack sql -f FILE`"
        );
        return Err(ApiError::bad_parameter("q", detail));
    }
    let limits = QueryLimits {
        rows: MAX_ROWS,
        bytes: MAX_BYTES,
        timeout: TIMEOUT,
    };
    rows_of(state, principal, text.to_owned(), limits).await
}

#[derive(Debug, Deserialize)]
pub(crate) struct DownloadQuery {
    q: String,
    format: SqlFormat,
}

/// The whole answer, as `POST /api/v1/sql` returns it.
pub(crate) async fn download(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Query(DownloadQuery { q, format }): Query<DownloadQuery>,
) -> ApiResult<Response> {
    let ask = Ask {
        query: q,
        params: None,
        format: Some(format),
        limit: None,
    };
    let mut response = answer(&state, &principal, &HeaderMap::new(), ask).await?;
    let name = format!("attachment; filename=\"answer.{}\"", extension(format));
    if let Ok(name) = HeaderValue::try_from(name) {
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

fn extension(format: SqlFormat) -> &'static str {
    match format {
        SqlFormat::Json => "json",
        SqlFormat::Ndjson => "ndjson",
        SqlFormat::Csv => "csv",
        SqlFormat::Arrow => "arrows",
        SqlFormat::Parquet => "parquet",
    }
}

fn address(path: &str, query: &[(&str, &str)]) -> String {
    let mut written = url::form_urlencoded::Serializer::new(String::new());
    format!("{path}?{}", written.extend_pairs(query).finish())
}

fn downloads(text: &str) -> Markup {
    html! {
        span.muted { "All rows as" }
        @for format in ["csv", "ndjson", "parquet", "arrow"] {
            a href=(address("/sql/download", &[("format", format), ("q", text)])) { (format) }
        }
    }
}

fn table(answer: &SqlAnswer, data_to_ms: UnixMillis) -> Markup {
    html! {
        p.muted role="status" {
            (count(answer.rows.len(), "row"))
            @if answer.truncated { ", " b { "and there are more" } ": download them, or add a LIMIT" }
            " · data to " (clock(data_to_ms))
        }
        div.card.wide { table.list {
            thead { tr { @for column in &answer.columns { th scope="col" title=(column.kind) { (column.name) } } } }
            tbody {
                @for row in &answer.rows {
                    tr { @for value in row { (cell(value)) } }
                }
            }
        } }
    }
}

/// Numbers stand right; what is longer than a cell is cut, with a mark.
fn cell(value: &Value) -> Markup {
    let text = match value {
        Value::Null => return html! { td.muted { "NULL" } },
        Value::Number(number) => return html! { td.number { (number) } },
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => html! { td { (&text[..end]) "…" } },
        None => html! { td { (text) } },
    }
}

fn fault(error: &ApiError) -> Markup {
    let caret = error.query_fault().and_then(|place| place.caret.as_ref());
    html! {
        div.fault role="alert" {
            p { (error.detail()) }
            @if let Some(caret) = caret { pre { (caret) } }
        }
    }
}

fn saved_queries(saved: &[SavedQuery]) -> Markup {
    html! {
        @if !saved.is_empty() {
            section.card.panel aria-labelledby="saved-title" {
                h2 #saved-title { "Saved queries" }
                ul.saved {
                    @for SavedQuery { draft, .. } in saved {
                        li {
                            a href=(address("/sql", &[("q", &draft.query)])) { (draft.name) }
                            " " span.muted { (draft.description) }
                        }
                    }
                }
            }
        }
    }
}

fn views(schema: &SqlSchema) -> Markup {
    html! {
        section.card.panel aria-labelledby="views-title" {
            h2 #views-title { "Views" }
            @for view in &schema.views {
                details {
                    summary { code { (view.name) } " " span.muted { (view.about) } }
                    ul.columns-of {
                        @for column in &view.columns { li { code { (column.name) } " " span.muted { (column.kind) " " (column.about) } } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_text_and_exact() {
        assert_eq!(cell(&json!("<b>")).into_string(), "<td>&lt;b&gt;</td>");
        assert_eq!(
            cell(&json!(9_007_199_254_740_993_u64)).into_string(),
            r#"<td class="number">9007199254740993</td>"#
        );
        let long = cell(&json!("ä".repeat(400))).into_string();
        assert!(long.ends_with("ä…</td>"), "{long}");
        assert_eq!(
            cell(&Value::Null).into_string(),
            r#"<td class="muted">NULL</td>"#
        );
    }
}
