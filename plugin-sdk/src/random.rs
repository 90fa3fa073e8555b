//! Random bytes, good enough for keys.

/// Returns random bytes, at most 4,096.
pub fn bytes(count: u32) -> Vec<u8> {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::random::bytes(count);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.random(count))
}
