//! Activity of one connection: decides when it is closed, and which ones make room for others.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::http::caller::Caller;

/// Time from the first byte of a request to the end of its headers; also for the first byte of a
/// new connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two requests. Longer than the keep-alive of common proxies and clients, which
/// should be the ones that close.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// A client that takes no byte of its answer for so long has gone away; live streams send something
/// every 15 s.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that takes no byte for so long may be closed to make room.
const WRITE_STALL: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// The connection is between requests.
    Idle,
    /// Some bytes of a request have arrived, but not all of its headers.
    Head,
    /// A request is being answered.
    Working,
}

pub(super) struct Activity {
    caller: Caller,
    state: Mutex<State>,
    evicted: CancellationToken,
}

struct State {
    phase: Phase,
    since: Instant,
    /// False until the first request.
    is_used: bool,
    /// Begin of a time in which the client has taken nothing although there is something to send.
    stalled_since: Option<Instant>,
    /// Begin of a time in which a handler waits for more of the request's body.
    awaited_since: Option<Instant>,
}

impl Activity {
    pub(super) fn new(peer: IpAddr) -> Self {
        let state = State {
            phase: Phase::Idle,
            since: Instant::now(),
            is_used: false,
            stalled_since: None,
            awaited_since: None,
        };
        Self {
            caller: peer.into(),
            state: Mutex::new(state),
            evicted: CancellationToken::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes arrived. True if they begin a request.
    pub(super) fn received(&self) -> bool {
        let mut state = self.state();
        let begins = state.phase == Phase::Idle;
        if begins {
            state.phase = Phase::Head;
            state.since = Instant::now();
        }
        begins
    }

    /// The headers are complete and a handler has the request.
    pub(super) fn working(&self) {
        let mut state = self.state();
        state.phase = Phase::Working;
        state.since = Instant::now();
        state.awaited_since = None;
        state.is_used = true;
    }

    /// The answer has been handed over whole, or given up.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        state.phase = Phase::Idle;
        state.since = Instant::now();
        state.awaited_since = None;
    }

    /// A handler reads the request's body: nothing more has arrived, or something has.
    pub(super) fn read_body(&self, is_waiting: bool) {
        let mut state = self.state();
        if is_waiting {
            state.awaited_since.get_or_insert_with(Instant::now);
        } else {
            state.awaited_since = None;
        }
    }

    /// The answer has been sent, and only what the client may still send is awaited.
    pub(super) fn closing(&self) {
        let mut state = self.state();
        state.phase = Phase::Head;
        state.since = Instant::now();
        state.stalled_since = None;
    }

    /// A write made progress, or could not.
    pub(super) fn wrote(&self, progress: bool) {
        let mut state = self.state();
        if progress {
            state.stalled_since = None;
        } else {
            state.stalled_since.get_or_insert_with(Instant::now);
        }
    }

    /// Why it is to be closed now, as a label of the metric.
    pub(super) fn overdue(&self) -> Option<&'static str> {
        let state = self.state();
        if state
            .stalled_since
            .is_some_and(|since| since.elapsed() >= WRITE_TIMEOUT)
        {
            return Some("stalled");
        }
        let age = state.since.elapsed();
        match state.phase {
            Phase::Idle if state.is_used => (age >= IDLE_TIMEOUT).then_some("idle"),
            Phase::Idle => (age >= HEAD_TIMEOUT).then_some("idle"),
            Phase::Head => (age >= HEAD_TIMEOUT).then_some("slow"),
            Phase::Working => None,
        }
    }

    pub(super) fn is_working(&self) -> bool {
        self.state().phase == Phase::Working
    }

    pub(super) fn caller(&self) -> Caller {
        self.caller
    }

    /// How readily it makes room: larger goes first. None: the client has sent everything and waits
    /// for its answer.
    pub(super) fn expendable(&self) -> Option<(u8, Duration)> {
        let state = self.state();
        let stall = state
            .stalled_since
            .map(|since| since.elapsed())
            .filter(|stall| *stall >= WRITE_STALL);
        match (state.phase, stall) {
            (_, Some(stall)) => Some((0, stall)),
            (Phase::Head, None) => Some((1, state.since.elapsed())),
            (Phase::Idle, None) => Some((2, state.since.elapsed())),
            (Phase::Working, None) => state.awaited_since.map(|since| (1, since.elapsed())),
        }
    }

    pub(super) fn evict(&self) {
        self.evicted.cancel();
    }

    #[cfg(test)]
    pub(super) fn is_evicted(&self) -> bool {
        self.evicted.is_cancelled()
    }

    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_overdue_by_what_it_is_doing() {
        type Case = (&'static str, fn(&Activity), u64, Option<&'static str>);
        let table: [Case; 6] = [
            ("no byte yet", |_| {}, 10, Some("idle")),
            (
                "between two requests",
                |activity| {
                    activity.working();
                    activity.answered();
                },
                75,
                Some("idle"),
            ),
            (
                "half a head",
                |activity| assert!(activity.received()),
                10,
                Some("slow"),
            ),
            (
                "a client that takes nothing",
                |activity| {
                    activity.working();
                    activity.wrote(false);
                },
                30,
                Some("stalled"),
            ),
            (
                "a client that takes a little",
                |activity| {
                    activity.working();
                    activity.wrote(false);
                    activity.wrote(true);
                },
                3_600,
                None,
            ),
            ("a long answer", |activity| activity.working(), 3_600, None),
        ];
        for (what, doing, seconds, wanted) in table {
            let activity = Activity::new([10, 0, 0, 1].into());
            doing(&activity);
            tokio::time::advance(Duration::from_millis(seconds * 1_000 - 1)).await;
            assert_eq!(activity.overdue(), None, "{what}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert_eq!(activity.overdue(), wanted, "{what}");
        }
    }

    #[test]
    fn only_the_first_byte_begins_a_request() {
        let activity = Activity::new([10, 0, 0, 1].into());
        assert!(activity.received() && !activity.received());
        activity.working();
        assert!(!activity.received());
        activity.answered();
        assert!(activity.received());
    }
}
