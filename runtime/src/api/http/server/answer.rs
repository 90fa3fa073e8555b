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

/// Longest piece that is handed over at once. A frame of any size would count as sent when it was
/// handed over, however long the client takes to read it.
const PIECE_BYTES: usize = 32 * 1024;

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
        Ok(response.map(|inner| WatchedBody::new(inner, working)))
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
    /// What is left of a frame that is longer than a piece.
    rest: Bytes,
    working: Arc<Working>,
}

impl WatchedBody {
    pub(super) fn new(inner: Body, working: Arc<Working>) -> Self {
        Self {
            inner,
            rest: Bytes::new(),
            working,
        }
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.rest.is_empty() {
            let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                other => return other,
            };
            match frame.into_data() {
                Ok(bytes) if bytes.len() > PIECE_BYTES => self.rest = bytes,
                Ok(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.inner.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        self.working.end();
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::api::http::server::activity::Activity;

    #[tokio::test]
    async fn a_large_answer_counts_as_under_way_until_its_last_piece_is_taken() {
        let activity = Arc::new(Activity::new([10, 0, 0, 1].into()));
        let text: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        let mut body = WatchedBody::new(Body::from(text.clone()), activity.working());
        assert_eq!(body.size_hint().exact(), Some(100_000));
        let mut taken = Vec::new();
        while let Some(frame) = body.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            assert!(piece.len() <= PIECE_BYTES, "{} at once", piece.len());
            taken.extend_from_slice(&piece);
            let left = text.len() - taken.len();
            assert_eq!(body.is_end_stream(), left == 0);
            assert_eq!(body.size_hint().exact(), Some(left as u64));
            assert!(activity.is_working());
        }
        assert!(taken == text, "the pieces are not the answer");
        drop(body);
        assert!(!activity.is_working());
    }
}
