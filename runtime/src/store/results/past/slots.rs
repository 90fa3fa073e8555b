//! Runs before those that are read one by one, from the tiers: by five minutes, and by the hour where
//! a history has hours as well.

use std::collections::HashMap;
use std::time::Duration;

use duckdb::Connection;
use duckdb::arrow::array::{Int64Array, StringArray};

use super::{Columns, Part, Service, floor, read_batches, select_parts};
use crate::domain::{COARSE_MS, FINE_MS, RunSlot, Tier, UnixMillis, fine_from_ms};
use crate::store::results::ResultError;
use crate::store::results::error::reading;
use crate::store::results::tiers::Marks;

/// Slots of one service: those of thirty days of sixty probes. More are left out.
const MOST_SLOTS: usize = 100_000;

/// Runs of a slot from which on an interval is read.
const RUNS_THAT_SHOW: u64 = 10;

const COUNTS: [&str; 4] = ["healthy", "degraded", "unhealthy", "error"];

/// Slots of a service by source and beginning.
#[derive(Default)]
struct Found {
    positions: HashMap<(u16, UnixMillis), usize>,
    /// The one before: rows of a slot lie together.
    last: Option<((u16, UnixMillis), usize)>,
}

pub(super) fn read(connection: &Connection, services: &mut [Service]) -> Result<(), ResultError> {
    let kept_from = Marks::read(connection)
        .map_err(reading)?
        .kept_from(Some(Tier::FiveMinutes));
    let mut found: Vec<Found> = services.iter().map(|_| Found::default()).collect();
    for tier in [Tier::Hour, Tier::FiveMinutes] {
        let parts = parts(services, tier, kept_from.div_euclid(1_000));
        let name = tier.as_str();
        let columns = "epoch_ms(t.ts) AS start_ms, t.probe, t.location, t.healthy, t.degraded, t.unhealthy, t.error";
        let is_news = "t.healthy + t.degraded + t.unhealthy + t.error > 0";
        let rolls = select_parts(columns, &format!("main.roll_{name}"), is_news, &parts);
        let columns = "epoch_ms(t.ts) AS start_ms, t.probe, t.location, t.bin::BIGINT AS bin, t.n";
        let bins = select_parts(columns, &format!("main.hist_{name}"), "t.n > 0", &parts);
        if let (Some(rolls), Some(bins)) = (rolls, bins) {
            read_batches(connection, &rolls, |batch| {
                take_counts(batch, services, &mut found)
            })?;
            read_batches(connection, &bins, |batch| {
                take_bins(batch, services, &mut found)
            })?;
        }
    }
    for service in services {
        service.finish();
    }
    Ok(())
}

/// Returns what is read of a tier. Where five minutes were removed already there are hours.
fn parts(services: &[Service], tier: Tier, fine_kept_from_ms: UnixMillis) -> Vec<Part<'_>> {
    let fine_kept_from_ms = floor(fine_kept_from_ms + COARSE_MS - 1, COARSE_MS);
    let mut parts = Vec::new();
    for (number, service) in services.iter().enumerate() {
        let (since_ms, rows_from_ms) = (service.span.since_ms, service.rows_from_ms);
        let fine_from_ms = fine_from_ms(service.span.as_of_ms).max(fine_kept_from_ms);
        let (from_ms, until_ms) = if tier == Tier::FiveMinutes {
            (floor(since_ms, FINE_MS).max(fine_from_ms), rows_from_ms)
        } else {
            (floor(since_ms, COARSE_MS), fine_from_ms.min(rows_from_ms))
        };
        // Without a slot before it, what is read one by one does not begin with one.
        if since_ms < rows_from_ms && from_ms < until_ms {
            parts.push(Part {
                number,
                slug: &service.span.service,
                from_ms,
                until_ms,
            });
        }
    }
    parts
}

fn take_counts(
    batch: &Columns<'_>,
    services: &mut [Service],
    found: &mut [Found],
) -> Result<(), ResultError> {
    let keys = Keys::of(batch)?;
    let [healthy, degraded, unhealthy, error] = COUNTS.map(|name| batch.get::<Int64Array>(name));
    let counts = [healthy?, degraded?, unhealthy?, error?];
    for row in batch.rows() {
        let Some((service, found)) = keys.service(row, services, found) else {
            continue;
        };
        let key = keys.slot(row, service);
        let slots = &mut service.past.slots;
        if slots.len() >= MOST_SLOTS {
            continue;
        }
        found.positions.insert(key, slots.len());
        slots.push(RunSlot {
            source: key.0,
            start_ms: key.1,
            runs: counts.map(|count| count.value(row).unsigned_abs()),
            latencies: Vec::new(),
            covered_ms: 0,
        });
    }
    Ok(())
}

