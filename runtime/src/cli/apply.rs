//! `extrack apply`

mod beside;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use super::client::{Client, Server};
use super::export::owned_services;
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, note, plain};
use super::serve::faults_to_exit_code;
use crate::api_types::problem::Problem;
use crate::api_types::services::{
    ServiceAction, ServiceBatchBody, ServiceBatchSpec, ServiceOperationBody, ServiceOperationSpec,
};
use crate::config::{Faults, ServicesDocument};
use crate::domain::fault::{child, segments};
use crate::domain::{Fault, slug};
use crate::spec::ServiceSpec;

const STANDARD_INPUT: &str = "-";

/// Adds and changes services as a file describes them: all of it, or nothing; then maintenance windows,
/// silences and saved queries, one by one. The file is one of `extrack export`, or written by hand in the same form.
///
/// A service that was changed by somebody else meanwhile is left alone, and so is everything else;
/// then apply again. Services of configuration files are refused.
///
/// Examples:
///   extrack apply -f registry.yaml --dry-run        prints the difference
///   extrack apply -f registry.yaml --prune --yes    also deletes what is not in the file
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Apply {
    /// YAML or JSON; `-` for standard input.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Prints the difference and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Deletes the services of the API that the file does not have; and windows, silences (which end) and
    /// saved queries, where the file has a list of them.
    #[arg(long)]
    prune: bool,
    /// Deletes without asking.
    #[arg(long)]
    yes: bool,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Apply {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let file = self.file.clone();
        let document = tokio::task::spawn_blocking(move || read(&file)).await??;
        let document = match document {
            Ok(document) => document,
            Err(faults) => return faults_to_exit_code(Err(faults.into())),
        };
        let client = server.connect()?;
        let mut operations: Vec<ServiceOperationSpec> =
            document.services().map(put).collect::<Result<_>>()?;
        if self.prune {
            operations.extend(removals(&client, &document).await?);
        }
        let planned = match send(&client, true, &operations).await? {
            Ok(planned) => planned,
            Err(problem) => return faults_to_exit_code(Err(refusal(&document, problem)?)),
        };
        let rest = beside::plan(&client, &document, self.prune).await?;
        self.print(&planned, &rest)?;
        let actions = actions(&planned, &rest);
        let is_changed = |action: &ServiceAction| *action != ServiceAction::Unchanged;
        if self.dry_run || !actions.iter().any(is_changed) {
            return Ok(ExitCode::SUCCESS);
        }
        self.confirm(&actions)?;
        // Only what was shown is done: each service has to be at the revision that was compared.
        for (operation, result) in operations.iter_mut().zip(&planned.results) {
            operation.revision = Some(result.revision);
        }
        if let Err(problem) = send(&client, false, &operations).await? {
            return faults_to_exit_code(Err(refusal(&document, problem)?));
        }
        if let Err(refused) = beside::make(&client, &document, &rest).await {
            note(
                "services were applied, the rest only in part; correct the file and apply it again",
            );
            return faults_to_exit_code(Err(refused));
        }
        note("applied");
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, planned: &ServiceBatchBody, rest: &[beside::Change]) -> Result<()> {
        if self.json {
            let mut answer = serde_json::to_value(planned)?;
            answer["others"] = serde_json::to_value(rest)?;
            print_json(&answer);
            return Ok(());
        }
        planned.results.iter().for_each(print_result);
        rest.iter().for_each(beside::print);
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for action in actions(planned, rest) {
            *counts.entry(word(action)).or_default() += 1;
        }
        let counts: Vec<String> = counts
            .iter()
            .map(|(word, count)| format!("{count} {word}"))
            .collect();
        if counts.is_empty() {
            line("the file describes nothing");
        } else {
            line(&counts.join(", "));
        }
        Ok(())
    }

    /// Asks before anything is deleted.
    fn confirm(&self, actions: &[ServiceAction]) -> Result<()> {
        let is_deleted = |action: &&ServiceAction| **action == ServiceAction::Deleted;
        let deleted = actions.iter().filter(is_deleted).count();
        if deleted == 0 || self.yes {
            return Ok(());
        }
        let has_person = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if !has_person || self.file.as_os_str() == STANDARD_INPUT {
            bail!("{deleted} entries would be deleted; pass `--yes` if that is meant");
        }
        note(&format!("delete {deleted} entries? Type `yes`:"));
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if answer.trim() != "yes" {
            bail!("nothing was changed");
        }
        Ok(())
    }
}

