//! `call_keys`: what calls that were reported are known by.

use super::ColumnType::{Timestamp, U64};
use super::{Cell, Column, Record, column};
use crate::domain::UnixMillis;

/// Key of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::results) struct CallKeyRow {
    pub(in crate::store::results) ts_ms: UnixMillis,
    pub(in crate::store::results) key: u64,
}

impl Record for CallKeyRow {
    const TABLE: &'static str = "call_keys";

    fn columns() -> Vec<Column<Self>> {
        vec![
            column("ts", Timestamp, "begin of the call", |row| {
                Cell::moment(row.ts_ms)
            }),
            column("key", U64, "hash of service and id", |row| {
                Cell::Unsigned(row.key)
            }),
        ]
    }
}
