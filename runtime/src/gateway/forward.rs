//! The way of one call to the vendor and back: attempts, the time they may take, and what becomes of
//! the answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::{AnswerBody, ClientBody, Drains, RequestBody};
use super::breaker::Shown;
use super::cache::{Forward, Reply};
use super::outgoing::Outgoing;
use super::pool::{Dialing, Lease, SendFailure};
use super::ports::Units;
use super::record::{CallGuard, Meter};
use super::refusal::Refusal;
use super::signing::{SignedBody, SigningRoom, Unsent, sent_hash};
use super::target::Target;
use super::tunnel::{Handover, Tunnel};
use super::{headers, retries};
use crate::domain::{CacheUse, CallEnd, ErrorKind, OnCancel, VendorHttp, now_ms};
use crate::net::{HttpVersions, Net, NetFailure};
use crate::plugin_host::{AppliedCredential, PluginHost, RefusedToken};

/// Longest wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Longest wait for a token in the place of a refused one, which no call waits for.
const RENEW_WITHIN: Duration = Duration::from_secs(10);

/// What all calls share.
pub(super) struct Vendors {
    pub(super) net: Net,
    pub(super) host: PluginHost,
    pub(super) units: Arc<dyn Units>,
    pub(super) tasks: TaskTracker,
    pub(super) drains: Drains,
    pub(super) signing: SigningRoom,
    pub(super) stop: CancellationToken,
}

/// A call that was admitted.
pub(super) struct Passage {
    pub(super) target: Arc<Target>,
    pub(super) parts: Parts,
    pub(super) body: ClientBody,
    /// Path behind the base URL.
    pub(super) path: String,
    /// The answer is served beside the dashboard.
    pub(super) is_our_origin: bool,
    /// Part of the cache in it; none: no answer of this path is kept.
    pub(super) cache: Option<Box<Forward>>,
}

/// A call that the vendor did not answer.
struct Unanswered {
    refusal: Refusal,
    /// None: nothing was sent.
    ended: Option<CallEnd>,
}

impl From<Refusal> for Unanswered {
    fn from(refusal: Refusal) -> Self {
        let ended = None;
        Self { refusal, ended }
    }
}

/// The head of a vendor's answer, with the connection that its body comes on.
struct Answer {
    response: Response<Incoming>,
    lease: Lease,
}

