//! `extrack rule list|escalations|backtest`

mod backtest;

use std::process::ExitCode;

use clap::Subcommand;

use super::client::{Server, query};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, table};
use crate::api_types::rules::{EscalationBody, EscalationStepBody, RuleBody};

#[derive(Debug, Subcommand)]
pub(super) enum Rule {
    /// Rules in force, each with its last verdict.
    ///
    /// Example: extrack rule list --service shop-api
    List {
        /// Only rules for the service with that slug.
        #[arg(long)]
        service: Option<String>,
        /// Only rules that have had no verdict for long.
        #[arg(long)]
        no_data: bool,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Escalations: the channels that are notified while an alert is not acknowledged.
    ///
    /// Example: extrack rule escalations
    Escalations {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    Backtest(backtest::Backtest),
}

impl Rule {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        match self {
            Rule::Backtest(backtest) => return backtest.run(server).await,
            Rule::List {
                service,
                no_data,
                json,
            } => {
                let no_data = no_data.then_some("true");
                let filter = query(&[("noData", no_data), ("service", service.as_deref())]);
                let answer = server.connect()?.list(&format!("/rules{filter}")).await?;
                if json {
                    print_json(&answer);
                    return Ok(ExitCode::SUCCESS);
                }
                let rules: Vec<RuleBody> = answer.read()?;
                let rows: Vec<Vec<String>> = rules.iter().map(rule_row).collect();
                table(
                    &[
                        "RULE",
                        "PLUGIN",
                        "SEVERITY",
                        "VERDICT",
                        "NO DATA SINCE",
                        "TEXT",
                    ],
                    &rows,
                );
            }
            Rule::Escalations { json } => {
                let answer = server.connect()?.list("/escalations").await?;
                if json {
                    print_json(&answer);
                    return Ok(ExitCode::SUCCESS);
                }
                let escalations: Vec<EscalationBody> = answer.read()?;
                let rows: Vec<Vec<String>> = escalations.iter().flat_map(step_rows).collect();
                table(
                    &["ESCALATION", "STEP", "WAIT", "REPEAT", "HOURS", "NOTIFY"],
                    &rows,
                );
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn rule_row(rule: &RuleBody) -> Vec<String> {
    let standing = &rule.standing;
    let mut verdict = cell(&standing.verdict);
    for (holds, word) in [
        (standing.flapping, "flapping"),
        (standing.held, "held"),
        (standing.retrying, "retrying"),
    ] {
        if holds {
            verdict.push_str(&format!(", {word}"));
        }
    }
    vec![
        cell(&rule.key),
        cell(&rule.plugin),
        cell(&rule.severity),
        verdict,
        cell(&standing.no_data_since),
        cell(&standing.text),
    ]
}

fn step_rows(escalation: &EscalationBody) -> Vec<Vec<String>> {
    let row = |(index, step): (usize, &EscalationStepBody)| {
        let repeat = step.repeat.as_ref().map(|repeat| match repeat.times {
            None => format!("every {}", cell(&repeat.every)),
            Some(times) => format!("{times} times every {}", cell(&repeat.every)),
        });
        let clock = |minutes: u32| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let hours = step.hours.as_ref().map_or("any".to_owned(), |hours| {
            let (from, to) = (clock(hours.from), clock(hours.to));
            format!("{from}-{to} {}", cell(&hours.timezone))
        });
        vec![
            cell(&escalation.name),
            (index + 1).to_string(),
            cell(&step.wait),
            cell(&repeat),
            hours,
            step.notify.iter().map(cell).collect::<Vec<_>>().join(", "),
        ]
    };
    escalation.steps.iter().enumerate().map(row).collect()
}
