//! `extrack services list|show|check|pause|resume`

use std::process::ExitCode;

use clap::Subcommand;

use super::client::{NoBody, Server, query, segment};
use super::heartbeats::command;
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, note, plain, table};
use crate::api_types::observations::ObservationBody;
use crate::api_types::services::ServiceBody;
use crate::spec::{DurationSpec, PauseSpec};

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
    /// Pauses a service: nothing is checked, judged or paged.
    ///
    /// Example: extrack services pause shop-api --for 2h --reason migration
    Pause {
        slug: String,
        /// Until when, e.g. 2026-12-24T06:00:00Z; until it is resumed if not given.
        #[arg(long)]
        until: Option<String>,
        /// How long, e.g. 2h.
        #[arg(long = "for", conflicts_with = "until")]
        duration: Option<String>,
        /// Why, for people.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Ends the pause of a service.
    ///
    /// Example: extrack services resume shop-api
    Resume { slug: String },
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
                let answer = client.get(&path).await?;
                print_json(&answer);
                let service: ServiceBody = answer.read()?;
                if let Some(heartbeat) = &service.heartbeat_status {
                    let command = command(heartbeat, client.base());
                    note(&format!("at the end of its job: {command}"));
                }
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
            Services::Pause {
                slug,
                until,
                duration,
                reason,
            } => {
                let spec = PauseSpec {
                    until,
                    duration: duration.map(DurationSpec::Text),
                    reason,
                };
                let path = format!("/services/{}/pause", segment(&slug));
                let service: ServiceBody = client.post(&path, &spec).await?.read()?;
                let until = service.pause.and_then(|pause| pause.until);
                let until = until.map_or("it is resumed".to_owned(), |until| plain(&until));
                line(&format!("{} is paused until {until}", plain(&service.slug)));
            }
            Services::Resume { slug } => {
                let path = format!("/services/{}/resume", segment(&slug));
                let service: ServiceBody = client.post(&path, &NoBody {}).await?.read()?;
                line(&format!("{} is checked again", plain(&service.slug)));
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
        status(service),
        described("type"),
        described("baseUrl"),
    ]
}

fn status(service: &ServiceBody) -> String {
    let paused = service.pause.as_ref().map(|_| "paused".to_owned());
    paused.unwrap_or_else(|| cell(&service.status))
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
