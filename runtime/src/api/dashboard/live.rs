//! Live pages: what changed is rendered once a second at most, for all dashboards together, and
//! sent as fragments.

pub(crate) mod events;
mod log;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use maud::{Markup, html};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;

use super::changes::{Changes, Pending};
use super::{fragments, layout};
use crate::api::http::deps::ApiDeps;
use crate::api::http::viewer::firing;
use crate::store::ControlError;
use log::{Log, Missed};

/// A page that is busier than this reads like noise.
const PAUSE: Duration = Duration::from_secs(1);
/// Batches a slow dashboard may lag behind before it loads the page again.
const BATCHES: usize = 8;
/// Rows rendered before other tasks get their turn.
const ROWS_IN_A_ROW: usize = 64;

/// The source of live changes. Its task is [`Live::run`].
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    changes: Changes,
    log: Mutex<Log>,
    batches: broadcast::Sender<Arc<Batch>>,
}

/// Changes of one moment, rendered.
#[derive(Debug, Default)]
struct Batch {
    sequence: u64,
    /// Slug and row.
    rows: Vec<(String, String)>,
    sections: String,
    /// Alerts changed.
    alerts: bool,
    /// The list of services itself changed: load the page again.
    reload: bool,
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}

impl Live {
    pub fn new() -> Self {
        let (batches, _) = broadcast::channel(BATCHES);
        Self(Arc::new(Inner {
            changes: Changes::default(),
            log: Mutex::new(Log::new()),
            batches,
        }))
    }

    /// Returns the sender of changes for other parts of the program.
    pub fn changes(&self) -> &Changes {
        &self.0.changes
    }

    /// Number of the last batch; a page carries the one that it has seen.
    pub(super) fn sequence(&self) -> u64 {
        self.log(|log| log.sequence())
    }

    /// Returns the address of changes for a page that is loaded again when the alerts or this
    /// service change.
    pub(super) fn watch_url(&self, service: Option<&str>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("watch", service.unwrap_or_default());
        query.append_pair("since", &self.sequence().to_string());
        format!("/events?{}", query.finish())
    }

    /// Renders and sends changes until the shutdown.
    pub async fn run(self, deps: ApiDeps, shutdown: CancellationToken) {
        loop {
            let pending = tokio::select! {
                pending = self.0.changes.next() => pending,
                () = shutdown.cancelled() => return,
            };
            let sequence = self.log(|log| log.note(&pending));
            if self.0.batches.receiver_count() > 0 {
                let batch = render(&deps, sequence, pending).await;
                let _nobody_left = self.0.batches.send(Arc::new(batch));
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    fn log<T>(&self, look: impl FnOnce(&mut Log) -> T) -> T {
        look(&mut self.0.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns what came after `since`, and everything from now on.
    async fn subscribe(
        &self,
        deps: &ApiDeps,
        since: Option<u64>,
    ) -> impl Stream<Item = Arc<Batch>> + use<> {
        let batches = BroadcastStream::new(self.0.batches.subscribe());
        let missed = since.map(|since| self.log(|log| log.missed(since)));
        let first = match missed {
            None | Some(Missed::Nothing) => None,
            Some(Missed::TooMuch(sequence)) => Some(Batch {
                sequence,
                reload: true,
                ..Batch::default()
            }),
            Some(Missed::Some(sequence, pending)) => Some(render(deps, sequence, pending).await),
        };
        let lagged = |_| {
            Arc::new(Batch {
                reload: true,
                ..Batch::default()
            })
        };
        stream::iter(first.map(Arc::new))
            .chain(batches.map(move |batch| batch.unwrap_or_else(lagged)))
    }
}

async fn render(deps: &ApiDeps, sequence: u64, pending: Pending) -> Batch {
    let mut batch = Batch {
        sequence,
        alerts: pending.alerts,
        reload: pending.list,
        ..Batch::default()
    };
    let catalog = deps.registry.catalog();
    for (index, slug) in pending.services.into_iter().enumerate() {
        if let Some(service) = catalog.services.get(&slug) {
            let row = fragments::service(service, deps.monitor.service_status(&slug).as_ref());
            batch.rows.push((slug, row.into_string()));
        }
        if index % ROWS_IN_A_ROW == ROWS_IN_A_ROW - 1 {
            tokio::task::yield_now().await;
        }
    }
    if !batch.rows.is_empty() || pending.list {
        batch
            .sections
            .push_str(&fragments::totals(&fragments::counts(deps)).into_string());
    }
    if pending.alerts {
        match alerts(deps).await {
            Ok(alerts) => batch.sections.push_str(&alerts.into_string()),
            Err(error) => {
                tracing::error!(
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "reading the open alerts for the dashboard failed"
                )
            }
        }
    }
    if pending.plugins {
        batch
            .sections
            .push_str(&fragments::plugins(deps).into_string());
    }
    batch
}

async fn alerts(deps: &ApiDeps) -> Result<Markup, ControlError> {
    let firing = firing(&deps.control).await?;
    let alerts = fragments::alerts(deps).await?;
    Ok(html! { (layout::open_alerts(firing)) (alerts) })
}
