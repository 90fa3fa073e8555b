//! Live pages: what changed is rendered once a second at most, for all dashboards together, and
//! sent as fragments.

mod log;

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::{Stream, StreamExt, stream};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;

use super::changes::{Changes, Pending};
use super::fragments;
use super::overview::{View, ViewQuery};
use crate::api::auth::ended;
use crate::api::error::{ApiError, ApiResult};
use crate::api::parts::Parts;
use crate::api::state::ApiState;
use log::{Log, Missed};

/// A page that is busier than this reads like noise.
const PAUSE: Duration = Duration::from_secs(1);
/// Batches a slow dashboard may lag behind before it loads the page again.
const BATCHES: usize = 8;
/// Rows rendered before other tasks get their turn.
const ROWS_IN_A_ROW: usize = 64;
/// So that proxies and browsers notice a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Then the browser connects again, and its session is looked at again.
const MAX_CONNECTION: Duration = Duration::from_secs(15 * 60);

/// The source of live changes. Its task is [`Live::run`].
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    changes: Changes,
    log: Mutex<Log>,
    batches: broadcast::Sender<Arc<Batch>>,
}

/// What changed at one moment, rendered.
#[derive(Debug, Default)]
struct Batch {
    sequence: u64,
    /// Slug and row.
    rows: Vec<(String, String)>,
    sections: String,
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

    /// Where other parts say what changed.
    pub fn changes(&self) -> &Changes {
        &self.0.changes
    }

    /// Grows with each batch; a page says with it what it has seen.
    pub(super) fn sequence(&self) -> u64 {
        self.log(|log| log.sequence())
    }

    /// Renders and sends changes until the shutdown.
    pub async fn run(self, parts: Parts, shutdown: CancellationToken) {
        loop {
            let pending = tokio::select! {
                pending = self.0.changes.next() => pending,
                () = shutdown.cancelled() => return,
            };
            let sequence = self.log(|log| log.note(&pending));
            if self.0.batches.receiver_count() > 0 {
                let batch = render(&parts, sequence, pending).await;
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

    /// What came after `since`, and everything from now on.
    async fn subscribe(
        &self,
        parts: &Parts,
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
            Some(Missed::Some(sequence, pending)) => Some(render(parts, sequence, pending).await),
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

async fn render(parts: &Parts, sequence: u64, pending: Pending) -> Batch {
    let mut batch = Batch {
        sequence,
        reload: pending.list,
        ..Batch::default()
    };
    let catalog = parts.services.catalog();
    for (index, slug) in pending.services.into_iter().enumerate() {
        if let Some(service) = catalog.services.get(&slug) {
            let row = fragments::service(service, parts.monitor.service_status(&slug).as_ref());
            batch.rows.push((slug, row.into_string()));
        }
        if index % ROWS_IN_A_ROW == ROWS_IN_A_ROW - 1 {
            tokio::task::yield_now().await;
        }
    }
    if !batch.rows.is_empty() || pending.list {
        batch
            .sections
            .push_str(&fragments::totals(&fragments::counts(parts)).into_string());
    }
    if pending.alerts {
        match fragments::alerts(parts).await {
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
            .push_str(&fragments::plugins(parts).into_string());
    }
    batch
}

/// `GET /events`, with the query of the page that listens.
pub(in crate::api) async fn stream(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Query(query): Query<ViewQuery>,
) -> ApiResult<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let permit = state
        .live_connections
        .clone()
        .try_acquire_owned()
        .map_err(|_| ApiError::too_many_connections())?;
    let again = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse().ok());
    let batches = state
        .live
        .subscribe(&state.parts, again.or(query.since()))
        .await;
    let visible = View::new(query).visible(&state.parts);
    let end = state.shutdown.clone();
    let end = async move {
        tokio::select! {
            _ = tokio::time::timeout(MAX_CONNECTION, end.cancelled()) => {}
            () = ended(&state, &headers) => {}
        }
    };
    let events = batches.filter_map(move |batch| {
        let _held_while_connected = &permit;
        std::future::ready(event(&batch, visible.as_ref()).map(Ok))
    });
    // At once, so that the page knows it is connected.
    let hello = stream::iter([Ok(Event::default().comment("live"))]);
    Ok(Sse::new(hello.chain(events).take_until(end))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn event(batch: &Batch, visible: Option<&HashSet<String>>) -> Option<Event> {
    if batch.reload {
        return Some(
            Event::default()
                .event("reload")
                .id(batch.sequence.to_string())
                .data(""),
        );
    }
    let rows = batch
        .rows
        .iter()
        .filter(|(slug, _)| visible.is_none_or(|visible| visible.contains(slug)));
    let mut html: String = rows.map(|(_, row)| row.as_str()).collect();
    html.push_str(&batch.sections);
    (!html.is_empty()).then(|| {
        Event::default()
            .event("fragments")
            .id(batch.sequence.to_string())
            .data(html)
    })
}
