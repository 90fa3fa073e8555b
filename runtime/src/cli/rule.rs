//! `extrack rule list|escalations|backtest`

mod backtest;

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

use super::client::Server;
use super::print::{cell, json as print_json, table};

#[derive(Debug, Subcommand)]
pub(super) enum Rule {
    /// Rules in force, and what each said last.
    ///
    /// Example: extrack rule list --service shop-api
    List {
        /// Only rules for the service with that slug.
        #[arg(long)]
        service: Option<String>,
        /// Only rules that have said nothing for long.
        #[arg(long)]
        no_data: bool,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Who is told when nobody comes.
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
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        match self {
            Rule::Backtest(backtest) => return backtest.run(server).await,
            Rule::List {
                service,
                no_data,
                json,
            } => {
                let service = service.map(|slug| {
                    let slug: String =
                        url::form_urlencoded::byte_serialize(slug.as_bytes()).collect();
                    format!("&service={slug}")
                });
                let items = server
                    .connect()?
                    .list(&format!(
                        "/rules?noData={no_data}{}",
                        service.unwrap_or_default()
                    ))
                    .await?;
                if json {
                    print_json(&Value::from(items));
                    return Ok(());
                }
                let rows: Vec<Vec<String>> = items.iter().map(rule_row).collect();
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
                let escalations = server.connect()?.list("/escalations").await?;
                if json {
                    print_json(&Value::from(escalations));
                    return Ok(());
                }
                let rows: Vec<Vec<String>> = escalations.iter().flat_map(step_rows).collect();
                table(
                    &["ESCALATION", "STEP", "WAIT", "REPEAT", "HOURS", "NOTIFY"],
                    &rows,
                );
            }
        }
        Ok(())
    }
}

fn rule_row(item: &Value) -> Vec<String> {
    let standing = &item["standing"];
    let mut verdict = cell(&standing["verdict"]);
    for (key, word) in [
        ("flapping", "flapping"),
        ("held", "held"),
        ("retrying", "retrying"),
    ] {
        if standing[key] == true {
            verdict.push_str(&format!(", {word}"));
        }
    }
    vec![
        cell(&item["key"]),
        cell(&item["plugin"]),
        cell(&item["severity"]),
        verdict,
        cell(&standing["noDataSince"]),
        cell(&standing["text"]),
    ]
}

fn step_rows(escalation: &Value) -> Vec<Vec<String>> {
    let steps = escalation["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate();
    let row = |(index, step): (usize, &Value)| {
        let repeat = match (&step["repeat"]["every"], &step["repeat"]["times"]) {
            (Value::Null, _) => "-".to_owned(),
            (every, Value::Null) => format!("every {}", cell(every)),
            (every, times) => format!("{} times every {}", cell(times), cell(every)),
        };
        let clock = |minutes: &Value| {
            let minutes = minutes.as_u64().unwrap_or_default();
            format!("{:02}:{:02}", minutes / 60, minutes % 60)
        };
        let hours = match &step["hours"] {
            Value::Null => "any".to_owned(),
            hours => format!(
                "{}-{} {}",
                clock(&hours["from"]),
                clock(&hours["to"]),
                cell(&hours["timezone"])
            ),
        };
        let notify = step["notify"]
            .as_array()
            .into_iter()
            .flatten()
            .map(cell)
            .collect::<Vec<_>>()
            .join(", ");
        let wait = cell(&step["wait"]);
        vec![
            cell(&escalation["name"]),
            (index + 1).to_string(),
            wait,
            repeat,
            hours,
            notify,
        ]
    };
    steps.map(row).collect()
}
