//! Rows on their way to the writer, in memory. Handing a row over never waits and never fails: what
//! finds no room is counted, as lost where it should have been kept, as dropped where it is best
//! effort.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, oneshot};

use super::ResultError;
use super::chore::Chore;
use super::part::Part;
use super::tables::ServiceRow;
use crate::domain::{
    Alert, AlertEvent, CallBatch, Event, Incident, Observation, PluginRun, RunOutcome, ShadowRun,
    UnixMillis, now_ms,
};

/// Bytes of kept rows that wait in memory; events with large payloads meet it before the limit on
/// rows.
const KEPT_BYTES: usize = 32 << 20;
/// About what a call, or a total of calls, takes in memory.
const CALL_BYTES: usize = 640;
/// Accounts of runs that wait, those that went well and the others each on their own: some 6 MB.
const BEST_EFFORT_ROWS: usize = 10_000;
/// Chores that wait. Those who ask for them wait for each.
const CHORES: usize = 8;
/// Requests to copy alert events or incidents that wait. There is one copier of each; it sends the
/// next page after the answer.
const COPY_REQUESTS: usize = 16;

pub(super) type Done = oneshot::Sender<Result<(), ResultError>>;

/// Rows taken from the queue, with those who wait for them.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) part: Part,
    /// Answered once the kept rows are durable, in the database or in the spool.
    pub(super) done: Vec<Done>,
    pub(super) alert_events: Vec<(AlertEvent, Alert)>,
    pub(super) incidents: Vec<Incident>,
    /// Answered after a commit only: the control store has the rows, so they are not spooled.
    pub(super) copied: Vec<Done>,
    pub(super) services: Option<Vec<ServiceRow>>,
    /// Arrival of the oldest kept row.
    pub(super) oldest_ms: Option<UnixMillis>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.part.is_empty()
            && self.alert_events.is_empty()
            && self.incidents.is_empty()
            && self.copied.is_empty()
            && self.services.is_none()
    }
}

/// Rows that must not be lost; together durable or not at all.
struct Kept {
    observations: Vec<Arc<Observation>>,
    events: Vec<Event>,
    calls: Vec<Arc<CallBatch>>,
    arrived_ms: UnixMillis,
    bytes: usize,
    done: Option<Done>,
}

impl Kept {
    fn rows(&self) -> usize {
        let calls = self.calls.iter().map(|batch| batch.stored_rows());
        self.observations.len() + self.events.len() + calls.sum::<usize>()
    }
}

/// What the writer has to know to decide whether to take rows now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand {
    pub(super) rows: usize,
    /// Arrival of the first row since the queue was empty.
    pub(super) since: Option<Instant>,
    /// Someone waits for an answer.
    pub(super) is_urgent: bool,
    pub(super) is_half_full: bool,
    pub(super) has_chores: bool,
    pub(super) is_closed: bool,
}

pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the writer.
    changed: Notify,
    most_rows: usize,
    /// As many rows wake the writer before its interval is over.
    flush_rows: usize,
}

#[derive(Default)]
struct State {
    kept: VecDeque<Kept>,
    kept_rows: usize,
    kept_bytes: usize,
    waiting: usize,
    failed_runs: VecDeque<PluginRun>,
    good_runs: VecDeque<PluginRun>,
    shadow_runs: VecDeque<ShadowRun>,
    alert_events: Vec<(AlertEvent, Alert)>,
    incidents: Vec<Incident>,
    copied: Vec<Done>,
    services: Option<Vec<ServiceRow>>,
    chores: VecDeque<(Chore, Done)>,
    since: Option<Instant>,
    last_run_id: i64,
    lost: u64,
    dropped: u64,
    is_closed: bool,
}

impl State {
    fn rows(&self) -> usize {
        self.kept_rows + self.failed_runs.len() + self.good_runs.len() + self.shadow_runs.len()
    }

    fn is_urgent(&self) -> bool {
        self.waiting > 0 || !self.copied.is_empty() || self.services.is_some()
    }
}

