//! Connections to one vendor with one credential. HTTP/1.1 connections wait for their next call a
//! little less long than the vendor keeps them open; HTTP/2 ones are shared.

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use url::Url;

use super::body::RequestBody;
use crate::domain::Phases;
use crate::net::{ClientIdentity, Dialed, HttpDial, HttpVersions, Net, NetFailure, Permission};

/// HTTP/1.1 connections that wait.
const MAX_IDLE: usize = 32;
/// How long they wait at first: below the keep-alive of common servers, which are the ones that may
/// not close first.
const IDLE: Duration = Duration::from_secs(20);
const SHORTEST_IDLE: Duration = Duration::from_millis(100);
/// Margin below what a vendor states, or was seen to do.
const MARGIN: Duration = Duration::from_secs(4);
/// How long a connection may take to get ready for its next request.
const READY_WITHIN: Duration = Duration::from_millis(50);

const MAX_HTTP2: usize = 4;
/// Streams on one HTTP/2 connection before the next one is opened; servers allow about 100.
const STREAMS: usize = 80;
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
const PING: Duration = Duration::from_secs(20);

/// Bounds of an answer's head.
const MAX_HEADERS: usize = 256;
const MAX_HEADER_BYTES: u32 = 256 * 1024;
/// What is read ahead of a slow client.
const BUFFER_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Vec<Idle>>,
    shared: Mutex<Vec<Shared>>,
    keep_alive: Arc<KeepAlive>,
    /// Drivers of the connections.
    tasks: TaskTracker,
}

/// How long connections wait for their next call, in milliseconds.
#[derive(Debug)]
struct KeepAlive(AtomicU64);

#[derive(Debug)]
struct Http1 {
    sender: http1::SendRequest<RequestBody>,
    /// Begin of its wait, while it waits; shared with its driver, which sees the vendor close it.
    idle_since: Arc<Mutex<Option<Instant>>>,
}

#[derive(Debug)]
struct Idle {
    http1: Http1,
    since: Instant,
}

#[derive(Debug, Clone)]
struct Shared {
    sender: http2::SendRequest<RequestBody>,
    streams: Arc<AtomicUsize>,
}

/// A connection for one call.
pub(super) struct Lease {
    link: Link,
    pool: Arc<Pool>,
    is_reused: bool,
    pub(super) phases: Phases,
}

enum Link {
    Http1(Http1),
    Http2 {
        sender: http2::SendRequest<RequestBody>,
        /// Counted until the call ends.
        _stream: Stream,
    },
}

/// A stream that counts among those of its connection.
struct Stream(Arc<AtomicUsize>);

impl Stream {
    fn of(shared: &Shared) -> Self {
        shared.streams.fetch_add(1, Ordering::Relaxed);
        Self(shared.streams.clone())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that got no answer.
pub(super) struct SendFailure {
    pub(super) error: hyper::Error,
    /// The body, if nothing of the request was sent.
    pub(super) unsent: Option<RequestBody>,
}

/// How a connection is opened.
#[derive(Clone, Copy)]
pub(super) struct Dialing<'a> {
    pub(super) net: &'a Net,
    pub(super) permission: &'a Permission,
    pub(super) url: &'a Url,
    pub(super) identity: Option<&'a ClientIdentity>,
    pub(super) versions: HttpVersions,
    pub(super) deadline: Instant,
}

impl Pool {
    pub(super) fn new(tasks: TaskTracker) -> Self {
        Self {
            idle: Mutex::default(),
            shared: Mutex::default(),
            keep_alive: Arc::new(KeepAlive(AtomicU64::new(millis(IDLE)))),
            tasks,
        }
    }

