//! `extrack demo`: the real program, watching a simulated vendor on loopback.

mod vendor;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use super::print::line;
use super::serve::stop_signal;
use crate::app::{self, Options, Started};
use crate::telemetry;
use vendor::Vendor;

/// Watches a simulated vendor on this machine, to look around: nothing leaves it.
///
/// Examples:
///   extrack demo
///   extrack demo --listen 127.0.0.1:8080 --data /tmp/extrack-demo
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Demo {
    /// Address and port of the pages and the API.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Folder for what is kept; a new temporary one, removed at the end, if not given.
    #[arg(long)]
    data: Option<PathBuf>,
}

impl Demo {
    pub(super) async fn run(self) -> Result<()> {
        telemetry::start_logs("warn,extrack::demo=info");
        let scratch = tempfile::tempdir()?;
        let folder = self.data.unwrap_or_else(|| scratch.path().to_owned());
        let stop = stop_signal()?;
        let vendor = Vendor::start(stop.clone()).await?;
        let config = folder.join("config");
        write_config(&config, &vendor).with_context(|| format!("writing the demo's `{}`", config.display()))?;
        let options = Options {
            plugins: config.join("plugins"),
            config: config.clone(),
            data: folder.join("data"),
            listen: self.listen,
            is_config_accepted: false,
        };
        app::run(options, stop, |started| introduce(&started, &config)).await
    }
}

fn write_config(folder: &Path, vendor: &Vendor) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let fill = |template: &str| {
        template.replace("HTTP_ADDRESS", &vendor.http.to_string()).replace("TLS_PORT", &vendor.tls.port().to_string())
    };
    std::fs::write(folder.join("services.yaml"), fill(include_str!("demo/services.yaml")))?;
    std::fs::write(folder.join("alerts.yaml"), fill(include_str!("demo/alerts.yaml")))
}

fn introduce(started: &Started, config: &Path) {
    let url = format!("http://{}", started.address);
    let token = match (&started.new_token, std::env::var("EXTRACK_ADMIN_TOKEN")) {
        (Some(token), _) => token.clone(),
        (None, Ok(_)) => "$EXTRACK_ADMIN_TOKEN".to_owned(),
        (None, Err(_)) => "<the one shown at the first start>".to_owned(),
    };
    // One word for the shell, and nothing it would redirect.
    let word = if token.starts_with('<') { "…" } else { token.as_str() };
    line(&format!("listening on {url}"));
    line(&format!(
        "
  The demo watches a simulated vendor on this machine. Stop it with Ctrl-C.

  page     {url}
  token    {token}
  config   {}

  Three things to try, in another terminal:

    export EXTRACK_SERVER={url} EXTRACK_TOKEN={word}

    extrack services check payments-api        # one check, now; it fails for 40 s in every 80
    extrack sql \"SELECT service, count(*) AS runs, round(avg(latency_ms), 1) AS ms FROM observations GROUP BY ALL\"
    extrack alerts list                        # what is firing

  Edit services.yaml in the config folder: it is read again when you save.
",
        config.display()
    ));
}
