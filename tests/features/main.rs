//! What the program promises, tried from outside: one module a feature.

mod alerts;
mod api;
mod author;
mod channels;
mod config;
mod contract;
mod crash;
mod dashboard;
mod demo;
mod guests;
mod health;
mod plugins;
mod probes;
mod scheduler;
mod secrets;
mod services;
mod shadow;
mod sql;
mod templates;
mod versions;
mod webhooks;
