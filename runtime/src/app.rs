//! app
mod bind_alerts;
mod bind_registry;
mod bind_plugins;
mod plugin_folder;
