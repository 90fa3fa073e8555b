//! How many statements a text holds, asked of DuckDB's C interface: the crate's `prepare` would run
//! all but the last one.
#![expect(
    unsafe_code,
    reason = "`duckdb_extract_statements` has no safe wrapper that does not run the statements"
)]

use std::ffi::{CStr, c_char};
use std::ptr;

use duckdb::ffi;

/// A connection to an empty instance in memory. Used by one thread at a time.
pub(super) struct StatementCounter {
    database: ffi::duckdb_database,
    connection: ffi::duckdb_connection,
}

// SAFETY: DuckDB's handles may move between threads; `&mut`-like use is ensured by the mutex around
// the owner.
unsafe impl Send for StatementCounter {}

impl StatementCounter {
    pub(super) fn open() -> Result<Self, duckdb::Error> {
        let mut counter = Self {
            database: ptr::null_mut(),
            connection: ptr::null_mut(),
        };
        // SAFETY: a null path opens an instance in memory; both handles are out-parameters, and
        // freed by `drop`.
        let ok = unsafe {
            ffi::duckdb_open(ptr::null(), &mut counter.database) == ffi::DuckDBSuccess
                && ffi::duckdb_connect(counter.database, &mut counter.connection)
                    == ffi::DuckDBSuccess
        };
        if ok {
            return Ok(counter);
        }
        Err(duckdb::Error::DuckDBFailure(
            ffi::Error::new(ffi::DuckDBError),
            Some("out of memory or threads".to_owned()),
        ))
    }

    /// Parses, and runs nothing. An error is the parser's text.
    pub(super) fn count(&self, sql: &CStr) -> Result<u64, String> {
        let mut extracted = ptr::null_mut();
        // SAFETY: the connection lives as long as `self`; the text is NUL-terminated; `extracted`
        // is freed in every case, after its error text was copied.
        unsafe {
            let count = ffi::duckdb_extract_statements(
                self.connection,
                sql.as_ptr().cast::<c_char>(),
                &mut extracted,
            );
            let error = ffi::duckdb_extract_statements_error(extracted);
            let answer = if count == 0 && !error.is_null() {
                Err(CStr::from_ptr(error).to_string_lossy().into_owned())
            } else {
                Ok(count)
            };
            ffi::duckdb_destroy_extracted(&mut extracted);
            answer
        }
    }
}

impl Drop for StatementCounter {
    fn drop(&mut self) {
        // SAFETY: both functions accept null, and set the handle to null.
        unsafe {
            ffi::duckdb_disconnect(&mut self.connection);
            ffi::duckdb_close(&mut self.database);
        }
    }
}
