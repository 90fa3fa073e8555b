//! Calls of a service that are allowed through the gateway: which, by whom, and how many.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{UnitRules, UnixMillis};

/// Settings of the gateway for one service that is open to consumers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySettings {
    /// Methods that pass, in upper case.
    pub methods: Vec<String>,
    /// Patterns of the paths that pass.
    pub paths: Vec<String>,
    /// Name of the service's credential that is added.
    pub credential: Option<String>,
    /// Name in `Host` under which the service is reached, beside `/gateway/SLUG/`; in lower case.
    pub host: Option<String>,
    /// Time without a byte of progress until the head of the answer.
    pub timeout: Duration,
    /// Calls at the same time.
    pub max_in_flight: usize,
    /// Most repetitions of a call that failed and may be repeated.
    pub retries: u32,
    pub on_cancel: OnCancel,
    #[serde(default)]
    pub http: VendorHttp,
    pub quotas: Vec<Quota>,
    /// Units that are read in its answers.
    #[serde(default)]
    pub units: UnitRules,
    /// None: no answer is kept.
    #[serde(default)]
    pub cache: Option<CacheSettings>,
}

/// Answers that are kept in memory, by the rules for shared caches (RFC 9111).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheSettings {
    /// Patterns of the paths whose answers are kept; none: all.
    pub paths: Vec<String>,
    /// Consumers have each other's answers.
    pub shared: bool,
    pub max_bytes: usize,
    pub max_entries: usize,
}

/// Fate of the vendor's answer when the client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnCancel {
    /// The connection to the vendor is closed.
    Cut,
    /// The answer is read to its end and thrown away, so that its units are known.
    Drain,
}

/// Versions of HTTP that a vendor is called by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VendorHttp {
    /// HTTP/2 where its TLS offers it, else HTTP/1.1.
    #[default]
    Negotiated,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone: with prior knowledge where there is no TLS.
    Http2,
}

/// Most calls in a window of the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    pub scope: QuotaScope,
    pub window: QuotaWindow,
    pub calls: u64,
}

/// Callers whose calls a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuotaScope {
    /// Each consumer's by itself.
    Consumer,
    /// All consumers' together.
    Service,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuotaWindow {
    Minute,
    Hour,
    Day,
    Month,
}

impl QuotaWindow {
    pub const ALL: [QuotaWindow; 4] = [
        QuotaWindow::Minute,
        QuotaWindow::Hour,
        QuotaWindow::Day,
        QuotaWindow::Month,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            QuotaWindow::Minute => "minute",
            QuotaWindow::Hour => "hour",
            QuotaWindow::Day => "day",
            QuotaWindow::Month => "month",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.as_str() == word)
    }

    /// Returns begin and end of the window around a moment.
    pub fn around(self, now_ms: UnixMillis) -> (UnixMillis, UnixMillis) {
        const MINUTE_MS: i64 = 60_000;
        let even = |length: i64| {
            let start = now_ms.div_euclid(length).saturating_mul(length);
            (start, start.saturating_add(length))
        };
        match self {
            QuotaWindow::Minute => even(MINUTE_MS),
            QuotaWindow::Hour => even(60 * MINUTE_MS),
            QuotaWindow::Day => even(1_440 * MINUTE_MS),
            QuotaWindow::Month => {
                month_around(now_ms).unwrap_or_else(|| even(30 * 1_440 * MINUTE_MS))
            }
        }
    }
}

fn month_around(now_ms: UnixMillis) -> Option<(UnixMillis, UnixMillis)> {
    let utc = jiff::tz::TimeZone::UTC;
    let day = jiff::Timestamp::from_millisecond(now_ms)
        .ok()?
        .to_zoned(utc.clone())
        .date()
        .first_of_month();
    let next = day.checked_add(jiff::Span::new().months(1)).ok()?;
    let ms = |date: jiff::civil::Date| {
        Some(
            date.to_zoned(utc.clone())
                .ok()?
                .timestamp()
                .as_millisecond(),
        )
    };
    Some((ms(day)?, ms(next)?))
}

/// Caller of services through the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    pub id: i64,
    /// Unique.
    pub name: Arc<str>,
    /// Slugs of the services it may call; `*` for all.
    pub services: Vec<String>,
    pub created_ms: UnixMillis,
    /// Name of the token it was made with.
    pub created_by: String,
}

impl Consumer {
    pub const EVERY_SERVICE: &'static str = "*";

    pub fn may_call(&self, service: &str) -> bool {
        self.services
            .iter()
            .any(|slug| slug == service || slug == Self::EVERY_SERVICE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_the_calendar() {
        let ms = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let now = ms("2028-02-29T23:59:59.999Z");
        for (window, from, to) in [
            (
                QuotaWindow::Minute,
                "2028-02-29T23:59:00Z",
                "2028-03-01T00:00:00Z",
            ),
            (
                QuotaWindow::Hour,
                "2028-02-29T23:00:00Z",
                "2028-03-01T00:00:00Z",
            ),
            (
                QuotaWindow::Day,
                "2028-02-29T00:00:00Z",
                "2028-03-01T00:00:00Z",
            ),
            (
                QuotaWindow::Month,
                "2028-02-01T00:00:00Z",
                "2028-03-01T00:00:00Z",
            ),
        ] {
            assert_eq!(window.around(now), (ms(from), ms(to)), "{window:?}");
        }
        assert_eq!(
            QuotaWindow::Month.around(ms("2026-12-31T00:00:00Z")).1,
            ms("2027-01-01T00:00:00Z")
        );
    }
}
