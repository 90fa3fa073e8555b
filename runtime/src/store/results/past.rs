//! The past of services, for rules: read back for many of them in one pass over each table, so that
//! a start takes about as long for a thousand services as for ten. The last runs are read one by
//! one; those before them come from the tiers, which know the rest of what was not counted yet and
//! count late runs again.

mod rows;
mod slots;
mod whole;

use std::collections::HashMap;
use std::time::Duration;

use duckdb::Connection;
use duckdb::arrow::array::Array;
use duckdb::arrow::record_batch::RecordBatch;

use super::database::ReaderKind;
use super::error::reading;
use super::read::FAR_MS;
use super::{ResultError, ResultStore, tiers};
use crate::domain::{COARSE_MS, FINE_MS, LEAST_SAMPLES, PastRuns, UnixMillis, fine_from_ms};

/// Runs are read one by one as far back as this, if they are not too many. Slots of what is before
/// are so narrow beside it that a window is exact to half a hundredth.
const ROWS_MS: i64 = 12 * COARSE_MS;

/// What is read back of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastSpan {
    pub service: String,
    pub since_ms: UnixMillis,
    /// Runs from this moment on are left out.
    pub until_ms: UnixMillis,
    /// The moment that it is read for.
    pub as_of_ms: UnixMillis,
    /// The longest interval of the service's probes.
    pub interval: Duration,
}

impl ResultStore {
    /// Returns the past of each of these services, in their order, all of them of the same moment.
    /// Each service is asked for once.
    pub async fn past_runs(&self, spans: Vec<PastSpan>) -> Result<Vec<PastRuns>, ResultError> {
        self.read_as(ReaderKind::Alerting, move |connection| {
            // Nothing is changed in it: it ends as it began.
            let tx = connection.unchecked_transaction().map_err(reading)?;
            tiers::bind(&tx).map_err(reading)?;
            let mut services: Vec<Service> = spans.into_iter().map(Service::new).collect();
            rows::read(&tx, &mut services)?;
            whole::read(&tx, &mut services)?;
            slots::read(&tx, &mut services)?;
            Ok(services.into_iter().map(|service| service.past).collect())
        })
        .await
    }
}

/// A service, and what was read of it so far.
struct Service {
    span: PastSpan,
    /// Runs from this moment on are read one by one, those before are counted.
    rows_from_ms: UnixMillis,
    past: PastRuns,
}

impl Service {
    fn new(span: PastSpan) -> Self {
        let span = PastSpan {
            since_ms: span.since_ms.max(0),
            until_ms: span.until_ms.min(FAR_MS),
            ..span
        };
        let past = PastRuns {
            as_of_ms: span.as_of_ms,
            ..PastRuns::default()
        };
        Self {
            rows_from_ms: span.rows_from_ms(ROWS_MS),
            span,
            past,
        }
    }

    /// The slot of a moment begins there.
    fn slot_of(&self, ts_ms: UnixMillis) -> UnixMillis {
        let is_fine = ts_ms >= fine_from_ms(self.span.as_of_ms);
        floor(ts_ms, if is_fine { FINE_MS } else { COARSE_MS })
    }
}

impl PastSpan {
    /// Beginning of what is read one by one, if that is to be so long; slots end there.
    fn rows_from_ms(&self, length_ms: i64) -> UnixMillis {
        floor(self.as_of_ms.saturating_sub(length_ms), COARSE_MS).max(self.since_ms)
    }

    /// Time in which as many runs are due as may be counted in a row.
    fn in_a_row_ms(&self) -> i64 {
        let length = self.interval.saturating_mul(LEAST_SAMPLES as u32);
        i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
    }
}

fn floor(ts_ms: UnixMillis, width_ms: i64) -> UnixMillis {
    ts_ms.div_euclid(width_ms) * width_ms
}

/// A part of the time of one service.
struct Part<'a> {
    /// Position of the service.
    number: usize,
    slug: &'a str,
    from_ms: UnixMillis,
    until_ms: UnixMillis,
}

/// `SELECT columns` of the rows of a table that lie in one of the parts; with the service's position
/// as `number`. None without a part.
fn select_parts(columns: &str, table: &str, condition: &str, parts: &[Part]) -> Option<String> {
    let from_ms = parts.iter().map(|part| part.from_ms).min()?;
    let until_ms = parts.iter().map(|part| part.until_ms).max()?;
    let values: Vec<String> = parts
        .iter()
        .map(|part| {
            let (from, until) = (moment(part.from_ms), moment(part.until_ms));
            format!(
                "({}, {}::BIGINT, {from}, {until})",
                text(part.slug),
                part.number
            )
        })
        .collect();
    Some(format!(
        "SELECT w.number, {columns} FROM {table} AS t JOIN (VALUES {}) AS w(slug, number, since, until) \
             ON t.service = w.slug AND t.ts >= w.since AND t.ts < w.until \
         WHERE t.ts >= {} AND t.ts < {} AND {condition}",
        values.join(", "),
        moment(from_ms),
        moment(until_ms)
    ))
}

fn moment(ms: UnixMillis) -> String {
    format!("make_timestamp({})", ms.saturating_mul(1_000))
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Reads the rows of a statement batch by batch, however many there are.
fn read_batches(
    connection: &Connection,
    sql: &str,
    mut take: impl FnMut(&Columns<'_>) -> Result<(), ResultError>,
) -> Result<(), ResultError> {
    let mut statement = connection.prepare(sql).map_err(reading)?;
    // Its iterator panics on errors; `step` returns them.
    drop(statement.stream_arrow([]).map_err(reading)?);
    let schema = statement.schema();
    while let Some(chunk) = statement.step().map_err(reading)? {
        let batch = RecordBatch::try_new(schema.clone(), chunk.columns().to_vec())
            .map_err(|_| ResultError::Reader)?;
        take(&Columns(&batch))?;
    }
    Ok(())
}

/// Columns of a batch by name.
struct Columns<'a>(&'a RecordBatch);

impl<'a> Columns<'a> {
    fn rows(&self) -> std::ops::Range<usize> {
        0..self.0.num_rows()
    }

    fn get<A: Array + 'static>(&self, name: &'static str) -> Result<&'a A, ResultError> {
        let column = self.0.column_by_name(name);
        let array = column.and_then(|array| array.as_any().downcast_ref());
        array.ok_or(ResultError::Column { name })
    }
}

/// Positions of services by their slugs.
fn positions(services: &[Service]) -> HashMap<String, usize> {
    let slugs = services.iter().map(|service| service.span.service.clone());
    slugs.zip(0..).collect()
}
