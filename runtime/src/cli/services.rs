//! `extrack services list|show|check`

use std::process::ExitCode;

use clap::Subcommand;

use super::client::{NoBody, Server, query, segment};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, plain, table};
use crate::api_types::observations::ObservationBody;
use crate::api_types::services::ServiceBody;

#[derive(Debug, Subcommand)]
pub(super) enum Services {
    /// All services with their status.
    ///
    /// Example: extrack services list
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// One service: its settings without secrets, its status, its probes.
    ///
    /// Example: extrack services show shop-api
    Show { slug: String },
    /// Runs a check now and prints the observation. Exit code 1 unless the service is healthy or
    /// degraded.
    ///
    /// Example: extrack services check shop-api --probe http
    Check {
        slug: String,
        /// Name of a probe; the first one if not given.
        #[arg(long)]
        probe: Option<String>,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

impl Services {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Services::List { json } => {
                let answer = client.list("/services").await?;
                if json {
                    print_json(&answer);
                    return Ok(ExitCode::SUCCESS);
                }
                let services: Vec<ServiceBody> = answer.read()?;
                let rows: Vec<Vec<String>> = services.iter().map(row).collect();
                table(&["SERVICE", "STATUS", "TYPE", "BASE URL"], &rows);
            }
            Services::Show { slug } => {
                let path = format!("/services/{}", segment(&slug));
                print_json(&client.get(&path).await?);
            }
            Services::Check { slug, probe, json } => {
                let probe = query(&[("probe", probe.as_deref())]);
                let path = format!("/services/{}/check{probe}", segment(&slug));
                let answer = client.post(&path, &NoBody {}).await?;
                let observation: ObservationBody = answer.read()?;
                if json {
                    print_json(&answer);
                } else {
                    print_observation(&observation);
                }
                if !observation.status.is_available() {
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(service: &ServiceBody) -> Vec<String> {
    // The rest of a service is its description, as it was written.
    let described = |key: &str| cell(&service.spec.get(key));
    vec![
        cell(&service.slug),
        cell(&service.status),
        described("type"),
        described("baseUrl"),
    ]
}

fn print_observation(observation: &ObservationBody) {
    let ms = |us: u64| format!("{:.1} ms", us as f64 / 1_000.0);
    let phases = &observation.phases;
    let latency = observation.latency_us.map_or("-".to_owned(), ms);
    let mut rows = vec![
        vec!["status".to_owned(), cell(&observation.status)],
        vec!["latency".to_owned(), latency],
    ];
    for (name, phase) in [
        ("dns", phases.dns_us),
        ("connect", phases.connect_us),
        ("tls", phases.tls_us),
        ("first byte", phases.first_byte_us),
        ("body", phases.body_us),
    ] {
        if let Some(us) = phase {
            rows.push(vec![format!("  {name}"), ms(us)]);
        }
    }
    rows.push(vec![
        "http status".to_owned(),
        cell(&observation.http_status),
    ]);
    rows.push(vec!["error".to_owned(), cell(&observation.error)]);
    for (name, value) in &observation.metrics {
        rows.push(vec![plain(name), cell(value)]);
    }
    table(&["", ""], &rows);
}
