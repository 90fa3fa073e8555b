//! The HTTP face: `/api/v1` as JSON, `/metrics`, health, and the dashboard's pages. It knows the parts behind it only by the
//! narrow traits in `parts`, keeps no state of its own but sessions and live connections, and holds no rule of the product.

mod router;
mod routes;

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
mod webhooks;

mod auth;
mod dashboard;

mod error;
mod guard;
mod moment;
mod page;

pub mod parts;
mod state;

pub use auth::{SESSION_LIFETIME, Scope, token_hash};
pub use dashboard::{Changes, Live};
pub use parts::Parts;
pub use router::router;
pub use state::{ApiSettings, ApiState};

#[cfg(test)]
mod tests;
