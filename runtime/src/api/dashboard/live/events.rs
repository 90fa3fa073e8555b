//! The stream of live changes that a dashboard reads.

use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;

use super::Batch;
use crate::api::dashboard::overview::{View, ViewQuery};
use crate::api::http::auth::ended;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;

/// So that proxies and browsers notice a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Then the browser connects again, and its session is looked at again.
const MAX_CONNECTION: Duration = Duration::from_secs(15 * 60);

/// Query of pages that are loaded again as a whole.
#[derive(Debug, Deserialize)]
pub(crate) struct WatchQuery {
    /// Slug of the service that the page shows; may be empty. Alerts are watched in any case.
    watch: Option<String>,
}

/// Changes that a page wants.
enum Wanted {
    /// Fragments of these services; none: of all.
    Fragments(Option<HashSet<String>>),
    /// A sign that this service or the alerts changed.
    Signs { service: String },
}

/// `GET /events`, with the query of the page that listens.
pub(crate) async fn stream(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Query(query): Query<ViewQuery>,
    Query(WatchQuery { watch }): Query<WatchQuery>,
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
        .subscribe(&state.deps, again.or(query.since()))
        .await;
    let wanted = match watch {
        Some(service) => Wanted::Signs { service },
        None => Wanted::Fragments(View::new(query).visible(&state.deps)),
    };
    let end = state.shutdown.clone();
    let end = async move {
        tokio::select! {
            _ = tokio::time::timeout(MAX_CONNECTION, end.cancelled()) => {}
            () = ended(&state, &headers) => {}
        }
    };
    let events = batches.filter_map(move |batch| {
        let _held_while_connected = &permit;
        std::future::ready(event(&batch, &wanted).map(Ok))
    });
    // At once, so that the page knows it is connected.
    let hello = stream::iter([Ok(Event::default().comment("live"))]);
    Ok(Sse::new(hello.chain(events).take_until(end))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn event(batch: &Batch, wanted: &Wanted) -> Option<Event> {
    let (name, data) = match wanted {
        Wanted::Signs { service } => {
            let is_shown = batch.rows.iter().any(|(slug, _)| slug == service);
            let is_changed = batch.reload || batch.alerts || is_shown;
            is_changed.then(|| ("changed", String::new()))
        }
        Wanted::Fragments(_) if batch.reload => Some(("reload", String::new())),
        Wanted::Fragments(visible) => {
            let html = fragments(batch, visible.as_ref());
            (!html.is_empty()).then_some(("fragments", html))
        }
    }?;
    let id = batch.sequence.to_string();
    Some(Event::default().event(name).id(id).data(data))
}

fn fragments(batch: &Batch, visible: Option<&HashSet<String>>) -> String {
    let rows = batch
        .rows
        .iter()
        .filter(|(slug, _)| visible.is_none_or(|visible| visible.contains(slug)));
    let rows = rows.map(|(_, row)| row.as_str());
    rows.chain([batch.sections.as_str()]).collect()
}

impl ApiError {
    pub(crate) fn too_many_connections() -> Self {
        let detail = "too many dashboards are live at the moment; reload the page by hand, or come again later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", detail)
            .with_header("retry-after", "30")
    }
}
