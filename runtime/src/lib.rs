//! The host of External Tracking. Modules import only downwards; `tidy.rs` holds the arrows.

pub mod app;
pub mod cli;
pub mod local;

pub mod api;
pub mod wire;

pub mod archive;
pub mod backtest;
pub mod backup;
pub mod config;
pub mod import;
pub mod plugin_sources;
pub mod reload;
pub mod reports;
pub mod vendors;

pub mod alerts;
pub mod analytics;
pub mod gateway;
pub mod monitoring;
pub mod registry;
pub mod usage;

pub mod net;
pub mod plugin_host;
pub mod store;

pub mod api_types;
pub mod charts;
pub mod child;
pub mod domain;
pub mod spec;
pub mod telemetry;

#[cfg(test)]
mod tidy;
