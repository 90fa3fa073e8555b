//! [`CredentialWatch`] stores when credentials were used last, and reports those that end soon to the
//! alert engine, as observations of one subject. They are evaluated and not recorded.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::domain::{
    CREDENTIALS_SUBJECT, Catalog, ErrorKind, Failure, Observation, UnixMillis, credentials_ending,
    credentials_ending_text, now_ms,
};
use crate::plugin_host::PluginHost;
use crate::store::ControlStore;

/// Time between two writes of last uses, however often credentials are used.
const STORE_EVERY: Duration = Duration::from_secs(5);
/// Time between two reports; what changes the credentials is reported at once.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// The name of the observations' probe.
const PROBE: &str = "expiry";

pub struct CredentialWatch {
    host: PluginHost,
    control: ControlStore,
    catalog: watch::Receiver<Arc<Catalog>>,
    alerts: mpsc::Sender<Arc<Observation>>,
}

impl CredentialWatch {
    pub fn new(
        host: PluginHost,
        control: ControlStore,
        catalog: watch::Receiver<Arc<Catalog>>,
        alerts: mpsc::Sender<Arc<Observation>>,
    ) -> Self {
        Self {
            host,
            control,
            catalog,
            alerts,
        }
    }

    /// Runs until the shutdown, after which the last uses are stored.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(STORE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reported: Option<Instant> = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                changed = self.catalog.changed() => match changed {
                    Ok(()) => reported = None,
                    // Its owner is gone, and the shutdown follows.
                    Err(_) => {
                        shutdown.cancelled().await;
                        break;
                    }
                },
                _ = ticks.tick() => self.store_uses().await,
            }
            if reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
                self.report().await;
                reported = Some(Instant::now());
            }
        }
        self.store_uses().await;
    }

    async fn store_uses(&self) {
        if let Err(error) = self.host.credential_uses_store(&self.control).await {
            tracing::warn!(%error, "the last uses of credentials can't be stored");
        }
    }

    async fn report(&mut self) {
        let catalog = self.catalog.borrow_and_update().clone();
        if !catalog.rules.contains_key(CREDENTIALS_SUBJECT) {
            return;
        }
        let run_id = self.host.next_run_id();
        let observation = observation(&catalog, now_ms(), run_id);
        // Closed only while the program ends.
        let _ = self.alerts.send(Arc::new(observation)).await;
    }
}

fn observation(catalog: &Catalog, now_ms: UnixMillis, run_id: i64) -> Observation {
    let ending = credentials_ending(catalog, now_ms);
    metrics::gauge!("extrack_credentials_ending").set(ending.len() as f64);
    let text = credentials_ending_text(&ending, now_ms);
    let failure = text.map(|text| Failure::new(ErrorKind::Assertion, text));
    Observation::of_program(now_ms, CREDENTIALS_SUBJECT, PROBE, failure, run_id)
}
