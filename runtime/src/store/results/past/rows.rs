//! The last runs, by what windows are made of.

use duckdb::Connection;
use duckdb::arrow::array::{Array, BooleanArray, Int64Array, StringArray};

use super::{Columns, Part, Service, read_batches, select_parts};
use crate::domain::{LEAST_SAMPLES, MAX_SAMPLES, RunSample, Status};
use crate::store::results::ResultError;

/// Samples of one service in memory while they are read: they come in any order.
const MOST_WAITING: usize = 4 * MAX_SAMPLES;

const COLUMNS: &str = "epoch_ms(t.ts) AS ts_ms, t.run_id, t.probe, t.location, t.status, \
     t.latency_us::BIGINT AS latency_us, t.excluded IS NOT NULL AS is_excluded";

/// As [`Observation::is_check_broken`](crate::domain::Observation::is_check_broken) has it.
const IS_NEWS: &str = "NOT t.missed AND (coalesce(t.error_kind, '') <> 'plugin' OR t.status IN ('healthy', 'degraded'))";

/// Reads half a day of each service, and as many runs in a row as rules may count of those that run
/// rarely.
pub(super) fn read(connection: &Connection, services: &mut [Service]) -> Result<(), ResultError> {
    let all: Vec<usize> = (0..services.len()).collect();
    read_some(connection, services, &all)?;
    let mut rare = Vec::new();
    for (number, service) in services.iter_mut().enumerate() {
        let from_ms = service.span.rows_from_ms(service.span.in_a_row_ms());
        if service.past.samples.len() < LEAST_SAMPLES && from_ms < service.rows_from_ms {
            service.rows_from_ms = from_ms;
            service.past.samples.clear();
            rare.push(number);
        }
    }
    read_some(connection, services, &rare)
}

fn read_some(
    connection: &Connection,
    services: &mut [Service],
    numbers: &[usize],
) -> Result<(), ResultError> {
    let parts: Vec<Part> = numbers
        .iter()
        .filter_map(|number| services.get(*number).map(|service| (*number, service)))
        .map(|(number, service)| Part {
            number,
            slug: &service.span.service,
            from_ms: service.rows_from_ms,
            until_ms: service.span.until_ms,
        })
        .collect();
    let Some(sql) = select_parts(COLUMNS, "fact.observations", IS_NEWS, &parts) else {
        return Ok(());
    };
    read_batches(connection, &sql, |batch| take(batch, services))?;
    for number in numbers {
        if let Some(service) = services.get_mut(*number) {
            service.cut();
        }
    }
    Ok(())
}

fn take(batch: &Columns<'_>, services: &mut [Service]) -> Result<(), ResultError> {
    let number: &Int64Array = batch.get("number")?;
    let ts_ms: &Int64Array = batch.get("ts_ms")?;
    let run_id: &Int64Array = batch.get("run_id")?;
    let probe: &StringArray = batch.get("probe")?;
    let location: &StringArray = batch.get("location")?;
    let status: &StringArray = batch.get("status")?;
    let latency_us: &Int64Array = batch.get("latency_us")?;
    let is_excluded: &BooleanArray = batch.get("is_excluded")?;
    for row in batch.rows() {
        // A status of a later version of the program counts for nobody here.
        let (Some(service), Some(status)) = (
            services.get_mut(number.value(row) as usize),
            Status::parse(status.value(row)),
        ) else {
            continue;
        };
        if ts_ms.value(row) < service.rows_from_ms {
            continue;
        }
        let latency_us = latency_us
            .is_valid(row)
            .then(|| latency_us.value(row).unsigned_abs());
        let sample = RunSample {
            source: service.past.source(probe.value(row), location.value(row)),
            ts_ms: ts_ms.value(row),
            run_id: run_id.value(row),
            status,
            latency_us,
            is_excluded: is_excluded.value(row),
        };
        service.past.samples.push(sample);
        let waiting = service.past.samples.len();
        if waiting >= MOST_WAITING && waiting.is_power_of_two() {
            service.cut();
        }
    }
    Ok(())
}

impl Service {
    /// Puts the samples in order, and leaves out those of slots that lie before the last ones.
    fn cut(&mut self) {
        let samples = &mut self.past.samples;
        samples.sort_unstable_by_key(|sample| (sample.ts_ms, sample.run_id));
        let Some(first) = samples
            .len()
            .checked_sub(MAX_SAMPLES)
            .filter(|before| *before > 0)
            .and_then(|before| samples.get(before))
        else {
            return;
        };
        // What is there when the history begins was not counted.
        let first_ms = first.ts_ms.min(self.span.as_of_ms);
        let from_ms = self.slot_of(first_ms).max(self.rows_from_ms);
        self.rows_from_ms = from_ms;
        self.past.samples.retain(|sample| sample.ts_ms >= from_ms);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::results::PastSpan;

    #[test]
    fn the_last_samples_are_kept_from_the_beginning_of_a_slot_on() {
        let as_of_ms = 1_795_392_000_000;
        let mut service = Service::new(PastSpan {
            service: "shop-api".to_owned(),
            since_ms: 0,
            until_ms: i64::MAX,
            as_of_ms,
            interval: Duration::from_secs(2),
        });
        let sample = |number: i64| RunSample {
            source: 0,
            ts_ms: as_of_ms - number * 2_000,
            run_id: -number,
            status: Status::Healthy,
            latency_us: None,
            is_excluded: false,
        };
        service.past.samples.extend((0..20_000).map(sample));
        service.cut();
        let samples = &service.past.samples;
        assert_eq!(service.rows_from_ms % 300_000, 0);
        assert!(service.rows_from_ms > as_of_ms - 12 * 3_600_000);
        assert!(
            (MAX_SAMPLES..=MAX_SAMPLES + 150).contains(&samples.len()),
            "{}",
            samples.len()
        );
        assert_eq!(
            (samples[0].ts_ms, samples[samples.len() - 1].run_id),
            (service.rows_from_ms, 0)
        );
        assert!(samples.is_sorted_by_key(|sample| sample.ts_ms));
    }
}
