//! Whether a vendor answers as the catalog expects: asked for by the operator, never by itself.

use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio::time::Instant;

use super::catalog::Entry;
use crate::domain::PrivateReach;
use crate::net::{HostRule, HttpRequest, HttpResponse, Net, Permission};
use crate::spec::StatusPageFormat;

/// Time for one request.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Status pages of large vendors have some hundred components.
const MAX_BODY_BYTES: usize = 4 << 20;

/// Vendors that are asked at the same time.
const AT_ONCE: usize = 8;

const MAX_REDIRECTS: usize = 5;

/// What was found of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// As the catalog expects; the answer in short.
    Right(String),
    /// Another answer, or none.
    Wrong(String),
    /// Nothing to ask: a page for people, or a parameter in the URL.
    NotAsked(String),
}

/// One vendor, asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub vendor: String,
    pub health: Found,
    pub status_page: Found,
}

impl Found {
    pub fn is_wrong(&self) -> bool {
        matches!(self, Found::Wrong(_))
    }
}

/// Asks vendors over the network.
pub struct VendorCheck {
    net: Net,
}

impl VendorCheck {
    pub fn new(net: Net) -> Self {
        Self { net }
    }

    /// Asks these vendors, some at the same time; in their order.
    pub async fn check(&self, entries: &[&Entry]) -> Vec<Checked> {
        futures::stream::iter(entries)
            .map(|entry| self.check_one(entry))
            .buffered(AT_ONCE)
            .collect()
            .await
    }

    async fn check_one(&self, entry: &Entry) -> Checked {
        Checked {
            vendor: entry.vendor.name.clone(),
            health: self.health(entry).await,
            status_page: self.status_page(entry).await,
        }
    }

    async fn health(&self, entry: &Entry) -> Found {
        let vendor = &entry.vendor;
        let path = &vendor.health.path;
        let url = if path.contains("://") {
            path.clone()
        } else {
            format!(
                "{}/{}",
                vendor.base_url.trim_end_matches('/'),
                path.trim_start_matches('/')
            )
        };
        let Some(url) = with_examples(entry, &url) else {
            return Found::NotAsked("its URL has a parameter: it is asked as a service".to_owned());
        };
        let start = Instant::now();
        let answer = match self.get(entry, &url).await {
            Ok(answer) => answer,
            Err(reason) => return Found::Wrong(format!("{url}: {reason}")),
        };
        let took_ms = start.elapsed().as_millis();
        let expected = &vendor.health.expected_status;
        if !is_expected(expected, answer.status) {
            let status = answer.status;
            return Found::Wrong(format!("{url}: {status}, expected {expected}"));
        }
        let body = String::from_utf8_lossy(&answer.body);
        match &vendor.health.body_contains {
            Some(text) if !body.contains(text) => {
                Found::Wrong(format!("{url}: the body does not contain `{text}`"))
            }
            _ => Found::Right(format!("{} in {took_ms} ms", answer.status)),
        }
    }

    async fn status_page(&self, entry: &Entry) -> Found {
        let Some(page) = &entry.vendor.status_page else {
            return Found::NotAsked("none is known".to_owned());
        };
        let base = page.url.trim_end_matches('/');
        let url = match page.format {
            StatusPageFormat::Statuspage | StatusPageFormat::IncidentIo => {
                format!("{base}/api/v2/summary.json")
            }
            StatusPageFormat::Instatus => format!("{base}/summary.json"),
            StatusPageFormat::BetterStack => format!("{base}/index.json"),
            StatusPageFormat::Feed | StatusPageFormat::Html => page.url.clone(),
        };
        let answer = match self.get(entry, &url).await {
            Ok(answer) => answer,
            Err(reason) => return Found::Wrong(format!("{url}: {reason}")),
        };
        if answer.status != 200 {
            return Found::Wrong(format!("{url}: {}, expected 200", answer.status));
        }
        match said(page.format, &answer.body) {
            Ok(word) => Found::Right(word),
            Err(reason) => Found::Wrong(format!("{url}: {reason}")),
        }
    }

