//! Parts that every kind of connection shares.

use super::resolver::Resolver;
use super::tls::Tls;

#[derive(Debug)]
pub(super) struct NetContext {
    /// Limit of an HTTP body, bytes.
    pub(super) max_body_bytes: usize,
    pub(super) resolver: Resolver,
    pub(super) tls: Tls,
}
