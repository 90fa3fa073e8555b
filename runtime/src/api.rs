//! The HTTP face: `/api/v1` as JSON, `/metrics`, health, and the dashboard's pages. It knows the
//! parts behind it only by the narrow traits in `parts`, keeps no state of its own but sessions and
//! live connections, and holds no rule of the product.

mod router;
mod routes;
mod server;

mod alerts;
mod audit;
mod backtest;
mod channels;
mod configuration;
mod events;
mod health;
mod maintenance;
mod metrics;
mod notifications;
mod observations;
mod openapi;
mod plugins;
mod recordings;
mod routing;
mod rules;
mod services;
mod silences;
mod sql;
mod tokens;
mod webhooks;

mod auth;
mod dashboard;

mod bodies;
mod error;
mod file;
mod guard;
mod moment;
mod optional_body;
mod page;

pub mod parts;
mod state;

pub use auth::{SESSION_LIFETIME, Scope, token_hash};
pub use dashboard::{Changes, Live};
pub use parts::Parts;
pub use router::router;
pub use server::serve;
pub use state::{ApiSettings, ApiState};
pub use tokens::new_token;

#[cfg(test)]
mod tests;
