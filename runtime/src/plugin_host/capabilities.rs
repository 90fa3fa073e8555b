//! What the host does for a guest, one file each. Adding a capability: its interface in
//! `wit/`, a file here, and a line in [`link`] and in [`allowed`].

mod bounds;
pub(super) mod cel;
mod clock;
mod dns;
mod history;
mod http;
mod log;
mod mail;
mod net;
pub(super) mod outgoing;
mod random;
mod signatures;
pub(super) mod state;
pub(super) mod tcp;
mod tls;
pub(super) mod wasi;
mod wasi_http;

use wasmtime::component::{HasSelf, Linker};

use crate::domain::PluginKind;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports;

/// Interfaces of our package that a kind of plugin may import.
pub(super) fn allowed(kind: PluginKind) -> &'static [&'static str] {
    match kind {
        PluginKind::Probe => &[
            "types", "net", "http", "tcp", "dns", "tls", "cel", "log", "clock", "random",
        ],
        PluginKind::Rule => &["types", "history", "cel", "log"],
        PluginKind::Notifier => &["types", "net", "http", "mail", "log", "clock", "random"],
        PluginKind::Webhook => &[
            "types",
            "net",
            "signatures",
            "http",
            "cel",
            "log",
            "clock",
            "random",
        ],
    }
}

/// Links all capabilities, and WASI 0.2 with nothing granted, so that components of any language
/// can be instantiated. What a kind may import is checked when a plugin is loaded.
pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    super::contract::bindings::host::Host_::add_to_linker::<_, HasSelf<RunState>>(
        linker,
        |state| state,
    )?;
    wasi::link(linker)
}

impl imports::types::Host for RunState {}
