//! The time, for probes and notifiers. A rule gets its time in
//! [`Evaluation`](crate::rule::Evaluation).

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::clock::now_ms();
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.now_ms())
}

/// Microseconds since some point in the past; never goes back.
pub fn monotonic_us() -> u64 {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::clock::monotonic_us();
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.monotonic_us())
}
