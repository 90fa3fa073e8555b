//! Answers of one service that are kept in memory for a while, where its settings ask for it, by the
//! rules for shared caches (RFC 9111). An answer is one consumer's, unless the settings share them.

mod directives;
mod store;
mod stored;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE, IF_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::Instant;

pub(super) use stored::Reply;

use super::path::PathPatterns;
use crate::domain::{CacheSettings, CacheUse, Consumer, now_ms};
use directives::Directives;
use store::{Found, Key, Store};
use stored::{Head, Moments, Stored};

/// Largest answer that is kept.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// Header that states how the cache was used (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// Requests with one of these are between the client and the vendor alone.
const NOT_ASKED: [HeaderName; 5] = [RANGE, IF_RANGE, IF_MATCH, IF_UNMODIFIED_SINCE, COOKIE];

pub(super) struct Cache {
    is_shared: bool,
    /// Paths whose answers are kept; none: all.
    paths: Option<PathPatterns>,
    store: Mutex<Store>,
}

/// A request as the cache sees it.
pub(super) struct Question<'a> {
    pub(super) parts: &'a Parts,
    /// Path behind the base URL, as it was sent.
    pub(super) path: &'a str,
    pub(super) segments: &'a [String],
    pub(super) consumer: &'a Consumer,
    pub(super) has_body: bool,
}

/// Decision about a request.
pub(super) enum Asked {
    /// Answered by itself.
    Hit(Reply),
    /// The client wants it from the cache or not at all (RFC 9111, 5.2.1.7).
    Nothing,
    /// The vendor is asked.
    Forward(Box<Forward>),
}

/// A request on its way to the vendor, and what the cache makes of the answer.
pub(super) struct Forward {
    cache: Arc<Cache>,
    key: Key,
    /// Generation of the address when it was asked.
    generation: u64,
    asked: Instant,
    purpose: Purpose,
}

enum Purpose {
    /// The cache has no part in it. `is_unsafe`: it may change what was kept.
    Bypass {
        reason: &'static str,
        is_unsafe: bool,
    },
    Fetch {
        reason: &'static str,
        /// Headers of the client's request.
        request: HeaderMap,
        is_head: bool,
        /// Answer that the vendor is asked to confirm.
        stale: Option<Arc<Stored>>,
    },
}

impl Cache {
    pub(super) fn new(settings: &CacheSettings) -> Self {
        Self {
            is_shared: settings.shared,
            paths: (!settings.paths.is_empty()).then(|| PathPatterns::new(&settings.paths)),
            store: Mutex::new(Store::new(settings.max_bytes, settings.max_entries)),
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides about a request; none: no answer of this path is kept.
    pub(super) fn ask(self: &Arc<Self>, question: &Question<'_>, now: Instant) -> Option<Asked> {
        let is_kept = |paths: &PathPatterns| paths.allow(question.segments);
        if !self.paths.as_ref().is_none_or(is_kept) {
            return None;
        }
        let parts = question.parts;
        let query = parts.uri.query().map(|query| format!("?{query}"));
        let key = Key {
            owner: if self.is_shared {
                0
            } else {
                question.consumer.id
            },
            target: format!("{}{}", question.path, query.unwrap_or_default()).into(),
        };
        let generation = self.store().generation(&key.target);
        let forward = |purpose| {
            Asked::Forward(Box::new(Forward {
                cache: self.clone(),
                key: key.clone(),
                generation,
                asked: now,
                purpose,
            }))
        };
        let directives = Directives::of(&parts.headers);
        if let Some(bypass) = bypass(question, &directives) {
            return Some(forward(bypass));
        }
        let is_head = parts.method == Method::HEAD;
        let found = self.store().find(&key, &parts.headers);
        let (reason, stale) = match found {
            Found::Nothing => ("uri-miss", None),
            Found::Others => ("vary-miss", None),
            Found::Stored(stored) if stored.head.satisfies(&directives, now) => {
                let mut reply = stored.reply(&parts.headers, is_head, now);
                let left = stored.head.left(now).as_secs();
                note(&mut reply.headers, &format!("hit; ttl={left}"));
                return Some(Asked::Hit(reply));
            }
            Found::Stored(stored) => {
                let is_fresh = stored.head.satisfies(&Directives::default(), now);
                let reason = if is_fresh { "request" } else { "stale" };
                let can_be_asked = stored.head.has_validator() && !is_head;
                (reason, can_be_asked.then_some(stored))
            }
        };
        if directives.has("only-if-cached") {
            return Some(Asked::Nothing);
        }
        Some(forward(Purpose::Fetch {
            reason,
            request: parts.headers.clone(),
            is_head,
            stale,
        }))
    }
}

fn bypass(question: &Question<'_>, directives: &Directives) -> Option<Purpose> {
    let parts = question.parts;
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Some(Purpose::Bypass {
            reason: "method",
            is_unsafe: !matches!(parts.method, Method::OPTIONS | Method::TRACE),
        });
    }
    let is_of_two = question.has_body
        || super::headers::upgrade(parts).is_some()
        || directives.has("no-store")
        || NOT_ASKED
            .iter()
            .any(|name| parts.headers.contains_key(name));
    is_of_two.then_some(Purpose::Bypass {
        reason: "bypass",
        is_unsafe: false,
    })
}

impl Forward {
    /// Has the vendor confirm what is kept, in place of what the client has.
    pub(super) fn prepare(&self, headers: &mut HeaderMap) {
        if let Purpose::Fetch {
            stale: Some(stale), ..
        } = &self.purpose
        {
            stale.head.validate(headers);
        }
    }

