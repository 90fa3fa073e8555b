//! Bodies of requests and answers, as JSON has them: what the API writes the command line reads, and
//! the other way round. Plain data without behaviour; the conversions are in `api/resources`.
//!
//! A field that is added later is an `Option`, or has `#[serde(default)]`, so that a command can read
//! what an older server answers. An optional field of a request is left out when it is not set, so
//! that an older server takes it.

pub mod alert_routes;
pub mod alerts;
pub mod analytics;
pub mod archive;
pub mod audit;
pub mod backtest;
pub mod budgets;
pub mod calls;
pub mod channels;
pub mod configuration;
pub mod consumers;
pub mod costs;
pub mod credentials;
pub mod events;
pub mod health;
pub mod heartbeats;
pub mod incidents;
pub mod invoices;
pub mod maintenance;
pub mod notifications;
pub mod observations;
pub mod page;
pub mod plugin_check;
pub mod plugin_grants;
pub mod plugin_health;
pub mod plugin_shadow;
pub mod plugins;
pub mod problem;
pub mod queries;
pub mod rate_limits;
pub mod recordings;
pub mod registry_file;
pub mod reports;
pub mod rules;
pub mod scope;
pub mod services;
pub mod silences;
pub mod sql;
pub mod status_pages;
pub mod tokens;
pub mod webhooks;

/// Parts of requests that are written as in the configuration files.
pub use crate::spec::{
    DurationSpec, GrantsSpec, MaintenanceSpec, MessageTemplateSpec, PolicySpec, Texts,
};
