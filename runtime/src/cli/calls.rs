//! `extrack calls import`

mod batches;
mod import;

use clap::Subcommand;

use super::client::Server;
use super::outcome::Outcome;

#[derive(Debug, Subcommand)]
pub(super) enum Calls {
    /// Reports the requests of an access log as calls to a service.
    ///
    /// The same log can be imported again, also after it has grown: what was imported counts once. Lines that
    /// can't be read are listed with the reason, and the others are imported.
    ///
    /// Example: extrack calls import /var/log/nginx/egress.log --service stripe
    Import(import::Import),
}

impl Calls {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Calls::Import(options) => options.run(&client).await,
        }
    }
}
