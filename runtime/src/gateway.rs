//! The gateway: calls of consumers to the services, with the services' credentials, within quotas,
//! each with a record. Bodies pass frame by frame. Knows the services by the catalog, and nothing of
//! how calls are stored or priced: they leave by [`Calls`].

mod admission;
mod body;
mod breaker;
mod cache;
mod consumers;
mod forward;
mod headers;
mod outgoing;
mod path;
mod pool;
mod ports;
mod record;
mod refusal;
mod retries;
mod signing;
mod target;
mod tunnel;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::HOST;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use body::{AnswerBody, ClientBody};
pub use consumers::ConsumerBook;
pub use ports::{Calls, UnitTap, Units};
pub use tunnel::{Handover, Tunnel};

use admission::WindowUse;
use body::Drains;
use cache::{Asked, Forward, Question, Reply};
use consumers::SentToken;
use forward::{Passage, Vendors};
use record::CallGuard;
use refusal::Refusal;
use signing::SigningRoom;
use target::{Target, Targets};

use crate::domain::{
    CacheUse, Call, CallEnd, CallPath, CallPhases, CallSource, CallUnits, Catalog, Consumer,
    UnixMillis, now_ms,
};
use crate::net::Net;
use crate::plugin_host::PluginHost;
use crate::store::ControlError;
use crate::store::control::{ControlStore, QuotaUse};

/// Path below which services are called by their slugs.
const PREFIX: &str = "/gateway/";
/// Interval at which what was used of the quotas is stored: so much is lost when the program is
/// killed.
const STORE_EVERY: Duration = Duration::from_secs(1);

/// Parts that the gateway stands on.
pub struct GatewayParts {
    pub net: Net,
    pub host: PluginHost,
    pub consumers: ConsumerBook,
    pub calls: Arc<dyn Calls>,
    pub units: Arc<dyn Units>,
    /// Refuses what comes from then on, and ends tunnels.
    pub stop: CancellationToken,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    targets: ArcSwap<Targets>,
    consumers: ConsumerBook,
    calls: Arc<dyn Calls>,
    vendors: Vendors,
    call_ids: CallIds,
}

/// Where a request goes, if it is one for the gateway.
pub struct Route {
    /// None: no such service.
    target: Option<Arc<Target>>,
    slug: String,
    /// Path behind the service's base URL, as it was sent.
    path: String,
    is_by_host: bool,
}

/// Mark of an answer to a token that no consumer has: an extension.
#[derive(Debug, Clone, Copy)]
pub struct TokenUnknown;

impl Gateway {
    pub fn new(parts: GatewayParts) -> Self {
        let tasks = TaskTracker::new();
        Self(Arc::new(Inner {
            targets: ArcSwap::default(),
            consumers: parts.consumers,
            calls: parts.calls,
            vendors: Vendors {
                net: parts.net,
                host: parts.host,
                units: parts.units,
                drains: Drains::new(tasks.clone(), parts.stop.clone()),
                tasks,
                signing: SigningRoom::default(),
                stop: parts.stop,
            },
            call_ids: CallIds::new(now_ms()),
        }))
    }