fn take_bins(
    batch: &Columns<'_>,
    services: &mut [Service],
    found: &mut [Found],
) -> Result<(), ResultError> {
    let keys = Keys::of(batch)?;
    let (bin, runs): (&Int64Array, &Int64Array) = (batch.get("bin")?, batch.get("n")?);
    for row in batch.rows() {
        let Some((service, found)) = keys.service(row, services, found) else {
            continue;
        };
        let key = keys.slot(row, service);
        let position = match found.last {
            Some((last, position)) if last == key => Some(position),
            _ => found.positions.get(&key).copied(),
        };
        let Some(position) = position else { continue };
        found.last = Some((key, position));
        if let Some(slot) = service.past.slots.get_mut(position) {
            let bin = u16::try_from(bin.value(row)).unwrap_or_default();
            slot.latencies.push((bin, runs.value(row).unsigned_abs()));
        }
    }
    Ok(())
}

/// Columns that say which slot a row is of.
struct Keys<'a> {
    number: &'a Int64Array,
    start_ms: &'a Int64Array,
    probe: &'a StringArray,
    location: &'a StringArray,
}

impl<'a> Keys<'a> {
    fn of(batch: &Columns<'a>) -> Result<Self, ResultError> {
        Ok(Self {
            number: batch.get("number")?,
            start_ms: batch.get("start_ms")?,
            probe: batch.get("probe")?,
            location: batch.get("location")?,
        })
    }

    fn service<'s>(
        &self,
        row: usize,
        services: &'s mut [Service],
        found: &'s mut [Found],
    ) -> Option<(&'s mut Service, &'s mut Found)> {
        let number = usize::try_from(self.number.value(row)).ok()?;
        services.get_mut(number).zip(found.get_mut(number))
    }

    fn slot(&self, row: usize, service: &mut Service) -> (u16, UnixMillis) {
        let source = service
            .past
            .source(self.probe.value(row), self.location.value(row));
        (source, self.start_ms.value(row))
    }
}

impl Service {
    /// Puts the slots in order, and finds what their runs speak for.
    fn finish(&mut self) {
        let slots = &mut self.past.slots;
        slots.sort_unstable_by_key(|slot| (slot.source, slot.start_ms));
        let fine_from_ms = fine_from_ms(self.span.as_of_ms);
        for slots in slots.chunk_by_mut(|one, next| one.source == next.source) {
            for slot in slots.iter_mut() {
                slot.latencies.sort_unstable();
            }
            cover(slots, fine_from_ms, self.rows_from_ms, self.span.interval);
        }
    }
}

/// A run speaks for the time until the next one is due; the last one before a gap for one more
/// interval, because runs are late.
fn cover(
    slots: &mut [RunSlot],
    fine_from_ms: UnixMillis,
    until_ms: UnixMillis,
    longest_interval: Duration,
) {
    let width_of = |slot: &RunSlot| {
        if slot.start_ms < fine_from_ms {
            COARSE_MS
        } else {
            FINE_MS
        }
    };
    let longest_ms = u64::try_from(longest_interval.as_millis()).unwrap_or(u64::MAX);
    // A probe may be due more often than the one that is due least: where many runs are in a slot, it
    // shows.
    let interval_ms = slots
        .iter()
        .map(|slot| (slot, slot.runs.iter().sum::<u64>()))
        .filter(|(_, runs)| *runs >= RUNS_THAT_SHOW)
        .map(|(slot, runs)| width_of(slot).unsigned_abs() / runs)
        .fold(longest_ms, u64::min);
    let mut ended_ms = UnixMillis::MIN;
    for index in 0..slots.len() {
        let next_ms = slots.get(index + 1).map_or(until_ms, |next| next.start_ms);
        let slot = &mut slots[index];
        let runs: u64 = slot.runs.iter().sum();
        // Runs in the slot before may have been late as well.
        let late_ms = if ended_ms == slot.start_ms {
            interval_ms
        } else {
            0
        };
        let most_ms = runs.saturating_mul(interval_ms).saturating_add(late_ms);
        let gap_ms = next_ms.saturating_sub(slot.start_ms).max(0).unsigned_abs();
        slot.covered_ms = most_ms.min(gap_ms);
        ended_ms = slot.start_ms + width_of(slot);
    }
}
