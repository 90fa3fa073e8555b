//! The log of versions: which are kept and which was active when. After a crash it decides.

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::domain::{PluginChange, PluginRecord};

/// [`installed_by`](crate::domain::PluginVersion::installed_by) of plugins that are part of the
/// program.
pub const BUNDLED: &str = "bundled";

/// The actor of changes that the program makes by itself: deleting old versions, rolling back
/// versions that do not work.
pub(in crate::plugin_host) const PROGRAM: &str = "extrack";

/// Storage of versions and of decisions about them; the control store in the product.
pub trait VersionLog: Send + Sync {
    /// Returns the record of one plugin, or of all.
    fn plugins(&self, name: Option<&str>) -> BoxFuture<'_, Result<Vec<PluginRecord>, String>>;
    /// Stores a change whole or not at all; durable when it returns.
    fn commit(&self, change: PluginChange) -> BoxFuture<'_, Result<(), NotKept>>;
}

/// Reasons why a change of versions was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotKept {
    /// The disk is full.
    NoRoom(String),
    Failed(String),
}

/// A log for work without a server: it starts empty and forgets every change.
pub struct NoLog;

impl VersionLog for NoLog {
    fn plugins(&self, _name: Option<&str>) -> BoxFuture<'_, Result<Vec<PluginRecord>, String>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn commit(&self, _change: PluginChange) -> BoxFuture<'_, Result<(), NotKept>> {
        async { Ok(()) }.boxed()
    }
}
