//! Details behind the history of a service: phases of its runs, versions of plugins, failed
//! runs, claims of its vendor.

use duckdb::{Connection, params};

use super::error::reading;
use super::read::{FAR_MS, MAX_ROWS};
use super::tables::select;
use super::{ResultError, ResultStore};
use crate::domain::{Observation, UnixMillis};

/// Swaps of plugins that are looked for in one span.
const MAX_SWAPS: i64 = 50;

/// Mean phases of the runs of a slot that found the service up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PhaseSlot {
    pub from_ms: UnixMillis,
    /// DNS, connect, TLS, first byte and body in µs.
    pub phases: [f64; 5],
}

/// First run of a probe under another version of its plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginSwap {
    pub at_ms: UnixMillis,
    pub plugin: String,
    pub from: String,
    pub to: String,
}

/// Incidents of a service beside the claims of its vendor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimSums {
    /// Outages of ours that the vendor claims too.
    pub both: i64,
    pub only_us: i64,
    pub only_vendor: i64,
    /// How many of both we knew first.
    pub us_first: i64,
    /// Median of the seconds from our first failed run to the claim.
    pub lag_s: Option<i64>,
}

impl ResultStore {
    /// Oldest first; slots without a run that has phases are left out.
    pub async fn service_phases(
        &self,
        service: &str,
        width_ms: UnixMillis,
        (since_ms, until_ms): (UnixMillis, UnixMillis),
    ) -> Result<Vec<PhaseSlot>, ResultError> {
        let service = service.to_owned();
        self.read(move |connection| {
            phases(connection, &service, width_ms, (since_ms, until_ms)).map_err(reading)
        })
        .await
    }

    /// Oldest first, of the runs that are kept one by one.
    pub async fn service_swaps(
        &self,
        service: &str,
        (since_ms, until_ms): (UnixMillis, UnixMillis),
    ) -> Result<Vec<PluginSwap>, ResultError> {
        let service = service.to_owned();
        self.read(move |connection| {
            swaps(connection, &service, (since_ms, until_ms)).map_err(reading)
        })
        .await
    }

    pub async fn service_claims(
        &self,
        service: &str,
        since_ms: UnixMillis,
    ) -> Result<ClaimSums, ResultError> {
        let service = service.to_owned();
        self.read(move |connection| claims(connection, &service, since_ms).map_err(reading))
            .await
    }

    /// Runs that found the service down or did not take place, newest first.
    pub async fn observation_failed_page(
        &self,
        service: &str,
        limit: usize,
    ) -> Result<Vec<Observation>, ResultError> {
        let service = service.to_owned();
        self.read(move |connection| {
            select(
                connection,
                "WHERE service = ? AND status IN ('unhealthy', 'error') ORDER BY run_id DESC LIMIT ?",
                params![service, limit.min(MAX_ROWS) as i64],
            )
        })
        .await
    }

    pub async fn observation_get(
        &self,
        service: &str,
        run_id: i64,
    ) -> Result<Option<Observation>, ResultError> {
        let service = service.to_owned();
        let found: Vec<Observation> = self
            .read(move |connection| {
                select(
                    connection,
                    "WHERE service = ? AND run_id = ? LIMIT 1",
                    params![service, run_id],
                )
            })
            .await?;
        Ok(found.into_iter().next())
    }
}

fn phases(
    connection: &Connection,
    service: &str,
    width_ms: UnixMillis,
    (since_ms, until_ms): (UnixMillis, UnixMillis),
) -> duckdb::Result<Vec<PhaseSlot>> {
    let mut statement = connection.prepare(
        "SELECT epoch_ms(time_bucket(to_microseconds(?::BIGINT), ts)) AS from_ms, \
             avg(coalesce(dns_us, 0)) AS dns, avg(coalesce(connect_us, 0)) AS connect, avg(coalesce(tls_us, 0)) AS tls, \
             avg(coalesce(first_byte_us, 0)) AS first_byte, avg(coalesce(body_us, 0)) AS body \
         FROM fact.observations \
         WHERE service = ? AND location <> 'webhook' AND status IN ('healthy', 'degraded') \
             AND excluded IS NULL AND NOT missed AND coalesce(dns_us, connect_us, tls_us, first_byte_us, body_us) IS NOT NULL \
             AND ts >= make_timestamp(? * 1000) AND ts < make_timestamp(? * 1000) \
         GROUP BY ALL ORDER BY from_ms",
    )?;
    let rows = statement.query_map(
        params![width_ms * 1_000, service, since_ms, until_ms],
        |row| {
            Ok(PhaseSlot {
                from_ms: row.get("from_ms")?,
                phases: [
                    row.get("dns")?,
                    row.get("connect")?,
                    row.get("tls")?,
                    row.get("first_byte")?,
                    row.get("body")?,
                ],
            })
        },
    )?;
    rows.collect()
}

fn swaps(
    connection: &Connection,
    service: &str,
    (since_ms, until_ms): (UnixMillis, UnixMillis),
) -> duckdb::Result<Vec<PluginSwap>> {
    let mut statement = connection.prepare(
        "SELECT epoch_ms(ts) AS at_ms, plugin, prior, plugin_version FROM ( \
             SELECT ts, run_id, plugin, plugin_version, \
                 lag(plugin_version) OVER (PARTITION BY probe, plugin ORDER BY run_id) AS prior \
             FROM fact.observations \
             WHERE service = ? AND location <> 'webhook' AND NOT missed AND plugin_version <> '' \
                 AND ts >= make_timestamp(? * 1000) AND ts < make_timestamp(? * 1000) \
         ) AS runs WHERE prior <> plugin_version ORDER BY run_id LIMIT ?",
    )?;
    let rows = statement.query_map(params![service, since_ms, until_ms, MAX_SWAPS], |row| {
        Ok(PluginSwap {
            at_ms: row.get("at_ms")?,
            plugin: row.get("plugin")?,
            from: row.get("prior")?,
            to: row.get("plugin_version")?,
        })
    })?;
    rows.collect()
}

/// Reads the sums of `fact.honesty_between`, which counts an outage once however many claims it has.
fn claims(
    connection: &Connection,
    service: &str,
    since_ms: UnixMillis,
) -> duckdb::Result<ClaimSums> {
    let mut statement = connection.prepare(
        "SELECT we_first, vendor_first, undeclared, only_vendor, lag_p50_s \
         FROM fact.honesty_between(make_timestamp(?::BIGINT), make_timestamp(?::BIGINT)) WHERE service = ?",
    )?;
    let asked = params![since_ms * 1_000, FAR_MS * 1_000, service];
    let mut found = statement.query_map(asked, |row| {
        let us_first: i64 = row.get("we_first")?;
        let vendor_first: i64 = row.get("vendor_first")?;
        Ok(ClaimSums {
            both: us_first + vendor_first,
            only_us: row.get("undeclared")?,
            only_vendor: row.get("only_vendor")?,
            us_first,
            lag_s: row.get("lag_p50_s")?,
        })
    })?;
    found.next().unwrap_or_else(|| Ok(ClaimSums::default()))
}