    pub(super) fn usage(&self) -> CacheUse {
        match self.purpose {
            Purpose::Bypass { .. } => CacheUse::Bypass,
            Purpose::Fetch { .. } => CacheUse::Miss,
        }
    }

    fn moments(&self, now: Instant) -> Moments {
        Moments {
            asked: self.asked,
            came: now,
            came_ms: now_ms(),
        }
    }

    /// The answer for the client, if the vendor confirmed what is kept.
    pub(super) fn confirmed(
        &self,
        status: StatusCode,
        sent: &HeaderMap,
        now: Instant,
    ) -> Option<Reply> {
        let Purpose::Fetch {
            reason,
            request,
            is_head,
            stale: Some(stale),
        } = &self.purpose
        else {
            return None;
        };
        if status != StatusCode::NOT_MODIFIED {
            return None;
        }
        let (head, is_kept) = stale.head.confirmed(request, sent, self.moments(now));
        let body = stale.body.clone();
        let confirmed = Arc::new(Stored { head, body });
        let mut store = self.cache.store();
        store.remove_like(&self.key, &stale.head);
        if is_kept {
            store.insert(&self.key, self.generation, confirmed.clone());
        }
        drop(store);
        let mut reply = confirmed.reply(request, *is_head, now);
        let left = confirmed.head.left(now).as_secs();
        let stored = if is_kept { "; stored" } else { "" };
        let status = format!("fwd={reason}; fwd-status=304{stored}; ttl={left}");
        note(&mut reply.headers, &status);
        Some(reply)
    }

    /// Returns what forgets the address, where the request may change something, unless it is told
    /// that there is an answer, or that nothing was sent.
    pub(super) fn pending(&self) -> Option<Pending> {
        let is_unsafe = matches!(
            self.purpose,
            Purpose::Bypass {
                is_unsafe: true,
                ..
            }
        );
        is_unsafe.then(|| Pending {
            cache: self.cache.clone(),
            target: Some(self.key.target.clone()),
        })
    }

