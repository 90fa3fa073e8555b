//! Bodies that pass through, frame by frame, each when the other side takes it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cache::Filling;
use super::pool::Lease;
use super::record::{CallGuard, Meter};
use crate::domain::CallEnd;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A client's body, whatever it is read from.
pub type ClientBody = http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>;

/// Longest silence of a vendor within its answer. Streams of events send something more often.
const SILENCE: Duration = Duration::from_secs(600);
/// Most answers that are read on after their clients left.
const MAX_DRAINS: usize = 16;
const DRAIN_WITHIN: Duration = Duration::from_secs(30);

/// Body of a request to a vendor.
pub(super) struct RequestBody {
    kind: RequestKind,
    meter: Arc<Meter>,
}

enum RequestKind {
    Passing(ClientBody),
    /// All of it, which can be sent again.
    Whole(Bytes),
}

impl RequestBody {
    pub(super) fn passing(body: ClientBody, meter: Arc<Meter>) -> Self {
        let kind = RequestKind::Passing(body);
        Self { kind, meter }
    }

    pub(super) fn whole(bytes: Bytes, meter: Arc<Meter>) -> Self {
        let kind = RequestKind::Whole(bytes);
        Self { kind, meter }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match &mut this.kind {
            RequestKind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            RequestKind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            RequestKind::Passing(body) => {
                let polled = Pin::new(body).poll_frame(cx);
                if let Poll::Ready(Some(Ok(frame))) = &polled {
                    this.meter.sent(frame.data_ref().map_or(0, Bytes::len));
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            RequestKind::Whole(bytes) => bytes.is_empty(),
            RequestKind::Passing(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            RequestKind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            RequestKind::Passing(body) => body.size_hint(),
        }
    }
}

/// Where answers are read on whose clients left.
#[derive(Debug, Clone)]
pub(super) struct Drains {
    tasks: TaskTracker,
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Drains {
    pub(super) fn new(tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self {
            tasks,
            places: Arc::new(Semaphore::new(MAX_DRAINS)),
            stop,
        }
    }

    /// Reads the answer to its end and notes it in the record, which stays `cancelled`. Where there
    /// is no place the answer is cut.
    fn begin(&self, mut passing: Passing) {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return;
        };
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let _place = place;
            let read = async {
                while let Some(Ok(frame)) = passing.inner.frame().await {
                    if let Some(bytes) = frame.data_ref() {
                        passing.guard.passed(bytes);
                    }
                }
            };
            tokio::select! {
                () = read => {}
                () = tokio::time::sleep(DRAIN_WITHIN) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

/// Body of an answer: the vendor's, or one of our own.
pub struct AnswerBody(AnswerKind);

enum AnswerKind {
    Own(Bytes),
    Passing {
        passing: Option<Box<Passing>>,
        drains: Option<Drains>,
    },
}

struct Passing {
    inner: Incoming,
    /// Keeps the answer if it comes whole.
    filling: Option<Filling>,
    guard: CallGuard,
    lease: Option<Lease>,
    silence: Pin<Box<Sleep>>,
    /// Passed on once what came before it is written.
    failure: Option<BoxError>,
}

impl AnswerBody {
    pub(super) fn own(bytes: Bytes) -> Self {
        Self(AnswerKind::Own(bytes))
    }

    /// `drains`: the answer is read on when the client leaves.
    pub(super) fn passing(
        inner: Incoming,
        guard: CallGuard,
        lease: Lease,
        drains: Option<Drains>,
        filling: Option<Filling>,
    ) -> Self {
        let mut passing = Passing {
            inner,
            filling,
            guard,
            lease: Some(lease),
            silence: Box::pin(tokio::time::sleep(SILENCE)),
            failure: None,
        };
        passing.note_end();
        Self(AnswerKind::Passing {
            passing: Some(Box::new(passing)),
            drains,
        })
    }
}

impl Passing {
    /// Where the length is known no frame is asked for after the last one.
    fn note_end(&mut self) {
        if self.inner.is_end_stream() {
            self.note_whole();
        }
    }

    fn note_whole(&mut self) {
        self.guard.ended(CallEnd::Complete, None);
        if let Some(filling) = self.filling.take() {
            filling.finish();
        }
        if let Some(lease) = self.lease.take() {
            lease.finished();
        }
    }

    fn note_frame(&mut self, frame: &Frame<Bytes>) {
        if let Some(bytes) = frame.data_ref() {
            self.guard.passed(bytes);
        }
        if let Some(filling) = &mut self.filling {
            match frame.data_ref() {
                Some(bytes) => filling.feed(bytes),
                // What follows the body is not kept, so neither is the answer.
                None => filling.give_up(),
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.note_frame(&frame);
                self.silence.as_mut().reset(Instant::now() + SILENCE);
                self.note_end();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.guard.ended(CallEnd::Truncated, Some("truncated"));
                // The client sees no clean end either, but all that came.
                self.failure = Some(error.into());
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.note_whole();
                Poll::Ready(None)
            }
            Poll::Pending => {
                if self.silence.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.guard.ended(CallEnd::Timeout, Some("timeout"));
                Poll::Ready(Some(Err("the service sent nothing for too long".into())))
            }
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let passing = match &mut self.0 {
            AnswerKind::Own(bytes) if bytes.is_empty() => return Poll::Ready(None),
            AnswerKind::Own(bytes) => {
                return Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))));
            }
            AnswerKind::Passing { passing, .. } => passing,
        };
        let Some(under_way) = passing else {
            return Poll::Ready(None);
        };
        let polled = under_way.poll(cx);
        if let Poll::Ready(None | Some(Err(_))) = &polled {
            *passing = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            AnswerKind::Own(bytes) => bytes.is_empty(),
            AnswerKind::Passing { passing, .. } => passing
                .as_ref()
                .is_none_or(|passing| passing.inner.is_end_stream()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            AnswerKind::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            AnswerKind::Passing { passing, .. } => passing
                .as_ref()
                .map_or_else(SizeHint::default, |passing| passing.inner.size_hint()),
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let AnswerKind::Passing { passing, drains } = &mut self.0
            && let (Some(passing), Some(drains)) = (passing.take(), drains)
            && passing.lease.is_some()
        {
            drains.begin(*passing);
        }
    }
}
