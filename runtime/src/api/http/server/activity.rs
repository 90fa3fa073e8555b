//! Activity of one connection: decides when it is closed, and which ones make room for others.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that takes no byte for so long may be closed to make room.
pub(super) const WRITE_STALL: Duration = Duration::from_secs(2);

pub(super) struct Activity {
    caller: Caller,
    state: Mutex<State>,
    evicted: CancellationToken,
}

struct State {
    /// Requests that are being answered: one at a time over HTTP/1.1.
    requests: usize,
    /// Number of them that wait for the client.
    waiting: usize,
    /// Begin of the time in which all of them do.
    waiting_since: Option<Instant>,
    /// Begin of a head, of which some bytes are missing.
    head_since: Option<Instant>,
    /// Begin of the time without requests.
    idle_since: Instant,
    /// False until the first request.
    is_used: bool,
    /// Begin of a time in which the client has taken nothing although there is something to send.
    stalled_since: Option<Instant>,
}

impl Activity {
    pub(super) fn new(peer: IpAddr) -> Self {
        let state = State {
            requests: 0,
            waiting: 0,
            waiting_since: None,
            head_since: None,
            idle_since: Instant::now(),
            is_used: false,
            stalled_since: None,
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

    /// Bytes arrived over HTTP/1.1. True if they begin a request.
    pub(super) fn received(&self) -> bool {
        let mut state = self.state();
        let begins = state.requests == 0 && state.head_since.is_none();
        if begins {
            state.head_since = Some(Instant::now());
        }
        begins
    }

    /// Notes whether a head has begun of which some bytes are missing.
    pub(super) fn head(&self, is_open: bool) {
        let mut state = self.state();
        if is_open {
            state.head_since.get_or_insert_with(Instant::now);
        } else {
            state.head_since = None;
        }
    }

    /// A handler has a request, until what is returned ends.
    pub(super) fn working(self: &Arc<Self>) -> Arc<Working> {
        self.state().is_used = true;
        self.change(Waits::OVER, Waits::default());
        Arc::new(Working {
            activity: self.clone(),
            waits: Mutex::default(),
        })
    }

    /// One request becomes what it was not.
    fn change(&self, before: Waits, after: Waits) {
        let mut state = self.state();
        state.requests = state.requests + after.requests() - before.requests();
        state.waiting = state.waiting + after.waiting() - before.waiting();
        if state.requests == 0 && before.requests() > 0 {
            state.idle_since = Instant::now();
        }
        if state.requests > 0 && state.waiting == state.requests {
            state.waiting_since.get_or_insert_with(Instant::now);
        } else {
            state.waiting_since = None;
        }
    }

    /// The answer has been sent, and only what the client may still send is awaited.
    pub(super) fn closing(&self) {
        let mut state = self.state();
        state.head_since = Some(Instant::now());
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
        let is_past = |since: Option<Instant>, limit| since.is_some_and(|it| it.elapsed() >= limit);
        if is_past(state.stalled_since, WRITE_TIMEOUT) {
            return Some("stalled");
        }
        if is_past(state.head_since, HEAD_TIMEOUT) {
            return Some("slow");
        }
        let limit = if state.is_used {
            IDLE_TIMEOUT
        } else {
            HEAD_TIMEOUT
        };
        let is_idle = state.requests == 0 && state.head_since.is_none();
        (is_idle && state.idle_since.elapsed() >= limit).then_some("idle")
    }

    pub(super) fn is_working(&self) -> bool {
        self.state().requests > 0
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
        if let Some(stall) = stall {
            return Some((0, stall));
        }
        if state.requests > 0 {
            return state.waiting_since.map(|since| (1, since.elapsed()));
        }
        match state.head_since {
            Some(since) => Some((1, since.elapsed())),
            None => Some((2, state.idle_since.elapsed())),
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

/// A request that is being answered. Ends when it is dropped, if not before.
pub(super) struct Working {
    activity: Arc<Activity>,
    waits: Mutex<Waits>,
}

/// Reasons why a request waits for the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Waits {
    /// More of its body.
    for_body: bool,
    /// The client, which does not take what there is of the answer.
    for_client: bool,
    is_over: bool,
}

impl Waits {
    const OVER: Waits = Waits {
        for_body: false,
        for_client: false,
        is_over: true,
    };

    fn requests(self) -> usize {
        usize::from(!self.is_over)
    }

    fn waiting(self) -> usize {
        usize::from(!self.is_over && (self.for_body || self.for_client))
    }
}

impl Working {
    /// A handler reads the request's body: nothing more has arrived, or something has.
    pub(super) fn reads_body(&self, is_waiting: bool) {
        self.change(|waits| waits.for_body = is_waiting);
    }

    /// The client takes nothing of this answer; others of its connection may go on.
    pub(super) fn is_not_taken(&self, is_stalled: bool) {
        self.change(|waits| waits.for_client = is_stalled);
    }

    /// The answer has been handed over whole, or given up.
    pub(super) fn end(&self) {
        self.change(|waits| waits.is_over = true);
    }

    fn change(&self, change: impl FnOnce(&mut Waits)) {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *waits;
        change(&mut waits);
        if *waits != before {
            self.activity.change(before, *waits);
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity() -> Arc<Activity> {
        Arc::new(Activity::new([10, 0, 0, 1].into()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_overdue_by_what_it_is_doing() {
        type Doing = fn(&Arc<Activity>) -> Option<Arc<Working>>;
        let table: [(&'static str, Doing, u64, Option<&'static str>); 6] = [
            ("no byte yet", |_| None, 10, Some("idle")),
            (
                "between two requests",
                |activity| {
                    drop(activity.working());
                    None
                },
                75,
                Some("idle"),
            ),
            (
                "half a head",
                |activity| {
                    assert!(activity.received());
                    None
                },
                10,
                Some("slow"),
            ),
            (
                "a client that takes nothing",
                |activity| {
                    let working = activity.working();
                    activity.wrote(false);
                    Some(working)
                },
                30,
                Some("stalled"),
            ),
            (
                "a client that takes a little",
                |activity| {
                    let working = activity.working();
                    activity.wrote(false);
                    activity.wrote(true);
                    Some(working)
                },
                3_600,
                None,
            ),
            (
                "a long answer",
                |activity| Some(activity.working()),
                3_600,
                None,
            ),
        ];
        for (what, doing, seconds, wanted) in table {
            let activity = activity();
            let _working = doing(&activity);
            tokio::time::advance(Duration::from_millis(seconds * 1_000 - 1)).await;
            assert_eq!(activity.overdue(), None, "{what}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert_eq!(activity.overdue(), wanted, "{what}");
        }
    }

    #[test]
    fn only_the_first_byte_begins_a_request() {
        let activity = activity();
        assert!(activity.received() && !activity.received());
        activity.head(false);
        let working = activity.working();
        assert!(!activity.received());
        working.end();
        assert!(activity.received());
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_stands_still_is_slow_beside_other_requests_too() {
        let activity = activity();
        let _other = activity.working();
        activity.head(true);
        tokio::time::advance(Duration::from_secs(9)).await;
        activity.head(true);
        assert_eq!(activity.overdue(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(activity.overdue(), Some("slow"));
        activity.head(false);
        assert_eq!(activity.overdue(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_makes_room_when_all_its_requests_wait_for_the_client() {
        let activity = activity();
        let (one, two) = (activity.working(), activity.working());
        one.reads_body(true);
        one.is_not_taken(true);
        assert_eq!(activity.expendable(), None);
        two.is_not_taken(true);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(activity.expendable(), Some((1, Duration::from_secs(1))));
        one.reads_body(false);
        assert!(activity.expendable().is_some());
        one.is_not_taken(false);
        assert_eq!(activity.expendable(), None);
        drop(one);
        assert!(activity.expendable().is_some());
        two.end();
        drop(two);
        assert!(!activity.is_working());
        assert_eq!(activity.expendable(), Some((2, Duration::ZERO)));
    }
}
