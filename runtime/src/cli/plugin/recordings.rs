//! `extrack plugin recordings`

use std::process::ExitCode;

use clap::Args;

use crate::api_types::recordings::RecordingBody;
use crate::cli::client::{Server, query};
use crate::cli::outcome::Outcome;
use crate::cli::print::{cell, json as print_json, table};

/// Runs of which a recording is kept, newest first: those that failed, and the last ones that went
/// well before.
///
/// Examples:
///   extrack plugin recordings
///   extrack plugin recordings --service shop-api --outcome trap
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Recordings {
    /// Slug of a service.
    #[arg(long)]
    service: Option<String>,
    /// Name of a plugin.
    #[arg(long)]
    plugin: Option<String>,
    /// How the run ended: ok, error, trap, timeout or limit.
    #[arg(long)]
    outcome: Option<String>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Recordings {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let filter = query(&[
            ("service", self.service.as_deref()),
            ("plugin", self.plugin.as_deref()),
            ("outcome", self.outcome.as_deref()),
        ]);
        let path = format!("/recordings{filter}");
        let answer = server.connect()?.list(&path).await?;
        if self.json {
            print_json(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        let recordings: Vec<RecordingBody> = answer.read()?;
        let rows: Vec<Vec<String>> = recordings.iter().map(row).collect();
        table(
            &[
                "RUN", "TIME", "FOR", "PLUGIN", "VERSION", "OUTCOME", "STATUS", "ERROR",
            ],
            &rows,
        );
        Ok(ExitCode::SUCCESS)
    }
}

fn row(recording: &RecordingBody) -> Vec<String> {
    let subject = recording.channel.as_ref().or(recording.service.as_ref());
    vec![
        cell(&recording.run_id),
        cell(&recording.ts),
        cell(&subject),
        cell(&recording.plugin),
        cell(&recording.version),
        cell(&recording.outcome),
        cell(&recording.status),
        cell(&recording.error),
    ]
}