    /// Returns the route of a request for the gateway; none: it is one for somebody else.
    pub fn route<B>(&self, request: &Request<B>) -> Option<Route> {
        let path = request.uri().path();
        let targets = self.0.targets.load();
        let host = request
            .uri()
            .authority()
            .map(|authority| authority.as_str())
            .or_else(|| request.headers().get(HOST)?.to_str().ok());
        if let Some(target) = host.and_then(|host| targets.by_host(host)) {
            return Some(Route {
                target: Some(target.clone()),
                slug: target.slug.to_string(),
                path: path.to_owned(),
                is_by_host: true,
            });
        }
        let rest = path.strip_prefix(PREFIX)?;
        let (slug, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        Some(Route {
            target: targets.by_slug(slug).cloned(),
            slug: slug.to_owned(),
            path: path.to_owned(),
            is_by_host: false,
        })
    }

    /// Answers a request with the vendor's answer, or refuses it.
    pub async fn serve(&self, route: Route, request: Request<ClientBody>) -> Response<AnswerBody> {
        let started = Instant::now();
        let (mut parts, body) = request.into_parts();
        let own = |refusal: Refusal| refusal.response().map(AnswerBody::own);
        let (target, consumer) = match self.identify(&route, &mut parts) {
            Ok(found) => found,
            Err(Unidentified { refusal, is_guess }) => {
                let mut response = own(refusal);
                if is_guess {
                    response.extensions_mut().insert(TokenUnknown);
                }
                return response;
            }
        };
        let call = self.record(&route, &target, &consumer, &parts);
        let mut guard = CallGuard::new(call, self.0.calls.clone(), started);
        let is_our_origin = !route.is_by_host;
        let has_body = !body.is_end_stream();
        let caller = (&*target, &*consumer);
        let cache = match self.let_in(&route, caller, &parts, has_body, &mut guard) {
            Ok(Admission::Kept(reply)) => {
                return forward::kept(reply, CacheUse::Hit, is_our_origin, guard);
            }
            Ok(Admission::Vendor(cache)) => cache,
            Err(refusal) => {
                guard.refund();
                guard.refused(refusal.status().as_u16(), refusal.kind, CallEnd::Refused);
                return own(refusal);
            }
        };
        let passage = Passage {
            target,
            parts,
            body,
            path: route.path,
            is_our_origin,
            cache,
        };
        self.0.vendors.pass(passage, guard).await
    }

    /// Judges a call, and takes its place before the vendor if no kept answer is there for it.
    fn let_in(
        &self,
        route: &Route,
        (target, consumer): (&Target, &Consumer),
        parts: &Parts,
        has_body: bool,
        guard: &mut CallGuard,
    ) -> Result<Admission, Refusal> {
        let segments = self.judge(route, target, consumer, parts)?;
        let question = Question {
            parts,
            path: &route.path,
            segments: &segments,
            consumer,
            has_body,
        };
        let cache = target.cache.as_ref();
        let asked = cache.and_then(|cache| cache.ask(&question, Instant::now()));
        let denied = |denied| Refusal::denied(denied, &consumer.name, &target.slug);
        let (admission, settings) = (&target.admission, &target.settings);
        let forward = match asked {
            Some(Asked::Hit(reply)) => {
                let taken = admission.admit_kept(settings, consumer, now_ms());
                guard.admit(taken.map_err(denied)?);
                return Ok(Admission::Kept(reply));
            }
            Some(Asked::Nothing) => {
                guard.cache(CacheUse::Miss);
                return Err(Refusal::not_kept());
            }
            Some(Asked::Forward(forward)) => Some(forward),
            None => None,
        };
        let taken = admission.admit(settings, consumer, now_ms());
        guard.admit(taken.map_err(denied)?);
        let pass = target.breaker.pass(Instant::now());
        pass.map_err(|wait| Refusal::breaker_open(&target.slug, wait))?;
        Ok(Admission::Vendor(forward))
    }

    /// Finds the service and the consumer, whose token is taken out.
    fn identify(
        &self,
        route: &Route,
        parts: &mut Parts,
    ) -> Result<(Arc<Target>, Arc<Consumer>), Unidentified> {
        headers::framing_check(parts).map_err(Refusal::ambiguous_framing)?;
        let Some(target) = &route.target else {
            return Err(Refusal::unknown_service(&route.slug).into());
        };
        let key_header = target.key_header();
        let sent = SentToken::of(&parts.headers, key_header.as_ref())
            .ok_or_else(Refusal::token_missing)?;
        let Some(consumer) = self.0.consumers.find(&sent.token) else {
            return Err(Unidentified {
                refusal: Refusal::token_unknown(),
                is_guess: true,
            });
        };
        sent.strip(&mut parts.headers);
        Ok((target.clone(), consumer))
    }

    /// Judges a call before anything is sent. Returns the segments of its path.
    fn judge(
        &self,
        route: &Route,
        target: &Target,
        consumer: &Consumer,
        parts: &Parts,
    ) -> Result<Vec<String>, Refusal> {
        if self.0.vendors.stop.is_cancelled() {
            return Err(Refusal::stopping());
        }
        if !consumer.may_call(&target.slug) {
            return Err(Refusal::service_denied(&consumer.name, &target.slug));
        }
        let settings = &target.settings;
        let method = parts.method.as_str();
        if !settings.methods.iter().any(|allowed| allowed == method) {
            return Err(Refusal::method_denied(method, &settings.methods));
        }
        if parts
            .uri
            .path_and_query()
            .is_some_and(|text| text.as_str().len() > path::MAX_PATH_BYTES)
        {
            return Err(Refusal::path_ambiguous("is too long"));
        }
        let segments = path::segments(&route.path)
            .map_err(|path::AmbiguousPath(why)| Refusal::path_ambiguous(why))?;
        if !target.paths.allow(&segments) {
            return Err(Refusal::path_denied());
        }
        Ok(segments)
    }

    fn record(&self, route: &Route, target: &Target, consumer: &Consumer, parts: &Parts) -> Call {
        Call {
            id: self.0.call_ids.next(),
            ts_ms: now_ms(),
            service: target.slug.clone(),
            consumer: Some(consumer.name.clone()),
            credential: target.settings.credential.as_deref().map(Arc::from),
            method: parts.method.as_str().chars().take(32).collect(),
            path: CallPath::Path(route.path.clone()),
            status: None,
            latency: None,
            phases: CallPhases::default(),
            bytes_in: 0,
            bytes_out: 0,
            units: CallUnits::default(),
            tags: std::collections::BTreeMap::new(),
            attempts: 0,
            cache: CacheUse::None,
            source: CallSource::Gateway,
            error_kind: None,
            ended: CallEnd::Cancelled,
        }
    }

    /// Takes what the probes find of a service.
    pub fn probed(&self, service: &str, is_down: bool) {
        if let Some(target) = self.0.targets.load().by_slug(service) {
            target.breaker.probed(is_down, Instant::now());
        }
    }
}

/// A call that may go on.
enum Admission {
    /// Answered without the vendor.
    Kept(Reply),
    /// To the vendor.
    Vendor(Option<Box<Forward>>),
}

/// A request of which it is not known whose it is.
struct Unidentified {
    refusal: Refusal,
    /// It had a token that no consumer has.
    is_guess: bool,
}

impl From<Refusal> for Unidentified {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            is_guess: false,
        }
    }
}

