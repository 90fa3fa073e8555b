//! The resources of the API: one file per noun, with the routes, conversions and errors of its own.

pub(super) mod alert_routes;
pub(super) mod alerts;
pub(super) mod archive;
pub(super) mod audit;
pub(super) mod backtest;
pub(super) mod backups;
pub(super) mod channels;
pub(super) mod configuration;
pub(super) mod events;
pub(super) mod health;
pub(super) mod incidents;
pub(super) mod maintenance;
pub(super) mod metrics;
pub(super) mod notifications;
pub(super) mod observations;
pub(super) mod plugins;
pub(super) mod queries;
pub(super) mod recordings;
pub(super) mod rules;
pub(super) mod services;
pub(super) mod silences;
pub(super) mod sql;
pub(super) mod tokens;
pub(super) mod webhooks;
