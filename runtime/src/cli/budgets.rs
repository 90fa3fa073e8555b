//! `extrack budgets`

use std::process::ExitCode;

use clap::Args;

use super::client::Server;
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, table};
use crate::api_types::budgets::{BudgetBody, BudgetsBody};

/// Budgets: what is used of each in its present period, and when it will be used up.
///
/// Example: extrack budgets
#[derive(Debug, Args)]
pub(super) struct Budgets {
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Budgets {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        let answer = client.get("/budgets").await?;
        if self.json {
            print_json(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        let body: BudgetsBody = answer.read()?;
        if body.budgets.is_empty() {
            line("there are no budgets; they are written under `budgets` in alerts.yaml");
            return Ok(ExitCode::SUCCESS);
        }
        let header = [
            "BUDGET", "PER", "AMOUNT", "CURRENCY", "USED", "SHARE", "STATE", "FORECAST", "USED UP",
        ];
        let rows: Vec<Vec<String>> = body.budgets.iter().map(row).collect();
        table(&header, &rows);
        for budget in &body.budgets {
            if let Some(unpriced) = budget.unpriced.filter(|unpriced| *unpriced > 0) {
                line(&format!(
                    "{}: {unpriced} calls do not count, because their cost is unknown or in another currency",
                    cell(&budget.name)
                ));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(budget: &BudgetBody) -> Vec<String> {
    let forecast = match (&budget.forecast, &budget.forecast_missing) {
        (Some(found), _) => format!("{} ({} to {})", found.likely, found.low, found.high),
        (None, Some(reason)) => reason.clone(),
        (None, None) => "-".to_owned(),
    };
    let state = match &budget.missing {
        Some(reason) => format!("{}: {reason}", budget.state.as_str()),
        None => budget.state.as_str().to_owned(),
    };
    let share = budget.share.as_ref().map(|share| format!("{share} %"));
    vec![
        cell(&budget.name),
        cell(&budget.per),
        cell(&budget.amount),
        cell(&budget.currency),
        cell(&budget.used),
        cell(&share),
        cell(&state),
        cell(&forecast),
        cell(&budget.used_up_at),
    ]
}
