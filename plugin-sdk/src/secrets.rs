//! Secrets that come up in a run, beside those of the settings.

/// Keeps a text of an answer, such as the token that a login returns, out of the recording of the
/// run: what was sent and answered has `***` in its place. The plugin goes on to see it. Texts of
/// less than 6 bytes are not hidden.
pub fn hide(text: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::wit::secrets::hide(text);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.hide(text));
}
