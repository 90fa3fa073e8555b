//! The history of one service in slots of one width, from the tiers, for charts and sums.

mod many;

pub use many::{BareIncident, HistorySpans, ServiceHistories};

use std::collections::BTreeMap;

use duckdb::{Connection, params};

use super::error::reading;
use super::{ResultError, ResultStore, tiers};
use crate::domain::{LATENCY_BINS, Tier, UnixMillis, latency_bin, latency_bin_estimate_us};

/// No answer has more slots: a question for more ends where they are used up.
const MAX_SLOTS: i64 = 1_000;

/// Runs of all probes of a service in one slot. Its reports on itself are not among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistorySlot {
    pub from_ms: UnixMillis,
    pub healthy: u64,
    pub degraded: u64,
    pub unhealthy: u64,
    pub error: u64,
    pub missed: u64,
    pub broken: u64,
    /// Within a maintenance window, or while the service was paused.
    pub excluded: u64,
    /// Latencies of runs that found the service available.
    pub latencies: Latencies,
}

impl HistorySlot {
    pub fn up(&self) -> u64 {
        self.healthy + self.degraded
    }

    pub fn down(&self) -> u64 {
        self.unhealthy + self.error
    }

    /// Adds another slot; the moment stays.
    pub fn add(&mut self, other: &HistorySlot) {
        self.healthy += other.healthy;
        self.degraded += other.degraded;
        self.unhealthy += other.unhealthy;
        self.error += other.error;
        self.missed += other.missed;
        self.broken += other.broken;
        self.excluded += other.excluded;
        self.latencies.add(&other.latencies);
    }
}

/// Histogram: runs by bin, see [`crate::domain::latency_bin`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latencies(BTreeMap<u16, u64>);

impl Latencies {
    /// Histogram of latencies in µs.
    pub fn of(latencies_us: impl IntoIterator<Item = u64>) -> Self {
        let mut bins = BTreeMap::new();
        for latency_us in latencies_us {
            *bins.entry(latency_bin(latency_us)).or_default() += 1;
        }
        Self(bins)
    }

    /// Returns a quantile by nearest rank in µs, within 2.5 % of the exact one; none without runs.
    pub fn quantile_us(&self, quantile: f64) -> Option<u64> {
        let total: u64 = self.0.values().sum();
        let rank = ((quantile * total as f64).ceil() as u64).clamp(1, total.max(1));
        let mut so_far = 0;
        let (bin, _) = self.0.iter().find(|(_, runs)| {
            so_far += **runs;
            so_far >= rank
        })?;
        Some(latency_bin_estimate_us(*bin).round() as u64)
    }

    /// Returns runs by bin, the fastest first.
    pub fn bins(&self) -> impl Iterator<Item = (u16, u64)> {
        self.0.iter().map(|(bin, runs)| (*bin, *runs))
    }

    fn add(&mut self, other: &Latencies) {
        for (bin, runs) in &other.0 {
            *self.0.entry(*bin).or_default() += runs;
        }
    }
}

impl ResultStore {
    /// Slots of a service between two moments, oldest first; those without a run are left out. The
    /// width is in whole slots of the tier and divides a day, or is one.
    pub async fn service_history(
        &self,
        service: &str,
        tier: Tier,
        width_ms: UnixMillis,
        (since_ms, until_ms): (UnixMillis, UnixMillis),
    ) -> Result<Vec<HistorySlot>, ResultError> {
        let service = service.to_owned();
        let until_ms = until_ms.min(since_ms.saturating_add(width_ms * MAX_SLOTS));
        self.read(move |connection| {
            // The views and their marks are of one moment.
            connection.execute_batch("BEGIN").map_err(reading)?;
            let slots = slots(connection, &service, tier, width_ms, (since_ms, until_ms));
            let ended = connection.execute_batch("ROLLBACK").map_err(reading);
            slots
                .map_err(reading)
                .and_then(|slots| ended.map(|()| slots))
        })
        .await
    }
}

fn slots(
    connection: &Connection,
    service: &str,
    tier: Tier,
    width_ms: UnixMillis,
    (since_ms, until_ms): (UnixMillis, UnixMillis),
) -> duckdb::Result<Vec<HistorySlot>> {
    connection.execute_batch(&tiers::variables(connection)?)?;
    let tier = tier.as_str();
    let asked = params![width_ms * 1_000, service, since_ms, until_ms];
    let condition = "WHERE service = ? AND location <> 'webhook' \
         AND ts >= make_timestamp(? * 1000) AND ts < make_timestamp(? * 1000)";
    let slot = "epoch_ms(time_bucket(to_microseconds(?::BIGINT), ts)) AS from_ms";
    let mut slots: BTreeMap<UnixMillis, HistorySlot> = BTreeMap::new();
    let sql = format!(
        "SELECT {slot}, sum(healthy)::BIGINT AS healthy, sum(degraded)::BIGINT AS degraded, \
             sum(unhealthy)::BIGINT AS unhealthy, sum(error)::BIGINT AS error, sum(missed)::BIGINT AS missed, \
             sum(broken)::BIGINT AS broken, sum(paused + maintenance)::BIGINT AS excluded \
         FROM main.roll_{tier} {condition} GROUP BY ALL"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(asked)?;
    while let Some(row) = rows.next()? {
        let count = |name: &str| row.get::<_, i64>(name).map(i64::unsigned_abs);
        let from_ms = row.get("from_ms")?;
        let slot = HistorySlot {
            from_ms,
            healthy: count("healthy")?,
            degraded: count("degraded")?,
            unhealthy: count("unhealthy")?,
            error: count("error")?,
            missed: count("missed")?,
            broken: count("broken")?,
            excluded: count("excluded")?,
            latencies: Latencies::default(),
        };
        slots.insert(from_ms, slot);
    }
    let sql = format!(
        "SELECT {slot}, bin, sum(n)::BIGINT AS runs FROM main.hist_{tier} {condition} GROUP BY ALL"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(asked)?;
    while let Some(row) = rows.next()? {
        let bin: i64 = row.get("bin")?;
        let bin = bin.clamp(0, LATENCY_BINS as i64 - 1) as u16;
        if let Some(slot) = slots.get_mut(&row.get("from_ms")?) {
            slot.latencies
                .0
                .insert(bin, row.get::<_, i64>("runs")?.unsigned_abs());
        }
    }
    Ok(slots.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_all_slots_together() {
        let estimate = |us| Some(latency_bin_estimate_us(latency_bin(us)).round() as u64);
        let mut slots = Latencies::of([80_000; 90]);
        assert_eq!(Latencies::default().quantile_us(0.5), None);
        assert_eq!(slots.quantile_us(0.5), estimate(80_000));
        slots.add(&Latencies::of([400_000; 200]));
        assert_eq!(slots.quantile_us(0.5), estimate(400_000));
        assert_eq!(slots.quantile_us(0.3), estimate(80_000));
    }
}
