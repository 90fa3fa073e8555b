//! Histories of several services at once, for pages that list them.

use std::collections::BTreeMap;

use duckdb::{Connection, ToSql};

use super::super::error::reading;
use super::super::{ResultError, ResultStore, tiers};
use super::{HistorySlot, Latencies};
use crate::domain::{IncidentSource, LATENCY_BINS, Tier, UnixMillis};

/// Limit of the incidents in one answer; those that last are in it, then the last to
/// begin.
const MAX_INCIDENTS: usize = 1_000;
/// The same of claims of vendors, which reach back further.
const MAX_CLAIMS: usize = 10_000;

/// Spans of time, each up to a moment.
#[derive(Debug, Clone, Copy)]
pub struct HistorySpans {
    pub days_from_ms: UnixMillis,
    pub hours_from_ms: UnixMillis,
    pub incidents_from_ms: UnixMillis,
    /// None: claims of vendors are not asked for.
    pub claims_from_ms: Option<UnixMillis>,
    pub until_ms: UnixMillis,
}

/// What is known of services, each by slug; those without a run are left out.
#[derive(Debug, Clone, Default)]
pub struct ServiceHistories {
    /// Days of UTC without latencies, oldest first.
    pub days: BTreeMap<String, Vec<HistorySlot>>,
    /// Sums over the hours.
    pub hours: BTreeMap<String, HistorySlot>,
    /// Incidents that lasted into their span or began in it: those that last first, then the last to
    /// begin.
    pub incidents: Vec<BareIncident>,
    /// Incidents that vendors declared, as far as they were asked for.
    pub claims: BTreeMap<String, Vec<BareIncident>>,
}

/// Incident without the texts about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BareIncident {
    pub id: i64,
    pub service: String,
    pub started_ms: UnixMillis,
    pub ended_ms: Option<UnixMillis>,
    pub kind: String,
    pub source: String,
    pub error_kind: Option<String>,
}

impl ResultStore {
    /// Reads the histories of services in one go, as of one moment.
    pub async fn service_histories(
        &self,
        services: Vec<String>,
        spans: HistorySpans,
    ) -> Result<ServiceHistories, ResultError> {
        if services.is_empty() {
            return Ok(ServiceHistories::default());
        }
        self.read(move |connection| {
            connection.execute_batch("BEGIN").map_err(reading)?;
            let found = histories(connection, &services, spans);
            let ended = connection.execute_batch("ROLLBACK").map_err(reading);
            found
                .map_err(reading)
                .and_then(|found| ended.map(|()| found))
        })
        .await
    }
}

fn histories(
    connection: &Connection,
    services: &[String],
    spans: HistorySpans,
) -> duckdb::Result<ServiceHistories> {
    connection.execute_batch(&tiers::variables(connection)?)?;
    let days = slots(
        connection,
        services,
        Tier::Day,
        (spans.days_from_ms, spans.until_ms),
    )?;
    let span = (spans.hours_from_ms, spans.until_ms);
    let mut latencies = latencies(connection, services, span)?;
    let sum = |(service, slots): (String, Vec<HistorySlot>)| {
        let mut sum = HistorySlot::default();
        slots.iter().for_each(|slot| sum.add(slot));
        sum.latencies = latencies.remove(&service).unwrap_or_default();
        (service, sum)
    };
    let hours = slots(connection, services, Tier::Hour, span)?
        .into_iter()
        .map(sum)
        .collect();
    let mut claims: BTreeMap<String, Vec<BareIncident>> = BTreeMap::new();
    if let Some(from_ms) = spans.claims_from_ms {
        let sources = &[IncidentSource::Vendor];
        for claim in incidents(connection, services, sources, from_ms, MAX_CLAIMS)? {
            claims.entry(claim.service.clone()).or_default().push(claim);
        }
    }
    let (sources, from_ms) = (&IncidentSource::ALL, spans.incidents_from_ms);
    Ok(ServiceHistories {
        days,
        hours,
        incidents: incidents(connection, services, sources, from_ms, MAX_INCIDENTS)?,
        claims,
    })
}

/// Returns a condition for these services, with a `?` for each.
fn among(services: &[String]) -> String {
    format!("service IN ({})", vec!["?"; services.len()].join(", "))
}

