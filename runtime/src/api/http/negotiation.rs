//! The kind of answer that a client asks for.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// Reports whether the client is a browser that opens a page.
pub(crate) fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_some_and(|accept| {
        accept
            .to_str()
            .is_ok_and(|accept| accept.contains("text/html"))
    })
}
