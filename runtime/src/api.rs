//! The HTTP face: `/api/v1` as JSON, `/metrics`, health, and the dashboard's pages. It keeps no
//! state of its own but sessions and live connections, and holds no rule of the product. `routes`
//! lists everything, `resources` has one file per noun, `http` the machinery.

mod routes;

mod dashboard;
mod gateway_front;
mod http;
mod resources;

pub use crate::api_types::scope::Scope;
pub use dashboard::{Changes, Live};
pub use gateway_front::with_gateway;
pub(crate) use http::auth::Principal;
pub use http::auth::{SESSION_LIFETIME, token_hash};
pub use http::deps::{ApiDeps, ProgramStatus};
pub(crate) use http::running_queries::Registration;
pub use http::server::serve;
pub(crate) use http::sql_sign_in::SqlSignInError;
pub use http::state::{ApiSettings, ApiState};
pub(crate) use resources::sql::answer_offline;
pub use resources::tokens::new_token;
pub use routes::router;

#[cfg(test)]
mod tests;