/// Returns the services, then the moments, as parameters of a statement.
fn parameters<'p>(
    services: &'p [String],
    moments: impl IntoIterator<Item = &'p UnixMillis>,
) -> Vec<&'p dyn ToSql> {
    let services = services.iter().map(|service| service as &dyn ToSql);
    let moments = moments.into_iter().map(|moment| moment as &dyn ToSql);
    services.chain(moments).collect()
}

fn slots(
    connection: &Connection,
    services: &[String],
    tier: Tier,
    span: (UnixMillis, UnixMillis),
) -> duckdb::Result<BTreeMap<String, Vec<HistorySlot>>> {
    let sql = format!(
        "SELECT service, epoch_ms(ts) AS from_ms, sum(healthy)::BIGINT AS healthy, \
             sum(degraded)::BIGINT AS degraded, sum(unhealthy)::BIGINT AS unhealthy, \
             sum(error)::BIGINT AS error, sum(missed)::BIGINT AS missed, sum(broken)::BIGINT AS broken, \
             sum(paused + maintenance)::BIGINT AS excluded \
         FROM main.roll_{} WHERE {} AND location <> 'webhook' \
             AND ts >= make_timestamp(? * 1000) AND ts < make_timestamp(? * 1000) \
         GROUP BY ALL ORDER BY service, from_ms",
        tier.as_str(),
        among(services)
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(parameters(services, [&span.0, &span.1]).as_slice())?;
    let mut found: BTreeMap<String, Vec<HistorySlot>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let count = |name: &str| row.get::<_, i64>(name).map(i64::unsigned_abs);
        let slot = HistorySlot {
            from_ms: row.get("from_ms")?,
            healthy: count("healthy")?,
            degraded: count("degraded")?,
            unhealthy: count("unhealthy")?,
            error: count("error")?,
            missed: count("missed")?,
            broken: count("broken")?,
            excluded: count("excluded")?,
            latencies: Latencies::default(),
        };
        found.entry(row.get("service")?).or_default().push(slot);
    }
    Ok(found)
}

fn latencies(
    connection: &Connection,
    services: &[String],
    span: (UnixMillis, UnixMillis),
) -> duckdb::Result<BTreeMap<String, Latencies>> {
    let sql = format!(
        "SELECT service, bin, sum(n)::BIGINT AS runs FROM main.hist_1h \
         WHERE {} AND location <> 'webhook' \
             AND ts >= make_timestamp(? * 1000) AND ts < make_timestamp(? * 1000) GROUP BY ALL",
        among(services)
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(parameters(services, [&span.0, &span.1]).as_slice())?;
    let mut found: BTreeMap<String, Latencies> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let bin: i64 = row.get("bin")?;
        let bin = bin.clamp(0, LATENCY_BINS as i64 - 1) as u16;
        let runs = row.get::<_, i64>("runs")?.unsigned_abs();
        found
            .entry(row.get("service")?)
            .or_default()
            .0
            .insert(bin, runs);
    }
    Ok(found)
}

fn incidents(
    connection: &Connection,
    services: &[String],
    sources: &[IncidentSource],
    from_ms: UnixMillis,
    limit: usize,
) -> duckdb::Result<Vec<BareIncident>> {
    let sources = sources
        .iter()
        .map(|source| format!("'{}'", source.as_str()));
    let sources = sources.collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT id, service, epoch_ms(started) AS started_ms, epoch_ms(ended) AS ended_ms, kind, source, error_kind \
         FROM main.incidents WHERE {} AND source IN ({sources}) AND (ended IS NULL OR epoch_ms(ended) >= ?) \
         ORDER BY ended IS NULL DESC, started DESC, id DESC LIMIT {limit}",
        among(services)
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(parameters(services, [&from_ms]).as_slice(), |row| {
        Ok(BareIncident {
            id: row.get("id")?,
            service: row.get("service")?,
            started_ms: row.get("started_ms")?,
            ended_ms: row.get("ended_ms")?,
            kind: row.get("kind")?,
            source: row.get("source")?,
            error_kind: row.get("error_kind")?,
        })
    })?;
    rows.collect()
}