/// Long-running work.
impl Gateway {
    /// Reads the consumers and what they used before this start, and takes the catalog.
    pub async fn prepare(
        &self,
        control: &ControlStore,
        catalog: &Catalog,
    ) -> Result<(), ControlError> {
        self.0.consumers.load().await?;
        let mut targets = Targets::default();
        for usage in control.quota_use_all().await? {
            targets.admission(&usage.service).restore(&[WindowUse {
                consumer_id: usage.consumer_id,
                window: usage.window,
                start_ms: usage.start_ms,
                calls: usage.calls,
            }]);
        }
        let targets = targets.follow(catalog, &self.0.vendors.tasks);
        self.0.targets.store(Arc::new(targets));
        Ok(())
    }

    /// Follows the catalog and stores what is used, until it is stopped; what was used last is
    /// stored after that.
    pub async fn run(
        self,
        control: ControlStore,
        mut catalog: watch::Receiver<Arc<Catalog>>,
        stop: CancellationToken,
    ) {
        let mut tick = tokio::time::interval(STORE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                changed = catalog.changed() => match changed {
                    Ok(()) => {
                        let next = catalog.borrow_and_update().clone();
                        self.follow(&next);
                    }
                    Err(_) => break,
                },
                _ = tick.tick() => {
                    self.store_use(&control).await;
                    self.0.targets.load().all().for_each(|target| target.pool.sweep());
                }
            }
        }
        self.store_use(&control).await;
    }

    fn follow(&self, catalog: &Catalog) {
        let targets = self.0.targets.load();
        let next = targets.follow(catalog, &self.0.vendors.tasks);
        self.0.targets.store(Arc::new(next));
    }

    async fn store_use(&self, control: &ControlStore) {
        let now_ms = now_ms();
        let targets = self.0.targets.load_full();
        let mut taken = Vec::new();
        for (slug, admission) in targets.admissions() {
            let uses = admission.take_new(now_ms);
            if !uses.is_empty() {
                taken.push((slug, admission, uses));
            }
        }
        if taken.is_empty() {
            return;
        }
        let uses: Vec<QuotaUse> = taken
            .iter()
            .flat_map(|(slug, _, uses)| uses.iter().map(|usage| stored(slug, usage)))
            .collect();
        if let Err(error) = control.quota_use_store(&uses, now_ms).await {
            tracing::warn!(%error, "what was used of the gateway's quotas can't be stored");
            for (_, admission, uses) in taken {
                admission.put_back(&uses);
            }
        }
    }
}

fn stored(service: &str, usage: &WindowUse) -> QuotaUse {
    QuotaUse {
        service: service.to_owned(),
        consumer_id: usage.consumer_id,
        window: usage.window,
        start_ms: usage.start_ms,
        calls: usage.calls,
    }
}

/// Ids of calls: unique over starts.
struct CallIds {
    start_ms: UnixMillis,
    next: AtomicU64,
}

impl CallIds {
    fn new(start_ms: UnixMillis) -> Self {
        Self {
            start_ms,
            next: AtomicU64::new(1),
        }
    }

    fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{:x}-{number:x}", self.start_ms)
    }
}

/// Makes a client's body of any other.
pub fn client_body<B>(body: B) -> ClientBody
where
    B: hyper::body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    body.map_err(Into::into).boxed_unsync()
}
