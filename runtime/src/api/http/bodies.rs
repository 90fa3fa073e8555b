//! Bodies of requests, read whole before any work begins: bounded in size and time, and slow ones
//! in number, so that a client that sends a byte now and then takes no place from others.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::caller::Caller;
use super::error::{ApiError, ApiResult};

/// Nearly every body is there with its headers; one that is not after this long is slow.
const PROMPT: Duration = Duration::from_millis(500);
/// Slow bodies of one client at the same time.
const SLOW_PER_CALLER: usize = 16;
/// Read on and thrown away beyond the limit: most clients look for an answer only after they have
/// sent everything.
const DISCARDED_BYTES: usize = 16 * 1024 * 1024;

/// Limit of one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyLimit {
    pub(crate) bytes: usize,
    /// Time from the last header to the end of the body.
    pub(crate) timeout: Duration,
}

/// Counts the slow ones.
pub(crate) struct Bodies {
    all: Semaphore,
    by_caller: Mutex<HashMap<Caller, usize>>,
}

/// A place among the slow bodies of one client.
struct Slow<'a> {
    bodies: &'a Bodies,
    caller: Caller,
    _permit: tokio::sync::SemaphorePermit<'a>,
}

impl Bodies {
    /// `most`: slow bodies of all clients at the same time.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            all: Semaphore::new(most.max(1)),
            by_caller: Mutex::default(),
        }
    }

    pub(crate) async fn read(
        &self,
        caller: Caller,
        headers: &HeaderMap,
        body: Body,
        limit: BodyLimit,
    ) -> ApiResult<Bytes> {
        self.read_into(caller, headers, body, limit, |_| true).await
    }

    /// The same with an account of memory: `reserve` is asked for so many bytes in all before the
    /// body grows.
    pub(crate) async fn read_into(
        &self,
        caller: Caller,
        headers: &HeaderMap,
        body: Body,
        limit: BodyLimit,
        reserve: impl FnMut(usize) -> bool,
    ) -> ApiResult<Bytes> {
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let too_much = |most: usize| announced.is_some_and(|length| length > most as u64);
        let waits_for_consent = headers.contains_key(EXPECT);
        if too_much(limit.bytes) && (waits_for_consent || too_much(limit.bytes + DISCARDED_BYTES)) {
            return Err(ApiError::body_too_large(limit.bytes));
        }
        let mut reading = pin!(collect(body, limit.bytes, reserve));
        if let Ok(prompt) = timeout(PROMPT, &mut reading).await {
            return prompt;
        }
        let _slow = self.slow(caller)?;
        let slow = timeout(limit.timeout.saturating_sub(PROMPT), reading).await;
        slow.unwrap_or_else(|_| Err(ApiError::body_too_slow(limit.timeout.as_secs())))
    }

    fn slow(&self, caller: Caller) -> ApiResult<Slow<'_>> {
        let busy = || ApiError::busy("too many requests are sent slowly at the moment; come again");
        let permit = self.all.try_acquire().map_err(|_| busy())?;
        let mut by_caller = self
            .by_caller
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = by_caller.entry(caller).or_default();
        if *count >= SLOW_PER_CALLER {
            return Err(busy());
        }
        *count += 1;
        Ok(Slow {
            bodies: self,
            caller,
            _permit: permit,
        })
    }
}

impl Drop for Slow<'_> {
    fn drop(&mut self) {
        let mut by_caller = self
            .bodies
            .by_caller
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_caller.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                by_caller.remove(&self.caller);
            }
        }
    }
}

async fn collect(
    mut body: Body,
    most: usize,
    mut reserve: impl FnMut(usize) -> bool,
) -> ApiResult<Bytes> {
    let capacity = body.size_hint().exact().unwrap_or(0).min(most as u64) as usize;
    let mut bytes = BytesMut::with_capacity(capacity.min(64 * 1024));
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::body_cut_short())?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length <= most {
            if !reserve(length) {
                return Err(ApiError::busy(
                    "no memory is left for this body at the moment; come again",
                ));
            }
            bytes.extend_from_slice(&data);
        } else if length > most + DISCARDED_BYTES {
            break;
        }
    }
    if length > most {
        Err(ApiError::body_too_large(most))
    } else {
        Ok(bytes.freeze())
    }
}

