//! The PostgreSQL protocol, version 3, read-only: SQL for the clients that speak it. It knows messages,
//! types and the words of PostgreSQL; queries go to the store as they were written, and questions
//! about the catalog to tables of the store that hold no results. Who may ask is the API's matter.

mod cancel;
mod command;
mod context;
mod copy;
mod dialect;
mod error;
mod io;
mod messages;
mod parameters;
mod replies;
mod rows;
mod server;
mod session;
mod startup;
mod tables;
mod tls;
mod tokens;
mod types;
mod values;

pub use server::{WireListener, WireOptions};
pub use tls::TlsFiles;
