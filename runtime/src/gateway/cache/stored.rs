//! One kept answer: which requests it answers, for how long, and how it is validated (RFC 9111).

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    AGE, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RETRY_AFTER, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::Instant;

use super::directives::{Directives, between, lifetime, moment_ms, parts, seconds};
use crate::domain::UnixMillis;
use crate::gateway::headers::strip_connection;

/// Answers that are whole and final (RFC 9110, 15.1); others are not kept, whatever they state.
const KEPT: [u16; 11] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];
/// Most headers that an answer may depend on.
const MAX_VARY: usize = 16;

/// An answer without its body.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    /// Headers of the answer itself, not of a connection or of the one call.
    headers: HeaderMap,
    /// Headers that the answer depends on, with the values that the request had.
    selecting: Vec<(HeaderName, Vec<HeaderValue>)>,
    lifetime: Duration,
    /// Age at the moment when it came.
    initial_age: Duration,
    came: Instant,
    /// Used only when the vendor has confirmed it.
    is_unconfirmed: bool,
}

#[derive(Debug)]
pub(super) struct Stored {
    pub(super) head: Head,
    pub(super) body: Bytes,
}

/// Moments of an exchange with the vendor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub(super) asked: Instant,
    pub(super) came: Instant,
    pub(super) came_ms: UnixMillis,
}

/// An answer for a client.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Head {
    /// Returns the head of an answer; none: it may not be kept, or is of no use.
    pub(super) fn of(
        request: &HeaderMap,
        status: StatusCode,
        sent: &HeaderMap,
        moments: Moments,
    ) -> Option<Self> {
        let directives = Directives::of(sent);
        let forbids = |name: &&str| directives.has(name);
        if !KEPT.contains(&status.as_u16())
            || ["no-store", "private"].iter().any(forbids)
            || sent.contains_key(SET_COOKIE)
        {
            return None;
        }
        // RFC 9111, 3.5: of one who was asked who he is, where the vendor allows it.
        let allows = ["public", "s-maxage", "must-revalidate"];
        if request.contains_key(AUTHORIZATION) && !allows.iter().any(forbids) {
            return None;
        }
        let selecting = selecting(request, sent)?;
        let mut headers = sent.clone();
        strip_connection(&mut headers);
        strip_of_the_call(&mut headers);
        let head = Self {
            status,
            selecting,
            lifetime: lifetime(&directives, sent, moments.came_ms),
            initial_age: initial_age(sent, moments),
            came: moments.came,
            is_unconfirmed: directives.has("no-cache"),
            headers,
        };
        let is_of_use = head.is_fresh(moments.came) || head.has_validator();
        is_of_use.then_some(head)
    }

    /// Returns the head that a 304 leaves (RFC 9111, 3.2), and whether it may be kept.
    pub(super) fn confirmed(
        &self,
        request: &HeaderMap,
        sent: &HeaderMap,
        moments: Moments,
    ) -> (Self, bool) {
        let mut merged = self.headers.clone();
        let mut newer = sent.clone();
        strip_connection(&mut newer);
        for name in [
            CONTENT_LENGTH,
            CONTENT_ENCODING,
            CONTENT_RANGE,
            CONTENT_TYPE,
        ] {
            newer.remove(name);
        }
        // The old age and date are those of the old answer.
        merged.remove(AGE);
        merged.remove(DATE);
        for name in newer.keys() {
            merged.remove(name);
        }
        for (name, value) in &newer {
            merged.append(name, value.clone());
        }
        let is_same = newer.get(ETAG).is_none_or(|tag| {
            let known = self.headers.get(ETAG);
            known.is_some_and(|known| opaque(known.as_bytes()) == opaque(tag.as_bytes()))
        });
        match Self::of(request, self.status, &merged, moments).filter(|_| is_same) {
            Some(head) => (head, true),
            None => {
                strip_of_the_call(&mut merged);
                let once = Self {
                    headers: merged,
                    came: moments.came,
                    initial_age: Duration::ZERO,
                    ..self.clone()
                };
                (once, false)
            }
        }
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        self.initial_age + now.saturating_duration_since(self.came)
    }

    /// Time for which it is fresh from now on.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.lifetime.saturating_sub(self.age(now))
    }

    fn is_fresh(&self, now: Instant) -> bool {
        !self.is_unconfirmed && self.age(now) < self.lifetime
    }

    /// Reports whether it may answer a request with these directives, without the vendor.
    pub(super) fn satisfies(&self, asked: &Directives, now: Instant) -> bool {
        let is_young = asked
            .seconds("max-age")
            .is_none_or(|most| self.age(now) <= most && !most.is_zero());
        let lasts = asked
            .seconds("min-fresh")
            .is_none_or(|least| self.left(now) >= least);
        self.is_fresh(now) && !asked.has("no-cache") && is_young && lasts
    }

    /// Reports whether the headers that it depends on are the same in a request.
    pub(super) fn is_selected_by(&self, request: &HeaderMap) -> bool {
        let is_same = |(name, values): &(HeaderName, Vec<HeaderValue>)| {
            request.get_all(name).iter().eq(values.iter())
        };
        self.selecting.iter().all(is_same)
    }

    pub(super) fn selects_like(&self, other: &Self) -> bool {
        self.selecting == other.selecting
    }

    /// Reports whether the headers of a newer answer name another version (RFC 9111, 4.3.5).
    pub(super) fn is_other_than(&self, newer: &HeaderMap) -> bool {
        [ETAG, LAST_MODIFIED, CONTENT_LENGTH].iter().any(|name| {
            let pair = self.headers.get(name).zip(newer.get(name));
            pair.is_some_and(|(kept, newer)| kept != newer)
        })
    }

    pub(super) fn came(&self) -> Instant {
        self.came
    }

    pub(super) fn has_validator(&self) -> bool {
        self.headers.contains_key(ETAG) || self.headers.contains_key(LAST_MODIFIED)
    }

    /// Asks the vendor whether this answer still holds, in place of what the client asked.
    pub(super) fn validate(&self, request: &mut HeaderMap) {
        for (ours, asked) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
            match self.headers.get(ours) {
                Some(value) => request.insert(asked, value.clone()),
                None => request.remove(asked),
            };
        }
    }

    /// Returns about how many bytes it takes, without the body.
    pub(super) fn bytes(&self) -> usize {
        const OF_EACH: usize = 64;
        let size =
            |name: &HeaderName, value: &HeaderValue| name.as_str().len() + value.len() + OF_EACH;
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| size(name, value))
            .sum();
        let selecting = self.selecting.iter();
        let selecting: usize = selecting
            .map(|(name, values)| values.iter().map(|value| size(name, value)).sum::<usize>())
            .sum();
        headers + selecting + size_of::<Stored>()
    }
}

