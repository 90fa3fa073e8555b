//! [`Loads`] reads histories back beside the evaluations: those that wait at the same time in one
//! pass over the tables, a few passes at once, each with a deadline of its own. What is read for one
//! service holds up no other for longer than that, and what fails again and again is read alone.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::EngineSettings;
use crate::alerts::history::Reach;
use crate::alerts::ports::{HistoryLoader, PastSpan, PortError, PortResult};
use crate::domain::{PastRuns, UnixMillis};

/// Failures in a row after which a history is read alone: what fails may be this one.
const FAILURES_TOGETHER: u32 = 3;

/// Part of a service's history that is missing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HistoryRequest {
    pub(super) service: String,
    /// Number of the request, which its answer carries.
    pub(super) token: u64,
    pub(super) since_ms: UnixMillis,
    /// Beginning of what is known.
    pub(super) until_ms: UnixMillis,
    /// Moment that the history is wanted for: of the first run that is known, or now.
    pub(super) as_of_ms: UnixMillis,
    pub(super) reach: Reach,
    /// Failures before.
    pub(super) failures: u32,
}

impl HistoryRequest {
    /// Requests of the same kind are read together: their spans are about as long, so that none has
    /// to wait for a pass over much more than it needs. None: alone.
    fn kind(&self) -> Option<u32> {
        let span_ms = self.as_of_ms.saturating_sub(self.since_ms).max(1);
        (self.failures < FAILURES_TOGETHER).then(|| span_ms.unsigned_abs().ilog2() / 2)
    }

    fn span(&self) -> PastSpan {
        PastSpan {
            service: self.service.clone(),
            since_ms: self.since_ms,
            until_ms: self.until_ms,
            as_of_ms: self.as_of_ms,
            interval: self.reach.interval,
        }
    }
}

pub(super) struct Loaded {
    pub(super) token: u64,
    pub(super) past: PortResult<PastRuns>,
}

pub(super) struct Loads<H> {
    loader: Arc<H>,
    at_once: usize,
    /// Histories that are read in one pass.
    together: usize,
    deadline: Duration,
    /// Requests by when they may begin, in the order in which they came. One for each service at most.
    waiting: BTreeMap<(Instant, u64), HistoryRequest>,
    running: JoinSet<Vec<(String, Loaded)>>,
}

impl<H: HistoryLoader> Loads<H> {
    pub(super) fn new(loader: H, settings: &EngineSettings) -> Self {
        Self {
            loader: Arc::new(loader),
            at_once: settings.history_loads_at_once,
            together: settings.history_loads_together,
            deadline: settings.history_deadline,
            waiting: BTreeMap::new(),
            running: JoinSet::new(),
        }
    }

    pub(super) fn push(&mut self, request: HistoryRequest, after: Duration) {
        self.waiting
            .insert((Instant::now() + after, request.token), request);
    }

    /// Starts what may begin, as far as there is room.
    pub(super) fn start(&mut self) {
        while self.running.len() < self.at_once {
            let requests = self.take_due();
            if requests.is_empty() {
                break;
            }
            let (loader, deadline) = (Arc::clone(&self.loader), self.deadline);
            self.running
                .spawn(async move { load_in_time(&*loader, requests, deadline).await });
        }
    }

    /// Takes the first request that may begin, and others of its kind.
    fn take_due(&mut self) -> Vec<HistoryRequest> {
        let now = Instant::now();
        let due = self.waiting.range(..=(now, u64::MAX));
        let mut kind = None;
        let keys: Vec<(Instant, u64)> = due
            .filter(|(_, request)| *kind.get_or_insert_with(|| request.kind()) == request.kind())
            .map(|(key, _)| *key)
            .take(self.together)
            .collect();
        let alone = kind == Some(None);
        let keys = keys.into_iter().take(if alone { 1 } else { usize::MAX });
        keys.filter_map(|key| self.waiting.remove(&key)).collect()
    }

    /// When the next one may begin; none while there is no room, because the end of one makes it.
    pub(super) fn next(&self) -> Option<Instant> {
        let has_room = self.running.len() < self.at_once;
        self.waiting
            .keys()
            .next()
            .map(|(at, _)| *at)
            .filter(|_| has_room)
    }

    /// Returns the next histories that were read; none: nothing is under way.
    pub(super) async fn ended(&mut self) -> Option<Vec<(String, Loaded)>> {
        // It catches its panics.
        self.running.join_next().await?.ok()
    }
}

async fn load_in_time(
    loader: &impl HistoryLoader,
    requests: Vec<HistoryRequest>,
    deadline: Duration,
) -> Vec<(String, Loaded)> {
    let wanted = requests.iter().map(HistoryRequest::span).collect();
    let loading = AssertUnwindSafe(loader.load(wanted)).catch_unwind();
    let read = match tokio::time::timeout(deadline, loading).await {
        Ok(Ok(read)) => read,
        Ok(Err(_)) => Err(PortError("reading it panicked".to_owned())),
        // Dropping the future interrupts its query.
        Err(_) => Err(PortError(format!(
            "no answer within {} s",
            deadline.as_secs()
        ))),
    };
    let mut pasts = read.map(Vec::into_iter);
    let answer = |request: HistoryRequest| {
        let past = match &mut pasts {
            Ok(pasts) => pasts
                .next()
                .ok_or_else(|| PortError("it was left out of the answer".to_owned())),
            Err(error) => Err(error.clone()),
        };
        let token = request.token;
        (request.service, Loaded { token, past })
    };
    requests.into_iter().map(answer).collect()
}
