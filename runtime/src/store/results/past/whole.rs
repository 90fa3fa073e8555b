//! Whole runs: the last ones, and the last one of each probe. What runs read of rate limits.

use std::collections::{HashMap, HashSet};

use duckdb::Connection;

use super::{Service, moment, positions, text};
use crate::domain::{
    COARSE_MS, LEAST_SAMPLES, Observation, RateLimit, RateLimitReading, UnixMillis,
};
use crate::store::results::ResultError;
use crate::store::results::rate_limits::attach;
use crate::store::results::read::{FAR_MS, MAX_ROWS};
use crate::store::results::tables::{RateLimitRow, select};

/// Time from the moment of a run within which its answers came.
const LONGEST_RUN_MS: i64 = 3_600_000;

/// Runs by the position of their service and their numbers.
type RunKey = (usize, i64);

/// What is read whole.
#[derive(Default)]
struct Wanted {
    last: HashSet<RunKey>,
    latest: HashSet<RunKey>,
    from_ms: UnixMillis,
    until_ms: UnixMillis,
}

pub(super) fn read(connection: &Connection, services: &mut [Service]) -> Result<(), ResultError> {
    let wanted = Wanted::of(services);
    if wanted.last.is_empty() {
        return Ok(());
    }
    let positions = positions(services);
    let slugs: Vec<String> = positions.keys().map(|slug| text(slug)).collect();
    let slugs = format!("service IN ({})", slugs.join(", "));
    let ids: Vec<String> = wanted.ids().map(|id| id.to_string()).collect();
    let ids = ids.join(", ");
    read_runs(connection, services, &wanted, &positions, (&slugs, &ids))?;
    read_limits(connection, services, &wanted, &positions, (&slugs, &ids))
}

impl Wanted {
    fn of(services: &[Service]) -> Self {
        let mut wanted = Self {
            from_ms: UnixMillis::MAX,
            until_ms: UnixMillis::MIN,
            ..Self::default()
        };
        for (number, service) in services.iter().enumerate() {
            let mut sources = HashSet::new();
            for (back, sample) in service.past.samples.iter().rev().enumerate() {
                let is_latest = sources.insert(sample.source);
                let key = (number, sample.run_id);
                if back < LEAST_SAMPLES {
                    wanted.last.insert(key);
                } else if is_latest {
                    wanted.latest.insert(key);
                } else {
                    continue;
                }
                wanted.from_ms = wanted.from_ms.min(sample.ts_ms);
                wanted.until_ms = wanted.until_ms.max(sample.ts_ms + 1);
            }
        }
        wanted
    }

    fn ids(&self) -> impl Iterator<Item = i64> {
        self.last
            .iter()
            .chain(&self.latest)
            .map(|(_, run_id)| *run_id)
    }
}

fn read_runs(
    connection: &Connection,
    services: &mut [Service],
    wanted: &Wanted,
    positions: &HashMap<String, usize>,
    (slugs, ids): (&str, &str),
) -> Result<(), ResultError> {
    let condition = format!(
        "WHERE ts >= {} AND ts < {} AND {slugs} AND run_id IN ({ids}) ORDER BY ts, run_id",
        moment(wanted.from_ms),
        moment(wanted.until_ms)
    );
    let runs: Vec<Observation> = select(connection, &condition, [])?;
    for run in runs {
        let Some(number) = positions.get(&run.service).copied() else {
            continue;
        };
        let Some(service) = services.get_mut(number) else {
            continue;
        };
        let key = (number, run.run_id);
        if wanted.last.contains(&key) {
            service.past.observations.push(run);
        } else if wanted.latest.contains(&key) {
            service.past.latest.push(run);
        }
    }
    Ok(())
}

fn within(from_ms: UnixMillis, until_ms: UnixMillis) -> String {
    let until_ms = until_ms.min(FAR_MS);
    format!("ts >= {} AND ts < {}", moment(from_ms), moment(until_ms))
}

/// Gives whole runs their readings. Of those before, as few are read as a history keeps: one in half
/// a minute of the last hour, and before that one in half an hour.
fn read_limits(
    connection: &Connection,
    services: &mut [Service],
    wanted: &Wanted,
    positions: &HashMap<String, usize>,
    (slugs, ids): (&str, &str),
) -> Result<(), ResultError> {
    let runs_until_ms = wanted.until_ms.saturating_add(LONGEST_RUN_MS);
    let (mut from_ms, mut until_ms) = (wanted.from_ms, runs_until_ms);
    let mut parts = vec![format!(
        "({slugs} AND run_id IN ({ids}) AND {})",
        within(wanted.from_ms, runs_until_ms)
    )];
    for service in services.iter() {
        let span = (service.rows_from_ms, service.span.as_of_ms);
        from_ms = from_ms.min(span.0);
        until_ms = until_ms.max(span.1);
        let slug = text(&service.span.service);
        parts.push(format!("(service = {slug} AND {})", within(span.0, span.1)));
    }
    let (all, parts) = (within(from_ms, until_ms), parts.join(" OR "));
    let hour_ms = wanted.until_ms.saturating_sub(COARSE_MS);
    let condition = format!(
        "WHERE {all} AND ({parts}) QUALIFY run_id IN ({ids}) OR row_number() OVER (\
             PARTITION BY service, host, name, credential, partition_key, \
                 if(ts >= {}, epoch_ms(ts) // 30000, epoch_ms(ts) // 1800000) \
             ORDER BY ts DESC, run_id DESC) = 1 \
         ORDER BY ts DESC, run_id DESC LIMIT {MAX_ROWS}",
        moment(hour_ms)
    );
    let mut rows: Vec<RateLimitRow> = select(connection, &condition, [])?;
    rows.reverse();
    let mut of_runs: HashMap<usize, HashMap<i64, Vec<RateLimit>>> = HashMap::new();
    for row in rows {
        let Some(number) = positions.get(&row.service).copied() else {
            continue;
        };
        let key = (number, row.run_id);
        if wanted.last.contains(&key) || wanted.latest.contains(&key) {
            let limits = of_runs.entry(number).or_default();
            limits.entry(row.run_id).or_default().push(row.limit);
            continue;
        }
        let Some(service) = services.get_mut(number) else {
            continue;
        };
        // Those of later runs come with them.
        let is_before = row.limit.ts_ms < service.span.as_of_ms;
        if is_before && row.limit.ts_ms >= service.rows_from_ms {
            service.past.readings.push(RateLimitReading {
                probe: row.probe.into(),
                limit: row.limit,
            });
        }
    }
    for (number, limits) in of_runs {
        if let Some(service) = services.get_mut(number) {
            attach(&mut service.past.observations, limits.clone());
            attach(&mut service.past.latest, limits);
        }
    }
    Ok(())
}
