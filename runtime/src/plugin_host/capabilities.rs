//! Capabilities that the host offers guests, one file each. Adding one: its interface in `wit/`, a
//! file here, a line in the world of all imports (`contract/bindings.rs`) and in [`allowed`].

pub(super) mod access;
pub(super) mod account;
mod bounds;
pub(super) mod cel;
mod clock;
mod dns;
mod history;
pub(in crate::plugin_host) mod host;
pub(super) mod host_call;
pub(super) mod http;
mod icmp;
pub(super) mod label;
mod log;
mod mail;
mod net;
pub(super) mod outgoing;
mod programs;
mod random;
pub(super) mod secrets;
mod signatures;
pub(super) mod state;
pub(super) mod stream;
pub(super) mod text;
pub(super) mod transfer;
pub(super) mod udp;
pub(super) mod wasi;
mod wasi_http;

use wasmtime::component::{HasSelf, Linker};

use crate::domain::PluginKind;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::{http as http_interface, imports};

/// Interfaces of our package that a kind of plugin may import.
pub(super) fn allowed(kind: PluginKind) -> &'static [&'static str] {
    match kind {
        PluginKind::Probe => &[
            "types", "host", "secrets", "net", "http", "stream", "udp", "icmp", "programs", "dns",
            "cel", "log", "clock", "random",
        ],
        PluginKind::Rule => &["types", "host", "history", "cel", "log"],
        PluginKind::Notifier => &[
            "types", "host", "secrets", "net", "http", "mail", "log", "clock", "random",
        ],
        PluginKind::Webhook => &[
            "types",
            "host",
            "secrets",
            "net",
            "signatures",
            "http",
            "cel",
            "log",
            "clock",
            "random",
        ],
        PluginKind::Meter => &["types", "host", "secrets", "net", "http", "log", "clock"],
    }
}

/// Links all capabilities, and WASI 0.2 with nothing granted, so that components of any language
/// can be instantiated. What a kind may import is checked when a plugin is loaded.
pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    super::contract::bindings::host::Host_::add_to_linker::<_, HasSelf<RunState>>(
        linker,
        |state| state,
    )?;
    // Alone: its world has the interfaces above once more.
    http_interface::add_to_linker::<_, HasSelf<RunState>>(linker, |state| state)?;
    wasi::link(linker)
}

impl imports::types::Host for RunState {}
