//! Pages that are answers rather than rooms: there is nothing here, that was not done.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::layout;
use crate::api::http::error::{ApiError, PROBLEM_JSON, with_faults};
use crate::api::http::negotiation::wants_html;
use crate::api_types::problem::Problem;

const NOTHING: &str = "Nothing here";
const NOT_DONE: &str = "That was not done";
/// Limit of a problem that becomes a page.
const MAX_PROBLEM_BYTES: usize = 1024 * 1024;

pub(super) fn not_found_page() -> Markup {
    layout::bare(
        "Not found",
        html! {
            h1 { (NOTHING) }
            p { "There is no page at this address." }
            p { a.button href="/" { "To the services" } }
        },
    )
}

/// Why something was not done, as a page, with the way back.
pub(super) fn refused(error: ApiError, back: &str) -> Response {
    let page = answer(NOT_DONE, &error.detail(), back);
    (error.status(), page).into_response()
}

/// Why a page can't be shown, as a page, with the way back.
pub(super) fn not_shown(error: ApiError, back: &str) -> Response {
    let heading = heading(&Method::GET, error.status(), error.title());
    let page = answer(heading, &error.detail(), back);
    (error.status(), page).into_response()
}

/// Middleware around all routes: what a browser opens or sends is answered with a page, also where
/// it gets no further than a layer; the API answers with problems.
pub(crate) async fn problems_as_pages(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let is_page = matches!(method, Method::GET | Method::POST)
        && wants_html(request.headers())
        && !request.uri().path().starts_with("/api/");
    let response = next.run(request).await;
    let kind = response.headers().get(CONTENT_TYPE);
    if !is_page || kind.is_none_or(|kind| kind != PROBLEM_JSON) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_PROBLEM_BYTES).await.unwrap_or_default();
    let problem = serde_json::from_slice(&body).unwrap_or_else(|_| Problem {
        title: parts.status.to_string(),
        ..Problem::default()
    });
    let heading = heading(&method, parts.status, &problem.title);
    let text = with_faults(&problem.detail, &problem.faults);
    let mut page = (parts.status, answer(heading, &text, "/")).into_response();
    for (name, value) in &parts.headers {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            page.headers_mut().append(name, value.clone());
        }
    }
    page
}

fn heading<'a>(method: &Method, status: StatusCode, title: &'a str) -> &'a str {
    if method != Method::GET {
        NOT_DONE
    } else if status == StatusCode::NOT_FOUND {
        NOTHING
    } else {
        title
    }
}

fn answer(heading: &str, text: &str, back: &str) -> Markup {
    layout::bare(
        heading,
        html! {
            h1 { (heading) }
            @for line in text.lines() { p { (line.trim()) } }
            p { a.button href=(back) { "Back" } }
        },
    )
}
