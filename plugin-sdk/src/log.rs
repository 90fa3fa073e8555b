//! Lines for the plugin's log, which the host keeps with the run. It is capped: log what helps, not
//! what happened.

pub use crate::wit::log::Level;

pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message.as_ref());
}

pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message.as_ref());
}

pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message.as_ref());
}

pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message.as_ref());
}

/// Writes one line.
pub fn write(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::wit::log::write(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.log(level, message));
}
