//! [`Loads`] reads histories back beside the evaluations: a few at once, each with a deadline of its
//! own, so that no service waits for the history of another, or gives up because others are before it.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::EngineSettings;
use crate::alerts::history::{MAX_SAMPLES, Reach};
use crate::alerts::ports::{GroupSpan, HistoryLoader, PortError, PortResult};
use crate::domain::{Observation, RunGroup, UnixMillis};

/// Part of a service's history that is missing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HistoryRequest {
    pub(super) service: String,
    /// Number of the request, which its answer carries.
    pub(super) token: u64,
    pub(super) since_ms: UnixMillis,
    /// Beginning of what is known.
    pub(super) until_ms: UnixMillis,
    pub(super) reach: Reach,
}

/// The last runs one by one, those before them counted.
pub(super) struct Past {
    pub(super) observations: Vec<Observation>,
    pub(super) groups: Vec<RunGroup>,
}

pub(super) struct Loaded {
    pub(super) token: u64,
    pub(super) past: PortResult<Past>,
}

pub(super) struct Loads<H> {
    loader: Arc<H>,
    at_once: usize,
    deadline: Duration,
    /// Requests by when they may begin, in the order in which they came. One for each service at most.
    waiting: BTreeMap<(Instant, u64), HistoryRequest>,
    running: JoinSet<(String, Loaded)>,
}

impl<H: HistoryLoader> Loads<H> {
    pub(super) fn new(loader: H, settings: &EngineSettings) -> Self {
        Self {
            loader: Arc::new(loader),
            at_once: settings.history_loads_at_once,
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
            let Some(first) = self
                .waiting
                .first_entry()
                .filter(|first| first.key().0 <= Instant::now())
            else {
                break;
            };
            let request = first.remove();
            let (loader, deadline) = (Arc::clone(&self.loader), self.deadline);
            self.running.spawn(async move {
                let past = load_in_time(&*loader, &request, deadline).await;
                (
                    request.service,
                    Loaded {
                        token: request.token,
                        past,
                    },
                )
            });
        }
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

    /// Returns the next history that was read; none: nothing is under way.
    pub(super) async fn ended(&mut self) -> Option<(String, Loaded)> {
        // It catches its panics.
        self.running.join_next().await?.ok()
    }
}

async fn load_in_time(
    loader: &impl HistoryLoader,
    request: &HistoryRequest,
    deadline: Duration,
) -> PortResult<Past> {
    let loading = AssertUnwindSafe(load(loader, request)).catch_unwind();
    match tokio::time::timeout(deadline, loading).await {
        Ok(Ok(past)) => past,
        Ok(Err(_)) => Err(PortError("reading it panicked".to_owned())),
        // Dropping the future interrupts its query.
        Err(_) => Err(PortError(format!(
            "no answer within {} s",
            deadline.as_secs()
        ))),
    }
}

async fn load(loader: &impl HistoryLoader, request: &HistoryRequest) -> PortResult<Past> {
    let HistoryRequest {
        service,
        since_ms,
        until_ms,
        reach,
        ..
    } = request;
    let observations = loader
        .load(service, (*since_ms, *until_ms), MAX_SAMPLES)
        .await?;
    let before_ms = observations
        .first()
        .filter(|_| observations.len() >= MAX_SAMPLES)
        .map(|first| first.ts_ms);
    let groups = match before_ms {
        Some(before_ms) => {
            let covered_by_one_run = reach.covered_by_one_run();
            loader
                .load_groups(
                    service,
                    GroupSpan {
                        since_ms: *since_ms,
                        before_ms,
                        covered_by_one_run,
                    },
                )
                .await?
        }
        None => Vec::new(),
    };
    Ok(Past {
        observations,
        groups,
    })
}
