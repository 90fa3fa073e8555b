//! Services that consumers may call, as they are now. One that did not change keeps its connections,
//! its tunnels and what it knows of the vendor; one that did keeps its counters.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderName;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::admission::Admission;
use super::breaker::Breaker;
use super::cache::Cache;
use super::path::PathPatterns;
use super::pool::Pool;
use super::retries::RetryBudget;
use crate::domain::{Catalog, CredentialKind, GatewaySettings, PrivateReach, Service};
use crate::net::{HostRule, Permission};

/// One service that is open to consumers.
pub(super) struct Target {
    pub(super) slug: Arc<str>,
    pub(super) service: Arc<Service>,
    pub(super) settings: GatewaySettings,
    pub(super) base: Url,
    pub(super) paths: PathPatterns,
    pub(super) permission: Permission,
    pub(super) admission: Arc<Admission>,
    pub(super) breaker: Breaker,
    pub(super) retries: RetryBudget,
    pub(super) pool: Arc<Pool>,
    pub(super) cache: Option<Arc<Cache>>,
    /// Turn of the one renewal at a time of a token that the vendor refused.
    pub(super) renewing: Arc<Semaphore>,
    /// Cancelled when the service went, or is another one by now.
    pub(super) gone: CancellationToken,
    fingerprint: [u8; 32],
}

impl Target {
    fn new(service: &Arc<Service>, admission: Arc<Admission>, tasks: &TaskTracker) -> Option<Self> {
        let settings = service.gateway.clone()?;
        let base = Url::parse(&service.base_url).ok()?;
        let permission = Permission {
            hosts: HostRule::of_url(&base).into_iter().collect(),
            public_hosts: Vec::new(),
            allow_private: service.private.clone(),
            private_remedy: Permission::OPEN_IN_FILES,
            subject: format!("the gateway of service `{}`", service.slug),
            setting: "`baseUrl` of the service".to_owned(),
        };
        Some(Self {
            slug: service.slug.as_str().into(),
            paths: PathPatterns::new(&settings.paths),
            fingerprint: fingerprint(service),
            service: service.clone(),
            cache: settings.cache.as_ref().map(|it| Arc::new(Cache::new(it))),
            settings,
            base,
            permission,
            admission,
            breaker: Breaker::default(),
            retries: RetryBudget::new(Instant::now()),
            pool: Arc::new(Pool::new(tasks.clone())),
            renewing: Arc::new(Semaphore::new(1)),
            gone: CancellationToken::new(),
        })
    }

    /// Header in which the vendor's own library puts its key, where a consumer's token may stand.
    pub(super) fn key_header(&self) -> Option<HeaderName> {
        let name = self.settings.credential.as_deref()?;
        let mut credentials = self.service.credentials.iter();
        let credential = credentials.find(|credential| credential.name == name)?;
        match &credential.kind {
            CredentialKind::Header { header, .. } => header.parse().ok(),
            CredentialKind::Hmac(signing) => signing.key_header.as_ref()?.parse().ok(),
            _ => None,
        }
    }
}

/// Changes with everything that a call depends on, and with nothing else.
fn fingerprint(service: &Service) -> [u8; 32] {
    let reach = match service.private {
        PrivateReach::Closed => 0,
        PrivateReach::Open => 1,
        PrivateReach::AsFirstSeen(_) => 2,
    };
    let name = service
        .gateway
        .as_ref()
        .and_then(|gateway| gateway.credential.as_deref());
    let credential = service
        .credentials
        .iter()
        .find(|credential| Some(credential.name.as_str()) == name);
    let parts = json!([service.base_url, reach, service.gateway, credential]);
    Sha256::digest(parts.to_string()).into()
}

/// All targets, by the names they are reached under.
#[derive(Default)]
pub(super) struct Targets {
    by_slug: HashMap<String, Arc<Target>>,
    by_host: HashMap<String, Arc<Target>>,
    /// Counters by slug, those of services that went too: they may come back.
    admissions: HashMap<String, Arc<Admission>>,
}

impl Targets {
    /// Returns the targets of a catalog. Those before that are no longer among them end.
    pub(super) fn follow(&self, catalog: &Catalog, tasks: &TaskTracker) -> Self {
        let mut next = Self {
            admissions: self.admissions.clone(),
            ..Self::default()
        };
        for (slug, service) in &catalog.services {
            if service.gateway.is_none() {
                continue;
            }
            let target = match self.by_slug.get(slug) {
                Some(same) if same.fingerprint == fingerprint(service) => same.clone(),
                _ => {
                    let admission = next.admissions.entry(slug.clone()).or_default();
                    let Some(target) = Target::new(service, admission.clone(), tasks) else {
                        continue;
                    };
                    Arc::new(target)
                }
            };
            if let Some(host) = &target.settings.host
                && let Some(other) = next.by_host.insert(host.clone(), target.clone())
            {
                tracing::warn!(
                    host,
                    service = slug,
                    other = &*other.slug,
                    "two services have the same `gateway.host`; the last one counts"
                );
            }
            next.by_slug.insert(slug.clone(), target);
        }
        for (slug, target) in &self.by_slug {
            let is_kept = next
                .by_slug
                .get(slug)
                .is_some_and(|kept| Arc::ptr_eq(kept, target));
            if !is_kept {
                target.gone.cancel();
            }
        }
        next
    }

    /// Counters of a service, for what it used before a start.
    pub(super) fn admission(&mut self, slug: &str) -> &Arc<Admission> {
        self.admissions.entry(slug.to_owned()).or_default()
    }

    pub(super) fn admissions(&self) -> impl Iterator<Item = (&String, &Arc<Admission>)> {
        self.admissions.iter()
    }

    pub(super) fn by_slug(&self, slug: &str) -> Option<&Arc<Target>> {
        self.by_slug.get(slug)
    }

    /// `host` as `Host` has it, with a port or without.
    pub(super) fn by_host(&self, host: &str) -> Option<&Arc<Target>> {
        if self.by_host.is_empty() {
            return None;
        }
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        self.by_host.get(&name.to_ascii_lowercase())
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.by_slug.values()
    }
}
