//! `extrack serve`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::outcome::{EXIT_USAGE, Outcome};
use super::print::line;
use crate::app::{self, Options, TlsFiles, WireOptions};
use crate::config::Faults;
use crate::telemetry;

/// Watches the configured services until it is stopped (Ctrl-C, SIGTERM).
///
/// Examples:
///   extrack serve
///   extrack serve --config /etc/extrack --data /var/lib/extrack --listen 0.0.0.0:3000
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Serve {
    /// Folder with `services.yaml`, `alerts.yaml` and, if wanted, `plugins.yaml`.
    #[arg(long, env = "EXTRACK_CONFIG", default_value = "config")]
    config: PathBuf,
    /// Folder for everything that is kept. One server a folder.
    #[arg(long, env = "EXTRACK_DATA", default_value = "data")]
    data: PathBuf,
    /// Address and port of the pages and the API.
    #[arg(long, env = "EXTRACK_LISTEN", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Address and port where the PostgreSQL protocol is spoken, e.g. `127.0.0.1:5432`. It is off
    /// without one.
    #[arg(long, env = "EXTRACK_PG_LISTEN")]
    pg_listen: Option<SocketAddr>,
    /// Certificate of the PostgreSQL protocol, in PEM: needed for addresses that other machines
    /// reach.
    #[arg(long, env = "EXTRACK_PG_TLS_CERT", requires = "pg_tls_key")]
    pg_tls_cert: Option<PathBuf>,
    /// The key of the certificate, in PEM.
    #[arg(long, env = "EXTRACK_PG_TLS_KEY", requires = "pg_tls_cert")]
    pg_tls_key: Option<PathBuf>,
    /// Watched folder: a component put here is installed. Default: `plugins` in the configuration
    /// folder.
    #[arg(long, env = "EXTRACK_PLUGINS")]
    plugins: Option<PathBuf>,
    /// Take over the configuration files whatever they remove, as `extrack config accept` does
    /// while the server runs.
    #[arg(long)]
    accept_config: bool,
    /// Let the kernel write a core file when the program crashes. It holds all secrets, and whoever
    /// runs as the same user may look into the program's memory.
    #[arg(long, env = "EXTRACK_CORE_DUMPS")]
    core_dumps: bool,
}

impl Serve {
    /// Runs until the stop signal. Exit code 64: the configuration has faults, which are all printed.
    pub(super) async fn run(self) -> Outcome {
        telemetry::start_logs("info");
        let plugins = self.plugins.unwrap_or_else(|| self.config.join("plugins"));
        let tls = self.pg_tls_cert.zip(self.pg_tls_key);
        let tls = tls.map(|(certificate, key)| TlsFiles { certificate, key });
        let wire = self.pg_listen.map(|listen| WireOptions { listen, tls });
        let options = Options {
            wire,
            config: self.config,
            data: self.data,
            plugins,
            listen: self.listen,
            is_config_accepted: self.accept_config,
            may_dump_core: self.core_dumps,
        };
        let ended = app::run(options, stop_signal()?, |started| {
            if let Some(address) = started.wire {
                line(&format!("PostgreSQL protocol on {address}"));
            }
            line(&format!("listening on http://{}", started.address));
            if let Some(token) = started.new_token {
                line(&format!("admin token, shown this once: {token}"));
            }
        })
        .await;
        faults_to_exit_code(ended)
    }
}

/// Prints the faults of a configuration, whole, and nothing else.
#[expect(
    clippy::print_stderr,
    reason = "faults are for people and scripts, not log lines"
)]
pub(super) fn faults_to_exit_code(ended: Result<()>) -> Outcome {
    match ended {
        Err(error) => match error.downcast_ref::<Faults>() {
            Some(faults) => {
                eprintln!("{faults}");
                Ok(ExitCode::from(EXIT_USAGE))
            }
            None => Err(error),
        },
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

/// Cancelled by Ctrl-C or SIGTERM; a second one ends the program at once.
pub(super) fn stop_signal() -> Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        for attempt in 0.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if attempt > 0 {
                std::process::exit(130);
            }
            stopped.cancel();
        }
    });
    Ok(stop)
}
