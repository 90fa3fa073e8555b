//! The host of External Tracking. Modules import only downwards; `tidy.rs` holds the arrows.

pub mod app;
pub mod cli;
pub mod config;

pub mod api;

pub mod alerts;
pub mod monitoring;
pub mod registry;

pub mod net;
pub mod plugin_host;
pub mod store;

pub mod child;
pub mod domain;
pub mod telemetry;

#[cfg(test)]
mod tidy;
