//! What the program promises, tried from outside: one module a feature.

mod alerts;
mod api;
mod author;
mod channels;
mod config;
mod contract;
mod crash;
mod credentials;
mod dashboard;
mod demo;
mod grants;
mod guests;
mod health;
mod plugins;
mod probes;
mod recordings;
mod rules;
mod scheduler;
mod secrets;
mod services;
mod shadow;
mod sql;
mod templates;
mod trust;
mod versions;
mod webhooks;
