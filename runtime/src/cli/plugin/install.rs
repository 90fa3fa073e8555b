//! `extrack plugin install FILE` and `extrack plugin install oci://…`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::call::load;
use crate::api_types::plugins::{PluginBody, PullBody};
use crate::cli::client::Server;
use crate::cli::outcome::Outcome;
use crate::cli::print::{cell, line};

/// Brings a component to the server: verified first, then active at once, without a missed run.
///
/// A signature of minisign goes with it. A component in an OCI registry is fetched by the server.
///
/// Examples: extrack plugin install dist/shop-probe.wasm,
/// extrack plugin install oci://ghcr.io/acme/shop-probe:1.2.0
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// A component, or `oci://REGISTRY/REPOSITORY:TAG`.
    component: String,
    /// Signature of the component. Default: FILE.minisig, if it is there.
    #[arg(long)]
    signature: Option<PathBuf>,
}

impl Install {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let answer = if self.component.starts_with("oci://") {
            if self.signature.is_some() {
                bail!(
                    "the signature of what comes from a registry comes from there too; leave `--signature` out"
                );
            }
            let pull = PullBody {
                reference: self.component,
                name: None,
            };
            server.connect()?.post("/plugins/pull", &pull).await?
        } else {
            let file = Path::new(&self.component);
            let bytes =
                std::fs::read(file).with_context(|| format!("reading `{}`", file.display()))?;
            let name = load(file).await?.entry().name.clone();
            let signature = signature_of(file, self.signature.as_deref())?;
            server
                .connect()?
                .put_component(&format!("/plugins/{name}"), bytes, signature)
                .await?
        };
        let plugin: PluginBody = answer.read()?;
        line(&format!(
            "{} {} {} is {}",
            cell(&plugin.kind),
            cell(&plugin.name),
            cell(&plugin.version),
            cell(&plugin.state)
        ));
        if let Some(warning) = &plugin.warning {
            line(&format!("warning: {}", cell(warning)));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The text of the signature that is named, or lies beside the component.
pub(super) fn signature_of(file: &Path, named: Option<&Path>) -> Result<Option<String>> {
    let path = named.map_or_else(|| file.with_added_extension("minisig"), Path::to_owned);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("reading the signature `{}`", path.display()))
        }
    }
}