impl Vendors {
    /// Passes a call on and its answer back. The record ends with the answer's body.
    pub(super) async fn pass(
        &self,
        mut call: Passage,
        mut guard: CallGuard,
    ) -> Response<AnswerBody> {
        let cache = call.cache.take();
        if let Some(cache) = &cache {
            guard.cache(cache.usage());
            cache.prepare(&mut call.parts.headers);
        }
        let is_our_origin = call.is_our_origin;
        let target = call.target.clone();
        let handover = call.parts.extensions.get::<Handover>().cloned();
        let pending = cache.as_ref().and_then(|cache| cache.pending());
        let exchanged = self.exchange(call, &mut guard).await;
        if let Some(pending) = pending
            && !matches!(&exchanged, Err(Unanswered { ended: Some(_), .. }))
        {
            pending.settle();
        }
        let answer = match exchanged {
            Ok(answer) => answer,
            Err(Unanswered { refusal, ended }) => {
                match ended {
                    Some(ended) => guard.ended(ended, Some(refusal.kind)),
                    None => {
                        guard.refund();
                        guard.refused(refusal.status().as_u16(), refusal.kind, CallEnd::Refused);
                    }
                }
                return refusal.response().map(AnswerBody::own);
            }
        };
        if answer.response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.go_over(&target, answer, handover, guard).await;
        }
        let Answer { response, lease } = answer;
        let (mut head, body) = response.into_parts();
        let now = Instant::now();
        if let Some(cache) = &cache
            && let Some(reply) = cache.confirmed(head.status, &head.headers, now)
        {
            if body.is_end_stream() {
                lease.finished();
            }
            return kept(reply, CacheUse::Revalidated, is_our_origin, guard);
        }
        let filling = cache.and_then(|it| it.answered(head.status, &mut head.headers, now));
        guard.tap(self.units.reader(
            &target.slug,
            text_of(&head.headers, CONTENT_TYPE.as_str()),
            text_of(&head.headers, CONTENT_ENCODING.as_str()),
        ));
        headers::for_client(&mut head.headers, is_our_origin);
        let drains = match target.settings.on_cancel {
            OnCancel::Drain => Some(self.drains.clone()),
            OnCancel::Cut => None,
        };
        let body = AnswerBody::passing(body, guard, lease, drains, filling);
        let mut answer = Response::new(body);
        *answer.status_mut() = head.status;
        *answer.headers_mut() = head.headers;
        answer
    }

    /// Sends the request, again where that is safe, until there is an answer to pass on.
    async fn exchange(&self, call: Passage, guard: &mut CallGuard) -> Result<Answer, Unanswered> {
        let target = &call.target;
        let credential = self.credential(target).await?;
        let meter = guard.meter().clone();
        let signer = credential.as_ref().and_then(|it| it.signer.clone());
        let sent_hash = sent_hash(&call.parts.headers);
        let (timeout, is_tls) = (target.settings.timeout, target.base.scheme() == "https");
        let unsent = self
            .signing
            .read(call.body, sent_hash, signer, is_tls, timeout)
            .await?;
        let signed_body = match &unsent {
            Unsent::Read(body) => Some(body.bytes.clone()),
            Unsent::Passing(_) => None,
        };
        let mut body = Sending::of(unsent, &call.parts, target, &meter).await?;
        let (path, base) = (&call.path, &target.base);
        let outgoing = Outgoing::new(call.parts, path, base, credential.as_ref(), signed_body)?;
        target.retries.deposit();
        let (mut attempts, mut is_fresh) = (0, false);
        loop {
            let attempt = self.attempt(target, &outgoing, body.take(), is_fresh, guard);
            let failed = match attempt.await {
                Ok(answer) => {
                    attempts += 1;
                    let wait = self.judge(target, &answer, credential.as_ref());
                    let Some(wait) = wait else {
                        return Ok(answer);
                    };
                    if !(body.can_repeat() && self.may_repeat(target, attempts)) {
                        return Ok(answer);
                    }
                    // Its body is thrown away with its connection.
                    drop(answer);
                    tokio::time::sleep(wait).await;
                    continue;
                }
                Err(failed) => failed,
            };
            match failed {
                // A connection that waited was closed: no vendor saw the request.
                Failed::Unsent(unsent) if !is_fresh => {
                    is_fresh = true;
                    body.put_back(unsent);
                }
                Failed::Unsent(_) => {
                    let detail = "the connection closed before the request was sent".to_owned();
                    return Err(Refusal::vendor_failed("connect", detail).into());
                }
                Failed::Connect { failure, unsent } => {
                    let fails = Shown::Fails { retry_after: None };
                    target.breaker.note(fails, Instant::now());
                    let may = is_worth_another_try(&failure) && !is_fresh;
                    if !(may && target.retries.withdraw(Instant::now())) {
                        return Err(not_connected(&failure).into());
                    }
                    is_fresh = true;
                    body.put_back(unsent);
                }
                Failed::Sent(unanswered) => {
                    attempts += 1;
                    if matches!(
                        unanswered.ended,
                        Some(CallEnd::Truncated | CallEnd::Timeout)
                    ) {
                        let fails = Shown::Fails { retry_after: None };
                        target.breaker.note(fails, Instant::now());
                    }
                    let is_broken = unanswered.ended == Some(CallEnd::Truncated);
                    if !(is_broken && body.can_repeat() && self.may_repeat(target, attempts)) {
                        return Err(unanswered);
                    }
                    tokio::time::sleep(retries::pause(None, attempts).unwrap_or_default()).await;
                }
            }
        }
    }

    /// One attempt on one connection.
    async fn attempt(
        &self,
        target: &Target,
        outgoing: &Outgoing,
        body: RequestBody,
        is_fresh: bool,
        guard: &mut CallGuard,
    ) -> Result<Answer, Failed> {
        let timeout = target.settings.timeout;
        let dialing = Dialing {
            net: &self.net,
            permission: &target.permission,
            url: &target.base,
            identity: outgoing.identity.as_ref(),
            versions: versions(target.settings.http, outgoing.upgrade.is_some()),
            deadline: Instant::now() + timeout.min(CONNECT_WITHIN),
        };
        let mut lease = match target.pool.lease(dialing, is_fresh).await {
            Ok(lease) => lease,
            Err(failure) => {
                return Err(Failed::Connect {
                    failure: Box::new(failure),
                    unsent: body,
                });
            }
        };
        guard.phases(lease.phases);
        let request = outgoing
            .request(lease.is_http2(), body)
            .map_err(|refusal| Failed::Sent(refusal.into()))?;
        let sent = Instant::now();
        let meter = guard.meter().clone();
        let answered = until_silent(lease.send(request), &meter, sent, timeout).await;
        match answered {
            Some(Ok(response)) => {
                guard.attempted();
                guard.answered(response.status().as_u16(), sent);
                Ok(Answer { response, lease })
            }
            Some(Err(SendFailure {
                unsent: Some(unsent),
                ..
            })) => Err(Failed::Unsent(unsent)),
            Some(Err(SendFailure { error, .. })) => {
                guard.attempted();
                Err(Failed::Sent(broken(&error, lease.is_reused())))
            }
            None => {
                guard.attempted();
                let detail = format!(
                    "nothing moved for {} ms, which is `gateway.timeout` of the service",
                    timeout.as_millis()
                );
                Err(Failed::Sent(Unanswered {
                    refusal: Refusal::vendor_timeout(detail),
                    ended: Some(CallEnd::Timeout),
                }))
            }
        }
    }

    async fn credential(&self, target: &Target) -> Result<Option<AppliedCredential>, Refusal> {
        let Some(name) = &target.settings.credential else {
            return Ok(None);
        };
        let deadline = Instant::now() + target.settings.timeout.min(CONNECT_WITHIN);
        self.host
            .credential_apply(&target.service, name, &target.base, deadline)
            .await
            .map(Some)
            .map_err(|failure| Refusal::vendor_failed("credential", failure.to_string()))
    }

    /// Notes what an answer shows of the vendor and of the credential. Returns how long to wait if
    /// the call is worth another attempt.
    fn judge(
        &self,
        target: &Arc<Target>,
        answer: &Answer,
        credential: Option<&AppliedCredential>,
    ) -> Option<Duration> {
        let status = answer.response.status();
        let retry_after = retries::retry_after(answer.response.headers(), now_ms());
        let shown = if status.is_server_error() {
            Shown::Fails { retry_after }
        } else {
            Shown::Works
        };
        target.breaker.note(shown, Instant::now());
        if let Some(refused) = credential.and_then(|it| it.refused(status.as_u16())) {
            self.renew(target, refused);
        }
        retries::is_passing(status.as_u16())
            .then(|| retries::pause(retry_after, 1))
            .flatten()
    }

    /// Asks for another token beside the calls; those that come next have it.
    fn renew(&self, target: &Arc<Target>, refused: RefusedToken) {
        // One look at a time: the credential has a pace of its own.
        let Ok(turn) = target.renewing.clone().try_acquire_owned() else {
            return;
        };
        let (host, target) = (self.host.clone(), target.clone());
        self.tasks.spawn(async move {
            let _turn = turn;
            let Some(name) = &target.settings.credential else {
                return;
            };
            let deadline = Instant::now() + RENEW_WITHIN;
            let renewed = host.credential_renew(&target.service, name, &refused, deadline);
            if let Err(error) = renewed.await {
                tracing::warn!(service = &*target.slug, credential = name, %error, "no new token");
            }
        });
    }

    fn may_repeat(&self, target: &Target, attempts: u32) -> bool {
        attempts <= target.settings.retries && target.retries.withdraw(Instant::now())
    }

    /// Hands the vendor's side of an upgraded connection to that of the client.
    async fn go_over(
        &self,
        target: &Target,
        answer: Answer,
        handover: Option<Handover>,
        mut guard: CallGuard,
    ) -> Response<AnswerBody> {
        let mut response = answer.response;
        let protocol = response.headers().get(UPGRADE).cloned();
        let upgraded = hyper::upgrade::on(&mut response);
        let upgraded = tokio::time::timeout(target.settings.timeout, upgraded).await;
        let (Ok(Ok(vendor)), Some(handover), Some(protocol)) = (upgraded, handover, protocol)
        else {
            guard.ended(CallEnd::Truncated, Some("upgrade"));
            let detail =
                "the service went over to another protocol, and the connection did not follow"
                    .to_owned();
            return Refusal::vendor_failed("upgrade", detail)
                .response()
                .map(AnswerBody::own);
        };
        handover.give(Tunnel::new(
            vendor,
            guard,
            target.gone.clone(),
            self.stop.clone(),
        ));
        let (mut head, _) = response.into_parts();
        headers::for_client(&mut head.headers, false);
        head.headers
            .insert(CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(UPGRADE, protocol);
        let mut answer = Response::new(AnswerBody::own(Bytes::new()));
        *answer.status_mut() = head.status;
        *answer.headers_mut() = head.headers;
        answer
    }
}

