//! Reading of Arrow batches: columns by name, values by row.

use duckdb::arrow::array::{
    Array, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt16Array, UInt32Array, UInt64Array,
};

use super::super::ResultError;
use crate::domain::UnixMillis;

/// Rows that were read.
pub(in crate::store::results) struct Batch<'a>(pub(super) &'a RecordBatch);

/// Column of a batch.
pub(super) struct Values<'a, A> {
    name: &'static str,
    array: &'a A,
}

impl<'a> Batch<'a> {
    pub(super) fn rows(&self) -> std::ops::Range<usize> {
        0..self.0.num_rows()
    }

    fn column<A: Array + 'static>(&self, name: &'static str) -> Result<Values<'a, A>, ResultError> {
        let column = self.0.column_by_name(name);
        let array = column.and_then(|array| array.as_any().downcast_ref());
        array
            .map(|array| Values { name, array })
            .ok_or(ResultError::Column { name })
    }

    pub(super) fn text(&self, name: &'static str) -> Result<Values<'a, StringArray>, ResultError> {
        self.column(name)
    }

    pub(super) fn moment(
        &self,
        name: &'static str,
    ) -> Result<Values<'a, TimestampMicrosecondArray>, ResultError> {
        self.column(name)
    }

    pub(super) fn boolean(
        &self,
        name: &'static str,
    ) -> Result<Values<'a, BooleanArray>, ResultError> {
        self.column(name)
    }

    pub(super) fn u16(&self, name: &'static str) -> Result<Values<'a, UInt16Array>, ResultError> {
        self.column(name)
    }

    pub(super) fn u32(&self, name: &'static str) -> Result<Values<'a, UInt32Array>, ResultError> {
        self.column(name)
    }

    pub(super) fn u64(&self, name: &'static str) -> Result<Values<'a, UInt64Array>, ResultError> {
        self.column(name)
    }

    pub(super) fn i64(&self, name: &'static str) -> Result<Values<'a, Int64Array>, ResultError> {
        self.column(name)
    }
}

/// Values by row.
pub(in crate::store::results) trait Cells {
    type Value;

    /// Returns the value; none where it is null.
    fn get(&self, row: usize) -> Option<Self::Value>;

    fn column(&self) -> &'static str;

    /// Returns the value of a column that is never null.
    fn one(&self, row: usize) -> Result<Self::Value, ResultError> {
        let name = self.column();
        self.get(row).ok_or(ResultError::Column { name })
    }
}

macro_rules! cells {
    ($($array:ty => $value:ty, $from:expr);* $(;)?) => {$(
        impl Cells for Values<'_, $array> {
            type Value = $value;

            fn get(&self, row: usize) -> Option<$value> {
                self.array.is_valid(row).then(|| $from(self.array.value(row)))
            }

            fn column(&self) -> &'static str {
                self.name
            }
        }
    )*};
}

cells! {
    StringArray => String, str::to_owned;
    // Milliseconds since 1970.
    TimestampMicrosecondArray => UnixMillis, |us: i64| us.div_euclid(1_000);
    BooleanArray => bool, std::convert::identity;
    UInt16Array => u16, std::convert::identity;
    UInt32Array => u32, std::convert::identity;
    UInt64Array => u64, std::convert::identity;
    Int64Array => i64, std::convert::identity;
}
