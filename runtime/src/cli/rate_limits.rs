//! `extrack rate-limits SERVICE`

use std::process::ExitCode;

use clap::Args;

use super::client::{Server, segment};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, table};
use crate::api_types::rate_limits::{RateLimitBody, RateLimitsBody};

/// Rate limits of a service: what is left of each, and when it will be used up.
///
/// Example: extrack rate-limits github
#[derive(Debug, Args)]
pub(super) struct RateLimits {
    /// Slug of the service.
    service: String,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl RateLimits {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        let path = format!("/services/{}/rate-limits", segment(&self.service));
        let answer = client.get(&path).await?;
        if self.json {
            print_json(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        let body: RateLimitsBody = answer.read()?;
        if body.limits.is_empty() {
            line("no answer of the last day said anything of a rate limit");
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<Vec<String>> = body.limits.iter().map(row).collect();
        let header = [
            "LIMIT",
            "HOST",
            "CREDENTIAL",
            "LEFT",
            "QUOTA",
            "UNIT",
            "RESET",
            "USED UP",
            "FORECAST",
        ];
        table(&header, &rows);
        Ok(ExitCode::SUCCESS)
    }
}

fn row(limit: &RateLimitBody) -> Vec<String> {
    let forecast = &limit.forecast;
    vec![
        cell(&limit.name),
        cell(&limit.host),
        cell(&limit.credential),
        cell(&limit.remaining),
        cell(&limit.quota),
        cell(&limit.unit),
        cell(&limit.reset_at),
        cell(&forecast.likely),
        cell(&forecast.summary),
    ]
}
