//! Files of status pages: rendered once, then only sent, or written to a folder.

use std::collections::BTreeMap;
use std::io::Write as _;

use axum::http::HeaderValue;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::badge::{self, Badge};
use super::facts::{PageFacts, ServiceFacts, Span};
use super::html::{self, Links};
use super::{feed, json};
use crate::api::dashboard::assets;
use crate::api::http::negotiation::{accepts_gzip, has_tag};
use crate::api_types::status_pages::{StatusPageFileBody, StatusPageFilesBody};

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const ATOM: &str = "application/atom+xml; charset=utf-8";
const SVG: &str = "image/svg+xml";
/// Span of `uptime` where none is asked for.
pub(super) const DEFAULT_SPAN: Span = Span::Month;

/// Smaller files fit into one packet as they are.
const LEAST_GZIP_BYTES: usize = 1_024;

/// Text with its type, as it is and compressed.
pub(super) struct File {
    content_type: &'static str,
    plain: Form,
    gzip: Option<Form>,
}

/// One form of a file, with its own tag.
struct Form {
    bytes: Bytes,
    tag: HeaderValue,
}

impl Form {
    fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&bytes)[..12]));
        Self {
            bytes,
            tag: HeaderValue::from_str(&tag).expect("hexadecimal digits make a header"),
        }
    }
}

fn gzipped(text: &str) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).ok()?;
    encoder.finish().ok()
}

impl File {
    fn new(content_type: &'static str, text: String) -> Self {
        let gzip = (text.len() >= LEAST_GZIP_BYTES).then(|| gzipped(&text));
        Self {
            content_type,
            gzip: gzip.flatten().map(Form::new),
            plain: Form::new(text),
        }
    }

    /// Answers with the file, or that the client has it.
    pub(super) fn response(&self, asked: &HeaderMap) -> Response {
        let gzip = self.gzip.as_ref().filter(|_| accepts_gzip(asked));
        let form = gzip.unwrap_or(&self.plain);
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            (
                CACHE_CONTROL,
                HeaderValue::from_static("public, max-age=60"),
            ),
            (ETAG, form.tag.clone()),
            (VARY, ACCEPT_ENCODING.into()),
            // Badges are made to be shown on pages of others.
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                HeaderValue::from_static("cross-origin"),
            ),
        ];
        if has_tag(asked, &form.tag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let mut response = (headers, form.bytes.clone()).into_response();
        if gzip.is_some() {
            let coding = HeaderValue::from_static("gzip");
            response.headers_mut().insert(CONTENT_ENCODING, coding);
        }
        response
    }
}

/// Returns the files of pages by name: `NAME.html`, `NAME.json`, `NAME.atom`; and those of badges:
/// `badge/SLUG/status.svg`, `badge/SLUG/uptime-30d.json` and so on.
pub(super) fn of(pages: &[PageFacts], badges: &[&ServiceFacts]) -> BTreeMap<String, File> {
    let mut files = BTreeMap::new();
    for page in pages {
        let name = &page.name;
        let page_html = html::page(page, &Links::served(name)).into_string();
        files.insert(format!("{name}.html"), File::new(HTML, page_html));
        files.insert(format!("{name}.json"), File::new(JSON, json::page(page)));
        let text = feed::of(page, &format!("/status/{name}"));
        files.insert(format!("{name}.atom"), File::new(ATOM, text));
    }
    for service in badges {
        for (name, badge) in badges_of(service) {
            let at = format!("badge/{}/{name}", service.slug);
            files.insert(format!("{at}.svg"), File::new(SVG, badge::svg(&badge)));
            files.insert(format!("{at}.json"), File::new(JSON, json::badge(&badge)));
        }
    }
    files
}

fn badges_of(service: &ServiceFacts) -> Vec<(String, Badge)> {
    let mut badges = vec![
        ("status".to_owned(), Badge::status(service)),
        ("p95".to_owned(), Badge::p95(service)),
    ];
    for span in Span::ALL {
        let name = format!("uptime-{}", span.as_str());
        badges.push((name, Badge::uptime(service, span)));
    }
    badges
}

/// Returns pages as files for a folder of any web server, with links that hold there. The first page
/// is `index.html` as well.
pub(super) fn export(pages: &[&PageFacts]) -> StatusPageFilesBody {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for page in pages {
        let name = &page.name;
        let page_html = html::page(page, &Links::exported(name)).into_string();
        if texts.is_empty() {
            texts.insert("index.html".to_owned(), page_html.clone());
            texts.insert("app.css".to_owned(), assets::STYLE.to_owned());
        }
        texts.insert(format!("{name}.html"), page_html);
        texts.insert(format!("{name}.json"), json::page(page));
        let text = feed::of(page, &format!("{name}.html"));
        texts.insert(format!("{name}.atom"), text);
        for service in page.services() {
            for (badge_name, badge) in badges_of(service) {
                let mut insert = |name: &str| {
                    let at = format!("badge/{}/{name}", service.slug);
                    texts.insert(format!("{at}.svg"), badge::svg(&badge));
                    texts.insert(format!("{at}.json"), json::badge(&badge));
                };
                insert(&badge_name);
                if badge_name == format!("uptime-{}", DEFAULT_SPAN.as_str()) {
                    insert("uptime");
                }
            }
        }
    }
    let files = texts
        .into_iter()
        .map(|(path, text)| StatusPageFileBody { path, text });
    StatusPageFilesBody {
        files: files.collect(),
    }
}