    /// Returns a connection: one that waits, unless `is_fresh`, or a new one.
    pub(super) async fn lease(
        self: &Arc<Self>,
        how: Dialing<'_>,
        is_fresh: bool,
    ) -> Result<Lease, NetFailure> {
        if !is_fresh {
            if how.versions != HttpVersions::Http1
                && let Some(shared) = self.shared_with_room()
            {
                return Ok(self.reused(shared.into()));
            }
            while how.versions != HttpVersions::Http2
                && let Some(mut http1) = self.pop_idle()
            {
                let ready = tokio::time::timeout(READY_WITHIN, http1.sender.ready());
                if matches!(ready.await, Ok(Ok(()))) {
                    return Ok(self.reused(Link::Http1(http1)));
                }
            }
        }
        let dialed = how.net.http_dial(
            how.permission,
            HttpDial {
                url: how.url,
                identity: how.identity,
                versions: how.versions,
                deadline: how.deadline,
            },
        );
        self.open(dialed.await?).await
    }

    fn reused(self: &Arc<Self>, link: Link) -> Lease {
        Lease {
            link,
            pool: self.clone(),
            is_reused: true,
            phases: Phases::default(),
        }
    }

    async fn open(self: &Arc<Self>, dialed: Dialed) -> Result<Lease, NetFailure> {
        let failed = |error: hyper::Error| {
            NetFailure::from(crate::net::NetError::Connect(format!(
                "the connection to `{}` broke before it could be used: {error}",
                dialed.peer
            )))
        };
        let io = TokioIo::new(dialed.stream);
        let link = if dialed.is_http2 {
            let (sender, connection) = http2::Builder::new(Tasks(self.tasks.clone()))
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_header_list_size(MAX_HEADER_BYTES)
                .keep_alive_interval(PING)
                .handshake(io)
                .await
                .map_err(failed)?;
            // Its error reaches the calls through their senders and bodies.
            self.tasks.spawn(async move { drop(connection.await) });
            self.share(sender).into()
        } else {
            let (sender, connection) = http1::Builder::new()
                .max_headers(MAX_HEADERS)
                .max_header_size(MAX_HEADER_BYTES as usize)
                .max_buf_size(BUFFER_BYTES)
                .handshake(io)
                .await
                .map_err(failed)?;
            let connection = connection.with_upgrades();
            let idle_since = Arc::<Mutex<Option<Instant>>>::default();
            let (waiting, keep_alive) = (idle_since.clone(), self.keep_alive.clone());
            self.tasks.spawn(async move {
                drop(connection.await);
                if let Some(since) = *lock(&waiting) {
                    keep_alive.stay_below(since.elapsed());
                }
            });
            Link::Http1(Http1 { sender, idle_since })
        };
        Ok(Lease {
            link,
            pool: self.clone(),
            is_reused: false,
            phases: dialed.phases,
        })
    }

    /// Keeps a new connection for other calls as well, if there is room.
    fn share(&self, sender: http2::SendRequest<RequestBody>) -> Shared {
        let new = Shared {
            sender,
            streams: Arc::default(),
        };
        let mut shared = lock(&self.shared);
        shared.retain(|known| !known.sender.is_closed());
        if shared.len() < MAX_HTTP2 {
            shared.push(new.clone());
        }
        new
    }

    fn shared_with_room(&self) -> Option<Shared> {
        let mut shared = lock(&self.shared);
        shared.retain(|known| !known.sender.is_closed());
        let used = |known: &Shared| known.streams.load(Ordering::Relaxed);
        let is_full = shared.len() >= MAX_HTTP2;
        let least = shared.iter().min_by_key(|known| used(known))?;
        (is_full || used(least) < STREAMS).then(|| least.clone())
    }

    fn pop_idle(&self) -> Option<Http1> {
        let mut idle = lock(&self.idle);
        self.close_expired(&mut idle);
        let Idle { http1, .. } = idle.pop()?;
        *lock(&http1.idle_since) = None;
        Some(http1)
    }

    /// Closes what has waited too long.
    pub(super) fn sweep(&self) {
        self.close_expired(&mut lock(&self.idle));
    }

