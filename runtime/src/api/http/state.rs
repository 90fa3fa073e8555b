//! State that every handler gets.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::bodies::Bodies;
use super::deps::ApiDeps;
use super::error::{ApiError, ApiResult};
use super::login_rate_limit::LoginRateLimit;
use super::running_queries::RunningQueries;
use super::token_uses::TokenUses;
use super::webhook_rate_limit::WebhookRateLimit;
use crate::api::dashboard::Live;
use crate::api::dashboard::status::StatusPages;
use crate::domain::TrustedProxies;

/// Reports of calls that are looked at, or wait to be stored, at the same time: a quarter of a GiB at the very
/// most.
const CALL_REPORTS: usize = 8;

#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Address of the dashboard for people. With `https`, cookies are marked secure.
    pub public_url: Option<Url>,
    /// Requests in progress at the same time; beyond it callers get 503.
    pub max_in_flight: usize,
    /// Dashboards that are live at the same time.
    pub max_live: usize,
    /// Requests whose bodies arrive slowly, at the same time.
    pub max_slow_bodies: usize,
    /// Proxies whose forwarded address of a client is believed.
    pub trusted_proxies: TrustedProxies,
}

impl ApiSettings {
    /// Returns settings for a number of connections: together, what may keep them busy is less than
    /// all, so that there is always one for health.
    pub fn for_connections(connections: usize) -> Self {
        let default = Self::default();
        Self {
            max_in_flight: default.max_in_flight.min(connections / 2).max(1),
            max_live: default.max_live.min(connections / 8).max(1),
            max_slow_bodies: default.max_slow_bodies.min(connections / 4).max(1),
            ..default
        }
    }
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            public_url: None,
            max_in_flight: 256,
            max_live: 256,
            max_slow_bodies: 128,
            trusted_proxies: TrustedProxies::default(),
        }
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

pub struct Inner {
    pub(crate) settings: ApiSettings,
    pub(crate) deps: ApiDeps,
    pub(crate) live: Live,
    /// Failed sign-ins.
    pub(crate) logins: LoginRateLimit,
    /// Tokens in headers that were wrong.
    pub(crate) guesses: LoginRateLimit,
    pub(crate) bodies: Bodies,
    pub(crate) token_uses: TokenUses,
    /// Work that goes on after the head of its answer.
    pub(crate) work: TaskTracker,
    pub(crate) webhook_rate_limit: WebhookRateLimit,
    /// Throttle of the pings of jobs.
    pub(crate) ping_rate_limit: WebhookRateLimit,
    /// Throttle of visits to what needs no token.
    pub(crate) visit_rate_limit: WebhookRateLimit,
    pub(crate) status_pages: StatusPages,
    /// Held while the policy of a plugin is changed.
    pub(crate) policies: tokio::sync::Mutex<()>,
    pub(crate) queries: RunningQueries,
    /// Held while a rule's other options are played over the history.
    pub(crate) advice: Semaphore,
    pub(crate) in_flight: Arc<Semaphore>,
    /// Deliveries of webhooks among them.
    pub(crate) deliveries: Semaphore,
    /// Reports of calls among them.
    pub(crate) call_reports: Semaphore,
    pub(crate) live_connections: Arc<Semaphore>,
    /// Stop signal that ends live connections, which would else keep the server from closing.
    pub(crate) shutdown: CancellationToken,
}

impl ApiState {
    pub fn new(
        settings: ApiSettings,
        deps: ApiDeps,
        live: Live,
        shutdown: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            in_flight: Arc::new(Semaphore::new(settings.max_in_flight)),
            live_connections: Arc::new(Semaphore::new(settings.max_live)),
            deliveries: Semaphore::new((settings.max_in_flight / 4).max(1)),
            call_reports: Semaphore::new(CALL_REPORTS),
            logins: LoginRateLimit::default(),
            guesses: LoginRateLimit::default(),
            bodies: Bodies::new(settings.max_slow_bodies),
            token_uses: TokenUses::default(),
            work: TaskTracker::new(),
            webhook_rate_limit: WebhookRateLimit::default(),
            ping_rate_limit: WebhookRateLimit::default(),
            visit_rate_limit: WebhookRateLimit::of_visits(),
            status_pages: StatusPages::new((settings.max_in_flight / 4).max(1)),
            policies: tokio::sync::Mutex::default(),
            queries: RunningQueries::default(),
            advice: Semaphore::new(1),
            settings,
            deps,
            live,
            shutdown,
        }))
    }

    /// Runs until the shutdown: stores when tokens were last used, and at the end waits for work
    /// that outlives its handler.
    pub async fn run(self) {
        self.token_uses
            .run(&self.deps.control, &self.shutdown)
            .await;
        self.work.close();
        self.work.wait().await;
    }

    /// Does work to its end, though the client may leave: what is stored is published, too.
    pub(crate) async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = ApiResult<T>> + Send + 'static,
    ) -> ApiResult<T> {
        let done = self.work.spawn(work).await;
        done.map_err(|error| ApiError::internal(error.into()))?
    }

    pub(crate) fn is_https(&self) -> bool {
        self.settings
            .public_url
            .as_ref()
            .is_some_and(|url| url.scheme() == "https")
    }
}

impl std::ops::Deref for ApiState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
