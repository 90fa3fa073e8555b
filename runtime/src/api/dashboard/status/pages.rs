//! Renders status pages for visitors, who cost next to nothing: one rendering in ten seconds for all
//! of them, beside the requests, and one reading of the stores at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::facts::{DAY_MS, DAYS, LISTED_DAYS, NoteFacts, Sources, first_day_ms, public_services};
use super::kept::Rendered;
use super::past::Past;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::domain::{UnixMillis, now_ms};
use crate::store::{BareIncident, HistorySpans};

/// Time that a rendering waits for a history which is newer than the one that is there.
const PATIENCE: Duration = Duration::from_millis(500);
/// The same while there is none.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);
/// Time that a visitor waits for pages while none can be shown.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Renderings that such a visitor waits for: the configuration may change meanwhile.
const RENDERINGS: usize = 3;

/// Returns the pages of the configuration of now. Those of before are shown for a while though they
/// are old; only a visitor for whom there are none waits, in one of few places.
pub(super) async fn current(state: &ApiState) -> ApiResult<Arc<Rendered>> {
    let pages = &state.status_pages;
    if let Some(rendered) = usable(state) {
        if !rendered.is_fresh() {
            render_again(state);
        }
        return Ok(rendered);
    }
    let Ok(_place) = pages.waiting.try_acquire() else {
        return Err(ApiError::busy(
            "too many visitors wait for the status pages; retry in a moment",
        ));
    };
    let rendered = tokio::time::timeout(LONGEST_WAIT, until_rendered(state)).await;
    rendered.ok().flatten().ok_or_else(|| {
        ApiError::busy("the status pages can't be rendered just now; retry in a moment")
    })
}

fn usable(state: &ApiState) -> Option<Arc<Rendered>> {
    let version = state.deps.registry.catalog().version;
    state.status_pages.usable(version)
}

async fn until_rendered(state: &ApiState) -> Option<Arc<Rendered>> {
    for _ in 0..RENDERINGS {
        let rendering = state.status_pages.next_rendering();
        if let Some(rendered) = usable(state) {
            return Some(rendered);
        }
        render_again(state);
        rendering.await;
    }
    usable(state)
}

/// Ends a rendering, whatever became of it.
struct Rendering {
    state: ApiState,
    done: Option<Arc<Rendered>>,
}

impl Rendering {
    fn keep(&mut self, rendered: Rendered) {
        self.done = Some(Arc::new(rendered));
    }
}

impl Drop for Rendering {
    fn drop(&mut self) {
        let pages = &self.state.status_pages;
        pages.end_rendering(self.done.take());
    }
}

/// Renders beside the requests, so outside of the preferences of any visitor, unless that is under
/// way.
fn render_again(state: &ApiState) {
    if !state.status_pages.begin_rendering() {
        return;
    }
    let mut rendering = Rendering {
        state: state.clone(),
        done: None,
    };
    state.work.spawn(async move {
        let state = rendering.state.clone();
        let past = tokio::select! {
            biased;
            () = state.shutdown.cancelled() => return,
            past = history(&state) => past,
        };
        let rendered = tokio::task::spawn_blocking(move || render(&state, past.as_deref())).await;
        match rendered {
            Ok(rendered) => rendering.keep(rendered),
            Err(error) => tracing::error!(%error, "rendering the status pages failed"),
        }
    });
}

fn render(state: &ApiState, past: Option<&Past>) -> Rendered {
    let catalog = state.deps.registry.catalog();
    let status = |slug: &str| state.deps.monitor.service_status(slug);
    Rendered::new(&Sources::new(&catalog, &status, past, now_ms()))
}

/// Returns the history. A store that does not answer costs half a second at most: it is then the one
/// of before.
async fn history(state: &ApiState) -> Option<Arc<Past>> {
    let pages = &state.status_pages;
    let catalog = state.deps.registry.catalog();
    if public_services(&catalog).next().is_some() {
        let mut changes = pages.past.subscribe();
        let has_past = changes.borrow_and_update().is_some();
        read_again(state);
        let patience = if has_past { PATIENCE } else { FIRST_PATIENCE };
        // What is there is rendered in any case.
        let _ = tokio::time::timeout(patience, changes.changed()).await;
    }
    pages.past.borrow().clone()
}

/// Clears the mark of a reading when it ends, however it ends.
struct Reading(ApiState);

impl Drop for Reading {
    fn drop(&mut self) {
        let pages = &self.0.status_pages;
        pages.is_reading.store(false, Ordering::Release);
    }
}

/// Reads the stores beside the requests, unless that is under way.
fn read_again(state: &ApiState) {
    if state.status_pages.is_reading.swap(true, Ordering::AcqRel) {
        return;
    }
    let reading = Reading(state.clone());
    state.work.spawn(async move {
        let state = &reading.0;
        let pages = &state.status_pages;
        let past = tokio::select! {
            biased;
            () = state.shutdown.cancelled() => return,
            past = read(state) => past,
        };
        match past {
            Ok(past) => {
                pages.is_failing.store(false, Ordering::Relaxed);
                pages.past.send_replace(Some(Arc::new(past)));
            }
            Err(error) => {
                if !pages.is_failing.swap(true, Ordering::Relaxed) {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "the history can't be read for the status pages; they show the one of before");
                }
            }
        }
    });
}

/// Reads the history of all public services.
async fn read(state: &ApiState) -> anyhow::Result<Past> {
    let now_ms = now_ms();
    let catalog = state.deps.registry.catalog();
    let data_to_ms = state.deps.results.data_to_ms();
    let shows_vendors = catalog.status_pages.iter().any(|page| page.shows_vendors);
    let spans = HistorySpans {
        days_from_ms: first_day_ms(now_ms, DAYS as UnixMillis),
        hours_from_ms: now_ms - DAY_MS,
        incidents_from_ms: first_day_ms(now_ms, LISTED_DAYS),
        claims_from_ms: shows_vendors.then(|| first_day_ms(now_ms, DAYS as UnixMillis)),
        until_ms: now_ms,
    };
    let slugs = public_services(&catalog).map(|service| service.slug.clone());
    let slugs: Vec<String> = slugs.collect();
    let histories = state.deps.results.service_histories(slugs, spans).await?;
    let stored = state.deps.control.maintenance_open_after(now_ms).await?;
    let files = catalog.maintenance.iter().map(Arc::as_ref);
    let windows = files
        .chain(stored.iter().map(|stored| &stored.window))
        .filter(|window| window.is_about_services());
    Ok(Past {
        notes: notes(state, &histories.incidents).await?,
        windows: windows.cloned().collect(),
        histories,
        data_to_ms,
    })
}

/// Reads what people wrote about incidents for everybody.
async fn notes(
    state: &ApiState,
    incidents: &[BareIncident],
) -> anyhow::Result<BTreeMap<i64, Vec<NoteFacts>>> {
    let ids: Vec<i64> = incidents.iter().map(|incident| incident.id).collect();
    let mut notes: BTreeMap<i64, Vec<NoteFacts>> = BTreeMap::new();
    for note in state.deps.control.public_notes(&ids).await? {
        notes
            .entry(note.draft.incident)
            .or_default()
            .push(NoteFacts {
                at_ms: note.draft.at_ms,
                text: note.draft.text,
            });
    }
    Ok(notes)
}
