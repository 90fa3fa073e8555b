//! The engine that counts calls: what stores those of the gateway and those that are reported, and what
//! watches that none is lost unseen.

use anyhow::Context;

use super::tasks::{Stage, Tasks};
use super::{Core, Options};
use crate::analytics::Prices;
use crate::domain::now_ms;
use crate::usage::{self, Calls, UsageParts};

/// File in the data folder while the program runs.
const MARKER: &str = "calls.running";

/// Starts counting. Returns where calls are handed over.
pub(super) async fn build(
    tasks: &mut Tasks,
    core: &Core,
    options: &Options,
) -> anyhow::Result<Calls> {
    let prices = Prices::load(&core.results, core.registry.watch(), now_ms())
        .await
        .context("could not read what was used so far")?;
    let UsageParts {
        calls,
        recorder,
        reports,
        watch,
    } = usage::build(&core.results, Some(prices.pricing()));
    let watch = watch.with_marker(options.data.join(MARKER));
    // With the recorders, which stop last: the gateway hands over calls until it has stopped.
    tasks.spawn(Stage::Recording, "call recorder", |stop| recorder.run(stop));
    tasks.spawn(Stage::Recording, "call reports", |stop| reports.run(stop));
    tasks.spawn(Stage::Recording, "usage watch", |stop| watch.run(stop));
    Ok(calls)
}
