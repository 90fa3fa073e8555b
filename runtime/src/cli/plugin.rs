//! `extrack plugin …`: one file a subcommand.

mod bench;
mod build;
mod call;
mod check;
mod compare;
mod discard;
mod grants;
mod inspect;
mod install;
mod list;
mod new;
mod promote;
mod recordings;
mod remove;
mod replay;
mod rollback;
mod run;
mod shadow;
mod test;
mod units;
mod upgrade;
mod versions;

use clap::Subcommand;

use super::client::Server;
use super::outcome::Outcome;

#[derive(Debug, Subcommand)]
pub(super) enum Plugin {
    New(new::New),
    Upgrade(upgrade::Upgrade),
    Build(build::Build),
    Test(test::Test),
    Run(run::Run),
    Bench(bench::Bench),
    Inspect(inspect::Inspect),
    Check(check::Check),
    List(list::List),
    Install(install::Install),
    Versions(versions::Versions),
    Rollback(rollback::Rollback),
    Remove(remove::Remove),
    Shadow(shadow::Shadow),
    Compare(compare::Compare),
    Promote(promote::Promote),
    Discard(discard::Discard),
    Grants(grants::Grants),
    Recordings(recordings::Recordings),
    Replay(replay::Replay),
}

impl Plugin {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        match self {
            Plugin::New(command) => command.run().await,
            Plugin::Upgrade(command) => command.run().await,
            Plugin::Build(command) => command.run().await,
            Plugin::Test(command) => command.run().await,
            Plugin::Run(command) => command.run().await,
            Plugin::Bench(command) => command.run().await,
            Plugin::Inspect(command) => command.run().await,
            Plugin::Check(command) => command.run(server).await,
            Plugin::List(command) => command.run(server).await,
            Plugin::Install(command) => command.run(server).await,
            Plugin::Versions(command) => command.run(server).await,
            Plugin::Rollback(command) => command.run(server).await,
            Plugin::Remove(command) => command.run(server).await,
            Plugin::Shadow(command) => command.run(server).await,
            Plugin::Compare(command) => command.run(server).await,
            Plugin::Promote(command) => command.run(server).await,
            Plugin::Discard(command) => command.run(server).await,
            Plugin::Grants(command) => command.run(server).await,
            Plugin::Recordings(command) => command.run(server).await,
            Plugin::Replay(command) => command.run(server).await,
        }
    }
}