    /// Notes an answer of the vendor's. Returns what takes its body, if it may be kept.
    pub(super) fn answered(
        self,
        status: StatusCode,
        headers: &mut HeaderMap,
        now: Instant,
    ) -> Option<Filling> {
        let moments = self.moments(now);
        let (reason, filling) = match self.purpose {
            Purpose::Bypass { reason, is_unsafe } => {
                // RFC 9111, 4.4; what failed at the vendor's may have been done all the same.
                if is_unsafe && !status.is_client_error() {
                    self.cache.store().clear_target(&self.key.target);
                }
                (reason, None)
            }
            Purpose::Fetch {
                reason,
                request,
                is_head,
                ..
            } => {
                let head = (!is_head)
                    .then(|| Head::of(&request, status, headers, moments))
                    .flatten();
                let length = stated_length(headers);
                let is_too_large = length.is_some_and(|length| length > MAX_ANSWER_BYTES);
                let filling = match head.filter(|_| !is_too_large) {
                    Some(head) => Some(Filling::new(self.cache, self.key, self.generation, head)),
                    None if replaces(status) => {
                        self.cache
                            .store()
                            .remove_outdated(&self.key, &request, |kept| {
                                !is_head || kept.is_other_than(headers)
                            });
                        None
                    }
                    None => None,
                };
                (reason, filling)
            }
        };
        let stored = if filling.is_some() { "; stored" } else { "" };
        note(headers, &format!("fwd={reason}{stored}"));
        filling
    }
}

/// A request that may change what is kept, while it is not known whether it did.
pub(super) struct Pending {
    cache: Arc<Cache>,
    target: Option<Arc<str>>,
}

impl Pending {
    pub(super) fn settle(mut self) {
        self.target = None;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(target) = &self.target {
            self.cache.store().clear_target(target);
        }
    }
}

/// The vendor's own caches come first (RFC 9211, 2).
fn note(headers: &mut HeaderMap, what: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("extrack; {what}")) {
        headers.append(CACHE_STATUS, value);
    }
}

/// Reports whether an answer shows what there is in place of what is kept (RFC 9111, 4.3.3): errors
/// of the vendor's, and refusals of the one call, do not.
fn replaces(status: StatusCode) -> bool {
    let is_of_the_call = matches!(
        status,
        StatusCode::NOT_MODIFIED
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS
    );
    !is_of_the_call && !status.is_server_error()
}

fn stated_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The body of an answer that is kept when it is whole.
pub(super) struct Filling {
    cache: Arc<Cache>,
    key: Key,
    generation: u64,
    head: Head,
    body: Vec<u8>,
    /// Room that was taken for it.
    reserved: usize,
    is_given_up: bool,
}

impl Filling {
    fn new(cache: Arc<Cache>, key: Key, generation: u64, head: Head) -> Self {
        Self {
            cache,
            key,
            generation,
            head,
            body: Vec::new(),
            reserved: 0,
            is_given_up: false,
        }
    }

    /// Takes the next bytes. An answer that becomes too large is let go.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.is_given_up {
            return;
        }
        let needed = self.body.len() + bytes.len();
        let has_room =
            needed <= MAX_ANSWER_BYTES && (needed <= self.body.capacity() || self.grow(needed));
        if has_room {
            self.body.extend_from_slice(bytes);
        } else {
            self.give_up();
        }
    }

    /// Room for twice as much as before, as far as that may be.
    fn grow(&mut self, needed: usize) -> bool {
        const FIRST: usize = 4 * 1024;
        let wanted = needed
            .max(self.body.capacity() * 2)
            .clamp(FIRST, MAX_ANSWER_BYTES);
        let more = wanted - self.reserved;
        if !self.cache.store().reserve(more) {
            return false;
        }
        self.reserved += more;
        self.body.reserve_exact(wanted - self.body.len());
        true
    }

    /// Lets the answer go, with the older one to the same request, which it has replaced.
    pub(super) fn give_up(&mut self) {
        self.is_given_up = true;
        self.body = Vec::new();
        self.release();
        self.cache.store().remove_like(&self.key, &self.head);
    }

    /// The answer came to its end.
    pub(super) fn finish(mut self) {
        if self.is_given_up {
            return;
        }
        let body = Bytes::from(std::mem::take(&mut self.body).into_boxed_slice());
        self.release();
        let stored = Stored {
            head: self.head.clone(),
            body,
        };
        self.cache
            .store()
            .insert(&self.key, self.generation, Arc::new(stored));
    }

    fn release(&mut self) {
        let reserved = std::mem::take(&mut self.reserved);
        self.cache.store().give_back(reserved);
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests;