/// An answer that was kept, as it goes to the client.
pub(super) fn kept(
    reply: Reply,
    usage: CacheUse,
    is_our_origin: bool,
    mut guard: CallGuard,
) -> Response<AnswerBody> {
    guard.kept(usage, reply.status, reply.body.len());
    let mut answer = Response::new(AnswerBody::own(reply.body));
    *answer.status_mut() = reply.status;
    *answer.headers_mut() = reply.headers;
    headers::for_client(answer.headers_mut(), is_our_origin);
    answer
}

/// Why an attempt has no answer.
enum Failed {
    Connect {
        failure: Box<NetFailure>,
        unsent: RequestBody,
    },
    /// The connection was closed, and nothing of the request went out.
    Unsent(RequestBody),
    /// Some of it may have.
    Sent(Unanswered),
}

/// The body for the next attempt.
struct Sending {
    next: Option<RequestBody>,
    /// All of it, where it can be sent again.
    whole: Option<Bytes>,
    meter: Arc<Meter>,
    _signed: Option<SignedBody>,
}

impl Sending {
    /// Reads a small body before it is sent, if the call may be repeated.
    async fn of(
        unsent: Unsent,
        parts: &Parts,
        target: &Target,
        meter: &Arc<Meter>,
    ) -> Result<Self, Refusal> {
        let repeats =
            target.settings.retries > 0 && retries::is_repeatable(&parts.method, &parts.headers);
        let meter = meter.clone();
        let body = match unsent {
            Unsent::Passing(body) => body,
            Unsent::Read(signed) => {
                meter.sent(signed.bytes.len());
                return Ok(Self {
                    next: Some(RequestBody::whole(signed.bytes.clone(), meter.clone())),
                    whole: repeats.then(|| signed.bytes.clone()),
                    meter,
                    _signed: Some(signed),
                });
            }
        };
        let is_small = body
            .size_hint()
            .upper()
            .is_some_and(|most| most <= retries::MAX_BODY_BYTES);
        if !(body.is_end_stream() || (is_small && repeats)) {
            let next = Some(RequestBody::passing(body, meter.clone()));
            return Ok(Self {
                next,
                whole: None,
                meter,
                _signed: None,
            });
        }
        // No more than a passing body may stand still.
        let Ok(read) = tokio::time::timeout(target.settings.timeout, body.collect()).await else {
            return Err(Refusal::request_wrong("the body did not arrive in time").kind("client"));
        };
        let read = read.map_err(|_| Refusal::request_wrong("the body broke off").kind("client"))?;
        let bytes = read.to_bytes();
        meter.sent(bytes.len());
        Ok(Self {
            next: Some(RequestBody::whole(bytes.clone(), meter.clone())),
            whole: repeats.then_some(bytes),
            meter,
            _signed: None,
        })
    }

