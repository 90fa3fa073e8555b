//! `extrack add VENDOR`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;

use super::client::Server;
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, note};
use super::vendors::ConfigFolder;
use crate::api_types::services::ServiceBody;
use crate::spec::ServiceSpec;
use crate::vendors::{Draft, Options, Secrets, append_service, service_yaml};

/// Adds a service of a vendor of the catalog: to a running server, to a file, or prints it.
///
/// Secrets come from the variables that `extrack vendors show VENDOR` names: a file gets
/// `${NAME}`, a server their values.
///
/// Examples:
///   STRIPE_API_KEY=… extrack add stripe
///   extrack add okta --set domain=example.okta.com --name "Single sign-on"
///   extrack add github --webhook --file config/services.yaml
///   extrack add openai --no-status-page --print
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Add {
    /// Name of the vendor; `extrack vendors list` shows all.
    vendor: String,
    /// Name of the service. Default: the vendor's title.
    #[arg(long)]
    name: Option<String>,
    /// Parameter of the vendor.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// With the webhook by which the vendor reports.
    #[arg(long)]
    webhook: bool,
    /// Without a probe of the vendor's status page.
    #[arg(long)]
    no_status_page: bool,
    /// Appends the service to this file.
    #[arg(long, value_name = "FILE", conflicts_with = "print")]
    file: Option<PathBuf>,
    /// Prints the service as YAML.
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    config: ConfigFolder,
    /// JSON of the service that the server answered.
    #[arg(long)]
    json: bool,
}

impl Add {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let catalog = self.config.catalog().await?;
        let vendor = &catalog.entry(&self.vendor)?.vendor;
        let options = Options {
            name: self.name.clone(),
            parameters: self.set.iter().cloned().collect::<BTreeMap<_, _>>(),
            webhook: self.webhook,
            status_page: !self.no_status_page,
        };
        if self.webhook && vendor.webhook.is_none() {
            bail!(
                "no plugin is known for webhooks of `{}`; leave out `--webhook`",
                vendor.name
            );
        }
        if self.print || self.file.is_some() {
            let draft = Draft::of(vendor, &options, Secrets::Named)?;
            return self.write(&draft).await;
        }
        let client = server.connect()?;
        let draft = Draft::of(
            vendor,
            &options,
            Secrets::Values(&|name: &str| std::env::var(name).ok()),
        )?;
        if self.webhook && draft.service.webhooks.is_empty() {
            bail!(
                "the webhook needs its secret in the variable `{}`",
                draft.variables.join("`, `")
            );
        }
        let answer = client.post("/services", &draft.service).await?;
        for variable in &draft.variables {
            note(&format!(
                "`{variable}` is not set, so the service is added without what it is for; set it and add the service again"
            ));
        }
        if self.json {
            print_json(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        let service: ServiceBody = answer.read()?;
        line(&format!("added `{}`", cell(&service.slug)));
        Ok(ExitCode::SUCCESS)
    }

    async fn write(&self, draft: &Draft) -> Outcome {
        match &self.file {
            None => line(service_yaml(&draft.service).trim_end()),
            Some(file) => {
                let (path, service) = (file.clone(), draft.service.clone());
                tokio::task::spawn_blocking(move || append(&path, &service)).await??;
                line(&format!(
                    "added `{}` to `{}`",
                    draft.service.name,
                    file.display()
                ));
            }
        }
        if !draft.variables.is_empty() {
            note(&format!(
                "set `{}` in the environment or in `.env`",
                draft.variables.join("`, `")
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Adds to the file by writing another one beside it, which takes its place. Blocking.
fn append(path: &Path, service: &ServiceSpec) -> Result<()> {
    use std::io::Write;
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading `{shown}`")),
    };
    let text = append_service(&text, service).map_err(|reason| {
        anyhow!("`{shown}` is left as it is: {reason}; add it by hand with `--print`")
    })?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let writing = || format!("writing `{shown}`");
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(writing)?;
    file.write_all(text.as_bytes()).with_context(writing)?;
    if let Ok(metadata) = std::fs::metadata(path) {
        file.as_file()
            .set_permissions(metadata.permissions())
            .with_context(writing)?;
    }
    file.as_file().sync_all().with_context(writing)?;
    file.persist(path).with_context(writing)?;
    Ok(())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is no `KEY=VALUE`")),
    }
}
