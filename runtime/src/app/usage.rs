//! The engine that counts calls: what stores those of the gateway and those that are reported, and what
//! watches that none is lost unseen.

use std::sync::Arc;

use anyhow::Context;

use super::tasks::{Stage, Tasks};
use super::{Core, Options};
use crate::analytics::{InvoiceBook, Prices};
use crate::domain::{UsageReader, now_ms};
use crate::usage::{self, BudgetBook, Calls, UsageParts};

/// File in the data folder while the program runs.
const MARKER: &str = "calls.running";

/// Starts counting. Returns where calls are handed over.
pub(super) async fn build(
    tasks: &mut Tasks,
    core: &Core,
    options: &Options,
    budgets: BudgetBook,
) -> anyhow::Result<Calls> {
    let prices = Prices::load(&core.results, core.registry.watch(), now_ms())
        .await
        .context("could not read what was used so far")?;
    let UsageParts {
        calls,
        recorder,
        reports,
        watch,
    } = usage::build(&core.results, Some(prices.pricing()), budgets.clone());
    let watch = watch.with_marker(options.data.join(MARKER));
    // With the recorders, which stop last: the gateway hands over calls until it has stopped.
    tasks.spawn(Stage::Recording, "call recorder", |stop| recorder.run(stop));
    tasks.spawn(Stage::Recording, "call reports", |stop| reports.run(stop));
    tasks.spawn(Stage::Recording, "usage watch", |stop| watch.run(stop));
    let results = core.results.clone();
    tasks.spawn(Stage::Recording, "budgets", |stop| {
        budgets.run(results, stop)
    });
    Ok(calls)
}

/// Starts comparing invoices, and returns what rules see of budgets and invoices.
pub(super) fn to_date(tasks: &mut Tasks, core: &Core, budgets: &BudgetBook) -> UsageReader {
    let invoices = InvoiceBook::new(core.results.clone(), core.registry.watch());
    let (budgets, compared) = (budgets.reader(), invoices.reader());
    tasks.spawn(Stage::Alerting, "invoices", |stop| invoices.run(stop));
    Arc::new(move |subject, now_ms| {
        let mut usage = budgets(subject, now_ms);
        usage.extend(compared(subject, now_ms));
        usage
    })
}
