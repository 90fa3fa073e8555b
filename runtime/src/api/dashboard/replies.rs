//! Pages that are answers rather than rooms: there is nothing here, that was not done.

use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::layout;
use crate::api::http::error::ApiError;

pub(super) fn not_found_page() -> Markup {
    layout::bare(
        "Not found",
        html! {
            h1 { "Nothing here" }
            p { "There is no page at this address." }
            p { a.button href="/" { "To the services" } }
        },
    )
}

/// Why something was not done, as a page, with the way back.
pub(super) fn refused(error: ApiError, back: &str) -> Response {
    let page = layout::bare(
        "Not done",
        html! {
            h1 { "That was not done" }
            p { (error.detail()) }
            p { a.button href=(back) { "Back" } }
        },
    );
    (error.status(), page).into_response()
}