impl Stored {
    pub(super) fn bytes(&self) -> usize {
        self.head.bytes() + self.body.len()
    }

    /// Makes the answer for a request: to its condition, and without a body where it wants none.
    pub(super) fn reply(&self, request: &HeaderMap, is_head: bool, now: Instant) -> Reply {
        let mut headers = self.head.headers.clone();
        headers.insert(AGE, HeaderValue::from(self.head.age(now).as_secs()));
        if self.head.status == StatusCode::OK && is_not_modified(request, &self.head.headers) {
            for name in [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_TYPE] {
                headers.remove(name);
            }
            return Reply {
                status: StatusCode::NOT_MODIFIED,
                headers,
                body: Bytes::new(),
            };
        }
        if self.head.status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        let body = if is_head {
            Bytes::new()
        } else {
            self.body.clone()
        };
        Reply {
            status: self.head.status,
            headers,
            body,
        }
    }
}

/// Removes what was true of the one call alone: the state of limits, and when to come again.
fn strip_of_the_call(headers: &mut HeaderMap) {
    let is_limit = |name: &HeaderName| {
        let limits = ["ratelimit", "x-ratelimit", "x-rate-limit"];
        *name == RETRY_AFTER || limits.iter().any(|limit| name.as_str().starts_with(limit))
    };
    let gone: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_limit(name))
        .cloned()
        .collect();
    for name in gone {
        headers.remove(name);
    }
}

/// Returns what an answer depends on; none: no other request may have it.
fn selecting(request: &HeaderMap, sent: &HeaderMap) -> Option<Vec<(HeaderName, Vec<HeaderValue>)>> {
    let mut found: Vec<(HeaderName, Vec<HeaderValue>)> = Vec::new();
    for value in sent.get_all(VARY) {
        for name in parts(value.to_str().ok()?) {
            let name: HeaderName = name.parse().ok().filter(|name: &HeaderName| name != "*")?;
            if found.iter().all(|(known, _)| *known != name) {
                let values = request.get_all(&name).iter().cloned().collect();
                found.push((name, values));
            }
        }
    }
    found.sort_by(|(left, _), (right, _)| left.as_str().cmp(right.as_str()));
    (found.len() <= MAX_VARY).then_some(found)
}

/// RFC 9111, 4.2.3.
fn initial_age(headers: &HeaderMap, moments: Moments) -> Duration {
    let apparent = moment_ms(headers, &DATE).map(|made_ms| between(made_ms, moments.came_ms));
    let stated = headers
        .get(AGE)
        .and_then(|value| seconds(value.to_str().ok()?.trim()))
        .unwrap_or_default();
    let delay = moments.came.saturating_duration_since(moments.asked);
    apparent.unwrap_or_default().max(stated + delay)
}

/// Reports whether the client has this answer already (RFC 9110, 13.2.2).
fn is_not_modified(request: &HeaderMap, stored: &HeaderMap) -> bool {
    if request.contains_key(IF_NONE_MATCH) {
        let known = stored.get(ETAG).map(|tag| opaque(tag.as_bytes()));
        let asked = request.get_all(IF_NONE_MATCH).iter();
        return asked
            .filter_map(|value| value.to_str().ok())
            .flat_map(parts)
            .any(|tag| tag == "*" || known == Some(opaque(tag.as_bytes())));
    }
    let asked_ms = moment_ms(request, &IF_MODIFIED_SINCE);
    let modified_ms = moment_ms(stored, &LAST_MODIFIED);
    asked_ms
        .zip(modified_ms)
        .is_some_and(|(asked, modified)| modified <= asked)
}

/// A tag without its mark of weakness.
fn opaque(tag: &[u8]) -> &[u8] {
    let tag = tag.trim_ascii();
    tag.strip_prefix(b"W/").unwrap_or(tag)
}
