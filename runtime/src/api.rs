//! The HTTP face: `/api/v1` as JSON, `/metrics`, health, and the dashboard's pages. It keeps no
//! state of its own but sessions and live connections, and holds no rule of the product. `routes`
//! lists everything, `resources` has one file per noun, `http` the machinery.

mod routes;

mod dashboard;
mod http;
mod resources;

pub use crate::api_types::scope::Scope;
pub use dashboard::{Changes, Live};
pub use http::auth::{SESSION_LIFETIME, token_hash};
pub use http::deps::{ApiDeps, ProgramStatus};
pub use http::server::serve;
pub use http::state::{ApiSettings, ApiState};
pub use resources::tokens::new_token;
pub use routes::router;

#[cfg(test)]
mod tests;
