//! Compression of answers, for clients that accept gzip. Never compressed is what carries a secret
//! beside text that the request brought, because its length would then show how alike they are
//! (BREACH): the answers to changes, among them new tokens and keys, and the login page. Pages hold
//! no token against forged requests: those are known by their origin. What anybody may visit is kept
//! compressed where it is rendered, so that visitors cost no time here.

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, Version};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, Predicate, SizeAbove};

/// Smaller answers fit into one packet as they are.
const LEAST_BYTES: u16 = 1024;

/// Types of answers that become smaller. Live events are none of them: they would wait for more.
const TYPES: [&str; 8] = [
    "text/html",
    "text/css",
    "text/javascript",
    "text/csv",
    "image/svg+xml",
    "application/json",
    "application/problem+json",
    "application/x-ndjson",
];

/// Page to which secrets are written.
const LOGIN: &str = "/login";

/// Pages and badges for everybody.
const PUBLIC: [&str; 2] = ["/status/", "/badge/"];
const FIRST_PUBLIC: &str = "/status";

/// Changes nothing, although it is a POST.
const SQL: &str = "/api/v1/sql";

/// Mark of answers that may be compressed.
#[derive(Clone)]
struct Compressible;

type Choice = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// Middleware inside of [`layer`]: marks the answers that carry no secret.
pub(crate) async fn choose(request: Request, next: Next) -> Response {
    let is_safe = may_be_compressed(request.method(), request.uri().path());
    let mut response = next.run(request).await;
    if is_safe {
        response.extensions_mut().insert(Compressible);
    }
    response
}

/// Returns the layer that compresses what is marked, while it is sent.
pub(crate) fn layer() -> CompressionLayer<And<SizeAbove, Choice>> {
    let choice: Choice = is_chosen;
    CompressionLayer::new()
        .quality(CompressionLevel::Precise(4))
        .compress_when(SizeAbove::new(LEAST_BYTES).and(choice))
}

fn may_be_compressed(method: &Method, path: &str) -> bool {
    let only_reads = method == Method::GET || method == Method::HEAD || path == SQL;
    let is_public = path == FIRST_PUBLIC || PUBLIC.iter().any(|start| path.starts_with(start));
    only_reads && path != LOGIN && !is_public
}

fn is_chosen(_: StatusCode, _: Version, headers: &HeaderMap, extensions: &Extensions) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    extensions.get::<Compressible>().is_some() && TYPES.contains(&essence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_with_secrets_and_those_that_are_kept_compressed_stay_as_they_are() {
        for (method, path, wanted) in [
            (Method::GET, "/", true),
            (Method::GET, "/assets/app.css", true),
            (Method::GET, "/api/v1/services", true),
            (Method::POST, "/api/v1/sql", true),
            (Method::GET, "/api/v1/status-pages/files", true),
            (Method::GET, "/status", false),
            (Method::GET, "/status/services.json", false),
            (Method::GET, "/badge/mail/status.svg", false),
            (Method::GET, "/login", false),
            (Method::POST, "/login", false),
            (Method::POST, "/api/v1/tokens", false),
            (Method::POST, "/api/v1/consumers", false),
        ] {
            assert_eq!(may_be_compressed(&method, path), wanted, "{method} {path}");
        }
    }
}
