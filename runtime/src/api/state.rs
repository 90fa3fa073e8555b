//! What every handler is given.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::auth::{Throttle, TokenUses};
use super::bodies::Bodies;
use super::dashboard::Live;
use super::parts::Parts;
use super::webhooks::Flood;
use crate::domain::TrustedProxies;

#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Where people reach the dashboard. With `https`, cookies are marked secure.
    pub public_url: Option<Url>,
    /// Requests being worked on at the same time; beyond it callers are told to come again.
    pub max_in_flight: usize,
    /// Dashboards that are live at the same time.
    pub max_live: usize,
    /// Requests whose bodies arrive slowly, at the same time.
    pub max_slow_bodies: usize,
    /// Proxies whose word on a client's address is believed.
    pub trusted_proxies: TrustedProxies,
}

impl ApiSettings {
    /// For so many connections: together, what may keep them busy is less than all, so that there
    /// is always one for health.
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
            max_live: 64,
            max_slow_bodies: 128,
            trusted_proxies: TrustedProxies::default(),
        }
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

pub struct Inner {
    pub(super) settings: ApiSettings,
    pub(super) parts: Parts,
    pub(super) live: Live,
    /// Failed sign-ins.
    pub(super) logins: Throttle,
    /// Tokens in headers that were wrong.
    pub(super) guesses: Throttle,
    pub(super) bodies: Bodies,
    pub(super) token_uses: TokenUses,
    /// Work that goes on after the head of its answer.
    pub(super) work: TaskTracker,
    pub(super) flood: Flood,
    /// Held while the policy of a plugin is changed.
    pub(super) policies: tokio::sync::Mutex<()>,
    pub(super) in_flight: Arc<Semaphore>,
    /// Deliveries of webhooks among them.
    pub(super) deliveries: Semaphore,
    pub(super) live_connections: Arc<Semaphore>,
    /// Ends live connections, which would else keep the server from closing.
    pub(super) shutdown: CancellationToken,
}

impl ApiState {
    pub fn new(
        settings: ApiSettings,
        parts: Parts,
        live: Live,
        shutdown: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            in_flight: Arc::new(Semaphore::new(settings.max_in_flight)),
            live_connections: Arc::new(Semaphore::new(settings.max_live)),
            deliveries: Semaphore::new((settings.max_in_flight / 4).max(1)),
            logins: Throttle::default(),
            guesses: Throttle::default(),
            bodies: Bodies::new(settings.max_slow_bodies),
            token_uses: TokenUses::default(),
            work: TaskTracker::new(),
            flood: Flood::default(),
            policies: tokio::sync::Mutex::default(),
            settings,
            parts,
            live,
            shutdown,
        }))
    }

    /// Long-running: writes down when tokens were last used, and at the stop waits for work that
    /// outlives its handler.
    pub async fn run(self) {
        self.token_uses
            .run(&self.parts.control, &self.shutdown)
            .await;
        self.work.close();
        self.work.wait().await;
    }

    pub(super) fn is_https(&self) -> bool {
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
