//! One request and its answer: bodies that note how far they are.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tower::ServiceExt;

use super::activity::Working;

type Answer = Pin<Box<dyn Future<Output = Result<Response<WatchedBody>, Infallible>> + Send>>;

pub(super) fn answer(
    router: Router,
    request: hyper::Request<Incoming>,
    working: Arc<Working>,
) -> Answer {
    Box::pin(async move {
        let request = request.map(|inner| {
            Body::new(WatchedRequestBody {
                inner,
                working: working.clone(),
            })
        });
        let Ok(response) = router.oneshot(request).await;
        Ok(response.map(|inner| WatchedBody { inner, working }))
    })
}

/// The body of a request, of which it is noted when nothing more has arrived.
struct WatchedRequestBody {
    inner: Incoming,
    working: Arc<Working>,
}

impl HttpBody for WatchedRequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        self.working.reads_body(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for WatchedRequestBody {
    fn drop(&mut self) {
        self.working.reads_body(false);
    }
}

/// The body of an answer, whose end is the end of the request.
pub(super) struct WatchedBody {
    inner: Body,
    working: Arc<Working>,
}

impl WatchedBody {
    pub(super) fn new(inner: Body, working: Arc<Working>) -> Self {
        Self { inner, working }
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        self.working.end();
    }
}
