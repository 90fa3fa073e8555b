//! `extrack plugin …`: one file a subcommand.

mod bench;
mod build;
mod call;
mod inspect;
mod install;
mod list;
mod new;
mod rollback;
mod run;
mod test;
mod units;

use anyhow::Result;
use clap::Subcommand;

use super::client::Server;

#[derive(Debug, Subcommand)]
pub(super) enum Plugin {
    New(new::New),
    Build(build::Build),
    Test(test::Test),
    Run(run::Run),
    Bench(bench::Bench),
    Inspect(inspect::Inspect),
    List(list::List),
    Install(install::Install),
    Rollback(rollback::Rollback),
}

impl Plugin {
    /// The exit code.
    pub(super) async fn run(self, server: &Server) -> Result<u8> {
        let done = match self {
            Plugin::New(command) => command.run().await,
            Plugin::Build(command) => command.run().await,
            Plugin::Test(command) => command.run().await,
            Plugin::Run(command) => return command.run().await,
            Plugin::Bench(command) => command.run().await,
            Plugin::Inspect(command) => command.run().await,
            Plugin::List(command) => command.run(server).await,
            Plugin::Install(command) => command.run(server).await,
            Plugin::Rollback(command) => command.run(server).await,
        };
        done.map(|()| 0)
    }
}
