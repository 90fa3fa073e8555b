//! What the parts are built from: the options of a start, and the parts on which most others stand.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::alerts::AlertSignals;
use crate::config::Settings;
use crate::plugin_host::PluginHost;
use crate::registry::Registry;
use crate::store::{ControlStore, ResultStore};
use crate::wire::WireOptions;

/// Options of `extrack serve`.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder with `services.yaml`, `alerts.yaml` and `plugins.yaml`.
    pub config: PathBuf,
    /// Folder with the stores, for this program alone.
    pub data: PathBuf,
    /// Folder whose components are installed.
    pub plugins: PathBuf,
    pub listen: SocketAddr,
    /// Where the PostgreSQL protocol is spoken, if it is.
    pub wire: Option<WireOptions>,
    /// The files are taken over, whatever they remove of what was watched before.
    pub is_config_accepted: bool,
    /// The kernel may write the memory of the program, with its secrets, to a file when it crashes.
    pub may_dump_core: bool,
}

/// Facts of a program that is ready.
#[derive(Debug, Clone)]
pub struct Started {
    pub address: SocketAddr,
    /// Of the PostgreSQL protocol.
    pub wire: Option<SocketAddr>,
    /// The first token, when this start made it: it is kept hashed, so it is shown now or never.
    pub new_token: Option<String>,
}

/// Parts on which most others stand.
#[derive(Clone)]
pub(super) struct Core {
    pub(super) settings: Settings,
    pub(super) control: ControlStore,
    pub(super) results: ResultStore,
    pub(super) host: PluginHost,
    pub(super) registry: Registry,
    pub(super) signals: AlertSignals,
}
