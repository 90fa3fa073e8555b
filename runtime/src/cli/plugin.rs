//! `extrack plugin …`: one file a subcommand.

mod compare;
mod discard;
mod inspect;
mod install;
mod list;
mod promote;
mod recordings;
mod remove;
mod replay;
mod rollback;
mod shadow;
mod versions;

use std::path::Path;

use anyhow::{Context, Result};
use clap::Subcommand;

use super::client::Server;
use crate::plugin_host;

#[derive(Debug, Subcommand)]
pub(super) enum Plugin {
    List(list::List),
    Install(install::Install),
    Versions(versions::Versions),
    Rollback(rollback::Rollback),
    Remove(remove::Remove),
    Shadow(shadow::Shadow),
    Compare(compare::Compare),
    Promote(promote::Promote),
    Discard(discard::Discard),
    Inspect(inspect::Inspect),
    Recordings(recordings::Recordings),
    Replay(replay::Replay),
}

impl Plugin {
    /// The exit code.
    pub(super) async fn run(self, server: &Server) -> Result<u8> {
        let done = match self {
            Plugin::List(command) => command.run(server).await,
            Plugin::Install(command) => command.run(server).await,
            Plugin::Versions(command) => command.run(server).await,
            Plugin::Rollback(command) => command.run(server).await,
            Plugin::Remove(command) => command.run(server).await,
            Plugin::Shadow(command) => command.run(server).await,
            Plugin::Compare(command) => command.run(server).await,
            Plugin::Promote(command) => command.run(server).await,
            Plugin::Discard(command) => command.run(server).await,
            Plugin::Inspect(command) => command.run().await,
            Plugin::Recordings(command) => command.run(server).await,
            Plugin::Replay(command) => return command.run(server).await,
        };
        done.map(|()| 0)
    }
}

/// A component file, and what it says of itself.
async fn described(file: &Path) -> Result<(bytes::Bytes, plugin_host::PluginEntry)> {
    let bytes = bytes::Bytes::from(std::fs::read(file).with_context(|| format!("reading `{}`", file.display()))?);
    let entry =
        plugin_host::inspect(bytes.clone()).await.with_context(|| format!("`{}` is not a plugin", file.display()))?;
    Ok((bytes, entry))
}
