//! What every handler is given.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::auth::Throttle;
use super::dashboard::Live;
use super::parts::Parts;
use super::webhooks::Flood;

#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Where people reach the dashboard. With `https`, cookies are marked secure.
    pub public_url: Option<Url>,
    /// Requests being worked on at the same time; beyond it callers are told to come again.
    pub max_in_flight: usize,
    /// Dashboards that are live at the same time.
    pub max_live: usize,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self { public_url: None, max_in_flight: 256, max_live: 64 }
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

pub struct Inner {
    pub(super) settings: ApiSettings,
    pub(super) parts: Parts,
    pub(super) live: Live,
    pub(super) logins: Throttle,
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
    pub fn new(settings: ApiSettings, parts: Parts, live: Live, shutdown: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            in_flight: Arc::new(Semaphore::new(settings.max_in_flight)),
            live_connections: Arc::new(Semaphore::new(settings.max_live)),
            deliveries: Semaphore::new((settings.max_in_flight / 4).max(1)),
            logins: Throttle::default(),
            flood: Flood::default(),
            policies: tokio::sync::Mutex::default(),
            settings,
            parts,
            live,
            shutdown,
        }))
    }

    pub(super) fn is_https(&self) -> bool {
        self.settings.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
    }
}

impl std::ops::Deref for ApiState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