    fn close_expired(&self, idle: &mut Vec<Idle>) {
        let limit = Duration::from_millis(self.keep_alive.0.load(Ordering::Relaxed));
        idle.retain(|idle| {
            let is_expired = idle.since.elapsed() >= limit;
            if is_expired {
                // We close it, which shows nothing of the vendor.
                *lock(&idle.http1.idle_since) = None;
            }
            !is_expired && !idle.http1.sender.is_closed()
        });
    }
}

impl KeepAlive {
    /// The vendor closes a connection after so long: no other one waits that long.
    fn stay_below(&self, whole: Duration) {
        // Below its half where there is no room for the margin.
        let wait = whole.saturating_sub(MARGIN).max(whole / 2);
        self.0
            .fetch_min(millis(wait.max(SHORTEST_IDLE)), Ordering::Relaxed);
    }

    /// A connection broke as it was used again: the next ones wait half as long.
    fn halve(&self) {
        let half = Duration::from_millis(self.0.load(Ordering::Relaxed) / 2);
        self.0
            .fetch_min(millis(half.max(SHORTEST_IDLE)), Ordering::Relaxed);
    }

    /// Takes what the vendor states: `Keep-Alive: timeout=5`.
    fn learn(&self, headers: &HeaderMap) {
        let stated = || {
            let text = headers.get("keep-alive")?.to_str().ok()?;
            let seconds = text
                .split(',')
                .find_map(|word| word.trim().strip_prefix("timeout="))?;
            seconds.parse::<u64>().ok()
        };
        if let Some(seconds) = stated() {
            self.stay_below(Duration::from_secs(seconds.min(3_600)));
        }
    }
}

impl From<Shared> for Link {
    fn from(shared: Shared) -> Self {
        Link::Http2 {
            _stream: Stream::of(&shared),
            sender: shared.sender,
        }
    }
}

impl Lease {
    pub(super) fn is_http2(&self) -> bool {
        matches!(self.link, Link::Http2 { .. })
    }

    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, SendFailure> {
        let answered = match &mut self.link {
            Link::Http1(http1) => http1.sender.try_send_request(request).await,
            Link::Http2 { sender, .. } => match sender.ready().await {
                Ok(()) => sender.try_send_request(request).await,
                Err(error) => {
                    return Err(SendFailure {
                        error,
                        unsent: Some(request.into_body()),
                    });
                }
            },
        };
        match answered {
            Ok(response) => {
                self.pool.keep_alive.learn(response.headers());
                Ok(response)
            }
            Err(mut failure) => {
                if self.is_reused && !self.is_http2() {
                    self.pool.keep_alive.halve();
                }
                let unsent = failure.take_message().map(Request::into_body);
                Err(SendFailure {
                    error: failure.into_error(),
                    unsent,
                })
            }
        }
    }

    /// The answer came to its end: the connection waits for another call.
    pub(super) fn finished(self) {
        let Link::Http1(http1) = self.link else {
            return;
        };
        let mut idle = lock(&self.pool.idle);
        if !http1.sender.is_closed() && idle.len() < MAX_IDLE {
            let since = Instant::now();
            *lock(&http1.idle_since) = Some(since);
            idle.push(Idle { http1, since });
        }
    }
}

/// Runs what HTTP/2 spawns.
#[derive(Clone)]
struct Tasks(TaskTracker);

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_wait_less_long_than_the_vendor_keeps_them() {
        let keep_alive = KeepAlive(AtomicU64::new(millis(IDLE)));
        let waits = || keep_alive.0.load(Ordering::Relaxed);
        keep_alive.stay_below(Duration::from_secs(75));
        assert_eq!(waits(), 20_000);
        keep_alive.stay_below(Duration::from_secs(15));
        assert_eq!(waits(), 11_000);
        let mut headers = HeaderMap::new();
        headers.insert("keep-alive", "max=100, timeout=5".parse().unwrap());
        keep_alive.learn(&headers);
        assert_eq!(waits(), 2_500);
        keep_alive.halve();
        assert_eq!(waits(), 1_250);
        keep_alive.stay_below(Duration::from_millis(1));
        assert_eq!(waits(), 100);
    }
}
