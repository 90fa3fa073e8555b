//! Batches of calls as they are written: each once, by its number.

use std::collections::HashSet;
use std::sync::Arc;

use duckdb::Connection;
use sha2::{Digest, Sha256};

use super::tables::{CallBatchRow, CallKeyRow, append};
use crate::domain::{CallBatch, CallRow, CallSource};

/// Returns what a call of a service is known by when it is reported again.
pub fn call_key(service: &str, call_id: &str) -> u64 {
    let digest = Sha256::new()
        .chain_update((service.len() as u64).to_le_bytes())
        .chain_update(service)
        .chain_update(call_id)
        .finalize();
    u64::from_le_bytes(digest[..8].try_into().expect("sha256 has 32 bytes"))
}

/// Writes those batches that are not stored yet, in the transaction that is under way.
pub(super) fn write<'a>(
    connection: &Connection,
    batches: impl Iterator<Item = &'a Arc<CallBatch>>,
) -> duckdb::Result<()> {
    let batches: Vec<&CallBatch> = batches.map(Arc::as_ref).collect();
    let mut known = stored(connection, &batches)?;
    let fresh: Vec<&CallBatch> = batches
        .into_iter()
        .filter(|batch| known.insert(batch.seq))
        .collect();
    let rows = fresh.iter().flat_map(|batch| &batch.rows);
    append(connection, rows.clone())?;
    let keys: Vec<CallKeyRow> = rows.filter_map(key_of).collect();
    append(connection, keys.iter())?;
    append(connection, fresh.iter().flat_map(|batch| &batch.totals))?;
    let numbers: Vec<CallBatchRow> = fresh.iter().map(|batch| CallBatchRow(batch.seq)).collect();
    append(connection, numbers.iter())
}

/// Returns the key of a call that was reported. Those of the gateway and of probes have ids of ours.
fn key_of(row: &CallRow) -> Option<CallKeyRow> {
    let is_reported = matches!(
        row.source,
        CallSource::Api | CallSource::Otlp | CallSource::Import
    );
    is_reported.then(|| CallKeyRow {
        ts_ms: row.ts_ms,
        key: call_key(&row.service, &row.call_id),
    })
}

/// Returns the numbers of those of some batches that are stored.
fn stored(connection: &Connection, batches: &[&CallBatch]) -> duckdb::Result<HashSet<i64>> {
    if batches.is_empty() {
        return Ok(HashSet::new());
    }
    let numbers: Vec<String> = batches.iter().map(|batch| batch.seq.to_string()).collect();
    let sql = format!(
        "SELECT seq FROM fact.call_batches WHERE seq IN ({})",
        numbers.join(", ")
    );
    let mut statement = connection.prepare(&sql)?;
    let numbers = statement.query_map([], |row| row.get("seq"))?;
    numbers.collect()
}
