//! `extrack queries list|show|save|run|delete`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Subcommand;
use serde_json::{Map, Value};

use super::client::{Client, Server, segment};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, list_cell, table};
use super::sql;
use crate::api_types::queries::{NewSavedQuery, SavedQueryBody, SavedQuerySpec};
use crate::api_types::sql::{SqlParams, SqlRunRequest};

#[derive(Debug, Subcommand)]
pub(super) enum Queries {
    /// Saved queries, by name.
    ///
    /// Example: extrack queries list
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Shows one with its statement.
    ///
    /// Example: extrack queries show slow-services
    Show {
        name: String,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Saves a statement under a name, in place of one that has it. It is checked, and not run.
    ///
    /// Example: extrack queries save slow-services --default n=10 "SELECT service,
    /// avg(latency_ms) AS ms FROM observations GROUP BY service ORDER BY ms DESC LIMIT $n"
    Save {
        name: String,
        /// The statement.
        #[arg(required_unless_present = "file", conflicts_with = "file")]
        query: Option<String>,
        /// File with the statement.
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// What it answers.
        #[arg(long, default_value = "")]
        description: String,
        /// Value of a parameter that is not given when it is run.
        #[arg(long = "default", value_name = "NAME=VALUE")]
        defaults: Vec<String>,
    },
    /// Runs one.
    ///
    /// Example: extrack queries run slow-services --param n=5
    Run {
        name: String,
        #[command(flatten)]
        options: sql::Options,
    },
    /// Removes one.
    ///
    /// Example: extrack queries delete slow-services
    Delete { name: String },
}

impl Queries {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Queries::List { json } => list(&client, json).await?,
            Queries::Show { name, json } => show(&client, &name, json).await?,
            Queries::Save {
                name,
                query,
                file,
                description,
                defaults,
            } => {
                let query = match (query, file) {
                    (Some(query), _) => query,
                    (None, Some(file)) => std::fs::read_to_string(&file)
                        .with_context(|| format!("could not read `{}`", file.display()))?,
                    (None, None) => String::new(),
                };
                let spec = SavedQuerySpec {
                    query: query.trim().trim_end_matches(';').to_owned(),
                    description,
                    defaults: defaults_of(&defaults)?,
                };
                save(&client, &name, spec).await?;
            }
            Queries::Run { name, options } => {
                let request = SqlRunRequest {
                    params: options.params()?,
                    format: Some(options.wanted()?),
                    limit: options.limit(),
                };
                let path = format!("/queries/{}/run", segment(&name));
                sql::run(&client, &path, &request, &options).await?;
            }
            Queries::Delete { name } => {
                let path = format!("/queries/{}", segment(&name));
                client.delete_quietly(&path).await?;
                line(&format!("saved query {} is removed", cell(&name)));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn list(client: &Client, json: bool) -> Result<()> {
    let answer = client.list("/queries").await?;
    if json {
        print_json(&answer);
        return Ok(());
    }
    let saved: Vec<SavedQueryBody> = answer.read()?;
    let rows: Vec<Vec<String>> = saved
        .iter()
        .map(|saved| {
            vec![
                cell(&saved.name),
                list_cell(&saved.parameters),
                cell(&saved.author),
                cell(&saved.description),
            ]
        })
        .collect();
    table(&["QUERY", "PARAMETERS", "AUTHOR", "DESCRIPTION"], &rows);
    Ok(())
}

async fn show(client: &Client, name: &str, json: bool) -> Result<()> {
    let answer = client.get(&format!("/queries/{}", segment(name))).await?;
    if json {
        print_json(&answer);
        return Ok(());
    }
    let saved: SavedQueryBody = answer.read()?;
    if !saved.description.is_empty() {
        line(&format!("-- {}", cell(&saved.description)));
    }
    for (name, value) in &saved.defaults {
        line(&format!("-- ${} = {}", cell(name), cell(value)));
    }
    for text in saved.query.lines() {
        line(&cell(text));
    }
    Ok(())
}

async fn save(client: &Client, name: &str, spec: SavedQuerySpec) -> Result<()> {
    let saved = client.list("/queries").await?;
    let saved: Vec<SavedQueryBody> = saved.read()?;
    if saved.iter().any(|saved| saved.name == name) {
        client
            .put(&format!("/queries/{}", segment(name)), &spec)
            .await?;
    } else {
        let new = NewSavedQuery {
            name: name.to_owned(),
            query: spec.query,
            description: spec.description,
            defaults: spec.defaults,
        };
        client.post("/queries", &new).await?;
    }
    let name = cell(name);
    line(&format!("saved; `extrack queries run {name}` runs it"));
    Ok(())
}

fn defaults_of(defaults: &[String]) -> Result<Map<String, Value>> {
    Ok(match sql::parse_params(defaults)? {
        None => Map::new(),
        Some(SqlParams::Named(values)) => values,
        Some(SqlParams::Positional(values)) => {
            let places = (1..).map(|place: usize| place.to_string());
            places.zip(values).collect()
        }
    })
}
