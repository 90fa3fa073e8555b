//! `extrack rule backtest`

mod backtest;

use anyhow::Result;
use clap::Subcommand;

use super::client::Server;

#[derive(Debug, Subcommand)]
pub(super) enum Rule {
    Backtest(backtest::Backtest),
}

impl Rule {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let Rule::Backtest(backtest) = self;
        backtest.run(server).await
    }
}
