//! One run of a probe as it is ordered and reported, so that it can run in this process or on
//! another machine.
//!
//! A serialised job carries the secrets of its service in clear, because the machine that runs it
//! has to use them: it belongs on an encrypted connection to a machine that is trusted with them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Observation, PluginRun, Probe, RateLimit, Service, UnixMillis, VendorClaim};

/// The identity of a probe: the same check from another location is another probe.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProbeKey {
    /// Slug.
    pub service: String,
    pub probe: String,
    pub location: String,
}

/// An order to run a probe once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckJob {
    pub run_id: i64,
    /// When the run is due.
    pub ts_ms: UnixMillis,
    /// Where the probe runs.
    pub location: String,
    /// Serialised without its other probes, its webhooks and its meters.
    #[serde(with = "service_of_a_job")]
    pub service: Arc<Service>,
    pub probe: Probe,
    /// The run before, for plugins that compare.
    pub previous: Option<Arc<Observation>>,
}

impl CheckJob {
    pub fn key(&self) -> ProbeKey {
        ProbeKey {
            service: self.service.slug.clone(),
            probe: self.probe.name.clone(),
            location: self.location.clone(),
        }
    }
}

/// The outcome of a job, with its accounting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckDone {
    observation: Observation,
    /// Beside the observation, whose own are not part of its JSON.
    rate_limits: Vec<RateLimit>,
    /// Account of the run; `None` where the plugin does not exist.
    pub run: Option<PluginRun>,
    /// Other runs had what this one needed: no evidence about the plugin.
    pub is_crowded_out: bool,
    /// All incidents that a vendor's page has open; `None` where no page was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claims: Option<Vec<VendorClaim>>,
}

impl CheckDone {
    pub fn new(mut observation: Observation, run: Option<PluginRun>, is_crowded_out: bool) -> Self {
        Self {
            rate_limits: std::mem::take(&mut observation.rate_limits),
            observation,
            run,
            is_crowded_out,
            claims: None,
        }
    }

    /// Adds what a vendor's page says.
    pub fn with_claims(self, claims: Option<Vec<VendorClaim>>) -> Self {
        Self { claims, ..self }
    }

    pub fn claims(&self) -> Option<&[VendorClaim]> {
        self.claims.as_deref()
    }

    /// The observation, without its rate limits.
    pub fn observation(&self) -> &Observation {
        &self.observation
    }

    /// Returns the observation with its rate limits.
    pub fn into_observation(self) -> Observation {
        Observation {
            rate_limits: self.rate_limits,
            ..self.observation
        }
    }
}

mod service_of_a_job {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Service;