    fn take(&mut self) -> RequestBody {
        let whole =
            || RequestBody::whole(self.whole.clone().unwrap_or_default(), self.meter.clone());
        self.next.take().unwrap_or_else(whole)
    }

    fn put_back(&mut self, unsent: RequestBody) {
        self.next = Some(unsent);
    }

    fn can_repeat(&self) -> bool {
        self.whole.is_some()
    }
}

/// Waits for something for as long as the client goes on sending, and `timeout` after that.
async fn until_silent<T>(
    work: impl Future<Output = T>,
    meter: &Meter,
    sent: Instant,
    timeout: Duration,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        let deadline = meter.moved().max(sent) + timeout;
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            () = tokio::time::sleep_until(deadline) => {
                if meter.moved().max(sent) + timeout <= Instant::now() {
                    return None;
                }
            }
        }
    }
}

/// Versions for a call; another protocol is gone over to from HTTP/1.1.
fn versions(http: VendorHttp, is_upgrade: bool) -> HttpVersions {
    match http {
        _ if is_upgrade => HttpVersions::Http1,
        VendorHttp::Http1 => HttpVersions::Http1,
        VendorHttp::Http2 => HttpVersions::Http2,
        VendorHttp::Negotiated => HttpVersions::Both,
    }
}

fn is_worth_another_try(failure: &NetFailure) -> bool {
    matches!(failure.error.kind(), ErrorKind::Connect)
}

fn not_connected(failure: &NetFailure) -> Refusal {
    let text = failure.error.to_string();
    match failure.error.kind() {
        ErrorKind::Timeout => Refusal::vendor_timeout(text).kind("connect"),
        ErrorKind::Dns => Refusal::vendor_failed("dns", text),
        ErrorKind::Tls => Refusal::vendor_failed("tls", text),
        ErrorKind::Denied => Refusal::vendor_failed("denied", text),
        _ => Refusal::vendor_failed("connect", text),
    }
}

/// A request that may have been sent, and has no answer.
fn broken(error: &hyper::Error, is_reused: bool) -> Unanswered {
    if error.is_user() {
        let detail = "the client's body broke off";
        return Unanswered {
            refusal: Refusal::request_wrong(detail).kind("client"),
            ended: Some(CallEnd::Cancelled),
        };
    }
    let how = if is_reused {
        " that was open before"
    } else {
        ""
    };
    let detail = format!("the service closed the connection{how} without an answer: {error}");
    Unanswered {
        refusal: Refusal::vendor_failed("protocol", detail),
        ended: Some(CallEnd::Truncated),
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
