//! Figures over spans and services, from the views and macros that users ask as well.

use duckdb::{Connection, Row, ToSql, params};

use super::error::reading;
use super::read::{FAR_MS, MAX_ROWS};
use super::{ResultError, ResultStore, tiers};
use crate::domain::UnixMillis;

/// Two moments, the second of which is not part of the span.
type Span = (UnixMillis, UnixMillis);

/// Row of `alert_noise`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoiseRow {
    pub service: String,
    /// Key of the rule.
    pub rule: String,
    pub alert: String,
    pub severity: String,
    pub fired: i64,
    pub not_acted_on: i64,
    pub refired: i64,
    pub acknowledge_p50_s: Option<i64>,
    pub resolve_p50_s: Option<i64>,
    pub resolve_p90_s: Option<i64>,
    pub last_fired_ms: UnixMillis,
}

/// Row of `vendor_honesty`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HonestyRow {
    pub service: String,
    pub our_incidents: i64,
    pub vendor_incidents: i64,
    pub we_first: i64,
    pub vendor_first: i64,
    pub undeclared: i64,
    pub only_vendor: i64,
    pub lag_p50_s: Option<i64>,
    pub our_s: i64,
    pub vendor_s: i64,
}

/// Row of `service_comparison`.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonRow {
    pub service: String,
    pub availability: Option<f64>,
    pub coverage: Option<f64>,
    pub bad_s: i64,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub incidents: i64,
    pub calls: i64,
    /// Decimal numbers.
    pub cost_min: Option<String>,
    pub cost_max: Option<String>,
    pub currency: Option<String>,
}

/// Row of `slo` with that of `error_budget`.
#[derive(Debug, Clone, PartialEq)]
pub struct SloRow {
    pub service: String,
    pub target: f64,
    pub days: i64,
    pub availability: Option<f64>,
    pub coverage: Option<f64>,
    pub is_met: Option<bool>,
    pub budget_s: i64,
    pub used_s: i64,
    pub left_s: i64,
    pub left_percent: Option<f64>,
    pub burn_rate_1h: Option<f64>,
    pub burn_rate_6h: Option<f64>,
    pub burn_rate_1d: Option<f64>,
}

/// Row of `availability_by_month`.
#[derive(Debug, Clone, PartialEq)]
pub struct MonthRow {
    pub service: String,
    /// `2026-11`
    pub month: String,
    pub availability: Option<f64>,
    pub coverage: Option<f64>,
    pub good_s: i64,
    pub bad_s: i64,
    pub unknown_s: i64,
    pub is_frozen: bool,
    pub revision: i64,
    pub reason: String,
}

/// Times of the phases of runs that were available, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PhaseSums {
    pub runs: i64,
    /// Name resolution, connection, TLS, first byte, body; in µs.
    pub us: [i64; 5],
}

/// Meanings of the columns, by view.
pub(super) const COLUMNS: &[(&str, &[(&str, &str)])] = &[
    (
        "alert_noise",
        &[
            ("service", "slug of the service, or another subject"),
            ("rule", "key of the rule"),
            ("alert", "name of its last alert"),
            ("severity", "severity of its last alert"),
            ("times_fired", "alerts that fired"),
            ("not_acted_on", "alerts that no person touched"),
            (
                "refired",
                "alerts after which the rule fired again within 24 hours",
            ),
            ("acknowledge_p50_s", "median of the seconds to acknowledge"),
            ("resolve_p50_s", "median of the seconds until resolved"),
            (
                "resolve_p90_s",
                "90th percentile of the seconds until resolved",
            ),
            ("last_fired", "when the last of them fired"),
        ],
    ),
    (
        "vendor_honesty",
        &[
            ("service", "slug of the service"),
            ("our_incidents", "outages that our probes found"),
            ("vendor_incidents", "incidents that the vendor declared"),
            (
                "we_first",
                "outages that we knew before the vendor declared them",
            ),
            ("vendor_first", "outages that the vendor declared first"),
            ("undeclared", "outages that the vendor never declared"),
            (
                "only_vendor",
                "claims of the vendor without an outage of ours",
            ),
            (
                "lag_p50_s",
                "median of the seconds from our first failed run to the claim",
            ),
            ("our_s", "seconds of our outages"),
            ("vendor_s", "seconds of the vendor's claims"),
        ],
    ),
    (
        "service_comparison",
        &[
            ("service", "slug of the service"),
            ("availability", "percent of the seconds, rounded down"),
            ("coverage", "percent of the seconds that are known"),
            ("bad_s", "seconds in which it was not available"),
            ("p50_ms", "median latency in ms"),
            ("p95_ms", "95th percentile of the latency in ms"),
            ("p99_ms", "99th percentile of the latency in ms"),
            ("incidents", "outages that lasted into the span"),
            ("calls", "calls of clients"),
            ("cost_min", "cost, at least; null in several currencies"),
            ("cost_max", "cost, at most; null in several currencies"),
            ("currency", "currency of the cost (ISO 4217)"),
        ],
    ),
    (
        "usage_by_hour",
        &[
            ("service", "slug of the service"),
            ("ts", "begin of the hour"),
            ("weekday", "day of the week in UTC; Monday is 1"),
            ("hour", "hour of the day in UTC"),
            ("calls", "calls of clients"),
        ],
    ),
];

