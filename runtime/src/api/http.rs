//! The machinery under every resource: routes and their descriptions, access, limits, one shape for
//! errors and lists, and the server itself. It knows no resource.

pub(super) mod endpoint;
pub(super) mod route_builder;
pub(super) mod state;

pub(super) mod auth;
pub(super) mod caller;
pub(super) mod compression;
pub(super) mod cookies;
pub(super) mod guard;

pub(super) mod bodies;
pub(super) mod error;
pub(super) mod file;
pub(super) mod moment;
pub(super) mod negotiation;
pub(super) mod openapi;
pub(super) mod optional_body;
pub(super) mod page;
pub(super) mod viewer;

mod login_rate_limit;
pub(super) mod running_queries;
pub(super) mod sql_sign_in;
mod token_uses;
mod webhook_rate_limit;

pub(super) mod deps;
pub(super) mod server;
