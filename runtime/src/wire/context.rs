//! What all connections share.

use tokio_rustls::TlsAcceptor;

use super::cancel::Cancels;
use super::parameters::ColumnTypes;
use crate::api::ApiState;
use crate::store::Catalog;

/// Parts and facts of the server.
pub(super) struct Context {
    pub(super) state: ApiState,
    pub(super) catalog: Catalog,
    pub(super) cancels: Cancels,
    /// Names of what results can be asked of.
    pub(super) views: Vec<String>,
    pub(super) column_types: ColumnTypes,
    pub(super) tls: Option<TlsAcceptor>,
    /// As clients see it.
    pub(super) version: String,
}
