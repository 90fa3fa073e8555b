//! `call_batches`: batches of calls that are stored.

use super::ColumnType::{I64, Timestamp};
use super::{Cell, Column, Record, column};

/// Number of a batch: microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::results) struct CallBatchRow(pub(in crate::store::results) i64);

impl Record for CallBatchRow {
    const TABLE: &'static str = "call_batches";

    fn columns() -> Vec<Column<Self>> {
        vec![
            column("ts", Timestamp, "when it was made", |row| {
                Cell::moment(row.0.div_euclid(1_000))
            }),
            column("seq", I64, "its number", |row| Cell::Signed(row.0)),
        ]
    }
}
