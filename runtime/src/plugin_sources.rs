//! Places that plugins come from beside the API: a watched folder, and the registries that
//! `plugins.yaml` names. Both install through the plugin host, as the API does.

mod folder;
mod registries;

pub use folder::PluginFolder;
pub use registries::{PluginSources, StagedSources};