    pub(super) fn serialize<S: Serializer>(
        service: &Arc<Service>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let service = Service {
            probes: Vec::new(),
            webhooks: Vec::new(),
            meters: Vec::new(),
            gateway: None,
            ..Service::clone(service)
        };
        service.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Service>, D::Error> {
        Service::deserialize(deserializer).map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;
    use crate::domain::{
        Credential, CredentialKind, LOCAL, Origin, PluginKind, PrivateReach, Retry, RunOutcome,
        Status, Webhook,
    };

    fn job() -> CheckJob {
        let probe = |name: &str| Probe {
            name: name.to_owned(),
            plugin: "http".to_owned(),
            settings: json!({"expectedStatus": 200, "token": "settings-secret"}),
            interval: Duration::from_secs(30),
            timeout: Duration::from_millis(1_500),
            retry: Some(Retry {
                times: 2,
                every: Duration::from_secs(5),
            }),
        };
        let private = PrivateReach::as_loaded();
        let PrivateReach::AsFirstSeen(seen) = &private else {
            unreachable!("it was just made so")
        };
        seen.note("inside.example", true);
        let service = Service {
            slug: "shop-api".to_owned(),
            name: "Shop API".to_owned(),
            kind: "REST".to_owned(),
            base_url: "https://shop.example".to_owned(),
            health_endpoint: Some("/health".to_owned()),
            tags: vec!["prod".to_owned()],
            labels: BTreeMap::from([("team".to_owned(), "shop".to_owned())]),
            depends_on: Vec::new(),
            owner: None,
            description: None,
            profile: Default::default(),
            slo: None,
            rate_limits: Default::default(),
            origin: Origin::Api,
            hosts: vec!["cdn.example:8443".to_owned()],
            private,
            credentials: vec![Credential {
                name: "default".to_owned(),
                kind: CredentialKind::Bearer {
                    token: "credential-secret".to_owned().into(),
                },
                hosts: Vec::new(),
                expiry: None,
            }],
            probes: vec![probe("http"), probe("other")],
            webhooks: vec![Webhook {
                name: "github".to_owned(),
                plugin: "github".to_owned(),
                settings: json!({"secret": "webhook-secret"}),
                unsigned: false,
            }],
            meters: Vec::new(),
            gateway: None,
        };
        CheckJob {
            run_id: 7 << 40,
            ts_ms: 1_000,
            location: "fra".to_owned(),
            service: Arc::new(service),
            probe: probe("http"),
            previous: None,
        }
    }

    #[test]
    fn a_job_comes_out_of_its_json_with_what_its_run_needs_and_nothing_else() {
        let job = job();
        let text = serde_json::to_string(&job).unwrap();
        assert!(!text.contains("webhook-secret"), "{text}");
        let back: CheckJob = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
        assert_eq!(
            (back.run_id, back.ts_ms, &back.probe),
            (job.run_id, job.ts_ms, &job.probe)
        );
        assert_eq!(back.key(), job.key());
        assert_eq!(back.service.hosts, job.service.hosts);
        assert!(back.service.probes.is_empty() && back.service.webhooks.is_empty());
        let CredentialKind::Bearer { token } = &back.service.credentials[0].kind else {
            panic!("{:?}", back.service.credentials)
        };
        assert_eq!(token.expose_secret(), "credential-secret");
        let PrivateReach::AsFirstSeen(seen) = &back.service.private else {
            panic!("{:?}", back.service.private)
        };
        assert!(seen.is_private("inside.example"));
    }

    #[test]
    fn an_outcome_comes_out_of_its_json_with_its_accounting_and_its_rate_limits() {
        let limit = RateLimit {
            ts_ms: 2,
            host: "shop.example".to_owned(),
            name: "core".to_owned(),
            quota: Some(60),
            remaining: Some(59),
            reset_ms: None,
            window_ms: None,
            ..RateLimit::default()
        };
        let observation = Observation {
            ts_ms: 1_000,
            service: "shop-api".to_owned(),
            probe: "http".to_owned(),
            location: LOCAL.to_owned(),
            status: Status::Healthy,
            latency_us: Some(12),
            phases: Default::default(),
            http_status: Some(200),
            failure: None,
            bytes: 3,
            plugin: "http".to_owned(),
            plugin_version: "1.0.0".to_owned(),
            run_id: 7,
            metrics: Vec::new(),
            missed: false,
            excluded: None,
            rate_limits: vec![limit],
        };
        let run = PluginRun {
            run_id: 7,
            ts_ms: 1_001,
            plugin: "http".to_owned(),
            kind: PluginKind::Probe,
            version: "1.0.0".to_owned(),
            digest: "00".repeat(32),
            function: "check".into(),
            service: Some("shop-api".to_owned()),
            outcome: RunOutcome::Ok,
            error: None,
            duration_us: 5,
            cpu_us: 4,
            memory_bytes: 1 << 20,
            host_calls: 1,
            log_bytes: 0,
            denials: 0,
            denied: None,
            bytes_in: 3,
            bytes_out: 100,
        };
        let done = CheckDone::new(observation.clone(), Some(run), true);
        let text = serde_json::to_string(&done).unwrap();
        let back: CheckDone = serde_json::from_str(&text).unwrap();
        assert_eq!(back, done);
        assert_eq!(back.into_observation(), observation);
    }
}