impl Queue {
    pub(super) fn new(most_rows: usize, flush_rows: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            most_rows: most_rows.max(1),
            flush_rows: flush_rows.max(1),
        }
    }

    /// Rows of one run or one delivery. With `done`, someone waits until they are durable.
    pub(super) fn keep(
        &self,
        observations: Vec<Arc<Observation>>,
        events: Vec<Event>,
        done: Option<Done>,
    ) {
        let bytes = observations.iter().map(|run| weight(run)).sum::<usize>()
            + events.iter().map(event_weight).sum::<usize>();
        self.keep_rows(Kept {
            observations,
            events,
            calls: Vec::new(),
            arrived_ms: now_ms(),
            bytes,
            done,
        });
    }

    /// Calls that are stored once, however often they are handed over.
    pub(super) fn keep_calls(&self, batch: Arc<CallBatch>, done: Done) {
        self.keep_rows(Kept {
            observations: Vec::new(),
            events: Vec::new(),
            bytes: batch.stored_rows() * CALL_BYTES,
            calls: vec![batch],
            arrived_ms: now_ms(),
            done: Some(done),
        });
    }

    fn keep_rows(&self, kept: Kept) {
        let (rows, bytes) = (kept.rows(), kept.bytes);
        let mut state = self.lock();
        if state.is_closed {
            drop(state);
            refuse(kept.done, ResultError::Closed);
            return;
        }
        for run in &kept.observations {
            state.last_run_id = state.last_run_id.max(run.run_id);
        }
        // An empty queue takes whatever comes.
        let is_full = state.kept_rows > 0
            && (state.kept_rows + rows > self.most_rows || state.kept_bytes + bytes > KEPT_BYTES);
        if is_full {
            // Someone who waits learns of it, and sends the rows again.
            if kept.done.is_none() {
                state.lost += rows as u64;
            }
            drop(state);
            refuse(
                kept.done,
                ResultError::NotCommitted("the queue of results is full".to_owned()),
            );
            return;
        }
        state.kept_rows += rows;
        state.kept_bytes += bytes;
        state.waiting += usize::from(kept.done.is_some());
        state.kept.push_back(kept);
        self.arrived(state, rows);
    }

    pub(super) fn plugin_run(&self, run: PluginRun) {
        let mut state = self.lock();
        state.last_run_id = state.last_run_id.max(run.run_id);
        let runs = if run.outcome == RunOutcome::Ok {
            &mut state.good_runs
        } else {
            &mut state.failed_runs
        };
        if runs.len() >= BEST_EFFORT_ROWS {
            state.dropped += 1;
            return;
        }
        runs.push_back(run);
        self.arrived(state, 1);
    }

    pub(super) fn shadow_run(&self, run: ShadowRun) {
        let mut state = self.lock();
        if state.shadow_runs.len() >= BEST_EFFORT_ROWS {
            state.dropped += 1;
            return;
        }
        state.shadow_runs.push_back(run);
        self.arrived(state, 1);
    }

    pub(super) fn copy(&self, events: Vec<(AlertEvent, Alert)>, done: Done) {
        self.add_copies(done, |state| state.alert_events.extend(events));
    }

    pub(super) fn copy_incidents(&self, incidents: Vec<Incident>, done: Done) {
        self.add_copies(done, |state| state.incidents.extend(incidents));
    }

    fn add_copies(&self, done: Done, add: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        if state.is_closed || state.copied.len() >= COPY_REQUESTS {
            drop(state);
            return refuse(Some(done), ResultError::Closed);
        }
        add(&mut state);
        state.copied.push(done);
        self.arrived(state, 0);
    }

    /// Has the committer do something. Whoever drops the receiver before it begins takes it back.
    pub(super) fn chore(&self, chore: Chore) -> oneshot::Receiver<Result<(), ResultError>> {
        let (done, answer) = oneshot::channel();
        let mut state = self.lock();
        if state.is_closed || state.chores.len() >= CHORES {
            // Dropped: the answer is that the store is closed, or as good as that.
            return answer;
        }
        state.chores.push_back((chore, done));
        drop(state);
        self.changed.notify_one();
        answer
    }

    /// The next chore that somebody still waits for.
    pub(super) fn take_chore(&self) -> Option<(Chore, Done)> {
        let mut state = self.lock();
        while let Some((chore, done)) = state.chores.pop_front() {
            if !done.is_closed() {
                return Some((chore, done));
            }
        }
        None
    }

    /// The last call counts.
    pub(super) fn replace_services(&self, services: Vec<ServiceRow>) {
        let mut state = self.lock();
        state.services = Some(services);
        self.arrived(state, 0);
    }

    /// After a commit that failed; a newer list stays.
    pub(super) fn put_services_back(&self, services: Option<Vec<ServiceRow>>) {
        let mut state = self.lock();
        if state.services.is_none() {
            state.services = services;
        }
    }

    /// Up to so many kept rows, and everything else.
    pub(super) fn take(&self, most_rows: usize) -> Batch {
        let mut state = self.lock();
        let mut batch = take_kept(&mut state, most_rows);
        take_best_effort(&mut state, &mut batch.part, most_rows);
        batch.services = state.services.take();
        batch.alert_events = std::mem::take(&mut state.alert_events);
        batch.incidents = std::mem::take(&mut state.incidents);
        batch.copied = std::mem::take(&mut state.copied);
        state.since = (state.rows() > 0).then(Instant::now);
        batch
    }

    /// Up to so many kept rows alone, for the spool.
    pub(super) fn take_kept(&self, most_rows: usize) -> Batch {
        let mut state = self.lock();
        let batch = take_kept(&mut state, most_rows);
        state.since = (state.rows() > 0).then(Instant::now);
        batch
    }

    /// What is not kept rows, to go along with rows from the spool.
    pub(super) fn take_others(&self, most_rows: usize) -> Batch {
        let mut state = self.lock();
        let mut batch = Batch::default();
        take_best_effort(&mut state, &mut batch.part, most_rows);
        batch.services = state.services.take();
        batch.alert_events = std::mem::take(&mut state.alert_events);
        batch.incidents = std::mem::take(&mut state.incidents);
        batch.copied = std::mem::take(&mut state.copied);
        batch
    }

    /// The rows are in the control store, and are sent again.
    pub(super) fn refuse_copies(&self, reason: &str) {
        let copied = {
            let mut state = self.lock();
            state.alert_events.clear();
            state.incidents.clear();
            std::mem::take(&mut state.copied)
        };
        for done in copied {
            let _ = done.send(Err(ResultError::NotCommitted(reason.to_owned())));
        }
    }

    /// Those who wait get an answer; their rows stay, and are committed when that works again.
    pub(super) fn refuse_waiting(&self, reason: &str) {
        let waiting: Vec<Done> = {
            let mut state = self.lock();
            state.waiting = 0;
            state
                .kept
                .iter_mut()
                .filter_map(|kept| kept.done.take())
                .collect()
        };
        for done in waiting {
            let _ = done.send(Err(ResultError::NotCommitted(reason.to_owned())));
        }
    }

    pub(super) fn demand(&self) -> Demand {
        let state = self.lock();
        Demand {
            rows: state.rows(),
            since: state.since,
            is_urgent: state.is_urgent(),
            is_half_full: state.kept_rows * 2 >= self.most_rows
                || state.kept_bytes * 2 >= KEPT_BYTES,
            has_chores: !state.chores.is_empty(),
            is_closed: state.is_closed,
        }
    }

    /// Nothing is taken in any more.
    pub(super) fn close(&self) {
        {
            let mut state = self.lock();
            state.is_closed = true;
            state.chores.clear();
        }
        self.changed.notify_one();
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn kept_rows(&self) -> usize {
        self.lock().kept_rows
    }

    pub(super) fn oldest_ms(&self) -> Option<UnixMillis> {
        self.lock().kept.front().map(|kept| kept.arrived_ms)
    }

    /// Kept rows that found no room, and best-effort rows that found none.
    pub(super) fn losses(&self) -> (u64, u64) {
        let state = self.lock();
        (state.lost, state.dropped)
    }

    pub(super) fn count_lost(&self, rows: usize) {
        self.lock().lost += rows as u64;
    }

    pub(super) fn count_dropped(&self, rows: usize) {
        self.lock().dropped += rows as u64;
    }

    /// The highest id that was handed over.
    pub(super) fn last_run_id(&self) -> i64 {
        self.lock().last_run_id
    }

    /// Wakes the writer only where it has to decide something.
    fn arrived(&self, mut state: MutexGuard<'_, State>, rows: usize) {
        let is_first = state.since.is_none();
        state.since.get_or_insert_with(Instant::now);
        let now = state.rows();
        let crosses = |mark: usize| now >= mark && now < mark + rows.max(1);
        let wakes = is_first
            || state.is_urgent()
            || crosses(self.flush_rows)
            || crosses(self.most_rows / 2);
        drop(state);
        if wakes {
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse(done: Option<Done>, error: ResultError) {
    if let Some(done) = done {
        // The caller may have gone.
        let _ = done.send(Err(error));
    }
}

fn take_kept(state: &mut State, most_rows: usize) -> Batch {
    let mut batch = Batch {
        oldest_ms: state.kept.front().map(|kept| kept.arrived_ms),
        ..Batch::default()
    };
    let mut taken = 0;
    while taken < most_rows
        && let Some(kept) = state.kept.pop_front()
    {
        let rows = kept.rows();
        taken += rows;
        state.kept_rows -= rows;
        state.kept_bytes -= kept.bytes;
        state.waiting -= usize::from(kept.done.is_some());
        batch.part.observations.extend(kept.observations);
        batch.part.events.extend(kept.events);
        batch.part.calls.extend(kept.calls);
        batch.done.extend(kept.done);
    }
    batch
}

fn take_best_effort(state: &mut State, part: &mut Part, most_rows: usize) {
    let failed = most_rows.min(state.failed_runs.len());
    part.plugin_runs.extend(state.failed_runs.drain(..failed));
    let good = most_rows.min(state.good_runs.len());
    part.plugin_runs.extend(state.good_runs.drain(..good));
    let compared = most_rows.min(state.shadow_runs.len());
    part.shadow_runs.extend(state.shadow_runs.drain(..compared));
}

/// About as much as the row takes in memory.
fn weight(run: &Observation) -> usize {
    let failure = run
        .failure
        .as_ref()
        .map_or(0, |failure| failure.message.len());
    size_of::<Observation>() + 128 + failure + run.metrics.len() * 64 + run.rate_limits.len() * 288
}

fn event_weight(event: &Event) -> usize {
    size_of::<Event>()
        + 128
        + event.payload.len()
        + event.summary.len()
        + event.attributes.len() * 64
}
