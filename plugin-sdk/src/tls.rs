//! TLS handshakes, to look at certificates.

use std::time::Duration;

use crate::net::NetError;
use crate::time::millis;
pub use crate::wit::tls::Session;

/// Completes even with a certificate that is not trusted; then `untrusted` in the session says why.
/// `server_name` is asked for in place of `host`.
pub fn handshake(
    host: &str,
    port: u16,
    server_name: Option<&str>,
    timeout: Option<Duration>,
) -> Result<Session, NetError> {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::tls::handshake(host, port, server_name, timeout.map(millis))
        .map_err(NetError::from);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|fake| fake.tls(host, port, server_name, timeout.map(millis)))
}
