//! Where everything durable lives, and the only place with SQL: [`ControlStore`] (SQLite) holds
//! state and secrets, [`ResultStore`] (DuckDB) holds measurements. Knows the domain and nothing
//! else.

pub mod control;
pub mod results;

mod lock;

pub use control::{ControlError, ControlStore, KeyError, Keyring};
pub(crate) use lock::DataLock;
pub use lock::LockError;
pub use results::{
    EventFilter, QueryError, QueryLimits, ResultError, ResultHealth, ResultSettings, ResultStore,
    SpoolSettings, SqlAnswer, SqlColumn, Writer,
};