    async fn get(&self, entry: &Entry, url: &str) -> Result<HttpResponse, String> {
        let mut url = url::Url::parse(url).map_err(|error| error.to_string())?;
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.get_once(entry, &url).await?;
            let location = answer
                .headers
                .iter()
                .find(|(name, _)| name == "location")
                .filter(|_| matches!(answer.status, 301 | 302 | 303 | 307 | 308));
            match location {
                Some((_, location))
                    if !is_expected(&entry.vendor.health.expected_status, answer.status) =>
                {
                    url = url.join(location).map_err(|error| error.to_string())?;
                }
                _ => return Ok(answer),
            }
        }
        Err(format!("more than {MAX_REDIRECTS} redirects"))
    }

    async fn get_once(&self, entry: &Entry, url: &url::Url) -> Result<HttpResponse, String> {
        let rule = HostRule::of_url(url).ok_or("the URL has no host")?;
        let permission = Permission {
            hosts: vec![rule],
            public_hosts: Vec::new(),
            // What the operator wrote may be inside.
            allow_private: match entry.file {
                Some(_) => PrivateReach::Open,
                None => PrivateReach::Closed,
            },
            private_remedy: "write an entry of your own under `vendors/`",
            subject: format!("vendor `{}`", entry.vendor.name),
            setting: "the entry of the vendor".to_owned(),
        };
        let mut request = HttpRequest::new("GET", url.as_str(), Instant::now() + TIMEOUT);
        request.own_max_body_bytes = Some(MAX_BODY_BYTES);
        request.decompress = true;
        request.headers = vec![
            (
                "user-agent".to_owned(),
                concat!("extrack/", env!("CARGO_PKG_VERSION")).to_owned(),
            ),
            ("accept".to_owned(), "*/*".to_owned()),
        ];
        let answer = self.net.http(&permission, request).await;
        answer.map_err(|failure| failure.error.to_string())
    }
}

/// Returns a URL with the defaults of the parameters in it; none if one has no default.
fn with_examples(entry: &Entry, url: &str) -> Option<String> {
    let mut url = url.to_owned();
    for (name, parameter) in &entry.vendor.parameters {
        let place = format!("{{{name}}}");
        if url.contains(&place) {
            url = url.replace(&place, parameter.default.as_deref()?);
        }
    }
    Some(url)
}

/// Whether a status is one of those wanted: a number, a class such as `2xx`, a range, or a list of
/// these, as the probe `http` takes them.
fn is_expected(expected: &Value, status: u16) -> bool {
    match expected {
        Value::Number(number) => number.as_u64() == Some(status.into()),
        Value::Array(items) => items.iter().any(|item| is_expected(item, status)),
        Value::String(text) => {
            let class = text
                .strip_suffix("xx")
                .and_then(|digit| digit.parse::<u16>().ok());
            let range = text
                .split_once('-')
                .and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
            match (class, range) {
                (Some(class), _) => status / 100 == class,
                (None, Some((from, to))) => (from..=to).contains(&status),
                (None, None) => text.parse() == Ok(status),
            }
        }
        _ => false,
    }
}

/// Returns the word of a page for its state.
fn said(format: StatusPageFormat, body: &[u8]) -> Result<String, String> {
    let pointer = match format {
        StatusPageFormat::Statuspage | StatusPageFormat::IncidentIo => "/status/indicator",
        StatusPageFormat::Instatus => "/page/status",
        StatusPageFormat::BetterStack => "/data/attributes/aggregate_state",
        StatusPageFormat::Feed => {
            let text = String::from_utf8_lossy(body);
            let is_feed = ["<rss", "<feed", "<rdf:RDF"]
                .iter()
                .any(|tag| text.contains(tag));
            return is_feed
                .then(|| "a feed".to_owned())
                .ok_or_else(|| "is neither RSS nor Atom".to_owned());
        }
        StatusPageFormat::Html => return Ok("a page for people".to_owned()),
    };
    let page: Value = serde_json::from_slice(body)
        .map_err(|_| "is no JSON, so the page has another format".to_owned())?;
    page.pointer(pointer)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| format!("has no `{pointer}`, so the page has another format"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statuses_are_compared_as_the_probe_does() {
        for (expected, status, wanted) in [
            (json!(401), 401, true),
            (json!(401), 200, false),
            (json!("2xx"), 204, true),
            (json!("200-399"), 302, true),
            (json!([200, "4xx"]), 404, true),
            (json!("401"), 401, true),
            (json!(null), 200, false),
        ] {
            assert_eq!(is_expected(&expected, status), wanted, "{expected}");
        }
    }

    #[test]
    fn the_word_of_a_page_is_where_its_format_has_it() {
        let body = |value: Value| value.to_string().into_bytes();
        let statuspage = body(json!({"status": {"indicator": "maintenance"}}));
        assert_eq!(
            said(StatusPageFormat::Statuspage, &statuspage),
            Ok("maintenance".to_owned())
        );
        assert!(said(StatusPageFormat::Instatus, &statuspage).is_err());
        assert!(said(StatusPageFormat::Statuspage, b"<html>").is_err());
        assert_eq!(
            said(StatusPageFormat::Feed, b"<?xml?><rss>"),
            Ok("a feed".to_owned())
        );
    }
}
