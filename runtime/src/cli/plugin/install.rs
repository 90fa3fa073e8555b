//! `extrack plugin install FILE` and `extrack plugin install oci://…`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

use super::call::load;
use crate::cli::client::Server;
use crate::cli::print::{cell, line};

/// Brings a component to the server: verified first, then active at once, without a missed run.
///
/// A signature of minisign goes with it. A component in an OCI registry is fetched by the server.
///
/// Examples: extrack plugin install dist/shop-probe.wasm,
/// extrack plugin install oci://ghcr.io/acme/shop-probe:1.2.0
#[derive(Debug, Args)]
pub(in crate::cli) struct Install {
    /// A component, or `oci://REGISTRY/REPOSITORY:TAG`.
    component: String,
    /// Its signature. Default: FILE.minisig, if it is there.
    #[arg(long)]
    signature: Option<PathBuf>,
}

impl Install {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let entry = if self.component.starts_with("oci://") {
            if self.signature.is_some() {
                bail!(
                    "the signature of what comes from a registry comes from there too; leave `--signature` out"
                );
            }
            server
                .connect()?
                .post("/plugins/pull", &json!({ "reference": self.component }))
                .await?
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
        line(&format!(
            "{} {} {} is {}",
            cell(&entry["kind"]),
            cell(&entry["name"]),
            cell(&entry["version"]),
            cell(&entry["state"])
        ));
        if let Some(warning) = entry["warning"].as_str() {
            line(&format!("warning: {warning}"));
        }
        Ok(())
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
