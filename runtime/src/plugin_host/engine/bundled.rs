//! What the program brings along as WebAssembly: the bundled plugins and the evaluator. The crate
//! `extrack-bundled` compiles them, and the program hands them over before anything else starts,
//! so that the host is built and checked without a WebAssembly target.

use std::sync::OnceLock;

/// WebAssembly that is part of the program.
#[derive(Debug, Clone, Copy)]
pub struct Bundled {
    /// Name and component of each bundled plugin.
    pub plugins: &'static [(&'static str, &'static [u8])],
    /// Core module of the evaluator of expressions and templates.
    pub evaluator: &'static [u8],
}

static BUNDLED: OnceLock<Bundled> = OnceLock::new();

/// Hands over what the program brings along. The first call of a process counts.
pub fn bundle(bundled: Bundled) {
    let _ = BUNDLED.set(bundled);
}

/// Returns what the program brings along; nothing if [`bundle`] was not called.
pub(in crate::plugin_host) fn bundled() -> &'static Bundled {
    #[cfg(test)]
    bundle(Bundled {
        plugins: extrack_bundled::PLUGINS,
        evaluator: extrack_bundled::EVALUATOR,
    });
    static NOTHING: Bundled = Bundled {
        plugins: &[],
        evaluator: &[],
    };
    BUNDLED.get().unwrap_or(&NOTHING)
}