fn actions(planned: &ServiceBatchBody, rest: &[beside::Change]) -> Vec<ServiceAction> {
    let services = planned.results.iter().map(|result| result.action);
    services
        .chain(rest.iter().map(|change| change.action))
        .collect()
}

/// Reads the document; blocking. The outer error is one of the system.
fn read(file: &Path) -> Result<Result<ServicesDocument, Faults>> {
    if file.as_os_str() != STANDARD_INPUT {
        return Ok(ServicesDocument::read(file));
    }
    let mut text = String::new();
    let most = ServicesDocument::MAX_BYTES;
    std::io::stdin()
        .lock()
        .take(most + 1)
        .read_to_string(&mut text)
        .context("reading standard input")?;
    if text.len() as u64 > most {
        bail!("standard input has more than {most} bytes");
    }
    Ok(ServicesDocument::parse(
        "standard input",
        &text,
        Path::new("."),
    ))
}

fn put(spec: &ServiceSpec) -> Result<ServiceOperationSpec> {
    let Value::Object(members) = serde_json::to_value(spec)? else {
        bail!("a service is no mapping");
    };
    Ok(ServiceOperationSpec {
        spec: Some(members),
        ..ServiceOperationSpec::default()
    })
}

/// Returns the removal of each service of the API that the document does not have.
async fn removals(
    client: &Client,
    document: &ServicesDocument,
) -> Result<Vec<ServiceOperationSpec>> {
    let named = document.services().map(|spec| {
        let own = spec.slug.clone();
        own.unwrap_or_else(|| slug(&spec.name))
    });
    let named: BTreeSet<String> = named.collect();
    let owned = owned_services(client).await?.into_iter();
    let gone = owned.filter(|service| !named.contains(&service.slug));
    let removal = |slug| ServiceOperationSpec {
        delete: Some(slug),
        ..ServiceOperationSpec::default()
    };
    Ok(gone.map(|service| removal(service.slug)).collect())
}

async fn send(
    client: &Client,
    dry_run: bool,
    operations: &[ServiceOperationSpec],
) -> Result<Result<ServiceBatchBody, Problem>> {
    let body = ServiceBatchSpec {
        dry_run,
        operations: operations.to_vec(),
    };
    Ok(match client.try_post("/services/batch", &body).await? {
        Ok(answer) => Ok(answer.read()?),
        Err(problem) => Err(problem),
    })
}

/// Returns what the server refused, with the places in the document.
fn refusal(document: &ServicesDocument, problem: Problem) -> Result<anyhow::Error> {
    if problem.faults.is_empty() {
        bail!(problem.detail);
    }
    Ok(document
        .placed(problem.faults.into_iter().map(position))
        .into())
}

/// Returns the position of the service that a fault of a batch is about, and the fault within it.
fn position(fault: Fault) -> (Option<usize>, Fault) {
    let segments = segments(&fault.pointer);
    let [list, index, rest @ ..] = segments.as_slice() else {
        return (None, fault);
    };
    let Some(index) = index.parse().ok().filter(|_| list == "operations") else {
        return (None, fault);
    };
    let rest = rest.iter().skip(1);
    let pointer = rest.fold(String::new(), |pointer, segment| child(&pointer, segment));
    (Some(index), Fault { pointer, ..fault })
}

fn print_result(result: &ServiceOperationBody) {
    if result.action == ServiceAction::Unchanged {
        return;
    }
    line(&format!("{} {}", word(result.action), plain(&result.slug)));
    if result.action != ServiceAction::Changed {
        return;
    }
    for change in &result.changes {
        line(&format!(
            "  {}: {} -> {}",
            plain(&change.field),
            cell(&change.before),
            cell(&change.after)
        ));
    }
    if result.changes_left_out > 0 {
        line(&format!("  and {} more", result.changes_left_out));
    }
}

fn word(action: ServiceAction) -> &'static str {
    match action {
        ServiceAction::Created => "created",
        ServiceAction::Changed => "changed",
        ServiceAction::Unchanged => "unchanged",
        ServiceAction::Deleted => "deleted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_a_batch_is_one_of_its_service() {
        for (pointer, wanted) in [
            ("/operations/3/spec/tags/0", (Some(3), "/tags/0")),
            ("/operations/3/spec", (Some(3), "")),
            ("/operations/3", (Some(3), "")),
            ("/operations", (None, "/operations")),
            ("", (None, "")),
        ] {
            let (position, fault) = position(Fault::new(pointer, "is wrong"));
            assert_eq!((position, fault.pointer.as_str()), wanted, "{pointer}");
        }
    }
}