impl ResultStore {
    /// Rules by how often their alerts fired in a span, the most first.
    pub async fn alert_noise(&self, span: Span) -> Result<Vec<NoiseRow>, ResultError> {
        let sql = format!(
            "SELECT *, epoch_ms(last_fired) AS last_fired_ms FROM fact.noise_between({SPAN}) LIMIT {MAX_ROWS}"
        );
        self.bound(move |connection| {
            rows(
                connection,
                &sql,
                &[&micros(span.0), &micros(span.1)],
                |row| {
                    Ok(NoiseRow {
                        service: row.get("service")?,
                        rule: row.get("rule")?,
                        alert: row.get("alert")?,
                        severity: row.get("severity")?,
                        fired: row.get("times_fired")?,
                        not_acted_on: row.get("not_acted_on")?,
                        refired: row.get("refired")?,
                        acknowledge_p50_s: row.get("acknowledge_p50_s")?,
                        resolve_p50_s: row.get("resolve_p50_s")?,
                        resolve_p90_s: row.get("resolve_p90_s")?,
                        last_fired_ms: row.get("last_fired_ms")?,
                    })
                },
            )
        })
        .await
    }

    /// Keys of rules with the moments at which their alerts fired in a span.
    pub async fn alert_fired_moments(
        &self,
        span: Span,
    ) -> Result<Vec<(String, UnixMillis)>, ResultError> {
        let sql = format!(
            "SELECT rule, epoch_ms(fired) AS fired_ms FROM fact.alert_lives({SPAN}) ORDER BY fired LIMIT {MAX_ROWS}"
        );
        self.bound(move |connection| {
            rows(
                connection,
                &sql,
                &[&micros(span.0), &micros(span.1)],
                |row| Ok((row.get("rule")?, row.get("fired_ms")?)),
            )
        })
        .await
    }

    /// Services with outages or claims that began in a span, by slug.
    pub async fn vendor_honesty(&self, span: Span) -> Result<Vec<HonestyRow>, ResultError> {
        let sql = format!("SELECT * FROM fact.honesty_between({SPAN}) LIMIT {MAX_ROWS}");
        self.bound(move |connection| {
            rows(
                connection,
                &sql,
                &[&micros(span.0), &micros(span.1)],
                |row| {
                    Ok(HonestyRow {
                        service: row.get("service")?,
                        our_incidents: row.get("our_incidents")?,
                        vendor_incidents: row.get("vendor_incidents")?,
                        we_first: row.get("we_first")?,
                        vendor_first: row.get("vendor_first")?,
                        undeclared: row.get("undeclared")?,
                        only_vendor: row.get("only_vendor")?,
                        lag_p50_s: row.get("lag_p50_s")?,
                        our_s: row.get("our_s")?,
                        vendor_s: row.get("vendor_s")?,
                    })
                },
            )
        })
        .await
    }

    /// Services that were checked in a span, side by side, by slug.
    pub async fn service_comparison(&self, span: Span) -> Result<Vec<ComparisonRow>, ResultError> {
        let sql = format!(
            "SELECT * REPLACE (cost_min::VARCHAR AS cost_min, cost_max::VARCHAR AS cost_max) \
             FROM fact.compared_between({SPAN}) LIMIT {MAX_ROWS}"
        );
        self.bound(move |connection| {
            rows(
                connection,
                &sql,
                &[&micros(span.0), &micros(span.1)],
                |row| {
                    Ok(ComparisonRow {
                        service: row.get("service")?,
                        availability: row.get("availability")?,
                        coverage: row.get("coverage")?,
                        bad_s: row.get("bad_s")?,
                        p50_ms: row.get("p50_ms")?,
                        p95_ms: row.get("p95_ms")?,
                        p99_ms: row.get("p99_ms")?,
                        incidents: row.get("incidents")?,
                        calls: row.get("calls")?,
                        cost_min: row.get("cost_min")?,
                        cost_max: row.get("cost_max")?,
                        currency: row.get("currency")?,
                    })
                },
            )
        })
        .await
    }

