//! Status pages, feeds and badges for people who have no token: of services that are marked public,
//! and of nothing else. Whether a name is private or of nothing, the answer is the same.

mod badge;
mod facts;
mod feed;
mod files;
mod html;
mod json;
mod kept;
mod pages;
mod past;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use kept::StatusPages;

use super::replies::not_found_page;
use crate::api::http::caller::Caller;
use crate::api::http::endpoint::{ANYONE, Endpoint};
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::page::word;
use crate::api::http::route_builder::Routes;
use crate::api::http::state::ApiState;
use crate::api_types::scope::Scope::Read;
use crate::api_types::status_pages::StatusPageFilesBody;
use facts::Span;

const JSON_END: &str = ".json";

/// Adds the public pages to the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .page(ANYONE, "/status", get(first_page))
        .page(ANYONE, "/status/{page}", get(page))
        .page(ANYONE, "/status/{page}/feed.atom", get(feed_page))
        .page(ANYONE, "/badge/{slug}/{file}", get(badge_file))
}

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/status-pages/files", export)
            .id("statusPageFiles")
            .summary("Status pages as files for another web server")
            .description(
                "What anybody may see, of one moment, with links that hold in a folder: pages as HTML and JSON, \
                 their feeds, the style sheet and the badges. Without a public service there are no files.",
            ),
    ]
}

#[derive(Debug, Deserialize)]
pub(crate) struct PagePath {
    page: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct BadgePath {
    slug: String,
    file: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct BadgeQuery {
    span: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ExportQuery {
    /// Name of a page; all pages if not given.
    page: Option<String>,
}

async fn first_page(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
) -> ApiResult<Response> {
    admit(&state, caller)?;
    let rendered = pages::current(&state).await?;
    let file = rendered
        .first()
        .and_then(|name| rendered.file(&format!("{name}.html")));
    Ok(file.map_or_else(nothing, |file| file.response(&headers)))
}

async fn page(
    State(state): State<ApiState>,
    Path(PagePath { page }): Path<PagePath>,
    caller: Caller,
    headers: HeaderMap,
) -> ApiResult<Response> {
    admit(&state, caller)?;
    let rendered = pages::current(&state).await?;
    if page.ends_with(JSON_END) {
        let file = rendered.file(&page).ok_or_else(ApiError::not_public)?;
        return Ok(file.response(&headers));
    }
    let file = rendered.file(&format!("{page}.html"));
    Ok(file.map_or_else(nothing, |file| file.response(&headers)))
}

async fn feed_page(
    State(state): State<ApiState>,
    Path(PagePath { page }): Path<PagePath>,
    caller: Caller,
    headers: HeaderMap,
) -> ApiResult<Response> {
    admit(&state, caller)?;
    let rendered = pages::current(&state).await?;
    let file = rendered.file(&format!("{page}.atom"));
    Ok(file.ok_or_else(ApiError::not_public)?.response(&headers))
}

async fn badge_file(
    State(state): State<ApiState>,
    Path(BadgePath { slug, file }): Path<BadgePath>,
    Query(query): Query<BadgeQuery>,
    caller: Caller,
    headers: HeaderMap,
) -> ApiResult<Response> {
    admit(&state, caller)?;
    let span = word(
        "span",
        query.span.as_deref(),
        Span::parse,
        &Span::ALL.map(Span::as_str),
    )?;
    let span = span.unwrap_or(files::DEFAULT_SPAN).as_str();
    let file = match file.as_str() {
        "uptime.svg" => format!("uptime-{span}.svg"),
        "uptime.json" => format!("uptime-{span}.json"),
        _ => file,
    };
    let rendered = pages::current(&state).await?;
    let file = rendered.file(&format!("badge/{slug}/{file}"));
    Ok(file.ok_or_else(ApiError::not_public)?.response(&headers))
}

async fn export(
    State(state): State<ApiState>,
    Query(query): Query<ExportQuery>,
) -> ApiResult<Json<StatusPageFilesBody>> {
    let rendered = pages::current(&state).await?;
    let wanted = query.page.as_deref();
    if wanted.is_some_and(|name| rendered.pages.iter().all(|page| page.name != name)) {
        return Err(ApiError::not_public());
    }
    let written = tokio::task::spawn_blocking(move || {
        let pages = rendered.pages.iter();
        let is_wanted = |name: &str| query.page.as_deref().is_none_or(|wanted| wanted == name);
        let chosen: Vec<_> = pages.filter(|page| is_wanted(&page.name)).collect();
        files::export(&chosen)
    });
    let written = written.await;
    Ok(Json(
        written.map_err(|error| ApiError::internal(error.into()))?,
    ))
}

fn nothing() -> Response {
    (StatusCode::NOT_FOUND, not_found_page()).into_response()
}

fn admit(state: &ApiState, caller: Caller) -> ApiResult<()> {
    let admitted = state.visit_rate_limit.admit_caller(caller);
    admitted.map_err(ApiError::too_many_visits)
}

impl ApiError {
    /// Returns the one error about what is private and what does not exist.
    fn not_public() -> Self {
        let detail =
            "there is no such page or badge; only services marked `public: true` have them";
        Self::not_found("not-public", "Not found", detail)
    }

    fn too_many_visits(wait: Duration) -> Self {
        let detail = "too many requests from this address in a short time; come again";
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-visits",
            "Too many requests",
            detail,
        )
        .with_header("retry-after", (wait.as_secs() + 1).to_string())
    }
}
