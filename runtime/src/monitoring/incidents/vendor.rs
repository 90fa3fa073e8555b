//! Incidents that vendors report on their status pages. A webhook plugin leaves events whose kind is
//! `incident.STATUS` and whose id is `incident:ID:UPDATE`, as the plugin `statuspage` does; they are
//! read in the order of the results, behind a mark that moves in the transaction that writes what
//! they report. To read one twice changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::IncidentCopy;
use crate::domain::{
    ErrorKind, Event, Failure, IncidentFacts, IncidentKind, IncidentOutcome, IncidentSource,
    MetricValue, UnixMillis, now_ms,
};
use crate::store::{ControlError, ControlStore, ResultError, ResultStore};

/// Events read at once.
const BATCH: usize = 200;
const PATROL: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_secs(15);
/// Deliveries side by side may be committed in another order than that of their ids: the mark stays
/// so far behind.
const SETTLED_MS: i64 = 60_000;

pub struct VendorIncidents {
    store: ControlStore,
    results: ResultStore,
    wake_copy: std::sync::Arc<Notify>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum FollowError {
    #[error("the control store: {0}")]
    Control(#[from] ControlError),
    #[error("reading the results: {0}")]
    Results(#[from] ResultError),
}

impl VendorIncidents {
    pub fn new(store: ControlStore, results: ResultStore, copy: &IncidentCopy) -> Self {
        Self {
            store,
            results,
            wake_copy: copy.wake(),
        }
    }

    /// Runs until the shutdown; the next start goes on behind the mark.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut seen = 0;
        let mut is_failing = false;
        loop {
            let wait = match self.follow(&mut seen).await {
                Ok(()) => {
                    is_failing = false;
                    PATROL
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error, "what vendors report of incidents can't be followed; it is tried again");
                    }
                    RETRY
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// `seen`: the last event of the round before. Without a newer one there is nothing to do.
    pub(super) async fn follow(&self, seen: &mut i64) -> Result<(), FollowError> {
        let mut after = self.store.incident_event_mark().await?;
        let settled_ms = now_ms().saturating_sub(SETTLED_MS);
        loop {
            let events = self.results.event_incidents_after(after, BATCH).await?;
            let Some(last) = events.last().map(|event| event.id) else {
                return Ok(());
            };
            let settled = events
                .iter()
                .take_while(|event| event.received_ms <= settled_ms);
            let mark = settled.last().map(|event| event.id);
            if last <= *seen && mark.is_none() {
                return Ok(());
            }
            let mut changed = BTreeMap::new();
            for event in &events {
                self.apply(event, &mut changed).await?;
            }
            let facts: Vec<IncidentFacts> = changed.into_values().collect();
            if self.store.incident_put(&facts, mark, now_ms()).await? > 0 {
                self.wake_copy.notify_one();
            }
            *seen = last.max(*seen);
            after = last;
            if events.len() < BATCH {
                return Ok(());
            }
        }
    }

    async fn apply(
        &self,
        event: &Event,
        changed: &mut BTreeMap<(String, String), IncidentFacts>,
    ) -> Result<(), FollowError> {
        let Some(reference) = reference(event) else {
            return Ok(());
        };
        let key = (event.service.clone(), reference.clone());
        let before = match changed.get(&key) {
            Some(facts) => Some(facts.clone()),
            None => self
                .store
                .incident_get(&event.service, IncidentSource::Vendor, &reference)
                .await?
                .map(|incident| incident.facts),
        };
        if let Some(after) = updated(before, event, reference) {
            changed.insert(key, after);
        }
        Ok(())
    }
}

/// Returns the webhook and the vendor's id of the incident.
fn reference(event: &Event) -> Option<String> {
    let mut parts = event.event_id.as_deref()?.split(':');
    let (kind, id) = (parts.next()?, parts.next()?);
    (kind == "incident" && !id.is_empty()).then(|| format!("{}:{id}", event.webhook))
}

/// Returns the incident after an update of the vendor; none if it brings nothing new. An update that
/// is older than the last one, or that announces planned work, brings nothing.
pub(super) fn updated(
    before: Option<IncidentFacts>,
    event: &Event,
    reference: String,
) -> Option<IncidentFacts> {
    let status = event.kind.strip_prefix("incident.")?;
    let impact = impact_of(event);
    let update = Update {
        service: &event.service,
        reporter: &event.webhook,
        status,
        impact: &impact,
        kind: kind_of(status, &impact),
        summary: event.summary.clone(),
        ts_ms: event.ts_ms,
    };
    applied(before, &update, reference)
}

/// What a vendor says of an incident, through a webhook or on its page.
pub(super) struct Update<'a> {
    pub(super) service: &'a str,
    /// The webhook, or the probe.
    pub(super) reporter: &'a str,
    /// The vendor's word for how far it got.
    pub(super) status: &'a str,
    /// The vendor's word; empty if it has none.
    pub(super) impact: &'a str,
    pub(super) kind: IncidentKind,
    /// For people.
    pub(super) summary: String,
    pub(super) ts_ms: UnixMillis,
}

impl Update<'_> {
    /// True if the incident says so already.
    pub(super) fn is_known(&self, facts: &IncidentFacts) -> bool {
        let is_milder = facts.kind == IncidentKind::Outage || facts.kind == self.kind;
        facts.cause == self.cause() && facts.error_kind == self.error_kind() && is_milder
    }

    /// The summary as long as a cause may be.
    fn cause(&self) -> String {
        Failure::new(ErrorKind::Assertion, self.summary.clone()).message
    }

    fn error_kind(&self) -> Option<String> {
        (!self.impact.is_empty()).then(|| self.impact.to_owned())
    }
}

/// Applies an update to what is known of an incident.
pub(super) fn applied(
    before: Option<IncidentFacts>,
    update: &Update<'_>,
    reference: String,
) -> Option<IncidentFacts> {
    if update.status == "scheduled" {
        return None;
    }
    let is_over = matches!(update.status, "resolved" | "completed" | "postmortem");
    let mut facts = match before {
        Some(before) if update.ts_ms <= before.decided_ms => return None,
        // The page is edited after the end.
        Some(before) if is_over && before.ended_ms.is_some() => return None,
        Some(before) => before,
        None => IncidentFacts {
            service: update.service.to_owned(),
            source: IncidentSource::Vendor,
            reference,
            kind: IncidentKind::Degradation,
            cause: String::new(),
            error_kind: None,
            probe: Some(update.reporter.to_owned()),
            started_ms: update.ts_ms,
            ended_ms: None,
            outcome: None,
            runs: 0,
            reopened: 0,
            decided_ms: update.ts_ms,
        },
    };
    if facts.ended_ms.is_some() {
        facts.reopened = facts.reopened.saturating_add(1);
    }
    // An outage that gets better was one.
    facts.kind = match facts.kind {
        IncidentKind::Outage => IncidentKind::Outage,
        _ => update.kind,
    };
    facts.cause = update.cause();
    facts.error_kind = update.error_kind();
    facts.ended_ms = is_over.then(|| update.ts_ms.max(facts.started_ms));
    facts.outcome = is_over.then_some(IncidentOutcome::Recovered);
    facts.runs = facts.runs.saturating_add(1);
    facts.decided_ms = update.ts_ms;
    Some(facts)
}

fn impact_of(event: &Event) -> String {
    let impact = event
        .attributes
        .iter()
        .find(|attribute| attribute.name == "impact");
    match impact.map(|attribute| &attribute.value) {
        Some(MetricValue::Text(text)) => text.clone(),
        _ => String::new(),
    }
}

fn kind_of(status: &str, impact: &str) -> IncidentKind {
    match (status, impact) {
        ("in_progress" | "verifying" | "completed", _) | (_, "maintenance") => {
            IncidentKind::Maintenance
        }
        (_, "major" | "critical") => IncidentKind::Outage,
        _ => IncidentKind::Degradation,
    }
}
