//! Bodies of answers that are written while their query runs. The first rows are read before the
//! head is sent, so that most errors have a status, and most cuts a header.

use std::collections::VecDeque;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::{HeaderMap, header::HeaderValue};

use super::TRUNCATED;
use super::formats::Encoder;
use crate::api::http::running_queries::Registration;
use crate::store::{QueryError, QueryStream, RecordBatch, ResultError, memory_of};

/// Rows and memory that are read before the head of an answer.
const FIRST_ROWS: usize = 10_000;
const FIRST_BYTES: usize = 4 * 1024 * 1024;

/// An answer under way.
pub(super) struct Answer {
    stream: QueryStream,
    registration: Registration,
    /// Batches that were read before the head.
    first: VecDeque<RecordBatch>,
}

impl Answer {
    /// Reads the first rows.
    pub(super) async fn begin(
        mut stream: QueryStream,
        registration: Registration,
    ) -> Result<Self, QueryError> {
        let (mut first, mut rows, mut bytes) = (VecDeque::new(), 0, 0);
        while rows <= FIRST_ROWS
            && bytes <= FIRST_BYTES
            && let Some(batch) = stream.next().await?
        {
            rows += batch.num_rows();
            bytes += memory_of(&batch);
            first.push_back(batch);
        }
        Ok(Self {
            stream,
            registration,
            first,
        })
    }

    /// Returns whether rows are missing; none if that is not known yet.
    pub(super) fn is_truncated(&self) -> Option<bool> {
        self.stream.is_truncated()
    }

    /// Returns the body. It ends with a trailer that marks a cut, and breaks off with an error.
    pub(super) async fn into_body(self, mut encoder: Box<dyn Encoder>) -> Result<Body, QueryError> {
        let mut writing = Writing {
            answer: self,
            stage: Stage::Rows,
        };
        // A type that the format does not know shows here, while there still is a status.
        let first = match writing.answer.next().await? {
            Some(batch) => {
                let (back, written) = encode(encoder, Step::Batch(batch)).await?;
                encoder = back;
                written
            }
            None => Vec::new(),
        };
        let rest = stream::unfold(Some((writing, encoder)), |state| async {
            let (writing, encoder) = state?;
            writing.frame(encoder).await
        });
        let first = Ok(Frame::data(Bytes::from(first)));
        let frames = futures::StreamExt::chain(stream::iter([first]), rest);
        Ok(Body::new(StreamBody::new(frames)))
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        let batch = match self.first.pop_front() {
            Some(batch) => Some(batch),
            None => self.stream.next().await?,
        };
        if let Some(batch) = &batch {
            self.registration.add_rows(batch.num_rows());
        }
        Ok(batch)
    }
}

struct Writing {
    answer: Answer,
    stage: Stage,
}

enum Stage {
    Rows,
    Trailers,
}

type BoxEncoder = Box<dyn Encoder>;
type BodyFrame = Result<Frame<Bytes>, QueryError>;

impl Writing {
    async fn frame(
        mut self,
        encoder: BoxEncoder,
    ) -> Option<(BodyFrame, Option<(Self, BoxEncoder)>)> {
        if let Stage::Trailers = self.stage {
            return Some((Ok(Frame::trailers(self.trailers())), None));
        }
        let next = self.answer.next().await;
        let step = match next {
            Ok(Some(batch)) => Step::Batch(batch),
            Ok(None) => {
                self.stage = Stage::Trailers;
                Step::End(self.answer.is_truncated().unwrap_or(true))
            }
            Err(error) => return Some(broken(encoder, error)),
        };
        match encode(encoder, step).await {
            Ok((encoder, written)) => {
                let frame = Frame::data(Bytes::from(written));
                Some((Ok(frame), Some((self, encoder))))
            }
            Err(error) => Some((Err(error), None)),
        }
    }

    fn trailers(&self) -> HeaderMap {
        let is_truncated = self.answer.is_truncated().unwrap_or(true);
        let value = if is_truncated { "true" } else { "false" };
        let mut trailers = HeaderMap::new();
        trailers.insert(TRUNCATED, HeaderValue::from_static(value));
        trailers
    }
}

/// The last frame of an answer whose query failed: a line where the format has lines, else the
/// connection breaks off.
fn broken(
    mut encoder: BoxEncoder,
    error: QueryError,
) -> (BodyFrame, Option<(Writing, BoxEncoder)>) {
    tracing::debug!(%error, "an answer in SQL breaks off");
    let frame = match encoder.broken(&error) {
        Some(line) => Ok(Frame::data(Bytes::from(line))),
        None => Err(error),
    };
    (frame, None)
}

enum Step {
    Batch(RecordBatch),
    End(bool),
}

/// Encodes where that holds up nobody.
async fn encode(mut encoder: BoxEncoder, step: Step) -> Result<(BoxEncoder, Vec<u8>), QueryError> {
    let work = move || {
        let written = match step {
            Step::Batch(batch) => encoder.batch(&batch),
            Step::End(is_truncated) => encoder.end(is_truncated),
        };
        written.map(|written| (encoder, written))
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| QueryError::from(ResultError::Reader))?
}
