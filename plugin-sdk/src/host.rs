//! The program that runs the plugin.

/// Returns the names of what the host supports beside functions and fields, e.g.
/// `http.request:decompress`.
pub fn features() -> Vec<String> {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::program::features();
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.features())
}

/// Returns whether the host supports a feature. A plugin that can't work without one writes
/// `wants(feature = "..")` instead: it is then refused at its installation.
pub fn supports(feature: &str) -> bool {
    features().iter().any(|name| name == feature)
}
