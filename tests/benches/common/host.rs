//! The plugin host in the benchmark's own process, a service for it to check, and how samples are
//! told.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use extrack::domain::{
    CheckJob, LOCAL, Observation, Origin, PluginTrust, PrivateReach, Probe, RunIds, Service,
};
use extrack::net::{Net, NetSettings};
use extrack::plugin_host::{
    Bundled, Compiling, PluginHost, RUNS_QUEUED, Recordings, Setup, VersionLog, bundle,
};

/// What is compiled is kept in the folder, what is installed is not.
pub(crate) async fn start_host(folder: &Path) -> PluginHost {
    bundle(Bundled {
        plugins: extrack_bundled::PLUGINS,
        evaluator: extrack_bundled::EVALUATOR,
    });
    let (runs, mut accounts) = tokio::sync::mpsc::channel(RUNS_QUEUED);
    tokio::spawn(async move { while accounts.recv().await.is_some() {} });
    let net = Net::new(NetSettings::default()).expect("the network can be set up");
    let setup = Setup {
        folder: folder.into(),
        compiling: Compiling::InProcess,
        trust: PluginTrust::default(),
        net,
        log: VersionLog::none(),
        runs_memory_bytes: None,
        versions_kept: 10,
        runs,
        recordings: Recordings::in_memory(),
        run_ids: RunIds::counting(),
        has_mail: false,
        programs: Default::default(),
        credentials: None,
    };
    PluginHost::start(setup).await.expect("the host starts")
}

/// One service with one probe.
pub(crate) struct Subject {
    service: Arc<Service>,
    probe: Probe,
}

impl Subject {
    pub(crate) fn new(plugin: &str, base_url: &str, settings: serde_json::Value) -> Self {
        let probe = Probe {
            name: plugin.to_owned(),
            plugin: plugin.to_owned(),
            settings,
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(5),
            retry: None,
        };
        let service = Service {
            slug: "bench".to_owned(),
            name: "Bench".to_owned(),
            kind: "own".to_owned(),
            base_url: base_url.to_owned(),
            health_endpoint: None,
            tags: Vec::new(),
            labels: Default::default(),
            depends_on: Vec::new(),
            owner: None,
            description: None,
            profile: Default::default(),
            slo: None,
            rate_limits: Default::default(),
            origin: Origin::File,
            hosts: Vec::new(),
            private: PrivateReach::Open,
            credentials: Vec::new(),
            probes: vec![probe.clone()],
            webhooks: Vec::new(),
            meters: Vec::new(),
            gateway: None,
        };
        Self {
            service: Arc::new(service),
            probe,
        }
    }

    /// A healthy run, and how long it took.
    pub(crate) async fn check(&self, host: &PluginHost) -> (Observation, Duration) {
        let started = Instant::now();
        let job = CheckJob {
            run_id: host.next_run_id(),
            ts_ms: 0,
            location: LOCAL.to_owned(),
            service: self.service.clone(),
            probe: self.probe.clone(),
            previous: None,
        };
        let done = host.check(&job).await;
        host.check_done(&job, &done);
        let observation = done.into_observation();
        let took = started.elapsed();
        assert!(observation.failure.is_none(), "{:?}", observation.failure);
        (observation, took)
    }
}

/// From the start of a process to its end, which has to be a good one.
pub(crate) fn process(program: &str, arguments: &[&str]) -> Duration {
    let started = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    let took = started.elapsed();
    assert!(
        status
            .unwrap_or_else(|error| panic!("`{program}` can't be started: {error}"))
            .success(),
        "{program}"
    );
    took
}

#[derive(Clone, Copy)]
pub(crate) struct Quantiles {
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
}

impl Quantiles {
    pub(crate) fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        Self {
            median: samples[samples.len() / 2],
            p99: samples[samples.len() * 99 / 100],
        }
    }

    /// How many times its median goes into that of the other.
    pub(crate) fn ratio_to(&self, other: Quantiles) -> f64 {
        other.median.as_secs_f64() / self.median.as_secs_f64()
    }
}

impl std::fmt::Display for Quantiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
        write!(
            f,
            "median {:>8.1} µs, p99 {:>8.1} µs",
            micros(self.median),
            micros(self.p99)
        )
    }
}
