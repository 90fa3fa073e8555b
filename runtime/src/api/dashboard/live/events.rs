//! The stream of live changes that a dashboard reads.

use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::{Stream, StreamExt, stream};

use super::Batch;
use crate::api::dashboard::overview::{View, ViewQuery};
use crate::api::http::auth::ended;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;

/// So that proxies and browsers notice a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Then the browser connects again, and its session is looked at again.
const MAX_CONNECTION: Duration = Duration::from_secs(15 * 60);

/// `GET /events`, with the query of the page that listens.
pub(crate) async fn stream(
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
        .subscribe(&state.deps, again.or(query.since()))
        .await;
    let visible = View::new(query).visible(&state.deps);
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

impl ApiError {
    pub(crate) fn too_many_connections() -> Self {
        let detail = "too many dashboards are live at the moment; reload the page by hand, or come again later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", detail)
            .with_header("retry-after", "30")
    }
}
