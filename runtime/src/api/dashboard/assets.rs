//! Style, script and icon, embedded. Their addresses carry a digest, so browsers may keep them for
//! ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

struct Asset {
    name: &'static str,
    content_type: &'static str,
    content: &'static str,
}

/// One file for all pages: what they share, then what each has of its own.
pub(super) const STYLE: &str = concat!(
    include_str!("assets/app.css"),
    include_str!("assets/overview.css"),
    include_str!("assets/service.css"),
    include_str!("assets/analytics.css"),
    include_str!("assets/reports.css"),
    include_str!("assets/status.css"),
    include_str!("assets/plugins.css"),
    include_str!("assets/settings.css"),
);

const ASSETS: [Asset; 4] = [
    Asset {
        name: "app.css",
        content_type: "text/css; charset=utf-8",
        content: STYLE,
    },
    Asset {
        name: "app.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("assets/app.js"),
    },
    Asset {
        name: "sql.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("assets/sql.js"),
    },
    Asset {
        name: "icon.svg",
        content_type: "image/svg+xml",
        content: include_str!("assets/icon.svg"),
    },
];

static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let all: String = ASSETS.iter().map(|asset| asset.content).collect();
    hex::encode(&Sha256::digest(all.as_bytes())[..6])
});

/// The address of an asset on a page.
pub(super) fn url(name: &str) -> String {
    format!("/assets/{name}?v={}", DIGEST.as_str())
}

/// The icon as an address that holds it: one request less for each page.
pub(super) static ICON: LazyLock<String> = LazyLock::new(|| {
    let picture = STANDARD.encode(include_str!("assets/icon.svg"));
    format!("data:image/svg+xml;base64,{picture}")
});

pub(crate) async fn get(Path(file): Path<String>) -> Response {
    match ASSETS.iter().find(|asset| asset.name == file) {
        Some(asset) => {
            let headers = [
                (CONTENT_TYPE, asset.content_type),
                (CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (headers, asset.content).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