/// Permit of a request among those in progress; given back while its body is on the way.
#[derive(Clone)]
pub(crate) struct WorkPermit {
    permit: Arc<Mutex<Option<tokio::sync::OwnedSemaphorePermit>>>,
    all: Arc<Semaphore>,
}

/// Time that a request whose body has arrived waits for a permit.
const TURN: Duration = Duration::from_secs(2);

impl WorkPermit {
    /// Returns none when there are too many.
    pub(crate) fn acquire(all: &Arc<Semaphore>) -> Option<Self> {
        let permit = all.clone().try_acquire_owned().ok()?;
        Some(Self {
            permit: Arc::new(Mutex::new(Some(permit))),
            all: all.clone(),
        })
    }

    pub(crate) fn pause(&self) {
        self.permit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    pub(crate) async fn resume(&self) -> ApiResult<()> {
        let busy =
            || ApiError::busy("too many requests are being worked on; come again in a moment");
        let permit = timeout(TURN, self.all.clone().acquire_owned())
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())?;
        *self.permit.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
        Ok(())
    }
}

impl ApiError {
    pub(crate) fn body_too_large(most: usize) -> Self {
        let detail = format!("the body is larger than the limit of {} KiB", most / 1024);
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "Body too large",
            detail,
        )
    }

    pub(crate) fn body_missing(what: &str) -> Self {
        let detail = format!("the body is empty; it has to be {what}");
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "Bad request",
            detail,
        )
    }

    pub(crate) fn body_cut_short() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "Bad request",
            "the body ended early",
        )
    }

    pub(crate) fn body_too_slow(after_s: u64) -> Self {
        let detail = format!("the body was not there after {after_s} s");
        Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "Too slow", detail)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::IpAddr;

    use futures::{StreamExt, stream};

    use super::*;

    const LIMIT: BodyLimit = BodyLimit {
        bytes: 10,
        timeout: Duration::from_secs(10),
    };

    fn caller(last: u8) -> Caller {
        IpAddr::from([10, 0, 0, last]).into()
    }

    fn endless() -> Body {
        let first = stream::iter([Ok::<_, Infallible>("a")]);
        Body::from_stream(first.chain(stream::pending()))
    }

    async fn read(bodies: &Bodies, caller: Caller, body: Body) -> ApiResult<Bytes> {
        bodies.read(caller, &HeaderMap::new(), body, LIMIT).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_read_whole_or_refused_for_its_size_or_its_time() {
        let bodies = Bodies::new(100);
        assert_eq!(
            read(&bodies, caller(1), Body::from("0123456789"))
                .await
                .unwrap(),
            "0123456789"
        );
        let error = read(&bodies, caller(1), Body::from("0123456789a"))
            .await
            .unwrap_err();
        assert!(
            error.detail().contains("larger than the limit"),
            "{}",
            error.detail()
        );
        let error = read(&bodies, caller(1), endless()).await.unwrap_err();
        assert_eq!(error.detail(), "the body was not there after 10 s");
        assert!(bodies.by_caller.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_reserves_memory_as_it_arrives_and_is_refused_where_there_is_none() {
        let bodies = Bodies::new(100);
        let chunks =
            || Body::from_stream(stream::iter(["abc", "def", "gh"].map(Ok::<_, Infallible>)));
        let mut asked = Vec::new();
        let reserve = |bytes| {
            asked.push(bytes);
            bytes <= 6
        };
        let headers = HeaderMap::new();
        let read = bodies.read_into(caller(1), &headers, chunks(), LIMIT, reserve);
        let error = read.await.unwrap_err();
        assert!(
            error.detail().contains("no memory is left"),
            "{}",
            error.detail()
        );
        assert_eq!(asked, [3, 6, 8]);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_bodies_of_one_client_take_no_place_from_others() {
        let bodies = Arc::new(Bodies::new(100));
        let slow = |last: u8| {
            let bodies = bodies.clone();
            tokio::spawn(async move { read(&bodies, caller(last), endless()).await })
        };
        let attack: Vec<_> = (0..50).map(|_| slow(1)).collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let refused = attack.iter().filter(|task| task.is_finished()).count();
        assert_eq!(refused, 50 - SLOW_PER_CALLER);
        assert!(
            read(&bodies, caller(1), Body::from("prompt")).await.is_ok(),
            "a prompt body needs no place"
        );
        let honest = slow(2);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!honest.is_finished(), "another client has its own places");
    }
}