    /// Services with an objective behind a slug, by slug.
    pub async fn slo_page(
        &self,
        service: Option<String>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<SloRow>, ResultError> {
        self.bound(move |connection| {
            let sql = "SELECT s.service, s.target, s.days, s.availability, s.coverage, s.is_met, b.budget_s, b.used_s, b.left_s, \
                     b.left_percent, b.burn_rate_1h, b.burn_rate_6h, b.burn_rate_1d \
                 FROM main.slo AS s JOIN main.error_budget AS b ON b.service = s.service \
                 WHERE s.service = coalesce(?, s.service) AND s.service > coalesce(?, '') ORDER BY s.service LIMIT ?";
            let limit = limit.min(MAX_ROWS) as i64;
            rows(connection, sql, &[&service, &after, &limit], |row| {
                Ok(SloRow {
                    service: row.get("service")?,
                    target: row.get("target")?,
                    days: row.get("days")?,
                    availability: row.get("availability")?,
                    coverage: row.get("coverage")?,
                    is_met: row.get("is_met")?,
                    budget_s: row.get("budget_s")?,
                    used_s: row.get("used_s")?,
                    left_s: row.get("left_s")?,
                    left_percent: row.get("left_percent")?,
                    burn_rate_1h: row.get("burn_rate_1h")?,
                    burn_rate_6h: row.get("burn_rate_6h")?,
                    burn_rate_1d: row.get("burn_rate_1d")?,
                })
            })
        })
        .await
    }

    /// Last months of services between two slugs, both among them, oldest first.
    pub async fn month_list(
        &self,
        (first, last): (String, String),
        months: u32,
    ) -> Result<Vec<MonthRow>, ResultError> {
        let sql = format!(
            "SELECT *, strftime(month, '%Y-%m') AS name FROM main.availability_by_month \
             WHERE service BETWEEN ? AND ? AND month > main.utc_now() - to_months({months}) ORDER BY service, month LIMIT {MAX_ROWS}"
        );
        self.bound(move |connection| {
            rows(connection, &sql, &[&first, &last], |row| {
                Ok(MonthRow {
                    service: row.get("service")?,
                    month: row.get("name")?,
                    availability: row.get("availability")?,
                    coverage: row.get("coverage")?,
                    good_s: row.get("good_s")?,
                    bad_s: row.get("bad_s")?,
                    unknown_s: row.get("unknown_s")?,
                    is_frozen: row.get("is_frozen")?,
                    revision: row.get::<_, i64>("revision")?,
                    reason: row.get("reason")?,
                })
            })
        })
        .await
    }

    /// Calls of a service by hours of UTC.
    pub async fn usage_by_hour(
        &self,
        service: &str,
        span: Span,
    ) -> Result<Vec<(UnixMillis, i64)>, ResultError> {
        let service = service.to_owned();
        let sql = format!(
            "SELECT epoch_ms(ts) AS ts_ms, calls FROM main.usage_by_hour \
             WHERE service = ? AND ts >= {MOMENT} AND ts < {MOMENT} ORDER BY ts LIMIT {MAX_ROWS}"
        );
        self.bound(move |connection| {
            let asked: [&dyn ToSql; 3] = [&service, &micros(span.0), &micros(span.1)];
            rows(connection, &sql, &asked, |row| {
                Ok((row.get("ts_ms")?, row.get("calls")?))
            })
        })
        .await
    }

    /// Phases of the runs of a service in a span of whole hours.
    pub async fn phase_sums(&self, service: &str, span: Span) -> Result<PhaseSums, ResultError> {
        let service = service.to_owned();
        let sum = |column: &str| format!("coalesce(sum({column}_sum_us), 0)::BIGINT AS {column}");
        let sums = ["dns", "connect", "tls", "first_byte", "body"].map(sum);
        let sql = format!(
            "SELECT coalesce(sum(lat_n), 0)::BIGINT AS runs, {} FROM main.roll_1h \
             WHERE service = ? AND location <> 'webhook' AND ts >= {MOMENT} AND ts < {MOMENT}",
            sums.join(", ")
        );
        self.bound(move |connection| {
            let asked = params![service, micros(span.0), micros(span.1)];
            connection.query_row(&sql, asked, |row| {
                Ok(PhaseSums {
                    runs: row.get("runs")?,
                    us: [
                        row.get("dns")?,
                        row.get("connect")?,
                        row.get("tls")?,
                        row.get("first_byte")?,
                        row.get("body")?,
                    ],
                })
            })
        })
        .await
    }

    /// Asks within one transaction, so that the views and their marks are of one moment.
    async fn bound<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Connection) -> duckdb::Result<T> + Send + 'static,
    ) -> Result<T, ResultError> {
        self.read(move |connection| {
            connection.execute_batch("BEGIN").map_err(reading)?;
            let answer = tiers::bind(connection).and_then(|()| ask(connection));
            let ended = connection.execute_batch("ROLLBACK").map_err(reading);
            answer
                .map_err(reading)
                .and_then(|answer| ended.map(|()| answer))
        })
        .await
    }
}

const MOMENT: &str = "make_timestamp(?::BIGINT)";

/// Arguments of the macros over a span.
const SPAN: &str = "make_timestamp(?::BIGINT), make_timestamp(?::BIGINT)";

fn micros(ms: UnixMillis) -> i64 {
    ms.clamp(0, FAR_MS) * 1_000
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    asked: &[&dyn ToSql],
    read: impl FnMut(&Row<'_>) -> duckdb::Result<T>,
) -> duckdb::Result<Vec<T>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map(asked, read)?;
    rows.collect()
}
